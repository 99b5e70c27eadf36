/* Comparison of tokenizers with what the `tokenizers` package makes of the same texts (tests/golden/tokenizer/zoo). */
#ifndef SN_TEST_ZOO_H
#define SN_TEST_ZOO_H

#include <jansson.h>

#include "common/test.h"
#include "text/tokenizer.h"

#define ZOO SN_TESTS "/golden/tokenizer/zoo/"

/* A tokenizer, what is expected of it, and what all share: hard texts, what random strings are made of. */
typedef struct zoo {
	sn_ctx *ctx;
	json_t *about, *golden;
	sn_tokenizer *t;
	sn_arena *arena;
	const char *name;
} zoo;

/* Tokens and hash of the texts so far; begins as { 0, SN_FNV_START }. */
typedef struct sum {
	int64_t n;
	uint64_t hash;
} sum;

/* Loads ZOO NAME SUFFIX. */
json_t *zoo_load(const char *name, const char *suffix);
/* Opens a tokenizer of the zoo with its golden file. */
zoo zoo_enter(sn_ctx *ctx, const char *name);
void zoo_leave(zoo *z);
/* Tokenizes a text and adds ids, offsets and decoded text to a sum. */
void zoo_add(zoo *z, const char *text, size_t size, sum *s);
/* Asserts that a sum is the expected [tokens, hash]; what and number are for the message. */
void zoo_check(const zoo *z, const sum *s, const json_t *expected, const char *what, size_t number);
/* Asserts the sum of all pairs of neighbouring hard texts. */
void zoo_pairs(zoo *z, const json_t *expected, size_t number);
/* Asserts "sums" over blocks of the hard texts, and "pairs". */
void zoo_sums(zoo *z, const json_t *record, size_t per_block, size_t number);
/* Asserts the sums over blocks of a treebank's sentences; name: "en_ewt-dev". */
void zoo_treebank(zoo *z, const char *name, const json_t *golden);
/* Makes the random string of a number, as tests/oracles/tokenizer_zoo.py does. */
void zoo_string(const json_t *about, uint64_t number, sn_buf *out);

#endif
