/* One pass of one step: the rows computed together, where each position of each row stands in the buffers, the
 * buffers. */
#ifndef SN_MODEL_PASS_H
#define SN_MODEL_PASS_H

#include "model/plan.h"

/* Where rows stand in the buffers of one stage: position p >= from[b] of row b is slot off[b] + p - from[b]; earlier
 * positions are the parent's. off -1: the row is not computed in this stage. Indexed by batch row. */
typedef struct sn_layout { int64_t *off; int32_t *from; int64_t m; } sn_layout;

/* A stretch of keys and values that lie at equal strides. */
typedef struct sn_segment { const float *k, *v; int64_t stride; int32_t first, n; } sn_segment;

typedef struct sn_pass {
	const sn_compiled *c;
	sn_ctx *ctx;
	sn_model *model;
	const sn_batch *batch;
	sn_arena *arena;             /* of this step */
	const int32_t *row;          /* [n_row] rows of this step, ascending */
	int32_t n_row;
	int stage;
	sn_layout now, before;       /* of this stage and the one before it */
	float *x, *spare;            /* [room, d_model] residual stream, and where it is regathered */
	float *h, *qkv, *z, *wide, *post, *scale;   /* branch input / output [d_model]; [qkv]; [heads]; [2 d_mlp]; [d_mlp];
	                                               [1] */
	int64_t room;
	sn_state *keep;              /* where computed rows are kept, or NULL */
	double *score;
} sn_pass;

/* Returns the slot of a position in a layout, in the row itself or the nearest ancestor that computed it; -1:
 * nowhere. */
int64_t sn_slot(const sn_pass *p, const sn_layout *layout, int32_t row, int32_t pos);
/* Lays out the rows for the pass's stage in p->now (the old one becomes p->before). */
void sn_layout_make(sn_pass *p);
/* Moves the residual stream from the layout before to the one now; newly differing positions start from the
 * parent's. */
sn_status sn_layout_move(sn_pass *p);

/* Applies the plan at a site: taps before, edits, goals, taps after. x: [m, width] rows at distance stride, in
 * p->now. */
SN_CHECKED sn_status sn_visit(sn_pass *p, sn_site_kind kind, float *x, int64_t stride);
/* The same for slots [slot0, slot1) only, whose first row is at x. */
SN_CHECKED sn_status sn_visit_slab(sn_pass *p, sn_site_kind kind, float *x, int64_t stride, int64_t slot0,
                                   int64_t slot1);
/* Hands m gathered rows to a tap's sink, cut at chunks. first: number of the first place. */
SN_CHECKED sn_status sn_deliver(sn_pass *p, int tap, float *x, int64_t width, int64_t m, int64_t first);

/* Attention of the block at hand: qkv (rotated) -> z. */
SN_CHECKED sn_status sn_attention(sn_pass *p);
/* RMS-norms p->x into p->h, weighted, visiting the two sites of the norm. */
SN_CHECKED sn_status sn_norm_rows(sn_pass *p, const float *weight, sn_site_kind scale_site,
                                  sn_site_kind normalized_site);
/* Copies the residual stream at a layer boundary into the state being kept. */
void sn_keep_residual(const sn_pass *p, int boundary);
/* The generic block: x <- block(x). */
SN_CHECKED sn_status sn_block_forward(sn_pass *p);
/* Final norm, unembedding and the goals over logits. */
SN_CHECKED sn_status sn_finish(sn_pass *p);

enum { SN_CHUNK_ROWS = 64 };

static inline bool sn_pass_touched(const sn_pass *p, sn_site_kind kind)
{
	return sn_touched(p->c, kind, p->stage) != 0;
}
static inline bool sn_site_here(const sn_pass *p, const sn_site *site, sn_site_kind kind)
{
	return site->kind == kind && (p->stage == 0 || p->stage == p->c->n_stage - 1 || site->layer == p->stage - 1);
}

/* Returns the index of the first place of a row (places ascend by row). */
int64_t sn_places_of_row(const sn_places *places, int32_t row);

#endif
