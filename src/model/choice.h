/* What a model chooses: the logit difference between the two forms of a choice word, at the end of an item's prefix. */
#ifndef SN_MODEL_CHOICE_H
#define SN_MODEL_CHOICE_H

#include "data/items.h"

/* Puts one goal a choice pair into *goal [items->n_choice], from arena, for a batch whose row b holds item[b], b < n:
 * LOGIT_DIFF at the last position, form[0] of the item's choice set wanted, form[1] the foil. SN_EARG without choice
 * pairs or for a token outside a vocabulary of n_vocab. */
SN_CHECKED sn_status sn_choice_goals(sn_ctx *ctx, const sn_items *items, const int64_t *item, int32_t n,
									 int64_t n_vocab, sn_arena *arena, sn_goal **goal);

/* Scores items which[0..n_which) (which NULL: items 0 .. n_which - 1). ld [n_which]: LD = log p(form 0) - log p(form
 * 1), nats, the mean over choice pairs; each [n_which, n_choice]: by pair, or NULL. What a run did not reach
 * (SN_ECANCEL) is NaN. Cost: one forward pass with the choice words' logits only. */
SN_CHECKED sn_status sn_choice_run(sn_ctx *ctx, sn_model *model, const sn_items *items, const int64_t *which,
								   int64_t n_which, double *ld, double *each);

#endif
