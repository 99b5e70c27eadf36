#include "report/svg.h"
#include "base/write.h"
#include "report/report.h"

#include <math.h>
#include <string.h>

/* ---- scales ---- */

double sn_scale_at(const sn_scale *s, double x)
{
	return s->max > s->min ? s->from + (x - s->min) / (s->max - s->min) * (s->to - s->from) : s->from;
}

static double round_step(double rough)
{
	static const double step[] = { 1, 2, 2.5, 5, 10 };
	double power = pow(10, floor(log10(rough)));
	for (int i = 0; i < SN_COUNT(step); i++)
		if (step[i] * power >= rough * (1 - 1e-9)) return step[i] * power;
	return 10 * power;
}

int sn_ticks(double *min, double *max, int most, double tick[SN_MOST_TICKS])
{
	most = SN_MIN(most, (int)SN_MOST_TICKS);
	if (!(*max > *min)) *max = *min + 1;
	double step = round_step((*max - *min) / (most - 1));
	while (ceil(*max / step - 1e-9) - floor(*min / step + 1e-9) > most - 1) step = round_step(step * 1.01);
	double first = floor(*min / step + 1e-9), last = ceil(*max / step - 1e-9);
	int n = 0;
	for (double i = first; i <= last && n < most; i++) tick[n++] = i * step;
	*min = first * step;
	*max = last * step;
	return n;
}

/* ---- elements ---- */

static void open_box(sn_buf *buf, double top, double width, double height, const char *name, const char *description)
{
	sn_buf_format(buf,
				  "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 %.0f %.0f %.0f\" width=\"%.0f\" "
				  "height=\"%.0f\" role=\"img\""
				  " font-family=\"system-ui, 'DejaVu Sans', Arial, sans-serif\">",
				  top, width, height, width, height);
	sn_buf_puts(buf, "<title>");
	sn_write_xml(buf, name);
	sn_buf_puts(buf, "</title><desc>");
	sn_write_xml(buf, description ? description : name);
	sn_buf_puts(buf, "</desc>\n");
}

void sn_svg_open(sn_buf *buf, double width, double height, const char *name, const char *description)
{
	open_box(buf, 0, width, height, name, description);
}

void sn_svg_open_piece(sn_buf *buf, double top, double height, const char *name, const char *description)
{
	open_box(buf, top, SN_FIGURE_WIDTH, height, name, description);
}

void sn_svg_close(sn_buf *buf) { sn_buf_puts(buf, "</svg>\n"); }

sn_status sn_svg_finish(sn_buf *buf, sn_buf *body, sn_status status, double height, const sn_table *t)
{
	if (status == SN_OK && body->failed) status = SN_ENOMEM;
	if (status == SN_OK) {
		sn_svg_open(buf, SN_FIGURE_WIDTH, height, t->title ? t->title : t->name, t->caption);
		sn_buf_add(buf, body->data, body->size);
		sn_svg_close(buf);
	}
	sn_buf_free(body);
	return status;
}

void sn_svg_text(sn_buf *buf, double x, double y, const sn_words *w, const char *text)
{
	static const char *const anchor[] = { "start", "middle", "end" };
	sn_buf_format(buf, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%.1f\" text-anchor=\"%s\" fill=\"%s\"%s%s%s>", x, y,
				  w->size, anchor[w->anchor], w->color ? w->color : "#333333", w->weight ? " font-weight=\"" : "",
				  w->weight ? w->weight : "", w->weight ? "\"" : "");
	sn_write_xml(buf, text);
	sn_buf_puts(buf, "</text>\n");
}

double sn_text_width(const char *text, double size)
{
	double n = 0;
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;
		n += (byte & 0xc0) == 0x80 ? 0 : byte == 0xd0 || byte == 0xd1 ? 1.15 : 1; /* Cyrillic letters are wider */
	}
	return 0.58 * size * n;
}

void sn_svg_text_cut(sn_buf *buf, double x, double y, double width, const sn_words *w, const char *text)
{
	if (sn_text_width(text, w->size) <= width) {
		sn_svg_text(buf, x, y, w, text);
		return;
	}
	sn_buf cut = { .ctx = buf->ctx };
	size_t n = 0, fits = (size_t)fmax(1, width / (0.58 * w->size) - 1);
	for (; text[n] && fits; fits--)
		for (n++; ((unsigned char)text[n] & 0xc0) == 0x80;) n++;
	sn_buf_add(&cut, text, n);
	sn_buf_puts(&cut, "…");
	if (cut.failed)
		buf->failed = true;
	else
		sn_svg_text(buf, x, y, w, cut.data);
	sn_buf_free(&cut);
}

void sn_svg_line(sn_buf *buf, double x1, double y1, double x2, double y2, const char *color, double width,
				 const char *dash)
{
	sn_buf_format(buf, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"%.2f\"", x1,
				  y1, x2, y2, color, width);
	sn_buf_format(buf, dash ? " stroke-dasharray=\"%s\"/>\n" : "/>\n", dash);
}

void sn_svg_marker_open(sn_buf *buf, double x, double y, int i, bool hollow)
{
	static const char *const shape[] = {
		"M-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z",
		"M-2.7 -2.7h5.4v5.4h-5.4z",
		"M0 -3.5L3.4 2.6H-3.4z",
		"M0 -3.8L3.3 0L0 3.8L-3.3 0z",
		"M0 3.5L3.4 -2.6H-3.4z",
		"M-3.4 -1h2.4v-2.4h2v2.4h2.4v2h-2.4v2.4h-2v-2.4h-2.4z",
		"M-3 -1.8L-1.8 -3L0 -1.2L1.8 -3L3 -1.8L1.2 0L3 1.8L1.8 3L0 1.2L-1.8 3L-3 1.8L-1.2 0z"
	};
	sn_buf_format(buf, "<g transform=\"translate(%.1f %.1f)\"><path d=\"%s\" stroke-width=\"1.2\" stroke=\"", x, y,
				  shape[i % SN_COUNT(shape)]);
	sn_color_write(buf, sn_color_series(i));
	sn_buf_puts(buf, "\" fill=\"");
	if (hollow)
		sn_buf_puts(buf, "#ffffff");
	else
		sn_color_write(buf, sn_color_series(i));
	sn_buf_puts(buf, "\"/>");
}

void sn_svg_hatch(sn_buf *buf, const char *id)
{
	sn_buf_format(
		buf,
		"<defs><pattern id=\"%s\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" "
		"patternTransform=\"rotate(45)\">"
		"<rect width=\"6\" height=\"6\" fill=\"#f4f4f4\"/><line x1=\"0\" y1=\"0\" x2=\"0\" y2=\"6\" stroke=\"#c9c9c9\""
		" stroke-width=\"2\"/></pattern></defs>\n",
		id);
}

/* ---- words of a table ---- */

void sn_svg_row_title(sn_buf *buf, const sn_pick *p, const sn_measure *m, int64_t row)
{
	const sn_source *s = &p->source;
	sn_buf text = { .ctx = buf->ctx };
	for (int c = 0; c < s->n_col; c++) {
		if (s->table->col[c].role != SN_DIM && s->table->col[c].role != SN_FACET) continue;
		sn_buf_format(&text, "%s ", sn_col_title(&s->table->col[c]));
		sn_source_write(&text, s, row, c);
		sn_buf_puts(&text, ", ");
	}
	sn_buf_format(&text, "%s ", sn_col_title(&s->table->col[m->col]));
	sn_source_write(&text, s, row, m->col);
	sn_source_write_bounds(&text, s, row, m);
	if (m->count >= 0) {
		sn_buf_format(&text, ", %s ", sn_col_title(&s->table->col[m->count]));
		sn_source_write(&text, s, row, m->count);
	}
	sn_buf_puts(buf, "<title>");
	sn_write_xml(buf, text.failed ? "" : text.data);
	sn_buf_puts(buf, "</title>");
	buf->failed |= text.failed;
	sn_buf_free(&text);
}

static sn_status keep(sn_buf *buf, sn_arena *arena, const char **out)
{
	*out = buf->failed ? NULL : sn_arena_string(arena, buf->data ? buf->data : "");
	sn_buf_free(buf);
	return *out ? SN_OK : SN_ENOMEM;
}

sn_status sn_panel_title(const sn_pick *p, const sn_measure *m, int panel, sn_arena *arena, const char **out)
{
	const sn_col *c = &p->source.table->col[m->col];
	sn_buf buf = { .ctx = sn_arena_ctx(arena) };
	bool facet_alone = p->panel.n_col && p->n_measure == 1;   /* "Value – I" says no more than "I" */
	if (!facet_alone) sn_buf_puts(&buf, sn_col_title(c));
	if (p->panel.n_col && !facet_alone) sn_buf_puts(&buf, " – ");
	sn_axis_write(&buf, &p->source, &p->panel, panel);
	if (c->unit && c->unit[0]) sn_buf_format(&buf, " (%s)", c->unit);
	return keep(&buf, arena, out);
}

sn_status sn_axis_title(const sn_pick *p, sn_arena *arena, const char **out)
{
	const sn_col *c = &p->source.table->col[p->x.col[0]];
	sn_buf buf = { .ctx = sn_arena_ctx(arena) };
	sn_buf_puts(&buf, sn_col_title(c));
	if (c->unit && c->unit[0]) sn_buf_format(&buf, " (%s)", c->unit);
	return keep(&buf, arena, out);
}

sn_status sn_axis_label(const sn_pick *p, const sn_axis *axis, int i, sn_arena *arena, const char **out)
{
	sn_buf buf = { .ctx = sn_arena_ctx(arena) };
	sn_axis_write(&buf, &p->source, axis, i);
	return keep(&buf, arena, out);
}

/* ---- names below an axis ---- */

static const double longest_name = 170, turned_sine = 0.643; /* 40 degrees */

sn_status sn_names_below(const sn_pick *p, double place, double size, sn_arena *arena, sn_names *out)
{
	double widest = 0;
	for (int i = 0; i < p->x.n; i++) {
		const char *label;
		SN_TRY(sn_axis_label(p, &p->x, i, arena, &label));
		widest = fmax(widest, sn_text_width(label, size));
	}
	bool words = p->source.table->col[p->x.col[0]].type == SN_TYPE_TEXT;
	bool turned = words && widest > place;
	*out = (sn_names){ turned, turned ? fmin(widest, longest_name) * turned_sine + size : size + 4, place };
	return SN_OK;
}

void sn_svg_name(sn_buf *buf, double x, double y, const sn_names *names, double size, const char *text)
{
	sn_words words = { size, names->turned ? SN_END : SN_MIDDLE, "#555555", NULL };
	if (!names->turned) {
		sn_svg_text_cut(buf, x, y + size + 2, fmax(names->place, 3 * size), &words, text);
		return;
	}
	sn_buf_format(buf, "<g transform=\"translate(%.1f %.1f) rotate(-40)\">", x + size / 3, y + size);
	sn_svg_text_cut(buf, 0, 0, longest_name, &words, text);
	sn_buf_puts(buf, "</g>\n");
}

static sn_status draw_table(sn_buf *buf, const sn_result *result, int table, bool pieces)
{
	sn_source source = sn_source_of(result, table);
	sn_arena *arena;
	sn_pick pick;
	sn_view view = source.table->view;
	if (source.n_row == 0 || view == SN_VIEW_TABLE || view == SN_VIEW_TEXT ||
	    view == SN_VIEW_TOKENS) return SN_OK;
	SN_TRY(sn_arena_open(&arena, sn_result_ctx(result)));
	sn_status status = sn_pick_table(&pick, &source, arena);
	if (status == SN_OK && pick.n_measure && pick.x.n_col)
		status = view == SN_VIEW_LINE   ? sn_draw_lines(buf, &pick, arena)
				 : view == SN_VIEW_HEAT ? sn_draw_heat(buf, &pick, pieces, arena)
										: sn_draw_bars(buf, &pick, arena);
	sn_arena_close(arena);
	return status != SN_OK ? status : buf->failed ? SN_ENOMEM : SN_OK;
}

sn_status sn_report_svg(sn_buf *buf, const sn_result *result, int table)
{
	return draw_table(buf, result, table, false);
}

sn_status sn_report_figure(sn_buf *buf, const sn_result *result, int table)
{
	return draw_table(buf, result, table, true);
}
