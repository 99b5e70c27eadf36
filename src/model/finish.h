/* The goals over logits of one step, shared by their scoring and their derivatives. */
#ifndef SN_MODEL_FINISH_H
#define SN_MODEL_FINISH_H

#include "model/pass.h"

/* One logit that some goal wants. */
typedef struct sn_ask { int64_t slot; int32_t id; float value; } sn_ask;

/* One place of a goal: its wanted and foil logits are asks [want, foil) and [foil, end). */
typedef struct sn_scored { int goal; int32_t row, pos; int64_t slot, want, foil, end; } sn_scored;

typedef struct sn_ending {
	sn_pass *p;
	sn_scored *place;
	int64_t n_place;
	sn_ask *ask;
	int64_t n_ask;
	bool distribution, everything;   /* some goal needs log p; logits are needed whole (touched, KL, or the derivative
	                                    of a distribution) */
	bool has_kl;
	double *lse;                     /* [m] log-sum-exp of each slot, where known */
	float *logits;                   /* [m, V] where everything */
	float *raw;                      /* the same before their soft-cap, under the rescale rule */
	float *held[2];                  /* [V] logits that an earlier wave has left, of a place and of its reference */
} sn_ending;

enum { SN_MOST_ALTERNATIVES = 256 };   /* of one place under the rescale rule, which weighs them together */

/* Fills in the values of n asks, of vectors h [slots, d_head_out] as the unembedding reads them: a product with the
 * token's row, the bias, the soft cap. Cost: n products, each token's row read once. */
SN_CHECKED sn_status sn_ask_logits(sn_ctx *ctx, sn_model *model, const float *h, sn_ask *ask, int64_t n,
								   sn_arena *arena);
/* Returns the log of the summed exp of n asks: one logit, or a set of alternatives. */
double sn_ask_sum(const sn_ask *ask, int64_t n);
/* Returns the log of the summed exp of asks [first, last): one logit, or a set of alternatives. */
double sn_combine(const sn_ending *f, int64_t first, int64_t last);
/* Writes the goals' derivative by what the unembedding reads (after its site's edits) into out [m, d_head_out]. */
SN_CHECKED sn_status sn_logits_back(sn_ending *f, float *out);

#endif
