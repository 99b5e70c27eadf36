/* Results for the terminal: sentences first, then tables. */
#include "base/write.h"
#include "report/pick.h"
#include "report/report.h"
#include "report/tokens.h"

#include <string.h>
#include <strings.h>

#include <utf8proc.h>

/* ---- plain tables ---- */

static int display_width(const char *text)
{
	int width = 0;
	size_t size = strlen(text), pos = 0;
	if (sn_utf8_check(text, size) >= 0) return (int)size;
	while (pos < size) width += utf8proc_charwidth((utf8proc_int32_t)sn_utf8_next(text, size, &pos));
	return width;
}

static void add_spaces(sn_buf *buf, int n)
{
	for (; n > 0; n--) sn_buf_puts(buf, " ");
}

static void text_row(sn_buf *buf, const char *const *cell, const bool *right, const int *width, int n_col)
{
	for (int c = 0; c < n_col; c++) {
		int space = width[c] - display_width(cell[c]);
		sn_buf_puts(buf, c ? "  " : "");
		if (right[c]) add_spaces(buf, space);
		sn_buf_puts(buf, cell[c]);
		if (!right[c] && c + 1 < n_col) add_spaces(buf, space);
	}
	while (buf->size && buf->data[buf->size - 1] == ' ') buf->data[--buf->size] = '\0'; /* empty cells at the end */
	sn_buf_puts(buf, "\n");
}

enum { MOST_COLUMNS = SN_MOST_SHOWN, MOST_LINES = 16 };

void sn_text_table(sn_buf *buf, const char *const *header, const bool *right, int n_col, const char *const *cell,
				   int64_t n_row)
{
	int width[MOST_COLUMNS] = { 0 };
	n_col = SN_MIN(n_col, (int)MOST_COLUMNS);
	for (int c = 0; c < n_col; c++) {
		width[c] = display_width(header[c]);
		for (int64_t r = 0; r < n_row; r++) width[c] = SN_MAX(width[c], display_width(cell[r * n_col + c]));
	}
	text_row(buf, header, right, width, n_col);
	int total = 2 * (n_col - 1);
	for (int c = 0; c < n_col; c++) total += width[c];
	for (int i = 0; i < total; i++) sn_buf_puts(buf, "─");
	sn_buf_puts(buf, "\n");
	for (int64_t r = 0; r < n_row; r++) text_row(buf, cell + r * n_col, right, width, n_col);
}

/* ---- a result's table as it is ---- */

static bool shown(const sn_col *c) { return c->role != SN_LOW && c->role != SN_HIGH; }

/* What would move the cursor, or command the terminal, is shown instead: a model may write anything. */
static void add_visible(sn_buf *buf, const char *text)
{
	for (const char *c = text; *c; c++) {
		unsigned char first = (unsigned char)c[0], second = (unsigned char)c[1];
		bool c1 = first == 0xc2 && second >= 0x80 && second < 0xa0; /* U+0080 to U+009F */
		if (*c == '\n') sn_buf_puts(buf, "↵");
		else if (*c == '\t') sn_buf_puts(buf, "⇥");
		else if (first < ' ' || first == 127 || c1) sn_buf_puts(buf, "�");
		else sn_buf_add(buf, c, 1);
		c += c1;
	}
}

static sn_status take_text(sn_buf *buf, sn_arena *arena, const char **out)
{
	sn_buf shown = { .ctx = sn_arena_ctx(arena) };
	add_visible(&shown, buf->data ? buf->data : "");
	*out = buf->failed || shown.failed ? NULL : sn_arena_string(arena, shown.data ? shown.data : "");
	sn_buf_free(&shown);
	sn_buf_free(buf);
	return *out ? SN_OK : SN_ENOMEM;
}

static sn_status header_text(const sn_source *s, int col, sn_arena *arena, const char **out)
{
	const sn_col *c = &s->table->col[col];
	sn_buf buf = { .ctx = sn_arena_ctx(arena) };
	sn_buf_puts(&buf, sn_col_title(c));
	if (c->unit && c->unit[0] && strcasecmp(c->unit, sn_col_title(c)) != 0) sn_buf_format(&buf, " (%s)", c->unit);
	return take_text(&buf, arena, out);
}

/* "0.934 [0.901, 0.958]" where the measure has bounds. */
static sn_status cell_text(const sn_source *s, int64_t row, int col, sn_arena *arena, const char **out)
{
	sn_buf buf = { .ctx = sn_arena_ctx(arena) };
	sn_source_write(&buf, s, row, col);
	if (s->table->col[col].role == SN_MEASURE) {
		sn_measure m = sn_measure_of(s->table, col);
		sn_source_write_bounds(&buf, s, row, &m);
	}
	return take_text(&buf, arena, out);
}

static sn_status plain_table(sn_buf *buf, const sn_source *s, int64_t n_row, sn_arena *arena)
{
	const char *header[MOST_COLUMNS], **cell;
	bool right[MOST_COLUMNS];
	int col[MOST_COLUMNS], n = 0;
	for (int c = 0; c < s->n_col; c++) {
		if (!shown(&s->table->col[c])) continue;
		SN_TRY(header_text(s, c, arena, &header[n]));
		right[n] = s->table->col[c].type == SN_TYPE_INT || s->table->col[c].type == SN_TYPE_FLOAT;
		col[n++] = c;
	}
	SN_NEW(cell, arena, const char *, n_row *n);
	for (int64_t r = 0; r < n_row; r++)
		for (int c = 0; c < n; c++) SN_TRY(cell_text(s, r, col[c], arena, &cell[r * n + c]));
	sn_text_table(buf, header, right, n, cell, n_row);
	return SN_OK;
}

/* ---- two dimensions as a grid ---- */

static sn_status axis_text(const sn_source *s, const sn_axis *axis, int i, sn_arena *arena, const char **out)
{
	sn_buf buf = { .ctx = sn_arena_ctx(arena) };
	sn_axis_write(&buf, s, axis, i);
	return take_text(&buf, arena, out);
}

/* Cells that hold for any model stand in parentheses. */
static sn_status grid_cell(const sn_pick *p, const sn_measure *m, int panel, int y, int x, sn_arena *arena,
						   const char **out)
{
	sn_buf buf = { .ctx = sn_arena_ctx(arena) };
	int64_t row = sn_pick_at(p, panel, y, x);
	bool hatched = sn_source_number(&p->source, row, m->hatch) > 0;
	sn_buf_puts(&buf, hatched ? "(" : "");
	sn_source_write(&buf, &p->source, row, m->col);
	sn_buf_puts(&buf, hatched ? ")" : "");
	return take_text(&buf, arena, out);
}

/* First dimension down (thinned to MOST_LINES, the last always there), second across. */
static sn_status grid(sn_buf *buf, const sn_pick *p, const sn_measure *m, int panel, sn_arena *arena)
{
	const sn_source *s = &p->source;
	int n = SN_MIN(p->y.n + 1, (int)MOST_COLUMNS);
	const char *header[MOST_COLUMNS], **cell;
	bool right[MOST_COLUMNS];
	SN_TRY(header_text(s, p->x.col[0], arena, &header[0]));
	right[0] = s->table->col[p->x.col[0]].type != SN_TYPE_TEXT;
	for (int y = 1; y < n; y++) {
		SN_TRY(axis_text(s, &p->y, y - 1, arena, &header[y]));
		right[y] = true;
	}
	int step = (p->x.n + MOST_LINES - 1) / MOST_LINES, n_row = 0;
	SN_NEW(cell, arena, const char *, (int64_t)n * p->x.n);
	for (int x = 0; x < p->x.n; x++) {
		if (x % step && x != p->x.n - 1) continue;
		SN_TRY(axis_text(s, &p->x, x, arena, &cell[n_row * n]));
		for (int y = 1; y < n; y++) SN_TRY(grid_cell(p, m, panel, y - 1, x, arena, &cell[n_row * n + y]));
		n_row++;
	}
	sn_text_table(buf, header, right, n, cell, n_row);
	return SN_OK;
}

static sn_status panel_head(sn_buf *buf, const sn_pick *p, const sn_measure *m, int panel, sn_arena *arena)
{
	const char *header;
	SN_TRY(header_text(&p->source, m->col, arena, &header));
	sn_buf_puts(buf, header);
	if (p->panel.n_col) sn_buf_puts(buf, ": ");
	sn_axis_write(buf, &p->source, &p->panel, panel);
	sn_buf_puts(buf, "\n");
	return SN_OK;
}

static sn_status number_grids(sn_buf *buf, const sn_pick *p, const sn_measure *m, sn_arena *arena)
{
	for (int panel = 0; panel < p->panel.n; panel++) {
		SN_TRY(panel_head(buf, p, m, panel, arena));
		SN_TRY(grid(buf, p, m, panel, arena));
	}
	if (m->hatch >= 0) sn_buf_format(buf, "(…): %s\n", sn_result_word(p->source.result, "holds for any model"));
	return SN_OK;
}

/* ---- words in the cells ---- */

enum { MOST_WORDS = 12, MOST_LETTERS = 9, MOST_MAPS = 2 };

static sn_status label_cell(const sn_pick *p, const sn_measure *m, int64_t row, sn_arena *arena, const char **out)
{
	const char *word = row < 0 ? NULL : sn_source_at(&p->source, row, m->label)->s;
	size_t size = word ? strlen(word) : 0, end = 0;
	if (size && sn_utf8_check(word, size) < 0)
		for (int letters = 0; end < size && letters < MOST_LETTERS; letters++) (void)sn_utf8_next(word, size, &end);
	*out = sn_arena_format(arena, "%.*s%s", (int)end, word ? word : "", end < size ? "…" : "");
	return *out ? SN_OK : SN_ENOMEM;
}

/* As the figure has it: the first dimension across, the second down (thinned, the last always there). */
static sn_status label_map(sn_buf *buf, const sn_pick *p, const sn_measure *m, int panel, sn_arena *arena)
{
	int *column, n_row = 0, step = (p->y.n + MOST_LINES - 1) / MOST_LINES;
	SN_NEW(column, arena, int, p->x.n);
	int n = SN_MIN(sn_pick_columns(p, panel, column), (int)MOST_WORDS) + 1;
	const char *header[MOST_WORDS + 1], **cell;
	bool right[MOST_WORDS + 1] = { false };
	header[0] = p->y.n_col ? sn_col_title(&p->source.table->col[p->y.col[0]]) : "";
	for (int x = 1; x < n; x++) SN_TRY(axis_text(&p->source, &p->x, column[x - 1], arena, &header[x]));
	SN_NEW(cell, arena, const char *, (int64_t)n * p->y.n);
	for (int y = 0; y < p->y.n; y++) {
		if (y % step && y != p->y.n - 1) continue;
		SN_TRY(axis_text(&p->source, &p->y, y, arena, &cell[n_row * n]));
		for (int x = 1; x < n; x++)
			SN_TRY(label_cell(p, m, sn_pick_at(p, panel, y, column[x - 1]), arena, &cell[n_row * n + x]));
		n_row++;
	}
	sn_text_table(buf, header, right, n, cell, n_row);
	return SN_OK;
}

static sn_status label_maps(sn_buf *buf, const sn_pick *p, const sn_measure *m, sn_arena *arena)
{
	for (int panel = 0; panel < SN_MIN(p->panel.n, (int)MOST_MAPS); panel++) {
		sn_axis_write(buf, &p->source, &p->panel, panel);
		sn_buf_puts(buf, p->panel.n_col ? "\n" : "");
		SN_TRY(label_map(buf, p, m, panel, arena));
	}
	if (p->panel.n > MOST_MAPS) sn_buf_format(buf, "… %d more\n", p->panel.n - MOST_MAPS);
	return SN_OK;
}

/* ---- categories as a map of marks ---- */

static const char *map_mark(const sn_pick *p, const sn_measure *m, const sn_categories *c, int64_t row)
{
	if (row < 0) return "";
	if (sn_source_number(&p->source, row, m->hatch) > 0) return "#";
	const char *word = sn_source_at(&p->source, row, m->col)->s;
	int i = word ? sn_category_find(c, word) : -1;
	return i >= 0 ? c->mark[i] : word ? "*" : "";
}

/* As many columns as the figure has; a row a line, so that it reads as a map. */
static sn_status map(sn_buf *buf, const sn_pick *p, const sn_measure *m, const sn_categories *c, int panel,
                     sn_arena *arena)
{
	int n = SN_MIN(p->x.n + 1, (int)MOST_COLUMNS);
	const char *header[MOST_COLUMNS], **cell;
	bool right[MOST_COLUMNS];
	header[0] = sn_col_title(&p->source.table->col[p->x.col[0]]);
	right[0] = false;
	for (int x = 1; x < n; x++) {
		SN_TRY(axis_text(&p->source, &p->x, x - 1, arena, &header[x]));
		right[x] = true;
	}
	SN_NEW(cell, arena, const char *, (int64_t)n * p->y.n);
	for (int y = 0; y < p->y.n; y++) {
		SN_TRY(axis_text(&p->source, &p->y, y, arena, &cell[y * n]));
		for (int x = 1; x < n; x++) cell[y * n + x] = map_mark(p, m, c, sn_pick_at(p, panel, y, x - 1));
	}
	sn_text_table(buf, header, right, n, cell, p->y.n);
	return SN_OK;
}

static sn_status maps(sn_buf *buf, const sn_pick *p, const sn_measure *m, sn_arena *arena)
{
	sn_categories c = sn_categories_of(&p->source, m);
	for (int panel = 0; panel < p->panel.n; panel++) {
		if (p->panel.n_col) SN_TRY(panel_head(buf, p, m, panel, arena));
		SN_TRY(map(buf, p, m, &c, panel, arena));
	}
	for (int i = 0; i < c.n; i++) sn_buf_format(buf, "%s: %s\n", c.mark[i], c.word[i]);
	if (m->hatch >= 0) sn_buf_format(buf, "#: %s\n", sn_result_word(p->source.result, "holds for any model"));
	return SN_OK;
}

/* ---- figures ---- */

static bool is_figure(const sn_table *t)
{
	int dims = 0;
	for (int c = 0; c < t->n_col; c++) dims += t->col[c].role == SN_DIM;
	return dims >= 2 && (t->view == SN_VIEW_LINE || t->view == SN_VIEW_HEAT);
}

static sn_status plain_rows(sn_buf *buf, const sn_source *s, int64_t max_rows, sn_arena *arena)
{
	int64_t n = max_rows && s->n_row > max_rows ? max_rows : s->n_row;
	SN_TRY(plain_table(buf, s, n, arena));
	if (n < s->n_row) sn_buf_format(buf, "… %lld more rows (--format csv prints all)\n", (long long)(s->n_row - n));
	return SN_OK;
}

static bool numeric(const sn_source *s, const sn_measure *m)
{
	return s->table->col[m->col].type != SN_TYPE_TEXT && m->label < 0;
}

/* Maps of categories are short, so all are shown, and words for the first panels; of the figures with numbers the first
 * alone, the others are named. */
static sn_status figure(sn_buf *buf, const sn_source *s, int64_t max_rows, bool *shown, sn_arena *arena)
{
	sn_pick p;
	SN_TRY(sn_pick_table(&p, s, arena));
	if (p.y.n == 1 && p.panel.n == 1 && !*shown) return *shown = true, plain_rows(buf, s, max_rows, arena);
	for (int i = 0; i < p.n_measure; i++)
		if (p.measure[i].label >= 0) SN_TRY(label_maps(buf, &p, &p.measure[i], arena));
		else if (!numeric(s, &p.measure[i])) SN_TRY(maps(buf, &p, &p.measure[i], arena));
	for (int i = 0; i < p.n_measure && !*shown; i++)
		if (numeric(s, &p.measure[i])) SN_TRY(number_grids(buf, &p, &p.measure[i], arena));
	bool numbers = false;
	for (int i = 0; i < p.n_measure; i++) numbers |= numeric(s, &p.measure[i]);
	if (numbers && *shown)
		sn_buf_format(buf, "%lld rows (in the report of --out, and with --format csv or json)\n", (long long)s->n_row);
	*shown |= numbers;
	return SN_OK;
}

/* ---- the whole ---- */

static void lines(sn_buf *buf, const sn_result *r, sn_line_kind kind, const char *title)
{
	const sn_line *line;
	for (int i = 0; (line = sn_result_line(r, kind, i)); i++) {
		if (i == 0 && title) sn_buf_format(buf, "\n%s\n", title);
		sn_buf_format(buf, "%s%s\n", title ? "- " : "", line->text);
	}
}

static sn_status one_table(sn_buf *buf, const sn_result *r, int t, int64_t max_rows, bool color, bool *shown,
						   sn_arena *arena)
{
	sn_source s = sn_source_of(r, t);
	if (s.n_row == 0 || s.table->appendix) return SN_OK;
	sn_buf_format(buf, "\n%s\n", s.table->title ? s.table->title : s.table->name);
	if (s.table->view == SN_VIEW_TOKENS)
		return sn_tokens_text(buf, &s, max_rows ? SN_MAX(max_rows / 8, 1) : 0, color), SN_OK;
	return is_figure(s.table) ? figure(buf, &s, max_rows, shown, arena) : plain_rows(buf, &s, max_rows, arena);
}

sn_status sn_report_text(sn_buf *buf, const sn_result *r, int64_t max_rows, bool color)
{
	sn_arena *arena;
	bool shown = false;
	lines(buf, r, SN_LINE_SUMMARY, NULL);
	SN_TRY(sn_arena_open(&arena, sn_result_ctx(r)));
	sn_status status = SN_OK;
	for (int t = 0; t < sn_result_method(r)->n_table && status == SN_OK; t++)
		status = one_table(buf, r, t, max_rows, color, &shown, arena);
	sn_arena_close(arena);
	lines(buf, r, SN_LINE_LIMIT, sn_result_word(r, "Limitations"));
	return status != SN_OK ? status : buf->failed ? SN_ENOMEM : SN_OK;
}
