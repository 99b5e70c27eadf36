#include "data/result.h"
#include "base/option.h"
#include "data/russian.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 64 }; /* rows taken from the arena together */

typedef struct rows {
	sn_value **chunk;
	int64_t n, room; /* rows; chunks that fit the list */
} rows;

struct sn_result {
	sn_arena *arena;
	const sn_method *method;
	rows *table;
	sn_line *line;
	int n_line, line_room;
	const char *param_json;
	bool russian;   /* a line of its provenance says so */
};

/* ---- opening and closing ---- */

sn_status sn_result_open_in(sn_result **out, sn_arena *arena, const sn_method *method)
{
	sn_result *r;
	*out = NULL;
	SN_NEW(r, arena, sn_result, 1);
	*r = (sn_result){ .arena = arena, .method = method, .param_json = "{}" };
	SN_NEW(r->table, arena, rows, method->n_table);
	*out = r;
	return SN_OK;
}

sn_status sn_result_open(sn_result **out, sn_ctx *ctx, const sn_method *method)
{
	sn_arena *arena;
	*out = NULL;
	if (!method) return sn_fail(ctx, SN_EARG, "a result needs the method it comes from, found none");
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = sn_result_open_in(out, arena, method);
	if (status != SN_OK) sn_arena_close(arena);
	return status;
}

void sn_result_close(sn_result *result)
{
	if (result) sn_arena_close(result->arena); /* which holds the result itself */
}

sn_arena *sn_result_arena(sn_result *result) { return result->arena; }
sn_ctx *sn_result_ctx(const sn_result *result) { return sn_arena_ctx(result->arena); }
const sn_method *sn_result_method(const sn_result *result) { return result->method; }

/* ---- language ---- */

static const char LANGUAGE[] = "language";   /* provenance, so that a kept result knows it */

const char *sn_result_word(const sn_result *result, const char *english)
{
	return result->russian && english ? sn_ru(english) : english;
}

/* ---- declarations of the result's own ---- */

/* What becomes of a declared table (col NULL) or of one of its columns. */
typedef void change(const sn_result *r, const void *arg, sn_table *table, sn_col *col);

static sn_status change_columns(sn_result *r, sn_table *t, change *how, const void *arg)
{
	sn_col *col;
	SN_NEW(col, r->arena, sn_col, t->n_col);
	for (int c = 0; c < t->n_col; c++) {
		col[c] = t->col[c];
		how(r, arg, t, &col[c]);
	}
	t->col = col;
	return SN_OK;
}

static sn_status change_tables(sn_result *r, sn_method *m, change *how, const void *arg)
{
	sn_table *table;
	SN_NEW(table, r->arena, sn_table, m->n_table);
	for (int t = 0; t < m->n_table; t++) {
		table[t] = m->table[t];
		how(r, arg, &table[t], NULL);
		SN_TRY(change_columns(r, &table[t], how, arg));
	}
	m->table = table;
	return SN_OK;
}

static sn_status change_method(sn_result *r, change *how, const void *arg, sn_method **out)
{
	SN_NEW(*out, r->arena, sn_method, 1);
	**out = *r->method;
	SN_TRY(change_tables(r, *out, how, arg));
	r->method = *out;
	return SN_OK;
}

static void translate(const sn_result *r, const void *arg, sn_table *table, sn_col *col)
{
	(void)arg;
	const char **title = col ? &col->title : &table->title, **more = col ? &col->unit : &table->caption;
	*title = sn_result_word(r, *title);
	*more = sn_result_word(r, *more);
}

sn_status sn_result_in_russian(sn_result *result)
{
	sn_method *m;
	SN_TRY(sn_result_set(result, LANGUAGE, "ru"));
	SN_TRY(change_method(result, translate, NULL, &m));
	m->brief = sn_result_word(result, m->brief);
	m->doc = sn_result_word(result, m->doc);
	return SN_OK;
}

static void drop_unit(const sn_result *r, const void *unit, sn_table *table, sn_col *col)
{
	(void)r, (void)table;
	if (col && col->unit && strcmp(col->unit, unit) == 0) col->unit = NULL;
}

sn_status sn_result_without_unit(sn_result *result, const char *unit)
{
	sn_method *m;
	return change_method(result, drop_unit, unit, &m);
}

/* ---- missing values ---- */

bool sn_value_missing(sn_type type, const sn_value *value)
{
	switch (type) {
	case SN_TYPE_INT:
		return value->i == INT64_MIN;
	case SN_TYPE_FLOAT:
		return isnan(value->f);
	case SN_TYPE_TEXT:
		return !value->s;
	case SN_TYPE_BOOL:
		return value->i < 0;
	default:
		return true;
	}
}

sn_value sn_value_none(sn_type type)
{
	return type == SN_TYPE_INT    ? (sn_value){ .i = INT64_MIN }
		   : type == SN_TYPE_BOOL ? (sn_value){ .i = -1 }
								  : (sn_value){ .f = NAN };
}

/* ---- rows ---- */

static bool table_exists(const sn_result *r, int table) { return table >= 0 && table < r->method->n_table; }

int64_t sn_result_rows(const sn_result *r, int table) { return table_exists(r, table) ? r->table[table].n : 0; }

const sn_value *sn_result_row(const sn_result *r, int table, int64_t row)
{
	if (row < 0 || row >= sn_result_rows(r, table)) return NULL;
	return r->table[table].chunk[row / CHUNK] + row % CHUNK * r->method->table[table].n_col;
}

static sn_status check_cells(const sn_result *r, int table, const sn_cell *cell, int n)
{
	sn_ctx *ctx = sn_result_ctx(r);
	static const char *const type[] = { "nothing", "INT", "FLOAT", "TEXT", "BOOL", "SPAN" };
	if (!table_exists(r, table)) return sn_fail(ctx, SN_EINTERNAL, "method %s has no table %d", r->method->name, table);
	const sn_table *t = &r->method->table[table];
	if (n != t->n_col)
		return sn_fail(ctx, SN_EINTERNAL, "table %s: expected a row of %d values, found %d", t->name, t->n_col, n);
	for (int i = 0; i < n; i++) {
		if (cell[i].type == SN_TYPE_NONE || cell[i].type == t->col[i].type) continue;
		return sn_fail(ctx, SN_EINTERNAL, "table %s, column %s: expected %s, found %s", t->name, t->col[i].name,
					   type[t->col[i].type], type[cell[i].type]);
	}
	return SN_OK;
}

static sn_status grow_chunks(sn_result *r, rows *t)
{
	int64_t room = SN_MAX(2 * t->room, 16);
	sn_value **chunk;
	SN_NEW(chunk, r->arena, sn_value *, room);
	if (t->room) memcpy(chunk, t->chunk, (size_t)t->room * sizeof *chunk);
	t->chunk = chunk;
	t->room = room;
	return SN_OK;
}

static sn_status next_place(sn_result *r, int table, sn_value **out)
{
	rows *t = &r->table[table];
	int n_col = r->method->table[table].n_col;
	if (t->n % CHUNK == 0) {
		if (t->n / CHUNK == t->room) SN_TRY(grow_chunks(r, t));
		SN_NEW(t->chunk[t->n / CHUNK], r->arena, sn_value, CHUNK * n_col);
	}
	*out = t->chunk[t->n / CHUNK] + t->n % CHUNK * n_col;
	return SN_OK;
}

/* Neighbouring rows often repeat a word, which is then kept once. */
static const char *keep_text(sn_result *r, const char *text, const sn_value *above)
{
	return above && above->s && strcmp(above->s, text) == 0 ? above->s : sn_arena_string(r->arena, text);
}

sn_status sn_result_add(sn_result *r, int table, const sn_cell *cell, int n)
{
	SN_TRY(check_cells(r, table, cell, n));
	const sn_value *above = sn_result_row(r, table, r->table[table].n - 1);
	sn_value *place;
	SN_TRY(next_place(r, table, &place));
	for (int i = 0; i < n; i++) {
		bool text = cell[i].type == SN_TYPE_TEXT && cell[i].value.s;
		place[i] = cell[i].type == SN_TYPE_NONE ? sn_value_none(r->method->table[table].col[i].type) : cell[i].value;
		if (text && !(place[i].s = keep_text(r, cell[i].value.s, above ? above + i : NULL))) return SN_ENOMEM;
	}
	r->table[table].n++;
	return SN_OK;
}

/* ---- sentences ---- */

static sn_status grow_lines(sn_result *r)
{
	if (r->n_line < r->line_room) return SN_OK;
	int room = SN_MAX(2 * r->line_room, 32);
	sn_line *line;
	SN_NEW(line, r->arena, sn_line, room);
	if (r->n_line) memcpy(line, r->line, (size_t)r->n_line * sizeof *line);
	r->line = line;
	r->line_room = room;
	return SN_OK;
}

static sn_line *find_key(sn_result *r, sn_line_kind kind, const char *key)
{
	for (int i = 0; i < r->n_line; i++)
		if (r->line[i].kind == kind && strcmp(r->line[i].key, key) == 0) return &r->line[i];
	return NULL;
}

sn_status sn_result_add_line(sn_result *r, sn_line_kind kind, const char *key, const char *text)
{
	if (kind == SN_LINE_PROVENANCE && strcmp(key, LANGUAGE) == 0) r->russian = strcmp(text, "ru") == 0;
	const char *copy = sn_arena_string(r->arena, text), *key_copy = sn_arena_string(r->arena, key);
	if (!copy || !key_copy) return SN_ENOMEM;
	sn_line *same = key[0] ? find_key(r, kind, key) : NULL;
	if (same) return same->text = copy, SN_OK;
	SN_TRY(grow_lines(r));
	r->line[r->n_line++] = (sn_line){ kind, key_copy, copy };
	return SN_OK;
}

/* Takes " [nan, nan]" out: an interval that a single unit does not have is not written. */
static void drop_missing_intervals(char *text)
{
	static const char *const missing[] = { " [nan, nan]", " [-nan, -nan]", " [-nan, nan]", " [nan, -nan]" };
	for (int k = 0; k < SN_COUNT(missing); k++)
		for (char *at; (at = strstr(text, missing[k])) != NULL;) {
			const char *rest = at + strlen(missing[k]);
			memmove(at, rest, strlen(rest) + 1);
		}
}

static sn_status add_formatted(sn_result *r, sn_line_kind kind, const char *key, const char *format, va_list args)
{
	va_list again;
	va_copy(again, args);
	int n = sn_vformat(NULL, 0, format, again);
	va_end(again);
	sn_ctx *ctx = sn_result_ctx(r);
	char *text = n < 0 ? NULL : sn_alloc(ctx, (size_t)n + 1);
	if (!text) return SN_ENOMEM;
	sn_vformat(text, (size_t)n + 1, format, args);
	drop_missing_intervals(text);
	sn_status status = sn_result_add_line(r, kind, key, text);
	sn_free(ctx, text);
	return status;
}

sn_status sn_result_say(sn_result *r, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	sn_status status = add_formatted(r, SN_LINE_SUMMARY, "", format, args);
	va_end(args);
	return status;
}

sn_status sn_result_limit(sn_result *r, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	sn_status status = add_formatted(r, SN_LINE_LIMIT, "", format, args);
	va_end(args);
	return status;
}

sn_status sn_result_set(sn_result *r, const char *key, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	sn_status status = add_formatted(r, SN_LINE_PROVENANCE, key, format, args);
	va_end(args);
	return status;
}

sn_status sn_result_cite(sn_result *r, const char *text) { return sn_result_add_line(r, SN_LINE_CITE, "", text); }

const sn_line *sn_result_line(const sn_result *r, sn_line_kind kind, int i)
{
	for (int k = 0; k < r->n_line && i >= 0; k++)
		if (r->line[k].kind == kind && i-- == 0) return &r->line[k];
	return NULL;
}

/* ---- parameters ---- */

const char *sn_result_param_json(const sn_result *r) { return r->param_json; }

sn_status sn_result_set_param_json(sn_result *r, const char *json)
{
	const char *copy = sn_arena_string(r->arena, json);
	if (!copy) return SN_ENOMEM;
	r->param_json = copy;
	return SN_OK;
}

static sn_status add_param_lines(sn_result *r, const void *param)
{
	sn_status status = SN_OK;
	for (int i = 0; i < r->method->n_param && status == SN_OK; i++) {
		sn_buf value = { .ctx = sn_result_ctx(r) };
		sn_buf_puts(&value, "");
		sn_param_value(&value, &r->method->param[i], param);
		status = value.failed ? SN_ENOMEM : sn_result_add_line(r, SN_LINE_PARAM, r->method->param[i].name, value.data);
		sn_buf_free(&value);
	}
	return status;
}

sn_status sn_result_set_param(sn_result *r, const void *param)
{
	sn_buf buf = { .ctx = sn_result_ctx(r) };
	sn_param_table table = { r->method->param, r->method->n_param };
	sn_param_json(&buf, &table, param);
	sn_status status = buf.failed ? SN_ENOMEM : sn_result_set_param_json(r, buf.data);
	sn_buf_free(&buf);
	return status == SN_OK ? add_param_lines(r, param) : status;
}
