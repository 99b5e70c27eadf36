/* Option tables: values, checks, JSON, help, suggestions. */
#include "base/option.h"
#include "common/test.h"

#include <math.h>
#include <string.h>

typedef struct values {
	int64_t pairs;
	double delta;
	const char *effort, *note;
	bool quick;
} values;

static const sn_param rows[] = {
	{ .name = "pairs",
	  .unit = "pairs",
	  .help = "how many",
	  .def = "120",
	  .type = SN_TYPE_INT,
	  .off = offsetof(values, pairs),
	  .min = 2,
	  .max = 4000 },
	{ .name = "delta",
	  .unit = "share of D",
	  .help = "threshold",
	  .def = "0.1",
	  .type = SN_TYPE_FLOAT,
	  .off = offsetof(values, delta),
	  .min = 0,
	  .max = 1 },
	{ .name = "effort",
	  .help = "preset",
	  .def = "standard",
	  .choices = "quick|standard|thorough",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(values, effort) },
	{ .name = "note", .unit = "SENTENCE", .help = "free text", .type = SN_TYPE_TEXT, .off = offsetof(values, note) },
	{ .name = "is-quick", .help = "fast", .def = "no", .type = SN_TYPE_BOOL, .off = offsetof(values, quick) },
};
static const sn_param_table table = { rows, SN_COUNT(rows) };

static sn_arena *open_arena(void **state)
{
	sn_arena *arena;
	assert_ok(test_ctx(state), sn_arena_open(&arena, test_ctx(state)));
	return arena;
}

static void defaults_fill_the_struct(void **state)
{
	sn_arena *arena = open_arena(state);
	values v = { 0 };
	assert_ok(test_ctx(state), sn_param_defaults(test_ctx(state), &table, arena, &v));
	assert_int_equal(v.pairs, 120);
	assert_true(v.delta == 0.1);
	assert_string_equal(v.effort, "standard");
	assert_null(v.note);
	assert_false(v.quick);
	sn_arena_close(arena);
}

static void bad_values_are_refused_with_what_was_expected(void **state)
{
	static const struct {
		const char *name, *value, *expected;
	} bad[] = {
		{ "pairs", "1", "from 2 to 4000 pairs, found \"1\"" },
		{ "pairs", "12x", "an integer" },
		{ "pairs", "", "an integer" },
		{ "delta", "nan", "a number" },
		{ "delta", "1.5", "from 0 to 1 share of D" },
		{ "effort", "qui", "one of quick|standard|thorough" },
		{ "effort", "quick|standard", "one of" },
		{ "is-quick", "maybe", "true or false" },
		{ "note", "\xff", "UTF-8" },
	};
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena = open_arena(state);
	values v = { .pairs = 7, .delta = 0.5 };
	for (int i = 0; i < SN_COUNT(bad); i++) {
		assert_int_equal(sn_param_set(ctx, sn_param_find(&table, bad[i].name), bad[i].value, arena, &v), SN_EARG);
		if (!strstr(sn_error(ctx), bad[i].expected)) fail_msg("%s: %s", bad[i].expected, sn_error(ctx));
	}
	assert_int_equal(v.pairs, 7);
	assert_true(v.delta == 0.5);
	sn_arena_close(arena);
}

static void a_bad_default_is_our_own_error(void **state)
{
	static const sn_param row = { .name = "p", .help = "", .def = "9", .type = SN_TYPE_INT, .min = 1, .max = 5 };
	values v;
	sn_arena *arena = open_arena(state);
	assert_int_equal(sn_param_defaults(test_ctx(state), &(sn_param_table){ &row, 1 }, arena, &v), SN_EINTERNAL);
	sn_arena_close(arena);
}

static void names_take_either_dash(void **state)
{
	(void)state;
	assert_ptr_equal(sn_param_find(&table, "is_quick"), &rows[4]);
	assert_null(sn_param_find(&table, "is_quic"));
	assert_null(sn_param_find(&table, "is-quicker"));
}

static void json_holds_every_value(void **state)
{
	sn_buf buf = { .ctx = test_ctx(state) };
	values v = { 3, 1.0 / 3, "qu\"ick\n", NULL, true };
	sn_param_json(&buf, &table, &v);
	assert_false(buf.failed);
	assert_string_equal(buf.data, "{\"pairs\": 3, \"delta\": 0.3333333333333333, \"effort\": \"qu\\\"ick\\n\", "
								  "\"note\": null, \"is-quick\": true}");
	sn_buf_free(&buf);
}

static void help_names_units_ranges_and_defaults(void **state)
{
	sn_buf buf = { .ctx = test_ctx(state) };
	sn_param_help(&buf, &table);
	assert_non_null(strstr(buf.data, "--pairs INTEGER\n"));
	assert_non_null(strstr(buf.data, "unit: share of D; from 0 to 1; default: 0.1\n"));
	assert_non_null(strstr(buf.data, "--note SENTENCE\n      free text\n"));
	assert_non_null(strstr(buf.data, "--effort quick|standard|thorough\n"));
	sn_buf_free(&buf);
}

static void the_nearest_word_is_found(void **state)
{
	(void)state;
	static const char *const word[] = { "localize", "probe", "causal" };
	assert_int_equal(sn_nearest("localise", word, 3), 0);
	assert_int_equal(sn_nearest("prob", word, 3), 1);
	assert_int_equal(sn_nearest("zzzzzzzz", word, 3), -1);
	static const char *const near[] = { "from", "format" };
	assert_int_equal(sn_nearest("fromat", near, 2), 1); /* neighbours swapped: one slip */
	assert_int_equal(sn_nearest("frm", near, 2), 0);
}

static void numbers_read_back_as_the_same_bits(void **state)
{
	static const double x[] = { 0.1, 1.0 / 3, 1e300, 5e-324, -0.0, 123456789.123456789 };
	for (int i = 0; i < SN_COUNT(x); i++) {
		sn_buf buf = { .ctx = test_ctx(state) };
		double back;
		sn_write_number(&buf, x[i]);
		assert_true(sn_parse_f64(buf.data, &back));
		assert_memory_equal(&back, &x[i], sizeof back);
		sn_buf_free(&buf);
	}
}

static void texts_are_escaped(void **state)
{
	sn_buf buf = { .ctx = test_ctx(state) };
	sn_write_xml(&buf, "<a href='x'>&\x01\xff\xef\xbf\xbf"
					   "я</a>");
	assert_string_equal(buf.data, "&lt;a href=&#39;x&#39;&gt;&amp;\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
								  "я&lt;/a&gt;");
	sn_buf_free(&buf);
	sn_write_csv(&buf, "a \"b\", c");
	assert_string_equal(buf.data, "\"a \"\"b\"\", c\"");
	sn_buf_free(&buf);
	sn_write_json(&buf, "\x01\xe2\x82");
	assert_string_equal(buf.data, "\"\\u0001\xef\xbf\xbd\xef\xbf\xbd\"");
	sn_buf_free(&buf);
	sn_write_readable(&buf, -0.12345, 3);
	assert_string_equal(buf.data, "−0.123");
	sn_buf_free(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_fill_the_struct),
		cmocka_unit_test(bad_values_are_refused_with_what_was_expected),
		cmocka_unit_test(a_bad_default_is_our_own_error),
		cmocka_unit_test(names_take_either_dash),
		cmocka_unit_test(json_holds_every_value),
		cmocka_unit_test(help_names_units_ranges_and_defaults),
		cmocka_unit_test(the_nearest_word_is_found),
		cmocka_unit_test(numbers_read_back_as_the_same_bits),
		cmocka_unit_test(texts_are_escaped),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
