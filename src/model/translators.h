/* The tuned lens' translators: for each layer boundary but the last an affine map of the stream, added to it (Belrose
 * et al. 2023), and their files in tuned-lens' layout. */
#ifndef SN_MODEL_TRANSLATORS_H
#define SN_MODEL_TRANSLATORS_H

#include "base/base.h"

/* Of boundary l (0: the embedding): x + weight x + bias. weight: [n, d, d], rows are outputs, as in torch.nn.Linear. */
typedef struct sn_translators { int n; int64_t d; float *weight, *bias; } sn_translators;

/* Zeros, which leave the logit lens; n layers of width d, from arena. */
SN_CHECKED sn_status sn_translators_make(sn_translators *out, int n, int64_t d, sn_arena *arena);
/* Reads FOLDER/params.pt, of a model of as many layers and this width. SN_ESHAPE says which tensor is not so;
 * SN_ENOTFOUND, SN_EPARSE. */
SN_CHECKED sn_status sn_translators_read(sn_translators *out, sn_ctx *ctx, const sn_model *model, const char *folder,
                                         sn_arena *arena);
/* Writes FOLDER/params.pt and FOLDER/config.json, making the folder where it is not there. */
SN_CHECKED sn_status sn_translators_write(sn_ctx *ctx, const sn_model *model, const sn_translators *t,
                                          const char *folder);
/* Translates x [n, layers + 1, d], the streams of n positions at all boundaries, in place; the last boundary stays. */
SN_CHECKED sn_status sn_translators_apply(sn_ctx *ctx, sn_model *model, const sn_translators *t, float *x, int64_t n,
                                          sn_arena *arena);

#endif
