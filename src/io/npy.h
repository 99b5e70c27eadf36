/* NumPy's .npy arrays (format 1.0 - 3.0, little-endian, row-major). */
#ifndef SN_IO_NPY_H
#define SN_IO_NPY_H

#include "base/base.h"

enum { SN_NPY_NDIM = 8 };

typedef struct sn_npy {
	sn_map_file map; /* empty when read from bytes */
	sn_dtype dtype;  /* F32, F64, F16, I32, I64, U8 */
	int ndim;        /* 0: one number */
	int64_t dim[SN_NPY_NDIM];
	int64_t count;
	const uint8_t *data; /* count numbers, at any alignment */
} sn_npy;

/* Maps a file; SN_EPARSE or SN_EUNKNOWN (a type or order that is not read) name the place. */
SN_CHECKED sn_status sn_npy_open(sn_npy *out, sn_ctx *ctx, const char *path);
/* The same for bytes in memory, borrowed as long as *out is used. */
SN_CHECKED sn_status sn_npy_open_bytes(sn_npy *out, sn_ctx *ctx, const char *source, const void *bytes, size_t size);
void sn_npy_close(sn_ctx *ctx, sn_npy *array);
/* Writes a dense array of ndim <= SN_NPY_NDIM dimensions as format 1.0; SN_BF16, which NumPy lacks, is SN_EARG. */
SN_CHECKED sn_status sn_npy_write(sn_ctx *ctx, const char *path, sn_dtype dtype, int ndim, const int64_t *dim,
								  const void *data);

#endif
