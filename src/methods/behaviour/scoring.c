/* Sentences as rows to be scored. */
#include "methods/behaviour/scoring.h"

#include "data/passages.h"
#include "model/prefix.h"

#include <stdlib.h>
#include <string.h>

typedef struct maker {
	sn_ctx *ctx;
	const sn_model *model;
	const sn_model_info *info;
	const char *const *text, *const *source;
	bool l2r;
	int32_t n;
	const char *name;
	const int64_t *number;
	sn_arena *arena;
	sn_tokens *row;    /* [n] */
	sn_scoring *out;
} maker;

static sn_status tokenize(const maker *k, const char *text, int flags, sn_tokens *out)
{
	return sn_tokenize(k->ctx, sn_model_tokenizer(k->model), text, strlen(text), flags, k->arena, out);
}

static sn_status tokenize_all(maker *k, int flags, int64_t least)
{
	SN_NEW(k->row, k->arena, sn_tokens, k->n);
	for (int32_t i = 0; i < k->n; i++) {
		SN_TRY(tokenize(k, k->text[i], flags, &k->row[i]));
		k->out->token[i] = k->row[i].n;
		if (k->row[i].n < least)
			return sn_fail(k->ctx, SN_EPARSE, "%s: row %lld: \"%.40s\" has %lld tokens; to be scored it needs %lld",
			               k->name, (long long)k->number[i], k->text[i], (long long)k->row[i].n, (long long)least);
	}
	return SN_OK;
}

/* ---- causal: one trie of prefixes over all sentences; a last token predicts nothing, so it is no row's ---- */

static int32_t shared_prefix(const sn_tokens *a, const sn_tokens *b)
{
	int32_t n = 0;
	while (n < a->n - 1 && n < b->n - 1 && a->id[n] == b->id[n]) n++;
	return n;
}

typedef struct sorted { const sn_tokens *row; int32_t sentence; } sorted;

static int by_tokens(const void *a, const void *b)
{
	const sorted *x = a, *y = b;
	int32_t n = shared_prefix(x->row, y->row);
	bool more_x = n < x->row->n - 1, more_y = n < y->row->n - 1;
	if (more_x && more_y) return x->row->id[n] < y->row->id[n] ? -1 : 1;
	if (more_x != more_y) return more_x ? 1 : -1;
	return x->sentence < y->sentence ? -1 : 1;
}

static sn_status make_causal(maker *k)
{
	int32_t *token, *want;
	int64_t *start;
	sorted *order;
	SN_TRY(tokenize_all(k, SN_ADD_SPECIAL, 2));
	SN_NEW(order, k->arena, sorted, k->n);
	SN_NEW(start, k->arena, int64_t, k->n + 1);
	SN_NEW(k->out->sentence, k->arena, int32_t, k->n);
	for (int32_t i = 0; i < k->n; i++) order[i] = (sorted){ &k->row[i], i };
	qsort(order, (size_t)k->n, sizeof *order, by_tokens);
	for (int32_t b = 0; b < k->n; b++) {
		k->out->sentence[b] = order[b].sentence;
		k->out->scored[order[b].sentence] = order[b].row->n - 1;
		start[b + 1] = start[b] + order[b].row->n - 1;
	}
	SN_NEW(token, k->arena, int32_t, start[k->n]);
	SN_NEW(want, k->arena, int32_t, start[k->n]);
	for (int32_t b = 0; b < k->n; b++) {
		size_t bytes = (size_t)(order[b].row->n - 1) * sizeof *token;
		memcpy(token + start[b], order[b].row->id, bytes);
		memcpy(want + start[b], order[b].row->id + 1, bytes);
	}
	k->out->batch = (sn_batch){ .n = k->n, .token = token, .start = start };
	k->out->goal = (sn_goal){ .metric = SN_LOGPROB, .where = { .sel = SN_ALL }, .want = want, .n_want = start[k->n] };
	return sn_share_prefixes(&k->out->batch, k->arena);
}

/* ---- encoder-decoders' rows ---- */

/* Rows as they are, one a sentence, after the token that begins every one. */
static sn_status plain_rows(maker *k, int32_t begin)
{
	int32_t *token;
	int64_t *start;
	SN_NEW(start, k->arena, int64_t, k->n + 1);
	SN_NEW(k->out->sentence, k->arena, int32_t, k->n);
	for (int32_t b = 0; b < k->n; b++) {
		start[b + 1] = start[b] + 1 + k->row[b].n;
		k->out->sentence[b] = b;
		k->out->scored[b] = k->row[b].n;
	}
	SN_NEW(token, k->arena, int32_t, start[k->n]);
	for (int32_t b = 0; b < k->n; b++) {
		token[start[b]] = begin;
		memcpy(token + start[b] + 1, k->row[b].id, (size_t)k->row[b].n * sizeof *token);
	}
	k->out->batch = (sn_batch){ .n = k->n, .token = token, .start = start };
	k->out->goal = (sn_goal){ .metric = SN_LOGPROB, .where = { .sel = SN_ALL } };
	return SN_OK;
}

/* ---- masked: a row for each token ---- */

/* Tokens that the tokenizer added have empty spans. */
static bool of_text(const sn_tokens *row, int64_t i) { return row->span[i][1] > row->span[i][0]; }

static int64_t count_of_text(const sn_tokens *row)
{
	int64_t n = 0;
	for (int64_t i = 0; i < row->n; i++) n += of_text(row, i);
	return n;
}

static void mask_sentence(maker *k, int32_t sentence, int32_t *token, int64_t *start, int64_t *list, int32_t *want,
                          int32_t *b)
{
	const sn_tokens *row = &k->row[sentence];
	for (int64_t i = 0; i < row->n; i++) {
		if (!of_text(row, i)) continue;
		start[*b + 1] = start[*b] + row->n;
		memcpy(token + start[*b], row->id, (size_t)row->n * sizeof *token);
		token[start[*b] + i] = k->info->mask;
		for (int64_t j = i + 1; k->l2r && j < row->n && sn_token_continues(k->text[sentence], row, j); j++)
			token[start[*b] + j] = k->info->mask;
		list[*b] = start[*b] + i;
		want[*b] = row->id[i];
		k->out->sentence[(*b)++] = sentence;
	}
}

static sn_status make_masked(maker *k)
{
	int64_t rows = 0, tokens = 0, *start, *list;
	int32_t *token, *want, b = 0;
	if (k->info->mask < 0)
		return sn_fail(k->ctx, SN_EARG, "%s: a masked model whose tokenizer has no mask token cannot score sentences",
		               k->info->path);
	SN_TRY(tokenize_all(k, SN_ADD_SPECIAL, 1));
	for (int32_t i = 0; i < k->n; i++) {
		k->out->scored[i] = count_of_text(&k->row[i]);
		rows += k->out->scored[i];
		tokens += k->out->scored[i] * k->row[i].n;
	}
	SN_NEW(start, k->arena, int64_t, rows + 1);
	SN_NEW(list, k->arena, int64_t, rows);
	SN_NEW(want, k->arena, int32_t, rows);
	SN_NEW(token, k->arena, int32_t, tokens);
	SN_NEW(k->out->sentence, k->arena, int32_t, rows);
	for (int32_t i = 0; i < k->n; i++) mask_sentence(k, i, token, start, list, want, &b);
	k->out->batch = (sn_batch){ .n = b, .token = token, .start = start };
	k->out->goal = (sn_goal){ .metric = SN_LOGPROB, .where = { .sel = SN_LIST, .list = list, .n_list = rows },
	                          .want = want, .n_want = rows };
	return SN_OK;
}

/* ---- encoder-decoders: target given source ---- */

static sn_status encode_sources(maker *k)
{
	int32_t *token;
	int64_t *start;
	sn_tokens *row;
	SN_NEW(row, k->arena, sn_tokens, k->n);
	SN_NEW(start, k->arena, int64_t, k->n + 1);
	for (int32_t i = 0; i < k->n; i++) {
		SN_TRY(tokenize(k, k->source && k->source[i] ? k->source[i] : "", SN_ADD_SPECIAL, &row[i]));
		start[i + 1] = start[i] + row[i].n;
		if (row[i].n == 0)
			return sn_fail(k->ctx, SN_EPARSE, "%s: row %lld: its source has no tokens", k->name,
						   (long long)k->number[i]);
	}
	SN_NEW(token, k->arena, int32_t, start[k->n]);
	for (int32_t i = 0; i < k->n; i++) memcpy(token + start[i], row[i].id, (size_t)row[i].n * sizeof *token);
	k->out->enc = (sn_batch){ .n = k->n, .token = token, .start = start };
	return SN_OK;
}

static sn_status make_seq2seq(maker *k)
{
	if (k->info->decoder_start < 0)
		return sn_fail(k->ctx, SN_EARG,
					   "%s: config.json names no decoder_start_token_id, which every target begins with",
					   k->info->path);
	SN_TRY(tokenize_all(k, SN_ADD_SPECIAL, 1));
	SN_TRY(plain_rows(k, k->info->decoder_start));
	SN_TRY(encode_sources(k));
	k->out->batch.enc = &k->out->enc;
	return SN_OK;
}

/* ---- entry ---- */

sn_status sn_scoring_make(sn_scoring *out, sn_ctx *ctx, const sn_model *model, const char *const *text,
                          const char *const *source, bool l2r, int32_t n, const char *name, const int64_t *number,
                          sn_arena *arena)
{
	const sn_model_info *info = sn_model_get_info(model);
	maker k = { ctx, model, info, text, source, l2r, n, name, number, arena, NULL, out };
	*out = (sn_scoring){ 0 };
	if (!info->has_logits)
		return sn_fail(ctx, SN_EARG, "%s has no language-model head: it cannot score sentences", info->path);
	if (source && !info->n_layer_encoder)
		return sn_fail(ctx, SN_EARG, "%s has no encoder to read a source", info->path);
	SN_NEW(out->token, arena, int64_t, n);
	SN_NEW(out->scored, arena, int64_t, n);
	if (info->n_layer_encoder) return make_seq2seq(&k);
	return info->causal ? make_causal(&k) : make_masked(&k);
}

sn_status sn_scoring_run(sn_ctx *ctx, sn_model *model, const sn_scoring *scoring, int32_t n, sn_arena *arena,
                         double *logprob)
{
	double *score;
	SN_NEW(score, arena, double, scoring->batch.n);
	sn_plan plan = { .size = sizeof plan, .n_goal = 1, .goal = &scoring->goal };
	SN_TRY(sn_run(ctx, model, &scoring->batch, &plan, NULL, score));
	for (int32_t i = 0; i < n; i++) logprob[i] = 0;
	for (int32_t b = 0; b < scoring->batch.n; b++) logprob[scoring->sentence[b]] += score[b];
	return SN_OK;
}
