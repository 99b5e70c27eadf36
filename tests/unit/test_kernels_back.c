/* Adjoints of single operations, on every level of kernels: <J v, w> = <v, J' w> for random v and w, with J v a central
 * difference of the operation itself in double where it is not linear. */
#include "common/test.h"

#include "tensor/gemm.h"
#include "tensor/kernels.h"

#include <math.h>
#include <string.h>

enum { N = 131 };

static void fill(float *x, int64_t n, uint64_t key)
{
	sn_rng rng = sn_rng_make(11, key);
	for (int64_t i = 0; i < n; i++) x[i] = (float)sn_rng_normal(&rng);
}

static double dot(const float *a, const float *b, int64_t n)
{
	double sum = 0;
	for (int64_t i = 0; i < n; i++) sum += (double)a[i] * b[i];
	return sum;
}

static void assert_same(const char *what, int level, double a, double b, double size)
{
	if (!(fabs(a - b) <= 2e-6 * (1 + size)))
		fail_msg("%s, level %d: <J v, w> is %.9g, <v, J' w> is %.9g", what, level, a, b);
}

/* ---- activations ---- */

static double activation(sn_act act, double x)
{
	switch (act) {
	case SN_ACT_SILU: return x / (1 + exp(-x));
	case SN_ACT_GELU: return x * (1 + erf(x / sqrt(2))) / 2;
	case SN_ACT_GELU_TANH: return x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x))) / 2;
	case SN_ACT_RELU: return fmax(x, 0);
	case SN_ACT_TANH: return tanh(x);
	case SN_ACT_NONE: case SN_ACTS: break;
	}
	return x;
}

static double slope(sn_act act, double x, bool chord)
{
	const double h = 1e-6;
	if (chord) return activation(act, x) / x;
	return (activation(act, x + h) - activation(act, x - h)) / (2 * h);
}

/* y = act(x) times: J (v, u) = act'(x) times v + act(x) u. */
static void check_activation(const sn_kernels *k, int level, sn_act act, bool gated, bool chord, int64_t n)
{
	float x[N], times[N], v[N], u[N], w[N], dx[N], dtimes[N];
	double forward = 0, size = 0;
	fill(x, n, 1 + (uint64_t)act);
	fill(times, n, 20);
	fill(v, n, 21);
	fill(u, n, 22);
	fill(w, n, 23);
	for (int64_t i = 0; i < n; i++) {
		double along = slope(act, x[i], chord) * v[i] * (gated ? times[i] : 1);
		if (gated) along += activation(act, x[i]) * u[i];
		forward += along * w[i];
		size += fabs(along * w[i]);
	}
	k->activate_back(dx, gated ? dtimes : NULL, x, gated ? times : NULL, w, n, act, chord);
	double back = dot(dx, v, n) + (gated ? dot(dtimes, u, n) : 0);
	assert_same("activation", level, forward, back, size);
	k->activate_back(x, NULL, x, gated ? times : NULL, w, n, act, chord);   /* in place */
	assert_memory_equal(x, dx, (size_t)n * sizeof *x);
}

static void activations(void **state)
{
	(void)state;
	for (int level = 0; sn_kernels_at(level); level++)
		for (int act = 0; act < SN_ACTS; act++)
			for (int64_t n = 1; n <= N; n += 26)
				for (int form = 0; form < 4; form++)
					check_activation(sn_kernels_at(level), level, (sn_act)act, form & 1, form & 2, n);
}

/* ---- rotations: the transpose turns the other way round ---- */

static void check_rotation(const sn_kernels *k, int level, bool pairs)
{
	enum { D = 32 };
	float v[D], w[D], turned[D], back[D], cosine[D / 2], sine[D / 2];
	fill(v, D, 30);
	fill(w, D, 31);
	for (int i = 0; i < D / 2; i++) {
		cosine[i] = (float)cos(0.3 * i);
		sine[i] = (float)sin(0.3 * i);
	}
	memcpy(turned, v, sizeof v);
	memcpy(back, w, sizeof w);
	(pairs ? k->rotate_pairs : k->rotate)(turned, cosine, sine, D);
	for (int i = 0; i < D / 2; i++) sine[i] = -sine[i];
	(pairs ? k->rotate_pairs : k->rotate)(back, cosine, sine, D);
	assert_same(pairs ? "rotation of pairs" : "rotation", level, dot(turned, w, D), dot(v, back, D), D);
}

static void rotations(void **state)
{
	(void)state;
	for (int level = 0; sn_kernels_at(level); level++)
		for (int pairs = 0; pairs < 2; pairs++) check_rotation(sn_kernels_at(level), level, pairs);
}

/* ---- matrices, in every precision ---- */

static void check_product(sn_precision precision, double tolerance, int64_t n, int64_t k)
{
	enum { ROWS = 5, ROOM = 64 };   /* rows that buffers have room for */
	sn_options o = { .size = sizeof o, .threads = 2, .seed = 1, .precision = precision };
	sn_ctx *ctx;
	sn_gemm *gemm;
	sn_packed *packed, *transposed;
	sn_arena *arena;
	assert_int_equal(sn_ctx_open(&ctx, &o), SN_OK);
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	float *w = SN_TAKE(arena, float, n * k), *v = SN_TAKE(arena, float, ROOM * k), *u = SN_TAKE(arena, float, ROOM * n);
	float *forward = SN_TAKE(arena, float, ROOM * n), *back = SN_TAKE(arena, float, ROOM * k);
	assert_true(sn_gemm_room(ROWS) <= ROOM);
	fill(w, n * k, 40);
	fill(v, ROWS * k, 41);
	fill(u, ROWS * n, 42);
	assert_ok(ctx, sn_gemm_open(&gemm, ctx));
	assert_ok(ctx, sn_gemm_pack(&packed, gemm, w, n, k));
	assert_ok(ctx, sn_gemm_pack_transposed(&transposed, gemm, w, n, k));
	assert_ok(ctx, sn_gemm_run(gemm, packed, v, ROWS, forward));
	assert_ok(ctx, sn_gemm_run(gemm, transposed, u, ROWS, back));
	double a = dot(forward, u, ROWS * n), b = dot(v, back, ROWS * k), size = sqrt((double)(ROWS * n * k));
	if (!(fabs(a - b) <= tolerance * size))
		fail_msg("product %d x %d, precision %d: %.9g, %.9g", (int)n, (int)k, (int)precision, a, b);
	sn_packed_free(gemm, packed);
	sn_packed_free(gemm, transposed);
	sn_gemm_close(gemm);
	sn_arena_close(arena);
	sn_ctx_close(ctx);
}

static void products(void **state)
{
	static const double tolerance[] = { [SN_F32_PRECISION] = 1e-5, [SN_BF16X3_PRECISION] = 1e-4,
		                                [SN_BF16_PRECISION] = 3e-2 };
	(void)state;
	for (int p = SN_F32_PRECISION; p <= SN_BF16_PRECISION; p++) {
		check_product((sn_precision)p, tolerance[p], 48, 96);
		check_product((sn_precision)p, tolerance[p], 65, 33);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(activations), cmocka_unit_test(rotations),
		                                cmocka_unit_test(products) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
