/* Norms and affine maps on the way down. With c = x - mean x (RMSNorm: x), n = c / s and s = sqrt(mean c^2 + eps):
 * ds = - sum dn n / s, and dc = dn / s + ds c / (d s); LayerNorm's dx is dc less its mean. */
#include "model/back.h"

#include <string.h>

/* ---- on the way up ---- */

static sn_saved_norm *saved_of(const sn_pass *p, sn_site_kind scale_site)
{
	sn_back *b = p->back;
	switch (scale_site) {
	case SN_SITE_EMBED_LN_SCALE: return &b->norm[SN_SAVED_EMBED - SN_SAVED_IN_BLOCK];
	case SN_SITE_LN_FINAL_SCALE: return &b->norm[SN_SAVED_FINAL - SN_SAVED_IN_BLOCK];
	case SN_SITE_MLM_LN_SCALE: return &b->norm[SN_SAVED_HEAD - SN_SAVED_IN_BLOCK];
	case SN_SITE_LN1_SCALE: return b->now ? &b->now->norm[SN_SAVED_ATTN] : NULL;
	case SN_SITE_LN1_POST_SCALE: return b->now ? &b->now->norm[SN_SAVED_ATTN_POST] : NULL;
	case SN_SITE_LN_CROSS_SCALE: return b->now ? &b->now->norm[SN_SAVED_CROSS] : NULL;
	case SN_SITE_LN2_SCALE: return b->now ? &b->now->norm[SN_SAVED_MLP] : NULL;
	case SN_SITE_LN2_POST_SCALE: return b->now ? &b->now->norm[SN_SAVED_MLP_POST] : NULL;
	default: return NULL;
	}
}

void sn_save_norm(const sn_pass *p, sn_site_kind scale_site, const float *x, int64_t d, const float *mean)
{
	sn_saved_norm *saved = saved_of(p, scale_site);
	if (!saved) return;
	memcpy(saved->x, x, (size_t)(p->now.m * d) * sizeof *x);
	memcpy(saved->scale, p->scale, (size_t)p->now.m * sizeof *p->scale);
	if (mean) memcpy(saved->mean, mean, (size_t)p->now.m * sizeof *mean);
}

/* ---- on the way down ---- */

typedef struct norm_back {
	const sn_pass *p;
	const sn_saved_norm *saved;
	int64_t d;
	float *dscale;      /* [m] */
} norm_back;

static float mean_of(const norm_back *b, int64_t i) { return b->saved->mean ? b->saved->mean[i] : 0; }

/* Slot i's norm and that of its reference. */
static sn_rescaled_norm rescaled(const norm_back *b, int64_t i)
{
	int64_t other = sn_reference_slot(b->p, i);
	return (sn_rescaled_norm){ .x = { b->saved->x + i * b->d, b->saved->x + other * b->d },
	                           .mean = { mean_of(b, i), mean_of(b, other) },
	                           .scale = { b->saved->scale[i], b->saved->scale[other] } };
}

/* What the scale's derivative is; after it the scale's own site is visited. */
static void scales_back(const norm_back *b, const float *dn)
{
#pragma omp parallel for num_threads(sn_ctx_threads(b->p->ctx))
	for (int64_t i = 0; i < b->p->now.m; i++) {
		const float *x = b->saved->x + i * b->d, *dy = dn + i * b->d;
		float mean = mean_of(b, i), s = b->saved->scale[i];
		double sum = 0;
		if (sn_reference_slot(b->p, i) != i) {
			sn_rescaled_norm r = rescaled(b, i);
			b->dscale[i] = sn_rescale_scale(&r, dy, b->d);
			continue;
		}
		for (int64_t j = 0; j < b->d; j++) sum += (double)dy[j] * (x[j] - mean);
		b->dscale[i] = (float)(-sum / ((double)s * s));
	}
}

/* The scale as it was computed, where edits changed it since. */
static float computed_scale(const norm_back *b, const float *x, int64_t i, bool edited)
{
	const sn_kernels *k = b->p->model->kernels;
	double eps = b->p->model->shape.norm_eps;
	float mean;
	if (!edited) return b->saved->scale[i];
	return b->saved->mean ? k->layer_scale(x, b->d, eps, &mean) : k->rms_scale(x, b->d, eps);
}

static void rescaled_input_back(const norm_back *b, float *dx, int64_t i, bool edited)
{
	sn_rescaled_norm r = rescaled(b, i);
	float computed[2] = { computed_scale(b, r.x[0], i, edited),
	                      computed_scale(b, r.x[1], sn_reference_slot(b->p, i), edited) };
	sn_rescale_norm(&r, dx, b->d, b->dscale[i], computed, b->saved->mean);
}

static void inputs_back(const norm_back *b, float *dx, bool edited)
{
	bool frozen = sn_rule_has(b->p, SN_RULE_FREEZE_NORMS);
	int64_t d = b->d;
#pragma omp parallel for num_threads(sn_ctx_threads(b->p->ctx))
	for (int64_t i = 0; i < b->p->now.m; i++) {
		if (sn_reference_slot(b->p, i) != i) {
			rescaled_input_back(b, dx + i * d, i, edited);
			continue;
		}
		const float *x = b->saved->x + i * d;
		float *y = dx + i * d, mean = mean_of(b, i), over = 1 / b->saved->scale[i];
		float pull = frozen ? 0 : b->dscale[i] / ((float)d * computed_scale(b, x, i, edited));
		double sum = 0;
		for (int64_t j = 0; j < d; j++) sum += y[j] = y[j] * over + pull * (x[j] - mean);
		float centre = b->saved->mean ? (float)(sum / (double)d) : 0;
		for (int64_t j = 0; j < d; j++) y[j] -= centre;
	}
}

sn_status sn_norm_back(sn_pass *p, const sn_norm *norm, const sn_saved_norm *saved, float *dx, int64_t d,
                       sn_site_kind scale_site, sn_site_kind normalized_site)
{
	if (!norm->weight) return SN_OK;
	sn_mark mark = sn_arena_mark(p->arena);
	norm_back b = { .p = p, .saved = saved, .d = d };
	SN_NEW(b.dscale, p->arena, float, p->now.m);
	SN_TRY(sn_visit_normed(p, normalized_site, dx, d));
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
	for (int64_t i = 0; i < p->now.m; i++) p->model->kernels->multiply(dx + i * d, dx + i * d, norm->weight, d);
	SN_TRY(sn_visit_back(p, normalized_site, dx, d));
	scales_back(&b, dx);
	SN_TRY(sn_visit_back(p, scale_site, b.dscale, 1));
	inputs_back(&b, dx, sn_touched(p->c, scale_site, p->stage) & SN_TOUCH_EDIT);
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}

/* One head's norm; dx: its derivative, in place. */
static void head_back(const sn_pass *p, const float *weight, const float *x, float *dx, int64_t d)
{
	const sn_kernels *k = p->model->kernels;
	bool layer = p->model->shape.form.norm == SN_NORM_LAYER, frozen = sn_rule_has(p, SN_RULE_FREEZE_NORMS);
	double eps = p->model->shape.norm_eps, sum = 0, centre = 0;
	float mean = 0, s = layer ? k->layer_scale(x, d, eps, &mean) : k->rms_scale(x, d, eps);
	for (int64_t j = 0; j < d; j++) sum += (double)(dx[j] *= weight[j]) * (x[j] - mean);
	float pull = frozen ? 0 : (float)(-sum / ((double)d * s * s * s));
	for (int64_t j = 0; j < d; j++) centre += dx[j] = dx[j] / s + pull * (x[j] - mean);
	for (int64_t j = 0; layer && j < d; j++) dx[j] -= (float)(centre / (double)d);
}

static void rescaled_head_back(const sn_pass *p, const float *weight, const float *x, const float *x0, float *dx,
                               int64_t d)
{
	const sn_kernels *k = p->model->kernels;
	bool layer = p->model->shape.form.norm == SN_NORM_LAYER;
	double eps = p->model->shape.norm_eps;
	sn_rescaled_norm r = { .x = { x, x0 } };
	for (int i = 0; i < 2; i++)
		r.scale[i] = layer ? k->layer_scale(r.x[i], d, eps, &r.mean[i]) : k->rms_scale(r.x[i], d, eps);
	k->multiply(dx, dx, weight, d);
	sn_rescale_norm(&r, dx, d, sn_rescale_scale(&r, dx, d), r.scale, layer);
}

void sn_norm_heads_back(const sn_pass *p, const float *weight, const float *raw, float *dx, int64_t stride, int n_head)
{
	const sn_shape *s = &p->model->shape;
	bool together = s->form.qk_norm == SN_QK_NORM_ALL;
	int64_t d = together ? (int64_t)n_head * s->d_head : s->d_head, n = together ? 1 : n_head;
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
	for (int64_t i = 0; i < p->now.m; i++)
		for (int64_t h = 0; h < n; h++) {
			const float *x = raw + i * stride + h * d, *x0 = raw + sn_reference_slot(p, i) * stride + h * d;
			if (x == x0) head_back(p, weight + h * d, x, dx + i * stride + h * d, d);
			else rescaled_head_back(p, weight + h * d, x, x0, dx + i * stride + h * d, d);
		}
}

sn_status sn_affine_back(sn_pass *p, const sn_packed *transposed, const float *dy, int64_t m, float *dx)
{
	return sn_gemm_run(p->model->gemm, transposed, dy, m, dx);
}
