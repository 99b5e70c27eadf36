/* Opens files of tensors: which format, which files, and the questions about what they hold. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/tensor_file_impl.h"

enum { MAX_INDEX = 100000000 };

/* ---- one file ---- */

static bool begins(const uint8_t *bytes, size_t size, const char *text)
{
	return size >= strlen(text) && memcmp(bytes, text, strlen(text)) == 0;
}

static sn_status read_one(sn_tensor_file *file, const char *source, const uint8_t *bytes, size_t size)
{
	source = sn_arena_string(file->arena, source);
	if (!source) return SN_ENOMEM;
	file->size += size;
	bool zip = begins(bytes, size, "PK\3\4"), legacy = sn_torch_legacy_is(bytes, size);
	if (!file->format) file->format = zip || legacy ? "PyTorch" : "safetensors";
	if (begins(bytes, size, "version https://git-lfs"))
		return sn_fail(file->ctx, SN_EPARSE,
					   "%s: this is a Git LFS pointer to the file, not the file; run `git lfs pull` in its folder",
					   source);
	if (zip) return sn_torch_read(file, source, bytes, size);
	if (legacy) return sn_torch_legacy_read(file, source, bytes, size);
	return sn_safetensors_read(file, source, bytes, size);
}

static sn_status map_one(sn_tensor_file *file, const char *path)
{
	sn_map_file *map = &file->map[file->n_map];
	SN_TRY(sn_map_open(map, file->ctx, path));
	file->n_map++;
	return read_one(file, path, map->data, map->size);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const sn_stored *)a)->name, ((const sn_stored *)b)->name);
}

static sn_status sort_tensors(sn_tensor_file *file)
{
	sn_stored *t = file->tensor.item;
	if (file->tensor.n) qsort(t, (size_t)file->tensor.n, sizeof *t, compare_names);
	for (int64_t i = 1; i < file->tensor.n; i++)
		if (strcmp(t[i - 1].name, t[i].name) == 0)
			return sn_fail(file->ctx, SN_EPARSE, "%s: tensor '%s' is there twice, in %s and in %s; remove one",
						   file->source, t[i].name, t[i - 1].path, t[i].path);
	return SN_OK;
}

/* ---- opening ---- */

static sn_status read_shards(sn_tensor_file *file, const sn_json *index, const char *path)
{
	sn_shards shards;
	SN_TRY(sn_shards_read(&shards, file->arena, index, path));
	SN_NEW(file->map, file->arena, sn_map_file, shards.n);
	for (int64_t i = 0; i < shards.n; i++) SN_TRY(map_one(file, shards.path[i]));
	SN_TRY(sort_tensors(file));
	return sn_shards_check(file, index);
}

static sn_status open_index(sn_tensor_file *file, const char *path)
{
	sn_json *index;
	SN_TRY(sn_json_load(&index, file->ctx, path, MAX_INDEX));
	sn_status status = read_shards(file, index, path);
	sn_json_close(index);
	return status;
}

static sn_status open_single(sn_tensor_file *file, const char *path)
{
	SN_NEW(file->map, file->arena, sn_map_file, 1);
	SN_TRY(map_one(file, path));
	return sort_tensors(file);
}

static sn_status new_file(sn_tensor_file **out, sn_ctx *ctx, const char *source)
{
	sn_tensor_file *file = sn_alloc(ctx, sizeof *file);
	*out = file;
	if (!file) return SN_ENOMEM;
	file->ctx = ctx;
	SN_TRY(sn_arena_open(&file->arena, ctx));
	file->tensor.arena = file->arena;
	file->source = sn_arena_string(file->arena, source);
	return file->source ? SN_OK : SN_ENOMEM;
}

static sn_status finish(sn_tensor_file **out, sn_status status)
{
	if (status == SN_OK) return SN_OK;
	sn_tensor_file_close(*out);
	*out = NULL;
	return status;
}

sn_status sn_tensor_file_open(sn_tensor_file **out, sn_ctx *ctx, const char *path)
{
	sn_status status = new_file(out, ctx, path);
	if (status == SN_OK) status = sn_ends_with(path, ".json") ? open_index(*out, path) : open_single(*out, path);
	return finish(out, status);
}

sn_status sn_tensor_file_open_bytes(sn_tensor_file **out, sn_ctx *ctx, const char *source, const void *bytes,
									size_t size)
{
	sn_status status = new_file(out, ctx, source);
	if (status == SN_OK) status = read_one(*out, source, bytes, size);
	if (status == SN_OK) status = sort_tensors(*out);
	return finish(out, status);
}

/* Sets *out to the path of the first of the names that is in the folder, or NULL. */
static sn_status first_there(sn_arena *arena, const char *folder, const char *const *name, int n, const char **out)
{
	*out = NULL;
	for (int i = 0; i < n && !*out; i++) {
		const char *path = sn_arena_format(arena, "%s/%s", folder, name[i]);
		if (!path) return SN_ENOMEM;
		if (access(path, F_OK) == 0) *out = path;
	}
	return SN_OK;
}

/* No weights are there that can be read: says what is there instead. */
static sn_status no_weights(sn_ctx *ctx, sn_arena *arena, const char *folder)
{
	static const char *const foreign[] = { "tf_model.h5", "flax_model.msgpack", "model.ckpt.index", "model.onnx" };
	const char *path;
	SN_TRY(first_there(arena, folder, foreign, SN_COUNT(foreign), &path));
	if (path)
		return sn_fail(ctx, SN_ENOTFOUND,
					   "%s: found only %s of the weights, which cannot be read; expected model.safetensors or "
					   "pytorch_model.bin; convert the model with transformers (save_pretrained)",
					   folder, strrchr(path, '/') + 1);
	return sn_fail(ctx, SN_ENOTFOUND,
				   "%s: no weights; expected model.safetensors or pytorch_model.bin, or the index of either "
				   "(model.safetensors.index.json); fetch the model's files again",
				   folder);
}

sn_status sn_tensor_file_open_folder(sn_tensor_file **out, sn_ctx *ctx, const char *folder)
{
	static const char *const known[] = { "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
										 "pytorch_model.bin.index.json" };
	sn_arena *arena;
	const char *path;
	*out = NULL;
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = first_there(arena, folder, known, SN_COUNT(known), &path);
	if (status == SN_OK) status = path ? sn_tensor_file_open(out, ctx, path) : no_weights(ctx, arena, folder);
	sn_arena_close(arena);
	return status;
}

void sn_tensor_file_close(sn_tensor_file *file)
{
	if (!file) return;
	for (int64_t i = 0; i < file->n_map; i++) sn_map_close(file->ctx, &file->map[i]);
	sn_arena_close(file->arena);
	sn_free(file->ctx, file);
}

/* ---- questions ---- */

const char *sn_tensor_file_path(const sn_tensor_file *file) { return file->source; }
const char *sn_tensor_file_format(const sn_tensor_file *file) { return file->format; }
size_t sn_tensor_file_size(const sn_tensor_file *file) { return file->size; }
int64_t sn_tensor_file_count(const sn_tensor_file *file) { return file->tensor.n; }
const sn_stored *sn_tensor_file_at(const sn_tensor_file *file, int64_t i) { return &file->tensor.item[i]; }

const sn_stored *sn_tensor_file_find(const sn_tensor_file *file, const char *name)
{
	sn_stored key = { .name = name };
	return file->tensor.n ? bsearch(&key, file->tensor.item, (size_t)file->tensor.n, sizeof key, compare_names) : NULL;
}

const char *sn_tensor_file_meta(const sn_tensor_file *file, const char *key)
{
	for (int64_t i = 0; i < file->n_meta; i++)
		if (strcmp(file->meta[i].key, key) == 0) return file->meta[i].value;
	return NULL;
}
