#include "tensor/blocked.h"

#include "base/base.h"
#include "tensor/quad.h"

#include <string.h>

/* ---- the tables ---- */

/* What coordinate i of dimension d gives: inside the inner blocks, from the innermost out, then of whole blocks. */
static int64_t place_of(const dnnl_memory_desc_t *layout, int d, int64_t i)
{
	const dnnl_blocking_desc_t *b = &layout->format_desc.blocking;
	int64_t place = 0, stride = 1;
	for (int j = b->inner_nblks; j-- > 0; stride *= b->inner_blks[j]) {
		if (b->inner_idxs[j] != d) continue;
		place += i % b->inner_blks[j] * stride;
		i /= b->inner_blks[j];
	}
	return place + i * b->strides[d];
}

static sn_status fill(int64_t **out, sn_ctx *ctx, const dnnl_memory_desc_t *layout, int d)
{
	int64_t n = layout->dims[d];
	*out = sn_alloc_raw(ctx, sn_size3((size_t)n, sizeof **out, 1));
	for (int64_t i = 0; *out && i < n; i++) (*out)[i] = place_of(layout, d, i);
	return *out ? SN_OK : SN_ENOMEM;
}

sn_status sn_blocked_make(sn_blocked *out, sn_ctx *ctx, const dnnl_memory_desc_t *layout)
{
	*out = (sn_blocked){ .k = layout->dims[0], .n = layout->dims[1] };
	if (layout->format_kind != dnnl_blocked || layout->offset0 != 0 || layout->extra.flags != 0)
		return sn_fail(ctx, SN_EINTERNAL, "oneDNN chose a layout that is not blocked for [%lld, %lld]",
		               (long long)out->n, (long long)out->k);
	out->padded = layout->padded_dims[0] != out->k || layout->padded_dims[1] != out->n;
	SN_TRY(fill(&out->row, ctx, layout, 1));
	return fill(&out->column, ctx, layout, 0);
}

void sn_blocked_free(sn_ctx *ctx, sn_blocked *b)
{
	sn_free(ctx, b->row);
	sn_free(ctx, b->column);
	*b = (sn_blocked){ 0 };
}

/* ---- putting numbers down ---- */

enum { STRETCH = 16 };   /* columns that all rows go through together: a block of the layout stays in the cache */

/* Whether four places follow one another at equal steps. */
static bool equal_steps(const int64_t *place, int64_t step)
{
	return place[1] == place[0] + step && place[2] == place[0] + 2 * step && place[3] == place[0] + 3 * step;
}

/* Columns [c, end) of rows [r, r + n), number by number. */
static void scatter_f32(const sn_blocked *b, float *to, int64_t r, int64_t n, const float *w, int64_t c, int64_t end)
{
	for (int64_t i = 0; i < n; i++)
		for (int64_t j = c; j < end; j++) to[b->row[r + i] + b->column[j]] = w[i * b->k + j];
}

/* Four rows that lie side by side: columns are put down as lines of four. */
static void lines_f32(const sn_blocked *b, float *to, int64_t r, const float *w, int64_t c, int64_t end)
{
	for (; c + 4 <= end; c += 4) {
		int64_t step = b->column[c + 1] - b->column[c];
		if (equal_steps(b->column + c, step))
			sn_turn_quad(to + b->row[r] + b->column[c], step, w + c, b->k);
		else scatter_f32(b, to, r, 4, w, c, c + 4);
	}
	scatter_f32(b, to, r, 4, w, c, end);
}

void sn_blocked_put_f32(const sn_blocked *b, float *to, int64_t row0, int64_t n_row, const float *w)
{
	for (int64_t c = 0; c < b->k; c += STRETCH) {
		int64_t end = SN_MIN(c + STRETCH, b->k), i = 0;
		for (; i + 4 <= n_row && equal_steps(b->row + row0 + i, 1); i += 4)
			lines_f32(b, to, row0 + i, w + i * b->k, c, end);
		scatter_f32(b, to, row0 + i, n_row - i, w + i * b->k, c, end);
	}
}

static void scatter_bf16(const sn_blocked *b, uint16_t *high, uint16_t *low, int64_t r, int64_t n, const float *w,
                         int64_t c, int64_t end)
{
	for (int64_t i = 0; i < n; i++)
		for (int64_t j = c; j < end; j++) {
			int64_t at = b->row[r + i] + b->column[j];
			float x = w[i * b->k + j];
			high[at] = sn_to_bf16(x);
			if (low) low[at] = sn_bf16_rest(x, high[at]);
		}
}

/* Eight numbers of each of four rows, as pairs. */
static inline void pairs_of(const float *w, int64_t stride, uint16_t high[4][8], uint16_t low[4][8])
{
	for (int i = 0; i < 4; i++) {
		for (int j = 0; j < 8; j++) high[i][j] = sn_to_bf16(w[i * stride + j]);
		for (int j = 0; j < 8; j++) low[i][j] = sn_bf16_rest(w[i * stride + j], high[i][j]);
	}
}

static inline void put_pairs(uint16_t *to, int64_t step, uint16_t pairs[4][8])
{
	float word[4][4], out[4][4];
	memcpy(word, pairs, sizeof word);
	sn_turn_quad(out[0], 4, word[0], 4);
	for (int i = 0; i < 4; i++) memcpy(to + i * step, out[i], sizeof out[i]);
}

/* Pairs of columns lie together: four rows' pairs are put down as words. */
static void lines_bf16(const sn_blocked *b, uint16_t *high, uint16_t *low, int64_t r, const float *w, int64_t c,
                       int64_t end)
{
	for (; c + 8 <= end; c += 8) {
		const int64_t *p = b->column + c, first[] = { p[0], p[2], p[4], p[6] }, at = b->row[r] + p[0];
		int64_t step = p[2] - p[0];
		bool paired = p[1] == p[0] + 1 && p[3] == p[2] + 1 && p[5] == p[4] + 1 && p[7] == p[6] + 1;
		if (!paired || !equal_steps(first, step)) {
			scatter_bf16(b, high, low, r, 4, w, c, c + 8);
			continue;
		}
		uint16_t h[4][8], l[4][8];
		pairs_of(w + c, b->k, h, l);
		put_pairs(high + at, step, h);
		if (low) put_pairs(low + at, step, l);
	}
	scatter_bf16(b, high, low, r, 4, w, c, end);
}

void sn_blocked_put_bf16(const sn_blocked *b, uint16_t *high, uint16_t *low, int64_t row0, int64_t n_row,
                         const float *w)
{
	for (int64_t c = 0; c < b->k; c += STRETCH) {
		int64_t end = SN_MIN(c + STRETCH, b->k), i = 0;
		for (; i + 4 <= n_row && equal_steps(b->row + row0 + i, 2); i += 4)
			lines_bf16(b, high, low, row0 + i, w + i * b->k, c, end);
		scatter_bf16(b, high, low, row0 + i, n_row - i, w + i * b->k, c, end);
	}
}

void sn_blocked_put_columns_f32(const sn_blocked *b, float *to, int64_t column0, int64_t n_column, const float *w)
{
	for (int64_t j = 0; j < n_column; j++) {
		float *column = to + b->column[column0 + j];
		const float *x = w + j * b->n;
		for (int64_t i = 0, n; i < b->n; i += n) {
			n = i + STRETCH <= b->n && b->row[i + STRETCH - 1] == b->row[i] + STRETCH - 1 ? STRETCH : 1;
			memcpy(column + b->row[i], x + i, (size_t)n * sizeof *x);
		}
	}
}

void sn_blocked_put_columns_bf16(const sn_blocked *b, uint16_t *high, uint16_t *low, int64_t column0, int64_t n_column,
                                 const float *w)
{
	for (int64_t j = 0; j < n_column; j++)
		for (int64_t i = 0; i < b->n; i++) {
			int64_t at = b->row[i] + b->column[column0 + j];
			high[at] = sn_to_bf16(w[j * b->n + i]);
			if (low) low[at] = sn_bf16_rest(w[j * b->n + i], high[at]);
		}
}
