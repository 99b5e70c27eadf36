#include "common/counter.h"

#include "base/base.h"

#include <stdlib.h>
#include <string.h>

void *count_alloc(void *payload, size_t size)
{
	counter *c = payload;
	char *p = aligned_alloc(64, size + 64);
	if (!p) return NULL;
	memcpy(p, &size, sizeof size);
	c->now += (int64_t)size;
	c->peak = SN_MAX(c->peak, c->now);
	return p + 64;
}

void count_free(void *payload, void *p)
{
	size_t size;
	memcpy(&size, (char *)p - 64, sizeof size);
	((counter *)payload)->now -= (int64_t)size;
	free((char *)p - 64);
}
