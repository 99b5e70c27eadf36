/* The end of a pass on the way down: goals over logits, unembedding, head, final norm. */
#include "model/back.h"
#include "model/finish.h"

#include <cblas.h>
#include <math.h>
#include <omp.h>
#include <string.h>

/* ---- goals: each place's derivative by the logits after the soft-cap ---- */

/* What a goal adds to one logit. */
typedef void add_to(void *arg, int64_t slot, int32_t id, float logit, double amount);

/* The logit of an ask's token at what its slot is compared with. */
static float reference_logit(const sn_ending *f, const sn_ask *ask)
{
	if (!f->logits) return ask->value;
	return f->logits[sn_reference_slot(f->p, ask->slot) * f->p->model->shape.n_logit + ask->id];
}

/* The derivative of log sum exp over asks [first, last), under the rescale rule its multipliers: they weigh by the
 * logarithmic means, too. */
static void alternatives_back(const sn_ending *f, int64_t first, int64_t last, double amount, add_to *add, void *arg)
{
	double total = sn_combine(f, first, last);
	float x[SN_MOST_ALTERNATIVES], x0[SN_MOST_ALTERNATIVES], w[SN_MOST_ALTERNATIVES];
	bool rescaled = f->p->back->reference && last > first + 1;
	for (int64_t i = first; rescaled && i < last; i++) {
		x[i - first] = f->ask[i].value;
		x0[i - first] = reference_logit(f, &f->ask[i]);
	}
	if (rescaled) sn_rescale_softmax(w, x, x0, last - first);
	for (int64_t i = first; i < last; i++) {
		double share = rescaled ? w[i - first] : last == first + 1 ? 1 : exp(f->ask[i].value - total);
		add(arg, f->ask[i].slot, f->ask[i].id, f->ask[i].value, amount * share);
	}
}

static double weight_of(const sn_ending *f, const sn_scored *s)
{
	const sn_goal *goal = &f->p->c->plan->goal[s->goal];
	return goal->weight ? goal->weight[s->row] : 1;
}

static void wanted_back(const sn_ending *f, const sn_scored *s, add_to *add, void *arg)
{
	double w = weight_of(f, s);
	sn_metric metric = f->p->c->plan->goal[s->goal].metric;
	if (metric == SN_KL) return;
	alternatives_back(f, s->want, s->foil, metric == SN_LOSS ? -w : w, add, arg);
	if (metric == SN_LOGIT_DIFF) alternatives_back(f, s->foil, s->end, -w, add, arg);
}

static double slope_of_cap(const sn_ending *f, float logit)
{
	double cap = f->p->model->shape.form.logit_softcap;
	return cap > 0 ? 1 - logit / cap * (logit / cap) : 1;
}

/* ---- a few words' logits ---- */

typedef struct sparse { const sn_ending *f; float *w, *out; sn_status status; } sparse;

static void add_word(void *arg, int64_t slot, int32_t id, float logit, double amount)
{
	sparse *s = arg;
	const sn_model *m = s->f->p->model;
	int64_t d = m->shape.d_head_out;
	if (s->status == SN_OK)
		s->status = m->source.read(s->f->p->ctx, m->source.arg, sn_unembed_part(m), 0, id, 1, s->w);
	float factor = (float)(amount * slope_of_cap(s->f, logit));
	for (int64_t j = 0; j < d && s->status == SN_OK; j++) s->out[slot * d + j] += factor * s->w[j];
}

static sn_status words_back(sn_ending *f, float *out)
{
	sparse s = { .f = f, .out = out };
	SN_NEW(s.w, f->p->arena, float, f->p->model->shape.d_head_out);
	for (int64_t i = 0; i < f->n_place; i++) wanted_back(f, &f->place[i], add_word, &s);
	return s.status;
}

/* ---- whole distributions ---- */

static void add_logit(void *arg, int64_t slot, int32_t id, float logit, double amount)
{
	const sparse *s = arg;
	(void)logit;
	s->out[slot * s->f->p->model->shape.n_logit + id] += (float)amount;
}

/* d += amount softmax(logits of slot); room: [V] under the rescale rule. */
static void add_softmax(const sn_ending *f, int64_t slot, double amount, float *d, float *room)
{
	int64_t V = f->p->model->shape.n_logit, other = sn_reference_slot(f->p, slot);
	const float *x = f->logits + slot * V;
	if (other != slot) {
		sn_rescale_softmax(room, x, f->logits + other * V, V);
		for (int64_t i = 0; i < V; i++) d[i] += (float)(amount * room[i]);
		return;
	}
	for (int64_t i = 0; i < V; i++) d[i] += (float)(amount * exp((double)x[i] - f->lse[slot]));
}

static int64_t slot_of(const sn_ending *f, const sn_scored *s) { return sn_slot(f->p, &f->p->now, s->row, s->pos); }

static void distribution_back(const sn_ending *f, const sn_scored *s, float *d, float *room)
{
	double w = weight_of(f, s);
	sn_metric metric = f->p->c->plan->goal[s->goal].metric;
	int64_t slot = slot_of(f, s);
	if (metric == SN_LOGPROB) add_softmax(f, slot, -w, d, room);
	if (metric == SN_LOSS || metric == SN_KL) add_softmax(f, slot, w, d, room);
	if (metric != SN_KL) return;
	int32_t ref = f->p->c->plan->goal[s->goal].ref_row[s->row];
	add_softmax(f, sn_slot(f->p, &f->p->now, ref, s->pos), -w, d, room);
}

/* d [m, V]. Places of one slot stand at different goals: a slot is one thread's. */
static sn_status distributions_back(const sn_ending *f, float *d)
{
	int64_t V = f->p->model->shape.n_logit;
	float *room;
	SN_NEW(room, f->p->arena, float, f->p->back->reference ? V * sn_ctx_threads(f->p->ctx) : 0);
#pragma omp parallel for num_threads(sn_ctx_threads(f->p->ctx)) schedule(dynamic, 4)
	for (int64_t slot = 0; slot < f->p->now.m; slot++) {
		for (int64_t i = 0; i < f->n_place; i++)
			if (slot_of(f, &f->place[i]) == slot)
				distribution_back(f, &f->place[i], d + slot * V, room + omp_get_thread_num() * V);
	}
	return SN_OK;
}

static void softcap_back(const sn_ending *f, float *d)
{
	int64_t V = f->p->model->shape.n_logit;
	double cap = f->p->model->shape.form.logit_softcap;
	for (int64_t i = 0; cap > 0 && i < f->p->now.m * V; i++) {
		int64_t other = sn_reference_slot(f->p, i / V);
		d[i] *= (float)(other == i / V ? slope_of_cap(f, f->logits[i])
		                               : sn_rescale_softcap(f->raw[i], f->raw[other * V + i % V], cap));
	}
}

/* out [m, d] = dlogits [m, V] W_U, some rows of W_U at a time. */
static sn_status unembed_back(const sn_ending *f, const float *dlogits, float *out)
{
	const sn_model *m = f->p->model;
	int64_t d = m->shape.d_head_out, V = m->shape.n_logit;
	float *w;
	SN_NEW(w, f->p->arena, float, SN_UNEMBED_CHUNK * d);
	for (int64_t id = 0; id < V; id += SN_UNEMBED_CHUNK) {
		int64_t n = SN_MIN((int64_t)SN_UNEMBED_CHUNK, V - id);
		SN_TRY(sn_model_read(f->p->ctx, m, sn_unembed_part(m), 0, id, n, w));
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)f->p->now.m, (int)d, (int)n, 1, dlogits + id,
		            (int)V, w, (int)d, 1, out, (int)d);
	}
	return SN_OK;
}

static sn_status whole_back(sn_ending *f, float *out)
{
	sn_mark mark = sn_arena_mark(f->p->arena);
	sparse s = { .f = f };
	SN_NEW(s.out, f->p->arena, float, f->p->now.m * f->p->model->shape.n_logit);
	for (int64_t i = 0; i < f->n_place; i++) wanted_back(f, &f->place[i], add_logit, &s);
	SN_TRY(distributions_back(f, s.out));
	softcap_back(f, s.out);
	SN_TRY(sn_visit_back(f->p, SN_SITE_LOGITS, s.out, f->p->model->shape.n_logit));
	SN_TRY(unembed_back(f, s.out, out));
	sn_arena_reset(f->p->arena, mark);
	return SN_OK;
}

sn_status sn_logits_back(sn_ending *f, float *out)
{
	memset(out, 0, (size_t)(f->p->now.m * f->p->model->shape.d_head_out) * sizeof *out);
	return f->everything ? whole_back(f, out) : words_back(f, out);
}

/* ---- from what the unembedding reads to the residual stream ---- */

/* A head's own layer: back->logit [m, d_head_out] -> back->dx [m, d_model]. */
static sn_status transform_back(sn_pass *p)
{
	const sn_model *m = p->model;
	int64_t n = m->shape.d_head_out;
	float *dx = p->back->logit;
	bool chord = sn_rule_has(p, SN_RULE_CHORD);
	if (!m->head.w) {
		memcpy(p->back->dx, dx, (size_t)(p->now.m * n) * sizeof *dx);
		return SN_OK;
	}
	SN_TRY(sn_norm_back(p, &m->head_norm, &p->back->norm[SN_SAVED_HEAD - SN_SAVED_IN_BLOCK], dx, n,
						SN_SITE_MLM_LN_SCALE, SN_SITE_MLM_LN_NORMALIZED));
#pragma omp parallel for num_threads(sn_ctx_threads(p->ctx))
	for (int64_t i = 0; i < p->now.m; i++) {
		const float *x = p->back->head + i * n, *x0 = p->back->head + sn_reference_slot(p, i) * n;
		float *y = dx + i * n;
		if (x == x0) m->kernels->activate_back(y, NULL, x, NULL, y, n, m->shape.form.head_act, chord);
		else sn_rescale_activation(y, NULL, (const float *[]){ x, x0 }, NULL, y, n, m->shape.form.head_act);
	}
	SN_TRY(sn_visit_back(p, SN_SITE_MLM_OUT, dx, n));
	SN_TRY(sn_affine_back(p, m->head_back, dx, p->now.m, p->back->dx));
	return sn_visit_back(p, SN_SITE_MLM_IN, p->back->dx, m->shape.d_model);
}

static sn_status logits_head_back(sn_pass *p)
{
	const sn_shape *s = &p->model->shape;
	float factor = (float)s->form.head_scale;
	if (!sn_has_logits(s)) return SN_OK;
	SN_TRY(sn_visit_back(p, SN_SITE_UNEMBED_IN, p->back->logit, s->d_head_out));
	for (int64_t i = 0; factor != 1 && i < p->now.m * s->d_head_out; i++) p->back->logit[i] *= factor;
	return transform_back(p);
}

/* What a decoder passes down to the encoder's output. */
static void add_seed(const sn_pass *p)
{
	int64_t d = p->model->shape.d_model;
	for (int32_t i = 0; p->seed && i < p->n_row; i++) {
		int32_t row = p->row[i];
		if (p->now.off[row] < 0) continue;
		p->model->kernels->add(p->back->dx + p->now.off[row] * d,
		                       p->seed + (p->batch->start[row] + p->now.from[row]) * d,
		                       (sn_row_length(p->batch, row) - p->now.from[row]) * d);
	}
}

/* The last stage may have computed fewer positions than the blocks: the others have no derivative from it. */
static void spread(sn_pass *p)
{
	int64_t d = p->model->shape.d_model;
	float *to = p->back->branch;
	memset(to, 0, (size_t)(p->before.m * d) * sizeof *to);
	for (int32_t i = 0; i < p->n_row; i++) {
		int32_t row = p->row[i], from = p->now.from[row];
		if (p->now.off[row] < 0) continue;
		memcpy(to + (p->before.off[row] + from - p->before.from[row]) * d, p->back->dx + p->now.off[row] * d,
		       (size_t)((sn_row_length(p->batch, row) - from) * d) * sizeof *to);
	}
	p->back->branch = p->back->dx;
	p->back->dx = to;
}

sn_status sn_finish_back(sn_pass *p)
{
	int64_t d = p->model->shape.d_model;
	SN_TRY(sn_model_need_ends_back(p->ctx, p->model));
	memset(p->back->dx, 0, (size_t)(p->now.m * d) * sizeof *p->back->dx);
	SN_TRY(logits_head_back(p));
	add_seed(p);
	SN_TRY(sn_norm_back(p, &p->model->final_norm, &p->back->norm[SN_SAVED_FINAL - SN_SAVED_IN_BLOCK], p->back->dx, d,
	                    SN_SITE_LN_FINAL_SCALE, SN_SITE_LN_FINAL_NORMALIZED));
	spread(p);
	return SN_OK;
}
