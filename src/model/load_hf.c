/* Hugging Face folders: config.json, safetensors or PyTorch weights, tokenizer.json. */
#define _GNU_SOURCE
#include "io/json.h"
#include "io/tensor_file.h"
#include "model/config.h"
#include "model/load.h"
#include "model/model.h"
#include "text/tokenizer.h"

#include <string.h>
#include <unistd.h>

/* What is open while a folder is loaded. */
typedef struct folder {
	const char *path;
	sn_weights *weights;
	sn_json *config;
	sn_json text;              /* the part of the config that is about text: all of it, or text_config */
	sn_tokenizer *tokenizer;
	sn_model_info info;
} folder;

/* ---- weights ---- */

static bool find_tensor(const void *file, const char *name, sn_file_tensor *out)
{
	const sn_stored *t = sn_tensor_file_find(file, name);
	if (!t) return false;
	*out = (sn_file_tensor){ .data = t->data, .to_f32 = t->type->to_f32, .type = t->type->name, .block = 1,
	                         .block_bytes = (int)t->type->bytes, .ndim = t->ndim };
	memcpy(out->dim, t->dim, sizeof out->dim);
	memcpy(out->stride, t->stride, sizeof out->stride);
	return true;
}

static void close_tensors(void *file) { sn_tensor_file_close(file); }

static sn_status open_weights(sn_ctx *ctx, folder *f)
{
	sn_tensor_file *file;
	SN_TRY(sn_tensor_file_open_folder(&file, ctx, f->path));
	f->weights->file = file;
	f->weights->close = close_tensors;
	f->weights->find = find_tensor;
	f->weights->path = sn_tensor_file_path(file);
	f->weights->n_tensor = sn_tensor_file_count(file);
	f->weights->hugging_face = true;
	return SN_OK;
}

/* ---- config.json ---- */

static char *path_in(const folder *f, const char *name)
{
	return sn_arena_format(f->weights->arena, "%s/%s", f->path, name);
}

/* Models of text and images keep what is about text in an object of its own. */
static sn_status find_text(folder *f)
{
	json_t *text;
	f->text = *f->config;
	SN_TRY(sn_json_object_or(f->config, f->config->root, "text_config", &text));
	if (!text) return SN_OK;
	if (json_is_object(json_object_get(f->config->root, "quantization_config")))
		return sn_json_fail(f->config, f->config->root, "quantization_config", SN_EUNKNOWN,
		                    "quantised weights of this kind are not known; use a GGUF file or the original weights");
	f->text.root = text;
	f->text.source = sn_arena_format(f->weights->arena, "%s: text_config", f->config->source);
	return f->text.source ? SN_OK : SN_ENOMEM;
}

/* A model saved without its head (BertModel, Qwen3Model) says so by its class. */
static bool has_no_head(const sn_json *config)
{
	static const char *const heads[] = { "LMHead", "ForCausalLM", "ForConditionalGeneration", "ForMaskedLM", "MTModel",
	                                     "ForPreTraining" };
	const char *name = json_string_value(json_array_get(json_object_get(config->root, "architectures"), 0));
	for (int i = 0; name && i < SN_COUNT(heads); i++)
		if (strstr(name, heads[i])) return false;
	return name != NULL;
}

static sn_status choose_row(sn_ctx *ctx, folder *f, const sn_arch **out)
{
	const char *type;
	SN_TRY(sn_json_string(f->config, f->config->root, "model_type", &type));
	SN_TRY(sn_arch_find_hf(ctx, f->config->source, type, out));
	const sn_arch *other = (*out)->otherwise;
	if (other && !sn_weights_has_head(f->weights, *out) && sn_weights_has_head(f->weights, other)) *out = other;
	return SN_OK;
}

static sn_status read_stack(sn_ctx *ctx, folder *f, int i, const sn_arch *arch)
{
	sn_shape *s = &f->weights->shape[i];
	s->arch = arch;
	SN_TRY(sn_config_shape(ctx, &f->text, f->weights->arena, s));
	return sn_weights_place(ctx, f->weights, i);
}

static sn_status read_model(sn_ctx *ctx, folder *f)
{
	const sn_arch *arch;
	char *config = path_in(f, "config.json");
	if (!config) return SN_ENOMEM;
	SN_TRY(sn_json_load(&f->config, ctx, config, 0));
	SN_TRY(find_text(f));
	SN_TRY(open_weights(ctx, f));
	SN_TRY(choose_row(ctx, f, &arch));
	f->weights->headless = has_no_head(f->config);
	SN_TRY(read_stack(ctx, f, 0, arch));
	return arch->encoder ? read_stack(ctx, f, 1, arch->encoder) : SN_OK;
}

/* ---- what is told about the model ---- */

/* Stands in config.json, or, since transformers 5, in generation_config.json. */
static sn_status read_decoder_start(sn_ctx *ctx, folder *f)
{
	int64_t start;
	char *path = path_in(f, "generation_config.json");
	if (!path) return SN_ENOMEM;
	SN_TRY(sn_json_i64_or(f->config, f->config->root, "decoder_start_token_id", -1, &start));
	if (start < 0 && f->weights->shape[0].form.cross && access(path, R_OK) == 0) {
		sn_json *generation;
		SN_TRY(sn_json_load(&generation, ctx, path, 0));
		sn_status status = sn_json_i64_or(generation, generation->root, "decoder_start_token_id", -1, &start);
		sn_json_close(generation);
		SN_TRY(status);
	}
	f->info.decoder_start = start >= 0 && start < f->weights->shape[0].d_vocab ? (int32_t)start : -1;
	return SN_OK;
}

static sn_status describe(sn_ctx *ctx, folder *f)
{
	const sn_json *doc = f->config;
	const sn_tensor_file *file = f->weights->file;
	int64_t bos, eos = -1;
	f->info = (sn_model_info){ .path = f->weights->path, .architecture = f->weights->shape[0].arch->model_type };
	f->info.format = sn_arena_format(f->weights->arena, "Hugging Face folder (%s)", sn_tensor_file_format(file));
	const char *slash = strrchr(f->path, '/');
	SN_TRY(sn_json_string_or(doc, doc->root, "_name_or_path", "", &f->info.name));
	if (!f->info.name[0]) f->info.name = slash && slash[1] ? slash + 1 : f->path;
	f->info.quantisation = sn_weights_tensor(f->weights, SN_PART_Q, 0)->type;
	SN_TRY(sn_json_i64_or(doc, doc->root, "bos_token_id", -1, &bos));
	if (json_is_integer(json_object_get(doc->root, "eos_token_id")))
		SN_TRY(sn_json_i64(doc, doc->root, "eos_token_id", &eos));
	f->info.bos = (int32_t)bos;
	f->info.eos = (int32_t)eos;
	f->info.mask = -1;
	SN_TRY(read_decoder_start(ctx, f));
	f->info.file_bytes = (int64_t)sn_tensor_file_size(file);
	return f->info.format ? SN_OK : SN_ENOMEM;
}

static sn_status open_tokenizer(sn_ctx *ctx, folder *f)
{
	sn_status status = sn_tokenizer_open_folder(&f->tokenizer, ctx, f->path);
	if (status == SN_ENOTFOUND && !f->tokenizer) return SN_OK;
	if (status != SN_OK) return status;
	int n;
	const int32_t *before = sn_tokenizer_added(f->tokenizer, false, &n);
	f->info.tokenizer = sn_tokenizer_kind(f->tokenizer);
	f->info.add_bos = n > 0 && before[0] == f->info.bos;
	return SN_OK;
}

/* ---- opening ---- */

static sn_status prepare(sn_ctx *ctx, folder *f)
{
	SN_TRY(sn_weights_open(&f->weights, ctx));
	SN_TRY(read_model(ctx, f));
	SN_TRY(describe(ctx, f));
	return open_tokenizer(ctx, f);
}

sn_status sn_load_hf(sn_model **out, sn_ctx *ctx, const char *path)
{
	folder f = { .path = path };
	*out = NULL;
	sn_status status = prepare(ctx, &f);
	if (status == SN_OK) {
		status = sn_weights_model(out, ctx, f.weights, f.tokenizer, &f.info);
	} else {
		sn_tokenizer_close(f.tokenizer);
		sn_weights_close(f.weights);
	}
	sn_json_close(f.config);
	return status;
}
