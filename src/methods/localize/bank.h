/* Inside erasure: the bank of fitted erasers that its three files share. */
#ifndef SN_METHODS_LOCALIZE_BANK_H
#define SN_METHODS_LOCALIZE_BANK_H

#include "methods/localize/localize.h"
#include "model/scrub.h"

/* Erasers fitted so far. A place - a role at a layer, or the places of a wider scope together - has one for the
 * feature, and one for each control label. */
typedef struct sn_bank {
	sn_evidence *ev;
	sn_ctx *ctx;
	sn_model *model;
	sn_arena *arena;
	const sn_gather *g;
	const int8_t *control; /* [n_draw, n_form] */
	int n, n_draw;
	sn_eraser *eraser;
	int *at_role;            /* [n_layer * n_role] number of a place's first eraser, the controls' follow; -1 */
	int *at_all;             /* [n_layer] of the scope from all positions of that layer on; -1 */
	int64_t n_scrub, *scrub; /* prefixes that the wider scopes are fitted on */
	bool *follows;           /* [n_role] the role never stands before the subject */
} sn_bank;

/* Opens an empty bank with room for the erased cells listed; arena owns everything in it. */
SN_CHECKED sn_status sn_bank_open(sn_bank *b, sn_evidence *ev, sn_ctx *ctx, sn_model *model, const sn_gather *g,
								  sn_arena *arena);
/* Returns how many control labels a scope has. */
int sn_bank_draws(const sn_evidence *ev, sn_erase_scope scope);
/* Fits the erasers of an erased cell and scope unless they exist. The feature's are *first .. *first + *n_each - 1, in
 * order of computation, and act together; each control label's n_each follow. */
SN_CHECKED sn_status sn_bank_fit(sn_bank *b, const sn_erased_cell *e, int *first, int *n_each);
/* Fills gate, before, complete and counts of all erased cells. */
SN_CHECKED sn_status sn_bank_gates(sn_bank *b, sn_arena *scratch);

#endif
