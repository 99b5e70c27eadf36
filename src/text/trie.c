/* Building a double array: the keys, sorted, are a tree of ranges; each node's children are put where they all find a
 * free unit. */
#include "text/trie.h"

#include <stdlib.h>
#include <string.h>

enum { TRIES = 32 }; /* free units tried before the array grows */

/* Keys [from, to) share their first `depth` bytes and hang below node. */
typedef struct range {
	uint32_t node, from, to, depth;
} range;

/* Free units are a ring through `next` and `last`, which live in base and value of units not in use. */
typedef struct builder {
	sn_ctx *ctx;
	const sn_trie_key *key;
	sn_trie_unit *unit;
	uint32_t n, room, first_free; /* first_free: UINT32_MAX when none is */
	sn_buf todo;                  /* ranges */
} builder;

static int by_text_then_place(const void *a, const void *b)
{
	const sn_trie_key *x = a, *y = b;
	size_t size = SN_MIN(x->text.size, y->text.size);
	int order = memcmp(x->text.data, y->text.data, size);
	if (order) return order;
	if (x->text.size != y->text.size) return x->text.size < y->text.size ? -1 : 1;
	return (x->value > y->value) - (x->value < y->value);
}

/* ---- free units ---- */

static bool is_free(const builder *b, uint32_t unit) { return unit && b->unit[unit].parent == UINT32_MAX; }

static void add_free(builder *b, uint32_t unit)
{
	sn_trie_unit *u = &b->unit[unit];
	u->parent = UINT32_MAX;
	if (b->first_free == UINT32_MAX) {
		b->first_free = u->base = unit;
		u->value = (int32_t)unit;
		return;
	}
	uint32_t head = b->first_free, tail = (uint32_t)b->unit[head].value;
	u->base = head;
	u->value = (int32_t)tail;
	b->unit[tail].base = unit;
	b->unit[head].value = (int32_t)unit;
}

static void take(builder *b, uint32_t unit, uint32_t parent)
{
	sn_trie_unit *u = &b->unit[unit];
	uint32_t next = u->base, last = (uint32_t)u->value;
	b->unit[last].base = next;
	b->unit[next].value = (int32_t)last;
	if (b->first_free == unit) b->first_free = next == unit ? UINT32_MAX : next;
	*u = (sn_trie_unit){ 0, parent, -1 };
}

/* Appends 256 free units. */
static sn_status grow(builder *b)
{
	if (b->n > INT32_MAX - 256) return sn_fail(b->ctx, SN_ENOMEM, "a vocabulary of more than 2 GiB");
	if (b->n + 256 > b->room) {
		uint32_t room = SN_MAX(1024u, b->room + b->room / 2);
		sn_trie_unit *unit = sn_alloc_raw(b->ctx, sn_size3(room, sizeof *unit, 1));
		if (!unit) return SN_ENOMEM;
		if (b->n) memcpy(unit, b->unit, b->n * sizeof *unit);
		sn_free(b->ctx, b->unit);
		b->unit = unit;
		b->room = room;
	}
	uint32_t from = b->n;
	b->n += 256;
	for (uint32_t i = from; i < b->n; i++) add_free(b, i);
	return SN_OK;
}

/* ---- nodes ---- */

static unsigned char byte_at(const builder *b, uint32_t key, uint32_t depth)
{
	return (unsigned char)b->key[key].text.data[depth];
}

/* Puts the distinct bytes that follow a node's keys into byte, in order; returns how many. */
static int list_bytes(const builder *b, range r, unsigned char byte[256])
{
	int n = 0;
	for (uint32_t i = r.from; i < r.to; i++) {
		unsigned char c = byte_at(b, i, r.depth);
		if (n == 0 || byte[n - 1] != c) byte[n++] = c;
	}
	return n;
}

static bool fits(const builder *b, uint32_t base, const unsigned char *byte, int n)
{
	for (int i = 0; i < n; i++)
		if (!is_free(b, base ^ byte[i])) return false;
	return true;
}

/* Finds a base under which all bytes have free units. */
static sn_status find_base(builder *b, const unsigned char *byte, int n, uint32_t *base)
{
	uint32_t unit = b->first_free;
	for (int tried = 0; unit != UINT32_MAX && tried < TRIES; tried++) {
		*base = unit ^ byte[0];
		if (fits(b, *base, byte, n)) return SN_OK;
		unit = b->unit[unit].base;
		if (unit == b->first_free) break;
	}
	*base = b->n;
	return grow(b);
}

/* Gives a node its value and its children, and leaves the ranges below them to do. */
static sn_status place(builder *b, range r)
{
	unsigned char byte[256];
	for (; r.from < r.to && b->key[r.from].text.size == r.depth; r.from++) b->unit[r.node].value = b->key[r.from].value;
	if (r.from == r.to) return SN_OK;
	uint32_t base;
	int n = list_bytes(b, r, byte);
	SN_TRY(find_base(b, byte, n, &base));
	b->unit[r.node].base = base;
	for (int i = 0; i < n; i++) take(b, base ^ byte[i], r.node);
	for (uint32_t from = r.from, to; from < r.to; from = to) {
		unsigned char c = byte_at(b, from, r.depth);
		for (to = from; to < r.to && byte_at(b, to, r.depth) == c;) to++;
		sn_buf_add(&b->todo, &(range){ base ^ c, from, to, r.depth + 1 }, sizeof(range));
	}
	return b->todo.failed ? SN_ENOMEM : SN_OK;
}

static sn_status build(builder *b, int32_t n)
{
	SN_TRY(grow(b));
	take(b, 0, UINT32_MAX);
	sn_buf_add(&b->todo, &(range){ 0, 0, (uint32_t)n, 0 }, sizeof(range));
	if (b->todo.failed) return SN_ENOMEM;
	while (b->todo.size) {
		range r;
		b->todo.size -= sizeof r;
		memcpy(&r, b->todo.data + b->todo.size, sizeof r);
		SN_TRY(place(b, r));
	}
	for (uint32_t i = 1; i < b->n; i++)
		if (b->unit[i].parent == UINT32_MAX) b->unit[i] = (sn_trie_unit){ 0, UINT32_MAX, -1 };
	return SN_OK;
}

sn_status sn_trie_build(sn_trie *trie, sn_arena *arena, sn_trie_key *key, int32_t n)
{
	sn_ctx *ctx = sn_arena_ctx(arena);
	*trie = (sn_trie){ 0 };
	for (int32_t i = 0; i < n; i++)
		if (key[i].text.size == 0 || key[i].text.size > UINT32_MAX)
			return sn_fail(ctx, SN_EARG, "a key of %zu bytes in a trie", key[i].text.size);
	if (n) qsort(key, (size_t)n, sizeof *key, by_text_then_place);
	builder b = { .ctx = ctx, .key = key, .first_free = UINT32_MAX, .todo.ctx = ctx };
	sn_status status = build(&b, n);
	if (status == SN_OK) {
		sn_trie_unit *unit = SN_TAKE(arena, sn_trie_unit, b.n);
		if (unit) memcpy(unit, b.unit, b.n * sizeof *unit);
		*trie = (sn_trie){ unit, b.n };
		status = unit ? SN_OK : SN_ENOMEM;
	}
	sn_buf_free(&b.todo);
	sn_free(ctx, b.unit);
	return status;
}

size_t sn_trie_longest(const sn_trie *trie, const char *text, size_t size, int32_t *value)
{
	size_t found = 0;
	if (!trie->n) return 0;
	for (uint32_t node = 0, at = 0; at < size;) {
		node = sn_trie_child(trie, node, (unsigned char)text[at++]);
		if (!node) break;
		if (trie->unit[node].value >= 0) {
			*value = trie->unit[node].value;
			found = at;
		}
	}
	return found;
}
