/* Many short strings, packed one behind the other in an arena (which rounds each of its own allocations up to 64
 * bytes). */
#ifndef SN_IO_POOL_H
#define SN_IO_POOL_H

#include "base/base.h"

/* Zero-initialise with arena set; nothing to free. */
typedef struct sn_pool {
	sn_arena *arena;
	char *at;
	size_t left;
} sn_pool;

/* Returns size writable bytes, not aligned, from the arena; NULL when memory is short. */
char *sn_pool_take(sn_pool *pool, size_t size);
/* Returns a NUL-terminated copy of size bytes, or NULL. */
char *sn_pool_copy(sn_pool *pool, const char *text, size_t size);

#endif
