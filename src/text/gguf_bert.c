/* BERT's tokenizer from the metadata of a GGUF file. */
#include "text/gguf_bert.h"

#include <string.h>

#include "text/classes.h"

enum { LONGEST_WORD = 100 }; /* characters; a longer word is unknown, as in BERT's own tokenizer */

static bool is_whole(const sn_tokenizer_spec *spec, int64_t i)
{
	sn_slice text = spec->token[i];
	bool brackets = text.size > 1 && text.data[0] == '[' && text.data[text.size - 1] == ']';
	return brackets || (spec->type && spec->type[i] == SN_TOKEN_CONTROL);
}

/* Writes a token as vocab.txt has it, and returns its size there: at most two bytes more. */
static size_t spell(const sn_tokenizer_spec *spec, int64_t i, char *out)
{
	sn_slice text = spec->token[i];
	bool begins = text.size >= 3 && memcmp(text.data, "\xe2\x96\x81", 3) == 0;
	size_t skip = begins ? 3 : 0, mark = begins || text.size == 0 || is_whole(spec, i) ? 0 : 2;
	memcpy(out, "##", mark);
	if (text.size > skip) memcpy(out + mark, text.data + skip, text.size - skip);
	return mark + text.size - skip;
}

static sn_status fill_vocab(sn_tokenizer *t, const sn_tokenizer_spec *spec, sn_vocab_entry *entry, char *text)
{
	for (int64_t i = 0; i < spec->n_token; i++) {
		if (sn_utf8_check(spec->token[i].data, spec->token[i].size) >= 0)
			return sn_fail(t->ctx, SN_EPARSE, "%s: token %lld is not UTF-8", t->source, (long long)i);
		size_t size = spell(spec, i, text);
		entry[i] = (sn_vocab_entry){ .text = { text, size } };
		text += size;
	}
	return sn_vocab_build(&t->vocab, t->arena, spec->n_token, entry, NULL, t->source);
}

static sn_status build_vocab(sn_tokenizer *t, const sn_tokenizer_spec *spec)
{
	size_t total = 1;
	for (int64_t i = 0; i < spec->n_token; i++) total += spec->token[i].size + 2;
	char *text = sn_alloc_raw(t->ctx, total);
	sn_vocab_entry *entry = text ? sn_alloc(t->ctx, sn_size3((size_t)spec->n_token, sizeof *entry, 1)) : NULL;
	sn_status status = entry ? fill_vocab(t, spec, entry, text) : SN_ENOMEM;
	sn_free(t->ctx, entry);
	sn_free(t->ctx, text);
	return status;
}

static sn_status add_special(sn_tokenizer *t, const sn_tokenizer_spec *spec)
{
	int64_t n = 0;
	for (int64_t i = 0; i < spec->n_token; i++) n += is_whole(spec, i);
	SN_NEW(t->added[0].token, t->arena, sn_added, n);
	SN_NEW(t->flag, t->arena, uint8_t, spec->n_token);
	for (int32_t i = 0; i < spec->n_token; i++) {
		bool special = spec->type && spec->type[i] == SN_TOKEN_CONTROL;
		sn_slice text = sn_vocab_token(&t->vocab, i); /* of U+2581 alone, nothing is left */
		if (!special || text.size == 0) continue;
		t->flag[i] = SN_IS_ADDED | SN_IS_SPECIAL;
		t->added[0].token[t->added[0].n++] = (sn_added){ .text = text, .id = i, .special = true };
	}
	sn_added_index(&t->added[0]);
	return SN_OK;
}

static sn_status add_stages(sn_tokenizer *t)
{
	static const sn_normalizer_kind kinds[] = { SN_BERT_CLEAN, SN_BERT_IDEOGRAPHS, SN_NFD, SN_STRIP_NONSPACING,
												SN_LOWERCASE };
	for (int i = 0; i < SN_COUNT(kinds); i++)
		SN_TRY(sn_tokenizer_add_normalizer(t, (sn_normalizer){ .kind = kinds[i] }));
	sn_stage split = { .kind = SN_STAGE_SPLIT_CLASS, .in_class = sn_is_space, .behavior = SN_REMOVED };
	SN_TRY(sn_tokenizer_add_stage(t, split));
	split.in_class = sn_is_punctuation;
	split.behavior = SN_ISOLATED;
	SN_TRY(sn_tokenizer_add_stage(t, split));
	t->decodes = true;
	sn_decoder decoder = { .kind = SN_DECODE_WORDPIECE, .text = { "##", 2 }, .cleanup = true };
	return sn_tokenizer_add_decoder(t, decoder);
}

sn_status sn_tokenizer_set_bert(sn_tokenizer *t, const sn_tokenizer_spec *spec)
{
	SN_TRY(build_vocab(t, spec));
	SN_TRY(add_special(t, spec));
	SN_TRY(add_stages(t));
	t->wordpiece.vocab = &t->vocab;
	t->wordpiece.prefix = (sn_slice){ "##", 2 };
	t->wordpiece.unk = spec->unk >= 0 && spec->unk < spec->n_token ? spec->unk : -1;
	t->wordpiece.max_chars = LONGEST_WORD;
	sn_wordpiece_init(&t->wordpiece);
	t->encode = sn_encode_wordpiece;
	t->kind = "lower case";
	return SN_OK;
}
