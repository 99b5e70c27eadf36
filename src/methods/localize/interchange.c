/* Interchange: what patching each cell moves, as shares of D. */
#include "methods/localize/localize.h"

#include "base/base.h"

#include <math.h>

/* The directed pairs of one kind with what they chose after each full patch and, for main pairs, each patch through Q.
 * */
typedef struct patched {
	int64_t n, *pair;
	const double *ld; /* [n, n_patch] */
	int n_patch;
	sn_boot_items units;
} patched;

int sn_localize_patches(const sn_evidence *ev, sn_pair_kind kind)
{
	bool sub = kind == SN_PAIR_MAIN || (kind == SN_PAIR_PLACEBO && ev->swaps);
	return ev->n_layer * (ev->n_role + 1 + (sub ? ev->n_role : 0));
}

static sn_status open_patched(patched *out, const sn_evidence *ev, sn_pair_kind kind, const double *ld)
{
	*out = (patched){ .ld = ld, .n_patch = sn_localize_patches(ev, kind) };
	SN_TRY(sn_localize_pairs_of(ev, kind, &out->pair, &out->n));
	return sn_localize_pair_units(&out->units, ev, out->pair, out->n);
}

static const sn_pair *pair_at(const sn_evidence *ev, const patched *p, int64_t i)
{
	return &ev->items->pair[p->pair[i]];
}
static double ld_of(const sn_evidence *ev, int64_t item) { return ev->ld[ev->slot[item]]; }

/* How far a patch moved the choice: LD_b - LD_{b<-s}. */
static double moved(const sn_evidence *ev, const patched *p, int64_t i, int patch)
{
	return ld_of(ev, pair_at(ev, p, i)->base) - p->ld[i * p->n_patch + patch];
}

/* ---- what is averaged over pairs: a value for each (pair, patch) ---- */

typedef double value_fn(const sn_evidence *ev, const patched *p, int64_t i, int patch);

static double toward_source(const sn_evidence *ev, const patched *p, int64_t i, int patch)
{
	return ev->items->item[pair_at(ev, p, i)->base].n * moved(ev, p, i, patch);
}

static double toward_attractor(const sn_evidence *ev, const patched *p, int64_t i, int patch)
{
	return ev->items->item[pair_at(ev, p, i)->base].attractor_n * moved(ev, p, i, patch);
}

static double squared(const sn_evidence *ev, const patched *p, int64_t i, int patch)
{
	double x = moved(ev, p, i, patch);
	return x * x;
}

/* 1 where the patch turned a right choice wrong; NaN unless both members are right. */
static double flipped(const sn_evidence *ev, const patched *p, int64_t i, int patch)
{
	const sn_pair *pair = pair_at(ev, p, i);
	double ld = p->ld[i * p->n_patch + patch];
	if (isnan(ld) || !sn_localize_right(ev, pair->base) || !sn_localize_right(ev, pair->source)) return NAN;
	return ev->items->item[pair->base].n * ld < 0;
}

/* D of the pair, where the patch exists. */
static double whole(const sn_evidence *ev, const patched *p, int64_t i, int patch)
{
	const sn_pair *pair = pair_at(ev, p, i);
	if (isnan(p->ld[i * p->n_patch + patch])) return NAN;
	return ev->items->item[pair->base].n * (ld_of(ev, pair->base) - ld_of(ev, pair->source));
}

/* Means of value over pairs for patches first .. first + n_layer n_col - 1; x receives the values. */
static sn_status mean_of(sn_quantity *out, float **x, const sn_evidence *ev, const patched *p, value_fn *value,
						 int first, int n_layer, int n_col)
{
	int n_cell = n_layer * n_col;
	SN_NEW(*x, ev->arena, float, p->n * n_cell);
	for (int64_t i = 0; i < p->n; i++)
		for (int c = 0; c < n_cell; c++) (*x)[i * n_cell + c] = (float)value(ev, p, i, first + c);
	return sn_localize_quantity(out, ev, &p->units, *x, n_layer, n_col);
}

/* ---- shares of D ---- */

/* The same as nats (bands), and divided by D of each role. d: one layer. */
static sn_status share_of_d(sn_quantity *share, sn_quantity *nats, const sn_evidence *ev, const patched *p, int first,
							int n_col, const sn_quantity *d)
{
	float *x;
	sn_quantity divisor;
	SN_TRY(mean_of(nats, &x, ev, p, toward_source, first, ev->n_layer, n_col));
	SN_TRY(sn_localize_bands(nats, ev));
	*share = *nats;
	SN_TRY(sn_reps_copy(&share->reps, ev->arena, &nats->reps));
	SN_TRY(sn_localize_spread(&divisor, ev, d, ev->n_layer));
	sn_reps_divide(&share->reps, &divisor.reps);
	return sn_localize_bands(share, ev);
}

static sn_status rms_of(sn_quantity *out, const sn_evidence *ev, const patched *p, int first, int n_col,
						const sn_quantity *d)
{
	float *x;
	sn_quantity divisor;
	SN_TRY(mean_of(out, &x, ev, p, squared, first, ev->n_layer, n_col));
	sn_reps_sqrt(&out->reps);
	SN_TRY(sn_localize_spread(&divisor, ev, d, ev->n_layer));
	sn_reps_divide(&out->reps, &divisor.reps);
	return sn_localize_bands(out, ev);
}

static sn_status flips_of(sn_share **out, sn_evidence *ev, const patched *p, int first, int n_col)
{
	int n_cell = ev->n_layer * n_col;
	float *x;
	sn_quantity q;
	int64_t *n_lemma, *base;
	SN_TRY(mean_of(&q, &x, ev, p, flipped, first, ev->n_layer, n_col));
	SN_NEW(*out, ev->arena, sn_share, n_cell);
	SN_NEW(n_lemma, ev->arena, int64_t, n_cell);
	SN_NEW(base, ev->arena, int64_t, p->n);
	for (int64_t i = 0; i < p->n; i++) base[i] = pair_at(ev, p, i)->base;
	SN_TRY(sn_localize_count_lemmas(ev, base, p->n, x, n_cell, n_lemma));
	for (int c = 0; c < n_cell; c++) (*out)[c] = sn_localize_share(ev, q.reps.point[c], n_lemma[c]);
	return SN_OK;
}

/* Moves: E(l, r) - E(l - 1, r); layer 0 has none. */
static sn_status moves_of(sn_quantity *out, const sn_evidence *ev, const sn_quantity *e)
{
	*out = *e;
	SN_TRY(sn_reps_copy(&out->reps, ev->arena, &e->reps));
	int n_cell = e->n_layer * e->n_col;
	for (int b = -1; b < e->reps.n_boot; b++) {
		double *to = b < 0 ? out->reps.point : out->reps.rep + (int64_t)b * n_cell;
		const double *from = b < 0 ? e->reps.point : e->reps.rep + (int64_t)b * n_cell;
		for (int c = 0; c < n_cell; c++) to[c] = c < e->n_col ? NAN : from[c] - from[c - e->n_col];
	}
	return sn_localize_bands(out, ev);
}

/* ---- other pairs ---- */

/* D over the main pairs whose prefix has an attractor. */
static sn_status d_with_attractor(sn_quantity *out, const sn_evidence *ev)
{
	int64_t *pair, n, m = 0;
	SN_TRY(sn_localize_pairs_of(ev, SN_PAIR_MAIN, &pair, &n));
	for (int64_t i = 0; i < n; i++)
		if (ev->items->item[ev->items->pair[pair[i]].base].attractor >= 0) pair[m++] = pair[i];
	if (m == 0) SN_TRY(sn_localize_pairs_of(ev, SN_PAIR_MAIN, &pair, &m));
	return sn_localize_d(out, ev, pair, m);
}

static double attractor_whole(const sn_evidence *ev, const patched *p, int64_t i, int patch)
{
	(void)patch;
	const sn_pair *pair = pair_at(ev, p, i);
	return ev->items->item[pair->base].attractor_n * (ld_of(ev, pair->base) - ld_of(ev, pair->source));
}

static sn_status attractor_shares(sn_evidence *ev, const patched *p)
{
	float *x;
	sn_quantity d, total;
	SN_TRY(d_with_attractor(&d, ev));
	SN_TRY(mean_of(&ev->attractor, &x, ev, p, toward_attractor, 0, ev->n_layer, ev->n_role + 1));
	sn_reps_divide(&ev->attractor.reps, &d.reps);
	SN_TRY(sn_localize_bands(&ev->attractor, ev));
	SN_TRY(mean_of(&total, &x, ev, p, attractor_whole, 0, 1, 1));
	sn_reps_divide(&total.reps, &d.reps);
	SN_TRY(sn_localize_bands(&total, ev));
	ev->attractor_total = total.band[0];
	return SN_OK;
}

static int64_t count_both_right(const sn_evidence *ev, const patched *p)
{
	int64_t n = 0;
	for (int64_t i = 0; i < p->n; i++)
		n += sn_localize_right(ev, pair_at(ev, p, i)->base) && sn_localize_right(ev, pair_at(ev, p, i)->source);
	return n;
}

/* ---- tautologies, asserted ---- */

static sn_status check_tautologies(const sn_evidence *ev, sn_ctx *ctx)
{
	for (int l = 0; l < ev->n_layer; l++)
		for (int r = 0; r <= ev->n_role; r++) {
			double want;
			if (!sn_tautology(ev, false, l, r, &want)) continue;
			double found = sn_band_at(&ev->e, l, r)->point;
			if (isnan(found) || fabs(found - want) < 0.01) continue;
			return sn_fail(ctx, SN_ECHECK,
						   "interchange at layer %d, %s: E is %.4f where any causal model has %g; the engine or the "
						   "items are at fault",
						   l, ev->role[r], found, want);
		}
	return SN_OK;
}

/* Pairs that flip an inherent feature swap the lemma too: E and E_sub are what remains over the RMS of pairs that swap
 * the lemma alone. */
static sn_status less_placebo(sn_evidence *ev, const patched *placebo, int first_sub, const sn_quantity *d_sub)
{
	sn_quantity e = ev->e, e_sub = ev->e_sub;
	SN_TRY(rms_of(&ev->placebo_sub, ev, placebo, first_sub, ev->n_role, d_sub));
	SN_TRY(sn_localize_difference(&ev->e, ev, &e, &ev->placebo));
	return sn_localize_difference(&ev->e_sub, ev, &e_sub, &ev->placebo_sub);
}

sn_status sn_localize_interchange(sn_evidence *ev, sn_ctx *ctx, const double *const ld[SN_PAIR_KINDS])
{
	int n_full = ev->n_layer * (ev->n_role + 1);
	patched main, attractor, placebo;
	SN_TRY(open_patched(&main, ev, SN_PAIR_MAIN, ld[SN_PAIR_MAIN]));
	SN_TRY(open_patched(&attractor, ev, SN_PAIR_ATTRACTOR, ld[SN_PAIR_ATTRACTOR]));
	SN_TRY(open_patched(&placebo, ev, SN_PAIR_PLACEBO, ld[SN_PAIR_PLACEBO]));
	sn_quantity d, d_sub;
	float *x;
	SN_TRY(mean_of(&d, &x, ev, &main, whole, 0, 1, ev->n_role + 1));
	SN_TRY(mean_of(&d_sub, &x, ev, &main, whole, n_full, 1, ev->n_role));
	SN_TRY(share_of_d(&ev->e, &ev->e_nats, ev, &main, 0, ev->n_role + 1, &d));
	SN_TRY(share_of_d(&ev->e_sub, &ev->e_sub_nats, ev, &main, n_full, ev->n_role, &d_sub));
	SN_TRY(moves_of(&ev->move, ev, &ev->e));
	SN_TRY(flips_of(&ev->flip, ev, &main, 0, ev->n_role + 1));
	SN_TRY(flips_of(&ev->flip_sub, ev, &main, n_full, ev->n_role));
	ev->n_flip_pair = count_both_right(ev, &main);
	SN_TRY(rms_of(&ev->main_rms, ev, &main, 0, ev->n_role + 1, &d));
	if (attractor.n > 0) SN_TRY(attractor_shares(ev, &attractor));
	if (placebo.n > 0) SN_TRY(rms_of(&ev->placebo, ev, &placebo, 0, ev->n_role + 1, &d));
	SN_TRY(check_tautologies(ev, ctx));
	return ev->swaps && placebo.n > 0 ? less_placebo(ev, &placebo, n_full, &d_sub) : SN_OK;
}
