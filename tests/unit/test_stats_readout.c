/* Readouts with attention over tokens: against PyTorch (tests/oracles/readout.py), finite differences, and planted
 * texts of which the truth is known. */
#include "common/test.h"

#include "io/json.h"
#include "stats/distance.h"
#include "stats/readout.h"

#include <math.h>
#include <string.h>

static void close_to(double x, double want, double tolerance, const char *what)
{
	if (!(fabs(x - want) <= tolerance)) fail_msg("%s: %.12g, expected %.12g", what, x, want);
}

static void numbers(const json_t *from, double *to)
{
	for (size_t i = 0; i < json_array_size(from); i++) to[i] = json_number_value(json_array_get(from, i));
}

/* ---- PyTorch ---- */

typedef struct golden {
	sn_readout_texts texts;
	double *given, *alpha, *p;   /* alpha, p: of the first case, whose adversaries the later ones are */
	int n_class;
	double rate;
} golden;

static golden read_texts(const json_t *root, sn_arena *arena)
{
	const json_t *length = json_object_get(root, "length"), *x = json_object_get(root, "x");
	int64_t n = (int64_t)json_array_size(length), *start = SN_TAKE(arena, int64_t, n + 1), d = 5, at = 0;
	int32_t *y = SN_TAKE(arena, int32_t, n);
	for (int64_t i = 0; i < n; i++) {
		start[i + 1] = start[i] + json_integer_value(json_array_get(length, (size_t)i));
		y[i] = (int32_t)json_integer_value(json_array_get(json_object_get(root, "y"), (size_t)i));
	}
	float *values = SN_TAKE(arena, float, start[n] * d);
	for (int64_t i = 0; i < n; i++)
		for (size_t j = 0; j < json_array_size(json_array_get(x, (size_t)i)); j++)
			values[at++] = (float)json_number_value(json_array_get(json_array_get(x, (size_t)i), j));
	golden g = { .texts = { n, d, values, start, y } };
	g.n_class = (int)json_integer_value(json_object_get(root, "classes"));
	g.rate = json_number_value(json_object_get(root, "rate"));
	g.given = SN_TAKE(arena, double, start[n]);
	g.alpha = SN_TAKE(arena, double, start[n]);
	g.p = SN_TAKE(arena, double, n * g.n_class);
	numbers(json_object_get(root, "given"), g.given);
	return g;
}

/* The rows of "p" one behind the other. */
static void flat(const json_t *rows, double *to, int n_class)
{
	for (size_t i = 0; i < json_array_size(rows); i++) numbers(json_array_get(rows, i), to + (int64_t)i * n_class);
}

/* One epoch of one batch is one step. */
static void check_case(const golden *g, const json_t *want, sn_arena *arena)
{
	const json_t *losses = json_object_get(want, "losses"), *weight = json_object_get(want, "lambda");
	int64_t n = g->texts.n, tokens = g->texts.start[n], *row = SN_TAKE(arena, int64_t, n);
	sn_readout m;
	SN_ASSERT(sn_readout_make(&m, arena, g->texts.d, (int)json_integer_value(json_object_get(want, "hidden")),
							  (int)json_integer_value(json_object_get(want, "attention")), g->n_class, 1, 1) == SN_OK);
	assert_int_equal(m.size, json_array_size(json_object_get(want, "start")));
	numbers(json_object_get(want, "start"), m.theta);
	for (int64_t i = 0; i < n; i++) row[i] = i;
	sn_readout_training t = { .texts = &g->texts, .row = row, .n_row = n, .batch = (int)n, .rate = g->rate };
	t.aim = (sn_readout_aim){ .alpha = g->given };
	if (weight) t.aim = (sn_readout_aim){ g->alpha, g->p, json_number_value(weight) };
	t.work = SN_TAKE(arena, double, sn_readout_work(&m, &g->texts, t.batch));
	t.order = SN_TAKE(arena, int64_t, 2 * n);
	t.epochs = (int)json_array_size(losses);
	sn_readout_train(&m, &t);
	close_to(t.loss, json_number_value(json_array_get(losses, json_array_size(losses) - 1)), 1e-9, "last loss");
	double *alpha = SN_TAKE(arena, double, 2 * tokens), *p = SN_TAKE(arena, double, 2 * n * g->n_class);
	sn_readout_predict(&m, &g->texts, g->given, alpha, p, SN_TAKE(arena, double, sn_readout_scratch(&m, 1, 6)));
	numbers(json_object_get(want, "alpha"), alpha + tokens);
	flat(json_object_get(want, "p"), p + n * g->n_class, g->n_class);
	for (int64_t i = 0; i < tokens; i++) close_to(alpha[i], alpha[tokens + i], 1e-8, "weight");
	for (int64_t i = 0; i < n * g->n_class; i++) close_to(p[i], p[n * g->n_class + i], 1e-8, "probability");
}

static void training_equals_pytorchs(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	sn_json *file;
	json_t *want;
	size_t i;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	assert_ok(ctx, sn_json_load(&file, ctx, SN_TESTS "/golden/stats/readout.json", 0));
	golden g = read_texts(file->root, arena);
	const json_t *cases = json_object_get(file->root, "cases"), *base = json_array_get(cases, 0);
	numbers(json_object_get(base, "alpha"), g.alpha);
	flat(json_object_get(base, "p"), g.p, g.n_class);
	json_array_foreach(cases, i, want) check_case(&g, want, arena);
	sn_json_close(file);
	sn_arena_close(arena);
}

/* ---- planted texts ---- */

enum { D = 8, LENGTH = 6, TEXTS = 120, CLASSES = 2 };

/* Every token names a class; a mark says whose name counts. decisive: the other tokens name a class each by a coin;
 * otherwise all tokens name the same one, so that any weights will do. */
static sn_readout_texts plant(bool decisive, sn_arena *arena)
{
	sn_rng rng = sn_rng_make(5, decisive);
	int64_t *start = SN_TAKE(arena, int64_t, TEXTS + 1);
	int32_t *y = SN_TAKE(arena, int32_t, TEXTS);
	float *x = SN_TAKE(arena, float, TEXTS * LENGTH * D);
	for (int i = 0; i < TEXTS; i++) {
		int marked = (int)sn_rng_below(&rng, LENGTH);
		start[i + 1] = start[i] + LENGTH;
		y[i] = (int32_t)sn_rng_below(&rng, CLASSES);
		for (int t = 0; t < LENGTH; t++) {
			float *token = x + (i * LENGTH + t) * D;
			int32_t named = decisive && t != marked ? (int32_t)sn_rng_below(&rng, CLASSES) : y[i];
			for (int j = 0; j < D; j++) token[j] = 0.1f * (float)sn_rng_normal(&rng);
			token[named] += 1;
			token[2] += t == marked;
		}
	}
	return (sn_readout_texts){ TEXTS, D, x, start, y };
}

typedef struct trained { sn_readout m; double loss, *alpha, *p; } trained;

static trained train(const sn_readout_texts *texts, sn_readout_aim aim, int attention, uint64_t key, sn_arena *arena)
{
	trained out;
	int64_t *row = SN_TAKE(arena, int64_t, TEXTS);
	SN_ASSERT(sn_readout_make(&out.m, arena, D, 0, attention, CLASSES, 1, key) == SN_OK);
	for (int i = 0; i < TEXTS; i++) row[i] = i;
	sn_readout_training t = { .texts = texts, .aim = aim, .row = row, .n_row = TEXTS, .batch = 20, .epochs = 150,
		                      .rate = 0.02, .seed = 1, .key = key };
	t.work = SN_TAKE(arena, double, sn_readout_work(&out.m, texts, t.batch));
	t.order = SN_TAKE(arena, int64_t, 2 * TEXTS);
	sn_readout_train(&out.m, &t);
	out.loss = t.loss;
	out.alpha = SN_TAKE(arena, double, TEXTS * LENGTH);
	out.p = SN_TAKE(arena, double, TEXTS * CLASSES);
	sn_readout_predict(&out.m, texts, aim.alpha, out.alpha, out.p,
					   SN_TAKE(arena, double, sn_readout_scratch(&out.m, 1, LENGTH)));
	return out;
}

static double accuracy(const sn_readout_texts *texts, const trained *t)
{
	int right = 0;
	for (int i = 0; i < TEXTS; i++) right += (t->p[2 * i + 1] > t->p[2 * i]) == (texts->y[i] == 1);
	return right / (double)TEXTS;
}

static double tvd_of(const trained *a, const trained *b)
{
	double sum = 0;
	for (int i = 0; i < TEXTS; i++) sum += sn_total_variation(a->p + i * CLASSES, b->p + i * CLASSES, CLASSES) / TEXTS;
	return sum;
}

static double jsd_of(const trained *a, const trained *b)
{
	double sum = 0;
	for (int i = 0; i < TEXTS; i++)
		sum += sn_jensen_shannon(a->alpha + i * LENGTH, b->alpha + i * LENGTH, LENGTH) / TEXTS;
	return sum;
}

/* Gradients of both aims, with and without a layer of the tokens' own, against central differences. */
static void gradients_are_the_losses_slopes(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	sn_readout_texts texts = plant(true, arena);
	trained base = train(&texts, (sn_readout_aim){ .alpha = NULL }, 3, 9, arena);
	for (int k = 0; k < 8; k++) {
		sn_readout m;
		sn_readout_aim aim = { .alpha = base.alpha };
		if (k & 1) aim = (sn_readout_aim){ base.alpha, base.p, 0.7 };
		assert_ok(ctx, sn_readout_make(&m, arena, D, k & 2 ? 4 : 0, k & 4 ? 3 : 0, CLASSES, 3, (uint64_t)k));
		double *grad = SN_TAKE(arena, double, m.size),
			   *scratch = SN_TAKE(arena, double, sn_readout_scratch(&m, TEXTS, TEXTS * LENGTH));
		sn_readout_loss(&m, &texts, &aim, NULL, TEXTS, grad, scratch);
		for (int64_t j = 0; j < m.size; j++) {
			double own = m.theta[j], h = 1e-6;
			m.theta[j] = own + h;
			double up = sn_readout_loss(&m, &texts, &aim, NULL, TEXTS, NULL, scratch);
			m.theta[j] = own - h;
			double down = sn_readout_loss(&m, &texts, &aim, NULL, TEXTS, NULL, scratch);
			m.theta[j] = own;
			close_to(grad[j], (up - down) / (2 * h), 1e-7, "derivative");
		}
	}
	sn_arena_close(arena);
}

/* Where one marked token decides, attention finds it and an adversary can move it only at the prediction's expense;
 * where all tokens say the same it moves freely. With lambda 0 it is an imitation; with more it goes farther. */
static void adversaries_move_what_decides_nothing(void **state)
{
	static const double lambda[] = { 0, 0.003, 0.03, 0.3 };
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	for (int decisive = 0; decisive < 2; decisive++) {
		sn_readout_texts texts = plant(decisive, arena);
		trained base = train(&texts, (sn_readout_aim){ .alpha = NULL }, 4, 1, arena);
		double uniform[TEXTS * LENGTH], before = 0, free = 0;
		for (int i = 0; i < TEXTS * LENGTH; i++) uniform[i] = 1.0 / LENGTH;
		trained flat = train(&texts, (sn_readout_aim){ .alpha = uniform }, 0, 1, arena);
		assert_true(accuracy(&texts, &base) > 0.97);
		assert_true(decisive ? accuracy(&texts, &flat) < 0.85 : accuracy(&texts, &flat) > 0.97);
		for (int k = 0; k < SN_COUNT(lambda); k++) {
			trained adversary = train(&texts, (sn_readout_aim){ base.alpha, base.p, lambda[k] }, 4, 2, arena);
			double tvd = tvd_of(&base, &adversary), jsd = jsd_of(&base, &adversary);
			if (k == 0) assert_true(tvd < 0.02);
			assert_true(k == 0 || jsd > before - 0.02);
			before = jsd;
			if (tvd < 0.05) free = fmax(free, jsd);
		}
		if (decisive) assert_true(free < 0.1);
		else assert_true(free > 0.4);
	}
	sn_arena_close(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(training_equals_pytorchs),
		cmocka_unit_test(gradients_are_the_losses_slopes),
		cmocka_unit_test(adversaries_move_what_decides_nothing),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
