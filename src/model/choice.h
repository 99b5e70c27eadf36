/* What a model chooses: the logit difference between the two forms of a choice word, at the end of an item's prefix. */
#ifndef SN_MODEL_CHOICE_H
#define SN_MODEL_CHOICE_H

#include "data/items.h"

/* Returns how many goals the choices need: one a pair, and one more for each further alternative of a form. */
int sn_choice_goal_count(const sn_items *items);
/* Puts the goals into *goal [sn_choice_goal_count], from arena, for a batch whose row b holds item[b], b < n:
 * LOGIT_DIFFs at the last position; first form[0] of the item's choice set wanted, form[1] the foil, then the
 * alternatives of either against the other's form. SN_EARG without choice pairs or for a token outside a vocabulary of
 * n_vocab. */
SN_CHECKED sn_status sn_choice_goals(sn_ctx *ctx, const sn_items *items, const int64_t *item, int32_t n,
									 int64_t n_vocab, sn_arena *arena, sn_goal **goal);
/* The same as goals whose scores add up to LD, one a choice pair, alternatives summed inside: what gradients need.
 * *goal has items->n_choice of them. */
SN_CHECKED sn_status sn_choice_sum(sn_ctx *ctx, const sn_items *items, const int64_t *item, int32_t n, int64_t n_vocab,
								   sn_arena *arena, sn_goal **goal);

/* Turns a row's scores, score[goal * stride], into each [items->n_choice]: LD = log of the summed probabilities of the
 * +1 forms less that of the -1 forms, nats (log p(themselves) - logsumexp(log p(himself), log p(herself))). */
void sn_choice_combine(const sn_items *items, const double *score, int64_t stride, double *each);

/* Scores items which[0..n_which) (which NULL: items 0 .. n_which - 1). ld [n_which]: LD = log p(form 0) - log p(form
 * 1), nats, the mean over choice pairs; each [n_which, n_choice]: by pair, or NULL. What a run did not reach
 * (SN_ECANCEL) is NaN. Cost: one forward pass with the choice words' logits only. */
SN_CHECKED sn_status sn_choice_run(sn_ctx *ctx, sn_model *model, const sn_items *items, const int64_t *which,
								   int64_t n_which, double *ld, double *each);
/* The logit lens of the choice (nostalgebraist 2020): LD of items which[0..n_which) if the last position's residual
 * stream at layer boundary l were what the last block leaves. ld [n_layer + 1, n_which], nats, mean over choice pairs;
 * at the last boundary it is LD itself. The items' last role must be their last token. Cost: one forward pass, and the
 * choice words' logits at every boundary. */
SN_CHECKED sn_status sn_choice_lens(sn_ctx *ctx, sn_model *model, const sn_items *items, const int64_t *which,
									int64_t n_which, double *ld);

#endif
