/* A model in memory: its shape, where its numbers come from, and what has been packed so far. */
#ifndef SN_MODEL_MODEL_H
#define SN_MODEL_MODEL_H

#include "base/base.h"
#include "model/arch.h"
#include "tensor/gemm.h"
#include "tensor/kernels.h"

/* One block's weights, ready for use. */
typedef struct sn_layer {
	bool ready;
	float *attn_norm, *mlp_norm;              /* [d_model] */
	sn_packed *qkv;                           /* rows: all of Q, then K, then V */
	sn_packed *o;
	sn_packed *gate_up;                       /* rows: all of gate, then up */
	sn_packed *down;
} sn_layer;

enum { SN_UNEMBED_CHUNK = 4096 };             /* vocabulary columns packed together */

struct sn_model {
	sn_ctx *ctx;
	sn_arena *arena;
	sn_shape shape;
	sn_model_info info;
	sn_source source;
	sn_tokenizer *tokenizer;
	sn_gemm *gemm;
	const sn_kernels *kernels;
	sn_layer *layer;                          /* [n_layer] */
	float *final_norm;                        /* [d_model] */
	sn_packed **unembed;                      /* [n_chunk]; NULL until a plan needs all logits */
	int n_chunk;
	float *cosine, *sine;                     /* [n_position, d_head / 2] */
	int64_t n_position;
};

/* Columns of the packed Q, K, V product. */
static inline int64_t sn_qkv_width(const sn_shape *s) { return (int64_t)s->d_head * (s->n_head + 2 * s->n_kv_head); }

/* Packs block l if it is not yet. */
SN_CHECKED sn_status sn_model_need_layer(sn_ctx *ctx, sn_model *model, int l);
/* Packs the unembedding if it is not yet. */
SN_CHECKED sn_status sn_model_need_unembed(sn_ctx *ctx, sn_model *model);
/* Makes rotary tables for positions [0, n). */
SN_CHECKED sn_status sn_model_need_positions(sn_ctx *ctx, sn_model *model, int64_t n);
/* Reads rows [row0, row0 + n_row) of a part in parallel. */
SN_CHECKED sn_status sn_model_read(sn_ctx *ctx, const sn_model *model, sn_part part, int layer, int64_t row0,
                                   int64_t n_row, float *out);
/* The part that holds the unembedding: EMBED where it is tied. */
static inline sn_part sn_unembed_part(const sn_model *model)
{
	return model->shape.tied ? SN_PART_EMBED : SN_PART_UNEMBED;
}

#endif
