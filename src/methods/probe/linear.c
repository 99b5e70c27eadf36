/* `sonde probe linear`: what a linear probe reads from unseen groups of rows, on every named site at once. */
#include "methods/probe/probe.h"

#include "data/result.h"
#include "stats/bootstrap.h"
#include "stats/metrics.h"

#include <math.h>
#include <string.h>

typedef struct linear_param {
	const char *label, *sites, *at, *column, *group;
	int64_t folds, controls, random_models, resamples, limit;
} linear_param;

#define OFF(field) offsetof(linear_param, field)
static const sn_param params[] = {
	{ .name = "label", .help = "column of the classes (\"number\" also finds labels.number of generated items)",
	  .type = SN_TYPE_TEXT, .off = OFF(label), .required = true },
	{ .name = "sites", .help = "sites to probe, comma-separated, * for blocks and heads",
	  .def = "blocks.*.hook_resid_post", .type = SN_TYPE_TEXT, .off = OFF(sites) },
	{ .name = "at", .help = "last (token), mean (of all tokens), or a role: a column of byte spans such as "
	                        "roles.subject", .def = "last",
	  .type = SN_TYPE_TEXT, .off = OFF(at) },
	{ .name = "column", .help = "column of the text; auto: text or sentence", .def = "auto", .type = SN_TYPE_TEXT,
	  .off = OFF(column) },
	{ .name = "group", .help = "column whose values are held out whole; auto: lemma where there is one; none: rows",
	  .def = "auto", .type = SN_TYPE_TEXT, .off = OFF(group) },
	{ .name = "folds", .help = "blocks of groups", .def = "5", .type = SN_TYPE_INT, .off = OFF(folds), .min = 3,
	  .max = 50 },
	{ .name = "controls", .help = "control labellings for selectivity; 0: none", .def = "1", .type = SN_TYPE_INT,
	  .off = OFF(controls), .min = 0, .max = 100 },
	{ .name = "random-models", .help = "randomly initialised models as a baseline", .def = "0", .type = SN_TYPE_INT,
	  .off = OFF(random_models), .min = 0, .max = 20 },
	{ .name = "resamples", .help = "bootstrap draws of groups", .def = "2000", .type = SN_TYPE_INT,
	  .off = OFF(resamples), .min = 100, .max = 100000 },
	{ .name = "limit", .unit = "rows", .help = "only the first rows of the data; 0: all", .def = "0",
	  .type = SN_TYPE_INT, .off = OFF(limit), .min = 0, .max = 1e9 },
};

enum { PROBES, CLASSES };

static const sn_col probe_columns[] = {
	{ .name = "layer", .type = SN_TYPE_INT, .role = SN_DIM, .title = "Block" },
	{ .name = "site", .type = SN_TYPE_TEXT, .role = SN_DIM, .title = "Site" },
	{ .name = "I", .unit = "bits", .type = SN_TYPE_FLOAT, .role = SN_MEASURE, .better = 1, .title = "V-information" },
	{ .name = "I_low", .of = "I", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "I_high", .of = "I", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "I_random", .of = "I", .type = SN_TYPE_FLOAT, .role = SN_BASE, .title = "random models" },
	{ .name = "accuracy", .unit = "share", .type = SN_TYPE_FLOAT, .role = SN_MEASURE, .better = 1,
	  .title = "Accuracy" },
	{ .name = "accuracy_low", .of = "accuracy", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "accuracy_high", .of = "accuracy", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "majority", .of = "accuracy", .type = SN_TYPE_FLOAT, .role = SN_BASE, .title = "majority" },
	{ .name = "balanced", .unit = "share", .type = SN_TYPE_FLOAT, .role = SN_MEASURE, .better = 1,
	  .title = "Balanced accuracy" },
	{ .name = "balanced_low", .of = "balanced", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "balanced_high", .of = "balanced", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "task", .unit = "share", .type = SN_TYPE_FLOAT, .role = SN_MEASURE, .title = "Accuracy on seen forms" },
	{ .name = "control", .of = "task", .type = SN_TYPE_FLOAT, .role = SN_BASE, .title = "control labels" },
	{ .name = "selectivity", .unit = "share", .type = SN_TYPE_FLOAT, .role = SN_MEASURE, .better = 1,
	  .title = "Selectivity" },
	{ .name = "C", .type = SN_TYPE_FLOAT, .role = SN_TEXT, .title = "Strength C" },
	{ .name = "n", .unit = "rows", .type = SN_TYPE_INT, .role = SN_COUNT_OF, .title = "Rows" },
};
static const sn_col class_columns[] = {
	{ .name = "class", .type = SN_TYPE_TEXT, .role = SN_DIM, .title = "Class" },
	{ .name = "rows", .type = SN_TYPE_INT, .role = SN_MEASURE, .title = "Rows" },
};
static const sn_table tables[] = {
	[PROBES] = { .name = "probes", .title = "Linear probes", .col = probe_columns, .n_col = SN_COUNT(probe_columns),
	             .view = SN_VIEW_LINE,
		.caption = "Held-out blocks of groups. V-information: bits that the probe gains over the classes' shares. "
		           "Bands: simultaneous 95 % "
		           "intervals over sites, groups resampled. Control: a random class for each word form, rows held out "
		           "instead of groups." },
	[CLASSES] = { .name = "classes", .title = "Classes", .col = class_columns, .n_col = SN_COUNT(class_columns),
	              .view = SN_VIEW_TABLE },
};

/* ---- scores of all sites ---- */

typedef struct probing {
	sn_ctx *ctx;
	sn_arena *arena;
	const linear_param *param;
	sn_probe_rows rows;
	const sn_site *site;
	int n_site;
	float *gain, *right, *random_gain;    /* [n, n_site] bits over the classes' shares; 1 where right */
	const float *null;
	double *strength, *task, *control;    /* [n_site] */
	int n_unconverged;
} probing;

static double mean_right(const float *right, int64_t n)
{
	double sum = 0;
	for (int64_t i = 0; i < n; i++) sum += right[i];
	return sum / (double)n;
}

/* Task and control accuracy on seen forms in held-out rows, at the strength of site s. */
static sn_status select_site(probing *p, int s, const float *x, int64_t d, sn_arena *arena)
{
	const sn_probe_rows *rows = &p->rows;
	sn_probe_scores score;
	int folds = (int)p->param->folds;
	SN_TRY(sn_probe_score(&score, arena, x, rows->n, d, rows->y, rows->n_class, rows->item_fold, folds,
	                      p->strength[s]));
	p->task[s] = mean_right(score.right, rows->n);
	double sum = 0;
	for (int64_t k = 0; k < p->param->controls; k++) {
		int32_t *y;
		SN_TRY(sn_probe_control(&y, arena, rows, sn_ctx_seed(p->ctx), 0x43545200 + (uint64_t)k));
		SN_TRY(sn_probe_score(&score, arena, x, rows->n, d, y, rows->n_class, rows->item_fold, folds, p->strength[s]));
		sum += mean_right(score.right, rows->n);
	}
	p->control[s] = sum / (double)p->param->controls;
	return SN_OK;
}

static bool has_control(const probing *p)
{
	return p->param->controls > 0 && !p->rows.mean && 2 * p->rows.n_type <= p->rows.n;
}

static sn_status score_site(probing *p, int s, const float *x, int64_t d, bool random, sn_arena *arena)
{
	const sn_probe_rows *rows = &p->rows;
	sn_probe_scores score;
	SN_TRY(sn_probe_score(&score, arena, x, rows->n, d, rows->y, rows->n_class, rows->fold, (int)p->param->folds, 0));
	float factor = random ? 1 / (float)p->param->random_models : 1, *gain = random ? p->random_gain : p->gain;
	for (int64_t i = 0; i < rows->n; i++) {
		gain[i * p->n_site + s] += factor * (score.bits[i] - p->null[i]);
		if (!random) p->right[i * p->n_site + s] = score.right[i];
	}
	p->n_unconverged += score.n_unconverged;
	if (random) return SN_OK;
	p->strength[s] = score.strength;
	p->task[s] = p->control[s] = NAN;
	return has_control(p) ? select_site(p, s, x, d, arena) : SN_OK;
}

enum { BYTES_AT_ONCE = 512 << 20 };

/* Sites in groups whose activations fit together; one forward pass a group. */
static sn_status score_group(probing *p, sn_model *model, int first, int n, bool random, const char *what,
                             sn_arena *arena)
{
	float **x;
	SN_NEW(x, arena, float *, n);
	SN_TRY(sn_probe_gather(x, p->ctx, model, &p->rows, p->site + first, n, arena));
	for (int k = 0; k < n; k++) {
		sn_mark mark = sn_arena_mark(arena);
		sn_progress(p->ctx, what, first + k, p->n_site);
		SN_TRY(sn_poll(p->ctx));
		SN_TRY(score_site(p, first + k, x[k], sn_site_width(model, &p->site[first + k]), random, arena));
		sn_arena_reset(arena, mark);
	}
	return SN_OK;
}

static sn_status score_model(probing *p, sn_model *model, bool random, const char *what)
{
	for (int first = 0; first < p->n_site;) {
		int n = 0;
		for (double bytes = 0; first + n < p->n_site; n++) {
			bytes += 4.0 * (double)p->rows.n * (double)sn_site_width(model, &p->site[first + n]);
			if (n > 0 && bytes > BYTES_AT_ONCE) break;
		}
		sn_arena *arena;
		SN_TRY(sn_arena_open(&arena, p->ctx));
		sn_status status = score_group(p, model, first, n, random, what, arena);
		sn_arena_close(arena);
		if (status != SN_OK) return status;
		first += n;
	}
	sn_progress(p->ctx, what, p->n_site, p->n_site);
	return SN_OK;
}

static sn_status score_random(probing *p, const sn_model *like)
{
	for (int64_t m = 0; m < p->param->random_models; m++) {
		sn_model *model;
		SN_TRY(sn_model_open_random(&model, p->ctx, like, sn_rng_bits(sn_ctx_seed(p->ctx), 0x52414e44, (uint64_t)m)));
		sn_status status = score_model(p, model, true, "probes, random model");
		sn_model_close(model);
		if (status != SN_OK) return status;
	}
	return SN_OK;
}

/* ---- intervals ---- */

static sn_status bands_of(sn_band **band, const probing *p, const sn_boot *boot, const float *x, bool by_class)
{
	sn_reps reps;
	sn_boot_items units = { .n = p->rows.n, .subject = p->rows.group, .n_frame = by_class ? p->rows.n_class : 1,
		                    .frame = by_class ? p->rows.y : NULL };
	SN_NEW(*band, p->arena, sn_band, p->n_site);
	SN_TRY(sn_boot_mean(&reps, p->arena, boot, &units, x, p->n_site, 0));
	return sn_reps_bands(*band, p->arena, &reps, 0.95, NULL);
}

static double majority(const sn_probe_rows *rows)
{
	int64_t count[SN_MOST_CLASSES] = { 0 }, most = 0;
	for (int64_t i = 0; i < rows->n; i++) count[rows->y[i]]++;
	for (int k = 0; k < rows->n_class; k++) most = SN_MAX(most, count[k]);
	return (double)most / (double)rows->n;
}

/* "hook_resid_post" for blocks.3.hook_resid_post; the whole name outside the blocks. */
static const char *site_name(const sn_site *site, char *buf, size_t size)
{
	sn_site_format(site, buf, size);
	if (strncmp(buf, "blocks.", 7) != 0) return buf;
	const char *dot = strchr(buf + 7, '.');
	return dot ? dot + 1 : buf;
}

static sn_status add_rows(probing *p, sn_result *out, const sn_band *gain, const sn_band *right,
                          const sn_band *balanced, const sn_band *random)
{
	char buf[96];
	double most = majority(&p->rows);
	for (int s = 0; s < p->n_site; s++) {
		sn_interval w = sn_wilson(right[s].point, p->rows.n_group, 0.95),
			b = sn_wilson(balanced[s].point, p->rows.n_group, 0.95);
		SN_TRY(SN_ADD(out, PROBES, sn_int(p->site[s].layer), sn_text(site_name(&p->site[s], buf, sizeof buf)),
		              sn_num(gain[s].point), sn_num(gain[s].sim_low), sn_num(gain[s].sim_high), random
		              ? sn_num(random[s].point) : sn_none(), sn_num(right[s].point), sn_num(w.low), sn_num(w.high),
		              sn_num(most), sn_num(balanced[s].point), sn_num(b.low), sn_num(b.high), sn_num(p->task[s]),
		              sn_num(p->control[s]), sn_num(p->task[s] - p->control[s]), sn_num(p->strength[s]),
		              sn_int(p->rows.n)));
	}
	for (int k = 0; k < p->rows.n_class; k++) {
		int64_t n = 0;
		for (int64_t i = 0; i < p->rows.n; i++) n += p->rows.y[i] == k;
		SN_TRY(SN_ADD(out, CLASSES, sn_text(p->rows.name[k]), sn_int(n)));
	}
	return SN_OK;
}

static sn_status say(probing *p, sn_result *out, const sn_band *gain, const sn_band *right)
{
	int best = 0;
	char buf[96];
	for (int s = 1; s < p->n_site; s++)
		if (gain[s].point > gain[best].point) best = s;
	sn_site_format(&p->site[best], buf, sizeof buf);
	sn_interval w = sn_wilson(right[best].point, p->rows.n_group, 0.95);
	SN_TRY(sn_result_say(out, "A linear probe reads most of %s at %s: %.2f bits [%.2f, %.2f] over the classes' shares, "
	                     "accuracy %.1f %% [%.1f, %.1f] (majority %.1f %%), on %lld rows in %d groups (%s).",
	                     p->rows.label_name, buf, gain[best].point, gain[best].sim_low, gain[best].sim_high,
	                     100 * right[best].point, 100 * w.low, 100 * w.high, 100 * majority(&p->rows),
	                     (long long)p->rows.n, p->rows.n_group, p->rows.group_name ? p->rows.group_name : "rows"));
	if (has_control(p))
		return sn_result_say(out, "There, on seen forms, it learns the task to %.1f %% and control labels to %.1f %%: "
		                     "selectivity %.1f points, %d word forms.", 100 * p->task[best], 100 * p->control[best],
		                     100 * (p->task[best] - p->control[best]), p->rows.n_type);
	return SN_OK;
}

static sn_status limits(probing *p, sn_result *out)
{
	SN_TRY(sn_result_limit(out,
	                       "Decodable is not used: a probe shows what could be read, not what the model reads (sonde "
	                       "localize)."));
	SN_TRY(sn_result_limit(out,
	                       "Training variation is not included: the intervals resample groups with the probes held "
	                       "fixed."));
	if (p->rows.n_skipped)
		SN_TRY(sn_result_limit(out, "%lld rows without text, label or the position asked for were left out.",
		                       (long long)p->rows.n_skipped));
	if (!p->rows.group_name)
		SN_TRY(sn_result_limit(out,
		                       "Rows are held out one by one: words seen in training occur in the test (--group names "
		                       "a column)."));
	if (p->param->controls > 0 && !has_control(p))
		SN_TRY(sn_result_limit(out, "No selectivity: %s.",
		                       p->rows.mean ? "a mean over tokens has no word form"
		                                    : "most word forms occur once, so none could be memorised"));
	if (p->param->random_models == 0)
		SN_TRY(sn_result_limit(out, "No randomly initialised model was run as a baseline (--random-models)."));
	if (p->n_unconverged)
		return sn_result_limit(out, "%d probe fits stopped before their tolerance.", p->n_unconverged);
	return SN_OK;
}

static sn_status report(probing *p, sn_result *out)
{
	sn_boot *boot;
	sn_band *gain, *right, *balanced, *random = NULL;
	SN_TRY(sn_boot_open(&boot, p->arena, (int)p->param->resamples, p->rows.n_group, NULL, NULL, sn_ctx_seed(p->ctx),
	                    0x4c494e));
	SN_TRY(bands_of(&gain, p, boot, p->gain, false));
	SN_TRY(bands_of(&right, p, boot, p->right, false));
	SN_TRY(bands_of(&balanced, p, boot, p->right, true));
	if (p->param->random_models > 0) SN_TRY(bands_of(&random, p, boot, p->random_gain, false));
	SN_TRY(add_rows(p, out, gain, right, balanced, random));
	SN_TRY(say(p, out, gain, right));
	SN_TRY(sn_result_set(out, "position", "%s", p->param->at));
	return limits(p, out);
}

/* ---- the run ---- */

static sn_status check_sites(const probing *p, const sn_model *model)
{
	for (int s = 0; s < p->n_site; s++) {
		char name[96];
		if (sn_site_width(model, &p->site[s]) > 0) continue;
		sn_site_format(&p->site[s], name, sizeof name);
		return sn_fail(p->ctx, SN_EARG, "%s is no vector at a position (attention over positions); choose another site",
		               name);
	}
	return SN_OK;
}

static sn_status open_tables(probing *p)
{
	int64_t n = p->rows.n * p->n_site;
	float *null;
	SN_NEW(p->gain, p->arena, float, n);
	SN_NEW(p->right, p->arena, float, n);
	SN_NEW(p->random_gain, p->arena, float, n);
	SN_NEW(p->strength, p->arena, double, p->n_site);
	SN_NEW(p->task, p->arena, double, p->n_site);
	SN_NEW(p->control, p->arena, double, p->n_site);
	SN_TRY(sn_probe_null(&null, p->arena, &p->rows));
	p->null = null;
	return SN_OK;
}

static sn_status run(sn_ctx *ctx, const sn_input *input, const void *param, sn_result *out)
{
	sn_model *model = input->model[0];
	probing p = { .ctx = ctx, .arena = sn_result_arena(out), .param = param };
	const linear_param *a = param;
	sn_probe_query query = { .text = a->column, .label = a->label, .at = a->at, .group = a->group, .limit = a->limit,
		                     .n_fold = (int)a->folds };
	sn_site *site;
	SN_TRY(sn_site_expand(ctx, model, a->sites, p.arena, &site, &p.n_site));
	p.site = site;
	SN_TRY(check_sites(&p, model));
	SN_TRY(sn_probe_read(&p.rows, ctx, sn_model_tokenizer(model), input->data[0], &query, p.arena));
	SN_TRY(open_tables(&p));
	SN_TRY(score_model(&p, model, false, "probes"));
	SN_TRY(score_random(&p, model));
	return report(&p, out);
}

const sn_method sn_method_probe_linear = {
	.family = "probe", .name = "linear", .brief = "what a linear probe reads at each site",
	.doc = "L2-regularised logistic regression on standardised activations, strength chosen on training rows, tested "
	       "on blocks of groups "
	       "(lemmas) that were held out; with the majority, control labels for each word form and randomly initialised "
	       "models beside it.",
	.cite = "Alain & Bengio 2016; Hewitt & Liang 2019 (selectivity); Xu et al. 2020 (V-information)",
	.example = "sonde probe linear --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data items.jsonl --label number "
	           "--at subject",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER, .param = params, .n_param = SN_COUNT(params),
	.param_size = sizeof(linear_param), .table = tables, .n_table = SN_COUNT(tables), .run = run,
};
