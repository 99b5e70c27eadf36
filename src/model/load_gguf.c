/* GGUF models: the shape from `<architecture>.*` keys, weights dequantised row by row from the mapping. */
#include "io/gguf.h"
#include "model/load.h"
#include "model/model.h"
#include "text/tokenizer.h"

#include <string.h>

typedef struct gguf_source {
	sn_gguf *file;
	sn_arena *arena;
	const sn_gguf_tensor **part;   /* [n_layer][SN_PART_COUNT] */
	bool interleaved;
	int d_head;
} gguf_source;

static void source_close(sn_ctx *ctx, void *arg)
{
	gguf_source *s = arg;
	sn_gguf_close(s->file);
	sn_arena_close(s->arena);
	sn_free(ctx, s);
}

/* Row of the file that holds row i of a Q or K in half-split order: pairs (j, j + d/2) stand at (2j, 2j + 1). */
static int64_t interleaved_row(int64_t i, int64_t d)
{
	int64_t head = i / d, j = i % d, half = d / 2;
	return head * d + (j < half ? 2 * j : 2 * (j - half) + 1);
}

static sn_status source_read(sn_ctx *ctx, void *arg, sn_part part, int layer, int64_t row0, int64_t n_row, float *out)
{
	const gguf_source *s = arg;
	const sn_gguf_tensor *t = s->part[layer * SN_PART_COUNT + (int)part];
	int64_t columns = t->ndim > 1 ? t->dim[0] : 1;
	size_t row_bytes = (size_t)(columns / t->type->block) * (size_t)t->type->bytes;
	(void)ctx;
	if (!s->interleaved || (part != SN_PART_Q && part != SN_PART_K)) {
		t->type->to_f32(t->data + (size_t)row0 * row_bytes, out, n_row * columns);
		return SN_OK;
	}
	for (int64_t i = 0; i < n_row; i++)
		t->type->to_f32(t->data + (size_t)interleaved_row(row0 + i, s->d_head) * row_bytes, out + i * columns, columns);
	return SN_OK;
}

/* ---- the shape ---- */

static sn_status read_number(const sn_gguf *f, const sn_arch *arch, const char *key, int64_t missing, int64_t *out)
{
	char full[128];
	sn_format(full, sizeof full, "%s.%s", arch->gguf_name, key);
	return missing < 0 ? sn_gguf_i64(f, full, out) : sn_gguf_i64_or(f, full, missing, out);
}

static sn_status read_real(const sn_gguf *f, const sn_arch *arch, const char *key, double missing, double *out)
{
	char full[128];
	sn_format(full, sizeof full, "%s.%s", arch->gguf_name, key);
	return sn_gguf_f64_or(f, full, missing, out);
}

static sn_status read_shape(sn_ctx *ctx, const sn_gguf *f, const sn_arch *arch, sn_shape *s)
{
	int64_t layers, heads, kv, d_head;
	SN_TRY(read_number(f, arch, "block_count", -1, &layers));
	SN_TRY(read_number(f, arch, "attention.head_count", -1, &heads));
	SN_TRY(read_number(f, arch, "attention.head_count_kv", heads, &kv));
	SN_TRY(read_number(f, arch, "embedding_length", -1, &s->d_model));
	SN_TRY(read_number(f, arch, "feed_forward_length", -1, &s->d_mlp));
	SN_TRY(read_number(f, arch, "context_length", -1, &s->n_ctx));
	SN_TRY(read_number(f, arch, "attention.key_length", heads > 0 ? s->d_model / heads : 0, &d_head));
	SN_TRY(read_real(f, arch, "attention.layer_norm_rms_epsilon", 1e-5, &s->norm_eps));
	SN_TRY(read_real(f, arch, "rope.freq_base", 10000, &s->rope_base));
	int64_t rotated;
	SN_TRY(read_number(f, arch, "rope.dimension_count", d_head, &rotated));
	if (layers < 1 || layers > 4096 || heads < 1 || heads > 4096 || kv < 1 || kv > heads || d_head < 1 || d_head > 8192)
		return sn_fail(ctx, SN_ESHAPE, "%s: %lld blocks of %lld heads (%lld key/value) of size %lld are out of range",
		               sn_gguf_path(f), (long long)layers, (long long)heads, (long long)kv, (long long)d_head);
	if (rotated != d_head)
		return sn_fail(ctx, SN_EUNKNOWN, "%s: %s.rope.dimension_count is %lld; expected the head size %lld",
		               sn_gguf_path(f), arch->gguf_name, (long long)rotated, (long long)d_head);
	s->n_layer = (int)layers;
	s->n_head = (int)heads;
	s->n_kv_head = (int)kv;
	s->d_head = (int)d_head;
	return SN_OK;
}

/* Rotary scaling would change every number in silence. */
static sn_status refuse_scaling(sn_ctx *ctx, const sn_gguf *f, const sn_arch *arch)
{
	char key[128];
	sn_format(key, sizeof key, "%s.rope.scaling.type", arch->gguf_name);
	if (sn_gguf_has(f, key) || sn_gguf_tensor_find(f, "rope_freqs.weight"))
		return sn_fail(ctx, SN_EUNKNOWN, "%s: rotary scaling (%s) is not among the known position schemes",
		               sn_gguf_path(f), key);
	return SN_OK;
}

/* ---- tensors ---- */

static sn_status check_tensor(sn_ctx *ctx, const sn_gguf *f, const sn_gguf_tensor *t, int64_t rows, int64_t columns)
{
	bool vector = columns == 1;
	int64_t found_rows = vector ? t->dim[0] : t->dim[1], found_columns = vector ? t->dim[1] : t->dim[0];
	if (t->ndim > 2 || found_rows != rows || found_columns != columns)
		return sn_fail(ctx, SN_ESHAPE, "%s: tensor %s is [%lld, %lld]; expected [%lld, %lld]", sn_gguf_path(f), t->name,
		               (long long)t->dim[0], (long long)t->dim[1], (long long)(vector ? rows : columns),
		               (long long)(vector ? columns : rows));
	if (!t->type->to_f32)
		return sn_fail(ctx, SN_EUNKNOWN, "%s: tensor %s has type %s, which cannot be read", sn_gguf_path(f), t->name,
		               t->type->name);
	return SN_OK;
}

static sn_status find_part(sn_ctx *ctx, void *arg, const sn_shape *s, sn_part part, int layer, const char *name)
{
	gguf_source *src = arg;
	const sn_gguf_tensor *t = sn_gguf_tensor_find(src->file, name);
	if (!t)
		return sn_fail(ctx, SN_ENOTFOUND, "%s: tensor %s is missing; the file is incomplete or not a %s",
		               sn_gguf_path(src->file), name, s->arch->gguf_name);
	src->part[layer * SN_PART_COUNT + (int)part] = t;
	return check_tensor(ctx, src->file, t, sn_part_rows(s, part), sn_part_columns(s, part));
}

/* The vocabulary's size and whether the unembedding is tied stand in the tensors alone. */
static sn_status find_parts(sn_ctx *ctx, gguf_source *src, sn_shape *s)
{
	const sn_gguf_tensor *embed = sn_gguf_tensor_find(src->file, s->arch->gguf[SN_PART_EMBED]);
	if (!embed || embed->ndim != 2)
		return sn_fail(ctx, SN_ENOTFOUND, "%s: tensor %s is missing", sn_gguf_path(src->file),
		               s->arch->gguf[SN_PART_EMBED]);
	s->d_vocab = embed->dim[1];
	s->tied = !sn_gguf_tensor_find(src->file, s->arch->gguf[SN_PART_UNEMBED]);
	SN_NEW(src->part, src->arena, const sn_gguf_tensor *, (int64_t)s->n_layer * SN_PART_COUNT);
	return sn_load_parts(ctx, s, s->arch->gguf, find_part, src);
}

/* ---- what is told about the file ---- */

static sn_status optional_text(const sn_gguf *f, const char *key, sn_arena *arena, const char **out)
{
	*out = "";
	return sn_gguf_has(f, key) ? sn_gguf_string(f, key, arena, out) : SN_OK;
}

/* "Q4_1 x 180, Q8_0 x 31, F32 x 61" */
static const char *quantisation(const sn_gguf *f, sn_arena *arena)
{
	sn_buf buf = { .ctx = sn_arena_ctx(arena) };
	const sn_ggml_type *type;
	for (int i = 0; (type = sn_ggml_type_at(i)); i++) {
		int64_t n = 0;
		for (int64_t t = 0; t < sn_gguf_tensor_count(f); t++) n += sn_gguf_tensor_at(f, t)->type == type;
		if (n) sn_buf_format(&buf, "%s%s x %lld", buf.size ? ", " : "", type->name, (long long)n);
	}
	const char *text = buf.failed ? NULL : sn_arena_string(arena, buf.data ? buf.data : "");
	sn_buf_free(&buf);
	return text ? text : "";
}

static sn_status describe(const sn_gguf *f, const sn_arch *arch, sn_arena *arena, sn_model_info *info)
{
	int64_t bos, eos;
	*info = (sn_model_info){ .path = sn_gguf_path(f), .architecture = arch->gguf_name,
	                         .file_bytes = (int64_t)sn_gguf_size(f) };
	info->format = sn_arena_format(arena, "GGUF version %u", sn_gguf_version(f));
	info->quantisation = quantisation(f, arena);
	SN_TRY(optional_text(f, "general.name", arena, &info->name));
	SN_TRY(optional_text(f, "general.license", arena, &info->licence));
	SN_TRY(optional_text(f, "general.finetune", arena, &info->training));
	SN_TRY(sn_gguf_i64_or(f, "tokenizer.ggml.bos_token_id", -1, &bos));
	SN_TRY(sn_gguf_i64_or(f, "tokenizer.ggml.eos_token_id", -1, &eos));
	SN_TRY(sn_gguf_bool_or(f, "tokenizer.ggml.add_bos_token", false, &info->add_bos));
	info->bos = (int32_t)bos;
	info->eos = (int32_t)eos;
	return SN_OK;
}

/* ---- opening ---- */

static sn_status prepare(sn_ctx *ctx, gguf_source *src, sn_shape *shape, sn_model_info *info, sn_tokenizer **tokenizer)
{
	const char *name;
	SN_TRY(sn_arena_open(&src->arena, ctx));
	SN_TRY(sn_gguf_string(src->file, "general.architecture", src->arena, &name));
	SN_TRY(sn_arch_find_gguf(ctx, sn_gguf_path(src->file), name, &shape->arch));
	SN_TRY(read_shape(ctx, src->file, shape->arch, shape));
	SN_TRY(refuse_scaling(ctx, src->file, shape->arch));
	SN_TRY(find_parts(ctx, src, shape));
	src->interleaved = shape->arch->gguf_interleaved;
	src->d_head = shape->d_head;
	SN_TRY(describe(src->file, shape->arch, src->arena, info));
	if (!sn_gguf_has(src->file, "tokenizer.ggml.model")) return SN_OK;
	SN_TRY(sn_tokenizer_open_gguf(tokenizer, ctx, src->file));
	info->tokenizer = sn_tokenizer_kind(*tokenizer);
	if (sn_tokenizer_size(*tokenizer) <= shape->d_vocab) return SN_OK;
	return sn_fail(ctx, SN_ESHAPE, "%s: the tokenizer has %d tokens, the embedding %lld", sn_gguf_path(src->file),
	               sn_tokenizer_size(*tokenizer), (long long)shape->d_vocab);
}

sn_status sn_load_gguf(sn_model **out, sn_ctx *ctx, const char *path)
{
	sn_shape shape = { 0 };
	sn_model_info info;
	sn_tokenizer *tokenizer = NULL;
	gguf_source *src = sn_alloc(ctx, sizeof *src);
	if (!src) return SN_ENOMEM;
	sn_status status = sn_gguf_open(&src->file, ctx, path);
	if (status == SN_OK) status = prepare(ctx, src, &shape, &info, &tokenizer);
	if (status == SN_OK) {
		sn_source source = { src, source_read, source_close };
		return sn_model_make(out, ctx, &shape, &source, tokenizer, &info);
	}
	sn_tokenizer_close(tokenizer);
	source_close(ctx, src);
	return status;
}
