/* Reads numbers of tests/golden safetensors files as double or float, failing the test when one is missing. */
#ifndef SN_TEST_GOLDEN_H
#define SN_TEST_GOLDEN_H

#include "common/test.h"
#include "io/tensor_file.h"

sn_tensor_file *golden_open(sn_ctx *ctx, const char *name); /* name: path below tests/golden */
/* Returns the tensor CASE/NAME (printf arguments), its shape in dim[2] (missing dimensions 1; NULL: not wanted). */
double *golden_f64(sn_arena *arena, const sn_tensor_file *file, int64_t *dim, const char *format, ...) SN_PRINTF(4, 5);
float *golden_f32(sn_arena *arena, const double *values, int64_t n);
/* Returns the largest |a - b|; infinity if any is not finite. */
double golden_gap(const double *a, const double *b, int64_t n);

#endif
