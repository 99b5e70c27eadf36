/* Lenses on the planted models: where the choice is decided, and by what, is known. */
#include "common/test.h"
#include "model/gather.h"
#include "model/knockout.h"
#include "model/lens.h"
#include "model/model.h"
#include "model/vocabulary.h"
#include "planted/planted.h"

#include <math.h>
#include <string.h>

enum { L = PLANTED_BLOCKS + 1, N = 1024 };   /* all probe prefixes */

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

/* The lens' logit difference of the first choice at the last token: [N, L]. */
static void read_choices(sn_ctx *ctx, planted_variant variant, double (*difference)[L])
{
	sn_model *model;
	sn_lens_keep keep[L];
	sn_tap tap[L];
	sn_batch batch = { .n = N, .token = items.token, .start = items.start };
	int64_t m = N * L;
	planted_fill(&weights, variant, 3);
	assert_ok(ctx, planted_open(&model, ctx, &weights));
	float *x = SN_TAKE(arena, float, sn_gemm_room(m) *PLANTED_D);
	float *h = SN_TAKE(arena, float, sn_gemm_room(m) *PLANTED_D);
	int32_t *want = SN_TAKE(arena, int32_t, 2 * m);
	double *logit = SN_TAKE(arena, double, 2 * m);
	for (int l = 0; l < L; l++) {
		keep[l] = (sn_lens_keep){ x, L, l, PLANTED_D };
		tap[l] = (sn_tap){ .at = sn_boundary_site(model, l), .where = { .sel = SN_LAST },
		                   .sink = &sn_lens_keep_sink, .state = &keep[l] };
	}
	sn_plan plan = { .size = sizeof plan, .n_tap = L, .tap = tap };
	assert_ok(ctx, sn_run(ctx, model, &batch, &plan, NULL, NULL));
	assert_ok(ctx, sn_lens_head(ctx, model, x, m, h, arena));
	for (int64_t i = 0; i < 2 * m; i++) want[i] = PT_CHOICE + (int32_t)(i % 2);
	sn_vocabulary read = { .n = m, .x = h, .n_want = 2, .want = want, .logit = logit };
	assert_ok(ctx, sn_vocabulary_read(ctx, model, &read, arena));
	for (int64_t i = 0; i < m; i++) difference[i / L][i % L] = logit[2 * i] - logit[2 * i + 1];
	sn_model_close(model);
}

static int number_of(int item)
{
	int32_t subject = items.token[items.start[item] + items.span[item * items.n_role + PR_SUBJECT][0]];
	return (subject - PT_SUBJECT) & 1 ? 1 : -1;
}

/* n reaches R in block 2 (half of it in block 1 already, where two blocks copy). Before that the choice is noise: the
 * embedding's own and 0.3 of a lemma's coordinate. */
static void the_lens_decides_after_block_2(void **state)
{
	static double base[N][L], split[N][L];
	double before = 0, after = 0, half = 0;
	read_choices(test_ctx(state), PLANTED_BASE, base);
	read_choices(test_ctx(state), PLANTED_SPLIT, split);
	for (int i = 0; i < N; i++) {
		before += number_of(i) * base[i][2] / N;
		after += number_of(i) * base[i][3] / N;
		half += number_of(i) * split[i][2] / N;
		assert_true(fabs(base[i][2] - base[i][0]) < 1e-3 && fabs(base[i][4] - base[i][3]) < 1e-3);
	}
	assert_true(fabs(before) < 0.1);
	assert_true(after > 1);
	assert_true(fabs(half / after - 0.5) < 0.1);
}

/* The last token reads the subject in block 2, and in no other; nothing is read of the attractor. */
static void only_block_2_needs_the_subject(void **state)
{
	enum { SUBJECT_SET, ATTRACTOR_SET, SETS };
	static const uint32_t set[SETS] = { 1 << PR_SUBJECT, 1 << PR_ATTRACTOR };
	sn_ctx *ctx = test_ctx(state);
	sn_model *model;
	int changed = 0;
	planted_fill(&weights, PLANTED_BASE, 3);
	assert_ok(ctx, planted_open(&model, ctx, &weights));
	for (int i = 0; i < N; i += 41) {
		int32_t span[PLANTED_ROLES][2], n = (int32_t)(items.start[i + 1] - items.start[i]);
		double logprob[SETS * PLANTED_BLOCKS];
		memcpy(span, items.span[i * items.n_role], sizeof span);
		sn_knockout k = { .n = n, .token = SN_TAKE(arena, int32_t, n), .n_span = PLANTED_ROLES, .span = span,
		                  .n_set = SETS, .set = set, .window = 1, .at = n - 1, .want = PT_CHOICE, .logprob = logprob };
		memcpy(k.token, items.token + items.start[i], (size_t)n * sizeof *k.token);
		assert_ok(ctx, sn_knockout_run(ctx, model, &k, arena));
		for (int l = 0; l < PLANTED_BLOCKS; l++) {
			if (l == 2) changed += fabs(logprob[l] - k.base) > 0.02;
			else assert_true(fabs(logprob[l] - k.base) < 1e-4);
			assert_true(fabs(logprob[PLANTED_BLOCKS + l] - k.base) < 1e-4);
		}
	}
	assert_true(changed >= 20);   /* of 25 prefixes: lemmas of small amplitude move little */
	sn_model_close(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(the_lens_decides_after_block_2),
		                                cmocka_unit_test(only_block_2_needs_the_subject) };
	return cmocka_run_group_tests(tests, open_items, close_items);
}
