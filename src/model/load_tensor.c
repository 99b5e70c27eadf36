/* Reading tensors where they lie in a file. */
#include "model/load.h"

#include "base/base.h"

#include <string.h>

static bool dense(const sn_file_tensor *v)
{
	int64_t expected = 1;
	for (int i = v->ndim; i-- > 0;) {
		if (v->dim[i] != 1 && v->stride[i] != expected) return false;
		expected *= v->dim[i];
	}
	return true;
}

/* A vector: dense numbers in any shape, or one dimension that has them all. */
static bool fit_vector(sn_file_tensor *v, int64_t n)
{
	int64_t count = 1, stride = 1;
	for (int i = 0; i < v->ndim; i++) {
		if (v->dim[i] < 0 || __builtin_mul_overflow(count, v->dim[i], &count)) return false;
		if (v->dim[i] == n) stride = v->stride[i];
	}
	if (count != n) return false;
	if (dense(v)) stride = 1;
	else if (v->block != 1) return false;
	else
		for (int i = 0; i < v->ndim; i++)
			if (v->dim[i] != 1 && v->dim[i] != n) return false;
	v->ndim = 2;
	v->dim[0] = n;
	v->dim[1] = 1;
	v->stride[0] = stride;
	v->stride[1] = 1;
	return true;
}

bool sn_file_tensor_fit(sn_file_tensor *v, int64_t rows, int64_t columns, bool vector)
{
	if (vector) return columns == 1 && fit_vector(v, rows);
	return v->ndim == 2 && v->dim[0] == rows && v->dim[1] == columns;
}

void sn_file_tensor_transpose(sn_file_tensor *v)
{
	int64_t dim = v->dim[0], stride = v->stride[0];
	v->dim[0] = v->dim[1];
	v->stride[0] = v->stride[1];
	v->dim[1] = dim;
	v->stride[1] = stride;
}

/* n numbers that stand stride apart from number `at` on. */
static void read_line(const sn_file_tensor *v, int64_t at, int64_t stride, int64_t n, float *out)
{
	const uint8_t *data = v->data + (size_t)(at / v->block) * (size_t)v->block_bytes;
	if (stride == 1) {
		v->to_f32(data, out, n);
		return;
	}
	for (int64_t i = 0; i < n; i++) v->to_f32(data + (size_t)(i * stride) * (size_t)v->block_bytes, out + i, 1);
}

/* Columns lie dense: they are read in stretches and put down across. */
static void read_across(const sn_file_tensor *v, int64_t row0, int64_t n_row, float *out)
{
	enum { STRETCH = 256 };
	float stretch[STRETCH];
	for (int64_t i = 0; i < n_row; i += STRETCH) {
		int64_t n = SN_MIN(n_row - i, (int64_t)STRETCH);
		for (int64_t j = 0; j < v->dim[1]; j++) {
			read_line(v, row0 + i + j * v->stride[1], 1, n, stretch);
			for (int64_t r = 0; r < n; r++) out[(i + r) * v->dim[1] + j] = stretch[r];
		}
	}
}

void sn_file_tensor_rows(const sn_file_tensor *v, int64_t row0, int64_t n_row, float *out)
{
	int64_t columns = v->dim[1];
	bool whole = columns == 1 || v->stride[1] == 1;
	if (whole && v->stride[0] == columns) read_line(v, row0 * columns, 1, n_row * columns, out);
	else if (!whole && v->stride[0] == 1) read_across(v, row0, n_row, out);
	else
		for (int64_t i = 0; i < n_row; i++)
			read_line(v, (row0 + i) * v->stride[0], v->stride[1], columns, out + i * columns);
}

bool sn_file_tensor_equal(const sn_file_tensor *a, const sn_file_tensor *b)
{
	if (a->to_f32 != b->to_f32 || a->dim[0] != b->dim[0] || a->dim[1] != b->dim[1] || a->stride[0] != b->stride[0] ||
	    a->stride[1] != b->stride[1] || !dense(a))
		return false;
	size_t size = (size_t)(a->dim[0] * a->dim[1] / a->block) * (size_t)a->block_bytes;
	return a->data == b->data || memcmp(a->data, b->data, size) == 0;
}
