/* ZIP archives: entries found where the directory says, 64-bit ones too; every lie about a place is refused. */
#include "common/test.h"

#include <string.h>

#include "io/zip.h"

typedef struct maker {
	uint8_t bytes[2048];
	size_t size, directory;
} maker;

static void put(maker *m, const void *p, size_t n)
{
	assert_true(m->size + n <= sizeof m->bytes);
	memcpy(m->bytes + m->size, p, n);
	m->size += n;
}

static void put_u16(maker *m, unsigned v) { put(m, &(uint16_t){ (uint16_t)v }, 2); }
static void put_u32(maker *m, uint32_t v) { put(m, &v, 4); }
static void put_u64(maker *m, uint64_t v) { put(m, &v, 8); }
static void put_zeros(maker *m, size_t n) { put(m, (const uint8_t[64]){ 0 }, n); }

/* A local header with pad bytes of extra fields, then the text. Returns its place. */
static uint32_t put_local(maker *m, const char *name, unsigned pad, const char *text)
{
	uint32_t at = (uint32_t)m->size;
	put_u32(m, 0x04034b50);
	put_zeros(m, 22);
	put_u16(m, (unsigned)strlen(name));
	put_u16(m, pad);
	put(m, name, strlen(name));
	put_zeros(m, pad);
	put(m, text, strlen(text));
	return at;
}

typedef struct central {
	const char *name;
	unsigned flags, method;
	uint32_t size, stored, offset;
	uint64_t wide[3]; /* what extra field 1 holds */
	unsigned n_wide;
} central;

static void put_central(maker *m, central c)
{
	put_u32(m, 0x02014b50);
	put_zeros(m, 4);
	put_u16(m, c.flags);
	put_u16(m, c.method);
	put_zeros(m, 8);
	put_u32(m, c.stored);
	put_u32(m, c.size);
	put_u16(m, (unsigned)strlen(c.name));
	put_u16(m, c.n_wide ? 8 + 4 + 8 * c.n_wide : 0);
	put_zeros(m, 10);
	put_u32(m, c.offset);
	put(m, c.name, strlen(c.name));
	if (!c.n_wide) return;
	put_u16(m, 0x7777); /* somebody's own field, passed over */
	put_u16(m, 4);
	put_zeros(m, 4);
	put_u16(m, 1);
	put_u16(m, 8 * c.n_wide);
	for (unsigned i = 0; i < c.n_wide; i++) put_u64(m, c.wide[i]);
}

static void put_end(maker *m, unsigned n, const char *comment)
{
	uint32_t size = (uint32_t)(m->size - m->directory);
	put_u32(m, 0x06054b50);
	put_zeros(m, 4);
	put_u16(m, n);
	put_u16(m, n);
	put_u32(m, size);
	put_u32(m, (uint32_t)m->directory);
	put_u16(m, (unsigned)strlen(comment));
	put(m, comment, strlen(comment));
}

static void put_end64(maker *m, uint64_t n, uint64_t directory, uint64_t shift)
{
	uint64_t at = m->size, size = m->size - m->directory;
	put_u32(m, 0x06064b50);
	put_u64(m, 44);
	put_zeros(m, 12);
	put_u64(m, n);
	put_u64(m, n);
	put_u64(m, size);
	put_u64(m, directory);
	put_u32(m, 0x07064b50);
	put_u32(m, 0);
	put_u64(m, at + shift);
	put_u32(m, 1);
	put_u32(m, 0x06054b50);
	put_zeros(m, 4);
	put_u32(m, 0xffffffff);
	put_u32(m, 0xffffffff);
	put_u32(m, 0xffffffff);
	put_u16(m, 0);
}

static void put_two_locals(maker *m, uint32_t at[2])
{
	m->size = 0;
	at[0] = put_local(m, "b/two", 0, "22");
	at[1] = put_local(m, "a/one", 31, "four");
	m->directory = m->size;
}

static sn_status read_zip(sn_ctx *ctx, const maker *m, sn_zip *zip, sn_arena **arena)
{
	assert_ok(ctx, sn_arena_open(arena, ctx));
	return sn_zip_read(zip, *arena, "z", m->bytes, m->size);
}

static void check_two(void **state, const maker *m)
{
	sn_ctx *ctx = test_ctx(state);
	sn_zip zip;
	sn_arena *arena;
	assert_ok(ctx, read_zip(ctx, m, &zip, &arena));
	assert_int_equal(zip.n, 2);
	assert_int_equal(sn_zip_find(&zip, "a/one")->size, 4);
	assert_memory_equal(sn_zip_find(&zip, "a/one")->data, "four", 4);
	assert_memory_equal(sn_zip_find(&zip, "b/two")->data, "22", 2);
	assert_null(sn_zip_find(&zip, "a/on"));
	sn_arena_close(arena);
}

static void entries_are_found(void **state)
{
	maker m;
	uint32_t at[2];
	put_two_locals(&m, at);
	put_central(&m, (central){ .name = "b/two", .size = 2, .stored = 2, .offset = at[0] });
	put_central(&m, (central){ .name = "a/one", .size = 4, .stored = 4, .offset = at[1] });
	put_end(&m, 2, "a comment with PK\5\6 in it");
	check_two(state, &m);
}

static void numbers_of_64_bits_are_read(void **state)
{
	const uint32_t wide = 0xffffffff;
	maker m;
	uint32_t at[2];
	put_two_locals(&m, at);
	put_central(&m, (central){ "b/two", 0, 0, wide, wide, wide, { 2, 2, at[0] }, 3 });
	put_central(&m, (central){ "a/one", 0, 0, 4, 4, wide, { at[1] }, 1 });
	put_end64(&m, 2, m.directory, 0);
	check_two(state, &m);
}

static void refuse(void **state, const maker *m, sn_status status, const char *words)
{
	sn_ctx *ctx = test_ctx(state);
	sn_zip zip;
	sn_arena *arena;
	sn_status found = read_zip(ctx, m, &zip, &arena);
	if (found != status || !strstr(sn_error(ctx), words)) fail_msg("expected '%s' in: %s", words, sn_error(ctx));
	sn_arena_close(arena);
}

static void lies_about_entries_are_refused(void **state)
{
	static const struct {
		central c;
		sn_status status;
		const char *words;
	} cases[] = {
		{ { "a", 0, 8, 2, 2, 0, { 0 }, 0 }, SN_EUNKNOWN, "entry 'a' of the ZIP archive is compressed" },
		{ { "a", 1, 0, 2, 2, 0, { 0 }, 0 }, SN_EUNKNOWN, "is encrypted" },
		{ { "a", 0, 0, 2, 3, 0, { 0 }, 0 }, SN_EPARSE, "an entry that ends before the directory" },
		{ { "a", 0, 0, 3, 3, 0, { 0 }, 0 }, SN_OK, "" }, /* into the next entry: harmless */
		{ { "a", 0, 0, 900, 900, 0, { 0 }, 0 }, SN_EPARSE, "an entry that ends before the directory" },
		{ { "a", 0, 0, 2, 2, 1, { 0 }, 0 }, SN_EPARSE, "byte 1: expected the header of an entry" },
		{ { "a", 0, 0, 2, 2, 0xfffffff0, { 0 }, 0 }, SN_EPARSE, "the header of an entry" },
		{ { "a", 0, 0, 2, 2, 0xffffffff, { UINT64_MAX }, 1 }, SN_EPARSE, "the header of an entry" },
		{ { "a", 0, 0, 0xffffffff, 0xffffffff, 0, { UINT64_MAX, UINT64_MAX }, 2 }, SN_EPARSE, "an entry that ends" },
		{ { "a", 0, 0, 0xffffffff, 0xffffffff, 0, { 2 }, 1 }, SN_EPARSE, "whole extra fields" },
	};
	for (int i = 0; i < SN_COUNT(cases); i++) {
		maker m;
		uint32_t at[2];
		put_two_locals(&m, at);
		put_central(&m, cases[i].c);
		put_end(&m, 1, "");
		refuse(state, &m, cases[i].status, cases[i].words);
	}
}

static void lies_about_the_directory_are_refused(void **state)
{
	maker m;
	uint32_t at[2];
	central c = { .name = "b/two", .size = 2, .stored = 2 };
	put_two_locals(&m, at);
	put_central(&m, c);
	put_central(&m, c);
	put_end(&m, 2, "");
	refuse(state, &m, SN_EPARSE, "'b/two' of the ZIP archive is there twice");
	put_two_locals(&m, at);
	put_central(&m, c);
	put_end(&m, 2, "");
	refuse(state, &m, SN_EPARSE, "as many entries in the directory as its end says");
	put_two_locals(&m, at);
	put_zeros(&m, 46);
	put_end(&m, 1, "");
	refuse(state, &m, SN_EPARSE, "an entry of the directory");
	put_two_locals(&m, at);
	put_central(&m, c);
	put_end64(&m, 1, UINT64_MAX - 4, 0);
	refuse(state, &m, SN_EPARSE, "the directory before the end record");
	put_two_locals(&m, at);
	put_central(&m, c);
	put_end64(&m, UINT64_MAX, m.directory, 0);
	refuse(state, &m, SN_EPARSE, "as many entries");
	put_two_locals(&m, at);
	put_central(&m, c);
	put_end64(&m, 1, m.directory, 1);
	refuse(state, &m, SN_EPARSE, "the 64-bit end record");
	put_two_locals(&m, at);
	refuse(state, &m, SN_EPARSE, "the end record");
	m.size = 0;
	refuse(state, &m, SN_EPARSE, "the end record");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_are_found),
		cmocka_unit_test(numbers_of_64_bits_are_read),
		cmocka_unit_test(lies_about_entries_are_refused),
		cmocka_unit_test(lies_about_the_directory_are_refused),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
