/* What must hold for every form that the generic block can take: random switches, random edits, random forks. A fork
 * equals its full recomputation, a row alone the same row among others, an edit to a site's own value nothing; the
 * future has no say in a causal model; two threads agree with one. */
#include "common/test.h"

#include "model/gather.h"
#include "model/model.h"
#include "model/site.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { VOCAB = 40, LAYERS = 3, CASES = 120, ROWS = 6, LEN = 11 };

/* ---- random models ---- */

typedef struct weights { uint64_t seed; sn_shape shape; } weights;

/* Weights large enough that every term matters. */
static sn_status read_rows(sn_ctx *ctx, void *arg, sn_part part, int layer, int64_t row0, int64_t n_row, float *out)
{
	const weights *w = arg;
	int64_t columns = sn_part_columns(&w->shape, part);
	const char *name = sn_part_name(part);
	bool vector = columns == 1 && part != SN_PART_REL_BIAS, bias = vector && strstr(name, "_B") != NULL;
	(void)ctx;
	for (int64_t i = 0; i < n_row; i++) {
		sn_rng rng = sn_rng_make(w->seed, sn_rng_bits((uint64_t)part, (uint64_t)layer, (uint64_t)(row0 + i)));
		for (int64_t j = 0; j < columns; j++) {
			double normal = sn_rng_normal(&rng);
			out[i * columns + j] =
				(float)(vector ? (bias ? 0.3 * normal : 1 + 0.3 * normal) : normal / sqrt((double)columns));
		}
	}
	return SN_OK;
}

static bool coin(sn_rng *rng) { return sn_rng_below(rng, 2) == 1; }

static sn_form random_form(sn_rng *rng)
{
	sn_form f = { .norm = coin(rng) ? SN_NORM_LAYER : SN_NORM_RMS, .pre_norm = coin(rng), .gated = coin(rng),
	              .act = (sn_act)sn_rng_below(rng, SN_ACTS), .bidirectional = sn_rng_below(rng, 4) == 0 };
	f.post_norm = !f.pre_norm && coin(rng);
	f.branch_norm = !f.post_norm && (!f.pre_norm || coin(rng));
	if (f.pre_norm) f.parallel = (sn_parallel)sn_rng_below(rng, 3);
	f.position = (sn_position_kind)sn_rng_below(rng, SN_POSITION_DISENTANGLED + 1);
	f.rope_interleaved = coin(rng);
	f.qk_norm = (sn_qk_norm)sn_rng_below(rng, SN_QK_NORM_ALL + 1);
	f.rel_bidirectional = f.bidirectional;
	f.c2p = f.p2c = true;
	f.alibi_scaled = coin(rng);
	if (coin(rng)) f.attn_softcap = 3;
	if (coin(rng)) f.logit_softcap = 5;
	if (coin(rng)) f.embed_scale = 2;
	return f;
}

static uint64_t random_parts(sn_rng *rng, const sn_form *f)
{
	uint64_t has = 0, none = 0;
	for (int p = 1; p < SN_PART_COUNT; p++) has |= UINT64_C(1) << p;
	for (int p = SN_PART_CROSS_NORM; p <= SN_PART_CROSS_O_B; p++) none |= UINT64_C(1) << p;
	none |= SN_PART_BIT(PROJECT) | SN_PART_BIT(PROJECT_B) | SN_PART_BIT(REL_Q_B) | SN_PART_BIT(REL_K_B);
	if (f->position != SN_POSITION_LEARNED) none |= SN_PART_BIT(POS_EMBED);
	if (f->position != SN_POSITION_DISENTANGLED || coin(rng)) none |= SN_PART_BIT(REL_Q) | SN_PART_BIT(REL_K);
	if (coin(rng)) none |= SN_PART_BIT(EMBED_NORM) | SN_PART_BIT(EMBED_NORM_B) | SN_PART_BIT(TYPE_EMBED);
	if (!f->pre_norm && !f->post_norm) none |= SN_PART_BIT(ATTN_NORM) | SN_PART_BIT(MLP_NORM);
	if (!f->branch_norm) none |= SN_PART_BIT(ATTN_POST_NORM) | SN_PART_BIT(MLP_POST_NORM);
	if (!f->qk_norm) none |= SN_PART_BIT(Q_NORM) | SN_PART_BIT(K_NORM);
	if (!f->gated) none |= SN_PART_BIT(GATE) | SN_PART_BIT(GATE_B);
	if (coin(rng)) none |= SN_PART_BIT(HEAD) | SN_PART_BIT(HEAD_B) | SN_PART_BIT(HEAD_NORM) | SN_PART_BIT(HEAD_NORM_B);
	if (coin(rng)) none |= SN_PART_BIT(Q_B) | SN_PART_BIT(V_B) | SN_PART_BIT(UNEMBED_B) | SN_PART_BIT(DOWN_B);
	return has & ~none;
}

static sn_shape random_shape(sn_rng *rng, sn_layer_kind *kind)
{
	sn_shape s = { .n_layer = LAYERS,
				   .n_head = 4,
				   .n_kv_head = coin(rng) ? 2 : 4,
				   .d_head = 4,
				   .d_model = 16,
				   .d_mlp = 24,
				   .d_vocab = VOCAB,
				   .n_ctx = 64,
				   .norm_eps = 1e-5,
				   .rope_base = 100,
				   .kind = kind,
				   .n_type = 2,
				   .n_bucket = 8,
				   .max_distance = 16,
				   .rel_span = 4,
				   .rel_buckets = 4 };
	s.form = random_form(rng);
	if (s.form.position == SN_POSITION_DISENTANGLED) s.n_kv_head = 4;
	s.tied = coin(rng);
	s.has = random_parts(rng, &s.form);
	if (coin(rng)) s.n_rot = 2;
	s.n_rope = 2;
	s.rope[0] = (sn_rope){ .base = 100 };
	s.rope[1] = (sn_rope){ .kind = (sn_rope_kind)sn_rng_below(rng, SN_ROPE_LONG),
						   .base = 50,
						   .factor = 4,
						   .original_ctx = 8,
						   .low_freq_factor = 1,
						   .high_freq_factor = 4 };
	for (int l = 0; l < LAYERS; l++)
		kind[l] = (sn_layer_kind){ .window = coin(rng) ? 3 : 0, .rope = (int8_t)((int)sn_rng_below(rng, 4) - 1) };
	for (int l = 0; l < LAYERS; l++)
		if (kind[l].rope > 1) kind[l].rope = 2;
	return s;
}

/* ---- one case ---- */

typedef struct fixture { sn_ctx *ctx; sn_arena *arena; sn_model *model; weights w; sn_layer_kind kind[LAYERS];
                         sn_rng rng; } fixture;

static void open_case(fixture *f, sn_ctx *ctx, uint64_t number)
{
	*f = (fixture){ .ctx = ctx, .rng = sn_rng_make(11, number) };
	f->w.seed = number;
	f->w.shape = random_shape(&f->rng, f->kind);
	assert_ok(ctx, sn_arena_open(&f->arena, ctx));
	sn_source source = { .arg = &f->w, .read = read_rows };
	sn_shape full = f->w.shape;
	assert_ok(ctx, sn_shape_complete(ctx, &full, "case"));
	f->w.shape = full;
	f->w.shape.kind = f->kind;
	assert_ok(ctx, sn_model_make(&f->model, ctx, &f->w.shape, &source, NULL, NULL));
}

static void close_case(fixture *f)
{
	sn_model_close(f->model);
	sn_arena_close(f->arena);
}

static float *logits(fixture *f, const sn_batch *batch, const sn_edit *edit, int n_edit)
{
	int64_t m = batch->start[batch->n];
	sn_keep keep = { SN_TAKE(f->arena, float, m * VOCAB), m, VOCAB };
	sn_tap tap = {
		.at = { .kind = SN_SITE_LOGITS }, .where = { .sel = SN_ALL }, .sink = &sn_sink_keep, .state = &keep
	};
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap, .n_edit = n_edit, .edit = edit };
	assert_ok(f->ctx, sn_run(f->ctx, f->model, batch, &plan, NULL, NULL));
	return keep.x;
}

/* A site of the model that takes plain edits. */
static sn_site random_site(fixture *f)
{
	for (;;) {
		sn_site site = { .kind = (uint16_t)(1 + sn_rng_below(&f->rng, SN_SITE_COUNT - 1)) };
		if (!(f->model->sites >> site.kind & 1) || sn_site_is_attention((sn_site_kind)site.kind)) continue;
		char name[112];
		sn_site_format(&site, name, sizeof name);
		if (strncmp(name, "blocks.", 7) == 0) site.layer = (int16_t)sn_rng_below(&f->rng, LAYERS);
		return site;
	}
}

/* Row 0; forks of it, of one another, with other tokens behind; row 5 stands alone. Forked or spelled out. */
static sn_batch make_rows(fixture *f, bool forked)
{
	static const int32_t parent[ROWS] = { -1, 0, 0, 2, 1, -1 }, fork[ROWS] = { 0, LEN, 4, 8, LEN, 0 };
	int32_t *token = SN_TAKE(f->arena, int32_t, ROWS * LEN);
	int64_t *start = SN_TAKE(f->arena, int64_t, ROWS + 1);
	sn_rng rng = sn_rng_make(5, f->w.seed);
	for (int b = 0; b < ROWS; b++) {
		start[b + 1] = start[b] + LEN;
		for (int i = 0; i < LEN; i++) token[b * LEN + i] = (int32_t)sn_rng_below(&rng, VOCAB);
		if (parent[b] >= 0) memcpy(token + b * LEN, token + parent[b] * LEN, (size_t)fork[b] * sizeof *token);
	}
	return (sn_batch){ .n = ROWS, .token = token, .start = start, .parent = forked ? parent : NULL,
	                   .fork = forked ? fork : NULL };
}

static void assert_same(const fixture *f, const float *a, const float *b, int64_t n, const char *what)
{
	double error = test_relative_error(a, b, n);
	if (error > 1e-6) fail_msg("case %d: %s: relative error %.2e", (int)f->w.seed, what, error);
}

static void check_forks(fixture *f)
{
	sn_batch forked = make_rows(f, true), plain = make_rows(f, false);
	const int32_t from[ROWS] = { -1, 5, -1, 5, 5, -1 };
	/* edits that forks would inherit are named for every row that has them, so that both batches mean the same */
	sn_edit edits[] = {
		{ .op = SN_OP_SET, .at = random_site(f), .where = { .sel = SN_AT, .arg = 6 }, .src_row = from },
		{ .op = SN_OP_NOISE,
		  .at = random_site(f),
		  .where = { .sel = SN_RANGE, .arg = 3, .end = 5, .row0 = 3, .n_row = 2 } },
	};
	assert_same(f, logits(f, &forked, edits, 2), logits(f, &plain, edits, 2), (int64_t)ROWS * LEN * VOCAB, "forks");
}

static void check_own_value(fixture *f)
{
	sn_batch rows = make_rows(f, false);
	const int32_t self[ROWS] = { 0, 1, 2, 3, 4, 5 };
	float *plain = logits(f, &rows, NULL, 0);
	for (int i = 0; i < 4; i++) {
		sn_edit edit = { .op = SN_OP_SET, .at = random_site(f), .where = { .sel = SN_ALL }, .src_row = self };
		char name[112];
		sn_site_format(&edit.at, name, sizeof name);
		if (memcmp(logits(f, &rows, &edit, 1), plain, (size_t)ROWS * LEN * VOCAB * sizeof *plain) != 0)
			fail_msg("case %d: %s to its own value changes the logits", (int)f->w.seed, name);
	}
	sn_edit pattern = { .op = SN_OP_SET, .at = { .kind = SN_SITE_PATTERN, .layer = 1 }, .where = { .sel = SN_ALL },
	                    .src_row = self };
	assert_memory_equal(logits(f, &rows, &pattern, 1), plain, (size_t)ROWS * LEN * VOCAB * sizeof *plain);
}

/* Whoever has another row's whole stream at a boundary has its logits. */
static void check_whole_patch(fixture *f)
{
	sn_batch rows = make_rows(f, false);
	const int32_t from[ROWS] = { 5, -1, -1, -1, -1, -1 };
	float *plain = logits(f, &rows, NULL, 0);
	for (int l = 0; l <= LAYERS; l++) {
		sn_edit edit = {
			.op = SN_OP_SET, .at = sn_boundary_site(f->model, l), .where = { .sel = SN_ALL }, .src_row = from
		};
		assert_memory_equal(logits(f, &rows, &edit, 1), plain + rows.start[5] * VOCAB, LEN * VOCAB * sizeof *plain);
	}
}

static void check_company(fixture *f)
{
	sn_batch rows = make_rows(f, false);
	float *all = logits(f, &rows, NULL, 0);
	sn_batch one = { .n = 1, .token = rows.token + rows.start[3], .start = (int64_t[]){ 0, LEN } };
	assert_memory_equal(logits(f, &one, NULL, 0), all + rows.start[3] * VOCAB, LEN * VOCAB * sizeof *all);
	if (f->w.shape.form.bidirectional || f->w.shape.rope[1].kind == SN_ROPE_DYNAMIC) return;
	one.start = (int64_t[]){ 0, LEN / 2 };   /* without the future */
	assert_memory_equal(logits(f, &one, NULL, 0), all + rows.start[3] * VOCAB, LEN / 2 * VOCAB * sizeof *all);
}

static void every_form_keeps_its_promises(void **state)
{
	for (uint64_t number = 1; number <= CASES; number++) {
		fixture f;
		open_case(&f, test_ctx(state), number);
		check_forks(&f);
		check_own_value(&f);
		check_company(&f);
		check_whole_patch(&f);
		close_case(&f);
	}
}

static void threads_change_no_bit_in_any_form(void **state)
{
	sn_options options = { .size = sizeof options, .threads = 1, .seed = 1, .tokens_per_step = 16 };
	sn_ctx *single;
	assert_int_equal(sn_ctx_open(&single, &options), SN_OK);
	for (uint64_t number = 1; number <= CASES; number += 10) {
		fixture f, g;
		open_case(&f, test_ctx(state), number);
		open_case(&g, single, number);
		sn_batch rows = make_rows(&f, true);
		assert_memory_equal(logits(&f, &rows, NULL, 0), logits(&g, &rows, NULL, 0), ROWS * LEN * VOCAB * sizeof(float));
		close_case(&f);
		close_case(&g);
	}
	sn_ctx_close(single);
}

/* Kernels of every processor level that this one has: the same logits but for rounding, whatever the form. */
static void processor_levels_agree_in_every_form(void **state)
{
	for (uint64_t number = 1; number <= CASES; number++) {
		fixture f;
		open_case(&f, test_ctx(state), number);
		sn_batch rows = make_rows(&f, true);
		const float *best = logits(&f, &rows, NULL, 0);
		for (int level = 0; sn_kernels_at(level); level++) {
			f.model->kernels = sn_kernels_at(level);
			assert_same(&f, logits(&f, &rows, NULL, 0), best, (int64_t)ROWS * LEN * VOCAB, f.model->kernels->level);
		}
		close_case(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processor_levels_agree_in_every_form),
		cmocka_unit_test(every_form_keeps_its_promises),
		cmocka_unit_test(threads_change_no_bit_in_any_form),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
