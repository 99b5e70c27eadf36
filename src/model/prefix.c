#include "model/prefix.h"

#include <stdlib.h>

typedef struct entry {
	const int32_t *token;
	int32_t n, row;
} entry;

/* Rows in the order of their tokens, as a list from which they are taken off. */
typedef struct order {
	entry *entry;            /* [n] */
	int32_t *before, *after; /* [n] neighbours; -1, n: none */
	int32_t *shared;         /* [n] tokens shared with the neighbour before; 0: none there */
	int32_t *place;          /* [n] of each row */
} order;

static int32_t shared_tokens(const entry *a, const entry *b)
{
	int32_t n = 0, most = SN_MIN(a->n, b->n);
	while (n < most && a->token[n] == b->token[n]) n++;
	return n;
}

static int by_tokens(const void *a, const void *b)
{
	const entry *x = a, *y = b;
	int32_t n = shared_tokens(x, y);
	if (n < x->n && n < y->n) return x->token[n] < y->token[n] ? -1 : 1;
	if (x->n != y->n) return x->n < y->n ? -1 : 1;
	return x->row < y->row ? -1 : 1;
}

static sn_status sort_rows(order *o, const sn_batch *batch, sn_arena *arena)
{
	int32_t n = batch->n;
	SN_NEW(o->entry, arena, entry, n);
	SN_NEW(o->before, arena, int32_t, n);
	SN_NEW(o->after, arena, int32_t, n);
	SN_NEW(o->shared, arena, int32_t, n);
	SN_NEW(o->place, arena, int32_t, n);
	for (int32_t b = 0; b < n; b++)
		o->entry[b] = (entry){ batch->token + batch->start[b], (int32_t)(batch->start[b + 1] - batch->start[b]), b };
	qsort(o->entry, (size_t)n, sizeof *o->entry, by_tokens);
	for (int32_t k = 0; k < n; k++) {
		o->before[k] = k - 1;
		o->after[k] = k + 1;
		o->shared[k] = k ? shared_tokens(&o->entry[k - 1], &o->entry[k]) : 0;
		o->place[o->entry[k].row] = k;
	}
	return SN_OK;
}

static void take_off(order *o, int32_t k, int32_t n)
{
	int32_t before = o->before[k], after = o->after[k];
	if (before >= 0) o->after[before] = after;
	if (after == n) return;
	o->before[after] = before;
	o->shared[after] = SN_MIN(o->shared[after], o->shared[k]);
}

/* When all later rows have been taken off, what shares most with a row stands beside it. */
static void find_relatives(order *o, int32_t n, int32_t *parent, int32_t *fork)
{
	for (int32_t b = n - 1; b >= 0; b--) {
		int32_t k = o->place[b], left = o->shared[k], right = o->after[k] < n ? o->shared[o->after[k]] : 0;
		fork[b] = SN_MAX(left, right);
		parent[b] = fork[b] == 0 ? -1 : o->entry[right > left ? o->after[k] : o->before[k]].row;
		take_off(o, k, n);
	}
}

sn_status sn_share_prefixes(sn_batch *batch, sn_arena *arena)
{
	int32_t *parent, *fork;
	order o;
	SN_NEW(parent, arena, int32_t, batch->n);
	SN_NEW(fork, arena, int32_t, batch->n);
	SN_TRY(sort_rows(&o, batch, arena));
	find_relatives(&o, batch->n, parent, fork);
	for (int32_t b = 0; b < batch->n; b++) /* earlier rows have their nearest ancestors already */
		while (parent[b] >= 0 && parent[parent[b]] >= 0 && fork[b] <= fork[parent[b]]) parent[b] = parent[parent[b]];
	batch->parent = parent;
	batch->fork = fork;
	return SN_OK;
}
