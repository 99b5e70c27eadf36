/* One text under examination: what the model predicts, what its attention is there, what the prediction depends on. */
#include "methods/attention/explain.h"
#include "stats/distance.h"

#include <math.h>
#include <string.h>

/* ---- comparing predictions ---- */

typedef struct comparing {
	const sn_explained *e;
	sn_predicted out;
	double *p;       /* [d_vocab] */
	bool base;       /* the prediction itself is kept */
} comparing;

static void softmax(const float *x, int64_t n, double *p)
{
	double most = x[0], sum = 0;
	for (int64_t i = 1; i < n; i++) most = fmax(most, (double)x[i]);
	for (int64_t i = 0; i < n; i++) sum += p[i] = exp(x[i] - most);
	for (int64_t i = 0; i < n; i++) p[i] /= sum;
}

static sn_status take_logits(sn_ctx *ctx, void *state, const sn_block *block)
{
	comparing *c = state;
	int64_t n = block->x.dim[1];
	(void)ctx;
	for (int64_t i = 0; i < block->m; i++) {
		int64_t at = block->first + i;
		int32_t top = 0;
		softmax((const float *)block->x.data + i * n, n, c->p);
		for (int32_t t = 1; t < n; t++)
			if (c->p[t] > c->p[top]) top = t;
		c->out.top[at] = top;
		if (c->base) continue;
		c->out.tvd[at] = sn_total_variation(c->e->prob, c->p, n);
		c->out.js[at] = sn_jensen_shannon(c->e->prob, c->p, n);
	}
	return SN_OK;
}

static const sn_sink logits_sink = { .size = sizeof(comparing), .take = take_logits };

static sn_status logits_tap(const sn_explained *e, const sn_where *where, const sn_predicted *out, double *p, bool base,
                            sn_tap *tap)
{
	comparing *c;
	SN_NEW(c, e->arena, comparing, 1);
	*c = (comparing){ e, *out, p, base };
	*tap = (sn_tap){ .at = { .kind = SN_SITE_LOGITS }, .where = *where, .sink = &logits_sink, .state = c };
	return SN_OK;
}

sn_status sn_explain_tap(const sn_explained *e, const sn_where *where, const sn_predicted *out, sn_tap *tap)
{
	double *p;
	SN_NEW(p, e->arena, double, e->info->d_vocab);
	return logits_tap(e, where, out, p, false, tap);
}

/* ---- rows ---- */

/* Rows of one side that begin alike: row 0 is it, and so are n others. */
static sn_status copies(const sn_explained *e, const sn_attn_side *side, int32_t n, bool fork, sn_batch *out)
{
	int32_t *token, *parent, *at;
	int64_t *start;
	SN_NEW(token, e->arena, int32_t, (int64_t)(n + 1) * side->n);
	SN_NEW(start, e->arena, int64_t, n + 2);
	SN_NEW(parent, e->arena, int32_t, n + 1);
	SN_NEW(at, e->arena, int32_t, n + 1);
	for (int32_t b = 0; b <= n; b++) {
		memcpy(token + start[b], side->token, (size_t)side->n * sizeof *token);
		start[b + 1] = start[b] + side->n;
		parent[b] = b && fork ? 0 : -1;
		at[b] = b && fork ? side->n : 0;
	}
	*out = (sn_batch){ .n = n + 1, .token = token, .start = start, .parent = parent, .fork = at };
	return SN_OK;
}

/* What the encoder reads: one row for all, or (each) as many rows as the batch has. */
static sn_status add_source(const sn_explained *e, bool each, bool fork, sn_batch *batch)
{
	sn_batch *enc;
	int32_t *row;
	if (!e->text->source.n) return SN_OK;
	SN_NEW(enc, e->arena, sn_batch, 1);
	SN_NEW(row, e->arena, int32_t, batch->n);
	for (int32_t b = 0; b < batch->n; b++) row[b] = each ? b : 0;
	SN_TRY(copies(e, &e->text->source, each ? batch->n - 1 : 0, fork, enc));
	batch->enc = enc;
	batch->enc_row = row;
	return SN_OK;
}

sn_status sn_explain_rows(const sn_explained *e, const sn_explained_stack *s, int32_t n, bool grad, sn_batch *out)
{
	SN_TRY(copies(e, &e->text->own, n, !grad, out));
	return add_source(e, s->of->kind == SN_ATTN_ENCODER, !grad, out);
}

sn_where sn_explain_queries(const sn_explained_stack *s, int32_t row0, int32_t n_row)
{
	return (sn_where){ .sel = SN_RANGE, .arg = s->place, .end = s->place + s->n_query, .row0 = row0, .n_row = n_row };
}

sn_status sn_explain_variants(const sn_explained *e, const sn_explained_stack *s, int32_t n, const int *layer,
                              const float *z, sn_predicted *out)
{
	int64_t d = sn_explain_width(s);
	sn_batch batch;
	sn_edit *edit;
	sn_tensor *src;
	sn_tap tap;
	SN_TRY(sn_explain_rows(e, s, n, false, &batch));
	SN_NEW(edit, e->arena, sn_edit, n);
	SN_NEW(src, e->arena, sn_tensor, n);
	for (int32_t v = 0; v < n; v++) {
		src[v] = sn_tensor_f32((float *)z + v * s->n_query * d, s->n_query, d);
		edit[v] = (sn_edit){ .op = SN_OP_SET, .at = sn_attn_z(s->of, s->chosen[layer[v]], -1),
			                 .where = sn_explain_queries(s, v + 1, 1), .src = &src[v] };
	}
	SN_NEW(out->tvd, e->arena, double, n);
	SN_NEW(out->js, e->arena, double, n);
	SN_NEW(out->top, e->arena, int32_t, n);
	sn_where where = { .sel = SN_AT, .arg = e->place, .row0 = 1, .n_row = n };
	SN_TRY(sn_explain_tap(e, &where, out, &tap));
	sn_plan plan = { .size = sizeof plan, .n_edit = n, .edit = edit, .n_tap = 1, .tap = &tap };
	return sn_run(e->ctx, e->model, &batch, &plan, NULL, NULL);
}

/* ---- the text as it is ---- */

typedef struct taking { const sn_explained_stack *s; int layer; } taking;

/* One query's weights. */
static sn_status take_pattern(sn_ctx *ctx, void *state, const sn_block *block)
{
	const taking *t = state;
	const sn_explained_stack *s = t->s;
	int32_t q = block->pos[0] - s->place;
	(void)ctx;
	for (int h = 0; h < s->of->n_head; h++)
		memcpy(s->pattern + (((int64_t)t->layer * s->of->n_head + h) * s->n_query + q) * s->n_key,
		       (const float *)block->x.data + h * block->x.dim[1], (size_t)s->n_key * sizeof(float));
	return SN_OK;
}

static const sn_sink place_sink = { .size = sizeof(taking), .take = take_pattern };

/* Taps of a stack's patterns in all layers, and of the values of its chosen ones. */
static sn_status tap_stack(const sn_explained *e, const sn_explained_stack *s, sn_tap *tap, int *n)
{
	int64_t d = (int64_t)s->of->n_kv_head * s->of->d_head;
	sn_where seen = { .sel = SN_RANGE, .arg = 0, .end = s->n_key };
	taking *to;
	sn_keep *keep;
	SN_NEW(to, e->arena, taking, s->of->n_layer);
	SN_NEW(keep, e->arena, sn_keep, s->n_chosen);
	for (int l = 0; l < s->of->n_layer; l++) {
		to[l] = (taking){ s, l };
		tap[(*n)++] = (sn_tap){ .at = sn_attn_weights(s->of, l), .where = sn_explain_queries(s, 0, 0),
			                    .sink = &place_sink, .state = &to[l] };
	}
	for (int c = 0; c < s->n_chosen; c++) {
		keep[c] = (sn_keep){ s->value + (int64_t)c * s->n_key * d, s->n_key, d };
		tap[(*n)++] = (sn_tap){ .at = sn_attn_v(s->of, s->chosen[c]), .where = seen, .sink = &sn_sink_keep,
			                    .state = &keep[c] };
	}
	return SN_OK;
}

/* Patterns, values and the prediction. */
static sn_status first_run(sn_explained *e)
{
	int n = 0, room = 1;
	sn_batch batch;
	sn_tap *tap;
	sn_where place = { .sel = SN_AT, .arg = e->place };
	sn_predicted top = { .top = &e->top };
	for (int i = 0; i < e->n_stack; i++) room += e->stack[i].of->n_layer + e->stack[i].n_chosen;
	SN_NEW(tap, e->arena, sn_tap, room);
	SN_TRY(sn_explain_rows(e, &e->stack[0], 0, false, &batch));
	for (int i = 0; i < e->n_stack; i++) SN_TRY(tap_stack(e, &e->stack[i], tap, &n));
	SN_TRY(logits_tap(e, &place, &top, e->prob, true, &tap[n]));
	sn_plan plan = { .size = sizeof plan, .n_tap = n + 1, .tap = tap };
	return sn_run(e->ctx, e->model, &batch, &plan, NULL, NULL);
}

/* A side's embeddings and the derivatives by them: two taps. */
typedef struct embedded { float *x, *g; int64_t d; } embedded;

static sn_status tap_side(const sn_explained *e, const sn_explained_side *side, embedded *out, sn_tap *tap, int *n)
{
	sn_site embed = { .kind = SN_SITE_EMBED, .stack = side == &e->source ? SN_STACK_ENCODER : SN_STACK_ONLY };
	int64_t d = out->d = sn_site_width(e->model, &embed), size = side->tokens->n;
	sn_keep *keep;
	SN_NEW(keep, e->arena, sn_keep, 2);
	SN_NEW(out->x, e->arena, float, size * d);
	SN_NEW(out->g, e->arena, float, size * d);
	keep[0] = (sn_keep){ out->x, size, d };
	keep[1] = (sn_keep){ out->g, size, d };
	for (int k = 0; k < 2; k++)
		tap[(*n)++] = (sn_tap){ .at = embed, .where = { .sel = SN_ALL }, .what = k ? SN_GRAD : SN_AFTER,
			                    .sink = &sn_sink_keep, .state = &keep[k] };
	return SN_OK;
}

static void read_side(const embedded *from, const sn_explained_side *side)
{
	for (int32_t i = 0; i < side->n_player; i++) {
		double sum = 0;
		for (int64_t j = side->player[i] * from->d; j < (side->player[i] + 1) * from->d; j++)
			sum += (double)from->x[j] * from->g[j];
		side->gradient[i] = fabs(sum);
	}
}

static sn_status tap_slopes(const sn_explained *e, const sn_explained_stack *s, sn_tap *tap, int *n)
{
	int64_t d = sn_explain_width(s);
	sn_keep *keep;
	SN_NEW(keep, e->arena, sn_keep, s->n_chosen);
	for (int c = 0; c < s->n_chosen; c++) {
		keep[c] = (sn_keep){ s->slope + c * s->n_query * d, s->n_query, d };
		tap[(*n)++] = (sn_tap){ .at = sn_attn_z(s->of, s->chosen[c], -1), .what = SN_GRAD,
			                    .where = sn_explain_queries(s, 0, 0), .sink = &sn_sink_keep, .state = &keep[c] };
	}
	return SN_OK;
}

/* Gradients of log p(top): of the embeddings, and of z at the queries. */
static sn_status second_run(sn_explained *e)
{
	int n = 0, room = 4;
	double score;
	sn_batch batch;
	sn_tap *tap;
	embedded own, source;
	for (int i = 0; i < e->n_stack; i++) room += e->stack[i].n_chosen;
	SN_NEW(tap, e->arena, sn_tap, room);
	SN_TRY(sn_explain_rows(e, &e->stack[0], 0, true, &batch));
	SN_TRY(tap_side(e, &e->own, &own, tap, &n));
	if (batch.enc) SN_TRY(tap_side(e, &e->source, &source, tap, &n));
	for (int i = 0; i < e->n_stack; i++) SN_TRY(tap_slopes(e, &e->stack[i], tap, &n));
	sn_goal goal = { .metric = SN_LOGPROB, .where = { .sel = SN_AT, .arg = e->place }, .want = &e->top, .n_want = 1 };
	sn_plan plan = { .size = sizeof plan, .n_tap = n, .tap = tap, .n_goal = 1, .goal = &goal };
	SN_TRY(sn_run(e->ctx, e->model, &batch, &plan, NULL, &score));
	read_side(&own, &e->own);
	if (batch.enc) read_side(&source, &e->source);
	return SN_OK;
}

/* ---- leaving tokens out ---- */

/* Row 0 is the side; row 1 + i lacks player i, and later tokens move up. */
static sn_status without_players(const sn_explained *e, const sn_explained_side *side, bool fork, sn_batch *out)
{
	int32_t n = side->tokens->n, rows = side->n_player + 1, *token, *parent, *at;
	int64_t *start;
	SN_NEW(token, e->arena, int32_t, (int64_t)rows * n);
	SN_NEW(start, e->arena, int64_t, rows + 1);
	SN_NEW(parent, e->arena, int32_t, rows);
	SN_NEW(at, e->arena, int32_t, rows);
	for (int32_t b = 0; b < rows; b++) {
		int32_t gone = b ? side->player[b - 1] : -1, length = 0;
		for (int32_t i = 0; i < n; i++)
			if (i != gone || n == 1) token[start[b] + length++] = side->tokens->token[i];
		start[b + 1] = start[b] + length;
		parent[b] = b && fork ? 0 : -1;
		at[b] = b && fork ? gone : 0;
	}
	*out = (sn_batch){ .n = rows, .token = token, .start = start, .parent = parent, .fork = at };
	return SN_OK;
}

/* Where row 1 + i of a batch without own player i predicts; source: the rows are alike. */
static sn_status places_of(const sn_explained *e, const sn_batch *batch, bool source, sn_where *out)
{
	int64_t *list;
	SN_NEW(list, e->arena, int64_t, batch->n);
	for (int32_t b = 1; b < batch->n; b++)
		list[b - 1] = batch->start[b] + e->place - (!source && e->own.player[b - 1] < e->place);
	*out = (sn_where){ .sel = SN_LIST, .list = list, .n_list = batch->n - 1 };
	return SN_OK;
}

static sn_status leave_out(const sn_explained *e, const sn_explained_side *side)
{
	bool source = side == &e->source;
	sn_batch batch, enc;
	sn_where where;
	sn_tap tap;
	sn_predicted out = { .tvd = side->loo };
	if (side->n_player == 0) return SN_OK;
	if (source) {
		SN_TRY(copies(e, &e->text->own, side->n_player, false, &batch));
		SN_TRY(without_players(e, side, false, &enc));
		batch.enc = &enc;
	} else {
		SN_TRY(without_players(e, side, true, &batch));
		SN_TRY(add_source(e, false, false, &batch));
	}
	SN_NEW(out.js, e->arena, double, batch.n);
	SN_NEW(out.top, e->arena, int32_t, batch.n);
	SN_TRY(places_of(e, &batch, source, &where));
	SN_TRY(sn_explain_tap(e, &where, &out, &tap));
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
	return sn_run(e->ctx, e->model, &batch, &plan, NULL, NULL);
}

/* ---- opening ---- */

sn_status sn_explain_place(sn_ctx *ctx, const sn_model_info *info, const sn_attn_side *side, int32_t *place)
{
	*place = -1;
	for (int32_t u = 0; u < side->n_unit; u++) {
		int32_t at = side->unit[u][0];
		if (info->causal ? !side->added[u] : side->token[at] == info->mask) *place = at;
	}
	if (*place >= 0) return SN_OK;
	return sn_fail(ctx, SN_EPARSE, "text \"%.40s\": %s", side->text,
	               info->causal ? "no token of its own"
	                            : "no mask; a masked model predicts where its mask token stands");
}

/* Players are among the first n_key tokens. */
static sn_status find_players(const sn_explained *e, const sn_attn_side *tokens, int32_t place, int32_t n_key,
                              sn_explained_side *out)
{
	*out = (sn_explained_side){ .tokens = tokens };
	SN_NEW(out->player, e->arena, int32_t, tokens->n);
	SN_NEW(out->loo, e->arena, double, tokens->n);
	SN_NEW(out->gradient, e->arena, double, tokens->n);
	for (int32_t u = 0; u < tokens->n_unit; u++) {
		int32_t at = tokens->unit[u][0];
		if (!tokens->added[u] && at != place && at < n_key) out->player[out->n_player++] = at;
	}
	return SN_OK;
}

static sn_status open_stack(sn_explained *e, sn_explained_stack *s)
{
	bool encoder = s->of->kind == SN_ATTN_ENCODER, self = s->of->kind == SN_ATTN_SELF;
	s->side = self ? &e->own : &e->source;
	s->place = encoder ? 0 : e->place;
	s->n_query = encoder ? e->text->source.n : 1;
	s->n_key = self && e->info->causal ? e->place + 1 : s->side->tokens->n;
	SN_NEW(s->pattern, e->arena, float, s->of->n_layer * sn_explain_size(s));
	SN_NEW(s->value, e->arena, float, (int64_t)s->n_chosen * s->n_key * s->of->n_kv_head * s->of->d_head);
	SN_NEW(s->slope, e->arena, float, s->n_chosen * s->n_query * sn_explain_width(s));
	return SN_OK;
}

sn_status sn_explain_open(sn_explained *e)
{
	const sn_attn_text *text = e->text;
	SN_TRY(sn_explain_place(e->ctx, e->info, &text->own, &e->place));
	SN_TRY(find_players(e, &text->own, e->place, e->info->causal ? e->place + 1 : text->own.n, &e->own));
	SN_TRY(find_players(e, &text->source, -1, text->source.n, &e->source));
	for (int i = 0; i < e->n_stack; i++) SN_TRY(open_stack(e, &e->stack[i]));
	SN_NEW(e->prob, e->arena, double, e->info->d_vocab);
	SN_TRY(first_run(e));
	SN_TRY(second_run(e));
	SN_TRY(leave_out(e, &e->own));
	return leave_out(e, &e->source);
}

/* ---- attention as weights ---- */

void sn_explain_mix(const sn_explained_stack *s, int c, const double *a, float *z)
{
	int d = s->of->d_head, n_head = s->of->n_head, group = n_head / s->of->n_kv_head;
	int64_t width = (int64_t)s->of->n_kv_head * d;
	const float *value = s->value + (int64_t)c * s->n_key * width;
	for (int h = 0; h < n_head; h++)
		for (int32_t q = 0; q < s->n_query; q++)
			for (int j = 0; j < d; j++) {
				double sum = 0;
				for (int32_t k = 0; k < s->n_key; k++)
					sum += a[((int64_t)h * s->n_query + q) * s->n_key + k] * value[k * width + (h / group) * d + j];
				z[((int64_t)q * n_head + h) * d + j] = (float)sum;
			}
}

void sn_explain_pattern(const sn_explained_stack *s, int c, double *a)
{
	int64_t size = sn_explain_size(s);
	for (int64_t i = 0; i < size; i++) a[i] = s->pattern[s->chosen[c] * size + i];
}
