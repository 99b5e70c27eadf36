/* SmolLM2's tokenizer, from its GGUF file, on every sentence of the treebanks. */
#include "common/tokenizer_golden.h"

#define MODEL SN_MODELS "/SmolLM2-135M-Instruct.Q4_1.gguf"

static sn_tokenizer *open_model(sn_ctx *ctx)
{
	sn_tokenizer *t;
	assert_ok(ctx, sn_tokenizer_open_path(&t, ctx, MODEL));
	assert_int_equal(sn_tokenizer_size(t), 49152);
	assert_string_equal(sn_tokenizer_kind(t), "byte-level BPE, 49152 tokens, 48900 merges, pre-tokenizer smollm");
	return t;
}

/* The same vocabulary and merges with another pre-tokenizer. */
static sn_tokenizer *open_with(sn_ctx *ctx, const char *pre)
{
	sn_gguf *file;
	sn_arena *arena;
	sn_slice *token, *merge;
	int32_t *type;
	int64_t n_type;
	sn_tokenizer *t;
	sn_tokenizer_spec spec = { .source = MODEL, .model = "gpt2", .pre = pre };
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	assert_ok(ctx, sn_gguf_open(&file, ctx, MODEL));
	assert_ok(ctx, sn_gguf_texts(file, "tokenizer.ggml.tokens", arena, &token, &spec.n_token));
	assert_ok(ctx, sn_gguf_texts(file, "tokenizer.ggml.merges", arena, &merge, &spec.n_merge));
	assert_ok(ctx, sn_gguf_i32s(file, "tokenizer.ggml.token_type", arena, &type, &n_type));
	assert_int_equal(n_type, spec.n_token);
	spec.token = token;
	spec.merge = merge;
	spec.type = type;
	assert_ok(ctx, sn_tokenizer_open(&t, ctx, &spec));
	sn_gguf_close(file);
	sn_arena_close(arena);
	return t;
}

static void hard_texts_agree_with_the_golden_file(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_tokenizer *smollm = open_model(ctx), *gpt2 = open_with(ctx, "gpt-2");
	assert_true(golden_torture(ctx, smollm, "smollm2-smollm") > 50);
	assert_true(golden_torture(ctx, gpt2, "smollm2-gpt2") > 50);
	sn_tokenizer_close(gpt2);
	sn_tokenizer_close(smollm);
}

static void every_sentence_of_the_treebanks_agrees(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_tokenizer *tokenizer[] = { open_model(ctx), open_with(ctx, "gpt2") };
	for (int pre = 0; pre < 2; pre++) {
		assert_int_equal(golden_treebank(ctx, tokenizer[pre], "en_ewt", "dev", pre), 2001);
		assert_int_equal(golden_treebank(ctx, tokenizer[pre], "en_ewt", "test", pre), 2077);
		assert_int_equal(golden_treebank(ctx, tokenizer[pre], "ru_gsd", "dev", pre), 579);
		assert_int_equal(golden_treebank(ctx, tokenizer[pre], "ru_gsd", "test", pre), 601);
		sn_tokenizer_close(tokenizer[pre]);
	}
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
