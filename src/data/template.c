#include "data/template.h"

#include <string.h>

typedef struct reader {
	sn_ctx *ctx;
	const sn_dataset *data;
	const sn_template_columns *columns;
} reader;

static sn_status bad_row(const reader *k, int64_t row, const char *what)
{
	return sn_fail(k->ctx, SN_EPARSE, "%s: row %lld: %s", k->data->source, (long long)row + 1, what);
}

/* Splits "a|b|c"; an alternative may be empty. */
static sn_status split(sn_template_part *p, const char *list, size_t size, sn_arena *arena)
{
	int n = 1;
	for (size_t i = 0; i < size; i++) n += list[i] == '|';
	SN_NEW(p->word, arena, const char *, n);
	for (size_t at = 0; at <= size;) {
		const char *bar = memchr(list + at, '|', size - at);
		size_t end = bar ? (size_t)(bar - list) : size;
		if (!(p->word[p->n++] = sn_arena_copy(arena, list + at, end - at))) return SN_ENOMEM;
		at = end + 1;
	}
	return SN_OK;
}

static sn_status add_part(const reader *k, sn_template *t, const char *list, size_t size, char kind, sn_arena *arena)
{
	if (t->n == SN_TEMPLATE_PARTS) return bad_row(k, t->row, "too many slots");
	sn_template_part *p = &t->part[t->n];
	*p = (sn_template_part){ .slot = kind == '{', .target = kind == '[' };
	if (p->target && t->target >= 0) return bad_row(k, t->row, "two targets; write one [target]");
	if (p->target) t->target = t->n;
	t->n++;
	if (kind) return split(p, list, size, arena);
	p->n = 1;
	SN_NEW(p->word, arena, const char *, 1);
	p->word[0] = sn_arena_copy(arena, list, size);
	return p->word[0] ? SN_OK : SN_ENOMEM;
}

/* {name} stands for the list in the column of that name. */
static sn_status add_slot(const reader *k, sn_template *t, const char *inside, size_t size, char kind, sn_arena *arena)
{
	char *name = sn_arena_copy(arena, inside, size);
	if (!name) return SN_ENOMEM;
	const sn_column *column = kind == '{' && !strchr(name, '|') ? sn_dataset_column(k->data, name) : NULL;
	if (!column) return add_part(k, t, inside, size, kind, arena);
	if (column->type != SN_TYPE_TEXT || !column->s[t->row])
		return sn_fail(k->ctx, SN_EPARSE, "%s: row %lld: the slot {%s} has no text in its column", k->data->source,
					   (long long)t->row + 1, name);
	return add_part(k, t, column->s[t->row], strlen(column->s[t->row]), kind, arena);
}

static sn_status parse(const reader *k, sn_template *t, const char *text, sn_arena *arena)
{
	for (const char *at = text; *at;) {
		size_t plain = strcspn(at, "{[");
		if (plain) SN_TRY(add_part(k, t, at, plain, 0, arena));
		at += plain;
		if (!*at) break;
		size_t size = strcspn(at + 1, *at == '{' ? "}" : "]");
		if (!at[1 + size]) return bad_row(k, t->row, "a slot { or target [ is not closed");
		SN_TRY(add_slot(k, t, at + 1, size, *at, arena));
		at += size + 2;
	}
	return t->n ? SN_OK : bad_row(k, t->row, "an empty text");
}

/* The text with the swap written as a slot: "the nurse slept", nurse, nurses -> "the {nurse|nurses} slept". */
static sn_status with_swap(const reader *k, int64_t row, const char **text, sn_arena *arena)
{
	const char *from = k->columns->from ? k->columns->from->s[row] : NULL,
			   *to = k->columns->to ? k->columns->to->s[row] : NULL;
	if (!from || !to) return SN_OK;
	const char *at = strstr(*text, from);
	if (!at)
		return sn_fail(k->ctx, SN_EPARSE, "%s: row %lld: \"%.40s\" does not stand in \"%.60s\"", k->data->source,
					   (long long)row + 1, from, *text);
	*text = sn_arena_format(arena, "%.*s{%s|%s}%s", (int)(at - *text), *text, from, to, at + strlen(from));
	return *text ? SN_OK : SN_ENOMEM;
}

static sn_status read_row(const reader *k, sn_template *t, int64_t row, sn_arena *arena)
{
	*t = (sn_template){ .row = row, .target = -1, .n_text = 1 };
	const char *text = k->columns->text->s[row], *after = k->columns->target ? k->columns->target->s[row] : NULL;
	if (!text) return bad_row(k, row, "there is no text");
	SN_TRY(with_swap(k, row, &text, arena));
	SN_TRY(parse(k, t, text, arena));
	if (after && t->target >= 0) return bad_row(k, row, "a [target] in the text, and a column target; leave one out");
	if (after) {
		size_t size = strlen(text);
		if (!strchr(" \t", text[size - 1])) SN_TRY(add_part(k, t, " ", 1, 0, arena));
		SN_TRY(add_part(k, t, after, strlen(after), '[', arena));
	}
	for (int i = 0; i < t->n; i++)
		if ((t->n_text *= t->part[i].n) > SN_TEMPLATE_TEXTS) return bad_row(k, row, "more than 4096 combinations");
	return SN_OK;
}

sn_status sn_template_read(sn_template *out, sn_ctx *ctx, const sn_dataset *data, const sn_template_columns *columns,
                           int64_t row, sn_arena *arena)
{
	return read_row(&(reader){ ctx, data, columns }, out, row, arena);
}

/* ---- its texts ---- */

int sn_template_choice(const sn_template *t, int64_t c, int i)
{
	for (int j = t->n - 1; j > i; j--) c /= t->part[j].n;
	return (int)(c % t->part[i].n);
}

sn_status sn_template_write(const sn_template *t, int64_t c, sn_buf *buf, int64_t span[2])
{
	buf->size = 0;
	for (int i = 0; i < t->n; i++) {
		if (i == t->target) span[0] = (int64_t)buf->size;
		sn_buf_puts(buf, t->part[i].word[sn_template_choice(t, c, i)]);
		if (i == t->target) span[1] = (int64_t)buf->size;
	}
	if (t->target < 0) {
		span[0] = 0;
		span[1] = (int64_t)buf->size;
	}
	return buf->failed ? SN_ENOMEM : SN_OK;
}
