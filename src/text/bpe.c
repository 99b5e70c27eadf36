/* Byte-pair encoding: a doubly linked list of symbols; short words look for the best pair by scanning, long ones in a
 * heap. */
#include "text/bpe.h"

#include <string.h>

enum { SCANNED = 32 }; /* words of at most so many symbols are scanned */

/* ---- merges ---- */

static uint32_t slot_of(const sn_bpe *bpe, uint64_t pair)
{
	uint64_t h = pair * 0x9e3779b97f4a7c15u; /* Fibonacci hashing */
	uint32_t i = (uint32_t)(h >> 32) & bpe->mask;
	while (bpe->merge[i].rank && bpe->merge[i].pair != pair) i = (i + 1) & bpe->mask;
	return i;
}

static const sn_merge *find_merge(const sn_bpe *bpe, int32_t left, int32_t right)
{
	if (left < 0 || right < 0) return NULL;
	const sn_merge *m = &bpe->merge[slot_of(bpe, (uint64_t)(uint32_t)left << 32 | (uint32_t)right)];
	return m->rank ? m : NULL;
}

sn_status sn_bpe_init(sn_bpe *bpe, sn_arena *arena, const sn_vocab *vocab, int64_t n_merge)
{
	size_t slots = 4;
	if (n_merge < 0 || n_merge > INT32_MAX / 2)
		return sn_fail(sn_arena_ctx(arena), SN_EPARSE, "%lld merges; at most 1073741823 are possible",
					   (long long)n_merge);
	while (slots < 2 * (size_t)n_merge) slots *= 2;
	SN_NEW(bpe->merge, arena, sn_merge, slots);
	bpe->mask = (uint32_t)slots - 1;
	bpe->vocab = vocab;
	for (int b = 0; b < 256; b++) {
		char name[8];
		sn_byte_token_name((unsigned char)b, name);
		bpe->byte_id[b] = sn_vocab_find(vocab, &(char){ (char)b }, 1);
		bpe->fallback_id[b] = sn_vocab_find(vocab, name, SN_BYTE_TOKEN_SIZE);
	}
	return SN_OK;
}

bool sn_bpe_add_merge(sn_bpe *bpe, uint32_t rank, sn_slice left, sn_slice right, sn_buf *scratch)
{
	size_t skip = right.size >= bpe->prefix.size ? bpe->prefix.size : 0;
	scratch->size = 0;
	sn_buf_add(scratch, left.data, left.size);
	sn_buf_add(scratch, right.data + skip, right.size - skip);
	if (scratch->failed) return false;
	int32_t a = sn_vocab_find(bpe->vocab, left.data, left.size);
	int32_t b = sn_vocab_find(bpe->vocab, right.data, right.size);
	int32_t id = sn_vocab_find(bpe->vocab, scratch->data, scratch->size);
	if (a < 0 || b < 0 || id < 0) return false;
	uint64_t pair = (uint64_t)(uint32_t)a << 32 | (uint32_t)b;
	bpe->merge[slot_of(bpe, pair)] = (sn_merge){ pair, rank + 1, id };
	return true;
}

/* ---- first symbols ---- */

static sn_status make_room(sn_ctx *ctx, sn_bpe_work *work, size_t n)
{
	if (n <= work->room) return SN_OK;
	size_t room = SN_MAX(n, 2 * work->room);
	sn_free(ctx, work->symbol);
	work->room = 0;
	work->symbol = sn_alloc(ctx, sn_size3(room, sizeof *work->symbol, 1));
	if (!work->symbol) return SN_ENOMEM;
	work->room = room;
	return SN_OK;
}

void sn_bpe_work_free(sn_ctx *ctx, sn_bpe_work *work)
{
	sn_free(ctx, work->symbol);
	sn_free(ctx, work->heap);
	*work = (sn_bpe_work){ 0 };
}

static size_t symbol_end(const sn_bpe *bpe, const char *word, size_t size, size_t from)
{
	size_t to = from + 1;
	if (!bpe->byte_level)
		while (to < size && ((unsigned char)word[to] & 0xc0) == 0x80) to++;
	return to;
}

/* The token of bytes [from, to) of a word, written as a symbol at that place is. */
static int32_t symbol_id(const sn_bpe *bpe, const char *word, size_t size, size_t from, size_t to)
{
	sn_slice prefix = from > 0 ? bpe->prefix : (sn_slice){ 0 }, suffix = to == size ? bpe->suffix : (sn_slice){ 0 };
	if (prefix.size + suffix.size == 0 && to - from == 1) return bpe->byte_id[(unsigned char)word[from]];
	if (prefix.size + suffix.size == 0) return sn_vocab_find(bpe->vocab, word + from, to - from);
	char symbol[2 * SN_LONGEST_AFFIX + 4];
	SN_ASSERT(prefix.size <= SN_LONGEST_AFFIX && suffix.size <= SN_LONGEST_AFFIX && to - from <= 4);
	if (prefix.size) memcpy(symbol, prefix.data, prefix.size);
	memcpy(symbol + prefix.size, word + from, to - from);
	if (suffix.size) memcpy(symbol + prefix.size + (to - from), suffix.data, suffix.size);
	return sn_vocab_find(bpe->vocab, symbol, prefix.size + (to - from) + suffix.size);
}

static bool falls_back(const sn_bpe *bpe, const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bpe->fallback_id[(unsigned char)bytes[i]] < 0) return false;
	return bpe->byte_fallback;
}

static void put_symbol(sn_symbol *s, int32_t *n, int32_t id, size_t from, size_t to)
{
	s[*n] = (sn_symbol){ NULL, id, (uint32_t)from, (uint32_t)to, *n - 1, *n + 1 };
	++*n;
}

/* Cuts the word into its first symbols; returns how many. */
static int32_t cut(const sn_bpe *bpe, sn_symbol *s, const char *word, size_t size)
{
	int32_t n = 0;
	bool was_unknown = false;
	for (size_t from = 0, to; from < size; from = to) {
		to = symbol_end(bpe, word, size, from);
		int32_t id = symbol_id(bpe, word, size, from, to);
		bool bytes = id < 0 && falls_back(bpe, word + from, to - from), unknown = id < 0 && !bytes && bpe->unk >= 0;
		if (bytes)
			for (size_t i = from; i < to; i++) put_symbol(s, &n, bpe->fallback_id[(unsigned char)word[i]], i, i + 1);
		else if (unknown && was_unknown && bpe->fuse_unk)
			s[n - 1].to = (uint32_t)to;
		else
			put_symbol(s, &n, unknown ? bpe->unk : id, from, to);
		was_unknown = unknown;
	}
	s[n - 1].next = -1;
	for (int32_t i = 0; i + 1 < n; i++) s[i].merge = find_merge(bpe, s[i].id, s[i + 1].id);
	return n;
}

/* ---- merging ---- */

/* Joins symbol i with its next, which no longer counts. */
static void join(const sn_bpe *bpe, sn_symbol *s, int32_t i)
{
	sn_symbol *a = &s[i], *b = &s[a->next];
	a->id = a->merge->id;
	a->to = b->to;
	a->next = b->next;
	b->merge = NULL;
	a->merge = NULL;
	if (a->next >= 0) {
		s[a->next].prev = i;
		a->merge = find_merge(bpe, a->id, s[a->next].id);
	}
	if (a->prev >= 0) s[a->prev].merge = find_merge(bpe, s[a->prev].id, a->id);
}

static void merge_by_scanning(const sn_bpe *bpe, sn_symbol *s)
{
	for (;;) {
		int32_t best = -1;
		uint32_t rank = UINT32_MAX;
		for (int32_t i = 0; i >= 0; i = s[i].next)
			if (s[i].merge && s[i].merge->rank < rank) rank = s[best = i].merge->rank;
		if (best < 0) return;
		join(bpe, s, best);
	}
}

/* The heap's keys are rank << 32 | index: the smallest is the best pair, the leftmost among equals. */
static void heap_push(sn_bpe_work *work, const sn_symbol *s, int32_t i)
{
	if (i < 0 || !s[i].merge) return;
	uint64_t key = (uint64_t)s[i].merge->rank << 32 | (uint32_t)i;
	size_t at = work->heap_size++;
	for (; at > 0 && work->heap[(at - 1) / 2] > key; at = (at - 1) / 2) work->heap[at] = work->heap[(at - 1) / 2];
	work->heap[at] = key;
}

static uint64_t heap_pop(sn_bpe_work *work)
{
	uint64_t top = work->heap[0], last = work->heap[--work->heap_size];
	size_t at = 0;
	for (size_t child; (child = 2 * at + 1) < work->heap_size; at = child) {
		if (child + 1 < work->heap_size && work->heap[child + 1] < work->heap[child]) child++;
		if (work->heap[child] >= last) break;
		work->heap[at] = work->heap[child];
	}
	work->heap[at] = last;
	return top;
}

static sn_status merge_by_heap(const sn_bpe *bpe, sn_ctx *ctx, sn_bpe_work *work, int32_t n)
{
	size_t need = 3 * (size_t)n; /* n - 1 pairs at first, at most two new ones for each of at most n - 1 joins */
	if (need > work->heap_room) {
		sn_free(ctx, work->heap);
		work->heap_room = 0;
		work->heap = sn_alloc(ctx, sn_size3(need, sizeof *work->heap, 1));
		if (!work->heap) return SN_ENOMEM;
		work->heap_room = need;
	}
	sn_symbol *s = work->symbol;
	work->heap_size = 0;
	for (int32_t i = 0; i < n; i++) heap_push(work, s, i);
	while (work->heap_size) {
		uint64_t key = heap_pop(work);
		int32_t i = (int32_t)(uint32_t)key;
		if (!s[i].merge || s[i].merge->rank != key >> 32) continue; /* the pair has changed since */
		join(bpe, s, i);
		heap_push(work, s, i);
		heap_push(work, s, s[i].prev);
	}
	return SN_OK;
}

sn_status sn_bpe_encode(const sn_bpe *bpe, sn_ctx *ctx, sn_bpe_work *work, const char *word, size_t size, sn_parts *out)
{
	if (size == 0) return SN_OK;
	int32_t whole = bpe->ignore_merges ? sn_vocab_find(bpe->vocab, word, size) : -1;
	SN_TRY(sn_parts_reserve(out, ctx, out->n + (whole >= 0 ? 1 : size)));
	if (whole >= 0) {
		sn_parts_put(out, whole, 0, size);
		return SN_OK;
	}
	SN_TRY(make_room(ctx, work, SN_MAX(size, (size_t)SCANNED)));
	sn_symbol *s = work->symbol;
	int32_t n = cut(bpe, s, word, size);
	if (n <= SCANNED)
		merge_by_scanning(bpe, s);
	else
		SN_TRY(merge_by_heap(bpe, ctx, work, n));
	for (int32_t i = 0; i >= 0; i = s[i].next) sn_parts_put(out, s[i].id, s[i].from, s[i].to);
	return SN_OK;
}
