#include "data/alignment.h"

#include <string.h>

/* Reads digits at *at; -1: there are none, or too many. */
static int64_t number(const char **at)
{
	int64_t n = 0;
	const char *first = *at;
	for (; **at >= '0' && **at <= '9'; (*at)++) {
		n = 10 * n + (**at - '0');
		if (n > INT32_MAX) return -1;
	}
	return *at > first ? n : -1;
}

static bool is_space(char c) { return c == ' ' || c == '\t'; }

static sn_status bad(sn_ctx *ctx, const char *where, const char *at)
{
	return sn_fail(ctx, SN_EPARSE, "%s: \"%.*s\" is no alignment link; expected i-j (sure), i?j or ipj (possible)",
	               where, (int)SN_MIN(strcspn(at, " \t"), (size_t)20), at);
}

sn_status sn_alignment_read(sn_alignment *out, sn_ctx *ctx, const char *where, const char *text, int32_t n_source,
                            int32_t n_target, sn_arena *arena)
{
	*out = (sn_alignment){ 0 };
	SN_NEW(out->link, arena, sn_link, strlen(text) / 3 + 1);
	for (const char *at = text;;) {
		while (is_space(*at)) at++;
		const char *first = at;
		if (!*at) return SN_OK;
		int64_t i = number(&at);
		char kind = *at;
		if (i < 0 || !kind || !strchr("-?p", kind)) return bad(ctx, where, first);
		at++;
		int64_t j = number(&at);
		if (j < 0 || (*at && !is_space(*at))) return bad(ctx, where, first);
		if (i >= n_source || j >= n_target)
			return sn_fail(ctx, SN_EPARSE, "%s: link %lld-%lld of %d source and %d target words; both count from 0",
			               where, (long long)i, (long long)j, n_source, n_target);
		out->link[out->n++] = (sn_link){ (int32_t)i, (int32_t)j, kind == '-' };
	}
}

sn_alignment_counts sn_alignment_compare(const sn_alignment *given, const int32_t *source, const int32_t *target,
                                         int64_t n)
{
	sn_alignment_counts c = { .guessed = (double)n };
	for (int64_t l = 0; l < given->n; l++) c.sure += given->link[l].sure;
	for (int64_t k = 0; k < n; k++) {
		bool sure = false, possible = false;
		for (int64_t l = 0; l < given->n; l++) {
			if (given->link[l].source != source[k] || given->link[l].target != target[k]) continue;
			possible = true;
			sure |= given->link[l].sure;
		}
		c.guessed_sure += sure;
		c.guessed_possible += possible;
	}
	return c;
}
