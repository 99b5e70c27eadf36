/* Attribution patching on the planted models: it must find what was built in and nothing else, and where the model is
 * linear in what a pair changes, it must equal patching. */
#include "base/option.h"
#include "common/test.h"
#include "methods/attribution/ablation.h"
#include "methods/causal/attribution.h"
#include "planted/planted.h"

#include <math.h>
#include <string.h>

enum { SITE = 2, PLACE, ESTIMATE, ESTIMATE_LOW, ESTIMATE_HIGH, EFFECT };

static sn_arena *arena;
static sn_items number, idle;
static planted_weights weights;

static int open_items(void **state)
{
	if (test_open(state) != 0) return -1;
	return sn_arena_open(&arena, *state) != SN_OK || planted_items(&number, arena, PLANTED_NUMBER) != SN_OK ||
		   planted_items(&idle, arena, PLANTED_IDLE) != SN_OK;
}

static int close_items(void **state)
{
	sn_arena_close(arena);
	return test_close(state);
}

typedef struct asked {
	planted_variant variant;
	const sn_items *items;
	const char *sites, *by;
	int steps;
} asked;

/* The result, to be closed by the caller. */
static sn_result *estimate(sn_ctx *ctx, asked a)
{
	sn_model *model;
	sn_result *result;
	sn_estimate_param param = { 0 };
	sn_param_table table = { sn_method_attribute_patching.param, sn_method_attribute_patching.n_param };
	assert_ok(ctx, sn_param_defaults(ctx, &table, arena, &param));
	param.patch.sites = a.sites;
	param.patch.by = a.by;
	param.patch.pairs = 128;
	param.patch.resamples = 200;
	param.steps = a.steps;
	planted_fill(&weights, a.variant, 1);
	assert_ok(ctx, planted_open(&model, ctx, &weights));
	assert_ok(ctx, sn_result_open(&result, ctx, &sn_method_attribute_patching));
	assert_ok(ctx, sn_causal_attribution(ctx, model, a.items, &param, result));
	sn_model_close(model);
	return result;
}

static const char *const stream = "blocks.0.hook_resid_pre,blocks.*.hook_resid_post",
						*const parts = "blocks.*.attn.hook_z[*],blocks.*.hook_mlp_out";

/* All that is nonlinear in number lies in block 0's product, which is linear in the coordinate that flips. */
static void estimates_equal_patches_where_all_is_linear(void **state)
{
	static const struct {
		const char *sites;
		int steps;
	} run[] = { { stream, 0 }, { stream, 4 }, { parts, 0 }, { parts, 4 } };
	for (int i = 0; i < SN_COUNT(run); i++) {
		sn_result *r = estimate(test_ctx(state), (asked){ PLANTED_BASE, &number, run[i].sites, "role", run[i].steps });
		assert_true(sn_result_rows(r, SN_ESTIMATE_CELLS) >= 20);
		for (int64_t k = 0; k < sn_result_rows(r, SN_ESTIMATE_CELLS); k++) {
			const sn_value *row = sn_result_row(r, SN_ESTIMATE_CELLS, k);
			if (!(fabs(row[ESTIMATE].f - row[EFFECT].f) < 2e-3))
				fail_msg("%d steps, %s, %s: %g estimated, %g patched", run[i].steps, row[SITE].s, row[PLACE].s,
						 row[ESTIMATE].f, row[EFFECT].f);
		}
		const sn_value *pearson = sn_result_row(r, SN_ESTIMATE_AGREEMENT, 0);
		assert_true(pearson[1].f > 0.9999);
		sn_result_close(r);
	}
}

typedef struct found {
	const char *site, *place;
	double effect;
} found;

/* Exactly these cells stand out, by estimate. */
static void check_found(sn_ctx *ctx, asked a, const found *want, int n)
{
	sn_result *r = estimate(ctx, a);
	int seen = 0;
	for (int64_t k = 0; k < sn_result_rows(r, SN_ESTIMATE_CELLS); k++) {
		const sn_value *row = sn_result_row(r, SN_ESTIMATE_CELLS, k);
		double expected = 0;
		for (int i = 0; i < n; i++)
			if (strcmp(row[SITE].s, want[i].site) == 0 && strcmp(row[PLACE].s, want[i].place) == 0)
				expected = want[i].effect, seen++;
		if (!(fabs(row[ESTIMATE].f - expected) < 0.02))
			fail_msg("%s, %s: %g estimated, expected %g", row[SITE].s, row[PLACE].s, row[ESTIMATE].f, expected);
	}
	assert_int_equal(seen, n);
	sn_result_close(r);
}

static void one_head_and_the_product_are_found(void **state)
{
	static const found base[] = { { "blocks.0.hook_mlp_out", "subject", 1 }, { "blocks.2.attn.hook_z[0]", "last", 1 } };
	static const found split[] = { { "blocks.0.hook_mlp_out", "subject", 1 },
								   { "blocks.1.attn.hook_z[0]", "last", 0.5 },
								   { "blocks.2.attn.hook_z[0]", "last", 0.5 } };
	sn_ctx *ctx = test_ctx(state);
	check_found(ctx, (asked){ PLANTED_BASE, &number, parts, "role", 0 }, base, SN_COUNT(base));
	check_found(ctx, (asked){ PLANTED_BASE, &number, parts, "role", 8 }, base, SN_COUNT(base));
	check_found(ctx, (asked){ PLANTED_SPLIT, &number, parts, "role", 0 }, split, SN_COUNT(split));
}

static void the_subject_is_found(void **state)
{
	static const found stream_of[] = { { "blocks.0.hook_resid_pre", "subject", 1 },
									   { "blocks.0.hook_resid_post", "subject", 1 },
									   { "blocks.1.hook_resid_post", "subject", 1 },
									   { "blocks.2.hook_resid_post", "last", 1 },
									   { "blocks.3.hook_resid_post", "last", 1 } };
	check_found(test_ctx(state), (asked){ PLANTED_BASE, &number, stream, "role", 0 }, stream_of, SN_COUNT(stream_of));
}

/* The product of block 3 is beyond first order at the base; the mean along the line finds it again. */
static void steps_see_through_a_product(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_result *r = estimate(ctx, (asked){ PLANTED_NONLINEAR, &number, stream, "role", 8 });
	for (int64_t k = 0; k < sn_result_rows(r, SN_ESTIMATE_CELLS); k++) {
		const sn_value *row = sn_result_row(r, SN_ESTIMATE_CELLS, k);
		if (!(fabs(row[ESTIMATE].f - row[EFFECT].f) < 0.02))
			fail_msg("%s, %s: %g estimated, %g patched", row[SITE].s, row[PLACE].s, row[ESTIMATE].f, row[EFFECT].f);
	}
	sn_result_close(r);
}

/* Pairs that flip the idle feature make no choice: nothing is estimated in shares. */
static void no_choice_no_shares(void **state)
{
	sn_result *r = estimate(test_ctx(state), (asked){ PLANTED_BASE, &idle, stream, "role", 0 });
	assert_int_equal(sn_result_rows(r, SN_ESTIMATE_CELLS), 0);
	assert_int_equal(sn_result_rows(r, SN_ESTIMATE_CHOICE), 1);
	assert_non_null(strstr(sn_result_line(r, SN_LINE_SUMMARY, 0)->text, "no such choice"));
	sn_result_close(r);
}

/* ---- ablation ---- */

enum { TEXTS = 48 };

/* Probe prefixes as texts whose right form is explained against the wrong one. */
static sn_attribution_items texts(void)
{
	sn_attribution_items out = { .item = SN_TAKE(arena, sn_attribution_item, TEXTS) };
	int32_t *choice = SN_TAKE(arena, int32_t, 3 * TEXTS);
	assert_true(out.item && choice);
	for (int64_t i = 0; i < number.n_probe && out.n < TEXTS; i += 21) {
		const sn_choice *c = &number.choice[i % number.n_choice];
		int32_t n = (int32_t)(number.start[i + 1] - number.start[i]), plural = number.item[i].n > 0, *mine = choice;
		choice += 3;
		mine[0] = n - 1;
		mine[1] = c->form[!plural];
		mine[2] = c->form[plural];
		out.item[out.n++] =
			(sn_attribution_item){ .number = i + 1,
								   .text = "",
								   .row = { .n = n, .token = (int32_t *)(uintptr_t)number.token + number.start[i] },
								   .n_place = 1,
								   .place = mine,
								   .want = mine + 1,
								   .unwanted = mine + 2,
								   .metric = SN_LOGIT_DIFF };
	}
	return out;
}

/* Without block 0's product or head 0 of block 2 nothing is left of the choice (another text's values: half of the
 * texts get the right ones); without any other part nothing is lost. */
static void ablation_finds_the_parts(void **state)
{
	static const char *const with[] = { "zero", "mean", "resample" };
	sn_ctx *ctx = test_ctx(state);
	sn_attribution_items items = texts();
	assert_int_equal(items.n, TEXTS);
	for (int k = 0; k < SN_COUNT(with); k++) {
		sn_model *model;
		sn_result *r;
		double f = 0;
		sn_ablation_param param = {
			.common = { .sites = parts }, .with = with[k], .at = "all", .draws = 3, .top = 5, .resamples = 300
		};
		planted_fill(&weights, PLANTED_BASE, 1);
		assert_ok(ctx, planted_open(&model, ctx, &weights));
		assert_ok(ctx, sn_result_open(&r, ctx, &sn_method_attribute_ablation));
		assert_ok(ctx, sn_attribution_ablate(ctx, model, &items, &param, r));
		assert_int_equal(sn_result_rows(r, SN_ABLATION_RANKING), 5);
		assert_int_equal(sn_result_rows(r, SN_ABLATION_MAP), PLANTED_BLOCKS * (PLANTED_HEADS + 1));
		for (int i = 0; i < TEXTS; i++) f += sn_result_row(r, SN_ABLATION_ITEMS, i)[4].f / TEXTS;
		assert_true(f > 0.5);
		for (int64_t i = 0; i < sn_result_rows(r, SN_ABLATION_MAP); i++) {
			const sn_value *row = sn_result_row(r, SN_ABLATION_MAP, i);
			bool built =
				strcmp(row[2].s, "blocks.0.hook_mlp_out") == 0 || strcmp(row[2].s, "blocks.2.attn.hook_z[0]") == 0;
			double share = row[3].f / f, loosest = k == 2 ? 0.5 : 0.2;
			if (built ? !(fabs(share - 1) < loosest && row[4].f > 0) : !(fabs(share) < 0.01 && row[6].f < 0.02 * f))
				fail_msg("%s by %s: %g of %g", row[2].s, with[k], row[3].f, f);
		}
		sn_result_close(r);
		sn_model_close(model);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(estimates_equal_patches_where_all_is_linear),
		cmocka_unit_test(one_head_and_the_product_are_found),
		cmocka_unit_test(the_subject_is_found),
		cmocka_unit_test(steps_see_through_a_product),
		cmocka_unit_test(no_choice_no_shares),
		cmocka_unit_test(ablation_finds_the_parts),
	};
	return cmocka_run_group_tests(tests, open_items, close_items);
}
