/* Texts that are not UTF-8. */
#include "text/repair.h"

static const char replacement[] = "\xef\xbf\xbd";
enum { REPLACEMENT_SIZE = 3 };

/* The bytes that one U+FFFD stands for at a place where no valid character begins: as many as could begin one. */
static size_t bad_length(const unsigned char *s, size_t size)
{
	size_t need = s[0] >= 0xf0 ? 3 : s[0] >= 0xe0 ? 2 : 1, n = 1;
	if (s[0] < 0xc2 || s[0] > 0xf4) return 1;
	for (; n <= need && n < size; n++) {
		unsigned char low = 0x80, high = 0xbf;
		if (n == 1 && s[0] == 0xe0) low = 0xa0;
		if (n == 1 && s[0] == 0xed) high = 0x9f;
		if (n == 1 && s[0] == 0xf0) low = 0x90;
		if (n == 1 && s[0] == 0xf4) high = 0x8f;
		if (s[n] < low || s[n] > high) break;
	}
	return n;
}

static void put(sn_buf *text, sn_buf *origin, const char *bytes, size_t size, const int64_t span[2])
{
	sn_buf_add(text, bytes, size);
	for (size_t i = 0; origin && i < size; i++) sn_buf_add(origin, span, 2 * sizeof *span);
}

/* Appends repaired text and, unless origin is NULL, the places of its bytes. */
static void rewrite(const char *bytes, size_t size, sn_buf *text, sn_buf *origin)
{
	for (size_t at = 0, end; at < size && !text->failed; at = end) {
		int64_t good = sn_utf8_check(bytes + at, size - at);
		size_t bad = good < 0 ? size : at + (size_t)good;
		if (!origin) sn_buf_add(text, bytes + at, bad - at);
		for (size_t i = at; origin && i < bad; i = end) {
			end = i;
			(void)sn_utf8_next(bytes, bad, &end);
			put(text, origin, bytes + i, end - i, (int64_t[2]){ (int64_t)i, (int64_t)end });
		}
		end = bad;
		if (bad == size) break;
		end += bad_length((const unsigned char *)bytes + bad, size - bad);
		put(text, origin, replacement, REPLACEMENT_SIZE, (int64_t[2]){ (int64_t)bad, (int64_t)end });
	}
}

sn_status sn_repair(sn_ctx *ctx, sn_piece p, bool replace, sn_piece_fn *out, void *payload)
{
	if (p.size > INT32_MAX)
		return sn_fail(ctx, SN_EARG, "a text of %zu bytes; at most 2147483647 can be tokenized at once: split it",
					   p.size);
	int64_t bad = sn_utf8_check(p.text, p.size);
	if (bad < 0) return out(payload, p);
	if (!replace)
		return sn_fail(ctx, SN_EPARSE, "the text is not UTF-8 at byte %lld (0x%02x): convert it to UTF-8 first",
					   (long long)bad, (unsigned char)p.text[bad]);
	sn_buf text = { .ctx = ctx }, origin = text;
	rewrite(p.text, p.size, &text, &origin);
	sn_piece repaired = { text.data, text.size, (const int64_t(*)[2])origin.data, 0 };
	sn_status status = text.failed || origin.failed ? SN_ENOMEM : out(payload, repaired);
	sn_buf_free(&text);
	sn_buf_free(&origin);
	return status;
}

void sn_append_valid(sn_buf *out, const char *bytes, size_t size) { rewrite(bytes, size, out, NULL); }
