#include "report/pick.h"
#include "data/russian.h"
#include "base/write.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const sn_value *sn_source_at(const sn_source *s, int64_t row, int col)
{
	return sn_result_row(s->result, s->index, row) + col;
}

double sn_source_number(const sn_source *s, int64_t row, int col)
{
	if (row < 0 || col < 0) return NAN;
	sn_type type = s->table->col[col].type;
	const sn_value *v = sn_source_at(s, row, col);
	if (sn_value_missing(type, v) || type == SN_TYPE_TEXT) return NAN;
	return type == SN_TYPE_FLOAT ? v->f : (double)v->i;
}

const char *sn_col_title(const sn_col *col) { return col->title ? col->title : col->name; }

static int8_t suitable_digits(const sn_source *s, int col)
{
	double largest = 0;
	for (int64_t r = 0; r < s->n_row; r++) {
		double x = fabs(sn_source_number(s, r, col));
		if (x > largest && isfinite(x)) largest = x;
	}
	if (largest < 0.005 && largest > 0) return -1;
	return largest < 10 ? 3 : largest < 100 ? 2 : largest < 1000 ? 1 : 0;
}

sn_source sn_source_of(const sn_result *result, int table)
{
	sn_source s = { result, &sn_result_method(result)->table[table], table, 0, sn_result_rows(result, table), { 0 } };
	s.n_col = SN_MIN(s.table->n_col, (int)SN_MOST_SHOWN);
	for (int c = 0; c < s.n_col; c++) s.digits[c] = suitable_digits(&s, c);
	return s;
}

static void write_value(sn_buf *buf, const sn_source *s, int64_t row, int col, int digits)
{
	sn_type type = s->table->col[col].type;
	const sn_value *v = row < 0 ? NULL : sn_source_at(s, row, col);
	if (!v || sn_value_missing(type, v))
		sn_buf_puts(buf, "–");
	else if (type == SN_TYPE_TEXT)
		sn_buf_puts(buf, v->s);
	else if (type == SN_TYPE_BOOL)
		sn_buf_puts(buf, v->i ? "yes" : "no");
	else if (type == SN_TYPE_INT)
		sn_buf_format(buf, "%s%lld", v->i < 0 ? "−" : "", llabs((long long)v->i));
	else
		sn_write_readable(buf, v->f, digits);
}

void sn_source_write(sn_buf *buf, const sn_source *s, int64_t row, int col)
{
	write_value(buf, s, row, col, s->digits[col]);
}

void sn_source_write_bounds(sn_buf *buf, const sn_source *s, int64_t row, const sn_measure *m)
{
	if (isnan(sn_source_number(s, row, m->low)) || isnan(sn_source_number(s, row, m->high))) return;
	sn_buf_puts(buf, " [");
	write_value(buf, s, row, m->low, s->digits[m->col]);
	sn_buf_puts(buf, ", ");
	write_value(buf, s, row, m->high, s->digits[m->col]);
	sn_buf_puts(buf, "]");
}

/* 0.1, not 0.100: a tick is no measurement. */
static void write_tick(sn_buf *buf, double x)
{
	sn_buf_format(buf, "%s%.6g", x < 0 ? "−" : "", fabs(x));
}

void sn_axis_write(sn_buf *buf, const sn_source *s, const sn_axis *axis, int i)
{
	for (int k = 0; k < axis->n_col; k++) {
		const sn_col *c = &s->table->col[axis->col[k]];
		sn_buf_puts(buf, k ? ", " : "");
		if (axis->named && c->type != SN_TYPE_TEXT) sn_buf_format(buf, "%s ", sn_col_title(c));
		if (c->type == SN_TYPE_FLOAT) write_tick(buf, sn_source_number(s, axis->row[i], axis->col[k]));
		else sn_source_write(buf, s, axis->row[i], axis->col[k]);
	}
}

/* ---- categories ---- */

int sn_category_find(const sn_categories *c, const char *word)
{
	for (int i = 0; i < c->n; i++)
		if (strcmp(c->word[i], word) == 0) return i;
	return -1;
}

static void add_category(sn_categories *c, const char *word, const char *mark)
{
	static const char *const letter[SN_MOST_CATEGORIES] = { "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K",
	                                                        "L" };
	bool open = strcmp(word, "undetermined") == 0 || strcmp(word, sn_ru("undetermined")) == 0;
	c->word[c->n] = word;
	c->color[c->n] = open ? -1 : c->n_letter;
	c->mark[c->n++] = mark && mark[0] ? mark : open ? "?" : letter[c->n_letter];
	c->n_letter += !open;
}

sn_categories sn_categories_of(const sn_source *s, const sn_measure *m)
{
	sn_categories c = { 0 };
	for (int64_t r = 0; r < s->n_row && c.n < SN_MOST_CATEGORIES; r++) {
		const char *word = sn_source_at(s, r, m->col)->s;
		if (!word || sn_category_find(&c, word) >= 0 || sn_source_number(s, r, m->hatch) > 0) continue;
		add_category(&c, word, m->mark >= 0 ? sn_source_at(s, r, m->mark)->s : NULL);
	}
	return c;
}

/* ---- distinct values ---- */

static bool same_value(const sn_source *s, int64_t a, int64_t b, int col)
{
	sn_type type = s->table->col[col].type;
	const sn_value *u = sn_source_at(s, a, col), *v = sn_source_at(s, b, col);
	bool missing = sn_value_missing(type, u);
	if (missing || sn_value_missing(type, v)) return missing && sn_value_missing(type, v);
	if (type == SN_TYPE_TEXT) return u->s == v->s || strcmp(u->s, v->s) == 0;
	return type == SN_TYPE_FLOAT ? !(u->f < v->f) && !(u->f > v->f) : u->i == v->i;
}

static bool same_group(const sn_source *s, const sn_axis *axis, int64_t a, int64_t b)
{
	for (int k = 0; k < axis->n_col; k++)
		if (!same_value(s, a, b, axis->col[k])) return false;
	return true;
}

static void sort_numbers(const sn_source *s, sn_axis *axis, int *rank)
{
	for (int i = 0; i < axis->n; i++) rank[i] = i;
	if (axis->n_col != 1 || s->table->col[axis->col[0]].type == SN_TYPE_TEXT) return;
	for (int i = 1; i < axis->n; i++) { /* by insertion: axes are short and mostly in order */
		int64_t row = axis->row[i];
		int from = rank[i], j = i;
		double x = sn_source_number(s, row, axis->col[0]);
		for (; j > 0 && sn_source_number(s, axis->row[j - 1], axis->col[0]) > x; j--) {
			axis->row[j] = axis->row[j - 1];
			rank[j] = rank[j - 1];
		}
		axis->row[j] = row;
		rank[j] = from;
	}
}

static sn_status find_groups(const sn_source *s, sn_axis *axis, sn_arena *arena)
{
	SN_NEW(axis->row, arena, int64_t, s->n_row);
	SN_NEW(axis->group, arena, int, s->n_row);
	for (int64_t r = 0; r < s->n_row; r++) {
		int g = r > 0 && same_group(s, axis, r, r - 1) ? axis->group[r - 1] : 0;
		while (g < axis->n && !same_group(s, axis, r, axis->row[g])) g++;
		if (g == axis->n) axis->row[axis->n++] = r;
		axis->group[r] = g;
	}
	int *rank, *place;
	SN_NEW(rank, arena, int, axis->n);
	SN_NEW(place, arena, int, axis->n);
	sort_numbers(s, axis, rank);
	for (int i = 0; i < axis->n; i++) place[rank[i]] = i;
	for (int64_t r = 0; r < s->n_row; r++) axis->group[r] = place[axis->group[r]];
	return SN_OK;
}

/* ---- roles ---- */

static void add_column(sn_axis *axis, int col)
{
	if (axis->n_col < SN_COUNT(axis->col)) axis->col[axis->n_col++] = col;
}

static void assign_dimensions(sn_pick *p)
{
	const sn_table *t = p->source.table;
	for (int i = 0, dims = 0; i < p->source.n_col; i++) {
		if (t->col[i].role == SN_FACET) add_column(&p->panel, i);
		if (t->col[i].role != SN_DIM) continue;
		add_column(dims == 0 ? &p->x : dims == 1 ? &p->y : &p->panel, i);
		dims++;
	}
}

/* A bound, baseline or the like without `of` belongs to every measure. */
static bool belongs(const sn_table *t, int col, int measure)
{
	const char *of = t->col[col].of;
	return !of || strcmp(of, t->col[measure].name) == 0;
}

sn_measure sn_measure_of(const sn_table *t, int measure)
{
	sn_measure m = { .col = measure, .low = -1, .high = -1, .count = -1, .hatch = -1, .mark = -1, .label = -1 };
	int n = SN_MIN(t->n_col, (int)SN_MOST_SHOWN);
	for (int i = 0; i < n; i++) {
		sn_role role = t->col[i].role;
		if (!belongs(t, i, measure)) continue;
		if (role == SN_LOW) m.low = i;
		if (role == SN_HIGH) m.high = i;
		if (role == SN_COUNT_OF) m.count = i;
		if (role == SN_HATCH) m.hatch = i;
		if (role == SN_MARK) m.mark = i;
		if (role == SN_LABEL) m.label = i;
		if (role == SN_BASE && m.n_base < SN_MOST_BASES) m.base[m.n_base++] = i;
	}
	return m;
}

static bool has_values(const sn_source *s, int col)
{
	for (int64_t r = 0; r < s->n_row; r++)
		if (!sn_value_missing(s->table->col[col].type, sn_source_at(s, r, col))) return true;
	return false;
}

/* Measures that this result lacks everywhere make no empty panels. */
static sn_status pick_measures(sn_pick *p, sn_arena *arena)
{
	const sn_table *t = p->source.table;
	SN_NEW(p->measure, arena, sn_measure, t->n_col);
	for (int i = 0; i < p->source.n_col; i++)
		if (t->col[i].role == SN_MEASURE && has_values(&p->source, i))
			p->measure[p->n_measure++] = sn_measure_of(t, i);
	return SN_OK;
}

static sn_status find_rows(sn_pick *p, sn_arena *arena)
{
	int64_t n = (int64_t)p->x.n * p->y.n * p->panel.n;
	if (n > 4000000)
		return sn_fail(sn_arena_ctx(arena), SN_ENOMEM, "table %s has too many combinations to draw",
					   p->source.table->name);
	SN_NEW(p->at, arena, int64_t, n);
	for (int64_t i = 0; i < n; i++) p->at[i] = -1;
	for (int64_t r = 0; r < p->source.n_row; r++)
		p->at[((int64_t)p->panel.group[r] * p->y.n + p->y.group[r]) * p->x.n + p->x.group[r]] = r;
	return SN_OK;
}

sn_status sn_pick_table(sn_pick *p, const sn_source *source, sn_arena *arena)
{
	*p = (sn_pick){ .source = *source, .y.named = true, .panel.named = true };
	assign_dimensions(p);
	SN_TRY(find_groups(source, &p->x, arena));
	SN_TRY(find_groups(source, &p->y, arena));
	SN_TRY(find_groups(source, &p->panel, arena));
	SN_TRY(pick_measures(p, arena));
	return find_rows(p, arena);
}

int sn_pick_columns(const sn_pick *p, int panel, int *x)
{
	bool words = p->panel.n_col > 0 && p->source.table->col[p->x.col[0]].type == SN_TYPE_TEXT;
	int n = 0;
	for (int i = 0; i < p->x.n; i++) {
		bool any = !words;
		for (int y = 0; y < p->y.n && !any; y++) any = sn_pick_at(p, panel, y, i) >= 0;
		if (any) x[n++] = i;
	}
	return n;
}

int64_t sn_pick_at(const sn_pick *p, int panel, int y, int x)
{
	return p->at[((int64_t)panel * p->y.n + y) * p->x.n + x];
}
