/* Attention: one kernel for every case. A row's queries run against a list of (K, V) segments: its own positions, its
 * ancestors' where it is a fork, a kept state's. Scores of one query at a time; n x n is never stored. */
#include "model/pass.h"

#include "model/site.h"

#include <math.h>
#include <string.h>

/* The keys and values of positions 0 .. n - 1 of one row. */
typedef struct history { sn_segment *segment; int n; } history;

static int depth_of(const sn_pass *p, int32_t row)
{
	int depth = 2;   /* the row itself, a kept state */
	for (; row >= 0; row = sn_parent_of(p->batch, row)) depth++;
	return depth;
}

static sn_segment own_segment(const sn_pass *p, int32_t row, int32_t first, int32_t end)
{
	const sn_shape *s = &p->model->shape;
	int64_t width = sn_qkv_width(s), k0 = (int64_t)s->n_head * s->d_head;
	const float *k = p->qkv + (p->now.off[row] + first - p->now.from[row]) * width + k0;
	return (sn_segment){ k, k + (int64_t)s->n_kv_head * s->d_head, width, first, end - first };
}

static sn_segment kept_segment(const sn_pass *p, int32_t kept, int32_t end)
{
	const sn_kept *row = &p->c->state->row[kept];
	int64_t width = (int64_t)p->model->shape.n_kv_head * p->model->shape.d_head;
	return (sn_segment){ row->k[p->stage - 1], row->v[p->stage - 1], width, 0, end };
}

/* Goes up the ancestors: each gives the positions before its fork's first own one. Filled from the back, then moved. */
static sn_status find_history(const sn_pass *p, int32_t row, sn_arena *arena, history *out)
{
	int room = depth_of(p, row), at = room;
	SN_NEW(out->segment, arena, sn_segment, room);
	int32_t end = sn_row_length(p->batch, row), top = row;
	for (int32_t b = row; b >= 0 && end > 0; b = sn_parent_of(p->batch, b)) {
		top = b;
		if (p->now.off[b] < 0 || p->now.from[b] >= end) continue;
		out->segment[--at] = own_segment(p, b, p->now.from[b], end);
		end = p->now.from[b];
	}
	if (end > 0) {
		SN_ASSERT(sn_state_parent_of(p->batch, top) >= 0);
		out->segment[--at] = kept_segment(p, sn_state_parent_of(p->batch, top), end);
	}
	out->n = room - at;
	memmove(out->segment, out->segment + at, (size_t)out->n * sizeof *out->segment);
	return SN_OK;
}

static void score_head(const sn_pass *p, const history *past, const float *q, int head, int32_t n_key, float *scores)
{
	const sn_shape *s = &p->model->shape;
	int64_t column = (int64_t)(head / (s->n_head / s->n_kv_head)) * s->d_head;
	float scale = 1.0f / sqrtf((float)s->d_head);
	for (int i = 0; i < past->n; i++) {
		const sn_segment *g = &past->segment[i];
		int32_t n = SN_MIN(g->n, n_key - g->first);
		if (n > 0)
			p->model->kernels->scores(scores + g->first, q + (int64_t)head * s->d_head, g->k + column, g->stride, n,
			                          s->d_head, scale);
	}
}

static void mix_head(const sn_pass *p, const history *past, const float *pattern, int head, int32_t n_key, float *z)
{
	const sn_shape *s = &p->model->shape;
	int64_t column = (int64_t)(head / (s->n_head / s->n_kv_head)) * s->d_head;
	memset(z, 0, (size_t)s->d_head * sizeof *z);
	for (int i = 0; i < past->n; i++) {
		const sn_segment *g = &past->segment[i];
		int32_t n = SN_MIN(g->n, n_key - g->first);
		if (n > 0) p->model->kernels->mix(z, pattern + g->first, g->v + column, g->stride, n, s->d_head);
	}
}

static float *query_of(const sn_pass *p, int64_t slot) { return p->qkv + slot * sn_qkv_width(&p->model->shape); }

static float *z_of(const sn_pass *p, int64_t slot, int head)
{
	const sn_shape *s = &p->model->shape;
	return p->z + (slot * s->n_head + head) * s->d_head;
}

/* ---- the plain case: nothing looks at scores or patterns ---- */

static void attend_plain(const sn_pass *p, int32_t row, const history *past, int head, float *scores)
{
	int32_t n = sn_row_length(p->batch, row);
	for (int32_t pos = p->now.from[row]; pos < n; pos++) {
		int64_t slot = p->now.off[row] + pos - p->now.from[row];
		score_head(p, past, query_of(p, slot), head, pos + 1, scores);
		p->model->kernels->softmax(scores, pos + 1);
		mix_head(p, past, scores, head, pos + 1, z_of(p, slot, head));
	}
}

static int32_t longest_row(const sn_pass *p)
{
	int32_t n = 1;
	for (int32_t i = 0; i < p->n_row; i++) n = SN_MAX(n, sn_row_length(p->batch, p->row[i]));
	return n;
}

static sn_status attend_all(sn_pass *p, const history *past)
{
	int threads = sn_ctx_threads(p->ctx), n_head = p->model->shape.n_head;
	int64_t width = longest_row(p), n_task = (int64_t)p->n_row * n_head;
	float *scores;
	SN_NEW(scores, p->arena, float, width * n_task);   /* one stretch a task: no sharing, no thread numbers */
#pragma omp parallel for num_threads(threads) schedule(dynamic, 4)
	for (int64_t t = 0; t < n_task; t++) {
		int32_t i = (int32_t)(t / n_head);
		if (p->now.off[p->row[i]] >= 0) attend_plain(p, p->row[i], &past[i], (int)(t % n_head), scores + t * width);
	}
	return SN_OK;
}

/* ---- the observed case: edits and taps at scores and patterns ---- */

static bool head_named(const sn_site *site, int head) { return site->head == 0 || site->head == head + 1; }

static bool key_named(const sn_pass *p, const sn_edit *e, int32_t row, int32_t key)
{
	if (e->key.sel == SN_SEL_NONE) return true;
	int32_t n = sn_places_in_row(p->batch, &e->key, row, NULL);
	if (n == 0) return false;
	if (e->key.sel != SN_LIST) {   /* a contiguous range: its ends tell */
		sn_mark mark = sn_arena_mark(p->arena);
		int32_t *pos = SN_TAKE(p->arena, int32_t, n);
		bool inside = pos && (sn_places_in_row(p->batch, &e->key, row, pos), key >= pos[0] && key <= pos[n - 1]);
		sn_arena_reset(p->arena, mark);
		return inside;
	}
	for (int64_t i = 0; i < e->key.n_list; i++)
		if (e->key.list[i] == p->batch->start[row] + key) return true;
	return false;
}

static sn_status attend_before(sn_pass *p, int32_t row, const history *past, int32_t pos, sn_site_kind upto,
                               float *out);

static sn_status edit_keys(sn_pass *p, const sn_edit_place *place, int32_t n_key, float *x)
{
	const sn_edit *e = &p->c->plan->edit[place->edit];
	float alpha = e->alpha && e->n_alpha ? e->alpha[e->n_alpha == 1 ? 0 : place->origin] : 1, *other = NULL;
	sn_mark mark = sn_arena_mark(p->arena);
	if (place->from_row >= 0) {
		if (place->from_pos != place->pos)
			return sn_fail(p->ctx, SN_EARG, "edit %d: attention is set from rows at equal positions only", place->edit);
		SN_NEW(other, p->arena, float, (int64_t)p->model->shape.n_head * n_key);
		history source;
		SN_TRY(find_history(p, place->from_row, p->arena, &source));
		SN_TRY(attend_before(p, place->from_row, &source, place->from_pos, (sn_site_kind)e->at.kind, other));
	}
	for (int32_t key = 0; key < n_key; key++) {
		if (!key_named(p, e, place->origin, key)) continue;
		for (int h = 0; h < p->model->shape.n_head; h++) {
			if (!head_named(&e->at, h)) continue;
			float *y = x + (int64_t)h * n_key + key, target = other ? other[(int64_t)h * n_key + key] : 0;
			if (e->op == SN_OP_BLOCK) *y = -INFINITY;
			else *y = alpha == 1 ? target : *y + alpha * (target - *y);
		}
	}
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}

static sn_status visit_keys(sn_pass *p, sn_site_kind kind, int32_t row, int32_t pos, float *x)
{
	if (!(sn_touched(p->c, kind, p->stage) & SN_TOUCH_EDIT)) return SN_OK;
	for (int64_t i = p->c->edit_start[row]; i < p->c->edit_start[row + 1]; i++) {
		const sn_edit_place *place = &p->c->edit[i];
		if (place->pos == pos && sn_site_here(p, &p->c->plan->edit[place->edit].at, kind))
			SN_TRY(edit_keys(p, place, pos + 1, x));
	}
	return SN_OK;
}

/* Scores of all heads at one position, or, upto the pattern, their softmax; without the edits of that last site, as
 * sources of edits are read. out: [heads, pos + 1] */
static sn_status attend_before(sn_pass *p, int32_t row, const history *past, int32_t pos, sn_site_kind upto, float *out)
{
	int32_t n_key = pos + 1;
	int64_t slot = sn_slot(p, &p->now, row, pos);
	SN_ASSERT(slot >= 0);
	for (int h = 0; h < p->model->shape.n_head; h++)
		score_head(p, past, query_of(p, slot), h, n_key, out + (int64_t)h * n_key);
	if (upto == SN_SITE_ATTN_SCORES) return SN_OK;
	SN_TRY(visit_keys(p, SN_SITE_ATTN_SCORES, row, pos, out));
	for (int h = 0; h < p->model->shape.n_head; h++) p->model->kernels->softmax(out + (int64_t)h * n_key, n_key);
	return SN_OK;
}

static sn_status attend_observed(sn_pass *p, int32_t row, const history *past, int32_t pos, sn_site_kind upto,
                                 float *out)
{
	SN_TRY(attend_before(p, row, past, pos, upto, out));
	return visit_keys(p, upto, row, pos, out);
}

static sn_status attend_row(sn_pass *p, int32_t row, const history *past)
{
	int32_t n = sn_row_length(p->batch, row);
	sn_mark mark = sn_arena_mark(p->arena);
	float *x;
	SN_NEW(x, p->arena, float, (int64_t)p->model->shape.n_head * n);
	for (int32_t pos = p->now.from[row]; pos < n; pos++) {
		int64_t slot = p->now.off[row] + pos - p->now.from[row];
		SN_TRY(attend_observed(p, row, past, pos, SN_SITE_PATTERN, x));
		for (int h = 0; h < p->model->shape.n_head; h++)
			mix_head(p, past, x + (int64_t)h * (pos + 1), h, pos + 1, z_of(p, slot, h));
	}
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}

/* ---- taps at scores and patterns ---- */

static sn_status tap_place(sn_pass *p, int t, int64_t i)
{
	const sn_tap *tap = &p->c->plan->tap[t];
	int32_t row = p->c->tap[t].row[i], pos = p->c->tap[t].pos[i], n_key = pos + 1;
	if (tap->what == SN_BEFORE)
		return sn_fail(p->ctx, SN_EARG, "tap %d: attention scores and patterns are read after the edits only", t);
	sn_mark mark = sn_arena_mark(p->arena);
	float *x;
	history past;
	SN_NEW(x, p->arena, float, (int64_t)p->model->shape.n_head * n_key);
	SN_TRY(find_history(p, row, p->arena, &past));
	SN_TRY(attend_observed(p, row, &past, pos, (sn_site_kind)tap->at.kind, x));
	int h0 = tap->at.head ? tap->at.head - 1 : 0, h1 = tap->at.head ? tap->at.head : p->model->shape.n_head;
	sn_block block = { .site = tap->at, .batch = p->batch, .row = &row, .pos = &pos, .m = 1, .first = i,
	                   .chunk = row / SN_CHUNK_ROWS, .x = sn_tensor_f32(x + (int64_t)h0 * n_key, h1 - h0, n_key) };
	SN_TRY(tap->sink->take(p->ctx, tap->state, &block));
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}

static sn_status tap_keys(sn_pass *p, sn_site_kind kind)
{
	for (int t = 0; t < p->c->plan->n_tap; t++) {
		const sn_places *places = &p->c->tap[t];
		if (!sn_site_here(p, &p->c->plan->tap[t].at, kind)) continue;
		for (int32_t r = 0; r < p->n_row; r++)
			for (int64_t i = sn_places_of_row(places, p->row[r]); i < places->n && places->row[i] == p->row[r]; i++)
				SN_TRY(tap_place(p, t, i));
	}
	return SN_OK;
}

sn_status sn_attention(sn_pass *p)
{
	sn_mark mark = sn_arena_mark(p->arena);
	history *past;
	SN_NEW(past, p->arena, history, p->n_row);
	for (int32_t i = 0; i < p->n_row; i++)
		if (p->now.off[p->row[i]] >= 0) SN_TRY(find_history(p, p->row[i], p->arena, &past[i]));
	uint8_t touched = sn_touched(p->c, SN_SITE_ATTN_SCORES, p->stage) | sn_touched(p->c, SN_SITE_PATTERN, p->stage);
	if (touched & SN_TOUCH_EDIT) {
		for (int32_t i = 0; i < p->n_row; i++)
			if (p->now.off[p->row[i]] >= 0) SN_TRY(attend_row(p, p->row[i], &past[i]));
	} else {
		SN_TRY(attend_all(p, past));
	}
	if (touched & SN_TOUCH_TAP) {
		SN_TRY(tap_keys(p, SN_SITE_ATTN_SCORES));
		SN_TRY(tap_keys(p, SN_SITE_PATTERN));
	}
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}
