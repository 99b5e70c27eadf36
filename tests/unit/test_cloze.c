/* behaviour cloze against minicons and transformers (tests/oracles/surprisal.py), behaviour templates against single
 * runs of the model. */
#include "common/test.h"

#include "common/behaviour.h"
#include "io/json.h"

#include <math.h>
#include <string.h>

#define TINY SN_TESTS "/golden/tiny/gqa-tied"

typedef struct cloze_param {
	const char *column, *candidates, *pll;
	int64_t top, limit;
} cloze_param;
typedef struct templates_param {
	const char *column, *pll;
	int64_t limit;
} templates_param;

enum { CANDIDATES, GAPS, TOP };
enum { C_ROW, C_CANDIDATE, C_TOKENS, C_LOGPROB, C_PROBABILITY, C_SHARE, C_RANK };
enum { EDITS, MEANS, TEXTS };
enum { E_ROW, E_SLOT, E_FROM, E_TO, E_TARGET, E_BEFORE, E_AFTER, E_CHANGE, E_BITS, E_TEXTS };

/* ---- cloze ---- */

static void masked_gaps_agree_with_minicons(void **state)
{
	static const char *const metric[] = { "within_word_l2r", "original" };
	sn_ctx *ctx = test_ctx(state);
	sn_json *golden;
	assert_ok(ctx, sn_json_load(&golden, ctx, SN_TESTS "/golden/behaviour/masked.json", 0));
	json_t *gaps = json_object_get(golden->root, "clozes"), *gap;
	for (int m = 0; m < 2; m++) {
		cloze_param p = { "text", "word", metric[m], 3, 0 };
		behaviour b;
		size_t i;
		behaviour_open_arch(&b, ctx, "bert", gaps);
		behaviour_run(&b, "cloze", &p);
		json_array_foreach(gaps, i, gap) {
			const sn_value *found = sn_result_row(b.result, CANDIDATES, (int64_t)i);
			double expected = json_number_value(json_object_get(gap, metric[m]));
			assert_true(fabs(found[C_LOGPROB].f - expected) < 1e-4);
			assert_true(fabs(found[C_PROBABILITY].f - exp(expected)) < 1e-6);
			expected = json_number_value(json_object_get(gap, "entropy"));
			assert_true(fabs(sn_result_row(b.result, GAPS, (int64_t)i)[2].f - expected) < 1e-4);
			for (size_t k = 0; k < 3; k++) {
				const sn_value *top = sn_result_row(b.result, TOP, (int64_t)(3 * i + k));
				assert_string_equal(top[2].s, json_string_value(json_array_get(json_object_get(gap, "top"), k)));
				expected = json_number_value(json_array_get(json_object_get(gap, "top_p"), k));
				assert_true(fabs(top[3].f - expected) < 1e-5);
			}
		}
		behaviour_close(&b);
	}
	sn_json_close(golden);
}

/* Every token of the vocabulary as a candidate: ranks are all different, probabilities add up to one. */
static void probabilities_of_the_whole_vocabulary_add_up(void **state)
{
	cloze_param p = { "text",
					  "the|a|cat|dog|key|table|run|sleep|near|is|are|were|on|in|and|not|un|green|old|boat|light|do",
					  "original", 0, 0 };
	json_t *texts = json_pack("[{s:s}]", "text", "the old ___ is near");
	behaviour b;
	double sum = 0, share = 0;
	bool seen[41] = { false };
	behaviour_open_arch(&b, test_ctx(state), "bert", texts);
	behaviour_run(&b, "cloze", &p);
	int64_t n = sn_result_rows(b.result, CANDIDATES);
	assert_int_equal(n, 22);
	assert_int_equal(sn_result_rows(b.result, TOP), 0);
	for (int64_t i = 0; i < n; i++) {
		const sn_value *row = sn_result_row(b.result, CANDIDATES, i);
		assert_int_equal(row[C_TOKENS].i, 1);
		assert_true(row[C_RANK].i >= 1 && row[C_RANK].i <= 40 && !seen[row[C_RANK].i]);
		seen[row[C_RANK].i] = true;
		sum += row[C_PROBABILITY].f;
		share += row[C_SHARE].f;
		for (int64_t j = 0; j < i; j++) {
			const sn_value *other = sn_result_row(b.result, CANDIDATES, j);
			assert_int_equal(row[C_RANK].i<other[C_RANK].i, row[C_LOGPROB].f> other[C_LOGPROB].f);
		}
	}
	assert_true(sum > 0 && sum < 1 && fabs(share - 1) < 1e-9);
	behaviour_close(&b);
	json_decref(texts);
}

/* log p of tokens [first, end) of a text in a row of its own. */
static double alone(behaviour *b, const char *text, const char *from)
{
	sn_arena *arena;
	sn_tokens t;
	double score;
	int64_t first = 0;
	assert_ok(b->ctx, sn_arena_open(&arena, b->ctx));
	assert_ok(b->ctx, sn_tokenize(b->ctx, sn_model_tokenizer(b->model), text, strlen(text), 0, arena, &t));
	while (t.span[first][1] <= from - text) first++;
	sn_goal goal = { .metric = SN_LOGPROB,
					 .where = { .sel = SN_RANGE, .arg = (int32_t)first - 1, .end = (int32_t)t.n - 1 } };
	sn_plan plan = { .size = sizeof plan, .n_goal = 1, .goal = &goal };
	sn_batch batch = { .n = 1, .token = t.id, .start = (int64_t[]){ 0, t.n } };
	assert_ok(b->ctx, sn_run(b->ctx, b->model, &batch, &plan, NULL, &score));
	sn_arena_close(arena);
	return score;
}

static void causal_gaps_see_the_left_only(void **state)
{
	static const char left[] = "The keys to the table are", right[] = "The keys to the table is";
	cloze_param p = { "auto", "are|is", "within_word_l2r", 1, 0 };
	behaviour b;
	behaviour_open_lines(&b, test_ctx(state), TINY,
						 "The keys to the table ___ here.\nThe keys to the table ___ gone!\n");
	behaviour_run(&b, "cloze", &p);
	for (int64_t row = 0; row < 2; row++) {
		double are = alone(&b, left, strstr(left, "are")), is = alone(&b, right, strstr(right, "is"));
		assert_true(fabs(sn_result_row(b.result, CANDIDATES, 2 * row)[C_LOGPROB].f - are) < 1e-4);
		assert_true(fabs(sn_result_row(b.result, CANDIDATES, 2 * row + 1)[C_LOGPROB].f - is) < 1e-4);
	}
	assert_non_null(strstr(sn_result_line(b.result, SN_LINE_LIMIT, 0)->text, "left"));
	behaviour_close(&b);
	p.candidates = "none";
	behaviour_open_lines(&b, test_ctx(state), TINY, "___ is here.\n");
	behaviour_run(&b, "cloze", &p);
	assert_true(isnan(sn_result_row(b.result, GAPS, 0)[2].f)); /* nothing precedes it */
	assert_int_equal(sn_result_rows(b.result, CANDIDATES), 0);
	behaviour_close(&b);
}

static void gaps_that_are_none_are_refused(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	cloze_param p = { "auto", "auto", "original", 1, 0 };
	behaviour b;
	behaviour_open_lines(&b, ctx, TINY, "the key ___\nthe key\n");
	assert_int_equal(behaviour_status(&b, "cloze", &p), SN_EPARSE);
	assert_non_null(strstr(sn_error(ctx), "row 2"));
	p.top = 1000;
	p.limit = 1;
	assert_int_equal(behaviour_status(&b, "cloze", &p), SN_EARG);
	behaviour_close(&b);
	json_t *texts = json_pack("[{s:s}]", "text", "the ___");
	behaviour_open_arch(&b, ctx, "t5", texts);
	assert_int_equal(behaviour_status(&b, "cloze", &p), SN_EARG);
	assert_non_null(strstr(sn_error(ctx), "--source"));
	behaviour_close(&b);
	json_decref(texts);
}

/* ---- templates ---- */

static void edits_are_differences_of_texts(void **state)
{
	static const char *const base = "The key here is", *const edited = "The keys here is";
	templates_param p = { "auto", "within_word_l2r", 0 };
	behaviour b;
	behaviour_open_lines(&b, test_ctx(state), TINY, "The {key|keys} here [is|are] on.\n");
	behaviour_run(&b, "templates", &p);
	assert_int_equal(sn_result_rows(b.result, EDITS), 2);
	assert_int_equal(sn_result_rows(b.result, TEXTS), 4);
	const sn_value *edit = sn_result_row(b.result, EDITS, 0);
	double before = alone(&b, base, strstr(base, "is")), after = alone(&b, edited, strstr(edited, "is"));
	assert_string_equal(edit[E_TARGET].s, "is");
	assert_true(fabs(edit[E_BEFORE].f - before) < 1e-4 && fabs(edit[E_AFTER].f - after) < 1e-4);
	assert_true(fabs(edit[E_CHANGE].f - (edit[E_AFTER].f - edit[E_BEFORE].f)) < 1e-12);
	assert_true(fabs(edit[E_BITS].f * log(2) - edit[E_CHANGE].f) < 1e-12);
	assert_string_equal(sn_result_row(b.result, TEXTS, 3)[1].s, "The keys here are on.");
	behaviour_close(&b);
}

static void a_swap_is_a_slot_and_a_target_a_continuation(void **state)
{
	templates_param p = { "auto", "within_word_l2r", 0 };
	behaviour slot, swap;
	behaviour_open_lines(&slot, test_ctx(state), TINY, "The {key|keys} here [is|are]\n");
	behaviour_run(&slot, "templates", &p);
	behaviour_open_data(&swap, test_ctx(state), TINY, "t.tsv",
						"text\tfrom\tto\ttarget\nThe key here\tkey\tkeys\tis|are\n");
	behaviour_run(&swap, "templates", &p);
	assert_int_equal(sn_result_rows(swap.result, EDITS), 2);
	for (int64_t i = 0; i < 2; i++)
		for (int c = E_BEFORE; c <= E_CHANGE; c++)
			assert_true(sn_result_row(slot.result, EDITS, i)[c].f == sn_result_row(swap.result, EDITS, i)[c].f);
	behaviour_close(&slot);
	behaviour_close(&swap);
}

/* Two slots: each edit is averaged over what the other slot holds; lists may come from columns. */
static void slots_cross(void **state)
{
	templates_param p = { "auto", "within_word_l2r", 0 };
	behaviour b;
	behaviour_open_data(&b, test_ctx(state), TINY, "t.tsv",
						"text\tnoun\nThe {noun} to the {table|end} [are]\tkey|keys|cat\n");
	behaviour_run(&b, "templates", &p);
	assert_int_equal(sn_result_rows(b.result, TEXTS), 6);
	assert_int_equal(sn_result_rows(b.result, EDITS), 3);
	double cell[6];
	for (int64_t i = 0; i < 6; i++) cell[i] = sn_result_row(b.result, TEXTS, i)[4].f;
	const sn_value *e[3];
	for (int64_t i = 0; i < 3; i++) e[i] = sn_result_row(b.result, EDITS, i);
	assert_true(fabs(e[0][E_CHANGE].f - (cell[2] + cell[3] - cell[0] - cell[1]) / 2) < 1e-9);
	assert_true(fabs(e[1][E_CHANGE].f - (cell[4] + cell[5] - cell[0] - cell[1]) / 2) < 1e-9);
	assert_true(fabs(e[2][E_CHANGE].f - (cell[1] + cell[3] + cell[5] - cell[0] - cell[2] - cell[4]) / 3) < 1e-9);
	assert_int_equal(e[2][E_TEXTS].i, 3);
	assert_int_equal(sn_result_row(b.result, MEANS, 1)[1].i, 3); /* the third noun */
	behaviour_close(&b);
}

static void what_stands_behind_a_target_is_told(void **state)
{
	templates_param p = { "auto", "within_word_l2r", 0 };
	behaviour b;
	behaviour_open_lines(&b, test_ctx(state), TINY, "The key [is] {here|there}.\n");
	behaviour_run(&b, "templates", &p);
	assert_true(sn_result_row(b.result, EDITS, 0)[E_CHANGE].f == 0);
	assert_non_null(strstr(sn_result_line(b.result, SN_LINE_LIMIT, 0)->text, "does not look"));
	behaviour_close(&b);
	json_t *texts = json_pack("[{s:s}]", "text", "the cat [is] {near|old}");
	behaviour_open_arch(&b, test_ctx(state), "bert", texts);
	behaviour_run(&b, "templates", &p);
	assert_true(fabs(sn_result_row(b.result, EDITS, 0)[E_CHANGE].f) > 1e-3); /* a masked model does */
	assert_null(sn_result_line(b.result, SN_LINE_LIMIT, 0));
	behaviour_close(&b);
	json_decref(texts);
}

static void templates_that_are_wrong_are_refused(void **state)
{
	static const struct {
		const char *name, *text, *error;
	} cases[] = {
		{ "t.txt", "The {key|keys here\n", "not closed" },
		{ "t.txt", "The [key] and [key]\n", "two targets" },
		{ "t.tsv", "text\tfrom\tto\nThe key\tcat\tcats\n", "does not stand in" },
		{ "t.tsv", "text\tfrom\nThe key\tkey\n", "a swap needs both" },
		{ "t.tsv", "text\ttarget\nThe [key]\tis\n", "leave one out" },
	};
	templates_param p = { "auto", "within_word_l2r", 0 };
	for (int i = 0; i < SN_COUNT(cases); i++) {
		behaviour b;
		behaviour_open_data(&b, test_ctx(state), TINY, cases[i].name, cases[i].text);
		assert_int_not_equal(behaviour_status(&b, "templates", &p), SN_OK);
		assert_non_null(strstr(sn_error(b.ctx), cases[i].error));
		behaviour_close(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(masked_gaps_agree_with_minicons),
		cmocka_unit_test(probabilities_of_the_whole_vocabulary_add_up),
		cmocka_unit_test(causal_gaps_see_the_left_only),
		cmocka_unit_test(gaps_that_are_none_are_refused),
		cmocka_unit_test(edits_are_differences_of_texts),
		cmocka_unit_test(a_swap_is_a_slot_and_a_target_a_continuation),
		cmocka_unit_test(slots_cross),
		cmocka_unit_test(what_stands_behind_a_target_is_told),
		cmocka_unit_test(templates_that_are_wrong_are_refused),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
