#include "stats/mixture.h"

#include <math.h>
#include <string.h>

enum { MOST_STEPS = 500, MOST_COLUMNS = 1024 };

/* One step: new weights into next [k]; returns the mean log under s. */
static double step(double *next, const double *s, int k, const float *p, int64_t n, int ld, const double *weight)
{
	double sum = 0, total = 0;
	memset(next, 0, (size_t)k * sizeof *next);
	for (int64_t i = 0; i < n; i++) {
		double w = weight ? weight[i] : 1, mixed = 0;
		if (w == 0) continue;
		for (int l = 0; l < k; l++) mixed += s[l] * p[i * ld + l];
		for (int l = 0; l < k; l++) next[l] += w * s[l] * p[i * ld + l] / mixed;
		sum += w * log(mixed);
		total += w;
	}
	for (int l = 0; l < k && total > 0; l++) next[l] /= total;
	return total > 0 ? sum / total : NAN;
}

double sn_mixture_fit(double *s, int k, const float *p, int64_t n, int ld, const double *weight)
{
	double next[MOST_COLUMNS], last = -INFINITY, now = NAN;
	SN_ASSERT(k >= 1 && k <= MOST_COLUMNS && k <= ld);
	for (int l = 0; l < k; l++) s[l] = 1.0 / k;
	for (int it = 0; it < MOST_STEPS; it++) {
		now = step(next, s, k, p, n, ld, weight);
		if (!(now > last + 1e-7)) break;
		memcpy(s, next, (size_t)k * sizeof *s);
		last = now;
	}
	return now;
}

double sn_expected_layer(const double *score, const double *at, int k)
{
	double sum = 0, rise = score[k - 1] - score[0];
	for (int l = 1; l < k; l++) sum += at[l] * (score[l] - score[l - 1]);
	return rise > 0 ? sum / rise : NAN;
}
