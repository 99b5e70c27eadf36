/* attention explanation-tests with a column of classes: readouts, trained adversaries, guides. What they train is held
 * to PyTorch in test_stats_readout.c. */
#include "common/method.h"

#include "methods/attention/explain_readout.h"

#include <math.h>
#include <string.h>

#define TINY SN_TESTS "/golden/tiny/gqa-tied"

enum { READOUTS = 6, ADVERSARIES, GUIDES };

static const char *const quick[] = { "limit=1", "adversaries=0", "permutations=2", "seeds=2", "lambdas=0,0.01,1",
	                                 "epochs=150", "rate=0.02", "attention=6", NULL };

/* Texts whose class is a word among others. */
static void write_texts(char *to, size_t size, const char *head, const char *format)
{
	static const char *const word[] = { "cats", "dogs" }, *const filler[] = { "the", "old", "are", "near", "run" };
	sn_rng rng = sn_rng_make(4, 0);
	size_t at = (size_t)snprintf(to, size, "%s", head);
	for (int i = 0; i < 60; i++) {
		char text[128] = "";
		int y = (int)sn_rng_below(&rng, 2), length = 3 + (int)sn_rng_below(&rng, 3),
			where = (int)sn_rng_below(&rng, (uint64_t)length);
		for (int k = 0; k < length; k++) {
			strcat(text, k ? " " : "");
			strcat(text, k == where ? word[y] : filler[sn_rng_below(&rng, 5)]);
		}
		at += (size_t)snprintf(to + at, size - at, format, text, word[y]);
	}
}

static void check_tables(method_run *r)
{
	assert_int_equal(sn_result_rows(r->result, READOUTS), 4);
	assert_int_equal(sn_result_rows(r->result, ADVERSARIES), 6);
	assert_int_equal(sn_result_rows(r->result, GUIDES), 7);
	assert_true(method_number(r, READOUTS, 0, "accuracy") > method_number(r, READOUTS, 0, "majority"));
	assert_true(isnan(method_number(r, READOUTS, 0, "jsd")));
	for (int64_t i = 0; i < 6; i++) {
		double tvd = method_number(r, ADVERSARIES, i, "tvd"), jsd = method_number(r, ADVERSARIES, i, "jsd");
		assert_true(tvd >= 0 && tvd <= 1 && jsd >= 0 && jsd <= log(2));
	}
	/* training texts: with lambda 0 an imitation, with more the weights go farther */
	assert_true(method_number(r, ADVERSARIES, 1, "tvd") < 0.05);
	assert_true(method_number(r, ADVERSARIES, 5, "jsd") > method_number(r, ADVERSARIES, 1, "jsd"));
	assert_true(method_number(r, GUIDES, 0, "gain") == 0);
	assert_string_equal(method_text(r, GUIDES, 3, "guide"), "base readout");
}

static void classes_train_readouts(void **state)
{
	char text[8192];
	method_run r;
	double first[4];
	write_texts(text, sizeof text, "text\tlabel\n", "%s\t%s\n");
	method_open(&r, test_ctx(state), "attention", "explanation-tests", TINY, "data.tsv", text);
	for (int again = 0; again < 2; again++) {   /* the same seed, the same numbers */
		method_go(&r, quick);
		check_tables(&r);
		for (int64_t i = 0; i < 4; i++) {
			double loss = method_number(&r, GUIDES, i, "loss");
			assert_true(!again || loss == first[i]);
			first[i] = loss;
		}
	}
	method_close(&r);
}

/* What an encoder-decoder's encoder reads is classified. */
static void encoders_are_read(void **state)
{
	char text[8192];
	method_run r;
	write_texts(text, sizeof text, "source\tlabel\ttarget\n", "%s\t%s\tthe old\n");
	method_open_arch(&r, test_ctx(state), "attention", "explanation-tests", "t5", "data.tsv", text);
	method_go(&r, quick);
	check_tables(&r);
	method_close(&r);
}

/* Vectors are standardised over training texts; weights are distributions; both parts are disjoint. */
static void labelled_texts_are_prepared(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	char text[8192];
	method_run r;
	sn_labelled l;
	const sn_column *label;
	sn_explain_param p = { .column = "auto", .held = 0.25, .layer = 0 };
	write_texts(text, sizeof text, "text\tlabel\n", "%s\t%s\n");
	method_open(&r, ctx, "attention", "explanation-tests", TINY, "data.tsv", text);
	assert_ok(ctx, sn_labelled_column(ctx, r.data, "auto", &label));
	assert_ok(ctx, sn_labelled_read(&l, ctx, r.model, r.data, label, &p, r.arena));
	assert_int_equal(l.deep.n, 60);
	assert_int_equal(l.n_fit, 45);
	assert_int_equal(l.n_class, 2);
	for (int64_t j = 0; j < l.deep.d; j++) {
		double sum = 0, square = 0, n = 0;
		for (int64_t i = 0; i < l.n_fit; i++)
			for (int64_t t = l.deep.start[l.row[i]]; t < l.deep.start[l.row[i] + 1]; t++, n++) {
				sum += l.deep.x[t * l.deep.d + j];
				square += (double)l.deep.x[t * l.deep.d + j] * l.deep.x[t * l.deep.d + j];
			}
		assert_true(fabs(sum / n) < 1e-5 && fabs(square / n - 1) < 1e-4);
	}
	for (int64_t i = 0; i < l.deep.n; i++) {
		double uniform = 0, heads = 0;
		for (int64_t t = l.deep.start[i]; t < l.deep.start[i + 1]; t++) {
			uniform += l.uniform[t];
			heads += l.heads[t];
		}
		assert_true(fabs(uniform - 1) < 1e-12 && fabs(heads - 1) < 1e-5);
	}
	bool seen[60] = { false };
	for (int i = 0; i < 60; i++) {
		assert_false(seen[l.row[i]]);
		seen[l.row[i]] = true;
	}
	method_close(&r);
}

static void bad_requests_are_named(void **state)
{
	static const struct { const char *option[3], *says; } wrong[] = {
		{ { "label=nothing", NULL }, "no column nothing" },   { { "label=score", NULL }, "no classes" },
		{ { "lambdas=0,x", NULL }, "--lambdas 0,x" },         { { "lambdas=-1", NULL }, "--lambdas -1" },
		{ { "layer=7", NULL }, "layers 0 to 1" },             { { "labelled=5", "label=label" }, "at least 10 texts" },
		{ { "label=same", NULL }, "two classes" },            { { "label=text", NULL }, "two texts a class" },
	};
	char text[8192];
	method_run r;
	write_texts(text, sizeof text, "text\tlabel\tscore\tsame\n", "%s\t%s\t0.5\tone\n");
	method_open(&r, test_ctx(state), "attention", "explanation-tests", TINY, "data.tsv", text);
	for (int i = 0; i < SN_COUNT(wrong); i++) {
		const char *option[] = { "limit=1", "adversaries=0", "permutations=1", wrong[i].option[0], wrong[i].option[1],
			                     NULL };
		assert_int_equal(sn_status_exit_code(method_status(&r, option)), 2);
		if (!strstr(sn_error(r.ctx), wrong[i].says)) fail_msg("%s: %s", option[3], sn_error(r.ctx));
	}
	method_go(&r, (const char *[]){ "limit=1", "adversaries=0", "permutations=1", "label=none", NULL });
	assert_int_equal(sn_result_rows(r.result, READOUTS), 0);
	method_go(&r, (const char *[]){ "limit=1", "adversaries=0", "permutations=1", "labelled=5", NULL });
	assert_int_equal(sn_result_rows(r.result, READOUTS), 0);   /* nobody asked for that column */
	method_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes_train_readouts),
		cmocka_unit_test(encoders_are_read),
		cmocka_unit_test(labelled_texts_are_prepared),
		cmocka_unit_test(bad_requests_are_named),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
