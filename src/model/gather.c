/* Gathering residual streams: one tap for each layer boundary and role, and one for the norms at each boundary. */
#include "model/gather.h"

#include "model/model.h"

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

typedef struct norms {
	float *norm;             /* NaN at a row's first position */
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

sn_status sn_gather_residuals(sn_gather *out, sn_ctx *ctx, sn_model *model, const sn_items *items, const int64_t *which,
                              int64_t n_which, int role0, int n_role, sn_arena *arena)
{
	SN_TRY(open_gather(out, model, role0, n_role, arena));
	SN_TRY(list_rows(out, items, which, n_which, arena));
	sn_mark mark = sn_arena_mark(arena);
	sn_batch batch;
	SN_TRY(sn_gather_batch(&batch, items, which, n_which, arena));
	int n_tap = 0;
	sn_tap *tap;
	sn_keep *keep;
	norms *norm;
	SN_NEW(tap, arena, sn_tap, out->n_layer * (n_role + 1));
	SN_NEW(keep, arena, sn_keep, out->n_layer * n_role);
	SN_NEW(norm, arena, norms, out->n_layer);
	for (int l = 0; l < out->n_layer; l++) {
		sn_site at = sn_boundary_site(model, l);
		for (int r = 0; r < n_role; r++) {
			if (out->n[r] == 0) continue;
			int c = l * n_role + r;
			keep[c] = (sn_keep){ .x = out->x[c], .m = out->n[r], .d = out->d };
			tap[n_tap++] = (sn_tap){ .at = at, .where = { .sel = SN_SPAN_LAST, .arg = role0 + r },
			                         .sink = &sn_sink_keep, .state = &keep[c] };
		}
		norm[l] = (norms){ .m = batch.start[batch.n], .last = l == out->n_layer - 1 };
		SN_NEW(norm[l].norm, arena, float, norm[l].m);
		tap[n_tap++] = (sn_tap){ .at = at, .where = { .sel = SN_ALL }, .sink = &norms_sink, .state = &norm[l] };
	}
	sn_plan plan = { .size = sizeof plan, .n_tap = n_tap, .tap = tap };
	SN_TRY(sn_run(ctx, model, &batch, &plan, NULL, NULL));
	for (int l = 0; l < out->n_layer; l++) out->layer_norm[l] = median(norm[l].norm, norm[l].m);
	sn_arena_reset(arena, mark);
	return cell_norms(out, arena);
}
