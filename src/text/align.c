/* Alignment of tokens to characters and words. */
#include "text/align.h"

/* ---- code points ---- */

static int64_t count_starts(const char *text, int64_t from, int64_t to)
{
	int64_t n = 0;
	for (int64_t i = from; i < to; i++) n += ((unsigned char)text[i] & 0xc0) != 0x80;
	return n;
}

int64_t sn_code_point_offset(const char *text, int64_t byte) { return count_starts(text, 0, byte); }

void sn_code_point_spans(const char *text, int64_t n, const int64_t (*span)[2], int64_t (*out)[2])
{
	int64_t byte = 0, point = 0;
	for (int64_t i = 0; i < n; i++) {
		int64_t from = span[i][0], to = span[i][1];
		if (from < byte) byte = point = 0;
		point += count_starts(text, byte, from);
		byte = from;
		out[i][0] = point;
		out[i][1] = point + count_starts(text, from, to);
	}
}

/* ---- words ---- */

/* Returns the first token that ends after byte. */
static int64_t first_ending_after(const sn_tokens *t, int64_t byte)
{
	int64_t low = 0, high = t->n;
	while (low < high) {
		int64_t mid = low + (high - low) / 2;
		if (t->span[mid][1] > byte)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

/* Empty spans, of tokens that SN_ADD_SPECIAL put around the text, overlap nothing. */
static bool overlaps(const int64_t a[2], const int64_t b[2]) { return a[0] < b[1] && b[0] < a[1] && a[0] < a[1]; }

static void find_tokens(const sn_tokens *t, const int64_t word[2], int32_t out[2])
{
	int64_t i = first_ending_after(t, word[0]);
	while (i < t->n && t->span[i][0] < word[1] && !overlaps(t->span[i], word)) i++;
	int64_t first = i;
	while (i < t->n && overlaps(t->span[i], word)) i++;
	out[0] = i > first ? (int32_t)first : -1;
	out[1] = i > first ? (int32_t)i : -1;
}

static sn_status missing_word(sn_ctx *ctx, const char *text, const int64_t word[2], int64_t w)
{
	int shown = (int)SN_MIN(word[1] - word[0], 60);
	return sn_fail(ctx, SN_ECHECK, "word %lld, '%.*s', at bytes %lld to %lld of the text, belongs to no token",
				   (long long)w, shown, text + word[0], (long long)word[0], (long long)word[1]);
}

static sn_status check_word(sn_ctx *ctx, int64_t size, const int64_t word[2], int64_t w)
{
	if (word[0] >= 0 && word[0] < word[1] && word[1] <= size) return SN_OK;
	return sn_fail(ctx, SN_EARG, "word %lld is bytes %lld to %lld; expected a part of the text, which has %lld bytes",
				   (long long)w, (long long)word[0], (long long)word[1], (long long)size);
}

/* users[i]: words that token i belongs to. */
static int64_t count_shared(int64_t n_word, const int32_t (*range)[2], int32_t *users)
{
	int64_t shared = 0;
	for (int64_t w = 0; w < n_word; w++)
		for (int32_t i = range[w][0]; i < range[w][1]; i++) users[i]++;
	for (int64_t w = 0; w < n_word; w++) {
		bool any = false;
		for (int32_t i = range[w][0]; i < range[w][1]; i++) any |= users[i] > 1;
		shared += any;
	}
	return shared;
}

static sn_status fill_report(sn_ctx *ctx, const sn_tokens *tokens, int64_t n_word, const int32_t (*range)[2],
							 sn_align_report *report)
{
	*report = (sn_align_report){ .first_missing = -1 };
	for (int64_t w = 0; w < n_word; w++)
		if (range[w][0] < 0 && report->missing++ == 0) report->first_missing = w;
	int32_t *users = sn_alloc(ctx, sn_size3((size_t)tokens->n, sizeof *users, 1));
	if (!users) return SN_ENOMEM;
	report->shared = count_shared(n_word, range, users);
	sn_free(ctx, users);
	return SN_OK;
}

sn_status sn_align_words(sn_ctx *ctx, const char *text, int64_t size, const sn_tokens *tokens, int64_t n_word,
						 const int64_t (*word)[2], int32_t (*out)[2], sn_align_report *report)
{
	for (int64_t w = 0; w < n_word; w++) {
		SN_TRY(check_word(ctx, size, word[w], w));
		find_tokens(tokens, word[w], out[w]);
		if (out[w][0] < 0 && !report) return missing_word(ctx, text, word[w], w);
	}
	return report ? fill_report(ctx, tokens, n_word, (const int32_t(*)[2])out, report) : SN_OK;
}
