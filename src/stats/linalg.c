#include "stats/linalg.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <omp.h>

/* Rows of c that one thread computes at a time: fixed, so that no border depends on the number of threads. */
enum { ROW_BLOCK = 128 };
/* Up to this many right-hand sides, one at a time is faster: the blocked solver packs the whole triangle first. */
enum { FEW = 4 };

int sn_blas_serial(void)
{
	int before = omp_get_max_threads();
	omp_set_num_threads(1);
	return before;
}

void sn_blas_restore(int before) { omp_set_num_threads(before); }

static CBLAS_TRANSPOSE trans(bool t) { return t ? CblasTrans : CblasNoTrans; }

/* One product, for the rows of c that a thread takes. */
typedef struct product {
	bool ta, tb;
	int64_t m, n, k, lda, ldb, ldc;
	double alpha, beta;
	const double *a, *b;
	double *c;
} product;

typedef void product_rows(const product *p, int64_t first, int rows);

static void run_product(int threads, const product *p, product_rows *compute)
{
	int before = sn_blas_serial();
	if (threads <= 1 || p->m <= ROW_BLOCK) {
		for (int64_t i = 0; i < p->m; i += ROW_BLOCK) compute(p, i, (int)SN_MIN(ROW_BLOCK, p->m - i));
	} else {
#pragma omp parallel for num_threads(threads) schedule(dynamic)
		for (int64_t i = 0; i < p->m; i += ROW_BLOCK) {
			sn_blas_serial();
			compute(p, i, (int)SN_MIN(ROW_BLOCK, p->m - i));
		}
	}
	sn_blas_restore(before);
}

static const double *rows_of_a(const product *p, int64_t first) { return p->a + (p->ta ? first : first * p->lda); }

static void gemm_rows(const product *p, int64_t first, int rows)
{
	cblas_dgemm(CblasRowMajor, trans(p->ta), trans(p->tb), rows, (int)p->n, (int)p->k, p->alpha, rows_of_a(p, first),
				(int)p->lda, p->b, (int)p->ldb, p->beta, p->c + first * p->ldc, (int)p->ldc);
}

static void gram_rows(const product *p, int64_t first, int rows)
{
	double *c = p->c + first * p->ldc;
	if (first)
		cblas_dgemm(CblasRowMajor, trans(p->ta), trans(!p->ta), rows, (int)first, (int)p->k, 1, rows_of_a(p, first),
					(int)p->lda, p->a, (int)p->lda, p->beta, c, (int)p->ldc);
	cblas_dsyrk(CblasRowMajor, CblasLower, trans(p->ta), rows, (int)p->k, 1, rows_of_a(p, first), (int)p->lda, p->beta,
				c + first, (int)p->ldc);
}

void sn_gemm_f64(int threads, bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const double *a,
				 int64_t lda, const double *b, int64_t ldb, double beta, double *c, int64_t ldc)
{
	product p = { ta, tb, m, n, k, lda, ldb, ldc, alpha, beta, a, b, c };
	run_product(threads, &p, gemm_rows);
}

void sn_gram_f64(int threads, bool ta, int64_t m, int64_t k, const double *a, int64_t lda, double beta, double *c,
				 int64_t ldc)
{
	product p = { .ta = ta, .m = m, .k = k, .lda = lda, .ldc = ldc, .beta = beta, .a = a, .c = c };
	run_product(threads, &p, gram_rows);
}

void sn_mirror_f64(int64_t n, double *a, int64_t ld)
{
	for (int64_t i = 0; i < n; i++)
		for (int64_t j = 0; j < i; j++) a[j * ld + i] = a[i * ld + j];
}

/* A row-major lower triangle is a column-major upper one, so LAPACK works in place without transposing; its
 * eigenvectors (columns) are then our rows. */
sn_status sn_eigh(sn_ctx *ctx, int64_t n, double *a, double *value)
{
	for (int64_t i = 0; i < n; i++)
		for (int64_t j = 0; j <= i; j++)
			if (!isfinite(a[i * n + j]))
				return sn_fail(ctx, SN_ENUMERIC,
							   "eigenvalues: entry (%lld, %lld) of a %lld x %lld matrix is not finite", (long long)i,
							   (long long)j, (long long)n, (long long)n);
	int before = sn_blas_serial();
	lapack_int info = LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'U', (int)n, a, (int)n, value);
	sn_blas_restore(before);
	if (info == LAPACK_WORK_MEMORY_ERROR)
		return sn_fail(ctx, SN_ENOMEM, "out of memory for eigenvalues (n = %lld)", (long long)n);
	if (info)
		return sn_fail(ctx, SN_ENUMERIC, "eigenvalues of a %lld x %lld matrix did not converge", (long long)n,
					   (long long)n);
	return SN_OK;
}

bool sn_cholesky(int64_t n, double *a, int64_t ld)
{
	int before = sn_blas_serial();
	lapack_int info = LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', (int)n, a, (int)ld);
	sn_blas_restore(before);
	for (int64_t i = 0; i < n && !info; i++)
		if (!isfinite(a[i * ld + i])) info = 1;
	return info == 0;
}

void sn_cholesky_solve(int64_t n, const double *l, int64_t ld, int64_t m, double *b)
{
	int before = sn_blas_serial();
	for (int64_t i = 0; i < m && m <= FEW; i++) {
		cblas_dtrsv(CblasRowMajor, CblasLower, CblasNoTrans, CblasNonUnit, (int)n, l, (int)ld, b + i * n, 1);
		cblas_dtrsv(CblasRowMajor, CblasLower, CblasTrans, CblasNonUnit, (int)n, l, (int)ld, b + i * n, 1);
	}
	if (m > FEW) (void)LAPACKE_dpotrs_work(LAPACK_COL_MAJOR, 'U', (int)n, (int)m, l, (int)ld, b, (int)n);
	sn_blas_restore(before);
}
