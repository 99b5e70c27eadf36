/* Joining symbols: a doubly linked list; short words look for the best pair by scanning, long ones in a heap. */
#include "text/merge.h"

enum { SCANNED = 32 }; /* words of at most so many symbols are scanned */

/* What looks pairs up. */
typedef struct pairs {
	sn_symbol *s;
	sn_pair_fn *pair;
	const void *model;
} pairs;

sn_status sn_symbols_reserve(sn_symbols *s, sn_ctx *ctx, size_t n)
{
	if (n <= s->room) return SN_OK;
	size_t room = SN_MAX(SN_MAX(n, 2 * s->room), (size_t)SCANNED);
	sn_free(ctx, s->symbol);
	s->room = 0;
	s->symbol = sn_alloc_raw(ctx, sn_size3(room, sizeof *s->symbol, 1));
	if (!s->symbol) return SN_ENOMEM;
	s->room = room;
	return SN_OK;
}

void sn_symbols_free(sn_symbols *s, sn_ctx *ctx)
{
	sn_free(ctx, s->symbol);
	sn_free(ctx, s->heap);
	*s = (sn_symbols){ 0 };
}

static void look_up(const pairs *p, int32_t i)
{
	sn_symbol *a = &p->s[i];
	a->rank = 0;
	if (a->next >= 0) p->pair(p->model, a, &p->s[a->next]);
}

/* Joins symbol i with its next, which no longer counts. */
static void join(const pairs *p, int32_t i)
{
	sn_symbol *a = &p->s[i], *b = &p->s[a->next];
	a->id = a->joined;
	a->to = b->to;
	a->next = b->next;
	b->rank = 0;
	if (a->next >= 0) p->s[a->next].prev = i;
	look_up(p, i);
	if (a->prev >= 0) look_up(p, a->prev);
}

static void merge_by_scanning(const pairs *p)
{
	for (;;) {
		int32_t best = -1;
		uint32_t rank = UINT32_MAX;
		for (int32_t i = 0; i >= 0; i = p->s[i].next)
			if (p->s[i].rank - 1 < rank) rank = p->s[best = i].rank - 1; /* no rank: the largest number */
		if (best < 0) return;
		join(p, best);
	}
}

/* The heap's keys are rank << 32 | index: the smallest is the best pair, the leftmost among equals. */
static void heap_push(sn_symbols *s, int32_t i)
{
	if (i < 0 || !s->symbol[i].rank) return;
	uint64_t key = (uint64_t)s->symbol[i].rank << 32 | (uint32_t)i;
	size_t at = s->heap_size++;
	for (; at > 0 && s->heap[(at - 1) / 2] > key; at = (at - 1) / 2) s->heap[at] = s->heap[(at - 1) / 2];
	s->heap[at] = key;
}

static uint64_t heap_pop(sn_symbols *s)
{
	uint64_t top = s->heap[0], last = s->heap[--s->heap_size];
	size_t at = 0;
	for (size_t child; (child = 2 * at + 1) < s->heap_size; at = child) {
		if (child + 1 < s->heap_size && s->heap[child + 1] < s->heap[child]) child++;
		if (s->heap[child] >= last) break;
		s->heap[at] = s->heap[child];
	}
	s->heap[at] = last;
	return top;
}

static sn_status merge_by_heap(sn_symbols *s, sn_ctx *ctx, const pairs *p, int32_t n)
{
	size_t need = 3 * (size_t)n; /* n - 1 pairs at first, at most two new ones for each of at most n - 1 joins */
	if (need > s->heap_room) {
		sn_free(ctx, s->heap);
		s->heap_room = 0;
		s->heap = sn_alloc_raw(ctx, sn_size3(need, sizeof *s->heap, 1));
		if (!s->heap) return SN_ENOMEM;
		s->heap_room = need;
	}
	s->heap_size = 0;
	for (int32_t i = 0; i < n; i++) heap_push(s, i);
	while (s->heap_size) {
		uint64_t key = heap_pop(s);
		int32_t i = (int32_t)(uint32_t)key;
		if (s->symbol[i].rank != key >> 32) continue; /* the pair has changed since */
		join(p, i);
		heap_push(s, i);
		heap_push(s, s->symbol[i].prev);
	}
	return SN_OK;
}

sn_status sn_symbols_merge(sn_symbols *s, sn_ctx *ctx, int32_t n, sn_pair_fn *pair, const void *model, int32_t *left)
{
	const pairs p = { s->symbol, pair, model };
	*left = 0;
	if (n == 0) return SN_OK;
	for (int32_t i = 0; i < n; i++) {
		p.s[i].prev = i - 1;
		p.s[i].next = i + 1 < n ? i + 1 : -1;
	}
	for (int32_t i = 0; i < n; i++) look_up(&p, i);
	if (n <= SCANNED)
		merge_by_scanning(&p);
	else
		SN_TRY(merge_by_heap(s, ctx, &p, n));
	for (int32_t i = 0; i >= 0;) { /* close ranks; a symbol's place is never behind its new one */
		int32_t next = p.s[i].next;
		p.s[(*left)++] = p.s[i];
		i = next;
	}
	return SN_OK;
}
