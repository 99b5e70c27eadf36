/* The end of a pass, for vectors from anywhere: the arithmetic of finish.c without its sites. */
#include "model/lens.h"

#include "model/model.h"

#include <string.h>

/* y = the norm of each of m rows of x, weighted; y may be x. */
static void norm_rows(const sn_ctx *ctx, const sn_model *model, const sn_norm *norm, const float *x, float *y,
                      int64_t m, int64_t d)
{
	const sn_kernels *k = model->kernels;
	bool layer = model->shape.form.norm == SN_NORM_LAYER;
	double eps = model->shape.norm_eps;
#pragma omp parallel for num_threads(sn_ctx_threads(ctx))
	for (int64_t i = 0; i < m; i++) {
		const float *in = x + i * d;
		float *out = y + i * d, mean = 0;
		float scale = layer ? k->layer_scale(in, d, eps, &mean) : k->rms_scale(in, d, eps);
		if (layer) k->standardise(out, in, mean, scale, d);
		else k->divide(out, in, scale, d);
		k->multiply(out, out, norm->weight, d);
		if (norm->bias) k->add(out, norm->bias, d);
	}
}

/* out [m, d_head_out] = the head's own layer of h [m, d_model]. */
static sn_status transform(const sn_ctx *ctx, sn_model *model, const float *h, int64_t m, float *out)
{
	const sn_kernels *k = model->kernels;
	int64_t n = model->shape.d_head_out;
	SN_TRY(sn_gemm_run(model->gemm, model->head.w, h, m, out));
#pragma omp parallel for num_threads(sn_ctx_threads(ctx))
	for (int64_t i = 0; i < m; i++) {
		float *y = out + i * n;
		if (model->head.bias) k->add(y, model->head.bias, n);
		k->activate(y, y, NULL, n, model->shape.form.head_act);
	}
	if (model->head_norm.weight) norm_rows(ctx, model, &model->head_norm, out, out, m, n);
	return SN_OK;
}

sn_status sn_lens_head(sn_ctx *ctx, sn_model *model, const float *x, int64_t m, float *out, sn_arena *arena)
{
	int64_t d = model->shape.d_model, n = model->shape.d_head_out;
	float factor = (float)model->shape.form.head_scale, *h = out;
	sn_mark mark = sn_arena_mark(arena);
	if (!model->info.has_logits)
		return sn_fail(ctx, SN_EARG, "%s has no language-model head: there is no vocabulary to read vectors in",
		               model->info.path);
	if (model->head.w) SN_NEW(h, arena, float, sn_gemm_room(m) * d);
	if (model->final_norm.weight) norm_rows(ctx, model, &model->final_norm, x, h, m, d);
	else memcpy(h, x, (size_t)(m * d) * sizeof *h);
	if (model->head.w) SN_TRY(transform(ctx, model, h, m, out));
	for (int64_t i = 0; factor != 1 && i < m * n; i++) out[i] *= factor;
	sn_arena_reset(arena, mark);
	return SN_OK;
}

static void weigh(const sn_model *model, const float *in, float *out)
{
	int64_t d = model->shape.d_model;
	double mean = 0;
	for (int64_t i = 0; model->shape.form.norm == SN_NORM_LAYER && i < d; i++) mean += in[i] / (double)d;
	for (int64_t i = 0; i < d; i++) out[i] = (in[i] - (float)mean) * model->final_norm.weight[i];
}

sn_status sn_lens_directions(sn_ctx *ctx, sn_model *model, const float *x, int64_t m, bool gains, float *out,
                             sn_arena *arena)
{
	int64_t d = model->shape.d_model;
	float *h = out;
	sn_mark mark = sn_arena_mark(arena);
	if (!model->info.has_logits || (model->head.w && (model->head_norm.weight ||
	                                                  model->shape.form.head_act != SN_ACT_NONE)))
		return sn_fail(ctx, SN_EARG, "%s: %s, so that directions cannot be read in the vocabulary", model->info.path,
		               model->info.has_logits ? "a layer of its own stands before the unembedding"
		                                      : "it has no language-model head");
	if (model->head.w) SN_NEW(h, arena, float, sn_gemm_room(m) * d);
	for (int64_t i = 0; i < m; i++) {
		if (gains && model->final_norm.weight) weigh(model, x + i * d, h + i * d);
		else memcpy(h + i * d, x + i * d, (size_t)d * sizeof *h);
	}
	if (model->head.w) SN_TRY(sn_gemm_run(model->gemm, model->head.w, h, m, out));
	sn_arena_reset(arena, mark);
	return SN_OK;
}

static sn_status take(sn_ctx *ctx, void *state, const sn_block *block)
{
	const sn_lens_keep *k = state;
	const float *x = block->x.data;
	(void)ctx;
	SN_ASSERT(block->x.dim[1] == k->d);
	for (int64_t i = 0; i < block->m; i++)
		memcpy(k->x + ((block->first + i) * k->n + k->at) * k->d, x + i * k->d, (size_t)k->d * sizeof *x);
	return SN_OK;
}

const sn_sink sn_lens_keep_sink = { .size = sizeof(sn_lens_keep), .take = take };
