/* Matrix products with weights packed once (oneDNN). float32 results of a row do not depend on how many rows are
 * computed with it nor on the number of threads, so long as those rows go through the same packing.
 *
 * The precision is the context's. bf16x3: x and w are each the sum of two bfloat16 numbers, x = xh + xl, and
 * xh wh + xl wh + xh wl is accumulated in float32 (Henry, Tang & Heinecke 2019; the error that is left, xl wl, is about
 * 2^-16 of the product). bf16: xh wh alone. On a processor without bfloat16 instructions both are float32. */
#ifndef SN_TENSOR_GEMM_H
#define SN_TENSOR_GEMM_H

#include "sonde.h"

/* The engine, its stream and the primitives created so far. */
typedef struct sn_gemm sn_gemm;
/* One weight matrix in packed layout. */
typedef struct sn_packed sn_packed;

/* Rows that buffers handed to sn_gemm_run must have room for: m rounded up to what is computed at once. */
int64_t sn_gemm_room(int64_t m);

/* What the processor has for bfloat16: nothing, vector instructions (twice as many multiplications an instruction as
 * float32), or matrix units (AMX). */
typedef enum sn_bf16_unit_kind { SN_BF16_NONE, SN_BF16_VECTOR, SN_BF16_MATRIX } sn_bf16_unit_kind;
sn_bf16_unit_kind sn_bf16_unit(void);
/* Returns "none", "vector" or "matrix". */
const char *sn_bf16_unit_name(sn_bf16_unit_kind unit);
/* Returns the precision that products of this context have on this processor. */
sn_precision sn_gemm_precision(const sn_ctx *ctx);
/* Returns the bytes that one packed number takes in a precision: 4, 4, 2. */
int sn_precision_bytes(sn_precision precision);
/* Returns "f32", "bf16x3" or "bf16". */
const char *sn_precision_name(sn_precision precision);

SN_CHECKED sn_status sn_gemm_open(sn_gemm **out, sn_ctx *ctx);
void sn_gemm_close(sn_gemm *gemm);
/* A matrix [n, k] for y = x w', whose rows are still to be put down. */
SN_CHECKED sn_status sn_packed_make(sn_packed **out, sn_gemm *gemm, int64_t n, int64_t k);
/* Puts rows [row0, row0 + n_row) of w down; w [n_row, k] row-major, as files hold them. From several threads at once on
 * different rows, best SN_PACK_ROWS of them from a multiple of that. */
void sn_packed_put(const sn_gemm *gemm, sn_packed *packed, int64_t row0, int64_t n_row, const float *w);
enum { SN_PACK_ROWS = 64 };
/* Both for a w [n, k] that is in memory; it is no longer needed afterwards. */
SN_CHECKED sn_status sn_gemm_pack(sn_packed **out, sn_gemm *gemm, const float *w, int64_t n, int64_t k);
/* Packs the same w [n, k] for y [m, k] = x [m, n] w: the product's derivative. */
SN_CHECKED sn_status sn_gemm_pack_transposed(sn_packed **out, sn_gemm *gemm, const float *w, int64_t n, int64_t k);
void sn_packed_free(sn_gemm *gemm, sn_packed *packed);
/* Returns n of [n, k]: how many numbers a product yields for each row. */
int64_t sn_packed_rows(const sn_packed *packed);
/* Returns the bytes that the packed matrix takes. */
size_t sn_packed_bytes(const sn_packed *packed);
/* y [m, n] = x [m, k] w'; both dense, both with room for sn_gemm_room(m) rows (rows from m on are computed too, of
 * whatever stands there, and must not be used). */
SN_CHECKED sn_status sn_gemm_run(sn_gemm *gemm, const sn_packed *w, const float *x, int64_t m, float *y);

#endif
