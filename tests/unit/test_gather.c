/* Gathering residual streams at roles: the same numbers as whole taps give, and norms beside them. */
#include "common/golden.h"

#include "model/gather.h"

#include <math.h>
#include <string.h>

enum { ITEMS = 5, ROLES = 2 };

static const int32_t token[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 3, 5, 7, 2, 9, 4, 6, 1, 3 };
static const int64_t start[ITEMS + 1] = { 0, 4, 8, 11, 14, 18 };
/* role 0: two tokens, absent in item 2; role 1: the last token */
static const int32_t span[ITEMS * ROLES][2] = { { 1, 3 }, { 3, 4 }, { 1, 2 }, { 3, 4 }, { -1, -1 }, { 2, 3 }, { 1, 2 },
                                                { 2, 3 },
	                                            { 1, 3 }, { 3, 4 } };
static const sn_items items = { .n = ITEMS, .token = token, .start = start, .n_role = ROLES, .span = span };

static sn_model *open_tiny(sn_ctx *ctx)
{
	sn_model *model;
	assert_ok(ctx, sn_model_open(&model, ctx, SN_TESTS "/golden/tiny/gqa-untied"));
	return model;
}

/* All positions of items which[0..n) at a boundary: [tokens, d]. */
static float *whole(sn_ctx *ctx, sn_model *model, sn_arena *arena, const sn_batch *batch, int l)
{
	const sn_model_info *info = sn_model_get_info(model);
	int64_t m = batch->start[batch->n];
	sn_keep keep = { .x = SN_TAKE(arena, float, m * info->d_model), .m = m, .d = info->d_model };
	sn_tap tap = { .at = sn_boundary_site(model, l), .where = { .sel = SN_ALL }, .sink = &sn_sink_keep,
	               .state = &keep };
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
	assert_ok(ctx, sn_run(ctx, model, batch, &plan, NULL, NULL));
	return keep.x;
}

static double norm(const float *x, int64_t d)
{
	double sum = 0;
	for (int64_t j = 0; j < d; j++) sum += (double)x[j] * x[j];
	return sqrt(sum);
}

static void roles_hold_the_last_token_of_their_spans(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	sn_model *model = open_tiny(ctx);
	const int64_t which[] = { 0, 2, 3, 4 };
	sn_batch batch;
	assert_ok(ctx, sn_gather_batch(&batch, &items, which, 4, arena));
	assert_int_equal(batch.start[4], 14);
	sn_gather g;
	assert_ok(ctx, sn_gather_residuals(&g, ctx, model, &items, which, 4, 0, ROLES, arena));
	assert_int_equal(g.n_layer, sn_model_get_info(model)->n_layer + 1);
	assert_int_equal(g.n[0], 3);
	assert_int_equal(g.n[1], 4);
	assert_int_equal(g.item[0][1], 3);   /* item 2 has no role 0 */
	for (int l = 0; l < g.n_layer; l++) {
		const float *x = whole(ctx, model, arena, &batch, l);
		for (int b = 0; b < 4; b++)
			assert_memory_equal(g.x[l * ROLES + 1] + b * g.d, x + (batch.start[b + 1] - 1) * g.d,
			                    (size_t)g.d * sizeof(float));
		assert_memory_equal(g.x[l * ROLES], x + 2 * g.d, (size_t)g.d * sizeof(float));
		double a = norm(g.x[l * ROLES], g.d), b = norm(g.x[l * ROLES] + g.d, g.d),
			c = norm(g.x[l * ROLES] + 2 * g.d, g.d);
		double median = a + b + c - fmax(a, fmax(b, c)) - fmin(a, fmin(b, c));
		assert_true(fabs(g.norm[l * ROLES] - median) < 1e-5 * median);
		assert_true(g.layer_norm[l] > 0);
	}
	sn_model_close(model);
	sn_arena_close(arena);
}

static void a_role_range_gives_the_same_rows(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	sn_model *model = open_tiny(ctx);
	const int64_t which[] = { 0, 1, 2, 3, 4 };
	sn_gather all, one;
	assert_ok(ctx, sn_gather_residuals(&all, ctx, model, &items, which, ITEMS, 0, ROLES, arena));
	assert_ok(ctx, sn_gather_residuals(&one, ctx, model, &items, which, ITEMS, 1, 1, arena));
	assert_int_equal(one.n[0], ITEMS);
	for (int l = 0; l < one.n_layer; l++)
		assert_memory_equal(one.x[l], all.x[l * ROLES + 1], (size_t)(ITEMS * one.d) * sizeof(float));
	assert_true(sn_gather_bytes(model, ITEMS, ROLES) == (size_t)(one.n_layer * ROLES * ITEMS * one.d) * sizeof(float));
	sn_model_close(model);
	sn_arena_close(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(roles_hold_the_last_token_of_their_spans),
		cmocka_unit_test(a_role_range_gives_the_same_rows),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
