/* The English suite with SmolLM2's tokenizer: what a user gets from `sonde localize`. */
#include "common/items_check.h"

#include <string.h>

#define MODEL SN_MODELS "/SmolLM2-135M-Instruct.Q4_1.gguf"

static void the_english_suite_fits_smollm2(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	sn_model *model;
	const sn_phenomenon *p;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	assert_ok(ctx, sn_model_open(&model, ctx, MODEL));
	assert_ok(ctx, sn_phenomenon_open(&p, ctx, "en/number-agreement", arena));
	for (int e = 0; e < SN_EFFORTS; e++) {
		sn_items_size size = sn_items_preset((sn_effort)e);
		sn_items *items;
		assert_ok(ctx, sn_items_make(&items, ctx, p, sn_model_tokenizer(model), &size, 1, arena));
		check_items(ctx, items, p, sn_model_tokenizer(model));
		check_balance(items, 0, items->n_probe);
		assert_int_equal(items->n_choice, 20);
		assert_int_equal(items->n_lemma, 75);
		assert_int_equal(items->n_dropped, count_dropped(items, "token count") + count_dropped(items, "duplicate") +
											   count_dropped(items, "no partner lemma"));
		assert_true(items->n_dropped < items->n / 20);
	}
	sn_model_close(model);
	sn_arena_close(arena);
}

int main(void)
{
	test_need_file(MODEL);
	const struct CMUnitTest tests[] = { cmocka_unit_test(the_english_suite_fits_smollm2) };
	return cmocka_run_group_tests(tests, test_open, test_close);
}
