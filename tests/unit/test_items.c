/* Items made from the English suite: balance, folds, lead-ins, roles, pairs. The tokenizer knows the suite's words. */
#include "common/items_check.h"

#include <string.h>

typedef struct made {
	sn_arena *arena;
	const sn_phenomenon *p;
	sn_tokenizer *tokenizer;
	sn_items *items;
} made;

static made make(sn_ctx *ctx, sn_effort effort, uint64_t seed)
{
	made m = { 0 };
	sn_items_size size = sn_items_preset(effort);
	assert_ok(ctx, sn_arena_open(&m.arena, ctx));
	assert_ok(ctx, sn_phenomenon_open(&m.p, ctx, "en/number-agreement", m.arena));
	m.tokenizer = suite_tokenizer(ctx, m.p, m.arena);
	assert_ok(ctx, sn_items_make(&m.items, ctx, m.p, m.tokenizer, &size, seed, m.arena));
	return m;
}

static void done(made *m)
{
	sn_tokenizer_close(m->tokenizer);
	sn_arena_close(m->arena);
}

static void presets_have_their_sizes(void **state)
{
	static const int64_t probe[] = { 480, 960, 4000 }, pairs[] = { 48, 120, 400 };
	for (int e = 0; e < SN_EFFORTS; e++) {
		made m = make(test_ctx(state), (sn_effort)e, 1);
		int64_t n[SN_PAIR_KINDS] = { 0 };
		for (int64_t i = 0; i < m.items->n_pair; i++) n[m.items->pair[i].kind]++;
		assert_int_equal(m.items->n_probe, probe[e]);
		assert_int_equal(n[SN_PAIR_MAIN], 2 * pairs[e]);
		assert_true(n[SN_PAIR_ATTRACTOR] >= pairs[e] && n[SN_PAIR_PLACEBO] >= pairs[e]);
		assert_int_equal(m.items->n, m.items->n_probe + m.items->n_pair);
		assert_int_equal(m.items->n_choice, 20);
		assert_int_equal(m.items->n_dropped, count_dropped(m.items, "duplicate"));
		assert_true(m.items->n_dropped <= m.items->n / 100);
		check_items(test_ctx(state), m.items, m.p, m.tokenizer);
		done(&m);
	}
}

static void balance_is_exact(void **state)
{
	made m = make(test_ctx(state), SN_EFFORT_STANDARD, 3);
	check_balance(m.items, 0, m.items->n_probe);
	for (int64_t i = m.items->n_probe, end; i < m.items->n; i = end) {
		end = i;
		while (end < m.items->n &&
			   m.items->pair[end - m.items->n_probe].kind == m.items->pair[i - m.items->n_probe].kind)
			end++;
		check_balance(m.items, i, end);
	}
	done(&m);
}

/* Probe prefixes: every cell is equally often in every block, and every form of a block equally often, but for one. */
static void blocks_and_forms_take_turns(void **state)
{
	made m = make(test_ctx(state), SN_EFFORT_STANDARD, 5);
	const sn_items *t = m.items;
	int64_t cell[16][5][3][2] = { 0 }, form[512] = { 0 }, low[5][2], high[5][2] = { 0 };
	for (int64_t i = 0; i < t->n_probe; i++) {
		const sn_item *q = &t->item[i];
		cell[q->frame][q->fold][q->attractor_n + 1][q->n > 0]++;
		form[q->form]++;
	}
	for (int f = 0; f < t->n_frame; f++)
		for (int b = 0; b < 5; b++)
			for (int a = 0; a < 3; a++)
				for (int n = 0; n < 2; n++) assert_int_equal(cell[f][b][a][n], cell[f][0][a][0]);
	memset(low, 0x7f, sizeof low);
	for (int64_t i = 0; i < t->n_probe; i++) {
		const sn_item *q = &t->item[i];
		low[q->fold][q->n > 0] = SN_MIN(low[q->fold][q->n > 0], form[q->form]);
		high[q->fold][q->n > 0] = SN_MAX(high[q->fold][q->n > 0], form[q->form]);
	}
	for (int b = 0; b < 5; b++)
		for (int n = 0; n < 2; n++) assert_true(high[b][n] - low[b][n] <= 2); /* twins come by two */
	done(&m);
}

static void blocks_are_stratified(void **state)
{
	made m = make(test_ctx(state), SN_EFFORT_STANDARD, 5);
	int lemmas[5][2] = { 0 };
	bool seen[200] = { 0 };
	for (int64_t i = 0; i < m.items->n; i++) {
		const sn_item *q = &m.items->item[i];
		if (!seen[q->lemma]) lemmas[q->fold][q->group]++;
		seen[q->lemma] = true;
	}
	for (int b = 0; b < 5; b++) assert_int_equal(lemmas[b][0] + lemmas[b][1], 15);
	for (int b = 0; b < 5; b++) assert_int_equal(SN_MIN(lemmas[b][0], lemmas[b][1]), 5);
	done(&m);
}

static void the_seed_decides(void **state)
{
	made a = make(test_ctx(state), SN_EFFORT_QUICK, 1), b = make(test_ctx(state), SN_EFFORT_QUICK, 1);
	made c = make(test_ctx(state), SN_EFFORT_QUICK, 2);
	check_same_items(a.items, b.items);
	int same = 0;
	for (int64_t i = 0; i < a.items->n; i++) same += strcmp(a.items->item[i].text, c.items->item[i].text) == 0;
	assert_true(same < 5);
	done(&a);
	done(&b);
	done(&c);
}

static void without_a_tokenizer_there_is_text_only(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	const sn_phenomenon *p;
	sn_items *items;
	sn_items_size size = sn_items_share(1000);
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	assert_ok(ctx, sn_phenomenon_open(&p, ctx, "en/number-agreement", arena));
	assert_ok(ctx, sn_items_make(&items, ctx, p, NULL, &size, 1, arena));
	assert_true(items->n > 900 && items->n < 1200);
	assert_null(items->token);
	assert_int_equal(items->choice[0].form[0], -1);
	assert_string_equal(items->choice[0].text[0], "are");
	assert_string_equal(items->choice[0].text[1], "is");
	check_items(ctx, items, p, NULL);
	size.probe = -1;
	assert_int_equal(sn_items_make(&items, ctx, p, NULL, &size, 1, arena), SN_EARG);
	sn_arena_close(arena);
}

/* Lemmas of two tokens in one number only leave the pairs that flip them, not the probe prefixes; the balance stays. */
static void unequal_token_counts_leave_the_pairs(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	made m = make(ctx, SN_EFFORT_QUICK, 1);
	sn_tokenizer *other = suite_tokenizer_without(ctx, m.p, m.arena, "teachers wolves");
	sn_items_size size = sn_items_preset(SN_EFFORT_STANDARD);
	sn_items *items;
	assert_ok(ctx, sn_items_make(&items, ctx, m.p, other, &size, 1, m.arena));
	check_items(ctx, items, m.p, other);
	check_balance(items, 0, items->n_probe);
	assert_true(items->n_dropped > 0);
	assert_int_equal(items->n_generated, items->n + items->n_dropped);
	int64_t probes = 0;
	assert_true(count_dropped(items, "token count") > 0);
	assert_true(count_dropped(items, "no partner lemma") > 0); /* of the placebo: nothing is as long as "wolves" */
	assert_int_equal(items->n_dropped, count_dropped(items, "token count") + count_dropped(items, "duplicate") +
										   count_dropped(items, "no partner lemma"));
	for (int64_t i = 0; i < items->n; i++) {
		bool teacher = strcmp(items->lemma[items->item[i].lemma], "teacher") == 0;
		if (i < items->n_probe)
			probes += teacher;
		else if (items->pair[i - items->n_probe].kind == SN_PAIR_MAIN)
			assert_false(teacher);
	}
	assert_true(probes > 0);
	sn_tokenizer_close(other);
	done(&m);
}

static void too_few_choices_are_an_error_that_names_them(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	made m = make(ctx, SN_EFFORT_QUICK, 1);
	sn_items_size size = sn_items_preset(SN_EFFORT_QUICK);
	sn_items *items;
	sn_tokenizer *fourteen = suite_tokenizer_without(ctx, m.p, m.arena, "seems wants needs knows goes comes");
	assert_ok(ctx, sn_items_make(&items, ctx, m.p, fourteen, &size, 1, m.arena));
	assert_int_equal(items->n_choice, 14);
	assert_string_equal(items->drop[0].reason, "choice: more than one token");
	assert_int_equal(items->drop[0].n, 6);
	sn_tokenizer_close(fourteen);
	sn_tokenizer *five =
		suite_tokenizer_without(ctx, m.p, m.arena,
								"seems wants needs knows goes comes takes gets makes keeps finds gives likes "
								"feels appears");
	assert_int_equal(sn_items_make(&items, ctx, m.p, five, &size, 1, m.arena), SN_EARG);
	assert_non_null(strstr(sn_error(ctx), "5 of 20 choice pairs"));
	assert_non_null(strstr(sn_error(ctx), "seem/seems"));
	assert_non_null(strstr(sn_error(ctx), "appear/appears"));
	assert_null(items);
	sn_tokenizer_close(five);
	done(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(presets_have_their_sizes),
		cmocka_unit_test(balance_is_exact),
		cmocka_unit_test(blocks_and_forms_take_turns),
		cmocka_unit_test(blocks_are_stratified),
		cmocka_unit_test(the_seed_decides),
		cmocka_unit_test(without_a_tokenizer_there_is_text_only),
		cmocka_unit_test(unequal_token_counts_leave_the_pairs),
		cmocka_unit_test(too_few_choices_are_an_error_that_names_them),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
