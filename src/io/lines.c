/* Lines of text. */
#include "io/lines.h"

sn_lines sn_lines_make(const char *source, const char *data, size_t size)
{
	size_t mark = size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
	return (sn_lines){ .source = source, .data = data, .size = size, .pos = mark };
}

bool sn_lines_next(sn_lines *lines, sn_slice *out)
{
	if (lines->pos >= lines->size) return false;
	const char *start = lines->data + lines->pos;
	size_t left = lines->size - lines->pos;
	const char *end = memchr(start, '\n', left);
	size_t size = end ? (size_t)(end - start) : left;
	lines->pos += size + (end != NULL);
	lines->line++;
	if (end && size > 0 && start[size - 1] == '\r') size--;
	*out = (sn_slice){ start, size };
	return true;
}

bool sn_slice_blank(sn_slice text)
{
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] != ' ' && text.data[i] != '\t') return false;
	return true;
}

sn_status sn_text_check(sn_ctx *ctx, const char *source, const char *data, size_t size)
{
	const char *nul = size ? memchr(data, 0, size) : NULL;
	int64_t bad = sn_utf8_check(data, size);
	if (nul && (bad < 0 || nul - data < bad)) bad = nul - data;
	if (bad < 0) return SN_OK;
	int64_t line = 1, start = 0;
	for (int64_t i = 0; i < bad; i++)
		if (data[i] == '\n') {
			line++;
			start = i + 1;
		}
	return sn_fail(ctx, SN_EPARSE,
				   "%s: line %lld, byte %lld of the line: expected UTF-8 text, found byte 0x%02x; convert it to UTF-8",
				   source, (long long)line, (long long)(bad - start + 1), (unsigned)(uint8_t)data[bad]);
}
