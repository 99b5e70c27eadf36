/* Plans from JSON. */
#include "model/plan_file.h"

#include "model/plan_read.h"

enum { MOST_BYTES = 64 << 20 };

static sn_status read_all(sn_plan_reader *r, const char *const *more, int64_t n_more)
{
	static const char *const words[] = { "texts", "spans", "unedited", "edits", "taps", "goals", NULL };
	SN_TRY(sn_plan_keys(r, r->doc->root, words));
	SN_TRY(sn_plan_fragments(r));
	SN_TRY(sn_plan_read_texts(r, more, n_more));
	r->out->plan.size = sizeof r->out->plan;
	SN_TRY(sn_plan_read_edits(r));
	SN_TRY(sn_plan_read_taps(r));
	SN_TRY(sn_plan_read_goals(r));
	sn_plan_mark_edited(r);
	return sn_plan_find_forks(r);
}

/* Texts and names of the document are used as long as the plan: they move into the arena with it. */
static sn_status read_document(sn_plan_file *out, sn_ctx *ctx, const sn_model *model, sn_json *doc,
                               const char *const *more, int64_t n_more, sn_arena *arena)
{
	sn_plan_reader r = { .ctx = ctx, .model = model, .doc = doc, .arena = arena, .out = out };
	*out = (sn_plan_file){ 0 };
	SN_TRY(read_all(&r, more, n_more));
	for (int32_t b = 0; b < out->batch.n; b++) {
		out->name[b] = sn_arena_string(arena, out->name[b]);
		out->text[b] = sn_arena_string(arena, out->text[b]);
		if (!out->name[b] || !out->text[b]) return SN_ENOMEM;
	}
	for (int i = 0; i < out->plan.n_goal; i++)
		if (!(out->goal[i] = sn_arena_string(arena, out->goal[i]))) return SN_ENOMEM;
	for (int i = 0; i < out->plan.n_tap; i++)
		if (!(out->tap[i] = sn_arena_string(arena, out->tap[i]))) return SN_ENOMEM;
	return SN_OK;
}

sn_status sn_plan_file_read(sn_plan_file *out, sn_ctx *ctx, const sn_model *model, const char *path,
                            const char *const *more, int64_t n_more, sn_arena *arena)
{
	sn_json *doc;
	SN_TRY(sn_json_load(&doc, ctx, path, MOST_BYTES));
	sn_status status = read_document(out, ctx, model, doc, more, n_more, arena);
	sn_json_close(doc);
	return status;
}

sn_status sn_plan_file_parse(sn_plan_file *out, sn_ctx *ctx, const sn_model *model, const char *source,
                             const char *text, size_t size, sn_arena *arena)
{
	sn_json *doc;
	SN_TRY(sn_json_parse(&doc, ctx, source, text, size));
	sn_status status = read_document(out, ctx, model, doc, NULL, 0, arena);
	sn_json_close(doc);
	return status;
}
