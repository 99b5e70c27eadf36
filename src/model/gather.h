/* Residual streams at the roles of items, at every layer boundary, in one run. Boundary 0 is the embedding, boundary l
 * what block l - 1 leaves (hook_resid_pre of block l; hook_resid_post of the last one). */
#ifndef SN_MODEL_GATHER_H
#define SN_MODEL_GATHER_H

#include "data/items.h"

/* Rows of role r are the chosen items that contain it, in ascending order; its vector is that of the role's last
 * token. */
typedef struct sn_gather {
	int n_layer, n_role;      /* boundaries (blocks + 1), roles gathered */
	int role0;                /* number of the first one among the items' roles */
	int64_t d;
	int64_t *n;               /* [n_role] rows */
	int64_t **item;           /* [n_role] -> [n[r]] item numbers */
	float **x;                /* [n_layer * n_role] (l * n_role + r) -> [n[r], d] */
	double *norm;             /* [n_layer * n_role] median norm of the cell's vectors; NaN without rows */
	double *layer_norm;       /* [n_layer] median norm over all positions but the first */
} sn_gather;

/* Returns the bytes that gathering n items at n_role roles takes in activations, for planning. */
size_t sn_gather_bytes(const sn_model *model, int64_t n, int n_role);
/* Runs items which[0..n_which) and keeps the residual streams at roles [role0, role0 + n_role); everything comes from
 * arena. Cost: one forward pass without logits, of a causal model over each distinct prefix only. SN_ENOMEM,
 * SN_ECANCEL, or what sn_run returns. */
SN_CHECKED sn_status sn_gather_residuals(sn_gather *out, sn_ctx *ctx, sn_model *model, const sn_items *items,
                                         const int64_t *which, int64_t n_which, int role0, int n_role, sn_arena *arena);
/* Packs items which[0..n_which) into a batch without forks; its item numbers are the items'. Arrays come from arena. */
SN_CHECKED sn_status sn_gather_batch(sn_batch *out, const sn_items *items, const int64_t *which, int64_t n_which,
                                     sn_arena *arena);
/* Returns the site of layer boundary l: what block l reads (0: the embedding), or, after the last block, what that one
 * leaves. */
sn_site sn_boundary_site(const sn_model *model, int l);

#endif
