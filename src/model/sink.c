/* Sinks that come with the library. */
#include "base/base.h"

#include <string.h>

static sn_status keep_take(sn_ctx *ctx, void *state, const sn_block *block)
{
	sn_keep *keep = state;
	int64_t d = block->x.dim[1];
	if (d != keep->d || block->first + block->m > keep->m)
		return sn_fail(ctx, SN_ESHAPE, "a keeping sink has room for [%lld, %lld]; places up to %lld of width %lld came",
		               (long long)keep->m, (long long)keep->d, (long long)(block->first + block->m), (long long)d);
	memcpy(keep->x + block->first * d, block->x.data, (size_t)(block->m * d) * sizeof(float));
	return SN_OK;
}

const sn_sink sn_sink_keep = { .size = sizeof(sn_keep), .take = keep_take };

static sn_status moments_take(sn_ctx *ctx, void *state, const sn_block *block)
{
	sn_moments *s = state;
	int64_t d = s->d;
	if (block->x.dim[1] != d)
		return sn_fail(ctx, SN_ESHAPE, "a moments sink for width %lld received %lld", (long long)d,
		               (long long)block->x.dim[1]);
	const float *x = block->x.data;
	for (int64_t i = 0; i < block->m; i++, x += d) {
		for (int64_t j = 0; j < d; j++) s->sum[j] += x[j];
		for (int64_t j = 0; s->outer && j < d; j++)
			for (int64_t k = 0; k < d; k++) s->outer[j * d + k] += (double)x[j] * x[k];
	}
	s->n += block->m;
	return SN_OK;
}

static sn_status moments_merge(sn_ctx *ctx, void *into, const void *next)
{
	sn_moments *a = into;
	const sn_moments *b = next;
	if (a->d != b->d || !a->outer != !b->outer)
		return sn_fail(ctx, SN_ESHAPE, "moments of different shapes cannot be merged");
	for (int64_t j = 0; j < a->d; j++) a->sum[j] += b->sum[j];
	for (int64_t j = 0; a->outer && j < a->d * a->d; j++) a->outer[j] += b->outer[j];
	a->n += b->n;
	return SN_OK;
}

const sn_sink sn_sink_moments = { .size = sizeof(sn_moments), .take = moments_take, .merge = moments_merge };
