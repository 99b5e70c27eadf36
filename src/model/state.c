/* Kept rows. */
#include "model/state.h"

#include "model/model.h"
#include "model/places.h"

#include <string.h>

sn_status sn_state_open(sn_state **out, sn_ctx *ctx)
{
	*out = sn_alloc(ctx, sizeof **out);
	if (!*out) return SN_ENOMEM;
	(*out)->ctx = ctx;
	return SN_OK;
}

void sn_state_close(sn_state *state)
{
	if (!state) return;
	sn_arena_close(state->arena);
	sn_free(state->ctx, state);
}

void sn_state_replace(sn_state *to, sn_state *from)
{
	sn_arena_close(to->arena);
	*to = *from;
	*from = (sn_state){ .ctx = to->ctx };
}

static sn_status prepare_row(sn_arena *arena, const sn_shape *s, sn_kept *row)
{
	int64_t width = (int64_t)s->n_kv_head * s->d_head;
	SN_NEW(row->k, arena, float *, s->n_layer);
	SN_NEW(row->v, arena, float *, s->n_layer);
	SN_NEW(row->resid, arena, float *, s->n_layer + 1);
	for (int l = 0; l <= s->n_layer; l++) {
		SN_NEW(row->resid[l], arena, float, row->n * s->d_model);
		if (l == s->n_layer) break;
		SN_NEW(row->k[l], arena, float, row->n * width);
		SN_NEW(row->v[l], arena, float, row->n * width);
	}
	return SN_OK;
}

sn_status sn_state_prepare(sn_state *state, const sn_model *model, const sn_batch *batch)
{
	SN_TRY(sn_arena_open(&state->arena, state->ctx));
	state->model = model;
	state->n = batch->n;
	SN_NEW(state->row, state->arena, sn_kept, batch->n);
	for (int32_t b = 0; b < batch->n; b++) {
		sn_kept *row = &state->row[b];
		row->n = sn_row_length(batch, b);
		SN_NEW(row->token, state->arena, int32_t, row->n);
		memcpy(row->token, batch->token + batch->start[b], (size_t)row->n * sizeof *row->token);
		SN_TRY(prepare_row(state->arena, &model->shape, row));
	}
	return SN_OK;
}
