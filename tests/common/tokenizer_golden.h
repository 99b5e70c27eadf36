/* The golden files of tests/golden/tokenizer, for the tests with and without the real model. */
#ifndef SN_TEST_TOKENIZER_GOLDEN_H
#define SN_TEST_TOKENIZER_GOLDEN_H

#include "common/test.h"
#include "text/tokenizer.h"

/* Asserts that the tokenizer gives the ids and offsets that torture.jsonl has under name, for every text; returns how
 * many. */
int golden_torture(sn_ctx *ctx, const sn_tokenizer *t, const char *name);
/* Asserts that for every "# text = " of SN_DATA/ud/TREEBANK-ud-SPLIT.conllu the tokenizer gives the number of tokens
 * and the hashes that smollm2-TREEBANK-SPLIT.tsv has in the columns pre_tokens, pre_ids, pre_offsets (pre 0: smollm, 1:
 * gpt2); returns how many sentences. name: "en_ewt-dev". */
int golden_treebank(sn_ctx *ctx, const sn_tokenizer *t, const char *treebank, const char *split, int pre);

#endif
