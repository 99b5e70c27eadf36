/* A tokenizer around a SentencePiece model: which pieces are which tokens, and what is found as it is written. */
#include "text/tokenizer_spm.h"

#include <string.h>

/* ---- vocabulary ---- */

static sn_status share_vocab(sn_tokenizer *t, const sn_spm *spm)
{
	t->vocab = spm->vocab;
	return SN_OK;
}

/* Copies the pieces' texts to their tokens. */
static sn_status build_vocab(sn_tokenizer *t, const sn_spm *spm, const sn_spm_ids *ids)
{
	if (ids->n <= 0 || ids->n >= INT32_MAX)
		return sn_fail(t->ctx, SN_EPARSE, "%s: a tokenizer of %lld tokens", t->source, (long long)ids->n);
	sn_vocab_entry *entry = sn_alloc(t->ctx, sn_size3((size_t)ids->n, sizeof *entry, 1));
	if (!entry) return SN_ENOMEM;
	for (int32_t i = spm->vocab.n - 1; i >= 0; i--) /* of pieces that are one token the first gives the text */
		entry[ids->of ? ids->of[i] : i].text = sn_vocab_token(&spm->vocab, i);
	for (int i = 0; i < ids->n_extra; i++) entry[ids->extra[i].id] = (sn_vocab_entry){ .text = ids->extra[i].text };
	sn_status status = sn_vocab_build(&t->vocab, t->arena, ids->n, entry, NULL, t->source);
	sn_free(t->ctx, entry);
	return status;
}

static sn_status copy_map(sn_tokenizer *t, const sn_spm *spm, const int32_t *of)
{
	int32_t *copy;
	if (!of) return SN_OK;
	SN_NEW(copy, t->arena, int32_t, spm->vocab.n);
	memcpy(copy, of, (size_t)spm->vocab.n * sizeof *copy);
	t->token_of = copy;
	return SN_OK;
}

/* ---- added tokens ---- */

static bool is_special(const sn_spm_piece *p) { return p->type == SN_TOKEN_CONTROL || p->type == SN_TOKEN_UNKNOWN; }

static void add(sn_tokenizer *t, const sn_spm_extra *extra)
{
	sn_slice text = sn_vocab_token(&t->vocab, extra->id);
	t->flag[extra->id] |= SN_IS_ADDED | (extra->special ? SN_IS_SPECIAL : 0);
	if (extra->hidden || text.size == 0) return;
	t->added[0].token[t->added[0].n++] = (sn_added){
		.text = text, .id = extra->id, .special = extra->special, .lstrip = extra->lstrip, .rstrip = extra->rstrip
	};
}

static sn_status add_tokens(sn_tokenizer *t, const sn_spm_spec *spec, const sn_spm_ids *ids)
{
	int64_t n = ids->n_extra;
	for (int64_t i = 0; i < spec->n; i++) n += is_special(&spec->piece[i]);
	SN_NEW(t->added[0].token, t->arena, sn_added, n);
	SN_NEW(t->flag, t->arena, uint8_t, t->vocab.n);
	for (int i = ids->n_extra - 1; i >= 0; i--) /* of several that are one token the last counts */
		if (!t->flag[ids->extra[i].id]) add(t, &ids->extra[i]);
	for (int32_t i = 0; i < spec->n; i++) {
		int32_t id = ids->of ? ids->of[i] : i;
		if (is_special(&spec->piece[i]) && !t->flag[id]) add(t, &(sn_spm_extra){ .id = id, .special = true });
	}
	sn_added_index(&t->added[0]);
	return SN_OK;
}

sn_status sn_tokenizer_set_spm(sn_tokenizer *t, const sn_spm_spec *spec, const sn_spm_ids *ids)
{
	const sn_spm_ids same = { .n = spec->n };
	sn_spm *spm;
	SN_NEW(spm, t->arena, sn_spm, 1);
	SN_TRY(sn_spm_build(spm, t->arena, spec));
	SN_TRY(ids ? build_vocab(t, spm, ids) : share_vocab(t, spm));
	SN_TRY(copy_map(t, spm, ids ? ids->of : NULL));
	SN_TRY(add_tokens(t, spec, ids ? ids : &same));
	t->spm = spm;
	t->encode = sn_encode_spm;
	t->decodes = true;
	SN_TRY(sn_tokenizer_add_decoder(t, (sn_decoder){ .kind = SN_DECODE_FUSE }));
	if (!spec->add_dummy_prefix || spec->whitespace_as_suffix) return SN_OK;
	return sn_tokenizer_add_decoder(t, (sn_decoder){ .kind = SN_DECODE_STRIP, .text = { " ", 1 }, .start = 1 });
}
