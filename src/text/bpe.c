/* Byte-pair encoding by a table of merges. */
#include "text/bpe.h"

#include <string.h>

/* ---- merges ---- */

static uint32_t slot_of(const sn_bpe *bpe, uint64_t pair)
{
	uint64_t h = pair * 0x9e3779b97f4a7c15u; /* Fibonacci hashing */
	uint32_t i = (uint32_t)(h >> 32) & bpe->mask;
	while (bpe->merge[i].rank && bpe->merge[i].pair != pair) i = (i + 1) & bpe->mask;
	return i;
}

static void find_merge(const void *model, sn_symbol *a, const sn_symbol *b)
{
	const sn_bpe *bpe = model;
	if (a->id < 0 || b->id < 0) return;
	const sn_merge *m = &bpe->merge[slot_of(bpe, (uint64_t)(uint32_t)a->id << 32 | (uint32_t)b->id)];
	a->rank = m->rank;
	a->joined = m->id;
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
	s[(*n)++] = (sn_symbol){ .id = id, .from = (uint32_t)from, .to = (uint32_t)to };
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
	return n;
}

sn_status sn_bpe_encode(const sn_bpe *bpe, sn_ctx *ctx, sn_symbols *work, const char *word, size_t size, sn_parts *out)
{
	if (size == 0) return SN_OK;
	int32_t whole = bpe->ignore_merges ? sn_vocab_find(bpe->vocab, word, size) : -1;
	SN_TRY(sn_parts_reserve(out, ctx, out->n + (whole >= 0 ? 1 : size)));
	if (whole >= 0) {
		sn_parts_put(out, whole, 0, size);
		return SN_OK;
	}
	SN_TRY(sn_symbols_reserve(work, ctx, size));
	int32_t n = cut(bpe, work->symbol, word, size);
	SN_TRY(sn_symbols_merge(work, ctx, n, find_merge, bpe, &n));
	for (int32_t i = 0; i < n; i++) sn_parts_put(out, work->symbol[i].id, work->symbol[i].from, work->symbol[i].to);
	return SN_OK;
}
