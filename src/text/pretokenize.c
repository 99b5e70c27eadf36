/* Pre-tokenizer stages. A stage hands each piece on as it finds it; nothing is collected. */
#include "text/pretokenize.h"

#include "text/classes.h"

#include <string.h>

const char sn_gpt2_pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/* Where pieces go next: the stages left, then out. */
typedef struct route {
	sn_ctx *ctx;
	sn_matcher *matcher;
	const sn_stage *stage;
	int n;
	sn_piece_fn *out;
	void *payload;
} route;

static sn_status send(const route *to, sn_piece piece)
{
	if (piece.size == 0) return SN_OK;
	if (to->n == 0) return to->out(to->payload, piece);
	return sn_pretokenize(to->ctx, to->matcher, to->stage, to->n, piece, to->out, to->payload);
}

/* ---- matches and what lies between them ---- */

/* A run of segments that stays one piece: [from, to), the last segment added was a match or not. */
typedef struct run {
	const route *next;
	sn_piece piece;
	sn_behavior behavior;
	size_t from, to;
	bool was_match;
} run;

static sn_status flush(run *r)
{
	sn_piece piece = sn_piece_part(r->piece, r->from, r->to);
	return r->behavior == SN_REMOVED && r->was_match ? SN_OK : send(r->next, piece);
}

static bool joins(const run *r, bool match)
{
	if (r->from == r->to) return false; /* nothing to join yet */
	if (r->behavior == SN_MERGED_WITH_PREVIOUS) return match && !r->was_match;
	if (r->behavior == SN_MERGED_WITH_NEXT) return r->was_match && !match;
	return r->behavior == SN_CONTIGUOUS && match == r->was_match;
}

/* Adds the segment from the end of the run to `to`. */
static sn_status segment(run *r, size_t to, bool match)
{
	if (to == r->to) return SN_OK;
	if (!joins(r, match)) {
		SN_TRY(flush(r));
		r->from = r->to;
	}
	r->to = to;
	r->was_match = match;
	return SN_OK;
}

/* ---- stages ---- */

/* The next match at or after from; an empty one counts only for where it is, so the search goes on behind the next
 * character. */
static sn_status next_match(const sn_stage *stage, const route *next, sn_piece p, size_t from, bool *found,
							size_t match[2])
{
	if (stage->regex) return sn_regex_find(stage->regex, next->ctx, next->matcher, p.text, p.size, from, found, match);
	for (*found = false; from < p.size && !*found;) {
		match[0] = from;
		*found = sn_is_number(sn_utf8_next(p.text, p.size, &from));
		match[1] = from;
	}
	return SN_OK;
}

static sn_status split(const sn_stage *stage, const route *next, sn_piece p, sn_behavior behavior)
{
	run r = { .next = next, .piece = p, .behavior = behavior };
	for (size_t at = 0; at < p.size;) {
		bool found;
		size_t match[2];
		SN_TRY(next_match(stage, next, p, at, &found, match));
		if (!found) break;
		SN_TRY(segment(&r, match[0], stage->invert));
		SN_TRY(segment(&r, match[1], !stage->invert));
		at = match[1];
		if (match[0] == match[1] && at < p.size) (void)sn_utf8_next(p.text, p.size, &at);
	}
	SN_TRY(segment(&r, p.size, stage->invert));
	return flush(&r);
}

static sn_status byte_level(const sn_stage *stage, const route *next, sn_piece p)
{
	return stage->regex ? split(stage, next, p, SN_ISOLATED) : send(next, p);
}

/* Puts a space before the piece; it shares the first character's place in the text. */
static sn_status with_prefix_space(const sn_stage *stage, const route *next, sn_piece p)
{
	char *text = sn_alloc(next->ctx, p.size + 1);
	int64_t(*origin)[2] = sn_alloc(next->ctx, sn_size3(p.size + 1, sizeof *origin, 1));
	sn_status status = text && origin ? SN_OK : SN_ENOMEM;
	if (status == SN_OK) {
		text[0] = ' ';
		memcpy(text + 1, p.text, p.size);
		for (size_t i = 0; i <= p.size; i++) {
			size_t byte = i ? i - 1 : 0;
			sn_piece_span(&p, byte, byte + 1, origin[i]);
		}
		status = byte_level(stage, next, (sn_piece){ text, p.size + 1, (const int64_t(*)[2])origin, 0 });
	}
	sn_free(next->ctx, origin);
	sn_free(next->ctx, text);
	return status;
}

sn_status sn_pretokenize(sn_ctx *ctx, sn_matcher *matcher, const sn_stage *stage, int n, sn_piece piece,
						 sn_piece_fn *out, void *payload)
{
	if (n == 0) return out(payload, piece);
	route next = { ctx, matcher, stage + 1, n - 1, out, payload };
	if (stage->kind != SN_STAGE_BYTE_LEVEL) return split(stage, &next, piece, stage->behavior);
	if (stage->add_prefix_space && piece.text[0] != ' ') return with_prefix_space(stage, &next, piece);
	return byte_level(stage, &next, piece);
}
