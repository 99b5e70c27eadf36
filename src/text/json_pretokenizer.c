/* "pre_tokenizer" of tokenizer.json. */
#include "text/tokenizer_json.h"

#include <string.h>

static sn_status read_digits(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	bool individual;
	SN_TRY(sn_json_bool_or(doc, stage, "individual_digits", false, &individual));
	return sn_tokenizer_add_stage(
		t, (sn_stage){ .kind = SN_STAGE_DIGITS, .behavior = individual ? SN_ISOLATED : SN_CONTIGUOUS });
}

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
	SN_TRY(sn_json_string(doc, stage, "behavior", &name));
	for (int i = 1; i < SN_COUNT(names); i++)
		if (strcmp(name, names[i]) == 0) return *out = (sn_behavior)i, SN_OK;
	return sn_json_fail(doc, stage, "behavior", SN_EUNKNOWN,
						"'%s'; known: Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous", name);
}

/* pattern is {"Regex": text} or {"String": text}. */
static sn_status read_pattern(sn_tokenizer *t, const sn_json *doc, const json_t *stage, sn_regex **out)
{
	json_t *pattern;
	SN_TRY(sn_json_object(doc, stage, "pattern", &pattern));
	const json_t *regex = json_object_get(pattern, "Regex"), *text = regex ? regex : json_object_get(pattern, "String");
	if (!json_is_string(text))
		return sn_json_fail(doc, pattern, NULL, SN_EPARSE, "expected {\"Regex\": text} or {\"String\": text}");
	return sn_regex_open(out, t->ctx, json_string_value(text), json_string_length(text), !regex, t->source);
}

static sn_status read_split(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	sn_stage split = { .kind = SN_STAGE_SPLIT };
	SN_TRY(read_behavior(doc, stage, &split.behavior));
	SN_TRY(sn_json_bool_or(doc, stage, "invert", false, &split.invert));
	SN_TRY(read_pattern(t, doc, stage, &split.regex));
	return sn_tokenizer_add_stage(t, split);
}

static sn_status read_byte_level(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	sn_stage words = { .kind = SN_STAGE_BYTE_LEVEL };
	bool use_regex;
	SN_TRY(sn_json_bool_or(doc, stage, "add_prefix_space", true, &words.add_prefix_space));
	SN_TRY(sn_json_bool_or(doc, stage, "use_regex", true, &use_regex));
	if (use_regex)
		SN_TRY(sn_regex_open(&words.regex, t->ctx, sn_gpt2_pattern, strlen(sn_gpt2_pattern), false, t->source));
	t->bpe.byte_level = true;
	return sn_tokenizer_add_stage(t, words);
}

static sn_status read_sequence(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	return sn_read_json_sequence(t, doc, stage, "pretokenizers", sn_read_pre_tokenizer);
}

sn_status sn_read_pre_tokenizer(sn_tokenizer *t, const sn_json *doc, const json_t *stage)
{
	static const sn_json_stage known[] = {
		{ "ByteLevel", read_byte_level },
		{ "Digits", read_digits },
		{ "Sequence", read_sequence },
		{ "Split", read_split },
	};
	bool after_bytes = t->n_stage && t->stage[t->n_stage - 1].kind == SN_STAGE_BYTE_LEVEL;
	if (after_bytes && !json_is_null(stage))
		return sn_json_fail(doc, stage, NULL, SN_EUNKNOWN,
							"a stage after ByteLevel; ByteLevel is known as the last stage only");
	return sn_read_json_stage(t, doc, stage, known, SN_COUNT(known));
}
