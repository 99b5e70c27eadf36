/* Attribution patching: interchange estimated to first order (Nanda 2023; Syed et al. 2023, arXiv:2310.10348), for any
 * number of spots at the price of one forward and one backward pass an item. */
#ifndef SN_MODEL_ESTIMATE_H
#define SN_MODEL_ESTIMATE_H

#include "model/interchange.h"

typedef struct sn_estimate_how {
	int steps;   /* along the line between embeddings; 0: the gradient at the base */
	bool lean;   /* as sn_plan.lean says */
} sn_estimate_how;

/* Fills out as sn_interchange does for patches of whole vectors, with ld [n_pair, n_spot] = LD_b + sum over the spot's
 * positions of (x_s - x_b)' g, nats. steps 0: g = dLD/dx of the base. Otherwise g is the mean of that gradient at steps
 * midpoints of the line between the embeddings of source and base (integrated gradients of the input: Hanna et al.
 * 2024, arXiv:2403.17806), so that at hook_embed the positions' estimates sum to LD_s - LD_b as steps grow. Spots
 * behind one site are read from one tap, heads as columns. NaN: where the frame lacks the place or the source has no
 * counterpart; with steps, also pairs of unequal length. each, base_each, source_each stay NULL. Arrays come from
 * arena. SN_EARG: a site without vectors, no choice words; SN_ECANCEL keeps what was computed. Cost: one forward and
 * one backward pass an item (steps: one more forward pass, then one of both a pair and step); values and gradients of
 * the tapped places, at most 256 MiB unless one pair takes more. */
SN_CHECKED sn_status sn_interchange_estimate(sn_exchange *out, sn_ctx *ctx, sn_model *model, const sn_items *items,
                                             const sn_pair *pair, int64_t n_pair, const sn_spot *spot, int n_spot,
                                             sn_estimate_how how, sn_arena *arena);

#endif
