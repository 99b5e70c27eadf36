/* The attention methods on the planted models: head 0 of layer 2 alone matters, by the way from last to subject. */
#include "base/option.h"
#include "common/test.h"
#include "data/result.h"
#include "methods/attention/knockout.h"
#include "methods/attention/prune.h"
#include "planted/planted.h"

#include <math.h>
#include <string.h>

enum { HEADS = PLANTED_BLOCKS * PLANTED_HEADS, READER = 2 * PLANTED_HEADS };

typedef struct planted_run {
	sn_ctx *ctx;
	sn_arena *arena;
	sn_model *model;
	sn_items items;
	sn_attn_goals goals;
} planted_run;

static planted_weights weights;

static planted_run open_run(sn_ctx *ctx, planted_variant variant)
{
	planted_run r = { .ctx = ctx };
	assert_ok(ctx, sn_arena_open(&r.arena, ctx));
	planted_fill(&weights, variant, 1);
	assert_ok(ctx, planted_open(&r.model, ctx, &weights));
	assert_ok(ctx, planted_items(&r.items, r.arena, PLANTED_NUMBER));
	return r;
}

static void read_goals(planted_run *r, int64_t limit)
{
	assert_ok(r->ctx, sn_attn_goals_of_items(&r->goals, r->ctx, r->model, &r->items, limit, r->arena));
}

static void end(planted_run *r)
{
	sn_model_close(r->model);
	sn_arena_close(r->arena);
}

static void one_head_is_important(void **state)
{
	planted_run r = open_run(test_ctx(state), PLANTED_BASE);
	double *dot, mean[HEADS] = { 0 };
	read_goals(&r, 64);
	dot = SN_TAKE(r.arena, double, r.goals.n * HEADS);
	assert_ok(r.ctx, sn_attn_head_products(&r.goals, SN_RULE_PLAIN, dot, NULL));
	for (int64_t i = 0; i < r.goals.n * HEADS; i++) mean[i % HEADS] += fabs(dot[i]) / r.goals.n;
	for (int h = 0; h < HEADS; h++)
		if (h == READER ? !(mean[h] > 0.5) : !(mean[h] < 1e-3 * mean[READER]))
			fail_msg("layer %d head %d: importance %g", h / PLANTED_HEADS, h % PLANTED_HEADS, mean[h]);
	end(&r);
}

/* Layers' effects of each edge; window 1. */
static void check_knockout(sn_ctx *ctx, planted_variant variant, const double want[PLANTED_BLOCKS])
{
	planted_run r = open_run(ctx, variant);
	sn_knockout_param p = { 0 };
	sn_param_table table = { sn_method_attention_knockout.param, sn_method_attention_knockout.n_param };
	sn_result *result;
	read_goals(&r, 128);
	assert_ok(ctx, sn_param_defaults(ctx, &table, r.arena, &p));
	p.window = 1;
	p.resamples = 200;
	assert_ok(ctx, sn_result_open(&result, ctx, &sn_method_attention_knockout));
	assert_ok(ctx, sn_attention_knockout(&r.goals, &p, result));
	assert_int_equal(sn_result_rows(result, 0), 3 * PLANTED_BLOCKS);
	for (int64_t i = 0; i < sn_result_rows(result, 0); i++) {
		const sn_value *row = sn_result_row(result, 0, i);
		double expected = strstr(row[1].s, "subject") ? want[row[0].i] : 0;
		if (!(fabs(row[4].f - expected) < 0.02)) fail_msg("%s, layer %d: %g", row[1].s, (int)row[0].i, row[4].f);
		assert_true(row[5].f <= row[4].f + 1e-12 && row[4].f <= row[6].f + 1e-12);
	}
	for (int64_t i = 0; i < sn_result_rows(result, 1); i++) {
		const sn_value *row = sn_result_row(result, 1, i);
		if (!(fabs(row[2].f - (strstr(row[0].s, "subject") ? 1 : 0)) < 0.02)) fail_msg("%s: %g", row[0].s, row[2].f);
	}
	sn_result_close(result);
	end(&r);
}

static void last_reads_the_subject_in_one_block(void **state)
{
	check_knockout(test_ctx(state), PLANTED_BASE, (const double[]){ 0, 0, 1, 0 });
	check_knockout(test_ctx(state), PLANTED_SPLIT, (const double[]){ 0, 0.5, 0.5, 0 });
}

/* A model that does not read what it wrote makes no choice: shares are withheld. */
static void no_choice_no_shares(void **state)
{
	planted_run r = open_run(test_ctx(state), PLANTED_UNREAD);
	sn_knockout_param p = { "last", "subject", 1, 1, 0, 200 };
	sn_result *result;
	read_goals(&r, 64);
	assert_ok(r.ctx, sn_result_open(&result, r.ctx, &sn_method_attention_knockout));
	assert_ok(r.ctx, sn_attention_knockout(&r.goals, &p, result));
	for (int64_t i = 0; i < sn_result_rows(result, 0); i++) assert_true(isnan(sn_result_row(result, 0, i)[4].f));
	p.keys = "nobody";
	assert_int_equal(sn_attention_knockout(&r.goals, &p, result), SN_EARG);
	assert_non_null(strstr(sn_error(r.ctx), "subject"));
	sn_result_close(result);
	end(&r);
}

/* Least important first, the choice stays until the last head goes; most important first, it is gone with the first. */
static void the_reader_goes_last(void **state)
{
	planted_run r = open_run(test_ctx(state), PLANTED_BASE);
	sn_prune_param p = { .column = "auto", .order = "importance", .ablate = "zero", .steps = HEADS, .draws = 2 };
	sn_result *result;
	read_goals(&r, 64);
	assert_ok(r.ctx, sn_result_open(&result, r.ctx, &sn_method_attention_prune));
	assert_ok(r.ctx, sn_attention_prune(&r.goals, &p, result));
	double whole = sn_result_row(result, 0, 0)[3].f;
	assert_true(whole > 0.5 && sn_result_row(result, 0, 0)[6].f > 0.6);
	for (int64_t i = 0; i < sn_result_rows(result, 0); i++) {
		const sn_value *row = sn_result_row(result, 0, i);
		bool random = strcmp(row[1].s, "random") == 0, least = strstr(row[1].s, "least") != NULL;
		bool gone = least ? row[2].i == HEADS : row[2].i > 0;
		if (!random && !(fabs(row[3].f - (gone ? 0 : whole)) < 0.05 * whole))
			fail_msg("%s, %d heads: %g of %g", row[1].s, (int)row[2].i, row[3].f, whole);
	}
	const sn_value *last = sn_result_row(result, 1, HEADS - 1);
	assert_true(last[1].i == 2 && last[2].i == 0);
	sn_result_close(result);
	end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_head_is_important),
		cmocka_unit_test(last_reads_the_subject_in_one_block),
		cmocka_unit_test(no_choice_no_shares),
		cmocka_unit_test(the_reader_goes_last),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
