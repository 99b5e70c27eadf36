/* SmolLM2's tokenizer, from its GGUF file, on every sentence of the treebanks. */
#include "common/tokenizer_golden.h"

#include <string.h>

#define MODEL SN_MODELS "/SmolLM2-135M-Instruct.Q4_1.gguf"

static sn_tokenizer *open_model(sn_ctx *ctx)
{
	sn_gguf *file;
	sn_tokenizer *t;
	assert_ok(ctx, sn_gguf_open(&file, ctx, MODEL));
	assert_ok(ctx, sn_tokenizer_open_gguf(&t, ctx, file));
	sn_gguf_close(file);
	return t;
}

static void hard_texts_agree_with_the_golden_file(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_tokenizer *t = open_model(ctx);
	assert_int_equal(sn_tokenizer_size(t), 49152);
	assert_true(golden_torture(ctx, t, "smollm2-smollm") > 50);
	sn_tokenizer_close(t);
}

static void every_sentence_of_the_treebanks_agrees(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_tokenizer *t = open_model(ctx);
	assert_int_equal(golden_treebank(ctx, t, "en_ewt", "dev", 0), 2001);
	assert_int_equal(golden_treebank(ctx, t, "en_ewt", "test", 0), 2077);
	assert_int_equal(golden_treebank(ctx, t, "ru_gsd", "dev", 0), 579);
	assert_int_equal(golden_treebank(ctx, t, "ru_gsd", "test", 0), 601);
	sn_tokenizer_close(t);
}

int main(void)
{
	test_need_file(MODEL);
	test_need_file(SN_DATA "/ud/en_ewt-ud-dev.conllu");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hard_texts_agree_with_the_golden_file),
		cmocka_unit_test(every_sentence_of_the_treebanks_agrees),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
