/* Tables as text. CSV after RFC 4180: fields in quotes may hold separators, line ends and doubled quotes. TSV after
 * IANA text/tab-separated-values: no quoting, a quotation mark is a character like any other. LF and CRLF, byte order
 * mark; empty lines are skipped. */
#ifndef SN_IO_CSV_H
#define SN_IO_CSV_H

#include "io/lines.h"
#include "io/pool.h"

typedef struct sn_csv {
	sn_ctx *ctx;
	const char *source;
	const char *data; /* borrowed */
	size_t size, pos;
	char separator;          /* ',' or '\t' */
	sn_pool pool;            /* where fields are put */
	int64_t line, next_line; /* first line of the record, and the one behind it, from 1 */
	int n;                   /* fields of the record */
	const char *
		*field; /* [n], NUL-terminated; the strings live as long as the arena, the array until the next record */
	int room;
} sn_csv;

/* Starts reading text, which must be UTF-8 without NUL (SN_EPARSE); fields are put into arena. */
SN_CHECKED sn_status sn_csv_start(sn_csv *csv, sn_ctx *ctx, const char *source, const char *data, size_t size,
								  char separator, sn_arena *arena);
/* Reads one record; *more is false, with n = 0, at the end. SN_EPARSE names the line of a quote that is never closed or
 * is followed by text. */
SN_CHECKED sn_status sn_csv_next(sn_csv *csv, bool *more);

#endif
