/* Products in bfloat16 against sums in double of the rounded numbers, a last panel that is not full, two callers. */
#include "common/test.h"

#include "tensor/half.h"

#include <math.h>
#include <stdlib.h>

enum { ROWS = 300, D = 70, PANEL = 128, PANELS = 3, MOST = 9 };

static double rounded(float x)
{
	uint16_t bits;
	sn_half_round(&x, 1, &bits);
	union {
		uint32_t u;
		float f;
	} v = { (uint32_t)bits << 16 };
	return v.f;
}

static void rounding_is_to_the_nearest(void **state)
{
	(void)state;
	assert_true(rounded(1) == 1 && rounded(-3.5f) == -3.5 && rounded(0) == 0);
	assert_true(rounded(1 + 0x1p-9f) == 1);                        /* a quarter of a step */
	assert_true(rounded(1 + 0x1p-8f) == 1);                        /* half a step: to the even one */
	assert_true(rounded(1 + 3 * 0x1p-8f) == 1 + 2 * 0x1p-7);       /* so here, upwards */
	assert_true(rounded(1 + 0x1p-8f + 0x1p-20f) == 1 + 0x1p-7);
}

static void fill(float *x, int64_t n, uint64_t key)
{
	sn_rng rng = sn_rng_make(5, key);
	for (int64_t i = 0; i < n; i++) x[i] = (float)sn_rng_normal(&rng);
}

static void check_scores(sn_half *half, int slot, int n_vec, const float *x, const float *w, const uint16_t *bits)
{
	float *score = malloc(sizeof(float) * MOST * PANEL);
	for (int64_t p = 0; p < PANELS; p++) {
		assert_int_equal(sn_half_scores(half, slot, p, n_vec, bits, score), SN_OK);
		for (int v = 0; v < n_vec; v++)
			for (int64_t i = 0; i < PANEL && p * PANEL + i < ROWS; i++) {
				double sum = 0;
				for (int j = 0; j < D; j++) sum += rounded(w[v * D + j]) * rounded(x[(p * PANEL + i) * D + j]);
				assert_true(fabs(score[v * PANEL + i] - sum) < 1e-4);
			}
	}
	free(score);
}

/* Sums of all panels are added to what is there; score holds zeros behind the last row. */
static void check_sums(sn_half *half, int slot, int n_vec, const float *x)
{
	float *score = malloc(sizeof(float) * PANELS * MOST * PANEL), sum[MOST * D];
	uint16_t *bits = malloc(sizeof(uint16_t) * PANELS * MOST * PANEL);
	fill(score, PANELS * MOST * PANEL, 3);
	for (int64_t p = 0; p < PANELS; p++)
		for (int v = 0; v < MOST; v++)
			for (int64_t i = SN_MAX(0, ROWS - p * PANEL); i < PANEL; i++) score[(p * MOST + v) * PANEL + i] = 0;
	sn_half_round(score, PANELS * MOST * PANEL, bits);
	for (int j = 0; j < n_vec * D; j++) sum[j] = 1;
	for (int64_t p = 0; p < PANELS; p++)
		assert_int_equal(sn_half_sums(half, slot, p, n_vec, bits + p * MOST * PANEL, sum), SN_OK);
	for (int v = 0; v < n_vec; v++)
		for (int j = 0; j < D; j++) {
			double want = 1;
			for (int64_t i = 0; i < ROWS; i++)
				want += rounded(score[(i / PANEL * MOST + v) * PANEL + i % PANEL]) * rounded(x[i * D + j]);
			assert_true(fabs(sum[v * D + j] - want) < 1e-3);
		}
	free(bits);
	free(score);
}

static void products_are_those_of_rounded_numbers(void **state)
{
	if (!sn_half_fast()) skip();
	sn_half *half;
	sn_arena *arena;
	assert_ok(test_ctx(state), sn_arena_open(&arena, test_ctx(state)));
	float *x = malloc(sizeof(float) * ROWS * D), w[MOST * D];
	uint16_t bits[MOST * D];
	fill(x, ROWS * D, 1);
	fill(w, MOST * D, 2);
	sn_half_round(w, MOST * D, bits);
	assert_ok(test_ctx(state), sn_half_open(&half, arena, x, ROWS, D, PANEL, 2, MOST));
	for (int n_vec = 1; n_vec <= MOST; n_vec += 4) {
		assert_ok(test_ctx(state), sn_half_prepare(half, n_vec));
#pragma omp parallel for num_threads(2)
		for (int slot = 0; slot < 2; slot++) {
			check_scores(half, slot, n_vec, x, w, bits);
			check_sums(half, slot, n_vec, x);
		}
	}
	sn_half_close(half);
	sn_half_close(NULL);
	sn_arena_close(arena);
	free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rounding_is_to_the_nearest),
		cmocka_unit_test(products_are_those_of_rounded_numbers),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
