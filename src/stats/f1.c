#include "stats/f1.h"

#include <math.h>
#include <string.h>

#include "stats/linalg.h"

enum { BLOCK = 64 };

/* Twice the true positives, and the errors (false positives and negatives), of each group by class:
 * [n_group, 2 n_class]. */
static void count(const sn_guesses *g, int cell, int n_group, double *out)
{
	memset(out, 0, (size_t)n_group * 2 * (size_t)g->n_class * sizeof *out);
	for (int64_t i = 0; i < g->n; i++) {
		int32_t y = g->y[i], guess = g->guess[i * g->n_cell + cell];
		double *own = out + (int64_t)g->group[i] * 2 * g->n_class;
		if (guess == y) own[2 * y] += 2;
		if (guess != y) own[2 * y + 1] += 1;
		if (guess != y && guess >= 0) own[2 * guess + 1] += 1;
	}
}

static double f1(const double *sum, int k)
{
	double all = sum[2 * k] + sum[2 * k + 1];
	return all > 0 ? sum[2 * k] / all : NAN;
}

static double macro_of(const double *sum, int n_class)
{
	double total = 0;
	int n = 0;
	for (int k = 0; k < n_class; k++) {
		double own = f1(sum, k);
		if (isnan(own)) continue;
		total += own;
		n++;
	}
	return n ? total / n : NAN;
}

typedef struct work {
	const sn_boot *boot;
	const sn_guesses *g;
	int n_group, threads;
	double *weight, *counts, *sum; /* [BLOCK, n_group]; [n_group, 2 n_class]; [BLOCK, 2 n_class] */
} work;

/* Weighted counts of n resamples from first on; first -1: the sample itself. */
static void sum_counts(const work *w, int cell, int first, int n)
{
	int width = 2 * w->g->n_class;
	for (int b = 0; b < n; b++)
		for (int i = 0; i < w->n_group; i++)
			w->weight[(int64_t)b * w->n_group + i] = first < 0 ? 1 : sn_boot_weight(w->boot, first + b, i, -1);
	count(w->g, cell, w->n_group, w->counts);
	sn_gemm_f64(w->threads, false, false, n, width, w->n_group, 1, w->weight, w->n_group, w->counts, width, 0, w->sum,
				width);
}

static sn_status prepare(work *w, sn_reps *out, sn_arena *arena, int n_cell)
{
	size_t groups = (size_t)w->n_group, width = 2 * (size_t)w->g->n_class;
	*out = (sn_reps){ .n_boot = sn_boot_count(w->boot), .n_cell = n_cell, .df = SN_MAX(w->n_group - 1, 0) };
	SN_NEW(out->point, arena, double, n_cell);
	SN_NEW(out->rep, arena, double, sn_size3((size_t)out->n_boot, (size_t)n_cell, 1));
	SN_NEW(w->weight, arena, double, sn_size3(BLOCK, groups, 1));
	SN_NEW(w->counts, arena, double, sn_size3(groups, width, 1));
	SN_NEW(w->sum, arena, double, sn_size3(BLOCK, width, 1));
	return SN_OK;
}

sn_status sn_boot_macro_f1(sn_reps *macro, sn_arena *arena, const sn_boot *boot, int n_group, const sn_guesses *g)
{
	work w = { boot, g, n_group, sn_ctx_threads(sn_arena_ctx(arena)), NULL, NULL, NULL };
	int width = 2 * g->n_class;
	SN_TRY(prepare(&w, macro, arena, g->n_cell));
	for (int c = 0; c < g->n_cell; c++) {
		sum_counts(&w, c, -1, 1);
		macro->point[c] = macro_of(w.sum, g->n_class);
		for (int first = 0; first < macro->n_boot; first += BLOCK) {
			int n = SN_MIN(BLOCK, macro->n_boot - first);
			sum_counts(&w, c, first, n);
			for (int b = 0; b < n; b++)
				macro->rep[(int64_t)(first + b) * g->n_cell + c] = macro_of(w.sum + b * width, g->n_class);
		}
	}
	return SN_OK;
}

sn_status sn_boot_class_f1(sn_reps *by_class, sn_arena *arena, const sn_boot *boot, int n_group, const sn_guesses *g,
						   int cell)
{
	work w = { boot, g, n_group, sn_ctx_threads(sn_arena_ctx(arena)), NULL, NULL, NULL };
	int width = 2 * g->n_class;
	SN_TRY(prepare(&w, by_class, arena, g->n_class));
	sum_counts(&w, cell, -1, 1);
	for (int k = 0; k < g->n_class; k++) by_class->point[k] = f1(w.sum, k);
	for (int first = 0; first < by_class->n_boot; first += BLOCK) {
		int n = SN_MIN(BLOCK, by_class->n_boot - first);
		sum_counts(&w, cell, first, n);
		for (int b = 0; b < n; b++)
			for (int k = 0; k < g->n_class; k++)
				by_class->rep[(int64_t)(first + b) * g->n_class + k] = f1(w.sum + b * width, k);
	}
	return SN_OK;
}
