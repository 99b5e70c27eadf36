/* Models: made from a shape and a source of numbers; blocks are packed when first used. */
#include "model/model.h"

#include "io/parts.h"
#include "text/tokenizer.h"

#include <math.h>
#include <string.h>

/* ---- shapes ---- */

static int64_t extent(const sn_shape *s, char letter)
{
	switch (letter) {
	case 'D': return s->d_model;
	case 'Q': return (int64_t)s->n_head * s->d_head;
	case 'K': return (int64_t)s->n_kv_head * s->d_head;
	case 'M': return s->d_mlp;
	case 'V': return s->d_vocab;
	default: return 1;
	}
}

static const struct { bool per_layer; char rows, columns; } parts[SN_PART_COUNT] = {
#define PART_ROW(id, per_layer, rows, columns) [SN_PART_##id] = { per_layer, rows, columns },
	SN_PART_MAP(PART_ROW)
#undef PART_ROW
};

int64_t sn_part_rows(const sn_shape *shape, sn_part part) { return extent(shape, parts[part].rows); }
int64_t sn_part_columns(const sn_shape *shape, sn_part part) { return extent(shape, parts[part].columns); }

static sn_status check_shape(sn_ctx *ctx, const sn_shape *s, const char *where)
{
	const struct { const char *name; int64_t value, max; } rows[] = {
		{ "number of layers", s->n_layer, 4096 }, { "number of heads", s->n_head, 4096 },
		{ "number of key/value heads", s->n_kv_head, 4096 }, { "head size", s->d_head, 8192 },
		{ "model width", s->d_model, 1 << 20 }, { "feed-forward width", s->d_mlp, 1 << 22 },
		{ "vocabulary size", s->d_vocab, 1 << 24 }, { "context length", s->n_ctx, 1 << 30 },
	};
	for (int i = 0; i < SN_COUNT(rows); i++)
		if (rows[i].value < 1 || rows[i].value > rows[i].max)
			return sn_fail(ctx, SN_ESHAPE, "%s: the %s is %lld; expected 1 to %lld", where, rows[i].name,
			               (long long)rows[i].value, (long long)rows[i].max);
	if (s->n_head % s->n_kv_head)
		return sn_fail(ctx, SN_ESHAPE, "%s: %d heads cannot share %d key/value heads evenly", where, s->n_head,
		               s->n_kv_head);
	if (s->d_head % 2)
		return sn_fail(ctx, SN_ESHAPE, "%s: the head size is %d; rotary positions need an even one", where, s->d_head);
	if (!(s->norm_eps >= 0 && s->norm_eps < 1) || !(s->rope_base > 1))
		return sn_fail(ctx, SN_ESHAPE, "%s: norm epsilon %g or rotary base %g is out of range", where, s->norm_eps,
		               s->rope_base);
	return SN_OK;
}

static int64_t count_parameters(const sn_shape *s)
{
	int64_t n = 0;
	for (int part = 1; part < SN_PART_COUNT; part++) {
		if (part == SN_PART_UNEMBED && s->tied) continue;
		n += sn_part_rows(s, (sn_part)part) * sn_part_columns(s, (sn_part)part) * (parts[part].per_layer ? s->n_layer
		                                                                           : 1);
	}
	return n;
}

/* Matrices packed in float32; the embedding stays in the file, and is packed once as unembedding. */
static int64_t packed_bytes(const sn_shape *s)
{
	int64_t n = s->tied ? count_parameters(s) : count_parameters(s) - s->d_vocab * s->d_model;
	return 4 * n;
}

/* ---- making ---- */

static sn_status copy_texts(sn_model *m)
{
	const char **const to[] = { &m->info.path, &m->info.name, &m->info.architecture, &m->info.format,
	                            &m->info.quantisation, &m->info.licence, &m->info.tokenizer, &m->info.training };
	for (int i = 0; i < SN_COUNT(to); i++)
		if (!(*to[i] = sn_arena_string(m->arena, *to[i] ? *to[i] : ""))) return SN_ENOMEM;
	return SN_OK;
}

static sn_status fill_info(sn_model *m, const sn_model_info *from)
{
	const sn_shape *s = &m->shape;
	if (from) m->info = *from;
	else m->info.bos = m->info.eos = -1;
	if (!m->info.architecture) m->info.architecture = s->arch->gguf_name;
	SN_TRY(copy_texts(m));
	m->info.n_layer = s->n_layer;
	m->info.n_head = s->n_head;
	m->info.n_kv_head = s->n_kv_head;
	m->info.d_head = s->d_head;
	m->info.d_model = s->d_model;
	m->info.d_mlp = s->d_mlp;
	m->info.d_vocab = s->d_vocab;
	m->info.n_ctx = s->n_ctx;
	m->info.tied = s->tied;
	m->info.causal = true;
	m->info.n_parameter = count_parameters(s);
	m->info.weight_bytes = packed_bytes(s);
	return SN_OK;
}

static sn_status make(sn_model *m, const sn_model_info *info)
{
	sn_ctx *ctx = m->ctx;
	sn_shape *s = &m->shape;
	if (!s->arch) s->arch = sn_arch_at(0);
	SN_TRY(check_shape(ctx, s, info && info->path ? info->path : "model"));
	SN_TRY(sn_arena_open(&m->arena, ctx));
	SN_TRY(fill_info(m, info));
	SN_TRY(sn_gemm_open(&m->gemm, ctx));
	m->kernels = sn_kernels_get();
	SN_NEW(m->layer, m->arena, sn_layer, s->n_layer);
	SN_NEW(m->final_norm, m->arena, float, s->d_model);
	m->n_chunk = (int)((s->d_vocab + SN_UNEMBED_CHUNK - 1) / SN_UNEMBED_CHUNK);
	return m->source.read(ctx, m->source.arg, SN_PART_FINAL_NORM, 0, 0, s->d_model, m->final_norm);
}

sn_status sn_model_make(sn_model **out, sn_ctx *ctx, const sn_shape *shape, const sn_source *source,
                        sn_tokenizer *tokenizer, const sn_model_info *info)
{
	*out = NULL;
	sn_model *m = sn_alloc(ctx, sizeof *m);
	if (!m) {
		if (source->close) source->close(ctx, source->arg);
		sn_tokenizer_close(tokenizer);
		return SN_ENOMEM;
	}
	m->ctx = ctx;
	m->shape = *shape;
	m->source = *source;
	m->tokenizer = tokenizer;
	sn_status status = make(m, info);
	if (status == SN_OK) *out = m;
	else sn_model_close(m);
	return status;
}

static void close_layers(sn_model *m)
{
	for (int l = 0; m->layer && l < m->shape.n_layer; l++) {
		sn_packed_free(m->gemm, m->layer[l].qkv);
		sn_packed_free(m->gemm, m->layer[l].o);
		sn_packed_free(m->gemm, m->layer[l].gate_up);
		sn_packed_free(m->gemm, m->layer[l].down);
	}
	for (int i = 0; m->unembed && i < m->n_chunk; i++) sn_packed_free(m->gemm, m->unembed[i]);
}

void sn_model_close(sn_model *m)
{
	if (!m) return;
	sn_ctx *ctx = m->ctx;
	close_layers(m);
	sn_gemm_close(m->gemm);
	if (m->source.close) m->source.close(ctx, m->source.arg);
	sn_tokenizer_close(m->tokenizer);
	sn_free(ctx, m->cosine);
	sn_arena_close(m->arena);
	sn_free(ctx, m);
}

const sn_model_info *sn_model_get_info(const sn_model *model) { return &model->info; }
const sn_shape *sn_model_shape(const sn_model *model) { return &model->shape; }
const sn_tokenizer *sn_model_tokenizer(const sn_model *model) { return model->tokenizer; }

sn_status sn_model_hash(sn_ctx *ctx, sn_model *model)
{
	if (model->info.sha256[0] || !model->info.path[0]) return SN_OK;
	return sn_parts_hash(ctx, model->info.path, model->info.sha256);
}

/* ---- packing ---- */

sn_status sn_model_read(sn_ctx *ctx, const sn_model *m, sn_part part, int layer, int64_t row0, int64_t n_row,
                        float *out)
{
	int64_t columns = sn_part_columns(&m->shape, part), piece = SN_MAX(1, 65536 / columns);
	sn_status status = SN_OK;
#pragma omp parallel for num_threads(sn_ctx_threads(ctx)) schedule(dynamic) if (n_row > piece)
	for (int64_t i = 0; i < n_row; i += piece) {
		sn_status s = m->source.read(ctx, m->source.arg, part, layer, row0 + i, SN_MIN(piece, n_row - i),
		                             out + i * columns);
		if (s != SN_OK)
#pragma omp atomic write
			status = s;
	}
	return status;
}

/* Packs parts that read the same input below one another, as one matrix. */
static sn_status pack_stacked(sn_ctx *ctx, sn_model *m, int l, const sn_part *part, int n_part, float *staging,
                              sn_packed **out)
{
	int64_t rows = 0, columns = sn_part_columns(&m->shape, part[0]);
	for (int i = 0; i < n_part; i++) {
		int64_t n = sn_part_rows(&m->shape, part[i]);
		SN_TRY(sn_model_read(ctx, m, part[i], l, 0, n, staging + rows * columns));
		rows += n;
	}
	return sn_gemm_pack(out, m->gemm, staging, rows, columns);
}

static sn_status pack_layer(sn_ctx *ctx, sn_model *m, int l, float *staging)
{
	static const sn_part qkv[] = { SN_PART_Q, SN_PART_K, SN_PART_V }, gate_up[] = { SN_PART_GATE, SN_PART_UP };
	static const sn_part o[] = { SN_PART_O }, down[] = { SN_PART_DOWN };
	sn_layer *y = &m->layer[l];
	if (!y->attn_norm) SN_NEW(y->attn_norm, m->arena, float, m->shape.d_model);
	if (!y->mlp_norm) SN_NEW(y->mlp_norm, m->arena, float, m->shape.d_model);
	SN_TRY(sn_model_read(ctx, m, SN_PART_ATTN_NORM, l, 0, m->shape.d_model, y->attn_norm));
	SN_TRY(sn_model_read(ctx, m, SN_PART_MLP_NORM, l, 0, m->shape.d_model, y->mlp_norm));
	if (!y->qkv) SN_TRY(pack_stacked(ctx, m, l, qkv, 3, staging, &y->qkv));
	if (!y->o) SN_TRY(pack_stacked(ctx, m, l, o, 1, staging, &y->o));
	if (!y->gate_up) SN_TRY(pack_stacked(ctx, m, l, gate_up, 2, staging, &y->gate_up));
	if (!y->down) SN_TRY(pack_stacked(ctx, m, l, down, 1, staging, &y->down));
	y->ready = true;
	return SN_OK;
}

sn_status sn_model_need_layer(sn_ctx *ctx, sn_model *m, int l)
{
	if (m->layer[l].ready) return SN_OK;
	const sn_shape *s = &m->shape;
	int64_t rows = SN_MAX(sn_qkv_width(s), 2 * s->d_mlp), most = SN_MAX(rows * s->d_model,
	                                                                    (int64_t)s->n_head * s->d_head * s->d_model);
	float *staging = sn_alloc_raw(ctx, sn_size3((size_t)most, sizeof *staging, 1));
	if (!staging) return SN_ENOMEM;
	sn_status status = pack_layer(ctx, m, l, staging);
	sn_free(ctx, staging);
	return status;
}

static sn_status pack_unembed(sn_ctx *ctx, sn_model *m, float *staging)
{
	for (int i = 0; i < m->n_chunk; i++) {
		int64_t row0 = (int64_t)i * SN_UNEMBED_CHUNK, n = SN_MIN((int64_t)SN_UNEMBED_CHUNK, m->shape.d_vocab - row0);
		SN_TRY(sn_model_read(ctx, m, sn_unembed_part(m), 0, row0, n, staging));
		if (!m->unembed[i]) SN_TRY(sn_gemm_pack(&m->unembed[i], m->gemm, staging, n, m->shape.d_model));
	}
	return SN_OK;
}

sn_status sn_model_need_unembed(sn_ctx *ctx, sn_model *m)
{
	if (m->unembed && m->unembed[m->n_chunk - 1]) return SN_OK;
	if (!m->unembed) SN_NEW(m->unembed, m->arena, sn_packed *, m->n_chunk);
	float *staging = sn_alloc_raw(ctx, sn_size3(SN_UNEMBED_CHUNK, (size_t)m->shape.d_model, sizeof *staging));
	if (!staging) return SN_ENOMEM;
	sn_status status = pack_unembed(ctx, m, staging);
	sn_free(ctx, staging);
	return status;
}

sn_status sn_model_need_positions(sn_ctx *ctx, sn_model *m, int64_t n)
{
	if (n <= m->n_position) return SN_OK;
	int64_t half = m->shape.d_head / 2, room = SN_MAX(n, 2 * m->n_position);
	float *table = sn_alloc_raw(ctx, sn_size3((size_t)room, (size_t)(2 * half), sizeof *table));
	if (!table) return SN_ENOMEM;
	for (int64_t p = 0; p < room; p++)
		for (int64_t i = 0; i < half; i++) {
			double angle = (double)p * pow(m->shape.rope_base, -2.0 * (double)i / m->shape.d_head);
			table[p * half + i] = (float)cos(angle);
			table[(room + p) * half + i] = (float)sin(angle);
		}
	sn_free(ctx, m->cosine);
	m->cosine = table;
	m->sine = table + room * half;
	m->n_position = room;
	return SN_OK;
}
