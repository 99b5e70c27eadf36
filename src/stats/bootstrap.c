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
	uint8_t *count[2];  /* [n_boot, n_lemma] times drawn */
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
		SN_NEW(boot->count[role], arena, uint8_t, sn_size3((size_t)n_boot, (size_t)n_lemma, 1));
		for (int i = 0; i < n_lemma; i++) {
			has[i] = given ? given[i] : role == 0;
			if (has[i]) lemma[n++] = i;
		}
		boot->has[role] = has;
		draw(boot, role, lemma, n, seed, key);
	}
	*out = boot;
	return SN_OK;
}

int sn_boot_count(const sn_boot *boot) { return boot->n_boot; }

double sn_boot_weight(const sn_boot *boot, int b, int32_t subject, int32_t attractor)
{
	SN_ASSERT(b >= 0 && b < boot->n_boot && subject < boot->n_lemma && attractor < boot->n_lemma);
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
	const uint8_t *subject = boot->count[0] + (size_t)b * (size_t)boot->n_lemma,
				  *attractor = boot->count[1] + (size_t)b * (size_t)boot->n_lemma;
	double w = subject[items->subject[i]];
	if (items->attractor && items->attractor[i] >= 0) w *= attractor[items->attractor[i]];
	if (items->partner && items->partner[i] >= 0) w *= subject[items->partner[i]];
	return w;
}

/* Items in the order of their frames, their values in double with 0 for NaN, and which values there are. */
typedef struct table {
	int n_frame, n_cell;
	int64_t *item, *start; /* [n], [n_frame + 1] */
	double *x, *have;      /* [n, n_cell]; have 1 or 0 */
	bool *whole;           /* [n_frame] no NaN in that frame */
	int64_t widest;
} table;

static sn_status sort_items(table *t, sn_arena *arena, const sn_boot_items *items)
{
	t->n_frame = items->frame ? items->n_frame : 1;
	SN_NEW(t->item, arena, int64_t, items->n);
	SN_NEW(t->start, arena, int64_t, t->n_frame + 1);
	SN_NEW(t->whole, arena, bool, t->n_frame);
	int64_t used = 0;
	for (int f = 0; f < t->n_frame; f++) {
		t->start[f] = used;
		for (int64_t i = 0; i < items->n; i++)
			if (!items->frame || items->frame[i] == f) t->item[used++] = i;
		t->widest = SN_MAX(t->widest, used - t->start[f]);
	}
	t->start[t->n_frame] = used;
	return SN_OK;
}

static sn_status take_values(table *t, sn_arena *arena, const float *x, int64_t ld)
{
	size_t size = sn_size3((size_t)t->start[t->n_frame], (size_t)t->n_cell, 1);
	SN_NEW(t->x, arena, double, size);
	SN_NEW(t->have, arena, double, size);
	for (int f = 0; f < t->n_frame; f++) {
		t->whole[f] = true;
		for (int64_t i = t->start[f]; i < t->start[f + 1]; i++)
			for (int c = 0; c < t->n_cell; c++) {
				float value = x[t->item[i] * ld + c];
				bool have = !isnan(value);
				t->x[i * t->n_cell + c] = have ? value : 0;
				t->have[i * t->n_cell + c] = have;
				t->whole[f] = t->whole[f] && have;
			}
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

/* Scratch of one block of resamples. */
typedef struct block {
	double *weight;      /* [BLOCK, widest] */
	double *sum, *total; /* [BLOCK, n_cell] of one frame */
	double *frames;      /* [BLOCK, n_cell] frames that have weight */
} block;

/* out [n, n_cell] += one frame's means under weights [n, items of the frame]. */
static void add_frame(const table *t, int f, int n, const block *s, double *out)
{
	int64_t items = t->start[f + 1] - t->start[f], cells = t->n_cell, first = t->start[f] * cells;
	if (items == 0) return;
	sn_gemm_f64(1, false, false, n, cells, items, 1, s->weight, items, t->x + first, cells, 0, s->sum, cells);
	if (!t->whole[f])
		sn_gemm_f64(1, false, false, n, cells, items, 1, s->weight, items, t->have + first, cells, 0, s->total, cells);
	for (int b = 0; b < n; b++) {
		double all = 0;
		for (int64_t i = 0; i < items; i++) all += s->weight[b * items + i];
		for (int64_t c = b * cells; c < (b + 1) * cells; c++) {
			double total = t->whole[f] ? all : s->total[c];
			if (!(total > 0)) continue;
			out[c] += s->sum[c] / total;
			s->frames[c]++;
		}
	}
}

/* Means of n resamples from first on (boot NULL: the sample itself) into out [n, n_cell]. */
static void mean_block(const table *t, const sn_boot *boot, const sn_boot_items *items, int first, int n,
					   const block *s, double *out)
{
	memset(out, 0, (size_t)n * (size_t)t->n_cell * sizeof *out);
	memset(s->frames, 0, (size_t)n * (size_t)t->n_cell * sizeof *out);
	for (int f = 0; f < t->n_frame; f++) {
		int64_t wide = t->start[f + 1] - t->start[f];
		for (int b = 0; b < n; b++)
			for (int64_t i = 0; i < wide; i++)
				s->weight[b * wide + i] = boot ? item_weight(boot, items, t->item[t->start[f] + i], first + b) : 1;
		add_frame(t, f, n, s, out);
	}
	for (int64_t c = 0; c < (int64_t)n * t->n_cell; c++) out[c] = s->frames[c] > 0 ? out[c] / s->frames[c] : NAN;
}

static sn_status make_blocks(block **out, sn_arena *arena, const table *t, int count)
{
	size_t cells = sn_size3(BLOCK, (size_t)t->n_cell, 1);
	SN_NEW(*out, arena, block, count);
	for (int i = 0; i < count; i++) {
		SN_NEW((*out)[i].weight, arena, double, sn_size3(BLOCK, (size_t)t->widest, 1));
		SN_NEW((*out)[i].sum, arena, double, cells);
		SN_NEW((*out)[i].total, arena, double, cells);
		SN_NEW((*out)[i].frames, arena, double, cells);
	}
	return SN_OK;
}

sn_status sn_boot_mean(sn_reps *out, sn_arena *arena, const sn_boot *boot, const sn_boot_items *items, const float *x,
					   int n_cell, int64_t ld)
{
	SN_TRY(check(sn_arena_ctx(arena), boot, items));
	int threads = sn_ctx_threads(sn_arena_ctx(arena));
	*out = (sn_reps){ .n_boot = boot->n_boot, .n_cell = n_cell };
	SN_NEW(out->point, arena, double, n_cell);
	SN_NEW(out->rep, arena, double, sn_size3((size_t)boot->n_boot, (size_t)n_cell, 1));
	sn_mark mark = sn_arena_mark(arena);
	table t = { .n_cell = n_cell };
	block *worker;
	SN_TRY(freedom(&out->df, arena, boot, items));
	SN_TRY(sort_items(&t, arena, items));
	SN_TRY(take_values(&t, arena, x, ld ? ld : n_cell));
	SN_TRY(make_blocks(&worker, arena, &t, threads));
	mean_block(&t, NULL, items, 0, 1, &worker[0], out->point);
#pragma omp parallel for num_threads(threads) schedule(dynamic)
	for (int first = 0; first < boot->n_boot; first += BLOCK)
		mean_block(&t, boot, items, first, SN_MIN(BLOCK, boot->n_boot - first), &worker[omp_get_thread_num()],
				   out->rep + (int64_t)first * n_cell);
	sn_arena_reset(arena, mark);
	return SN_OK;
}
