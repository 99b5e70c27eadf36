/* Probes of one cell: many binary labels on one X, cross-validated over blocks of lemmas, strength chosen by inner
 * folds.
 *
 * Strengths are tried from the strongest regularisation on; a path ends when held-out inner loss has risen twice.
 *
 * All fits of a cell – labels, blocks – are regressions on the same columns and are solved side by side (cell.h). With
 * blocks 0 .. F-1, the inner fit for outer block f and inner block g trains on all blocks but f and g: the same set as
 * for (g, f), so F (F - 1) / 2 inner fits serve. */
#ifndef SN_STATS_PROBE_H
#define SN_STATS_PROBE_H

#include "stats/cov.h"

enum { SN_USE_FIT = 1, SN_USE_TEST = 2 };   /* bits of use[i] */

/* Which rows train and which are tested: probes are fitted on FIT rows outside a block and tested on TEST rows inside
 * it (a row with a training lead-in is FIT, its twin with a test lead-in TEST; both bits where there is no such
 * distinction). Inner folds see FIT rows only. */
typedef struct sn_probe_plan {
	int64_t n, d, ld;        /* rows, columns, distance between rows of x (0: d) */
	int n_fold;              /* >= 3 for sn_probe_cv (the inner folds need two) */
	const int32_t *fold;     /* [n] block, 0 .. n_fold - 1; -1: row unused */
	const uint8_t *use;      /* [n], or NULL: both bits for all */
	const double *weight;    /* [n] of the training loss, or NULL: 1 */
	int n_label;
	const int8_t *z;         /* [n_label, n]: +1, -1; 0: the row is not part of this label */
	int n_strength;
	const double *strength;  /* [n_strength] values of C, ascending; NULL and 0: sn_probe_strengths */
	double tol;              /* final fits may stop about so far above the optimum, nats a row; 0: 1e-9 (inner: 1e-4) */
} sn_probe_plan;

/* The default strengths C: 1e-4, 1e-3, 1e-2, 1e-1, 1, 10. */
extern const double sn_probe_strengths[6];

/* Arrays live in the arena given. p is the probability of +1, clipped to [1e-12, 1 - 1e-12] like its logarithm. */
typedef struct sn_probe_result {
	int64_t n;
	int n_fold, n_label, n_strength;
	double *bits;        /* [n_label, n] held-out log2 probability of the row's own label; NaN: not tested */
	double *p;           /* [n_label, n] held-out probability of +1; NaN: not tested */
	int *chosen;         /* [n_label, n_fold] index of the strength used; -1: block not fitted (a class was missing) */
	double *inner;       /* [n_label, n_fold, n_strength] mean inner cross-entropy, bits; NaN: not reached.
	                      * Only from sn_probe_cv, else NULL */
	int n_unconverged;   /* fits that stopped before tol */
} sn_probe_result;

/* Nested cross-validation of every label on x [n, d]. Uses the context's threads;
 * results do not depend on their number. SN_EARG for a bad plan, SN_ENUMERIC naming the row with a number that is not
 * finite. A block whose training rows lack a class is not fitted: its rows get bits -1, p 0.5 (what an uninformed
 * probe says). */
SN_CHECKED sn_status sn_probe_cv(sn_probe_result *out, sn_arena *arena, const sn_probe_plan *plan, const float *x);
/* One split instead of folds: fits all FIT rows, tests all TEST rows, at fixed strengths: label l uses
 * plan->strength[which[l]] (which NULL: [0]). For control tasks (same forms, unseen lead-ins); fold is ignored except
 * that -1 leaves a row out; n_fold counts as 1. */
SN_CHECKED sn_status sn_probe_split(sn_probe_result *out, sn_arena *arena, const sn_probe_plan *plan, const float *x,
                                    const int *which);
/* Cross-validation at fixed strengths which [n_label, n_fold] (indices into plan->strength), without inner folds;
 * e.g. for a permuted-label floor, or a baseline at the strengths that another cell chose. */
SN_CHECKED sn_status sn_probe_fixed(sn_probe_result *out, sn_arena *arena, const sn_probe_plan *plan, const float *x,
                                    const int *which);

/* Label 0 fitted anew on n_draw resamples of the training rows, row i counting weight [n_draw, n] times, at fixed
 * strengths which [n_fold]: bits [n_draw, n] float32, held-out log2 probabilities of the own label, NaN where not
 * tested, -1 where a resample lacks a class. Columns are standardised as they are without resampling; plan->weight is
 * not used. All resamples of a block are solved side by side, from the fit of all rows on. Uses the context's threads;
 * results do not depend on their number. Returns the fits that did not converge in n_unconverged. Errors as above. */
SN_CHECKED sn_status sn_probe_resample(float *bits, int *n_unconverged, sn_arena *scratch, const sn_probe_plan *plan,
									   const float *x, const int *which, const float *weight, int n_draw);

#endif
