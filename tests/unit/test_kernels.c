/* Every level's kernels against plain double arithmetic; packed products against sums in double, and row by row
 * bitwise. */
#include "common/test.h"

#include "tensor/gemm.h"
#include "tensor/kernels.h"
#include "tensor/topk.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 301 };

static void fill(float *x, int64_t n, uint64_t key)
{
	sn_rng rng = sn_rng_make(7, key);
	for (int64_t i = 0; i < n; i++) x[i] = (float)sn_rng_normal(&rng);
}

static void assert_near(double a, double b) { assert_true(fabs(a - b) <= 2e-6 * (1 + fabs(b))); }

static double activation(sn_act act, double x)
{
	switch (act) {
	case SN_ACT_SILU: return x / (1 + exp(-x));
	case SN_ACT_GELU: return x * (1 + erf(x / sqrt(2))) / 2;
	case SN_ACT_GELU_TANH: return x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x))) / 2;
	case SN_ACT_RELU: return fmax(x, 0);
	case SN_ACT_TANH: return tanh(x);
	case SN_ACT_NONE: case SN_ACTS: break;
	}
	return x;
}

static void check_activations(const sn_kernels *k, const float *x, const float *w, int64_t n)
{
	float y[N];
	for (int act = 0; act < SN_ACTS; act++) {
		k->activate(y, x, w, n, (sn_act)act);
		for (int64_t i = 0; i < n; i++) assert_near(y[i], activation((sn_act)act, x[i]) * w[i]);
		k->activate(y, x, NULL, n, (sn_act)act);
		for (int64_t i = 0; i < n; i++) assert_near(y[i], activation((sn_act)act, x[i]));
	}
	memcpy(y, x, sizeof y);
	k->softcap(y, n, 0.7f);
	for (int64_t i = 0; i < n; i++) assert_near(y[i], 0.7 * tanh(x[i] / 0.7));
}

static void check_norm(const sn_kernels *k, const float *x, int64_t n)
{
	double sum = 0, square = 0;
	float mean, y[N];
	for (int64_t i = 0; i < n; i++) sum += x[i];
	for (int64_t i = 0; i < n; i++) square += (x[i] - sum / (double)n) * (x[i] - sum / (double)n);
	float scale = k->layer_scale(x, n, 1e-5, &mean);
	assert_near(mean, sum / (double)n);
	assert_near(scale, sqrt(square / (double)n + 1e-5));
	k->standardise(y, x, mean, scale, n);
	for (int64_t i = 0; i < n; i++) assert_near(y[i], (x[i] - sum / (double)n) / scale);
}

/* A spread in two pieces, the second from further on; what a divergence is summed from; counts. */
static void check_distribution(const sn_kernels *k, const float *x, const float *w, int64_t n)
{
	sn_spread s = { .max = -INFINITY };
	double all = 0, moment = 0, top = -INFINITY, gap = 0;
	float y[N];
	int64_t above = 0;
	k->spread(x, n / 3, &s);
	k->spread(x + n / 3, n - n / 3, &s);
	for (int64_t i = 0; i < n; i++) top = fmax(top, x[i]);
	for (int64_t i = 0; i < n; i++) {
		all += exp(x[i] - top);
		moment += exp(x[i] - top) * (x[i] - top);
		gap += exp(x[i] - top) * ((double)x[i] - w[i]);
		above += x[i] > x[n / 2];
	}
	assert_true(s.max == (float)top);
	assert_near(s.all, all);
	assert_near(s.moment, moment);
	k->exp_less(y, x, s.max, n);
	for (int64_t i = 0; i < n; i++) assert_near(y[i], exp(x[i] - top));
	assert_true(fabs(k->weighted_gap(y, x, w, n) - gap) <= 1e-5 * (1 + fabs(gap)));
	assert_int_equal(k->count_above(x, n, x[n / 2]), above);
	float lone[2] = { -INFINITY, 3 };
	s = (sn_spread){ .max = -INFINITY };
	k->spread(lone, 2, &s);
	assert_true(s.max == 3 && s.all == 1 && s.moment == 0);
}

static void check_level(const sn_kernels *k, int64_t n)
{
	float x[N], w[N], y[N];
	fill(x, n, 1);
	fill(w, n, 2);
	double dot = 0, square = 0;
	for (int64_t i = 0; i < n; i++) {
		dot += (double)x[i] * w[i];
		square += (double)x[i] * x[i];
	}
	assert_near(k->dot(x, w, n), dot);
	assert_near(k->rms_scale(x, n, 1e-5), sqrt(square / (double)n + 1e-5));
	check_activations(k, x, w, n);
	check_norm(k, x, n);
	check_distribution(k, x, w, n);
	float m = -INFINITY;
	double sum = 0, expected = 0;
	k->logsumexp(x, n / 2, &m, &sum);
	k->logsumexp(x + n / 2, n - n / 2, &m, &sum);
	for (int64_t i = 0; i < n; i++) expected += exp(x[i]);
	assert_near(m + log(sum), log(expected));
	memcpy(y, x, sizeof y);
	k->softmax(y, n);
	for (int64_t i = 0; i < n; i++) assert_near(y[i], exp(x[i]) / expected);
}

static void kernels_agree_with_double_arithmetic_on_every_level(void **state)
{
	(void)state;
	int levels = 0;
	for (const sn_kernels *k; (k = sn_kernels_at(levels)); levels++)
		for (int64_t n = 1; n <= N; n += n < 40 ? 1 : 87) check_level(k, n);
	assert_true(levels > 0);
	assert_ptr_equal(sn_kernels_get(), sn_kernels_at(levels - 1));
}

/* Few rows times a matrix in panels: against sums in double at widths around the vectors', on top of what stands there
 * or not, and every row bit for bit as alone; keys turned into such panels; and one query's scores, the same again. */
static void tiles_match_and_do_not_depend_on_company(void **state)
{
	(void)state;
	enum { K = 70, D = 83, WIDE = 96 };
	static float key[K * D], panels[WIDE * D], a[SN_TILE_ROWS * K], x[SN_TILE_ROWS * D];
	fill(key, K * D, 8);
	fill(a, SN_TILE_ROWS * K, 9);
	fill(x, SN_TILE_ROWS * D, 10);
	for (int level = 0; sn_kernels_at(level); level++) {
		const sn_kernels *k = sn_kernels_at(level);
		k->turn(panels, 0, key, D, 3, D);
		k->turn(panels, 3, key + 3 * D, D, K - 3, D);
		for (int j = 0; j < K; j++)
			for (int i = 0; i < D; i++)
				assert_true(panels[j / SN_PANEL * SN_PANEL * D + i * SN_PANEL + j % SN_PANEL] == key[j * D + i]);
		for (int rows = 1; rows <= SN_TILE_ROWS; rows++) {
			float y[SN_TILE_ROWS][D], z[SN_TILE_ROWS][WIDE], alone[WIDE], score[K];
			float *to[SN_TILE_ROWS], *scores[SN_TILE_ROWS];
			const float *from[SN_TILE_ROWS], *query[SN_TILE_ROWS];
			for (int r = 0; r < rows; r++) to[r] = y[r], scores[r] = z[r], from[r] = a + r * K, query[r] = x + r * D;
			for (int n = 1; n <= D; n += n < 48 ? 1 : 35) {
				memcpy(y, key, sizeof y);
				k->accumulate(to, from, rows, key, D, SN_PANEL, K, n, true);
				for (int r = 0; r < rows; r++)
					for (int j = 0; j < n; j++) {
						double sum = key[r * D + j];
						for (int i = 0; i < K; i++) sum += (double)a[r * K + i] * key[i * D + j];
						assert_true(fabs(y[r][j] - sum) < 1e-4);
					}
				for (int r = 0; r < rows && n < D; r++) assert_true(y[r][n] == key[r * D + n]);
			}
			k->accumulate(scores, query, rows, panels, SN_PANEL, SN_PANEL * D, D, K, false);
			for (int r = 0; r < rows; r++) {
				k->accumulate((float *[]){ alone }, query + r, 1, panels, SN_PANEL, SN_PANEL * D, D, K, false);
				assert_memory_equal(alone, z[r], K * sizeof *alone);
				k->scores(score, query[r], key, D, K, D, 1);
				assert_memory_equal(score, alone, K * sizeof *score);
				assert_near(score[K - 1], k->dot(query[r], key + (K - 1) * D, D));
			}
		}
	}
}

static void blocked_softmax_rows_are_zero(void **state)
{
	(void)state;
	float x[5] = { -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY };
	sn_kernels_get()->softmax(x, 5);
	for (int i = 0; i < 5; i++) assert_true(x[i] == 0);
}

static void rotation_keeps_lengths_and_turns_pairs(void **state)
{
	(void)state;
	float x[4] = { 1, 2, 3, 4 }, c[2] = { 0, 1 }, s[2] = { 1, 0 };
	sn_kernels_get()->rotate(x, c, s, 4);
	assert_true(x[0] == -3 && x[2] == 1 && x[1] == 2 && x[3] == 4);
}

enum { ROOM = 64 };   /* at least sn_gemm_room(1) */

static void products_match_and_do_not_depend_on_company(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_gemm *gemm;
	assert_ok(ctx, sn_gemm_open(&gemm, ctx));
	enum { K = 96, COLS = 130, ROWS = 1100 };
	static float w[COLS * K], x[(ROWS + ROOM) * K], y[(ROWS + ROOM) * COLS], one[ROOM * K], z[ROOM * COLS];
	fill(w, COLS * K, 3);
	fill(x, ROWS * K, 4);
	sn_packed *packed;
	assert_ok(ctx, sn_gemm_pack(&packed, gemm, w, COLS, K));
	assert_ok(ctx, sn_gemm_run(gemm, packed, x, ROWS, y));
	for (int64_t i = 0; i < ROWS; i += 53) {
		memcpy(one, x + i * K, K * sizeof *one);
		assert_ok(ctx, sn_gemm_run(gemm, packed, one, 1, z));
		assert_memory_equal(z, y + i * COLS, COLS * sizeof *z);
		for (int j = 0; j < COLS; j++) {
			double sum = 0;
			for (int k = 0; k < K; k++) sum += (double)x[i * K + k] * w[j * K + k];
			assert_true(fabs(sum - z[j]) < 1e-4);
		}
	}
	sn_packed_free(gemm, packed);
	sn_gemm_close(gemm);
}

/* A matrix packed as the transpose of its transpose gives the same products bit for bit; so does one whose rows came in
 * pieces, at sizes that fill no block of the layout. */
static void rows_and_columns_are_put_where_the_layout_has_them(void **state)
{
	static const int64_t size[][2] = { { 1, 1 }, { 5, 7 }, { 130, 96 }, { 67, 33 }, { 64, 16 } };
	enum { MOST = 130 * 96 };
	static float w[MOST], turned[MOST], x[ROOM * 96], y[3][ROOM * 130];
	(void)state;
	fill(w, MOST, 11);
	fill(x, 32 * 96, 12);
	for (int precision = SN_F32_PRECISION; precision <= SN_BF16_PRECISION; precision++) {
		sn_options options = { .size = sizeof options, .threads = 2, .precision = (sn_precision)precision };
		sn_ctx *ctx;
		sn_gemm *gemm;
		assert_int_equal(sn_ctx_open(&ctx, &options), SN_OK);
		assert_ok(ctx, sn_gemm_open(&gemm, ctx));
		for (int t = 0; t < SN_COUNT(size); t++) {
			int64_t n = size[t][0], k = size[t][1];
			sn_packed *packed[3];
			for (int64_t i = 0; i < n * k; i++) turned[i % k * n + i / k] = w[i];
			assert_ok(ctx, sn_gemm_pack(&packed[0], gemm, w, n, k));
			assert_ok(ctx, sn_gemm_pack_transposed(&packed[1], gemm, turned, k, n));
			assert_ok(ctx, sn_packed_make(&packed[2], gemm, n, k));
			for (int64_t i = 0; i < n; i += 3) sn_packed_put(gemm, packed[2], i, SN_MIN(n - i, 3), w + i * k);
			for (int i = 0; i < 3; i++) {
				assert_ok(ctx, sn_gemm_run(gemm, packed[i], x, 32, y[i]));
				assert_memory_equal(y[i], y[0], (size_t)(32 * n) * sizeof **y);
				sn_packed_free(gemm, packed[i]);
			}
			for (int64_t i = 0; i < 32 * n; i++) {
				double sum = 0;
				for (int64_t j = 0; j < k; j++) sum += (double)x[i / n * k + j] * w[i % n * k + j];
				assert_true(fabs(y[0][i] - sum) < (sn_gemm_precision(ctx) == SN_BF16_PRECISION ? 0.3 : 1e-3));
			}
		}
		sn_gemm_close(gemm);
		sn_ctx_close(ctx);
	}
}

/* Relative error of a product in a precision, against sums in double. */
static double error_of(sn_precision precision)
{
	enum { K = 576, COLS = 100, ROWS = 70 };
	static float w[COLS * K], x[(ROWS + ROOM) * K], y[(ROWS + ROOM) * COLS];
	sn_options options = { .size = sizeof options, .threads = 2, .precision = precision };
	sn_ctx *ctx;
	sn_gemm *gemm;
	sn_packed *packed;
	double diff = 0, norm = 0;
	assert_int_equal(sn_ctx_open(&ctx, &options), SN_OK);
	assert_ok(ctx, sn_gemm_open(&gemm, ctx));
	fill(w, COLS * K, 5);
	fill(x, ROWS * K, 6);
	assert_ok(ctx, sn_gemm_pack(&packed, gemm, w, COLS, K));
	assert_true(sn_packed_bytes(packed) >= (size_t)(COLS * K * sn_precision_bytes(sn_gemm_precision(ctx))));
	assert_ok(ctx, sn_gemm_run(gemm, packed, x, ROWS, y));
	for (int64_t i = 0; i < ROWS * COLS; i++) {
		double sum = 0;
		for (int k = 0; k < K; k++) sum += (double)x[i / COLS * K + k] * w[i % COLS * K + k];
		diff += (y[i] - sum) * (y[i] - sum);
		norm += sum * sum;
	}
	sn_packed_free(gemm, packed);
	sn_gemm_close(gemm);
	bool exact = sn_gemm_precision(ctx) == SN_F32_PRECISION;
	sn_ctx_close(ctx);
	double error = sqrt(diff / norm);
	if (exact) assert_true(error < 1e-6);
	return exact ? -error : error;
}

static void precisions_have_the_errors_that_they_state(void **state)
{
	(void)state;
	assert_true(error_of(SN_F32_PRECISION) < 0);
	double three = error_of(SN_BF16X3_PRECISION), one = error_of(SN_BF16_PRECISION);
	if (three < 0) return;   /* no bfloat16 here: float32, checked already */
	print_message("relative errors: bf16x3 %.1e, bf16 %.1e\n", three, one);
	assert_true(three < 1e-5 && one > 1e-3 && one < 5e-3);
}

static const float *sorted_by;

static int by_value_then_index(const void *a, const void *b)
{
	int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
	if (sorted_by[i] != sorted_by[j]) return sorted_by[i] < sorted_by[j] ? 1 : -1;
	return (i > j) - (i < j);
}

/* Against a full sort: random numbers, few different ones, ascending and descending ones, with NaN and infinities. */
static void the_largest_are_found_without_sorting(void **state)
{
	(void)state;
	enum { MOST = 1000, KINDS = 5 };
	static float x[MOST];
	static int32_t order[MOST], found[MOST + 1];
	for (int kind = 0; kind < KINDS; kind++)
		for (int n = 0; n <= MOST; n += n < 70 ? 1 : 310) {
			int numbers = 0;
			fill(x, n, (uint64_t)(20 + kind));
			for (int i = 0; i < n; i++) {
				if (kind == 1) x[i] = floorf(x[i]);
				else if (kind == 2) x[i] = (float)i;
				else if (kind == 3) x[i] = -(float)i;
				else if (kind == 4) x[i] = i % 3 == 0 ? NAN : i % 7 == 0 ? -INFINITY : i % 11 == 0 ? INFINITY : x[i];
				if (x[i] == x[i]) order[numbers++] = i;
			}
			sorted_by = x;
			qsort(order, (size_t)numbers, sizeof *order, by_value_then_index);
			static const int sizes[] = { 0, 1, 2, 10, 63, MOST };
			for (int t = 0; t < SN_COUNT(sizes); t++) {
				int64_t expected = SN_MIN(sizes[t], numbers);
				assert_int_equal(sn_topk(x, n, sizes[t], found), expected);
				assert_memory_equal(found, order, (size_t)expected * sizeof *found);
			}
		}
}

/* Columns of probabilities and the softmax's derivative, at widths around the vectors', against sums in double. */
static void softmax_goes_down_columns(void **state)
{
	(void)state;
	enum { LD = 40, K = 5 };
	static const int widths[] = { 1, 15, 16, 37 };
	for (int level = 0; sn_kernels_at(level); level++)
		for (int t = 0; t < 4; t++) {
			const sn_kernels *k = sn_kernels_at(level);
			float x[K * LD], u[K * LD], before[K * LD], change[K * LD], log_sum[LD];
			int n = widths[t];
			for (int i = 0; i < K * LD; i++) before[i] = x[i] = (float)((i * 37 % 23) - 11) * 0.7f;
			for (int i = 0; i < K * LD; i++) change[i] = u[i] = (float)((i * 53 % 19) - 9) * 0.3f;
			k->softmax_columns(x, LD, K, n, log_sum);
			k->softmax_curve(u, LD, x, LD, K, n);
			for (int i = 0; i < n; i++) {
				double sum = 0, mean = 0;
				for (int r = 0; r < K; r++) sum += exp(before[r * LD + i]);
				for (int r = 0; r < K; r++) mean += exp(before[r * LD + i]) / sum * change[r * LD + i];
				assert_true(fabs(log_sum[i] - log(sum)) < 1e-5);
				for (int r = 0; r < K; r++) {
					double p = exp(before[r * LD + i]) / sum;
					assert_true(fabs(x[r * LD + i] - p) < 1e-6);
					assert_true(fabs(u[r * LD + i] - p * (change[r * LD + i] - mean)) < 1e-5);
				}
			}
			for (int r = 0; r < K; r++)
				for (int i = n; i < LD; i++) assert_true(x[r * LD + i] == before[r * LD + i]);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernels_agree_with_double_arithmetic_on_every_level),
		cmocka_unit_test(tiles_match_and_do_not_depend_on_company),
		cmocka_unit_test(blocked_softmax_rows_are_zero),
		cmocka_unit_test(the_largest_are_found_without_sorting),
		cmocka_unit_test(softmax_goes_down_columns),
		cmocka_unit_test(rotation_keeps_lengths_and_turns_pairs),
		cmocka_unit_test(products_match_and_do_not_depend_on_company),
		cmocka_unit_test(rows_and_columns_are_put_where_the_layout_has_them),
		cmocka_unit_test(precisions_have_the_errors_that_they_state),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
