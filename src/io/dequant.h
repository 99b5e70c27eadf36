/* Stored numbers to float32: the tensor types of GGUF. Bit-exact with the Python `gguf` package:
 * each product and sum is rounded to float32 on its own (build with -ffp-contract=off). */
#ifndef SN_IO_DEQUANT_H
#define SN_IO_DEQUANT_H

#include "io/plain.h"

/* A tensor type of GGUF. Numbers come in blocks, which are never cut. */
typedef struct sn_ggml_type {
	int id;           /* number in the file */
	const char *name; /* "Q4_1" */
	int block;        /* numbers a block */
	int bytes;        /* bytes a block */
	/* Writes n numbers (a multiple of block) from src, at any alignment, to dst. NULL: the type can be named and
	 * measured, but not read. Pure, so row ranges may be converted in parallel. */
	sn_to_f32 *to_f32;
} sn_ggml_type;

/* Returns the type with that number in a file, or NULL. */
const sn_ggml_type *sn_ggml_type_find(uint32_t id);
/* Returns type i of the table in ascending order of id, or NULL past the end. */
const sn_ggml_type *sn_ggml_type_at(int i);

#endif
