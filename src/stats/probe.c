#include "stats/probe.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "stats/fitset.h"
#include "stats/newton.h"

const double sn_probe_strengths[6] = { 1e-4, 1e-3, 1e-2, 1e-1, 1, 10 };

/* inner_tol: strengths are a factor of ten apart, so choosing among them needs no exact fits. */
static const double clip = 1e-12, ln2 = 0.69314718055994530942, inner_tol = 1e-3;

/* One run over a plan. Workers own a training set and a fitter each; nothing is allocated inside parallel loops. */
typedef struct run {
	sn_probe_plan plan; /* defaults filled */
	const float *x;
	sn_probe_result *out;
	int threads;
	sn_fitset *set;       /* [threads] */
	sn_fitter *fitter;    /* [threads] */
	double *loss, *count; /* [n_label, n_fold (outer), n_fold (inner), n_strength] sums over rows of the inner block */
	int *unconverged;     /* [threads] */
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

static sn_status make_workers(run *r, sn_arena *arena)
{
	const sn_probe_plan *p = &r->plan;
	size_t threads = (size_t)r->threads;
	SN_NEW(r->set, arena, sn_fitset, threads);
	SN_NEW(r->fitter, arena, sn_fitter, threads);
	SN_NEW(r->unconverged, arena, int, threads);
	for (int t = 0; t < r->threads; t++) {
		SN_TRY(sn_fitset_init(&r->set[t], arena, p, r->x));
		SN_TRY(sn_fitter_init(&r->fitter[t], arena, p, r->set[t].room));
	}
	if (r->threads > 0 && r->set[0].room == 0)
		return sn_fail(sn_arena_ctx(arena), SN_EARG, "probe: no row is marked for fitting");
	return SN_OK;
}

static double tolerance(const run *r) { return r->plan.tol > 0 ? r->plan.tol : 1e-6; }

static double *losses(const run *r, double *of, int label, int outer, int inner)
{
	int n_fold = r->plan.n_fold;
	return of + (((int64_t)label * n_fold + outer) * n_fold + inner) * r->plan.n_strength;
}

/* Validates fit s of a training set without blocks f and g, returning its loss: rows of g speak for outer block f,
 * rows of f for g. */
static double validate(run *r, int worker, int label, int s, int f, int g)
{
	const sn_probe_plan *p = &r->plan;
	double total = 0;
	for (int64_t i = 0; i < p->n; i++) {
		int in = p->fold[i], outer = in == f ? g : f;
		int8_t z = p->z[label * p->n + i];
		if ((in != f && in != g) || !z || (p->use && !(p->use[i] & SN_USE_FIT))) continue;
		double score, w = p->weight ? p->weight[i] : 1;
		score = sn_fitter_score(&r->fitter[worker], &r->set[worker], i);
		losses(r, r->loss, label, outer, in)[s] += w * sn_softplus(-z * score) / ln2;
		losses(r, r->count, label, outer, in)[s] += w;
		total += w * sn_softplus(-z * score);
	}
	return total;
}

/* The path of strengths for every label on the training set without blocks f and g, ended when held-out loss has
 * risen twice. */
static void inner_unit(run *r, int f, int g)
{
	const sn_probe_plan *p = &r->plan;
	int worker = omp_get_thread_num();
	sn_fitset *set = &r->set[worker];
	sn_fitset_load(set, f, g);
	for (int label = 0; label < p->n_label; label++) {
		if (!sn_fitter_begin(&r->fitter[worker], set, label)) continue;
		double last = INFINITY;
		for (int s = 0, rises = 0; s < p->n_strength && rises < 2; s++) {
			bool done = sn_fitter_run(&r->fitter[worker], set, p->strength[s], SN_MAX(inner_tol, tolerance(r)));
			r->unconverged[worker] += !done;
			double loss = validate(r, worker, label, s, f, g);
			rises = loss > last ? rises + 1 : 0;
			last = loss;
		}
	}
}

static void run_inner(run *r)
{
	int n_fold = r->plan.n_fold;
#pragma omp parallel for num_threads(r->threads) schedule(dynamic)
	for (int pair = 0; pair < n_fold * n_fold; pair++)
		if (pair / n_fold < pair % n_fold) inner_unit(r, pair / n_fold, pair % n_fold);
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

static void predict(run *r, int worker, const sn_fitset *set, int label, int64_t i, bool fitted)
{
	const sn_probe_plan *p = &r->plan;
	int8_t z = p->z[label * p->n + i];
	double score = fitted ? sn_fitter_score(&r->fitter[worker], set, i) : 0;
	double yes = SN_MIN(SN_MAX(sn_sigmoid(score), clip), 1 - clip);
	r->out->p[label * p->n + i] = yes;
	r->out->bits[label * p->n + i] = SN_MAX(-sn_softplus(-z * score), log(clip)) / ln2;
}

/* Fits label on the loaded set at its chosen strength and predicts the TEST rows of block f (-1: of all blocks). */
static void outer_fit(run *r, int worker, const sn_fitset *set, int label, int f)
{
	const sn_probe_plan *p = &r->plan;
	int *chosen = &r->out->chosen[label * p->n_fold + (f < 0 ? 0 : f)];
	bool fitted = sn_fitter_begin(&r->fitter[worker], set, label);
	if (fitted)
		r->unconverged[worker] += !sn_fitter_run(&r->fitter[worker], set, p->strength[*chosen], tolerance(r));
	else
		*chosen = -1;
	for (int64_t i = 0; i < p->n; i++) {
		bool here = f < 0 ? p->fold[i] >= 0 : p->fold[i] == f;
		if (here && p->z[label * p->n + i] && (!p->use || p->use[i] & SN_USE_TEST))
			predict(r, worker, set, label, i, fitted);
	}
}

static void run_outer(run *r)
{
	const sn_probe_plan *p = &r->plan;
#pragma omp parallel for num_threads(r->threads) schedule(dynamic)
	for (int f = 0; f < p->n_fold; f++) {
		int worker = omp_get_thread_num();
		sn_fitset_load(&r->set[worker], f, f);
		for (int label = 0; label < p->n_label; label++) outer_fit(r, worker, &r->set[worker], label, f);
	}
}

/* Fills defaults, checks, allocates results and workers. */
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
	r->threads = sn_ctx_threads(ctx);
	SN_TRY(make_result(r, arena));
	if (least_folds > 2)
		SN_NEW(r->out->inner, arena, double, (int64_t)r->plan.n_label * r->plan.n_fold * r->plan.n_strength);
	*mark = sn_arena_mark(arena);
	return make_workers(r, arena);
}

static void end(run *r, sn_arena *arena, sn_mark mark)
{
	for (int t = 0; t < r->threads; t++) r->out->n_unconverged += r->unconverged[t];
	sn_arena_reset(arena, mark);
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
	run_inner(&r);
	SN_TRY(sn_poll(sn_arena_ctx(arena)));
	choose(&r);
	run_outer(&r);
	end(&r, arena, mark);
	return SN_OK;
}

sn_status sn_probe_fixed(sn_probe_result *out, sn_arena *arena, const sn_probe_plan *plan, const float *x,
						 const int *which)
{
	run r = { .plan = *plan, .x = x, .out = out };
	sn_mark mark;
	SN_TRY(begin(&r, arena, 2, &mark));
	SN_TRY(take_strengths(&r, sn_arena_ctx(arena), which, plan->n_label * plan->n_fold));
	run_outer(&r);
	end(&r, arena, mark);
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
	sn_fitset_load(&r.set[0], -1, -1);
#pragma omp parallel for num_threads(r.threads) schedule(dynamic)
	for (int label = 0; label < plan->n_label; label++) outer_fit(&r, omp_get_thread_num(), &r.set[0], label, -1);
	end(&r, arena, mark);
	return SN_OK;
}
