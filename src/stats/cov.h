/* First and second moments of activations x (and of labels z beside them), taken in one pass, in double.
 *
 * Everything here is additive: rows may come in any number of chunks, and two accumulators over disjoint rows merge
 * into that of their union (Chan, Golub & LeVeque 1983). Chunk borders change results by rounding only; threads not
 * at all. */
#ifndef SN_STATS_COV_H
#define SN_STATS_COV_H

#include "base/base.h"

/* float32 rows [n, d] with distance ld between rows (0: d). weight [n] >= 0, or NULL: all 1. A row of weight 0 is
 * ignored (its numbers may be anything). */
typedef struct sn_rows {
	const float *x;
	int64_t n, d, ld;
	const double *weight;
	const sn_arena *home; /* of x where that may be paged: whoever goes through the rows tells it; NULL: no one */
} sn_rows;

enum { SN_PASSED_ROWS = 512 };
/* Called after each row i in turn (-1: none yet): hands rows that were gone through back to a paged home,
 * some hundred at once. */
void sn_rows_passed(const sn_rows *rows, int64_t i);

/* SN_EARG for a weight that is negative or not finite, SN_ENUMERIC for such a number in a row of weight > 0; both
 * name the row. */
SN_CHECKED sn_status sn_rows_check(sn_ctx *ctx, const sn_rows *rows);

/* Invariants: sums of centred products, e.g. sxz = Σ w (x - mean_x)(z - mean_z)'. Divide by weight for covariances. */
typedef struct sn_cov {
	int64_t d, k;            /* widths of x and z; k may be 0 */
	int64_t n;               /* rows with weight > 0 */
	double weight;           /* Σ w */
	double *mean_x, *mean_z; /* [d], [k] */
	double *sxx;             /* [d, d], full and symmetric; NULL when not wanted */
	double *sxz;             /* [d, k] */
	double *szz;             /* [k, k] */
} sn_cov;

/* Makes an empty accumulator of (d, k) in the arena; with_xx: also the d x d products (8 d² bytes). */
SN_CHECKED sn_status sn_cov_init(sn_cov *out, sn_arena *arena, int64_t d, int64_t k, bool with_xx);
/* Adds rows and their labels z [rows->n, k] (NULL if k is 0). Uses the context's threads. SN_ENUMERIC names the first
 * row with a number that is not finite; nothing is added then. n d² multiplications. */
SN_CHECKED sn_status sn_cov_add(sn_cov *m, sn_arena *scratch, const sn_rows *rows, const double *z);
/* Adds all of other's rows; SN_ESHAPE when the shapes differ. */
SN_CHECKED sn_status sn_cov_merge(sn_cov *m, sn_arena *scratch, const sn_cov *other);

/* Column means and standard deviations, the features' common scale for a probe. Columns without variation (standard
 * deviation below 1e-7 of the largest |x| there, i.e. rounding of float32) have sd 0 and inv_sd 0: standardised, they
 * are 0 everywhere. */
typedef struct sn_standard {
	int64_t d, n_constant;
	double *mean, *sd, *inv_sd;   /* [d]; sd divides by Σ w, as scikit-learn's StandardScaler */
} sn_standard;

/* Fits on the rows of weight > 0 (call it on training rows only). SN_EARG without such rows, SN_ENUMERIC for NaN. */
SN_CHECKED sn_status sn_standard_fit(sn_standard *out, sn_arena *arena, const sn_rows *rows);
/* The same into arrays that s has already, rows taken as finite; false without a row of weight > 0. */
SN_CHECKED bool sn_standard_measure(sn_standard *s, const sn_rows *rows);
/* Writes the standardised rows, float32 [n, d] dense (ld 0: d); out may be rows->x when that is dense. */
void sn_standard_apply(const sn_standard *s, const float *x, int64_t n, int64_t ld, float *out);

#endif
