/* "pre_tokenizer" of tokenizer.json. */
#include "text/classes.h"
#include "text/scripts.h"
#include "text/tokenizer_json.h"

#include <string.h>

/* ---- splits ---- */

static sn_status read_behavior(const sn_json *doc, const json_t *stage, sn_behavior *out)
{
	static const char *const names[] = {
		[SN_REMOVED] = "Removed",
		[SN_ISOLATED] = "Isolated",
		[SN_MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
		[SN_MERGED_WITH_NEXT] = "MergedWithNext",
		[SN_CONTIGUOUS] = "Contiguous",
	};
	const char *name;
	SN_TRY(sn_json_string_or(doc, stage, "behavior", "Isolated", &name));
	for (int i = 1; i < SN_COUNT(names); i++)
		if (strcmp(name, names[i]) == 0) return *out = (sn_behavior)i, SN_OK;
	return sn_json_fail(doc, stage, "behavior", SN_EUNKNOWN,
						"'%s'; known: Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous", name);
}

static sn_status read_split(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	sn_stage split = { .kind = SN_STAGE_SPLIT };
	SN_TRY(read_behavior(doc, stage, &split.behavior));
	SN_TRY(sn_json_bool_or(doc, stage, "invert", false, &split.invert));
	SN_TRY(sn_read_json_pattern(t, doc, stage, &split.regex));
	return sn_tokenizer_add_stage(t, split);
}

static sn_status add_class(sn_tokenizer *t, bool (*in_class)(uint32_t), sn_behavior behavior)
{
	return sn_tokenizer_add_stage(
		t, (sn_stage){ .kind = SN_STAGE_SPLIT_CLASS, .in_class = in_class, .behavior = behavior });
}

static sn_status read_digits(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	bool individual;
	SN_TRY(sn_json_bool_or(doc, stage, "individual_digits", false, &individual));
	return add_class(t, sn_is_number, individual ? SN_ISOLATED : SN_CONTIGUOUS);
}

static sn_status read_punctuation(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	sn_behavior behavior = SN_BEHAVIOR_NONE;
	SN_TRY(read_behavior(doc, stage, &behavior));
	return add_class(t, sn_is_punctuation, behavior);
}

static sn_status read_white_space(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	(void)doc;
	(void)stage;
	return add_class(t, sn_is_space, SN_REMOVED);
}

static sn_status read_bert(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	SN_TRY(read_white_space(t, doc, stage));
	return add_class(t, sn_is_punctuation, SN_ISOLATED);
}

/* The one character of a member. */
static sn_status read_char(sn_tokenizer *t, const sn_json *doc, const json_t *stage, const char *key,
						   const char *missing, sn_slice *text, uint32_t *code)
{
	size_t at = 0;
	SN_TRY(sn_read_json_text(t, doc, stage, key, missing, text));
	*code = text->size ? sn_utf8_next(text->data, text->size, &at) : 0;
	if (at > 0 && at == text->size) return SN_OK;
	return sn_json_fail(doc, stage, key, SN_EPARSE, "'%s'; expected one character", text->data);
}

static sn_status read_delimiter(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	sn_stage split = { .kind = SN_STAGE_SPLIT_CLASS, .behavior = SN_REMOVED };
	sn_slice text;
	SN_TRY(read_char(t, doc, stage, "delimiter", NULL, &text, &split.delimiter));
	return sn_tokenizer_add_stage(t, split);
}

/* ---- others ---- */

static sn_status read_words(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	(void)doc;
	(void)stage;
	return sn_tokenizer_add_stage(t, (sn_stage){ .kind = SN_STAGE_WORDS });
}

static sn_status read_scripts(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	(void)doc;
	(void)stage;
	sn_stage scripts = { .kind = SN_STAGE_SCRIPTS };
	SN_TRY(sn_script_ranges(t->arena, &scripts.script, &scripts.n_script));
	return sn_tokenizer_add_stage(t, scripts);
}

static sn_status read_fixed_length(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	sn_stage cut = { .kind = SN_STAGE_FIXED_LENGTH };
	SN_TRY(sn_json_i64_or(doc, stage, "length", 5, &cut.length));
	if (cut.length < 1)
		return sn_json_fail(doc, stage, "length", SN_EPARSE, "%lld; expected at least 1", (long long)cut.length);
	return sn_tokenizer_add_stage(t, cut);
}

static sn_status read_byte_level(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	sn_stage words = { .kind = SN_STAGE_BYTE_LEVEL };
	bool use_regex;
	SN_TRY(sn_json_bool_or(doc, stage, "add_prefix_space", true, &words.add_prefix_space));
	SN_TRY(sn_json_bool_or(doc, stage, "use_regex", true, &use_regex));
	if (use_regex)
		SN_TRY(sn_regex_open(&words.regex, t->ctx, sn_gpt2_pattern, strlen(sn_gpt2_pattern), false, t->source));
	return sn_tokenizer_add_stage(t, words);
}

/* prepend_scheme, or in older files add_prefix_space. */
static sn_status read_metaspace(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	static const char *const names[] = {
		[SN_PREPEND_NEVER] = "never",
		[SN_PREPEND_ALWAYS] = "always",
		[SN_PREPEND_FIRST] = "first",
	};
	sn_stage space = { .kind = SN_STAGE_METASPACE };
	const char *scheme;
	uint32_t code;
	bool add;
	SN_TRY(read_char(t, doc, stage, "replacement", "\xe2\x96\x81", &space.replacement, &code));
	SN_TRY(sn_json_bool_or(doc, stage, "split", true, &space.split));
	SN_TRY(sn_json_bool_or(doc, stage, "add_prefix_space", true, &add));
	SN_TRY(sn_json_string_or(doc, stage, "prepend_scheme", add ? "always" : "never", &scheme));
	int i = 0;
	while (i < SN_COUNT(names) && strcmp(names[i], scheme) != 0) i++;
	if (i == SN_COUNT(names))
		return sn_json_fail(doc, stage, "prepend_scheme", SN_EUNKNOWN, "'%s'; known: never, always, first", scheme);
	space.prepend = (sn_prepend_scheme)i;
	return sn_tokenizer_add_stage(t, space);
}

static sn_status read_any(sn_tokenizer *t, const sn_json *doc, const json_t *stage);

static sn_status read_sequence(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	return sn_read_json_sequence(t, doc, stage, "pretokenizers", read_any);
}

static sn_status read_any(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	static const sn_json_stage known[] = {
		{ "BertPreTokenizer", read_bert },
		{ "ByteLevel", read_byte_level },
		{ "CharDelimiterSplit", read_delimiter },
		{ "Digits", read_digits },
		{ "FixedLength", read_fixed_length },
		{ "Metaspace", read_metaspace },
		{ "Punctuation", read_punctuation },
		{ "Sequence", read_sequence },
		{ "Split", read_split },
		{ "UnicodeScripts", read_scripts },
		{ "Whitespace", read_words },
		{ "WhitespaceSplit", read_white_space },
	};
	return sn_read_json_stage(t, doc, stage, known, SN_COUNT(known));
}

/* Words of a byte-level stage stay bytes if it is the last one; any after it must see them written. */
sn_status sn_read_pre_tokenizer(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	SN_TRY(read_any(t, doc, stage));
	for (int i = 0; i < t->n_stage; i++) {
		if (t->stage[i].kind != SN_STAGE_BYTE_LEVEL) continue;
		t->byte_level = i + 1 == t->n_stage && !t->written_bytes;
		t->stage[i].write_bytes = !t->byte_level;
		t->written_bytes |= t->stage[i].write_bytes;
	}
	return SN_OK;
}
