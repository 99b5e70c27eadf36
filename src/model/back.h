/* The backward pass: from the goals down to the earliest site whose gradient some tap reads. Rows are computed in full
 * and stand alike in every block; a block's intermediate values are saved on the way up, or, where memory is short,
 * computed once more from the residual stream that entered it. */
#ifndef SN_MODEL_BACK_H
#define SN_MODEL_BACK_H

#include "model/pass.h"

/* What a norm's derivative needs. */
typedef struct sn_saved_norm { float *x, *scale, *mean; } sn_saved_norm;   /* [m, d], [m], [m] (LayerNorm) */

/* Norms of a block, then those outside the blocks. */
typedef enum sn_saved_id { SN_SAVED_ATTN, SN_SAVED_ATTN_POST, SN_SAVED_CROSS, SN_SAVED_MLP, SN_SAVED_MLP_POST,
                           SN_SAVED_IN_BLOCK, SN_SAVED_EMBED = SN_SAVED_IN_BLOCK, SN_SAVED_FINAL, SN_SAVED_HEAD,
                           SN_SAVED_NORMS } sn_saved_id;

/* The values of one block, as they are after its edits. */
typedef struct sn_trace {
	sn_saved_norm norm[SN_SAVED_IN_BLOCK];
	float *raw;                 /* [m, qkv] before norms of queries and keys; NULL: there are none */
	float *qkv;                 /* [m, qkv] what attention reads */
	float *cross_q, *cross_kv;  /* [m, heads * d_head], [encoder's m, 2 kv heads * d_head] */
	float *wide;                /* [m, d_mlp or 2 d_mlp] what the activation reads */
} sn_trace;

struct sn_back {
	sn_trace *trace;            /* [n_layer]; all point to one set of buffers where blocks are computed twice */
	sn_trace *now;              /* where the block at hand saves; NULL: nowhere */
	bool twice;
	float **stream;             /* twice: [n_layer] residual stream entering each block */
	sn_saved_norm norm[SN_SAVED_NORMS - SN_SAVED_IN_BLOCK];   /* embeddings, final, head */
	float *head;                /* [m, d_head_out] what the head's activation reads */
	float *logit;               /* [m, d_head_out] derivative of what the unembedding reads */
	float *dx;                  /* [room, widest] derivative of the residual stream */
	float *branch;              /* [room, widest] of a branch beside p->h */
	float *dqkv;                /* [room, qkv] */
	int64_t *reference;         /* [room] slot that each slot is compared with; NULL: not under the rescale rule */
};

enum { SN_BACK_QUERIES = 32 };   /* queries whose attention is taken back together */

/* Returns the bytes that a block's values take for m positions, and encoder ones that cross-attention reads. */
int64_t sn_trace_bytes(const sn_shape *shape, int64_t m, int64_t encoder);

/* ---- on the way up ---- */

/* Saves the input x [m, d] of the norm that has this site, its means (or NULL) and the scales in p->scale. */
void sn_save_norm(const sn_pass *p, sn_site_kind scale_site, const float *x, int64_t d, const float *mean);
/* Returns where the block at hand saves, or NULL where no backward pass follows. */
static inline sn_trace *sn_trace_now(const sn_pass *p) { return p->back ? p->back->now : NULL; }

/* ---- on the way down; each replaces the derivative of its output by that of its input ---- */

/* A site: adds what DOT goals there ask, hands the derivative to SN_GRAD taps, goes back through the edits
 * and hands it to SN_GRAD_BEFORE taps. */
SN_CHECKED sn_status sn_visit_back(sn_pass *p, sn_site_kind kind, float *dx, int64_t stride);
/* Hands the derivative of what a norm yields to the SN_GRAD_NORMED taps of the site before its gains. */
SN_CHECKED sn_status sn_visit_normed(sn_pass *p, sn_site_kind kind, float *dx, int64_t stride);
/* A norm with its two sites; without a norm nothing. */
SN_CHECKED sn_status sn_norm_back(sn_pass *p, const sn_norm *norm, const sn_saved_norm *saved, float *dx, int64_t d,
                                  sn_site_kind scale_site, sn_site_kind normalized_site);
/* Norms of queries or keys, whose inputs are at raw + i * stride. */
void sn_norm_heads_back(const sn_pass *p, const float *weight, const float *raw, float *dx, int64_t stride, int n_head);
/* dx [m, columns] = dy [m, rows] times the matrix that is packed transposed. */
SN_CHECKED sn_status sn_affine_back(sn_pass *p, const sn_packed *transposed, const float *dy, int64_t m, float *dx);
/* Self-attention: dz in p->z -> back->dqkv, of the trace at hand. */
SN_CHECKED sn_status sn_attention_back(sn_pass *p);
/* Cross-attention: dz in p->z -> dq in back->dqkv (dense, heads * d_head wide), dkv [encoder's m, 2 kv width]. */
SN_CHECKED sn_status sn_cross_attention_back(sn_pass *p, float *dkv);
/* The attention's output matrix with its sites: derivative in p->h -> p->z. */
SN_CHECKED sn_status sn_attention_output_back(sn_pass *p, const sn_packed *transposed, sn_part part,
                                              const sn_attention_sites *sites);
/* Cross-attention's branch, the encoder's side included. */
SN_CHECKED sn_status sn_cross_back(sn_pass *p);
/* A whole block: back->dx. */
SN_CHECKED sn_status sn_block_back(sn_pass *p);
/* From the logits' derivative (made in sn_finish) to that of the residual stream. */
SN_CHECKED sn_status sn_finish_back(sn_pass *p);
SN_CHECKED sn_status sn_embed_back(sn_pass *p);

/* ---- the rescale rule: multipliers in the place of derivatives (see sn_plan) ---- */

/* Finds what the slots of the layout at hand are compared with. */
void sn_reference_slots(const sn_pass *p);
/* Returns the row that a row is compared with: itself without the rule. */
static inline int32_t sn_reference_of(const sn_pass *p, int32_t row)
{
	return p->c->plan->reference ? p->c->plan->reference[row] : row;
}
static inline int64_t sn_reference_slot(const sn_pass *p, int64_t slot)
{
	return p->back->reference ? p->back->reference[slot] : slot;
}
/* dx = dy times the change of act over that of x, the factor `times` held at its mean; dtimes = dy times the mean of
 * act (NULL and NULLs: without times). dx may be dy. */
void sn_rescale_activation(float *dx, float *dtimes, const float *const x[2], const float *const times[2],
                           const float *dy, int64_t n, sn_act act);
/* Returns the change of cap tanh(x / cap) over that of x, from x0 to x. */
double sn_rescale_softcap(double x, double x0, double cap);
/* Logarithmic means of the softmaxes of scores x and x0 [n], over their sum, into w; returns the sum. */
double sn_rescale_softmax(float *w, const float *x, const float *x0, int64_t n);
/* One norm of d numbers of input and reference: with c = x - mean, n = c / s. */
typedef struct sn_rescaled_norm { const float *x[2]; float mean[2], scale[2]; } sn_rescaled_norm;
/* Returns the multiplier of the scale, given those of n. */
float sn_rescale_scale(const sn_rescaled_norm *r, const float *dn, int64_t d);
/* dn -> dx, given the scale's; computed: the scales as they were before edits of them. */
void sn_rescale_norm(const sn_rescaled_norm *r, float *dn, int64_t d, float dscale, const float computed[2],
                     bool centred);

/* Whether a rule is in force. */
static inline bool sn_rule_has(const sn_pass *p, sn_rule bit) { return (p->c->plan->rule & bit) != 0; }

#endif
