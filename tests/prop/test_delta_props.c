/* Delta execution and waves: whatever the form of the model, the forks, the edits, taps and goals, a run equals that of
 * the same rows without parents, each with its edits spelt out; and the memory budget, the size of steps and the number
 * of threads change no bit and no order. */
#include "common/counter.h"
#include "common/outcome.h"

#include "model/cost.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { MODELS = 25, PLANS = 6 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { MODELS = 25, PLANS = 6 };
#else
enum { MODELS = 150, PLANS = 20 };
#endif
#else
enum { MODELS = 150, PLANS = 20 };
#endif

/* ---- contexts ---- */

static sn_ctx *open_ctx(int threads, int64_t tokens, int64_t memory, counter *c)
{
	sn_options o = { .size = sizeof o, .threads = threads, .seed = 1, .tokens_per_step = tokens, .memory = memory };
	sn_ctx *ctx;
	if (c) {
		*c = (counter){ 0 };
		o.alloc = count_alloc;
		o.dealloc = count_free;
		o.alloc_payload = c;
	}
	assert_int_equal(sn_ctx_open(&ctx, &o), SN_OK);
	return ctx;
}

static void run_with(forms_case *f, int threads, int64_t tokens, int64_t memory, const sn_batch *batch,
                     const sn_plan *plan, outcome *out, counter *c)
{
	sn_ctx *ctx = open_ctx(threads, tokens, memory, c);
	outcome_run(f, ctx, batch, plan, NULL, out);
	if (out->status == SN_ENOMEM) assert_non_null(strstr(sn_error(ctx), "--memory"));
	sn_ctx_close(ctx);
}

/* ---- one plan ---- */

typedef struct tally { int plans, refused, waves; } tally;

static void assert_bits(const forms_case *f, int number, const sn_plan *plan, int32_t rows, const outcome *a,
                        const outcome *b, const char *what)
{
	char text[256];
	assert_int_equal(b->status, SN_OK);
	if (outcome_same_bits(plan, rows, a, b)) return;
	const char *where = outcome_difference(plan, rows, b, a, 1e-5, text, sizeof text);
	fail_msg("model %d, plan %d: %s: %s", (int)f->number, number, what, where ? where : "other bits, or another order");
}

/* The smallest budgets that work are looked for from below. */
static void check_budgets(forms_case *f, int number, const random_rows *r, const sn_plan *plan, const outcome *expected,
                          sn_rng *rng, tally *count)
{
	outcome out;
	counter c;
	run_with(f, 1, 1 + (int64_t)sn_rng_below(rng, 24), 0, &r->batch, plan, &out, NULL);
	assert_bits(f, number, plan, r->batch.n, expected, &out, "small steps");
	int64_t memory = 150000;
	for (;; memory += memory / 4) {
		run_with(f, 1, 0, memory, &r->batch, plan, &out, &c);
		if (out.status != SN_ENOMEM) break;
		count->waves++;
	}
	assert_bits(f, number, plan, r->batch.n, expected, &out, "little memory");
	assert_true(c.peak < memory + (1 << 18));
}

static void check_threads(forms_case *f, int number, const random_rows *r, const sn_plan *plan, const outcome *expected)
{
	for (int threads = 2; threads <= 4; threads += 2) {
		outcome out;
		run_with(f, threads, threads == 2 ? 0 : 7, 0, &r->batch, plan, &out, NULL);
		assert_bits(f, number, plan, r->batch.n, expected, &out, "threads");
	}
}

static void check_plan(forms_case *f, int number, tally *count)
{
	random_rows rows;
	random_plan p;
	sn_plan spelt;
	outcome full, delta;
	sn_rng rng = sn_rng_make(f->number, UINT64_C(7000) + (uint64_t)number);
	random_rows_make(&rows, f, &rng);
	random_plan_make(&p, f, &rows, &rng);
	random_plan_spell_out(&p, f, &rows, &spelt);
	sn_batch plain = rows.batch;
	plain.parent = plain.fork = NULL;
	outcome_run(f, f->ctx, &plain, &spelt, NULL, &full);
	outcome_run(f, f->ctx, &rows.batch, &p.plan, NULL, &delta);
	count->plans++;
	if (full.status != SN_OK || delta.status != SN_OK) {
		if (full.status != delta.status)
			fail_msg("model %d, plan %d: %s, not %s: %s", (int)f->number, number, sn_status_text(delta.status),
			         sn_status_text(full.status), sn_error(f->ctx));
		count->refused++;
		return;
	}
	char text[256];
	if (outcome_difference(&p.plan, rows.batch.n, &delta, &full, 1e-5, text, sizeof text))
		fail_msg("model %d, plan %d: forks: %s", (int)f->number, number, text);
	check_budgets(f, number, &rows, &p.plan, &delta, &rng, count);
	if (number % 8 == 0) check_threads(f, number, &rows, &p.plan, &delta);
}

static void forks_equal_rows_spelt_out_whatever_the_memory(void **state)
{
	sn_ctx *single = open_ctx(1, 0, 0, NULL);
	tally count = { 0 };
	(void)state;
	for (uint64_t number = 1; number <= MODELS; number++) {
		forms_case f;
		forms_open(&f, single, number, number % 5 == 0);
		for (int i = 0; i < PLANS; i++) check_plan(&f, i, &count);
		forms_close(&f);
	}
	print_message("%d plans, %d of them refused, %d budgets too small\n", count.plans, count.refused, count.waves);
	assert_true(count.refused * 10 < count.plans);
	sn_ctx_close(single);
}

/* ---- kept rows ---- */

/* A second batch whose rows fork from the first one's, and from one another. */
static void make_second(const random_rows *first, random_rows *r, sn_rng *rng)
{
	for (int32_t b = 0; b < r->batch.n; b++) {
		int32_t p = (int32_t)sn_rng_below(rng, (uint64_t)first->batch.n);
		int32_t n = sn_row_length(&first->batch, p), m = sn_row_length(&r->batch, b);
		if (r->parent[b] >= 0) {
			memcpy(r->token + r->start[b], r->token + r->start[r->parent[b]], (size_t)r->fork[b] * sizeof *r->token);
			continue;
		}
		r->parent[b] = -2 - p;
		r->fork[b] = (int32_t)sn_rng_below(rng, (uint64_t)SN_MIN(n, m) + 1);
		memcpy(r->token + r->start[b], first->token + first->start[p], (size_t)r->fork[b] * sizeof *r->token);
	}
}

static void check_kept(forms_case *f, int number)
{
	random_rows first, rows;
	random_plan p;
	sn_plan spelt, nothing = { .size = sizeof nothing };
	outcome full, delta, none;
	sn_rng rng = sn_rng_make(f->number, UINT64_C(9000) + (uint64_t)number);
	random_rows_make(&first, f, &rng);
	random_rows_make(&rows, f, &rng);
	random_plan_make(&p, f, &rows, &rng);
	if (number % 3 == 0) p.plan.n_edit = 0;
	random_plan_spell_out(&p, f, &rows, &spelt);
	make_second(&first, &rows, &rng);
	sn_batch plain = rows.batch;
	plain.parent = plain.fork = NULL;
	sn_ctx *small = open_ctx(1, 1 + (int64_t)sn_rng_below(&rng, 30), 0, NULL);
	sn_state *kept, *all;   /* all: so that every row is computed on both sides, and is refused on both */
	assert_ok(f->ctx, sn_state_open(&kept, f->ctx));
	assert_ok(f->ctx, sn_state_open(&all, f->ctx));
	outcome_run(f, small, &first.batch, &nothing, kept, &none);
	assert_int_equal(none.status, SN_OK);
	outcome_run(f, f->ctx, &plain, &spelt, all, &full);
	outcome_run(f, small, &rows.batch, &p.plan, kept, &delta);
	sn_state_close(all);
	char text[256];
	if (full.status != delta.status) fail_msg("model %d, kept %d: %s", (int)f->number, number, sn_error(small));
	if (full.status == SN_OK && outcome_difference(&p.plan, rows.batch.n, &delta, &full, 1e-5, text, sizeof text))
		fail_msg("model %d, kept %d: %s", (int)f->number, number, text);
	if (full.status == SN_OK && p.plan.n_edit == 0) {   /* what is kept now are these rows, forks included */
		for (int32_t b = 0; b < rows.batch.n; b++) {
			rows.parent[b] = -2 - b;
			rows.fork[b] = (int32_t)sn_rng_below(&rng, (uint64_t)sn_row_length(&rows.batch, b) + 1);
		}
		outcome_run(f, small, &rows.batch, &p.plan, kept, &delta);
		if (outcome_difference(&p.plan, rows.batch.n, &delta, &full, 1e-5, text, sizeof text))
			fail_msg("model %d, kept %d, again: %s", (int)f->number, number, text);
	}
	sn_state_close(kept);
	sn_ctx_close(small);
}

static void forks_of_kept_rows_equal_rows_spelt_out(void **state)
{
	sn_ctx *single = open_ctx(1, 0, 0, NULL);
	(void)state;
	for (uint64_t number = 201; number <= 200 + MODELS / 3; number++) {
		forms_case f;
		forms_open(&f, single, number, false);
		for (int i = 0; i < PLANS; i++) check_kept(&f, i);
		forms_close(&f);
	}
	sn_ctx_close(single);
}

/* ---- the budget ---- */

enum { FORKS = 300, WORDS = 40, WIDE_VOCAB = 2000 };

/* A row and many forks of it that differ early, as Shapley coalitions do. */
static sn_batch make_coalitions(sn_arena *arena)
{
	int32_t *token = SN_TAKE(arena, int32_t, FORKS * WORDS), *parent = SN_TAKE(arena, int32_t, FORKS),
			*fork = SN_TAKE(arena, int32_t, FORKS);
	int64_t *start = SN_TAKE(arena, int64_t, FORKS + 1), *item = SN_TAKE(arena, int64_t, FORKS);
	sn_rng rng = sn_rng_make(3, 3);
	for (int i = 0; i < WORDS; i++) token[i] = (int32_t)sn_rng_below(&rng, WIDE_VOCAB);
	for (int b = 0; b < FORKS; b++) {
		start[b + 1] = start[b] + WORDS;
		memcpy(token + start[b], token, WORDS * sizeof *token);
		parent[b] = b ? 0 : -1;
		fork[b] = b ? WORDS : 0;
		item[b] = b;
	}
	return (sn_batch){ .n = FORKS, .token = token, .start = start, .item = item, .parent = parent, .fork = fork };
}

typedef struct sums { double sum[64], score[2 * FORKS]; sn_status status; int64_t peak, smallest; } sums;

static void run_coalitions(sn_model *model, const sn_batch *batch, int64_t memory, sums *out)
{
	counter c;
	sn_ctx *ctx = open_ctx(1, 0, memory, &c);
	int32_t reference[FORKS] = { 0 };
	*out = (sums){ 0 };
	sn_moments moments = { .sum = out->sum, .d = 64 };
	sn_edit edit = { .op = SN_OP_NOISE, .at = { .kind = SN_SITE_RESID_PRE, .layer = 1 },
	                 .where = { .sel = SN_RANGE, .arg = 3, .end = 20, .row0 = 1, .n_row = FORKS - 1 } };
	sn_tap tap = { .at = { .kind = SN_SITE_RESID_POST, .layer = 2 }, .where = { .sel = SN_ALL },
	               .sink = &sn_sink_moments, .state = &moments };
	sn_goal goal[] = { { .metric = SN_KL, .where = { .sel = SN_LAST }, .ref_row = reference },
	                   { .metric = SN_LOSS, .where = { .sel = SN_FROM, .arg = 30 } } };
	sn_plan plan = { .size = sizeof plan, .n_edit = 1, .edit = &edit, .n_tap = 1, .tap = &tap, .n_goal = 2,
	                 .goal = goal };
	out->status = sn_run(ctx, model, batch, &plan, NULL, out->score);
	const char *asked = strstr(sn_error(ctx), "--memory ");
	out->smallest = asked ? (int64_t)atoi(asked + 9) << 20 : 0;
	out->peak = c.peak;
	sn_ctx_close(ctx);
}

static void assert_same_sums(const sums *a, const sums *b)
{
	assert_int_equal(b->status, SN_OK);
	assert_memory_equal(a->sum, b->sum, sizeof a->sum);
	assert_memory_equal(a->score, b->score, sizeof a->score);
}

static void the_budget_is_kept_and_the_smallest_is_told(void **state)
{
	sn_ctx *ctx = open_ctx(1, 0, 0, NULL);
	forms_weights w = { .seed = 5, .shape = { .n_layer = 3, .n_head = 4, .n_kv_head = 2, .d_head = 16, .d_model = 64,
	                                          .d_mlp = 256, .d_vocab = WIDE_VOCAB, .n_ctx = 64, .norm_eps = 1e-5,
	                                          .rope_base = 100, .tied = true } };
	sn_arena *arena;
	sums plenty, little, least, less;
	(void)state;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	sn_model *model = forms_model(ctx, &w, NULL);
	sn_batch batch = make_coalitions(arena), one = { .n = 1, .token = batch.token, .start = batch.start };
	const sn_plan nothing = { .size = sizeof nothing };
	sn_state *warm;   /* packs the weights in the model's own context */
	assert_ok(ctx, sn_state_open(&warm, ctx));
	assert_ok(ctx, sn_run(ctx, model, &one, &nothing, warm, NULL));
	sn_state_close(warm);
	run_coalitions(model, &batch, INT64_C(1) << 30, &plenty);
	assert_int_equal(plenty.status, SN_OK);
	run_coalitions(model, &batch, plenty.peak / 3, &little);
	assert_same_sums(&plenty, &little);
	assert_true(little.peak <= plenty.peak / 3);
	run_coalitions(model, &batch, 1 << 20, &less);
	assert_int_equal(less.status, SN_ENOMEM);
	assert_true(less.smallest > 1 << 20 && less.smallest < plenty.peak / 3);
	run_coalitions(model, &batch, less.smallest, &least);
	assert_same_sums(&plenty, &least);
	assert_true(least.peak <= less.smallest);
	run_coalitions(model, &batch, less.smallest - (1 << 20), &less);
	assert_int_equal(less.status, SN_ENOMEM);
	print_message("peak %.2f MB of 1 GB; %.2f of %.2f; %.2f of %.2f, the least\n", (double)plenty.peak / 1e6,
	              (double)little.peak / 1e6, (double)plenty.peak / 3e6, (double)least.peak / 1e6,
	              (double)(less.smallest) / 1e6);
	sn_model_close(model);
	sn_arena_close(arena);
	sn_ctx_close(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forks_equal_rows_spelt_out_whatever_the_memory),
		cmocka_unit_test(forks_of_kept_rows_equal_rows_spelt_out),
		cmocka_unit_test(the_budget_is_kept_and_the_smallest_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
