/* Truncated Newton (conjugate gradients on Hessian products) for logistic and softmax regression: for many columns
 * and rows, or more than two classes. Inside of logreg.c. */
#ifndef SN_STATS_SOFTMAX_H
#define SN_STATS_SOFTMAX_H

#include "stats/cov.h"

/* Minimise Σ weight_i loss_i + lambda / 2 |w|²; rows widened to double in chunks, so no copy of x is made. */
typedef struct sn_softmax {
	const sn_rows *rows;
	const int32_t *y;       /* [n] class, or -1: row left out */
	int n_vec;              /* 1: two classes, logit of class 1; else one vector a class */
	double lambda, tol;     /* stops at |gradient| <= tol Σ weight */
	int max_iter;
	double *theta;          /* [n_vec, d + 1], intercepts last; in: start, out: solution */
	double objective, gradient;
	int iterations;
	bool converged;
} sn_softmax;

/* Uses the context's threads: the same bits for any number of them. SN_ENOMEM only. */
SN_CHECKED sn_status sn_softmax_solve(sn_softmax *p, sn_arena *scratch);

#endif
