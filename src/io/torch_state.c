/* State dictionaries: from the tree of a pickle to tensors. */
#include "io/torch.h"

/* X(class of the storage, type of its numbers) */
#define STORAGES(X)                                                                                                    \
	X("torch.FloatStorage", "float32")                                                                                 \
	X("torch.HalfStorage", "float16")                                                                                  \
	X("torch.BFloat16Storage", "bfloat16")                                                                             \
	X("torch.DoubleStorage", "float64")                                                                                \
	X("torch.LongStorage", "int64")                                                                                    \
	X("torch.IntStorage", "int32")                                                                                     \
	X("torch.ShortStorage", "int16")                                                                                   \
	X("torch.CharStorage", "int8")                                                                                     \
	X("torch.ByteStorage", "uint8")                                                                                    \
	X("torch.BoolStorage", "bool")                                                                                     \
	X("torch.ComplexFloatStorage", "complex64")

/* X(name) of what _rebuild_tensor_v3 gets. */
#define DTYPES(X)                                                                                                      \
	X("float32")                                                                                                       \
	X("float16")                                                                                                       \
	X("bfloat16") X("float64") X("int64") X("int32") X("int16") X("int8") X("uint8") X("bool") X("uint16") X("uint32") \
		X("uint64") X("float8_e4m3fn") X("float8_e5m2") X("float8_e8m0fnu") X("complex64")

#define STORAGE_NAME(name, type) name,
#define DTYPE_NAME(name) "torch." name,
static const char *const globals[] = { "collections.OrderedDict",
									   "torch._utils._rebuild_tensor",
									   "torch._utils._rebuild_tensor_v2",
									   "torch._utils._rebuild_tensor_v3",
									   "torch._utils._rebuild_parameter",
									   "torch._utils._rebuild_parameter_with_state",
									   "torch._tensor._rebuild_from_type_v2",
									   "torch.Tensor",
									   "torch.nn.parameter.Parameter",
									   "torch.Size",
									   "torch.storage.UntypedStorage",
									   STORAGES(STORAGE_NAME) DTYPES(DTYPE_NAME) NULL };

enum { SMALL = 1 << 19, MAX_WRAPPERS = 4 };

sn_status sn_torch_pickle(sn_pickle *out, const sn_tensor_file *file, sn_arena *arena, const char *source, size_t start,
						  const uint8_t *bytes, size_t size)
{
	sn_pickle_options options = { globals, SMALL + file->size };
	return sn_pickle_read(out, arena, source, start, bytes, size, &options);
}

/* ---- storages ---- */

bool sn_torch_storage_read(sn_torch_storage *out, const sn_pickle_value *persistent)
{
	static const char *const known[][2] = {
#define STORAGE_ROW(name, type) { name, type },
		STORAGES(STORAGE_ROW)
	};
	if (!persistent || persistent->kind != SN_PICKLE_PERSISTENT) return false;
	const sn_pickle_value *id = persistent->item[0], *key = sn_pickle_item(id, 2), *count = sn_pickle_item(id, 4);
	if (!sn_pickle_is(sn_pickle_item(id, 0), SN_PICKLE_TEXT, "storage") || !count) return false;
	if (key->kind != SN_PICKLE_TEXT || count->kind != SN_PICKLE_INT || count->integer < 0) return false;
	if (id->n > 5 && id->item[5]->kind != SN_PICKLE_NONE) return false; /* a view of another storage: before 0.4 */
	*out = (sn_torch_storage){ { key->text, key->text_size }, NULL, (uint64_t)count->integer };
	for (int i = 0; i < SN_COUNT(known); i++)
		if (sn_pickle_is(sn_pickle_item(id, 1), SN_PICKLE_GLOBAL, known[i][0]))
			out->type = sn_plain_type_find_torch(known[i][1]);
	return out->type || sn_pickle_is(sn_pickle_item(id, 1), SN_PICKLE_GLOBAL, "torch.storage.UntypedStorage");
}

/* ---- one tensor ---- */

typedef struct reader {
	sn_tensor_file *file;
	const char *source;
	sn_torch_find *find;
	void *arg;
	sn_slice name; /* of the tensor */
} reader;

static sn_status bad(const reader *r, const char *expected)
{
	return sn_fail(r->file->ctx, SN_EPARSE, "%s: tensor '%.*s': expected %s; the file is damaged", r->source,
				   (int)SN_MIN(r->name.size, (size_t)160), r->name.data, expected);
}

typedef struct call {
	const sn_pickle_value *function, *args;
} call;

/* The call inside the wrappers that say that a tensor is a parameter; false if value is no tensor. */
static bool find_call(const sn_pickle_value *value, call *out)
{
	for (int depth = 0; depth < MAX_WRAPPERS; depth++) {
		if (!value || value->kind != SN_PICKLE_CALL) return false;
		*out = (call){ value->item[0], value->item[1] };
		if (sn_pickle_is(out->function, SN_PICKLE_GLOBAL, "torch._tensor._rebuild_from_type_v2"))
			*out = (call){ sn_pickle_item(out->args, 0), sn_pickle_item(out->args, 2) };
		bool wrapper = sn_pickle_is(out->function, SN_PICKLE_GLOBAL, "torch._utils._rebuild_parameter") ||
					   sn_pickle_is(out->function, SN_PICKLE_GLOBAL, "torch._utils._rebuild_parameter_with_state");
		if (!wrapper) break;
		value = sn_pickle_item(out->args, 0);
	}
	return sn_pickle_is(out->function, SN_PICKLE_GLOBAL, "torch._utils._rebuild_tensor") ||
		   sn_pickle_is(out->function, SN_PICKLE_GLOBAL, "torch._utils._rebuild_tensor_v2") ||
		   sn_pickle_is(out->function, SN_PICKLE_GLOBAL, "torch._utils._rebuild_tensor_v3");
}

/* A tuple of at most SN_STORED_NDIM integers from 0, or torch.Size of one. */
static bool read_sizes(const sn_pickle_value *value, int64_t *out, uint32_t *n)
{
	if (value && value->kind == SN_PICKLE_CALL && sn_pickle_is(value->item[0], SN_PICKLE_GLOBAL, "torch.Size"))
		value = sn_pickle_item(value->item[1], 0);
	if (!value || value->kind != SN_PICKLE_TUPLE || value->n > SN_STORED_NDIM) return false;
	*n = value->n;
	for (uint32_t i = 0; i < value->n; i++) {
		if (value->item[i]->kind != SN_PICKLE_INT || value->item[i]->integer < 0) return false;
		out[i] = value->item[i]->integer;
	}
	return true;
}

/* Third form only: the type stands beside a storage of any kind. */
static const sn_plain_type *type_of(const call *c, const sn_torch_storage *storage)
{
	const sn_pickle_value *dtype = sn_pickle_item(c->args, 6);
	if (!sn_pickle_is(c->function, SN_PICKLE_GLOBAL, "torch._utils._rebuild_tensor_v3")) return storage->type;
	if (!dtype || dtype->kind != SN_PICKLE_GLOBAL || strncmp(dtype->text, "torch.", 6) != 0) return NULL;
	return sn_plain_type_find_torch(dtype->text + 6);
}

/* The place of the last number, counted from the tensor's first; false if it overflows. */
static bool last_number(const sn_stored *t, uint64_t *out)
{
	*out = 0;
	for (int i = 0; i < t->ndim; i++) {
		uint64_t step;
		if (__builtin_mul_overflow((uint64_t)t->dim[i] - 1, (uint64_t)t->stride[i], &step)) return false;
		if (__builtin_add_overflow(*out, step, out)) return false;
	}
	return true;
}

static sn_status read_layout(const reader *r, const call *c, sn_stored *t)
{
	int64_t dim[SN_STORED_NDIM];
	uint32_t ndim, n_stride;
	if (!read_sizes(sn_pickle_item(c->args, 2), dim, &ndim) || !sn_stored_shape(t, (int)ndim, dim))
		return bad(r, "a shape of at most 8 dimensions that memory can hold");
	if (!read_sizes(sn_pickle_item(c->args, 3), t->stride, &n_stride) || n_stride != ndim)
		return bad(r, "a stride for each dimension");
	return SN_OK;
}

static sn_status read_place(const reader *r, const call *c, const sn_torch_storage *storage, sn_stored *t)
{
	const sn_pickle_value *offset = sn_pickle_item(c->args, 1);
	const uint8_t *data;
	size_t size, bytes = storage->type ? storage->type->bytes : 1;
	uint64_t last, expected;
	if (!r->find(r->arg, storage->key, &data, &size)) return bad(r, "its storage in the file");
	if (__builtin_mul_overflow(storage->count, bytes, &expected) || size != expected)
		return bad(r, "as many bytes in its storage as the dictionary says");
	if (!offset || offset->kind != SN_PICKLE_INT || offset->integer < 0) return bad(r, "an offset from 0");
	t->data = data;
	if (t->count == 0) return SN_OK;
	uint64_t first = (uint64_t)offset->integer, room = size / t->type->bytes;
	if (!last_number(t, &last) || first >= room || last >= room - first) return bad(r, "a view inside its storage");
	t->data += first * t->type->bytes;
	return SN_OK;
}

static sn_status read_tensor(const reader *r, const call *c)
{
	sn_stored *t;
	sn_torch_storage storage;
	if (memchr(r->name.data, 0, r->name.size)) return bad(r, "a name without NUL");
	SN_TRY(sn_stored_add(&r->file->tensor, r->name.data, r->name.size, &t));
	t->path = r->source;
	if (!sn_torch_storage_read(&storage, sn_pickle_item(c->args, 0)))
		return bad(r, "a storage of numbers, of PyTorch 0.4 or newer");
	t->type = type_of(c, &storage);
	if (!t->type) return bad(r, "a known type of numbers");
	SN_TRY(read_layout(r, c, t));
	return read_place(r, c, &storage, t);
}

/* ---- the dictionary ---- */

sn_status sn_torch_state(sn_tensor_file *file, const char *source, const sn_pickle_value *root, sn_torch_find *find,
						 void *arg)
{
	reader r = { .file = file, .source = source, .find = find, .arg = arg };
	int64_t before = file->tensor.n;
	for (uint32_t i = 0; root->kind == SN_PICKLE_DICT && i < root->n; i += 2) {
		const sn_pickle_value *key = root->item[i];
		call c;
		if (key->kind != SN_PICKLE_TEXT || !find_call(root->item[i + 1], &c)) continue;
		r.name = (sn_slice){ key->text, key->text_size };
		SN_TRY(read_tensor(&r, &c));
	}
	if (file->tensor.n > before) return SN_OK;
	return sn_fail(file->ctx, SN_EPARSE,
				   "%s: expected a dictionary of named tensors, found %s without one at its top; save "
				   "model.state_dict() alone",
				   source, sn_pickle_kind_name(root));
}
