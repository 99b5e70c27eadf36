/* Many multinomial logistic regressions on the same rows at once: labels, controls and label sets of a site. Each is
 * Newton with conjugate gradients (ncg.h); in every round what all of them ask for – a gradient here, a Hessian
 * product there – is one pair of matrix products with X, so X is read once for all.
 *
 * Objective as scikit-learn's: Σ_i loss_i + |w|² / (2 C), intercepts unpenalised, natural logarithms; two classes have
 * one vector (the logit of class 1), more have one a class. Products are float32 where their rounding does no harm
 * and gradients double where it would; sums over rows run in fixed parts, so threads change no bit. */
#ifndef SN_STATS_MULTINOMIAL_H
#define SN_STATS_MULTINOMIAL_H

#include "stats/cov.h"
#include "stats/ncg.h"

/* Rows in a basis in which their second moments are about diagonal (sn_basis_*): that makes the preconditioner. */
typedef struct sn_design {
	const float *x; /* [n, d] dense */
	int64_t n, d;
	const double *mean_square; /* [d] of x over its rows */
} sn_design;

/* One regression. theta [n_vec, d + 1], intercepts last. */
typedef struct sn_multinomial {
	const int32_t *y; /* [n] class, or -1: row left out */
	int n_class, n_vec;
	double c;      /* strength C */
	double *theta; /* start; solution */
	sn_ncg solver; /* tol: nats above the optimum, about; iterations, passes, converged, objective */
	double *ridge;
	float *p; /* [n_vec, room] probabilities at the last gradient's point */
	int64_t room;
} sn_multinomial;

/* Makes a regression of n_class classes for at most room rows of d columns; theta 0. tol as in the solver; 0: 1e-7 a
 * row. From arena. SN_EARG for fewer than two classes. */
SN_CHECKED sn_status sn_multinomial_make(sn_multinomial *out, sn_arena *arena, int n_class, int64_t d, int64_t room);
/* Solves n regressions from where their theta stand, each at its c. tol 0: 1e-8 a row. Rows are taken as finite. Uses
 * the context's threads. SN_ENOMEM, SN_ECANCEL; what did not converge says so. */
SN_CHECKED sn_status sn_multinomial_solve(sn_multinomial *const *problem, int n, sn_arena *scratch,
										  const sn_design *design, double tol);
/* Writes natural log-probabilities [m, n_class] of m rows in the design's basis. */
SN_CHECKED sn_status sn_multinomial_logp(const sn_multinomial *problem, sn_arena *scratch, const float *x, int64_t m,
										 int64_t d, float *logp);

/* Eigenvectors of the standardised rows' second moments: standardising and turning into them is one affine map, under
 * which ridge regression stays what it is. */
typedef struct sn_basis {
	int64_t d;
	float *turn; /* [d, d] columns: eigenvectors, largest eigenvalue first */
} sn_basis;
/* Finds the basis of n standardised rows x [n, d]. O(n d² + 9 d³). SN_ENUMERIC when LAPACK does not converge. */
SN_CHECKED sn_status sn_basis_find(sn_basis *out, sn_arena *arena, const float *x, int64_t n, int64_t d);
/* Turns rows: out [n, d] = x basis (out is not x). */
void sn_basis_turn(const sn_basis *basis, int threads, const float *x, int64_t n, float *out);
/* Mean squares [d] of the columns of x [n, d]. */
void sn_mean_squares(const float *x, int64_t n, int64_t d, double *out);

#endif
