#include "stats/bootstrap.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "stats/linalg.h"

/* Resamples whose weights are built at a time, by one thread. */
enum { BLOCK = 64, DEFAULT_RESAMPLES = 2000 };

struct sn_boot {
	int n_boot, n_lemma;
	const bool *has[2]; /* [n_lemma] subject, attractor: lemmas that are drawn */
	uint8_t *count[2];  /* [n_boot, n_lemma] times drawn; NULL: the role does not occur */
};

/* One multinomial draw for each resample; the draws of a resample depend on (seed, key, role, resample) only. */
static void draw(sn_boot *boot, int role, const int32_t *lemma, int n, uint64_t seed, uint64_t key)
{
	for (int b = 0; b < boot->n_boot; b++) {
		uint8_t *count = boot->count[role] + (size_t)b * (size_t)boot->n_lemma;
		sn_rng rng = sn_rng_make(seed, sn_rng_bits(key, (uint64_t)role, (uint64_t)b));
		for (int i = 0; i < n; i++) {
			uint8_t *at = count + lemma[sn_rng_below(&rng, (uint64_t)n)];
			if (*at < UINT8_MAX)
				++*at; /* 256 times the same of n: never but for absurdly few resamples of few lemmas */
		}
	}
}

sn_status sn_boot_open(sn_boot **out, sn_arena *arena, int n_boot, int n_lemma, const bool *has_subject,
					   const bool *has_attractor, uint64_t seed, uint64_t key)
{
	n_boot = n_boot ? n_boot : DEFAULT_RESAMPLES;
	if (n_boot < 2 || n_lemma < 1)
		return sn_fail(sn_arena_ctx(arena), SN_EARG, "bootstrap: %d resamples of %d lemmas", n_boot, n_lemma);
	sn_boot *boot;
	int32_t *lemma;
	SN_NEW(boot, arena, sn_boot, 1);
	SN_NEW(lemma, arena, int32_t, n_lemma);
	boot->n_boot = n_boot;
	boot->n_lemma = n_lemma;
	for (int role = 0; role < 2; role++) {
		const bool *given = role ? has_attractor : has_subject;
		bool *has;
		int n = 0;
		SN_NEW(has, arena, bool, n_lemma);
		if (role == 0 || given) SN_NEW(boot->count[role], arena, uint8_t, sn_size3((size_t)n_boot, (size_t)n_lemma, 1));
		for (int i = 0; i < n_lemma; i++) {
			has[i] = given ? given[i] : role == 0;
			if (has[i]) lemma[n++] = i;
		}
		boot->has[role] = has;
		if (boot->count[role]) draw(boot, role, lemma, n, seed, key);
	}
	*out = boot;
	return SN_OK;
}

int sn_boot_count(const sn_boot *boot) { return boot->n_boot; }

double sn_boot_weight(const sn_boot *boot, int b, int32_t subject, int32_t attractor)
{
	SN_ASSERT(b >= 0 && b < boot->n_boot && subject < boot->n_lemma && attractor < boot->n_lemma &&
			  (attractor < 0 || boot->count[1]));
	size_t row = (size_t)b * (size_t)boot->n_lemma;
	return boot->count[0][row + (size_t)subject] * (attractor < 0 ? 1.0 : boot->count[1][row + (size_t)attractor]);
}

static sn_status check_lemma(sn_ctx *ctx, const sn_boot *boot, int role, int64_t item, int32_t lemma)
{
	if (lemma >= 0 && lemma < boot->n_lemma && boot->has[role][lemma]) return SN_OK;
	return sn_fail(ctx, SN_EARG, "bootstrap: item %lld: lemma %d is not among the %s that are resampled",
				   (long long)item, (int)lemma, role ? "attractors" : "subjects");
}

static sn_status check(sn_ctx *ctx, const sn_boot *boot, const sn_boot_items *items)
{
	for (int64_t i = 0; i < items->n; i++) {
		if (items->frame && items->frame[i] < 0) continue;
		if (items->frame && items->frame[i] >= items->n_frame)
			return sn_fail(ctx, SN_EARG, "bootstrap: item %lld: frame %d, there are %d", (long long)i,
						   (int)items->frame[i], items->n_frame);
		SN_TRY(check_lemma(ctx, boot, 0, i, items->subject[i]));
		if (items->attractor && items->attractor[i] >= 0) SN_TRY(check_lemma(ctx, boot, 1, i, items->attractor[i]));
		if (items->partner && items->partner[i] >= 0) SN_TRY(check_lemma(ctx, boot, 0, i, items->partner[i]));
	}
	return SN_OK;
}

static double item_weight(const sn_boot *boot, const sn_boot_items *items, int64_t i, int b)
{
	size_t row = (size_t)b * (size_t)boot->n_lemma;
	double w = boot->count[0][row + (size_t)items->subject[i]];
	if (items->attractor && items->attractor[i] >= 0) w *= boot->count[1][row + (size_t)items->attractor[i]];
	if (items->partner && items->partner[i] >= 0) w *= boot->count[0][row + (size_t)items->partner[i]];
	return w;
}

/* One frame: items that weigh the same in every resample, those of a subject alone, are one entry with their sum. */
typedef struct frame {
	int64_t n;
	int64_t *item;           /* [n] one of each entry's items */
	double *size, *x, *have; /* [n] items; [n, n_cell] sums of values, NaN as 0; [n, n_cell] how many are there */
	bool whole;              /* no NaN */
} frame;

static bool in_frame(const sn_boot_items *items, int64_t i, int f) { return !items->frame || items->frame[i] == f; }

/* Numbers the entries: entry_of [items], items outside the frame -1. first: scratch [n_lemma]. */
static int64_t number_entries(const sn_boot *boot, const sn_boot_items *items, int f, int64_t *entry_of, int64_t *first)
{
	bool alone = !items->attractor && !items->partner;
	int64_t n = 0;
	for (int l = 0; l < boot->n_lemma; l++) first[l] = -1;
	for (int64_t i = 0; i < items->n; i++) {
		entry_of[i] = -1;
		if (!in_frame(items, i, f)) continue;
		int64_t *known = &first[items->subject[i]];
		if (*known < 0 || !alone) *known = n++;
		entry_of[i] = *known;
	}
	return n;
}

static void add_values(frame *t, int64_t entry, const float *x, int n_cell)
{
	t->size[entry]++;
	for (int c = 0; c < n_cell; c++) {
		bool have = !isnan(x[c]);
		t->x[entry * n_cell + c] += have ? x[c] : 0;
		t->have[entry * n_cell + c] += have;
		t->whole = t->whole && have;
	}
}

static sn_status take_frame(frame *t, sn_arena *arena, const sn_boot *boot, const sn_boot_items *items, int f,
							const float *x, int n_cell, int64_t ld)
{
	int64_t *entry_of, *first;
	SN_NEW(entry_of, arena, int64_t, items->n);
	SN_NEW(first, arena, int64_t, boot->n_lemma);
	*t = (frame){ .n = number_entries(boot, items, f, entry_of, first), .whole = true };
	size_t size = sn_size3((size_t)t->n, (size_t)n_cell, 1);
	SN_NEW(t->item, arena, int64_t, t->n);
	SN_NEW(t->size, arena, double, t->n);
	SN_NEW(t->x, arena, double, size);
	SN_NEW(t->have, arena, double, size);
	for (int64_t i = 0; i < items->n; i++) {
		if (entry_of[i] < 0) continue;
		t->item[entry_of[i]] = i;
		add_values(t, entry_of[i], x + i * ld, n_cell);
	}
	return SN_OK;
}

/* Different subjects among the items in use, less one. */
static sn_status freedom(double *df, sn_arena *arena, const sn_boot *boot, const sn_boot_items *items)
{
	bool *seen;
	SN_NEW(seen, arena, bool, boot->n_lemma);
	int lemmas = 0;
	for (int64_t i = 0; i < items->n; i++) {
		if ((items->frame && items->frame[i] < 0) || seen[items->subject[i]]) continue;
		seen[items->subject[i]] = true;
		lemmas++;
	}
	*df = SN_MAX(lemmas - 1, 0);
	return SN_OK;
}

/* Scratch of one block of resamples of a frame. */
typedef struct block {
	double *weight;      /* [BLOCK, entries] */
	double *sum, *total; /* [BLOCK, n_cell] */
} block;

/* Adds the frame's means under n resamples from first on (boot NULL: the sample itself) to out [n, n_cell], and 1 to
 * frames [n, n_cell] where there is weight. */
static void add_frame(const frame *t, const sn_boot *boot, const sn_boot_items *items, int first, int n, int n_cell,
					  const block *s, double *out, double *frames)
{
	int64_t m = t->n, cells = n_cell;
	for (int b = 0; b < n; b++)
		for (int64_t i = 0; i < m; i++)
			s->weight[b * m + i] = boot ? item_weight(boot, items, t->item[i], first + b) : 1;
	sn_gemm_f64(1, false, false, n, cells, m, 1, s->weight, m, t->x, cells, 0, s->sum, cells);
	if (!t->whole) sn_gemm_f64(1, false, false, n, cells, m, 1, s->weight, m, t->have, cells, 0, s->total, cells);
	for (int b = 0; b < n; b++) {
		double all = 0;
		for (int64_t i = 0; i < m; i++) all += s->weight[b * m + i] * t->size[i];
		for (int64_t c = b * cells; c < (b + 1) * cells; c++) {
			double total = t->whole ? all : s->total[c];
			if (!(total > 0)) continue;
			out[c] += s->sum[c] / total;
			frames[c]++;
		}
	}
}

static sn_status make_blocks(block **out, sn_arena *arena, int64_t entries, int n_cell, int count)
{
	size_t cells = sn_size3(BLOCK, (size_t)n_cell, 1);
	SN_NEW(*out, arena, block, count);
	for (int i = 0; i < count; i++) {
		SN_NEW((*out)[i].weight, arena, double, sn_size3(BLOCK, (size_t)entries, 1));
		SN_NEW((*out)[i].sum, arena, double, cells);
		SN_NEW((*out)[i].total, arena, double, cells);
	}
	return SN_OK;
}

/* Adds one frame to the point estimates and all replicates; frames: of both, as out has them. */
static sn_status run_frame(sn_reps *out, sn_arena *arena, const sn_boot *boot, const sn_boot_items *items,
						   const frame *t, double *point_frames, double *rep_frames)
{
	int threads = sn_ctx_threads(sn_arena_ctx(arena)), cells = out->n_cell;
	block *worker;
	if (t->n == 0) return SN_OK;
	SN_TRY(make_blocks(&worker, arena, t->n, cells, threads));
	add_frame(t, NULL, items, 0, 1, cells, &worker[0], out->point, point_frames);
#pragma omp parallel for num_threads(threads) schedule(dynamic)
	for (int first = 0; first < boot->n_boot; first += BLOCK) {
		int64_t at = (int64_t)first * cells;
		add_frame(t, boot, items, first, SN_MIN(BLOCK, boot->n_boot - first), cells, &worker[omp_get_thread_num()],
				  out->rep + at, rep_frames + at);
	}
	return SN_OK;
}

static void divide(double *sum, const double *frames, int64_t n)
{
	for (int64_t c = 0; c < n; c++) sum[c] = frames[c] > 0 ? sum[c] / frames[c] : NAN;
}

sn_status sn_boot_mean(sn_reps *out, sn_arena *arena, const sn_boot *boot, const sn_boot_items *items, const float *x,
					   int n_cell, int64_t ld)
{
	double *point_frames, *rep_frames;
	SN_TRY(check(sn_arena_ctx(arena), boot, items));
	*out = (sn_reps){ .n_boot = boot->n_boot, .n_cell = n_cell };
	size_t size = sn_size3((size_t)boot->n_boot, (size_t)n_cell, 1);
	SN_NEW(out->point, arena, double, n_cell);
	SN_NEW(out->rep, arena, double, size);
	sn_mark mark = sn_arena_mark(arena);
	SN_NEW(point_frames, arena, double, n_cell);
	SN_NEW(rep_frames, arena, double, size);
	SN_TRY(freedom(&out->df, arena, boot, items));
	for (int f = 0; f < (items->frame ? items->n_frame : 1); f++) {
		frame t;
		sn_mark own = sn_arena_mark(arena);
		SN_TRY(take_frame(&t, arena, boot, items, f, x, n_cell, ld ? ld : n_cell));
		SN_TRY(run_frame(out, arena, boot, items, &t, point_frames, rep_frames));
		sn_arena_reset(arena, own);
	}
	divide(out->point, point_frames, n_cell);
	divide(out->rep, rep_frames, (int64_t)size);
	sn_arena_reset(arena, mark);
	return SN_OK;
}
