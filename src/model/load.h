/* Opening model files. Each loader checks names and shapes of all tensors before anything is read. */
#ifndef SN_MODEL_LOAD_H
#define SN_MODEL_LOAD_H

#include "model/weights.h"

SN_CHECKED sn_status sn_load_gguf(sn_model **out, sn_ctx *ctx, const char *path);
/* folder holds config.json, model.safetensors (or its index) and tokenizer.json. */
SN_CHECKED sn_status sn_load_hf(sn_model **out, sn_ctx *ctx, const char *folder);

#endif
