/* Many multinomial logistic regressions on the same rows at once: labels, controls and label sets of a site. Each is
 * Newton with conjugate gradients (ncg.h); in every round what all of them ask for – a gradient here, a Hessian
 * product there – is one pair of matrix products with X, so X is read once for all.
 *
 * Objective as scikit-learn's: Σ_i weight_i loss_i + |w|² / (2 C), intercepts unpenalised, natural logarithms; two
 * classes have one vector (the logit of class 1), more have one a class. Hessian products, which only steer, are in
 * bfloat16 where the processor is fast at it, gradients in float32; where that brings no progress products become
 * float32, then gradients double. Sums over rows run in fixed parts, so threads change no bit. What grows with the rows
 * may lie in a paged arena: each panel is handed back when a pass is through with it. */
#ifndef SN_STATS_MULTINOMIAL_H
#define SN_STATS_MULTINOMIAL_H

#include "stats/cov.h"
#include "stats/ncg.h"

/* Eigenvectors of the standardised rows' second moments: standardising and turning into them is one affine map, under
 * which ridge regression stays what it is. */
typedef struct sn_basis {
	int64_t d;
	float *turn; /* [d, d] columns: eigenvectors, largest eigenvalue first */
} sn_basis;
/* Finds the basis of n standardised rows x [n, d]. O(n d² + 9 d³). SN_ENUMERIC when LAPACK does not converge. */
SN_CHECKED sn_status sn_basis_find(sn_basis *out, sn_arena *arena, const float *x, int64_t n, int64_t d);
/* Turns rows: out [n, d] = x basis (out is not x); either may lie in the arena, whose context has the threads. */
void sn_basis_turn(const sn_basis *basis, const sn_arena *arena, const float *x, int64_t n, float *out);

enum { SN_PANEL_ROWS = 256 };

/* Rows in a basis in which their second moments are about diagonal: that makes the preconditioner. A solve may use the
 * first rows alone: a copy with a smaller n. */
typedef struct sn_design {
	const sn_arena *home; /* of the rows */
	sn_basis basis; /* turn NULL: none */
	const float *x;     /* [n, d] dense */
	const float *panel; /* the same, SN_PANEL_ROWS rows after another (the last fewer), each panel [d, its rows] */
	int64_t n, n_built, d;
	double *mean_square; /* [d] of x over its rows */
} sn_design;
/* Makes a design of n standardised rows x [n, d], in whose place the panels are left: x lives as long as the design.
 * Uses the context's threads. SN_ENUMERIC as sn_basis_find. */
SN_CHECKED sn_status sn_design_make(sn_design *out, sn_arena *arena, float *x, int64_t n, int64_t d);
/* The same in a basis that is there already, from other rows: the solution is the same whatever the basis, only slower
 * to find where the rows' second moments are not diagonal. */
SN_CHECKED sn_status sn_design_turn(sn_design *out, sn_arena *arena, const sn_basis *basis, float *x, int64_t n);
/* The same without a basis, for columns as they are: x [n, d] stays as it is and lives as long as the design. */
SN_CHECKED sn_status sn_design_plain(sn_design *out, sn_arena *arena, const float *x, int64_t n, int64_t d);

/* One regression. theta [n_vec, d + 1], intercepts last. */
typedef struct sn_multinomial {
	const int32_t *y;    /* [n] class, or -1: row left out */
	const float *weight; /* [n] >= 0 of the rows' losses; NULL: 1 */
	const double *scale; /* [d] > 0: column j costs (scale_j w_j)² / (2 C); NULL: 1 */
	int n_class, n_vec;
	double c;      /* strength C */
	double *theta; /* start; solution */
	sn_ncg solver; /* tol: nats above the optimum, about; iterations, passes, converged, objective */
	double *ridge;
	float *p; /* [room / SN_PANEL_ROWS, n_vec, SN_PANEL_ROWS] probabilities at the last gradient's point */
	int64_t room;           /* whole panels */
	const sn_arena *home;   /* of p */
	const sn_design *design; /* while solving */
	double slope;
	float *flat; /* [2, n_vec, d] a gradient, turned back */
} sn_multinomial;

/* When regressions stop: at whichever comes first. */
typedef struct sn_multinomial_stop {
	double gap;   /* about how far above the optimum, nats a row; 0: 1e-8 without a slope, else not asked */
	double slope; /* largest derivative by a coefficient of the standardised columns or by an intercept, nats a row, as
	               * scikit-learn's tol; 0: not asked */
} sn_multinomial_stop;
/* Called when regression number k has stopped; true: solve it on from there, with p->c as left. */
typedef bool sn_multinomial_next(void *owner, int k);

/* Makes a regression of n_class classes for at most room rows of d columns; theta 0. From arena. SN_EARG for fewer
 * than two classes. */
SN_CHECKED sn_status sn_multinomial_make(sn_multinomial *out, sn_arena *arena, int n_class, int64_t d, int64_t room);
/* Solves n regressions from where their theta stand, each at its c. next (or NULL) may lead each along a path of its
 * own, so that all stay side by side to the end. Rows are taken as finite. Uses the context's threads. SN_ENOMEM,
 * SN_ECANCEL; what did not converge says so. */
SN_CHECKED sn_status sn_multinomial_solve(sn_multinomial *const *problem, int n, sn_arena *scratch,
										  const sn_design *design, sn_multinomial_stop stop, sn_multinomial_next *next,
										  void *owner);
/* Writes natural log-probabilities [m, n_class] of m rows in the design's basis. */
SN_CHECKED sn_status sn_multinomial_logp(const sn_multinomial *problem, sn_arena *scratch, const float *x, int64_t m,
										 int64_t d, float *logp);

#endif
