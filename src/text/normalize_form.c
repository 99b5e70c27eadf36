/* Unicode's normalization forms (Unicode Standard Annex 15) and lower case. */
#include "text/classes.h"
#include "text/normalize_impl.h"

#include <utf8proc.h>

/* Stable insertion sort of the marks at the end of the list, from the last starter on, by combining class. */
static void sort_last(sn_buf *list)
{
	sn_changed *c = (sn_changed *)list->data;
	size_t i = list->size / sizeof *c - 1;
	if (c[i].class == 0) return;
	for (sn_changed new = c[i]; i > 0 && c[i - 1].class > new.class; i--) {
		c[i] = c[i - 1];
		c[i - 1] = new;
	}
}

static void put(sn_buf *list, uint32_t code, int32_t change)
{
	sn_buf_add(list, &(sn_changed){ code, change, sn_combining_class(code) }, sizeof(sn_changed));
	if (!list->failed) sort_last(list);
}

static void decompose(sn_buf *list, sn_piece p, int options)
{
	for (size_t at = 0; at < p.size && !list->failed;) {
		utf8proc_int32_t part[32];
		int boundary = 0;
		uint32_t code = sn_utf8_next(p.text, p.size, &at);
		if (code < 0x80 || sn_newer(code) == 9) {
			put(list, code, 0);
			continue;
		}
		utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)code, part, SN_COUNT(part), options, &boundary);
		SN_ASSERT(n >= 0 && n <= SN_COUNT(part));
		for (utf8proc_ssize_t i = 0; i < n; i++) put(list, (uint32_t)part[i], i > 0);
	}
}

/* Returns the character that two compose to, or 0. */
static uint32_t composed(uint32_t a, uint32_t b)
{
	if (b < 0x300 || sn_newer(b) == 9) return 0; /* nothing composes with a second character below */
	utf8proc_int32_t pair[2] = { (utf8proc_int32_t)a, (utf8proc_int32_t)b };
	return utf8proc_normalize_utf32(pair, 2, UTF8PROC_COMPOSE | UTF8PROC_STABLE) == 1 ? (uint32_t)pair[0] : 0;
}

/* Composes a decomposed list in place: each starter with the marks after it that nothing blocks. */
static void compose(sn_buf *list)
{
	sn_changed *c = (sn_changed *)list->data;
	size_t n = list->size / sizeof *c, kept = 0, starter = SIZE_MAX;
	int32_t last_class = 0; /* of the characters kept since the starter; 0: none are */
	for (size_t i = 0; i < n; i++) {
		bool blocked = kept > starter + 1 && last_class >= c[i].class;
		uint32_t code = starter != SIZE_MAX && !blocked ? composed(c[starter].code, c[i].code) : 0;
		if (code) {
			c[starter] = (sn_changed){ code, c[starter].change + c[i].change - 1, 0 };
			continue;
		}
		if (c[i].class == 0) starter = kept;
		last_class = c[i].class;
		c[kept++] = c[i];
	}
	list->size = kept * sizeof *c;
}

sn_status sn_change_form(sn_changes *c, const sn_normalizer *normalizer, sn_piece p)
{
	bool compatible = normalizer->kind == SN_NFKC || normalizer->kind == SN_NFKD;
	decompose(&c->list, p, compatible ? UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT : UTF8PROC_DECOMPOSE);
	if (!c->list.failed && (normalizer->kind == SN_NFC || normalizer->kind == SN_NFKC)) compose(&c->list);
	return SN_OK;
}

sn_status sn_change_case(sn_changes *c, const sn_normalizer *normalizer, sn_piece p)
{
	(void)normalizer;
	for (size_t at = 0; at < p.size && !c->list.failed;) {
		uint32_t code = sn_utf8_next(p.text, p.size, &at);
		bool dotted = code == 0x130; /* the only character whose lower case is two */
		sn_change(c, dotted ? 'i' : sn_lower(code), 0);
		if (dotted) sn_change(c, 0x307, 1);
	}
	return SN_OK;
}
