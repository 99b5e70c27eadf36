/* Rows of a data set, or runs of them, as texts with their words. */
#include "data/passages.h"

#include "io/conllu.h"
#include "text/classes.h"

#include <string.h>

static void fail_missing(sn_ctx *ctx, const sn_dataset *data, const char *name)
{
	char list[300] = "";
	size_t used = 0;
	for (int c = 0; c < data->n_col && used + 40 < sizeof list; c++)
		used += (size_t)sn_format(list + used, sizeof list - used, "%s%.30s", c ? ", " : "", data->col[c].name);
	(void)sn_fail(ctx, SN_ENOTFOUND, "%s: no column %s; it has %s", data->source, name, list);
}

const sn_column *sn_text_column(sn_ctx *ctx, const sn_dataset *data, const char *name, const char *const *usual,
								int n_usual)
{
	bool automatic = strcmp(name, "auto") == 0;
	const sn_column *found = automatic ? NULL : sn_dataset_column(data, name);
	for (int i = 0; automatic && !found && i < n_usual; i++) found = sn_dataset_column(data, usual[i]);
	if (found && found->type == SN_TYPE_TEXT) return found;
	if (automatic && n_usual > 0) name = usual[0];
	if (found)
		(void)sn_fail(ctx, SN_EPARSE, "%s: column %s is not text", data->source, found->name);
	else
		fail_missing(ctx, data, name);
	return NULL;
}

typedef struct maker {
	sn_ctx *ctx;
	const sn_dataset *data;
	const sn_passage_query *query;
	const sn_column *text, *by;
	sn_arena *arena;
	sn_buf bytes, unit; /* of the passage at hand */
} maker;

/* ---- words ---- */

static sn_status add_unit(maker *k, int64_t row, const char *id, int64_t first, int64_t end)
{
	sn_unit unit = { row, id, { first, end } };
	sn_buf_add(&k->unit, &unit, sizeof unit);
	return id && !k->unit.failed ? SN_OK : SN_ENOMEM;
}

/* Returns where a run of white space, or of anything else, ends. */
static size_t run_end(const char *text, size_t size, size_t at, bool space)
{
	for (size_t next = at; at < size && sn_is_space(sn_utf8_next(text, size, &next)) == space;) at = next;
	return at;
}

/* Words between white space of any kind. */
static sn_status add_spaced(maker *k, int64_t row, const char *text, int64_t base)
{
	size_t size = strlen(text), at = run_end(text, size, 0, true);
	for (int64_t word = 1; at < size; word++) {
		size_t end = run_end(text, size, at, false);
		SN_TRY(add_unit(k, row, sn_arena_format(k->arena, "%lld", (long long)word), base + (int64_t)at,
						base + (int64_t)end));
		at = run_end(text, size, end, true);
	}
	return SN_OK;
}

/* Words of a treebank; those of a multi-word token share a span, and are one. */
static sn_status add_surface(maker *k, int64_t row, const sn_conllu_sentence *s, int64_t base)
{
	for (int32_t w = 0, last; w < s->n_word; w = last + 1) {
		const sn_conllu_word *word = &s->word[w], *end = word;
		last = w;
		if (word->empty) continue;
		for (int32_t next = w + 1; next < s->n_word; next++) {
			if (s->word[next].empty) continue;
			if (s->word[next].span[0] != word->span[0]) break;
			end = &s->word[last = next];
		}
		char *id = word == end ? sn_arena_format(k->arena, "%d", word->id)
							   : sn_arena_format(k->arena, "%d-%d", word->id, end->id);
		SN_TRY(add_unit(k, row, id, base + word->span[0], base + word->span[1]));
	}
	return SN_OK;
}

/* ---- passages ---- */

static bool same_document(const maker *k, int64_t a, int64_t b)
{
	if (!k->query->document) return false;
	if (k->by) return k->by->s[a] && k->by->s[b] && strcmp(k->by->s[a], k->by->s[b]) == 0;
	const sn_conllu *bank = k->data->treebank;
	return !bank || bank->sentence[a].document == bank->sentence[b].document;
}

static sn_status add_row(maker *k, int64_t row)
{
	if (k->bytes.size) sn_buf_puts(&k->bytes, k->query->join);
	int64_t base = (int64_t)k->bytes.size;
	const char *text = k->text->s[row];
	if (!text)
		return sn_fail(k->ctx, SN_EPARSE, "%s: row %lld has no %s", k->data->source, (long long)row + 1, k->text->name);
	sn_buf_puts(&k->bytes, text);
	if (k->data->treebank) return add_surface(k, row, &k->data->treebank->sentence[row], base);
	return add_spaced(k, row, text, base);
}

static sn_status make_passage(maker *k, int64_t first, int64_t end, sn_passage *out)
{
	k->bytes.size = k->unit.size = 0;
	for (int64_t row = first; row < end; row++) SN_TRY(add_row(k, row));
	*out = (sn_passage){ .size = (int64_t)k->bytes.size, .row = first, .n = (int64_t)(k->unit.size / sizeof(sn_unit)) };
	SN_NEW(out->unit, k->arena, sn_unit, out->n);
	if (out->n) memcpy(out->unit, k->unit.data, k->unit.size);
	out->text = k->bytes.failed ? NULL : sn_arena_copy(k->arena, k->bytes.size ? k->bytes.data : "", k->bytes.size);
	return out->text ? SN_OK : SN_ENOMEM;
}

static sn_status make_all(maker *k, int64_t n_row, sn_passage *out, int64_t *n)
{
	*n = 0;
	for (int64_t first = 0, end; first < n_row; first = end) {
		for (end = first + 1; end < n_row && same_document(k, first, end);) end++;
		SN_TRY(make_passage(k, first, end, &out[(*n)++]));
	}
	return SN_OK;
}

sn_status sn_passages_make(sn_passage **out, int64_t *n, sn_ctx *ctx, const sn_dataset *data,
						   const sn_passage_query *query, sn_arena *arena)
{
	static const char *const usual[] = { "text", "sentence" }, *const none[] = { "" };
	maker k = {
		.ctx = ctx, .data = data, .query = query, .arena = arena, .bytes = { .ctx = ctx }, .unit = { .ctx = ctx }
	};
	int64_t n_row = query->limit > 0 ? SN_MIN(query->limit, data->n) : data->n;
	k.text = sn_text_column(ctx, data, query->column, usual, SN_COUNT(usual));
	if (!k.text) return SN_ENOTFOUND;
	if (query->by[0] && !(k.by = sn_text_column(ctx, data, query->by, none, 0))) return SN_ENOTFOUND;
	SN_NEW(*out, arena, sn_passage, n_row);
	sn_status status = make_all(&k, n_row, *out, n);
	sn_buf_free(&k.bytes);
	sn_buf_free(&k.unit);
	return status;
}

int64_t sn_visible(const char *text, const int64_t span[2])
{
	return (int64_t)run_end(text, (size_t)span[1], (size_t)span[0], true);
}

bool sn_token_continues(const char *text, const sn_tokens *tokens, int64_t i)
{
	size_t before = (size_t)tokens->span[i][0], at = before, end = (size_t)tokens->span[i][1];
	if (tokens->word[i] < 0 || tokens->word[i] != tokens->word[i - 1] || at == end) return false;
	return !sn_is_space(sn_utf8_next(text, end, &at)) && !(before > 0 && sn_is_space(sn_utf8_before(text, &before)));
}
