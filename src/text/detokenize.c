/* From tokens back to text. */
#include "text/tokenizer_impl.h"

#include <string.h>

/* Returns a token's text; an added token that is looked for in normalised text is written as it looks there, as in
 * `tokenizers`. */
static sn_slice text_of(const sn_tokenizer *t, int32_t id, bool *special)
{
	sn_slice text = sn_vocab_token(&t->vocab, id);
	int flag = text.data && t->flag ? t->flag[id] : 0;
	*special = flag & SN_IS_SPECIAL;
	if (!(flag & SN_IS_NORMALIZED)) return text;
	for (int32_t i = 0; i < t->added[1].n; i++) {
		sn_slice shown = t->added[1].token[i].text;
		if (t->added[1].token[i].id != id) continue;
		*special = *special && shown.size == text.size && memcmp(shown.data, text.data, text.size) == 0;
		return shown;
	}
	return text;
}

/* Appends a token's text as the vocabulary file has it, which decoders expect. */
static sn_status add_token(const sn_tokenizer *t, sn_ctx *ctx, int32_t id, int flags, sn_texts *texts)
{
	bool special;
	sn_slice token = text_of(t, id, &special);
	if (special && (flags & SN_SKIP_SPECIAL)) return SN_OK;
	if (!t->decodes && sn_texts_count(texts)) sn_buf_add(&texts->bytes, " ", 1);
	if (!token.data)
		return sn_fail(ctx, SN_ENOTFOUND, "no token has the id %d; %s has ids from 0 to %d", id, t->source,
					   t->vocab.n - 1);
	if (t->byte_level && !(t->flag && t->flag[id] & SN_IS_ADDED))
		sn_byte_encode(token.data, token.size, &texts->bytes);
	else
		sn_buf_add(&texts->bytes, token.data, token.size);
	sn_texts_end(texts);
	return SN_OK;
}

static sn_status collect(const sn_tokenizer *t, sn_ctx *ctx, int64_t n, const int32_t *id, int flags, sn_texts *texts)
{
	for (int64_t i = 0; i < n; i++) {
		SN_TRY(add_token(t, ctx, id[i], flags, texts));
	}
	return texts->bytes.failed || texts->end.failed ? SN_ENOMEM : SN_OK;
}

sn_status sn_detokenize(sn_ctx *ctx, const sn_tokenizer *tokenizer, int64_t n, const int32_t *id, int flags,
						sn_arena *arena, const char **text, size_t *size)
{
	sn_texts texts = { { .ctx = ctx }, { .ctx = ctx } };
	*text = NULL;
	*size = 0;
	sn_status status = collect(tokenizer, ctx, n, id, flags, &texts);
	if (status == SN_OK) status = sn_decode(ctx, tokenizer->decoder, tokenizer->n_decoder, &texts);
	if (status == SN_OK) {
		*size = texts.bytes.size;
		*text = sn_arena_copy(arena, texts.bytes.size ? texts.bytes.data : "", texts.bytes.size);
		if (!*text) status = SN_ENOMEM;
	}
	sn_texts_free(&texts);
	return status;
}
