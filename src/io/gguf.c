/* Reads the header of a GGUF file. A cursor hands out bytes only where the file has them; counts are checked against
 * the bytes that so many entries take at least, before anything is allocated for them. */
#include "io/gguf.h"

#include <stdlib.h>

#include "io/gguf_file.h"
#include "io/pool.h"

enum {
	MIN_KEY = 8 + 1 + 4 + 1,
	MIN_TENSOR = 8 + 1 + 4 + 4 + 8,
	MANY = 1024,
	DEFAULT_ALIGNMENT = 32,
	MAX_ALIGNMENT = 1 << 24
};

typedef struct cursor {
	sn_gguf *file;
	size_t pos;
	sn_slice name; /* key or tensor being read, for error texts */
	sn_pool pool;  /* of tensors' names */
} cursor;

static size_t left(const cursor *c) { return c->file->size - c->pos; }

static int shown(sn_slice name) { return (int)SN_MIN(name.size, (size_t)80); }

static sn_status truncated(const cursor *c, const char *what, uint64_t need)
{
	return sn_fail(c->file->ctx, SN_EPARSE,
				   "%s: byte %zu: the file ends in %s ('%.*s'): %llu more bytes expected, %zu found; "
				   "it is damaged or its download is incomplete",
				   c->file->source, c->pos, what, shown(c->name), c->name.data, (unsigned long long)need, left(c));
}

static sn_status take(cursor *c, uint64_t n, const char *what, const uint8_t **out)
{
	*out = c->file->data + c->pos;
	if (n > left(c)) return truncated(c, what, n);
	c->pos += (size_t)n;
	return SN_OK;
}

static sn_status take_u32(cursor *c, const char *what, uint32_t *out)
{
	const uint8_t *p;
	SN_TRY(take(c, 4, what, &p));
	*out = sn_load_u32(p);
	return SN_OK;
}

static sn_status take_u64(cursor *c, const char *what, uint64_t *out)
{
	const uint8_t *p;
	SN_TRY(take(c, 8, what, &p));
	*out = sn_load_u64(p);
	return SN_OK;
}

static sn_status take_text(cursor *c, const char *what, sn_slice *out)
{
	uint64_t n;
	const uint8_t *p;
	SN_TRY(take_u64(c, what, &n));
	SN_TRY(take(c, n, what, &p));
	*out = (sn_slice){ (const char *)p, (size_t)n };
	return SN_OK;
}

static sn_status take_name(cursor *c, const char *what)
{
	size_t start = c->pos;
	c->name = (sn_slice){ "?", 1 };
	SN_TRY(take_text(c, what, &c->name));
	if (c->name.size > 0 && !memchr(c->name.data, 0, c->name.size)) return SN_OK;
	return sn_fail(c->file->ctx, SN_EPARSE,
				   "%s: byte %zu: expected %s, found an empty one or one with a NUL byte; the file is "
				   "damaged",
				   c->file->source, start, what);
}

/* ---- keys ---- */

static sn_status take_kind(cursor *c, gguf_kind *out)
{
	uint32_t kind;
	SN_TRY(take_u32(c, "the kind of a value", &kind));
	if (kind >= GGUF_KINDS)
		return sn_fail(c->file->ctx, SN_EPARSE,
					   "%s: byte %zu: key '%.*s': expected a kind of value from 0 to %d, found %u; the "
					   "file is damaged or of a newer format",
					   c->file->source, c->pos - 4, shown(c->name), c->name.data, GGUF_KINDS - 1, kind);
	*out = (gguf_kind)kind;
	return SN_OK;
}

static sn_status skip_array(cursor *c, gguf_key *key)
{
	uint64_t n;
	const uint8_t *p;
	SN_TRY(take_kind(c, &key->element));
	if (key->element == GGUF_ARRAY)
		return sn_fail(c->file->ctx, SN_EPARSE,
					   "%s: byte %zu: key '%.*s' is an array of arrays, which no known model uses", c->file->source,
					   c->pos - 4, shown(c->name), c->name.data);
	SN_TRY(take_u64(c, "the length of an array", &n));
	size_t size = key->element == GGUF_STRING ? 8 : sn_gguf_kind_size(key->element);
	if (n > left(c) / size) return truncated(c, "an array", n > UINT64_MAX / size ? UINT64_MAX : n * size);
	key->count = (int64_t)n;
	key->value = c->file->data + c->pos;
	if (key->element != GGUF_STRING) return take(c, n * size, "an array", &p);
	sn_slice text;
	for (uint64_t i = 0; i < n; i++) SN_TRY(take_text(c, "an array of strings", &text));
	return SN_OK;
}

static sn_status read_key(cursor *c, gguf_key *key)
{
	const uint8_t *p;
	sn_slice text;
	SN_TRY(take_name(c, "the name of a key"));
	key->name = c->name;
	SN_TRY(take_kind(c, &key->kind));
	if (key->kind == GGUF_ARRAY) return skip_array(c, key);
	key->value = c->file->data + c->pos;
	if (key->kind == GGUF_STRING) return take_text(c, "a string", &text);
	return take(c, sn_gguf_kind_size(key->kind), sn_gguf_kind_name(key->kind), &p);
}

static int compare_names(sn_slice a, sn_slice b)
{
	int order = memcmp(a.data, b.data, SN_MIN(a.size, b.size));
	return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_keys(const void *a, const void *b)
{
	return compare_names(((const gguf_key *)a)->name, ((const gguf_key *)b)->name);
}

static sn_status read_keys(cursor *c)
{
	sn_gguf *file = c->file;
	SN_NEW(file->key, file->arena, gguf_key, file->n_key);
	for (int64_t i = 0; i < file->n_key; i++) SN_TRY(read_key(c, &file->key[i]));
	qsort(file->key, (size_t)file->n_key, sizeof *file->key, compare_keys);
	for (int64_t i = 1; i < file->n_key; i++)
		if (compare_keys(&file->key[i - 1], &file->key[i]) == 0)
			return sn_fail(file->ctx, SN_EPARSE, "%s: key '%.*s' is there twice; the file is damaged", file->source,
						   shown(file->key[i].name), file->key[i].name.data);
	return SN_OK;
}

/* ---- tensors ---- */

static sn_status bad_tensor(const cursor *c, size_t at, const char *format, unsigned long long found)
{
	char text[160];
	sn_format(text, sizeof text, format, found);
	return sn_fail(c->file->ctx, SN_EPARSE, "%s: byte %zu: tensor '%.*s': %s; the file is damaged", c->file->source, at,
				   shown(c->name), c->name.data, text);
}

static sn_status read_dims(cursor *c, sn_gguf_tensor *t)
{
	uint32_t ndim;
	SN_TRY(take_u32(c, "the dimensions of a tensor", &ndim));
	if (ndim > 4) return bad_tensor(c, c->pos - 4, "expected at most 4 dimensions, found %llu", ndim);
	t->ndim = (int)ndim;
	t->count = 1;
	for (int i = 0; i < 4; i++) t->dim[i] = 1;
	for (int i = 0; i < t->ndim; i++) {
		uint64_t n;
		SN_TRY(take_u64(c, "the dimensions of a tensor", &n));
		if (n == 0 || n > INT64_MAX || __builtin_mul_overflow(t->count, (int64_t)n, &t->count))
			return bad_tensor(c, c->pos - 8, "expected a size from 1 that memory can hold, found %llu", n);
		t->dim[i] = (int64_t)n;
	}
	return SN_OK;
}

static sn_status read_type(cursor *c, sn_gguf_tensor *t)
{
	uint32_t id;
	SN_TRY(take_u32(c, "the type of a tensor", &id));
	t->type = sn_ggml_type_find(id);
	if (!t->type)
		return sn_fail(c->file->ctx, SN_EUNKNOWN,
					   "%s: byte %zu: tensor '%s' has the unknown type %u; convert the model to a "
					   "type such as Q8_0 or F16",
					   c->file->source, c->pos - 4, t->name, id);
	if (t->dim[0] % t->type->block)
		return sn_fail(c->file->ctx, SN_EPARSE,
					   "%s: byte %zu: tensor '%s' of type %s: expected rows of a multiple of %d, found "
					   "%lld; the file is damaged",
					   c->file->source, c->pos - 4, t->name, t->type->name, t->type->block, (long long)t->dim[0]);
	if (__builtin_mul_overflow((uint64_t)t->count / (uint64_t)t->type->block, (uint64_t)t->type->bytes, &t->size))
		return bad_tensor(c, c->pos - 4, "expected fewer bytes than 2^64, found %llu numbers",
						  (unsigned long long)t->count);
	return SN_OK;
}

static sn_status read_tensor(cursor *c, sn_gguf_tensor *t)
{
	SN_TRY(take_name(c, "the name of a tensor"));
	t->name = sn_pool_copy(&c->pool, c->name.data, c->name.size);
	if (!t->name) return SN_ENOMEM;
	SN_TRY(read_dims(c, t));
	SN_TRY(read_type(c, t));
	return take_u64(c, "the place of a tensor", &t->offset);
}

/* Turns offsets from the data into offsets from the file, once it is known where the data begin. */
static sn_status place_tensor(const sn_gguf *file, sn_gguf_tensor *t, size_t data_start, int64_t alignment)
{
	size_t room = file->size > data_start ? file->size - data_start : 0;
	if (t->offset % (uint64_t)alignment)
		return sn_fail(file->ctx, SN_EPARSE,
					   "%s: tensor '%s': expected an offset that is a multiple of %lld, found %llu; the "
					   "file is damaged",
					   file->source, t->name, (long long)alignment, (unsigned long long)t->offset);
	if (t->offset > room || t->size > room - t->offset)
		return sn_fail(file->ctx, SN_EPARSE,
					   "%s: tensor '%s': expected %zu bytes at offset %llu of the data, which start at byte "
					   "%zu of a file of %zu; it is damaged or its download is incomplete",
					   file->source, t->name, t->size, (unsigned long long)t->offset, data_start, file->size);
	t->offset += data_start;
	t->data = file->data + t->offset;
	return SN_OK;
}

static int compare_tensor_names(const void *a, const void *b)
{
	return strcmp(((const sn_gguf_tensor *)a)->name, ((const sn_gguf_tensor *)b)->name);
}

static int compare_tensor_places(const void *a, const void *b)
{
	const sn_gguf_tensor *x = a, *y = b;
	return (x->offset > y->offset) - (x->offset < y->offset);
}

static sn_status check_tensors(sn_gguf *file)
{
	sn_gguf_tensor *t = file->tensor;
	qsort(t, (size_t)file->n_tensor, sizeof *t, compare_tensor_places);
	for (int64_t i = 1; i < file->n_tensor; i++)
		if (t[i].offset - t[i - 1].offset < t[i - 1].size)
			return sn_fail(file->ctx, SN_EPARSE, "%s: tensors '%s' and '%s' overlap at byte %llu; the file is damaged",
						   file->source, t[i - 1].name, t[i].name, (unsigned long long)t[i].offset);
	return sn_gguf_sort_tensors(file);
}

sn_status sn_gguf_sort_tensors(sn_gguf *file)
{
	sn_gguf_tensor *t = file->tensor;
	qsort(t, (size_t)file->n_tensor, sizeof *t, compare_tensor_names);
	for (int64_t i = 1; i < file->n_tensor; i++)
		if (strcmp(t[i - 1].name, t[i].name) == 0)
			return sn_fail(file->ctx, SN_EPARSE, "%s: tensor '%s' is there twice; the file is damaged", file->source,
						   t[i].name);
	return SN_OK;
}

static sn_status read_tensors(cursor *c)
{
	sn_gguf *file = c->file;
	int64_t alignment;
	SN_TRY(sn_gguf_i64_or(file, "general.alignment", DEFAULT_ALIGNMENT, &alignment));
	if (alignment < 1 || alignment > MAX_ALIGNMENT || (alignment & (alignment - 1)))
		return sn_fail(file->ctx, SN_EPARSE,
					   "%s: key 'general.alignment': expected a power of two up to %d, found %lld; the file "
					   "is damaged",
					   file->source, MAX_ALIGNMENT, (long long)alignment);
	SN_NEW(file->tensor, file->arena, sn_gguf_tensor, file->n_tensor);
	for (int64_t i = 0; i < file->n_tensor; i++) SN_TRY(read_tensor(c, &file->tensor[i]));
	size_t data_start = (c->pos + (size_t)alignment - 1) / (size_t)alignment * (size_t)alignment;
	for (int64_t i = 0; i < file->n_tensor; i++) SN_TRY(place_tensor(file, &file->tensor[i], data_start, alignment));
	return check_tensors(file);
}

/* ---- the file ---- */

/* Each takes at least so many bytes; and a count that would take more memory than the file has bytes is no model's. */
static sn_status read_count(cursor *c, const char *what, size_t least, size_t memory, int64_t *out)
{
	uint64_t n;
	SN_TRY(take_u64(c, what, &n));
	if (n > left(c) / least || (n > MANY && n > left(c) / memory))
		return sn_fail(c->file->ctx, SN_EPARSE,
					   "%s: byte %zu: %s is %llu, more than the file's %zu bytes can hold; it is damaged "
					   "or its download is incomplete",
					   c->file->source, c->pos - 8, what, (unsigned long long)n, c->file->size);
	*out = (int64_t)n;
	return SN_OK;
}

static sn_status read_header(cursor *c)
{
	sn_gguf *file = c->file;
	const uint8_t *magic;
	if (file->size < 4 || memcmp(file->data, "GGUF", 4) != 0)
		return sn_fail(file->ctx, SN_EPARSE, "%s: byte 0: expected \"GGUF\"; this is no GGUF file", file->source);
	SN_TRY(take(c, 4, "the header", &magic));
	SN_TRY(take_u32(c, "the header", &file->version));
	if (file->version != 2 && file->version != 3)
		return sn_fail(file->ctx, SN_EPARSE,
					   "%s: byte 4: expected GGUF version 2 or 3, found %u%s; convert the model again", file->source,
					   file->version, file->version >= 1u << 24 ? " (a big-endian file)" : "");
	SN_TRY(read_count(c, "the number of tensors", MIN_TENSOR, sizeof *file->tensor, &file->n_tensor));
	SN_TRY(read_count(c, "the number of keys", MIN_KEY, sizeof *file->key, &file->n_key));
	SN_TRY(read_keys(c));
	return read_tensors(c);
}

static sn_status new_file(sn_gguf **out, sn_ctx *ctx, const char *source)
{
	sn_gguf *file = sn_alloc(ctx, sizeof *file);
	*out = file;
	if (!file) return SN_ENOMEM;
	file->ctx = ctx;
	SN_TRY(sn_arena_open(&file->arena, ctx));
	file->source = sn_arena_string(file->arena, source);
	return file->source ? SN_OK : SN_ENOMEM;
}

static sn_status read_file(sn_gguf *file, const void *bytes, size_t size)
{
	file->data = bytes;
	file->size = size;
	cursor c = { .file = file, .name = { "header", 6 }, .pool = { .arena = file->arena } };
	return read_header(&c);
}

static sn_status finish(sn_gguf **out, sn_status status)
{
	if (status == SN_OK) return SN_OK;
	sn_gguf_close(*out);
	*out = NULL;
	return status;
}

sn_status sn_gguf_open_part(sn_gguf **out, sn_ctx *ctx, const char *path)
{
	sn_status status = new_file(out, ctx, path);
	if (status == SN_OK) status = sn_map_open(&(*out)->map, ctx, path);
	if (status == SN_OK) status = read_file(*out, (*out)->map.data, (*out)->map.size);
	return finish(out, status);
}

sn_status sn_gguf_open(sn_gguf **out, sn_ctx *ctx, const char *path)
{
	SN_TRY(sn_gguf_open_part(out, ctx, path));
	return finish(out, sn_gguf_open_others(*out));
}

sn_status sn_gguf_open_bytes(sn_gguf **out, sn_ctx *ctx, const char *source, const void *bytes, size_t size)
{
	sn_status status = new_file(out, ctx, source);
	if (status == SN_OK) status = read_file(*out, bytes, size);
	return finish(out, status);
}

void sn_gguf_close(sn_gguf *file)
{
	while (file) {
		sn_gguf *next = file->next;
		sn_map_close(file->ctx, &file->map);
		sn_arena_close(file->arena);
		sn_free(file->ctx, file);
		file = next;
	}
}
