/* Oniguruma, with limits on backtracking so that no pattern can hang on any text. */
#include "text/regex.h"

#include <oniguruma.h>
#include <threads.h>

enum { RETRIES = 10 * 1000 * 1000, STACK = 1000 * 1000, LONGEST_PATTERN = 64 * 1024 };

struct sn_regex {
	regex_t *compiled;
	char where[128];
};

/* Oniguruma keeps tables of its own and wants them set up once in a process. */
static once_flag initialised = ONCE_FLAG_INIT;

static void initialise(void)
{
	OnigEncoding utf8 = ONIG_ENCODING_UTF8;
	onig_initialize(&utf8, 1);
}

static sn_status compile(sn_regex *regex, sn_ctx *ctx, const char *pattern, size_t size, bool literal)
{
	const OnigUChar *p = (const OnigUChar *)pattern;
	OnigErrorInfo info = { 0 };
	OnigSyntaxType *syntax = literal ? ONIG_SYNTAX_ASIS : ONIG_SYNTAX_DEFAULT;
	call_once(&initialised, initialise);
	int code = onig_new(&regex->compiled, p, p + size, ONIG_OPTION_NONE, ONIG_ENCODING_UTF8, syntax, &info);
	if (code == ONIG_NORMAL) return SN_OK;
	regex->compiled = NULL;
	OnigUChar reason[ONIG_MAX_ERROR_MESSAGE_LEN] = { 0 };
	onig_error_code_to_str(reason, code, &info);
	return sn_fail(ctx, code == ONIGERR_MEMORY ? SN_ENOMEM : SN_EPARSE, "%s: not a regular expression: %s",
				   regex->where, (const char *)reason);
}

sn_status sn_regex_open(sn_regex **out, sn_ctx *ctx, const char *pattern, size_t size, bool literal, const char *where)
{
	*out = NULL;
	if (size == 0 || size > LONGEST_PATTERN)
		return sn_fail(ctx, SN_EPARSE, "%s: a pattern of %zu bytes; expected 1 to %d", where, size, LONGEST_PATTERN);
	int64_t bad = sn_utf8_check(pattern, size);
	if (bad >= 0)
		return sn_fail(ctx, SN_EPARSE, "%s: the pattern is not UTF-8 at its byte %lld", where, (long long)bad);
	sn_regex *regex = sn_alloc(ctx, sizeof *regex);
	if (!regex) return SN_ENOMEM;
	sn_format(regex->where, sizeof regex->where, "%s", where);
	sn_status status = compile(regex, ctx, pattern, size, literal);
	if (status == SN_OK)
		*out = regex;
	else
		sn_regex_close(ctx, regex);
	return status;
}

void sn_regex_close(sn_ctx *ctx, sn_regex *regex)
{
	if (regex && regex->compiled) onig_free(regex->compiled);
	sn_free(ctx, regex);
}

static sn_status matcher_init(sn_ctx *ctx, sn_matcher *m)
{
	if (!m->region) m->region = onig_region_new();
	if (!m->limits && (m->limits = onig_new_match_param())) {
		onig_initialize_match_param(m->limits);
		onig_set_retry_limit_in_match_of_match_param(m->limits, RETRIES);
		onig_set_retry_limit_in_search_of_match_param(m->limits, RETRIES);
		onig_set_match_stack_limit_size_of_match_param(m->limits, STACK);
	}
	if (m->region && m->limits) return SN_OK;
	return sn_fail(ctx, SN_ENOMEM, "out of memory for a regular expression's match");
}

void sn_matcher_free(sn_matcher *matcher)
{
	if (matcher->region) onig_region_free(matcher->region, 1);
	if (matcher->limits) onig_free_match_param(matcher->limits);
	*matcher = (sn_matcher){ 0 };
}

sn_status sn_regex_find(const sn_regex *regex, sn_ctx *ctx, sn_matcher *matcher, const char *text, size_t size,
						size_t from, bool *found, size_t match[2])
{
	*found = false;
	if (!matcher->limits) SN_TRY(matcher_init(ctx, matcher));
	const OnigUChar *s = (const OnigUChar *)text;
	OnigRegion *region = matcher->region;
	int at = onig_search_with_param(regex->compiled, s, s + size, s + from, s + size, region, ONIG_OPTION_NONE,
									matcher->limits);
	if (at == ONIG_MISMATCH) return SN_OK;
	if (at >= 0) {
		*found = true;
		match[0] = (size_t)region->beg[0];
		match[1] = (size_t)region->end[0];
		return SN_OK;
	}
	OnigUChar reason[ONIG_MAX_ERROR_MESSAGE_LEN] = { 0 };
	onig_error_code_to_str(reason, at);
	return sn_fail(ctx, at == ONIGERR_MEMORY ? SN_ENOMEM : SN_EPARSE,
				   "%s: the regular expression fails at byte %zu of a piece: %s", regex->where, from,
				   (const char *)reason);
}

sn_status sn_regex_next(const sn_regex *regex, sn_ctx *ctx, sn_matcher *matcher, sn_walk *w, bool *found)
{
	size_t match[2] = { 0 };
	for (*found = false; w->from <= w->size;) {
		SN_TRY(sn_regex_find(regex, ctx, matcher, w->text, w->size, w->from, found, match));
		if (!*found) return SN_OK;
		if (match[0] < match[1] || !w->any || match[1] != w->match[1]) {
			w->match[0] = match[0];
			w->match[1] = w->from = match[1];
			w->any = true;
			return SN_OK;
		}
		*found = false;
		if (w->from == w->size) return SN_OK;
		(void)sn_utf8_next(w->text, w->size, &w->from);
	}
	return SN_OK;
}
