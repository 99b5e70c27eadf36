/* What the prediction loses without a part of the model: the value of a site replaced at all positions of a text by
 * zeros, by its mean over the data, or by another text's, over many texts with intervals. */
#include "methods/attribution/ablation.h"

#include "stats/bootstrap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct ablation {
	sn_ctx *ctx;
	sn_model *model;
	const sn_attribution_items *items;
	const sn_ablation_param *param;
	sn_arena *arena;
	sn_site *site;
	int n_site, draws;
	bool resample, last;
	sn_tensor *first, *rest;   /* [n_site] what replaces values at position 0, which may be an attention sink, and at
	                              the others; not for resample */
	double *value;             /* [items] f(x) */
	float *loss, *size;        /* [items, n_site] f(x) - f(ablated), and its size */
} ablation;

/* ---- what values are replaced by ---- */

/* The tokens of a text that stand in its row, or that its encoder reads. */
static const sn_attribution_tokens *side_of(const ablation *a, int32_t text, bool source)
{
	const sn_attribution_item *item = &a->items->item[text];
	return source ? &item->source : &item->row;
}

/* Rows of n texts. */
static sn_status rows_of(const ablation *a, const int32_t *text, int32_t n, bool source, sn_arena *arena, sn_batch *out)
{
	int64_t *start;
	int32_t *token;
	SN_NEW(start, arena, int64_t, n + 1);
	for (int32_t b = 0; b < n; b++) start[b + 1] = start[b] + side_of(a, text[b], source)->n;
	SN_NEW(token, arena, int32_t, start[n]);
	for (int32_t b = 0; b < n; b++)
		memcpy(token + start[b], side_of(a, text[b], source)->token,
		       (size_t)(start[b + 1] - start[b]) * sizeof *token);
	*out = (sn_batch){ .n = n, .token = token, .start = start };
	return SN_OK;
}

/* With the rows that their encoder reads, one each. enc: stays where it is while the batch is used. */
static sn_status batch_of(const ablation *a, const int32_t *text, int32_t n, sn_arena *arena, sn_batch *out,
                          sn_batch *enc)
{
	SN_TRY(rows_of(a, text, n, false, arena, out));
	if (!a->items->item[0].source.n) return SN_OK;
	SN_TRY(rows_of(a, text, n, true, arena, enc));
	out->enc = enc;
	return SN_OK;
}

static sn_status all_texts(const ablation *a, sn_arena *arena, sn_batch *out, sn_batch *enc)
{
	int32_t *text;
	SN_NEW(text, arena, int32_t, a->items->n);
	for (int32_t i = 0; i < a->items->n; i++) text[i] = i;
	return batch_of(a, text, a->items->n, arena, out, enc);
}

static void put_mean(const sn_moments *m, const sn_tensor *to)
{
	for (int64_t j = 0; m->n > 0 && j < m->d; j++) ((float *)to->data)[j] = (float)(m->sum[j] / (double)m->n);
}

static sn_status find_means(ablation *a, sn_arena *scratch)
{
	sn_batch batch, enc;
	sn_tap *tap;
	sn_moments *m;
	SN_NEW(tap, scratch, sn_tap, 2 * a->n_site);
	SN_NEW(m, scratch, sn_moments, 2 * a->n_site);
	SN_TRY(all_texts(a, scratch, &batch, &enc));
	for (int k = 0; k < 2 * a->n_site; k++) {
		m[k].d = sn_site_width(a->model, &a->site[k / 2]);
		SN_NEW(m[k].sum, scratch, double, m[k].d);
		tap[k] = (sn_tap){ .at = a->site[k / 2], .where = { .sel = k % 2 ? SN_FROM : SN_AT, .arg = k % 2 },
		                   .sink = &sn_sink_moments, .state = &m[k] };
	}
	sn_plan plan = { .size = sizeof plan, .n_tap = 2 * a->n_site, .tap = tap };
	SN_TRY(sn_run(a->ctx, a->model, &batch, &plan, NULL, NULL));
	for (int s = 0; s < a->n_site; s++) {
		put_mean(&m[2 * s], &a->first[s]);
		put_mean(&m[2 * s + 1], &a->rest[s]);
	}
	return SN_OK;
}

static sn_status find_values(ablation *a)
{
	SN_NEW(a->first, a->arena, sn_tensor, a->n_site);
	SN_NEW(a->rest, a->arena, sn_tensor, a->n_site);
	for (int s = 0; s < a->n_site; s++) {
		int64_t d = sn_site_width(a->model, &a->site[s]);
		float *x, *y;
		char name[96];
		sn_site_format(&a->site[s], name, sizeof name);
		if (d <= 0) return sn_fail(a->ctx, SN_EARG, "--sites: %s has no vectors to replace", name);
		if (a->last && a->site[s].stack == SN_STACK_ENCODER)
			return sn_fail(a->ctx, SN_EARG, "--at target: predictions are made in the decoder, not at %s; give "
			               "--at all", name);
		SN_NEW(x, a->arena, float, d);
		SN_NEW(y, a->arena, float, d);
		a->first[s] = sn_tensor_f32(x, -1, d);
		a->rest[s] = sn_tensor_f32(y, -1, d);
	}
	if (strcmp(a->param->with, "mean") != 0) return SN_OK;
	sn_arena *scratch;
	SN_TRY(sn_arena_open(&scratch, a->ctx));
	sn_status status = find_means(a, scratch);
	sn_arena_close(scratch);
	return status;
}

/* ---- one text ---- */

static bool as_long(const ablation *a, int32_t text, int32_t other)
{
	const sn_attribution_item *x = &a->items->item[text], *y = &a->items->item[other];
	return y->row.n >= x->row.n && y->source.n >= x->source.n;
}

/* Another text that is at least as long; -1: none. */
static int32_t draw_source(const ablation *a, int32_t text, sn_rng *rng)
{
	int32_t n = 0, chosen = -1;
	for (int32_t i = 0; i < a->items->n; i++)
		if (i != text && as_long(a, text, i) && sn_rng_below(rng, (uint64_t)++n) == 0) chosen = i;
	return chosen;
}

/* Row 0 is the text, rows 1 .. the sources, then one fork for each site (and draw); encoders' rows alike. */
typedef struct variants {
	sn_batch batch, enc;
	sn_goal goal;
	int32_t n_source, first;
} variants;

/* Rows from the first variant on are forks of row 0, equal but for edits. */
static sn_status fork_rows(const variants *v, sn_batch *batch, sn_arena *arena)
{
	int32_t *parent, *fork;
	SN_NEW(parent, arena, int32_t, batch->n);
	SN_NEW(fork, arena, int32_t, batch->n);
	for (int32_t b = 0; b < batch->n; b++) {
		parent[b] = b >= v->first ? 0 : -1;
		fork[b] = b >= v->first ? (int32_t)batch->start[1] : 0;
	}
	batch->parent = parent;
	batch->fork = fork;
	return SN_OK;
}

static sn_status goal_of(const ablation *a, int32_t text, variants *v, sn_arena *arena)
{
	const sn_attribution_item **of;
	SN_NEW(of, arena, const sn_attribution_item *, v->batch.n);
	for (int32_t b = 0; b < v->batch.n; b++) of[b] = b == 0 || b >= v->first ? &a->items->item[text] : NULL;
	return sn_attribution_goal(&v->goal, of, v->batch.start, v->batch.n, arena);
}

static sn_status make_rows(const ablation *a, int32_t text, sn_arena *arena, variants *v)
{
	sn_rng rng = sn_rng_make(sn_ctx_seed(a->ctx), 0x61626c00u + (uint64_t)text);
	int32_t n_variant = a->n_site * a->draws, *row;
	SN_NEW(row, arena, int32_t, 1 + a->draws + n_variant);
	row[0] = text;
	for (int d = 0; a->resample && d < a->draws; d++)
		if ((row[1 + v->n_source] = draw_source(a, text, &rng)) >= 0) v->n_source++;
	v->first = 1 + v->n_source;
	for (int32_t b = v->first; b < v->first + n_variant; b++) row[b] = text;
	SN_TRY(batch_of(a, row, v->first + n_variant, arena, &v->batch, &v->enc));
	SN_TRY(fork_rows(v, &v->batch, arena));
	if (v->batch.enc) SN_TRY(fork_rows(v, &v->enc, arena));
	return goal_of(a, text, v, arena);
}

/* Which positions of its rows a site is replaced at: [first, end). */
static void extent(const ablation *a, int32_t text, const sn_site *site, int32_t *first, int32_t *end)
{
	const sn_attribution_item *item = &a->items->item[text];
	*first = a->last ? item->place[item->n_place - 1] : 0;
	*end = a->last ? *first + 1 : sn_attribution_at(item, site)->n;
}

static sn_status resampled(const ablation *a, const variants *v, const sn_site *site, sn_where where, sn_arena *arena,
                           sn_edit *edit)
{
	int32_t *src_row;
	SN_NEW(src_row, arena, int32_t, v->batch.n);
	for (int32_t b = 0; b < v->batch.n; b++) {
		int32_t d = b - where.row0;
		src_row[b] = d >= 0 && d < a->draws ? 1 + d % SN_MAX(v->n_source, 1) : -1;
	}
	*edit = (sn_edit){ .op = SN_OP_SET, .at = *site, .where = where, .src_row = src_row };
	return SN_OK;
}

/* Replaced by vectors: two edits a site, its rows' first position, and the others. */
static void replaced(const ablation *a, int s, sn_where where, sn_edit *edit, int *n)
{
	sn_where rest = where;
	if (where.arg == 0) {
		where.end = 1;
		edit[(*n)++] = (sn_edit){ .op = SN_OP_SET, .at = a->site[s], .where = where, .src = &a->first[s] };
		rest.arg = 1;
	}
	if (rest.arg < rest.end)
		edit[(*n)++] = (sn_edit){ .op = SN_OP_SET, .at = a->site[s], .where = rest, .src = &a->rest[s] };
}

static sn_status make_edits(const ablation *a, int32_t text, const variants *v, sn_arena *arena, sn_edit *edit, int *n)
{
	for (int s = 0; s < a->n_site; s++) {
		sn_where where = { .sel = SN_RANGE, .row0 = v->first + s * a->draws, .n_row = a->draws };
		extent(a, text, &a->site[s], &where.arg, &where.end);
		if (a->resample) SN_TRY(resampled(a, v, &a->site[s], where, arena, &edit[(*n)++]));
		else replaced(a, s, where, edit, n);
	}
	return SN_OK;
}

static sn_status ablate_text(ablation *a, int32_t text, sn_arena *arena)
{
	variants v = { 0 };
	sn_edit *edit;
	double *score;
	int n_edit = 0;
	SN_TRY(make_rows(a, text, arena, &v));
	bool possible = !a->resample || v.n_source > 0;
	SN_NEW(edit, arena, sn_edit, 2 * a->n_site);
	if (possible) SN_TRY(make_edits(a, text, &v, arena, edit, &n_edit));
	SN_NEW(score, arena, double, v.batch.n);
	sn_plan plan = { .size = sizeof plan, .n_edit = n_edit, .edit = edit, .n_goal = 1, .goal = &v.goal };
	SN_TRY(sn_run(a->ctx, a->model, &v.batch, &plan, NULL, score));
	a->value[text] = score[0];
	for (int s = 0; s < a->n_site; s++) {
		double sum = 0;
		for (int d = 0; d < a->draws; d++) sum += score[0] - score[v.first + s * a->draws + d];
		a->loss[text * a->n_site + s] = possible ? (float)(sum / a->draws) : NAN;
		a->size[text * a->n_site + s] = possible ? (float)fabs(sum / a->draws) : NAN;
	}
	return SN_OK;
}

static sn_status ablate_all(ablation *a)
{
	sn_arena *scratch;
	SN_TRY(sn_arena_open(&scratch, a->ctx));
	sn_mark mark = sn_arena_mark(scratch);
	sn_status status = SN_OK;
	for (int32_t i = 0; i < a->items->n && status == SN_OK; i++) {
		sn_progress(a->ctx, "texts", i, a->items->n);
		status = ablate_text(a, i, scratch);
		sn_arena_reset(scratch, mark);
	}
	sn_arena_close(scratch);
	return status;
}

/* ---- rows ---- */

typedef struct size { double value; int site; } size;

static int larger_first(const void *a, const void *b)
{
	const size *x = a, *y = b;
	if (x->value != y->value) return (x->value < y->value) - (x->value > y->value);
	return (x->site > y->site) - (x->site < y->site);
}

static sn_status bands_of(const ablation *a, const float *x, sn_boot *boot, const sn_boot_items *units, int n_cell,
                          sn_band **out)
{
	sn_reps reps;
	SN_NEW(*out, a->arena, sn_band, n_cell);
	SN_TRY(sn_boot_mean(&reps, a->arena, boot, units, x, n_cell, 0));
	return sn_reps_bands(*out, a->arena, &reps, 0.95, NULL);
}

/* part: without the block, so that blocks' parts of one kind stand in one row of the map. */
static const char *site_name(const ablation *a, int s, bool part)
{
	char name[96];
	sn_site_format(&a->site[s], name, sizeof name);
	char *block = part ? strstr(name, "blocks.") : NULL, *rest = block ? strchr(block + 7, '.') : NULL;
	if (rest) memmove(block, rest + 1, strlen(rest));
	return sn_arena_string(a->arena, name);
}

static sn_status write_sites(const ablation *a, sn_result *out, const sn_band *loss, const sn_band *size_of)
{
	size *list;
	SN_NEW(list, a->arena, size, a->n_site);
	for (int s = 0; s < a->n_site; s++) {
		const char *name = site_name(a, s, false), *part = site_name(a, s, true);
		list[s] = (size){ isnan(loss[s].point) ? -1 : fabs(loss[s].point), s };
		if (!name || !part) return SN_ENOMEM;
		SN_TRY(SN_ADD(out, SN_ABLATION_MAP, sn_int(a->site[s].layer), sn_text(part), sn_text(name),
		              sn_num(loss[s].point), sn_num(loss[s].sim_low), sn_num(loss[s].sim_high),
		              sn_num(size_of[s].point), sn_num(size_of[s].sim_low), sn_num(size_of[s].sim_high)));
	}
	qsort(list, (size_t)a->n_site, sizeof *list, larger_first);
	for (int i = 0; i < a->n_site && i < a->param->top; i++) {
		const sn_band *l = &loss[list[i].site], *z = &size_of[list[i].site];
		SN_TRY(SN_ADD(out, SN_ABLATION_RANKING, sn_text(site_name(a, list[i].site, false)), sn_num(l->point),
		              sn_num(l->sim_low), sn_num(l->sim_high), sn_num(z->point), sn_num(z->sim_low),
		              sn_num(z->sim_high)));
	}
	return SN_OK;
}

static sn_status say(const ablation *a, sn_result *out, const sn_band *value, const sn_band *loss)
{
	int best = -1, clear = 0;
	for (int s = 0; s < a->n_site; s++) {
		clear += loss[s].sim_low > 0 || loss[s].sim_high < 0;
		if (isfinite(loss[s].point) && (best < 0 || fabs(loss[s].point) > fabs(loss[best].point))) best = s;
	}
	bool dot = a->items->n > 0 && a->items->item[0].metric == SN_DOT;
	const char *unit = dot ? "" : " nats";
	if (dot) SN_TRY(sn_result_without_unit(out, "nats"));
	SN_TRY(sn_result_say(out, "f is %.3f%s [%.3f, %.3f] on average over %d texts.", value->point, unit, value->low,
	                     value->high, (int)a->items->n));
	bool few = a->items->n < 10;
	if (few) SN_TRY(sn_result_limit(out, "Bands over %d texts are rough; give at least 10.", (int)a->items->n));
	if (best < 0) return SN_OK;
	const char *by = strcmp(a->param->with, "resample") == 0 ? "another text's values"
		: strcmp(a->param->with, "mean") == 0 ? "their means" : "zeros";
	SN_TRY(sn_result_say(out, "Replaced by %s, %s costs most: f loses %.3f%s [%.3f, %.3f].", by,
	                     site_name(a, best, false), loss[best].point, unit, loss[best].sim_low, loss[best].sim_high));
	if (few) return SN_OK;
	return sn_result_say(out, "%d of %d sites change f with certainty (bands without 0).", clear, a->n_site);
}

static sn_status write_items(const ablation *a, sn_result *out)
{
	for (int32_t i = 0; i < a->items->n; i++) {
		const sn_attribution_item *item = &a->items->item[i];
		SN_TRY(SN_ADD(out, SN_ABLATION_ITEMS, sn_int(item->number), sn_text(item->text), sn_text(item->target),
		              sn_text(item->foil), sn_num(a->value[i])));
	}
	return SN_OK;
}

static sn_status report(const ablation *a, sn_result *out)
{
	int32_t *text;
	float *value;
	sn_boot *boot;
	sn_band *loss, *size_of, *f;
	SN_NEW(text, a->arena, int32_t, a->items->n);
	SN_NEW(value, a->arena, float, a->items->n);
	for (int32_t i = 0; i < a->items->n; i++) {
		text[i] = i;
		value[i] = (float)a->value[i];
	}
	sn_boot_items units = { .n = a->items->n, .subject = text, .n_frame = 1 };
	SN_TRY(sn_boot_open(&boot, a->arena, (int)a->param->resamples, a->items->n, NULL, NULL, sn_ctx_seed(a->ctx),
	                    0x61626c));
	SN_TRY(bands_of(a, a->loss, boot, &units, a->n_site, &loss));
	SN_TRY(bands_of(a, a->size, boot, &units, a->n_site, &size_of));
	SN_TRY(bands_of(a, value, boot, &units, 1, &f));
	SN_TRY(write_sites(a, out, loss, size_of));
	SN_TRY(write_items(a, out));
	return say(a, out, f, loss);
}

/* auto: heads and feed-forward layers, of both stacks; where the prediction is made, of the decoder. */
static sn_status find_sites(ablation *a)
{
	static const char of_one[] = "blocks.*.attn.hook_z[*],blocks.*.hook_mlp_out";
	static const char of_both[] =
		"encoder.blocks.*.attn.hook_z[*],encoder.blocks.*.hook_mlp_out,decoder.blocks.*.attn.hook_z[*],"
		"decoder.blocks.*.cross_attn.hook_z[*],decoder.blocks.*.hook_mlp_out";
	const char *pattern = a->param->common.sites;
	bool both = sn_model_get_info(a->model)->n_layer_encoder > 0;
	if (strcmp(pattern, "auto") == 0) pattern = !both ? of_one : a->last ? strstr(of_both, "decoder.") : of_both;
	return sn_site_expand(a->ctx, a->model, pattern, a->arena, &a->site, &a->n_site);
}

sn_status sn_attribution_ablate(sn_ctx *ctx, sn_model *model, const sn_attribution_items *items,
                                const sn_ablation_param *param, sn_result *out)
{
	ablation a = { .ctx = ctx, .model = model, .items = items, .param = param, .arena = sn_result_arena(out) };
	a.resample = strcmp(param->with, "resample") == 0;
	a.draws = a.resample ? (int)param->draws : 1;
	a.last = strcmp(param->at, "target") == 0;
	SN_TRY(find_sites(&a));
	SN_TRY(find_values(&a));
	SN_NEW(a.value, a.arena, double, items->n);
	SN_NEW(a.loss, a.arena, float, (int64_t)items->n * a.n_site);
	SN_NEW(a.size, a.arena, float, (int64_t)items->n * a.n_site);
	SN_TRY(ablate_all(&a));
	return report(&a, out);
}

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	const sn_ablation_param *p = param;
	sn_attribution_items items;
	SN_TRY(sn_attribution_read(&items, ctx, in, &p->common, sn_result_arena(out)));
	return sn_attribution_ablate(ctx, in->model[0], &items, p, out);
}

/* ---- the row ---- */

static const sn_param params[] = {
	SN_ATTRIBUTION_PARAMS_AT(sn_ablation_param, "heads' hook_z and hook_mlp_out of every block"),
	{ "with", NULL, "what a site's values are replaced by: zeros, their mean over the data (of first positions and of "
	  "the others), or another text's at the same positions", "mean", "zero|mean|resample", SN_TYPE_TEXT,
	  offsetof(sn_ablation_param, with), 0, 0, false },
	{ "at", NULL, "where: at all positions, or where the prediction is made (encoder-decoders: sites of the decoder)",
	  "all", "all|target", SN_TYPE_TEXT, offsetof(sn_ablation_param, at), 0, 0, false },
	{ "draws", "texts", "resample: other texts drawn for each text", "3", NULL, SN_TYPE_INT,
	  offsetof(sn_ablation_param, draws), 1, 100, false },
	{ "top", "sites", "how many are ranked", "15", NULL, SN_TYPE_INT, offsetof(sn_ablation_param, top), 1, 1e4, false },
	{ "resamples", NULL, "bootstrap resamples of texts", "2000", NULL, SN_TYPE_INT,
	  offsetof(sn_ablation_param, resamples), 100, 1e5, false },
};

#define LOSS                                                                                                          \
	{ "loss", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "f loses" },                                                \
	{ "loss_low", "nats", "loss", SN_TYPE_FLOAT, SN_LOW, 0, NULL },                                                   \
	{ "loss_high", "nats", "loss", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },                                                 \
	{ "size", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Mean |change|" },                                          \
	{ "size_low", "nats", "size", SN_TYPE_FLOAT, SN_LOW, 0, NULL },                                                   \
	{ "size_high", "nats", "size", SN_TYPE_FLOAT, SN_HIGH, 0, NULL }
static const sn_col ranking_columns[] = { { "site", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Site" }, LOSS };
static const sn_col map_columns[] = {
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Layer" },
	{ "part", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Part" },
	{ "site", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Site" },
	LOSS,
};
static const sn_col item_columns[] = {
	{ "item", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Item" },
	{ "text", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Text" },
	{ "target", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Target" },
	{ "foil", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Foil" },
	{ "value", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "f(x)" },
};

static const sn_table tables[SN_ABLATION_TABLES] = {
	[SN_ABLATION_RANKING] = { "ranking", "What the prediction loses without a site", ranking_columns,
	                          SN_COUNT(ranking_columns), SN_VIEW_BAR,
	                          "The largest mean changes of f when the site's values are replaced, with simultaneous "
	                          "95 % bands over all sites, texts resampled. Positive: f falls, the site speaks for the "
	                          "target.", false },
	[SN_ABLATION_MAP] = { "sites", "Every site, by layer", map_columns, SN_COUNT(map_columns), SN_VIEW_HEAT,
	                      "Mean change of f, and mean of its size, for every site.", true },
	[SN_ABLATION_ITEMS] = { "items", "What is explained", item_columns, SN_COUNT(item_columns), SN_VIEW_TABLE,
	                        "f: the metric at the predicted place, in nats.", false },
};

const sn_method sn_method_attribute_ablation = {
	.family = "attribute", .name = "ablation", .brief = "what predictions lose without a head, a layer, any site",
	.doc = "f(x) - f(x with the site's values replaced), over all texts of the data: by zeros, by the site's mean over "
	       "the data, or by another text's values at the same positions (resample ablation). Each text and site is a "
	       "fork, computed from the site's layer on. The mean has simultaneous bands over sites, from a bootstrap of "
	       "texts. Zeros are far from what a model ever sees; means and resampled values are not.",
	.cite = "Michel et al. 2019; Wang et al. 2022 (mean ablation); Chan et al. 2022 (resample ablation)",
	.example = "sonde attribute ablation --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data texts.txt --target are "
	           "--foil is",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params, .n_param = SN_COUNT(params), .param_size = sizeof(sn_ablation_param),
	.table = tables, .n_table = SN_ABLATION_TABLES, .run = run,
};
