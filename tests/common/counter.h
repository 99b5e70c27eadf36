/* An allocator that counts: sn_options.alloc, .dealloc, .alloc_payload. */
#ifndef COMMON_COUNTER_H
#define COMMON_COUNTER_H

#include <stddef.h>
#include <stdint.h>

/* Memory that a context has now, and had at most. */
typedef struct counter { int64_t now, peak; } counter;

void *count_alloc(void *payload, size_t size);
void count_free(void *payload, void *p);

#endif
