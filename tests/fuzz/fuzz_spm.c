/* SentencePiece models: whatever is accepted tokenizes text into spans inside it and ids it knows, and back. */
#include "fuzz.h"

#include <string.h>

#include "text/tokenizer.h"

static void tokenize(const sn_tokenizer *tokenizer, const char *text)
{
	sn_ctx *ctx = fuzz_ctx();
	sn_arena *arena;
	sn_tokens tokens;
	const char *back;
	size_t size = strlen(text), n;
	fuzz_require(sn_arena_open(&arena, ctx) == SN_OK);
	if (fuzz_ok(sn_tokenize(ctx, tokenizer, text, size, SN_ADD_SPECIAL | SN_PARSE_SPECIAL, arena, &tokens))) {
		for (int64_t i = 0; i < tokens.n; i++) {
			fuzz_require(tokens.id[i] >= 0 && tokens.id[i] < sn_tokenizer_size(tokenizer));
			fuzz_require(tokens.span[i][0] >= 0 && tokens.span[i][0] <= tokens.span[i][1]);
			fuzz_require(tokens.span[i][1] <= (int64_t)size);
		}
		(void)fuzz_ok(sn_detokenize(ctx, tokenizer, tokens.n, tokens.id, 0, arena, &back, &n));
	}
	sn_arena_close(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	sn_tokenizer *tokenizer;
	if (!fuzz_ok(
			sn_tokenizer_parse_sentencepiece(&tokenizer, fuzz_ctx(), (sn_slice){ (const char *)bytes, size }, "input")))
		return 0;
	tokenize(
		tokenizer,
		"  The keys \xd0\xba\xd0\xbb\xd1\x8e\xd1\x87\t the\xe2\x96\x81the12[MASK] <s> \xf0\x9f\x98\x80 ab\xc2\xa0\n ");
	tokenize(tokenizer, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	tokenize(tokenizer, "");
	sn_tokenizer_close(tokenizer);
	return 0;
}
