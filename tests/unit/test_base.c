/* Arenas, numbers, UTF-8, draws, files. */
#include "common/test.h"

#include <locale.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

static void arena_gives_zeroed_aligned_memory_again_after_reset(void **state)
{
	sn_arena *a;
	assert_int_equal(sn_arena_open(&a, test_ctx(state)), SN_OK);
	sn_mark m = sn_arena_mark(a);
	for (int round = 0; round < 2; round++) {
		for (size_t size = 1; size < 300000; size = size * 3 + 1) {
			unsigned char *p = sn_arena_take(a, size);
			assert_non_null(p);
			assert_int_equal((uintptr_t)p % 64, 0);
			for (size_t i = 0; i < size; i++) assert_int_equal(p[i], 0);
			memset(p, 0xff, size);
		}
		sn_arena_reset(a, m);
	}
	assert_null(SN_TAKE(a, double, SIZE_MAX / 4));
	assert_int_equal(sn_fail(test_ctx(state), SN_EARG, "a\nb"), SN_EARG);
	assert_string_equal(sn_error(test_ctx(state)), "a b");
	sn_arena_close(a);
}

static void numbers_ignore_the_locale(void **state)
{
	(void)state;
	setlocale(LC_ALL, "ru_RU.UTF-8");   /* no effect where that locale is missing; the C locale must win either way */
	double x;
	assert_true(sn_parse_f64("1.5", &x));
	assert_true(x > 1.4999 && x < 1.5001);
	assert_false(sn_parse_f64("1.5x", &x));
	assert_false(sn_parse_f64("", &x));
	char buf[32];
	sn_format(buf, sizeof buf, "%.2f", 2.25);
	assert_string_equal(buf, "2.25");
	int64_t i;
	assert_true(sn_parse_i64("-12", &i) && i == -12);
	assert_false(sn_parse_i64("99999999999999999999", &i));
	setlocale(LC_ALL, "C");
}

static void utf8_is_checked_and_round_trips(void **state)
{
	(void)state;
	static const char *const bad[] = { "\x80", "a\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82" };
	for (int i = 0; i < SN_COUNT(bad); i++) assert_true(sn_utf8_check(bad[i], strlen(bad[i])) >= 0);
	for (uint32_t code = 1; code < 0x110000; code += code < 0x3000 ? 1 : 977) {
		if (code >= 0xd800 && code < 0xe000) continue;
		char s[4];
		size_t n = (size_t)sn_utf8_put(code, s), pos = 0;
		assert_int_equal(sn_utf8_check(s, n), -1);
		assert_int_equal(sn_utf8_next(s, n, &pos), code);
		assert_int_equal(pos, n);
	}
}

static void draws_have_their_moments_and_do_not_depend_on_order(void **state)
{
	(void)state;
	sn_rng a = sn_rng_make(1, 2), b = sn_rng_make(1, 2);
	double sum = 0, square = 0;
	enum { N = 20000 };
	for (int i = 0; i < N; i++) {
		double x = sn_rng_normal(&a);
		assert_true(x == sn_rng_normal(&b));
		sum += x;
		square += x * x;
	}
	assert_true(fabs(sum / N) < 4 / sqrt(N));
	assert_true(fabs(square / N - 1) < 4 * sqrt(2.0 / N));
	int64_t perm[100], seen[100] = { 0 };
	sn_rng_permute(&a, perm, 100);
	for (int i = 0; i < 100; i++) seen[perm[i]]++;
	for (int i = 0; i < 100; i++) assert_int_equal(seen[i], 1);
}

static void files_appear_only_when_committed(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	char path[] = "/tmp/sonde_test_file_XXXXXX";
	close(mkstemp(path));
	unlink(path);
	sn_file *f;
	assert_int_equal(sn_file_create(&f, ctx, path), SN_OK);
	assert_int_equal(sn_file_write(f, "abc", 3), SN_OK);
	sn_file_close(f);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(sn_write_file(ctx, path, "abc", 3), SN_OK);
	char hex[65];
	assert_int_equal(sn_hash_file(ctx, path, hex), SN_OK);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sn_map_file map;
	assert_int_equal(sn_map_open(&map, ctx, path), SN_OK);
	assert_int_equal(map.size, 3);
	sn_map_close(ctx, &map);
	unlink(path);
	assert_int_equal(sn_map_open(&map, ctx, path), SN_EIO);
	assert_non_null(strstr(sn_error(ctx), path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arena_gives_zeroed_aligned_memory_again_after_reset),
		cmocka_unit_test(numbers_ignore_the_locale),
		cmocka_unit_test(utf8_is_checked_and_round_trips),
		cmocka_unit_test(draws_have_their_moments_and_do_not_depend_on_order),
		cmocka_unit_test(files_appear_only_when_committed),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
