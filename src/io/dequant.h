/* Stored numbers to float32: the tensor types of GGUF and the plain ones. Bit-exact with the Python `gguf` package:
 * each product and sum is rounded to float32 on its own (build with -ffp-contract=off). */
#ifndef SN_IO_DEQUANT_H
#define SN_IO_DEQUANT_H

#include "sonde.h"

/* A tensor type of GGUF. Numbers come in blocks, which are never cut. */
typedef struct sn_ggml_type {
	int id;           /* number in the file */
	const char *name; /* "Q4_1" */
	int block;        /* numbers a block */
	int bytes;        /* bytes a block */
	/* Writes n numbers (a multiple of block) from src, at any alignment, to dst. NULL: the type can be named and
	 * measured, but not read. Pure, so row ranges may be converted in parallel. */
	void (*to_f32)(const void *src, float *dst, int64_t n);
} sn_ggml_type;

/* Returns the type with that number in a file, or NULL. */
const sn_ggml_type *sn_ggml_type_find(uint32_t id);
/* Returns type i of the table in ascending order of id, or NULL past the end. */
const sn_ggml_type *sn_ggml_type_at(int i);

/* Converts n numbers of a plain type (at any alignment) to float32, rounding to nearest; returns false for
 * SN_DTYPE_NONE. */
bool sn_dtype_to_f32(sn_dtype dtype, const void *src, float *dst, int64_t n);

#endif
