/* Attention beside what the prediction depends on: Kendall's tau, text by text (Jain & Wallace 2019, 4.1). */
#include "methods/attention/explain.h"
#include "methods/attention/maps.h"
#include "stats/kendall.h"

#include <math.h>

/* ---- rollout ---- */

typedef struct rolling {
	sn_ctx *ctx;
	sn_model *model;
	const sn_attn_texts *texts;
	sn_attn_kind kind;
	sn_explain_ranks *to;
	sn_arena *arena, *scratch;
} rolling;

/* Of the place's row; of an encoder-decoder's encoder the mean of all rows. */
static sn_status keep_rows(const rolling *r, int32_t text, int32_t n, const double *rolled)
{
	int32_t first = 0, end = n;
	if (r->kind == SN_ATTN_SELF) {
		SN_TRY(sn_explain_place(r->ctx, sn_model_get_info(r->model), &r->texts->text[text].own, &first));
		end = first + 1;
	}
	SN_NEW(r->to->rolled[text], r->arena, double, n);
	for (int32_t q = first; q < end; q++)
		for (int32_t k = 0; k < n; k++) r->to->rolled[text][k] += rolled[(int64_t)q * n + k] / (end - first);
	return SN_OK;
}

static sn_status take_rollout(void *arg, int32_t text, const sn_attn_pattern *p)
{
	const rolling *r = arg;
	int64_t size = (int64_t)p->n_key * p->n_key;
	double *mean, *rolled;
	sn_mark mark = sn_arena_mark(r->scratch);
	SN_NEW(mean, r->scratch, double, p->n_layer * size);
	SN_NEW(rolled, r->scratch, double, p->n_layer * size);
	for (int l = 0; l < p->n_layer; l++)
		for (int h = 0; h < p->n_head; h++)
			for (int64_t i = 0; i < size; i++) mean[l * size + i] += sn_attn_at(p, l, h, 0)[i] / (double)p->n_head;
	sn_rollout_mix(mean, p->n_layer, p->n_key);
	sn_rollout(mean, p->n_layer, p->n_key, rolled);
	SN_TRY(keep_rows(r, text, p->n_key, rolled + (p->n_layer - 1) * size));
	sn_arena_reset(r->scratch, mark);
	return SN_OK;
}

static sn_status roll_out(rolling *r)
{
	SN_NEW(r->to->rolled, r->arena, double *, r->texts->n);
	SN_TRY(sn_arena_open(&r->scratch, r->ctx));
	sn_status status = sn_attn_each(r->ctx, r->model, r->texts, r->kind, take_rollout, r);
	sn_arena_close(r->scratch);
	return status;
}

/* ---- rankings ---- */

static sn_status open_ranking(sn_ranking *r, int32_t n, sn_arena *arena)
{
	SN_NEW(r->tau, arena, double, n);
	SN_NEW(r->p, arena, double, n);
	for (int32_t i = 0; i < n; i++) r->tau[i] = r->p[i] = NAN;
	return SN_OK;
}

sn_status sn_explain_ranks_open(sn_explain_ranks *out, sn_ctx *ctx, sn_model *model, const sn_attn_texts *texts,
                                const sn_attn_stack *stack, sn_arena *arena)
{
	int n = stack->n_layer, heads = n * stack->n_head;
	rolling r = { .ctx = ctx, .model = model, .texts = texts, .kind = stack->kind, .to = out, .arena = arena };
	*out = (sn_explain_ranks){ .rolled = NULL };
	SN_NEW(out->head, arena, sn_ranking, heads);
	for (int i = 0; i < heads; i++) SN_TRY(open_ranking(&out->head[i], texts->n, arena));
	for (int w = 0; w < SN_TRUTHS; w++) {
		SN_NEW(out->layer[w], arena, sn_ranking, n);
		for (int l = 0; l < n; l++) SN_TRY(open_ranking(&out->layer[w][l], texts->n, arena));
		SN_TRY(open_ranking(&out->rollout[w], texts->n, arena));
	}
	SN_TRY(open_ranking(&out->control, texts->n, arena));
	return stack->kind == SN_ATTN_CROSS ? SN_OK : roll_out(&r);
}

static sn_status rank(const sn_explained *e, const sn_ranking *r, int32_t text, const double *x, const double *y,
                      int32_t n)
{
	sn_kendall k;
	SN_TRY(sn_kendall_tau(&k, e->arena, x, y, n));
	r->tau[text] = k.tau;
	r->p[text] = k.p;
	return SN_OK;
}

/* Weights of the players, the mean over queries, in one head or (head -1) over a layer's. */
static void players_of(const sn_explained_stack *s, int layer, int head, double *out)
{
	int h0 = head < 0 ? 0 : head, h1 = head < 0 ? s->of->n_head : head + 1;
	int64_t lines = (int64_t)(h1 - h0) * s->n_query;
	const float *first = s->pattern + layer * sn_explain_size(s) + (int64_t)h0 * s->n_query * s->n_key;
	for (int32_t i = 0; i < s->side->n_player; i++) {
		out[i] = 0;
		for (int64_t line = 0; line < lines; line++)
			out[i] += first[line * s->n_key + s->side->player[i]] / (double)lines;
	}
}

sn_status sn_explain_rank(sn_explain_ranks *r, const sn_explained *e, const sn_explained_stack *s, int32_t text)
{
	int32_t n = s->side->n_player;
	const double *truth[SN_TRUTHS] = { s->side->loo, s->side->gradient };
	double *x;
	SN_NEW(x, e->arena, double, n);
	for (int l = 0; l < s->of->n_layer; l++) {
		players_of(s, l, -1, x);
		for (int w = 0; w < SN_TRUTHS; w++) SN_TRY(rank(e, &r->layer[w][l], text, x, truth[w], n));
		for (int h = 0; h < s->of->n_head; h++) {
			players_of(s, l, h, x);
			SN_TRY(rank(e, &r->head[l * s->of->n_head + h], text, x, s->side->loo, n));
		}
	}
	for (int32_t i = 0; r->rolled && i < n; i++) x[i] = r->rolled[text][s->side->player[i]];
	for (int w = 0; r->rolled && w < SN_TRUTHS; w++) SN_TRY(rank(e, &r->rollout[w], text, x, truth[w], n));
	return rank(e, &r->control, text, s->side->gradient, s->side->loo, n);
}
