/* How a fact is recalled: what the last position's prediction loses when it may not attend to the subject, to the other
 * tokens or to itself; at which layers attention and MLPs bring the answer; and whether the subject's own stream names
 * its attributes. */
#include "methods/lens/lens.h"

#include "model/gather.h"
#include "model/knockout.h"
#include "model/lens.h"
#include "model/model.h"
#include "model/vocabulary.h"

#include <math.h>
#include <string.h>

typedef struct recall_param { const char *column, *subject, *paragraph, *read; int64_t window, limit; } recall_param;

static const sn_param params[] = {
	{ "column", NULL, "column of the prompt; auto: text, sentence, prefix or sentence_good", "auto", NULL, SN_TYPE_TEXT,
	  offsetof(recall_param, column), 0, 0, false },
	{ "subject", NULL, "column of the subject, as it stands in the prompt (the first time)", "subject", NULL,
	  SN_TYPE_TEXT, offsetof(recall_param, subject), 0, 0, false },
	{ "paragraph", NULL,
	  "column of text about the subject, whose tokens are its attributes; auto: column paragraph, if "
	  "there is one",
	  "auto", NULL, SN_TYPE_TEXT, offsetof(recall_param, paragraph), 0, 0, false },
	{ "read", NULL, "vectors read through the gains of the final norm, or as they are (as in the paper)", "gains",
	  "gains|raw", SN_TYPE_TEXT, offsetof(recall_param, read), 0, 0, false },
	{ "window", "blocks", "blocks whose attention is cut together", "9", NULL, SN_TYPE_INT,
	  offsetof(recall_param, window), 1, 1000, false },
	{ "limit", "rows", "only the first rows of the data; 0: all", "0", NULL, SN_TYPE_INT, offsetof(recall_param, limit),
	  0, 1e15, false },
};

enum { KNOCKOUT, EXTRACTION, ENRICHMENT, ITEMS };

static const sn_col knockout_columns[] = {
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Middle of the window" },
	{ "cut", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Not attended to" },
	{ "prompts", "prompts", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Prompts" },
	{ "change", "%", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Change of the answer's probability" },
	{ "change_low", "%", "change", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "change_high", "%", "change", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "none", "%", "change", SN_TYPE_FLOAT, SN_BASE, 0, "No change" },
};

static const sn_col extraction_columns[] = {
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Block" },
	{ "from", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Brought by" },
	{ "prompts", "prompts", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Prompts" },
	{ "rate", "share", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, "Extraction rate" },
	{ "rate_low", "share", "rate", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "rate_high", "share", "rate", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "chance", "share", "rate", SN_TYPE_FLOAT, SN_BASE, 0, "Another prompt's answer" },
};

static const sn_col enrichment_columns[] = {
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Layer" },
	{ "position", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Position" },
	{ "prompts", "prompts", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Prompts" },
	{ "rate", "share", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, "Attributes among the first 50" },
	{ "rate_low", "share", "rate", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "rate_high", "share", "rate", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "other", "share", "rate", SN_TYPE_FLOAT, SN_BASE, 0, "Another subject's attributes" },
};

static const sn_col item_columns[] = {
	{ "item", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Row" },
	{ "prompt", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Prompt" },
	{ "subject", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Subject" },
	{ "answer", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Answer" },
	{ "probability", "share", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Probability" },
	{ "strongest", NULL, NULL, SN_TYPE_INT, SN_MEASURE, 0, "Window that needs the subject most" },
	{ "change", "%", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Change there" },
	{ "extracted", NULL, NULL, SN_TYPE_BOOL, SN_MEASURE, 0, "Brought by some attention" },
};

static const sn_table tables[] = {
	[KNOCKOUT] = { "knockout", "What the prediction needs to attend to", knockout_columns, SN_COUNT(knockout_columns),
				   SN_VIEW_LINE,
				   "The last position may not attend to the subject, to the other tokens, or to itself, in a window of "
				   "blocks around each: relative change of the probability of what the model predicts, mean over "
				   "prompts with its "
				   "interval.",
				   false },
	[EXTRACTION] = { "extraction", "Which blocks bring the answer", extraction_columns, SN_COUNT(extraction_columns),
					 SN_VIEW_LINE,
					 "Share of prompts in which the answer is the first choice of what attention or the MLP of a block "
					 "writes at the last position (read in the vocabulary); Wilson intervals; dashed: the answer of "
					 "the "
					 "prompt before.",
					 false },
	[ENRICHMENT] = { "enrichment", "Does the subject's stream name its attributes?", enrichment_columns,
					 SN_COUNT(enrichment_columns), SN_VIEW_LINE,
					 "Of the first 50 tokens of the stream (layer 0: the embedding) that "
					 "are no function words, the share that occurs in the paragraphs about the subject; dashed: in "
					 "those about the "
					 "prompt before's subject.",
					 false },
	[ITEMS] = { "items", "Prompts", item_columns, SN_COUNT(item_columns), SN_VIEW_TABLE,
				"What the model predicts after each prompt, and the window in which it needs the subject most.", true },
};

enum { SUBJECT, BEFORE, BEHIND, LAST, SPANS };   /* spans of a prompt */
enum { CUTS = 3 };
static const char *const cut_name[CUTS] = { "the subject", "the other tokens", "the last token" };
static const uint32_t cut_spans[CUTS] = { 1 << SUBJECT, 1 << BEFORE | 1 << BEHIND, 1 << LAST };

typedef struct prompt { const sn_lens_text *text; const char *subject; int32_t span[SPANS][2]; } prompt;

/* Shares of prompts, and of shuffled ones. */
typedef struct share { double n, yes, shuffled; } share;

typedef struct job {
	sn_ctx *ctx;
	sn_model *model;
	const recall_param *param;
	sn_result *out;
	const sn_dataset *data;
	sn_lens_texts texts;
	const sn_column *subject, *paragraph;
	sn_arena *arena;
	int n_layer;
	sn_clustered *change;        /* [CUTS, n_layer] */
	share *extraction[2];        /* [n_layer] attention, MLP */
	sn_clustered *rate[2], *other;   /* [n_layer + 1] at the subject, at the last position; another's, at the subject */
	double probability, any;
	int64_t n, skipped;
	int32_t before;              /* the answer of the prompt before; -1: none */
	bool gains;
	uint16_t *frequency;         /* [vocabulary] texts about subjects that have the token */
	int64_t n_paragraph;
	uint8_t *plain;              /* [vocabulary] longer than two letters, and in no more than half of them */
	const char *paragraph_before;
} job;

/* ---- prompts ---- */

/* The subject's tokens, by the bytes that it has in the prompt; false: it is not there, or stands last. */
static bool find_spans(const job *j, const sn_lens_text *t, prompt *p)
{
	p->text = t;
	p->subject = j->subject->s[t->row];
	const char *found = p->subject && *p->subject ? strstr(t->text, p->subject) : NULL;
	int32_t n = (int32_t)t->token.n, first = n, last = -1;
	if (!found) return false;
	int64_t a = found - t->text, b = a + (int64_t)strlen(p->subject);
	for (int32_t i = 0; i < n; i++) {
		bool inside = t->token.span[i][1] > a && t->token.span[i][0] < b && t->token.span[i][1] > t->token.span[i][0];
		if (inside) first = SN_MIN(first, i), last = SN_MAX(last, i);
	}
	if (last < 0 || last >= n - 1) return false;
	const int32_t span[SPANS][2] = { { first, last + 1 }, { 0, first }, { last + 1, n - 1 }, { n - 1, n } };
	for (int s = 0; s < SPANS; s++) {
		bool any = span[s][0] < span[s][1];
		p->span[s][0] = any ? span[s][0] : -1;
		p->span[s][1] = any ? span[s][1] : -1;
	}
	return true;
}

/* ---- what is brought, and what is named ---- */

typedef struct reading {
	float *stream[2];   /* [n_layer + 1, d] at the subject's last token, at the last position */
	float *branch[2];   /* [n_layer, d] attention and MLP at the last position */
	float *end;         /* [d_head_out] */
} reading;

static sn_status keep_vectors(const job *j, const prompt *p, reading *r, sn_arena *arena)
{
	int64_t d = j->model->shape.d_model, L = j->n_layer;
	int32_t place[2] = { p->span[SUBJECT][1] - 1, (int32_t)p->text->token.n - 1 };
	sn_tap *tap;
	sn_keep *keep;
	int n = 0;
	sn_batch batch = { .n = 1, .token = p->text->token.id, .start = (const int64_t[]){ 0, p->text->token.n } };
	SN_NEW(tap, arena, sn_tap, 4 * L + 3);
	SN_NEW(keep, arena, sn_keep, 4 * L + 3);
	for (int k = 0; k < 2; k++) {
		SN_NEW(r->stream[k], arena, float, sn_gemm_room(L + 1) * d);
		SN_NEW(r->branch[k], arena, float, sn_gemm_room(L) * d);
		for (int l = 0; l <= L; l++, n++) {
			keep[n] = (sn_keep){ r->stream[k] + l * d, 1, d };
			tap[n] = (sn_tap){ .at = sn_boundary_site(j->model, l), .where = { .sel = SN_AT, .arg = place[k] },
			                   .sink = &sn_sink_keep, .state = &keep[n] };
		}
		for (int l = 0; l < L; l++, n++) {
			keep[n] = (sn_keep){ r->branch[k] + l * d, 1, d };
			tap[n] = (sn_tap){ .at = { .kind = k ? SN_SITE_MLP_OUT : SN_SITE_ATTN_OUT, .layer = (int16_t)l },
			                   .where = { .sel = SN_LAST }, .sink = &sn_sink_keep, .state = &keep[n] };
		}
	}
	SN_NEW(r->end, arena, float, sn_gemm_room(1) * j->model->shape.d_head_out);
	keep[n] = (sn_keep){ r->end, 1, j->model->shape.d_head_out };
	tap[n] = (sn_tap){ .at = { .kind = SN_SITE_UNEMBED_IN }, .where = { .sel = SN_LAST }, .sink = &sn_sink_keep,
	                   .state = &keep[n] };
	n++;
	sn_plan plan = { .size = sizeof plan, .n_tap = n, .tap = tap };
	return sn_run(j->ctx, j->model, &batch, &plan, NULL, NULL);
}

static sn_status first_choice(const job *j, const float *x, bool bare, int64_t n, int32_t *id, sn_arena *arena)
{
	double *logit;
	SN_NEW(logit, arena, double, n);
	sn_vocabulary read = { .n = n, .x = x, .bare = bare, .top = 1, .top_id = id, .top_logit = logit };
	return sn_vocabulary_read(j->ctx, j->model, &read, arena);
}

/* Whether each block's attention (k 0) or MLP (k 1) brings the answer. */
static sn_status count_extraction(job *j, const reading *r, int32_t answer, bool *any, sn_arena *arena)
{
	int32_t *id;
	float *h;
	SN_NEW(id, arena, int32_t, j->n_layer);
	SN_NEW(h, arena, float, sn_gemm_room(j->n_layer) * j->model->shape.d_head_out);
	for (int k = 0; k < 2; k++) {
		SN_TRY(sn_lens_directions(j->ctx, j->model, r->branch[k], j->n_layer, j->gains, h, arena));
		SN_TRY(first_choice(j, h, true, j->n_layer, id, arena));
		for (int l = 0; l < j->n_layer; l++) {
			share *s = &j->extraction[k][l];
			s->n++;
			s->yes += id[l] == answer;
			s->shuffled += id[l] == j->before;
			*any |= k == 0 && id[l] == answer;
		}
	}
	return SN_OK;
}

/* ---- attributes ---- */

enum { FIRST = 500, COUNTED = 50 };

static sn_status tokens_of(const job *j, const char *text, sn_arena *arena, uint8_t **set)
{
	sn_tokens t;
	SN_NEW(*set, arena, uint8_t, j->model->shape.n_logit);
	SN_TRY(sn_tokenize(j->ctx, sn_model_tokenizer(j->model), text, strlen(text), SN_REPLACE_INVALID, arena, &t));
	for (int64_t i = 0; i < t.n; i++)
		if (t.id[i] < j->model->shape.n_logit) (*set)[t.id[i]] = 1;
	return SN_OK;
}

/* Function words are tokens that more than half of the paragraphs have; short ones say nothing. */
static sn_status find_plain(job *j)
{
	const sn_tokenizer *tokenizer = sn_model_tokenizer(j->model);
	SN_NEW(j->frequency, j->arena, uint16_t, j->model->shape.n_logit);
	SN_NEW(j->plain, j->arena, uint8_t, j->model->shape.n_logit);
	for (int64_t i = 0; i < j->texts.n; i++) {
		sn_mark mark = sn_arena_mark(j->arena);
		const char *text = j->paragraph->s[j->texts.text[i].row];
		uint8_t *set;
		if (!text || j->n_paragraph == UINT16_MAX) continue;
		SN_TRY(tokens_of(j, text, j->arena, &set));
		for (int64_t v = 0; v < j->model->shape.n_logit; v++) j->frequency[v] = (uint16_t)(j->frequency[v] + set[v]);
		j->n_paragraph++;
		sn_arena_reset(j->arena, mark);
	}
	for (int32_t v = 0; v < SN_MIN(j->model->shape.n_logit, (int64_t)sn_tokenizer_size(tokenizer)); v++) {
		sn_mark mark = sn_arena_mark(j->arena);
		size_t size = 0;
		const char *text = sn_token_text(j->ctx, tokenizer, v, j->arena, &size);
		while (text && size && *text == ' ') text++, size--;
		j->plain[v] = text && size > 2 && 2 * j->frequency[v] <= j->n_paragraph;
		sn_arena_reset(j->arena, mark);
	}
	return SN_OK;
}

static double rate_of(const job *j, const int32_t *id, const uint8_t *set)
{
	int counted = 0, found = 0;
	for (int k = 0; k < FIRST && counted < COUNTED; k++) {
		if (!j->plain[id[k]]) continue;
		counted++;
		found += set[id[k]];
	}
	return counted ? (double)found / counted : 0;
}

static sn_status count_attributes(job *j, const reading *r, const char *paragraph, sn_arena *arena)
{
	int64_t n = j->n_layer + 1;
	int32_t *id;
	double *logit;
	float *h;
	uint8_t *set, *other = NULL;
	SN_TRY(tokens_of(j, paragraph, arena, &set));
	if (j->paragraph_before) SN_TRY(tokens_of(j, j->paragraph_before, arena, &other));
	SN_NEW(id, arena, int32_t, n *FIRST);
	SN_NEW(logit, arena, double, n *FIRST);
	SN_NEW(h, arena, float, sn_gemm_room(n) * j->model->shape.d_head_out);
	for (int k = 0; k < 2; k++) {
		SN_TRY(sn_lens_directions(j->ctx, j->model, r->stream[k], n, j->gains, h, arena));
		sn_vocabulary read = { .n = n, .x = h, .bare = true, .top = FIRST, .top_id = id, .top_logit = logit };
		SN_TRY(sn_vocabulary_read(j->ctx, j->model, &read, arena));
		for (int64_t l = 0; l < n; l++) {
			sn_clustered_add(&j->rate[k][l], rate_of(j, id + l * FIRST, set), 1);
			if (k == 0 && other) sn_clustered_add(&j->other[l], rate_of(j, id + l * FIRST, other), 1);
		}
	}
	return SN_OK;
}

/* ---- one prompt ---- */

static sn_status cut_attention(job *j, const prompt *p, int32_t answer, sn_knockout *k, sn_arena *arena)
{
	int32_t (*span)[2];
	span = sn_arena_take(arena, sizeof p->span);
	if (!span) return SN_ENOMEM;
	memcpy(span, p->span, sizeof p->span);
	int64_t window = SN_MIN(j->param->window, (int64_t)2 * j->n_layer);
	*k = (sn_knockout){ .n = (int32_t)p->text->token.n, .token = p->text->token.id, .n_span = SPANS, .span = span,
	                    .n_set = CUTS, .set = cut_spans, .window = (int)window, .at = p->span[LAST][0],
	                    .want = answer };
	SN_NEW(k->logprob, arena, double, CUTS *j->n_layer);
	SN_TRY(sn_knockout_run(j->ctx, j->model, k, arena));
	for (int i = 0; i < CUTS * j->n_layer; i++)
		sn_clustered_add(&j->change[i], 100 * expm1(k->logprob[i] - k->base), 1);
	return SN_OK;
}

static sn_status read_prompt(job *j, const prompt *p, sn_arena *arena)
{
	reading r;
	sn_knockout k;
	int32_t answer;
	int strongest = 0;
	bool any = false;
	const char *paragraph = j->paragraph ? j->paragraph->s[p->text->row] : NULL;
	SN_TRY(keep_vectors(j, p, &r, arena));
	SN_TRY(first_choice(j, r.end, false, 1, &answer, arena));
	SN_TRY(count_extraction(j, &r, answer, &any, arena));
	SN_TRY(cut_attention(j, p, answer, &k, arena));
	if (paragraph) SN_TRY(count_attributes(j, &r, paragraph, arena));
	for (int l = 1; l < j->n_layer; l++)
		if (k.logprob[l] < k.logprob[strongest]) strongest = l;
	const char *token = sn_lens_token(j->ctx, j->model, answer, arena);
	j->n++;
	j->any += any;
	j->probability += exp(k.base);
	j->before = answer;
	j->paragraph_before = paragraph;
	return SN_ADD(j->out, ITEMS, sn_int(p->text->row + 1), sn_text(p->text->text), sn_text(p->subject), sn_text(token),
	              sn_num(exp(k.base)), sn_int(strongest), sn_num(100 * expm1(k.logprob[strongest] - k.base)),
	              sn_flag(any));
}

static sn_status read_all(job *j)
{
	for (int64_t i = 0; i < j->texts.n; i++) {
		prompt p;
		sn_arena *arena;
		sn_progress(j->ctx, "prompts", i, j->texts.n);
		if (!find_spans(j, &j->texts.text[i], &p)) {
			j->skipped++;
			continue;
		}
		SN_TRY(sn_arena_open(&arena, j->ctx));
		sn_status status = read_prompt(j, &p, arena);
		sn_arena_close(arena);
		SN_TRY(status);
	}
	sn_progress(j->ctx, "prompts", j->texts.n, j->texts.n);
	return SN_OK;
}

/* ---- results ---- */

static sn_status add_tables(const job *j)
{
	static const char *const branch[2] = { "attention", "MLP" }, *const position[2] = { "subject", "last" };
	for (int c = 0; c < CUTS; c++)
		for (int l = 0; l < j->n_layer; l++)
			SN_TRY(SN_ADD(j->out, KNOCKOUT, sn_int(l), sn_text(cut_name[c]), sn_int(j->n),
			              SN_LENS_WITHIN(&j->change[c * j->n_layer + l], -100, INFINITY), sn_num(0)));
	for (int k = 0; k < 2; k++)
		for (int l = 0; l < j->n_layer; l++) {
			const share *s = &j->extraction[k][l];
			sn_interval w = sn_wilson(s->yes / s->n, s->n, 0.95);
			SN_TRY(SN_ADD(j->out, EXTRACTION, sn_int(l), sn_text(branch[k]), sn_int(j->n), sn_num(s->yes / s->n),
			              sn_num(w.low), sn_num(w.high), sn_num(s->n > 1 ? s->shuffled / (s->n - 1) : NAN)));
		}
	for (int k = 0; k < 2; k++)
		for (int l = 0; l <= j->n_layer && j->rate[k][0].n > 0; l++)
			SN_TRY(SN_ADD(j->out, ENRICHMENT, sn_int(l), sn_text(position[k]), sn_int((int64_t)j->rate[k][l].n),
			              SN_LENS_WITHIN(&j->rate[k][l], 0, 1), sn_num(sn_clustered_mean(&j->other[l]))));
	return SN_OK;
}

static sn_status summarise(const job *j)
{
	int best[CUTS] = { 0 };
	const char *mean[CUTS];
	for (int c = 0; c < CUTS; c++) {
		for (int l = 1; l < j->n_layer; l++)
			if (j->change[c * j->n_layer + l].sum < j->change[c * j->n_layer + best[c]].sum) best[c] = l;
		if (!(mean[c] = sn_lens_mean_above(&j->change[c * j->n_layer + best[c]], -100, j->arena))) return SN_ENOMEM;
	}
	SN_TRY(sn_result_say(j->out,
						 "Without attention to %s, the answer's probability changes by %s %% around block %d; to "
						 "%s by %s %% around block %d; to %s by %s %% around block %d (%lld prompts, windows of %lld "
						 "blocks).",
						 cut_name[0], mean[0], best[0], cut_name[1], mean[1], best[1], cut_name[2], mean[2], best[2],
						 (long long)j->n, (long long)j->param->window));
	sn_interval w = sn_wilson(j->any / (double)j->n, (double)j->n, 0.95);
	SN_TRY(sn_result_say(j->out,
						 "In %.0f %% [%.0f, %.0f] of the prompts some block's attention brings the answer to the "
						 "last position. The answers have a probability of %.2f on average.",
						 100 * j->any / (double)j->n, 100 * w.low, 100 * w.high, j->probability / (double)j->n));
	if (j->skipped)
		SN_TRY(sn_result_limit(j->out, "%lld prompts were left out: the subject is not in them, or ends them.",
		                       (long long)j->skipped));
	SN_TRY(sn_lens_say_cut(j->out, &j->texts));
	return sn_result_limit(j->out, "The answer is what the model predicts, right or wrong. The first token often takes "
	                       "attention that is not needed; it is among the other tokens.");
}

static sn_status find_columns(job *j)
{
	bool automatic = strcmp(j->param->paragraph, "auto") == 0;
	j->subject = sn_dataset_column(j->data, j->param->subject);
	if (!j->subject || j->subject->type != SN_TYPE_TEXT)
		return sn_fail(j->ctx, SN_ENOTFOUND, "%s: no column %s with each prompt's subject; name it with --subject",
		               j->data->source, j->param->subject);
	j->paragraph = sn_dataset_column(j->data, automatic ? "paragraph" : j->param->paragraph);
	if (j->paragraph && j->paragraph->type == SN_TYPE_TEXT) return SN_OK;
	j->paragraph = NULL;
	if (automatic) return SN_OK;
	return sn_fail(j->ctx, SN_ENOTFOUND, "%s: no column %s of text", j->data->source, j->param->paragraph);
}

static sn_status open_sums(job *j)
{
	SN_NEW(j->change, j->arena, sn_clustered, CUTS *j->n_layer);
	SN_NEW(j->other, j->arena, sn_clustered, j->n_layer + 1);
	for (int k = 0; k < 2; k++) {
		SN_NEW(j->extraction[k], j->arena, share, j->n_layer);
		SN_NEW(j->rate[k], j->arena, sn_clustered, j->n_layer + 1);
	}
	return SN_OK;
}

static sn_status run_in(job *j, const sn_input *in)
{
	SN_TRY(sn_lens_check(j->ctx, j->model));
	if (!j->model->info.causal)
		return sn_fail(j->ctx, SN_EARG, "%s is a masked model; recall is asked of models that read left to right",
		               j->model->info.path);
	SN_TRY(find_columns(j));
	SN_TRY(sn_lens_read(&j->texts, j->ctx, in, j->param->column, j->param->limit, j->arena));
	SN_TRY(open_sums(j));
	if (j->paragraph && j->model->shape.n_logit >= FIRST) SN_TRY(find_plain(j));
	else j->paragraph = NULL;
	sn_status status = read_all(j);
	if (status != SN_OK && status != SN_ECANCEL) return status;
	if (status == SN_OK && j->n == 0)
		return sn_fail(j->ctx, SN_EPARSE, "%s: no prompt has its subject before its last token", j->data->source);
	if (j->n == 0) return status;
	SN_TRY(add_tables(j));
	SN_TRY(summarise(j));
	return status;
}

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	job j = { .ctx = ctx, .model = in->model[0], .data = in->data[0], .param = param, .out = out, .before = -1,
	          .n_layer = sn_model_get_info(in->model[0])->n_layer };
	j.gains = strcmp(j.param->read, "gains") == 0;
	SN_TRY(sn_arena_open(&j.arena, ctx));
	sn_status status = run_in(&j, in);
	sn_arena_close(j.arena);
	return status;
}

extern const sn_method sn_method_lens_recall;
const sn_method sn_method_lens_recall = {
	.family = "lens",
	.name = "recall",
	.brief = "how a fact is recalled: attention knockout, extraction, enrichment",
	.doc =
		"For prompts about a subject (\"The capital of France is\"): attention from the last position to the subject, "
		"to the other tokens or to itself is cut in windows of blocks, and the change of the predicted token's "
		"probability measured; what attention and MLPs write at the last position is read in the vocabulary; and, "
		"where the data has paragraphs about the subjects, the subject's stream is read for its attributes. Subjects "
		"are found by their bytes in the prompt. All cuts of a prompt are forks of one row.",
	.cite = "Geva et al. 2023",
	.example = "sonde lens recall --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data facts.jsonl",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params,
	.n_param = SN_COUNT(params),
	.param_size = sizeof(recall_param),
	.table = tables,
	.n_table = SN_COUNT(tables),
	.run = run,
};
