/* JSON documents: a thin layer over Jansson whose errors name the file, line and column of bad syntax, and the path of
 * a wrong or missing value ("config.json: rope_scaling.factor: expected a number, found a string"). */
#ifndef SN_IO_JSON_H
#define SN_IO_JSON_H

#include <jansson.h>

#include "base/base.h"

typedef struct sn_json {
	sn_ctx *ctx;
	json_t *root;
	char *source;
} sn_json;

/* Reads a file ("-": standard input) of at most limit bytes (0: 1 GiB), or a text in memory named source in errors. A
 * byte order mark is skipped; duplicate keys are refused (the second of two would win in silence). SN_EPARSE names line
 * and column. */
SN_CHECKED sn_status sn_json_load(sn_json **out, sn_ctx *ctx, const char *path, size_t limit);
SN_CHECKED sn_status sn_json_parse(sn_json **out, sn_ctx *ctx, const char *source, const char *text, size_t size);
void sn_json_close(sn_json *doc);

/* Fails with "FILE: PATH: text", where PATH leads from the root to at and then to key (NULL: at itself). */
sn_status sn_json_fail(const sn_json *doc, const json_t *at, const char *key, sn_status status, const char *format, ...)
	SN_PRINTF(5, 6);

/* Required members of an object: SN_ENOTFOUND when missing or null, SN_EPARSE for another type, or when object is no
 * object. Strings, objects and arrays belong to doc. */
SN_CHECKED sn_status sn_json_i64(const sn_json *doc, const json_t *object, const char *key, int64_t *out);
SN_CHECKED sn_status sn_json_f64(const sn_json *doc, const json_t *object, const char *key, double *out);
SN_CHECKED sn_status sn_json_bool(const sn_json *doc, const json_t *object, const char *key, bool *out);
SN_CHECKED sn_status sn_json_string(const sn_json *doc, const json_t *object, const char *key, const char **out);
SN_CHECKED sn_status sn_json_object(const sn_json *doc, const json_t *object, const char *key, json_t **out);
SN_CHECKED sn_status sn_json_array(const sn_json *doc, const json_t *object, const char *key, json_t **out);

/* The same for members that may be missing or null: *out is then the given value. Another type still fails. */
SN_CHECKED sn_status sn_json_i64_or(const sn_json *doc, const json_t *object, const char *key, int64_t missing,
									int64_t *out);
SN_CHECKED sn_status sn_json_f64_or(const sn_json *doc, const json_t *object, const char *key, double missing,
									double *out);
SN_CHECKED sn_status sn_json_bool_or(const sn_json *doc, const json_t *object, const char *key, bool missing,
									 bool *out);
SN_CHECKED sn_status sn_json_string_or(const sn_json *doc, const json_t *object, const char *key, const char *missing,
									   const char **out);
/* *out is NULL when missing. */
SN_CHECKED sn_status sn_json_object_or(const sn_json *doc, const json_t *object, const char *key, json_t **out);
SN_CHECKED sn_status sn_json_array_or(const sn_json *doc, const json_t *object, const char *key, json_t **out);

/* Returns what an error text calls the type of a value: "a string"; "nothing" for NULL. */
const char *sn_json_type_name(const json_t *value);

#endif
