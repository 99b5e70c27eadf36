/* Attention where nothing looks at scores or patterns. One task is a row and a key/value head: its keys are laid down
 * in panels once, then a few queries at a time – neighbouring positions, and the query heads that share the keys – are
 * multiplied with them, made shares, and multiplied with the values. Scores of those few queries are all that is
 * stored. Every query's numbers come from the same operations in the same order as alone (kernels.h), so no bit depends
 * on which queries stand together. */
#include "model/attention.h"

#include <omp.h>
#include <string.h>

/* One thread's room: keys of one head in panels, scores of a tile's queries; both by position, `width` of them. */
typedef struct room { float *panels, *scores; int64_t width; } room;

/* A row and a key/value head. */
typedef struct task {
	const sn_attending *a;
	const sn_history *past;
	const room *room;
	int32_t row;
	int head0, n_shared;   /* query heads that share the keys */
	int64_t column;        /* of the keys' and values' head in a segment */
} task;

/* Queries that are computed together: all at once at [common), the rest of each one's extent by itself. */
typedef struct tile {
	int n;
	int32_t pos[SN_TILE_ROWS];
	int head[SN_TILE_ROWS];
	sn_extent extent[SN_TILE_ROWS];
	const float *query[SN_TILE_ROWS];
	float *scores[SN_TILE_ROWS], *z[SN_TILE_ROWS];
	int32_t lo, hi, common_lo, common_hi;   /* the union of the extents, and what all of them hold */
} tile;

/* The part of [lo, hi) that a segment holds: returns how many keys, *first the first of them. */
static int32_t part_of(const sn_segment *g, int32_t lo, int32_t hi, int32_t *first)
{
	*first = SN_MAX(g->first, lo);
	return SN_MIN(g->first + g->n, hi) - *first;
}

static void turn_keys(const task *t, int32_t lo, int32_t hi)
{
	const sn_model *m = t->a->p->model;
	for (int i = 0; i < t->past->n; i++) {
		const sn_segment *g = &t->past->segment[i];
		int32_t first, n = part_of(g, lo, hi, &first);
		if (n <= 0) continue;
		m->kernels->turn(t->room->panels, first, g->k + (first - g->first) * g->stride + t->column, g->stride, n,
		                 m->shape.d_head);
	}
}

/* Adds the values at [lo, hi) to rows [row0, row0 + n_row) of a tile, or begins them with those. */
static void mix(const task *t, const tile *y, int row0, int n_row, int32_t lo, int32_t hi, bool begin)
{
	const sn_model *m = t->a->p->model;
	for (int i = 0; i < t->past->n; i++) {
		const sn_segment *g = &t->past->segment[i];
		const float *share[SN_TILE_ROWS];
		int32_t first, n = part_of(g, lo, hi, &first);
		if (n <= 0) continue;
		for (int r = 0; r < n_row; r++) share[r] = y->scores[row0 + r] + first;
		m->kernels->accumulate(y->z + row0, share, n_row, g->v + (first - g->first) * g->stride + t->column, g->stride,
		                       SN_PANEL, n, m->shape.d_head, !begin);
		begin = false;
	}
}

/* Values are added in the order of their positions: each row's own before the common ones, those, the rest. */
static void mix_tile(const task *t, const tile *y)
{
	bool begin = y->lo == y->common_lo && y->lo < y->common_hi;
	int32_t lo = SN_MIN(y->common_lo, y->common_hi);   /* no common keys: all by itself */
	for (int r = 0; r < y->n && !begin; r++) {
		memset(y->z[r], 0, (size_t)t->a->p->model->shape.d_head * sizeof *y->z[r]);
		mix(t, y, r, 1, y->extent[r].lo, SN_MIN(lo, y->extent[r].hi), false);
	}
	mix(t, y, 0, y->n, lo, y->common_hi, begin);
	for (int r = 0; r < y->n; r++) mix(t, y, r, 1, SN_MAX(y->common_hi, y->extent[r].lo), y->extent[r].hi, false);
}

static void score_tile(const task *t, const tile *y)
{
	const sn_model *m = t->a->p->model;
	int64_t d = m->shape.d_head, start = y->lo / SN_PANEL * SN_PANEL,
		end = (y->hi + SN_PANEL - 1) / SN_PANEL * SN_PANEL;
	float *rows[SN_TILE_ROWS], scale = (float)m->shape.form.attn_scale;
	for (int r = 0; r < y->n; r++) rows[r] = y->scores[r] + start;
	m->kernels->accumulate(rows, y->query, y->n, t->room->panels + start * d, SN_PANEL, SN_PANEL * d, d, end - start,
	                       false);
	for (int r = 0; r < y->n; r++) {
		sn_extent e = y->extent[r];
		for (int32_t j = e.lo; j < e.hi; j++) y->scores[r][j] *= scale;
		sn_attention_finish_score(t->a, t->past, y->query[r], y->head[r], y->pos[r], e, y->scores[r]);
		m->kernels->softmax(y->scores[r] + e.lo, e.hi - e.lo);
	}
}

/* Queries [first, first + n) of the task, counted over positions and, fastest, the heads that share the keys. */
static tile make_tile(const task *t, int64_t first, int n)
{
	const sn_pass *p = t->a->p;
	tile y = { .n = n, .lo = INT32_MAX, .common_hi = INT32_MAX };
	for (int r = 0; r < n; r++) {
		int32_t pos = p->now.from[t->row] + (int32_t)((first + r) / t->n_shared);
		int64_t slot = p->now.off[t->row] + pos - p->now.from[t->row];
		int head = t->head0 + (int)((first + r) % t->n_shared);
		sn_extent e = sn_attention_extent(t->a, t->row, pos);
		y.pos[r] = pos;
		y.head[r] = head;
		y.extent[r] = e;
		y.query[r] = p->qkv + slot * t->a->stride + (int64_t)head * p->model->shape.d_head;
		y.z[r] = p->z + (slot * p->model->shape.n_head + head) * p->model->shape.d_head;
		y.scores[r] = t->room->scores + r * t->room->width;
		y.lo = SN_MIN(y.lo, e.lo);
		y.hi = SN_MAX(y.hi, e.hi);
		y.common_lo = SN_MAX(y.common_lo, e.lo);
		y.common_hi = SN_MIN(y.common_hi, e.hi);
	}
	return y;
}

static void attend(const task *t)
{
	const sn_pass *p = t->a->p;
	int32_t from = p->now.from[t->row], n = sn_row_length(p->batch, t->row);
	int64_t n_query = (int64_t)(n - from) * t->n_shared;
	turn_keys(t, sn_attention_extent(t->a, t->row, from).lo, sn_attention_extent(t->a, t->row, n - 1).hi);
	for (int64_t i = 0; i < n_query; i += SN_TILE_ROWS) {
		tile y = make_tile(t, i, (int)SN_MIN(n_query - i, (int64_t)SN_TILE_ROWS));
		score_tile(t, &y);
		mix_tile(t, &y);
	}
}

static sn_status take_rooms(const sn_attending *a, int threads, room *out)
{
	sn_arena *arena = a->p->arena;
	int64_t width = (sn_attention_most_keys(a) + SN_PANEL - 1) / SN_PANEL * SN_PANEL;
	for (int i = 0; i < threads; i++) {
		out[i].width = width;
		SN_NEW(out[i].panels, arena, float, width * a->p->model->shape.d_head);
		SN_NEW(out[i].scores, arena, float, width * SN_TILE_ROWS);
	}
	return SN_OK;
}

sn_status sn_attention_plain(const sn_attending *a)
{
	const sn_pass *p = a->p;
	const sn_shape *s = &p->model->shape;
	int threads = sn_ctx_threads(p->ctx), n_kv = s->n_kv_head, n_shared = s->n_head / n_kv;
	room *rooms;
	SN_NEW(rooms, p->arena, room, threads);
	SN_TRY(take_rooms(a, threads, rooms));
#pragma omp parallel for num_threads(threads) schedule(dynamic)
	for (int64_t i = 0; i < (int64_t)p->n_row * n_kv; i++) {
		int64_t r = i / n_kv, kv = i % n_kv;
		const task t = { .a = a, .past = &a->past[r], .room = &rooms[omp_get_thread_num()], .row = p->row[r],
		                 .head0 = (int)kv * n_shared, .n_shared = n_shared, .column = kv * s->d_head };
		if (p->now.off[t.row] >= 0) attend(&t);
	}
	return SN_OK;
}
