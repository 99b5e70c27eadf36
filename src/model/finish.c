/* The end of a pass: final norm, unembedding, and the goals over logits – only for the places that are scored, and only
 * the wanted words' logits where no distribution is needed. */
#include "model/back.h"
#include "model/finish.h"

#include "model/site.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool over_logits(const sn_goal *g) { return g->metric != SN_DOT; }

/* ---- what is asked ---- */

static void ask_ids(sn_ending *f, int64_t slot, const int32_t *ids, const int64_t *start, int64_t index)
{
	int64_t first = start ? start[index] : index, last = start ? start[index + 1] : index + 1;
	for (int64_t i = first; i < last; i++, f->n_ask++)
		if (f->ask) f->ask[f->n_ask] = (sn_ask){ slot, ids[i], 0 };
}

static void ask_place(sn_ending *f, int g, int64_t i)
{
	sn_pass *p = f->p;
	const sn_goal *goal = &p->c->plan->goal[g];
	int32_t row = p->c->goal[g].row[i], pos = p->c->goal[g].pos[i];
	sn_scored s = { .goal = g, .row = row, .pos = pos, .slot = sn_slot(p, &p->now, row, pos), .want = f->n_ask };
	if (goal->metric != SN_KL && s.slot < 0) {
		SN_ASSERT(p->n_kin);
		return;
	}
	int64_t index = p->c->goal_index[g][i];
	if (goal->metric == SN_KL) f->has_kl = true;
	else if (goal->want) ask_ids(f, s.slot, goal->want, goal->want_start, index);
	else ask_ids(f, s.slot, p->batch->token + p->batch->start[row] + pos + sn_wanted_offset(p->model), NULL, 0);
	s.foil = f->n_ask;
	if (goal->metric == SN_LOGIT_DIFF) ask_ids(f, s.slot, goal->foil, goal->foil_start, index);
	s.end = f->n_ask;
	if (f->place) f->place[f->n_place] = s;
	f->n_place++;
}

static void ask_rows(sn_ending *f, int g, const int32_t *row, int32_t n_row)
{
	const sn_places *places = &f->p->c->goal[g];
	for (int32_t r = 0; r < n_row; r++)
		for (int64_t i = sn_places_of_row(places, row[r]); i < places->n && places->row[i] == row[r]; i++)
			ask_place(f, g, i);
}

/* A place is scored with the step that computes its position, whichever row it is of; against a reference row, with
 * its own row's step. */
static void ask_all(sn_ending *f)
{
	const sn_pass *p = f->p;
	f->n_ask = f->n_place = 0;
	for (int g = 0; g < p->c->plan->n_goal; g++) {
		if (!over_logits(&p->c->plan->goal[g])) continue;
		bool all = p->n_kin && p->c->plan->goal[g].metric != SN_KL;
		ask_rows(f, g, all ? p->kin : p->row, all ? p->n_kin : p->n_row);
	}
}

static sn_status list_asks(sn_ending *f)
{
	ask_all(f);
	int64_t n_place = f->n_place, n_ask = f->n_ask;
	SN_NEW(f->place, f->p->arena, sn_scored, n_place);
	SN_NEW(f->ask, f->p->arena, sn_ask, n_ask);
	ask_all(f);
	for (int g = 0; g < f->p->c->plan->n_goal; g++) {
		sn_metric m = f->p->c->plan->goal[g].metric;
		f->distribution |= m == SN_LOSS || m == SN_LOGPROB;
		f->everything |= m == SN_KL;
	}
	bool rescaled = f->p->back && f->p->back->reference && n_place > 0;
	f->everything |= sn_pass_touched(f->p, SN_SITE_LOGITS) || (f->p->back && f->distribution) || rescaled;
	return SN_OK;
}

/* ---- a few words' logits ---- */

static int compare_ids(const void *a, const void *b)
{
	int32_t x = (*(const sn_ask *const *)a)->id, y = (*(const sn_ask *const *)b)->id;
	return (x > y) - (x < y);
}

/* The bias and soft-cap of n logits whose first is of token id. */
static void finish_logits(const sn_model *m, float *logits, int64_t id, int64_t n)
{
	if (m->unembed_bias) m->kernels->add(logits, m->unembed_bias + id, n);
	if (m->shape.form.logit_softcap > 0) m->kernels->softcap(logits, n, (float)m->shape.form.logit_softcap);
}

sn_status sn_ask_logits(sn_ctx *ctx, sn_model *model, const float *h, sn_ask *ask, int64_t n, sn_arena *arena)
{
	int64_t d = model->shape.d_head_out;
	sn_ask **by_id;
	float *w;
	SN_NEW(by_id, arena, sn_ask *, n);
	SN_NEW(w, arena, float, d);
	for (int64_t i = 0; i < n; i++) by_id[i] = &ask[i];
	qsort(by_id, (size_t)n, sizeof *by_id, compare_ids);
	for (int64_t i = 0; i < n; i++) {
		int32_t id = by_id[i]->id;
		if (i == 0 || by_id[i - 1]->id != id)
			SN_TRY(model->source.read(ctx, model->source.arg, sn_unembed_part(model), 0, id, 1, w));
		by_id[i]->value = model->kernels->dot(h + by_id[i]->slot * d, w, d);
		finish_logits(model, &by_id[i]->value, id, 1);
	}
	return SN_OK;
}

/* ---- whole distributions, a chunk of the vocabulary at a time ---- */

/* Slots that need a log-sum-exp, gathered densely: the n-th is slot[n], and rank[slot] = n. */
typedef struct gathered { int64_t *slot, *rank, n; float *x, *y; } gathered;

static sn_status gather_slots(sn_ending *f, gathered *g)
{
	sn_pass *p = f->p;
	int64_t d = p->model->shape.d_head_out, m = p->now.m, room;
	SN_NEW(g->slot, p->arena, int64_t, m);
	SN_NEW(g->rank, p->arena, int64_t, m);
	for (int64_t i = 0; i < m; i++) g->rank[i] = -1;
	for (int64_t i = 0; i < f->n_place; i++)
		if (g->rank[f->place[i].slot] < 0) g->rank[g->slot[g->n] = f->place[i].slot] = g->n, g->n++;
	room = sn_gemm_room(g->n);
	SN_NEW(g->x, p->arena, float, room * d);
	SN_NEW(g->y, p->arena, float, room * SN_UNEMBED_CHUNK);
	for (int64_t i = 0; i < g->n; i++) memcpy(g->x + i * d, p->h + g->slot[i] * d, (size_t)d * sizeof *g->x);
	return SN_OK;
}

/* Picks the asked logits out of one chunk; asks come sorted by nothing, so all are looked at. */
static void pick(sn_ending *f, const gathered *g, int64_t id0, int64_t n)
{
	for (int64_t i = 0; i < f->n_ask; i++)
		if (f->ask[i].id >= id0 && f->ask[i].id < id0 + n)
			f->ask[i].value = g->y[g->rank[f->ask[i].slot] * n + f->ask[i].id - id0];
}

static sn_status stream_distributions(sn_ending *f)
{
	sn_pass *p = f->p;
	gathered g = { 0 };
	SN_TRY(sn_model_need_unembed(p->ctx, p->model));
	SN_TRY(gather_slots(f, &g));
	float *maximum;
	double *sum;
	SN_NEW(maximum, p->arena, float, g.n);
	SN_NEW(sum, p->arena, double, g.n);
	for (int64_t i = 0; i < g.n; i++) maximum[i] = -INFINITY;
	for (int c = 0; c < p->model->n_chunk; c++) {
		int64_t id0 = (int64_t)c * SN_UNEMBED_CHUNK, n = SN_MIN((int64_t)SN_UNEMBED_CHUNK,
		                                                        p->model->shape.n_logit - id0);
		SN_TRY(sn_gemm_run(p->model->gemm, p->model->unembed[c], g.x, g.n, g.y));
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
		for (int64_t i = 0; i < g.n; i++) {
			finish_logits(p->model, g.y + i * n, id0, n);
			p->model->kernels->logsumexp(g.y + i * n, n, &maximum[i], &sum[i]);
		}
		pick(f, &g, id0, n);
	}
	for (int64_t i = 0; i < g.n; i++) f->lse[g.slot[i]] = maximum[i] + log(sum[i]);
	return SN_OK;
}

/* ---- all logits, where something reads or changes them ---- */

static sn_status compute_logits(sn_ending *f)
{
	sn_pass *p = f->p;
	int64_t m = p->now.m, V = p->model->shape.n_logit;
	float *chunk;
	SN_TRY(sn_model_need_unembed(p->ctx, p->model));
	SN_NEW(f->logits, p->arena, float, m * V);
	SN_NEW(chunk, p->arena, float, sn_gemm_room(m) * SN_UNEMBED_CHUNK);
	for (int c = 0; c < p->model->n_chunk; c++) {
		int64_t id0 = (int64_t)c * SN_UNEMBED_CHUNK, n = SN_MIN((int64_t)SN_UNEMBED_CHUNK, V - id0);
		SN_TRY(sn_gemm_run(p->model->gemm, p->model->unembed[c], p->h, m, chunk));
		for (int64_t i = 0; i < m; i++) {
			memcpy(f->logits + i * V + id0, chunk + i * n, (size_t)n * sizeof *chunk);
			if (p->model->unembed_bias)
				p->model->kernels->add(f->logits + i * V + id0, p->model->unembed_bias + id0, n);
		}
	}
	SN_TRY(sn_visit(p, SN_SITE_LOGITS, f->logits, V));
	float cap = (float)p->model->shape.form.logit_softcap;
	if (cap != 0 && p->back && p->back->reference) {
		SN_NEW(f->raw, p->arena, float, m * V);
		memcpy(f->raw, f->logits, (size_t)(m * V) * sizeof *f->raw);
	}
	for (int64_t i = 0; cap != 0 && i < m; i++) p->model->kernels->softcap(f->logits + i * V, V, cap);
	return SN_OK;
}

static void sum_logits(sn_ending *f)
{
	int64_t V = f->p->model->shape.n_logit;
#pragma omp parallel for num_threads(sn_ctx_threads(f->p->ctx))
	for (int64_t i = 0; i < f->p->now.m; i++) {
		float maximum = -INFINITY;
		double sum = 0;
		f->p->model->kernels->logsumexp(f->logits + i * V, V, &maximum, &sum);
		f->lse[i] = maximum + log(sum);
	}
	for (int64_t i = 0; i < f->n_ask; i++) f->ask[i].value = f->logits[f->ask[i].slot * V + f->ask[i].id];
}

/* ---- scores ---- */

double sn_ask_sum(const sn_ask *ask, int64_t n)
{
	if (n == 1) return ask->value;
	double m = -INFINITY, sum = 0;
	for (int64_t i = 0; i < n; i++) m = SN_MAX(m, (double)ask[i].value);
	for (int64_t i = 0; i < n; i++) sum += exp(ask[i].value - m);
	return m + log(sum);
}

double sn_combine(const sn_ending *f, int64_t first, int64_t last) { return sn_ask_sum(f->ask + first, last - first); }

/* The logits of a place and their log-sum-exp; room: [V]. */
static const float *logits_at(const sn_ending *f, int32_t row, int32_t pos, float *room, double *lse)
{
	const sn_model *m = f->p->model;
	int64_t slot = sn_slot(f->p, &f->p->now, row, pos), V = m->shape.n_logit;
	if (slot >= 0) return *lse = f->lse[slot], f->logits + slot * V;
	memcpy(room, sn_held_value(f->p, SN_SITE_LOGITS, SN_AFTER, row, pos), (size_t)V * sizeof *room);
	if (m->shape.form.logit_softcap != 0) m->kernels->softcap(room, V, (float)m->shape.form.logit_softcap);
	float maximum = -INFINITY;
	double total = 0;
	m->kernels->logsumexp(room, V, &maximum, &total);
	*lse = maximum + log(total);
	return room;
}

static double divergence(const sn_ending *f, int32_t ref, int32_t row, int32_t pos)
{
	int64_t V = f->p->model->shape.n_logit;
	double lse_r, lse_x, sum = 0;
	const float *r = logits_at(f, ref, pos, f->held[0], &lse_r), *x = logits_at(f, row, pos, f->held[1], &lse_x);
	for (int64_t i = 0; i < V; i++) {
		double log_p = r[i] - lse_r, log_q = x[i] - lse_x;
		sum += exp(log_p) * (log_p - log_q);
	}
	return SN_MAX(sum, 0);
}

static double value_of(const sn_ending *f, const sn_scored *s)
{
	switch (f->p->c->plan->goal[s->goal].metric) {
	case SN_LOSS: return f->lse[s->slot] - sn_combine(f, s->want, s->foil);
	case SN_LOGPROB: return sn_combine(f, s->want, s->foil) - f->lse[s->slot];
	case SN_LOGIT: return sn_combine(f, s->want, s->foil);
	case SN_LOGIT_DIFF: return sn_combine(f, s->want, s->foil) - sn_combine(f, s->foil, s->end);
	case SN_KL: return divergence(f, f->p->c->plan->goal[s->goal].ref_row[s->row], s->row, s->pos);
	case SN_DOT: case SN_METRIC_NONE: break;
	}
	return 0;
}

static void score_places(const sn_ending *f)
{
	sn_pass *p = f->p;
	for (int64_t i = 0; i < f->n_place; i++) {
		const sn_scored *s = &f->place[i];
		const float *weight = p->c->plan->goal[s->goal].weight;
		p->score[(int64_t)s->goal * p->batch->n + s->row] += (weight ? weight[s->row] : 1) * value_of(f, s);
	}
}

static sn_status score_logits(sn_ending *f)
{
	SN_NEW(f->lse, f->p->arena, double, f->p->now.m);
	for (int i = 0; i < 2 && f->p->held && f->has_kl; i++)
		SN_NEW(f->held[i], f->p->arena, float, f->p->model->shape.n_logit);
	if (f->everything) {
		SN_TRY(compute_logits(f));
		sum_logits(f);
	} else if (f->distribution) {
		SN_TRY(stream_distributions(f));
	} else {
		SN_TRY(sn_ask_logits(f->p->ctx, f->p->model, f->p->h, f->ask, f->n_ask, f->p->arena));
	}
	score_places(f);
	return SN_OK;
}

/* ---- from the stream to what the unembedding reads ---- */

static void scale_input(const sn_pass *p)
{
	float factor = (float)p->model->shape.form.head_scale;
	for (int64_t i = 0; factor != 1 && i < p->now.m * p->model->shape.d_head_out; i++) p->h[i] *= factor;
}

/* A head's own layer, before the unembedding: BERT's transformation, OPT's projection. */
static sn_status transform(sn_pass *p)
{
	const sn_model *m = p->model;
	int64_t n = m->shape.d_head_out;
	if (!m->head.w) return SN_OK;
	SN_TRY(sn_visit(p, SN_SITE_MLM_IN, p->h, m->shape.d_model));
	SN_TRY(sn_affine_run(p, &m->head, p->h, p->now.m, p->z));
	SN_TRY(sn_visit(p, SN_SITE_MLM_OUT, p->z, n));
	if (p->back) memcpy(p->back->head, p->z, (size_t)(p->now.m * n) * sizeof *p->z);
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
	for (int64_t i = 0; i < p->now.m; i++)
		m->kernels->activate(p->h + i * n, p->z + i * n, NULL, n, m->shape.form.head_act);
	return sn_norm_rows(p, &m->head_norm, p->h, p->h, n, SN_SITE_MLM_LN_SCALE, SN_SITE_MLM_LN_NORMALIZED);
}

/* What the stack yields, for a decoder. */
static void write_output(const sn_pass *p)
{
	int64_t d = p->model->shape.d_model;
	for (int32_t i = 0; p->output && i < p->n_row; i++)
		for (int32_t pos = 0, row = p->row[i]; pos < sn_row_length(p->batch, row); pos++) {
			int64_t slot = sn_slot(p, &p->now, row, pos);
			const float *x = slot >= 0 ? p->h + slot * d
			                           : p->output + (p->batch->start[sn_parent_of(p->batch, row)] + pos) * d;
			memcpy(p->output + (p->batch->start[row] + pos) * d, x, (size_t)d * sizeof *x);
		}
}

sn_status sn_finish(sn_pass *p)
{
	sn_ending f = { .p = p };
	const sn_shape *s = &p->model->shape;
	sn_mark mark = sn_arena_mark(p->arena);
	SN_TRY(sn_norm_rows(p, &p->model->final_norm, p->x, p->h, s->d_model, SN_SITE_LN_FINAL_SCALE,
	                    SN_SITE_LN_FINAL_NORMALIZED));
	write_output(p);
	if (sn_has_logits(s)) {
		SN_TRY(transform(p));
		scale_input(p);
		SN_TRY(sn_visit(p, SN_SITE_UNEMBED_IN, p->h, s->d_head_out));
		SN_TRY(list_asks(&f));
		if (f.n_place || f.everything) SN_TRY(score_logits(&f));
		if (p->back) SN_TRY(sn_logits_back(&f, p->back->logit));
	}
	sn_arena_reset(p->arena, mark);
	return SN_OK;
}
