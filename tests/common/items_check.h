/* What must hold of any items that were made from a phenomenon. */
#ifndef SN_TEST_ITEMS_CHECK_H
#define SN_TEST_ITEMS_CHECK_H

#include "common/test.h"
#include "data/phenomenon.h"
#include "text/tokenizer.h"

/* A tokenizer in which every word of a phenomenon's lexicon is one token (with its space), but for some. */
sn_tokenizer *suite_tokenizer(sn_ctx *ctx, const sn_phenomenon *p, sn_arena *arena);
sn_tokenizer *suite_tokenizer_without(sn_ctx *ctx, const sn_phenomenon *p, sn_arena *arena, const char *without);
/* Asserts the invariants of sn_items: folds by lemma, lead-ins, roles, twins, pairs, tokens (NULL: text only). */
void check_items(sn_ctx *ctx, const sn_items *items, const sn_phenomenon *p, const sn_tokenizer *tokenizer);
/* Asserts that each frame x controller x attractor cell of items [from, to) is equally full. */
void check_balance(const sn_items *items, int64_t from, int64_t to);
/* Returns how many prefixes (or choice pairs) were dropped for a reason. */
int64_t count_dropped(const sn_items *items, const char *reason);
/* Asserts equality in everything but the source and the counts of what was dropped. */
void check_same_items(const sn_items *a, const sn_items *b);

#endif
