/* Data sets from text in memory; sn_dataset_open in sonde.h reads files. */
#ifndef SN_DATA_DATASET_H
#define SN_DATA_DATASET_H

#include "base/base.h"

typedef enum sn_data_format { SN_DATA_JSONL, SN_DATA_CSV, SN_DATA_TSV, SN_DATA_CONLLU, SN_DATA_LINES } sn_data_format;

/* Reads size bytes of a format:
 *   JSONL   an object a line: nested objects become dotted names, two whole numbers a span, other arrays name.0,
 * name.1, ...; null is missing. CSV     the first record names the columns; an empty field is missing; columns of
 * numbers or bools are recognised. TSV     the same without quoting. One or two columns none of which bears a common
 * name (text, good, bad, label, ...) have no header: they are `text`, or `good` and `bad`. CONLLU  a sentence a row:
 * sent_id, text, n_words (io/conllu.h gives the words). LINES   a line a row: text; empty lines are left out. source
 * stands for the path in error texts. SN_EPARSE names the line. */
SN_CHECKED sn_status sn_dataset_parse(sn_dataset **out, sn_ctx *ctx, const char *source, sn_data_format format,
									  const char *text, size_t size);

#endif
