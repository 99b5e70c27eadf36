/* Opening a store, and writing results into it. */
#include "store/store.h"
#include "store/sql.h"

#include <string.h>
#include <unistd.h>

enum { SCHEMA_VERSION = 1, APPLICATION_ID = 0x536f6e64 }; /* "Sond" */

static const char schema[] =
	"CREATE TABLE sn_run (run INTEGER PRIMARY KEY, family TEXT NOT NULL, method TEXT NOT NULL, brief TEXT, doc TEXT, "
	"cite TEXT,"
	" time TEXT, status TEXT NOT NULL, seconds REAL, param_json TEXT NOT NULL);"
	"CREATE TABLE sn_line (run INTEGER NOT NULL REFERENCES sn_run(run), kind INTEGER NOT NULL, position INTEGER NOT "
	"NULL,"
	" key TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (run, kind, position)) WITHOUT ROWID;"
	"CREATE TABLE sn_table (run INTEGER NOT NULL REFERENCES sn_run(run), position INTEGER NOT NULL, name TEXT NOT NULL,"
	" title TEXT, caption TEXT, view INTEGER NOT NULL, appendix INTEGER NOT NULL, n_row INTEGER NOT NULL,"
	" PRIMARY KEY (run, position)) WITHOUT ROWID;"
	"CREATE TABLE sn_col (run INTEGER NOT NULL REFERENCES sn_run(run), tab INTEGER NOT NULL, position INTEGER NOT NULL,"
	" name TEXT NOT NULL, title TEXT, unit TEXT, of TEXT, type INTEGER NOT NULL, role INTEGER NOT NULL, better INTEGER "
	"NOT NULL,"
	" PRIMARY KEY (run, tab, position)) WITHOUT ROWID;"
	"CREATE TABLE sn_param (run INTEGER NOT NULL REFERENCES sn_run(run), position INTEGER NOT NULL, name TEXT NOT NULL,"
	" unit TEXT, help TEXT, type INTEGER NOT NULL, PRIMARY KEY (run, position)) WITHOUT ROWID;";

/* ---- opening ---- */

static sn_status pragma_number(sn_store *store, const char *sql, int64_t *out)
{
	sqlite3_stmt *statement;
	bool more;
	SN_TRY(sn_sql_prepare(store, sql, &statement));
	sn_status status = sn_sql_next(store, statement, &more);
	if (status == SN_OK) *out = more ? sqlite3_column_int64(statement, 0) : 0;
	sqlite3_finalize(statement);
	return status;
}

static sn_status create_schema(sn_store *store)
{
	char sql[sizeof schema + 128];
	sn_format(sql, sizeof sql, "BEGIN IMMEDIATE; PRAGMA application_id = %d; PRAGMA user_version = %d; %s COMMIT;",
			  APPLICATION_ID, SCHEMA_VERSION, schema);
	sn_status status = sn_sql_exec(store, sql);
	if (status != SN_OK) sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	return status;
}

static sn_status check_schema(sn_store *store)
{
	int64_t application, version, tables;
	SN_TRY(pragma_number(store, "PRAGMA application_id", &application));
	SN_TRY(pragma_number(store, "PRAGMA user_version", &version));
	SN_TRY(pragma_number(store, "SELECT count(*) FROM sqlite_schema", &tables));
	if (application == 0 && version == 0 && tables == 0) return create_schema(store);
	if (application != APPLICATION_ID)
		return sn_fail(store->ctx, SN_EPARSE, "%s: an SQLite file, but not a store of Sonde; give another file",
					   store->path);
	if (version > SCHEMA_VERSION)
		return sn_fail(store->ctx, SN_EPARSE,
					   "%s: written by a newer Sonde (schema %lld, this one knows %d); update Sonde", store->path,
					   (long long)version, SCHEMA_VERSION);
	return SN_OK;
}

static sn_status connect(sn_store *store, bool create)
{
	int flags = SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0);
	if (!create && access(store->path, F_OK) != 0)
		return sn_fail(store->ctx, SN_ENOTFOUND,
					   "%s: no such store; runs are kept when a command gets --store or --out", store->path);
	if (sqlite3_open_v2(store->path, &store->db, flags, NULL) != SQLITE_OK) {
		if (!store->db) return sn_fail(store->ctx, SN_ENOMEM, "%s: out of memory to open the store", store->path);
		return sn_sql_error(store, "open");
	}
	sqlite3_busy_timeout(store->db, 10000);
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_DQS_DML, 0,
					  NULL); /* a "name" that is no column is an error, not a text */
	SN_TRY(sn_sql_exec(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;"));
	return check_schema(store);
}

sn_status sn_store_open(sn_store **out, sn_ctx *ctx, const char *path, bool create)
{
	sn_arena *arena;
	*out = NULL;
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_store *store = SN_TAKE(arena, sn_store, 1);
	sn_status status = store ? SN_OK : SN_ENOMEM;
	if (store) {
		*store = (sn_store){ .ctx = ctx, .arena = arena, .path = sn_arena_string(arena, path) };
		status = store->path ? connect(store, create) : SN_ENOMEM;
		if (status == SN_OK)
			*out = store;
		else
			sqlite3_close(store->db);
	}
	if (status != SN_OK) sn_arena_close(arena);
	return status;
}

void sn_store_close(sn_store *store)
{
	if (!store) return;
	sqlite3_close(store->db);
	sn_arena_close(store->arena);
}

/* ---- writing ---- */

static sn_status put_one(sn_store *store, const char *sql, const sn_cell *value, int n)
{
	sqlite3_stmt *statement;
	SN_TRY(sn_sql_prepare(store, sql, &statement));
	sn_status status = sn_sql_put(store, statement, value, n);
	sqlite3_finalize(statement);
	return status;
}
#define PUT(store, sql, ...)                                                                                           \
	put_one((store), (sql), (const sn_cell[]){ __VA_ARGS__ },                                                          \
			(int)(sizeof((const sn_cell[]){ __VA_ARGS__ }) / sizeof(sn_cell)))

static const char *provenance(const sn_result *r, const char *key)
{
	const sn_line *line;
	for (int i = 0; (line = sn_result_line(r, SN_LINE_PROVENANCE, i)); i++)
		if (strcmp(line->key, key) == 0) return line->text;
	return NULL;
}

static sn_status put_run(sn_store *store, const sn_result *r, sn_status ended, double seconds, int64_t *run)
{
	const sn_method *m = sn_result_method(r);
	SN_TRY(PUT(store,
			   "INSERT INTO sn_run (family, method, brief, doc, cite, time, status, seconds, param_json) VALUES "
			   "(?,?,?,?,?,?,?,?,?)",
			   sn_text(m->family), sn_text(m->name), sn_text(m->brief), sn_text(m->doc), sn_text(m->cite),
			   sn_text(provenance(r, "time")), sn_text(sn_status_text(ended)), sn_num(seconds),
			   sn_text(sn_result_param_json(r))));
	*run = sqlite3_last_insert_rowid(store->db);
	return SN_OK;
}

static sn_status put_lines(sn_store *store, const sn_result *r, int64_t run)
{
	for (int kind = 0; kind < SN_LINE_KINDS; kind++) {
		const sn_line *line;
		for (int i = 0; (line = sn_result_line(r, (sn_line_kind)kind, i)); i++)
			SN_TRY(PUT(store, "INSERT INTO sn_line VALUES (?,?,?,?,?)", sn_int(run), sn_int(kind), sn_int(i),
					   sn_text(line->key), sn_text(line->text)));
	}
	return SN_OK;
}

static sn_status put_param(sn_store *store, const sn_method *m, int64_t run)
{
	for (int i = 0; i < m->n_param; i++)
		SN_TRY(PUT(store, "INSERT INTO sn_param VALUES (?,?,?,?,?,?)", sn_int(run), sn_int(i),
				   sn_text(m->param[i].name), sn_text(m->param[i].unit), sn_text(m->param[i].help),
				   sn_int(m->param[i].type)));
	return SN_OK;
}

static sn_status put_declaration(sn_store *store, const sn_result *r, int t, int64_t run)
{
	const sn_table *table = &sn_result_method(r)->table[t];
	SN_TRY(PUT(store, "INSERT INTO sn_table VALUES (?,?,?,?,?,?,?,?)", sn_int(run), sn_int(t), sn_text(table->name),
			   sn_text(table->title), sn_text(table->caption), sn_int(table->view), sn_flag(table->appendix),
			   sn_int(sn_result_rows(r, t))));
	for (int i = 0; i < table->n_col; i++) {
		const sn_col *c = &table->col[i];
		SN_TRY(PUT(store, "INSERT INTO sn_col VALUES (?,?,?,?,?,?,?,?,?,?)", sn_int(run), sn_int(t), sn_int(i),
				   sn_text(c->name), sn_text(c->title), sn_text(c->unit), sn_text(c->of), sn_int(c->type),
				   sn_int(c->role), sn_int(c->better)));
	}
	return SN_OK;
}

/* ---- rows ---- */

static const char *sql_type(sn_type type)
{
	return type == SN_TYPE_FLOAT ? "REAL" : type == SN_TYPE_TEXT ? "TEXT" : "INTEGER";
}

static sn_status exec_buf(sn_store *store, sn_buf *sql)
{
	sn_status status = sql->failed ? SN_ENOMEM : sn_sql_exec(store, sql->data);
	sn_buf_free(sql);
	return status;
}

static sn_status create_rows_table(sn_store *store, const sn_method *m, const sn_table *table)
{
	sn_buf sql = { .ctx = store->ctx };
	sn_buf_puts(&sql, "CREATE TABLE IF NOT EXISTS ");
	sn_sql_rows_name(&sql, m, table);
	sn_buf_puts(&sql, " (\"sn_run\" INTEGER NOT NULL REFERENCES sn_run(run), \"sn_row\" INTEGER NOT NULL, PRIMARY KEY "
					  "(\"sn_run\", \"sn_row\"))");
	return exec_buf(store, &sql);
}

static sn_status has_column(sn_store *store, const sn_method *m, const sn_table *table, const char *name, bool *has)
{
	sn_buf sql = { .ctx = store->ctx };
	sn_buf_puts(&sql, "PRAGMA table_info(");
	sn_sql_rows_name(&sql, m, table);
	sn_buf_puts(&sql, ")");
	sqlite3_stmt *statement = NULL;
	sn_status status = sql.failed ? SN_ENOMEM : sn_sql_prepare(store, sql.data, &statement);
	bool more = true;
	*has = false;
	while (status == SN_OK && more && !*has) {
		status = sn_sql_next(store, statement, &more);
		if (status == SN_OK && more) *has = sqlite3_stricmp((const char *)sqlite3_column_text(statement, 1), name) == 0;
	}
	sqlite3_finalize(statement);
	sn_buf_free(&sql);
	return status;
}

static sn_status add_missing_columns(sn_store *store, const sn_method *m, const sn_table *table)
{
	for (int c = 0; c < table->n_col; c++) {
		bool has;
		SN_TRY(has_column(store, m, table, table->col[c].name, &has));
		if (has) continue;
		sn_buf sql = { .ctx = store->ctx };
		sn_buf_puts(&sql, "ALTER TABLE ");
		sn_sql_rows_name(&sql, m, table);
		sn_buf_puts(&sql, " ADD COLUMN ");
		sn_sql_name(&sql, table->col[c].name);
		sn_buf_format(&sql, " %s", sql_type(table->col[c].type));
		SN_TRY(exec_buf(store, &sql));
	}
	return SN_OK;
}

static void insert_sql(sn_buf *sql, const sn_method *m, const sn_table *table)
{
	sn_buf_puts(sql, "INSERT INTO ");
	sn_sql_rows_name(sql, m, table);
	sn_buf_puts(sql, " (\"sn_run\", \"sn_row\"");
	for (int c = 0; c < table->n_col; c++) {
		sn_buf_puts(sql, ", ");
		sn_sql_name(sql, table->col[c].name);
	}
	sn_buf_puts(sql, ") VALUES (?, ?");
	for (int c = 0; c < table->n_col; c++) sn_buf_puts(sql, ", ?");
	sn_buf_puts(sql, ")");
}

static sn_status insert_rows(sn_store *store, sqlite3_stmt *statement, const sn_result *r, int t, int64_t run,
							 sn_cell *cell)
{
	const sn_table *table = &sn_result_method(r)->table[t];
	for (int64_t row = 0; row < sn_result_rows(r, t); row++) {
		const sn_value *v = sn_result_row(r, t, row);
		cell[0] = sn_int(run);
		cell[1] = sn_int(row);
		for (int c = 0; c < table->n_col; c++) cell[c + 2] = (sn_cell){ table->col[c].type, v[c] };
		SN_TRY(sn_sql_put(store, statement, cell, table->n_col + 2));
	}
	return SN_OK;
}

static sn_status put_rows(sn_store *store, const sn_result *r, int t, int64_t run)
{
	const sn_method *m = sn_result_method(r);
	if (sn_result_rows(r, t) == 0) return SN_OK;
	SN_TRY(create_rows_table(store, m, &m->table[t]));
	SN_TRY(add_missing_columns(store, m, &m->table[t]));
	sn_buf sql = { .ctx = store->ctx };
	insert_sql(&sql, m, &m->table[t]);
	sqlite3_stmt *statement = NULL;
	sn_cell *cell = sn_alloc(store->ctx, sn_size3(sizeof *cell, (size_t)m->table[t].n_col + 2, 1));
	sn_status status = sql.failed || !cell ? SN_ENOMEM : sn_sql_prepare(store, sql.data, &statement);
	if (status == SN_OK) status = insert_rows(store, statement, r, t, run, cell);
	sqlite3_finalize(statement);
	sn_free(store->ctx, cell);
	sn_buf_free(&sql);
	return status;
}

static sn_status put_all(sn_store *store, const sn_result *r, sn_status ended, double seconds, int64_t *run)
{
	SN_TRY(put_run(store, r, ended, seconds, run));
	SN_TRY(put_lines(store, r, *run));
	SN_TRY(put_param(store, sn_result_method(r), *run));
	for (int t = 0; t < sn_result_method(r)->n_table; t++) {
		SN_TRY(put_declaration(store, r, t, *run));
		SN_TRY(put_rows(store, r, t, *run));
	}
	return sn_sql_exec(store, "COMMIT");
}

sn_status sn_store_put(sn_store *store, const sn_result *r, sn_status ended, double seconds, int64_t *run)
{
	SN_TRY(sn_sql_exec(store, "BEGIN IMMEDIATE"));
	sn_status status = put_all(store, r, ended, seconds, run);
	if (status != SN_OK) sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	return status;
}
