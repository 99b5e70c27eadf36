/* The lemma bootstrap: weights, strata, missing values, combinations, bands, determinism. */
#include "common/test.h"

#include <math.h>
#include <string.h>

#include "stats/bootstrap.h"

enum { LEMMAS = 30, ITEMS = 120, CELLS = 3 };

typedef struct sample {
	int32_t subject[ITEMS], attractor[ITEMS], frame[ITEMS];
	float x[ITEMS * CELLS];
	sn_boot_items items;
	bool all[LEMMAS];
} sample;

/* Lemma effects and noise in cell 0, the same plus noise in cell 1, a constant in cell 2; frame 1 has attractors. */
static void draw(sample *s)
{
	sn_rng rng = sn_rng_make(9, 9);
	double effect[LEMMAS];
	for (int i = 0; i < LEMMAS; i++) {
		effect[i] = sn_rng_normal(&rng);
		s->all[i] = true;
	}
	for (int i = 0; i < ITEMS; i++) {
		s->subject[i] = i % LEMMAS;
		s->frame[i] = i / (ITEMS / 2);
		s->attractor[i] = s->frame[i] ? (i * 7 + 1) % LEMMAS : -1;
		s->x[i * CELLS] = (float)(2 + effect[i % LEMMAS]);
		s->x[i * CELLS + 1] = (float)(s->x[i * CELLS] + sn_rng_normal(&rng));
		s->x[i * CELLS + 2] = 0.3f;
	}
	s->items = (sn_boot_items){
		.n = ITEMS, .subject = s->subject, .attractor = s->attractor, .n_frame = 2, .frame = s->frame
	};
}

static sn_boot *open_boot(sn_arena *arena, const sample *s, int n_boot)
{
	sn_boot *boot;
	assert_ok(sn_arena_ctx(arena), sn_boot_open(&boot, arena, n_boot, LEMMAS, s->all, s->all, 4, 2));
	return boot;
}

static sn_arena *open_arena(void **state)
{
	sn_arena *arena;
	assert_ok(test_ctx(state), sn_arena_open(&arena, test_ctx(state)));
	return arena;
}

/* Without attractors and with one value a lemma, the bootstrap's variance is known: Σ (x - mean)² / L². */
static void standard_error_is_the_known_one(void **state)
{
	sn_arena *arena = open_arena(state);
	sample s;
	draw(&s);
	s.items.attractor = NULL;
	s.items.n = ITEMS / 2; /* frame 0: every lemma twice */
	double mean = 0, square = 0;
	for (int i = 0; i < LEMMAS; i++) mean += s.x[i * CELLS] / LEMMAS;
	for (int i = 0; i < LEMMAS; i++) square += (s.x[i * CELLS] - mean) * (s.x[i * CELLS] - mean);
	sn_reps r;
	sn_band band[CELLS];
	double max_t;
	assert_ok(test_ctx(state), sn_boot_mean(&r, arena, open_boot(arena, &s, 0), &s.items, s.x, CELLS, 0));
	assert_int_equal(r.n_boot, 2000);
	assert_ok(test_ctx(state), sn_reps_bands(band, arena, &r, 0.95, &max_t));
	double want = sqrt(square) / LEMMAS * sqrt(LEMMAS / (LEMMAS - 1.0));
	assert_true(fabs(band[0].point - mean) < 1e-6);
	assert_true(fabs(band[0].se - want) < 0.05 * want);
	double q = (band[0].high - band[0].point) / band[0].se;
	assert_true(q > 1.9 && q < 2.25 && max_t > q && max_t < 3); /* t with 29 degrees: 2.05 */
	assert_true(fabs(band[0].point - band[0].sim_low - max_t * band[0].se) < 1e-12);
	assert_true(band[2].constant && band[2].low == band[2].high && band[2].sim_low == band[2].point);
	assert_false(band[0].constant || band[1].constant);
	sn_arena_close(arena);
}

/* A mean of frame means, replicate by replicate; missing values leave, whole frames too. */
static void means_are_means_of_frame_means(void **state)
{
	sn_arena *arena = open_arena(state);
	sample s;
	draw(&s);
	sn_boot *boot = open_boot(arena, &s, 200);
	sn_reps both, first, second, holes;
	int32_t frame[2][ITEMS];
	for (int i = 0; i < ITEMS; i++)
		for (int f = 0; f < 2; f++) frame[f][i] = s.frame[i] == f ? 0 : -1;
	assert_ok(test_ctx(state), sn_boot_mean(&both, arena, boot, &s.items, s.x, CELLS, 0));
	sn_boot_items one = s.items;
	one.frame = frame[0];
	assert_ok(test_ctx(state), sn_boot_mean(&first, arena, boot, &one, s.x, CELLS, 0));
	one.frame = frame[1];
	assert_ok(test_ctx(state), sn_boot_mean(&second, arena, boot, &one, s.x, CELLS, 0));
	for (int i = 0; i < ITEMS; i++)
		if (s.frame[i] == 1 || i == 3) s.x[i * CELLS + 1] = NAN;
	one.frame = frame[0];
	assert_ok(test_ctx(state), sn_boot_mean(&holes, arena, boot, &s.items, s.x, CELLS, 0));
	sn_boot_items without = one; /* the same frame without item 3 */
	frame[0][3] = -1;
	sn_reps rest;
	assert_ok(test_ctx(state), sn_boot_mean(&rest, arena, boot, &without, s.x, CELLS, 0));
	for (int i = 0; i < 200 * CELLS; i++) assert_true(fabs(both.rep[i] - (first.rep[i] + second.rep[i]) / 2) < 1e-12);
	for (int b = 0; b < 200; b++) {
		assert_true(fabs(holes.rep[b * CELLS] - both.rep[b * CELLS]) < 1e-12);
		assert_true(fabs(holes.rep[b * CELLS + 1] - rest.rep[b * CELLS + 1]) < 1e-12);
	}
	sn_arena_close(arena);
}

static void a_lemma_drawn_never_weighs_nothing(void **state)
{
	sn_arena *arena = open_arena(state);
	sn_boot *boot;
	int32_t subject[] = { 0 }, partner[] = { 1 };
	bool both[] = { true, true };
	float x[] = { 5 };
	sn_boot_items placebo = { .n = 1, .subject = subject, .partner = partner };
	sn_reps r;
	sn_band band;
	assert_ok(test_ctx(state), sn_boot_open(&boot, arena, 1000, 2, both, NULL, 1, 1));
	assert_ok(test_ctx(state), sn_boot_mean(&r, arena, boot, &placebo, x, 1, 0));
	int missing = 0;
	for (int b = 0; b < 1000; b++) missing += isnan(r.rep[b]);
	assert_true(missing > 430 && missing < 570); /* both of two lemmas are drawn every other time */
	assert_ok(test_ctx(state), sn_reps_bands(&band, arena, &r, 0.95, NULL));
	assert_true(isnan(band.low) && isnan(band.sim_high) && band.n_rep == 1000 - missing);
	sn_arena_close(arena);
}

static void replicates_combine(void **state)
{
	sn_arena *arena = open_arena(state);
	sample s;
	draw(&s);
	sn_boot *boot = open_boot(arena, &s, 50);
	sn_reps a, one, c;
	assert_ok(test_ctx(state), sn_boot_mean(&a, arena, boot, &s.items, s.x, CELLS, 0));
	assert_ok(test_ctx(state), sn_reps_select(&one, arena, &a, (int[]){ 1 }, 1));
	assert_ok(test_ctx(state), sn_reps_copy(&c, arena, &a));
	sn_reps_divide(&c, &one);
	assert_true(c.point[1] == 1 && c.rep[49 * CELLS + 1] == 1);
	assert_true(c.rep[49 * CELLS] == a.rep[49 * CELLS] / a.rep[49 * CELLS + 1]);
	sn_reps_affine(&c, -1, 1);
	assert_true(c.rep[49 * CELLS + 1] == 0);
	sn_reps_add(&c, 2, &a);
	assert_true(c.rep[49 * CELLS + 1] == 2 * a.rep[49 * CELLS + 1]);
	sn_reps_min(&c, &a);
	assert_true(c.rep[49 * CELLS + 1] == fmin(2 * a.rep[49 * CELLS + 1], a.rep[49 * CELLS + 1]));
	sn_reps_affine(&a, 0, 9);
	sn_reps_sqrt(&a);
	assert_true(a.point[0] == 3 && a.rep[7] == 3);
	assert_int_equal(sn_reps_select(&one, arena, &a, (int[]){ CELLS }, 1), SN_EARG);
	sn_arena_close(arena);
}

static void first_layers_have_a_distribution(void **state)
{
	(void)state;
	double point[] = { 0.05, 0.3, 0.05, 0.2, 0.3 },
		   rep[] = { 0.2, 0.2, 0, 0, 0, 0, 0, 0, 0.2, 0.2, 0, 0.2, NAN, 0.2, 0, 0, 0, 0, 0.2, 0.2 };
	sn_reps r = { .n_boot = 4, .n_cell = 5, .point = point, .rep = rep };
	int first;
	double share[6];
	sn_reps_first(&r, 0.1, &first, share);
	assert_int_equal(first, 3);
	assert_true(share[0] == 0.25 && share[3] == 0.5 && share[5] == 0.25 && share[1] + share[2] + share[4] == 0);
}

static void threads_change_no_bit_and_keys_do(void **state)
{
	(void)state;
	double rep[3][200 * CELLS];
	for (int run = 0; run < 3; run++) {
		sn_ctx *ctx;
		assert_int_equal(sn_ctx_open(&ctx, &(sn_options){ .size = sizeof(sn_options), .threads = run ? 2 : 1 }), SN_OK);
		sn_arena *arena;
		assert_ok(ctx, sn_arena_open(&arena, ctx));
		sample s;
		draw(&s);
		sn_boot *boot;
		sn_reps r;
		assert_ok(ctx, sn_boot_open(&boot, arena, 200, LEMMAS, s.all, s.all, 4, run == 2 ? 3 : 2));
		assert_ok(ctx, sn_boot_mean(&r, arena, boot, &s.items, s.x, CELLS, 0));
		memcpy(rep[run], r.rep, sizeof rep[0]);
		sn_arena_close(arena);
		sn_ctx_close(ctx);
	}
	assert_memory_equal(rep[0], rep[1], sizeof rep[0]);
	assert_memory_not_equal(rep[0], rep[2], sizeof rep[0]);
}

static void bad_items_are_named(void **state)
{
	sn_arena *arena = open_arena(state);
	sample s;
	draw(&s);
	sn_boot *boot;
	sn_reps r;
	assert_ok(test_ctx(state), sn_boot_open(&boot, arena, 10, LEMMAS, s.all, NULL, 4, 2));
	assert_int_equal(sn_boot_mean(&r, arena, boot, &s.items, s.x, CELLS, 0),
					 SN_EARG); /* attractors are not resampled */
	assert_non_null(strstr(sn_error(test_ctx(state)), "item 60"));
	s.items.attractor = NULL;
	s.frame[5] = 2;
	assert_int_equal(sn_boot_mean(&r, arena, boot, &s.items, s.x, CELLS, 0), SN_EARG);
	assert_non_null(strstr(sn_error(test_ctx(state)), "item 5"));
	assert_int_equal(sn_boot_open(&boot, arena, 1, LEMMAS, NULL, NULL, 0, 0), SN_EARG);
	sn_arena_close(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(standard_error_is_the_known_one),
		cmocka_unit_test(means_are_means_of_frame_means),
		cmocka_unit_test(a_lemma_drawn_never_weighs_nothing),
		cmocka_unit_test(replicates_combine),
		cmocka_unit_test(first_layers_have_a_distribution),
		cmocka_unit_test(threads_change_no_bit_and_keys_do),
		cmocka_unit_test(bad_items_are_named),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
