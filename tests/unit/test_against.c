/* What is explained of a model without a head: how alike its vectors of two texts are. */
#include "common/method.h"
#include "report/report.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ITEMS = 1, GROUPS };

static const char TEXTS[] = "{\"text\": \"the old key is near the table\", \"against\": \"a boat\"}\n"
							"{\"text\": \"a boat\", \"against\": \"a boat\"}\n"
							"{\"text\": \"a boat\", \"against\": \"the key\"}\n";

static void open_encoder(method_run *r, sn_ctx *ctx, const char *name)
{
	method_open_arch(r, ctx, "attribute", name, "bert-base-only", "texts.jsonl", TEXTS);
}

/* As sentence-transformers writes it. */
static void write_pooling(const method_run *r, const char *json)
{
	char path[160];
	snprintf(path, sizeof path, "%s/1_Pooling", r->folder);
	mkdir(path, 0700);
	snprintf(path, sizeof path, "%s/1_Pooling/config.json", r->folder);
	assert_ok(r->ctx, sn_write_file(r->ctx, path, json, strlen(json)));
}

static void remove_pooling(const method_run *r)
{
	char path[160];
	snprintf(path, sizeof path, "%s/1_Pooling/config.json", r->folder);
	unlink(path);
	snprintf(path, sizeof path, "%s/1_Pooling", r->folder);
	rmdir(path);
}

/* Against itself it is its own length, which no other direction exceeds. */
static void a_text_is_most_like_itself(void **state)
{
	method_run r;
	open_encoder(&r, test_ctx(state), "leave-one-out");
	method_go(&r, (const char *[]){ NULL });
	double own = method_number(&r, ITEMS, 1, "value"), other = method_number(&r, ITEMS, 2, "value");
	assert_true(own > 0 && other < own);
	method_close(&r);
}

static void shares_sum_to_the_change(void **state)
{
	method_run r;
	open_encoder(&r, test_ctx(state), "deeplift");
	method_go(&r, (const char *[]){ "baseline=zero", NULL });
	assert_int_equal(sn_result_rows(r.result, ITEMS), 3);
	for (int64_t i = 0; i < 3; i++) {
		double rise = method_number(&r, ITEMS, i, "value") - method_number(&r, ITEMS, i, "baseline");
		assert_true(fabs(rise) > 1e-3);
		assert_true(fabs(method_number(&r, ITEMS, i, "gap")) < 1e-5 * (1 + fabs(rise)));
	}
	method_close(&r);
}

static void one_text_serves_for_all(void **state)
{
	method_run r;
	double value[2];
	open_encoder(&r, test_ctx(state), "gradient-x-input");
	method_go(&r, (const char *[]){ "against=the key", NULL });
	value[0] = method_number(&r, ITEMS, 2, "value");
	method_go(&r, (const char *[]){ NULL });
	value[1] = method_number(&r, ITEMS, 2, "value");
	assert_true(fabs(value[0] - value[1]) < 1e-6);
	method_close(&r);
}

static void the_folder_says_how_vectors_are_made(void **state)
{
	method_run r;
	open_encoder(&r, test_ctx(state), "saliency");
	method_go(&r, (const char *[]){ NULL });
	double mean = method_number(&r, ITEMS, 0, "value");
	write_pooling(&r, "{\"pooling_mode_cls_token\": false, \"pooling_mode_mean_tokens\": true}");
	method_go(&r, (const char *[]){ NULL });
	assert_true(method_number(&r, ITEMS, 0, "value") == mean);
	write_pooling(&r, "{\"pooling_mode_cls_token\": true, \"pooling_mode_mean_tokens\": false}");
	method_go(&r, (const char *[]){ NULL });
	assert_true(fabs(method_number(&r, ITEMS, 0, "value") - mean) > 1e-5);
	write_pooling(&r, "{\"pooling_mode_max_tokens\": true}");
	assert_int_equal(method_status(&r, (const char *[]){ NULL }), SN_EARG);
	assert_non_null(strstr(sn_error(r.ctx), "1_Pooling/config.json"));
	write_pooling(&r, "{");
	assert_int_equal(method_status(&r, (const char *[]){ NULL }), SN_EPARSE);
	remove_pooling(&r);
	method_close(&r);
}

static void without_another_text_nothing_is_predicted(void **state)
{
	method_run r;
	method_open_arch(&r, test_ctx(state), "attribute", "saliency", "bert-base-only", "texts.txt", "the old key\n");
	assert_int_equal(method_status(&r, (const char *[]){ NULL }), SN_EARG);
	assert_non_null(strstr(sn_error(r.ctx), "--against"));
	method_close(&r);
}

/* No place is predicted that tokens could stand before. */
static void groups_are_the_text_and_special_tokens(void **state)
{
	method_run r;
	open_encoder(&r, test_ctx(state), "saliency");
	method_go(&r, (const char *[]){ NULL });
	assert_int_equal(sn_result_rows(r.result, GROUPS), 2);
	for (int64_t i = 0; i < 2; i++) {
		const char *group = method_text(&r, GROUPS, i, "group");
		assert_true(strcmp(group, "text") == 0 || strcmp(group, "special token") == 0);
	}
	assert_int_equal(method_status(&r, (const char *[]){ "by=position", NULL }), SN_EARG);
	method_close(&r);
}

/* Words stand apart, pieces of one word do not. */
static void the_page_has_running_text(void **state)
{
	method_run r;
	sn_buf page = { .ctx = test_ctx(state) };
	method_open_arch(&r, test_ctx(state), "attribute", "saliency", "bert-base-only", "texts.txt", "the cats , old\n");
	method_go(&r, (const char *[]){ "against=a boat", NULL });
	assert_ok(r.ctx, sn_report_html(&page, r.result));
	static const char *const said[] = { ">[CLS]</span> <span", ">the</span> <span", ">cat</span><span",
		                                ">s</span> <span", ">old</span> <span", ">[SEP]</span><small" };
	for (int i = 0; i < SN_COUNT(said); i++)
		if (!strstr(page.data, said[i])) fail_msg("the page lacks %s", said[i]);
	sn_buf_free(&page);
	method_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(groups_are_the_text_and_special_tokens),
		                                cmocka_unit_test(the_page_has_running_text),
		                                cmocka_unit_test(a_text_is_most_like_itself),
		                                cmocka_unit_test(shares_sum_to_the_change),
		                                cmocka_unit_test(one_text_serves_for_all),
		                                cmocka_unit_test(the_folder_says_how_vectors_are_made),
		                                cmocka_unit_test(without_another_text_nothing_is_predicted) };
	return cmocka_run_group_tests(tests, test_open, test_close);
}
