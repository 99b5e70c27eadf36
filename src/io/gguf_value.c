/* Keys and tensors of an opened GGUF file. */
#include "io/gguf_file.h"

const char *sn_gguf_kind_name(gguf_kind kind)
{
	static const char *const name[GGUF_KINDS] = {
#define KIND_NAME(k, number, text, size) [number] = text,
		SN_GGUF_KIND_MAP(KIND_NAME)
#undef KIND_NAME
	};
	return name[kind];
}

size_t sn_gguf_kind_size(gguf_kind kind)
{
	static const uint8_t bytes[GGUF_KINDS] = {
#define KIND_SIZE(k, number, text, size) [number] = size,
		SN_GGUF_KIND_MAP(KIND_SIZE)
#undef KIND_SIZE
	};
	return bytes[kind];
}

const char *sn_gguf_path(const sn_gguf *file) { return file->source; }
uint32_t sn_gguf_version(const sn_gguf *file) { return file->version; }

size_t sn_gguf_size(const sn_gguf *file)
{
	size_t size = 0;
	for (; file; file = file->next) size += file->size;
	return size;
}

int64_t sn_gguf_tensor_count(const sn_gguf *file) { return file->n_tensor; }
int64_t sn_gguf_key_count(const sn_gguf *file) { return file->n_key; }
const sn_gguf_tensor *sn_gguf_tensor_at(const sn_gguf *file, int64_t i) { return &file->tensor[i]; }
sn_slice sn_gguf_key_at(const sn_gguf *file, int64_t i) { return file->key[i].name; }

const sn_gguf_tensor *sn_gguf_tensor_find(const sn_gguf *file, const char *name)
{
	for (int64_t low = 0, high = file->n_tensor; low < high;) {
		int64_t middle = low + (high - low) / 2;
		int order = strcmp(name, file->tensor[middle].name);
		if (order == 0) return &file->tensor[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static const gguf_key *find_key(const sn_gguf *file, const char *name)
{
	size_t size = strlen(name);
	for (int64_t low = 0, high = file->n_key; low < high;) {
		int64_t middle = low + (high - low) / 2;
		sn_slice other = file->key[middle].name;
		int order = memcmp(name, other.data, SN_MIN(size, other.size));
		if (order == 0) order = (size > other.size) - (size < other.size);
		if (order == 0) return &file->key[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

bool sn_gguf_has(const sn_gguf *file, const char *key) { return find_key(file, key) != NULL; }

bool sn_gguf_is_array(const sn_gguf *file, const char *key)
{
	const gguf_key *found = find_key(file, key);
	return found && found->kind == GGUF_ARRAY;
}

static sn_status need_key(const sn_gguf *file, const char *name, const gguf_key **out)
{
	*out = find_key(file, name);
	if (*out) return SN_OK;
	return sn_fail(file->ctx, SN_ENOTFOUND,
				   "%s: the key '%s' is missing; the file is no model of this kind, or damaged", file->source, name);
}

static sn_status wrong_kind(const sn_gguf *file, const char *name, const gguf_key *key, const char *expected)
{
	bool array = key->kind == GGUF_ARRAY;
	return sn_fail(file->ctx, SN_EPARSE, "%s: byte %zu: key '%s': expected %s, found %s%s; the file is damaged",
				   file->source, (size_t)(key->value - file->data), name, expected, array ? "an array of " : "",
				   sn_gguf_kind_name(array ? key->element : key->kind));
}

static bool load_int(gguf_kind kind, const uint8_t *p, int64_t *out)
{
	switch (kind) {
	case GGUF_U8:
		*out = p[0];
		return true;
	case GGUF_I8:
		*out = (int8_t)p[0];
		return true;
	case GGUF_U16:
		*out = sn_load_u16(p);
		return true;
	case GGUF_I16:
		*out = (int16_t)sn_load_u16(p);
		return true;
	case GGUF_U32:
		*out = sn_load_u32(p);
		return true;
	case GGUF_I32:
		*out = (int32_t)sn_load_u32(p);
		return true;
	case GGUF_I64:
		*out = (int64_t)sn_load_u64(p);
		return true;
	case GGUF_U64:
		*out = (int64_t)sn_load_u64(p);
		return *out >= 0;
	default:
		return false;
	}
}

static bool load_float(gguf_kind kind, const uint8_t *p, double *out)
{
	int64_t i;
	if (kind == GGUF_F32) return *out = sn_float_of(sn_load_u32(p)), true;
	if (kind == GGUF_F64) return memcpy(out, p, sizeof *out), true;
	if (!load_int(kind, p, &i)) return false;
	*out = (double)i;
	return true;
}

/* ---- single values ---- */

sn_status sn_gguf_i64(const sn_gguf *file, const char *name, int64_t *out)
{
	const gguf_key *key;
	SN_TRY(need_key(file, name, &key));
	return load_int(key->kind, key->value, out) ? SN_OK : wrong_kind(file, name, key, "an integer");
}

sn_status sn_gguf_f64(const sn_gguf *file, const char *name, double *out)
{
	const gguf_key *key;
	SN_TRY(need_key(file, name, &key));
	return load_float(key->kind, key->value, out) ? SN_OK : wrong_kind(file, name, key, "a number");
}

sn_status sn_gguf_bool(const sn_gguf *file, const char *name, bool *out)
{
	const gguf_key *key;
	SN_TRY(need_key(file, name, &key));
	if (key->kind != GGUF_BOOL || key->value[0] > 1) return wrong_kind(file, name, key, "a bool (0 or 1)");
	*out = key->value[0];
	return SN_OK;
}

static sn_slice text_at(const uint8_t *p) { return (sn_slice){ (const char *)p + 8, (size_t)sn_load_u64(p) }; }

sn_status sn_gguf_text(const sn_gguf *file, const char *name, sn_slice *out)
{
	const gguf_key *key;
	SN_TRY(need_key(file, name, &key));
	if (key->kind != GGUF_STRING) return wrong_kind(file, name, key, "a string");
	*out = text_at(key->value);
	return SN_OK;
}

sn_status sn_gguf_string(const sn_gguf *file, const char *name, sn_arena *arena, const char **out)
{
	sn_slice text = { 0 };
	SN_TRY(sn_gguf_text(file, name, &text));
	if (memchr(text.data, 0, text.size))
		return sn_fail(file->ctx, SN_EPARSE, "%s: key '%s': the string holds a NUL byte; the file is damaged",
					   file->source, name);
	*out = sn_arena_copy(arena, text.data, text.size);
	return *out ? SN_OK : SN_ENOMEM;
}

sn_status sn_gguf_i64_or(const sn_gguf *file, const char *key, int64_t missing, int64_t *out)
{
	*out = missing;
	return sn_gguf_has(file, key) ? sn_gguf_i64(file, key, out) : SN_OK;
}

sn_status sn_gguf_f64_or(const sn_gguf *file, const char *key, double missing, double *out)
{
	*out = missing;
	return sn_gguf_has(file, key) ? sn_gguf_f64(file, key, out) : SN_OK;
}

sn_status sn_gguf_bool_or(const sn_gguf *file, const char *key, bool missing, bool *out)
{
	*out = missing;
	return sn_gguf_has(file, key) ? sn_gguf_bool(file, key, out) : SN_OK;
}

/* ---- arrays ---- */

static sn_status need_array(const sn_gguf *file, const char *name, const char *expected, const gguf_key **out)
{
	SN_TRY(need_key(file, name, out));
	return (*out)->kind == GGUF_ARRAY ? SN_OK : wrong_kind(file, name, *out, expected);
}

sn_status sn_gguf_texts(const sn_gguf *file, const char *name, sn_arena *arena, sn_slice **out, int64_t *n)
{
	const gguf_key *key;
	SN_TRY(need_array(file, name, "an array of strings", &key));
	if (key->element != GGUF_STRING) return wrong_kind(file, name, key, "an array of strings");
	SN_NEW(*out, arena, sn_slice, key->count);
	const uint8_t *p = key->value;
	for (int64_t i = 0; i < key->count; i++, p += 8 + (*out)[i - 1].size) (*out)[i] = text_at(p);
	*n = key->count;
	return SN_OK;
}

sn_status sn_gguf_i32s(const sn_gguf *file, const char *name, sn_arena *arena, int32_t **out, int64_t *n)
{
	const gguf_key *key;
	SN_TRY(need_array(file, name, "an array of integers", &key));
	SN_NEW(*out, arena, int32_t, key->count);
	for (int64_t i = 0; i < key->count; i++) {
		int64_t v;
		if (!load_int(key->element, key->value + (size_t)i * sn_gguf_kind_size(key->element), &v) || v != (int32_t)v)
			return wrong_kind(file, name, key, "an array of integers below 2^31");
		(*out)[i] = (int32_t)v;
	}
	*n = key->count;
	return SN_OK;
}

sn_status sn_gguf_f32s(const sn_gguf *file, const char *name, sn_arena *arena, float **out, int64_t *n)
{
	const gguf_key *key;
	SN_TRY(need_array(file, name, "an array of numbers", &key));
	SN_NEW(*out, arena, float, key->count);
	for (int64_t i = 0; i < key->count; i++) {
		double v;
		if (!load_float(key->element, key->value + (size_t)i * sn_gguf_kind_size(key->element), &v))
			return wrong_kind(file, name, key, "an array of numbers");
		(*out)[i] = (float)v;
	}
	*n = key->count;
	return SN_OK;
}

sn_status sn_gguf_bools(const sn_gguf *file, const char *name, sn_arena *arena, bool **out, int64_t *n)
{
	const gguf_key *key;
	SN_TRY(need_array(file, name, "an array of bools", &key));
	if (key->element != GGUF_BOOL) return wrong_kind(file, name, key, "an array of bools");
	SN_NEW(*out, arena, bool, key->count);
	for (int64_t i = 0; i < key->count; i++) (*out)[i] = key->value[i] != 0;
	*n = key->count;
	return SN_OK;
}
