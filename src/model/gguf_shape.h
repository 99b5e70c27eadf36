/* A GGUF file's keys -> sn_shape. */
#ifndef SN_MODEL_GGUF_SHAPE_H
#define SN_MODEL_GGUF_SHAPE_H

#include "model/arch.h"

/* Reads `<architecture>.*` keys, then what the row's own configure_gguf reads; shape->arch is set. The shape's has is
 * then all parts that the row names for GGUF. Arrays come from arena. SN_ENOTFOUND for a missing key, SN_ESHAPE for a
 * number out of range, SN_EUNKNOWN for what the block has no switch for. */
SN_CHECKED sn_status sn_gguf_shape(sn_ctx *ctx, const sn_gguf *file, sn_arena *arena, sn_shape *shape);

#endif
