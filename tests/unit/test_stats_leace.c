/* LEACE and its shrinkage against concept-erasure; moments; the promises of erasure on the fitting rows. */
#include "common/golden.h"

#include <math.h>
#include <string.h>

#include "stats/leace.h"
#include "stats/linalg.h"

static const char *const cases[] = { "n200_d8_k1", "n60_d24_k3", "n20_d32_k1", "n90_d16_onehot4" };

typedef struct sample {
	int64_t n, d, k;
	double *z;
	sn_rows rows;
} sample;

static sample load(sn_arena *arena, sn_tensor_file *file, const char *name)
{
	sample s;
	int64_t dim[2];
	double *x = golden_f64(arena, file, dim, "%s/x", name);
	s.n = dim[0];
	s.d = dim[1];
	s.z = golden_f64(arena, file, dim, "%s/z", name);
	s.k = dim[1];
	s.rows = (sn_rows){ .x = golden_f32(arena, x, s.n * s.d), .n = s.n, .d = s.d };
	return s;
}

static double *product(sn_arena *arena, const sn_leace *q)
{
	double *out = SN_TAKE(arena, double, q->d * q->d);
	sn_gemm_f64(1, false, true, q->d, q->d, q->k, 1, q->u, q->k, q->v, q->k, 0, out, q->d);
	return out;
}

static double norm(const double *x, int64_t n)
{
	double sum = 0;
	for (int64_t i = 0; i < n; i++) sum += x[i] * x[i];
	return sqrt(sum);
}

static void shrinkage_equals_concept_erasures(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	sn_tensor_file *file = golden_open(ctx, "stats/leace.safetensors");
	for (int c = 0; c < SN_COUNT(cases); c++) {
		sample s = load(arena, file, cases[c]);
		sn_cov m;
		assert_ok(ctx, sn_cov_init(&m, arena, s.d, s.k, true));
		assert_ok(ctx, sn_cov_add(&m, arena, &s.rows, s.z));
		assert_true(golden_gap(m.mean_x, golden_f64(arena, file, NULL, "%s/mean_x", cases[c]), s.d) < 1e-12);
		assert_true(golden_gap(m.mean_z, golden_f64(arena, file, NULL, "%s/mean_z", cases[c]), s.k) < 1e-12);
		for (int64_t i = 0; i < s.d * s.d; i++) m.sxx[i] /= m.weight;
		double *cov = golden_f64(arena, file, NULL, "%s/cov", cases[c]);
		assert_true(golden_gap(m.sxx, cov, s.d * s.d) < 1e-12 * norm(cov, s.d * s.d));
		sn_shrink_linear(s.d, m.sxx, (double)s.n, NULL, NULL);
		double *shrunk = golden_f64(arena, file, NULL, "%s/cov_shrunk", cases[c]);
		assert_true(golden_gap(m.sxx, shrunk, s.d * s.d) < 1e-12 * norm(shrunk, s.d * s.d));
	}
	sn_tensor_file_close(file);
	sn_arena_close(arena);
}

static void check_eraser(sn_arena *arena, const sn_leace *q, const sample *s, const double *want, const double *erased)
{
	assert_true(golden_gap(product(arena, q), want, s->d * s->d) < 1e-9 * (1 + norm(want, s->d * s->d)));
	float rows[4 * 64];
	memcpy(rows, s->rows.x, sizeof(float) * (size_t)(4 * s->d));
	sn_leace_erase(q, rows, 4, s->d);
	for (int64_t i = 0; i < 4 * s->d; i++) assert_true(fabs(rows[i] - erased[i]) < 2e-5);
}

static void projection_equals_concept_erasures(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	sn_tensor_file *file = golden_open(ctx, "stats/leace.safetensors");
	for (int c = 0; c < SN_COUNT(cases); c++) {
		sample s = load(arena, file, cases[c]);
		sn_cov m;
		assert_ok(ctx, sn_cov_init(&m, arena, s.d, s.k, true));
		assert_ok(ctx, sn_cov_add(&m, arena, &s.rows, s.z));
		for (sn_shrink how = SN_SHRINK_LINEAR; how <= SN_SHRINK_NONE; how++) {
			const char *kind = how == SN_SHRINK_LINEAR ? "shrunk" : "plain";
			double *want = golden_f64(arena, file, NULL, "%s/q_%s", cases[c], kind);
			double *erased = golden_f64(arena, file, NULL, "%s/erased_%s", cases[c], kind);
			sn_leace q;
			assert_ok(ctx, sn_leace_fit(&q, arena, &m, how));
			check_eraser(arena, &q, &s, want, erased);
			assert_int_equal(q.rank, strstr(cases[c], "onehot") ? 3 : s.k);
			assert_ok(ctx, sn_leace_fit_rows(&q, arena, &s.rows, s.z, s.k, how)); /* n < d: another route */
			check_eraser(arena, &q, &s, want, erased);
		}
	}
	sn_tensor_file_close(file);
	sn_arena_close(arena);
}

static sample draw(sn_arena *arena, int64_t n, int64_t d, int64_t k, double *weight)
{
	sn_rng rng = sn_rng_make(3, (uint64_t)(n + d));
	sample s = { .n = n, .d = d, .k = k, .z = SN_TAKE(arena, double, n * k) };
	float *x = SN_TAKE(arena, float, n * d);
	for (int64_t i = 0; i < n; i++) {
		for (int64_t c = 0; c < k; c++) s.z[i * k + c] = sn_rng_below(&rng, 2) ? 1 : -1;
		for (int64_t j = 0; j < d; j++) x[i * d + j] = (float)(5 + sn_rng_normal(&rng) + 0.5 * s.z[i * k + j % k]);
		if (weight) weight[i] = (double)sn_rng_below(&rng, 3);
	}
	s.rows = (sn_rows){ .x = x, .n = n, .d = d, .weight = weight };
	return s;
}

/* On the fitting rows, unshrunk: no covariance with the labels is left, Q² = Q, V'U = I, the mean stays. */
static void erasing_the_fitting_rows_leaves_no_linear_signal(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	double weight[300];
	static const int64_t shape[][3] = { { 300, 20, 1 }, { 300, 20, 3 }, { 30, 50, 2 } };
	for (int c = 0; c < SN_COUNT(shape); c++) {
		sample s = draw(arena, shape[c][0], shape[c][1], shape[c][2], weight);
		sn_leace q;
		assert_ok(ctx, sn_leace_fit_rows(&q, arena, &s.rows, s.z, s.k, SN_SHRINK_NONE));
		double *p = product(arena, &q), *p2 = SN_TAKE(arena, double, s.d * s.d);
		sn_gemm_f64(2, false, false, s.d, s.d, s.d, 1, p, s.d, p, s.d, 0, p2, s.d);
		assert_true(golden_gap(p, p2, s.d * s.d) < 1e-10 * (1 + norm(p, s.d * s.d)));
		sn_cov before, after;
		assert_ok(ctx, sn_cov_init(&before, arena, s.d, s.k, true));
		assert_ok(ctx, sn_cov_add(&before, arena, &s.rows, s.z));
		sn_leace_erase(&q, (float *)s.rows.x, s.n, s.d);
		assert_ok(ctx, sn_cov_init(&after, arena, s.d, s.k, true));
		assert_ok(ctx, sn_cov_add(&after, arena, &s.rows, s.z));
		assert_true(norm(before.sxz, s.d * s.k) > 1);
		assert_true(norm(after.sxz, s.d * s.k) < 1e-5 * norm(before.sxz, s.d * s.k));
		assert_true(golden_gap(after.mean_x, before.mean_x, s.d) < 1e-5);
	}
	sn_arena_close(arena);
}

static void chunks_merges_and_threads_agree(void **state)
{
	(void)state;
	double first[40 * 40];
	for (int threads = 1; threads <= 2; threads++) {
		sn_ctx *ctx;
		assert_int_equal(sn_ctx_open(&ctx, &(sn_options){ .size = sizeof(sn_options), .threads = threads }), SN_OK);
		sn_arena *arena;
		assert_ok(ctx, sn_arena_open(&arena, ctx));
		double *weight = SN_TAKE(arena, double, 1500);
		sample s = draw(arena, 1500, 40, 2, weight);
		sn_cov all, part[2];
		assert_ok(ctx, sn_cov_init(&all, arena, s.d, s.k, true));
		assert_ok(ctx, sn_cov_add(&all, arena, &s.rows, s.z));
		for (int h = 0; h < 2; h++) {
			int64_t from = h ? 400 : 0, to = h ? 1500 : 400;
			sn_rows half = { .x = s.rows.x + from * s.d, .n = to - from, .d = s.d, .weight = weight + from };
			assert_ok(ctx, sn_cov_init(&part[h], arena, s.d, s.k, true));
			assert_ok(ctx, sn_cov_add(&part[h], arena, &half, s.z + from * s.k));
		}
		assert_ok(ctx, sn_cov_merge(&part[0], arena, &part[1]));
		assert_int_equal(part[0].n, all.n);
		assert_true(golden_gap(part[0].mean_x, all.mean_x, s.d) < 1e-12);
		assert_true(golden_gap(part[0].sxx, all.sxx, s.d * s.d) < 1e-9);
		assert_true(golden_gap(part[0].sxz, all.sxz, s.d * s.k) < 1e-9);
		assert_true(golden_gap(part[0].szz, all.szz, s.k * s.k) < 1e-9);
		if (threads == 1)
			memcpy(first, all.sxx, sizeof first);
		else
			assert_memory_equal(first, all.sxx, sizeof first);
		sn_arena_close(arena);
		sn_ctx_close(ctx);
	}
}

static void nothing_to_erase_is_no_error(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	float constant[6 * 4], bad[4] = { 1, 2, NAN, 4 };
	double z[] = { 1, -1, 1, -1, 1, -1 }, none[6] = { 0 };
	for (int i = 0; i < 24; i++) constant[i] = (float)(i % 4);
	sn_rows rows = { .x = constant, .n = 6, .d = 4 };
	sn_leace q;
	assert_ok(ctx, sn_leace_fit_rows(&q, arena, &rows, z, 1, SN_SHRINK_LINEAR));
	assert_int_equal(q.rank, 0);
	sn_leace_erase(&q, constant, 6, 0);
	for (int i = 0; i < 24; i++) assert_true(constant[i] == (float)(i % 4));
	sample s = draw(arena, 6, 4, 1, NULL);
	assert_ok(ctx, sn_leace_fit_rows(&q, arena, &s.rows, none, 1, SN_SHRINK_NONE));
	assert_int_equal(q.rank, 0);
	assert_int_equal(sn_leace_fit_rows(&q, arena, &(sn_rows){ .x = bad, .n = 2, .d = 2 }, z, 1, SN_SHRINK_LINEAR),
					 SN_ENUMERIC);
	assert_non_null(strstr(sn_error(ctx), "row 1"));
	assert_int_equal(sn_leace_fit_rows(&q, arena, &(sn_rows){ .x = bad, .n = 1, .d = 2 }, z, 1, SN_SHRINK_LINEAR),
					 SN_EARG);
	sn_arena_close(arena);
}

/* Both by columns (n > d) and by rows (n < d). */
static void each_label_alone_equals_its_own_fit(void **state)
{
	enum { N = 24, K = 3 };
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	for (int64_t d = 10; d <= 40; d += 30) {
		float *x = SN_TAKE(arena, float, N *d);
		double z[N * K], own[N];
		sn_rng rng = sn_rng_make(5, (uint64_t)d);
		for (int64_t i = 0; i < N * d; i++) x[i] = (float)sn_rng_normal(&rng);
		for (int i = 0; i < N * K; i++) z[i] = sn_rng_below(&rng, 2) ? 1 : -1;
		sn_rows rows = { .x = x, .n = N, .d = d };
		sn_leace each[K], alone;
		assert_ok(ctx, sn_leace_fit_each(each, arena, &rows, z, K, SN_SHRINK_LINEAR));
		for (int c = 0; c < K; c++) {
			for (int i = 0; i < N; i++) own[i] = z[i * K + c];
			assert_ok(ctx, sn_leace_fit_rows(&alone, arena, &rows, own, 1, SN_SHRINK_LINEAR));
			assert_int_equal(each[c].rank, 1);
			assert_true(golden_gap(product(arena, &each[c]), product(arena, &alone), d * d) < 1e-12);
		}
	}
	sn_arena_close(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shrinkage_equals_concept_erasures),
		cmocka_unit_test(projection_equals_concept_erasures),
		cmocka_unit_test(erasing_the_fitting_rows_leaves_no_linear_signal),
		cmocka_unit_test(chunks_merges_and_threads_agree),
		cmocka_unit_test(nothing_to_erase_is_no_error),
		cmocka_unit_test(each_label_alone_equals_its_own_fit),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
