/* Kept rows. */
#include "model/state.h"

#include "model/pass.h"

#include <string.h>

/* Rows that go on token by token get room for some more; a row whose chain is long is copied together, which costs
 * little where it happens once in so many tokens. */
enum { MORE_ROOM = 32, MOST_PIECES = 16 };

/* ---- pieces ---- */

static void release(sn_ctx *ctx, sn_piece *piece)
{
	while (piece && --piece->users == 0) {
		sn_piece *before = piece->before;
		sn_free(ctx, piece);
		piece = before;
	}
}

static sn_piece *refer(sn_piece *piece)
{
	if (piece) piece->users++;
	return piece;
}

/* Keys, values and residual streams lie behind the piece itself and its tables, in one allocation. */
static sn_status open_piece(sn_piece **out, sn_ctx *ctx, const sn_shape *s, int32_t first, int32_t room)
{
	size_t n_layer = (size_t)s->n_layer, kv = (size_t)s->n_kv_head * (size_t)s->d_head, d = (size_t)s->d_model;
	size_t n = (size_t)room, head = (sizeof(sn_piece) + (3 * n_layer + 1) * sizeof(float *) + 63) / 64 * 64;
	size_t numbers = sn_size3(n, 2 * n_layer * kv + (n_layer + 1) * d, sizeof(float));
	sn_piece *piece = sn_alloc_raw(ctx, numbers > SIZE_MAX - head ? SIZE_MAX : head + numbers);
	*out = piece;
	if (!piece) return SN_ENOMEM;
	*piece = (sn_piece){ .users = 1, .first = first, .end = first, .room = room, .k = (float **)(void *)(piece + 1) };
	piece->v = piece->k + n_layer;
	piece->resid = piece->v + n_layer;
	float *at = (float *)(void *)((char *)piece + head);
	for (size_t l = 0; l < 2 * n_layer; l++, at += n * kv) piece->k[l] = at;   /* v follows k */
	for (size_t l = 0; l <= n_layer; l++, at += n * d) piece->resid[l] = at;
	return SN_OK;
}

/* ---- rows ---- */

/* The row that a row forks from: of the new state, of the old one, or NULL. */
static const sn_kept *parent_of(const sn_state *state, const sn_compiled *c, int32_t row)
{
	int32_t parent = sn_parent_of(c->batch, row), kept = sn_state_parent_of(c->batch, row);
	return parent >= 0 ? &state->row[parent] : kept >= 0 ? &c->state->row[kept] : NULL;
}

/* Gives a row its piece: its parent's, where the row ends or goes on behind it, or a new one. */
static sn_status place_row(sn_ctx *ctx, const sn_compiled *c, const sn_kept *parent, sn_kept *row)
{
	sn_piece *before = parent && row->own > 0 ? parent->piece : NULL;
	while (before && before->first >= row->own) before = before->before;
	bool behind = before && before->end == row->own && row->n - before->first <= before->room;
	if (row->own == row->n || behind) {
		before->end = SN_MAX(before->end, row->n);
		row->piece = refer(before);
		return SN_OK;
	}
	if (before && sn_kept_pieces(&(sn_kept){ .piece = before }) >= MOST_PIECES) {
		before = NULL;
		row->own = 0;
	}
	int32_t first = before ? row->own : 0;
	SN_TRY(open_piece(&row->piece, ctx, &c->model->shape, first, row->n - first + (c->state ? MORE_ROOM : 0)));
	row->piece->end = row->n;
	row->piece->before = refer(before);
	return SN_OK;
}

sn_status sn_state_prepare(sn_state *state, const sn_compiled *c)
{
	const sn_batch *batch = c->batch;
	SN_TRY(sn_arena_open(&state->arena, state->ctx));
	state->model = c->model;
	SN_NEW(state->row, state->arena, sn_kept, batch->n);
	for (; state->n < batch->n; state->n++) {
		int32_t b = state->n;
		sn_kept *row = &state->row[b];
		row->n = sn_row_length(batch, b);
		row->own = SN_MIN(sn_dirty(c, b)[c->model->shape.n_layer], row->n);
		SN_NEW(row->token, state->arena, int32_t, row->n);
		memcpy(row->token, batch->token + batch->start[b], (size_t)row->n * sizeof *row->token);
		row->enc_row = batch->enc ? sn_enc_row(batch, b) : 0;
		SN_TRY(place_row(state->ctx, c, parent_of(state, c, b), row));
	}
	return SN_OK;
}

/* ---- the encoder's rows ---- */

static sn_status fill_encoder(sn_kept_encoder *kept, const sn_shape *s, const sn_batch *enc, const float *memory)
{
	int64_t tokens = enc->start[enc->n], *start;
	int32_t *token;
	SN_NEW(start, kept->arena, int64_t, enc->n + 1);
	SN_NEW(token, kept->arena, int32_t, tokens);
	SN_NEW(kept->memory, kept->arena, float, tokens * s->d_model);
	SN_NEW(kept->kv, kept->arena, float *, s->n_layer);
	for (int l = 0; l < s->n_layer; l++) SN_NEW(kept->kv[l], kept->arena, float, tokens * 2 * s->n_kv_head * s->d_head);
	memcpy(start, enc->start, ((size_t)enc->n + 1) * sizeof *start);
	memcpy(token, enc->token, (size_t)tokens * sizeof *token);
	memcpy(kept->memory, memory, (size_t)(tokens * s->d_model) * sizeof *memory);
	kept->batch = (sn_batch){ .n = enc->n, .start = start, .token = token };
	return SN_OK;
}

sn_status sn_state_keep_encoder(sn_state *state, const sn_model *model, const sn_batch *enc, const float *memory)
{
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, state->ctx));
	sn_kept_encoder *kept = SN_TAKE(arena, sn_kept_encoder, 1);
	sn_status status = SN_ENOMEM;
	if (kept) {
		*kept = (sn_kept_encoder){ .arena = arena, .users = 1 };
		status = fill_encoder(kept, &model->shape, enc, memory);
	}
	if (status == SN_OK) state->encoder = kept;
	else sn_arena_close(arena);
	return status;
}

void sn_state_share_encoder(sn_state *state, const sn_state *other)
{
	state->encoder = other->encoder;
	if (state->encoder) state->encoder->users++;
}

/* ---- states ---- */

sn_status sn_state_open(sn_state **out, sn_ctx *ctx)
{
	*out = sn_alloc(ctx, sizeof **out);
	if (!*out) return SN_ENOMEM;
	(*out)->ctx = ctx;
	return SN_OK;
}

int64_t sn_state_tokens(const sn_state *state)
{
	int64_t own = 0, longest = 0;
	for (int32_t b = 0; b < state->n; b++) {
		own += state->row[b].n - state->row[b].own;
		longest = SN_MAX(longest, state->row[b].own);
	}
	return own + longest;
}

void sn_state_clear(sn_state *state)
{
	for (int32_t b = 0; b < state->n; b++) release(state->ctx, state->row[b].piece);
	if (state->encoder && --state->encoder->users == 0) sn_arena_close(state->encoder->arena);
	sn_arena_close(state->arena);
	*state = (sn_state){ .ctx = state->ctx };
}

void sn_state_close(sn_state *state)
{
	if (!state) return;
	sn_state_clear(state);
	sn_free(state->ctx, state);
}

void sn_state_replace(sn_state *to, sn_state *from)
{
	sn_state_clear(to);
	*to = *from;
	*from = (sn_state){ .ctx = to->ctx };
}
