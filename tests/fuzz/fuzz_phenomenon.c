/* Phenomenon files. */
#include "fuzz.h"

#include "data/phenomenon.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	sn_arena *arena;
	const sn_phenomenon *phenomenon;
	fuzz_require(sn_arena_open(&arena, fuzz_ctx()) == SN_OK);
	if (fuzz_ok(sn_phenomenon_parse(&phenomenon, fuzz_ctx(), "input", (const char *)bytes, size, arena)))
		fuzz_require(phenomenon->n_slot > 0 && phenomenon->n_frame > 0 && phenomenon->n_role > 0);
	sn_arena_close(arena);
	return 0;
}
