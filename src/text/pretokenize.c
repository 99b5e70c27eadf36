/* Pre-tokenizer stages. A stage hands each piece on as it finds it; nothing is collected. */
#include "text/pretokenize.h"

#include "text/byte_level.h"
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

/* A run of segments that stays one piece: [from, to); n of them, the last one a match or not. */
typedef struct run {
	const route *next;
	sn_piece piece;
	sn_behavior behavior;
	size_t from, to, n;
	bool was_match;
} run;

static sn_status flush(run *r)
{
	sn_piece piece = sn_piece_part(r->piece, r->from, r->to);
	return r->behavior == SN_REMOVED && r->was_match ? SN_OK : send(r->next, piece);
}

static bool joins(const run *r, bool match)
{
	if (r->n == 0) return true;
	if (r->behavior == SN_MERGED_WITH_PREVIOUS) return match && !r->was_match;
	if (r->behavior == SN_MERGED_WITH_NEXT) return r->was_match && !match;
	return r->behavior == SN_CONTIGUOUS && match == r->was_match;
}

/* Adds the segment from the end of the run to `to`. An empty match counts as a segment too. */
static sn_status segment(run *r, size_t to, bool match)
{
	if (!joins(r, match)) {
		SN_TRY(flush(r));
		r->from = r->to;
		r->n = 0;
	}
	r->to = to;
	r->was_match = match;
	r->n++;
	return SN_OK;
}

/* ---- splits ---- */

/* The next character of the class, as a match. */
static void next_of_class(const sn_stage *stage, sn_walk *w, bool *found)
{
	for (*found = false; w->from < w->size && !*found;) {
		w->match[0] = w->from;
		uint32_t code = sn_utf8_next(w->text, w->size, &w->from);
		*found = stage->in_class ? stage->in_class(code) : code == stage->delimiter;
		w->match[1] = w->from;
	}
}

static sn_status split_as(const sn_stage *stage, const route *next, sn_piece p, sn_behavior behavior)
{
	run r = { .next = next, .piece = p, .behavior = behavior };
	sn_walk walk = { .text = p.text, .size = p.size };
	for (bool found;;) {
		if (stage->regex)
			SN_TRY(sn_regex_next(stage->regex, next->ctx, next->matcher, &walk, &found));
		else
			next_of_class(stage, &walk, &found);
		if (!found) break;
		if (walk.match[0] > r.to) SN_TRY(segment(&r, walk.match[0], stage->invert));
		SN_TRY(segment(&r, walk.match[1], !stage->invert));
	}
	if (r.to < p.size) SN_TRY(segment(&r, p.size, stage->invert));
	return flush(&r);
}

static sn_status split(const sn_stage *stage, const route *next, sn_piece p)
{
	return split_as(stage, next, p, stage->behavior);
}

/* \w+|[^\w\s]+ */
static sn_status words(const sn_stage *stage, const route *next, sn_piece p)
{
	enum { SPACE, WORD, OTHER } last = SPACE, class;
	size_t from = 0;
	(void)stage;
	for (size_t at = 0, start; at < p.size; last = class) {
		start = at;
		uint32_t code = sn_utf8_next(p.text, p.size, &at);
		class = sn_is_word(code) ? WORD : sn_is_space(code) ? SPACE : OTHER;
		if (class == last) continue;
		if (last != SPACE) SN_TRY(send(next, sn_piece_part(p, from, start)));
		from = start;
	}
	return last == SPACE ? SN_OK : send(next, sn_piece_part(p, from, p.size));
}

static sn_status fixed_length(const sn_stage *stage, const route *next, sn_piece p)
{
	size_t from = 0, at = 0;
	for (int64_t n = 0; at < p.size;) {
		(void)sn_utf8_next(p.text, p.size, &at);
		if (++n < stage->length && at < p.size) continue;
		SN_TRY(send(next, sn_piece_part(p, from, at)));
		from = at;
		n = 0;
	}
	return SN_OK;
}

/* Returns the script's number; 0: any. */
static int script_of(const sn_stage *stage, uint32_t code)
{
	if (code == ' ' || sn_newer(code) == 9) return 0;
	if (code == 0x30fc) code = 0x30a1; /* the sign for a long vowel goes with kana */
	int32_t low = 0, high = stage->n_script;
	while (low < high) {
		int32_t middle = (low + high) / 2;
		if (code > stage->script[middle].last)
			low = middle + 1;
		else if (code < stage->script[middle].first)
			high = middle;
		else
			return stage->script[middle].script;
	}
	return 0;
}

/* A piece ends where a character of another script follows; what may stand in any script goes with what is before it.
 * The text up to the first character with a script is dropped, as in `tokenizers`. */
static sn_status scripts(const sn_stage *stage, const route *next, sn_piece p)
{
	size_t from = SIZE_MAX;
	int last = -1;
	for (size_t at = 0, start; at < p.size;) {
		start = at;
		int script = script_of(stage, sn_utf8_next(p.text, p.size, &at));
		if (script == 0 || script == last) continue;
		if (from != SIZE_MAX) SN_TRY(send(next, sn_piece_part(p, from, start)));
		from = start;
		last = script;
	}
	return from == SIZE_MAX ? SN_OK : send(next, sn_piece_part(p, from, p.size));
}

/* ---- stages that change the text ---- */

/* A text in the making, with its places. */
typedef struct draft {
	char *text;
	int64_t (*origin)[2];
	size_t size;
} draft;

static sn_status draft_open(draft *d, sn_ctx *ctx, size_t room)
{
	*d = (draft){ .text = sn_alloc_raw(ctx, room), .origin = sn_alloc_raw(ctx, sn_size3(room, sizeof *d->origin, 1)) };
	return d->text && d->origin ? SN_OK : SN_ENOMEM;
}

static void draft_close(draft *d, sn_ctx *ctx)
{
	sn_free(ctx, d->text);
	sn_free(ctx, d->origin);
}

/* Appends a text that stands for the character of the piece that begins at byte `at`. */
static void draft_put(draft *d, const char *text, size_t size, sn_piece p, size_t at)
{
	int64_t span[2];
	sn_piece_span(&p, at, at + 1, span);
	for (size_t i = 0; i < size; i++, d->size++) {
		d->text[d->size] = text[i];
		d->origin[d->size][0] = span[0];
		d->origin[d->size][1] = span[1];
	}
}

/* The piece that a draft of p has become. */
static sn_piece draft_piece(const draft *d, sn_piece p)
{
	return (sn_piece){ d->text, d->size, (const int64_t(*)[2])d->origin, p.base };
}

/* Hands words on written in GPT-2's alphabet. */
static sn_status send_written(void *payload, sn_piece p)
{
	const route *next = payload;
	draft d;
	sn_status status = draft_open(&d, next->ctx, 2 * p.size);
	for (size_t i = 0; i < p.size && status == SN_OK; i++) {
		char text[4];
		draft_put(&d, text, (size_t)sn_utf8_put(sn_byte_char((unsigned char)p.text[i]), text), p, i);
	}
	if (status == SN_OK) status = send(next, draft_piece(&d, p));
	draft_close(&d, next->ctx);
	return status;
}

static sn_status byte_level_words(const sn_stage *stage, const route *next, sn_piece p)
{
	route writing = { next->ctx, next->matcher, NULL, 0, send_written, (void *)(uintptr_t)next };
	const route *to = stage->write_bytes ? &writing : next;
	return stage->regex ? split_as(stage, to, p, SN_ISOLATED) : send(to, p);
}

/* A space put before the piece shares the first character's place in the text. */
static sn_status byte_level(const sn_stage *stage, const route *next, sn_piece p)
{
	if (!stage->add_prefix_space || p.text[0] == ' ') return byte_level_words(stage, next, p);
	draft d;
	sn_status status = draft_open(&d, next->ctx, p.size + 1);
	if (status == SN_OK) {
		draft_put(&d, " ", 1, p, 0);
		for (size_t i = 0; i < p.size; i++) draft_put(&d, p.text + i, 1, p, i);
		status = byte_level_words(stage, next, draft_piece(&d, p));
	}
	draft_close(&d, next->ctx);
	return status;
}

static bool begins_with(sn_piece p, size_t at, sn_slice text)
{
	return p.size - at >= text.size && memcmp(p.text + at, text.data, text.size) == 0;
}

/* Cuts before each replacement character. */
static sn_status split_metaspace(const sn_stage *stage, const route *next, sn_piece p)
{
	size_t from = 0;
	for (size_t at = 1; at < p.size && stage->split; at++) {
		if (!begins_with(p, at, stage->replacement)) continue;
		SN_TRY(send(next, sn_piece_part(p, from, at)));
		from = at;
	}
	return send(next, stage->split ? sn_piece_part(p, from, p.size) : p);
}

static bool prepends(const sn_stage *stage, sn_piece p)
{
	if (p.text[0] == ' ' || begins_with(p, 0, stage->replacement)) return false;
	return stage->prepend == SN_PREPEND_ALWAYS || (stage->prepend == SN_PREPEND_FIRST && p.base == 0);
}

static sn_status metaspace(const sn_stage *stage, const route *next, sn_piece p)
{
	sn_slice r = stage->replacement;
	size_t spaces = 1;
	for (size_t i = 0; i < p.size; i++) spaces += p.text[i] == ' ';
	draft d;
	sn_status status = draft_open(&d, next->ctx, p.size + spaces * r.size);
	if (status == SN_OK) {
		if (prepends(stage, p)) draft_put(&d, r.data, r.size, p, 0);
		for (size_t i = 0; i < p.size; i++)
			if (p.text[i] == ' ')
				draft_put(&d, r.data, r.size, p, i);
			else
				draft_put(&d, p.text + i, 1, p, i);
		status = split_metaspace(stage, next, draft_piece(&d, p));
	}
	draft_close(&d, next->ctx);
	return status;
}

/* ---- all ---- */

sn_status sn_pretokenize(sn_ctx *ctx, sn_matcher *matcher, const sn_stage *stage, int n, sn_piece piece,
						 sn_piece_fn *out, void *payload)
{
	static sn_status (*const cut[SN_STAGE_KINDS])(const sn_stage *, const route *, sn_piece) = {
		[SN_STAGE_SPLIT] = split,           [SN_STAGE_SPLIT_CLASS] = split,   [SN_STAGE_WORDS] = words,
		[SN_STAGE_BYTE_LEVEL] = byte_level, [SN_STAGE_METASPACE] = metaspace, [SN_STAGE_FIXED_LENGTH] = fixed_length,
		[SN_STAGE_SCRIPTS] = scripts,
	};
	if (n == 0) return out(payload, piece);
	route next = { ctx, matcher, stage + 1, n - 1, out, payload };
	return cut[stage->kind](stage, &next, piece);
}
