#include "stats/metrics.h"

#include <math.h>
#include <stdlib.h>

static double weight_of(const double *weight, int64_t i) { return weight ? weight[i] : 1; }

double sn_cross_entropy_bits(const double *bits, const double *weight, int64_t n)
{
	double sum = 0, total = 0;
	for (int64_t i = 0; i < n; i++) {
		if (isnan(bits[i])) continue;
		sum -= weight_of(weight, i) * bits[i];
		total += weight_of(weight, i);
	}
	return total > 0 ? sum / total : NAN;
}

double sn_entropy_bits(const double *class_weight, int n_class)
{
	double total = 0, sum = 0;
	for (int k = 0; k < n_class; k++) total += class_weight[k];
	for (int k = 0; k < n_class; k++)
		if (class_weight[k] > 0) sum -= class_weight[k] / total * log2(class_weight[k] / total);
	return total > 0 ? sum : NAN;
}

sn_confusion sn_confuse(const double *score, const int8_t *z, const double *weight, int64_t n, double threshold)
{
	sn_confusion c = { 0 };
	for (int64_t i = 0; i < n; i++) {
		if (z[i] == 0 || isnan(score[i])) continue;
		bool yes = score[i] > threshold;
		*(z[i] > 0 ? (yes ? &c.tp : &c.fn) : (yes ? &c.fp : &c.tn)) += weight_of(weight, i);
	}
	return c;
}

double sn_accuracy(const sn_confusion *c)
{
	double total = c->tp + c->fn + c->fp + c->tn;
	return total > 0 ? (c->tp + c->tn) / total : NAN;
}

double sn_balanced_accuracy(const sn_confusion *c)
{
	double yes = c->tp + c->fn, no = c->fp + c->tn;
	return yes > 0 && no > 0 ? (c->tp / yes + c->tn / no) / 2 : NAN;
}

double sn_mcc(const sn_confusion *c)
{
	double product = (c->tp + c->fp) * (c->tp + c->fn) * (c->tn + c->fp) * (c->tn + c->fn);
	return product > 0 ? (c->tp * c->tn - c->fp * c->fn) / sqrt(product) : NAN;
}

void sn_clustered_add(sn_clustered *c, double sum, double count)
{
	c->n += count > 0;
	c->sum += sum;
	c->count += count;
	c->sum2 += sum * sum;
	c->cross += sum * count;
	c->count2 += count * count;
}

double sn_clustered_mean(const sn_clustered *c) { return c->count > 0 ? c->sum / c->count : NAN; }

sn_interval sn_clustered_interval(const sn_clustered *c, double level)
{
	if (c->n < 2) return (sn_interval){ NAN, NAN };
	double mean = c->sum / c->count, square = c->sum2 - 2 * mean * c->cross + mean * mean * c->count2;
	double half = sn_t_quantile((1 + level) / 2, c->n - 1) * sqrt(c->n / (c->n - 1) * fmax(square, 0)) / c->count;
	return (sn_interval){ mean - half, mean + half };
}

sn_interval sn_interval_within(sn_interval i, double least, double most)
{
	if (isnan(i.low) || isnan(i.high)) return i;
	return (sn_interval){ fmin(fmax(i.low, least), most), fmin(fmax(i.high, least), most) };
}

/* A value and where it came from, for sorting. */
typedef struct ranked {
	double value;
	int64_t from;
} ranked;

static int by_value(const void *a, const void *b)
{
	double x = ((const ranked *)a)->value, y = ((const ranked *)b)->value;
	return (x > y) - (x < y);
}

sn_status sn_roc_auc(sn_arena *scratch, const double *score, const int8_t *z, const double *weight, int64_t n,
					 double *auc)
{
	sn_mark mark = sn_arena_mark(scratch);
	ranked *r;
	SN_NEW(r, scratch, ranked, n);
	int64_t m = 0;
	for (int64_t i = 0; i < n; i++)
		if (z[i] && !isnan(score[i])) r[m++] = (ranked){ score[i], i };
	qsort(r, (size_t)m, sizeof *r, by_value);
	double yes = 0, no = 0, wins = 0;
	for (int64_t i = 0; i < m;) {
		double tied_yes = 0, tied_no = 0;
		int64_t first = i;
		for (; i < m && r[i].value <= r[first].value; i++)
			*(z[r[i].from] > 0 ? &tied_yes : &tied_no) += weight_of(weight, r[i].from);
		wins += tied_yes * (no + tied_no / 2);
		yes += tied_yes;
		no += tied_no;
	}
	*auc = yes > 0 && no > 0 ? wins / (yes * no) : NAN;
	sn_arena_reset(scratch, mark);
	return SN_OK;
}

sn_status sn_ranks(sn_arena *scratch, const double *x, int64_t n, double *rank)
{
	sn_mark mark = sn_arena_mark(scratch);
	ranked *r;
	SN_NEW(r, scratch, ranked, n);
	for (int64_t i = 0; i < n; i++) r[i] = (ranked){ x[i], i };
	qsort(r, (size_t)n, sizeof *r, by_value);
	for (int64_t i = 0; i < n;) {
		int64_t first = i;
		while (i < n && r[i].value <= r[first].value) i++;
		for (int64_t j = first; j < i; j++) rank[r[j].from] = (double)(first + i + 1) / 2;
	}
	sn_arena_reset(scratch, mark);
	return SN_OK;
}

double sn_pearson(const double *x, const double *y, int64_t n)
{
	double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
	for (int64_t i = 0; i < n; i++) {
		mx += x[i] / (double)n;
		my += y[i] / (double)n;
	}
	for (int64_t i = 0; i < n; i++) {
		xx += (x[i] - mx) * (x[i] - mx);
		yy += (y[i] - my) * (y[i] - my);
		xy += (x[i] - mx) * (y[i] - my);
	}
	return n > 1 && xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : NAN;
}

sn_status sn_spearman(sn_arena *scratch, const double *x, const double *y, int64_t n, double *rho)
{
	sn_mark mark = sn_arena_mark(scratch);
	double *rx, *ry;
	SN_NEW(rx, scratch, double, n);
	SN_NEW(ry, scratch, double, n);
	SN_TRY(sn_ranks(scratch, x, n, rx));
	SN_TRY(sn_ranks(scratch, y, n, ry));
	*rho = sn_pearson(rx, ry, n);
	sn_arena_reset(scratch, mark);
	return SN_OK;
}

double sn_quantile_sorted(const double *sorted, int64_t n, double q)
{
	if (n < 1) return NAN;
	double at = q * (double)(n - 1);
	int64_t below = SN_MIN(SN_MAX((int64_t)floor(at), 0), n - 1), above = SN_MIN(below + 1, n - 1);
	return sorted[below] + (at - (double)below) * (sorted[above] - sorted[below]);
}

int sn_likeliest(const float *score, int n)
{
	int best = 0;
	for (int k = 1; k < n; k++)
		if (score[k] > score[best]) best = k;
	return best;
}
