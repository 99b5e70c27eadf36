#include "stats/readout.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "stats/linalg.h"
#include "stats/mlp.h"

/* Parts of theta, or of a gradient; f: columns of what is weighed. */
typedef struct parts {
	double *w, *b, *att, *att_b, *v, *u, *c;
	int f;
} parts;

static int width(const sn_readout *m) { return m->hidden ? m->hidden : (int)m->d; }

static parts split(const sn_readout *m, double *theta)
{
	int f = width(m), k = m->attention;
	parts p = { .w = theta, .f = f };
	p.b = p.w + m->hidden * m->d;
	p.att = p.b + m->hidden;
	p.att_b = p.att + (int64_t)k * f;
	p.v = p.att_b + k;
	p.u = p.v + k;
	p.c = p.u + (int64_t)m->n_class * f;
	return p;
}

static void draw(double *to, int64_t n, int64_t columns, sn_rng *rng)
{
	double most = 1 / sqrt((double)columns);
	for (int64_t i = 0; i < n; i++) to[i] = most * (2 * sn_rng_uniform(rng) - 1);
}

sn_status sn_readout_make(sn_readout *out, sn_arena *arena, int64_t d, int hidden, int attention, int n_class,
                          uint64_t seed, uint64_t key)
{
	if (d < 1 || n_class < 2)
		return sn_fail(sn_arena_ctx(arena), SN_EARG, "a readout of %lld columns and %d classes: expected at least 1 "
		               "and 2", (long long)d, n_class);
	*out = (sn_readout){ .d = d, .hidden = hidden, .attention = attention, .n_class = n_class };
	int f = width(out);
	out->size = hidden * (d + 1) + (int64_t)attention * (f + 2) + (int64_t)n_class * (f + 1);
	SN_NEW(out->theta, arena, double, out->size);
	sn_rng rng = sn_rng_make(seed, key);
	parts p = split(out, out->theta);
	draw(p.w, hidden * (d + 1), d, &rng);
	draw(p.att, (int64_t)attention * (f + 1), f, &rng);
	draw(p.v, attention, SN_MAX(attention, 1), &rng);
	draw(p.u, (int64_t)n_class * (f + 1), f, &rng);
	return SN_OK;
}

/* Buffers of some texts: vectors in double, f and its gradient, attention's hidden values, weights and the gradients by
 * their logits; by text: what is summed up, its gradient, scores. */
typedef struct batch {
	double *x, *f, *df, *t, *a, *ds, *sum, *dsum, *s;
	int64_t tokens;
} batch;

size_t sn_readout_scratch(const sn_readout *m, int64_t n, int64_t tokens)
{
	size_t f = (size_t)width(m);
	size_t token = (size_t)m->d + 2 * f + (size_t)m->attention + 2;
	return sn_size3((size_t)tokens, token, 1) + sn_size3((size_t)n, 2 * f + (size_t)m->n_class, 1);
}

static batch carve(const sn_readout *m, int64_t n, int64_t tokens, double *scratch)
{
	int64_t f = width(m);
	batch b = { .x = scratch, .tokens = tokens };
	b.f = b.x + tokens * m->d;
	b.df = b.f + tokens * f;
	b.t = b.df + tokens * f;
	b.a = b.t + tokens * m->attention;
	b.ds = b.a + tokens;
	b.sum = b.ds + tokens;
	b.dsum = b.sum + n * f;
	b.s = b.dsum + n * f;
	return b;
}

/* y [n, out] = tanh(x w' + b), or without tanh. */
static void affine(int64_t n, int out, int in, const double *x, const double *w, const double *bias, bool bend,
                   double *y)
{
	for (int64_t i = 0; i < n; i++) memcpy(y + i * out, bias, (size_t)out * sizeof *y);
	cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, out, in, 1, x, in, w, in, 1, y, out);
	for (int64_t i = 0; bend && i < n * out; i++) y[i] = tanh(y[i]);
}

/* Its backward: dy [n, out] becomes the gradient before tanh where it bent; dw, db are added to, dx (or NULL) too. */
static void affine_back(int64_t n, int out, int in, const double *x, const double *w, const double *y, double *dy,
                        double *dw, double *db, double *dx)
{
	for (int64_t i = 0; y && i < n * out; i++) dy[i] *= 1 - y[i] * y[i];
	for (int64_t i = 0; i < n * out; i++) db[i % out] += dy[i];
	cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, out, in, (int)n, 1, dy, out, x, in, 1, dw, in);
	if (dx) cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n, in, out, 1, dy, out, w, in, 1, dx, in);
}

static void softmax(double *x, int64_t n)
{
	double most = x[0], sum = 0;
	for (int64_t i = 1; i < n; i++) most = fmax(most, x[i]);
	for (int64_t i = 0; i < n; i++) sum += x[i] = exp(x[i] - most);
	for (int64_t i = 0; i < n; i++) x[i] /= sum;
}

static int64_t text_of(const int64_t *row, int64_t i) { return row ? row[i] : i; }

static int64_t length(const sn_readout_texts *t, int64_t text) { return t->start[text + 1] - t->start[text]; }

static int64_t tokens_of(const sn_readout_texts *t, const int64_t *row, int64_t n)
{
	int64_t sum = 0;
	for (int64_t i = 0; i < n; i++) sum += length(t, text_of(row, i));
	return sum;
}

/* Vectors of the texts, one behind the other, and given weights. */
static void fill(const sn_readout *m, const sn_readout_texts *texts, const double *given, const int64_t *row, int64_t n,
                 const batch *b)
{
	for (int64_t i = 0, to = 0; i < n; i++)
		for (int64_t t = texts->start[text_of(row, i)]; t < texts->start[text_of(row, i) + 1]; t++, to++) {
			for (int64_t j = 0; j < m->d; j++) b->x[to * m->d + j] = texts->x[t * m->d + j];
			if (!m->attention) b->a[to] = given[t];
		}
}

/* Weights and probabilities of what is in b. */
static void forward(const sn_readout *m, const sn_readout_texts *texts, const int64_t *row, int64_t n, const batch *b)
{
	parts p = split(m, m->theta);
	if (m->hidden) affine(b->tokens, m->hidden, (int)m->d, b->x, p.w, p.b, true, b->f);
	else memcpy(b->f, b->x, (size_t)(b->tokens * p.f) * sizeof *b->f);
	if (m->attention) {
		affine(b->tokens, m->attention, p.f, b->f, p.att, p.att_b, true, b->t);
		cblas_dgemv(CblasRowMajor, CblasNoTrans, (int)b->tokens, m->attention, 1, b->t, m->attention, p.v, 1, 0, b->a,
		            1);
	}
	memset(b->sum, 0, (size_t)(n * p.f) * sizeof *b->sum);
	for (int64_t i = 0, at = 0; i < n; i++) {
		int64_t end = at + length(texts, text_of(row, i));
		if (m->attention) softmax(b->a + at, end - at);
		for (; at < end; at++)
			for (int j = 0; j < p.f; j++) b->sum[i * p.f + j] += b->a[at] * b->f[at * p.f + j];
	}
	affine(n, m->n_class, p.f, b->sum, p.u, p.c, false, b->s);
	for (int64_t i = 0; i < n; i++) softmax(b->s + i * m->n_class, m->n_class);
}

/* A text's loss; p [n_class] becomes its derivative by the scores. */
static double cross_entropy(double *p, int32_t y)
{
	double loss = -log(fmax(p[y], 1e-300));
	p[y] -= 1;
	return loss;
}

static double variation(double *p, int n_class, const double *of)
{
	double sum = 0, mean = 0;
	for (int k = 0; k < n_class; k++) {
		double sign = (p[k] > of[k]) - (p[k] < of[k]);
		sum += fabs(p[k] - of[k]) / 2;
		mean += p[k] * sign / 2;
	}
	for (int k = 0; k < n_class; k++) p[k] *= ((p[k] > of[k]) - (p[k] < of[k])) / 2.0 - mean;
	return sum;
}

/* KL(of || a), nats. */
static double divergence(const double *a, const double *of, int64_t n)
{
	double sum = 0;
	for (int64_t i = 0; i < n; i++)
		if (of[i] > 0) sum += of[i] * log(of[i] / fmax(a[i], 1e-300));
	return sum;
}

/* Losses of texts, summed; scores become derivatives of the mean, ds those of -lambda KL by attention's logits. */
static double losses(const sn_readout *m, const sn_readout_texts *texts, const sn_readout_aim *aim, const int64_t *row,
                     int64_t n, const batch *b)
{
	double sum = 0;
	memset(b->ds, 0, (size_t)b->tokens * sizeof *b->ds);
	for (int64_t i = 0, at = 0; i < n; i++) {
		int64_t text = text_of(row, i), size = length(texts, text);
		double *p = b->s + i * m->n_class;
		if (!aim->p) sum += cross_entropy(p, texts->y[text]);
		else {
			const double *of = aim->alpha + texts->start[text];
			sum += variation(p, m->n_class, aim->p + text * m->n_class) - aim->lambda * divergence(b->a + at, of, size);
			for (int64_t t = 0; t < size; t++) b->ds[at + t] = -aim->lambda * (b->a[at + t] - of[t]) / (double)n;
		}
		for (int k = 0; k < m->n_class; k++) p[k] /= (double)n;
		at += size;
	}
	return sum;
}

/* Gradients by what was summed up -> by f and by attention's logits. */
static void weights_back(const sn_readout *m, const sn_readout_texts *texts, const int64_t *row, int64_t n,
                         const batch *b)
{
	int f = width(m);
	for (int64_t i = 0, at = 0; i < n; i++) {
		int64_t size = length(texts, text_of(row, i));
		const double *d = b->dsum + i * f;
		double mean = 0;
		for (int64_t t = at; m->attention && t < at + size; t++)
			mean += b->a[t] * cblas_ddot(f, d, 1, b->f + t * f, 1);
		for (int64_t t = at; t < at + size; t++) {
			if (m->attention) b->ds[t] += b->a[t] * (cblas_ddot(f, d, 1, b->f + t * f, 1) - mean);
			for (int j = 0; j < f; j++) b->df[t * f + j] = b->a[t] * d[j];
		}
		at += size;
	}
}

static void backward(const sn_readout *m, const sn_readout_texts *texts, const int64_t *row, int64_t n, const batch *b,
                     double *grad)
{
	parts p = split(m, m->theta), g = split(m, grad);
	int k = m->attention;
	memset(grad, 0, (size_t)m->size * sizeof *grad);
	memset(b->dsum, 0, (size_t)(n * p.f) * sizeof *b->dsum);
	affine_back(n, m->n_class, p.f, b->sum, p.u, NULL, b->s, g.u, g.c, b->dsum);
	weights_back(m, texts, row, n, b);
	if (k) {
		cblas_dgemv(CblasRowMajor, CblasTrans, (int)b->tokens, k, 1, b->t, k, b->ds, 1, 1, g.v, 1);
		for (int64_t i = 0; i < b->tokens * k; i++) b->t[i] = b->ds[i / k] * p.v[i % k] * (1 - b->t[i] * b->t[i]);
		affine_back(b->tokens, k, p.f, b->f, p.att, NULL, b->t, g.att, g.att_b, m->hidden ? b->df : NULL);
	}
	if (m->hidden) affine_back(b->tokens, m->hidden, (int)m->d, b->x, p.w, b->f, b->df, g.w, g.b, NULL);
}

double sn_readout_loss(const sn_readout *m, const sn_readout_texts *texts, const sn_readout_aim *aim,
                       const int64_t *row, int64_t n, double *grad, double *scratch)
{
	int before = sn_blas_serial();
	batch b = carve(m, n, tokens_of(texts, row, n), scratch);
	fill(m, texts, aim->alpha, row, n, &b);
	forward(m, texts, row, n, &b);
	double sum = losses(m, texts, aim, row, n, &b);
	if (grad) backward(m, texts, row, n, &b, grad);
	sn_blas_restore(before);
	return sum / (double)n;
}

void sn_readout_predict(const sn_readout *m, const sn_readout_texts *texts, const double *given, double *alpha,
                        double *p, double *scratch)
{
	int before = sn_blas_serial();
	for (int64_t i = 0; i < texts->n; i++) {
		batch b = carve(m, 1, length(texts, i), scratch);
		fill(m, texts, given, &i, 1, &b);
		forward(m, texts, &i, 1, &b);
		memcpy(p + i * m->n_class, b.s, (size_t)m->n_class * sizeof *p);
		if (alpha) memcpy(alpha + texts->start[i], b.a, (size_t)b.tokens * sizeof *alpha);
	}
	sn_blas_restore(before);
}

/* ---- training ---- */

static int64_t longest(const sn_readout_texts *texts)
{
	int64_t most = 1;
	for (int64_t i = 0; i < texts->n; i++) most = SN_MAX(most, length(texts, i));
	return most;
}

/* Gradient and Adam's moments, then the scratch of a batch. */
size_t sn_readout_work(const sn_readout *m, const sn_readout_texts *texts, int size)
{
	int64_t n = SN_MIN((int64_t)size, texts->n), most = longest(texts);
	int64_t tokens = SN_MIN(n * most, texts->start[texts->n]);
	return sn_size3(3, (size_t)m->size, 1) + sn_readout_scratch(m, n, SN_MAX(tokens, most));
}

void sn_readout_train(sn_readout *m, sn_readout_training *t)
{
	double *grad = t->work, *scratch = grad + 3 * m->size;
	sn_adam adam = { .rate = t->rate, .first = grad + m->size, .second = grad + 2 * m->size };
	sn_rng rng = sn_rng_make(t->seed, t->key);
	int64_t *perm = t->order, *rows = t->order + t->n_row;
	memset(grad, 0, (size_t)(3 * m->size) * sizeof *grad);
	for (int epoch = 0; epoch < t->epochs; epoch++) {
		double sum = 0;
		sn_rng_permute(&rng, perm, t->n_row);
		for (int64_t i = 0; i < t->n_row; i++) rows[i] = t->row[perm[i]];
		for (int64_t first = 0; first < t->n_row; first += t->batch) {
			int64_t n = SN_MIN((int64_t)t->batch, t->n_row - first);
			sum += (double)n * sn_readout_loss(m, t->texts, &t->aim, rows + first, n, grad, scratch);
			sn_adam_step(&adam, m->size, grad, m->theta);
		}
		t->loss = sum / (double)t->n_row;
	}
}
