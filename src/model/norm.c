/* Norms and affine maps over the rows of a step. */
#include "model/pass.h"

#include <string.h>

/* x / sqrt(mean x^2 + eps), or LayerNorm's (x - mean) / sqrt(var + eps). */
static void normalise(const sn_pass *p, const float *in, float *out, int64_t d, const float *mean)
{
	const sn_kernels *k = p->model->kernels;
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
	for (int64_t i = 0; i < p->now.m; i++) {
		if (mean) k->standardise(out + i * d, in + i * d, mean[i], p->scale[i], d);
		else k->divide(out + i * d, in + i * d, p->scale[i], d);
	}
}

static void find_scales(const sn_pass *p, const float *in, int64_t d, float *mean)
{
	const sn_kernels *k = p->model->kernels;
	double eps = p->model->shape.norm_eps;
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
	for (int64_t i = 0; i < p->now.m; i++)
		p->scale[i] = mean ? k->layer_scale(in + i * d, d, eps, &mean[i]) : k->rms_scale(in + i * d, d, eps);
}

static void weigh(const sn_pass *p, const sn_norm *norm, float *x, int64_t d)
{
	const sn_kernels *k = p->model->kernels;
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
	for (int64_t i = 0; i < p->now.m; i++) {
		k->multiply(x + i * d, x + i * d, norm->weight, d);
		if (norm->bias) k->add(x + i * d, norm->bias, d);
	}
}

sn_status sn_norm_rows(sn_pass *p, const sn_norm *norm, const float *in, float *out, int64_t d,
                       sn_site_kind scale_site, sn_site_kind normalized_site)
{
	if (!norm->weight) {
		if (in != out) memcpy(out, in, (size_t)(p->now.m * d) * sizeof *out);
		return SN_OK;
	}
	sn_mark mark = sn_arena_mark(p->arena);
	float *mean = NULL;
	if (p->model->shape.form.norm == SN_NORM_LAYER) SN_NEW(mean, p->arena, float, p->now.m);
	find_scales(p, in, d, mean);
	SN_TRY(sn_visit(p, scale_site, p->scale, 1));
	normalise(p, in, out, d, mean);
	SN_TRY(sn_visit(p, normalized_site, out, d));
	weigh(p, norm, out, d);
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
