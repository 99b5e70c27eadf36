/* Rows to columns: cells arrive row by row under their column's name, each column gets one type at the end. */
#ifndef SN_DATA_ROWS_H
#define SN_DATA_ROWS_H

#include "base/base.h"
#include "io/pool.h"

/* RAW is text from a table without types: it becomes a number or a bool if every cell of its column reads as one. */
typedef enum sn_cell_kind {
	SN_CELL_INT,
	SN_CELL_FLOAT,
	SN_CELL_BOOL,
	SN_CELL_TEXT,
	SN_CELL_SPAN,
	SN_CELL_RAW
} sn_cell_kind;

typedef struct sn_cell {
	sn_cell_kind kind;
	union {
		int64_t i;
		double f;
		bool b;
		const char *s; /* TEXT, RAW: must outlive the data set; put it into the pool */
		int64_t span[2];
	} as;
} sn_cell;

typedef struct sn_rows sn_rows;

/* source: for error texts; bytes: size of what is read, which bounds what the columns may take; arena: the data set's.
 */
SN_CHECKED sn_status sn_rows_open(sn_rows **out, sn_ctx *ctx, const char *source, size_t bytes, sn_arena *arena);
void sn_rows_close(sn_rows *rows);
/* Where to put strings that cells point to. */
sn_pool *sn_rows_pool(sn_rows *rows);
/* Begins a row; line is named in errors. */
void sn_rows_next(sn_rows *rows, int64_t line);
/* Sets a cell of the row. SN_EPARSE when the row has one of that name already, or there are more than 4,096 columns. */
SN_CHECKED sn_status sn_rows_set(sn_rows *rows, const char *name, sn_cell cell);
/* Fills n, n_col and col of the data set. Numbers and text in one column become text; other mixtures are SN_EPARSE, and
 * so are no rows at all, and rows that share so few columns that the table would be far larger than the file. */
SN_CHECKED sn_status sn_rows_finish(sn_rows *rows, sn_dataset *data);

#endif
