/* Quantities over cells: means over resampled lemmas, differences, bands. */
#include "methods/localize/localize.h"

#include <math.h>

sn_status sn_localize_quantity(sn_quantity *out, const sn_evidence *ev, const sn_boot_items *units, const float *x,
							   int n_layer, int n_col)
{
	*out = (sn_quantity){ .n_layer = n_layer, .n_col = n_col };
	return sn_boot_mean(&out->reps, ev->arena, ev->boot, units, x, n_layer * n_col, 0);
}

sn_status sn_localize_bands(sn_quantity *q, const sn_evidence *ev)
{
	SN_NEW(q->band, ev->arena, sn_band, q->n_layer * q->n_col);
	sn_arena *scratch;
	SN_TRY(sn_arena_open(&scratch, sn_arena_ctx(ev->arena)));
	sn_status status = sn_reps_bands(q->band, scratch, &q->reps, ev->options.level, NULL);
	sn_arena_close(scratch);
	return status;
}

sn_status sn_localize_spread(sn_quantity *out, const sn_evidence *ev, const sn_quantity *a, int n_layer)
{
	SN_ASSERT(a->n_layer >= 1);
	*out = (sn_quantity){ .n_layer = n_layer, .n_col = a->n_col };
	int *cell;
	SN_NEW(cell, ev->arena, int, n_layer * a->n_col);
	for (int c = 0; c < n_layer * a->n_col; c++) cell[c] = c % a->n_col;
	return sn_reps_select(&out->reps, ev->arena, &a->reps, cell, n_layer * a->n_col);
}

sn_status sn_localize_difference(sn_quantity *out, const sn_evidence *ev, const sn_quantity *a, const sn_quantity *b)
{
	SN_ASSERT(a->n_layer == b->n_layer && a->n_col == b->n_col);
	*out = (sn_quantity){ .n_layer = a->n_layer, .n_col = a->n_col };
	SN_TRY(sn_reps_copy(&out->reps, ev->arena, &a->reps));
	sn_reps_add(&out->reps, -1, &b->reps);
	return sn_localize_bands(out, ev);
}

/* ---- units of the bootstrap ---- */

sn_status sn_localize_item_units(sn_boot_items *out, const sn_evidence *ev, const int64_t *item, int64_t n, int label)
{
	const sn_items *items = ev->items;
	int32_t *subject, *attractor, *frame;
	SN_NEW(subject, ev->arena, int32_t, n);
	SN_NEW(attractor, ev->arena, int32_t, n);
	SN_NEW(frame, ev->arena, int32_t, n);
	for (int64_t i = 0; i < n; i++) {
		const sn_item *it = &items->item[item[i]];
		subject[i] = it->lemma;
		attractor[i] = it->attractor;
		frame[i] = it->frame;
		if (label >= 0) {
			int8_t z = items->z[item[i] * items->n_label + label];
			frame[i] = z ? 2 * it->frame + (z > 0) : -1;
		}
	}
	*out = (sn_boot_items){ .n = n,
							.subject = subject,
							.attractor = attractor,
							.frame = frame,
							.n_frame = label >= 0 ? 2 * items->n_frame : items->n_frame };
	return SN_OK;
}

/* Whether pairs of a kind have two subject lemmas each. */
static bool swapped(const sn_evidence *ev, sn_pair_kind kind)
{
	return kind == SN_PAIR_PLACEBO || (kind == SN_PAIR_MAIN && ev->swaps);
}

sn_status sn_localize_pair_units(sn_boot_items *out, const sn_evidence *ev, const int64_t *pair, int64_t n)
{
	int64_t *base;
	int32_t *partner;
	SN_NEW(base, ev->arena, int64_t, n);
	for (int64_t p = 0; p < n; p++) base[p] = ev->items->pair[pair[p]].base;
	SN_TRY(sn_localize_item_units(out, ev, base, n, -1));
	if (n == 0 || !swapped(ev, ev->items->pair[pair[0]].kind)) return SN_OK;
	SN_NEW(partner, ev->arena, int32_t, n);
	for (int64_t p = 0; p < n; p++) partner[p] = ev->items->item[ev->items->pair[pair[p]].source].lemma;
	out->partner = partner;
	out->attractor = NULL;
	return SN_OK;
}

sn_status sn_localize_pairs_of(const sn_evidence *ev, sn_pair_kind kind, int64_t **pair, int64_t *n)
{
	*n = 0;
	SN_NEW(*pair, ev->arena, int64_t, ev->items->n_pair);
	for (int64_t p = 0; p < ev->items->n_pair; p++)
		if (ev->items->pair[p].kind == kind) (*pair)[(*n)++] = p;
	return SN_OK;
}

sn_share sn_localize_share(const sn_evidence *ev, double value, int64_t n_lemma)
{
	sn_interval w = sn_wilson(value, (double)n_lemma, ev->options.level);
	return (sn_share){ value, w.low, w.high, n_lemma };
}

sn_status sn_localize_count_lemmas(const sn_evidence *ev, const int64_t *item, int64_t n, const float *x, int n_cell,
								   int64_t *count)
{
	bool *seen;
	for (int c = 0; c < n_cell; c++) {
		sn_mark mark = sn_arena_mark(ev->arena);
		SN_NEW(seen, ev->arena, bool, ev->items->n_lemma);
		count[c] = 0;
		for (int64_t i = 0; i < n; i++) {
			int32_t lemma = ev->items->item[item[i]].lemma;
			if (isnan(x[i * n_cell + c]) || seen[lemma]) continue;
			seen[lemma] = true;
			count[c]++;
		}
		sn_arena_reset(ev->arena, mark);
	}
	return SN_OK;
}
