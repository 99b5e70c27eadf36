/* GGUF model files (versions 2 and 3, little-endian), memory-mapped:
 *   "GGUF", version u32, number of tensors u64, number of keys u64,
 *   keys: name (u64 length, bytes), kind u32, value (an array: kind of its elements u32, count u64, elements),
 *   tensors: name, number of dimensions u32, dimensions u64 each (fastest first), type u32, offset u64 from the data,
 *   padding to `general.alignment` (32), data: every tensor at a multiple of the alignment.
 * Opening checks every length, count, offset and alignment against the size of the file before it is used, so what
 * these functions return always lies inside the mapping. All fail with SN_EPARSE (SN_EUNKNOWN for a tensor type,
 * SN_ENOTFOUND for a missing key) and text naming the file, the key or tensor, and for damage the byte offset. */
#ifndef SN_IO_GGUF_H
#define SN_IO_GGUF_H

#include "base/base.h"
#include "io/bytes.h"
#include "io/dequant.h"

typedef struct sn_gguf sn_gguf;

/* size = product of dim / type->block * type->bytes; data lies at offset in the file, at any alignment of memory that
 * the file's own alignment gives (32 bytes as a rule). */
typedef struct sn_gguf_tensor {
	const char *name;
	const sn_ggml_type *type;
	int ndim;            /* 0 .. 4 */
	int64_t dim[4];      /* fastest first; 1 beyond ndim */
	int64_t count;       /* numbers */
	uint64_t offset;     /* from the start of the file */
	size_t size;         /* bytes */
	const uint8_t *data; /* into the mapping */
} sn_gguf_tensor;

/* Opens a file; cost: its header. Names of tensors and keys are unique and tensors do not overlap, or it is refused.
 * One part of a split model (NAME-00002-of-00003.gguf, as its keys split.* say too) opens all of them, which lie in the
 * same folder: tensors are those of all parts, keys and path those of the first. */
SN_CHECKED sn_status sn_gguf_open(sn_gguf **out, sn_ctx *ctx, const char *path);
/* The same for bytes in memory, borrowed until close; source stands for the path in error texts. */
SN_CHECKED sn_status sn_gguf_open_bytes(sn_gguf **out, sn_ctx *ctx, const char *source, const void *bytes, size_t size);
void sn_gguf_close(sn_gguf *file);
const char *sn_gguf_path(const sn_gguf *file);
uint32_t sn_gguf_version(const sn_gguf *file);
/* Returns the size of the file, or of all parts, in bytes. */
size_t sn_gguf_size(const sn_gguf *file);

int64_t sn_gguf_tensor_count(const sn_gguf *file);
/* Returns tensor i in the order of names, 0 <= i < count. */
const sn_gguf_tensor *sn_gguf_tensor_at(const sn_gguf *file, int64_t i);
/* Returns the tensor of that name, or NULL. */
const sn_gguf_tensor *sn_gguf_tensor_find(const sn_gguf *file, const char *name);

int64_t sn_gguf_key_count(const sn_gguf *file);
/* Returns the name of key i in the order of names, 0 <= i < count; not NUL-terminated. */
sn_slice sn_gguf_key_at(const sn_gguf *file, int64_t i);
bool sn_gguf_has(const sn_gguf *file, const char *key);
/* Returns whether the key is there and its value an array. */
bool sn_gguf_is_array(const sn_gguf *file, const char *key);

/* Required values. An integer kind of any width is read as i64, a float or an integer as f64. */
SN_CHECKED sn_status sn_gguf_i64(const sn_gguf *file, const char *key, int64_t *out);
SN_CHECKED sn_status sn_gguf_f64(const sn_gguf *file, const char *key, double *out);
SN_CHECKED sn_status sn_gguf_bool(const sn_gguf *file, const char *key, bool *out);
/* The bytes as they stand in the file; not checked to be UTF-8. */
SN_CHECKED sn_status sn_gguf_text(const sn_gguf *file, const char *key, sn_slice *out);
/* A NUL-terminated copy from arena; text holding a NUL is refused. */
SN_CHECKED sn_status sn_gguf_string(const sn_gguf *file, const char *key, sn_arena *arena, const char **out);

/* The same for keys that may be missing: *out is then the given value. A value of the wrong kind still fails. */
SN_CHECKED sn_status sn_gguf_i64_or(const sn_gguf *file, const char *key, int64_t missing, int64_t *out);
SN_CHECKED sn_status sn_gguf_f64_or(const sn_gguf *file, const char *key, double missing, double *out);
SN_CHECKED sn_status sn_gguf_bool_or(const sn_gguf *file, const char *key, bool missing, bool *out);

/* Arrays, from arena: views into the mapping for text, converted copies for numbers (integers outside int32 are
 * refused). */
SN_CHECKED sn_status sn_gguf_texts(const sn_gguf *file, const char *key, sn_arena *arena, sn_slice **out, int64_t *n);
SN_CHECKED sn_status sn_gguf_i32s(const sn_gguf *file, const char *key, sn_arena *arena, int32_t **out, int64_t *n);
SN_CHECKED sn_status sn_gguf_f32s(const sn_gguf *file, const char *key, sn_arena *arena, float **out, int64_t *n);
SN_CHECKED sn_status sn_gguf_bools(const sn_gguf *file, const char *key, sn_arena *arena, bool **out, int64_t *n);

#endif
