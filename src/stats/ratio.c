#include "stats/ratio.h"

#include "stats/metrics.h"

#include <math.h>

static bool counts(const double *num, const double *den, int64_t i) { return !isnan(num[i]) && (!den || den[i] != 0); }

sn_ratio sn_ratio_of(const double *num, const double *den, int64_t n, int64_t stride, double level)
{
	double above = 0, below = 0, square = 0, used = 0;
	for (int64_t i = 0; i < n * stride; i += stride) {
		if (!counts(num, den, i)) continue;
		above += num[i];
		below += den ? den[i] : 1;
		used++;
	}
	sn_ratio r = { below != 0 ? above / below : NAN, NAN, NAN };
	for (int64_t i = 0; i < n * stride; i += stride) {
		if (!counts(num, den, i)) continue;
		double rest = num[i] - r.value * (den ? den[i] : 1);
		square += rest * rest;
	}
	if (used < 2 || isnan(r.value)) return r;
	double half = sn_t_quantile((1 + level) / 2, used - 1) * sqrt(used / (used - 1) * square) / fabs(below);
	r.low = r.value - half;
	r.high = r.value + half;
	return r;
}

sn_ratio sn_ratio_within(sn_ratio r, double low, double high)
{
	if (r.low < low) r.low = low;
	if (r.high > high) r.high = high;
	return r;
}
