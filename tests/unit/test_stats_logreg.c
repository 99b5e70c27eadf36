/* Logistic regression against scikit-learn, the solvers against each other, and bad input. */
#include "common/golden.h"

#include <math.h>
#include <string.h>

#include "stats/logreg.h"
#include "stats/softmax.h"

static const char *const cases[] = { "n150_d10_c2", "n40_d60_c2", "n120_d6_c3", "n160_d12_c5" };
static const char *const strengths[] = { "0.001", "0.01", "0.1", "1", "10" };

typedef struct problem {
	sn_rows rows;
	double *weight;
	int32_t *y;
	int n_class;
} problem;

static problem load(sn_arena *arena, sn_tensor_file *file, const char *name)
{
	problem p = { 0 };
	int64_t dim[2];
	double *x = golden_f64(arena, file, dim, "%s/x", name), *y = golden_f64(arena, file, NULL, "%s/y", name);
	p.weight = golden_f64(arena, file, NULL, "%s/weight", name);
	float *raw = golden_f32(arena, x, dim[0] * dim[1]), *scaled = SN_TAKE(arena, float, dim[0] * dim[1]);
	p.y = SN_TAKE(arena, int32_t, dim[0]);
	for (int64_t i = 0; i < dim[0]; i++) {
		p.y[i] = (int32_t)y[i];
		p.n_class = SN_MAX(p.n_class, p.y[i] + 1);
	}
	p.rows = (sn_rows){ .x = raw, .n = dim[0], .d = dim[1] };
	sn_standard s;
	assert_ok(sn_arena_ctx(arena), sn_standard_fit(&s, arena, &p.rows));
	assert_true(golden_gap(s.mean, golden_f64(arena, file, NULL, "%s/mean", name), s.d) < 1e-12);
	assert_true(golden_gap(s.sd, golden_f64(arena, file, NULL, "%s/scale", name), s.d) < 1e-12);
	sn_standard_apply(&s, raw, dim[0], dim[1], scaled);
	p.rows.x = scaled;
	return p;
}

static void check_fit(const sn_logreg *m, const double *want)
{
	assert_true(m->converged);
	for (int k = 0; k < m->n_vec; k++) {
		assert_true(golden_gap(m->coef + k * m->d, want + k * (m->d + 1), m->d) < 1e-3);
		assert_true(fabs(m->intercept[k] - want[k * (m->d + 1) + m->d]) < 1e-3);
	}
}

static void coefficients_equal_scikit_learns(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	sn_tensor_file *file = golden_open(ctx, "stats/logistic.safetensors");
	for (int c = 0; c < SN_COUNT(cases); c++) {
		problem p = load(arena, file, cases[c]);
		sn_logreg m = { 0 };
		for (int s = 0; s < SN_COUNT(strengths); s++) {
			sn_logreg_options o = { .c = 0 };
			assert_true(sn_parse_f64(strengths[s], &o.c));
			p.rows.weight = NULL;
			assert_ok(ctx, sn_logreg_fit(&m, arena, &p.rows, p.y, p.n_class, &o));
			check_fit(&m, golden_f64(arena, file, NULL, "%s/coef_C%s", cases[c], strengths[s]));
			p.rows.weight = p.weight;
			assert_ok(ctx, sn_logreg_fit(&m, arena, &p.rows, p.y, p.n_class, &o));
			check_fit(&m, golden_f64(arena, file, NULL, "%s/coef_weighted_C%s", cases[c], strengths[s]));
		}
	}
	sn_tensor_file_close(file);
	sn_arena_close(arena);
}

/* Two noisy classes; column 3 is constant, column 4 a copy of column 5, some rows are left out. */
static problem draw(sn_arena *arena, int64_t n, int64_t d, int n_class)
{
	sn_rng rng = sn_rng_make(7, (uint64_t)(n * d));
	problem p = { .rows = { .n = n, .d = d }, .n_class = n_class };
	float *x = SN_TAKE(arena, float, n * d);
	p.y = SN_TAKE(arena, int32_t, n);
	p.weight = SN_TAKE(arena, double, n);
	for (int64_t i = 0; i < n; i++) {
		for (int64_t j = 0; j < d; j++) x[i * d + j] = (float)sn_rng_normal(&rng);
		x[i * d + 3] = 2;
		x[i * d + 4] = x[i * d + 5];
		p.y[i] = i % 17 == 0 ? -1 : (int32_t)sn_rng_below(&rng, (uint64_t)n_class);
		x[i * d] += (float)p.y[i];
		p.weight[i] = 0.5 + (double)(i % 3);
	}
	p.rows.x = x;
	p.rows.weight = p.weight;
	return p;
}

static void rows_columns_and_gradients_give_one_solution(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	static const int64_t shape[][2] = { { 60, 90 }, { 90, 60 } };
	for (int s = 0; s < SN_COUNT(shape); s++) {
		sn_arena *arena;
		assert_ok(ctx, sn_arena_open(&arena, ctx));
		problem p = draw(arena, shape[s][0], shape[s][1], 2);
		int64_t d = p.rows.d;
		sn_logreg m;
		assert_ok(ctx, sn_logreg_fit(&m, arena, &p.rows, p.y, 2, &(sn_logreg_options){ .c = 3 }));
		sn_softmax q = { .rows = &p.rows,
						 .y = p.y,
						 .n_vec = 1,
						 .lambda = 1.0 / 3,
						 .tol = 1e-9,
						 .max_iter = 100,
						 .theta = SN_TAKE(arena, double, d + 1) };
		assert_ok(ctx, sn_softmax_solve(&q, arena));
		assert_true(m.converged && q.converged);
		assert_true(golden_gap(m.coef, q.theta, d) < 1e-6);
		assert_true(fabs(m.intercept[0] - q.theta[d]) < 1e-6);
		assert_true(fabs(m.objective - q.objective) < 1e-9 * m.objective);
		assert_true(fabs(m.coef[3] - 0) < 1e-2 && fabs(m.coef[4] - m.coef[5]) < 1e-6);
		sn_arena_close(arena);
	}
}

/* Three classes: the gradient is the stopping rule, so check it by differences of the objective itself. */
static void softmax_stops_at_a_minimum(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	problem p = draw(arena, 700, 12, 3);
	sn_logreg m;
	assert_ok(ctx, sn_logreg_fit(&m, arena, &p.rows, p.y, 3, &(sn_logreg_options){ .c = 0.5 }));
	assert_true(m.converged);
	double *logp = SN_TAKE(arena, double, 700 * 3);
	for (int k = 0; k < 3; k++)
		for (int64_t j = 0; j <= 12; j++)
			for (int sign = -1; sign <= 1; sign += 2) {
				double *at = j == 12 ? m.intercept + k : m.coef + k * 12 + j, old = *at, objective = 0;
				*at += sign * 1e-3;
				sn_logreg_logp(&m, p.rows.x, 700, 12, logp);
				for (int64_t i = 0; i < 700; i++)
					if (p.y[i] >= 0) objective -= p.weight[i] * logp[i * 3 + p.y[i]];
				for (int64_t i = 0; i < 36; i++) objective += m.coef[i] * m.coef[i] / (2 * 0.5);
				*at = old;
				assert_true(objective > m.objective);
			}
	for (int64_t i = 0; i < 700; i++)
		assert_true(fabs(exp(logp[3 * i]) + exp(logp[3 * i + 1]) + exp(logp[3 * i + 2]) - 1) < 1e-12);
	sn_arena_close(arena);
}

static void warm_starts_reach_the_same_place_sooner(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	for (int n_class = 2; n_class <= 3; n_class++) {
		problem p = draw(arena, 300, 20, n_class);
		sn_logreg cold, warm;
		assert_ok(ctx, sn_logreg_fit(&cold, arena, &p.rows, p.y, n_class, &(sn_logreg_options){ .c = 1 }));
		sn_logreg_options o = { .c = 1, .start = &cold };
		assert_ok(ctx, sn_logreg_fit(&warm, arena, &p.rows, p.y, n_class, &o));
		assert_true(warm.iterations < cold.iterations);
		assert_true(golden_gap(warm.coef, cold.coef, warm.n_vec * warm.d) < 1e-7);
	}
	sn_arena_close(arena);
}

static void threads_change_no_bit(void **state)
{
	(void)state;
	double coef[2][3 * 40];
	for (int threads = 1; threads <= 2; threads++) {
		sn_ctx *ctx;
		assert_int_equal(sn_ctx_open(&ctx, &(sn_options){ .size = sizeof(sn_options), .threads = threads }), SN_OK);
		sn_arena *arena;
		assert_ok(ctx, sn_arena_open(&arena, ctx));
		problem p = draw(arena, 3000, 40, 3);
		sn_logreg m;
		assert_ok(ctx, sn_logreg_fit(&m, arena, &p.rows, p.y, 3, &(sn_logreg_options){ .c = 1 }));
		memcpy(coef[threads - 1], m.coef, sizeof coef[0]);
		sn_arena_close(arena);
		sn_ctx_close(ctx);
	}
	assert_memory_equal(coef[0], coef[1], sizeof coef[0]);
}

static void separable_labels_and_bad_input(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	float x[] = { -1, -2, 1, 2 }, bad[] = { -1, -2, NAN, 2 };
	int32_t y[] = { 0, 0, 1, 1 }, same[] = { 1, 1, -1, 1 }, wrong[] = { 0, 2, 1, 1 };
	sn_rows rows = { .x = x, .n = 4, .d = 1 };
	sn_logreg m;
	assert_ok(ctx, sn_logreg_fit(&m, arena, &rows, y, 2, &(sn_logreg_options){ .c = 1e6 }));
	assert_true(m.converged && m.coef[0] > 3);
	assert_int_equal(sn_logreg_fit(&m, arena, &rows, same, 2, &(sn_logreg_options){ .c = 1 }), SN_EARG);
	assert_int_equal(sn_logreg_fit(&m, arena, &rows, wrong, 2, &(sn_logreg_options){ .c = 1 }), SN_EARG);
	assert_non_null(strstr(sn_error(ctx), "row 1"));
	assert_int_equal(sn_logreg_fit(&m, arena, &rows, y, 2, &(sn_logreg_options){ .c = 0 }), SN_EARG);
	rows.x = bad;
	assert_int_equal(sn_logreg_fit(&m, arena, &rows, y, 2, &(sn_logreg_options){ .c = 1 }), SN_ENUMERIC);
	assert_non_null(strstr(sn_error(ctx), "row 2"));
	sn_arena_close(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(coefficients_equal_scikit_learns),
		cmocka_unit_test(rows_columns_and_gradients_give_one_solution),
		cmocka_unit_test(softmax_stops_at_a_minimum),
		cmocka_unit_test(warm_starts_reach_the_same_place_sooner),
		cmocka_unit_test(threads_change_no_bit),
		cmocka_unit_test(separable_labels_and_bad_input),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
