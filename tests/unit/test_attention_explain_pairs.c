/* attention explanation-tests of encoder-decoders: against torch (tests/oracles/attention.py), stack by stack, and what
 * must hold by definition. */
#include "common/method.h"

#include "io/json.h"
#include "methods/attention/explain.h"

#include <math.h>

enum { AGREEMENT, CONTROLS, HEADS, CHANGED, ERASURE, SINGLE };
enum { LAYERS = 2, STACKS = 3 };
static const char *const models[] = { "t5", "mbart", "marian" };
static const double tolerance = 1e-4;

static double number(const json_t *a, size_t i)
{
	const json_t *x = json_array_get(a, i);
	return json_is_null(x) ? NAN : json_number_value(x);
}

static double member(const json_t *a, const char *name) { return json_number_value(json_object_get(a, name)); }

static void close_to(double x, double want, const char *model, const char *what)
{
	bool same = isnan(want) ? isnan(x) : fabs(x - want) <= tolerance;
	if (!same) fail_msg("%s, %s: %.9g, expected %.9g", model, what, x, want);
}

/* A pair of the golden file, both layers of every stack chosen. */
typedef struct examined {
	method_run r;
	sn_explained e;
	sn_attn_texts texts;
	sn_attn_stacks stacks;
	const char *name;
} examined;

static void open_pair(examined *x, sn_ctx *ctx, const char *model, const json_t *pair)
{
	static const int both[] = { 0, 1 };
	sn_attn_query query = { .source = "auto", .target = "auto" };
	char text[256];
	snprintf(text, sizeof text, "source\ttarget\n%s\t%s\n", json_string_value(json_object_get(pair, "source")),
			 json_string_value(json_object_get(pair, "target")));
	x->name = model;
	method_open_arch(&x->r, ctx, "attention", "explanation-tests", model, "data.tsv", text);
	assert_ok(ctx, sn_attn_read(&x->texts, ctx, x->r.model, x->r.data, &query, x->r.arena));
	x->stacks = sn_attn_stacks_of(x->r.model);
	assert_int_equal(x->stacks.n, STACKS);
	x->e = (sn_explained){ .ctx = ctx, .model = x->r.model, .info = sn_model_get_info(x->r.model), .arena = x->r.arena,
		                   .text = &x->texts.text[0], .n_stack = STACKS };
	for (int s = 0; s < STACKS; s++)
		x->e.stack[s] = (sn_explained_stack){ .of = &x->stacks.stack[s], .n_chosen = LAYERS, .chosen = both };
	assert_ok(ctx, sn_explain_open(&x->e));
}

static void check_side(const examined *x, const sn_explained_side *side, const json_t *want, size_t k)
{
	const json_t *loo = json_array_get(json_object_get(want, "loo"), k);
	assert_int_equal(side->n_player, json_array_size(loo));
	for (size_t i = 0; i < json_array_size(loo); i++) {
		close_to(side->loo[i], number(loo, i), x->name, "leave-one-out");
		close_to(side->gradient[i], number(json_array_get(json_object_get(want, "gradient"), k), i), x->name,
				 "gradient x input");
	}
}

/* Weights in another order, the same for all lines: what is predicted; of one key alone: how it would change. */
static void check_imposed(examined *x, const sn_explained_stack *s, int c, const json_t *want)
{
	int64_t size = sn_explain_size(s), d = s->n_query * sn_explain_width(s);
	double *own = SN_TAKE(x->r.arena, double, size), *a = SN_TAKE(x->r.arena, double, size);
	float *z = SN_TAKE(x->r.arena, float, d);
	const json_t *order = json_object_get(want, "order");
	sn_predicted got;
	sn_explain_pattern(s, c, own);
	for (int64_t i = 0; i < size; i++)
		a[i] = own[i / s->n_key * s->n_key + json_integer_value(json_array_get(order, (size_t)(i % s->n_key)))];
	sn_explain_mix(s, c, a, z);
	assert_ok(x->r.ctx, sn_explain_variants(&x->e, s, 1, &c, z, &got));
	close_to(got.tvd[0], member(want, "permuted"), x->name, "permuted attention");
	for (int32_t k = 0; k < s->n_key; k++) {
		double slope = 0;
		for (int64_t i = 0; i < size; i++) a[i] = i % s->n_key == k;
		sn_explain_mix(s, c, a, z);
		for (int64_t i = 0; i < d; i++) slope += (double)z[i] * s->slope[c * d + i];
		close_to(slope, number(json_object_get(want, "slope"), (size_t)k), x->name, "derivative by a key's weight");
	}
}

static void check_stack(examined *x, int stack, const json_t *want)
{
	static const int order[] = { SN_ERASE_ATTENTION, SN_ERASE_GRADIENT, SN_ERASE_PRODUCT };
	const sn_explained_stack *s = &x->e.stack[stack];
	sn_changed changed[LAYERS];
	assert_ok(x->r.ctx, sn_explain_change(&x->e, s, 3, changed));
	for (int c = 0; c < LAYERS; c++) {
		const json_t *layer = json_array_get(json_object_get(want, "layers"), (size_t)(stack * LAYERS + c));
		close_to(changed[c].most, member(layer, "most"), x->name, "largest weight");
		close_to(changed[c].uniform, member(layer, "uniform"), x->name, "uniform attention");
		for (size_t o = 0; o < 3; o++)
			close_to(changed[c].removed[order[o]], number(json_object_get(layer, "removed"), o), x->name,
					 "erased until it flips");
		check_imposed(x, s, c, layer);
		for (int w = 0; w < SN_TRUTHS; w++)
			close_to(method_number(&x->r, AGREEMENT, ((int64_t)stack * LAYERS + c) * SN_TRUTHS + w, "tau"),
					 number(json_object_get(layer, "tau"), (size_t)w), x->name, "tau");
	}
}

static void check_pair(examined *x, const json_t *want)
{
	static const char *const name[] = { "encoder", "decoder", "cross" };
	assert_int_equal(x->e.top, json_integer_value(json_object_get(want, "top")));
	check_side(x, &x->e.source, want, 0);
	check_side(x, &x->e.own, want, 1);
	method_go(&x->r, (const char *[]){ "adversaries=0", "permutations=2", NULL });
	for (int s = 0; s < STACKS; s++) {
		assert_string_equal(method_text(&x->r, AGREEMENT, (int64_t)s * LAYERS * SN_TRUTHS, "stack"), name[s]);
		check_stack(x, s, want);
	}
	assert_int_equal(sn_result_rows(x->r.result, CONTROLS), 6);   /* cross-attention's are the encoder's */
	for (int side = 0; side < 2; side++)
		close_to(method_number(&x->r, CONTROLS, 3L * side, "tau"),
				 number(json_object_get(want, "control"), (size_t)side), x->name, "control");
}

static void pairs_are_examined_as_torch_does(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *golden;
	assert_ok(ctx, sn_json_load(&golden, ctx, SN_TESTS "/golden/attention/explain_pairs.json", 0));
	for (int m = 0; m < SN_COUNT(models); m++) {
		const json_t *rows = json_object_get(json_object_get(golden->root, "models"), models[m]);
		for (size_t i = 0; i < json_array_size(rows); i++) {
			examined x;
			open_pair(&x, ctx, models[m], json_array_get(json_object_get(golden->root, "pairs"), i));
			check_pair(&x, json_array_get(rows, i));
			method_close(&x.r);
		}
	}
	sn_json_close(golden);
}

/* Of every stack: the model's own weights, imposed, change nothing; what an adversary counts is within epsilon, and
 * more room lets it go farther. */
static void what_is_imposed_keeps_its_promise(void **state)
{
	static const double epsilon[] = { 0.001, 0.05, 1 };
	json_t *pair = json_pack("{s:s,s:s}", "source", "keys on the table", "target", "the old boathouse is near");
	for (int m = 0; m < SN_COUNT(models); m++) {
		examined x;
		open_pair(&x, test_ctx(state), models[m], pair);
		for (int k = 0; k < STACKS; k++) {
			const sn_explained_stack *s = &x.e.stack[k];
			double *own = SN_TAKE(x.r.arena, double, sn_explain_size(s)), before = 0;
			float *z = SN_TAKE(x.r.arena, float, s->n_query * sn_explain_width(s));
			sn_predicted got;
			sn_explain_pattern(s, 1, own);
			sn_explain_mix(s, 1, own, z);
			assert_ok(x.r.ctx, sn_explain_variants(&x.e, s, 1, (const int[]){ 1 }, z, &got));
			assert_true(got.tvd[0] <= 1e-6 && got.top[0] == x.e.top);
			for (int i = 0; i < SN_COUNT(epsilon); i++) {
				sn_explain_param p = { .starts = 2, .steps = 20, .epsilon = epsilon[i] };
				sn_changed found[LAYERS] = { { .adversary = NAN }, { .adversary = NAN } };
				assert_ok(x.r.ctx, sn_explain_attack(&x.e, s, &p, found));
				assert_true(found[1].adversary >= before && found[1].adversary <= log(2));
				assert_true(found[1].adversary_tvd <= epsilon[i]);
				before = found[1].adversary;
			}
			assert_true(before > 0.2);   /* with all the room there is, far away */
		}
		method_close(&x.r);
	}
	json_decref(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs_are_examined_as_torch_does),
		cmocka_unit_test(what_is_imposed_keeps_its_promise),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
