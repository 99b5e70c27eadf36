/* Tensor views. */
#include "sonde.h"

size_t sn_dtype_size(sn_dtype dtype)
{
	switch (dtype) {
	case SN_F32: case SN_I32: return 4;
	case SN_F64: case SN_I64: return 8;
	case SN_F16: case SN_BF16: return 2;
	case SN_U8: return 1;
	case SN_DTYPE_NONE: break;
	}
	return 0;
}

sn_tensor sn_tensor_f32(float *data, int64_t rows, int64_t cols)
{
	if (rows < 0) return (sn_tensor){ .data = data, .dtype = SN_F32, .ndim = 1, .dim = { cols }, .stride = { 1 } };
	return (sn_tensor){ .data = data, .dtype = SN_F32, .ndim = 2, .dim = { rows, cols }, .stride = { cols, 1 } };
}

int64_t sn_tensor_count(const sn_tensor *t)
{
	int64_t n = 1;
	for (int i = 0; i < t->ndim; i++) n *= t->dim[i];
	return n;
}
