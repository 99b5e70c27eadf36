/* Delta execution on SmolLM2: random forks, edits, taps and goals equal the same rows spelt out to 1e-4; small steps
 * and 1, 2, 4 threads change no bit. */
#include "common/outcome.h"

enum { PLANS = 10 };

static sn_ctx *open_ctx(int threads, int64_t tokens)
{
	sn_options o = { .size = sizeof o, .threads = threads, .seed = 1, .tokens_per_step = tokens };
	sn_ctx *ctx;
	assert_int_equal(sn_ctx_open(&ctx, &o), SN_OK);
	return ctx;
}

static void check_bits(forms_case *f, int number, const random_rows *r, const sn_plan *plan, const outcome *expected)
{
	static const struct { int threads; int64_t tokens; } other[] = { { 1, 0 }, { 2, 17 }, { 4, 5 } };
	for (int i = 0; i < SN_COUNT(other); i++) {
		sn_ctx *ctx = open_ctx(other[i].threads, other[i].tokens);
		outcome out;
		outcome_run(f, ctx, &r->batch, plan, NULL, &out);
		sn_ctx_close(ctx);
		assert_int_equal(out.status, SN_OK);
		if (!outcome_same_bits(plan, r->batch.n, expected, &out))
			fail_msg("plan %d: %d threads, steps of %d tokens: other bits", number, other[i].threads,
			         (int)other[i].tokens);
	}
}

static void check_plan(forms_case *f, int number)
{
	random_rows rows;
	random_plan p;
	sn_plan spelt;
	outcome full, delta;
	sn_rng rng = sn_rng_make(17, (uint64_t)number);
	random_rows_make(&rows, f, &rng);
	random_plan_make(&p, f, &rows, &rng);
	random_plan_spell_out(&p, f, &rows, &spelt);
	sn_batch plain = rows.batch;
	plain.parent = plain.fork = NULL;
	outcome_run(f, f->ctx, &plain, &spelt, NULL, &full);
	outcome_run(f, f->ctx, &rows.batch, &p.plan, NULL, &delta);
	assert_int_equal(full.status, delta.status);
	if (full.status != SN_OK) return;
	char text[256];
	if (outcome_difference(&p.plan, rows.batch.n, &delta, &full, 1e-4, text, sizeof text))
		fail_msg("plan %d: %s", number, text);
	check_bits(f, number, &rows, &p.plan, &delta);
}

static void forks_equal_rows_spelt_out(void **state)
{
	forms_case f = { .ctx = test_ctx(state) };
	assert_ok(f.ctx, sn_arena_open(&f.arena, f.ctx));
	assert_ok(f.ctx, sn_model_open(&f.model, f.ctx, SN_MODELS "/SmolLM2-135M-Instruct.Q4_1.gguf"));
	for (int i = 0; i < PLANS; i++) check_plan(&f, i);
	sn_model_close(f.model);
	sn_arena_close(f.arena);
}

int main(void)
{
	test_need_file(SN_MODELS "/SmolLM2-135M-Instruct.Q4_1.gguf");
	const struct CMUnitTest tests[] = { cmocka_unit_test(forks_equal_rows_spelt_out) };
	return cmocka_run_group_tests(tests, test_open, test_close);
}
