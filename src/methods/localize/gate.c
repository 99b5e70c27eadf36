/* The gate of an erasure: does a fresh probe, inside the held-out lemmas, still find the feature on erased rows? */
#include "methods/localize/bank.h"

#include "base/base.h"
#include "stats/probe.h"

#include <math.h>
#include <string.h>

enum { GATE_FOLDS = 5 };

/* Rows of one block with test lead-ins: their vectors, erased with that block's eraser if asked. */
static sn_status gate_rows(sn_probe_plan *plan, float **x, int64_t **row, const sn_bank *b, const sn_erased_cell *e, int fold,
                           bool erase, sn_arena *arena)
{
	const sn_evidence *ev = b->ev;
	int64_t n = 0, d = b->g->d;
	int32_t *block;
	int8_t *z;
	*x = sn_arena_take(arena, sn_size3((size_t)b->g->n[e->r], (size_t)d, sizeof **x));
	SN_NEW(*row, arena, int64_t, b->g->n[e->r]);
	SN_NEW(block, arena, int32_t, b->g->n[e->r]);
	SN_NEW(z, arena, int8_t, b->g->n[e->r]);
	if (!*x) return SN_ENOMEM;
	int32_t *lemma_block, n_lemma = 0;
	SN_NEW(lemma_block, arena, int32_t, ev->items->n_lemma);
	for (int64_t i = 0; i < b->g->n[e->r]; i++) {
		const sn_item *item = &ev->items->item[b->g->item[e->r][i]];
		if (!item->test_lead || item->fold != fold) continue;
		if (lemma_block[item->lemma] == 0) lemma_block[item->lemma] = 1 + n_lemma++ % GATE_FOLDS;
		memcpy(*x + n * d, b->g->x[e->l * ev->n_role + e->r] + i * d, (size_t)d * sizeof **x);
		block[n] = lemma_block[item->lemma] - 1;
		z[n] = item->n;
		(*row)[n++] = ev->test_slot[b->g->item[e->r][i]];
	}
	if (erase) sn_leace_erase(&ev->projection[(e->l * ev->n_role + e->r) * ev->items->n_fold + fold], *x, n, 0);
	*plan = (sn_probe_plan){ .n = n, .d = d, .n_fold = SN_MIN(GATE_FOLDS, n_lemma), .fold = block, .n_label = 1, .z = z };
	return SN_OK;
}

static sn_status gate_block(float *bits, int n_column, const sn_bank *b, const sn_erased_cell *e, int fold, bool erase, sn_arena *arena)
{
	sn_probe_plan plan;
	sn_probe_result result;
	float *x;
	int64_t *row;
	SN_TRY(gate_rows(&plan, &x, &row, b, e, fold, erase, arena));
	if (plan.n_fold < 3) return SN_OK;   /* too few lemmas for inner folds: no value, so the gate cannot pass */
	SN_TRY(sn_probe_cv(&result, arena, &plan, x));
	for (int64_t i = 0; i < plan.n; i++) bits[row[i] * n_column] = (float)result.bits[i];
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
		for (int f = 0; f < ev->items->n_fold; f++) {
			sn_mark mark = sn_arena_mark(scratch);
			SN_TRY(gate_block(bits + t, n, b, &ev->erased[t], f, erase, scratch));
			sn_arena_reset(scratch, mark);
		}
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
