/* Regular expressions over UTF-8, by Oniguruma (as the `tokenizers` package uses it). */
#ifndef SN_TEXT_REGEX_H
#define SN_TEXT_REGEX_H

#include "base/base.h"

typedef struct sn_regex sn_regex;

/* Compiles a pattern (Oniguruma's syntax), or, with literal, the text itself. SN_EPARSE with Oniguruma's reason; where
 * names the place for it. Never written to after. */
SN_CHECKED sn_status sn_regex_open(sn_regex **out, sn_ctx *ctx, const char *pattern, size_t size, bool literal,
								   const char *where);
void sn_regex_close(sn_ctx *ctx, sn_regex *regex);

/* What matching needs besides the expression; one for each thread. Zero-initialise; sn_matcher_free at the end. */
typedef struct sn_matcher {
	void *region, *limits;
} sn_matcher;
void sn_matcher_free(sn_matcher *matcher);
/* Finds the first match in text that begins at from or later: *found, match[0] its first byte, match[1] the byte after
 * its last. SN_EPARSE if the expression backtracks more than ten million times; SN_ENOMEM. */
SN_CHECKED sn_status sn_regex_find(const sn_regex *regex, sn_ctx *ctx, sn_matcher *matcher, const char *text,
								   size_t size, size_t from, bool *found, size_t match[2]);

/* A walk over all matches of an expression in a text. Set text and size, and the rest to zero. */
typedef struct sn_walk {
	const char *text;
	size_t size;
	size_t match[2]; /* the match found */
	size_t from;
	bool any; /* a match has been found */
} sn_walk;
/* Finds the next match. An empty one right behind the match before it is none. Errors as of sn_regex_find. */
SN_CHECKED sn_status sn_regex_next(const sn_regex *regex, sn_ctx *ctx, sn_matcher *matcher, sn_walk *walk, bool *found);

#endif
