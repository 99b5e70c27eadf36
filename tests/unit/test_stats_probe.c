/* Cross-validated probes against the same protocol written out with single fits; chance, leaks, threads, bad plans. */
#include "common/golden.h"

#include <math.h>
#include <string.h>

#include "stats/logreg.h"
#include "stats/probe.h"

enum { FOLDS = 4, LABELS = 2 };

typedef struct cell {
	sn_probe_plan plan;
	float *x;
} cell;

/* Rows 2 i and 2 i + 1 are twins (FIT, TEST); label 0 is partly in the columns, label 1 is not and lacks every seventh
 * row. */
static cell draw(sn_arena *arena, int64_t n, int64_t d, uint64_t key)
{
	sn_rng rng = sn_rng_make(5, key);
	int32_t *fold = SN_TAKE(arena, int32_t, n);
	uint8_t *use = SN_TAKE(arena, uint8_t, n);
	int8_t *z = SN_TAKE(arena, int8_t, LABELS * n);
	cell c = { .x = SN_TAKE(arena, float, n * d) };
	for (int64_t i = 0; i < n; i++) {
		fold[i] = (int32_t)((i / 2) % FOLDS);
		use[i] = i % 2 ? SN_USE_TEST : SN_USE_FIT;
		z[i] = i % 2 ? z[i - 1] : sn_rng_below(&rng, 2) ? 1 : -1;
		z[n + i] = (i / 2) % 7 == 0 ? 0 : sn_rng_below(&rng, 2) ? 1 : -1;
		for (int64_t j = 0; j < d; j++)
			c.x[i * d + j] = (float)((1.0 + (double)j) * (sn_rng_normal(&rng) + (j < 3 ? 0.8 * z[i] : 0)) + 10);
		c.x[i * d + 4] = 3;
		if (fold[i] > 0) c.x[i * d + 5] = 7; /* constant where block 0 does not train */
	}
	c.plan = (sn_probe_plan){ .n = n, .d = d, .n_fold = FOLDS, .fold = fold, .use = use, .n_label = LABELS, .z = z };
	return c;
}

/* Mean cross-entropy in bits over rows of block test that have bit use, fitted on FIT rows outside f and g; bits (or
 * NULL) takes each row's value. */
static double fit_and_test(sn_arena *arena, const cell *c, int label, int f, int g, int test, int use, double strength,
						   double *bits)
{
	const sn_probe_plan *p = &c->plan;
	double *weight = SN_TAKE(arena, double, p->n), *logp = SN_TAKE(arena, double, 2 * p->n), sum = 0, count = 0;
	int32_t *y = SN_TAKE(arena, int32_t, p->n);
	float *scaled = SN_TAKE(arena, float, p->n * p->d);
	for (int64_t i = 0; i < p->n; i++) {
		weight[i] = (p->use[i] & SN_USE_FIT) && p->fold[i] != f && p->fold[i] != g;
		y[i] = p->z[label * p->n + i] ? p->z[label * p->n + i] > 0 : -1;
	}
	sn_rows rows = { .x = c->x, .n = p->n, .d = p->d, .weight = weight };
	sn_standard s;
	sn_logreg m;
	assert_ok(sn_arena_ctx(arena), sn_standard_fit(&s, arena, &rows));
	assert_int_equal(s.n_constant, f == 0 || g == 0 ? 2 : 1);
	sn_standard_apply(&s, c->x, p->n, p->d, scaled);
	rows.x = scaled;
	assert_ok(sn_arena_ctx(arena), sn_logreg_fit(&m, arena, &rows, y, 2, &(sn_logreg_options){ .c = strength }));
	sn_logreg_logp(&m, scaled, p->n, 0, logp);
	for (int64_t i = 0; i < p->n; i++) {
		if (p->fold[i] != test || !(p->use[i] & use) || y[i] < 0) continue;
		if (bits) bits[i] = logp[2 * i + y[i]] / log(2);
		sum -= logp[2 * i + y[i]] / log(2);
		count++;
	}
	return sum / count;
}

static void check_block(sn_arena *arena, const cell *c, const sn_probe_result *got, int label, int f)
{
	const double *inner = got->inner + (label * FOLDS + f) * got->n_strength;
	int chosen = got->chosen[label * FOLDS + f];
	for (int s = 0; s < got->n_strength; s++) {
		double want = 0;
		for (int g = 0; g < FOLDS; g++) /* the blocks are of almost one size: label 1 lacks some rows */
			if (g != f)
				want += fit_and_test(arena, c, label, f, g, g, SN_USE_FIT, sn_probe_strengths[s], NULL) / (FOLDS - 1);
		if (label == 0 && !isnan(inner[s])) assert_true(fabs(inner[s] - want) < 0.01 + 0.02 * want);
		assert_true(isnan(inner[s]) || inner[chosen] <= inner[s]);
	}
	double *bits = SN_TAKE(arena, double, c->plan.n);
	(void)fit_and_test(arena, c, label, f, f, f, SN_USE_TEST, sn_probe_strengths[chosen], bits);
	for (int64_t i = 0; i < c->plan.n; i++) {
		const double *at = got->bits + label * c->plan.n + i, *p = got->p + label * c->plan.n + i;
		if (c->plan.fold[i] != f) continue;
		if (!(c->plan.use[i] & SN_USE_TEST) || !c->plan.z[label * c->plan.n + i]) {
			assert_true(isnan(*at) && isnan(*p));
			continue;
		}
		assert_true(fabs(*at - bits[i]) < 1e-3);
		assert_true(fabs(log2(c->plan.z[label * c->plan.n + i] > 0 ? *p : 1 - *p) - *at) < 1e-9);
	}
}

static void protocol_equals_single_fits(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	static const int64_t shape[][2] = { { 160, 12 }, { 96, 90 } }; /* columns decide; rows decide */
	for (int s = 0; s < SN_COUNT(shape); s++) {
		sn_arena *arena;
		assert_ok(ctx, sn_arena_open(&arena, ctx));
		cell c = draw(arena, shape[s][0], shape[s][1], 1);
		sn_probe_result got;
		assert_ok(ctx, sn_probe_cv(&got, arena, &c.plan, c.x));
		assert_int_equal(got.n_unconverged, 0);
		for (int label = 0; label < LABELS; label++)
			for (int f = 0; f < FOLDS; f++) check_block(arena, &c, &got, label, f);
		sn_probe_result fixed; /* the strengths that were chosen, given: the same answer, bit for bit */
		assert_ok(ctx, sn_probe_fixed(&fixed, arena, &c.plan, c.x, got.chosen));
		assert_memory_equal(fixed.bits, got.bits, sizeof(double) * (size_t)(LABELS * c.plan.n));
		sn_arena_close(arena);
	}
}

static void split_equals_a_single_fit(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	cell c = draw(arena, 120, 200, 2);
	int which[LABELS] = { 2, 1 };
	sn_probe_result got;
	assert_ok(ctx, sn_probe_split(&got, arena, &c.plan, c.x, which));
	for (int label = 0; label < LABELS; label++) {
		double *bits = SN_TAKE(arena, double, c.plan.n);
		for (int f = 0; f < FOLDS; f++)
			(void)fit_and_test(arena, &c, label, -1, -1, f, SN_USE_TEST, sn_probe_strengths[which[label]], bits);
		for (int64_t i = 0; i < c.plan.n; i++)
			if (!isnan(got.bits[label * c.plan.n + i]))
				assert_true(fabs(got.bits[label * c.plan.n + i] - bits[i]) < 1e-3);
	}
	sn_arena_close(arena);
}

static double information(const sn_probe_result *r, int label)
{
	double sum = 0;
	int64_t count = 0;
	for (int64_t i = 0; i < r->n; i++) {
		double b = r->bits[label * r->n + i];
		if (isnan(b)) continue;
		sum += b;
		count++;
	}
	return 1 + sum / (double)count;
}

enum { DRAWS = 3 };

/* Weights 0 to 2; the last draw has one class alone. */
static float *draw_weights(sn_arena *arena, const cell *c)
{
	sn_rng rng = sn_rng_make(5, 77);
	float *weight = SN_TAKE(arena, float, DRAWS *c->plan.n);
	for (int64_t i = 0; i < DRAWS * c->plan.n; i++)
		weight[i] = i < (DRAWS - 1) * c->plan.n ? (float)sn_rng_below(&rng, 3) : c->plan.z[i % c->plan.n] > 0;
	return weight;
}

/* The bits of one resample by a single fit, in double, on columns standardised without weights. */
static void check_draw(sn_arena *arena, const cell *c, int f, double strength, const float *weight, const float *bits)
{
	const sn_probe_plan *p = &c->plan;
	double *w = SN_TAKE(arena, double, p->n), logp[2];
	int32_t *y = SN_TAKE(arena, int32_t, p->n);
	float *scaled = SN_TAKE(arena, float, p->n * p->d);
	for (int64_t i = 0; i < p->n; i++) {
		w[i] = (p->use[i] & SN_USE_FIT) && p->fold[i] != f;
		y[i] = p->z[i] > 0;
	}
	sn_rows rows = { .x = c->x, .n = p->n, .d = p->d, .weight = w };
	sn_standard s;
	sn_logreg m;
	assert_ok(sn_arena_ctx(arena), sn_standard_fit(&s, arena, &rows));
	sn_standard_apply(&s, c->x, p->n, p->d, scaled);
	rows.x = scaled;
	for (int64_t i = 0; i < p->n; i++) w[i] *= weight[i];
	assert_ok(sn_arena_ctx(arena), sn_logreg_fit(&m, arena, &rows, y, 2, &(sn_logreg_options){ .c = strength }));
	for (int64_t i = 0; i < p->n; i++) {
		if (p->fold[i] != f || !(p->use[i] & SN_USE_TEST)) continue;
		sn_logreg_logp(&m, scaled + i * p->d, 1, 0, logp);
		assert_true(fabs(bits[i] - logp[y[i]] / log(2)) < 0.02);
	}
}

static void resamples_equal_single_fits(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	static const int64_t n[] = { 120, 400 }; /* fewer rows than columns, and more */
	static const int which[FOLDS] = { 1, 2, 3, 2 };
	for (int k = 0; k < 2; k++) {
		sn_arena *arena;
		assert_ok(ctx, sn_arena_open(&arena, ctx));
		cell c = draw(arena, n[k], 90, 12 + (uint64_t)k);
		c.plan.n_label = 1;
		c.plan.strength = sn_probe_strengths;
		c.plan.n_strength = SN_COUNT(sn_probe_strengths);
		float *weight = draw_weights(arena, &c), *bits = SN_TAKE(arena, float, DRAWS *n[k]);
		int n_unconverged = 0;
		assert_ok(ctx, sn_probe_resample(bits, &n_unconverged, arena, &c.plan, c.x, which, weight, DRAWS));
		assert_int_equal(n_unconverged, 0);
		for (int f = 0; f < FOLDS; f++)
			for (int b = 0; b < DRAWS - 1; b++)
				check_draw(arena, &c, f, sn_probe_strengths[which[f]], weight + b * n[k], bits + b * n[k]);
		for (int64_t i = 0; i < n[k]; i++) {
			assert_int_equal(isnan(bits[i]), !(c.plan.use[i] & SN_USE_TEST));
			if (c.plan.use[i] & SN_USE_TEST) assert_true(bits[(DRAWS - 1) * n[k] + i] == -1);
		}
		sn_arena_close(arena);
	}
}

/* Label 0 is there, label 1 is noise: over ten draws noise is never informative (and the chosen strengths keep it from
 * costing much). */
static void noise_scores_at_chance(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	double noise = 0, signal = 0;
	for (uint64_t key = 10; key < 20; key++) {
		sn_arena *arena;
		assert_ok(ctx, sn_arena_open(&arena, ctx));
		cell c = draw(arena, 240, 60, key);
		sn_probe_result got;
		assert_ok(ctx, sn_probe_cv(&got, arena, &c.plan, c.x));
		noise += information(&got, 1) / 10;
		signal += information(&got, 0) / 10;
		sn_arena_close(arena);
	}
	assert_true(noise < 0.01 && noise > -0.15);
	assert_true(signal > 0.4);
}

static void threads_change_no_bit(void **state)
{
	(void)state;
	double bits[2][LABELS * 200];
	for (int threads = 1; threads <= 2; threads++) {
		sn_ctx *ctx;
		assert_int_equal(sn_ctx_open(&ctx, &(sn_options){ .size = sizeof(sn_options), .threads = threads }), SN_OK);
		sn_arena *arena;
		assert_ok(ctx, sn_arena_open(&arena, ctx));
		cell c = draw(arena, 200, 300, 3);
		sn_probe_result got;
		assert_ok(ctx, sn_probe_cv(&got, arena, &c.plan, c.x));
		memcpy(bits[threads - 1], got.bits, sizeof bits[0]);
		sn_arena_close(arena);
		sn_ctx_close(ctx);
	}
	assert_memory_equal(bits[0], bits[1], sizeof bits[0]);
}

static void missing_classes_and_bad_plans(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	cell c = draw(arena, 80, 10, 4);
	int8_t *z = SN_TAKE(arena, int8_t, LABELS * 80);
	for (int i = 0; i < 80; i++) {
		z[i] = c.plan.fold[i] == 1 ? 1 : -1; /* without block 1 there is one class only */
		z[80 + i] = 1;
	}
	c.plan.z = z;
	sn_probe_result got;
	assert_ok(ctx, sn_probe_cv(&got, arena, &c.plan, c.x));
	assert_int_equal(got.chosen[1], -1);
	for (int i = 1; i < 80; i += 2) {
		if (c.plan.fold[i] == 1) assert_true(got.bits[i] == -1 && got.p[i] == 0.5);
		assert_true(got.bits[80 + i] == -1);
	}
	sn_probe_plan bad = c.plan;
	bad.n_fold = 2;
	assert_int_equal(sn_probe_cv(&got, arena, &bad, c.x), SN_EARG);
	c.x[13 * 10 + 2] = INFINITY;
	assert_int_equal(sn_probe_cv(&got, arena, &c.plan, c.x), SN_ENUMERIC);
	assert_non_null(strstr(sn_error(ctx), "row 13"));
	sn_cancel(ctx);
	assert_int_equal(sn_probe_cv(&got, arena, &c.plan, c.x), SN_ECANCEL);
	sn_arena_close(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(protocol_equals_single_fits),   cmocka_unit_test(split_equals_a_single_fit),
		cmocka_unit_test(resamples_equal_single_fits),
		cmocka_unit_test(noise_scores_at_chance),        cmocka_unit_test(threads_change_no_bit),
		cmocka_unit_test(missing_classes_and_bad_plans),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
