/* One cell of a probe plan, made ready once for all of its training sets: one matrix of standardised rows, on which a
 * training set is a choice of rows and its own standardisation a change of the ridge. For with columns x_j / s_j
 * instead of x_j / t_j, coefficients are s_j / t_j times as large, and means go into the intercept, which is free. So
 * all fits of a cell are regressions on the same columns, to be solved side by side. Inside of probe.c. */
#ifndef SN_STATS_CELL_H
#define SN_STATS_CELL_H

#include "stats/multinomial.h"
#include "stats/probe.h"

typedef struct sn_cell {
	const sn_probe_plan *plan;
	sn_arena *arena;
	float *scaled;  /* [n, d] all rows, standardised as all training rows are */
	double *sd;     /* [d] theirs */
	int64_t n_fit;
	int64_t *row;   /* [n_fit] rows that train */
	float *weight;  /* [n_fit]; NULL: 1 */
	sn_design design;
	struct sn_block_moments *fold; /* [n_fold] */
} sn_cell;

/* A label on the training rows outside two blocks (or one, or none: -1). */
typedef struct sn_cell_fit {
	int label, f, g;
	bool both;     /* the rows have both classes; else there is nothing to fit */
	sn_multinomial m;
	float *coef;   /* [d] of the last sn_cell_settle */
} sn_cell_fit;

/* Standardises rows x [n, d] of a plan and takes the moments of its blocks. From arena, which is the cell's. SN_EARG
 * where no row trains. */
SN_CHECKED sn_status sn_cell_open(sn_cell *out, sn_arena *arena, const sn_probe_plan *plan, const float *x);
/* Makes a fit, coefficients 0. */
SN_CHECKED sn_status sn_cell_fit_make(sn_cell_fit *out, const sn_cell *cell, int label, int f, int g);
/* Takes the coefficients as they are now. */
void sn_cell_settle(const sn_cell *cell, sn_cell_fit *fit);
/* Returns the settled score (logit of +1) of row i of the plan. */
double sn_cell_score(const sn_cell *cell, const sn_cell_fit *fit, int64_t i);

#endif
