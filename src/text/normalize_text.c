/* Normalizers that drop, replace and add characters, by the rules of the `tokenizers` package. */
#include "text/byte_level.h"
#include "text/classes.h"
#include "text/normalize_impl.h"

#include <string.h>

/* ---- characters on their own ---- */

/* Puts what rule makes of each character; SN_DROPPED: nothing. */
static sn_status change_each(sn_changes *c, sn_piece p, uint32_t (*rule)(uint32_t code))
{
	for (size_t at = 0; at < p.size && !c->list.failed;) {
		uint32_t code = rule(sn_utf8_next(p.text, p.size, &at));
		sn_change(c, code, code == SN_DROPPED ? -1 : 0);
	}
	return SN_OK;
}

static uint32_t cleaned(uint32_t code)
{
	if (code >= ' ' && code < 0x7f) return code;
	if (sn_is_space(code) && (code == '\t' || code == '\n' || code == '\r' || !sn_is_control(code))) return ' ';
	return code == 0 || code == 0xfffd || sn_is_control(code) ? SN_DROPPED : code;
}

sn_status sn_clean(sn_changes *c, const sn_normalizer *normalizer, sn_piece p)
{
	(void)normalizer;
	return change_each(c, p, cleaned);
}

static uint32_t nmt(uint32_t code)
{
	static const uint32_t spaces[] = { '\t', '\n', '\f', '\r', 0x1680, 0x2028, 0x2029, 0x2581, 0xfeff, 0xfffd };
	for (int i = 0; i < SN_COUNT(spaces); i++)
		if (code == spaces[i]) return ' ';
	if (code >= 0x200b && code <= 0x200f) return ' ';
	bool control = (code >= 1 && code < ' ') || code == 0x7f || code == 0x8f || code == 0x9f;
	return control ? SN_DROPPED : code;
}

sn_status sn_change_nmt(sn_changes *c, const sn_normalizer *normalizer, sn_piece p)
{
	(void)normalizer;
	return change_each(c, p, nmt);
}

static uint32_t without_nonspacing(uint32_t code) { return sn_is_nonspacing_mark(code) ? SN_DROPPED : code; }
static uint32_t without_marks(uint32_t code) { return sn_is_mark(code) ? SN_DROPPED : code; }

sn_status sn_drop_marks(sn_changes *c, const sn_normalizer *normalizer, sn_piece p)
{
	return change_each(c, p, normalizer->kind == SN_STRIP_MARKS ? without_marks : without_nonspacing);
}

/* BERT's "Chinese characters": blocks of ideographs. */
static bool is_ideograph(uint32_t code)
{
	static const uint32_t block[][2] = {
		{ 0x3400, 0x4dbf },   { 0x4e00, 0x9fff },   { 0xf900, 0xfaff },   { 0x20000, 0x2a6df },
		{ 0x2a700, 0x2b81f }, { 0x2b920, 0x2ceaf }, { 0x2f800, 0x2fa1f },
	};
	for (int i = 0; code >= 0x3400 && i < SN_COUNT(block); i++)
		if (code >= block[i][0] && code <= block[i][1]) return true;
	return false;
}

sn_status sn_space_ideographs(sn_changes *c, const sn_normalizer *normalizer, sn_piece p)
{
	(void)normalizer;
	for (size_t at = 0; at < p.size && !c->list.failed;) {
		uint32_t code = sn_utf8_next(p.text, p.size, &at);
		bool spaced = is_ideograph(code);
		if (spaced) sn_change(c, ' ', 0);
		sn_change(c, code, spaced);
		if (spaced) sn_change(c, ' ', 1);
	}
	return SN_OK;
}

sn_status sn_write_bytes(sn_changes *c, const sn_normalizer *normalizer, sn_piece p)
{
	(void)normalizer;
	for (size_t at = 0, start; at < p.size && !c->list.failed;) {
		start = at;
		(void)sn_utf8_next(p.text, p.size, &at);
		for (size_t i = start; i < at; i++) sn_change(c, sn_byte_char((unsigned char)p.text[i]), i > start);
	}
	return SN_OK;
}

/* ---- texts ---- */

/* Puts a text: the first character with the given change, the others without taking any. */
static void put_text(sn_changes *c, sn_slice text, int32_t change)
{
	for (size_t at = 0; at < text.size && !c->list.failed && !c->too_long; change = 1)
		sn_change(c, sn_utf8_next(text.data, text.size, &at), change);
}

static void keep_until(sn_changes *c, sn_piece p, size_t *at, size_t end)
{
	while (*at < end && !c->list.failed) sn_change(c, sn_utf8_next(p.text, p.size, at), 0);
}

/* The new text takes the first character's place, and that one shares it. */
sn_status sn_prepend(sn_changes *c, const sn_normalizer *normalizer, sn_piece p)
{
	size_t at = 0;
	put_text(c, normalizer->text, 0);
	if (normalizer->text.size) sn_change(c, sn_utf8_next(p.text, p.size, &at), 1);
	keep_until(c, p, &at, p.size);
	return SN_OK;
}

static int32_t count_chars(sn_piece p, size_t from, size_t to)
{
	int32_t n = 0;
	for (; from < to; from++) n += ((unsigned char)p.text[from] & 0xc0) != 0x80;
	return n;
}

sn_status sn_replace(sn_changes *c, const sn_normalizer *normalizer, sn_piece p)
{
	sn_walk walk = { .text = p.text, .size = p.size };
	size_t done = 0;
	for (bool found; !c->list.failed && !c->too_long;) {
		SN_TRY(sn_regex_next(normalizer->regex, c->ctx, c->matcher, &walk, &found));
		if (!found) break;
		keep_until(c, p, &done, walk.match[0]);
		done = walk.match[1];
		if (done > walk.match[0]) sn_change(c, SN_DROPPED, -count_chars(p, walk.match[0], done));
		put_text(c, normalizer->text, 1);
	}
	keep_until(c, p, &done, p.size);
	return SN_OK;
}

sn_status sn_strip(sn_changes *c, const sn_normalizer *normalizer, sn_piece p)
{
	size_t from = 0, to = p.size;
	for (size_t at = 0; normalizer->left && at < p.size && sn_is_space(sn_utf8_next(p.text, p.size, &at));) from = at;
	for (size_t at = to; normalizer->right && at > from && sn_is_space(sn_utf8_before(p.text, &at));) to = at;
	if (from > 0) sn_change(c, SN_DROPPED, -count_chars(p, 0, from));
	keep_until(c, p, &from, to);
	return SN_OK;
}
