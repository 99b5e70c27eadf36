/* Vectors of the residual stream, read as the model reads its last one: what the unembedding would see of them. */
#ifndef SN_MODEL_LENS_H
#define SN_MODEL_LENS_H

#include "base/base.h"

/* Applies the model's own end to x [m, d_model]: final norm (statistics of each vector itself), the head's
 * transformation where there is one (BERT, OPT), the scale of what enters the unembedding. out: room of m
 * (sn_gemm_room), d_head_out. Of what the last block leaves it makes, bit for bit, unembed.hook_in (logit lens:
 * nostalgebraist 2020). */
SN_CHECKED sn_status sn_lens_head(sn_ctx *ctx, sn_model *model, const float *x, int64_t m, float *out, sn_arena *arena);

/* Directions of the stream (rows of weights) as the unembedding would see them, x [m, d_model], out with room of m:
 * as they are (Geva et al. 2021, Dar et al. 2023); or, with gains, through the final norm's gains, centred first where
 * the norm centres. The norm's scale, which differs from place to place, and all biases are left out. SN_EARG where a
 * layer of its own stands before the unembedding. */
SN_CHECKED sn_status sn_lens_directions(sn_ctx *ctx, sn_model *model, const float *x, int64_t m, bool gains, float *out,
                                        sn_arena *arena);

/* What a tap of several sites keeps side by side: x [places, n, d], this site's vectors as number `at` of n. */
typedef struct sn_lens_keep { float *x; int64_t n, at, d; } sn_lens_keep;
extern const sn_sink sn_lens_keep_sink;

#endif
