/* One pass of one step: the rows computed together, where each position of each row stands in the buffers, the
 * buffers. */
#ifndef SN_MODEL_PASS_H
#define SN_MODEL_PASS_H

#include "model/held.h"
#include "model/plan.h"

/* Where rows stand in the buffers of one stage: position p >= from[b] of row b is slot off[b] + p - from[b]; earlier
 * positions are the parent's. off -1: the row is computed in another wave, or (from INT32_MAX) not in this stage.
 * Indexed by batch row; entries of other families than the step's mean nothing. */
typedef struct sn_layout { int64_t *off; int32_t *from; int64_t m; } sn_layout;

/* A stretch of keys and values that lie at equal strides. */
typedef struct sn_segment { const float *k, *v; int64_t stride; int32_t first, n; } sn_segment;

/* The encoder's rows that a step reads through cross-attention: slot off[r] + position of row r. */
typedef struct sn_cross {
	const sn_batch *batch;       /* all encoder rows */
	const float *memory;         /* [tokens of batch, d_model] what the encoder made of them */
	int32_t *row, n_row;         /* those of this step, ascending */
	sn_layout layout;
	int32_t *unseen, n_unseen;   /* those of them that no step before has read */
	bool *seen;                  /* [rows of batch] */
	float *x, *kv;               /* [room, d_model]; [room, 2 kv heads * d_head] of the block at hand */
	const sn_kept_encoder *kept; /* all of the above, where a kept state has it; or NULL */
} sn_cross;

typedef struct sn_back sn_back;   /* model/back.h */

typedef struct sn_pass {
	const sn_compiled *c;
	sn_ctx *ctx;
	sn_model *model;
	const sn_batch *batch;
	sn_arena *arena;             /* of this step */
	const int32_t *row;          /* [n_row] rows of this step, parents first */
	int32_t n_row;
	const int32_t *kin;          /* [n_kin] all rows of their family, where it is computed in several steps */
	int32_t n_kin;
	sn_held *held;               /* what these leave for one another; or NULL */
	int stage;
	sn_layout now, before;       /* of this stage and the one before it */
	float *x, *spare;            /* [room, d_model] residual stream, and where it is regathered */
	float *h, *qkv, *z, *wide, *post, *scale;   /* branch input / output [widest]; [qkv]; [heads]; [2 d_mlp]; [d_mlp];
	                                               [1] */
	float *side[2];              /* [d_model] parallel blocks: the attention branch; the norm that both branches read */
	int64_t room;
	sn_cross *cross;             /* decoders with an encoder; or NULL */
	float *output;               /* [tokens of batch, d_model] where what the stack yields is written, or NULL */
	sn_state *keep;              /* where computed rows are kept, or NULL */
	sn_back *back;               /* what the backward pass needs, or NULL */
	const float *seed;           /* [tokens of batch, d_model] derivative of what the stack yields, or NULL */
	float *memory;               /* gathers that of the encoder's output, or NULL */
	bool twice;                  /* blocks are computed once more on the way down, where saving them takes too much */
	bool silent;                 /* computed once more, for the backward pass: nothing is read or scored */
	double *score;
} sn_pass;

/* Returns the slot of a position in a layout, in the row itself or the nearest ancestor that computes it; -1: that one
 * stands in another wave, or only the kept state has it. */
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

/* Self-attention of the block at hand: qkv (rotated) -> z. */
SN_CHECKED sn_status sn_attention(sn_pass *p);
/* Cross-attention of the block at hand: queries in p->qkv [m, heads * d_head], the encoder's rows -> z. */
SN_CHECKED sn_status sn_cross_attention(sn_pass *p);
/* Returns the encoder row that a row reads. */
static inline int32_t sn_enc_row(const sn_batch *batch, int32_t row)
{
	return batch->enc_row ? batch->enc_row[row] : row;
}
/* Gathers the encoder's rows of a step. */
SN_CHECKED sn_status sn_cross_gather(sn_pass *p);
/* The branch between a block's two others: x <- x + attention to the encoder's rows. */
SN_CHECKED sn_status sn_cross_branch(sn_pass *p, const sn_layer *y);

/* The sites at which an attention is looked at, in its block. */
typedef struct sn_attention_sites { sn_site_kind scores, pattern, z, result, o_out; } sn_attention_sites;
/* p->h [m, d_model] = p->z through the output matrix o (part, for heads' results), visiting z, result, o_out. */
SN_CHECKED sn_status sn_attention_output(sn_pass *p, const sn_affine *o, sn_part part, const sn_attention_sites *sites);

/* Norms in [m, d] into out (which may be in), weighted, visiting the two sites of the norm; without a norm it copies.
 * */
SN_CHECKED sn_status sn_norm_rows(sn_pass *p, const sn_norm *norm, const float *in, float *out, int64_t d,
                                  sn_site_kind scale_site, sn_site_kind normalized_site);
/* out [m, rows of a] = in a' + bias. */
SN_CHECKED sn_status sn_affine_run(sn_pass *p, const sn_affine *a, const float *in, int64_t m, float *out);
/* Norms each head of queries or keys (or all heads together), in place; n heads at x + i * stride. */
void sn_norm_heads(const sn_pass *p, const float *weight, float *x, int64_t stride, int n_head);
/* Embeddings of the step's rows into p->x. */
SN_CHECKED sn_status sn_embed(sn_pass *p);
/* Holds for later waves: the stream that will enter a stage; the block's keys and values; a site's values, [m, width]
 * rows at distance stride. */
void sn_hold_stream(const sn_pass *p, int stage);
void sn_hold_keys(const sn_pass *p);
void sn_hold_site(const sn_pass *p, sn_site_kind kind, sn_what what, const float *x, int64_t stride);
/* Returns a site's value at a position that an earlier wave has computed; NULL where no row of the batch has. */
const float *sn_held_value(const sn_pass *p, sn_site_kind kind, sn_what what, int32_t row, int32_t pos);
/* Copies the residual stream at a layer boundary into the state being kept. */
void sn_keep_residual(const sn_pass *p, int boundary);
/* The generic block: x <- block(x). */
SN_CHECKED sn_status sn_block_forward(sn_pass *p);
/* Final norm, unembedding and the goals over logits. */
SN_CHECKED sn_status sn_finish(sn_pass *p);
/* Takes the step's rows up and, for the plan's gradients, down again. */
SN_CHECKED sn_status sn_gradient_step(sn_pass *p);

enum { SN_CHUNK_ROWS = 64 };
/* Floats that one tap hands on at once, unless a single place has more. */
enum { SN_TAP_FLOATS = 1 << 18 };

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
