/* Least-squares concept erasure (Belrose et al. 2023, arXiv:2306.03819) and the shrinkage that makes it usable with
 * fewer rows than columns (Bodnar, Gupta & Parolya 2014, arXiv:1308.2608). All in double; one Cholesky. */
#ifndef SN_STATS_LEACE_H
#define SN_STATS_LEACE_H

#include "stats/cov.h"

typedef enum sn_shrink {
	SN_SHRINK_LINEAR, /* optimal linear shrinkage of the covariance: always invertible */
	SN_SHRINK_NONE    /* the sample covariance and its pseudo-inverse: exact on the fitting rows */
} sn_shrink;

/* Optimal linear shrinkage of a sample covariance s [d, d] from n rows: s <- alpha s + beta tr(s)/d I, in place, as
 * concept-erasure's optimal_linear_shrinkage, except that alpha is kept in [0, 1] (outside it, which happens only by
 * rounding or at n of a few rows, the estimate need not be positive definite). alpha, beta: where to put the
 * coefficients, or NULL. */
void sn_shrink_linear(int64_t d, double *s, double n, double *alpha, double *beta);

/* LEACE's projection Q = Σxz (Σxz' Σ⁻¹ Σxz)⁻¹ Σxz' Σ⁻¹ = U V', idempotent, of rank <= k. As an edit:
 *   erase        x <- x - Q (x - mean)         target = mean, U, V
 *   interchange  x_b <- x_b + Q (x_s - x_b)    target = the source's x, U, V
 * Columns beyond rank are 0, so the same edit is right (and does nothing) where x tells nothing about z. */
typedef struct sn_leace {
	int64_t d, k;
	int rank;                  /* label directions kept: singular ones (constant labels, one-hot's last) are dropped */
	double alpha, beta;        /* of the shrinkage; 1, 0 without */
	double *u, *v, *mean;      /* [d, k], [d, k], [d] */
	float *u32, *v32, *mean32; /* the same rounded, for sn_edit */
} sn_leace;

/* Fits from moments with sxx, m->weight > 1. Uses m->weight as the number of rows in the shrinkage. SN_EARG for
 * unusable moments, SN_ENUMERIC when they are not finite. d³ / 3 multiplications (pseudo-inverse: 9 d³). */
SN_CHECKED sn_status sn_leace_fit(sn_leace *out, sn_arena *arena, const sn_cov *m, sn_shrink shrink);
/* The same straight from rows and labels z [n, k], in whichever of d and n is smaller: no d x d matrix when n < d. */
SN_CHECKED sn_status sn_leace_fit_rows(sn_leace *out, sn_arena *arena, const sn_rows *rows, const double *z, int64_t k,
									   sn_shrink shrink);
/* One projection for each column of z on its own: out [k], each as sn_leace_fit_rows gives it for that column, at the
 * cost of one factorisation. For control labels. */
SN_CHECKED sn_status sn_leace_fit_each(sn_leace *out, sn_arena *arena, const sn_rows *rows, const double *z, int64_t k,
									   sn_shrink shrink);
/* The same for one label of signs z [n] on dense rows x [n, d], with linear shrinkage, rounded into mean, u, v [d]. */
SN_CHECKED sn_status sn_leace_fit_signs(sn_arena *scratch, const float *x, int64_t n, int64_t d, const int8_t *z,
										float *mean, float *u, float *v);
/* Erases in place: x [n, d], distance ld between rows. */
void sn_leace_erase(const sn_leace *q, float *x, int64_t n, int64_t ld);

#endif
