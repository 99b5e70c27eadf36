/* Distributions at places: what the unembedding reads is kept, and multiplied with the vocabulary chunk by chunk. */
#include "model/predict.h"

#include "model/model.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 256 }; /* places multiplied together */

/* Sums over the vocabulary so far, relative to its greatest logit: sum e^(x - max), sum e^(x - max) (x - max), and the
 * first over the set alone. */
typedef struct sums {
	double max, all, moment, set;
} sums;

typedef struct predictor {
	sn_ctx *ctx;
	sn_model *model;
	const sn_predict *ask;
	float *x;       /* [n, d] what the unembedding reads */
	float *y;       /* [BLOCK, chunk] */
	sums *sum;      /* [n] */
	double *want;   /* [n] logits */
	int64_t *above; /* [n] tokens whose logit is greater than the wanted one's */
} predictor;

/* ---- one place, one chunk of the vocabulary ---- */

static void rescale(sums *s, double max)
{
	if (max <= s->max) return;
	double delta = max - s->max, factor = exp(-delta); /* the first time: 0, of empty sums */
	s->moment = s->all > 0 ? factor * (s->moment - delta * s->all) : 0;
	s->all *= factor;
	s->set *= factor;
	s->max = max;
}

static void add_sums(const predictor *p, sums *s, const float *logit, int64_t id0, int64_t n)
{
	float max = logit[0];
	double all = 0, moment = 0, set = 0;
	for (int64_t i = 1; i < n; i++) max = SN_MAX(max, logit[i]);
	if (max == -INFINITY) return;
	rescale(s, max);
	for (int64_t i = 0; i < n; i++) {
		float below = logit[i] - (float)s->max, e = expf(below);
		all += e;
		moment += e > 0 ? (double)e * below : 0; /* a logit of -inf has no share */
		if (p->ask->set && p->ask->set[id0 + i]) set += e;
	}
	s->all += all;
	s->moment += moment;
	s->set += set;
}

/* Keeps the best so far in order; ids come in ascending order. */
static void add_top(const sn_predict *ask, int64_t i, const float *logit, int64_t id0, int64_t n)
{
	int32_t *id = ask->top_id + i * ask->top;
	double *value = ask->top_logprob + i * ask->top;
	for (int64_t j = 0; j < n; j++) {
		int k = ask->top;
		if (!(logit[j] > value[k - 1])) continue;
		for (k--; k > 0 && logit[j] > value[k - 1]; k--) {
			value[k] = value[k - 1];
			id[k] = id[k - 1];
		}
		value[k] = logit[j];
		id[k] = (int32_t)(id0 + j);
	}
}

static void take_first(predictor *p, int64_t i, const float *logit, int64_t id0, int64_t n)
{
	const sn_predict *ask = p->ask;
	add_sums(p, &p->sum[i], logit, id0, n);
	if (ask->top > 0) add_top(ask, i, logit, id0, n);
	if (ask->want && ask->want[i] >= id0 && ask->want[i] < id0 + n) p->want[i] = logit[ask->want[i] - id0];
}

static void take_second(predictor *p, int64_t i, const float *logit, int64_t n)
{
	for (int64_t j = 0; j < n; j++) p->above[i] += logit[j] > p->want[i];
}

/* ---- sweeps over the vocabulary ---- */

static sn_status sweep(predictor *p, int64_t first, int64_t m, bool second)
{
	const sn_model *model = p->model;
	int64_t d = model->shape.d_head_out, n_logit = model->shape.n_logit;
	float cap = (float)model->shape.form.logit_softcap;
	for (int c = 0; c < model->n_chunk; c++) {
		int64_t id0 = (int64_t)c * SN_UNEMBED_CHUNK, n = SN_MIN((int64_t)SN_UNEMBED_CHUNK, n_logit - id0);
		SN_TRY(sn_gemm_run(model->gemm, model->unembed[c], p->x + first * d, m, p->y));
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
		for (int64_t i = 0; i < m; i++) {
			float *logit = p->y + i * n;
			if (model->unembed_bias) model->kernels->add(logit, model->unembed_bias + id0, n);
			if (cap > 0) model->kernels->softcap(logit, n, cap);
			if (second)
				take_second(p, first + i, logit, n);
			else
				take_first(p, first + i, logit, id0, n);
		}
	}
	return SN_OK;
}

static sn_status sweep_all(predictor *p)
{
	for (int64_t first = 0; first < p->ask->n; first += BLOCK) {
		int64_t m = SN_MIN((int64_t)BLOCK, p->ask->n - first);
		SN_TRY(sn_poll(p->ctx));
		SN_TRY(sweep(p, first, m, false));
		if (p->ask->rank) SN_TRY(sweep(p, first, m, true));
	}
	return SN_OK;
}

static void answer(const predictor *p)
{
	const sn_predict *ask = p->ask;
	for (int64_t i = 0; i < ask->n; i++) {
		const sums *s = &p->sum[i];
		double lse = s->max + log(s->all);
		if (ask->logprob) ask->logprob[i] = p->want[i] - lse;
		if (ask->rank) ask->rank[i] = 1 + p->above[i];
		if (ask->entropy) ask->entropy[i] = SN_MAX(log(s->all) - s->moment / s->all, 0);
		if (ask->set_logprob) ask->set_logprob[i] = log(s->set) - log(s->all);
		for (int k = 0; k < ask->top; k++) ask->top_logprob[i * ask->top + k] -= lse;
	}
}

/* ---- entry ---- */

static sn_status check(sn_ctx *ctx, const sn_model *model, const sn_predict *ask)
{
	int64_t n_logit = model->shape.n_logit;
	if (!model->info.has_logits)
		return sn_fail(ctx, SN_EARG, "%s has no language-model head: it predicts no tokens", model->info.path);
	if (ask->top > n_logit)
		return sn_fail(ctx, SN_EARG, "%s has %lld tokens, fewer than the %d asked for", model->info.path,
					   (long long)n_logit, ask->top);
	for (int64_t i = 0; ask->want && i < ask->n; i++)
		if (ask->want[i] < 0 || ask->want[i] >= n_logit)
			return sn_fail(ctx, SN_EARG, "%s predicts %lld tokens; token %d is none of them", model->info.path,
						   (long long)n_logit, ask->want[i]);
	return SN_OK;
}

static sn_status make(predictor *p, sn_arena *arena)
{
	const sn_predict *ask = p->ask;
	int64_t rows = ask->n + sn_gemm_room(BLOCK);
	SN_NEW(p->x, arena, float, rows * p->model->shape.d_head_out);
	SN_NEW(p->y, arena, float, sn_gemm_room(BLOCK) * SN_UNEMBED_CHUNK);
	SN_NEW(p->sum, arena, sums, ask->n);
	SN_NEW(p->want, arena, double, ask->n);
	SN_NEW(p->above, arena, int64_t, ask->n);
	for (int64_t i = 0; i < ask->n; i++) p->sum[i].max = -INFINITY;
	for (int64_t i = 0; i < ask->n * ask->top; i++) ask->top_logprob[i] = -INFINITY;
	return SN_OK;
}

sn_status sn_predict_run(sn_ctx *ctx, sn_model *model, const sn_batch *batch, sn_predict *ask, sn_arena *arena)
{
	predictor p = { .ctx = ctx, .model = model, .ask = ask };
	SN_TRY(check(ctx, model, ask));
	sn_mark mark = sn_arena_mark(arena);
	SN_TRY(make(&p, arena));
	sn_keep keep = { .x = p.x, .m = ask->n, .d = model->shape.d_head_out };
	sn_tap tap = { .at = { .kind = SN_SITE_UNEMBED_IN },
				   .where = { .sel = SN_LIST, .list = ask->place, .n_list = ask->n },
				   .sink = &sn_sink_keep,
				   .state = &keep };
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
	SN_TRY(sn_run(ctx, model, batch, &plan, NULL, NULL));
	SN_TRY(sn_model_need_unembed(ctx, model));
	SN_TRY(sweep_all(&p));
	answer(&p);
	sn_arena_reset(arena, mark);
	return SN_OK;
}
