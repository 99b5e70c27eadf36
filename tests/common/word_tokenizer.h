/* A byte-level BPE tokenizer in which chosen words, with their space, are single tokens and all else is bytes. */
#ifndef SN_TEST_WORD_TOKENIZER_H
#define SN_TEST_WORD_TOKENIZER_H

#include "common/test.h"

/* words: separated by spaces, ASCII letters. Every beginning of a word is a token too. sn_tokenizer_close it. */
sn_tokenizer *word_tokenizer(sn_ctx *ctx, const char *words);

#endif
