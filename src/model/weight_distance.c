/* Gradients through DeBERTa's distances. */
#include "model/weight_distance.h"

#include <cblas.h>

static int64_t width_of(const sn_model *m) { return (int64_t)m->shape.n_head * m->shape.d_head; }
static int64_t rows_of(const sn_model *m) { return 2 * m->shape.rel_span; }

bool sn_reads_distances_alone(sn_matrix matrix)
{
	return matrix == SN_W_REL_EMBED || matrix == SN_W_REL_LN || matrix == SN_W_REL_Q || matrix == SN_W_REL_K;
}

bool sn_reads_distances(const sn_model *stack, sn_matrix matrix)
{
	const sn_shape *s = &stack->shape;
	if (s->form.position != SN_POSITION_DISENTANGLED) return false;
	if (matrix == SN_W_Q) return s->form.p2c && !sn_has(s, SN_PART_REL_Q);
	if (matrix == SN_W_K) return s->form.c2p && !sn_has(s, SN_PART_REL_K);
	return sn_reads_distances_alone(matrix);
}

sn_status sn_distances_open(sn_distances *out, const sn_model *stack, int layer, sn_arena *arena)
{
	int64_t n = rows_of(stack) * width_of(stack);
	*out = (sn_distances){ .stack = stack, .layer = layer };
	SN_NEW(out->as_q, arena, float, n);
	SN_NEW(out->as_k, arena, float, n);
	return SN_OK;
}

/* ---- from scores to queries and keys of distances ---- */

/* Of one head: scores' derivatives ds [keys] of the query q at pos; k: of the row's first place. */
static void add_head(const sn_distances *d, int head, int32_t pos, int64_t keys, const float *ds, const float *q,
                     const float *k)
{
	const sn_shape *s = &d->stack->shape;
	const int32_t *index = d->stack->positions.distance_index + d->stack->positions.n - 1;
	int64_t width = width_of(d->stack), column = (int64_t)head * s->d_head;
	for (int64_t j = 0; j < keys; j++) {
		int64_t at = index[pos - j] * width + column;
		float share = (float)s->form.attn_scale * ds[j];
		for (int i = 0; i < s->d_head; i++) {
			d->as_k[at + i] += share * q[column + i];
			d->as_q[at + i] += share * k[j * width + column + i];
		}
	}
}

static sn_status take_distances(sn_ctx *ctx, void *state, const sn_block *block)
{
	const sn_distances *d = state;
	const float *ds = block->x.data;
	int64_t keys = block->x.dim[1], first = block->batch->start[block->row[0]], width = width_of(d->stack);
	(void)ctx;
	for (int h = 0; h < block->x.dim[0]; h++)
		add_head(d, h, block->pos[0], keys, ds + h * keys, d->q + (first + block->pos[0]) * width,
		         d->k + first * width);
	return SN_OK;
}

const sn_sink sn_take_distances = { .size = sizeof(sn_distances), .take = take_distances };

/* ---- to the matrices ---- */

/* w += R' dy, bias += the sum of dy's rows. */
static void add_matrix(const sn_model *m, const float *dy, const sn_weight_grad *to)
{
	int d = (int)m->shape.d_model, width = (int)width_of(m), rows = (int)rows_of(m);
	cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, d, width, rows, 1, m->relative, d, dy, width, 1, to->w, width);
	for (int64_t i = 0; i < rows && to->bias; i++)
		for (int64_t j = 0; j < width; j++) to->bias[j] += dy[i * width + j];
}

/* ---- to the embeddings ---- */

/* dr [rows, d_model] += dy W', of one block's matrix. */
static sn_status matrix_back(sn_ctx *ctx, const sn_distances *b, sn_part own, sn_part shared, const float *dy, float *w,
                             float *dr)
{
	const sn_model *m = b->stack;
	int d = (int)m->shape.d_model, width = (int)width_of(m);
	SN_TRY(sn_model_read(ctx, m, sn_has(&m->shape, own) ? own : shared, b->layer, 0, width, w));
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows_of(m), d, width, 1, dy, width, w, d, 1, dr, d);
	return SN_OK;
}

static sn_status blocks_back(sn_ctx *ctx, const sn_distances *block, int n, const sn_model *m, sn_arena *arena,
                             float *dr)
{
	float *w;
	SN_NEW(w, arena, float, width_of(m) * m->shape.d_model);
	for (const sn_distances *b = block; b < block + n; b++) {
		if (b->stack != m) continue;
		if (m->shape.form.p2c) SN_TRY(matrix_back(ctx, b, SN_PART_REL_Q, SN_PART_Q, b->as_q, w, dr));
		if (m->shape.form.c2p) SN_TRY(matrix_back(ctx, b, SN_PART_REL_K, SN_PART_K, b->as_k, w, dr));
	}
	return SN_OK;
}

/* ---- through their norm: R = n g + b with n = (x - mean) / scale, of d numbers ---- */

static void add_gains(const sn_weight_grad *to, const float *n, const float *dr, int64_t d)
{
	for (int64_t j = 0; j < d; j++) to->w[j] += n[j] * dr[j];
	for (int64_t j = 0; j < d && to->bias; j++) to->bias[j] += dr[j];
}

/* dx <- dx + (t - mean(t) - n mean(t n)) / scale, t = g dr. */
static void add_input(float *dx, const float *n, const float *dr, const float *g, float scale, int64_t d)
{
	double mean = 0, along = 0;
	for (int64_t j = 0; j < d; j++) {
		mean += (double)g[j] * dr[j] / (double)d;
		along += (double)g[j] * dr[j] * n[j] / (double)d;
	}
	for (int64_t j = 0; j < d; j++) dx[j] += (float)(((double)g[j] * dr[j] - mean - n[j] * along) / scale);
}

static sn_status norm_back(sn_ctx *ctx, const sn_model *m, const float *dr, sn_arena *arena, const sn_weight_grad *to)
{
	int64_t d = m->shape.d_model, rows = rows_of(m);
	float *x, *g, mean;
	SN_NEW(x, arena, float, rows * d);
	SN_NEW(g, arena, float, d);
	SN_TRY(sn_model_read(ctx, m, SN_PART_REL_EMBED, 0, 0, rows, x));
	SN_TRY(sn_model_read(ctx, m, SN_PART_REL_NORM, 0, 0, d, g));
	for (int64_t i = 0; i < rows; i++) {
		float *n = x + i * d, scale = m->kernels->layer_scale(n, d, m->shape.norm_eps, &mean);
		m->kernels->standardise(n, n, mean, scale, d);
		if (to->matrix == SN_W_REL_LN) add_gains(to, n, dr + i * d, d);
		else add_input(to->w + i * d, n, dr + i * d, g, scale, d);
	}
	return SN_OK;
}

static sn_status add_embeddings(sn_ctx *ctx, const sn_distances *block, int n, const sn_model *m, sn_arena *arena,
                                const sn_weight_grad *to)
{
	int64_t size = rows_of(m) * m->shape.d_model;
	float *dr;
	SN_NEW(dr, arena, float, size);
	SN_TRY(blocks_back(ctx, block, n, m, arena, dr));
	if (sn_has(&m->shape, SN_PART_REL_NORM)) return norm_back(ctx, m, dr, arena, to);
	for (int64_t i = 0; i < size; i++) to->w[i] += dr[i];
	return SN_OK;
}

sn_status sn_distances_add(sn_ctx *ctx, const sn_distances *block, int n, const sn_model *stack,
                           const sn_weight_grad *to)
{
	bool query = to->matrix == SN_W_Q || to->matrix == SN_W_REL_Q;
	if (to->matrix == SN_W_REL_EMBED || to->matrix == SN_W_REL_LN) {
		sn_arena *arena;
		SN_TRY(sn_arena_open(&arena, ctx));
		sn_status status = add_embeddings(ctx, block, n, stack, arena, to);
		sn_arena_close(arena);
		return status;
	}
	for (const sn_distances *b = block; b < block + n; b++)
		if (b->stack == stack && b->layer == to->layer) add_matrix(stack, query ? b->as_q : b->as_k, to);
	return SN_OK;
}
