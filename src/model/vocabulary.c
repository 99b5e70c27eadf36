/* Blocks of vectors, chunk by chunk of the vocabulary. Where ranks are asked for, the chunks that hold wanted tokens
 * are multiplied first: what stands above a logit can be counted only once the logit is known, to the last bit. */
#include "model/vocabulary.h"

#include "model/model.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 256 }; /* vectors multiplied together, unless a group has more */

/* One end of the vocabulary: the k best so far of each vector, in order. */
typedef struct best {
	int32_t *id;    /* [n, k] */
	double *value;
	int k;
} best;

typedef struct sweep {
	sn_ctx *ctx;
	sn_model *model;
	const sn_vocabulary *ask;
	best top, bottom;
	bool distribution; /* some answer needs more than products */
	int64_t block;
	float *y, *p;      /* [block, chunk] logits; [references of a block, chunk] e^(logit - max) */
	sn_spread *sum;    /* [n] */
	double *in_set;    /* [n] sum of e^(x - max) over the set */
	double *gap;       /* [n] sum of e^(reference - max) (reference - logit) */
	double *want;      /* [n, n_want] */
	int64_t *above;    /* [n, n_want] */
	int64_t first, m;  /* of the block at hand */
	int64_t id0, width; /* of the chunk at hand */
} sweep;

/* ---- one vector, one chunk ---- */

/* Keeps the best so far in order; ids come in ascending order. sign -1: the smallest are best. */
static void keep_best(const sweep *s, const best *b, int64_t i, const float *x, double sign)
{
	int32_t *id = b->id + i * b->k;
	double *value = b->value + i * b->k;
	const sn_kernels *kernels = s->model->kernels;
	for (int64_t j = 0; (j = kernels->next_above(x, j, s->width, (float)(sign * value[b->k - 1]))) < s->width; j++) {
		int k = b->k - 1;
		for (; k > 0 && x[j] > sign * value[k - 1]; k--) {
			value[k] = value[k - 1];
			id[k] = id[k - 1];
		}
		value[k] = sign * x[j];
		id[k] = (int32_t)(s->id0 + j);
	}
}

static void add_distribution(sweep *s, int64_t i, const float *x)
{
	sn_spread *sum = &s->sum[i];
	float before = sum->max;
	s->model->kernels->spread(x, s->width, sum);
	if (!s->ask->set || sum->max == -INFINITY) return;
	double in_set = 0;
	for (int64_t j = 0; j < s->width; j++)
		if (s->ask->set[s->id0 + j]) in_set += expf(x[j] - sum->max);
	s->in_set[i] = s->in_set[i] * exp((double)before - sum->max) + in_set;
}

/* x is negated at the end, where the smallest are asked for. */
static void take(sweep *s, int64_t i, float *x)
{
	const sn_vocabulary *ask = s->ask;
	if (s->distribution) add_distribution(s, i, x);
	for (int w = 0; w < ask->n_want; w++) {
		int32_t id = ask->want[i * ask->n_want + w];
		if (id >= s->id0 && id < s->id0 + s->width) s->want[i * ask->n_want + w] = x[id - s->id0];
		if (ask->rank)
			s->above[i * ask->n_want + w] +=
				s->model->kernels->count_above(x, s->width, (float)s->want[i * ask->n_want + w]);
	}
	if (s->top.id) keep_best(s, &s->top, i, x, 1);
	if (!s->bottom.id) return;
	for (int64_t j = 0; j < s->width; j++) x[j] = -x[j];
	keep_best(s, &s->bottom, i, x, -1);
}

/* ---- divergences from the last of a group ---- */

static int64_t reference_of(const sweep *s, int64_t i) { return i - i % s->ask->group + s->ask->group - 1; }

/* e^(logit - max) of a reference, whose spread has not yet seen this chunk; its group's sums follow its maximum. */
static void take_reference(sweep *s, int64_t r)
{
	const float *x = s->y + (r - s->first) * s->width;
	float max = s->sum[r].max;
	for (int64_t j = 0; j < s->width; j++) max = x[j] > max ? x[j] : max;
	double factor = s->sum[r].all > 0 ? exp((double)s->sum[r].max - max) : 0;
	for (int64_t i = r - s->ask->group + 1; i <= r; i++) s->gap[i] *= factor;
	s->model->kernels->exp_less(s->p + (r - s->first) / s->ask->group * s->width, x, max, s->width);
}

static void take_gap(sweep *s, int64_t i)
{
	int64_t r = reference_of(s, i);
	const float *own = s->y + (i - s->first) * s->width, *reference = s->y + (r - s->first) * s->width;
	s->gap[i] += s->model->kernels->weighted_gap(s->p + (r - s->first) / s->ask->group * s->width, reference, own,
	                                             s->width);
}

static void take_divergences(sweep *s)
{
	int threads = sn_ctx_threads(s->ctx);
	int64_t group = s->ask->group;
#pragma omp parallel for num_threads(threads)
	for (int64_t g = 0; g < s->m / group; g++) take_reference(s, s->first + g * group + group - 1);
#pragma omp parallel for num_threads(threads)
	for (int64_t i = 0; i < s->m; i++) take_gap(s, s->first + i);
}

/* ---- blocks ---- */

/* y = the block's logits over chunk c. */
static sn_status multiply(sweep *s, int c)
{
	sn_model *m = s->model;
	s->id0 = (int64_t)c * SN_UNEMBED_CHUNK;
	s->width = SN_MIN((int64_t)SN_UNEMBED_CHUNK, m->shape.n_logit - s->id0);
	SN_TRY(sn_gemm_run(m->gemm, m->unembed[c], s->ask->x + s->first * m->shape.d_head_out, s->m, s->y));
	float cap = (float)m->shape.form.logit_softcap;
	if (s->ask->bare || (!m->unembed_bias && cap <= 0)) return SN_OK;
#pragma omp parallel for num_threads(sn_ctx_threads(s->ctx))
	for (int64_t i = 0; i < s->m; i++) {
		float *x = s->y + i * s->width;
		if (m->unembed_bias) m->kernels->add(x, m->unembed_bias + s->id0, s->width);
		if (cap > 0) m->kernels->softcap(x, s->width, cap);
	}
	return SN_OK;
}

/* Whether the block wants a token of the chunk. */
static bool wanted(const sweep *s, int c)
{
	const int32_t *want = s->ask->want + s->first * s->ask->n_want;
	for (int64_t i = 0; i < s->m * s->ask->n_want; i++)
		if (want[i] / SN_UNEMBED_CHUNK == c) return true;
	return false;
}

static sn_status find_wanted(sweep *s)
{
	const sn_vocabulary *ask = s->ask;
	for (int c = 0; ask->rank && c < s->model->n_chunk; c++) {
		if (!wanted(s, c)) continue;
		SN_TRY(multiply(s, c));
		for (int64_t i = 0; i < s->m * ask->n_want; i++) {
			int64_t k = s->first * ask->n_want + i;
			if (ask->want[k] / SN_UNEMBED_CHUNK == c)
				s->want[k] = s->y[i / ask->n_want * s->width + ask->want[k] - s->id0];
		}
	}
	return SN_OK;
}

static sn_status read_block(sweep *s)
{
	SN_TRY(sn_poll(s->ctx));
	SN_TRY(find_wanted(s));
	for (int c = 0; c < s->model->n_chunk; c++) {
		SN_TRY(multiply(s, c));
		if (s->ask->kl) take_divergences(s);
#pragma omp parallel for num_threads(sn_ctx_threads(s->ctx))
		for (int64_t i = 0; i < s->m; i++) take(s, s->first + i, s->y + i * s->width);
	}
	return SN_OK;
}

/* ---- entry ---- */

static sn_status check(sn_ctx *ctx, const sn_model *model, const sn_vocabulary *ask)
{
	int64_t n_logit = model->shape.n_logit;
	SN_ASSERT(!ask->kl || (ask->group > 0 && ask->n % ask->group == 0));
	if (!model->info.has_logits)
		return sn_fail(ctx, SN_EARG, "%s has no language-model head: it predicts no tokens", model->info.path);
	if (ask->top > n_logit)
		return sn_fail(ctx, SN_EARG, "%s has %lld tokens, fewer than the %d asked for", model->info.path,
					   (long long)n_logit, ask->top);
	for (int64_t i = 0; i < ask->n * ask->n_want; i++)
		if (ask->want[i] < 0 || ask->want[i] >= n_logit)
			return sn_fail(ctx, SN_EARG, "%s predicts %lld tokens; token %d is none of them", model->info.path,
						   (long long)n_logit, ask->want[i]);
	return SN_OK;
}

static sn_status make(sweep *s, sn_arena *arena)
{
	const sn_vocabulary *ask = s->ask;
	int64_t group = ask->kl ? ask->group : 1, k = ask->top > 0 ? ask->top : 0;
	s->block = SN_MAX(BLOCK / group, 1) * group;
	SN_NEW(s->y, arena, float, sn_gemm_room(s->block) * SN_UNEMBED_CHUNK);
	SN_NEW(s->p, arena, float, ask->kl ? s->block / group * SN_UNEMBED_CHUNK : 0);
	SN_NEW(s->sum, arena, sn_spread, ask->n);
	SN_NEW(s->in_set, arena, double, ask->n);
	SN_NEW(s->gap, arena, double, ask->n);
	SN_NEW(s->want, arena, double, ask->n * ask->n_want);
	SN_NEW(s->above, arena, int64_t, ask->n * ask->n_want);
	s->distribution = ask->lse || ask->entropy || ask->set_logprob || ask->kl;
	if (k && ask->top_id) s->top = (best){ ask->top_id, ask->top_logit, ask->top };
	if (k && ask->bottom_id) s->bottom = (best){ ask->bottom_id, ask->bottom_logit, ask->top };
	for (int64_t i = 0; i < ask->n; i++) s->sum[i].max = -INFINITY;
	for (int64_t i = 0; s->top.id && i < ask->n * k; i++) s->top.value[i] = -INFINITY;
	for (int64_t i = 0; s->bottom.id && i < ask->n * k; i++) s->bottom.value[i] = INFINITY;
	return SN_OK;
}

static void answer(const sweep *s)
{
	const sn_vocabulary *ask = s->ask;
	for (int64_t i = 0; i < ask->n; i++) {
		const sn_spread *own = &s->sum[i];
		double lse = own->max + log(own->all);
		if (ask->lse) ask->lse[i] = lse;
		if (ask->entropy) ask->entropy[i] = SN_MAX(log(own->all) - own->moment / own->all, 0);
		if (ask->set_logprob) ask->set_logprob[i] = log(s->in_set[i]) - log(own->all);
		if (!ask->kl) continue;
		const sn_spread *reference = &s->sum[reference_of(s, i)];
		ask->kl[i] = SN_MAX(s->gap[i] / reference->all - (reference->max + log(reference->all)) + lse, 0);
	}
	for (int64_t i = 0; i < ask->n * ask->n_want; i++) {
		if (ask->logit) ask->logit[i] = s->want[i];
		if (ask->rank) ask->rank[i] = 1 + s->above[i];
	}
}

sn_status sn_vocabulary_read(sn_ctx *ctx, sn_model *model, const sn_vocabulary *ask, sn_arena *arena)
{
	sweep s = { .ctx = ctx, .model = model, .ask = ask };
	SN_TRY(check(ctx, model, ask));
	SN_TRY(sn_model_need_unembed(ctx, model));
	sn_mark mark = sn_arena_mark(arena);
	SN_TRY(make(&s, arena));
	for (; s.first < ask->n; s.first += s.block) {
		s.m = SN_MIN(s.block, ask->n - s.first);
		SN_TRY(read_block(&s));
	}
	answer(&s);
	sn_arena_reset(arena, mark);
	return SN_OK;
}
