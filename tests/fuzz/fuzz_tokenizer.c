/* tokenizer.json: whatever is accepted tokenizes text into spans in order and ids it knows. */
#include "fuzz.h"

#include <string.h>

#include "text/tokenizer.h"

static void tokenize(const sn_tokenizer *tokenizer, const char *text)
{
	sn_ctx *ctx = fuzz_ctx();
	sn_arena *arena;
	sn_tokens tokens;
	fuzz_require(sn_arena_open(&arena, ctx) == SN_OK);
	int64_t size = (int64_t)strlen(text);
	if (fuzz_ok(sn_tokenize(ctx, tokenizer, text, (size_t)size, SN_ADD_SPECIAL | SN_PARSE_SPECIAL, arena, &tokens)))
		for (int64_t i = 0; i < tokens.n; i++) {
			fuzz_require(tokens.id[i] >= 0 && tokens.id[i] < sn_tokenizer_size(tokenizer));
			fuzz_require(tokens.span[i][0] <= tokens.span[i][1] && tokens.span[i][1] <= size);
			size_t n;
			fuzz_require(sn_token_text(ctx, tokenizer, tokens.id[i], arena, &n) != NULL);
		}
	const char *back;
	size_t n;
	if (tokens.n && fuzz_ok(sn_detokenize(ctx, tokenizer, tokens.n, tokens.id, SN_SKIP_SPECIAL, arena, &back, &n)))
		fuzz_require(sn_utf8_check(back, n) < 0);
	sn_arena_close(arena);
}

/* A pair, one of them not UTF-8. */
static void tokenize_pair(const sn_tokenizer *tokenizer)
{
	static const char *const text[2] = { "The  Keys caf\xc3\xa9 e\xcc\x81 \xe4\xb8\xad\xe6\x96\x87.",
										 "\xff the\xe2\x82 <|im_end|>" };
	const size_t size[2] = { strlen(text[0]), strlen(text[1]) };
	sn_arena *arena;
	sn_tokens tokens;
	fuzz_require(sn_arena_open(&arena, fuzz_ctx()) == SN_OK);
	int flags = SN_ADD_SPECIAL | SN_REPLACE_INVALID;
	if (fuzz_ok(sn_tokenize_pair(fuzz_ctx(), tokenizer, text, size, flags, arena, &tokens)))
		for (int64_t i = 0; i < tokens.n; i++) {
			fuzz_require(tokens.text[i] >= -1 && tokens.text[i] <= 1);
			size_t end = tokens.text[i] < 0 ? SN_MAX(size[0], size[1]) : size[(int)tokens.text[i]];
			fuzz_require(tokens.span[i][0] <= tokens.span[i][1] && tokens.span[i][1] <= (int64_t)end);
		}
	sn_arena_close(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	sn_tokenizer *tokenizer;
	sn_slice json = { (const char *)bytes, size };
	if (!fuzz_ok(sn_tokenizer_parse_json(&tokenizer, fuzz_ctx(), json, "input"))) return 0;
	tokenize(tokenizer, "The keys \xd0\xba\xd0\xbb\xd1\x8e\xd1\x87  to12 <|im_end|> \xf0\x9f\x98\x80 don't\r\n\n");
	tokenize_pair(tokenizer);
	sn_tokenizer_close(tokenizer);
	return 0;
}
