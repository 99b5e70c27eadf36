#include "tensor/half.h"

#include "base/base.h"

#include <dnnl.h>
#include <string.h>

/* The two sides of the matrix: from columns to rows, from rows to columns. */
enum { SCORES, SUMS, SIDES };

typedef struct product {
	dnnl_primitive_t primitive[SIDES];
	dnnl_memory_desc_t from[SIDES], to[SIDES], scratch[SIDES];
} product;

struct sn_half {
	sn_ctx *ctx;
	sn_arena *arena; /* of packed */
	dnnl_engine_t engine;
	int n_slot, most;
	int64_t d, rows, n_panel;
	dnnl_stream_t *stream; /* [n_slot] */
	void **scratch;        /* [n_slot], each scratch_size */
	size_t scratch_size;
	dnnl_memory_desc_t layout[SIDES];
	uint8_t *packed[SIDES];
	size_t size[SIDES]; /* bytes of a panel */
	dnnl_memory_t *memory[SIDES]; /* [n_panel] */
	product *product;             /* [most + 1], by the number of vectors */
};

static sn_status failed(sn_ctx *ctx, dnnl_status_t status, const char *what)
{
	if (status == dnnl_success) return SN_OK;
	if (status == dnnl_out_of_memory) return sn_fail(ctx, SN_ENOMEM, "out of memory in oneDNN (%s)", what);
	return sn_fail(ctx, SN_EINTERNAL, "oneDNN failed with status %d (%s)", (int)status, what);
}

bool sn_half_fast(void)
{
	dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
	return (isa & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
}

void sn_half_round(const float *x, int64_t n, uint16_t *out)
{
	for (int64_t i = 0; i < n; i++) {
		union {
			float f;
			uint32_t u;
		} v = { x[i] };
		out[i] = (uint16_t)((v.u + 0x7fff + (v.u >> 16 & 1)) >> 16);
	}
}

static int64_t inner(const sn_half *h, int side) { return side == SCORES ? h->d : h->rows; }
static int64_t outer(const sn_half *h, int side) { return side == SCORES ? h->rows : h->d; }

static dnnl_status_t matrix(dnnl_memory_desc_t *out, int64_t rows, int64_t columns, dnnl_data_type_t type,
							dnnl_format_tag_t tag)
{
	dnnl_dims_t dims = { rows, columns };
	return dnnl_memory_desc_init_by_tag(out, 2, dims, type, tag);
}

/* Sums are added to what is there; scratch memory is the caller's, since products run on several threads. */
static dnnl_status_t attributes(dnnl_primitive_attr_t attr, int side)
{
	dnnl_post_ops_t ops;
	dnnl_status_t status = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
	if (status != dnnl_success || side == SCORES) return status;
	status = dnnl_post_ops_create(&ops);
	if (status != dnnl_success) return status;
	status = dnnl_post_ops_append_sum(ops, 1);
	if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(attr, ops);
	dnnl_post_ops_destroy(ops);
	return status;
}

static dnnl_status_t describe(dnnl_primitive_desc_t *out, sn_half *h, int side, const product *p,
							  const dnnl_memory_desc_t *weights)
{
	dnnl_matmul_desc_t matmul;
	dnnl_primitive_attr_t attr = NULL;
	dnnl_status_t status = dnnl_matmul_desc_init(&matmul, &p->from[side], weights, NULL, &p->to[side]);
	if (status == dnnl_success) status = dnnl_primitive_attr_create(&attr);
	if (status == dnnl_success) status = attributes(attr, side);
	if (status == dnnl_success) status = dnnl_primitive_desc_create(out, &matmul, attr, h->engine, NULL);
	if (attr) dnnl_primitive_attr_destroy(attr);
	return status;
}

/* layout: "any" on the first call, which chooses it. */
static dnnl_status_t make_product(sn_half *h, int side, int n_vec, dnnl_memory_desc_t *layout, product *p)
{
	dnnl_primitive_desc_t desc = NULL;
	dnnl_status_t status = matrix(&p->from[side], n_vec, inner(h, side), dnnl_bf16, dnnl_ab);
	if (status == dnnl_success) status = matrix(&p->to[side], n_vec, outer(h, side), dnnl_f32, dnnl_ab);
	if (status == dnnl_success) status = describe(&desc, h, side, p, layout);
	if (status != dnnl_success) return status;
	*layout = *dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
	p->scratch[side] = *dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
	status = dnnl_primitive_create(&p->primitive[side], desc);
	dnnl_primitive_desc_destroy(desc);
	return status;
}

static sn_status room_for_scratch(sn_half *h, size_t size)
{
	if (size <= h->scratch_size) return SN_OK;
	for (int s = 0; s < h->n_slot; s++) {
		sn_free(h->ctx, h->scratch[s]);
		h->scratch[s] = sn_alloc_raw(h->ctx, size);
		if (!h->scratch[s]) return SN_ENOMEM;
	}
	h->scratch_size = size;
	return SN_OK;
}

sn_status sn_half_prepare(sn_half *h, int n_vec)
{
	SN_ASSERT(n_vec >= 1 && n_vec <= h->most);
	product *p = &h->product[n_vec];
	for (int side = 0; side < SIDES; side++) {
		if (p->primitive[side]) continue;
		SN_TRY(failed(h->ctx, make_product(h, side, n_vec, &h->layout[side], p), "a product in bfloat16"));
		SN_TRY(room_for_scratch(h, dnnl_memory_desc_get_size(&p->scratch[side])));
	}
	return SN_OK;
}

/* ---- packing ---- */

static void *packed(const sn_half *h, int side, int64_t panel)
{
	return h->packed[side] + (size_t)panel * h->size[side];
}

/* One side of one panel, x [rows, d], goes to its place. */
static dnnl_status_t pack(sn_half *h, int side, int64_t panel, const float *x)
{
	dnnl_memory_desc_t plain;
	dnnl_memory_t from = NULL;
	dnnl_primitive_desc_t desc = NULL;
	dnnl_primitive_t reorder = NULL;
	dnnl_memory_t *to = &h->memory[side][panel];
	dnnl_status_t status = dnnl_memory_create(to, &h->layout[side], h->engine, packed(h, side, panel));
	if (status == dnnl_success)
		status = matrix(&plain, inner(h, side), outer(h, side), dnnl_f32, side == SCORES ? dnnl_ba : dnnl_ab);
	if (status == dnnl_success) status = dnnl_memory_create(&from, &plain, h->engine, (void *)(uintptr_t)x);
	if (status == dnnl_success)
		status = dnnl_reorder_primitive_desc_create(&desc, &plain, h->engine, &h->layout[side], h->engine, NULL);
	if (status == dnnl_success) status = dnnl_primitive_create(&reorder, desc);
	dnnl_exec_arg_t args[] = { { DNNL_ARG_FROM, from }, { DNNL_ARG_TO, *to } };
	if (status == dnnl_success) status = dnnl_primitive_execute(reorder, h->stream[0], SN_COUNT(args), args);
	if (status == dnnl_success) status = dnnl_stream_wait(h->stream[0]);
	if (reorder) dnnl_primitive_destroy(reorder);
	if (desc) dnnl_primitive_desc_destroy(desc);
	if (from) dnnl_memory_destroy(from);
	sn_arena_done(h->arena, packed(h, side, panel), h->size[side]);
	return status;
}

static sn_status pack_all(sn_half *h, const float *x, int64_t n)
{
	float *last = sn_alloc(h->ctx, sn_size3((size_t)h->rows, (size_t)h->d, sizeof *last));
	if (!last) return SN_ENOMEM;
	dnnl_status_t status = dnnl_success;
	for (int64_t p = 0; p < h->n_panel && status == dnnl_success; p++) {
		const float *from = x + p * h->rows * h->d;
		int64_t rows = SN_MIN(h->rows, n - p * h->rows);
		if (rows < h->rows) from = memcpy(last, from, (size_t)(rows * h->d) * sizeof *last);
		for (int side = 0; side < SIDES && status == dnnl_success; side++) status = pack(h, side, p, from);
		sn_arena_done(h->arena, x + p * h->rows * h->d, (size_t)(rows * h->d) * sizeof *x);
	}
	sn_free(h->ctx, last);
	return failed(h->ctx, status, "packing a matrix in bfloat16");
}

static sn_status take_memory(sn_half *h)
{
	h->stream = sn_alloc(h->ctx, sn_size3((size_t)h->n_slot, sizeof *h->stream, 1));
	h->scratch = sn_alloc(h->ctx, sn_size3((size_t)h->n_slot, sizeof *h->scratch, 1));
	h->product = sn_alloc(h->ctx, sn_size3((size_t)h->most + 1, sizeof *h->product, 1));
	if (!h->stream || !h->scratch || !h->product) return SN_ENOMEM;
	for (int side = 0; side < SIDES; side++) {
		h->memory[side] = sn_alloc(h->ctx, sn_size3((size_t)h->n_panel, sizeof *h->memory[side], 1));
		if (!h->memory[side]) return SN_ENOMEM;
	}
	dnnl_status_t status = dnnl_engine_create(&h->engine, dnnl_cpu, 0);
	for (int s = 0; s < h->n_slot && status == dnnl_success; s++)
		status = dnnl_stream_create(&h->stream[s], h->engine, dnnl_stream_default_flags);
	for (int side = 0; side < SIDES && status == dnnl_success; side++)
		status = matrix(&h->layout[side], inner(h, side), outer(h, side), dnnl_bf16, dnnl_format_tag_any);
	return failed(h->ctx, status, "bfloat16");
}

static sn_status open(sn_half *h, const float *x, int64_t n)
{
	SN_TRY(take_memory(h));
	SN_TRY(sn_half_prepare(h, h->most));
	for (int side = 0; side < SIDES; side++) {
		h->size[side] = dnnl_memory_desc_get_size(&h->layout[side]);
		SN_NEW(h->packed[side], h->arena, uint8_t, sn_size3((size_t)h->n_panel, h->size[side], 1));
	}
	return pack_all(h, x, n);
}

sn_status sn_half_open(sn_half **out, sn_arena *arena, const float *x, int64_t n, int64_t d, int64_t panel, int n_slot,
					   int most)
{
	SN_ASSERT(sn_half_fast());
	sn_ctx *ctx = sn_arena_ctx(arena);
	sn_half *h = *out = sn_alloc(ctx, sizeof *h);
	if (!h) return SN_ENOMEM;
	*h = (sn_half){ .ctx = ctx, .arena = arena, .n_slot = n_slot, .most = most, .d = d, .rows = panel };
	h->n_panel = (n + panel - 1) / panel;
	sn_status status = open(h, x, n);
	if (status == SN_OK) return SN_OK;
	sn_half_close(h);
	*out = NULL;
	return status;
}

void sn_half_close(sn_half *h)
{
	if (!h) return;
	for (int side = 0; side < SIDES; side++) {
		for (int64_t p = 0; h->memory[side] && p < h->n_panel; p++)
			if (h->memory[side][p]) dnnl_memory_destroy(h->memory[side][p]);
		for (int v = 0; h->product && v <= h->most; v++)
			if (h->product[v].primitive[side]) dnnl_primitive_destroy(h->product[v].primitive[side]);
		sn_free(h->ctx, h->memory[side]);
	}
	for (int s = 0; s < h->n_slot; s++) {
		if (h->stream && h->stream[s]) dnnl_stream_destroy(h->stream[s]);
		if (h->scratch) sn_free(h->ctx, h->scratch[s]);
	}
	if (h->engine) dnnl_engine_destroy(h->engine);
	sn_free(h->ctx, h->product);
	sn_free(h->ctx, h->scratch);
	sn_free(h->ctx, h->stream);
	sn_free(h->ctx, h);
}

/* ---- products ---- */

static dnnl_status_t run(sn_half *h, int side, int slot, int64_t panel, int n_vec, const uint16_t *from, float *to)
{
	const product *p = &h->product[n_vec];
	dnnl_memory_t in = NULL, out = NULL, scratch = NULL;
	dnnl_status_t status = dnnl_memory_create(&in, &p->from[side], h->engine, (void *)(uintptr_t)from);
	if (status == dnnl_success) status = dnnl_memory_create(&out, &p->to[side], h->engine, to);
	if (status == dnnl_success) status = dnnl_memory_create(&scratch, &p->scratch[side], h->engine, h->scratch[slot]);
	dnnl_exec_arg_t args[] = { { DNNL_ARG_SRC, in },
							   { DNNL_ARG_WEIGHTS, h->memory[side][panel] },
							   { DNNL_ARG_DST, out },
							   { DNNL_ARG_SCRATCHPAD, scratch } };
	if (status == dnnl_success)
		status = dnnl_primitive_execute(p->primitive[side], h->stream[slot], SN_COUNT(args), args);
	if (status == dnnl_success) status = dnnl_stream_wait(h->stream[slot]);
	if (scratch) dnnl_memory_destroy(scratch);
	if (out) dnnl_memory_destroy(out);
	if (in) dnnl_memory_destroy(in);
	sn_arena_done(h->arena, packed(h, side, panel), h->size[side]);
	return status;
}

sn_status sn_half_scores(sn_half *h, int slot, int64_t panel, int n_vec, const uint16_t *w, float *score)
{
	return failed(h->ctx, run(h, SCORES, slot, panel, n_vec, w, score), "scores in bfloat16");
}

sn_status sn_half_sums(sn_half *h, int slot, int64_t panel, int n_vec, const uint16_t *score, float *sum)
{
	return failed(h->ctx, run(h, SUMS, slot, panel, n_vec, score, sum), "sums in bfloat16");
}
