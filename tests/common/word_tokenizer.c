#include "common/word_tokenizer.h"

#include <string.h>

#include "text/tokenizer.h"

enum { MAX_TOKENS = 4000 };

typedef struct vocabulary {
	sn_arena *arena;
	sn_slice token[MAX_TOKENS], merge[MAX_TOKENS];
	int64_t n_token, n_merge;
} vocabulary;

/* GPT-2's alphabet: printable Latin-1 bytes stand for themselves, the others for U+0100 and up. */
static void add_bytes(vocabulary *v)
{
	uint32_t other = 0x100;
	for (int b = 0; b < 256; b++) {
		bool self = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
		char *text = sn_arena_take(v->arena, 4);
		v->token[v->n_token++] = (sn_slice){ text, (size_t)sn_utf8_put(self ? (uint32_t)b : other, text) };
		other += !self;
	}
}

static bool has_token(const vocabulary *v, const char *text, size_t size)
{
	for (int64_t i = 0; i < v->n_token; i++)
		if (v->token[i].size == size && memcmp(v->token[i].data, text, size) == 0) return true;
	return false;
}

/* " word" grows from its space, a letter at a time. */
static void add_word(vocabulary *v, const char *word, size_t size)
{
	for (size_t n = 1; n <= size; n++) {
		char *whole = sn_arena_format(v->arena, "\u0120%.*s", (int)n, word);
		if (has_token(v, whole, n + 2)) continue;
		char *merge = sn_arena_format(v->arena, "\u0120%.*s %c", (int)n - 1, word, word[n - 1]);
		assert_true(v->n_token < MAX_TOKENS);
		v->token[v->n_token++] = (sn_slice){ whole, n + 2 };
		v->merge[v->n_merge++] = (sn_slice){ merge, n + 3 };
	}
}

sn_tokenizer *word_tokenizer(sn_ctx *ctx, const char *words)
{
	static vocabulary v;
	memset(&v, 0, sizeof v);
	assert_ok(ctx, sn_arena_open(&v.arena, ctx));
	add_bytes(&v);
	for (const char *at = words; *at; at += strspn(at, " ")) {
		size_t size = strcspn(at, " ");
		add_word(&v, at, size);
		at += size;
	}
	sn_tokenizer_spec spec = { .source = "words",
							   .model = "gpt2",
							   .n_token = v.n_token,
							   .n_merge = v.n_merge,
							   .token = v.token,
							   .merge = v.merge,
							   .bos = -1,
							   .eos = -1 };
	sn_tokenizer *out;
	assert_ok(ctx, sn_tokenizer_open(&out, ctx, &spec));
	sn_arena_close(v.arena);
	return out;
}
