/* SentencePiece's way from text to tokens (Kudo & Richardson 2018): normalising, then a unigram or byte-pair model over
 * whole texts. Inside, white space stands as itself: pieces are kept with a space where files write U+2581, and U+2581
 * in a text becomes a space, as SentencePiece conflates the two the other way round. */
#ifndef SN_TEXT_SPM_H
#define SN_TEXT_SPM_H

#include "text/charsmap.h"
#include "text/merge.h"
#include "text/piece.h"
#include "text/unigram.h"

/* As trainer_spec.model_type numbers them. */
typedef enum sn_spm_kind { SN_SPM_NONE, SN_SPM_UNIGRAM, SN_SPM_BPE, SN_SPM_WORD, SN_SPM_CHAR } sn_spm_kind;

typedef struct sn_spm_piece {
	sn_slice text; /* as in the file: "\u2581the", "<0x0A>" */
	float score;   /* log-probability; BPE: the larger, the earlier joined */
	int32_t type;  /* SN_TOKEN_NORMAL, ... */
} sn_spm_piece;

/* What a file says of a model; everything is borrowed for the call. */
typedef struct sn_spm_spec {
	const char *source; /* path of the file, for errors */
	sn_spm_kind kind;
	int64_t n;
	const sn_spm_piece *piece; /* [n] */
	int64_t unk;               /* piece that stands for what has none; -1: such text yields nothing */
	int64_t bos, eos, pad;     /* -1: none */
	bool byte_fallback;
	bool whitespace_as_suffix; /* the added space comes after the text */
	bool add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces;
	bool plain_spaces; /* a space in a piece is white space, as U+2581 is; otherwise no text can have such a piece */
	bool prefix_once;  /* the space is added before the text only, not after each special token in it */
	sn_slice charsmap;
} sn_spm_spec;

typedef struct sn_spm {
	sn_spm_kind kind;
	sn_vocab vocab; /* of the pieces, by their numbers; only those a model may use are found by their bytes */
	sn_charsmap charsmap;
	bool add_space, as_suffix, prefix_once, remove_spaces, escape;
	sn_trie raw_user, user; /* USER_DEFINED pieces as a text writes them; as the normalised text does */
	sn_unigram unigram;     /* and what all kinds share: unk, fallback */
	const uint32_t *rank;   /* [vocab->n] BPE: order in which pieces are made, 1 the first; 0: never */
	const uint8_t *unused;  /* [vocab->n] BPE: pieces only to join further; NULL: there are none */
} sn_spm;

/* Room to work in, grown as needed. Zero-initialise; sn_spm_work_free at the end. */
typedef struct sn_spm_work {
	sn_symbols symbols;
	sn_lattice lattice;
	uint32_t *split; /* [vocab->n] where the last pair that made an unused piece met */
	sn_buf stack;    /* stretches still to be taken apart */
} sn_spm_work;

/* Makes a model; takes from arena and keeps nothing of spec. out must stay where it is. SN_EPARSE names the piece that
 * is not UTF-8, has no finite score, or is no byte although it should be. Cost: linear but for sorting (256,000 pieces:
 * some 80 ms). */
SN_CHECKED sn_status sn_spm_build(sn_spm *out, sn_arena *arena, const sn_spm_spec *spec);

/* Sends a piece through the normalizer and the result, if not empty, to out. Places are SentencePiece's: a normalised
 * stretch stands for the text up to where the next one begins, so that spaces taken away belong to the one before.
 * SN_EPARSE if the text becomes more than 64 times as long, SN_ENOMEM, or what out returns. Cost: linear. */
SN_CHECKED sn_status sn_spm_normalize(sn_ctx *ctx, const sn_spm *spm, sn_piece piece, sn_piece_fn *out, void *payload);
/* Appends the pieces of a normalised text, by their numbers, to out, what has none included (-1). SN_ENOMEM. Cost: as
 * sn_unigram_encode or sn_symbols_merge. */
SN_CHECKED sn_status sn_spm_encode(const sn_spm *spm, sn_ctx *ctx, sn_spm_work *work, const char *text, size_t size,
								   sn_parts *out);
void sn_spm_work_free(sn_spm_work *work, sn_ctx *ctx);

#endif
