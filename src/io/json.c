/* JSON documents. The path of a value is looked for only when an error needs it. */
#include "io/json.h"

#include <string.h>

enum { DEFAULT_LIMIT = 1 << 30 };

/* ---- opening ---- */

static sn_status parse(sn_json *doc, const char *text, size_t size)
{
	if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		size -= 3;
	}
	json_error_t error;
	doc->root = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
	if (doc->root) return SN_OK;
	if (json_error_code(&error) == json_error_out_of_memory)
		return sn_fail(doc->ctx, SN_ENOMEM, "%s: out of memory to read it", doc->source);
	return sn_fail(doc->ctx, SN_EPARSE, "%s: line %d, column %d: %s; correct the JSON there", doc->source, error.line,
				   error.column, error.text);
}

static sn_status new_doc(sn_json **out, sn_ctx *ctx, const char *source)
{
	sn_json *doc = sn_alloc(ctx, sizeof *doc);
	*out = doc;
	if (!doc) return SN_ENOMEM;
	doc->ctx = ctx;
	size_t n = strlen(source) + 1;
	doc->source = sn_alloc(ctx, n);
	if (!doc->source) return SN_ENOMEM;
	memcpy(doc->source, source, n);
	return SN_OK;
}

static sn_status finish(sn_json **out, sn_status status)
{
	if (status == SN_OK) return SN_OK;
	sn_json_close(*out);
	*out = NULL;
	return status;
}

sn_status sn_json_parse(sn_json **out, sn_ctx *ctx, const char *source, const char *text, size_t size)
{
	sn_status status = new_doc(out, ctx, source);
	if (status == SN_OK) status = parse(*out, text, size);
	return finish(out, status);
}

sn_status sn_json_load(sn_json **out, sn_ctx *ctx, const char *path, size_t limit)
{
	sn_arena *arena;
	char *text;
	size_t size;
	*out = NULL;
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = sn_read_file(ctx, path, limit ? limit : DEFAULT_LIMIT, arena, &text, &size);
	if (status == SN_OK) status = sn_json_parse(out, ctx, strcmp(path, "-") == 0 ? "standard input" : path, text, size);
	sn_arena_close(arena);
	return status;
}

void sn_json_close(sn_json *doc)
{
	if (!doc) return;
	json_decref(doc->root);
	sn_free(doc->ctx, doc->source);
	sn_free(doc->ctx, doc);
}

/* ---- errors ---- */

static bool add_path(sn_buf *path, const json_t *from, const json_t *at);

static bool add_step(sn_buf *path, const char *key, size_t index, const json_t *value, const json_t *at)
{
	size_t size = path->size;
	if (key)
		sn_buf_format(path, "%s%s", size ? "." : "", key);
	else
		sn_buf_format(path, "[%zu]", index);
	if (add_path(path, value, at)) return true;
	if (!path->failed) path->data[path->size = size] = '\0';
	return false;
}

/* Appends the path from a value to one below it; false, with nothing appended, if it is not there. */
static bool add_path(sn_buf *path, const json_t *from, const json_t *at)
{
	if (from == at || path->failed) return true;
	const char *key;
	json_t *value;
	size_t index;
	if (json_is_object(from)) {
		json_object_foreach((json_t *)(uintptr_t)from, key, value) if (add_step(path, key, 0, value, at)) return true;
	} else if (json_is_array(from)) {
		json_array_foreach(from, index, value) if (add_step(path, NULL, index, value, at)) return true;
	}
	return false;
}

sn_status sn_json_fail(const sn_json *doc, const json_t *at, const char *key, sn_status status, const char *format, ...)
{
	sn_buf path = { .ctx = doc->ctx };
	if (at) add_path(&path, doc->root, at);
	if (key) sn_buf_format(&path, "%s%s", path.size ? "." : "", key);
	char text[512];
	va_list args;
	va_start(args, format);
	sn_vformat(text, sizeof text, format, args);
	va_end(args);
	if (path.size)
		(void)sn_fail(doc->ctx, status, "%s: %s: %s", doc->source, path.data, text);
	else
		(void)sn_fail(doc->ctx, status, "%s: %s", doc->source, text);
	sn_buf_free(&path);
	return status;
}

const char *sn_json_type_name(const json_t *value)
{
	static const char *const name[] = {
		[JSON_OBJECT] = "an object",   [JSON_ARRAY] = "an array",  [JSON_STRING] = "a string",
		[JSON_INTEGER] = "an integer", [JSON_REAL] = "a fraction", [JSON_TRUE] = "true",
		[JSON_FALSE] = "false",        [JSON_NULL] = "null",
	};
	return value ? name[json_typeof(value)] : "nothing";
}

/* ---- members ---- */

/* Sets *out to the member, NULL when missing or null. */
static sn_status member(const sn_json *doc, const json_t *object, const char *key, json_t **out)
{
	*out = NULL;
	if (!json_is_object(object))
		return sn_json_fail(doc, object, NULL, SN_EPARSE, "expected an object with '%s', found %s", key,
							sn_json_type_name(object));
	json_t *value = json_object_get(object, key);
	if (!json_is_null(value)) *out = value;
	return SN_OK;
}

static sn_status need(const sn_json *doc, const json_t *object, const char *key, const char *expected, json_t **out)
{
	SN_TRY(member(doc, object, key, out));
	return *out ? SN_OK : sn_json_fail(doc, object, key, SN_ENOTFOUND, "expected %s, found nothing; add it", expected);
}

static sn_status wrong(const sn_json *doc, const json_t *object, const char *key, const char *expected,
					   const json_t *found)
{
	return sn_json_fail(doc, object, key, SN_EPARSE, "expected %s, found %s", expected, sn_json_type_name(found));
}

static json_t *same(json_t *value) { return value; }
/* A C string: Jansson's may hold NUL bytes, which would cut it short in silence. */
static bool is_c_string(const json_t *value)
{
	return json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value);
}

/* The getter of a required member: name, C type, what errors call it, test of the Jansson value, conversion. */
#define REQUIRED(name, type, expected, test, convert)                                                                  \
	sn_status sn_json_##name(const sn_json *doc, const json_t *object, const char *key, type *out)                     \
	{                                                                                                                  \
		json_t *value;                                                                                                 \
		SN_TRY(need(doc, object, key, expected, &value));                                                              \
		if (!test(value)) return wrong(doc, object, key, expected, value);                                             \
		*out = convert(value);                                                                                         \
		return SN_OK;                                                                                                  \
	}
REQUIRED(i64, int64_t, "an integer", json_is_integer, json_integer_value)
REQUIRED(f64, double, "a number", json_is_number, json_number_value)
REQUIRED(bool, bool, "true or false", json_is_boolean, json_is_true)
REQUIRED(string, const char *, "a string without NUL", is_c_string, json_string_value)
REQUIRED(object, json_t *, "an object", json_is_object, same)
REQUIRED(array, json_t *, "an array", json_is_array, same)

/* Its twin for a member that may be missing. */
#define OPTIONAL(name, type)                                                                                           \
	sn_status sn_json_##name##_or(const sn_json *doc, const json_t *object, const char *key, type missing, type *out)  \
	{                                                                                                                  \
		json_t *value;                                                                                                 \
		*out = missing;                                                                                                \
		SN_TRY(member(doc, object, key, &value));                                                                      \
		return value ? sn_json_##name(doc, object, key, out) : SN_OK;                                                  \
	}
OPTIONAL(i64, int64_t)
OPTIONAL(f64, double)
OPTIONAL(bool, bool)
OPTIONAL(string, const char *)

sn_status sn_json_object_or(const sn_json *doc, const json_t *object, const char *key, json_t **out)
{
	SN_TRY(member(doc, object, key, out));
	return *out ? sn_json_object(doc, object, key, out) : SN_OK;
}

sn_status sn_json_array_or(const sn_json *doc, const json_t *object, const char *key, json_t **out)
{
	SN_TRY(member(doc, object, key, out));
	return *out ? sn_json_array(doc, object, key, out) : SN_OK;
}
