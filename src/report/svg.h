/* What figures are drawn with: scales, ticks, words, markers. Lengths are SVG user units (pixels at full width). */
#ifndef SN_REPORT_SVG_H
#define SN_REPORT_SVG_H

#include "report/palette.h"
#include "report/pick.h"

enum { SN_FIGURE_WIDTH = 940, SN_MOST_TICKS = 12 };

/* A linear scale from data to places. */
typedef struct sn_scale {
	double min, max, from, to;
} sn_scale;
double sn_scale_at(const sn_scale *scale, double x);
/* Widens [min, max] to round numbers and fills ticks (1, 2, 2.5 or 5 times a power of ten apart); returns how many. */
int sn_ticks(double *min, double *max, int most, double tick[SN_MOST_TICKS]);

typedef enum sn_anchor { SN_START, SN_MIDDLE, SN_END } sn_anchor;
typedef struct sn_words {
	double size;
	sn_anchor anchor;
	const char *color, *weight;
} sn_words; /* NULL: dark grey, normal */
/* Opens the document; name and description are for readers who hear it. */
void sn_svg_open(sn_buf *buf, double width, double height, const char *name, const char *description);
void sn_svg_close(sn_buf *buf);
/* Opens one of several documents that a figure is cut into: what lies from top to top + height. */
void sn_svg_open_piece(sn_buf *buf, double top, double height, const char *name, const char *description);
/* Writes a whole document of SN_FIGURE_WIDTH x height around body, whose memory ends; the figure is of table t. Returns
 * status, or SN_ENOMEM where body is short of memory; then nothing is written. */
SN_CHECKED sn_status sn_svg_finish(sn_buf *buf, sn_buf *body, sn_status status, double height, const sn_table *t);
void sn_svg_text(sn_buf *buf, double x, double y, const sn_words *words, const char *text);
/* Text cut with an ellipsis where it would be wider than width. */
void sn_svg_text_cut(sn_buf *buf, double x, double y, double width, const sn_words *words, const char *text);
/* Rough width of text at a size. */
double sn_text_width(const char *text, double size);
/* How long names stand below an axis: side by side, or turned where the longest is wider than its place. height: what
 * they take. */
typedef struct sn_names {
	bool turned;
	double height, place;
} sn_names;
SN_CHECKED sn_status sn_names_below(const sn_pick *pick, double place, double size, sn_arena *arena, sn_names *out);
/* Writes a name whose place has its middle at x, below y. */
void sn_svg_name(sn_buf *buf, double x, double y, const sn_names *names, double size, const char *text);
void sn_svg_line(sn_buf *buf, double x1, double y1, double x2, double y2, const char *color, double width,
				 const char *dash);
/* Marker of series i, 3.2 units in radius; hollow: white inside. The element stays open for a title: close with "</g>".
 */
void sn_svg_marker_open(sn_buf *buf, double x, double y, int i, bool hollow);
/* A hatch pattern under an id. */
void sn_svg_hatch(sn_buf *buf, const char *id);
/* "<title>…</title>": the values of a row, for tooltips. */
void sn_svg_row_title(sn_buf *buf, const sn_pick *pick, const sn_measure *measure, int64_t row);

/* The figures of the views; nothing for a table without a measure. */
SN_CHECKED sn_status sn_draw_lines(sn_buf *buf, const sn_pick *pick, sn_arena *arena);
/* pieces: each map is a document of its own, so that pages can end between them. */
SN_CHECKED sn_status sn_draw_heat(sn_buf *buf, const sn_pick *pick, bool pieces, sn_arena *arena);
SN_CHECKED sn_status sn_draw_bars(sn_buf *buf, const sn_pick *pick, sn_arena *arena);

/* "measure – panel (unit)", or "panel (unit)" where there is but one measure, from arena. */
SN_CHECKED sn_status sn_panel_title(const sn_pick *pick, const sn_measure *measure, int panel, sn_arena *arena,
									const char **out);
/* "column (unit)" of the x axis, from arena. */
SN_CHECKED sn_status sn_axis_title(const sn_pick *pick, sn_arena *arena, const char **out);
/* Label of an axis value, from arena. */
SN_CHECKED sn_status sn_axis_label(const sn_pick *pick, const sn_axis *axis, int i, sn_arena *arena, const char **out);

#endif
