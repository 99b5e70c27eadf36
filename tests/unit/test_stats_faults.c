/* Every allocation of every solver fails once: the answer is SN_ENOMEM, and nothing leaks. */
#include "common/test.h"

#include <string.h>

#include "stats/bootstrap.h"
#include "stats/leace.h"
#include "stats/logreg.h"
#include "stats/metrics.h"
#include "stats/probe.h"

enum { ROWS = 240, COLUMNS = 150 }; /* large beside an arena's first block, so that there are many allocations */

typedef struct faulty {
	int64_t left; /* allocations until one fails; negative: none does */
	int64_t live;
} faulty;

static void *faulty_alloc(void *payload, size_t size)
{
	faulty *f = payload;
	if (f->left-- == 0) return NULL;
	f->live++;
	return aligned_alloc(64, size);
}

static void faulty_free(void *payload, void *p)
{
	((faulty *)payload)->live--;
	free(p);
}

static float x[ROWS * COLUMNS];
static double z[ROWS], score[ROWS];
static int32_t y[ROWS], fold[ROWS];
static int8_t sign[ROWS];
static const sn_rows rows = { .x = x, .n = ROWS, .d = COLUMNS };

static int fill(void **state)
{
	sn_rng rng = sn_rng_make(1, 1);
	for (int i = 0; i < ROWS; i++) {
		y[i] = (int32_t)sn_rng_below(&rng, 3);
		fold[i] = i % 3;
		sign[i] = i % 2 ? 1 : -1;
		z[i] = sign[i];
		score[i] = sn_rng_normal(&rng);
		for (int j = 0; j < COLUMNS; j++) x[i * COLUMNS + j] = (float)(sn_rng_normal(&rng) + 0.2 * y[i]);
	}
	return test_open(state);
}

static sn_status fit_softmax(sn_arena *arena)
{
	sn_logreg m;
	return sn_logreg_fit(&m, arena, &rows, y, 3, &(sn_logreg_options){ .c = 0.1, .tol = 1e-3 });
}

static sn_status fit_binary(sn_arena *arena)
{
	sn_logreg m;
	int32_t two[ROWS];
	for (int i = 0; i < ROWS; i++) two[i] = y[i] > 0;
	return sn_logreg_fit(&m, arena, &rows, two, 2, &(sn_logreg_options){ .c = 0.1 });
}

static sn_status fit_eraser(sn_arena *arena)
{
	sn_leace q;
	SN_TRY(sn_leace_fit_rows(&q, arena, &rows, z, 1, SN_SHRINK_NONE));
	sn_rows few = rows;
	few.n = COLUMNS / 2;
	return sn_leace_fit_rows(&q, arena, &few, z, 1, SN_SHRINK_LINEAR);
}

static sn_status probe(sn_arena *arena)
{
	sn_probe_plan plan = { .n = ROWS, .d = COLUMNS, .n_fold = 3, .fold = fold, .n_label = 1, .z = sign };
	sn_probe_result result;
	return sn_probe_cv(&result, arena, &plan, x);
}

static sn_status refit(sn_arena *arena)
{
	static const int which[3] = { 2, 2, 2 };
	static float weight[2 * ROWS], bits[2 * ROWS];
	int n_unconverged = 0;
	sn_probe_plan plan = { .n = ROWS,
						   .d = COLUMNS,
						   .n_fold = 3,
						   .fold = fold,
						   .n_label = 1,
						   .z = sign,
						   .n_strength = SN_COUNT(sn_probe_strengths),
						   .strength = sn_probe_strengths };
	for (int i = 0; i < 2 * ROWS; i++) weight[i] = (float)(i % 5 % 3);
	return sn_probe_resample(bits, &n_unconverged, arena, &plan, x, which, weight, 2);
}

static sn_status resample(sn_arena *arena)
{
	sn_boot *boot;
	sn_boot_items items = { .n = ROWS, .subject = fold };
	sn_reps r, copy;
	sn_band band[COLUMNS];
	double q;
	SN_TRY(sn_boot_open(&boot, arena, 50, 3, NULL, NULL, 1, 1));
	SN_TRY(sn_boot_mean(&r, arena, boot, &items, x, COLUMNS, 0));
	SN_TRY(sn_reps_copy(&copy, arena, &r));
	SN_TRY(sn_reps_bands(band, arena, &copy, 0.95, NULL));
	return sn_reps_quantile(&r, arena, 0, 0.5, &q);
}

static sn_status rank(sn_arena *arena)
{
	double auc, rho;
	SN_TRY(sn_roc_auc(arena, score, sign, NULL, ROWS, &auc));
	return sn_spearman(arena, score, z, ROWS, &rho);
}

/* Uses the arena with the 1st, 2nd, ... allocation failing until all goes well. */
static void fail_each(sn_status (*use)(sn_arena *))
{
	for (int64_t n = 0; n < 1000; n++) {
		faulty f = { .left = -1 };
		sn_ctx *ctx;
		sn_options options = {
			.size = sizeof options, .threads = 2, .alloc = faulty_alloc, .dealloc = faulty_free, .alloc_payload = &f
		};
		assert_int_equal(sn_ctx_open(&ctx, &options), SN_OK);
		int64_t live = f.live;
		f.left = n;
		sn_arena *arena = NULL;
		sn_status status = sn_arena_open(&arena, ctx);
		if (status == SN_OK) status = use(arena);
		sn_arena_close(arena);
		bool reached = f.left < 0;
		if (status != SN_OK) assert_non_null(strstr(sn_error(ctx), "memory"));
		assert_int_equal(f.live, live);
		sn_ctx_close(ctx);
		assert_int_equal(status, reached ? SN_ENOMEM : SN_OK);
		if (!reached) {
			assert_true(n > 1); /* some allocation did fail */
			return;
		}
	}
	fail_msg("more than 1,000 allocations");
}

static void softmax(void **state)
{
	(void)state;
	fail_each(fit_softmax);
}
static void binary(void **state)
{
	(void)state;
	fail_each(fit_binary);
}
static void eraser(void **state)
{
	(void)state;
	fail_each(fit_eraser);
}
static void cross_validation(void **state)
{
	(void)state;
	fail_each(probe);
}
static void refits(void **state)
{
	(void)state;
	fail_each(refit);
}
static void bootstrap(void **state)
{
	(void)state;
	fail_each(resample);
}
static void ranks(void **state)
{
	(void)state;
	fail_each(rank);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(softmax),          cmocka_unit_test(binary),    cmocka_unit_test(eraser),
		cmocka_unit_test(cross_validation), cmocka_unit_test(bootstrap), cmocka_unit_test(ranks),
		cmocka_unit_test(refits),
	};
	return cmocka_run_group_tests(tests, fill, test_close);
}
