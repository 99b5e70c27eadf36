/* Does the tokenizer keep the text, and does it fit the model? */
#include "methods/check/check.h"

#include <math.h>
#include <string.h>

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* Text without blanks and, at its beginning, the marks by which vocabularies tell how a piece joins the one before:
 * "##" (WordPiece), U+2581 (SentencePiece). Returns its length. */
static size_t bare(const char *text, size_t size, char *out)
{
	size_t n = 0;
	if (size > 2 && memcmp(text, "##", 2) == 0) text += 2, size -= 2;
	for (size_t i = 0; i < size; i++) {
		if (size - i >= 3 && memcmp(text + i, "\xe2\x96\x81", 3) == 0)
			i += 2;
		else if (!is_blank(text[i]))
			out[n++] = text[i];
	}
	return n;
}

/* Whether two texts agree but for the case of letters; Cyrillic ones in their UTF-8 form. */
static bool same_letters(const char *a, size_t n, const char *b, size_t m)
{
	size_t i = 0, j = 0;
	while (i < n && j < m) {
		uint32_t x = sn_utf8_next(a, n, &i), y = sn_utf8_next(b, m, &j);
		if (x < 0x80) x |= x >= 'A' && x <= 'Z' ? 32 : 0;
		if (y < 0x80) y |= y >= 'A' && y <= 'Z' ? 32 : 0;
		if (x >= 0x410 && x <= 0x42f) x += 32; /* А–Я */
		if (y >= 0x410 && y <= 0x42f) y += 32;
		if (x != y) return false;
	}
	return i == n && j == m;
}

/* Tokens [i, end) that share characters: their texts together must be the text below their spans. */
static sn_status group_agrees(sn_check *c, const sn_check_text *t, int64_t i, int64_t end, bool *agrees)
{
	int64_t first = t->tokens.span[i][0], last = t->tokens.span[end - 1][1];
	sn_buf pieces = { .ctx = c->ctx };
	for (int64_t k = i; k < end; k++) {
		size_t size;
		const char *piece = sn_token_text(c->ctx, c->tokenizer, t->tokens.id[k], c->arena, &size);
		if (!piece) break;
		sn_buf_add(&pieces, piece, size);
	}
	char *a = SN_TAKE(c->arena, char, pieces.size + 1), *b = SN_TAKE(c->arena, char, last - first + 1);
	if (!a || !b || pieces.failed) {
		sn_buf_free(&pieces);
		return SN_ENOMEM;
	}
	size_t n = bare(pieces.data ? pieces.data : "", pieces.size, a),
		   m = bare(t->text + first, (size_t)(last - first), b);
	*agrees = sn_utf8_check(a, n) < 0 && same_letters(a, n, b, m);
	sn_buf_free(&pieces);
	return SN_OK;
}

/* The share of the text's characters (blanks aside) that stand in tokens which say the same. */
static sn_status share_kept(sn_check *c, const sn_check_text *t, double *share)
{
	int64_t kept = 0, all = 0, end, n = t->tokens.n;
	for (size_t i = 0; i < t->size; i++) all += !is_blank(t->text[i]);
	for (int64_t i = 0; i < n; i = end) {
		bool agrees;
		end = i + 1;
		while (end < n && t->tokens.span[end][0] < t->tokens.span[end - 1][1]) end++;
		if (t->tokens.span[i][0] == t->tokens.span[end - 1][1]) continue; /* added by the tokenizer */
		SN_TRY(group_agrees(c, t, i, end, &agrees));
		for (int64_t k = t->tokens.span[i][0]; agrees && k < t->tokens.span[end - 1][1]; k++)
			kept += !is_blank(t->text[k]);
	}
	*share = (double)kept / (double)all;
	return SN_OK;
}

static sn_status round_trip(sn_check *c)
{
	static const double least = 0.99;
	double share[SN_CHECK_TEXTS], best = 0;
	for (int i = 0; i < SN_CHECK_TEXTS; i++) {
		SN_TRY(share_kept(c, &c->text[i], &share[i]));
		best = fmax(best, share[i]);
	}
	return sn_check_say(c, "tokens give the text back", best >= least ? SN_VERDICT_OK : SN_VERDICT_WRONG, 100 * best,
						"%", "at least 99 % of English or of Russian", "English %.0f %%, Russian %.0f %%, case aside%s",
						100 * share[0], 100 * share[1],
						best >= least
							? ""
							: ". The tokenizer's files are not those of this model, or a stage of it (normalizer, "
							  "byte level) is missing");
}

sn_status sn_check_tokenizer(sn_check *c)
{
	static const char name[] = "vocabulary fits the model";
	if (!c->tokenizer)
		return sn_check_say(c, name, SN_VERDICT_SKIPPED, NAN, "", "",
							"The model has no tokenizer; random tokens stand for the texts");
	int32_t size = sn_tokenizer_size(c->tokenizer), highest = -1;
	for (int i = 0; i < SN_CHECK_TEXTS; i++)
		for (int64_t k = 0; k < c->text[i].tokens.n; k++) highest = SN_MAX(highest, c->text[i].tokens.id[k]);
	bool fits = highest >= 0 && highest < c->info->d_vocab;
	char expected[64];
	sn_format(expected, sizeof expected, "at most %lld", (long long)c->info->d_vocab);
	SN_TRY(sn_check_say(c, name, fits ? SN_VERDICT_OK : SN_VERDICT_WRONG, size, "tokens", expected,
						fits && size > c->info->d_vocab
							? "%sThe last ones have no embedding, but are not needed for the texts"
						: fits ? "%s"
							   : "%sThe texts' tokens lie outside the embedding: the tokenizer is "
								 "another model's",
						""));
	SN_TRY(round_trip(c));
	c->stop |= !fits;
	return SN_OK;
}
