/* What the files of the generator share: cells of the balance, and units to fill them with. Only they include it. */
#ifndef SN_DATA_ITEMS_MAKER_H
#define SN_DATA_ITEMS_MAKER_H

#include "data/items_draw.h"

/* A cell of the balance: the values that slots must have; -1: any. */
typedef struct sn_balance_cell {
	int frame;
	sn_values want[SN_MAX_SLOT];
} sn_balance_cell;

typedef struct sn_maker {
	const sn_phenomenon *p;
	sn_item_rows rows;
	sn_item_draw draw;
	int kind; /* of what is being made: sn_pair_kind or SN_NO_PAIR */
	int n_word, n_form_set;
	sn_text_pair *form; /* [n_form_set * n_word] choice words as listed, before any was dropped */
	uint64_t *seen;     /* hashes of texts, open addressing; 0: free */
	uint64_t seen_mask;
} sn_maker;

/* Two prefixes to be accepted or rejected together. */
typedef struct sn_unit {
	sn_fill fill[2][SN_MAX_SLOT];
	int lead[2];
	sn_item_row row[2];
	bool bad_base; /* the first one alone is to be rejected: no partner helps */
} sn_unit;

/* Returns how the members of a pair differ; slot -1 for probe prefixes. */
const sn_interchange *sn_maker_change(const sn_maker *k);
/* Lists the cells of what is being made, frame by frame. */
SN_CHECKED sn_status sn_maker_cells(sn_maker *k, sn_balance_cell **out, int *n_out);
/* Writes "frame prepositional, S.number sg, A.number pl". */
void sn_maker_format_cell(const sn_maker *k, const sn_balance_cell *c, char *buf, size_t size);
/* Which lexemes a cell and a block let into a slot. */
sn_wanted sn_maker_wanted(const sn_maker *k, const sn_balance_cell *c, int block, int slot);
/* Draws words for every slot of a cell's frame. SN_EARG where a block has none. */
SN_CHECKED sn_status sn_maker_fill(sn_maker *k, const sn_balance_cell *c, int block, sn_fill *fill);
/* Makes the row of a filled frame: text, roles, labels, condition. */
SN_CHECKED sn_status sn_maker_row(sn_maker *k, int frame, const sn_fill *fill, int test, int lead, int block,
								  sn_item_row *row);
/* Why a cell could not be filled. */
typedef struct sn_failure {
	int tries;
	const char *reason; /* what dropped most */
} sn_failure;

/* Draws units until one of the cell is accepted; the others are counted by reason. *done false after too many, and
 * then *why says more. */
SN_CHECKED sn_status sn_maker_unit(sn_maker *k, const sn_balance_cell *c, int block, bool *done, sn_failure *why);
/* Fails with SN_EARG: no block can fill the cell. */
SN_CHECKED sn_status sn_maker_fail(const sn_maker *k, const sn_balance_cell *c, const sn_failure *why);
/* Lists the sets of choice words and fits them to the tokenizer. */
SN_CHECKED sn_status sn_maker_choices(sn_maker *k);
/* Returns the set that follows the controller of a filled frame; -1: none, because their forms are alike. */
int sn_maker_choice_set(const sn_maker *k, const sn_fill *fill);
/* Returns whether a text was seen; with remember it is from now on. */
bool sn_maker_seen(sn_maker *k, const char *text, bool remember);

#endif
