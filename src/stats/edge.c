#include "stats/edge.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "stats/linalg.h"
#include "stats/ncg.h"

enum { PARTS = 16, MOST_ITERATIONS = 100 };

/* Sums over one part of the sentences. */
typedef struct part {
	double *x, *mapped, *mixed; /* of one sentence: [words, r + 1] with a last 1, [words, r] twice */
	double *score;              /* [words, words] */
	double *sum;                /* [r + 1, r] */
	double loss, curve;         /* curve: Σ_i 1 - Σ_j p_ij² */
} part;

typedef struct work {
	const sn_edges *e;
	sn_ncg solver;
	int threads;
	int64_t longest;
	double *p;       /* probabilities of all sentences, [words, words] each */
	int64_t *offset; /* [n_sentence] into p */
	double *square;  /* [r + 1] mean squares of the columns of (x, 1) */
	part part[PARTS];
} work;

sn_status sn_edge_make(sn_edge_probe *out, sn_arena *arena, int64_t r)
{
	*out = (sn_edge_probe){ .r = r };
	SN_NEW(out->theta, arena, double, sn_size3((size_t)r + 1, (size_t)r, 1));
	return SN_OK;
}

static void widen(const float *x, int64_t words, int64_t r, double *out)
{
	for (int64_t i = 0; i < words; i++) {
		for (int64_t j = 0; j < r; j++) out[i * (r + 1) + j] = x[i * r + j];
		out[i * (r + 1) + r] = 1;
	}
}

/* score [words, words] = (x, 1) theta x'; mapped [words, r]: scratch. */
static void scores(const double *theta, int64_t r, const double *x, int64_t words, double *mapped, double *score)
{
	int m = (int)words, k = (int)r;
	cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, k, k + 1, 1, x, k + 1, theta, k, 0, mapped, k);
	cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, m, k, 1, mapped, k, x, k + 1, 0, score, m);
}

static double log_sum(const double *s, int64_t n)
{
	double top = s[0], sum = 0;
	for (int64_t k = 1; k < n; k++) top = fmax(top, s[k]);
	for (int64_t k = 0; k < n; k++) sum += exp(s[k] - top);
	return top + log(sum);
}

/* Scores of one sentence become derivatives of its loss; keeps probabilities. */
static void gradient_rows(part *t, const int32_t *target, int64_t words, double *p)
{
	for (int64_t i = 0; i < words; i++) {
		double *s = t->score + i * words, all = log_sum(s, words), own = target[i] < 0 ? 0 : s[target[i]], square = 0;
		for (int64_t j = 0; j < words; j++) {
			p[i * words + j] = target[i] < 0 ? 0 : exp(s[j] - all);
			square += p[i * words + j] * p[i * words + j];
			s[j] = p[i * words + j] - (j == target[i]);
		}
		if (target[i] < 0) continue;
		t->loss += all - own;
		t->curve += 1 - square;
	}
}

static void curvature_rows(part *t, int64_t words, const double *p)
{
	for (int64_t i = 0; i < words; i++) {
		double *s = t->score + i * words, mean = cblas_ddot((int)words, p + i * words, 1, s, 1);
		for (int64_t j = 0; j < words; j++) s[j] = p[i * words + j] * (s[j] - mean);
	}
}

static void run_sentence(work *w, part *t, int64_t number)
{
	const sn_edges *e = w->e;
	int64_t first = e->start[number], words = e->start[number + 1] - first, r = e->r;
	double *p = w->p + w->offset[number];
	if (words == 0) return;
	widen(e->x + first * r, words, r, t->x);
	scores(w->solver.at, r, t->x, words, t->mapped, t->score);
	if (w->solver.ask == SN_ASK_GRADIENT)
		gradient_rows(t, e->target + first, words, p);
	else
		curvature_rows(t, words, p);
	int m = (int)words, k = (int)r;
	cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, k, m, 1, t->score, m, t->x, k + 1, 0, t->mixed, k);
	cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, k + 1, k, m, 1, t->x, k + 1, t->mixed, k, 1, t->sum, k);
}

static void run_part(work *w, int number)
{
	part *t = &w->part[number];
	int64_t n = w->e->n_sentence, end = n * (number + 1) / PARTS;
	sn_blas_serial();
	memset(t->sum, 0, (size_t)w->solver.size * sizeof *t->sum);
	t->loss = t->curve = 0;
	for (int64_t s = n * number / PARTS; s < end; s++) run_sentence(w, t, s);
}

/* One question of the solver and its answer. */
static void run_round(work *w)
{
	sn_ncg *solver = &w->solver;
	double loss = 0, curve = 0;
	int64_t r = w->e->r;
#pragma omp parallel for num_threads(w->threads) schedule(dynamic)
	for (int number = 0; number < PARTS; number++) run_part(w, number);
	memset(solver->answer, 0, (size_t)solver->size * sizeof *solver->answer);
	for (int number = 0; number < PARTS; number++) {
		const part *t = &w->part[number];
		for (int64_t j = 0; j < solver->size; j++) solver->answer[j] += t->sum[j];
		loss += t->loss;
		curve += t->curve;
	}
	for (int64_t i = 0; i <= r && solver->ask == SN_ASK_GRADIENT; i++)
		for (int64_t j = 0; j < r; j++) solver->guess[i * r + j] = curve * w->square[i] * w->square[j];
	sn_ncg_next(solver, loss);
}

static sn_status prepare(work *w, sn_arena *arena)
{
	const sn_edges *e = w->e;
	int64_t pairs = 0;
	SN_NEW(w->offset, arena, int64_t, e->n_sentence + 1);
	SN_NEW(w->square, arena, double, e->r + 1);
	for (int64_t s = 0; s < e->n_sentence; s++) {
		int64_t words = e->start[s + 1] - e->start[s];
		w->offset[s] = pairs;
		pairs += words * words;
		w->longest = SN_MAX(w->longest, words);
	}
	for (int64_t i = 0; i < e->n; i++)
		for (int64_t j = 0; j < e->r; j++)
			w->square[j] += (double)e->x[i * e->r + j] * e->x[i * e->r + j] / (double)e->n;
	w->square[e->r] = 1;
	SN_NEW(w->p, arena, double, pairs);
	size_t words = (size_t)w->longest, r = (size_t)e->r;
	for (int number = 0; number < PARTS; number++) {
		part *t = &w->part[number];
		SN_NEW(t->x, arena, double, sn_size3(words, r + 1, 1));
		SN_NEW(t->mapped, arena, double, sn_size3(words, r, 1));
		SN_NEW(t->mixed, arena, double, sn_size3(words, r, 1));
		SN_NEW(t->score, arena, double, sn_size3(words, words, 1));
		SN_NEW(t->sum, arena, double, sn_size3(r + 1, r, 1));
	}
	return SN_OK;
}

sn_status sn_edge_fit(sn_edge_probe *p, sn_arena *scratch, const sn_edges *edges, double c, double tol)
{
	sn_ctx *ctx = sn_arena_ctx(scratch);
	if (!(c > 0 && isfinite(c))) return sn_fail(ctx, SN_EARG, "C = %g: expected a finite number > 0", c);
	work w = { .e = edges, .threads = sn_ctx_threads(ctx) };
	sn_mark mark = sn_arena_mark(scratch);
	double *ridge;
	int64_t size = (p->r + 1) * p->r;
	SN_TRY(prepare(&w, scratch));
	SN_NEW(ridge, scratch, double, size);
	for (int64_t j = 0; j < size; j++) ridge[j] = 1 / c;
	w.solver = (sn_ncg){ .size = size,
						 .theta = p->theta,
						 .ridge = ridge,
						 .max_iter = MOST_ITERATIONS,
						 .tol = (tol > 0 ? tol : 1e-5) * (double)edges->n };
	SN_TRY(sn_ncg_start(&w.solver, scratch));
	int before = sn_blas_serial();
	sn_status status = SN_OK;
	while (w.solver.ask != SN_ASK_NOTHING && (status = sn_poll(ctx)) == SN_OK) run_round(&w);
	sn_blas_restore(before);
	p->objective = w.solver.objective;
	p->gap = w.solver.gap;
	p->iterations = w.solver.iterations;
	p->converged = w.solver.converged;
	sn_arena_reset(scratch, mark);
	return status;
}

sn_status sn_edge_logp(const sn_edge_probe *p, sn_arena *scratch, const float *x, int64_t words, double *logp)
{
	sn_mark mark = sn_arena_mark(scratch);
	double *wide, *mapped;
	SN_NEW(wide, scratch, double, words *(p->r + 1));
	SN_NEW(mapped, scratch, double, words * p->r);
	int before = sn_blas_serial();
	widen(x, words, p->r, wide);
	scores(p->theta, p->r, wide, words, mapped, logp);
	sn_blas_restore(before);
	for (int64_t i = 0; i < words; i++) {
		double all = log_sum(logp + i * words, words);
		for (int64_t j = 0; j < words; j++) logp[i * words + j] -= all;
	}
	sn_arena_reset(scratch, mark);
	return SN_OK;
}
