/* `probe linear` on a tiny random model: what stands in the token is read, permuted labels are not, groups stay
 * whole. */
#include "common/test.h"
#include "data/dataset.h"
#include "data/result.h"
#include "methods/probe/probe.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static sn_model *model;

static int open_model(void **state)
{
	return test_open(state) != 0 || sn_model_open(&model, *state, SN_TESTS "/golden/tiny/gqa-untied") != SN_OK;
}

static int close_model(void **state)
{
	sn_model_close(model);
	return test_close(state);
}

enum { ROWS = 240 };
static const char *const word[] = { "a", "b", "c", "d", "e", "f" }, *const lead[] = { "x", "y z", "q", "w o" };

/* Prefixes ending in one of six words; class: by word (3), by half (2), or by a coin. */
static sn_dataset *make(sn_ctx *ctx)
{
	static char text[ROWS * 160];
	size_t used = 0;
	for (int i = 0; i < ROWS; i++) {
		int w = i % 6;
		used += (size_t)snprintf(text + used, sizeof text - used,
		                         "{\"text\": \"%s%d %s\", \"third\": \"c%d\", \"labels\": {\"half\": \"%s\"}, "
		                         "\"coin\": %d, \"lemma\": \"%d\", "
		                         "\"roles\": {\"first\": [0, 1]}}\n",
		                         lead[i / 6 % 4], i / 6, word[w], w / 2, w % 2 ? "odd" : "even",
		                         (int)(sn_rng_bits(3, 4, (uint64_t)i) & 1), i / 3);
	}
	sn_dataset *data;
	assert_ok(ctx, sn_dataset_parse(&data, ctx, "made", SN_DATA_JSONL, text, used));
	return data;
}

static sn_result *run(sn_ctx *ctx, const sn_dataset *data, const char *label, const char *at, const char *group)
{
	sn_linear_param p = { .label = label, .sites = "blocks.0.hook_resid_pre,blocks.*.hook_resid_post", .at = at,
		                  .column = "auto", .group = group,
		                  .folds = 5, .controls = 1, .random_models = 1, .resamples = 200 };
	const sn_method *method = sn_method_find("probe", "linear");
	assert_non_null(method);
	assert_int_equal(method->param_size, sizeof p);
	sn_input input = { .model = { model }, .data = { data } };
	sn_result *result;
	assert_ok(ctx, sn_result_open(&result, ctx, method));
	assert_ok(ctx, sn_method_run(ctx, method, &input, &p, result));
	return result;
}

static double cell(const sn_result *result, int64_t row, const char *name)
{
	const sn_table *t = &sn_result_method(result)->table[0];
	for (int c = 0; c < t->n_col; c++)
		if (strcmp(t->col[c].name, name) == 0) return sn_result_row(result, 0, row)[c].f;
	fail();
	return 0;
}

static void classes_in_the_token_are_read(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_dataset *data = make(ctx);
	static const char *const labels[] = { "half", "third" };
	for (int k = 0; k < 2; k++) {
		sn_result *result = run(ctx, data, labels[k], "last", "auto");
		assert_int_equal(sn_result_rows(result, 0), sn_model_get_info(model)->n_layer + 1);
		for (int64_t r = 0; r < sn_result_rows(result, 0); r++) {
			double majority = cell(result, r, "majority");
			assert_true(cell(result, r, "accuracy") > majority + 0.25);
			assert_true(cell(result, r, "I") > 0.25 && cell(result, r, "I") < log2(k + 2) + 0.05);
			assert_true(cell(result, r, "I_low") <= cell(result, r, "I") &&
			            cell(result, r, "I_high") >= cell(result, r, "I"));
			assert_true(fabs(cell(result, r, "majority") - 1.0 / (k + 2)) < 1e-9);
			assert_true(cell(result, r, "accuracy_low") < cell(result, r, "accuracy"));
			assert_false(isnan(cell(result, r, "control")));
		}
		assert_int_equal(sn_result_rows(result, 1), k + 2);
		assert_non_null(sn_result_line(result, SN_LINE_SUMMARY, 0));
		sn_result_close(result);
	}
	sn_dataset_close(data);
}

/* Where nothing is gained beyond the first layer, no layer is the expected one, and no sentence prints a NaN. */
static void no_layer_is_expected(const sn_result *result)
{
	assert_int_equal(sn_result_rows(result, SN_PROBE_LAYERS), 2);
	const sn_value *row = sn_result_row(result, SN_PROBE_LAYERS, 0);
	assert_string_equal(row[1].s, "expected layer");
	assert_true(isnan(row[2].f) && isnan(row[3].f) && isnan(row[4].f));
	for (int k = 0; sn_result_line(result, SN_LINE_SUMMARY, k); k++)
		assert_null(strstr(sn_result_line(result, SN_LINE_SUMMARY, k)->text, "nan"));
}

static void a_coin_is_not_read(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_dataset *data = make(ctx);
	sn_result *result = run(ctx, data, "coin", "first", "none");
	for (int64_t r = 0; r < sn_result_rows(result, 0); r++) assert_true(cell(result, r, "I") < 0.1);
	no_layer_is_expected(result);
	sn_result_close(result);
	sn_dataset_close(data);
}

static void means_are_over_the_rows_tokens(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_dataset *data = make(ctx);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	sn_probe_query q = { .label = "half", .at = "mean", .n_fold = 3, .limit = 20 };
	sn_probe_rows rows;
	assert_ok(ctx, sn_probe_read(&rows, ctx, sn_model_tokenizer(model), data, &q, arena));
	assert_int_equal(rows.n, 20);
	for (int i = 0; i < 20; i++)
		for (int j = 0; j < 20; j++)
			if (rows.group[i] == rows.group[j]) assert_int_equal(rows.fold[i], rows.fold[j]);
	sn_site site = { .kind = SN_SITE_RESID_POST };
	float *mean, *all;
	int64_t d = sn_model_get_info(model)->d_model, m = rows.batch.start[20];
	assert_ok(ctx, sn_probe_gather(&mean, ctx, model, &rows, &site, 1, arena));
	all = SN_TAKE(arena, float, m * d);
	sn_keep keep = { all, m, d };
	sn_tap tap = { .at = site, .where = { .sel = SN_ALL }, .sink = &sn_sink_keep, .state = &keep };
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
	assert_ok(ctx, sn_run(ctx, model, &rows.batch, &plan, NULL, NULL));
	for (int i = 0; i < 20; i++)
		for (int64_t j = 0; j < d; j++) {
			double sum = 0;
			for (int64_t t = rows.batch.start[i]; t < rows.batch.start[i + 1]; t++) sum += all[t * d + j];
			assert_true(fabs(mean[i * d + j] - sum / (double)(rows.batch.start[i + 1] - rows.batch.start[i])) < 1e-5);
		}
	sn_arena_close(arena);
	sn_dataset_close(data);
}

static void bad_questions_are_answered_with_the_columns(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_dataset *data = make(ctx);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	sn_probe_rows rows;
	sn_probe_query q = { .label = "nothing", .at = "last", .n_fold = 5 };
	assert_int_equal(sn_probe_read(&rows, ctx, sn_model_tokenizer(model), data, &q, arena), SN_ENOTFOUND);
	assert_non_null(strstr(sn_error(ctx), "labels.half"));
	q.label = "text";
	q.n_fold = 40;
	assert_int_equal(sn_probe_read(&rows, ctx, sn_model_tokenizer(model), data, &q, arena), SN_EARG);
	q = (sn_probe_query){ .label = "half", .at = "third", .n_fold = 5 };
	assert_int_equal(sn_probe_read(&rows, ctx, sn_model_tokenizer(model), data, &q, arena), SN_ENOTFOUND);
	sn_arena_close(arena);
	sn_dataset_close(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes_in_the_token_are_read),
		cmocka_unit_test(a_coin_is_not_read),
		cmocka_unit_test(means_are_over_the_rows_tokens),
		cmocka_unit_test(bad_questions_are_answered_with_the_columns),
	};
	return cmocka_run_group_tests(tests, open_model, close_model);
}
