/* CSV and TSV records. */
#include "io/csv.h"

sn_status sn_csv_start(sn_csv *csv, sn_ctx *ctx, const char *source, const char *data, size_t size, char separator,
					   sn_arena *arena)
{
	*csv = (sn_csv){ .ctx = ctx,
					 .source = source,
					 .data = data,
					 .size = size,
					 .separator = separator,
					 .pool = { arena, NULL, 0 },
					 .next_line = 1 };
	if (size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) csv->pos = 3;
	return sn_text_check(ctx, source, data, size);
}

static bool at_line_end(const sn_csv *csv)
{
	const char *p = csv->data + csv->pos;
	if (csv->pos >= csv->size || p[0] == '\n') return true;
	return p[0] == '\r' && csv->pos + 1 < csv->size && p[1] == '\n';
}

static void skip_line_end(sn_csv *csv)
{
	if (csv->pos < csv->size && csv->data[csv->pos] == '\r') csv->pos++;
	if (csv->pos < csv->size) csv->pos++;
	csv->next_line++;
}

static sn_status add_field(sn_csv *csv, const char *text)
{
	if (!text) return SN_ENOMEM;
	if (csv->n == csv->room) {
		int room = csv->room ? 2 * csv->room : 16;
		const char **field;
		SN_NEW(field, csv->pool.arena, const char *, room);
		if (csv->n) memcpy(field, csv->field, (size_t)csv->n * sizeof *field);
		csv->field = field;
		csv->room = room;
	}
	csv->field[csv->n++] = text;
	return SN_OK;
}

static sn_status plain_field(sn_csv *csv)
{
	size_t start = csv->pos;
	while (!at_line_end(csv) && csv->data[csv->pos] != csv->separator) csv->pos++;
	return add_field(csv, sn_pool_copy(&csv->pool, csv->data + start, csv->pos - start));
}

/* Finds the quote that closes a field (pos: behind the opening one), counting lines. */
static sn_status find_closing_quote(sn_csv *csv, size_t *out)
{
	int64_t opened = csv->next_line;
	for (size_t i = csv->pos; i < csv->size; i++) {
		if (csv->data[i] == '\n') csv->next_line++;
		if (csv->data[i] != '"') continue;
		*out = i;
		if (i + 1 >= csv->size || csv->data[i + 1] != '"') return SN_OK;
		i++;
	}
	return sn_fail(csv->ctx, SN_EPARSE,
				   "%s: line %lld: the quotation mark is never closed; close it, or double those inside a "
				   "quoted field",
				   csv->source, (long long)opened);
}

static sn_status quoted_field(sn_csv *csv)
{
	size_t end = 0, n = 0;
	csv->pos++;
	SN_TRY(find_closing_quote(csv, &end));
	char *text = sn_pool_take(&csv->pool, end - csv->pos + 1);
	if (!text) return SN_ENOMEM;
	for (size_t i = csv->pos; i < end; i++) {
		text[n++] = csv->data[i];
		i += csv->data[i] == '"';
	}
	text[n] = '\0';
	csv->pos = end + 1;
	if (at_line_end(csv) || csv->data[csv->pos] == csv->separator) return add_field(csv, text);
	return sn_fail(csv->ctx, SN_EPARSE,
				   "%s: line %lld: expected a separator behind the closing quotation mark, found '%.1s'; double "
				   "the quotation marks inside a quoted field",
				   csv->source, (long long)csv->next_line, csv->data + csv->pos);
}

sn_status sn_csv_next(sn_csv *csv, bool *more)
{
	csv->n = 0;
	while (csv->pos < csv->size && at_line_end(csv)) skip_line_end(csv);
	*more = csv->pos < csv->size;
	csv->line = csv->next_line;
	while (*more) {
		bool quoted = csv->separator != '\t' && csv->pos < csv->size && csv->data[csv->pos] == '"';
		SN_TRY(quoted ? quoted_field(csv) : plain_field(csv));
		if (at_line_end(csv)) break;
		csv->pos++;
	}
	if (*more) skip_line_end(csv);
	return SN_OK;
}
