/* Held-out scores of probes with two or more classes. */
#include "methods/probe/probe.h"

#include "stats/logreg.h"
#include "stats/probe.h"

#include <math.h>
#include <string.h>

static sn_status new_scores(sn_probe_scores *out, sn_arena *arena, int64_t n)
{
	*out = (sn_probe_scores){ 0 };
	SN_NEW(out->bits, arena, float, n);
	SN_NEW(out->right, arena, float, n);
	SN_NEW(out->guess, arena, int32_t, n);
	return SN_OK;
}

/* The strength with the most votes; the smaller of equals. */
static double most_chosen(const int *chosen, int n)
{
	int votes[SN_COUNT(sn_probe_strengths)] = { 0 }, best = 0;
	for (int f = 0; f < n; f++)
		if (chosen[f] >= 0) votes[chosen[f]]++;
	for (int s = 1; s < SN_COUNT(sn_probe_strengths); s++)
		if (votes[s] > votes[best]) best = s;
	return sn_probe_strengths[best];
}

/* ---- two classes: the probes of stats/probe.h ---- */

static sn_status score_two(sn_probe_scores *out, sn_arena *arena, const float *x, int64_t n, int64_t d,
                           const int32_t *y, const int32_t *fold, int n_fold, double strength)
{
	int8_t *z;
	int *which;
	SN_NEW(z, arena, int8_t, n);
	SN_NEW(which, arena, int, n_fold);
	for (int64_t i = 0; i < n; i++) z[i] = y[i] ? 1 : -1;
	sn_probe_plan plan = { .n = n, .d = d, .n_fold = n_fold, .fold = fold, .n_label = 1, .z = z };
	if (strength > 0) {
		plan.strength = &strength;
		plan.n_strength = 1;
	}
	sn_probe_result result;
	SN_TRY(strength > 0 ? sn_probe_fixed(&result, arena, &plan, x, which) : sn_probe_cv(&result, arena, &plan, x));
	for (int64_t i = 0; i < n; i++) {
		out->bits[i] = (float)result.bits[i];
		out->guess[i] = result.p[i] > 0.5;
		out->right[i] = result.p[i] > 0.5 ? y[i] == 1 : result.p[i] < 0.5 ? y[i] == 0 : 0.5f;
	}
	out->strength = strength > 0 ? strength : most_chosen(result.chosen, n_fold);
	out->n_unconverged = result.n_unconverged;
	return SN_OK;
}

/* ---- more classes ---- */

#define LN2 0.69314718055994531

typedef struct problem {
	sn_arena *arena;
	const float *x;
	int64_t n, d;
	const int32_t *y, *fold;
	int n_class, n_fold;
} problem;

/* Standardised rows of all, weight 1 outside blocks a and b, else 0. */
static sn_status training_rows(sn_rows *out, const problem *p, int a, int b)
{
	double *weight;
	float *x;
	SN_NEW(weight, p->arena, double, p->n);
	for (int64_t i = 0; i < p->n; i++) weight[i] = p->fold[i] != a && p->fold[i] != b;
	x = sn_arena_take(p->arena, sn_size3((size_t)p->n, (size_t)p->d, sizeof *x));
	if (!x) return SN_ENOMEM;
	sn_rows raw = { .x = p->x, .n = p->n, .d = p->d, .weight = weight };
	sn_standard scale;
	SN_TRY(sn_standard_fit(&scale, p->arena, &raw));
	sn_standard_apply(&scale, p->x, p->n, p->d, x);
	*out = (sn_rows){ .x = x, .n = p->n, .d = p->d, .weight = weight };
	return SN_OK;
}

static bool all_classes_train(const problem *p, const double *weight)
{
	bool seen[SN_MOST_CLASSES] = { false };
	int n = 0;
	for (int64_t i = 0; i < p->n; i++)
		if (weight[i] > 0 && !seen[p->y[i]]) seen[p->y[i]] = true, n++;
	return n >= 2;
}

/* Scores the rows of a block under a fitted model. */
static sn_status score_block(sn_probe_scores *out, double *loss, const problem *p, const sn_logreg *m, const float *x,
                             int block)
{
	double *logp, sum = 0;
	int64_t n = 0;
	SN_NEW(logp, p->arena, double, p->n_class);
	for (int64_t i = 0; i < p->n; i++) {
		if (p->fold[i] != block) continue;
		sn_logreg_logp(m, x + i * p->d, 1, p->d, logp);
		int best = 0;
		for (int k = 1; k < p->n_class; k++)
			if (logp[k] > logp[best]) best = k;
		double bits = fmax(logp[p->y[i]] / LN2, log2(1e-12));
		sum -= bits;
		n++;
		if (!out) continue;
		out->bits[i] = (float)bits;
		out->right[i] = best == p->y[i];
		out->guess[i] = best;
	}
	if (loss) *loss = n ? sum / (double)n : NAN;
	return SN_OK;
}

/* Chooses a strength for block f: fits on all blocks but f and the next one, which judges. */
static sn_status choose_strength(int *chosen, const problem *p, int f)
{
	int judge = (f + 1) % p->n_fold;
	double best = INFINITY, loss;
	sn_rows rows;
	sn_logreg m[SN_COUNT(sn_probe_strengths)];
	*chosen = 0;
	SN_TRY(training_rows(&rows, p, f, judge));
	if (!all_classes_train(p, rows.weight)) return SN_OK;
	for (int s = 0, rises = 0; s < SN_COUNT(sn_probe_strengths) && rises < 2; s++) {
		sn_logreg_options o = { .c = sn_probe_strengths[s], .tol = 1e-3, .start = s ? &m[s - 1] : NULL };
		SN_TRY(sn_logreg_fit(&m[s], p->arena, &rows, p->y, p->n_class, &o));
		SN_TRY(score_block(NULL, &loss, p, &m[s], rows.x, judge));
		rises = loss > best ? rises + 1 : 0;
		if (loss < best) best = loss, *chosen = s;
	}
	return SN_OK;
}

static sn_status score_fold(sn_probe_scores *out, const problem *p, int f, double strength, int *chosen)
{
	sn_rows rows;
	sn_logreg m;
	if (strength <= 0) SN_TRY(choose_strength(chosen, p, f));
	SN_TRY(training_rows(&rows, p, f, f));
	if (!all_classes_train(p, rows.weight)) return SN_OK;
	sn_logreg_options o = { .c = strength > 0 ? strength : sn_probe_strengths[*chosen], .tol = 1e-5 };
	SN_TRY(sn_logreg_fit(&m, p->arena, &rows, p->y, p->n_class, &o));
	out->n_unconverged += !m.converged;
	return score_block(out, NULL, p, &m, rows.x, f);
}

static sn_status score_many(sn_probe_scores *out, const problem *p, double strength)
{
	int *chosen;
	SN_NEW(chosen, p->arena, int, p->n_fold);
	for (int64_t i = 0; i < p->n; i++) {
		out->bits[i] = (float)-log2(p->n_class);
		out->right[i] = 1 / (float)p->n_class;
	}
	for (int f = 0; f < p->n_fold; f++) {
		sn_mark mark = sn_arena_mark(p->arena);
		SN_TRY(sn_poll(sn_arena_ctx(p->arena)));
		SN_TRY(score_fold(out, p, f, strength, &chosen[f]));
		sn_arena_reset(p->arena, mark);
	}
	out->strength = strength > 0 ? strength : most_chosen(chosen, p->n_fold);
	return SN_OK;
}

sn_status sn_probe_score(sn_probe_scores *out, sn_arena *arena, const float *x, int64_t n, int64_t d, const int32_t *y,
                         int n_class, const int32_t *fold, int n_fold, double strength)
{
	SN_TRY(new_scores(out, arena, n));
	if (n_class == 2) return score_two(out, arena, x, n, d, y, fold, n_fold, strength);
	problem p = { .arena = arena, .x = x, .n = n, .d = d, .y = y, .fold = fold, .n_class = n_class, .n_fold = n_fold };
	return score_many(out, &p, strength);
}

/* ---- baselines ---- */

sn_status sn_probe_null(float **bits, sn_arena *arena, const sn_probe_rows *rows)
{
	enum { MOST_FOLDS = 64 };
	int64_t *in_class, *in_fold, *in_both;   /* rows of each class, block, and both */
	SN_NEW(*bits, arena, float, rows->n);
	SN_NEW(in_class, arena, int64_t, rows->n_class);
	SN_NEW(in_fold, arena, int64_t, MOST_FOLDS);
	SN_NEW(in_both, arena, int64_t, MOST_FOLDS * rows->n_class);
	for (int64_t i = 0; i < rows->n; i++) {
		in_class[rows->y[i]]++;
		in_fold[rows->fold[i]]++;
		in_both[rows->fold[i] * rows->n_class + rows->y[i]]++;
	}
	for (int64_t i = 0; i < rows->n; i++) {   /* one more of each class, so that none is impossible */
		int64_t own = 1 + in_class[rows->y[i]] - in_both[rows->fold[i] * rows->n_class + rows->y[i]];
		(*bits)[i] = (float)log2((double)own / (double)(rows->n_class + rows->n - in_fold[rows->fold[i]]));
	}
	return SN_OK;
}

sn_status sn_probe_control(int32_t **y, sn_arena *arena, const sn_probe_rows *rows, uint64_t seed, uint64_t key)
{
	int64_t *order, *row;
	int32_t *of_type;
	SN_NEW(*y, arena, int32_t, rows->n);
	SN_NEW(order, arena, int64_t, rows->n_type);
	SN_NEW(row, arena, int64_t, rows->n);
	SN_NEW(of_type, arena, int32_t, rows->n_type);
	sn_rng rng = sn_rng_make(seed, key);
	sn_rng_permute(&rng, order, rows->n_type);
	sn_rng_permute(&rng, row, rows->n);
	for (int t = 0; t < rows->n_type; t++) of_type[order[t]] = rows->y[row[t % rows->n]];
	for (int64_t i = 0; i < rows->n; i++) (*y)[i] = of_type[rows->type[i]];
	return SN_OK;
}
