/* Counter-based random draws: a strong 64-bit mix of (seed, key, counter), so a draw depends on its name and nothing
 * else. Mixer: the finaliser of SplitMix64 (Steele, Lea & Flood 2014) applied in three keyed rounds. */
#include "base/base.h"

#include <math.h>

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint64_t sn_rng_bits(uint64_t seed, uint64_t key, uint64_t counter)
{
	uint64_t z = mix(seed + 0x9e3779b97f4a7c15u);
	z = mix(z ^ (key + 0x9e3779b97f4a7c15u));
	return mix(z + counter * 0x9e3779b97f4a7c15u);
}

sn_rng sn_rng_make(uint64_t seed, uint64_t key) { return (sn_rng){ seed, key, 0 }; }

uint64_t sn_rng_next(sn_rng *rng) { return sn_rng_bits(rng->seed, rng->key, ++rng->counter); }

uint64_t sn_rng_below(sn_rng *rng, uint64_t n)
{
	SN_ASSERT(n > 0);
	uint64_t limit = UINT64_MAX - UINT64_MAX % n, bits;
	do bits = sn_rng_next(rng);
	while (bits >= limit);
	return bits % n;
}

double sn_rng_uniform(sn_rng *rng) { return (double)(sn_rng_next(rng) >> 11) * 0x1p-53; }

double sn_rng_normal(sn_rng *rng)
{
	double u = 1 - sn_rng_uniform(rng), v = sn_rng_uniform(rng);
	return sqrt(-2 * log(u)) * cos(6.283185307179586477 * v);
}

void sn_rng_permute(sn_rng *rng, int64_t *perm, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		int64_t j = (int64_t)sn_rng_below(rng, (uint64_t)i + 1);
		perm[i] = perm[j];
		perm[j] = i;
	}
}
