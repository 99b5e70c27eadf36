/* What a tokenizer's model finds in a word, whichever kind of model it is: tokens in order, each with its bytes. */
#ifndef SN_TEXT_MODEL_H
#define SN_TEXT_MODEL_H

#include "base/base.h"

/* Bytes [from, to) of a word become token id; -1: nothing stands for them. */
typedef struct sn_part {
	int32_t id;
	uint32_t from, to;
} sn_part;

/* A growing list of parts. Zero-initialise; sn_parts_free at the end. */
typedef struct sn_parts {
	sn_part *part;
	size_t n, room;
} sn_parts;

/* Makes room for n parts in all, keeping those that are there. SN_ENOMEM. */
SN_CHECKED sn_status sn_parts_reserve(sn_parts *parts, sn_ctx *ctx, size_t n);
void sn_parts_free(sn_parts *parts, sn_ctx *ctx);

/* Appends a part where there is room. */
static inline void sn_parts_put(sn_parts *parts, int32_t id, size_t from, size_t to)
{
	parts->part[parts->n++] = (sn_part){ id, (uint32_t)from, (uint32_t)to };
}

#endif
