/* L2-regularised logistic regression, binary and multinomial, solved exactly (a convex problem needs no seed and no
 * learning rate). The objective is scikit-learn's: Σ_i weight_i loss_i + |w|² / (2 C), intercept unpenalised, natural
 * logarithms. */
#ifndef SN_STATS_LOGREG_H
#define SN_STATS_LOGREG_H

#include "stats/cov.h"

/* A fitted model. Two classes: one coefficient row, logit of class 1; more: one a class (rows and intercepts sum to
 * 0). */
typedef struct sn_logreg {
	int64_t d;
	int n_class, n_vec;
	double *coef;         /* [n_vec, d] */
	double *intercept;    /* [n_vec] */
	double objective;     /* at the solution, nats */
	double gradient;      /* Euclidean norm of the gradient over Σ weight: what the stopping rule saw */
	int iterations;
	bool converged;       /* false: stopped at max_iter or where rounding forbids progress; report it */
} sn_logreg;

/* tol: stops when |gradient| <= tol Σ weight; 0: 1e-8. max_iter 0: 200. start: warm start of the same
 * shape, or NULL. */
typedef struct sn_logreg_options {
	double c, tol;
	int max_iter;
	const sn_logreg *start;
} sn_logreg_options;

/* Fits on rows (not standardised here) and classes y [n] in 0 .. n_class - 1, or -1: row left out. Two classes:
 * Newton on the smaller of d and n, by Cholesky; more: Newton with conjugate gradients. SN_EARG (row named) for a
 * class out of range, c <= 0, no rows, or when fewer than two classes occur; SN_ENUMERIC for numbers that are not
 * finite. */
SN_CHECKED sn_status sn_logreg_fit(sn_logreg *out, sn_arena *arena, const sn_rows *rows, const int32_t *y, int n_class,
                                   const sn_logreg_options *options);
/* Writes natural log-probabilities [n, n_class]. */
void sn_logreg_logp(const sn_logreg *m, const float *x, int64_t n, int64_t ld, double *logp);

#endif
