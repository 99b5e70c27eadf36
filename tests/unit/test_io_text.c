/* Text formats: lines, CSV and TSV, JSON Lines, CoNLL-U; and .npy. */
#include "common/test.h"

#include <string.h>
#include <unistd.h>

#include "io/conllu.h"
#include "io/csv.h"
#include "io/jsonl.h"
#include "io/npy.h"

static sn_arena *open_arena(void **state)
{
	sn_arena *arena;
	assert_ok(test_ctx(state), sn_arena_open(&arena, test_ctx(state)));
	return arena;
}

static void expect_error(void **state, const char *words)
{
	if (!strstr(sn_error(test_ctx(state)), words)) fail_msg("expected '%s' in: %s", words, sn_error(test_ctx(state)));
}

/* ---- CSV ---- */

/* Reads text as records joined "a|b/c|d", or returns the failure. */
static sn_status join_csv(void **state, const char *text, char separator, char *out, size_t size)
{
	sn_arena *arena = open_arena(state);
	sn_csv csv;
	bool more = true;
	size_t n = 0;
	out[0] = '\0';
	sn_status status = sn_csv_start(&csv, test_ctx(state), "t.csv", text, strlen(text), separator, arena);
	while (status == SN_OK && (status = sn_csv_next(&csv, &more)) == SN_OK && more) {
		if (n) n += (size_t)sn_format(out + n, size - n, "/");
		for (int i = 0; i < csv.n; i++) n += (size_t)sn_format(out + n, size - n, i ? "|%s" : "%s", csv.field[i]);
	}
	sn_arena_close(arena);
	return status;
}

static void csv_fields_are_split_as_rfc_4180_says(void **state)
{
	static const struct {
		const char *text;
		char separator;
		const char *records;
	} cases[] = {
		{ "a,b\n1,2\n", ',', "a|b/1|2" },
		{ "\xef\xbb\xbf"
		  "a,b\r\n1,2\r\n",
		  ',', "a|b/1|2" },
		{ "a,b\n1,2", ',', "a|b/1|2" },
		{ "\"x,y\",\"say \"\"hi\"\"\"\n", ',', "x,y|say \"hi\"" },
		{ "\"two\nlines\",b\n\n\nc,d", ',', "two\nlines|b/c|d" },
		{ "a,,\n,b,\n", ',', "a||/|b|" },
		{ "a\"b,c", ',', "a\"b|c" },
		{ "\"\",x", ',', "|x" },
		{ "\"Hi\tthere\" he said\tb\n", '\t', "\"Hi|there\" he said|b" },
		{ "a\rb,c\n", ',', "a\rb|c" },
		{ "", ',', "" },
	};
	char out[256];
	for (int i = 0; i < SN_COUNT(cases); i++) {
		assert_ok(test_ctx(state), join_csv(state, cases[i].text, cases[i].separator, out, sizeof out));
		assert_string_equal(out, cases[i].records);
	}
}

static void bad_csv_names_the_line(void **state)
{
	char out[256];
	assert_int_equal(join_csv(state, "a,b\n\"x\ny", ',', out, sizeof out), SN_EPARSE);
	expect_error(state, "t.csv: line 2: the quotation mark is never closed");
	assert_int_equal(join_csv(state, "a,b\n\"x\"y,1\n", ',', out, sizeof out), SN_EPARSE);
	expect_error(state, "t.csv: line 2: expected a separator");
	assert_int_equal(join_csv(state, "a,b\nx\xff,1\n", ',', out, sizeof out), SN_EPARSE);
	expect_error(state, "line 2, byte 2 of the line: expected UTF-8 text, found byte 0xff");
}

static void csv_lines_are_counted_through_quotes(void **state)
{
	sn_arena *arena = open_arena(state);
	sn_csv csv;
	bool more;
	static const char text[] = "a\n\"x\ny\nz\"\n\nlast\n";
	static const int64_t line[] = { 1, 2, 6 };
	assert_ok(test_ctx(state), sn_csv_start(&csv, test_ctx(state), "t", text, sizeof text - 1, ',', arena));
	for (int i = 0; i < 3; i++) {
		assert_ok(test_ctx(state), sn_csv_next(&csv, &more));
		assert_true(more);
		assert_int_equal(csv.line, line[i]);
	}
	assert_ok(test_ctx(state), sn_csv_next(&csv, &more));
	assert_false(more);
	sn_arena_close(arena);
}

/* ---- JSON Lines ---- */

static void jsonl_objects_come_with_their_lines(void **state)
{
	static const char text[] = "\xef\xbb\xbf{\"a\": 1}\r\n\r\n  \n{\"a\": 2}";
	sn_lines lines = sn_lines_make("t.jsonl", text, sizeof text - 1);
	static const int64_t line[] = { 1, 4 };
	json_t *object;
	for (int i = 0; i < 2; i++) {
		assert_ok(test_ctx(state), sn_jsonl_next(test_ctx(state), &lines, &object));
		assert_int_equal(json_integer_value(json_object_get(object, "a")), i + 1);
		assert_int_equal(lines.line, line[i]);
		json_decref(object);
	}
	assert_ok(test_ctx(state), sn_jsonl_next(test_ctx(state), &lines, &object));
	assert_null(object);
}

static void bad_jsonl_names_the_line(void **state)
{
	static const char *const bad[] = { "{}\n{\"a\" 1}", "{}\n[1]", "{}\n{\"a\":1,\"a\":1}", "{}\n{} x" };
	for (int i = 0; i < SN_COUNT(bad); i++) {
		sn_lines lines = sn_lines_make("t.jsonl", bad[i], strlen(bad[i]));
		json_t *object;
		assert_ok(test_ctx(state), sn_jsonl_next(test_ctx(state), &lines, &object));
		json_decref(object);
		assert_int_equal(sn_jsonl_next(test_ctx(state), &lines, &object), SN_EPARSE);
		assert_null(object);
		expect_error(state, "t.jsonl: line 2");
	}
}

/* ---- CoNLL-U ---- */

#define WORD(id, form, head, misc) id "\t" form "\tl\tNOUN\t_\tNumber=Sing\t" head "\tdep\t_\t" misc "\n"

static const char treebank[] =
	"\xef\xbb\xbf# newdoc\n# sent_id = a-1\n# text = Don't  go, \xd1\x91!\n" WORD("1-2", "Don't", "_", "_")
		WORD("1", "Do", "3", "_") WORD("2", "n't", "3", "_") WORD("3", "go", "0", "SpaceAfter=No")
			WORD("3.1", "away", "_", "_") WORD("4", ",", "3", "X=1|SpaceAfter=No")
				WORD("5", "\xd1\x91", "3", "SpaceAfter=No")
					WORD("6", "!", "3", "_") "\n" WORD("1", "a", "0", "SpaceAfter=No") WORD("2", "b", "1", "_")
						WORD("3", "c", "1", "_");

static void conllu_words_find_their_text(void **state)
{
	sn_arena *arena = open_arena(state);
	sn_conllu doc;
	assert_ok(test_ctx(state), sn_conllu_read(&doc, test_ctx(state), "t", treebank, sizeof treebank - 1, arena));
	assert_int_equal(doc.n, 2);
	assert_int_equal(doc.n_word, 10);
	const sn_conllu_sentence *s = &doc.sentence[0];
	assert_string_equal(s->id, "a-1");
	static const struct {
		int32_t id, empty, head;
		int64_t span[2];
	} words[] = {
		{ 1, 0, 3, { 0, 5 } },  { 2, 0, 3, { 0, 5 } },   { 3, 0, 0, { 7, 9 } },   { 3, 1, -1, { -1, -1 } },
		{ 4, 0, 3, { 9, 10 } }, { 5, 0, 3, { 11, 13 } }, { 6, 0, 3, { 13, 14 } },
	};
	assert_int_equal(s->n_word, SN_COUNT(words));
	for (int i = 0; i < SN_COUNT(words); i++) {
		assert_int_equal(s->word[i].id, words[i].id);
		assert_int_equal(s->word[i].empty, words[i].empty);
		assert_int_equal(s->word[i].head, words[i].head);
		assert_memory_equal(s->word[i].span, words[i].span, sizeof words[i].span);
	}
	assert_string_equal(s->word[2].form, "go");
	assert_string_equal(s->word[2].feats, "Number=Sing");
	assert_string_equal(s->word[4].misc, "X=1|SpaceAfter=No");
	assert_int_equal(s->word[6].line, 11);
	assert_null(doc.sentence[1].id);
	assert_string_equal(doc.sentence[1].text, "ab c");
	sn_arena_close(arena);
}

static void bad_conllu_names_the_line(void **state)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{ "# text = a\n1\ta\n", "line 2: expected 10 columns separated by tabs, found 2" },
		{ WORD("1", "a", "0", "_") WORD("3", "b", "1", "_"), "line 2: expected word 2, found 3" },
		{ WORD("x", "a", "0", "_"), "line 1: expected an id" },
		{ WORD("1", "a", "7", "_"), "line 1: the head 7 is no word" },
		{ WORD("1", "a", "-1", "_"), "line 1: expected a head" },
		{ WORD("1", "", "0", "_"), "line 1: column 2 is empty" },
		{ WORD("2-1", "a", "_", "_"), "line 1: expected a multi-word token from 1" },
		{ WORD("1-3", "ab", "_", "_") WORD("1", "a", "0", "_"), "ends at 3" },
		{ "# text = a c\n" WORD("1", "a", "0", "_") WORD("2", "b", "1", "_"),
		  "line 3: the form 'b' does not stand at byte 2" },
		{ WORD("99999999999", "a", "0", "_"), "line 1: expected an id" },
		{ WORD("1", "\xc3", "0", "_"), "line 1, byte 3 of the line" },
	};
	for (int i = 0; i < SN_COUNT(cases); i++) {
		sn_arena *arena = open_arena(state);
		sn_conllu doc;
		assert_int_equal(sn_conllu_read(&doc, test_ctx(state), "t", cases[i].text, strlen(cases[i].text), arena),
						 SN_EPARSE);
		expect_error(state, cases[i].words);
		sn_arena_close(arena);
	}
}

static void every_truncated_treebank_is_safe(void **state)
{
	for (size_t n = 0; n < sizeof treebank; n++) {
		sn_arena *arena = open_arena(state);
		char *copy = malloc(n + 1);
		memcpy(copy, treebank, n);
		sn_conllu doc;
		sn_status status = sn_conllu_read(&doc, test_ctx(state), "cut", copy, n, arena);
		assert_true(status == SN_OK || (status == SN_EPARSE && strstr(sn_error(test_ctx(state)), "cut: line ")));
		free(copy);
		sn_arena_close(arena);
	}
}

static void real_treebanks_are_read(void **state)
{
	static const struct {
		const char *path;
		int64_t sentences, words;
	} cases[] = {
		{ SN_DATA "/ud/en_ewt-ud-dev.conllu", 2001, 25147 },
		{ SN_DATA "/ud/en_ewt-ud-test.conllu", 2077, 25094 },
		{ SN_DATA "/ud/ru_gsd-ud-dev.conllu", 579, 0 },
	};
	for (int i = 0; i < SN_COUNT(cases); i++) {
		if (access(cases[i].path, R_OK) != 0) skip();
		sn_arena *arena = open_arena(state);
		char *text;
		size_t size;
		sn_conllu doc;
		assert_ok(test_ctx(state), sn_read_file(test_ctx(state), cases[i].path, SIZE_MAX, arena, &text, &size));
		assert_ok(test_ctx(state), sn_conllu_read(&doc, test_ctx(state), cases[i].path, text, size, arena));
		assert_int_equal(doc.n, cases[i].sentences);
		int64_t words = 0;
		for (int64_t s = 0; s < doc.n; s++)
			for (int32_t w = 0; w < doc.sentence[s].n_word; w++) words += doc.sentence[s].word[w].empty == 0;
		if (cases[i].words) assert_int_equal(words, cases[i].words);
		sn_arena_close(arena);
	}
}

/* ---- npy ---- */

static void npy_arrays_come_back(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	char path[] = "/tmp/sonde_npy_XXXXXX";
	close(mkstemp(path));
	static const float x[6] = { 1, 2, 3, 4, 5, 6.5f };
	static const int64_t dims[][3] = { { 6 }, { 2, 3 }, { 1, 2, 3 } };
	for (int ndim = 1; ndim <= 3; ndim++) {
		sn_npy a;
		assert_ok(ctx, sn_npy_write(ctx, path, SN_F32, ndim, dims[ndim - 1], x));
		assert_ok(ctx, sn_npy_open(&a, ctx, path));
		assert_int_equal(a.dtype, SN_F32);
		assert_int_equal(a.ndim, ndim);
		assert_memory_equal(a.dim, dims[ndim - 1], (size_t)ndim * sizeof a.dim[0]);
		assert_int_equal((a.data - a.map.data) % 64, 0);
		assert_memory_equal(a.data, x, sizeof x);
		for (size_t n = 0; n < a.map.size; n++) {
			uint8_t *copy = malloc(n ? n : 1);
			memcpy(copy, a.map.data, n);
			sn_npy cut;
			assert_int_equal(sn_npy_open_bytes(&cut, ctx, "cut", copy, n), SN_EPARSE);
			free(copy);
		}
		sn_npy_close(ctx, &a);
	}
	unlink(path);
	assert_int_equal(sn_npy_write(ctx, path, SN_BF16, 1, dims[0], x), SN_EARG);
}

static void bad_npy_headers_are_refused(void **state)
{
	static const struct {
		const char *header;
		sn_status status;
		const char *words;
	} cases[] = {
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", SN_OK, "" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", SN_EPARSE, "2 numbers of 4 bytes" },
		{ "{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", SN_EUNKNOWN, "astype" },
		{ "{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }", SN_EUNKNOWN, "fortran_order" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", SN_EPARSE, "size" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296,4294967296), }", SN_EPARSE, "size" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", SN_EPARSE, "size" },
		{ "{'descr': '<f4', 'fortran_order': False, }", SN_EPARSE, "all of" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (1", SN_EPARSE, "','" },
	};
	for (int i = 0; i < SN_COUNT(cases); i++) {
		uint8_t bytes[256] = { 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)strlen(cases[i].header), 0 };
		size_t n = strlen(cases[i].header);
		memcpy(bytes + 10, cases[i].header, n);
		sn_npy a;
		assert_int_equal(sn_npy_open_bytes(&a, test_ctx(state), "bad", bytes, 10 + n + 4), cases[i].status);
		if (cases[i].status) expect_error(state, cases[i].words);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(csv_fields_are_split_as_rfc_4180_says),
		cmocka_unit_test(bad_csv_names_the_line),
		cmocka_unit_test(csv_lines_are_counted_through_quotes),
		cmocka_unit_test(jsonl_objects_come_with_their_lines),
		cmocka_unit_test(bad_jsonl_names_the_line),
		cmocka_unit_test(conllu_words_find_their_text),
		cmocka_unit_test(bad_conllu_names_the_line),
		cmocka_unit_test(every_truncated_treebank_is_safe),
		cmocka_unit_test(real_treebanks_are_read),
		cmocka_unit_test(npy_arrays_come_back),
		cmocka_unit_test(bad_npy_headers_are_refused),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
