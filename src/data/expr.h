/* The small expressions of phenomenon files, over the words that fill a sentence's places:
 *
 *     or    = and { "or" and }            and  = not { "and" not }           not = [ "not" ] test
 *     test  = "(" or ")" | "ambiguous" "(" SLOT [ "." FEATURE | "," VALUE { "." VALUE } ] ")"
 *           | REF ( "==" | "!=" ) ( REF | VALUE ) | VALUE
 *     REF   = SLOT "." FEATURE | SLOT "." "lemma"
 *
 * VALUE alone is allowed where a slot is understood ("S if sg"). docs/phenomena.md explains them to linguists. */
#ifndef SN_DATA_EXPR_H
#define SN_DATA_EXPR_H

#include "data/phenomenon_lexicon.h"

/* The names that expressions may use. */
typedef struct sn_scope {
	const sn_feature *feature;
	int n_feature;
	const char *const *slot;
	int n_slot;
} sn_scope;

/* SLOT.FEATURE, or SLOT.lemma with feature -1. */
typedef struct sn_ref {
	int slot, feature;
} sn_ref;

typedef struct sn_expr sn_expr;

/* Parses a whole expression into arena; self: the slot that a bare VALUE speaks of, -1: none. On SN_EPARSE the
 * context's error is the reason alone ("character 3: ..."), for the caller to place. */
SN_CHECKED sn_status sn_expr_parse(const sn_expr **out, sn_ctx *ctx, const sn_scope *scope, const char *text, int self,
								   sn_arena *arena);
/* Parses SLOT.FEATURE or SLOT.lemma; errors as above. */
SN_CHECKED sn_status sn_ref_parse(sn_ref *out, sn_ctx *ctx, const sn_scope *scope, const char *text);
/* Parses SLOT or "SLOT if expression" (*only_if NULL for the first); errors as above. */
SN_CHECKED sn_status sn_agree_parse(int *slot, const sn_expr **only_if, sn_ctx *ctx, const sn_scope *scope,
									const char *text, sn_arena *arena);
/* Returns whether an expression holds for fill[0 .. n_slot). A test on an empty slot, or on a feature that a word does
 * not have, is false, whichever way it is asked. */
bool sn_expr_holds(const sn_expr *expr, const sn_fill *fill);
/* Returns the slots that an expression speaks of, bit s for slot s. */
uint32_t sn_expr_slots(const sn_expr *expr);
/* Returns whether an expression depends on more than features: on lemmas, or on how forms are spelt. */
bool sn_expr_reads_words(const sn_expr *expr);

#endif
