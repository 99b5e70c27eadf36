/* sonde lens gradients on a tiny Llama against autograd (tests/oracles/lens.py), and against its own mathematics: a
 * step's loss is the norm squared, ranks are at most the number of tokens. */
#include "common/method.h"

#include "io/json.h"

#include <math.h>
#include <string.h>

#define TINY SN_TESTS "/golden/tiny/gqa-tied"
static const char texts[] = "The keys to the cabinet\n";

enum { MATRICES, TOKENS, SPECTRA };

static double number(const json_t *object, const char *key) { return json_number_value(json_object_get(object, key)); }

static int64_t find_row(const method_run *r, int table, const char *matrix, int64_t layer, int64_t place)
{
	for (int64_t i = 0; i < sn_result_rows(r->result, table); i++) {
		bool same = strcmp(method_text(r, table, i, "matrix"), matrix) == 0 &&
			method_number(r, table, i, "layer") == (double)layer;
		if (same && (place < 0 || method_number(r, table, i, "place") == (double)place)) return i;
	}
	fail_msg("no row of %s in block %d", matrix, (int)layer);
	return -1;
}

static void check_matrix(const method_run *r, const char *matrix, int64_t layer, const json_t *golden)
{
	int64_t row = find_row(r, MATRICES, matrix, layer, -1);
	double norm = number(golden, "norm"), first = 0;
	size_t i;
	json_t *value;
	assert_true(fabs(method_number(r, MATRICES, row, "norm") - norm) < 1e-4 * norm);
	assert_true(fabs(method_number(r, MATRICES, row, "step") - norm * norm) < 2e-4 * norm * norm);
	assert_true(method_number(r, MATRICES, row, "rank") == number(golden, "rank"));
	json_array_foreach(json_object_get(golden, "values"), i, value) {
		double found = method_number(r, SPECTRA, find_row(r, SPECTRA, matrix, layer, (int64_t)i + 1), "value");
		if (i == 0) first = json_number_value(value);
		if (fabs(found - json_number_value(value)) > 1e-4 * first)
			fail_msg("%s of block %d: singular value %zu is %g, expected %g", matrix, (int)layer, i, found,
			         json_number_value(value));
	}
}

static void gradients_are_autograds(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *golden;
	method_run r;
	const char *matrix;
	json_t *layers, *layer, *ranks, *rank;
	size_t l, t;
	assert_ok(ctx, sn_json_load(&golden, ctx, SN_TESTS "/golden/lens/gradients.json", 0));
	method_open(&r, ctx, "lens", "gradients", TINY, "data.txt", texts);
	method_go(&r, (const char *[]){ "target=are", "matrices=OUT", NULL });
	json_object_foreach(json_object_get(golden->root, "matrices"), matrix, layers)
		json_array_foreach(layers, l, layer) check_matrix(&r, matrix, (int64_t)l, layer);
	int64_t n = (int64_t)number(golden->root, "tokens");
	json_array_foreach(json_object_get(golden->root, "target_rank"), l, ranks)
		json_array_foreach(ranks, t, rank) {
			double found = method_number(&r, TOKENS, (int64_t)l * n + (int64_t)t, "target_rank");
			assert_true(method_number(&r, TOKENS, (int64_t)l * n + (int64_t)t, "layer") == (double)l);
			if (json_is_null(rank)) assert_true(found == (double)INT64_MIN);
			else assert_true(fabs(found - json_number_value(rank)) <= 1);
		}
	method_close(&r);
	sn_json_close(golden);
}

/* In other forms of block: ranks, and the first-order loss, which is the norm's square. */
static void ranks_are_at_most_the_tokens(void **state)
{
	static const char *const variants[] = { "gpt2", "gemma3", "bert", "phi", "qwen3" };
	for (int v = 0; v < SN_COUNT(variants); v++) {
		method_run r;
		bool masked = strcmp(variants[v], "bert") == 0;
		method_open_arch(&r, test_ctx(state), "lens", "gradients", variants[v], "data.txt",
		                 masked ? "the [MASK] is\n" : "the key is\n");
		method_go(&r, (const char *[]){ "target=the", "matrices=all", NULL });
		for (int64_t i = 0; i < sn_result_rows(r.result, MATRICES); i++) {
			double norm = method_number(&r, MATRICES, i, "norm");
			assert_true(method_number(&r, MATRICES, i, "rank") <= method_number(&r, MATRICES, i, "tokens"));
			assert_true(norm > 0);
			assert_true(fabs(method_number(&r, MATRICES, i, "step") - norm * norm) < 1e-9 * norm * norm);
		}
		method_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gradients_are_autograds),
		cmocka_unit_test(ranks_are_at_most_the_tokens),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
