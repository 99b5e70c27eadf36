/* Classes of characters, from utf8proc's tables. */
#include "text/classes.h"

#include <utf8proc.h>

bool sn_is_space(uint32_t code)
{
	if ((code >= 9 && code <= 13) || code == 0x85) return true;
	utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)code);
	return c == UTF8PROC_CATEGORY_ZS || c == UTF8PROC_CATEGORY_ZL || c == UTF8PROC_CATEGORY_ZP;
}

bool sn_is_number(uint32_t code)
{
	if (code < 0x80) return code >= '0' && code <= '9';
	utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)code);
	return c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO;
}

bool sn_is_word(uint32_t code)
{
	if (code == 0x200c || code == 0x200d) return true;
	utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)code);
	return (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_NL) || c == UTF8PROC_CATEGORY_PC;
}

uint32_t sn_utf8_before(const char *text, size_t *pos)
{
	size_t end = *pos, at;
	do --*pos;
	while (((unsigned char)text[*pos] & 0xc0) == 0x80);
	at = *pos;
	return sn_utf8_next(text, end, &at);
}
