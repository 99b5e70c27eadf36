/* Attention patterns of texts. */
#include "methods/attention/attention.h"

#include <math.h>
#include <string.h>

enum { TOKENS_AT_ONCE = 1024 };

/* ---- running ---- */

/* The sink of one layer: where the patterns of each row go. */
typedef struct layer_state { int layer; sn_attn_pattern *of; } layer_state;

static sn_status take_place(sn_ctx *ctx, void *state, const sn_block *block)
{
	const layer_state *s = state;
	const sn_attn_pattern *p = &s->of[block->row[0]];
	const float *x = block->x.data;
	int64_t keys = block->x.dim[1];
	(void)ctx;
	for (int h = 0; h < p->n_head; h++)
		memcpy((float *)sn_attn_at(p, s->layer, h, block->pos[0]), x + h * keys, (size_t)keys * sizeof *x);
	return SN_OK;
}

static const sn_sink pattern_sink = { .size = sizeof(layer_state), .take = take_place };

typedef struct job {
	sn_ctx *ctx;
	sn_model *model;
	const sn_attn_texts *texts;
	sn_attn_kind kind;
	sn_site site;
	int n_layer, n_head;
	sn_arena *arena;
} job;

static sn_status rows_of(const job *j, int32_t first, int32_t n, bool source, sn_batch *out)
{
	int64_t *start, tokens = 0;
	int32_t *token;
	for (int32_t i = 0; i < n; i++)
		tokens += (source ? &j->texts->text[first + i].source : &j->texts->text[first + i].own)->n;
	SN_NEW(start, j->arena, int64_t, n + 1);
	SN_NEW(token, j->arena, int32_t, tokens);
	for (int32_t i = 0; i < n; i++) {
		const sn_attn_side *side = source ? &j->texts->text[first + i].source : &j->texts->text[first + i].own;
		memcpy(token + start[i], side->token, (size_t)side->n * sizeof *token);
		start[i + 1] = start[i] + side->n;
	}
	*out = (sn_batch){ .n = n, .token = token, .start = start };
	return SN_OK;
}

static sn_status make_taps(const job *j, sn_attn_pattern *pattern, sn_tap **out)
{
	layer_state *state;
	SN_NEW(*out, j->arena, sn_tap, j->n_layer);
	SN_NEW(state, j->arena, layer_state, j->n_layer);
	for (int l = 0; l < j->n_layer; l++) {
		state[l] = (layer_state){ l, pattern };
		(*out)[l] = (sn_tap){ .at = j->site, .where = { .sel = SN_ALL }, .sink = &pattern_sink, .state = &state[l] };
		(*out)[l].at.layer = (int16_t)l;
	}
	return SN_OK;
}

static sn_status run_some(const job *j, int32_t first, int32_t n, sn_attn_fn *fn, void *arg)
{
	sn_batch batch, enc;
	sn_attn_pattern *pattern;
	sn_tap *tap;
	bool two = j->texts->text[first].source.n > 0;
	SN_TRY(rows_of(j, first, n, false, &batch));
	if (two) SN_TRY(rows_of(j, first, n, true, &enc));
	if (two) batch.enc = &enc;
	SN_NEW(pattern, j->arena, sn_attn_pattern, n);
	for (int32_t i = 0; i < n; i++) {
		const sn_attn_text *text = &j->texts->text[first + i];
		pattern[i] = (sn_attn_pattern){ j->n_layer, j->n_head, sn_attn_queries(text, j->kind)->n,
			                            sn_attn_keys(text, j->kind)->n, NULL };
		SN_NEW(pattern[i].a, j->arena, float,
		       (int64_t)j->n_layer * j->n_head * pattern[i].n_query * pattern[i].n_key);
	}
	SN_TRY(make_taps(j, pattern, &tap));
	sn_plan plan = { .size = sizeof plan, .n_tap = j->n_layer, .tap = tap };
	SN_TRY(sn_run(j->ctx, j->model, &batch, &plan, NULL, NULL));
	for (int32_t i = 0; i < n; i++) SN_TRY(fn(arg, first + i, &pattern[i]));
	return SN_OK;
}

static sn_status find_site(job *j)
{
	static const char *const name[] = { "attn.hook_pattern", "attn.hook_pattern", "cross_attn.hook_pattern" };
	const sn_model_info *info = sn_model_get_info(j->model);
	sn_attn_stacks stacks = sn_attn_stacks_of(j->model);
	char text[64];
	if (j->kind != SN_ATTN_SELF && !info->n_layer_encoder)
		return sn_fail(j->ctx, SN_EARG, "%s has one stack of blocks: its attention is self-attention", info->path);
	sn_format(text, sizeof text, "%sblocks.0.%s", j->kind == SN_ATTN_ENCODER ? "encoder." : "", name[j->kind]);
	j->n_layer = j->kind == SN_ATTN_ENCODER ? info->n_layer_encoder : info->n_layer;
	for (int s = 0; s < stacks.n; s++)
		if (stacks.stack[s].kind == j->kind) j->n_head = stacks.stack[s].n_head;
	return sn_site_parse(j->ctx, j->model, text, &j->site);
}

sn_status sn_attn_each(sn_ctx *ctx, sn_model *model, const sn_attn_texts *texts, sn_attn_kind kind, sn_attn_fn *fn,
                       void *arg)
{
	job j = { .ctx = ctx, .model = model, .texts = texts, .kind = kind };
	SN_TRY(find_site(&j));
	SN_TRY(sn_arena_open(&j.arena, ctx));
	sn_status status = SN_OK;
	sn_mark mark = sn_arena_mark(j.arena);
	for (int32_t first = 0, end; first < texts->n && status == SN_OK; first = end) {
		int64_t tokens = 0;
		for (end = first; end < texts->n && (end == first || tokens < TOKENS_AT_ONCE); end++)
			tokens += texts->text[end].own.n + texts->text[end].source.n;
		sn_progress(ctx, "texts", first, texts->n);
		status = run_some(&j, first, end - first, fn, arg);
		sn_arena_reset(j.arena, mark);
	}
	if (status == SN_OK) sn_progress(ctx, "texts", texts->n, texts->n);
	sn_arena_close(j.arena);
	return status;
}

/* ---- between units ---- */

/* Adds one query's row, by the keys' units, times weight. */
static void add_row(const float *row, const sn_attn_side *key, double weight, double *out)
{
	for (int32_t k = 0; k < key->n_unit; k++) {
		double sum = 0;
		for (int32_t t = key->unit[k][0]; t < key->unit[k][1]; t++) sum += row[t];
		out[k] += weight * sum;
	}
}

void sn_attn_between(const sn_attn_pattern *pattern, int layer, int head, const sn_attn_side *query,
                     const sn_attn_side *key, int32_t shift, double *out)
{
	int h0 = SN_MAX(head, 0), h1 = head < 0 ? pattern->n_head : head + 1;
	for (int32_t q = 0; q < query->n_unit; q++) {
		int32_t first = query->unit[q][0] - shift, end = query->unit[q][1] - shift;
		double *row = out + (int64_t)q * key->n_unit;
		for (int32_t k = 0; k < key->n_unit; k++) row[k] = first < 0 ? NAN : 0;
		for (int32_t t = first; first >= 0 && t < end; t++)
			for (int h = h0; h < h1; h++)
				add_row(sn_attn_at(pattern, layer, h, t), key, 1.0 / (end - first) / (h1 - h0), row);
	}
}

void sn_attn_by_unit(const double *a, const sn_attn_side *query, const sn_attn_side *key, double *out)
{
	for (int32_t q = 0; q < query->n_unit; q++)
		for (int32_t k = 0; k < key->n_unit; k++) {
			double sum = 0;
			for (int32_t i = query->unit[q][0]; i < query->unit[q][1]; i++)
				for (int32_t j = key->unit[k][0]; j < key->unit[k][1]; j++) sum += a[(int64_t)i * key->n + j];
			out[(int64_t)q * key->n_unit + k] = sum / (query->unit[q][1] - query->unit[q][0]);
		}
}
