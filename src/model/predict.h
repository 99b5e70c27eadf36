/* What a model expects at places, one by one: log-probabilities of wanted tokens, entropy, the share of a set of
 * tokens, ranks and the most probable tokens. Logits exist a chunk of the vocabulary at a time. */
#ifndef SN_MODEL_PREDICT_H
#define SN_MODEL_PREDICT_H

#include "base/base.h"

/* Asked: the places, as flat token numbers of the batch, ascending, and what is wanted there; an array that is NULL is
 * not computed. The distribution is over the token that follows a place, or (bidirectional models) the place's own.
 * Logarithms are natural. */
typedef struct sn_predict {
	int64_t n;
	const int64_t *place; /* [n] */
	const int32_t *want;  /* [n] token ids; or NULL */
	const uint8_t *set;   /* [vocabulary] 1: the token is of the set; or NULL */
	int top;              /* how many of the most probable tokens */
	double *logprob;      /* [n] log p(want) */
	int64_t *rank;        /* [n] of want: 1 + how many tokens are more probable */
	double *entropy;      /* [n] nats */
	double *set_logprob;  /* [n] log of the summed probability of the set */
	int32_t *top_id;      /* [n, top], best first; of equals the smaller id */
	double *top_logprob;  /* [n, top] */
} sn_predict;

/* Runs the batch and fills the answers. SN_EARG where the model has no logits, or a wanted token none. Cost: one
 * forward pass and n products with the unembedding (twice where ranks are asked for); n * width floats of memory. */
SN_CHECKED sn_status sn_predict_run(sn_ctx *ctx, sn_model *model, const sn_batch *batch, sn_predict *ask,
									sn_arena *arena);

#endif
