/* The vocabulary of a model and the "added_tokens" of tokenizer.json. */
#include "text/tokenizer_json.h"

#include <string.h>

/* ---- vocabulary ---- */

/* Returns one more than the largest id of the vocabulary and the added tokens, having checked them all. Ids may leave
 * gaps, but a file cannot make us take memory out of proportion to its size. */
static sn_status count_ids(const sn_json *doc, json_t *vocab, const json_t *added, int64_t *n)
{
	const char *key;
	json_t *value;
	size_t i;
	int64_t size = (int64_t)(json_is_array(vocab) ? json_array_size(vocab) : json_object_size(vocab));
	int64_t limit = 2 * (size + (int64_t)json_array_size(added)) + 1024;
	*n = json_is_array(vocab) ? size : 0;
	json_object_foreach(vocab, key, value) {
		if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) >= limit)
			return sn_json_fail(doc, vocab, key, SN_EPARSE, "expected an id from 0 to %lld", (long long)limit - 1);
		*n = SN_MAX(*n, json_integer_value(value) + 1);
	}
	json_array_foreach(added, i, value) {
		int64_t id;
		SN_TRY(sn_json_i64(doc, value, "id", &id));
		if (id < 0 || id >= limit)
			return sn_json_fail(doc, value, "id", SN_EPARSE, "%lld; expected an id from 0 to %lld", (long long)id,
								(long long)limit - 1);
		*n = SN_MAX(*n, id + 1);
	}
	return SN_OK;
}

static bool same_text(sn_slice a, sn_slice b) { return a.size == b.size && memcmp(a.data, b.data, a.size) == 0; }

/* Puts an added token into the vocabulary; where both speak of it they must agree. */
static sn_status enter_added(const sn_json *doc, json_t *vocab, const json_t *token, sn_vocab_entry *entry)
{
	int64_t id;
	const char *content;
	SN_TRY(sn_json_i64(doc, token, "id", &id));
	SN_TRY(sn_json_string(doc, token, "content", &content));
	sn_slice text = { content, strlen(content) };
	const json_t *other = json_object_get(vocab, content);
	if (text.size == 0) return sn_json_fail(doc, token, "content", SN_EPARSE, "an added token cannot be empty");
	if (other && json_integer_value(other) != id)
		return sn_json_fail(doc, token, "id", SN_EPARSE, "%lld, but the vocabulary gives '%s' the id %lld",
							(long long)id, content, (long long)json_integer_value(other));
	if (entry[id].text.data && !same_text(entry[id].text, text))
		return sn_json_fail(doc, token, "id", SN_EPARSE, "%lld for '%s', but the vocabulary has '%s' there",
							(long long)id, content, entry[id].text.data);
	entry[id] = (sn_vocab_entry){ text, true, !entry[id].text.data };
	return SN_OK;
}

/* {text: id} */
static sn_status enter_object(const sn_json *doc, json_t *vocab, sn_vocab_entry *entry)
{
	const char *key;
	json_t *value;
	json_object_foreach(vocab, key, value) {
		sn_vocab_entry *e = &entry[json_integer_value(value)];
		if (e->text.data)
			return sn_json_fail(doc, vocab, key, SN_EPARSE, "the id %lld, which '%s' has too",
								(long long)json_integer_value(value), e->text.data);
		e->text = (sn_slice){ key, strlen(key) };
	}
	return SN_OK;
}

/* [[text, score], ...]: ids by position. */
static sn_status enter_array(const sn_json *doc, json_t *vocab, sn_vocab_entry *entry)
{
	json_t *pair;
	size_t i;
	json_array_foreach(vocab, i, pair) {
		const json_t *text = json_array_get(pair, 0);
		if (!json_is_string(text) || !json_is_number(json_array_get(pair, 1)))
			return sn_json_fail(doc, pair, NULL, SN_EPARSE, "expected [text, score]");
		entry[i].text = (sn_slice){ json_string_value(text), json_string_length(text) };
	}
	return SN_OK;
}

static sn_status enter_tokens(const sn_json *doc, json_t *vocab, const json_t *added, sn_vocab_entry *entry)
{
	json_t *value;
	size_t i;
	SN_TRY(json_is_array(vocab) ? enter_array(doc, vocab, entry) : enter_object(doc, vocab, entry));
	json_array_foreach(added, i, value) SN_TRY(enter_added(doc, vocab, value, entry));
	return SN_OK;
}

sn_status sn_read_json_vocab(sn_tokenizer *t, const sn_json *doc, const json_t *model)
{
	json_t *vocab = json_object_get(model, "vocab"), *added;
	sn_byte_alphabet alphabet;
	int64_t n;
	if (!json_is_array(vocab)) SN_TRY(sn_json_object(doc, model, "vocab", &vocab));
	SN_TRY(sn_json_array_or(doc, doc->root, "added_tokens", &added));
	SN_TRY(count_ids(doc, vocab, added, &n));
	sn_vocab_entry *entry = sn_alloc(t->ctx, sn_size3((size_t)n, sizeof *entry, 1));
	if (!entry) return SN_ENOMEM;
	sn_byte_alphabet_init(&alphabet);
	sn_status status = enter_tokens(doc, vocab, added, entry);
	if (status == SN_OK)
		status = sn_vocab_build(&t->vocab, t->arena, n, entry, t->byte_level ? &alphabet : NULL, t->source);
	sn_free(t->ctx, entry);
	return status;
}

sn_status sn_read_json_token(sn_tokenizer *t, const sn_json *doc, const json_t *model, const char *key, int32_t *id)
{
	const char *text;
	SN_TRY(sn_json_string_or(doc, model, key, "", &text));
	*id = -1;
	if (!*text) return SN_OK;
	sn_byte_alphabet alphabet;
	sn_byte_alphabet_init(&alphabet);
	*id = sn_vocab_find(&t->vocab, text, strlen(text));
	sn_slice bytes;
	SN_TRY(sn_read_json_text(t, doc, model, key, NULL, &bytes));
	if (*id < 0 && t->byte_level) {
		int64_t n = sn_byte_decode(&alphabet, text, bytes.size, (char *)(uintptr_t)bytes.data);
		*id = n > 0 ? sn_vocab_find(&t->vocab, bytes.data, (size_t)n) : -1;
	}
	return *id >= 0 ? SN_OK : sn_json_fail(doc, model, key, SN_EPARSE, "'%s' is not in the vocabulary", text);
}

/* ---- added tokens ---- */

/* Keeps what a normalised text is found by. */
static sn_status keep_text(void *payload, sn_piece piece)
{
	sn_buf_add(payload, piece.text, piece.size);
	return SN_OK;
}

/* A token looked for in normalised text is looked for as it looks normalised. */
static sn_status normalize_added(sn_tokenizer *t, sn_added *a)
{
	sn_buf text = { .ctx = t->ctx };
	sn_piece piece = { .text = a->text.data, .size = a->text.size };
	sn_matcher matcher = { 0 };
	sn_status status = sn_normalize(t->ctx, &matcher, t->normalizer, t->n_normalizer, piece, keep_text, &text);
	sn_matcher_free(&matcher);
	a->text =
		(sn_slice){ text.failed ? NULL : sn_arena_copy(t->arena, text.size ? text.data : "", text.size), text.size };
	sn_buf_free(&text);
	return status == SN_OK && !a->text.data ? SN_ENOMEM : status;
}

static sn_status read_added(sn_tokenizer *t, const sn_json *doc, const json_t *token)
{
	int64_t id;
	sn_added a = { 0 };
	SN_TRY(sn_json_i64(doc, token, "id", &id));
	SN_TRY(sn_json_bool_or(doc, token, "special", false, &a.special));
	SN_TRY(sn_json_bool_or(doc, token, "normalized", true, &a.normalized));
	SN_TRY(sn_json_bool_or(doc, token, "single_word", false, &a.single_word));
	SN_TRY(sn_json_bool_or(doc, token, "lstrip", false, &a.lstrip));
	SN_TRY(sn_json_bool_or(doc, token, "rstrip", false, &a.rstrip));
	a.id = (int32_t)id;
	a.text = sn_vocab_token(&t->vocab, a.id);
	if (a.normalized && t->n_normalizer) SN_TRY(normalize_added(t, &a));
	t->flag[a.id] |= SN_IS_ADDED | (a.special ? SN_IS_SPECIAL : 0) | (a.normalized ? SN_IS_NORMALIZED : 0);
	sn_added_set *set = &t->added[a.normalized];
	if (a.text.size) set->token[set->n++] = a;
	return SN_OK;
}

sn_status sn_read_json_added(sn_tokenizer *t, const sn_json *doc, json_t *added)
{
	json_t *token;
	size_t i;
	SN_NEW(t->flag, t->arena, uint8_t, t->vocab.n);
	for (int set = 0; set < 2; set++) SN_NEW(t->added[set].token, t->arena, sn_added, json_array_size(added));
	json_array_foreach(added, i, token) SN_TRY(read_added(t, doc, token));
	for (int set = 0; set < 2; set++) sn_added_index(&t->added[set]);
	return SN_OK;
}
