/* Cross-attention's branch on the way down; what reaches the encoder's output is gathered over blocks and steps. */
#include "model/back.h"

#include "model/site.h"

#include <string.h>

/* dkv of the encoder's rows -> their output's derivative, added to back->memory. */
static sn_status keys_values_back(sn_pass *p, const sn_layer *y, float *dkv)
{
	const sn_shape *s = &p->model->shape;
	const sn_cross *c = p->cross;
	int64_t width = (int64_t)s->n_kv_head * s->d_head, d = s->d_model;
	float *dx;
	sn_pass rows = *p;
	rows.batch = c->batch;
	rows.row = c->row;
	rows.n_row = c->n_row;
	rows.now = c->layout;
	SN_NEW(dx, p->arena, float, sn_gemm_room(c->layout.m) * d);
	SN_TRY(sn_visit_back(&rows, SN_SITE_CROSS_V, dkv + width, 2 * width));
	SN_TRY(sn_visit_back(&rows, SN_SITE_CROSS_K, dkv, 2 * width));
	SN_TRY(sn_affine_back(p, y->back.cross_kv, dkv, c->layout.m, dx));
	SN_TRY(sn_visit_back(&rows, SN_SITE_CROSS_K_IN, dx, d));
	for (int32_t i = 0; p->memory && i < c->n_row; i++) {
		int32_t row = c->row[i];
		p->model->kernels->add(p->memory + c->batch->start[row] * d, dx + c->layout.off[row] * d,
		                       sn_row_length(c->batch, row) * d);
	}
	return SN_OK;
}

/* p->h -> p->h. */
static sn_status attend_back(sn_pass *p, const sn_layer *y)
{
	static const sn_attention_sites sites = { SN_SITE_CROSS_SCORES, SN_SITE_CROSS_PATTERN, SN_SITE_CROSS_Z,
	                                          SN_SITE_CROSS_RESULT, SN_SITE_CROSS_O_OUT };
	const sn_shape *s = &p->model->shape;
	float *dkv;
	SN_NEW(dkv, p->arena, float, sn_gemm_room(p->cross->layout.m) * 2 * s->n_kv_head * s->d_head);
	SN_TRY(sn_visit_back(p, SN_SITE_CROSS_ATTN_OUT, p->h, s->d_model));
	SN_TRY(sn_attention_output_back(p, y->back.cross_o, SN_PART_CROSS_O, &sites));
	SN_TRY(sn_cross_attention_back(p, dkv));
	SN_TRY(keys_values_back(p, y, dkv));
	SN_TRY(sn_visit_back(p, SN_SITE_CROSS_Q, p->back->dqkv, (int64_t)s->n_head * s->d_head));
	SN_TRY(sn_affine_back(p, y->back.cross_q, p->back->dqkv, p->now.m, p->h));
	return sn_visit_back(p, SN_SITE_CROSS_Q_IN, p->h, s->d_model);
}

static sn_status norm_back(sn_pass *p, const sn_layer *y, float *dx)
{
	return sn_norm_back(p, &y->cross_norm, &p->back->trace[p->stage - 1].norm[SN_SAVED_CROSS], dx,
	                    p->model->shape.d_model, SN_SITE_LN_CROSS_SCALE, SN_SITE_LN_CROSS_NORMALIZED);
}

sn_status sn_cross_back(sn_pass *p)
{
	const sn_layer *y = sn_layer_of(p->model, p->stage - 1);
	const sn_form *f = &p->model->shape.form;
	int64_t d = p->model->shape.d_model;
	sn_mark mark = sn_arena_mark(p->arena);
	if (f->post_norm) SN_TRY(norm_back(p, y, p->back->dx));
	SN_TRY(sn_visit_back(p, SN_SITE_RESID_MID_CROSS, p->back->dx, d));
	memcpy(p->h, p->back->dx, (size_t)(p->now.m * d) * sizeof *p->h);
	SN_TRY(attend_back(p, y));
	if (f->pre_norm) SN_TRY(norm_back(p, y, p->h));
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
	for (int64_t i = 0; i < p->now.m; i++) p->model->kernels->add(p->back->dx + i * d, p->h + i * d, d);
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}
