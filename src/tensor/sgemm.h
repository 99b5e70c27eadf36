/* One float32 matrix product on the calling thread, by oneDNN: for products whose operands change every time (packed
 * weights: gemm.h). */
#ifndef SN_TENSOR_SGEMM_H
#define SN_TENSOR_SGEMM_H

#include "sonde.h"

/* c [m, n] <- op(a) op(b) + beta c, inner size k, row-major; ta / tb: the operand is stored transposed; ld: from row to
 * row. Call it where BLAS is serial too (sn_blas_serial, or a parallel region): then one thread computes it. Fastest
 * from 32 rows on. */
void sn_sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
			  int64_t ldb, float beta, float *c, int64_t ldc);

#endif
