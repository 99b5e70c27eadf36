/* Vectors multiplied with the unembedding, and what the products say of each. Logits exist a chunk of the vocabulary at
 * a time, so nothing here is as large as vectors x vocabulary. */
#ifndef SN_MODEL_VOCABULARY_H
#define SN_MODEL_VOCABULARY_H

#include "base/base.h"

/* Asked of n vectors; an array that is NULL is not computed. Logarithms are natural. */
typedef struct sn_vocabulary {
	int64_t n;
	const float *x;       /* [sn_gemm_room(n), d_head_out] what the unembedding reads */
	bool bare;            /* products alone, without the unembedding's bias and the soft cap */
	int n_want;
	const int32_t *want;  /* [n, n_want] token ids */
	const uint8_t *set;   /* [vocabulary] 1: the token is of the set; or NULL */
	int top;              /* how many of the largest and of the smallest */
	int64_t group;        /* with kl: vectors come in groups of so many; the last is its group's reference */
	double *lse;          /* [n] log-sum-exp of the logits; a log-probability is a logit less this */
	double *logit;        /* [n, n_want] */
	int64_t *rank;        /* [n, n_want] 1 + how many tokens have a greater logit */
	double *entropy;      /* [n] nats */
	double *set_logprob;  /* [n] log of the summed probability of the set */
	double *kl;           /* [n] KL(reference || vector), nats: what is lost by reading the vector for its reference */
	int32_t *top_id;      /* [n, top], best first; of equals the smaller id */
	double *top_logit;
	int32_t *bottom_id;   /* [n, top], the smallest first; of equals the smaller id */
	double *bottom_logit;
} sn_vocabulary;

/* Fills the answers. SN_EARG where the model has no logits, fewer than `top`, or a wanted token none. Cost: n products
 * with the unembedding; ranks take once more the chunks of the vocabulary that hold wanted tokens. */
SN_CHECKED sn_status sn_vocabulary_read(sn_ctx *ctx, sn_model *model, const sn_vocabulary *ask, sn_arena *arena);

#endif
