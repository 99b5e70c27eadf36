/* A tokenizer from the tokenizer.json of a Hugging Face folder. */
#include "text/tokenizer_json.h"

#include <string.h>

enum { LARGEST_FILE = 256 << 20 };

/* ---- stages ---- */

static sn_status unknown_type(const sn_json *doc, const json_t *stage, const char *type, const sn_json_stage *known,
							  int n)
{
	char names[256] = "";
	for (int i = 0, used = 0; i < n && used < (int)sizeof names; i++)
		used += sn_format(names + used, sizeof names - (size_t)used, "%s%s", i ? ", " : "", known[i].type);
	return sn_json_fail(doc, stage, "type", SN_EUNKNOWN, "'%s'; known: %s", type, names);
}

sn_status sn_read_json_stage(sn_tokenizer *t, const sn_json *doc, const json_t *stage, const sn_json_stage *known,
							 int n)
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

sn_status sn_read_json_pattern(sn_tokenizer *t, const sn_json *doc, const json_t *stage, sn_regex **out)
{
	json_t *pattern;
	SN_TRY(sn_json_object(doc, stage, "pattern", &pattern));
	const json_t *regex = json_object_get(pattern, "Regex"), *text = regex ? regex : json_object_get(pattern, "String");
	if (!json_is_string(text))
		return sn_json_fail(doc, pattern, NULL, SN_EPARSE, "expected {\"Regex\": text} or {\"String\": text}");
	return sn_regex_open(out, t->ctx, json_string_value(text), json_string_length(text), !regex, t->source);
}

sn_status sn_read_json_text(sn_tokenizer *t, const sn_json *doc, const json_t *stage, const char *key,
							const char *missing, sn_slice *out)
{
	const char *text;
	if (missing)
		SN_TRY(sn_json_string_or(doc, stage, key, missing, &text));
	else
		SN_TRY(sn_json_string(doc, stage, key, &text));
	out->size = strlen(text);
	out->data = sn_arena_copy(t->arena, text, out->size);
	return out->data ? SN_OK : SN_ENOMEM;
}

/* ---- documents ---- */

/* Vocabulary texts stand for bytes, or not: a model file without byte-level stages may still have such a decoder. */
static sn_status build(sn_tokenizer *t, const sn_json *doc)
{
	const char *model;
	json_t *added;
	if (!json_is_object(doc->root))
		return sn_json_fail(doc, doc->root, NULL, SN_EPARSE, "expected an object, found %s",
							sn_json_type_name(doc->root));
	SN_TRY(sn_read_normalizer(t, doc, json_object_get(doc->root, "normalizer")));
	SN_TRY(sn_read_pre_tokenizer(t, doc, json_object_get(doc->root, "pre_tokenizer")));
	SN_TRY(sn_read_json_model(t, doc, &model));
	SN_TRY(sn_json_array_or(doc, doc->root, "added_tokens", &added));
	SN_TRY(sn_read_json_added(t, doc, added));
	SN_TRY(sn_read_decoder(t, doc, json_object_get(doc->root, "decoder")));
	SN_TRY(sn_read_post_processor(t, doc, json_object_get(doc->root, "post_processor")));
	const char *more = sn_arena_format(t->arena, "%d pre-tokenizer stage%s", t->n_stage, t->n_stage == 1 ? "" : "s");
	return more ? sn_tokenizer_finish(t, model, more) : SN_ENOMEM;
}

sn_status sn_tokenizer_open_doc(sn_tokenizer **out, sn_ctx *ctx, const sn_json *doc)
{
	SN_TRY(sn_tokenizer_new(out, ctx, doc->source));
	sn_status status = build(*out, doc);
	if (status == SN_OK) return SN_OK;
	sn_tokenizer_close(*out);
	*out = NULL;
	return status;
}

sn_status sn_tokenizer_parse_json(sn_tokenizer **out, sn_ctx *ctx, sn_slice json, const char *source)
{
	sn_json *doc;
	*out = NULL;
	SN_TRY(sn_json_parse(&doc, ctx, source, json.data, json.size));
	sn_status status = sn_tokenizer_open_doc(out, ctx, doc);
	sn_json_close(doc);
	return status;
}

static sn_status open_file(sn_tokenizer **out, sn_ctx *ctx, const char *path)
{
	sn_json *doc;
	SN_TRY(sn_json_load(&doc, ctx, path, LARGEST_FILE));
	sn_status status = sn_tokenizer_open_doc(out, ctx, doc);
	sn_json_close(doc);
	return status;
}

sn_status sn_tokenizer_open_json(sn_tokenizer **out, sn_ctx *ctx, const char *folder)
{
	sn_arena *arena;
	*out = NULL;
	if (sn_ends_with(folder, ".json")) return open_file(out, ctx, folder);
	SN_TRY(sn_arena_open(&arena, ctx));
	const char *path = sn_arena_format(arena, "%s/tokenizer.json", folder);
	sn_status status = path ? open_file(out, ctx, path) : SN_ENOMEM;
	sn_arena_close(arena);
	return status;
}
