/* Reads safetensors files, single or in shards. */
#include "io/safetensors.h"

#include <stdlib.h>

#include "io/bytes.h"
#include "io/json.h"

enum { MAX_HEADER = 100000000 }; /* the format's own limit */

typedef struct meta {
	const char *key, *value;
} meta;

struct sn_safetensors {
	sn_ctx *ctx;
	sn_arena *arena;
	const char *source;
	int64_t n, n_meta, n_map;
	sn_safetensor *tensor; /* ascending names */
	meta *meta;
	sn_map_file *map;
};

/* One file while it is read. */
typedef struct shard {
	sn_safetensors *file;
	const char *source;
	const uint8_t *data; /* the numbers */
	size_t size;         /* bytes of numbers */
	sn_json *header;
} shard;

static const struct {
	const char *name;
	sn_dtype dtype;
	size_t size;
} dtypes[] = {
	{ "F32", SN_F32, 4 },
	{ "F16", SN_F16, 2 },
	{ "BF16", SN_BF16, 2 },
	{ "F64", SN_F64, 8 },
	{ "I64", SN_I64, 8 },
	{ "I32", SN_I32, 4 },
	{ "U8", SN_U8, 1 },
	{ "BOOL", SN_U8, 1 },
	{ "I8", SN_DTYPE_NONE, 1 },
	{ "I16", SN_DTYPE_NONE, 2 },
	{ "U16", SN_DTYPE_NONE, 2 },
	{ "U32", SN_DTYPE_NONE, 4 },
	{ "U64", SN_DTYPE_NONE, 8 },
	{ "F8_E4M3", SN_DTYPE_NONE, 1 },
	{ "F8_E5M2", SN_DTYPE_NONE, 1 },
};

/* ---- one tensor ---- */

static sn_status read_dtype(const shard *s, const json_t *entry, sn_safetensor *t, size_t *size)
{
	const char *name;
	SN_TRY(sn_json_string(s->header, entry, "dtype", &name));
	for (int i = 0; i < SN_COUNT(dtypes); i++) {
		if (strcmp(dtypes[i].name, name) != 0) continue;
		t->dtype = dtypes[i].dtype;
		t->dtype_name = dtypes[i].name;
		*size = dtypes[i].size;
		return SN_OK;
	}
	return sn_json_fail(s->header, entry, "dtype", SN_EUNKNOWN,
						"the type '%s' is unknown; convert the tensor to F32, F16 or BF16", name);
}

static sn_status read_shape(const shard *s, const json_t *entry, sn_safetensor *t)
{
	json_t *shape;
	SN_TRY(sn_json_array(s->header, entry, "shape", &shape));
	if (json_array_size(shape) > SN_SAFETENSORS_NDIM)
		return sn_json_fail(s->header, shape, NULL, SN_EPARSE, "expected at most %d dimensions, found %zu",
							SN_SAFETENSORS_NDIM, json_array_size(shape));
	t->ndim = (int)json_array_size(shape);
	t->count = 1;
	for (int i = 0; i < t->ndim; i++) {
		const json_t *n = json_array_get(shape, (size_t)i);
		t->dim[i] = json_integer_value(n);
		if (!json_is_integer(n) || t->dim[i] < 0 || __builtin_mul_overflow(t->count, t->dim[i], &t->count))
			return sn_json_fail(s->header, shape, NULL, SN_EPARSE,
								"expected sizes from 0 that memory can hold; the file is damaged");
	}
	return SN_OK;
}

static sn_status read_place(const shard *s, const json_t *entry, sn_safetensor *t, size_t dtype_size)
{
	json_t *offsets;
	SN_TRY(sn_json_array(s->header, entry, "data_offsets", &offsets));
	const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
	json_int_t a = json_integer_value(first), b = json_integer_value(last);
	bool two = json_array_size(offsets) == 2 && json_is_integer(first) && json_is_integer(last);
	if (!two || a < 0 || b < a || (uint64_t)b > s->size)
		return sn_json_fail(s->header, offsets, NULL, SN_EPARSE,
							"expected [first, end) within the %zu bytes of data, found [%lld, "
							"%lld); it is damaged or its download is incomplete",
							s->size, (long long)a, (long long)b);
	size_t size;
	if (__builtin_mul_overflow((uint64_t)t->count, dtype_size, &size) || size != (uint64_t)(b - a))
		return sn_json_fail(s->header, offsets, NULL, SN_EPARSE,
							"expected %lld numbers of %zu bytes each, found %lld bytes; the "
							"file is damaged",
							(long long)t->count, dtype_size, (long long)(b - a));
	t->size = size;
	t->data = s->data + a;
	return SN_OK;
}

static sn_status read_tensor(const shard *s, const char *name, const json_t *entry, sn_safetensor *t)
{
	size_t size = 0;
	t->path = s->source;
	t->name = sn_arena_string(s->file->arena, name);
	if (!t->name) return SN_ENOMEM;
	SN_TRY(read_dtype(s, entry, t, &size));
	SN_TRY(read_shape(s, entry, t));
	return read_place(s, entry, t, size);
}

/* ---- one file ---- */

static int compare_places(const void *a, const void *b)
{
	const sn_safetensor *x = a, *y = b;
	if (x->data != y->data) return x->data < y->data ? -1 : 1;
	return (x->size > y->size) - (x->size < y->size); /* empty ones first */
}

static sn_status check_places(const shard *s, sn_safetensor *t, int64_t n)
{
	const uint8_t *end = s->data;
	if (n) qsort(t, (size_t)n, sizeof *t, compare_places);
	for (int64_t i = 0; i < n; end = t[i].data + t[i].size, i++)
		if (t[i].data != end)
			return sn_fail(s->file->ctx, SN_EPARSE,
						   "%s: tensor '%s': expected its data at offset %td, right behind the tensor before "
						   "it, found %td; the file is damaged",
						   s->source, t[i].name, end - s->data, t[i].data - s->data);
	if (end != s->data + s->size)
		return sn_fail(s->file->ctx, SN_EPARSE, "%s: expected %td bytes of data, found %zu; the file is damaged",
					   s->source, end - s->data, s->size);
	return SN_OK;
}

static sn_status read_meta(const shard *s, json_t *object)
{
	sn_safetensors *file = s->file;
	const char *key;
	json_t *value;
	if (!json_is_object(object))
		return sn_json_fail(s->header, object, NULL, SN_EPARSE, "expected an object of strings, found %s",
							sn_json_type_name(object));
	meta *all;
	SN_NEW(all, file->arena, meta, (size_t)file->n_meta + json_object_size(object));
	if (file->n_meta) memcpy(all, file->meta, (size_t)file->n_meta * sizeof *all);
	file->meta = all;
	json_object_foreach(object, key, value)
	{
		const char *text;
		SN_TRY(sn_json_string(s->header, object, key, &text));
		meta *m = &all[file->n_meta++];
		m->key = sn_arena_string(file->arena, key);
		m->value = sn_arena_string(file->arena, text);
		if (!m->key || !m->value) return SN_ENOMEM;
	}
	return SN_OK;
}

static sn_status read_entries(shard *s)
{
	sn_safetensors *file = s->file;
	json_t *root = s->header->root, *entry;
	const char *name;
	if (!json_is_object(root))
		return sn_json_fail(s->header, NULL, NULL, SN_EPARSE, "expected an object, found %s", sn_json_type_name(root));
	sn_safetensor *all;
	SN_NEW(all, file->arena, sn_safetensor, (size_t)file->n + json_object_size(root));
	if (file->n) memcpy(all, file->tensor, (size_t)file->n * sizeof *all);
	int64_t n = 0;
	json_object_foreach(root, name, entry)
	{
		if (strcmp(name, "__metadata__") == 0)
			SN_TRY(read_meta(s, entry));
		else
			SN_TRY(read_tensor(s, name, entry, &all[file->n + n++]));
	}
	SN_TRY(check_places(s, all + file->n, n));
	file->tensor = all;
	file->n += n;
	return SN_OK;
}

static sn_status read_shard(sn_safetensors *file, const char *source, const uint8_t *bytes, size_t size)
{
	shard s = { .file = file, .source = sn_arena_string(file->arena, source) };
	if (!s.source) return SN_ENOMEM;
	uint64_t header = size < 8 ? 0 : sn_load_u64(bytes);
	if (size < 8 || header > size - 8 || header > MAX_HEADER)
		return sn_fail(file->ctx, SN_EPARSE,
					   "%s: byte 0: expected the length of the header, at most %zu here, found %llu; this is no "
					   "safetensors file, or its download is incomplete",
					   source, SN_MIN(size < 8 ? 0 : size - 8, (size_t)MAX_HEADER), (unsigned long long)header);
	s.data = bytes + 8 + header;
	s.size = size - 8 - (size_t)header;
	char name[512];
	sn_format(name, sizeof name, "%.400s: header (from byte 8)", source);
	SN_TRY(sn_json_parse(&s.header, file->ctx, name, (const char *)bytes + 8, (size_t)header));
	sn_status status = read_entries(&s);
	sn_json_close(s.header);
	return status;
}

static sn_status map_shard(sn_safetensors *file, const char *path)
{
	sn_map_file *map = &file->map[file->n_map];
	SN_TRY(sn_map_open(map, file->ctx, path));
	file->n_map++;
	return read_shard(file, path, map->data, map->size);
}

/* ---- shards ---- */

/* The shards' file names, each once, from the index. */
static sn_status shard_names(const sn_json *index, const json_t *weights, sn_arena *arena, const char ***out,
							 int64_t *n)
{
	const char *name, *shard_name;
	json_t *value;
	SN_NEW(*out, arena, const char *, json_object_size(weights));
	json_object_foreach((json_t *)(uintptr_t)weights, name, value)
	{
		SN_TRY(sn_json_string(index, weights, name, &shard_name));
		if (!shard_name[0] || strchr(shard_name, '/') || shard_name[0] == '.')
			return sn_json_fail(index, weights, name, SN_EPARSE,
								"expected the name of a file beside the index, found '%s'", shard_name);
		bool known = *n > 0 && strcmp((*out)[*n - 1], shard_name) == 0;
		for (int64_t i = 0; i < *n && !known; i++) known = strcmp((*out)[i], shard_name) == 0;
		if (!known) (*out)[(*n)++] = shard_name;
	}
	return SN_OK;
}

static sn_status read_shards(sn_safetensors *file, const sn_json *index, const char *path)
{
	json_t *weights;
	const char **name;
	int64_t n = 0;
	SN_TRY(sn_json_object(index, index->root, "weight_map", &weights));
	SN_TRY(shard_names(index, weights, file->arena, &name, &n));
	SN_NEW(file->map, file->arena, sn_map_file, n);
	const char *slash = strrchr(path, '/');
	for (int64_t i = 0; i < n; i++) {
		const char *full = sn_arena_format(file->arena, "%.*s%s", slash ? (int)(slash - path) + 1 : 0, path, name[i]);
		if (!full) return SN_ENOMEM;
		SN_TRY(map_shard(file, full));
	}
	return SN_OK;
}

/* Every weight that the index names is in its shard. */
static sn_status check_index(const sn_safetensors *file, const sn_json *index)
{
	const char *name;
	json_t *weights, *value;
	SN_TRY(sn_json_object(index, index->root, "weight_map", &weights));
	json_object_foreach(weights, name, value)
	{
		const sn_safetensor *t = sn_safetensors_find(file, name);
		if (!t || !sn_ends_with(t->path, json_string_value(value)))
			return sn_json_fail(index, weights, name, SN_EPARSE,
								"the tensor is not in '%s'; fetch the model's files again", json_string_value(value));
	}
	return SN_OK;
}

/* ---- opening ---- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const sn_safetensor *)a)->name, ((const sn_safetensor *)b)->name);
}

static sn_status sort_tensors(sn_safetensors *file)
{
	sn_safetensor *t = file->tensor;
	if (file->n) qsort(t, (size_t)file->n, sizeof *t, compare_names);
	for (int64_t i = 1; i < file->n; i++)
		if (strcmp(t[i - 1].name, t[i].name) == 0)
			return sn_fail(file->ctx, SN_EPARSE, "%s: tensor '%s' is in two files, %s and %s; remove one", file->source,
						   t[i].name, t[i - 1].path, t[i].path);
	return SN_OK;
}

static sn_status open_index(sn_safetensors *file, const char *path)
{
	sn_json *index;
	SN_TRY(sn_json_load(&index, file->ctx, path, MAX_HEADER));
	sn_status status = read_shards(file, index, path);
	if (status == SN_OK) status = sort_tensors(file);
	if (status == SN_OK) status = check_index(file, index);
	sn_json_close(index);
	return status;
}

static sn_status open_single(sn_safetensors *file, const char *path)
{
	SN_NEW(file->map, file->arena, sn_map_file, 1);
	SN_TRY(map_shard(file, path));
	return sort_tensors(file);
}

static sn_status new_file(sn_safetensors **out, sn_ctx *ctx, const char *source)
{
	sn_safetensors *file = sn_alloc(ctx, sizeof *file);
	*out = file;
	if (!file) return SN_ENOMEM;
	file->ctx = ctx;
	SN_TRY(sn_arena_open(&file->arena, ctx));
	file->source = sn_arena_string(file->arena, source);
	return file->source ? SN_OK : SN_ENOMEM;
}

static sn_status finish(sn_safetensors **out, sn_status status)
{
	if (status == SN_OK) return SN_OK;
	sn_safetensors_close(*out);
	*out = NULL;
	return status;
}

sn_status sn_safetensors_open(sn_safetensors **out, sn_ctx *ctx, const char *path)
{
	sn_status status = new_file(out, ctx, path);
	if (status == SN_OK) status = sn_ends_with(path, ".json") ? open_index(*out, path) : open_single(*out, path);
	return finish(out, status);
}

sn_status sn_safetensors_open_bytes(sn_safetensors **out, sn_ctx *ctx, const char *source, const void *bytes,
									size_t size)
{
	sn_status status = new_file(out, ctx, source);
	if (status == SN_OK) status = read_shard(*out, source, bytes, size);
	if (status == SN_OK) status = sort_tensors(*out);
	return finish(out, status);
}

void sn_safetensors_close(sn_safetensors *file)
{
	if (!file) return;
	for (int64_t i = 0; i < file->n_map; i++) sn_map_close(file->ctx, &file->map[i]);
	sn_arena_close(file->arena);
	sn_free(file->ctx, file);
}

/* ---- questions ---- */

const char *sn_safetensors_path(const sn_safetensors *file) { return file->source; }
int64_t sn_safetensors_count(const sn_safetensors *file) { return file->n; }
const sn_safetensor *sn_safetensors_at(const sn_safetensors *file, int64_t i) { return &file->tensor[i]; }

const sn_safetensor *sn_safetensors_find(const sn_safetensors *file, const char *name)
{
	sn_safetensor key = { .name = name };
	return file->n ? bsearch(&key, file->tensor, (size_t)file->n, sizeof key, compare_names) : NULL;
}

const char *sn_safetensors_meta(const sn_safetensors *file, const char *key)
{
	for (int64_t i = 0; i < file->n_meta; i++)
		if (strcmp(file->meta[i].key, key) == 0) return file->meta[i].value;
	return NULL;
}
