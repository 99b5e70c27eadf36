/* Word alignments: what is read names words that exist, and is read again from what it says. */
#include "data/alignment.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	enum { SOURCE = 9, TARGET = 12 };
	sn_ctx *ctx = fuzz_ctx();
	sn_arena *arena;
	sn_alignment a, again;
	sn_buf text = { .ctx = ctx };
	fuzz_require(sn_arena_open(&arena, ctx) == SN_OK);
	const char *links = sn_arena_copy(arena, (const char *)bytes, size);
	if (fuzz_ok(sn_alignment_read(&a, ctx, "input", links, SOURCE, TARGET, arena))) {
		for (int64_t i = 0; i < a.n; i++) {
			const sn_link *l = &a.link[i];
			fuzz_require(l->source >= 0 && l->source < SOURCE && l->target >= 0 && l->target < TARGET);
			sn_buf_format(&text, "%d%s%d ", l->source, l->sure ? "-" : "?", l->target);
		}
		fuzz_require(
			fuzz_ok(sn_alignment_read(&again, ctx, "again", text.data ? text.data : "", SOURCE, TARGET, arena)));
		fuzz_require(again.n == a.n);
	}
	sn_buf_free(&text);
	sn_arena_close(arena);
	return 0;
}
