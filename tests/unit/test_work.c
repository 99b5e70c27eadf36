/* Lists of work under a checkpoint: what was finished is not computed again, whatever was cut off; identities that
 * differ are told; partial files are believed only as far as they go. */
#include "common/test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/checkpoint.h"
#include "base/work.h"

enum { UNITS = 23, SIZE = 3 };

typedef struct counted { int runs, fail_at; } counted;

static sn_status square(sn_ctx *ctx, void *arg, int64_t i, void *result)
{
	counted *c = arg;
	if (i == c->fail_at) return sn_fail(ctx, SN_ENUMERIC, "unit %d fails", (int)i);
	c->runs++;
	for (int k = 0; k < SIZE; k++) ((int64_t *)result)[k] = i * i + k;
	return SN_OK;
}

static const char *path_of(const char *name)
{
	static char path[128];
	snprintf(path, sizeof path, "/tmp/sonde_work_%d_%s", (int)getpid(), name);
	return path;
}

/* A context as a command opens it: its own checkpoint. */
static sn_ctx *open_run(bool resume)
{
	sn_ctx *ctx;
	assert_int_equal(sn_ctx_open(&ctx, NULL), SN_OK);
	assert_ok(ctx, sn_checkpoint_attach(ctx, path_of("checkpoint"), resume));
	assert_ok(ctx, sn_checkpoint_identify(ctx, "seed", "1"));
	return ctx;
}

static sn_status run_list(sn_ctx *ctx, counted *c, int64_t (*out)[SIZE])
{
	memset(out, 0xff, UNITS * sizeof *out);
	return sn_work_run(ctx, &(sn_work){ .what = "squares", .n = UNITS, .size = sizeof *out, .run = square, .arg = c,
	                                    .result = out });
}

static void check_squares(int64_t (*out)[SIZE])
{
	for (int i = 0; i < UNITS; i++)
		for (int k = 0; k < SIZE; k++) assert_int_equal(out[i][k], (int64_t)i * i + k);
}

static void finished_units_are_not_run_again(void **state)
{
	(void)state;
	int64_t out[UNITS][SIZE];
	counted c = { .fail_at = 9 };
	sn_ctx *ctx = open_run(false);
	assert_int_equal(run_list(ctx, &c, out), SN_ENUMERIC);
	assert_int_equal(c.runs, 9);
	sn_ctx_close(ctx);
	ctx = open_run(true);
	c = (counted){ .fail_at = -1 };
	assert_ok(ctx, run_list(ctx, &c, out));
	assert_int_equal(c.runs, UNITS - 9);
	check_squares(out);
	c.runs = 0;   /* a second list of the same name is another list */
	assert_ok(ctx, run_list(ctx, &c, out));
	assert_int_equal(c.runs, UNITS);
	sn_checkpoint_remove(ctx);
	assert_int_equal(access(path_of("checkpoint"), F_OK), -1);
	sn_ctx_close(ctx);
}

static void overwriting_starts_anew(void **state)
{
	(void)state;
	int64_t out[UNITS][SIZE];
	counted c = { .fail_at = -1 };
	sn_ctx *ctx = open_run(false);
	assert_ok(ctx, run_list(ctx, &c, out));
	sn_ctx_close(ctx);
	ctx = open_run(false);
	c.runs = 0;
	assert_ok(ctx, run_list(ctx, &c, out));
	assert_int_equal(c.runs, UNITS);
	sn_checkpoint_remove(ctx);
	sn_ctx_close(ctx);
}

static void copy_cut(const char *from, const char *to, long size, long flip)
{
	char bytes[8192];
	FILE *f = fopen(from, "rb");
	assert_non_null(f);
	size_t n = fread(bytes, 1, sizeof bytes, f);
	fclose(f);
	assert_true(n < sizeof bytes && (size_t)size <= n);
	if (flip >= 0) bytes[flip] ^= 0x10;
	f = fopen(to, "wb");
	assert_int_equal(fwrite(bytes, 1, (size_t)size, f), size);
	fclose(f);
}

static long size_of_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	long n = ftell(f);
	fclose(f);
	return n;
}

/* Cut anywhere, or with a bit turned anywhere, the file yields the units before that place and never a wrong one. */
static void torn_records_are_cut_off(void **state)
{
	(void)state;
	int64_t out[UNITS][SIZE];
	counted c = { .fail_at = -1 };
	char whole[128];
	strcpy(whole, path_of("whole"));
	sn_ctx *ctx = open_run(false);
	assert_ok(ctx, run_list(ctx, &c, out));
	sn_ctx_close(ctx);
	rename(path_of("checkpoint"), whole);
	long n = size_of_file(whole);
	int last = 0;
	for (long size = 8; size <= n; size += 5) {
		for (int flip = 0; flip < 2; flip++) {
			copy_cut(whole, path_of("checkpoint"), flip ? n : size, flip ? size : -1);
			ctx = open_run(true);
			c.runs = 0;
			assert_ok(ctx, run_list(ctx, &c, out));
			check_squares(out);
			assert_true(UNITS - c.runs >= last && c.runs >= (flip || size < n));
			sn_checkpoint_remove(ctx);
			sn_ctx_close(ctx);
			if (size >= n) break;
		}
		last = UNITS - c.runs;
	}
	assert_true(last >= UNITS - 1);
	unlink(whole);
}

static void another_run_is_told(void **state)
{
	(void)state;
	int64_t out[UNITS][SIZE];
	counted c = { .fail_at = 4 };
	sn_ctx *ctx = open_run(false);
	assert_int_equal(run_list(ctx, &c, out), SN_ENUMERIC);
	sn_ctx_close(ctx);
	assert_int_equal(sn_ctx_open(&ctx, NULL), SN_OK);
	assert_ok(ctx, sn_checkpoint_attach(ctx, path_of("checkpoint"), true));
	assert_int_equal(sn_checkpoint_identify(ctx, "seed", "2"), SN_EARG);
	assert_non_null(strstr(sn_error(ctx), "its seed is \"1\", here it is \"2\""));
	sn_ctx *second;
	assert_int_equal(sn_ctx_open(&second, NULL), SN_OK);
	assert_int_equal(sn_checkpoint_attach(second, path_of("checkpoint"), true), SN_EIO);
	assert_non_null(strstr(sn_error(second), "another process"));
	sn_ctx_close(second);
	sn_checkpoint_remove(ctx);
	sn_ctx_close(ctx);
}

static void partial_files_grow_in_place(void **state)
{
	(void)state;
	char target[128];
	strcpy(target, path_of("target"));
	sn_file *file;
	sn_ctx *ctx = open_run(false);
	assert_ok(ctx, sn_checkpoint_partial(&file, ctx, target));
	assert_ok(ctx, sn_file_write(file, "abc", 3));
	assert_ok(ctx, sn_checkpoint_mark(ctx, 5, 2, file));
	sn_file_close(file);
	sn_ctx_close(ctx);
	ctx = open_run(true);
	assert_ok(ctx, sn_checkpoint_partial(&file, ctx, target));
	assert_int_equal(sn_checkpoint_marked(ctx, 5), 3);
	assert_int_equal(sn_checkpoint_marked(ctx, 6), 0);
	assert_ok(ctx, sn_file_seek(file, 3));
	assert_ok(ctx, sn_file_write(file, "def", 3));
	assert_ok(ctx, sn_file_commit(file));
	sn_file_close(file);
	sn_ctx_close(ctx);
	assert_int_equal(size_of_file(target), 6);
	ctx = open_run(true);   /* killed just behind the commit: the file that the marks spoke of is gone */
	assert_ok(ctx, sn_checkpoint_partial(&file, ctx, target));
	assert_int_equal(sn_checkpoint_marked(ctx, 5), 0);
	sn_file_close(file);
	sn_checkpoint_remove(ctx);
	sn_ctx_close(ctx);
	unlink(target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finished_units_are_not_run_again), cmocka_unit_test(overwriting_starts_anew),
		cmocka_unit_test(torn_records_are_cut_off),         cmocka_unit_test(another_run_is_told),
		cmocka_unit_test(partial_files_grow_in_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
