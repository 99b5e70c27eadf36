/* What makes two sentences alike to all-MiniLM-L6-v2, against captum (tests/oracles/attribution_captum.py). */
#include "common/attribution.h"

static void scores_are_captums(void **state)
{
	attribution_check_file(test_ctx(state), SN_TESTS "/golden/attribution/minilm.json", 8);
}

int main(void)
{
	test_need_file(SN_MODELS "/all-MiniLM-L6-v2/model.safetensors");
	const struct CMUnitTest tests[] = { cmocka_unit_test(scores_are_captums) };
	return cmocka_run_group_tests(tests, test_open, test_close);
}
