/* DeepLIFT (Shrikumar et al. 2017): the change of f from a baseline, shared out by multipliers that make the change of
 * every operation exact. One pass up and down, of the text and its baseline together. */
#include "methods/attribution/attribution.h"

typedef struct deeplift_param {
	sn_attribution_param common;
	const char *baseline;
} deeplift_param;

static const sn_param params[] = {
	SN_ATTRIBUTION_PARAMS(deeplift_param),
	SN_ATTRIBUTION_BASELINE(deeplift_param, "what the text is compared with"),
};

/* Rows 0 and 1: the text, and a copy that has the baseline at the site. g: multipliers of both, [2 n, d]. */
static sn_status multipliers(sn_ctx *ctx, sn_model *model, const sn_attribution_item *item, const sn_site *site,
                             const float *x0, float *g, double f[2], sn_arena *arena)
{
	static const int32_t reference[] = { 1, 1 };
	int64_t n = sn_attribution_at(item, site)->n, d = sn_site_width(model, site);
	sn_attribution_rows rows;
	SN_TRY(sn_attribution_copy(&rows, item, 1, site, 2, false, arena));
	sn_tensor values = sn_tensor_f32((float *)x0, n, d);
	sn_edit set = { .op = SN_OP_SET, .at = *site, .where = { .sel = SN_ALL, .row0 = 1, .n_row = 1 }, .src = &values };
	sn_keep keep = { g, 2 * n, d };
	sn_tap tap = { .at = *site, .where = { .sel = SN_ALL }, .what = SN_GRAD, .sink = &sn_sink_keep, .state = &keep };
	sn_plan plan = { .size = sizeof plan, .n_edit = 1, .edit = &set, .n_tap = 1, .tap = &tap, .n_goal = 1,
	                 .goal = &rows.goal, .rule = SN_RULE_RESCALE, .reference = reference };
	return sn_run(ctx, model, &rows.batch, &plan, NULL, f);
}

static sn_status explain(sn_ctx *ctx, sn_model *model, const sn_attribution_item *item, const sn_site *site,
                         const void *param, sn_arena *arena, double *score, sn_attribution_sum *sum)
{
	const deeplift_param *q = param;
	int64_t n = sn_attribution_at(item, site)->n, d = sn_site_width(model, site);
	const float *x, *x0;
	float *g;
	double f[2];
	if (d == 0) return sn_fail(ctx, SN_EARG, "DeepLIFT needs a site with vectors, not attention patterns");
	SN_TRY(sn_attribution_ends(ctx, model, item, site, q->baseline, arena, &x, &x0));
	SN_NEW(g, arena, float, 2 * n * d);
	SN_TRY(multipliers(ctx, model, item, site, x0, g, f, arena));
	for (int64_t i = 0; i < n; i++) {
		score[i] = 0;
		for (int64_t j = i * d; j < (i + 1) * d; j++) score[i] += g[j] * ((double)x[j] - x0[j]);
	}
	*sum = (sn_attribution_sum){ f[0], f[1], 2 };
	return SN_OK;
}

static sn_status explain_each(const sn_attribution_task *t) { return sn_attribution_each(t, explain); }

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	return sn_attribution_all(ctx, in, param, "DeepLIFT", explain_each, 0, out);
}

extern const sn_method sn_method_attribute_deeplift;
const sn_method sn_method_attribute_deeplift = {
	.family = "attribute", .name = "deeplift", .brief = "changes from a baseline, shared out exactly in one pass",
	.doc = "Scores that sum to f(x) - f(baseline), from one pass up and down: every operation passes on the change of "
	       "its output in shares that sum to it. Activations by the rescale rule (change over change); products "
	       "(pattern and value, query and key, gate and up) with the other factor at its mean; softmax and norms by "
	       "identities that are exact too and stay bounded for distant baselines, such as zero. "
	       "captum has the first rule alone and differentiates the rest, so that its scores miss the change in "
	       "transformers. What the sum still misses is rounding: it is the gap. At --sites in the blocks the whole "
	       "layer is the input.",
	.cite = "Shrikumar et al. 2017",
	.example = "sonde attribute deeplift --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data texts.txt "
	           "--target are --foil is",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params, .n_param = SN_COUNT(params), .param_size = sizeof(deeplift_param),
	.table = sn_attribution_tables, .n_table = SN_ATTRIBUTION_TABLES, .run = run,
};
