/* Pickles, read as data: a pickle is a program for a small stack machine whose calls build objects. Here a call is a
 * node of a tree that names a function and holds its arguments; nothing is ever called. Only the opcodes that
 * torch.save uses for state dictionaries are known (protocols 2 to 5), and only the globals on the caller's list: any
 * other is refused by name. Opcodes: CPython's Lib/pickletools.py. */
#ifndef SN_IO_PICKLE_H
#define SN_IO_PICKLE_H

#include "base/base.h"
#include "io/bytes.h"

typedef enum sn_pickle_kind {
	SN_PICKLE_NONE,
	SN_PICKLE_BOOL,
	SN_PICKLE_INT,
	SN_PICKLE_FLOAT,
	SN_PICKLE_TEXT, /* str or bytes */
	SN_PICKLE_TUPLE,
	SN_PICKLE_LIST,
	SN_PICKLE_DICT, /* OrderedDict too; keys and values in turn, a key given twice is there twice */
	SN_PICKLE_GLOBAL,
	SN_PICKLE_CALL,      /* item[0]: the global that would be called, item[1]: the tuple of arguments */
	SN_PICKLE_PERSISTENT /* item[0]: what stands for an object outside the pickle */
} sn_pickle_kind;

/* A value belongs to the arena that the pickle was read into. One value may stand in several places, and lists may hold
 * themselves, so whoever walks the tree bounds its depth. */
typedef struct sn_pickle_value sn_pickle_value;
struct sn_pickle_value {
	sn_pickle_kind kind;
	uint32_t n, room; /* items; of a dictionary: keys and values together */
	union {
		int64_t integer; /* BOOL: 0, 1 */
		double real;
		const char *text; /* TEXT: into the pickle's bytes, text_size of them; GLOBAL: "module.name" of the list */
		sn_pickle_value **item;
	};
	size_t text_size;
};

typedef struct sn_pickle_options {
	const char *const *global; /* the names that may occur ("collections.OrderedDict"), NULL behind the last */
	size_t max_bytes;          /* of memory for values; more is refused */
} sn_pickle_options;

typedef struct sn_pickle {
	sn_pickle_value *root;
	size_t size;                  /* bytes of the pickle */
	sn_pickle_value **persistent; /* all PERSISTENT values, in the order of the pickle */
	size_t n_persistent;
} sn_pickle;

/* Reads the pickle at the start of the bytes. source and start (the place of the bytes in the file) are for error
 * texts: SN_EPARSE for damage, SN_EUNKNOWN for an opcode or global that is not allowed; both say which, and at which
 * byte. The bytes must outlive *out, whose values are the arena's. Linear in size. */
SN_CHECKED sn_status sn_pickle_read(sn_pickle *out, sn_arena *arena, const char *source, size_t start,
									const uint8_t *bytes, size_t size, const sn_pickle_options *options);

/* Returns whether value is a text (or a global) equal to text. value may be NULL. */
bool sn_pickle_is(const sn_pickle_value *value, sn_pickle_kind kind, const char *text);
/* Returns item i of a tuple or list; NULL if it has none, or value is NULL or neither. */
sn_pickle_value *sn_pickle_item(const sn_pickle_value *value, uint32_t i);
/* Returns the value of the first key equal to that text in a dictionary, or NULL. */
sn_pickle_value *sn_pickle_get(const sn_pickle_value *value, const char *key);
/* Returns what an error text calls a value: "a tuple"; "nothing" for NULL. */
const char *sn_pickle_kind_name(const sn_pickle_value *value);

#endif
