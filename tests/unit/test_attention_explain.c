/* attention explanation-tests: against torch (tests/oracles/attention.py), and what must hold by definition. */
#include "common/method.h"

#include "io/json.h"
#include "methods/attention/explain.h"

#include <math.h>
#include <string.h>

#define TINY SN_TESTS "/golden/tiny/gqa-tied"

enum { AGREEMENT, CONTROLS, HEADS, CHANGED, ERASURE, SINGLE };

static double number(const json_t *a, size_t i) { return json_number_value(json_array_get(a, i)); }

static double member(const json_t *a, const char *name) { return json_number_value(json_object_get(a, name)); }

static void close_to(double x, double want, double tolerance, const char *what)
{
	if (!(fabs(x - want) <= tolerance)) fail_msg("%s: %.9g, expected %.9g", what, x, want);
}

/* One text of the golden file, under examination with both layers chosen. */
typedef struct examined { method_run r; sn_explained e; sn_attn_texts texts; sn_attn_stacks stacks; } examined;

static void examine(examined *x, sn_ctx *ctx, const char *text)
{
	static const int both[] = { 0, 1 };
	sn_attn_query query = { .column = "auto" };
	method_open(&x->r, ctx, "attention", "explanation-tests", TINY, "data.txt", text);
	assert_ok(ctx, sn_attn_read(&x->texts, ctx, x->r.model, x->r.data, &query, x->r.arena));
	x->stacks = sn_attn_stacks_of(x->r.model);
	x->e = (sn_explained){ .ctx = ctx, .model = x->r.model, .info = sn_model_get_info(x->r.model), .arena = x->r.arena,
		                   .text = &x->texts.text[0], .n_stack = 1 };
	x->e.stack[0] = (sn_explained_stack){ .of = x->stacks.stack, .n_chosen = 2, .chosen = both };
	assert_ok(ctx, sn_explain_open(&x->e));
}

static void check_layers(examined *x, const json_t *layers)
{
	static const int order[] = { SN_ERASE_ATTENTION, SN_ERASE_GRADIENT, SN_ERASE_PRODUCT };
	sn_changed changed[2];
	assert_ok(x->r.ctx, sn_explain_change(&x->e, &x->e.stack[0], 3, changed));
	for (size_t l = 0; l < 2; l++) {
		const json_t *want = json_array_get(layers, l);
		close_to(changed[l].most, member(want, "most"), 1e-5, "largest weight");
		close_to(changed[l].uniform, member(want, "uniform"), 1e-5, "uniform attention");
		for (size_t o = 0; o < 3; o++)
			close_to(changed[l].removed[order[o]], number(json_object_get(want, "removed"), o), 1e-9,
					 "erased until it flips");
	}
}

static void texts_are_examined_as_torch_does(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *golden;
	json_t *text;
	size_t t;
	assert_ok(ctx, sn_json_load(&golden, ctx, SN_TESTS "/golden/attention/explain.json", 0));
	json_array_foreach(json_object_get(golden->root, "texts"), t, text) {
		examined x;
		const json_t *loo = json_object_get(text, "loo"), *layers = json_object_get(text, "layers");
		examine(&x, ctx, json_string_value(json_object_get(text, "text")));
		assert_int_equal(x.e.top, json_integer_value(json_object_get(text, "top")));
		assert_int_equal(x.e.own.n_player, json_array_size(loo));
		for (size_t i = 0; i < json_array_size(loo); i++) {
			close_to(x.e.own.loo[i], number(loo, i), 1e-5, "leave-one-out");
			close_to(x.e.own.gradient[i], number(json_object_get(text, "gradient"), i), 1e-5, "gradient x input");
		}
		check_layers(&x, layers);
		method_go(&x.r, (const char *[]){ "adversaries=0", "permutations=2", NULL });
		for (size_t l = 0; l < 2; l++)
			for (size_t w = 0; w < 2; w++)
				close_to(method_number(&x.r, AGREEMENT, (int64_t)(2 * l + w), "tau"),
						 number(json_object_get(json_array_get(layers, l), "tau"), w), 1e-9, "tau");
		close_to(method_number(&x.r, CONTROLS, 0, "tau"), member(text, "control"), 1e-9, "control");
		method_close(&x.r);
	}
	sn_json_close(golden);
}

/* The model's own weights, imposed, are what it did. */
static void its_own_attention_changes_nothing(void **state)
{
	examined x;
	examine(&x, test_ctx(state), "The keys to the cabinet are on the table");
	int64_t d = (int64_t)x.e.info->n_head * x.e.info->d_head;
	const sn_explained_stack *s = &x.e.stack[0];
	double *own = SN_TAKE(x.r.arena, double, sn_explain_size(s));
	float *z = SN_TAKE(x.r.arena, float, 2 * d);
	sn_predicted got;
	for (int c = 0; c < 2; c++) {
		sn_explain_pattern(s, c, own);
		sn_explain_mix(s, c, own, z + c * d);
	}
	assert_ok(x.r.ctx, sn_explain_variants(&x.e, s, 2, (const int[]){ 0, 1 }, z, &got));
	for (int v = 0; v < 2; v++) {
		close_to(got.tvd[v], 0, 1e-6, "total variation");
		close_to(got.js[v], 0, 1e-9, "divergence");
		assert_int_equal(got.top[v], x.e.top);
	}
	method_close(&x.r);
}

/* What counts leaves the prediction within epsilon; with more room weights go farther. */
static void adversaries_keep_their_promise(void **state)
{
	static const struct { int64_t steps; double epsilon; } search[] = { { 40, 0.001 }, { 40, 0.05 }, { 40, 1 } };
	examined x;
	double before[2] = { 0, 0 };
	examine(&x, test_ctx(state), "The keys to the cabinet are on the table");
	for (int s = 0; s < SN_COUNT(search); s++) {
		sn_explain_param p = { .starts = 3, .steps = search[s].steps, .epsilon = search[s].epsilon };
		sn_changed found[2] = { { .adversary = NAN }, { .adversary = NAN } };
		assert_ok(x.r.ctx, sn_explain_attack(&x.e, &x.e.stack[0], &p, found));
		for (int c = 0; c < 2; c++) {
			assert_true(found[c].adversary > before[c] && found[c].adversary <= log(2));
			assert_true(found[c].adversary_tvd <= search[s].epsilon);
			before[c] = found[c].adversary;
		}
	}
	assert_true(before[0] > 0.3 && before[1] > 0.3);   /* with all the room there is, far away */
	method_close(&x.r);
}

/* Masked models are examined at the mask; without one, or without a head, there is nothing to examine. */
static void masked_models_need_a_mask(void **state)
{
	static const struct { const char *variant, *text, *says; } wrong[] = {
		{ "bert", "the old boathouse are lighted", "no mask" },
		{ "bert-base-only", "the old [MASK] are lighted", "no language-model head" },
		{ "t5", "the old", "source" },
	};
	method_run r;
	method_open_arch(&r, test_ctx(state), "attention", "explanation-tests", "bert", "data.txt",
					 "the old [MASK] are lighted\na [MASK] sleeps near the table\n");
	method_go(&r, (const char *[]){ "permutations=5", "steps=3", NULL });
	for (int64_t i = 0; i < sn_result_rows(r.result, CHANGED); i++)
		for (int k = 0; k < 2; k++) {
			double tvd = method_number(&r, CHANGED, i, k ? "uniform" : "permuted");
			assert_true(tvd >= 0 && tvd <= 1);
		}
	for (int64_t i = 0; i < sn_result_rows(r.result, SINGLE); i++) {
		const sn_value *row = sn_result_row(r.result, SINGLE, i);
		assert_int_equal(row[5].i + row[6].i + row[7].i + row[8].i, 2);
	}
	method_close(&r);
	for (int i = 0; i < SN_COUNT(wrong); i++) {
		method_open_arch(&r, test_ctx(state), "attention", "explanation-tests", wrong[i].variant, "data.txt",
						 wrong[i].text);
		assert_int_equal(sn_status_exit_code(method_status(&r, (const char *[]){ NULL })), 2);
		if (!strstr(sn_error(r.ctx), wrong[i].says)) fail_msg("%s", sn_error(r.ctx));
		method_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_examined_as_torch_does),
		cmocka_unit_test(its_own_attention_changes_nothing),
		cmocka_unit_test(adversaries_keep_their_promise),
		cmocka_unit_test(masked_models_need_a_mask),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
