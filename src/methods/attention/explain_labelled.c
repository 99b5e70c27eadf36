/* Labelled texts, and the vectors and weights that a model gives their tokens. */
#include "methods/attention/explain_readout.h"

#include <math.h>
#include <string.h>

enum { TOKENS_AT_ONCE = 1024, LEAST = 10, SPLIT = 0x73706c74 };

typedef struct labelled {
	sn_labelled *out;
	sn_ctx *ctx;
	sn_model *model;
	const sn_model_info *info;
	sn_attn_texts texts;
	int64_t *start;
	float *x[2];          /* of the layer, of the embeddings */
	sn_arena *arena, *scratch;
} labelled;

/* ---- classes ---- */

sn_status sn_labelled_column(sn_ctx *ctx, const sn_dataset *data, const char *name, const sn_column **out)
{
	bool automatic = strcmp(name, "auto") == 0;
	*out = NULL;
	if (strcmp(name, "none") == 0) return SN_OK;
	*out = sn_dataset_column(data, automatic ? "label" : name);
	if (!*out && automatic) return SN_OK;
	if (!*out) return sn_fail(ctx, SN_ENOTFOUND, "%s: no column %s; give --label a column of classes, or none",
	                          data->source, name);
	if ((*out)->type == SN_TYPE_TEXT || (*out)->type == SN_TYPE_INT || (*out)->type == SN_TYPE_BOOL) return SN_OK;
	return sn_fail(ctx, SN_EARG, "%s: column %s has no classes; expected text, whole numbers or booleans (--label)",
	               data->source, (*out)->name);
}

static bool same_class(const sn_column *c, int64_t i, int64_t j)
{
	if (c->type == SN_TYPE_INT) return c->i[i] == c->i[j];
	if (c->type == SN_TYPE_BOOL) return c->b[i] == c->b[j];
	return strcmp(c->s[i], c->s[j]) == 0;
}

static bool has_class(const sn_column *c, int64_t i)
{
	if (c->type == SN_TYPE_TEXT) return c->s[i] && c->s[i][0];
	return c->type == SN_TYPE_BOOL ? c->b[i] >= 0 : c->i[i] != INT64_MIN;
}

/* Keeps the texts that have a class; classes are numbered as they come. */
static sn_status take_classes(labelled *l, const sn_dataset *data, const sn_column *label)
{
	int32_t n = 0, *y;
	int64_t *first;
	SN_NEW(y, l->arena, int32_t, l->texts.n);
	SN_NEW(first, l->arena, int64_t, l->texts.n);
	for (int32_t i = 0; i < l->texts.n; i++) {
		int64_t row = l->texts.text[i].row;
		int k = 0;
		if (!has_class(label, row)) continue;
		while (k < l->out->n_class && !same_class(label, first[k], row)) k++;
		if (k == l->out->n_class) first[l->out->n_class++] = row;
		y[n] = k;
		l->texts.text[n++] = l->texts.text[i];
	}
	l->texts.n = n;
	l->out->deep.y = l->out->bare.y = y;
	if (n >= LEAST && l->out->n_class > 1 && l->out->n_class <= n / 2) return SN_OK;
	return sn_fail(l->ctx, SN_EPARSE, "%s: column %s gives %d texts %d classes; readouts take at least %d texts, two "
	               "classes, and two texts a class (--label none: no readouts)", data->source, label->name, n,
	               l->out->n_class, LEAST);
}

/* ---- vectors ---- */

static const sn_attn_side *side_of(const labelled *l, int32_t text, bool source)
{
	return source ? &l->texts.text[text].source : &l->texts.text[text].own;
}

static sn_status rows_of(const labelled *l, int32_t first, int32_t n, bool source, sn_batch *out)
{
	int64_t *start;
	int32_t *token;
	SN_NEW(start, l->scratch, int64_t, n + 1);
	for (int32_t i = 0; i < n; i++) start[i + 1] = start[i] + side_of(l, first + i, source)->n;
	SN_NEW(token, l->scratch, int32_t, start[n]);
	for (int32_t i = 0; i < n; i++)
		memcpy(token + start[i], side_of(l, first + i, source)->token,
		       (size_t)(start[i + 1] - start[i]) * sizeof *token);
	*out = (sn_batch){ .n = n, .token = token, .start = start };
	return SN_OK;
}

static sn_status run_some(const labelled *l, int32_t first, int32_t n)
{
	uint8_t stack = (uint8_t)(l->info->n_layer_encoder ? SN_STACK_ENCODER : SN_STACK_ONLY);
	int64_t d = l->info->d_model, tokens = l->start[first + n] - l->start[first];
	sn_site site[2] = { { .kind = SN_SITE_RESID_POST, .stack = stack, .layer = (int16_t)l->out->layer },
		                { .kind = SN_SITE_EMBED, .stack = stack } };
	sn_batch batch, enc;
	sn_keep keep[2];
	sn_tap tap[2];
	SN_TRY(rows_of(l, first, n, false, &batch));
	if (l->info->n_layer_encoder) {
		SN_TRY(rows_of(l, first, n, true, &enc));
		batch.enc = &enc;
	}
	for (int k = 0; k < 2; k++) {
		keep[k] = (sn_keep){ l->x[k] + l->start[first] * (k ? l->out->bare.d : d), tokens, k ? l->out->bare.d : d };
		tap[k] = (sn_tap){ .at = site[k], .where = { .sel = SN_ALL }, .sink = &sn_sink_keep, .state = &keep[k] };
	}
	sn_plan plan = { .size = sizeof plan, .n_tap = 2, .tap = tap };
	return sn_run(l->ctx, l->model, &batch, &plan, NULL, NULL);
}

static sn_status run_all(const labelled *l)
{
	sn_mark mark = sn_arena_mark(l->scratch);
	for (int32_t first = 0, end; first < l->texts.n; first = end) {
		for (end = first + 1; end < l->texts.n && l->start[end] - l->start[first] < TOKENS_AT_ONCE;) end++;
		sn_progress(l->ctx, "labelled texts", first, l->texts.n);
		SN_TRY(run_some(l, first, end - first));
		sn_arena_reset(l->scratch, mark);
	}
	return SN_OK;
}

/* Length sqrt(d) for every vector. */
static void scale_rows(float *x, int64_t n, int64_t d)
{
	for (int64_t i = 0; i < n; i++) {
		double square = 0;
		for (int64_t j = 0; j < d; j++) square += (double)x[i * d + j] * x[i * d + j];
		double scale = square > 0 ? sqrt((double)d / square) : 0;
		for (int64_t j = 0; j < d; j++) x[i * d + j] = (float)(x[i * d + j] * scale);
	}
}

/* Mean 0 and variance 1 over the tokens of training texts. */
static sn_status standardise(const labelled *l, float *x, int64_t d)
{
	double *sum, *square, n = 0;
	SN_NEW(sum, l->scratch, double, d);
	SN_NEW(square, l->scratch, double, d);
	for (int64_t i = 0; i < l->out->n_fit; i++) {
		int64_t text = l->out->row[i];
		n += (double)(l->start[text + 1] - l->start[text]);
		for (int64_t at = l->start[text] * d; at < l->start[text + 1] * d; at++) {
			sum[at % d] += x[at];
			square[at % d] += (double)x[at] * x[at];
		}
	}
	for (int64_t j = 0; j < d; j++) {
		sum[j] /= n;
		square[j] = sqrt(fmax(square[j] / n - sum[j] * sum[j], 0));
	}
	for (int64_t at = 0; at < l->out->tokens * d; at++)
		x[at] = square[at % d] > 1e-12 ? (float)((x[at] - sum[at % d]) / square[at % d]) : 0;
	return SN_OK;
}

/* ---- weights ---- */

/* The last place's of a causal model; otherwise the mean over places. */
static sn_status take_heads(void *arg, int32_t text, const sn_attn_pattern *p)
{
	const labelled *l = arg;
	double *to = l->out->heads + l->start[text];
	int32_t first = l->info->causal && !l->info->n_layer_encoder ? p->n_query - 1 : 0;
	for (int h = 0; h < p->n_head; h++)
		for (int32_t q = first; q < p->n_query; q++)
			for (int32_t k = 0; k < p->n_key; k++)
				to[k] += sn_attn_at(p, l->out->layer, h, q)[k] / (double)p->n_head / (p->n_query - first);
	return SN_OK;
}

static sn_status take_weights(labelled *l)
{
	SN_NEW(l->out->uniform, l->arena, double, l->out->tokens);
	SN_NEW(l->out->heads, l->arena, double, l->out->tokens);
	for (int32_t i = 0; i < l->texts.n; i++)
		for (int64_t t = l->start[i]; t < l->start[i + 1]; t++)
			l->out->uniform[t] = 1.0 / (double)(l->start[i + 1] - l->start[i]);
	return sn_attn_each(l->ctx, l->model, &l->texts, l->info->n_layer_encoder ? SN_ATTN_ENCODER : SN_ATTN_SELF,
	                    take_heads, l);
}

/* ---- opening ---- */

static sn_status choose_layer(labelled *l, int64_t layer)
{
	int n = l->info->n_layer_encoder ? l->info->n_layer_encoder : l->info->n_layer;
	if (layer >= n)
		return sn_fail(l->ctx, SN_EARG, "--layer %lld: there are layers 0 to %d", (long long)layer, n - 1);
	l->out->layer = layer < 0 ? n - 1 : (int)layer;
	return SN_OK;
}

static sn_status split(labelled *l, double held)
{
	sn_rng rng = sn_rng_make(sn_ctx_seed(l->ctx), SPLIT);
	int64_t n = l->texts.n, out = SN_MAX((int64_t)((double)n * held), 2);
	SN_NEW(l->out->row, l->arena, int64_t, n);
	sn_rng_permute(&rng, l->out->row, n);
	l->out->n_fit = n - SN_MIN(out, n - 2);
	return SN_OK;
}

static sn_status open_vectors(labelled *l)
{
	bool source = l->info->n_layer_encoder > 0;
	sn_site embed = { .kind = SN_SITE_EMBED, .stack = (uint8_t)(source ? SN_STACK_ENCODER : SN_STACK_ONLY) };
	SN_NEW(l->start, l->arena, int64_t, l->texts.n + 1);
	for (int32_t i = 0; i < l->texts.n; i++) l->start[i + 1] = l->start[i] + side_of(l, i, source)->n;
	int64_t d[2] = { l->info->d_model, sn_site_width(l->model, &embed) };
	l->out->tokens = l->start[l->texts.n];
	for (int k = 0; k < 2; k++) {
		sn_readout_texts *to = k ? &l->out->bare : &l->out->deep;
		SN_NEW(l->x[k], l->arena, float, l->out->tokens * d[k]);
		*to = (sn_readout_texts){ l->texts.n, d[k], l->x[k], l->start, to->y };
	}
	return SN_OK;
}

static sn_status read_in(labelled *l, const sn_dataset *data, const sn_column *label, const sn_explain_param *p)
{
	sn_attn_query query = { .column = p->column, .source = p->source, .target = p->target, .limit = p->labelled };
	SN_TRY(choose_layer(l, p->layer));
	SN_TRY(sn_attn_read(&l->texts, l->ctx, l->model, data, &query, l->arena));
	SN_TRY(take_classes(l, data, label));
	SN_TRY(split(l, p->held));
	SN_TRY(open_vectors(l));
	SN_TRY(run_all(l));
	for (int k = 0; k < 2; k++) {
		int64_t d = k ? l->out->bare.d : l->out->deep.d;
		scale_rows(l->x[k], l->out->tokens, d);
		SN_TRY(standardise(l, l->x[k], d));
	}
	return take_weights(l);
}

sn_status sn_labelled_read(sn_labelled *out, sn_ctx *ctx, sn_model *model, const sn_dataset *data,
                           const sn_column *label, const sn_explain_param *p, sn_arena *arena)
{
	labelled l = { .out = out, .ctx = ctx, .model = model, .info = sn_model_get_info(model), .arena = arena };
	*out = (sn_labelled){ .layer = 0 };
	SN_TRY(sn_arena_open(&l.scratch, ctx));
	sn_status status = read_in(&l, data, label, p);
	sn_arena_close(l.scratch);
	return status;
}
