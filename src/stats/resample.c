/* Probes fitted anew on resampled rows: many regressions on the same columns, which differ in their rows' weights. */
#include "stats/probe.h"

#include <math.h>
#include <string.h>

#include "stats/multinomial.h"
#include "stats/newton.h"
#include "tensor/sgemm.h"

/* Nats a row: resamples differ by a thousand times that. */
static const sn_multinomial_stop stop = { .gap = 1e-5 };
static const double clip = 1e-12, ln2 = 0.69314718055994530942;

/* One block held out. */
typedef struct block {
	const sn_probe_plan *plan;
	sn_arena *arena;
	const float *x, *weight;
	int number, n_draw;
	int64_t n_train, n_test;
	int64_t *train, *test; /* rows */
	sn_standard scale;
	const sn_basis *basis;
	sn_design design;
	int32_t *y; /* [n_train] */
	sn_multinomial *m; /* [n_draw] */
} block;

static bool used(const sn_probe_plan *p, int64_t i, uint8_t what)
{
	return p->fold[i] >= 0 && p->z[i] && (!p->use || p->use[i] & what);
}

/* Standardised rows in the basis, [n, d]. */
static sn_status turn_rows(const block *b, const int64_t *row, int64_t n, float **out)
{
	int64_t d = b->plan->d, ld = b->plan->ld ? b->plan->ld : d;
	float *scaled;
	SN_NEW(*out, b->arena, float, sn_size3((size_t)n, (size_t)d, 1));
	SN_NEW(scaled, b->arena, float, sn_size3((size_t)n, (size_t)d, 1));
	for (int64_t i = 0; i < n; i++) sn_standard_apply(&b->scale, b->x + row[i] * ld, 1, d, scaled + i * d);
	sn_basis_turn(b->basis, b->arena, scaled, n, *out);
	return SN_OK;
}

static sn_status list_rows(block *b)
{
	const sn_probe_plan *p = b->plan;
	SN_NEW(b->train, b->arena, int64_t, p->n);
	SN_NEW(b->test, b->arena, int64_t, p->n);
	SN_NEW(b->y, b->arena, int32_t, p->n);
	for (int64_t i = 0; i < p->n; i++) {
		if (p->fold[i] == b->number && used(p, i, SN_USE_TEST)) b->test[b->n_test++] = i;
		if (p->fold[i] == b->number || !used(p, i, SN_USE_FIT)) continue;
		b->y[b->n_train] = p->z[i] > 0;
		b->train[b->n_train++] = i;
	}
	return SN_OK;
}

/* The training rows, standardised; in the basis of the first block's, which serves all. */
static sn_status make_design(block *b, sn_basis *basis, sn_arena *keep)
{
	int64_t n = b->n_train, d = b->plan->d, ld = b->plan->ld ? b->plan->ld : d;
	float *x;
	SN_NEW(x, b->arena, float, sn_size3((size_t)n, (size_t)d, 1));
	for (int64_t i = 0; i < n; i++) memcpy(x + i * d, b->x + b->train[i] * ld, (size_t)d * sizeof *x);
	sn_rows rows = { .x = x, .n = n, .d = d };
	SN_TRY(sn_standard_fit(&b->scale, b->arena, &rows));
	sn_standard_apply(&b->scale, x, n, d, x);
	if (!basis->turn) SN_TRY(sn_basis_find(basis, keep, x, n, d));
	b->basis = basis;
	return sn_design_turn(&b->design, b->arena, basis, x, n);
}

static bool both_classes(const block *b, const float *weight)
{
	bool seen[2] = { false, false };
	for (int64_t i = 0; i < b->n_train; i++) seen[b->y[i]] |= weight[i] > 0;
	return seen[0] && seen[1];
}

/* Regressions of the draws that have both classes, from the fit of all rows on. */
static sn_status fit_draws(block *b, double c, int *n_unconverged)
{
	sn_multinomial all, *one = &all, **active;
	int n = 0;
	SN_TRY(sn_multinomial_make(&all, b->arena, 2, b->plan->d, b->n_train));
	all.y = b->y;
	all.c = c;
	SN_TRY(sn_multinomial_solve(&one, 1, b->arena, &b->design, stop, NULL, NULL));
	SN_NEW(b->m, b->arena, sn_multinomial, b->n_draw);
	SN_NEW(active, b->arena, sn_multinomial *, b->n_draw);
	for (int k = 0; k < b->n_draw; k++) {
		float *weight;
		SN_NEW(weight, b->arena, float, b->n_train);
		for (int64_t i = 0; i < b->n_train; i++) weight[i] = b->weight[k * b->plan->n + b->train[i]];
		if (!both_classes(b, weight)) continue;
		sn_multinomial *m = active[n++] = &b->m[k];
		SN_TRY(sn_multinomial_make(m, b->arena, 2, b->plan->d, b->n_train));
		m->y = b->y;
		m->weight = weight;
		m->c = c;
		memcpy(m->theta, all.theta, (size_t)m->solver.size * sizeof *m->theta);
	}
	SN_TRY(sn_multinomial_solve(active, n, b->arena, &b->design, stop, NULL, NULL));
	for (int k = 0; k < n; k++) *n_unconverged += !active[k]->solver.converged;
	return SN_OK;
}

static sn_status score_draws(const block *b, float *bits)
{
	int64_t d = b->plan->d, n = b->n_test;
	float *x, *theta, *score;
	SN_TRY(turn_rows(b, b->test, n, &x));
	SN_NEW(theta, b->arena, float, sn_size3((size_t)b->n_draw, (size_t)d, 1));
	SN_NEW(score, b->arena, float, sn_size3((size_t)b->n_draw, (size_t)n, 1));
	for (int k = 0; k < b->n_draw; k++)
		for (int64_t j = 0; j < d && b->m[k].theta; j++) theta[k * d + j] = (float)b->m[k].theta[j];
	sn_sgemm(false, true, b->n_draw, n, d, theta, d, x, d, 0, score, n);
	for (int k = 0; k < b->n_draw; k++)
		for (int64_t i = 0; i < n; i++) {
			int64_t row = b->test[i];
			double own = b->m[k].theta ? score[k * n + i] + b->m[k].theta[d] : 0;
			bits[k * b->plan->n + row] = (float)(fmax(-sn_softplus(-b->plan->z[row] * own), log(clip)) / ln2);
		}
	return SN_OK;
}

static sn_status run_block(block *b, sn_basis *basis, sn_arena *keep, double c, int *n_unconverged, float *bits)
{
	SN_TRY(list_rows(b));
	if (b->n_test == 0) return SN_OK;
	if (b->n_train == 0)
		return sn_fail(sn_arena_ctx(b->arena), SN_EARG, "probe: block %d leaves no row for fitting", b->number);
	SN_TRY(make_design(b, basis, keep));
	SN_TRY(fit_draws(b, c, n_unconverged));
	return score_draws(b, bits);
}

sn_status sn_probe_resample(float *bits, int *n_unconverged, sn_arena *scratch, const sn_probe_plan *plan,
							const float *x, const int *which, const float *weight, int n_draw)
{
	sn_basis basis = { 0 };
	sn_arena *own;
	SN_TRY(sn_arena_open(&own, sn_arena_ctx(scratch)));
	sn_status status = SN_OK;
	for (int64_t i = 0; i < n_draw * plan->n; i++) bits[i] = NAN;
	for (int f = 0; f < plan->n_fold && status == SN_OK; f++) {
		sn_mark mark = sn_arena_mark(own);
		block b = { .plan = plan, .arena = own, .x = x, .weight = weight, .number = f, .n_draw = n_draw };
		status = run_block(&b, &basis, scratch, plan->strength[which[f]], n_unconverged, bits);
		sn_arena_reset(own, mark);
	}
	sn_arena_close(own);
	return status;
}
