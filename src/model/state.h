/* Kept rows: keys, values and residual streams of every block, from which rows of later batches fork. */
#ifndef SN_MODEL_STATE_H
#define SN_MODEL_STATE_H

#include "base/base.h"

/* One kept row, whole (a fork's shared prefix is copied in). */
typedef struct sn_kept {
	int32_t n;             /* tokens */
	int32_t *token;        /* [n] */
	float **k, **v;        /* [n_layer] -> [n, kv heads * d_head]; keys after rotation */
	float **resid;         /* [n_layer + 1] -> [n, d_model]: resid_pre of each block, then the last resid_post */
} sn_kept;

struct sn_state {
	sn_ctx *ctx;
	sn_arena *arena;       /* owns all of the below; NULL while empty */
	const sn_model *model;
	int32_t n;
	sn_kept *row;
};

/* Makes room for a batch's rows, with their tokens. */
SN_CHECKED sn_status sn_state_prepare(sn_state *state, const sn_model *model, const sn_batch *batch);
/* Moves what from holds into to, whose own rows end. */
void sn_state_replace(sn_state *to, sn_state *from);

#endif
