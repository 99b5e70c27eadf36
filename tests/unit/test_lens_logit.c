/* sonde lens logit on a tiny Llama: the last layer is the model's own output, and what is averaged is what the cells
 * say. */
#include "common/method.h"

#include "data/result.h"
#include "report/report.h"

#include <math.h>
#include <string.h>

#define TINY SN_TESTS "/golden/tiny/gqa-tied"
static const char texts[] = "The keys to the cabinet\nA key\nThe door of the keys is here\n";

enum { LAYERS, WORDS, CELLS, FOLLOWED };

static int64_t last_layer(const method_run *r) { return sn_model_get_info(r->model)->n_layer; }

/* log p of each text's own next tokens, summed, by a goal of the engine. */
static double own_logprob(method_run *r, const char *text, int64_t *n)
{
	sn_tokens t;
	double score;
	assert_ok(r->ctx, sn_tokenize(r->ctx, sn_model_tokenizer(r->model), text, strlen(text), SN_ADD_SPECIAL, r->arena,
	                              &t));
	int64_t start[2] = { 0, t.n };
	sn_batch batch = { .n = 1, .token = t.id, .start = start };
	sn_goal goal = { .metric = SN_LOGPROB, .where = { .sel = SN_ALL } };
	sn_plan plan = { .size = sizeof plan, .n_goal = 1, .goal = &goal };
	assert_ok(r->ctx, sn_run(r->ctx, r->model, &batch, &plan, NULL, &score));
	*n = t.n - 1;
	return score;
}

static void the_last_layer_is_the_models_output(void **state)
{
	method_run r;
	method_open(&r, test_ctx(state), "lens", "logit", TINY, "data.txt", texts);
	method_go(&r, (const char *[]){ "details=0", NULL });
	int64_t last = last_layer(&r), n_text = 0, n = 0;
	assert_int_equal(sn_result_rows(r.result, LAYERS), last + 1);
	assert_true(method_number(&r, LAYERS, last, "agreement") == 1);
	assert_true(method_number(&r, LAYERS, last, "settled") == 1);
	assert_true(method_number(&r, LAYERS, last, "kl") == 0);
	double sum = 0, found = NAN;
	for (const char *at = texts; *at; at = strchr(at, '\n') + 1) {
		char text[64] = "";
		memcpy(text, at, strcspn(at, "\n"));
		sum += own_logprob(&r, text, &n_text);
		n += n_text;
	}
	for (int64_t i = 0; i < sn_result_rows(r.result, WORDS); i++)
		if (strcmp(method_text(&r, WORDS, i, "token"), "next token") == 0 &&
		    method_number(&r, WORDS, i, "layer") == (double)last) {
			found = method_number(&r, WORDS, i, "logprob");
			assert_true(method_number(&r, WORDS, i, "positions") == (double)n);
		}
	assert_true(fabs(found - sum / (double)n) < 1e-5);
	method_close(&r);
}

/* Means of the cells are the layers' values; the model's answer has rank 1 at the end, and where it has rank 1 it is
 * the cell's first choice. */
static void cells_and_averages_agree(void **state)
{
	method_run r;
	method_open(&r, test_ctx(state), "lens", "logit", TINY, "data.txt", texts);
	method_go(&r, (const char *[]){ "details=0", "token=the|is", "top=3", NULL });
	int64_t last = last_layer(&r), n_cell = sn_result_rows(r.result, CELLS), n = n_cell / (last + 1);
	assert_int_equal(sn_result_rows(r.result, FOLLOWED), 3 * n_cell);
	for (int64_t l = 0; l <= last; l++) {
		double kl = 0, entropy = 0;
		for (int64_t i = 0; i < n; i++) {
			int64_t row = i * (last + 1) + l;
			assert_true(method_number(&r, CELLS, row, "layer") == (double)l);
			kl += method_number(&r, CELLS, row, "kl") / (double)n;
			entropy += method_number(&r, CELLS, row, "entropy") / (double)n;
			bool first = method_number(&r, FOLLOWED, 3 * row, "rank") == 1;
			bool same = strcmp(method_text(&r, FOLLOWED, 3 * row, "token"), method_text(&r, CELLS, row, "first")) == 0;
			assert_true(first == same && (first || l < last));
			if (first)
				assert_true(method_number(&r, FOLLOWED, 3 * row, "probability") ==
				            method_number(&r, CELLS, row, "probability"));
			assert_string_equal(method_text(&r, FOLLOWED, 3 * row + 1, "token"), " the");
		}
		assert_true(fabs(kl - method_number(&r, LAYERS, l, "kl")) < 1e-9);
		assert_true(fabs(entropy - method_number(&r, LAYERS, l, "entropy")) < 1e-9);
	}
	method_close(&r);
}

/* Sites that are the stream under other names say the same, except that nothing is said of settling. */
static void named_sites_are_read_as_the_stream_is(void **state)
{
	method_run a, b;
	method_open(&a, test_ctx(state), "lens", "logit", TINY, "data.txt", texts);
	method_open(&b, test_ctx(state), "lens", "logit", TINY, "data.txt", texts);
	method_go(&a, (const char *[]){ "at=last", NULL });
	method_go(&b, (const char *[]){ "at=last", "sites=blocks.*.hook_resid_post", NULL });
	for (int64_t l = 0; l < last_layer(&a); l++) {
		assert_true(method_number(&a, LAYERS, l + 1, "kl") == method_number(&b, LAYERS, l, "kl"));
		assert_true(isnan(method_number(&b, LAYERS, l, "settled")));
	}
	method_close(&b);
	method_close(&a);
}

/* A masked model is read where its mask stands, and its own token there is what is followed. */
static void masked_models_are_read_at_the_mask(void **state)
{
	method_run r;
	method_open_arch(&r, test_ctx(state), "lens", "logit", "bert", "data.txt", "the [MASK] is\nthe key\n");
	method_go(&r, (const char *[]){ "details=0", "top=2", NULL });
	int64_t last = last_layer(&r);
	assert_true(method_number(&r, LAYERS, last, "kl") == 0 && method_number(&r, LAYERS, last, "agreement") == 1);
	bool other = false;
	for (int64_t i = 0; i < sn_result_rows(r.result, CELLS); i++) {
		bool first_text = method_number(&r, CELLS, i, "item") == 1;
		if (first_text) assert_non_null(strstr(method_text(&r, CELLS, i, "place"), "[MASK]"));
		other |= !first_text;
	}
	assert_true(other);   /* a text without a mask is read everywhere */
	assert_string_equal(method_text(&r, FOLLOWED, 1, "followed"), "own token");
	method_close(&r);
}

/* The engine's log p of the last of a target's tokens, after start, target and source. */
static double pair_logprob(method_run *r, const char *source, const char *target)
{
	sn_tokens from, to;
	int32_t token[16] = { sn_model_get_info(r->model)->decoder_start };
	double score;
	const sn_tokenizer *tokenizer = sn_model_tokenizer(r->model);
	assert_ok(r->ctx, sn_tokenize(r->ctx, tokenizer, source, strlen(source), SN_ADD_SPECIAL, r->arena, &from));
	assert_ok(r->ctx, sn_tokenize(r->ctx, tokenizer, target, strlen(target), SN_ADD_SPECIAL, r->arena, &to));
	assert_true(to.n >= 2 && to.n <= 16);
	memcpy(token + 1, to.id, (size_t)(to.n - 2) * sizeof *token);   /* without the end, and what is predicted */
	int64_t start[2] = { 0, to.n - 1 }, from_start[2] = { 0, from.n };
	sn_batch enc = { .n = 1, .token = from.id, .start = from_start };
	sn_batch batch = { .n = 1, .token = token, .start = start, .enc = &enc };
	sn_goal goal = { .metric = SN_LOGPROB, .where = { .sel = SN_LAST }, .want = &to.id[to.n - 2], .n_want = 1 };
	sn_plan plan = { .size = sizeof plan, .n_goal = 1, .goal = &goal };
	assert_ok(r->ctx, sn_run(r->ctx, r->model, &batch, &plan, NULL, &score));
	return score;
}

/* Start token and target are read under their source; without a target the start alone. */
static void decoders_of_pairs_are_read(void **state)
{
	static const char *const variants[] = { "t5", "bart", "mbart", "marian" };
	for (int v = 0; v < SN_COUNT(variants); v++) {
		method_run r;
		double found = NAN;
		method_open_arch(&r, test_ctx(state), "lens", "logit", variants[v], "data.jsonl",
						 "{\"source\": \"keys on the table\", \"target\": \"the old cat\"}\n");
		method_go(&r, (const char *[]){ "details=0", "top=2", NULL });
		int64_t last = last_layer(&r);
		assert_true(method_number(&r, LAYERS, last, "kl") == 0 && method_number(&r, LAYERS, 0, "kl") > 0);
		assert_int_equal(method_number(&r, LAYERS, last, "positions"), 5); /* start, [CLS], three words */
		for (int64_t i = 0; i < sn_result_rows(r.result, FOLLOWED); i++)
			if (method_number(&r, FOLLOWED, i, "position") == 3 &&
			    method_number(&r, FOLLOWED, i, "layer") == (double)last &&
			    strcmp(method_text(&r, FOLLOWED, i, "followed"), "next token") == 0)
				found = method_number(&r, FOLLOWED, i, "logprob");
		assert_true(fabs(found - pair_logprob(&r, "keys on the table", "the old cat")) < 1e-4);
		method_close(&r);
		method_open_arch(&r, test_ctx(state), "lens", "logit", variants[v], "data.txt", "keys on the table\n");
		method_go(&r, (const char *[]){ "token=cat", NULL });
		assert_int_equal(method_number(&r, LAYERS, last, "positions"), 1);
		assert_int_equal(method_status(&r, (const char *[]){ "decoder=target", NULL }), SN_ENOTFOUND);
		method_close(&r);
	}
}

/* Little memory: a text's places are read in slices, with the same result to the last bit. */
static void slices_change_nothing(void **state)
{
	sn_options options = { .size = sizeof options, .threads = 2, .seed = 1, .memory = 1 << 18 };
	sn_ctx *small;
	method_run a, b;
	assert_ok(test_ctx(state), sn_ctx_open(&small, &options));
	method_open(&a, test_ctx(state), "lens", "logit", TINY, "data.txt", texts);
	method_open(&b, small, "lens", "logit", TINY, "data.txt", texts);
	method_go(&a, (const char *[]){ "details=0", NULL });
	method_go(&b, (const char *[]){ "details=0", NULL });
	assert_int_equal(sn_result_rows(a.result, FOLLOWED), sn_result_rows(b.result, FOLLOWED));
	for (int64_t i = 0; i < sn_result_rows(a.result, FOLLOWED); i++) {
		assert_true(method_number(&a, FOLLOWED, i, "logprob") == method_number(&b, FOLLOWED, i, "logprob"));
		assert_true(method_number(&a, FOLLOWED, i, "rank") == method_number(&b, FOLLOWED, i, "rank"));
	}
	for (int64_t l = 0; l <= last_layer(&a); l++)
		assert_true(method_number(&a, LAYERS, l, "kl") == method_number(&b, LAYERS, l, "kl"));
	method_close(&b);
	method_close(&a);
	sn_ctx_close(small);
}

/* The words are in the picture and, cut, on the terminal; numbers of other measures stay numbers. */
static void first_choices_stand_in_the_map(void **state)
{
	method_run r;
	sn_buf text = { .ctx = test_ctx(state) }, figure = text;
	method_open(&r, text.ctx, "lens", "logit", TINY, "data.txt", "The keys\n");
	method_go(&r, (const char *[]){ "at=last", NULL });
	assert_ok(r.ctx, sn_report_text(&text, r.result, 20, false));
	assert_ok(r.ctx, sn_report_svg(&figure, r.result, CELLS));
	char line[64];
	for (int64_t i = 0; i < sn_result_rows(r.result, CELLS); i++) {
		const char *first = method_text(&r, CELLS, i, "first");
		sn_format(line, sizeof line, "Layer %d  %.5s", (int)i, first);
		if (strspn(first, "abcdefghijklmnopqrstuvwxyz ") == strlen(first)) assert_non_null(strstr(text.data, line));
		sn_format(line, sizeof line, ">%.2s", first);
		if (strspn(first, "abcdefghijklmnopqrstuvwxyz ") == strlen(first)) assert_non_null(strstr(figure.data, line));
	}
	assert_non_null(strstr(figure.data, "KL(final || lens)"));
	sn_buf_free(&figure);
	sn_buf_free(&text);
	method_close(&r);
}

static void what_cannot_be_is_refused(void **state)
{
	static const char *const wrong[][2] = {
		{ "token=cabinetmakers", "name one token" }, { "token=the||is", "empty word" },
		{ "sites=blocks.0.attn.hook_k", "model's width" }, { "column=nothing", "no column" },
	};
	method_run r;
	method_open(&r, test_ctx(state), "lens", "logit", TINY, "data.txt", texts);
	for (int i = 0; i < SN_COUNT(wrong); i++) {
		assert_int_not_equal(method_status(&r, (const char *[]){ wrong[i][0], NULL }), SN_OK);
		if (!strstr(sn_error(r.ctx), wrong[i][1])) fail_msg("%s: %s", wrong[i][0], sn_error(r.ctx));
	}
	method_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_layer_is_the_models_output),
		cmocka_unit_test(cells_and_averages_agree),
		cmocka_unit_test(named_sites_are_read_as_the_stream_is),
		cmocka_unit_test(masked_models_are_read_at_the_mask),
		cmocka_unit_test(decoders_of_pairs_are_read),
		cmocka_unit_test(slices_change_nothing),
		cmocka_unit_test(first_choices_stand_in_the_map),
		cmocka_unit_test(what_cannot_be_is_refused),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
