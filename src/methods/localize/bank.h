/* Inside erasure: the bank of fitted erasers that its three files share. */
#ifndef SN_METHODS_LOCALIZE_BANK_H
#define SN_METHODS_LOCALIZE_BANK_H

#include "methods/localize/localize.h"
#include "model/erasure.h"

/* Erasers fitted so far. Each place (a role at a layer, or all positions from the subject on at a layer) has 1 +
 * n_draw of them: the feature's, then those of the control labels. */
typedef struct sn_bank {
	sn_evidence *ev;
	sn_arena *arena;
	const sn_gather *g, *onward; /* onward: vectors of all positions from the subject on, as one role; NULL */
	const int8_t *control;       /* [n_draw, n_form] */
	int n, n_draw;
	sn_eraser *eraser;
	int *at_role, *at_onward; /* [n_layer * n_role], [n_layer] number of a place's first eraser, -1 */
} sn_bank;

/* Opens an empty bank; arena owns everything in it. With onwards erasure asked for, runs the model for the onward
 * vectors. */
SN_CHECKED sn_status sn_bank_open(sn_bank *b, sn_evidence *ev, sn_ctx *ctx, sn_model *model, const sn_gather *g,
								  sn_arena *arena);
/* Fits the erasers of role r at layer l, or of all positions from the subject on, unless they exist. *first: the
 * feature's, the control labels' follow. */
SN_CHECKED sn_status sn_bank_role(sn_bank *b, int l, int r, int *first);
SN_CHECKED sn_status sn_bank_onward(sn_bank *b, int l, int *first);
/* Fills gate, before, complete and counts of all erased cells. */
SN_CHECKED sn_status sn_bank_gates(sn_bank *b, sn_arena *scratch);

#endif
