/* Text through a tokenizer: spans in order that cover the text but for what the tokenizer drops; bad UTF-8 is refused.
 */
#include "fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	sn_ctx *ctx = fuzz_ctx();
	sn_arena *arena;
	sn_tokens tokens;
	const char *text = (const char *)bytes;
	int flags = size && bytes[0] % 2 ? SN_PARSE_SPECIAL : 0;
	fuzz_require(sn_arena_open(&arena, ctx) == SN_OK);
	if (fuzz_ok(sn_tokenize(ctx, fuzz_tokenizer(), text, size, flags, arena, &tokens))) {
		fuzz_require(sn_utf8_check(text, size) < 0);
		int64_t end = 0;
		for (int64_t i = 0; i < tokens.n; i++) {
			fuzz_require(tokens.span[i][0] <= end && tokens.span[i][1] >= end);
			end = tokens.span[i][1];
		}
		fuzz_require(end == (int64_t)size);
	} else {
		fuzz_require(sn_utf8_check(text, size) >= 0);
	}
	sn_arena_close(arena);
	return 0;
}
