/* Arenas: a chain of blocks, newest first, each twice the size of the one before. The largest block given back is kept
 * for the next request, so that work in steps does not ask the system for the same memory again and again. In paged
 * arenas a large request is a block of its own, whose bytes are mapped from a file. */
#include "base/paged.h"

#include <string.h>

typedef struct block {
	struct block *older;
	size_t room, used;
	void *mapped; /* NULL: the bytes follow; otherwise room bytes of a file */
} block;

struct sn_arena {
	sn_ctx *ctx;
	block *newest, *spare;
	bool paged;
};

enum { HEADER = 64, FIRST_BLOCK = 64 * 1024 - HEADER, LARGEST_DOUBLING = 16 << 20, LARGE = 1 << 20 };
_Static_assert(sizeof(block) <= HEADER, "the header must fit before the first aligned byte");

sn_status sn_arena_open(sn_arena **out, sn_ctx *ctx)
{
	*out = sn_alloc(ctx, sizeof **out);
	if (!*out) return SN_ENOMEM;
	(*out)->ctx = ctx;
	return SN_OK;
}

size_t sn_ctx_array_memory(const sn_ctx *ctx)
{
	const int64_t most = INT64_C(1) << 30;
	return (size_t)SN_MIN(most, sn_ctx_memory(ctx) / 4);
}

sn_status sn_arena_open_for(sn_arena **out, sn_ctx *ctx, size_t size)
{
	SN_TRY(sn_arena_open(out, ctx));
	(*out)->paged = size > sn_ctx_array_memory(ctx);
	return SN_OK;
}

/* Keeps the larger of the dropped block and the spare one. */
static void drop_newest(sn_arena *arena)
{
	block *b = arena->newest, *old = arena->spare;
	arena->newest = b->older;
	if (b->mapped) {
		sn_paged_free(b->mapped, b->room);
		sn_free(arena->ctx, b);
		return;
	}
	bool larger = !old || b->room > old->room;
	if (larger) arena->spare = b;
	sn_free(arena->ctx, larger ? old : b);
}

void sn_arena_close(sn_arena *arena)
{
	if (!arena) return;
	while (arena->newest) drop_newest(arena);
	sn_free(arena->ctx, arena->spare);
	sn_free(arena->ctx, arena);
}

static block *new_block(sn_arena *arena, size_t size)
{
	bool first = !arena->newest || arena->newest->mapped;
	size_t room = first ? FIRST_BLOCK : SN_MIN(2 * arena->newest->room, (size_t)LARGEST_DOUBLING);
	if (room < size) room = size;
	block *b = room > SIZE_MAX - HEADER ? NULL : sn_alloc_raw(arena->ctx, HEADER + room);
	if (b) *b = (block){ .room = room };
	return b;
}

static block *add_block(sn_arena *arena, size_t size)
{
	bool reuse = arena->spare && arena->spare->room >= size;
	block *b = reuse ? arena->spare : new_block(arena, size);
	if (!b) return NULL;
	if (reuse) arena->spare = NULL;
	b->older = arena->newest;
	b->used = 0;
	return arena->newest = b;
}

static void *take_mapped(sn_arena *arena, size_t size)
{
	block *b = sn_alloc(arena->ctx, sizeof *b);
	if (!b) return NULL;
	b->mapped = sn_paged_take(arena->ctx, size);
	if (!b->mapped) return sn_free(arena->ctx, b), NULL;
	b->room = b->used = size;
	b->older = arena->newest;
	arena->newest = b;
	return b->mapped;
}

void *sn_arena_take(sn_arena *arena, size_t size)
{
	if (size > PTRDIFF_MAX) {
		(void)sn_fail(arena->ctx, SN_ENOMEM, "out of memory: an impossible size was asked for");
		return NULL;
	}
	size = (size + SN_ARENA_GRAIN - 1) / SN_ARENA_GRAIN * SN_ARENA_GRAIN;
	if (arena->paged && size >= LARGE) return take_mapped(arena, size);
	block *b = arena->newest;
	if (!b || b->room - b->used < size) b = add_block(arena, size);
	if (!b) return NULL;
	void *p = (char *)b + HEADER + b->used;
	b->used += size;
	return memset(p, 0, size);
}

sn_status sn_arena_reserve(sn_arena *arena, size_t size)
{
	const block *b = arena->newest;
	bool enough = (b && b->room - b->used >= size) || (arena->spare && arena->spare->room >= size);
	if (enough) return SN_OK;
	sn_free(arena->ctx, arena->spare);
	arena->spare = NULL;
	block *fresh = size > SIZE_MAX - HEADER ? NULL : sn_alloc_raw(arena->ctx, HEADER + size);
	if (!fresh) return SN_ENOMEM;
	*fresh = (block){ .room = size };
	arena->spare = fresh;
	return SN_OK;
}

size_t sn_arena_bytes(const sn_arena *arena)
{
	size_t sum = arena->spare ? HEADER + arena->spare->room : 0;
	for (const block *b = arena->newest; b; b = b->older) sum += HEADER + (b->mapped ? 0 : b->room);
	return sum;
}

void sn_arena_done(const sn_arena *arena, const void *p, size_t size)
{
	if (!arena || !arena->paged || size == 0) return;
	for (const block *b = arena->newest; b; b = b->older) {
		const char *first = b->mapped;
		if (!first || (const char *)p < first || (const char *)p >= first + b->room) continue;
		sn_paged_done(b->mapped, b->room, p, size);
		return;
	}
}

sn_mark sn_arena_mark(const sn_arena *arena)
{
	return (sn_mark){ arena->newest, arena->newest ? arena->newest->used : 0 };
}

void sn_arena_reset(sn_arena *arena, sn_mark mark)
{
	while (arena->newest != mark.block) drop_newest(arena);
	if (arena->newest) arena->newest->used = mark.used;
}

sn_ctx *sn_arena_ctx(const sn_arena *arena) { return arena->ctx; }

char *sn_arena_copy(sn_arena *arena, const char *text, size_t size)
{
	char *copy = size < SIZE_MAX ? sn_arena_take(arena, size + 1) : NULL;
	if (copy && size) memcpy(copy, text, size);
	return copy;
}

char *sn_arena_string(sn_arena *arena, const char *text) { return sn_arena_copy(arena, text, strlen(text)); }

char *sn_arena_format(sn_arena *arena, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = sn_vformat(NULL, 0, format, args);
	va_end(args);
	char *text = n < 0 ? NULL : sn_arena_take(arena, (size_t)n + 1);
	if (!text) return NULL;
	va_start(args, format);
	sn_vformat(text, (size_t)n + 1, format, args);
	va_end(args);
	return text;
}
