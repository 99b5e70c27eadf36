/* What a plan yields - every tapped value, every score - and how two runs of it compare. */
#ifndef SN_TEST_OUTCOME_H
#define SN_TEST_OUTCOME_H

#include "common/random_plan.h"

/* A sink that remembers every place; hash: of places and values in the order in which they came. */
typedef struct record { sn_arena *arena; float **x; int64_t *size, n, taken; uint64_t hash; } record;

typedef struct outcome { sn_status status; record tap[RANDOM_TAPS]; double score[RANDOM_GOALS * RANDOM_ROWS]; } outcome;

/* Runs a plan in a context (the case's or another); asserts that each place comes once. Values are from the case's
 * arena. */
void outcome_run(forms_case *f, sn_ctx *ctx, const sn_batch *batch, const sn_plan *plan, sn_state *keep, outcome *out);
/* Returns NULL where a is b up to tolerance, relative to the largest value at a place or to 1 nat; otherwise where not,
 * written into text. NaN equals NaN. */
const char *outcome_difference(const sn_plan *plan, int32_t rows, const outcome *a, const outcome *b, double tolerance,
                               char *text, size_t n);
/* Returns whether all bits are the same, and the order in which sinks received them. */
bool outcome_same_bits(const sn_plan *plan, int32_t rows, const outcome *a, const outcome *b);

#endif
