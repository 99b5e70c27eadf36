/* JSON Lines: one JSON object a line; empty lines are skipped. */
#ifndef SN_IO_JSONL_H
#define SN_IO_JSONL_H

#include <jansson.h>

#include "io/lines.h"

/* Sets *out to the next line's object, the caller's to json_decref; NULL at the end. lines->line is its number.
 * SN_EPARSE names line and column of bad syntax, of a duplicate key, and of a line that is no object. */
SN_CHECKED sn_status sn_jsonl_next(sn_ctx *ctx, sn_lines *lines, json_t **out);

#endif
