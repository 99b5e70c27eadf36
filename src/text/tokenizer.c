/* Running a tokenizer. Nothing is written to it, so what a text needs while it is encoded lies in an encoder of its
 * own. */
#include "text/tokenizer_impl.h"

#include "text/classes.h"

#include <string.h>

sn_status sn_tokenizer_new(sn_tokenizer **out, sn_ctx *ctx, const char *source)
{
	*out = NULL;
	sn_tokenizer *t = sn_alloc(ctx, sizeof *t);
	if (!t) return SN_ENOMEM;
	t->ctx = ctx;
	t->bpe.unk = -1;
	sn_status status = sn_arena_open(&t->arena, ctx);
	if (status == SN_OK && !(t->source = sn_arena_string(t->arena, source))) status = SN_ENOMEM;
	if (status == SN_OK)
		*out = t;
	else
		sn_tokenizer_close(t);
	return status;
}

void sn_tokenizer_close(sn_tokenizer *t)
{
	if (!t) return;
	for (int i = 0; i < t->n_stage; i++) sn_regex_close(t->ctx, t->stage[i].regex);
	sn_arena_close(t->arena);
	sn_free(t->ctx, t);
}

sn_status sn_tokenizer_add_stage(sn_tokenizer *t, sn_stage stage)
{
	if (t->n_stage < SN_MAX_STAGES) {
		t->stage[t->n_stage++] = stage;
		return SN_OK;
	}
	sn_regex_close(t->ctx, stage.regex);
	return sn_fail(t->ctx, SN_EPARSE, "%s: more than %d pre-tokenizer stages", t->source, SN_MAX_STAGES);
}

/* Appends the bytes that a text of the vocabulary file stands for. */
static void add_decoded(sn_buf *buf, sn_slice text, const sn_byte_alphabet *alphabet)
{
	size_t old = buf->size;
	sn_buf_add(buf, text.data, text.size);
	if (buf->failed || !alphabet) return;
	int64_t n = sn_byte_decode(alphabet, text.data, text.size, buf->data + old);
	if (n >= 0) buf->size = old + (size_t)n;
}

sn_status sn_tokenizer_add_merge(sn_tokenizer *t, int64_t number, sn_slice left, sn_slice right,
								 const sn_byte_alphabet *alphabet, sn_buf *scratch)
{
	scratch->size = 0;
	add_decoded(scratch, left, alphabet);
	size_t left_size = scratch->size;
	add_decoded(scratch, right, alphabet);
	if (scratch->failed) return SN_ENOMEM;
	if (sn_bpe_add_merge(&t->bpe, (uint32_t)number, scratch->data, left_size, scratch->size)) return SN_OK;
	return sn_fail(t->ctx, SN_EPARSE,
				   "%s: merge %lld, '%.*s' + '%.*s': both and what they make must be in the vocabulary", t->source,
				   (long long)number, (int)SN_MIN(left.size, 80), left.data, (int)SN_MIN(right.size, 80), right.data);
}

/* ---- encoding ---- */

typedef struct encoder {
	sn_ctx *ctx;
	const sn_tokenizer *t;
	const char *text; /* the user's */
	bool special;
	sn_matcher matcher;
	sn_bpe_work work;
	sn_buf id, span; /* int32_t; int64_t pairs */
	size_t first;    /* size of id before the text's first token */
	int64_t dropped, first_dropped;
} encoder;

static void put_token(encoder *e, int32_t id, const int64_t span[2])
{
	sn_buf_add(&e->id, &id, sizeof id);
	sn_buf_add(&e->span, span, 2 * sizeof *span);
}

/* Returns how many white-space characters text begins (step 1) or ends (step -1) with. */
static int64_t count_spaces(const char *text, size_t size, int step)
{
	int64_t n = 0;
	size_t at = step > 0 ? 0 : size;
	while (step > 0 ? at < size : at > 0) {
		uint32_t code = step > 0 ? sn_utf8_next(text, size, &at) : sn_utf8_before(text, &at);
		if (!sn_is_space(code)) break;
		n++;
	}
	return n;
}

/* Moves a span's ends over leading and trailing characters of the text. */
static void trim_span(const encoder *e, int64_t leading, int64_t trailing, int64_t span[2])
{
	bool first = e->id.size == e->first || span[0] == 0;
	size_t from = (size_t)span[0], to = (size_t)span[1];
	if (leading == 1 && first && e->t->first_space_added) leading = 0;
	while (leading-- > 0 && from < to) (void)sn_utf8_next(e->text, to, &from);
	while (trailing-- > 0 && to > from) (void)sn_utf8_before(e->text, &to);
	span[0] = (int64_t)from;
	span[1] = (int64_t)to;
}

/* The same for part of a word, where only the byte 0x20 is a space: the others are written with printing characters. */
static void trim_word_span(const encoder *e, const char *token, size_t size, int64_t span[2])
{
	int64_t leading = 0, trailing = 0, n = (int64_t)size;
	if (!e->t->trim_spans) return;
	while (leading < n && token[leading] == ' ') leading++;
	while (trailing < n && token[n - 1 - trailing] == ' ') trailing++;
	trim_span(e, leading, trailing, span);
}

static sn_status encode_word(void *payload, sn_piece word)
{
	encoder *e = payload;
	int64_t n, span[2];
	SN_TRY(sn_bpe_encode(&e->t->bpe, e->ctx, &e->work, word.text, word.size, &n));
	for (int64_t i = 0; i < n; i++) {
		const sn_symbol *s = &e->work.symbol[i];
		sn_piece_span(&word, s->from, s->to, span);
		if (s->id < 0) {
			if (e->dropped++ == 0) e->first_dropped = span[0];
			continue;
		}
		trim_word_span(e, word.text + s->from, s->to - s->from, span);
		put_token(e, s->id, span);
	}
	return e->id.failed || e->span.failed ? SN_ENOMEM : SN_OK;
}

static sn_status encode_text(void *payload, sn_piece piece)
{
	encoder *e = payload;
	return sn_pretokenize(e->ctx, &e->matcher, e->t->stage, e->t->n_stage, piece, encode_word, e);
}

static sn_status encode_added(void *payload, const sn_added *token, sn_piece piece)
{
	encoder *e = payload;
	int64_t span[2];
	sn_piece_span(&piece, 0, piece.size, span);
	if (e->t->trim_spans)
		trim_span(e, count_spaces(piece.text, piece.size, 1), count_spaces(piece.text, piece.size, -1), span);
	put_token(e, token->id, span);
	return SN_OK;
}

static sn_status encode_normalized(void *payload, sn_piece piece)
{
	encoder *e = payload;
	return sn_added_split(&e->t->added[1], piece, e->special, encode_added, encode_text, e);
}

static sn_status encode_raw(void *payload, sn_piece piece)
{
	encoder *e = payload;
	return sn_normalize(e->ctx, e->t->normalizer, e->t->n_normalizer, piece, encode_normalized, e);
}

static sn_status encode(encoder *e, const char *text, size_t size, int flags)
{
	const sn_tokenizer *t = e->t;
	bool add = flags & SN_ADD_SPECIAL;
	sn_piece all = { .text = text, .size = size };
	for (int i = 0; add && i < t->n_before; i++) put_token(e, t->before[i], (int64_t[2]){ 0, 0 });
	e->first = e->id.size;
	SN_TRY(sn_added_split(&t->added[0], all, e->special, encode_added, encode_raw, e));
	for (int i = 0; add && i < t->n_after; i++) put_token(e, t->after[i], (int64_t[2]){ (int64_t)size, (int64_t)size });
	return e->id.failed || e->span.failed ? SN_ENOMEM : SN_OK;
}

static sn_status keep(const encoder *e, sn_arena *arena, sn_tokens *out)
{
	out->n = (int64_t)(e->id.size / sizeof *out->id);
	SN_NEW(out->id, arena, int32_t, out->n);
	out->span = sn_arena_take(arena, e->span.size);
	if (!out->span) return SN_ENOMEM;
	if (out->n == 0) return SN_OK;
	memcpy(out->id, e->id.data, e->id.size);
	memcpy(out->span, e->span.data, e->span.size);
	return SN_OK;
}

static sn_status check_text(sn_ctx *ctx, const char *text, size_t size)
{
	if (size > INT32_MAX)
		return sn_fail(ctx, SN_EARG, "a text of %zu bytes; at most 2147483647 can be tokenized at once: split it",
					   size);
	int64_t bad = sn_utf8_check(text, size);
	if (bad < 0) return SN_OK;
	return sn_fail(ctx, SN_EPARSE, "the text is not UTF-8 at byte %lld (0x%02x): convert it to UTF-8 first",
				   (long long)bad, (unsigned char)text[bad]);
}

sn_status sn_tokenize(sn_ctx *ctx, const sn_tokenizer *tokenizer, const char *text, size_t size, int flags,
					  sn_arena *arena, sn_tokens *out)
{
	*out = (sn_tokens){ 0 };
	SN_TRY(check_text(ctx, text, size));
	encoder e = {
		.ctx = ctx, .t = tokenizer, .text = text, .special = flags & SN_PARSE_SPECIAL, .id.ctx = ctx, .span.ctx = ctx
	};
	sn_status status = encode(&e, text, size, flags);
	if (status == SN_OK) status = keep(&e, arena, out);
	if (status == SN_OK && e.dropped)
		sn_note(ctx, "%lld symbols of the text are not in the vocabulary and yield no token, the first at byte %lld",
				(long long)e.dropped, (long long)e.first_dropped);
	sn_matcher_free(&e.matcher);
	sn_bpe_work_free(ctx, &e.work);
	sn_buf_free(&e.id);
	sn_buf_free(&e.span);
	return status;
}

/* ---- asking ---- */

const char *sn_token_text(sn_ctx *ctx, const sn_tokenizer *tokenizer, int32_t id, sn_arena *arena, size_t *size)
{
	sn_slice token = sn_vocab_token(&tokenizer->vocab, id);
	*size = token.size;
	if (token.data) return sn_arena_copy(arena, token.data, token.size);
	(void)sn_fail(ctx, SN_ENOTFOUND, "no token has the id %d; %s has ids from 0 to %d", id, tokenizer->source,
				  tokenizer->vocab.n - 1);
	return NULL;
}

int32_t sn_tokenizer_size(const sn_tokenizer *tokenizer) { return tokenizer->vocab.n; }
const char *sn_tokenizer_kind(const sn_tokenizer *tokenizer) { return tokenizer->kind; }

const int32_t *sn_tokenizer_added(const sn_tokenizer *tokenizer, bool end, int *n)
{
	*n = end ? tokenizer->n_after : tokenizer->n_before;
	return end ? tokenizer->after : tokenizer->before;
}
