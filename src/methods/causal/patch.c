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
	sn_effects effects;
} patch_run;

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
	for (int s = 0; s < c->n_spot; s++) patch[s].spot = sn_causal_aligned(c, s);
	if (strcmp(r->param->subspace, "leace") == 0) SN_TRY(fit_subspaces(r, patch));
	return sn_interchange(&r->x, c->ctx, c->model, c->items, r->pair, r->n_pair, patch, c->n_spot, false, c->arena);
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
		double share = r->effects.chooses ? e->point : NAN, low = r->effects.chooses ? e->sim_low : NAN,
			   high = r->effects.chooses ? e->sim_high : NAN;
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
	SN_TRY(sn_causal_say_d(out, &r->effects));
	if (!r->effects.chooses) return SN_OK;
	for (int s = 0; s < c->n_spot; s++)
		if (isfinite(effect[s].point) && (best < 0 || effect[s].point > effect[best].point)) best = s;
	if (best < 0) return SN_OK;
	return sn_result_say(out, "The largest share of D passes at %s, %s: %.3f [%.3f, %.3f].",
						 c->site_name[best / c->n_place], c->place_name[best % c->n_place], effect[best].point,
						 effect[best].sim_low, effect[best].sim_high);
}

static sn_status report(patch_run *r, sn_result *out)
{
	sn_band *effect, *nats;
	SN_TRY(sn_causal_effects(&r->effects, &r->c, r->kind, r->pair, r->n_pair, &r->x));
	SN_NEW(effect, r->c.arena, sn_band, r->c.n_spot);
	SN_NEW(nats, r->c.arena, sn_band, r->c.n_spot);
	SN_TRY(sn_reps_bands(effect, r->c.arena, &r->effects.effect, 0.95, NULL));
	SN_TRY(sn_reps_bands(nats, r->c.arena, &r->effects.nats, 0.95, NULL));
	SN_TRY(write_cells(r, out, effect, nats));
	const sn_band *d = &r->effects.d_main;
	SN_TRY(SN_ADD(out, 1, sn_text("D"), sn_num(d->point), sn_num(d->low), sn_num(d->high), sn_text("nats")));
	SN_TRY(sn_causal_limit_lengths(out, r->c.items));
	if (r->x.n_choice < 6) SN_TRY(sn_result_limit(out, "Only %d choice words are scored.", r->x.n_choice));
	return say(r, out, effect);
}

sn_status sn_causal_patch(sn_ctx *ctx, sn_model *model, const sn_items *items, const sn_patch_param *param,
						  sn_result *out)
{
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, ctx));
	patch_run r = { .param = param, .kind = sn_causal_kind(param->kind) };
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
	SN_PATCH_PARAMS(AT),
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
