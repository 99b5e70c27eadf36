/* Plans from JSON, for the small golden model: what is read is a batch and a plan whose places stand in it. */
#include "fuzz.h"

#include "model/places.h"
#include "model/plan_file.h"

static const sn_model *model(void)
{
	static sn_model *opened;
	if (!opened) fuzz_require(sn_model_open(&opened, fuzz_ctx(), SN_TESTS "/golden/tiny/gqa-tied") == SN_OK);
	return opened;
}

static void check_plan(const sn_plan_file *f)
{
	const sn_batch *b = &f->batch;
	for (int32_t i = 0; i < b->n; i++) {
		fuzz_require(b->start[i + 1] > b->start[i] && f->name[i] && f->text[i]);
		fuzz_require(b->parent[i] < i && b->fork[i] <= sn_row_length(b, i));
	}
	for (int e = 0; e < f->plan.n_edit; e++) {
		const sn_edit *edit = &f->plan.edit[e];
		fuzz_require(sn_where_count(fuzz_ctx(), b, &edit->where) >= 0 && edit->at.kind > 0);
		for (int32_t i = 0; edit->src_row && i < b->n; i++) fuzz_require(edit->src_row[i] < b->n);
	}
	for (int g = 0; g < f->plan.n_goal; g++)
		fuzz_require(sn_where_count(fuzz_ctx(), b, &f->plan.goal[g].where) >= 0 && f->goal[g]);
	for (int t = 0; t < f->plan.n_tap; t++) fuzz_require(f->tap[t] != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	sn_arena *arena;
	sn_plan_file f;
	fuzz_require(sn_arena_open(&arena, fuzz_ctx()) == SN_OK);
	if (fuzz_ok(sn_plan_file_parse(&f, fuzz_ctx(), model(), "input", (const char *)bytes, size, arena))) check_plan(&f);
	sn_arena_close(arena);
	return 0;
}
