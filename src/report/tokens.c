/* Running text whose tokens are coloured by a signed score: one text a value of the facets. */
#include "base/write.h"
#include "report/palette.h"
#include "report/tokens.h"

#include <math.h>
#include <string.h>

#include <utf8proc.h>

/* The columns that matter. */
typedef struct columns {
	int text, score, first, end, facet[SN_MOST_SHOWN], n_facet;   /* first, end: bytes of the text; -1: not given */
} columns;

static columns find_columns(const sn_source *s)
{
	columns c = { .text = -1, .score = -1, .first = -1, .end = -1 };
	for (int i = 0; i < s->n_col; i++) {
		const sn_col *col = &s->table->col[i];
		if (col->role == SN_FACET) c.facet[c.n_facet++] = i;
		if (col->role == SN_TEXT && c.text < 0) c.text = i;
		if (col->role == SN_MEASURE && c.score < 0) c.score = i;
		if (strcmp(col->name, "first") == 0) c.first = i;
		if (strcmp(col->name, "end") == 0) c.end = i;
	}
	return c;
}

static bool same_value(const sn_source *s, int col, int64_t a, int64_t b)
{
	const sn_value *x = sn_source_at(s, a, col), *y = sn_source_at(s, b, col);
	if (s->table->col[col].type != SN_TYPE_TEXT) return x->i == y->i;
	return x->s && y->s && strcmp(x->s, y->s) == 0;
}

/* Rows [first, end) are one text. */
static int64_t end_of_text(const sn_source *s, const columns *c, int64_t first)
{
	int64_t end = first + 1;
	for (; end < s->n_row; end++)
		for (int i = 0; i < c->n_facet; i++)
			if (!same_value(s, c->facet[i], first, end)) return end;
	return end;
}

static double largest(const sn_source *s, const columns *c, int64_t first, int64_t end)
{
	double most = 0;
	for (int64_t r = first; r < end; r++) {
		double x = fabs(sn_source_number(s, r, c->score));
		if (x > most) most = x;
	}
	return most > 0 ? most : 1;
}

static sn_rgb color_of(const sn_source *s, const columns *c, int64_t row, double most)
{
	double x = sn_source_number(s, row, c->score) / most;
	return sn_color_diverging(isnan(x) ? 0 : x);
}

/* "item 1 · hook_embed" */
static void head(sn_buf *buf, const sn_source *s, const columns *c, int64_t row)
{
	for (int i = 0; i < c->n_facet; i++) {
		bool number = s->table->col[c->facet[i]].type == SN_TYPE_INT;
		if (i) sn_buf_puts(buf, " · ");
		if (number) sn_buf_format(buf, "%s ", sn_col_title(&s->table->col[c->facet[i]]));
		sn_source_write(buf, s, row, c->facet[i]);
	}
}

/* Line breaks are shown, so that the text stays one paragraph. */
static const char *token_text(const sn_source *s, const columns *c, int64_t row)
{
	const char *text = sn_source_at(s, row, c->text)->s;
	if (!text || !*text) return "∅";
	return strcmp(text, "\n") == 0 ? "⏎" : text;
}

/* ---- the page ---- */

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t'; }

static bool of_text(const sn_source *s, const columns *c, int64_t row)
{
	return sn_source_number(s, row, c->end) > sn_source_number(s, row, c->first);
}

/* Whether a token stands apart from the one before it, though neither has a space: vocabularies of words have none, and
 * special tokens are not of the text. */
static bool apart(const sn_source *s, const columns *c, int64_t row)
{
	const char *before = token_text(s, c, row - 1), *here = token_text(s, c, row);
	if (c->first < 0 || c->end < 0 || is_space(*here) || is_space(before[strlen(before) - 1])) return false;
	if (of_text(s, c, row - 1) != of_text(s, c, row)) return true;
	return sn_source_number(s, row, c->first) > sn_source_number(s, row - 1, c->end);
}

/* Without the sign that a piece goes on with a word, where its bytes say that it is no part of the text. */
static const char *running_text(const sn_source *s, const columns *c, int64_t row)
{
	const char *text = token_text(s, c, row);
	double bytes = sn_source_number(s, row, c->end) - sn_source_number(s, row, c->first);
	return strncmp(text, "##", 2) == 0 && bytes == (double)strlen(text) - 2 ? text + 2 : text;
}

static void html_token(sn_buf *buf, const sn_source *s, const columns *c, int64_t row, double most)
{
	sn_rgb color = color_of(s, c, row, most);
	sn_buf_puts(buf, "<span style=\"white-space:pre-wrap;padding:.1em 0;background:");
	sn_color_write(buf, color);
	sn_buf_format(buf, ";color:%s\" title=\"", sn_color_text(color));
	sn_source_write(buf, s, row, c->score);
	sn_buf_puts(buf, "\">");
	sn_write_xml(buf, running_text(s, c, row));
	sn_buf_puts(buf, "</span>");
}

enum { MOST_TEXTS = 200 };

void sn_tokens_html(sn_buf *buf, const sn_source *s)
{
	columns c = find_columns(s);
	int texts = 0;
	sn_buf_puts(buf, "<ul class=\"examples\">\n");
	for (int64_t first = 0, end; first < s->n_row && texts < MOST_TEXTS; first = end, texts++) {
		end = end_of_text(s, &c, first);
		double most = largest(s, &c, first, end);
		sn_buf_puts(buf, "<li>");
		for (int64_t r = first; r < end; r++) {
			if (r > first && apart(s, &c, r)) sn_buf_puts(buf, " ");
			html_token(buf, s, &c, r, most);
		}
		sn_buf_puts(buf, "<small>");
		head(buf, s, &c, first);
		sn_buf_format(buf, " · full colour: %.3g", most);
		sn_buf_puts(buf, "</small></li>\n");
	}
	sn_buf_puts(buf, "</ul>\n");
}

/* ---- the terminal: tokens above their scores, as linguists gloss ---- */

enum { LINE = 100 };

static int width_of(const char *text)
{
	int width = 0;
	size_t size = strlen(text), pos = 0;
	if (sn_utf8_check(text, size) >= 0) return (int)size;
	while (pos < size) width += utf8proc_charwidth((utf8proc_int32_t)sn_utf8_next(text, size, &pos));
	return width;
}

static void spaces(sn_buf *buf, int n)
{
	for (; n > 0; n--) sn_buf_puts(buf, " ");
}

static void score_text(const sn_source *s, const columns *c, int64_t row, double most, char *out, size_t size)
{
	double x = sn_source_number(s, row, c->score);
	int digits = most >= 10 ? 1 : most >= 0.1 ? 2 : 4;
	snprintf(out, size, "%+.*f", digits, x);
}

static int cell_width(const sn_source *s, const columns *c, int64_t row, double most)
{
	char score[32];
	score_text(s, c, row, most, score, sizeof score);
	return SN_MAX(width_of(token_text(s, c, row)), (int)strlen(score)) + 1;
}

static void line_of_tokens(sn_buf *buf, const sn_source *s, const columns *c, int64_t first, int64_t end, double most,
                           bool color)
{
	for (int64_t r = first; r < end; r++) {
		const char *text = token_text(s, c, r);
		sn_rgb on = color_of(s, c, r, most);
		bool dark = strcmp(sn_color_text(on), "#000000") == 0;
		if (color) sn_buf_format(buf, "\033[48;2;%d;%d;%d;%sm", on.r, on.g, on.b, dark ? "30" : "97");
		sn_buf_puts(buf, text);
		if (color) sn_buf_puts(buf, "\033[0m");
		spaces(buf, cell_width(s, c, r, most) - width_of(text));
	}
	sn_buf_puts(buf, "\n");
	for (int64_t r = first; r < end; r++) {
		char score[32];
		score_text(s, c, r, most, score, sizeof score);
		sn_buf_puts(buf, score);
		spaces(buf, cell_width(s, c, r, most) - (int)strlen(score));
	}
	sn_buf_puts(buf, "\n");
}

static void one_text(sn_buf *buf, const sn_source *s, const columns *c, int64_t first, int64_t end, bool color)
{
	double most = largest(s, c, first, end);
	head(buf, s, c, first);
	sn_buf_puts(buf, "\n");
	while (first < end) {
		int64_t last = first;
		int width = 0;
		while (last < end && (last == first || width + cell_width(s, c, last, most) <= LINE))
			width += cell_width(s, c, last++, most);
		line_of_tokens(buf, s, c, first, last, most, color);
		first = last;
	}
}

void sn_tokens_text(sn_buf *buf, const sn_source *s, int64_t max_texts, bool color)
{
	columns c = find_columns(s);
	int64_t texts = 0, rest = 0;
	for (int64_t first = 0, end; first < s->n_row; first = end) {
		end = end_of_text(s, &c, first);
		if (max_texts && texts++ >= max_texts) rest++;
		else one_text(buf, s, &c, first, end, color);
	}
	if (rest) sn_buf_format(buf, "… %lld more (--format csv prints all)\n", (long long)rest);
}
