/* Sentences to rows of tokens, words to places in them. */
#include "data/treebank.h"

#include <stdlib.h>
#include <string.h>

#include "data/numbering.h"
#include "io/conllu.h"
#include "text/align.h"

/* ---- sentences ---- */

typedef struct reader {
	sn_ctx *ctx;
	sn_arena *arena, *scratch;
	sn_treebank *out;
	int32_t *token;
	int64_t *start;
	int file;
} reader;

/* The words of a multi-word token share its span; where their forms make up its letters, each gets its part. */
static void part_spans(const char *text, int n, const sn_conllu_word *const *word, int64_t (*span)[2])
{
	for (int first = 0, end; first < n; first = end) {
		int64_t at = span[first][0];
		for (end = first; end < n && word[end]->span[0] == word[first]->span[0]; end++) {
			size_t size = strlen(word[end]->form);
			bool fits = at + (int64_t)size <= word[first]->span[1] && memcmp(text + at, word[end]->form, size) == 0;
			span[end][0] = at;
			at = fits ? at + (int64_t)size : INT64_MAX / 2;
			span[end][1] = at;
		}
		if (end == first + 1 || at == word[first]->span[1]) continue;
		for (int w = first; w < end; w++) memcpy(span[w], word[w]->span, sizeof *span);
	}
}

static sn_status add_words(reader *r, const sn_conllu_sentence *s, const sn_tokens *tokens, int32_t row)
{
	sn_treebank *out = r->out;
	const sn_conllu_word **word;
	sn_align_report report;
	int n = 0;
	SN_NEW(word, r->scratch, const sn_conllu_word *, s->n_word);
	int64_t(*span)[2] = sn_arena_take(r->scratch, sn_size3((size_t)s->n_word, sizeof *span, 1)), *number_of;
	int32_t(*range)[2] = sn_arena_take(r->scratch, sn_size3((size_t)s->n_word, sizeof *range, 1));
	SN_NEW(number_of, r->scratch, int64_t, s->n_word + 1); /* by id */
	if (!span || !range) return SN_ENOMEM;
	for (int32_t w = 0; w < s->n_word; w++)
		if (!s->word[w].empty) word[n++] = &s->word[w];
	for (int w = 0; w < n; w++) memcpy(span[w], word[w]->span, sizeof *span);
	part_spans(s->text, n, word, span);
	SN_TRY(sn_align_words(r->ctx, s->text, (int64_t)strlen(s->text), tokens, n, (const int64_t(*)[2])span, range,
						  &report));
	out->n_unaligned += report.missing;
	out->n_shared += report.shared;
	int64_t next = out->n;
	for (int w = 0; w < n; w++) number_of[w + 1] = range[w][0] < 0 ? -2 : next++;
	for (int w = 0; w < n; w++) {
		if (range[w][0] < 0) continue;
		int64_t i = out->n++;
		out->sentence[i] = row;
		memcpy(out->token[i], range[w], sizeof *range);
		out->file[i] = r->file;
		out->word[i] = word[w];
		out->head[i] = word[w]->head < 0 ? -2 : word[w]->head == 0 ? -1 : number_of[word[w]->head];
	}
	return SN_OK;
}

static sn_status add_sentence(reader *r, const sn_tokenizer *tokenizer, const sn_conllu_sentence *s, int64_t most)
{
	sn_tokens tokens;
	sn_mark mark = sn_arena_mark(r->scratch);
	SN_TRY(sn_tokenize(r->ctx, tokenizer, s->text, strlen(s->text), SN_ADD_SPECIAL, r->scratch, &tokens));
	int32_t row = r->out->batch.n;
	bool fits = tokens.n > 0 && (most == 0 || tokens.n <= most);
	r->out->n_long += !fits;
	if (fits) {
		SN_TRY(add_words(r, s, &tokens, row));
		memcpy(r->token + r->start[row], tokens.id, (size_t)tokens.n * sizeof *tokens.id);
		r->start[row + 1] = r->start[row] + tokens.n;
		r->out->batch.n++;
	}
	sn_arena_reset(r->scratch, mark);
	return SN_OK;
}

/* Sentences, words and tokens at most: a token is at least a byte of text, or one of few special ones. */
static sn_status make_room(reader *r, const sn_dataset *const *data, int n_data)
{
	int64_t sentences = 0, words = 0, tokens = 0;
	sn_treebank *out = r->out;
	for (int f = 0; f < n_data; f++) {
		if (!data[f]->treebank) return sn_fail(r->ctx, SN_EARG, "%s: expected a CoNLL-U treebank", data[f]->source);
		sentences += data[f]->treebank->n;
		words += data[f]->treebank->n_word;
		for (int64_t i = 0; i < data[f]->treebank->n; i++)
			tokens += 2 * (int64_t)strlen(data[f]->treebank->sentence[i].text) + 16;
	}
	SN_NEW(r->token, r->arena, int32_t, tokens);
	SN_NEW(r->start, r->arena, int64_t, sentences + 1);
	SN_NEW(out->sentence, r->arena, int32_t, words);
	SN_NEW(out->file, r->arena, int32_t, words);
	SN_NEW(out->head, r->arena, int64_t, words);
	SN_NEW(out->type, r->arena, int32_t, words);
	SN_NEW(out->word, r->arena, const sn_conllu_word *, words);
	out->token = sn_arena_take(r->arena, sn_size3((size_t)words, sizeof *out->token, 1));
	return out->token ? SN_OK : SN_ENOMEM;
}

static sn_status number_types(sn_treebank *bank, sn_arena *arena)
{
	const char **form, **name;
	SN_NEW(form, arena, const char *, bank->n);
	for (int64_t i = 0; i < bank->n; i++) form[i] = bank->word[i]->form;
	return sn_number_texts(bank->type, &bank->n_type, &name, form, bank->n, arena);
}

static sn_status read_all(reader *r, const sn_tokenizer *tokenizer, const sn_dataset *const *data, int n_data,
						  int64_t limit, int64_t most)
{
	SN_TRY(make_room(r, data, n_data));
	for (r->file = 0; r->file < n_data; r->file++) {
		const sn_conllu *doc = data[r->file]->treebank;
		int64_t n = limit > 0 && r->file == 0 ? SN_MIN(limit, doc->n) : doc->n;
		for (int64_t i = 0; i < n; i++) SN_TRY(add_sentence(r, tokenizer, &doc->sentence[i], most));
	}
	r->out->batch.token = r->token;
	r->out->batch.start = r->start;
	if (r->out->n == 0) return sn_fail(r->ctx, SN_EARG, "%s: no words that tokens belong to", data[0]->source);
	return number_types(r->out, r->arena);
}

sn_status sn_treebank_read(sn_treebank *out, sn_ctx *ctx, const sn_tokenizer *tokenizer, const sn_dataset *const *data,
						   int n_data, int64_t limit, int64_t most, sn_arena *arena)
{
	reader r = { .ctx = ctx, .arena = arena, .out = out };
	*out = (sn_treebank){ 0 };
	SN_TRY(sn_arena_open(&r.scratch, ctx));
	sn_status status = read_all(&r, tokenizer, data, n_data, limit, most);
	sn_arena_close(r.scratch);
	return status;
}

/* ---- labels ---- */

/* The value of a key in "A=x|B=y" as text from the arena; *out NULL: it is not there. */
static sn_status value_of(const char **out, const char *list, const char *key, sn_arena *arena)
{
	size_t size = strlen(key);
	*out = NULL;
	for (const char *at = list; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL) {
		if (strncmp(at, key, size) != 0 || at[size] != '=') continue;
		*out = sn_arena_copy(arena, at + size + 1, strcspn(at + size + 1, "|"));
		return *out ? SN_OK : SN_ENOMEM;
	}
	return SN_OK;
}

static sn_status label_of(const char **out, const sn_conllu_word *w, const char *name, sn_arena *arena)
{
	static const char *const column[] = { "upos", "xpos", "deprel", "lemma" };
	const char *const value[] = { w->upos, w->xpos, w->deprel, w->lemma };
	*out = NULL;
	if (strncmp(name, "feats.", 6) == 0) return value_of(out, w->feats, name + 6, arena);
	if (strncmp(name, "misc.", 5) == 0) return value_of(out, w->misc, name + 5, arena);
	for (int i = 0; i < SN_COUNT(column); i++)
		if (strcmp(name, column[i]) == 0) *out = strcmp(value[i], "_") == 0 ? NULL : value[i];
	if (strcmp(name, "udeprel") == 0 && strcmp(w->deprel, "_") != 0) {
		*out = sn_arena_copy(arena, w->deprel, strcspn(w->deprel, ":"));
		if (!*out) return SN_ENOMEM;
	}
	return SN_OK;
}

static bool known(const char *name)
{
	static const char *const names[] = { "upos", "xpos", "deprel", "udeprel", "lemma" };
	for (int i = 0; i < SN_COUNT(names); i++)
		if (strcmp(name, names[i]) == 0) return true;
	return strncmp(name, "feats.", 6) == 0 || strncmp(name, "misc.", 5) == 0;
}

/* Names of features that occur, for an error text. */
static void list_features(char *list, size_t room, const sn_treebank *bank)
{
	size_t used = 0;
	list[0] = '\0';
	for (int64_t i = 0; i < bank->n; i++)
		for (const char *at = bank->word[i]->feats; at && strchr(at, '=');
			 at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL) {
			char name[48];
			sn_format(name, sizeof name, "feats.%.*s,", (int)SN_MIN(strcspn(at, "=|"), (size_t)40), at);
			if (strstr(list, name) || used + strlen(name) + 2 > room) continue;
			used += (size_t)sn_format(list + used, room - used, " %s", name);
		}
	if (used) list[used - 1] = '\0';
}

sn_status sn_treebank_classes(sn_treebank_label *out, sn_ctx *ctx, const sn_treebank *bank, const char *name, int most,
							  sn_arena *arena)
{
	const char **value;
	char list[360];
	*out = (sn_treebank_label){ .name = name };
	if (!known(name))
		return sn_fail(ctx, SN_ENOTFOUND,
					   "no label '%s' in a treebank; it has upos, xpos, deprel, udeprel, lemma, "
					   "feats.NAME and misc.NAME (and head, for probe linear)",
					   name);
	SN_NEW(value, arena, const char *, bank->n);
	SN_NEW(out->y, arena, int32_t, bank->n);
	for (int64_t i = 0; i < bank->n; i++) SN_TRY(label_of(&value[i], bank->word[i], name, arena));
	SN_TRY(sn_number_texts(out->y, &out->n_class, &out->class_name, value, bank->n, arena));
	list_features(list, sizeof list, bank);
	if (out->n_class == 0)
		return sn_fail(ctx, SN_ENOTFOUND, "no word has the label '%s'; features here:%s", name,
					   list[0] ? list : " none");
	if (out->n_class < 2 || out->n_class > most)
		return sn_fail(ctx, SN_EARG, "the label '%s' has %d values; a probe takes 2 to %d classes", name, out->n_class,
					   most);
	return SN_OK;
}

/* ---- single words ---- */

int32_t sn_treebank_word_at(const sn_dataset *data, int64_t sentence, int64_t end)
{
	const sn_conllu_sentence *s = &data->treebank->sentence[sentence];
	for (int32_t w = 0; w < s->n_word; w++)
		if (s->word[w].span[0] < end && end <= s->word[w].span[1]) return w;
	return -1;
}

const char *sn_treebank_upos(const sn_dataset *data, int64_t sentence, int32_t word)
{
	return data->treebank->sentence[sentence].word[word].upos;
}
