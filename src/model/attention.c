/* Attention: one kernel for every case. Queries run against a list of (K, V) segments: a row's own positions, its
 * ancestors' where it is a fork, a kept state's, or the encoder's row. Here: what all cases share, and the case that
 * edits and taps look into, one position at a time; attention_plain.c: the other. n x n is never stored. */
#include "model/attention.h"

#include "model/positions.h"
#include "model/site.h"

#include <math.h>
#include <string.h>

/* ---- keys and values ---- */

static int depth_of(const sn_pass *p, int32_t row)
{
	int depth = 1;
	for (; sn_parent_of(p->batch, row) >= 0; row = sn_parent_of(p->batch, row)) depth++;
	int32_t kept = sn_state_parent_of(p->batch, row);
	return depth + (kept >= 0 ? sn_kept_pieces(&p->c->state->row[kept]) : 0);
}

static sn_segment own_segment(const sn_pass *p, int32_t row, int32_t first, int32_t end)
{
	const sn_shape *s = &p->model->shape;
	int64_t width = sn_qkv_width(s), k0 = (int64_t)s->n_head * s->d_head;
	const float *k = p->qkv + (p->now.off[row] + first - p->now.from[row]) * width + k0;
	return (sn_segment){ k, k + (int64_t)s->n_kv_head * s->d_head, width, first, end - first };
}

/* Puts the segments of a kept row's positions [0, end) in front of segment at; returns where they begin. */
static int kept_segments(const sn_pass *p, int32_t kept, int32_t end, sn_segment *segment, int at)
{
	int l = p->stage - 1;
	int64_t width = (int64_t)p->model->shape.n_kv_head * p->model->shape.d_head;
	for (const sn_piece *piece = p->c->state->row[kept].piece; end > 0; piece = piece->before) {
		if (piece->first >= end) continue;
		segment[--at] = (sn_segment){ piece->k[l], piece->v[l], width, piece->first, end - piece->first };
		end = piece->first;
	}
	return at;
}

/* What an earlier wave has left of a row. */
static sn_segment held_segment(const sn_pass *p, int32_t row, int32_t first, int32_t end)
{
	int64_t width = (int64_t)p->model->shape.n_kv_head * p->model->shape.d_head;
	const float *k = p->held ? sn_held_at(p->held, row, sn_held_kv(p->stage), first) : NULL;
	SN_ASSERT(k);
	return (sn_segment){ k, k + width, 2 * width, first, end - first };
}

static sn_segment encoder_segment(const sn_pass *p, int32_t row)
{
	const sn_cross *c = p->cross;
	int64_t width = (int64_t)p->model->shape.n_kv_head * p->model->shape.d_head;
	int32_t enc = sn_enc_row(p->batch, row);
	const float *k = c->kv + c->layout.off[enc] * 2 * width;
	return (sn_segment){ k, k + width, 2 * width, 0, sn_row_length(c->batch, enc) };
}

/* Goes up the ancestors: each gives the positions before its fork's first own one. Filled from the back, then moved. */
sn_status sn_attention_history(const sn_attending *a, int32_t row, sn_history *out)
{
	const sn_pass *p = a->p;
	int room = depth_of(p, row), at = room;
	SN_NEW(out->segment, p->arena, sn_segment, room);
	if (a->cross) {
		out->segment[0] = encoder_segment(p, row);
		out->n = 1;
		return SN_OK;
	}
	int32_t end = sn_row_length(p->batch, row), top = row;
	for (int32_t b = row; b >= 0 && end > 0; b = sn_parent_of(p->batch, b)) {
		int32_t first = p->now.from[b];
		top = b;
		if (first >= end) continue;
		out->segment[--at] = p->now.off[b] < 0 ? held_segment(p, b, first, end) : own_segment(p, b, first, end);
		end = first;
	}
	if (end > 0) {
		SN_ASSERT(sn_state_parent_of(p->batch, top) >= 0);
		at = kept_segments(p, sn_state_parent_of(p->batch, top), end, out->segment, at);
	}
	out->n = room - at;
	memmove(out->segment, out->segment + at, (size_t)out->n * sizeof *out->segment);
	return SN_OK;
}

sn_extent sn_attention_extent(const sn_attending *a, int32_t row, int32_t pos)
{
	bool both = a->p->model->shape.form.bidirectional;
	if (a->cross) {
		int32_t n = sn_row_length(a->p->cross->batch, sn_enc_row(a->p->batch, row));
		return (sn_extent){ 0, n, n };
	}
	int32_t n = both ? sn_row_length(a->p->batch, row) : pos + 1;
	if (!a->window) return (sn_extent){ 0, n, n };
	int32_t back = both ? a->window : a->window - 1;
	return (sn_extent){ SN_MAX(0, pos - back), both ? SN_MIN(n, pos + a->window + 1) : n, n };
}

/* ---- scores ---- */

/* DeBERTa: q . K(distance) and k . Q(distance), each by a row of the relative embeddings. */
static void add_disentangled(const sn_attending *a, const sn_segment *g, const float *q, int head, int32_t pos,
							 sn_extent e, float *scores)
{
	const sn_shape *s = &a->p->model->shape;
	const sn_kernels *k = a->p->model->kernels;
	int64_t width = (int64_t)s->n_head * s->d_head, column = (int64_t)head * s->d_head;
	float scale = (float)s->form.attn_scale;
	const int32_t *index = a->p->model->positions.distance_index + a->p->model->positions.n - 1;
	for (int32_t j = SN_MAX(g->first, e.lo); j < SN_MIN(g->first + g->n, e.hi); j++) {
		int64_t row = index[pos - j] * width + column;
		if (a->layer->rel_k) scores[j] += scale * k->dot(q, a->layer->rel_k + row, s->d_head);
		if (a->layer->rel_q)
			scores[j] += scale * k->dot(g->k + (j - g->first) * g->stride + column, a->layer->rel_q + row, s->d_head);
	}
}

static float alibi_at(const sn_model *m, int head, int32_t key)
{
	if (!m->shape.form.alibi_scaled) return m->slope[head] * (float)key;
	return sn_round_bf16(m->slope[head] * sn_round_bf16((float)key)) * (float)m->shape.form.attn_scale;
}

static void add_positions(const sn_attending *a, int head, int32_t pos, sn_extent e, float *scores)
{
	const sn_model *m = a->p->model;
	if (a->cross) return;
	if (m->slope)
		for (int32_t j = e.lo; j < e.hi; j++) scores[j] += alibi_at(m, head, j);
	if (m->positions.distance_bias) {
		const float *bias = m->positions.distance_bias + head * (2 * m->positions.n - 1) + m->positions.n - 1 - pos;
		for (int32_t j = e.lo; j < e.hi; j++) scores[j] += bias[j];
	}
}

static void add_distances(const sn_attending *a, const sn_history *past, const float *q, int head, int32_t pos,
                          sn_extent e, float *scores)
{
	const sn_form *f = &a->p->model->shape.form;
	for (int i = 0; i < past->n && !a->cross && f->position == SN_POSITION_DISENTANGLED; i++)
		add_disentangled(a, &past->segment[i], q, head, pos, e, scores);
}

static void cap_scores(const sn_attending *a, sn_extent e, float *scores)
{
	float cap = (float)a->p->model->shape.form.attn_softcap;
	if (cap > 0) a->p->model->kernels->softcap(scores + e.lo, e.hi - e.lo, cap);
}

void sn_attention_finish_score(const sn_attending *a, const sn_history *past, const float *q, int head, int32_t pos,
                               sn_extent e, float *scores)
{
	add_distances(a, past, q, head, pos, e, scores);
	cap_scores(a, e, scores);
	add_positions(a, head, pos, e, scores);
}

void sn_attention_scores_raw(const sn_attending *a, const sn_history *past, const float *query, int head, int32_t pos,
                             sn_extent e, float *scores)
{
	const sn_shape *s = &a->p->model->shape;
	int64_t column = (int64_t)(head / (s->n_head / s->n_kv_head)) * s->d_head;
	const float *q = query + (int64_t)head * s->d_head;
	for (int i = 0; i < past->n; i++) {
		const sn_segment *g = &past->segment[i];
		int32_t first = SN_MAX(g->first, e.lo), n = SN_MIN(g->first + g->n, e.hi) - first;
		if (n > 0)
			a->p->model->kernels->scores(scores + first, q, g->k + (first - g->first) * g->stride + column, g->stride,
			                             n, s->d_head, (float)s->form.attn_scale);
	}
	add_distances(a, past, q, head, pos, e, scores);
}

void sn_attention_scores_capped(const sn_attending *a, const sn_history *past, const float *query, int head,
                                int32_t pos, sn_extent e, float *scores)
{
	sn_attention_scores_raw(a, past, query, head, pos, e, scores);
	cap_scores(a, e, scores);
}

void sn_attention_score(const sn_attending *a, const sn_history *past, const float *query, int head, int32_t pos,
                        sn_extent e, float *scores)
{
	sn_attention_scores_capped(a, past, query, head, pos, e, scores);
	add_positions(a, head, pos, e, scores);
}

static void mix_head(const sn_attending *a, const sn_history *past, const float *pattern, int head, sn_extent e,
                     float *z)
{
	const sn_shape *s = &a->p->model->shape;
	int64_t column = (int64_t)(head / (s->n_head / s->n_kv_head)) * s->d_head;
	memset(z, 0, (size_t)s->d_head * sizeof *z);
	for (int i = 0; i < past->n; i++) {
		const sn_segment *g = &past->segment[i];
		int32_t first = SN_MAX(g->first, e.lo), n = SN_MIN(g->first + g->n, e.hi) - first;
		if (n > 0)
			a->p->model->kernels->accumulate(&z, (const float *const[]){ pattern + first }, 1,
			                                 g->v + (first - g->first) * g->stride + column, g->stride, SN_PANEL, n,
			                                 s->d_head, true);
	}
}

static const float *query_of(const sn_attending *a, int64_t slot) { return a->p->qkv + slot * a->stride; }

static float *z_of(const sn_pass *p, int64_t slot, int head)
{
	const sn_shape *s = &p->model->shape;
	return p->z + (slot * s->n_head + head) * s->d_head;
}

int32_t sn_attention_most_keys(const sn_attending *a)
{
	int32_t n = 1;
	for (int32_t i = 0; i < a->p->n_row; i++) {
		int32_t row = a->p->row[i];
		n = SN_MAX(n, sn_attention_extent(a, row, sn_row_length(a->p->batch, row) - 1).n);
	}
	return n;
}

/* ---- the observed case: edits and taps at scores and patterns ---- */

bool sn_key_named(const sn_attending *a, const sn_edit *e, int32_t row, int32_t key)
{
	const sn_batch *batch = a->cross ? a->p->cross->batch : a->p->batch;
	if (e->key.sel == SN_SEL_NONE) return true;
	if (a->cross) row = sn_enc_row(a->p->batch, row);
	int32_t n = sn_places_in_row(batch, &e->key, row, NULL);
	if (n == 0) return false;
	if (e->key.sel != SN_LIST) {   /* a contiguous range: its ends tell */
		sn_mark mark = sn_arena_mark(a->p->arena);
		int32_t *pos = SN_TAKE(a->p->arena, int32_t, n);
		bool inside = pos && (sn_places_in_row(batch, &e->key, row, pos), key >= pos[0] && key <= pos[n - 1]);
		sn_arena_reset(a->p->arena, mark);
		return inside;
	}
	for (int64_t i = 0; i < e->key.n_list; i++)
		if (e->key.list[i] == batch->start[row] + key) return true;
	return false;
}

/* Scores or patterns of the row that an edit sets from. */
static sn_status read_other(const sn_attending *a, const sn_edit_place *place, sn_site_kind kind, int32_t n_key,
							float **out)
{
	sn_history source;
	SN_NEW(*out, a->p->arena, float, (int64_t)a->p->model->shape.n_head * n_key);
	if (place->from_pos != place->pos || sn_attention_extent(a, place->from_row, place->from_pos).n != n_key)
		return sn_fail(a->p->ctx, SN_EARG,
					   "edit %d: attention is set from rows at equal positions and as many keys only", place->edit);
	if (sn_slot(a->p, &a->p->now, place->from_row, place->from_pos) < 0) {
		const float *x = sn_held_value(a->p, kind, SN_BEFORE, place->from_row, place->from_pos);
		memcpy(*out, x, (size_t)(a->p->model->shape.n_head * (int64_t)n_key) * sizeof *x);
		return SN_OK;
	}
	SN_TRY(sn_attention_history(a, place->from_row, &source));
	return sn_attention_before(a, place->from_row, &source, place->from_pos, kind, *out);
}

static sn_status edit_keys(const sn_attending *a, const sn_edit_place *place, int32_t n_key, float *x)
{
	sn_pass *p = a->p;
	const sn_edit *e = &p->c->plan->edit[place->edit];
	float alpha = e->alpha && e->n_alpha ? e->alpha[e->n_alpha == 1 ? 0 : place->origin] : 1, *other = NULL;
	sn_mark mark = sn_arena_mark(p->arena);
	if (place->from_row >= 0) SN_TRY(read_other(a, place, (sn_site_kind)e->at.kind, n_key, &other));
	for (int32_t key = 0; key < n_key; key++) {
		if (!sn_key_named(a, e, place->origin, key)) continue;
		for (int h = 0; h < p->model->shape.n_head; h++) {
			if (!sn_head_named(&e->at, h)) continue;
			float *y = x + (int64_t)h * n_key + key, target = other ? other[(int64_t)h * n_key + key] : 0;
			if (e->op == SN_OP_BLOCK) *y = -INFINITY;
			else *y = alpha == 1 ? target : *y + alpha * (target - *y);
		}
	}
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}

static sn_status visit_keys(const sn_attending *a, sn_site_kind kind, int32_t row, int32_t pos, float *x)
{
	sn_pass *p = a->p;
	if (!(sn_touched(p->c, kind, p->stage) & SN_TOUCH_EDIT)) return SN_OK;
	for (int64_t i = p->c->edit_start[row]; i < p->c->edit_start[row + 1]; i++) {
		const sn_edit_place *place = &p->c->edit[i];
		if (place->pos == pos && sn_site_here(p, &p->c->plan->edit[place->edit].at, kind))
			SN_TRY(edit_keys(a, place, sn_attention_extent(a, row, pos).n, x));
	}
	return SN_OK;
}

sn_status sn_attention_before(const sn_attending *a, int32_t row, const sn_history *past, int32_t pos,
                              sn_site_kind upto, float *out)
{
	const sn_pass *p = a->p;
	sn_extent e = sn_attention_extent(a, row, pos);
	int64_t slot = sn_slot(p, &p->now, row, pos);
	SN_ASSERT(slot >= 0);
	for (int h = 0; h < p->model->shape.n_head; h++) {
		float *scores = out + (int64_t)h * e.n;
		for (int32_t j = 0; j < e.n; j++) scores[j] = -INFINITY;
		sn_attention_score(a, past, query_of(a, slot), h, pos, e, scores);
	}
	if (upto == a->scores) return SN_OK;
	SN_TRY(visit_keys(a, a->scores, row, pos, out));
	for (int h = 0; h < p->model->shape.n_head; h++) {
		float *pattern = out + (int64_t)h * e.n;
		p->model->kernels->softmax(pattern + e.lo, e.hi - e.lo);
		for (int32_t j = 0; j < e.n; j++)
			if (j < e.lo || j >= e.hi) pattern[j] = 0;
	}
	return SN_OK;
}

static sn_status attend_observed(const sn_attending *a, int32_t row, const sn_history *past, int32_t pos,
								 sn_site_kind upto, float *out)
{
	SN_TRY(sn_attention_before(a, row, past, pos, upto, out));
	return visit_keys(a, upto, row, pos, out);
}

static sn_status attend_row(const sn_attending *a, int32_t row, const sn_history *past)
{
	sn_pass *p = a->p;
	int32_t n = sn_row_length(p->batch, row);
	sn_mark mark = sn_arena_mark(p->arena);
	float *x;
	SN_NEW(x, p->arena, float, (int64_t)p->model->shape.n_head * sn_attention_most_keys(a));
	for (int32_t pos = p->now.from[row]; pos < n; pos++) {
		int64_t slot = p->now.off[row] + pos - p->now.from[row];
		sn_extent e = sn_attention_extent(a, row, pos);
		SN_TRY(attend_observed(a, row, past, pos, a->pattern, x));
		for (int h = 0; h < p->model->shape.n_head; h++)
			mix_head(a, past, x + (int64_t)h * e.n, h, e, z_of(p, slot, h));
	}
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}

sn_status sn_attention_used(const sn_attending *a, int32_t row, const sn_history *past, int32_t pos, float *out)
{
	return attend_observed(a, row, past, pos, a->pattern, out);
}

/* ---- taps at scores and patterns ---- */

/* Scores or patterns after the edits: [heads, n_key], of this step or left by an earlier one. */
static sn_status observe(const sn_attending *a, sn_site_kind kind, int32_t row, int32_t pos, int32_t n_key, float *out)
{
	sn_history past;
	if (sn_slot(a->p, &a->p->now, row, pos) < 0) {
		const float *x = sn_held_value(a->p, kind, SN_AFTER, row, pos);
		memcpy(out, x, (size_t)(a->p->model->shape.n_head * (int64_t)n_key) * sizeof *x);
		return SN_OK;
	}
	SN_TRY(sn_attention_history(a, row, &past));
	return attend_observed(a, row, &past, pos, kind, out);
}

static sn_status tap_place(const sn_attending *a, int t, int64_t i)
{
	sn_pass *p = a->p;
	const sn_tap *tap = &p->c->plan->tap[t];
	int32_t row = p->c->tap[t].row[i], pos = p->c->tap[t].pos[i], n_key = sn_attention_extent(a, row, pos).n;
	if (tap->what == SN_BEFORE)
		return sn_fail(p->ctx, SN_EARG, "tap %d: attention scores and patterns are read after the edits only", t);
	sn_mark mark = sn_arena_mark(p->arena);
	float *x;
	SN_NEW(x, p->arena, float, (int64_t)p->model->shape.n_head * n_key);
	SN_TRY(observe(a, (sn_site_kind)tap->at.kind, row, pos, n_key, x));
	int h0 = tap->at.head ? tap->at.head - 1 : 0, h1 = tap->at.head ? tap->at.head : p->model->shape.n_head;
	sn_block block = { .site = tap->at, .batch = p->batch, .row = &row, .pos = &pos, .m = 1, .first = i,
	                   .chunk = row / SN_CHUNK_ROWS, .x = sn_tensor_f32(x + (int64_t)h0 * n_key, h1 - h0, n_key) };
	SN_TRY(tap->sink->take(p->ctx, tap->state, &block));
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}

static sn_status tap_keys(const sn_attending *a, sn_site_kind kind)
{
	sn_pass *p = a->p;
	for (int t = 0; t < p->c->plan->n_tap; t++) {
		const sn_places *places = &p->c->tap[t];
		if (sn_is_gradient(p->c->plan->tap[t].what) || !sn_site_here(p, &p->c->plan->tap[t].at, kind)) continue;
		for (int32_t r = 0; r < p->n_row; r++)
			for (int64_t i = sn_places_of_row(places, p->row[r]); i < places->n && places->row[i] == p->row[r]; i++)
				SN_TRY(tap_place(a, t, i));
	}
	return SN_OK;
}

/* ---- what rows of later waves read ---- */

static sn_status hold_observed(const sn_attending *a, sn_site_kind kind, sn_what what)
{
	sn_pass *p = a->p;
	int key = p->held ? sn_held_site(p->held, p->stage, kind, what) : -1;
	for (int32_t i = 0; key >= 0 && i < p->n_row; i++) {
		int32_t row = p->row[i], first, last;
		sn_held_range(p->held, row, key, &first, &last);
		for (int32_t pos = first; pos < last; pos++) {
			float *out = sn_held_at(p->held, row, key, pos);
			if (what == SN_BEFORE) SN_TRY(sn_attention_before(a, row, &a->past[i], pos, kind, out));
			else SN_TRY(attend_observed(a, row, &a->past[i], pos, kind, out));
		}
	}
	return SN_OK;
}

static sn_status hold_all_observed(const sn_attending *a)
{
	const sn_site_kind kind[] = { a->scores, a->pattern };
	for (int i = 0; i < SN_COUNT(kind); i++) {
		SN_TRY(hold_observed(a, kind[i], SN_BEFORE));
		SN_TRY(hold_observed(a, kind[i], SN_AFTER));
	}
	return SN_OK;
}

/* ---- the two attentions of a block ---- */

static sn_status run(sn_attending *a)
{
	sn_pass *p = a->p;
	sn_mark mark = sn_arena_mark(p->arena);
	SN_NEW(a->past, p->arena, sn_history, p->n_row);
	for (int32_t i = 0; i < p->n_row; i++)
		if (p->now.off[p->row[i]] >= 0) SN_TRY(sn_attention_history(a, p->row[i], &a->past[i]));
	uint8_t touched = sn_touched(p->c, a->scores, p->stage) | sn_touched(p->c, a->pattern, p->stage);
	if (touched & SN_TOUCH_EDIT) {
		for (int32_t i = 0; i < p->n_row; i++)
			if (p->now.off[p->row[i]] >= 0) SN_TRY(attend_row(a, p->row[i], &a->past[i]));
	} else {
		SN_TRY(sn_attention_plain(a));
	}
	if (touched & SN_TOUCH_TAP && !p->silent) {
		SN_TRY(tap_keys(a, a->scores));
		SN_TRY(tap_keys(a, a->pattern));
	}
	SN_TRY(hold_all_observed(a));
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}

sn_attending sn_self_attending(sn_pass *p)
{
	return (sn_attending){ .p = p,
	                       .scores = SN_SITE_ATTN_SCORES,
	                       .pattern = SN_SITE_PATTERN,
	                       .stride = sn_qkv_width(&p->model->shape),
	                       .window = sn_kind_of(&p->model->shape, p->stage - 1).window,
	                       .layer = sn_layer_of(p->model, p->stage - 1) };
}

sn_attending sn_cross_attending(sn_pass *p)
{
	return (sn_attending){ .p = p,
	                       .cross = true,
	                       .scores = SN_SITE_CROSS_SCORES,
	                       .pattern = SN_SITE_CROSS_PATTERN,
	                       .stride = (int64_t)p->model->shape.n_head * p->model->shape.d_head,
	                       .layer = sn_layer_of(p->model, p->stage - 1) };
}

sn_status sn_attention(sn_pass *p)
{
	sn_attending a = sn_self_attending(p);
	return run(&a);
}

sn_status sn_cross_attention(sn_pass *p)
{
	sn_attending a = sn_cross_attending(p);
	return run(&a);
}
