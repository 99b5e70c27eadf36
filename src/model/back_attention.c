/* Attention on the way down: with P the pattern, S the scores and o = P v, dv = P' do, dP = do v',
 * dS = P (dP - sum P dP), dq = dS k, dk = dS' q. Here: these steps, for some queries of one head.
 * back_attention_plain.c and back_attention_observed.c take all rows and heads through them. */
#include "model/back_attention.h"

#include <cblas.h>
#include <string.h>

/* ---- where things stand ---- */

static int64_t slot_of_keys(const sn_down *b, int32_t row)
{
	const sn_pass *p = b->a.p;
	return b->a.cross ? p->cross->layout.off[sn_enc_row(p->batch, row)] : p->now.off[row];
}

sn_down_head sn_down_head_at(const sn_down *b, int32_t i, int number)
{
	const sn_pass *p = b->a.p;
	const sn_shape *s = &p->model->shape;
	int32_t row = p->row[i], n = sn_row_length(p->batch, row);
	const sn_segment *g = b->a.past[i].segment;
	int64_t kv = (int64_t)(number / (s->n_head / s->n_kv_head)) * s->d_head, q = (int64_t)number * s->d_head;
	int64_t slot = p->now.off[row], keys = slot_of_keys(b, row);
	SN_ASSERT(b->a.past[i].n == 1 && p->now.from[row] == 0);
	return (sn_down_head){ .row = row,
	                       .n = n,
	                       .keys = g->n,
	                       .number = number,
	                       .q = p->qkv + slot * b->a.stride + q,
	                       .k = g->k + kv,
	                       .v = g->v + kv,
	                       .dz = p->z + slot * sn_down_width(p->model) + q,
	                       .dq = b->dq + slot * b->dq_stride + q,
	                       .dk = b->dk + keys * b->dkv_stride + kv,
	                       .dv = b->dv + keys * b->dkv_stride + kv,
	                       .kv_stride = g->stride,
	                       .past = &b->a.past[i] };
}

int32_t sn_down_most_keys(const sn_down *b)
{
	int32_t most = 1;
	for (int32_t i = 0; i < b->a.p->n_row; i++)
		if (b->a.p->now.off[b->a.p->row[i]] >= 0) most = SN_MAX(most, b->a.past[i].segment->n);
	return most;
}

/* ---- from patterns to scores ---- */

void sn_down_softmax(const float *pattern, float *d, sn_extent e)
{
	float mean = sn_down_dot(pattern + e.lo, d + e.lo, e.hi - e.lo);
	for (int32_t j = 0; j < e.n; j++) d[j] = j >= e.lo && j < e.hi ? pattern[j] * (d[j] - mean) : 0;
}

void sn_down_softcap(const sn_down *b, const sn_down_head *h, int32_t pos, sn_extent e, float *capped, float *d)
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
static void disentangled_back(const sn_down *b, const sn_down_head *h, int32_t pos, const float *ds)
{
	const sn_model *m = b->a.p->model;
	const sn_layer *y = b->a.layer;
	int64_t width = sn_down_width(m), column = (int64_t)h->number * m->shape.d_head;
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
static void products_back(const sn_down *b, const sn_down_head *h, const sn_down_head *at, int32_t pos, int32_t n,
                          int64_t ld, const float *ds, float share)
{
	int d = b->a.p->model->shape.d_head;
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, d, h->keys, share, ds, (int)ld, at->k,
	            (int)at->kv_stride, 1, h->dq + pos * b->dq_stride, (int)b->dq_stride);
	cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, h->keys, d, n, share, ds, (int)ld,
	            at->q + pos * b->a.stride, (int)b->a.stride, 1, h->dk, (int)b->dkv_stride);
}

void sn_down_scores(const sn_down *b, const sn_down_head *h, int32_t pos, int32_t n, int64_t ld, float *ds)
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

void sn_down_values(const sn_down *b, const sn_down_head *h, int32_t pos, int32_t n, int64_t ld, const float *pattern,
                    float *d)
{
	int width = b->a.p->model->shape.d_head, z = (int)sn_down_width(b->a.p->model);
	float half = sn_rule_has(b->a.p, SN_RULE_HALVE) ? 0.5f : 1;
	const float *dz = h->dz + (int64_t)pos * z;
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, h->keys, width, half, dz, z, h->v, (int)h->kv_stride, 0, d,
	            (int)ld);
	cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, h->keys, width, n, half, pattern, (int)ld, dz, z, 1, h->dv,
	            (int)b->dkv_stride);
}

/* ---- the two attentions of a block ---- */

static sn_status attention_back(sn_down *b)
{
	sn_pass *p = b->a.p;
	sn_mark mark = sn_arena_mark(p->arena);
	SN_NEW(b->a.past, p->arena, sn_history, p->n_row);
	for (int32_t i = 0; i < p->n_row; i++)
		if (p->now.off[p->row[i]] >= 0) SN_TRY(sn_attention_history(&b->a, p->row[i], &b->a.past[i]));
	int touched = sn_touched(p->c, b->a.scores, p->stage) | sn_touched(p->c, b->a.pattern, p->stage);
	SN_TRY(touched & (SN_TOUCH_EDIT | SN_TOUCH_GRAD) ? sn_down_observed(b) : sn_down_plain(b));
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
	sn_down b = { sn_self_attending(p), dqkv, dqkv + k0, dqkv + v0, width, width };
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
	sn_down b = { sn_cross_attending(p), dq, dkv, dkv + kv, width, 2 * kv };
	sn_status status = attention_back(&b);
	p->qkv = q;
	p->cross->kv = keys;
	return status;
}
