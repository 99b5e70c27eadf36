/* Safetensors files: length of the header u64, header (JSON: name -> dtype, shape, data_offsets; "__metadata__":
 * strings), then the numbers, row-major, without a hole. Read memory-mapped; written as a stream. */
#ifndef SN_IO_SAFETENSORS_H
#define SN_IO_SAFETENSORS_H

#include "base/base.h"

/* ==== Reading ====
 * Opening checks lengths, shapes and offsets against the file's size, so that data always lies inside the mapping, and
 * that tensors neither overlap nor leave holes, as the format demands. SN_EPARSE names file, tensor, expected and
 * found. */

enum { SN_SAFETENSORS_NDIM = 8 };

typedef struct sn_safetensor {
	const char *name;
	sn_dtype dtype; /* SN_U8 for BOOL too; SN_DTYPE_NONE: a type that can be measured but not read (F8_E4M3, I16) */
	const char *dtype_name; /* as in the file: "BF16" */
	int ndim;               /* 0: one number */
	int64_t dim[SN_SAFETENSORS_NDIM];
	int64_t count;       /* numbers; may be 0 */
	size_t size;         /* bytes */
	const uint8_t *data; /* into the mapping; any alignment */
	const char *path;    /* the file it is in */
} sn_safetensor;

typedef struct sn_safetensors sn_safetensors;

/* Opens `model.safetensors`, or all files named by `model.safetensors.index.json` (they lie beside it). */
SN_CHECKED sn_status sn_safetensors_open(sn_safetensors **out, sn_ctx *ctx, const char *path);
/* The same for one file's bytes in memory, borrowed until close; source stands for the path in error texts. */
SN_CHECKED sn_status sn_safetensors_open_bytes(sn_safetensors **out, sn_ctx *ctx, const char *source, const void *bytes,
											   size_t size);
void sn_safetensors_close(sn_safetensors *file);
const char *sn_safetensors_path(const sn_safetensors *file);
int64_t sn_safetensors_count(const sn_safetensors *file);
/* Returns tensor i in the order of names, 0 <= i < count. */
const sn_safetensor *sn_safetensors_at(const sn_safetensors *file, int64_t i);
/* Returns the tensor of that name, or NULL. */
const sn_safetensor *sn_safetensors_find(const sn_safetensors *file, const char *name);
/* Returns the metadata string of that key (of the first file that has it), or NULL. */
const char *sn_safetensors_meta(const sn_safetensors *file, const char *key);

/* ==== Writing ====
 * Tensors are declared, then filled row by row in any interleaving; memory stays flat. A tensor whose number of rows is
 * given goes straight to its place; those that grow share a nameless file beside the target (so two open files and
 * twice their size on disk) and are copied behind the others at the end. The target appears only with the commit. */

typedef struct sn_safetensors_writer sn_safetensors_writer;

SN_CHECKED sn_status sn_safetensors_create(sn_safetensors_writer **out, sn_ctx *ctx, const char *path);
/* Adds a metadata string (both UTF-8), before the first append. */
SN_CHECKED sn_status sn_safetensors_put_meta(sn_safetensors_writer *writer, const char *key, const char *value);
/* Declares a tensor before the first append; *id is its number. dim[0] = -1: as many rows as are appended. SN_EARG for
 * a name given twice, a bad size or a late call. */
SN_CHECKED sn_status sn_safetensors_declare(sn_safetensors_writer *writer, const char *name, sn_dtype dtype, int ndim,
											const int64_t *dim, int *id);
/* Appends n_row rows (dense; a row is all dimensions but the first; a tensor of 0 dimensions has one). SN_ESHAPE when
 * more rows come than were declared. */
SN_CHECKED sn_status sn_safetensors_append(sn_safetensors_writer *writer, int id, const void *rows, int64_t n_row);
/* Completes the file and puts it in place; SN_ESHAPE if a declared row is missing. */
SN_CHECKED sn_status sn_safetensors_commit(sn_safetensors_writer *writer);
/* Frees the writer; without a commit nothing is left behind. NULL is allowed. */
void sn_safetensors_writer_close(sn_safetensors_writer *writer);

#endif
