#include "common/random_plan.h"

#include "model/places.h"

#include <string.h>

static int32_t below(sn_rng *rng, int32_t n) { return (int32_t)sn_rng_below(rng, (uint64_t)n); }
static bool one_in(sn_rng *rng, int32_t n) { return below(rng, n) == 0; }

/* ---- rows ---- */

static void choose_parent(random_rows *r, int32_t b, sn_rng *rng)
{
	r->parent[b] = -1;
	r->fork[b] = 0;
	if (b == 0 || one_in(rng, 4)) return;
	int32_t p = r->parent[b] = one_in(rng, 3) ? b - 1 : below(rng, b), n = sn_row_length(&r->batch, p);
	r->fork[b] = one_in(rng, 2) ? n : below(rng, n + 1);
	if (one_in(rng, 3)) r->fork[b] = n - below(rng, SN_MIN(n, 2));
}

static void add_row(random_rows *r, int32_t b, sn_rng *rng)
{
	choose_parent(r, b, rng);
	int32_t p = r->parent[b], fork = r->fork[b], n = SN_MAX(fork, 1);
	if (!(fork > 0 && one_in(rng, 2))) n += below(rng, RANDOM_LENGTH - n + 1);
	if (p >= 0 && fork == sn_row_length(&r->batch, p) && one_in(rng, 2)) n = fork;
	int32_t *token = r->token + r->start[b];
	for (int32_t i = 0; i < n; i++) token[i] = below(rng, FORMS_VOCAB);
	if (p >= 0) memcpy(token, r->token + r->start[p], (size_t)fork * sizeof *token);
	r->start[b + 1] = r->start[b] + n;
	r->item[b] = p >= 0 ? r->item[p] : 100 + b;
	for (int s = 0; s < RANDOM_SPANS; s++) {
		int32_t *span = r->span[b * RANDOM_SPANS + s];
		span[0] = one_in(rng, 4) ? -1 : below(rng, n);
		span[1] = span[0] < 0 ? -1 : span[0] + 1 + below(rng, n - span[0]);
	}
}

static void add_encoder(random_rows *r, sn_rng *rng)
{
	int32_t n = 1 + below(rng, 4);
	for (int32_t b = 0; b < n; b++) {
		r->enc_start[b + 1] = r->enc_start[b] + 1 + below(rng, RANDOM_LENGTH);
		for (int64_t i = r->enc_start[b]; i < r->enc_start[b + 1]; i++) r->enc_token[i] = below(rng, FORMS_VOCAB);
	}
	r->enc = (sn_batch){ .n = n, .token = r->enc_token, .start = r->enc_start };
	for (int32_t b = 0; b < r->batch.n; b++)
		r->enc_row[b] = r->parent[b] >= 0 && !one_in(rng, 4) ? r->enc_row[r->parent[b]] : below(rng, n);
	r->batch.enc = &r->enc;
	r->batch.enc_row = r->enc_row;
}

void random_rows_make(random_rows *r, const forms_case *f, sn_rng *rng)
{
	memset(r, 0, sizeof *r);
	r->batch = (sn_batch){ .n = 2 + below(rng, RANDOM_ROWS - 1), .token = r->token, .start = r->start, .item = r->item,
	                       .parent = r->parent, .fork = r->fork, .span = (const int32_t(*)[2])r->span,
	                       .n_span = RANDOM_SPANS };
	for (int32_t b = 0; b < r->batch.n; b++) add_row(r, b, rng);
	if (f->model->encoder) add_encoder(r, rng);
}

/* ---- wheres ---- */

static sn_where random_list(forms_case *f, const random_rows *r, sn_rng *rng)
{
	int64_t n = r->start[r->batch.n], m = 0, *list = SN_TAKE(f->arena, int64_t, n);
	int32_t share = 2 + below(rng, 6);
	for (int64_t i = 0; i < n; i++)
		if (one_in(rng, share)) list[m++] = i;
	return (sn_where){ .sel = SN_LIST, .list = list, .n_list = m };
}

/* plain: the same positions in every row that has them. */
static sn_where random_where(forms_case *f, const random_rows *r, sn_rng *rng, bool plain)
{
	static const sn_sel some[] = { SN_AT, SN_LIST, SN_RANGE, SN_FROM, SN_ALL, SN_LAST, SN_SPAN, SN_SPAN_LAST,
	                               SN_FROM_SPAN };
	sn_where w = { .sel = some[below(rng, plain ? 2 : SN_COUNT(some))] };
	if (w.sel == SN_LIST) return random_list(f, r, rng);
	bool span = w.sel == SN_SPAN || w.sel == SN_SPAN_LAST || w.sel == SN_FROM_SPAN;
	w.arg = span ? below(rng, RANDOM_SPANS) : below(rng, 6);
	if (w.sel == SN_AT && !plain && one_in(rng, 3)) w.arg = -1 - w.arg;
	w.end = w.arg + 1 + below(rng, 3);
	if (one_in(rng, 3)) {
		w.row0 = below(rng, r->batch.n);
		w.n_row = 1 + below(rng, r->batch.n - w.row0);
	}
	return w;
}

/* ---- edits ---- */

static sn_tensor random_tensor(forms_case *f, sn_rng *rng, int64_t rows, int64_t columns, double scale)
{
	int64_t n = SN_MAX(rows, 1) * columns;
	float *x = SN_TAKE(f->arena, float, n);
	for (int64_t i = 0; i < n; i++) x[i] = (float)(scale * sn_rng_normal(rng));
	return sn_tensor_f32(x, rows, columns);
}

static sn_tensor *keep(forms_case *f, sn_tensor t)
{
	sn_tensor *copy = SN_TAKE(f->arena, sn_tensor, 1);
	*copy = t;
	return copy;
}

/* Which row each row reads from: the same positions of a row that has them. */
static void random_sources(forms_case *f, const random_rows *r, sn_rng *rng, sn_edit *e)
{
	int32_t *from = SN_TAKE(f->arena, int32_t, r->batch.n);
	bool circle = one_in(rng, 4);   /* rows may also read from later ones */
	for (int32_t b = 0; b < r->batch.n; b++) {
		from[b] = one_in(rng, 3) ? -1 : below(rng, circle ? r->batch.n : b + 1);
		if (from[b] >= 0 && sn_row_length(&r->batch, from[b]) < sn_row_length(&r->batch, b)) from[b] = -1;
		bool same = !sn_site_is_attention((sn_site_kind)e->at.kind) ||
			(from[b] >= 0 && sn_row_length(&r->batch, from[b]) == sn_row_length(&r->batch, b));
		if (e->at.kind >= SN_SITE_CROSS_SCORES && e->at.kind <= SN_SITE_CROSS_PATTERN)
			same = from[b] >= 0 && r->enc_row[from[b]] == r->enc_row[b];
		if (!same) from[b] = -1;
	}
	e->op = SN_OP_SET;
	e->src_row = from;
}

static void attention_edit(forms_case *f, const random_rows *r, sn_rng *rng, sn_edit *e)
{
	bool scores = e->at.kind == SN_SITE_ATTN_SCORES || e->at.kind == SN_SITE_CROSS_SCORES;
	e->op = scores && one_in(rng, 2) ? SN_OP_BLOCK : SN_OP_ZERO;
	if (one_in(rng, 3)) random_sources(f, r, rng, e);
	if (one_in(rng, 2)) e->key = (sn_where){ .sel = SN_RANGE, .arg = 1 + below(rng, 4), .end = 6 };
	else if (e->op == SN_OP_BLOCK) e->key = (sn_where){ .sel = SN_AT, .arg = 1 + below(rng, 4) };
}

static void value_edit(forms_case *f, const random_rows *r, sn_rng *rng, sn_edit *e)
{
	static const sn_op ops[] = { SN_OP_ZERO, SN_OP_SET, SN_OP_ADD, SN_OP_NOISE };
	int64_t width = sn_site_width(f->model, &e->at);
	bool scale = sn_site_letter((sn_site_kind)e->at.kind) == '1';
	e->op = scale ? SN_OP_ADD : ops[below(rng, 4)];
	e->noise_key = sn_rng_next(rng);
	if (e->op == SN_OP_SET && one_in(rng, 2)) {
		random_sources(f, r, rng, e);
	} else if (e->op == SN_OP_SET || e->op == SN_OP_ADD) {
		int64_t m = sn_where_count(f->ctx, &r->batch, &e->where);
		e->src = keep(f, random_tensor(f, rng, one_in(rng, 2) || m == 0 ? -1 : m, width, scale ? 0.01 : 1));
	}
	if (scale || width < 2 || !one_in(rng, 3)) return;
	e->U = keep(f, random_tensor(f, rng, width, 2, 0.5));
	e->V = keep(f, random_tensor(f, rng, width, 2, 0.5));
}

static void random_edit(forms_case *f, const random_rows *r, sn_rng *rng, sn_edit *e)
{
	*e = (sn_edit){ .at = forms_random_site(f, rng, true) };
	sn_site_kind kind = (sn_site_kind)e->at.kind;
	char letter = sn_site_letter(kind);
	if (letter == 'Q' && one_in(rng, 2)) e->at.head = (int16_t)(1 + below(rng, 4));
	if ((letter == 'M' || letter == 'D') && one_in(rng, 3)) e->at.unit = 1 + below(rng, 10);
	e->where = random_where(f, r, rng, one_in(rng, 2));
	if (sn_site_is_attention(kind)) attention_edit(f, r, rng, e);
	else value_edit(f, r, rng, e);
	if (e->src_row) e->where = random_where(f, r, rng, true);
	if (one_in(rng, 2)) {
		float *alpha = SN_TAKE(f->arena, float, r->batch.n);
		for (int32_t b = 0; b < r->batch.n; b++) alpha[b] = one_in(rng, 5) ? 0 : 0.5f + 0.25f * (float)below(rng, 3);
		e->alpha = alpha;
		e->n_alpha = one_in(rng, 2) ? 1 : r->batch.n;
	}
}

/* ---- goals ---- */

static void random_goal(forms_case *f, const random_rows *r, sn_rng *rng, sn_goal *g)
{
	static const sn_metric metrics[] = { SN_LOSS, SN_LOGPROB, SN_LOGIT, SN_LOGIT_DIFF, SN_KL, SN_DOT };
	*g = (sn_goal){ .metric = metrics[below(rng, SN_COUNT(metrics))], .where = random_where(f, r, rng, false) };
	int64_t m = sn_where_count(f->ctx, &r->batch, &g->where);
	int32_t *ids = SN_TAKE(f->arena, int32_t, 2 * m + 2), *ref = SN_TAKE(f->arena, int32_t, r->batch.n);
	for (int64_t i = 0; i < 2 * m + 2; i++) ids[i] = below(rng, FORMS_VOCAB);
	g->n_want = one_in(rng, 2) ? 1 : m;
	if (g->metric == SN_LOGIT_DIFF || one_in(rng, 2)) g->want = ids;
	if (g->metric == SN_LOGIT_DIFF) g->foil = ids + m + 1;
	if (!g->want) g->n_want = 0;
	for (int32_t b = 0; b < r->batch.n; b++) {
		ref[b] = below(rng, one_in(rng, 6) ? r->batch.n : b + 1);
		if (sn_row_length(&r->batch, ref[b]) < sn_row_length(&r->batch, b)) ref[b] = b;
	}
	if (g->metric == SN_KL) g->ref_row = ref;
	if (g->metric == SN_DOT) {
		g->at = forms_random_site(f, rng, false);
		g->dir = keep(f, random_tensor(f, rng, -1, sn_site_width(f->model, &g->at), 1));
	}
	float *weight = SN_TAKE(f->arena, float, r->batch.n);
	for (int32_t b = 0; b < r->batch.n; b++) weight[b] = (float)sn_rng_normal(rng);
	if (one_in(rng, 2)) g->weight = weight;
}

void random_plan_make(random_plan *p, forms_case *f, const random_rows *rows, sn_rng *rng)
{
	memset(p, 0, sizeof *p);
	p->plan = (sn_plan){ .size = sizeof p->plan, .n_edit = below(rng, RANDOM_EDITS + 1),
	                     .n_tap = 1 + below(rng, RANDOM_TAPS), .n_goal = below(rng, RANDOM_GOALS + 1),
	                     .edit = p->edit, .tap = p->tap, .goal = p->goal };
	for (int e = 0; e < p->plan.n_edit; e++) random_edit(f, rows, rng, &p->edit[e]);
	for (int t = 0; t < p->plan.n_tap; t++) {
		p->tap[t] = (sn_tap){ .at = forms_random_site(f, rng, true), .where = random_where(f, rows, rng, false) };
		bool attention = sn_site_is_attention((sn_site_kind)p->tap[t].at.kind);
		p->tap[t].what = !attention && one_in(rng, 2) ? SN_BEFORE : SN_AFTER;
		if (sn_site_letter((sn_site_kind)p->tap[t].at.kind) == 'Q' && one_in(rng, 2))
			p->tap[t].at.head = (int16_t)(1 + below(rng, 4));
	}
	for (int g = 0; g < p->plan.n_goal; g++) random_goal(f, rows, rng, &p->goal[g]);
}

/* ---- spelling out ---- */

/* The places that one edit has in one row, and the row that the plan names for them. */
typedef struct spelt {
	int32_t n, pos[RANDOM_LENGTH], origin, from;
	int64_t index[RANDOM_LENGTH];   /* among the edit's own places */
} spelt;

static spelt own_places(const sn_edit *e, const random_rows *r, int32_t row, int64_t first)
{
	spelt s = { .origin = row, .from = e->src_row ? e->src_row[row] : -1 };
	s.n = sn_places_in_row(&r->batch, &e->where, row, s.pos);
	for (int32_t i = 0; i < s.n; i++) s.index[i] = first + i;
	return s;
}

/* A fork that the edit does not name has its parent's places on the tokens that it shares. */
static spelt inherited(const spelt *parent, int32_t fork)
{
	spelt s = { .origin = parent->origin, .from = parent->from };
	for (int32_t i = 0; i < parent->n; i++) {
		if (parent->pos[i] >= fork) continue;
		s.pos[s.n] = parent->pos[i];
		s.index[s.n++] = parent->index[i];
	}
	return s;
}

static sn_edit edit_of_row(forms_case *f, const random_rows *r, const sn_edit *e, int32_t row, const spelt *s)
{
	sn_edit out = *e;
	int64_t *list = SN_TAKE(f->arena, int64_t, s->n);
	for (int32_t i = 0; i < s->n; i++) list[i] = r->start[row] + s->pos[i];
	out.where = (sn_where){ .sel = SN_LIST, .list = list, .n_list = s->n };
	if (e->src_row) {
		int32_t *from = SN_TAKE(f->arena, int32_t, r->batch.n);
		for (int32_t b = 0; b < r->batch.n; b++) from[b] = b == row ? s->from : -1;
		out.src_row = from;
	}
	if (e->src && e->src->ndim == 2) {
		int64_t d = e->src->dim[1];
		float *x = SN_TAKE(f->arena, float, s->n * d);
		for (int32_t i = 0; i < s->n; i++)
			memcpy(x + i * d, (const float *)e->src->data + s->index[i] * d, (size_t)d * sizeof *x);
		out.src = keep(f, sn_tensor_f32(x, s->n, d));
	}
	if (e->n_alpha > 1) {
		out.alpha = &e->alpha[s->origin];
		out.n_alpha = 1;
	}
	return out;
}

void random_plan_spell_out(const random_plan *p, forms_case *f, const random_rows *r, sn_plan *out)
{
	sn_edit *edit = SN_TAKE(f->arena, sn_edit, p->plan.n_edit * r->batch.n);
	*out = p->plan;
	out->edit = edit;
	out->n_edit = 0;
	for (int e = 0; e < p->plan.n_edit; e++) {
		spelt row[RANDOM_ROWS];
		int64_t first = 0;
		for (int32_t b = 0; b < r->batch.n; b++) {
			row[b] = own_places(&p->edit[e], r, b, first);
			first += row[b].n;
			bool named = row[b].n > 0 && !(p->edit[e].src_row && row[b].from < 0);
			if (!named) row[b] = r->parent[b] < 0 ? (spelt){ .n = 0 } : inherited(&row[r->parent[b]], r->fork[b]);
			if (row[b].n) edit[out->n_edit++] = edit_of_row(f, r, &p->edit[e], b, &row[b]);
		}
	}
}
