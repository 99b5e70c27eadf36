/* The two fits. Gradient steps recompute the logits of a block of positions chunk by chunk twice: once for the
 * log-sum-exps, once for the derivatives, which go back through the unembedding at once. */
#include "methods/lens/fit.h"

#include "model/lens.h"
#include "model/model.h"
#include "stats/linalg.h"
#include "tensor/sgemm.h"

#include <math.h>
#include <string.h>

/* ---- least squares ---- */

sn_status sn_lens_moments_make(sn_lens_moments *out, int n, int64_t d, sn_arena *arena)
{
	*out = (sn_lens_moments){ .n = n, .d = d };
	SN_NEW(out->xx, arena, double, n * (d + 1) * (d + 1));
	SN_NEW(out->xy, arena, double, n * (d + 1) * d);
	return SN_OK;
}

/* Rows of layer l and of what is left to the last one, both times the root of the position's weight. */
static void weigh_rows(const sn_lens_streams *s, int l, double *x, double *y)
{
	int64_t d = s->d, group = s->n_layer + 1;
	for (int64_t i = 0; i < s->n; i++) {
		const float *own = s->x + (i * group + l) * d, *last = s->x + (i * group + s->n_layer) * d;
		double square = 1e-12;
		for (int64_t k = 0; k < d; k++) square += (double)last[k] * last[k] / (double)d;
		double root = 1 / sqrt(square);
		for (int64_t k = 0; k < d; k++) {
			x[i * (d + 1) + k] = root * own[k];
			y[i * d + k] = root * ((double)last[k] - own[k]);
		}
		x[i * (d + 1) + d] = root;
	}
}

sn_status sn_lens_moments_add(sn_ctx *ctx, sn_lens_moments *m, const sn_lens_streams *s, sn_arena *arena)
{
	int64_t d = m->d, e = d + 1;
	int threads = sn_ctx_threads(ctx);
	double *x, *y;
	sn_mark mark = sn_arena_mark(arena);
	SN_NEW(x, arena, double, s->n *e);
	SN_NEW(y, arena, double, s->n *d);
	for (int l = 0; l < m->n; l++) {
		weigh_rows(s, l, x, y);
		sn_gram_f64(threads, true, e, s->n, x, e, 1, m->xx + l * e * e, e);
		sn_gemm_f64(threads, true, false, e, d, s->n, 1, x, e, y, d, 1, m->xy + l * e * d, d);
	}
	m->count += (double)s->n;
	sn_arena_reset(arena, mark);
	return SN_OK;
}

static sn_status solve_layer(sn_ctx *ctx, double *xx, const double *xy, int64_t d, double ridge, double *rhs,
                             float *weight, float *bias)
{
	int64_t e = d + 1;
	double trace = 0;
	for (int64_t i = 0; i < d; i++) trace += xx[i * e + i];
	for (int64_t i = 0; i < d; i++) xx[i * e + i] += ridge * trace / (double)d;
	for (int64_t i = 0; i < e; i++)
		for (int64_t k = 0; k < d; k++) rhs[k * e + i] = xy[i * d + k];
	if (!sn_cholesky(e, xx, e))
		return sn_fail(ctx, SN_ENUMERIC, "the streams' moments cannot be inverted: too few positions for %lld "
			"dimensions",
		               (long long)d);
	sn_cholesky_solve(e, xx, e, d, rhs);
	for (int64_t k = 0; k < d; k++) {
		for (int64_t i = 0; i < d; i++) weight[k * d + i] = (float)rhs[k * e + i];
		bias[k] = (float)rhs[k * e + d];
	}
	return SN_OK;
}

sn_status sn_lens_moments_solve(sn_ctx *ctx, sn_lens_moments *m, double ridge, sn_translators *out)
{
	int64_t d = m->d, e = d + 1;
	double *rhs = sn_alloc(ctx, sn_size3((size_t)d, (size_t)e, sizeof *rhs));
	sn_status status = rhs ? SN_OK : SN_ENOMEM;
	for (int l = 0; l < m->n && status == SN_OK; l++)
		status = solve_layer(ctx, m->xx + l * e * e, m->xy + l * e * d, d, ridge, rhs, out->weight + l * d * d,
		                     out->bias + l * d);
	sn_free(ctx, rhs);
	return status;
}

/* ---- one gradient step ---- */

typedef struct step {
	sn_ctx *ctx;
	sn_model *model;
	sn_translators *t;
	const sn_lens_streams *s;
	int64_t group, rows, block;  /* boundaries; positions x boundaries; rows at a time, whole positions */
	float *y, *h;                /* [rows, d] translated, and behind the final norm */
	float *dh;                   /* [rows, d] derivative by h, then by y */
	float *z, *p, *back;         /* [block, chunk] logits, probabilities; [block, d] */
	sn_spread *sum;              /* [rows] */
	double *loss;                /* [n] sums over positions */
} step;

static sn_status translate(step *k, sn_arena *arena)
{
	memcpy(k->y, k->s->x, (size_t)(k->rows * k->s->d) * sizeof *k->y);
	SN_TRY(sn_translators_apply(k->ctx, k->model, k->t, k->y, k->s->n, arena));
	return sn_lens_head(k->ctx, k->model, k->y, k->rows, k->h, arena);
}

static int64_t chunk_width(const step *k, int c)
{
	return SN_MIN((int64_t)SN_UNEMBED_CHUNK, k->model->shape.n_logit - (int64_t)c * SN_UNEMBED_CHUNK);
}

/* z = logits of rows [first, first + m) over chunk c. */
static sn_status multiply(step *k, int64_t first, int64_t m, int c)
{
	const sn_model *model = k->model;
	int64_t n = chunk_width(k, c);
	SN_TRY(sn_gemm_run(model->gemm, model->unembed[c], k->h + first * k->s->d, m, k->z));
	float cap = (float)model->shape.form.logit_softcap;
#pragma omp parallel for num_threads(sn_ctx_threads(k->ctx))
	for (int64_t i = 0; i < m; i++) {
		if (model->unembed_bias) model->kernels->add(k->z + i * n, model->unembed_bias + c * SN_UNEMBED_CHUNK, n);
		if (cap > 0) model->kernels->softcap(k->z + i * n, n, cap);
	}
	return SN_OK;
}

static double lse_of(const step *k, int64_t row) { return k->sum[row].max + log(k->sum[row].all); }

/* z of a row <- its derivative of KL(final || row) / positions: own probabilities less the final ones. */
static void differ(step *k, int64_t i, int64_t n)
{
	int64_t final = i - i % k->group + k->group - 1;
	float *z = k->z + i * n, cap = (float)k->model->shape.form.logit_softcap, share = 1 / (float)k->s->n;
	const float *own = k->p + i * n, *other = k->p + final * n;
	for (int64_t v = 0; v < n; v++) {
		float slope = cap > 0 ? 1 - z[v] / cap * (z[v] / cap) : 1;
		z[v] = i == final ? 0 : share * slope * (own[v] - other[v]);
	}
}

static void add_losses(step *k, int64_t first, int64_t m, int64_t n)
{
	for (int64_t i = 0; i < m; i++) {
		int64_t final = i - i % k->group + k->group - 1;
		if (i != final)
			k->loss[(first + i) % k->group] +=
				k->model->kernels->weighted_gap(k->p + final * n, k->z + final * n, k->z + i * n, n);
	}
}

static sn_status take_block(step *k, sn_packed *const *unembed_back, int64_t first, int64_t m)
{
	const sn_kernels *kernels = k->model->kernels;
	int threads = sn_ctx_threads(k->ctx);
	int64_t d = k->s->d;
	for (int c = 0; c < k->model->n_chunk; c++) {
		int64_t n = chunk_width(k, c);
		SN_TRY(multiply(k, first, m, c));
#pragma omp parallel for num_threads(threads)
		for (int64_t i = 0; i < m; i++) kernels->spread(k->z + i * n, n, &k->sum[first + i]);
	}
	for (int c = 0; c < k->model->n_chunk; c++) {
		int64_t n = chunk_width(k, c);
		SN_TRY(multiply(k, first, m, c));
#pragma omp parallel for num_threads(threads)
		for (int64_t i = 0; i < m; i++) kernels->exp_less(k->p + i * n, k->z + i * n, (float)lse_of(k, first + i), n);
		add_losses(k, first, m, n);
#pragma omp parallel for num_threads(threads)
		for (int64_t i = 0; i < m; i++) differ(k, i, n);
		SN_TRY(sn_gemm_run(k->model->gemm, unembed_back[c], k->z, m, k->back));
#pragma omp parallel for num_threads(threads)
		for (int64_t i = 0; i < m; i++) kernels->add(k->dh + (first + i) * d, k->back + i * d, d);
	}
	for (int64_t i = 0; i < m; i++) {
		int64_t final = i - i % k->group + k->group - 1;
		if (i != final) k->loss[i % k->group] += lse_of(k, first + i) - lse_of(k, first + final);
	}
	return SN_OK;
}

/* dh <- derivative by y: back through the final norm. With c = y less its mean (RMSNorm: y), g the gains times dh and
 * s the scale: g / s - c (c . g) / (d s^3), less its mean for LayerNorm. */
static void norm_back(step *k)
{
	const sn_model *model = k->model;
	const float *gain = model->final_norm.weight;
	int64_t d = k->s->d;
	bool layer = model->shape.form.norm == SN_NORM_LAYER;
#pragma omp parallel for num_threads(sn_ctx_threads(k->ctx))
	for (int64_t i = 0; i < (gain ? k->rows : 0); i++) {
		const float *y = k->y + i * d;
		float *g = k->dh + i * d, mean = 0;
		float scale = layer ? model->kernels->layer_scale(y, d, model->shape.norm_eps, &mean)
		                    : model->kernels->rms_scale(y, d, model->shape.norm_eps);
		double dot = 0, sum = 0, s = scale;
		for (int64_t j = 0; j < d; j++) {
			g[j] *= gain[j];
			dot += (double)g[j] * (y[j] - mean);
			sum += g[j];
		}
		for (int64_t j = 0; j < d; j++)
			g[j] = (float)((g[j] - (layer ? sum / (double)d : 0)) / s - (y[j] - mean) * dot / ((double)d * s * s * s));
	}
}

/* Adam on one layer's weight and bias: gradients dY' X and the sum of dY. */
static sn_status update_layer(const step *k, sn_lens_adam *a, int l, float *x, float *dy, float *gradient)
{
	int64_t d = k->s->d, n = k->s->n, size = d * d + d;
	float *first = a->first + l * size, *second = a->second + l * size;
	double rate = a->rate * (1 - (double)a->step / (double)a->steps);
	double fix1 = 1 - pow(0.9, (double)a->step + 1), fix2 = 1 - pow(0.999, (double)a->step + 1);
	for (int64_t i = 0; i < n; i++) {
		memcpy(x + i * d, k->s->x + (i * k->group + l) * d, (size_t)d * sizeof *x);
		memcpy(dy + i * d, k->dh + (i * k->group + l) * d, (size_t)d * sizeof *dy);
	}
	memset(gradient, 0, (size_t)size * sizeof *gradient);
	sn_sgemm(true, false, d, d, n, dy, d, x, d, 0, gradient, d);
	for (int64_t i = 0; i < n * d; i++) gradient[d * d + i % d] += dy[i];
	for (int64_t i = 0; i < size; i++) {
		float g = gradient[i];
		float *w = i < d * d ? &k->t->weight[l * d * d + i] : &k->t->bias[l * d + i - d * d];
		first[i] = 0.9f * first[i] + 0.1f * g;
		second[i] = 0.999f * second[i] + 0.001f * g * g;
		*w -= (float)(rate * (first[i] / fix1) / (sqrt(second[i] / fix2) + 1e-8));
	}
	return SN_OK;
}

static sn_status update(const step *k, sn_lens_adam *a, sn_arena *arena)
{
	int64_t d = k->s->d, n = k->s->n;
	float *x, *dy, *gradient;
	int before = sn_blas_serial();
	SN_NEW(x, arena, float, n *d);
	SN_NEW(dy, arena, float, n *d);
	SN_NEW(gradient, arena, float, d *d + d);
	for (int l = 0; l < k->t->n; l++) SN_TRY(update_layer(k, a, l, x, dy, gradient));
	sn_blas_restore(before);
	a->step++;
	return SN_OK;
}

sn_status sn_lens_step(sn_ctx *ctx, sn_model *model, sn_translators *t, const sn_lens_streams *s, sn_lens_adam *adam,
                       double *loss, sn_arena *arena)
{
	step k = { .ctx = ctx, .model = model, .t = t, .s = s, .group = t->n + 1, .rows = s->n * (t->n + 1), .loss = loss };
	int64_t d = s->d;
	sn_mark mark = sn_arena_mark(arena);
	k.block = SN_MAX(256 / k.group, 1) * k.group;
	SN_NEW(k.y, arena, float, sn_gemm_room(k.rows) * d);
	SN_NEW(k.h, arena, float, (sn_gemm_room(k.rows) + sn_gemm_room(k.block)) * d);
	SN_NEW(k.dh, arena, float, k.rows *d);
	SN_NEW(k.z, arena, float, sn_gemm_room(k.block) * SN_UNEMBED_CHUNK);
	SN_NEW(k.p, arena, float, sn_gemm_room(k.block) * SN_UNEMBED_CHUNK);
	SN_NEW(k.back, arena, float, sn_gemm_room(k.block) * d);
	SN_NEW(k.sum, arena, sn_spread, k.rows);
	for (int64_t i = 0; i < k.rows; i++) k.sum[i].max = -INFINITY;
	for (int l = 0; l < t->n; l++) loss[l] = 0;
	SN_TRY(translate(&k, arena));
	for (int64_t first = 0; first < k.rows; first += k.block) {
		SN_TRY(sn_poll(ctx));
		SN_TRY(take_block(&k, adam->unembed_back, first, SN_MIN(k.block, k.rows - first)));
	}
	for (int l = 0; l < t->n; l++) loss[l] /= (double)s->n;
	norm_back(&k);
	SN_TRY(update(&k, adam, arena));
	sn_arena_reset(arena, mark);
	return SN_OK;
}

/* ---- the unembedding, turned ---- */

sn_status sn_lens_adam_open(sn_lens_adam *a, sn_ctx *ctx, sn_model *model, const sn_translators *t, double rate,
                            int64_t steps, sn_arena *arena)
{
	int64_t d = t->d, size = t->n * (d * d + d);
	*a = (sn_lens_adam){ .rate = rate, .steps = steps };
	SN_TRY(sn_model_need_unembed(ctx, model));
	SN_NEW(a->first, arena, float, size);
	SN_NEW(a->second, arena, float, size);
	SN_NEW(a->unembed_back, arena, sn_packed *, model->n_chunk);
	sn_mark mark = sn_arena_mark(arena);
	float *w;
	SN_NEW(w, arena, float, SN_UNEMBED_CHUNK *d);
	for (int c = 0; c < model->n_chunk; c++) {
		int64_t id = (int64_t)c * SN_UNEMBED_CHUNK, n = SN_MIN((int64_t)SN_UNEMBED_CHUNK, model->shape.n_logit - id);
		SN_TRY(sn_model_read(ctx, model, sn_unembed_part(model), 0, id, n, w));
		SN_TRY(sn_gemm_pack_transposed(&a->unembed_back[c], model->gemm, w, n, d));
	}
	sn_arena_reset(arena, mark);
	return SN_OK;
}

void sn_lens_adam_close(sn_lens_adam *a, sn_model *model)
{
	for (int c = 0; a->unembed_back && c < model->n_chunk; c++) sn_packed_free(model->gemm, a->unembed_back[c]);
	a->unembed_back = NULL;
}
