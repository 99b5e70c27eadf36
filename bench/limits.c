/* What the machine can do, to hold the other figures against: GFLOP/s of oneDNN's matrix products in float32 and
 * bfloat16 (square, weights in the layout it prefers), and GB/s of a triad a <- b + s c over arrays that no cache holds
 * (24 bytes moved for each element, as STREAM counts).
 * usage: bench_limits [THREADS]   prints one JSON line; each figure is the best of the rounds. */
#include <dnnl.h>
#include <omp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SIDE = 2048, ROUNDS = 8, TRIAD = 1 << 25 };

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check(dnnl_status_t status, const char *what)
{
	if (status == dnnl_success) return;
	fprintf(stderr, "bench_limits: oneDNN failed with status %d (%s)\n", (int)status, what);
	exit(1);
}

#define CHECK(call) check((call), #call)

/* A square matrix of small numbers; bfloat16 keeps the upper half of a float32. */
static dnnl_memory_t matrix(dnnl_engine_t engine, const dnnl_memory_desc_t *desc, dnnl_data_type_t type)
{
	dnnl_memory_t memory;
	void *bytes;
	CHECK(dnnl_memory_create(&memory, desc, engine, DNNL_MEMORY_ALLOCATE));
	CHECK(dnnl_memory_get_data_handle(memory, &bytes));
	for (int64_t i = 0; i < (int64_t)SIDE * SIDE; i++) {
		float value = (float)(i % 17) * 0.125f;
		uint32_t bits;
		memcpy(&bits, &value, sizeof bits);
		if (type == dnnl_bf16) ((uint16_t *)bytes)[i] = (uint16_t)(bits >> 16);
		else ((float *)bytes)[i] = value;
	}
	return memory;
}

static dnnl_primitive_desc_t describe(dnnl_engine_t engine, dnnl_data_type_t type, dnnl_memory_desc_t *x,
                                      dnnl_memory_desc_t *y)
{
	dnnl_dims_t dims = { SIDE, SIDE };
	dnnl_memory_desc_t w;
	dnnl_matmul_desc_t matmul;
	dnnl_primitive_desc_t desc;
	CHECK(dnnl_memory_desc_init_by_tag(x, 2, dims, type, dnnl_ab));
	CHECK(dnnl_memory_desc_init_by_tag(y, 2, dims, dnnl_f32, dnnl_ab));
	CHECK(dnnl_memory_desc_init_by_tag(&w, 2, dims, type, dnnl_format_tag_any));
	CHECK(dnnl_matmul_desc_init(&matmul, x, &w, NULL, y));
	CHECK(dnnl_primitive_desc_create(&desc, &matmul, NULL, engine, NULL));
	return desc;
}

static double gemm_gflops(dnnl_data_type_t type)
{
	dnnl_engine_t engine;
	dnnl_stream_t stream;
	dnnl_memory_desc_t x_desc, y_desc;
	dnnl_primitive_t primitive;
	CHECK(dnnl_engine_create(&engine, dnnl_cpu, 0));
	CHECK(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags));
	dnnl_primitive_desc_t desc = describe(engine, type, &x_desc, &y_desc);
	CHECK(dnnl_primitive_create(&primitive, desc));
	dnnl_memory_t x = matrix(engine, &x_desc, type),
				  w = matrix(engine, dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0), type),
				  y = matrix(engine, &y_desc, dnnl_f32);
	dnnl_exec_arg_t args[] = { { DNNL_ARG_SRC, x }, { DNNL_ARG_WEIGHTS, w }, { DNNL_ARG_DST, y } };
	double best = 1e9;
	for (int i = 0; i <= ROUNDS; i++) { /* the first one warms up */
		double start = now();
		CHECK(dnnl_primitive_execute(primitive, stream, 3, args));
		CHECK(dnnl_stream_wait(stream));
		double seconds = now() - start;
		if (i > 0 && seconds < best) best = seconds;
	}
	dnnl_memory_destroy(x);
	dnnl_memory_destroy(w);
	dnnl_memory_destroy(y);
	dnnl_primitive_destroy(primitive);
	dnnl_primitive_desc_destroy(desc);
	dnnl_stream_destroy(stream);
	dnnl_engine_destroy(engine);
	return 2e-9 * SIDE * SIDE * SIDE / best;
}

static double triad_gb_s(void)
{
	double *a = malloc(TRIAD * sizeof *a), *b = malloc(TRIAD * sizeof *b), *c = malloc(TRIAD * sizeof *c);
	if (!a || !b || !c) {
		fprintf(stderr, "bench_limits: out of memory\n");
		exit(3);
	}
	/* touched first by the threads that use them */
#pragma omp parallel for schedule(static)
	for (int64_t i = 0; i < TRIAD; i++) {
		a[i] = 0;
		b[i] = 1;
		c[i] = 2;
	}
	double best = 1e9;
	for (int round = 0; round < ROUNDS; round++) {
		double start = now();
#pragma omp parallel for simd schedule(static)
		for (int64_t i = 0; i < TRIAD; i++) a[i] = b[i] + 3 * c[i];
		double seconds = now() - start;
		if (seconds < best) best = seconds;
	}
	double gb_s = 1e-9 * 24 * TRIAD / best;
	if (a[TRIAD / 2] != 7) gb_s = 0; /* keeps the loop from being removed */
	free(a);
	free(b);
	free(c);
	return gb_s;
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 2;
	if (argc > 2 || threads < 1) {
		fprintf(stderr, "usage: bench_limits [THREADS]\n");
		return 2;
	}
	omp_set_num_threads(threads);
	double f32 = gemm_gflops(dnnl_f32);
	dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
	bool has_bf16 = (isa & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
	double bf16 = has_bf16 ? gemm_gflops(dnnl_bf16) : 0;
	printf("{\"what\": \"limits\", \"threads\": %d, \"gemm_f32_gflop_s\": %.1f, \"gemm_bf16_gflop_s\": %.1f, "
	       "\"triad_gb_s\": %.1f, \"isa\": \"0x%x\"}\n",
	       threads, f32, bf16, triad_gb_s(), (unsigned)isa);
	return 0;
}
