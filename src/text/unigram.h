/* The unigram language model (Kudo 2018): of all ways to cut a word into pieces, the one whose log-probabilities have
 * the largest sum (Viterbi). */
#ifndef SN_TEXT_UNIGRAM_H
#define SN_TEXT_UNIGRAM_H

#include "text/fallback.h"
#include "text/model.h"
#include "text/trie.h"
#include "text/vocab.h"

typedef struct sn_unigram {
	const sn_vocab *vocab;
	sn_trie trie;         /* of the pieces that may be used */
	const double *score;  /* [vocab->n] log-probabilities, or what stands for them */
	double unk_score;     /* of a character that is no piece */
	int32_t unk;          /* its token; -1: it has none */
	bool single;          /* sums are rounded to float32 after each piece, as SentencePiece does */
	bool fuse_unk;        /* neighbouring unknown characters become one token */
	sn_fallback fallback; /* what an unknown token becomes, if all its bytes are tokens */
} sn_unigram;

/* Best way to a place in the word. */
typedef struct sn_lattice_node {
	double score;
	int32_t id;
	uint32_t from; /* where its last piece begins; UINT32_MAX: no way yet */
} sn_lattice_node;

/* Room to work in, grown as needed. Zero-initialise; sn_lattice_free at the end. */
typedef struct sn_lattice {
	sn_lattice_node *node;
	size_t room;
} sn_lattice;

/* Appends the tokens of a word (valid UTF-8, size < 2^31) to out, what has no token included (id -1). Of equal sums the
 * one found first is kept: longer pieces before shorter ones at the end. SN_ENOMEM. Cost: linear in the bytes times the
 * length of the longest piece; 52 bytes of room a byte. */
SN_CHECKED sn_status sn_unigram_encode(const sn_unigram *unigram, sn_ctx *ctx, sn_lattice *work, const char *word,
									   size_t size, sn_parts *out);
void sn_lattice_free(sn_lattice *work, sn_ctx *ctx);

#endif
