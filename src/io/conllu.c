/* CoNLL-U. Lines of a sentence are collected first; its text and spans are settled at the empty line that ends it. */
#include "io/conllu.h"

#include "io/lines.h"
#include "io/pool.h"

enum { COLUMNS = 10, MAX_ID = 100000 };

/* A piece of the text: a word of its own, or a multi-word token over words [first, last]. */
typedef struct token {
	sn_slice form;
	int32_t first, last;
	bool space_after;
	int64_t line;
} token;

typedef struct reader {
	sn_ctx *ctx;
	sn_arena *arena;
	sn_pool pool;
	sn_lines lines;
	sn_conllu *out;
	sn_conllu_sentence *sentence; /* being filled: out->sentence[out->n] */
	sn_conllu_word *word;         /* its words */
	token *token;                 /* its tokens */
	int32_t n_token, last_id;     /* last_id: of its last word */
	int32_t in_token;             /* words up to this id belong to a multi-word token */
	int32_t n_document;           /* `# newdoc` lines so far */
} reader;

static sn_status bad_line(const reader *r, const char *format, ...) SN_PRINTF(2, 3);
static sn_status bad_line(const reader *r, const char *format, ...)
{
	char text[256];
	va_list args;
	va_start(args, format);
	sn_vformat(text, sizeof text, format, args);
	va_end(args);
	return sn_fail(r->ctx, SN_EPARSE, "%s: line %lld: %s", r->lines.source, (long long)r->lines.line, text);
}

static bool equals(sn_slice a, const char *b) { return a.size == strlen(b) && memcmp(a.data, b, a.size) == 0; }

/* A whole number without sign, below MAX_ID; advances. */
static bool take_number(sn_slice *s, int32_t *out)
{
	size_t n = 0;
	for (*out = 0; n < s->size && n < 6 && s->data[n] >= '0' && s->data[n] <= '9'; n++)
		*out = *out * 10 + (s->data[n] - '0');
	*s = (sn_slice){ s->data + n, s->size - n };
	return n > 0 && *out < MAX_ID;
}

/* Reads "7", "3-4" (*sep '-', *second 4) or "5.1" (*sep '.', *second 1). */
static bool parse_id(sn_slice s, int32_t *first, char *sep, int32_t *second)
{
	*sep = 0;
	if (!take_number(&s, first)) return false;
	if (s.size == 0) return true;
	*sep = s.data[0];
	s = (sn_slice){ s.data + 1, s.size - 1 };
	return (*sep == '-' || *sep == '.') && take_number(&s, second) && s.size == 0;
}

/* Returns true if MISC holds the item. */
static bool has_misc(sn_slice misc, const char *item)
{
	for (size_t start = 0; start <= misc.size;) {
		const char *bar = memchr(misc.data + start, '|', misc.size - start);
		size_t end = bar ? (size_t)(bar - misc.data) : misc.size;
		if (equals((sn_slice){ misc.data + start, end - start }, item)) return true;
		start = end + 1;
	}
	return false;
}

/* ---- lines ---- */

static sn_status split(const reader *r, sn_slice line, sn_slice column[COLUMNS])
{
	int n = 0;
	for (size_t start = 0; start <= line.size;) {
		const char *tab = memchr(line.data + start, '\t', line.size - start);
		size_t end = tab ? (size_t)(tab - line.data) : line.size;
		if (n < COLUMNS) column[n] = (sn_slice){ line.data + start, end - start };
		n++;
		start = end + 1;
	}
	if (n != COLUMNS) return bad_line(r, "expected %d columns separated by tabs, found %d", COLUMNS, n);
	for (int i = 0; i < COLUMNS; i++)
		if (column[i].size == 0) return bad_line(r, "column %d is empty; write '_'", i + 1);
	return SN_OK;
}

static sn_status add_token(reader *r, const sn_slice column[COLUMNS], int32_t first, int32_t last)
{
	r->token[r->n_token++] = (token){ column[1], first, last, !has_misc(column[9], "SpaceAfter=No"), r->lines.line };
	return SN_OK;
}

static sn_status add_range(reader *r, const sn_slice column[COLUMNS], int32_t first, int32_t last)
{
	if (first != r->last_id + 1 || first <= r->in_token || last < first)
		return bad_line(r, "expected a multi-word token from %d on, found %d-%d", r->last_id + 1, first, last);
	r->in_token = last;
	return add_token(r, column, first, last);
}

static sn_status copy_columns(reader *r, const sn_slice column[COLUMNS], sn_conllu_word *w)
{
	const char **field[] = { &w->form, &w->lemma, &w->upos, &w->xpos, &w->feats, NULL, &w->deprel, &w->deps, &w->misc };
	for (int i = 0; i < SN_COUNT(field); i++) {
		if (!field[i]) continue;
		*field[i] = sn_pool_copy(&r->pool, column[i + 1].data, column[i + 1].size);
		if (!*field[i]) return SN_ENOMEM;
	}
	return SN_OK;
}

static sn_status read_head(const reader *r, sn_slice text, int32_t *head)
{
	*head = -1;
	if (equals(text, "_") || (take_number(&text, head) && text.size == 0)) return SN_OK;
	return bad_line(r, "expected a head (column 7) that is a number or '_'");
}

static sn_status add_word(reader *r, const sn_slice column[COLUMNS], int32_t id, int32_t empty)
{
	int32_t expected = r->last_id + (empty == 0);
	if (id != expected) return bad_line(r, "expected word %d, found %d; ids must count up from 1", expected, id);
	sn_conllu_word *w = &r->word[r->sentence->n_word++];
	*w = (sn_conllu_word){ .id = id, .empty = empty, .span = { -1, -1 }, .line = r->lines.line };
	SN_TRY(read_head(r, column[6], &w->head));
	r->last_id = id;
	if (empty == 0 && id > r->in_token) SN_TRY(add_token(r, column, id, id));
	return copy_columns(r, column, w);
}

static sn_status read_word(reader *r, sn_slice line)
{
	sn_slice column[COLUMNS];
	int32_t id = 0, second = 0;
	char sep = 0;
	SN_TRY(split(r, line, column));
	if (!r->sentence->line) r->sentence->line = r->lines.line;
	if (!parse_id(column[0], &id, &sep, &second))
		return bad_line(r, "expected an id such as 7, 3-4 or 5.1 in column 1");
	if (sep == '-') return add_range(r, column, id, second);
	return add_word(r, column, id, sep == '.' ? SN_MAX(second, 1) : 0);
}

/* Takes the value of `# key = value`, counts `# newdoc`, `# newdoc id = ...`; other comments are left alone. */
static sn_status read_comment(reader *r, sn_slice line)
{
	static const char newdoc[] = "# newdoc";
	size_t end = sizeof newdoc - 1;
	if (line.size >= end && memcmp(line.data, newdoc, end) == 0 && (line.size == end || line.data[end] == ' '))
		r->n_document++;
	static const char *const key[] = { "# sent_id = ", "# text = " };
	const char **value[] = { &r->sentence->id, &r->sentence->text };
	for (int i = 0; i < SN_COUNT(key); i++) {
		size_t n = strlen(key[i]);
		if (line.size < n || memcmp(line.data, key[i], n) != 0) continue;
		*value[i] = sn_pool_copy(&r->pool, line.data + n, line.size - n);
		if (!*value[i]) return SN_ENOMEM;
	}
	return SN_OK;
}

/* ---- sentences ---- */

/* Joins the forms of a sentence without `# text`. */
static sn_status join_text(reader *r)
{
	size_t size = 0, n = 0;
	for (int32_t i = 0; i < r->n_token; i++) size += r->token[i].form.size + 1;
	char *text = sn_pool_take(&r->pool, size + 1);
	if (!text) return SN_ENOMEM;
	for (int32_t i = 0; i < r->n_token; i++) {
		const token *t = &r->token[i];
		memcpy(text + n, t->form.data, t->form.size);
		n += t->form.size;
		if (t->space_after && i + 1 < r->n_token) text[n++] = ' ';
	}
	text[n] = '\0';
	r->sentence->text = text;
	return SN_OK;
}

/* Advances over ASCII and no-break spaces. */
static size_t skip_space(const char *text, size_t pos)
{
	for (;;) {
		if (text[pos] == ' ' || text[pos] == '\t')
			pos++;
		else if (strncmp(text + pos, "\xc2\xa0", 2) == 0)
			pos += 2;
		else
			return pos;
	}
}

/* Finds every token in the text, in order, and gives its span to its words. */
static sn_status place_tokens(reader *r)
{
	const char *text = r->sentence->text;
	size_t pos = 0, size = strlen(text);
	int32_t word = 0;
	for (int32_t i = 0; i < r->n_token; i++) {
		const token *t = &r->token[i];
		pos = skip_space(text, pos);
		if (t->form.size > size - pos || memcmp(text + pos, t->form.data, t->form.size) != 0)
			return sn_fail(r->ctx, SN_EPARSE,
						   "%s: line %lld: the form '%.*s' does not stand at byte %zu of the sentence's # text; "
						   "correct one of them",
						   r->lines.source, (long long)t->line, (int)SN_MIN(t->form.size, (size_t)80), t->form.data,
						   pos);
		for (; word < r->sentence->n_word && r->word[word].id <= t->last; word++) {
			if (r->word[word].empty) continue;
			r->word[word].span[0] = (int64_t)pos;
			r->word[word].span[1] = (int64_t)(pos + t->form.size);
		}
		pos += t->form.size;
	}
	return SN_OK;
}

static sn_status check_heads(reader *r)
{
	for (int32_t i = 0; i < r->sentence->n_word; i++)
		if (r->word[i].head > r->last_id)
			return sn_fail(r->ctx, SN_EPARSE, "%s: line %lld: the head %d is no word of the sentence, which has %d",
						   r->lines.source, (long long)r->word[i].line, r->word[i].head, r->last_id);
	if (r->in_token > r->last_id)
		return bad_line(r, "a multi-word token ends at %d, the sentence at word %d", r->in_token, r->last_id);
	return SN_OK;
}

static sn_status end_sentence(reader *r)
{
	sn_conllu_sentence *s = r->sentence;
	if (s->n_word > 0 || r->n_token > 0) {
		SN_TRY(check_heads(r));
		if (!s->text) SN_TRY(join_text(r));
		SN_TRY(place_tokens(r));
		s->word = r->word;
		s->document = r->n_document;
		r->out->n++;
		r->out->n_word += s->n_word;
		r->word += s->n_word;
		r->sentence++;
	} else {
		*s = (sn_conllu_sentence){ 0 }; /* comments without words */
	}
	r->n_token = r->last_id = r->in_token = 0;
	return SN_OK;
}

/* ---- the file ---- */

/* How much room a text needs at most, from its lines alone. */
typedef struct room {
	int64_t word, sentence, token;
} room;

static room measure(sn_lines lines)
{
	room need = { 0, 1, 0 };
	int64_t run = 0;   /* lines since the last empty one */
	int64_t words = 0; /* words among them */
	for (sn_slice line; sn_lines_next(&lines, &line);) {
		bool blank = sn_slice_blank(line), word = line.size >= 2 * COLUMNS - 1 && line.data[0] != '#';
		need.sentence += blank && run > 0;
		need.word += word;
		run = blank ? 0 : run + 1;
		words = blank ? 0 : words + word;
		need.token = SN_MAX(need.token, words);
	}
	return need;
}

static sn_status read_lines(reader *r)
{
	for (sn_slice line; sn_lines_next(&r->lines, &line);) {
		if (sn_slice_blank(line))
			SN_TRY(end_sentence(r));
		else
			SN_TRY(line.data[0] == '#' ? read_comment(r, line) : read_word(r, line));
	}
	return end_sentence(r);
}

sn_status sn_conllu_read(sn_conllu *out, sn_ctx *ctx, const char *source, const char *data, size_t size,
						 sn_arena *arena)
{
	*out = (sn_conllu){ 0 };
	SN_TRY(sn_text_check(ctx, source, data, size));
	reader r = {
		.ctx = ctx, .arena = arena, .pool = { .arena = arena }, .lines = sn_lines_make(source, data, size), .out = out
	};
	room need = measure(r.lines);
	SN_NEW(r.word, arena, sn_conllu_word, need.word);
	SN_NEW(r.sentence, arena, sn_conllu_sentence, need.sentence);
	SN_NEW(r.token, arena, token, need.token);
	out->sentence = r.sentence;
	return read_lines(&r);
}
