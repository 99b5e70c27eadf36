/* Results: rows typed by the tables that a method declares, and the sentences that go with them. Store, report and
 * command line read nothing else of a method. */
#ifndef SN_DATA_RESULT_H
#define SN_DATA_RESULT_H

#include "base/base.h"

/* One value on its way into a row, tagged with its type. */
typedef struct sn_cell {
	sn_type type;
	sn_value value;
} sn_cell;

static inline sn_cell sn_int(int64_t i) { return (sn_cell){ SN_TYPE_INT, { .i = i } }; }
static inline sn_cell sn_num(double f) { return (sn_cell){ SN_TYPE_FLOAT, { .f = f } }; } /* NaN: missing */
static inline sn_cell sn_text(const char *s)
{
	return (sn_cell){ SN_TYPE_TEXT, { .s = s } };
} /* copied; NULL: missing */
static inline sn_cell sn_flag(bool b) { return (sn_cell){ SN_TYPE_BOOL, { .i = b } }; }
static inline sn_cell sn_none(void) { return (sn_cell){ SN_TYPE_NONE, { 0 } }; } /* missing, of any type */

/* Appends a row, values in the order of the table's columns; text is copied. A wrong number of values or a wrong type
 * is SN_EINTERNAL and names table and column. SN_ENOMEM. SN_TRY(SN_ADD(out, CELLS, sn_int(layer), sn_text(role),
 * sn_num(e), sn_num(low), sn_num(high))); */
SN_CHECKED sn_status sn_result_add(sn_result *result, int table, const sn_cell *cell, int n);
#define SN_ADD(result, table, ...)                                                                                     \
	sn_result_add((result), (table), (const sn_cell[]){ __VA_ARGS__ },                                                 \
				  (int)(sizeof((const sn_cell[]){ __VA_ARGS__ }) / sizeof(sn_cell)))

/* Adds a sentence of the summary: a whole sentence with its numbers, most important first; " [nan, nan]", an interval
 * that is missing, is left out. */
SN_CHECKED sn_status sn_result_say(sn_result *result, const char *format, ...) SN_PRINTF(2, 3);
/* Adds a limitation: what this result does not show, generated from the gates that failed. */
SN_CHECKED sn_status sn_result_limit(sn_result *result, const char *format, ...) SN_PRINTF(2, 3);
/* Adds a citation beside the method's own. */
SN_CHECKED sn_status sn_result_cite(sn_result *result, const char *text);
/* Adds a provenance entry ("items dropped", "12"); sn_method_run adds version, seed, threads, precision, host, time,
 * model and data. A key set again replaces its value. Reports take their heading from "title", and show
 * "phenomenon" and "items" below it. */
SN_CHECKED sn_status sn_result_set(sn_result *result, const char *key, const char *format, ...) SN_PRINTF(3, 4);

/* Returns whether a value is missing: INT64_MIN, NaN, NULL, -1 (BOOL). */
bool sn_value_missing(sn_type type, const sn_value *value);
/* The value that stands for missing. */
sn_value sn_value_none(sn_type type);

/* Turns the texts of the method's declaration (titles, captions, units, help) and those that the report adds into
 * Russian; before rows and lines are added or after. */
SN_CHECKED sn_status sn_result_in_russian(sn_result *result);
/* Takes a unit from the columns that declare it: of this result they are pure numbers. */
SN_CHECKED sn_status sn_result_without_unit(sn_result *result, const char *unit);
/* Returns a text in the result's language; formats keep their conversions. */
const char *sn_result_word(const sn_result *result, const char *english) __attribute__((format_arg(2)));

/* The arena that lives as long as the result, for texts it should own. */
sn_arena *sn_result_arena(sn_result *result);
sn_ctx *sn_result_ctx(const sn_result *result);
/* The parameters the result was made with, as a JSON object owned by the result; "{}" until one of the two calls sets
 * them. */
const char *sn_result_param_json(const sn_result *result);
SN_CHECKED sn_status sn_result_set_param(sn_result *result, const void *param);
SN_CHECKED sn_status sn_result_set_param_json(sn_result *result, const char *json);

/* For the store, which reads results back: a result in an arena that it then owns (on success), and any line. */
SN_CHECKED sn_status sn_result_open_in(sn_result **out, sn_arena *arena, const sn_method *method);
SN_CHECKED sn_status sn_result_add_line(sn_result *result, sn_line_kind kind, const char *key, const char *text);

#endif
