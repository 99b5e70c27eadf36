/* behaviour surprisal and the pseudo-log-likelihoods of behaviour pairs: what minicons and transformers say of the tiny
 * models (tests/oracles/surprisal.py), and what must hold of windows, words and entropies. */
#include "common/test.h"

#include "common/behaviour.h"
#include "io/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SENTENCE, SENTENCE_ID, WORD, FORM, N_TOKENS, SURPRISAL, CORRECTED, ENTROPY, SHARED };
enum { T_WORD = 1, T_POSITION, T_TOKEN, T_ID, T_SURPRISAL, T_ENTROPY };

typedef struct param {
	const char *column, *source, *context, *by, *join, *bos, *correction, *pll;
	int64_t window, stride, limit;
	bool entropy, tokens;
} param;

static const param defaults = { "auto", "none", "row", "none", " ", "auto", "none", "original", 0, 0, 0, false, false };

/* ---- the tiny Llama ---- */

static void words_agree_with_minicons(void **state)
{
	static const struct {
		const char *key, *bos, *correction;
		int column;
	} cases[] = {
		{ "plain", "auto", "none", SURPRISAL },
		{ "bos", "add", "none", SURPRISAL },
		{ "space", "add", "space", CORRECTED },
		{ "end", "add", "space+end", CORRECTED },
	};
	sn_ctx *ctx = test_ctx(state);
	sn_json *golden;
	assert_ok(ctx, sn_json_load(&golden, ctx, SN_TESTS "/golden/behaviour/causal.json", 0));
	json_t *texts = json_object_get(golden->root, "texts"), *text;
	for (int c = 0; c < SN_COUNT(cases); c++) {
		behaviour b;
		param p = defaults;
		size_t i;
		int64_t row = 0;
		p.bos = cases[c].bos;
		p.correction = cases[c].correction;
		behaviour_open_tiny(&b, ctx, texts);
		behaviour_run(&b, "surprisal", &p);
		json_array_foreach(texts, i, text) behaviour_check_words(&b, text, cases[c].key, cases[c].column, &row);
		assert_int_equal(row, sn_result_rows(b.result, 0));
		behaviour_close(&b);
	}
	sn_json_close(golden);
}

/* What stands alone with its last tokens: a row of its own, read by sn_run. */
static double alone(behaviour *b, const int32_t *id, int64_t first, int64_t end)
{
	double score;
	int32_t want = id[end];
	sn_goal goal = { .metric = SN_LOSS, .where = { .sel = SN_LAST }, .want = &want, .n_want = 1 };
	sn_plan plan = { .size = sizeof plan, .n_goal = 1, .goal = &goal };
	sn_batch batch = { .n = 1, .token = id + first, .start = (int64_t[]){ 0, end - first } };
	assert_ok(b->ctx, sn_run(b->ctx, b->model, &batch, &plan, NULL, &score));
	return score / log(2);
}

static void windows_keep_their_promise(void **state)
{
	enum { WINDOW = 8, STRIDE = 3 };
	behaviour b;
	param p = defaults;
	p.window = WINDOW;
	p.stride = STRIDE;
	p.tokens = true;
	behaviour_open_lines(&b, test_ctx(state), SN_TESTS "/golden/tiny/gqa-tied",
						 "The keys to the cabinet are on the table, it seems.\n");
	behaviour_run(&b, "surprisal", &p);
	int64_t n = sn_result_rows(b.result, 1);
	int32_t id[64];
	assert_true(n > 2 * WINDOW && n < 64);
	for (int64_t t = 0; t < n; t++) id[t] = (int32_t)sn_result_row(b.result, 1, t)[T_ID].i;
	assert_true(isnan(sn_result_row(b.result, 1, 0)[T_SURPRISAL].f));
	for (int64_t t = 1; t < n; t++) {
		int64_t first =
			t <= WINDOW ? 0 : (t - WINDOW + STRIDE - 1) / STRIDE * STRIDE; /* the first window that reaches it */
		assert_true(t - first > WINDOW - STRIDE || first == 0);
		assert_true(fabs(sn_result_row(b.result, 1, t)[T_SURPRISAL].f - alone(&b, id, first, t)) < 1e-4);
	}
	behaviour_close(&b);
}

static void a_document_is_read_as_one_text(void **state)
{
	behaviour rows, whole;
	param p = defaults;
	p.context = "document";
	behaviour_open_lines(&rows, test_ctx(state), SN_TESTS "/golden/tiny/gqa-tied", "The keys\nare on\nthe table.\n");
	behaviour_run(&rows, "surprisal", &p);
	p.context = "row";
	behaviour_open_lines(&whole, test_ctx(state), SN_TESTS "/golden/tiny/gqa-tied", "The keys are on the table.\n");
	behaviour_run(&whole, "surprisal", &p);
	static const int sentence[] = { 1, 1, 2, 2, 3, 3 };
	assert_int_equal(sn_result_rows(rows.result, 0), 6);
	for (int64_t i = 0; i < 6; i++) {
		const sn_value *a = sn_result_row(rows.result, 0, i), *b = sn_result_row(whole.result, 0, i);
		assert_int_equal(a[SENTENCE].i, sentence[i]);
		assert_string_equal(a[FORM].s, b[FORM].s);
		assert_string_equal(a[WORD].s, i % 2 ? "2" : "1");
		assert_true(i == 0 ? isnan(a[SURPRISAL].f) && isnan(b[SURPRISAL].f) : a[SURPRISAL].f == b[SURPRISAL].f);
	}
	behaviour_close(&rows);
	behaviour_close(&whole);
}

static const char treebank[] =
	"# newdoc id = a\n# sent_id = s1\n# text = I don't run.\n"
	"1\tI\tI\tPRON\t_\t_\t3\tnsubj\t_\t_\n2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\t_\n2\tdo\tdo\tAUX\t_\t_\t4\taux\t_\t_\n"
	"3\tn't\tnot\tPART\t_\t_\t4\tadvmod\t_\t_\n4\trun\trun\tVERB\t_\t_\t0\troot\t_\tSpaceAfter=No\n"
	"4.1\trun\trun\tVERB\t_\t_\t_\t_\t_\t_\n5\t.\t.\tPUNCT\t_\t_\t4\tpunct\t_\t_\n\n";

static void words_are_the_treebanks(void **state)
{
	static const char *const id[] = { "1", "2-3", "4", "5" }, *const form[] = { "I", "don't", "run", "." };
	behaviour b;
	param p = defaults;
	p.tokens = true;
	p.correction = "space";
	p.bos = "add";
	behaviour_open_data(&b, test_ctx(state), SN_TESTS "/golden/tiny/gqa-tied", "data.conllu", treebank);
	behaviour_run(&b, "surprisal", &p);
	assert_int_equal(sn_result_rows(b.result, 0), 4);
	double words = 0, tokens = 0;
	for (int64_t i = 0; i < 4; i++) {
		const sn_value *row = sn_result_row(b.result, 0, i);
		assert_string_equal(row[WORD].s, id[i]);
		assert_string_equal(row[FORM].s, form[i]);
		assert_string_equal(row[SENTENCE_ID].s, "s1");
		assert_true(row[N_TOKENS].i > 0 && !row[SHARED].i);
		words += row[SURPRISAL].f;
	}
	for (int64_t t = 0; t < sn_result_rows(b.result, 1); t++) tokens += sn_result_row(b.result, 1, t)[T_SURPRISAL].f;
	assert_true(fabs(words - tokens) < 1e-9);
	/* "run" is not ended by white space, and is divided by what begins it: so the correction cannot make it larger */
	assert_true(sn_result_row(b.result, 0, 2)[CORRECTED].f <= sn_result_row(b.result, 0, 2)[SURPRISAL].f);
	assert_true(sn_result_row(b.result, 0, 3)[CORRECTED].f >= sn_result_row(b.result, 0, 3)[SURPRISAL].f);
	behaviour_close(&b);
}

/* ---- the tiny BERT ---- */

static void masked_tokens_agree_with_minicons(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *golden;
	assert_ok(ctx, sn_json_load(&golden, ctx, SN_TESTS "/golden/behaviour/masked.json", 0));
	json_t *texts = json_object_get(golden->root, "texts"), *text, *value;
	behaviour b;
	param p = defaults;
	size_t i, j;
	int64_t row = 0;
	p.tokens = true;
	behaviour_open_arch(&b, ctx, "bert", texts);
	behaviour_run(&b, "surprisal", &p);
	json_array_foreach(texts, i, text) {
		json_array_foreach(json_object_get(text, "original"), j, value) {
			double found = sn_result_row(b.result, 1, row++)[T_SURPRISAL].f;
			assert_true(fabs(found - json_number_value(value)) < 1e-4);
		}
	}
	assert_int_equal(row, sn_result_rows(b.result, 1));
	behaviour_close(&b);
	sn_json_close(golden);
}

/* Its words are those of the table; without punctuation they are the tokenizer's too. */
static void l2r_hides_the_rest_of_a_word(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *golden;
	assert_ok(ctx, sn_json_load(&golden, ctx, SN_TESTS "/golden/behaviour/masked.json", 0));
	json_t *all = json_object_get(golden->root, "texts"), *texts = json_array(), *text, *value;
	size_t i, j;
	json_array_foreach(all, i, text)
		if (!strpbrk(json_string_value(json_object_get(text, "text")), ".,'")) json_array_append(texts, text);
	assert_int_equal(json_array_size(texts), 3);
	behaviour b;
	param p = defaults;
	int64_t row = 0;
	p.tokens = true;
	p.pll = "within_word_l2r";
	behaviour_open_arch(&b, ctx, "bert", texts);
	behaviour_run(&b, "surprisal", &p);
	json_array_foreach(texts, i, text) {
		json_array_foreach(json_object_get(text, "within_word_l2r"), j, value) {
			double found = sn_result_row(b.result, 1, row++)[T_SURPRISAL].f;
			assert_true(fabs(found - json_number_value(value)) < 1e-4);
		}
	}
	behaviour_close(&b);
	json_decref(texts);
	sn_json_close(golden);
}

static double sum(json_t *list)
{
	double s = 0;
	size_t i;
	json_t *value;
	json_array_foreach(list, i, value) s += json_number_value(value);
	return s;
}

static void pairs_score_both_ways(void **state)
{
	static const char *const metric[] = { "original", "within_word_l2r" };
	sn_ctx *ctx = test_ctx(state);
	sn_json *golden;
	assert_ok(ctx, sn_json_load(&golden, ctx, SN_TESTS "/golden/behaviour/masked.json", 0));
	json_t *texts = json_object_get(golden->root, "texts");
	for (int m = 0; m < 2; m++) {
		struct {
			const char *good, *bad, *by, *source, *score;
			int64_t limit;
			const char *pll;
		} p = { "text", "text", "none", "none", "sum", 0, metric[m] };
		behaviour b;
		behaviour_open_arch(&b, ctx, "bert", texts);
		behaviour_run(&b, "pairs", &p);
		for (size_t i = 0; i < json_array_size(texts); i++) {
			double found = sn_result_row(b.result, 1, (int64_t)i)[6].f / -log(2);
			assert_true(fabs(found - sum(json_object_get(json_array_get(texts, i), metric[m]))) < 1e-3);
		}
		behaviour_close(&b);
	}
	sn_json_close(golden);
}

/* ---- the tiny T5 ---- */

static void targets_agree_with_transformers(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *golden;
	assert_ok(ctx, sn_json_load(&golden, ctx, SN_TESTS "/golden/behaviour/seq2seq.json", 0));
	json_t *rows = json_object_get(golden->root, "rows"), *row;
	struct {
		const char *good, *bad, *by, *source, *score;
		int64_t limit;
		const char *pll;
	} p = { "target", "target", "none", "source", "sum", 0, "original" };
	behaviour b;
	size_t i;
	behaviour_open_arch(&b, ctx, "t5", rows);
	behaviour_run(&b, "pairs", &p);
	json_array_foreach(rows, i, row)
		assert_true(fabs(sn_result_row(b.result, 1, (int64_t)i)[6].f - json_number_value(json_object_get(row, "sum"))) <
					1e-4);
	behaviour_close(&b);
	param q = defaults;
	q.column = "target";
	q.source = "source";
	q.tokens = true;
	int64_t at = 0;
	behaviour_open_arch(&b, ctx, "t5", rows);
	behaviour_run(&b, "surprisal", &q);
	json_array_foreach(rows, i, row) {
		json_t *each = json_object_get(row, "each");
		for (size_t j = 1; j + 1 < json_array_size(each); j++) { /* [CLS] and [SEP] are no words */
			double found = sn_result_row(b.result, 1, at++)[T_SURPRISAL].f;
			assert_true(fabs(found + json_number_value(json_array_get(each, j)) / log(2)) < 1e-4);
		}
	}
	behaviour_close(&b);
	sn_json_close(golden);
}

static void what_cannot_be_is_refused(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	behaviour b;
	param p = defaults;
	p.correction = "space";
	json_t *texts = json_pack("[{s:s}]", "text", "the cat");
	behaviour_open_arch(&b, ctx, "bert", texts);
	assert_int_equal(behaviour_status(&b, "surprisal", &p), SN_EARG);
	assert_non_null(strstr(sn_error(ctx), "left to right"));
	behaviour_close(&b);
	p = defaults;
	behaviour_open_arch(&b, ctx, "t5", texts);
	assert_int_equal(behaviour_status(&b, "surprisal", &p), SN_EARG);
	assert_non_null(strstr(sn_error(ctx), "--source"));
	p.source = "nothing";
	assert_int_equal(behaviour_status(&b, "surprisal", &p), SN_ENOTFOUND);
	behaviour_close(&b);
	json_decref(texts);
	p = defaults;
	p.window = 4;
	p.stride = 9;
	behaviour_open_lines(&b, ctx, SN_TESTS "/golden/tiny/gqa-tied", "a b\n");
	assert_int_equal(behaviour_status(&b, "surprisal", &p), SN_EARG);
	assert_non_null(strstr(sn_error(ctx), "stride"));
	behaviour_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_agree_with_minicons),
		cmocka_unit_test(windows_keep_their_promise),
		cmocka_unit_test(a_document_is_read_as_one_text),
		cmocka_unit_test(words_are_the_treebanks),
		cmocka_unit_test(masked_tokens_agree_with_minicons),
		cmocka_unit_test(l2r_hides_the_rest_of_a_word),
		cmocka_unit_test(pairs_score_both_ways),
		cmocka_unit_test(targets_agree_with_transformers),
		cmocka_unit_test(what_cannot_be_is_refused),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
