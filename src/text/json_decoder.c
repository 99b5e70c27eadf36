/* "decoder" of tokenizer.json. */
#include "text/tokenizer_json.h"

#include <string.h>

static sn_status read_byte_level(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	(void)doc;
	(void)stage;
	return sn_tokenizer_add_decoder(t, (sn_decoder){ .kind = SN_DECODE_BYTE_LEVEL });
}

static sn_status read_byte_fallback(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	(void)doc;
	(void)stage;
	return sn_tokenizer_add_decoder(t, (sn_decoder){ .kind = SN_DECODE_BYTE_FALLBACK });
}

static sn_status read_fuse(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	(void)doc;
	(void)stage;
	return sn_tokenizer_add_decoder(t, (sn_decoder){ .kind = SN_DECODE_FUSE });
}

static sn_status read_wordpiece(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	sn_decoder d = { .kind = SN_DECODE_WORDPIECE };
	SN_TRY(sn_read_json_text(t, doc, stage, "prefix", "##", &d.text));
	SN_TRY(sn_json_bool_or(doc, stage, "cleanup", true, &d.cleanup));
	return sn_tokenizer_add_decoder(t, d);
}

static sn_status read_metaspace(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	sn_decoder d = { .kind = SN_DECODE_METASPACE };
	const char *scheme;
	bool add;
	SN_TRY(sn_read_json_text(t, doc, stage, "replacement", "\xe2\x96\x81", &d.text));
	SN_TRY(sn_json_bool_or(doc, stage, "add_prefix_space", true, &add));
	SN_TRY(sn_json_string_or(doc, stage, "prepend_scheme", add ? "always" : "never", &scheme));
	d.keep_first = strcmp(scheme, "never") == 0;
	return sn_tokenizer_add_decoder(t, d);
}

static sn_status read_bpe(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	sn_decoder d = { .kind = SN_DECODE_BPE };
	SN_TRY(sn_read_json_text(t, doc, stage, "suffix", "</w>", &d.text));
	return sn_tokenizer_add_decoder(t, d);
}

static sn_status read_strip(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	sn_decoder d = { .kind = SN_DECODE_STRIP };
	SN_TRY(sn_read_json_text(t, doc, stage, "content", NULL, &d.text));
	SN_TRY(sn_json_i64_or(doc, stage, "start", 0, &d.start));
	SN_TRY(sn_json_i64_or(doc, stage, "stop", 0, &d.stop));
	if (d.text.size) return sn_tokenizer_add_decoder(t, d);
	return sn_json_fail(doc, stage, "content", SN_EPARSE, "nothing; expected one character");
}

static sn_status read_replace(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	sn_decoder d = { .kind = SN_DECODE_REPLACE };
	SN_TRY(sn_read_json_text(t, doc, stage, "content", NULL, &d.by));
	SN_TRY(sn_read_json_pattern(t, doc, stage, &d.regex));
	return sn_tokenizer_add_decoder(t, d);
}

static sn_status read_ctc(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	sn_decoder d = { .kind = SN_DECODE_CTC };
	SN_TRY(sn_read_json_text(t, doc, stage, "pad_token", "<pad>", &d.text));
	SN_TRY(sn_read_json_text(t, doc, stage, "word_delimiter_token", "|", &d.by));
	SN_TRY(sn_json_bool_or(doc, stage, "cleanup", true, &d.cleanup));
	return sn_tokenizer_add_decoder(t, d);
}

static sn_status read_sequence(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	return sn_read_json_sequence(t, doc, stage, "decoders", sn_read_decoder);
}

sn_status sn_read_decoder(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	static const sn_json_stage known[] = {
		{ "BPEDecoder", read_bpe },
		{ "ByteFallback", read_byte_fallback },
		{ "ByteLevel", read_byte_level },
		{ "CTC", read_ctc },
		{ "Fuse", read_fuse },
		{ "Metaspace", read_metaspace },
		{ "Replace", read_replace },
		{ "Sequence", read_sequence },
		{ "Strip", read_strip },
		{ "WordPiece", read_wordpiece },
	};
	t->decodes |= json_is_object(stage);
	return sn_read_json_stage(t, doc, stage, known, SN_COUNT(known));
}
