/* Gradients of weights, place by place. */
#include "model/weight_take.h"

#include "model/plan.h"
#include "model/positions.h"

#include <cblas.h>

#define SINK(take_) { .size = sizeof(sn_weight_use), .take = take_ }

static const float *rows_of(const sn_block *block) { return block->x.data; }

static void add_bias(const sn_weight_use *u, const sn_block *block)
{
	const float *dy = rows_of(block);
	for (int64_t i = 0; u->to->bias && i < block->m; i++)
		for (int64_t j = 0; j < u->d_out; j++) u->to->bias[j] += dy[i * u->d_out + j];
}

/* to [d_in, d_out] += x' dy */
static void add_product(const sn_weight_use *u, const float *x, const float *dy, int64_t m)
{
	cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)u->d_in, (int)u->d_out, (int)m, 1, x, (int)u->d_in, dy,
	            (int)u->d_out, 1, u->to->w, (int)u->d_out);
}

static sn_status take_product(sn_ctx *ctx, void *state, const sn_block *block)
{
	const sn_weight_use *u = state;
	(void)ctx;
	add_product(u, u->x + block->first * u->d_in, rows_of(block), block->m);
	add_bias(u, block);
	return SN_OK;
}

/* ---- norms ---- */

static sn_status take_gains(sn_ctx *ctx, void *state, const sn_block *block)
{
	const sn_weight_use *u = state;
	const float *x = u->x + block->first * u->d_in, *dy = rows_of(block);
	(void)ctx;
	for (int64_t i = 0; i < block->m; i++)
		for (int64_t j = 0; j < u->d_in; j++) u->to->w[j] += x[i * u->d_in + j] * dy[i * u->d_in + j];
	add_bias(u, block);
	return SN_OK;
}

/* x [d] of one head (or of all together), normed: w += n * dy */
static void add_head(const sn_weight_use *u, const float *x, const float *dy, int64_t d, float *w)
{
	const sn_kernels *k = u->stack->kernels;
	double eps = u->stack->shape.norm_eps;
	float mean = 0;
	float s = u->stack->shape.form.norm == SN_NORM_LAYER ? k->layer_scale(x, d, eps, &mean) : k->rms_scale(x, d, eps);
	for (int64_t j = 0; j < d; j++) w[j] += (x[j] - mean) / s * dy[j];
}

static sn_status take_heads(sn_ctx *ctx, void *state, const sn_block *block)
{
	const sn_weight_use *u = state;
	sn_qk_norm how = u->stack->shape.form.qk_norm;
	int64_t d = how == SN_QK_NORM_ALL ? u->d_in : u->stack->shape.d_head, shared = how == SN_QK_NORM_HEAD ? 0 : d;
	(void)ctx;
	for (int64_t i = 0; i < block->m; i++)
		for (int64_t h = 0; h < u->d_in / d; h++)
			add_head(u, u->x + (block->first + i) * u->d_in + h * d, rows_of(block) + i * u->d_in + h * d, d,
			         u->to->w + h * shared);
	return SN_OK;
}

/* ---- tables ---- */

static void add_row(const sn_weight_use *u, int64_t row, const float *dy)
{
	for (int64_t j = 0; j < u->d_out; j++) u->to->w[row * u->d_out + j] += u->scale * dy[j];
}

static int64_t place_of(const sn_block *block, int64_t i)
{
	return block->batch->start[block->row[i]] + block->pos[i];
}

static sn_status take_token(sn_ctx *ctx, void *state, const sn_block *block)
{
	const sn_weight_use *u = state;
	(void)ctx;
	for (int64_t i = 0; i < block->m; i++)
		add_row(u, block->batch->token[place_of(block, i)], rows_of(block) + i * u->d_out);
	return SN_OK;
}

static sn_status take_position(sn_ctx *ctx, void *state, const sn_block *block)
{
	const sn_weight_use *u = state;
	(void)ctx;
	for (int64_t i = 0; i < block->m; i++)
		add_row(u, block->pos[i] + u->stack->shape.form.position_offset, rows_of(block) + i * u->d_out);
	return SN_OK;
}

static sn_status take_type(sn_ctx *ctx, void *state, const sn_block *block)
{
	const sn_weight_use *u = state;
	const int32_t *segment = block->batch->segment;
	(void)ctx;
	for (int64_t i = 0; i < block->m; i++)
		add_row(u, segment ? segment[place_of(block, i)] : 0, rows_of(block) + i * u->d_out);
	return SN_OK;
}

/* ---- embeddings that are projected before hook_embed ---- */

static sn_status take_projected(sn_ctx *ctx, void *state, const sn_block *block)
{
	const sn_weight_use *u = state;
	int64_t D = u->stack->shape.d_model;
	(void)ctx;
	for (int64_t i = 0; i < block->m; i++)
		cblas_sgemv(CblasRowMajor, CblasTrans, (int)D, (int)u->d_out, u->scale, u->projection, (int)u->d_out,
		            rows_of(block) + i * D, 1, 1,
		            u->to->w + block->batch->token[place_of(block, i)] * u->d_out, 1);
	return SN_OK;
}

static sn_status add_projection(sn_ctx *ctx, const sn_weight_use *u, const sn_block *block, float *x)
{
	for (int64_t i = 0; i < block->m; i++) {
		int32_t token = block->batch->token[place_of(block, i)];
		SN_TRY(sn_model_read(ctx, u->stack, SN_PART_EMBED, 0, token, 1, x + i * u->d_in));
		for (int64_t j = 0; j < u->d_in; j++) x[i * u->d_in + j] *= u->scale;
	}
	add_product(u, x, rows_of(block), block->m);
	add_bias(u, block);
	return SN_OK;
}

static sn_status take_projection(sn_ctx *ctx, void *state, const sn_block *block)
{
	const sn_weight_use *u = state;
	float *x = sn_alloc_raw(ctx, sn_size3((size_t)block->m, (size_t)u->d_in, sizeof *x));
	sn_status status = x ? add_projection(ctx, u, block, x) : SN_ENOMEM;
	sn_free(ctx, x);
	return status;
}

/* ---- distances: one place's scores [heads, attended positions] ---- */

static sn_status take_distance(sn_ctx *ctx, void *state, const sn_block *block)
{
	const sn_weight_use *u = state;
	int64_t n_head = block->x.dim[0], keys = block->x.dim[1];
	(void)ctx;
	for (int64_t h = 0; h < n_head; h++)
		for (int64_t j = 0; j < keys; j++) {
			int64_t bucket = sn_distance_bucket(&u->stack->shape, j - block->pos[0]);
			u->to->w[bucket * n_head + h] += rows_of(block)[h * keys + j];
		}
	return SN_OK;
}

const sn_sink sn_take_product = SINK(take_product), sn_take_gains = SINK(take_gains), sn_take_heads = SINK(take_heads),
			  sn_take_token = SINK(take_token), sn_take_position = SINK(take_position),
			  sn_take_type = SINK(take_type), sn_take_projected = SINK(take_projected),
			  sn_take_projection = SINK(take_projection), sn_take_distance = SINK(take_distance);
