/* One step of rows up and down again. */
#include "model/back.h"

#include <string.h>

/* ---- room for what is saved ---- */

typedef struct need { float **at; int64_t width; bool encoder; } need;   /* encoder: a row for each of its slots */

enum { TRACE_NEEDS = 20 };

static int list_needs(const sn_shape *s, sn_trace *t, need *out)
{
	bool layer = s->form.norm == SN_NORM_LAYER;
	int64_t heads = (int64_t)s->n_head * s->d_head, kv = (int64_t)s->n_kv_head * s->d_head;
	int n = 0;
	for (int i = 0; i < SN_SAVED_IN_BLOCK; i++) {
		if (i == SN_SAVED_CROSS && !s->form.cross) continue;
		if ((i == SN_SAVED_ATTN_POST || i == SN_SAVED_MLP_POST) && !s->form.branch_norm) continue;
		out[n++] = (need){ &t->norm[i].x, s->d_model, false };
		out[n++] = (need){ &t->norm[i].scale, 1, false };
		if (layer) out[n++] = (need){ &t->norm[i].mean, 1, false };
	}
	if (s->form.qk_norm) out[n++] = (need){ &t->raw, sn_qkv_width(s), false };
	out[n++] = (need){ &t->qkv, sn_qkv_width(s), false };
	out[n++] = (need){ &t->wide, s->form.gated ? 2 * s->d_mlp : s->d_mlp, false };
	if (s->form.cross) out[n++] = (need){ &t->cross_q, heads, false };
	if (s->form.cross) out[n++] = (need){ &t->cross_kv, 2 * kv, true };
	return n;
}

static int64_t encoder_slots(const sn_pass *p) { return p->cross ? p->cross->layout.m : 0; }

static sn_status take_trace(const sn_pass *p, int64_t m, sn_trace *t)
{
	need needs[TRACE_NEEDS];
	int n = list_needs(&p->model->shape, t, needs);
	for (int i = 0; i < n; i++)
		SN_NEW(*needs[i].at, p->arena, float, (needs[i].encoder ? encoder_slots(p) : m) * needs[i].width);
	return SN_OK;
}

int64_t sn_trace_bytes(const sn_shape *s, int64_t m, int64_t encoder)
{
	sn_trace t;
	need needs[TRACE_NEEDS];
	int n = list_needs(s, &t, needs);
	int64_t floats = 0;
	for (int i = 0; i < n; i++) floats += (needs[i].encoder ? encoder : m) * needs[i].width;
	return floats * (int64_t)sizeof(float) + n * (int64_t)SN_ARENA_GRAIN;
}

static sn_status take_traces(sn_pass *p, int64_t m)
{
	sn_back *b = p->back;
	int n_layer = p->model->shape.n_layer;
	b->twice = p->twice;
	SN_NEW(b->trace, p->arena, sn_trace, n_layer);
	SN_NEW(b->stream, p->arena, float *, n_layer);
	for (int l = SN_MAX(p->c->first_back, 1) - 1; l < n_layer; l++) {
		if (b->twice) SN_NEW(b->stream[l], p->arena, float, m * p->model->shape.d_model);
		if (b->twice && l > SN_MAX(p->c->first_back, 1) - 1) b->trace[l] = b->trace[l - 1];
		else SN_TRY(take_trace(p, m, &b->trace[l]));
	}
	return SN_OK;
}

static sn_status take_ends(sn_pass *p, int64_t m)
{
	const sn_shape *s = &p->model->shape;
	const int64_t width[] = { sn_sum_width(s), s->d_model, s->d_head_out };
	sn_back *b = p->back;
	for (int i = 0; i < SN_COUNT(width); i++) {
		SN_NEW(b->norm[i].x, p->arena, float, m * width[i]);
		SN_NEW(b->norm[i].scale, p->arena, float, m);
		if (s->form.norm == SN_NORM_LAYER) SN_NEW(b->norm[i].mean, p->arena, float, m);
	}
	int64_t widest = SN_MAX(SN_MAX(s->d_model, s->d_embed), s->d_head_out);
	SN_NEW(b->head, p->arena, float, p->room * s->d_head_out);
	SN_NEW(b->logit, p->arena, float, p->room * s->d_head_out);
	SN_NEW(b->dx, p->arena, float, p->room * widest);
	SN_NEW(b->branch, p->arena, float, p->room * widest);
	SN_NEW(b->dqkv, p->arena, float, p->room * sn_qkv_width(s));
	if (sn_rule_has(p, SN_RULE_RESCALE)) SN_NEW(b->reference, p->arena, int64_t, p->room);
	return SN_OK;
}

/* ---- up ---- */

static int last_stage(const sn_pass *p)
{
	int last = -1;
	for (int32_t i = 0; i < p->n_row; i++) last = SN_MAX(last, p->c->need[p->row[i]]);
	return last;
}

static sn_status block_up(sn_pass *p)
{
	sn_back *b = p->back;
	int l = p->stage - 1;
	bool saved = p->stage >= p->c->first_back;
	SN_TRY(sn_poll(p->ctx));
	SN_TRY(sn_model_need_layer(p->ctx, p->model, l));
	if (saved && b->twice)
		memcpy(b->stream[l], p->x, (size_t)(p->now.m * p->model->shape.d_model) * sizeof *p->x);
	b->now = saved && !b->twice ? &b->trace[l] : NULL;
	SN_TRY(sn_block_forward(p));
	b->now = NULL;
	return SN_OK;
}

static sn_status up(sn_pass *p, int last)
{
	p->stage = 0;
	sn_layout_make(p);
	if (p->cross) SN_TRY(sn_cross_gather(p));
	SN_TRY(take_traces(p, p->now.m));
	SN_TRY(take_ends(p, p->now.m));
	SN_TRY(sn_embed(p));
	for (p->stage = 1; p->stage <= SN_MIN(last, p->c->n_stage - 2); p->stage++) {
		sn_layout_make(p);
		SN_TRY(sn_layout_move(p));
		SN_TRY(block_up(p));
	}
	if (last < p->c->n_stage - 1) return SN_OK;
	p->stage = last;
	sn_layout_make(p);
	SN_TRY(sn_layout_move(p));
	sn_reference_slots(p);
	return sn_finish(p);
}

/* ---- down ---- */

/* Computes the block at hand once more, now saving what its way down needs. */
static sn_status block_again(sn_pass *p)
{
	sn_back *b = p->back;
	memcpy(p->x, b->stream[p->stage - 1], (size_t)(p->now.m * p->model->shape.d_model) * sizeof *p->x);
	b->now = &b->trace[p->stage - 1];
	p->silent = true;
	sn_status status = sn_block_forward(p);
	p->silent = false;
	b->now = NULL;
	return status;
}

/* Rows stand alike in the embedding and in every block. */
static sn_status down(sn_pass *p, int last)
{
	int end = p->c->n_stage - 1;
	if (last == end) {
		SN_TRY(sn_finish_back(p));
		sn_layout now = p->now;
		p->now = p->before;
		p->before = now;
	} else {
		memset(p->back->dx, 0, (size_t)(p->now.m * p->model->shape.d_model) * sizeof *p->back->dx);
	}
	sn_reference_slots(p);
	for (p->stage = SN_MIN(last, end - 1); p->stage >= SN_MAX(p->c->first_back, 1); p->stage--) {
		SN_TRY(sn_poll(p->ctx));
		if (p->back->twice) SN_TRY(block_again(p));
		SN_TRY(sn_block_back(p));
	}
	p->stage = 0;
	return p->c->first_back == 0 ? sn_embed_back(p) : SN_OK;
}

sn_status sn_gradient_step(sn_pass *p)
{
	sn_back back = { 0 };
	int last = last_stage(p);
	if (last < 0) return SN_OK;
	p->back = &back;
	sn_status status = up(p, last);
	if (status == SN_OK) status = down(p, last);
	p->back = NULL;
	return status;
}
