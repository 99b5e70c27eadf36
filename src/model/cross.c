/* Cross-attention: a decoder's block reads the encoder's rows. */
#include "model/back.h"

#include "model/site.h"

#include <stdlib.h>
#include <string.h>

static int compare_rows(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
	return (x > y) - (x < y);
}

/* The encoder's rows that this step reads, each once. */
static void list_rows(sn_pass *p)
{
	sn_cross *c = p->cross;
	for (int32_t i = 0; i < p->n_row; i++) c->row[i] = sn_enc_row(p->batch, p->row[i]);
	qsort(c->row, (size_t)p->n_row, sizeof *c->row, compare_rows);
	c->n_row = 0;
	for (int32_t i = 0; i < p->n_row; i++)
		if (c->n_row == 0 || c->row[c->n_row - 1] != c->row[i]) c->row[c->n_row++] = c->row[i];
}

/* Kept rows stand one behind the other, as in their batch. */
static sn_status read_kept(sn_cross *c)
{
	for (int32_t r = 0; r < c->batch->n; r++) c->layout.off[r] = c->batch->start[r];
	c->layout.m = c->batch->start[c->batch->n];
	c->x = c->kept->memory;
	return SN_OK;
}

sn_status sn_cross_gather(sn_pass *p)
{
	sn_cross *c = p->cross;
	const sn_shape *s = &p->model->shape;
	int64_t d = s->d_model;
	SN_NEW(c->row, p->arena, int32_t, p->n_row);
	SN_NEW(c->unseen, p->arena, int32_t, p->n_row);
	SN_NEW(c->layout.off, p->arena, int64_t, c->batch->n);
	SN_NEW(c->layout.from, p->arena, int32_t, c->batch->n);
	list_rows(p);
	for (int32_t r = 0; r < c->batch->n; r++) c->layout.off[r] = -1;
	c->layout.m = 0;
	c->n_unseen = 0;
	for (int32_t i = 0; i < c->n_row; i++) {
		c->layout.off[c->row[i]] = c->layout.m;
		if (!c->seen[c->row[i]]) c->unseen[c->n_unseen++] = c->row[i];
		c->seen[c->row[i]] = true;
		c->layout.m += sn_row_length(c->batch, c->row[i]);
	}
	if (c->kept) return read_kept(c);
	int64_t room = sn_gemm_room(c->layout.m);
	SN_NEW(c->x, p->arena, float, room * d);
	SN_NEW(c->kv, p->arena, float, room * 2 * s->n_kv_head * s->d_head);
	for (int32_t i = 0; i < c->n_row; i++)
		memcpy(c->x + c->layout.off[c->row[i]] * d, c->memory + c->batch->start[c->row[i]] * d,
		       (size_t)(sn_row_length(c->batch, c->row[i]) * d) * sizeof *c->x);
	return SN_OK;
}

static void keep_keys_values(const sn_pass *p)
{
	const sn_cross *c = p->cross;
	size_t width = 2 * (size_t)p->model->shape.n_kv_head * (size_t)p->model->shape.d_head;
	for (int32_t i = 0; i < c->n_row; i++)
		memcpy(p->keep->encoder->kv[p->stage - 1] + (size_t)c->batch->start[c->row[i]] * width,
		       c->kv + (size_t)c->layout.off[c->row[i]] * width,
		       (size_t)sn_row_length(c->batch, c->row[i]) * width * sizeof *c->kv);
}

/* Keys and values of the encoder's rows; taps at them see those rows, each in the first step that reads it. */
static sn_status keys_values(sn_pass *p, const sn_layer *y)
{
	const sn_shape *s = &p->model->shape;
	sn_cross *c = p->cross;
	int64_t width = (int64_t)s->n_kv_head * s->d_head;
	sn_pass rows = *p;
	rows.batch = c->batch;
	rows.row = c->unseen;
	rows.n_row = c->n_unseen;
	rows.n_kin = 0;
	rows.held = NULL;
	rows.now = c->layout;
	SN_TRY(sn_visit(&rows, SN_SITE_CROSS_K_IN, c->x, s->d_model));
	if (c->kept) c->kv = c->kept->kv[p->stage - 1];
	else SN_TRY(sn_affine_run(p, &y->cross_kv, c->x, c->layout.m, c->kv));
	if (p->keep && !c->kept) keep_keys_values(p);
	SN_TRY(sn_visit(&rows, SN_SITE_CROSS_K, c->kv, 2 * width));
	return sn_visit(&rows, SN_SITE_CROSS_V, c->kv + width, 2 * width);
}

static void save(const sn_pass *p)
{
	const sn_shape *s = &p->model->shape;
	int64_t q = p->now.m * s->n_head * s->d_head, kv = p->cross->layout.m * 2 * s->n_kv_head * s->d_head;
	memcpy(sn_trace_now(p)->cross_q, p->qkv, (size_t)q * sizeof *p->qkv);
	memcpy(sn_trace_now(p)->cross_kv, p->cross->kv, (size_t)kv * sizeof *p->qkv);
}

static sn_status attend(sn_pass *p, const sn_layer *y)
{
	static const sn_attention_sites sites = { SN_SITE_CROSS_SCORES, SN_SITE_CROSS_PATTERN, SN_SITE_CROSS_Z,
	                                          SN_SITE_CROSS_RESULT, SN_SITE_CROSS_O_OUT };
	const sn_shape *s = &p->model->shape;
	SN_TRY(sn_visit(p, SN_SITE_CROSS_Q_IN, p->h, s->d_model));
	SN_TRY(sn_affine_run(p, &y->cross_q, p->h, p->now.m, p->qkv));
	SN_TRY(sn_visit(p, SN_SITE_CROSS_Q, p->qkv, (int64_t)s->n_head * s->d_head));
	SN_TRY(keys_values(p, y));
	if (sn_trace_now(p)) save(p);
	SN_TRY(sn_cross_attention(p));
	SN_TRY(sn_attention_output(p, &y->cross_o, SN_PART_CROSS_O, &sites));
	return sn_visit(p, SN_SITE_CROSS_ATTN_OUT, p->h, s->d_model);
}

sn_status sn_cross_branch(sn_pass *p, const sn_layer *y)
{
	static const sn_norm none = { 0 };
	const sn_form *f = &p->model->shape.form;
	int64_t d = p->model->shape.d_model;
	SN_TRY(sn_norm_rows(p, f->pre_norm ? &y->cross_norm : &none, p->x, p->h, d, SN_SITE_LN_CROSS_SCALE,
	                    SN_SITE_LN_CROSS_NORMALIZED));
	SN_TRY(attend(p, y));
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
	for (int64_t i = 0; i < p->now.m; i++) p->model->kernels->add(p->x + i * d, p->h + i * d, d);
	SN_TRY(sn_visit(p, SN_SITE_RESID_MID_CROSS, p->x, d));
	if (!f->post_norm) return SN_OK;
	return sn_norm_rows(p, &y->cross_norm, p->x, p->x, d, SN_SITE_LN_CROSS_SCALE, SN_SITE_LN_CROSS_NORMALIZED);
}
