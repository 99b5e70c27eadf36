/* Fitting erasers: the feature's and those of control labels, for each block of lemmas. */
#include "methods/localize/bank.h"

#include "base/base.h"

#include <string.h>

/* ---- the bank ---- */

int sn_bank_draws(const sn_evidence *ev, sn_erase_scope scope)
{
	return scope == SN_ERASE_CELL ? ev->options.n_erase_draw
								  : SN_MIN(ev->options.n_erase_draw, ev->options.n_wide_draw);
}

/* An upper bound on the erasers that the erased cells need. */
static int64_t room_for(const sn_evidence *ev)
{
	int64_t n = (int64_t)ev->n_layer * ev->n_role * (1 + ev->options.n_erase_draw);
	for (int t = 0; t < ev->n_erased; t++) {
		int64_t n_spot = (int64_t)(ev->n_layer - ev->erased[t].l) * (ev->n_role + 1);
		if (ev->erased[t].scope != SN_ERASE_CELL) n += n_spot * (1 + sn_bank_draws(ev, ev->erased[t].scope));
	}
	return n;
}

/* At most 256 prefixes with a training lead-in, drawn at random (every n-th would follow the rotation of the features):
 * they run once for each fold, label and wider erasure. */
static sn_status choose_prefixes(sn_bank *b)
{
	enum { MOST = 256 };
	const sn_evidence *ev = b->ev;
	int64_t n_fit = 0, *order, *fit;
	sn_rng rng = sn_rng_make(sn_ctx_seed(b->ctx), 0x5343525542);
	SN_NEW(fit, b->arena, int64_t, ev->n_probe);
	SN_NEW(order, b->arena, int64_t, ev->n_probe);
	SN_NEW(b->scrub, b->arena, int64_t, MOST);
	for (int64_t i = 0; i < ev->n_probe; i++)
		if (ev->test_slot[i] < 0) fit[n_fit++] = ev->probe[i];
	sn_rng_permute(&rng, order, n_fit);
	b->n_scrub = SN_MIN(n_fit, (int64_t)MOST);
	for (int64_t i = 0; i < b->n_scrub; i++) b->scrub[i] = fit[order[i]];
	return SN_OK;
}

static sn_status find_followers(sn_bank *b)
{
	const sn_items *items = b->ev->items;
	SN_NEW(b->follows, b->arena, bool, items->n_role);
	for (int r = 0; r < items->n_role; r++) {
		b->follows[r] = true;
		for (int64_t i = 0; i < items->n; i++) {
			const int32_t(*span)[2] = &items->span[i * items->n_role];
			b->follows[r] &= span[r][0] < 0 || span[r][0] >= span[0][0];
		}
	}
	return SN_OK;
}

sn_status sn_bank_open(sn_bank *b, sn_evidence *ev, sn_ctx *ctx, sn_model *model, const sn_gather *g, sn_arena *arena)
{
	int n_cell = ev->n_layer * ev->n_role, n_draw = ev->options.n_erase_draw;
	int8_t *control;
	*b = (sn_bank){ .ev = ev, .ctx = ctx, .model = model, .arena = arena, .g = g, .n_draw = n_draw };
	SN_TRY(sn_localize_control_labels(ev, sn_ctx_seed(ctx), n_draw, 0x45524100, arena, &control));
	b->control = control;
	SN_NEW(b->eraser, arena, sn_eraser, room_for(ev));
	SN_NEW(b->at_role, arena, int, n_cell);
	SN_NEW(b->at_all, arena, int, ev->n_layer);
	for (int c = 0; c < n_cell; c++) b->at_role[c] = -1;
	for (int l = 0; l < ev->n_layer; l++) b->at_all[l] = -1;
	SN_TRY(find_followers(b));
	return choose_prefixes(b);
}

/* ---- one place ---- */

/* Training rows outside a block with their labels: column 0 the feature, then the controls. */
static sn_status fit_rows(sn_rows *rows, double **z, const sn_bank *b, int cell, int fold, sn_arena *arena)
{
	const sn_gather *g = b->g;
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

static sn_status fit_fold(sn_bank *b, int cell, int fold, sn_tensor *tensor, int first, sn_arena *scratch)
{
	int n_fold = b->ev->items->n_fold, k = 1 + b->n_draw;
	sn_rows rows;
	double *z;
	sn_leace *q;
	SN_NEW(q, b->arena, sn_leace, k);
	SN_TRY(fit_rows(&rows, &z, b, cell, fold, scratch));
	SN_TRY(sn_leace_fit_each(q, b->arena, &rows, z, k, SN_SHRINK_LINEAR));
	for (int j = 0; j < k; j++) {
		b->eraser[first + j].spot = sn_spot_role(b->model, cell / b->g->n_role, cell % b->g->n_role);
		set_tensors(&b->eraser[first + j], tensor + j * 3 * n_fold, n_fold, fold, &q[j]);
	}
	return SN_OK;
}

static sn_status fit_cell(sn_bank *b, int cell)
{
	int n_fold = b->ev->items->n_fold, k = 1 + b->n_draw, first = b->n;
	sn_tensor *tensor;
	sn_arena *scratch;
	SN_NEW(tensor, b->arena, sn_tensor, k * 3 * n_fold);
	SN_TRY(sn_arena_open(&scratch, b->ctx));
	sn_status status = SN_OK;
	for (int f = 0; f < n_fold && status == SN_OK; f++) status = fit_fold(b, cell, f, tensor, first, scratch);
	sn_arena_close(scratch);
	b->at_role[cell] = first;
	b->n += k;
	return status;
}

/* ---- wider scopes ---- */

static void list_spots(const sn_bank *b, const sn_erased_cell *e, sn_spot *spot, int *n)
{
	int n_role = b->ev->n_role;
	*n = 0;
	for (int l = e->l; l < b->ev->n_layer; l++)
		for (int r = 0; r <= n_role; r++) {
			bool all = e->scope == SN_ERASE_ALL_ONWARDS, here = all ? r == n_role || b->follows[r] : r == e->r;
			if (!here) continue;
			spot[*n] = sn_spot_role(b->model, l, r < n_role ? r : 0);
			if (r == n_role) spot[*n].place = SN_PLACE_OTHER;
			++*n;
		}
}

/* Signs of label k of all items: the feature's, or those of a control label. */
static void set_signs(const sn_bank *b, int k, int8_t *z)
{
	const sn_items *items = b->ev->items;
	for (int64_t i = 0; i < items->n; i++) {
		const sn_item *item = &items->item[i];
		z[i] = k == 0 ? item->n : item->form < 0 ? 0 : b->control[(int64_t)(k - 1) * items->n_form + item->form];
	}
}

static sn_status fit_wide(sn_bank *b, const sn_erased_cell *e, int *n_each)
{
	const sn_evidence *ev = b->ev;
	sn_spot *spot;
	int8_t *z;
	SN_NEW(spot, b->arena, sn_spot, (ev->n_layer - e->l) * (ev->n_role + 1));
	SN_NEW(z, b->arena, int8_t, ev->items->n);
	list_spots(b, e, spot, n_each);
	for (int k = 0; k <= sn_bank_draws(ev, e->scope); k++) {
		set_signs(b, k, z);
		SN_TRY(sn_scrub(b->eraser + b->n, b->ctx, b->model, ev->items, b->scrub, b->n_scrub, spot, *n_each, z,
						sn_leace_fit_signs, b->arena));
		b->n += *n_each;
	}
	return SN_OK;
}

/* All positions from a layer on are the same places whichever role the cell is of. */
static int places_of_all(const sn_bank *b, int l)
{
	int n = 1;
	for (int r = 0; r < b->ev->n_role; r++) n += b->follows[r];
	return n * (b->ev->n_layer - l);
}

sn_status sn_bank_fit(sn_bank *b, const sn_erased_cell *e, int *first, int *n_each)
{
	int cell = e->l * b->ev->n_role + e->r;
	bool all = e->scope == SN_ERASE_ALL_ONWARDS;
	if (e->scope == SN_ERASE_CELL) {
		if (b->at_role[cell] < 0) SN_TRY(fit_cell(b, cell));
		*first = b->at_role[cell];
		*n_each = 1;
		return SN_OK;
	}
	*first = all && b->at_all[e->l] >= 0 ? b->at_all[e->l] : b->n;
	*n_each = places_of_all(b, e->l);
	if (*first < b->n) return SN_OK;
	if (all) b->at_all[e->l] = b->n;
	return fit_wide(b, e, n_each);
}
