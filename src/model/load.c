/* What the loaders share: going through the parts of a model. */
#include "model/load.h"

#include "base/base.h"

#include <string.h>

static sn_status find_one(sn_ctx *ctx, const sn_shape *shape, const char *const *names, sn_find_part *find, void *arg,
                          sn_part part, int layer)
{
	char name[160];
	const char *pattern = names[part], *number = strstr(pattern, "%d");
	if (number) sn_format(name, sizeof name, "%.*s%d%s", (int)(number - pattern), pattern, layer, number + 2);
	else sn_format(name, sizeof name, "%s", pattern);
	return find(ctx, arg, shape, part, layer, name);
}

sn_status sn_load_parts(sn_ctx *ctx, const sn_shape *shape, const char *const *names, sn_find_part *find, void *arg)
{
	for (int l = 0; l < shape->n_layer; l++)
		for (int part = SN_PART_ATTN_NORM; part <= SN_PART_DOWN; part++)
			SN_TRY(find_one(ctx, shape, names, find, arg, (sn_part)part, l));
	SN_TRY(find_one(ctx, shape, names, find, arg, SN_PART_EMBED, 0));
	SN_TRY(find_one(ctx, shape, names, find, arg, SN_PART_FINAL_NORM, 0));
	return shape->tied ? SN_OK : find_one(ctx, shape, names, find, arg, SN_PART_UNEMBED, 0);
}
