#include "stats/multinomial.h"

#include <math.h>
#include <string.h>

#include "stats/linalg.h"
#include "stats/newton.h"
#include "tensor/half.h"
#include "tensor/kernels.h"
#include "tensor/sgemm.h"

/* PARTS of rows with sums of their own, added in order: the same for any number of threads. A CHUNK of rows, one panel
 * of the design, stays in the second-level cache between its two products. */
enum { PARTS = 8, CHUNK = SN_PANEL_ROWS, MOST_ITERATIONS = 200 };

sn_status sn_multinomial_make(sn_multinomial *out, sn_arena *arena, int n_class, int64_t d, int64_t room)
{
	if (n_class < 2)
		return sn_fail(sn_arena_ctx(arena), SN_EARG, "logistic regression with %d classes: at least 2 are needed",
					   n_class);
	room = (room + CHUNK - 1) / CHUNK * CHUNK;
	*out = (sn_multinomial){
		.n_class = n_class, .n_vec = n_class == 2 ? 1 : n_class, .c = 1, .room = room, .home = arena
	};
	size_t size = sn_size3((size_t)out->n_vec, (size_t)d + 1, 1);
	SN_NEW(out->theta, arena, double, size);
	SN_NEW(out->ridge, arena, double, size);
	SN_NEW(out->p, arena, float, sn_size3((size_t)out->n_vec, (size_t)room, 1));
	SN_NEW(out->flat, arena, float, sn_size3((size_t)out->n_vec, (size_t)d, 2));
	out->solver = (sn_ncg){ .size = (int64_t)size,
							.theta = out->theta,
							.ridge = out->ridge,
							.owner = out,
							.max_iter = MOST_ITERATIONS };
	return sn_ncg_start(&out->solver, arena);
}

/* ---- one round: what all problems ask for ---- */

/* Sums of one part of the rows. */
typedef struct part {
	float *score, *sum;   /* [n_vec of all, CHUNK]; [n_vec of all, d] */
	uint16_t *rounded;    /* scores in bfloat16 */
	double *bias, *curve; /* [n_vec of all] gradient of intercepts; Σ p (1 - p) */
	double *loss;         /* [problems] */
	double *wide;         /* exact gradients: [CHUNK, d + 1], scores [CHUNK, most n_vec], sums [all, d + 1] */
	double *wide_score, *wide_sum;
} part;

typedef struct work {
	sn_multinomial *const *problem;
	int n, threads, most;
	int n_vec, n_single; /* vectors asked for; those in float32 come first, then those in bfloat16 */
	int *first;          /* [n] first vector of each problem among all; -1: it asks for nothing, or in double */
	const sn_design *design;
	float *ask, *ask_bias; /* [n_vec, d]; [n_vec] */
	uint16_t *ask_rough;   /* [n_vec - n_single, d] */
	sn_half *half;         /* the design in bfloat16; NULL on processors without */
	const sn_kernels *kernel;
	int n_part;
	part part[PARTS];
	bool any_exact;
	sn_multinomial_stop stop;
	sn_multinomial_next *next;
	void *owner;
} work;

static bool exact(const sn_multinomial *p) { return p->solver.exact && p->solver.ask == SN_ASK_GRADIENT; }

static bool asks(const sn_multinomial *p) { return p->solver.ask != SN_ASK_NOTHING; }

static bool rough(const sn_multinomial *p) { return p->solver.rough && p->solver.ask == SN_ASK_CURVATURE; }

static void pack_vectors(work *w, int k)
{
	const sn_multinomial *p = w->problem[k];
	int64_t d = w->design->d;
	w->first[k] = w->n_vec;
	for (int v = 0; v < p->n_vec; v++, w->n_vec++) {
		const double *at = p->solver.at + v * (d + 1);
		for (int64_t j = 0; j < d; j++) w->ask[w->n_vec * d + j] = (float)at[j];
		w->ask_bias[w->n_vec] = (float)at[d];
	}
}

/* Packs the vectors of all problems that ask, but for exact gradients. */
static sn_status collect(work *w)
{
	int64_t d = w->design->d;
	w->n_vec = 0;
	w->any_exact = false;
	for (int k = 0; k < w->n; k++) {
		const sn_multinomial *p = w->problem[k];
		w->any_exact |= asks(p) && exact(p);
		w->first[k] = -1;
		if (asks(p) && !exact(p) && !rough(p)) pack_vectors(w, k);
	}
	w->n_single = w->n_vec;
	for (int k = 0; k < w->n; k++)
		if (rough(w->problem[k])) pack_vectors(w, k);
	int n_rough = w->n_vec - w->n_single;
	sn_half_round(w->ask + w->n_single * d, n_rough * d, w->ask_rough);
	return n_rough > 0 ? sn_half_prepare(w->half, n_rough) : SN_OK;
}

static float *stored(const sn_multinomial *p, int v, int64_t row)
{
	return p->p + (row / CHUNK * p->n_vec + v) * CHUNK + row % CHUNK;
}

/* Probabilities of a chunk of rows from its scores, in place; two classes: of class 1, whose score stands beside a 0.
 * log_sum [m]. */
static void probabilities(const work *w, const sn_multinomial *p, float *score, int64_t m, float *log_sum)
{
	if (p->n_vec > 1) {
		w->kernel->softmax_columns(score, CHUNK, p->n_vec, m, log_sum);
		return;
	}
	float both[2 * CHUNK] = { 0 };
	memcpy(both + CHUNK, score, (size_t)m * sizeof *score);
	w->kernel->softmax_columns(both, CHUNK, 2, m, log_sum);
	memcpy(score, both + CHUNK, (size_t)m * sizeof *score);
}

/* Weights of a chunk's rows, 0 where there is no class; returns whether all are 1. */
static bool row_weights(const sn_multinomial *p, int64_t first, int64_t m, float *weight)
{
	bool plain = true;
	for (int64_t i = 0; i < m; i++) {
		weight[i] = p->y[first + i] < 0 ? 0 : p->weight ? p->weight[first + i] : 1;
		plain &= weight[i] == 1;
	}
	return plain;
}

/* Scores of a chunk become derivatives of the loss by them; keeps probabilities, adds loss, curvature. */
static void gradient_rows(const work *w, part *s, int k, int64_t first, int64_t m)
{
	sn_multinomial *p = w->problem[k];
	float *score = s->score + (int64_t)w->first[k] * CHUNK, own[CHUNK], log_sum[CHUNK], weight[CHUNK];
	const int32_t *y = p->y + first;
	(void)row_weights(p, first, m, weight);
	for (int64_t i = 0; i < m; i++)
		own[i] = y[i] < 0 ? 0 : p->n_vec > 1 ? score[y[i] * CHUNK + i] : y[i] ? score[i] : 0;
	probabilities(w, p, score, m, log_sum);
	for (int64_t i = 0; i < m; i++)
		if (y[i] >= 0) s->loss[k] += weight[i] * (log_sum[i] - own[i]);
	for (int v = 0; v < p->n_vec; v++) {
		float *row = score + (int64_t)v * CHUNK, *keep = stored(p, v, first), curve = 0;
		for (int64_t i = 0; i < m; i++) {
			keep[i] = row[i];
			curve += weight[i] * row[i] * (1 - row[i]);
			row[i] *= weight[i];
		}
		s->curve[w->first[k] + v] += curve;
	}
	for (int64_t i = 0; i < m; i++) {
		if (p->n_vec == 1)
			score[i] -= y[i] > 0 ? weight[i] : 0;
		else if (y[i] >= 0)
			score[y[i] * CHUNK + i] -= weight[i];
	}
}

/* Changes of scores become changes of those derivatives. */
static void curvature_rows(const work *w, part *s, int k, int64_t first, int64_t m)
{
	const sn_multinomial *p = w->problem[k];
	float *score = s->score + (int64_t)w->first[k] * CHUNK, weight[CHUNK];
	const float *own = stored(p, 0, first);
	bool plain = row_weights(p, first, m, weight);
	if (p->n_vec == 1) {
		for (int64_t i = 0; i < m; i++) score[i] *= weight[i] * own[i] * (1 - own[i]);
		return;
	}
	w->kernel->softmax_curve(score, CHUNK, own, CHUNK, p->n_vec, m);
	for (int v = 0; v < p->n_vec && !plain; v++)
		for (int64_t i = 0; i < m; i++) score[(int64_t)v * CHUNK + i] *= weight[i];
}

/* Scores of everything asked on m rows from first on. In bfloat16 a chunk is always full; what the rows behind the last
 * score, nobody reads. */
static sn_status score_rows(work *w, int number, int64_t first, int64_t m)
{
	part *s = &w->part[number];
	int64_t d = w->design->d, built = SN_MIN(CHUNK, w->design->n_built - first);
	int n_rough = w->n_vec - w->n_single;
	sn_sgemm(false, false, w->n_single, m, d, w->ask, d, w->design->panel + first * d, built, 0, s->score, CHUNK);
	if (n_rough > 0)
		SN_TRY(sn_half_scores(w->half, number, first / CHUNK, n_rough, w->ask_rough, s->score + w->n_single * CHUNK));
	for (int v = 0; v < w->n_vec; v++)
		for (int64_t i = 0; i < m; i++) s->score[(int64_t)v * CHUNK + i] += w->ask_bias[v];
	return SN_OK;
}

/* Adds what the derivatives by the scores contribute to every vector's sums. */
static sn_status add_rows(work *w, int number, int64_t first, int64_t m)
{
	part *s = &w->part[number];
	int64_t d = w->design->d;
	int n_rough = w->n_vec - w->n_single;
	for (int v = 0; v < w->n_vec; v++) {
		float sum = 0, *score = s->score + (int64_t)v * CHUNK;
		for (int64_t i = 0; i < m; i++) sum += score[i];
		s->bias[v] += sum;
		memset(score + m, 0, (size_t)(CHUNK - m) * sizeof *score);
	}
	sn_sgemm(false, false, w->n_single, d, m, s->score, CHUNK, w->design->x + first * d, d, 1, s->sum, d);
	if (n_rough == 0) return SN_OK;
	sn_half_round(s->score + w->n_single * CHUNK, n_rough * CHUNK, s->rounded);
	return sn_half_sums(w->half, number, first / CHUNK, n_rough, s->rounded, s->sum + w->n_single * d);
}

static void pass_stored(const sn_multinomial *p, int64_t first)
{
	sn_arena_done(p->home, stored(p, 0, first), (size_t)p->n_vec * CHUNK * sizeof *p->p);
}

static void pass_rows(const sn_design *design, int64_t first, int64_t m)
{
	size_t size = (size_t)(m * design->d) * sizeof(float);
	sn_arena_done(design->home, design->x + first * design->d, size);
	sn_arena_done(design->home, design->panel + first * design->d, size);
}

/* A chunk: scores of everything asked, their derivatives, and the products of these with the rows. */
static sn_status run_chunk(work *w, int number, int64_t first, int64_t m)
{
	part *s = &w->part[number];
	SN_TRY(score_rows(w, number, first, m));
	for (int k = 0; k < w->n; k++) {
		if (w->first[k] < 0) continue;
		if (w->problem[k]->solver.ask == SN_ASK_GRADIENT)
			gradient_rows(w, s, k, first, m);
		else
			curvature_rows(w, s, k, first, m);
		pass_stored(w->problem[k], first);
	}
	SN_TRY(add_rows(w, number, first, m));
	pass_rows(w->design, first, m);
	return SN_OK;
}

static int64_t chunks(const sn_design *design) { return (design->n + CHUNK - 1) / CHUNK; }

/* The first row of a part: parts are whole chunks. */
static int64_t part_border(const work *w, int number)
{
	return SN_MIN(w->design->n, chunks(w->design) * number / w->n_part * CHUNK);
}

static sn_status run_part(work *w, int number)
{
	part *s = &w->part[number];
	int64_t end = part_border(w, number + 1);
	memset(s->sum, 0, (size_t)w->n_vec * (size_t)w->design->d * sizeof *s->sum);
	memset(s->bias, 0, (size_t)w->n_vec * sizeof *s->bias);
	memset(s->curve, 0, (size_t)w->n_vec * sizeof *s->curve);
	memset(s->loss, 0, (size_t)w->n * sizeof *s->loss);
	for (int64_t first = part_border(w, number); first < end; first += CHUNK)
		SN_TRY(run_chunk(w, number, first, SN_MIN(CHUNK, end - first)));
	return SN_OK;
}

static sn_status run_parts(work *w)
{
	sn_status worst = SN_OK;
#pragma omp parallel for num_threads(w->threads) schedule(dynamic)
	for (int number = 0; number < w->n_part; number++) {
		sn_blas_serial();
		sn_status status = run_part(w, number);
		if (status == SN_OK) continue;
#pragma omp critical
		worst = status;
	}
	return worst;
}

/* ---- the same in double, for one problem's gradient ---- */

/* Derivatives of one row's loss by its scores (n_vec numbers, step apart), in place; returns the loss. */
static double exact_row(sn_multinomial *p, int64_t row, double *score, double *curve)
{
	int32_t y = p->y[row];
	double weight = y < 0 ? 0 : p->weight ? p->weight[row] : 1;
	double top = p->n_vec > 1 ? score[0] : 0, sum = p->n_vec > 1 ? 0 : exp(-score[0]),
		   own = y > 0 || p->n_vec > 1 ? score[y < 0 ? 0 : y % p->n_vec] : 0;
	for (int v = 0; v < p->n_vec; v++) top = fmax(top, score[v]);
	if (p->n_vec == 1) sum = exp(-top);
	for (int v = 0; v < p->n_vec; v++) sum += exp(score[v] - top);
	double log_sum = top + log(sum);
	for (int v = 0; v < p->n_vec; v++) {
		double q = exp(score[v] - log_sum);
		*stored(p, v, row) = (float)q;
		curve[v] += weight * q * (1 - q);
		score[v] = weight * (q - (p->n_vec > 1 ? y == v : y == 1));
	}
	return weight > 0 ? weight * (log_sum - own) : 0;
}

static void exact_chunk(const work *w, part *s, sn_multinomial *p, int k, int64_t first, int64_t m)
{
	int64_t d = w->design->d, d1 = d + 1;
	for (int64_t i = 0; i < m; i++) {
		for (int64_t j = 0; j < d; j++) s->wide[i * d1 + j] = w->design->x[(first + i) * d + j];
		s->wide[i * d1 + d] = 1;
	}
	sn_gemm_f64(1, false, true, m, p->n_vec, d1, 1, s->wide, d1, p->solver.at, d1, 0, s->wide_score, p->n_vec);
	for (int64_t i = 0; i < m; i++)
		s->loss[k] += exact_row(p, first + i, s->wide_score + i * p->n_vec, s->curve);
	sn_gemm_f64(1, true, false, p->n_vec, d1, m, 1, s->wide_score, p->n_vec, s->wide, d1, 1, s->wide_sum, d1);
	pass_stored(p, first);
	pass_rows(w->design, first, m);
}

static void exact_gradient(work *w, int k)
{
	sn_multinomial *p = w->problem[k];
	size_t size = (size_t)p->solver.size;
#pragma omp parallel for num_threads(w->threads) schedule(dynamic)
	for (int number = 0; number < w->n_part; number++) {
		part *s = &w->part[number];
		int64_t end = part_border(w, number + 1);
		memset(s->wide_sum, 0, size * sizeof *s->wide_sum);
		memset(s->curve, 0, (size_t)p->n_vec * sizeof *s->curve);
		s->loss[k] = 0;
		for (int64_t first = part_border(w, number); first < end; first += CHUNK)
			exact_chunk(w, s, p, k, first, SN_MIN(CHUNK, end - first));
	}
	memset(p->solver.answer, 0, size * sizeof *p->solver.answer);
	for (int number = 0; number < w->n_part; number++)
		for (size_t j = 0; j < size; j++) p->solver.answer[j] += w->part[number].wide_sum[j];
}

/* ---- answers ---- */

static void add_answers(const work *w, int k)
{
	sn_multinomial *p = w->problem[k];
	int64_t d = w->design->d;
	memset(p->solver.answer, 0, (size_t)p->solver.size * sizeof *p->solver.answer);
	for (int number = 0; number < w->n_part; number++) {
		const part *s = &w->part[number];
		for (int v = 0; v < p->n_vec; v++) {
			double *to = p->solver.answer + v * (d + 1);
			const float *from = s->sum + (int64_t)(w->first[k] + v) * d;
			for (int64_t j = 0; j < d; j++) to[j] += from[j];
			to[d] += s->bias[w->first[k] + v];
		}
	}
}

/* The guess: each class's curvature times the columns' mean squares. */
static void set_guess(const work *w, int k, int first)
{
	sn_multinomial *p = w->problem[k];
	int64_t d = w->design->d;
	for (int v = 0; v < p->n_vec; v++) {
		double curve = 0, *guess = p->solver.guess + v * (d + 1);
		for (int number = 0; number < w->n_part; number++) curve += w->part[number].curve[first + v];
		for (int64_t j = 0; j < d; j++) guess[j] = curve * w->design->mean_square[j];
		guess[d] = curve + 1e-9 * (double)w->design->n;
	}
}

static void take_answers(work *w, int k)
{
	sn_ncg *solver = &w->problem[k]->solver;
	bool in_double = exact(w->problem[k]);
	double loss = 0;
	if (!in_double) add_answers(w, k);
	if (solver->ask == SN_ASK_GRADIENT) set_guess(w, k, in_double ? 0 : w->first[k]);
	for (int number = 0; number < w->n_part; number++) loss += w->part[number].loss[k];
	sn_ncg_next(solver, loss);
}

/* One round: everything that is asked is answered. */
static sn_status run_round(work *w)
{
	SN_TRY(collect(w));
	if (w->n_vec > 0) {
		SN_TRY(run_parts(w));
#pragma omp parallel for num_threads(w->threads) schedule(dynamic)
		for (int k = 0; k < w->n; k++)
			if (w->first[k] >= 0) take_answers(w, k);
	}
	for (int k = 0; k < w->n && w->any_exact; k++) {
		if (w->first[k] >= 0 || !exact(w->problem[k])) continue;
		exact_gradient(w, k);
		take_answers(w, k);
	}
	return SN_OK;
}

static sn_status make_parts(work *w, sn_arena *arena)
{
	size_t d = (size_t)w->design->d, all = (size_t)w->n_vec, most = (size_t)w->most;
	for (int number = 0; number < w->n_part; number++) {
		part *s = &w->part[number];
		SN_NEW(s->score, arena, float, sn_size3(all, CHUNK, 1));
		SN_NEW(s->sum, arena, float, sn_size3(all, d, 1));
		SN_NEW(s->rounded, arena, uint16_t, sn_size3(all, CHUNK, 1));
		SN_NEW(s->bias, arena, double, all);
		SN_NEW(s->curve, arena, double, all);
		SN_NEW(s->loss, arena, double, w->n);
		SN_NEW(s->wide, arena, double, sn_size3(CHUNK, d + 1, 1));
		SN_NEW(s->wide_score, arena, double, sn_size3(CHUNK, most, 1));
		SN_NEW(s->wide_sum, arena, double, sn_size3(most, d + 1, 1));
	}
	SN_NEW(w->first, arena, int, w->n);
	SN_NEW(w->ask, arena, float, sn_size3(all, d, 1));
	SN_NEW(w->ask_bias, arena, float, all);
	SN_NEW(w->ask_rough, arena, uint16_t, sn_size3(all, d, 1));
	if (!sn_half_fast()) return SN_OK;
	const sn_design *at = w->design;
	return sn_half_open(&w->half, arena, at->x, at->n, at->d, CHUNK, w->n_part, w->n_vec);
}

/* ---- where to stop ---- */

/* Whether a gradient, on standardised columns, has no number above share of the slope asked for. The turn keeps
 * lengths, so most gradients are turned only to be found small enough. */
static bool is_flat(const void *owner, const double *gradient, double share)
{
	const sn_multinomial *p = owner;
	int64_t d = p->design->d;
	double most = share * p->slope * (double)p->design->n;
	float *in = p->flat, *out = p->flat + p->n_vec * d;
	for (int v = 0; v < p->n_vec; v++) {
		const double *g = gradient + v * (d + 1);
		double square = 0;
		for (int64_t j = 0; j < d; j++) square += g[j] * g[j];
		if (fabs(g[d]) > most || square > (double)d * most * most) return false;
		for (int64_t j = 0; j < d; j++) in[v * d + j] = (float)g[j];
	}
	sn_blas_serial();
	sn_sgemm(false, true, p->n_vec, d, d, in, d, p->design->basis.turn, d, 0, out, d);
	double largest = 0;
	for (int64_t j = 0; j < p->n_vec * d; j++) largest = fmax(largest, fabs(out[j]));
	return largest <= most;
}

static void restart(sn_multinomial *p, const sn_design *design, sn_multinomial_stop stop, bool rough)
{
	double gap = stop.gap > 0 || stop.slope > 0 ? stop.gap : 1e-8;
	p->design = design;
	p->slope = stop.slope;
	for (int v = 0; v < p->n_vec; v++) {
		double *ridge = p->ridge + v * (design->d + 1);
		for (int64_t j = 0; j < design->d; j++) ridge[j] = (p->scale ? p->scale[j] * p->scale[j] : 1) / p->c;
		ridge[design->d] = 0;
	}
	p->solver.tol = gap * (double)design->n;
	p->solver.flat = stop.slope > 0 ? is_flat : NULL;
	sn_ncg_restart(&p->solver);
	p->solver.rough = rough;
}

/* What is added to all classes alike changes no probability: intercepts may sum to 0, coefficients at the optimum do,
 * and nothing but the ridge would take a rounding error out of them. */
static void centre(sn_multinomial *p, int64_t d)
{
	for (int64_t j = 0; j <= d && p->n_vec > 1; j++) {
		double mean = 0;
		for (int v = 0; v < p->n_vec; v++) mean += p->theta[v * (d + 1) + j] / p->n_vec;
		for (int v = 0; v < p->n_vec; v++) p->theta[v * (d + 1) + j] -= mean;
	}
}

/* Leads the regressions that have stopped since the last round on; returns whether anything is asked. */
static bool lead(work *w, bool *stopped)
{
	bool any = false;
	for (int k = 0; k < w->n; k++) {
		sn_multinomial *p = w->problem[k];
		if (!asks(p) && !stopped[k]) {
			centre(p, w->design->d);
			stopped[k] = !w->next || !w->next(w->owner, k);
			if (!stopped[k]) restart(p, w->design, w->stop, w->half != NULL);
		}
		any |= asks(p);
	}
	return any;
}

static sn_status run_rounds(work *w, sn_arena *scratch)
{
	bool *stopped;
	SN_NEW(stopped, scratch, bool, w->n);
	for (int k = 0; k < w->n; k++) restart(w->problem[k], w->design, w->stop, w->half != NULL);
	do {
		SN_TRY(sn_poll(sn_arena_ctx(scratch)));
		SN_TRY(run_round(w));
	} while (lead(w, stopped));
	return SN_OK;
}

sn_status sn_multinomial_solve(sn_multinomial *const *problem, int n, sn_arena *scratch, const sn_design *design,
							   sn_multinomial_stop stop, sn_multinomial_next *next, void *owner)
{
	sn_ctx *ctx = sn_arena_ctx(scratch);
	work w = { .problem = problem,
			   .n = n,
			   .threads = sn_ctx_threads(ctx),
			   .design = design,
			   .n_part = (int)SN_MIN(PARTS, chunks(design)),
			   .kernel = sn_kernels_get(),
			   .stop = stop,
			   .next = next,
			   .owner = owner };
	for (int k = 0; k < n; k++) {
		SN_ASSERT(design->n <= problem[k]->room && (stop.slope <= 0 || design->basis.turn));
		w.n_vec += problem[k]->n_vec;
		w.most = SN_MAX(w.most, problem[k]->n_vec);
	}
	sn_mark mark = sn_arena_mark(scratch);
	int before = sn_blas_serial();
	sn_status status = make_parts(&w, scratch);
	if (status == SN_OK) status = run_rounds(&w, scratch);
	sn_blas_restore(before);
	sn_half_close(w.half);
	sn_arena_reset(scratch, mark);
	return status;
}

sn_status sn_multinomial_logp(const sn_multinomial *p, sn_arena *scratch, const float *x, int64_t m, int64_t d,
							  float *logp)
{
	float *w, *score;
	sn_mark mark = sn_arena_mark(scratch);
	SN_NEW(w, scratch, float, sn_size3((size_t)p->n_vec, (size_t)d, 1));
	SN_NEW(score, scratch, float, sn_size3((size_t)m, (size_t)p->n_vec, 1));
	for (int v = 0; v < p->n_vec; v++) {
		for (int64_t j = 0; j < d; j++) w[v * d + j] = (float)p->theta[v * (d + 1) + j];
		for (int64_t i = 0; i < m; i++) score[i * p->n_vec + v] = (float)p->theta[v * (d + 1) + d];
	}
	int before = sn_blas_serial();
	sn_sgemm(false, true, m, p->n_vec, d, x, d, w, d, 1, score, p->n_vec);
	sn_blas_restore(before);
	for (int64_t i = 0; i < m; i++) {
		const float *s = score + i * p->n_vec;
		double top = p->n_vec > 1 ? s[0] : fmax(0, s[0]), sum = p->n_vec > 1 ? 0 : exp(-top);
		for (int v = 1; v < p->n_vec; v++) top = fmax(top, s[v]);
		for (int v = 0; v < p->n_vec; v++) sum += exp(s[v] - top);
		double log_sum = top + log(sum);
		if (p->n_vec == 1) logp[2 * i] = (float)-log_sum;
		for (int v = 0; v < p->n_vec; v++) logp[i * p->n_class + v + (p->n_vec == 1)] = (float)(s[v] - log_sum);
	}
	sn_arena_reset(scratch, mark);
	return SN_OK;
}
