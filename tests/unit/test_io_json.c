/* JSON documents: values and defaults, and errors that say where. */
#include "common/test.h"

#include <string.h>

#include "io/json.h"

static sn_json *parse(void **state, const char *text)
{
	sn_json *doc;
	assert_ok(test_ctx(state), sn_json_parse(&doc, test_ctx(state), "doc.json", text, strlen(text)));
	return doc;
}

static void values_and_defaults_are_read(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *doc = parse(
		state,
		"\xef\xbb\xbf{\"i\": 3, \"f\": 2.5, \"b\": true, \"s\": \"\xd1\x91\", \"n\": null, \"a\": [1], \"o\": {}}");
	int64_t i;
	double f;
	bool b;
	const char *s;
	json_t *v;
	assert_ok(ctx, sn_json_i64(doc, doc->root, "i", &i));
	assert_int_equal(i, 3);
	assert_ok(ctx, sn_json_f64(doc, doc->root, "i", &f));
	assert_true(f == 3);
	assert_ok(ctx, sn_json_f64(doc, doc->root, "f", &f));
	assert_true(f == 2.5);
	assert_ok(ctx, sn_json_bool(doc, doc->root, "b", &b));
	assert_true(b);
	assert_ok(ctx, sn_json_string(doc, doc->root, "s", &s));
	assert_string_equal(s, "\xd1\x91");
	assert_ok(ctx, sn_json_i64_or(doc, doc->root, "n", 9, &i));
	assert_int_equal(i, 9);
	assert_ok(ctx, sn_json_f64_or(doc, doc->root, "absent", 0.5, &f));
	assert_true(f == 0.5);
	assert_ok(ctx, sn_json_bool_or(doc, doc->root, "absent", true, &b));
	assert_true(b);
	assert_ok(ctx, sn_json_string_or(doc, doc->root, "absent", "x", &s));
	assert_string_equal(s, "x");
	assert_ok(ctx, sn_json_array(doc, doc->root, "a", &v));
	assert_int_equal(json_array_size(v), 1);
	assert_ok(ctx, sn_json_object_or(doc, doc->root, "absent", &v));
	assert_null(v);
	assert_ok(ctx, sn_json_array_or(doc, doc->root, "n", &v));
	assert_null(v);
	sn_json_close(doc);
}

static void errors_name_the_path(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *doc = parse(state, "{\"a\": {\"b\": [{\"c\": \"x\"}, {\"c\": \"a\\u0000b\"}]}, \"d\": 1}");
	json_t *array = json_object_get(json_object_get(doc->root, "a"), "b"), *v;
	int64_t i;
	double f;
	const char *s;
	assert_int_equal(sn_json_i64(doc, json_array_get(array, 0), "c", &i), SN_EPARSE);
	assert_string_equal(sn_error(ctx), "doc.json: a.b[0].c: expected an integer, found a string");
	assert_int_equal(sn_json_f64_or(doc, json_array_get(array, 0), "c", 1, &f), SN_EPARSE);
	assert_int_equal(sn_json_string(doc, json_array_get(array, 1), "c", &s), SN_EPARSE);
	assert_non_null(strstr(sn_error(ctx), "a.b[1].c"));
	assert_int_equal(sn_json_object(doc, json_array_get(array, 1), "z", &v), SN_ENOTFOUND);
	assert_string_equal(sn_error(ctx), "doc.json: a.b[1].z: expected an object, found nothing; add it");
	assert_int_equal(sn_json_i64(doc, array, "c", &i), SN_EPARSE);
	assert_string_equal(sn_error(ctx), "doc.json: a.b: expected an object with 'c', found an array");
	assert_int_equal(sn_json_array_or(doc, doc->root, "d", &v), SN_EPARSE);
	assert_string_equal(sn_error(ctx), "doc.json: d: expected an array, found an integer");
	sn_json_close(doc);
}

static void bad_syntax_names_line_and_column(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *doc;
	static const char *const bad[] = {
		"", "{\n\"a\": }", "{\"a\": 1, \"a\": 2}", "[1] x", "\"\xff\"", "{\"a\": 1e999}"
	};
	for (int i = 0; i < SN_COUNT(bad); i++) {
		assert_int_equal(sn_json_parse(&doc, ctx, "bad.json", bad[i], strlen(bad[i])), SN_EPARSE);
		assert_null(doc);
		assert_non_null(strstr(sn_error(ctx), "bad.json: line "));
	}
	assert_int_equal(sn_json_parse(&doc, ctx, "bad.json", bad[1], strlen(bad[1])), SN_EPARSE);
	assert_non_null(strstr(sn_error(ctx), "line 2, column 6"));
	assert_int_equal(sn_json_load(&doc, ctx, "/no/such.json", 0), SN_EIO);
	assert_null(doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_and_defaults_are_read),
		cmocka_unit_test(errors_name_the_path),
		cmocka_unit_test(bad_syntax_names_line_and_column),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
