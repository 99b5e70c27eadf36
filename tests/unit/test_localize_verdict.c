/* Verdicts: answers from intervals, the table, tautologies. */
#include "common/test.h"
#include "methods/localize/localize.h"

#include <math.h>
#include <string.h>

static sn_band band(double low, double high)
{
	return (sn_band){ .point = (low + high) / 2, .sim_low = low, .sim_high = high };
}

static void answers_need_the_whole_interval_on_one_side(void **state)
{
	(void)state;
	sn_band above = band(0.11, 0.3), below = band(-0.1, 0.09), across = band(0.05, 0.3), touching = band(0.1, 0.3);
	assert_int_equal(sn_answer_of(&above, 0.1), SN_ANSWER_YES);
	assert_int_equal(sn_answer_of(&below, 0.1), SN_ANSWER_NO);
	assert_int_equal(sn_answer_of(&across, 0.1), SN_ANSWER_UNDETERMINED);
	assert_int_equal(sn_answer_of(&touching, 0.1), SN_ANSWER_UNDETERMINED);
	assert_int_equal(sn_answer_of(&across, 0.04), SN_ANSWER_YES);
	sn_band absent = band(NAN, NAN);
	assert_int_equal(sn_answer_of(&absent, 0.1), SN_ANSWER_NA);
}

static void encoded_must_beat_both_baselines(void **state)
{
	(void)state;
	assert_int_equal(sn_answer_both(SN_ANSWER_YES, SN_ANSWER_YES), SN_ANSWER_YES);
	assert_int_equal(sn_answer_both(SN_ANSWER_YES, SN_ANSWER_NO), SN_ANSWER_NO);
	assert_int_equal(sn_answer_both(SN_ANSWER_UNDETERMINED, SN_ANSWER_NO), SN_ANSWER_NO);
	assert_int_equal(sn_answer_both(SN_ANSWER_YES, SN_ANSWER_UNDETERMINED), SN_ANSWER_UNDETERMINED);
	assert_int_equal(sn_answer_both(SN_ANSWER_YES, SN_ANSWER_NA), SN_ANSWER_NA);
}

static void the_table_of_verdicts_is_the_designs(void **state)
{
	(void)state;
	enum { NA = SN_ANSWER_NA, NO = SN_ANSWER_NO, UN = SN_ANSWER_UNDETERMINED, YES = SN_ANSWER_YES };
	static const struct {
		int encoded, e, e_sub, verdict;
	} row[] = {
		{ YES, YES, YES, SN_VERDICT_USED },
		{ YES, YES, NO, SN_VERDICT_OTHER_ENCODING },
		{ YES, NO, YES, SN_VERDICT_ENCODED_UNUSED },
		{ YES, NO, UN, SN_VERDICT_ENCODED_UNUSED },
		{ NO, YES, UN, SN_VERDICT_NOT_LINEAR },
		{ NO, NO, NO, SN_VERDICT_NEITHER },
		{ UN, YES, YES, SN_VERDICT_UNDETERMINED },
		{ UN, NO, NO, SN_VERDICT_UNDETERMINED },
		{ YES, UN, YES, SN_VERDICT_UNDETERMINED },
		{ NO, UN, NO, SN_VERDICT_UNDETERMINED },
		{ YES, YES, UN, SN_VERDICT_UNDETERMINED },
		{ NA, YES, YES, SN_VERDICT_NA },
		{ YES, NA, NA, SN_VERDICT_NA },
	};
	for (int i = 0; i < SN_COUNT(row); i++)
		assert_int_equal(sn_verdict_of((sn_answer)row[i].encoded, (sn_answer)row[i].e, (sn_answer)row[i].e_sub),
						 row[i].verdict);
	for (int a = 0; a < SN_VERDICT_COUNT; a++)
		for (int b = 0; b < a; b++)
			assert_string_not_equal(sn_verdict_text((sn_verdict)a), sn_verdict_text((sn_verdict)b));
}

static void tautologies_are_the_ends_of_the_way(void **state)
{
	(void)state;
	sn_evidence ev = { .n_layer = 4, .n_role = 3, .subject_only = true };
	double value;
	assert_true(sn_tautology(&ev, false, 0, 0, &value) && value > 0.5); /* the only differing token */
	assert_false(sn_tautology(&ev, true, 0, 0, &value));                /* not through the encoding */
	assert_true(sn_tautology(&ev, false, 3, 2, &value) && value > 0.5); /* the last layer's last position */
	assert_true(sn_tautology(&ev, false, 3, 0, &value) && value < 0.5); /* elsewhere nothing reads the last layer */
	assert_true(sn_tautology(&ev, false, 3, 3, &value) && value < 0.5); /* other, too */
	assert_true(sn_tautology(&ev, true, 3, 1, &value) && value < 0.5);
	assert_false(sn_tautology(&ev, true, 3, 2, &value));
	assert_false(sn_tautology(&ev, false, 1, 0, &value));
	assert_false(sn_tautology(&ev, false, 0, 1, &value));
	ev.subject_only = false;
	assert_false(sn_tautology(&ev, false, 0, 0, &value));
}

static void surface_features_are_the_words_so_far_and_the_place(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	static const int32_t token[] = { 0, 5, 8, 0, 6, 8, 0, 5, 9, 0, 1, 5, 8 };
	static const int64_t start[] = { 0, 3, 6, 9, 13 };
	static const int32_t span[][2] = { { 1, 2 }, { 2, 3 }, { 1, 2 }, { 2, 3 }, { 1, 2 }, { 2, 3 }, { 2, 3 }, { 3, 4 } };
	sn_items items = { .n = 4, .token = token, .start = start, .n_role = 2, .span = span };
	int64_t n[] = { 4, 4 }, all[] = { 0, 1, 2, 3 }, *item[] = { all, all };
	sn_gather g = { .n_role = 2, .n = n, .item = item };
	sn_evidence ev = { .items = &items };
	float *x;
	int64_t width;
	assert_ok(ctx, sn_localize_surface(&ev, &g, 0, arena, &x, &width));
	assert_int_equal(width, 4); /* two subjects, two positions */
	assert_memory_equal(x, x + 2 * width,
						(size_t)width * sizeof *x); /* rows 0 and 2: same subject, the last word is yet to come */
	assert_ok(ctx, sn_localize_surface(&ev, &g, 1, arena, &x, &width));
	assert_int_equal(width, 6);
	for (int i = 0; i < 4; i++) {
		double sum = 0;
		for (int64_t j = 0; j < width; j++) sum += x[i * width + j];
		assert_true(sum > 2.5 && sum < 3.5); /* two words and a place */
	}
	sn_arena_close(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_need_the_whole_interval_on_one_side),
		cmocka_unit_test(encoded_must_beat_both_baselines),
		cmocka_unit_test(the_table_of_verdicts_is_the_designs),
		cmocka_unit_test(tautologies_are_the_ends_of_the_way),
		cmocka_unit_test(surface_features_are_the_words_so_far_and_the_place),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
