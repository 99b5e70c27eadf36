/* WordPiece (Schuster & Nakajima 2012) as BERT uses it: the longest token that begins a word, then the longest that
 * goes on from there, to the word's end; a word that cannot be written so is unknown as a whole. WordLevel is the same
 * without pieces. */
#ifndef SN_TEXT_WORDPIECE_H
#define SN_TEXT_WORDPIECE_H

#include "text/model.h"
#include "text/vocab.h"

typedef struct sn_wordpiece {
	const sn_vocab *vocab;
	sn_slice prefix;   /* of a token that does not begin a word ("##"); at most SN_LONGEST_PREFIX bytes */
	int32_t unk;       /* -1: an unknown word yields nothing */
	int64_t max_chars; /* a longer word is unknown */
	int32_t lead[256]; /* longest token beginning with a byte, in bytes, at the beginning of a word; and inside: */
	int32_t inner[256];
} sn_wordpiece;

enum { SN_LONGEST_PREFIX = 64 };

/* Indexes the vocabulary; the other members are set before. */
void sn_wordpiece_init(sn_wordpiece *wordpiece);
/* Append the tokens of a word to out. SN_ENOMEM. Cost: word length times the longest token. */
SN_CHECKED sn_status sn_wordpiece_encode(const sn_wordpiece *wordpiece, sn_ctx *ctx, const char *word, size_t size,
										 sn_parts *out);
SN_CHECKED sn_status sn_wordlevel_encode(const sn_wordpiece *wordpiece, sn_ctx *ctx, const char *word, size_t size,
										 sn_parts *out);

#endif
