/* Replicates: combining them, and what intervals they give. */
#include "stats/bootstrap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stats/metrics.h"

/* Applies one expression in (u, v) to every number of a and the matching one of b: u is a's, v is b's. */
#define COMBINE(a, b, expression)                                                                                      \
	do {                                                                                                               \
		int wide = (b)->n_cell == 1 ? 0 : 1;                                                                           \
		SN_ASSERT((b)->n_boot == (a)->n_boot && (wide == 0 || (b)->n_cell == (a)->n_cell));                            \
		(a)->df = SN_MIN((a)->df, (b)->df);                                                                            \
		for (int c = 0; c < (a)->n_cell; c++) {                                                                        \
			double u = (a)->point[c], v = (b)->point[wide * c];                                                        \
			(a)->point[c] = (expression);                                                                              \
		}                                                                                                              \
		for (int64_t r = 0; r < (a)->n_boot; r++)                                                                      \
			for (int c = 0; c < (a)->n_cell; c++) {                                                                    \
				double u = (a)->rep[r * (a)->n_cell + c], v = (b)->rep[r * (b)->n_cell + wide * c];                    \
				(a)->rep[r * (a)->n_cell + c] = (expression);                                                          \
			}                                                                                                          \
	} while (0)

void sn_reps_divide(sn_reps *a, const sn_reps *b) { COMBINE(a, b, u / v); }

void sn_reps_add(sn_reps *a, double factor, const sn_reps *b) { COMBINE(a, b, u + factor * v); }

void sn_reps_min(sn_reps *a, const sn_reps *b) { COMBINE(a, b, u < v || isnan(u) ? u : v); }

void sn_reps_affine(sn_reps *a, double scale, double offset)
{
	for (int c = 0; c < a->n_cell; c++) a->point[c] = scale * a->point[c] + offset;
	for (int64_t i = 0; i < (int64_t)a->n_boot * a->n_cell; i++) a->rep[i] = scale * a->rep[i] + offset;
}

static double root(double x) { return x < 0 ? 0 : sqrt(x); }

void sn_reps_sqrt(sn_reps *a)
{
	for (int c = 0; c < a->n_cell; c++) a->point[c] = root(a->point[c]);
	for (int64_t i = 0; i < (int64_t)a->n_boot * a->n_cell; i++) a->rep[i] = root(a->rep[i]);
}

sn_status sn_reps_select(sn_reps *out, sn_arena *arena, const sn_reps *a, const int *cell, int n_cell)
{
	*out = (sn_reps){ .n_boot = a->n_boot, .n_cell = n_cell, .df = a->df };
	for (int c = 0; c < n_cell; c++)
		if (cell[c] < 0 || cell[c] >= a->n_cell)
			return sn_fail(sn_arena_ctx(arena), SN_EARG, "replicates: cell %d of %d", cell[c], a->n_cell);
	SN_NEW(out->point, arena, double, n_cell);
	SN_NEW(out->rep, arena, double, sn_size3((size_t)a->n_boot, (size_t)n_cell, 1));
	for (int c = 0; c < n_cell; c++) {
		out->point[c] = a->point[cell[c]];
		for (int64_t r = 0; r < a->n_boot; r++) out->rep[r * n_cell + c] = a->rep[r * a->n_cell + cell[c]];
	}
	return SN_OK;
}

sn_status sn_reps_copy(sn_reps *out, sn_arena *arena, const sn_reps *a)
{
	*out = (sn_reps){ .n_boot = a->n_boot, .n_cell = a->n_cell, .df = a->df };
	size_t size = sn_size3((size_t)a->n_boot, (size_t)a->n_cell, 1);
	SN_NEW(out->point, arena, double, a->n_cell);
	SN_NEW(out->rep, arena, double, size);
	memcpy(out->point, a->point, (size_t)a->n_cell * sizeof *out->point);
	memcpy(out->rep, a->rep, size * sizeof *out->rep);
	return SN_OK;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Standard error of a cell over its finite replicates; marks cells without variation. */
static void measure(sn_band *band, const sn_reps *a, int cell)
{
	double mean = 0, square = 0;
	int64_t n = 0;
	for (int64_t r = 0; r < a->n_boot; r++) {
		double x = a->rep[r * a->n_cell + cell];
		if (!isfinite(x)) continue;
		n++;
		double delta = x - mean; /* Welford */
		mean += delta / (double)n;
		square += delta * (x - mean);
	}
	*band = (sn_band){ .point = a->point[cell], .n_rep = n, .se = n > 1 ? sqrt(square / (double)(n - 1)) : NAN };
	if (a->df > 0) band->se *= sqrt((a->df + 1) / a->df);
	band->constant = n > 1 && band->se <= 1e-9 * fmax(fabs(mean), 1e-3);
}

static bool usable(const sn_band *band, const sn_reps *a)
{
	return !isnan(band->point) && (double)band->n_rep >= 0.9 * a->n_boot;
}

/* Deviation of a replicate in its own standard errors, which are the band's before the correction for few clusters. */
static double t_of(const sn_band *band, const sn_reps *a, int64_t r, int cell)
{
	double se = a->df > 0 ? band->se / sqrt((a->df + 1) / a->df) : band->se;
	return fabs(a->rep[r * a->n_cell + cell] - band->point) / se;
}

/* The quantile of |t| among few clusters that has the tail of q among many. */
static double small_sample(double q, double df)
{
	double tail = sn_normal_cdf(-q);
	return df > 0 && tail > 0 && tail < 0.5 ? -sn_t_quantile(tail, df) : q;
}

/* The level's quantile of |t| in one cell; t: scratch [n_boot]. */
static double own_quantile(const sn_band *band, const sn_reps *a, int cell, double level, double *t)
{
	int64_t n = 0;
	for (int64_t r = 0; r < a->n_boot; r++) {
		double value = t_of(band, a, r, cell);
		if (isfinite(value)) t[n++] = value;
	}
	qsort(t, (size_t)n, sizeof *t, ascending);
	return small_sample(sn_quantile_sorted(t, n, level), a->df);
}

/* The level's quantile of the largest |t| over the cells that vary. */
static double joint_quantile(const sn_band *band, const sn_reps *a, double level, double *t)
{
	int64_t n = 0;
	for (int64_t r = 0; r < a->n_boot; r++) {
		double most = -1;
		for (int c = 0; c < a->n_cell; c++) {
			double value = usable(&band[c], a) && !band[c].constant ? t_of(&band[c], a, r, c) : -1;
			if (isfinite(value) && value > most) most = value;
		}
		if (most >= 0) t[n++] = most;
	}
	qsort(t, (size_t)n, sizeof *t, ascending);
	return small_sample(sn_quantile_sorted(t, n, level), a->df);
}

sn_status sn_reps_bands(sn_band *out, sn_arena *scratch, const sn_reps *a, double level, double *max_t)
{
	if (!(level > 0 && level < 1))
		return sn_fail(sn_arena_ctx(scratch), SN_EARG, "confidence level %g: expected 0 to 1", level);
	sn_mark mark = sn_arena_mark(scratch);
	double *t;
	SN_NEW(t, scratch, double, a->n_boot);
	for (int c = 0; c < a->n_cell; c++) measure(&out[c], a, c);
	double joint = joint_quantile(out, a, level, t);
	for (int c = 0; c < a->n_cell; c++) {
		sn_band *b = &out[c];
		double half = NAN, wide = NAN;
		if (usable(b, a)) {
			half = b->constant ? 0 : b->se * own_quantile(b, a, c, level, t);
			wide = b->constant ? 0 : b->se * fmax(joint, half / b->se);
		}
		b->low = b->point - half;
		b->high = b->point + half;
		b->sim_low = b->point - wide;
		b->sim_high = b->point + wide;
	}
	if (max_t) *max_t = joint;
	sn_arena_reset(scratch, mark);
	return SN_OK;
}

sn_status sn_reps_quantile(const sn_reps *a, sn_arena *scratch, int cell, double q, double *out)
{
	sn_mark mark = sn_arena_mark(scratch);
	double *x;
	SN_NEW(x, scratch, double, a->n_boot);
	int64_t n = 0;
	for (int64_t r = 0; r < a->n_boot; r++) {
		double value = a->rep[r * a->n_cell + cell];
		if (isfinite(value)) x[n++] = value;
	}
	qsort(x, (size_t)n, sizeof *x, ascending);
	*out = sn_quantile_sorted(x, n, q);
	sn_arena_reset(scratch, mark);
	return SN_OK;
}

static int first_of(const double *x, int n, double delta)
{
	for (int l = 0; l + 1 < n; l++)
		if (x[l] > delta && x[l + 1] > delta) return l;
	return -1;
}

void sn_reps_first(const sn_reps *a, double delta, int *point, double *share)
{
	*point = first_of(a->point, a->n_cell, delta);
	memset(share, 0, (size_t)(a->n_cell + 1) * sizeof *share);
	for (int64_t r = 0; r < a->n_boot; r++) {
		int first = first_of(a->rep + r * a->n_cell, a->n_cell, delta);
		share[first < 0 ? a->n_cell : first] += 1.0 / a->n_boot;
	}
}
