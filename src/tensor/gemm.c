/* oneDNN matrix products. Primitives are made for a few numbers of rows (multiples of 32 up to 1,024) and kept:
 * creating one costs up to half a millisecond, and run-time dimensions would fall back to slow kernels. */
#include "tensor/gemm.h"

#include "base/base.h"
#include "tensor/blocked.h"

#include <string.h>

enum { BUCKET = 32, LARGEST = 1024, N_BUCKET = LARGEST / BUCKET, CAREFUL = 48 };

/* Products that overwrite y, and products that are added to it. */
enum { OVERWRITE, ADD, N_MODE };

/* All matrices of one (k, n) share primitives and the packed layout. */
typedef struct shape {
	struct shape *next;
	int64_t k, n;
	dnnl_memory_desc_t layout;
	sn_blocked blocked;        /* where the layout has each number */
	dnnl_primitive_t primitive[N_MODE][N_BUCKET];
} shape;

struct sn_gemm {
	sn_ctx *ctx;
	sn_precision precision;
	dnnl_data_type_t type;     /* of x and w */
	dnnl_engine_t engine;
	dnnl_stream_t stream;
	shape *shapes;
};

/* One half of the numbers of a matrix: float32 and bf16 have one, bf16x3 two. */
typedef struct half { dnnl_memory_t memory; void *bytes; } half;

struct sn_packed {
	shape *shape;
	half high, low;
};

static sn_status dnnl_failed(sn_ctx *ctx, dnnl_status_t status, const char *what)
{
	if (status == dnnl_out_of_memory) return sn_fail(ctx, SN_ENOMEM, "out of memory in oneDNN (%s)", what);
	return sn_fail(ctx, SN_EINTERNAL, "oneDNN failed with status %d (%s)", (int)status, what);
}

#define DNNL_TRY(gemm, call)                                                                                           \
	do {                                                                                                               \
		dnnl_status_t dnnl_try_status = (call);                                                                        \
		if (dnnl_try_status != dnnl_success) return dnnl_failed((gemm)->ctx, dnnl_try_status, #call);                  \
	} while (0)

/* ---- precisions ---- */

static const struct { const char *name; int bytes; } precisions[] = {
	[SN_F32_PRECISION] = { "f32", 4 }, [SN_BF16X3_PRECISION] = { "bf16x3", 4 }, [SN_BF16_PRECISION] = { "bf16", 2 },
};

static bool has(dnnl_cpu_isa_t wanted) { return (dnnl_get_effective_cpu_isa() & wanted) == wanted; }

sn_bf16_unit_kind sn_bf16_unit(void)
{
	if (has(dnnl_cpu_isa_avx512_core_amx)) return SN_BF16_MATRIX;
	return has(dnnl_cpu_isa_avx512_core_bf16) ? SN_BF16_VECTOR : SN_BF16_NONE;
}

const char *sn_bf16_unit_name(sn_bf16_unit_kind unit)
{
	static const char *const name[] = { "none", "vector", "matrix" };
	return name[unit];
}

sn_precision sn_gemm_precision(const sn_ctx *ctx)
{
	return sn_bf16_unit() == SN_BF16_NONE ? SN_F32_PRECISION : sn_ctx_precision(ctx);
}

int sn_precision_bytes(sn_precision precision) { return precisions[precision].bytes; }
const char *sn_precision_name(sn_precision precision) { return precisions[precision].name; }

/* low: NULL where it is not wanted. */
static void split(const float *x, int64_t n, uint16_t *high, uint16_t *low)
{
	for (int64_t i = 0; i < n; i++) high[i] = sn_to_bf16(x[i]);
	for (int64_t i = 0; low && i < n; i++) low[i] = sn_bf16_rest(x[i], high[i]);
}

/* ---- products ---- */

/* Without AVX-512, oneDNN's order of adding up depends on the numbers of rows and threads, and on where a row stands
 * among the six that its kernel computes at once. There every product is of CAREFUL rows by one thread, and threads
 * share the products: slower by what packing costs, but a row is the same always. */
static bool rows_need_care(void) { return !has(dnnl_cpu_isa_avx512_core); }

static int64_t rows_at_once(void) { return rows_need_care() ? CAREFUL : BUCKET; }

int64_t sn_gemm_room(int64_t m)
{
	int64_t rows = rows_at_once();
	return (m + rows - 1) / rows * rows;
}

sn_status sn_gemm_open(sn_gemm **out, sn_ctx *ctx)
{
	sn_gemm *gemm = *out = sn_alloc(ctx, sizeof *gemm);
	if (!gemm) return SN_ENOMEM;
	gemm->ctx = ctx;
	gemm->precision = sn_gemm_precision(ctx);
	gemm->type = gemm->precision == SN_F32_PRECISION ? dnnl_f32 : dnnl_bf16;
	DNNL_TRY(gemm, dnnl_engine_create(&gemm->engine, dnnl_cpu, 0));
	DNNL_TRY(gemm, dnnl_stream_create(&gemm->stream, gemm->engine, dnnl_stream_default_flags));
	return SN_OK;
}

static void shape_free(sn_gemm *gemm, shape *s)
{
	for (int mode = 0; mode < N_MODE; mode++)
		for (int i = 0; i < N_BUCKET; i++)
			if (s->primitive[mode][i]) dnnl_primitive_destroy(s->primitive[mode][i]);
	sn_blocked_free(gemm->ctx, &s->blocked);
	sn_free(gemm->ctx, s);
}

void sn_gemm_close(sn_gemm *gemm)
{
	if (!gemm) return;
	for (shape *s = gemm->shapes, *next; s; s = next) {
		next = s->next;
		shape_free(gemm, s);
	}
	if (gemm->stream) dnnl_stream_destroy(gemm->stream);
	if (gemm->engine) dnnl_engine_destroy(gemm->engine);
	sn_free(gemm->ctx, gemm);
}

static sn_status describe(sn_gemm *gemm, dnnl_memory_desc_t *out, int64_t rows, int64_t cols, dnnl_data_type_t type,
                          dnnl_format_tag_t tag)
{
	dnnl_dims_t dims = { rows, cols };
	DNNL_TRY(gemm, dnnl_memory_desc_init_by_tag(out, 2, dims, type, tag));
	return SN_OK;
}

/* attr: in the mode ADD, y <- y + product. */
static dnnl_status_t describe_mode(dnnl_primitive_attr_t *attr, int mode)
{
	dnnl_post_ops_t ops;
	dnnl_status_t status = dnnl_primitive_attr_create(attr);
	if (status != dnnl_success || mode == OVERWRITE) return status;
	status = dnnl_post_ops_create(&ops);
	if (status != dnnl_success) return status;
	status = dnnl_post_ops_append_sum(ops, 1);
	if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(*attr, ops);
	dnnl_post_ops_destroy(ops);
	return status;
}

/* weights: in, its layout or "any"; out, what the implementation chose. */
static sn_status make_primitive(sn_gemm *gemm, int mode, int64_t m, int64_t k, int64_t n, dnnl_memory_desc_t *weights,
                                dnnl_primitive_t *out)
{
	dnnl_memory_desc_t x, y;
	SN_TRY(describe(gemm, &x, m, k, gemm->type, dnnl_ab));
	SN_TRY(describe(gemm, &y, m, n, dnnl_f32, dnnl_ab));
	dnnl_matmul_desc_t matmul;
	DNNL_TRY(gemm, dnnl_matmul_desc_init(&matmul, &x, weights, NULL, &y));
	dnnl_primitive_attr_t attr = NULL;
	dnnl_primitive_desc_t desc = NULL;
	dnnl_status_t status = describe_mode(&attr, mode);
	if (status == dnnl_success) status = dnnl_primitive_desc_create(&desc, &matmul, attr, gemm->engine, NULL);
	if (status == dnnl_success) {
		*weights = *dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
		status = dnnl_primitive_create(out, desc);
		dnnl_primitive_desc_destroy(desc);
	}
	if (attr) dnnl_primitive_attr_destroy(attr);
	return status == dnnl_success ? SN_OK : dnnl_failed(gemm->ctx, status, "creating a matrix product");
}

/* The layout is the one that the largest bucket prefers; every bucket then uses it. */
static sn_status find_shape(sn_gemm *gemm, int64_t k, int64_t n, shape **out)
{
	for (shape *s = gemm->shapes; s; s = s->next)
		if (s->k == k && s->n == n) return *out = s, SN_OK;
	shape *s = sn_alloc(gemm->ctx, sizeof *s);
	if (!s) return SN_ENOMEM;
	s->k = k;
	s->n = n;
	s->next = gemm->shapes;
	gemm->shapes = *out = s;
	SN_TRY(describe(gemm, &s->layout, k, n, gemm->type, dnnl_format_tag_any));
	SN_TRY(make_primitive(gemm, OVERWRITE, LARGEST, k, n, &s->layout, &s->primitive[OVERWRITE][N_BUCKET - 1]));
	return sn_blocked_make(&s->blocked, gemm->ctx, &s->layout);
}

/* ---- packing ---- */

static sn_status make_half(sn_gemm *gemm, const shape *s, half *out)
{
	size_t size = dnnl_memory_desc_get_size(&s->layout);
	out->bytes = sn_alloc_raw(gemm->ctx, size);
	if (!out->bytes) return SN_ENOMEM;
	if (s->blocked.padded) memset(out->bytes, 0, size);
	DNNL_TRY(gemm, dnnl_memory_create(&out->memory, &s->layout, gemm->engine, out->bytes));
	return SN_OK;
}

static sn_status make_packed(sn_gemm *gemm, int64_t n, int64_t k, sn_packed *packed)
{
	SN_TRY(find_shape(gemm, k, n, &packed->shape));
	SN_TRY(make_half(gemm, packed->shape, &packed->high));
	return gemm->precision == SN_BF16X3_PRECISION ? make_half(gemm, packed->shape, &packed->low) : SN_OK;
}

sn_status sn_packed_make(sn_packed **out, sn_gemm *gemm, int64_t n, int64_t k)
{
	sn_packed *packed = sn_alloc(gemm->ctx, sizeof *packed);
	*out = NULL;
	if (!packed) return SN_ENOMEM;
	sn_status status = make_packed(gemm, n, k, packed);
	if (status == SN_OK) *out = packed;
	else sn_packed_free(gemm, packed);
	return status;
}

void sn_packed_put(const sn_gemm *gemm, sn_packed *packed, int64_t row0, int64_t n_row, const float *w)
{
	const sn_blocked *b = &packed->shape->blocked;
	if (gemm->precision == SN_F32_PRECISION) sn_blocked_put_f32(b, packed->high.bytes, row0, n_row, w);
	else sn_blocked_put_bf16(b, packed->high.bytes, packed->low.bytes, row0, n_row, w);
}

sn_status sn_gemm_pack(sn_packed **out, sn_gemm *gemm, const float *w, int64_t n, int64_t k)
{
	SN_TRY(sn_packed_make(out, gemm, n, k));
#pragma omp parallel for num_threads(sn_ctx_threads(gemm->ctx))
	for (int64_t i = 0; i < n; i += SN_PACK_ROWS)
		sn_packed_put(gemm, *out, i, SN_MIN(n - i, (int64_t)SN_PACK_ROWS), w + i * k);
	return SN_OK;
}

static void put_columns(const sn_gemm *gemm, sn_packed *packed, int64_t column0, int64_t n_column, const float *w)
{
	const sn_blocked *b = &packed->shape->blocked;
	void *high = packed->high.bytes, *low = packed->low.bytes;
	if (gemm->precision == SN_F32_PRECISION) sn_blocked_put_columns_f32(b, high, column0, n_column, w);
	else sn_blocked_put_columns_bf16(b, high, low, column0, n_column, w);
}

sn_status sn_gemm_pack_transposed(sn_packed **out, sn_gemm *gemm, const float *w, int64_t n, int64_t k)
{
	SN_TRY(sn_packed_make(out, gemm, k, n));
#pragma omp parallel for num_threads(sn_ctx_threads(gemm->ctx))
	for (int64_t i = 0; i < n; i += SN_PACK_ROWS)
		put_columns(gemm, *out, i, SN_MIN(n - i, (int64_t)SN_PACK_ROWS), w + i * k);
	return SN_OK;
}

static void free_half(sn_gemm *gemm, half *h)
{
	if (h->memory) dnnl_memory_destroy(h->memory);
	sn_free(gemm->ctx, h->bytes);
}

void sn_packed_free(sn_gemm *gemm, sn_packed *packed)
{
	if (!packed) return;
	free_half(gemm, &packed->high);
	free_half(gemm, &packed->low);
	sn_free(gemm->ctx, packed);
}

int64_t sn_packed_rows(const sn_packed *packed) { return packed->shape->n; }

size_t sn_packed_bytes(const sn_packed *packed)
{
	return dnnl_memory_desc_get_size(&packed->shape->layout) * (packed->low.bytes ? 2 : 1);
}

/* Executes a primitive of m rows. */
static sn_status execute(sn_gemm *gemm, const shape *s, const half *w, const void *x, int64_t m,
                         dnnl_primitive_t primitive, float *y)
{
	dnnl_memory_desc_t x_desc, y_desc;
	SN_TRY(describe(gemm, &x_desc, m, s->k, gemm->type, dnnl_ab));
	SN_TRY(describe(gemm, &y_desc, m, s->n, dnnl_f32, dnnl_ab));
	dnnl_memory_t x_memory, y_memory;
	DNNL_TRY(gemm, dnnl_memory_create(&x_memory, &x_desc, gemm->engine, (void *)(uintptr_t)x));
	dnnl_status_t status = dnnl_memory_create(&y_memory, &y_desc, gemm->engine, y);
	if (status == dnnl_success) {
		dnnl_exec_arg_t args[] = { { DNNL_ARG_SRC, x_memory }, { DNNL_ARG_WEIGHTS, w->memory },
		                           { DNNL_ARG_DST, y_memory } };
		status = dnnl_primitive_execute(primitive, gemm->stream, 3, args);
		if (status == dnnl_success) status = dnnl_stream_wait(gemm->stream);
		dnnl_memory_destroy(y_memory);
	}
	dnnl_memory_destroy(x_memory);
	return status == dnnl_success ? SN_OK : dnnl_failed(gemm->ctx, status, "computing a matrix product");
}

static sn_status execute_each(sn_gemm *gemm, const shape *s, const half *w, const float *x, int64_t m,
                                 dnnl_primitive_t primitive, float *y)
{
	sn_status status = SN_OK;
#pragma omp parallel for num_threads(sn_ctx_threads(gemm->ctx))
	for (int64_t i = 0; i < m; i += CAREFUL) {
		sn_status one = execute(gemm, s, w, x + i * s->k, CAREFUL, primitive, y + i * s->n);
#pragma omp critical
		if (one != SN_OK) status = one;
	}
	return status;
}

/* y = x w', or y += x w', of m rows. */
static sn_status multiply(sn_gemm *gemm, shape *s, const half *w, const void *x, int64_t m, int mode, float *y)
{
	bool care = rows_need_care();
	int64_t rows = care ? CAREFUL : m;
	dnnl_primitive_t *primitive = &s->primitive[mode][rows / BUCKET - 1];
	if (!*primitive) SN_TRY(make_primitive(gemm, mode, rows, s->k, s->n, &s->layout, primitive));
	return care ? execute_each(gemm, s, w, x, m, *primitive, y) : execute(gemm, s, w, x, m, *primitive, y);
}

/* The small terms first, so that they are not lost beside the large one. */
static sn_status multiply_split(sn_gemm *gemm, const sn_packed *w, const uint16_t *high, const uint16_t *low, int64_t m,
                                float *y)
{
	if (!low) return multiply(gemm, w->shape, &w->high, high, m, OVERWRITE, y);
	SN_TRY(multiply(gemm, w->shape, &w->high, low, m, OVERWRITE, y));
	SN_TRY(multiply(gemm, w->shape, &w->low, high, m, ADD, y));
	return multiply(gemm, w->shape, &w->high, high, m, ADD, y);
}

static sn_status run_split(sn_gemm *gemm, const sn_packed *w, const float *x, int64_t m, float *y)
{
	int64_t k = w->shape->k, count = m * k;
	bool two = w->low.bytes != NULL;
	uint16_t *high = sn_alloc_raw(gemm->ctx, sn_size3((size_t)count, two ? 2 : 1, sizeof *high));
	if (!high) return SN_ENOMEM;
#pragma omp parallel for num_threads(sn_ctx_threads(gemm->ctx))
	for (int64_t i = 0; i < m; i++) split(x + i * k, k, high + i * k, two ? high + count + i * k : NULL);
	sn_status status = multiply_split(gemm, w, high, two ? high + count : NULL, m, y);
	sn_free(gemm->ctx, high);
	return status;
}

sn_status sn_gemm_run(sn_gemm *gemm, const sn_packed *w, const float *x, int64_t m, float *y)
{
	int64_t most = LARGEST / rows_at_once() * rows_at_once();
	for (int64_t i = 0; i < m; i += most) {
		int64_t rows = sn_gemm_room(SN_MIN(m - i, most));
		const float *from = x + i * w->shape->k;
		float *to = y + i * w->shape->n;
		if (gemm->precision != SN_F32_PRECISION) SN_TRY(run_split(gemm, w, from, rows, to));
		else SN_TRY(multiply(gemm, w->shape, &w->high, from, rows, OVERWRITE, to));
	}
	return SN_OK;
}
