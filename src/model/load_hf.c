/* Hugging Face folders: config.json, safetensors or PyTorch weights, tokenizer.json. */
#define _GNU_SOURCE
#include "io/json.h"
#include "io/tensor_file.h"
#include "model/load.h"
#include "model/model.h"
#include "text/tokenizer.h"

#include <string.h>

typedef struct hf_source {
	sn_tensor_file *file;
	sn_arena *arena;
	sn_json *config;
	const sn_stored **part;   /* [n_layer][SN_PART_COUNT] */
} hf_source;

static void source_close(sn_ctx *ctx, void *arg)
{
	hf_source *s = arg;
	sn_tensor_file_close(s->file);
	sn_json_close(s->config);
	sn_arena_close(s->arena);
	sn_free(ctx, s);
}

static sn_status source_read(sn_ctx *ctx, void *arg, sn_part part, int layer, int64_t row0, int64_t n_row, float *out)
{
	const hf_source *s = arg;
	const sn_stored *t = s->part[layer * SN_PART_COUNT + (int)part];
	(void)ctx;
	sn_stored_rows(t, row0, n_row, out);
	return SN_OK;
}

/* ---- the shape ---- */

static sn_status small(const sn_json *doc, const char *key, int64_t missing, int64_t max, int *out)
{
	int64_t value;
	SN_TRY(missing > 0 ? sn_json_i64_or(doc, doc->root, key, missing, &value)
	       : sn_json_i64(doc, doc->root, key, &value));
	if (value < 1 || value > max)
		return sn_json_fail(doc, doc->root, key, SN_ESHAPE, "%lld; expected 1 to %lld", (long long)value,
		                    (long long)max);
	*out = (int)value;
	return SN_OK;
}

/* Old files have rope_theta at the top; new ones rope_parameters. Scaling would change every number in silence. */
static sn_status read_rope(const sn_json *doc, double *base)
{
	json_t *rope, *scaling;
	const char *type;
	SN_TRY(sn_json_object_or(doc, doc->root, "rope_parameters", &rope));
	SN_TRY(sn_json_object_or(doc, doc->root, "rope_scaling", &scaling));
	SN_TRY(sn_json_f64_or(doc, doc->root, "rope_theta", 10000, base));
	if (rope) SN_TRY(sn_json_f64_or(doc, rope, "rope_theta", *base, base));
	if (!scaling) scaling = rope;
	if (!scaling) return SN_OK;
	SN_TRY(sn_json_string_or(doc, scaling, "rope_type", "default", &type));
	if (strcmp(type, "default") == 0 && !json_object_get(scaling, "factor")) return SN_OK;
	return sn_json_fail(doc, scaling, NULL, SN_EUNKNOWN,
	                    "rotary scaling \"%s\" is not among the known position schemes (default)", type);
}

/* Switches that the row llama does not have. */
static sn_status refuse_unknown(const sn_json *doc)
{
	bool attention_bias, mlp_bias;
	const char *activation;
	SN_TRY(sn_json_bool_or(doc, doc->root, "attention_bias", false, &attention_bias));
	SN_TRY(sn_json_bool_or(doc, doc->root, "mlp_bias", false, &mlp_bias));
	SN_TRY(sn_json_string_or(doc, doc->root, "hidden_act", "silu", &activation));
	if (attention_bias || mlp_bias)
		return sn_json_fail(doc, doc->root, attention_bias ? "attention_bias" : "mlp_bias", SN_EUNKNOWN,
		                    "biases are not known for this architecture");
	if (strcmp(activation, "silu") != 0)
		return sn_json_fail(doc, doc->root, "hidden_act", SN_EUNKNOWN, "\"%s\"; known: silu", activation);
	return SN_OK;
}

static sn_status read_shape(sn_ctx *ctx, const sn_json *doc, sn_shape *s)
{
	const char *type;
	int d_model = 0;
	SN_TRY(sn_json_string(doc, doc->root, "model_type", &type));
	SN_TRY(sn_arch_find_hf(ctx, doc->source, type, &s->arch));
	SN_TRY(refuse_unknown(doc));
	SN_TRY(small(doc, "num_hidden_layers", 0, 4096, &s->n_layer));
	SN_TRY(small(doc, "num_attention_heads", 0, 4096, &s->n_head));
	SN_TRY(small(doc, "num_key_value_heads", s->n_head, s->n_head, &s->n_kv_head));
	SN_TRY(small(doc, "hidden_size", 0, 1 << 20, &d_model));
	SN_TRY(small(doc, "head_dim", SN_MAX(1, d_model / s->n_head), 8192, &s->d_head));
	s->d_model = d_model;
	SN_TRY(sn_json_i64(doc, doc->root, "intermediate_size", &s->d_mlp));
	SN_TRY(sn_json_i64(doc, doc->root, "vocab_size", &s->d_vocab));
	SN_TRY(sn_json_i64_or(doc, doc->root, "max_position_embeddings", 2048, &s->n_ctx));
	SN_TRY(sn_json_f64_or(doc, doc->root, "rms_norm_eps", 1e-6, &s->norm_eps));
	SN_TRY(sn_json_bool_or(doc, doc->root, "tie_word_embeddings", false, &s->tied));
	return read_rope(doc, &s->rope_base);
}

/* ---- tensors ---- */

static sn_status find_part(sn_ctx *ctx, void *arg, const sn_shape *s, sn_part part, int layer, const char *name)
{
	hf_source *src = arg;
	const sn_stored *t = sn_tensor_file_find(src->file, name);
	const char *path = sn_tensor_file_path(src->file);
	int64_t rows = sn_part_rows(s, part), columns = sn_part_columns(s, part);
	if (!t)
		return sn_fail(ctx, SN_ENOTFOUND, "%s: tensor %s is missing; the file is incomplete or not a %s", path, name,
		               s->arch->model_type);
	if (t->ndim != (columns == 1 ? 1 : 2) || t->dim[0] != rows || (t->ndim == 2 && t->dim[1] != columns))
		return sn_fail(ctx, SN_ESHAPE, "%s: tensor %s has %lld numbers in %d dimensions; expected [%lld, %lld]", path,
		               name, (long long)t->count, t->ndim, (long long)rows, (long long)columns);
	if (!t->type->to_f32)
		return sn_fail(ctx, SN_EUNKNOWN, "%s: tensor %s has type %s, which cannot be read", path, name,
		               t->type->name);
	src->part[layer * SN_PART_COUNT + (int)part] = t;
	return SN_OK;
}

static sn_status find_parts(sn_ctx *ctx, hf_source *src, const sn_shape *s)
{
	SN_NEW(src->part, src->arena, const sn_stored *, (int64_t)s->n_layer * SN_PART_COUNT);
	return sn_load_parts(ctx, s, s->arch->hf, find_part, src);
}

/* ---- opening ---- */

static char *path_in(sn_arena *arena, const char *folder, const char *name)
{
	return sn_arena_format(arena, "%s/%s", folder, name);
}

static sn_status describe(hf_source *src, const sn_shape *s, const char *folder, sn_model_info *info)
{
	const sn_json *doc = src->config;
	int64_t bos, eos = -1;
	*info = (sn_model_info){ .path = sn_tensor_file_path(src->file), .architecture = s->arch->model_type,
	                         .format = "Hugging Face folder" };
	const char *slash = strrchr(folder, '/');
	SN_TRY(sn_json_string_or(doc, doc->root, "_name_or_path", "", &info->name));
	if (!info->name[0]) info->name = slash && slash[1] ? slash + 1 : folder;
	info->quantisation = src->part[SN_PART_Q]->type->name;
	SN_TRY(sn_json_i64_or(doc, doc->root, "bos_token_id", -1, &bos));
	if (json_is_integer(json_object_get(doc->root, "eos_token_id")))
		SN_TRY(sn_json_i64(doc, doc->root, "eos_token_id", &eos));
	info->bos = (int32_t)bos;
	info->eos = (int32_t)eos;
	info->file_bytes = (int64_t)sn_tensor_file_size(src->file);
	return SN_OK;
}

static sn_status open_tokenizer(sn_ctx *ctx, const char *folder, sn_model_info *info, sn_tokenizer **tokenizer)
{
	sn_status status = sn_tokenizer_open_folder(tokenizer, ctx, folder);
	if (status == SN_ENOTFOUND && !*tokenizer) return SN_OK;
	if (status != SN_OK) return status;
	int n;
	const int32_t *before = sn_tokenizer_added(*tokenizer, false, &n);
	info->tokenizer = sn_tokenizer_kind(*tokenizer);
	info->add_bos = n > 0 && before[0] == info->bos;
	return SN_OK;
}

static sn_status prepare(sn_ctx *ctx, hf_source *src, const char *folder, sn_shape *shape, sn_model_info *info,
                         sn_tokenizer **tokenizer)
{
	SN_TRY(sn_arena_open(&src->arena, ctx));
	char *config = path_in(src->arena, folder, "config.json");
	if (!config) return SN_ENOMEM;
	SN_TRY(sn_json_load(&src->config, ctx, config, 0));
	SN_TRY(read_shape(ctx, src->config, shape));
	SN_TRY(sn_tensor_file_open_folder(&src->file, ctx, folder));
	SN_TRY(find_parts(ctx, src, shape));
	SN_TRY(describe(src, shape, folder, info));
	return open_tokenizer(ctx, folder, info, tokenizer);
}

sn_status sn_load_hf(sn_model **out, sn_ctx *ctx, const char *folder)
{
	sn_shape shape = { 0 };
	sn_model_info info;
	sn_tokenizer *tokenizer = NULL;
	hf_source *src = sn_alloc(ctx, sizeof *src);
	if (!src) return SN_ENOMEM;
	sn_status status = prepare(ctx, src, folder, &shape, &info, &tokenizer);
	if (status == SN_OK) {
		sn_source source = { src, source_read, source_close };
		return sn_model_make(out, ctx, &shape, &source, tokenizer, &info);
	}
	sn_tokenizer_close(tokenizer);
	source_close(ctx, src);
	return status;
}
