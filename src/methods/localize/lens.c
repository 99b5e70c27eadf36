/* From which layer on the last position has the choice, read by the logit lens. */
#include "methods/localize/localize.h"

#include "base/base.h"
#include "model/choice.h"

/* The directed main pairs, and what the lens reads of each at each boundary: [n, n_layer]. */
typedef struct reading {
	int64_t n, *pair, *base;
	sn_boot_items units;
	float *moved; /* what the pair moves, nats */
	float *right; /* whether the base's choice is right */
} reading;

static sn_status open_reading(reading *r, const sn_evidence *ev)
{
	SN_TRY(sn_localize_pairs_of(ev, SN_PAIR_MAIN, &r->pair, &r->n));
	SN_TRY(sn_localize_pair_units(&r->units, ev, r->pair, r->n));
	SN_NEW(r->base, ev->arena, int64_t, r->n);
	SN_NEW(r->moved, ev->arena, float, r->n * ev->n_layer);
	SN_NEW(r->right, ev->arena, float, r->n * ev->n_layer);
	for (int64_t i = 0; i < r->n; i++) r->base[i] = ev->items->pair[r->pair[i]].base;
	return SN_OK;
}

/* ld [n_layer, n_member] */
static void read_pairs(reading *r, const sn_evidence *ev, const double *ld)
{
	for (int64_t i = 0; i < r->n; i++)
		for (int l = 0; l < ev->n_layer; l++) {
			const double *at = ld + l * ev->n_member;
			double n = ev->items->item[r->base[i]].n, base = at[ev->slot[r->base[i]]];
			double source = at[ev->slot[ev->items->pair[r->pair[i]].source]];
			r->moved[i * ev->n_layer + l] = (float)(n * (base - source));
			r->right[i * ev->n_layer + l] = n * base > 0 ? 1 : n * base < 0 ? 0 : 0.5f;
		}
}

static sn_status share_of_d(sn_evidence *ev, const reading *r)
{
	sn_quantity d, divisor;
	SN_TRY(sn_localize_quantity(&ev->lens, ev, &r->units, r->moved, ev->n_layer, 1));
	SN_TRY(sn_localize_d(&d, ev, r->pair, r->n));
	SN_TRY(sn_localize_spread(&divisor, ev, &d, ev->n_layer));
	sn_reps_divide(&ev->lens.reps, &divisor.reps);
	return sn_localize_bands(&ev->lens, ev);
}

static sn_status share_right(sn_evidence *ev, const reading *r)
{
	sn_quantity share;
	int64_t *n_lemma;
	SN_NEW(n_lemma, ev->arena, int64_t, ev->n_layer);
	SN_TRY(sn_localize_quantity(&share, ev, &r->units, r->right, ev->n_layer, 1));
	SN_TRY(sn_localize_count_lemmas(ev, r->base, r->n, r->right, ev->n_layer, n_lemma));
	SN_NEW(ev->lens_right, ev->arena, sn_share, ev->n_layer);
	for (int l = 0; l < ev->n_layer; l++)
		ev->lens_right[l] = sn_localize_share(ev, share.reps.point[l], n_lemma[l]);
	return SN_OK;
}

sn_status sn_localize_lens(sn_evidence *ev, sn_ctx *ctx, sn_model *model)
{
	reading r;
	double *ld;
	sn_progress(ctx, "reading the choice by the lens", 0, 1);
	SN_TRY(open_reading(&r, ev));
	SN_NEW(ld, ev->arena, double, ev->n_layer * ev->n_member);
	SN_TRY(sn_choice_lens(ctx, model, ev->items, ev->member, ev->n_member, ld));
	read_pairs(&r, ev, ld);
	SN_TRY(share_of_d(ev, &r));
	SN_TRY(share_right(ev, &r));
	return sn_localize_first(&ev->lens_first, ev, "lens", &ev->lens, 0, -1, 0.5);
}
