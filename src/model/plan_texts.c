/* Texts of a plan: their tokens, the roles in them, places. */
#include "model/plan_read.h"

#include "base/option.h"
#include "model/model.h"

#include <string.h>

/* ---- members ---- */

sn_status sn_plan_keys(const sn_plan_reader *r, const json_t *object, const char *const *word)
{
	const char *key;
	json_t *value;
	int n = 0;
	if (!json_is_object(object))
		return sn_json_fail(r->doc, object, NULL, SN_EPARSE, "expected an object, found %s", sn_json_type_name(object));
	while (word[n]) n++;
	json_object_foreach((json_t *)(uintptr_t)object, key, value) {
		int i = 0;
		while (i < n && strcmp(word[i], key) != 0) i++;
		if (i < n) continue;
		int nearest = sn_nearest(key, word, n);
		if (nearest < 0) return sn_json_fail(r->doc, object, key, SN_EPARSE, "unknown member; docs/plan.md lists them");
		return sn_json_fail(r->doc, object, key, SN_EPARSE, "unknown member; did you mean \"%s\"?", word[nearest]);
	}
	return SN_OK;
}

sn_status sn_plan_word(const sn_plan_reader *r, const json_t *object, const char *key, const char *const *word,
                       int *out)
{
	const char *text;
	sn_buf all = { .ctx = r->ctx };
	SN_TRY(sn_json_string(r->doc, object, key, &text));
	for (*out = 0; word[*out]; ++*out)
		if (strcmp(word[*out], text) == 0) return SN_OK;
	for (int i = 0; word[i]; i++) sn_buf_format(&all, "%s%s", i ? ", " : "", word[i]);
	sn_status status = all.failed ? SN_ENOMEM : sn_json_fail(r->doc, object, key, SN_EPARSE, "\"%.40s\" is none of %s",
	                                                         text, all.data);
	sn_buf_free(&all);
	return status;
}

sn_status sn_plan_text_of(const sn_plan_reader *r, const json_t *at, const char *key, const json_t *value, int32_t *out)
{
	if (json_is_integer(value)) {
		json_int_t number = json_integer_value(value);
		if (number >= 0 && number < r->n_text) return *out = (int32_t)number, SN_OK;
		return sn_json_fail(r->doc, at, key, SN_EARG, "text %lld; there are %d, counted from 0", (long long)number,
		                    r->n_text);
	}
	if (!json_is_string(value))
		return sn_json_fail(r->doc, at, key, SN_EPARSE, "expected a text's name or number, found %s",
		                    sn_json_type_name(value));
	for (*out = 0; *out < r->n_text; ++*out)
		if (strcmp(r->text[*out].name, json_string_value(value)) == 0) return SN_OK;
	return sn_json_fail(r->doc, at, key, SN_ENOTFOUND, "no text is named \"%.40s\"", json_string_value(value));
}

/* ---- roles ---- */

sn_status sn_plan_span(sn_plan_reader *r, const json_t *at, const char *key, const char *name, int *out)
{
	for (*out = 0; *out < r->n_span; ++*out)
		if (strcmp(r->span[*out], name) == 0) return SN_OK;
	if (r->n_span == SN_PLAN_SPANS)
		return sn_json_fail(r->doc, at, key, SN_EARG, "more than %d different spans", SN_PLAN_SPANS);
	r->span[r->n_span++] = name;
	return SN_OK;
}

static sn_status add_spans(sn_plan_reader *r, const json_t *object)
{
	json_t *spans, *value;
	const char *name;
	SN_TRY(sn_json_object_or(r->doc, object, "spans", &spans));
	json_object_foreach(spans, name, value) {
		int number;
		SN_TRY(sn_plan_span(r, spans, name, name, &number));
		if (object == r->doc->root) r->span_of_all[number] = value;
	}
	return SN_OK;
}

/* The n-th occurrence of a fragment, from 1; n 0: the only one. *out is NULL where there is none. */
static sn_status find_fragment(const sn_plan_reader *r, const json_t *at, const char *key, const char *text,
                               const char *fragment, int64_t nth, const char **out)
{
	const char *found = fragment[0] ? strstr(text, fragment) : NULL;
	*out = found;
	for (int64_t i = 1; i < nth && found; i++) *out = found = strstr(found + 1, fragment);
	if (!fragment[0]) return sn_json_fail(r->doc, at, key, SN_EPARSE, "an empty fragment stands everywhere");
	if (nth == 0 && found && strstr(found + 1, fragment))
		return sn_json_fail(r->doc, at, key, SN_EARG, "\"%.40s\" stands more than once in \"%.40s\"; say which: "
		                    "{\"text\": ..., \"nth\": 1}", fragment, text);
	return SN_OK;
}

/* Tokens that share a byte with [first, last) of a text. */
static void tokens_of(const sn_tokens *t, int64_t first, int64_t last, int32_t out[2])
{
	for (int64_t i = 0; i < t->n; i++) {
		if (t->span[i][1] <= first || t->span[i][0] >= last || t->span[i][0] == t->span[i][1]) continue;
		if (out[0] < 0) out[0] = (int32_t)i;
		out[1] = (int32_t)i + 1;
	}
}

static sn_status positions_span(const sn_plan_reader *r, const json_t *at, const char *key, const json_t *value,
                                int64_t n, int32_t out[2])
{
	const json_t *first = json_array_get(value, 0), *end = json_array_get(value, 1);
	if (json_array_size(value) != 2 || !json_is_integer(first) || !json_is_integer(end))
		return sn_json_fail(r->doc, at, key, SN_EPARSE, "expected [first, end) as two positions of tokens");
	json_int_t a = json_integer_value(first), b = json_integer_value(end);
	if (a < 0 || a >= b || b > n)
		return sn_json_fail(r->doc, at, key, SN_EARG, "[%lld, %lld) in a text of %lld tokens", (long long)a,
		                    (long long)b, (long long)n);
	out[0] = (int32_t)a;
	out[1] = (int32_t)b;
	return SN_OK;
}

/* One span in one text; {-1, -1} where its fragment does not stand. shift: tokens in front of the text's own. */
static sn_status find_span(const sn_plan_reader *r, const json_t *at, const char *key, const json_t *value,
                           const char *text, const sn_tokens *tokens, int32_t shift, int32_t out[2])
{
	static const char *const words[] = { "text", "nth", NULL };
	const char *fragment, *found;
	int64_t nth = 0;
	out[0] = out[1] = -1;
	if (json_is_array(value)) return positions_span(r, at, key, value, tokens->n + shift, out);
	if (json_is_object(value)) {
		SN_TRY(sn_plan_keys(r, value, words));
		SN_TRY(sn_json_string(r->doc, value, "text", &fragment));
		SN_TRY(sn_json_i64_or(r->doc, value, "nth", 0, &nth));
	} else if (json_is_string(value)) {
		fragment = json_string_value(value);
	} else {
		return sn_json_fail(r->doc, at, key, SN_EPARSE, "expected a fragment of the text, {\"text\", \"nth\"} or "
		                    "[first, end), found %s", sn_json_type_name(value));
	}
	SN_TRY(find_fragment(r, at, key, text, fragment, nth, &found));
	if (!found) return SN_OK;
	tokens_of(tokens, found - text, found - text + (int64_t)strlen(fragment), out);
	if (out[0] >= 0) out[0] += shift, out[1] += shift;
	return SN_OK;
}

/* A span's value for a text: the text's own, or the plan's. */
static const json_t *value_of(const sn_plan_reader *r, const sn_plan_text *t, int span, const json_t **at)
{
	const json_t *own = t->json ? json_object_get(json_object_get(t->json, "spans"), r->span[span]) : NULL;
	*at = own ? json_object_get(t->json, "spans") : json_object_get(r->doc->root, "spans");
	return own ? own : r->span_of_all[span];
}

/* ---- texts ---- */

static sn_status read_text(sn_plan_reader *r, const json_t *value, int32_t i)
{
	static const char *const words[] = { "name", "text", "target", "spans", "want", "foil", NULL };
	sn_plan_text *t = &r->text[i];
	const json_t *list = json_object_get(r->doc->root, "texts");
	const char *number = sn_arena_format(r->arena, "%d", i);
	if (!number) return SN_ENOMEM;
	*t = (sn_plan_text){ .name = number };
	if (json_is_string(value)) return t->text = json_string_value(value), SN_OK;
	if (!json_is_object(value))
		return sn_json_fail(r->doc, list, NULL, SN_EPARSE, "text %d: expected a text or an object, found %s", i,
		                    sn_json_type_name(value));
	t->json = value;
	SN_TRY(sn_plan_keys(r, value, words));
	SN_TRY(sn_json_string(r->doc, value, "text", &t->text));
	SN_TRY(sn_json_string_or(r->doc, value, "name", number, &t->name));
	SN_TRY(sn_json_string_or(r->doc, value, "target", NULL, &t->target));
	for (int32_t j = 0; j < i; j++)
		if (strcmp(r->text[j].name, t->name) == 0)
			return sn_json_fail(r->doc, value, "name", SN_EARG, "text %d has the same name, \"%.40s\"", j, t->name);
	return add_spans(r, value);
}

static sn_status tokenize(sn_plan_reader *r, sn_plan_text *t)
{
	const sn_tokenizer *tokenizer = sn_model_tokenizer(r->model);
	if (!tokenizer) return sn_fail(r->ctx, SN_EARG, "the model has no tokenizer to read a plan's texts with");
	SN_TRY(sn_tokenize(r->ctx, tokenizer, t->text, strlen(t->text), SN_ADD_SPECIAL, r->arena, &t->tokens));
	if (t->tokens.n == 0)
		return sn_fail(r->ctx, SN_EPARSE, "%s: text \"%.40s\" has no tokens", r->doc->source, t->name);
	if (!r->model->encoder && t->target)
		return sn_json_fail(r->doc, t->json, "target", SN_EARG, "only an encoder-decoder has a target");
	const char *target = t->target ? t->target : "";
	return sn_tokenize(r->ctx, tokenizer, target, strlen(target), 0, r->arena, &t->decoder);
}

/* One row a text, and again where twins stand in front; first: a token in front of each, or -1. */
static sn_status pack(sn_plan_reader *r, bool decoder, int32_t first, sn_batch *out)
{
	int32_t n = r->n_twin + r->n_text, *token;
	int64_t *start, *item;
	SN_NEW(start, r->arena, int64_t, n + 1);
	SN_NEW(item, r->arena, int64_t, n);
	for (int32_t b = 0; b < n; b++) {
		const sn_plan_text *t = &r->text[b % r->n_text];
		start[b + 1] = start[b] + (first >= 0) + (decoder ? t->decoder.n : t->tokens.n);
		item[b] = b % r->n_text;
	}
	SN_NEW(token, r->arena, int32_t, start[n]);
	for (int32_t b = 0; b < n; b++) {
		const sn_plan_text *t = &r->text[b % r->n_text];
		const sn_tokens *from = decoder ? &t->decoder : &t->tokens;
		token[start[b]] = first;
		if (from->n) memcpy(token + start[b] + (first >= 0), from->id, (size_t)from->n * sizeof *token);
	}
	*out = (sn_batch){ .n = n, .token = token, .start = start, .item = item };
	return SN_OK;
}

/* Fills a batch's spans; call again when the plan's places have named more. */
static sn_status fill_spans(sn_plan_reader *r, bool decoder, sn_batch *out)
{
	int32_t shift = decoder ? 1 : 0;
	int32_t (*span)[2] = sn_arena_take(r->arena, sn_size3((size_t)out->n, (size_t)r->n_span, sizeof *span));
	if (!span) return SN_ENOMEM;
	for (int32_t b = 0; b < out->n; b++) {
		const sn_plan_text *t = &r->text[b % r->n_text];
		for (int s = 0; s < r->n_span; s++) {
			const json_t *at, *value = value_of(r, t, s, &at);
			int32_t *to = span[(int64_t)b * r->n_span + s];
			to[0] = to[1] = -1;
			if (value)
				SN_TRY(find_span(r, at, r->span[s], value, decoder ? t->target ? t->target : "" : t->text,
				                 decoder ? &t->decoder : &t->tokens, shift, to));
		}
	}
	out->span = (const int32_t(*)[2])span;
	out->n_span = r->n_span;
	return SN_OK;
}

static sn_status make_batches(sn_plan_reader *r)
{
	const sn_model_info *info = sn_model_get_info(r->model);
	sn_plan_file *out = r->out;
	if (!r->model->encoder) {
		SN_TRY(pack(r, false, -1, &out->batch));
		return fill_spans(r, false, &out->batch);
	}
	if (info->decoder_start < 0)
		return sn_fail(r->ctx, SN_EARG, "%s: config.json names no decoder_start_token_id, which every target begins "
		               "with", info->path);
	SN_TRY(pack(r, false, -1, &out->enc));
	SN_TRY(pack(r, true, info->decoder_start, &out->batch));
	SN_TRY(fill_spans(r, false, &out->enc));
	SN_TRY(fill_spans(r, true, &out->batch));
	out->batch.enc = &out->enc;
	return SN_OK;
}

static sn_status fill_names(sn_plan_reader *r)
{
	sn_plan_file *out = r->out;
	SN_NEW(out->name, r->arena, const char *, out->batch.n);
	SN_NEW(out->text, r->arena, const char *, out->batch.n);
	SN_NEW(out->edited, r->arena, bool, out->batch.n);
	for (int32_t b = 0; b < out->batch.n; b++) {
		out->name[b] = r->text[b % r->n_text].name;
		out->text[b] = r->text[b % r->n_text].text;
	}
	return SN_OK;
}

sn_status sn_plan_read_texts(sn_plan_reader *r, const char *const *more, int64_t n_more)
{
	const json_t *root = r->doc->root;
	json_t *list;
	bool twins;
	SN_TRY(sn_json_array_or(r->doc, root, "texts", &list));
	SN_TRY(sn_json_bool_or(r->doc, root, "unedited", false, &twins));
	int64_t n = (int64_t)json_array_size(list) + n_more;
	if (n == 0)
		return sn_json_fail(r->doc, NULL, "texts", SN_ENOTFOUND, "there is no text; write one here or give --data");
	if (n > INT32_MAX / 4) return sn_fail(r->ctx, SN_EARG, "%s: %lld texts are too many", r->doc->source, (long long)n);
	SN_NEW(r->text, r->arena, sn_plan_text, n);
	SN_TRY(add_spans(r, root));
	for (; r->n_text < n; r->n_text++) {
		int64_t own = (int64_t)json_array_size(list), i = r->n_text;
		if (i < own) {
			SN_TRY(read_text(r, json_array_get(list, (size_t)i), r->n_text));
		} else {
			const char *name = sn_arena_format(r->arena, "%lld", (long long)i);
			if (!name) return SN_ENOMEM;
			r->text[i] = (sn_plan_text){ .name = name, .text = more[i - own] ? more[i - own] : "" };
		}
		SN_TRY(tokenize(r, &r->text[i]));
	}
	r->n_twin = twins ? r->n_text : 0;
	SN_TRY(make_batches(r));
	return fill_names(r);
}

sn_status sn_plan_rows(const sn_plan_reader *r, const json_t *object, bool edits, bool **out, bool *all)
{
	int32_t n = r->out->batch.n, text;
	json_t *list, *value;
	size_t i;
	SN_TRY(sn_json_array_or(r->doc, object, "rows", &list));
	SN_NEW(*out, r->arena, bool, n);
	*all = !list && !(edits && r->n_twin);
	for (int32_t b = edits ? r->n_twin : 0; !list && b < n; b++) (*out)[b] = true;
	json_array_foreach(list, i, value) {
		SN_TRY(sn_plan_text_of(r, object, "rows", value, &text));
		(*out)[r->n_twin + text] = true;
		if (!edits && r->n_twin) (*out)[text] = true;
	}
	return SN_OK;
}
