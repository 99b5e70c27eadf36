/* Opening model files. Each loader checks names and shapes of all tensors before anything is read. */
#ifndef SN_MODEL_LOAD_H
#define SN_MODEL_LOAD_H

#include "model/weights.h"

/* Finds the tensor of one part by its name in the file, checks it and notes it in the source at arg. */
typedef sn_status sn_find_part(sn_ctx *ctx, void *arg, const sn_shape *shape, sn_part part, int layer,
                               const char *name);
/* Calls find for every part that a model of the shape has, once a block where it is in the blocks; names: the row's
 * table of tensor names for this file format. */
SN_CHECKED sn_status sn_load_parts(sn_ctx *ctx, const sn_shape *shape, const char *const *names, sn_find_part *find,
                                   void *arg);

SN_CHECKED sn_status sn_load_gguf(sn_model **out, sn_ctx *ctx, const char *path);
/* folder holds config.json, the weights (io/tensor_file.h) and tokenizer.json. */
SN_CHECKED sn_status sn_load_hf(sn_model **out, sn_ctx *ctx, const char *folder);

#endif
