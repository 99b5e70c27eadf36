/* The generic transformer block: norm, attention, norm, feed-forward, with every site visited in the order of
 * computation. */
#include "model/pass.h"

#include "model/site.h"

#include <cblas.h>
#include <string.h>

/* ---- norm ---- */

/* hook_scale and hook_normalized are visited one after the other only where the plan names them; the arithmetic is the
 * same. */
sn_status sn_norm_rows(sn_pass *p, const float *weight, sn_site_kind scale_site, sn_site_kind normalized_site)
{
	const sn_kernels *k = p->model->kernels;
	int64_t d = p->model->shape.d_model, m = p->now.m;
	double eps = p->model->shape.norm_eps;
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
	for (int64_t i = 0; i < m; i++) p->scale[i] = k->rms_scale(p->x + i * d, d, eps);
	SN_TRY(sn_visit(p, scale_site, p->scale, 1));
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
	for (int64_t i = 0; i < m; i++) k->divide(p->h + i * d, p->x + i * d, p->scale[i], d);
	SN_TRY(sn_visit(p, normalized_site, p->h, d));
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
	for (int64_t i = 0; i < m; i++) k->multiply(p->h + i * d, p->h + i * d, weight, d);
	return SN_OK;
}

/* ---- attention ---- */

static void rotate_row(const sn_pass *p, int32_t row)
{
	const sn_shape *s = &p->model->shape;
	int64_t width = sn_qkv_width(s), half = s->d_head / 2;
	int32_t n = sn_row_length(p->batch, row);
	for (int32_t pos = p->now.from[row]; pos < n; pos++) {
		float *x = p->qkv + (p->now.off[row] + pos - p->now.from[row]) * width;
		const float *cosine = p->model->cosine + pos * half, *sine = p->model->sine + pos * half;
		for (int h = 0; h < s->n_head + s->n_kv_head; h++)
			p->model->kernels->rotate(x + (int64_t)h * s->d_head, cosine, sine, s->d_head);
	}
}

static sn_status queries_keys_values(sn_pass *p, const sn_layer *y)
{
	const sn_shape *s = &p->model->shape;
	int64_t width = sn_qkv_width(s), k0 = (int64_t)s->n_head * s->d_head, v0 = k0 + (int64_t)s->n_kv_head * s->d_head;
	SN_TRY(sn_gemm_run(p->model->gemm, y->qkv, p->h, p->now.m, p->qkv));
	SN_TRY(sn_visit(p, SN_SITE_Q, p->qkv, width));
	SN_TRY(sn_visit(p, SN_SITE_K, p->qkv + k0, width));
	SN_TRY(sn_visit(p, SN_SITE_V, p->qkv + v0, width));
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx)) schedule(dynamic, 4)
	for (int32_t i = 0; i < p->n_row; i++)
		if (p->now.off[p->row[i]] >= 0) rotate_row(p, p->row[i]);
	SN_TRY(sn_visit(p, SN_SITE_ROT_Q, p->qkv, width));
	return sn_visit(p, SN_SITE_ROT_K, p->qkv + k0, width);
}

/* What each head writes: result[h] = z[h] W_O[h], without touching the sum in p->h. */
static sn_status results_of_heads(const sn_pass *p, float *result)
{
	const sn_shape *s = &p->model->shape;
	int64_t d = s->d_model, k = (int64_t)s->n_head * s->d_head;
	float *w;
	SN_NEW(w, p->arena, float, d * k);
	SN_TRY(sn_model_read(p->ctx, p->model, SN_PART_O, p->stage - 1, 0, d, w));
	for (int h = 0; h < s->n_head && p->now.m; h++)
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)p->now.m, (int)d, s->d_head, 1, p->z + h * s->d_head,
		            (int)k, w + h * s->d_head, (int)k, 0, result + h * d, (int)(s->n_head * d));
	return SN_OK;
}

/* Edits of results reach the sum as differences, so that an edit that changes nothing changes no bit. */
static sn_status visit_results(sn_pass *p)
{
	int64_t d = p->model->shape.d_model, stride = p->model->shape.n_head * d, n = p->now.m * stride;
	bool edited = sn_touched(p->c, SN_SITE_RESULT, p->stage) & SN_TOUCH_EDIT;
	sn_mark mark = sn_arena_mark(p->arena);
	float *result, *before;
	SN_NEW(result, p->arena, float, n);
	SN_NEW(before, p->arena, float, edited ? n : 0);
	SN_TRY(results_of_heads(p, result));
	if (edited) memcpy(before, result, (size_t)n * sizeof *before);
	SN_TRY(sn_visit(p, SN_SITE_RESULT, result, stride));
	for (int64_t i = 0; edited && i < n; i++) p->h[i / stride * d + i % d] += result[i] - before[i];
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}

/* x += branch, visiting the branch under its names and the sum. */
static sn_status add_branch(sn_pass *p, sn_site_kind out_site, sn_site_kind branch_site, sn_site_kind sum_site)
{
	int64_t d = p->model->shape.d_model;
	SN_TRY(sn_visit(p, out_site, p->h, d));
	SN_TRY(sn_visit(p, branch_site, p->h, d));
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
	for (int64_t i = 0; i < p->now.m; i++) p->model->kernels->add(p->x + i * d, p->h + i * d, d);
	return sn_visit(p, sum_site, p->x, d);
}

static sn_status attention_branch(sn_pass *p, const sn_layer *y)
{
	int64_t d = p->model->shape.d_model, width = (int64_t)p->model->shape.n_head * p->model->shape.d_head;
	SN_TRY(sn_norm_rows(p, y->attn_norm, SN_SITE_LN1_SCALE, SN_SITE_LN1_NORMALIZED));
	SN_TRY(sn_visit(p, SN_SITE_Q_IN, p->h, d));
	SN_TRY(queries_keys_values(p, y));
	SN_TRY(sn_attention(p));
	SN_TRY(sn_visit(p, SN_SITE_Z, p->z, width));
	SN_TRY(sn_gemm_run(p->model->gemm, y->o, p->z, p->now.m, p->h));
	if (sn_pass_touched(p, SN_SITE_RESULT)) SN_TRY(visit_results(p));
	return add_branch(p, SN_SITE_O_OUT, SN_SITE_ATTN_OUT, SN_SITE_RESID_MID);
}

/* ---- feed-forward ---- */

static sn_status mlp_branch(sn_pass *p, const sn_layer *y)
{
	int64_t d = p->model->shape.d_model, n = p->model->shape.d_mlp;
	SN_TRY(sn_norm_rows(p, y->mlp_norm, SN_SITE_LN2_SCALE, SN_SITE_LN2_NORMALIZED));
	SN_TRY(sn_visit(p, SN_SITE_MLP_IN, p->h, d));
	SN_TRY(sn_gemm_run(p->model->gemm, y->gate_up, p->h, p->now.m, p->wide));
	SN_TRY(sn_visit(p, SN_SITE_MLP_PRE, p->wide, 2 * n));
	SN_TRY(sn_visit(p, SN_SITE_MLP_PRE_LINEAR, p->wide + n, 2 * n));
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
	for (int64_t i = 0; i < p->now.m; i++)
		p->model->kernels->silu_multiply(p->post + i * n, p->wide + 2 * i * n, p->wide + (2 * i + 1) * n, n);
	SN_TRY(sn_visit(p, SN_SITE_MLP_POST, p->post, n));
	SN_TRY(sn_gemm_run(p->model->gemm, y->down, p->post, p->now.m, p->h));
	return add_branch(p, SN_SITE_MLP_OUT_OUT, SN_SITE_MLP_OUT, SN_SITE_RESID_POST);
}

/* ---- kept state ---- */

static void keep_position(const sn_pass *p, sn_kept *kept, int32_t pos, const float *k, const float *v)
{
	size_t width = (size_t)p->model->shape.n_kv_head * (size_t)p->model->shape.d_head;
	memcpy(kept->k[p->stage - 1] + (size_t)pos * width, k, width * sizeof *k);
	memcpy(kept->v[p->stage - 1] + (size_t)pos * width, v, width * sizeof *v);
}

static void keep_keys_of_row(const sn_pass *p, int32_t row)
{
	const sn_shape *s = &p->model->shape;
	int64_t k0 = (int64_t)s->n_head * s->d_head, width = (int64_t)s->n_kv_head * s->d_head;
	int32_t top = row;
	while (sn_parent_of(p->batch, top) >= 0) top = sn_parent_of(p->batch, top);
	for (int32_t pos = 0; pos < sn_row_length(p->batch, row); pos++) {
		int64_t slot = sn_slot(p, &p->now, row, pos);
		if (slot >= 0) {
			const float *k = p->qkv + slot * sn_qkv_width(s) + k0;
			keep_position(p, &p->keep->row[row], pos, k, k + width);
		} else {
			const sn_kept *from = &p->c->state->row[sn_state_parent_of(p->batch, top)];
			keep_position(p, &p->keep->row[row], pos, from->k[p->stage - 1] + pos * width,
			              from->v[p->stage - 1] + pos * width);
		}
	}
}

void sn_keep_residual(const sn_pass *p, int boundary)
{
	size_t d = (size_t)p->model->shape.d_model;
	for (int32_t i = 0; i < p->n_row; i++) {
		int32_t row = p->row[i], top = row;
		while (sn_parent_of(p->batch, top) >= 0) top = sn_parent_of(p->batch, top);
		for (int32_t pos = 0; pos < sn_row_length(p->batch, row); pos++) {
			int64_t slot = sn_slot(p, &p->now, row, pos);
			const float *from = slot >= 0 ? p->x + (size_t)slot * d
			                              : p->c->state->row[sn_state_parent_of(p->batch, top)].resid[boundary] +
			                              (size_t)pos * d;
			memcpy(p->keep->row[row].resid[boundary] + (size_t)pos * d, from, d * sizeof *from);
		}
	}
}

/* The state keeps what enters a block before the block's own edits: a fork starts from there and repeats them. */
sn_status sn_block_forward(sn_pass *p)
{
	const sn_layer *y = &p->model->layer[p->stage - 1];
	if (p->keep) sn_keep_residual(p, p->stage - 1);
	SN_TRY(sn_visit(p, SN_SITE_RESID_PRE, p->x, p->model->shape.d_model));
	SN_TRY(attention_branch(p, y));
	if (p->keep)
		for (int32_t i = 0; i < p->n_row; i++) keep_keys_of_row(p, p->row[i]);
	return mlp_branch(p, y);
}
