#include "stats/logreg.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "stats/linalg.h"
#include "stats/newton.h"
#include "stats/softmax.h"

/* Up to this many unknowns a Cholesky a step beats conjugate gradients. */
enum { MOST_DENSE = 1200, DEFAULT_ITERATIONS = 200 };

static double weight(const sn_rows *rows, const int32_t *y, int64_t i)
{
	return y[i] < 0 ? 0 : rows->weight ? rows->weight[i] : 1;
}

static sn_status check(sn_ctx *ctx, const sn_rows *rows, const int32_t *y, int n_class, const sn_logreg_options *o)
{
	if (n_class < 2)
		return sn_fail(ctx, SN_EARG, "logistic regression with %d classes: at least 2 are needed", n_class);
	if (!(o->c > 0 && isfinite(o->c))) return sn_fail(ctx, SN_EARG, "C = %g: expected a finite number > 0", o->c);
	SN_TRY(sn_rows_check(ctx, rows));
	int32_t seen = -1;
	bool two = false;
	for (int64_t i = 0; i < rows->n; i++) {
		if (y[i] < -1 || y[i] >= n_class)
			return sn_fail(ctx, SN_EARG, "row %lld: class %d, expected 0 to %d, or -1", (long long)i, (int)y[i],
						   n_class - 1);
		if (weight(rows, y, i) == 0) continue;
		two = two || (seen >= 0 && y[i] != seen);
		seen = y[i];
	}
	if (seen < 0) return sn_fail(ctx, SN_EARG, "logistic regression without rows of weight > 0");
	if (!two) return sn_fail(ctx, SN_EARG, "all rows have class %d: nothing to tell apart", (int)seen);
	return SN_OK;
}

/* The rows that count, gathered in double. */
typedef struct gathered {
	int64_t m;
	double *x, *weight; /* [m, d], [m] */
	int8_t *z;          /* [m] */
} gathered;

static sn_status gather(gathered *g, sn_arena *arena, const sn_rows *rows, const int32_t *y)
{
	int64_t d = rows->d, ld = rows->ld ? rows->ld : d;
	SN_NEW(g->x, arena, double, sn_size3((size_t)g->m, (size_t)d, 1));
	SN_NEW(g->weight, arena, double, g->m);
	SN_NEW(g->z, arena, int8_t, g->m);
	g->m = 0;
	for (int64_t i = 0; i < rows->n; i++) {
		double w = weight(rows, y, i);
		if (w == 0) continue;
		for (int64_t j = 0; j < d; j++) g->x[g->m * d + j] = rows->x[i * ld + j];
		g->weight[g->m] = w;
		g->z[g->m++] = y[i] ? 1 : -1;
	}
	return SN_OK;
}

static void take(sn_logreg *out, double objective, double gradient, int iterations, bool converged)
{
	out->objective = objective;
	out->gradient = gradient;
	out->iterations = iterations;
	out->converged = converged;
}

/* Two classes, few rows or columns. A warm start is of use in the primal only: in the dual it would need row
 * coefficients. */
static sn_status fit_dense(sn_logreg *out, sn_arena *arena, const sn_rows *rows, const int32_t *y, int64_t m,
						   const sn_newton *settings, const sn_logreg *start)
{
	gathered g = { .m = m };
	SN_TRY(gather(&g, arena, rows, y));
	bool dual = m <= out->d;
	int threads = sn_ctx_threads(sn_arena_ctx(arena)), d = (int)out->d;
	sn_newton p = *settings;
	p.m = m;
	p.r = dual ? m : d;
	p.z = g.z;
	p.weight = g.weight;
	SN_NEW(p.f, arena, double, m);
	SN_NEW(p.scratch, arena, double, sn_newton_scratch(m, p.r, dual));
	if (dual) {
		double *gram;
		SN_NEW(gram, arena, double, m * m);
		SN_NEW(p.a, arena, double, m);
		sn_gram_f64(threads, false, m, d, g.x, d, 0, gram, m);
		sn_mirror_f64(m, gram, m);
		p.gram = gram;
	} else {
		p.a = out->coef;
		p.feature = g.x;
		if (start) {
			memcpy(p.a, start->coef, (size_t)d * sizeof *p.a);
			p.b = start->intercept[0];
			sn_gemm_f64(threads, false, true, m, 1, d, 1, g.x, d, p.a, d, 0, p.f, 1);
		}
	}
	sn_newton_solve(&p);
	if (dual) sn_gemm_f64(threads, true, false, d, 1, m, 1, g.x, d, p.a, 1, 0, out->coef, 1);
	out->intercept[0] = p.b;
	take(out, p.objective, p.gradient, p.iterations, p.converged);
	return SN_OK;
}

static sn_status fit_iterative(sn_logreg *out, sn_arena *arena, const sn_rows *rows, const int32_t *y,
							   const sn_newton *settings, const sn_logreg *start)
{
	int64_t d = out->d;
	sn_softmax p = { .rows = rows,
					 .y = y,
					 .n_vec = out->n_vec,
					 .lambda = settings->lambda,
					 .tol = settings->tol,
					 .max_iter = settings->max_iter };
	SN_NEW(p.theta, arena, double, sn_size3((size_t)out->n_vec, (size_t)d + 1, 1));
	for (int k = 0; start && k < out->n_vec; k++) {
		memcpy(p.theta + k * (d + 1), start->coef + k * d, (size_t)d * sizeof *p.theta);
		p.theta[k * (d + 1) + d] = start->intercept[k];
	}
	SN_TRY(sn_softmax_solve(&p, arena));
	double mean = 0;
	for (int k = 0; k < out->n_vec; k++) {
		memcpy(out->coef + k * d, p.theta + k * (d + 1), (size_t)d * sizeof *p.theta);
		out->intercept[k] = p.theta[k * (d + 1) + d];
		mean += out->intercept[k] / out->n_vec;
	}
	for (int k = 0; k < out->n_vec && out->n_vec > 1; k++) out->intercept[k] -= mean; /* their sum is free */
	take(out, p.objective, p.gradient, p.iterations, p.converged);
	return SN_OK;
}

sn_status sn_logreg_fit(sn_logreg *out, sn_arena *arena, const sn_rows *rows, const int32_t *y, int n_class,
						const sn_logreg_options *o)
{
	SN_TRY(check(sn_arena_ctx(arena), rows, y, n_class, o));
	*out = (sn_logreg){ .d = rows->d, .n_class = n_class, .n_vec = n_class == 2 ? 1 : n_class };
	if (o->start && (o->start->d != out->d || o->start->n_vec != out->n_vec))
		return sn_fail(sn_arena_ctx(arena), SN_ESHAPE, "warm start of another shape: %lld columns, %d classes",
					   (long long)o->start->d, o->start->n_class);
	SN_NEW(out->coef, arena, double, sn_size3((size_t)out->n_vec, (size_t)out->d, 1));
	SN_NEW(out->intercept, arena, double, out->n_vec);
	sn_newton settings = { .lambda = 1 / o->c,
						   .tol = o->tol > 0 ? o->tol : 1e-8,
						   .max_iter = o->max_iter > 0 ? o->max_iter : DEFAULT_ITERATIONS };
	int64_t m = 0;
	for (int64_t i = 0; i < rows->n; i++) m += weight(rows, y, i) > 0;
	sn_mark mark = sn_arena_mark(arena);
	if (n_class == 2 && SN_MIN(m, out->d) <= MOST_DENSE)
		SN_TRY(fit_dense(out, arena, rows, y, m, &settings, o->start));
	else
		SN_TRY(fit_iterative(out, arena, rows, y, &settings, o->start));
	sn_arena_reset(arena, mark);
	return SN_OK;
}

/* Scores of one row, then log-probabilities in their place. */
static void normalise(int n_vec, double *row)
{
	if (n_vec == 1) {
		double score = row[0];
		row[0] = -sn_softplus(score);
		row[1] = -sn_softplus(-score);
		return;
	}
	double top = row[0], sum = 0;
	for (int k = 1; k < n_vec; k++) top = fmax(top, row[k]);
	for (int k = 0; k < n_vec; k++) sum += exp(row[k] - top);
	for (int k = 0; k < n_vec; k++) row[k] -= top + log(sum);
}

void sn_logreg_logp(const sn_logreg *m, const float *x, int64_t n, int64_t ld, double *logp)
{
	ld = ld ? ld : m->d;
	for (int64_t i = 0; i < n; i++) {
		double *row = logp + i * m->n_class;
		for (int k = 0; k < m->n_vec; k++) {
			row[k] = m->intercept[k];
			for (int64_t j = 0; j < m->d; j++) row[k] += m->coef[k * m->d + j] * x[i * ld + j];
		}
		normalise(m->n_vec, row);
	}
}
