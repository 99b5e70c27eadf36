/* What is wrong with the files of a folder without tokenizer.json is said with file and line; invalid text is replaced
 * where that is asked for. */
#include "common/test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text/tokenizer.h"

enum { MAX_FILES = 3 };

typedef struct made {
	const char *name, *text;
} made;

#define BERT "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\n##s\n\xef\xbf\xbd\n"
#define VOCAB "{\"<|endoftext|>\":0,\"t\":1,\"h\":2,\"th\":3}"

static const struct {
	made file[MAX_FILES];
	sn_status status;
	const char *text;
} bad[] = {
	{ { { "other", "" } }, SN_ENOTFOUND, "no tokenizer there; expected tokenizer.json, vocab.txt" },
	{ { { "vocab.txt", "[UNK]\n\xff\n" } }, SN_EPARSE, "vocab.txt: not UTF-8 at byte 6" },
	{ { { "vocab.txt", "[CLS]\n[SEP]\n" } }, SN_EPARSE, "model.unk_token: '[UNK]'" },
	{ { { "vocab.txt", "[UNK]\nb\n" } }, SN_EPARSE, "vocab.txt: the special token '[CLS]' is not in the vocabulary" },
	{ { { "vocab.txt", BERT }, { "tokenizer_config.json", "[]" } },
	  SN_EPARSE,
	  "tokenizer_config.json: expected an object, found an array" },
	{ { { "vocab.txt", BERT }, { "tokenizer_config.json", "{\"do_lower_case\": 1}" } },
	  SN_EPARSE,
	  "tokenizer_config.json: do_lower_case: expected" },
	{ { { "vocab.txt", BERT }, { "added_tokens.json", "{\"<x>\": \"8\"}" } },
	  SN_EPARSE,
	  "added_tokens.json: <x>: expected an id" },
	{ { { "vocab.json", VOCAB }, { "merges.txt", "#version: 0.2\nt h\nth\n" } },
	  SN_EPARSE,
	  "merges.txt: line 3: expected two tokens" },
	{ { { "vocab.json", VOCAB }, { "merges.txt", "t h\nh t\n" } }, SN_EPARSE, "merge 1, 'h' + 't'" },
	{ { { "vocab.json", "[1]" }, { "merges.txt", "" } }, SN_EPARSE, "vocab.json: expected an object" },
	{ { { "vocab.json", VOCAB },
		{ "merges.txt", "t h\n" },
		{ "tokenizer_config.json", "{\"tokenizer_class\":\"XTokenizer\"}" } },
	  SN_EUNKNOWN,
	  "vocab.json and merges.txt of 'XTokenizer'; known: GPT2Tokenizer" },
	{ { { "vocab.json", VOCAB }, { "merges.txt", "t h\n" }, { "config.json", "{\"model_type\":\"roberta\"}" } },
	  SN_EPARSE,
	  "the special token '<s>' is not in the vocabulary" },
};

static void write_files(sn_ctx *ctx, const char *folder, const made *file)
{
	for (int i = 0; i < MAX_FILES && file[i].name; i++) {
		char path[256];
		sn_format(path, sizeof path, "%s/%s", folder, file[i].name);
		assert_ok(ctx, sn_write_file(ctx, path, file[i].text, strlen(file[i].text)));
	}
}

static void remove_files(const char *folder, const made *file)
{
	for (int i = 0; i < MAX_FILES && file[i].name; i++) {
		char path[256];
		sn_format(path, sizeof path, "%s/%s", folder, file[i].name);
		unlink(path);
	}
}

static void bad_folders_are_refused_by_file_and_line(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	char folder[] = "/tmp/sonde_folder_XXXXXX";
	assert_non_null(mkdtemp(folder));
	for (int i = 0; i < SN_COUNT(bad); i++) {
		sn_tokenizer *t;
		write_files(ctx, folder, bad[i].file);
		sn_status status = sn_tokenizer_open_folder(&t, ctx, folder);
		assert_null(t);
		if (status != bad[i].status || !strstr(sn_error(ctx), bad[i].text))
			fail_msg("%d: status %d, '%s'; expected %d, '%s'", i, status, sn_error(ctx), bad[i].status, bad[i].text);
		remove_files(folder, bad[i].file);
	}
	rmdir(folder);
}

/* As Python's bytes.decode(errors="replace"): one U+FFFD for each longest beginning of a character. */
static void invalid_text_is_replaced_if_asked(void **state)
{
	static const made file[MAX_FILES] = { { "vocab.txt", BERT "x\n##x\n##\xef\xbf\xbd\n" },
										  { "tokenizer_config.json", "{\"tokenizer_class\":\"BertTokenizer\"}" } };
	static const char text[] = "x\xe2\x82x \xff\xc3 x";
	sn_ctx *ctx = test_ctx(state);
	char folder[] = "/tmp/sonde_folder_XXXXXX", path[256];
	sn_tokenizer *t;
	sn_arena *arena;
	sn_tokens tokens;
	assert_non_null(mkdtemp(folder));
	write_files(ctx, folder, file);
	assert_ok(ctx, sn_tokenizer_open_folder(&t, ctx, folder));
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	assert_int_equal(sn_tokenize(ctx, t, text, sizeof text - 1, 0, arena, &tokens), SN_EPARSE);
	assert_non_null(strstr(sn_error(ctx), "byte 1 (0xe2)"));
	/* BERT drops U+FFFD: "xx", "", "x" are left */
	assert_ok(ctx, sn_tokenize(ctx, t, text, sizeof text - 1, SN_REPLACE_INVALID, arena, &tokens));
	assert_int_equal(tokens.n, 3);
	static const int64_t span[][2] = { { 0, 1 }, { 3, 4 }, { 8, 9 } };
	assert_memory_equal(tokens.span, span, sizeof span);
	sn_tokenizer_close(t);
	sn_format(path, sizeof path, "%s.json", SN_TESTS "/golden/tokenizer/zoo/llama3");
	assert_ok(ctx, sn_tokenizer_open_json(&t, ctx, path));
	const char *back;
	size_t size;
	assert_ok(ctx, sn_tokenize(ctx, t, text, sizeof text - 1, SN_REPLACE_INVALID, arena, &tokens));
	assert_ok(ctx, sn_detokenize(ctx, t, tokens.n, tokens.id, 0, arena, &back, &size));
	assert_string_equal(back, "x\xef\xbf\xbdx \xef\xbf\xbd\xef\xbf\xbd x");
	assert_int_equal(sn_detokenize(ctx, t, 1, (int32_t[]){ 100000 }, 0, arena, &back, &size), SN_ENOTFOUND);
	sn_tokenizer_close(t);
	sn_arena_close(arena);
	remove_files(folder, file);
	rmdir(folder);
}

/* Sixteen rules that each double a text. */
static void runaway_rules_give_up(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_buf json = { .ctx = ctx };
	sn_tokenizer *t;
	sn_arena *arena;
	sn_tokens tokens;
	sn_buf_puts(&json, "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}},\"normalizer\":{\"type\":\"Sequence\","
					   "\"normalizers\":[");
	for (int i = 0; i < 16; i++)
		sn_buf_format(&json, "%s{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aaaa\"}",
					  i ? "," : "");
	sn_buf_puts(&json, "]}}");
	assert_ok(ctx, sn_tokenizer_parse_json(&t, ctx, (sn_slice){ json.data, json.size }, "rules"));
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	assert_int_equal(sn_tokenize(ctx, t, "aaaa", 4, 0, arena, &tokens), SN_EPARSE);
	assert_non_null(strstr(sn_error(ctx), "more than 64 times as long"));
	sn_arena_close(arena);
	sn_tokenizer_close(t);
	sn_buf_free(&json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_folders_are_refused_by_file_and_line),
		cmocka_unit_test(invalid_text_is_replaced_if_asked),
		cmocka_unit_test(runaway_rules_give_up),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
