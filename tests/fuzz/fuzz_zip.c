/* ZIP archives: every entry lies inside the bytes and is found by its name. */
#include "fuzz.h"

#include "io/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	sn_ctx *ctx = fuzz_ctx();
	sn_zip zip;
	sn_arena *arena;
	fuzz_require(sn_arena_open(&arena, ctx) == SN_OK);
	if (fuzz_ok(sn_zip_read(&zip, arena, "input", bytes, size)))
		for (int64_t i = 0; i < zip.n; i++) {
			const sn_zip_entry *e = &zip.entry[i];
			fuzz_require(e->data >= bytes && e->size <= size && e->data + e->size <= bytes + size);
			const char *name = sn_arena_copy(arena, e->name.data, e->name.size);
			if (strlen(name) == e->name.size) fuzz_require(sn_zip_find(&zip, name) == e);
		}
	sn_arena_close(arena);
	return 0;
}
