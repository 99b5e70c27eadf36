/* Does anything remain? Probes trained afresh inside each block of lemmas, on the rows that an eraser fitted without
 * that block was applied to: the gate of an erasure. A probe fitted elsewhere could only say that the old direction is
 * gone. */
#ifndef SN_STATS_GATE_H
#define SN_STATS_GATE_H

#include "stats/probe.h"

/* Cross-validates one label inside each block. x [n, d], dense; fold [n] the block, 0 .. n_fold - 1; lemma [n]; use [n]
 * as in sn_probe_plan (or NULL); z [n] +1, -1, 0. Inside a block its lemmas are dealt to min(5, lemmas) inner blocks,
 * in order of their first row. bits [n]: held-out log2 probability of the row's own label; NaN: not tested, or a block
 * of fewer than three lemmas. SN_EARG, SN_ENUMERIC as sn_probe_cv. */
SN_CHECKED sn_status sn_gate_bits(double *bits, sn_arena *scratch, int64_t n, int64_t d, const float *x, int n_fold,
								  const int32_t *fold, const int32_t *lemma, const uint8_t *use, const int8_t *z);

#endif
