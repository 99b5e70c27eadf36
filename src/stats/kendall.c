#include "stats/kendall.h"

#include "stats/metrics.h"

#include <math.h>

enum { MOST_EXACT = 33 };

/* Pairs by order: con - dis; those tied in x, in y. */
typedef struct pairs { int64_t con, dis, tied_x, tied_y, all; } pairs;

static pairs count_pairs(const double *x, const double *y, int n)
{
	pairs p = { .all = (int64_t)n * (n - 1) / 2 };
	for (int i = 0; i < n; i++)
		for (int j = 0; j < i; j++) {
			int a = (x[i] > x[j]) - (x[i] < x[j]), b = (y[i] > y[j]) - (y[i] < y[j]);
			p.con += a * b > 0;
			p.dis += a * b < 0;
			p.tied_x += a == 0;
			p.tied_y += b == 0;
		}
	return p;
}

/* Share of permutations of n that have at most `most` inversions, doubled. A permutation of k has as many inversions
 * as one of k - 1 and up to k - 1 more. */
static sn_status exact(sn_arena *scratch, int n, int64_t most, double *p)
{
	double *share, *next;
	SN_NEW(share, scratch, double, most + 1);
	SN_NEW(next, scratch, double, most + 1);
	share[0] = 1;
	for (int k = 2; k <= n; k++) {
		double window = 0;
		for (int64_t i = 0; i <= most; i++) {
			window += share[i] - (i >= k ? share[i - k] : 0);
			next[i] = window / k;
		}
		for (int64_t i = 0; i <= most; i++) share[i] = next[i];
	}
	*p = 0;
	for (int64_t i = 0; i <= most; i++) *p += 2 * share[i];
	return SN_OK;
}

/* Sums over groups of equal values: t (t - 1) (t - 2) and t (t - 1) (2 t + 5). */
static void ties(const double *x, int n, double *third, double *fifth)
{
	*third = *fifth = 0;
	for (int i = 0; i < n; i++) {
		double t = 0;
		for (int j = 0; j < n; j++) t += x[j] == x[i];
		*third += (t - 1) * (t - 2);   /* each member of a group adds its share */
		*fifth += (t - 1) * (2 * t + 5);
	}
}

/* Kendall 1970; the variance of con - dis as SciPy has it. */
static double asymptotic(const pairs *p, const double *x, const double *y, int n)
{
	double x3, x5, y3, y5, m = (double)n * (n - 1);
	ties(x, n, &x3, &x5);
	ties(y, n, &y3, &y5);
	double variance = (m * (2 * n + 5) - x5 - y5) / 18 + 2 * (double)p->tied_x * (double)p->tied_y / m;
	if (n > 2) variance += x3 * y3 / (9 * m * (n - 2));
	return 2 * sn_normal_cdf(-fabs((double)(p->con - p->dis)) / sqrt(variance));
}

sn_status sn_kendall_tau(sn_kendall *out, sn_arena *scratch, const double *x, const double *y, int n)
{
	pairs p = count_pairs(x, y, n);
	*out = (sn_kendall){ NAN, NAN };
	if (n < 2 || p.tied_x == p.all || p.tied_y == p.all) return SN_OK;
	out->tau = (double)(p.con - p.dis) / sqrt((double)(p.all - p.tied_x)) / sqrt((double)(p.all - p.tied_y));
	if (p.tied_x || p.tied_y || n > MOST_EXACT) {
		out->p = asymptotic(&p, x, y, n);
		return SN_OK;
	}
	SN_TRY(exact(scratch, n, SN_MIN(p.dis, p.con), &out->p));
	if (p.con == p.dis) out->p = 1;
	out->p = fmin(out->p, 1);
	return SN_OK;
}
