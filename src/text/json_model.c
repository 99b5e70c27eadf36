/* "model" of tokenizer.json: a row of the table for each kind. */
#include "text/tokenizer_json.h"

#include <string.h>

/* ---- BPE ---- */

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

static sn_status read_merges(sn_tokenizer *t, const sn_json *doc, const json_t *model)
{
	json_t *merges, *merge;
	size_t i;
	sn_byte_alphabet alphabet;
	sn_byte_alphabet_init(&alphabet);
	SN_TRY(sn_json_array(doc, model, "merges", &merges));
	SN_TRY(sn_bpe_init(&t->bpe, t->arena, &t->vocab, (int64_t)json_array_size(merges)));
	sn_buf scratch[3] = { { .ctx = t->ctx }, { .ctx = t->ctx }, { .ctx = t->ctx } };
	sn_status status = SN_OK;
	json_array_foreach(merges, i, merge) {
		sn_slice left, right;
		if (split_merge(merge, &left, &right))
			status = sn_tokenizer_add_merge(t, (int64_t)i, left, right, t->byte_level ? &alphabet : NULL, scratch);
		else
			status = sn_json_fail(doc, merge, NULL, SN_EPARSE, "expected [\"left\", \"right\"] or \"left right\"");
		if (status != SN_OK) break;
	}
	for (int k = 0; k < 3; k++) sn_buf_free(&scratch[k]);
	return status;
}

static sn_status refuse_dropout(const sn_json *doc, const json_t *model)
{
	double dropout;
	SN_TRY(sn_json_f64_or(doc, model, "dropout", 0, &dropout));
	if (dropout <= 0) return SN_OK;
	return sn_json_fail(doc, model, "dropout", SN_EUNKNOWN, "%g; known: none, as results must not be random", dropout);
}

/* A text of at most limit bytes. */
static sn_status read_affix(sn_tokenizer *t, const sn_json *doc, const json_t *model, const char *key,
							const char *missing, size_t limit, sn_slice *out)
{
	SN_TRY(sn_read_json_text(t, doc, model, key, missing, out));
	if (out->size <= limit) return SN_OK;
	return sn_json_fail(doc, model, key, SN_EPARSE, "%zu bytes; expected at most %zu", out->size, limit);
}

static sn_status read_bpe(sn_tokenizer *t, const sn_json *doc, const json_t *model)
{
	sn_bpe *bpe = &t->bpe;
	SN_TRY(refuse_dropout(doc, model));
	SN_TRY(sn_read_json_vocab(t, doc, model));
	SN_TRY(sn_json_bool_or(doc, model, "ignore_merges", false, &bpe->ignore_merges));
	SN_TRY(sn_json_bool_or(doc, model, "fuse_unk", false, &bpe->fuse_unk));
	SN_TRY(sn_json_bool_or(doc, model, "byte_fallback", false, &bpe->byte_fallback));
	SN_TRY(read_affix(t, doc, model, "continuing_subword_prefix", "", SN_LONGEST_AFFIX, &bpe->prefix));
	SN_TRY(read_affix(t, doc, model, "end_of_word_suffix", "", SN_LONGEST_AFFIX, &bpe->suffix));
	SN_TRY(sn_read_json_token(t, doc, model, "unk_token", &bpe->unk));
	bpe->byte_level = t->byte_level;
	t->encode = sn_encode_bpe;
	return read_merges(t, doc, model);
}

/* ---- whole words and their pieces ---- */

static sn_status read_wordlevel(sn_tokenizer *t, const sn_json *doc, const json_t *model)
{
	SN_TRY(sn_read_json_vocab(t, doc, model));
	SN_TRY(sn_read_json_token(t, doc, model, "unk_token", &t->wordpiece.unk));
	t->wordpiece.vocab = &t->vocab;
	t->encode = sn_encode_wordlevel;
	return SN_OK;
}

static sn_status read_wordpiece(sn_tokenizer *t, const sn_json *doc, const json_t *model)
{
	SN_TRY(read_wordlevel(t, doc, model));
	SN_TRY(read_affix(t, doc, model, "continuing_subword_prefix", "##", SN_LONGEST_PREFIX, &t->wordpiece.prefix));
	SN_TRY(sn_json_i64_or(doc, model, "max_input_chars_per_word", 100, &t->wordpiece.max_chars));
	sn_wordpiece_init(&t->wordpiece);
	t->encode = sn_encode_wordpiece;
	return SN_OK;
}

/* ---- all ---- */

/* Files older than the member "type" tell a model by its other members. */
static const char *guess_type(const json_t *model)
{
	if (json_object_get(model, "merges")) return "BPE";
	if (json_object_get(model, "unk_id")) return "Unigram";
	return json_object_get(model, "max_input_chars_per_word") ? "WordPiece" : "WordLevel";
}

sn_status sn_read_json_model(sn_tokenizer *t, const sn_json *doc, const char **name)
{
	static const sn_json_stage known[] = {
		{ "BPE", read_bpe },
		{ "Unigram", sn_read_json_unigram },
		{ "WordLevel", read_wordlevel },
		{ "WordPiece", read_wordpiece },
	};
	json_t *model;
	SN_TRY(sn_json_object(doc, doc->root, "model", &model));
	SN_TRY(sn_json_string_or(doc, model, "type", guess_type(model), name));
	for (int i = 0; i < SN_COUNT(known); i++)
		if (strcmp(*name, known[i].type) == 0) return known[i].read(t, doc, model);
	return sn_read_json_stage(t, doc, model, known, SN_COUNT(known)); /* says which are known */
}
