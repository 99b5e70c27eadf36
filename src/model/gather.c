/* Gathering residual streams: one tap for each layer boundary and role, and one for the norms at each boundary. */
#include "model/gather.h"

#include "model/model.h"
#include "model/prefix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t sn_gather_bytes(const sn_model *model, int64_t n, int n_role)
{
	const sn_model_info *info = sn_model_get_info(model);
	return sn_size3((size_t)(info->n_layer + 1) * (size_t)n_role, (size_t)n, (size_t)info->d_model * sizeof(float));
}

sn_site sn_boundary_site(const sn_model *model, int l)
{
	int n_block = model->shape.n_layer;
	bool normed = model->shape.form.post_norm;
	if (l < n_block) return (sn_site){ .kind = SN_SITE_RESID_PRE, .layer = (int16_t)l };
	return (sn_site){ .kind = (uint16_t)(normed ? SN_SITE_NORMALIZED_RESID_POST : SN_SITE_RESID_POST),
	                  .layer = (int16_t)(n_block - 1) };
}

sn_status sn_gather_batch(sn_batch *out, const sn_items *items, const int64_t *which, int64_t n_which, sn_arena *arena)
{
	int64_t total = 0;
	for (int64_t i = 0; i < n_which; i++) total += items->start[which[i] + 1] - items->start[which[i]];
	int32_t *token, (*span)[2];
	int64_t *start, *item;
	SN_NEW(token, arena, int32_t, total);
	SN_NEW(start, arena, int64_t, n_which + 1);
	SN_NEW(item, arena, int64_t, n_which);
	span = sn_arena_take(arena, sn_size3((size_t)n_which, (size_t)items->n_role, sizeof *span));
	if (!span) return SN_ENOMEM;
	for (int64_t i = 0; i < n_which; i++) {
		int64_t from = items->start[which[i]], length = items->start[which[i] + 1] - from;
		memcpy(token + start[i], items->token + from, (size_t)length * sizeof *token);
		if (items->n_role > 0)
			memcpy(span[i * items->n_role], items->span[which[i] * items->n_role],
			       (size_t)items->n_role * sizeof *span);
		start[i + 1] = start[i] + length;
		item[i] = which[i];
	}
	*out = (sn_batch){ .n = (int32_t)n_which, .token = token, .start = start, .item = item,
	                   .span = (const int32_t(*)[2])span, .n_span = items->n_role };
	return SN_OK;
}

/* ---- norms at every position, without keeping the vectors ---- */

/* Of places that no earlier row shares. */
typedef struct norms {
	float *norm;             /* [m] NaN at a row's first position */
	int64_t m, taken;
	bool last;               /* boundary of a step: tells how far the run is */
} norms;

static sn_status take_norms(sn_ctx *ctx, void *state, const sn_block *block)
{
	norms *s = state;
	SN_ASSERT(block->first + block->m <= s->m);
	int64_t d = block->x.dim[1];
	for (int64_t i = 0; i < block->m; i++) {
		const float *x = (const float *)block->x.data + i * block->x.stride[0];
		double sum = 0;
		for (int64_t j = 0; j < d; j++) sum += (double)x[j] * x[j];
		s->norm[block->first + i] = block->pos[i] ? (float)sqrt(sum) : NAN;
	}
	s->taken += block->m;
	if (s->last) sn_progress(ctx, "reading residual streams", s->taken, s->m);
	return SN_OK;
}

static const sn_sink norms_sink = { .size = sizeof(norms), .take = take_norms };

static int ascending(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

/* Sorts v; NaN are left out. Returns NaN for none. */
static double median(float *v, int64_t n)
{
	int64_t m = 0;
	for (int64_t i = 0; i < n; i++)
		if (!isnan(v[i])) v[m++] = v[i];
	if (m == 0) return NAN;
	qsort(v, (size_t)m, sizeof *v, ascending);
	return 0.5 * ((double)v[(m - 1) / 2] + v[m / 2]);
}

static sn_status cell_norms(sn_gather *g, sn_arena *arena)
{
	sn_mark mark = sn_arena_mark(arena);
	for (int c = 0; c < g->n_layer * g->n_role; c++) {
		int64_t n = g->n[c % g->n_role];
		float *norm;
		SN_NEW(norm, arena, float, n);
		for (int64_t i = 0; i < n; i++) {
			double sum = 0;
			for (int64_t j = 0; j < g->d; j++) sum += (double)g->x[c][i * g->d + j] * g->x[c][i * g->d + j];
			norm[i] = (float)sqrt(sum);
		}
		g->norm[c] = median(norm, n);
		sn_arena_reset(arena, mark);
	}
	return SN_OK;
}

/* Places of the batch at which a row does not share what its parent has. */
static sn_status list_own(int64_t **list, int64_t *n, const sn_batch *batch, sn_arena *arena)
{
	SN_NEW(*list, arena, int64_t, batch->start[batch->n]);
	*n = 0;
	for (int32_t b = 0; b < batch->n; b++)
		for (int64_t t = batch->start[b] + (batch->fork ? batch->fork[b] : 0); t < batch->start[b + 1]; t++)
			(*list)[(*n)++] = t;
	return SN_OK;
}

/* The median over all places: what rows share counts in each. norm: of own places; all: [tokens] room. */
static double layer_median(const sn_batch *batch, const float *norm, float *all)
{
	for (int32_t b = 0; b < batch->n; b++) {
		int64_t start = batch->start[b], shared = batch->fork ? batch->fork[b] : 0;
		for (int64_t t = 0; t < batch->start[b + 1] - start; t++)
			all[start + t] = t < shared ? all[batch->start[batch->parent[b]] + t] : *norm++;
	}
	return median(all, batch->start[batch->n]);
}

/* ---- the run ---- */

static sn_status list_rows(sn_gather *g, const sn_items *items, const int64_t *which, int64_t n_which, sn_arena *arena)
{
	for (int r = 0; r < g->n_role; r++) {
		SN_NEW(g->item[r], arena, int64_t, n_which);
		for (int64_t i = 0; i < n_which; i++)
			if (items->span[which[i] * items->n_role + g->role0 + r][0] >= 0) g->item[r][g->n[r]++] = which[i];
		for (int l = 0; l < g->n_layer; l++) {
			g->x[l * g->n_role + r] = sn_arena_take(arena, sn_size3((size_t)g->n[r], (size_t)g->d, sizeof(float)));
			if (!g->x[l * g->n_role + r]) return SN_ENOMEM;
		}
	}
	return SN_OK;
}

static sn_status open_gather(sn_gather *out, const sn_model *model, int role0, int n_role, sn_arena *arena)
{
	const sn_model_info *info = sn_model_get_info(model);
	*out = (sn_gather){ .n_layer = info->n_layer + 1, .n_role = n_role, .role0 = role0, .d = info->d_model };
	SN_NEW(out->n, arena, int64_t, n_role);
	SN_NEW(out->item, arena, int64_t *, n_role);
	SN_NEW(out->x, arena, float *, out->n_layer * n_role);
	SN_NEW(out->norm, arena, double, out->n_layer * n_role);
	SN_NEW(out->layer_norm, arena, double, out->n_layer);
	return SN_OK;
}

typedef struct run {
	sn_batch batch;
	int64_t *own, n_own;
	norms *norm;         /* [n_layer] */
	sn_tap *tap;
	int n_tap;
} run;

/* Of a causal model, prefixes that rows share are computed once. */
static sn_status open_run(run *r, const sn_gather *g, sn_model *model, const sn_items *items, const int64_t *which,
                          int64_t n_which, sn_arena *arena)
{
	*r = (run){ 0 };
	SN_TRY(sn_gather_batch(&r->batch, items, which, n_which, arena));
	if (sn_model_get_info(model)->causal) SN_TRY(sn_share_prefixes(&r->batch, arena));
	SN_TRY(list_own(&r->own, &r->n_own, &r->batch, arena));
	SN_NEW(r->norm, arena, norms, g->n_layer);
	SN_NEW(r->tap, arena, sn_tap, g->n_layer * (g->n_role + 1));
	return SN_OK;
}

static sn_status tap_layer(run *r, const sn_gather *g, const sn_model *model, int l, sn_arena *arena)
{
	sn_site at = sn_boundary_site(model, l);
	sn_keep *keep;
	SN_NEW(keep, arena, sn_keep, g->n_role);
	for (int k = 0; k < g->n_role; k++) {
		if (g->n[k] == 0) continue;
		keep[k] = (sn_keep){ .x = g->x[l * g->n_role + k], .m = g->n[k], .d = g->d };
		r->tap[r->n_tap++] = (sn_tap){ .at = at, .where = { .sel = SN_SPAN_LAST, .arg = g->role0 + k },
		                               .sink = &sn_sink_keep, .state = &keep[k] };
	}
	r->norm[l] = (norms){ .m = r->n_own, .last = l == g->n_layer - 1 };
	SN_NEW(r->norm[l].norm, arena, float, r->n_own);
	r->tap[r->n_tap++] = (sn_tap){ .at = at, .where = { .sel = SN_LIST, .list = r->own, .n_list = r->n_own },
	                               .sink = &norms_sink, .state = &r->norm[l] };
	return SN_OK;
}

static sn_status run_layers(sn_gather *g, sn_ctx *ctx, sn_model *model, run *r, sn_arena *arena)
{
	for (int l = 0; l < g->n_layer; l++) SN_TRY(tap_layer(r, g, model, l, arena));
	sn_plan plan = { .size = sizeof plan, .n_tap = r->n_tap, .tap = r->tap };
	SN_TRY(sn_run(ctx, model, &r->batch, &plan, NULL, NULL));
	float *all;
	SN_NEW(all, arena, float, r->batch.start[r->batch.n]);
	for (int l = 0; l < g->n_layer; l++) g->layer_norm[l] = layer_median(&r->batch, r->norm[l].norm, all);
	return SN_OK;
}

sn_status sn_gather_residuals(sn_gather *out, sn_ctx *ctx, sn_model *model, const sn_items *items, const int64_t *which,
                              int64_t n_which, int role0, int n_role, sn_arena *arena)
{
	run r;
	SN_TRY(open_gather(out, model, role0, n_role, arena));
	SN_TRY(list_rows(out, items, which, n_which, arena));
	sn_mark mark = sn_arena_mark(arena);
	SN_TRY(open_run(&r, out, model, items, which, n_which, arena));
	SN_TRY(run_layers(out, ctx, model, &r, arena));
	sn_arena_reset(arena, mark);
	return cell_norms(out, arena);
}
