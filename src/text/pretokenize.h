/* Pre-tokenizers: stages that cut text into the words that the model never looks beyond. */
#ifndef SN_TEXT_PRETOKENIZE_H
#define SN_TEXT_PRETOKENIZE_H

#include "io/bytes.h"
#include "text/piece.h"
#include "text/regex.h"

typedef enum sn_stage_kind {
	SN_STAGE_NONE,
	SN_STAGE_SPLIT,        /* at matches of an expression */
	SN_STAGE_SPLIT_CLASS,  /* at characters of a class */
	SN_STAGE_WORDS,        /* runs of word characters, runs of what is neither that nor white space */
	SN_STAGE_BYTE_LEVEL,   /* GPT-2's */
	SN_STAGE_METASPACE,    /* spaces become visible, and words begin with them */
	SN_STAGE_FIXED_LENGTH, /* so many characters at a time */
	SN_STAGE_SCRIPTS,      /* where the script changes */
	SN_STAGE_KINDS
} sn_stage_kind;

/* What becomes of the matches of a split ("the-final--countdown" at "-"). */
typedef enum sn_behavior {
	SN_BEHAVIOR_NONE,
	SN_REMOVED,              /* the final countdown */
	SN_ISOLATED,             /* the - final - - countdown */
	SN_MERGED_WITH_PREVIOUS, /* the- final- - countdown */
	SN_MERGED_WITH_NEXT,     /* the -final - -countdown */
	SN_CONTIGUOUS            /* the - final -- countdown */
} sn_behavior;

typedef enum sn_prepend_scheme { SN_PREPEND_NEVER, SN_PREPEND_ALWAYS, SN_PREPEND_FIRST } sn_prepend_scheme;

/* Scripts as ranges of characters, in order; what lies in none belongs to any script. */
typedef struct sn_script_range {
	uint32_t first, last;
	int script;
} sn_script_range;

typedef struct sn_stage {
	sn_stage_kind kind;
	sn_regex *regex;                 /* SPLIT; BYTE_LEVEL: GPT-2's, or NULL */
	bool (*in_class)(uint32_t code); /* SPLIT_CLASS; NULL: only the delimiter */
	uint32_t delimiter;
	sn_behavior behavior;          /* SPLIT, SPLIT_CLASS */
	bool invert;                   /* SPLIT: what does not match counts as the match */
	bool add_prefix_space;         /* BYTE_LEVEL: a piece that does not begin with a space gets one */
	bool write_bytes;              /* BYTE_LEVEL: bytes are written in the alphabet for the stages that follow */
	sn_slice replacement;          /* METASPACE: one character */
	sn_prepend_scheme prepend;     /* METASPACE */
	bool split;                    /* METASPACE */
	int64_t length;                /* FIXED_LENGTH */
	const sn_script_range *script; /* [n_script] SCRIPTS */
	int32_t n_script;
} sn_stage;

/* GPT-2's expression for words. */
extern const char sn_gpt2_pattern[];

/* Sends a piece through n stages, in order, and each resulting piece, none of them empty, to out. */
SN_CHECKED sn_status sn_pretokenize(sn_ctx *ctx, sn_matcher *matcher, const sn_stage *stage, int n, sn_piece piece,
									sn_piece_fn *out, void *payload);

#endif
