/* Plans from JSON: what they say is what runs, forks change nothing, and mistakes are named by their path. */
#include "common/test.h"

#include <math.h>
#include <string.h>

#include "model/plan_file.h"

static sn_model *open_tiny(sn_ctx *ctx)
{
	sn_model *model;
	assert_ok(ctx, sn_model_open(&model, ctx, SN_TESTS "/golden/tiny/gqa-tied"));
	return model;
}

/* Plans stand here with ' for ". */
static sn_status parse(sn_plan_file *f, sn_ctx *ctx, const sn_model *model, const char *text, sn_arena *arena)
{
	char *json = sn_arena_string(arena, text);
	assert_non_null(json);
	for (char *c = json; *c; c++)
		if (*c == '\'') *c = '"';
	return sn_plan_file_parse(f, ctx, model, "plan.json", json, strlen(json), arena);
}

static sn_plan_file read_plan(sn_ctx *ctx, const sn_model *model, const char *text, sn_arena *arena)
{
	sn_plan_file f;
	assert_ok(ctx, parse(&f, ctx, model, text, arena));
	return f;
}

static const char *const plans[] = {
	"{'texts': ['the keys on the table are', 'the keys on the table is', 'the keys on'], 'unedited': true,"
	" 'edits': [{'op': 'zero', 'at': 'blocks.0.attn.hook_z[1]', 'where': 'all', 'rows': [0, 2]},"
	"  {'op': 'noise', 'at': 'blocks.1.hook_resid_pre', 'where': {'text': 'keys'}, 'alpha': 0.3},"
	"  {'op': 'block', 'at': 'blocks.1.attn.hook_attn_scores', 'where': 'last', 'key': {'at': 0}, 'rows': [1]}],"
	" 'goals': [{'metric': 'loss', 'where': 'all'}, {'metric': 'kl', 'where': 'all'},"
	"  {'metric': 'logit_diff', 'where': 'last', 'want': [5, 6], 'foil': 7}]}",
	"{'texts': [{'name': 'a', 'text': 'the key of', 'want': 4}, {'name': 'b', 'text': 'the cat of', 'want': [5, 6]}],"
	" 'spans': {'noun': [1, 3]},"
	" 'edits': [{'op': 'set', 'at': 'blocks.0.hook_resid_post', 'where': {'span': 'noun'}, 'rows': ['b'],"
	"  'from': 'a'}],"
	" 'goals': [{'metric': 'logprob', 'where': 'last'}, {'metric': 'logit', 'where': {'at': -2}, 'want': 9}]}",
};

/* Rows found to be forks have the scores of rows computed alone. */
static void forks_change_nothing(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_model *model = open_tiny(ctx);
	int forks = 0;
	for (int i = 0; i < SN_COUNT(plans); i++) {
		sn_arena *arena;
		double score[2][64];
		assert_ok(ctx, sn_arena_open(&arena, ctx));
		sn_plan_file f = read_plan(ctx, model, plans[i], arena);
		int64_t n = (int64_t)f.plan.n_goal * f.batch.n;
		assert_true(n <= 64);
		forks += f.n_fork;
		assert_ok(ctx, sn_run(ctx, model, &f.batch, &f.plan, NULL, score[0]));
		f.batch.parent = f.batch.fork = NULL;
		assert_ok(ctx, sn_run(ctx, model, &f.batch, &f.plan, NULL, score[1]));
		for (int64_t j = 0; j < n; j++) {
			if (fabs(score[0][j] - score[1][j]) > 1e-6 * (1 + fabs(score[1][j])))
				fail_msg("plan %d: score %lld is %.8f as a fork, %.8f alone", i, (long long)j, score[0][j],
				         score[1][j]);
		}
		sn_arena_close(arena);
	}
	assert_true(forks >= 4);
	sn_model_close(model);
}

/* The first plan's rows: three without edits in front, then three with; the second text is free of the first edit. */
static void a_plan_is_what_it_says(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_model *model = open_tiny(ctx);
	sn_arena *arena;
	double score[3 * 6];
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	sn_plan_file f = read_plan(ctx, model, plans[0], arena);
	assert_int_equal(f.batch.n, 6);
	assert_false(f.edited[2]);
	assert_true(f.edited[3]);
	assert_string_equal(f.name[4], "1");
	assert_string_equal(f.goal[2], "logit_diff");
	assert_ok(ctx, sn_run(ctx, model, &f.batch, &f.plan, NULL, score));
	for (int b = 0; b < 3; b++) {
		assert_true(score[6 + b] == 0);          /* nothing is edited: no divergence from itself */
		assert_true(score[6 + 3 + b] > 0);
		assert_true(score[b] != score[3 + b]);
	}
	const sn_edit *zero = &f.plan.edit[0];
	assert_int_equal(zero->where.row0, 3);
	assert_int_equal(f.plan.edit[1].where.row0, 5);   /* texts 0 and 2 do not stand side by side */
	sn_arena_close(arena);
	sn_model_close(model);
}

static void mistakes_are_named(void **state)
{
	static const struct { const char *text, *error; } wrong[] = {
		{ "{'texts': []}", "texts: there is no text" },
		{ "{'texts': [3]}", "text 0: expected a text or an object, found an integer" },
		{ "{'texts': ['a'], 'edit': []}", "edit: unknown member; did you mean \"edits\"?" },
		{ "{'texts': ['a'], 'edits': [{'op': 'nil'}]}",
		  "edits[0].op: \"nil\" is none of zero, set, add, noise, block" },
		{ "{'texts': ['a'], 'edits': [{'op': 'zero', 'at': 'blocks.0.hook_nil', 'where': 'all'}]}", "edits[0].at: " },
		{ "{'texts': ['a'], 'edits': [{'op': 'zero', 'at': 'hook_embed'}]}", "edits[0].where: is missing" },
		{ "{'texts': ['a'], 'edits': [{'op': 'add', 'at': 'hook_embed', 'where': 'all'}]}",
		  "edits[0]: expected src" },
		{ "{'texts': ['a'], 'edits': [{'op': 'zero', 'at': 'hook_embed', 'where': {'span': 's'}}]}",
		  "edits[0].where.span: no text has a span \"s\"" },
		{ "{'texts': ['a'], 'edits': [{'op': 'zero', 'at': 'hook_embed', 'where': 'all', 'rows': [1]}]}",
		  "edits[0].rows: text 1; there are 1" },
		{ "{'texts': ['a'], 'edits': [{'op': 'set', 'at': 'hook_embed', 'where': 'all', 'src': {'file': 'none.npy'}}]}",
		  "none.npy" },
		{ "{'texts': ['a'], 'goals': [{'metric': 'kl', 'where': 'last'}]}", "goals[0].ref: is missing" },
		{ "{'texts': ['a'], 'goals': [{'metric': 'logit', 'where': 'last'}]}", "goals[0].want: is missing" },
		{ "{'texts': ['a'], 'goals': [{'metric': 'logprob', 'where': 'last', 'want': 'the key of it'}]}",
		  "goals[0].want: \"the key of it\" is " },
		{ "{'texts': ['aa'], 'spans': {'x': 'a'}}", "spans.x: \"a\" stands more than once in \"aa\"" },
		{ "{'texts': ['a'], 'spans': {'x': [0, 9]}}", "spans.x: [0, 9) in a text of 1 tokens" },
		{ "{'texts': [{'text': 'a', 'name': 'n'}, {'text': 'b', 'name': 'n'}]}",
		  "texts[1].name: text 0 has the same name" },
		{ "{'texts': ['a'], 'taps': [{'at': 'hook_embed', 'where': {'at': 0, 'from': 1}}]}",
		  "taps[0].where.from: stands beside \"at\"" },
		{ "{'texts': ['a']", "plan.json" },
	};
	sn_ctx *ctx = test_ctx(state);
	sn_model *model = open_tiny(ctx);
	for (int i = 0; i < SN_COUNT(wrong); i++) {
		sn_arena *arena;
		sn_plan_file f;
		assert_ok(ctx, sn_arena_open(&arena, ctx));
		sn_status status = parse(&f, ctx, model, wrong[i].text, arena);
		assert_int_equal(sn_status_exit_code(status), 2);
		if (!strstr(sn_error(ctx), wrong[i].error)) fail_msg("%s\nsays: %s", wrong[i].text, sn_error(ctx));
		sn_arena_close(arena);
	}
	sn_model_close(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forks_change_nothing),
		cmocka_unit_test(a_plan_is_what_it_says),
		cmocka_unit_test(mistakes_are_named),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
