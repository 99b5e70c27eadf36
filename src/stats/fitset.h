/* One training set of a probe plan, made ready once for all labels and strengths: standardised rows and, if there are
 * fewer rows than columns, their Gram matrix. Inside of probe.c; serial, and allocating nothing once initialised. */
#ifndef SN_STATS_FITSET_H
#define SN_STATS_FITSET_H

#include "stats/newton.h"
#include "stats/probe.h"

/* A training set: FIT rows outside two blocks (or one, or none). */
typedef struct sn_fitset {
	const sn_probe_plan *plan;
	const float *x;           /* the cell's [n, d] */
	int64_t m, room;          /* rows; the most it has room for */
	int64_t *row;             /* [m] */
	double *weight;           /* [m] */
	sn_standard standard;
	float *scaled;            /* [m, d] */
	float *gram32;            /* [m, m] */
	double *gram, *feature;   /* [m, m] if m <= d, else NULL and [m, d] */
} sn_fitset;

/* What one fit needs besides: one for each thread. */
typedef struct sn_fitter {
	sn_newton newton;
	double *a, *f, *scratch;
	int8_t *z;                /* [room] */
	float *row, *coef;        /* [d] one standardised row; [d] the last fit, of standardised columns */
} sn_fitter;

SN_CHECKED sn_status sn_fitset_init(sn_fitset *set, sn_arena *arena, const sn_probe_plan *plan, const float *x);
SN_CHECKED sn_status sn_fitter_init(sn_fitter *fitter, sn_arena *arena, const sn_probe_plan *plan, int64_t room);
/* Gathers and standardises the rows outside blocks f and g (-1: none) and computes their products. */
void sn_fitset_load(sn_fitset *set, int f, int g);
/* Starts label's fits at 0; false when the rows lack one of its classes. */
bool sn_fitter_begin(sn_fitter *fitter, const sn_fitset *set, int label);
/* Fits at C = strength from where the last fit stopped; returns whether it converged. */
bool sn_fitter_run(sn_fitter *fitter, const sn_fitset *set, double strength, double tol);
/* Returns the last fit's score (logit of +1) of row i of the cell. */
double sn_fitter_score(sn_fitter *fitter, const sn_fitset *set, int64_t i);

#endif
