/* What the two forms of torch.save have in common: a pickled state dictionary, whose tensors are views of storages that
 * lie elsewhere in the file. Form: torch/serialization.py and torch/_utils.py of PyTorch 1.0 to 2.x. */
#ifndef SN_IO_TORCH_H
#define SN_IO_TORCH_H

#include "io/pickle.h"
#include "io/tensor_file_impl.h"

/* Where a storage's numbers are: sets *data and *size (bytes), or returns false. */
typedef bool sn_torch_find(void *arg, sn_slice key, const uint8_t **data, size_t *size);

/* Reads a pickle of the file with the globals that state dictionaries need; its values are the arena's, and take no
 * more memory than the file has bytes (and half a MiB). */
SN_CHECKED sn_status sn_torch_pickle(sn_pickle *out, const sn_tensor_file *file, sn_arena *arena, const char *source,
									 size_t start, const uint8_t *bytes, size_t size);
/* Appends the tensors of a state dictionary to file; other values in it are passed over. Every view is checked to lie
 * inside its storage. SN_EPARSE names the tensor, or says that there is none. */
SN_CHECKED sn_status sn_torch_state(sn_tensor_file *file, const char *source, const sn_pickle_value *root,
									sn_torch_find *find, void *arg);

/* What stands for a storage in the pickle: ("storage", class, key, device, numbers[, None]). */
typedef struct sn_torch_storage {
	sn_slice key;
	const sn_plain_type *type; /* NULL: bytes without a type */
	uint64_t count;            /* numbers; bytes if there is no type */
} sn_torch_storage;

/* Reads that; false if it is anything else. */
bool sn_torch_storage_read(sn_torch_storage *out, const sn_pickle_value *persistent);

#endif
