/* "post_processor" of tokenizer.json: which tokens a text begins and ends with, and whether spans keep spaces. */
#include "text/tokenizer_json.h"

/* Appends an id to those added before or after a text. */
static sn_status add_id(sn_tokenizer *t, const sn_json *doc, const json_t *at, int64_t id, bool after)
{
	int *n = after ? &t->n_after : &t->n_before;
	if (id < 0 || id >= t->vocab.n || !sn_vocab_token(&t->vocab, (int32_t)id).data)
		return sn_json_fail(doc, at, NULL, SN_EPARSE, "%lld is no token; the vocabulary has ids from 0 to %d",
							(long long)id, t->vocab.n - 1);
	if (*n == SN_MAX_ADDED_IDS)
		return sn_json_fail(doc, at, NULL, SN_EPARSE, "more than %d tokens around a text", SN_MAX_ADDED_IDS);
	(after ? t->after : t->before)[(*n)++] = (int32_t)id;
	return SN_OK;
}

static sn_status read_trimming(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	SN_TRY(sn_json_bool_or(doc, stage, "trim_offsets", true, &t->trim_spans));
	return sn_json_bool_or(doc, stage, "add_prefix_space", true, &t->first_space_added);
}

/* All ids that a template's name stands for. */
static sn_status add_named(sn_tokenizer *t, const sn_json *doc, const json_t *stage, const json_t *name, bool after)
{
	json_t *table, *special, *ids, *id;
	const char *key;
	size_t i;
	SN_TRY(sn_json_string(doc, name, "id", &key));
	SN_TRY(sn_json_object(doc, stage, "special_tokens", &table));
	SN_TRY(sn_json_object(doc, table, key, &special));
	SN_TRY(sn_json_array(doc, special, "ids", &ids));
	json_array_foreach(ids, i, id) {
		if (!json_is_integer(id)) return sn_json_fail(doc, id, NULL, SN_EPARSE, "expected an integer");
		SN_TRY(add_id(t, doc, id, json_integer_value(id), after));
	}
	return SN_OK;
}

/* "single": {"SpecialToken": ...} before and after one {"Sequence": ...}. */
static sn_status read_template(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	json_t *single, *part;
	size_t i;
	bool after = false;
	SN_TRY(sn_json_array(doc, stage, "single", &single));
	json_array_foreach(single, i, part) {
		const json_t *special = json_object_get(part, "SpecialToken");
		bool text = json_object_get(part, "Sequence");
		if (!special && (!text || after))
			return sn_json_fail(doc, part, NULL, SN_EPARSE,
								"expected {\"SpecialToken\": ...}, or once {\"Sequence\": ...}");
		if (special)
			SN_TRY(add_named(t, doc, stage, special, after));
		else
			after = true;
	}
	return after ? SN_OK
				 : sn_json_fail(doc, single, NULL, SN_EPARSE, "expected a {\"Sequence\": ...}, the text's place");
}

/* member is [text, id]. */
static sn_status add_pair(sn_tokenizer *t, const sn_json *doc, const json_t *stage, const char *member, bool after)
{
	json_t *pair;
	SN_TRY(sn_json_array(doc, stage, member, &pair));
	const json_t *id = json_array_get(pair, 1);
	if (!json_is_integer(id)) return sn_json_fail(doc, pair, NULL, SN_EPARSE, "expected [token, id]");
	return add_id(t, doc, id, json_integer_value(id), after);
}

static sn_status read_cls_sep(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	SN_TRY(add_pair(t, doc, stage, "cls", false));
	return add_pair(t, doc, stage, "sep", true);
}

static sn_status read_roberta(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	SN_TRY(read_trimming(t, doc, stage));
	return read_cls_sep(t, doc, stage);
}

static sn_status read_sequence(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	return sn_read_json_sequence(t, doc, stage, "processors", sn_read_post_processor);
}

sn_status sn_read_post_processor(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	static const sn_json_stage known[] = {
		{ "BertProcessing", read_cls_sep },      { "ByteLevel", read_trimming },
		{ "RobertaProcessing", read_roberta },   { "Sequence", read_sequence },
		{ "TemplateProcessing", read_template },
	};
	return sn_read_json_stage(t, doc, stage, known, SN_COUNT(known));
}
