/* Heat maps: a map for each measure and facet, first dimension across, second down. Numbers stand in the cells, so that
 * no colour need be read, or words that a LABEL column has; cells that hold for any model are hatched. A TEXT measure
 * makes a map of categories with marks. */
#include "base/write.h"
#include "report/svg.h"

#include <math.h>
#include <string.h>

enum {
	TITLE = 26,
	CELL_HEIGHT = 27,
	X_TITLE = 20,
	GAP = 16,
	LEGEND = 44,

	NARROWEST_TEXT = 22,
	X_SIZE = 10
};

typedef struct heat {
	const sn_pick *pick;
	const sn_measure *measure;
	double gutter, cell; /* widths of the labels at the left and of a cell */
	int *x, n_x;         /* [n_x] what the panel at hand has across */
	sn_names names;      /* below */
	double limit;        /* the scale ends at +-limit or [0, limit] */
	int n_tick;
	double tick[SN_MOST_TICKS]; /* of [0, limit] */
	bool diverging, category;
	sn_categories words;
	char hatch[40];
} heat;

/* ---- scales ---- */

static void number_scale(heat *h)
{
	const sn_source *s = &h->pick->source;
	double min = 0, max = 0;
	for (int64_t r = 0; r < s->n_row; r++) {
		double x = sn_source_number(s, r, h->measure->col);
		if (isnan(x) || sn_source_number(s, r, h->measure->hatch) > 0) continue;
		min = fmin(min, x);
		max = fmax(max, x);
	}
	h->diverging = min < -0.05 * max || max <= 0;
	double low = 0;
	h->limit = fmax(max, -min);
	if (!(h->limit > 0)) h->limit = 1;
	h->n_tick = sn_ticks(&low, &h->limit, 6, h->tick);
}

static sn_rgb number_color(const heat *h, double x)
{
	return h->diverging ? sn_color_diverging(x / h->limit) : sn_color_sequential(x / h->limit);
}

/* ".93", "−.07", "1.0", "12": as much as fits into a narrow cell. */
static void short_number(char *buf, size_t size, double x)
{
	double a = fabs(x);
	const char *minus = x < 0 && a >= 0.005 ? "−" : "";
	if (a < 0.005)
		sn_format(buf, size, "0");
	else if (a < 0.995)
		sn_format(buf, size, "%s.%02d", minus, (int)lround(100 * a));
	else if (a < 9.95)
		sn_format(buf, size, "%s%.1f", minus, a);
	else if (a < 9999.5)
		sn_format(buf, size, "%s%.0f", minus, a);
	else
		sn_format(buf, size, "%s%.0e", minus, a);
}

/* ---- cells ---- */

static void cell_rect(sn_buf *buf, const heat *h, double x, double y, const char *paint)
{
	sn_buf_format(buf, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" stroke=\"#ffffff\" fill=\"%s\"/>", x,
				  y, h->cell, CELL_HEIGHT, paint);
}

static void cell_words(sn_buf *buf, const heat *h, double x, double y, const char *text, const char *mark,
					   const char *color)
{
	sn_words words = { 10, SN_MIDDLE, color, NULL }, small = { 7.5, SN_END, color, NULL };
	if (h->cell < NARROWEST_TEXT) {
		if (mark) sn_svg_text(buf, x + h->cell / 2, y + CELL_HEIGHT / 2.0 + 3.5, &words, mark);
		return;
	}
	sn_svg_text(buf, x + h->cell / 2, y + CELL_HEIGHT / 2.0 + (mark ? 7 : 3.5), &words, text);
	if (mark) sn_svg_text(buf, x + h->cell - 2, y + 9, &small, mark);
}

/* As much of a word as fits. */
static void cell_label(sn_buf *buf, const heat *h, double x, double y, const char *text, const char *color)
{
	sn_words words = { 10, SN_MIDDLE, color, NULL };
	if (h->cell >= NARROWEST_TEXT && text)
		sn_svg_text_cut(buf, x + h->cell / 2, y + CELL_HEIGHT / 2.0 + 3.5, h->cell - 4, &words, text);
}

static void number_cell(sn_buf *buf, const heat *h, int64_t row, double x, double y, bool hatched)
{
	const sn_source *s = &h->pick->source;
	double value = sn_source_number(s, row, h->measure->col);
	char paint[64], text[24];
	if (isnan(value)) {
		cell_rect(buf, h, x, y, "#f7f7f7");
		cell_words(buf, h, x, y, "–", NULL, "#777777");
		return;
	}
	sn_rgb c = number_color(h, value);
	if (hatched)
		sn_format(paint, sizeof paint, "url(#%s)", h->hatch);
	else
		sn_format(paint, sizeof paint, "#%02x%02x%02x", c.r, c.g, c.b);
	cell_rect(buf, h, x, y, paint);
	if (h->measure->label >= 0) {
		cell_label(buf, h, x, y, sn_source_at(s, row, h->measure->label)->s, hatched ? "#333333" : sn_color_text(c));
		return;
	}
	if (s->table->col[h->measure->col].type == SN_TYPE_BOOL) sn_format(text, sizeof text, value > 0 ? "yes" : "no");
	else short_number(text, sizeof text, value);
	const char *mark = h->measure->mark >= 0 ? sn_source_at(s, row, h->measure->mark)->s : NULL;
	cell_words(buf, h, x, y, text, mark && mark[0] ? mark : NULL, hatched ? "#333333" : sn_color_text(c));
}

static void category_cell(sn_buf *buf, const heat *h, int64_t row, double x, double y, bool hatched)
{
	const char *word = sn_source_at(&h->pick->source, row, h->measure->col)->s;
	int i = word && !hatched ? sn_category_find(&h->words, word) : -1;
	char paint[64] = "#f7f7f7";
	sn_rgb c = sn_color_category(i < 0 ? -1 : h->words.color[i]);
	if (hatched)
		sn_format(paint, sizeof paint, "url(#%s)", h->hatch);
	else if (i >= 0)
		sn_format(paint, sizeof paint, "#%02x%02x%02x", c.r, c.g, c.b);
	cell_rect(buf, h, x, y, paint);
	sn_words words = { 11, SN_MIDDLE, "#000000", NULL };
	if (i >= 0) sn_svg_text(buf, x + h->cell / 2, y + CELL_HEIGHT / 2.0 + 4, &words, h->words.mark[i]);
}

static void draw_cell(sn_buf *buf, const heat *h, int panel, int iy, int ix, double y0)
{
	int64_t row = sn_pick_at(h->pick, panel, iy, h->x[ix]);
	double x = h->gutter + ix * h->cell, y = y0 + TITLE + iy * CELL_HEIGHT;
	if (row < 0) {
		cell_rect(buf, h, x, y, "#f7f7f7");
		return;
	}
	bool hatched = sn_source_number(&h->pick->source, row, h->measure->hatch) > 0;
	sn_buf_puts(buf, "<g>");
	sn_svg_row_title(buf, h->pick, h->measure, row);
	if (h->category)
		category_cell(buf, h, row, x, y, hatched);
	else
		number_cell(buf, h, row, x, y, hatched);
	sn_buf_puts(buf, "</g>\n");
}

/* ---- labels ---- */

static sn_status draw_labels(sn_buf *buf, const heat *h, double y0, sn_arena *arena)
{
	static const sn_words side = { 11, SN_END, NULL, NULL }, title = { 11, SN_MIDDLE, NULL, NULL };
	const sn_pick *p = h->pick;
	const char *label;
	double bottom = y0 + TITLE + p->y.n * CELL_HEIGHT;
	for (int y = 0; y < p->y.n; y++) {
		SN_TRY(sn_axis_label(p, &p->y, y, arena, &label));
		sn_svg_text_cut(buf, h->gutter - 7, y0 + TITLE + (y + 0.5) * CELL_HEIGHT + 4, h->gutter - 10, &side, label);
	}
	bool words = p->source.table->col[p->x.col[0]].type == SN_TYPE_TEXT;
	int step = words ? 1 : SN_MAX(1, (int)ceil(20 / h->cell));
	for (int x = 0; x < h->n_x; x += step) {
		SN_TRY(sn_axis_label(p, &p->x, h->x[x], arena, &label));
		sn_svg_name(buf, h->gutter + (x + 0.5) * h->cell, bottom + 2, &h->names, X_SIZE, label);
	}
	SN_TRY(sn_axis_title(p, arena, &label));
	sn_svg_text(buf, h->gutter + h->n_x * h->cell / 2, bottom + h->names.height + 16, &title, label);
	return SN_OK;
}

static sn_status draw_map(sn_buf *buf, heat *h, int panel, double y0, sn_arena *arena)
{
	static const sn_words words = { 12.5, SN_START, "#111111", "600" };
	const char *title;
	h->n_x = sn_pick_columns(h->pick, panel, h->x);
	SN_TRY(sn_panel_title(h->pick, h->measure, panel, arena, &title));
	sn_svg_text_cut(buf, 8, y0 + 16, SN_FIGURE_WIDTH - 16, &words, title);
	for (int y = 0; y < h->pick->y.n; y++)
		for (int x = 0; x < h->n_x; x++) draw_cell(buf, h, panel, y, x, y0);
	return draw_labels(buf, h, y0, arena);
}

/* ---- legends ---- */

static void number_legend(sn_buf *buf, const heat *h, double x, double y)
{
	static const sn_words words = { 10, SN_MIDDLE, "#555555", NULL };
	enum { STEPS = 48, WIDTH = 240 };
	double low = h->diverging ? -h->limit : 0;
	for (int i = 0; i < STEPS; i++) {
		double t = low + (h->limit - low) * (i + 0.5) / STEPS;
		sn_buf_format(buf, "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"10\" fill=\"",
					  x + (double)i * WIDTH / STEPS, y, (double)WIDTH / STEPS + 0.3);
		sn_color_write(buf, number_color(h, t));
		sn_buf_puts(buf, "\"/>");
	}
	int last = h->n_tick - 1;
	for (int i = h->diverging ? -last : 0; i <= last; i++) {
		char text[32];
		int side = SN_MAX(i, -i);
		double value = i < 0 ? -h->tick[side] : h->tick[side];
		if (h->diverging && side != 0 && side != last && 2 * side != last) continue;
		sn_format(text, sizeof text, "%s%.4g", value < 0 ? "−" : "", fabs(value));
		sn_svg_text(buf, x + WIDTH * (value - low) / (h->limit - low), y + 22, &words, text);
	}
}

static double category_entry(sn_buf *buf, const heat *h, int i, double x, double y)
{
	static const sn_words words = { 11, SN_START, NULL, NULL }, mark = { 10.5, SN_MIDDLE, "#000000", NULL };
	sn_buf_format(buf, "<rect x=\"%.1f\" y=\"%.1f\" width=\"18\" height=\"16\" stroke=\"#888888\" fill=\"", x, y - 4);
	sn_color_write(buf, sn_color_category(h->words.color[i]));
	sn_buf_puts(buf, "\"/>");
	sn_svg_text(buf, x + 9, y + 8, &mark, h->words.mark[i]);
	sn_svg_text(buf, x + 23, y + 8, &words, h->words.word[i]);
	return x + 40 + sn_text_width(h->words.word[i], 11);
}

static void hatch_legend(sn_buf *buf, const heat *h, double x, double y)
{
	static const sn_words words = { 11, SN_START, NULL, NULL };
	if (h->measure->hatch < 0) return;
	sn_buf_format(buf, "<rect x=\"%.1f\" y=\"%.1f\" width=\"18\" height=\"16\" stroke=\"#888888\" fill=\"url(#%s)\"/>",
				  x, y - 4, h->hatch);
	sn_svg_text(buf, x + 23, y + 8, &words, sn_result_word(h->pick->source.result, "holds for any model"));
}

static const double widest_row = SN_FIGURE_WIDTH - 20;

/* Entries of a category legend run on over rows; returns how many rows they take. */
static int category_legend(sn_buf *buf, const heat *h, double y)
{
	double x = h->gutter;
	int rows = 1;
	for (int i = 0; i < h->words.n; i++) {
		if (x + 40 + sn_text_width(h->words.word[i], 11) > widest_row && x > h->gutter) {
			x = h->gutter;
			rows++;
		}
		x = category_entry(buf, h, i, x, y + (rows - 1) * 22);
	}
	if (x + 160 > widest_row && h->measure->hatch >= 0) {
		x = h->gutter;
		rows++;
	}
	hatch_legend(buf, h, x, y + (rows - 1) * 22);
	return rows;
}

/* Draws the legend; returns its height. */
static double draw_legend(sn_buf *buf, const heat *h, double y)
{
	if (h->category) return 22.0 * category_legend(buf, h, y + 6) + 16;
	number_legend(buf, h, h->gutter, y);
	hatch_legend(buf, h, h->gutter + 290, y + 2);
	return LEGEND;
}

/* ---- the whole ---- */

static sn_status label_width(const sn_pick *p, sn_arena *arena, double *width)
{
	*width = 40;
	for (int y = 0; y < p->y.n; y++) {
		const char *label;
		SN_TRY(sn_axis_label(p, &p->y, y, arena, &label));
		*width = fmax(*width, fmin(190, sn_text_width(label, 11) + 14));
	}
	return SN_OK;
}

/* As wide as the panel with the most columns lets them be. x: [p->x.n], scratch. */
static double cell_width(const sn_pick *p, double gutter, int *x)
{
	int most = 1;
	for (int panel = 0; panel < p->panel.n; panel++) most = SN_MAX(most, sn_pick_columns(p, panel, x));
	return fmin(56, (SN_FIGURE_WIDTH - gutter - 10) / most);
}

static heat make_heat(const sn_pick *p, const sn_measure *m, double gutter, double cell, int *x)
{
	heat h = { .pick = p, .measure = m, .gutter = gutter, .cell = cell, .x = x };
	h.category = p->source.table->col[m->col].type == SN_TYPE_TEXT;
	sn_format(h.hatch, sizeof h.hatch, "hatch-%d-%d", p->source.index, m->col);
	if (h.category) h.words = sn_categories_of(&p->source, m);
	else
		number_scale(&h);
	return h;
}

/* Ends the piece that began at top and begins another at y. */
static void cut(sn_buf *buf, sn_buf *body, const sn_table *t, double *top, double y)
{
	buf->failed |= body->failed;
	if (body->size == 0 || body->failed) return;
	sn_svg_open_piece(buf, *top, y - *top, t->title ? t->title : t->name, t->caption);
	sn_buf_add(buf, body->data, body->size);
	sn_svg_close(buf);
	body->size = 0;
	*top = y;
}

/* The maps of one measure and its legend, from *y on; with pieces, the last map and the legend are one. */
static sn_status draw_measure(sn_buf *buf, sn_buf *body, heat *h, bool pieces, double height, double *top, double *y,
							  sn_arena *arena)
{
	const sn_pick *p = h->pick;
	sn_svg_hatch(body, h->hatch);
	for (int panel = 0; panel < p->panel.n; panel++, *y += height) {
		if (pieces && panel) cut(buf, body, p->source.table, top, *y);
		SN_TRY(draw_map(body, h, panel, *y, arena));
	}
	*y += draw_legend(body, h, *y);
	if (pieces) cut(buf, body, p->source.table, top, *y);
	return SN_OK;
}

sn_status sn_draw_heat(sn_buf *buf, const sn_pick *p, bool pieces, sn_arena *arena)
{
	const sn_table *t = p->source.table;
	double gutter, y = 0, top = 0;
	sn_names names;
	sn_buf body = { .ctx = buf->ctx };
	SN_TRY(label_width(p, arena, &gutter));
	int *x;
	SN_NEW(x, arena, int, p->x.n);
	double cell = cell_width(p, gutter, x);
	SN_TRY(sn_names_below(p, cell, X_SIZE, arena, &names));
	double map = TITLE + p->y.n * CELL_HEIGHT + names.height + X_TITLE + GAP;
	sn_status status = SN_OK;
	for (int m = 0; m < p->n_measure && status == SN_OK; m++) {
		heat h = make_heat(p, &p->measure[m], gutter, cell, x);
		h.names = names;
		status = draw_measure(buf, &body, &h, pieces, map, &top, &y, arena);
	}
	if (!pieces) return sn_svg_finish(buf, &body, status, y, t);
	sn_buf_free(&body);
	return status;
}
