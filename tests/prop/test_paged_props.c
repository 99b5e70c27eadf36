/* Large arrays in files: what is handed back comes back, and a sweep of probes whose vectors are paged says the same as
 * one in memory, bit for bit, in memory that does not grow with them. */
#include "common/counter.h"
#include "common/test.h"
#include "methods/probe/probe.h"

#include <stdio.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif
#else
enum { SANITIZED = 0 };
#endif

enum { WIDE = 96, CLASSES = 3, FEW = SANITIZED ? 6000 : 16000, MANY = 4 * FEW, SMALL_MEMORY = 8 << 20 };

static sn_ctx *open_ctx(int64_t memory, counter *c)
{
	*c = (counter){ 0 };
	sn_options o = { .size = sizeof o,
					 .threads = 2,
					 .seed = 1,
					 .memory = memory,
					 .alloc = count_alloc,
					 .dealloc = count_free,
					 .alloc_payload = c };
	sn_ctx *ctx;
	assert_int_equal(sn_ctx_open(&ctx, &o), SN_OK);
	return ctx;
}

/* ---- arenas ---- */

enum { ARRAYS = 40, MOST = 3 << 20 };

typedef struct array {
	uint8_t *bytes, first;
	size_t size;
	sn_mark before;
} array;

static void fill(array *a, uint8_t first)
{
	for (size_t i = 0; i < a->size; i++) assert_int_equal(a->bytes[i], 0);
	a->first = first;
	for (size_t i = 0; i < a->size; i += 61) a->bytes[i] = (uint8_t)(first + i);
}

static void check(const array *a)
{
	for (size_t i = 0; i < a->size; i += 61) assert_int_equal(a->bytes[i], (uint8_t)(a->first + i));
}

/* Takes, hands back and resets at random: what was written stands, what is taken is zero. */
static void contents_outlive_their_pages(void **state)
{
	(void)state;
	counter c;
	sn_ctx *ctx = open_ctx(SMALL_MEMORY, &c);
	sn_arena *arena;
	array list[ARRAYS];
	int n = 0;
	sn_rng rng = sn_rng_make(3, 1);
	assert_ok(ctx, sn_arena_open_for(&arena, ctx, (size_t)1 << 30));
	for (int step = 0; step < 400; step++) {
		if (n == ARRAYS || (n && sn_rng_below(&rng, 6) == 0)) {
			n = (int)sn_rng_below(&rng, (uint64_t)n);
			sn_arena_reset(arena, list[n].before);
		}
		array *a = &list[n++];
		a->before = sn_arena_mark(arena);
		bool large = sn_rng_below(&rng, 2);
		a->size = large ? MOST - sn_rng_below(&rng, MOST / 2) : 1 + sn_rng_below(&rng, 5000);
		a->bytes = sn_arena_take(arena, a->size);
		assert_non_null(a->bytes);
		fill(a, (uint8_t)step);
		const array *done = &list[sn_rng_below(&rng, (uint64_t)n)];
		size_t first = sn_rng_below(&rng, done->size);
		sn_arena_done(arena, done->bytes + first, 1 + sn_rng_below(&rng, done->size - first));
		check(done);
	}
	for (int i = 0; i < n; i++) check(&list[i]);
	assert_true(c.peak < MOST);
	sn_arena_close(arena);
	sn_ctx_close(ctx);
}

static void a_full_disk_is_said(void **state)
{
	(void)state;
	counter c;
	sn_ctx *ctx = open_ctx(SMALL_MEMORY, &c);
	sn_arena *arena;
	assert_ok(ctx, sn_arena_open_for(&arena, ctx, (size_t)1 << 30));
	assert_null(sn_arena_take(arena, (size_t)1 << 58));
	assert_non_null(strstr(sn_error(ctx), "room"));
	sn_arena_close(arena);
	sn_ctx_close(ctx);
}

/* ---- sweeps ---- */

/* What one sweep used: counted at most, resident at most (-1: not known), and a sum over its scores. */
typedef struct used {
	int64_t counted, resident;
	uint64_t scores;
} used;

static bool forget_peak(void)
{
	FILE *file = fopen("/proc/self/clear_refs", "we");
	if (!file) return false;
	bool done = fputs("5", file) >= 0;
	return fclose(file) == 0 && done;
}

static int64_t peak_resident(void)
{
	char line[256];
	long long kib = -1;
	FILE *file = fopen("/proc/self/status", "re");
	while (file && fgets(line, sizeof line, file))
		if (sscanf(line, "VmHWM: %lld kB", &kib) == 1) break;
	if (file) (void)fclose(file);
	return kib < 0 ? -1 : 1024 * kib;
}

/* The class stands in one column, under noise; controls by the word's number. Two fifths of the words are tested. */
static void ask(sn_question *q, sn_split *split, sn_arena *arena, float *x, int64_t n)
{
	q->name = "label";
	q->n_class = CLASSES;
	q->n_control = 1;
	q->y = SN_TAKE(arena, int32_t, n);
	q->control = SN_TAKE(arena, int32_t *, 1);
	q->control[0] = SN_TAKE(arena, int32_t, n);
	split->train = SN_TAKE(arena, int64_t, n);
	split->test = SN_TAKE(arena, int64_t, n);
	for (int64_t i = 0; i < n; i++) {
		q->y[i] = i % 11 ? (int32_t)(sn_rng_bits(1, 2, (uint64_t)i) % CLASSES) : -1;
		q->control[0][i] = q->y[i] < 0 ? -1 : (int32_t)(sn_rng_bits(1, 3, (uint64_t)i % 50) % CLASSES);
		sn_rng rng = sn_rng_make(4, (uint64_t)i);
		for (int64_t j = 0; j < WIDE; j++)
			x[i * WIDE + j] = (float)sn_rng_uniform(&rng) + (float)(j < 2 && q->y[i] == j);
		if (i % 5 < 2) split->test[split->n_test++] = i;
	}
	for (int judges = 0; judges < 2; judges++) {
		for (int64_t i = 0; i < n; i++)
			if (i % 5 >= 2 && (i % 25 > 20) == judges) split->train[split->n_train++] = i;
		if (!judges) split->n_fit = split->n_train;
	}
}

static used sweep(int64_t n, int64_t memory)
{
	counter c;
	used out = { .resident = -1 };
	sn_ctx *ctx = open_ctx(memory, &c);
	sn_arena *own, *arena;
	sn_question q = { 0 };
	sn_split split = { 0 };
	sn_word_scores score;
	bool forgot = forget_peak();
	assert_ok(ctx, sn_arena_open(&own, ctx));
	assert_ok(ctx, sn_arena_open_for(&arena, ctx, sn_size3((size_t)n, WIDE, 5 * sizeof(float))));
	float *x = SN_TAKE(arena, float, n *WIDE);
	assert_non_null(x);
	ask(&q, &split, own, x, n);
	sn_arena_done(arena, x, (size_t)(n * WIDE) * sizeof *x);
	forgot = forget_peak() && forgot;
	assert_ok(ctx, sn_probe_sweep(&score, arena, x, n, WIDE, &q, 1, &split, 1, true));
	out.counted = c.peak;
	if (forgot) out.resident = peak_resident();
	out.scores = sn_fnv1a(SN_FNV_START, score.bits, (size_t)n * sizeof *score.bits);
	out.scores = sn_fnv1a(out.scores, score.guess, (size_t)n * sizeof *score.guess);
	out.scores = sn_fnv1a(out.scores, &score.control, sizeof score.control);
	double right = 0;
	for (int64_t i = 0; i < split.n_test; i++) right += score.right[split.test[i]];
	assert_true(right > 0.8 * (double)split.n_test);
	sn_arena_close(arena);
	sn_arena_close(own);
	sn_ctx_close(ctx);
	return out;
}

/* Labels, splits and scores of a word: 12 + 24 + 12 bytes, what each regression keeps of it, and doubling blocks. */
enum { MOST_A_WORD = 120, MATRICES_A_WORD = 4 * WIDE * (int)sizeof(float) };

static void memory_does_not_grow_with_vectors(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* sanitizers hold back memory that was freed */
#endif
	(void)state;
	used few = sweep(FEW, SMALL_MEMORY), many = sweep(MANY, SMALL_MEMORY);
	used few_held = sweep(FEW, INT64_C(8) << 30), many_held = sweep(MANY, INT64_C(8) << 30);
	assert_true(few.scores == few_held.scores && many.scores == many_held.scores);
	int64_t words = MANY - FEW;
	assert_true(many_held.counted - few_held.counted > words * MATRICES_A_WORD * 3 / 4); /* or nothing is shown */
	if (many.counted - few.counted > words * MOST_A_WORD)
		fail_msg("%lld bytes a word", (long long)((many.counted - few.counted) / words));
	if (SANITIZED || few.resident < 0 || many.resident < 0) return;
	if (many.resident - few.resident > words * MATRICES_A_WORD / 4)
		fail_msg("%lld resident bytes a word", (long long)((many.resident - few.resident) / words));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contents_outlive_their_pages),
		cmocka_unit_test(a_full_disk_is_said),
		cmocka_unit_test(memory_does_not_grow_with_vectors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
