/* Reading runs back: the list, and one run with its own declarations. */
#include "store/sql.h"

/* ---- the list ---- */

static const char list_sql[] = "SELECT r.run, r.family, r.method, r.time, r.status, r.seconds, r.param_json,"
							   " (SELECT sum(t.n_row) FROM sn_table t WHERE t.run = r.run),"
							   " (SELECT l.text FROM sn_line l WHERE l.run = r.run AND l.kind = ? AND l.key = 'model')"
							   " FROM sn_run r ORDER BY r.run DESC";

static sn_status read_info(sqlite3_stmt *s, sn_arena *arena, sn_run_info *out)
{
	*out = (sn_run_info){
		.run = sqlite3_column_int64(s, 0),
		.family = sn_sql_text(s, 1, arena),
		.method = sn_sql_text(s, 2, arena),
		.time = sn_sql_text(s, 3, arena),
		.status = sn_sql_text(s, 4, arena),
		.seconds = sqlite3_column_double(s, 5),
		.param_json = sn_sql_text(s, 6, arena),
		.n_row = sqlite3_column_int64(s, 7),
		.model = sn_sql_text(s, 8, arena),
	};
	return out->family && out->method && out->time && out->status && out->param_json && out->model ? SN_OK : SN_ENOMEM;
}

static sn_status count_rows(sn_store *store, const char *sql, int64_t run, int64_t *n)
{
	sqlite3_stmt *s;
	bool more;
	SN_TRY(sn_sql_prepare(store, sql, &s));
	sqlite3_bind_int64(s, 1, run);
	sn_status status = sn_sql_next(store, s, &more);
	*n = status == SN_OK && more ? sqlite3_column_int64(s, 0) : 0;
	sqlite3_finalize(s);
	return status;
}

static sn_status read_list(sn_store *store, sqlite3_stmt *s, sn_arena *arena, sn_run_info *info, int64_t room,
						   int64_t *n)
{
	bool more = true;
	sqlite3_bind_int(s, 1, SN_LINE_PROVENANCE);
	for (*n = 0; *n < room; (*n)++) {
		SN_TRY(sn_sql_next(store, s, &more));
		if (!more) return SN_OK;
		SN_TRY(read_info(s, arena, &info[*n]));
	}
	return SN_OK;
}

sn_status sn_store_list(sn_store *store, sn_arena *arena, sn_run_info **out, int64_t *n)
{
	int64_t room;
	sqlite3_stmt *s;
	SN_TRY(count_rows(store, "SELECT count(*) FROM sn_run WHERE ?1 IS NOT NULL", 0, &room));
	SN_NEW(*out, arena, sn_run_info, room);
	SN_TRY(sn_sql_prepare(store, list_sql, &s));
	sn_status status = read_list(store, s, arena, *out, room, n);
	sqlite3_finalize(s);
	return status;
}

/* ---- declarations ---- */

/* Calls take for each row of a query with the run as its first parameter and arg as its second. */
typedef sn_status take_fn(sqlite3_stmt *s, int64_t i, sn_arena *arena, void *into);

static sn_status each_row(sn_store *store, const char *sql, int64_t run, int64_t arg, sn_arena *arena, take_fn *take,
						  void *into)
{
	sqlite3_stmt *s;
	bool more = true;
	SN_TRY(sn_sql_prepare(store, sql, &s));
	sqlite3_bind_int64(s, 1, run);
	if (sqlite3_bind_parameter_count(s) > 1) sqlite3_bind_int64(s, 2, arg);
	sn_status status = SN_OK;
	for (int64_t i = 0; status == SN_OK; i++) {
		status = sn_sql_next(store, s, &more);
		if (status != SN_OK || !more) break;
		status = take(s, i, arena, into);
	}
	sqlite3_finalize(s);
	return status;
}

/* NULL stays NULL, as in a method's own row. */
static const char *text_or_null(sqlite3_stmt *s, int col, sn_arena *arena)
{
	return sqlite3_column_type(s, col) == SQLITE_NULL ? NULL : sn_sql_text(s, col, arena);
}

static sn_status take_method(sqlite3_stmt *s, int64_t i, sn_arena *arena, void *into)
{
	sn_method *m = into;
	(void)i;
	m->family = sn_sql_text(s, 0, arena);
	m->name = sn_sql_text(s, 1, arena);
	m->brief = text_or_null(s, 2, arena);
	m->doc = text_or_null(s, 3, arena);
	m->cite = text_or_null(s, 4, arena);
	return m->family && m->name ? SN_OK : SN_ENOMEM;
}

/* Codes come from the file: one outside its list means that somebody else wrote there. */
static sn_status check_code(sn_arena *arena, const char *what, int64_t code, int64_t n)
{
	if (code >= 0 && code < n) return SN_OK;
	return sn_fail(sn_arena_ctx(arena), SN_EPARSE, "the store is damaged: %s is %lld, expected 0 to %lld; use a copy",
				   what, (long long)code, (long long)n - 1);
}

static sn_status take_table(sqlite3_stmt *s, int64_t i, sn_arena *arena, void *into)
{
	sn_table *t = (sn_table *)into + i;
	SN_TRY(check_code(arena, "the view of a table", sqlite3_column_int64(s, 3), SN_VIEWS));
	*t = (sn_table){ .name = sn_sql_text(s, 0, arena),
					 .title = text_or_null(s, 1, arena),
					 .caption = text_or_null(s, 2, arena),
					 .view = (sn_view)sqlite3_column_int(s, 3),
					 .appendix = sqlite3_column_int(s, 4) };
	return t->name ? SN_OK : SN_ENOMEM;
}

static sn_status take_col(sqlite3_stmt *s, int64_t i, sn_arena *arena, void *into)
{
	sn_col *c = (sn_col *)into + i;
	SN_TRY(check_code(arena, "the type of a column", sqlite3_column_int64(s, 4), SN_TYPES));
	SN_TRY(check_code(arena, "the role of a column", sqlite3_column_int64(s, 5), SN_ROLES));
	*c = (sn_col){ .name = sn_sql_text(s, 0, arena),
				   .title = text_or_null(s, 1, arena),
				   .unit = text_or_null(s, 2, arena),
				   .of = text_or_null(s, 3, arena),
				   .type = (sn_type)sqlite3_column_int(s, 4),
				   .role = (sn_role)sqlite3_column_int(s, 5),
				   .better = sqlite3_column_int(s, 6) };
	return c->name ? SN_OK : SN_ENOMEM;
}

static sn_status take_param(sqlite3_stmt *s, int64_t i, sn_arena *arena, void *into)
{
	sn_param *p = (sn_param *)into + i;
	SN_TRY(check_code(arena, "the type of a parameter", sqlite3_column_int64(s, 3), SN_TYPES));
	*p = (sn_param){ .name = sn_sql_text(s, 0, arena),
					 .unit = text_or_null(s, 1, arena),
					 .help = text_or_null(s, 2, arena),
					 .type = (sn_type)sqlite3_column_int(s, 3) };
	return p->name ? SN_OK : SN_ENOMEM;
}

static sn_status load_table(sn_store *store, int64_t run, int t, sn_table *table, sn_arena *arena)
{
	int64_t n;
	sn_col *col;
	char count[96];
	sn_format(count, sizeof count, "SELECT count(*) FROM sn_col WHERE run = ? AND tab = %d", t);
	SN_TRY(count_rows(store, count, run, &n));
	SN_NEW(col, arena, sn_col, n);
	table->col = col;
	table->n_col = (int)n;
	return each_row(
		store,
		"SELECT name, title, unit, of, type, role, better FROM sn_col WHERE run = ? AND tab = ? ORDER BY position", run,
		t, arena, take_col, col);
}

static sn_status load_param(sn_store *store, int64_t run, sn_method *m, sn_arena *arena)
{
	int64_t n;
	sn_param *param;
	SN_TRY(count_rows(store, "SELECT count(*) FROM sn_param WHERE run = ?", run, &n));
	SN_NEW(param, arena, sn_param, n);
	m->param = param;
	m->n_param = (int)n;
	return each_row(store, "SELECT name, unit, help, type FROM sn_param WHERE run = ? ORDER BY position", run, 0, arena,
					take_param, param);
}

static sn_status load_method(sn_store *store, int64_t run, sn_arena *arena, sn_method *m)
{
	int64_t n;
	sn_table *table;
	SN_TRY(each_row(store, "SELECT family, method, brief, doc, cite FROM sn_run WHERE run = ?", run, 0, arena,
					take_method, m));
	if (!m->name)
		return sn_fail(store->ctx, SN_ENOTFOUND, "%s: no run %lld; `sonde runs list` shows what it holds", store->path,
					   (long long)run);
	SN_TRY(load_param(store, run, m, arena));
	SN_TRY(count_rows(store, "SELECT count(*) FROM sn_table WHERE run = ?", run, &n));
	SN_NEW(table, arena, sn_table, n);
	m->table = table;
	m->n_table = (int)n;
	SN_TRY(each_row(store, "SELECT name, title, caption, view, appendix FROM sn_table WHERE run = ? ORDER BY position",
					run, 0, arena, take_table, table));
	for (int t = 0; t < m->n_table; t++) SN_TRY(load_table(store, run, t, &table[t], arena));
	return SN_OK;
}

/* ---- lines and rows ---- */

static sn_status take_line(sqlite3_stmt *s, int64_t i, sn_arena *arena, void *into)
{
	(void)i;
	SN_TRY(check_code(arena, "the kind of a line", sqlite3_column_int64(s, 0), SN_LINE_KINDS));
	const char *key = sn_sql_text(s, 1, arena), *text = sn_sql_text(s, 2, arena);
	if (!key || !text) return SN_ENOMEM;
	return sn_result_add_line(into, (sn_line_kind)sqlite3_column_int(s, 0), key, text);
}

static sn_status take_json(sqlite3_stmt *s, int64_t i, sn_arena *arena, void *into)
{
	(void)i;
	const char *json = sn_sql_text(s, 0, arena);
	return json ? sn_result_set_param_json(into, json) : SN_ENOMEM;
}

typedef struct row_reader {
	sn_result *result;
	int table;
	sn_cell *cell;
} row_reader;

static sn_cell read_cell(sqlite3_stmt *s, int c, sn_type type)
{
	if (sqlite3_column_type(s, c) == SQLITE_NULL) return sn_none();
	if (type == SN_TYPE_FLOAT) return sn_num(sqlite3_column_double(s, c));
	if (type == SN_TYPE_TEXT) return sn_text((const char *)sqlite3_column_text(s, c));
	return (sn_cell){ type, { .i = sqlite3_column_int64(s, c) } };
}

static sn_status take_row(sqlite3_stmt *s, int64_t i, sn_arena *arena, void *into)
{
	row_reader *reader = into;
	const sn_table *table = &sn_result_method(reader->result)->table[reader->table];
	(void)i, (void)arena;
	for (int c = 0; c < table->n_col; c++) reader->cell[c] = read_cell(s, c, table->col[c].type);
	return sn_result_add(reader->result, reader->table, reader->cell, table->n_col);
}

static sn_status load_rows(sn_store *store, int64_t run, sn_result *r, int t, sn_arena *arena)
{
	const sn_method *m = sn_result_method(r);
	const sn_table *table = &m->table[t];
	row_reader reader = { r, t, SN_TAKE(arena, sn_cell, table->n_col) };
	int64_t n;
	char count[96];
	sn_format(count, sizeof count, "SELECT n_row FROM sn_table WHERE run = ? AND position = %d", t);
	SN_TRY(count_rows(store, count, run, &n));
	if (n == 0 || !reader.cell) return n == 0 ? SN_OK : SN_ENOMEM;
	sn_buf sql = { .ctx = store->ctx };
	sn_buf_puts(&sql, "SELECT ");
	for (int c = 0; c < table->n_col; c++) {
		sn_buf_puts(&sql, c ? ", " : "");
		sn_sql_name(&sql, table->col[c].name);
	}
	sn_buf_puts(&sql, " FROM ");
	sn_sql_rows_name(&sql, m, table);
	sn_buf_puts(&sql, " WHERE \"sn_run\" = ? ORDER BY \"sn_row\"");
	sn_status status = sql.failed ? SN_ENOMEM : each_row(store, sql.data, run, 0, arena, take_row, &reader);
	sn_buf_free(&sql);
	return status;
}

static sn_status load_into(sn_store *store, int64_t run, sn_result *r, sn_arena *arena)
{
	SN_TRY(each_row(store, "SELECT param_json FROM sn_run WHERE run = ?", run, 0, arena, take_json, r));
	SN_TRY(each_row(store, "SELECT kind, key, text FROM sn_line WHERE run = ? ORDER BY kind, position", run, 0, arena,
					take_line, r));
	for (int t = 0; t < sn_result_method(r)->n_table; t++) SN_TRY(load_rows(store, run, r, t, arena));
	return SN_OK;
}

sn_status sn_store_load(sn_result **out, sn_store *store, int64_t run)
{
	sn_arena *arena;
	*out = NULL;
	SN_TRY(sn_arena_open(&arena, store->ctx));
	sn_method *m = SN_TAKE(arena, sn_method, 1);
	sn_status status = m ? load_method(store, run, arena, m) : SN_ENOMEM;
	if (status == SN_OK) status = sn_result_open_in(out, arena, m);
	if (status == SN_OK) status = load_into(store, run, *out, arena);
	if (status != SN_OK) {
		sn_arena_close(arena);
		*out = NULL;
	}
	return status;
}
