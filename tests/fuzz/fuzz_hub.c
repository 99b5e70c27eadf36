/* The hub's description of a model: whatever it says, the files chosen stay below the snapshot's folder. Inputs that do
 * not begin with '{' are read as names of models. */
#include "fuzz.h"

#include <string.h>

#include "io/hub.h"

static void check_choice(const sn_hub_listing *listing, sn_arena *arena, const char *pattern)
{
	const char **file;
	int n;
	if (!fuzz_ok(sn_hub_choose(fuzz_ctx(), arena, "o/n", listing, pattern, &file, &n))) return;
	fuzz_require(n > 0 && n <= listing->n);
	for (int i = 0; i < n; i++) fuzz_require(sn_hub_file_name_ok(file[i]));
}

static void check_name(const char *text, sn_arena *arena)
{
	sn_hub_name name;
	if (!fuzz_ok(sn_hub_name_read(fuzz_ctx(), arena, text, &name))) return;
	const char *folder = sn_hub_folder(arena, "/cache", name.repo);
	fuzz_require(folder && strncmp(folder, "/cache/models--", 15) == 0 && !strchr(folder + 15, '/'));
	fuzz_require(sn_hub_file_name_ok(name.revision) && (!name.file || sn_hub_file_name_ok(name.file)));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	sn_arena *arena;
	sn_hub_listing listing;
	fuzz_require(sn_arena_open(&arena, fuzz_ctx()) == SN_OK);
	if (size == 0 || bytes[0] != '{') {
		const char *text = sn_arena_copy(arena, (const char *)bytes, size);
		fuzz_require(text != NULL);
		check_name(text, arena);
	} else if (fuzz_ok(sn_hub_listing_read(fuzz_ctx(), arena, "input", (const char *)bytes, size, &listing))) {
		fuzz_require(strlen(listing.commit) == 40);
		for (int i = 0; i < listing.n; i++) fuzz_require(sn_hub_file_name_ok(listing.file[i]));
		check_choice(&listing, arena, NULL);
		check_choice(&listing, arena, "*.gguf");
	}
	sn_arena_close(arena);
	return 0;
}
