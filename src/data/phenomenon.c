/* A phenomenon file from its name to a checked structure: each member has its reader, in the order in which they depend
 * on one another. */
#include "data/phenomenon_read.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

sn_status sn_read_keys(const sn_reading *r, const json_t *object, const char *const *name, int n, bool features)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)object, key, value) {
		bool known = features && sn_feature_find(r->p->feature, r->p->n_feature, key, strlen(key)) >= 0;
		for (int i = 0; i < n && !known; i++) known = strcmp(key, name[i]) == 0;
		if (known) continue;
		char list[400] = "";
		size_t used = 0;
		for (int i = 0; i < n && used < sizeof list - 1; i++)
			used += (size_t)SN_MAX(0, sn_format(list + used, sizeof list - used, "%s%s", i ? ", " : "", name[i]));
		return sn_json_fail(r->doc, object, NULL, SN_EPARSE, "unknown key \"%.60s\"; expected %s%s", key, list,
							features ? " or a feature (new features are declared under \"features\")" : "");
	}
	return SN_OK;
}

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f) return true;
	return false;
}

sn_status sn_read_text(const sn_reading *r, const json_t *value, const char **out)
{
	if (!json_is_string(value))
		return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "expected a string, found %s", sn_json_type_name(value));
	const char *text = json_string_value(value);
	size_t size = json_string_length(value);
	if (size == 0 || size > SN_MAX_TEXT)
		return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "expected 1 to %d bytes of text, found %zu", SN_MAX_TEXT,
							size);
	if (strlen(text) != size || has_control(text) || text[0] == ' ' || text[size - 1] == ' ')
		return sn_json_fail(r->doc, value, NULL, SN_EPARSE,
							"expected text without control characters and without a space at its ends, found \"%.60s\"",
							text);
	*out = sn_arena_copy(r->arena, text, size);
	return *out ? SN_OK : SN_ENOMEM;
}

sn_status sn_read_member(const sn_reading *r, const json_t *object, const char *key, const char **out)
{
	const char *text;
	SN_TRY(sn_json_string(r->doc, object, key, &text));
	return sn_read_text(r, json_object_get(object, key), out);
}

sn_status sn_read_name(const sn_reading *r, const json_t *at, const char *text)
{
	static const char *const reserved[] = { "lead",  "lemma", "forms", "from", "vary", "agree",    "distinct",
											"frame", "and",   "or",    "not",  "if",   "ambiguous" };
	bool good = text[0] && strlen(text) <= SN_MAX_TEXT;
	for (const char *c = text; *c && good; c++)
		good =
			(*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '_' || *c == '-';
	for (int i = 0; i < SN_COUNT(reserved) && good; i++) good = strcmp(text, reserved[i]) != 0;
	if (good) return SN_OK;
	return sn_json_fail(
		r->doc, at, NULL, SN_EPARSE,
		"\"%.60s\" cannot be a name: use letters a-z, digits, '-' and '_', and none of the words of the format", text);
}

sn_status sn_read_expr_failed(const sn_reading *r, const json_t *at, sn_status status)
{
	if (status != SN_EPARSE) return status;
	char reason[600];
	sn_format(reason, sizeof reason, "%s", sn_error(r->ctx));
	return sn_json_fail(r->doc, at, NULL, SN_EPARSE, "%s", reason);
}

sn_status sn_read_ref(const sn_reading *r, const json_t *value, sn_ref *out)
{
	const char *text;
	SN_TRY(sn_read_text(r, value, &text));
	sn_status status = sn_ref_parse(out, r->ctx, &r->scope, text);
	return status == SN_OK ? SN_OK : sn_read_expr_failed(r, value, status);
}

static sn_status read_yo(sn_reading *r)
{
	json_t *list, *value;
	size_t i;
	SN_TRY(sn_json_array_or(r->doc, r->doc->root, "yo", &list));
	json_array_foreach(list, i, value) {
		const char *text;
		SN_TRY(sn_read_text(r, value, &text));
		bool fold = strcmp(text, "fold") == 0;
		if (!fold && strcmp(text, "keep") != 0)
			return sn_json_fail(r->doc, value, NULL, SN_EPARSE, "expected \"keep\" or \"fold\", found \"%.40s\"", text);
		r->p->fold_yo |= fold;
		r->p->write_folded |= fold && i == 0;
	}
	return SN_OK;
}

static sn_status read_head(sn_reading *r)
{
	static const char *const key[] = { "id",       "lang",   "features", "polarity", "lexicon", "slots",
									   "lead_ins", "frames", "roles",    "labels",   "choice",  "interchange",
									   "balance",  "split",  "reject",   "yo" };
	const json_t *root = r->doc->root;
	if (!json_is_object(root))
		return sn_json_fail(r->doc, root, NULL, SN_EPARSE, "expected a JSON object, found %s", sn_json_type_name(root));
	SN_TRY(sn_read_keys(r, root, key, SN_COUNT(key), false));
	SN_TRY(sn_read_member(r, root, "id", &r->p->id));
	SN_TRY(sn_read_member(r, root, "lang", &r->p->lang));
	return read_yo(r);
}

static sn_status read_all(sn_reading *r)
{
	static sn_status (*const part[])(sn_reading *) = {
		read_head,           sn_read_features, sn_read_lexicon, sn_read_slots,  sn_read_polarity,
		sn_read_labels,      sn_read_lead_ins, sn_read_choice,  sn_read_frames, sn_read_roles,
		sn_read_interchange, sn_read_balance,  sn_read_split,   sn_read_reject, sn_check_forms,
	};
	for (int i = 0; i < SN_COUNT(part); i++) SN_TRY(part[i](r));
	return SN_OK;
}

sn_status sn_phenomenon_parse(const sn_phenomenon **out, sn_ctx *ctx, const char *source, const char *bytes,
							  size_t size, sn_arena *arena)
{
	*out = NULL;
	if (size > SN_MAX_PHENOMENON_BYTES)
		return sn_fail(ctx, SN_EPARSE, "%s: %zu bytes; a phenomenon file has at most %d", source, size,
					   SN_MAX_PHENOMENON_BYTES);
	sn_reading r = { .ctx = ctx, .arena = arena };
	SN_NEW(r.p, arena, sn_phenomenon, 1);
	r.p->source = sn_arena_string(arena, source);
	if (!r.p->source) return SN_ENOMEM;
	sn_json *doc;
	SN_TRY(sn_json_parse(&doc, ctx, source, bytes, size));
	r.doc = doc;
	sn_status status = read_all(&r);
	sn_json_close(doc);
	if (status == SN_OK) *out = r.p;
	return status;
}

/* Where suites lie: in the source tree, and where `make install` puts them. */
static const char *const suite_folder[] = { SN_SUITES_DIR, SN_INSTALLED_SUITES_DIR };

/* Sets *path to a suite of that name; NULL: there is none. */
static sn_status find_suite(const char *name, sn_arena *arena, const char **path)
{
	for (int i = 0; i < SN_COUNT(suite_folder) && !strstr(name, ".."); i++) {
		*path = sn_arena_format(arena, "%s/%s.json", suite_folder[i], name);
		if (!*path) return SN_ENOMEM;
		if (access(*path, R_OK) == 0) return SN_OK;
	}
	*path = NULL;
	return SN_OK;
}

static void list_language(sn_buf *out, const char *folder, const char *lang)
{
	char path[4096];
	sn_format(path, sizeof path, "%s/%s", folder, lang);
	DIR *dir = opendir(path);
	if (!dir) return;
	for (const struct dirent *e = readdir(dir); e; e = readdir(dir))
		if (sn_ends_with(e->d_name, ".json"))
			sn_buf_format(out, "%s%s/%.*s", out->size ? ", " : "", lang, (int)strlen(e->d_name) - 5, e->d_name);
	closedir(dir);
}

static sn_status no_suite(sn_ctx *ctx, const char *name)
{
	sn_buf list = { .ctx = ctx };
	for (int i = 0; i < SN_COUNT(suite_folder) && list.size == 0; i++) {
		DIR *dir = opendir(suite_folder[i]);
		if (!dir) continue;
		for (const struct dirent *e = readdir(dir); e; e = readdir(dir))
			if (e->d_name[0] != '.') list_language(&list, suite_folder[i], e->d_name);
		closedir(dir);
	}
	sn_status status = sn_fail(ctx, SN_ENOTFOUND, "%s: no such file and no such suite; suites that come with Sonde: %s",
							   name, list.size ? list.data : "none found, is it installed?");
	sn_buf_free(&list);
	return status;
}

sn_status sn_phenomenon_open(const sn_phenomenon **out, sn_ctx *ctx, const char *name, sn_arena *arena)
{
	*out = NULL;
	const char *path = name;
	if (strcmp(name, "-") != 0 && access(name, F_OK) != 0) SN_TRY(find_suite(name, arena, &path));
	if (!path) return no_suite(ctx, name);
	char *bytes;
	size_t size;
	SN_TRY(sn_read_file(ctx, path, SN_MAX_PHENOMENON_BYTES, arena, &bytes, &size));
	return sn_phenomenon_parse(out, ctx, path, bytes, size, arena);
}
