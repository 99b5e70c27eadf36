/* The engine against the naive double-precision forward pass, on models whose attention patterns are sharp. */
#include "common/test.h"
#include "planted/planted_ref.h"

#include <math.h>

enum { L = PLANTED_BLOCKS, D = PLANTED_D, N = 40 };

static sn_arena *arena;
static sn_items items;
static planted_weights weights;

static int open_items(void **state)
{
	if (test_open(state) != 0) return -1;
	return sn_arena_open(&arena, *state) != SN_OK || planted_items(&items, arena, PLANTED_NUMBER) != SN_OK;
}

static int close_items(void **state)
{
	sn_arena_close(arena);
	return test_close(state);
}

/* The first N items, both frames among them, as a batch. */
static sn_batch first_items(void) { return (sn_batch){ .n = N, .token = items.token, .start = items.start }; }

static void compare(sn_ctx *ctx, planted_variant variant)
{
	sn_model *model;
	planted_fill(&weights, variant, 3);
	assert_ok(ctx, planted_open(&model, ctx, &weights));
	sn_batch batch = first_items();
	int64_t n_token = items.start[N];
	sn_keep keep[L + 2];
	sn_tap tap[L + 2];
	for (int l = 0; l <= L + 1; l++) {
		bool logits = l == L + 1;
		keep[l] = (sn_keep){ .m = logits ? N : n_token, .d = logits ? PT_VOCAB : D };
		keep[l].x = SN_TAKE(arena, float, keep[l].m *keep[l].d);
		assert_non_null(keep[l].x);
		sn_site at = { .kind = logits  ? SN_SITE_LOGITS
							   : l < L ? SN_SITE_RESID_PRE
									   : SN_SITE_RESID_POST,
					   .layer = (int16_t)(logits  ? 0
										  : l < L ? l
												  : L - 1) };
		tap[l] = (sn_tap){ at, { .sel = logits ? SN_LAST : SN_ALL }, SN_AFTER, &sn_sink_keep, &keep[l] };
	}
	sn_plan plan = { .size = sizeof plan, .n_tap = L + 2, .tap = tap };
	assert_ok(ctx, sn_run(ctx, model, &batch, &plan, NULL, NULL));
	for (int i = 0; i < N; i++) {
		static ref_run run;
		float want[REF_MAX_TOKENS * D], logit[PT_VOCAB];
		ref_item(&weights, &items, i, NULL, &run);
		for (int l = 0; l <= L; l++) {
			for (int j = 0; j < run.n * D; j++) want[j] = (float)run.x[l][j / D][j % D];
			assert_true(test_relative_error(keep[l].x + items.start[i] * D, want, run.n * D) < 1e-5);
			/* without BIAS, which is large and constant */
			double gap = 0, size = 0;
			for (int j = 0; j < run.n * D; j++) {
				if (j % D == PC_BIAS) continue;
				gap += pow(keep[l].x[items.start[i] * D + j] - run.x[l][j / D][j % D], 2);
				size += pow(run.x[l][j / D][j % D], 2);
			}
			assert_true(sqrt(gap / size) < 1e-5);
		}
		for (int v = 0; v < PT_VOCAB; v++) logit[v] = (float)run.logit[v];
		assert_true(test_relative_error(keep[L + 1].x + i * PT_VOCAB, logit, PT_VOCAB) < 1e-5);
	}
	sn_model_close(model);
}

static void engine_equals_reference(void **state)
{
	for (int v = 0; v < PLANTED_VARIANTS; v++) compare(test_ctx(state), (planted_variant)v);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(engine_equals_reference) };
	return cmocka_run_group_tests(tests, open_items, close_items);
}
