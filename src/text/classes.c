/* Classes of characters, from utf8proc's tables. */
#include "text/classes.h"

#include <utf8proc.h>

static utf8proc_category_t category_of(uint32_t code) { return utf8proc_category((utf8proc_int32_t)code); }

bool sn_is_space(uint32_t code)
{
	if (code < 0x80) return code == ' ' || (code >= 9 && code <= 13);
	if (code == 0x85) return true;
	utf8proc_category_t c = category_of(code);
	return c == UTF8PROC_CATEGORY_ZS || c == UTF8PROC_CATEGORY_ZL || c == UTF8PROC_CATEGORY_ZP;
}

bool sn_is_number(uint32_t code)
{
	if (code < 0x80) return code >= '0' && code <= '9';
	utf8proc_category_t c = category_of(code);
	return c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO;
}

/* Symbols that are letters with something around them: Other_Alphabetic among So. */
static bool is_enclosed_letter(uint32_t code)
{
	return (code >= 0x24b6 && code <= 0x24e9) || (code >= 0x1f130 && code <= 0x1f149) ||
		   (code >= 0x1f150 && code <= 0x1f169) || (code >= 0x1f170 && code <= 0x1f189);
}

bool sn_is_word(uint32_t code)
{
	if (code < 0x80)
		return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z') || (code >= '0' && code <= '9') ||
			   code == '_';
	if (code == 0x200c || code == 0x200d || is_enclosed_letter(code)) return true;
	utf8proc_category_t c = category_of(code);
	return (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_NL) || c == UTF8PROC_CATEGORY_PC;
}

uint32_t sn_lower(uint32_t code)
{
	if (code < 0x80) return code >= 'A' && code <= 'Z' ? code + 32 : code;
	return (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);
}

/* ---- Unicode 8 ---- */

bool sn_is_control(uint32_t code)
{
	if (code < 0x80) return code < ' ' || code == 0x7f;
	utf8proc_category_t c = category_of(code);
	if (c == UTF8PROC_CATEGORY_CF) return !sn_newer(code);
	return c == UTF8PROC_CATEGORY_CC || c == UTF8PROC_CATEGORY_CO;
}

bool sn_is_punctuation(uint32_t code)
{
	if (code < 0x80)
		return (code > ' ' && code < '0') || (code > '9' && code < 'A') || (code > 'Z' && code < 'a') ||
			   (code > 'z' && code < 0x7f);
	if (code == 0x166d || code == 0x111c9) return true; /* a symbol and a mark since */
	utf8proc_category_t c = category_of(code);
	return c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO && !sn_newer(code);
}

bool sn_is_nonspacing_mark(uint32_t code)
{
	if (code < 0x300) return false;
	if (code == 0x1734) return true; /* spacing since Unicode 14 */
	return category_of(code) == UTF8PROC_CATEGORY_MN && !sn_newer(code);
}

/* ---- Unicode 9 ---- */

bool sn_is_mark(uint32_t code)
{
	if (code < 0x300) return false;
	if (code == 0x1cf2 || code == 0x1cf3) return true; /* letters since Unicode 12 */
	if (code == 0x111c9) return false; /* punctuation then */
	utf8proc_category_t c = category_of(code);
	return c >= UTF8PROC_CATEGORY_MN && c <= UTF8PROC_CATEGORY_ME && sn_newer(code) != 9;
}

int32_t sn_combining_class(uint32_t code)
{
	if (code < 0x300) return 0;
	int32_t class = utf8proc_get_property((utf8proc_int32_t)code)->combining_class;
	return class && sn_newer(code) == 9 ? 0 : class;
}

/* ---- backwards ---- */

uint32_t sn_utf8_before(const char *text, size_t *pos)
{
	size_t end = *pos, at;
	do --*pos;
	while (((unsigned char)text[*pos] & 0xc0) == 0x80);
	at = *pos;
	return sn_utf8_next(text, end, &at);
}
