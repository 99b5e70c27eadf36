/* Products of a few vectors with a matrix that stays, in bfloat16: the matrix is rounded and packed once for both
 * sides, panel by panel, the vectors are rounded as they come, sums are float32. For what need not be better than about
 * 2^-9, such as Hessian products of a solver that measures its gradients in float32. */
#ifndef SN_TENSOR_HALF_H
#define SN_TENSOR_HALF_H

#include "sonde.h"

typedef struct sn_half sn_half;

/* Returns whether the processor computes in bfloat16; without, sn_half_open must not be called. */
bool sn_half_fast(void);
/* Packs x [n, d] float32 (no longer needed afterwards; it may lie in the arena) in panels of `panel`
 * rows, the last filled up with zeros. Takes
 * 4 n d bytes from the arena, which may be paged and lives longer. n_slot: calls that may run at once.
 * most: vectors in one product, at most. SN_ENOMEM, SN_EINTERNAL. */
SN_CHECKED sn_status sn_half_open(sn_half **out, sn_arena *arena, const float *x, int64_t n, int64_t d, int64_t panel,
								  int n_slot, int most);
void sn_half_close(sn_half *half);
/* Makes ready for products of n_vec vectors (1 .. most); not while any runs. */
SN_CHECKED sn_status sn_half_prepare(sn_half *half, int n_vec);
/* Writes x [n] as bfloat16, ties to even; n finite numbers. */
void sn_half_round(const float *x, int64_t n, uint16_t *out);
/* score [n_vec, panel] = w [n_vec, d] x', the rows of panel number `panel`; on the calling thread, as sn_sgemm. Each
 * slot belongs to one caller at a time. */
SN_CHECKED sn_status sn_half_scores(sn_half *half, int slot, int64_t panel, int n_vec, const uint16_t *w, float *score);
/* sum [n_vec, d] += score [n_vec, panel] x; the rest as above. */
SN_CHECKED sn_status sn_half_sums(sn_half *half, int slot, int64_t panel, int n_vec, const uint16_t *score, float *sum);

#endif
