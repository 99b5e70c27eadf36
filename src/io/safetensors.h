/* Safetensors files: length of the header u64, header (JSON: name -> dtype, shape, data_offsets; "__metadata__":
 * strings), then the numbers, row-major, without a hole. Read by io/tensor_file.h; written here, as a stream. */
#ifndef SN_IO_SAFETENSORS_H
#define SN_IO_SAFETENSORS_H

#include "io/tensor_file.h"

/* Tensors are declared, then filled row by row in any interleaving; memory stays flat. A tensor whose number of rows is
 * given goes straight to its place; those that grow share a nameless file beside the target (so two open files and
 * twice their size on disk) and are copied behind the others at the end. The target appears only with the commit. */

typedef struct sn_safetensors_writer sn_safetensors_writer;

/* Under a checkpoint (base/checkpoint.h) the file grows as `path.partial`, which a killed run leaves behind. */
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
/* Passes over rows that the file holds already (sn_safetensors_create under a checkpoint that was resumed). SN_EARG for
 * a tensor that grows. */
SN_CHECKED sn_status sn_safetensors_skip(sn_safetensors_writer *writer, int id, int64_t n_row);
/* Notes in the checkpoint that units 0 .. number are in the file; nothing where there is none. */
SN_CHECKED sn_status sn_safetensors_mark(sn_safetensors_writer *writer, uint64_t key, uint64_t number);
/* Completes the file and puts it in place; SN_ESHAPE if a declared row is missing. */
SN_CHECKED sn_status sn_safetensors_commit(sn_safetensors_writer *writer);
/* Frees the writer; without a commit nothing is left behind. NULL is allowed. */
void sn_safetensors_writer_close(sn_safetensors_writer *writer);

#endif
