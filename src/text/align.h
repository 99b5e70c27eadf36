/* Tokens, characters and words: which belong together. Words and tokens are byte spans of the same text. */
#ifndef SN_TEXT_ALIGN_H
#define SN_TEXT_ALIGN_H

#include "base/base.h"

/* Returns the number of code points in the first `byte` bytes of valid UTF-8. Cost: linear in byte. */
int64_t sn_code_point_offset(const char *text, int64_t byte);
/* Writes the code-point offsets of n byte spans into out, which may be span itself. Cost: linear in the text when spans
 * come in order; a span that begins before the one before it restarts from the beginning of the text. */
void sn_code_point_spans(const char *text, int64_t n, const int64_t (*span)[2], int64_t (*out)[2]);

/* What is less than perfect in an alignment. */
typedef struct sn_align_report {
	int64_t missing;       /* words that no token belongs to */
	int64_t first_missing; /* the first of them, or -1 */
	int64_t shared;        /* words that share a token with another word ("don" of "do" + "n't") */
} sn_align_report;

/* Writes into out[w] the tokens [first, last) that hold some byte of word w, in any order of words. The token " the"
 * belongs to the word "the"; a token that is white space only belongs to no word. tokens must be in order, as
 * sn_tokenize returns them. A word without tokens is {-1, -1} and counted in *report; with report NULL it is SN_ECHECK,
 * naming the word. Words that are empty or outside the text (size bytes) are SN_EARG. Cost: n_word * log(tokens). */
SN_CHECKED sn_status sn_align_words(sn_ctx *ctx, const char *text, int64_t size, const sn_tokens *tokens,
									int64_t n_word, const int64_t (*word)[2], int32_t (*out)[2],
									sn_align_report *report);

#endif
