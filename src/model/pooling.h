/* How a sentence encoder makes one vector of its tokens'. */
#ifndef SN_MODEL_POOLING_H
#define SN_MODEL_POOLING_H

#include "model/model.h"

typedef enum sn_pooling { SN_POOL_MEAN, SN_POOL_FIRST } sn_pooling;

/* Finds it in 1_Pooling/config.json beside the weights, as sentence-transformers writes it; without that file: the
 * mean. SN_EARG where it is neither the mean nor the first token's. */
SN_CHECKED sn_status sn_model_pooling(sn_ctx *ctx, const sn_model *model, sn_arena *arena, sn_pooling *out);

#endif
