/* GGUF models: tensors dequantised row by row from the mapping; the shape is read in gguf_shape.c. */
#include "model/load.h"

#include "io/gguf.h"
#include "model/gguf_shape.h"
#include "model/model.h"
#include "text/tokenizer.h"

#include <string.h>

/* ---- tensors ---- */

static bool find_tensor(const void *file, const char *name, sn_file_tensor *out)
{
	const sn_gguf_tensor *t = sn_gguf_tensor_find(file, name);
	if (!t) return false;
	*out = (sn_file_tensor){ .data = t->data, .to_f32 = t->type->to_f32, .type = t->type->name, .block = t->type->block,
	                         .block_bytes = t->type->bytes, .ndim = t->ndim };
	int64_t stride = 1;
	for (int i = t->ndim; i-- > 0; stride *= out->dim[i]) {   /* GGUF names the fastest dimension first */
		out->dim[i] = t->dim[t->ndim - 1 - i];
		out->stride[i] = stride;
	}
	return true;
}

static void close_file(void *file) { sn_gguf_close(file); }

/* ---- what is told about the file ---- */

static sn_status optional_text(const sn_gguf *f, const char *key, sn_arena *arena, const char **out)
{
	*out = "";
	return sn_gguf_has(f, key) ? sn_gguf_string(f, key, arena, out) : SN_OK;
}

/* "Q4_1 x 180, Q8_0 x 31, F32 x 61" */
static sn_status quantisation(const sn_gguf *f, sn_arena *arena, const char **out)
{
	sn_buf buf = { .ctx = sn_arena_ctx(arena) };
	const sn_ggml_type *type;
	for (int i = 0; (type = sn_ggml_type_at(i)); i++) {
		int64_t n = 0;
		for (int64_t t = 0; t < sn_gguf_tensor_count(f); t++) n += sn_gguf_tensor_at(f, t)->type == type;
		if (n) sn_buf_format(&buf, "%s%s x %lld", buf.size ? ", " : "", type->name, (long long)n);
	}
	*out = buf.failed ? NULL : sn_arena_string(arena, buf.data ? buf.data : "");
	sn_buf_free(&buf);
	return *out ? SN_OK : SN_ENOMEM;
}

static sn_status describe(const sn_gguf *f, const sn_arch *arch, sn_arena *arena, sn_model_info *info)
{
	int64_t bos, eos;
	*info = (sn_model_info){ .path = sn_gguf_path(f), .architecture = arch->gguf_name,
	                         .file_bytes = (int64_t)sn_gguf_size(f) };
	info->format = sn_arena_format(arena, "GGUF version %u", sn_gguf_version(f));
	if (!info->format) return SN_ENOMEM;
	SN_TRY(quantisation(f, arena, &info->quantisation));
	SN_TRY(optional_text(f, "general.name", arena, &info->name));
	SN_TRY(optional_text(f, "general.license", arena, &info->licence));
	SN_TRY(optional_text(f, "general.finetune", arena, &info->training));
	SN_TRY(sn_gguf_i64_or(f, "tokenizer.ggml.bos_token_id", -1, &bos));
	SN_TRY(sn_gguf_i64_or(f, "tokenizer.ggml.eos_token_id", -1, &eos));
	SN_TRY(sn_gguf_bool_or(f, "tokenizer.ggml.add_bos_token", false, &info->add_bos));
	info->bos = (int32_t)bos;
	info->eos = (int32_t)eos;
	info->mask = info->decoder_start = -1;
	return SN_OK;
}

/* ---- opening ---- */

static sn_status open_file(sn_ctx *ctx, sn_weights *weights, const char *path)
{
	sn_gguf *file;
	SN_TRY(sn_gguf_open(&file, ctx, path));
	weights->file = file;
	weights->close = close_file;
	weights->find = find_tensor;
	weights->path = sn_gguf_path(file);
	weights->n_tensor = sn_gguf_tensor_count(file);
	return SN_OK;
}

static sn_status open_tokenizer(sn_ctx *ctx, const sn_weights *weights, sn_model_info *info, sn_tokenizer **tokenizer)
{
	if (!sn_gguf_has(weights->file, "tokenizer.ggml.model")) return SN_OK;
	SN_TRY(sn_tokenizer_open_gguf(tokenizer, ctx, weights->file));
	info->tokenizer = sn_tokenizer_kind(*tokenizer);
	if (sn_tokenizer_size(*tokenizer) <= weights->shape[0].d_vocab) return SN_OK;
	return sn_fail(ctx, SN_ESHAPE, "%s: the tokenizer has %d tokens, the embedding %lld", weights->path,
	               sn_tokenizer_size(*tokenizer), (long long)weights->shape[0].d_vocab);
}

static sn_status prepare(sn_ctx *ctx, sn_weights **weights, const char *path, sn_model_info *info,
						 sn_tokenizer **tokenizer)
{
	const char *name;
	SN_TRY(sn_weights_open(weights, ctx));
	SN_TRY(open_file(ctx, *weights, path));
	sn_shape *shape = &(*weights)->shape[0];
	SN_TRY(sn_gguf_string((*weights)->file, "general.architecture", (*weights)->arena, &name));
	SN_TRY(sn_arch_find_gguf(ctx, (*weights)->path, name, &shape->arch));
	SN_TRY(sn_gguf_shape(ctx, (*weights)->file, (*weights)->arena, shape));
	SN_TRY(sn_weights_place(ctx, *weights, 0));
	SN_TRY(describe((*weights)->file, shape->arch, (*weights)->arena, info));
	return open_tokenizer(ctx, *weights, info, tokenizer);
}

sn_status sn_load_gguf(sn_model **out, sn_ctx *ctx, const char *path)
{
	sn_model_info info;
	sn_weights *weights = NULL;
	sn_tokenizer *tokenizer = NULL;
	*out = NULL;
	sn_status status = prepare(ctx, &weights, path, &info, &tokenizer);
	if (status == SN_OK) return sn_weights_model(out, ctx, weights, tokenizer, &info);
	sn_tokenizer_close(tokenizer);
	sn_weights_close(weights);
	return status;
}
