/* Many regressions at once against scikit-learn and against one at a time; threads, warm starts, exactness. */
#include "common/golden.h"

#include <math.h>
#include <string.h>

#include "stats/logreg.h"
#include "stats/multinomial.h"

static const char *const cases[] = { "n150_d10_c2", "n40_d60_c2", "n120_d6_c3", "n160_d12_c5" };
static const char *const strengths[] = { "0.001", "0.01", "0.1", "1", "10" };

/* Standardised rows turned into their basis. */
typedef struct turned {
	sn_design design;
} turned;

static turned turn(sn_arena *arena, const float *raw, int64_t n, int64_t d)
{
	turned t;
	sn_standard s;
	float *scaled = SN_TAKE(arena, float, n *d);
	sn_rows rows = { .x = raw, .n = n, .d = d };
	assert_ok(sn_arena_ctx(arena), sn_standard_fit(&s, arena, &rows));
	sn_standard_apply(&s, raw, n, d, scaled);
	assert_ok(sn_arena_ctx(arena), sn_design_make(&t.design, arena, scaled, n, d));
	return t;
}

/* Solves to a gap of nats a row. */
static sn_status solve(sn_multinomial *const *m, int n, sn_arena *scratch, const sn_design *design, double gap)
{
	return sn_multinomial_solve(m, n, scratch, design, (sn_multinomial_stop){ .gap = gap }, NULL, NULL);
}

/* Coefficient j of vector v on standardised columns. */
static double coefficient(const turned *t, const sn_multinomial *m, int v, int64_t j)
{
	double sum = 0;
	int64_t d = t->design.d;
	for (int64_t k = 0; k < d; k++) sum += t->design.basis.turn[j * d + k] * m->theta[v * (d + 1) + k];
	return sum;
}

static void coefficients_equal_scikit_learns(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	sn_tensor_file *file = golden_open(ctx, "stats/logistic.safetensors");
	for (int c = 0; c < SN_COUNT(cases); c++) {
		int64_t dim[2];
		double *x = golden_f64(arena, file, dim, "%s/x", cases[c]),
			   *label = golden_f64(arena, file, NULL, "%s/y", cases[c]);
		turned t = turn(arena, golden_f32(arena, x, dim[0] * dim[1]), dim[0], dim[1]);
		int32_t *y = SN_TAKE(arena, int32_t, dim[0]), n_class = 0;
		for (int64_t i = 0; i < dim[0]; i++) n_class = SN_MAX(n_class, (y[i] = (int32_t)label[i]) + 1);
		sn_multinomial m, *one = &m;
		assert_ok(ctx, sn_multinomial_make(&m, arena, n_class, dim[1], dim[0]));
		m.y = y;
		for (int s = 0; s < SN_COUNT(strengths); s++) { /* warm-started along the path */
			assert_true(sn_parse_f64(strengths[s], &m.c));
			assert_ok(ctx, solve(&one, 1, arena, &t.design, 1e-11));
			assert_true(m.solver.converged);
			double *want = golden_f64(arena, file, NULL, "%s/coef_C%s", cases[c], strengths[s]);
			for (int v = 0; v < m.n_vec; v++) {
				const double *row = want + v * (dim[1] + 1);
				for (int64_t j = 0; j < dim[1]; j++) assert_true(fabs(coefficient(&t, &m, v, j) - row[j]) < 1e-3);
				assert_true(fabs(m.theta[v * (dim[1] + 1) + dim[1]] - row[dim[1]]) < 1e-3);
			}
		}
	}
	sn_tensor_file_close(file);
	sn_arena_close(arena);
}

enum { N = 700, D = 40 };

/* Classes partly in the columns; every ninth row has none. */
static turned draw(sn_arena *arena, int32_t *y, int n_class, uint64_t key)
{
	sn_rng rng = sn_rng_make(9, 1), own = sn_rng_make(9, key);
	float *x = SN_TAKE(arena, float, N *D);
	for (int i = 0; i < N; i++) {
		for (int j = 0; j < D; j++)
			x[i * D + j] = (float)(sn_rng_normal(&rng) * (1 + j) + (j > 4 ? 0.9 * x[i * D + j - 4] : 0));
		y[i] = i % 9 == 0 ? -1 : (int32_t)sn_rng_below(&own, (uint64_t)n_class);
		if (y[i] >= 0 && x[i * D] > 0) y[i] = (x[i * D + 1] > 0) % n_class;
	}
	return turn(arena, x, N, D);
}

/* Three label sets side by side: each is what it is alone, whatever the other ask for at the moment. */
static void together_as_alone(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	static const int classes[] = { 2, 7, 30 };
	int32_t *y = SN_TAKE(arena, int32_t, 3 * N);
	sn_multinomial together[3], alone[3], *list[3];
	turned t = { 0 };
	for (int k = 0; k < 3; k++) {
		t = draw(arena, y + k * N, classes[k], 20 + (uint64_t)k);
		assert_ok(ctx, sn_multinomial_make(&together[k], arena, classes[k], D, N));
		assert_ok(ctx, sn_multinomial_make(&alone[k], arena, classes[k], D, N));
		together[k].y = alone[k].y = y + k * N;
		together[k].c = alone[k].c = 0.3;
		list[k] = &together[k];
	}
	assert_ok(ctx, solve(list, 3, arena, &t.design, 1e-8));
	for (int k = 0; k < 3; k++) {
		sn_multinomial *one = &alone[k];
		assert_ok(ctx, solve(&one, 1, arena, &t.design, 1e-8));
		assert_true(together[k].solver.converged && alone[k].solver.converged);
		assert_true(golden_gap(together[k].theta, alone[k].theta, alone[k].solver.size) < 1e-3);
		assert_true(fabs(together[k].solver.objective - alone[k].solver.objective) < 1e-4 * alone[k].solver.objective);
	}
	sn_arena_close(arena);
}

/* The other solver, in double and with another preconditioner, finds the same point; the objective is its. */
static void the_point_is_the_optimum(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	int32_t *y = SN_TAKE(arena, int32_t, N);
	turned t = draw(arena, y, 5, 30);
	sn_multinomial m, *one = &m;
	sn_logreg want;
	sn_rows rows = { .x = t.design.x, .n = N, .d = D };
	static const double c[] = { 0.01, 1, 300 }; /* the last: little is left of the ridge, so float32 does not do */
	assert_ok(ctx, sn_multinomial_make(&m, arena, 5, D, N));
	m.y = y;
	for (int s = 0; s < SN_COUNT(c); s++) {
		m.c = c[s];
		assert_ok(ctx, solve(&one, 1, arena, &t.design, 1e-11));
		assert_ok(ctx, sn_logreg_fit(&want, arena, &rows, y, 5, &(sn_logreg_options){ .c = c[s], .tol = 1e-10 }));
		assert_true(m.solver.converged && want.converged);
		assert_true(fabs(m.solver.objective - want.objective) < 1e-6 * want.objective);
		for (int v = 0; v < 5; v++) assert_true(golden_gap(m.theta + v * (D + 1), want.coef + v * D, D) < 1e-3);
		float logp[5];
		double exact[5], most = 0;
		assert_ok(ctx, sn_multinomial_logp(&m, arena, t.design.x + 3 * D, 1, D, logp));
		sn_logreg_logp(&want, t.design.x + 3 * D, 1, 0, exact);
		for (int k = 0; k < 5; k++) most = fmax(most, fabs(logp[k] - exact[k]));
		assert_true(most < 1e-3);
	}
	assert_ok(ctx, solve(&one, 1, arena, &t.design, 1e-15));
	assert_true(m.solver.exact && fabs(m.solver.objective - want.objective) < 1e-9 * want.objective);
	sn_arena_close(arena);
}

/* The largest derivative of the mean objective by a standardised column's coefficient or an intercept, in double. */
static double largest_slope(sn_arena *arena, const turned *t, const sn_multinomial *m)
{
	double *gradient = SN_TAKE(arena, double, m->n_vec *(D + 1)), largest = 0;
	for (int64_t i = 0; i < N; i++) {
		double x[D + 1] = { [D] = 1 }, score[8], sum = 0;
		if (m->y[i] < 0) continue;
		for (int j = 0; j < D; j++)
			for (int k = 0; k < D; k++) x[j] += t->design.basis.turn[j * D + k] * t->design.x[i * D + k];
		for (int v = 0; v < m->n_vec; v++) {
			score[v] = m->theta[v * (D + 1) + D];
			for (int j = 0; j < D; j++) score[v] += coefficient(t, m, v, j) * x[j];
			sum += exp(score[v]);
		}
		for (int v = 0; v < m->n_vec; v++)
			for (int j = 0; j <= D; j++) gradient[v * (D + 1) + j] += (exp(score[v]) / sum - (v == m->y[i])) * x[j];
	}
	for (int v = 0; v < m->n_vec; v++)
		for (int j = 0; j <= D; j++) {
			double ridge = j < D ? coefficient(t, m, v, j) / m->c : 0;
			largest = fmax(largest, fabs(gradient[v * (D + 1) + j] + ridge) / N);
		}
	return largest;
}

static const double path[] = { 0.01, 0.3, 10 };

typedef struct walk {
	sn_arena *arena;
	const turned *t;
	sn_multinomial *m;
	int at[2];
	double slope[2][SN_COUNT(path)], objective[2][SN_COUNT(path)];
} walk;

static bool next(void *owner, int k)
{
	walk *w = owner;
	assert_true(w->m[k].solver.converged && w->m[k].c == path[w->at[k]]);
	w->slope[k][w->at[k]] = largest_slope(w->arena, w->t, &w->m[k]);
	w->objective[k][w->at[k]] = w->m[k].solver.objective;
	if (++w->at[k] == SN_COUNT(path)) return false;
	w->m[k].c = path[w->at[k]];
	return true;
}

/* Two labels on paths of their own stop where their slopes are as asked for, near where they stop alone. */
static void paths_side_by_side_and_slopes(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	int32_t *y = SN_TAKE(arena, int32_t, 2 * N);
	sn_multinomial m[2], *list[2] = { &m[0], &m[1] };
	walk w = { .arena = arena, .m = m };
	turned t = { 0 };
	for (int k = 0; k < 2; k++) {
		t = draw(arena, y + k * N, 4 + k, 60 + (uint64_t)k);
		assert_ok(ctx, sn_multinomial_make(&m[k], arena, 4 + k, D, N));
		m[k].y = y + k * N;
		m[k].c = path[0];
	}
	w.t = &t;
	sn_multinomial_stop stop = { .slope = 1e-4 };
	assert_ok(ctx, sn_multinomial_solve(list, 2, arena, &t.design, stop, next, &w));
	for (int k = 0; k < 2; k++) {
		assert_int_equal(w.at[k], SN_COUNT(path));
		for (int s = 0; s < SN_COUNT(path); s++) {
			assert_true(w.slope[k][s] < 1.02e-4 && w.slope[k][s] > 1e-7);
			m[k].c = path[s];
			assert_ok(ctx, solve(&list[k], 1, arena, &t.design, 1e-9));
			assert_true(fabs(w.objective[k][s] - m[k].solver.objective) < 1e-3 * m[k].solver.objective);
		}
	}
	sn_arena_close(arena);
}

static void threads_change_no_bit(void **state)
{
	(void)state;
	double theta[3][6 * (D + 1)];
	for (int run = 0; run < 3; run++) {
		int threads = 1 << run;
		sn_ctx *ctx;
		sn_arena *arena;
		assert_int_equal(sn_ctx_open(&ctx, &(sn_options){ .size = sizeof(sn_options), .threads = threads }), SN_OK);
		assert_ok(ctx, sn_arena_open(&arena, ctx));
		int32_t *y = SN_TAKE(arena, int32_t, N);
		turned t = draw(arena, y, 6, 40);
		sn_multinomial m, *one = &m;
		assert_ok(ctx, sn_multinomial_make(&m, arena, 6, D, N));
		m.y = y;
		assert_ok(ctx, solve(&one, 1, arena, &t.design, 0));
		memcpy(theta[run], m.theta, sizeof theta[0]);
		sn_arena_close(arena);
		sn_ctx_close(ctx);
	}
	assert_memory_equal(theta[0], theta[1], sizeof theta[0]);
	assert_memory_equal(theta[0], theta[2], sizeof theta[0]);
}

static void a_class_that_never_trains_and_too_few(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	int32_t *y = SN_TAKE(arena, int32_t, N);
	turned t = draw(arena, y, 3, 50);
	sn_multinomial m, *one = &m;
	float logp[4];
	assert_ok(ctx, sn_multinomial_make(&m, arena, 4, D, N)); /* class 3 has no row */
	m.y = y;
	assert_ok(ctx, solve(&one, 1, arena, &t.design, 0));
	assert_ok(ctx, sn_multinomial_logp(&m, arena, t.design.x, 1, D, logp));
	assert_true(m.solver.converged && isfinite(logp[3]) && logp[3] < -5);
	sn_cancel(ctx);
	assert_int_equal(solve(&one, 1, arena, &t.design, 0), SN_ECANCEL);
	assert_int_equal(sn_multinomial_make(&m, arena, 1, D, N), SN_EARG);
	sn_arena_close(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(coefficients_equal_scikit_learns),
		cmocka_unit_test(together_as_alone),
		cmocka_unit_test(the_point_is_the_optimum),
		cmocka_unit_test(paths_side_by_side_and_slopes),
		cmocka_unit_test(threads_change_no_bit),
		cmocka_unit_test(a_class_that_never_trains_and_too_few),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
