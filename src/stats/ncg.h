/* Truncated Newton, turned inside out: the solver asks for gradients and Hessian products, one at a time, and its owner
 * computes them. So many problems that share their rows run side by side, and what all of them ask for at one moment
 * is one matrix product. Inside of multinomial.c and edge.c; serial.
 *
 * Minimises loss(θ) + ½ Σ ridge_j θ_j². Steps: conjugate residuals (Stiefel 1955), preconditioned by a diagonal guess
 * of the Hessian, as exact as the distance to the optimum deserves (Dembo & Steihaug 1983); step lengths by halving. */
#ifndef SN_STATS_NCG_H
#define SN_STATS_NCG_H

#include "base/base.h"

typedef enum sn_ask { SN_ASK_NOTHING, SN_ASK_GRADIENT, SN_ASK_CURVATURE } sn_ask;

typedef struct sn_ncg {
	/* the owner's */
	int64_t size;
	double *theta;       /* [size] start; solution */
	const double *ridge; /* [size] >= 0 */
	double *guess;       /* [size] diagonal of the loss's Hessian, about: the owner sets it beside every gradient */
	double tol;          /* stops at gap <= tol */
	/* stops also where flat says so of a gradient (or what a step promises to leave of it); NULL: never */
	bool (*flat)(const void *owner, const double *gradient, double share);
	const void *owner;
	int max_iter;
	/* what is asked for: the loss's gradient at `at`, or its Hessian (at the last gradient's point) times `at`, to be
	 * put into answer [size]; exact: in double, as float32 has brought no progress */
	sn_ask ask;
	const double *at;
	double *answer;
	bool exact;
	bool rough; /* Hessian products may be rough: the owner sets it after a restart, want of progress clears it */
	/* how it went */
	double objective, gap; /* gap: ½ g' M⁻¹ g, M the guess with the ridge: nats above the optimum, were M H */
	int iterations, passes;
	bool converged;
	/* its own */
	double *trial, *grad, *step, *residual, *scaled, *direction, *image, *inverse;
	double curve, enough, size_of_step, first_gap;
	int n_cg, n_slow;
} sn_ncg;

/* Takes 11 vectors [size] from the arena (theta and ridge are the owner's) and asks for the first gradient. */
SN_CHECKED sn_status sn_ncg_start(sn_ncg *p, sn_arena *arena);
/* Begins anew from theta (a warm start), after a change of ridge, tol or data. */
void sn_ncg_restart(sn_ncg *p);
/* Takes the answer (and, to a gradient, the loss) and asks the next question; p->ask is SN_ASK_NOTHING at the end. */
void sn_ncg_next(sn_ncg *p, double loss);

#endif
