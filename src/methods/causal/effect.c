/* From what patched prefixes choose to shares of D, with their resamples. */
#include "methods/causal/causal.h"

#include <math.h>
#include <string.h>

static const double least_d = 0.2; /* nats */

/* What is measured on which pairs. */
typedef struct measured {
	const sn_causal *c;
	sn_pair_kind kind;
	const sn_pair *pair;
	int64_t n;
	const sn_exchange *x;
} measured;

/* The sign that makes an effect positive: the feature of the base that the pair flips. Placebo pairs flip none. */
static double sign_of(const measured *m, int64_t p)
{
	const sn_item *base = &m->c->items->item[m->pair[p].base];
	return m->kind == SN_PAIR_ATTRACTOR ? base->attractor_n : base->n;
}

/* Numerators n_b (LD_b - LD_{b<-s}), squared for placebo pairs, and for main pairs each cell's own n_b (LD_b - LD_s),
 * which exists where the numerator does. */
static sn_status fill_values(const measured *m, float **numerator, float **denominator)
{
	int n_cell = m->x->n_patch;
	SN_NEW(*numerator, m->c->arena, float, m->n *n_cell);
	SN_NEW(*denominator, m->c->arena, float, m->n *n_cell);
	for (int64_t p = 0; p < m->n; p++)
		for (int s = 0; s < n_cell; s++) {
			double change = sign_of(m, p) * (m->x->base[p] - m->x->ld[p * n_cell + s]),
				   whole = sign_of(m, p) * (m->x->base[p] - m->x->source[p]);
			(*numerator)[p * n_cell + s] = (float)(m->kind == SN_PAIR_PLACEBO ? change * change : change);
			(*denominator)[p * n_cell + s] = isnan(change) ? NAN : (float)whole;
		}
	return SN_OK;
}

/* Keeps the pairs whose prefixes have an attractor, if any do. */
static int64_t keep_attracted(const sn_items *items, sn_pair *pair, int64_t n)
{
	int64_t kept = 0;
	for (int64_t p = 0; p < n; p++) kept += items->item[pair[p].base].attractor >= 0;
	if (kept == 0) return n;
	kept = 0;
	for (int64_t p = 0; p < n; p++)
		if (items->item[pair[p].base].attractor >= 0) pair[kept++] = pair[p];
	return kept;
}

/* D of main pairs: the unit of placebo effects, of attractor effects where there is an attractor, and what decides
 * whether there is a choice. */
static sn_status measure_d(sn_effects *out, const measured *m)
{
	const sn_causal *c = m->c;
	const sn_pair *main = m->pair;
	int64_t n = m->n;
	sn_exchange x = *m->x;
	sn_boot_items units;
	float *value;
	if (m->kind != SN_PAIR_MAIN) {
		sn_pair *found;
		SN_TRY(sn_causal_pairs(c, SN_PAIR_MAIN, 0, &found, &n));
		if (m->kind == SN_PAIR_ATTRACTOR) n = keep_attracted(c->items, found, n);
		SN_TRY(sn_interchange(&x, c->ctx, c->model, c->items, found, n, NULL, 0, false, c->arena));
		main = found;
	}
	SN_NEW(value, c->arena, float, n);
	for (int64_t p = 0; p < n; p++) value[p] = (float)(c->items->item[main[p].base].n * (x.base[p] - x.source[p]));
	SN_TRY(sn_causal_pair_units(c, main, n, &units));
	SN_TRY(sn_boot_mean(&out->d, c->arena, c->boot, &units, value, 1, 0));
	SN_TRY(sn_reps_bands(&out->d_main, c->arena, &out->d, 0.95, NULL));
	out->chooses = out->d_main.low > least_d;
	return SN_OK;
}

sn_status sn_causal_effects(sn_effects *out, const sn_causal *c, sn_pair_kind kind, const sn_pair *pair, int64_t n_pair,
							const sn_exchange *x)
{
	measured m = { c, kind, pair, n_pair, x };
	sn_boot_items units;
	float *numerator, *denominator;
	SN_TRY(fill_values(&m, &numerator, &denominator));
	SN_TRY(measure_d(out, &m));
	SN_TRY(sn_causal_pair_units(c, pair, n_pair, &units));
	SN_TRY(sn_boot_mean(&out->nats, c->arena, c->boot, &units, numerator, x->n_patch, 0));
	if (kind == SN_PAIR_PLACEBO) sn_reps_sqrt(&out->nats);
	if (kind == SN_PAIR_MAIN) SN_TRY(sn_boot_mean(&out->d, c->arena, c->boot, &units, denominator, x->n_patch, 0));
	SN_TRY(sn_reps_copy(&out->effect, c->arena, &out->nats));
	sn_reps_divide(&out->effect, &out->d);
	return SN_OK;
}

sn_status sn_causal_say_d(sn_result *out, const sn_effects *e)
{
	const sn_band *d = &e->d_main;
	if (isnan(d->low))
		return sn_result_say(
			out,
			"D is %.3f nats, on too few words for an interval: whether the model makes the choice is open, and no "
			"shares are given; use more pairs.",
			d->point);
	if (!e->chooses)
		return sn_result_say(
			out, "The model makes no such choice: D is %.3f nats [%.3f, %.3f], not above %.1f; no shares are given.",
			d->point, d->low, d->high, least_d);
	return sn_result_say(out, "Changing the whole prefix moves the choice by D = %.3f nats [%.3f, %.3f].", d->point,
						 d->low, d->high);
}

sn_pair_kind sn_causal_kind(const char *name)
{
	return strcmp(name, "main") == 0        ? SN_PAIR_MAIN
		   : strcmp(name, "attractor") == 0 ? SN_PAIR_ATTRACTOR
											: SN_PAIR_PLACEBO;
}

sn_spot sn_causal_aligned(const sn_causal *c, int s)
{
	sn_spot spot = c->spot[s];
	if (c->items->n_unequal > 0 && spot.place == SN_PLACE_ROLE) spot.place = SN_PLACE_ROLE_LAST;
	return spot;
}

sn_status sn_causal_limit_lengths(sn_result *out, const sn_items *items)
{
	if (items->n_unequal == 0) return SN_OK;
	return sn_result_limit(out,
						   "In %lld of the items' %lld directed pairs the members differ in their number of tokens: "
						   "every role is patched at its last token, other places in the rest only.",
						   (long long)items->n_unequal, (long long)items->n_pair);
}
