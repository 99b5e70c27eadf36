/* What a probe knows without a model: which words stand at the roles up to this one, and where it stands. */
#include "methods/localize/localize.h"

#include <stdlib.h>
#include <string.h>

/* One feature of one row: a word form in a role, or a position. */
typedef struct feature {
	uint64_t key;
	int64_t row, column;
} feature;

static int by_key(const void *a, const void *b)
{
	uint64_t x = ((const feature *)a)->key, y = ((const feature *)b)->key;
	return (x > y) - (x < y);
}

static uint64_t form_key(const sn_items *items, int64_t item, int role)
{
	const int32_t *span = items->span[item * items->n_role + role];
	const int32_t *token = items->token + items->start[item] + span[0];
	uint64_t hash = sn_fnv1a(SN_FNV_START, &role, sizeof role);
	return sn_fnv1a(hash, token, (size_t)(span[1] - span[0]) * sizeof *token);
}

static int64_t row_features(feature *out, const sn_items *items, int64_t item, int64_t row, int role)
{
	int64_t n = 0;
	const int32_t *here = items->span[item * items->n_role + role];
	for (int r = 0; r < items->n_role; r++) {
		const int32_t *span = items->span[item * items->n_role + r];
		if (span[0] >= 0 && span[1] <= here[1]) out[n++] = (feature){ .key = form_key(items, item, r), .row = row };
	}
	uint64_t position = sn_fnv1a(SN_FNV_START, &here[1], sizeof here[1]);
	out[n++] = (feature){ .key = sn_fnv1a(position, "position", 8), .row = row };
	return n;
}

sn_status sn_localize_surface(const sn_evidence *ev, const sn_gather *g, int r, sn_arena *arena, float **x,
							  int64_t *width)
{
	const sn_items *items = ev->items;
	feature *list;
	int64_t n = 0;
	SN_NEW(list, arena, feature, g->n[r] * (items->n_role + 1));
	for (int64_t i = 0; i < g->n[r]; i++) n += row_features(list + n, items, g->item[r][i], i, g->role0 + r);
	qsort(list, (size_t)n, sizeof *list, by_key);
	*width = 0;
	for (int64_t i = 0; i < n; i++) {
		if (i > 0 && list[i].key != list[i - 1].key) ++*width;
		list[i].column = *width;
	}
	++*width;
	*x = sn_arena_take(arena, sn_size3((size_t)g->n[r], (size_t)*width, sizeof(float)));
	if (!*x) return SN_ENOMEM;
	for (int64_t i = 0; i < n; i++) (*x)[list[i].row * *width + list[i].column] = 1;
	return SN_OK;
}
