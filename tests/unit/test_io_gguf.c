/* GGUF files: golden ones read right, damaged ones refused with a clear error and without harm. */
#include "common/test.h"

#include <math.h>
#include <string.h>

#include "io/gguf.h"

#define TINY SN_TESTS "/golden/tiny/gqa-tied/model.gguf"

/* Grows a file in memory, front to back. */
typedef struct maker {
	uint8_t bytes[4096];
	size_t size;
} maker;

static void put(maker *m, const void *p, size_t n)
{
	assert_true(m->size + n <= sizeof m->bytes);
	memcpy(m->bytes + m->size, p, n);
	m->size += n;
}

static void put_u32(maker *m, uint32_t v) { put(m, &v, sizeof v); }
static void put_u64(maker *m, uint64_t v) { put(m, &v, sizeof v); }

static void put_text(maker *m, const char *text)
{
	put_u64(m, strlen(text));
	put(m, text, strlen(text));
}

static void put_head(maker *m, uint32_t version, uint64_t tensors, uint64_t keys)
{
	m->size = 0;
	put(m, "GGUF", 4);
	put_u32(m, version);
	put_u64(m, tensors);
	put_u64(m, keys);
}

static void put_tensor(maker *m, const char *name, uint32_t type, uint64_t dim, uint64_t offset)
{
	put_text(m, name);
	put_u32(m, 1);
	put_u64(m, dim);
	put_u32(m, type);
	put_u64(m, offset);
}

static void put_data(maker *m, size_t n)
{
	static const uint8_t zero[256];
	put(m, zero, (32 - m->size % 32) % 32);
	put(m, zero, n);
}

/* Opens the bytes, which must fail with the status and a text holding every word ("a|b"). */
static void refuse(void **state, const maker *m, sn_status status, const char *words)
{
	sn_ctx *ctx = test_ctx(state);
	sn_gguf *file;
	assert_int_equal(sn_gguf_open_bytes(&file, ctx, "bad.gguf", m->bytes, m->size), status);
	assert_null(file);
	assert_non_null(strstr(sn_error(ctx), "bad.gguf"));
	char copy[256];
	sn_format(copy, sizeof copy, "%s", words);
	for (char *word = strtok(copy, "|"); word; word = strtok(NULL, "|"))
		if (!strstr(sn_error(ctx), word)) fail_msg("expected '%s' in: %s", word, sn_error(ctx));
}

static void golden_file_has_its_keys_and_tensors(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_gguf *file;
	assert_ok(ctx, sn_gguf_open(&file, ctx, TINY));
	sn_slice text;
	int64_t blocks, absent;
	assert_ok(ctx, sn_gguf_text(file, "general.architecture", &text));
	assert_int_equal(text.size, 5);
	assert_memory_equal(text.data, "llama", 5);
	assert_ok(ctx, sn_gguf_i64(file, "llama.block_count", &blocks));
	assert_int_equal(blocks, 2);
	assert_ok(ctx, sn_gguf_i64_or(file, "llama.absent", -3, &absent));
	assert_int_equal(absent, -3);
	const sn_gguf_tensor *t = sn_gguf_tensor_find(file, "token_embd.weight");
	assert_non_null(t);
	assert_int_equal(t->ndim, 2);
	assert_int_equal(t->dim[0], 16);
	assert_int_equal(t->dim[1], 286);
	assert_int_equal(t->size, 16 * 286 * 4);
	assert_null(sn_gguf_tensor_find(file, "token_embd"));
	for (int64_t i = 0; i < sn_gguf_tensor_count(file); i++)
		assert_ptr_equal(sn_gguf_tensor_find(file, sn_gguf_tensor_at(file, i)->name), sn_gguf_tensor_at(file, i));
	sn_gguf_close(file);
}

static void arrays_come_out_whole(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_gguf *file;
	sn_arena *arena;
	assert_ok(ctx, sn_gguf_open(&file, ctx, TINY));
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	sn_slice *token;
	int32_t *type;
	int64_t n, n_type;
	assert_ok(ctx, sn_gguf_texts(file, "tokenizer.ggml.tokens", arena, &token, &n));
	assert_ok(ctx, sn_gguf_i32s(file, "tokenizer.ggml.token_type", arena, &type, &n_type));
	assert_int_equal(n, 286);
	assert_int_equal(n_type, 286);
	for (int64_t i = 0; i < n; i++) assert_true(token[i].size > 0 && sn_utf8_check(token[i].data, token[i].size) < 0);
	assert_int_equal(sn_gguf_i32s(file, "tokenizer.ggml.tokens", arena, &type, &n), SN_EPARSE);
	assert_non_null(strstr(sn_error(ctx), "tokenizer.ggml.tokens"));
	assert_int_equal(sn_gguf_texts(file, "general.architecture", arena, &token, &n), SN_EPARSE);
	assert_int_equal(sn_gguf_texts(file, "no.such.key", arena, &token, &n), SN_ENOTFOUND);
	assert_non_null(strstr(sn_error(ctx), "no.such.key"));
	sn_arena_close(arena);
	sn_gguf_close(file);
}

static void put_key(maker *m, const char *name, uint32_t kind, const void *value, size_t size)
{
	put_text(m, name);
	put_u32(m, kind);
	put(m, value, size);
}

static void every_kind_of_value_is_read(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	maker m;
	put_head(&m, 2, 0, 6);
	put_key(&m, "i8", 1, &(int8_t){ -5 }, 1);
	put_key(&m, "u16", 2, &(uint16_t){ 65535 }, 2);
	put_key(&m, "u64", 10, &(uint64_t){ UINT64_MAX }, 8);
	put_key(&m, "f32", 6, &(float){ 0.25f }, 4);
	put_key(&m, "f64", 12, &(double){ 1e300 }, 8);
	put_key(&m, "yes", 7, &(uint8_t){ 1 }, 1);
	sn_gguf *file;
	assert_ok(ctx, sn_gguf_open_bytes(&file, ctx, "kinds", m.bytes, m.size));
	int64_t i;
	double f;
	bool b = false;
	assert_ok(ctx, sn_gguf_i64(file, "i8", &i));
	assert_int_equal(i, -5);
	assert_ok(ctx, sn_gguf_f64(file, "u16", &f));
	assert_true(f == 65535);
	assert_int_equal(sn_gguf_i64(file, "u64", &i), SN_EPARSE); /* does not fit */
	assert_ok(ctx, sn_gguf_f64(file, "f32", &f));
	assert_true(f == 0.25);
	assert_ok(ctx, sn_gguf_f64(file, "f64", &f));
	assert_true(f == 1e300);
	assert_int_equal(sn_gguf_i64(file, "f32", &i), SN_EPARSE);
	assert_ok(ctx, sn_gguf_bool(file, "yes", &b));
	assert_true(b);
	sn_gguf_close(file);
}

static void absurd_headers_are_refused_before_any_allocation(void **state)
{
	maker m;
	put_head(&m, 3, UINT64_MAX, 0);
	refuse(state, &m, SN_EPARSE, "number of tensors|byte 8");
	put_head(&m, 3, 0, 1ull << 60);
	refuse(state, &m, SN_EPARSE, "number of keys|byte 16");
	put_head(&m, 3, 0, 1);
	put_u64(&m, UINT64_MAX);
	put_data(&m, 64);
	refuse(state, &m, SN_EPARSE, "byte 32|name of a key");
	put_head(&m, 3, 0, 1);
	put_key(&m, "k", 9, (uint32_t[]){ 5, 0xffffffff, 0xffffffff }, 12);
	refuse(state, &m, SN_EPARSE, "'k'|array");
	put_head(&m, 3, 0, 1);
	put_key(&m, "k", 9, (uint32_t[]){ 8, 0xfffffff, 0 }, 12);
	refuse(state, &m, SN_EPARSE, "'k'|array");
	put_head(&m, 3, 0, 1);
	put_key(&m, "k", 77, "", 1);
	refuse(state, &m, SN_EPARSE, "'k'|found 77");
	put_head(&m, 1, 0, 0);
	refuse(state, &m, SN_EPARSE, "version 2 or 3, found 1");
	put_head(&m, 0x03000000, 0, 0);
	refuse(state, &m, SN_EPARSE, "big-endian");
	m.bytes[0] = 'X';
	refuse(state, &m, SN_EPARSE, "byte 0|GGUF");
}

static void bad_tensors_are_refused(void **state)
{
	static const struct {
		uint32_t type;
		uint64_t dim, offset;
		sn_status status;
		const char *words;
	} cases[] = {
		{ 0, 4, 16, SN_EPARSE, "'t'|multiple of 32|16" },
		{ 0, 1000, 0, SN_EPARSE, "'t'|4000 bytes" },
		{ 0, 4, 1ull << 62, SN_EPARSE, "'t'|offset" },
		{ 0, 0, 0, SN_EPARSE, "'t'|size from 1" },
		{ 0, 1ull << 63, 0, SN_EPARSE, "'t'|size from 1" },
		{ 0, 1ull << 62, 0, SN_EPARSE, "'t'|fewer bytes than 2^64" },
		{ 3, 33, 0, SN_EPARSE, "'t'|Q4_1|multiple of 32, found 33" },
		{ 99, 4, 0, SN_EUNKNOWN, "'t'|99" },
	};
	for (int i = 0; i < SN_COUNT(cases); i++) {
		maker m;
		put_head(&m, 3, 1, 0);
		put_tensor(&m, "t", cases[i].type, cases[i].dim, cases[i].offset);
		put_data(&m, 64);
		refuse(state, &m, cases[i].status, cases[i].words);
	}
}

static void doubles_and_overlaps_are_refused(void **state)
{
	maker m;
	put_head(&m, 3, 2, 0);
	put_tensor(&m, "t", 0, 4, 0);
	put_tensor(&m, "t", 0, 4, 32);
	put_data(&m, 64);
	refuse(state, &m, SN_EPARSE, "'t'|twice");
	put_head(&m, 3, 2, 0);
	put_tensor(&m, "a", 0, 16, 32);
	put_tensor(&m, "b", 0, 16, 0);
	put_data(&m, 128);
	refuse(state, &m, SN_EPARSE, "overlap|'a'|'b'");
	put_head(&m, 3, 0, 2);
	put_key(&m, "k", 7, "", 1);
	put_key(&m, "k", 7, "", 1);
	refuse(state, &m, SN_EPARSE, "'k'|twice");
	put_head(&m, 3, 0, 1);
	put_key(&m, "general.alignment", 4, &(uint32_t){ 3 }, 4);
	refuse(state, &m, SN_EPARSE, "general.alignment|power of two");
}

/* The copy is exactly as long as the cut, so that the address sanitizer sees any byte read behind it. */
static void every_truncation_is_refused(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_map_file map;
	assert_ok(ctx, sn_map_open(&map, ctx, TINY));
	size_t step = 1;
	for (size_t n = 0; n < map.size; n += step) {
		uint8_t *copy = malloc(n ? n : 1);
		memcpy(copy, map.data, n);
		sn_gguf *file;
		assert_int_equal(sn_gguf_open_bytes(&file, ctx, "cut", copy, n), SN_EPARSE);
		assert_non_null(strstr(sn_error(ctx), "cut"));
		free(copy);
		if (n > 16384) step = 97; /* tensor data: all alike */
	}
	sn_map_close(ctx, &map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_file_has_its_keys_and_tensors),
		cmocka_unit_test(arrays_come_out_whole),
		cmocka_unit_test(every_kind_of_value_is_read),
		cmocka_unit_test(absurd_headers_are_refused_before_any_allocation),
		cmocka_unit_test(bad_tensors_are_refused),
		cmocka_unit_test(doubles_and_overlaps_are_refused),
		cmocka_unit_test(every_truncation_is_refused),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
