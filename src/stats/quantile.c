/* Normal and Student t distributions, and Wilson's interval. */
#include "stats/metrics.h"

#include <float.h>
#include <math.h>

double sn_normal_cdf(double x) { return erfc(-x / sqrt(2)) / 2; }

/* Halley's method on the lower tail, whose relative accuracy erfc keeps, from its leading asymptotics. */
double sn_normal_quantile(double p)
{
	if (!(p > 0 && p < 1)) return p == 0 ? -INFINITY : p == 1 ? INFINITY : NAN;
	double q = SN_MIN(p, 1 - p), x = -sqrt(SN_MAX(-2 * log(2 * q), 0));
	for (int it = 0; it < 50; it++) {
		double density = exp(-x * x / 2) / sqrt(2 * acos(-1.0)), error = (sn_normal_cdf(x) - q) / density;
		double step = error / (1 + error * x / 2);
		x -= step;
		if (fabs(step) <= 1e-15 * fabs(x)) break;
	}
	return p < 0.5 ? x : -x;
}

/* Continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method. */
static double beta_fraction(double x, double a, double b)
{
	const double tiny = 1e-300;
	double c = 1, d = 1 - (a + b) * x / (a + 1);
	d = 1 / (fabs(d) < tiny ? tiny : d);
	double value = d;
	for (int m = 1; m < 10000; m++) {
		for (int odd = 0; odd <= 1; odd++) {
			double k = odd ? -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
						   : m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
			d = 1 + k * d;
			c = 1 + k / c;
			d = 1 / (fabs(d) < tiny ? tiny : d);
			c = fabs(c) < tiny ? tiny : c;
			value *= c * d;
		}
		if (fabs(c * d - 1) < DBL_EPSILON) break;
	}
	return value;
}

/* I_x(a, b); y = 1 - x is given apart so that neither end loses digits. */
static double incomplete_beta(double x, double y, double a, double b)
{
	if (x <= 0) return 0;
	if (y <= 0) return 1;
	double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(y));
	if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(x, a, b) / a;
	return 1 - front * beta_fraction(y, b, a) / b;
}

double sn_t_cdf(double t, double df)
{
	double x = df / (df + t * t), tail = incomplete_beta(x, t * t / (df + t * t), df / 2, 0.5) / 2;
	return t < 0 ? tail : 1 - tail;
}

static double t_density(double t, double df)
{
	return exp(lgamma((df + 1) / 2) - lgamma(df / 2) - (df + 1) / 2 * log1p(t * t / df)) / sqrt(df * acos(-1.0));
}

/* Newton on the lower tail inside a bracket, which is widened first since tails are heavy for small df. */
double sn_t_quantile(double p, double df)
{
	if (!(p > 0 && p < 1 && df > 0)) return NAN;
	double q = SN_MIN(p, 1 - p), low = -1, high = 0;
	while (sn_t_cdf(low, df) > q && low > -1e300) {
		high = low;
		low *= 2;
	}
	double t = SN_MIN(SN_MAX(sn_normal_quantile(q), low), high);
	for (int it = 0; it < 200; it++) {
		double error = sn_t_cdf(t, df) - q, next;
		*(error > 0 ? &high : &low) = t;
		next = t - error / t_density(t, df);
		if (!(next > low && next < high)) next = low + (high - low) / 2;
		if (fabs(next - t) <= 1e-14 * fabs(t)) break;
		t = next;
	}
	return p < 0.5 ? t : -t;
}

sn_interval sn_wilson(double share, double n, double level)
{
	if (!(n > 0)) return (sn_interval){ NAN, NAN };
	double z = sn_normal_quantile((1 + level) / 2), z2 = z * z / n, centre = share + z2 / 2,
		   half = z * sqrt(share * (1 - share) / n + z2 / (4 * n));
	return (sn_interval){ SN_MAX((centre - half) / (1 + z2), 0), SN_MIN((centre + half) / (1 + z2), 1) };
}
