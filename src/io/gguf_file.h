/* What an opened GGUF file holds: shared by gguf.c, which reads one, gguf_split.c, which joins the files of a split
 * model, and gguf_value.c, which answers questions. */
#ifndef SN_IO_GGUF_FILE_H
#define SN_IO_GGUF_FILE_H

#include "io/gguf.h"

/* X(KIND, number in the file, name, bytes of one value; 0: its length varies) */
#define SN_GGUF_KIND_MAP(X)                                                                                            \
	X(U8, 0, "uint8", 1)                                                                                               \
	X(I8, 1, "int8", 1)                                                                                                \
	X(U16, 2, "uint16", 2)                                                                                             \
	X(I16, 3, "int16", 2)                                                                                              \
	X(U32, 4, "uint32", 4)                                                                                             \
	X(I32, 5, "int32", 4)                                                                                              \
	X(F32, 6, "float32", 4)                                                                                            \
	X(BOOL, 7, "bool", 1)                                                                                              \
	X(STRING, 8, "string", 0)                                                                                          \
	X(ARRAY, 9, "array", 0)                                                                                            \
	X(U64, 10, "uint64", 8)                                                                                            \
	X(I64, 11, "int64", 8)                                                                                             \
	X(F64, 12, "float64", 8)

typedef enum gguf_kind {
#define SN_GGUF_KIND_ENUM(kind, number, name, size) GGUF_##kind = number,
	SN_GGUF_KIND_MAP(SN_GGUF_KIND_ENUM)
#undef SN_GGUF_KIND_ENUM
		GGUF_KINDS
} gguf_kind;

const char *sn_gguf_kind_name(gguf_kind kind);
/* Returns the bytes of one value; 0 for strings and arrays. */
size_t sn_gguf_kind_size(gguf_kind kind);

/* kind ARRAY: count values of kind element at value; otherwise one value (a string: its length stands at value). All of
 * it lies inside the file. */
typedef struct gguf_key {
	sn_slice name;
	gguf_kind kind, element;
	int64_t count;
	const uint8_t *value;
} gguf_key;

struct sn_gguf {
	sn_ctx *ctx;
	sn_arena *arena;
	sn_map_file map; /* empty when opened from bytes */
	const char *source;
	const uint8_t *data;
	size_t size;
	uint32_t version;
	int64_t n_key, n_tensor;
	gguf_key *key;          /* ascending names */
	sn_gguf_tensor *tensor; /* ascending names */
	sn_gguf *next;          /* of a split model: the next of the other parts, or NULL */
};

/* Opens one file, whatever it says about others. */
SN_CHECKED sn_status sn_gguf_open_part(sn_gguf **out, sn_ctx *ctx, const char *path);
/* Opens the other parts of a split model, if file is one of its parts, and joins them to it. */
SN_CHECKED sn_status sn_gguf_open_others(sn_gguf *file);
/* Sorts the tensors by name; fails if one is there twice. */
SN_CHECKED sn_status sn_gguf_sort_tensors(sn_gguf *file);

#endif
