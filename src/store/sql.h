/* SQLite with our status codes. */
#ifndef SN_STORE_SQL_H
#define SN_STORE_SQL_H

#include "store/store.h"

#include <sqlite3.h>

struct sn_store {
	sn_ctx *ctx;
	sqlite3 *db;
	const char *path;
	sn_arena *arena;
};

/* Sets the context's error from the connection's last failure; SQLITE_FULL is SN_EDISK. */
sn_status sn_sql_error(sn_store *store, const char *doing);
/* Runs statements without parameters. */
SN_CHECKED sn_status sn_sql_exec(sn_store *store, const char *sql);
/* Prepares a statement; finalize with sqlite3_finalize. */
SN_CHECKED sn_status sn_sql_prepare(sn_store *store, const char *sql, sqlite3_stmt **out);
/* Binds n values from parameter 1 on, runs to the end and resets the statement for the next row. */
SN_CHECKED sn_status sn_sql_put(sn_store *store, sqlite3_stmt *statement, const sn_cell *value, int n);
/* Steps to the next row: *more says whether there is one. */
SN_CHECKED sn_status sn_sql_next(sn_store *store, sqlite3_stmt *statement, bool *more);
/* A text column copied into arena; "" for NULL. NULL when memory is short. */
const char *sn_sql_text(sqlite3_stmt *statement, int col, sn_arena *arena);
/* Appends "name" quoted as an SQL identifier. */
void sn_sql_name(sn_buf *buf, const char *name);
/* Appends the quoted name of the SQL table that holds rows of a method's table. */
void sn_sql_rows_name(sn_buf *buf, const sn_method *method, const sn_table *table);

#endif
