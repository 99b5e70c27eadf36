/* Norms and affine maps over the rows of a step. */
#include "model/back.h"

#include <string.h>

/* Rows of a norm: in, their scales and (LayerNorm) means, out. */
typedef struct rows { const sn_kernels *k; const float *in; float *scale, *mean, *out; int64_t d; } rows;

static void find_scale(const rows *r, int64_t i, double eps)
{
	const float *x = r->in + i * r->d;
	r->scale[i] = r->mean ? r->k->layer_scale(x, r->d, eps, &r->mean[i]) : r->k->rms_scale(x, r->d, eps);
}

/* x / sqrt(mean x^2 + eps), or LayerNorm's (x - mean) / sqrt(var + eps). */
static void normalise(const rows *r, int64_t i)
{
	const float *x = r->in + i * r->d;
	if (r->mean) r->k->standardise(r->out + i * r->d, x, r->mean[i], r->scale[i], r->d);
	else r->k->divide(r->out + i * r->d, x, r->scale[i], r->d);
}

static void weigh(const rows *r, int64_t i, const sn_norm *norm)
{
	float *x = r->out + i * r->d;
	r->k->multiply(x, x, norm->weight, r->d);
	if (norm->bias) r->k->add(x, norm->bias, r->d);
}

/* Nothing looks at the norm: each row goes through all of it while it is in the cache. */
static void norm_unseen(const sn_pass *p, const rows *r, const sn_norm *norm)
{
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
	for (int64_t i = 0; i < p->now.m; i++) {
		find_scale(r, i, p->model->shape.norm_eps);
		normalise(r, i);
		weigh(r, i, norm);
	}
}

static sn_status norm_seen(sn_pass *p, const rows *r, const sn_norm *norm, sn_site_kind scale_site,
                           sn_site_kind normalized_site)
{
	int threads = sn_ctx_threads(p->ctx);
#pragma omp parallel for num_threads(threads)
	for (int64_t i = 0; i < p->now.m; i++) find_scale(r, i, p->model->shape.norm_eps);
	SN_TRY(sn_visit(p, scale_site, r->scale, 1));
	if (p->back) sn_save_norm(p, scale_site, r->in, r->d, r->mean);
#pragma omp parallel for num_threads(threads)
	for (int64_t i = 0; i < p->now.m; i++) normalise(r, i);
	SN_TRY(sn_visit(p, normalized_site, r->out, r->d));
#pragma omp parallel for num_threads(threads)
	for (int64_t i = 0; i < p->now.m; i++) weigh(r, i, norm);
	return SN_OK;
}

sn_status sn_norm_rows(sn_pass *p, const sn_norm *norm, const float *in, float *out, int64_t d,
                       sn_site_kind scale_site, sn_site_kind normalized_site)
{
	if (!norm->weight) {
		if (in != out) memcpy(out, in, (size_t)(p->now.m * d) * sizeof *out);
		return SN_OK;
	}
	sn_mark mark = sn_arena_mark(p->arena);
	rows r = { .k = p->model->kernels, .in = in, .scale = p->scale, .out = out, .d = d };
	if (p->model->shape.form.norm == SN_NORM_LAYER) SN_NEW(r.mean, p->arena, float, p->now.m);
	if (p->back || sn_pass_touched(p, scale_site) || sn_pass_touched(p, normalized_site))
		SN_TRY(norm_seen(p, &r, norm, scale_site, normalized_site));
	else norm_unseen(p, &r, norm);
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}

void sn_norm_heads(const sn_pass *p, const float *weight, float *x, int64_t stride, int n_head)
{
	const sn_shape *s = &p->model->shape;
	const sn_kernels *k = p->model->kernels;
	bool together = s->form.qk_norm == SN_QK_NORM_ALL, layer = s->form.norm == SN_NORM_LAYER;
	int64_t d = together ? (int64_t)n_head * s->d_head : s->d_head, n = together ? 1 : n_head;
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
	for (int64_t i = 0; i < p->now.m; i++)
		for (int64_t h = 0; h < n; h++) {
			float *y = x + i * stride + h * d, mean = 0;
			float scale = layer ? k->layer_scale(y, d, s->norm_eps, &mean) : k->rms_scale(y, d, s->norm_eps);
			k->standardise(y, y, mean, scale, d);
			k->multiply(y, y, weight + h * d, d);
		}
}

sn_status sn_affine_run(sn_pass *p, const sn_affine *a, const float *in, int64_t m, float *out)
{
	SN_TRY(sn_gemm_run(p->model->gemm, a->w, in, m, out));
	if (!a->bias) return SN_OK;
	int64_t n = sn_packed_rows(a->w);
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
	for (int64_t i = 0; i < m; i++) p->model->kernels->add(out + i * n, a->bias, n);
	return SN_OK;
}
