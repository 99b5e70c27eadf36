#include "stats/cov.h"

#include <math.h>
#include <string.h>

/* Σ w (x - shift)^power per column into out [d]; returns Σ w. */
static double column_sums(const sn_rows *rows, const double *shift, int power, double *out)
{
	int64_t ld = rows->ld ? rows->ld : rows->d;
	double total = 0;
	memset(out, 0, (size_t)rows->d * sizeof *out);
	for (int64_t i = 0; i < rows->n; i++) {
		double w = rows->weight ? rows->weight[i] : 1;
		sn_rows_passed(rows, i - 1);
		if (w == 0) continue;
		total += w;
		const float *x = rows->x + i * ld;
		for (int64_t j = 0; j < rows->d; j++) {
			double v = x[j] - shift[j];
			out[j] += power == 2 ? w * v * v : w * v;
		}
	}
	sn_rows_passed(rows, rows->n - 1);
	return total;
}

static void largest(const sn_rows *rows, double *out)
{
	int64_t ld = rows->ld ? rows->ld : rows->d;
	memset(out, 0, (size_t)rows->d * sizeof *out);
	for (int64_t i = 0; i < rows->n; i++) {
		sn_rows_passed(rows, i - 1);
		if (rows->weight && rows->weight[i] == 0) continue;
		for (int64_t j = 0; j < rows->d; j++) {
			double size = fabs(rows->x[i * ld + j]);
			out[j] = size > out[j] ? size : out[j];
		}
	}
	sn_rows_passed(rows, rows->n - 1);
}

bool sn_standard_measure(sn_standard *s, const sn_rows *rows)
{
	memset(s->mean, 0, (size_t)s->d * sizeof *s->mean);
	double total = column_sums(rows, s->mean, 1, s->sd);
	if (!(total > 0)) return false;
	for (int64_t j = 0; j < s->d; j++) s->mean[j] = s->sd[j] / total;
	(void)column_sums(rows, s->mean, 2, s->sd);
	largest(rows, s->inv_sd);
	s->n_constant = 0;
	for (int64_t j = 0; j < s->d; j++) {
		double sd = sqrt(s->sd[j] / total);
		bool constant = sd <= 1e-7 * s->inv_sd[j];
		s->n_constant += constant;
		s->sd[j] = constant ? 0 : sd;
		s->inv_sd[j] = constant ? 0 : 1 / sd;
	}
	return true;
}

sn_status sn_standard_fit(sn_standard *out, sn_arena *arena, const sn_rows *rows)
{
	SN_TRY(sn_rows_check(sn_arena_ctx(arena), rows));
	*out = (sn_standard){ .d = rows->d };
	SN_NEW(out->mean, arena, double, rows->d);
	SN_NEW(out->sd, arena, double, rows->d);
	SN_NEW(out->inv_sd, arena, double, rows->d);
	if (sn_standard_measure(out, rows)) return SN_OK;
	return sn_fail(sn_arena_ctx(arena), SN_EARG, "standardising needs at least one row of weight > 0");
}

void sn_standard_apply(const sn_standard *s, const float *x, int64_t n, int64_t ld, float *out)
{
	ld = ld ? ld : s->d;
	for (int64_t i = 0; i < n; i++)
		for (int64_t j = 0; j < s->d; j++) out[i * s->d + j] = (float)((x[i * ld + j] - s->mean[j]) * s->inv_sd[j]);
}
