#include "base/write.h"

#include <math.h>
#include <string.h>

static const char replacement[] = "\xef\xbf\xbd";

/* Returns the length of the valid UTF-8 sequence that starts at text, or 0. */
static size_t valid_sequence(const char *text)
{
	unsigned char c = (unsigned char)*text;
	size_t want = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	return strnlen(text, want) == want && sn_utf8_check(text, want) < 0 ? want : 0;
}

/* Appends the sequence at text through escape (NULL: as it is); returns the bytes consumed. */
static size_t add_sequence(sn_buf *buf, const char *text, const char *escape)
{
	if (escape) return sn_buf_puts(buf, escape), 1;
	size_t n = valid_sequence(text);
	if (n == 0) return sn_buf_puts(buf, replacement), 1;
	sn_buf_add(buf, text, n);
	return n;
}

void sn_write_json(sn_buf *buf, const char *text)
{
	if (!text) {
		sn_buf_puts(buf, "null");
		return;
	}
	sn_buf_puts(buf, "\"");
	while (*text) {
		unsigned char c = (unsigned char)*text;
		char code[8];
		const char *escape = c == '"' ? "\\\"" : c == '\\' ? "\\\\" : c == '\n' ? "\\n" : c == '\t' ? "\\t" : NULL;
		if (!escape && c < 0x20) {
			sn_format(code, sizeof code, "\\u%04x", c);
			escape = code;
		}
		text += add_sequence(buf, text, escape);
	}
	sn_buf_puts(buf, "\"");
}

void sn_write_xml(sn_buf *buf, const char *text)
{
	while (*text) {
		unsigned char c = (unsigned char)*text;
		const char *escape = c == '&'    ? "&amp;"
							 : c == '<'  ? "&lt;"
							 : c == '>'  ? "&gt;"
							 : c == '"'  ? "&quot;"
							 : c == '\'' ? "&#39;"
										 : NULL;
		if (c < 0x20 && c != '\n' && c != '\t') escape = replacement;
		if (strncmp(text, "\xef\xbf\xbe", 3) == 0 || strncmp(text, "\xef\xbf\xbf", 3) == 0) { /* U+FFFE, U+FFFF */
			sn_buf_puts(buf, replacement);
			text += 3;
			continue;
		}
		text += add_sequence(buf, text, escape);
	}
}

void sn_write_csv(sn_buf *buf, const char *text)
{
	size_t n = strlen(text);
	bool plain = n == strcspn(text, ",\"\r\n") && !(n && (text[0] == ' ' || text[n - 1] == ' '));
	if (plain) {
		sn_buf_add(buf, text, n);
		return;
	}
	sn_buf_puts(buf, "\"");
	for (; *text; text++) sn_buf_add(buf, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1);
	sn_buf_puts(buf, "\"");
}

void sn_write_tsv(sn_buf *buf, const char *text)
{
	for (; *text; text++) sn_buf_add(buf, strchr("\t\r\n", *text) ? " " : text, 1);
}

void sn_write_number(sn_buf *buf, double x)
{
	if (!isfinite(x)) {
		sn_buf_puts(buf, "null");
		return;
	}
	char text[40];
	for (int digits = 15; digits <= 17; digits++) {
		double back;
		sn_format(text, sizeof text, "%.*g", digits, x);
		if (sn_parse_f64(text, &back) && memcmp(&back, &x, sizeof x) == 0) break;
	}
	sn_buf_puts(buf, text);
}

void sn_write_readable(sn_buf *buf, double x, int digits)
{
	if (!isfinite(x)) {
		sn_buf_puts(buf, "–");
		return;
	}
	double size = fabs(x);
	char text[40];
	bool significant = digits < 0 || size >= 1e5;
	if (size < 1e15 && size >= 1000 && size == floor(size))
		sn_format(text, sizeof text, "%.0f", size);
	else
		sn_format(text, sizeof text, significant ? "%.*g" : "%.*f", significant ? 3 : digits, size);
	bool zero = strspn(text, "0.") == strlen(text);
	sn_buf_puts(buf, x < 0 && !zero ? "−" : "");
	sn_buf_puts(buf, text);
}
