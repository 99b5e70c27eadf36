/* Metrics and distributions against scikit-learn and SciPy. */
#include "common/test.h"

#include <math.h>

#include "io/json.h"
#include "stats/metrics.h"

static sn_json *golden(sn_ctx *ctx)
{
	char path[512];
	sn_json *doc;
	sn_format(path, sizeof path, "%s/golden/stats/metrics.json", SN_TESTS);
	assert_ok(ctx, sn_json_load(&doc, ctx, path, 0));
	return doc;
}

static double number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	if (!json_is_number(value)) fail_msg("golden file without %s", key);
	return json_number_value(value);
}

static double *numbers(sn_arena *arena, const json_t *array)
{
	double *out = SN_TAKE(arena, double, json_array_size(array));
	for (size_t i = 0; i < json_array_size(array); i++) out[i] = json_number_value(json_array_get(array, i));
	return out;
}

static void assert_near(double a, double b, double relative)
{
	if (!(fabs(a - b) <= relative * fabs(b) + 1e-300)) fail_msg("%.17g is not %.17g", a, b);
}

static void check_set(sn_arena *arena, const json_t *set, const double *weight, const char *suffix)
{
	int64_t n = (int64_t)json_array_size(json_object_get(set, "y"));
	double *y = numbers(arena, json_object_get(set, "y")), *score = numbers(arena, json_object_get(set, "score"));
	double *bits = SN_TAKE(arena, double, n), auc;
	int8_t *z = SN_TAKE(arena, int8_t, n);
	char key[64];
	for (int64_t i = 0; i < n; i++) {
		z[i] = y[i] > 0 ? 1 : -1;
		bits[i] = -log2(1 + exp(-z[i] * score[i]));
	}
	sn_format(key, sizeof key, "log_loss%s", suffix);
	assert_near(sn_cross_entropy_bits(bits, weight, n) * log(2), number(set, key), 1e-12);
	sn_confusion c = sn_confuse(score, z, weight, n, 0);
	sn_format(key, sizeof key, "balanced_accuracy%s", suffix);
	assert_near(sn_balanced_accuracy(&c), number(set, key), 1e-12);
	assert_ok(sn_arena_ctx(arena), sn_roc_auc(arena, score, z, weight, n, &auc));
	sn_format(key, sizeof key, "roc_auc%s", suffix);
	assert_near(auc, number(set, key), 1e-12);
}

static void metrics_equal_scikit_learns(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *doc = golden(ctx);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	const json_t *sets = json_object_get(doc->root, "metrics");
	assert_true(json_array_size(sets) > 0);
	for (size_t i = 0; i < json_array_size(sets); i++) {
		const json_t *set = json_array_get(sets, i);
		check_set(arena, set, NULL, "");
		check_set(arena, set, numbers(arena, json_object_get(set, "weight")), "_weighted");
	}
	sn_arena_close(arena);
	sn_json_close(doc);
}

static void distributions_equal_scipys(void **state)
{
	sn_json *doc = golden(test_ctx(state));
	const json_t *list = json_object_get(doc->root, "wilson"), *row;
	size_t i;
	assert_true(json_array_size(list) > 0);
	json_array_foreach(list, i, row)
	{
		double n = number(row, "n");
		sn_interval w = sn_wilson(number(row, "k") / n, n, number(row, "level"));
		assert_true(fabs(w.low - number(row, "low")) < 1e-12 && fabs(w.high - number(row, "high")) < 1e-12);
	}
	json_array_foreach(json_object_get(doc->root, "normal_quantile"), i, row)
	{
		double want = json_number_value(json_array_get(row, 1));
		assert_true(fabs(sn_normal_quantile(json_number_value(json_array_get(row, 0))) - want) < 1e-11);
	}
	json_array_foreach(json_object_get(doc->root, "normal_cdf"), i, row) assert_near(
		sn_normal_cdf(json_number_value(json_array_get(row, 0))), json_number_value(json_array_get(row, 1)), 1e-12);
	list = json_object_get(doc->root, "t_quantile");
	assert_true(json_array_size(list) > 0);
	json_array_foreach(list, i, row)
	{
		double df = number(row, "df"), p = number(row, "p"), t = number(row, "t");
		assert_true(fabs(sn_t_quantile(p, df) - t) <= 1e-9 * fabs(t) + 1e-12);
		assert_near(sn_t_cdf(t, df), p, 1e-9);
	}
	sn_json_close(doc);
}

static void quantiles_equal_numpys(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *doc = golden(ctx);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	const json_t *q = json_object_get(doc->root, "quantile"), *values = json_object_get(q, "values"), *row;
	int64_t n = (int64_t)json_array_size(values);
	double *x = numbers(arena, values), *rank = SN_TAKE(arena, double, n), *sorted = SN_TAKE(arena, double, n);
	assert_ok(ctx, sn_ranks(arena, x, n, rank));
	for (int64_t i = 0; i < n; i++) { /* ties share a rank: put each value at every rank it may mean */
		sorted[(int64_t)floor(rank[i]) - 1] = x[i];
		sorted[(int64_t)ceil(rank[i]) - 1] = x[i];
	}
	size_t i;
	assert_true(n > 0);
	json_array_foreach(json_object_get(q, "p_value"), i, row)
		assert_near(sn_quantile_sorted(sorted, n, json_number_value(json_array_get(row, 0))),
					json_number_value(json_array_get(row, 1)), 1e-12);
	sn_arena_close(arena);
	sn_json_close(doc);
}

static void small_cases_by_hand(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	double x[] = { 1, 2, 2, 4 }, y[] = { 10, 20, 30, 40 }, flat[] = { 3, 3, 3, 3 }, rank[4], rho;
	assert_ok(ctx, sn_ranks(arena, x, 4, rank));
	assert_true(rank[0] == 1 && rank[1] == 2.5 && rank[2] == 2.5 && rank[3] == 4);
	assert_ok(ctx, sn_spearman(arena, x, y, 4, &rho));
	assert_near(rho, 4.5 / sqrt(4.5 * 5), 1e-12); /* ranks (1, 2.5, 2.5, 4) against (1, 2, 3, 4) */
	assert_near(sn_pearson(x, y, 4), 45 / sqrt(4.75 * 500), 1e-12);
	assert_true(isnan(sn_pearson(x, flat, 4)));
	sn_confusion c = { .tp = 6, .fn = 2, .fp = 1, .tn = 3 };
	assert_near(sn_accuracy(&c), 0.75, 1e-12);
	assert_near(sn_mcc(&c), 16 / sqrt(7. * 8 * 4 * 5), 1e-12);
	double half[] = { 1, 1 }, quarter[] = { 1, 3 };
	assert_near(sn_entropy_bits(half, 2), 1, 1e-12);
	assert_near(sn_entropy_bits(quarter, 2), 2 - 0.75 * log2(3), 1e-12);
	assert_true(isnan(sn_wilson(0.5, 0, 0.95).low));
	sn_arena_close(arena);
}

/* Of clusters of one value each it is the mean with Student's interval; a cluster twice as large counts twice. */
static void clustered_means_are_ratios_with_intervals(void **state)
{
	(void)state;
	const double x[] = { 1, 4, 2, 7, 3.5 };
	sn_clustered single = { 0 }, none = { 0 }, uneven = { 0 };
	double mean = 3.5, square = 0;
	for (int i = 0; i < 5; i++) {
		sn_clustered_add(&single, x[i], 1);
		square += (x[i] - mean) * (x[i] - mean);
	}
	sn_clustered_add(&single, 0, 0);
	double half = sn_t_quantile(0.975, 4) * sqrt(square / 4 / 5);
	sn_interval i = sn_clustered_interval(&single, 0.95);
	assert_near(sn_clustered_mean(&single), mean, 1e-14);
	assert_near(i.low, mean - half, 1e-12);
	assert_near(i.high, mean + half, 1e-12);
	sn_interval kept = sn_interval_within(i, 2, 3), all = sn_interval_within(i, -INFINITY, INFINITY);
	assert_true(i.low < 2 && kept.low == 2 && i.high > 3 && kept.high == 3 && all.low == i.low && all.high == i.high);
	assert_true(isnan(sn_interval_within(sn_clustered_interval(&none, 0.95), 0, 1).low));
	sn_clustered_add(&uneven, 6, 2);
	assert_true(isnan(sn_clustered_mean(&none)) && isnan(sn_clustered_interval(&uneven, 0.95).low));
	sn_clustered_add(&uneven, 0, 1);
	assert_near(sn_clustered_mean(&uneven), 2, 1e-14);
	/* residuals 6 - 2 * 2 and 0 - 2 */
	assert_near(sn_clustered_interval(&uneven, 0.95).high, 2 + sn_t_quantile(0.975, 1) * sqrt(2 * 8) / 3, 1e-12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clustered_means_are_ratios_with_intervals),
		cmocka_unit_test(metrics_equal_scikit_learns),
		cmocka_unit_test(distributions_equal_scipys),
		cmocka_unit_test(quantiles_equal_numpys),
		cmocka_unit_test(small_cases_by_hand),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
