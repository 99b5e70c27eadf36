/* LEACE's projection at each cell, fitted for each block of lemmas on the training lead-ins of all others. */
#include "methods/localize/localize.h"

#include "base/base.h"

#include <string.h>

/* The training rows of a cell outside a block, and their labels. */
static sn_status fit_rows(sn_rows *rows, double **z, const sn_evidence *ev, const sn_gather *g, int cell, int fold,
						  sn_arena *arena)
{
	int r = cell % g->n_role;
	int64_t m = 0, d = g->d;
	float *x = sn_arena_take(arena, sn_size3((size_t)g->n[r], (size_t)d, sizeof *x));
	SN_NEW(*z, arena, double, g->n[r]);
	if (!x) return SN_ENOMEM;
	for (int64_t i = 0; i < g->n[r]; i++) {
		const sn_item *item = &ev->items->item[g->item[r][i]];
		if (item->test_lead || item->fold == fold) continue;
		memcpy(x + m * d, g->x[cell] + i * d, (size_t)d * sizeof *x);
		(*z)[m++] = item->n;
	}
	*rows = (sn_rows){ .x = x, .n = m, .d = d };
	return SN_OK;
}

static sn_status project_cell(sn_leace *out, const sn_evidence *ev, const sn_gather *g, int cell, sn_arena *scratch)
{
	for (int f = 0; f < ev->items->n_fold; f++) {
		sn_mark mark = sn_arena_mark(scratch);
		sn_rows rows;
		double *z;
		SN_TRY(fit_rows(&rows, &z, ev, g, cell, f, scratch));
		SN_TRY(sn_leace_fit_rows(&out[f], ev->arena, &rows, z, 1, SN_SHRINK_LINEAR));
		sn_arena_reset(scratch, mark);
	}
	return SN_OK;
}

sn_status sn_localize_project(sn_evidence *ev, sn_ctx *ctx, const sn_gather *g)
{
	int n_cell = ev->n_layer * ev->n_role;
	SN_NEW(ev->projection, ev->arena, sn_leace, n_cell * ev->items->n_fold);
	sn_arena *scratch;
	SN_TRY(sn_arena_open(&scratch, ctx));
	sn_status status = SN_OK;
	for (int c = 0; c < n_cell && status == SN_OK; c++) {
		sn_progress(ctx, "projections", c, n_cell);
		if (g->n[c % g->n_role] > 0) status = project_cell(ev->projection + c * ev->items->n_fold, ev, g, c, scratch);
		if (status == SN_OK) status = sn_poll(ctx);
	}
	sn_arena_close(scratch);
	if (status == SN_OK) sn_progress(ctx, "projections", n_cell, n_cell);
	return status;
}
