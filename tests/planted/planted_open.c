/* The planted weights as the engine's source. */
#include "planted/planted.h"

#include <string.h>

static const float *part_data(const planted_weights *w, sn_part part, int layer)
{
	const planted_block *b = &w->block[layer < 0 ? 0 : layer];
	switch (part) {
	case SN_PART_EMBED:
		return w->embed[0];
	case SN_PART_ATTN_NORM:
		return b->attn_norm;
	case SN_PART_Q:
		return b->q[0];
	case SN_PART_K:
		return b->k[0];
	case SN_PART_V:
		return b->v[0];
	case SN_PART_O:
		return b->o[0];
	case SN_PART_MLP_NORM:
		return b->mlp_norm;
	case SN_PART_GATE:
		return b->gate[0];
	case SN_PART_UP:
		return b->up[0];
	case SN_PART_DOWN:
		return b->down[0];
	case SN_PART_FINAL_NORM:
		return w->final_norm;
	case SN_PART_UNEMBED:
		return w->unembed[0];
	default:
		return NULL;
	}
}

static sn_status read_part(sn_ctx *ctx, void *arg, sn_part part, int layer, int64_t row0, int64_t n_row, float *out)
{
	const planted_weights *w = arg;
	const float *data = part_data(w, part, layer);
	if (!data) return sn_fail(ctx, SN_ENOTFOUND, "planted model: no part %d", (int)part);
	int64_t columns = sn_part_columns(&w->shape, part);
	memcpy(out, data + row0 * columns, (size_t)(n_row * columns) * sizeof *out);
	return SN_OK;
}

sn_status planted_open(sn_model **out, sn_ctx *ctx, const planted_weights *w)
{
	sn_source source = { .arg = (void *)(uintptr_t)w, .read = read_part };
	return sn_model_make(out, ctx, &w->shape, &source, NULL, NULL);
}
