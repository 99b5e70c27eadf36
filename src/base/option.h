/* Option tables: rows of sn_param, each one declaration behind the command line, the help, the JSON form and the
 * provenance. A value lives in a plain struct at the row's offset: INT int64_t, FLOAT double, TEXT const char *, BOOL
 * bool. The unit of a TEXT is what stands for it in the help: FILE, COLUMN. A maximum of 1e15 or more means none. */
#ifndef SN_BASE_OPTION_H
#define SN_BASE_OPTION_H

#include "base/base.h"
#include "base/write.h"

/* A table and the struct it fills. */
typedef struct sn_param_table {
	const sn_param *param;
	int n;
} sn_param_table;

/* Writes every row's default into the struct at out (a row without one: 0, false, NULL). Texts point into arena. A
 * default that fails its own row's checks is SN_EINTERNAL. */
SN_CHECKED sn_status sn_param_defaults(sn_ctx *ctx, const sn_param_table *table, sn_arena *arena, void *out);
/* Returns the row of that name ('-' and '_' are the same), or NULL. */
const sn_param *sn_param_find(const sn_param_table *table, const char *name);
/* Parses a value into its place. SN_EARG says what was expected: the type, the range with its unit, or the choices. */
SN_CHECKED sn_status sn_param_set(sn_ctx *ctx, const sn_param *param, const char *value, sn_arena *arena, void *out);
/* Appends the struct as a JSON object, keys in table order. */
void sn_param_json(sn_buf *buf, const sn_param_table *table, const void *values);
/* Appends one value as text ("0.1", "true", "all"; "" for a TEXT that is NULL). */
void sn_param_value(sn_buf *buf, const sn_param *param, const void *values);
/* Appends one help line group a row: name and type, text, unit, range or choices, default. */
void sn_param_help(sn_buf *buf, const sn_param_table *table);
/* Returns the index of the word nearest to name by edit distance (at most a third of its length, or 2), or -1. */
int sn_nearest(const char *name, const char *const *word, int n);

#endif
