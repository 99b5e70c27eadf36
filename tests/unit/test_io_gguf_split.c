/* Models in several GGUF files: any part opens them all, and they equal the model in one file; parts that do not belong
 * together are refused. */
#define _GNU_SOURCE
#include "common/test.h"

#include <string.h>
#include <unistd.h>

#include "io/gguf.h"
#include "io/parts.h"

#define WHOLE SN_TESTS "/golden/tiny/gqa-tied/model.gguf"
#define SPLIT SN_TESTS "/golden/gguf_split/model-"

static const char *const part[] = { SPLIT "00001-of-00003.gguf", SPLIT "00002-of-00003.gguf",
									SPLIT "00003-of-00003.gguf" };

static void check_tensors(const sn_gguf *split, const sn_gguf *whole)
{
	assert_int_equal(sn_gguf_tensor_count(split), sn_gguf_tensor_count(whole));
	for (int64_t i = 0; i < sn_gguf_tensor_count(whole); i++) {
		const sn_gguf_tensor *a = sn_gguf_tensor_at(split, i), *b = sn_gguf_tensor_at(whole, i);
		assert_string_equal(a->name, b->name);
		assert_ptr_equal(sn_gguf_tensor_find(split, b->name), a);
		assert_ptr_equal(a->type, b->type);
		assert_memory_equal(a->dim, b->dim, sizeof a->dim);
		assert_int_equal(a->size, b->size);
		assert_memory_equal(a->data, b->data, b->size);
	}
}

static void any_part_opens_all(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_gguf *whole, *split;
	assert_ok(ctx, sn_gguf_open(&whole, ctx, WHOLE));
	for (int i = 0; i < SN_COUNT(part); i++) {
		assert_ok(ctx, sn_gguf_open(&split, ctx, part[i]));
		assert_string_equal(sn_gguf_path(split), part[0]);
		assert_int_equal(sn_gguf_size(split), 5408 + 26816 + 8576);
		check_tensors(split, whole);
		for (int64_t k = 0; k < sn_gguf_key_count(whole); k++) {
			char name[128];
			sn_slice key = sn_gguf_key_at(whole, k);
			sn_format(name, sizeof name, "%.*s", (int)key.size, key.data);
			assert_true(sn_gguf_has(split, name));
		}
		int64_t blocks;
		assert_ok(ctx, sn_gguf_i64(split, "llama.block_count", &blocks));
		assert_int_equal(blocks, 2);
		sn_gguf_close(split);
	}
	sn_gguf_close(whole);
}

static void a_split_model_runs(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_model *model;
	assert_ok(ctx, sn_model_open(&model, ctx, part[1]));
	assert_int_equal(sn_model_get_info(model)->file_bytes, 5408 + 26816 + 8576);
	sn_model_close(model);
}

/* $ sha256sum model-*.gguf | cut -c -64 | sha256sum */
static void a_hash_covers_all_parts(void **state)
{
	static const char expected[] = "40408716cb2863ccd4a0fdb0193896001c25e29a51f04d432c9f8166b10358cd";
	sn_ctx *ctx = test_ctx(state);
	char hex[65], single[65];
	for (int i = 0; i < SN_COUNT(part); i++) {
		assert_ok(ctx, sn_parts_hash(ctx, part[i], hex));
		assert_string_equal(hex, expected);
	}
	assert_ok(ctx, sn_parts_hash(ctx, WHOLE, hex));
	assert_ok(ctx, sn_hash_file(ctx, WHOLE, single));
	assert_string_equal(hex, single);
}

/* Links golden parts under other names in a folder and opens the last; it must fail so. */
static void refuse(void **state, const char *const (*link)[2], int n, sn_status status, const char *words)
{
	sn_ctx *ctx = test_ctx(state);
	sn_gguf *file;
	char folder[] = "/tmp/sonde_split_XXXXXX", path[256] = "";
	assert_non_null(mkdtemp(folder));
	for (int i = 0; i < n; i++) {
		sn_format(path, sizeof path, "%s/%s", folder, link[i][1]);
		assert_int_equal(symlink(link[i][0], path), 0);
	}
	assert_int_equal(sn_gguf_open(&file, ctx, path), status);
	assert_null(file);
	if (!strstr(sn_error(ctx), words)) fail_msg("expected '%s' in: %s", words, sn_error(ctx));
	for (int i = 0; i < n; i++) {
		sn_format(path, sizeof path, "%s/%s", folder, link[i][1]);
		unlink(path);
	}
	rmdir(folder);
}

static void parts_must_belong_together(void **state)
{
	const char *const a = "m-00001-of-00003.gguf", *const b = "m-00002-of-00003.gguf",
					  *const c = "m-00003-of-00003.gguf";
	refuse(state, (const char *const[][2]){ { part[0], a }, { part[1], b } }, 2, SN_EIO,
		   "m-00003-of-00003.gguf: cannot open");
	refuse(state, (const char *const[][2]){ { part[1], c } }, 1, SN_EPARSE,
		   "its name must end in -00002-of-00003.gguf");
	refuse(state, (const char *const[][2]){ { part[1], b }, { part[1], c }, { part[0], a } }, 3, SN_EPARSE,
		   "m-00003-of-00003.gguf: expected split.no 2 and split.count 3, found 1 and 3");
	refuse(state, (const char *const[][2]){ { part[0], "m.gguf" } }, 1, SN_EPARSE,
		   "m.gguf: the file is part 1 of a model");
	refuse(state, (const char *const[][2]){ { WHOLE, a }, { part[2], c }, { part[1], b } }, 3, SN_ENOTFOUND,
		   "split.no");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_part_opens_all),
		cmocka_unit_test(a_split_model_runs),
		cmocka_unit_test(a_hash_covers_all_parts),
		cmocka_unit_test(parts_must_belong_together),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
