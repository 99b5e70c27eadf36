/* One table on the page: figure, rows, or list of examples. */
#include "base/write.h"
#include "report/page.h"
#include "report/report.h"
#include "report/tokens.h"

#include <string.h>
#include <strings.h>

enum { MOST_ROWS = 500, LONG_BYTES = 30 };

/* Appends what was written into text, escaped, and gives text back. */
static void escape(sn_buf *buf, sn_buf *text)
{
	if (!text->failed && text->data) sn_write_xml(buf, text->data);
	buf->failed |= text->failed;
	sn_buf_free(text);
}

static void value(sn_buf *buf, const sn_source *s, int64_t row, int col)
{
	sn_buf text = { .ctx = buf->ctx };
	sn_source_write(&text, s, row, col);
	escape(buf, &text);
}

static bool is_bound(const sn_col *c) { return (c->role == SN_LOW || c->role == SN_HIGH) && c->of; }

static bool is_number(const sn_col *c) { return c->type == SN_TYPE_INT || c->type == SN_TYPE_FLOAT; }

/* ---- rows ---- */

static void header_cell(sn_buf *buf, const sn_col *c)
{
	sn_buf_format(buf, "<th scope=\"col\"%s>", is_number(c) ? " class=\"n\"" : "");
	sn_write_xml(buf, sn_col_title(c));
	if (c->better) sn_buf_puts(buf, c->better > 0 ? " ↑" : " ↓");
	if (c->unit && c->unit[0] && strcasecmp(c->unit, sn_col_title(c)) != 0) {
		sn_buf_puts(buf, "<span class=\"unit\">");
		sn_write_xml(buf, c->unit);
		sn_buf_puts(buf, "</span>");
	}
	sn_buf_puts(buf, "</th>");
}

/* Sentences are given room to stand on few lines. */
static bool is_long(const char *text) { return text && strlen(text) > LONG_BYTES; }

static void row_cell(sn_buf *buf, const sn_source *s, int64_t row, int col)
{
	const sn_col *c = &s->table->col[col];
	bool long_text = c->type == SN_TYPE_TEXT && is_long(sn_source_at(s, row, col)->s);
	sn_buf_puts(buf, is_number(c) ? "<td class=\"n\">" : long_text ? "<td class=\"w\">" : "<td>");
	value(buf, s, row, col);
	if (c->role == SN_MEASURE) {
		sn_measure m = sn_measure_of(s->table, col);
		sn_buf bounds = { .ctx = buf->ctx };
		sn_source_write_bounds(&bounds, s, row, &m);
		sn_buf_puts(buf, bounds.size ? "<span class=\"bounds\">" : "");
		bool any = bounds.size > 0;
		escape(buf, &bounds);
		sn_buf_puts(buf, any ? "</span>" : "");
	}
	sn_buf_puts(buf, "</td>");
}

static void rows(sn_buf *buf, const sn_source *s)
{
	const sn_table *t = s->table;
	int64_t n = SN_MIN(s->n_row, (int64_t)MOST_ROWS);
	sn_buf_puts(buf, "<div class=\"scroll\"><table><thead><tr>");
	for (int c = 0; c < s->n_col; c++)
		if (!is_bound(&t->col[c])) header_cell(buf, &t->col[c]);
	sn_buf_puts(buf, "</tr></thead><tbody>\n");
	for (int64_t r = 0; r < n; r++) {
		sn_buf_puts(buf, "<tr>");
		for (int c = 0; c < s->n_col; c++)
			if (!is_bound(&t->col[c])) row_cell(buf, s, r, c);
		sn_buf_puts(buf, "</tr>\n");
	}
	sn_buf_puts(buf, "</tbody></table></div>\n");
	if (n < s->n_row)
		sn_buf_format(buf, "<p class=\"caption\">The first %lld of %lld rows; all are in rows.csv.</p>\n", (long long)n,
					  (long long)s->n_row);
}

/* ---- examples ---- */

/* The first text is the example; the rest stands small below it. */
static void example(sn_buf *buf, const sn_source *s, int64_t row, int text)
{
	bool first = true;
	sn_buf_puts(buf, "<li>");
	if (text >= 0) value(buf, s, row, text);
	sn_buf_puts(buf, "<small>");
	for (int c = 0; c < s->n_col; c++) {
		if (c == text || sn_value_missing(s->table->col[c].type, sn_source_at(s, row, c))) continue;
		sn_buf_puts(buf, first ? "" : " · ");
		sn_write_xml(buf, sn_col_title(&s->table->col[c]));
		sn_buf_puts(buf, ": ");
		value(buf, s, row, c);
		if (s->table->col[c].unit && is_number(&s->table->col[c])) {
			sn_buf_puts(buf, " ");
			sn_write_xml(buf, s->table->col[c].unit);
		}
		first = false;
	}
	sn_buf_puts(buf, "</small></li>\n");
}

static void examples(sn_buf *buf, const sn_source *s)
{
	int text = -1;
	for (int c = s->n_col - 1; c >= 0; c--)
		if (s->table->col[c].role == SN_TEXT && s->table->col[c].type == SN_TYPE_TEXT) text = c;
	sn_buf_puts(buf, "<ul class=\"examples\">\n");
	for (int64_t r = 0; r < s->n_row && r < MOST_ROWS; r++) example(buf, s, r, text);
	sn_buf_puts(buf, "</ul>\n");
}

/* ---- the section ---- */

static sn_status figure(sn_buf *buf, const sn_result *r, int t, const sn_source *s)
{
	size_t before = buf->size;
	sn_buf_puts(buf, "<figure>\n");
	size_t start = buf->size;
	SN_TRY(sn_report_figure(buf, r, t));
	bool drawn = buf->size > start;
	if (!drawn) {
		buf->size = before;
		rows(buf, s);
		return SN_OK;
	}
	sn_buf_format(buf, "</figure>\n<details><summary>%s</summary>\n", sn_result_word(r, "The numbers of this figure"));
	rows(buf, s);
	sn_buf_puts(buf, "</details>\n");
	return SN_OK;
}

sn_status sn_page_table(sn_buf *buf, const sn_result *r, int t)
{
	sn_source s = sn_source_of(r, t);
	const char *tag = s.table->appendix ? "h3" : "h2";
	sn_buf_format(buf, "<section id=\"table-%d\">\n<%s>", t, tag);
	sn_write_xml(buf, s.table->title ? s.table->title : s.table->name);
	sn_buf_format(buf, "</%s>\n", tag);
	if (s.table->caption) {
		sn_buf_puts(buf, "<p class=\"caption\">");
		sn_write_xml(buf, s.table->caption);
		sn_buf_puts(buf, "</p>\n");
	}
	sn_status status = SN_OK;
	if (s.table->view == SN_VIEW_TABLE)
		rows(buf, &s);
	else if (s.table->view == SN_VIEW_TEXT)
		examples(buf, &s);
	else if (s.table->view == SN_VIEW_TOKENS)
		sn_tokens_html(buf, &s);
	else
		status = figure(buf, r, t, &s);
	sn_buf_puts(buf, "</section>\n");
	return status;
}
