/* Perceptron probes against PyTorch, finite differences, and what a linear probe cannot see; F1 and mixtures against
 * scikit-learn and scipy. */
#include "common/golden.h"

#include <math.h>
#include <string.h>

#include "stats/edge.h"
#include "stats/f1.h"
#include "stats/mixture.h"
#include "stats/mlp.h"

static const void *raw(const sn_tensor_file *file, const char *name, int64_t *rows)
{
	const sn_stored *t = sn_tensor_file_find(file, name);
	assert_non_null(t);
	if (rows) *rows = t->dim[0];
	return t->data;
}

/* The same weights and the same order of rows: the same losses, gradient and weights at the end. */
static void training_equals_pytorchs(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	sn_tensor_file *file = golden_open(ctx, "stats/probes.safetensors");
	int64_t n, steps;
	const float *x = raw(file, "mlp/x", &n);
	const int32_t *y = raw(file, "mlp/y", NULL);
	const int64_t *order = raw(file, "mlp/order", &steps);
	const double *loss = raw(file, "mlp/losses", NULL), *gradient = raw(file, "mlp/gradient", NULL);
	sn_mlp m;
	assert_ok(ctx, sn_mlp_make(&m, arena, 7, 11, 5, 1, 1));
	memcpy(m.theta, raw(file, "mlp/start", NULL), (size_t)m.size * sizeof *m.theta);
	double *grad = SN_TAKE(arena, double, m.size), *scratch = SN_TAKE(arena, double, sn_mlp_scratch(&m, 32));
	sn_adam adam = {
		.rate = 1e-2, .decay = 1e-3, .first = SN_TAKE(arena, double, m.size), .second = SN_TAKE(arena, double, m.size)
	};
	for (int64_t s = 0; s < steps; s++) {
		assert_true(fabs(sn_mlp_loss(&m, x, y, order + s * 32, 32, grad, scratch) - loss[s]) < 1e-10);
		if (s == 0) assert_true(golden_gap(grad, gradient, m.size) < 1e-12);
		sn_adam_step(&adam, m.size, grad, m.theta);
	}
	assert_true(golden_gap(m.theta, raw(file, "mlp/end", NULL), m.size) < 1e-9);
	sn_tensor_file_close(file);
	sn_arena_close(arena);
}

static void gradient_equals_finite_differences(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	enum { ROWS = 20, WIDE = 6 };
	float x[ROWS * WIDE];
	int32_t y[ROWS];
	sn_rng rng = sn_rng_make(4, 4);
	for (int i = 0; i < ROWS * WIDE; i++) x[i] = (float)sn_rng_normal(&rng);
	for (int i = 0; i < ROWS; i++) y[i] = (int32_t)sn_rng_below(&rng, 3);
	sn_mlp m;
	assert_ok(ctx, sn_mlp_make(&m, arena, WIDE, 5, 3, 2, 9));
	double *grad = SN_TAKE(arena, double, m.size), *scratch = SN_TAKE(arena, double, sn_mlp_scratch(&m, ROWS));
	(void)sn_mlp_loss(&m, x, y, NULL, ROWS, grad, scratch);
	for (int64_t j = 0; j < m.size; j++) {
		double kept = m.theta[j], h = 1e-6;
		m.theta[j] = kept + h;
		double up = sn_mlp_loss(&m, x, y, NULL, ROWS, NULL, scratch);
		m.theta[j] = kept - h;
		double down = sn_mlp_loss(&m, x, y, NULL, ROWS, NULL, scratch);
		m.theta[j] = kept;
		assert_true(fabs((up - down) / (2 * h) - grad[j]) < 1e-7);
	}
	sn_arena_close(arena);
}

/* A product of two coordinates: a perceptron finds it, the best line does not; the same seed gives the same bits. */
static void a_product_is_found(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	enum { ROWS = 900, WIDE = 8 };
	float *x = SN_TAKE(arena, float, ROWS *WIDE), *logp = SN_TAKE(arena, float, ROWS * 2);
	int32_t *y = SN_TAKE(arena, int32_t, ROWS);
	sn_rng rng = sn_rng_make(5, 4);
	for (int i = 0; i < ROWS * WIDE; i++) x[i] = (float)sn_rng_normal(&rng);
	for (int i = 0; i < ROWS; i++) y[i] = i % 50 == 7 ? -1 : x[i * WIDE] * x[i * WIDE + 1] > 0;
	double theta[2][16 * 9 + 2 * 17];
	for (int again = 0; again < 2; again++) {
		sn_mlp m;
		assert_ok(ctx, sn_mlp_make(&m, arena, WIDE, 16, 2, 3, 1));
		sn_mlp_training t = { .x = x,
							  .y = y,
							  .n = 700,
							  .n_fit = 560,
							  .batch = 32,
							  .epochs = 60,
							  .patience = 4,
							  .rate = 1e-2,
							  .seed = 3,
							  .key = 100,
							  .work = SN_TAKE(arena, double, sn_mlp_training_work(&m, 32)),
							  .order = SN_TAKE(arena, int64_t, 700) };
		sn_mlp_train(&m, &t);
		assert_true(t.n_epoch > 4 && t.best < 0.35);
		memcpy(theta[again], m.theta, sizeof theta[again]);
		double *scratch = SN_TAKE(arena, double, sn_mlp_scratch(&m, 200));
		sn_mlp_logp(&m, x + 700 * WIDE, 200, logp, scratch);
		int right = 0, n = 0;
		for (int i = 0; i < 200; i++) {
			if (y[700 + i] < 0) continue;
			right += (logp[2 * i + 1] > logp[2 * i]) == y[700 + i];
			n++;
			assert_true(fabs(exp(logp[2 * i]) + exp(logp[2 * i + 1]) - 1) < 1e-6);
		}
		assert_true(right > 0.85 * n);
	}
	assert_memory_equal(theta[0], theta[1], sizeof theta[0]);
	sn_mlp m;
	assert_int_equal(sn_mlp_make(&m, arena, 4, 0, 2, 1, 1), SN_EARG);
	sn_arena_close(arena);
}

static void f1_equals_scikit_learns(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	sn_boot *boot;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	sn_tensor_file *file = golden_open(ctx, "stats/probes.safetensors");
	int64_t n;
	const int32_t *y = raw(file, "f1/y", &n), *guess = raw(file, "f1/guess", NULL);
	const double *macro = raw(file, "f1/macro", NULL), *by_class = raw(file, "f1/by_class", NULL);
	int32_t *group = SN_TAKE(arena, int32_t, n);
	for (int64_t i = 0; i < n; i++) group[i] = (int32_t)(i / 5);
	sn_guesses g = { .n = n, .n_class = 8, .n_cell = 3, .y = y, .guess = guess, .group = group };
	sn_reps reps, own;
	sn_band band[3];
	assert_ok(ctx, sn_boot_open(&boot, arena, 300, 40, NULL, NULL, 1, 2));
	assert_ok(ctx, sn_boot_macro_f1(&reps, arena, boot, 40, &g));
	assert_ok(ctx, sn_reps_bands(band, arena, &reps, 0.95, NULL));
	for (int c = 0; c < 3; c++) {
		assert_true(fabs(reps.point[c] - macro[c]) < 1e-12);
		assert_true(band[c].low < macro[c] && band[c].high > macro[c] && band[c].se > 0.005 && band[c].se < 0.1);
		assert_ok(ctx, sn_boot_class_f1(&own, arena, boot, 40, &g, c));
		for (int k = 0; k < 7; k++) assert_true(fabs(own.point[k] - by_class[c * 7 + k]) < 1e-12);
		assert_true(isnan(own.point[7]));
	}
	sn_tensor_file_close(file);
	sn_arena_close(arena);
}

static void mixtures_equal_scipys(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_tensor_file *file = golden_open(ctx, "stats/probes.safetensors");
	int64_t n;
	const float *p = raw(file, "mixture/p", &n);
	const double *want = raw(file, "mixture/s", NULL), *value = raw(file, "mixture/value", NULL);
	double s[4], sum = 0;
	double got = sn_mixture_fit(s, 4, p, n, 4, raw(file, "mixture/weight", NULL));
	assert_true(fabs(got - *value) < 1e-4); /* the value is flat around the weights */
	for (int k = 0; k < 4; k++) {
		assert_true(fabs(s[k] - want[k]) < 0.05);
		sum += s[k];
	}
	assert_true(fabs(sum - 1) < 1e-9);
	static const double score[] = { 1, 2, 2.5, 2.5 }, at[] = { 0, 1, 2, 5 }, flat[] = { 1, 1, 1, 1 };
	assert_true(fabs(sn_expected_layer(score, at, 4) - (1 * 1 + 2 * 0.5) / 1.5) <
				1e-12); /* Tenney et al. 2019, eq. 4 */
	assert_true(isnan(sn_expected_layer(flat, at, 4)));
	sn_tensor_file_close(file);
}

static void edges_equal_l_bfgs(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	sn_tensor_file *file = golden_open(ctx, "stats/probes.safetensors");
	sn_edges e = { .r = 3 };
	e.x = raw(file, "edge/x", &e.n);
	e.start = raw(file, "edge/start", &e.n_sentence);
	e.n_sentence--;
	e.target = raw(file, "edge/target", NULL);
	const double *want = raw(file, "edge/theta", NULL), *objective = raw(file, "edge/objective", NULL);
	sn_edge_probe p;
	assert_ok(ctx, sn_edge_make(&p, arena, 3));
	assert_ok(ctx, sn_edge_fit(&p, arena, &e, 0.7, 1e-13));
	assert_true(p.converged && fabs(p.objective - *objective) < 1e-9 * *objective);
	assert_true(golden_gap(p.theta, want, 12) < 1e-5);
	double logp[81], loss = 0;
	for (int64_t s = 0; s < e.n_sentence; s++) {
		int64_t first = e.start[s], words = e.start[s + 1] - first;
		assert_ok(ctx, sn_edge_logp(&p, arena, e.x + first * 3, words, logp));
		for (int64_t i = 0; i < words; i++)
			if (e.target[first + i] >= 0) loss -= logp[i * words + e.target[first + i]];
	}
	for (int j = 0; j < 12; j++) loss += p.theta[j] * p.theta[j] / 2 / 0.7;
	assert_true(fabs(loss - p.objective) < 1e-9 * loss);
	assert_int_equal(sn_edge_fit(&p, arena, &e, 0, 0), SN_EARG);
	sn_tensor_file_close(file);
	sn_arena_close(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(training_equals_pytorchs), cmocka_unit_test(gradient_equals_finite_differences),
		cmocka_unit_test(a_product_is_found),       cmocka_unit_test(f1_equals_scikit_learns),
		cmocka_unit_test(mixtures_equal_scipys),    cmocka_unit_test(edges_equal_l_bfgs),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
