/* The taps of a plan from JSON: their values in memory, and to a safetensors file. */
#ifndef SN_MODEL_PLAN_TAPS_H
#define SN_MODEL_PLAN_TAPS_H

#include "model/places.h"
#include "model/plan_file.h"

/* Values of a tap in the order of its places: x [n, width]; width 0 (attention): place i at x + offset[i]. */
typedef struct sn_plan_taken { sn_places places; int64_t width, *offset; float *x; } sn_plan_taken;

/* Gives every tap of a plan room for its values, and a sink that fills it. out: [n_tap], from arena. */
SN_CHECKED sn_status sn_plan_taps_open(sn_ctx *ctx, const sn_model *model, sn_plan_file *f, sn_arena *arena,
                                       sn_plan_taken **out);
/* Writes, after the run, TAP float32 [places, width] (attention: one row of numbers), TAP.row and TAP.position int32
 * [places]. */
SN_CHECKED sn_status sn_plan_taps_write(sn_ctx *ctx, const sn_plan_file *f, const sn_plan_taken *taken,
                                        const char *path, sn_arena *arena);

#endif
