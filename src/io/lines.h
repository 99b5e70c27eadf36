/* Text in memory, line by line: plain text, and what JSONL and CoNLL-U are read with. */
#ifndef SN_IO_LINES_H
#define SN_IO_LINES_H

#include "base/base.h"
#include "io/bytes.h"

/* Everything is borrowed. Start with sn_lines_make. */
typedef struct sn_lines {
	const char *source; /* path, for error texts */
	const char *data;
	size_t size, pos;
	int64_t line; /* number of the line last returned, from 1 */
} sn_lines;

/* Returns a reader at the first line; a byte order mark is skipped. */
sn_lines sn_lines_make(const char *source, const char *data, size_t size);
/* Sets *out to the next line without its LF or CRLF; false at the end. The last line needs no LF. */
bool sn_lines_next(sn_lines *lines, sn_slice *out);
/* Returns true if only spaces and tabs stand there. */
bool sn_slice_blank(sn_slice text);
/* Refuses (SN_EPARSE, naming line and column) text that is not UTF-8 or holds a NUL byte, which C strings cannot. */
SN_CHECKED sn_status sn_text_check(sn_ctx *ctx, const char *source, const char *data, size_t size);

#endif
