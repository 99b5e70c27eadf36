/* Packing: from a source's rows to matrices ready for products. */
#include "model/model.h"

#include <cblas.h>
#include <omp.h>
#include <string.h>

/* ---- reading ---- */

sn_status sn_model_read(sn_ctx *ctx, const sn_model *m, sn_part part, int layer, int64_t row0, int64_t n_row,
                        float *out)
{
	int64_t columns = sn_part_columns(&m->shape, part), piece = SN_MAX(1, 65536 / columns);
	int group = sn_part_per_layer(part) ? sn_group_of(&m->shape, layer) : 0;
	sn_status status = SN_OK;
#pragma omp parallel for num_threads(sn_ctx_threads(ctx)) schedule(dynamic) if (n_row > piece)
	for (int64_t i = 0; i < n_row; i += piece) {
		sn_status s = m->source.read(ctx, m->source.arg, part, group, row0 + i, SN_MIN(piece, n_row - i),
		                             out + i * columns);
		if (s != SN_OK)
#pragma omp atomic write
			status = s;
	}
	return status;
}

/* Reads a vector that the model has into *out (taken from its arena when *out is NULL); leaves NULL where it has not.
 * */
static sn_status read_vector(sn_ctx *ctx, sn_model *m, sn_part part, int l, float **out)
{
	int64_t n = sn_part_rows(&m->shape, part);
	if (!sn_has(&m->shape, part)) return SN_OK;
	if (!*out) SN_NEW(*out, m->arena, float, n);
	return sn_model_read(ctx, m, part, l, 0, n, *out);
}

/* bias: the part behind weight, or NONE. */
static sn_status read_norm(sn_ctx *ctx, sn_model *m, sn_part weight, sn_part bias, int l, sn_norm *out)
{
	SN_TRY(read_vector(ctx, m, weight, l, &out->weight));
	return bias ? read_vector(ctx, m, bias, l, &out->bias) : SN_OK;
}

/* A norm of queries or keys as wide as all heads, whether the file has it once for all of them or not. */
static sn_status read_head_norm(sn_ctx *ctx, sn_model *m, sn_part part, int heads, int l, float **out)
{
	int64_t n = sn_part_rows(&m->shape, part), width = (int64_t)heads * m->shape.d_head;
	if (!sn_has(&m->shape, part)) return SN_OK;
	if (!*out) SN_NEW(*out, m->arena, float, width);
	SN_TRY(sn_model_read(ctx, m, part, l, 0, n, *out));
	for (int64_t i = n; i < width; i++) (*out)[i] = (*out)[i - n];
	return SN_OK;
}

/* ---- matrices ---- */

typedef struct stack { sn_part part[3]; int n; } stack;   /* read the same input; each bias is the next part */

static int64_t stack_rows(const sn_model *m, const stack *s)
{
	int64_t rows = 0;
	for (int i = 0; i < s->n; i++) rows += sn_part_rows(&m->shape, s->part[i]);
	return rows;
}

static sn_status read_biases(sn_ctx *ctx, sn_model *m, const stack *s, int l, float **out)
{
	int64_t row = 0;
	bool any = false;
	for (int i = 0; i < s->n; i++) any |= sn_has(&m->shape, (sn_part)(s->part[i] + 1));
	if (!any) return SN_OK;
	if (!*out) SN_NEW(*out, m->arena, float, stack_rows(m, s));
	for (int i = 0; i < s->n; i++) {
		sn_part bias = (sn_part)(s->part[i] + 1);
		int64_t n = sn_part_rows(&m->shape, s->part[i]);
		if (sn_has(&m->shape, bias)) SN_TRY(sn_model_read(ctx, m, bias, l, 0, n, *out + row));
		row += n;
	}
	return SN_OK;
}

/* Reads rows of a part, a few on each thread, and puts them down in a packed matrix from row `first` on: as float32
 * there are only those few at a time. */
static sn_status pack_part(sn_ctx *ctx, sn_model *m, sn_part part, int l, int64_t row0, int64_t n_row, sn_packed *out,
                           int64_t first)
{
	int64_t columns = sn_part_columns(&m->shape, part), piece = SN_PACK_ROWS * columns;
	int group = sn_part_per_layer(part) ? sn_group_of(&m->shape, l) : 0, threads = sn_ctx_threads(ctx);
	float *rows = sn_alloc_raw(ctx, sn_size3((size_t)threads, (size_t)piece, sizeof *rows));
	sn_status status = SN_OK;
	if (!rows) return SN_ENOMEM;
#pragma omp parallel for num_threads(threads) schedule(dynamic)
	for (int64_t i = 0; i < n_row; i += SN_PACK_ROWS) {
		float *x = rows + omp_get_thread_num() * piece;
		int64_t n = SN_MIN(n_row - i, (int64_t)SN_PACK_ROWS);
		sn_status s = m->source.read(ctx, m->source.arg, part, group, row0 + i, n, x);
		if (s == SN_OK) sn_packed_put(m->gemm, out, first + i, n, x);
		else
#pragma omp atomic write
			status = s;
	}
	sn_free(ctx, rows);
	return status;
}

/* Packs parts below one another as one matrix; nothing where the model lacks the first of them. */
static sn_status pack(sn_ctx *ctx, sn_model *m, stack s, int l, sn_affine *out)
{
	int64_t row = 0;
	if (!sn_has(&m->shape, s.part[0]) || out->w) return SN_OK;
	SN_TRY(read_biases(ctx, m, &s, l, &out->bias));
	sn_packed *w;
	SN_TRY(sn_packed_make(&w, m->gemm, stack_rows(m, &s), sn_part_columns(&m->shape, s.part[0])));
	sn_status status = SN_OK;
	for (int i = 0; i < s.n && status == SN_OK; i++) {
		int64_t n = sn_part_rows(&m->shape, s.part[i]);
		status = pack_part(ctx, m, s.part[i], l, 0, n, w, row);
		row += n;
	}
	if (status == SN_OK) out->w = w;
	else sn_packed_free(m->gemm, w);
	return status;
}

/* ---- DeBERTa's relative embeddings, through a block's queries and keys ---- */

static sn_status relate(sn_ctx *ctx, sn_model *m, sn_part own, sn_part shared, int l, float **out)
{
	const sn_shape *s = &m->shape;
	sn_part part = sn_has(s, own) ? own : shared, bias = (sn_part)(part + 1);
	int64_t rows = 2 * s->rel_span, n = (int64_t)s->n_head * s->d_head;
	if (!*out) SN_NEW(*out, m->arena, float, rows * n);
	for (int64_t i = 0; i < rows && sn_has(s, bias); i++) {
		if (i) memcpy(*out + i * n, *out, (size_t)n * sizeof **out);
		else SN_TRY(sn_model_read(ctx, m, bias, l, 0, n, *out));
	}
	float *w = sn_alloc_raw(ctx, sn_size3((size_t)n, (size_t)s->d_model, sizeof *w));
	sn_status status = w ? sn_model_read(ctx, m, part, l, 0, n, w) : SN_ENOMEM;
	if (status == SN_OK)
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, (int)n, (int)s->d_model, 1, m->relative,
		            (int)s->d_model, w, (int)s->d_model, sn_has(s, bias) ? 1 : 0, *out, (int)n);
	sn_free(ctx, w);
	return status;
}

static sn_status need_relative(sn_ctx *ctx, sn_model *m)
{
	const sn_shape *s = &m->shape;
	int64_t d = s->d_model, rows = 2 * s->rel_span;
	sn_norm norm = { 0 };
	if (s->form.position != SN_POSITION_DISENTANGLED) return SN_OK;
	SN_NEW(m->relative, m->arena, float, rows * d);
	SN_TRY(sn_model_read(ctx, m, SN_PART_REL_EMBED, 0, 0, rows, m->relative));
	SN_TRY(read_norm(ctx, m, SN_PART_REL_NORM, SN_PART_REL_NORM_B, 0, &norm));
	for (int64_t i = 0; i < rows && norm.weight; i++) {
		float *x = m->relative + i * d, mean, scale = m->kernels->layer_scale(x, d, s->norm_eps, &mean);
		m->kernels->standardise(x, x, mean, scale, d);
		m->kernels->multiply(x, x, norm.weight, d);
		if (norm.bias) m->kernels->add(x, norm.bias, d);
	}
	return SN_OK;
}

/* ---- blocks ---- */

static const stack qkv = { { SN_PART_Q, SN_PART_K, SN_PART_V }, 3 }, o = { { SN_PART_O }, 1 },
	cross_q = { { SN_PART_CROSS_Q }, 1 }, cross_kv = { { SN_PART_CROSS_K, SN_PART_CROSS_V }, 2 },
	cross_o = { { SN_PART_CROSS_O }, 1 }, gate_up = { { SN_PART_GATE, SN_PART_UP }, 2 }, up = { { SN_PART_UP }, 1 },
	down = { { SN_PART_DOWN }, 1 };

static sn_status read_norms(sn_ctx *ctx, sn_model *m, int l, sn_layer *y)
{
	if (l > 0 || !m->shape.form.first_attn_bare)
		SN_TRY(read_norm(ctx, m, SN_PART_ATTN_NORM, SN_PART_ATTN_NORM_B, l, &y->attn_norm));
	SN_TRY(read_norm(ctx, m, SN_PART_ATTN_POST_NORM, SN_PART_NONE, l, &y->attn_post_norm));
	SN_TRY(read_norm(ctx, m, SN_PART_CROSS_NORM, SN_PART_CROSS_NORM_B, l, &y->cross_norm));
	SN_TRY(read_norm(ctx, m, SN_PART_MLP_NORM, SN_PART_MLP_NORM_B, l, &y->mlp_norm));
	SN_TRY(read_norm(ctx, m, SN_PART_MLP_POST_NORM, SN_PART_NONE, l, &y->mlp_post_norm));
	SN_TRY(read_head_norm(ctx, m, SN_PART_Q_NORM, m->shape.n_head, l, &y->q_norm));
	return read_head_norm(ctx, m, SN_PART_K_NORM, m->shape.n_kv_head, l, &y->k_norm);
}

sn_status sn_model_need_layer(sn_ctx *ctx, sn_model *m, int l)
{
	sn_layer *y = sn_layer_of(m, l);
	if (y->ready) return SN_OK;
	SN_TRY(read_norms(ctx, m, l, y));
	SN_TRY(pack(ctx, m, qkv, l, &y->qkv));
	SN_TRY(pack(ctx, m, o, l, &y->o));
	SN_TRY(pack(ctx, m, cross_q, l, &y->cross_q));
	SN_TRY(pack(ctx, m, cross_kv, l, &y->cross_kv));
	SN_TRY(pack(ctx, m, cross_o, l, &y->cross_o));
	SN_TRY(pack(ctx, m, m->shape.form.gated ? gate_up : up, l, &y->first));
	SN_TRY(pack(ctx, m, down, l, &y->down));
	if (m->relative && m->shape.form.p2c) SN_TRY(relate(ctx, m, SN_PART_REL_Q, SN_PART_Q, l, &y->rel_q));
	if (m->relative && m->shape.form.c2p) SN_TRY(relate(ctx, m, SN_PART_REL_K, SN_PART_K, l, &y->rel_k));
	y->ready = true;
	return SN_OK;
}

/* ---- outside the blocks ---- */

sn_status sn_model_need_ends(sn_ctx *ctx, sn_model *m)
{
	SN_TRY(read_norm(ctx, m, SN_PART_EMBED_NORM, SN_PART_EMBED_NORM_B, 0, &m->embed_norm));
	SN_TRY(read_norm(ctx, m, SN_PART_FINAL_NORM, SN_PART_FINAL_NORM_B, 0, &m->final_norm));
	SN_TRY(read_norm(ctx, m, SN_PART_HEAD_NORM, SN_PART_HEAD_NORM_B, 0, &m->head_norm));
	SN_TRY(read_vector(ctx, m, SN_PART_UNEMBED_B, 0, &m->unembed_bias));
	SN_TRY(need_relative(ctx, m));
	SN_TRY(pack(ctx, m, (stack){ { SN_PART_PROJECT }, 1 }, 0, &m->project));
	return pack(ctx, m, (stack){ { SN_PART_HEAD }, 1 }, 0, &m->head);
}

static sn_status pack_chunk(sn_ctx *ctx, sn_model *m, int i)
{
	int64_t row0 = (int64_t)i * SN_UNEMBED_CHUNK, n = SN_MIN((int64_t)SN_UNEMBED_CHUNK, m->shape.n_logit - row0);
	sn_packed *w;
	SN_TRY(sn_packed_make(&w, m->gemm, n, m->shape.d_head_out));
	sn_status status = pack_part(ctx, m, sn_unembed_part(m), 0, row0, n, w, 0);
	if (status == SN_OK) m->unembed[i] = w;
	else sn_packed_free(m->gemm, w);
	return status;
}

sn_status sn_model_need_unembed(sn_ctx *ctx, sn_model *m)
{
	if (!m->unembed) SN_NEW(m->unembed, m->arena, sn_packed *, m->n_chunk);
	for (int i = 0; i < m->n_chunk; i++)
		if (!m->unembed[i]) SN_TRY(pack_chunk(ctx, m, i));
	return SN_OK;
}

void sn_model_unpack(sn_model *m)
{
	sn_model_unpack_back(m);
	for (int l = 0; m->layer && l < sn_groups(&m->shape); l++) {
		sn_affine *const all[] = { &m->layer[l].qkv, &m->layer[l].o, &m->layer[l].cross_q, &m->layer[l].cross_kv,
		                           &m->layer[l].cross_o, &m->layer[l].first, &m->layer[l].down };
		for (int i = 0; i < SN_COUNT(all); i++) sn_packed_free(m->gemm, all[i]->w);
	}
	sn_packed_free(m->gemm, m->project.w);
	sn_packed_free(m->gemm, m->head.w);
	for (int i = 0; m->unembed && i < m->n_chunk; i++) sn_packed_free(m->gemm, m->unembed[i]);
}
