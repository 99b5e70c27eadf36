/* Kept states under growth: rows that fork from kept rows, step after step, have the logits of rows that are computed
 * alone, bit for bit – also when pieces are shared, run full, branch, and are copied together. */
#include "common/test.h"

#include <stdio.h>
#include <string.h>

enum { LONGEST = 96, MOST_ROWS = 5, PROMPT = 5, N_ENC = 3 };

typedef struct grown {
	int32_t n[MOST_ROWS], token[MOST_ROWS][LONGEST], enc[MOST_ROWS];
	int rows;
} grown;

typedef struct packed {
	int32_t token[MOST_ROWS * LONGEST], parent[MOST_ROWS], fork[MOST_ROWS];
	int64_t start[MOST_ROWS + 1];
	sn_batch batch;
} packed;

static sn_model *open_variant(sn_ctx *ctx, const char *variant)
{
	char path[512];
	sn_model *model;
	snprintf(path, sizeof path, SN_TESTS "/golden/arch/%s", variant);
	assert_ok(ctx, sn_model_open(&model, ctx, path));
	return model;
}

static int32_t draw_token(const sn_model *model, sn_rng *rng)
{
	return (int32_t)sn_rng_below(rng, (uint64_t)sn_model_get_info(model)->d_vocab);
}

static void pack(packed *p, const grown *g)
{
	p->start[0] = 0;
	for (int b = 0; b < g->rows; b++) {
		memcpy(p->token + p->start[b], g->token[b], (size_t)g->n[b] * sizeof *p->token);
		p->start[b + 1] = p->start[b] + g->n[b];
	}
	p->batch = (sn_batch){ .n = g->rows, .token = p->token, .start = p->start };
}

/* The rows' last logits. */
static float *last_logits(sn_ctx *ctx, sn_model *model, const sn_batch *batch, sn_state *keep)
{
	static float x[2][MOST_ROWS * 512];
	static int turn;
	turn = !turn;
	sn_site site;
	assert_ok(ctx, sn_site_parse(ctx, model, "unembed.hook_out", &site));
	int64_t width = sn_site_width(model, &site);
	assert_true(width <= 512);
	sn_keep kept = { .x = x[turn], .m = batch->n, .d = width };
	sn_tap tap = { .at = site, .where = { .sel = SN_LAST }, .sink = &sn_sink_keep, .state = &kept };
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
	assert_ok(ctx, sn_run(ctx, model, batch, &plan, keep, NULL));
	return x[turn];
}

/* Each new row goes on from some kept row: from its end, or (now and then) from a place before it. */
static void grow(grown *next, const grown *g, packed *p, const sn_model *model, sn_rng *rng)
{
	next->rows = 1 + (int)sn_rng_below(rng, MOST_ROWS);
	for (int b = 0; b < next->rows; b++) {
		int from = (int)sn_rng_below(rng, (uint64_t)g->rows);
		int32_t fork = g->n[from], more = 1 + (int32_t)sn_rng_below(rng, 2);
		if (sn_rng_below(rng, 10) == 0) fork -= (int32_t)sn_rng_below(rng, (uint64_t)SN_MIN(fork, 4));
		memcpy(next->token[b], g->token[from], (size_t)fork * sizeof *next->token[b]);
		for (int i = 0; i < more; i++) next->token[b][fork + i] = draw_token(model, rng);
		next->n[b] = fork + more;
		next->enc[b] = g->enc[from];
		p->parent[b] = -2 - from;
		p->fork[b] = fork;
	}
}

static void start(grown *g, const sn_model *model, sn_rng *rng)
{
	*g = (grown){ .rows = 2, .n = { PROMPT, PROMPT - 2 }, .enc = { 1, 2 } };
	for (int b = 0; b < g->rows; b++)
		for (int i = 0; i < g->n[b]; i++) g->token[b][i] = draw_token(model, rng);
}

static void grow_and_compare(sn_ctx *ctx, const char *variant, int steps)
{
	static grown g, next;
	static packed forked, alone;
	sn_model *model = open_variant(ctx, variant);
	sn_rng rng = sn_rng_make(7, sn_fnv1a(SN_FNV_START, variant, strlen(variant)));
	int32_t enc_token[N_ENC * 4];
	for (int i = 0; i < SN_COUNT(enc_token); i++) enc_token[i] = draw_token(model, &rng);
	const int64_t enc_start[] = { 0, 4, 5, 12 };
	const sn_batch enc = { .n = N_ENC, .token = enc_token, .start = enc_start };
	int64_t longest = SN_MIN((int64_t)LONGEST - 2, sn_model_get_info(model)->n_ctx);
	bool both = sn_model_get_info(model)->n_layer_encoder > 0;
	sn_state *kept;
	assert_ok(ctx, sn_state_open(&kept, ctx));
	start(&g, model, &rng);
	for (int step = 0; step < steps; step++) {
		pack(&alone, &g);
		alone.batch.enc = both ? &enc : NULL;
		alone.batch.enc_row = g.enc;
		pack(&forked, &g);
		if (step == 0) {
			forked.batch.enc = alone.batch.enc;
			forked.batch.enc_row = g.enc;
		} else {
			forked.batch.parent = forked.parent;
			forked.batch.fork = forked.fork;
		}
		const float *a = last_logits(ctx, model, &forked.batch, kept);
		const float *b = last_logits(ctx, model, &alone.batch, NULL);
		int64_t width = sn_model_get_info(model)->d_vocab;
		if (memcmp(a, b, (size_t)(g.rows * width) * sizeof *a) != 0)
			fail_msg("%s: step %d: kept and whole differ by %.1e", variant, step,
			         test_relative_error(a, b, g.rows * width));
		grow(&next, &g, &forked, model, &rng);
		for (int r = 0; r < next.rows; r++)
			if (next.n[r] > longest) step = steps;   /* the model reads no longer ones */
		g = next;
	}
	sn_state_close(kept);
	sn_model_close(model);
}

static void grown_rows_equal_whole_ones(void **state)
{
	static const char *const variant[] = { "llama", "gpt2", "qwen2-window", "gemma2", "bloom", "falcon-7b",
	                                       "falcon-rw", "bart", "t5" };
	for (int i = 0; i < SN_COUNT(variant); i++) grow_and_compare(test_ctx(state), variant[i], 50);
}

static void encoder_rows_are_needed_once(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_model *model = open_variant(ctx, "bart");
	const int32_t token[] = { 2, 5, 6, 7 }, parent[] = { -2 }, orphan[] = { -1 }, fork[] = { 1 };
	const int64_t start_of[] = { 0, 1 }, longer[] = { 0, 2 }, enc_start[] = { 0, 3 };
	sn_batch enc = { .n = 1, .token = token + 1, .start = enc_start };
	sn_batch first = { .n = 1, .token = token, .start = start_of, .enc = &enc };
	sn_batch second = { .n = 1, .token = token, .start = longer, .parent = parent, .fork = fork };
	sn_plan nothing = { .size = sizeof nothing };
	sn_state *kept;
	assert_ok(ctx, sn_state_open(&kept, ctx));
	assert_int_equal(sn_run(ctx, model, &second, &nothing, kept, NULL), SN_EARG);
	assert_non_null(strstr(sn_error(ctx), "encoder's rows"));
	assert_ok(ctx, sn_run(ctx, model, &first, &nothing, kept, NULL));
	second.parent = orphan;
	assert_int_equal(sn_run(ctx, model, &second, &nothing, kept, NULL), SN_EARG);
	assert_non_null(strstr(sn_error(ctx), "goes on from a kept one"));
	second.parent = parent;
	sn_edit edit = { .op = SN_OP_ZERO, .where = { .sel = SN_ALL } };
	assert_ok(ctx, sn_site_parse(ctx, model, "encoder.blocks.0.hook_resid_pre", &edit.at));
	sn_plan with_edit = { .size = sizeof with_edit, .n_edit = 1, .edit = &edit };
	assert_int_equal(sn_run(ctx, model, &second, &with_edit, kept, NULL), SN_EARG);
	assert_non_null(strstr(sn_error(ctx), "is in the encoder"));
	assert_ok(ctx, sn_run(ctx, model, &second, &nothing, kept, NULL));
	sn_state_close(kept);
	sn_model_close(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grown_rows_equal_whole_ones),
		cmocka_unit_test(encoder_rows_are_needed_once),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
