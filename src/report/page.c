/* The report: one HTML page with its style and figures inside; no script, nothing fetched. */
#include "report/page.h"
#include "base/write.h"
#include "report/report.h"
#include "report/style.h"

#include <string.h>

static const char *provenance(const sn_result *r, const char *key)
{
	const sn_line *line;
	for (int i = 0; (line = sn_result_line(r, SN_LINE_PROVENANCE, i)); i++)
		if (strcmp(line->key, key) == 0) return line->text;
	return NULL;
}

static const char *word(const sn_result *r, const char *english) { return sn_result_word(r, english); }

static bool has_lines(const sn_result *r, sn_line_kind kind) { return sn_result_line(r, kind, 0) != NULL; }

/* <tag>escaped text</tag> */
static void element(sn_buf *buf, const char *tag, const char *text)
{
	sn_buf_format(buf, "<%s>", tag);
	sn_write_xml(buf, text);
	sn_buf_format(buf, "</%.*s>\n", (int)strcspn(tag, " "), tag);
}

static const char *title_of(const sn_result *r)
{
	const char *title = provenance(r, "title");
	return title ? title : sn_result_method(r)->brief ? sn_result_method(r)->brief : sn_result_method(r)->name;
}

/* The version that made the result, which a stored run keeps. */
static const char *version_of(const sn_result *r)
{
	const char *version = provenance(r, "sonde version");
	return version ? version : sn_version();
}

/* ---- head ---- */

static void head(sn_buf *buf, const sn_result *r)
{
	sn_buf_format(buf, "<!doctype html>\n<html lang=\"%s\">\n", word(r, "en"));
	sn_buf_puts(
		buf,
		"<head>\n<meta charset=\"utf-8\">\n"
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
		"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n");
	element(buf, "title", title_of(r));
	sn_buf_puts(buf, "<style>\n");
	sn_buf_puts(buf, sn_page_style);
	sn_buf_puts(buf, "</style>\n</head>\n<body>\n");
	element(buf, "a class=\"skip\" href=\"#main\"", word(r, "To the results"));
}

static void facts(sn_buf *buf, const sn_result *r)
{
	static const char *const key[] = { "model",        "phenomenon", "data", "items",
									   "quantisation", "training",   "seed", "time" };
	sn_buf_puts(buf, "<dl class=\"facts\">");
	for (int i = 0; i < SN_COUNT(key); i++) {
		const char *text = provenance(r, key[i]);
		if (!text || !text[0]) continue;
		sn_buf_puts(buf, "<div>");
		element(buf, "dt", word(r, key[i]));
		element(buf, "dd", text);
		sn_buf_puts(buf, "</div>");
	}
	sn_buf_puts(buf, "</dl>\n");
}

static void page_header(sn_buf *buf, const sn_result *r)
{
	const sn_method *m = sn_result_method(r);
	sn_buf_puts(buf, "<header>\n<p class=\"kicker\">Sonde ");
	sn_write_xml(buf, version_of(r));
	sn_buf_puts(buf, " · ");
	sn_write_xml(buf, m->family);
	sn_buf_puts(buf, m->family[0] ? " " : "");
	sn_write_xml(buf, m->name);
	sn_buf_puts(buf, "</p>\n");
	sn_buf_puts(buf, "<h1>");
	const char *title = title_of(r); /* a brief begins with a small letter */
	bool small = !provenance(r, "title") && title[0] >= 'a' && title[0] <= 'z';
	sn_buf_format(buf, "%.*s", (int)small, &"ABCDEFGHIJKLMNOPQRSTUVWXYZ"[small ? title[0] - 'a' : 0]);
	sn_write_xml(buf, title + small);
	sn_buf_puts(buf, "</h1>\n");
	const sn_line *first = sn_result_line(r, SN_LINE_SUMMARY, 0);
	if (first) element(buf, "p class=\"lead\"", first->text);
	facts(buf, r);
	sn_buf_puts(buf, "</header>\n");
}

/* ---- contents ---- */

static bool table_shown(const sn_result *r, int t, bool appendix)
{
	return sn_result_method(r)->table[t].appendix == appendix && sn_result_rows(r, t) > 0;
}

static bool any_appendix(const sn_result *r)
{
	for (int t = 0; t < sn_result_method(r)->n_table; t++)
		if (table_shown(r, t, true)) return true;
	return false;
}

static void entry(sn_buf *buf, const char *id, const char *text)
{
	sn_buf_puts(buf, "<li><a href=\"#");
	sn_write_xml(buf, id);
	sn_buf_puts(buf, "\">");
	sn_write_xml(buf, text);
	sn_buf_puts(buf, "</a></li>\n");
}

static void contents(sn_buf *buf, const sn_result *r)
{
	const sn_method *m = sn_result_method(r);
	sn_buf_format(buf, "<nav aria-label=\"%s\"><h2>%s</h2><ol>\n", word(r, "Contents"), word(r, "Contents"));
	if (sn_result_line(r, SN_LINE_SUMMARY, 1)) entry(buf, "summary", word(r, "Summary"));
	for (int t = 0; t < m->n_table; t++) {
		char id[32];
		sn_format(id, sizeof id, "table-%d", t);
		if (table_shown(r, t, false)) entry(buf, id, m->table[t].title ? m->table[t].title : m->table[t].name);
	}
	if (has_lines(r, SN_LINE_LIMIT)) entry(buf, "limitations", word(r, "Limitations"));
	entry(buf, "method", word(r, "Method and citations"));
	if (has_lines(r, SN_LINE_PARAM)) entry(buf, "parameters", word(r, "Parameters"));
	if (has_lines(r, SN_LINE_PROVENANCE)) entry(buf, "provenance", word(r, "Provenance"));
	if (any_appendix(r)) entry(buf, "appendix", word(r, "Appendix"));
	sn_buf_puts(buf, "</ol></nav>\n");
}

/* ---- sections of sentences ---- */

static void open_section(sn_buf *buf, const char *id, const char *title)
{
	sn_buf_format(buf, "<section id=\"%s\">\n", id);
	element(buf, "h2", title);
}

static void list(sn_buf *buf, const sn_result *r, sn_line_kind kind, int from, const char *class)
{
	const sn_line *line;
	sn_buf_format(buf, "<ul class=\"%s\">\n", class);
	for (int i = from; (line = sn_result_line(r, kind, i)); i++) element(buf, "li", line->text);
	sn_buf_puts(buf, "</ul>\n");
}

static void sentences(sn_buf *buf, const sn_result *r, sn_line_kind kind, int from, const char *id, const char *title,
					  const char *class)
{
	if (!sn_result_line(r, kind, from)) return;
	open_section(buf, id, title);
	list(buf, r, kind, from, class);
	sn_buf_puts(buf, "</section>\n");
}

static void pair(sn_buf *buf, const char *key, const char *text, const char *note)
{
	sn_buf_puts(buf, "<tr>");
	element(buf, "th scope=\"row\"", key);
	element(buf, "td", text);
	if (note) element(buf, "td", note);
	sn_buf_puts(buf, "</tr>\n");
}

static void parameters(sn_buf *buf, const sn_result *r)
{
	const sn_line *line;
	const sn_method *m = sn_result_method(r);
	if (!has_lines(r, SN_LINE_PARAM)) return;
	open_section(buf, "parameters", word(r, "Parameters"));
	sn_buf_puts(buf, "<div class=\"scroll\"><table class=\"pairs\"><tbody>\n");
	for (int i = 0; (line = sn_result_line(r, SN_LINE_PARAM, i)); i++) {
		sn_buf note = { .ctx = buf->ctx };
		for (int k = 0; k < m->n_param; k++) {
			if (strcmp(m->param[k].name, line->key) != 0) continue;
			sn_buf_puts(&note, m->param[k].help ? m->param[k].help : "");
			if (m->param[k].unit && m->param[k].unit[0]) sn_buf_format(&note, " (%s)", m->param[k].unit);
		}
		pair(buf, line->key, line->text[0] ? line->text : "–", note.data ? note.data : "");
		buf->failed |= note.failed;
		sn_buf_free(&note);
	}
	sn_buf_puts(buf, "</tbody></table></div>\n</section>\n");
}

static void provenance_table(sn_buf *buf, const sn_result *r)
{
	const sn_line *line;
	if (!has_lines(r, SN_LINE_PROVENANCE)) return;
	open_section(buf, "provenance", word(r, "Provenance"));
	sn_buf_puts(buf, "<div class=\"scroll\"><table class=\"pairs\"><tbody>\n");
	for (int i = 0; (line = sn_result_line(r, SN_LINE_PROVENANCE, i)); i++) pair(buf, line->key, line->text, NULL);
	sn_buf_puts(buf, "</tbody></table></div>\n</section>\n");
}

/* ---- the method ---- */

static const char *better_words(int better)
{
	return better > 0 ? "higher is better" : better < 0 ? "lower is better" : "";
}

static void measures(sn_buf *buf, const sn_result *r)
{
	static const char *const head[] = { "table", "column", "meaning", "unit", "" };
	const sn_method *m = sn_result_method(r);
	sn_buf_puts(buf, "<details>");
	element(buf, "summary", word(r, "Columns of the results"));
	sn_buf_puts(buf, "<div class=\"scroll\"><table><thead><tr>");
	for (int i = 0; i < SN_COUNT(head); i++) element(buf, "th scope=\"col\"", word(r, head[i]));
	sn_buf_puts(buf, "</tr></thead><tbody>\n");
	for (int t = 0; t < m->n_table; t++) {
		for (int c = 0; c < m->table[t].n_col; c++) {
			const sn_col *col = &m->table[t].col[c];
			sn_buf_puts(buf, "<tr>");
			element(buf, "td", m->table[t].name);
			element(buf, "td", col->name);
			element(buf, "td", sn_col_title(col));
			element(buf, "td", col->unit ? col->unit : "");
			element(buf, "td", word(r, better_words(col->better)));
			sn_buf_puts(buf, "</tr>\n");
		}
	}
	sn_buf_puts(buf, "</tbody></table></div></details>\n");
}

static void method_section(sn_buf *buf, const sn_result *r)
{
	const sn_method *m = sn_result_method(r);
	open_section(buf, "method", word(r, "Method and citations"));
	if (m->brief) element(buf, "p", m->brief);
	for (const char *at = m->doc; at && *at;) { /* paragraphs are separated by newlines */
		size_t n = strcspn(at, "\n");
		sn_buf text = { .ctx = buf->ctx };
		sn_buf_add(&text, at, n);
		if (n && !text.failed) element(buf, "p", text.data);
		buf->failed |= text.failed;
		sn_buf_free(&text);
		at += n + (at[n] == '\n');
	}
	if (m->cite || has_lines(r, SN_LINE_CITE)) {
		sn_buf_puts(buf, "<ul class=\"cites\">\n");
		if (m->cite) element(buf, "li", m->cite);
		const sn_line *line;
		for (int i = 0; (line = sn_result_line(r, SN_LINE_CITE, i)); i++) element(buf, "li", line->text);
		sn_buf_puts(buf, "</ul>\n");
	}
	measures(buf, r);
	sn_buf_puts(buf, "</section>\n");
}

/* ---- the page ---- */

static sn_status tables(sn_buf *buf, const sn_result *r, bool appendix)
{
	for (int t = 0; t < sn_result_method(r)->n_table; t++)
		if (table_shown(r, t, appendix)) SN_TRY(sn_page_table(buf, r, t));
	return SN_OK;
}

static sn_status appendix_section(sn_buf *buf, const sn_result *r)
{
	if (!any_appendix(r)) return SN_OK;
	open_section(buf, "appendix", word(r, "Appendix"));
	SN_TRY(tables(buf, r, true));
	sn_buf_puts(buf, "</section>\n");
	return SN_OK;
}

static void page_footer(sn_buf *buf, const sn_result *r)
{
	const char *command = provenance(r, "command");
	sn_buf_format(buf, "</main>\n<footer><p>%s ", word(r, "Made by Sonde"));
	sn_write_xml(buf, version_of(r));
	sn_buf_puts(buf, word(r, ". Every number is also in rows.csv and result.json beside this page."));
	if (command) {
		sn_buf_format(buf, "%s<code>", word(r, " To repeat: "));
		sn_write_xml(buf, command);
		sn_buf_puts(buf, "</code>");
	}
	sn_buf_puts(buf, "</p></footer>\n</body>\n</html>\n");
}

sn_status sn_report_html(sn_buf *buf, const sn_result *r)
{
	head(buf, r);
	page_header(buf, r);
	contents(buf, r);
	sn_buf_puts(buf, "<main id=\"main\">\n");
	sentences(buf, r, SN_LINE_SUMMARY, 1, "summary", word(r, "Summary"), "says");
	SN_TRY(tables(buf, r, false));
	sentences(buf, r, SN_LINE_LIMIT, 0, "limitations", word(r, "Limitations"), "limits");
	method_section(buf, r);
	parameters(buf, r);
	provenance_table(buf, r);
	SN_TRY(appendix_section(buf, r));
	page_footer(buf, r);
	return buf->failed ? SN_ENOMEM : SN_OK;
}
