/* Safetensors files: golden ones read right, damaged ones refused with a clear error and without harm. */
#include "common/test.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/bytes.h"
#include "io/dequant.h"
#include "io/safetensors.h"

#define TINY SN_TESTS "/golden/tiny/"

/* Puts length, header and n zero bytes of data into out; returns the size. */
static size_t make(uint8_t *out, const char *header, size_t n)
{
	uint64_t length = strlen(header);
	memcpy(out, &length, 8);
	memcpy(out + 8, header, length);
	memset(out + 8 + length, 0, n);
	return 8 + length + n;
}

static void golden_file_is_read(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_tensor_file *file;
	assert_ok(ctx, sn_tensor_file_open(&file, ctx, TINY "mha-untied/model.safetensors"));
	const sn_stored *t = sn_tensor_file_find(file, "model.embed_tokens.weight");
	assert_non_null(t);
	assert_int_equal(t->type->dtype, SN_BF16);
	assert_string_equal(t->type->name, "BF16");
	assert_int_equal(t->ndim, 2);
	assert_int_equal(t->dim[0], 286);
	assert_int_equal(t->dim[1], 16);
	assert_int_equal(t->size, 286 * 16 * 2);
	assert_null(sn_tensor_file_find(file, "no.such"));
	assert_null(sn_tensor_file_meta(file, "no.such"));
	sn_tensor_file_close(file);
	assert_ok(ctx, sn_tensor_file_open(&file, ctx, TINY "gqa-tied/sites.safetensors"));
	assert_int_equal(sn_tensor_file_find(file, "loss")->type->dtype, SN_F64);
	assert_int_equal(sn_tensor_file_find(file, "start")->type->dtype, SN_I64);
	sn_tensor_file_close(file);
}

static void dequantisation_is_bit_exact(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_tensor_file *file;
	assert_ok(ctx, sn_tensor_file_open(&file, ctx, SN_TESTS "/golden/gguf_dequant.safetensors"));
	int checked = 0;
	const sn_ggml_type *type;
	for (int i = 0; (type = sn_ggml_type_at(i)); i++) {
		char name[64];
		sn_format(name, sizeof name, "%s/blocks", type->name);
		const sn_stored *blocks = sn_tensor_file_find(file, name);
		sn_format(name, sizeof name, "%s/values", type->name);
		const sn_stored *values = sn_tensor_file_find(file, name);
		if (!blocks) continue;
		assert_non_null(type->to_f32);
		assert_int_equal(values->count / type->block * type->bytes, (int64_t)blocks->size);
		float *out = malloc(values->size);
		uint8_t *unaligned = malloc(blocks->size + 1);
		memcpy(unaligned + 1, blocks->data, blocks->size);
		type->to_f32(unaligned + 1, out, values->count);
		if (memcmp(out, values->data, values->size) != 0) fail_msg("%s differs", type->name);
		free(unaligned);
		free(out);
		checked++;
	}
	assert_int_equal(checked, 14);
	sn_tensor_file_close(file);
}

static void convert(const char *type, const void *src, float *out, int64_t n)
{
	const sn_plain_type *found = sn_plain_type_find(type);
	assert_non_null(found);
	found->to_f32(src, out, n);
}

static void plain_types_convert(void **state)
{
	(void)state;
	float out[3];
	convert("F64", (double[]){ 1.5, -2, 1e300 }, out, 3);
	assert_true(out[0] == 1.5f && out[1] == -2 && out[2] > 3e38f);
	convert("I64", (int64_t[]){ -7, 1 << 20 }, out, 2);
	assert_true(out[0] == -7 && out[1] == 1 << 20);
	convert("I32", (int32_t[]){ -7 }, out, 1);
	assert_true(out[0] == -7);
	convert("U8", (uint8_t[]){ 255 }, out, 1);
	assert_true(out[0] == 255);
	convert("I16", (int16_t[]){ -32768 }, out, 1);
	assert_true(out[0] == -32768);
	convert("U64", (uint64_t[]){ UINT64_MAX }, out, 1);
	assert_true(out[0] == 0x1p64f);
	assert_null(sn_plain_type_find("F7"));
	assert_null(sn_plain_type_of(SN_DTYPE_NONE));
}

static void bad_headers_are_refused(void **state)
{
	static const struct {
		const char *header;
		size_t data;
		const char *words;
	} cases[] = {
		{ "{", 0, "line 1" },
		{ "[]", 0, "expected an object" },
		{ "{\"a\":{}}", 0, "a.dtype" },
		{ "{\"a\":{\"dtype\":\"F7\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "a.dtype|'F7'" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4,
		  "a.data_offsets|2 numbers of 4 bytes|found 4" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "a.shape" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 4, "a.shape" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0, "a.shape" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 4, "a.data_offsets|download" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,4]}}", 8, "a.data_offsets" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "'a'|offset 0|found 4" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 8, "4 bytes of data, found 8" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],"
		  "\"data_offsets\":[0,4]}}",
		  4, "offset 4|found 0" },
		{ "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_"
		  "offsets\":[0,0]}}",
		  0, "duplicate" },
		{ "{\"__metadata__\":{\"a\":1}}", 0, "__metadata__.a|a string" },
		{ "{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1,
		  "a.shape|8 dimensions" },
	};
	sn_ctx *ctx = test_ctx(state);
	for (int i = 0; i < SN_COUNT(cases); i++) {
		uint8_t bytes[1024];
		size_t size = make(bytes, cases[i].header, cases[i].data);
		sn_tensor_file *file;
		assert_true(sn_tensor_file_open_bytes(&file, ctx, "bad", bytes, size) != SN_OK);
		assert_null(file);
		char words[128];
		sn_format(words, sizeof words, "%s", cases[i].words);
		for (char *word = strtok(words, "|"); word; word = strtok(NULL, "|"))
			if (!strstr(sn_error(ctx), word)) fail_msg("case %d: expected '%s' in: %s", i, word, sn_error(ctx));
	}
}

static void scalars_empty_tensors_and_metadata_are_read(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	uint8_t bytes[1024];
	size_t size =
		make(bytes,
			 "{\"__metadata__\":{\"format\":\"pt\"},\"s\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]},"
			 "\"e\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[0,0]}}   ",
			 4);
	sn_tensor_file *file;
	assert_ok(ctx, sn_tensor_file_open_bytes(&file, ctx, "good", bytes, size));
	assert_int_equal(sn_tensor_file_count(file), 2);
	assert_int_equal(sn_tensor_file_find(file, "s")->count, 1);
	assert_int_equal(sn_tensor_file_find(file, "e")->size, 0);
	assert_string_equal(sn_tensor_file_meta(file, "format"), "pt");
	sn_tensor_file_close(file);
}

static void absurd_lengths_are_refused(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_tensor_file *file;
	static const uint64_t length[] = { 3, UINT64_MAX, UINT64_MAX - 7, 1ull << 40 };
	for (int i = 0; i < SN_COUNT(length); i++) {
		uint8_t bytes[10] = { 0 };
		memcpy(bytes, &length[i], 8);
		assert_int_equal(sn_tensor_file_open_bytes(&file, ctx, "bad", bytes, sizeof bytes), SN_EPARSE);
		assert_non_null(strstr(sn_error(ctx), "byte 0"));
	}
}

static void every_truncation_is_refused(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_map_file map;
	assert_ok(ctx, sn_map_open(&map, ctx, TINY "mha-untied/model.safetensors"));
	for (size_t n = 0; n < map.size; n += n < 4096 ? 1 : 61) {
		uint8_t *copy = malloc(n ? n : 1);
		memcpy(copy, map.data, n);
		sn_tensor_file *file;
		assert_int_equal(sn_tensor_file_open_bytes(&file, ctx, "cut", copy, n), SN_EPARSE);
		free(copy);
	}
	sn_map_close(ctx, &map);
}

static void write_shard(sn_ctx *ctx, const char *folder, const char *name, const char *tensor)
{
	char path[256], header[256];
	uint8_t bytes[512];
	sn_format(path, sizeof path, "%s/%s", folder, name);
	sn_format(header, sizeof header, "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", tensor);
	assert_ok(ctx, sn_write_file(ctx, path, bytes, make(bytes, header, 4)));
}

static sn_status open_index(sn_ctx *ctx, const char *folder, const char *json, sn_tensor_file **out)
{
	char path[256];
	sn_format(path, sizeof path, "%s/model.safetensors.index.json", folder);
	assert_ok(ctx, sn_write_file(ctx, path, json, strlen(json)));
	sn_status status = sn_tensor_file_open(out, ctx, path);
	unlink(path);
	return status;
}

static void shards_become_one(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	char folder[] = "/tmp/sonde_shards_XXXXXX", path[256];
	assert_non_null(mkdtemp(folder));
	write_shard(ctx, folder, "1.safetensors", "a");
	write_shard(ctx, folder, "2.safetensors", "b");
	sn_tensor_file *file;
	assert_ok(ctx,
			  open_index(ctx, folder, "{\"weight_map\":{\"b\":\"2.safetensors\",\"a\":\"1.safetensors\"}}", &file));
	assert_int_equal(sn_tensor_file_count(file), 2);
	assert_string_equal(sn_tensor_file_at(file, 0)->name, "a");
	assert_true(sn_ends_with(sn_tensor_file_find(file, "b")->path, "/2.safetensors"));
	sn_tensor_file_close(file);
	assert_int_equal(open_index(ctx, folder, "{\"weight_map\":{\"c\":\"2.safetensors\"}}", &file), SN_EPARSE);
	assert_non_null(strstr(sn_error(ctx), "weight_map.c"));
	assert_int_equal(open_index(ctx, folder, "{\"weight_map\":{\"b\":\"../2.safetensors\"}}", &file), SN_EPARSE);
	assert_int_equal(open_index(ctx, folder, "{\"weight_map\":{\"b\":\"3.safetensors\"}}", &file), SN_EIO);
	assert_int_equal(open_index(ctx, folder, "{}", &file), SN_ENOTFOUND);
	for (int i = 1; i <= 2; i++) {
		sn_format(path, sizeof path, "%s/%d.safetensors", folder, i);
		unlink(path);
	}
	rmdir(folder);
}

/* Rows first .. first + n - 1 of a tensor whose number (r, c) is 10 r + c. */
static void append_rows(sn_ctx *ctx, sn_safetensors_writer *w, int id, int first, int n)
{
	float rows[64][3];
	for (int r = 0; r < n; r++)
		for (int c = 0; c < 3; c++) rows[r][c] = (float)(10 * (first + r) + c);
	assert_ok(ctx, sn_safetensors_append(w, id, rows, n));
}

static void check_rows(const sn_stored *t, int n)
{
	assert_non_null(t);
	assert_int_equal(t->type->dtype, SN_F32);
	assert_int_equal(t->dim[0], n);
	assert_int_equal(t->dim[1], 3);
	for (int i = 0; i < 3 * n; i++) {
		float v;
		memcpy(&v, t->data + 4 * i, 4);
		assert_true(v == (float)(10 * (i / 3) + i % 3));
	}
}

static void interleaved_streams_are_read_back(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	char folder[] = "/tmp/sonde_write_XXXXXX", path[256];
	assert_non_null(mkdtemp(folder));
	sn_format(path, sizeof path, "%s/out.safetensors", folder);
	sn_safetensors_writer *w;
	int grows[2], fixed, bytes, scalar, empty;
	assert_ok(ctx, sn_safetensors_create(&w, ctx, path));
	assert_ok(ctx, sn_safetensors_put_meta(w, "model", "\"quoted\" \xd1\x91"));
	assert_ok(ctx, sn_safetensors_declare(w, "bytes", SN_U8, 1, (int64_t[]){ 5 }, &bytes));
	for (int i = 0; i < 2; i++)
		assert_ok(ctx,
				  sn_safetensors_declare(w, i ? "grows.1" : "grows.0", SN_F32, 2, (int64_t[]){ -1, 3 }, &grows[i]));
	assert_ok(ctx, sn_safetensors_declare(w, "fixed", SN_F32, 2, (int64_t[]){ 20, 3 }, &fixed));
	assert_ok(ctx, sn_safetensors_declare(w, "scalar", SN_F64, 0, NULL, &scalar));
	assert_ok(ctx, sn_safetensors_declare(w, "empty", SN_I32, 2, (int64_t[]){ -1, 7 }, &empty));
	for (int i = 0; i < 20; i++) {
		append_rows(ctx, w, grows[i % 2], i / 2 * 3, 3);
		append_rows(ctx, w, fixed, i, 1);
	}
	assert_ok(ctx, sn_safetensors_append(w, bytes, "abcde", 5));
	assert_ok(ctx, sn_safetensors_append(w, scalar, &(double){ 0.1 }, 1));
	assert_int_equal(access(path, F_OK), -1);
	assert_ok(ctx, sn_safetensors_commit(w));
	sn_safetensors_writer_close(w);
	sn_tensor_file *file;
	assert_ok(ctx, sn_tensor_file_open(&file, ctx, path));
	assert_int_equal(sn_tensor_file_count(file), 6);
	check_rows(sn_tensor_file_find(file, "grows.0"), 30);
	check_rows(sn_tensor_file_find(file, "grows.1"), 30);
	check_rows(sn_tensor_file_find(file, "fixed"), 20);
	assert_memory_equal(sn_tensor_file_find(file, "bytes")->data, "abcde", 5);
	assert_memory_equal(sn_tensor_file_find(file, "scalar")->data, &(double){ 0.1 }, 8);
	assert_int_equal(sn_tensor_file_find(file, "empty")->dim[0], 0);
	assert_string_equal(sn_tensor_file_meta(file, "model"), "\"quoted\" \xd1\x91");
	sn_tensor_file_close(file);
	unlink(path);
	assert_int_equal(rmdir(folder), 0); /* nothing else was left there */
}

/* Three streams of int32 counting up, in pieces of 1 to 9,000 numbers: some gathered in memory, some written at
 * once. */
static void streams_of_all_sizes_are_read_back(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	char path[] = "/tmp/sonde_write_XXXXXX", *name[] = { "a", "b", "c" };
	close(mkstemp(path));
	sn_safetensors_writer *w;
	int id[3];
	int32_t n[3] = { 0 };
	static int32_t piece[9000];
	assert_ok(ctx, sn_safetensors_create(&w, ctx, path));
	for (int k = 0; k < 3; k++)
		assert_ok(ctx, sn_safetensors_declare(w, name[k], SN_I32, 1, (int64_t[]){ -1 }, &id[k]));
	sn_rng rng = sn_rng_make(1, 2);
	for (int i = 0; i < 200; i++) {
		int k = (int)sn_rng_below(&rng, 3), m = 1 + (int)sn_rng_below(&rng, i % 4 ? 100 : SN_COUNT(piece));
		for (int j = 0; j < m; j++) piece[j] = n[k] + j;
		assert_ok(ctx, sn_safetensors_append(w, id[k], piece, m));
		n[k] += m;
	}
	assert_ok(ctx, sn_safetensors_commit(w));
	sn_safetensors_writer_close(w);
	sn_tensor_file *file;
	assert_ok(ctx, sn_tensor_file_open(&file, ctx, path));
	for (int k = 0; k < 3; k++) {
		const sn_stored *t = sn_tensor_file_find(file, name[k]);
		assert_int_equal(t->count, n[k]);
		for (int32_t i = 0; i < n[k]; i++) assert_int_equal(sn_load_u32(t->data + 4 * (size_t)i), i);
	}
	sn_tensor_file_close(file);
	unlink(path);
}

static void wrong_use_of_the_writer_is_refused(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	char folder[] = "/tmp/sonde_write_XXXXXX", path[256];
	assert_non_null(mkdtemp(folder));
	sn_format(path, sizeof path, "%s/out.safetensors", folder);
	sn_safetensors_writer *w;
	int id, other;
	assert_ok(ctx, sn_safetensors_create(&w, ctx, path));
	assert_ok(ctx, sn_safetensors_declare(w, "a", SN_F32, 1, (int64_t[]){ 2 }, &id));
	assert_ok(ctx, sn_safetensors_declare(w, "g", SN_F32, 1, (int64_t[]){ -1 }, &other));
	assert_int_equal(sn_safetensors_declare(w, "a", SN_F32, 1, (int64_t[]){ 2 }, &other), SN_EARG);
	assert_int_equal(sn_safetensors_declare(w, "b", SN_F32, 2, (int64_t[]){ 2, -1 }, &other), SN_EARG);
	assert_int_equal(sn_safetensors_declare(w, "b", SN_DTYPE_NONE, 0, NULL, &other), SN_EARG);
	assert_int_equal(sn_safetensors_declare(w, "b", SN_F32, 2, (int64_t[]){ INT64_MAX, 2 }, &other), SN_EARG);
	assert_int_equal(sn_safetensors_put_meta(w, "k", "\xff"), SN_EARG);
	assert_ok(ctx, sn_safetensors_append(w, id, (float[]){ 1 }, 1));
	assert_int_equal(sn_safetensors_declare(w, "c", SN_F32, 0, NULL, &other), SN_EARG);
	assert_int_equal(sn_safetensors_append(w, id, (float[]){ 1, 2 }, 2), SN_ESHAPE);
	assert_int_equal(sn_safetensors_append(w, 7, (float[]){ 1 }, 1), SN_EARG);
	assert_int_equal(sn_safetensors_commit(w), SN_ESHAPE);
	assert_non_null(strstr(sn_error(ctx), "'a': expected 2 rows, found 1"));
	sn_safetensors_writer_close(w);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_file_is_read),
		cmocka_unit_test(dequantisation_is_bit_exact),
		cmocka_unit_test(plain_types_convert),
		cmocka_unit_test(bad_headers_are_refused),
		cmocka_unit_test(scalars_empty_tensors_and_metadata_are_read),
		cmocka_unit_test(absurd_lengths_are_refused),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(shards_become_one),
		cmocka_unit_test(interleaved_streams_are_read_back),
		cmocka_unit_test(streams_of_all_sizes_are_read_back),
		cmocka_unit_test(wrong_use_of_the_writer_is_refused),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
