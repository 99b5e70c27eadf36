/* What must hold for gradients in every form that the generic block can take: along a random direction the derivative
 * is the central difference of the score, at every site and through every kind of edit; taps change nothing; the memory
 * budget is kept and changes nothing, whether blocks are saved or computed twice. */
#include "common/counter.h"
#include "common/gradient_trial.h"
#include "common/outcome.h"

#include "model/site.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CASES = 150, SITES = 6, MEMORY_CASES = 60 };

/* ---- derivative against difference ---- */

/* The push is the last edit of its site where the derivative after all edits is asked for, otherwise the first. */
static double difference(trial *t, sn_site at, sn_what what, const float *direction, int64_t m, int64_t d, float step)
{
	sn_tensor src = sn_tensor_f32((float *)(uintptr_t)direction, m, d);
	float up = step, down = -step;
	sn_edit push = { .op = SN_OP_ADD, .at = at, .where = { .sel = SN_ALL }, .src = &src, .n_alpha = 1, .alpha = &up };
	t->push_first = what == SN_GRAD_BEFORE;
	double high = trial_score(t, &push, NULL);
	push.alpha = &down;
	return (high - trial_score(t, &push, NULL)) / (2 * step);
}

/* Rows are read as they stand before any edit, a push among them: what flows to them is not seen by a push. */
static bool read_by_rows(const trial *t, sn_site at)
{
	for (int e = 0; e < t->n_edit; e++)
		if (t->edit[e].src_row && t->edit[e].at.kind == at.kind && t->edit[e].at.layer == at.layer) return true;
	return false;
}

static void check_site(trial *t, sn_site at, sn_what what)
{
	if (what == SN_GRAD_BEFORE && read_by_rows(t, at)) return;
	forms_case *f = t->f;
	int64_t m = t->batch.start[TRIAL_ROWS], d = sn_site_width(f->model, &at);
	sn_keep grad = { SN_TAKE(f->arena, float, m * d), m, d };
	sn_tap tap = { .at = at, .where = { .sel = SN_ALL }, .what = what, .sink = &sn_sink_keep, .state = &grad };
	double base = trial_score(t, NULL, NULL), with = trial_score(t, NULL, &tap), expected = 0;
	if (fabs(base - with) > 1e-5 * (1 + fabs(base)))
		fail_msg("case %d: the score is %.9g, with a gradient tap %.9g", (int)f->number, base, with);
	float *direction = trial_vector(f, m * d);
	for (int64_t i = t->batch.start[1] * d; i < t->batch.start[2] * d; i++) direction[i] = 0;   /* KL's constant */
	float step = 0.2f / (float)trial_norm(direction, m * d);
	for (int64_t i = 0; i < m * d; i++) expected += (double)grad.x[i] * direction[i];
	double found = difference(t, at, what, direction, m, d, step);
	double other = difference(t, at, what, direction, m, d, step / 2);
	double size = trial_norm(grad.x, m * d) * trial_norm(direction, m * d) / sqrt((double)(m * d));
	double noise = 4 * fabs(found - other) + 2e-6 * (1 + fabs(base)) / step;   /* curvature, rounding */
	char name[112];
	sn_site_format(&at, name, sizeof name);
	if (fabs(found - expected) > 2e-3 * size + noise)
		fail_msg("case %d: %s: derivative %.7g, difference %.7g (%.7g at half the step), scale %.3g, score %.4g",
		         (int)f->number, name, expected, found, other, size, base);
}

/* Patterns and scores: along their own values, by an edit that shrinks them. */

typedef struct along { double sum; const float *value; int64_t at; } along;

static sn_status take_product(sn_ctx *ctx, void *state, const sn_block *block)
{
	along *a = state;
	const float *x = block->x.data;
	(void)ctx;
	for (int64_t i = 0; i < block->x.dim[0] * block->x.dim[1]; i++) {
		float *value = (float *)(uintptr_t)a->value + a->at++;
		if (!isfinite(*value)) a->sum += 0;
		else a->sum += (double)x[i] * *value;
	}
	return SN_OK;
}

static sn_status take_value(sn_ctx *ctx, void *state, const sn_block *block)
{
	along *a = state;
	(void)ctx;
	memcpy((float *)(uintptr_t)a->value + a->at, block->x.data,
	       (size_t)(block->x.dim[0] * block->x.dim[1]) * sizeof(float));
	a->at += block->x.dim[0] * block->x.dim[1];
	return SN_OK;
}

static void check_map(trial *t, sn_site_kind kind)
{
	static const sn_sink products = { .size = sizeof(along), .take = take_product },
						 values = { .size = sizeof(along), .take = take_value };
	forms_case *f = t->f;
	float step = 1e-2f;
	sn_site at = { .kind = (uint16_t)kind, .layer = 1 };
	sn_where first = { .sel = SN_ALL, .row0 = 0, .n_row = 1 };   /* never KL's constant */
	t->push_first = false;
	along a = { .value = SN_TAKE(f->arena, float, 4 * TRIAL_ROWS * TRIAL_LEN *TRIAL_LEN) };
	sn_tap tap = { .at = at, .where = first, .sink = &values, .state = &a };
	trial_score(t, NULL, &tap);
	a.at = 0;
	tap.what = SN_GRAD;
	tap.sink = &products;
	double base = trial_score(t, NULL, &tap), found[2];
	for (int i = 0; i < 2; i++, step /= 2) {
		float less = step, more = -step;
		sn_edit shrink = { .op = SN_OP_ZERO, .at = at, .where = first, .n_alpha = 1, .alpha = &less };
		double low = trial_score(t, &shrink, NULL);
		shrink.alpha = &more;
		found[i] = (trial_score(t, &shrink, NULL) - low) / (2 * step);
	}
	if (fabs(found[1] - a.sum) > 2e-3 * fabs(a.sum) + 4 * fabs(found[0] - found[1]) + 1e-6 * (1 + fabs(base)) / step)
		fail_msg("case %d: %s: derivative %.7g, difference %.7g", (int)f->number, sn_site_name(kind), a.sum, found[1]);
}

static void derivatives_are_differences(void **state)
{
	for (uint64_t number = 1; number <= CASES; number++) {
		forms_case f;
		forms_open(&f, test_ctx(state), number, false);
		trial t = trial_make(&f);
		for (int i = 0; i < SITES && trial_is_smooth(&f); i++)
			check_site(&t, forms_random_site(&f, &f.rng, false), i % 2 ? SN_GRAD_BEFORE : SN_GRAD);
		if (t.n_edit && trial_is_smooth(&f)) check_site(&t, t.edit[0].at, SN_GRAD_BEFORE);
		if (trial_is_smooth(&f)) check_map(&t, SN_SITE_PATTERN);
		forms_close(&f);
	}
}

/* ---- memory ---- */

static void run_within(forms_case *f, int64_t memory, const sn_batch *batch, const sn_plan *plan, outcome *out,
                       counter *c)
{
	sn_options o = { .size = sizeof o, .threads = 1, .seed = 1, .memory = memory, .alloc = count_alloc,
	                 .dealloc = count_free, .alloc_payload = c };
	sn_ctx *ctx;
	*c = (counter){ 0 };
	assert_int_equal(sn_ctx_open(&ctx, &o), SN_OK);
	outcome_run(f, ctx, batch, plan, NULL, out);
	if (out->status == SN_ENOMEM) assert_non_null(strstr(sn_error(ctx), "--memory"));
	sn_ctx_close(ctx);
}

/* A random plan with gradients for its taps. */
static void differentiate(random_plan *p, forms_case *f, sn_rng *rng)
{
	for (int t = 0; t < RANDOM_TAPS; t++)
		p->tap[t] = (sn_tap){ .at = forms_random_site(f, rng, true), .where = { .sel = SN_ALL }, .what = SN_GRAD };
	p->plan.tap = p->tap;
	p->plan.n_tap = RANDOM_TAPS;
}

/* Budgets from the smallest that works on, in small steps, so that some leave no room to save blocks. Returns how many
 * took less than the run without a limit. */
static int check_budgets(forms_case *f, const random_rows *rows, const sn_plan *plan, const outcome *expected,
                         int64_t most)
{
	outcome out;
	counter c;
	int less = 0, budgets = 0;
	char text[256];
	for (int64_t memory = 150000; budgets < 4; memory += memory / 16) {
		run_within(f, memory, &rows->batch, plan, &out, &c);
		if (out.status == SN_ENOMEM) continue;
		assert_int_equal(out.status, SN_OK);
		if (outcome_difference(plan, rows->batch.n, &out, expected, 1e-4, text, sizeof text))
			fail_msg("case %d, %lld bytes: %s", (int)f->number, (long long)memory, text);
		if (c.peak > memory + (1 << 18))
			fail_msg("case %d: %lld bytes, budget %lld", (int)f->number, (long long)c.peak, (long long)memory);
		budgets++;
		less += c.peak < most;
	}
	return less;
}

static void the_budget_is_kept_and_changes_nothing(void **state)
{
	int checked = 0, less = 0;
	for (uint64_t number = 1; number <= MEMORY_CASES; number++) {
		forms_case f;
		random_rows rows;
		random_plan p;
		outcome free;
		counter c;
		forms_open(&f, test_ctx(state), number, number % 3 == 0);
		sn_rng rng = sn_rng_make(number, 77);
		random_rows_make(&rows, &f, &rng);
		random_plan_make(&p, &f, &rows, &rng);
		differentiate(&p, &f, &rng);
		outcome_run(&f, f.ctx, &rows.batch, &p.plan, NULL, &free);   /* packs, in the model's own context */
		run_within(&f, 0, &rows.batch, &p.plan, &free, &c);
		if (free.status == SN_OK) {
			less += check_budgets(&f, &rows, &p.plan, &free, c.peak);
			checked++;
		}
		forms_close(&f);
	}
	print_message("%d plans, %d budgets of %d took less\n", checked, less, 4 * checked);
	assert_true(checked > MEMORY_CASES / 2 && less > checked);
}

/* ---- lean ---- */

static bool holds_transposes(const sn_model *m)
{
	bool any = false;
	for (int l = 0; l < m->shape.n_layer; l++) any |= sn_layer_of(m, l)->back.ready;
	return any;
}

static void lean_changes_no_bit_and_leaves_nothing(void **state)
{
	int checked = 0;
	for (uint64_t number = 1; number <= MEMORY_CASES; number++) {
		forms_case f;
		random_rows rows;
		random_plan p;
		outcome lean, usual;
		char text[256];
		forms_open(&f, test_ctx(state), number, false);
		sn_rng rng = sn_rng_make(number, 78);
		random_rows_make(&rows, &f, &rng);
		random_plan_make(&p, &f, &rows, &rng);
		differentiate(&p, &f, &rng);
		p.plan.lean = true;
		outcome_run(&f, f.ctx, &rows.batch, &p.plan, NULL, &lean);
		assert_false(holds_transposes(f.model));
		p.plan.lean = false;
		outcome_run(&f, f.ctx, &rows.batch, &p.plan, NULL, &usual);
		assert_int_equal(lean.status, usual.status);
		if (usual.status == SN_OK) {
			if (outcome_difference(&p.plan, rows.batch.n, &lean, &usual, 0, text, sizeof text))
				fail_msg("case %d: %s", (int)number, text);
			checked += holds_transposes(f.model);
		}
		forms_close(&f);
	}
	assert_true(checked > MEMORY_CASES / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(derivatives_are_differences),
		                                cmocka_unit_test(the_budget_is_kept_and_changes_nothing),
		                                cmocka_unit_test(lean_changes_no_bit_and_leaves_nothing) };
	return cmocka_run_group_tests(tests, test_open, test_close);
}
