/* The normalizer "Precompiled" of the `tokenizers` package: SentencePiece's rules, but applied to one grapheme cluster
 * or one character at a time, and of the rules that apply the shortest for all of it. */
#include "text/charsmap.h"
#include "text/normalize_impl.h"

#include <utf8proc.h>

enum { LONGEST_CLUSTER = 5 }; /* bytes; of a longer one each character is looked up alone */

static int32_t count_chars(const char *text, size_t size)
{
	int32_t n = 0;
	for (size_t i = 0; i < size; i++) n += ((unsigned char)text[i] & 0xc0) != 0x80;
	return n;
}

/* Writes what n old characters become. New ones that are more come without an old one; what is left over belongs to the
 * last character before. */
static void replace(sn_changes *c, int32_t n, sn_slice to)
{
	int32_t more = count_chars(to.data, to.size) - n, i = 0;
	int32_t last = more > 0 ? n : n + more;
	for (size_t at = 0; at < to.size; i++) {
		uint32_t code = sn_utf8_next(to.data, to.size, &at);
		sn_change(c, code, i >= last && more > 0 ? 1 : at == to.size && more < 0 ? more : 0);
	}
	if (to.size == 0 && c->list.size) ((sn_changed *)c->list.data)[c->list.size / sizeof(sn_changed) - 1].change -= n;
}

static void change_cluster(sn_changes *c, const sn_charsmap *map, const char *text, size_t size)
{
	sn_slice to;
	if (size <= LONGEST_CLUSTER && sn_charsmap_find(map, SN_CHARSMAP_FIRST, text, size, &to)) {
		replace(c, count_chars(text, size), to);
		return;
	}
	for (size_t at = 0, next = 0; at < size; at = next) {
		uint32_t code = sn_utf8_next(text, size, &next);
		if (sn_charsmap_find(map, SN_CHARSMAP_FIRST, text + at, next - at, &to))
			replace(c, 1, to);
		else
			sn_change(c, code, 0);
	}
}

sn_status sn_change_charsmap(sn_changes *c, const sn_normalizer *normalizer, sn_piece p)
{
	utf8proc_int32_t state = 0;
	for (size_t from = 0, to = 0; from < p.size && !c->list.failed; from = to) {
		uint32_t code = sn_utf8_next(p.text, p.size, &to);
		for (size_t next = to; to < p.size; to = next) {
			uint32_t after = sn_utf8_next(p.text, p.size, &next);
			if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)code, (utf8proc_int32_t)after, &state)) break;
			code = after;
		}
		change_cluster(c, normalizer->map, p.text + from, to - from);
	}
	return SN_OK;
}
