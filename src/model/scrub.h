/* Concept scrubbing (Belrose et al. 2023, arXiv:2306.03819, section 6): erasers that act together, each fitted on what
 * the earlier ones leave. Erasers fitted one by one on untouched activations would not do: after the first the later
 * ones no longer fit what they meet, and take away too little, or more than there is. */
#ifndef SN_MODEL_SCRUB_H
#define SN_MODEL_SCRUB_H

#include "model/erasure.h"

/* Fits the eraser of one label on rows x [n, d] with signs z [n]: mean, u, v [d] as in x <- x - u v'(x - mean). */
typedef sn_status sn_scrub_fit(sn_arena *scratch, const float *x, int64_t n, int64_t d, const int8_t *z, float *mean,
							   float *u, float *v);

/* Sets out[n_spot], each with the tensors of every fold, for spots in the order of computation; those of one site do
 * not see each other. Fold f's erasers are fitted on the items which[0..n_which) of the other folds whose z
 * [items->n] is not 0, at the spot's last token for a role and at all its positions otherwise, and then applied to
 * all its positions. A spot that no item has, or has with one sign only, gets an eraser that does nothing. Tensors
 * come from arena. Cost: a forward pass over n_which items, and for each fold but one what the erasers change of it:
 * positions from the first one erased on, in the layers behind. SN_EARG for a site without vectors. */
SN_CHECKED sn_status sn_scrub(sn_eraser *out, sn_ctx *ctx, sn_model *model, const sn_items *items, const int64_t *which,
							  int64_t n_which, const sn_spot *spot, int n_spot, const int8_t *z, sn_scrub_fit *fit,
							  sn_arena *arena);

#endif
