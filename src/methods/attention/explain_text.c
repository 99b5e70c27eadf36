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

sn_status sn_explain_rows(const sn_explained *e, int32_t n, bool grad, sn_batch *out)
{
	int32_t *token, *parent, *fork;
	int64_t *start;
	SN_NEW(token, e->arena, int32_t, (int64_t)(n + 1) * e->side->n);
	SN_NEW(start, e->arena, int64_t, n + 2);
	SN_NEW(parent, e->arena, int32_t, n + 1);
	SN_NEW(fork, e->arena, int32_t, n + 1);
	for (int32_t b = 0; b <= n; b++) {
		memcpy(token + start[b], e->side->token, (size_t)e->side->n * sizeof *token);
		start[b + 1] = start[b] + e->side->n;
		parent[b] = b && !grad ? 0 : -1;
		fork[b] = b && !grad ? e->side->n : 0;
	}
	*out = (sn_batch){ .n = n + 1, .token = token, .start = start, .parent = parent, .fork = fork };
	return SN_OK;
}

sn_status sn_explain_variants(const sn_explained *e, int32_t n, const int *layer, const float *z, sn_predicted *out)
{
	int64_t d = (int64_t)e->info->n_head * e->info->d_head;
	sn_batch batch;
	sn_edit *edit;
	sn_tensor *src;
	sn_tap tap;
	SN_TRY(sn_explain_rows(e, n, false, &batch));
	SN_NEW(edit, e->arena, sn_edit, n);
	SN_NEW(src, e->arena, sn_tensor, n);
	for (int32_t v = 0; v < n; v++) {
		src[v] = sn_tensor_f32((float *)z + v * d, -1, d);
		edit[v] = (sn_edit){ .op = SN_OP_SET, .at = { .kind = SN_SITE_Z, .layer = (int16_t)e->chosen[layer[v]] },
			                 .where = { .sel = SN_AT, .arg = e->place, .row0 = v + 1, .n_row = 1 }, .src = &src[v] };
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

typedef struct taking { const sn_explained *e; int layer; } taking;

static sn_status take_pattern(sn_ctx *ctx, void *state, const sn_block *block)
{
	const taking *t = state;
	const sn_explained *e = t->e;
	(void)ctx;
	for (int h = 0; h < e->info->n_head; h++)
		memcpy(e->pattern + ((int64_t)t->layer * e->info->n_head + h) * e->n_key,
		       (const float *)block->x.data + h * block->x.dim[1], (size_t)e->n_key * sizeof(float));
	return SN_OK;
}

static const sn_sink place_sink = { .size = sizeof(taking), .take = take_pattern };

/* Patterns of the place in all layers, values of the chosen ones, the prediction: n_layer + n_chosen + 1 taps. */
static sn_status first_run(sn_explained *e)
{
	int64_t d = sn_site_width(e->model, &(sn_site){ .kind = SN_SITE_V });
	int n = 0;
	sn_batch batch;
	sn_tap *tap;
	taking *to;
	sn_keep *keep;
	sn_where place = { .sel = SN_AT, .arg = e->place }, seen = { .sel = SN_RANGE, .arg = 0, .end = e->n_key };
	sn_predicted top = { .top = &e->top };
	SN_TRY(sn_explain_rows(e, 0, false, &batch));
	SN_NEW(tap, e->arena, sn_tap, e->info->n_layer + e->n_chosen + 1);
	SN_NEW(to, e->arena, taking, e->info->n_layer);
	SN_NEW(keep, e->arena, sn_keep, e->n_chosen);
	for (int l = 0; l < e->info->n_layer; l++) {
		to[l] = (taking){ e, l };
		tap[n++] = (sn_tap){
			.at = { .kind = SN_SITE_PATTERN, .layer = (int16_t)l }, .where = place, .sink = &place_sink, .state = &to[l]
		};
	}
	for (int c = 0; c < e->n_chosen; c++) {
		keep[c] = (sn_keep){ e->value + (int64_t)c * e->n_key * d, e->n_key, d };
		tap[n++] = (sn_tap){ .at = { .kind = SN_SITE_V, .layer = (int16_t)e->chosen[c] }, .where = seen,
			                 .sink = &sn_sink_keep, .state = &keep[c] };
	}
	SN_TRY(logits_tap(e, &place, &top, e->prob, true, &tap[n]));
	sn_plan plan = { .size = sizeof plan, .n_tap = n + 1, .tap = tap };
	return sn_run(e->ctx, e->model, &batch, &plan, NULL, NULL);
}

/* Gradients of log p(top): of the embeddings, and of z at the place. */
static sn_status second_run(sn_explained *e)
{
	sn_site embed = { .kind = SN_SITE_EMBED };
	int64_t d = sn_site_width(e->model, &embed), dz = (int64_t)e->info->n_head * e->info->d_head;
	float *x, *g;
	double score;
	sn_batch batch;
	sn_tap *tap;
	sn_keep *keep;
	SN_TRY(sn_explain_rows(e, 0, true, &batch));
	SN_NEW(x, e->arena, float, e->side->n * d);
	SN_NEW(g, e->arena, float, e->side->n * d);
	SN_NEW(tap, e->arena, sn_tap, e->n_chosen + 2);
	SN_NEW(keep, e->arena, sn_keep, e->n_chosen + 2);
	keep[0] = (sn_keep){ x, e->side->n, d };
	keep[1] = (sn_keep){ g, e->side->n, d };
	for (int k = 0; k < 2; k++)
		tap[k] = (sn_tap){ .at = embed, .where = { .sel = SN_ALL }, .what = k ? SN_GRAD : SN_AFTER,
			               .sink = &sn_sink_keep, .state = &keep[k] };
	for (int c = 0; c < e->n_chosen; c++) {
		keep[c + 2] = (sn_keep){ e->slope + c * dz, 1, dz };
		tap[c + 2] = (sn_tap){ .at = { .kind = SN_SITE_Z, .layer = (int16_t)e->chosen[c] },
							   .what = SN_GRAD,
							   .where = { .sel = SN_AT, .arg = e->place },
							   .sink = &sn_sink_keep,
							   .state = &keep[c + 2] };
	}
	sn_goal goal = { .metric = SN_LOGPROB, .where = { .sel = SN_AT, .arg = e->place }, .want = &e->top, .n_want = 1 };
	sn_plan plan = { .size = sizeof plan, .n_tap = e->n_chosen + 2, .tap = tap, .n_goal = 1, .goal = &goal };
	SN_TRY(sn_run(e->ctx, e->model, &batch, &plan, NULL, &score));
	for (int32_t i = 0; i < e->n_player; i++) {
		double sum = 0;
		for (int64_t j = e->player[i] * d; j < (e->player[i] + 1) * d; j++) sum += (double)x[j] * g[j];
		e->gradient[i] = fabs(sum);
	}
	return SN_OK;
}

/* Row 0 is the text; row 1 + i lacks player i, and later tokens move up. */
static sn_status leave_out(sn_explained *e)
{
	int32_t n = e->side->n, rows = e->n_player + 1, *token, *parent, *fork;
	int64_t *start, *list;
	sn_batch batch;
	sn_tap tap;
	sn_predicted out = { .tvd = e->loo };
	SN_NEW(token, e->arena, int32_t, (int64_t)rows * n);
	SN_NEW(start, e->arena, int64_t, rows + 1);
	SN_NEW(parent, e->arena, int32_t, rows);
	SN_NEW(fork, e->arena, int32_t, rows);
	SN_NEW(list, e->arena, int64_t, rows);
	SN_NEW(out.js, e->arena, double, rows);
	SN_NEW(out.top, e->arena, int32_t, rows);
	for (int32_t b = 0; b < rows; b++) {
		int32_t gone = b ? e->player[b - 1] : -1, length = 0;
		for (int32_t i = 0; i < n; i++)
			if (i != gone) token[start[b] + length++] = e->side->token[i];
		start[b + 1] = start[b] + length;
		parent[b] = b ? 0 : -1;
		fork[b] = b ? gone : 0;
		if (b) list[b - 1] = start[b] + e->place - (gone < e->place);
	}
	batch = (sn_batch){ .n = rows, .token = token, .start = start, .parent = parent, .fork = fork };
	sn_where where = { .sel = SN_LIST, .list = list, .n_list = rows - 1 };
	SN_TRY(sn_explain_tap(e, &where, &out, &tap));
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
	return sn_run(e->ctx, e->model, &batch, &plan, NULL, NULL);
}

/* The mask of a masked model; the last token that is the text's own otherwise. */
static sn_status find_place(sn_explained *e)
{
	e->place = -1;
	for (int32_t u = 0; u < e->side->n_unit; u++) {
		int32_t at = e->side->unit[u][0];
		if (e->info->causal ? !e->side->added[u] : e->side->token[at] == e->info->mask) e->place = at;
	}
	if (e->place < 0)
		return sn_fail(e->ctx, SN_EPARSE, "text \"%.40s\": %s", e->side->text,
					   e->info->causal ? "no token of its own"
									   : "no mask; a masked model predicts where its mask token stands");
	e->n_key = e->info->causal ? e->place + 1 : e->side->n;
	SN_NEW(e->player, e->arena, int32_t, e->side->n);
	e->n_player = 0;
	for (int32_t u = 0; u < e->side->n_unit; u++) {
		int32_t at = e->side->unit[u][0];
		if (!e->side->added[u] && at != e->place && at < e->n_key) e->player[e->n_player++] = at;
	}
	return SN_OK;
}

sn_status sn_explain_open(sn_explained *e)
{
	int64_t d = (int64_t)e->info->n_head * e->info->d_head;
	SN_TRY(find_place(e));
	SN_NEW(e->pattern, e->arena, float, (int64_t)e->info->n_layer * e->info->n_head * e->n_key);
	SN_NEW(e->value, e->arena, float, (int64_t)e->n_chosen * e->n_key * e->info->n_kv_head * e->info->d_head);
	SN_NEW(e->slope, e->arena, float, e->n_chosen * d);
	SN_NEW(e->prob, e->arena, double, e->info->d_vocab);
	SN_NEW(e->loo, e->arena, double, e->n_player);
	SN_NEW(e->gradient, e->arena, double, e->n_player);
	SN_TRY(first_run(e));
	SN_TRY(second_run(e));
	return e->n_player > 0 ? leave_out(e) : SN_OK;
}

/* ---- attention as weights ---- */

void sn_explain_mix(const sn_explained *e, int c, const double *a, float *z)
{
	int d = e->info->d_head, group = e->info->n_head / e->info->n_kv_head;
	int64_t width = (int64_t)e->info->n_kv_head * d;
	const float *value = e->value + (int64_t)c * e->n_key * width;
	for (int h = 0; h < e->info->n_head; h++)
		for (int j = 0; j < d; j++) {
			double sum = 0;
			for (int32_t k = 0; k < e->n_key; k++)
				sum += a[(int64_t)h * e->n_key + k] * value[k * width + (h / group) * d + j];
			z[h * d + j] = (float)sum;
		}
}

void sn_explain_pattern(const sn_explained *e, int c, double *a)
{
	int64_t size = (int64_t)e->info->n_head * e->n_key;
	for (int64_t i = 0; i < size; i++) a[i] = e->pattern[e->chosen[c] * size + i];
}
