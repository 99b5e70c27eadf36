/* What localize reports about the planted models: the table of the design, cell by cell. A verdict is false when it
 * contradicts the truth; undetermined is never false, but may not be the way out. SN_PLANTED_SEEDS: noise seeds a
 * variant (10). */
#include "common/test.h"
#include "methods/localize/tables.h"
#include "planted/planted.h"
#include "report/report.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { L = PLANTED_BLOCKS + 1, R = PLANTED_ROLES, CELLS = L * R };

/* Truth of a cell; capitals of the verdicts. */
enum {
	T = SN_VERDICT_TAUTOLOGY,
	N = SN_VERDICT_NEITHER,
	U = SN_VERDICT_USED,
	E = SN_VERDICT_ENCODED_UNUSED,
	O = SN_VERDICT_OTHER_ENCODING,
	X = SN_VERDICT_NOT_LINEAR
};

/* [layer][role]: subject, attractor, last */
static const int truth[PLANTED_VARIANTS][L][R] = {
	[PLANTED_BASE] = { { T, N, N }, { U, N, N }, { U, N, N }, { E, N, U }, { T, T, T } },
	[PLANTED_SPLIT] = { { T, N, N }, { U, N, N }, { U, N, U }, { E, N, U }, { T, T, T } },
	[PLANTED_NONLINEAR] = { { T, N, N }, { O, N, N }, { O, N, N }, { E, N, X }, { T, T, T } },
	[PLANTED_ATTRACT] = { { T, N, N }, { U, N, N }, { U, N, N }, { E, N, U }, { T, T, T } },
	[PLANTED_BIASED] = { { T, N, N }, { U, N, N }, { U, N, N }, { E, N, U }, { T, T, T } },
};

typedef int32_t role_span[2];

static sn_arena *arena;
static sn_items items, idle, fewer; /* fewer: a third of the pairs */
static planted_weights weights;

static int open_items(void **state)
{
	sn_options one_thread = { .size = sizeof one_thread,
							  .threads = 1,
							  .seed = 1 }; /* the matrices are too small for two */
	if (sn_ctx_open((sn_ctx **)state, &one_thread) != SN_OK) return -1;
	if (sn_arena_open(&arena, *state) != SN_OK || planted_items(&items, arena, PLANTED_NUMBER) != SN_OK ||
		planted_items(&idle, arena, PLANTED_IDLE) != SN_OK)
		return -1;
	fewer = items;
	sn_pair *pair = SN_TAKE(arena, sn_pair, items.n_pair);
	fewer.pair = pair;
	fewer.n_pair = 0;
	for (int64_t p = 0; pair && p < items.n_pair; p++)
		if (p / 2 % 3 == 0) pair[fewer.n_pair++] = items.pair[p];
	return pair ? 0 : -1;
}

static int close_items(void **state)
{
	sn_arena_close(arena);
	return test_close(state);
}

static int seeds(void) { return getenv("SN_PLANTED_SEEDS") ? atoi(getenv("SN_PLANTED_SEEDS")) : 10; }

static sn_localize_options options(bool erase)
{
	sn_localize_options o = sn_localize_preset(SN_EFFORT_QUICK);
	o.n_boot = 500;
	o.n_control = 2;
	o.erase_step = erase ? 1 : 0;
	return o;
}

static void localize(sn_ctx *ctx, sn_evidence *ev, planted_variant variant, uint64_t seed, const sn_items *on,
					 bool erase)
{
	sn_model *model;
	sn_localize_options o = options(erase);
	planted_fill(&weights, variant, seed);
	assert_ok(ctx, planted_open(&model, ctx, &weights));
	assert_ok(ctx, sn_localize_run(ev, ctx, model, on, &o, arena));
	sn_model_close(model);
}

typedef struct tally {
	int wrong, open;
} tally;

static tally compare(const sn_evidence *ev, planted_variant variant, uint64_t seed)
{
	tally t = { 0 };
	for (int c = 0; c < CELLS; c++) {
		const sn_judgement *j = &ev->judgement[0][c];
		int l = c / R, r = c % R, want = truth[variant][l][r];
		if (j->verdict == (sn_verdict)want) continue;
		if (j->verdict == SN_VERDICT_UNDETERMINED && want != T) {
			t.open++;
			continue;
		}
		t.wrong++;
		const sn_band *i = sn_band_at(&ev->info, l, r), *e = sn_band_at(&ev->e, l, r),
					  *s = sn_band_at(&ev->e_sub, l, r);
		print_message(
			"%s seed %d layer %d %s: %s, wanted %s; I %.3f [%.3f %.3f] E %.3f [%.3f %.3f] E_sub %.3f [%.3f %.3f]\n",
			planted_name[variant], (int)seed, l, ev->role[r], sn_verdict_text(j->verdict),
			sn_verdict_text((sn_verdict)want), i->point, i->sim_low, i->sim_high, e->point, e->sim_low, e->sim_high,
			s->point, s->sim_low, s->sim_high);
	}
	return t;
}

/* At most one in ten reports holds a false verdict, and few cells are left undetermined. */
static void verdicts_of(sn_ctx *ctx, planted_variant variant, int n_seed)
{
	int false_reports = 0, open = 0;
	sn_mark mark = sn_arena_mark(arena);
	for (int seed = 1; seed <= n_seed; seed++) {
		sn_evidence ev;
		localize(ctx, &ev, variant, (uint64_t)seed, &fewer, false);
		assert_true(ev.chooses);
		tally t = compare(&ev, variant, (uint64_t)seed);
		false_reports += t.wrong > 0;
		open += t.open;
		sn_arena_reset(arena, mark);
	}
	print_message("%s: %d of %d reports hold a false verdict; %.1f %% of cells undetermined\n", planted_name[variant],
				  false_reports, n_seed, 100.0 * open / (n_seed * CELLS));
	assert_true(10 * false_reports <= n_seed);
	assert_true(open <= n_seed * CELLS / 10);
}

static void base_is_reported_as_built(void **state) { verdicts_of(test_ctx(state), PLANTED_BASE, seeds()); }
static void split_is_reported_as_built(void **state) { verdicts_of(test_ctx(state), PLANTED_SPLIT, seeds()); }
static void nonlinear_is_reported_as_built(void **state) { verdicts_of(test_ctx(state), PLANTED_NONLINEAR, seeds()); }
static void attract_is_reported_as_built(void **state) { verdicts_of(test_ctx(state), PLANTED_ATTRACT, seeds()); }
static void biased_is_reported_as_built(void **state) { verdicts_of(test_ctx(state), PLANTED_BIASED, seeds()); }

/* Which raw share stays when the floor of the lemmas is taken off; NaN where there is none. */
static void check_floor(const sn_evidence *ev, const sn_quantity *net, const sn_quantity *nats,
						const sn_quantity *floor)
{
	for (int l = 0; l < L; l++)
		for (int r = 0; r < R; r++) {
			double raw = sn_band_at(nats, l, r)->point / ev->d_main.point, kept = sn_band_at(net, l, r)->point;
			double off = sn_band_at(floor, l, r)->point;
			if (r == 1) continue; /* D of the prefixes with an attractor is another one */
			assert_true(off >= 0);
			if (fabs(kept + off - raw) > 0.02)
				fail_msg("layer %d, %s: %g + %g, not %g", l, ev->role[r], kept, off, raw);
		}
}

/* The two parts that were built move what the lemmas move, the others nothing; if inherent, that is taken off. */
static void check_part_floors(const sn_evidence *ev)
{
	int built = 0;
	for (int i = 0; i < ev->n_top; i++) {
		double patched = sn_band_at(&ev->top_patched, 0, i)->point, off = sn_band_at(&ev->top_placebo, 0, i)->point;
		double kept = sn_band_at(&ev->top_effect, 0, i)->point;
		bool passes = patched > 0.5;
		built += passes;
		assert_true(passes ? off > 0.05 : off < 0.02);
		if (!ev->swaps)
			assert_true(kept == patched);
		else if (fabs(kept - (patched < 0 ? fmin(patched + off, 0) : patched - off)) > 1e-9)
			fail_msg("part %d: %g - %g is not %g", ev->top[i], patched, off, kept);
	}
	assert_int_equal(built, 2);
}

/* An inherent feature is flipped by another lemma: E and E_sub are what is left over pairs that swap it alone. */
static void inherent_features_lose_what_lemmas_do(void **state)
{
	sn_evidence ev, number;
	sn_items inherent;
	sn_mark mark = sn_arena_mark(arena);
	assert_ok(test_ctx(state), planted_items(&inherent, arena, PLANTED_INHERENT));
	inherent.n_pair = items.n_pair;
	localize(test_ctx(state), &ev, PLANTED_BASE, 1, &inherent, false);
	localize(test_ctx(state), &number, PLANTED_BASE, 1, &fewer, false);
	assert_true(ev.swaps && ev.chooses && !number.swaps);
	assert_true(sn_band_at(&ev.placebo, 1, 0)->point > 0.05);
	check_floor(&ev, &ev.e, &ev.e_nats, &ev.placebo);
	check_floor(&ev, &ev.e_sub, &ev.e_sub_nats, &ev.placebo_sub);
	check_part_floors(&ev);
	check_part_floors(&number);
	assert_int_equal(ev.judgement[0][1 * R].verdict, SN_VERDICT_USED);
	assert_int_equal(ev.judgement[0][3 * R].verdict, SN_VERDICT_ENCODED_UNUSED);
	sn_arena_reset(arena, mark);
}

#define assert_near(x, want, tolerance)                                                                                \
	do {                                                                                                               \
		if (!(fabs((x) - (want)) <= (tolerance)))                                                                      \
			print_error("%s is %g, wanted %g\n", #x, (double)(x), (double)(want));                                     \
		assert_true(fabs((x) - (want)) <= (tolerance));                                                                \
	} while (0)

static double share(const sn_evidence *ev, int l, int r) { return ev->accuracy[l * R + r].value; }

static void numbers_of_base_are_those_planted(void **state)
{
	sn_evidence ev;
	localize(test_ctx(state), &ev, PLANTED_BASE, 1, &items, true);
	assert_near(ev.behaviour[0].accuracy.value, 1, 0.05);
	assert_near(share(&ev, 0, PR_SUBJECT), 0.5, 0.12);
	for (int l = 1; l < L; l++)
		assert_near(share(&ev, l, PR_SUBJECT), 1, 0.1); /* the faintest lemmas are near the noise */
	for (int l = 1; l < 3; l++) {
		assert_near(sn_band_at(&ev.e, l, PR_SUBJECT)->point, 1, 1e-3);
		assert_near(sn_band_at(&ev.e_sub, l, PR_SUBJECT)->point, 1, 0.15);
	}
	assert_near(sn_band_at(&ev.e_sub, 0, PR_SUBJECT)->point, 0, 0.1);
	assert_near(sn_band_at(&ev.e, 3, PR_SUBJECT)->point, 0, 1e-3);
	assert_near(sn_band_at(&ev.e, 2, PR_LAST)->point, 0, 1e-3);
	assert_near(sn_band_at(&ev.e, 3, PR_LAST)->point, 1, 1e-3);
	assert_near(sn_band_at(&ev.move, 3, PR_LAST)->point, 1, 1e-3);
	for (int l = 0; l < L; l++) assert_near(sn_band_at(&ev.e, l, R)->point, 0, 1e-3); /* other */
	for (int l = 0; l < L; l++)
		for (int r = 0; r < R; r++) assert_near(sn_band_at(&ev.attractor, l, r)->point, 0, 1e-3);
	assert_true(ev.n_erased >= 3);
	for (int i = 0; i < ev.n_erased; i++) {
		const sn_erased_cell *e = &ev.erased[i];
		print_message("erased layer %d %s: X %.3f [%.3f %.3f] controls %.3f %.3f gate %.3f [%.3f] before %.3f\n", e->l,
					  ev.role[e->r], e->x.point, e->x.sim_low, e->x.sim_high, e->control_label, e->control_random,
					  e->gate.point, e->gate.sim_high, e->before.point);
		assert_true(e->complete && e->counts);
		assert_near(e->x.point, 1, 0.15);
	}
	for (int f = 0; f < ev.n_first; f++) {
		const sn_first *x = &ev.first[f];
		double sum = 0;
		for (int l = 0; l <= L; l++) sum += x->share[l];
		assert_near(sum, 1, 1e-9);
		if (x->role == PR_SUBJECT) assert_int_equal(x->point, 1);
		if (x->role == PR_ATTRACTOR) assert_int_equal(x->point, -1);
	}
}

/* Refitted probes: the same point estimates, intervals that are no narrower on average, the same verdicts. */
static void refits_add_the_variation_of_training(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_localize_options o = options(false);
	sn_evidence fixed, refitted;
	sn_model *model;
	planted_fill(&weights, PLANTED_BASE, 1);
	assert_ok(ctx, planted_open(&model, ctx, &weights));
	o.n_random = 0;
	assert_ok(ctx, sn_localize_run(&fixed, ctx, model, &items, &o, arena));
	o.n_refit = 30;
	assert_ok(ctx, sn_localize_run(&refitted, ctx, model, &items, &o, arena));
	double narrow = 0, wide = 0;
	for (int c = 0; c < CELLS; c++) {
		assert_near(fixed.info.band[c].point, refitted.info.band[c].point, 1e-12);
		narrow += fixed.info.band[c].se;
		wide += refitted.info.band[c].se;
	}
	assert_int_equal(refitted.info.reps.n_boot, 30);
	print_message("standard errors: %.4f held fixed, %.4f refitted\n", narrow / CELLS, wide / CELLS);
	assert_true(wide > narrow);
	assert_int_equal(compare(&refitted, PLANTED_BASE, 1).wrong, 0);
	sn_model_close(model);
}

static void split_halves_pass_on_both_ways(void **state)
{
	sn_evidence ev;
	localize(test_ctx(state), &ev, PLANTED_SPLIT, 2, &items, true);
	assert_near(sn_band_at(&ev.e, 2, PR_SUBJECT)->point, 0.5, 0.05);
	assert_near(sn_band_at(&ev.e, 2, PR_LAST)->point, 0.5, 0.05);
	for (int i = 0; i < ev.n_erased; i++)
		if (ev.erased[i].l == 2) assert_near(ev.erased[i].x.point, 0.5, 0.1);
}

/* The parts that were built, and no others; the last position has the choice after the block that brings it there. */
static void parts_are_those_built(void **state)
{
	static const struct {
		planted_variant variant;
		int n, block[3], part[3], role[3];
		double effect[3], lens[L];
	} want[] = {
		{ PLANTED_BASE, 2, { 0, 2 }, { PLANTED_HEADS, 0 }, { PR_SUBJECT, PR_LAST }, { 1, 1 }, { 0, 0, 0, 1, 1 } },
		{ PLANTED_SPLIT, 3, { 0, 1, 2 }, { PLANTED_HEADS, 0, 0 }, { PR_SUBJECT, PR_LAST, PR_LAST }, { 1, 0.5, 0.5 },
		  { 0, 0, 0.5, 1, 1 } },
	};
	for (int v = 0; v < SN_COUNT(want); v++) {
		sn_evidence ev;
		sn_mark mark = sn_arena_mark(arena);
		localize(test_ctx(state), &ev, want[v].variant, 1, &fewer, false);
		assert_int_equal(ev.n_part, PLANTED_HEADS + 1);
		assert_int_equal(ev.n_top, 10);
		for (int b = 0; b < PLANTED_BLOCKS; b++)
			for (int c = 0; c < ev.n_part * (R + 1); c++) {
				double expected = 0;
				for (int i = 0; i < want[v].n; i++)
					if (b == want[v].block[i] && c == want[v].part[i] * (R + 1) + want[v].role[i])
						expected = want[v].effect[i];
				assert_near(sn_band_at(&ev.part, b, c)->point, expected, 0.02);
				for (int i = 0; i < ev.n_top; i++)
					if (ev.top[i] == b * ev.n_part * (R + 1) + c)
						assert_near(sn_band_at(&ev.top_patched, 0, i)->point, expected, 0.02);
			}
		for (int l = 0; l < L; l++) assert_near(sn_band_at(&ev.lens, l, 0)->point, want[v].lens[l], 0.02);
		assert_near(sn_band_at(&ev.lens, L - 1, 0)->point, 1, 1e-6);
		assert_near(ev.lens_right[L - 1].value, ev.behaviour[0].accuracy.value, 1e-6);
		if (want[v].variant == PLANTED_BASE) assert_int_equal(ev.lens_first.point, 3);
		sn_arena_reset(arena, mark);
	}
}

static const sn_erased_cell *erased_at(const sn_evidence *ev, int l, int r, sn_erase_scope scope)
{
	for (int i = 0; i < ev->n_erased; i++) {
		const sn_erased_cell *e = &ev->erased[i];
		if (e->l == l && e->r == r && e->scope == scope) return e;
	}
	fail_msg("nothing was erased at layer %d, %s, scope %d", l, ev->role[r], (int)scope);
	return NULL;
}

/* Half of n goes to the last position in block 1, half in block 2. What an erasure costs depends on where it acts: the
 * subject after block 1 has half of it left to give; the last position has half of it then, and all of it later; from
 * the subject on it is everything. */
static void wider_erasures_cost_what_passes_later(void **state)
{
	static const struct {
		int l, r;
		double x[SN_ERASE_SCOPES]; /* here alone, this role from here on, all positions from here on */
	} want[] = {
		{ 1, PR_SUBJECT, { 1, 1, 1 } }, { 2, PR_SUBJECT, { 0.5, 0.5, 1 } }, { 2, PR_LAST, { 0.5, 1, 1 } },
		{ 3, PR_LAST, { 1, 1, 1 } },    { 4, PR_LAST, { 1, 1, 1 } },
	};
	sn_ctx *ctx = test_ctx(state);
	sn_localize_options o = options(true);
	sn_evidence ev;
	sn_model *model;
	o.n_random = 0;
	o.wide_step = 1;
	o.n_wide_draw = 5;
	planted_fill(&weights, PLANTED_SPLIT, 2);
	assert_ok(ctx, planted_open(&model, ctx, &weights));
	assert_ok(ctx, sn_localize_run(&ev, ctx, model, &items, &o, arena));
	sn_model_close(model);
	assert_int_equal(ev.n_erased, SN_COUNT(want) * SN_ERASE_SCOPES);
	for (int i = 0; i < SN_COUNT(want); i++)
		for (int s = 0; s < SN_ERASE_SCOPES; s++) {
			const sn_erased_cell *e = erased_at(&ev, want[i].l, want[i].r, (sn_erase_scope)s);
			print_message("%d %s %s: X %.3f [%.3f %.3f] controls %.3f %.3f\n", e->l, ev.role[e->r],
						  sn_erase_scope_text(e->scope), e->x.point, e->x.sim_low, e->x.sim_high, e->control_label,
						  e->control_random);
		}
	for (int i = 0; i < SN_COUNT(want); i++)
		for (int s = 0; s < SN_ERASE_SCOPES; s++) {
			const sn_erased_cell *e = erased_at(&ev, want[i].l, want[i].r, (sn_erase_scope)s);
			assert_near(e->x.point, want[i].x[s], 0.1);
			assert_true(e->complete);
		}
}

static void attractors_pull_without_winning(void **state)
{
	sn_evidence ev;
	localize(test_ctx(state), &ev, PLANTED_ATTRACT, 3, &items, false);
	assert_near(ev.attractor_total.point, 0.43, 0.05);
	assert_near(sn_band_at(&ev.attractor, 1, PR_ATTRACTOR)->point, 0.43, 0.05);
	assert_near(sn_band_at(&ev.attractor, 3, PR_ATTRACTOR)->point, 0, 0.01);
	for (int b = 0; b < ev.n_behaviour; b++)
		if (strcmp(ev.behaviour[b].kind, "condition") == 0 && strstr(ev.behaviour[b].name, "mismatch"))
			assert_near(ev.behaviour[b].accuracy.value, 1, 0.05);
}

static void a_bias_hides_the_choice_but_not_its_cause(void **state)
{
	sn_evidence ev;
	localize(test_ctx(state), &ev, PLANTED_BIASED, 4, &items, false);
	assert_near(ev.behaviour[0].accuracy.value, 0.5, 0.01);
	assert_true(ev.behaviour[0].bias.point > 5);
	assert_int_equal(ev.n_flip_pair, 0);
	assert_near(sn_band_at(&ev.e, 1, PR_SUBJECT)->point, 1, 1e-3);
}

static void an_unread_feature_is_no_choice(void **state)
{
	sn_evidence ev;
	localize(test_ctx(state), &ev, PLANTED_UNREAD, 5, &items, true);
	assert_false(ev.chooses);
	assert_false(isnan(ev.d_main.point) || isnan(ev.d_main.low));
	for (int b = 0; b < ev.n_behaviour; b++)
		assert_false(ev.behaviour[b].n > 0 && isnan(ev.behaviour[b].accuracy.value));
	for (int c = 0; c < CELLS; c++) {
		assert_false(isnan(ev.info.band[c].point));
		assert_int_equal(ev.judgement[0][c].verdict, SN_VERDICT_NA);
	}
	assert_int_equal(ev.n_erased, 0);
}

/* g is written as n is, but nothing reads it. */
static void an_idle_feature_is_encoded_and_not_chosen_by(void **state)
{
	sn_evidence ev;
	localize(test_ctx(state), &ev, PLANTED_BASE, 6, &idle, false);
	assert_false(ev.chooses);
	assert_near(share(&ev, 0, PR_SUBJECT), 0.5, 0.12);
	for (int l = 1; l < L; l++)
		assert_near(share(&ev, l, PR_SUBJECT), 1, 0.1); /* the faintest lemmas are near the noise */
	assert_near(share(&ev, 2, PR_LAST), 0.5, 0.12);
	assert_near(share(&ev, 3, PR_LAST), 1, 0.05);
}

static bool says(const sn_result *result, sn_line_kind kind, const char *words)
{
	const sn_line *line;
	for (int i = 0; (line = sn_result_line(result, kind, i)); i++)
		if (strstr(line->text, words)) return true;
	print_error("no line says: %s\n", words);
	return false;
}

/* A number that is none, and not a part of a word as in provenance. */
static bool has_nan(const char *page)
{
	for (const char *at = page; (at = strstr(at, "nan")); at++)
		if (at == page || !isalpha((unsigned char)at[-1])) return true;
	return false;
}

/* Tables, sentences and limitations of a whole report; the page draws. */
static sn_result *report(sn_ctx *ctx, const sn_evidence *ev)
{
	sn_result *result;
	assert_ok(ctx, sn_result_open(&result, ctx, sn_method_find("", "localize")));
	if (ev->russian) assert_ok(ctx, sn_result_in_russian(result));
	assert_ok(ctx, sn_localize_rows(result, ev));
	assert_ok(ctx, sn_localize_say(result, ev, "The planted model"));
	assert_ok(ctx, sn_localize_limits(result, ev));
	sn_buf page = { .ctx = ctx };
	assert_ok(ctx, sn_report_html(&page, result));
	assert_ok(ctx, sn_report_text(&page, result, 20, false));
	assert_true(page.size > 10000);
	assert_false(has_nan(page.data));
	sn_buf_free(&page);
	return result;
}

/* Whether every line of a kind has Cyrillic letters and no English article. */
static bool all_russian(const sn_result *result, sn_line_kind kind)
{
	const sn_line *line;
	for (int i = 0; (line = sn_result_line(result, kind, i)); i++)
		if (strstr(line->text, " the ") || !strpbrk(line->text, "\xd0\xd1")) {
			print_error("not Russian: %s\n", line->text);
			return false;
		}
	return true;
}

static void the_report_can_be_russian(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_evidence ev;
	sn_buf page = { .ctx = ctx };
	sn_mark mark = sn_arena_mark(arena);
	localize(ctx, &ev, PLANTED_BASE, 1, &fewer, false);
	ev.russian = true;
	sn_result *result = report(ctx, &ev);
	assert_true(says(result, SN_LINE_SUMMARY, "выбирает форму по признаку «число» (подлежащее)"));
	assert_true(says(result, SN_LINE_SUMMARY, "Число кодируется на подлежащем в слоях 1–4 (не более"));
	assert_true(says(result, SN_LINE_SUMMARY, "Выбор проходит через подлежащее в слоях 1–2"));
	assert_true(says(result, SN_LINE_SUMMARY, "В слое 3 на подлежащем число кодируется, но дальше не используется."));
	assert_true(says(result, SN_LINE_SUMMARY, "Выбор нигде не проходит через аттрактор"));
	assert_true(all_russian(result, SN_LINE_SUMMARY));
	assert_true(all_russian(result, SN_LINE_LIMIT));
	assert_ok(ctx, sn_report_html(&page, result));
	assert_non_null(strstr(page.data, "<html lang=\"ru\">"));
	assert_non_null(strstr(page.data, ">Выводы<"));
	assert_non_null(strstr(page.data, "закодировано и используется"));
	assert_null(strstr(page.data, "encoded and used"));
	assert_null(strstr(page.data, ">Summary<"));
	sn_buf_free(&page);
	sn_result_close(result);
	sn_arena_reset(arena, mark);
}

static int count_lines(const sn_result *result, sn_line_kind kind, const char *words)
{
	int n = 0;
	const sn_line *line;
	for (int i = 0; (line = sn_result_line(result, kind, i)); i++) n += strstr(line->text, words) != NULL;
	return n;
}

/* Two phenomena, one report: every row and sentence of each under its name, limitations that both have once. */
static void phenomena_are_compared_side_by_side(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_evidence ev[2];
	sn_result *result;
	sn_buf page = { .ctx = ctx };
	sn_mark mark = sn_arena_mark(arena);
	localize(ctx, &ev[0], PLANTED_BASE, 1, &fewer, false);
	localize(ctx, &ev[1], PLANTED_UNREAD, 1, &idle, false);
	assert_ok(ctx, sn_result_open(&result, ctx, sn_method_find("", "localize")));
	assert_ok(ctx, sn_localize_compare(result, ev, 2, "The planted model"));
	assert_int_equal(sn_result_rows(result, SN_T_CURVES), 0);
	assert_int_equal(sn_result_rows(result, SN_T_ALL_CURVES), 2 * (CELLS + L));
	assert_int_equal(sn_result_rows(result, SN_T_ALL_VERDICTS), CELLS);
	const sn_value *row = sn_result_row(result, SN_T_ALL_CURVES, 0);
	assert_string_equal(row[0].s, "planted/number");
	assert_string_equal(sn_result_row(result, SN_T_ALL_CURVES, CELLS + L)[0].s, "planted/idle");
	assert_true(row[3].f == sn_band_at(&ev[0].info, 0, 0)->point);
	assert_true(says(result, SN_LINE_SUMMARY, "planted/number: The planted model chooses by the number"));
	assert_true(says(result, SN_LINE_SUMMARY, "planted/idle: The planted model makes no such choice"));
	assert_int_equal(count_lines(result, SN_LINE_LIMIT, "Training variation is not included"), 1);
	assert_int_equal(count_lines(result, SN_LINE_LIMIT, "planted/number: Erasure was not run"), 1);
	assert_ok(ctx, sn_report_html(&page, result));
	assert_ok(ctx, sn_report_text(&page, result, 20, false));
	assert_non_null(strstr(page.data, "Encoded, passing, used, compared"));
	sn_buf_free(&page);
	sn_result_close(result);
	sn_arena_reset(arena, mark);
}

static void the_report_says_it_in_sentences(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_evidence ev;
	localize(ctx, &ev, PLANTED_BASE, 1, &items, true);
	sn_result *result = report(ctx, &ev);
	assert_int_equal(sn_result_rows(result, SN_T_VERDICTS), CELLS);
	assert_int_equal(sn_result_rows(result, SN_T_CURVES), CELLS + L);
	assert_int_equal(sn_result_rows(result, SN_T_WORDS), items.n_choice);
	assert_int_equal(sn_result_rows(result, SN_T_ERASURE), ev.n_erased);
	assert_true(says(result, SN_LINE_SUMMARY, "chooses by the"));
	assert_true(says(result, SN_LINE_SUMMARY, "at the subject in layers 1–4"));
	assert_true(says(result, SN_LINE_SUMMARY, "passes the subject in layers 1–2"));
	assert_true(says(result, SN_LINE_SUMMARY, "never passes the attractor"));
	assert_true(says(result, SN_LINE_LIMIT, "Training variation is not included"));
	sn_result_close(result);
	localize(ctx, &ev, PLANTED_UNREAD, 1, &items, true);
	result = report(ctx, &ev);
	assert_true(says(result, SN_LINE_SUMMARY, "makes no such choice"));
	assert_int_equal(sn_result_rows(result, SN_T_VERDICTS), 0);
	sn_result_close(result);
}

/* The planted items with a neutral word before the subject in every other pair's plural member. */
static void lengthen(sn_items *out)
{
	int64_t n = items.n, room = items.start[n] + n;
	int32_t *token = SN_TAKE(arena, int32_t, room), (*span)[2] = SN_TAKE(arena, role_span, n * R);
	int64_t *start = SN_TAKE(arena, int64_t, n + 1);
	bool *longer = SN_TAKE(arena, bool, n);
	assert_true(token && span && start && longer);
	*out = items;
	for (int64_t p = 0; p < items.n_pair; p++) {
		const sn_pair *pair = &items.pair[p];
		longer[pair->base] |= p / 2 % 2 == 0 && items.item[pair->base].n > 0;
	}
	for (int64_t p = 0; p < items.n_pair; p++)
		out->n_unequal += longer[items.pair[p].base] != longer[items.pair[p].source];
	for (int64_t i = 0; i < n; i++) {
		int64_t length = items.start[i + 1] - items.start[i];
		const int32_t *from = items.token + items.start[i];
		int32_t *to = token + start[i];
		memcpy(to, from, 2 * sizeof *to);
		to[2] = PT_WORD;
		memcpy(to + 2 + longer[i], from + 2, (size_t)(length - 2) * sizeof *to);
		start[i + 1] = start[i] + length + longer[i];
		for (int k = 0; k < 2 * R; k++) {
			int32_t at = items.span[i * R + k / 2][k % 2];
			span[i * R + k / 2][k % 2] = at < 0 ? -1 : at + longer[i];
		}
	}
	out->token = token, out->start = start, out->span = (const int32_t(*)[2])span;
}

/* Roles are aligned by their last tokens, so what is planted is found just the same; "other" rests on the pairs of
 * equal length. At the embedding the subject is no tautology any more: the words around it differ in number. */
static void members_may_differ_in_length(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_items longer;
	sn_evidence ev;
	lengthen(&longer);
	assert_true(longer.n_unequal > 0 && longer.n_unequal < longer.n_pair);
	localize(ctx, &ev, PLANTED_BASE, 1, &longer, false);
	for (int c = 1; c < CELLS; c++) assert_int_equal(ev.judgement[0][c].verdict, truth[PLANTED_BASE][c / R][c % R]);
	assert_int_equal(ev.judgement[0][PR_SUBJECT].e, SN_ANSWER_YES);
	assert_int_not_equal(ev.judgement[0][PR_SUBJECT].verdict, T);
	for (int l = 0; l < L; l++) {
		assert_near(sn_band_at(&ev.e, l, PR_SUBJECT)->point, l < 3, 1e-3);
		assert_near(sn_band_at(&ev.e, l, PR_LAST)->point, l >= 3, 1e-3);
		assert_near(sn_band_at(&ev.e, l, R)->point, 0, 1e-3);
	}
	sn_result *result = report(ctx, &ev);
	assert_true(says(result, SN_LINE_LIMIT, "differ in their number of tokens"));
	sn_result_close(result);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_of_base_are_those_planted),
		cmocka_unit_test(refits_add_the_variation_of_training),
		cmocka_unit_test(split_halves_pass_on_both_ways),
		cmocka_unit_test(parts_are_those_built),
		cmocka_unit_test(wider_erasures_cost_what_passes_later),
		cmocka_unit_test(attractors_pull_without_winning),
		cmocka_unit_test(inherent_features_lose_what_lemmas_do),
		cmocka_unit_test(a_bias_hides_the_choice_but_not_its_cause),
		cmocka_unit_test(an_unread_feature_is_no_choice),
		cmocka_unit_test(an_idle_feature_is_encoded_and_not_chosen_by),
		cmocka_unit_test(the_report_says_it_in_sentences),
		cmocka_unit_test(the_report_can_be_russian),
		cmocka_unit_test(phenomena_are_compared_side_by_side),
		cmocka_unit_test(members_may_differ_in_length),
		cmocka_unit_test(base_is_reported_as_built),
		cmocka_unit_test(split_is_reported_as_built),
		cmocka_unit_test(nonlinear_is_reported_as_built),
		cmocka_unit_test(attract_is_reported_as_built),
		cmocka_unit_test(biased_is_reported_as_built),
	};
	return cmocka_run_group_tests(tests, open_items, close_items);
}
