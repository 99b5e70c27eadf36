/* Running normalizers: each makes a list of changes, and one function turns that list into text. */
#include "text/normalize_impl.h"

/* Rules that insert texts, one after the other, could make any text any length. */
enum { LONGEST = 64, ALWAYS = 64 * 1024 };

static sn_normalizer_fn *const run[SN_NORMALIZER_KINDS] = {
	[SN_NFC] = sn_change_form,
	[SN_NFD] = sn_change_form,
	[SN_NFKC] = sn_change_form,
	[SN_NFKD] = sn_change_form,
	[SN_LOWERCASE] = sn_change_case,
	[SN_BERT_CLEAN] = sn_clean,
	[SN_BERT_IDEOGRAPHS] = sn_space_ideographs,
	[SN_STRIP_NONSPACING] = sn_drop_marks,
	[SN_STRIP_MARKS] = sn_drop_marks,
	[SN_STRIP] = sn_strip,
	[SN_PREPEND] = sn_prepend,
	[SN_REPLACE] = sn_replace,
	[SN_NMT] = sn_change_nmt,
	[SN_CHARSMAP] = sn_change_charsmap,
	[SN_WRITE_BYTES] = sn_write_bytes,
};

/* Moves over the next n characters. */
static size_t skip(sn_piece p, size_t at, int32_t n)
{
	for (; n > 0 && at < p.size; n--) (void)sn_utf8_next(p.text, p.size, &at);
	return at;
}

static size_t bytes_of(uint32_t code) { return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4; }

/* The text that a list of changes makes, with its places. */
typedef struct rewritten {
	char *text;
	int64_t (*origin)[2];
	size_t size;
} rewritten;

static sn_status make_room(rewritten *r, sn_ctx *ctx, const sn_changed *c, size_t n)
{
	size_t total = 1;
	for (size_t i = 0; i < n; i++) total += c[i].code == SN_DROPPED ? 0 : bytes_of(c[i].code);
	r->text = sn_alloc_raw(ctx, total);
	r->origin = r->text ? sn_alloc_raw(ctx, sn_size3(total, sizeof *r->origin, 1)) : NULL;
	return r->origin ? SN_OK : SN_ENOMEM;
}

/* What comes without taking a character shares the place of the one before it; at the very beginning it stands at the
 * beginning of the piece, and for nothing. */
static void rewrite(sn_piece p, const sn_changed *c, size_t n, rewritten *out)
{
	size_t at = 0;
	for (size_t i = 0; i < n; i++) {
		if (c[i].code == SN_DROPPED) {
			at = skip(p, at, -c[i].change);
			continue;
		}
		size_t old = c[i].change > 0 && at > 0 ? at - 1 : at;
		int64_t span[2] = { p.base, p.base };
		if (c[i].change <= 0 || at > 0) sn_piece_span(&p, old, old + 1, span);
		if (c[i].change <= 0) at = skip(p, at, 1 - c[i].change);
		char bytes[4];
		int size = sn_utf8_put(c[i].code, bytes);
		for (int b = 0; b < size; b++, out->size++) {
			out->text[out->size] = bytes[b];
			out->origin[out->size][0] = span[0];
			out->origin[out->size][1] = span[1];
		}
	}
}

/* Bytes that a normalizer certainly leaves alone, whatever stands around them: those from low to high - 1, and not
 * capitals where these change. */
static bool is_unchanged(const sn_normalizer *normalizer, sn_piece p)
{
	static const struct {
		unsigned char low, high;
		bool capitals;
	} same[SN_NORMALIZER_KINDS] = {
		[SN_NFC] = { 0, 0xcc, true }, /* 0xcc begins U+0300, the first that can compose */
		[SN_NFD] = { 0, 0x80, true },
		[SN_NFKC] = { 0, 0x80, true },
		[SN_NFKD] = { 0, 0x80, true },
		[SN_LOWERCASE] = { 0, 0x80, false },
		[SN_BERT_CLEAN] = { ' ', 0x7f, true },
		[SN_BERT_IDEOGRAPHS] = { 0, 0xe3, true }, /* 0xe3 begins U+3000 */
		[SN_STRIP_NONSPACING] = { 0, 0xcc, true },
		[SN_STRIP_MARKS] = { 0, 0xcc, true },
		[SN_NMT] = { ' ', 0x7f, true },
	};
	unsigned char low = same[normalizer->kind].low, high = same[normalizer->kind].high;
	bool capitals = same[normalizer->kind].capitals;
	if (high == 0) return p.size == 0;
	for (size_t i = 0; i < p.size; i++) {
		unsigned char byte = (unsigned char)p.text[i];
		if (byte < low || byte >= high || (!capitals && byte >= 'A' && byte <= 'Z')) return false;
	}
	return true;
}

static sn_status normalize(sn_ctx *ctx, sn_matcher *matcher, const sn_normalizer *normalizer, int n, sn_piece p,
						   size_t limit, sn_piece_fn *out, void *payload)
{
	while (n > 0 && is_unchanged(normalizer, p)) normalizer++, n--;
	if (n == 0) return out(payload, p);
	sn_changes changes = { ctx, matcher, { .ctx = ctx }, limit, false };
	rewritten r = { 0 };
	sn_status status = run[normalizer->kind](&changes, normalizer, p);
	if (status == SN_OK && changes.list.failed) status = SN_ENOMEM;
	if (status == SN_OK && changes.too_long)
		status = sn_fail(ctx, SN_EPARSE, "the tokenizer's normalizers make a text more than %d times as long", LONGEST);
	const sn_changed *list = (const sn_changed *)changes.list.data;
	size_t count = changes.list.size / sizeof *list;
	if (status == SN_OK) status = make_room(&r, ctx, list, count);
	if (status == SN_OK) rewrite(p, list, count, &r);
	sn_buf_free(&changes.list);
	sn_piece next = { r.text, r.size, (const int64_t(*)[2])r.origin, p.base };
	if (status == SN_OK) status = normalize(ctx, matcher, normalizer + 1, n - 1, next, limit, out, payload);
	sn_free(ctx, r.text);
	sn_free(ctx, r.origin);
	return status;
}

sn_status sn_normalize(sn_ctx *ctx, sn_matcher *matcher, const sn_normalizer *normalizer, int n, sn_piece p,
					   sn_piece_fn *out, void *payload)
{
	size_t limit = sn_size3(ALWAYS + LONGEST * p.size, sizeof(sn_changed), 1);
	return normalize(ctx, matcher, normalizer, n, p, limit, out, payload);
}
