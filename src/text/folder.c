/* The tokenizer of a folder, whichever files hold it; special and added tokens of older folders. */
#include "text/folder.h"

#include "text/tokenizer_json.h"

#include <string.h>
#include <unistd.h>

enum { LARGEST_FILE = 64 << 20 };

/* ---- what is there ---- */

bool sn_folder_has(const sn_folder *folder, const char *name)
{
	char path[4096];
	int n = sn_format(path, sizeof path, "%s/%s", folder->path, name);
	return n > 0 && n < (int)sizeof path && access(path, R_OK) == 0;
}

static sn_status load(sn_folder *folder, const char *name, sn_json **out)
{
	if (!sn_folder_has(folder, name)) return SN_OK;
	const char *path = sn_arena_format(folder->arena, "%s/%s", folder->path, name);
	if (!path) return SN_ENOMEM;
	SN_TRY(sn_json_load(out, folder->ctx, path, LARGEST_FILE));
	if (json_is_object((*out)->root)) return SN_OK;
	return sn_json_fail(*out, (*out)->root, NULL, SN_EPARSE, "expected an object, found %s",
						sn_json_type_name((*out)->root));
}

sn_status sn_folder_set(sn_folder *folder, const char *key, json_t *value)
{
	if (value && json_object_set_new(folder->root, key, value) == 0) return SN_OK;
	return sn_fail(folder->ctx, SN_ENOMEM, "%s: out of memory to read it", folder->source);
}

sn_status sn_folder_id(const sn_folder *folder, const char *text, json_int_t *id)
{
	const json_t *value = json_object_get(folder->vocab, text), *token;
	size_t i;
	json_array_foreach(json_object_get(folder->root, "added_tokens"), i, token)
		if (strcmp(json_string_value(json_object_get(token, "content")), text) == 0)
			value = json_object_get(token, "id");
	*id = json_integer_value(value);
	if (json_is_integer(value)) return SN_OK;
	return sn_fail(folder->ctx, SN_EPARSE, "%s: the special token '%s' is not in the vocabulary", folder->source, text);
}

/* ---- special tokens ---- */

/* What the folder says of a special token: a text, or an object with flags. */
static const json_t *special_token(const sn_folder *folder, const char *name)
{
	const sn_json *const place[] = { folder->config, folder->special };
	for (int i = 0; i < SN_COUNT(place); i++) {
		const json_t *value = place[i] ? json_object_get(place[i]->root, name) : NULL;
		if (json_is_string(value) || json_is_string(json_object_get(value, "content"))) return value;
	}
	return NULL;
}

const char *sn_folder_token(const sn_folder *folder, const char *name, const char *missing)
{
	const json_t *value = special_token(folder, name);
	if (!value) return missing;
	return json_string_value(json_is_string(value) ? value : json_object_get(value, "content"));
}

/* Appends {"id", "content", flags} unless the content is there already. */
static sn_status append(sn_folder *folder, json_int_t id, const char *content, const json_t *flags, bool special)
{
	json_t *list = json_object_get(folder->root, "added_tokens"), *token;
	size_t i;
	json_array_foreach(list, i, token)
		if (strcmp(json_string_value(json_object_get(token, "content")), content) == 0) return SN_OK;
	bool is_special = special || json_is_true(json_object_get(flags, "special"));
	const json_t *normalized = json_object_get(flags, "normalized");
	token = json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id, "content", content, "single_word",
					  json_is_true(json_object_get(flags, "single_word")), "lstrip",
					  json_is_true(json_object_get(flags, "lstrip")), "rstrip",
					  json_is_true(json_object_get(flags, "rstrip")), "normalized",
					  json_is_boolean(normalized) ? json_is_true(normalized) : !is_special, "special", is_special);
	if (token && json_array_append_new(list, token) == 0) return SN_OK;
	return sn_fail(folder->ctx, SN_ENOMEM, "%s: out of memory to read it", folder->source);
}

/* "added_tokens_decoder": {"100": {"content": ..., flags}}. */
static sn_status append_decoder(sn_folder *folder)
{
	json_t *list, *token;
	const char *key, *content;
	int64_t id;
	if (!folder->config) return SN_OK;
	SN_TRY(sn_json_object_or(folder->config, folder->config->root, "added_tokens_decoder", &list));
	json_object_foreach(list, key, token) {
		if (!sn_parse_i64(key, &id))
			return sn_json_fail(folder->config, list, key, SN_EPARSE, "'%s'; expected an id", key);
		SN_TRY(sn_json_string(folder->config, token, "content", &content));
		SN_TRY(append(folder, id, content, token, false));
	}
	return SN_OK;
}

/* added_tokens.json: {text: id}. */
static sn_status append_added(sn_folder *folder)
{
	const char *text;
	json_t *id;
	if (!folder->added) return SN_OK;
	json_object_foreach(folder->added->root, text, id) {
		if (!json_is_integer(id))
			return sn_json_fail(folder->added, folder->added->root, text, SN_EPARSE, "expected an id");
		SN_TRY(append(folder, json_integer_value(id), text, NULL, false));
	}
	return SN_OK;
}

sn_status sn_folder_add_tokens(sn_folder *folder, const char *const *class_token)
{
	SN_TRY(sn_folder_set(folder, "added_tokens", json_array()));
	SN_TRY(append_decoder(folder));
	for (; *class_token; class_token += 2) {
		const json_t *value = special_token(folder, class_token[0]), *id;
		const char *text = sn_folder_token(folder, class_token[0], class_token[1]);
		id = *text ? json_object_get(folder->vocab, text) : NULL;
		if (id) SN_TRY(append(folder, json_integer_value(id), text, json_is_object(value) ? value : NULL, true));
	}
	return append_added(folder);
}

/* ---- opening ---- */

static sn_status read_folder(sn_tokenizer **out, sn_folder *folder)
{
	SN_TRY(load(folder, "tokenizer_config.json", &folder->config));
	SN_TRY(load(folder, "special_tokens_map.json", &folder->special));
	SN_TRY(load(folder, "added_tokens.json", &folder->added));
	SN_TRY(load(folder, "config.json", &folder->model));
	const char *spm = sn_folder_spm_file(folder);
	bool bpe = sn_folder_has(folder, "vocab.json") && sn_folder_has(folder, "merges.txt");
	folder->source = sn_arena_format(folder->arena, "%s/%s", folder->path,
									 spm   ? spm
									 : bpe ? "vocab.json"
										   : "vocab.txt");
	folder->root = json_object();
	if (!folder->source || !folder->root) return SN_ENOMEM;
	if (spm) return sn_folder_spm(out, folder);
	SN_TRY(bpe ? sn_folder_bpe(folder) : sn_folder_wordpiece(folder));
	sn_json doc = { folder->ctx, folder->root, (char *)(uintptr_t)folder->source };
	return sn_tokenizer_open_doc(out, folder->ctx, &doc);
}

static sn_status open_folder(sn_tokenizer **out, sn_ctx *ctx, const char *path)
{
	sn_folder folder = { .ctx = ctx, .path = path };
	SN_TRY(sn_arena_open(&folder.arena, ctx));
	sn_status status = read_folder(out, &folder);
	json_decref(folder.root);
	sn_json_close(folder.config);
	sn_json_close(folder.special);
	sn_json_close(folder.added);
	sn_json_close(folder.model);
	sn_arena_close(folder.arena);
	return status;
}

sn_status sn_tokenizer_open_folder(sn_tokenizer **out, sn_ctx *ctx, const char *path)
{
	sn_folder folder = { .ctx = ctx, .path = path };
	*out = NULL;
	if (sn_ends_with(path, ".json") || sn_folder_has(&folder, "tokenizer.json"))
		return sn_tokenizer_open_json(out, ctx, path);
	if (sn_ends_with(path, ".model") || sn_ends_with(path, ".spm"))
		return sn_tokenizer_open_sentencepiece(out, ctx, path);
	bool words = sn_folder_has(&folder, "vocab.txt") || sn_folder_spm_file(&folder);
	if (words || (sn_folder_has(&folder, "vocab.json") && sn_folder_has(&folder, "merges.txt")))
		return open_folder(out, ctx, path);
	return sn_fail(
		ctx, SN_ENOTFOUND,
		"%s: no tokenizer there; expected tokenizer.json, vocab.txt, vocab.json and merges.txt, or a "
		"SentencePiece model (spiece.model, tokenizer.model, sentencepiece.bpe.model, spm.model, source.spm)",
		path);
}
