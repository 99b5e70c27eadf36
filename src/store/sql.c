#include "store/sql.h"

#include <string.h>

sn_status sn_sql_error(sn_store *store, const char *doing)
{
	int code = sqlite3_errcode(store->db) & 0xff;
	sn_status status = code == SQLITE_FULL     ? SN_EDISK
					   : code == SQLITE_NOMEM  ? SN_ENOMEM
					   : code == SQLITE_NOTADB ? SN_EPARSE
											   : SN_EIO;
	return sn_fail(store->ctx, status, "%s: cannot %s the store: %s", store->path, doing, sqlite3_errmsg(store->db));
}

sn_status sn_sql_exec(sn_store *store, const char *sql)
{
	return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK ? SN_OK : sn_sql_error(store, "write");
}

sn_status sn_sql_prepare(sn_store *store, const char *sql, sqlite3_stmt **out)
{
	*out = NULL;
	return sqlite3_prepare_v2(store->db, sql, -1, out, NULL) == SQLITE_OK ? SN_OK : sn_sql_error(store, "query");
}

static int bind(sqlite3_stmt *statement, int i, const sn_cell *value)
{
	if (sn_value_missing(value->type, &value->value)) return sqlite3_bind_null(statement, i);
	switch (value->type) {
	case SN_TYPE_FLOAT:
		return sqlite3_bind_double(statement, i, value->value.f);
	case SN_TYPE_TEXT:
		return sqlite3_bind_text(statement, i, value->value.s, -1, SQLITE_STATIC);
	default:
		return sqlite3_bind_int64(statement, i, value->value.i);
	}
}

sn_status sn_sql_put(sn_store *store, sqlite3_stmt *statement, const sn_cell *value, int n)
{
	for (int i = 0; i < n; i++)
		if (bind(statement, i + 1, &value[i]) != SQLITE_OK) return sn_sql_error(store, "write");
	if (sqlite3_step(statement) != SQLITE_DONE) return sn_sql_error(store, "write");
	return sqlite3_reset(statement) == SQLITE_OK ? SN_OK : sn_sql_error(store, "write");
}

sn_status sn_sql_next(sn_store *store, sqlite3_stmt *statement, bool *more)
{
	int code = sqlite3_step(statement);
	*more = code == SQLITE_ROW;
	return *more || code == SQLITE_DONE ? SN_OK : sn_sql_error(store, "read");
}

const char *sn_sql_text(sqlite3_stmt *statement, int col, sn_arena *arena)
{
	const unsigned char *text = sqlite3_column_text(statement, col);
	return sn_arena_string(arena, text ? (const char *)text : "");
}

void sn_sql_name(sn_buf *buf, const char *name)
{
	sn_buf_puts(buf, "\"");
	for (; *name; name++) sn_buf_add(buf, *name == '"' ? "\"\"" : name, *name == '"' ? 2 : 1);
	sn_buf_puts(buf, "\"");
}

void sn_sql_rows_name(sn_buf *buf, const sn_method *m, const sn_table *table)
{
	sn_buf name = { .ctx = buf->ctx };
	sn_buf_format(&name, "%s%s%s_%s", m->family, m->family[0] ? "_" : "", m->name, table->name);
	if (name.failed)
		buf->failed = true;
	else
		sn_sql_name(buf, name.data);
	sn_buf_free(&name);
}
