/* Packing for the backward pass: the same matrices, transposed, read again when the first gradient needs them. */
#include "model/model.h"

typedef struct stack { sn_part part[3]; int n; } stack;   /* read the same input, lie below one another */

static int64_t stack_rows(const sn_model *m, const stack *s)
{
	int64_t rows = 0;
	for (int i = 0; i < s->n; i++) rows += sn_part_rows(&m->shape, s->part[i]);
	return rows;
}

/* Nothing where the model lacks the first part. */
static sn_status pack(sn_ctx *ctx, sn_model *m, stack s, int l, sn_packed **out)
{
	if (!sn_has(&m->shape, s.part[0]) || *out) return SN_OK;
	int64_t rows = stack_rows(m, &s), columns = sn_part_columns(&m->shape, s.part[0]), row = 0;
	float *staging = sn_alloc_raw(ctx, sn_size3((size_t)rows, (size_t)columns, sizeof *staging));
	sn_status status = staging ? SN_OK : SN_ENOMEM;
	for (int i = 0; i < s.n && status == SN_OK; i++) {
		int64_t n = sn_part_rows(&m->shape, s.part[i]);
		status = sn_model_read(ctx, m, s.part[i], l, 0, n, staging + row * columns);
		row += n;
	}
	if (status == SN_OK) status = sn_gemm_pack_transposed(out, m->gemm, staging, rows, columns);
	sn_free(ctx, staging);
	return status;
}

sn_status sn_model_need_layer_back(sn_ctx *ctx, sn_model *m, int l)
{
	sn_layer_back *y = &sn_layer_of(m, l)->back;
	if (y->ready) return SN_OK;
	stack first = m->shape.form.gated ? (stack){ { SN_PART_GATE, SN_PART_UP }, 2 } : (stack){ { SN_PART_UP }, 1 };
	SN_TRY(pack(ctx, m, (stack){ { SN_PART_Q, SN_PART_K, SN_PART_V }, 3 }, l, &y->qkv));
	SN_TRY(pack(ctx, m, (stack){ { SN_PART_O }, 1 }, l, &y->o));
	SN_TRY(pack(ctx, m, (stack){ { SN_PART_CROSS_Q }, 1 }, l, &y->cross_q));
	SN_TRY(pack(ctx, m, (stack){ { SN_PART_CROSS_K, SN_PART_CROSS_V }, 2 }, l, &y->cross_kv));
	SN_TRY(pack(ctx, m, (stack){ { SN_PART_CROSS_O }, 1 }, l, &y->cross_o));
	SN_TRY(pack(ctx, m, first, l, &y->first));
	SN_TRY(pack(ctx, m, (stack){ { SN_PART_DOWN }, 1 }, l, &y->down));
	y->ready = true;
	return SN_OK;
}

sn_status sn_model_need_ends_back(sn_ctx *ctx, sn_model *m)
{
	SN_TRY(pack(ctx, m, (stack){ { SN_PART_PROJECT }, 1 }, 0, &m->project_back));
	return pack(ctx, m, (stack){ { SN_PART_HEAD }, 1 }, 0, &m->head_back);
}

static void unpack(sn_model *m, sn_layer_back *y)
{
	sn_packed *const all[] = { y->qkv, y->o, y->cross_q, y->cross_kv, y->cross_o, y->first, y->down };
	for (int i = 0; i < SN_COUNT(all); i++) sn_packed_free(m->gemm, all[i]);
	*y = (sn_layer_back){ 0 };
}

void sn_model_drop_layer_back(sn_model *m, int l) { unpack(m, &sn_layer_of(m, l)->back); }

void sn_model_unpack_back(sn_model *m)
{
	for (int l = 0; m->layer && l < sn_groups(&m->shape); l++) unpack(m, &m->layer[l].back);
	sn_packed_free(m->gemm, m->project_back);
	sn_packed_free(m->gemm, m->head_back);
}
