/* vocab.txt, or vocab.json and merges.txt, with what may stand beside them: files one after the other with a zero byte
 * between; the first byte says which. What is accepted tokenizes. */
#include "fuzz.h"

#include <string.h>
#include <unistd.h>

#include "text/tokenizer.h"

static void write_files(const uint8_t *bytes, size_t size, const char *const *name, int n)
{
	for (int i = 0; i < n; i++) {
		const uint8_t *end = size ? memchr(bytes, 0, size) : NULL;
		size_t length = end ? (size_t)(end - bytes) : size;
		if (length)
			fuzz_write(name[i], bytes, length);
		else
			unlink(fuzz_path(name[i]));
		size -= end ? length + 1 : length;
		bytes += end ? length + 1 : length;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const char *const words[] = { "vocab.txt", "tokenizer_config.json", "special_tokens_map.json", "vocab.json",
										 "merges.txt" };
	static const char *const pairs[] = { "vocab.json", "merges.txt", "tokenizer_config.json", "added_tokens.json",
										 "vocab.txt" };
	static const char text[] = "The keys caf\xc3\xa9 <mask> [SEP]";
	sn_tokenizer *tokenizer;
	sn_tokens tokens;
	sn_arena *arena;
	if (size == 0) return 0;
	write_files(bytes + 1, size - 1, bytes[0] == 'w' ? words : pairs, 5);
	if (!fuzz_ok(sn_tokenizer_open_folder(&tokenizer, fuzz_ctx(), fuzz_path(NULL)))) return 0;
	fuzz_require(sn_arena_open(&arena, fuzz_ctx()) == SN_OK);
	if (fuzz_ok(sn_tokenize(fuzz_ctx(), tokenizer, text, sizeof text - 1, SN_ADD_SPECIAL, arena, &tokens)))
		for (int64_t i = 0; i < tokens.n; i++)
			fuzz_require(tokens.id[i] >= 0 && tokens.id[i] < sn_tokenizer_size(tokenizer));
	sn_arena_close(arena);
	sn_tokenizer_close(tokenizer);
	return 0;
}
