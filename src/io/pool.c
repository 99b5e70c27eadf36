/* Packed strings. */
#include "io/pool.h"

#include <string.h>

enum { CHUNK = 64 * 1024 };

char *sn_pool_take(sn_pool *pool, size_t size)
{
	if (size > pool->left) {
		size_t room = SN_MAX(size, (size_t)CHUNK);
		pool->at = sn_arena_take(pool->arena, room);
		pool->left = pool->at ? room : 0;
		if (!pool->at) return NULL;
	}
	char *p = pool->at;
	pool->at += size;
	pool->left -= size;
	return p;
}

char *sn_pool_copy(sn_pool *pool, const char *text, size_t size)
{
	char *copy = size < SIZE_MAX ? sn_pool_take(pool, size + 1) : NULL;
	if (!copy) return NULL;
	if (size) memcpy(copy, text, size);
	copy[size] = '\0';
	return copy;
}
