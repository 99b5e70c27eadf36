/* The stack machine of pickles, as far as state dictionaries need it. A mark on the stack is a NULL. */
#include "io/pickle.h"

enum { CHUNK = 64, SLOTS = 512, OLDEST_PROTOCOL = 2, NEWEST_PROTOCOL = 5 };

typedef struct values {
	sn_pickle_value **item;
	size_t n, room;
} values;

typedef struct machine {
	sn_arena *arena;
	const sn_pickle_options *options;
	const char *source;
	size_t start; /* of the bytes in the file */
	const uint8_t *bytes;
	size_t size, pos, opcode_pos;
	size_t taken; /* bytes of memory */
	values stack, memo, persistent;
	sn_pickle_value *free;       /* the next free values of a block */
	sn_pickle_value **free_slot; /* and places for items */
	size_t n_free, n_slot;
	sn_pickle_value *none, *yes, *no;
	sn_pickle_value *result; /* once STOP was read */
} machine;

/* ---- errors ---- */

static sn_status fail(const machine *m, sn_status status, const char *format, ...) SN_PRINTF(3, 4);
static sn_status fail(const machine *m, sn_status status, const char *format, ...)
{
	char text[400];
	va_list args;
	va_start(args, format);
	sn_vformat(text, sizeof text, format, args);
	va_end(args);
	return sn_fail(sn_arena_ctx(m->arena), status, "%s: byte %zu: pickle: %s", m->source, m->start + m->opcode_pos,
				   text);
}

static sn_status damaged(const machine *m, const char *expected, const sn_pickle_value *found)
{
	return fail(m, SN_EPARSE, "expected %s, found %s; the file is damaged", expected, sn_pickle_kind_name(found));
}

/* ---- memory ---- */

static sn_status take(machine *m, size_t n, size_t size, void **out)
{
	size_t bytes = sn_size3(n, size, 1);
	*out = NULL;
	if (bytes > m->options->max_bytes - m->taken)
		return fail(m, SN_EPARSE, "it would need more than %zu bytes of memory; expected a dictionary of tensors",
					m->options->max_bytes);
	m->taken += bytes;
	*out = sn_arena_take(m->arena, bytes);
	return *out ? SN_OK : SN_ENOMEM;
}

static sn_status new_value(machine *m, sn_pickle_kind kind, sn_pickle_value **out)
{
	void *block;
	if (m->n_free == 0) {
		SN_TRY(take(m, CHUNK, sizeof(sn_pickle_value), &block));
		m->free = block;
		m->n_free = CHUNK;
	}
	m->n_free--;
	*out = m->free++;
	(*out)->kind = kind;
	return SN_OK;
}

/* Places for n items: few of them come from a common block. */
static sn_status new_items(machine *m, size_t n, sn_pickle_value ***out)
{
	void *block;
	bool few = n <= SLOTS / 8;
	if (!few || n > m->n_slot) {
		SN_TRY(take(m, few ? SLOTS : n, sizeof(sn_pickle_value *), &block));
		*out = block;
		if (!few) return SN_OK;
		m->free_slot = block;
		m->n_slot = SLOTS;
	}
	*out = m->free_slot;
	m->free_slot += n;
	m->n_slot -= n;
	return SN_OK;
}

/* Sets item i, which may lie behind the end. */
static sn_status set(machine *m, values *v, size_t i, sn_pickle_value *value)
{
	if (i >= v->room) {
		size_t room = SN_MAX(2 * v->room, i + 64);
		sn_pickle_value **item;
		SN_TRY(new_items(m, room, &item));
		if (v->n) memcpy(item, v->item, v->n * sizeof *item);
		v->item = item;
		v->room = room;
	}
	v->item[i] = value;
	v->n = SN_MAX(v->n, i + 1);
	return SN_OK;
}

static sn_status add_items(machine *m, sn_pickle_value *to, sn_pickle_value *const *item, size_t n)
{
	if (n > UINT32_MAX / 4 - to->n) return fail(m, SN_EPARSE, "too many items; the file is damaged");
	if (n > to->room - to->n) {
		size_t room = to->n ? SN_MAX(2 * (size_t)to->room, to->n + n) : n;
		sn_pickle_value **all;
		SN_TRY(new_items(m, room, &all));
		if (to->n) memcpy(all, to->item, to->n * sizeof(sn_pickle_value *));
		to->item = all;
		to->room = (uint32_t)room;
	}
	if (n) memcpy(to->item + to->n, item, n * sizeof(sn_pickle_value *));
	to->n += (uint32_t)n;
	return SN_OK;
}

/* ---- the stack ---- */

static sn_status push(machine *m, sn_pickle_value *value) { return set(m, &m->stack, m->stack.n, value); }

static sn_pickle_value *top(const machine *m) { return m->stack.n ? m->stack.item[m->stack.n - 1] : NULL; }

static sn_status pop(machine *m, sn_pickle_value **out)
{
	*out = top(m);
	if (!*out) return damaged(m, "a value on the stack", NULL);
	m->stack.n--;
	return SN_OK;
}

/* Pops everything behind the last mark, and the mark: *out points into the stack. */
static sn_status pop_mark(machine *m, sn_pickle_value ***out, size_t *n)
{
	size_t at = m->stack.n;
	*out = NULL;
	*n = 0;
	while (at > 0 && m->stack.item[at - 1]) at--;
	if (at == 0) return damaged(m, "a mark on the stack", NULL);
	*out = m->stack.item + at;
	*n = m->stack.n - at;
	m->stack.n = at - 1;
	return SN_OK;
}

/* ---- bytes ---- */

static sn_status take_bytes(machine *m, uint64_t n, const uint8_t **out)
{
	*out = m->bytes + m->pos;
	if (n > m->size - m->pos)
		return fail(m, SN_EPARSE, "it ends too early: %llu more bytes expected, %zu found; the file is damaged",
					(unsigned long long)n, m->size - m->pos);
	m->pos += (size_t)n;
	return SN_OK;
}

/* A little-endian number of 1 to 8 bytes. */
static sn_status take_number(machine *m, int width, uint64_t *out)
{
	const uint8_t *p;
	SN_TRY(take_bytes(m, (uint64_t)width, &p));
	*out = 0;
	for (int i = width; i-- > 0;) *out = *out << 8 | p[i];
	return SN_OK;
}

static sn_status take_line(machine *m, sn_slice *out)
{
	const uint8_t *p = m->bytes + m->pos, *end = m->size > m->pos ? memchr(p, '\n', m->size - m->pos) : NULL;
	if (!end) return damaged(m, "the end of a line", NULL);
	*out = (sn_slice){ (const char *)p, (size_t)(end - p) };
	m->pos += out->size + 1;
	return SN_OK;
}

/* ---- opcodes: each gets the argument of its row in the table ---- */

static sn_status op_proto(machine *m, int arg)
{
	uint64_t version;
	(void)arg;
	SN_TRY(take_number(m, 1, &version));
	if (m->opcode_pos == 0 && version >= OLDEST_PROTOCOL && version <= NEWEST_PROTOCOL) return SN_OK;
	return fail(m, SN_EUNKNOWN, "expected protocol %d to %d at its start, found %llu; save the model again",
				OLDEST_PROTOCOL, NEWEST_PROTOCOL, (unsigned long long)version);
}

static sn_status op_frame(machine *m, int width)
{
	uint64_t size;
	return take_number(m, width, &size);
}

static sn_status op_stop(machine *m, int arg)
{
	(void)arg;
	SN_TRY(pop(m, &m->result));
	return m->stack.n ? fail(m, SN_EPARSE, "values are left on the stack; the file is damaged") : SN_OK;
}

static sn_status op_mark(machine *m, int arg)
{
	(void)arg;
	return push(m, NULL);
}

static sn_status op_none(machine *m, int arg)
{
	(void)arg;
	return push(m, m->none);
}

static sn_status op_bool(machine *m, int yes) { return push(m, yes ? m->yes : m->no); }

static sn_status push_integer(machine *m, int64_t integer)
{
	sn_pickle_value *v;
	SN_TRY(new_value(m, SN_PICKLE_INT, &v));
	v->integer = integer;
	return push(m, v);
}

/* Four bytes are signed, one and two are not. */
static sn_status op_int(machine *m, int width)
{
	uint64_t bits;
	SN_TRY(take_number(m, width, &bits));
	return push_integer(m, width == 4 ? (int32_t)(uint32_t)bits : (int64_t)bits);
}

/* Two's complement of any length, which stands before it in width bytes. */
static sn_status op_long(machine *m, int width)
{
	uint64_t n, bits;
	SN_TRY(take_number(m, width, &n));
	if (n > 8)
		return fail(m, SN_EPARSE, "expected an integer of at most 8 bytes, found %llu; the file is damaged",
					(unsigned long long)n);
	SN_TRY(take_number(m, (int)n, &bits));
	if (n > 0 && n < 8 && bits >> (8 * n - 1)) bits |= UINT64_MAX << 8 * n;
	return push_integer(m, (int64_t)bits);
}

/* Big-endian. */
static sn_status op_float(machine *m, int width)
{
	const uint8_t *p;
	uint64_t bits = 0;
	sn_pickle_value *v;
	SN_TRY(take_bytes(m, (uint64_t)width, &p));
	for (int i = 0; i < width; i++) bits = bits << 8 | p[i];
	SN_TRY(new_value(m, SN_PICKLE_FLOAT, &v));
	memcpy(&v->real, &bits, sizeof v->real);
	return push(m, v);
}

static sn_status op_text(machine *m, int width)
{
	uint64_t n;
	const uint8_t *p;
	sn_pickle_value *v;
	SN_TRY(take_number(m, width, &n));
	SN_TRY(take_bytes(m, n, &p));
	SN_TRY(new_value(m, SN_PICKLE_TEXT, &v));
	v->text = (const char *)p;
	v->text_size = (size_t)n;
	return push(m, v);
}

static sn_status op_empty(machine *m, int kind)
{
	sn_pickle_value *v;
	SN_TRY(new_value(m, (sn_pickle_kind)kind, &v));
	return push(m, v);
}

/* The last n values. */
static sn_status op_tuple(machine *m, int n)
{
	sn_pickle_value *v, *ignored;
	SN_TRY(new_value(m, SN_PICKLE_TUPLE, &v));
	for (int i = 0; i < n; i++) SN_TRY(pop(m, &ignored));
	SN_TRY(add_items(m, v, m->stack.item + m->stack.n, (size_t)n));
	return push(m, v);
}

static sn_status op_tuple_mark(machine *m, int arg)
{
	sn_pickle_value *v, **item;
	size_t n;
	(void)arg;
	SN_TRY(pop_mark(m, &item, &n));
	SN_TRY(new_value(m, SN_PICKLE_TUPLE, &v));
	SN_TRY(add_items(m, v, item, n));
	return push(m, v);
}

/* Adds values to the list or dictionary under them. */
static sn_status add_to(machine *m, sn_pickle_kind kind, sn_pickle_value *const *item, size_t n)
{
	sn_pickle_value *to = top(m);
	if (!to || to->kind != kind)
		return damaged(m, kind == SN_PICKLE_LIST ? "a list to append to" : "a dictionary to set items of", to);
	if (kind == SN_PICKLE_DICT && n % 2) return damaged(m, "a value for each key", NULL);
	return add_items(m, to, item, n);
}

/* One item (of a dictionary: key and value). */
static sn_status op_add(machine *m, int kind)
{
	sn_pickle_value *value, *key;
	SN_TRY(pop(m, &value));
	if (kind == SN_PICKLE_LIST) return add_to(m, SN_PICKLE_LIST, &value, 1);
	SN_TRY(pop(m, &key));
	return add_to(m, SN_PICKLE_DICT, (sn_pickle_value *[]){ key, value }, 2);
}

static sn_status op_add_mark(machine *m, int kind)
{
	sn_pickle_value **item;
	size_t n;
	SN_TRY(pop_mark(m, &item, &n));
	return add_to(m, (sn_pickle_kind)kind, item, n);
}

/* ---- memo ---- */

static sn_status put(machine *m, uint64_t i)
{
	if (!top(m)) return damaged(m, "a value to remember", NULL);
	if (i > m->pos) return damaged(m, "the next number of a remembered value", NULL);
	return set(m, &m->memo, (size_t)i, top(m));
}

static sn_status op_put(machine *m, int width)
{
	uint64_t i;
	SN_TRY(take_number(m, width, &i));
	return put(m, i);
}

static sn_status op_memoize(machine *m, int arg)
{
	(void)arg;
	return put(m, m->memo.n);
}

static sn_status op_get(machine *m, int width)
{
	uint64_t i;
	SN_TRY(take_number(m, width, &i));
	if (i >= m->memo.n || !m->memo.item[i]) return damaged(m, "the number of a remembered value", NULL);
	return push(m, m->memo.item[i]);
}

/* ---- names and calls ---- */

static bool is_global(const char *name, sn_slice module, sn_slice member)
{
	return strlen(name) == module.size + 1 + member.size && memcmp(name, module.data, module.size) == 0 &&
		   name[module.size] == '.' && memcmp(name + module.size + 1, member.data, member.size) == 0;
}

static sn_status push_global(machine *m, sn_slice module, sn_slice member)
{
	sn_pickle_value *v;
	const char *const *name = m->options->global;
	while (*name && !is_global(*name, module, member)) name++;
	if (!*name)
		return fail(m, SN_EUNKNOWN,
					"it asks for '%.*s.%.*s', which no tensor needs, so it is refused; convert the file to safetensors "
					"if you trust it",
					(int)SN_MIN(module.size, (size_t)80), module.data, (int)SN_MIN(member.size, (size_t)80),
					member.data);
	SN_TRY(new_value(m, SN_PICKLE_GLOBAL, &v));
	v->text = *name;
	v->text_size = strlen(*name);
	return push(m, v);
}

static sn_status op_global(machine *m, int arg)
{
	sn_slice module, member;
	(void)arg;
	SN_TRY(take_line(m, &module));
	SN_TRY(take_line(m, &member));
	return push_global(m, module, member);
}

static sn_status op_stack_global(machine *m, int arg)
{
	sn_pickle_value *module, *member;
	(void)arg;
	SN_TRY(pop(m, &member));
	SN_TRY(pop(m, &module));
	if (module->kind != SN_PICKLE_TEXT || member->kind != SN_PICKLE_TEXT)
		return damaged(m, "a module's and a member's name", member);
	return push_global(m, (sn_slice){ module->text, module->text_size }, (sn_slice){ member->text, member->text_size });
}

/* OrderedDict() or OrderedDict([[key, value], ...]): the one call that is a value of its own here. */
static sn_status push_ordered(machine *m, const sn_pickle_value *args)
{
	sn_pickle_value *dict, *pairs = sn_pickle_item(args, 0);
	SN_TRY(new_value(m, SN_PICKLE_DICT, &dict));
	if (args->n > 1 || (pairs && pairs->kind != SN_PICKLE_LIST)) return damaged(m, "a list of items", pairs);
	for (uint32_t i = 0; pairs && i < pairs->n; i++) {
		sn_pickle_value *pair = pairs->item[i];
		if (!sn_pickle_item(pair, 1) || pair->n != 2) return damaged(m, "a key and a value", pair);
		SN_TRY(add_items(m, dict, pair->item, 2));
	}
	return push(m, dict);
}

static sn_status op_reduce(machine *m, int arg)
{
	sn_pickle_value *function, *args, *v;
	(void)arg;
	SN_TRY(pop(m, &args));
	SN_TRY(pop(m, &function));
	if (function->kind != SN_PICKLE_GLOBAL || args->kind != SN_PICKLE_TUPLE)
		return damaged(m, "a global and a tuple of arguments", function->kind != SN_PICKLE_GLOBAL ? function : args);
	if (sn_pickle_is(function, SN_PICKLE_GLOBAL, "collections.OrderedDict")) return push_ordered(m, args);
	SN_TRY(new_value(m, SN_PICKLE_CALL, &v));
	SN_TRY(add_items(m, v, (sn_pickle_value *[]){ function, args }, 2));
	return push(m, v);
}

/* Attributes of a state dictionary (its _metadata, with versions of modules) say nothing about its tensors. */
static sn_status op_build(machine *m, int arg)
{
	sn_pickle_value *state;
	(void)arg;
	SN_TRY(pop(m, &state));
	if (top(m) && top(m)->kind == SN_PICKLE_DICT) return SN_OK;
	return fail(m, SN_EUNKNOWN, "it sets attributes of %s, which no tensor needs, so it is refused",
				sn_pickle_kind_name(top(m)));
}

static sn_status op_persistent(machine *m, int arg)
{
	sn_pickle_value *id, *v;
	(void)arg;
	SN_TRY(pop(m, &id));
	SN_TRY(new_value(m, SN_PICKLE_PERSISTENT, &v));
	SN_TRY(add_items(m, v, &id, 1));
	SN_TRY(set(m, &m->persistent, m->persistent.n, v));
	return push(m, v);
}

/* ---- the table ---- */

/* do_it NULL: known by name, and refused. */
static const struct opcode {
	const char *name;
	sn_status (*do_it)(machine *m, int arg);
	int arg;
} opcodes[256] = {
	[0x28] = { "MARK", op_mark, 0 },
	[0x29] = { "EMPTY_TUPLE", op_empty, SN_PICKLE_TUPLE },
	[0x2e] = { "STOP", op_stop, 0 },
	[0x30] = { "POP", NULL, 0 },
	[0x31] = { "POP_MARK", NULL, 0 },
	[0x32] = { "DUP", NULL, 0 },
	[0x42] = { "BINBYTES", op_text, 4 },
	[0x43] = { "SHORT_BINBYTES", op_text, 1 },
	[0x46] = { "FLOAT", NULL, 0 },
	[0x47] = { "BINFLOAT", op_float, 8 },
	[0x49] = { "INT", NULL, 0 },
	[0x4a] = { "BININT", op_int, 4 },
	[0x4b] = { "BININT1", op_int, 1 },
	[0x4c] = { "LONG", NULL, 0 },
	[0x4d] = { "BININT2", op_int, 2 },
	[0x4e] = { "NONE", op_none, 0 },
	[0x50] = { "PERSID", NULL, 0 },
	[0x51] = { "BINPERSID", op_persistent, 0 },
	[0x52] = { "REDUCE", op_reduce, 0 },
	[0x53] = { "STRING", NULL, 0 },
	[0x54] = { "BINSTRING", op_text, 4 },
	[0x55] = { "SHORT_BINSTRING", op_text, 1 },
	[0x56] = { "UNICODE", NULL, 0 },
	[0x58] = { "BINUNICODE", op_text, 4 },
	[0x5d] = { "EMPTY_LIST", op_empty, SN_PICKLE_LIST },
	[0x61] = { "APPEND", op_add, SN_PICKLE_LIST },
	[0x62] = { "BUILD", op_build, 0 },
	[0x63] = { "GLOBAL", op_global, 0 },
	[0x64] = { "DICT", NULL, 0 },
	[0x65] = { "APPENDS", op_add_mark, SN_PICKLE_LIST },
	[0x67] = { "GET", NULL, 0 },
	[0x68] = { "BINGET", op_get, 1 },
	[0x69] = { "INST", NULL, 0 },
	[0x6a] = { "LONG_BINGET", op_get, 4 },
	[0x6c] = { "LIST", NULL, 0 },
	[0x6f] = { "OBJ", NULL, 0 },
	[0x70] = { "PUT", NULL, 0 },
	[0x71] = { "BINPUT", op_put, 1 },
	[0x72] = { "LONG_BINPUT", op_put, 4 },
	[0x73] = { "SETITEM", op_add, SN_PICKLE_DICT },
	[0x74] = { "TUPLE", op_tuple_mark, 0 },
	[0x75] = { "SETITEMS", op_add_mark, SN_PICKLE_DICT },
	[0x7d] = { "EMPTY_DICT", op_empty, SN_PICKLE_DICT },
	[0x80] = { "PROTO", op_proto, 0 },
	[0x81] = { "NEWOBJ", NULL, 0 },
	[0x82] = { "EXT1", NULL, 0 },
	[0x83] = { "EXT2", NULL, 0 },
	[0x84] = { "EXT4", NULL, 0 },
	[0x85] = { "TUPLE1", op_tuple, 1 },
	[0x86] = { "TUPLE2", op_tuple, 2 },
	[0x87] = { "TUPLE3", op_tuple, 3 },
	[0x88] = { "NEWTRUE", op_bool, 1 },
	[0x89] = { "NEWFALSE", op_bool, 0 },
	[0x8a] = { "LONG1", op_long, 1 },
	[0x8b] = { "LONG4", op_long, 4 },
	[0x8c] = { "SHORT_BINUNICODE", op_text, 1 },
	[0x8d] = { "BINUNICODE8", op_text, 8 },
	[0x8e] = { "BINBYTES8", op_text, 8 },
	[0x8f] = { "EMPTY_SET", NULL, 0 },
	[0x90] = { "ADDITEMS", NULL, 0 },
	[0x91] = { "FROZENSET", NULL, 0 },
	[0x92] = { "NEWOBJ_EX", NULL, 0 },
	[0x93] = { "STACK_GLOBAL", op_stack_global, 0 },
	[0x94] = { "MEMOIZE", op_memoize, 0 },
	[0x95] = { "FRAME", op_frame, 8 },
	[0x96] = { "BYTEARRAY8", NULL, 0 },
	[0x97] = { "NEXT_BUFFER", NULL, 0 },
	[0x98] = { "READONLY_BUFFER", NULL, 0 },
};

static sn_status step(machine *m)
{
	const uint8_t *p;
	m->opcode_pos = m->pos;
	SN_TRY(take_bytes(m, 1, &p));
	const struct opcode *op = &opcodes[*p];
	if (!op->name) return fail(m, SN_EPARSE, "expected an opcode, found 0x%02x; the file is damaged", *p);
	if (!op->do_it)
		return fail(m, SN_EUNKNOWN,
					"the opcode %s is one that no tensor needs, so it is refused; convert the file to "
					"safetensors if you trust it",
					op->name);
	return op->do_it(m, op->arg);
}

static sn_status run(machine *m)
{
	SN_TRY(new_value(m, SN_PICKLE_NONE, &m->none));
	SN_TRY(new_value(m, SN_PICKLE_BOOL, &m->no));
	SN_TRY(new_value(m, SN_PICKLE_BOOL, &m->yes));
	m->yes->integer = 1;
	if (m->size == 0 || m->bytes[0] != 0x80)
		return fail(m, SN_EPARSE, "expected a pickle of protocol %d to %d; save the model again", OLDEST_PROTOCOL,
					NEWEST_PROTOCOL);
	while (!m->result) SN_TRY(step(m));
	return SN_OK;
}

sn_status sn_pickle_read(sn_pickle *out, sn_arena *arena, const char *source, size_t start, const uint8_t *bytes,
						 size_t size, const sn_pickle_options *options)
{
	machine m = { .arena = arena, .options = options, .source = source, .start = start, .bytes = bytes, .size = size };
	sn_status status = run(&m);
	*out = (sn_pickle){ m.result, m.pos, m.persistent.item, m.persistent.n };
	return status;
}

/* ---- questions ---- */

bool sn_pickle_is(const sn_pickle_value *v, sn_pickle_kind kind, const char *text)
{
	bool same = v && v->kind == kind && (kind == SN_PICKLE_TEXT || kind == SN_PICKLE_GLOBAL);
	return same && v->text_size == strlen(text) && memcmp(v->text, text, v->text_size) == 0;
}

sn_pickle_value *sn_pickle_item(const sn_pickle_value *v, uint32_t i)
{
	if (!v || (v->kind != SN_PICKLE_TUPLE && v->kind != SN_PICKLE_LIST) || i >= v->n) return NULL;
	return v->item[i];
}

sn_pickle_value *sn_pickle_get(const sn_pickle_value *v, const char *key)
{
	if (!v || v->kind != SN_PICKLE_DICT) return NULL;
	for (uint32_t i = 0; i < v->n; i += 2)
		if (sn_pickle_is(v->item[i], SN_PICKLE_TEXT, key)) return v->item[i + 1];
	return NULL;
}

const char *sn_pickle_kind_name(const sn_pickle_value *v)
{
	static const char *const name[] = { "None",   "a boolean",    "an integer", "a number",       "a text",   "a tuple",
										"a list", "a dictionary", "a function", "a built object", "a storage" };
	return v ? name[v->kind] : "nothing";
}
