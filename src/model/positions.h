/* What positions contribute: rotary angles, ALiBi's slopes, distances. */
#ifndef SN_MODEL_POSITIONS_H
#define SN_MODEL_POSITIONS_H

#include "model/model.h"

enum { SN_MOST_PAIRS = 4096 };   /* half of the largest head size that a shape may have */

/* Writes cosines and sines, [n_rot / 2] each, of one position in a row of length tokens under a set of angles. */
void sn_rope_angles(const sn_shape *shape, int set, int64_t length, int64_t pos, float *cosine, float *sine);
/* Returns whether a row of that many tokens has angles of its own (dynamic and long scalings, beyond the original
 * length): its positions then share nothing with rows of another length. */
bool sn_rope_depends_on_length(const sn_shape *shape, int64_t length);
/* BUCKETS: the row of REL_BIAS for a distance, key - query. */
int64_t sn_distance_bucket(const sn_shape *shape, int64_t distance);
/* Rounds to the nearest bfloat16, ties to even. */
float sn_round_bf16(float x);

#endif
