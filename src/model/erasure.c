#include "model/erasure.h"
#include "base/base.h"

#include <math.h>

static const uint64_t SHIFT_KEY = 0x7368696674; /* keeps these draws apart from others of the same seed */

typedef struct plan {
	sn_grid erase, shift;
	sn_touch *touch; /* of the erasures, in order */
	int n_touch;
} plan;

static sn_status make_erasures(plan *p, const sn_eraser *eraser, const sn_erasure *erasure, int n, sn_arena *arena)
{
	int64_t cells = p->erase.n_family * sn_items_longest(p->erase.items);
	sn_variant *variant;
	for (int e = 0; e < n; e++) p->n_touch += erasure[e].n_eraser;
	SN_NEW(variant, arena, sn_variant, n);
	SN_NEW(p->touch, arena, sn_touch, p->n_touch);
	sn_touch *t = p->touch;
	for (int e = 0; e < n; e++) {
		variant[e] = (sn_variant){ t, erasure[e].n_eraser };
		for (int i = 0; i < erasure[e].n_eraser; i++, t++) {
			const sn_eraser *from = &eraser[erasure[e].eraser[i]];
			*t =
				(sn_touch){ .spot = from->spot, .kind = SN_TOUCH_MEAN, .mean = from->mean, .U = from->U, .V = from->V };
			if (erasure[e].n_shift > 0) SN_NEW(t->moved, arena, float, cells);
		}
	}
	p->erase.variant = variant;
	p->erase.n_variant = n;
	return SN_OK;
}

/* Draw s of every erasure takes direction s at each of its touches, so erasures at neighbouring layers are compared
 * along the same directions. */
static sn_status make_shifts(plan *p, const sn_erasure *erasure, int n, sn_arena *arena)
{
	int n_variant = 0, n_touch = 0, v = 0;
	sn_variant *variant;
	sn_touch *t;
	for (int e = 0; e < n; e++) {
		n_variant += erasure[e].n_shift;
		n_touch += erasure[e].n_shift * erasure[e].n_eraser;
	}
	SN_NEW(variant, arena, sn_variant, n_variant);
	SN_NEW(t, arena, sn_touch, n_touch);
	for (int e = 0; e < n; e++)
		for (int s = 0; s < erasure[e].n_shift; s++) {
			variant[v++] = (sn_variant){ t, erasure[e].n_eraser };
			for (int i = 0; i < erasure[e].n_eraser; i++, t++) {
				*t = p->erase.variant[e].touch[i];
				t->kind = SN_TOUCH_SHIFT;
				t->key = SHIFT_KEY + (uint64_t)s;
			}
		}
	p->shift = p->erase;
	p->shift.variant = variant;
	p->shift.n_variant = n_variant;
	p->shift.what = "random displacements";
	return SN_OK;
}

static sn_status take_arrays(sn_erased *out, const plan *p, sn_arena *arena)
{
	*out = (sn_erased){ .n_item = p->erase.n_family, .n_erasure = p->erase.n_variant, .n_shift = p->shift.n_variant };
	SN_NEW(out->base, arena, double, out->n_item);
	SN_NEW(out->ld, arena, double, out->n_item * out->n_erasure);
	SN_NEW(out->shift, arena, double, out->n_item * out->n_shift);
	for (int64_t i = 0; i < out->n_item * out->n_shift; i++) out->shift[i] = NAN; /* until their own run */
	return SN_OK;
}

sn_status sn_erase_run(sn_erased *out, sn_ctx *ctx, sn_model *model, const sn_items *items, const int64_t *which,
					   int64_t n_which, const sn_eraser *eraser, int n_eraser, const sn_erasure *erasure, int n_erasure,
					   sn_arena *arena)
{
	sn_family *family;
	for (int e = 0; e < n_erasure; e++)
		for (int i = 0; i < erasure[e].n_eraser; i++)
			if (erasure[e].eraser[i] < 0 || erasure[e].eraser[i] >= n_eraser)
				return sn_fail(ctx, SN_EARG, "erasure %d: eraser %d of %d", e, erasure[e].eraser[i], n_eraser);
	SN_NEW(family, arena, sn_family, n_which);
	for (int64_t i = 0; i < n_which; i++) family[i] = (sn_family){ which ? which[i] : i, -1 };
	plan p = { .erase = { .items = items, .family = family, .n_family = n_which, .what = "erasing" } };
	SN_TRY(make_erasures(&p, eraser, erasure, n_erasure, arena));
	SN_TRY(make_shifts(&p, erasure, n_erasure, arena));
	SN_TRY(take_arrays(out, &p, arena));
	SN_TRY(sn_grid_run(ctx, model, &p.erase, &(sn_grid_out){ .base = out->base, .ld = out->ld }));
	if (p.shift.n_variant == 0) return SN_OK;
	double *again;
	SN_NEW(again, arena, double, n_which);
	return sn_grid_run(ctx, model, &p.shift, &(sn_grid_out){ .base = again, .ld = out->shift });
}
