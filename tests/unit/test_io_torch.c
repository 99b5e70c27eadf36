/* PyTorch files: what torch.save wrote in all its forms equals the same tensors as PyTorch wrote them to safetensors; a
 * pickle that asks for anything but tensors is refused by name. */
#define _GNU_SOURCE
#include "common/test.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "io/parts.h"
#include "io/pickle.h"
#include "io/tensor_file.h"

#define TORCH SN_TESTS "/golden/torch/"

static sn_tensor_file *open_file(sn_ctx *ctx, const char *name)
{
	char path[512];
	sn_tensor_file *file;
	sn_format(path, sizeof path, TORCH "%s", name);
	assert_ok(ctx, sn_tensor_file_open(&file, ctx, path));
	return file;
}

static void assert_words(const char *text, const char *words)
{
	char copy[256];
	sn_format(copy, sizeof copy, "%s", words);
	for (char *word = strtok(copy, "|"); word; word = strtok(NULL, "|"))
		if (!strstr(text, word)) fail_msg("expected '%s' in: %s", word, text);
}

/* ---- against PyTorch ---- */

/* Returns all numbers of a tensor, read n rows at a time; free. */
static float *read_rows(const sn_stored *t, int64_t n)
{
	int64_t rows = t->ndim ? t->dim[0] : 1, width = rows ? t->count / rows : 0;
	float *out = malloc((size_t)t->count * sizeof *out + 1);
	for (int64_t i = 0; i < rows; i += n) sn_stored_rows(t, i, SN_MIN(n, rows - i), out + i * width);
	return out;
}

static bool same_numbers(const float *a, const float *b, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		if (memcmp(a + i, b + i, sizeof *a) != 0 && !(isnan(a[i]) && isnan(b[i]))) return false;
	return true;
}

/* The tensor equals NAME/f32 of the expected file (NAME itself where that is float32), whole and row by row. */
static void check_tensor(const sn_tensor_file *expected, const sn_stored *t)
{
	char name[64];
	sn_format(name, sizeof name, "%s/f32", t->name);
	const sn_stored *stored = sn_tensor_file_find(expected, t->name), *values = sn_tensor_file_find(expected, name);
	assert_non_null(stored);
	assert_ptr_equal(t->type, stored->type);
	assert_int_equal(t->ndim, stored->ndim);
	for (int i = 0; i < t->ndim; i++) assert_int_equal(t->dim[i], stored->dim[i]);
	assert_int_equal(t->count, stored->count);
	assert_int_equal(t->size, stored->size);
	const float *numbers = (const float *)(values ? values : stored)->data;
	for (int64_t n = 1; n <= 64; n *= 4) {
		float *read = read_rows(t, n);
		if (!same_numbers(read, numbers, t->count)) fail_msg("%s: %s differs", t->path, t->name);
		free(read);
	}
}

/* Every tensor of a file is right, and none is missing. */
static void check_file(sn_ctx *ctx, const sn_tensor_file *file, const char *expected_name)
{
	sn_tensor_file *expected = open_file(ctx, expected_name);
	int64_t n = 0;
	for (int64_t i = 0; i < sn_tensor_file_count(expected); i++)
		n += !sn_ends_with(sn_tensor_file_at(expected, i)->name, "/f32");
	assert_int_equal(sn_tensor_file_count(file), n);
	for (int64_t i = 0; i < n; i++) check_tensor(expected, sn_tensor_file_at(file, i));
	assert_string_equal(sn_tensor_file_format(file), "PyTorch");
	sn_tensor_file_close(expected);
}

static void every_form_of_torch_save_is_read(void **state)
{
	static const char *const file[][2] = {
		{ "plain.bin", "plain.safetensors" },
		{ "plain-legacy.bin", "plain.safetensors" },
		{ "new.bin", "new.safetensors" },
		{ "new-legacy.bin", "new.safetensors" },
		{ "views.bin", "views.safetensors" },
		{ "views-protocol3.bin", "views.safetensors" },
		{ "views-protocol4.bin", "views.safetensors" },
		{ "views-protocol5.bin", "views.safetensors" },
		{ "views-legacy.bin", "views.safetensors" },
		{ "views-legacy-protocol4.bin", "views.safetensors" },
		{ "module.bin", "module.safetensors" },
		{ "module-legacy.bin", "module.safetensors" },
		{ "attributes.bin", "attributes.safetensors" },
		{ "attributes-legacy.bin", "attributes.safetensors" },
		{ "sharded/pytorch_model.bin.index.json", "plain.safetensors" },
	};
	sn_ctx *ctx = test_ctx(state);
	for (int i = 0; i < SN_COUNT(file); i++) {
		sn_tensor_file *opened = open_file(ctx, file[i][0]);
		check_file(ctx, opened, file[i][1]);
		sn_tensor_file_close(opened);
	}
}

static void a_folder_gives_its_weights(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_tensor_file *file;
	assert_ok(ctx, sn_tensor_file_open_folder(&file, ctx, TORCH "sharded"));
	assert_true(sn_ends_with(sn_tensor_file_path(file), "sharded/pytorch_model.bin.index.json"));
	check_file(ctx, file, "plain.safetensors");
	sn_tensor_file_close(file);
	assert_int_equal(sn_tensor_file_open_folder(&file, ctx, SN_TESTS "/unit"), SN_ENOTFOUND);
	assert_null(file);
	assert_words(sn_error(ctx), "tests/unit|model.safetensors|pytorch_model.bin");
}

/* $ sha256sum pytorch_model-*.bin | cut -c -64 | sha256sum */
static void a_hash_covers_all_shards(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	char hex[65], single[65];
	assert_ok(ctx, sn_parts_hash(ctx, TORCH "sharded/pytorch_model.bin.index.json", hex));
	assert_string_equal(hex, "cfcc3c984b5e219b71321c626a70c50f449f87ab598bf427931d87cd8b31d82d");
	assert_ok(ctx, sn_parts_hash(ctx, TORCH "plain.bin", hex));
	assert_ok(ctx, sn_hash_file(ctx, TORCH "plain.bin", single));
	assert_string_equal(hex, single);
}

/* Puts a file of this name and text into a folder of its own and opens the folder, which must fail. */
static void refuse_text(void **state, const char *name, const char *text, sn_status status, const char *words)
{
	sn_ctx *ctx = test_ctx(state);
	char folder[] = "/tmp/sonde_torch_XXXXXX", path[256];
	sn_tensor_file *file;
	assert_non_null(mkdtemp(folder));
	sn_format(path, sizeof path, "%s/%s", folder, name);
	assert_ok(ctx, sn_write_file(ctx, path, text, strlen(text)));
	assert_int_equal(sn_tensor_file_open_folder(&file, ctx, folder), status);
	assert_null(file);
	assert_words(sn_error(ctx), words);
	unlink(path);
	rmdir(folder);
}

static void what_is_no_weights_is_named(void **state)
{
	refuse_text(state, "tf_model.h5", "x", SN_ENOTFOUND, "found only tf_model.h5|convert");
	refuse_text(state, "pytorch_model.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n", SN_EPARSE,
				"pytorch_model.bin|Git LFS pointer|git lfs pull");
	refuse_text(state, "model.safetensors", "<!DOCTYPE html><html>", SN_EPARSE, "no safetensors or PyTorch file");
	refuse_text(state, "pytorch_model.bin", "PK\3\4 and no more", SN_EPARSE, "the end record of the ZIP archive");
}

static void shared_storages_are_not_copied(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_tensor_file *file = open_file(ctx, "views.bin");
	const sn_stored *base = sn_tensor_file_find(file, "base"), *same = sn_tensor_file_find(file, "same"),
					*transposed = sn_tensor_file_find(file, "transposed"), *last = sn_tensor_file_find(file, "last");
	assert_ptr_equal(base->data, same->data);
	assert_ptr_equal(base->data, transposed->data);
	assert_ptr_equal(last->data, base->data + 5 * 8 * 4);
	assert_true(sn_stored_dense(base) && sn_stored_dense(last) && !sn_stored_dense(transposed));
	assert_int_equal((uintptr_t)base->data % 64, 0);
	sn_tensor_file_close(file);
}

/* ---- what is refused ---- */

static void a_call_is_refused_by_its_name(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_tensor_file *file;
	assert_int_equal(sn_tensor_file_open(&file, ctx, TORCH "refused-system.bin"), SN_EUNKNOWN);
	assert_null(file);
	assert_words(sn_error(ctx), "refused-system.bin|byte |'posix.system'|safetensors");
}

/* One pickle, without its PROTO opcode, and what is said of it. */
typedef struct pickle_case {
	const char *bytes;
	size_t size;
	sn_status status;
	const char *words;
} pickle_case;

#define PICKLE(text, status, words)                                                                                    \
	{                                                                                                                  \
		"\x80\x02" text, sizeof "\x80\x02" text - 1, status, words                                                     \
	}

static const pickle_case refused[] = {
	PICKLE("cos\nsystem\n.", SN_EUNKNOWN, "byte 102|'os.system'|refused"),
	PICKLE("(ios\nsystem\n.", SN_EUNKNOWN, "byte 103|INST|refused"),
	PICKLE("]2.", SN_EUNKNOWN, "byte 103|DUP"),
	PICKLE("\x93.", SN_EPARSE, "byte 102|a value on the stack"),
	PICKLE("X\2\0\0\0osX\6\0\0\0system\x93.", SN_EUNKNOWN, "'os.system'"),
	PICKLE("\x8fN.", SN_EUNKNOWN, "EMPTY_SET"),
	PICKLE("ctorch\nSize\n)\x81.", SN_EUNKNOWN, "NEWOBJ"),
	PICKLE("ctorch\nSize\n)R}b.", SN_EUNKNOWN, "attributes of a built object"),
	PICKLE("\xff.", SN_EPARSE, "an opcode, found 0xff"),
	PICKLE("K", SN_EPARSE, "byte 102|1 more bytes expected, 0 found"),
	PICKLE("X\xff\xff\xff\xff.", SN_EPARSE, "4294967295 more bytes"),
	PICKLE("\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", SN_EPARSE, "18446744073709551615 more bytes"),
	PICKLE("\x8a\x09.........", SN_EPARSE, "at most 8 bytes, found 9"),
	PICKLE("NN.", SN_EPARSE, "left on the stack"),
	PICKLE(".", SN_EPARSE, "a value on the stack, found nothing"),
	PICKLE("(.", SN_EPARSE, "a value on the stack"),
	PICKLE("N\x86.", SN_EPARSE, "a value on the stack"),
	PICKLE("t.", SN_EPARSE, "a mark on the stack"),
	PICKLE("NNa.", SN_EPARSE, "a list to append to, found None"),
	PICKLE("]NNs.", SN_EPARSE, "a dictionary to set items of, found a list"),
	PICKLE("}(Nu.", SN_EPARSE, "a value for each key"),
	PICKLE("h\0.", SN_EPARSE, "the number of a remembered value"),
	PICKLE("q\0.", SN_EPARSE, "a value to remember"),
	PICKLE("Nr\xff\xff\xff\xff.", SN_EPARSE, "the next number of a remembered value"),
	PICKLE("N)R.", SN_EPARSE, "a global and a tuple of arguments, found None"),
	PICKLE("ccollections\nOrderedDict\n]\x85R.", SN_OK, ""),
	PICKLE("ccollections\nOrderedDict\n](N\x85"
		   "e\x85R.",
		   SN_EPARSE, "a key and a value, found a tuple"),
	PICKLE("ccollections\nOrderedDict\nNN\x86R.", SN_EPARSE, "a list of items, found None"),
	PICKLE("ctorch\nSize", SN_EPARSE, "the end of a line"),
	PICKLE("\x80\x02N.", SN_EUNKNOWN, "byte 102|protocol 2 to 5"),
	{ "\x80\x06N.", 4, SN_EUNKNOWN, "protocol 2 to 5 at its start, found 6" },
	{ "I1\n.", 4, SN_EPARSE, "a pickle of protocol 2 to 5" },
	{ "", 0, SN_EPARSE, "a pickle of protocol" },
};

static const char *const allowed[] = { "collections.OrderedDict", "torch.Size", NULL };

static void pickles_that_do_more_than_hold_tensors_are_refused(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_pickle_options options = { allowed, 1 << 20 };
	for (int i = 0; i < SN_COUNT(refused); i++) {
		sn_arena *arena;
		sn_pickle pickle;
		assert_ok(ctx, sn_arena_open(&arena, ctx));
		uint8_t *copy = malloc(refused[i].size + !refused[i].size); /* ends where the sanitizer watches */
		memcpy(copy, refused[i].bytes, refused[i].size);
		sn_status status = sn_pickle_read(&pickle, arena, "p", 100, copy, refused[i].size, &options);
		if (status != refused[i].status) fail_msg("case %d: status %d: %s", i, status, sn_error(ctx));
		if (status != SN_OK) assert_words(sn_error(ctx), refused[i].words);
		free(copy);
		sn_arena_close(arena);
	}
}

static void memory_for_values_is_bounded(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	enum { SIZE = 1 << 20 };
	static uint8_t bytes[SIZE];
	static const char fill[] = { 'N', ']', '(', 'q', '}' };
	for (int k = 0; k < SN_COUNT(fill); k++) {
		sn_arena *arena;
		sn_pickle pickle;
		sn_pickle_options options = { allowed, 1 << 16 };
		memset(bytes, fill[k], SIZE);
		memcpy(bytes, "\x80\x02N", 3);
		assert_ok(ctx, sn_arena_open(&arena, ctx));
		assert_int_equal(sn_pickle_read(&pickle, arena, "p", 0, bytes, SIZE, &options), SN_EPARSE);
		if (fill[k] != 'q') assert_words(sn_error(ctx), "65536 bytes of memory");
		sn_arena_close(arena);
	}
}

static void values_come_out_as_python_has_them(void **state)
{
	/* {"a": (-2, 300, 70000, True, None, -0.5), "b": [2^40, -1]} at protocol 2 */
	static const char bytes[] =
		"\x80\x02}(U\1a(J\xfe\xff\xff\xffM\x2c\1J\x70\x11\1\0\x88NG\xbf\xe0\0\0\0\0\0\0tX\1\0\0\0b]"
		"(\x8a\6\0\0\0\0\0\1\x8a\1\xff"
		"eu.rest";
	sn_ctx *ctx = test_ctx(state);
	sn_pickle_options options = { allowed, 1 << 20 };
	sn_arena *arena;
	sn_pickle pickle;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	assert_ok(ctx, sn_pickle_read(&pickle, arena, "p", 0, (const uint8_t *)bytes, sizeof bytes - 1, &options));
	assert_int_equal(pickle.size, sizeof bytes - 1 - 4);
	const sn_pickle_value *a = sn_pickle_get(pickle.root, "a"), *b = sn_pickle_get(pickle.root, "b");
	assert_int_equal(a->n, 6);
	assert_int_equal(a->item[0]->integer, -2);
	assert_int_equal(a->item[1]->integer, 300);
	assert_int_equal(a->item[2]->integer, 70000);
	assert_int_equal(a->item[3]->kind, SN_PICKLE_BOOL);
	assert_int_equal(a->item[4]->kind, SN_PICKLE_NONE);
	assert_true(a->item[5]->real == -0.5);
	assert_int_equal(sn_pickle_item(b, 0)->integer, 1ll << 40);
	assert_int_equal(sn_pickle_item(b, 1)->integer, -1);
	assert_null(sn_pickle_item(b, 2));
	assert_null(sn_pickle_get(pickle.root, "c"));
	sn_arena_close(arena);
}

/* ---- damage ---- */

/* The copy is exactly as long as the cut, so that the address sanitizer sees any byte read behind it. A cut may leave a
 * whole file only where nothing but the end of the last storage's padding is lost. */
static void every_truncation_is_refused(void **state)
{
	static const char *const name[] = { "views.bin", "views-legacy.bin" };
	sn_ctx *ctx = test_ctx(state);
	for (int k = 0; k < SN_COUNT(name); k++) {
		char path[512];
		sn_map_file map;
		sn_format(path, sizeof path, TORCH "%s", name[k]);
		assert_ok(ctx, sn_map_open(&map, ctx, path));
		for (size_t n = 0; n < map.size; n++) {
			uint8_t *copy = malloc(n ? n : 1);
			memcpy(copy, map.data, n);
			sn_tensor_file *file;
			sn_status status = sn_tensor_file_open_bytes(&file, ctx, "cut", copy, n);
			if (status != SN_EPARSE) fail_msg("%s cut to %zu bytes: status %d", name[k], n, status);
			assert_words(sn_error(ctx), "cut");
			free(copy);
		}
		sn_map_close(ctx, &map);
	}
}

/* Finds n bytes in a copy of a file and puts others there; the copy is then refused with these words, or opens. */
static void refuse_edited(void **state, const char *name, const char *from, const char *to, size_t n, sn_status status,
						  const char *words)
{
	sn_ctx *ctx = test_ctx(state);
	char path[512];
	sn_map_file map;
	sn_format(path, sizeof path, TORCH "%s", name);
	assert_ok(ctx, sn_map_open(&map, ctx, path));
	uint8_t *copy = malloc(map.size);
	memcpy(copy, map.data, map.size);
	uint8_t *at = memmem(copy, map.size, from, n);
	assert_non_null(at);
	memcpy(at, to, n);
	sn_tensor_file *file;
	assert_int_equal(sn_tensor_file_open_bytes(&file, ctx, "bad", copy, map.size), status);
	if (status == SN_OK)
		sn_tensor_file_close(file);
	else
		assert_words(sn_error(ctx), words);
	free(copy);
	sn_map_close(ctx, &map);
}

static void views_outside_their_storage_are_refused(void **state)
{
	/* in views.bin, "rows" begins at number 16 of 48; its shape (3, 8) and strides (8, 1) follow */
	refuse_edited(state, "views.bin", "QK\x10K\x03K\x08", "QK\x11K\x03K\x08", 7, SN_OK, "");
	refuse_edited(state, "views.bin", "QK\x10K\x03K\x08", "QK\x19K\x03K\x08", 7, SN_EPARSE,
				  "tensor 'rows'|a view inside its storage");
	refuse_edited(state, "views.bin", "QK\x10K\x03K\x08", "QK\x10K\x05K\x08", 7, SN_EPARSE,
				  "tensor 'rows'|a view inside its storage");
	refuse_edited(state, "views.bin", "QK\x10K\x03K\x08", "QK\x10K\x03N\x88", 7, SN_EPARSE, "tensor 'rows'|a shape");
}

static void storages_must_be_there(void **state)
{
	refuse_edited(state, "plain.bin", "\0\0\0cpuq", "\0\0\0cpuq", 7, SN_OK, "");
	refuse_edited(state, "plain.bin", "torch\nHalfStorage", "torch\nLongStorage", 17, SN_EPARSE,
				  "tensor 'float16'|as many bytes in its storage");
	refuse_edited(state, "plain.bin",
				  "X\1\0\0\0"
				  "3q",
				  "X\1\0\0\0Zq", 7, SN_EPARSE, "tensor 'float64'|its storage in the file");
	refuse_edited(state, "plain-legacy.bin", "little_endianq\2\x88", "little_endianq\2\x89", 16, SN_EUNKNOWN,
				  "big-endian");
	refuse_edited(state, "plain.bin", "little", "biggie", 6, SN_EUNKNOWN, "'biggie'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_of_torch_save_is_read),
		cmocka_unit_test(a_folder_gives_its_weights),
		cmocka_unit_test(a_hash_covers_all_shards),
		cmocka_unit_test(what_is_no_weights_is_named),
		cmocka_unit_test(shared_storages_are_not_copied),
		cmocka_unit_test(a_call_is_refused_by_its_name),
		cmocka_unit_test(pickles_that_do_more_than_hold_tensors_are_refused),
		cmocka_unit_test(memory_for_values_is_bounded),
		cmocka_unit_test(values_come_out_as_python_has_them),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(views_outside_their_storage_are_refused),
		cmocka_unit_test(storages_must_be_there),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
