/* Putting a tokenizer together: what every constructor needs. */
#include "text/tokenizer_impl.h"

#include <string.h>

sn_status sn_tokenizer_new(sn_tokenizer **out, sn_ctx *ctx, const char *source)
{
	*out = NULL;
	sn_tokenizer *t = sn_alloc(ctx, sizeof *t);
	if (!t) return SN_ENOMEM;
	t->ctx = ctx;
	t->bpe.unk = t->wordpiece.unk = t->unigram.unk = -1;
	sn_status status = sn_arena_open(&t->arena, ctx);
	if (status == SN_OK && !(t->source = sn_arena_string(t->arena, source))) status = SN_ENOMEM;
	if (status == SN_OK)
		*out = t;
	else
		sn_tokenizer_close(t);
	return status;
}

void sn_tokenizer_close(sn_tokenizer *t)
{
	if (!t) return;
	for (int i = 0; i < t->n_stage; i++) sn_regex_close(t->ctx, t->stage[i].regex);
	for (int i = 0; i < t->n_normalizer; i++) sn_regex_close(t->ctx, t->normalizer[i].regex);
	for (int i = 0; i < t->n_decoder; i++) sn_regex_close(t->ctx, t->decoder[i].regex);
	sn_arena_close(t->arena);
	sn_free(t->ctx, t);
}

static sn_status too_many(sn_tokenizer *t, sn_regex *regex, const char *what)
{
	sn_regex_close(t->ctx, regex);
	return sn_fail(t->ctx, SN_EPARSE, "%s: more than %d %s", t->source, SN_MAX_STAGES, what);
}

sn_status sn_tokenizer_add_stage(sn_tokenizer *t, sn_stage stage)
{
	if (t->n_stage == SN_MAX_STAGES) return too_many(t, stage.regex, "pre-tokenizer stages");
	t->stage[t->n_stage++] = stage;
	return SN_OK;
}

sn_status sn_tokenizer_add_normalizer(sn_tokenizer *t, sn_normalizer normalizer)
{
	if (t->n_normalizer == SN_MAX_STAGES) return too_many(t, normalizer.regex, "normalizers");
	t->normalizer[t->n_normalizer++] = normalizer;
	return SN_OK;
}

sn_status sn_tokenizer_add_decoder(sn_tokenizer *t, sn_decoder decoder)
{
	if (t->n_decoder == SN_MAX_STAGES) return too_many(t, decoder.regex, "decoders");
	t->decoder[t->n_decoder++] = decoder;
	return SN_OK;
}

/* ---- templates ---- */

sn_status sn_template_add(sn_tokenizer *t, sn_template *template, int32_t id, int type)
{
	if (template->n == SN_MAX_TEMPLATE)
		return sn_fail(t->ctx, SN_EPARSE, "%s: more than %d tokens around a text", t->source, SN_MAX_TEMPLATE - 2);
	template->item[template->n].id = id;
	template->item[template->n++].type = (uint8_t)type;
	return SN_OK;
}

static sn_status default_templates(sn_tokenizer *t)
{
	if (t->single.n == 0) SN_TRY(sn_template_add(t, &t->single, SN_TEMPLATE_A, 0));
	if (t->pair.n == 0) {
		SN_TRY(sn_template_add(t, &t->pair, SN_TEMPLATE_A, 0));
		SN_TRY(sn_template_add(t, &t->pair, SN_TEMPLATE_B, 1));
	}
	return SN_OK;
}

/* Puts an item before item `at`. */
static sn_status insert(sn_tokenizer *t, sn_template *template, int at, int32_t id, int type)
{
	SN_TRY(sn_template_add(t, template, id, type));
	int n = template->n - 1 - at;
	memmove(&template->item[at + 1], &template->item[at], (size_t)n * sizeof template->item[0]);
	template->item[at].id = id;
	template->item[at].type = (uint8_t)type;
	return SN_OK;
}

sn_status sn_tokenizer_surround(sn_tokenizer *t, int32_t id, bool after)
{
	SN_TRY(default_templates(t));
	sn_template *both[2] = { &t->single, &t->pair };
	for (int k = 0; k < 2; k++) {
		for (int i = 0; i < both[k]->n; i++) {
			if (both[k]->item[i].id >= 0) continue;
			int type = both[k]->item[i].type, at = i;
			if (after)
				for (at = i + 1; at < both[k]->n && both[k]->item[at].id >= 0;) at++;
			SN_TRY(insert(t, both[k], at, id, type));
			i += !after;
			if (after) i = at;
		}
	}
	return SN_OK;
}

/* ---- merges ---- */

/* The bytes that a text of the vocabulary file stands for. */
static sn_slice decoded(sn_slice text, const sn_byte_alphabet *alphabet, sn_buf *buf)
{
	buf->size = 0;
	if (!alphabet) return text;
	sn_buf_add(buf, text.data, text.size);
	if (buf->failed) return text;
	int64_t n = sn_byte_decode(alphabet, text.data, text.size, buf->data);
	return n < 0 ? text : (sn_slice){ buf->data, (size_t)n };
}

sn_status sn_tokenizer_add_merge(sn_tokenizer *t, int64_t number, sn_slice left, sn_slice right,
								 const sn_byte_alphabet *alphabet, sn_buf scratch[3])
{
	sn_slice a = decoded(left, alphabet, &scratch[0]), b = decoded(right, alphabet, &scratch[1]);
	bool added = sn_bpe_add_merge(&t->bpe, (uint32_t)number, a, b, &scratch[2]);
	if (scratch[0].failed || scratch[1].failed || scratch[2].failed) return SN_ENOMEM;
	if (added) return SN_OK;
	return sn_fail(t->ctx, SN_EPARSE,
				   "%s: merge %lld, '%.*s' + '%.*s': both and what they make must be in the vocabulary", t->source,
				   (long long)number, (int)SN_MIN(left.size, 80), left.data, (int)SN_MIN(right.size, 80), right.data);
}

/* ---- the end ---- */

sn_status sn_tokenizer_finish(sn_tokenizer *t, const char *model, const char *more)
{
	SN_TRY(default_templates(t));
	bool after = false;
	for (int i = 0; i < t->single.n; i++) {
		int32_t id = t->single.item[i].id;
		if (id < 0)
			after = true;
		else if (after)
			t->after[t->n_after++] = id;
		else
			t->before[t->n_before++] = id;
	}
	t->kind =
		sn_arena_format(t->arena, "%s%s, %d tokens, %s", t->byte_level ? "byte-level " : "", model, t->vocab.n, more);
	return t->kind ? SN_OK : SN_ENOMEM;
}
