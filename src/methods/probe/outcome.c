/* Tables and sentences of probes: the same for rows of data sets and words of treebanks. */
#include "methods/probe/probe.h"

#include "data/result.h"
#include "stats/bootstrap.h"
#include "stats/f1.h"
#include "stats/metrics.h"

#include <math.h>
#include <string.h>

static const sn_col probe_columns[] = {
	{ .name = "label", .type = SN_TYPE_TEXT, .role = SN_FACET, .title = "Label" },
	{ .name = "layer", .type = SN_TYPE_INT, .role = SN_DIM, .title = "Block" },
	{ .name = "site", .type = SN_TYPE_TEXT, .role = SN_DIM, .title = "Site" },
	{ .name = "I", .unit = "bits", .type = SN_TYPE_FLOAT, .role = SN_MEASURE, .better = 1, .title = "V-information" },
	{ .name = "I_low", .of = "I", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "I_high", .of = "I", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "I_random", .of = "I", .type = SN_TYPE_FLOAT, .role = SN_BASE, .title = "random models" },
	{ .name = "accuracy",
	  .unit = "share",
	  .type = SN_TYPE_FLOAT,
	  .role = SN_MEASURE,
	  .better = 1,
	  .title = "Accuracy" },
	{ .name = "accuracy_low", .of = "accuracy", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "accuracy_high", .of = "accuracy", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "majority", .of = "accuracy", .type = SN_TYPE_FLOAT, .role = SN_BASE, .title = "majority" },
	{ .name = "balanced",
	  .unit = "share",
	  .type = SN_TYPE_FLOAT,
	  .role = SN_MEASURE,
	  .better = 1,
	  .title = "Balanced accuracy" },
	{ .name = "balanced_low", .of = "balanced", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "balanced_high", .of = "balanced", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "macro_f1",
	  .unit = "share",
	  .type = SN_TYPE_FLOAT,
	  .role = SN_MEASURE,
	  .better = 1,
	  .title = "Macro-F1" },
	{ .name = "macro_f1_low", .of = "macro_f1", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "macro_f1_high", .of = "macro_f1", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "task", .unit = "share", .type = SN_TYPE_FLOAT, .role = SN_MEASURE, .title = "Accuracy on seen forms" },
	{ .name = "control", .of = "task", .type = SN_TYPE_FLOAT, .role = SN_BASE, .title = "control labels" },
	{ .name = "selectivity",
	  .unit = "share",
	  .type = SN_TYPE_FLOAT,
	  .role = SN_MEASURE,
	  .better = 1,
	  .title = "Selectivity" },
	{ .name = "C", .type = SN_TYPE_FLOAT, .role = SN_TEXT, .title = "Strength C" },
	{ .name = "n", .unit = "rows", .type = SN_TYPE_INT, .role = SN_COUNT_OF, .title = "Rows" },
};
static const sn_col class_columns[] = {
	{ .name = "label", .type = SN_TYPE_TEXT, .role = SN_DIM, .title = "Label" },
	{ .name = "class", .type = SN_TYPE_TEXT, .role = SN_DIM, .title = "Class" },
	{ .name = "rows", .type = SN_TYPE_INT, .role = SN_COUNT_OF, .title = "Rows" },
	{ .name = "f1",
	  .unit = "share",
	  .type = SN_TYPE_FLOAT,
	  .role = SN_MEASURE,
	  .better = 1,
	  .title = "F1 at the best site" },
	{ .name = "f1_low", .of = "f1", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "f1_high", .of = "f1", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
};
static const sn_col cumulative_columns[] = {
	{ .name = "label", .type = SN_TYPE_TEXT, .role = SN_FACET, .title = "Label" },
	{ .name = "layer", .type = SN_TYPE_INT, .role = SN_DIM, .title = "Boundary" },
	{ .name = "score",
	  .unit = "bits",
	  .type = SN_TYPE_FLOAT,
	  .role = SN_MEASURE,
	  .better = 1,
	  .title = "Layers 0 to this" },
	{ .name = "score_low", .of = "score", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "score_high", .of = "score", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "delta", .unit = "bits", .type = SN_TYPE_FLOAT, .role = SN_MEASURE, .title = "Gained here" },
	{ .name = "delta_low", .of = "delta", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "delta_high", .of = "delta", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "weight",
	  .unit = "share",
	  .type = SN_TYPE_FLOAT,
	  .role = SN_MEASURE,
	  .title = "Weight in the mixture of all" },
};
static const sn_col layer_columns[] = {
	{ .name = "label", .type = SN_TYPE_TEXT, .role = SN_DIM, .title = "Label" },
	{ .name = "quantity", .type = SN_TYPE_TEXT, .role = SN_DIM, .title = "Quantity" },
	{ .name = "at", .unit = "layer", .type = SN_TYPE_FLOAT, .role = SN_MEASURE, .title = "Layer" },
	{ .name = "at_low", .of = "at", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "at_high", .of = "at", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
};
const sn_table sn_probe_tables[SN_PROBE_TABLES] = {
	[SN_PROBE_TABLE] = { .name = "probes",
						 .title = "Probes",
						 .col = probe_columns,
						 .n_col = SN_COUNT(probe_columns),
						 .view = SN_VIEW_LINE,
						 .caption = "Held-out groups. V-information: bits that the probe gains over the classes' "
									"shares. Bands: "
									"simultaneous 95 % intervals over sites, groups resampled (accuracies of data "
									"rows: Wilson's). Control: "
									"a random class for each word form." },
	[SN_PROBE_CLASSES] = { .name = "classes",
						   .title = "Classes",
						   .col = class_columns,
						   .n_col = SN_COUNT(class_columns),
						   .view = SN_VIEW_TABLE,
						   .caption = "F1 at the site with the most information; 95 % intervals, groups resampled." },
	[SN_PROBE_CUMULATIVE] = { .name = "cumulative",
							  .title = "Layers together",
							  .col = cumulative_columns,
							  .n_col = SN_COUNT(cumulative_columns),
							  .view = SN_VIEW_LINE,
							  .caption = "V-information of a mixture of the predictions of layer boundaries 0 (the "
										 "embedding) to this one, its "
										 "weights found on the other half of the groups; what each boundary adds; and "
										 "the weights when all are "
										 "mixed. 95 % intervals, groups resampled." },
	[SN_PROBE_LAYERS] = { .name = "layers",
						  .title = "Where",
						  .col = layer_columns,
						  .n_col = SN_COUNT(layer_columns),
						  .view = SN_VIEW_TABLE,
						  .caption = "Expected layer: where cumulative information is gained, on average. Centre of "
									 "gravity: mean layer under "
									 "the mixture's weights. Both as Tenney et al. 2019, for mixed predictions instead "
									 "of mixed vectors." },
};

sn_status sn_probe_outcome_open(sn_probe_outcome *o, sn_arena *arena, int64_t n, const sn_site *site, int n_site)
{
	*o = (sn_probe_outcome){ .site = site, .n_site = n_site, .seen = NAN };
	size_t size = sn_size3((size_t)n, (size_t)n_site, 1);
	SN_NEW(o->gain, arena, float, size);
	SN_NEW(o->right, arena, float, size);
	SN_NEW(o->random_gain, arena, float, size);
	SN_NEW(o->guess, arena, int32_t, size);
	SN_NEW(o->strength, arena, double, n_site);
	SN_NEW(o->task, arena, double, n_site);
	SN_NEW(o->control, arena, double, n_site);
	return SN_OK;
}

/* ---- intervals ---- */

static sn_status bands_of(sn_band **band, sn_arena *arena, const sn_probe_outcome *o, const sn_boot *boot,
						  const float *x, bool by_class)
{
	sn_reps reps;
	sn_boot_items units = { .n = o->rows.n,
							.subject = o->rows.group,
							.n_frame = by_class ? o->rows.n_class : 1,
							.frame = by_class ? o->rows.y : NULL };
	SN_NEW(*band, arena, sn_band, o->n_site);
	SN_TRY(sn_boot_mean(&reps, arena, boot, &units, x, o->n_site, 0));
	return sn_reps_bands(*band, arena, &reps, 0.95, NULL);
}

static sn_guesses guesses_of(const sn_probe_outcome *o)
{
	return (sn_guesses){ .n = o->rows.n,
						 .n_class = o->rows.n_class,
						 .n_cell = o->n_site,
						 .y = o->rows.y,
						 .guess = o->guess,
						 .group = o->rows.group };
}

/* Accuracies of data rows, which are few groups: Wilson's, as if every group were one row. */
static void wilson(sn_band *band, int n, int n_group)
{
	for (int s = 0; s < n; s++) {
		sn_interval w = sn_wilson(band[s].point, n_group, 0.95);
		band[s].sim_low = w.low;
		band[s].sim_high = w.high;
	}
}

sn_status sn_probe_measure(sn_probe_bands *b, sn_arena *arena, const sn_probe_outcome *o, const sn_boot *boot,
						   bool random, bool words)
{
	*b = (sn_probe_bands){ 0 };
	SN_TRY(bands_of(&b->gain, arena, o, boot, o->gain, false));
	SN_TRY(bands_of(&b->right, arena, o, boot, o->right, false));
	if (random) SN_TRY(bands_of(&b->random, arena, o, boot, o->random_gain, false));
	if (o->classes) {
		sn_guesses g = guesses_of(o);
		sn_reps f1;
		SN_TRY(bands_of(&b->balanced, arena, o, boot, o->right, true));
		SN_TRY(sn_boot_macro_f1(&f1, arena, boot, o->rows.n_group, &g));
		SN_NEW(b->f1, arena, sn_band, o->n_site);
		SN_TRY(sn_reps_bands(b->f1, arena, &f1, 0.95, NULL));
	}
	if (words) return SN_OK;
	wilson(b->right, o->n_site, o->rows.n_group);
	wilson(b->balanced, o->n_site, o->rows.n_group);
	return SN_OK;
}

/* ---- rows ---- */

const char *sn_probe_site_name(const sn_site *site, char *buf, size_t size)
{
	sn_site_format(site, buf, size);
	if (strncmp(buf, "blocks.", 7) != 0) return buf;
	const char *dot = strchr(buf + 7, '.');
	return dot ? dot + 1 : buf;
}

static sn_status add_sites(const sn_probe_outcome *o, const sn_probe_bands *b, sn_result *out)
{
	static const sn_band none = { .point = NAN, .sim_low = NAN, .sim_high = NAN };
	char buf[96];
	for (int s = 0; s < o->n_site; s++) {
		const sn_band *i = &b->gain[s], *a = &b->right[s], *c = b->balanced ? &b->balanced[s] : &none,
					  *f = b->f1 ? &b->f1[s] : &none;
		SN_TRY(SN_ADD(out, SN_PROBE_TABLE, sn_text(o->rows.label_name), sn_int(o->site[s].layer),
					  sn_text(sn_probe_site_name(&o->site[s], buf, sizeof buf)), sn_num(i->point), sn_num(i->sim_low),
					  sn_num(i->sim_high), b->random ? sn_num(b->random[s].point) : sn_none(), sn_num(a->point),
					  sn_num(a->sim_low), sn_num(a->sim_high), sn_num(o->majority), sn_num(c->point),
					  sn_num(c->sim_low), sn_num(c->sim_high), sn_num(f->point), sn_num(f->sim_low),
					  sn_num(f->sim_high), sn_num(o->task[s]), sn_num(o->control[s]),
					  sn_num(o->task[s] - o->control[s]), sn_num(o->strength[s]), sn_int(o->rows.n)));
	}
	return SN_OK;
}

static int best_site(const sn_probe_outcome *o, const sn_probe_bands *b)
{
	int best = 0;
	for (int s = 1; s < o->n_site; s++)
		if (b->gain[s].point > b->gain[best].point) best = s;
	return best;
}

static sn_status add_classes(const sn_probe_outcome *o, const sn_probe_bands *b, const sn_boot *boot, sn_arena *arena,
							 sn_result *out)
{
	sn_reps reps;
	sn_band *f1;
	sn_guesses g = guesses_of(o);
	int64_t *n;
	SN_NEW(f1, arena, sn_band, o->rows.n_class);
	SN_NEW(n, arena, int64_t, o->rows.n_class);
	SN_TRY(sn_boot_class_f1(&reps, arena, boot, o->rows.n_group, &g, best_site(o, b)));
	SN_TRY(sn_reps_bands(f1, arena, &reps, 0.95, NULL));
	for (int64_t i = 0; i < o->rows.n; i++) n[o->rows.y[i]]++;
	for (int k = 0; k < o->rows.n_class; k++)
		SN_TRY(SN_ADD(out, SN_PROBE_CLASSES, sn_text(o->rows.label_name), sn_text(o->rows.name[k]), sn_int(n[k]),
					  sn_num(f1[k].point), sn_num(fmax(f1[k].low, 0)), sn_num(fmin(f1[k].high, 1))));
	return SN_OK;
}

/* ---- sentences ---- */

static sn_status say(const sn_probe_outcome *o, const sn_probe_bands *b, sn_result *out)
{
	int best = best_site(o, b);
	char buf[96];
	sn_site_format(&o->site[best], buf, sizeof buf);
	const sn_band *gain = &b->gain[best], *right = &b->right[best];
	SN_TRY(sn_result_say(out,
						 "A linear probe reads most of %s at %s: %.2f bits [%.2f, %.2f] over %s, "
						 "accuracy %.1f %% [%.1f, %.1f] (majority %.1f %%), on %lld rows in %d groups (%s).",
						 o->rows.label_name, buf, gain->point, gain->sim_low, gain->sim_high,
						 o->classes ? "the classes' shares" : "the distances' shares", 100 * right->point,
						 100 * right->sim_low, 100 * right->sim_high, 100 * o->majority, (long long)o->rows.n,
						 o->rows.n_group, o->rows.group_name ? o->rows.group_name : "rows"));
	if (!isnan(o->control[best]) && isnan(o->seen))
		return sn_result_say(out,
							 "There, on seen forms, it learns the task to %.1f %% and control labels to %.1f %%: "
							 "selectivity %.1f points, %d word forms.",
							 100 * o->task[best], 100 * o->control[best], 100 * (o->task[best] - o->control[best]),
							 o->rows.n_type);
	if (!isnan(o->control[best]))
		return sn_result_say(out,
							 "There it learns control labels to %.1f %%: selectivity %.1f points; %.1f %% of the "
							 "tested words have forms that training has seen.",
							 100 * o->control[best], 100 * (o->task[best] - o->control[best]), 100 * o->seen);
	return SN_OK;
}

static sn_status limits(const sn_probe_outcome *o, const sn_linear_param *param, sn_result *out)
{
	bool control = !isnan(o->control[0]), words = !isnan(o->seen);
	if (o->rows.n_skipped)
		SN_TRY(sn_result_limit(out, "%s: %lld rows without text, label or the position asked for were left out.",
							   o->rows.label_name, (long long)o->rows.n_skipped));
	if (!o->rows.group_name)
		SN_TRY(sn_result_limit(out,
							   "Rows are held out one by one: words seen in training occur in the test (--group names "
							   "a column)."));
	if (param->controls > 0 && !control && !words)
		SN_TRY(sn_result_limit(out, "No selectivity: %s.",
							   o->rows.mean ? "a mean over tokens has no word form"
											: "most word forms occur once, so none could be memorised"));
	if (o->n_unconverged)
		return sn_result_limit(out, "%s: %d probe fits stopped before their tolerance.", o->rows.label_name,
							   o->n_unconverged);
	return SN_OK;
}

static sn_status common_limits(const sn_linear_param *param, sn_result *out)
{
	SN_TRY(sn_result_limit(out,
						   "Decodable is not used: a probe shows what could be read, not what the model reads (sonde "
						   "localize)."));
	SN_TRY(sn_result_limit(out,
						   "Training variation is not included: the intervals resample groups with the probes held "
						   "fixed."));
	if (param->random_models == 0)
		return sn_result_limit(out, "No randomly initialised model was run as a baseline (--random-models).");
	return SN_OK;
}

static sn_status report(const sn_probe_outcome *o, const sn_linear_param *param, sn_arena *arena, sn_result *out)
{
	sn_ctx *ctx = sn_result_ctx(out);
	sn_boot *boot;
	sn_probe_bands b;
	SN_TRY(sn_boot_open(&boot, arena, (int)param->resamples, o->rows.n_group, NULL, NULL, sn_ctx_seed(ctx), 0x4c494e));
	SN_TRY(sn_probe_measure(&b, arena, o, boot, param->random_models > 0, !isnan(o->seen)));
	bool first = sn_result_rows(out, SN_PROBE_TABLE) == 0;
	SN_TRY(add_sites(o, &b, out));
	if (o->classes) SN_TRY(add_classes(o, &b, boot, arena, out));
	SN_TRY(say(o, &b, out));
	SN_TRY(sn_probe_layers(o, boot, arena, sn_ctx_seed(ctx), out));
	if (first) SN_TRY(common_limits(param, out));
	return limits(o, param, out);
}

sn_status sn_probe_report(const sn_probe_outcome *o, const sn_linear_param *param, sn_result *out)
{
	sn_arena *scratch;
	SN_TRY(sn_arena_open(&scratch, sn_result_ctx(out)));
	sn_status status = report(o, param, scratch, out);
	sn_arena_close(scratch);
	return status;
}
