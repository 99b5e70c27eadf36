#include "stats/gate.h"

#include <math.h>

enum { MOST_BLOCKS = 5, LEAST_BLOCKS = 3 };

/* Deals the lemmas of one block to inner blocks; rows of other blocks get -1. Returns the number of inner blocks. */
static int deal(int64_t n, int block, const int32_t *fold, const int32_t *lemma, int64_t *order, int32_t *inner)
{
	int64_t n_lemma = 0;
	for (int64_t i = 0; i < n; i++) {
		inner[i] = -1;
		if (fold[i] != block) continue;
		int64_t k = 0;
		while (k < n_lemma && order[k] != lemma[i]) k++;
		if (k == n_lemma) order[n_lemma++] = lemma[i];
		inner[i] = (int32_t)k;
	}
	int blocks = (int)SN_MIN(n_lemma, MOST_BLOCKS);
	for (int64_t i = 0; i < n; i++)
		if (inner[i] >= 0) inner[i] %= blocks;
	return blocks;
}

static sn_status gate_block(double *bits, sn_arena *scratch, sn_probe_plan *plan, const float *x, int32_t *row_fold)
{
	sn_probe_result result;
	plan->fold = row_fold;
	SN_TRY(sn_probe_cv(&result, scratch, plan, x));
	for (int64_t i = 0; i < plan->n; i++)
		if (row_fold[i] >= 0) bits[i] = result.bits[i];
	return SN_OK;
}

sn_status sn_gate_bits(double *bits, sn_arena *scratch, int64_t n, int64_t d, const float *x, int n_fold,
					   const int32_t *fold, const int32_t *lemma, const uint8_t *use, const int8_t *z)
{
	sn_mark start = sn_arena_mark(scratch);
	int32_t *inner;
	int64_t *order;
	SN_NEW(inner, scratch, int32_t, n);
	SN_NEW(order, scratch, int64_t, n);
	for (int64_t i = 0; i < n; i++) bits[i] = NAN;
	for (int block = 0; block < n_fold; block++) {
		sn_mark mark = sn_arena_mark(scratch);
		sn_probe_plan plan = { .n = n, .d = d, .use = use, .n_label = 1, .z = z };
		plan.n_fold = deal(n, block, fold, lemma, order, inner);
		if (plan.n_fold >= LEAST_BLOCKS) SN_TRY(gate_block(bits, scratch, &plan, x, inner));
		sn_arena_reset(scratch, mark);
	}
	sn_arena_reset(scratch, start);
	return SN_OK;
}
