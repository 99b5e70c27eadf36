/* GPT-2's alphabet (openai/gpt-2, encoder.py, bytes_to_unicode): printable bytes stand for themselves, the others are
 * numbered from 256 on. */
#include "text/byte_level.h"

static bool is_printable(int byte)
{
	return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
}

void sn_byte_alphabet_init(sn_byte_alphabet *alphabet)
{
	int extra = 256;
	for (int c = 0; c < SN_BYTE_CHARS; c++) alphabet->byte_of[c] = -1;
	for (int b = 0; b < 256; b++) alphabet->byte_of[is_printable(b) ? b : extra++] = (int16_t)b;
	SN_ASSERT(extra == SN_BYTE_CHARS);
}

int64_t sn_byte_decode(const sn_byte_alphabet *alphabet, const char *text, size_t size, char *out)
{
	const unsigned char *s = (const unsigned char *)text;
	int64_t n = 0;
	for (size_t i = 0; i < size; i++) {
		unsigned code = s[i];
		if (code >= 0x80) { /* the alphabet's other characters take two bytes */
			if (code < 0xc2 || code > 0xc5 || size - i < 2 || (s[i + 1] & 0xc0) != 0x80) return -1;
			code = (code & 0x1f) << 6 | (s[++i] & 0x3f);
		}
		if (code >= SN_BYTE_CHARS || alphabet->byte_of[code] < 0) return -1;
		out[n++] = (char)alphabet->byte_of[code];
	}
	return n;
}
