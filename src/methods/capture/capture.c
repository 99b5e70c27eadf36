/* `sonde capture`: activations of any sites to a safetensors file, streamed. */
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

/* Rows gathered for one run. */
typedef struct gathered { int32_t n, *token; int64_t *start, *item, (*offsets)[2]; } gathered;

enum { TOKENS_A_RUN = 4096, ROWS_A_RUN = 512 };

static sn_status gather(sn_ctx *ctx, const sn_input *in, const sn_column *column, int64_t n_row, int64_t *next,
                        sn_arena *arena, gathered *g)
{
	sn_tokens row[ROWS_A_RUN];
	SN_NEW(g->start, arena, int64_t, ROWS_A_RUN + 1);
	SN_NEW(g->item, arena, int64_t, ROWS_A_RUN);
	for (; *next < n_row && g->n < ROWS_A_RUN && g->start[g->n] < TOKENS_A_RUN; ++*next) {
		const char *text = column->s[*next];
		if (!text || !*text) continue;
		SN_TRY(sn_tokenize(ctx, sn_model_tokenizer(in->model[0]), text, strlen(text), SN_ADD_SPECIAL, arena,
		                   &row[g->n]));
		if (row[g->n].n == 0) continue;
		g->item[g->n] = *next;
		g->start[g->n + 1] = g->start[g->n] + row[g->n].n;
		g->n++;
	}
	SN_NEW(g->token, arena, int32_t, g->start[g->n]);
	g->offsets = sn_arena_take(arena, sn_size3((size_t)g->start[g->n], sizeof *g->offsets, 1));
	if (!g->offsets) return SN_ENOMEM;
	for (int32_t b = 0; b < g->n; b++) {
		memcpy(g->token + g->start[b], row[b].id, (size_t)row[b].n * sizeof *g->token);
		memcpy(g->offsets + g->start[b], row[b].span, (size_t)row[b].n * sizeof *g->offsets);
	}
	return SN_OK;
}

/* Counts the tokens of all rows, so that the file can be laid out before the model runs. */
static sn_status count_tokens(sn_ctx *ctx, const sn_input *in, const sn_column *column, int64_t n_row, int64_t *out)
{
	sn_arena *arena;
	sn_tokens row;
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_mark mark = sn_arena_mark(arena);
	sn_status status = SN_OK;
	*out = 0;
	for (int64_t r = 0; r < n_row && status == SN_OK; r++, sn_arena_reset(arena, mark)) {
		const char *text = column->s[r];
		if (!text || !*text) continue;
		status = sn_tokenize(ctx, sn_model_tokenizer(in->model[0]), text, strlen(text), SN_ADD_SPECIAL, arena, &row);
		if (status == SN_OK) *out += row.n;
	}
	sn_arena_close(arena);
	return status;
}

/* The decoder's rows beside gathered ones: the token that begins them, then the target's, if there is one. */
static sn_status make_targets(sn_ctx *ctx, const sn_input *in, const sn_column *target, const gathered *g,
                              sn_arena *arena, sn_batch *out)
{
	int32_t begin = sn_model_get_info(in->model[0])->decoder_start, *token;
	int64_t *start;
	sn_tokens row[ROWS_A_RUN];
	SN_NEW(start, arena, int64_t, g->n + 1);
	for (int32_t b = 0; b < g->n; b++) {
		const char *text = target && target->s[g->item[b]] ? target->s[g->item[b]] : "";
		SN_TRY(sn_tokenize(ctx, sn_model_tokenizer(in->model[0]), text, strlen(text), 0, arena, &row[b]));
		start[b + 1] = start[b] + (begin >= 0) + row[b].n;
		if (start[b + 1] == start[b])
			return sn_fail(ctx, SN_EARG, "row %lld: the model names no first decoder token; give a --target column",
			               (long long)g->item[b] + 1);
	}
	SN_NEW(token, arena, int32_t, start[g->n]);
	for (int32_t b = 0; b < g->n; b++) {
		if (begin >= 0) token[start[b]] = begin;
		memcpy(token + start[b] + (begin >= 0), row[b].id, (size_t)row[b].n * sizeof *token);
	}
	*out = (sn_batch){ .n = g->n, .token = token, .start = start, .item = g->item };
	return SN_OK;
}

/* What is captured: texts, and for encoder-decoders what the decoder reads. */
typedef struct texts { const sn_column *column, *target; int64_t n_row; } texts;

static sn_status capture_some(sn_ctx *ctx, const sn_input *in, const texts *t, int64_t *next, sn_capture *capture)
{
	sn_arena *arena;
	gathered g = { 0 };
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = gather(ctx, in, t->column, t->n_row, next, arena, &g);
	sn_batch batch = { .n = g.n, .token = g.token, .start = g.start, .item = g.item }, encoder = batch;
	if (status == SN_OK && g.n && sn_model_get_info(in->model[0])->n_layer_encoder) {
		status = make_targets(ctx, in, t->target, &g, arena, &batch);
		batch.enc = &encoder;
	}
	if (status == SN_OK && g.n) status = sn_capture_run(capture, &batch, (const int64_t(*)[2])g.offsets);
	sn_arena_close(arena);
	return status;
}

static sn_status capture_all(sn_ctx *ctx, const sn_input *in, const texts *t, sn_capture *capture)
{
	for (int64_t next = 0; next < t->n_row;) {
		SN_TRY(sn_poll(ctx));
		sn_progress(ctx, "rows", next, t->n_row);
		SN_TRY(capture_some(ctx, in, t, &next, capture));
	}
	sn_progress(ctx, "rows", t->n_row, t->n_row);
	return sn_capture_commit(capture);
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

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	const capture_param *p = param;
	texts t = { 0 };
	sn_site *site;
	int n_site;
	sn_capture *capture;
	SN_TRY(find_column(ctx, in->data[0], p->column, &t.column));
	if (strcmp(p->target, "none") != 0) SN_TRY(find_column(ctx, in->data[0], p->target, &t.target));
	SN_TRY(sn_site_expand(ctx, in->model[0], p->sites, sn_result_arena(out), &site, &n_site));
	int64_t n_token;
	t.n_row = p->limit > 0 ? SN_MIN(p->limit, in->data[0]->n) : in->data[0]->n;
	SN_TRY(count_tokens(ctx, in, t.column, t.n_row, &n_token));
	SN_TRY(sn_capture_open(&capture, ctx, in->model[0], p->out, site, n_site, n_token));
	sn_status status = capture_all(ctx, in, &t, capture);
	int64_t tokens = sn_capture_tokens(capture);
	sn_capture_close(capture);
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
