/* What an opened file of tensors holds, for the readers of each format. */
#ifndef SN_IO_TENSOR_FILE_IMPL_H
#define SN_IO_TENSOR_FILE_IMPL_H

#include "io/json.h"
#include "io/tensor_file.h"

typedef struct sn_tensor_meta {
	const char *key, *value;
} sn_tensor_meta;

struct sn_tensor_file {
	sn_ctx *ctx;
	sn_arena *arena;
	const char *source, *format;
	size_t size;
	sn_stored_list tensor; /* ascending names once all is read */
	sn_tensor_meta *meta;
	int64_t n_meta, n_map;
	sn_map_file *map;
};

/* Each reads one file (its bytes stay mapped) and appends its tensors; source lives as long as file. */
SN_CHECKED sn_status sn_safetensors_read(sn_tensor_file *file, const char *source, const uint8_t *bytes, size_t size);
SN_CHECKED sn_status sn_torch_read(sn_tensor_file *file, const char *source, const uint8_t *bytes, size_t size);
/* The form of torch.save before version 1.6: pickles one behind the other, then the numbers. */
SN_CHECKED sn_status sn_torch_legacy_read(sn_tensor_file *file, const char *source, const uint8_t *bytes, size_t size);
/* Returns whether the bytes begin as that form does. */
bool sn_torch_legacy_is(const uint8_t *bytes, size_t size);

/* What the index of sharded files says. */
typedef struct sn_shards {
	const char **path; /* of each file, once */
	int64_t n;
} sn_shards;

/* Reads "weight_map" of an index. A shard lies beside the index: a name that leads elsewhere is refused. */
SN_CHECKED sn_status sn_shards_read(sn_shards *out, sn_arena *arena, const sn_json *index, const char *path);
/* Fails unless every tensor that the index names is in the shard that it names. */
SN_CHECKED sn_status sn_shards_check(const sn_tensor_file *file, const sn_json *index);

#endif
