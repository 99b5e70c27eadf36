/* Intervals keep their promise in simulation: 40 lemmas, effects of subjects and attractors, ratios with a denominator
 * that varies, as in localize. Seeded; at least 93 % of intervals at 95 % hold the truth. */
#include "common/test.h"

#include <math.h>

#include "stats/bootstrap.h"
#include "stats/metrics.h"

enum { LEMMAS = 40, FRAMES = 5, CELLS = 31, RUNS = 300, RESAMPLES = 400 };

/* Beta(a, b) by Jöhnk's rejection, good for parameters below 1. */
static double beta(sn_rng *rng, double a, double b)
{
	for (;;) {
		double x = pow(sn_rng_uniform(rng), 1 / a), y = pow(sn_rng_uniform(rng), 1 / b);
		if (x + y <= 1 && x + y > 0) return x / (x + y);
	}
}

static void wilson_by_lemmas_covers_clustered_accuracy(void **state)
{
	(void)state;
	const double truth = 0.97, correlation = 0.5, size = 1 / correlation - 1;
	int held = 0, runs = 4000;
	for (int run = 0; run < runs; run++) {
		sn_rng rng = sn_rng_make(11, (uint64_t)run);
		double right = 0;
		for (int lemma = 0; lemma < LEMMAS; lemma++) {
			double p = beta(&rng, truth * size, (1 - truth) * size);
			for (int item = 0; item < 12; item++) right += sn_rng_uniform(&rng) < p;
		}
		sn_interval w = sn_wilson(right / (LEMMAS * 12), LEMMAS, 0.95);
		held += w.low <= truth && truth <= w.high;
	}
	print_message("accuracy: %.1f %%\n", 100.0 * held / runs);
	assert_true(held >= 0.93 * runs);
}

/* One simulated data set: pairs in FRAMES frames, frame 0 without attractor; what each frame's pairs are worth on
 * average. */
typedef struct sample {
	sn_boot_items items;
	int32_t subject[400], attractor[400], partner[400], frame[400];
	float denominator[400], numerator[400 * CELLS];
} sample;

/* The curve that a localisation would show. */
static double share(int cell) { return 1 / (1 + exp(-(cell - 15) / 2.0)); }
static double frame_mean(int frame) { return 3 + 0.5 * frame; }

static void simulate(sample *s, sn_rng *rng, int per_frame, bool attractors)
{
	double lemma[2][LEMMAS], slope[LEMMAS];
	for (int i = 0; i < LEMMAS; i++) {
		lemma[0][i] = 1.5 * sn_rng_normal(rng);
		lemma[1][i] = 0.7 * sn_rng_normal(rng);
		slope[i] = 0.15 * sn_rng_normal(rng);
	}
	int n = 0;
	for (int frame = 0; frame < FRAMES; frame++)
		for (int k = 0; k < per_frame; k++, n++) {
			s->subject[n] = (int32_t)((k + 7 * frame) % LEMMAS);
			s->attractor[n] = frame && attractors ? (int32_t)sn_rng_below(rng, LEMMAS) : -1;
			s->frame[n] = frame;
			double d = frame_mean(frame) + lemma[0][s->subject[n]] +
					   (s->attractor[n] >= 0 ? lemma[1][s->attractor[n]] : 0) + sn_rng_normal(rng);
			s->denominator[n] = (float)d;
			for (int c = 0; c < CELLS; c++) {
				double own = share(c) + slope[s->subject[n]] * 4 * share(c) * (1 - share(c));
				s->numerator[n * CELLS + c] = (float)(own * d + 0.3 * sn_rng_normal(rng));
			}
		}
	s->items = (sn_boot_items){
		.n = n, .subject = s->subject, .attractor = s->attractor, .n_frame = FRAMES, .frame = s->frame
	};
}

static void cover(sn_ctx *ctx, bool attractors)
{
	bool all[LEMMAS];
	for (int i = 0; i < LEMMAS; i++) all[i] = true;
	static sample s;
	int band_held = 0;
	int64_t own_held = 0;
	for (int run = 0; run < RUNS; run++) {
		sn_arena *arena;
		assert_ok(ctx, sn_arena_open(&arena, ctx));
		sn_rng rng = sn_rng_make(12, (uint64_t)run);
		simulate(&s, &rng, 48, attractors);
		sn_boot *boot;
		sn_reps e, d;
		sn_band band[CELLS];
		assert_ok(ctx, sn_boot_open(&boot, arena, RESAMPLES, LEMMAS, all, all, 3, (uint64_t)run));
		assert_ok(ctx, sn_boot_mean(&e, arena, boot, &s.items, s.numerator, CELLS, 0));
		assert_ok(ctx, sn_boot_mean(&d, arena, boot, &s.items, s.denominator, 1, 0));
		sn_reps_divide(&e, &d);
		assert_ok(ctx, sn_reps_bands(band, arena, &e, 0.95, NULL));
		bool inside = true;
		for (int c = 0; c < CELLS; c++) {
			inside = inside && band[c].sim_low <= share(c) && share(c) <= band[c].sim_high;
			own_held += band[c].low <= share(c) && share(c) <= band[c].high;
		}
		band_held += inside;
		sn_arena_close(arena);
	}
	print_message("ratios: bands %.1f %%, single cells %.1f %%\n", 100.0 * band_held / RUNS,
				  100.0 * (double)own_held / (RUNS * CELLS));
	assert_true(band_held >= 0.93 * RUNS);
	assert_true((double)own_held >= 0.93 * RUNS * CELLS);
}

static void bands_of_ratios_cover(void **state)
{
	cover(test_ctx(state), false);
	cover(test_ctx(state), true);
}

/* The placebo floor: root mean square over pairs of subjects, divided by the main pairs' mean. A pair's value is the
 * difference of its subjects' effects and noise, so the truth is known. */
static void root_mean_squares_of_placebo_pairs_cover(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	bool all[LEMMAS];
	for (int i = 0; i < LEMMAS; i++) all[i] = true;
	static sample s;
	const double spread = 0.25, noise = 0.3, want = sqrt(2 * spread * spread + noise * noise) / 4;
	int held = 0;
	for (int run = 0; run < RUNS; run++) {
		sn_arena *arena;
		assert_ok(ctx, sn_arena_open(&arena, ctx));
		sn_rng rng = sn_rng_make(13, (uint64_t)run);
		double effect[LEMMAS], main[LEMMAS];
		for (int i = 0; i < LEMMAS; i++) {
			effect[i] = spread * sn_rng_normal(&rng);
			main[i] = sn_rng_normal(&rng);
		}
		for (int i = 0; i < 120; i++) {
			s.subject[i] = i % LEMMAS;
			s.partner[i] = (i % LEMMAS + 1 + i / LEMMAS) % LEMMAS;
			double d = effect[s.subject[i]] - effect[s.partner[i]] + noise * sn_rng_normal(&rng);
			s.numerator[i] = (float)(d * d);
			s.denominator[i] = (float)(4 + main[s.subject[i]] + 0.5 * sn_rng_normal(&rng));
		}
		sn_boot_items pairs = { .n = 120, .subject = s.subject, .partner = s.partner }, mains = pairs;
		mains.partner = NULL;
		sn_boot *boot;
		sn_reps e, d;
		sn_band band;
		assert_ok(ctx, sn_boot_open(&boot, arena, RESAMPLES, LEMMAS, all, NULL, 3, (uint64_t)run));
		assert_ok(ctx, sn_boot_mean(&e, arena, boot, &pairs, s.numerator, 1, 0));
		assert_ok(ctx, sn_boot_mean(&d, arena, boot, &mains, s.denominator, 1, 0));
		sn_reps_sqrt(&e);
		sn_reps_divide(&e, &d);
		assert_ok(ctx, sn_reps_bands(&band, arena, &e, 0.95, NULL));
		held += band.low <= want && want <= band.high;
		sn_arena_close(arena);
	}
	print_message("root mean squares: %.1f %%\n", 100.0 * held / RUNS);
	assert_true(held >= 0.93 * RUNS);
}

/* One thread: the data sets are small, and other tests run at the same time. */
static int open_serial(void **state)
{
	return sn_ctx_open((sn_ctx **)state, &(sn_options){ .size = sizeof(sn_options), .threads = 1 });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wilson_by_lemmas_covers_clustered_accuracy),
		cmocka_unit_test(bands_of_ratios_cover),
		cmocka_unit_test(root_mean_squares_of_placebo_pairs_cover),
	};
	return cmocka_run_group_tests(tests, open_serial, test_close);
}
