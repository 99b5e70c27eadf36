/* DeepLIFT's multipliers (Shrikumar et al. 2017), each of which makes the change of one operation between a reference
 * and an input exact: sum over inputs of multiplier times change = change of the output. Beyond the paper's rescale
 * rule, for one input at a time, identities that hold for several at once:
 *   D(a b)      = mean(b) Da + mean(a) Db
 *   D softmax_i = L_i (Dx_i - sum L_k Dx_k / sum L_k), L_i the logarithmic mean of the two probabilities: it is
 *                 D exp(log p) = L D log p, and the changes of all probabilities sum to 0
 *   D(c / s)    = (Dc - mean(c / s) Ds) / mean(s),  s = sqrt(mean(c^2) + eps): Ds = sum mean(c) Dc / (d mean(s)).
 * All stay bounded where the reference is far away, and are derivatives where it is the input. */
#include "model/back.h"

#include <math.h>

void sn_reference_slots(const sn_pass *p)
{
	for (int32_t i = 0; p->back->reference && i < p->n_row; i++) {
		int32_t row = p->row[i], other = sn_reference_of(p, row), n = sn_row_length(p->batch, row);
		for (int32_t pos = p->now.from[row]; p->now.off[row] >= 0 && pos < n; pos++)
			p->back->reference[sn_slot(p, &p->now, row, pos)] = sn_slot(p, &p->now, other, pos);
	}
}

/* ---- activations ---- */

static double value_of(double x, sn_act act)
{
	switch (act) {
	case SN_ACT_SILU: return x / (1 + exp(-x));
	case SN_ACT_GELU: return 0.5 * x * (1 + erf(x * 0.70710678118654752));
	case SN_ACT_GELU_TANH: return x / (1 + exp(-1.59576912160573071 * (x + 0.044715 * x * x * x)));
	case SN_ACT_RELU: return x > 0 ? x : 0;
	case SN_ACT_TANH: return tanh(x);
	case SN_ACT_NONE: case SN_ACTS: break;
	}
	return x;
}

/* Where both are almost one number, its slope between them, by a difference no narrower than double allows. */
static double slope_of(double x, double x0, sn_act act)
{
	double least = 1e-4, middle = 0.5 * (x + x0);
	if (act == SN_ACT_RELU && x == x0) return x > 0 ? 1 : 0;
	if (act == SN_ACT_RELU || fabs(x - x0) >= least) return (value_of(x, act) - value_of(x0, act)) / (x - x0);
	return (value_of(middle + 0.5 * least, act) - value_of(middle - 0.5 * least, act)) / least;
}

void sn_rescale_activation(float *dx, float *dtimes, const float *const x[2], const float *const times[2],
                           const float *dy, int64_t n, sn_act act)
{
	for (int64_t j = 0; j < n; j++) {
		float d = dy[j];
		if (dtimes) dtimes[j] = d * (float)(0.5 * (value_of(x[0][j], act) + value_of(x[1][j], act)));
		dx[j] = d * (float)slope_of(x[0][j], x[1][j], act) * (dtimes ? 0.5f * (times[0][j] + times[1][j]) : 1);
	}
}

double sn_rescale_softcap(double x, double x0, double cap) { return slope_of(x / cap, x0 / cap, SN_ACT_TANH); }

/* ---- softmax ---- */

/* (e^a - e^b) / (a - b) */
static double logarithmic_mean(double a, double b)
{
	double high = fmax(a, b), low = fmin(a, b), d = high - low;
	if (low == -INFINITY) return 0;
	return d < 1e-6 ? exp(high) * (1 - 0.5 * d) : exp(high) * -expm1(-d) / d;
}

static double log_of_sum(const float *x, int64_t n)
{
	double most = -INFINITY, sum = 0;
	for (int64_t j = 0; j < n; j++) most = fmax(most, x[j]);
	for (int64_t j = 0; j < n; j++) sum += exp(x[j] - most);
	return most + log(sum);
}

double sn_rescale_softmax(float *w, const float *x, const float *x0, int64_t n)
{
	double all = log_of_sum(x, n), all0 = log_of_sum(x0, n), sum = 0;
	for (int64_t j = 0; j < n; j++) sum += logarithmic_mean(x[j] - all, x0[j] - all0);
	for (int64_t j = 0; j < n; j++) w[j] = (float)(logarithmic_mean(x[j] - all, x0[j] - all0) / sum);
	return sum;
}

/* ---- norms ---- */

static double centred_at(const sn_rescaled_norm *r, int which, int64_t j)
{
	return (double)r->x[which][j] - r->mean[which];
}

float sn_rescale_scale(const sn_rescaled_norm *r, const float *dn, int64_t d)
{
	double sum = 0;
	for (int64_t j = 0; j < d; j++)
		sum += dn[j] * 0.5 * (centred_at(r, 0, j) / r->scale[0] + centred_at(r, 1, j) / r->scale[1]);
	return (float)(-sum / (0.5 * ((double)r->scale[0] + r->scale[1])));
}

void sn_rescale_norm(const sn_rescaled_norm *r, float *dn, int64_t d, float dscale, const float computed[2],
                     bool centred)
{
	double over = 2 / ((double)r->scale[0] + r->scale[1]), sum = 0;
	double pull = 2 * dscale / ((double)d * ((double)computed[0] + computed[1]));
	for (int64_t j = 0; j < d; j++)
		sum += dn[j] = (float)(dn[j] * over + pull * 0.5 * (centred_at(r, 0, j) + centred_at(r, 1, j)));
	for (int64_t j = 0; centred && j < d; j++) dn[j] -= (float)(sum / (double)d);
}
