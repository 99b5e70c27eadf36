/* Normalizers. Each makes a list of new characters with what they do to the old ones; one function turns that list into
 * text. */
#include "text/normalize.h"

#include <utf8proc.h>

/* change 0: in place of the next old character; 1: without taking one; -k: in place of the next 1 + k old characters.
 */
typedef struct changed {
	uint32_t code;
	int32_t change, class; /* class: canonical combining class, where a normalizer sorts by it */
} changed;

static void put(sn_buf *list, uint32_t code, int32_t change, int32_t class)
{
	sn_buf_add(list, &(changed){ code, change, class }, sizeof(changed));
}

/* ---- decomposition and composition (Unicode Standard Annex 15) ---- */

static int32_t class_of(uint32_t code) { return utf8proc_get_property((utf8proc_int32_t)code)->combining_class; }

/* Stable insertion sort of the marks at the end of the list, from the last starter on, by combining class. */
static void sort_last(sn_buf *list)
{
	changed *c = (changed *)list->data;
	size_t i = list->size / sizeof *c - 1;
	if (c[i].class == 0) return;
	for (changed new = c[i]; i > 0 && c[i - 1].class > new.class; i--) {
		c[i] = c[i - 1];
		c[i - 1] = new;
	}
}

static void decompose(sn_buf *list, sn_piece p, int options)
{
	for (size_t at = 0; at < p.size && !list->failed;) {
		utf8proc_int32_t part[32];
		int boundary = 0;
		uint32_t code = sn_utf8_next(p.text, p.size, &at);
		utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)code, part, SN_COUNT(part), options, &boundary);
		SN_ASSERT(n >= 0 && n <= SN_COUNT(part));
		for (utf8proc_ssize_t i = 0; i < n; i++) {
			put(list, (uint32_t)part[i], i > 0, class_of((uint32_t)part[i]));
			if (!list->failed) sort_last(list);
		}
	}
}

/* Returns the character that two compose to, or 0. */
static uint32_t composed(uint32_t a, uint32_t b)
{
	if (b < 0x300) return 0; /* nothing composes with a second character below */
	utf8proc_int32_t pair[2] = { (utf8proc_int32_t)a, (utf8proc_int32_t)b };
	return utf8proc_normalize_utf32(pair, 2, UTF8PROC_COMPOSE | UTF8PROC_STABLE) == 1 ? (uint32_t)pair[0] : 0;
}

/* Composes a decomposed list in place: each starter with the marks after it that nothing blocks. */
static void compose(sn_buf *list)
{
	changed *c = (changed *)list->data;
	size_t n = list->size / sizeof *c, kept = 0, starter = SIZE_MAX;
	int32_t last_class = 0; /* of the characters kept since the starter; 0: none are */
	for (size_t i = 0; i < n; i++) {
		bool blocked = kept > starter + 1 && last_class >= c[i].class;
		uint32_t code = starter != SIZE_MAX && !blocked ? composed(c[starter].code, c[i].code) : 0;
		if (code) {
			c[starter] = (changed){ code, c[starter].change + c[i].change - 1, 0 };
			continue;
		}
		if (c[i].class == 0) starter = kept;
		last_class = c[i].class;
		c[kept++] = c[i];
	}
	list->size = kept * sizeof *c;
}

static void lowercase(sn_buf *list, sn_piece p)
{
	for (size_t at = 0; at < p.size && !list->failed;) {
		uint32_t code = sn_utf8_next(p.text, p.size, &at);
		bool dotted = code == 0x130; /* the only character whose lower case is two */
		put(list, dotted ? 'i' : (uint32_t)utf8proc_tolower((utf8proc_int32_t)code), 0, 0);
		if (dotted) put(list, 0x307, 1, 0);
	}
}

static void change(sn_normalizer normalizer, sn_buf *list, sn_piece p)
{
	if (normalizer == SN_LOWERCASE)
		lowercase(list, p);
	else
		decompose(list, p,
				  normalizer == SN_NFKC || normalizer == SN_NFKD ? UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT
																 : UTF8PROC_DECOMPOSE);
	if (!list->failed && (normalizer == SN_NFC || normalizer == SN_NFKC)) compose(list);
}

/* ---- text out of changes ---- */

/* Moves over the next n characters. */
static size_t skip(sn_piece p, size_t at, int32_t n)
{
	for (; n > 0 && at < p.size; n--) (void)sn_utf8_next(p.text, p.size, &at);
	return at;
}

static void rewrite(sn_piece p, const changed *c, size_t n, sn_buf *text, sn_buf *origin)
{
	size_t at = 0;
	for (size_t i = 0; i < n; i++) {
		char bytes[4];
		int size = sn_utf8_put(c[i].code, bytes);
		size_t old = c[i].change > 0 && at > 0 ? at - 1 : at;
		int64_t span[2] = { p.origin ? p.origin[0][0] : p.base, p.origin ? p.origin[0][0] : p.base };
		if (c[i].change <= 0 || at > 0) sn_piece_span(&p, old, old + 1, span);
		if (c[i].change <= 0) at = skip(p, at, 1 - c[i].change);
		sn_buf_add(text, bytes, (size_t)size);
		for (int b = 0; b < size; b++) sn_buf_add(origin, span, sizeof span);
	}
}

/* Text that a normalizer certainly leaves alone. */
static bool is_unchanged(sn_normalizer normalizer, sn_piece p)
{
	unsigned char limit = normalizer == SN_NFC ? 0xcc : 0x80; /* 0xcc begins U+0300, the first that can compose */
	for (size_t i = 0; i < p.size; i++) {
		unsigned char byte = (unsigned char)p.text[i];
		if (byte >= limit || (normalizer == SN_LOWERCASE && byte >= 'A' && byte <= 'Z')) return false;
	}
	return true;
}

sn_status sn_normalize(sn_ctx *ctx, const sn_normalizer *normalizer, int n, sn_piece p, sn_piece_fn *out, void *payload)
{
	while (n > 0 && is_unchanged(*normalizer, p)) normalizer++, n--;
	if (n == 0) return out(payload, p);
	sn_buf list = { .ctx = ctx }, text = list, origin = list;
	change(*normalizer, &list, p);
	if (!list.failed) rewrite(p, (const changed *)list.data, list.size / sizeof(changed), &text, &origin);
	bool failed = list.failed || text.failed || origin.failed;
	sn_buf_free(&list);
	sn_piece next = { text.data, text.size, (const int64_t(*)[2])origin.data, 0 };
	sn_status status = failed ? SN_ENOMEM : sn_normalize(ctx, normalizer + 1, n - 1, next, out, payload);
	sn_buf_free(&text);
	sn_buf_free(&origin);
	return status;
}
