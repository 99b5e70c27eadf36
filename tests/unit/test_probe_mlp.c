/* `probe mlp` on arrays whose truth is known – a product of two coordinates – and on a small treebank. */
#include "common/test.h"
#include "data/dataset.h"
#include "data/result.h"
#include "methods/probe/probe.h"

#include <math.h>
#include <string.h>

enum { WORDS = 1200, WIDE = 8 };

/* Words whose class is the sign of a product (label 0) or of a sum (label 1); control: by word form. */
typedef struct planted {
	float *x;
	sn_question question[2];
	sn_split split;
} planted;

static planted plant(sn_arena *arena)
{
	planted p = { .x = SN_TAKE(arena, float, WORDS *WIDE), .split = { .n_train = 900, .n_fit = 720, .n_test = 300 } };
	sn_rng rng = sn_rng_make(6, 6);
	for (int i = 0; i < WORDS * WIDE; i++) p.x[i] = (float)sn_rng_normal(&rng);
	for (int q = 0; q < 2; q++) {
		int32_t *y = SN_TAKE(arena, int32_t, WORDS), *control = SN_TAKE(arena, int32_t, WORDS);
		for (int i = 0; i < WORDS; i++) {
			float a = p.x[i * WIDE], b = p.x[i * WIDE + 1];
			y[i] = i % 40 == 3 ? -1 : (q ? a + b : a * b) > 0;
			control[i] = y[i] < 0 ? -1 : (int32_t)(sn_rng_bits(7, 7, (uint64_t)i) & 1);
		}
		int32_t **list = SN_TAKE(arena, int32_t *, 1);
		list[0] = control;
		p.question[q] =
			(sn_question){ .name = q ? "sum" : "product", .n_class = 2, .y = y, .n_control = 1, .control = list };
	}
	p.split.train = SN_TAKE(arena, int64_t, WORDS);
	p.split.test = SN_TAKE(arena, int64_t, WORDS);
	for (int i = 0; i < WORDS; i++) *(i < 900 ? &p.split.train[i] : &p.split.test[i - 900]) = i;
	return p;
}

static double accuracy(const sn_word_scores *score, const sn_split *split)
{
	double right = 0, n = 0;
	for (int64_t i = 0; i < split->n_test; i++) {
		if (isnan(score->bits[split->test[i]])) continue;
		right += score->right[split->test[i]];
		n++;
	}
	return right / n;
}

static void a_product_is_seen_by_perceptrons_only(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	planted p = plant(arena);
	sn_word_scores line[2], net[4];
	assert_ok(ctx, sn_probe_sweep(line, arena, p.x, WORDS, WIDE, p.question, 2, &p.split, 1, true));
	static const int size[] = { 1, 16 };
	sn_mlp_settings settings = { .size = size, .n_size = 2, .epochs = 60, .batch = 32, .rate = 1e-2 };
	assert_ok(ctx, sn_probe_perceptrons(net, arena, p.x, WORDS, WIDE, p.question, 2, &p.split, 1, &settings));
	assert_true(accuracy(&line[0], &p.split) < 0.6 && accuracy(&line[1], &p.split) > 0.95);
	assert_true(accuracy(&net[1], &p.split) > 0.85);                              /* product, 16 units */
	assert_true(accuracy(&net[0], &p.split) < accuracy(&net[1], &p.split) - 0.1); /* product, one unit */
	assert_true(accuracy(&net[3], &p.split) > 0.9);
	for (int k = 0; k < 4; k++)
		assert_true(net[k].control > 0.35 && net[k].control < 0.65); /* coins cannot be learnt */
	for (int q = 0; q < 2; q++) assert_true(line[q].control > 0.35 && line[q].control < 0.65);
	sn_arena_close(arena);
}

static void threads_change_no_bit(void **state)
{
	(void)state;
	float bits[2][WORDS];
	for (int threads = 1; threads <= 2; threads++) {
		sn_ctx *ctx;
		sn_arena *arena;
		assert_int_equal(sn_ctx_open(&ctx, &(sn_options){ .size = sizeof(sn_options), .threads = threads }), SN_OK);
		assert_ok(ctx, sn_arena_open(&arena, ctx));
		planted p = plant(arena);
		sn_word_scores net[2];
		static const int size[] = { 7 };
		sn_mlp_settings settings = { .size = size, .n_size = 1, .epochs = 5, .batch = 64, .rate = 1e-2 };
		assert_ok(ctx, sn_probe_perceptrons(net, arena, p.x, WORDS, WIDE, p.question, 2, &p.split, 1, &settings));
		memcpy(bits[threads - 1], net[0].bits, sizeof bits[0]);
		sn_arena_close(arena);
		sn_ctx_close(ctx);
	}
	assert_memory_equal(bits[0], bits[1], sizeof bits[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_product_is_seen_by_perceptrons_only),
		cmocka_unit_test(threads_change_no_bit),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
