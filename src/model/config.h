/* config.json of a Hugging Face folder -> sn_shape: the keys that architectures share, under all their names. */
#ifndef SN_MODEL_CONFIG_H
#define SN_MODEL_CONFIG_H

#include "io/json.h"
#include "model/arch.h"

/* Reads all that architectures share, then what the row's own configure reads; shape->arch is set. The shape's has is
 * then all parts that the row names and the config does not exclude. A key whose value would change numbers in a way
 * that the block has no switch for is refused by name. */
SN_CHECKED sn_status sn_config_shape(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *shape);

/* ---- for rows ---- */

/* Names of one key, the first that is there counts; null counts as missing. */
#define SN_KEYS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* Return the key that is there, or the first. */
const char *sn_config_key(const sn_json *config, const char *const *keys);
/* A whole number from min to max; missing: what holds without the key, INT64_MIN: it is required. */
SN_CHECKED sn_status sn_config_int(const sn_json *config, const char *const *keys, int64_t missing, int64_t min,
                                   int64_t max, int64_t *out);
/* Fails with SN_EUNKNOWN and the text if a key is true (wanted false) or false (wanted true). missing: without the
 * key. */
SN_CHECKED sn_status sn_config_only(const sn_json *config, const char *key, bool missing, bool wanted, const char *why);
/* A name of a function: "gelu_new". */
SN_CHECKED sn_status sn_config_act(const sn_json *config, const char *const *keys, sn_act missing, sn_act *out);
/* Returns the function of a name, or -1. */
int sn_config_act_named(const char *name);
/* A window of `window` tokens in the blocks that layer_types calls sliding_attention; without layer_types in those
 * blocks i >= from whose i + phase is not a multiple of `every` (0: in all of them). Blocks with a window have the
 * second set of angles where there are two. */
SN_CHECKED sn_status sn_config_windows(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *shape,
                                       int64_t window, int64_t from, int64_t every, int64_t phase);
/* Makes shape->kind, all alike, for a row to fill with a pattern of its own. */
SN_CHECKED sn_status sn_config_kinds(sn_arena *arena, sn_shape *shape, sn_layer_kind **out);
/* Angles: rope_parameters (of transformers 5, flat or by layer type), or rope_theta, rope_scaling and the like. Sets
 * n_rot, n_rope, rope[]. */
SN_CHECKED sn_status sn_config_rope(sn_ctx *ctx, const sn_json *config, sn_arena *arena, sn_shape *shape);
/* Takes parts out of shape->has: SN_PART_BIT(…) | … */
static inline void sn_config_without(sn_shape *shape, uint64_t parts) { shape->has &= ~parts; }

#endif
