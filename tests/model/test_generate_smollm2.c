/* Generation on SmolLM2 against transformers (tests/golden/generate/smollm2.json, tests/golden/smollm2). */
#include "common/generate_golden.h"

#include <string.h>

static const char *const model_path = SN_MODELS "/SmolLM2-135M-Instruct.Q4_1.gguf";

static sn_json *load(sn_ctx *ctx, const char *path)
{
	sn_json *json;
	assert_ok(ctx, sn_json_load(&json, ctx, path, 0));
	return json;
}

/* The cases, as tests/oracles/generate.py asks for them. */
static const char cases_text[] =
	"{\"greedy\": {\"max_new_tokens\": 64}, \"penalty\": {\"max_new_tokens\": 32, \"repetition_penalty\": 1.3},"
	" \"beam-1.0-false\": {\"max_new_tokens\": 32, \"num_beams\": 4, \"num_return_sequences\": 4},"
	" \"beam-0.6-true\": {\"max_new_tokens\": 24, \"num_beams\": 4, \"length_penalty\": 0.6,"
	" \"early_stopping\": true}}";

static void texts_equal_those_of_transformers(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *golden = load(ctx, SN_TESTS "/golden/generate/smollm2.json"), *cases;
	sn_model *model;
	int64_t eos;
	assert_ok(ctx, sn_json_parse(&cases, ctx, "cases", cases_text, strlen(cases_text)));
	assert_ok(ctx, sn_model_open(&model, ctx, model_path));
	assert_ok(ctx, sn_json_i64(golden, golden->root, "eos", &eos));
	assert_int_equal(golden_generate(ctx, model, "SmolLM2", cases->root, golden->root, (int32_t)eos), 4);
	sn_model_close(model);
	sn_json_close(cases);
	sn_json_close(golden);
}

/* The same greedy text stands in the file that smollm2.py made. */
static void greedy_text_is_the_known_one(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *reference = load(ctx, SN_TESTS "/golden/smollm2/reference.json");
	sn_json *golden = load(ctx, SN_TESTS "/golden/generate/smollm2.json");
	int32_t a[128], b[128];
	int32_t n = golden_tokens(json_object_get(json_object_get(reference->root, "greedy"), "ids"), a, 128);
	const json_t *ids = json_object_get(json_object_get(golden->root, "greedy"), "ids");
	assert_int_equal(golden_tokens(json_array_get(ids, 0), b, 128), n);
	assert_memory_equal(a, b, (size_t)n * sizeof *a);
	sn_json_close(golden);
	sn_json_close(reference);
}

int main(void)
{
	test_need_file(model_path);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_equal_those_of_transformers),
		cmocka_unit_test(greedy_text_is_the_known_one),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
