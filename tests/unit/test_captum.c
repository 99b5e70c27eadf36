/* `sonde attribute` against captum (tests/oracles/attribution_captum.py): saliency, gradient x input, integrated
 * gradients at equal steps, and of a layer; DeepLIFT and ablation of encoder-decoders against torch
 * (attribution_deeplift.py, attribution_ablation.py). On tiny models. */
#include "common/attribution.h"

#include "data/result.h"
#include "io/json.h"

#include <math.h>
#include <string.h>

static void scores_are_captums(void **state)
{
	attribution_check_file(test_ctx(state), SN_TESTS "/golden/attribution/captum.json", 42);
}

static void shares_are_torchs(void **state)
{
	attribution_check_file(test_ctx(state), SN_TESTS "/golden/attribution/deeplift.json", 18);
}


/* ---- ablation ---- */

enum { ABLATED_SITES = 1, ABLATED_ITEMS, ABLATED_SITE = 2, ABLATED_LOSS, ABLATED_SIZE = 6, ABLATED_VALUE = 4 };

static double error_of(double found, double expected) { return fabs(found - expected) / (1 + fabs(expected)); }

/* Sites are in no order that both share. */
static double compare_site(const behaviour *b, json_t *site)
{
	const char *name = json_string_value(json_object_get(site, "site"));
	double loss = json_number_value(json_object_get(site, "loss"));
	double size = json_number_value(json_object_get(site, "size"));
	for (int64_t i = 0; i < sn_result_rows(b->result, ABLATED_SITES); i++) {
		const sn_value *row = sn_result_row(b->result, ABLATED_SITES, i);
		if (strcmp(row[ABLATED_SITE].s, name) != 0) continue;
		return fmax(error_of(row[ABLATED_LOSS].f, loss), error_of(row[ABLATED_SIZE].f, size));
	}
	fail_msg("%s is not there", name);
	return 0;
}

static double check_ablation(sn_ctx *ctx, json_t *c)
{
	behaviour b;
	double worst = 0, most = 0;
	json_t *sites = json_object_get(c, "sites"), *value = json_object_get(c, "value"), *site;
	size_t i;
	attribution_open(&b, ctx, json_string_value(json_object_get(c, "model")), json_object_get(c, "rows"));
	attribution_run(&b, c);
	assert_int_equal(sn_result_rows(b.result, ABLATED_SITES), json_array_size(sites));
	json_array_foreach(sites, i, site) {
		worst = fmax(worst, compare_site(&b, site));
		most = fmax(most, json_number_value(json_object_get(site, "size")));
	}
	for (i = 0; i < json_array_size(value); i++)
		worst = fmax(worst, error_of(sn_result_row(b.result, ABLATED_ITEMS, (int64_t)i)[ABLATED_VALUE].f,
		                             json_number_value(json_array_get(value, i))));
	behaviour_close(&b);
	if (!(worst < 1e-4 && most > 1e-2)) {
		char *text = json_dumps(json_object_get(c, "options"), 0);
		fail_msg("%s %s: error %g, largest size %g", json_string_value(json_object_get(c, "model")), text, worst, most);
	}
	return worst;
}

static void losses_are_torchs(void **state)
{
	sn_json *golden;
	double worst = 0;
	assert_ok(test_ctx(state), sn_json_load(&golden, test_ctx(state), SN_TESTS "/golden/attribution/ablation.json", 0));
	json_t *cases = json_object_get(golden->root, "cases"), *c;
	size_t i;
	assert_true(json_array_size(cases) >= 20);
	json_array_foreach(cases, i, c) worst = fmax(worst, check_ablation(test_ctx(state), c));
	print_message("%d cases of ablation, largest error %.1e\n", (int)json_array_size(cases), worst);
	sn_json_close(golden);
}

static void predictions_are_not_made_in_encoders(void **state)
{
	behaviour b;
	json_t *c = json_pack("{s:{ssss}}", "options", "at", "target", "sites", "encoder.blocks.*.hook_mlp_out");
	json_t *rows = json_pack("[{ssss}]", "source", "the old key", "target", "a boat");
	attribution_open(&b, test_ctx(state), "t5", rows);
	assert_int_equal(attribution_status(&b, c), SN_EARG);
	assert_non_null(strstr(sn_error(b.ctx), "not at encoder.blocks.0.hook_mlp_out"));
	json_decref(rows);
	json_decref(c);
	behaviour_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(scores_are_captums), cmocka_unit_test(shares_are_torchs),
	                                    cmocka_unit_test(losses_are_torchs),
	                                    cmocka_unit_test(predictions_are_not_made_in_encoders) };
	return cmocka_run_group_tests(tests, test_open, test_close);
}
