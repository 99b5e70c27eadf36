/* Words of texts as places of rows. */
#include "methods/behaviour/target.h"

#include <math.h>
#include <string.h>

bool sn_targets_causal(const sn_targets *t) { return sn_model_get_info(t->model)->causal; }

sn_status sn_targets_make(sn_targets *out, sn_ctx *ctx, sn_model *model, bool l2r, sn_arena *arena)
{
	const sn_model_info *info = sn_model_get_info(model);
	*out = (sn_targets){ ctx, model, l2r, sn_asks_make(ctx), arena };
	if (!info->has_logits)
		return sn_fail(ctx, SN_EARG, "%s has no language-model head: it predicts no tokens", info->path);
	if (info->n_layer_encoder)
		return sn_fail(ctx, SN_EARG,
					   "%s is an encoder-decoder, which expects a whole text given another: score candidates with "
					   "sonde behaviour pairs --source",
					   info->path);
	if (!info->causal && info->mask < 0)
		return sn_fail(ctx, SN_EARG, "%s: a masked model whose tokenizer has no mask token predicts none", info->path);
	return SN_OK;
}

/* Where a token's first letter stands; a token of white space alone: its end. */
static int64_t visible(const char *text, const int64_t span[2])
{
	int64_t at = span[0];
	while (at < span[1] && strchr(" \t\r\n", text[at])) at++;
	return at;
}

/* Tokens [*from, *to) that begin in the span. */
static void find(const char *text, const sn_tokens *t, const int64_t span[2], int64_t *from, int64_t *to, bool *cut)
{
	*from = *to = -1;
	*cut = false;
	for (int64_t i = 0; i < t->n; i++) {
		int64_t at = visible(text, t->span[i]), end = t->span[i][1];
		if (end <= t->span[i][0] || at >= span[1] || end <= span[0]) continue;
		if (at == end) continue;
		*cut |= at < span[0] || end > span[1];
		if (at < span[0]) continue;
		if (*from < 0) *from = i;
		*to = i + 1;
	}
}

static void ask_causal(sn_targets *t, const sn_tokens *tokens, int64_t from, int64_t to, sn_target *out)
{
	sn_asks_row(&t->asks);
	sn_asks_add(&t->asks, tokens->id, to - 1);
	for (int64_t i = from; i < to; i++) sn_asks_want(&t->asks, i - 1, tokens->id[i]);
	out->n = to - from;
}

static void ask_masked(sn_targets *t, const sn_tokens *tokens, int64_t from, int64_t to, bool l2r, sn_target *out)
{
	int32_t mask = sn_model_get_info(t->model)->mask;
	for (int64_t i = from; i < to; i++) {
		sn_asks_row(&t->asks);
		for (int64_t j = 0; j < tokens->n; j++) {
			bool hidden = j == i || (l2r && j > i && j < to);
			sn_asks_add(&t->asks, hidden ? &mask : &tokens->id[j], 1);
		}
		sn_asks_want(&t->asks, i, tokens->id[i]);
	}
	out->n = to - from;
}

sn_status sn_target_add(sn_targets *t, const char *text, const int64_t span[2], bool whole, sn_target *out)
{
	sn_tokens tokens;
	int64_t from, to;
	*out = (sn_target){ .first = t->asks.n_place };
	SN_TRY(sn_tokenize(t->ctx, sn_model_tokenizer(t->model), text, strlen(text), SN_ADD_SPECIAL, t->arena, &tokens));
	find(text, &tokens, span, &from, &to, &out->cut);
	if (from < 0 || out->cut) return SN_OK;
	if (!sn_targets_causal(t)) {
		ask_masked(t, &tokens, from, to, t->l2r && !whole, out);
		return SN_OK;
	}
	from += whole && from == 0;
	out->missing = from == 0;
	if (from > 0 && to > from) ask_causal(t, &tokens, from, to, out);
	return SN_OK;
}

/* What precedes a blank, without the white space before it, or the text with one mask in place of the span. */
static sn_status blank_text(const sn_targets *t, const char *text, const int64_t span[2], const char **out)
{
	int64_t left = span[0];
	size_t size;
	if (sn_targets_causal(t)) {
		while (left > 0 && strchr(" \t\r\n", text[left - 1])) left--;
		*out = sn_arena_copy(t->arena, text, (size_t)left);
		return *out ? SN_OK : SN_ENOMEM;
	}
	const char *mask =
		sn_token_text(t->ctx, sn_model_tokenizer(t->model), sn_model_get_info(t->model)->mask, t->arena, &size);
	*out = mask ? sn_arena_format(t->arena, "%.*s%s%s", (int)left, text, mask, text + span[1]) : NULL;
	return *out ? SN_OK : SN_ENOMEM;
}

sn_status sn_target_blank(sn_targets *t, const char *text, const int64_t span[2], sn_target *out)
{
	int32_t mask = sn_model_get_info(t->model)->mask;
	sn_tokens tokens;
	const char *blank;
	*out = (sn_target){ .first = t->asks.n_place };
	SN_TRY(blank_text(t, text, span, &blank));
	SN_TRY(sn_tokenize(t->ctx, sn_model_tokenizer(t->model), blank, strlen(blank), SN_ADD_SPECIAL | SN_PARSE_SPECIAL,
					   t->arena, &tokens));
	int64_t pos = tokens.n - 1;
	if (!sn_targets_causal(t))
		for (pos = 0; pos < tokens.n && tokens.id[pos] != mask;) pos++;
	out->missing = pos < 0 || pos >= tokens.n;
	if (out->missing) return SN_OK;
	sn_asks_row(&t->asks);
	sn_asks_add(&t->asks, tokens.id, tokens.n);
	sn_asks_want(&t->asks, pos, 0);
	out->n = 1;
	return SN_OK;
}

double sn_target_logprob(const sn_target *target, const sn_predict *found)
{
	double sum = 0;
	if (target->missing || target->cut || target->n == 0) return NAN;
	for (int64_t i = 0; i < target->n; i++) sum += found->logprob[target->first + i];
	return sum;
}
