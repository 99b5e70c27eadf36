/* Attention on the way down. Patterns are computed again from the saved queries and keys, some queries at a time:
 * with P the pattern, S the scores and o = P v, dv = P' do, dP = do v', dS = P (dP - sum P dP), dq = dS k, dk = dS' q.
 * Every row is computed in full, so its keys and values are one segment. */
#include "model/attention.h"
#include "model/back.h"

#include <cblas.h>
#include <omp.h>
#include <string.h>

/* Where derivatives of one attention go. */
typedef struct down {
	sn_attending a;
	float *dq, *dk, *dv;       /* of the first slot and head */
	int64_t dq_stride, dkv_stride;
} down;

/* One head of one row: where its queries, keys and values stand. */
typedef struct head {
	int32_t row, n, keys;
	int number;
	const float *q, *k, *v, *dz;
	float *dq, *dk, *dv;
	int64_t kv_stride;
	const sn_history *past;
	const struct head *other;   /* the same one of the row that this is compared with; NULL: it is compared with none */
} head;

static int64_t z_width(const sn_model *m) { return (int64_t)m->shape.n_head * m->shape.d_head; }

static int64_t slot_of_keys(const down *b, int32_t row)
{
	const sn_pass *p = b->a.p;
	return b->a.cross ? p->cross->layout.off[sn_enc_row(p->batch, row)] : p->now.off[row];
}

static head find_head(const down *b, int32_t i, int number)
{
	const sn_pass *p = b->a.p;
	const sn_shape *s = &p->model->shape;
	int32_t row = p->row[i], n = sn_row_length(p->batch, row);
	const sn_segment *g = b->a.past[i].segment;
	int64_t kv = (int64_t)(number / (s->n_head / s->n_kv_head)) * s->d_head, q = (int64_t)number * s->d_head;
	int64_t slot = p->now.off[row], keys = slot_of_keys(b, row);
	SN_ASSERT(b->a.past[i].n == 1 && p->now.from[row] == 0);
	return (head){ .row = row,
	               .n = n,
	               .keys = g->n,
	               .number = number,
	               .q = p->qkv + slot * b->a.stride + q,
	               .k = g->k + kv,
	               .v = g->v + kv,
	               .dz = p->z + slot * z_width(p->model) + q,
	               .dq = b->dq + slot * b->dq_stride + q,
	               .dk = b->dk + keys * b->dkv_stride + kv,
	               .dv = b->dv + keys * b->dkv_stride + kv,
	               .kv_stride = g->stride,
	               .past = &b->a.past[i] };
}

/* ---- from patterns to scores ---- */

static float dot_of(const float *a, const float *b, int64_t n)
{
	double sum = 0;
	for (int64_t j = 0; j < n; j++) sum += (double)a[j] * b[j];
	return (float)sum;
}

/* d <- P (d - sum P d) for one query's keys. */
static void softmax_back(const float *pattern, float *d, sn_extent e)
{
	float mean = dot_of(pattern + e.lo, d + e.lo, e.hi - e.lo);
	for (int32_t j = 0; j < e.n; j++) d[j] = j >= e.lo && j < e.hi ? pattern[j] * (d[j] - mean) : 0;
}

/* Through the soft-cap, whose value is what positions have been added to: d <- d (1 - (capped / c)^2). */
static void softcap_back(const down *b, const head *h, int32_t pos, sn_extent e, float *capped, float *d)
{
	const sn_shape *s = &b->a.p->model->shape;
	float cap = (float)s->form.attn_softcap;
	if (cap <= 0) return;
	sn_attention_scores_capped(&b->a, h->past, h->q + pos * b->a.stride - (int64_t)h->number * s->d_head, h->number,
							   pos, e, capped);
	for (int32_t j = e.lo; j < e.hi; j++) d[j] *= 1 - capped[j] / cap * (capped[j] / cap);
}

/* ---- from scores to queries and keys ---- */

/* DeBERTa's terms: q . rel_k and k . rel_q. */
static void disentangled_back(const down *b, const head *h, int32_t pos, const float *ds)
{
	const sn_model *m = b->a.p->model;
	const sn_layer *y = b->a.layer;
	int64_t width = z_width(m), column = (int64_t)h->number * m->shape.d_head;
	const int32_t *index = m->positions.distance_index + m->positions.n - 1;
	for (int32_t j = 0; j < h->keys; j++) {
		int64_t row = index[pos - j] * width + column;
		for (int i = 0; i < m->shape.d_head; i++) {
			if (y->rel_k) h->dq[pos * b->dq_stride + i] += ds[j] * y->rel_k[row + i];
			if (y->rel_q) h->dk[j * b->dkv_stride + i] += ds[j] * y->rel_q[row + i];
		}
	}
}

/* dq += share ds k, dk += share ds' q, with the queries and keys of at. */
static void products_back(const down *b, const head *h, const head *at, int32_t pos, int32_t n, int64_t ld,
                          const float *ds, float share)
{
	int d = b->a.p->model->shape.d_head;
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, d, h->keys, share, ds, (int)ld, at->k,
	            (int)at->kv_stride, 1, h->dq + pos * b->dq_stride, (int)b->dq_stride);
	cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, h->keys, d, n, share, ds, (int)ld,
	            at->q + pos * b->a.stride, (int)b->a.stride, 1, h->dk, (int)b->dkv_stride);
}

/* Scores' derivatives ds [n, keys] of queries [pos, pos + n), rows ld apart; scaled here. */
static void scores_back(const down *b, const head *h, int32_t pos, int32_t n, int64_t ld, float *ds)
{
	const sn_form *f = &b->a.p->model->shape.form;
	float factor = (float)f->attn_scale * (sn_rule_has(b->a.p, SN_RULE_HALVE) ? 0.5f : 1);
	for (int64_t i = 0; i < n; i++)
		for (int32_t j = 0; j < h->keys; j++) ds[i * ld + j] *= factor;
	products_back(b, h, h, pos, n, ld, ds, h->other ? 0.5f : 1);
	if (h->other) products_back(b, h, h->other, pos, n, ld, ds, 0.5f);
	if (b->a.cross || f->position != SN_POSITION_DISENTANGLED) return;
	for (int32_t i = 0; i < n; i++) disentangled_back(b, h, pos + i, ds + i * ld);
}

/* d [n, keys] = do v', and dv += P' do. */
static void values_back(const down *b, const head *h, int32_t pos, int32_t n, int64_t ld, const float *pattern,
                        float *d)
{
	int width = b->a.p->model->shape.d_head, z = (int)z_width(b->a.p->model);
	float half = sn_rule_has(b->a.p, SN_RULE_HALVE) ? 0.5f : 1;
	const float *dz = h->dz + (int64_t)pos * z;
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, h->keys, width, half, dz, z, h->v, (int)h->kv_stride, 0, d,
	            (int)ld);
	cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, h->keys, width, n, half, pattern, (int)ld, dz, z, 1, h->dv,
	            (int)b->dkv_stride);
}

/* ---- the plain case: nothing looks at scores or patterns ---- */

static void pattern_of(const down *b, const head *h, int32_t pos, sn_extent e, float *out)
{
	const sn_shape *s = &b->a.p->model->shape;
	memset(out, 0, (size_t)h->keys * sizeof *out);
	sn_attention_score(&b->a, h->past, h->q + pos * b->a.stride - (int64_t)h->number * s->d_head, h->number, pos, e,
					   out);
	b->a.p->model->kernels->softmax(out + e.lo, e.hi - e.lo);
}

/* room: 2 SN_BACK_QUERIES + 1 rows of keys. */
static void head_back(const down *b, const head *h, float *room)
{
	int64_t ld = h->keys;
	float *pattern = room, *d = room + SN_BACK_QUERIES * ld, *capped = d + SN_BACK_QUERIES * ld;
	for (int32_t pos = 0; pos < h->n; pos += SN_BACK_QUERIES) {
		int32_t n = SN_MIN(SN_BACK_QUERIES, h->n - pos);
		for (int32_t i = 0; i < n; i++)
			pattern_of(b, h, pos + i, sn_attention_extent(&b->a, h->row, pos + i), pattern + i * ld);
		values_back(b, h, pos, n, ld, pattern, d);
		if (sn_rule_has(b->a.p, SN_RULE_FREEZE_ATTENTION)) continue;
		for (int32_t i = 0; i < n; i++) {
			sn_extent e = sn_attention_extent(&b->a, h->row, pos + i);
			e.n = h->keys;
			softmax_back(pattern + i * ld, d + i * ld, e);
			softcap_back(b, h, pos + i, e, capped, d + i * ld);
		}
		scores_back(b, h, pos, n, ld, d);
	}
}

/* ---- under the rescale rule ---- */

/* Scores of one query, and as they were before the soft-cap. */
static void query_scores_of(const down *b, const head *h, int32_t pos, sn_extent e, float *score, float *raw)
{
	const float *q = h->q + pos * b->a.stride - (int64_t)h->number * b->a.p->model->shape.d_head;
	sn_attention_score(&b->a, h->past, q, h->number, pos, e, score);
	if (b->a.p->model->shape.form.attn_softcap > 0)
		sn_attention_scores_raw(&b->a, h->past, q, h->number, pos, e, raw);
}

static void rescaled_softcap_back(const down *b, sn_extent e, const float *raw, const float *raw0, float *d)
{
	double cap = b->a.p->model->shape.form.attn_softcap;
	for (int32_t j = e.lo; cap > 0 && j < e.hi; j++) d[j] *= (float)sn_rescale_softcap(raw[j], raw0[j], cap);
}

/* d = multipliers of one query's pattern -> of its scores; score and score0 become the patterns. room: [3 keys]. */
static void rescaled_softmax_back(const down *b, const head *h, int32_t pos, float *score, float *score0, float *d,
                                  float *room)
{
	const sn_kernels *k = b->a.p->model->kernels;
	sn_extent e = sn_attention_extent(&b->a, h->row, pos);
	int32_t n = e.hi - e.lo;
	float *w = room, *raw = room + h->keys, *raw0 = raw + h->keys;
	query_scores_of(b, h, pos, e, score, raw);
	query_scores_of(b, h->other, pos, e, score0, raw0);
	double sum = sn_rescale_softmax(w + e.lo, score + e.lo, score0 + e.lo, n);
	float mean = dot_of(w + e.lo, d + e.lo, n);
	for (int32_t j = 0; j < h->keys; j++)
		d[j] = j >= e.lo && j < e.hi ? (float)(sum * w[j] * ((double)d[j] - mean)) : 0;
	rescaled_softcap_back(b, e, raw, raw0, d);
	k->softmax(score + e.lo, n);
	k->softmax(score0 + e.lo, n);
}

/* d [n, keys] = do mean(v)'. */
static void rescaled_patterns_back(const down *b, const head *h, int32_t pos, int32_t n, float *d)
{
	int width = b->a.p->model->shape.d_head, z = (int)z_width(b->a.p->model);
	const head *from[2] = { h, h->other };
	for (int i = 0; i < 2; i++)
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, h->keys, width, 0.5f, h->dz + (int64_t)pos * z, z,
		            from[i]->v, (int)h->kv_stride, (float)i, d, h->keys);
}

/* dv += mean(P)' do. */
static void rescaled_values_back(const down *b, const head *h, int32_t pos, int32_t n, const float *pattern)
{
	int width = b->a.p->model->shape.d_head, z = (int)z_width(b->a.p->model);
	cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, h->keys, width, n, 0.5f, pattern, h->keys,
	            h->dz + (int64_t)pos * z, z, 1, h->dv, (int)b->dkv_stride);
}

/* room: 3 SN_BACK_QUERIES + 3 rows of keys. */
static void rescaled_head_back(const down *b, const head *h, float *room)
{
	int64_t ld = h->keys;
	float *pattern = room, *pattern0 = room + SN_BACK_QUERIES * ld, *d = pattern0 + SN_BACK_QUERIES * ld;
	for (int32_t pos = 0; pos < h->n; pos += SN_BACK_QUERIES) {
		int32_t n = SN_MIN(SN_BACK_QUERIES, h->n - pos);
		memset(pattern, 0, (size_t)(2 * SN_BACK_QUERIES * ld) * sizeof *pattern);
		rescaled_patterns_back(b, h, pos, n, d);
		for (int32_t i = 0; i < n; i++)
			rescaled_softmax_back(b, h, pos + i, pattern + i * ld, pattern0 + i * ld, d + i * ld,
			                      d + SN_BACK_QUERIES * ld);
		rescaled_values_back(b, h, pos, n, pattern);
		rescaled_values_back(b, h, pos, n, pattern0);
		scores_back(b, h, pos, n, ld, d);
	}
}

/* The place in the step of the row that row i is compared with. */
static int32_t reference_index(const down *b, int32_t i)
{
	const sn_pass *p = b->a.p;
	int32_t other = sn_reference_of(p, p->row[i]);
	for (int32_t k = 0; k < p->n_row; k++)
		if (p->row[k] == other) return k;
	return i;
}

static void row_head_back(const down *b, int32_t i, int number, float *room)
{
	int32_t k = reference_index(b, i);
	head h = find_head(b, i, number), other = find_head(b, k, number);
	if (k != i) h.other = &other;
	if (k != i) rescaled_head_back(b, &h, room);
	else head_back(b, &h, room);
}

/* ---- all rows ---- */

static int32_t most_keys(const down *b)
{
	int32_t most = 1;
	for (int32_t i = 0; i < b->a.p->n_row; i++)
		if (b->a.p->now.off[b->a.p->row[i]] >= 0) most = SN_MAX(most, b->a.past[i].segment->n);
	return most;
}

/* A task is one row and the heads that share its keys; rows that share an encoder row are one task. */
static sn_status plain_back(const down *b)
{
	const sn_pass *p = b->a.p;
	const sn_shape *s = &p->model->shape;
	int threads = b->a.cross ? 1 : sn_ctx_threads(p->ctx), group = s->n_head / s->n_kv_head;
	int64_t rows = sn_rule_has(p, SN_RULE_RESCALE) ? 3 * SN_BACK_QUERIES + 3 : 2 * SN_BACK_QUERIES + 1;
	int64_t width = rows * most_keys(b), n_task = (int64_t)p->n_row * s->n_kv_head;
	float *room;
	SN_NEW(room, p->arena, float, width * threads);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
	for (int64_t t = 0; t < n_task; t++) {
		int32_t i = (int32_t)(t / s->n_kv_head);
		if (p->now.off[p->row[i]] < 0) continue;
		for (int g = 0; g < group; g++)
			row_head_back(b, i, (int)(t % s->n_kv_head) * group + g, room + omp_get_thread_num() * width);
	}
	return SN_OK;
}

/* ---- the observed case: edits and gradient taps at scores or patterns ---- */

/* Derivatives of all rows' patterns, then scores: [heads][keys] for each slot. */
typedef struct maps { float *d; int64_t keys; } maps;

static float *map_at(const down *b, const maps *m, int32_t row, int32_t pos, int number)
{
	const sn_pass *p = b->a.p;
	return m->d + ((p->now.off[row] + pos) * p->model->shape.n_head + number) * m->keys;
}

/* One edit at a site of keys: what it leaves of the row's own derivative, and, in moved, what goes to its source. */
static void edit_back(const down *b, const maps *m, const sn_edit_place *place, float *moved)
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

static sn_status edits_back(const down *b, const maps *m, sn_site_kind kind)
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

static sn_status tap_place(const down *b, const maps *m, int t, int64_t i)
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

static sn_status taps_back(const down *b, const maps *m, sn_site_kind kind)
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
typedef void query_step(const down *b, const maps *m, const head *h, int32_t pos, float *maps_of);

/* With the pattern as it was used: values, and the pattern's own derivative. */
static void query_values(const down *b, const maps *m, const head *h, int32_t pos, float *pattern)
{
	float *d = map_at(b, m, h->row, pos, h->number);
	values_back(b, h, pos, 1, m->keys, pattern, d);
	for (int64_t j = sn_attention_extent(&b->a, h->row, pos).n; j < m->keys; j++) d[j] = 0;
}

/* With the pattern before its edits: the scores' derivative. */
static void query_softmax(const down *b, const maps *m, const head *h, int32_t pos, float *pattern)
{
	float *d = map_at(b, m, h->row, pos, h->number);
	if (sn_rule_has(b->a.p, SN_RULE_FREEZE_ATTENTION)) memset(d, 0, (size_t)m->keys * sizeof *d);
	else softmax_back(pattern, d, sn_attention_extent(&b->a, h->row, pos));
}

static void query_scores(const down *b, const maps *m, const head *h, int32_t pos, float *room)
{
	float *d = map_at(b, m, h->row, pos, h->number);
	softcap_back(b, h, pos, sn_attention_extent(&b->a, h->row, pos), room, d);
	scores_back(b, h, pos, 1, m->keys, d);
}

typedef enum upto { NOTHING, BEFORE_EDITS, AS_USED } upto;

static sn_status every_query(const down *b, const maps *m, upto which, query_step *step)
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
				head h = find_head(b, i, number);
				h.keys = keys;
				step(b, m, &h, pos, room + (int64_t)number * keys);
			}
		}
	}
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}

static sn_status observed_back(const down *b)
{
	sn_pass *p = b->a.p;
	maps m = { .keys = most_keys(b) };
	SN_NEW(m.d, p->arena, float, p->now.m * p->model->shape.n_head * m.keys);
	SN_TRY(every_query(b, &m, AS_USED, query_values));
	SN_TRY(taps_back(b, &m, b->a.pattern));
	SN_TRY(edits_back(b, &m, b->a.pattern));
	SN_TRY(every_query(b, &m, BEFORE_EDITS, query_softmax));
	SN_TRY(taps_back(b, &m, b->a.scores));
	SN_TRY(edits_back(b, &m, b->a.scores));
	return every_query(b, &m, NOTHING, query_scores);
}

/* ---- the two attentions of a block ---- */

static sn_status attention_back(down *b)
{
	sn_pass *p = b->a.p;
	sn_mark mark = sn_arena_mark(p->arena);
	SN_NEW(b->a.past, p->arena, sn_history, p->n_row);
	for (int32_t i = 0; i < p->n_row; i++)
		if (p->now.off[p->row[i]] >= 0) SN_TRY(sn_attention_history(&b->a, p->row[i], &b->a.past[i]));
	int touched = sn_touched(p->c, b->a.scores, p->stage) | sn_touched(p->c, b->a.pattern, p->stage);
	SN_TRY(touched & (SN_TOUCH_EDIT | SN_TOUCH_GRAD) ? observed_back(b) : plain_back(b));
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}

sn_status sn_attention_back(sn_pass *p)
{
	const sn_shape *s = &p->model->shape;
	int64_t width = sn_qkv_width(s), k0 = (int64_t)s->n_head * s->d_head, v0 = k0 + (int64_t)s->n_kv_head * s->d_head;
	float *dqkv = p->back->dqkv, *qkv = p->qkv;
	memset(dqkv, 0, (size_t)(p->now.m * width) * sizeof *dqkv);
	p->qkv = p->back->trace[p->stage - 1].qkv;
	down b = { sn_self_attending(p), dqkv, dqkv + k0, dqkv + v0, width, width };
	sn_status status = attention_back(&b);
	p->qkv = qkv;
	return status;
}

sn_status sn_cross_attention_back(sn_pass *p, float *dkv)
{
	const sn_shape *s = &p->model->shape;
	int64_t width = (int64_t)s->n_head * s->d_head, kv = (int64_t)s->n_kv_head * s->d_head;
	float *dq = p->back->dqkv, *q = p->qkv, *keys = p->cross->kv;
	memset(dq, 0, (size_t)(p->now.m * width) * sizeof *dq);
	memset(dkv, 0, (size_t)(p->cross->layout.m * 2 * kv) * sizeof *dkv);
	p->qkv = p->back->trace[p->stage - 1].cross_q;
	p->cross->kv = p->back->trace[p->stage - 1].cross_kv;
	down b = { sn_cross_attending(p), dq, dkv, dkv + kv, width, 2 * kv };
	sn_status status = attention_back(&b);
	p->qkv = q;
	p->cross->kv = keys;
	return status;
}
