/* Drawing words: blocks of lemmas, and counts that make everything rotate. What was used (or tried in vain) least comes
 * next, ties are broken by chance; so counts differ by at most one wherever nothing is excluded. Only the generator
 * includes it. */
#ifndef SN_DATA_ITEMS_DRAW_H
#define SN_DATA_ITEMS_DRAW_H

#include "data/items_rows.h"

enum { SN_DRAW_KEYS = 4 }; /* combinations of varied values that are counted apart */

/* What one kind of items has drawn so far. */
typedef struct sn_item_draw {
	const sn_phenomenon *p;
	const int32_t *const *block; /* [n_class][lexemes] block of each lexeme */
	sn_rng rng;
	int32_t *used[SN_MAX_SLOT]; /* [SN_DRAW_KEYS][lexemes of the slot's class] */
	int32_t *lead_used[2];
} sn_item_draw;

/* Cuts the lexemes of every class into n_fold blocks: shuffled by (seed), dealt out group by group. */
SN_CHECKED sn_status sn_draw_blocks(const int32_t *const **out, const sn_phenomenon *p, uint64_t seed, sn_arena *arena);
SN_CHECKED sn_status sn_draw_open(sn_item_draw *out, const sn_phenomenon *p, const int32_t *const *block, uint64_t seed,
								  const char *use, sn_arena *arena);

/* Which lexemes a place accepts, beside what its slot fixes. */
typedef struct sn_wanted {
	sn_values inherent; /* -1: any */
	int block;          /* -1: any */
} sn_wanted;

/* Returns whether lexeme i of a slot's class is wanted there: it differs in lemma from what the slots filled so far
 * forbid. */
bool sn_draw_admits(const sn_item_draw *d, int slot, int i, const sn_wanted *wanted, const sn_fill *fill);
/* Draws the least used lexeme wanted; -1: there is none. values: what the slot varies. skip: NULL or [lexemes], true:
 * not this. */
int sn_draw_lexeme(sn_item_draw *d, int slot, const sn_values *values, const sn_wanted *wanted, const sn_fill *fill,
				   const bool *skip);
/* Counts a lexeme as used, or as tried in vain. */
void sn_draw_count(sn_item_draw *d, int slot, const sn_values *values, const sn_lexeme *lexeme);
/* Draws the least used lead-in of the training (0) or test (1) list. */
int sn_draw_lead(sn_item_draw *d, int test);
void sn_draw_count_lead(sn_item_draw *d, int test, int lead);

#endif
