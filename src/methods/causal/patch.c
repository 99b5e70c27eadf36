/* `sonde causal patch`: interchange interventions, place by place (Geiger et al. 2021). */
#include "methods/causal/patch.h"
#include "methods/causal/causal.h"

#include <math.h>
#include <string.h>

typedef struct patch_run {
	sn_causal c;
	const sn_patch_param *param;
	sn_pair_kind kind;
	sn_pair *pair;
	int64_t n_pair;
	sn_exchange x;
	sn_reps d, effect, nats; /* d: one cell, or the effects' cells */
	sn_band d_main;          /* D over all frames */
	bool chooses;
} patch_run;

static const double least_d = 0.2; /* nats: below it the model makes no such choice */

/* ---- running ---- */

typedef struct fits {
	const sn_causal *c;
	const int8_t *z;
	sn_fit *fit;
} fits;

static sn_status fit_spot(void *arg, int spot, const sn_acts *acts, sn_arena *scratch)
{
	fits *f = arg;
	return acts->n == 0 ? SN_OK : sn_causal_fit(f->c, acts, 1, f->z, scratch, &f->fit[spot]);
}

static sn_status fit_subspaces(patch_run *r, sn_patch *patch)
{
	sn_causal *c = &r->c;
	int label = sn_causal_label(c, r->param->label);
	if (label < 0) return SN_EARG;
	fits f = { .c = c };
	int8_t *z;
	SN_NEW(z, c->arena, int8_t, c->items->n);
	SN_NEW(f.fit, c->arena, sn_fit, c->n_spot);
	for (int64_t i = 0; i < c->items->n; i++) z[i] = c->items->z[i * c->items->n_label + label];
	f.z = z;
	SN_TRY(sn_causal_each_spot(c, "fitting subspaces", fit_spot, &f));
	for (int s = 0; s < c->n_spot; s++) {
		patch[s].U = f.fit[s].U;
		patch[s].V = f.fit[s].V;
	}
	return SN_OK;
}

static sn_status run_patches(patch_run *r)
{
	sn_causal *c = &r->c;
	sn_patch *patch;
	SN_TRY(sn_causal_pairs(c, r->kind, r->param->pairs, &r->pair, &r->n_pair));
	SN_NEW(patch, c->arena, sn_patch, c->n_spot);
	for (int s = 0; s < c->n_spot; s++) {
		patch[s].spot = c->spot[s];
		/* the last token has a counterpart in every pair, so that a cell means the same in all of them */
		if (c->items->n_unequal > 0 && patch[s].spot.place == SN_PLACE_ROLE) patch[s].spot.place = SN_PLACE_ROLE_LAST;
	}
	if (strcmp(r->param->subspace, "leace") == 0) SN_TRY(fit_subspaces(r, patch));
	return sn_interchange(&r->x, c->ctx, c->model, c->items, r->pair, r->n_pair, patch, c->n_spot, false, c->arena);
}

/* ---- effects ---- */

/* The sign that makes an effect positive: the feature of the base that the pair flips. Placebo pairs flip none. */
static double sign_of(const patch_run *r, int64_t p)
{
	const sn_item *base = &r->c.items->item[r->pair[p].base];
	return r->kind == SN_PAIR_ATTRACTOR ? base->attractor_n : base->n;
}

/* Numerators n_b (LD_b - LD_{b<-s}), squared for placebo pairs, and for main pairs each cell's own n_b (LD_b - LD_s),
 * which exists where the numerator does. */
static sn_status fill_values(const patch_run *r, float **numerator, float **denominator)
{
	int n_spot = r->c.n_spot;
	SN_NEW(*numerator, r->c.arena, float, r->n_pair * n_spot);
	SN_NEW(*denominator, r->c.arena, float, r->n_pair * n_spot);
	for (int64_t p = 0; p < r->n_pair; p++)
		for (int s = 0; s < n_spot; s++) {
			double change = sign_of(r, p) * (r->x.base[p] - r->x.ld[p * n_spot + s]),
				   whole = sign_of(r, p) * (r->x.base[p] - r->x.source[p]);
			(*numerator)[p * n_spot + s] = (float)(r->kind == SN_PAIR_PLACEBO ? change * change : change);
			(*denominator)[p * n_spot + s] = isnan(change) ? NAN : (float)whole;
		}
	return SN_OK;
}

/* Keeps the pairs whose prefixes have an attractor, if any do. */
static int64_t keep_attracted(const sn_items *items, sn_pair *pair, int64_t n)
{
	int64_t kept = 0;
	for (int64_t p = 0; p < n; p++) kept += items->item[pair[p].base].attractor >= 0;
	if (kept == 0) return n;
	kept = 0;
	for (int64_t p = 0; p < n; p++)
		if (items->item[pair[p].base].attractor >= 0) pair[kept++] = pair[p];
	return kept;
}

/* D of main pairs: the unit of placebo effects, of attractor effects where there is an attractor, and what decides
 * whether there is a choice. */
static sn_status measure_d(patch_run *r, sn_reps *d)
{
	sn_causal *c = &r->c;
	sn_pair *main = r->pair;
	int64_t n = r->n_pair;
	sn_exchange x = r->x;
	sn_boot_items units;
	float *value;
	if (r->kind != SN_PAIR_MAIN) {
		SN_TRY(sn_causal_pairs(c, SN_PAIR_MAIN, 0, &main, &n));
		if (r->kind == SN_PAIR_ATTRACTOR) n = keep_attracted(c->items, main, n);
		SN_TRY(sn_interchange(&x, c->ctx, c->model, c->items, main, n, NULL, 0, false, c->arena));
	}
	SN_NEW(value, c->arena, float, n);
	for (int64_t p = 0; p < n; p++) value[p] = (float)(c->items->item[main[p].base].n * (x.base[p] - x.source[p]));
	SN_TRY(sn_causal_pair_units(c, main, n, &units));
	SN_TRY(sn_boot_mean(d, c->arena, c->boot, &units, value, 1, 0));
	SN_TRY(sn_reps_bands(&r->d_main, c->arena, d, 0.95, NULL));
	r->chooses = r->d_main.low > least_d;
	return SN_OK;
}

static sn_status measure_effects(patch_run *r)
{
	sn_causal *c = &r->c;
	sn_boot_items units;
	float *numerator, *denominator;
	SN_TRY(fill_values(r, &numerator, &denominator));
	SN_TRY(measure_d(r, &r->d));
	SN_TRY(sn_causal_pair_units(c, r->pair, r->n_pair, &units));
	SN_TRY(sn_boot_mean(&r->nats, c->arena, c->boot, &units, numerator, c->n_spot, 0));
	if (r->kind == SN_PAIR_PLACEBO) sn_reps_sqrt(&r->nats);
	if (r->kind == SN_PAIR_MAIN) SN_TRY(sn_boot_mean(&r->d, c->arena, c->boot, &units, denominator, c->n_spot, 0));
	SN_TRY(sn_reps_copy(&r->effect, c->arena, &r->nats));
	sn_reps_divide(&r->effect, &r->d);
	return SN_OK;
}

/* ---- rows ---- */

/* Among pairs whose members are both chosen right, the share that the patch turns. */
static double flip_share(const patch_run *r, int s, int64_t *n)
{
	double turned = 0;
	*n = 0;
	for (int64_t p = 0; p < r->n_pair; p++) {
		double sign = r->c.items->item[r->pair[p].base].n, ld = r->x.ld[p * r->c.n_spot + s];
		if (isnan(ld) || sign * r->x.base[p] <= 0 || sign * r->x.source[p] >= 0) continue;
		turned += sign * ld < 0;
		++*n;
	}
	return *n ? turned / (double)*n : NAN;
}

static int64_t count_pairs(const patch_run *r, int s)
{
	int64_t n = 0;
	for (int64_t p = 0; p < r->n_pair; p++) n += !isnan(r->x.ld[p * r->c.n_spot + s]);
	return n;
}

static sn_status write_cells(patch_run *r, sn_result *out, const sn_band *effect, const sn_band *nats)
{
	const sn_causal *c = &r->c;
	for (int s = 0; s < c->n_spot; s++) {
		int64_t n_flip = 0, n = count_pairs(r, s);
		double flips = r->kind == SN_PAIR_MAIN ? flip_share(r, s, &n_flip) : NAN;
		const sn_band *e = &effect[s], *a = &nats[s];
		double share = r->chooses ? e->point : NAN, low = r->chooses ? e->sim_low : NAN,
			   high = r->chooses ? e->sim_high : NAN;
		SN_TRY(SN_ADD(out, 0, sn_text(c->site_name[s / c->n_place]), sn_text(c->place_name[s % c->n_place]),
					  sn_num(share), sn_num(low), sn_num(high), sn_num(a->point), sn_num(a->sim_low),
					  sn_num(a->sim_high), sn_num(flips), sn_int(n_flip), sn_int(n)));
	}
	return SN_OK;
}

static sn_status say(const patch_run *r, sn_result *out, const sn_band *effect)
{
	const sn_causal *c = &r->c;
	int best = -1;
	const sn_band *d = &r->d_main;
	if (isnan(d->low))
		return sn_result_say(
			out,
			"D is %.3f nats, on too few words for an interval: whether the model makes the choice is open, and no "
			"shares are given; use more pairs.",
			d->point);
	if (!r->chooses)
		return sn_result_say(
			out, "The model makes no such choice: D is %.3f nats [%.3f, %.3f], not above %.1f; no shares are given.",
			d->point, d->low, d->high, least_d);
	for (int s = 0; s < c->n_spot; s++)
		if (isfinite(effect[s].point) && (best < 0 || effect[s].point > effect[best].point)) best = s;
	SN_TRY(sn_result_say(out, "Changing the whole prefix moves the choice by D = %.3f nats [%.3f, %.3f].", d->point,
						 d->low, d->high));
	if (best < 0) return SN_OK;
	return sn_result_say(out, "The largest share of D passes at %s, %s: %.3f [%.3f, %.3f].",
						 c->site_name[best / c->n_place], c->place_name[best % c->n_place], effect[best].point,
						 effect[best].sim_low, effect[best].sim_high);
}

static sn_status report(patch_run *r, sn_result *out)
{
	sn_band *effect, *nats;
	SN_TRY(measure_effects(r));
	SN_NEW(effect, r->c.arena, sn_band, r->c.n_spot);
	SN_NEW(nats, r->c.arena, sn_band, r->c.n_spot);
	SN_TRY(sn_reps_bands(effect, r->c.arena, &r->effect, 0.95, NULL));
	SN_TRY(sn_reps_bands(nats, r->c.arena, &r->nats, 0.95, NULL));
	SN_TRY(write_cells(r, out, effect, nats));
	SN_TRY(SN_ADD(out, 1, sn_text("D"), sn_num(r->d_main.point), sn_num(r->d_main.low), sn_num(r->d_main.high),
				  sn_text("nats")));
	if (r->c.items->n_unequal > 0)
		SN_TRY(
			sn_result_limit(out,
							"In %lld of the items' %lld directed pairs the members differ in their number of tokens: "
							"every role is patched at its last token, other places in the rest only.",
							(long long)r->c.items->n_unequal, (long long)r->c.items->n_pair));
	if (r->x.n_choice < 6) SN_TRY(sn_result_limit(out, "Only %d choice words are scored.", r->x.n_choice));
	return say(r, out, effect);
}

static sn_pair_kind kind_of(const char *name)
{
	return strcmp(name, "main") == 0        ? SN_PAIR_MAIN
		   : strcmp(name, "attractor") == 0 ? SN_PAIR_ATTRACTOR
											: SN_PAIR_PLACEBO;
}

sn_status sn_causal_patch(sn_ctx *ctx, sn_model *model, const sn_items *items, const sn_patch_param *param,
						  sn_result *out)
{
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, ctx));
	patch_run r = { .param = param, .kind = kind_of(param->kind) };
	const char *places = strcmp(param->by, "position") == 0 ? "position" : param->places;
	sn_status status = sn_causal_open(&r.c, ctx, model, items, param->sites, (int)param->every, places,
									  strcmp(param->subspace, "none") == 0, (int)param->resamples, arena);
	if (status == SN_OK) status = run_patches(&r);
	if (status == SN_OK || (status == SN_ECANCEL && r.x.base)) { /* finished pairs are kept */
		sn_status reported = report(&r, out);
		status = status == SN_OK ? reported : status;
	}
	sn_arena_close(arena);
	return status;
}

static sn_status run(sn_ctx *ctx, const sn_input *input, const void *param, sn_result *out)
{
	sn_items *items;
	const sn_patch_param *p = param;
	SN_TRY(sn_causal_items(&items, ctx, input, strcmp(p->lengths, "any") == 0, sn_result_arena(out)));
	return sn_causal_patch(ctx, input->model[0], items, param, out);
}

/* ---- the row ---- */

#define AT(field) offsetof(sn_patch_param, field)
static const sn_param params[] = {
	{ .name = "sites",
	  .help = "sites to patch, * for every layer or head",
	  .type = SN_TYPE_TEXT,
	  .off = AT(sites),
	  .def = "blocks.0.hook_resid_pre,blocks.*.hook_resid_post" },
	{ .name = "every",
	  .unit = "layers",
	  .help = "take every n-th layer of sites named with *",
	  .type = SN_TYPE_INT,
	  .off = AT(every),
	  .def = "1",
	  .min = 1,
	  .max = 1000 },
	{ .name = "by",
	  .help = "patch the items' roles, or single positions counted from the end",
	  .type = SN_TYPE_TEXT,
	  .off = AT(by),
	  .def = "role",
	  .choices = "role|position" },
	{ .name = "places",
	  .help = "roles to patch, 'other' (all positions after the subject that no role holds), 'onward' (all from the "
			  "subject on), or all",
	  .type = SN_TYPE_TEXT,
	  .off = AT(places),
	  .def = "all" },
	{ .name = "pair-kind",
	  .help = "main: the controller's feature is flipped; attractor: the attractor's; placebo: the lemma is swapped, "
			  "every feature held",
	  .type = SN_TYPE_TEXT,
	  .off = AT(kind),
	  .def = "main",
	  .choices = "main|attractor|placebo" },
	{ .name = "subspace",
	  .help = "patch the whole vector, or only what LEACE finds of the label",
	  .type = SN_TYPE_TEXT,
	  .off = AT(subspace),
	  .def = "none",
	  .choices = "none|leace" },
	{ .name = "label",
	  .help = "label whose subspace is patched; default: the controller's feature",
	  .type = SN_TYPE_TEXT,
	  .off = AT(label) },
	{ .name = "pairs",
	  .unit = "pairs",
	  .help = "directed pairs to run, the same share of every frame; 0: all",
	  .type = SN_TYPE_INT,
	  .off = AT(pairs),
	  .def = "0",
	  .min = 0,
	  .max = 1e9 },
	{ .name = "lengths",
	  .help =
		  "pairs whose members differ in their number of tokens: dropped (equal), or kept (any), and then every role "
		  "is patched at its last token",
	  .type = SN_TYPE_TEXT,
	  .off = AT(lengths),
	  .def = "equal",
	  .choices = "equal|any" },
	{ .name = "resamples",
	  .help = "bootstrap resamples of lemmas",
	  .type = SN_TYPE_INT,
	  .off = AT(resamples),
	  .def = "2000",
	  .min = 100,
	  .max = 100000 },
};

static const sn_col cell_columns[] = {
	{ .name = "site", .type = SN_TYPE_TEXT, .role = SN_DIM },
	{ .name = "place", .type = SN_TYPE_TEXT, .role = SN_DIM },
	{ .name = "effect", .unit = "share of D", .type = SN_TYPE_FLOAT, .role = SN_MEASURE },
	{ .name = "effect_low", .unit = "share of D", .of = "effect", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "effect_high", .unit = "share of D", .of = "effect", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "nats", .unit = "nats", .type = SN_TYPE_FLOAT, .role = SN_MEASURE },
	{ .name = "nats_low", .unit = "nats", .of = "nats", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "nats_high", .unit = "nats", .of = "nats", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "flips", .unit = "share", .type = SN_TYPE_FLOAT, .role = SN_MEASURE },
	{ .name = "flip_pairs", .unit = "pairs", .of = "flips", .type = SN_TYPE_INT, .role = SN_COUNT_OF },
	{ .name = "pairs", .unit = "pairs", .of = "effect", .type = SN_TYPE_INT, .role = SN_COUNT_OF },
};

static const sn_table tables[] = {
	{ .name = "cells",
	  .title = "Effect of an interchange, by site and place",
	  .col = cell_columns,
	  .n_col = SN_COUNT(cell_columns),
	  .view = SN_VIEW_HEAT },
	{ .name = "choice",
	  .title = "What the model chooses",
	  .col = sn_causal_choice_columns,
	  .n_col = SN_CAUSAL_CHOICE_COLUMNS,
	  .view = SN_VIEW_TABLE },
};

const sn_method sn_method_causal_patch = {
	.family = "causal",
	.name = "patch",
	.brief = "interchange patching: where does what decides the choice pass?",
	.doc = "For each pair of prefixes that differ in one feature, the activations of the source replace those of the "
		   "base at one place, "
		   "and the choice is scored again. effect = mean n_b (LD_b - LD_{b<-s}) / D with D = mean n_b (LD_b - LD_s) "
		   "on the same frames "
		   "(placebo pairs: root mean square, over the D of all main pairs; attractor pairs: over the D of main pairs "
		   "with an "
		   "attractor). LD is log p(first form) - log p(second form), the mean over choice words; means are means of "
		   "frame means. With --subspace leace only Q (x_s - x_b) is moved, Q "
		   "being LEACE's projection fitted without the pair's lemmas. Bounds are 95 % simultaneous bands over cells, "
		   "from a bootstrap "
		   "of lemmas. flips: share of pairs, both chosen right, whose choice turns.",
	.cite = "Geiger et al. 2021 (arXiv:2106.02997); Finlayson et al. 2021 (arXiv:2106.06087); Belrose et al. 2023 "
			"(arXiv:2306.03819)",
	.example = "sonde causal patch --model SmolLM2.gguf --data items.jsonl --every 3",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params,
	.n_param = SN_COUNT(params),
	.param_size = sizeof(sn_patch_param),
	.table = tables,
	.n_table = SN_COUNT(tables),
	.run = run,
};
