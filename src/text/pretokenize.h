/* Pre-tokenizers: stages that cut text into the words that the model never looks beyond. */
#ifndef SN_TEXT_PRETOKENIZE_H
#define SN_TEXT_PRETOKENIZE_H

#include "text/piece.h"
#include "text/regex.h"

typedef enum sn_stage_kind { SN_STAGE_NONE, SN_STAGE_SPLIT, SN_STAGE_DIGITS, SN_STAGE_BYTE_LEVEL } sn_stage_kind;

/* What becomes of the matches of a split ("the-final--countdown" at "-"). */
typedef enum sn_behavior {
	SN_BEHAVIOR_NONE,
	SN_REMOVED,              /* the final countdown */
	SN_ISOLATED,             /* the - final - - countdown */
	SN_MERGED_WITH_PREVIOUS, /* the- final- - countdown */
	SN_MERGED_WITH_NEXT,     /* the -final - -countdown */
	SN_CONTIGUOUS            /* the - final -- countdown */
} sn_behavior;

typedef struct sn_stage {
	sn_stage_kind kind;
	sn_regex *regex;       /* SPLIT; BYTE_LEVEL: GPT-2's, or NULL */
	sn_behavior behavior;  /* SPLIT, DIGITS */
	bool invert;           /* SPLIT: what does not match counts as the match */
	bool add_prefix_space; /* BYTE_LEVEL: a piece that does not begin with a space gets one */
} sn_stage;

/* GPT-2's expression for words. */
extern const char sn_gpt2_pattern[];

/* Sends a piece through n stages, in order, and each resulting piece, none of them empty, to out. */
SN_CHECKED sn_status sn_pretokenize(sn_ctx *ctx, sn_matcher *matcher, const sn_stage *stage, int n, sn_piece piece,
									sn_piece_fn *out, void *payload);

#endif
