/* Where oneDNN keeps the numbers of a packed matrix. Its layouts are blocked: the place of element (row, column) is a
 * sum of what the row gives and what the column gives, so two tables say all of it, and rows can be put down one by
 * one, by several threads, as they are read. */
#ifndef SN_TENSOR_BLOCKED_H
#define SN_TENSOR_BLOCKED_H

#include "sonde.h"

#include <dnnl.h>

/* Element (r, c) of [n, k] is number row[r] + column[c] of the memory; padded: there are others, which must be 0. */
typedef struct sn_blocked { int64_t *row, *column, n, k; bool padded; } sn_blocked;

/* Reads the tables off a layout of [k, n]. SN_EINTERNAL for one that is not blocked, SN_ENOMEM. */
SN_CHECKED sn_status sn_blocked_make(sn_blocked *out, sn_ctx *ctx, const dnnl_memory_desc_t *layout);
void sn_blocked_free(sn_ctx *ctx, sn_blocked *blocked);
/* Puts rows [row0, row0 + n_row) of w (dense, [n_row, k]) down as float32. Different rows from different threads. */
void sn_blocked_put_f32(const sn_blocked *b, float *to, int64_t row0, int64_t n_row, const float *w);
/* The same in bfloat16: the nearest, and in low (unless NULL) what that leaves, to the nearest. */
void sn_blocked_put_bf16(const sn_blocked *b, uint16_t *high, uint16_t *low, int64_t row0, int64_t n_row,
                         const float *w);

/* Both for columns [column0, column0 + n_column) of the matrix, which w [n_column, n] has as its rows. */
void sn_blocked_put_columns_f32(const sn_blocked *b, float *to, int64_t column0, int64_t n_column, const float *w);
void sn_blocked_put_columns_bf16(const sn_blocked *b, uint16_t *high, uint16_t *low, int64_t column0, int64_t n_column,
                                 const float *w);

/* Returns the nearest bfloat16, ties to even, as the upper half of a float32. NaN stays NaN. */
static inline uint16_t sn_to_bf16(float x)
{
	union { float f; uint32_t u; } v = { x };
	if ((v.u & 0x7fffffff) > 0x7f800000) return (uint16_t)(v.u >> 16 | 0x40);
	return (uint16_t)((v.u + 0x7fff + (v.u >> 16 & 1)) >> 16);
}

/* Returns what the nearest bfloat16 leaves of x; of what is infinite, nothing. */
static inline uint16_t sn_bf16_rest(float x, uint16_t high)
{
	union { uint32_t u; float f; } v = { (uint32_t)high << 16 };
	float rest = x - v.f;
	return rest == rest ? sn_to_bf16(rest) : 0;
}

#endif
