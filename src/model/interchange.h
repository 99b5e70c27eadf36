/* Interchange interventions (Geiger et al. 2021, arXiv:2106.02997): part of one item's computation is put into
 * another's, and what the model then chooses is scored. Fully, x_b <- x_s, or through a projection Q = U V': x_b <- x_b
 * + Q (x_s - x_b). */
#ifndef SN_MODEL_INTERCHANGE_H
#define SN_MODEL_INTERCHANGE_H

#include "model/grid.h"

/* One place to patch. U, V: [items->n_fold] float32 [d, k], chosen by the fold of the pair's base; NULL: the whole
 * vector. */
typedef struct sn_patch {
	sn_spot spot;
	const sn_tensor *U, *V;
} sn_patch;

/* LD of the bases, of the sources, and of each base with each patch from its source; nats, mean over choice pairs. */
typedef struct sn_exchange {
	int64_t n_pair;
	int n_patch, n_choice;
	double *base, *source;                  /* [n_pair] */
	double *ld;                             /* [n_pair, n_patch]; NaN where the frame lacks the place */
	double *base_each, *source_each, *each; /* by choice pair: [.., n_choice]; NULL unless asked for */
} sn_exchange;

/* Runs pair[0..n_pair) (directed) under each patch on its own. Arrays of out come from arena. On SN_ECANCEL out holds
 * the pairs done so far, NaN elsewhere. */
SN_CHECKED sn_status sn_interchange(sn_exchange *out, sn_ctx *ctx, sn_model *model, const sn_items *items,
									const sn_pair *pair, int64_t n_pair, const sn_patch *patch, int n_patch, bool each,
									sn_arena *arena);

#endif
