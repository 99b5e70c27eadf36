/* Checks of batches and plans: SN_EARG or SN_ESHAPE with the number of the row, edit or goal and what was expected. */
#ifndef SN_MODEL_CHECK_H
#define SN_MODEL_CHECK_H

#include "model/model.h"
#include "model/places.h"
#include "model/state.h"

SN_CHECKED sn_status sn_batch_check(sn_ctx *ctx, const sn_model *model, const sn_batch *batch, const sn_state *state);
/* Returns the number of tokens that a row may have. */
int64_t sn_longest_row(const sn_model *model);
/* n_place: places of the edit or goal in the batch. */
SN_CHECKED sn_status sn_edit_check(sn_ctx *ctx, const sn_model *model, const sn_batch *batch, const sn_edit *e, int i,
                                   int64_t n_place);
SN_CHECKED sn_status sn_goal_check(sn_ctx *ctx, const sn_model *model, const sn_batch *batch, const sn_goal *g, int i,
                                   int64_t n_place);
/* Whether the rescale rule is given with references that it can use, and nothing that it cannot. */
SN_CHECKED sn_status sn_rule_check(sn_ctx *ctx, const sn_batch *batch, const sn_plan *plan);

/* The encoder's rows of an encoder-decoder, and which row reads which. */
SN_CHECKED sn_status sn_encoder_check(sn_ctx *ctx, const sn_model *model, const sn_batch *batch);

#endif
