/* sonde lens recall on a tiny Llama: spans, baselines, and cuts that are the engine's. */
#include "common/method.h"

#include "model/knockout.h"

#include <math.h>
#include <string.h>

#define TINY SN_TESTS "/golden/tiny/gqa-tied"
static const char rows[] = "{\"text\": \"The keys on the cabinet is\", \"subject\": \"keys\"}\n"
	"{\"text\": \"The key is on\", \"subject\": \"The key\"}\n{\"text\": \"The key is\", \"subject\": \"door\"}\n"
	"{\"text\": \"The key is\", \"subject\": \"is\"}\n";

enum { KNOCKOUT, EXTRACTION, ENRICHMENT, ITEMS };

static void subjects_are_found_and_cut(void **state)
{
	method_run r;
	method_open(&r, test_ctx(state), "lens", "recall", TINY, "data.jsonl", rows);
	method_go(&r, (const char *[]){ "window=1", NULL });
	int64_t L = sn_model_get_info(r.model)->n_layer;
	assert_int_equal(sn_result_rows(r.result, ITEMS), 2);   /* "door" is not there, "is" stands last */
	assert_int_equal(sn_result_rows(r.result, KNOCKOUT), 3 * L);
	assert_int_equal(sn_result_rows(r.result, EXTRACTION), 2 * L);
	assert_int_equal(sn_result_rows(r.result, ENRICHMENT), 0);
	for (int64_t i = 0; i < 2; i++) {
		double p = method_number(&r, ITEMS, i, "probability");
		assert_true(p > 0 && p <= 1);
	}
	method_close(&r);
}

/* Log-probability where attention is cut by hand, in a row of its own that is no fork. */
static double by_hand(method_run *r, const sn_tokens *t, int first, int last, int layer0, int layer1, int32_t want)
{
	double score;
	sn_edit edit[8];
	int n = 0;
	int64_t start[2] = { 0, t->n };
	sn_batch batch = { .n = 1, .token = t->id, .start = start };
	for (int l = layer0; l <= layer1; l++)
		edit[n++] = (sn_edit){ .op = SN_OP_BLOCK, .at = { .kind = SN_SITE_ATTN_SCORES, .layer = (int16_t)l },
		                       .where = { .sel = SN_LAST }, .key = { .sel = SN_RANGE, .arg = first, .end = last } };
	sn_goal goal = { .metric = SN_LOGPROB, .where = { .sel = SN_LAST }, .want = &want, .n_want = 1 };
	sn_plan plan = { .size = sizeof plan, .n_edit = n, .edit = edit, .n_goal = 1, .goal = &goal };
	assert_ok(r->ctx, sn_run(r->ctx, r->model, &batch, &plan, NULL, &score));
	return score;
}

/* Windows of even and odd width, clipped at both ends, of one span and of two. */
static void windows_are_cuts_by_hand(void **state)
{
	method_run r;
	sn_tokens t;
	double logprob[2 * 8];
	int32_t span[3][2] = { { 1, 3 }, { 4, 5 }, { -1, -1 } };
	const uint32_t set[2] = { 1, 1 | 2 | 4 };
	static const char text[] = "The keys to the cabinet is";
	method_open(&r, test_ctx(state), "lens", "recall", TINY, "data.jsonl", rows);
	assert_ok(r.ctx, sn_tokenize(r.ctx, sn_model_tokenizer(r.model), text, strlen(text), SN_ADD_SPECIAL, r.arena, &t));
	int L = sn_model_get_info(r.model)->n_layer;
	for (int window = 1; window <= 4; window++) {
		sn_knockout k = { .n = (int32_t)t.n, .token = t.id, .n_span = 3, .span = span, .n_set = 2, .set = set,
		                  .window = window, .at = (int32_t)t.n - 1, .want = 5, .logprob = logprob };
		assert_ok(r.ctx, sn_knockout_run(r.ctx, r.model, &k, r.arena));
		assert_true(fabs(k.base - by_hand(&r, &t, 0, 0, 1, 0, 5)) < 1e-5);
		for (int l = 0; l < L; l++) {
			int first = SN_MAX(l - window / 2, 0), last = SN_MIN(l + (window - 1) / 2, L - 1);
			double one = by_hand(&r, &t, 1, 3, first, last, 5);
			assert_true(fabs(k.logprob[l] - one) < 1e-5);
			assert_true(fabs(k.logprob[L + l] - one) > 1e-4);   /* the second set cuts more */
		}
	}
	method_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(subjects_are_found_and_cut),
		cmocka_unit_test(windows_are_cuts_by_hand),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
