/* Bars lying on their sides, so that long names of conditions can be read: the first dimension makes groups, the second
 * bars within them. Each bar carries its number, its interval as a whisker and its baselines as dashes. */
#include "base/write.h"
#include "report/svg.h"

#include <math.h>

enum { TITLE = 26, BAR = 17, GROUP_GAP = 9, AXIS = 24, GAP = 16, NUMBERS = 150 };

typedef struct chart {
	const sn_pick *pick;
	const sn_measure *measure;
	int panel;
	double y0, names, series; /* top; widths of the two columns of labels */
	sn_scale scale;
	int n_tick;
	double tick[SN_MOST_TICKS];
} chart;

static void set_scale(chart *c)
{
	const sn_source *s = &c->pick->source;
	double min = 0, max = 0;
	const int cols[] = { c->measure->col, c->measure->low, c->measure->high };
	for (int64_t r = 0; r < s->n_row; r++) {
		for (int i = 0; i < SN_COUNT(cols); i++) {
			double x = sn_source_number(s, r, cols[i]);
			if (isfinite(x)) min = fmin(min, x), max = fmax(max, x);
		}
	}
	c->n_tick = sn_ticks(&min, &max, 8, c->tick);
	c->scale = (sn_scale){ min, max, c->names + c->series, SN_FIGURE_WIDTH - NUMBERS };
}

/* Bars that a group has; groups without any take no place. */
static int bars_of(const chart *c, int x)
{
	int n = 0;
	for (int y = 0; y < c->pick->y.n; y++) n += sn_pick_at(c->pick, c->panel, y, x) >= 0;
	return n;
}

static double body_height(const chart *c)
{
	double height = 0;
	for (int x = 0; x < c->pick->x.n; x++) height += bars_of(c, x) ? bars_of(c, x) * BAR + GROUP_GAP : 0;
	return height;
}

static void draw_axis(sn_buf *buf, const chart *c, double top, double bottom)
{
	static const sn_words words = { 10.5, SN_MIDDLE, "#555555", NULL };
	for (int i = 0; i < c->n_tick; i++) {
		double x = sn_scale_at(&c->scale, c->tick[i]);
		bool zero = fabs(c->tick[i]) < 1e-12;
		char text[32];
		sn_svg_line(buf, x, top, x, bottom, zero ? "#888888" : "#e4e4e4", zero ? 1 : 0.8, NULL);
		sn_format(text, sizeof text, "%s%.6g", c->tick[i] < -1e-12 ? "−" : "", fabs(c->tick[i]));
		sn_svg_text(buf, x, bottom + 14, &words, text);
	}
}

static void whisker(sn_buf *buf, const chart *c, int64_t row, double y)
{
	double low = sn_source_number(&c->pick->source, row, c->measure->low),
		   high = sn_source_number(&c->pick->source, row, c->measure->high);
	if (isnan(low) || isnan(high)) return;
	double a = sn_scale_at(&c->scale, low), b = sn_scale_at(&c->scale, high);
	sn_svg_line(buf, a, y, b, y, "#111111", 1.3, NULL);
	sn_svg_line(buf, a, y - 3, a, y + 3, "#111111", 1.3, NULL);
	sn_svg_line(buf, b, y - 3, b, y + 3, "#111111", 1.3, NULL);
}

static void bases(sn_buf *buf, const chart *c, int64_t row, double y)
{
	for (int i = 0; i < c->measure->n_base; i++) {
		double base = sn_source_number(&c->pick->source, row, c->measure->base[i]);
		if (isnan(base)) continue;
		double x = sn_scale_at(&c->scale, base);
		sn_svg_line(buf, x, y - BAR / 2.0, x, y + BAR / 2.0, "#111111", 1.4, i ? "1.5 1.5" : "3 2");
	}
}

static void numbers(sn_buf *buf, const chart *c, int64_t row, double y)
{
	static const sn_words words = { 10.5, SN_START, NULL, NULL };
	const sn_source *s = &c->pick->source;
	sn_buf text = { .ctx = buf->ctx };
	sn_source_write(&text, s, row, c->measure->col);
	sn_source_write_bounds(&text, s, row, c->measure);
	if (!text.failed) sn_svg_text(buf, c->scale.to + 10, y + 4, &words, text.data);
	buf->failed |= text.failed;
	sn_buf_free(&text);
}

static void bar(sn_buf *buf, const chart *c, int64_t row, int series, double y)
{
	double value = sn_source_number(&c->pick->source, row, c->measure->col);
	double zero = sn_scale_at(&c->scale, 0), x = isnan(value) ? zero : sn_scale_at(&c->scale, value);
	sn_buf_puts(buf, "<g>");
	sn_svg_row_title(buf, c->pick, c->measure, row);
	sn_buf_format(buf, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill-opacity=\"0.55\" fill=\"",
				  fmin(zero, x), y - BAR / 2.0 + 2, fabs(x - zero), BAR - 4);
	sn_color_write(buf, sn_color_series(series));
	sn_buf_puts(buf, "\"/></g>\n");
	bases(buf, c, row, y);
	whisker(buf, c, row, y);
	numbers(buf, c, row, y);
}

static sn_status draw_group(sn_buf *buf, const chart *c, int x, double *y, sn_arena *arena)
{
	static const sn_words words = { 11, SN_END, NULL, NULL }, grey = { 10.5, SN_END, "#555555", NULL };
	const char *label;
	bool first = true;
	for (int i = 0; i < c->pick->y.n; i++) {
		int64_t row = sn_pick_at(c->pick, c->panel, i, x);
		if (row < 0) continue;
		double middle = *y + BAR / 2.0;
		if (first) {
			SN_TRY(sn_axis_label(c->pick, &c->pick->x, x, arena, &label));
			sn_svg_text_cut(buf, c->names - 8, middle + 4, c->names - 10, &words, label);
		}
		first = false;
		if (c->pick->y.n_col) {
			SN_TRY(sn_axis_label(c->pick, &c->pick->y, i, arena, &label));
			sn_svg_text_cut(buf, c->names + c->series - 8, middle + 4, c->series - 10, &grey, label);
		}
		bar(buf, c, row, i, middle);
		*y += BAR;
	}
	if (!first) *y += GROUP_GAP;
	return SN_OK;
}

static sn_status draw_chart(sn_buf *buf, const chart *c, sn_arena *arena)
{
	static const sn_words words = { 12.5, SN_START, "#111111", "600" };
	const char *title;
	SN_TRY(sn_panel_title(c->pick, c->measure, c->panel, arena, &title));
	sn_svg_text_cut(buf, 8, c->y0 + 16, SN_FIGURE_WIDTH - 16, &words, title);
	double y = c->y0 + TITLE + 4;
	draw_axis(buf, c, c->y0 + TITLE, c->y0 + TITLE + body_height(c) + 2);
	for (int x = 0; x < c->pick->x.n; x++) SN_TRY(draw_group(buf, c, x, &y, arena));
	return SN_OK;
}

static sn_status widest(const sn_pick *p, const sn_axis *axis, double most, sn_arena *arena, double *width)
{
	*width = 30;
	for (int i = 0; i < axis->n; i++) {
		const char *label;
		SN_TRY(sn_axis_label(p, axis, i, arena, &label));
		*width = fmax(*width, fmin(most, sn_text_width(label, 11) + 16));
	}
	return SN_OK;
}

/* Which dashes mean what; nothing where there is no baseline. Returns its height. */
static double base_legend(sn_buf *buf, const chart *c, double y)
{
	static const sn_words words = { 11, SN_START, NULL, NULL };
	double x = c->names + c->series;
	for (int i = 0; i < c->measure->n_base; i++) {
		const char *label = sn_col_title(&c->pick->source.table->col[c->measure->base[i]]);
		sn_svg_line(buf, x, y - 8, x, y + 8, "#111111", 1.4, i ? "1.5 1.5" : "3 2");
		sn_svg_text(buf, x + 8, y + 4, &words, label);
		x += 30 + sn_text_width(label, 11);
	}
	return c->measure->n_base ? 22 : 0;
}

static sn_status draw_all(sn_buf *buf, const sn_pick *p, sn_arena *arena, double *y)
{
	double names, series = 0;
	SN_TRY(widest(p, &p->x, 300, arena, &names));
	if (p->y.n_col) SN_TRY(widest(p, &p->y, 170, arena, &series));
	for (int m = 0; m < p->n_measure; m++) {
		chart c = { .pick = p, .measure = &p->measure[m], .names = names, .series = series };
		set_scale(&c);
		for (c.panel = 0; c.panel < p->panel.n; c.panel++) {
			c.y0 = *y;
			SN_TRY(draw_chart(buf, &c, arena));
			*y += TITLE + body_height(&c) + AXIS + GAP;
		}
		*y += base_legend(buf, &c, *y);
	}
	return SN_OK;
}

sn_status sn_draw_bars(sn_buf *buf, const sn_pick *p, sn_arena *arena)
{
	const sn_table *t = p->source.table;
	sn_buf body = { .ctx = buf->ctx };
	double y = 0;
	sn_status status = draw_all(&body, p, arena, &y);
	return sn_svg_finish(buf, &body, status, y, t);
}
