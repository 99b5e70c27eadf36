/* Raw weights by matrix and head, right-multiplying as in TransformerLens. */
#include "model/model.h"

typedef struct matrix_row { sn_part part; int heads; bool split_input, table; } matrix_row;

/* heads: 0 none, 1 query heads, 2 key/value heads. split_input: a head owns rows of [d_in, d_out] (W_O), not
 * columns. table: looked up, so that it stands as in the file. */
#define PLAIN(part) { SN_PART_##part, 0, false, false }
#define BY_HEAD(part, heads) { SN_PART_##part, heads, false, false }
#define FROM_HEADS(part) { SN_PART_##part, 1, true, false }
#define TABLE(part) { SN_PART_##part, 0, false, true }

static const matrix_row matrices[SN_W_COUNT] = {
	[SN_W_E] = TABLE(EMBED), [SN_W_Q] = BY_HEAD(Q, 1), [SN_W_K] = BY_HEAD(K, 2), [SN_W_V] = BY_HEAD(V, 2),
	[SN_W_O] = FROM_HEADS(O), [SN_W_GATE] = PLAIN(GATE), [SN_W_IN] = PLAIN(UP), [SN_W_OUT] = PLAIN(DOWN),
	[SN_W_U] = PLAIN(UNEMBED), [SN_W_CROSS_Q] = BY_HEAD(CROSS_Q, 1), [SN_W_CROSS_K] = BY_HEAD(CROSS_K, 2),
	[SN_W_CROSS_V] = BY_HEAD(CROSS_V, 2), [SN_W_CROSS_O] = FROM_HEADS(CROSS_O), [SN_W_MLM] = PLAIN(HEAD),
	[SN_W_PROJECT] = PLAIN(PROJECT), [SN_W_POS] = TABLE(POS_EMBED), [SN_W_TYPE] = TABLE(TYPE_EMBED),
	[SN_W_REL_BIAS] = TABLE(REL_BIAS), [SN_W_REL_EMBED] = TABLE(REL_EMBED), [SN_W_REL_Q] = BY_HEAD(REL_Q, 1),
	[SN_W_REL_K] = BY_HEAD(REL_K, 1), [SN_W_REL_LN] = PLAIN(REL_NORM), [SN_W_EMBED_LN] = PLAIN(EMBED_NORM),
	[SN_W_LN1] = PLAIN(ATTN_NORM),
	[SN_W_Q_LN] = PLAIN(Q_NORM), [SN_W_K_LN] = PLAIN(K_NORM), [SN_W_LN1_POST] = PLAIN(ATTN_POST_NORM),
	[SN_W_LN_CROSS] = PLAIN(CROSS_NORM), [SN_W_LN2] = PLAIN(MLP_NORM), [SN_W_LN2_POST] = PLAIN(MLP_POST_NORM),
	[SN_W_LN_FINAL] = PLAIN(FINAL_NORM), [SN_W_MLM_LN] = PLAIN(HEAD_NORM),
};

sn_part sn_weight_part(const sn_model *m, sn_matrix matrix)
{
	return matrix == SN_W_U ? sn_unembed_part(m) : matrices[matrix].part;
}

bool sn_weight_is_table(sn_matrix matrix) { return matrices[matrix].table; }

sn_status sn_weight_check(sn_ctx *ctx, const sn_model *m, sn_matrix matrix, int layer, int head)
{
	if (matrix <= SN_W_NONE || matrix >= SN_W_COUNT) return sn_fail(ctx, SN_EARG, "matrix %d is none", (int)matrix);
	int heads = matrices[matrix].heads == 1 ? m->shape.n_head : matrices[matrix].heads == 2 ? m->shape.n_kv_head : 0;
	if (head < -1 || head >= SN_MAX(heads, 0))
		return sn_fail(ctx, SN_EARG, "head %d; this matrix has %d (-1: all)", head, heads);
	if (layer < 0 || layer >= m->shape.n_layer)
		return sn_fail(ctx, SN_EARG, "block %d; the model has %d", layer, m->shape.n_layer);
	sn_part part = sn_weight_part(m, matrix);
	if (!sn_has(&m->shape, part))
		return sn_fail(ctx, SN_EARG, "%s has no matrix %s", m->info.architecture, sn_part_name(part));
	return SN_OK;
}

/* out [k, n] = transpose of file rows [n, k]. */
static void transpose(const float *rows, int64_t n, int64_t k, int64_t stride, float *out)
{
	for (int64_t i = 0; i < n; i++)
		for (int64_t j = 0; j < k; j++) out[j * n + i] = rows[i * stride + j];
}

sn_status sn_weight(sn_ctx *ctx, const sn_model *m, sn_matrix matrix, int layer, int head, sn_arena *arena,
                    sn_tensor *out)
{
	SN_TRY(sn_weight_check(ctx, m, matrix, layer, head));
	const matrix_row *row = &matrices[matrix];
	sn_part part = sn_weight_part(m, matrix);
	int64_t n = sn_part_rows(&m->shape, part), k = sn_part_columns(&m->shape, part), d = m->shape.d_head;
	int64_t row0 = head >= 0 && !row->split_input ? head * d : 0, n_row = head >= 0 && !row->split_input ? d : n;
	int64_t column0 = head >= 0 && row->split_input ? head * d : 0, n_column = head >= 0 && row->split_input ? d : k;
	float *rows, *result;
	SN_NEW(result, arena, float, n_row * n_column);
	if (row->table) {
		*out = sn_tensor_f32(result, n, k);
		return sn_model_read(ctx, m, part, layer, 0, n, result);
	}
	sn_arena *scratch;
	SN_TRY(sn_arena_open(&scratch, ctx));
	rows = SN_TAKE(scratch, float, n_row * k);
	sn_status status = rows ? sn_model_read(ctx, m, part, layer, row0, n_row, rows) : SN_ENOMEM;
	if (status == SN_OK) transpose(rows + column0, n_row, n_column, k, result);
	sn_arena_close(scratch);
	*out = sn_tensor_f32(result, n_column, n_row);
	return status;
}
