/* A tokenizer from a Hugging Face folder: tokenizer.json and tokenizer_config.json. */
#include "text/tokenizer_json.h"

#include <string.h>
#include <unistd.h>

enum { LARGEST_FILE = 256 << 20 };

/* ---- stages ---- */

static sn_status unknown_type(const sn_json *doc, const json_t *stage, const char *type, const sn_json_stage *known, int n)
{
	char names[256] = "";
	for (int i = 0, used = 0; i < n; i++)
		used += sn_format(names + used, sizeof names - (size_t)used, "%s%s", i ? ", " : "", known[i].type);
	return sn_json_fail(doc, stage, "type", SN_EUNKNOWN, "'%s'; known: %s", type, names);
}

sn_status sn_read_json_stage(sn_tokenizer *t, const sn_json *doc, const json_t *stage, const sn_json_stage *known, int n)
{
	const char *type;
	if (!stage || json_is_null(stage)) return SN_OK;
	SN_TRY(sn_json_string(doc, stage, "type", &type));
	for (int i = 0; i < n; i++)
		if (strcmp(type, known[i].type) == 0) return known[i].read(t, doc, stage);
	return unknown_type(doc, stage, type, known, n);
}

sn_status sn_read_json_sequence(sn_tokenizer *t, const sn_json *doc, const json_t *stage, const char *key,
                                sn_status (*read)(sn_tokenizer *, const sn_json *, const json_t *))
{
	json_t *list, *item;
	size_t i;
	SN_TRY(sn_json_array(doc, stage, key, &list));
	json_array_foreach(list, i, item) SN_TRY(read(t, doc, item));
	return SN_OK;
}

static sn_status read_normalizer(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	return sn_read_json_stage(t, doc, stage, NULL, 0);
}

/* ---- documents ---- */

static sn_status build(sn_tokenizer *t, const sn_json *doc, const sn_json *config)
{
	if (!json_is_object(doc->root))
		return sn_json_fail(doc, doc->root, NULL, SN_EPARSE, "expected an object, found %s", sn_json_type_name(doc->root));
	SN_TRY(read_normalizer(t, doc, json_object_get(doc->root, "normalizer")));
	SN_TRY(sn_read_pre_tokenizer(t, doc, json_object_get(doc->root, "pre_tokenizer")));
	SN_TRY(sn_read_json_model(t, doc));
	SN_TRY(sn_read_post_processor(t, doc, json_object_get(doc->root, "post_processor")));
	if (config) SN_TRY(sn_read_tokenizer_config(t, config));
	t->kind = sn_arena_format(t->arena, "%sBPE, %d tokens, %d pre-tokenizer stages", t->bpe.byte_level ? "byte-level " : "",
	                          t->vocab.n, t->n_stage);
	return t->kind ? SN_OK : SN_ENOMEM;
}

static sn_status open_docs(sn_tokenizer **out, sn_ctx *ctx, const sn_json *doc, const sn_json *config)
{
	SN_TRY(sn_tokenizer_new(out, ctx, doc->source));
	sn_status status = build(*out, doc, config);
	if (status == SN_OK) return SN_OK;
	sn_tokenizer_close(*out);
	*out = NULL;
	return status;
}

sn_status sn_tokenizer_parse_json(sn_tokenizer **out, sn_ctx *ctx, sn_slice json, const sn_slice *config, const char *source)
{
	sn_json *doc, *config_doc = NULL;
	*out = NULL;
	SN_TRY(sn_json_parse(&doc, ctx, source, json.data, json.size));
	sn_status status = config ? sn_json_parse(&config_doc, ctx, source, config->data, config->size) : SN_OK;
	if (status == SN_OK) status = open_docs(out, ctx, doc, config_doc);
	sn_json_close(config_doc);
	sn_json_close(doc);
	return status;
}

static sn_status open_files(sn_tokenizer **out, sn_ctx *ctx, const char *path, const char *config_path)
{
	sn_json *doc, *config = NULL;
	SN_TRY(sn_json_load(&doc, ctx, path, LARGEST_FILE));
	sn_status status = config_path ? sn_json_load(&config, ctx, config_path, LARGEST_FILE) : SN_OK;
	if (status == SN_OK) status = open_docs(out, ctx, doc, config);
	sn_json_close(config);
	sn_json_close(doc);
	return status;
}

sn_status sn_tokenizer_open_json(sn_tokenizer **out, sn_ctx *ctx, const char *folder)
{
	sn_arena *arena;
	*out = NULL;
	if (sn_ends_with(folder, ".json")) return open_files(out, ctx, folder, NULL);
	SN_TRY(sn_arena_open(&arena, ctx));
	const char *path = sn_arena_format(arena, "%s/tokenizer.json", folder);
	const char *config = sn_arena_format(arena, "%s/tokenizer_config.json", folder);
	sn_status status = path && config ? SN_OK : SN_ENOMEM;
	if (status == SN_OK) status = open_files(out, ctx, path, access(config, F_OK) == 0 ? config : NULL);
	sn_arena_close(arena);
	return status;
}
