/* Places: the (row, position) pairs that a where names, in packed order. */
#ifndef SN_MODEL_PLACES_H
#define SN_MODEL_PLACES_H

#include "base/base.h"

typedef struct sn_places {
	int64_t n;
	int32_t *row, *pos;   /* [n], ascending by row, then position */
} sn_places;

/* Returns the length of a row in tokens. */
static inline int32_t sn_row_length(const sn_batch *batch, int64_t row)
{
	return (int32_t)(batch->start[row + 1] - batch->start[row]);
}

/* Resolves a where over the batch into arrays from arena; what ("edit 3") is named in errors. */
SN_CHECKED sn_status sn_places_find(sn_ctx *ctx, const sn_batch *batch, const sn_where *where, const char *what,
                                    sn_arena *arena, sn_places *out);
/* Counts the positions that a where names on one row and, where pos is not NULL, writes them there. */
int32_t sn_places_in_row(const sn_batch *batch, const sn_where *where, int64_t row, int32_t *pos);

#endif
