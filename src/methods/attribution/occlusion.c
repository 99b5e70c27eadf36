/* What the prediction loses without a token: its vector at a site replaced, or the token left out. Each variant is a
 * fork of the text, so only what follows the token is computed again. */
#include "methods/attribution/attribution.h"

#include <math.h>
#include <string.h>

typedef struct occlusion_param {
	sn_attribution_param common;
	const char *with;
	int64_t window;
} occlusion_param;

static const sn_param params[] = {
	SN_ATTRIBUTION_PARAMS(occlusion_param),
	{ "with", NULL, "what a token's vector is replaced by: zeros, or the mean of the text's vectors at the site",
	  "zero", "zero|mean", SN_TYPE_TEXT, offsetof(occlusion_param, with), 0, 0, false },
	{ "window", "tokens", "neighbouring tokens replaced together; a token's score is the mean over its windows", "1",
	  NULL, SN_TYPE_INT, offsetof(occlusion_param, window), 1, 1e4, false },
};

static const sn_param leave_params[] = { SN_ATTRIBUTION_PARAMS(occlusion_param) };

/* ---- replaced at a site ---- */

static sn_status find_mean(sn_ctx *ctx, sn_model *model, const sn_attribution_item *item, const sn_site *site,
                           sn_arena *arena, float *mean, int64_t d)
{
	sn_attribution_rows rows;
	int32_t n = sn_attribution_at(item, site)->n;
	float *x;
	SN_NEW(x, arena, float, n * d);
	SN_TRY(sn_attribution_copy(&rows, item, 1, site, 1, false, arena));
	sn_keep keep = { x, n, d };
	sn_tap tap = { .at = *site, .where = { .sel = SN_ALL }, .sink = &sn_sink_keep, .state = &keep };
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
	SN_TRY(sn_run(ctx, model, &rows.batch, &plan, NULL, NULL));
	for (int32_t i = 0; i < n; i++)
		for (int64_t j = 0; j < d; j++) mean[j] += x[i * d + j] / (float)n;
	return SN_OK;
}

/* Copy 0 is the text; copy 1 + w has window w replaced. Places: of each copy its window. */
static sn_status occlude(sn_ctx *ctx, sn_model *model, const sn_attribution_item *item, const sn_site *site,
                         const void *param, sn_arena *arena, double *score, sn_attribution_sum *sum)
{
	const occlusion_param *p = param;
	int64_t d = sn_site_width(model, site), n_list = 0, *list;
	int32_t n = sn_attribution_at(item, site)->n, window = (int32_t)SN_MIN(p->window, (int64_t)n);
	int32_t copies = 2 + n - window;
	float *mean;
	double *f;
	sn_attribution_rows rows;
	if (d == 0) return sn_fail(ctx, SN_EARG, "occlusion needs a site with vectors, not attention patterns");
	SN_NEW(mean, arena, float, d);
	SN_NEW(f, arena, double, copies);
	SN_NEW(list, arena, int64_t, (int64_t)copies * window);
	if (strcmp(p->with, "mean") == 0) SN_TRY(find_mean(ctx, model, item, site, arena, mean, d));
	SN_TRY(sn_attribution_copy(&rows, item, 1, site, copies, true, arena));
	for (int32_t c = 1; c < copies; c++)
		for (int32_t i = 0; i < window; i++) list[n_list++] = rows.start[c] + c - 1 + i;
	sn_tensor src = sn_tensor_f32(mean, -1, d);
	sn_edit set = { .op = SN_OP_SET, .at = *site, .where = { .sel = SN_LIST, .list = list, .n_list = n_list },
	                .src = &src };
	sn_plan plan = { .size = sizeof plan, .n_edit = 1, .edit = &set, .n_goal = 1, .goal = &rows.goal };
	SN_TRY(sn_run(ctx, model, &rows.batch, &plan, NULL, f));
	for (int32_t i = 0; i < n; i++) {
		int32_t first = SN_MAX(0, i - window + 1), last = SN_MIN(i, n - window);
		score[i] = 0;
		for (int32_t w = first; w <= last; w++) score[i] += (f[0] - f[1 + w]) / (last - first + 1);
	}
	*sum = (sn_attribution_sum){ f[0], NAN, copies };
	return SN_OK;
}

/* ---- left out ---- */

/* Row 0 is the text; row 1 + i lacks token i and begins as row 0 does. */
static sn_status shorter_batch(sn_batch *out, const sn_attribution_tokens *whole, bool forked, sn_arena *arena)
{
	int32_t rows = 1 + whole->n, n = whole->n, *token, *parent, *fork;
	int64_t *start;
	SN_NEW(token, arena, int32_t, (int64_t)rows * n);
	SN_NEW(start, arena, int64_t, rows + 1);
	SN_NEW(parent, arena, int32_t, rows);
	SN_NEW(fork, arena, int32_t, rows);
	for (int32_t b = 0; b < rows; b++) {
		int32_t gone = b - 1, length = 0;
		for (int32_t i = 0; i < n; i++)
			if (i != gone || n == 1) token[start[b] + length++] = whole->token[i];
		start[b + 1] = start[b] + length;
		parent[b] = b ? 0 : -1;
		fork[b] = b ? gone : 0;
	}
	*out = (sn_batch){ .n = rows, .token = token, .start = start };
	if (forked) out->parent = parent, out->fork = fork;
	return SN_OK;
}

/* Each row's vector is of the tokens that it has. */
static sn_status shorter_means(const sn_attribution_item *item, sn_arena *arena, sn_attribution_rows *out)
{
	const sn_attribution_item **of;
	sn_attribution_item *shorter;
	SN_TRY(shorter_batch(&out->batch, &item->row, true, arena));
	int32_t n = out->batch.n;
	SN_NEW(of, arena, const sn_attribution_item *, n);
	SN_NEW(shorter, arena, sn_attribution_item, 1);
	*shorter = *item;
	shorter->n_place = SN_MAX(SN_MIN(item->n_place, item->row.n - 1), 1);
	for (int32_t b = 0; b < n; b++) of[b] = b ? shorter : item;
	return sn_attribution_goal(&out->goal, of, out->batch.start, n, arena);
}

/* A place that is scored stays, one earlier. */
static sn_status shorter_rows(const sn_attribution_item *item, sn_arena *arena, sn_attribution_rows *out)
{
	int32_t n = item->row.n, rows = 1 + n, *want, *foil = NULL;
	int64_t *list, k = 0;
	SN_TRY(shorter_batch(&out->batch, &item->row, true, arena));
	SN_NEW(list, arena, int64_t, (int64_t)rows * item->n_place);
	SN_NEW(want, arena, int32_t, (int64_t)rows * item->n_place);
	if (item->unwanted) SN_NEW(foil, arena, int32_t, (int64_t)rows * item->n_place);
	for (int32_t b = 0; b < rows; b++) {
		int32_t gone = b - 1;
		for (int32_t i = 0; i < item->n_place; i++, k++) {
			int32_t place = item->place[i] - (b > 0 && item->place[i] >= gone && n > 1 && item->place[i] > 0);
			list[k] = out->batch.start[b] + place;
			want[k] = item->want[i];
			if (foil) foil[k] = item->unwanted[i];
		}
	}
	out->goal = (sn_goal){ .metric = item->metric, .where = { .sel = SN_LIST, .list = list, .n_list = k }, .want = want,
	                       .n_want = k, .foil = foil };
	return SN_OK;
}

/* The encoder's sources are shorter, the rows that read them are alike. */
static sn_status shorter_sources(const sn_attribution_item *item, const sn_site *site, sn_arena *arena,
                                 sn_attribution_rows *out)
{
	SN_TRY(sn_attribution_copy(out, item, 1, site, 1 + item->source.n, false, arena));
	return shorter_batch(&out->enc, &item->source, false, arena);
}

static sn_status leave_out(sn_ctx *ctx, sn_model *model, const sn_attribution_item *item, const sn_site *site,
                           const void *param, sn_arena *arena, double *score, sn_attribution_sum *sum)
{
	const sn_attribution_tokens *tokens = sn_attribution_at(item, site);
	bool compared = item->metric == SN_DOT, source = tokens == &item->source;
	bool masked = !sn_model_get_info(model)->causal && !compared;
	sn_attribution_rows rows = { .goal.n_want = 0 };
	double *f;
	(void)param;
	if (item->source.n && !source)
		return sn_fail(ctx, SN_EARG, "leaving tokens out is for the source: give a site of the encoder");
	if (item->n_place > 1 && !source && !compared)
		return sn_fail(ctx, SN_EARG, "row %lld: leaving tokens out takes a target of one token",
					   (long long)item->number);
	SN_TRY(source ? shorter_sources(item, site, arena, &rows)
	       : compared ? shorter_means(item, arena, &rows) : shorter_rows(item, arena, &rows));
	SN_NEW(f, arena, double, rows.batch.n);
	sn_plan plan = { .size = sizeof plan, .n_goal = 1, .goal = &rows.goal };
	SN_TRY(sn_run(ctx, model, &rows.batch, &plan, NULL, f));
	for (int32_t i = 0; i < tokens->n; i++) score[i] = masked && i == item->place[0] ? 0 : f[0] - f[1 + i];
	*sum = (sn_attribution_sum){ f[0], NAN, rows.batch.n };
	return SN_OK;
}

static sn_status occlude_each(const sn_attribution_task *t) { return sn_attribution_each(t, occlude); }
static sn_status leave_out_each(const sn_attribution_task *t) { return sn_attribution_each(t, leave_out); }

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	return sn_attribution_all(ctx, in, param, "occlusion", occlude_each, 0, out);
}

static sn_status run_leave(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	sn_attribution_param p = *(const sn_attribution_param *)param;
	bool both = sn_model_get_info(in->model[0])->n_layer_encoder > 0;
	if (both && strcmp(p.sites, "auto") == 0) p.sites = "encoder.hook_embed";
	return sn_attribution_all(ctx, in, &p, "leaving each token out", leave_out_each, 0, out);
}

extern const sn_method sn_method_attribute_occlusion, sn_method_attribute_leave_one_out;
const sn_method sn_method_attribute_occlusion = {
	.family = "attribute",
	.name = "occlusion",
	.brief = "what f loses when a token's vector is replaced",
	.doc =
		"f(x) - f(x with the token's vector at the site replaced), for windows of neighbouring tokens. At hook_embed "
		"this is occlusion of the input; at sites in the blocks it is ablation of that site, position by position.",
	.cite = "Zeiler & Fergus 2014; Li et al. 2016",
	.example = "sonde attribute occlusion --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data texts.txt --with mean",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params,
	.n_param = SN_COUNT(params),
	.param_size = sizeof(occlusion_param),
	.table = sn_attribution_tables,
	.n_table = SN_ATTRIBUTION_TABLES,
	.run = run,
};
const sn_method sn_method_attribute_leave_one_out = {
	.family = "attribute", .name = "leave-one-out", .brief = "what f loses when a token is left out",
	.doc = "f(x) - f(x without the token): the text is one token shorter and later tokens move up; in encoder-decoders "
	       "the source is. The sites option has no meaning here.",
	.cite = "Li et al. 2016; Jain & Wallace 2019",
	.example = "sonde attribute leave-one-out --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data texts.txt",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = leave_params, .n_param = SN_COUNT(leave_params), .param_size = sizeof(occlusion_param),
	.table = sn_attribution_tables, .n_table = SN_ATTRIBUTION_TABLES, .run = run_leave,
};
