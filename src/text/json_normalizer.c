/* "normalizer" of tokenizer.json. */
#include "text/tokenizer_json.h"

#include <openssl/evp.h>
#include <string.h>

/* Kinds without options. */
static sn_status read_plain(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	static const struct {
		const char *type;
		sn_normalizer_kind kind;
	} plain[] = {
		{ "NFC", SN_NFC },
		{ "NFD", SN_NFD },
		{ "NFKC", SN_NFKC },
		{ "NFKD", SN_NFKD },
		{ "Lowercase", SN_LOWERCASE },
		{ "StripAccents", SN_STRIP_MARKS },
		{ "Nmt", SN_NMT },
	};
	const char *type;
	SN_TRY(sn_json_string(doc, stage, "type", &type));
	int i = 0;
	while (i + 1 < SN_COUNT(plain) && strcmp(plain[i].type, type) != 0) i++;
	return sn_tokenizer_add_normalizer(t, (sn_normalizer){ .kind = plain[i].kind });
}

/* BERT's normalizer is five others, each of which may be off. */
static sn_status read_bert(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	bool clean, ideographs, accents, lower;
	SN_TRY(sn_json_bool_or(doc, stage, "clean_text", true, &clean));
	SN_TRY(sn_json_bool_or(doc, stage, "handle_chinese_chars", true, &ideographs));
	SN_TRY(sn_json_bool_or(doc, stage, "lowercase", true, &lower));
	SN_TRY(sn_json_bool_or(doc, stage, "strip_accents", lower, &accents));
	const struct {
		bool on;
		sn_normalizer_kind kind;
	} part[] = {
		{ clean, SN_BERT_CLEAN }, { ideographs, SN_BERT_IDEOGRAPHS },
		{ accents, SN_NFD },      { accents, SN_STRIP_NONSPACING },
		{ lower, SN_LOWERCASE },
	};
	for (int i = 0; i < SN_COUNT(part); i++)
		if (part[i].on) SN_TRY(sn_tokenizer_add_normalizer(t, (sn_normalizer){ .kind = part[i].kind }));
	return SN_OK;
}

static sn_status read_strip(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	sn_normalizer strip = { .kind = SN_STRIP };
	SN_TRY(sn_json_bool_or(doc, stage, "strip_left", true, &strip.left));
	SN_TRY(sn_json_bool_or(doc, stage, "strip_right", true, &strip.right));
	return sn_tokenizer_add_normalizer(t, strip);
}

static sn_status read_prepend(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	sn_normalizer prepend = { .kind = SN_PREPEND };
	SN_TRY(sn_read_json_text(t, doc, stage, "prepend", NULL, &prepend.text));
	return sn_tokenizer_add_normalizer(t, prepend);
}

static sn_status read_replace(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	sn_normalizer replace = { .kind = SN_REPLACE };
	SN_TRY(sn_read_json_text(t, doc, stage, "content", NULL, &replace.text));
	SN_TRY(sn_read_json_pattern(t, doc, stage, &replace.regex));
	return sn_tokenizer_add_normalizer(t, replace);
}

/* precompiled_charsmap: the table in base64. */
static sn_status read_charsmap(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	sn_slice text;
	sn_charsmap *map;
	unsigned char *bytes;
	SN_TRY(sn_read_json_text(t, doc, stage, "precompiled_charsmap", "", &text));
	if (text.size == 0) return SN_OK;
	SN_NEW(bytes, t->arena, unsigned char, text.size);
	int n = text.size > INT32_MAX ? -1 : EVP_DecodeBlock(bytes, (const unsigned char *)text.data, (int)text.size);
	if (n < 0) return sn_json_fail(doc, stage, "precompiled_charsmap", SN_EPARSE, "not base64");
	for (size_t i = text.size; i > 0 && n > 0 && text.data[i - 1] == '='; i--) n--; /* it counts them as bytes */
	SN_NEW(map, t->arena, sn_charsmap, 1);
	SN_TRY(sn_charsmap_open(map, t->ctx, (sn_slice){ (const char *)bytes, (size_t)n }, t->source));
	return sn_tokenizer_add_normalizer(t, (sn_normalizer){ .kind = SN_CHARSMAP, .map = map });
}

static sn_status read_byte_level(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	(void)doc;
	(void)stage;
	t->written_bytes = true;
	return sn_tokenizer_add_normalizer(t, (sn_normalizer){ .kind = SN_WRITE_BYTES });
}

static sn_status read_sequence(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	return sn_read_json_sequence(t, doc, stage, "normalizers", sn_read_normalizer);
}

sn_status sn_read_normalizer(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	static const sn_json_stage known[] = {
		{ "BertNormalizer", read_bert },
		{ "ByteLevel", read_byte_level },
		{ "Lowercase", read_plain },
		{ "NFC", read_plain },
		{ "NFD", read_plain },
		{ "NFKC", read_plain },
		{ "NFKD", read_plain },
		{ "Nmt", read_plain },
		{ "Precompiled", read_charsmap },
		{ "Prepend", read_prepend },
		{ "Replace", read_replace },
		{ "Sequence", read_sequence },
		{ "Strip", read_strip },
		{ "StripAccents", read_plain },
	};
	return sn_read_json_stage(t, doc, stage, known, SN_COUNT(known));
}
