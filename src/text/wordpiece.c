/* WordPiece and WordLevel. */
#include "text/wordpiece.h"

#include <string.h>

void sn_wordpiece_init(sn_wordpiece *w)
{
	for (int32_t i = 0; i < w->vocab->n; i++) {
		sn_slice token = sn_vocab_token(w->vocab, i);
		if (!token.size) continue;
		int32_t size = (int32_t)token.size, *lead = &w->lead[(unsigned char)token.data[0]];
		*lead = SN_MAX(*lead, size);
		if (token.size <= w->prefix.size || (w->prefix.size && memcmp(token.data, w->prefix.data, w->prefix.size)))
			continue;
		size -= (int32_t)w->prefix.size;
		int32_t *inner = &w->inner[(unsigned char)token.data[w->prefix.size]];
		*inner = SN_MAX(*inner, size);
	}
}

static bool has_too_many_chars(const sn_wordpiece *w, const char *word, size_t size)
{
	if ((int64_t)size <= w->max_chars) return false;
	int64_t n = 0;
	for (size_t i = 0; i < size; i++) n += ((unsigned char)word[i] & 0xc0) != 0x80;
	return n > w->max_chars;
}

/* Returns the longest token that stands at `from` and sets *to behind it; -1: none does. text: the word from there on,
 * behind the prefix where one is needed. */
static int32_t longest_at(const sn_wordpiece *w, const char *text, size_t prefix, size_t size, size_t *to)
{
	unsigned char first = (unsigned char)text[prefix];
	size_t n = (size_t)(prefix ? w->inner : w->lead)[first];
	for (n = SN_MIN(n, size); n > 0; n--) {
		if (n < size && ((unsigned char)text[prefix + n] & 0xc0) == 0x80) continue; /* inside a character */
		int32_t id = sn_vocab_find(w->vocab, text, prefix + n);
		if (id >= 0) {
			*to = n;
			return id;
		}
	}
	return -1;
}

static sn_status unknown(const sn_wordpiece *w, sn_parts *out, size_t n, size_t size)
{
	out->n = n;
	sn_parts_put(out, w->unk, 0, size);
	return SN_OK;
}

/* Encodes with the word at buf + prefix: each piece's prefix is written over what was before it. */
static sn_status encode(const sn_wordpiece *w, char *buf, size_t size, sn_parts *out)
{
	size_t start = out->n, prefix = w->prefix.size, n;
	for (size_t at = 0; at < size; at += n) {
		size_t before = at > 0 ? prefix : 0;
		char *text = buf + prefix + at - before;
		if (before) memcpy(text, w->prefix.data, prefix);
		int32_t id = longest_at(w, text, before, size - at, &n);
		if (id < 0) return unknown(w, out, start, size);
		sn_parts_put(out, id, at, at + n);
	}
	return SN_OK;
}

sn_status sn_wordpiece_encode(const sn_wordpiece *w, sn_ctx *ctx, const char *word, size_t size, sn_parts *out)
{
	enum { ON_STACK = 512 };
	char buf[ON_STACK + SN_LONGEST_PREFIX], *copy = buf;
	if (size == 0) return SN_OK;
	SN_TRY(sn_parts_reserve(out, ctx, out->n + size));
	if (has_too_many_chars(w, word, size)) return unknown(w, out, out->n, size);
	if (size > ON_STACK && !(copy = sn_alloc_raw(ctx, size + w->prefix.size))) return SN_ENOMEM;
	memcpy(copy + w->prefix.size, word, size);
	sn_status status = encode(w, copy, size, out);
	if (copy != buf) sn_free(ctx, copy);
	return status;
}

sn_status sn_wordlevel_encode(const sn_wordpiece *w, sn_ctx *ctx, const char *word, size_t size, sn_parts *out)
{
	if (size == 0) return SN_OK;
	SN_TRY(sn_parts_reserve(out, ctx, out->n + 1));
	int32_t id = sn_vocab_find(w->vocab, word, size);
	sn_parts_put(out, id >= 0 ? id : w->unk, 0, size);
	return SN_OK;
}
