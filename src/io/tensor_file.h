/* Files of named tensors: safetensors, and what torch.save wrote of a state dictionary (pytorch_model.bin), each single
 * or in shards named by an index. All are memory-mapped; opening costs their headers, and a tensor's numbers are read
 * where they stand. The format is told from the content, so the name of a single file does not matter. */
#ifndef SN_IO_TENSOR_FILE_H
#define SN_IO_TENSOR_FILE_H

#include "io/stored.h"

typedef struct sn_tensor_file sn_tensor_file;

/* Opens one file, or all files named by an index (name ending in .json; {"weight_map": {tensor: file beside it}}).
 * SN_EPARSE for a damaged file, SN_EUNKNOWN for a kind that is not known, SN_EIO for one that cannot be read: the text
 * names file, tensor or byte, expected and found. */
SN_CHECKED sn_status sn_tensor_file_open(sn_tensor_file **out, sn_ctx *ctx, const char *path);
/* Opens the weights of a Hugging Face folder: the first there of model.safetensors, model.safetensors.index.json,
 * pytorch_model.bin, pytorch_model.bin.index.json. SN_ENOTFOUND if none is. */
SN_CHECKED sn_status sn_tensor_file_open_folder(sn_tensor_file **out, sn_ctx *ctx, const char *folder);
/* The same for one file's bytes in memory, borrowed until close; source stands for the path in error texts. */
SN_CHECKED sn_status sn_tensor_file_open_bytes(sn_tensor_file **out, sn_ctx *ctx, const char *source, const void *bytes,
											   size_t size);
/* NULL is allowed. */
void sn_tensor_file_close(sn_tensor_file *file);
/* Returns the path that was opened; a folder's: that of the file in it. */
const char *sn_tensor_file_path(const sn_tensor_file *file);
/* Returns "safetensors" or "PyTorch"; the format of the first file if there are several. */
const char *sn_tensor_file_format(const sn_tensor_file *file);
/* Returns the size of all its files in bytes. */
size_t sn_tensor_file_size(const sn_tensor_file *file);
int64_t sn_tensor_file_count(const sn_tensor_file *file);
/* Returns tensor i in the order of names, 0 <= i < count. */
const sn_stored *sn_tensor_file_at(const sn_tensor_file *file, int64_t i);
/* Returns the tensor of that name, or NULL. */
const sn_stored *sn_tensor_file_find(const sn_tensor_file *file, const char *name);
/* Returns the metadata string of that key (of the first file that has it), or NULL. PyTorch's files have none. */
const char *sn_tensor_file_meta(const sn_tensor_file *file, const char *key);

#endif
