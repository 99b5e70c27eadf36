/* Fitting erasers: the feature's and those of control labels, for each block of lemmas. */
#include "methods/localize/bank.h"

#include "base/base.h"

#include <string.h>

/* The vectors of all positions from the subject on, of prefixes with a training lead-in, as the rows of one role. */
static sn_status gather_onward(sn_gather *out, const sn_evidence *ev, sn_ctx *ctx, sn_model *model, sn_arena *arena)
{
	enum { MOST = 512 };
	int64_t *which, n = 0, n_fit = ev->n_probe - ev->n_test, step = (n_fit + MOST - 1) / MOST, seen = 0;
	SN_NEW(which, arena, int64_t, n_fit);
	for (int64_t i = 0; i < ev->n_probe; i++)
		if (ev->test_slot[i] < 0 && seen++ % step == 0) which[n++] = ev->probe[i];
	return sn_gather_onward(out, ctx, model, ev->items, which, n, 0, arena);
}

sn_status sn_bank_open(sn_bank *b, sn_evidence *ev, sn_ctx *ctx, sn_model *model, const sn_gather *g, sn_arena *arena)
{
	int n_cell = ev->n_layer * ev->n_role, n_draw = ev->options.n_erase_draw;
	int8_t *control;
	*b = (sn_bank){ .ev = ev, .arena = arena, .g = g, .n_draw = n_draw };
	SN_TRY(sn_localize_control_labels(ev, sn_ctx_seed(ctx), n_draw, 0x45524100, arena, &control));
	b->control = control;
	SN_NEW(b->eraser, arena, sn_eraser, (n_cell + ev->n_layer) * (1 + n_draw));
	SN_NEW(b->at_role, arena, int, n_cell);
	SN_NEW(b->at_onward, arena, int, ev->n_layer);
	for (int c = 0; c < n_cell; c++) b->at_role[c] = -1;
	for (int l = 0; l < ev->n_layer; l++) b->at_onward[l] = -1;
	if (!ev->options.erase_onwards) return SN_OK;
	sn_gather *onward;
	SN_NEW(onward, arena, sn_gather, 1);
	b->onward = onward;
	return gather_onward(onward, ev, ctx, model, arena);
}

/* Training rows outside a block with their labels: column 0 the feature, then the controls. */
static sn_status fit_rows(sn_rows *rows, double **z, const sn_bank *b, const sn_gather *g, int cell, int fold,
						  sn_arena *arena)
{
	int r = cell % g->n_role;
	int64_t m = 0, d = g->d, k = 1 + b->n_draw;
	float *x = sn_arena_take(arena, sn_size3((size_t)g->n[r], (size_t)d, sizeof *x));
	SN_NEW(*z, arena, double, g->n[r] * k);
	if (!x) return SN_ENOMEM;
	for (int64_t i = 0; i < g->n[r]; i++) {
		const sn_item *item = &b->ev->items->item[g->item[r][i]];
		if (item->test_lead || item->fold == fold || item->form < 0) continue;
		memcpy(x + m * d, g->x[cell] + i * d, (size_t)d * sizeof *x);
		(*z)[m * k] = item->n;
		for (int64_t j = 1; j < k; j++) (*z)[m * k + j] = b->control[(j - 1) * b->ev->items->n_form + item->form];
		m++;
	}
	*rows = (sn_rows){ .x = x, .n = m, .d = d };
	return SN_OK;
}

static void set_tensors(sn_eraser *eraser, sn_tensor *tensor, int n_fold, int fold, const sn_leace *q)
{
	tensor[fold] = sn_tensor_f32(q->mean32, -1, q->d);
	tensor[n_fold + fold] = sn_tensor_f32(q->u32, q->d, 1);
	tensor[2 * n_fold + fold] = sn_tensor_f32(q->v32, q->d, 1);
	eraser->mean = tensor;
	eraser->U = tensor + n_fold;
	eraser->V = tensor + 2 * n_fold;
}

/* Fits all erasers of a place unless that was done; *first receives their number. */
static sn_status fit_place(sn_bank *b, const sn_gather *g, int cell, const sn_spot *spot, int *first)
{
	if (*first >= 0) return SN_OK;
	*first = b->n;
	int n_fold = b->ev->items->n_fold, k = 1 + b->n_draw;
	sn_tensor *tensor;
	SN_NEW(tensor, b->arena, sn_tensor, k * 3 * n_fold);
	sn_arena *scratch;
	SN_TRY(sn_arena_open(&scratch, sn_arena_ctx(b->arena)));
	sn_status status = SN_OK;
	for (int f = 0; f < n_fold && status == SN_OK; f++) {
		sn_rows rows;
		double *z;
		sn_leace *q = SN_TAKE(b->arena, sn_leace, k);
		status = q ? fit_rows(&rows, &z, b, g, cell, f, scratch) : SN_ENOMEM;
		if (status == SN_OK) status = sn_leace_fit_each(q, b->arena, &rows, z, k, SN_SHRINK_LINEAR);
		for (int j = 0; j < k && status == SN_OK; j++) {
			b->eraser[*first + j].spot = *spot;
			set_tensors(&b->eraser[*first + j], tensor + j * 3 * n_fold, n_fold, f, &q[j]);
		}
	}
	sn_arena_close(scratch);
	b->n += k;
	return status;
}

sn_status sn_bank_role(sn_bank *b, int l, int r, int *first)
{
	sn_spot spot = sn_spot_role(l, b->ev->n_layer - 1, r);
	int cell = l * b->ev->n_role + r;
	SN_TRY(fit_place(b, b->g, cell, &spot, &b->at_role[cell]));
	*first = b->at_role[cell];
	return SN_OK;
}

sn_status sn_bank_onward(sn_bank *b, int l, int *first)
{
	sn_spot spot = sn_spot_role(l, b->ev->n_layer - 1, 0);
	spot.place = SN_PLACE_ONWARD;
	SN_TRY(fit_place(b, b->onward, l, &spot, &b->at_onward[l]));
	*first = b->at_onward[l];
	return SN_OK;
}
