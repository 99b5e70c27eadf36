/* MiniLM's own tokenizer against the `tokenizers` package on hard texts and all sentences of the treebanks. */
#include "common/zoo.h"

#define FOLDER SN_MODELS "/all-MiniLM-L6-v2"

static void minilm_agrees(void **state)
{
	zoo z = { .ctx = test_ctx(state),
			  .about = zoo_load("texts", ".json"),
			  .golden = zoo_load("minilm", ".golden"),
			  .name = "MiniLM" };
	const char *name;
	json_t *blocks, *text;
	size_t i;
	assert_ok(z.ctx, sn_arena_open(&z.arena, z.ctx));
	assert_ok(z.ctx, sn_tokenizer_open_path(&z.t, z.ctx, FOLDER));
	assert_int_equal(sn_tokenizer_size(z.t), 30522);
	assert_string_equal(sn_tokenizer_kind(z.t), "WordPiece, 30522 tokens, 2 pre-tokenizer stages");
	json_array_foreach(json_object_get(z.about, "texts"), i, text) {
		sum s = { 0, SN_FNV_START };
		zoo_add(&z, json_string_value(text), json_string_length(text), &s);
		zoo_check(&z, &s, json_array_get(json_object_get(z.golden, "texts"), i), "text", i);
	}
	zoo_pairs(&z, json_object_get(z.golden, "pairs"), 0);
	json_object_foreach(json_object_get(z.golden, "treebanks"), name, blocks) zoo_treebank(&z, name, blocks);
	zoo_leave(&z);
}

int main(void)
{
	test_need_file(FOLDER "/tokenizer.json");
	test_need_file(SN_DATA "/ud/en_ewt-ud-dev.conllu");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(minilm_agrees),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
