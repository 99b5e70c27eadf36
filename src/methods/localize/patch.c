/* The runs behind interchange: every pair, every cell, in full and through the encoding. */
#include "methods/localize/localize.h"

#include "base/base.h"
#include "model/interchange.h"

#include <math.h>
#include <string.h>

/* Q's factors at a cell, one tensor a fold. */
static sn_status factors(sn_patch *patch, const sn_evidence *ev, int cell, sn_arena *arena)
{
	sn_tensor *u, *v;
	int n_fold = ev->items->n_fold;
	SN_NEW(u, arena, sn_tensor, n_fold);
	SN_NEW(v, arena, sn_tensor, n_fold);
	for (int f = 0; f < n_fold; f++) {
		const sn_leace *q = &ev->projection[cell * n_fold + f];
		u[f] = sn_tensor_f32(q->u32, q->d, q->k);
		v[f] = sn_tensor_f32(q->v32, q->d, q->k);
	}
	patch->U = u;
	patch->V = v;
	return SN_OK;
}

/* Role r at boundary l: its whole span, or its last token where the spans of some pairs differ in length. */
static sn_spot role_spot(const sn_evidence *ev, int l, int r)
{
	sn_spot spot = sn_spot_role(ev->model, l, r);
	if (ev->items->n_unequal > 0) spot.place = SN_PLACE_ROLE_LAST;
	return spot;
}

static void full_patches(sn_patch *patch, const sn_evidence *ev)
{
	for (int c = 0; c < ev->n_layer * (ev->n_role + 1); c++) {
		int l = c / (ev->n_role + 1), r = c % (ev->n_role + 1);
		patch[c] = (sn_patch){ .spot = role_spot(ev, l, r < ev->n_role ? r : 0) };
		if (r == ev->n_role) patch[c].spot.place = SN_PLACE_OTHER;
	}
}

static sn_status sub_patches(sn_patch *patch, const sn_evidence *ev, sn_arena *arena)
{
	for (int c = 0; c < ev->n_layer * ev->n_role; c++) {
		patch[c] = (sn_patch){ .spot = role_spot(ev, c / ev->n_role, c % ev->n_role) };
		if (ev->projection[c * ev->items->n_fold].d > 0) SN_TRY(factors(&patch[c], ev, c, arena));
	}
	return SN_OK;
}

/* Whether base and source agree in every token up to the end of role r, for all pairs: a causal model then has the
 * same vectors in both there, and patching changes nothing. */
static bool same_until(const sn_evidence *ev, const sn_pair *pair, int64_t n, int r)
{
	const sn_items *items = ev->items;
	for (int64_t p = 0; p < n; p++) {
		const int32_t *base = items->token + items->start[pair[p].base];
		const int32_t *source = items->token + items->start[pair[p].source];
		int32_t end = items->span[pair[p].base * items->n_role + r][1];
		if (end > items->start[pair[p].source + 1] - items->start[pair[p].source]) return false;
		if (end > 0 && memcmp(base, source, (size_t)end * sizeof *base) != 0) return false;
	}
	return true;
}

/* The patches that can change something, and which of them each patch is (-1: none). */
static sn_status choose_patches(sn_patch **chosen, int *n_chosen, int *place, const sn_evidence *ev,
								const sn_pair *pair, int64_t n, const sn_patch *patch, int n_patch, sn_arena *arena)
{
	*n_chosen = 0;
	SN_NEW(*chosen, arena, sn_patch, n_patch);
	for (int c = 0; c < n_patch; c++) {
		place[c] = -1;
		if (patch[c].spot.place != SN_PLACE_OTHER && same_until(ev, pair, n, patch[c].spot.arg)) continue;
		place[c] = *n_chosen;
		(*chosen)[(*n_chosen)++] = patch[c];
	}
	return SN_OK;
}

/* What each patch leads to: its run's, or where it cannot change anything the base's (NaN without the role). */
static sn_status spread(double **ld, const sn_evidence *ev, const sn_exchange *run, const sn_pair *pair,
						const sn_patch *patch, const int *place, int n_patch, sn_arena *arena)
{
	SN_NEW(*ld, arena, double, run->n_pair * n_patch);
	for (int64_t p = 0; p < run->n_pair; p++)
		for (int c = 0; c < n_patch; c++) {
			bool has = place[c] >= 0 || ev->items->span[pair[p].base * ev->items->n_role + patch[c].spot.arg][0] >= 0;
			(*ld)[p * n_patch + c] = !has ? NAN : place[c] < 0 ? run->base[p] : run->ld[p * run->n_patch + place[c]];
		}
	return SN_OK;
}

static sn_status patch_kind(double **ld, const sn_evidence *ev, sn_ctx *ctx, sn_model *model, sn_pair_kind kind,
							const sn_patch *patch, int n_patch, sn_arena *arena)
{
	int64_t *number, n;
	sn_pair *pair;
	sn_patch *chosen;
	int *place, n_chosen;
	SN_TRY(sn_localize_pairs_of(ev, kind, &number, &n));
	SN_NEW(pair, arena, sn_pair, n);
	SN_NEW(place, arena, int, n_patch);
	for (int64_t i = 0; i < n; i++) pair[i] = ev->items->pair[number[i]];
	*ld = NULL;
	if (n == 0) return SN_OK;
	SN_TRY(choose_patches(&chosen, &n_chosen, place, ev, pair, n, patch, n_patch, arena));
	sn_exchange run;
	SN_TRY(sn_interchange(&run, ctx, model, ev->items, pair, n, chosen, n_chosen, false, arena));
	return spread(ld, ev, &run, pair, patch, place, n_patch, arena);
}

static sn_status patch_all(sn_evidence *ev, sn_ctx *ctx, sn_model *model, sn_arena *scratch)
{
	int n_full = ev->n_layer * (ev->n_role + 1), n_sub = ev->n_layer * ev->n_role;
	sn_patch *patch;
	double *ld[SN_PAIR_KINDS];
	SN_NEW(patch, scratch, sn_patch, n_full + n_sub);
	full_patches(patch, ev);
	SN_TRY(sub_patches(patch + n_full, ev, scratch));
	for (int kind = 0; kind < SN_PAIR_KINDS; kind++)
		SN_TRY(patch_kind(&ld[kind], ev, ctx, model, (sn_pair_kind)kind, patch,
						  sn_localize_patches(ev, (sn_pair_kind)kind), scratch));
	return sn_localize_interchange(ev, ctx, (const double *const *)ld);
}

sn_status sn_localize_patch(sn_evidence *ev, sn_ctx *ctx, sn_model *model)
{
	sn_arena *scratch;
	SN_TRY(sn_arena_open(&scratch, ctx));
	sn_status status = patch_all(ev, ctx, model, scratch);
	sn_arena_close(scratch);
	return status;
}
