/* Writes tensors as torch.save does: a ZIP file, entries stored, of a pickled dictionary and one storage a tensor.
 * io/tensor_file.h and torch.load read it. */
#ifndef SN_IO_TORCH_WRITE_H
#define SN_IO_TORCH_WRITE_H

#include "base/base.h"

/* A dense float32 tensor under a name. */
typedef struct sn_torch_tensor { const char *name; const float *x; int ndim; int64_t dim[4]; } sn_torch_tensor;

/* Writes n tensors to path (which appears complete or not at all). SN_EARG for a file beyond 4 GiB, which this form has
 * no room for; SN_EIO, SN_EDISK. */
SN_CHECKED sn_status sn_torch_write(sn_ctx *ctx, const char *path, const sn_torch_tensor *tensor, int n);

#endif
