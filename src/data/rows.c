/* Rows to columns. Cells are kept sparse, so that memory is bounded by the file until the columns are known. */
#include "data/rows.h"

#include <math.h>
#include <string.h>

#include "base/write.h"

enum { MAX_COLUMNS = 4096, FREE_CELLS = 1 << 20, CELLS_A_BYTE = 8 };

typedef struct placed {
	int64_t row, line;
	sn_cell cell;
} placed;

typedef struct column {
	const char *name;
	placed *cell; /* [n], ascending rows; from the context's allocator */
	int64_t n, room;
} column;

struct sn_rows {
	sn_ctx *ctx;
	const char *source;
	size_t bytes;
	sn_arena *arena;
	sn_pool pool;
	column *col;
	int n_col, room;
	int cursor; /* where the next cell's column is looked for first */
	int64_t n, line;
};

sn_status sn_rows_open(sn_rows **out, sn_ctx *ctx, const char *source, size_t bytes, sn_arena *arena)
{
	sn_rows *rows = sn_alloc(ctx, sizeof *rows);
	*out = NULL;
	if (!rows) return SN_ENOMEM;
	*rows = (sn_rows){ .ctx = ctx, .source = source, .bytes = bytes, .arena = arena, .pool = { .arena = arena } };
	*out = rows;
	return SN_OK;
}

void sn_rows_close(sn_rows *rows)
{
	if (!rows) return;
	for (int i = 0; i < rows->n_col; i++) sn_free(rows->ctx, rows->col[i].cell);
	sn_free(rows->ctx, rows->col);
	sn_free(rows->ctx, rows);
}

sn_pool *sn_rows_pool(sn_rows *rows) { return &rows->pool; }

void sn_rows_next(sn_rows *rows, int64_t line)
{
	rows->n++;
	rows->line = line;
	rows->cursor = 0;
}

/* ---- cells ---- */

/* Returns an array twice as long with the n elements of the old one, which is freed; NULL when memory is short. */
static void *enlarge(sn_rows *rows, void *old, int64_t n, size_t size)
{
	void *array = sn_alloc(rows->ctx, sn_size3(SN_MAX(2 * (size_t)n, (size_t)8), size, 1));
	if (!array) return NULL;
	if (n) memcpy(array, old, (size_t)n * size);
	sn_free(rows->ctx, old);
	return array;
}

static sn_status add_column(sn_rows *rows, const char *name)
{
	if (!name[0] || rows->n_col == MAX_COLUMNS)
		return sn_fail(rows->ctx, SN_EPARSE,
					   "%s: line %lld: '%s' would be column %d; expected a name, and at most %d columns", rows->source,
					   (long long)rows->line, name, rows->n_col + 1, MAX_COLUMNS);
	if (rows->n_col == rows->room) {
		column *col = enlarge(rows, rows->col, rows->n_col, sizeof *col);
		if (!col) return SN_ENOMEM;
		rows->col = col;
		rows->room = SN_MAX(2 * rows->room, 8);
	}
	rows->col[rows->n_col].name = sn_pool_copy(&rows->pool, name, strlen(name));
	return rows->col[rows->n_col++].name ? SN_OK : SN_ENOMEM;
}

static sn_status find_column(sn_rows *rows, const char *name, column **out)
{
	int found = 0;
	while (found < rows->n_col && strcmp(rows->col[(rows->cursor + found) % rows->n_col].name, name) != 0) found++;
	if (found == rows->n_col) {
		SN_TRY(add_column(rows, name));
		rows->cursor = rows->n_col - 1;
	} else {
		rows->cursor = (rows->cursor + found) % rows->n_col;
	}
	*out = &rows->col[rows->cursor++];
	return SN_OK;
}

sn_status sn_rows_set(sn_rows *rows, const char *name, sn_cell cell)
{
	column *c = NULL;
	SN_TRY(find_column(rows, name, &c));
	if (c->n > 0 && c->cell[c->n - 1].row == rows->n - 1)
		return sn_fail(rows->ctx, SN_EPARSE, "%s: line %lld: '%s' is given twice; rename one", rows->source,
					   (long long)rows->line, name);
	if (c->n == c->room) {
		placed *all = enlarge(rows, c->cell, c->n, sizeof *all);
		if (!all) return SN_ENOMEM;
		c->cell = all;
		c->room = SN_MAX(2 * c->room, 8);
	}
	c->cell[c->n++] = (placed){ rows->n - 1, rows->line, cell };
	return SN_OK;
}

/* ---- the type of a raw column ---- */

/* Numbers as programs write them, of the given characters: 007, +1, nan and 0x1 are text, such as an id or a word. */
static bool looks_number(const char *s, const char *characters)
{
	const char *digits = s + (*s == '-');
	if (*digits < '0' || *digits > '9' || strspn(digits, characters) != strlen(digits)) return false;
	return *digits != '0' || digits[1] < '0' || digits[1] > '9';
}

static bool parse_bool(const char *s, bool *out)
{
	static const char *const word[] = { "false", "true", "False", "True", "FALSE", "TRUE" };
	for (int i = 0; i < SN_COUNT(word); i++)
		if (strcmp(s, word[i]) == 0) return *out = i % 2, true;
	return false;
}

static bool parse_as(const char *s, sn_cell_kind kind, sn_cell *out)
{
	out->kind = kind;
	switch (kind) {
	case SN_CELL_INT:
		return looks_number(s, "0123456789") && sn_parse_i64(s, &out->as.i);
	case SN_CELL_FLOAT:
		return looks_number(s, "0123456789+-.eE") && sn_parse_f64(s, &out->as.f);
	case SN_CELL_BOOL:
		return parse_bool(s, &out->as.b);
	default:
		return out->as.s = s, true;
	}
}

/* Turns raw text into the narrowest kind that reads all of it. */
static void settle_raw(column *c)
{
	static const sn_cell_kind order[] = { SN_CELL_INT, SN_CELL_FLOAT, SN_CELL_BOOL, SN_CELL_TEXT };
	if (c->n == 0 || c->cell[0].cell.kind != SN_CELL_RAW) return;
	for (int k = 0; k < SN_COUNT(order); k++) {
		sn_cell read;
		int64_t i = 0;
		while (i < c->n && parse_as(c->cell[i].cell.as.s, order[k], &read)) i++;
		if (i < c->n) continue;
		for (i = 0; i < c->n; i++) {
			const char *text = c->cell[i].cell.as.s;
			(void)parse_as(text, order[k], &c->cell[i].cell);
		}
		return;
	}
}

/* ---- columns ---- */

static sn_status common_kind(const sn_rows *rows, const column *c, sn_cell_kind *out)
{
	static const char *const name[] = { "a whole number", "a number", "a bool", "a text", "a span" };
	*out = c->n ? c->cell[0].cell.kind : SN_CELL_TEXT;
	for (int64_t i = 1; i < c->n; i++) {
		sn_cell_kind kind = c->cell[i].cell.kind, other = *out;
		if (kind == other) continue;
		bool numbers = kind <= SN_CELL_FLOAT && other <= SN_CELL_FLOAT;
		bool text =
			(kind == SN_CELL_TEXT && other <= SN_CELL_FLOAT) || (other == SN_CELL_TEXT && kind <= SN_CELL_FLOAT);
		if (!numbers && !text)
			return sn_fail(rows->ctx, SN_EPARSE, "%s: line %lld: '%s' is %s, but %s before; give the column one type",
						   rows->source, (long long)c->cell[i].line, c->name, name[kind], name[other]);
		*out = text ? SN_CELL_TEXT : SN_CELL_FLOAT;
	}
	return SN_OK;
}

static double as_float(const sn_cell *cell) { return cell->kind == SN_CELL_INT ? (double)cell->as.i : cell->as.f; }

static const char *as_text(sn_rows *rows, const sn_cell *cell)
{
	if (cell->kind == SN_CELL_TEXT) return cell->as.s;
	sn_buf buf = { .ctx = rows->ctx };
	if (cell->kind == SN_CELL_INT)
		sn_buf_format(&buf, "%lld", (long long)cell->as.i);
	else
		sn_write_number(&buf, cell->as.f);
	const char *text = buf.failed ? NULL : sn_pool_copy(&rows->pool, buf.data, buf.size);
	sn_buf_free(&buf);
	return text;
}

static sn_status fill_ints(sn_rows *rows, const column *c, sn_column *out)
{
	int64_t *v;
	SN_NEW(v, rows->arena, int64_t, rows->n);
	for (int64_t r = 0; r < rows->n; r++) v[r] = INT64_MIN;
	for (int64_t i = 0; i < c->n; i++) v[c->cell[i].row] = c->cell[i].cell.as.i;
	out->i = v;
	return SN_OK;
}

static sn_status fill_floats(sn_rows *rows, const column *c, sn_column *out)
{
	double *v;
	SN_NEW(v, rows->arena, double, rows->n);
	for (int64_t r = 0; r < rows->n; r++) v[r] = NAN;
	for (int64_t i = 0; i < c->n; i++) v[c->cell[i].row] = as_float(&c->cell[i].cell);
	out->f = v;
	return SN_OK;
}

static sn_status fill_bools(sn_rows *rows, const column *c, sn_column *out)
{
	int8_t *v;
	SN_NEW(v, rows->arena, int8_t, rows->n);
	if (rows->n) memset(v, -1, (size_t)rows->n);
	for (int64_t i = 0; i < c->n; i++) v[c->cell[i].row] = c->cell[i].cell.as.b;
	out->b = v;
	return SN_OK;
}

static sn_status fill_texts(sn_rows *rows, const column *c, sn_column *out)
{
	const char **v;
	SN_NEW(v, rows->arena, const char *, rows->n);
	for (int64_t i = 0; i < c->n; i++)
		if (!(v[c->cell[i].row] = as_text(rows, &c->cell[i].cell))) return SN_ENOMEM;
	out->s = v;
	return SN_OK;
}

static sn_status fill_spans(sn_rows *rows, const column *c, sn_column *out)
{
	int64_t(*v)[2] = sn_arena_take(rows->arena, sn_size3((size_t)rows->n, sizeof *v, 1));
	if (!v) return SN_ENOMEM;
	for (int64_t r = 0; r < rows->n; r++) v[r][0] = v[r][1] = -1;
	for (int64_t i = 0; i < c->n; i++) memcpy(v[c->cell[i].row], c->cell[i].cell.as.span, sizeof *v);
	out->span = (const int64_t(*)[2])v;
	return SN_OK;
}

static sn_status fill(sn_rows *rows, column *c, sn_column *out)
{
	static const struct {
		sn_type type;
		sn_status (*fill)(sn_rows *, const column *, sn_column *);
	} by_kind[] = {
		[SN_CELL_INT] = { SN_TYPE_INT, fill_ints },    [SN_CELL_FLOAT] = { SN_TYPE_FLOAT, fill_floats },
		[SN_CELL_BOOL] = { SN_TYPE_BOOL, fill_bools }, [SN_CELL_TEXT] = { SN_TYPE_TEXT, fill_texts },
		[SN_CELL_SPAN] = { SN_TYPE_SPAN, fill_spans },
	};
	sn_cell_kind kind;
	settle_raw(c);
	SN_TRY(common_kind(rows, c, &kind));
	*out = (sn_column){ .name = c->name, .type = by_kind[kind].type };
	return by_kind[kind].fill(rows, c, out);
}

sn_status sn_rows_finish(sn_rows *rows, sn_dataset *data)
{
	if (rows->n == 0) return sn_fail(rows->ctx, SN_EPARSE, "%s: expected at least one row, found none", rows->source);
	if (rows->n_col == 0)
		return sn_fail(rows->ctx, SN_EPARSE, "%s: expected at least one value, found none", rows->source);
	if ((uint64_t)rows->n > (FREE_CELLS + CELLS_A_BYTE * (uint64_t)rows->bytes) / (uint64_t)rows->n_col)
		return sn_fail(rows->ctx, SN_EPARSE,
					   "%s: its %lld rows share too few of their %d columns; give all rows the same ones", rows->source,
					   (long long)rows->n, rows->n_col);
	sn_column *col;
	SN_NEW(col, rows->arena, sn_column, rows->n_col);
	for (int i = 0; i < rows->n_col; i++) SN_TRY(fill(rows, &rows->col[i], &col[i]));
	data->n = rows->n;
	data->n_col = rows->n_col;
	data->col = col;
	return SN_OK;
}
