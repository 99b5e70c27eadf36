/* Intervals over lemmas. Items that share a lemma are not independent, so what is resampled is lemmas: in resample b
 * an item weighs w_subject x w_attractor, the times its lemmas were drawn (the product-weight bootstrap for crossed
 * random effects: Owen 2007, McCullagh 2000). Subjects and attractors are drawn apart, each with replacement among
 * the lemmas that occur in that role.
 *
 * One sn_boot holds the draws, so that all quantities of a report - numerators, denominators, baselines, differences
 * - see the same resamples. A quantity is a matrix of replicates (sn_reps), made by sn_boot_mean from item values and
 * combined replicate by replicate (ratio, difference, root) before intervals are taken.
 *
 * A mean is a mean of frame means: mean over frames f of Σ_{i in f} w_i x_i / Σ_{i in f} w_i. "Frame" is any stratum:
 * for S (half the difference of the means at n = +1 and n = -1) take stratum = (frame, n) and value n·LD; for
 * balanced accuracy, (frame, label). A stratum where all weights are 0, or all values NaN, leaves the mean of that
 * resample (of that cell). Cells: columns, e.g. layer x role, in the caller's order. Results depend on the seed
 * alone, not on threads. */
#ifndef SN_STATS_BOOTSTRAP_H
#define SN_STATS_BOOTSTRAP_H

#include "base/base.h"

typedef struct sn_boot sn_boot;

/* Draws n_boot resamples (0: 2,000) of n_lemma lemmas. has_subject, has_attractor [n_lemma]: whether the lemma occurs
 * in the role (NULL: all / none). Lives in the arena. key keeps different uses of one seed apart. */
SN_CHECKED sn_status sn_boot_open(sn_boot **out, sn_arena *arena, int n_boot, int n_lemma, const bool *has_subject,
                                  const bool *has_attractor, uint64_t seed, uint64_t key);
int sn_boot_count(const sn_boot *boot);
/* Returns the weight of an item with these lemmas in resample b (attractor -1: none), for what must be refitted. */
double sn_boot_weight(const sn_boot *boot, int b, int32_t subject, int32_t attractor);

/* What the n items of one kind are: lemma ids below n_lemma; -1 in attractor or partner: none. partner is the other
 * subject of a placebo pair (drawn among subjects). Either may be NULL. frame in 0 .. n_frame - 1 (NULL: one frame);
 * -1: item unused. */
typedef struct sn_boot_items {
	int64_t n;
	const int32_t *subject, *attractor, *partner;
	int n_frame;
	const int32_t *frame;
} sn_boot_items;

/* Point estimates and their replicates. */
typedef struct sn_reps {
	int n_boot, n_cell;
	double df;       /* subject lemmas behind it, less one: see sn_reps_bands; 0: not known, no correction */
	double *point;   /* [n_cell]; NaN: the cell is not applicable */
	double *rep;     /* [n_boot, n_cell] */
} sn_reps;

/* Replicates of the means of x [n, n_cell] (float32, distance ld between rows, 0: n_cell). NaN: the item has no value
 * in that cell. SN_EARG for an id out of range. About n_boot n n_cell multiplications as GEMMs; uses the context's
 * threads. */
SN_CHECKED sn_status sn_boot_mean(sn_reps *out, sn_arena *arena, const sn_boot *boot, const sn_boot_items *items,
                                  const float *x, int n_cell, int64_t ld);
/* Combine replicate by replicate, point estimates too; results are written over a. b has a's cells, or one cell for
 * all. */
void sn_reps_divide(sn_reps *a, const sn_reps *b);
void sn_reps_add(sn_reps *a, double factor, const sn_reps *b);   /* a + factor b */
void sn_reps_affine(sn_reps *a, double scale, double offset);    /* scale a + offset */
void sn_reps_sqrt(sn_reps *a);                                   /* RMS = sqrt of the mean of squares; below 0: 0 */
void sn_reps_min(sn_reps *a, const sn_reps *b);                  /* the smaller, cell by cell */
SN_CHECKED sn_status sn_reps_copy(sn_reps *out, sn_arena *arena, const sn_reps *a);
/* The cells cell [n_cell] of a, in that order, e.g. those of one role. */
SN_CHECKED sn_status sn_reps_select(sn_reps *out, sn_arena *arena, const sn_reps *a, const int *cell, int n_cell);

/* What is known about one cell. low, high: pointwise interval; sim_low, sim_high: band that holds all cells of the
 * quantity at once. */
typedef struct sn_band {
	double point, se, low, high, sim_low, sim_high;
	bool constant;   /* no variation over resamples: outside the maximum, interval of width 0 - mark it */
	int64_t n_rep;   /* finite replicates; below 90 % of them the interval is NaN */
} sn_band;

/* Intervals for all cells of one quantity at the level (0.95). Pointwise: point ± q se, with q the level's quantile
 * of the cell's own |t| = |replicate - point| / se; simultaneous: with q the quantile of the maximum of |t| over
 * cells. As a bootstrap of few clusters is too sure of itself, se is multiplied by sqrt(L / (L - 1)), L lemmas, and q
 * is moved from the normal distribution to Student's t with L - 1 degrees of freedom at the same tail (without this,
 * bands over 31 cells and 40 lemmas covered 90 % in simulation). max_t (or NULL) receives the moved quantile of the
 * maximum. */
SN_CHECKED sn_status sn_reps_bands(sn_band *out, sn_arena *scratch, const sn_reps *a, double level, double *max_t);
/* Returns the q-quantile of a cell's finite replicates; NaN without any. */
SN_CHECKED sn_status sn_reps_quantile(const sn_reps *a, sn_arena *scratch, int cell, double q, double *out);

/* First layer: the first of two consecutive layers whose estimates exceed delta (cells are layers 0 .. n_cell - 1 of
 * one role; NaN exceeds nothing). *point: for the point estimates, -1: none. share [n_cell + 1]: how often each layer
 * came first over resamples, the last entry: none. Shares sum to 1. */
void sn_reps_first(const sn_reps *a, double delta, int *point, double *share);

#endif
