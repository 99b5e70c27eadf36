/* Bytes for people. */
#include "base/readable.h"

#include <string.h>

const char *sn_readable(sn_arena *arena, const char *bytes, size_t size)
{
	sn_buf buf = { .ctx = sn_arena_ctx(arena) };
	for (size_t i = 0; i < size;) {
		size_t k = 1;
		while (k < 4 && i + k < size && ((unsigned char)bytes[i + k] & 0xc0) == 0x80) k++;
		bool control = (unsigned char)bytes[i] < ' ' || bytes[i] == 0x7f;
		if (!control && sn_utf8_check(bytes + i, k) < 0) {
			sn_buf_add(&buf, bytes + i, k);
			i += k;
			continue;
		}
		const char *names = "\n\\n\r\\r\t\\t", *name = bytes[i] ? strchr(names, bytes[i]) : NULL;
		if (control && name)
			sn_buf_add(&buf, name + 1, 2);
		else
			sn_buf_format(&buf, "\\x%02x", (unsigned char)bytes[i]);
		i++;
	}
	const char *text = buf.failed ? NULL : sn_arena_copy(arena, buf.size ? buf.data : "", buf.size);
	sn_buf_free(&buf);
	return text;
}
