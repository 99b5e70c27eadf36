/* One step of a generation: the live lines as a batch, the plan's edits on what is new, the last logits. */
#include "model/decode.h"

#include "model/places.h"
#include "model/positions.h"
#include "model/site.h"
#include "model/state.h"

#include <string.h>

/* The rows of a step. Kept: the live lines, each a fork of a kept row by one token. Whole: the prompts as in the first
 * step, and the lines as their forks. */
typedef struct rows {
	sn_decoder *k;
	bool whole;
	int32_t n_front;             /* prompts in front of the lines */
	sn_batch batch;
	int32_t *prompt;             /* [batch.n] */
} rows;

/* ---- the batch ---- */

/* Keys that were rotated for another length cannot be kept. */
static bool length_matters(const sn_decoder *k)
{
	for (int32_t i = 0; i < k->n_live; i++)
		if (sn_rope_depends_on_length(&k->model->shape, k->live[i].n)) return true;
	return false;
}

static const int32_t *tokens_of(const rows *r, int32_t row, int32_t *n)
{
	const sn_decoder *k = r->k;
	const sn_draft *line = &k->live[SN_MAX(row - r->n_front, 0)];
	*n = row < r->n_front ? sn_row_length(k->prompts, row) : line->n;
	return row < r->n_front ? k->prompts->token + k->prompts->start[row] : line->token;
}

static sn_status fill_tokens(rows *r)
{
	sn_batch *b = &r->batch;
	int64_t *start;
	int32_t *token, n;
	SN_NEW(start, r->k->arena, int64_t, b->n + 1);
	for (int32_t i = 0; i < b->n; i++) {
		tokens_of(r, i, &n);
		start[i + 1] = start[i] + n;
	}
	SN_NEW(token, r->k->arena, int32_t, start[b->n]);
	for (int32_t i = 0; i < b->n; i++) {
		const int32_t *from = tokens_of(r, i, &n);
		memcpy(token + start[i], from, (size_t)n * sizeof *token);
	}
	b->token = token;
	b->start = start;
	return SN_OK;
}

/* Every row has its prompt's number, roles and encoder row. */
static sn_status fill_borrowed(rows *r)
{
	const sn_batch *p = r->k->prompts;
	sn_batch *b = &r->batch;
	int64_t *item;
	int32_t (*span)[2], *enc_row;
	SN_NEW(item, r->k->arena, int64_t, b->n);
	SN_NEW(enc_row, r->k->arena, int32_t, b->n);
	span = sn_arena_take(r->k->arena, sn_size3((size_t)b->n, (size_t)p->n_span, sizeof *span));
	if (!span) return SN_ENOMEM;
	for (int32_t i = 0; i < b->n; i++) {
		int64_t from = r->prompt[i];
		item[i] = p->item ? p->item[from] : from;
		enc_row[i] = p->enc_row ? p->enc_row[from] : r->prompt[i];
		for (int32_t s = 0; s < p->n_span; s++)
			memcpy(span[(int64_t)i * p->n_span + s], p->span[from * p->n_span + s], sizeof *span);
	}
	b->item = item;
	b->span = (const int32_t(*)[2])span;
	b->n_span = p->n_span;
	if (!r->whole || !p->enc) return SN_OK;
	b->enc = p->enc;
	b->enc_row = enc_row;
	return SN_OK;
}

static sn_status make_rows(rows *r)
{
	sn_decoder *k = r->k;
	int32_t *parent, *fork;
	r->n_front = r->whole ? k->prompts->n : 0;
	r->batch.n = r->n_front + k->n_live;
	SN_NEW(r->prompt, k->arena, int32_t, r->batch.n);
	SN_NEW(parent, k->arena, int32_t, r->batch.n);
	SN_NEW(fork, k->arena, int32_t, r->batch.n);
	for (int32_t i = 0; i < r->n_front; i++) {
		r->prompt[i] = i;
		parent[i] = -1;
	}
	for (int32_t i = 0; i < k->n_live; i++) {
		const sn_draft *line = &k->live[i];
		r->prompt[r->n_front + i] = line->prompt;
		parent[r->n_front + i] = r->whole ? line->prompt : -2 - line->parent;
		fork[r->n_front + i] = r->whole ? k->group[line->prompt].n_prompt : line->n - 1;
	}
	r->batch.parent = parent;
	r->batch.fork = fork;
	SN_TRY(fill_tokens(r));
	return fill_borrowed(r);
}

/* ---- edits ---- */

/* Whether a where of the prompts names a position of a row that has grown. */
static bool names(const rows *r, const sn_where *w, int32_t prompt, int32_t pos)
{
	const sn_batch *p = r->k->prompts;
	int32_t n = sn_row_length(p, prompt), arg = w->arg < 0 ? n + w->arg : w->arg;
	if (w->n_row && (prompt < w->row0 || prompt >= w->row0 + w->n_row)) return false;
	bool spans = w->sel == SN_SPAN || w->sel == SN_SPAN_LAST || w->sel == SN_FROM_SPAN;
	const int32_t *span = spans ? p->span[(int64_t)prompt * p->n_span + w->arg] : NULL;
	switch (w->sel) {
	case SN_ALL: return true;
	case SN_LAST: return pos == n - 1;
	case SN_SPAN: return pos >= span[0] && pos < span[1];
	case SN_SPAN_LAST: return span[0] >= 0 && pos == span[1] - 1;
	case SN_FROM_SPAN: return span[0] >= 0 && pos >= span[0];
	case SN_AT: return pos == arg;
	case SN_RANGE: return pos >= w->arg && pos < w->end;
	case SN_FROM: return pos >= arg;
	case SN_LIST:
		for (int64_t i = 0; i < w->n_list && pos < n; i++)
			if (w->list[i] == p->start[prompt] + pos) return true;
		return false;
	case SN_SEL_NONE: break;
	}
	return false;
}

/* The positions of the lines that a where names: those that this step computes, behind the prompt; or (keys) all. */
static sn_status list_places(rows *r, const sn_where *w, bool keys, sn_where *out)
{
	const sn_batch *b = &r->batch;
	int64_t *list, n = 0;
	SN_NEW(list, r->k->arena, int64_t, b->start[b->n]);
	for (int32_t i = r->n_front; i < b->n; i++) {
		int32_t first = keys ? 0 : SN_MAX(b->fork[i], r->k->group[r->prompt[i]].n_prompt);
		for (int32_t pos = first; pos < sn_row_length(b, i); pos++)
			if (names(r, w, r->prompt[i], pos)) list[n++] = b->start[i] + pos;
	}
	*out = (sn_where){ .sel = SN_LIST, .list = list, .n_list = n };
	return SN_OK;
}

/* A strength a row, for the rows of the step. */
static sn_status spread_alpha(rows *r, sn_edit *e)
{
	float *alpha;
	if (!e->alpha || e->n_alpha <= 1) return SN_OK;
	SN_NEW(alpha, r->k->arena, float, r->batch.n);
	for (int32_t i = 0; i < r->batch.n; i++) alpha[i] = e->alpha[r->prompt[i]];
	e->alpha = alpha;
	e->n_alpha = r->batch.n;
	return SN_OK;
}

/* Keys whose place is told from a row's end or from its number. */
static bool moves_with_rows(const sn_where *key)
{
	return key->n_row || key->sel == SN_LAST || key->sel == SN_LIST ||
	       ((key->sel == SN_AT || key->sel == SN_FROM) && key->arg < 0);
}

/* An edit on what was generated; none where n_list stays 0. */
static sn_status grow_edit(rows *r, sn_edit *e)
{
	bool cross = e->at.kind == SN_SITE_CROSS_SCORES || e->at.kind == SN_SITE_CROSS_PATTERN;
	SN_TRY(list_places(r, &e->where, false, &e->where));
	if (!cross && moves_with_rows(&e->key)) SN_TRY(list_places(r, &e->key, true, &e->key));
	return spread_alpha(r, e);
}

/* An edit of the prompts, where these stand in front. */
static sn_status keep_edit(rows *r, sn_edit *e)
{
	int32_t *row;
	if (e->where.n_row == 0) e->where.n_row = r->n_front;
	if (e->src_row) {
		SN_NEW(row, r->k->arena, int32_t, r->batch.n);
		for (int32_t i = 0; i < r->batch.n; i++) row[i] = i < r->n_front ? e->src_row[i] : -1;
		e->src_row = row;
	}
	return spread_alpha(r, e);
}

static sn_status grow_edits(rows *r, sn_plan *out)
{
	const sn_plan *plan = r->k->plan;
	sn_edit *edit;
	SN_NEW(edit, r->k->arena, sn_edit, plan ? 2 * plan->n_edit : 0);
	out->edit = edit;
	for (int e = 0; plan && e < plan->n_edit; e++) {
		const sn_edit *from = &plan->edit[e];
		bool encoder = from->at.stack == SN_STACK_ENCODER;
		if (r->whole) {
			edit[out->n_edit] = *from;
			if (!encoder) SN_TRY(keep_edit(r, &edit[out->n_edit]));
			out->n_edit++;
		}
		if (encoder || from->src_row || (from->src && from->src->ndim == 2)) continue;
		edit[out->n_edit] = *from;
		SN_TRY(grow_edit(r, &edit[out->n_edit]));
		if (edit[out->n_edit].where.n_list) out->n_edit++;
	}
	return SN_OK;
}

/* ---- the step ---- */

static sn_status run(sn_decoder *k, const sn_batch *batch, const sn_plan *edits, int32_t first, bool keep)
{
	sn_plan plan = *edits;
	sn_keep kept = { .x = k->logits, .m = k->n_live, .d = k->V };
	sn_tap tap = { .at = { .kind = SN_SITE_LOGITS }, .where = { .sel = SN_LAST, .row0 = first, .n_row = k->n_live },
	               .sink = &sn_sink_keep, .state = &kept };
	float cap = (float)k->model->shape.form.logit_softcap;
	plan.size = sizeof plan;
	plan.n_tap = 1;
	plan.tap = &tap;
	SN_TRY(sn_run(k->ctx, k->model, batch, &plan, keep ? k->state : NULL, NULL));
	for (int32_t i = 0; cap != 0 && i < k->n_live; i++) k->model->kernels->softcap(k->logits + i * k->V, k->V, cap);
	return SN_OK;
}

static sn_status run_lines(sn_decoder *k)
{
	k->whole |= k->d->whole || length_matters(k);
	rows r = { .k = k, .whole = k->whole };
	sn_plan plan = { 0 };
	SN_TRY(make_rows(&r));
	SN_TRY(grow_edits(&r, &plan));
	return run(k, &r.batch, &plan, r.n_front, !r.whole);
}

sn_status sn_decode_step(sn_decoder *k, bool first)
{
	sn_mark mark = sn_arena_mark(k->arena);
	sn_plan plan = { .n_edit = k->plan ? k->plan->n_edit : 0, .edit = k->plan ? k->plan->edit : NULL };
	sn_status status = first ? run(k, k->prompts, &plan, 0, true) : run_lines(k);
	sn_arena_reset(k->arena, mark);
	return status;
}
