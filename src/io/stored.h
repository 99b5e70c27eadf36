/* Tensors as they stand in files: what io/tensor_file.h gives, and the readers of the formats fill. */
#ifndef SN_IO_STORED_H
#define SN_IO_STORED_H

#include "base/base.h"
#include "io/plain.h"

enum { SN_STORED_NDIM = 8 };

/* The number (i, j, ...) stands at data + (i stride[0] + j stride[1] + ...) type->bytes: inside the mapping for every
 * index within dim. Safetensors are always dense and row-major; PyTorch files may hold transposed or broken views, and
 * several tensors in the same bytes. */
typedef struct sn_stored {
	const char *name;
	const sn_plain_type *type;
	int ndim; /* 0: one number */
	int64_t dim[SN_STORED_NDIM];
	int64_t stride[SN_STORED_NDIM]; /* in numbers, from 0 */
	int64_t count;                  /* product of dim; may be 0 */
	size_t size;                    /* bytes of count numbers */
	const uint8_t *data;            /* into the mapping; any alignment */
	const char *path;               /* the file it is in */
} sn_stored;

/* Returns whether the numbers stand row-major without a gap, so that data[0 .. size) is the whole tensor. */
bool sn_stored_dense(const sn_stored *tensor);

/* Writes rows [row0, row0 + n_row) as float32, dense and row-major: n_row x (count / dim[0]) numbers. A row is all
 * dimensions but the first; a tensor of 0 dimensions has one. The rows must be in the tensor, and type->to_f32 not be
 * NULL. Pure; cost: one pass, vectorised where numbers stand side by side. */
void sn_stored_rows(const sn_stored *tensor, int64_t row0, int64_t n_row, float *out);

/* ---- for readers of formats ---- */

/* A growing list of tensors in an arena. */
typedef struct sn_stored_list {
	sn_arena *arena;
	sn_stored *item;
	int64_t n, room;
} sn_stored_list;

/* Appends a zeroed tensor, which *out points at until the next one; its name is copied. */
SN_CHECKED sn_status sn_stored_add(sn_stored_list *list, const char *name, size_t name_size, sn_stored **out);
/* Sets ndim, dim, count and size, and the strides of a dense tensor; false if a size is negative or the whole is more
 * than memory can address. type must be set. */
bool sn_stored_shape(sn_stored *tensor, int ndim, const int64_t *dim);

#endif
