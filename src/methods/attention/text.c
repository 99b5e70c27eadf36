/* Texts to tokens and units. */
#include "data/passages.h"
#include "methods/attention/attention.h"

#include <string.h>

typedef struct reader {
	sn_ctx *ctx;
	const sn_model *model;
	const sn_dataset *data;
	const sn_attn_query *query;
	sn_arena *arena;
	int64_t most;
} reader;

/* ---- units ---- */

/* The word in which a token begins, white space before it not counted; -1: none. *from: where to look, moved on. */
static int32_t word_of(const sn_passage *p, const int64_t span[2], int32_t *from)
{
	int64_t at = sn_visible(p->text, span);
	while (*from < p->n && p->unit[*from].span[1] <= at) (*from)++;
	bool inside = at < span[1] && *from < p->n && p->unit[*from].span[0] <= at;
	return inside ? *from : -1;
}

static sn_status unit_label(const reader *r, const sn_passage *p, const sn_attn_side *side, int32_t u, const char **out)
{
	size_t size = 0;
	const int64_t *span = side->word[u] >= 0 ? p->unit[side->word[u]].span : NULL;
	const char *text = span && r->query->words ? p->text + span[0] : NULL;
	if (text) size = (size_t)(span[1] - span[0]);
	if (!text)
		text = sn_token_text(r->ctx, sn_model_tokenizer(r->model), side->token[side->unit[u][0]], r->arena, &size);
	while (text && size > 1 && text[0] == ' ') {
		text++;
		size--;
	}
	bool readable = text && size > 0 && text[0] != '\n' && sn_utf8_check(text, size) < 0;
	*out = sn_arena_format(r->arena, "%d %.*s", u, readable ? (int)size : 1, readable ? text : "?");
	return *out ? SN_OK : SN_ENOMEM;
}

/* begin: tokens that the model puts before the text's own (a decoder's first one). */
static sn_status cut_units(const reader *r, const sn_passage *p, const sn_tokens *t, int32_t begin, sn_attn_side *side)
{
	int32_t from = 0, before = -1;
	for (int32_t i = 0; i < side->n; i++) {
		const int64_t *span = i < begin ? NULL : t->span[i - begin];
		bool added = !span || span[0] == span[1];
		int32_t word = added ? -1 : word_of(p, span, &from);
		if (r->query->words && word >= 0 && word == before) {
			side->unit[side->n_unit - 1][1] = i + 1;
			continue;
		}
		side->unit[side->n_unit][0] = i;
		side->unit[side->n_unit][1] = i + 1;
		side->word[side->n_unit] = before = word;
		side->added[side->n_unit++] = added;
	}
	for (int32_t u = 0; u < side->n_unit; u++) SN_TRY(unit_label(r, p, side, u, &side->label[u]));
	return SN_OK;
}

static sn_status make_side(const reader *r, const sn_passage *p, int32_t begin, sn_attn_side *side)
{
	sn_tokens t;
	SN_TRY(sn_tokenize(r->ctx, sn_model_tokenizer(r->model), p->text, (size_t)p->size,
	                   SN_ADD_SPECIAL | SN_PARSE_SPECIAL, r->arena, &t));
	int64_t n = t.n + (begin >= 0);
	if (t.n == 0 || n > r->most)
		return sn_fail(r->ctx, SN_EPARSE, "%s: row %lld: the text has %lld tokens; expected 1 to %lld", r->data->source,
		               (long long)p->row + 1, (long long)t.n, (long long)r->most);
	*side = (sn_attn_side){ .text = p->text, .n = (int32_t)n, .n_word = (int32_t)p->n };
	SN_NEW(side->token, r->arena, int32_t, n);
	SN_NEW(side->word, r->arena, int32_t, n);
	SN_NEW(side->added, r->arena, bool, n);
	SN_NEW(side->label, r->arena, const char *, n);
	side->unit = sn_arena_take(r->arena, sn_size3((size_t)n, sizeof *side->unit, 1));
	if (!side->unit) return SN_ENOMEM;
	if (begin >= 0) side->token[0] = begin;
	memcpy(side->token + (begin >= 0), t.id, (size_t)t.n * sizeof *t.id);
	return cut_units(r, p, &t, begin >= 0, side);
}

/* ---- texts ---- */

static sn_status passages_of(const reader *r, const char *column, const char *const *usual, int n_usual,
                             sn_passage **out, int64_t *n)
{
	if (usual) {
		const sn_column *c = sn_text_column(r->ctx, r->data, column, usual, n_usual);
		if (!c) return SN_ENOTFOUND;
		column = c->name;
	}
	sn_passage_query query = { .column = column, .by = "", .join = "", .limit = r->query->limit };
	return sn_passages_make(out, n, r->ctx, r->data, &query, r->arena);
}

static sn_status read_pairs(const reader *r, int32_t start, sn_attn_texts *out)
{
	static const char *const source[] = { "source" }, *const target[] = { "target" };
	sn_passage *from, *to;
	int64_t n;
	SN_TRY(passages_of(r, r->query->source, source, 1, &from, &n));
	SN_TRY(passages_of(r, r->query->target, target, 1, &to, &n));
	SN_NEW(out->text, r->arena, sn_attn_text, n);
	for (int64_t i = 0; i < n; i++) {
		sn_attn_text *text = &out->text[out->n++];
		text->row = i;
		SN_TRY(make_side(r, &from[i], -1, &text->source));
		SN_TRY(make_side(r, &to[i], start, &text->own));
	}
	return SN_OK;
}

static sn_status read_texts(const reader *r, sn_attn_texts *out)
{
	sn_passage *p;
	int64_t n;
	SN_TRY(passages_of(r, r->query->column, NULL, 0, &p, &n));
	SN_NEW(out->text, r->arena, sn_attn_text, n);
	for (int64_t i = 0; i < n; i++) {
		if (p[i].n == 0) continue;
		out->text[out->n].row = p[i].row;
		SN_TRY(make_side(r, &p[i], -1, &out->text[out->n++].own));
	}
	return SN_OK;
}

sn_status sn_attn_read(sn_attn_texts *out, sn_ctx *ctx, const sn_model *model, const sn_dataset *data,
                       const sn_attn_query *query, sn_arena *arena)
{
	const sn_model_info *info = sn_model_get_info(model);
	reader r = { ctx, model, data, query, arena, info->n_ctx > 0 ? info->n_ctx : INT32_MAX };
	*out = (sn_attn_texts){ 0 };
	if (info->n_layer_encoder && info->decoder_start < 0)
		return sn_fail(ctx, SN_EARG, "%s: config.json names no decoder_start_token_id, which every target begins with",
		               info->path);
	SN_TRY(info->n_layer_encoder ? read_pairs(&r, info->decoder_start, out) : read_texts(&r, out));
	return out->n > 0 ? SN_OK : sn_fail(ctx, SN_EPARSE, "%s: no row has a text", data->source);
}
