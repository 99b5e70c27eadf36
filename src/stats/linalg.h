/* Dense linear algebra in double over OpenBLAS and LAPACK. Matrices are row-major; ld counts elements from row to
 * row.
 *
 * Threads: BLAS must neither start its own threads inside ours nor split a sum by their number, so every call here
 * runs BLAS on the calling thread; what is parallel is a loop of ours over blocks whose borders depend on the shapes
 * alone. Hence the same bits with 1 and 2 threads. */
#ifndef SN_STATS_LINALG_H
#define SN_STATS_LINALG_H

#include "base/base.h"

/* From here to sn_blas_restore(value returned), BLAS and LAPACK calls of this thread use this thread alone. Sets the
 * OpenMP thread count of the calling task only (OpenBLAS obeys it), so other threads notice nothing. Inside a
 * parallel region each thread calls it for itself; there no restore is needed. */
int sn_blas_serial(void);
void sn_blas_restore(int before);

/* c [m, n] <- alpha op(a) op(b) + beta c, inner size k; ta / tb: the operand is stored transposed. Parallel over
 * blocks of c's rows on threads threads; inside a parallel region pass 1. */
void sn_gemm_f64(int threads, bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const double *a,
                 int64_t lda, const double *b, int64_t ldb, double beta, double *c, int64_t ldc);

/* Lower triangle of c [m, m] <- op(a) op(a)' + beta c, inner size k; ta: a is stored [k, m]. Like sn_gemm_f64 at half
 * the work. */
void sn_gram_f64(int threads, bool ta, int64_t m, int64_t k, const double *a, int64_t lda, double beta, double *c,
                 int64_t ldc);

/* Copies the lower triangle of a [n, n] to the upper. */
void sn_mirror_f64(int64_t n, double *a, int64_t ld);

/* Eigen-decomposition of a symmetric a [n, n] (lower triangle read): a = Σ_i value[i] row_i' row_i, values ascending;
 * on return row i of a is the i-th unit eigenvector. SN_ENUMERIC when a holds a NaN or LAPACK does not converge. O(9
 * n³). */
SN_CHECKED sn_status sn_eigh(sn_ctx *ctx, int64_t n, double *a, double *value);

/* Factors a symmetric positive definite a [n, n] (lower triangle read) in place: lower triangle <- L, a = L L'; the
 * upper triangle is left alone. Returns false when a is not positive definite (or not finite). n³ / 3
 * multiplications. */
SN_CHECKED bool sn_cholesky(int64_t n, double *a, int64_t ld);
/* Solves L L' x = b for m right-hand sides in place, l from sn_cholesky; b is [m, n]: each right-hand side is a row. */
void sn_cholesky_solve(int64_t n, const double *l, int64_t ld, int64_t m, double *b);

#endif
