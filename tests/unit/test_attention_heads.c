/* attention heads and prune: against torch (tests/oracles/attention.py), and what must hold by definition. */
#include "common/method.h"

#include "io/json.h"
#include "methods/attention/goals.h"
#include "methods/attention/heads.h"

#include <math.h>
#include <string.h>

#define TINY SN_TESTS "/golden/tiny/gqa-tied"

enum { IMPORTANCE, LOOKS, COPYING, RELATIONS };
enum { CURVE };

static double number(const json_t *a, size_t i) { return json_number_value(json_array_get(a, i)); }

static void close_to(double x, double want, double tolerance, const char *what)
{
	if (!(fabs(x - want) <= tolerance)) fail_msg("%s: %.9g, expected %.9g", what, x, want);
}

static json_t *open_golden(sn_ctx *ctx, sn_json **golden)
{
	assert_ok(ctx, sn_json_load(golden, ctx, SN_TESTS "/golden/attention/heads.json", 0));
	return (*golden)->root;
}

/* The golden texts as the data of a method. */
static void open_texts(method_run *r, sn_ctx *ctx, const char *name, const json_t *root)
{
	sn_buf lines = { .ctx = ctx };
	size_t i;
	const json_t *text;
	json_array_foreach(json_object_get(root, "texts"), i, text)
		sn_buf_format(&lines, "%s\n", json_string_value(text));
	method_open(r, ctx, "attention", name, TINY, "data.txt", lines.data);
	sn_buf_free(&lines);
}

static void importance_is_autograds(void **state)
{
	sn_json *golden;
	method_run r;
	json_t *root = open_golden(test_ctx(state), &golden);
	const json_t *dot = json_object_get(root, "dot"), *each = json_object_get(root, "each");
	open_texts(&r, test_ctx(state), "heads", root);
	method_go(&r, (const char *[]){ "repeat=0", NULL });
	size_t n = json_array_size(dot), layers = json_array_size(json_array_get(dot, 0));
	size_t heads = json_array_size(json_array_get(json_array_get(dot, 0), 0));
	assert_int_equal(sn_result_rows(r.result, IMPORTANCE), layers * heads);
	for (size_t i = 0; i < layers * heads; i++) {
		double michel = 0, by = 0;
		for (size_t t = 0; t < n; t++) {
			michel += fabs(number(json_array_get(json_array_get(dot, t), i / heads), i % heads)) / (double)n;
			by += number(json_array_get(json_array_get(each, t), i / heads), i % heads) / (double)n;
		}
		close_to(method_number(&r, IMPORTANCE, (int64_t)i, "importance"), michel, 1e-5, "importance");
		close_to(method_number(&r, IMPORTANCE, (int64_t)i, "by_position"), by, 1e-5, "by position");
		assert_true(by >= michel);
	}
	method_close(&r);
	sn_json_close(golden);
}

/* A layer's shares of relevance sum, in absolute value, to at least 1 over rows' means, and its normed importances to
 * 1. */
static void layers_are_normed(void **state)
{
	sn_json *golden;
	method_run r;
	open_texts(&r, test_ctx(state), "heads", open_golden(test_ctx(state), &golden));
	static const char *const rules[] = { "rule=attn-lrp", "rule=cp-lrp" };
	for (int k = 0; k < SN_COUNT(rules); k++) {
		method_go(&r, (const char *[]){ rules[k], "repeat=0", NULL });
		int heads = sn_model_get_info(r.model)->n_head;
		for (int64_t i = 0; i < sn_result_rows(r.result, IMPORTANCE); i += heads) {
			double square = 0, share = 0;
			for (int h = 0; h < heads; h++) {
				square += pow(method_number(&r, IMPORTANCE, i + h, "in_layer"), 2);
				share += fabs(method_number(&r, IMPORTANCE, i + h, "relevance"));
			}
			close_to(square, 1, 1e-9, "norm of a layer");
			assert_true(share > 0.05 && share <= 1 + 1e-9);
		}
	}
	method_close(&r);
	sn_json_close(golden);
}

/* The finite difference of a gate on one head's output is the same derivative; all heads' products sum to that of the
 * layer's whole output. */
static void importance_is_a_gates_derivative(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *golden;
	method_run r;
	sn_attn_goals goals;
	json_t *root = open_golden(ctx, &golden);
	open_texts(&r, ctx, "prune", root);
	const sn_model_info *info = sn_model_get_info(r.model);
	int stride = info->n_layer * info->n_head;
	double dot[64], value[2][2];
	assert_true(2 * stride <= SN_COUNT(dot));
	memset(dot, 0, sizeof dot);
	assert_ok(ctx, sn_attn_goals_read(&goals, ctx, r.model, r.data, &(sn_attn_query){ .column = "auto" }, r.arena));
	assert_ok(ctx, sn_attn_head_products(&goals, SN_RULE_PLAIN, dot, NULL));
	for (int i = 0; i < stride; i++) {
		for (int side = 0; side < 2; side++) {
			float gate = side ? -0.01f : 0.01f;   /* towards zero, and away from it */
			sn_edit edit = { .op = SN_OP_ZERO, .where = { .sel = SN_ALL }, .alpha = &gate, .n_alpha = 1,
				             .at = { .kind = SN_SITE_Z, .layer = (int16_t)(i / info->n_head),
				                     .head = (int16_t)(i % info->n_head + 1) } };
			assert_ok(ctx, sn_attn_goals_run(&goals, &edit, 1, value[side]));
		}
		for (int t = 0; t < 2; t++)
			close_to((value[1][t] - value[0][t]) / 0.02 / goals.row[t].n_place, dot[t * stride + i], 2e-3, "gate");
	}
	method_close(&r);
	sn_json_close(golden);
}

static void losses_without_heads_are_torchs(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *golden;
	method_run r;
	sn_attn_goals goals;
	json_t *root = open_golden(ctx, &golden), *gone = json_object_get(root, "gone"), *step;
	size_t s, i;
	double value[2];
	open_texts(&r, ctx, "prune", root);
	assert_ok(ctx, sn_attn_goals_read(&goals, ctx, r.model, r.data, &(sn_attn_query){ .column = "auto" }, r.arena));
	json_array_foreach(gone, s, step) {
		sn_edit edit[64];
		json_t *head;
		json_array_foreach(step, i, head)
			edit[i] = (sn_edit){ .op = SN_OP_ZERO, .where = { .sel = SN_ALL },
				                 .at = { .kind = SN_SITE_Z, .layer = (int16_t)number(head, 0),
				                         .head = (int16_t)(number(head, 1) + 1) } };
		assert_ok(ctx, sn_attn_goals_run(&goals, edit, (int)json_array_size(step), value));
		for (i = 0; i < 2; i++)
			close_to(value[i], number(json_array_get(json_object_get(root, "losses"), s), i), 1e-4 * fabs(value[i]),
					 "loss");
	}
	method_close(&r);
	sn_json_close(golden);
}

static void copying_is_what_patterns_say(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *golden;
	sn_model *model;
	json_t *c = json_object_get(open_golden(ctx, &golden), "copying"), *row;
	int32_t token[64], length = (int32_t)json_integer_value(json_object_get(c, "length"));
	size_t n = 0, i;
	double score[256] = { 0 };
	json_array_foreach(json_object_get(c, "token"), i, row)
		for (size_t k = 0; k < json_array_size(row); k++) token[n++] = (int32_t)number(row, k);
	assert_ok(ctx, sn_model_open(&model, ctx, TINY));
	int sequences = (int)n / length, heads = sn_model_get_info(model)->n_head;
	assert_ok(ctx, sn_copying_scores(ctx, model, token, sequences, length, -1, score));
	for (int h = 0; h < heads * sn_model_get_info(model)->n_layer; h++)
		for (int k = 0; k < SN_COPIES; k++)
			for (int s = 0; s < sequences; s++) {
				const json_t *by_layer = json_array_get(json_object_get(c, "scores"), (size_t)(h / heads));
				const json_t *want = json_array_get(json_array_get(by_layer, (size_t)(h % heads)), (size_t)k);
				close_to(score[(h * SN_COPIES + k) * sequences + s], number(want, (size_t)s), 1e-5, "copying");
			}
	sn_model_close(model);
	sn_json_close(golden);
}

/* Ten times the same sentence: both halves are alike, so what is chosen on one is what is found on all. */
static void relations_are_what_patterns_say(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *golden;
	method_run r;
	sn_buf text = { .ctx = ctx };
	json_t *root = open_golden(ctx, &golden), *want;
	size_t i;
	for (int k = 0; k < 10; k++) sn_buf_format(&text, "%s\n", json_string_value(json_object_get(root, "tree")));
	method_open(&r, ctx, "attention", "heads", TINY, "data.conllu", text.data);
	method_go(&r, (const char *[]){ "repeat=0", "least=1", "rule=none", NULL });
	const json_t *relations = json_object_get(root, "relations");
	assert_int_equal(sn_result_rows(r.result, RELATIONS), json_array_size(relations));
	json_array_foreach(relations, i, want) {
		const sn_value *row = sn_result_row(r.result, RELATIONS, (int64_t)i);
		assert_string_equal(row[0].s, json_string_value(json_object_get(want, "relation")));
		assert_string_equal(row[1].s, json_string_value(json_object_get(want, "direction")));
		assert_int_equal(row[2].i, 5 * json_integer_value(json_object_get(want, "pairs")));
		close_to((double)(row[3].i * sn_model_get_info(r.model)->n_head + row[4].i),
				 (double)json_integer_value(json_object_get(want, "head")), 0, "head");
		close_to(method_number(&r, RELATIONS, (int64_t)i, "accuracy"),
				 json_number_value(json_object_get(want, "accuracy")), 1e-9, "accuracy");
		close_to(method_number(&r, RELATIONS, (int64_t)i, "offset_accuracy"),
				 json_number_value(json_object_get(want, "offset_accuracy")), 1e-9, "offset");
		int64_t heads = sn_model_get_info(r.model)->n_layer * sn_model_get_info(r.model)->n_head;
		int64_t best = (int64_t)i * heads + json_integer_value(json_object_get(want, "head"));
		assert_int_equal(sn_result_row(r.result, RELATIONS + 1, best)[4].i,
						 10 * json_integer_value(json_object_get(want, "pairs")));
		close_to(method_number(&r, RELATIONS + 1, best, "accuracy"),
				 json_number_value(json_object_get(want, "accuracy")), 1e-9, "accuracy of one among all");
	}
	method_close(&r);
	sn_buf_free(&text);
	sn_json_close(golden);
}

/* Whatever the order, the whole model and no head at all are the same; means leave a better model than zeros here. */
static void curves_meet_at_their_ends(void **state)
{
	method_run r;
	method_open(&r, test_ctx(state), "attention", "prune", TINY, "data.txt",
				"The keys are here.\nA cat sleeps.\nIs it near?\nNo key opens the door.\nThe end.\nIt seems so.\n");
	static const char *const how[] = { "ablate=zero", "ablate=mean" };
	static const char *const by[] = { "order=importance", "order=by-position", "order=relevance" };
	for (int k = 0; k < 2; k++)
		for (int o = 0; o < 3; o++) {
			method_go(&r, (const char *[]){ how[k], by[o], "draws=2", "steps=4", NULL });
			assert_int_equal(sn_result_rows(r.result, CURVE), 15);
			for (int64_t end = 0; end < 15; end += 12)
				for (int64_t s = 1; s < 3; s++)
					close_to(method_number(&r, CURVE, end + s, "value"), method_number(&r, CURVE, end, "value"), 1e-5,
							 "an end of the curve");
			assert_true(fabs(method_number(&r, CURVE, 12, "value") - method_number(&r, CURVE, 0, "value")) > 1e-4);
			assert_true(isnan(method_number(&r, CURVE, 0, "accuracy")));
		}
	method_close(&r);
}

#define ROW(good, bad) "{\"sentence_good\": \"" good "\", \"sentence_bad\": \"" bad "\"}\n"

/* A margin is the two losses' difference, in its value and in what each head's output does to it. */
static void pairs_are_two_texts(void **state)
{
	enum { PAIRS = 4, MOST = 2 * PAIRS * 16 };
	static const char *const column[] = { "auto", "sentence_good", "sentence_bad" };
	sn_attn_goals goals[3];
	method_run r;
	double value[3][2 * PAIRS], dot[3][MOST] = { { 0 } }, weight, right = 0;
	method_open(&r, test_ctx(state), "attention", "prune", TINY, "data.jsonl",
				ROW("The keys are here.", "The keys is here.") ROW("A dog barks.", "A dog bark.")
				ROW("It seems so.", "It seem so.") ROW("The doors open.", "The doors opens."));
	int stride = sn_model_get_info(r.model)->n_layer * sn_model_get_info(r.model)->n_head;
	assert_true(stride <= 16);
	for (int g = 0; g < 3; g++) {
		sn_attn_query query = { .column = column[g] };
		assert_ok(r.ctx, sn_attn_goals_read(&goals[g], r.ctx, r.model, r.data, &query, r.arena));
		assert_ok(r.ctx, sn_attn_goals_run(&goals[g], NULL, 0, value[g]));
		assert_ok(r.ctx, sn_attn_head_products(&goals[g], SN_RULE_PLAIN, dot[g], NULL));
		assert_int_equal(sn_attn_goal_units(&goals[g]), PAIRS);
	}
	for (int i = 0; i < PAIRS; i++) {
		double got = sn_attn_goal_value(&goals[0], i, value[0], &weight);
		close_to(got, value[2][i] - value[1][i], 1e-4, "margin");
		for (int h = 0; h < stride; h++)
			close_to(dot[0][i * stride + h], goals[2].row[i].n_place * dot[2][i * stride + h] -
					 goals[1].row[i].n_place * dot[1][i * stride + h], 1e-4, "product");
		right += (got > 0) / (double)PAIRS;
	}
	method_go(&r, (const char *[]){ "steps=1", "draws=1", NULL });
	assert_true(method_number(&r, CURVE, 0, "chance") == 0.5);
	double share = method_number(&r, CURVE, 0, "accuracy");   /* of the half that is scored */
	assert_true(share >= 2 * right - 1 && share <= 2 * right);
	method_close(&r);
}

/* A masked model is judged on hidden tokens; one without a head on nothing. */
static void other_models_have_heads_too(void **state)
{
	static const struct {
		const char *variant;
		bool judged;
	} model[] = { { "bert", true }, { "bert-base-only", false } };
	for (int i = 0; i < SN_COUNT(model); i++) {
		method_run r;
		method_open_arch(&r, test_ctx(state), "attention", "heads", model[i].variant, "data.txt",
						 "the old boathouse are lighted\na cat sleeps near the table\n");
		method_go(&r, (const char *[]){ "repeat=4", NULL });
		assert_int_equal(sn_result_rows(r.result, IMPORTANCE) > 0, model[i].judged);
		assert_true(sn_result_rows(r.result, LOOKS) > 0 && sn_result_rows(r.result, COPYING) > 0);
		method_close(&r);
	}
}

/* ---- encoder-decoders ---- */

typedef struct pairs { sn_json *golden; json_t *model; method_run r; sn_attn_goals goals; } pairs;

static void open_pairs(pairs *p, sn_ctx *ctx, const char *method, const char *variant)
{
	sn_buf lines = { .ctx = ctx };
	size_t i;
	const json_t *pair;
	assert_ok(ctx, sn_json_load(&p->golden, ctx, SN_TESTS "/golden/attention/pairs.json", 0));
	p->model = json_object_get(json_object_get(p->golden->root, "models"), variant);
	json_array_foreach(json_object_get(p->golden->root, "pairs"), i, pair)
		sn_buf_format(&lines, "{\"source\": \"%s\", \"target\": \"%s\"}\n",
		              json_string_value(json_object_get(pair, "source")),
		              json_string_value(json_object_get(pair, "target")));
	method_open_arch(&p->r, ctx, "attention", method, variant, "data.jsonl", lines.data);
	sn_buf_free(&lines);
	sn_attn_query query = { .column = "auto", .source = "auto", .target = "auto" };
	assert_ok(ctx, sn_attn_goals_read(&p->goals, ctx, p->r.model, p->r.data, &query, p->r.arena));
}

static void close_pairs(pairs *p)
{
	method_close(&p->r);
	sn_json_close(p->golden);
}

static const char *const pair_models[] = { "t5", "mbart", "marian" };

static void check_importance(pairs *p)
{
	const json_t *stacks = json_object_get(p->golden->root, "stacks"), *dot = json_object_get(p->model, "dot");
	const json_t *each = json_object_get(p->model, "each");
	size_t n = json_array_size(dot), heads = json_array_size(json_array_get(dot, 0));
	assert_int_equal(sn_result_rows(p->r.result, IMPORTANCE), heads);
	for (size_t h = 0; h < heads; h++) {
		double michel = 0, by = 0;
		for (size_t t = 0; t < n; t++) {
			michel += fabs(number(json_array_get(dot, t), h)) / (double)n;
			by += number(json_array_get(each, t), h) / (double)n;
		}
		close_to(method_number(&p->r, IMPORTANCE, (int64_t)h, "importance"), michel, 1e-5, "importance");
		close_to(method_number(&p->r, IMPORTANCE, (int64_t)h, "by_position"), by, 1e-5, "by position");
		assert_string_equal(method_text(&p->r, IMPORTANCE, (int64_t)h, "stack"),
		                    json_string_value(json_array_get(stacks, h / 8)));
		close_to(method_number(&p->r, IMPORTANCE, (int64_t)h, "layer"), (double)(h % 8 / 4), 0, "layer");
	}
}

static void check_looks(pairs *p)
{
	const json_t *stacks = json_object_get(p->golden->root, "stacks"), *rows = json_object_get(p->model, "confidence");
	assert_int_equal(sn_result_rows(p->r.result, LOOKS), 24);
	for (size_t h = 0; h < 24; h++) {
		double sum = 0, queries = 0;
		for (size_t t = 0; t < json_array_size(rows); t++) {
			const json_t *stack = json_array_get(json_array_get(rows, t), h / 8);
			sum += number(json_array_get(stack, h % 8 / 4), h % 4);
			queries += number(json_array_get(stack, h % 8 / 4), 4);
		}
		close_to(method_number(&p->r, LOOKS, (int64_t)h, "confidence"), sum / queries, 1e-5, "confidence");
		assert_string_equal(method_text(&p->r, LOOKS, (int64_t)h, "stack"),
		                    json_string_value(json_array_get(stacks, h / 8)));
	}
}

/* Importance by autograd, confidence by transformers' attentions: encoder, decoder and cross-attention. */
static void heads_of_pairs_are_torchs(void **state)
{
	for (int m = 0; m < SN_COUNT(pair_models); m++) {
		pairs p;
		open_pairs(&p, test_ctx(state), "heads", pair_models[m]);
		method_go(&p.r, (const char *[]){ NULL });
		check_importance(&p);
		check_looks(&p);
		close_pairs(&p);
	}
}

static void pairs_without_heads_are_torchs(void **state)
{
	for (int m = 0; m < SN_COUNT(pair_models); m++) {
		pairs p;
		sn_edit edit[24];
		double value[3];
		size_t s, i;
		json_t *step, *head;
		open_pairs(&p, test_ctx(state), "prune", pair_models[m]);
		assert_int_equal(p.goals.stacks.n_head, 24);
		json_array_foreach(json_object_get(p.golden->root, "gone"), s, step) {
			json_array_foreach(step, i, head) {
				sn_attn_place at = sn_attn_place_of(&p.goals.stacks, (int)json_integer_value(head));
				edit[i] = (sn_edit){ .op = SN_OP_ZERO, .where = { .sel = SN_ALL },
					                 .at = sn_attn_z(at.stack, at.layer, at.head) };
			}
			assert_ok(p.r.ctx, sn_attn_goals_run(&p.goals, edit, (int)json_array_size(step), value));
			for (i = 0; i < 3; i++)
				close_to(value[i], number(json_array_get(json_object_get(p.model, "losses"), s), i),
				         1e-4 * fabs(value[i]), "loss");
		}
		for (int k = 0; k < 2; k++) {
			method_go(&p.r, (const char *[]){ k ? "ablate=mean" : "ablate=zero", "steps=2", "draws=2", NULL });
			close_to(method_number(&p.r, CURVE, 7, "value"), method_number(&p.r, CURVE, 6, "value"), 1e-5, "the end");
		}
		close_pairs(&p);
	}
}

/* Texts, even of one token, are no items: the line says what is needed. */
static void knockout_asks_for_items(void **state)
{
	method_run r;
	method_open(&r, test_ctx(state), "attention", "knockout", TINY, "data.txt", "the\n");
	assert_int_equal(method_status(&r, (const char *[]){ NULL }), SN_EARG);
	assert_non_null(strstr(sn_error(r.ctx), "needs items with roles"));
	method_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(importance_is_autograds),
		cmocka_unit_test(layers_are_normed),
		cmocka_unit_test(importance_is_a_gates_derivative),
		cmocka_unit_test(losses_without_heads_are_torchs),
		cmocka_unit_test(copying_is_what_patterns_say),
		cmocka_unit_test(relations_are_what_patterns_say),
		cmocka_unit_test(curves_meet_at_their_ends),
		cmocka_unit_test(pairs_are_two_texts),
		cmocka_unit_test(other_models_have_heads_too),
		cmocka_unit_test(heads_of_pairs_are_torchs),
		cmocka_unit_test(pairs_without_heads_are_torchs),
		cmocka_unit_test(knockout_asks_for_items),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
