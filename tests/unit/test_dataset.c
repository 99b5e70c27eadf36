/* Data sets: every format into typed columns, missing values, and errors that name the line. */
#include "common/test.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "data/dataset.h"

static sn_dataset *parse(void **state, sn_data_format format, const char *text)
{
	sn_dataset *data;
	assert_ok(test_ctx(state), sn_dataset_parse(&data, test_ctx(state), "t", format, text, strlen(text)));
	return data;
}

static const sn_column *column(const sn_dataset *data, const char *name, sn_type type)
{
	const sn_column *c = sn_dataset_column(data, name);
	if (!c) fail_msg("no column '%s'", name);
	assert_int_equal(c->type, type);
	return c;
}

static void refuse(void **state, sn_data_format format, const char *text, const char *words)
{
	sn_dataset *data;
	assert_int_equal(sn_dataset_parse(&data, test_ctx(state), "t", format, text, strlen(text)), SN_EPARSE);
	assert_null(data);
	if (!strstr(sn_error(test_ctx(state)), words)) fail_msg("expected '%s' in: %s", words, sn_error(test_ctx(state)));
}

static void jsonl_objects_become_columns(void **state)
{
	sn_dataset *data = parse(state, SN_DATA_JSONL,
							 "{\"text\": \"The keys\", \"roles\": {\"subject\": [4, 8]}, \"labels\": {\"number\": 1, "
							 "\"w\": 1}, \"ok\": true, \"foils\": [\"is\", \"was\"]}\n"
							 "{\"text\": \"\xd0\xba\", \"labels\": {\"number\": -1, \"w\": 0.5}, \"foils\": [\"has\"], "
							 "\"id\": 7, \"nothing\": null}\n"
							 "{\"id\": \"b\", \"ok\": null, \"spans\": [[0, 1], [2, 3]]}\n");
	assert_int_equal(data->n, 3);
	const sn_column *text = column(data, "text", SN_TYPE_TEXT);
	assert_string_equal(text->s[1], "\xd0\xba");
	assert_null(text->s[2]);
	const sn_column *span = column(data, "roles.subject", SN_TYPE_SPAN);
	assert_true(span->span[0][0] == 4 && span->span[0][1] == 8 && span->span[1][0] == -1 && span->span[1][1] == -1);
	const sn_column *number = column(data, "labels.number", SN_TYPE_INT);
	assert_true(number->i[0] == 1 && number->i[1] == -1 && number->i[2] == INT64_MIN);
	const sn_column *w = column(data, "labels.w", SN_TYPE_FLOAT);
	assert_true(w->f[0] == 1 && w->f[1] == 0.5 && isnan(w->f[2]));
	const sn_column *ok = column(data, "ok", SN_TYPE_BOOL);
	assert_true(ok->b[0] == 1 && ok->b[1] == -1 && ok->b[2] == -1);
	assert_string_equal(column(data, "foils.0", SN_TYPE_TEXT)->s[1], "has");
	assert_string_equal(column(data, "foils.1", SN_TYPE_TEXT)->s[0], "was");
	assert_null(sn_dataset_column(data, "nothing"));
	const sn_column *id = column(data, "id", SN_TYPE_TEXT);
	assert_null(id->s[0]);
	assert_string_equal(id->s[1], "7");
	assert_string_equal(id->s[2], "b");
	assert_int_equal(column(data, "spans.1", SN_TYPE_SPAN)->span[2][1], 3);
	sn_dataset_close(data);
}

static void tables_recognise_their_types(void **state)
{
	sn_dataset *data = parse(
		state, SN_DATA_CSV,
		"\xef\xbb\xbfid,n,x,yes,code,sentence,\r\n1,5,1.5,True,007,\"a, \"\"b\"\"\",q\r\n2,,-2e3,false,12,c d,\r\n");
	assert_int_equal(data->n, 2);
	assert_int_equal(data->n_col, 7);
	const sn_column *n = column(data, "n", SN_TYPE_INT);
	assert_true(n->i[0] == 5 && n->i[1] == INT64_MIN);
	const sn_column *x = column(data, "x", SN_TYPE_FLOAT);
	assert_true(x->f[0] == 1.5 && x->f[1] == -2000);
	const sn_column *yes = column(data, "yes", SN_TYPE_BOOL);
	assert_true(yes->b[0] == 1 && yes->b[1] == 0);
	assert_string_equal(column(data, "code", SN_TYPE_TEXT)->s[0], "007");
	assert_string_equal(column(data, "sentence", SN_TYPE_TEXT)->s[0], "a, \"b\"");
	assert_null(column(data, "column7", SN_TYPE_TEXT)->s[1]);
	sn_dataset_close(data);
}

static void words_that_look_like_numbers_stay_text(void **state)
{
	sn_dataset *data = parse(state, SN_DATA_CSV, "a,b,c,d\nnan,0x10,1e999,+5\ninf,1,2,6\n");
	for (int i = 0; i < 4; i++) assert_int_equal(data->col[i].type, SN_TYPE_TEXT);
	sn_dataset_close(data);
}

static void tsv_pairs_need_no_header(void **state)
{
	sn_dataset *data = parse(state, SN_DATA_TSV, "The \"cats\" sit.\tThe cats sits.\nA\tB\n");
	assert_int_equal(data->n, 2);
	assert_string_equal(column(data, "good", SN_TYPE_TEXT)->s[0], "The \"cats\" sit.");
	assert_string_equal(column(data, "bad", SN_TYPE_TEXT)->s[1], "B");
	sn_dataset_close(data);
	data = parse(state, SN_DATA_TSV, "good\tbad\nA\tB\n");
	assert_int_equal(data->n, 1);
	assert_string_equal(column(data, "good", SN_TYPE_TEXT)->s[0], "A");
	sn_dataset_close(data);
	data = parse(state, SN_DATA_TSV, "left\tright\tn\nA\tB\t3\n");
	assert_int_equal(column(data, "n", SN_TYPE_INT)->i[0], 3);
	sn_dataset_close(data);
}

static void sentences_and_lines_become_rows(void **state)
{
	sn_dataset *data = parse(state, SN_DATA_LINES, "one\r\n\n two\n");
	assert_int_equal(data->n, 2);
	assert_string_equal(column(data, "text", SN_TYPE_TEXT)->s[0], "one");
	assert_string_equal(column(data, "text", SN_TYPE_TEXT)->s[1], " two");
	sn_dataset_close(data);
	data = parse(
		state, SN_DATA_CONLLU,
		"# sent_id = s\n1\tGo\tgo\tVERB\t_\t_\t0\troot\t_\tSpaceAfter=No\n2\t!\t!\tPUNCT\t_\t_\t1\tpunct\t_\t_\n");
	assert_string_equal(column(data, "text", SN_TYPE_TEXT)->s[0], "Go!");
	assert_string_equal(column(data, "sent_id", SN_TYPE_TEXT)->s[0], "s");
	assert_int_equal(column(data, "n_words", SN_TYPE_INT)->i[0], 2);
	sn_dataset_close(data);
}

static void bad_data_name_the_line(void **state)
{
	refuse(state, SN_DATA_JSONL, "", "at least one row");
	refuse(state, SN_DATA_JSONL, "{}\n{}\n", "at least one value");
	refuse(state, SN_DATA_JSONL, "{\"a\": true}\n{\"a\": 1}", "line 2: 'a' is a whole number, but a bool before");
	refuse(state, SN_DATA_JSONL, "{\"a\": [1, 2]}\n{\"a\": \"x\"}", "line 2: 'a' is a text, but a span before");
	refuse(state, SN_DATA_JSONL, "{\"a\": {\"b\": 1}, \"a.b\": 2}", "line 1: 'a.b' is given twice");
	refuse(state, SN_DATA_JSONL, "{\"a\": 1}\n{\"\": 2}", "line 2: '' would be column 2; expected a name");
	refuse(state, SN_DATA_CSV, "a,b\n1,2\n1,2,3\n", "line 3: expected 2 fields");
	refuse(state, SN_DATA_CSV, "a,a\n1,2\n", "line 2: 'a' is given twice");
	refuse(state, SN_DATA_CSV, "a,b\n", "at least one row");
	refuse(state, SN_DATA_LINES, "ok\n\xff\n", "line 2, byte 1 of the line: expected UTF-8");
}

/* A file in which every row has columns of its own must not grow into a table far larger than itself. */
static void sparse_tables_are_refused(void **state)
{
	sn_buf text = { .ctx = test_ctx(state) };
	for (int i = 0; i < 4096; i++) sn_buf_format(&text, "{\"k%d\": 1}\n", i);
	for (int i = 0; i < 2000; i++) sn_buf_puts(&text, "{}\n");
	assert_false(text.failed);
	refuse(state, SN_DATA_JSONL, text.data, "share too few");
	sn_buf_puts(&text, "{\"more\": 1}\n");
	refuse(state, SN_DATA_JSONL, text.data, "line 6097: 'more' would be column 4097");
	sn_buf_free(&text);
}

static void every_truncation_is_safe(void **state)
{
	static const struct {
		sn_data_format format;
		const char *text;
	} cases[] = {
		{ SN_DATA_JSONL, "{\"a\": {\"b\": [1, 2], \"c\": [\"x\", 1.5]}}\n{\"a\": {\"b\": null, \"c\": [true]}}\n" },
		{ SN_DATA_CSV, "a,\"b\"\n\"x \"\"y\"\"\",1\n\"z\nz\",2\n" },
		{ SN_DATA_TSV, "good\tbad\nx\ty\n" },
	};
	for (int k = 0; k < SN_COUNT(cases); k++)
		for (size_t n = 0; n <= strlen(cases[k].text); n++) {
			char *copy = malloc(n + 1);
			memcpy(copy, cases[k].text, n);
			sn_dataset *data;
			sn_status status = sn_dataset_parse(&data, test_ctx(state), "cut", cases[k].format, copy, n);
			assert_true(status == SN_OK ||
						(status == SN_EPARSE && !data && strstr(sn_error(test_ctx(state)), "cut: ")));
			free(copy);
			sn_dataset_close(data);
		}
}

static void files_are_opened_by_extension(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	char folder[] = "/tmp/sonde_data_XXXXXX", path[64];
	assert_non_null(mkdtemp(folder));
	sn_format(path, sizeof path, "%s/d.csv", folder);
	assert_ok(ctx, sn_write_file(ctx, path, "abc\n1\n", 6));
	sn_dataset *data;
	assert_ok(ctx, sn_dataset_open(&data, ctx, path));
	assert_string_equal(data->source, path);
	char hex[65];
	assert_ok(ctx, sn_hash_file(ctx, path, hex));
	assert_string_equal(data->sha256, hex);
	assert_int_equal(data->col[0].i[0], 1);
	sn_dataset_close(data);
	unlink(path);
	assert_int_equal(sn_dataset_open(&data, ctx, path), SN_EIO);
	sn_format(path, sizeof path, "%s/d.xlsx", folder);
	assert_ok(ctx, sn_write_file(ctx, path, "x", 1));
	assert_int_equal(sn_dataset_open(&data, ctx, path), SN_EUNKNOWN);
	assert_non_null(strstr(sn_error(ctx), ".jsonl, .csv"));
	unlink(path);
	rmdir(folder);
}

static void real_files_are_read(void **state)
{
	static const struct {
		const char *path, *column;
		int64_t n;
	} cases[] = {
		{ SN_DATA "/blimp/regular_plural_subject_verb_agreement_1.jsonl", "sentence_good", 1000 },
		{ SN_DATA "/rublimp/np_agreement_case.csv", "target_sentence", 1000 },
		{ SN_DATA "/sst2/dev_binary_sent.csv", "sentence", 872 },
		{ SN_DATA "/ud/ru_gsd-ud-dev.conllu", "text", 579 },
	};
	for (int i = 0; i < SN_COUNT(cases); i++) {
		if (access(cases[i].path, R_OK) != 0) skip();
		sn_dataset *data;
		assert_ok(test_ctx(state), sn_dataset_open(&data, test_ctx(state), cases[i].path));
		assert_int_equal(data->n, cases[i].n);
		const sn_column *c = column(data, cases[i].column, SN_TYPE_TEXT);
		for (int64_t r = 0; r < data->n; r++) assert_non_null(c->s[r]);
		sn_dataset_close(data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jsonl_objects_become_columns),
		cmocka_unit_test(tables_recognise_their_types),
		cmocka_unit_test(words_that_look_like_numbers_stay_text),
		cmocka_unit_test(tsv_pairs_need_no_header),
		cmocka_unit_test(sentences_and_lines_become_rows),
		cmocka_unit_test(bad_data_name_the_line),
		cmocka_unit_test(sparse_tables_are_refused),
		cmocka_unit_test(every_truncation_is_safe),
		cmocka_unit_test(files_are_opened_by_extension),
		cmocka_unit_test(real_files_are_read),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
