/* Attention on the way down where nothing looks at scores or patterns: these are computed again from the saved queries
 * and keys, some queries of a head at a time, and heads side by side. */
#include "model/back_attention.h"

#include <cblas.h>
#include <omp.h>
#include <string.h>

static void pattern_of(const sn_down *b, const sn_down_head *h, int32_t pos, sn_extent e, float *out)
{
	const sn_shape *s = &b->a.p->model->shape;
	memset(out, 0, (size_t)h->keys * sizeof *out);
	sn_attention_score(&b->a, h->past, h->q + pos * b->a.stride - (int64_t)h->number * s->d_head, h->number, pos, e,
					   out);
	b->a.p->model->kernels->softmax(out + e.lo, e.hi - e.lo);
}

/* room: 2 SN_BACK_QUERIES + 1 rows of keys. */
static void head_back(const sn_down *b, const sn_down_head *h, float *room)
{
	int64_t ld = h->keys;
	float *pattern = room, *d = room + SN_BACK_QUERIES * ld, *capped = d + SN_BACK_QUERIES * ld;
	for (int32_t pos = 0; pos < h->n; pos += SN_BACK_QUERIES) {
		int32_t n = SN_MIN(SN_BACK_QUERIES, h->n - pos);
		for (int32_t i = 0; i < n; i++)
			pattern_of(b, h, pos + i, sn_attention_extent(&b->a, h->row, pos + i), pattern + i * ld);
		sn_down_values(b, h, pos, n, ld, pattern, d);
		if (sn_rule_has(b->a.p, SN_RULE_FREEZE_ATTENTION)) continue;
		for (int32_t i = 0; i < n; i++) {
			sn_extent e = sn_attention_extent(&b->a, h->row, pos + i);
			e.n = h->keys;
			sn_down_softmax(pattern + i * ld, d + i * ld, e);
			sn_down_softcap(b, h, pos + i, e, capped, d + i * ld);
		}
		sn_down_scores(b, h, pos, n, ld, d);
	}
}

/* ---- under the rescale rule ---- */

/* Scores of one query, and as they were before the soft-cap. */
static void query_scores_of(const sn_down *b, const sn_down_head *h, int32_t pos, sn_extent e, float *score, float *raw)
{
	const float *q = h->q + pos * b->a.stride - (int64_t)h->number * b->a.p->model->shape.d_head;
	sn_attention_score(&b->a, h->past, q, h->number, pos, e, score);
	if (b->a.p->model->shape.form.attn_softcap > 0)
		sn_attention_scores_raw(&b->a, h->past, q, h->number, pos, e, raw);
}

static void rescaled_softcap_back(const sn_down *b, sn_extent e, const float *raw, const float *raw0, float *d)
{
	double cap = b->a.p->model->shape.form.attn_softcap;
	for (int32_t j = e.lo; cap > 0 && j < e.hi; j++) d[j] *= (float)sn_rescale_softcap(raw[j], raw0[j], cap);
}

/* d = multipliers of one query's pattern -> of its scores; score and score0 become the patterns. room: [3 keys]. */
static void rescaled_softmax_back(const sn_down *b, const sn_down_head *h, int32_t pos, float *score, float *score0,
                                  float *d, float *room)
{
	const sn_kernels *k = b->a.p->model->kernels;
	sn_extent e = sn_attention_extent(&b->a, h->row, pos);
	int32_t n = e.hi - e.lo;
	float *w = room, *raw = room + h->keys, *raw0 = raw + h->keys;
	query_scores_of(b, h, pos, e, score, raw);
	query_scores_of(b, h->other, pos, e, score0, raw0);
	double sum = sn_rescale_softmax(w + e.lo, score + e.lo, score0 + e.lo, n);
	float mean = sn_down_dot(w + e.lo, d + e.lo, n);
	for (int32_t j = 0; j < h->keys; j++)
		d[j] = j >= e.lo && j < e.hi ? (float)(sum * w[j] * ((double)d[j] - mean)) : 0;
	rescaled_softcap_back(b, e, raw, raw0, d);
	k->softmax(score + e.lo, n);
	k->softmax(score0 + e.lo, n);
}

/* d [n, keys] = do mean(v)'. */
static void rescaled_patterns_back(const sn_down *b, const sn_down_head *h, int32_t pos, int32_t n, float *d)
{
	int width = b->a.p->model->shape.d_head, z = (int)sn_down_width(b->a.p->model);
	const sn_down_head *from[2] = { h, h->other };
	for (int i = 0; i < 2; i++)
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, h->keys, width, 0.5f, h->dz + (int64_t)pos * z, z,
		            from[i]->v, (int)h->kv_stride, (float)i, d, h->keys);
}

/* dv += mean(P)' do. */
static void rescaled_values_back(const sn_down *b, const sn_down_head *h, int32_t pos, int32_t n, const float *pattern)
{
	int width = b->a.p->model->shape.d_head, z = (int)sn_down_width(b->a.p->model);
	cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, h->keys, width, n, 0.5f, pattern, h->keys,
	            h->dz + (int64_t)pos * z, z, 1, h->dv, (int)b->dkv_stride);
}

/* room: 3 SN_BACK_QUERIES + 3 rows of keys. */
static void rescaled_head_back(const sn_down *b, const sn_down_head *h, float *room)
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
		sn_down_scores(b, h, pos, n, ld, d);
	}
}

/* The place in the step of the row that row i is compared with. */
static int32_t reference_index(const sn_down *b, int32_t i)
{
	const sn_pass *p = b->a.p;
	int32_t other = sn_reference_of(p, p->row[i]);
	for (int32_t k = 0; k < p->n_row; k++)
		if (p->row[k] == other) return k;
	return i;
}

static void row_head_back(const sn_down *b, int32_t i, int number, float *room)
{
	int32_t k = reference_index(b, i);
	sn_down_head h = sn_down_head_at(b, i, number), other = sn_down_head_at(b, k, number);
	if (k != i) h.other = &other;
	if (k != i) rescaled_head_back(b, &h, room);
	else head_back(b, &h, room);
}

/* ---- all rows ---- */

/* A task is one row and the heads that share its keys; rows that share an encoder row are one task. */
sn_status sn_down_plain(const sn_down *b)
{
	const sn_pass *p = b->a.p;
	const sn_shape *s = &p->model->shape;
	int threads = b->a.cross ? 1 : sn_ctx_threads(p->ctx), group = s->n_head / s->n_kv_head;
	int64_t rows = sn_rule_has(p, SN_RULE_RESCALE) ? 3 * SN_BACK_QUERIES + 3 : 2 * SN_BACK_QUERIES + 1;
	int64_t width = rows * sn_down_most_keys(b), n_task = (int64_t)p->n_row * s->n_kv_head;
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
