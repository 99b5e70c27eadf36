/* What must hold for every form that the generic block can take: random switches, random edits, random forks. A fork
 * equals its full recomputation, a row alone the same row among others, an edit to a site's own value nothing; the
 * future has no say in a causal model; two threads agree with one. */
#include "common/forms.h"

#include "model/gather.h"
#include "model/model.h"
#include "model/site.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { VOCAB = FORMS_VOCAB, LAYERS = FORMS_LAYERS, CASES = 120, ROWS = 6, LEN = 11 };

/* ---- one case ---- */

static float *logits(forms_case *f, const sn_batch *batch, const sn_edit *edit, int n_edit)
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
static sn_site random_site(forms_case *f) { return forms_random_site(f, &f->rng, false); }

/* Row 0; forks of it, of one another, with other tokens behind; row 5 stands alone. Forked or spelled out. */
static sn_batch make_rows(forms_case *f, bool forked)
{
	static const int32_t parent[ROWS] = { -1, 0, 0, 2, 1, -1 }, fork[ROWS] = { 0, LEN, 4, 8, LEN, 0 };
	int32_t *token = SN_TAKE(f->arena, int32_t, ROWS * LEN);
	int64_t *start = SN_TAKE(f->arena, int64_t, ROWS + 1);
	sn_rng rng = sn_rng_make(5, f->w[0].seed);
	for (int b = 0; b < ROWS; b++) {
		start[b + 1] = start[b] + LEN;
		for (int i = 0; i < LEN; i++) token[b * LEN + i] = (int32_t)sn_rng_below(&rng, VOCAB);
		if (parent[b] >= 0) memcpy(token + b * LEN, token + parent[b] * LEN, (size_t)fork[b] * sizeof *token);
	}
	return (sn_batch){ .n = ROWS, .token = token, .start = start, .parent = forked ? parent : NULL,
	                   .fork = forked ? fork : NULL };
}

static void assert_same(const forms_case *f, const float *a, const float *b, int64_t n, const char *what)
{
	double error = test_relative_error(a, b, n);
	if (error > 1e-6) fail_msg("case %d: %s: relative error %.2e", (int)f->w[0].seed, what, error);
}

static void check_forks(forms_case *f)
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

static void check_own_value(forms_case *f)
{
	sn_batch rows = make_rows(f, false);
	const int32_t self[ROWS] = { 0, 1, 2, 3, 4, 5 };
	float *plain = logits(f, &rows, NULL, 0);
	for (int i = 0; i < 4; i++) {
		sn_edit edit = { .op = SN_OP_SET, .at = random_site(f), .where = { .sel = SN_ALL }, .src_row = self };
		char name[112];
		sn_site_format(&edit.at, name, sizeof name);
		if (memcmp(logits(f, &rows, &edit, 1), plain, (size_t)ROWS * LEN * VOCAB * sizeof *plain) != 0)
			fail_msg("case %d: %s to its own value changes the logits", (int)f->w[0].seed, name);
	}
	sn_edit pattern = { .op = SN_OP_SET, .at = { .kind = SN_SITE_PATTERN, .layer = 1 }, .where = { .sel = SN_ALL },
	                    .src_row = self };
	assert_memory_equal(logits(f, &rows, &pattern, 1), plain, (size_t)ROWS * LEN * VOCAB * sizeof *plain);
}

/* Whoever has another row's whole stream at a boundary has its logits. */
static void check_whole_patch(forms_case *f)
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

static void check_company(forms_case *f)
{
	sn_batch rows = make_rows(f, false);
	float *all = logits(f, &rows, NULL, 0);
	sn_batch one = { .n = 1, .token = rows.token + rows.start[3], .start = (int64_t[]){ 0, LEN } };
	assert_memory_equal(logits(f, &one, NULL, 0), all + rows.start[3] * VOCAB, LEN * VOCAB * sizeof *all);
	if (f->w[0].shape.form.bidirectional || f->w[0].shape.rope[1].kind == SN_ROPE_DYNAMIC) return;
	one.start = (int64_t[]){ 0, LEN / 2 };   /* without the future */
	assert_memory_equal(logits(f, &one, NULL, 0), all + rows.start[3] * VOCAB, LEN / 2 * VOCAB * sizeof *all);
}

static void every_form_keeps_its_promises(void **state)
{
	for (uint64_t number = 1; number <= CASES; number++) {
		forms_case f;
		forms_open(&f, test_ctx(state), number, false);
		check_forks(&f);
		check_own_value(&f);
		check_company(&f);
		check_whole_patch(&f);
		forms_close(&f);
	}
}

static void threads_change_no_bit_in_any_form(void **state)
{
	sn_options options = { .size = sizeof options, .threads = 1, .seed = 1, .tokens_per_step = 16 };
	sn_ctx *single;
	assert_int_equal(sn_ctx_open(&single, &options), SN_OK);
	for (uint64_t number = 1; number <= CASES; number += 10) {
		forms_case f, g;
		forms_open(&f, test_ctx(state), number, false);
		forms_open(&g, single, number, false);
		sn_batch rows = make_rows(&f, true);
		assert_memory_equal(logits(&f, &rows, NULL, 0), logits(&g, &rows, NULL, 0), ROWS * LEN * VOCAB * sizeof(float));
		forms_close(&f);
		forms_close(&g);
	}
	sn_ctx_close(single);
}

/* Kernels of every processor level that this one has: the same logits but for rounding, whatever the form. */
static void processor_levels_agree_in_every_form(void **state)
{
	for (uint64_t number = 1; number <= CASES; number++) {
		forms_case f;
		forms_open(&f, test_ctx(state), number, false);
		sn_batch rows = make_rows(&f, true);
		const float *best = logits(&f, &rows, NULL, 0);
		for (int level = 0; sn_kernels_at(level); level++) {
			f.model->kernels = sn_kernels_at(level);
			assert_same(&f, logits(&f, &rows, NULL, 0), best, (int64_t)ROWS * LEN * VOCAB, f.model->kernels->level);
		}
		forms_close(&f);
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
