/* Attention on the way down where edits or gradient taps look at scores or patterns: all rows' derivatives of these
 * stand side by side, since an edit's source may be of another row. */
#include "model/back_attention.h"

#include <string.h>

/* Derivatives of all rows' patterns, then scores: [heads][keys] for each slot. */
typedef struct maps { float *d; int64_t keys; } maps;

static float *map_at(const sn_down *b, const maps *m, int32_t row, int32_t pos, int number)
{
	const sn_pass *p = b->a.p;
	return m->d + ((p->now.off[row] + pos) * p->model->shape.n_head + number) * m->keys;
}

/* One edit at a site of keys: what it leaves of the row's own derivative, and, in moved, what goes to its source. */
static void edit_back(const sn_down *b, const maps *m, const sn_edit_place *place, float *moved)
{
	const sn_pass *p = b->a.p;
	const sn_edit *e = &p->c->plan->edit[place->edit];
	float alpha = e->alpha && e->n_alpha ? e->alpha[e->n_alpha == 1 ? 0 : place->origin] : 1;
	int32_t keys = sn_attention_extent(&b->a, place->row, place->pos).n;
	for (int h = 0; h < p->model->shape.n_head; h++) {
		float *d = map_at(b, m, place->row, place->pos, h);
		for (int32_t j = 0; j < keys; j++) {
			if (!sn_head_named(&e->at, h) || !sn_key_named(&b->a, e, place->origin, j)) continue;
			float share = e->op == SN_OP_BLOCK ? d[j] : alpha * d[j];
			moved[h * m->keys + j] = share;
			d[j] -= share;
		}
	}
}

static sn_status edits_back(const sn_down *b, const maps *m, sn_site_kind kind)
{
	sn_pass *p = b->a.p;
	int64_t size = p->model->shape.n_head * m->keys, n = 0;
	float *moved;
	const sn_edit_place **places;
	sn_mark mark = sn_arena_mark(p->arena);
	if (!(sn_touched(p->c, kind, p->stage) & SN_TOUCH_EDIT)) return SN_OK;
	for (int32_t i = 0; i < p->n_row; i++) n += p->c->edit_start[p->row[i] + 1] - p->c->edit_start[p->row[i]];
	SN_NEW(places, p->arena, const sn_edit_place *, n);
	SN_NEW(moved, p->arena, float, n * size);
	n = 0;
	for (int32_t i = 0; i < p->n_row; i++)
		for (int64_t j = p->c->edit_start[p->row[i]]; j < p->c->edit_start[p->row[i] + 1]; j++)
			if (sn_site_here(p, &p->c->plan->edit[p->c->edit[j].edit].at, kind)) places[n++] = &p->c->edit[j];
	for (int64_t i = n - 1; i >= 0; i--) edit_back(b, m, places[i], moved + i * size);
	for (int64_t i = 0; i < n; i++)
		if (places[i]->from_row >= 0)
			p->model->kernels->add(map_at(b, m, places[i]->from_row, places[i]->from_pos, 0), moved + i * size, size);
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}

static sn_status tap_place(const sn_down *b, const maps *m, int t, int64_t i)
{
	sn_pass *p = b->a.p;
	const sn_tap *tap = &p->c->plan->tap[t];
	int32_t row = p->c->tap[t].row[i], pos = p->c->tap[t].pos[i], keys = sn_attention_extent(&b->a, row, pos).n;
	int h0 = tap->at.head ? tap->at.head - 1 : 0, h1 = tap->at.head ? tap->at.head : p->model->shape.n_head;
	sn_mark mark = sn_arena_mark(p->arena);
	float *x;
	SN_NEW(x, p->arena, float, (int64_t)(h1 - h0) * keys);
	for (int h = h0; h < h1; h++)
		memcpy(x + (int64_t)(h - h0) * keys, map_at(b, m, row, pos, h), (size_t)keys * sizeof *x);
	sn_block block = { .site = tap->at, .batch = p->batch, .row = &row, .pos = &pos, .m = 1, .first = i,
	                   .chunk = row / SN_CHUNK_ROWS, .x = sn_tensor_f32(x, h1 - h0, keys) };
	SN_TRY(tap->sink->take(p->ctx, tap->state, &block));
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}

static sn_status taps_back(const sn_down *b, const maps *m, sn_site_kind kind)
{
	sn_pass *p = b->a.p;
	for (int t = 0; t < p->c->plan->n_tap; t++) {
		const sn_places *places = &p->c->tap[t];
		if (p->c->plan->tap[t].what != SN_GRAD || !sn_site_here(p, &p->c->plan->tap[t].at, kind)) continue;
		for (int32_t r = 0; r < p->n_row; r++)
			for (int64_t i = sn_places_of_row(places, p->row[r]); i < places->n && places->row[i] == p->row[r]; i++)
				SN_TRY(tap_place(b, m, t, i));
	}
	return SN_OK;
}

/* Goes through every query of the step: one of the three steps down. maps_of: patterns of all heads at one position. */
typedef void query_step(const sn_down *b, const maps *m, const sn_down_head *h, int32_t pos, float *maps_of);

/* With the pattern as it was used: values, and the pattern's own derivative. */
static void query_values(const sn_down *b, const maps *m, const sn_down_head *h, int32_t pos, float *pattern)
{
	float *d = map_at(b, m, h->row, pos, h->number);
	sn_down_values(b, h, pos, 1, m->keys, pattern, d);
	for (int64_t j = sn_attention_extent(&b->a, h->row, pos).n; j < m->keys; j++) d[j] = 0;
}

/* With the pattern before its edits: the scores' derivative. */
static void query_softmax(const sn_down *b, const maps *m, const sn_down_head *h, int32_t pos, float *pattern)
{
	float *d = map_at(b, m, h->row, pos, h->number);
	if (sn_rule_has(b->a.p, SN_RULE_FREEZE_ATTENTION)) memset(d, 0, (size_t)m->keys * sizeof *d);
	else sn_down_softmax(pattern, d, sn_attention_extent(&b->a, h->row, pos));
}

static void query_scores(const sn_down *b, const maps *m, const sn_down_head *h, int32_t pos, float *room)
{
	float *d = map_at(b, m, h->row, pos, h->number);
	sn_down_softcap(b, h, pos, sn_attention_extent(&b->a, h->row, pos), room, d);
	sn_down_scores(b, h, pos, 1, m->keys, d);
}

typedef enum upto { NOTHING, BEFORE_EDITS, AS_USED } upto;

static sn_status every_query(const sn_down *b, const maps *m, upto which, query_step *step)
{
	sn_pass *p = b->a.p;
	int n_head = p->model->shape.n_head;
	sn_mark mark = sn_arena_mark(p->arena);
	float *room;
	SN_NEW(room, p->arena, float, (n_head + 1) * m->keys);
	for (int32_t i = 0; i < p->n_row; i++) {
		int32_t row = p->row[i];
		for (int32_t pos = 0; pos < sn_row_length(p->batch, row) && p->now.off[row] >= 0; pos++) {
			int32_t keys = sn_attention_extent(&b->a, row, pos).n;
			if (which == AS_USED) SN_TRY(sn_attention_used(&b->a, row, &b->a.past[i], pos, room));
			if (which == BEFORE_EDITS) SN_TRY(sn_attention_before(&b->a, row, &b->a.past[i], pos, b->a.pattern, room));
			for (int number = 0; number < n_head; number++) {
				sn_down_head h = sn_down_head_at(b, i, number);
				h.keys = keys;
				step(b, m, &h, pos, room + (int64_t)number * keys);
			}
		}
	}
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}

sn_status sn_down_observed(const sn_down *b)
{
	sn_pass *p = b->a.p;
	maps m = { .keys = sn_down_most_keys(b) };
	SN_NEW(m.d, p->arena, float, p->now.m * p->model->shape.n_head * m.keys);
	SN_TRY(every_query(b, &m, AS_USED, query_values));
	SN_TRY(taps_back(b, &m, b->a.pattern));
	SN_TRY(edits_back(b, &m, b->a.pattern));
	SN_TRY(every_query(b, &m, BEFORE_EDITS, query_softmax));
	SN_TRY(taps_back(b, &m, b->a.scores));
	SN_TRY(edits_back(b, &m, b->a.scores));
	return every_query(b, &m, NOTHING, query_scores);
}
