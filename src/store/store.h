/* The store: one SQLite file with runs, their parameters and provenance, the declarations of their tables, and their
 * rows.
 *
 * Rows of table T of method F/M lie in an SQL table "F_M_T" (columns sn_run, sn_row, then the declared ones), so that
 * they can be queried with SQL; columns that a later version of a method declares are added. Declarations are stored
 * with each run, so any run can be read back and drawn as it was, whatever the methods have become. */
#ifndef SN_STORE_STORE_H
#define SN_STORE_STORE_H

#include "data/result.h"

typedef struct sn_store sn_store;

/* Opens a store, creating the file if create. SN_EIO; SN_EPARSE for a file that is no store or was written by a newer
 * version. */
SN_CHECKED sn_status sn_store_open(sn_store **out, sn_ctx *ctx, const char *path, bool create);
void sn_store_close(sn_store *store);

/* Writes a result in one transaction: all or nothing. status: how its run ended; seconds: how long it took. *run: its
 * number. */
SN_CHECKED sn_status sn_store_put(sn_store *store, const sn_result *result, sn_status status, double seconds,
								  int64_t *run);

typedef struct sn_run_info {
	int64_t run, n_row;                                               /* n_row: in all tables together */
	const char *family, *method, *time, *status, *model, *param_json; /* "" where unknown */
	double seconds;
} sn_run_info;
/* Lists the runs, newest first, from arena. */
SN_CHECKED sn_status sn_store_list(sn_store *store, sn_arena *arena, sn_run_info **out, int64_t *n);
/* Reads a run back; the result owns its declarations. SN_ENOTFOUND. */
SN_CHECKED sn_status sn_store_load(sn_result **out, sn_store *store, int64_t run);

#endif
