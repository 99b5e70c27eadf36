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

/* What a step does: with W - eta gradient for W, the output at token i moves by - eta sum_j (x_j . x_i) delta_j, and
 * the loss by - eta times what the table says, to first order. */
static void a_step_takes_away_what_is_said(void **state)
{
	method_run r;
	sn_tokens t;
	method_open(&r, test_ctx(state), "lens", "gradients", TINY, "data.txt", texts);
	method_go(&r, (const char *[]){ "target=are", NULL });
	assert_ok(r.ctx, sn_tokenize(r.ctx, sn_model_tokenizer(r.model), texts, strlen(texts) - 1, SN_ADD_SPECIAL, r.arena,
	                             &t));
	sn_tokens word;
	assert_ok(r.ctx, sn_tokenize(r.ctx, sn_model_tokenizer(r.model), " are", 4, 0, r.arena, &word));
	const sn_model_info *info = sn_model_get_info(r.model);
	int64_t n = t.n, start[2] = { 0, n }, d = info->d_model, wide = info->d_mlp;
	sn_batch batch = { .n = 1, .token = t.id, .start = start };
	sn_goal goal = { .metric = SN_LOSS, .where = { .sel = SN_LAST }, .want = word.id, .n_want = 1 };
	for (int l = 0; l < info->n_layer; l++) {
		float *x = SN_TAKE(r.arena, float, n *wide), *delta = SN_TAKE(r.arena, float, n *d);
		float *move = SN_TAKE(r.arena, float, n *d);
		double before, after, eta = 1e-4;
		sn_keep keep[2] = { { x, n, wide }, { delta, n, d } };
		sn_tap tap[2] = {
			{ .at = { .kind = SN_SITE_MLP_POST, .layer = (int16_t)l }, .where = { .sel = SN_ALL },
			  .sink = &sn_sink_keep, .state = &keep[0] },
			{ .at = { .kind = SN_SITE_MLP_OUT_OUT, .layer = (int16_t)l }, .where = { .sel = SN_ALL }, .what = SN_GRAD,
			  .sink = &sn_sink_keep, .state = &keep[1] } };
		sn_plan plan = { .size = sizeof plan, .n_tap = 2, .tap = tap, .n_goal = 1, .goal = &goal };
		assert_ok(r.ctx, sn_run(r.ctx, r.model, &batch, &plan, NULL, &before));
		for (int64_t i = 0; i < n; i++)
			for (int64_t k = 0; k < n; k++) {
				double product = 0;
				for (int64_t c = 0; c < wide; c++) product += (double)x[i * wide + c] * x[k * wide + c];
				for (int64_t c = 0; c < d; c++) move[i * d + c] -= (float)(eta * product * delta[k * d + c]);
			}
		sn_tensor src = sn_tensor_f32(move, n, d);
		sn_edit edit = { .op = SN_OP_ADD, .at = tap[1].at, .where = { .sel = SN_ALL }, .src = &src };
		sn_plan stepped = { .size = sizeof plan, .n_edit = 1, .edit = &edit, .n_goal = 1, .goal = &goal };
		assert_ok(r.ctx, sn_run(r.ctx, r.model, &batch, &stepped, NULL, &after));
		double said = method_number(&r, MATRICES, find_row(&r, MATRICES, "OUT", l, -1), "step");
		if (!(fabs((before - after) / eta / said - 1) < 0.05))
			fail_msg("block %d: a step takes %g away, said %g", l, (before - after) / eta, said);
	}
	method_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gradients_are_autograds),
		cmocka_unit_test(ranks_are_at_most_the_tokens),
		cmocka_unit_test(a_step_takes_away_what_is_said),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
