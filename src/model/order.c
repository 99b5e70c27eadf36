/* The order of rows: families by union-find, atoms by Tarjan's strongly connected components (1972), which come out
 * with what they read from first. */
#include "model/order.h"

#include "model/pass.h"

#include <stdlib.h>
#include <string.h>

int32_t sn_order_reads(const sn_compiled *c, int32_t row, int64_t i)
{
	if (i == 0) return sn_dirty(c, row)[0] > 0 ? sn_parent_of(c->batch, row) : -1;
	int64_t n = c->edit_start[row + 1] - c->edit_start[row];
	if (i <= n) return c->edit[c->edit_start[row] + i - 1].from_row;
	int64_t g = i - 2 - n;
	if (g < 0) return c->ring && c->ring[row] != row ? c->ring[row] : -1;
	if (g >= c->plan->n_goal) return SN_READS_END;
	if (!c->plan->goal[g].ref_row) return -1;
	int64_t first = sn_places_of_row(&c->goal[g], row);
	return first < c->goal[g].n && c->goal[g].row[first] == row ? c->plan->goal[g].ref_row[row] : -1;
}

/* ---- families ---- */

static int32_t find_root(int32_t *link, int32_t row)
{
	while (link[row] != row) row = link[row] = link[link[row]];
	return row;
}

static void join(int32_t *link, int32_t a, int32_t b)
{
	a = find_root(link, a);
	b = find_root(link, b);
	if (a < b) link[b] = a;
	else link[a] = b;
}

/* Rows that read one encoder row stay together, so that its keys and values are made once. */
static sn_status join_readers(const sn_compiled *c, int32_t *link)
{
	int32_t *first;
	if (!c->model->encoder) return SN_OK;
	SN_NEW(first, c->arena, int32_t, c->batch->enc->n);
	for (int32_t b = 0; b < c->batch->n; b++) {
		int32_t *reader = &first[sn_enc_row(c->batch, b)];   /* 1 + row */
		if (*reader) join(link, b, *reader - 1);
		else *reader = b + 1;
	}
	return SN_OK;
}

static sn_status join_families(const sn_compiled *c, int32_t *link)
{
	for (int32_t b = 0; b < c->batch->n; b++) link[b] = c->plan->whole ? 0 : b;
	for (int32_t b = 0; b < c->batch->n; b++)
		for (int64_t i = 0;; i++) {
			int32_t from = sn_order_reads(c, b, i);
			if (from == SN_READS_END) break;
			if (from >= 0) join(link, b, from);
		}
	return join_readers(c, link);
}

/* Lists the rows family by family, in the order of their first rows. */
static sn_status list_families(const sn_compiled *c, int32_t *link, int32_t *row)
{
	int32_t n = c->batch->n, at = 0, *start;
	SN_NEW(start, c->arena, int32_t, n);
	for (int32_t b = 0; b < n; b++) start[find_root(link, b)]++;
	for (int32_t b = 0; b < n; b++) {   /* roots are the first rows of their families */
		int32_t size = start[b];
		start[b] = at;
		if (link[b] == b) at += size;
	}
	for (int32_t b = 0; b < n; b++) row[start[find_root(link, b)]++] = b;
	return SN_OK;
}

/* ---- atoms ---- */

typedef struct frame { int32_t row; int64_t next; } frame;   /* a row on the way, and what it reads from next */

typedef struct search {
	const sn_compiled *c;
	int32_t *number, *low, *stack;   /* [n]; number 0: not seen yet */
	bool *open;                      /* [n] on the stack */
	frame *path;                     /* [n] */
	int32_t n_number, n_stack, n_path, n_row;
	sn_order *out;
} search;

static void enter(search *s, int32_t row)
{
	s->number[row] = s->low[row] = ++s->n_number;
	s->stack[s->n_stack++] = row;
	s->open[row] = true;
	s->path[s->n_path++] = (frame){ row, 0 };
}

static int ascending(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
	return (x > y) - (x < y);
}

static void leave(search *s)
{
	int32_t row = s->path[--s->n_path].row, first = s->n_row, top;
	if (s->n_path) {
		int32_t below = s->path[s->n_path - 1].row;
		s->low[below] = SN_MIN(s->low[below], s->low[row]);
	}
	if (s->low[row] != s->number[row]) return;
	do {
		top = s->stack[--s->n_stack];
		s->open[top] = false;
		s->out->row[s->n_row++] = top;
	} while (top != row);
	qsort(s->out->row + first, (size_t)(s->n_row - first), sizeof *s->out->row, ascending);
	s->out->atom[++s->out->n_atom] = s->n_row;
}

static void search_from(search *s, int32_t row)
{
	enter(s, row);
	while (s->n_path) {
		frame *f = &s->path[s->n_path - 1];
		int32_t to = sn_order_reads(s->c, f->row, f->next++);
		if (to == SN_READS_END) leave(s);
		else if (to >= 0 && !s->number[to]) enter(s, to);
		else if (to >= 0 && s->open[to]) s->low[f->row] = SN_MIN(s->low[f->row], s->number[to]);
	}
}

static sn_status open_search(search *s, int32_t n)
{
	SN_NEW(s->number, s->c->arena, int32_t, n);
	SN_NEW(s->low, s->c->arena, int32_t, n);
	SN_NEW(s->stack, s->c->arena, int32_t, n);
	SN_NEW(s->open, s->c->arena, bool, n);
	SN_NEW(s->path, s->c->arena, frame, n);
	return SN_OK;
}

static sn_status find(const sn_compiled *c, sn_order *out)
{
	int32_t n = c->batch->n, *link, *list, family = -1;
	search s = { .c = c, .out = out };
	SN_NEW(link, c->arena, int32_t, n);
	SN_NEW(list, c->arena, int32_t, n);
	SN_TRY(join_families(c, link));
	SN_TRY(list_families(c, link, list));
	SN_TRY(open_search(&s, n));
	for (int32_t i = 0; i < n; i++) {
		if (find_root(link, list[i]) != family) {
			family = find_root(link, list[i]);
			out->family[out->n_family++] = out->n_atom;
		}
		if (!s.number[list[i]]) search_from(&s, list[i]);
	}
	out->family[out->n_family] = out->n_atom;
	return SN_OK;
}

sn_status sn_order_find(const sn_compiled *c, sn_order *out)
{
	int32_t n = c->batch->n;
	*out = (sn_order){ 0 };
	SN_NEW(out->row, c->arena, int32_t, n);
	SN_NEW(out->atom, c->arena, int32_t, n + 1);
	SN_NEW(out->family, c->arena, int32_t, n + 1);
	sn_mark mark = sn_arena_mark(c->arena);
	sn_status status = find(c, out);
	sn_arena_reset(c->arena, mark);
	return status;
}
