/* The gate of an erasure: probes inside blocks of lemmas. */
#include "common/test.h"
#include "stats/gate.h"

#include <math.h>

enum { N = 240, D = 6, FOLDS = 3, LEMMAS = 12 };

typedef struct rows {
	float x[N * D];
	int32_t fold[N], lemma[N];
	uint8_t use[N];
	int8_t z[N];
} rows;

/* Lemma k is of block k % FOLDS; the label is in column 0 with the strength given, but with the sign of the block, so
 * that a probe from other blocks would be wrong. Last row pair of each lemma: test. */
static void fill(rows *r, double strength)
{
	sn_rng rng = sn_rng_make(1, 7);
	for (int i = 0; i < N; i++) {
		r->lemma[i] = i % LEMMAS;
		r->fold[i] = r->lemma[i] % FOLDS;
		r->use[i] = i / LEMMAS % 2 ? SN_USE_TEST : SN_USE_FIT;
		r->z[i] = sn_rng_below(&rng, 2) ? 1 : -1;
		for (int j = 0; j < D; j++) r->x[i * D + j] = (float)sn_rng_normal(&rng);
		r->x[i * D] += (float)(strength * r->z[i] * (r->fold[i] == 1 ? -1 : 1));
	}
}

static double mean_information(const double *bits, int64_t *n)
{
	double sum = 0;
	*n = 0;
	for (int i = 0; i < N; i++) {
		if (isnan(bits[i])) continue;
		sum += 1 + bits[i];
		++*n;
	}
	return sum / (double)*n;
}

static double gate(sn_ctx *ctx, const rows *r, int64_t *n)
{
	sn_arena *arena;
	double bits[N];
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	assert_ok(ctx, sn_gate_bits(bits, arena, N, D, r->x, FOLDS, r->fold, r->lemma, r->use, r->z));
	sn_arena_close(arena);
	return mean_information(bits, n);
}

static void finds_what_is_there_in_each_block(void **state)
{
	static rows r;
	int64_t n;
	fill(&r, 4);
	assert_true(gate(test_ctx(state), &r, &n) > 0.9);
	assert_int_equal(n, N / 2); /* rows of the test list only */
	fill(&r, 0);
	assert_true(gate(test_ctx(state), &r, &n) < 0.05);
}

static void blocks_of_two_lemmas_are_left_out(void **state)
{
	static rows r;
	int64_t n;
	fill(&r, 4);
	for (int i = 0; i < N; i++)
		if (r.fold[i] == 0) r.lemma[i] = r.lemma[i] % 2;
	gate(test_ctx(state), &r, &n);
	assert_int_equal(n, N / 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(finds_what_is_there_in_each_block),
										cmocka_unit_test(blocks_of_two_lemmas_are_left_out) };
	return cmocka_run_group_tests(tests, test_open, test_close);
}
