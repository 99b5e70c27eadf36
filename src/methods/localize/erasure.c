/* Erasure: what forgetting the encoding costs, beside erasing control labels and moving as far in random directions. */
#include "methods/localize/bank.h"

#include "base/base.h"

#include <math.h>
#include <stdlib.h>

/* ---- targets: which cells and scopes ---- */

static sn_status list_targets(sn_evidence *ev)
{
	double ignored;
	SN_NEW(ev->erased, ev->arena, sn_erased_cell, ev->n_layer * ev->n_role * SN_ERASE_SCOPES);
	for (int r = 0; r < ev->n_role; r++)
		for (int l = 0, seen = 0; l < ev->n_layer; l++) {
			if (ev->judgement[0][l * ev->n_role + r].e_sub != SN_ANSWER_YES || sn_tautology(ev, true, l, r, &ignored))
				continue;
			bool here = seen % ev->options.erase_step == 0;
			bool wide = ev->options.wide_step > 0 && seen % ev->options.wide_step == 0;
			seen++;
			for (int s = 0; s < SN_ERASE_SCOPES; s++)
				if (s == SN_ERASE_CELL ? here : wide)
					ev->erased[ev->n_erased++] = (sn_erased_cell){ .l = l, .r = r, .scope = (sn_erase_scope)s };
		}
	return SN_OK;
}

/* Where a target's erasures and shifts stand among all: the feature's, then its control labels'. */
typedef struct columns {
	int erasure, shift, n_draw;
} columns;

/* The controls' run: on which members, and where each target's draws stand. */
typedef struct controls {
	const int64_t *item;
	const columns *at;
	sn_erased run;
} controls;

static sn_status plan_target(sn_erasure *out, sn_bank *b, const sn_erased_cell *target)
{
	int first, n_each, n_draw = sn_bank_draws(b->ev, target->scope);
	SN_TRY(sn_bank_fit(b, target, &first, &n_each));
	for (int k = 0; k <= n_draw; k++) {
		int *list;
		SN_NEW(list, b->arena, int, n_each);
		for (int i = 0; i < n_each; i++) list[i] = target->scope == SN_ERASE_CELL ? first + k : first + k * n_each + i;
		out[k] = (sn_erasure){ .eraser = list, .n_eraser = n_each, .n_shift = k == 0 ? n_draw : 0 };
	}
	return SN_OK;
}

/* ---- scores ---- */

/* Members of main pairs, at most `most` of them, evenly spread over the pairs. */
static sn_status choose_items(int64_t **which, int64_t *n, const sn_evidence *ev, int64_t most)
{
	int64_t *pair, n_pair;
	SN_TRY(sn_localize_pairs_of(ev, SN_PAIR_MAIN, &pair, &n_pair));
	SN_NEW(*which, ev->arena, int64_t, n_pair);
	int64_t both = n_pair / 2, keep = most > 0 ? SN_MIN(both, (most + 1) / 2) : both;
	*n = 0;
	for (int64_t i = 0; i < keep; i++) {
		int64_t at = i * both / keep;
		(*which)[(*n)++] = ev->items->pair[pair[2 * at]].base;
		(*which)[(*n)++] = ev->items->pair[pair[2 * at + 1]].base;
	}
	return SN_OK;
}

/* S of each column of ld [n, n_column], on items with a value there; and S unerased on the same items, when whole is
 * given. */
static sn_status sensitivity(sn_quantity *out, sn_quantity *whole, const sn_evidence *ev, const int64_t *item,
							 int64_t n, const double *ld, int ld_width, const int *column, int n_column)
{
	float *x, *w;
	sn_boot_items units;
	SN_NEW(x, ev->arena, float, n * n_column);
	SN_NEW(w, ev->arena, float, n * n_column);
	for (int64_t i = 0; i < n; i++)
		for (int c = 0; c < n_column; c++) {
			double value = ld[i * ld_width + column[c]];
			x[i * n_column + c] = (float)(ev->items->item[item[i]].n * value);
			w[i * n_column + c] = isnan(value) ? NAN : (float)(ev->items->item[item[i]].n * ev->ld[ev->slot[item[i]]]);
		}
	SN_TRY(sn_localize_item_units(&units, ev, item, n, 0));
	SN_TRY(sn_localize_quantity(out, ev, &units, x, 1, n_column));
	return sn_localize_quantity(whole, ev, &units, w, 1, n_column);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The 95th percentile of X over the draws in columns first .. first + n_draw - 1 of ld [n_item, width]. */
static sn_status control_quantile(double *out, const sn_evidence *ev, const controls *c, const double *ld, int width,
								  int first, int n_draw)
{
	sn_mark mark = sn_arena_mark(ev->arena);
	int *column;
	double *x;
	sn_quantity s, whole;
	SN_NEW(column, ev->arena, int, n_draw);
	SN_NEW(x, ev->arena, double, n_draw);
	for (int k = 0; k < n_draw; k++) column[k] = first + k;
	SN_TRY(sensitivity(&s, &whole, ev, c->item, c->run.n_item, ld, width, column, n_draw));
	for (int k = 0; k < n_draw; k++) x[k] = 1 - s.reps.point[k] / whole.reps.point[k];
	qsort(x, (size_t)n_draw, sizeof *x, ascending);
	*out = sn_quantile_sorted(x, n_draw, 0.95);
	sn_arena_reset(ev->arena, mark);
	return SN_OK;
}

/* X of each target, from its eraser's run on all members. */
static sn_status score_targets(sn_evidence *ev, const sn_erased *run, const int64_t *item)
{
	int *column, n = ev->n_erased;
	sn_quantity x, whole;
	SN_NEW(column, ev->arena, int, n);
	for (int t = 0; t < n; t++) column[t] = t;
	SN_TRY(sensitivity(&x, &whole, ev, item, run->n_item, run->ld, run->n_erasure, column, n));
	sn_reps_divide(&x.reps, &whole.reps);
	sn_reps_affine(&x.reps, -1, 1);
	SN_TRY(sn_localize_bands(&x, ev));
	for (int t = 0; t < n; t++) ev->erased[t].x = x.band[t];
	return SN_OK;
}

static sn_status score_controls(sn_evidence *ev, const controls *c)
{
	const sn_erased *run = &c->run;
	for (int t = 0; t < ev->n_erased; t++) {
		sn_erased_cell *e = &ev->erased[t];
		const columns *at = &c->at[t];
		SN_TRY(control_quantile(&e->control_label, ev, c, run->ld, run->n_erasure, at->erasure + 1, at->n_draw));
		SN_TRY(control_quantile(&e->control_random, ev, c, run->shift, run->n_shift, at->shift, at->n_draw));
	}
	return SN_OK;
}

/* ---- the run ---- */

static sn_status plan_all(sn_bank *b, columns *at, sn_erasure *erasure, int *n)
{
	sn_evidence *ev = b->ev;
	int n_shift = 0;
	*n = 0;
	for (int t = 0; t < ev->n_erased; t++) {
		sn_progress(b->ctx, "erasers", t, ev->n_erased);
		at[t] = (columns){ *n, n_shift, sn_bank_draws(ev, ev->erased[t].scope) };
		SN_TRY(plan_target(erasure + *n, b, &ev->erased[t]));
		*n += 1 + at[t].n_draw;
		n_shift += at[t].n_draw;
		SN_TRY(sn_poll(b->ctx));
	}
	return SN_OK;
}

/* The targets' own erasers on all members of main pairs. */
static sn_status erase_all(sn_bank *b, const columns *at, const sn_erasure *erasure, sn_arena *scratch)
{
	sn_evidence *ev = b->ev;
	int64_t *item, n_item;
	sn_erasure *own;
	sn_erased run;
	SN_NEW(own, b->arena, sn_erasure, ev->n_erased);
	for (int t = 0; t < ev->n_erased; t++) {
		own[t] = erasure[at[t].erasure];
		own[t].n_shift = 0;
	}
	SN_TRY(choose_items(&item, &n_item, ev, 0));
	SN_TRY(sn_erase_run(&run, b->ctx, b->model, ev->items, item, n_item, b->eraser, b->n, own, ev->n_erased, scratch));
	return score_targets(ev, &run, item);
}

/* The controls, on fewer members; with them the targets' own erasers, for shifts are as long as what those take. */
static sn_status erase_controls(sn_bank *b, const columns *at, const sn_erasure *erasure, int n, sn_arena *scratch)
{
	sn_evidence *ev = b->ev;
	int64_t *item, n_item;
	controls c = { .at = at };
	SN_TRY(choose_items(&item, &n_item, ev, ev->options.n_control_item));
	c.item = item;
	SN_TRY(sn_erase_run(&c.run, b->ctx, b->model, ev->items, item, n_item, b->eraser, b->n, erasure, n, scratch));
	return score_controls(ev, &c);
}

static sn_status erase_targets(sn_bank *b, sn_arena *scratch)
{
	sn_evidence *ev = b->ev;
	int n;
	columns *at;
	sn_erasure *erasure;
	SN_NEW(at, b->arena, columns, ev->n_erased);
	SN_NEW(erasure, b->arena, sn_erasure, ev->n_erased * (1 + b->n_draw));
	SN_TRY(plan_all(b, at, erasure, &n));
	SN_TRY(erase_all(b, at, erasure, scratch));
	SN_TRY(erase_controls(b, at, erasure, n, scratch));
	return sn_bank_gates(b, scratch);
}

sn_status sn_localize_erasure(sn_evidence *ev, sn_ctx *ctx, sn_model *model, const sn_gather *g)
{
	SN_TRY(list_targets(ev));
	if (ev->n_erased == 0) return SN_OK;
	sn_arena *arena, *scratch = NULL;
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_bank b;
	sn_status status = sn_arena_open(&scratch, ctx);
	if (status == SN_OK) status = sn_bank_open(&b, ev, ctx, model, g, arena);
	if (status == SN_OK) status = erase_targets(&b, scratch);
	sn_arena_close(scratch);
	sn_arena_close(arena);
	return status;
}
