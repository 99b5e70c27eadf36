/* Running a tokenizer. Nothing is written to it, so what a text needs while it is encoded lies in an encoder of its
 * own. */
#include "text/tokenizer_impl.h"

#include "text/classes.h"
#include "text/repair.h"

#include <string.h>

/* ---- models ---- */

sn_status sn_encode_bpe(const sn_tokenizer *t, sn_ctx *ctx, sn_model_work *work, const char *word, size_t size)
{
	return sn_bpe_encode(&t->bpe, ctx, &work->spm.symbols, word, size, &work->out);
}

sn_status sn_encode_wordpiece(const sn_tokenizer *t, sn_ctx *ctx, sn_model_work *work, const char *word, size_t size)
{
	return sn_wordpiece_encode(&t->wordpiece, ctx, word, size, &work->out);
}

sn_status sn_encode_wordlevel(const sn_tokenizer *t, sn_ctx *ctx, sn_model_work *work, const char *word, size_t size)
{
	return sn_wordlevel_encode(&t->wordpiece, ctx, word, size, &work->out);
}

sn_status sn_encode_unigram(const sn_tokenizer *t, sn_ctx *ctx, sn_model_work *work, const char *word, size_t size)
{
	return sn_unigram_encode(&t->unigram, ctx, &work->spm.lattice, word, size, &work->out);
}

sn_status sn_encode_spm(const sn_tokenizer *t, sn_ctx *ctx, sn_model_work *work, const char *word, size_t size)
{
	size_t old = work->out.n;
	SN_TRY(sn_spm_encode(t->spm, ctx, &work->spm, word, size, &work->out));
	for (size_t i = old; t->token_of && i < work->out.n; i++)
		if (work->out.part[i].id >= 0) work->out.part[i].id = t->token_of[work->out.part[i].id];
	return SN_OK;
}

static void work_free(sn_model_work *work, sn_ctx *ctx)
{
	sn_spm_work_free(&work->spm, ctx);
	sn_parts_free(&work->out, ctx);
}

/* ---- encoding ---- */

typedef struct encoder {
	sn_ctx *ctx;
	const sn_tokenizer *t;
	const char *text; /* the user's */
	bool special;
	sn_matcher matcher;
	sn_model_work work;
	sn_buf id, span; /* int32_t; int64_t pairs */
	sn_buf type, of; /* bytes: segment, text */
	sn_buf word;     /* int32_t */
	size_t first;    /* size of id before the text's first token */
	uint8_t type_now, of_now;
	int32_t word_now, n_word;
	int64_t dropped, first_dropped;
} encoder;

static void put_token(encoder *e, int32_t id, const int64_t span[2])
{
	sn_buf_add(&e->id, &id, sizeof id);
	sn_buf_add(&e->span, span, 2 * sizeof *span);
	sn_buf_add(&e->type, &e->type_now, 1);
	sn_buf_add(&e->of, &e->of_now, 1);
	sn_buf_add(&e->word, &e->word_now, sizeof e->word_now);
}

/* Returns how many white-space characters text begins (step 1) or ends (step -1) with; GPT-2's letter for the space
 * counts too. */
static int64_t count_spaces(const char *text, size_t size, int step)
{
	int64_t n = 0;
	size_t at = step > 0 ? 0 : size;
	while (step > 0 ? at < size : at > 0) {
		uint32_t code = step > 0 ? sn_utf8_next(text, size, &at) : sn_utf8_before(text, &at);
		if (!sn_is_space(code) && code != 0x120) break;
		n++;
	}
	return n;
}

static bool is_inside(const char *text, size_t at) { return ((unsigned char)text[at] & 0xc0) == 0x80; }

/* Moves a span's ends over leading and trailing characters of the text, which may not be valid. */
static void trim_span(const encoder *e, int64_t leading, int64_t trailing, int64_t span[2])
{
	bool first = e->id.size == e->first || span[0] == 0;
	size_t from = (size_t)span[0], to = (size_t)span[1];
	if (leading == 1 && first && e->t->first_space_added) leading = 0;
	for (; leading > 0 && from < to; leading--)
		for (from++; from < to && is_inside(e->text, from);) from++;
	for (; trailing > 0 && to > from; trailing--)
		for (to--; to > from && is_inside(e->text, to);) to--;
	span[0] = (int64_t)from;
	span[1] = (int64_t)to;
}

/* The same for a token of a word, by the token's text. Where words are bytes only 0x20 is a space: the others are
 * written with printing characters. */
static void trim_word_span(const encoder *e, int32_t id, int64_t span[2])
{
	sn_slice token = sn_vocab_token(&e->t->vocab, id);
	int64_t leading = 0, trailing = 0, n = (int64_t)token.size;
	if (!e->t->byte_level) {
		trim_span(e, count_spaces(token.data, token.size, 1), count_spaces(token.data, token.size, -1),
				  span);
		return;
	}
	while (leading < n && token.data[leading] == ' ') leading++;
	while (trailing < n && token.data[n - 1 - trailing] == ' ') trailing++;
	trim_span(e, leading, trailing, span);
}

static sn_status encode_word(void *payload, sn_piece word)
{
	encoder *e = payload;
	int64_t span[2];
	e->work.out.n = 0;
	e->word_now = e->n_word++;
	SN_TRY(e->t->encode(e->t, e->ctx, &e->work, word.text, word.size));
	for (size_t i = 0; i < e->work.out.n; i++) {
		sn_part part = e->work.out.part[i];
		sn_piece_span(&word, part.from, part.to, span);
		if (part.id < 0) {
			if (e->dropped++ == 0) e->first_dropped = span[0];
			continue;
		}
		if (e->t->trim_spans) trim_word_span(e, part.id, span);
		put_token(e, part.id, span);
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
		trim_span(e, count_spaces(piece.text, piece.size, 1), count_spaces(piece.text, piece.size, -1),
				  span);
	e->word_now = e->n_word++;
	put_token(e, token->id, span);
	return SN_OK;
}

static sn_status encode_normalized(void *payload, sn_piece piece)
{
	encoder *e = payload;
	return sn_added_split(&e->t->added[1], piece, e->special, encode_added, encode_text, e);
}

static sn_status encode_sentencepiece(void *payload, sn_piece piece)
{
	encoder *e = payload;
	return sn_spm_normalize(e->ctx, e->t->spm, piece, encode_normalized, e);
}

static sn_status encode_raw(void *payload, sn_piece piece)
{
	encoder *e = payload;
	sn_piece_fn *next = e->t->spm ? encode_sentencepiece : encode_normalized;
	return sn_normalize(e->ctx, &e->matcher, e->t->normalizer, e->t->n_normalizer, piece, next, e);
}

static sn_status encode_whole(void *payload, sn_piece piece)
{
	encoder *e = payload;
	e->first = e->id.size;
	return sn_added_split(&e->t->added[0], piece, e->special, encode_added, encode_raw, e);
}

/* ---- templates ---- */

enum { OF_NONE = 2 };

static sn_status encode_template(encoder *e, const sn_template *template, const char *const text[2],
								 const size_t size[2], int flags)
{
	int64_t end = 0;
	for (int i = 0; i < template->n; i++) {
		int32_t id = template->item[i].id;
		e->type_now = template->item[i].type;
		e->of_now = id >= 0 ? OF_NONE : id == SN_TEMPLATE_B;
		if (id >= 0) {
			e->word_now = -1;
			if (flags & SN_ADD_SPECIAL) put_token(e, id, (int64_t[2]){ end, end });
			continue;
		}
		e->text = text[e->of_now];
		sn_piece all = { .text = e->text, .size = size[e->of_now] };
		SN_TRY(sn_repair(e->ctx, all, flags & SN_REPLACE_INVALID, encode_whole, e));
		end = (int64_t)all.size;
	}
	bool failed = e->id.failed || e->span.failed || e->type.failed || e->of.failed || e->word.failed;
	return failed ? SN_ENOMEM : SN_OK;
}

static sn_status keep(const encoder *e, sn_arena *arena, sn_tokens *out)
{
	out->n = (int64_t)(e->id.size / sizeof *out->id);
	SN_NEW(out->id, arena, int32_t, out->n);
	out->span = sn_arena_take(arena, e->span.size);
	SN_NEW(out->type, arena, uint8_t, out->n);
	SN_NEW(out->text, arena, int8_t, out->n);
	SN_NEW(out->word, arena, int32_t, out->n);
	if (!out->span) return SN_ENOMEM;
	if (out->n == 0) return SN_OK;
	memcpy(out->id, e->id.data, e->id.size);
	memcpy(out->span, e->span.data, e->span.size);
	memcpy(out->type, e->type.data, e->type.size);
	memcpy(out->word, e->word.data, e->word.size);
	for (int64_t i = 0; i < out->n; i++) out->text[i] = e->of.data[i] == OF_NONE ? -1 : e->of.data[i];
	return SN_OK;
}

static sn_status tokenize(sn_ctx *ctx, const sn_tokenizer *t, const sn_template *template, const char *const text[2],
						  const size_t size[2], int flags, sn_arena *arena, sn_tokens *out)
{
	*out = (sn_tokens){ 0 };
	encoder e = { .ctx = ctx, .t = t, .special = flags & SN_PARSE_SPECIAL };
	e.id.ctx = e.span.ctx = e.type.ctx = e.of.ctx = e.word.ctx = ctx;
	sn_status status = encode_template(&e, template, text, size, flags);
	if (status == SN_OK) status = keep(&e, arena, out);
	if (status == SN_OK && e.dropped)
		sn_note(ctx, "%lld symbols of the text are not in the vocabulary and yield no token, the first at byte %lld",
				(long long)e.dropped, (long long)e.first_dropped);
	sn_matcher_free(&e.matcher);
	work_free(&e.work, ctx);
	sn_buf_free(&e.id);
	sn_buf_free(&e.span);
	sn_buf_free(&e.type);
	sn_buf_free(&e.of);
	sn_buf_free(&e.word);
	return status;
}

sn_status sn_tokenize(sn_ctx *ctx, const sn_tokenizer *tokenizer, const char *text, size_t size, int flags,
					  sn_arena *arena, sn_tokens *out)
{
	return tokenize(ctx, tokenizer, &tokenizer->single, (const char *const[2]){ text, "" }, (size_t[2]){ size, 0 },
					flags, arena, out);
}

sn_status sn_tokenize_pair(sn_ctx *ctx, const sn_tokenizer *tokenizer, const char *const text[2], const size_t size[2],
						   int flags, sn_arena *arena, sn_tokens *out)
{
	return tokenize(ctx, tokenizer, &tokenizer->pair, text, size, flags, arena, out);
}

/* ---- asking ---- */

const char *sn_token_text(sn_ctx *ctx, const sn_tokenizer *tokenizer, int32_t id, sn_arena *arena, size_t *size)
{
	sn_slice token = sn_vocab_token(&tokenizer->vocab, id);
	*size = token.size;
	if (!token.data) {
		(void)sn_fail(ctx, SN_ENOTFOUND, "no token has the id %d; %s has ids from 0 to %d", id, tokenizer->source,
					  tokenizer->vocab.n - 1);
		return NULL;
	}
	char *text = sn_arena_copy(arena, token.data, token.size);
	if (!text || !tokenizer->written_bytes) return text;
	sn_byte_alphabet alphabet;
	sn_byte_alphabet_init(&alphabet);
	int64_t n = sn_byte_decode(&alphabet, token.data, token.size, text);
	if (n < 0) return memcpy(text, token.data, token.size);
	*size = (size_t)n;
	text[n] = '\0';
	return text;
}

int32_t sn_tokenizer_size(const sn_tokenizer *tokenizer) { return tokenizer->vocab.n; }
const char *sn_tokenizer_kind(const sn_tokenizer *tokenizer) { return tokenizer->kind; }

const int32_t *sn_tokenizer_added(const sn_tokenizer *tokenizer, bool end, int *n)
{
	*n = end ? tokenizer->n_after : tokenizer->n_before;
	return end ? tokenizer->after : tokenizer->before;
}

int32_t sn_tokenizer_find(const sn_tokenizer *tokenizer, const char *text)
{
	return sn_vocab_find(&tokenizer->vocab, text, strlen(text));
}
