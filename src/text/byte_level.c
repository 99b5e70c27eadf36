/* GPT-2's alphabet (openai/gpt-2, encoder.py, bytes_to_unicode): printable bytes stand for themselves, the others are
 * numbered from 256 on. */
#include "text/byte_level.h"

#include <string.h>

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

uint32_t sn_byte_char(unsigned char byte)
{
	if (is_printable(byte)) return byte;
	/* 256 and on: bytes 0 to 32, then 127 to 160, then 173 */
	return 256 + (byte <= ' ' ? byte : byte <= 0xa0 ? byte - 0x7fu + 33 : 67);
}

void sn_byte_encode(const char *bytes, size_t size, sn_buf *out)
{
	for (size_t i = 0; i < size; i++) {
		char text[4];
		sn_buf_add(out, text, (size_t)sn_utf8_put(sn_byte_char((unsigned char)bytes[i]), text));
	}
}

void sn_byte_token_name(unsigned char byte, char out[8])
{
	static const char digits[] = "0123456789ABCDEF";
	memcpy(out, "<0x00>", 7);
	out[3] = digits[byte >> 4];
	out[4] = digits[byte & 15];
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9') return c - '0';
	if (c >= 'a' && c <= 'f') return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int sn_byte_token(sn_slice t)
{
	if (t.size != SN_BYTE_TOKEN_SIZE || memcmp(t.data, "<0x", 3) != 0 || t.data[5] != '>') return -1;
	int high = hex_value(t.data[3]), low = hex_value(t.data[4]);
	return high < 0 || low < 0 ? -1 : 16 * high + low;
}
