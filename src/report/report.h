/* Results drawn from their declared tables alone: for the terminal, as CSV and JSON, as SVG figures, as one HTML page.
 * Every function appends to a growing string. */
#ifndef SN_REPORT_REPORT_H
#define SN_REPORT_REPORT_H

#include "data/result.h"

/* The summary, each table (figures with two dimensions as a grid), limitations; at most max_rows rows a table (0: all).
 * color: with the escape sequences of terminals. */
SN_CHECKED sn_status sn_report_text(sn_buf *buf, const sn_result *result, int64_t max_rows, bool color);
/* All rows of all tables in one CSV: a column `table`, then the union of all columns; empty fields where a table has
 * none. */
void sn_report_csv(sn_buf *buf, const sn_result *result);
/* The same separated by tabs, without quoting. */
void sn_report_tsv(sn_buf *buf, const sn_result *result);
/* One JSON object: method, parameters, provenance, summary, limitations, citations, tables with columns and rows. */
void sn_report_json(sn_buf *buf, const sn_result *result);
/* One self-contained HTML page: no script, no network. */
SN_CHECKED sn_status sn_report_html(sn_buf *buf, const sn_result *result);
/* The figure of a table as one SVG document, or nothing for views without a figure (TABLE, TEXT) and empty tables. */
SN_CHECKED sn_status sn_report_svg(sn_buf *buf, const sn_result *result, int table);
/* The same for the page: a document for each map, so that printed pages end between them. */
SN_CHECKED sn_status sn_report_figure(sn_buf *buf, const sn_result *result, int table);

/* A plain text table: header and cells are borrowed, n_col to a row; numbers (right) are aligned right. */
void sn_text_table(sn_buf *buf, const char *const *header, const bool *right, int n_col, const char *const *cell,
				   int64_t n_row);

#endif
