/* The index of a model in several files: which tensor is in which. */
#include <string.h>

#include "io/tensor_file_impl.h"

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* Appends the path of a shard unless it is there already. */
static sn_status add_shard(sn_shards *shards, sn_arena *arena, const char *index, const char *name)
{
	for (int64_t i = shards->n; i-- > 0;)
		if (strcmp(base_name(shards->path[i]), name) == 0) return SN_OK;
	char *path = sn_arena_format(arena, "%.*s%s", (int)(base_name(index) - index), index, name);
	if (!path) return SN_ENOMEM;
	shards->path[shards->n++] = path;
	return SN_OK;
}

/* Counts the changes from one file to another, which are at least as many as there are files. */
static size_t changes(const json_t *weights)
{
	const char *name, *last = "";
	json_t *value;
	size_t n = 0;
	json_object_foreach((json_t *)(uintptr_t)weights, name, value) {
		const char *shard = json_is_string(value) ? json_string_value(value) : "";
		n += strcmp(shard, last) != 0;
		last = shard;
	}
	return n;
}

sn_status sn_shards_read(sn_shards *out, sn_arena *arena, const sn_json *index, const char *path)
{
	const char *name, *shard;
	json_t *weights, *value;
	*out = (sn_shards){ 0 };
	SN_TRY(sn_json_object(index, index->root, "weight_map", &weights));
	SN_NEW(out->path, arena, const char *, changes(weights));
	json_object_foreach(weights, name, value) {
		SN_TRY(sn_json_string(index, weights, name, &shard));
		if (!shard[0] || strchr(shard, '/') || shard[0] == '.')
			return sn_json_fail(index, weights, name, SN_EPARSE,
								"expected the name of a file beside the index, found '%s'", shard);
		SN_TRY(add_shard(out, arena, path, shard));
	}
	if (out->n) return SN_OK;
	return sn_json_fail(index, weights, NULL, SN_EPARSE, "expected the files of the tensors, found none");
}

sn_status sn_shards_check(const sn_tensor_file *file, const sn_json *index)
{
	const char *name;
	json_t *weights, *value;
	SN_TRY(sn_json_object(index, index->root, "weight_map", &weights));
	json_object_foreach(weights, name, value) {
		const sn_stored *t = sn_tensor_file_find(file, name);
		if (!t || strcmp(base_name(t->path), json_string_value(value)) != 0)
			return sn_json_fail(index, weights, name, SN_EPARSE,
								"the tensor is not in '%s'; fetch the model's files again", json_string_value(value));
	}
	return SN_OK;
}
