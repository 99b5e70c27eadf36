/* What must hold whatever the weights are: edits, forks, company, threads, the future. */
#include "common/test.h"

#include "model/model.h"

#include <math.h>
#include <string.h>

enum { D = 16, VOCAB = 286, LAYERS = 2 };

typedef struct fixture { sn_ctx *ctx; sn_arena *arena; sn_model *model; } fixture;

static fixture open_fixture(sn_ctx *ctx)
{
	fixture f = { .ctx = ctx };
	assert_ok(ctx, sn_arena_open(&f.arena, ctx));
	assert_ok(ctx, sn_model_open(&f.model, ctx, SN_TESTS "/golden/tiny/gqa-untied/model.gguf"));
	return f;
}

static void close_fixture(fixture *f)
{
	sn_model_close(f->model);
	sn_arena_close(f->arena);
}

/* Rows of random tokens with these lengths. */
static sn_batch make_batch(fixture *f, const int *length, int n, uint64_t key)
{
	int64_t *start = SN_TAKE(f->arena, int64_t, n + 1);
	for (int b = 0; b < n; b++) start[b + 1] = start[b] + length[b];
	int32_t *token = SN_TAKE(f->arena, int32_t, start[n]);
	sn_rng rng = sn_rng_make(3, key);
	for (int64_t i = 0; i < start[n]; i++) token[i] = (int32_t)sn_rng_below(&rng, VOCAB);
	return (sn_batch){ .n = n, .token = token, .start = start };
}

static sn_site site_of(fixture *f, const char *name)
{
	sn_site site;
	assert_ok(f->ctx, sn_site_parse(f->ctx, f->model, name, &site));
	return site;
}

/* Runs with some edits and returns all logits [tokens, VOCAB]. */
static float *logits(fixture *f, const sn_batch *batch, const sn_edit *edit, int n_edit)
{
	int64_t m = batch->start[batch->n];
	sn_keep keep = { SN_TAKE(f->arena, float, m * VOCAB), m, VOCAB };
	sn_tap tap = { .at = site_of(f, "unembed.hook_out"), .where = { .sel = SN_ALL }, .sink = &sn_sink_keep,
	               .state = &keep };
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap, .n_edit = n_edit, .edit = edit };
	assert_ok(f->ctx, sn_run(f->ctx, f->model, batch, &plan, NULL, NULL));
	return keep.x;
}

static float *values(fixture *f, const sn_batch *batch, const char *name, sn_what what, const sn_edit *edit, int n_edit)
{
	sn_site site = site_of(f, name);
	int64_t m = batch->start[batch->n], width = sn_site_width(f->model, &site);
	sn_keep keep = { SN_TAKE(f->arena, float, m * width), m, width };
	sn_tap tap = { .at = site, .where = { .sel = SN_ALL }, .sink = &sn_sink_keep, .state = &keep, .what = what };
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap, .n_edit = n_edit, .edit = edit };
	assert_ok(f->ctx, sn_run(f->ctx, f->model, batch, &plan, NULL, NULL));
	return keep.x;
}

static const char *const editable[] = {
	"hook_embed", "blocks.1.hook_resid_pre", "blocks.0.ln1.hook_scale", "blocks.1.ln1.hook_normalized",
	"blocks.1.attn.q.hook_in",
	"blocks.1.attn.hook_q", "blocks.0.attn.hook_k", "blocks.1.attn.hook_v", "blocks.1.attn.hook_rot_q",
	"blocks.1.attn.hook_rot_k",
	"blocks.0.attn.hook_z", "blocks.1.attn.hook_z[2]", "blocks.1.attn.hook_result", "blocks.0.attn.o.hook_out",
	"blocks.1.hook_attn_out",
	"blocks.0.hook_resid_mid", "blocks.1.ln2.hook_scale", "blocks.0.ln2.hook_normalized", "blocks.1.mlp.in.hook_in",
	"blocks.0.mlp.hook_pre",
	"blocks.1.mlp.hook_pre_linear", "blocks.0.mlp.hook_post", "blocks.0.mlp.hook_post[5]", "blocks.1.mlp.out.hook_out",
	"blocks.0.hook_mlp_out", "blocks.1.hook_resid_post", "ln_final.hook_scale", "ln_final.hook_normalized",
	"unembed.hook_in",
	"unembed.hook_out",
};

static void own_value_changes_no_bit_and_another_value_does(void **state)
{
	fixture f = open_fixture(test_ctx(state));
	const int length[] = { 5, 1, 9 };
	sn_batch batch = make_batch(&f, length, 3, 1);
	int64_t m = batch.start[3];
	float *plain = logits(&f, &batch, NULL, 0);
	const int32_t self[] = { 0, 1, 2 };
	for (int i = 0; i < SN_COUNT(editable); i++) {
		sn_site site = site_of(&f, editable[i]);
		sn_tensor own = sn_tensor_f32(values(&f, &batch, editable[i], SN_AFTER, NULL, 0), m,
		                              sn_site_width(f.model, &site));
		float zero = 0;
		sn_edit edits[] = {
			{ .op = SN_OP_SET, .at = site, .where = { .sel = SN_ALL }, .src = &own },
			{ .op = SN_OP_SET, .at = site, .where = { .sel = SN_ALL }, .src_row = self },
			{ .op = SN_OP_NOISE, .at = site, .where = { .sel = SN_ALL }, .alpha = &zero, .n_alpha = 1 },
		};
		assert_memory_equal(logits(&f, &batch, edits, 3), plain, (size_t)(m * VOCAB) * sizeof *plain);
		sn_edit noise = { .op = SN_OP_NOISE, .at = site, .where = { .sel = SN_LAST, .row0 = 2, .n_row = 1 } };
		float *changed = logits(&f, &batch, &noise, 1);
		assert_memory_equal(changed, plain, (size_t)((m - 1) * VOCAB) * sizeof *plain);
		if (memcmp(changed + (m - 1) * VOCAB, plain + (m - 1) * VOCAB, VOCAB * sizeof *plain) == 0)
			fail_msg("%s: no effect", editable[i]);
	}
	close_fixture(&f);
}

static void whole_residual_patch_gives_the_sources_logits(void **state)
{
	fixture f = open_fixture(test_ctx(state));
	const int length[] = { 6, 6 };
	sn_batch batch = make_batch(&f, length, 2, 2);
	float *plain = logits(&f, &batch, NULL, 0);
	static const char *const at[] = { "hook_embed", "blocks.0.hook_resid_pre", "blocks.0.hook_resid_mid",
	                                  "blocks.1.hook_resid_post" };
	const int32_t from[] = { 1, -1 };
	for (int i = 0; i < SN_COUNT(at); i++) {
		sn_edit edit = { .op = SN_OP_SET, .at = site_of(&f, at[i]), .where = { .sel = SN_ALL }, .src_row = from };
		float *patched = logits(&f, &batch, &edit, 1);
		assert_memory_equal(patched, plain + 6 * VOCAB, 6 * VOCAB * sizeof *plain);
		assert_memory_equal(patched + 6 * VOCAB, plain + 6 * VOCAB, 6 * VOCAB * sizeof *plain);
	}
	close_fixture(&f);
}

static void residual_stream_is_the_sum_of_its_branches(void **state)
{
	fixture f = open_fixture(test_ctx(state));
	const int length[] = { 7 };
	sn_batch batch = make_batch(&f, length, 1, 3);
	float *pre = values(&f, &batch, "blocks.1.hook_resid_pre", SN_AFTER, NULL, 0);
	float *attn = values(&f, &batch, "blocks.1.hook_attn_out", SN_AFTER, NULL, 0);
	float *mid = values(&f, &batch, "blocks.1.hook_resid_mid", SN_AFTER, NULL, 0);
	float *mlp = values(&f, &batch, "blocks.1.hook_mlp_out", SN_AFTER, NULL, 0);
	float *post = values(&f, &batch, "blocks.1.hook_resid_post", SN_AFTER, NULL, 0);
	for (int i = 0; i < 7 * D; i++) {
		assert_true(pre[i] + attn[i] == mid[i]);
		assert_true(mid[i] + mlp[i] == post[i]);
	}
	close_fixture(&f);
}

static void company_threads_and_the_future_change_no_bit(void **state)
{
	fixture f = open_fixture(test_ctx(state));
	int length[150];
	for (int b = 0; b < 150; b++) length[b] = 1 + (b * 7) % 23;
	sn_batch many = make_batch(&f, length, 150, 4);
	float *all = logits(&f, &many, NULL, 0);
	for (int b = 0; b < 150; b += 13) {
		sn_batch one = { .n = 1, .token = many.token + many.start[b], .start = (int64_t[]){ 0, length[b] } };
		assert_memory_equal(logits(&f, &one, NULL, 0), all + many.start[b] * VOCAB,
		                    (size_t)length[b] * VOCAB * sizeof *all);
		one.start = (int64_t[]){ 0, (length[b] + 1) / 2 };   /* without the future */
		assert_memory_equal(logits(&f, &one, NULL, 0), all + many.start[b] * VOCAB,
		                    (size_t)((length[b] + 1) / 2) * VOCAB * sizeof *all);
	}
	sn_options options = { .size = sizeof options, .threads = 1, .seed = 1, .tokens_per_step = 64 };
	sn_ctx *single;
	assert_int_equal(sn_ctx_open(&single, &options), SN_OK);
	fixture g = open_fixture(single);
	assert_memory_equal(logits(&g, &many, NULL, 0), all, (size_t)(many.start[150] * VOCAB) * sizeof *all);
	close_fixture(&g);
	sn_ctx_close(single);
	close_fixture(&f);
}

/* ---- forks ---- */

/* A base row, forks of it with edits and other endings, and forks of forks; fork-free: the same rows without
 * parents. */
static sn_batch make_forks(fixture *f, bool forked)
{
	enum { N = 7, LEN = 12 };
	int length[N];
	for (int b = 0; b < N; b++) length[b] = LEN;
	sn_batch batch = make_batch(f, length, N, 5);
	static const int32_t parent[N] = { -1, 0, 0, 2, 0, 4, -1 }, fork[N] = { 0, LEN, 5, 9, LEN, LEN, 0 };
	int32_t *token = (int32_t *)(uintptr_t)batch.token;
	for (int b = 0; b < N; b++)
		if (parent[b] >= 0) memcpy(token + b * LEN, token + parent[b] * LEN, (size_t)fork[b] * sizeof *token);
	if (forked) {
		batch.parent = parent;
		batch.fork = fork;
	}
	return batch;
}

static void forks_equal_full_computation(void **state)
{
	fixture f = open_fixture(test_ctx(state));
	for (int i = 0; i < SN_COUNT(editable); i++) {
		const int32_t from[] = { -1, 6, -1, 6, 6, 6, -1 };
		sn_edit edits[] = {
			{ .op = SN_OP_SET, .at = site_of(&f, editable[i]), .where = { .sel = SN_AT, .arg = 7 }, .src_row = from },
			{ .op = SN_OP_NOISE, .at = site_of(&f, editable[(i * 5 + 3) % SN_COUNT(editable)]),
			  .where = { .sel = SN_RANGE, .arg = 3, .end = 5, .row0 = 5, .n_row = 1 } },
		};
		sn_batch forked = make_forks(&f, true), full = make_forks(&f, false);
		float *a = logits(&f, &forked, edits, 2), *b = logits(&f, &full, edits, 2);
		if (memcmp(a, b, (size_t)(forked.start[7] * VOCAB) * sizeof *a) != 0)
			fail_msg("forks differ with an edit at %s", editable[i]);
		a = values(&f, &forked, "blocks.1.attn.hook_z", SN_BEFORE, edits, 2);
		b = values(&f, &full, "blocks.1.attn.hook_z", SN_BEFORE, edits, 2);
		assert_memory_equal(a, b, (size_t)(forked.start[7] * D) * sizeof *a);
	}
	close_fixture(&f);
}

static void forks_inherit_the_edits_of_their_parent(void **state)
{
	fixture f = open_fixture(test_ctx(state));
	sn_batch forked = make_forks(&f, true), full = make_forks(&f, false);
	sn_edit base = { .op = SN_OP_ZERO, .at = site_of(&f, "blocks.1.attn.hook_z[1]"),
	                 .where = { .sel = SN_AT, .arg = 8, .n_row = 1 } };
	sn_edit own = { .op = SN_OP_ZERO, .at = site_of(&f, "blocks.0.hook_mlp_out"),
	                .where = { .sel = SN_AT, .arg = 4, .row0 = 1, .n_row = 1 } };
	sn_edit with_parent[] = { base, own }, spelt_out[] = { base, own };
	spelt_out[0].where.n_row = 2;   /* rows 0 and 1 */
	float *a = logits(&f, &forked, with_parent, 2), *b = logits(&f, &full, spelt_out, 2);
	assert_memory_equal(a, b, 2 * 12 * VOCAB * sizeof *a);
	close_fixture(&f);
}

static void forks_of_a_kept_state_equal_full_computation(void **state)
{
	fixture f = open_fixture(test_ctx(state));
	const int length[] = { 8, 11 };
	sn_batch first = make_batch(&f, length, 2, 6), second = make_batch(&f, (int[]){ 10, 11, 11 }, 3, 7);
	int32_t *token = (int32_t *)(uintptr_t)second.token;
	memcpy(token, first.token, 8 * sizeof *token);
	memcpy(token + 10, first.token + 8, 11 * sizeof *token);
	memcpy(token + 21, token + 10, 11 * sizeof *token);
	sn_state *kept;
	assert_ok(f.ctx, sn_state_open(&kept, f.ctx));
	sn_plan nothing = { .size = sizeof nothing };
	assert_ok(f.ctx, sn_run(f.ctx, f.model, &first, &nothing, kept, NULL));
	sn_edit edit = { .op = SN_OP_NOISE, .at = site_of(&f, "blocks.1.attn.hook_v"),
	                 .where = { .sel = SN_AT, .arg = 6, .row0 = 2, .n_row = 1 } };
	sn_goal goal = { .metric = SN_LOSS, .where = { .sel = SN_FROM, .arg = 7 } };
	sn_plan plan = { .size = sizeof plan, .n_edit = 1, .edit = &edit, .n_goal = 1, .goal = &goal };
	double expected[3], found[3], again[3];
	assert_ok(f.ctx, sn_run(f.ctx, f.model, &second, &plan, NULL, expected));
	second.parent = (const int32_t[]){ -2, -3, 1 };
	second.fork = (const int32_t[]){ 8, 11, 11 };
	assert_ok(f.ctx, sn_run(f.ctx, f.model, &second, &plan, kept, found));
	assert_memory_equal(found, expected, sizeof found);
	second.parent = (const int32_t[]){ -2, -3, -4 };   /* what was kept now: rows of the second batch, forks included */
	second.fork = (const int32_t[]){ 9, 10, 6 };
	plan.n_edit = 1;
	assert_ok(f.ctx, sn_run(f.ctx, f.model, &second, &plan, kept, again));
	assert_memory_equal(again, expected, sizeof again);
	sn_state_close(kept);
	close_fixture(&f);
}

/* ---- attention edits ---- */

static void blocked_keys_leave_the_others_renormalised(void **state)
{
	fixture f = open_fixture(test_ctx(state));
	sn_batch forked = make_forks(&f, true), full = make_forks(&f, false);
	sn_edit block = { .op = SN_OP_BLOCK, .at = site_of(&f, "blocks.1.attn.hook_attn_scores"),
	                  .where = { .sel = SN_LAST, .row0 = 1, .n_row = 1 },
		              .key = { .sel = SN_RANGE, .arg = 2, .end = 5 } };
	float *plain = logits(&f, &full, NULL, 0), *a = logits(&f, &forked, &block, 1), *b = logits(&f, &full, &block, 1);
	assert_memory_equal(a, b, (size_t)(full.start[7] * VOCAB) * sizeof *a);
	assert_memory_equal(a, plain, (12 + 11) * VOCAB * sizeof *a);
	assert_true(memcmp(a + 23 * VOCAB, plain + 23 * VOCAB, VOCAB * sizeof *a) != 0);
	const int32_t self[] = { 0, 1, 2, 3, 4, 5, 6 }, other[] = { 6, -1, -1, -1, -1, -1, -1 };
	sn_edit same = { .op = SN_OP_SET, .at = site_of(&f, "blocks.0.attn.hook_pattern"), .where = { .sel = SN_ALL },
	                 .src_row = self };
	assert_memory_equal(logits(&f, &full, &same, 1), plain, (size_t)(full.start[7] * VOCAB) * sizeof *a);
	same.src_row = other;
	same.at = site_of(&f, "blocks.0.attn.hook_attn_scores");
	a = logits(&f, &full, &same, 1);
	same.at = site_of(&f, "blocks.0.attn.hook_pattern");
	assert_memory_equal(a, logits(&f, &full, &same, 1), (size_t)(full.start[7] * VOCAB) * sizeof *a);
	close_fixture(&f);
}

/* ---- projections and goals ---- */

static void projections_move_only_their_subspace(void **state)
{
	fixture f = open_fixture(test_ctx(state));
	const int length[] = { 4 };
	sn_batch batch = make_batch(&f, length, 1, 8);
	float u[D] = { 0 }, target[D];
	sn_rng rng = sn_rng_make(5, 5);
	double norm = 0;
	for (int j = 0; j < D; j++) {
		u[j] = (float)sn_rng_normal(&rng);
		target[j] = (float)sn_rng_normal(&rng);
		norm += u[j] * u[j];
	}
	for (int j = 0; j < D; j++) u[j] /= (float)sqrt(norm);
	sn_tensor U = sn_tensor_f32(u, D, 1), src = sn_tensor_f32(target, -1, D);
	sn_edit edit = { .op = SN_OP_SET, .at = site_of(&f, "blocks.0.hook_resid_post"), .where = { .sel = SN_LAST },
	                 .src = &src, .U = &U, .V = &U };
	float *before = values(&f, &batch, "blocks.0.hook_resid_post", SN_BEFORE, &edit, 1);
	float *after = values(&f, &batch, "blocks.0.hook_resid_post", SN_AFTER, &edit, 1);
	double along = 0;
	for (int j = 0; j < D; j++) along += (double)u[j] * (target[j] - before[3 * D + j]);
	for (int j = 0; j < D; j++) assert_true(fabs(after[3 * D + j] - (before[3 * D + j] + along * u[j])) < 1e-5);
	assert_memory_equal(after, before, 3 * D * sizeof *after);
	close_fixture(&f);
}

static double log_softmax(const float *x, int id)
{
	double sum = 0;
	for (int i = 0; i < VOCAB; i++) sum += exp((double)x[i]);
	return x[id] - log(sum);
}

static void goals_agree_with_the_logits(void **state)
{
	fixture f = open_fixture(test_ctx(state));
	const int length[] = { 6, 6 };
	sn_batch batch = make_batch(&f, length, 2, 9);
	float *x = logits(&f, &batch, NULL, 0);
	const int32_t want[] = { 7, 9, 11 }, foil[] = { 20, 30 }, ref[] = { 1, 1 };
	const int64_t want_start[] = { 0, 2, 3 }, foil_start[] = { 0, 1, 2 };
	sn_goal goal[] = {
		{ .metric = SN_LOGIT_DIFF, .where = { .sel = SN_LAST }, .want = want, .foil = foil, .n_want = 2,
		  .want_start = want_start, .foil_start = foil_start },
		{ .metric = SN_LOGPROB, .where = { .sel = SN_AT, .arg = 2 }, .want = want, .n_want = 1 },
		{ .metric = SN_LOSS, .where = { .sel = SN_ALL } },
		{ .metric = SN_KL, .where = { .sel = SN_AT, .arg = 3 }, .ref_row = ref },
	};
	double s[4][2], few[2];
	sn_plan plan = { .size = sizeof plan, .n_goal = 4, .goal = goal };
	assert_ok(f.ctx, sn_run(f.ctx, f.model, &batch, &plan, NULL, s[0]));
	const float *last = x + 5 * VOCAB, *other = x + 11 * VOCAB;
	assert_true(fabs(s[0][0] - (log(exp(last[7]) + exp(last[9])) - last[20])) < 1e-4);
	assert_true(fabs(s[0][1] - (other[11] - other[30])) < 1e-4);
	assert_true(fabs(s[1][1] - log_softmax(x + 8 * VOCAB, 7)) < 1e-4);
	double loss = 0, kl = 0;
	for (int i = 0; i < 5; i++) loss -= log_softmax(x + i * VOCAB, batch.token[i + 1]);
	assert_true(fabs(s[2][0] - loss) < 1e-3);
	for (int i = 0; i < VOCAB; i++) {
		double p = log_softmax(x + 9 * VOCAB, i), q = log_softmax(x + 3 * VOCAB, i);
		kl += exp(p) * (p - q);
	}
	assert_true(fabs(s[3][0] - kl) < 1e-4);
	assert_true(fabs(s[3][1]) < 1e-9);
	plan.n_goal = 1;   /* the short way: only the wanted words */
	assert_ok(f.ctx, sn_run(f.ctx, f.model, &batch, &plan, NULL, few));
	assert_true(fabs(few[0] - s[0][0]) < 1e-5 && fabs(few[1] - s[0][1]) < 1e-5);
	close_fixture(&f);
}

static void bad_plans_are_refused_by_name(void **state)
{
	fixture f = open_fixture(test_ctx(state));
	const int length[] = { 3 };
	sn_batch batch = make_batch(&f, length, 1, 10);
	sn_plan plan = { .size = 1 };
	assert_int_equal(sn_run(f.ctx, f.model, &batch, &plan, NULL, NULL), SN_EARG);
	sn_edit edit = { .op = SN_OP_ZERO, .where = { .sel = SN_ALL } };
	plan = (sn_plan){ .size = sizeof plan, .n_edit = 1, .edit = &edit };
	assert_int_equal(sn_run(f.ctx, f.model, &batch, &plan, NULL, NULL), SN_EARG);
	edit.at = site_of(&f, "blocks.0.hook_mlp_out");
	edit.where.sel = SN_SEL_NONE;
	assert_int_equal(sn_run(f.ctx, f.model, &batch, &plan, NULL, NULL), SN_EARG);
	edit.where.sel = SN_SPAN;
	assert_int_equal(sn_run(f.ctx, f.model, &batch, &plan, NULL, NULL), SN_EARG);
	assert_non_null(strstr(sn_error(f.ctx), "edit 0"));
	edit.where.sel = SN_ALL;
	edit.op = SN_OP_SET;
	assert_int_equal(sn_run(f.ctx, f.model, &batch, &plan, NULL, NULL), SN_EARG);
	float x[D];
	sn_tensor src = sn_tensor_f32(x, -1, D - 1);
	edit.src = &src;
	assert_int_equal(sn_run(f.ctx, f.model, &batch, &plan, NULL, NULL), SN_ESHAPE);
	sn_site site;
	assert_int_equal(sn_site_parse(f.ctx, f.model, "blocks.2.hook_mlp_out", &site), SN_EARG);
	assert_int_equal(sn_site_parse(f.ctx, f.model, "blocks.0.hook_mlp_oot", &site), SN_EARG);
	assert_non_null(strstr(sn_error(f.ctx), "hook_mlp_out"));
	assert_int_equal(sn_site_parse(f.ctx, f.model, "hook_pos_embed", &site), SN_EARG);
	assert_int_equal(sn_site_parse(f.ctx, f.model, "blocks.0.attn.hook_k[2]", &site), SN_EARG);
	close_fixture(&f);
}

static void patterns_expand_in_order(void **state)
{
	fixture f = open_fixture(test_ctx(state));
	sn_site *site;
	int n;
	char name[64];
	assert_ok(f.ctx, sn_site_expand(f.ctx, f.model, "blocks.*.attn.hook_z[*],ln_final.hook_normalized", f.arena, &site,
	                                &n));
	assert_int_equal(n, 2 * 4 + 1);
	for (int i = 0; i < n; i++) {
		sn_site again;
		sn_site_format(&site[i], name, sizeof name);
		assert_ok(f.ctx, sn_site_parse(f.ctx, f.model, name, &again));
		assert_memory_equal(&again, &site[i], sizeof again);
	}
	assert_string_equal((sn_site_format(&site[5], name, sizeof name), name), "blocks.1.attn.hook_z[1]");
	close_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_value_changes_no_bit_and_another_value_does),
		cmocka_unit_test(whole_residual_patch_gives_the_sources_logits),
		cmocka_unit_test(residual_stream_is_the_sum_of_its_branches),
		cmocka_unit_test(company_threads_and_the_future_change_no_bit),
		cmocka_unit_test(forks_equal_full_computation),
		cmocka_unit_test(forks_inherit_the_edits_of_their_parent),
		cmocka_unit_test(forks_of_a_kept_state_equal_full_computation),
		cmocka_unit_test(blocked_keys_leave_the_others_renormalised),
		cmocka_unit_test(projections_move_only_their_subspace),
		cmocka_unit_test(goals_agree_with_the_logits),
		cmocka_unit_test(bad_plans_are_refused_by_name),
		cmocka_unit_test(patterns_expand_in_order),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
