/* What a head does on the whole. */
#include "methods/attention/maps.h"
#include "stats/distance.h"

#include <math.h>
#include <stdlib.h>

static void add_query(const double *row, int32_t q, int32_t n_key, bool self, double *sum)
{
	double most = 0, distance = 0;
	for (int32_t k = 0; k < n_key; k++) {
		most = fmax(most, row[k]);
		distance += row[k] * abs(q - k);
	}
	sum[SN_TRAIT_CONFIDENCE] += most;
	sum[SN_TRAIT_ENTROPY] += sn_distribution_bits(row, n_key);
	sum[SN_TRAIT_DISTANCE] += self ? distance : NAN;
	sum[SN_TRAIT_SELF] += self ? row[q] : NAN;
	sum[SN_TRAIT_FIRST] += row[0];
}

int32_t sn_head_traits(const double *a, const sn_attn_side *query, const sn_attn_side *key, sn_attn_kind kind,
                       bool causal, double *sum)
{
	int32_t n = 0;
	for (int32_t q = 0; q < query->n_unit; q++) {
		const double *row = a + (int64_t)q * key->n_unit;
		bool one_key = key->n_unit == 1 || (causal && q == 0 && kind == SN_ATTN_SELF);
		if (query->added[q] || one_key || isnan(row[0])) continue;
		add_query(row, q, key->n_unit, kind != SN_ATTN_CROSS, sum);
		n++;
	}
	return n;
}
