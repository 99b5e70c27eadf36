/* oneDNN matrix products. Primitives are made for a few numbers of rows (multiples of 32 up to 1,024) and kept:
 * creating one costs up to half a millisecond, and run-time dimensions would fall back to slow kernels. */
#include "tensor/gemm.h"

#include "base/base.h"

#include <dnnl.h>
#include <string.h>

enum { BUCKET = 32, LARGEST = 1024, N_BUCKET = LARGEST / BUCKET };

/* All matrices of one (k, n) share primitives and the packed layout. */
typedef struct shape {
	struct shape *next;
	int64_t k, n;
	dnnl_memory_desc_t layout;
	dnnl_primitive_t primitive[N_BUCKET];
} shape;

struct sn_gemm {
	sn_ctx *ctx;
	dnnl_engine_t engine;
	dnnl_stream_t stream;
	shape *shapes;
};

struct sn_packed {
	shape *shape;
	dnnl_memory_t memory;
	void *bytes;
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

int64_t sn_gemm_room(int64_t m) { return (m + BUCKET - 1) / BUCKET * BUCKET; }

sn_status sn_gemm_open(sn_gemm **out, sn_ctx *ctx)
{
	sn_gemm *gemm = *out = sn_alloc(ctx, sizeof *gemm);
	if (!gemm) return SN_ENOMEM;
	gemm->ctx = ctx;
	DNNL_TRY(gemm, dnnl_engine_create(&gemm->engine, dnnl_cpu, 0));
	DNNL_TRY(gemm, dnnl_stream_create(&gemm->stream, gemm->engine, dnnl_stream_default_flags));
	return SN_OK;
}

static void shape_free(sn_gemm *gemm, shape *s)
{
	for (int i = 0; i < N_BUCKET; i++)
		if (s->primitive[i]) dnnl_primitive_destroy(s->primitive[i]);
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

static sn_status describe(sn_gemm *gemm, dnnl_memory_desc_t *out, int64_t rows, int64_t cols, dnnl_format_tag_t tag)
{
	dnnl_dims_t dims = { rows, cols };
	DNNL_TRY(gemm, dnnl_memory_desc_init_by_tag(out, 2, dims, dnnl_f32, tag));
	return SN_OK;
}

/* weights: in, its layout or "any"; out, what the implementation chose. */
static sn_status make_primitive(sn_gemm *gemm, int64_t m, int64_t k, int64_t n, dnnl_memory_desc_t *weights,
                                dnnl_primitive_t *out)
{
	dnnl_memory_desc_t x, y;
	SN_TRY(describe(gemm, &x, m, k, dnnl_ab));
	SN_TRY(describe(gemm, &y, m, n, dnnl_ab));
	dnnl_matmul_desc_t matmul;
	DNNL_TRY(gemm, dnnl_matmul_desc_init(&matmul, &x, weights, NULL, &y));
	dnnl_primitive_desc_t desc;
	DNNL_TRY(gemm, dnnl_primitive_desc_create(&desc, &matmul, NULL, gemm->engine, NULL));
	*weights = *dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
	dnnl_status_t status = dnnl_primitive_create(out, desc);
	dnnl_primitive_desc_destroy(desc);
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
	SN_TRY(describe(gemm, &s->layout, k, n, dnnl_format_tag_any));
	return make_primitive(gemm, LARGEST, k, n, &s->layout, &s->primitive[N_BUCKET - 1]);
}

static sn_status reorder(sn_gemm *gemm, const float *w, sn_packed *packed)
{
	dnnl_memory_desc_t from;
	SN_TRY(describe(gemm, &from, packed->shape->k, packed->shape->n, dnnl_ba));
	dnnl_memory_t plain;
	DNNL_TRY(gemm, dnnl_memory_create(&plain, &from, gemm->engine, (void *)(uintptr_t)w));
	dnnl_primitive_desc_t desc = NULL;
	dnnl_primitive_t primitive = NULL;
	dnnl_status_t status =
		dnnl_reorder_primitive_desc_create(&desc, &from, gemm->engine, &packed->shape->layout, gemm->engine, NULL);
	if (status == dnnl_success) status = dnnl_primitive_create(&primitive, desc);
	dnnl_exec_arg_t args[] = { { DNNL_ARG_FROM, plain }, { DNNL_ARG_TO, packed->memory } };
	if (status == dnnl_success) status = dnnl_primitive_execute(primitive, gemm->stream, 2, args);
	if (status == dnnl_success) status = dnnl_stream_wait(gemm->stream);
	if (primitive) dnnl_primitive_destroy(primitive);
	if (desc) dnnl_primitive_desc_destroy(desc);
	dnnl_memory_destroy(plain);
	return status == dnnl_success ? SN_OK : dnnl_failed(gemm->ctx, status, "packing a weight matrix");
}

static sn_status pack(sn_gemm *gemm, sn_packed *packed, const float *w, int64_t n, int64_t k)
{
	SN_TRY(find_shape(gemm, k, n, &packed->shape));
	packed->bytes = sn_alloc_raw(gemm->ctx, dnnl_memory_desc_get_size(&packed->shape->layout));
	if (!packed->bytes) return SN_ENOMEM;
	DNNL_TRY(gemm, dnnl_memory_create(&packed->memory, &packed->shape->layout, gemm->engine, packed->bytes));
	return reorder(gemm, w, packed);
}

sn_status sn_gemm_pack(sn_packed **out, sn_gemm *gemm, const float *w, int64_t n, int64_t k)
{
	sn_packed *packed = sn_alloc(gemm->ctx, sizeof *packed);
	*out = NULL;
	if (!packed) return SN_ENOMEM;
	sn_status status = pack(gemm, packed, w, n, k);
	if (status == SN_OK) *out = packed;
	else sn_packed_free(gemm, packed);
	return status;
}

void sn_packed_free(sn_gemm *gemm, sn_packed *packed)
{
	if (!packed) return;
	if (packed->memory) dnnl_memory_destroy(packed->memory);
	sn_free(gemm->ctx, packed->bytes);
	sn_free(gemm->ctx, packed);
}

int64_t sn_packed_rows(const sn_packed *packed) { return packed->shape->n; }
size_t sn_packed_bytes(const sn_packed *packed) { return dnnl_memory_desc_get_size(&packed->shape->layout); }

static sn_status run_slab(sn_gemm *gemm, const sn_packed *w, const float *x, int64_t m, float *y)
{
	shape *s = w->shape;
	dnnl_primitive_t *primitive = &s->primitive[m / BUCKET - 1];
	if (!*primitive) SN_TRY(make_primitive(gemm, m, s->k, s->n, &s->layout, primitive));
	dnnl_memory_desc_t x_desc, y_desc;
	SN_TRY(describe(gemm, &x_desc, m, s->k, dnnl_ab));
	SN_TRY(describe(gemm, &y_desc, m, s->n, dnnl_ab));
	dnnl_memory_t x_memory, y_memory;
	DNNL_TRY(gemm, dnnl_memory_create(&x_memory, &x_desc, gemm->engine, (void *)(uintptr_t)x));
	dnnl_status_t status = dnnl_memory_create(&y_memory, &y_desc, gemm->engine, y);
	if (status == dnnl_success) {
		dnnl_exec_arg_t args[] = { { DNNL_ARG_SRC, x_memory }, { DNNL_ARG_WEIGHTS, w->memory },
		                           { DNNL_ARG_DST, y_memory } };
		status = dnnl_primitive_execute(*primitive, gemm->stream, 3, args);
		if (status == dnnl_success) status = dnnl_stream_wait(gemm->stream);
		dnnl_memory_destroy(y_memory);
	}
	dnnl_memory_destroy(x_memory);
	return status == dnnl_success ? SN_OK : dnnl_failed(gemm->ctx, status, "computing a matrix product");
}

sn_status sn_gemm_run(sn_gemm *gemm, const sn_packed *w, const float *x, int64_t m, float *y)
{
	for (int64_t i = 0; i < m; i += LARGEST) {
		int64_t rows = sn_gemm_room(SN_MIN(m - i, (int64_t)LARGEST));
		SN_TRY(run_slab(gemm, w, x + i * w->shape->k, rows, y + i * w->shape->n));
	}
	return SN_OK;
}
