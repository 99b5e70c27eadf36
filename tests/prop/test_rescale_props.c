/* What must hold for the rescale rule in every form that the generic block can take: multipliers times changes sum to
 * the change of the score, at every site and however far away the reference is; against itself a row has its plain
 * gradient; what a row is given does not depend on other rows. */
#include "common/forms.h"

#include "model/site.h"

#include <math.h>
#include <string.h>

enum { CASES = 200, ROWS = 4, LEN = 6, SITES = 8 };

static const int32_t REFERENCE[ROWS] = { 1, 1, 3, 3 };   /* rows 0 and 2 are explained */

typedef struct trial {
	forms_case f;
	sn_batch batch, enc;
	sn_goal goal;
} trial;

static float *random_vector(trial *t, int64_t n)
{
	float *x = SN_TAKE(t->f.arena, float, n);
	for (int64_t i = 0; i < n; i++) x[i] = (float)sn_rng_normal(&t->f.rng);
	return x;
}

/* Rows of LEN tokens; same: the second of a pair has the tokens of the first. */
static sn_batch random_rows(trial *t, bool same)
{
	int32_t *token = SN_TAKE(t->f.arena, int32_t, ROWS * LEN);
	int64_t *start = SN_TAKE(t->f.arena, int64_t, ROWS + 1);
	for (int b = 0; b < ROWS; b++) start[b + 1] = start[b] + LEN;
	for (int i = 0; i < ROWS * LEN; i++) token[i] = (int32_t)sn_rng_below(&t->f.rng, FORMS_VOCAB);
	for (int b = 1; same && b < ROWS; b += 2) memcpy(token + b * LEN, token + (b - 1) * LEN, LEN * sizeof *token);
	return (sn_batch){ .n = ROWS, .token = token, .start = start };
}

/* of_row: the loss may be that of the row's own tokens. */
static sn_goal random_goal(trial *t, bool of_row)
{
	static const int32_t want[] = { 3, 17, 29 }, foil[] = { 5, 8 };
	static const int64_t want_start[] = { 0, 3 }, foil_start[] = { 0, 2 };
	sn_where last = { .sel = SN_LAST }, early = { .sel = SN_AT, .arg = 2 };
	switch (sn_rng_below(&t->f.rng, 4)) {
	case 0:
		return (sn_goal){ .metric = SN_LOSS, .where = { .sel = SN_ALL }, .want = of_row ? NULL : want,
		                  .n_want = !of_row };
	case 1:
		return (sn_goal){ .metric = SN_LOGPROB, .where = last, .want = want, .n_want = 1, .want_start = want_start };
	case 2:
		return (sn_goal){ .metric = SN_LOGIT_DIFF, .where = last, .want = want, .n_want = 1, .want_start = want_start,
		                  .foil = foil, .foil_start = foil_start };
	default: return (sn_goal){ .metric = SN_LOGIT, .where = early, .want = want, .n_want = 1 };
	}
}

static void open_trial(trial *t, sn_ctx *ctx, uint64_t number, bool seq2seq, bool same)
{
	forms_open(&t->f, ctx, number, seq2seq);
	t->batch = random_rows(t, same);
	t->goal = random_goal(t, same);
	if (!seq2seq) return;
	t->enc = random_rows(t, false);
	t->batch.enc = &t->enc;
}

static void run(trial *t, const sn_edit *edit, sn_tap *tap, int n_tap, sn_rule rule, double *score)
{
	sn_plan plan = { .size = sizeof plan, .n_edit = !!edit, .edit = edit, .n_tap = n_tap, .tap = tap, .n_goal = 1,
	                 .goal = &t->goal, .rule = rule, .reference = rule ? REFERENCE : NULL };
	assert_ok(t->f.ctx, sn_run(t->f.ctx, t->f.model, &t->batch, &plan, NULL, score));
}

static sn_tap keep_all(sn_site at, sn_what what, sn_keep *keep)
{
	return (sn_tap){ .at = at, .where = { .sel = SN_ALL }, .what = what, .sink = &sn_sink_keep, .state = keep };
}

/* Values and multipliers of a site: [ROWS * LEN, d] each. */
typedef struct seen { float *x, *m; int64_t d; double score[ROWS]; } seen;

static seen look(trial *t, sn_site at, const sn_edit *edit, sn_rule rule)
{
	seen s = { .d = sn_site_width(t->f.model, &at) };
	s.x = SN_TAKE(t->f.arena, float, ROWS * LEN * s.d);
	s.m = SN_TAKE(t->f.arena, float, ROWS * LEN * s.d);
	sn_keep x = { s.x, ROWS * LEN, s.d }, m = { s.m, ROWS * LEN, s.d };
	sn_tap tap[] = { keep_all(at, SN_AFTER, &x), keep_all(at, SN_GRAD, &m) };
	run(t, edit, tap, 2, rule, s.score);
	return s;
}

/* Sum of multiplier times change for row b, and of their sizes. */
static double shares(const seen *s, int b, double *size)
{
	double sum = *size = 0;
	for (int64_t i = 0; i < LEN * s->d; i++) {
		int64_t at = (int64_t)b * LEN * s->d + i, other = (int64_t)REFERENCE[b] * LEN * s->d + i;
		double share = s->m[at] * ((double)s->x[at] - s->x[other]);
		sum += share;
		*size += fabs(share);
	}
	return sum;
}

static void check_sum(const trial *t, sn_site at, const seen *s, const char *what)
{
	for (int b = 0; b < ROWS; b += 2) {
		double size, sum = shares(s, b, &size), change = s->score[b] - s->score[b + 1];
		char name[112];
		sn_site_format(&at, name, sizeof name);
		if (!(fabs(sum - change) <= 2e-5 * (size + fabs(s->score[b]) + fabs(s->score[b + 1]))))
			fail_msg("case %d, %s: %s, row %d: shares sum to %.8g, the score changes by %.8g (sizes %.4g)",
			         (int)t->f.number, what, name, b, sum, change, size);
	}
}

static bool is_scale(sn_site_kind kind) { return strstr(sn_site_name(kind), "scale") != NULL; }

/* The references' values at the site: far from the rows' own; of scales, which are positive, a multiple. */
static sn_tensor random_values(trial *t, sn_site at, const float *x, int64_t d)
{
	float *y = random_vector(t, ROWS * LEN * d);
	bool positive = is_scale((sn_site_kind)at.kind);
	for (int64_t i = 0; i < ROWS * LEN * d; i++) y[i] = positive ? x[i] * expf(y[i]) : 2 * y[i];
	return sn_tensor_f32(y, ROWS * LEN, d);
}

/* Whether the plain gradient misses the change by far. */
static bool misses(const seen *plain, const seen *s)
{
	seen first_order = *s;
	double size, change = s->score[0] - s->score[1];
	first_order.m = plain->m;
	return fabs(shares(&first_order, 0, &size) - change) > 0.1 * fabs(change);
}

static bool check_site(trial *t, sn_site at)
{
	static const float strength[ROWS] = { 0, 1, 0, 1 };
	seen plain = look(t, at, NULL, SN_RULE_PLAIN);
	sn_tensor values = random_values(t, at, plain.x, plain.d);
	sn_edit set = { .op = SN_OP_SET, .at = at, .where = { .sel = SN_ALL }, .src = &values, .n_alpha = ROWS,
	                .alpha = strength };
	seen s = look(t, at, &set, SN_RULE_RESCALE);
	check_sum(t, at, &s, "values");
	return misses(&plain, &s);
}

static void shares_sum_to_the_change_at_every_site(void **state)
{
	static const int32_t alike[ROWS] = { 0, 0, 2, 2 };   /* encoder rows */
	int missed = 0;
	for (uint64_t number = 1; number <= CASES; number++) {
		trial t;
		open_trial(&t, test_ctx(state), number, number % 4 == 0, true);
		if (number % 4 == 0) t.batch.enc_row = alike;
		for (int i = 0; i < SITES; i++) missed += check_site(&t, forms_random_site(&t.f, &t.f.rng, false));
		forms_close(&t.f);
	}
	print_message("the plain gradient misses at %d of %d sites\n", missed, CASES * SITES);
	assert_true(missed > CASES * SITES / 2);
}

static void shares_of_tokens_sum_to_the_change(void **state)
{
	for (uint64_t number = 1; number <= CASES; number++) {
		trial t;
		sn_site embed = { .kind = SN_SITE_EMBED };
		open_trial(&t, test_ctx(state), number, false, false);
		embed.stack = t.f.model->stack;
		seen s = look(&t, embed, NULL, SN_RULE_RESCALE);
		check_sum(&t, embed, &s, "tokens");
		forms_close(&t.f);
	}
}

static void shares_of_the_source_sum_to_the_change(void **state)
{
	for (uint64_t number = 1; number <= CASES / 2; number++) {
		trial t;
		sn_site embed = { .kind = SN_SITE_EMBED, .stack = SN_STACK_ENCODER };
		open_trial(&t, test_ctx(state), number, true, true);
		seen s = look(&t, embed, NULL, SN_RULE_RESCALE);
		check_sum(&t, embed, &s, "source");
		forms_close(&t.f);
	}
}

static void against_itself_a_row_has_its_gradient(void **state)
{
	for (uint64_t number = 1; number <= CASES / 2; number++) {
		trial t;
		open_trial(&t, test_ctx(state), number, false, true);
		sn_site at = forms_random_site(&t.f, &t.f.rng, false);
		seen s = look(&t, at, NULL, SN_RULE_RESCALE), plain = look(&t, at, NULL, SN_RULE_PLAIN);
		double unlike = 0, size = 0;
		for (int64_t i = 0; i < ROWS * LEN * s.d; i++) {
			unlike += fabs((double)s.m[i] - plain.m[i]);
			size += fabs((double)plain.m[i]);
		}
		if (!(unlike <= 2e-4 * size)) fail_msg("case %d: %.3g of %.3g differ", (int)number, unlike, size);
		forms_close(&t.f);
	}
}

static void wrong_references_are_refused(void **state)
{
	trial t;
	open_trial(&t, test_ctx(state), 1, false, true);
	static const int32_t chain[ROWS] = { 1, 2, 2, 3 };
	double score[ROWS];
	float *g = random_vector(&t, ROWS * LEN * 16);
	sn_keep keep = { g, ROWS * LEN, 16 };
	sn_tap tap = keep_all((sn_site){ .kind = SN_SITE_RESID_PRE }, SN_GRAD, &keep);
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap, .n_goal = 1, .goal = &t.goal,
	                 .rule = SN_RULE_RESCALE, .reference = chain };
	assert_int_equal(sn_run(t.f.ctx, t.f.model, &t.batch, &plan, NULL, score), SN_EARG);
	plan.reference = NULL;
	assert_int_equal(sn_run(t.f.ctx, t.f.model, &t.batch, &plan, NULL, score), SN_EARG);
	plan.reference = REFERENCE;
	plan.rule = SN_RULE_CHORD;
	assert_int_equal(sn_run(t.f.ctx, t.f.model, &t.batch, &plan, NULL, score), SN_EARG);
	tap.at = (sn_site){ .kind = SN_SITE_PATTERN };
	plan.rule = SN_RULE_RESCALE;
	assert_int_equal(sn_run(t.f.ctx, t.f.model, &t.batch, &plan, NULL, score), SN_EARG);
	forms_close(&t.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(shares_sum_to_the_change_at_every_site),
		                                cmocka_unit_test(shares_of_tokens_sum_to_the_change),
		                                cmocka_unit_test(shares_of_the_source_sum_to_the_change),
		                                cmocka_unit_test(against_itself_a_row_has_its_gradient),
		                                cmocka_unit_test(wrong_references_are_refused) };
	return cmocka_run_group_tests(tests, test_open, test_close);
}
