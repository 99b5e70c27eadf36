#include "stats/distance.h"

#include <math.h>

double sn_total_variation(const double *p, const double *q, int64_t n)
{
	double sum = 0;
	for (int64_t i = 0; i < n; i++) sum += fabs(p[i] - q[i]);
	return sum / 2;
}

double sn_jensen_shannon(const double *p, const double *q, int64_t n)
{
	double sum = 0;
	for (int64_t i = 0; i < n; i++) {
		double m = (p[i] + q[i]) / 2;
		if (p[i] > 0) sum += p[i] * log(p[i] / m) / 2;
		if (q[i] > 0) sum += q[i] * log(q[i] / m) / 2;
	}
	return fmax(sum, 0);
}

double sn_distribution_bits(const double *p, int64_t n)
{
	double sum = 0;
	for (int64_t i = 0; i < n; i++)
		if (p[i] > 0) sum -= p[i] * log2(p[i]);
	return sum;
}
