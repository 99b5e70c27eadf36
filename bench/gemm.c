/* What the machine can do: GFLOP/s of packed float32 products at the sizes of SmolLM2.
 * usage: bench_gemm   prints one JSON line a shape: the best of several runs. */
#include "base/base.h"
#include "tensor/gemm.h"

#include <omp.h>
#include <time.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static sn_status bench_shape(sn_ctx *ctx, sn_gemm *gemm, int64_t m, int64_t n, int64_t k)
{
	sn_arena *arena;
	sn_packed *packed;
	float *w, *x, *y;
	SN_TRY(sn_arena_open(&arena, ctx));
	SN_NEW(w, arena, float, n * k);
	SN_NEW(x, arena, float, sn_gemm_room(m) * k);
	SN_NEW(y, arena, float, sn_gemm_room(m) * n);
	for (int64_t i = 0; i < n * k; i++) w[i] = (float)(i % 13) * 0.1f;
	for (int64_t i = 0; i < m * k; i++) x[i] = (float)(i % 7) * 0.1f;
	SN_TRY(sn_gemm_pack(&packed, gemm, w, n, k));
	double best = 1e9;
	for (int i = 0; i < 20; i++) {
		double start = now();
		SN_TRY(sn_gemm_run(gemm, packed, x, m, y));
		best = SN_MIN(best, now() - start);
	}
	printf("{\"what\": \"sgemm\", \"m\": %lld, \"n\": %lld, \"k\": %lld, \"gflop_s\": %.1f}\n", (long long)m,
	       (long long)n, (long long)k, 2e-9 * (double)m * (double)n * (double)k / best);
	sn_packed_free(gemm, packed);
	sn_arena_close(arena);
	return SN_OK;
}

int main(void)
{
	static const int64_t shape[][2] = { { 960, 576 }, { 576, 576 }, { 3072, 576 }, { 576, 1536 }, { 4096, 576 } },
		rows[] = { 32, 256, 1024 };
	sn_options options = { .size = sizeof options, .threads = 2 };
	sn_ctx *ctx;
	sn_gemm *gemm;
	if (sn_ctx_open(&ctx, &options) != SN_OK || sn_gemm_open(&gemm, ctx) != SN_OK) return 3;
	omp_set_num_threads(2);
	for (int i = 0; i < SN_COUNT(shape); i++)
		for (int j = 0; j < SN_COUNT(rows); j++)
			if (bench_shape(ctx, gemm, rows[j], shape[i][0], shape[i][1]) != SN_OK) return 1;
	sn_gemm_close(gemm);
	sn_ctx_close(ctx);
	return 0;
}
