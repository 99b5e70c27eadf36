/* Saliency, gradient x input and SmoothGrad: one forward and one backward pass a text (SmoothGrad: n of them), many
 * texts and all sites at once. */
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

/* ---- passes: a batch of copies of a task's texts up and down ---- */

/* Values and derivatives of a site at the tokens of each copy of each text. */
typedef struct pulled { int64_t d; const int64_t *start; float *x, *g; } pulled;

static sn_status check_site(const sn_attribution_task *t, const sn_site *site, int64_t *d)
{
	*d = sn_site_width(t->model, site);
	if (*d > 0) return SN_OK;
	return sn_fail(t->ctx, SN_EARG, "scores by token need a site with vectors, not attention patterns");
}

/* sites: of one stack if copies > 1. f: [n * copies]. */
static sn_status pull(const sn_attribution_task *t, const sn_site *site, int n_site, int32_t copies,
                      const sn_edit *edit, pulled *out, double **f)
{
	const gradient_param *p = t->param;
	sn_attribution_rows rows;
	sn_tap *tap;
	sn_keep *keep;
	SN_NEW(tap, t->arena, sn_tap, 2 * n_site);
	SN_NEW(keep, t->arena, sn_keep, 2 * n_site);
	SN_TRY(sn_attribution_copy(&rows, t->item, t->n, site, copies, false, t->arena));
	SN_NEW(*f, t->arena, double, rows.batch.n);
	for (int s = 0; s < n_site; s++) {
		bool source = rows.batch.enc && sn_attribution_at(t->item, &site[s]) == &t->item->source;
		out[s].start = source ? rows.enc.start : rows.batch.start;
		int64_t m = out[s].start[rows.batch.n];
		SN_TRY(check_site(t, &site[s], &out[s].d));
		SN_NEW(out[s].x, t->arena, float, m * out[s].d);
		SN_NEW(out[s].g, t->arena, float, m * out[s].d);
		keep[2 * s] = (sn_keep){ out[s].x, m, out[s].d };
		keep[2 * s + 1] = (sn_keep){ out[s].g, m, out[s].d };
		for (int k = 2 * s; k < 2 * s + 2; k++)
			tap[k] = (sn_tap){ .at = site[s], .where = { .sel = SN_ALL }, .what = k % 2 ? SN_GRAD : SN_AFTER,
			                   .sink = &sn_sink_keep, .state = &keep[k] };
	}
	sn_plan plan = { .size = sizeof plan, .n_tap = 2 * n_site, .tap = tap, .n_edit = !!edit, .edit = edit, .n_goal = 1,
	                 .goal = &rows.goal, .rule = rule_of(p->rule) };
	return sn_run(t->ctx, t->model, &rows.batch, &plan, NULL, *f);
}

/* ---- scores ---- */

static double norm_of(const float *g, int64_t d, const char *norm)
{
	double sum = 0;
	bool square = strcmp(norm, "l2") == 0, absolute = strcmp(norm, "l1") == 0;
	for (int64_t j = 0; j < d; j++) sum += square ? (double)g[j] * g[j] : absolute ? fabs((double)g[j]) : (double)g[j];
	return square ? sqrt(sum) : sum;
}

typedef double score_of(const float *x, const float *g, int64_t d, const char *norm);

static double size_of_gradient(const float *x, const float *g, int64_t d, const char *norm)
{
	(void)x;
	return norm_of(g, d, norm);
}

static double product(const float *x, const float *g, int64_t d, const char *norm)
{
	double sum = 0;
	(void)norm;
	for (int64_t j = 0; j < d; j++) sum += (double)x[j] * g[j];
	return sum;
}

enum { COLUMNS_A_PASS = 32768 };   /* of all sites' values that are kept at once, for each token */

/* As many sites, from the first on, as one pass keeps. */
static int sites_of_pass(const sn_attribution_task *t, int first)
{
	int64_t columns = 0;
	int s = first;
	for (; s < t->n_site; s++)
		if ((columns += sn_site_width(t->model, &t->site[s])) > COLUMNS_A_PASS && s > first) break;
	return s - first;
}

static sn_status score_sites(const sn_attribution_task *t, int first, int n_site, score_of *score)
{
	const gradient_param *p = t->param;
	pulled *at;
	double *f;
	SN_NEW(at, t->arena, pulled, n_site);
	SN_TRY(pull(t, t->site + first, n_site, 1, NULL, at, &f));
	for (int32_t k = 0; k < t->n; k++)
		for (int s = 0; s < n_site; s++) {
			int64_t to = (int64_t)k * t->n_site + first + s, d = at[s].d;
			for (int64_t i = at[s].start[k]; i < at[s].start[k + 1]; i++)
				t->score[to][i - at[s].start[k]] = score(at[s].x + i * d, at[s].g + i * d, d, p->norm);
			t->sum[to] = (sn_attribution_sum){ f[k], NAN, 1 };
		}
	return SN_OK;
}

static sn_status score_all(const sn_attribution_task *t, score_of *score)
{
	for (int first = 0, n; first < t->n_site; first += n) {
		sn_mark mark = sn_arena_mark(t->arena);
		n = sites_of_pass(t, first);
		SN_TRY(score_sites(t, first, n, score));
		sn_arena_reset(t->arena, mark);
	}
	return SN_OK;
}

static sn_status saliency(const sn_attribution_task *t) { return score_all(t, size_of_gradient); }
static sn_status gradient_x_input(const sn_attribution_task *t) { return score_all(t, product); }

/* ---- SmoothGrad ---- */

static double deviation(const float *x, int64_t n)
{
	double sum = 0, square = 0;
	for (int64_t i = 0; i < n; i++) {
		sum += x[i];
		square += (double)x[i] * x[i];
	}
	return sqrt(SN_MAX(square / (double)n - sum / (double)n * (sum / (double)n), 0));
}

/* Scores of text k from its noisy copies. */
static sn_status score_mean(const sn_attribution_task *t, const pulled *noisy, int32_t k, double *score)
{
	const gradient_param *p = t->param;
	int64_t first = k * p->samples, n = noisy->start[first + 1] - noisy->start[first], size = n * noisy->d;
	float *mean;
	SN_NEW(mean, t->arena, float, size);
	for (int64_t c = 0; c < p->samples; c++)
		for (int64_t i = 0; i < size; i++)
			mean[i] += noisy->g[noisy->start[first + c] * noisy->d + i] / (float)p->samples;
	for (int64_t i = 0; i < n; i++) score[i] = norm_of(mean + i * noisy->d, noisy->d, p->norm);
	return SN_OK;
}

static sn_status smooth_site(const sn_attribution_task *t, int s)
{
	const gradient_param *p = t->param;
	const sn_site *site = &t->site[s];
	pulled plain, noisy;
	double *f, *unused;
	float *strength;
	SN_NEW(strength, t->arena, float, t->n * p->samples);
	SN_TRY(pull(t, site, 1, 1, NULL, &plain, &f));
	for (int64_t b = 0; b < t->n * p->samples; b++) {
		const int64_t *start = plain.start + b / p->samples;
		strength[b] = (float)(p->noise * deviation(plain.x + *start * plain.d, (start[1] - *start) * plain.d));
	}
	sn_edit noise = { .op = SN_OP_NOISE, .at = *site, .where = { .sel = SN_ALL }, .alpha = strength,
	                  .n_alpha = (int)(t->n * p->samples) };
	SN_TRY(pull(t, site, 1, (int32_t)p->samples, &noise, &noisy, &unused));
	for (int32_t k = 0; k < t->n; k++) {
		SN_TRY(score_mean(t, &noisy, k, t->score[k * t->n_site + s]));
		t->sum[k * t->n_site + s] = (sn_attribution_sum){ f[k], NAN, 1 + p->samples };
	}
	return SN_OK;
}

/* Mean gradient over noisy copies (Smilkov et al. 2017). */
static sn_status smoothgrad(const sn_attribution_task *t)
{
	for (int s = 0; s < t->n_site; s++) {
		sn_mark mark = sn_arena_mark(t->arena);
		SN_TRY(smooth_site(t, s));
		sn_arena_reset(t->arena, mark);
	}
	return SN_OK;
}

/* ---- the rows ---- */

#define RUN(name, title, copies)                                                                                       \
	static sn_status run_##name(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)                    \
	{                                                                                                                  \
		return sn_attribution_all(ctx, in, param, title, name, copies, out);                                           \
	}
RUN(saliency, "saliency", 1)
RUN(gradient_x_input, "gradient x input", 1)
RUN(smoothgrad, "SmoothGrad", ((const gradient_param *)param)->samples)

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
