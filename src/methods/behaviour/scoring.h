/* Log-probabilities of whole sentences as one batch and one goal, for each kind of model. */
#ifndef SN_METHODS_BEHAVIOUR_SCORING_H
#define SN_METHODS_BEHAVIOUR_SCORING_H

#include "base/base.h"

/* What a run needs to score n sentences: the sum of the scores of a sentence's rows is its log-probability, in nats.
 * Causal models: one row a sentence, all rows one trie of prefixes, so that what begins alike is computed once; all
 * tokens but the first are scored. Masked models: a row for each token that the text itself has, with that token masked
 * (pseudo-log-likelihood, Salazar et al. 2020, Eq. 1), and with l2r the later tokens of the same word too (Kauf &
 * Ivanova 2023; sn_token_continues). Encoder-decoders: one decoder row, given its source. */
typedef struct sn_scoring {
	sn_batch batch, enc;
	sn_goal goal;
	int32_t *sentence;   /* [batch.n] the sentence that a row belongs to */
	int64_t *token;      /* [n] tokens of each sentence */
	int64_t *scored;     /* [n] of them those that are scored */
} sn_scoring;

/* Makes it in arena, which must outlive it. source: [n] or NULL, texts for an encoder. name, number: of the file and
 * the data row of sentence i, for errors. SN_EARG where the model has no logits, no mask or no encoder for the sources;
 * SN_EPARSE where a sentence has too few tokens to score. */
SN_CHECKED sn_status sn_scoring_make(sn_scoring *out, sn_ctx *ctx, const sn_model *model, const char *const *text,
                                     const char *const *source, bool l2r, int32_t n, const char *name,
                                     const int64_t *number, sn_arena *arena);
/* Runs it; logprob: [n], nats. */
SN_CHECKED sn_status sn_scoring_run(sn_ctx *ctx, sn_model *model, const sn_scoring *scoring, int32_t n, sn_arena *arena,
                                    double *logprob);

#endif
