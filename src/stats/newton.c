#include "stats/newton.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "stats/linalg.h"

/* Vectors of scratch in use during one step. */
typedef struct step {
	double *grad;    /* [m] u = weight (p - y): derivative of the loss by f */
	double *curve;   /* [m] weight p (1 - p) */
	double *root;    /* [m] its square root */
	double *matrix;  /* dual: B [m, m]; primal: H [r + 1, r + 1] */
	double *rows;    /* primal: scaled features [m, r + 1] */
	double *rhs;     /* two right-hand sides */
	double *da, *df; /* step in a, f */
	double db, slope_b;
	double *t;             /* [max(m, r + 1)] */
} step;

double sn_softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

double sn_sigmoid(double x)
{
	if (x >= 0) return 1 / (1 + exp(-x));
	double e = exp(x);
	return e / (1 + e);
}

size_t sn_newton_scratch(int64_t m, int64_t r, bool dual)
{
	int64_t k = SN_MAX(m, r + 1);
	return (size_t)(8 * k + (dual ? m * m : (r + 1) * (r + 1) + m * (r + 1)));
}

static step carve(const sn_newton *p)
{
	int64_t k = SN_MAX(p->m, p->r + 1);
	double *s = p->scratch;
	return (step){ .grad = s,
				   .curve = s + k,
				   .root = s + 2 * k,
				   .rhs = s + 3 * k,
				   .da = s + 5 * k,
				   .df = s + 6 * k,
				   .t = s + 7 * k,
				   .matrix = s + 8 * k,
				   .rows = s + 8 * k + (p->r + 1) * (p->r + 1) };
}

static double weight(const sn_newton *p, int64_t i) { return p->z[i] ? (p->weight ? p->weight[i] : 1) : 0; }

static double loss(const sn_newton *p, const double *f, double b)
{
	double sum = 0;
	for (int64_t i = 0; i < p->m; i++)
		if (p->z[i]) sum += weight(p, i) * sn_softplus(-p->z[i] * (f[i] + b));
	return sum;
}

/* |w|²: a' K a in the dual, whose f is K a. */
static double square(const sn_newton *p, const double *a, const double *f)
{
	return cblas_ddot((int)p->r, a, 1, p->gram ? f : a, 1);
}

static void times_gram(const sn_newton *p, const double *x, double *y)
{
	cblas_dgemv(CblasRowMajor, CblasNoTrans, (int)p->m, (int)p->m, 1, p->gram, (int)p->m, x, 1, 0, y, 1);
}

/* Derivatives of the loss by f, and the norm of the whole gradient. */
static void derive(sn_newton *p, step *s)
{
	s->slope_b = 0;
	for (int64_t i = 0; i < p->m; i++) {
		double c = weight(p, i), q = p->z[i] ? sn_sigmoid(-p->z[i] * (p->f[i] + p->b)) : 0; /* 1 - p(own label) */
		s->grad[i] = -p->z[i] * c * q;
		s->curve[i] = c * q * (1 - q);
		s->root[i] = sqrt(s->curve[i]);
		s->slope_b += s->grad[i];
	}
	double norm;
	if (p->gram) { /* gradient of w = features' (u + lambda a): its square is a quadratic form of the Gram matrix */
		for (int64_t i = 0; i < p->m; i++) s->t[i] = s->grad[i] + p->lambda * p->a[i];
		times_gram(p, s->t, s->df);
		norm = SN_MAX(0, cblas_ddot((int)p->m, s->t, 1, s->df, 1));
	} else {
		memcpy(s->t, p->a, (size_t)p->r * sizeof *s->t);
		cblas_dgemv(CblasRowMajor, CblasTrans, (int)p->m, (int)p->r, 1, p->feature, (int)p->r, s->grad, 1, p->lambda,
					s->t, 1);
		norm = cblas_ddot((int)p->r, s->t, 1, s->t, 1);
	}
	p->gradient = sqrt(norm + s->slope_b * s->slope_b);
}

/* Factors B = lambda I + W^½ K W^½ in place of s->matrix. */
static bool factor_dual(const sn_newton *p, step *s)
{
	int64_t m = p->m;
	for (int64_t i = 0; i < m; i++) {
		for (int64_t j = 0; j <= i; j++) s->matrix[i * m + j] = s->root[i] * p->gram[i * m + j] * s->root[j];
		s->matrix[i * m + i] += p->lambda;
	}
	return sn_cholesky(m, s->matrix, m);
}

/* Factors H = F' W F + lambda I, the intercept as a last column of ones without penalty. */
static bool factor_primal(const sn_newton *p, step *s)
{
	int64_t m = p->m, r = p->r, k = r + 1;
	for (int64_t i = 0; i < m; i++) {
		for (int64_t j = 0; j < r; j++) s->rows[i * k + j] = s->root[i] * p->feature[i * r + j];
		s->rows[i * k + r] = s->root[i];
	}
	cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, (int)k, (int)m, 1, s->rows, (int)k, 0, s->matrix, (int)k);
	for (int64_t j = 0; j < r; j++) s->matrix[j * k + j] += p->lambda;
	return sn_cholesky(k, s->matrix, k);
}

/* The full step in the dual (Rasmussen & Williams 2006, algorithm 3.1, with an intercept): the new a solves
 * (lambda I + W K) a + W 1 b = W (f + b) - u with 1'a = 0, through B. */
static bool step_dual(const sn_newton *p, step *s)
{
	int64_t m = p->m;
	if (!factor_dual(p, s)) return false;
	double *one = s->rhs, *own = s->rhs + m;
	for (int64_t i = 0; i < m; i++) s->da[i] = s->curve[i] * (p->f[i] + p->b) - s->grad[i];
	times_gram(p, s->da, s->t);
	for (int64_t i = 0; i < m; i++) {
		one[i] = s->root[i];
		own[i] = s->root[i] * s->t[i];
	}
	sn_cholesky_solve(m, s->matrix, m, 2, s->rhs);
	double sum_one = 0, sum_own = 0;
	for (int64_t i = 0; i < m; i++) {
		one[i] *= s->root[i];                                  /* (lambda I + W K)^-1 W 1 */
		own[i] = (s->da[i] - s->root[i] * own[i]) / p->lambda; /* (lambda I + W K)^-1 (W (f + b) - u) */
		sum_one += one[i];
		sum_own += own[i];
	}
	if (!(sum_one > 0)) return false;
	double b = sum_own / sum_one;
	s->db = b - p->b;
	for (int64_t i = 0; i < m; i++) s->da[i] = own[i] - b * one[i] - p->a[i];
	times_gram(p, s->da, s->df);
	return true;
}

/* The full step in the primal: -H^-1 gradient. */
static bool step_primal(const sn_newton *p, step *s)
{
	int64_t m = p->m, r = p->r;
	if (!factor_primal(p, s)) return false;
	for (int64_t j = 0; j < r; j++) s->rhs[j] = -s->t[j]; /* derive left the gradient there */
	s->rhs[r] = -s->slope_b;
	sn_cholesky_solve(r + 1, s->matrix, r + 1, 1, s->rhs);
	memcpy(s->da, s->rhs, (size_t)r * sizeof *s->da);
	s->db = s->rhs[r];
	cblas_dgemv(CblasRowMajor, CblasNoTrans, (int)m, (int)r, 1, p->feature, (int)r, s->da, 1, 0, s->df, 1);
	return true;
}

/* Halves the step until the objective falls (rounding forgiven); false when it never does. */
static bool advance(sn_newton *p, step *s)
{
	double a_a = square(p, p->a, p->f), a_d = cblas_ddot((int)p->r, p->a, 1, p->gram ? s->df : s->da, 1),
		   d_d = square(p, s->da, s->df);
	for (double size = 1; size > 1e-10; size /= 2) {
		for (int64_t i = 0; i < p->m; i++) s->t[i] = p->f[i] + size * s->df[i];
		double objective = loss(p, s->t, p->b + size * s->db) + p->lambda / 2 * (a_a + size * (2 * a_d + size * d_d));
		if (!(objective <= p->objective + 1e-13 * fabs(p->objective))) continue;
		cblas_daxpy((int)p->r, size, s->da, 1, p->a, 1);
		memcpy(p->f, s->t, (size_t)p->m * sizeof *p->f);
		p->b += size * s->db;
		p->objective = objective;
		return true;
	}
	return false;
}

void sn_newton_solve(sn_newton *p)
{
	int before = sn_blas_serial();
	step s = carve(p);
	double total = 0;
	for (int64_t i = 0; i < p->m; i++) total += weight(p, i);
	p->objective = loss(p, p->f, p->b) + p->lambda / 2 * square(p, p->a, p->f);
	p->converged = false;
	for (p->iterations = 0;; p->iterations++) {
		derive(p, &s);
		p->gradient /= total;
		p->converged = p->gradient <= p->tol;
		if (p->converged || p->iterations == p->max_iter) break;
		if (!(p->gram ? step_dual(p, &s) : step_primal(p, &s)) || !advance(p, &s)) break;
	}
	sn_blas_restore(before);
}
