/* Items from the rows of their JSONL: columns found and checked once, then row by row. */
#include "data/items_rows.h"

#include <string.h>

typedef struct reading {
	const sn_dataset *data;
	sn_item_rows *rows;
	const sn_column *text, *use, *unit, *frame, *condition, *lemma, *form, *group, *frequency, *attractor, *n,
		*attractor_n, *fold, *lead, *lead_set, *choices;
	const sn_column *role[SN_MAX_ROLE], *label[SN_MAX_ROLE];
	int64_t row;
} reading;

static sn_status bad(const reading *r, const char *column, const char *expected)
{
	return sn_fail(r->rows->ctx, SN_EPARSE, "%s: item %lld: %s: expected %s; items are written by `sonde data make`",
				   r->data->source, (long long)r->row + 1, column, expected);
}

/* ---- columns ---- */

static sn_status need_column(const reading *r, const char *name, sn_type type, const sn_column **out)
{
	static const char *const type_name[] = { "", "whole numbers", "numbers", "text", "true or false", "byte spans" };
	*out = sn_dataset_column(r->data, name);
	if (*out && (*out)->type == type) return SN_OK;
	return sn_fail(r->rows->ctx, SN_EPARSE,
				   "%s: expected a column %s of %s, found %s; items are written by `sonde data make`", r->data->source,
				   name, type_name[type], *out ? "another type" : "none");
}

/* Columns that are all missing where no item has an attractor, a condition or a frequency do not exist. */
static sn_status may_column(const reading *r, const char *name, sn_type type, const sn_column **out)
{
	*out = NULL;
	return sn_dataset_column(r->data, name) ? need_column(r, name, type, out) : SN_OK;
}

static sn_status find_columns(reading *r)
{
	const struct {
		const char *name;
		sn_type type;
		const sn_column **out;
		bool optional;
	} want[] = {
		{ "text", SN_TYPE_TEXT, &r->text, false },
		{ "use", SN_TYPE_TEXT, &r->use, false },
		{ "unit", SN_TYPE_INT, &r->unit, false },
		{ "frame", SN_TYPE_TEXT, &r->frame, false },
		{ "condition", SN_TYPE_TEXT, &r->condition, true },
		{ "lemma", SN_TYPE_TEXT, &r->lemma, false },
		{ "form", SN_TYPE_TEXT, &r->form, false },
		{ "group", SN_TYPE_TEXT, &r->group, false },
		{ "frequency", SN_TYPE_TEXT, &r->frequency, true },
		{ "attractor_lemma", SN_TYPE_TEXT, &r->attractor, true },
		{ "n", SN_TYPE_INT, &r->n, false },
		{ "attractor_n", SN_TYPE_INT, &r->attractor_n, false },
		{ "fold", SN_TYPE_INT, &r->fold, false },
		{ "lead_in", SN_TYPE_TEXT, &r->lead, false },
		{ "lead_set", SN_TYPE_TEXT, &r->lead_set, false },
		{ "choices", SN_TYPE_TEXT, &r->choices, false },
	};
	for (int i = 0; i < SN_COUNT(want); i++)
		SN_TRY(want[i].optional ? may_column(r, want[i].name, want[i].type, want[i].out)
								: need_column(r, want[i].name, want[i].type, want[i].out));
	return SN_OK;
}

static sn_status find_roles(reading *r)
{
	sn_item_rows *rows = r->rows;
	for (int c = 0; c < r->data->n_col; c++) {
		const char *name = r->data->col[c].name;
		if (strncmp(name, "roles.", 6) != 0) continue;
		if (rows->n_role == SN_MAX_ROLE) return bad(r, name, "at most 8 roles");
		SN_TRY(need_column(r, name, SN_TYPE_SPAN, &r->role[rows->n_role]));
		rows->role[rows->n_role] = sn_arena_string(rows->arena, name + 6);
		if (!rows->role[rows->n_role++]) return SN_ENOMEM;
	}
	return rows->n_role >= 2 ? SN_OK : bad(r, "roles", "at least two roles");
}

static sn_status read_values(reading *r, const char *name, const char *text)
{
	sn_item_rows *rows = r->rows;
	const char *slash = text ? strchr(text, '/') : NULL;
	if (!slash) return bad(r, name, "the words for +1 and -1, joined by '/'");
	rows->value[rows->n_label][0] = sn_arena_copy(rows->arena, text, (size_t)(slash - text));
	rows->value[rows->n_label][1] = sn_arena_string(rows->arena, slash + 1);
	rows->label[rows->n_label] = sn_arena_string(rows->arena, name + 7);
	if (!rows->value[rows->n_label][0] || !rows->value[rows->n_label][1] || !rows->label[rows->n_label])
		return SN_ENOMEM;
	char column[SN_MAX_TEXT + 16];
	sn_format(column, sizeof column, "labels.%s", name + 7);
	SN_TRY(may_column(r, column, SN_TYPE_TEXT, &r->label[rows->n_label]));
	rows->n_label++;
	return SN_OK;
}

static sn_status find_labels(reading *r)
{
	for (int c = 0; c < r->data->n_col; c++) {
		const sn_column *column = &r->data->col[c];
		if (strncmp(column->name, "values.", 7) != 0) continue;
		if (r->rows->n_label == SN_MAX_ROLE || column->type != SN_TYPE_TEXT)
			return bad(r, column->name, "at most 8 labels, as text");
		SN_TRY(read_values(r, column->name, column->s[0]));
	}
	return r->rows->n_label > 0 ? SN_OK : bad(r, "values", "at least one label");
}

/* ---- choice words ---- */

/* Splits "are/is|were/was" into form[0 .. most); *n: how many; -1 for a pair without '/'. */
static sn_status split_choices(sn_item_rows *rows, const char *text, sn_text_pair *form, int most, int *n)
{
	char *copy = sn_arena_string(rows->arena, text);
	if (!copy) return SN_ENOMEM;
	*n = 0;
	for (char *next; copy; copy = next) {
		next = strchr(copy, '|');
		if (next) *next++ = 0;
		char *slash = strchr(copy, '/');
		if (!slash || *n == most) {
			*n = -1;
			return SN_OK;
		}
		*slash = 0;
		form[*n][0] = copy;
		form[(*n)++][1] = slash + 1;
	}
	return SN_OK;
}

/* Numbers the different texts of the column: each is a set. set: [n] of each row. */
static sn_status list_sets(reading *r, int32_t *set, const char *const **out)
{
	sn_item_rows *rows = r->rows;
	const char **text;
	SN_NEW(text, rows->arena, const char *, SN_MAX_CHOICE);
	for (r->row = 0; r->row < r->data->n; r->row++) {
		const char *choices = r->choices->s[r->row];
		if (!choices) return bad(r, "choices", "pairs of choice words");
		int32_t s = 0;
		while (s < rows->n_choice_set && strcmp(text[s], choices) != 0) s++;
		if (s == SN_MAX_CHOICE) return bad(r, "choices", "at most 500 different sets");
		if (s == rows->n_choice_set) text[rows->n_choice_set++] = choices;
		set[r->row] = s;
	}
	*out = text;
	r->row = 0;
	return SN_OK;
}

/* How many choice pairs must remain; items of a phenomenon that has fewer than 6 say so. */
static sn_status read_least(const reading *r)
{
	const sn_column *c;
	SN_TRY(may_column(r, "least_choices", SN_TYPE_INT, &c));
	r->rows->least_choice = SN_LEAST_CHOICE;
	if (c && (c->i[0] < 1 || c->i[0] > SN_LEAST_CHOICE)) return bad(r, "least_choices", "a whole number from 1 to 6");
	if (c) r->rows->least_choice = (int)c->i[0];
	return SN_OK;
}

static sn_status read_choices(reading *r, int32_t *set)
{
	sn_item_rows *rows = r->rows;
	const char *const *text = NULL;
	SN_TRY(list_sets(r, set, &text));
	SN_NEW(rows->choice, rows->arena, sn_text_pair, (int64_t)SN_MAX_CHOICE * rows->n_choice_set);
	for (int s = 0; s < rows->n_choice_set; s++) {
		int n;
		SN_TRY(split_choices(rows, text[s], &rows->choice[s * rows->n_choice], SN_MAX_CHOICE, &n));
		if (n < 1 || (s > 0 && n != rows->n_choice))
			return bad(r, "choices", "as many pairs \"are/is|were/was\" in every set");
		rows->n_choice = n;
	}
	SN_TRY(read_least(r));
	const char *context = r->lead->s[0];
	return context ? sn_item_rows_fit_choices(rows, context) : bad(r, "lead_in", "text");
}

/* ---- rows ---- */

static sn_status text_at(const reading *r, const sn_column *c, const char **out)
{
	*out = c->s[r->row] ? sn_arena_string(r->rows->arena, c->s[r->row]) : NULL;
	if (c->s[r->row] && !*out) return SN_ENOMEM;
	return *out ? SN_OK : bad(r, c->name, "text");
}

static sn_status optional_text_at(const reading *r, const sn_column *c, const char **out)
{
	*out = NULL;
	return c && c->s[r->row] ? text_at(r, c, out) : SN_OK;
}

static sn_status int_at(const reading *r, const sn_column *c, int64_t low, int64_t high, int64_t *out)
{
	char expected[80];
	*out = c->i[r->row];
	if (*out >= low && *out <= high) return SN_OK;
	sn_format(expected, sizeof expected, "a whole number from %lld to %lld", (long long)low, (long long)high);
	return bad(r, c->name, expected);
}

static sn_status read_frequency(const reading *r, sn_item_row *row)
{
	const char *name = r->frequency ? r->frequency->s[r->row] : NULL;
	row->frequency = (int8_t)(name ? sn_frequency_find(name) : -1);
	return !name || row->frequency >= 0 ? SN_OK : bad(r, "frequency", "high, mid or low");
}

static sn_status read_strings(const reading *r, sn_item_row *row)
{
	SN_TRY(text_at(r, r->text, &row->text));
	SN_TRY(text_at(r, r->frame, &row->frame));
	SN_TRY(text_at(r, r->lemma, &row->lemma));
	SN_TRY(text_at(r, r->form, &row->form));
	SN_TRY(text_at(r, r->group, &row->group));
	SN_TRY(text_at(r, r->lead, &row->lead));
	SN_TRY(read_frequency(r, row));
	SN_TRY(optional_text_at(r, r->condition, &row->condition));
	return optional_text_at(r, r->attractor, &row->attractor);
}

static sn_status read_numbers(const reading *r, sn_item_row *row)
{
	int64_t n, attractor, fold;
	SN_TRY(int_at(r, r->n, -1, 1, &n));
	SN_TRY(int_at(r, r->attractor_n, -1, 1, &attractor));
	SN_TRY(int_at(r, r->fold, 0, 19, &fold));
	if (n == 0) return bad(r, "n", "1 or -1");
	row->attractor_n = (int8_t)attractor;
	row->fold = (int32_t)fold;
	r->rows->n_fold = SN_MAX(r->rows->n_fold, row->fold + 1);
	for (int l = 0; l < r->rows->n_label; l++) {
		const char *value = r->label[l] ? r->label[l]->s[r->row] : NULL;
		row->z[l] = (int8_t)(!value ? 0 : strcmp(value, r->rows->value[l][0]) == 0 ? 1 : -1);
		if (row->z[l] < 0 && strcmp(value, r->rows->value[l][1]) != 0)
			return bad(r, r->label[l]->name, "one of its two values");
	}
	return row->z[0] == n ? SN_OK : bad(r, "n", "the sign of the first label");
}

static sn_status read_roles(const reading *r, sn_item_row *row)
{
	int64_t size = (int64_t)strlen(row->text);
	for (int i = 0; i < r->rows->n_role; i++) {
		memcpy(row->bytes[i], r->role[i]->span[r->row], sizeof row->bytes[i]);
		bool absent = row->bytes[i][0] == -1 && row->bytes[i][1] == -1 && i > 0 && i < r->rows->n_role - 1;
		bool inside = row->bytes[i][0] >= 0 && row->bytes[i][0] < row->bytes[i][1] && row->bytes[i][1] <= size;
		if (!absent && !inside) return bad(r, r->role[i]->name, "a byte span inside the text");
	}
	return SN_OK;
}

static sn_status read_use(const reading *r, sn_item_row *row)
{
	static const char *const use[] = { "main", "attractor", "placebo", "probe" };
	const char *name, *set;
	SN_TRY(text_at(r, r->use, &name));
	SN_TRY(text_at(r, r->lead_set, &set));
	for (row->kind = 0; row->kind < SN_COUNT(use) && strcmp(use[row->kind], name) != 0; row->kind++) {
	}
	if (row->kind == SN_COUNT(use)) return bad(r, "use", "probe, main, attractor or placebo");
	if (row->kind == SN_COUNT(use) - 1) row->kind = SN_NO_PAIR;
	row->test_lead = strcmp(set, "test") == 0;
	return row->test_lead || strcmp(set, "train") == 0 ? SN_OK : bad(r, "lead_set", "train or test");
}

static sn_status read_row(const reading *r, const int32_t *set, sn_item_row *row)
{
	*row = (sn_item_row){ .choice_set = set[r->row] };
	SN_TRY(read_strings(r, row));
	SN_TRY(read_numbers(r, row));
	SN_TRY(read_roles(r, row));
	return read_use(r, row);
}

/* Two rows of a unit stand next to each other, units in the order probe, main, attractor, placebo. */
static sn_status check_unit(reading *r, const sn_item_row *row, int before)
{
	bool same = row[0].kind == row[1].kind && r->unit->i[r->row] == r->unit->i[r->row + 1];
	bool twins = row[0].kind == SN_NO_PAIR;
	if (!same || row[0].kind < before || strcmp(row[0].frame, row[1].frame) != 0)
		return bad(r, "unit", "its other member in the next line, and probe, main, attractor, placebo in this order");
	if (twins && (row[0].test_lead || !row[1].test_lead)) return bad(r, "lead_set", "twins: train, then test");
	return SN_OK;
}

static sn_status fit_unit(sn_item_rows *rows, sn_item_row *row)
{
	const char *reason = NULL;
	for (int i = 0; i < 2 && !reason; i++) {
		int c = row[i].choice_set * rows->n_choice;
		SN_TRY(sn_item_row_fit(rows, &row[i], rows->choice[c][row[i].z[0] < 0], &reason));
	}
	if (!reason && sn_item_rows_unequal(rows, row)) reason = "token count";
	rows->n_generated += 2;
	if (!reason) {
		rows->n += 2;
		return SN_OK;
	}
	rows->n_dropped += 2;
	return sn_item_rows_drop(rows, reason, row->group, sn_frequency_name(row->frequency), 2);
}

static sn_status read_rows(reading *r, const int32_t *set)
{
	sn_item_rows *rows = r->rows;
	int before = SN_NO_PAIR;
	SN_TRY(sn_item_rows_reserve(rows, r->data->n));
	for (r->row = 0; r->row < r->data->n; r->row += 2) {
		sn_item_row *row = &rows->row[rows->n];
		if (r->row + 1 == r->data->n) return bad(r, "unit", "its other member in the next line");
		for (int i = 0; i < 2; i++) {
			r->row += i;
			SN_TRY(read_row(r, set, &row[i]));
			r->row -= i;
		}
		SN_TRY(check_unit(r, row, before));
		before = row[0].kind;
		SN_TRY(fit_unit(rows, row));
	}
	return SN_OK;
}

/* Copies one text that all rows share. */
static sn_status read_shared(const reading *r, const char *name, const char **out)
{
	const sn_column *c;
	SN_TRY(need_column(r, name, SN_TYPE_TEXT, &c));
	return text_at(r, c, out);
}

sn_status sn_items_read(sn_items **out, sn_ctx *ctx, const sn_dataset *data, const sn_tokenizer *tokenizer,
						bool any_length, sn_arena *arena)
{
	sn_item_rows rows = { .ctx = ctx, .arena = arena, .tokenizer = tokenizer, .any_length = any_length };
	reading r = { .data = data, .rows = &rows };
	int32_t *set;
	*out = NULL;
	if (data->n < 2)
		return sn_fail(ctx, SN_EPARSE, "%s: expected at least two items, found %lld rows", data->source,
					   (long long)data->n);
	rows.source = sn_arena_string(arena, data->source);
	if (!rows.source) return SN_ENOMEM;
	SN_TRY(read_shared(&r, "phenomenon", &rows.id));
	SN_TRY(read_shared(&r, "lang", &rows.lang));
	SN_TRY(find_columns(&r));
	SN_TRY(find_roles(&r));
	SN_TRY(find_labels(&r));
	const sn_column *folds;
	int64_t n_fold;
	SN_TRY(need_column(&r, "n_fold", SN_TYPE_INT, &folds));
	SN_TRY(int_at(&r, folds, 2, 20, &n_fold));
	rows.n_fold = (int)n_fold;
	SN_NEW(set, arena, int32_t, data->n);
	SN_TRY(read_choices(&r, set));
	SN_TRY(read_rows(&r, set));
	return sn_item_rows_pack(out, &rows);
}
