/* Encoded: what held-out linear probes read at each cell, in bits, over random models and over surface features. */
#include "methods/localize/localize.h"

#include "base/work.h"
#include "stats/probe.h"

#include <math.h>
#include <string.h>

/* Held-out log2 probabilities of the test prefixes, [n_label][n_test, n_cell]; NaN where a prefix lacks the role. */
typedef struct scores {
	int n_label, n_cell;
	float **bits, **right; /* right: 1, 0, or 0.5 at p = 1/2 */
	double *strength;      /* [n_cell] the C that most blocks chose for label 0 */
	int *chosen;           /* [n_cell, n_fold] number of each block's C for label 0 */
	int n_unconverged;
} scores;

static sn_status new_scores(scores *s, const sn_evidence *ev, int n_label, int n_cell)
{
	*s = (scores){ .n_label = n_label, .n_cell = n_cell };
	SN_NEW(s->bits, ev->arena, float *, n_label);
	SN_NEW(s->right, ev->arena, float *, n_label);
	SN_NEW(s->strength, ev->arena, double, n_cell);
	SN_NEW(s->chosen, ev->arena, int, n_cell * ev->items->n_fold);
	for (int b = 0; b < n_label; b++) {
		SN_NEW(s->bits[b], ev->arena, float, ev->n_test * n_cell);
		SN_NEW(s->right[b], ev->arena, float, ev->n_test * n_cell);
		for (int64_t i = 0; i < ev->n_test * n_cell; i++) s->bits[b][i] = s->right[b][i] = NAN;
	}
	return SN_OK;
}

sn_status sn_localize_plan(sn_probe_plan *plan, const sn_evidence *ev, const sn_gather *g, int r, int n_label,
						   sn_arena *arena)
{
	const sn_items *items = ev->items;
	int64_t n = g->n[r];
	int32_t *fold;
	uint8_t *use;
	int8_t *z;
	SN_NEW(fold, arena, int32_t, n);
	SN_NEW(use, arena, uint8_t, n);
	SN_NEW(z, arena, int8_t, n_label * n);
	for (int64_t i = 0; i < n; i++) {
		const sn_item *item = &items->item[g->item[r][i]];
		fold[i] = item->fold;
		use[i] = item->test_lead ? SN_USE_TEST : SN_USE_FIT;
		for (int b = 0; b < n_label; b++) z[b * n + i] = items->z[g->item[r][i] * items->n_label + b];
	}
	*plan = (sn_probe_plan){ .n = n,
							 .d = g->d,
							 .n_fold = items->n_fold,
							 .fold = fold,
							 .use = use,
							 .n_label = n_label,
							 .z = z,
							 .n_strength = SN_COUNT(sn_probe_strengths),
							 .strength = sn_probe_strengths };
	return SN_OK;
}

/* The strength that most blocks chose; the smaller of equals. */
static double usual_strength(const sn_probe_result *result)
{
	int count[SN_COUNT(sn_probe_strengths)] = { 0 }, best = 0;
	for (int f = 0; f < result->n_fold; f++)
		if (result->chosen[f] >= 0) count[result->chosen[f]]++;
	for (int s = 1; s < SN_COUNT(sn_probe_strengths); s++)
		if (count[s] > count[best]) best = s;
	return sn_probe_strengths[best];
}

static void put_scores(scores *s, const sn_evidence *ev, const sn_gather *g, int r, int cell,
					   const sn_probe_result *result)
{
	s->strength[cell] = usual_strength(result);
	s->n_unconverged += result->n_unconverged;
	for (int f = 0; f < result->n_fold; f++) s->chosen[cell * result->n_fold + f] = SN_MAX(result->chosen[f], 0);
	for (int b = 0; b < s->n_label; b++)
		for (int64_t i = 0; i < g->n[r]; i++) {
			int64_t item = g->item[r][i], at = ev->test_slot[item] * s->n_cell + cell;
			int8_t z = ev->items->z[item * ev->items->n_label + b];
			double p = result->p[b * g->n[r] + i];
			if (ev->test_slot[item] < 0 || z == 0 || isnan(p)) continue;
			s->bits[b][at] = (float)result->bits[b * g->n[r] + i];
			s->right[b][at] = p > 0.5 ? z > 0 : p < 0.5 ? z < 0 : 0.5f;
		}
}

static sn_status probe_cell(sn_probe_result *out, const sn_evidence *ev, const sn_gather *g, int r, int n_label,
							const float *x, int64_t width, sn_arena *arena)
{
	sn_probe_plan plan;
	SN_TRY(sn_localize_plan(&plan, ev, g, r, n_label, arena));
	plan.d = width;
	return sn_probe_cv(out, arena, &plan, x);
}

/* The cells of one model as a list of work. A result: a head, the blocks' strengths, then bits and right of the test
 * prefixes for each label. */
typedef struct cell_head {
	double strength;
	int64_t n_unconverged;
} cell_head;

typedef struct cells {
	scores *s;
	const sn_evidence *ev;
	const sn_gather *g;
} cells;

static size_t cell_size(const cells *l)
{
	size_t numbers = (size_t)l->ev->items->n_fold + 2 * (size_t)l->s->n_label * (size_t)l->ev->n_test;
	_Static_assert(sizeof(int) == sizeof(float) && _Alignof(cell_head) == 8, "numbers of four bytes behind a head");
	return sizeof(cell_head) + (numbers + numbers % 2) * sizeof(float); /* results stand one behind the other */
}

/* Copies a cell's numbers between the scores and a result. */
static void carry_cell(const cells *l, int c, char *result, bool back)
{
	scores *s = l->s;
	int n_fold = l->ev->items->n_fold, *chosen = (int *)(result + sizeof(cell_head));
	float *column = (float *)(chosen + n_fold);
	for (int f = 0; f < n_fold; f++) {
		int *own = &s->chosen[c * n_fold + f];
		*(back ? own : &chosen[f]) = *(back ? &chosen[f] : own);
	}
	for (int b = 0; b < 2 * s->n_label; b++)
		for (int64_t i = 0; i < l->ev->n_test; i++, column++) {
			float *own = (b % 2 ? s->right : s->bits)[b / 2] + i * s->n_cell + c;
			*(back ? own : column) = *(back ? column : own);
		}
}

static sn_status run_cell(sn_ctx *ctx, void *arg, int64_t i, void *result)
{
	const cells *l = arg;
	int c = (int)i, r = c % l->g->n_role, before = l->s->n_unconverged;
	sn_arena *scratch;
	sn_probe_result probe;
	sn_status status = SN_OK;
	SN_TRY(sn_arena_open(&scratch, ctx));
	if (l->g->n[r] > 0) {
		status = probe_cell(&probe, l->ev, l->g, r, l->s->n_label, l->g->x[c], l->g->d, scratch);
		if (status == SN_OK) put_scores(l->s, l->ev, l->g, r, c, &probe);
	}
	sn_arena_close(scratch);
	*(cell_head *)result = (cell_head){ l->s->strength[c], l->s->n_unconverged - before };
	l->s->n_unconverged = before; /* counted when it is taken */
	carry_cell(l, c, result, false);
	return status;
}

static sn_status take_cell(sn_ctx *ctx, void *arg, int64_t i, const void *result)
{
	(void)ctx;
	const cells *l = arg;
	const cell_head *head = result;
	l->s->strength[i] = head->strength;
	l->s->n_unconverged += (int)head->n_unconverged;
	carry_cell(l, (int)i, (char *)(uintptr_t)result, true);
	return SN_OK;
}

static sn_status score_model(scores *s, sn_evidence *ev, sn_ctx *ctx, const sn_gather *g, int n_label, const char *what)
{
	SN_TRY(new_scores(s, ev, n_label, g->n_layer * g->n_role));
	cells l = { s, ev, g };
	SN_TRY(sn_work_run(ctx, &(sn_work){ .what = what,
										.n = s->n_cell,
										.size = cell_size(&l),
										.run = run_cell,
										.arg = &l,
										.take = take_cell }));
	ev->n_unconverged += s->n_unconverged;
	return SN_OK;
}

/* ---- baselines ---- */

static sn_status score_surface(scores *s, sn_evidence *ev, sn_ctx *ctx, const sn_gather *g)
{
	SN_TRY(new_scores(s, ev, 1, g->n_role));
	sn_arena *scratch;
	SN_TRY(sn_arena_open(&scratch, ctx));
	sn_status status = SN_OK;
	for (int r = 0; r < g->n_role && status == SN_OK; r++) {
		float *x;
		int64_t width;
		sn_probe_result result;
		if (g->n[r] == 0) continue;
		status = sn_localize_surface(ev, g, r, scratch, &x, &width);
		if (status == SN_OK) status = probe_cell(&result, ev, g, r, 1, x, width, scratch);
		if (status == SN_OK) put_scores(s, ev, g, r, r, &result);
	}
	sn_arena_close(scratch);
	return status;
}

static sn_status score_one_random(scores *s, sn_evidence *ev, sn_ctx *ctx, const sn_model *like, int number)
{
	sn_model *model;
	SN_TRY(sn_model_open_random(&model, ctx, like, sn_rng_bits(sn_ctx_seed(ctx), 0x52414e44, (uint64_t)number)));
	sn_arena *arena;
	sn_status status = sn_arena_open(&arena, ctx);
	if (status == SN_OK) {
		sn_gather random;
		status = sn_gather_residuals(&random, ctx, model, ev->items, ev->probe, ev->n_probe, 0, ev->n_role, arena);
		char what[64];
		sn_format(what, sizeof what, "probes, random model %d of %d", number + 1, ev->options.n_random);
		if (status == SN_OK) status = score_model(s, ev, ctx, &random, 1, what);
		sn_arena_close(arena);
	}
	sn_model_close(model);
	return status;
}

sn_status sn_localize_random(sn_evidence *ev, sn_ctx *ctx, const sn_model *like)
{
	scores s;
	int64_t n = ev->n_test * ev->n_layer * ev->n_role;
	SN_NEW(ev->random_bits, ev->arena, float, n);
	for (int m = 0; m < ev->options.n_random; m++) {
		SN_TRY(score_one_random(&s, ev, ctx, like, m));
		for (int64_t i = 0; i < n; i++) ev->random_bits[i] += s.bits[0][i] / (float)ev->options.n_random;
	}
	return SN_OK;
}

/* ---- quantities ---- */

/* A balanced label holds one bit: an upper bound beyond it says no more than 1. */
static void cut_at_one_bit(sn_quantity *q)
{
	for (int c = 0; c < q->n_layer * q->n_col; c++) {
		if (q->band[c].high > 1) q->band[c].high = 1;
		if (q->band[c].sim_high > 1) q->band[c].sim_high = 1;
	}
}

sn_status sn_localize_info(sn_quantity *out, const sn_evidence *ev, const float *bits, int n_layer, int n_col)
{
	sn_boot_items units;
	SN_TRY(sn_localize_item_units(&units, ev, ev->test, ev->n_test, -1));
	SN_TRY(sn_localize_quantity(out, ev, &units, bits, n_layer, n_col));
	sn_reps_affine(&out->reps, 1, 1);
	SN_TRY(sn_localize_bands(out, ev));
	cut_at_one_bit(out);
	return SN_OK;
}

static sn_status accuracy_of(sn_share *out, const sn_evidence *ev, const float *right, int label, int n_cell)
{
	sn_boot_items units;
	int64_t *n_lemma;
	sn_quantity q;
	SN_TRY(sn_localize_item_units(&units, ev, ev->test, ev->n_test, label));
	SN_TRY(sn_localize_quantity(&q, ev, &units, right, 1, n_cell));
	SN_NEW(n_lemma, ev->arena, int64_t, n_cell);
	SN_TRY(sn_localize_count_lemmas(ev, ev->test, ev->n_test, right, n_cell, n_lemma));
	for (int c = 0; c < n_cell; c++) out[c] = sn_localize_share(ev, q.reps.point[c], n_lemma[c]);
	return SN_OK;
}

static sn_status by_condition(sn_evidence *ev, const float *bits)
{
	int n_cell = ev->n_layer * ev->n_role;
	SN_NEW(ev->info_condition, ev->arena, sn_quantity, ev->items->n_condition);
	for (int k = 0; k < ev->items->n_condition; k++) {
		float *part;
		SN_NEW(part, ev->arena, float, ev->n_test * n_cell);
		for (int64_t i = 0; i < ev->n_test; i++)
			for (int c = 0; c < n_cell; c++)
				part[i * n_cell + c] = ev->items->item[ev->test[i]].condition == k ? bits[i * n_cell + c] : NAN;
		SN_TRY(sn_localize_info(&ev->info_condition[k], ev, part, ev->n_layer, ev->n_role));
	}
	return SN_OK;
}

static sn_status over_embedding(sn_evidence *ev)
{
	sn_quantity first;
	SN_TRY(sn_localize_spread(&first, ev, &ev->info, ev->n_layer));
	return sn_localize_difference(&ev->over_embedding, ev, &ev->info, &first);
}

static sn_status to_quantities(sn_evidence *ev, const scores *model, const scores *surface)
{
	int n_cell = ev->n_layer * ev->n_role;
	SN_NEW(ev->info_label, ev->arena, sn_quantity, model->n_label);
	SN_NEW(ev->accuracy, ev->arena, sn_share, model->n_label * n_cell);
	for (int b = 0; b < model->n_label; b++) {
		SN_TRY(sn_localize_info(&ev->info_label[b], ev, model->bits[b], ev->n_layer, ev->n_role));
		SN_TRY(accuracy_of(ev->accuracy + b * n_cell, ev, model->right[b], b, n_cell));
	}
	ev->info = ev->info_label[0];
	SN_TRY(by_condition(ev, model->bits[0]));
	SN_TRY(over_embedding(ev));
	sn_quantity plain;
	SN_TRY(sn_localize_info(&plain, ev, surface->bits[0], 1, ev->n_role));
	SN_TRY(sn_localize_spread(&ev->surface, ev, &plain, ev->n_layer));
	SN_TRY(sn_localize_bands(&ev->surface, ev));
	SN_TRY(sn_localize_difference(&ev->over_surface, ev, &ev->info, &ev->surface));
	if (ev->options.n_random == 0) return SN_OK;
	SN_TRY(sn_localize_info(&ev->random, ev, ev->random_bits, ev->n_layer, ev->n_role));
	return sn_localize_difference(&ev->over_random, ev, &ev->info, &ev->random);
}

sn_status sn_localize_encoded(sn_evidence *ev, sn_ctx *ctx, const sn_gather *g)
{
	scores own, surface;
	double clock = sn_localize_now();
	SN_TRY(score_model(&own, ev, ctx, g, ev->items->n_label, "probes"));
	SN_TRY(score_surface(&surface, ev, ctx, g));
	SN_TRY(to_quantities(ev, &own, &surface));
	ev->strength = own.strength;
	sn_localize_lap(ev, SN_STAGE_PROBE, &clock);
	if (ev->options.n_refit > 0) SN_TRY(sn_localize_refit(ev, ctx, g, own.chosen));
	sn_localize_lap(ev, SN_STAGE_REFIT, &clock);
	return SN_OK;
}
