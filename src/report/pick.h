/* What of a table goes where in a figure: axes, series, panels and the columns that belong to each measure. */
#ifndef SN_REPORT_PICK_H
#define SN_REPORT_PICK_H

#include "data/result.h"

enum { SN_MOST_SHOWN = 64 }; /* columns that are shown; CSV and JSON have all */

/* A table of a result, as the drawing code reads it. digits: decimals that suit the numbers of each column, 3 for
 * shares, fewer for larger numbers, -1 (3 significant digits) for tiny ones. */
typedef struct sn_source {
	const sn_result *result;
	const sn_table *table;
	int index, n_col;
	int64_t n_row;
	int8_t digits[SN_MOST_SHOWN];
} sn_source;

enum { SN_MOST_BASES = 3 };
/* A measure and the columns that belong to it; -1: none. */
typedef struct sn_measure {
	int col, low, high, count, hatch, mark, label;
	int base[SN_MOST_BASES], n_base;
} sn_measure;

/* The distinct values (or combinations of values) of some columns. row: a row that shows each; number columns alone are
 * in ascending order, everything else in the order of first appearance. group: [n_row] index of each row. */
typedef struct sn_axis {
	int col[4], n_col;
	bool named; /* numbers are labelled with their column: "layer 3" */
	int n;
	int64_t *row;
	int *group;
} sn_axis;

/* at: row numbers by [panel][y][x], -1 where the table has none. Without a second dimension there is one y (n_col 0).
 */
typedef struct sn_pick {
	sn_source source;
	sn_axis x, y, panel;
	int n_measure;
	sn_measure *measure;
	int64_t *at;
} sn_pick;

enum { SN_MOST_CATEGORIES = 12 };
/* The words of a TEXT measure in the order of first appearance, hatched rows left out, and a mark for each: the row's
 * MARK, or a letter; "undetermined" is ?, and grey. color: for sn_color_category. */
typedef struct sn_categories {
	int n, n_letter;
	const char *word[SN_MOST_CATEGORIES], *mark[SN_MOST_CATEGORIES];
	int color[SN_MOST_CATEGORIES];
} sn_categories;
sn_categories sn_categories_of(const sn_source *source, const sn_measure *measure);
/* Index of a word, -1 for none. */
int sn_category_find(const sn_categories *categories, const char *word);

sn_source sn_source_of(const sn_result *result, int table);
/* The value of a column in a row, and its column. */
const sn_value *sn_source_at(const sn_source *source, int64_t row, int col);
/* The number in a row (INT, FLOAT, BOOL); NaN where missing, where row < 0 or col < 0, or for text. */
double sn_source_number(const sn_source *source, int64_t row, int col);
/* Title of a column for people. */
const char *sn_col_title(const sn_col *col);
/* Appends a value for people, with its own column's decimals; "–" where missing. */
void sn_source_write(sn_buf *buf, const sn_source *source, int64_t row, int col);
/* Appends " [low, high]" where the row has both bounds of a measure, with the measure's decimals. */
void sn_source_write_bounds(sn_buf *buf, const sn_source *source, int64_t row, const sn_measure *measure);
/* The columns that belong to a measure. */
sn_measure sn_measure_of(const sn_table *table, int col);
/* Appends the label of an axis value ("subject", "12", "plural, match"). */
void sn_axis_write(sn_buf *buf, const sn_source *source, const sn_axis *axis, int i);
/* Picks axes and measures of a table, everything from arena. A table without DIM has an x axis of row numbers. */
SN_CHECKED sn_status sn_pick_table(sn_pick *pick, const sn_source *source, sn_arena *arena);
/* Lists the places of the x axis that a panel shows: all; or, where they are words, those it has rows for, since each
 * panel may have its own. x: [pick->x.n]. Returns how many. */
int sn_pick_columns(const sn_pick *pick, int panel, int *x);
/* Row at a place, -1: none. */
int64_t sn_pick_at(const sn_pick *pick, int panel, int y, int x);

#endif
