/* Bytes as tokens. */
#include "text/fallback.h"

static bool put_byte(const sn_fallback *f, unsigned char byte, size_t from, size_t to, sn_parts *out)
{
	if (f->byte_id[byte] < 0) return false;
	sn_parts_put(out, f->byte_id[byte], from, to);
	return true;
}

bool sn_fallback_put(const sn_fallback *f, const char *word, size_t from, size_t to, sn_parts *out)
{
	size_t old = out->n;
	bool all = f->on;
	for (size_t i = from; i < to && all; i++) {
		if (word[i] == ' ' && f->escaped)
			all = put_byte(f, 0xe2, from, to, out) && put_byte(f, 0x96, from, to, out) &&
				  put_byte(f, 0x81, from, to, out);
		else
			all = put_byte(f, (unsigned char)word[i], from, to, out);
	}
	if (!all) out->n = old;
	return all;
}
