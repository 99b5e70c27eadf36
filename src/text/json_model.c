/* "model" and "added_tokens" of tokenizer.json. */
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
	int64_t limit = 2 * (int64_t)(json_object_size(vocab) + json_array_size(added)) + 1024;
	*n = 0;
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
	entry[id] = (sn_vocab_entry){ text, true };
	return SN_OK;
}

static sn_status enter_tokens(const sn_json *doc, json_t *vocab, const json_t *added, sn_vocab_entry *entry)
{
	const char *key;
	json_t *value;
	size_t size, i;
	json_object_foreach(vocab, key, value) {
		sn_vocab_entry *e = &entry[json_integer_value(value)];
		size = strlen(key);
		if (e->text.data)
			return sn_json_fail(doc, vocab, key, SN_EPARSE, "the id %lld, which '%s' has too",
								(long long)json_integer_value(value), e->text.data);
		e->text = (sn_slice){ key, size };
	}
	json_array_foreach(added, i, value) SN_TRY(enter_added(doc, vocab, value, entry));
	return SN_OK;
}

static sn_status build_vocab(sn_tokenizer *t, const sn_json *doc, json_t *vocab, const json_t *added,
							 const sn_byte_alphabet *alphabet)
{
	int64_t n;
	SN_TRY(count_ids(doc, vocab, added, &n));
	sn_vocab_entry *entry = sn_alloc(t->ctx, sn_size3((size_t)n, sizeof *entry, 1));
	if (!entry) return SN_ENOMEM;
	sn_status status = enter_tokens(doc, vocab, added, entry);
	if (status == SN_OK) status = sn_vocab_build(&t->vocab, t->arena, n, entry, alphabet, t->source);
	sn_free(t->ctx, entry);
	return status;
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
	sn_status status = sn_normalize(t->ctx, t->normalizer, t->n_normalizer, piece, keep_text, &text);
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
	sn_added_set *set = &t->added[a.normalized];
	if (a.text.size) set->token[set->n++] = a;
	return SN_OK;
}

static sn_status read_added_tokens(sn_tokenizer *t, const sn_json *doc, const json_t *added)
{
	json_t *token;
	size_t i;
	for (int set = 0; set < 2; set++) SN_NEW(t->added[set].token, t->arena, sn_added, json_array_size(added));
	json_array_foreach(added, i, token) SN_TRY(read_added(t, doc, token));
	for (int set = 0; set < 2; set++) sn_added_index(&t->added[set]);
	return SN_OK;
}

/* ---- merges ---- */

static sn_slice slice_of(const json_t *string)
{
	return (sn_slice){ json_string_value(string), json_string_length(string) };
}

/* A merge is ["left", "right"], or "left right" in older files. */
static bool split_merge(const json_t *merge, sn_slice *left, sn_slice *right)
{
	if (json_is_array(merge) && json_array_size(merge) == 2) {
		const json_t *a = json_array_get(merge, 0), *b = json_array_get(merge, 1);
		if (!json_is_string(a) || !json_is_string(b)) return false;
		*left = slice_of(a);
		*right = slice_of(b);
		return left->size && right->size;
	}
	sn_slice text = json_is_string(merge) ? slice_of(merge) : (sn_slice){ 0 };
	const char *space = text.size ? memchr(text.data, ' ', text.size) : NULL;
	if (!space) return false;
	*left = (sn_slice){ text.data, (size_t)(space - text.data) };
	*right = (sn_slice){ space + 1, text.size - left->size - 1 };
	return left->size && right->size && !memchr(right->data, ' ', right->size);
}

static sn_status read_merges(sn_tokenizer *t, const sn_json *doc, const json_t *model, const sn_byte_alphabet *alphabet)
{
	json_t *merges, *merge;
	size_t i;
	SN_TRY(sn_json_array(doc, model, "merges", &merges));
	SN_TRY(sn_bpe_init(&t->bpe, t->arena, &t->vocab, (int64_t)json_array_size(merges)));
	sn_buf scratch = { .ctx = t->ctx };
	sn_status status = SN_OK;
	json_array_foreach(merges, i, merge) {
		sn_slice left, right;
		if (split_merge(merge, &left, &right))
			status = sn_tokenizer_add_merge(t, (int64_t)i, left, right, alphabet, &scratch);
		else
			status = sn_json_fail(doc, merge, NULL, SN_EPARSE, "expected [\"left\", \"right\"] or \"left right\"");
		if (status != SN_OK) break;
	}
	sn_buf_free(&scratch);
	return status;
}

/* ---- model ---- */

/* Options that change what a model does and that this one does not have. */
static sn_status refuse_options(const sn_json *doc, const json_t *model)
{
	static const char *const texts[] = { "continuing_subword_prefix", "end_of_word_suffix" };
	double dropout;
	bool fallback;
	for (int i = 0; i < SN_COUNT(texts); i++) {
		const char *value;
		SN_TRY(sn_json_string_or(doc, model, texts[i], "", &value));
		if (*value) return sn_json_fail(doc, model, texts[i], SN_EUNKNOWN, "'%s'; known: none", value);
	}
	SN_TRY(sn_json_f64_or(doc, model, "dropout", 0, &dropout));
	if (dropout > 0)
		return sn_json_fail(doc, model, "dropout", SN_EUNKNOWN, "%g; known: none, as results must not be random",
							dropout);
	SN_TRY(sn_json_bool_or(doc, model, "byte_fallback", false, &fallback));
	return fallback ? sn_json_fail(doc, model, "byte_fallback", SN_EUNKNOWN, "true; known: false") : SN_OK;
}

static sn_status read_unknown(sn_tokenizer *t, const sn_json *doc, const json_t *model, json_t *vocab)
{
	const char *unk;
	SN_TRY(sn_json_string_or(doc, model, "unk_token", "", &unk));
	if (!*unk) return SN_OK;
	const json_t *id = json_object_get(vocab, unk);
	if (!id) return sn_json_fail(doc, model, "unk_token", SN_EPARSE, "'%s' is not in the vocabulary", unk);
	t->bpe.unk = (int32_t)json_integer_value(id);
	return SN_OK;
}

static sn_status check_type(const sn_json *doc, const json_t *model)
{
	const char *type;
	SN_TRY(sn_json_string_or(doc, model, "type", json_object_get(model, "merges") ? "BPE" : "", &type));
	return strcmp(type, "BPE") == 0 ? SN_OK : sn_json_fail(doc, model, "type", SN_EUNKNOWN, "'%s'; known: BPE", type);
}

sn_status sn_read_json_model(sn_tokenizer *t, const sn_json *doc)
{
	json_t *model, *vocab, *added;
	sn_byte_alphabet table;
	const sn_byte_alphabet *alphabet = t->bpe.byte_level ? &table : NULL;
	sn_byte_alphabet_init(&table);
	SN_TRY(sn_json_object(doc, doc->root, "model", &model));
	SN_TRY(check_type(doc, model));
	SN_TRY(refuse_options(doc, model));
	SN_TRY(sn_json_object(doc, model, "vocab", &vocab));
	SN_TRY(sn_json_array_or(doc, doc->root, "added_tokens", &added));
	SN_TRY(build_vocab(t, doc, vocab, added, alphabet));
	SN_TRY(sn_json_bool_or(doc, model, "ignore_merges", false, &t->bpe.ignore_merges));
	SN_TRY(sn_json_bool_or(doc, model, "fuse_unk", false, &t->bpe.fuse_unk));
	SN_TRY(read_unknown(t, doc, model, vocab));
	SN_TRY(read_merges(t, doc, model, alphabet));
	return read_added_tokens(t, doc, added);
}
