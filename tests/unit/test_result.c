/* Results: typed rows, sentences, running a method. */
#include "common/test.h"
#include "data/result.h"
#include "data/russian.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct param {
	int64_t layers;
} param;

static const sn_param params[] = {
	{ .name = "layers",
	  .help = "layers",
	  .def = "3",
	  .type = SN_TYPE_INT,
	  .off = offsetof(param, layers),
	  .min = 1,
	  .max = 1000 },
};
static const sn_col cells[] = {
	{ .name = "layer", .type = SN_TYPE_INT, .role = SN_DIM },
	{ .name = "role", .type = SN_TYPE_TEXT, .role = SN_DIM },
	{ .name = "E", .type = SN_TYPE_FLOAT, .role = SN_MEASURE },
	{ .name = "sure", .type = SN_TYPE_BOOL, .role = SN_TEXT },
};
static const sn_table tables[] = {
	{ .name = "cells", .title = "Cells", .col = cells, .n_col = SN_COUNT(cells), .view = SN_VIEW_LINE }
};

static sn_status run(sn_ctx *ctx, const sn_input *input, const void *p, sn_result *out)
{
	(void)input;
	int64_t layers = ((const param *)p)->layers;
	for (int64_t l = 0; l < layers; l++) {
		SN_TRY(sn_poll(ctx));
		SN_TRY(SN_ADD(out, 0, sn_int(l), sn_text(l % 2 ? "last" : "subject"), sn_num(0.5 * (double)l), sn_none()));
	}
	return sn_result_say(out, "%lld layers.", (long long)layers);
}

static const sn_method method = { .family = "test",
								  .name = "cells",
								  .brief = "b",
								  .param = params,
								  .n_param = 1,
								  .param_size = sizeof(param),
								  .table = tables,
								  .n_table = 1,
								  .run = run };

static sn_result *open_result(void **state)
{
	sn_result *r;
	assert_ok(test_ctx(state), sn_result_open(&r, test_ctx(state), &method));
	return r;
}

static void a_method_runs_with_defaults_and_leaves_its_provenance(void **state)
{
	sn_result *r = open_result(state);
	assert_ok(test_ctx(state), sn_method_run(test_ctx(state), &method, &(sn_input){ .model = { NULL } }, NULL, r));
	assert_int_equal(sn_result_rows(r, 0), 3);
	assert_string_equal(sn_result_row(r, 0, 1)[1].s, "last");
	assert_true(sn_value_missing(SN_TYPE_BOOL, &sn_result_row(r, 0, 2)[3]));
	assert_string_equal(sn_result_line(r, SN_LINE_SUMMARY, 0)->text, "3 layers.");
	assert_null(sn_result_line(r, SN_LINE_SUMMARY, 1));
	assert_string_equal(sn_result_param_json(r), "{\"layers\": 3}");
	bool seed = false;
	for (int i = 0; sn_result_line(r, SN_LINE_PROVENANCE, i); i++)
		seed |= strcmp(sn_result_line(r, SN_LINE_PROVENANCE, i)->key, "seed") == 0;
	assert_true(seed);
	sn_result_close(r);
}

static void many_rows_keep_their_values(void **state)
{
	sn_result *r = open_result(state);
	for (int64_t i = 0; i < 20000; i++)
		assert_ok(test_ctx(state),
				  SN_ADD(r, 0, sn_int(i), sn_text(i % 3 ? "a" : "b"), sn_num((double)i / 7), sn_flag(i % 2)));
	assert_int_equal(sn_result_rows(r, 0), 20000);
	for (int64_t i = 0; i < 20000; i++) {
		const sn_value *v = sn_result_row(r, 0, i);
		assert_int_equal(v[0].i, i);
		assert_string_equal(v[1].s, i % 3 ? "a" : "b");
		assert_true(v[2].f == (double)i / 7 && v[3].i == i % 2);
	}
	assert_null(sn_result_row(r, 0, 20000));
	assert_null(sn_result_row(r, 1, 0));
	sn_result_close(r);
}

static void rows_that_break_the_declaration_are_refused(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_result *r = open_result(state);
	assert_int_equal(SN_ADD(r, 0, sn_int(1)), SN_EINTERNAL);
	assert_int_equal(SN_ADD(r, 1, sn_int(1)), SN_EINTERNAL);
	assert_int_equal(SN_ADD(r, 0, sn_int(1), sn_num(1), sn_num(1), sn_flag(true)), SN_EINTERNAL);
	assert_non_null(strstr(sn_error(ctx), "column role: expected TEXT, found FLOAT"));
	assert_int_equal(sn_result_rows(r, 0), 0);
	sn_result_close(r);
}

static void a_cancelled_run_keeps_its_rows(void **state)
{
	sn_ctx *ctx;
	sn_options options = { .size = sizeof options };
	assert_int_equal(sn_ctx_open(&ctx, &options), SN_OK);
	sn_result *r;
	assert_ok(ctx, sn_result_open(&r, ctx, &method));
	assert_ok(ctx, SN_ADD(r, 0, sn_int(0), sn_text("a"), sn_num(NAN), sn_flag(true)));
	sn_cancel(ctx);
	assert_int_equal(sn_method_run(ctx, &method, &(sn_input){ .model = { NULL } }, NULL, r), SN_ECANCEL);
	assert_int_equal(sn_result_rows(r, 0), 1);
	sn_result_close(r);
	sn_ctx_close(ctx);
	(void)state;
}

static void a_missing_input_is_named(void **state)
{
	sn_method needy = method;
	needy.needs = SN_NEEDS_MODEL;
	sn_result *r = open_result(state);
	assert_int_equal(sn_method_run(test_ctx(state), &needy, &(sn_input){ .model = { NULL } }, NULL, r), SN_EARG);
	assert_non_null(strstr(sn_error(test_ctx(state)), "--model"));
	sn_result_close(r);
}

static void a_missing_interval_is_not_written(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_result *r;
	assert_ok(ctx, sn_result_open(&r, ctx, sn_method_find("probe", "linear")));
	assert_ok(ctx, sn_result_say(r, "tau %.2f [%.2f, %.2f], then %.1f [%.1f, %.1f].", 0.25, NAN, NAN, 1.5, -NAN, NAN));
	assert_ok(ctx, sn_result_say(r, "tau %.2f [%.2f, %.2f].", 0.25, 0.1, 0.4));
	assert_string_equal(sn_result_line(r, SN_LINE_SUMMARY, 0)->text, "tau 0.25, then 1.5.");
	assert_string_equal(sn_result_line(r, SN_LINE_SUMMARY, 1)->text, "tau 0.25 [0.10, 0.40].");
	sn_result_close(r);
}

static void provenance_is_replaced_not_repeated(void **state)
{
	sn_result *r = open_result(state);
	assert_ok(test_ctx(state), sn_result_set(r, "items", "%d", 1));
	assert_ok(test_ctx(state), sn_result_set(r, "items", "%d", 2));
	assert_string_equal(sn_result_line(r, SN_LINE_PROVENANCE, 0)->text, "2");
	assert_null(sn_result_line(r, SN_LINE_PROVENANCE, 1));
	sn_result_close(r);
}

/* Reads the conversion at a '%' ("%2$.1f"): its place (0: the next one) and what follows the place, as "%.1f". */
static const char *conversion(const char *at, int *place, char *out, size_t size)
{
	const char *digits = ++at;
	*place = 0;
	while (*at >= '0' && *at <= '9') *place = 10 * *place + *at++ - '0';
	if (*at != '$') at = digits, *place = 0;
	else at++;
	size_t n = strcspn(at, "sdfuxg") + 1;
	snprintf(out, size, "%%%.*s", (int)n, at);
	return at + n;
}

/* Lists the conversions of a format by the argument that they take; returns their number. */
static int conversions(const char *format, char list[16][16])
{
	int n = 0;
	for (const char *at = strchr(format, '%'); at; at = strchr(at, '%')) {
		char what[16];
		int place;
		if (at[1] == '%' || at[1] == ' ' || at[1] == 0) {
			at += 1 + (at[1] == '%');
			continue;
		}
		at = conversion(at, &place, what, sizeof what);
		assert_true(n < 16);
		strcpy(list[place ? place - 1 : n], what);
		n++;
	}
	return n;
}

/* A translated format takes the arguments of the English one, each once. */
static void russian_formats_take_the_same_arguments(void **state)
{
	(void)state;
	int texts = 0, formats = 0;
	for (const sn_ru_text *t; (t = sn_ru_text_at(texts)); texts++) {
		char english[16][16] = { { 0 } }, russian[16][16] = { { 0 } };
		int n = conversions(t->english, english);
		if (conversions(t->russian, russian) != n || memcmp(english, russian, sizeof english) != 0)
			fail_msg("\"%s\" and \"%s\" take different arguments", t->english, t->russian);
		formats += n > 0;
		assert_string_equal(sn_ru(t->english), t->russian);
	}
	assert_true(texts > 200 && formats > 30);
	assert_string_equal(sn_ru("no such text"), "no such text");
	assert_string_equal(sn_ru_name("subject", SN_RU_GEN), "подлежащего");
	assert_string_equal(sn_ru_name("wug", SN_RU_GEN), "wug");
}

/* Whether a text has a word of four Latin letters: more than symbols. */
static bool has_words(const char *text)
{
	for (int run = 0; *text; text++) {
		run = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ? run + 1 : 0;
		if (run == 4) return true;
	}
	return false;
}

/* What localize declares is all in the table: a text changed in English only would stay English. */
static void russian_knows_what_localize_declares(void **state)
{
	sn_result *r;
	const sn_method *m = sn_method_find("", "localize");
	assert_ok(test_ctx(state), sn_result_open(&r, test_ctx(state), m));
	assert_ok(test_ctx(state), sn_result_in_russian(r));
	assert_string_not_equal(sn_result_method(r)->brief, m->brief);
	assert_string_not_equal(sn_result_method(r)->doc, m->doc);
	for (int t = 0; t < m->n_table; t++) {
		const sn_table *english = &m->table[t], *russian = &sn_result_method(r)->table[t];
		assert_string_not_equal(russian->title, english->title);
		if (english->caption && strcmp(english->caption, russian->caption) == 0) fail_msg("%s", english->caption);
		for (int c = 0; c < english->n_col; c++) {
			const char *title = english->col[c].title;
			if (title && has_words(title) && strcmp(title, russian->col[c].title) == 0) fail_msg("%s", title);
		}
	}
	sn_result_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_method_runs_with_defaults_and_leaves_its_provenance),
		cmocka_unit_test(many_rows_keep_their_values),
		cmocka_unit_test(rows_that_break_the_declaration_are_refused),
		cmocka_unit_test(a_cancelled_run_keeps_its_rows),
		cmocka_unit_test(a_missing_input_is_named),
		cmocka_unit_test(a_missing_interval_is_not_written),
		cmocka_unit_test(provenance_is_replaced_not_repeated),
		cmocka_unit_test(russian_formats_take_the_same_arguments),
		cmocka_unit_test(russian_knows_what_localize_declares),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
