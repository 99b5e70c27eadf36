/* Lists of parts. */
#include "text/model.h"

#include <string.h>

sn_status sn_parts_reserve(sn_parts *parts, sn_ctx *ctx, size_t n)
{
	if (n <= parts->room) return SN_OK;
	size_t room = SN_MAX(n, 2 * parts->room);
	sn_part *part = sn_alloc_raw(ctx, sn_size3(room, sizeof *part, 1));
	if (!part) return SN_ENOMEM;
	if (parts->n) memcpy(part, parts->part, parts->n * sizeof *part);
	sn_free(ctx, parts->part);
	parts->part = part;
	parts->room = room;
	return SN_OK;
}

void sn_parts_free(sn_parts *parts, sn_ctx *ctx)
{
	sn_free(ctx, parts->part);
	*parts = (sn_parts){ 0 };
}
