/* behaviour surprisal of SmolLM2 on 200 sentences of UD English EWT, against minicons: words with and without a
 * beginning-of-sequence token, and with the word-boundary correction; with the end of the text among what ends a word,
 * against transformers. */
#include "common/test.h"

#include "common/behaviour.h"
#include "io/json.h"

#define SMOLLM2 SN_MODELS "/SmolLM2-135M-Instruct.Q4_1.gguf"

enum { SURPRISAL = 5, CORRECTED = 6 };

typedef struct param {
	const char *column, *source, *context, *by, *join, *bos, *correction, *pll;
	int64_t window, stride, limit;
	bool entropy, tokens;
} param;

static void compare(behaviour *b, json_t *texts, const char *key, int column)
{
	json_t *text;
	size_t i;
	int64_t row = 0;
	json_array_foreach(texts, i, text) behaviour_check_words(b, text, key, column, &row);
	assert_int_equal(row, sn_result_rows(b->result, 0));
}

static void words_agree_with_minicons(void **state)
{
	enum { PLAIN = 20 };
	sn_ctx *ctx = test_ctx(state);
	sn_json *golden;
	assert_ok(ctx, sn_json_load(&golden, ctx, SN_TESTS "/golden/behaviour/smollm2.json", 0));
	json_t *texts = json_object_get(golden->root, "texts");
	assert_int_equal(json_array_size(texts), 200);
	param p = { "auto", "none", "row", "none", " ", "add", "space", "original", 0, 0, 0, false, false };
	behaviour b;
	behaviour_open_rows(&b, ctx, SMOLLM2, texts);
	behaviour_run(&b, "surprisal", &p);
	compare(&b, texts, "bos", SURPRISAL);
	compare(&b, texts, "space", CORRECTED);
	p.correction = "space+end";
	behaviour_run(&b, "surprisal", &p);
	compare(&b, texts, "end", CORRECTED);
	p.correction = "none";
	p.bos = "auto";
	p.limit = PLAIN;
	behaviour_run(&b, "surprisal", &p);
	compare(&b, texts, "plain", SURPRISAL); /* later sentences have none */
	behaviour_close(&b);
	sn_json_close(golden);
}

int main(void)
{
	test_need_file(SMOLLM2);
	const struct CMUnitTest tests[] = { cmocka_unit_test(words_agree_with_minicons) };
	return cmocka_run_group_tests(tests, test_open, test_close);
}
