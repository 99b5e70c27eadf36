/* Phenomena: a grammar and a lexicon as data (docs/phenomena.md), read once, checked whole, never changed. items.h
 * makes items from them. */
#ifndef SN_DATA_PHENOMENON_H
#define SN_DATA_PHENOMENON_H

#include "data/expr.h"
#include "data/items.h"

enum {
	SN_MAX_SLOT = 12,
	SN_MAX_ROLE = 8, /* roles, labels, conditions of a frame */
	SN_MAX_FRAME = 64,
	SN_MAX_LEAD = 256,
	SN_MAX_CHOICE = 500, /* choice words */
	SN_LEAST_CHOICE = 6, /* that must remain for a tokenizer, unless the file says less */
	SN_MAX_PIECE = 2 * SN_MAX_SLOT + 2,
	SN_MAX_PHENOMENON_BYTES = 4 << 20
};

/* Reasons to drop that every phenomenon has. */
#define SN_ROLES_OVERLAP "roles_overlap"
#define SN_FOIL_IS_GOOD "foil==good"

/* This feature has the value it has in that slot, where the condition (NULL: always) holds. */
typedef struct sn_agree {
	int feature, slot;
	const sn_expr *only_if;
} sn_agree;

/* A feature that takes several values in a slot, bit v for value v. */
typedef struct sn_vary {
	int feature;
	uint32_t values;
} sn_vary;

/* A place in a frame that a word of one class fills. */
typedef struct sn_slot {
	const char *name;
	int class_index;
	sn_values fixed; /* "case": "nom" */
	int n_vary, n_agree;
	sn_vary vary[SN_MAX_FEATURE];
	sn_agree agree[SN_MAX_FEATURE];
	int distinct; /* slot whose lemma it must not repeat; -1: none */
} sn_slot;

enum { SN_PIECE_TEXT = -2, SN_PIECE_LEAD = -1 };

/* A piece of a frame: a slot's number, the lead-in, or text as it stands. */
typedef struct sn_frame_piece {
	int slot;
	const char *text;
} sn_frame_piece;

typedef struct sn_condition {
	const char *name;
	const sn_expr *when;
} sn_condition;

/* What a frame asks of a slot: this feature has this value. */
typedef struct sn_with {
	sn_ref ref;
	int value;
} sn_with;

typedef struct sn_frame {
	const char *id, *order; /* order: "SV", "VS", ...; "" where the file says nothing */
	int n_piece, n_condition, n_with;
	sn_frame_piece piece[SN_MAX_PIECE]; /* of the prefix; the choice follows after one space */
	uint32_t slots;                     /* bit s: slot s stands in the prefix */
	sn_condition condition[SN_MAX_ROLE];
	sn_with with[SN_MAX_ROLE];
} sn_frame;

typedef struct sn_role_def {
	const char *name;
	int slot; /* -1: what stands last before the choice */
} sn_role_def;

/* A binary label: +1 where slot.feature has value[0], -1 for value[1], otherwise absent. */
typedef struct sn_label_def {
	const char *name;
	int slot, feature, value[2];
} sn_label_def;

/* How pairs of a kind are made: flip a feature of a slot, or swap the slot's lemma (and flip, where the feature is
 * inherent). */
typedef struct sn_interchange {
	bool given, swap;
	int slot, flip; /* flip: feature; -1: none */
	int n_hold, hold[SN_MAX_FEATURE];
} sn_interchange;

typedef struct sn_reject {
	const char *name; /* as written: the reason */
	const sn_expr *when;
} sn_reject;

struct sn_phenomenon {
	const char *id, *lang, *source;
	int n_feature, n_class, n_slot, n_frame, n_role, n_label, n_dim, n_reject, n_fold;
	sn_feature feature[SN_MAX_FEATURE];
	sn_class classes[SN_MAX_CLASS];
	sn_slot slot[SN_MAX_SLOT];
	sn_frame *frame;
	int n_lead[2];
	const char **lead[2];            /* training, test; disjoint */
	sn_role_def role[SN_MAX_ROLE];   /* the controller's slot first, the word before the choice last */
	sn_label_def label[SN_MAX_ROLE]; /* label 0: the controller's feature */
	int choice;                      /* the slot that shows the choice: agrees with the controller in its feature */
	int least_choice;                /* 1 to SN_LEAST_CHOICE */
	int attractor;                   /* slot; -1: none */
	sn_interchange interchange[SN_PAIR_KINDS];
	sn_ref dim[SN_MAX_SLOT]; /* what is balanced beside the frame */
	uint32_t unseen;         /* bit s: slot s draws its lemma from the controller's block */
	sn_reject reject[SN_MAX_ROLE];
	bool fold_yo, write_folded; /* ё and е are the same letter; and е is the one written */
};

/* Reads a phenomenon: a path, the name of a suite that comes with Sonde ("en/number-agreement"), or "-" for standard
 * input. SN_ENOTFOUND lists the suites; SN_EPARSE names the file and line (syntax) or the JSON path, what was expected
 * and found. */
SN_CHECKED sn_status sn_phenomenon_open(const sn_phenomenon **out, sn_ctx *ctx, const char *name, sn_arena *arena);
/* The same from bytes in memory; source: what errors call it. */
SN_CHECKED sn_status sn_phenomenon_parse(const sn_phenomenon **out, sn_ctx *ctx, const char *source, const char *bytes,
										 size_t size, sn_arena *arena);

/* Gives a slot's fill its values and form from its lexeme and from the values that fill->values already has for what
 * varies; the slots it agrees with must be filled before. Returns false where the lexeme has no single form for them.
 */
bool sn_slot_inflect(const sn_phenomenon *p, int slot, sn_fill *fill /* [n_slot] */);
/* Returns whether a lexeme may stand in a slot: its inherent features are what the slot fixes. */
bool sn_slot_takes(const sn_slot *slot, const sn_lexeme *lexeme);
/* Returns the class of a slot. */
static inline const sn_class *sn_slot_class(const sn_phenomenon *p, int slot)
{
	return &p->classes[p->slot[slot].class_index];
}
/* Returns the values a slot's feature may take, bit v for value v: as varied, or as its lexemes carry it; a label's two
 * only. */
uint32_t sn_slot_values(const sn_phenomenon *p, int slot, int feature);
/* Returns the first combination of what a slot varies; steps to the next, false after the last. */
sn_values sn_slot_first_values(const sn_phenomenon *p, int slot);
bool sn_slot_next_values(const sn_phenomenon *p, int slot, sn_values *values);
/* Returns the slot's entry for a varied feature, or -1. */
int sn_slot_vary(const sn_slot *slot, int feature);

#endif
