/* Saliency, gradient x input and SmoothGrad: one forward and one backward pass a text (SmoothGrad: n of them). */
#include "methods/attribution/attribution.h"

#include <math.h>
#include <string.h>

typedef struct gradient_param {
	sn_attribution_param common;
	const char *norm, *rule;
	int64_t samples;
	double noise;
} gradient_param;

#define NORM_PARAM                                                                                                     \
	{ "norm", NULL, "how a gradient's numbers become one score", "l2", "l2|l1|signed", SN_TYPE_TEXT,                  \
	  offsetof(gradient_param, norm), 0, 0, false }
#define RULE_PARAM                                                                                                     \
	{ "rule", NULL, "gradients as they are, with scales of norms or attention patterns held constant, or the modified "\
	  "ones whose product with the input is CP-LRP's or AttnLRP's relevance", "plain",                                \
	  "plain|frozen-norms|frozen-attention|cp-lrp|attn-lrp", SN_TYPE_TEXT, offsetof(gradient_param, rule), 0, 0, false }

static const sn_param saliency_params[] = { SN_ATTRIBUTION_PARAMS(gradient_param), NORM_PARAM, RULE_PARAM };
static const sn_param input_params[] = { SN_ATTRIBUTION_PARAMS(gradient_param), RULE_PARAM };
static const sn_param smooth_params[] = {
	SN_ATTRIBUTION_PARAMS(gradient_param), NORM_PARAM, RULE_PARAM,
	{ "samples", "runs", "noisy copies of each text", "25", NULL, SN_TYPE_INT,
	  offsetof(gradient_param, samples), 1, 1e4, false },
	{ "noise", "share", "standard deviation of the noise, over that of the site's values", "0.1", NULL, SN_TYPE_FLOAT,
	  offsetof(gradient_param, noise), 0, 1e3, false },
};

static sn_rule rule_of(const char *name)
{
	if (strcmp(name, "frozen-norms") == 0) return SN_RULE_FREEZE_NORMS;
	if (strcmp(name, "frozen-attention") == 0) return SN_RULE_FREEZE_ATTENTION;
	if (strcmp(name, "cp-lrp") == 0) return SN_RULE_CP_LRP;
	return strcmp(name, "attn-lrp") == 0 ? SN_RULE_ATTN_LRP : SN_RULE_PLAIN;
}

/* Values and derivatives of a site at the n tokens of each copy of a row: [copies * n, d]. */
typedef struct pulled { int32_t n; int64_t d; float *x, *g; double *score; } pulled;

static sn_status pull(sn_ctx *ctx, sn_model *model, const sn_attribution_item *item, const sn_site *site,
                      int32_t copies, const sn_edit *edit, sn_rule rule, sn_arena *arena, pulled *out)
{
	sn_attribution_rows rows;
	SN_TRY(sn_attribution_copy(&rows, item, site, copies, false, arena));
	int64_t m = rows.start[copies];
	out->n = sn_attribution_at(item, site)->n;
	out->d = sn_site_width(model, site);
	if (out->d == 0) return sn_fail(ctx, SN_EARG, "scores by token need a site with vectors, not attention patterns");
	SN_NEW(out->x, arena, float, m * out->d);
	SN_NEW(out->g, arena, float, m * out->d);
	SN_NEW(out->score, arena, double, copies);
	sn_keep x = { out->x, m, out->d }, g = { out->g, m, out->d };
	sn_tap taps[] = {
		{ .at = *site, .where = { .sel = SN_ALL }, .sink = &sn_sink_keep, .state = &x },
		{ .at = *site, .where = { .sel = SN_ALL }, .what = SN_GRAD, .sink = &sn_sink_keep, .state = &g }
	};
	sn_plan plan = { .size = sizeof plan, .n_tap = 2, .tap = taps, .n_edit = !!edit, .edit = edit, .n_goal = 1,
	                 .goal = &rows.goal, .rule = rule };
	return sn_run(ctx, model, &rows.batch, &plan, NULL, out->score);
}

static double norm_of(const float *g, int64_t d, const char *norm)
{
	double sum = 0;
	bool square = strcmp(norm, "l2") == 0, absolute = strcmp(norm, "l1") == 0;
	for (int64_t j = 0; j < d; j++) sum += square ? (double)g[j] * g[j] : absolute ? fabs((double)g[j]) : (double)g[j];
	return square ? sqrt(sum) : sum;
}

static sn_status saliency(sn_ctx *ctx, sn_model *model, const sn_attribution_item *item, const sn_site *site,
                          const void *param, sn_arena *arena, double *score, sn_attribution_sum *sum)
{
	const gradient_param *p = param;
	pulled t;
	SN_TRY(pull(ctx, model, item, site, 1, NULL, rule_of(p->rule), arena, &t));
	for (int32_t i = 0; i < t.n; i++) score[i] = norm_of(t.g + i * t.d, t.d, p->norm);
	*sum = (sn_attribution_sum){ t.score[0], NAN, 1 };
	return SN_OK;
}

static sn_status gradient_x_input(sn_ctx *ctx, sn_model *model, const sn_attribution_item *item, const sn_site *site,
                                  const void *param, sn_arena *arena, double *score, sn_attribution_sum *sum)
{
	const gradient_param *p = param;
	pulled t;
	SN_TRY(pull(ctx, model, item, site, 1, NULL, rule_of(p->rule), arena, &t));
	for (int32_t i = 0; i < t.n; i++) {
		score[i] = 0;
		for (int64_t j = 0; j < t.d; j++) score[i] += (double)t.x[i * t.d + j] * t.g[i * t.d + j];
	}
	*sum = (sn_attribution_sum){ t.score[0], NAN, 1 };
	return SN_OK;
}

static double deviation(const float *x, int64_t n)
{
	double sum = 0, square = 0;
	for (int64_t i = 0; i < n; i++) {
		sum += x[i];
		square += (double)x[i] * x[i];
	}
	return sqrt(SN_MAX(square / (double)n - sum / (double)n * (sum / (double)n), 0));
}

/* Mean gradient over noisy copies (Smilkov et al. 2017). */
static sn_status smoothgrad(sn_ctx *ctx, sn_model *model, const sn_attribution_item *item, const sn_site *site,
                            const void *param, sn_arena *arena, double *score, sn_attribution_sum *sum)
{
	const gradient_param *p = param;
	pulled plain, t;
	SN_TRY(pull(ctx, model, item, site, 1, NULL, rule_of(p->rule), arena, &plain));
	int64_t size = plain.n * plain.d;
	float strength = (float)(p->noise * deviation(plain.x, size)), *mean;
	sn_edit noise = { .op = SN_OP_NOISE, .at = *site, .where = { .sel = SN_ALL }, .alpha = &strength, .n_alpha = 1 };
	SN_TRY(pull(ctx, model, item, site, (int32_t)p->samples, &noise, rule_of(p->rule), arena, &t));
	SN_NEW(mean, arena, float, size);
	for (int64_t c = 0; c < p->samples; c++)
		for (int64_t i = 0; i < size; i++) mean[i] += t.g[c * size + i] / (float)p->samples;
	for (int32_t i = 0; i < t.n; i++) score[i] = norm_of(mean + i * t.d, t.d, p->norm);
	*sum = (sn_attribution_sum){ plain.score[0], NAN, 1 + p->samples };
	return SN_OK;
}

#define RUN(name, title)                                                                                               \
	static sn_status run_##name(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)                    \
	{                                                                                                                  \
		return sn_attribution_all(ctx, in, param, title, name, out);                                                   \
	}
RUN(saliency, "saliency")
RUN(gradient_x_input, "gradient x input")
RUN(smoothgrad, "SmoothGrad")

#define ROW(id, title, text, what, paper, list)                                                                        \
	extern const sn_method sn_method_attribute_##id;                                                                  \
	const sn_method sn_method_attribute_##id = {                                                                      \
		.family = "attribute", .name = title, .brief = text, .doc = what, .cite = paper,                              \
		.example = "sonde attribute " title " --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data texts.txt "        \
		           "--target are --foil is",                                                                          \
		.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,                                                 \
		.param = list, .n_param = SN_COUNT(list), .param_size = sizeof(gradient_param),                               \
		.table = sn_attribution_tables, .n_table = SN_ATTRIBUTION_TABLES, .run = run_##id,                            \
	};

ROW(saliency, "saliency", "the size of the gradient at each token",
    "One backward pass: the norm of the derivative of the predicted word's score by each token's vector (l2 as inseq's "
    "default; l1 as captum's sum of absolute values; signed: the plain sum). Unsigned scores say how sensitive, not "
    "which way.",
    "Simonyan et al. 2014", saliency_params)
ROW(gradient_x_input, "gradient-x-input", "gradient times value, summed over each token's vector",
	"One backward pass: the first-order share of each token. With --rule cp-lrp or attn-lrp the gradient is modified "
	"so "
	"that the product is the relevance of layer-wise relevance propagation, exact for layers without biases.",
	"Shrikumar et al. 2016; Ali et al. 2022 (CP-LRP); Achtibat et al. 2024 (AttnLRP)", input_params)
ROW(smoothgrad, "smoothgrad", "saliency averaged over noisy copies",
    "The norm of the mean gradient over copies of the text whose values at the site have normal noise added.",
    "Smilkov et al. 2017", smooth_params)
