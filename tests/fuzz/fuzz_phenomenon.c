/* Phenomenon files, and a few items from each that is accepted. */
#include "fuzz.h"

#include "data/items.h"
#include "data/phenomenon.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	sn_ctx *ctx = fuzz_ctx();
	sn_arena *arena;
	const sn_phenomenon *phenomenon;
	sn_items *items;
	fuzz_require(sn_arena_open(&arena, ctx) == SN_OK);
	if (fuzz_ok(sn_phenomenon_parse(&phenomenon, ctx, "input", (const char *)bytes, size, arena))) {
		fuzz_require(phenomenon->n_slot > 0 && phenomenon->n_frame > 0 && phenomenon->n_role > 0);
		sn_items_size few = { .probe = 8, .pair = { 4, 4, 4 } };
		if (fuzz_ok(sn_items_make(&items, ctx, phenomenon, NULL, &few, 1, arena))) fuzz_require(items->n > 0);
	}
	sn_arena_close(arena);
	return 0;
}
