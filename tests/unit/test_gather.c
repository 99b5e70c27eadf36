/* Gathering residual streams at roles: the same numbers as whole taps give, and norms beside them. */
#include "common/golden.h"

#include "model/gather.h"
#include "model/prefix.h"

#include <math.h>
#include <stdlib.h>
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

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Rows that begin alike, out of order, one of them the beginning of another, one twice. */
static void what_rows_share_changes_no_bit(void **state)
{
	static const int32_t text[] = { 1, 2, 3, 4, 1, 2, 5, 6, 7, 9, 3, 1, 2, 3, 1, 2, 5, 6, 8, 1, 2, 3, 4 };
	static const int64_t from[] = { 0, 4, 9, 11, 14, 19, 23 };
	static const int32_t at[][2] = { { 1, 3 }, { 2, 5 }, { 0, 2 }, { 1, 3 }, { 3, 4 }, { 3, 4 } };
	const sn_items alike = { .n = 6, .token = text, .start = from, .n_role = 1, .span = at };
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	sn_model *model = open_tiny(ctx);
	const int64_t which[] = { 0, 1, 2, 3, 4, 5 };
	sn_gather all, one;
	sn_batch batch;
	assert_ok(ctx, sn_gather_residuals(&all, ctx, model, &alike, which, 6, 0, 1, arena));
	assert_ok(ctx, sn_gather_batch(&batch, &alike, which, 6, arena));
	for (int l = 0; l < all.n_layer; l++) {
		double norms[32];
		const float *x = whole(ctx, model, arena, &batch, l);
		int n = 0;
		for (int b = 0; b < 6; b++)
			for (int64_t t = from[b] + 1; t < from[b + 1]; t++) norms[n++] = norm(x + t * all.d, all.d);
		qsort(norms, (size_t)n, sizeof *norms, ascending);
		double median = 0.5 * (norms[(n - 1) / 2] + norms[n / 2]);
		assert_true(fabs(all.layer_norm[l] - median) < 1e-5 * median);
	}
	for (int b = 0; b < 6; b++) {
		assert_ok(ctx, sn_gather_residuals(&one, ctx, model, &alike, which + b, 1, 0, 1, arena));
		for (int l = 0; l < all.n_layer; l++)
			assert_memory_equal(one.x[l], all.x[l] + b * all.d, (size_t)all.d * sizeof(float));
	}
	sn_model_close(model);
	sn_arena_close(arena);
}

static int32_t shared(const sn_batch *batch, int a, int b)
{
	int64_t n = 0, most = SN_MIN(batch->start[a + 1] - batch->start[a], batch->start[b + 1] - batch->start[b]);
	while (n < most && batch->token[batch->start[a] + n] == batch->token[batch->start[b] + n]) n++;
	return (int32_t)n;
}

/* Every row forks from an earlier one at the longest prefix it shares with any, from no descendant of one that would
 * do as well; so the tokens computed are the distinct prefixes. */
static void prefixes_become_one_trie(void **state)
{
	enum { ROWS = 40, LONGEST = 6 };
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	for (int round = 0; round < 200; round++) {
		sn_rng rng = sn_rng_make(7, (uint64_t)round);
		int32_t text[ROWS * LONGEST];
		int64_t from[ROWS + 1] = { 0 };
		int n = 1 + (int)sn_rng_below(&rng, ROWS), own = 0, distinct = 0;
		for (int b = 0; b < n; b++) {
			from[b + 1] = from[b] + 1 + (int64_t)sn_rng_below(&rng, LONGEST);
			for (int64_t t = from[b]; t < from[b + 1]; t++) text[t] = (int32_t)sn_rng_below(&rng, 3);
		}
		sn_batch batch = { .n = n, .token = text, .start = from };
		assert_ok(ctx, sn_share_prefixes(&batch, arena));
		for (int b = 0; b < n; b++) {
			int32_t most = 0, parent = batch.parent[b];
			for (int a = 0; a < b; a++) most = SN_MAX(most, shared(&batch, a, b));
			assert_int_equal(batch.fork[b], most);
			assert_int_equal(parent >= 0, most > 0);
			assert_true(parent < b && (parent < 0 || shared(&batch, parent, b) == most));
			if (parent >= 0 && batch.parent[parent] >= 0) assert_true(batch.fork[parent] < most);
			own += (int)(from[b + 1] - from[b]) - most;
			for (int32_t t = 1; t <= from[b + 1] - from[b]; t++) {
				bool seen = false;
				for (int a = 0; a < b; a++) seen |= shared(&batch, a, b) >= t;
				distinct += !seen;
			}
		}
		assert_int_equal(own, distinct);
	}
	sn_arena_close(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(roles_hold_the_last_token_of_their_spans),
		cmocka_unit_test(a_role_range_gives_the_same_rows),
		cmocka_unit_test(what_rows_share_changes_no_bit),
		cmocka_unit_test(prefixes_become_one_trie),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
