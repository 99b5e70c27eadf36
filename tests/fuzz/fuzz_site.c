/* Site patterns: what expands is written back and read again as the same site. */
#include "fuzz.h"

#include <string.h>

static sn_model *tiny_model(void)
{
	static sn_model *model;
	if (!model) fuzz_require(sn_model_open(&model, fuzz_ctx(), SN_TESTS "/golden/tiny/gqa-tied/model.gguf") == SN_OK);
	return model;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	sn_ctx *ctx = fuzz_ctx();
	sn_arena *arena;
	sn_site *site, again;
	int n;
	fuzz_require(sn_arena_open(&arena, ctx) == SN_OK);
	const char *pattern = sn_arena_copy(arena, (const char *)bytes, size);
	if (fuzz_ok(sn_site_expand(ctx, tiny_model(), pattern, arena, &site, &n)))
		for (int i = 0; i < n; i++) {
			char text[128];
			fuzz_require(sn_site_format(&site[i], text, sizeof text) < (int)sizeof text);
			fuzz_require(fuzz_ok(sn_site_parse(ctx, tiny_model(), text, &again)));
			fuzz_require(memcmp(&again, &site[i], sizeof again) == 0);
		}
	sn_arena_close(arena);
	return 0;
}
