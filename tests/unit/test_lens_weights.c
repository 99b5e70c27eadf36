/* sonde lens neurons and lens matrices against double loops over a tiny model's weights and activations. */
#include "common/method.h"

#include <math.h>
#include <string.h>

#define TINY SN_TESTS "/golden/tiny/gqa-tied"
static const char texts[] = "The keys to the cabinet\nkey\nThe keys on the cabinet is the key\n";

static sn_tensor weight(method_run *r, sn_matrix matrix, int layer, int head)
{
	sn_tensor w;
	assert_ok(r->ctx, sn_weight(r->ctx, r->model, matrix, layer, head, r->arena, &w));
	return w;
}

static double at(const sn_tensor *w, int64_t i, int64_t k) { return ((const float *)w->data)[i * w->dim[1] + k]; }

/* Whether a list begins with a token; of one that is not plain letters nothing is said. */
static bool begins_with(const char *list, const char *token)
{
	bool plain = strspn(token, " abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(token);
	return !plain || strcmp(token, " ") == 0 || strncmp(list, token, strlen(token)) == 0;
}

static const char *token_text(method_run *r, int64_t id)
{
	size_t size;
	return sn_token_text(r->ctx, sn_model_tokenizer(r->model), (int32_t)id, r->arena, &size);
}

/* ---- neurons ---- */

enum { LAYERS, NEURONS, CONTEXTS };

/* Activations of a block at every token of the texts, one after another. */
static float *activations(method_run *r, int layer, int64_t *n)
{
	sn_tokens t[8];
	int64_t start[9] = { 0 }, d = sn_model_get_info(r->model)->d_mlp;
	int32_t *token = SN_TAKE(r->arena, int32_t, 256), rows = 0;
	for (const char *line = texts; *line; line = strchr(line, '\n') + 1, rows++) {
		assert_ok(r->ctx, sn_tokenize(r->ctx, sn_model_tokenizer(r->model), line, strcspn(line, "\n"), SN_ADD_SPECIAL,
		                              r->arena, &t[rows]));
		memcpy(token + start[rows], t[rows].id, (size_t)t[rows].n * sizeof *token);
		start[rows + 1] = start[rows] + t[rows].n;
	}
	*n = start[rows];
	float *x = SN_TAKE(r->arena, float, *n *d);
	sn_batch batch = { .n = rows, .token = token, .start = start };
	sn_keep keep = { x, *n, d };
	sn_tap tap = { .at = { .kind = SN_SITE_MLP_POST, .layer = (int16_t)layer }, .where = { .sel = SN_ALL },
	               .sink = &sn_sink_keep, .state = &keep };
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
	assert_ok(r->ctx, sn_run(r->ctx, r->model, &batch, &plan, NULL, NULL));
	return x;
}

static void check_value(method_run *r, const sn_tensor *out, const sn_tensor *u, int64_t row)
{
	int64_t neuron = (int64_t)method_number(r, NEURONS, row, "neuron"), best = 0, worst = 0;
	double high = -INFINITY, low = INFINITY;
	for (int64_t v = 0; v < u->dim[1]; v++) {
		double sum = 0;
		for (int64_t k = 0; k < u->dim[0]; k++) sum += at(out, neuron, k) * at(u, k, v);
		if (sum > high) high = sum, best = v;
		if (sum < low) low = sum, worst = v;
	}
	assert_true(begins_with(method_text(r, NEURONS, row, "promoted"), token_text(r, best)));
	assert_true(begins_with(method_text(r, NEURONS, row, "demoted"), token_text(r, worst)));
}

static void neurons_are_their_values_and_their_contexts(void **state)
{
	method_run r;
	method_open(&r, test_ctx(state), "lens", "neurons", TINY, "data.txt", texts);
	int64_t d = sn_model_get_info(r.model)->d_mlp, n;
	method_go(&r, (const char *[]){ "layers=1", "count=1000000", "contexts=3", NULL });
	assert_int_equal(sn_result_rows(r.result, NEURONS), d);
	float *x = activations(&r, 1, &n);
	sn_tensor out = weight(&r, SN_W_OUT, 1, -1), u = weight(&r, SN_W_U, 0, -1);
	double before = INFINITY;
	for (int64_t row = 0; row < d; row++) {
		int64_t neuron = (int64_t)method_number(&r, NEURONS, row, "neuron");
		double high = -INFINITY, low = INFINITY, norm = method_number(&r, NEURONS, row, "norm");
		for (int64_t i = 0; i < n; i++) {
			high = fmax(high, x[i * d + neuron]);
			low = fmin(low, x[i * d + neuron]);
		}
		assert_true(method_number(&r, NEURONS, row, "largest") == high);
		assert_true(method_number(&r, NEURONS, row, "smallest") == low);
		assert_true(fmax(high, -low) * norm <= before * (1 + 1e-6));
		before = fmax(high, -low) * norm;
		check_value(&r, &out, &u, row);
	}
	for (int64_t row = 1; row < sn_result_rows(r.result, CONTEXTS); row++) {   /* strongest first */
		bool same = method_number(&r, CONTEXTS, row, "neuron") == method_number(&r, CONTEXTS, row - 1, "neuron") &&
			strcmp(method_text(&r, CONTEXTS, row, "side"), method_text(&r, CONTEXTS, row - 1, "side")) == 0;
		if (same)
			assert_true(fabs(method_number(&r, CONTEXTS, row, "activation")) <=
			            fabs(method_number(&r, CONTEXTS, row - 1, "activation")));
	}
	method_close(&r);
}

/* With --word the first neuron is the one whose value has the largest product with it. */
static void neurons_of_a_word(void **state)
{
	method_run r;
	method_open(&r, test_ctx(state), "lens", "neurons", TINY, "data.txt", texts);
	method_go(&r, (const char *[]){ "word=the", "count=3", NULL });
	int64_t the = -1;
	for (int64_t v = 0; v < sn_tokenizer_size(sn_model_tokenizer(r.model)); v++)
		if (strcmp(token_text(&r, v), " the") == 0) the = v;
	sn_tensor u = weight(&r, SN_W_U, 0, -1);
	double best = -INFINITY;
	for (int l = 0; l < sn_model_get_info(r.model)->n_layer; l++) {
		sn_tensor out = weight(&r, SN_W_OUT, l, -1);
		for (int64_t i = 0; i < out.dim[0]; i++) {
			double sum = 0;
			for (int64_t k = 0; k < u.dim[0]; k++) sum += at(&out, i, k) * at(&u, k, the);
			best = fmax(best, sum);
		}
	}
	assert_true(fabs(method_number(&r, NEURONS, 0, "word") - best) < 1e-5);
	method_close(&r);
}

/* ---- matrices ---- */

enum { HEADS, PAIRS };

/* The two sides of a head's matrix in double: [V, d_head]. */
static double *side(method_run *r, sn_matrix matrix, int layer, int head, const sn_tensor *u)
{
	sn_tensor w = weight(r, matrix, layer, head);
	bool out = matrix == SN_W_O;
	int64_t V = u->dim[1], n = out ? w.dim[0] : w.dim[1];
	double *x = SN_TAKE(r->arena, double, V *n);
	for (int64_t v = 0; v < V; v++)
		for (int64_t k = 0; k < n; k++)
			for (int64_t i = 0; i < u->dim[0]; i++) x[v * n + k] += at(u, i, v) * (out ? at(&w, k, i) : at(&w, i, k));
	return x;
}

static void check_matrix(method_run *r, int64_t row, int layer, int head, bool vo)
{
	const sn_model_info *info = sn_model_get_info(r->model);
	sn_tensor u = weight(r, SN_W_U, 0, -1);
	int64_t V = u.dim[1], n = info->d_head;
	int kv = head / (info->n_head / info->n_kv_head);
	double *a = side(r, vo ? SN_W_V : SN_W_Q, layer, vo ? kv : head, &u);
	double *b = side(r, vo ? SN_W_O : SN_W_K, layer, vo ? head : kv, &u);
	double sum = 0, square = 0, same = 0, best = -INFINITY;
	for (int64_t v = 0; v < V; v++)
		for (int64_t w = 0; w < V; w++) {
			double s = 0;
			for (int64_t k = 0; k < n; k++) s += a[v * n + k] * b[w * n + k];
			sum += s, square += s * s, same += v == w ? s : 0;
			best = fmax(best, s);
		}
	double N = (double)V * (double)V, mean = sum / N, deviation = sqrt(square / N - mean * mean);
	assert_true(fabs(method_number(r, HEADS, row, "deviation") / deviation - 1) < 1e-4);
	assert_true(fabs(method_number(r, HEADS, row, "same") - (same / (double)V - mean) / deviation) < 1e-4);
	assert_true(fabs(method_number(r, HEADS, row, "largest") / ((best - mean) / deviation) - 1) < 1e-4);
	assert_true(fabs(method_number(r, PAIRS, 3 * row, "score") / best - 1) < 1e-4);
}

static void matrices_are_products_over_all_pairs(void **state)
{
	method_run r;
	method_open(&r, test_ctx(state), "lens", "matrices", TINY, "data.txt", texts);
	method_go(&r, (const char *[]){ "heads=1:3,0:0", "top=3", NULL });
	assert_int_equal(sn_result_rows(r.result, HEADS), 4);
	assert_int_equal(sn_result_rows(r.result, PAIRS), 12);
	for (int i = 0; i < 4; i++) check_matrix(&r, i, i < 2 ? 1 : 0, i < 2 ? 3 : 0, i % 2 == 0);
	assert_int_equal(method_status(&r, (const char *[]){ "heads=9:0", NULL }), SN_EARG);
	assert_non_null(strstr(sn_error(r.ctx), "BLOCK:HEAD"));
	method_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neurons_are_their_values_and_their_contexts),
		cmocka_unit_test(neurons_of_a_word),
		cmocka_unit_test(matrices_are_products_over_all_pairs),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
