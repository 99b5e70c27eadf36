/* What torch.save wrote before PyTorch 1.6, and writes when asked (_use_new_zipfile_serialization=False): pickles one
 * behind the other (a magic number, the version 1001, facts about the machine, the state dictionary, the list of keys
 * of the storages), then for each of these storages the number of its numbers (i64) and the numbers. */
#include "io/torch.h"

#include <stdlib.h>

typedef struct place {
	sn_slice key;
	size_t bytes; /* of one number; 0: not known from the dictionary */
	const uint8_t *data;
	size_t size;
} place;

typedef struct legacy {
	sn_tensor_file *file;
	sn_arena *arena;
	const char *source;
	const uint8_t *bytes;
	size_t size, pos;
	place *storage; /* ascending keys */
	size_t n;
} legacy;

static sn_status damaged(const legacy *l, const char *expected)
{
	return sn_fail(l->file->ctx, SN_EPARSE, "%s: byte %zu: expected %s; the file is damaged", l->source, l->pos,
				   expected);
}

/* PROTO; FRAME from protocol 4 on; the integer 0x1950a86a20f9469cfc6c as LONG1; STOP. Returns its length, or 0. */
static size_t magic_size(const uint8_t *bytes, size_t size)
{
	static const uint8_t magic[] = { 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.' };
	if (size < 3 || bytes[0] != 0x80) return 0;
	size_t at = bytes[2] == 0x95 ? 11 : 2;
	bool same = size >= at + sizeof magic && memcmp(bytes + at, magic, sizeof magic) == 0;
	return same ? at + sizeof magic : 0;
}

bool sn_torch_legacy_is(const uint8_t *bytes, size_t size) { return magic_size(bytes, size) > 0; }

static sn_status next_pickle(legacy *l, sn_pickle *out)
{
	SN_TRY(sn_torch_pickle(out, l->file, l->arena, l->source, l->pos, l->bytes + l->pos, l->size - l->pos));
	l->pos += out->size;
	return SN_OK;
}

static sn_status check_machine(legacy *l)
{
	sn_pickle version, machine;
	SN_TRY(next_pickle(l, &version));
	if (version.root->kind != SN_PICKLE_INT || version.root->integer != 1001) return damaged(l, "the version 1001");
	SN_TRY(next_pickle(l, &machine));
	const sn_pickle_value *little = sn_pickle_get(machine.root, "little_endian");
	if (!little || little->kind != SN_PICKLE_BOOL) return damaged(l, "whether numbers are little-endian");
	if (little->integer) return SN_OK;
	return sn_fail(l->file->ctx, SN_EUNKNOWN,
				   "%s: expected little-endian numbers, found big-endian ones; save the model again on a "
				   "little-endian machine",
				   l->source);
}

static int compare_places(const void *a, const void *b)
{
	sn_slice x = ((const place *)a)->key, y = ((const place *)b)->key;
	int order = memcmp(x.data, y.data, SN_MIN(x.size, y.size));
	return order ? order : (x.size > y.size) - (x.size < y.size);
}

static place *find_place(const legacy *l, sn_slice key)
{
	place wanted = { .key = key };
	return l->n ? bsearch(&wanted, l->storage, l->n, sizeof wanted, compare_places) : NULL;
}

/* The keys in the dictionary, with the size of their numbers; one key may stand there often. */
static sn_status collect(legacy *l, const sn_pickle *state)
{
	SN_NEW(l->storage, l->arena, place, state->n_persistent);
	for (size_t i = 0; i < state->n_persistent; i++) {
		sn_torch_storage s;
		if (!sn_torch_storage_read(&s, state->persistent[i]))
			return damaged(l, "storages of PyTorch 0.4 or newer in the dictionary");
		l->storage[i] = (place){ .key = s.key, .bytes = s.type ? s.type->bytes : 1 };
	}
	qsort(l->storage, state->n_persistent, sizeof *l->storage, compare_places);
	for (size_t i = 0; i < state->n_persistent; i++)
		if (l->n == 0 || compare_places(&l->storage[l->n - 1], &l->storage[i]) != 0) l->storage[l->n++] = l->storage[i];
	return SN_OK;
}

static sn_status locate(legacy *l, const sn_pickle_value *key)
{
	place *p = key->kind == SN_PICKLE_TEXT ? find_place(l, (sn_slice){ key->text, key->text_size }) : NULL;
	if (!p || p->data) return damaged(l, "the keys of the storages, each once");
	if (l->size - l->pos < 8) return damaged(l, "the length of a storage");
	uint64_t count = sn_load_u64(l->bytes + l->pos), size;
	l->pos += 8;
	if (__builtin_mul_overflow(count, p->bytes, &size) || size > l->size - l->pos)
		return damaged(l, "a storage that ends before the file");
	p->data = l->bytes + l->pos;
	p->size = (size_t)size;
	l->pos += (size_t)size;
	return SN_OK;
}

static bool find_storage(void *arg, sn_slice key, const uint8_t **data, size_t *size)
{
	const place *p = find_place(arg, key);
	if (!p || !p->data) return false;
	*data = p->data;
	*size = p->size;
	return true;
}

static sn_status read_legacy(legacy *l)
{
	sn_pickle state, keys;
	SN_TRY(check_machine(l));
	SN_TRY(next_pickle(l, &state));
	SN_TRY(collect(l, &state));
	SN_TRY(next_pickle(l, &keys));
	if (keys.root->kind != SN_PICKLE_LIST) return damaged(l, "a list of the storages' keys");
	for (uint32_t i = 0; i < keys.root->n; i++) SN_TRY(locate(l, keys.root->item[i]));
	return sn_torch_state(l->file, l->source, state.root, find_storage, l);
}

sn_status sn_torch_legacy_read(sn_tensor_file *file, const char *source, const uint8_t *bytes, size_t size)
{
	legacy l = { .file = file, .source = source, .bytes = bytes, .size = size, .pos = magic_size(bytes, size) };
	SN_TRY(sn_arena_open(&l.arena, file->ctx));
	sn_status status = read_legacy(&l);
	sn_arena_close(l.arena);
	return status;
}
