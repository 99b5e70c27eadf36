/* Tensors as they stand in files: shapes, strides, and rows of them as float32. */
#include "io/stored.h"

#include <string.h>

/* ---- lists ---- */

sn_status sn_stored_add(sn_stored_list *list, const char *name, size_t name_size, sn_stored **out)
{
	if (list->n == list->room) {
		int64_t room = list->room ? 2 * list->room : 64;
		sn_stored *all;
		SN_NEW(all, list->arena, sn_stored, room);
		if (list->n) memcpy(all, list->item, (size_t)list->n * sizeof *all);
		list->item = all;
		list->room = room;
	}
	*out = &list->item[list->n];
	(*out)->name = sn_arena_copy(list->arena, name, name_size);
	if (!(*out)->name) return SN_ENOMEM;
	list->n++;
	return SN_OK;
}

bool sn_stored_shape(sn_stored *t, int ndim, const int64_t *dim)
{
	t->ndim = ndim;
	t->count = 1;
	for (int i = ndim; i-- > 0;) {
		t->dim[i] = dim[i];
		t->stride[i] = t->count;
		if (dim[i] < 0 || __builtin_mul_overflow(t->count, dim[i], &t->count)) return false;
	}
	return !__builtin_mul_overflow((uint64_t)t->count, t->type->bytes, &t->size) && t->size <= INT64_MAX;
}

/* ---- numbers ---- */

/* The strides of the dimensions from first on are those of a dense tensor. A dimension of one number has no stride. */
static bool dense_from(const sn_stored *t, int first)
{
	int64_t expected = 1;
	for (int i = t->ndim; i-- > first;) {
		if (t->dim[i] != 1 && t->stride[i] != expected) return false;
		expected *= t->dim[i];
	}
	return true;
}

bool sn_stored_dense(const sn_stored *t) { return t->count == 0 || dense_from(t, 0); }

/* n numbers that stand stride apart, gathered in small pieces, which are then converted together. */
static float *read_line(const sn_plain_type *type, const uint8_t *data, int64_t n, int64_t stride, float *out)
{
	enum { PIECE = 128 };
	uint8_t piece[PIECE * 8];
	for (int64_t i = 0; i < n; i += PIECE) {
		int64_t m = SN_MIN(n - i, (int64_t)PIECE);
		for (int64_t j = 0; j < m; j++)
			memcpy(piece + (size_t)j * type->bytes, data + (size_t)((i + j) * stride) * type->bytes, type->bytes);
		type->to_f32(piece, out + i, m);
	}
	return out + n;
}

/* Everything from dimension axis on at one place of the dimensions before it; returns the end of what was written. At
 * most SN_STORED_NDIM deep. */
static float *read_below(const sn_stored *t, int axis, const uint8_t *data, float *out)
{
	if (axis == t->ndim) return read_line(t->type, data, 1, 1, out);
	if (axis == t->ndim - 1) return read_line(t->type, data, t->dim[axis], t->stride[axis], out);
	for (int64_t i = 0; i < t->dim[axis]; i++)
		out = read_below(t, axis + 1, data + (size_t)(i * t->stride[axis]) * t->type->bytes, out);
	return out;
}

void sn_stored_rows(const sn_stored *t, int64_t row0, int64_t n_row, float *out)
{
	if (t->count == 0 || n_row == 0) return;
	int64_t width = t->ndim ? t->count / t->dim[0] : 1, step = t->ndim ? t->stride[0] : 1;
	const uint8_t *data = t->data + (size_t)(row0 * step) * t->type->bytes;
	if (dense_from(t, 0)) {
		t->type->to_f32(data, out, n_row * width);
		return;
	}
	bool dense = dense_from(t, 1);
	for (int64_t i = 0; i < n_row; i++, data += (size_t)step * t->type->bytes, out += width) {
		if (dense)
			t->type->to_f32(data, out, width);
		else
			(void)read_below(t, 1, data, out);
	}
}
