/* Curves with bands: a panel for each measure and facet, a line for each value of the second dimension. */
#include "base/write.h"
#include "report/svg.h"

#include <math.h>

enum { LEFT = 54, RIGHT = 14, TOP = 26, PLOT = 180, X_TITLE = 30, LEGEND_ROW = 20, MOST_LABELS = 11 };
static const double label_size = 10.5;

typedef struct panel {
	const sn_pick *pick;
	const sn_measure *measure;
	int number;
	double x0, y0, width; /* of the whole panel */
	sn_scale x, y;
	bool log; /* y is warped */
	int n_tick;
	double tick[SN_MOST_TICKS];
	char clip[48];
	sn_names names; /* below the x axis */
} panel;

/* ---- ranges ---- */

static double warped(double x) { return copysign(log10(1 + fabs(x)), x); }

static double place_y(const panel *a, double y) { return sn_scale_at(&a->y, a->log ? warped(y) : y); }

static void widen(double *min, double *max, double x)
{
	if (isnan(x)) return;
	*min = fmin(*min, x);
	*max = fmax(*max, x);
}

/* Values and baselines always fit; bounds may stick out by as much again, so that one wide interval does not flatten
 * all. */
static void value_range(const sn_pick *p, const sn_measure *m, double *min, double *max)
{
	double low = INFINITY, high = -INFINITY;
	*min = INFINITY;
	*max = -INFINITY;
	for (int64_t r = 0; r < p->source.n_row; r++) {
		widen(min, max, sn_source_number(&p->source, r, m->col));
		for (int b = 0; b < m->n_base; b++) widen(min, max, sn_source_number(&p->source, r, m->base[b]));
		widen(&low, &high, sn_source_number(&p->source, r, m->low));
		widen(&low, &high, sn_source_number(&p->source, r, m->high));
	}
	if (!(*min <= *max)) *min = 0, *max = 1;
	if (*min > 0 && *min < 0.6 * *max) *min = 0;
	double span = fmax(*max - *min, 1e-9);
	if (low < *min) *min = fmax(low, *min - span / 2);
	if (high > *max) *max = fmin(high, *max + span / 2);
}

/* Ranks among a vocabulary, or bits that fall from hundreds to none, lie flat on a linear scale. Finds the smallest
 * value too. */
static bool spans_orders(const sn_pick *p, const sn_measure *m, double *smallest)
{
	static const double most = 200;
	double least = INFINITY, size = INFINITY, greatest = 0;
	bool below = false, above = false;
	for (int64_t r = 0; r < p->source.n_row; r++) {
		double x = sn_source_number(&p->source, r, m->col);
		if (isnan(x)) continue;
		below |= x < 0;
		above |= x > 0;
		least = fmin(least, x);
		size = fmin(size, fabs(x));
		greatest = fmax(greatest, fabs(x));
	}
	*smallest = least;
	return greatest >= most && size * most <= greatest && !(below && above);
}

static void linear_ticks(panel *a, double min, double max)
{
	a->n_tick = sn_ticks(&min, &max, 7, a->tick);
	a->y = (sn_scale){ min, max, a->y0 + TOP + PLOT, a->y0 + TOP };
}

/* 0 and powers of ten. */
static void log_ticks(panel *a, double min, double max)
{
	a->y = (sn_scale){ warped(min), warped(max), a->y0 + TOP + PLOT, a->y0 + TOP };
	a->n_tick = 0;
	for (int e = -9; e <= 9 && a->n_tick < SN_MOST_TICKS; e++) {
		double tick = e == 0 ? 0 : copysign(pow(10, SN_MAX(e, -e) - 1), e);
		if (tick >= min && tick <= max) a->tick[a->n_tick++] = tick;
	}
}

static bool x_is_number(const sn_pick *p) { return p->source.table->col[p->x.col[0]].type != SN_TYPE_TEXT; }

static double x_value(const sn_pick *p, int x)
{
	return x_is_number(p) ? sn_source_number(&p->source, p->x.row[x], p->x.col[0]) : x;
}

static void set_scales(panel *a)
{
	const sn_pick *p = a->pick;
	double min, max, least;
	value_range(p, a->measure, &min, &max);
	a->log = spans_orders(p, a->measure, &least);
	if (a->log && least >= 1) min = fmax(min, 1);
	if (a->log)
		log_ticks(a, min, max);
	else
		linear_ticks(a, min, max);
	double first = x_value(p, 0), last = x_value(p, p->x.n - 1), room = fmax((last - first) * 0.02, 1e-9);
	if (p->x.n == 1) room = 0.5;
	a->x = (sn_scale){ first - room, last + room, a->x0 + LEFT, a->x0 + a->width - RIGHT };
}

/* ---- axes ---- */

static void y_axis(sn_buf *buf, const panel *a)
{
	static const sn_words words = { 10.5, SN_END, "#555555", NULL };
	for (int i = 0; i < a->n_tick; i++) {
		double y = place_y(a, a->tick[i]);
		bool zero = fabs(a->tick[i]) < 1e-12;
		sn_svg_line(buf, a->x.from, y, a->x.to, y, zero ? "#888888" : "#e4e4e4", zero ? 1 : 0.8, NULL);
		char text[32];
		sn_format(text, sizeof text, "%s%.6g", a->tick[i] < -1e-12 ? "−" : "", fabs(a->tick[i]));
		sn_svg_text(buf, a->x.from - 6, y + 3.5, &words, text);
	}
}

static sn_status x_axis(sn_buf *buf, const panel *a, sn_arena *arena)
{
	static const sn_words title = { 11, SN_MIDDLE, NULL, NULL };
	const sn_pick *p = a->pick;
	const char *name;
	int step = a->names.turned ? 1 : SN_MAX(1, (p->x.n + MOST_LABELS - 1) / MOST_LABELS);
	for (int i = 0; i < p->x.n; i += step) {
		double x = sn_scale_at(&a->x, x_value(p, i));
		const char *label;
		SN_TRY(sn_axis_label(p, &p->x, i, arena, &label));
		sn_svg_line(buf, x, a->y.from, x, a->y.from + 4, "#888888", 1, NULL);
		sn_svg_name(buf, x, a->y.from + 4, &a->names, label_size, label);
	}
	SN_TRY(sn_axis_title(p, arena, &name));
	sn_svg_text(buf, (a->x.from + a->x.to) / 2, a->y.from + 4 + a->names.height + 16, &title, name);
	return SN_OK;
}

/* ---- marks ---- */

static double number_at(const panel *a, int y, int x, int col)
{
	return sn_source_number(&a->pick->source, sn_pick_at(a->pick, a->number, y, x), col);
}

/* The points [from, to) of one unbroken stretch, forwards or backwards, of a column. */
static void points(sn_buf *buf, const panel *a, int y, int col, int from, int to, bool back)
{
	for (int i = from; i < to; i++) {
		int x = back ? from + to - 1 - i : i;
		sn_buf_format(buf, "%.1f,%.1f ", sn_scale_at(&a->x, x_value(a->pick, x)),
					  place_y(a, number_at(a, y, x, col)));
	}
}

/* Finds the next stretch where both columns have numbers, from *from on; false at the end. */
static bool next_stretch(const panel *a, int y, int col, int other, int *from, int *to)
{
	int n = a->pick->x.n, i = *from;
	while (i < n && (isnan(number_at(a, y, i, col)) || isnan(number_at(a, y, i, other)))) i++;
	*from = i;
	while (i < n && !isnan(number_at(a, y, i, col)) && !isnan(number_at(a, y, i, other))) i++;
	*to = i;
	return *from < n;
}

static void band(sn_buf *buf, const panel *a, int y)
{
	const sn_measure *m = a->measure;
	if (m->low < 0 || m->high < 0) return;
	for (int from = 0, to; next_stretch(a, y, m->low, m->high, &from, &to); from = to) {
		sn_buf_puts(buf, "<polygon fill-opacity=\"0.16\" fill=\"");
		sn_color_write(buf, sn_color_series(y));
		sn_buf_puts(buf, "\" points=\"");
		points(buf, a, y, m->high, from, to, false);
		points(buf, a, y, m->low, from, to, true);
		sn_buf_puts(buf, "\"/>\n");
	}
}

static void curve(sn_buf *buf, const panel *a, int y, int col, const char *dash, double width, const char *color)
{
	for (int from = 0, to; next_stretch(a, y, col, col, &from, &to); from = to) {
		sn_buf_format(buf, "<polyline fill=\"none\" stroke-width=\"%.1f\" stroke-dasharray=\"%s\" stroke=\"", width,
					  dash);
		if (color)
			sn_buf_puts(buf, color);
		else
			sn_color_write(buf, sn_color_series(y));
		sn_buf_puts(buf, "\" points=\"");
		points(buf, a, y, col, from, to, false);
		sn_buf_puts(buf, "\"/>\n");
	}
}

static void markers(sn_buf *buf, const panel *a, int y)
{
	for (int x = 0; x < a->pick->x.n; x++) {
		double value = number_at(a, y, x, a->measure->col);
		if (isnan(value)) continue;
		bool hollow = number_at(a, y, x, a->measure->hatch) > 0;
		sn_svg_marker_open(buf, sn_scale_at(&a->x, x_value(a->pick, x)), place_y(a, value), y, hollow);
		sn_svg_row_title(buf, a->pick, a->measure, sn_pick_at(a->pick, a->number, y, x));
		sn_buf_puts(buf, "</g>\n");
	}
}

/* True if a baseline is the same for all series, so that one grey line says it. */
static bool shared_base(const sn_pick *p, int col)
{
	for (int f = 0; f < p->panel.n; f++) {
		for (int x = 0; x < p->x.n; x++) {
			double first = NAN;
			for (int y = 0; y < p->y.n; y++) {
				double value = sn_source_number(&p->source, sn_pick_at(p, f, y, x), col);
				if (isnan(first)) first = value;
				if (fabs(value - first) > 1e-12) return false;
			}
		}
	}
	return true;
}

/* Dashes of a baseline: told apart by how many baselines the table declares before it. */
static const char *base_dash(const sn_pick *p, int col)
{
	static const char *const dash[] = { "4 3", "1.5 2.5", "8 3 1.5 3", "10 4" };
	int before = 0;
	for (int c = 0; c < col; c++) before += p->source.table->col[c].role == SN_BASE;
	return dash[before % SN_COUNT(dash)];
}

static void bases(sn_buf *buf, const panel *a)
{
	for (int b = 0; b < a->measure->n_base; b++) {
		int col = a->measure->base[b];
		bool shared = shared_base(a->pick, col);
		for (int y = 0; y < a->pick->y.n; y++)
			curve(buf, a, y, col, base_dash(a->pick, col), 1.1, shared ? "#555555" : NULL);
	}
}

/* ---- panels and legend ---- */

static sn_status draw_panel(sn_buf *buf, panel *a, sn_arena *arena)
{
	static const sn_words words = { 12.5, SN_START, "#111111", "600" };
	const char *title;
	set_scales(a);
	SN_TRY(sn_panel_title(a->pick, a->measure, a->number, arena, &title));
	const char *log = sn_result_word(a->pick->source.result, "log scale");
	if (a->log && !(title = sn_arena_format(arena, "%s, %s", title, log))) return SN_ENOMEM;
	sn_svg_text_cut(buf, a->x0 + 8, a->y0 + 15, a->width - 16, &words, title);
	y_axis(buf, a);
	SN_TRY(x_axis(buf, a, arena));
	sn_buf_format(buf,
				  "<clipPath id=\"%s\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/></clipPath><g "
				  "clip-path=\"url(#%s)\">\n",
				  a->clip, a->x.from, a->y.to, a->x.to - a->x.from, a->y.from - a->y.to, a->clip);
	for (int y = 0; y < a->pick->y.n; y++) band(buf, a, y);
	bases(buf, a);
	for (int y = 0; y < a->pick->y.n; y++) curve(buf, a, y, a->measure->col, sn_dash_series(y), 1.7, NULL);
	sn_buf_puts(buf, "</g>\n");
	for (int y = 0; y < a->pick->y.n; y++) markers(buf, a, y);
	return SN_OK;
}

typedef struct legend {
	double x, y;
} legend;

/* Moves to the place of the next entry of that width. */
static void next_entry(legend *l, const char *label, double *x, double *y)
{
	double width = 44 + sn_text_width(label, 11.5);
	if (l->x + width > SN_FIGURE_WIDTH && l->x > 8) *l = (legend){ 8, l->y + LEGEND_ROW };
	*x = l->x;
	*y = l->y;
	l->x += width;
}

static void series_entry(sn_buf *buf, legend *l, int i, const char *label)
{
	static const sn_words words = { 11.5, SN_START, NULL, NULL };
	double x, y;
	next_entry(l, label, &x, &y);
	sn_buf_format(
		buf,
		"<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke-width=\"1.7\" stroke-dasharray=\"%s\" stroke=\"",
		x, y, x + 26, y, sn_dash_series(i));
	sn_color_write(buf, sn_color_series(i));
	sn_buf_puts(buf, "\"/>");
	sn_svg_marker_open(buf, x + 13, y, i, false);
	sn_buf_puts(buf, "</g>");
	sn_svg_text(buf, x + 31, y + 4, &words, label);
}

static bool is_used_base(const sn_pick *p, int col)
{
	for (int m = 0; m < p->n_measure; m++)
		for (int b = 0; b < p->measure[m].n_base; b++)
			if (p->measure[m].base[b] == col) return true;
	return false;
}

static void base_entries(sn_buf *buf, const sn_pick *p, legend *l)
{
	static const sn_words words = { 11.5, SN_START, NULL, NULL };
	for (int col = 0; col < p->source.table->n_col; col++) {
		if (!is_used_base(p, col)) continue;
		const char *label = sn_col_title(&p->source.table->col[col]);
		double x, y;
		next_entry(l, label, &x, &y);
		sn_svg_line(buf, x, y, x + 26, y, "#555555", 1.1, base_dash(p, col));
		sn_svg_text(buf, x + 31, y + 4, &words, label);
	}
}

static sn_status draw_legend(sn_buf *buf, const sn_pick *p, sn_arena *arena, double *height)
{
	legend l = { 8, 12 };
	for (int y = 0; y < p->y.n && p->y.n_col; y++) {
		const char *label;
		SN_TRY(sn_axis_label(p, &p->y, y, arena, &label));
		series_entry(buf, &l, y, label);
	}
	base_entries(buf, p, &l);
	*height = l.x > 8 ? l.y + 14 : 0;
	return SN_OK;
}

sn_status sn_draw_lines(sn_buf *buf, const sn_pick *p, sn_arena *arena)
{
	int n = p->n_measure * p->panel.n, columns = n == 1 ? 1 : 2, rows = (n + columns - 1) / columns;
	sn_buf legend_svg = { .ctx = buf->ctx };
	double top, width = (double)SN_FIGURE_WIDTH / columns;
	sn_names names;
	SN_TRY(sn_names_below(p, (width - LEFT - RIGHT) / p->x.n, label_size, arena, &names));
	double height = TOP + PLOT + names.height + X_TITLE;
	sn_status status = draw_legend(&legend_svg, p, arena, &top);
	if (status != SN_OK || legend_svg.failed) return sn_buf_free(&legend_svg), status != SN_OK ? status : SN_ENOMEM;
	const sn_table *t = p->source.table;
	sn_svg_open(buf, SN_FIGURE_WIDTH, top + rows * height, t->title ? t->title : t->name, t->caption);
	if (legend_svg.size) sn_buf_add(buf, legend_svg.data, legend_svg.size);
	sn_buf_free(&legend_svg);
	for (int i = 0; i < n; i++) {
		panel a = {
			.pick = p, .measure = &p->measure[i / p->panel.n], .number = i % p->panel.n, .width = width, .names = names
		};
		a.x0 = i % columns * a.width;
		a.y0 = top + i / columns * height;
		sn_format(a.clip, sizeof a.clip, "clip-%d-%d", p->source.index, i);
		SN_TRY(draw_panel(buf, &a, arena));
	}
	sn_svg_close(buf);
	return SN_OK;
}
