/* The gate of an erasure: does a fresh probe, inside the held-out lemmas, still find the feature on erased rows? */
#include "methods/localize/bank.h"

#include "base/base.h"
#include "stats/gate.h"

#include <math.h>
#include <string.h>

/* The rows of a cell with test lead-ins. */
typedef struct gate_rows {
	int64_t n, d, *slot; /* slot: place among the test prefixes */
	float *x;
	int32_t *fold, *lemma;
	int8_t *z;
	double *bits;
} gate_rows;

static sn_status take_rows(gate_rows *r, int64_t n, int64_t d, sn_arena *arena)
{
	*r = (gate_rows){ .d = d };
	SN_NEW(r->x, arena, float, sn_size3((size_t)n, (size_t)d, 1));
	SN_NEW(r->slot, arena, int64_t, n);
	SN_NEW(r->fold, arena, int32_t, n);
	SN_NEW(r->lemma, arena, int32_t, n);
	SN_NEW(r->z, arena, int8_t, n);
	SN_NEW(r->bits, arena, double, n);
	return SN_OK;
}

/* Fills the rows, each erased by the projection fitted without its block if asked. */
static void fill_rows(gate_rows *r, const sn_bank *b, const sn_erased_cell *e, bool erase)
{
	const sn_evidence *ev = b->ev;
	int cell = e->l * ev->n_role + e->r;
	for (int64_t i = 0; i < b->g->n[e->r]; i++) {
		const sn_item *item = &ev->items->item[b->g->item[e->r][i]];
		if (!item->test_lead) continue;
		float *x = r->x + r->n * r->d;
		memcpy(x, b->g->x[cell] + i * r->d, (size_t)r->d * sizeof *x);
		if (erase) sn_leace_erase(&ev->projection[cell * ev->items->n_fold + item->fold], x, 1, 0);
		r->fold[r->n] = item->fold;
		r->lemma[r->n] = item->lemma;
		r->z[r->n] = item->n;
		r->slot[r->n++] = ev->test_slot[b->g->item[e->r][i]];
	}
}

static sn_status gate_cell(float *bits, int n_column, const sn_bank *b, const sn_erased_cell *e, bool erase,
						   sn_arena *arena)
{
	gate_rows r;
	SN_TRY(take_rows(&r, b->g->n[e->r], b->g->d, arena));
	fill_rows(&r, b, e, erase);
	SN_TRY(sn_gate_bits(r.bits, arena, r.n, r.d, r.x, b->ev->items->n_fold, r.fold, r.lemma, NULL, r.z));
	for (int64_t i = 0; i < r.n; i++) bits[r.slot[i] * n_column] = (float)r.bits[i];
	return SN_OK;
}

static sn_status gate_bands(sn_quantity *out, sn_bank *b, bool erase, sn_arena *scratch)
{
	sn_evidence *ev = b->ev;
	int n = ev->n_erased;
	float *bits;
	SN_NEW(bits, ev->arena, float, ev->n_test * n);
	for (int64_t i = 0; i < ev->n_test * n; i++) bits[i] = NAN;
	for (int t = 0; t < n; t++) {
		sn_mark mark = sn_arena_mark(scratch);
		SN_TRY(gate_cell(bits + t, n, b, &ev->erased[t], erase, scratch));
		sn_arena_reset(scratch, mark);
		SN_TRY(sn_poll(sn_arena_ctx(scratch)));
	}
	return sn_localize_info(out, ev, bits, 1, n);
}

sn_status sn_bank_gates(sn_bank *b, sn_arena *scratch)
{
	sn_evidence *ev = b->ev;
	sn_quantity erased, before;
	SN_TRY(gate_bands(&erased, b, true, scratch));
	SN_TRY(gate_bands(&before, b, false, scratch));
	for (int t = 0; t < ev->n_erased; t++) {
		sn_erased_cell *e = &ev->erased[t];
		e->gate = erased.band[t];
		e->before = before.band[t];
		e->complete = e->gate.sim_high < ev->options.delta;
		e->counts = e->complete && e->x.sim_low > fmax(e->control_label, e->control_random) + 0.05;
	}
	return SN_OK;
}
