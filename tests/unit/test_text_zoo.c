/* Small tokenizers of every common make against the `tokenizers` package (tests/golden/tokenizer/zoo): ids, character
 * offsets and decoded text of the treebanks' sentences, of hard texts, and of 100,000 random strings. */
#include "common/zoo.h"

#include <string.h>
#include <unistd.h>

/* Random strings take a while where every access is checked. */
#ifdef __SANITIZE_ADDRESS__
enum { EVERY_BLOCK = 10 };
#else
enum { EVERY_BLOCK = 1 };
#endif

static const char *const names[] = {
	"bert-cased", "bert-uncased", "bert-russian", "roberta",  "clip", "llama3", "qwen",          "deepseek",
	"llama2",     "mistral",      "wordlevel",    "prefixed", "t5",   "xlmr",   "unigram-bytes",
};

static void hard_texts_agree(void **state)
{
	for (int k = 0; k < SN_COUNT(names); k++) {
		zoo z = zoo_enter(test_ctx(state), names[k]);
		const json_t *texts = json_object_get(z.about, "texts"), *golden = json_object_get(z.golden, "texts");
		json_t *text;
		size_t i;
		assert_true(json_array_size(texts) > 100 && json_array_size(texts) == json_array_size(golden));
		json_array_foreach(texts, i, text) {
			sum s = { 0, SN_FNV_START };
			zoo_add(&z, json_string_value(text), json_string_length(text), &s);
			zoo_check(&z, &s, json_array_get(golden, i), "text", i);
		}
		zoo_leave(&z);
	}
}

static void pairs_agree(void **state)
{
	for (int k = 0; k < SN_COUNT(names); k++) {
		zoo z = zoo_enter(test_ctx(state), names[k]);
		zoo_pairs(&z, json_object_get(z.golden, "pairs"), 0);
		zoo_leave(&z);
	}
}

/* ---- variants ---- */

/* The base document with a record's change: members replaced, options of the model one by one. */
static json_t *document_of(const json_t *record)
{
	json_t *document = zoo_load(json_string_value(json_object_get(record, "base")), ".json"), *value;
	const char *key;
	json_object_foreach(json_object_get(record, "change"), key, value) {
		if (strcmp(key, "model") == 0)
			json_object_update(json_object_get(document, key), value);
		else
			json_object_set(document, key, value);
	}
	return document;
}

static void check_variant(zoo *z, const json_t *record, size_t per_block, size_t number)
{
	json_t *document = document_of(record);
	char *json = json_dumps(document, JSON_COMPACT),
		 *change = json_dumps(json_object_get(record, "change"), JSON_COMPACT);
	z->name = change;
	assert_ok(z->ctx, sn_tokenizer_parse_json(&z->t, z->ctx, (sn_slice){ json, strlen(json) }, change));
	zoo_sums(z, record, per_block, number);
	sn_tokenizer_close(z->t);
	free(json);
	free(change);
	json_decref(document);
}

static void every_option_of_every_stage_agrees(void **state)
{
	zoo z = { .ctx = test_ctx(state), .about = zoo_load("texts", ".json") };
	char *data, *line;
	size_t size, n = 0, per_block = 0;
	sn_arena *lines;
	assert_ok(z.ctx, sn_arena_open(&z.arena, z.ctx));
	assert_ok(z.ctx, sn_arena_open(&lines, z.ctx));
	assert_ok(z.ctx, sn_read_file(z.ctx, ZOO "variants.jsonl", 1 << 24, lines, &data, &size));
	for (; (line = strtok_r(data, "\n", &data)); n++) {
		json_t *record = json_loads(line, 0, NULL);
		if (n == 0)
			per_block = (size_t)json_integer_value(json_object_get(record, "block"));
		else
			check_variant(&z, record, per_block, n);
		json_decref(record);
	}
	assert_true(n > 130);
	sn_arena_close(lines);
	sn_arena_close(z.arena);
	json_decref(z.about);
}

/* ---- folders ---- */

static void folders_without_tokenizer_json_agree(void **state)
{
	zoo z = { .ctx = test_ctx(state),
			  .about = zoo_load("texts", ".json"),
			  .golden = zoo_load("../folders/golden", ".json") };
	size_t per_block = (size_t)json_integer_value(json_object_get(z.golden, "block")), n = 0;
	json_t *record;
	assert_ok(z.ctx, sn_arena_open(&z.arena, z.ctx));
	json_object_foreach(json_object_get(z.golden, "folders"), z.name, record) {
		char path[512];
		sn_format(path, sizeof path, SN_TESTS "/golden/tokenizer/folders/%s", z.name);
		assert_ok(z.ctx, sn_tokenizer_open_path(&z.t, z.ctx, path));
		zoo_sums(&z, record, per_block, n++);
		sn_tokenizer_close(z.t);
	}
	assert_int_equal(n, 8);
	sn_arena_close(z.arena);
	json_decref(z.about);
	json_decref(z.golden);
}

/* ---- treebanks ---- */

static void every_sentence_of_the_treebanks_agrees(void **state)
{
	if (access(SN_DATA "/ud/en_ewt-ud-dev.conllu", R_OK) != 0) skip();
	for (int k = 0; k < SN_COUNT(names); k++) {
		zoo z = zoo_enter(test_ctx(state), names[k]);
		const char *name;
		json_t *blocks;
		json_object_foreach(json_object_get(z.golden, "treebanks"), name, blocks) zoo_treebank(&z, name, blocks);
		zoo_leave(&z);
	}
}

/* ---- random strings ---- */

static void random_strings_agree(void **state)
{
	for (int k = 0; k < SN_COUNT(names); k++) {
		zoo z = zoo_enter(test_ctx(state), names[k]);
		const json_t *golden = json_object_get(z.golden, "random");
		uint64_t per_block = (uint64_t)json_integer_value(json_object_get(z.about, "strings"));
		sn_buf text = { .ctx = z.ctx };
		assert_int_equal(json_array_size(golden) * per_block, 100000);
		for (size_t block = 0; block < json_array_size(golden); block += EVERY_BLOCK) {
			sum s = { 0, SN_FNV_START };
			for (uint64_t i = block * per_block; i < (block + 1) * per_block; i++) {
				zoo_string(z.about, i, &text);
				zoo_add(&z, text.size ? text.data : "", text.size, &s);
			}
			zoo_check(&z, &s, json_array_get(golden, block), "block", block);
		}
		sn_buf_free(&text);
		zoo_leave(&z);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hard_texts_agree),
		cmocka_unit_test(pairs_agree),
		cmocka_unit_test(every_option_of_every_stage_agrees),
		cmocka_unit_test(folders_without_tokenizer_json_agree),
		cmocka_unit_test(every_sentence_of_the_treebanks_agrees),
		cmocka_unit_test(random_strings_agree),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
