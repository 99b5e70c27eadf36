/* sonde lens direct: parts sum to the logit that the engine gives, whatever the block's form; heads and neurons are
 * those of transformers (tests/oracles/lens.py). */
#include "common/method.h"

#include "io/json.h"

#include <math.h>
#include <string.h>

#define TINY SN_TESTS "/golden/tiny/gqa-tied"
static const char texts[] = "The keys to the cabinet\nkey\nThe keys on the cabinet is\n";

enum { PARTS, HEADS, NEURONS, ITEMS };

/* The engine's own difference of logits at the end of a text. */
static double own_difference(method_run *r, const char *text, const char *target, const char *foil)
{
	sn_tokens t, a, b;
	double score;
	const sn_tokenizer *tokenizer = sn_model_tokenizer(r->model);
	assert_ok(r->ctx, sn_tokenize(r->ctx, tokenizer, text, strlen(text), SN_ADD_SPECIAL, r->arena, &t));
	assert_ok(r->ctx, sn_tokenize(r->ctx, tokenizer, target, strlen(target), 0, r->arena, &a));
	assert_ok(r->ctx, sn_tokenize(r->ctx, tokenizer, foil, strlen(foil), 0, r->arena, &b));
	assert_true(a.n == 1 && b.n == 1);
	int64_t start[2] = { 0, t.n };
	sn_batch batch = { .n = 1, .token = t.id, .start = start };
	sn_goal goal = { .metric = SN_LOGIT_DIFF, .where = { .sel = SN_LAST }, .want = a.id, .n_want = 1, .foil = b.id };
	sn_plan plan = { .size = sizeof plan, .n_goal = 1, .goal = &goal };
	assert_ok(r->ctx, sn_run(r->ctx, r->model, &batch, &plan, NULL, &score));
	return score;
}

static double number(const json_t *object, const char *key) { return json_number_value(json_object_get(object, key)); }

static void assert_near(double x, double want)
{
	if (!(fabs(x - want) < 1e-5 * (1 + fabs(want)))) fail_msg("%.9g, expected %.9g", x, want);
}

static void check_sums(method_run *r, const char *what)
{
	for (int64_t i = 0; i < sn_result_rows(r->result, ITEMS); i++) {
		double logit = method_number(r, ITEMS, i, "logit"), gap = method_number(r, ITEMS, i, "gap");
		double sum = method_number(r, ITEMS, i, "embedding") + method_number(r, ITEMS, i, "attention") +
			method_number(r, ITEMS, i, "mlp") + method_number(r, ITEMS, i, "constant");
		if (sn_model_get_info(r->model)->n_layer_encoder) sum += method_number(r, ITEMS, i, "cross");
		if (!(fabs(gap) < 2e-5 * (1 + fabs(logit)))) fail_msg("%s, text %d: gap %g of %g", what, (int)i, gap, logit);
		assert_true(fabs(sum - gap - logit) < 1e-9 * (1 + fabs(logit)));
	}
}

/* Norms with and without means and biases, norms of branches, parallel blocks, biases of all matrices, a projection
 * before the unembedding, scaled embeddings, shared keys. */
static void parts_sum_to_the_logit_in_every_form_of_block(void **state)
{
	static const char *const variants[] = { "llama", "llama-bias", "gpt2", "gemma", "gemma2", "gemma3", "opt",
		                                    "olmo2", "phi", "gptj", "gpt_neox", "bloom", "falcon-7b", "stablelm",
		                                    "qwen3", "starcoder2" };
	for (int i = 0; i < SN_COUNT(variants); i++) {
		method_run r;
		method_open_arch(&r, test_ctx(state), "lens", "direct", variants[i], "data.txt", "the\nkey is\n");
		method_go(&r, (const char *[]){ NULL });
		assert_int_equal(sn_result_rows(r.result, ITEMS), 2);
		check_sums(&r, variants[i]);
		method_close(&r);
	}
}

static void differences_are_the_engines(void **state)
{
	method_run r;
	const char *at = texts;
	method_open(&r, test_ctx(state), "lens", "direct", TINY, "data.txt", texts);
	method_go(&r, (const char *[]){ "target=are", "foil=is", NULL });
	check_sums(&r, "tiny");
	for (int64_t i = 0; i < 3; i++, at = strchr(at, '\n') + 1) {
		char text[64] = "";
		memcpy(text, at, strcspn(at, "\n"));
		double own = own_difference(&r, text, " are", " is");
		assert_true(fabs(method_number(&r, ITEMS, i, "logit") - own) < 1e-4);
	}
	method_close(&r);
}

/* Words from columns, row by row; two words where one is explained are refused. */
static void words_come_from_columns(void **state)
{
	method_run r;
	method_open(&r, test_ctx(state), "lens", "direct", TINY, "data.jsonl",
	            "{\"text\": \"The keys\", \"target\": \"are\", \"foil\": \"is\"}\n"
	            "{\"text\": \"The keys\", \"target\": \"is\", \"foil\": \"are\"}\n");
	method_go(&r, (const char *[]){ NULL });
	assert_string_equal(method_text(&r, ITEMS, 0, "target"), " are");
	assert_string_equal(method_text(&r, ITEMS, 1, "foil"), " are");
	double a = method_number(&r, ITEMS, 0, "logit"), b = method_number(&r, ITEMS, 1, "logit");
	assert_true(a != 0 && fabs(a + b) < 1e-6 * (1 + fabs(a)));
	assert_int_equal(method_status(&r, (const char *[]){ "target=is|are", NULL }), SN_EARG);
	assert_non_null(strstr(sn_error(r.ctx), "one word"));
	method_close(&r);
}

/* Every head and every neuron of transformers' modules. */
static void heads_and_neurons_are_transformers(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *golden;
	method_run r;
	json_t *layer, *value;
	size_t l, i;
	assert_ok(ctx, sn_json_load(&golden, ctx, SN_TESTS "/golden/lens/direct.json", 0));
	method_open(&r, ctx, "lens", "direct", TINY, "data.txt", "The keys to the cabinet\n");
	method_go(&r, (const char *[]){ "target=are", "foil=is", "neurons=100000", NULL });
	double logit = json_number_value(json_object_get(golden->root, "difference"));
	double embedding = json_number_value(json_object_get(golden->root, "embedding"));
	assert_true(fabs(method_number(&r, ITEMS, 0, "logit") - logit) < 1e-4);
	assert_true(fabs(method_number(&r, ITEMS, 0, "embedding") - embedding) < 1e-5);
	int64_t row = 0;
	json_array_foreach(json_object_get(golden->root, "heads"), l, layer)
		json_array_foreach(layer, i, value)
			assert_true(fabs(method_number(&r, HEADS, row++, "contribution") - json_number_value(value)) < 1e-5);
	assert_int_equal(row, sn_result_rows(r.result, HEADS));
	const json_t *neurons = json_object_get(golden->root, "neurons");
	for (row = 0; row < sn_result_rows(r.result, NEURONS); row++) {
		size_t block = (size_t)method_number(&r, NEURONS, row, "layer");
		size_t number = (size_t)method_number(&r, NEURONS, row, "neuron");
		double expected = json_number_value(json_array_get(json_array_get(neurons, block), number));
		assert_true(fabs(method_number(&r, NEURONS, row, "contribution") - expected) < 1e-5);
	}
	assert_true(row > 0);
	method_close(&r);
	sn_json_close(golden);
}

/* What an encoder-decoder's decoder reads of its own tokens and of the encoder, head by head. */
static void decoders_of_pairs_are_transformers(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *golden;
	const char *name;
	json_t *model;
	assert_ok(ctx, sn_json_load(&golden, ctx, SN_TESTS "/golden/lens/pairs.json", 0));
	json_object_foreach(json_object_get(golden->root, "models"), name, model) {
		static const char *const attention[] = { "heads", "cross" };
		method_run r;
		method_open_arch(&r, ctx, "lens", "direct", name, "data.jsonl",
						 "{\"source\": \"keys on the table\", \"prefix\": \"the old\"}\n");
		method_go(&r, (const char *[]){ "target=cat", "foil=dog", NULL });
		check_sums(&r, name);
		assert_near(method_number(&r, ITEMS, 0, "logit"), number(model, "difference"));
		assert_near(method_number(&r, ITEMS, 0, "embedding"), number(model, "embedding"));
		int n_layer = sn_model_get_info(r.model)->n_layer, n_head = sn_model_get_info(r.model)->n_head;
		assert_int_equal(sn_result_rows(r.result, HEADS), 2 * n_layer * n_head);
		for (int64_t i = 0; i < sn_result_rows(r.result, HEADS); i++) {
			const json_t *blocks = json_object_get(model, attention[i / n_head / n_layer]);
			const json_t *block = json_array_get(blocks, (size_t)(i / n_head % n_layer));
			assert_near(method_number(&r, HEADS, i, "contribution"),
						json_number_value(json_array_get(block, (size_t)(i % n_head))));
			assert_string_equal(method_text(&r, HEADS, i, "attention"), i / n_head / n_layer ? "cross" : "self");
		}
		for (int l = 0; l < n_layer; l++)
			assert_near(method_number(&r, PARTS, 1 + 2 * n_layer + l, "contribution"),
						json_number_value(json_array_get(json_object_get(model, "mlp"), (size_t)l)));
		method_close(&r);
	}
	sn_json_close(golden);
}

static void encoders_that_norm_their_sums_are_refused(void **state)
{
	method_run r;
	method_open_arch(&r, test_ctx(state), "lens", "direct", "bert", "data.txt", "the [MASK]\n");
	assert_int_equal(method_status(&r, (const char *[]){ NULL }), SN_EARG);
	assert_non_null(strstr(sn_error(r.ctx), "no sum of parts"));
	method_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_sum_to_the_logit_in_every_form_of_block),
		cmocka_unit_test(differences_are_the_engines),
		cmocka_unit_test(words_come_from_columns),
		cmocka_unit_test(heads_and_neurons_are_transformers),
		cmocka_unit_test(decoders_of_pairs_are_transformers),
		cmocka_unit_test(encoders_that_norm_their_sums_are_refused),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
