/* SentencePiece's normalizer (normalizer.cc): stretches of the text are rewritten by the longest rule that applies,
 * runs of spaces become one, a space is put before the text or after it. */
#include "text/spm.h"

#include <string.h>

/* Rules could make any text any length. */
enum { LONGEST = 64, ALWAYS = 64 * 1024 };

static const char space_symbol[] = "\xe2\x96\x81"; /* U+2581 */

/* The normalised text and, for each of its bytes, the byte of the piece where its stretch begins. */
typedef struct writer {
	const sn_spm *spm;
	sn_piece piece;
	sn_buf text, from;
	size_t limit; /* of text */
} writer;

/* Returns the first stretch of text[at..) as it becomes, and its size. */
static sn_slice next_stretch(const sn_spm *spm, sn_piece p, size_t at, size_t *size)
{
	const char *text = p.text + at;
	size_t left = p.size - at;
	int32_t piece;
	sn_slice to;
	if ((*size = sn_trie_longest(&spm->raw_user, text, left, &piece))) return (sn_slice){ text, *size };
	if ((*size = sn_charsmap_find(&spm->charsmap, SN_CHARSMAP_LONGEST, text, left, &to))) return to;
	(void)sn_utf8_next(text, left, size);
	return (sn_slice){ text, *size };
}

static void put(writer *w, const char *bytes, size_t size, size_t at)
{
	uint32_t from = (uint32_t)at;
	if (w->text.size > w->limit) return;
	sn_buf_add(&w->text, bytes, size);
	for (size_t i = 0; i < size; i++) sn_buf_add(&w->from, &from, sizeof from);
}

/* Writes a stretch, its U+2581 as spaces. */
static void put_stretch(writer *w, sn_slice s, size_t at)
{
	if (!w->spm->escape) {
		put(w, s.data, s.size, at);
		return;
	}
	for (size_t i = 0, to; i < s.size; i = to) {
		bool symbol = s.size - i >= 3 && memcmp(s.data + i, space_symbol, 3) == 0;
		to = symbol ? i + 3 : i + 1;
		while (!symbol && to < s.size && s.data[to] != space_symbol[0]) to++;
		put(w, symbol ? " " : s.data + i, symbol ? 1 : to - i, at);
	}
}

static bool is_space(sn_slice s) { return s.size == 1 && *s.data == ' '; }

static size_t skip_spaces(const sn_spm *spm, sn_piece p)
{
	for (size_t at = 0, size; at < p.size; at += size)
		if (!is_space(next_stretch(spm, p, at, &size))) return at;
	return p.size;
}

/* Takes spaces from the end; returns where in the piece the text then ends. */
static size_t strip_end(writer *w, size_t end)
{
	while (w->text.size && w->text.data[w->text.size - 1] == ' ') {
		uint32_t from;
		w->text.size--;
		w->from.size -= sizeof from;
		memcpy(&from, w->from.data + w->from.size, sizeof from);
		end = from;
	}
	return end;
}

/* Fills w from the piece; *end is where in the piece the last stretch ends. */
static void rewrite(writer *w, size_t *end)
{
	const sn_spm *spm = w->spm;
	sn_piece p = w->piece;
	size_t at = spm->remove_spaces ? skip_spaces(spm, p) : 0, size;
	bool first = p.base == 0, add = spm->add_space && (first || !spm->prefix_once);
	*end = at;
	if (at == p.size) return;
	if (add && !spm->as_suffix) put(w, " ", 1, at);
	for (bool was_space = spm->remove_spaces; at < p.size && !w->text.failed; at += size) {
		sn_slice s = next_stretch(spm, p, at, &size);
		while (was_space && s.size && *s.data == ' ') s.data++, s.size--;
		put_stretch(w, s, at);
		if (s.size) was_space = spm->remove_spaces && s.data[s.size - 1] == ' ';
	}
	*end = spm->remove_spaces && !w->text.failed && !w->from.failed ? strip_end(w, p.size) : p.size;
	if (add && spm->as_suffix) put(w, " ", 1, *end);
}

/* ---- places ---- */

/* The place in the user's text before byte `at` of the piece. */
static int64_t place_of(sn_piece p, size_t at)
{
	if (!p.origin) return p.base + (int64_t)at;
	return at < p.size ? p.origin[at][0] : p.origin[p.size - 1][1];
}

/* Every byte of a character stands for the text from its stretch to that of the next character. */
static void fill_origin(const writer *w, size_t end, int64_t (*origin)[2])
{
	const uint32_t *from = (const uint32_t *)w->from.data;
	for (size_t i = 0, to; i < w->text.size; i = to) {
		for (to = i + 1; to < w->text.size && ((unsigned char)w->text.data[to] & 0xc0) == 0x80;) to++;
		int64_t first = place_of(w->piece, from[i]);
		int64_t last = place_of(w->piece, to < w->text.size ? from[to] : end);
		for (; i < to; i++) origin[i][0] = first, origin[i][1] = last;
	}
}

static sn_status send(writer *w, sn_ctx *ctx, sn_piece_fn *out, void *payload)
{
	size_t end;
	rewrite(w, &end);
	if (w->text.failed || w->from.failed) return SN_ENOMEM;
	if (w->text.size > w->limit)
		return sn_fail(ctx, SN_EPARSE, "the tokenizer's rules make a text more than %d times as long", LONGEST);
	if (w->text.size == 0) return SN_OK;
	int64_t(*origin)[2] = sn_alloc_raw(ctx, sn_size3(w->text.size, sizeof *origin, 1));
	if (!origin) return SN_ENOMEM;
	fill_origin(w, end, origin);
	sn_status status =
		out(payload, (sn_piece){ w->text.data, w->text.size, (const int64_t(*)[2])origin, w->piece.base });
	sn_free(ctx, origin);
	return status;
}

/* A text that stays as it is. */
static bool is_normal(const sn_spm *spm, sn_piece p)
{
	bool first = p.base == 0;
	if (spm->charsmap.n || spm->remove_spaces || (spm->add_space && (first || !spm->prefix_once))) return false;
	for (const char *s = p.text; spm->escape && (s = memchr(s, space_symbol[0], p.size - (size_t)(s - p.text))); s++)
		if (p.size - (size_t)(s - p.text) >= 3 && memcmp(s, space_symbol, 3) == 0) return false;
	return true;
}

sn_status sn_spm_normalize(sn_ctx *ctx, const sn_spm *spm, sn_piece piece, sn_piece_fn *out, void *payload)
{
	if (piece.size == 0) return SN_OK;
	if (is_normal(spm, piece)) return out(payload, piece);
	writer w = { .spm = spm, .piece = piece, .text.ctx = ctx, .from.ctx = ctx, .limit = ALWAYS + LONGEST * piece.size };
	sn_status status = send(&w, ctx, out, payload);
	sn_buf_free(&w.text);
	sn_buf_free(&w.from);
	return status;
}
