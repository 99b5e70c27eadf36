/* "post_processor" of tokenizer.json: which tokens stand around a text or a pair of texts, and whether spans keep
 * spaces. */
#include "text/tokenizer_json.h"

#include <string.h>

/* Appends a token to a template. */
static sn_status add_id(sn_tokenizer *t, const sn_json *doc, const json_t *at, int64_t id, int64_t type,
						sn_template *template)
{
	if (id < 0 || id >= t->vocab.n || !sn_vocab_token(&t->vocab, (int32_t)id).data)
		return sn_json_fail(doc, at, NULL, SN_EPARSE, "%lld is no token; the vocabulary has ids from 0 to %d",
							(long long)id, t->vocab.n - 1);
	return sn_template_add(t, template, (int32_t)id, (int)type);
}

static sn_status read_trimming(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	SN_TRY(sn_json_bool_or(doc, stage, "trim_offsets", true, &t->trim_spans));
	return sn_json_bool_or(doc, stage, "add_prefix_space", true, &t->first_space_added);
}

/* ---- templates ---- */

static sn_status read_type(const sn_json *doc, const json_t *part, int64_t *type)
{
	SN_TRY(sn_json_i64_or(doc, part, "type_id", 0, type));
	if (*type >= 0 && *type <= UINT8_MAX) return SN_OK;
	return sn_json_fail(doc, part, "type_id", SN_EPARSE, "%lld; expected 0 to 255", (long long)*type);
}

/* All ids that a template's name stands for. */
static sn_status add_named(sn_tokenizer *t, const sn_json *doc, const json_t *stage, const json_t *name,
						   sn_template *template)
{
	json_t *table, *special, *ids, *id;
	const char *key;
	size_t i;
	int64_t type;
	SN_TRY(read_type(doc, name, &type));
	SN_TRY(sn_json_string(doc, name, "id", &key));
	SN_TRY(sn_json_object(doc, stage, "special_tokens", &table));
	SN_TRY(sn_json_object(doc, table, key, &special));
	SN_TRY(sn_json_array(doc, special, "ids", &ids));
	json_array_foreach(ids, i, id) {
		if (!json_is_integer(id)) return sn_json_fail(doc, id, NULL, SN_EPARSE, "expected an integer");
		SN_TRY(add_id(t, doc, id, json_integer_value(id), type, template));
	}
	return SN_OK;
}

/* Appends the text A or B, which may come once. */
static sn_status add_text(sn_tokenizer *t, const sn_json *doc, const json_t *text, bool pair, sn_template *template)
{
	const char *name;
	int64_t type;
	SN_TRY(read_type(doc, text, &type));
	SN_TRY(sn_json_string(doc, text, "id", &name));
	bool second = pair && strcmp(name, "B") == 0;
	if (!second && strcmp(name, "A") != 0)
		return sn_json_fail(doc, text, "id", SN_EPARSE, "'%s'; expected %s", name, pair ? "A or B" : "A");
	for (int i = 0; i < template->n; i++)
		if (template->item[i].id == (second ? SN_TEMPLATE_B : SN_TEMPLATE_A))
			return sn_json_fail(doc, text, "id", SN_EPARSE, "'%s' once more; expected each text once", name);
	return sn_template_add(t, template, second ? SN_TEMPLATE_B : SN_TEMPLATE_A, (int)type);
}

/* A list of {"SpecialToken": ...} and {"Sequence": ...}. */
static sn_status read_list(sn_tokenizer *t, const sn_json *doc, const json_t *stage, bool pair, sn_template *template)
{
	json_t *list, *part;
	size_t i;
	int texts = 0;
	SN_TRY(sn_json_array_or(doc, stage, pair ? "pair" : "single", &list));
	if (!list && pair) return SN_OK;
	template->n = 0;
	json_array_foreach(list, i, part) {
		const json_t *special = json_object_get(part, "SpecialToken"), *text = json_object_get(part, "Sequence");
		if (!special && !text)
			return sn_json_fail(doc, part, NULL, SN_EPARSE, "expected {\"SpecialToken\": ...} or {\"Sequence\": ...}");
		SN_TRY(special ? add_named(t, doc, stage, special, template) : add_text(t, doc, text, pair, template));
		texts += !special;
	}
	if (texts == 1 + pair) return SN_OK;
	return sn_json_fail(doc, stage, pair ? "pair" : "single", SN_EPARSE,
						"%d texts; expected a {\"Sequence\": ...} for %s", texts, pair ? "each of two" : "the text");
}

static sn_status read_template(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	SN_TRY(read_list(t, doc, stage, false, &t->single));
	return read_list(t, doc, stage, true, &t->pair);
}

/* ---- BERT, RoBERTa ---- */

/* member is [text, id]. */
static sn_status read_pair(const sn_json *doc, const json_t *stage, const char *member, int64_t *id)
{
	json_t *pair;
	SN_TRY(sn_json_array(doc, stage, member, &pair));
	const json_t *value = json_array_get(pair, 1);
	if (!json_is_integer(value)) return sn_json_fail(doc, pair, NULL, SN_EPARSE, "expected [token, id]");
	*id = json_integer_value(value);
	return SN_OK;
}

/* cls A sep, and for a pair cls A sep B sep; with twice the sep between. */
static sn_status read_cls_sep(sn_tokenizer *t, const sn_json *doc, const json_t *stage, bool twice, int second)
{
	int64_t cls = -1, sep = -1;
	SN_TRY(read_pair(doc, stage, "cls", &cls));
	SN_TRY(read_pair(doc, stage, "sep", &sep));
	sn_template *both[2] = { &t->single, &t->pair };
	for (int k = 0; k < 2; k++) {
		both[k]->n = 0;
		SN_TRY(add_id(t, doc, json_object_get(stage, "cls"), cls, 0, both[k]));
		SN_TRY(sn_template_add(t, both[k], SN_TEMPLATE_A, 0));
		SN_TRY(add_id(t, doc, json_object_get(stage, "sep"), sep, 0, both[k]));
	}
	if (twice) SN_TRY(sn_template_add(t, &t->pair, (int32_t)sep, 0));
	SN_TRY(sn_template_add(t, &t->pair, SN_TEMPLATE_B, second));
	return sn_template_add(t, &t->pair, (int32_t)sep, second);
}

static sn_status read_bert(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	return read_cls_sep(t, doc, stage, false, 1);
}

static sn_status read_roberta(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	SN_TRY(read_trimming(t, doc, stage));
	return read_cls_sep(t, doc, stage, true, 0);
}

static sn_status read_sequence(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	return sn_read_json_sequence(t, doc, stage, "processors", sn_read_post_processor);
}

sn_status sn_read_post_processor(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	static const sn_json_stage known[] = {
		{ "BertProcessing", read_bert }, { "ByteLevel", read_trimming },          { "RobertaProcessing", read_roberta },
		{ "Sequence", read_sequence },   { "TemplateProcessing", read_template },
	};
	return sn_read_json_stage(t, doc, stage, known, SN_COUNT(known));
}
