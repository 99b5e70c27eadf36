/* Merging against the definition done naively, and what must hold of any tokenization of any text. */
#include "common/test.h"

#include <string.h>

#include "text/bpe.h"

enum { LETTERS = 4, MERGES = 60, TOKENS = LETTERS + MERGES, LONGEST = 160 };

/* A random vocabulary over four letters: each merge joins two earlier tokens into a new one. */
typedef struct toy {
	sn_arena *arena;
	char text[TOKENS][64];
	int left[MERGES], right[MERGES], n; /* n tokens */
	sn_vocab vocab;
	sn_bpe bpe;
} toy;

static bool is_new(const toy *v, const char *text)
{
	for (int i = 0; i < v->n; i++)
		if (strcmp(v->text[i], text) == 0) return false;
	return true;
}

static void grow(toy *v, sn_rng *rng)
{
	while (v->n < TOKENS) {
		int a = (int)sn_rng_below(rng, (uint64_t)v->n), b = (int)sn_rng_below(rng, (uint64_t)v->n);
		char joined[128];
		sn_format(joined, sizeof joined, "%s%s", v->text[a], v->text[b]);
		if (strlen(joined) >= sizeof v->text[0] || !is_new(v, joined)) continue;
		v->left[v->n - LETTERS] = a;
		v->right[v->n - LETTERS] = b;
		strcpy(v->text[v->n++], joined);
	}
}

static void build(toy *v, sn_ctx *ctx, uint64_t seed)
{
	sn_rng rng = sn_rng_make(seed, 0);
	sn_vocab_entry entry[TOKENS] = { 0 };
	sn_buf scratch = { .ctx = ctx };
	*v = (toy){ .bpe = { .byte_level = true, .unk = -1 } };
	assert_ok(ctx, sn_arena_open(&v->arena, ctx));
	for (; v->n < LETTERS; v->n++) v->text[v->n][0] = (char)('a' + v->n);
	grow(v, &rng);
	for (int i = 0; i < TOKENS; i++) entry[i].text = (sn_slice){ v->text[i], strlen(v->text[i]) };
	assert_ok(ctx, sn_vocab_build(&v->vocab, v->arena, TOKENS, entry, NULL, "toy"));
	assert_ok(ctx, sn_bpe_init(&v->bpe, v->arena, &v->vocab, MERGES));
	for (int i = 0; i < MERGES; i++) {
		const char *left = v->text[v->left[i]], *right = v->text[v->right[i]];
		assert_true(sn_bpe_add_merge(&v->bpe, (uint32_t)i, (sn_slice){ left, strlen(left) },
									 (sn_slice){ right, strlen(right) }, &scratch));
	}
	sn_buf_free(&scratch);
}

/* The definition: the best-ranked pair of neighbours anywhere, its leftmost occurrence, again and again. */
static int merge_naively(const toy *v, const char *word, int n, int *id)
{
	for (int i = 0; i < n; i++) id[i] = word[i] - 'a';
	for (;;) {
		int best = MERGES, at = -1;
		for (int i = 0; i + 1 < n; i++)
			for (int m = 0; m < best; m++)
				if (v->left[m] == id[i] && v->right[m] == id[i + 1]) best = m, at = i;
		if (at < 0) return n;
		id[at] = LETTERS + best;
		memmove(id + at + 1, id + at + 2, (size_t)(n - at - 2) * sizeof *id);
		n--;
	}
}

static void check_word(sn_ctx *ctx, const toy *v, sn_symbols *work, const char *word, int size)
{
	int id[LONGEST], n = merge_naively(v, word, size, id);
	sn_parts parts = { 0 };
	uint32_t at = 0;
	assert_ok(ctx, sn_bpe_encode(&v->bpe, ctx, work, word, (size_t)size, &parts));
	assert_int_equal(parts.n, n);
	for (int i = 0; i < n; i++) {
		assert_int_equal(parts.part[i].id, id[i]);
		assert_int_equal(parts.part[i].from, at);
		at = parts.part[i].to;
	}
	assert_int_equal(at, size);
	sn_parts_free(&parts, ctx);
}

static void merging_is_what_its_definition_says(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_rng rng = sn_rng_make(7, 7);
	for (uint64_t seed = 0; seed < 40; seed++) {
		toy v;
		sn_symbols work = { 0 };
		build(&v, ctx, seed);
		for (int round = 0; round < 60; round++) { /* both below and above the length where a heap takes over */
			char word[LONGEST];
			int size = 1 + (int)sn_rng_below(&rng, round % 2 ? LONGEST : 40);
			for (int i = 0; i < size; i++) word[i] = (char)('a' + sn_rng_below(&rng, LETTERS));
			check_word(ctx, &v, &work, word, size);
		}
		sn_symbols_free(&work, ctx);
		sn_arena_close(v.arena);
	}
}

static void vocabularies_find_what_they_hold(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	sn_vocab vocab;
	sn_byte_alphabet alphabet;
	sn_vocab_entry entry[] = {
		{ { "\xc4\xa0the", 5 }, false, false }, { { NULL, 0 }, false, false },
		{ { "<\xc4\xa0>", 4 }, true, false },   { { "\xe4\xb8\xad", 3 }, false, false },
		{ { "x", 1 }, false, false },           { { "x", 1 }, false, false },
		{ { "<|end|>", 7 }, true, false },      { { "<hidden>", 8 }, true, true },
	};
	sn_byte_alphabet_init(&alphabet);
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	assert_ok(ctx, sn_vocab_build(&vocab, arena, SN_COUNT(entry), entry, &alphabet, "test"));
	assert_int_equal(sn_vocab_find(&vocab, " the", 4), 0);
	assert_int_equal(sn_vocab_find(&vocab, "", 0), -1);
	assert_int_equal(sn_vocab_find(&vocab, "x", 1), 5); /* of equal tokens the last */
	assert_int_equal(sn_vocab_find(&vocab, "<|end|>", 7), 6);
	assert_int_equal(sn_vocab_find(&vocab, "< >", 3), -1);          /* an added token stands for its text as written */
	assert_int_equal(sn_vocab_find(&vocab, "\xe4\xb8\xad", 3), -1); /* not in the alphabet: no bytes spell it */
	assert_int_equal(sn_vocab_token(&vocab, 2).size, 4);
	assert_null(sn_vocab_token(&vocab, 1).data);
	assert_int_equal(sn_vocab_find(&vocab, "<hidden>", 8), -1);
	assert_int_equal(sn_vocab_token(&vocab, 7).size, 8);
	assert_null(sn_vocab_token(&vocab, 8).data);
	assert_null(sn_vocab_token(&vocab, -1).data);
	sn_arena_close(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merging_is_what_its_definition_says),
		cmocka_unit_test(vocabularies_find_what_they_hold),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
