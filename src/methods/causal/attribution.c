/* `sonde attribute patching`: interchange patching estimated by gradients, and how far the estimates are off. It stands
 * beside `causal patch`, whose cells and units it has, since that is what it estimates. */
#include "methods/causal/attribution.h"
#include "methods/causal/causal.h"
#include "model/estimate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct estimated {
	sn_causal c;
	const sn_estimate_param *param;
	sn_pair_kind kind;
	sn_pair *pair;
	int64_t n_pair;
	sn_spot *spot;
	sn_exchange guess, truth;
	sn_effects guessed, patched;
	int n_confirmed, *confirmed, *number; /* spots that were patched truly; [n_spot] which of them a spot is, -1 */
	int n_ranked, *ranked;                /* spots by the size of their estimates */
	sn_band *estimate, *patch;            /* [n_spot], [n_confirmed] shares of D */
} estimated;

/* ---- running ---- */

typedef struct size {
	double value;
	int spot;
} size;

static int larger_first(const void *a, const void *b)
{
	const size *x = a, *y = b;
	if (x->value != y->value) return (x->value < y->value) - (x->value > y->value);
	return (x->spot > y->spot) - (x->spot < y->spot);
}

/* Orders spots by |effect|; those without a value are left out. */
static sn_status order(const double *effect, int n, sn_arena *arena, int **out, int *n_out)
{
	size *list;
	*n_out = 0;
	SN_NEW(list, arena, size, n);
	SN_NEW(*out, arena, int, n);
	for (int s = 0; s < n; s++)
		if (isfinite(effect[s])) list[(*n_out)++] = (size){ fabs(effect[s]), s };
	qsort(list, (size_t)*n_out, sizeof *list, larger_first);
	for (int i = 0; i < *n_out; i++) (*out)[i] = list[i].spot;
	return SN_OK;
}

static sn_status estimate_all(estimated *r)
{
	sn_causal *c = &r->c;
	SN_TRY(sn_causal_pairs(c, r->kind, r->param->patch.pairs, &r->pair, &r->n_pair));
	SN_NEW(r->spot, c->arena, sn_spot, c->n_spot);
	for (int s = 0; s < c->n_spot; s++) r->spot[s] = sn_causal_aligned(c, s);
	SN_TRY(sn_interchange_estimate(&r->guess, c->ctx, c->model, c->items, r->pair, r->n_pair, r->spot, c->n_spot,
								   (sn_estimate_how){ .steps = (int)r->param->steps }, c->arena));
	SN_TRY(sn_causal_effects(&r->guessed, c, r->kind, r->pair, r->n_pair, &r->guess));
	return order(r->guessed.nats.point, c->n_spot, c->arena, &r->ranked, &r->n_ranked);
}

/* Patches truly what is to be confirmed. */
static sn_status confirm(estimated *r)
{
	sn_causal *c = &r->c;
	sn_patch *patch;
	bool all = strcmp(r->param->confirm, "all") == 0, none = strcmp(r->param->confirm, "none") == 0;
	r->n_confirmed = none ? 0 : all ? r->n_ranked : SN_MIN((int)r->param->top, r->n_ranked);
	SN_NEW(r->confirmed, c->arena, int, r->n_confirmed);
	SN_NEW(r->number, c->arena, int, c->n_spot);
	SN_NEW(patch, c->arena, sn_patch, r->n_confirmed);
	for (int s = 0; s < c->n_spot; s++) r->number[s] = -1;
	for (int i = 0; i < r->n_confirmed; i++) r->number[r->confirmed[i] = r->ranked[i]] = i;
	if (r->n_confirmed == 0) return SN_OK;
	for (int i = 0; i < r->n_confirmed; i++) patch[i].spot = r->spot[r->confirmed[i]];
	SN_TRY(sn_interchange(&r->truth, c->ctx, c->model, c->items, r->pair, r->n_pair, patch, r->n_confirmed, false,
						  c->arena));
	return sn_causal_effects(&r->patched, c, r->kind, r->pair, r->n_pair, &r->truth);
}

/* ---- how far estimates are off ---- */

enum { PEARSON, SPEARMAN, MEAN_ERROR, LARGEST_ERROR, OVERLAP, OF_CELLS };

static double pearson(const double *x, const double *y, int n)
{
	double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
	for (int i = 0; i < n; i++) mx += x[i] / n, my += y[i] / n;
	for (int i = 0; i < n; i++) {
		xx += (x[i] - mx) * (x[i] - mx);
		yy += (y[i] - my) * (y[i] - my);
		xy += (x[i] - mx) * (y[i] - my);
	}
	return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : NAN;
}

/* Writes the ranks of x, ties sharing their mean. */
static void rank(const double *x, int n, size *list, double *out)
{
	for (int i = 0; i < n; i++) list[i] = (size){ x[i], i };
	qsort(list, (size_t)n, sizeof *list, larger_first);
	for (int i = 0, j; i < n; i = j) {
		for (j = i + 1; j < n && list[j].value == list[i].value;) j++;
		for (int k = i; k < j; k++) out[list[k].spot] = 0.5 * (i + j - 1);
	}
}

typedef struct room {
	double *x, *y, *rank_x, *rank_y;
	size *list;
} room;

static sn_status open_room(room *m, int n, sn_arena *arena)
{
	SN_NEW(m->x, arena, double, n);
	SN_NEW(m->y, arena, double, n);
	SN_NEW(m->rank_x, arena, double, n);
	SN_NEW(m->rank_y, arena, double, n);
	SN_NEW(m->list, arena, size, n);
	return SN_OK;
}

/* Share of the top ones of x, by size, that are among the top ones of y. */
static double overlap(room *m, int n, int top)
{
	int both = 0;
	for (int i = 0; i < n; i++) m->rank_x[i] = fabs(m->x[i]), m->rank_y[i] = fabs(m->y[i]);
	rank(m->rank_x, n, m->list, m->rank_x);
	rank(m->rank_y, n, m->list, m->rank_y);
	for (int i = 0; i < n; i++) both += m->rank_x[i] < top && m->rank_y[i] < top;
	return (double)both / top;
}

/* guess [n_spot] and truth [n_confirmed] of one resample. */
static void compare(const estimated *r, const double *guess, const double *truth, room *m, double *out)
{
	int n = 0, top = (int)r->param->top;
	double sum = 0, largest = 0;
	for (int i = 0; i < r->n_confirmed; i++) {
		double x = guess[r->confirmed[i]], y = truth[i];
		if (!isfinite(x) || !isfinite(y)) continue;
		m->x[n] = x;
		m->y[n++] = y;
		sum += fabs(x - y);
		largest = fmax(largest, fabs(x - y));
	}
	out[PEARSON] = pearson(m->x, m->y, n);
	rank(m->x, n, m->list, m->rank_x);
	rank(m->y, n, m->list, m->rank_y);
	out[SPEARMAN] = pearson(m->rank_x, m->rank_y, n);
	out[MEAN_ERROR] = n ? sum / n : NAN;
	out[LARGEST_ERROR] = n ? largest : NAN;
	out[OVERLAP] = n > top && strcmp(r->param->confirm, "all") == 0 ? overlap(m, n, top) : NAN;
}

static sn_status compare_cells(estimated *r, sn_band *band)
{
	sn_arena *arena = r->c.arena;
	const sn_reps *guess = &r->guessed.effect, *truth = &r->patched.effect;
	sn_reps of = { .n_boot = truth->n_boot, .n_cell = OF_CELLS, .df = truth->df };
	room m;
	SN_TRY(open_room(&m, r->n_confirmed, arena));
	SN_NEW(of.point, arena, double, OF_CELLS);
	SN_NEW(of.rep, arena, double, (int64_t)of.n_boot *OF_CELLS);
	compare(r, guess->point, truth->point, &m, of.point);
	for (int64_t b = 0; b < of.n_boot; b++)
		compare(r, guess->rep + b * guess->n_cell, truth->rep + b * truth->n_cell, &m, of.rep + b * OF_CELLS);
	SN_TRY(sn_reps_bands(band, arena, &of, 0.95, NULL));
	for (int k = 0; k < OF_CELLS; k++) { /* correlations and shares end at 1, their intervals too */
		if (k == MEAN_ERROR || k == LARGEST_ERROR) continue;
		SN_TRY(sn_reps_quantile(&of, arena, k, 0.025, &band[k].low));
		SN_TRY(sn_reps_quantile(&of, arena, k, 0.975, &band[k].high));
	}
	return SN_OK;
}

/* Mean over cells of |estimate - truth| in single pairs, as a share of D. */
static sn_status compare_pairs(estimated *r, sn_band *band)
{
	sn_causal *c = &r->c;
	sn_boot_items units;
	sn_reps error, d;
	float *value, *whole;
	SN_NEW(value, c->arena, float, r->n_pair);
	SN_NEW(whole, c->arena, float, r->n_pair);
	for (int64_t p = 0; p < r->n_pair; p++) {
		double sum = 0;
		int n = 0;
		for (int i = 0; i < r->n_confirmed; i++) {
			double gap = r->guess.ld[p * c->n_spot + r->confirmed[i]] - r->truth.ld[p * r->n_confirmed + i];
			if (isfinite(gap)) sum += fabs(gap), n++;
		}
		value[p] = n ? (float)(sum / n) : NAN;
		whole[p] = (float)(c->items->item[r->pair[p].base].n * (r->guess.base[p] - r->guess.source[p]));
	}
	SN_TRY(sn_causal_pair_units(c, r->pair, r->n_pair, &units));
	SN_TRY(sn_boot_mean(&error, c->arena, c->boot, &units, value, 1, 0));
	SN_TRY(sn_boot_mean(&d, c->arena, c->boot, &units, whole, 1, 0));
	sn_reps_divide(&error, r->kind == SN_PAIR_MAIN ? &d : &r->guessed.d);
	return sn_reps_bands(band, c->arena, &error, 0.95, NULL);
}

/* ---- rows ---- */

static const char *spot_name(const estimated *r, int s)
{
	const sn_causal *c = &r->c;
	return sn_arena_format(c->arena, "%s, %s", c->site_name[s / c->n_place], c->place_name[s % c->n_place]);
}

/* The row of a map over layers: the place, and the site without its block. */
static const char *row_name(const estimated *r, int s)
{
	const sn_causal *c = &r->c;
	const char *site = c->site_name[s / c->n_place], *block = strstr(site, "blocks.");
	if (block) site = block + strlen("blocks.") + strspn(block + strlen("blocks."), "0123456789") + 1;
	return sn_arena_format(c->arena, "%s, %s", c->place_name[s % c->n_place], site);
}

static const sn_band *patch_of(const estimated *r, int s)
{
	static const sn_band none = { .point = NAN, .sim_low = NAN, .sim_high = NAN };
	return r->number[s] < 0 ? &none : &r->patch[r->number[s]];
}

static sn_status write_cells(estimated *r, sn_result *out)
{
	const sn_causal *c = &r->c;
	for (int i = 0; i < c->n_spot; i++) {
		int s = i % c->n_site * c->n_place + i / c->n_site; /* place by place, as the map's rows stand */
		int64_t n = 0;
		for (int64_t p = 0; p < r->n_pair; p++) n += !isnan(r->guess.ld[p * c->n_spot + s]);
		const sn_band *e = &r->estimate[s], *t = patch_of(r, s);
		const char *row = row_name(r, s);
		if (!row) return SN_ENOMEM;
		SN_TRY(SN_ADD(out, SN_ESTIMATE_CELLS, sn_int(c->site[s / c->n_place].layer), sn_text(row),
					  sn_text(c->site_name[s / c->n_place]), sn_text(c->place_name[s % c->n_place]), sn_num(e->point),
					  sn_num(e->sim_low), sn_num(e->sim_high), sn_num(t->point), sn_num(t->sim_low),
					  sn_num(t->sim_high), sn_num(e->point - t->point), sn_int(n)));
	}
	return SN_OK;
}

static sn_status write_ranking(estimated *r, sn_result *out)
{
	for (int i = 0; i < SN_MIN(r->n_ranked, (int)r->param->top); i++) {
		int s = r->ranked[i];
		const char *name = spot_name(r, s);
		const sn_band *e = &r->estimate[s], *t = patch_of(r, s);
		if (!name) return SN_ENOMEM;
		SN_TRY(SN_ADD(out, SN_ESTIMATE_RANKING, sn_text(name), sn_text("estimated"), sn_num(e->point),
					  sn_num(e->sim_low), sn_num(e->sim_high)));
		if (r->number[s] >= 0)
			SN_TRY(SN_ADD(out, SN_ESTIMATE_RANKING, sn_text(name), sn_text("patched"), sn_num(t->point),
						  sn_num(t->sim_low), sn_num(t->sim_high)));
	}
	return SN_OK;
}

static sn_status write_agreement(sn_result *out, const sn_band *cells, const sn_band *pairs)
{
	static const char *const name[] = { "correlation over cells", "rank correlation over cells",
										"mean |error| of a cell", "largest |error| of a cell",
										"overlap of the strongest" };
	static const char *const unit[] = { "Pearson's r", "Spearman's rho", "share of D", "share of D", "share" };
	for (int k = 0; k < OF_CELLS; k++)
		if (isfinite(cells[k].point))
			SN_TRY(SN_ADD(out, SN_ESTIMATE_AGREEMENT, sn_text(name[k]), sn_num(cells[k].point), sn_num(cells[k].low),
						  sn_num(cells[k].high), sn_text(unit[k])));
	return SN_ADD(out, SN_ESTIMATE_AGREEMENT, sn_text("mean |error| in a single pair"), sn_num(pairs->point),
				  sn_num(pairs->low), sn_num(pairs->high), sn_text("share of D"));
}

static sn_status say_agreement(estimated *r, sn_result *out, const sn_band *cells)
{
	const sn_band *e = &cells[MEAN_ERROR], *o = &cells[OVERLAP];
	SN_TRY(sn_result_say(
		out,
		"Against true patching of %d cells the estimates are off by %.3f of D [%.3f, %.3f] in the mean, by %.3f at "
		"most; they correlate with r = %.3f [%.3f, %.3f].",
		r->n_confirmed, e->point, e->low, e->high, cells[LARGEST_ERROR].point, cells[PEARSON].point, cells[PEARSON].low,
		cells[PEARSON].high));
	if (isnan(o->point)) return SN_OK;
	return sn_result_say(out,
						 "Of the %lld cells with the largest estimates %.0f are among the %lld largest when patched.",
						 (long long)r->param->top, o->point * (double)r->param->top, (long long)r->param->top);
}

static sn_status say_strongest(estimated *r, sn_result *out)
{
	if (r->n_ranked == 0) return SN_OK;
	int s = r->ranked[0];
	const char *name = spot_name(r, s);
	const sn_band *e = &r->estimate[s], *t = patch_of(r, s);
	if (!name) return SN_ENOMEM;
	if (isnan(t->point))
		return sn_result_say(out, "The largest estimate is that of %s: %.3f of D [%.3f, %.3f].", name, e->point,
							 e->sim_low, e->sim_high);
	return sn_result_say(out,
						 "The largest estimate is that of %s: %.3f of D [%.3f, %.3f]; patched, it moves %.3f [%.3f, "
						 "%.3f].",
						 name, e->point, e->sim_low, e->sim_high, t->point, t->sim_low, t->sim_high);
}

static sn_status limits(const estimated *r, sn_result *out)
{
	SN_TRY(sn_causal_limit_lengths(out, r->c.items));
	if (r->n_confirmed == 0)
		SN_TRY(sn_result_limit(out, "No estimate was confirmed by true patching (--confirm none): where the model "
									"saturates, a first-order estimate may be far off."));
	else if (r->n_confirmed < r->n_ranked)
		SN_TRY(sn_result_limit(out,
							   "Only the %d cells with the largest estimates were confirmed: what estimates miss, "
							   "this does not show (--confirm all).",
							   r->n_confirmed));
	return SN_OK;
}

static sn_status report(estimated *r, sn_result *out)
{
	const sn_band *d = &r->guessed.d_main;
	sn_arena *arena = r->c.arena;
	sn_band cells[OF_CELLS], pairs;
	SN_TRY(sn_causal_say_d(out, &r->guessed));
	SN_TRY(SN_ADD(out, SN_ESTIMATE_CHOICE, sn_text("D"), sn_num(d->point), sn_num(d->low), sn_num(d->high),
				  sn_text("nats")));
	if (!r->guessed.chooses) return SN_OK;
	SN_NEW(r->estimate, arena, sn_band, r->c.n_spot);
	SN_NEW(r->patch, arena, sn_band, r->n_confirmed);
	SN_TRY(sn_reps_bands(r->estimate, arena, &r->guessed.effect, 0.95, NULL));
	if (r->n_confirmed) SN_TRY(sn_reps_bands(r->patch, arena, &r->patched.effect, 0.95, NULL));
	SN_TRY(write_cells(r, out));
	SN_TRY(write_ranking(r, out));
	SN_TRY(say_strongest(r, out));
	if (r->n_confirmed > 1) {
		SN_TRY(compare_cells(r, cells));
		SN_TRY(compare_pairs(r, &pairs));
		SN_TRY(write_agreement(out, cells, &pairs));
		SN_TRY(say_agreement(r, out, cells));
	}
	return limits(r, out);
}

sn_status sn_causal_attribution(sn_ctx *ctx, sn_model *model, const sn_items *items, const sn_estimate_param *param,
								sn_result *out)
{
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, ctx));
	const sn_patch_param *p = &param->patch;
	estimated r = { .param = param, .kind = sn_causal_kind(p->kind) };
	sn_status status =
		sn_causal_open(&r.c, ctx, model, items, p->sites, (int)p->every,
					   strcmp(p->by, "position") == 0 ? "position" : p->places, true, (int)p->resamples, arena);
	if (status == SN_OK) status = estimate_all(&r);
	if (status == SN_OK && r.guessed.chooses) status = confirm(&r);
	if (status == SN_OK) status = report(&r, out);
	sn_arena_close(arena);
	return status;
}

static sn_status run(sn_ctx *ctx, const sn_input *input, const void *param, sn_result *out)
{
	sn_items *items;
	const sn_estimate_param *p = param;
	SN_TRY(sn_causal_items(&items, ctx, input, strcmp(p->patch.lengths, "any") == 0, sn_result_arena(out)));
	return sn_causal_attribution(ctx, input->model[0], items, p, out);
}

/* ---- the row ---- */

#define AT(field) offsetof(sn_estimate_param, patch.field)
static const sn_param params[] = {
	SN_PATCH_PARAMS(AT),
	{ .name = "steps",
	  .unit = "points",
	  .help = "0: the gradient at the base; n: its mean at n points of the line between the embeddings of source and "
			  "base",
	  .type = SN_TYPE_INT,
	  .off = offsetof(sn_estimate_param, steps),
	  .def = "8",
	  .max = 1000 },
	{ .name = "confirm",
	  .help = "cells that are patched truly as well: all, those with the largest estimates, or none",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(sn_estimate_param, confirm),
	  .def = "all",
	  .choices = "all|top|none" },
	{ .name = "top",
	  .unit = "cells",
	  .help = "how many of the largest estimates are ranked, and confirmed by --confirm top",
	  .type = SN_TYPE_INT,
	  .off = offsetof(sn_estimate_param, top),
	  .def = "10",
	  .min = 1,
	  .max = 1000 },
};

static const sn_col cell_columns[] = {
	{ .name = "layer", .type = SN_TYPE_INT, .role = SN_DIM, .title = "Layer" },
	{ .name = "row", .type = SN_TYPE_TEXT, .role = SN_DIM, .title = "Place and part" },
	{ .name = "site", .type = SN_TYPE_TEXT, .role = SN_TEXT, .title = "Site" },
	{ .name = "place", .type = SN_TYPE_TEXT, .role = SN_TEXT, .title = "Place" },
	{ .name = "estimate", .unit = "share of D", .type = SN_TYPE_FLOAT, .role = SN_MEASURE, .title = "Estimated" },
	{ .name = "estimate_low", .unit = "share of D", .of = "estimate", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "estimate_high", .unit = "share of D", .of = "estimate", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "effect", .unit = "share of D", .type = SN_TYPE_FLOAT, .role = SN_MEASURE, .title = "Patched" },
	{ .name = "effect_low", .unit = "share of D", .of = "effect", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "effect_high", .unit = "share of D", .of = "effect", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "error",
	  .unit = "share of D",
	  .type = SN_TYPE_FLOAT,
	  .role = SN_MEASURE,
	  .title = "Estimate less patch" },
	{ .name = "pairs", .unit = "pairs", .of = "estimate", .type = SN_TYPE_INT, .role = SN_COUNT_OF, .title = "Pairs" },
};

static const sn_col ranking_columns[] = {
	{ .name = "cell", .type = SN_TYPE_TEXT, .role = SN_DIM, .title = "Cell" },
	{ .name = "how", .type = SN_TYPE_TEXT, .role = SN_DIM, .title = "How" },
	{ .name = "effect", .unit = "share of D", .type = SN_TYPE_FLOAT, .role = SN_MEASURE, .title = "Effect" },
	{ .name = "effect_low", .unit = "share of D", .of = "effect", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "effect_high", .unit = "share of D", .of = "effect", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
};

static const sn_table tables[SN_ESTIMATE_TABLES] = {
	[SN_ESTIMATE_CELLS] = { .name = "cells",
							.title = "Effect of an interchange, estimated and patched",
							.col = cell_columns,
							.n_col = SN_COUNT(cell_columns),
							.view = SN_VIEW_HEAT,
							.appendix = true,
							.caption =
								"Share of D that moves when a place's vector comes from the pair's other prefix: "
								"by the gradient, by patching, and the difference." },
	[SN_ESTIMATE_RANKING] = { .name = "ranking",
							  .title = "The largest estimates",
							  .col = ranking_columns,
							  .n_col = SN_COUNT(ranking_columns),
							  .view = SN_VIEW_BAR,
							  .caption = "Cells by the size of their estimates, each beside what patching it moves. "
										 "Whiskers: simultaneous 95 % bands over all cells." },
	[SN_ESTIMATE_AGREEMENT] = { .name = "agreement",
								.title = "How far the estimates are off",
								.col = sn_causal_choice_columns,
								.n_col = SN_CAUSAL_CHOICE_COLUMNS,
								.view = SN_VIEW_TABLE,
								.caption = "95 % intervals over resampled lemmas." },
	[SN_ESTIMATE_CHOICE] = { .name = "choice",
							 .title = "What the model chooses",
							 .col = sn_causal_choice_columns,
							 .n_col = SN_CAUSAL_CHOICE_COLUMNS,
							 .view = SN_VIEW_TABLE },
};

const sn_method sn_method_attribute_patching = {
	.family = "attribute",
	.name = "patching",
	.brief = "attribution patching: what every layer, head and place would move, from one backward pass",
	.doc =
		"For each pair of prefixes that differ in one feature, LD_{b<-s} - LD_b is estimated at every place as "
		"(x_s - x_b) . dLD/dx_b: one forward and one backward pass a prefix for all sites and places together, where "
		"true patching takes a run for each. With --steps n the derivative is averaged along the line between the two "
		"prefixes' embeddings, which corrects for saturation; at hook_embed the shares of all positions then sum to "
		"D. Shares of D, bands and units as in causal patch. The estimates are confirmed by true patching, and their "
		"error is told.",
	.cite = "Nanda 2023 (attribution patching); Syed et al. 2023 (arXiv:2310.10348); Kramar et al. 2024 "
			"(arXiv:2403.00745); Hanna et al. 2024 (arXiv:2403.17806)",
	.example = "sonde attribute patching --model SmolLM2.gguf --data items.jsonl --sites "
			   "'blocks.*.attn.hook_z[*],blocks.*.hook_mlp_out' --confirm top",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params,
	.n_param = SN_COUNT(params),
	.param_size = sizeof(sn_estimate_param),
	.table = tables,
	.n_table = SN_COUNT(tables),
	.run = run,
};
