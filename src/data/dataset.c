/* Data sets: one reader a format, all of them into rows. */
#include "data/dataset.h"

#include <string.h>

#include "data/rows.h"
#include "io/conllu.h"
#include "io/csv.h"
#include "io/jsonl.h"
#include "io/lines.h"

/* What a reader works on. */
typedef struct input {
	sn_ctx *ctx;
	const char *source, *text;
	size_t size;
	sn_rows *rows;
	sn_dataset *data;
	sn_arena *scratch; /* ends with the reading */
} input;

static sn_cell text_cell(const char *text) { return (sn_cell){ .kind = SN_CELL_TEXT, .as.s = text }; }

static sn_status set_text(sn_rows *rows, const char *name, const char *text, size_t size)
{
	const char *copy = sn_pool_copy(sn_rows_pool(rows), text, size);
	return copy ? sn_rows_set(rows, name, text_cell(copy)) : SN_ENOMEM;
}

/* ---- JSON Lines ---- */

static sn_status flatten(const input *in, sn_buf *name, const json_t *value);

/* Flattens a part under the name with ".key" or ".index" behind it. */
static sn_status flatten_part(const input *in, sn_buf *name, const char *key, const json_t *value)
{
	size_t size = name->size;
	if (size) sn_buf_puts(name, ".");
	sn_buf_puts(name, key);
	if (name->failed) return SN_ENOMEM;
	SN_TRY(flatten(in, name, value));
	name->data[name->size = size] = '\0';
	return SN_OK;
}

static sn_status flatten_array(const input *in, sn_buf *name, const json_t *array)
{
	const json_t *a = json_array_get(array, 0), *b = json_array_get(array, 1);
	if (json_array_size(array) == 2 && json_is_integer(a) && json_is_integer(b)) {
		sn_cell span = { SN_CELL_SPAN, .as.span = { json_integer_value(a), json_integer_value(b) } };
		return sn_rows_set(in->rows, name->data, span);
	}
	size_t i;
	json_t *value;
	json_array_foreach(array, i, value)
	{
		char key[24];
		sn_format(key, sizeof key, "%zu", i);
		SN_TRY(flatten_part(in, name, key, value));
	}
	return SN_OK;
}

static sn_status flatten_object(const input *in, sn_buf *name, const json_t *object)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)object, key, value) { SN_TRY(flatten_part(in, name, key, value)); }
	return SN_OK;
}

static sn_status flatten(const input *in, sn_buf *name, const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return flatten_object(in, name, value);
	case JSON_ARRAY:
		return flatten_array(in, name, value);
	case JSON_STRING:
		return set_text(in->rows, name->data, json_string_value(value), json_string_length(value));
	case JSON_INTEGER:
		return sn_rows_set(in->rows, name->data, (sn_cell){ SN_CELL_INT, .as.i = json_integer_value(value) });
	case JSON_REAL:
		return sn_rows_set(in->rows, name->data, (sn_cell){ SN_CELL_FLOAT, .as.f = json_real_value(value) });
	case JSON_TRUE:
	case JSON_FALSE:
		return sn_rows_set(in->rows, name->data, (sn_cell){ SN_CELL_BOOL, .as.b = json_is_true(value) });
	case JSON_NULL:
		break;
	}
	return SN_OK;
}

static sn_status read_jsonl(input *in)
{
	sn_lines lines = sn_lines_make(in->source, in->text, in->size);
	for (json_t *object;;) {
		SN_TRY(sn_jsonl_next(in->ctx, &lines, &object));
		if (!object) return SN_OK;
		sn_rows_next(in->rows, lines.line);
		sn_buf name = { .ctx = in->ctx };
		sn_status status = flatten_object(in, &name, object);
		sn_buf_free(&name);
		json_decref(object);
		SN_TRY(status);
	}
}

/* ---- tables ---- */

static const char *const known_name[] = {
	"text",    "sentence", "good",   "bad",     "sentence_good", "sentence_bad", "source_sentence", "target_sentence",
	"label",   "id",       "prefix", "target",  "foil",          "word",         "condition",       "number",
	"subject", "verb",     "UID",    "pair_id",
};

static bool is_header(const sn_csv *csv)
{
	if (csv->separator == ',' || csv->n > 2) return true;
	for (int i = 0; i < csv->n; i++)
		for (int k = 0; k < SN_COUNT(known_name); k++)
			if (strcmp(csv->field[i], known_name[k]) == 0) return true;
	return false;
}

/* The names of the columns: the first record, or those of a table without a header. A nameless column is "columnN". */
static sn_status name_columns(const input *in, const sn_csv *csv, bool header, const char ***out)
{
	static const char *const of_one[] = { "text" }, *const of_two[] = { "good", "bad" };
	SN_NEW(*out, in->scratch, const char *, csv->n);
	for (int i = 0; i < csv->n; i++) {
		(*out)[i] = header ? csv->field[i] : csv->n == 1 ? of_one[i] : of_two[i];
		if (!(*out)[i][0]) (*out)[i] = sn_arena_format(in->scratch, "column%d", i + 1);
		if (!(*out)[i]) return SN_ENOMEM;
	}
	return SN_OK;
}

static sn_status add_record(const input *in, const sn_csv *csv, const char *const *name, int n)
{
	if (csv->n != n)
		return sn_fail(in->ctx, SN_EPARSE,
					   "%s: line %lld: expected %d fields, as in the first line, found %d; quote fields that "
					   "hold a separator",
					   in->source, (long long)csv->line, n, csv->n);
	sn_rows_next(in->rows, csv->line);
	for (int i = 0; i < n; i++) {
		if (csv->field[i][0])
			SN_TRY(sn_rows_set(in->rows, name[i], (sn_cell){ .kind = SN_CELL_RAW, .as.s = csv->field[i] }));
	}
	return SN_OK;
}

static sn_status read_table(input *in, char separator)
{
	sn_csv csv;
	bool more;
	const char **name;
	SN_TRY(sn_csv_start(&csv, in->ctx, in->source, in->text, in->size, separator, sn_rows_pool(in->rows)->arena));
	SN_TRY(sn_csv_next(&csv, &more));
	if (!more) return SN_OK;
	int n = csv.n;
	bool header = is_header(&csv);
	SN_TRY(name_columns(in, &csv, header, &name));
	if (!header) SN_TRY(add_record(in, &csv, name, n));
	SN_TRY(sn_csv_next(&csv, &more));
	while (more) {
		SN_TRY(add_record(in, &csv, name, n));
		SN_TRY(sn_csv_next(&csv, &more));
	}
	return SN_OK;
}

static sn_status read_csv(input *in) { return read_table(in, ','); }
static sn_status read_tsv(input *in) { return read_table(in, '\t'); }

/* ---- sentences ---- */

static sn_status read_conllu(input *in)
{
	sn_conllu *doc;
	SN_NEW(doc, in->data->arena, sn_conllu, 1);
	SN_TRY(sn_conllu_read(doc, in->ctx, in->source, in->text, in->size, in->data->arena));
	in->data->treebank = doc;
	for (int64_t i = 0; i < doc->n; i++) {
		const sn_conllu_sentence *s = &doc->sentence[i];
		int64_t words = 0;
		for (int32_t w = 0; w < s->n_word; w++) words += s->word[w].empty == 0;
		sn_rows_next(in->rows, s->line);
		if (s->id) SN_TRY(set_text(in->rows, "sent_id", s->id, strlen(s->id)));
		SN_TRY(set_text(in->rows, "text", s->text, strlen(s->text)));
		SN_TRY(sn_rows_set(in->rows, "n_words", (sn_cell){ SN_CELL_INT, .as.i = words }));
	}
	return SN_OK;
}

static sn_status read_lines(input *in)
{
	SN_TRY(sn_text_check(in->ctx, in->source, in->text, in->size));
	sn_lines lines = sn_lines_make(in->source, in->text, in->size);
	for (sn_slice line; sn_lines_next(&lines, &line);) {
		if (sn_slice_blank(line)) continue;
		sn_rows_next(in->rows, lines.line);
		SN_TRY(set_text(in->rows, "text", line.data, line.size));
	}
	return SN_OK;
}

/* ---- opening ---- */

static sn_status read_format(input *in, sn_data_format format)
{
	static sn_status (*const read[])(input *) = {
		[SN_DATA_JSONL] = read_jsonl,   [SN_DATA_CSV] = read_csv,     [SN_DATA_TSV] = read_tsv,
		[SN_DATA_CONLLU] = read_conllu, [SN_DATA_LINES] = read_lines,
	};
	return read[format](in);
}

static sn_status fill(sn_dataset *data, sn_ctx *ctx, sn_data_format format, const char *text, size_t size)
{
	input in = { .ctx = ctx, .source = data->source, .text = text, .size = size, .data = data };
	SN_TRY(sn_hash_bytes(ctx, text, size, data->sha256));
	SN_TRY(sn_arena_open(&in.scratch, ctx));
	sn_status status = sn_rows_open(&in.rows, ctx, data->source, size, data->arena);
	if (status == SN_OK) status = read_format(&in, format);
	if (status == SN_OK) status = sn_rows_finish(in.rows, data);
	sn_rows_close(in.rows);
	sn_arena_close(in.scratch);
	return status;
}

sn_status sn_dataset_parse(sn_dataset **out, sn_ctx *ctx, const char *source, sn_data_format format, const char *text,
						   size_t size)
{
	sn_arena *arena;
	*out = NULL;
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_dataset *data = SN_TAKE(arena, sn_dataset, 1);
	sn_status status = data ? SN_OK : SN_ENOMEM;
	if (data) {
		data->arena = arena;
		data->source = sn_arena_string(arena, source);
		status = data->source ? fill(data, ctx, format, text, size) : SN_ENOMEM;
	}
	if (status == SN_OK)
		*out = data;
	else
		sn_arena_close(arena);
	return status;
}

void sn_dataset_close(sn_dataset *data)
{
	if (data) sn_arena_close(data->arena);
}

const sn_column *sn_dataset_column(const sn_dataset *data, const char *name)
{
	for (int i = 0; i < data->n_col; i++)
		if (strcmp(data->col[i].name, name) == 0) return &data->col[i];
	return NULL;
}

/* Standard input has no extension: '{' opens JSON Lines, a tab in the first line makes a table. */
static sn_data_format guess(const char *text, size_t size)
{
	sn_lines lines = sn_lines_make("", text, size);
	sn_slice line;
	if (!sn_lines_next(&lines, &line)) return SN_DATA_LINES;
	if (line.size && line.data[0] == '{') return SN_DATA_JSONL;
	return line.size && memchr(line.data, '\t', line.size) ? SN_DATA_TSV : SN_DATA_LINES;
}

static sn_status format_of(sn_ctx *ctx, const char *path, const char *text, size_t size, sn_data_format *out)
{
	static const struct {
		const char *extension;
		sn_data_format format;
	} known[] = {
		{ ".jsonl", SN_DATA_JSONL }, { ".ndjson", SN_DATA_JSONL },  { ".csv", SN_DATA_CSV },
		{ ".tsv", SN_DATA_TSV },     { ".conllu", SN_DATA_CONLLU }, { ".txt", SN_DATA_LINES },
	};
	*out = guess(text, size);
	if (strcmp(path, "-") == 0) return SN_OK;
	for (int i = 0; i < SN_COUNT(known); i++) {
		if (!sn_ends_with(path, known[i].extension)) continue;
		*out = known[i].format;
		return SN_OK;
	}
	return sn_fail(ctx, SN_EUNKNOWN,
				   "%s: expected a file that ends in .jsonl, .csv, .tsv, .conllu or .txt; rename or convert it", path);
}

sn_status sn_dataset_open(sn_dataset **out, sn_ctx *ctx, const char *path)
{
	sn_arena *scratch;
	char *text;
	size_t size;
	sn_data_format format;
	*out = NULL;
	SN_TRY(sn_arena_open(&scratch, ctx));
	sn_status status = sn_read_file(ctx, path, SIZE_MAX, scratch, &text, &size);
	if (status == SN_OK) status = format_of(ctx, path, text, size, &format);
	const char *source = strcmp(path, "-") == 0 ? "standard input" : path;
	if (status == SN_OK) status = sn_dataset_parse(out, ctx, source, format, text, size);
	sn_arena_close(scratch);
	return status;
}
