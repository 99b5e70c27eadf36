#include "stats/probe.h"

#include <math.h>
#include <string.h>

#include "stats/cell.h"
#include "stats/newton.h"

const double sn_probe_strengths[6] = { 1e-4, 1e-3, 1e-2, 1e-1, 1, 10 };

/* Strengths are a factor of ten apart, so choosing among them needs no exact fits. Nats a row. */
static const double clip = 1e-12, ln2 = 0.69314718055994530942, inner_gap = 1e-5, usual_gap = 1e-9;

/* One run over a plan. */
typedef struct run {
	sn_probe_plan plan; /* defaults filled */
	const float *x;
	sn_probe_result *out;
	sn_arena *arena;
	sn_cell cell;
	int n_fit;
	sn_cell_fit *fit;     /* [n_fit] inner fits, then the outer ones */
	struct path *path;    /* [n_fit] of the inner ones */
	int *solved;          /* [n_fit] number among all of each fit that is being solved */
	double *loss, *count; /* [n_label, n_fold (outer), n_fold (inner), n_strength] sums over rows of the inner block */
} run;

static sn_status check_labels(sn_ctx *ctx, const sn_probe_plan *p)
{
	for (int64_t i = 0; i < p->n * p->n_label; i++)
		if (p->z[i] < -1 || p->z[i] > 1)
			return sn_fail(ctx, SN_EARG, "probe: label %lld of row %lld is %d, expected +1, -1 or 0 (absent)",
						   (long long)(i / p->n), (long long)(i % p->n), p->z[i]);
	return SN_OK;
}

static sn_status check(sn_ctx *ctx, const sn_probe_plan *p, int least_folds)
{
	if (p->n < 1 || p->d < 1 || p->n_label < 1 || !p->fold || !p->z)
		return sn_fail(ctx, SN_EARG, "probe: a plan needs rows, columns, blocks and labels");
	if (p->n_fold < least_folds)
		return sn_fail(ctx, SN_EARG, "probe: %d blocks, at least %d are needed", p->n_fold, least_folds);
	for (int64_t i = 0; i < p->n; i++) {
		if (p->fold[i] < -1 || p->fold[i] >= p->n_fold)
			return sn_fail(ctx, SN_EARG, "probe: row %lld is in block %d, expected -1 to %d", (long long)i,
						   (int)p->fold[i], p->n_fold - 1);
	}
	for (int s = 0; s < p->n_strength; s++)
		if (!(p->strength[s] > 0 && isfinite(p->strength[s])) || (s && p->strength[s] <= p->strength[s - 1]))
			return sn_fail(ctx, SN_EARG, "probe: strengths must be positive and ascending, number %d is %g", s,
						   p->strength[s]);
	return check_labels(ctx, p);
}

/* Rows with a block must be finite and have usable weights. */
static sn_status check_rows(sn_arena *scratch, const sn_probe_plan *p, const float *x)
{
	sn_mark mark = sn_arena_mark(scratch);
	double *weight;
	SN_NEW(weight, scratch, double, p->n);
	for (int64_t i = 0; i < p->n; i++) {
		double own = p->weight ? p->weight[i] : 1;
		weight[i] = p->fold[i] < 0 ? 0 : own == 0 ? 1 : own; /* a row of weight 0 is still tested */
	}
	sn_rows rows = { .x = x, .n = p->n, .d = p->d, .ld = p->ld, .weight = weight };
	SN_TRY(sn_rows_check(sn_arena_ctx(scratch), &rows));
	sn_arena_reset(scratch, mark);
	return SN_OK;
}

static sn_status make_result(run *r, sn_arena *arena)
{
	const sn_probe_plan *p = &r->plan;
	size_t size = sn_size3((size_t)p->n_label, (size_t)p->n, 1);
	*r->out = (sn_probe_result){ .n = p->n, .n_fold = p->n_fold, .n_label = p->n_label, .n_strength = p->n_strength };
	SN_NEW(r->out->bits, arena, double, size);
	SN_NEW(r->out->p, arena, double, size);
	SN_NEW(r->out->chosen, arena, int, p->n_label * p->n_fold);
	for (size_t i = 0; i < size; i++) r->out->bits[i] = r->out->p[i] = NAN;
	return SN_OK;
}

static double *losses(const run *r, double *of, int label, int outer, int inner)
{
	int n_fold = r->plan.n_fold;
	return of + (((int64_t)label * n_fold + outer) * n_fold + inner) * r->plan.n_strength;
}

/* ---- inner fits: a label on the rows outside blocks f and g, along the path of strengths ---- */

typedef struct path {
	int strength, rises;
	double last;
} path;

/* Validates an inner fit, returning its loss: rows of g speak for outer block f, rows of f for g. */
static double validate(run *r, sn_cell_fit *fit, int s)
{
	const sn_probe_plan *p = &r->plan;
	double total = 0;
	sn_cell_settle(&r->cell, fit);
	for (int64_t i = 0; i < p->n; i++) {
		int in = p->fold[i], outer = in == fit->f ? fit->g : fit->f;
		int8_t z = p->z[fit->label * p->n + i];
		if ((in != fit->f && in != fit->g) || !z || (p->use && !(p->use[i] & SN_USE_FIT))) continue;
		double w = p->weight ? p->weight[i] : 1, loss = w * sn_softplus(-z * sn_cell_score(&r->cell, fit, i));
		losses(r, r->loss, fit->label, outer, in)[s] += loss / ln2;
		losses(r, r->count, fit->label, outer, in)[s] += w;
		total += loss;
	}
	return total;
}

/* A path ends when held-out loss has risen twice. */
static bool next_strength(void *owner, int k)
{
	run *r = owner;
	sn_cell_fit *fit = &r->fit[r->solved[k]];
	path *at = &r->path[r->solved[k]];
	r->out->n_unconverged += !fit->m.solver.converged;
	double loss = validate(r, fit, at->strength);
	at->rises = at->strength > 0 && loss > at->last ? at->rises + 1 : 0;
	at->last = loss;
	if (at->rises >= 2 || ++at->strength == r->plan.n_strength) return false;
	fit->m.c = r->plan.strength[at->strength];
	return true;
}

/* Solves all fits that have both classes, side by side. */
static sn_status solve(run *r, double gap, sn_multinomial_next *next)
{
	sn_multinomial **active;
	int n = 0;
	SN_NEW(active, r->arena, sn_multinomial *, r->n_fit);
	for (int k = 0; k < r->n_fit; k++) {
		if (!r->fit[k].both) continue;
		r->solved[n] = k;
		active[n++] = &r->fit[k].m;
	}
	if (n == 0) return SN_OK;
	return sn_multinomial_solve(active, n, r->arena, &r->cell.design, (sn_multinomial_stop){ .gap = gap }, next, r);
}

static sn_status make_room(run *r, int n)
{
	SN_NEW(r->fit, r->arena, sn_cell_fit, n);
	SN_NEW(r->path, r->arena, path, n);
	SN_NEW(r->solved, r->arena, int, n);
	r->n_fit = 0;
	return SN_OK;
}

static double tolerance(const run *r) { return r->plan.tol > 0 ? r->plan.tol : usual_gap; }

static sn_status run_inner(run *r)
{
	const sn_probe_plan *p = &r->plan;
	sn_mark mark = sn_arena_mark(r->arena);
	SN_TRY(make_room(r, p->n_label * p->n_fold * p->n_fold));
	for (int label = 0; label < p->n_label; label++)
		for (int f = 0; f < p->n_fold; f++)
			for (int g = f + 1; g < p->n_fold; g++) {
				sn_cell_fit *fit = &r->fit[r->n_fit++];
				SN_TRY(sn_cell_fit_make(fit, &r->cell, label, f, g));
				fit->m.c = p->strength[0];
			}
	SN_TRY(solve(r, SN_MAX(inner_gap, tolerance(r)), next_strength));
	sn_arena_reset(r->arena, mark);
	return SN_OK;
}

/* Mean inner cross-entropies into out->inner, where all training sets got as far; the strongest of the best into
 * out->chosen. */
static void choose_one(run *r, int label, int f)
{
	const sn_probe_plan *p = &r->plan;
	double *mean = r->out->inner + ((int64_t)label * p->n_fold + f) * p->n_strength, all = 0;
	int *best = &r->out->chosen[label * p->n_fold + f];
	*best = 0;
	for (int s = 0; s < p->n_strength; s++) {
		double loss = 0, count = 0;
		for (int g = 0; g < p->n_fold; g++) {
			loss += losses(r, r->loss, label, f, g)[s];
			count += losses(r, r->count, label, f, g)[s];
		}
		if (s == 0) all = count;
		mean[s] = count > 0 && count == all ? loss / count : NAN;
		if (mean[s] < mean[*best]) *best = s;
	}
}

static void choose(run *r)
{
	for (int label = 0; label < r->plan.n_label; label++)
		for (int f = 0; f < r->plan.n_fold; f++) choose_one(r, label, f);
}

/* ---- outer fits: a label on the rows outside block f, at its strength ---- */

static void predict(run *r, const sn_cell_fit *fit, int64_t i)
{
	const sn_probe_plan *p = &r->plan;
	int8_t z = p->z[fit->label * p->n + i];
	double score = fit->both ? sn_cell_score(&r->cell, fit, i) : 0;
	double yes = SN_MIN(SN_MAX(sn_sigmoid(score), clip), 1 - clip);
	r->out->p[fit->label * p->n + i] = yes;
	r->out->bits[fit->label * p->n + i] = SN_MAX(-sn_softplus(-z * score), log(clip)) / ln2;
}

/* Predicts the TEST rows of a fit's block (-1: of all blocks). */
static void predict_block(run *r, sn_cell_fit *fit)
{
	const sn_probe_plan *p = &r->plan;
	if (fit->both) {
		r->out->n_unconverged += !fit->m.solver.converged;
		sn_cell_settle(&r->cell, fit);
	} else {
		r->out->chosen[fit->label * p->n_fold + SN_MAX(fit->f, 0)] = -1;
	}
	for (int64_t i = 0; i < p->n; i++) {
		bool here = fit->f < 0 ? p->fold[i] >= 0 : p->fold[i] == fit->f;
		if (here && p->z[fit->label * p->n + i] && (!p->use || p->use[i] & SN_USE_TEST)) predict(r, fit, i);
	}
}

/* split: no block is held out. */
static sn_status run_outer(run *r, bool split)
{
	const sn_probe_plan *p = &r->plan;
	SN_TRY(make_room(r, p->n_label * p->n_fold));
	for (int label = 0; label < p->n_label; label++)
		for (int f = 0; f < p->n_fold; f++) {
			sn_cell_fit *fit = &r->fit[r->n_fit++];
			SN_TRY(sn_cell_fit_make(fit, &r->cell, label, split ? -1 : f, -1));
			fit->m.c = p->strength[r->out->chosen[label * p->n_fold + f]];
		}
	SN_TRY(solve(r, tolerance(r), NULL));
	for (int k = 0; k < r->n_fit; k++) predict_block(r, &r->fit[k]);
	return SN_OK;
}

/* Fills defaults, checks, allocates results, prepares the cell. */
static sn_status begin(run *r, sn_arena *arena, int least_folds, sn_mark *mark)
{
	sn_ctx *ctx = sn_arena_ctx(arena);
	if (!r->plan.strength) {
		r->plan.strength = sn_probe_strengths;
		r->plan.n_strength = SN_COUNT(sn_probe_strengths);
	}
	SN_TRY(sn_poll(ctx));
	SN_TRY(check(ctx, &r->plan, least_folds));
	SN_TRY(check_rows(arena, &r->plan, r->x));
	SN_TRY(make_result(r, arena));
	if (least_folds > 2)
		SN_NEW(r->out->inner, arena, double, (int64_t)r->plan.n_label * r->plan.n_fold * r->plan.n_strength);
	*mark = sn_arena_mark(arena);
	r->arena = arena;
	return sn_cell_open(&r->cell, arena, &r->plan, r->x);
}

static sn_status take_strengths(run *r, sn_ctx *ctx, const int *which, int n)
{
	for (int i = 0; i < n; i++) {
		int s = which ? which[i] : 0;
		if (s < 0 || s >= r->plan.n_strength)
			return sn_fail(ctx, SN_EARG, "probe: strength number %d asked for, there are %d", s, r->plan.n_strength);
		r->out->chosen[i] = s;
	}
	return SN_OK;
}

sn_status sn_probe_cv(sn_probe_result *out, sn_arena *arena, const sn_probe_plan *plan, const float *x)
{
	run r = { .plan = *plan, .x = x, .out = out };
	sn_mark mark;
	SN_TRY(begin(&r, arena, 3, &mark));
	int64_t cells = (int64_t)plan->n_label * plan->n_fold * plan->n_fold * r.plan.n_strength;
	SN_NEW(r.loss, arena, double, cells);
	SN_NEW(r.count, arena, double, cells);
	SN_TRY(run_inner(&r));
	choose(&r);
	SN_TRY(run_outer(&r, false));
	sn_arena_reset(arena, mark);
	return SN_OK;
}

sn_status sn_probe_fixed(sn_probe_result *out, sn_arena *arena, const sn_probe_plan *plan, const float *x,
						 const int *which)
{
	run r = { .plan = *plan, .x = x, .out = out };
	sn_mark mark;
	SN_TRY(begin(&r, arena, 2, &mark));
	SN_TRY(take_strengths(&r, sn_arena_ctx(arena), which, plan->n_label * plan->n_fold));
	SN_TRY(run_outer(&r, false));
	sn_arena_reset(arena, mark);
	return SN_OK;
}

sn_status sn_probe_split(sn_probe_result *out, sn_arena *arena, const sn_probe_plan *plan, const float *x,
						 const int *which)
{
	run r = { .plan = *plan, .x = x, .out = out };
	int32_t *fold;
	SN_NEW(fold, arena, int32_t, plan->n);
	for (int64_t i = 0; i < plan->n; i++) fold[i] = plan->fold && plan->fold[i] < 0 ? -1 : 0;
	r.plan.fold = fold;
	r.plan.n_fold = 1;
	sn_mark mark;
	SN_TRY(begin(&r, arena, 1, &mark));
	SN_TRY(take_strengths(&r, sn_arena_ctx(arena), which, plan->n_label));
	SN_TRY(run_outer(&r, true));
	sn_arena_reset(arena, mark);
	return SN_OK;
}
