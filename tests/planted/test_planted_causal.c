/* causal patch and causal erase on the planted models: what they must say is known. */
#include "base/option.h"
#include "common/test.h"
#include "methods/causal/erase.h"
#include "methods/causal/patch.h"
#include "planted/planted.h"

#include <math.h>
#include <string.h>

enum { L = PLANTED_BLOCKS, PLACES = PLANTED_ROLES + 1, OTHER = PLANTED_ROLES };

static sn_arena *arena;
static sn_items number, idle;
static planted_weights weights;

static int open_items(void **state)
{
	if (test_open(state) != 0) return -1;
	return sn_arena_open(&arena, *state) != SN_OK || planted_items(&number, arena, PLANTED_NUMBER) != SN_OK ||
		   planted_items(&idle, arena, PLANTED_IDLE) != SN_OK;
}

static int close_items(void **state)
{
	sn_arena_close(arena);
	return test_close(state);
}

/* ---- patching ---- */

/* One patch run: effects and nats by boundary and place (subject, attractor, last, other), and D. */
typedef struct patched {
	double effect[L + 1][PLACES], low[L + 1][PLACES], high[L + 1][PLACES], nats[L + 1][PLACES], flips[L + 1][PLACES], d;
} patched;

static patched patch(sn_ctx *ctx, planted_variant variant, const sn_items *items, const char *kind,
					 const char *subspace)
{
	sn_model *model;
	sn_result *result;
	sn_patch_param param = { 0 };
	patched out;
	sn_param_table table = { sn_method_causal_patch.param, sn_method_causal_patch.n_param };
	assert_ok(ctx, sn_param_defaults(ctx, &table, arena, &param));
	param.kind = kind;
	param.subspace = subspace;
	param.places = "subject,attractor,last,other";
	if (strcmp(subspace, "none") != 0) param.places = "subject,attractor,last";
	param.resamples = 400;
	planted_fill(&weights, variant, 1);
	assert_ok(ctx, planted_open(&model, ctx, &weights));
	assert_ok(ctx, sn_result_open(&result, ctx, &sn_method_causal_patch));
	assert_ok(ctx, sn_causal_patch(ctx, model, items, &param, result));
	int n_place = strcmp(subspace, "none") == 0 ? PLACES : PLACES - 1;
	assert_int_equal(sn_result_rows(result, 0), (L + 1) * n_place);
	for (int i = 0; i < (L + 1) * n_place; i++) {
		const sn_value *row = sn_result_row(result, 0, i);
		int l = i / n_place, p = i % n_place;
		out.effect[l][p] = row[2].f;
		out.low[l][p] = row[3].f;
		out.high[l][p] = row[4].f;
		out.nats[l][p] = row[5].f;
		out.flips[l][p] = row[8].f;
	}
	out.d = sn_result_row(result, 1, 0)[1].f;
	sn_result_close(result);
	sn_model_close(model);
	return out;
}

static void near(double x, double want, double tolerance, const char *what, int l)
{
	if (!(fabs(x - want) <= tolerance))
		fail_msg("%s at boundary %d: %g, expected %g within %g", what, l, x, want, tolerance);
}

typedef double curve[L + 1];
static const curve until_2 = { 1, 1, 1, 0, 0 }, coded_until_2 = { 0, 1, 1, 0, 0 }, from_3 = { 0, 0, 0, 1, 1 },
				   never = { 0 };

static void check(const patched *got, int place, const curve want, double tolerance, const char *what)
{
	for (int l = 0; l <= L; l++) {
		near(got->effect[l][place], want[l], tolerance, what, l);
		near(got->nats[l][place], want[l] * got->d, tolerance * got->d, what, l);
		assert_true(got->low[l][place] <= got->effect[l][place] && got->effect[l][place] <= got->high[l][place]);
	}
}

static void base_passes_at_subject_then_last(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	patched full = patch(ctx, PLANTED_BASE, &number, "main", "none"),
			sub = patch(ctx, PLANTED_BASE, &number, "main", "leace");
	check(&full, PR_SUBJECT, until_2, 1e-3, "E subject");
	check(&full, PR_LAST, from_3, 1e-3, "E last");
	check(&full, PR_ATTRACTOR, never, 1e-3, "E attractor");
	check(&full, OTHER, never, 1e-3, "E other");
	check(&sub, PR_SUBJECT, coded_until_2, 0.05, "E_sub subject");
	check(&sub, PR_LAST, from_3, 0.05, "E_sub last");
	check(&sub, PR_ATTRACTOR, never, 1e-3, "E_sub attractor");
	near(full.flips[0][PR_SUBJECT], 1, 0, "flips", 0);
	near(full.flips[0][PR_LAST], 0, 0, "flips", 0);
	assert_true(full.d > 3);
}

static void idle_feature_has_no_effect(void **state)
{
	patched g = patch(test_ctx(state), PLANTED_BASE, &idle, "main", "none");
	for (int l = 0; l <= L; l++)
		for (int p = 0; p < PLACES; p++) {
			assert_true(isnan(g.effect[l][p])); /* pairs that flip g make no such choice: no shares */
			near(g.nats[l][p], 0, 0.15, "nats of g", l);
		}
}

static void split_passes_twice(void **state)
{
	static const curve subject = { 1, 1, 0.5, 0, 0 }, coded = { 0, 1, 0.5, 0, 0 }, last = { 0, 0, 0.5, 1, 1 };
	sn_ctx *ctx = test_ctx(state);
	patched full = patch(ctx, PLANTED_SPLIT, &number, "main", "none"),
			sub = patch(ctx, PLANTED_SPLIT, &number, "main", "leace");
	check(&full, PR_SUBJECT, subject, 0.01, "E subject");
	check(&full, PR_LAST, last, 0.01, "E last");
	check(&sub, PR_SUBJECT, coded, 0.05, "E_sub subject");
	check(&sub, PR_LAST, last, 0.05, "E_sub last");
}

static void nonlinear_passes_outside_the_encoding(void **state)
{
	static const curve coded_last = { 0, 0, 0, 0, 1 };
	sn_ctx *ctx = test_ctx(state);
	patched full = patch(ctx, PLANTED_NONLINEAR, &number, "main", "none"),
			sub = patch(ctx, PLANTED_NONLINEAR, &number, "main", "leace");
	check(&full, PR_SUBJECT, until_2, 1e-3, "E subject");
	check(&full, PR_LAST, from_3, 1e-3, "E last");
	check(&sub, PR_SUBJECT, never, 0.05, "E_sub subject");
	check(&sub, PR_LAST, coded_last, 0.05, "E_sub last");
}

static void attractor_pulls_where_it_is_read(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	patched pulled = patch(ctx, PLANTED_ATTRACT, &number, "attractor", "none"),
			base = patch(ctx, PLANTED_BASE, &number, "attractor", "none");
	static const curve pull = { 0.43, 0.43, 0.43, 0, 0 }, arrive = { 0, 0, 0, 0.43, 0.43 };
	check(&pulled, PR_ATTRACTOR, pull, 0.02, "attractor's E at the attractor");
	check(&pulled, PR_LAST, arrive, 0.02, "attractor's E at last");
	check(&pulled, PR_SUBJECT, never, 1e-3, "attractor's E at the subject");
	for (int p = 0; p < PLACES; p++) check(&base, p, never, 1e-3, "attractor's E in base");
}

/* Of all heads' outputs at the last token, head 0 of block 2 alone carries the choice; of positions, the subject's. */
static void one_head_carries_it(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_patch_param param = { .sites = "blocks.*.attn.hook_z[*]",
							 .every = 1,
							 .by = "role",
							 .places = "last",
							 .kind = "main",
							 .subspace = "none",
							 .pairs = 64,
							 .resamples = 200 };
	sn_model *model;
	sn_result *result;
	planted_fill(&weights, PLANTED_BASE, 1);
	assert_ok(ctx, planted_open(&model, ctx, &weights));
	assert_ok(ctx, sn_result_open(&result, ctx, &sn_method_causal_patch));
	assert_ok(ctx, sn_causal_patch(ctx, model, &number, &param, result));
	assert_int_equal(sn_result_rows(result, 0), L * PLANTED_HEADS);
	for (int i = 0; i < L * PLANTED_HEADS; i++) {
		const sn_value *row = sn_result_row(result, 0, i);
		near(row[2].f, strcmp(row[0].s, "blocks.2.attn.hook_z[0]") == 0 ? 1 : 0, 1e-3, row[0].s, 0);
		assert_int_equal(row[10].i, 64);
	}
	sn_result_close(result);
	param.sites = "blocks.0.hook_resid_pre";
	param.by = "position";
	assert_ok(ctx, sn_result_open(&result, ctx, &sn_method_causal_patch));
	assert_ok(ctx, sn_causal_patch(ctx, model, &number, &param, result));
	assert_int_equal(sn_result_rows(result, 0), 6);
	for (int i = 0; i < 6; i++) {
		/* counted from the end the subject is -4 with an attractor, -5 with a filler */
		const sn_value *row = sn_result_row(result, 0, i);
		bool subject = strcmp(row[1].s, "-4") == 0 || strcmp(row[1].s, "-5") == 0;
		if (subject)
			assert_true(row[2].f > 0.4 && row[2].f < 0.6);
		else
			near(row[2].f, 0, 1e-3, row[1].s, 0);
	}
	sn_result_close(result);
	sn_model_close(model);
}

/* Other lemmas have other amplitudes, so a placebo is not silent; it is silent where nothing passes. */
static void placebo_is_a_floor(void **state)
{
	patched p = patch(test_ctx(state), PLANTED_BASE, &number, "placebo", "none");
	for (int l = 0; l <= L; l++) {
		bool passes = l < 3;
		if (passes)
			assert_true(p.effect[l][PR_SUBJECT] > 0.02 && p.effect[l][PR_SUBJECT] < 0.6);
		else
			near(p.effect[l][PR_SUBJECT], 0, 1e-3, "placebo subject", l);
		near(p.effect[l][PR_ATTRACTOR], 0, 1e-3, "placebo attractor", l);
	}
}

static void bias_hides_nothing(void **state)
{
	patched full = patch(test_ctx(state), PLANTED_BIASED, &number, "main", "none");
	check(&full, PR_SUBJECT, until_2, 1e-3, "E subject");
	for (int l = 0; l <= L; l++)
		for (int p = 0; p < PLACES; p++) assert_true(isnan(full.flips[l][p])); /* no pair has both members right */
}

static void unread_makes_no_choice(void **state)
{
	patched full = patch(test_ctx(state), PLANTED_UNREAD, &number, "main", "none");
	near(full.d, 0, 0.01, "D", 0);
	for (int l = 0; l <= L; l++)
		for (int p = 0; p < PLACES; p++) {
			assert_true(isnan(full.effect[l][p]));
			near(full.nats[l][p], 0, 0.01, "nats", l);
		}
}

/* ---- erasing ---- */

typedef struct erased {
	double cost[L][PLANTED_ROLES], labels[L][PLANTED_ROLES], random[L][PLANTED_ROLES], left[L][PLANTED_ROLES],
		before[L][PLANTED_ROLES];
	int64_t counts[L][PLANTED_ROLES];
} erased;

static erased erase(sn_ctx *ctx, planted_variant variant, const char *scope)
{
	sn_model *model;
	sn_result *result;
	sn_erase_param param = { 0 };
	erased out;
	sn_param_table table = { sn_method_causal_erase.param, sn_method_causal_erase.n_param };
	assert_ok(ctx, sn_param_defaults(ctx, &table, arena, &param));
	param.every = 1;
	param.scope = scope;
	param.draws = 5;
	param.resamples = 400;
	planted_fill(&weights, variant, 1);
	assert_ok(ctx, planted_open(&model, ctx, &weights));
	assert_ok(ctx, sn_result_open(&result, ctx, &sn_method_causal_erase));
	assert_ok(ctx, sn_causal_erase(ctx, model, &number, &param, result));
	assert_int_equal(sn_result_rows(result, 0), L * PLANTED_ROLES);
	for (int i = 0; i < L * PLANTED_ROLES; i++) {
		const sn_value *row = sn_result_row(result, 0, i);
		int l = i / PLANTED_ROLES, r = i % PLANTED_ROLES;
		out.cost[l][r] = row[2].f;
		out.labels[l][r] = row[5].f;
		out.random[l][r] = row[6].f;
		out.left[l][r] = row[7].f;
		out.before[l][r] = row[10].f;
		out.counts[l][r] = row[12].i;
	}
	sn_result_close(result);
	sn_model_close(model);
	return out;
}

static void print_erased(const erased *e)
{
	if (!getenv("SN_VERBOSE")) return;
	for (int l = 0; l < L; l++)
		for (int r = 0; r < PLANTED_ROLES; r++)
			print_message("block %d role %d cost %.3f labels %.3f random %.3f left %.3f before %.3f counts %d\n", l, r,
						  e->cost[l][r], e->labels[l][r], e->random[l][r], e->left[l][r], e->before[l][r],
						  (int)e->counts[l][r]);
}

static void erasure_costs_what_is_used(void **state)
{
	erased e = erase(test_ctx(state), PLANTED_BASE, "at");
	print_erased(&e);
	for (int l = 0; l < L; l++) {
		double subject = l < 2 ? 1 : 0, last = l < 2 ? 0 : 1;
		near(e.cost[l][PR_SUBJECT], subject, 0.05, "X subject", l);
		near(e.cost[l][PR_LAST], last, 0.05, "X last", l);
		assert_int_equal(e.counts[l][PR_SUBJECT], subject == 1);
		assert_int_equal(e.counts[l][PR_LAST], last == 1);
		assert_true(e.left[l][PR_SUBJECT] < 0.05 && e.before[l][PR_SUBJECT] > 0.15);
		assert_true(fabs(e.random[l][PR_SUBJECT]) < 0.6);
	}
}

static void erasure_spares_what_is_not_linear(void **state)
{
	erased e = erase(test_ctx(state), PLANTED_NONLINEAR, "onward");
	print_erased(&e);
	for (int l = 0; l < L; l++) {
		near(e.cost[l][PR_SUBJECT], 0, 0.05, "X subject", l);
		assert_int_equal(e.counts[l][PR_SUBJECT], 0);
	}
}

/* The last position gets half of n in block 1 and half in block 2. Erased there from block 1 on it has nothing left;
 * erased after block 1 alone, half comes again. */
static void erasers_that_act_together_fit_what_is_left(void **state)
{
	static const double alone[L] = { 0, 0.5, 1, 1 }, onward[L] = { 1, 1, 1, 1 };
	sn_ctx *ctx = test_ctx(state);
	erased a = erase(ctx, PLANTED_SPLIT, "at"), o = erase(ctx, PLANTED_SPLIT, "onward");
	print_erased(&o);
	for (int l = 0; l < L; l++) {
		near(a.cost[l][PR_LAST], alone[l], 0.05, "X last alone", l);
		near(o.cost[l][PR_LAST], onward[l], 0.05, "X last onward", l);
		assert_int_equal(o.counts[l][PR_LAST], 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base_passes_at_subject_then_last),
		cmocka_unit_test(idle_feature_has_no_effect),
		cmocka_unit_test(split_passes_twice),
		cmocka_unit_test(nonlinear_passes_outside_the_encoding),
		cmocka_unit_test(attractor_pulls_where_it_is_read),
		cmocka_unit_test(one_head_carries_it),
		cmocka_unit_test(placebo_is_a_floor),
		cmocka_unit_test(bias_hides_nothing),
		cmocka_unit_test(unread_makes_no_choice),
		cmocka_unit_test(erasure_costs_what_is_used),
		cmocka_unit_test(erasure_spares_what_is_not_linear),
		cmocka_unit_test(erasers_that_act_together_fit_what_is_left),
	};
	return cmocka_run_group_tests(tests, open_items, close_items);
}
