/* Texts and words for the lenses. */
#include "methods/lens/lens.h"

#include "base/readable.h"
#include "data/passages.h"

#include <math.h>
#include <string.h>

/* ---- texts ---- */

static sn_status tokens_of(sn_ctx *ctx, const sn_input *in, const char *text, int64_t row, sn_arena *arena,
                           sn_tokens *out)
{
	sn_status status = sn_tokenize(ctx, sn_model_tokenizer(in->model[0]), text, strlen(text),
	                               SN_ADD_SPECIAL | SN_PARSE_SPECIAL, arena, out);
	if (status != SN_EPARSE) return status;
	return sn_fail(ctx, status, "%s: row %lld: %s", in->data[0]->source, (long long)row + 1, sn_error(ctx));
}

/* Whether tokens are more than the model takes; they are cut there. */
static bool cut(const sn_input *in, sn_tokens *t)
{
	int64_t most = sn_model_get_info(in->model[0])->n_ctx;
	if (most <= 0 || t->n <= most) return false;
	t->n = most;
	return true;
}

static sn_status read_text(sn_lens_texts *out, sn_ctx *ctx, const sn_input *in, const char *text, int64_t row,
                           sn_arena *arena)
{
	sn_lens_text *t = &out->text[out->n];
	*t = (sn_lens_text){ .row = row, .text = text };
	if (!text || !*text) return SN_OK;
	SN_TRY(tokens_of(ctx, in, text, row, arena, &t->token));
	if (t->token.n == 0) return SN_OK;
	out->n_cut += cut(in, &t->token);
	out->n_token += t->token.n;
	out->n++;
	return SN_OK;
}

sn_status sn_lens_read(sn_lens_texts *out, sn_ctx *ctx, const sn_input *in, const char *column, int64_t limit,
                       sn_arena *arena)
{
	static const char *const usual[] = { "text", "sentence", "prefix", "sentence_good" };
	const sn_dataset *data = in->data[0];
	const sn_column *c = sn_text_column(ctx, data, column, usual, SN_COUNT(usual));
	if (!c) return SN_ENOTFOUND;
	int64_t n = limit > 0 ? SN_MIN(limit, data->n) : data->n;
	*out = (sn_lens_texts){ .source = data->source };
	SN_NEW(out->text, arena, sn_lens_text, n);
	for (int64_t row = 0; row < n; row++) SN_TRY(read_text(out, ctx, in, c->s[row], row, arena));
	if (out->n > 0) return SN_OK;
	return sn_fail(ctx, SN_EPARSE, "%s: column %s has no text in its first %lld rows", data->source, c->name,
	               (long long)n);
}

/* The start token, then the text's own: what a template adds at the end would end the text. */
static sn_status read_decoder(sn_ctx *ctx, const sn_input *in, const char *text, int64_t row, sn_arena *arena,
                              sn_tokens *out)
{
	sn_tokens own = { 0 };
	if (text && *text) SN_TRY(tokens_of(ctx, in, text, row, arena, &own));
	while (own.n > 0 && own.span[own.n - 1][0] == own.span[own.n - 1][1]) own.n--;
	*out = (sn_tokens){ .n = own.n + 1 };
	SN_NEW(out->id, arena, int32_t, out->n);
	out->id[0] = sn_model_get_info(in->model[0])->decoder_start;
	if (own.n) memcpy(out->id + 1, own.id, (size_t)own.n * sizeof *own.id);
	return SN_OK;
}

static sn_status read_pair(sn_lens_texts *out, sn_ctx *ctx, const sn_input *in, const char *source, const char *decoder,
                           int64_t row, sn_arena *arena)
{
	sn_lens_text *t = &out->text[out->n];
	*t = (sn_lens_text){ .row = row, .text = source };
	if (!source || !*source) return SN_OK;
	SN_TRY(tokens_of(ctx, in, source, row, arena, &t->source));
	if (t->source.n == 0) return SN_OK;
	SN_TRY(read_decoder(ctx, in, decoder, row, arena, &t->token));
	bool shorter = cut(in, &t->source);
	out->n_cut += cut(in, &t->token) || shorter;
	out->n_token += t->token.n + t->source.n;
	out->n++;
	return SN_OK;
}

sn_status sn_lens_read_pairs(sn_lens_texts *out, sn_ctx *ctx, const sn_input *in, const char *column,
                             const char *decoder, const char *usual, int64_t limit, sn_arena *arena)
{
	static const char *const sources[] = { "source", "text", "sentence" };
	const sn_dataset *data = in->data[0];
	const sn_model_info *info = sn_model_get_info(in->model[0]);
	const sn_column *from = sn_text_column(ctx, data, column, sources, SN_COUNT(sources)), *to = NULL;
	bool automatic = strcmp(decoder, "auto") == 0;
	if (!from) return SN_ENOTFOUND;
	if (info->decoder_start < 0)
		return sn_fail(ctx, SN_EARG, "%s: config.json names no decoder_start_token_id, which every target begins with",
		               info->path);
	if (!automatic && !(to = sn_text_column(ctx, data, decoder, NULL, 0))) return SN_ENOTFOUND;
	if (automatic) to = sn_lens_word_column(data, decoder, usual);
	int64_t n = limit > 0 ? SN_MIN(limit, data->n) : data->n;
	*out = (sn_lens_texts){ .source = data->source };
	SN_NEW(out->text, arena, sn_lens_text, n);
	for (int64_t row = 0; row < n; row++)
		SN_TRY(read_pair(out, ctx, in, from->s[row], to ? to->s[row] : NULL, row, arena));
	if (out->n > 0) return SN_OK;
	return sn_fail(ctx, SN_EPARSE, "%s: column %s has no text in its first %lld rows", data->source, from->name,
	               (long long)n);
}

/* What the encoder reads of texts which[0..n). */
static sn_status source_rows(const sn_lens_texts *texts, const int64_t *which, int64_t n, sn_arena *arena,
                             const sn_batch **out)
{
	sn_batch *enc;
	int64_t *start;
	int32_t *token;
	*out = NULL;
	if (n == 0 || texts->text[which[0]].source.n == 0) return SN_OK;
	SN_NEW(enc, arena, sn_batch, 1);
	SN_NEW(start, arena, int64_t, n + 1);
	for (int64_t b = 0; b < n; b++) start[b + 1] = start[b] + texts->text[which[b]].source.n;
	SN_NEW(token, arena, int32_t, start[n]);
	for (int64_t b = 0; b < n; b++)
		memcpy(token + start[b], texts->text[which[b]].source.id, (size_t)(start[b + 1] - start[b]) * sizeof *token);
	*enc = (sn_batch){ .n = (int32_t)n, .token = token, .start = start };
	*out = enc;
	return SN_OK;
}

sn_status sn_lens_batch_of(sn_batch *out, const sn_lens_texts *texts, const int64_t *which, int64_t n, sn_arena *arena)
{
	int64_t *start, *item;
	int32_t *token;
	SN_NEW(start, arena, int64_t, n + 1);
	SN_NEW(item, arena, int64_t, n);
	for (int64_t b = 0; b < n; b++) {
		start[b + 1] = start[b] + texts->text[which[b]].token.n;
		item[b] = texts->text[which[b]].row;
	}
	SN_NEW(token, arena, int32_t, start[n]);
	for (int64_t b = 0; b < n; b++)
		memcpy(token + start[b], texts->text[which[b]].token.id, (size_t)(start[b + 1] - start[b]) * sizeof *token);
	*out = (sn_batch){ .n = (int32_t)n, .token = token, .start = start, .item = item };
	return source_rows(texts, which, n, arena, &out->enc);
}

sn_status sn_lens_batch(sn_batch *out, const sn_lens_texts *texts, int64_t first, int64_t n, sn_arena *arena)
{
	int64_t *which;
	SN_NEW(which, arena, int64_t, n);
	for (int64_t b = 0; b < n; b++) which[b] = first + b;
	return sn_lens_batch_of(out, texts, which, n, arena);
}

int64_t sn_lens_fit(const sn_lens_texts *texts, int64_t first, int64_t n_token)
{
	int64_t n = 0, sum = 0;
	for (; first + n < texts->n; n++) {
		const sn_lens_text *t = &texts->text[first + n];
		sum += t->token.n + t->source.n;
		if (n > 0 && sum > n_token) break;
	}
	return n;
}

sn_status sn_lens_say_cut(sn_result *out, const sn_lens_texts *texts)
{
	if (texts->n_cut == 0) return SN_OK;
	return sn_result_limit(out, "%lld texts are longer than the model takes and were cut there.",
	                       (long long)texts->n_cut);
}

sn_status sn_lens_check_head(sn_ctx *ctx, const sn_model *model)
{
	const sn_model_info *info = sn_model_get_info(model);
	if (info->has_logits) return SN_OK;
	return sn_fail(ctx, SN_EARG, "%s has no language-model head: there is no vocabulary to read vectors in",
	               info->path);
}

sn_status sn_lens_check(sn_ctx *ctx, const sn_model *model)
{
	const sn_model_info *info = sn_model_get_info(model);
	SN_TRY(sn_lens_check_head(ctx, model));
	if (!info->n_layer_encoder) return SN_OK;
	return sn_fail(ctx, SN_EARG, "%s is an encoder-decoder; of the lenses it has logit and direct", info->path);
}

/* ---- numbers in sentences ---- */

static const char *with_interval(const sn_clustered *c, sn_interval i, double scale, const char *unit, int digits,
                                 sn_arena *arena)
{
	double mean = scale * sn_clustered_mean(c);
	if (isnan(i.low)) return sn_arena_format(arena, "%.*f%s", digits, mean, unit);
	return sn_arena_format(arena, "%.*f%s [%.*f, %.*f]", digits, mean, unit, digits, scale * i.low, digits,
	                       scale * i.high);
}

const char *sn_lens_percent(const sn_clustered *share, sn_arena *arena)
{
	return with_interval(share, sn_interval_within(sn_clustered_interval(share, 0.95), 0, 1), 100, " %", 0, arena);
}

const char *sn_lens_mean(const sn_clustered *mean, sn_arena *arena)
{
	return with_interval(mean, sn_clustered_interval(mean, 0.95), 1, "", 2, arena);
}

const char *sn_lens_mean_above(const sn_clustered *mean, double least, sn_arena *arena)
{
	return with_interval(mean, sn_interval_within(sn_clustered_interval(mean, 0.95), least, INFINITY), 1, "", 2, arena);
}

/* ---- words ---- */

const char *sn_lens_token(sn_ctx *ctx, const sn_model *model, int32_t id, sn_arena *arena)
{
	size_t size;
	const sn_tokenizer *tokenizer = sn_model_tokenizer(model);
	bool known = tokenizer && id >= 0 && id < sn_tokenizer_size(tokenizer);
	const char *text = known ? sn_token_text(ctx, tokenizer, id, arena, &size) : NULL;
	if (text && size == 1 && *text == ' ') return "␣";
	return text ? sn_readable(arena, text, size) : sn_arena_format(arena, "#%d", id);
}

static sn_status word_of(sn_ctx *ctx, const sn_model *model, const char *word, size_t size, sn_arena *arena,
                         int32_t *id)
{
	const sn_model_info *info = sn_model_get_info(model);
	sn_tokens t;
	char *text = sn_arena_format(arena, "%s%.*s", info->causal && word[0] != ' ' ? " " : "", (int)size, word);
	if (!text) return SN_ENOMEM;
	SN_TRY(sn_tokenize(ctx, sn_model_tokenizer(model), text, strlen(text), SN_PARSE_SPECIAL, arena, &t));
	if (t.n == 1) return *id = t.id[0], SN_OK;
	const char *list = sn_lens_list(ctx, model, t.id, NULL, (int)SN_MIN(t.n, (int64_t)8), arena);
	if (!list) return SN_ENOMEM;
	return sn_fail(ctx, SN_EARG, "\"%.*s\" is %lld tokens of %s (%s); name one token", (int)size, word,
	               (long long)t.n, info->path, list);
}

sn_status sn_lens_words_of(sn_lens_words *out, sn_ctx *ctx, const sn_model *model, const char *words, sn_arena *arena)
{
	*out = (sn_lens_words){ 0 };
	SN_NEW(out->id, arena, int32_t, strlen(words) / 2 + 1);
	for (const char *at = words; *at;) {
		size_t size = strcspn(at, "|");
		if (size == 0)
			return sn_fail(ctx, SN_EARG, "\"%s\" has an empty word; words are separated by single bars", words);
		SN_TRY(word_of(ctx, model, at, size, arena, &out->id[out->n++]));
		at += size + (at[size] == '|');
	}
	return SN_OK;
}

sn_status sn_lens_place(sn_ctx *ctx, const sn_model *model, const sn_dataset *data, const sn_lens_text *text,
                        int64_t *place)
{
	const sn_model_info *info = sn_model_get_info(model);
	*place = text->token.n - 1;
	if (info->causal) return SN_OK;
	for (int64_t i = 0; i < text->token.n; i++)
		if (text->token.id[i] == info->mask) return *place = i, SN_OK;
	return sn_fail(ctx, SN_EPARSE, "%s: row %lld: the text has no mask, where a masked model predicts", data->source,
	               (long long)text->row + 1);
}

const sn_column *sn_lens_word_column(const sn_dataset *data, const char *option, const char *usual)
{
	const sn_column *c = sn_dataset_column(data, strcmp(option, "auto") == 0 ? usual : option);
	return c && c->type == SN_TYPE_TEXT ? c : NULL;
}

sn_status sn_lens_word_at(sn_ctx *ctx, const sn_model *model, const sn_dataset *data, const sn_column *column,
                          const char *option, int64_t row, sn_arena *arena, int32_t *id)
{
	const char *word = column ? column->s[row] : strcmp(option, "auto") == 0 ? NULL : option;
	sn_lens_words words;
	*id = -1;
	if (!word) return SN_OK;
	sn_status status = sn_lens_words_of(&words, ctx, model, word, arena);
	if (status != SN_OK)
		return sn_fail(ctx, status, "%s: row %lld: %s", data->source, (long long)row + 1, sn_error(ctx));
	if (words.n != 1)
		return sn_fail(ctx, SN_EARG, "%s: row %lld: \"%s\": one word is explained at a time", data->source,
		               (long long)row + 1, word);
	*id = words.id[0];
	return SN_OK;
}

const char *sn_lens_list(sn_ctx *ctx, const sn_model *model, const int32_t *id, const double *number, int n,
                         sn_arena *arena)
{
	sn_buf buf = { .ctx = ctx };
	for (int i = 0; i < n; i++) {
		const char *token = sn_lens_token(ctx, model, id[i], arena);
		sn_buf_format(&buf, "%s%s", i ? " · " : "", token ? token : "");
		if (number) sn_buf_format(&buf, " %.3g", number[i]);
		buf.failed |= !token;
	}
	const char *text = buf.failed ? NULL : sn_arena_copy(arena, buf.size ? buf.data : "", buf.size);
	sn_buf_free(&buf);
	return text;
}
