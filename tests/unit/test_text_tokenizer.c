/* Byte-level BPE from tokenizer.json against the golden file, with a small vocabulary that needs no model. */
#include "common/tokenizer_golden.h"

static void small_tokenizers_agree_with_the_golden_file(void **state)
{
	static const char *const names[] = { "small-smollm", "small-gpt2" };
	sn_ctx *ctx = test_ctx(state);
	for (int i = 0; i < SN_COUNT(names); i++) {
		char path[256];
		sn_tokenizer *t;
		sn_format(path, sizeof path, SN_TESTS "/golden/tokenizer/%s.json", names[i]);
		assert_ok(ctx, sn_tokenizer_open_json(&t, ctx, path));
		assert_int_equal(sn_tokenizer_size(t), 1059);
		assert_true(golden_torture(ctx, t, names[i]) > 50);
		sn_tokenizer_close(t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_tokenizers_agree_with_the_golden_file),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
