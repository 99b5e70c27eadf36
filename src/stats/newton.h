/* Newton's method for binary logistic regression with a dense system, in the space of rows ("dual", a Gram matrix) or
 * of columns ("primal"). Inside of logreg.c; serial, so that callers can run many fits at once. */
#ifndef SN_STATS_NEWTON_H
#define SN_STATS_NEWTON_H

#include "base/base.h"

/* One problem: minimise Σ weight_i log(1 + exp(-z_i (f_i + b))) + lambda / 2 |w|², f = features w. Rows with z 0 do
 * not count. */
typedef struct sn_newton {
	int64_t m, r;             /* rows; unknowns without the intercept (dual: r = m) */
	const double *gram;       /* dual: [m, m], full and symmetric; w = features' a, f = gram a */
	const double *feature;    /* primal: [m, r]; gram is NULL then */
	const int8_t *z;          /* [m] */
	const double *weight;     /* [m], NULL: 1 */
	double lambda, tol;       /* stops at |gradient of w and b|_2 <= tol Σ weight */
	int max_iter;
	double *a, *f, b;         /* in: start; out: solution. a [r]: row coefficients (dual) or w (primal); f [m] */
	double *scratch;          /* sn_newton_scratch doubles */
	double objective, gradient;
	int iterations;
	bool converged;
} sn_newton;

/* Doubles of scratch for a problem of m rows and r unknowns. */
size_t sn_newton_scratch(int64_t m, int64_t r, bool dual);
/* Solves; a and f must be consistent at the start (both 0 is). */
void sn_newton_solve(sn_newton *p);
/* Returns log(1 + exp(x)) without overflow. */
double sn_softplus(double x);
/* Returns 1 / (1 + exp(-x)). */
double sn_sigmoid(double x);

#endif
