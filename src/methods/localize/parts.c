/* Heads and MLPs: what each would move, by gradients; the largest confirmed by patching, beside what another lemma
 * alone moves there. */
#include "methods/localize/localize.h"

#include "base/base.h"
#include "model/estimate.h"

#include <math.h>
#include <stdlib.h>

/* The directed pairs of one kind. */
typedef struct pairs {
	int64_t n;
	sn_pair *pair;
	sn_boot_items units;
} pairs;

static sn_status open_pairs(pairs *out, const sn_evidence *ev, sn_pair_kind kind)
{
	int64_t *number;
	SN_TRY(sn_localize_pairs_of(ev, kind, &number, &out->n));
	SN_NEW(out->pair, ev->arena, sn_pair, out->n);
	for (int64_t i = 0; i < out->n; i++) out->pair[i] = ev->items->pair[number[i]];
	return sn_localize_pair_units(&out->units, ev, number, out->n);
}

static int n_cell(const sn_evidence *ev) { return (ev->n_layer - 1) * ev->n_part * (ev->n_role + 1); }

static sn_spot part_spot(const sn_evidence *ev, int cell)
{
	int place = cell % (ev->n_role + 1), part = cell / (ev->n_role + 1) % ev->n_part;
	int block = cell / (ev->n_role + 1) / ev->n_part;
	bool mlp = part == ev->n_part - 1;
	sn_spot spot = { .site = { .kind = mlp ? SN_SITE_MLP_OUT : SN_SITE_Z,
							   .layer = (int16_t)block,
							   .head = (int16_t)(mlp ? 0 : part + 1) },
					 .place = place == ev->n_role ? SN_PLACE_OTHER : SN_PLACE_ROLE,
					 .arg = place == ev->n_role ? 0 : place };
	if (ev->items->n_unequal > 0 && spot.place == SN_PLACE_ROLE) spot.place = SN_PLACE_ROLE_LAST;
	return spot;
}

/* ---- shares of D ---- */

/* D of the pairs that have a place: [1, n_role + 1]. */
static sn_status d_by_place(sn_quantity *out, const sn_evidence *ev, const pairs *m, const sn_exchange *x)
{
	int n_place = ev->n_role + 1;
	float *whole;
	SN_NEW(whole, ev->arena, float, m->n *n_place);
	for (int64_t i = 0; i < m->n; i++)
		for (int p = 0; p < n_place; p++) {
			double d = ev->items->item[m->pair[i].base].n * (x->base[i] - x->source[i]);
			whole[i * n_place + p] = isnan(x->ld[i * x->n_patch + p]) ? NAN : (float)d;
		}
	return sn_localize_quantity(out, ev, &m->units, whole, 1, n_place);
}

/* Divides by D of each patch's place; place [n_patch]. */
static sn_status in_shares(sn_quantity *q, const sn_evidence *ev, const sn_quantity *d, const int *place, int n_patch)
{
	sn_reps divisor;
	SN_TRY(sn_reps_select(&divisor, ev->arena, &d->reps, place, n_patch));
	sn_reps_divide(&q->reps, &divisor);
	return sn_localize_bands(q, ev);
}

/* Means over pairs of what each patch moves. */
static sn_status shares(sn_quantity *out, const sn_evidence *ev, const pairs *m, const sn_exchange *x,
						const sn_quantity *d, const int *place, int n_layer)
{
	float *moved;
	SN_NEW(moved, ev->arena, float, m->n * x->n_patch);
	for (int64_t i = 0; i < m->n; i++)
		for (int c = 0; c < x->n_patch; c++)
			moved[i * x->n_patch + c] =
				(float)(ev->items->item[m->pair[i].base].n * (x->base[i] - x->ld[i * x->n_patch + c]));
	SN_TRY(sn_localize_quantity(out, ev, &m->units, moved, n_layer, x->n_patch / n_layer));
	return in_shares(out, ev, d, place, x->n_patch);
}

/* RMS over ordered pairs of what each patch moves. */
static sn_status floors(sn_quantity *out, const sn_evidence *ev, const pairs *m, const sn_exchange *x,
						const sn_quantity *d, const int *place)
{
	float *square;
	SN_NEW(square, ev->arena, float, m->n * x->n_patch);
	for (int64_t i = 0; i < m->n; i++)
		for (int c = 0; c < x->n_patch; c++) {
			double moved = x->base[i] - x->ld[i * x->n_patch + c];
			square[i * x->n_patch + c] = (float)(moved * moved);
		}
	SN_TRY(sn_localize_quantity(out, ev, &m->units, square, 1, x->n_patch));
	sn_reps_sqrt(&out->reps);
	return in_shares(out, ev, d, place, x->n_patch);
}

/* ---- estimates, and the largest of them patched ---- */

typedef struct size {
	double value;
	int cell;
} size;

static int larger_first(const void *a, const void *b)
{
	const size *x = a, *y = b;
	if (x->value != y->value) return (x->value < y->value) - (x->value > y->value);
	return (x->cell > y->cell) - (x->cell < y->cell);
}

static sn_status find_top(sn_evidence *ev)
{
	int n = 0;
	size *list;
	SN_NEW(list, ev->arena, size, n_cell(ev));
	for (int c = 0; c < n_cell(ev); c++)
		if (isfinite(ev->part.reps.point[c])) list[n++] = (size){ fabs(ev->part.reps.point[c]), c };
	qsort(list, (size_t)n, sizeof *list, larger_first);
	ev->n_top = SN_MIN(n, ev->options.n_part_top);
	SN_NEW(ev->top, ev->arena, int, ev->n_top);
	for (int i = 0; i < ev->n_top; i++) ev->top[i] = list[i].cell;
	return SN_OK;
}

static sn_status estimate(sn_evidence *ev, sn_ctx *ctx, sn_model *model, const pairs *m, sn_quantity *d,
						  sn_arena *scratch)
{
	sn_exchange x;
	sn_spot *spot;
	int *place;
	SN_NEW(spot, scratch, sn_spot, n_cell(ev));
	SN_NEW(place, scratch, int, n_cell(ev));
	for (int c = 0; c < n_cell(ev); c++) {
		spot[c] = part_spot(ev, c);
		place[c] = c % (ev->n_role + 1);
	}
	/* the line between embeddings needs members of one length */
	sn_estimate_how how = { .steps = ev->items->n_unequal > 0 ? 0 : ev->options.part_steps, .lean = true };
	SN_TRY(sn_interchange_estimate(&x, ctx, model, ev->items, m->pair, m->n, spot, n_cell(ev), how, scratch));
	SN_TRY(d_by_place(d, ev, m, &x));
	SN_TRY(shares(&ev->part, ev, m, &x, d, place, ev->n_layer - 1));
	return find_top(ev);
}

static double less(double effect, double placebo, bool against)
{
	return against ? fmin(effect + placebo, 0) : effect - placebo;
}

/* What is left of the effects when what another lemma alone moves is taken off, as from E. Parts that work against the
 * choice lose it of their size, and no more than that: what is left never speaks for the choice. */
static sn_status less_placebo(sn_quantity *out, const sn_evidence *ev, const sn_quantity *effect,
							  const sn_quantity *placebo)
{
	*out = *effect;
	SN_TRY(sn_reps_copy(&out->reps, ev->arena, &effect->reps));
	for (int c = 0; c < effect->n_col; c++) {
		bool against = effect->reps.point[c] < 0;
		out->reps.point[c] = less(effect->reps.point[c], placebo->reps.point[c], against);
		for (int64_t b = 0; b < out->reps.n_boot; b++) {
			int64_t at = b * out->reps.n_cell + c;
			out->reps.rep[at] = less(effect->reps.rep[at], placebo->reps.rep[at], against);
		}
	}
	return sn_localize_bands(out, ev);
}

/* The patches of the largest estimates, and the places they are at. */
static sn_status list_top(sn_patch **patch, int **place, const sn_evidence *ev, sn_arena *scratch)
{
	SN_NEW(*patch, scratch, sn_patch, ev->n_top);
	SN_NEW(*place, scratch, int, ev->n_top);
	for (int i = 0; i < ev->n_top; i++) {
		(*patch)[i].spot = part_spot(ev, ev->top[i]);
		(*place)[i] = ev->top[i] % (ev->n_role + 1);
	}
	return SN_OK;
}

static sn_status confirm(sn_evidence *ev, sn_ctx *ctx, sn_model *model, const pairs *m, const sn_quantity *d,
						 sn_arena *scratch)
{
	sn_exchange x;
	sn_patch *patch;
	pairs placebo;
	int *place;
	if (ev->n_top == 0) return SN_OK;
	SN_TRY(list_top(&patch, &place, ev, scratch));
	SN_TRY(sn_interchange(&x, ctx, model, ev->items, m->pair, m->n, patch, ev->n_top, false, scratch));
	SN_TRY(shares(&ev->top_patched, ev, m, &x, d, place, 1));
	ev->top_effect = ev->top_patched;
	SN_TRY(open_pairs(&placebo, ev, SN_PAIR_PLACEBO));
	if (placebo.n == 0) return SN_OK;
	SN_TRY(sn_interchange(&x, ctx, model, ev->items, placebo.pair, placebo.n, patch, ev->n_top, false, scratch));
	SN_TRY(floors(&ev->top_placebo, ev, &placebo, &x, d, place));
	return ev->swaps ? less_placebo(&ev->top_effect, ev, &ev->top_patched, &ev->top_placebo) : SN_OK;
}

static sn_status measure(sn_evidence *ev, sn_ctx *ctx, sn_model *model, sn_arena *scratch)
{
	pairs m;
	sn_quantity d;
	ev->n_part = sn_model_get_info(model)->n_head + 1;
	SN_TRY(open_pairs(&m, ev, SN_PAIR_MAIN));
	SN_TRY(estimate(ev, ctx, model, &m, &d, scratch));
	return confirm(ev, ctx, model, &m, &d, scratch);
}

sn_status sn_localize_parts(sn_evidence *ev, sn_ctx *ctx, sn_model *model)
{
	sn_arena *scratch;
	SN_TRY(sn_arena_open(&scratch, ctx));
	sn_status status = measure(ev, ctx, model, scratch);
	sn_arena_close(scratch);
	return status;
}
