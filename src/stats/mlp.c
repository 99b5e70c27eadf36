#include "stats/mlp.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "stats/linalg.h"

static const double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;

enum { ROWS = 256 }; /* rows scored at once */

/* Parts of theta, or of a gradient. */
typedef struct parts {
	double *w1, *b1, *w2, *b2;
} parts;

static parts split(const sn_mlp *m, double *theta)
{
	int64_t wide = m->hidden * m->d;
	return (parts){ theta, theta + wide, theta + wide + m->hidden,
					theta + wide + m->hidden + (int64_t)m->n_class * m->hidden };
}

static void draw(double *to, int64_t n, int64_t columns, sn_rng *rng)
{
	double most = 1 / sqrt((double)columns);
	for (int64_t i = 0; i < n; i++) to[i] = most * (2 * sn_rng_uniform(rng) - 1);
}

sn_status sn_mlp_make(sn_mlp *out, sn_arena *arena, int64_t d, int hidden, int n_class, uint64_t seed, uint64_t key)
{
	if (d < 1 || hidden < 1 || n_class < 2)
		return sn_fail(sn_arena_ctx(arena), SN_EARG,
					   "a perceptron of %lld columns, %d hidden units and %d classes: expected at "
					   "least 1, 1 and 2",
					   (long long)d, hidden, n_class);
	*out = (sn_mlp){
		.d = d, .hidden = hidden, .n_class = n_class, .size = hidden * (d + 1) + (int64_t)n_class * (hidden + 1)
	};
	SN_NEW(out->theta, arena, double, out->size);
	sn_rng rng = sn_rng_make(seed, key);
	parts p = split(out, out->theta);
	draw(p.w1, hidden * d, d, &rng);
	draw(p.b1, hidden, d, &rng);
	draw(p.w2, (int64_t)n_class * hidden, hidden, &rng);
	draw(p.b2, n_class, hidden, &rng);
	return SN_OK;
}

size_t sn_mlp_scratch(const sn_mlp *m, int64_t n)
{
	return sn_size3((size_t)n, (size_t)(m->d + 2 * m->hidden + m->n_class), 1);
}

/* Buffers of one batch: rows in double, hidden values, their gradients, scores. */
typedef struct batch {
	double *x, *h, *dh, *s;
} batch;

static batch carve(const sn_mlp *m, int64_t n, double *scratch)
{
	return (batch){ scratch, scratch + n * m->d, scratch + n * (m->d + m->hidden),
					scratch + n * (m->d + 2 * m->hidden) };
}

/* c [m, n] = a [m, k] b' + bias. */
static void affine(int64_t m, int64_t n, int64_t k, const double *a, const double *b, const double *bias, double *c)
{
	for (int64_t i = 0; i < m; i++) memcpy(c + i * n, bias, (size_t)n * sizeof *c);
	cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)m, (int)n, (int)k, 1, a, (int)k, b, (int)k, 1, c, (int)n);
}

/* Hidden values and scores of n rows. */
static void forward(const sn_mlp *m, const float *x, const int64_t *row, int64_t n, const batch *b)
{
	parts p = split(m, m->theta);
	for (int64_t i = 0; i < n; i++)
		for (int64_t j = 0; j < m->d; j++) b->x[i * m->d + j] = x[(row ? row[i] : i) * m->d + j];
	affine(n, m->hidden, m->d, b->x, p.w1, p.b1, b->h);
	for (int64_t i = 0; i < n * m->hidden; i++) b->h[i] = b->h[i] > 0 ? b->h[i] : 0;
	affine(n, m->n_class, m->hidden, b->h, p.w2, p.b2, b->s);
}

static double log_sum_exp(const double *s, int n)
{
	double top = s[0], sum = 0;
	for (int k = 1; k < n; k++) top = fmax(top, s[k]);
	for (int k = 0; k < n; k++) sum += exp(s[k] - top);
	return top + log(sum);
}

/* Gradient of the mean loss, scores being its derivatives by now. */
static void backward(const sn_mlp *m, int64_t n, const batch *b, double *grad)
{
	parts p = split(m, m->theta), g = split(m, grad);
	int h = m->hidden, c = m->n_class, d = (int)m->d;
	memset(grad, 0, (size_t)m->size * sizeof *grad);
	for (int64_t i = 0; i < n; i++)
		for (int k = 0; k < c; k++) g.b2[k] += b->s[i * c + k];
	cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, c, h, (int)n, 1, b->s, c, b->h, h, 0, g.w2, h);
	cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n, h, c, 1, b->s, c, p.w2, h, 0, b->dh, h);
	for (int64_t i = 0; i < n; i++)
		for (int j = 0; j < h; j++) {
			if (!(b->h[i * h + j] > 0)) b->dh[i * h + j] = 0;
			g.b1[j] += b->dh[i * h + j];
		}
	cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, h, d, (int)n, 1, b->dh, h, b->x, d, 0, g.w1, d);
}

double sn_mlp_loss(const sn_mlp *m, const float *x, const int32_t *y, const int64_t *row, int64_t n, double *grad,
				   double *scratch)
{
	int before = sn_blas_serial();
	batch b = carve(m, n, scratch);
	double sum = 0;
	forward(m, x, row, n, &b);
	for (int64_t i = 0; i < n; i++) {
		double *s = b.s + i * m->n_class, all = log_sum_exp(s, m->n_class);
		int32_t own = y[row ? row[i] : i];
		sum += all - s[own];
		for (int k = 0; k < m->n_class; k++) s[k] = (exp(s[k] - all) - (k == own)) / (double)n;
	}
	if (grad) backward(m, n, &b, grad);
	sn_blas_restore(before);
	return sum / (double)n;
}

void sn_mlp_logp(const sn_mlp *m, const float *x, int64_t n, float *logp, double *scratch)
{
	int before = sn_blas_serial();
	batch b = carve(m, n, scratch);
	forward(m, x, NULL, n, &b);
	for (int64_t i = 0; i < n; i++) {
		const double *s = b.s + i * m->n_class;
		double all = log_sum_exp(s, m->n_class);
		for (int k = 0; k < m->n_class; k++) logp[i * m->n_class + k] = (float)(s[k] - all);
	}
	sn_blas_restore(before);
}

void sn_adam_step(sn_adam *a, int64_t size, const double *grad, double *theta)
{
	a->step++;
	double right1 = 1 - pow(beta1, (double)a->step), right2 = sqrt(1 - pow(beta2, (double)a->step));
	for (int64_t j = 0; j < size; j++) {
		double g = grad[j] + a->decay * theta[j];
		a->first[j] = beta1 * a->first[j] + (1 - beta1) * g;
		a->second[j] = beta2 * a->second[j] + (1 - beta2) * g * g;
		theta[j] -= a->rate / right1 * a->first[j] / (sqrt(a->second[j]) / right2 + epsilon);
	}
}

/* ---- training ---- */

size_t sn_mlp_training_work(const sn_mlp *m, int n) { return 4 * (size_t)m->size + sn_mlp_scratch(m, SN_MAX(n, ROWS)); }

/* Rows with a class in [first, end) into list; returns how many. */
static int64_t list_rows(const sn_mlp_training *t, int64_t first, int64_t end, int64_t *list)
{
	int64_t n = 0;
	for (int64_t i = first; i < end; i++)
		if (t->y[i] >= 0) list[n++] = i;
	return n;
}

static void one_epoch(sn_mlp *m, const sn_mlp_training *t, sn_adam *adam, int64_t *order, int64_t n, double *grad,
					  double *scratch)
{
	sn_rng rng = sn_rng_make(t->seed, t->key + (uint64_t)t->n_epoch);
	for (int64_t i = n - 1; i > 0; i--) {
		int64_t j = (int64_t)sn_rng_below(&rng, (uint64_t)i + 1), kept = order[i];
		order[i] = order[j];
		order[j] = kept;
	}
	for (int64_t first = 0; first < n; first += t->batch) {
		(void)sn_mlp_loss(m, t->x, t->y, order + first, SN_MIN(t->batch, n - first), grad, scratch);
		sn_adam_step(adam, m->size, grad, m->theta);
	}
}

static double judge(const sn_mlp *m, const sn_mlp_training *t, const int64_t *row, int64_t n, double *scratch)
{
	double sum = 0;
	for (int64_t first = 0; first < n; first += ROWS) {
		int64_t some = SN_MIN(ROWS, n - first);
		sum += (double)some * sn_mlp_loss(m, t->x, t->y, row + first, some, NULL, scratch);
	}
	return n ? sum / (double)n : NAN;
}

void sn_mlp_train(sn_mlp *m, sn_mlp_training *t)
{
	size_t size = (size_t)m->size;
	double *grad = t->work, *best = grad + size, *scratch = grad + 4 * size;
	sn_adam adam = { .rate = t->rate, .decay = t->decay, .first = grad + 2 * size, .second = grad + 3 * size };
	memset(adam.first, 0, 2 * size * sizeof *adam.first);
	int64_t n = list_rows(t, 0, t->n_fit, t->order), n_judge = list_rows(t, t->n_fit, t->n, t->order + n);
	int waiting = 0;
	t->best = INFINITY;
	for (t->n_epoch = 0; t->n_epoch < t->epochs && waiting < t->patience;) {
		one_epoch(m, t, &adam, t->order, n, grad, scratch);
		t->n_epoch++;
		double loss = judge(m, t, t->order + n, n_judge, scratch);
		waiting = loss >= t->best ? waiting + 1 : 0;
		if (loss >= t->best) adam.rate /= 2;
		if (!(loss < t->best)) continue;
		t->best = loss;
		memcpy(best, m->theta, size * sizeof *best);
	}
	if (n_judge == 0)
		t->best = NAN;
	else if (isfinite(t->best))
		memcpy(m->theta, best, size * sizeof *best);
}
