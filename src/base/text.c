/* Growing strings, numbers as text in the C locale, UTF-8. */
#define _GNU_SOURCE
#include "base/base.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

/* ---- growing strings ---- */

static bool grow(sn_buf *buf, size_t size)
{
	if (buf->failed || size > PTRDIFF_MAX - buf->size - 1) return buf->failed = true, false;
	size_t need = buf->size + size + 1;
	if (need <= buf->room) return true;
	size_t room = SN_MAX(need, 2 * buf->room);
	char *data = sn_alloc(buf->ctx, room);
	if (!data) return buf->failed = true, false;
	if (buf->size) memcpy(data, buf->data, buf->size);
	sn_free(buf->ctx, buf->data);
	buf->data = data;
	buf->room = room;
	return true;
}

void sn_buf_add(sn_buf *buf, const void *bytes, size_t size)
{
	if (!grow(buf, size)) return;
	if (size) memcpy(buf->data + buf->size, bytes, size);
	buf->size += size;
	buf->data[buf->size] = '\0';
}

void sn_buf_puts(sn_buf *buf, const char *text) { sn_buf_add(buf, text, strlen(text)); }

void sn_buf_format(sn_buf *buf, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = sn_vformat(NULL, 0, format, args);
	va_end(args);
	if (n < 0 || !grow(buf, (size_t)n)) return;
	va_start(args, format);
	sn_vformat(buf->data + buf->size, (size_t)n + 1, format, args);
	va_end(args);
	buf->size += (size_t)n;
}

void sn_buf_free(sn_buf *buf)
{
	sn_free(buf->ctx, buf->data);
	*buf = (sn_buf){ .ctx = buf->ctx };
}

/* ---- numbers ---- */

bool sn_parse_i64(const char *text, int64_t *out)
{
	char *end;
	errno = 0;
	long long v = strtoll(text, &end, 10);
	if (end == text || *end || errno || text[0] == ' ') return false;
	*out = v;
	return true;
}

/* The C locale of this call; NULL (out of memory) means the process's. */
static locale_t c_locale(void) { return newlocale(LC_ALL_MASK, "C", (locale_t)0); }

bool sn_parse_f64(const char *text, double *out)
{
	char *end;
	locale_t c = c_locale();
	errno = 0;
	double v = c ? strtod_l(text, &end, c) : strtod(text, &end);
	if (c) freelocale(c);
	if (end == text || *end || text[0] == ' ' || (errno == ERANGE && (v > 1 || v < -1))) return false;
	*out = v;
	return true;
}

bool sn_parse_size(const char *text, int64_t *out)
{
	static const char units[] = "KMGT";
	char number[32];
	double value;
	size_t n = strlen(text);
	const char *unit = n > 1 ? strchr(units, text[n - 1]) : NULL;
	if (unit) n--;
	if (n >= sizeof number) return false;
	memcpy(number, text, n);
	number[n] = '\0';
	if (!sn_parse_f64(number, &value) || !(value >= 0)) return false;
	for (const char *u = units; unit && u <= unit; u++) value *= 1024;
	if (value >= 0x1p63) return false;
	*out = (int64_t)value;
	return true;
}

int sn_vformat(char *buf, size_t size, const char *format, va_list args)
{
	locale_t c = c_locale(), old = c ? uselocale(c) : (locale_t)0;
	int n = vsnprintf(buf, size, format, args);
	if (c) {
		uselocale(old);
		freelocale(c);
	}
	return n;
}

int sn_format(char *buf, size_t size, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = sn_vformat(buf, size, format, args);
	va_end(args);
	return n;
}

/* ---- UTF-8 ---- */

bool sn_ends_with(const char *text, const char *suffix)
{
	size_t n = strlen(text), k = strlen(suffix);
	return n >= k && memcmp(text + n - k, suffix, k) == 0;
}

/* Length of the sequence that a first byte opens; 0 if it opens none. */
static size_t sequence_length(unsigned char c)
{
	if (c < 0x80) return 1;
	if (c >= 0xc2 && c < 0xe0) return 2;
	if (c >= 0xe0 && c < 0xf0) return 3;
	return c >= 0xf0 && c < 0xf5 ? 4 : 0;
}

static bool sequence_valid(const unsigned char *s, size_t k)
{
	for (size_t i = 1; i < k; i++)
		if ((s[i] & 0xc0) != 0x80) return false;
	if (s[0] == 0xe0) return s[1] >= 0xa0;   /* overlong */
	if (s[0] == 0xed) return s[1] < 0xa0;    /* surrogates */
	if (s[0] == 0xf0) return s[1] >= 0x90;
	return s[0] != 0xf4 || s[1] < 0x90;      /* above U+10FFFF */
}

int64_t sn_utf8_check(const char *text, size_t size)
{
	const unsigned char *s = (const unsigned char *)text;
	for (size_t i = 0; i < size;) {
		size_t k = sequence_length(s[i]);
		if (k == 0 || k > size - i || !sequence_valid(s + i, k)) return (int64_t)i;
		i += k;
	}
	return -1;
}

uint32_t sn_utf8_next(const char *text, size_t size, size_t *pos)
{
	const unsigned char *s = (const unsigned char *)text + *pos;
	size_t k = sequence_length(s[0]);
	SN_ASSERT(k > 0 && k <= size - *pos);
	static const uint8_t first_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t code = s[0] & first_bits[k];
	for (size_t i = 1; i < k; i++) code = code << 6 | (s[i] & 0x3f);
	*pos += k;
	return code;
}

int sn_utf8_put(uint32_t code, char out[4])
{
	if (code < 0x80) return out[0] = (char)code, 1;
	int k = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const uint8_t lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	for (int i = k - 1; i > 0; i--, code >>= 6) out[i] = (char)(0x80 | (code & 0x3f));
	out[0] = (char)(lead[k] | code);
	return k;
}
