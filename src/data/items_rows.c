/* Rows: their drops, and how text becomes tokens. */
#include "data/items_rows.h"

#include <string.h>

#include "text/align.h"

sn_status sn_item_rows_reserve(sn_item_rows *rows, int64_t n)
{
	if (rows->room - rows->n >= n) return SN_OK;
	int64_t room = SN_MAX(2 * rows->room, rows->n + n);
	sn_item_row *row;
	SN_NEW(row, rows->arena, sn_item_row, room);
	if (rows->n > 0) memcpy(row, rows->row, (size_t)rows->n * sizeof *row);
	rows->row = row;
	rows->room = room;
	return SN_OK;
}

static bool same_text(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

sn_status sn_item_rows_drop(sn_item_rows *rows, const char *reason, const char *group, const char *frequency, int64_t n)
{
	for (int i = 0; i < rows->n_drop; i++) {
		sn_drop *d = &rows->drop[i];
		if (!same_text(d->reason, reason) || !same_text(d->group, group) || !same_text(d->frequency, frequency))
			continue;
		d->n += n;
		return SN_OK;
	}
	if (rows->n_drop == rows->drop_room) {
		int room = 2 * rows->drop_room + 16;
		sn_drop *drop;
		SN_NEW(drop, rows->arena, sn_drop, room);
		if (rows->n_drop) memcpy(drop, rows->drop, (size_t)rows->n_drop * sizeof *drop);
		rows->drop = drop;
		rows->drop_room = room;
	}
	rows->drop[rows->n_drop++] = (sn_drop){ reason, group, frequency, n };
	return SN_OK;
}

/* ---- tokens ---- */

/* Tokenizes a prefix; an end-of-text token that the tokenizer adds is left out, since the choice follows. */
static sn_status tokenize(const sn_item_rows *rows, const char *text, sn_tokens *out)
{
	int64_t size = (int64_t)strlen(text);
	SN_TRY(sn_tokenize(rows->ctx, rows->tokenizer, text, (size_t)size, SN_ADD_SPECIAL, rows->arena, out));
	while (out->n > 0 && out->span[out->n - 1][0] == size) out->n--;
	return SN_OK;
}

/* Whether text + " " + word (its first alternative) has exactly one token more than text, and the same before it; that
 * token in *id. */
static sn_status word_follows(const sn_item_rows *rows, const char *text, const sn_tokens *tokens, const char *word,
							  bool *same, int64_t *more, int32_t *id)
{
	sn_mark mark = sn_arena_mark(rows->arena);
	sn_tokens whole;
	const char *sentence = sn_arena_format(rows->arena, "%s %.*s", text, (int)strcspn(word, "+"), word);
	if (!sentence) return SN_ENOMEM;
	SN_TRY(tokenize(rows, sentence, &whole));
	*more = whole.n - tokens->n;
	*same = *more > 0 && memcmp(whole.id, tokens->id, (size_t)tokens->n * sizeof *whole.id) == 0;
	*id = *same ? whole.id[tokens->n] : -1;
	sn_arena_reset(rows->arena, mark);
	return SN_OK;
}

/* Sets the tokens of each role; the last one is the last token alone. */
static sn_status place_roles(const sn_item_rows *rows, sn_item_row *row, const sn_tokens *tokens, const char **reason)
{
	sn_align_report report;
	for (int r = 0; r < rows->n_role; r++) {
		row->span[r][0] = row->span[r][1] = -1;
		if (row->bytes[r][0] < 0) continue;
		SN_TRY(sn_align_words(rows->ctx, row->text, (int64_t)strlen(row->text), tokens, 1, &row->bytes[r],
							  &row->span[r], &report));
		if (report.missing > 0) *reason = "role without a token";
	}
	int last = rows->n_role - 1;
	row->span[last][1] = (int32_t)tokens->n;
	row->span[last][0] = row->span[last][1] - 1;
	for (int r = 0; r < rows->n_role && !*reason; r++) {
		if (row->span[r][0] == 0) *reason = "role at the first token";
		for (int k = 0; k < r; k++)
			if (row->span[k][0] >= 0 && row->span[r][0] < row->span[k][1] && row->span[k][0] < row->span[r][1])
				*reason = SN_ROLES_OVERLAP;
	}
	return SN_OK;
}

sn_status sn_item_row_fit(const sn_item_rows *rows, sn_item_row *row, const char *word, const char **reason)
{
	sn_tokens tokens;
	bool same;
	int64_t more;
	int32_t id;
	*reason = NULL;
	if (!rows->tokenizer) return SN_OK;
	SN_TRY(tokenize(rows, row->text, &tokens));
	row->token = tokens.id;
	row->n_token = (int32_t)tokens.n;
	if (tokens.n == 0) {
		*reason = "role without a token";
		return SN_OK;
	}
	SN_TRY(place_roles(rows, row, &tokens, reason));
	SN_TRY(word_follows(rows, row->text, &tokens, word, &same, &more, &id));
	if (!same && !*reason) *reason = "choice changes the tokens before it";
	return SN_OK;
}

bool sn_item_rows_unequal(const sn_item_rows *rows, const sn_item_row *row)
{
	return !rows->any_length && row[0].kind != SN_NO_PAIR && row[0].n_token != row[1].n_token;
}

/* ---- choice words ---- */

/* Sets the tokens of the alternatives "himself+herself" of one form. */
static sn_status fit_form(sn_item_rows *rows, const char *context, const sn_tokens *tokens, const char *form,
						  sn_choice *out, int i, const char **reason)
{
	out->n_more[i] = -1;
	while (form) {
		const char *plus = strchr(form, '+');
		const char *word = sn_arena_copy(rows->arena, form, plus ? (size_t)(plus - form) : strlen(form));
		if (!word) return SN_ENOMEM;
		bool same;
		int64_t more = 1;
		int32_t id = -1;
		int a = ++out->n_more[i];
		if (a > SN_MAX_MORE) {
			out->n_more[i] = 0;
			*reason = "choice: too many alternatives";
			return SN_OK;
		}
		if (rows->tokenizer) SN_TRY(word_follows(rows, context, tokens, word, &same, &more, &id));
		if (rows->tokenizer && (!same || more != 1) && !*reason) *reason = "choice: more than one token";
		*(a == 0 ? &out->form[i] : &out->more[i][a - 1]) = id;
		form = plus ? plus + 1 : NULL;
	}
	return SN_OK;
}

/* Sets the tokens of choice pair c in every set; *reason: NULL, or why it cannot be used. */
static sn_status fit_choice(sn_item_rows *rows, const char *context, const sn_tokens *tokens, int c,
							const char **reason)
{
	*reason = NULL;
	for (int s = 0; s < rows->n_choice_set; s++) {
		int at = s * rows->n_choice + c;
		sn_choice *choice = &rows->choice_token[at];
		if (strcmp(rows->choice[at][0], rows->choice[at][1]) == 0) *reason = "choice: " SN_FOIL_IS_GOOD;
		for (int i = 0; i < 2; i++) {
			SN_TRY(fit_form(rows, context, tokens, rows->choice[at][i], choice, i, reason));
			if (choice->n_more[i] != rows->choice_token[c].n_more[i] && !*reason)
				*reason = "choice: more alternatives after some controllers";
		}
	}
	return SN_OK;
}

static void keep_choices(sn_item_rows *rows, const bool *keep)
{
	int to = 0;
	for (int s = 0; s < rows->n_choice_set; s++)
		for (int c = 0; c < rows->n_choice; c++) {
			if (!keep[c]) continue;
			int from = s * rows->n_choice + c;
			memmove(rows->choice[to], rows->choice[from], sizeof *rows->choice);
			rows->choice_token[to++] = rows->choice_token[from];
		}
	rows->n_choice = to / SN_MAX(rows->n_choice_set, 1);
}

sn_status sn_item_rows_fit_choices(sn_item_rows *rows, const char *context)
{
	sn_tokens tokens = { 0 };
	bool *keep;
	int n = rows->n_choice, kept = 0;
	SN_NEW(keep, rows->arena, bool, n);
	SN_NEW(rows->choice_token, rows->arena, sn_choice, n * rows->n_choice_set);
	if (rows->tokenizer) SN_TRY(tokenize(rows, context, &tokens));
	sn_buf lost = { .ctx = rows->ctx };
	sn_status status = SN_OK;
	for (int c = 0; c < n && status == SN_OK; c++) {
		const char *reason;
		status = fit_choice(rows, context, &tokens, c, &reason);
		keep[c] = !reason;
		kept += keep[c];
		if (status != SN_OK || keep[c]) continue;
		sn_buf_format(&lost, "%s%s/%s", lost.size ? ", " : "", rows->choice[c][0], rows->choice[c][1]);
		status = sn_item_rows_drop(rows, reason, NULL, NULL, 1);
	}
	if (status == SN_OK && lost.failed) status = SN_ENOMEM;
	if (status == SN_OK && rows->tokenizer && kept < rows->least_choice)
		status = sn_fail(rows->ctx, SN_EARG,
						 "%s: %d of %d choice pairs are single tokens of this tokenizer, %d are needed; not usable: "
						 "%.600s; add choice "
						 "words to the phenomenon, or score whole sentences with `sonde behaviour pairs`",
						 rows->id, kept, n, rows->least_choice, lost.size ? lost.data : "none");
	sn_buf_free(&lost);
	if (status == SN_OK && kept == 0)
		status =
			sn_fail(rows->ctx, SN_EARG, "%s: no choice word has two different forms; nothing can be chosen", rows->id);
	if (status == SN_OK) keep_choices(rows, keep);
	return status;
}
