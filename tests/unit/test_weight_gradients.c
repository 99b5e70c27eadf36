/* Gradients of weights and biases against torch's autograd through transformers (tests/oracles/gradients.py): the loss
 * of two rows by every matrix of every tiny model, packed Q, K, V and gate and up among them, and by every other
 * parameter of torch's. */
#include "common/site_oracle.h"

#include "model/model.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { STRIDE = 7, MOST = 80 };   /* as in the script */

static const char *const matrix_names[] = {
	[SN_W_E] = "E", [SN_W_Q] = "Q", [SN_W_K] = "K", [SN_W_V] = "V", [SN_W_O] = "O", [SN_W_GATE] = "GATE",
	[SN_W_IN] = "IN", [SN_W_OUT] = "OUT", [SN_W_U] = "U", [SN_W_CROSS_Q] = "CROSS_Q", [SN_W_CROSS_K] = "CROSS_K",
	[SN_W_CROSS_V] = "CROSS_V", [SN_W_CROSS_O] = "CROSS_O",
};

typedef struct wanted {
	sn_weight_grad grad;
	const sn_stored *weight, *bias;
	int64_t d_in, d_out;
} wanted;

/* "weight/encoder.blocks.1.Q" */
static void parse(const char *name, sn_weight_grad *g)
{
	const char *at = strchr(name, '/') + 1, *block = strstr(at, "blocks."), *last = strrchr(at, '.');
	*g = (sn_weight_grad){ .layer = block ? atoi(block + 7) : 0,
		                   .stack = strncmp(at, "encoder.", 8) == 0 ? SN_STACK_ENCODER : SN_STACK_ONLY };
	for (int m = SN_W_E; m <= SN_W_CROSS_O; m++)
		if (strcmp(matrix_names[m], last ? last + 1 : at) == 0) g->matrix = (sn_matrix)m;
	assert_true(g->matrix != SN_W_NONE);
}

static void open_wanted(site_oracle *o, const sn_tensor_file *file, const sn_stored *t, wanted *w)
{
	const sn_model *stack = o->model;
	sn_tensor shape;
	char bias[96];
	parse(t->name, &w->grad);
	if (w->grad.stack == SN_STACK_ENCODER) stack = stack->encoder;
	assert_ok(o->ctx, sn_weight(o->ctx, stack, w->grad.matrix, w->grad.layer, -1, o->arena, &shape));
	w->d_in = shape.dim[0];
	w->d_out = shape.dim[1];
	w->grad.w = SN_TAKE(o->arena, float, w->d_in * w->d_out);
	w->grad.bias = SN_TAKE(o->arena, float, w->d_out);
	w->weight = t;
	snprintf(bias, sizeof bias, "bias/%s", strchr(t->name, '/') + 1);
	w->bias = sn_tensor_file_find(file, bias);
}

static double compare(const char *name, const sn_stored *t, const float *x, int64_t n)
{
	const float *expected = (const float *)t->data;
	double diff = 0, norm = 0;
	assert_int_equal(t->count, (n + STRIDE - 1) / STRIDE);
	for (int64_t i = 0; i < t->count; i++) {
		diff += ((double)x[i * STRIDE] - expected[i]) * ((double)x[i * STRIDE] - expected[i]);
		norm += (double)expected[i] * expected[i];
	}
	/* Without rotation a key's bias moves all scores of a query alike: its gradient is 0, others are of order 1. */
	double error = sqrt(diff) / fmax(sqrt(norm), 0.1);
	if (!(error < 1e-4)) fail_msg("%s %s: relative error %g (norm %g)", name, t->name, error, sqrt(norm));
	return error;
}

/* ---- what torch has besides: the weights of ours that have the same numbers ---- */

typedef struct mine {
	sn_weight_grad grad;
	int64_t n, step;   /* numbers; from one number of torch's first row to the next */
	float *value, *g;  /* [n] */
	bool bias;
} mine;

enum { MOST_MINE = 400, FIRST = 4 };

typedef struct list { int n, n_grad; mine at[MOST_MINE]; sn_weight_grad grad[MOST_MINE]; } list;

static void add_bias(site_oracle *o, const sn_model *stack, list *l, sn_weight_grad *g, int64_t n)
{
	sn_part part = sn_weight_part(stack, g->matrix) + 1;
	const char *name = sn_part_name(part);
	if (part >= SN_PART_COUNT || strcmp(name + strlen(name) - 2, "_B") != 0 || !sn_has(&stack->shape, part)) return;
	mine *m = &l->at[l->n++];
	*m = (mine){ .grad = *g, .n = n, .step = 1, .bias = true };
	m->value = SN_TAKE(o->arena, float, n);
	m->g = g->bias = SN_TAKE(o->arena, float, n);
	assert_ok(o->ctx, sn_model_read(o->ctx, stack, part, g->layer, 0, n, m->value));
}

/* StableLM's norms of queries and keys: torch has one for each head. */
static void split_heads(const sn_model *stack, list *l)
{
	mine whole = l->at[l->n - 1];
	bool heads = whole.grad.matrix == SN_W_Q_LN || whole.grad.matrix == SN_W_K_LN;
	if (!heads || stack->shape.form.qk_norm != SN_QK_NORM_EACH) return;
	l->n--;
	for (int64_t d = stack->shape.d_head, at = 0; at < whole.n; at += d) {
		l->at[l->n] = whole;
		l->at[l->n].n = d;
		l->at[l->n].value += at;
		l->at[l->n++].g += at;
	}
}

static void add_mine(site_oracle *o, const sn_model *stack, sn_stack_id id, sn_matrix matrix, int layer, list *l)
{
	sn_tensor w;
	sn_part part = sn_weight_part(stack, matrix);
	if (!sn_has(&stack->shape, part)) return;
	if (matrix == SN_W_LN1 && layer == 0 && stack->shape.form.first_attn_bare) return;
	assert_ok(o->ctx, sn_weight(o->ctx, stack, matrix, layer, -1, o->arena, &w));
	mine *m = &l->at[l->n++];
	*m = (mine){ .grad = { .matrix = matrix, .layer = layer, .stack = id }, .n = w.dim[0] * w.dim[1], .value = w.data };
	m->step = sn_weight_is_table(matrix) || w.dim[0] == 1 ? 1 : w.dim[1];
	m->g = m->grad.w = SN_TAKE(o->arena, float, m->n);
	sn_weight_grad *g = &l->grad[l->n_grad++];
	*g = m->grad;
	split_heads(stack, l);
	add_bias(o, stack, l, g, w.dim[1]);
	assert_true(l->n < MOST_MINE);
}

static void list_mine(site_oracle *o, list *l)
{
	const sn_model *const stack[] = { o->model, o->model->encoder };
	for (int s = 0; s < 2 && stack[s]; s++)
		for (int m = SN_W_E; m < SN_W_COUNT; m++) {
			int n = sn_part_per_layer(sn_weight_part(stack[s], (sn_matrix)m)) ? stack[s]->shape.n_layer : 1;
			sn_stack_id id = s ? SN_STACK_ENCODER : SN_STACK_ONLY;
			if (m == SN_W_U) continue;   /* a matrix of its own in the script, tied or not */
			for (int layer = 0; layer < n; layer++) add_mine(o, stack[s], id, (sn_matrix)m, layer, l);
		}
}

static bool same_numbers(const mine *m, const sn_stored *value)
{
	const float *v = (const float *)value->data;
	for (int64_t i = 0; i < value->count; i++)
		if (i * m->step >= m->n || fabsf(m->value[i * m->step] - v[i]) > 1e-6f) return false;
	return true;
}

/* The sum over all of ours that have torch's numbers, in torch's order. */
static float *sum_of_same(site_oracle *o, const list *l, const sn_stored *value, int64_t *n)
{
	float *sum = NULL;
	for (int i = 0; i < l->n; i++) {
		const mine *m = &l->at[i];
		if (!same_numbers(m, value)) continue;
		if (!sum) sum = SN_TAKE(o->arena, float, *n = m->n);
		assert_int_equal(m->n, *n);
		int64_t rows = m->step == 1 ? 1 : m->step, columns = m->n / rows;
		for (int64_t j = 0; j < m->n; j++) sum[j] += m->g[j % columns * rows + j / columns];
	}
	return sum;
}

static int compare_others(site_oracle *o, const char *variant, const sn_tensor_file *golden, const list *l,
                          double *worst)
{
	int n = 0;
	char name[192];
	for (int64_t i = 0; i < sn_tensor_file_count(golden); i++) {
		const sn_stored *t = sn_tensor_file_at(golden, i);
		int64_t size = 0;
		if (strncmp(t->name, "other/", 6) != 0) continue;
		snprintf(name, sizeof name, "value/%s", t->name + 6);
		float *sum = sum_of_same(o, l, sn_tensor_file_find(golden, name), &size);
		if (!sum) fail_msg("%s: no weight is %s", variant, t->name + 6);
		*worst = fmax(*worst, compare(variant, t, sum, size));
		n++;
	}
	return n;
}

static int check_others(site_oracle *o, const char *variant, const sn_tensor_file *golden)
{
	static list l;
	double score[2], worst = 0;
	sn_goal goal = { .metric = SN_LOSS, .where = { .sel = SN_ALL } };
	sn_plan plan = { .size = sizeof plan, .n_goal = 1, .goal = &goal };
	l.n = l.n_grad = 0;
	list_mine(o, &l);
	assert_ok(o->ctx, sn_weight_gradients(o->ctx, o->model, &o->batch, &plan, l.n_grad, l.grad, score));
	int n = compare_others(o, variant, golden, &l, &worst);
	print_message("%s: %d other parameters, largest relative error %.1e\n", variant, n, worst);
	return n;
}

static void check_folder(sn_ctx *ctx, const char *variant, const char *folder, const char *file, int *checked)
{
	site_oracle o;
	sn_tensor_file *golden;
	wanted w[MOST];
	sn_weight_grad grad[MOST];
	double score[2], worst = 0;
	int n = 0;
	char path[600];
	snprintf(path, sizeof path, "%s/gradients.safetensors", folder);
	site_oracle_open(&o, ctx, folder, file);
	assert_ok(ctx, sn_tensor_file_open(&golden, ctx, path));
	for (int64_t i = 0; i < sn_tensor_file_count(golden); i++) {
		const sn_stored *t = sn_tensor_file_at(golden, i);
		if (strncmp(t->name, "weight/", 7) != 0) continue;
		assert_true(n < MOST);
		open_wanted(&o, golden, t, &w[n]);
		grad[n] = w[n].grad;
		n++;
	}
	sn_goal goal = { .metric = SN_LOSS, .where = { .sel = SN_ALL } };
	sn_plan plan = { .size = sizeof plan, .n_goal = 1, .goal = &goal };
	if (n > 0) assert_ok(ctx, sn_weight_gradients(ctx, o.model, &o.batch, &plan, n, grad, score));
	for (int i = 0; i < n; i++) {
		worst = fmax(worst, compare(variant, w[i].weight, w[i].grad.w, w[i].d_in * w[i].d_out));
		if (w[i].bias) worst = fmax(worst, compare(variant, w[i].bias, w[i].grad.bias, w[i].d_out));
	}
	if (n > 0) print_message("%s%s%s: %d matrices, largest relative error %.1e\n", variant, *file ? "/" : "", file, n,
		                     worst);
	if (n > 0) n += check_others(&o, variant, golden);
	*checked += n;
	sn_tensor_file_close(golden);
	site_oracle_close(&o);
}

static void gradients_are_autograds(void **state)
{
	DIR *dir = opendir(SN_TESTS "/golden/arch");
	int checked = 0;
	assert_non_null(dir);
	for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		char folder[512], path[544];
		if (entry->d_name[0] == '.') continue;
		snprintf(folder, sizeof folder, SN_TESTS "/golden/arch/%s", entry->d_name);
		snprintf(path, sizeof path, "%s/config.json", folder);
		bool gguf = access(path, R_OK) != 0;
		check_folder(test_ctx(state), entry->d_name, folder, gguf ? "model.gguf" : "", &checked);
	}
	closedir(dir);
	assert_true(checked > 700);
}

/* ---- what is refused ---- */

static void assert_refused(sn_ctx *ctx, const char *variant, sn_weight_grad grad, const sn_edit *edit, const char *why)
{
	site_oracle o;
	char folder[512];
	double score[2];
	float *room;
	snprintf(folder, sizeof folder, SN_TESTS "/golden/arch/%s", variant);
	site_oracle_open(&o, ctx, folder, "");
	room = SN_TAKE(o.arena, float, 4096);
	grad.w = room;
	sn_goal goal = { .metric = SN_LOSS, .where = { .sel = SN_ALL } };
	sn_plan plan = { .size = sizeof plan, .n_goal = 1, .goal = &goal, .n_edit = !!edit, .edit = edit };
	assert_int_equal(sn_weight_gradients(ctx, o.model, &o.batch, &plan, 1, &grad, score), SN_EARG);
	assert_non_null(strstr(sn_error(ctx), why));
	site_oracle_close(&o);
}

static void what_is_not_one_product_is_refused(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	const sn_edit zero = { .op = SN_OP_ZERO, .at = { .kind = SN_SITE_RESULT, .layer = 1 }, .where = { .sel = SN_ALL } };
	const sn_edit scores = { .op = SN_OP_ZERO, .at = { .kind = SN_SITE_ATTN_SCORES }, .where = { .sel = SN_ALL } };
	assert_refused(ctx, "deberta-v2", (sn_weight_grad){ .matrix = SN_W_Q }, &scores, "scores are edited");
	assert_refused(ctx, "deberta-v2", (sn_weight_grad){ .matrix = SN_W_REL_Q }, NULL, "no matrix");
	assert_refused(ctx, "t5-v1_1", (sn_weight_grad){ .matrix = SN_W_REL_BIAS }, &scores, "scores are edited");
	assert_refused(ctx, "llama", (sn_weight_grad){ .matrix = SN_W_O, .layer = 1 }, &zero, "results are edited");
	assert_refused(ctx, "gpt2", (sn_weight_grad){ .matrix = SN_W_GATE }, NULL, "no matrix");
	assert_refused(ctx, "gpt2", (sn_weight_grad){ .matrix = SN_W_CROSS_Q }, NULL, "no matrix");
	assert_refused(ctx, "gpt2", (sn_weight_grad){ .matrix = SN_W_Q, .layer = 2 }, NULL, "block 2");
	assert_refused(ctx, "gpt2", (sn_weight_grad){ .matrix = SN_W_Q, .stack = SN_STACK_ENCODER }, NULL, "no encoder");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(gradients_are_autograds),
		                                cmocka_unit_test(what_is_not_one_product_is_refused) };
	return cmocka_run_group_tests(tests, test_open, test_close);
}
