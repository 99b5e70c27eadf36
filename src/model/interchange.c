#include "model/interchange.h"
#include "base/base.h"

static sn_status take_arrays(sn_exchange *out, const sn_items *items, int64_t n_pair, int n_patch, bool each,
							 sn_arena *arena)
{
	int64_t cells = n_pair * n_patch;
	*out = (sn_exchange){ .n_pair = n_pair, .n_patch = n_patch, .n_choice = items->n_choice };
	SN_NEW(out->base, arena, double, n_pair);
	SN_NEW(out->source, arena, double, n_pair);
	SN_NEW(out->ld, arena, double, cells);
	if (!each) return SN_OK;
	SN_NEW(out->base_each, arena, double, n_pair * items->n_choice);
	SN_NEW(out->source_each, arena, double, n_pair * items->n_choice);
	SN_NEW(out->each, arena, double, cells * items->n_choice);
	return SN_OK;
}

static sn_status make_variants(const sn_patch *patch, int n_patch, sn_arena *arena, sn_variant **out)
{
	sn_touch *touch;
	SN_NEW(touch, arena, sn_touch, n_patch);
	SN_NEW(*out, arena, sn_variant, n_patch);
	for (int i = 0; i < n_patch; i++) {
		touch[i] = (sn_touch){ .spot = patch[i].spot, .kind = SN_TOUCH_SOURCE, .U = patch[i].U, .V = patch[i].V };
		(*out)[i] = (sn_variant){ &touch[i], 1 };
	}
	return SN_OK;
}

sn_status sn_interchange(sn_exchange *out, sn_ctx *ctx, sn_model *model, const sn_items *items, const sn_pair *pair,
						 int64_t n_pair, const sn_patch *patch, int n_patch, bool each, sn_arena *arena)
{
	sn_family *family;
	sn_variant *variant;
	SN_TRY(take_arrays(out, items, n_pair, n_patch, each, arena));
	SN_TRY(make_variants(patch, n_patch, arena, &variant));
	SN_NEW(family, arena, sn_family, n_pair);
	for (int64_t p = 0; p < n_pair; p++) family[p] = (sn_family){ pair[p].base, pair[p].source };
	sn_grid grid = { .items = items,
					 .family = family,
					 .n_family = n_pair,
					 .variant = variant,
					 .n_variant = n_patch,
					 .what = "patching" };
	sn_grid_out result = { out->base, out->source, out->ld, out->base_each, out->source_each, out->each };
	return sn_grid_run(ctx, model, &grid, &result);
}
