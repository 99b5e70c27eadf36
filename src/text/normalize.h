/* Normalizers: stages that rewrite text before it is cut, keeping for every byte the place it came from. */
#ifndef SN_TEXT_NORMALIZE_H
#define SN_TEXT_NORMALIZE_H

#include "text/piece.h"

typedef enum sn_normalizer {
	SN_NORMALIZER_NONE,
	SN_NFC,
	SN_NFD,
	SN_NFKC,
	SN_NFKD,
	SN_LOWERCASE /* Unicode's, without regard to language or context */
} sn_normalizer;

/* Sends a piece through n normalizers, in order, and the result to out. Places are those of the `tokenizers` package:
 * each new character stands for one old one; what is left over when characters compose stands nowhere, what a character
 * decomposes into stands where it stood. SN_ENOMEM, or what out returns. Cost: linear. */
SN_CHECKED sn_status sn_normalize(sn_ctx *ctx, const sn_normalizer *normalizer, int n, sn_piece piece, sn_piece_fn *out,
								  void *payload);

#endif
