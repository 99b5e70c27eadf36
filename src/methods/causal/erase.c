/* `sonde causal erase`: what the choice loses when a label is erased linearly, beside two controls, behind a gate. */
#include "methods/causal/erase.h"
#include "methods/causal/causal.h"
#include "model/scrub.h"
#include "stats/gate.h"
#include "stats/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double clear_of_controls = 0.05, least_s = 0.1; /* shares; nats, half of what D needs */

typedef struct erase_run {
	sn_causal c;
	const sn_erase_param *param;
	int label, n_draw;
	int8_t *z;              /* [1 + n_draw, items->n] the label, then the control labels */
	sn_fit *fit;            /* [n_spot, 1 + n_draw] */
	sn_band *gate, *before; /* [n_spot] bits a fresh probe finds on erased, unerased rows; NaN: no rows */
	int64_t n_item, *item;
	int n_eraser;
	sn_eraser *eraser; /* of the erasures, one after the other */
	sn_erased x;
	int *ran; /* [n_spot] number of its first erasure; -1: no rows */
} erase_run;

/* ---- labels ---- */

/* Forms of one sign in random order: the first half gets +1, the rest -1. */
static sn_status draw_labels(const erase_run *r, int8_t sign, sn_rng *rng, int8_t *of_form)
{
	const sn_items *items = r->c.items;
	int64_t *form, *order, n = 0;
	bool *seen;
	SN_NEW(form, r->c.arena, int64_t, items->n_form);
	SN_NEW(order, r->c.arena, int64_t, items->n_form);
	SN_NEW(seen, r->c.arena, bool, items->n_form);
	for (int64_t i = 0; i < items->n; i++) {
		int32_t f = items->item[i].form;
		if (items->item[i].n != sign || f < 0 || seen[f]) continue;
		seen[f] = true;
		form[n++] = f;
	}
	sn_rng_permute(rng, order, n);
	for (int64_t i = 0; i < n; i++) of_form[form[order[i]]] = 2 * i < n ? 1 : -1;
	return SN_OK;
}

/* The label itself, and draws of labels that depend on the subject's form alone (Hewitt & Liang 2019), balanced over
 * the controller's feature. */
static sn_status make_labels(erase_run *r)
{
	const sn_items *items = r->c.items;
	int8_t *of_form;
	r->label = sn_causal_label(&r->c, r->param->label);
	if (r->label < 0) return SN_EARG;
	r->n_draw = (int)r->param->draws;
	SN_NEW(r->z, r->c.arena, int8_t, (1 + r->n_draw) * items->n);
	SN_NEW(of_form, r->c.arena, int8_t, items->n_form);
	for (int64_t i = 0; i < items->n; i++) r->z[i] = items->z[i * items->n_label + r->label];
	for (int k = 1; k <= r->n_draw; k++) {
		sn_rng rng = sn_rng_make(sn_ctx_seed(r->c.ctx), 0x636f6e74726f6c + (uint64_t)k);
		for (int8_t sign = -1; sign <= 1; sign += 2) SN_TRY(draw_labels(r, sign, &rng, of_form));
		for (int64_t i = 0; i < items->n; i++)
			r->z[k * items->n + i] = items->item[i].form < 0 ? 0 : of_form[items->item[i].form];
	}
	return SN_OK;
}

/* ---- fitting and the gate ---- */

static void erase_rows(const erase_run *r, const sn_acts *a, const sn_fit *fit, float *x)
{
	for (int64_t i = 0; i < a->n; i++) {
		int fold = r->c.items->item[a->item[i]].fold;
		const float *mean = fit->mean[fold].data, *u = fit->U[fold].data, *v = fit->V[fold].data;
		double along = 0;
		for (int64_t j = 0; j < a->d; j++) along += (double)v[j] * (x[i * a->d + j] - mean[j]);
		for (int64_t j = 0; j < a->d; j++) x[i * a->d + j] -= (float)(along * u[j]);
	}
}

/* Information in bits: 1 + mean held-out log2 probability, with its interval over lemmas. */
static sn_status information(const erase_run *r, const sn_acts *a, const double *bits, sn_arena *scratch, sn_band *out)
{
	sn_boot_items units;
	sn_reps reps;
	float *value;
	SN_NEW(value, scratch, float, a->n);
	for (int64_t i = 0; i < a->n; i++) value[i] = (float)(1 + bits[i]);
	SN_TRY(sn_causal_units(&r->c, a->item, a->n, false, scratch, &units));
	SN_TRY(sn_boot_mean(&reps, scratch, r->c.boot, &units, value, 1, 0));
	return sn_reps_bands(out, scratch, &reps, 0.95, NULL);
}

static sn_status gate_rows(const erase_run *r, const sn_acts *a, const float *x, sn_arena *scratch, sn_band *out)
{
	const sn_items *items = r->c.items;
	int32_t *fold, *lemma;
	uint8_t *use;
	int8_t *z;
	double *bits;
	SN_NEW(fold, scratch, int32_t, a->n);
	SN_NEW(lemma, scratch, int32_t, a->n);
	SN_NEW(use, scratch, uint8_t, a->n);
	SN_NEW(z, scratch, int8_t, a->n);
	SN_NEW(bits, scratch, double, a->n);
	for (int64_t i = 0; i < a->n; i++) {
		const sn_item *item = &items->item[a->item[i]];
		fold[i] = item->fold;
		lemma[i] = item->lemma;
		use[i] = item->test_lead ? SN_USE_TEST : SN_USE_FIT;
		z[i] = r->z[a->item[i]];
	}
	SN_TRY(sn_gate_bits(bits, scratch, a->n, a->d, x, items->n_fold, fold, lemma, use, z));
	return information(r, a, bits, scratch, out);
}

static sn_status fit_spot(void *arg, int spot, const sn_acts *acts, sn_arena *scratch)
{
	erase_run *r = arg;
	float *x;
	r->gate[spot] = r->before[spot] = (sn_band){ .point = NAN, .low = NAN, .high = NAN };
	r->ran[spot] = -1;
	if (acts->n == 0) return SN_OK;
	sn_fit *fit = &r->fit[(int64_t)spot * (1 + r->n_draw)];
	SN_TRY(sn_causal_fit(&r->c, acts, 1 + r->n_draw, r->z, scratch, fit));
	SN_TRY(gate_rows(r, acts, acts->x, scratch, &r->before[spot]));
	SN_NEW(x, scratch, float, acts->n * acts->d);
	memcpy(x, acts->x, (size_t)(acts->n * acts->d) * sizeof *x);
	erase_rows(r, acts, fit, x);
	SN_TRY(gate_rows(r, acts, x, scratch, &r->gate[spot]));
	r->ran[spot] = 0;
	return SN_OK;
}

static sn_status fit_all(erase_run *r)
{
	SN_NEW(r->fit, r->c.arena, sn_fit, (int64_t)r->c.n_spot * (1 + r->n_draw));
	SN_NEW(r->gate, r->c.arena, sn_band, r->c.n_spot);
	SN_NEW(r->before, r->c.arena, sn_band, r->c.n_spot);
	SN_NEW(r->ran, r->c.arena, int, r->c.n_spot);
	return sn_causal_each_spot(&r->c, "fitting erasers", fit_spot, r);
}

/* ---- erasing ---- */

/* Prefixes that erasers acting together are fitted on: at most 256 with training lead-ins, drawn at random. */
static sn_status pick_prefixes(erase_run *r, int64_t **which, int64_t *n)
{
	enum { MOST = 256 };
	const sn_items *items = r->c.items;
	sn_rng rng = sn_rng_make(sn_ctx_seed(r->c.ctx), 0x7363727562);
	int64_t *fit, *order, n_fit = 0;
	SN_NEW(fit, r->c.arena, int64_t, items->n_probe);
	SN_NEW(order, r->c.arena, int64_t, items->n_probe);
	SN_NEW(*which, r->c.arena, int64_t, MOST);
	for (int64_t i = 0; i < items->n_probe; i++)
		if (!items->item[i].test_lead) fit[n_fit++] = i;
	sn_rng_permute(&rng, order, n_fit);
	*n = SN_MIN(n_fit, (int64_t)MOST);
	for (int64_t i = 0; i < *n; i++) (*which)[i] = fit[order[i]];
	return SN_OK;
}

/* The places of an erasure that begins at a spot: that one, or onward the same place at its site and all later ones. */
static int list_spots(const erase_run *r, int first, sn_spot *spot)
{
	const sn_causal *c = &r->c;
	bool onward = strcmp(r->param->scope, "onward") == 0;
	int n = 0;
	for (int s = first; s < c->n_spot && (onward || s == first); s += c->n_place)
		if (r->ran[s] >= 0) spot[n++] = c->spot[s];
	return n;
}

/* The erasures of one spot: its label's and the control labels'. Erasers that act alone are the fits at hand. */
static sn_status add_erasures(erase_run *r, int first, const int64_t *which, int64_t n_which, sn_erasure *out)
{
	sn_causal *c = &r->c;
	sn_spot *spot;
	SN_NEW(spot, c->arena, sn_spot, c->n_site);
	int n_spot = list_spots(r, first, spot);
	for (int k = 0; k <= r->n_draw; k++) {
		int *list;
		SN_NEW(list, c->arena, int, n_spot);
		for (int i = 0; i < n_spot; i++) list[i] = r->n_eraser + i;
		const sn_fit *fit = &r->fit[(int64_t)first * (1 + r->n_draw) + k];
		if (n_spot == 1)
			r->eraser[r->n_eraser] = (sn_eraser){ spot[0], fit->mean, fit->U, fit->V };
		else
			SN_TRY(sn_scrub(r->eraser + r->n_eraser, c->ctx, c->model, c->items, which, n_which, spot, n_spot,
							r->z + (int64_t)k * c->items->n, sn_leace_fit_signs, c->arena));
		r->n_eraser += n_spot;
		out[k] = (sn_erasure){ .eraser = list, .n_eraser = n_spot, .n_shift = k == 0 ? r->n_draw : 0 };
	}
	return SN_OK;
}

static sn_status pick_items(erase_run *r)
{
	sn_pair *pair;
	int64_t n;
	SN_TRY(sn_causal_pairs(&r->c, SN_PAIR_MAIN, r->param->pairs, &pair, &n));
	SN_NEW(r->item, r->c.arena, int64_t, n);
	for (int64_t p = 0; p < n; p++) r->item[p] = pair[p].base; /* each member is the base of one direction */
	r->n_item = n;
	return SN_OK;
}

static sn_status erase_all(erase_run *r)
{
	sn_causal *c = &r->c;
	int n_label = 1 + r->n_draw, n = 0;
	int64_t *which, n_which;
	sn_erasure *erasure;
	SN_TRY(pick_items(r));
	SN_TRY(pick_prefixes(r, &which, &n_which));
	SN_NEW(r->eraser, c->arena, sn_eraser, (int64_t)c->n_spot * c->n_site * n_label);
	SN_NEW(erasure, c->arena, sn_erasure, (int64_t)c->n_spot * n_label);
	for (int s = 0; s < c->n_spot; s++) {
		if (r->ran[s] < 0) continue;
		sn_progress(c->ctx, "erasers", s, c->n_spot);
		SN_TRY(sn_poll(c->ctx));
		SN_TRY(add_erasures(r, s, which, n_which, erasure + n));
		r->ran[s] = n;
		n += n_label;
	}
	return sn_erase_run(&r->x, c->ctx, c->model, c->items, r->item, r->n_item, r->eraser, r->n_eraser, erasure, n,
						c->arena);
}

/* ---- what it cost ---- */

/* Replicates of X = 1 - S_erased / S for columns ld(c) of the erased runs; S on the same items. S is the mean over
 * frames and signs of n LD. */
static sn_status cost_of(const erase_run *r, const double *ld, int64_t stride, int n_col, sn_reps *x, sn_reps *s)
{
	const sn_causal *c = &r->c;
	sn_boot_items units;
	float *erased, *whole;
	SN_NEW(erased, c->arena, float, r->n_item * n_col);
	SN_NEW(whole, c->arena, float, r->n_item * n_col);
	for (int64_t i = 0; i < r->n_item; i++)
		for (int k = 0; k < n_col; k++) {
			double n = c->items->item[r->item[i]].n, after = ld[i * stride + k];
			erased[i * n_col + k] = (float)(n * after);
			whole[i * n_col + k] = isnan(after) ? NAN : (float)(n * r->x.base[i]);
		}
	SN_TRY(sn_causal_units(c, r->item, r->n_item, true, c->arena, &units));
	SN_TRY(sn_boot_mean(x, c->arena, c->boot, &units, erased, n_col, 0));
	SN_TRY(sn_boot_mean(s, c->arena, c->boot, &units, whole, n_col, 0));
	sn_reps_divide(x, s);
	sn_reps_affine(x, -1, 1);
	return SN_OK;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double percentile95(const double *x, int n, double *scratch)
{
	int kept = 0;
	for (int i = 0; i < n; i++)
		if (isfinite(x[i])) scratch[kept++] = x[i];
	qsort(scratch, (size_t)kept, sizeof *scratch, ascending);
	return kept ? sn_quantile_sorted(scratch, kept, 0.95) : NAN;
}

static sn_status write_spot(const erase_run *r, sn_result *out, int s, const sn_band *x, double sense, double control,
							double shift)
{
	const sn_causal *c = &r->c;
	const sn_band *gate = &r->gate[s];
	bool chooses = sense > least_s, complete = gate->high < r->param->threshold;
	bool given = chooses && complete && x;
	double floor = isnan(control) || isnan(shift) ? NAN : SN_MAX(control, shift);
	bool counts = given && x->sim_low > floor + clear_of_controls;
	return SN_ADD(out, 0, sn_text(c->site_name[s / c->n_place]), sn_text(c->place_name[s % c->n_place]),
				  sn_num(given ? x->point : NAN), sn_num(given ? x->sim_low : NAN), sn_num(given ? x->sim_high : NAN),
				  sn_num(chooses ? control : NAN), sn_num(chooses ? shift : NAN), sn_num(gate->point),
				  sn_num(gate->low), sn_num(gate->high), sn_num(r->before[s].point), !x ? sn_none() : sn_flag(complete),
				  !given || isnan(floor) ? sn_none() : sn_flag(counts));
}

/* Each spot has 1 + n_draw erasures - the label's, the controls' - and n_draw shifts. */
static sn_status write_rows(erase_run *r, sn_result *out, sn_band *sensitivity)
{
	int n_label = 1 + r->n_draw, ran = 0;
	sn_arena *arena = r->c.arena;
	sn_reps x, s, shifts, unused;
	sn_band *band;
	double *scratch;
	int *cell;
	SN_TRY(cost_of(r, r->x.ld, r->x.n_erasure, r->x.n_erasure, &x, &s));
	SN_TRY(cost_of(r, r->x.shift, r->x.n_shift, r->x.n_shift, &shifts, &unused));
	SN_NEW(cell, arena, int, r->c.n_spot);
	SN_NEW(scratch, arena, double, n_label);
	for (int p = 0; p < r->c.n_spot; p++)
		if (r->ran[p] >= 0) cell[ran++] = r->ran[p];
	sn_reps own;
	SN_TRY(sn_reps_select(&own, arena, &x, cell, ran));
	SN_NEW(band, arena, sn_band, SN_MAX(ran, 1));
	SN_TRY(sn_reps_bands(band, arena, &own, 0.95, NULL));
	for (int p = 0, k = 0; p < r->c.n_spot; p++) {
		bool has = r->ran[p] >= 0;
		double control = has ? percentile95(&x.point[r->ran[p] + 1], r->n_draw, scratch) : NAN;
		double shift = has ? percentile95(&shifts.point[r->ran[p] / n_label * r->n_draw], r->n_draw, scratch) : NAN;
		SN_TRY(write_spot(r, out, p, has ? &band[k] : NULL, sensitivity->low, control, shift));
		k += has;
	}
	return SN_OK;
}

static sn_status measure_sensitivity(erase_run *r, sn_band *out)
{
	sn_boot_items units;
	sn_reps s;
	float *value;
	SN_NEW(value, r->c.arena, float, r->n_item);
	for (int64_t i = 0; i < r->n_item; i++) value[i] = (float)(r->c.items->item[r->item[i]].n * r->x.base[i]);
	SN_TRY(sn_causal_units(&r->c, r->item, r->n_item, true, r->c.arena, &units));
	SN_TRY(sn_boot_mean(&s, r->c.arena, r->c.boot, &units, value, 1, 0));
	return sn_reps_bands(out, r->c.arena, &s, 0.95, NULL);
}

static sn_status say(const erase_run *r, sn_result *out, const sn_band *s)
{
	int incomplete = 0, spots = 0;
	for (int p = 0; p < r->c.n_spot; p++) {
		spots += r->ran[p] >= 0;
		incomplete += r->ran[p] >= 0 && !(r->gate[p].high < r->param->threshold);
	}
	SN_TRY(sn_result_say(out, "Sensitivity to the controller's feature without erasure: S = %.3f nats [%.3f, %.3f].",
						 s->point, s->low, s->high));
	if (isnan(s->low))
		SN_TRY(sn_result_limit(out, "S has no interval on so few words, so no X is given: use more pairs."));
	else if (!(s->low > least_s))
		SN_TRY(sn_result_limit(
			out, "The model makes no such choice (S's lower bound is not above %.1f nats): no X is given.", least_s));
	if (incomplete)
		SN_TRY(sn_result_limit(
			out,
			"Erasure is incomplete at %d of %d places: a fresh probe may still find %.2f bits; X is withheld there.",
			incomplete, spots, r->param->threshold));
	return SN_OK;
}

static sn_status run_all(erase_run *r, sn_result *out)
{
	sn_band s;
	SN_TRY(make_labels(r));
	SN_TRY(fit_all(r));
	sn_status status = erase_all(r);
	if (status != SN_OK && (status != SN_ECANCEL || !r->x.base)) return status;
	SN_TRY(measure_sensitivity(r, &s));
	SN_TRY(write_rows(r, out, &s));
	SN_TRY(SN_ADD(out, 1, sn_text("S"), sn_num(s.point), sn_num(s.low), sn_num(s.high), sn_text("nats")));
	SN_TRY(say(r, out, &s));
	return status;
}

sn_status sn_causal_erase(sn_ctx *ctx, sn_model *model, const sn_items *items, const sn_erase_param *param,
						  sn_result *out)
{
	sn_arena *arena;
	erase_run r = { .param = param };
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = sn_causal_open(&r.c, ctx, model, items, param->sites, (int)param->every, param->places, false,
									  (int)param->resamples, arena);
	if (status == SN_OK) status = run_all(&r, out);
	sn_arena_close(arena);
	return status;
}

static sn_status run(sn_ctx *ctx, const sn_input *input, const void *param, sn_result *out)
{
	sn_items *items;
	/* erasing changes each prefix on its own: the lengths of a pair's members do not matter */
	SN_TRY(sn_causal_items(&items, ctx, input, true, sn_result_arena(out)));
	return sn_causal_erase(ctx, input->model[0], items, param, out);
}

/* ---- the row ---- */

#define AT(field) offsetof(sn_erase_param, field)
static const sn_param params[] = {
	{ .name = "sites",
	  .help = "sites to erase at, * for every layer or head",
	  .type = SN_TYPE_TEXT,
	  .off = AT(sites),
	  .def = "blocks.*.hook_resid_post" },
	{ .name = "every",
	  .unit = "layers",
	  .help = "take every n-th layer of sites named with *",
	  .type = SN_TYPE_INT,
	  .off = AT(every),
	  .def = "3",
	  .min = 1,
	  .max = 1000 },
	{ .name = "places",
	  .help = "roles to erase at, 'onward' (all positions from the subject on), 'other', or all (the roles)",
	  .type = SN_TYPE_TEXT,
	  .off = AT(places),
	  .def = "all" },
	{ .name = "scope",
	  .help = "at: one site at a time; onward: the site and all later ones together (later heads re-read a subject), "
			  "each eraser fitted on what the earlier ones leave",
	  .type = SN_TYPE_TEXT,
	  .off = AT(scope),
	  .def = "at",
	  .choices = "at|onward" },
	{ .name = "label",
	  .help = "label to erase; default: the controller's feature",
	  .type = SN_TYPE_TEXT,
	  .off = AT(label) },
	{ .name = "pairs",
	  .unit = "pairs",
	  .help = "directed main pairs whose bases are scored, the same share of every frame; 0: all",
	  .type = SN_TYPE_INT,
	  .off = AT(pairs),
	  .def = "48",
	  .min = 0,
	  .max = 1e9 },
	{ .name = "draws",
	  .help = "draws of each control",
	  .type = SN_TYPE_INT,
	  .off = AT(draws),
	  .def = "20",
	  .min = 0,
	  .max = 1000 },
	{ .name = "threshold",
	  .unit = "bits",
	  .help = "what a fresh probe may still find after erasure",
	  .type = SN_TYPE_FLOAT,
	  .off = AT(threshold),
	  .def = "0.1",
	  .min = 0.001,
	  .max = 1 },
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
	{ .name = "cost", .unit = "share of S", .type = SN_TYPE_FLOAT, .role = SN_MEASURE },
	{ .name = "cost_low", .unit = "share of S", .of = "cost", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "cost_high", .unit = "share of S", .of = "cost", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "control_labels", .unit = "share of S", .type = SN_TYPE_FLOAT, .role = SN_MEASURE },
	{ .name = "control_random", .unit = "share of S", .type = SN_TYPE_FLOAT, .role = SN_MEASURE },
	{ .name = "left", .unit = "bits", .type = SN_TYPE_FLOAT, .role = SN_MEASURE, .better = -1 },
	{ .name = "left_low", .unit = "bits", .of = "left", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "left_high", .unit = "bits", .of = "left", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "before", .unit = "bits", .type = SN_TYPE_FLOAT, .role = SN_MEASURE },
	{ .name = "complete", .type = SN_TYPE_BOOL, .role = SN_MEASURE },
	{ .name = "counts", .type = SN_TYPE_BOOL, .role = SN_MEASURE },
};

static const sn_table tables[] = {
	{ .name = "cells",
	  .title = "What erasure costs the choice, by site and place",
	  .col = cell_columns,
	  .n_col = SN_COUNT(cell_columns),
	  .view = SN_VIEW_HEAT },
	{ .name = "choice",
	  .title = "What the model chooses",
	  .col = sn_causal_choice_columns,
	  .n_col = SN_CAUSAL_CHOICE_COLUMNS,
	  .view = SN_VIEW_TABLE },
};

const sn_method sn_method_causal_erase = {
	.family = "causal",
	.name = "erase",
	.brief = "LEACE erasure: does the choice need what is linearly encoded here?",
	.doc = "A label is erased, x <- x - Q (x - mean), Q being LEACE's projection fitted on probe prefixes without the "
		   "item's lemmas. "
		   "cost = 1 - S_erased / S with S = half the difference of mean LD between the controller's two values, on "
		   "the same frames; "
		   "bounds are 95 % simultaneous bands over cells from a bootstrap of lemmas. Controls, their 95th percentiles "
		   "over draws: "
		   "erasers of random labels of the subject's form (control_labels), and displacements of the same lengths "
		   "along random "
		   "directions (control_random); the cost counts if its lower bound is 0.05 above both. left: bits that a "
		   "probe trained afresh "
		   "inside the held-out lemmas finds on erased rows (before: on unerased ones); if its upper bound reaches the "
		   "threshold, "
		   "erasure is incomplete and the cost is withheld.",
	.cite =
		"Belrose et al. 2023 (arXiv:2306.03819); Hewitt & Liang 2019 (D19-1275); Bodnar et al. 2014 (arXiv:1308.2608)",
	.example = "sonde causal erase --model SmolLM2.gguf --data items.jsonl --places last --every 6",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params,
	.n_param = SN_COUNT(params),
	.param_size = sizeof(sn_erase_param),
	.table = tables,
	.n_table = SN_COUNT(tables),
	.run = run,
};
