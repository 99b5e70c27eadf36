#include "stats/softmax.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "stats/linalg.h"
#include "stats/newton.h"

/* Rows go in CHUNKs; chunk c belongs to part c % PARTS, each part with its own sums, added in order at the end: the
 * partition is the same for any number of threads. */
enum { CHUNK = 256, PARTS = 8, MOST_CG = 300 };

typedef struct work {
	sn_softmax *p;
	int threads;
	int64_t d1;                 /* d + 1 */
	size_t size;                /* n_vec (d + 1) */
	double *prob;               /* [n, n_vec] at the current point */
	double *wide, *score, *sum; /* per part: [CHUNK, d1], [CHUNK, n_vec], [size] */
	double loss[PARTS];
	double *column; /* [d1] Σ weight x² / Σ weight, for the preconditioner */
	double *curve;  /* [n_vec] Σ weight p (1 - p) */
	double total;
} work;

static double weight(const work *w, int64_t i)
{
	return w->p->y[i] < 0 ? 0 : w->p->rows->weight ? w->p->rows->weight[i] : 1;
}

static void widen(const work *w, int64_t first, int64_t n, double *wide)
{
	const sn_rows *rows = w->p->rows;
	int64_t ld = rows->ld ? rows->ld : rows->d;
	for (int64_t i = 0; i < n; i++) {
		double *to = wide + i * w->d1;
		bool used = weight(w, first + i) > 0; /* numbers of other rows may be anything */
		for (int64_t j = 0; j < rows->d; j++) to[j] = used ? rows->x[(first + i) * ld + j] : 0;
		to[rows->d] = 1;
	}
}

/* Scores of one row -> probabilities; returns -log p(y). */
static double probabilities(int n_vec, int32_t y, const double *score, double *prob)
{
	if (n_vec == 1) {
		prob[0] = sn_sigmoid(score[0]);
		return sn_softplus(y ? -score[0] : score[0]);
	}
	double top = score[0], sum = 0;
	for (int k = 1; k < n_vec; k++) top = fmax(top, score[k]);
	for (int k = 0; k < n_vec; k++) sum += prob[k] = exp(score[k] - top);
	for (int k = 0; k < n_vec; k++) prob[k] /= sum;
	return log(sum) + top - score[y < 0 ? 0 : y];
}

/* Derivative of one row's loss by its scores, in place; returns the loss. */
static double loss_row(const work *w, int64_t i, double *score)
{
	int n_vec = w->p->n_vec;
	int32_t y = w->p->y[i];
	double c = weight(w, i), *prob = w->prob + i * n_vec, own = probabilities(n_vec, y, score, prob);
	for (int k = 0; k < n_vec; k++) score[k] = c * (prob[k] - (n_vec == 1 ? y == 1 : y == k));
	return c > 0 ? c * own : 0;
}

/* Second derivative of one row's loss times a change of its scores, in place. */
static void curve_row(const work *w, int64_t i, double *score)
{
	int n_vec = w->p->n_vec;
	const double *prob = w->prob + i * n_vec;
	double c = weight(w, i), mean = 0;
	for (int k = 0; k < n_vec; k++) mean += prob[k] * score[k];
	for (int k = 0; k < n_vec; k++) score[k] = c * prob[k] * (score[k] - mean);
}

static void pass_part(work *w, int part, const double *v, bool curvature)
{
	const sn_rows *rows = w->p->rows;
	int n_vec = w->p->n_vec;
	double *wide = w->wide + part * CHUNK * w->d1, *score = w->score + part * CHUNK * n_vec,
		   *sum = w->sum + (size_t)part * w->size;
	memset(sum, 0, w->size * sizeof *sum);
	w->loss[part] = 0;
	for (int64_t first = (int64_t)part * CHUNK; first < rows->n; first += PARTS * CHUNK) {
		int64_t n = SN_MIN(CHUNK, rows->n - first);
		widen(w, first, n, wide);
		sn_gemm_f64(1, false, true, n, n_vec, w->d1, 1, wide, w->d1, v, w->d1, 0, score, n_vec);
		for (int64_t i = 0; i < n; i++) {
			if (curvature)
				curve_row(w, first + i, score + i * n_vec);
			else
				w->loss[part] += loss_row(w, first + i, score + i * n_vec);
		}
		sn_gemm_f64(1, true, false, n_vec, w->d1, n, 1, score, n_vec, wide, w->d1, 1, sum, w->d1);
	}
}

/* curvature: out <- Hessian (at the last point) v; else out <- gradient at v, returning the objective there. */
static double pass(work *w, const double *v, bool curvature, double *out)
{
	sn_softmax *p = w->p;
#pragma omp parallel for num_threads(w->threads) schedule(dynamic)
	for (int part = 0; part < PARTS; part++) pass_part(w, part, v, curvature);
	double loss = 0, square = 0;
	memset(out, 0, w->size * sizeof *out);
	for (int part = 0; part < PARTS; part++) {
		loss += w->loss[part];
		for (size_t j = 0; j < w->size; j++) out[j] += w->sum[(size_t)part * w->size + j];
	}
	for (size_t j = 0; j < w->size; j++) {
		if ((int64_t)j % w->d1 == w->d1 - 1) continue; /* the intercept is free */
		square += v[j] * v[j];
		out[j] += p->lambda * v[j];
	}
	return loss + p->lambda / 2 * square;
}

static double dot(const work *w, const double *a, const double *b) { return cblas_ddot((int)w->size, a, 1, b, 1); }

/* Total curvature by class at the current point: with the columns' squares, a diagonal guess of the Hessian. */
static void measure_curvature(work *w)
{
	int n_vec = w->p->n_vec;
	memset(w->curve, 0, (size_t)n_vec * sizeof *w->curve);
	for (int64_t i = 0; i < w->p->rows->n; i++)
		for (int k = 0; k < n_vec; k++) {
			double q = w->prob[i * n_vec + k];
			w->curve[k] += weight(w, i) * q * (1 - q);
		}
}

static void precondition(const work *w, const double *r, double *z)
{
	for (size_t j = 0; j < w->size; j++) {
		int64_t column = (int64_t)j % w->d1;
		double ridge = column == w->d1 - 1 ? 1e-12 * w->total : w->p->lambda;
		z[j] = r[j] / (ridge + w->curve[(int64_t)j / w->d1] * w->column[column]);
	}
}

/* Vectors of the conjugate gradients, each [size]. */
typedef struct cg {
	double *s, *r, *z, *q, *h, *trial, *grad;
} cg;

/* s <- about -H⁻¹ gradient, so exact that Newton converges faster than linearly (Dembo & Steihaug 1983). */
static void solve_step(work *w, cg *c, double norm, double start)
{
	measure_curvature(w);
	double enough = norm * SN_MIN(0.25, sqrt(norm / start));
	for (size_t j = 0; j < w->size; j++) {
		c->s[j] = 0;
		c->r[j] = -c->grad[j];
	}
	precondition(w, c->r, c->z);
	memcpy(c->q, c->z, w->size * sizeof *c->q);
	double rz = dot(w, c->r, c->z);
	for (int it = 0; it < MOST_CG && sqrt(dot(w, c->r, c->r)) > enough; it++) {
		(void)pass(w, c->q, true, c->h);
		double curve = dot(w, c->q, c->h);
		if (!(curve > 0)) break;
		cblas_daxpy((int)w->size, rz / curve, c->q, 1, c->s, 1);
		cblas_daxpy((int)w->size, -rz / curve, c->h, 1, c->r, 1);
		precondition(w, c->r, c->z);
		double next = dot(w, c->r, c->z);
		for (size_t j = 0; j < w->size; j++) c->q[j] = c->z[j] + next / rz * c->q[j];
		rz = next;
	}
}

/* Moves to a point on the step with a lower objective and takes the gradient there; false when rounding allows none. */
static bool advance(work *w, cg *c)
{
	sn_softmax *p = w->p;
	for (double size = 1; size > 1e-10; size /= 2) {
		for (size_t j = 0; j < w->size; j++) c->trial[j] = p->theta[j] + size * c->s[j];
		double objective = pass(w, c->trial, false, c->h);
		if (!(objective <= p->objective + 1e-13 * fabs(p->objective))) continue;
		memcpy(p->theta, c->trial, w->size * sizeof *c->trial);
		memcpy(c->grad, c->h, w->size * sizeof *c->h);
		p->objective = objective;
		return true;
	}
	return false;
}

static sn_status prepare(work *w, cg *c, sn_arena *arena)
{
	const sn_rows *rows = w->p->rows;
	size_t n_vec = (size_t)w->p->n_vec;
	int64_t ld = rows->ld ? rows->ld : rows->d;
	SN_NEW(w->prob, arena, double, sn_size3((size_t)rows->n, n_vec, 1));
	SN_NEW(w->wide, arena, double, sn_size3(PARTS * CHUNK, (size_t)w->d1, 1));
	SN_NEW(w->score, arena, double, sn_size3(PARTS * CHUNK, n_vec, 1));
	SN_NEW(w->sum, arena, double, sn_size3(PARTS, w->size, 1));
	SN_NEW(w->column, arena, double, w->d1);
	SN_NEW(w->curve, arena, double, n_vec);
	double **vector[] = { &c->s, &c->r, &c->z, &c->q, &c->h, &c->trial, &c->grad };
	for (int i = 0; i < SN_COUNT(vector); i++) SN_NEW(*vector[i], arena, double, w->size);
	for (int64_t i = 0; i < rows->n; i++) {
		double wt = weight(w, i);
		if (wt == 0) continue;
		w->total += wt;
		for (int64_t j = 0; j < rows->d; j++) w->column[j] += wt * rows->x[i * ld + j] * rows->x[i * ld + j];
	}
	for (int64_t j = 0; j < rows->d; j++) w->column[j] /= w->total;
	w->column[rows->d] = 1;
	return SN_OK;
}

sn_status sn_softmax_solve(sn_softmax *p, sn_arena *scratch)
{
	work w = { .p = p, .threads = sn_ctx_threads(sn_arena_ctx(scratch)), .d1 = p->rows->d + 1 };
	w.size = (size_t)p->n_vec * (size_t)w.d1;
	cg c;
	sn_mark mark = sn_arena_mark(scratch);
	SN_TRY(prepare(&w, &c, scratch));
	p->objective = pass(&w, p->theta, false, c.grad);
	double start = sqrt(dot(&w, c.grad, c.grad));
	for (p->iterations = 0;; p->iterations++) {
		double norm = sqrt(dot(&w, c.grad, c.grad));
		p->gradient = norm / w.total;
		p->converged = p->gradient <= p->tol;
		if (p->converged || p->iterations == p->max_iter) break;
		SN_TRY(sn_poll(sn_arena_ctx(scratch)));
		solve_step(&w, &c, norm, SN_MAX(start, norm));
		if (!advance(&w, &c)) break;
	}
	sn_arena_reset(scratch, mark);
	return SN_OK;
}
