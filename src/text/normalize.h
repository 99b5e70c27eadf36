/* Normalizers: stages that rewrite text before it is cut, keeping for every byte the place it came from. */
#ifndef SN_TEXT_NORMALIZE_H
#define SN_TEXT_NORMALIZE_H

#include "io/bytes.h"
#include "text/charsmap.h"
#include "text/piece.h"
#include "text/regex.h"

typedef enum sn_normalizer_kind {
	SN_NORMALIZER_NONE,
	SN_NFC,
	SN_NFD,
	SN_NFKC,
	SN_NFKD,
	SN_LOWERCASE,        /* Unicode's, without regard to language or context */
	SN_BERT_CLEAN,       /* control characters dropped, white space made a space */
	SN_BERT_IDEOGRAPHS,  /* a space on each side of a Chinese character */
	SN_STRIP_NONSPACING, /* nonspacing marks dropped */
	SN_STRIP_MARKS,      /* all marks dropped */
	SN_STRIP,            /* white space at the ends dropped */
	SN_PREPEND,
	SN_REPLACE,
	SN_NMT,         /* sentencepiece's nmt rules: some control characters dropped, others made spaces */
	SN_CHARSMAP,    /* SentencePiece's precompiled_charsmap */
	SN_WRITE_BYTES, /* bytes written in GPT-2's alphabet */
	SN_NORMALIZER_KINDS
} sn_normalizer_kind;

typedef struct sn_normalizer {
	sn_normalizer_kind kind;
	bool left, right;       /* STRIP */
	sn_slice text;          /* PREPEND: what; REPLACE: by what */
	sn_regex *regex;        /* REPLACE */
	const sn_charsmap *map; /* CHARSMAP */
} sn_normalizer;

/* Sends a piece through n normalizers, in order, and the result to out. Places are those of the `tokenizers` package:
 * each new character stands for one old one; what is left over when characters compose stands nowhere, what a character
 * decomposes into stands where it stood. SN_ENOMEM, what a regex fails with, or what out returns. Cost: linear. */
SN_CHECKED sn_status sn_normalize(sn_ctx *ctx, sn_matcher *matcher, const sn_normalizer *normalizer, int n,
								  sn_piece piece, sn_piece_fn *out, void *payload);

#endif
