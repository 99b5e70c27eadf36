/* Reads the header of safetensors files. */
#include <stdlib.h>

#include "io/bytes.h"
#include "io/tensor_file_impl.h"

enum { MAX_HEADER = 100000000 }; /* the format's own limit */

/* One file while it is read. */
typedef struct shard {
	sn_tensor_file *file;
	const char *source;
	const uint8_t *data; /* the numbers */
	size_t size;         /* bytes of numbers */
	sn_json *header;
} shard;

/* ---- one tensor ---- */

static sn_status read_type(const shard *s, const json_t *entry, sn_stored *t)
{
	const char *name;
	SN_TRY(sn_json_string(s->header, entry, "dtype", &name));
	t->type = sn_plain_type_find(name);
	if (t->type) return SN_OK;
	return sn_json_fail(s->header, entry, "dtype", SN_EUNKNOWN,
						"the type '%s' is unknown; convert the tensor to F32, F16 or BF16", name);
}

static sn_status read_shape(const shard *s, const json_t *entry, sn_stored *t)
{
	json_t *shape;
	int64_t dim[SN_STORED_NDIM];
	SN_TRY(sn_json_array(s->header, entry, "shape", &shape));
	size_t ndim = json_array_size(shape);
	if (ndim > SN_STORED_NDIM)
		return sn_json_fail(s->header, shape, NULL, SN_EPARSE, "expected at most %d dimensions, found %zu",
							SN_STORED_NDIM, ndim);
	bool integers = true;
	for (size_t i = 0; i < ndim; i++) {
		integers = integers && json_is_integer(json_array_get(shape, i));
		dim[i] = json_integer_value(json_array_get(shape, i));
	}
	if (integers && sn_stored_shape(t, (int)ndim, dim)) return SN_OK;
	return sn_json_fail(s->header, shape, NULL, SN_EPARSE,
						"expected sizes from 0 that memory can hold; the file is damaged");
}

static sn_status read_place(const shard *s, const json_t *entry, sn_stored *t)
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
	if (t->size != (uint64_t)(b - a))
		return sn_json_fail(s->header, offsets, NULL, SN_EPARSE,
							"expected %lld numbers of %zu bytes each, found %lld bytes; the "
							"file is damaged",
							(long long)t->count, t->type->bytes, (long long)(b - a));
	t->data = s->data + a;
	return SN_OK;
}

static sn_status read_tensor(const shard *s, const char *name, const json_t *entry)
{
	sn_stored *t;
	SN_TRY(sn_stored_add(&s->file->tensor, name, strlen(name), &t));
	t->path = s->source;
	SN_TRY(read_type(s, entry, t));
	SN_TRY(read_shape(s, entry, t));
	return read_place(s, entry, t);
}

/* ---- one file ---- */

static int compare_places(const void *a, const void *b)
{
	const sn_stored *x = a, *y = b;
	if (x->data != y->data) return x->data < y->data ? -1 : 1;
	return (x->size > y->size) - (x->size < y->size); /* empty ones first */
}

static sn_status check_places(const shard *s, sn_stored *t, int64_t n)
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
	sn_tensor_file *file = s->file;
	const char *key;
	json_t *value;
	if (!json_is_object(object))
		return sn_json_fail(s->header, object, NULL, SN_EPARSE, "expected an object of strings, found %s",
							sn_json_type_name(object));
	sn_tensor_meta *all;
	SN_NEW(all, file->arena, sn_tensor_meta, (size_t)file->n_meta + json_object_size(object));
	if (file->n_meta) memcpy(all, file->meta, (size_t)file->n_meta * sizeof *all);
	file->meta = all;
	json_object_foreach(object, key, value) {
		const char *text;
		SN_TRY(sn_json_string(s->header, object, key, &text));
		sn_tensor_meta *m = &all[file->n_meta++];
		m->key = sn_arena_string(file->arena, key);
		m->value = sn_arena_string(file->arena, text);
		if (!m->key || !m->value) return SN_ENOMEM;
	}
	return SN_OK;
}

static sn_status read_entries(const shard *s)
{
	sn_stored_list *all = &s->file->tensor;
	json_t *root = s->header->root, *entry;
	const char *name;
	int64_t before = all->n;
	if (!json_is_object(root))
		return sn_json_fail(s->header, NULL, NULL, SN_EPARSE, "expected an object, found %s", sn_json_type_name(root));
	json_object_foreach(root, name, entry) {
		if (strcmp(name, "__metadata__") == 0)
			SN_TRY(read_meta(s, entry));
		else
			SN_TRY(read_tensor(s, name, entry));
	}
	return check_places(s, all->n > before ? all->item + before : NULL, all->n - before);
}

sn_status sn_safetensors_read(sn_tensor_file *file, const char *source, const uint8_t *bytes, size_t size)
{
	shard s = { .file = file, .source = source };
	uint64_t header = size < 8 ? 0 : sn_load_u64(bytes);
	if (size < 8 || header > size - 8 || header > MAX_HEADER)
		return sn_fail(file->ctx, SN_EPARSE,
					   "%s: byte 0: expected the length of the header, at most %zu here, found %llu; this is no "
					   "safetensors or PyTorch file, or its download is incomplete",
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
