/* What must hold of generation: kept rows change nothing, nor do other prompts beside one, nor threads; the
 * log-probability is the one that scoring gives; draws follow the distribution that the filters leave; beams find no
 * more than there is. */
#include "common/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/generate.h"

enum { ROOM = 256, V = 40 };

static sn_model *open_variant(sn_ctx *ctx, const char *name)
{
	char path[512];
	sn_model *model;
	snprintf(path, sizeof path, SN_TESTS "/golden/arch/%s", name);
	assert_ok(ctx, sn_model_open(&model, ctx, path));
	return model;
}

static const int32_t token[] = { 5, 34, 21, 17, 8, 9, 30, 11 };
static const int64_t start[] = { 0, 4, 6, 8 }, enc_start[] = { 0, 3, 5, 8 };
static const int32_t span[][1][2] = { { { 1, 3 } }, { { 0, 1 } }, { { -1, -1 } } };
static const sn_batch encoder = { .n = 3, .token = token, .start = enc_start };

static sn_batch prompts_of(const sn_model *model)
{
	return (sn_batch){ .n = 3, .token = token, .start = start, .span = (const int32_t(*)[2])span, .n_span = 1,
	                   .enc = sn_model_get_info(model)->n_layer_encoder ? &encoder : NULL };
}

static void same_texts(const sn_generated *a, const sn_generated *b, int n, const char *what)
{
	for (int i = 0; i < n; i++) {
		if (a[i].n != b[i].n || memcmp(a[i].token, b[i].token, (size_t)a[i].n * sizeof *a[i].token) != 0 ||
		    memcmp(a[i].logprob, b[i].logprob, (size_t)a[i].n * sizeof *a[i].logprob) != 0)
			fail_msg("%s: text %d differs", what, i);
		assert_true(a[i].score == b[i].score && a[i].finish == b[i].finish);
	}
}

static sn_edit edit_at(sn_ctx *ctx, const sn_model *model, sn_op op, const char *site, sn_where where)
{
	sn_edit e = { .op = op, .where = where };
	assert_ok(ctx, sn_site_parse(ctx, model, site, &e.at));
	return e;
}

/* Steering everywhere, a patch between prompts, noise, a knockout: kept or computed anew, bit for bit. */
static void edits_keep_their_meaning(void **state)
{
	static const char *const name[] = { "llama", "gpt2", "gemma2", "llama-dynamic", "bart", "t5" };
	sn_ctx *ctx = test_ctx(state);
	for (int m = 0; m < SN_COUNT(name); m++) {
		sn_model *model = open_variant(ctx, name[m]);
		sn_batch prompts = prompts_of(model);
		float direction[64];
		for (int i = 0; i < 64; i++) direction[i] = (float)(i % 5) - 2;
		sn_tensor src = sn_tensor_f32(direction, -1, sn_model_get_info(model)->d_model);
		const int32_t from[] = { 1, -1, -1 };
		sn_edit edit[] = {
			edit_at(ctx, model, SN_OP_ADD, "blocks.0.hook_resid_post", (sn_where){ .sel = SN_ALL }),
			edit_at(ctx, model, SN_OP_SET, "blocks.1.hook_resid_pre", (sn_where){ .sel = SN_AT, .arg = 1 }),
			edit_at(ctx, model, SN_OP_NOISE, "blocks.1.attn.hook_z", (sn_where){ .sel = SN_FROM, .arg = 5 }),
			edit_at(ctx, model, SN_OP_BLOCK, "blocks.1.attn.hook_attn_scores",
			        (sn_where){ .sel = SN_FROM, .arg = -1, .n_row = 2 }),
		};
		edit[0].src = &src;
		edit[1].src_row = from;
		edit[3].key = (sn_where){ .sel = SN_SPAN };
		sn_plan plan = { .size = sizeof plan, .n_edit = SN_COUNT(edit), .edit = edit };
		sn_arena *arena;
		sn_generated *kept, *whole, *plain;
		assert_ok(ctx, sn_arena_open(&arena, ctx));
		sn_decoding d = sn_decoding_greedy(7);
		assert_ok(ctx, sn_generate(ctx, model, &prompts, NULL, &d, arena, &plain));
		for (d.width = 1; d.width <= 3; d.width += 2) {
			d.whole = false;
			assert_ok(ctx, sn_generate(ctx, model, &prompts, &plan, &d, arena, &kept));
			d.whole = true;
			assert_ok(ctx, sn_generate(ctx, model, &prompts, &plan, &d, arena, &whole));
			same_texts(kept, whole, 3, name[m]);
		}
		bool moved = false;
		for (int i = 0; i < 3; i++) moved |= plain[i].sum != kept[i].sum;
		assert_true(moved);
		sn_arena_close(arena);
		sn_model_close(model);
	}
}

/* One prompt alone, and forced decoding of what was written. */
static void texts_score_what_they_say(void **state)
{
	static const char *const name[] = { "llama", "qwen3", "gemma2", "bloom", "bart" };
	sn_ctx *ctx = test_ctx(state);
	for (int m = 0; m < SN_COUNT(name); m++) {
		sn_model *model = open_variant(ctx, name[m]);
		sn_batch prompts = prompts_of(model);
		sn_arena *arena;
		sn_generated *g;
		assert_ok(ctx, sn_arena_open(&arena, ctx));
		sn_decoding d = sn_decoding_greedy(9);
		d.repetition_penalty = 1.4;   /* logprob is the model's all the same */
		assert_ok(ctx, sn_generate(ctx, model, &prompts, NULL, &d, arena, &g));
		for (int b = 0; b < 3; b++) {
			int32_t row[ROOM], enc_row[] = { b }, n = (int32_t)(start[b + 1] - start[b]);
			memcpy(row, token + start[b], (size_t)n * sizeof *row);
			memcpy(row + n, g[b].token, (size_t)g[b].n * sizeof *row);
			const int64_t bounds[] = { 0, n + g[b].n }, alone_bounds[] = { 0, n };
			sn_batch full = { .n = 1, .token = row, .start = bounds, .enc = prompts.enc, .enc_row = enc_row };
			sn_goal goal = { .metric = SN_LOGPROB, .where = { .sel = SN_FROM, .arg = n - 1 } };
			sn_plan plan = { .size = sizeof plan, .n_goal = 1, .goal = &goal };
			double score;
			assert_ok(ctx, sn_run(ctx, model, &full, &plan, NULL, &score));
			assert_true(fabs(score - g[b].sum) < 1e-4 * g[b].n);
			sn_batch alone = { .n = 1, .token = row, .start = alone_bounds, .enc = prompts.enc, .enc_row = enc_row };
			sn_generated *one;
			assert_ok(ctx, sn_generate(ctx, model, &alone, NULL, &d, arena, &one));
			same_texts(one, &g[b], 1, name[m]);
		}
		sn_arena_close(arena);
		sn_model_close(model);
	}
}

static void threads_change_nothing(void **state)
{
	(void)state;
	sn_generated *first = NULL;
	sn_arena *kept[3];
	sn_ctx *ctx[3];
	for (int i = 0; i < 3; i++) {
		sn_options options = { .size = sizeof options, .threads = 1 << i, .seed = 9 };
		assert_int_equal(sn_ctx_open(&ctx[i], &options), SN_OK);
		assert_ok(ctx[i], sn_arena_open(&kept[i], ctx[i]));
		sn_model *model = open_variant(ctx[i], "llama");
		sn_batch prompts = prompts_of(model);
		sn_generated *g;
		sn_decoding d = sn_decoding_greedy(12);
		d.sample = true;
		d.n = 4;
		d.temperature = 1.5;
		assert_ok(ctx[i], sn_generate(ctx[i], model, &prompts, NULL, &d, kept[i], &g));
		if (first) same_texts(g, first, 12, "threads");
		else first = g;
		sn_model_close(model);
	}
	for (int i = 2; i >= 0; i--) {
		sn_arena_close(kept[i]);
		sn_ctx_close(ctx[i]);
	}
}

/* ---- draws ---- */

/* log p of each first token, by the goal that scoring uses. */
static void first_logprobs(sn_ctx *ctx, sn_model *model, const sn_batch *prompt, double *out)
{
	for (int32_t id = 0; id < V; id++) {
		sn_goal goal = { .metric = SN_LOGPROB, .where = { .sel = SN_LAST }, .want = &id, .n_want = 1 };
		sn_plan plan = { .size = sizeof plan, .n_goal = 1, .goal = &goal };
		assert_ok(ctx, sn_run(ctx, model, prompt, &plan, NULL, &out[id]));
	}
}

static int above(const double *p, int id)
{
	int n = 0;
	for (int i = 0; i < V; i++) n += p[i] > p[id];
	return n;
}

static double norm(double *p)
{
	double sum = 0;
	for (int i = 0; i < V; i++) sum += p[i];
	for (int i = 0; i < V; i++) p[i] /= sum;
	return sum;
}

/* The filters by their definitions, one after the other. */
static void filter(double *p, const sn_decoding *d)
{
	double kept[V], most = 0;
	for (int i = 0; i < V; i++) p[i] = exp(p[i] / d->temperature);
	norm(p);
	memcpy(kept, p, sizeof kept);
	for (int i = 0; d->top_k && i < V; i++)
		if (above(p, i) >= d->top_k) kept[i] = 0;
	norm(kept);
	memcpy(p, kept, sizeof kept);
	for (int i = 0; i < V; i++) {
		double better = 0;
		for (int j = 0; j < V; j++) better += p[j] > p[i] ? p[j] : 0;
		if (d->top_p < 1 && better >= d->top_p) kept[i] = 0;   /* the better ones are enough */
	}
	norm(kept);
	for (int i = 0; i < V; i++) most = SN_MAX(most, kept[i]);
	for (int i = 0; i < V; i++) p[i] = kept[i] < d->min_p * most ? 0 : kept[i];
	norm(p);
}

enum { DRAWS = 20000 };

static void compare_draws(sn_ctx *ctx, sn_model *model, const sn_batch *prompt, sn_decoding d, const double *logprob)
{
	double p[V], chi = 0;
	int count[V] = { 0 }, cells = 0;
	sn_arena *arena;
	sn_generated *g;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	d.sample = true;
	d.n = DRAWS;
	memcpy(p, logprob, sizeof p);
	filter(p, &d);
	assert_ok(ctx, sn_generate(ctx, model, prompt, NULL, &d, arena, &g));
	for (int i = 0; i < DRAWS; i++) count[g[i].token[0]]++;
	double rest = 0, rest_count = 0;
	for (int i = 0; i < V; i++) {
		if (p[i] == 0) assert_int_equal(count[i], 0);
		if (p[i] * DRAWS < 5) {   /* too few to stand alone */
			rest += p[i];
			rest_count += count[i];
			continue;
		}
		chi += pow(count[i] - p[i] * DRAWS, 2) / (p[i] * DRAWS);
		cells++;
	}
	if (rest * DRAWS >= 5) {
		chi += pow(rest_count - rest * DRAWS, 2) / (rest * DRAWS);
		cells++;
	}
	double free = cells - 1, z = free > 0 ? (cbrt(chi / free) - (1 - 2 / (9 * free))) / sqrt(2 / (9 * free)) : 0;
	if (fabs(z) > 4) fail_msg("chi-square %.1f over %d cells: %.1f standard deviations", chi, cells, z);
	sn_arena_close(arena);
}

static void draws_follow_the_distribution(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_model *model = open_variant(ctx, "llama");
	const int64_t bounds[] = { 0, 4 };
	sn_batch prompt = { .n = 1, .token = token, .start = bounds };
	double logprob[V];
	first_logprobs(ctx, model, &prompt, logprob);
	sn_decoding plain = sn_decoding_greedy(1), d[6];
	for (int i = 0; i < 6; i++) d[i] = plain;
	d[1].temperature = 3;
	d[2].top_k = 5;
	d[2].temperature = 2;
	d[3].top_p = 0.8;
	d[3].temperature = 4;
	d[4].min_p = 0.2;
	d[4].temperature = 3;
	d[5].temperature = 3;
	d[5].top_k = 20;
	d[5].top_p = 0.9;
	d[5].min_p = 0.05;
	for (int i = 0; i < 6; i++) compare_draws(ctx, model, &prompt, d[i], logprob);
	d[1].top_k = 1;   /* one candidate: the greedy token */
	d[1].sample = true;
	sn_arena *arena;
	sn_generated *a, *b;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	d[1].max_tokens = plain.max_tokens = 8;
	assert_ok(ctx, sn_generate(ctx, model, &prompt, NULL, &d[1], arena, &a));
	assert_ok(ctx, sn_generate(ctx, model, &prompt, NULL, &plain, arena, &b));
	same_texts(a, b, 1, "top-k 1");
	sn_arena_close(arena);
	sn_model_close(model);
}

/* ---- beams ---- */

/* With as many beams as there are words nothing of two tokens is missed; fewer find at most as much. A wider beam is
 * not always better than a narrower one, so nothing is said of those between. */
static void beams_find_at_most_the_best(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_model *model = open_variant(ctx, "llama");
	const int64_t bounds[] = { 0, 4 };
	sn_batch prompt = { .n = 1, .token = token, .start = bounds };
	double first[V], second[V], best = -INFINITY;
	first_logprobs(ctx, model, &prompt, first);
	for (int32_t id = 0; id < V; id++) {
		const int32_t row[] = { 5, 34, 21, 17, id };
		const int64_t longer[] = { 0, 5 };
		sn_batch next = { .n = 1, .token = row, .start = longer };
		first_logprobs(ctx, model, &next, second);
		for (int i = 0; i < V; i++) best = SN_MAX(best, first[id] + second[i]);
	}
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	sn_decoding d = sn_decoding_greedy(2);
	d.length_penalty = 0;
	for (d.width = 2; d.width <= V; d.width = d.width == 8 ? V : 2 * d.width) {
		sn_generated *g;
		assert_ok(ctx, sn_generate(ctx, model, &prompt, NULL, &d, arena, &g));
		assert_true(g->score <= best + 1e-5);
		if (d.width == V) assert_true(fabs(g->score - best) < 1e-5);
	}
	sn_arena_close(arena);
	sn_model_close(model);
}

static void what_cannot_be_is_refused(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_model *model = open_variant(ctx, "llama"), *masked = open_variant(ctx, "bert");
	sn_batch prompts = prompts_of(model);
	sn_arena *arena;
	sn_generated *g;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	sn_decoding good = sn_decoding_greedy(3), bad[6];
	for (int i = 0; i < 6; i++) bad[i] = good;
	bad[0].width = 2, bad[0].sample = true;
	bad[1].n = 2;
	bad[2].temperature = 0;
	bad[3].forced_bos = V;
	bad[4].max_tokens = 0;
	bad[5].top_p = 0;
	for (int i = 0; i < 6; i++) assert_int_equal(sn_generate(ctx, model, &prompts, NULL, &bad[i], arena, &g), SN_EARG);
	assert_int_equal(sn_generate(ctx, masked, &prompts, NULL, &good, arena, &g), SN_EARG);
	assert_non_null(strstr(sn_error(ctx), "predicts no next word"));
	sn_arena_close(arena);
	sn_model_close(masked);
	sn_model_close(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edits_keep_their_meaning),
		cmocka_unit_test(texts_score_what_they_say),
		cmocka_unit_test(threads_change_nothing),
		cmocka_unit_test(draws_follow_the_distribution),
		cmocka_unit_test(beams_find_at_most_the_best),
		cmocka_unit_test(what_cannot_be_is_refused),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
