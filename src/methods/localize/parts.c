/* Heads and MLPs: what each would move, by gradients, the largest confirmed by patching; and from which layer on the
 * last position, read by the logit lens, has the choice. */
#include "methods/localize/localize.h"

#include "base/base.h"
#include "model/choice.h"
#include "model/estimate.h"

#include <math.h>
#include <stdlib.h>

/* The directed main pairs. */
typedef struct mains {
	int64_t n, *number;
	sn_pair *pair;
	sn_boot_items units;
} mains;

static sn_status open_mains(mains *m, const sn_evidence *ev)
{
	SN_TRY(sn_localize_pairs_of(ev, SN_PAIR_MAIN, &m->number, &m->n));
	SN_NEW(m->pair, ev->arena, sn_pair, m->n);
	for (int64_t i = 0; i < m->n; i++) m->pair[i] = ev->items->pair[m->number[i]];
	return sn_localize_pair_units(&m->units, ev, m->number, m->n);
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
static sn_status d_by_place(sn_quantity *out, const sn_evidence *ev, const mains *m, const sn_exchange *x)
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

/* place [n_patch]: which place each patch is at. */
static sn_status shares(sn_quantity *out, const sn_evidence *ev, const mains *m, const sn_exchange *x,
						const sn_quantity *d, const int *place, int n_layer)
{
	float *moved;
	sn_reps divisor;
	SN_NEW(moved, ev->arena, float, m->n * x->n_patch);
	for (int64_t i = 0; i < m->n; i++)
		for (int c = 0; c < x->n_patch; c++)
			moved[i * x->n_patch + c] =
				(float)(ev->items->item[m->pair[i].base].n * (x->base[i] - x->ld[i * x->n_patch + c]));
	SN_TRY(sn_localize_quantity(out, ev, &m->units, moved, n_layer, x->n_patch / n_layer));
	SN_TRY(sn_reps_select(&divisor, ev->arena, &d->reps, place, x->n_patch));
	sn_reps_divide(&out->reps, &divisor);
	return sn_localize_bands(out, ev);
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

static sn_status estimate(sn_evidence *ev, sn_ctx *ctx, sn_model *model, const mains *m, sn_quantity *d,
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

static sn_status confirm(sn_evidence *ev, sn_ctx *ctx, sn_model *model, const mains *m, const sn_quantity *d,
						 sn_arena *scratch)
{
	sn_exchange x;
	sn_patch *patch;
	int *place;
	if (ev->n_top == 0) return SN_OK;
	SN_NEW(patch, scratch, sn_patch, ev->n_top);
	SN_NEW(place, scratch, int, ev->n_top);
	for (int i = 0; i < ev->n_top; i++) {
		patch[i].spot = part_spot(ev, ev->top[i]);
		place[i] = ev->top[i] % (ev->n_role + 1);
	}
	SN_TRY(sn_interchange(&x, ctx, model, ev->items, m->pair, m->n, patch, ev->n_top, false, scratch));
	return shares(&ev->top_patched, ev, m, &x, d, place, 1);
}

/* ---- the lens ---- */

/* Values of the pairs at each boundary: [n, n_layer] what the pair moves, nats, and whether the base's choice is right.
 */
static void lens_values(const sn_evidence *ev, const mains *m, const double *ld, float *moved, float *right)
{
	for (int64_t i = 0; i < m->n; i++)
		for (int l = 0; l < ev->n_layer; l++) {
			const double *at = ld + l * ev->n_member;
			double n = ev->items->item[m->pair[i].base].n, base = at[ev->slot[m->pair[i].base]];
			moved[i * ev->n_layer + l] = (float)(n * (base - at[ev->slot[m->pair[i].source]]));
			right[i * ev->n_layer + l] = n * base > 0 ? 1 : n * base < 0 ? 0 : 0.5f;
		}
}

static sn_status lens(sn_evidence *ev, sn_ctx *ctx, sn_model *model, const mains *m, sn_arena *scratch)
{
	double *ld;
	float *moved, *right;
	int64_t *base, *n_lemma;
	sn_quantity d, share_right, divisor;
	SN_NEW(ld, scratch, double, ev->n_layer * ev->n_member);
	SN_NEW(moved, ev->arena, float, m->n * ev->n_layer);
	SN_NEW(right, ev->arena, float, m->n * ev->n_layer);
	SN_NEW(base, scratch, int64_t, m->n);
	SN_NEW(n_lemma, scratch, int64_t, ev->n_layer);
	SN_TRY(sn_choice_lens(ctx, model, ev->items, ev->member, ev->n_member, ld));
	lens_values(ev, m, ld, moved, right);
	SN_TRY(sn_localize_quantity(&ev->lens, ev, &m->units, moved, ev->n_layer, 1));
	SN_TRY(sn_localize_d(&d, ev, m->number, m->n));
	SN_TRY(sn_localize_spread(&divisor, ev, &d, ev->n_layer));
	sn_reps_divide(&ev->lens.reps, &divisor.reps);
	SN_TRY(sn_localize_bands(&ev->lens, ev));
	SN_TRY(sn_localize_quantity(&share_right, ev, &m->units, right, ev->n_layer, 1));
	for (int64_t i = 0; i < m->n; i++) base[i] = m->pair[i].base;
	SN_TRY(sn_localize_count_lemmas(ev, base, m->n, right, ev->n_layer, n_lemma));
	SN_NEW(ev->lens_right, ev->arena, sn_share, ev->n_layer);
	for (int l = 0; l < ev->n_layer; l++)
		ev->lens_right[l] = sn_localize_share(ev, share_right.reps.point[l], n_lemma[l]);
	return sn_localize_first(&ev->lens_first, ev, "lens", &ev->lens, 0, -1, 0.5);
}

static sn_status measure(sn_evidence *ev, sn_ctx *ctx, sn_model *model, sn_arena *scratch)
{
	mains m;
	sn_quantity d;
	ev->n_part = sn_model_get_info(model)->n_head + 1;
	SN_TRY(open_mains(&m, ev));
	SN_TRY(estimate(ev, ctx, model, &m, &d, scratch));
	SN_TRY(confirm(ev, ctx, model, &m, &d, scratch));
	sn_progress(ctx, "reading the choice by the lens", 0, 1);
	return lens(ev, ctx, model, &m, scratch);
}

sn_status sn_localize_parts(sn_evidence *ev, sn_ctx *ctx, sn_model *model)
{
	sn_arena *scratch;
	SN_TRY(sn_arena_open(&scratch, ctx));
	sn_status status = measure(ev, ctx, model, scratch);
	sn_arena_close(scratch);
	return status;
}
