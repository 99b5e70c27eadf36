/* What outlives a wave. First every read of another row is noted, as ranges of positions under keys; then rooms are
 * made for them. */
#include "model/held.h"

#include "model/pass.h"
#include "model/site.h"

#include <string.h>

typedef struct range { int32_t first, last; } range;   /* positions; empty where first >= last */

struct sn_held {
	const sn_compiled *c;
	const sn_order *order;
	int32_t first, n;          /* the family's rows in order */
	const int32_t *part;
	int n_key;
	int32_t *site_key;         /* [n_stage * SN_SITE_COUNT * 2] key + 1 of values after and before the edits */
	int64_t *width;            /* [n_key] floats a position */
	int32_t *number;           /* [rows of the batch] 1 + which of the rows that are read, or 0 */
	int32_t n_read;
	range *range;              /* [n_read * n_key] */
	int64_t *offset;           /* [n_read * n_key] floats before those of a key */
	int64_t *floats;           /* [n_read] */
	int32_t *last;             /* [n_read] index in order of the last reader; -1: none */
	float **data;              /* [n_read] */
};

/* ---- keys ---- */

int sn_held_stream(const sn_held *h, int stage) { return h->c->n_stage - 2 + stage - 1; }

static int32_t *site_key_at(const sn_held *h, int stage, sn_site_kind kind, sn_what what)
{
	return &h->site_key[(stage * SN_SITE_COUNT + (int)kind) * 2 + (what == SN_BEFORE)];
}

int sn_held_site(const sn_held *h, int stage, sn_site_kind kind, sn_what what)
{
	return *site_key_at(h, stage, kind, what) - 1;
}

int64_t sn_held_width(const sn_held *h, int key) { return h->width[key]; }

/* All keys that a row of the family attends to: its own side's, or its encoder row's. */
static int64_t most_keys(const sn_held *h)
{
	int32_t n = 1;
	for (int32_t i = 0; i < h->n; i++) {
		int32_t row = h->order->row[h->first + i];
		n = SN_MAX(n, sn_row_length(h->c->batch, row));
		if (h->c->model->encoder) n = SN_MAX(n, sn_row_length(h->c->batch->enc, sn_enc_row(h->c->batch, row)));
	}
	return n;
}

static void add_site(sn_held *h, const sn_site *site, sn_what what)
{
	int stage = sn_site_stage(site, h->c->model->shape.n_layer);
	sn_site whole = { .kind = site->kind, .layer = site->layer, .stack = site->stack };
	int32_t *key = site_key_at(h, stage, (sn_site_kind)site->kind, what);
	if (*key) return;
	*key = ++h->n_key;
	bool ragged = sn_site_is_attention((sn_site_kind)site->kind);
	h->width[*key - 1] = ragged ? h->c->model->shape.n_head * most_keys(h) : sn_site_width(h->c->model, &whole);
}

static void add_sites(sn_held *h)
{
	const sn_plan *plan = h->c->plan;
	const sn_site logits = { .kind = SN_SITE_LOGITS, .stack = h->c->model->stack };
	for (int t = 0; t < plan->n_tap; t++)
		if (!sn_site_of_encoder_rows((sn_site_kind)plan->tap[t].at.kind))
			add_site(h, &plan->tap[t].at, plan->tap[t].what);
	for (int e = 0; e < plan->n_edit; e++)
		if (plan->edit[e].src_row) add_site(h, &plan->edit[e].at, SN_BEFORE);
	for (int g = 0; g < plan->n_goal; g++) {
		if (plan->goal[g].metric == SN_DOT) add_site(h, &plan->goal[g].at, SN_AFTER);
		if (plan->goal[g].metric == SN_KL) add_site(h, &logits, SN_AFTER);
	}
}

static sn_status make_keys(sn_held *h, sn_arena *arena)
{
	const sn_shape *s = &h->c->model->shape;
	int fixed = 2 * h->c->n_stage - 3;   /* n_layer keys and values, n_layer + 1 streams */
	SN_NEW(h->site_key, arena, int32_t, h->c->n_stage * SN_SITE_COUNT * 2);
	SN_NEW(h->width, arena, int64_t, fixed + h->c->plan->n_tap + h->c->plan->n_edit + h->c->plan->n_goal);
	for (int i = 0; i < fixed; i++)
		h->width[i] = i < s->n_layer ? 2 * (int64_t)s->n_kv_head * s->d_head : s->d_model;
	h->n_key = fixed;
	add_sites(h);
	return SN_OK;
}

/* ---- reads ---- */

/* The row whose index in order is at reads positions [first, last) of owner. */
static void note(sn_held *h, int32_t at, int32_t owner, int key, int32_t first, int32_t last)
{
	int32_t number = h->number[owner] - 1;
	if (h->part[owner] == h->part[h->order->row[at]] || first >= last) return;
	SN_ASSERT(number >= 0);
	range *r = &h->range[(int64_t)number * h->n_key + key];
	if (r->first >= r->last) *r = (range){ first, last };
	r->first = SN_MIN(r->first, first);
	r->last = SN_MAX(r->last, last);
	h->last[number] = SN_MAX(h->last[number], at);
}

/* Keys and values before the row's own, of the nearest ancestors that have them. */
static void note_keys(sn_held *h, int32_t at, int stage)
{
	const sn_compiled *c = h->c;
	int32_t row = h->order->row[at], end = sn_first_computed(c, row, stage);
	if (end == INT32_MAX) return;
	for (int32_t b = sn_parent_of(c->batch, row); b >= 0 && end > 0; b = sn_parent_of(c->batch, b)) {
		int32_t first = sn_first_computed(c, b, stage);
		if (first >= end) continue;
		note(h, at, b, sn_held_kv(stage), first, end);
		end = first;
	}
}

/* The stream at positions that differ from this stage on. */
static void note_stream(sn_held *h, int32_t at, int stage)
{
	const sn_compiled *c = h->c;
	int32_t row = h->order->row[at], first = sn_first_computed(c, row, stage);
	int32_t end = SN_MIN(sn_first_computed(c, row, stage - 1), sn_row_length(c->batch, row));
	if (first == INT32_MAX) return;
	for (int32_t b = sn_parent_of(c->batch, row); b >= 0 && end > first; b = sn_parent_of(c->batch, b)) {
		int32_t from = SN_MAX(sn_first_computed(c, b, stage - 1), first);
		if (from >= end) continue;
		note(h, at, b, sn_held_stream(h, stage), from, end);
		end = from;
	}
}

static void note_place(sn_held *h, int32_t at, const sn_site *site, sn_what what, int32_t row, int32_t pos)
{
	int stage = sn_site_stage(site, h->c->model->shape.n_layer);
	int32_t owner = sn_owner(h->c, row, pos, stage);
	int key = sn_held_site(h, stage, (sn_site_kind)site->kind, what);
	if (owner >= 0 && owner != h->order->row[at] && key >= 0) note(h, at, owner, key, pos, pos + 1);
}

static void note_taps(sn_held *h, int32_t at)
{
	int32_t row = h->order->row[at];
	for (int t = 0; t < h->c->plan->n_tap; t++) {
		const sn_tap *tap = &h->c->plan->tap[t];
		const sn_places *p = &h->c->tap[t];
		if (sn_site_of_encoder_rows((sn_site_kind)tap->at.kind)) continue;
		for (int64_t i = sn_places_of_row(p, row); i < p->n && p->row[i] == row; i++)
			note_place(h, at, &tap->at, tap->what, row, p->pos[i]);
	}
}

static void note_goals(sn_held *h, int32_t at)
{
	const sn_site logits = { .kind = SN_SITE_LOGITS };
	int32_t row = h->order->row[at];
	for (int g = 0; g < h->c->plan->n_goal; g++) {
		const sn_goal *goal = &h->c->plan->goal[g];
		const sn_places *p = &h->c->goal[g];
		if (goal->metric != SN_DOT && goal->metric != SN_KL) continue;   /* others are scored where they stand */
		for (int64_t i = sn_places_of_row(p, row); i < p->n && p->row[i] == row; i++) {
			note_place(h, at, goal->metric == SN_DOT ? &goal->at : &logits, SN_AFTER, row, p->pos[i]);
			if (goal->metric == SN_KL) note_place(h, at, &logits, SN_AFTER, goal->ref_row[row], p->pos[i]);
		}
	}
}

static void note_sources(sn_held *h, int32_t at)
{
	const sn_compiled *c = h->c;
	int32_t row = h->order->row[at];
	for (int64_t i = c->edit_start[row]; i < c->edit_start[row + 1]; i++) {
		const sn_edit_place *p = &c->edit[i];
		const sn_site *site = &c->plan->edit[p->edit].at;
		int stage = sn_site_stage(site, c->model->shape.n_layer);
		if (p->from_row < 0 || p->pos < sn_first_computed(c, row, stage)) continue;
		note_place(h, at, site, SN_BEFORE, p->from_row, p->from_pos);
	}
}

static void note_row(sn_held *h, int32_t at)
{
	int need = h->c->need[h->order->row[at]];
	for (int stage = 1; stage <= need; stage++) {
		if (stage < h->c->n_stage - 1) note_keys(h, at, stage);
		note_stream(h, at, stage);
	}
	note_taps(h, at);
	note_goals(h, at);
	note_sources(h, at);
}

/* Numbers the rows that others read from. */
static sn_status number_rows(sn_held *h, sn_arena *arena)
{
	SN_NEW(h->number, arena, int32_t, h->c->batch->n);
	for (int32_t i = 0; i < h->n; i++)
		for (int64_t j = 0;; j++) {
			int32_t from = sn_order_reads(h->c, h->order->row[h->first + i], j);
			if (from == SN_READS_END) break;
			for (; from >= 0 && !h->number[from]; from = sn_parent_of(h->c->batch, from)) h->number[from] = ++h->n_read;
		}
	return SN_OK;
}

static sn_status place_keys(sn_held *h, sn_arena *arena)
{
	h->offset = sn_arena_take(arena, sn_size3((size_t)h->n_read, (size_t)h->n_key, sizeof *h->offset));
	if (!h->offset) return SN_ENOMEM;
	SN_NEW(h->floats, arena, int64_t, h->n_read);
	for (int64_t i = 0; i < (int64_t)h->n_read * h->n_key; i++) {
		int64_t *floats = &h->floats[i / h->n_key];
		h->offset[i] = *floats;
		if (h->range[i].first < h->range[i].last)
			*floats += (h->range[i].last - h->range[i].first) * h->width[i % h->n_key];
	}
	return SN_OK;
}

sn_status sn_held_plan(sn_held **out, const sn_compiled *c, const sn_order *order, int32_t first, int32_t n,
                       const int32_t *part, sn_arena *arena)
{
	sn_held *h;
	SN_NEW(h, arena, sn_held, 1);
	*h = (sn_held){ .c = c, .order = order, .first = first, .n = n, .part = part };
	SN_TRY(make_keys(h, arena));
	SN_TRY(number_rows(h, arena));
	h->range = sn_arena_take(arena, sn_size3((size_t)h->n_read, (size_t)h->n_key, sizeof *h->range));
	if (!h->range) return SN_ENOMEM;
	SN_NEW(h->last, arena, int32_t, h->n_read);
	SN_NEW(h->data, arena, float *, h->n_read);
	for (int32_t i = 0; i < h->n_read; i++) h->last[i] = -1;
	for (int32_t i = 0; i < n; i++) note_row(h, first + i);
	*out = h;
	return place_keys(h, arena);
}

/* ---- rooms ---- */

int64_t sn_held_bytes(const sn_held *h, int32_t row, int32_t *last)
{
	int32_t number = h->number[row] - 1;
	*last = number < 0 ? -1 : h->last[number];
	return *last < 0 ? 0 : h->floats[number] * (int64_t)sizeof(float);
}

sn_status sn_held_open_row(sn_held *h, int32_t row)
{
	int32_t last;
	int64_t bytes = sn_held_bytes(h, row, &last);
	if (last < 0) return SN_OK;
	float **data = &h->data[h->number[row] - 1];
	*data = sn_alloc_raw(h->c->ctx, (size_t)bytes);
	return *data ? SN_OK : SN_ENOMEM;
}

void sn_held_close_row(sn_held *h, int32_t row)
{
	if (!h->number[row]) return;
	sn_free(h->c->ctx, h->data[h->number[row] - 1]);
	h->data[h->number[row] - 1] = NULL;
}

void sn_held_close(sn_held *h)
{
	for (int32_t i = 0; h && i < h->n; i++) sn_held_close_row(h, h->order->row[h->first + i]);
}

void sn_held_range(const sn_held *h, int32_t row, int key, int32_t *first, int32_t *last)
{
	int32_t number = key < 0 ? -1 : h->number[row] - 1;
	range r = number < 0 ? (range){ 0, 0 } : h->range[(int64_t)number * h->n_key + key];
	*first = r.first;
	*last = r.last;
}

float *sn_held_at(const sn_held *h, int32_t row, int key, int32_t pos)
{
	int32_t first, last;
	sn_held_range(h, row, key, &first, &last);
	if (pos < first || pos >= last) return NULL;
	int64_t number = h->number[row] - 1;
	return h->data[number] + h->offset[number * h->n_key + key] + (int64_t)(pos - first) * h->width[key];
}
