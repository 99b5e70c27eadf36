/* `sonde run`: a plan written by hand. */
#include "data/result.h"
#include "model/places.h"
#include "model/plan_taps.h"

#include <string.h>

typedef struct run_param { const char *plan, *out, *column; int64_t limit; } run_param;

static const sn_param params[] = {
	{ "plan", "FILE", "JSON with texts, edits, taps and goals (docs/plan.md); - is standard input; also without "
	  "--plan", NULL, NULL, SN_TYPE_TEXT, offsetof(run_param, plan), 0, 0, true },
	{ "out", "FILE", "safetensors file for what the taps read", NULL, NULL, SN_TYPE_TEXT, offsetof(run_param, out), 0,
	  0, false },
	{ "column", NULL, "column of the texts of --data, which follow the plan's own; auto: text, sentence "
	  "or sentence_good", "auto", NULL, SN_TYPE_TEXT, offsetof(run_param, column), 0, 0, false },
	{ "limit", "rows", "only the first rows of the data; 0: all", "0", NULL, SN_TYPE_INT, offsetof(run_param, limit), 0,
	  1e15, false },
};

enum { GOALS, TAPS };

static const sn_col goal_columns[] = {
	{ "goal", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Goal" },
	{ "row", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Text" },
	{ "edited", NULL, NULL, SN_TYPE_BOOL, SN_DIM, 0, "Edited" },
	{ "places", "places", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Places" },
	{ "value", NULL, NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Value" },
	{ "unit", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Unit" },
	{ "text", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Begins" },
};

static const sn_col tap_columns[] = {
	{ "tap", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Tap" },
	{ "places", "places", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Places" },
	{ "width", "columns", NULL, SN_TYPE_INT, SN_MEASURE, 0, "Width" },
};

static const sn_table tables[] = {
	[GOALS] = { "goals", "Goals", goal_columns, SN_COUNT(goal_columns), SN_VIEW_TABLE,
		"Each goal of each text, summed over its places; texts without places are left out.", false },
	[TAPS] = { "taps", "Taps", tap_columns, SN_COUNT(tap_columns), SN_VIEW_TABLE,
		"One float32 tensor [places, width] a tap, with TAP.row and TAP.position int32 [places] beside it (width 0: "
		"attention, one value a head and attended position, the places one behind the other).", false },
};

/* ---- taps ---- */

static sn_status write_taps(sn_ctx *ctx, const sn_plan_file *f, const sn_plan_taken *t, const char *path,
                            sn_arena *arena, sn_result *out)
{
	if (f->plan.n_tap == 0) return SN_OK;
	SN_TRY(sn_plan_taps_write(ctx, f, t, path, arena));
	for (int i = 0; i < f->plan.n_tap; i++)
		SN_TRY(SN_ADD(out, TAPS, sn_text(f->tap[i]), sn_int(t[i].places.n), sn_int(t[i].width)));
	return sn_result_say(out, "Wrote %d taps to %s.", f->plan.n_tap, path);
}

/* ---- goals ---- */

static sn_status report_goals(const sn_plan_file *f, const double *score, sn_result *out)
{
	for (int g = 0; g < f->plan.n_goal; g++) {
		const sn_goal *goal = &f->plan.goal[g];
		const char *unit = goal->metric == SN_LOGIT ? "logit" : goal->metric == SN_DOT ? "product" : "nats";
		for (int32_t b = 0; b < f->batch.n; b++) {
			int32_t places = sn_places_in_row(&f->batch, &goal->where, b, NULL);
			if (places == 0) continue;
			SN_TRY(SN_ADD(out, GOALS, sn_text(f->goal[g]), sn_text(f->name[b]), sn_flag(f->edited[b]), sn_int(places),
			              sn_num(score[(int64_t)g * f->batch.n + b]), sn_text(unit), sn_text(f->text[b])));
		}
	}
	return sn_result_say(out, "%d of %d rows were computed as forks of others.", f->n_fork, f->batch.n);
}

/* ---- the run ---- */

static sn_status find_texts(sn_ctx *ctx, const sn_input *in, const run_param *p, const char *const **text, int64_t *n)
{
	static const char *const usual[] = { "text", "sentence", "sentence_good" };
	const sn_dataset *data = in->data[0];
	const sn_column *column = NULL;
	*text = NULL;
	*n = 0;
	if (!data) return SN_OK;
	if (strcmp(p->column, "auto") != 0) column = sn_dataset_column(data, p->column);
	else for (int i = 0; !column && i < SN_COUNT(usual); i++) column = sn_dataset_column(data, usual[i]);
	if (!column || column->type != SN_TYPE_TEXT)
		return sn_fail(ctx, SN_ENOTFOUND, "%s: no column of text found (%s); name it with --column", data->source,
		               p->column);
	*text = column->s;
	*n = p->limit > 0 ? SN_MIN(p->limit, data->n) : data->n;
	return SN_OK;
}

static sn_status run_in(sn_ctx *ctx, const sn_input *in, const run_param *p, sn_arena *arena, sn_result *out)
{
	sn_plan_file f;
	const char *const *text;
	int64_t n_text;
	sn_plan_taken *t;
	double *score;
	SN_TRY(find_texts(ctx, in, p, &text, &n_text));
	SN_TRY(sn_plan_file_read(&f, ctx, in->model[0], p->plan, text, n_text, arena));
	if (f.plan.n_goal == 0 && f.plan.n_tap == 0)
		return sn_fail(ctx, SN_EARG, "%s: there are neither goals nor taps: nothing is asked", p->plan);
	if (f.plan.n_tap > 0 && !p->out)
		return sn_fail(ctx, SN_EARG, "%s: the plan has taps; say with --out FILE where they are written", p->plan);
	SN_TRY(sn_plan_taps_open(ctx, in->model[0], &f, arena, &t));
	SN_NEW(score, arena, double, (int64_t)f.plan.n_goal * f.batch.n);
	SN_TRY(sn_run(ctx, in->model[0], &f.batch, &f.plan, NULL, score));
	SN_TRY(report_goals(&f, score, out));
	return write_taps(ctx, &f, t, p->out, arena, out);
}

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = run_in(ctx, in, param, arena, out);
	sn_arena_close(arena);
	return status;
}

extern const sn_method sn_method_run_plan;
const sn_method sn_method_run_plan = {
	.family = "", .name = "run", .brief = "a plan of edits, taps and goals written by hand, in JSON",
	.doc = "Runs texts under a plan: edits change values at sites (ablation, patching, steering, noise, attention "
	       "knockout), goals make a number of each text (losses, log-probabilities, logit differences, divergences, "
	       "products with a direction), taps write values to a file. docs/plan.md has every member and examples. Texts "
	       "that begin alike are computed once as far as they are, edits included.",
	.example = "sonde run plan.json --model models/SmolLM2-135M-Instruct.Q4_1.gguf",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_TOKENIZER | SN_TAKES_DATA, .operand = "plan",
	.param = params, .n_param = SN_COUNT(params), .param_size = sizeof(run_param),
	.table = tables, .n_table = SN_COUNT(tables), .run = run,
};
