/* Training variation: probes fitted anew on resampled lemmas. */
#include "methods/localize/localize.h"

#include "base/base.h"

#include <math.h>

/* I of one resample from held-out bits: the mean over frames of weighted means over test prefixes. */
static double info_of(const sn_evidence *ev, const sn_gather *g, int r, const float *bits, const float *weight,
					  double *sum, double *total)
{
	const sn_items *items = ev->items;
	for (int f = 0; f < items->n_frame; f++) sum[f] = total[f] = 0;
	for (int64_t i = 0; i < g->n[r]; i++) {
		const sn_item *item = &items->item[g->item[r][i]];
		if (!item->test_lead || isnan(bits[i])) continue;
		sum[item->frame] += (double)weight[i] * bits[i];
		total[item->frame] += weight[i];
	}
	double mean = 0;
	int n = 0;
	for (int f = 0; f < items->n_frame; f++)
		if (total[f] > 0) mean += sum[f] / total[f], n++;
	return n ? 1 + mean / n : NAN;
}

/* Weights [n_refit, n] of a role's prefixes: how often their lemmas were drawn. */
static sn_status draw_weights(float **weight, const sn_evidence *ev, const sn_gather *g, int r, sn_arena *arena)
{
	int64_t n = g->n[r];
	SN_NEW(*weight, arena, float, sn_size3((size_t)ev->options.n_refit, (size_t)n, 1));
	for (int b = 0; b < ev->options.n_refit; b++)
		for (int64_t i = 0; i < n; i++) {
			const sn_item *item = &ev->items->item[g->item[r][i]];
			(*weight)[b * n + i] = (float)sn_boot_weight(ev->boot, b, item->lemma, item->attractor);
		}
	return SN_OK;
}

static sn_status refit_cell(double *rep, int n_cell, sn_evidence *ev, const sn_gather *g, int cell, const int *which,
							sn_arena *arena)
{
	int r = cell % g->n_role, n_draw = ev->options.n_refit;
	int64_t n = g->n[r];
	float *weight, *bits;
	double *sum, *total;
	sn_probe_plan plan;
	SN_NEW(bits, arena, float, sn_size3((size_t)n_draw, (size_t)n, 1));
	SN_NEW(sum, arena, double, ev->items->n_frame);
	SN_NEW(total, arena, double, ev->items->n_frame);
	SN_TRY(draw_weights(&weight, ev, g, r, arena));
	SN_TRY(sn_localize_plan(&plan, ev, g, r, 1, arena));
	SN_TRY(sn_probe_resample(bits, &ev->n_unconverged, arena, &plan, g->x[cell], which, weight, n_draw));
	for (int b = 0; b < n_draw; b++)
		rep[(int64_t)b * n_cell + cell] = info_of(ev, g, r, bits + b * n, weight + b * n, sum, total);
	return SN_OK;
}

/* The first n resamples of a quantity that was not refitted. */
static sn_quantity first_resamples(const sn_quantity *q, int n)
{
	sn_quantity out = *q;
	out.reps.n_boot = n;
	return out;
}

static sn_status replace(sn_evidence *ev, double *rep)
{
	int n = ev->options.n_refit;
	ev->info.reps.rep = rep;
	ev->info.reps.n_boot = n;
	SN_TRY(sn_localize_bands(&ev->info, ev));
	ev->info_label[0] = ev->info;
	sn_quantity surface = first_resamples(&ev->surface, n), random = first_resamples(&ev->random, n);
	SN_TRY(sn_localize_difference(&ev->over_surface, ev, &ev->info, &surface));
	if (ev->random.n_layer) SN_TRY(sn_localize_difference(&ev->over_random, ev, &ev->info, &random));
	return SN_OK;
}

sn_status sn_localize_refit(sn_evidence *ev, sn_ctx *ctx, const sn_gather *g, const int *chosen)
{
	int n_cell = ev->n_layer * ev->n_role;
	double *rep;
	SN_NEW(rep, ev->arena, double, (int64_t)ev->options.n_refit * n_cell);
	sn_arena *scratch;
	SN_TRY(sn_arena_open(&scratch, ctx));
	sn_status status = SN_OK;
	for (int64_t i = 0; i < (int64_t)ev->options.n_refit * n_cell; i++) rep[i] = NAN;
	for (int c = 0; c < n_cell && status == SN_OK; c++) {
		sn_mark mark = sn_arena_mark(scratch);
		sn_progress(ctx, "refitted probes", c, n_cell);
		status = sn_poll(ctx);
		if (status == SN_OK && g->n[c % g->n_role] > 0)
			status = refit_cell(rep, n_cell, ev, g, c, chosen + c * ev->items->n_fold, scratch);
		sn_arena_reset(scratch, mark);
	}
	sn_arena_close(scratch);
	if (status == SN_OK) sn_progress(ctx, "refitted probes", n_cell, n_cell);
	return status == SN_OK ? replace(ev, rep) : status;
}
