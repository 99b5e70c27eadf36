/* `sonde capture`: activations of any sites to a safetensors file, streamed. */
#include "base/checkpoint.h"
#include "base/work.h"
#include "data/result.h"
#include "model/capture.h"

#include <string.h>

typedef struct capture_param { const char *sites, *out, *column, *target; int64_t limit; } capture_param;

static const sn_param params[] = {
	{ "sites", NULL, "sites to capture, comma-separated, * for blocks and heads", "blocks.*.hook_resid_post", NULL,
	  SN_TYPE_TEXT, offsetof(capture_param, sites), 0, 0, false },
	{ "out", NULL, "file to write", NULL, NULL, SN_TYPE_TEXT, offsetof(capture_param, out), 0, 0, true },
	{ "column", NULL, "column of the text; auto: text, sentence or sentence_good", "auto", NULL, SN_TYPE_TEXT,
	  offsetof(capture_param, column), 0, 0, false },
	{ "target", NULL, "encoder-decoders: column of the decoder's text; none: its first token alone", "none", NULL,
	  SN_TYPE_TEXT, offsetof(capture_param, target), 0, 0, false },
	{ "limit", "rows", "only the first rows of the data; 0: all", "0", NULL, SN_TYPE_INT,
	  offsetof(capture_param, limit), 0, 1e15, false },
};

enum { SITES };

static const sn_col site_columns[] = {
	{ "site", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Site" },
	{ "width", "columns", NULL, SN_TYPE_INT, SN_MEASURE, 0, "Width" },
	{ "tokens", "tokens", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Tokens" },
	{ "bytes", "bytes", NULL, SN_TYPE_INT, SN_MEASURE, 0, "Bytes" },
};

static const sn_table tables[] = {
	[SITES] = { "sites", "Captured sites", site_columns, SN_COUNT(site_columns), SN_VIEW_TABLE,
		"One float32 tensor [tokens, width] a site (width 0: attention over the positions so far), beside tokens, "
		"offsets, start and item.", false },
};

static sn_status find_column(sn_ctx *ctx, const sn_dataset *data, const char *asked, const sn_column **out)
{
	static const char *const usual[] = { "text", "sentence", "sentence_good" };
	*out = NULL;
	if (strcmp(asked, "auto") != 0) *out = sn_dataset_column(data, asked);
	else for (int i = 0; !*out && i < SN_COUNT(usual); i++) *out = sn_dataset_column(data, usual[i]);
	if (*out && (*out)->type == SN_TYPE_TEXT) return SN_OK;
	return sn_fail(ctx, SN_ENOTFOUND, "%s: no column of text found (%s); name it with --column", data->source, asked);
}

/* What is captured: texts, and for encoder-decoders what the decoder reads. */
typedef struct texts {
	sn_ctx *ctx;
	sn_model *model;
	const sn_column *column, *target;
	int64_t n_row;
} texts;

static sn_status tokens_of(const texts *t, int64_t row, sn_arena *arena, sn_tokens *out)
{
	const char *text = t->column->s[row];
	*out = (sn_tokens){ 0 };
	if (!text || !*text) return SN_OK;
	return sn_tokenize(t->ctx, sn_model_tokenizer(t->model), text, strlen(text), SN_ADD_SPECIAL, arena, out);
}

/* The decoder's row beside row: the token that begins all of them, then the target's, if there is one. */
static sn_status target_of(const texts *t, int64_t row, sn_arena *arena, sn_tokens *out)
{
	const char *text = t->target && t->target->s[row] ? t->target->s[row] : "";
	SN_TRY(sn_tokenize(t->ctx, sn_model_tokenizer(t->model), text, strlen(text), 0, arena, out));
	if (out->n + (sn_model_get_info(t->model)->decoder_start >= 0) > 0) return SN_OK;
	return sn_fail(t->ctx, SN_EARG, "row %lld: the model names no first decoder token; give a --target column",
	               (long long)row + 1);
}

/* ---- the runs of the model: fixed by the data ---- */

enum { TOKENS_A_RUN = 4096, ROWS_A_RUN = 512 };

typedef struct runs {
	int64_t n, *first;       /* [n + 1] rows of the data */
	sn_capture_size *before; /* [n + 1] what comes before each */
} runs;

/* Counts a row into the run at hand, or into the next where that is full. */
static sn_status count_row(const texts *t, int64_t row, runs *r, sn_arena *scratch)
{
	sn_tokens source, target = { 0 };
	SN_TRY(tokens_of(t, row, scratch, &source));
	if (source.n == 0) return SN_OK;
	bool decoder = sn_model_get_info(t->model)->n_layer_encoder > 0;
	int64_t begin = decoder && sn_model_get_info(t->model)->decoder_start >= 0;
	if (decoder) SN_TRY(target_of(t, row, scratch, &target));
	const sn_capture_size *from = r->n ? &r->before[r->n - 1] : NULL, *now = &r->before[r->n];
	if (!from || now->n_row - from->n_row >= ROWS_A_RUN || now->n_token - from->n_token >= TOKENS_A_RUN) {
		r->first[r->n++] = row;
		r->before[r->n] = r->before[r->n - 1];
	}
	sn_capture_count(&r->before[r->n], source.n, begin + target.n);
	return SN_OK;
}

static sn_status plan_runs(const texts *t, runs *r, sn_arena *arena)
{
	sn_arena *scratch;
	SN_NEW(r->first, arena, int64_t, t->n_row + 1);
	SN_NEW(r->before, arena, sn_capture_size, t->n_row + 1);
	SN_TRY(sn_arena_open(&scratch, t->ctx));
	sn_mark mark = sn_arena_mark(scratch);
	sn_status status = SN_OK;
	for (int64_t row = 0; row < t->n_row && status == SN_OK; row++, sn_arena_reset(scratch, mark))
		status = count_row(t, row, r, scratch);
	sn_arena_close(scratch);
	r->first[r->n] = t->n_row;
	return status;
}

/* The rows of one run. */
typedef struct gathered {
	sn_batch batch, encoder;
	int64_t (*offsets)[2];
} gathered;

static sn_status pack(const sn_tokens *row, int32_t n, int32_t begin, sn_arena *arena, sn_batch *out)
{
	int64_t *start, before = begin >= 0;
	int32_t *token;
	SN_NEW(start, arena, int64_t, n + 1);
	for (int32_t b = 0; b < n; b++) start[b + 1] = start[b] + before + row[b].n;
	SN_NEW(token, arena, int32_t, start[n]);
	for (int32_t b = 0; b < n; b++) {
		if (before) token[start[b]] = begin;
		memcpy(token + start[b] + before, row[b].id, (size_t)row[b].n * sizeof *token);
	}
	*out = (sn_batch){ .n = n, .token = token, .start = start };
	return SN_OK;
}

static sn_status gather(const texts *t, int64_t first, int64_t last, sn_arena *arena, gathered *g)
{
	sn_tokens row[ROWS_A_RUN], target[ROWS_A_RUN];
	int64_t *item;
	int32_t n = 0;
	const sn_model_info *info = sn_model_get_info(t->model);
	SN_NEW(item, arena, int64_t, ROWS_A_RUN);
	for (int64_t i = first; i < last; i++) {
		sn_tokens next;
		SN_TRY(tokens_of(t, i, arena, &next));
		if (next.n == 0) continue;
		row[n] = next;
		if (info->n_layer_encoder) SN_TRY(target_of(t, i, arena, &target[n]));
		item[n++] = i;
	}
	SN_TRY(pack(row, n, -1, arena, &g->batch));
	g->offsets = sn_arena_take(arena, sn_size3((size_t)g->batch.start[n], sizeof *g->offsets, 1));
	if (!g->offsets) return SN_ENOMEM;
	for (int32_t b = 0; b < n; b++)
		memcpy(g->offsets + g->batch.start[b], row[b].span, (size_t)row[b].n * sizeof *g->offsets);
	g->batch.item = item;
	if (!info->n_layer_encoder) return SN_OK;
	g->encoder = g->batch;
	SN_TRY(pack(target, n, info->decoder_start, arena, &g->batch));
	g->batch.item = item;
	g->batch.enc = &g->encoder;
	return SN_OK;
}

/* ---- capturing ---- */

typedef struct job {
	texts text;
	runs runs;
	sn_capture *capture;
	uint64_t key; /* of the runs in the checkpoint */
} job;

/* Run i, by the rank that calls it; rank 0 then takes it from rank `from`, unless that is itself. */
static sn_status capture_run(const job *j, int64_t i, bool compute, int from)
{
	sn_arena *arena;
	gathered g = { 0 };
	SN_TRY(sn_arena_open(&arena, j->text.ctx));
	sn_status status = gather(&j->text, j->runs.first[i], j->runs.first[i + 1], arena, &g);
	const int64_t(*offsets)[2] = (const int64_t(*)[2])g.offsets;
	if (status == SN_OK && compute) status = sn_capture_run(j->capture, &g.batch, offsets);
	if (status == SN_OK && from > 0) status = sn_capture_hand(j->capture, from, &g.batch, offsets);
	sn_arena_close(arena);
	return status;
}

/* Runs [first, last), one a rank: they compute side by side, then the file is written in order. */
static sn_status capture_round(const job *j, int64_t first, int64_t last)
{
	sn_ctx *ctx = j->text.ctx;
	int rank = sn_rank(ctx);
	sn_status status = sn_poll(ctx);
	if (status == SN_OK && first + rank < last) status = capture_run(j, first + rank, true, 0);
	SN_TRY(sn_team_agree(ctx, status));
	for (int from = 1; first + from < last; from++) {
		if (rank != 0 && rank != from) continue;
		sn_status one = capture_run(j, first + from, false, from);
		if (status == SN_OK) status = one;
	}
	return status == SN_OK ? sn_capture_mark(j->capture, j->key, (uint64_t)last - 1) : status;
}

static sn_status capture_all(job *j)
{
	sn_ctx *ctx = j->text.ctx;
	const sn_capture_size *before = j->runs.before;
	int64_t done = 0, n = j->runs.n;
	j->key = sn_work_key(ctx, "capture", n, (size_t)before[n].n_token);
	if (sn_rank(ctx) == 0) done = SN_MIN((int64_t)sn_checkpoint_marked(ctx, j->key), n);
	SN_TRY(sn_team_agree(ctx, SN_OK));
	SN_TRY(sn_team_broadcast(ctx, &done, sizeof done));
	SN_TRY(sn_capture_skip(j->capture, &before[done]));
	sn_progress(ctx, "tokens", before[done].n_token, before[n].n_token);
	for (int64_t last; done < n; done = last) {
		last = SN_MIN(done + sn_rank_count(ctx), n);
		SN_TRY(capture_round(j, done, last));
		sn_progress(ctx, "tokens", before[last].n_token, before[n].n_token);
	}
	return sn_capture_commit(j->capture);
}

static sn_status report(const sn_input *in, const sn_site *site, int n_site, int64_t tokens, const char *path,
                        sn_result *out)
{
	for (int i = 0; i < n_site; i++) {
		char name[112];
		sn_site_format(&site[i], name, sizeof name);
		int64_t width = sn_site_width(in->model[0], &site[i]);
		SN_TRY(SN_ADD(out, SITES, sn_text(name), sn_int(width), sn_int(tokens), width ? sn_int(4 * width * tokens)
		              : sn_none()));
	}
	return sn_result_say(out, "Wrote %d sites at %lld tokens to %s.", n_site, (long long)tokens, path);
}

static sn_status capture(job *j, const sn_site *site, int n_site, const char *path, sn_arena *arena)
{
	SN_TRY(plan_runs(&j->text, &j->runs, arena));
	SN_TRY(sn_capture_open(&j->capture, j->text.ctx, j->text.model, path, site, n_site,
	                       &j->runs.before[j->runs.n]));
	sn_status status = capture_all(j);
	sn_capture_close(j->capture);
	return status;
}

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	const capture_param *p = param;
	job j = { .text = { .ctx = ctx, .model = in->model[0], .n_row = in->data[0]->n } };
	sn_site *site;
	int n_site;
	sn_arena *arena;
	SN_TRY(find_column(ctx, in->data[0], p->column, &j.text.column));
	if (strcmp(p->target, "none") != 0) SN_TRY(find_column(ctx, in->data[0], p->target, &j.text.target));
	SN_TRY(sn_site_expand(ctx, in->model[0], p->sites, sn_result_arena(out), &site, &n_site));
	if (p->limit > 0) j.text.n_row = SN_MIN(p->limit, j.text.n_row);
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = capture(&j, site, n_site, p->out, arena);
	int64_t tokens = status == SN_OK ? j.runs.before[j.runs.n].n_token : 0;
	sn_arena_close(arena);
	return status == SN_OK ? report(in, site, n_site, tokens, p->out, out) : status;
}

extern const sn_method sn_method_capture;
const sn_method sn_method_capture = {
	.family = "", .name = "capture", .brief = "activations to a safetensors file",
	.doc = "Runs the model on every row of the data (text lines, JSONL, CSV, TSV, CoNLL-U) and streams the named sites "
	       "to a safetensors file, with "
	       "token ids, byte offsets and row starts. Memory does not grow with the data. The file appears only when it "
	       "is complete.",
	.cite = "Site names: TransformerLens (Nanda & Bloom 2022)",
	.example = "sonde capture --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data en_ewt-ud-dev.conllu --sites "
	           "'blocks.*.hook_resid_post' --out ewt.safetensors",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params, .n_param = SN_COUNT(params), .param_size = sizeof(capture_param),
	.table = tables, .n_table = SN_COUNT(tables), .run = run,
};
