/* sonde tokenize: tokens with their ids and the characters they stand for, and ids back to text. */
#include "base/readable.h"
#include "cli/cli.h"
#include "text/align.h"
#include "text/repair.h"
#include "text/tokenizer.h"

#include <string.h>

typedef struct tokenize_param {
	const char *model, *data;
	bool add_special, parse_special, pair, replace_invalid, decode, skip_special;
} tokenize_param;

static const sn_param params[] = {
	{ .name = "model",
	  .help = "GGUF file, or folder with tokenizer.json, vocab.txt, or vocab.json and merges.txt",
	  .type = SN_TYPE_TEXT,
	  .required = true,
	  .off = offsetof(tokenize_param, model) },
	{ .name = "data",
	  .help = "file with one text a line, instead of TEXT; - is standard input",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(tokenize_param, data) },
	{ .name = "add-special",
	  .help = "add the tokens that the model asks for around a text",
	  .type = SN_TYPE_BOOL,
	  .off = offsetof(tokenize_param, add_special) },
	{ .name = "parse-special",
	  .help = "read <|im_end|> and the like as tokens",
	  .type = SN_TYPE_BOOL,
	  .off = offsetof(tokenize_param, parse_special) },
	{ .name = "pair",
	  .help =
		  "two texts, TEXT and TEXT2 (in a file: with a tab between), joined as the model's template for pairs says "
		  "(give --add-special too); the table then says of which text and segment a token is",
	  .type = SN_TYPE_BOOL,
	  .off = offsetof(tokenize_param, pair) },
	{ .name = "replace-invalid",
	  .help = "read U+FFFD for each sequence of bytes that is not UTF-8; characters are those of the text so repaired",
	  .type = SN_TYPE_BOOL,
	  .off = offsetof(tokenize_param, replace_invalid) },
	{ .name = "decode",
	  .help = "the way back: TEXT is ids, separated by spaces or commas; prints the text",
	  .type = SN_TYPE_BOOL,
	  .off = offsetof(tokenize_param, decode) },
	{ .name = "skip-special",
	  .help = "with --decode: leave out the tokens that stand for no text",
	  .type = SN_TYPE_BOOL,
	  .off = offsetof(tokenize_param, skip_special) },
};

enum { MOST_BYTES = 4 << 20 }; /* the table is made in memory */
enum { TEXT, POSITION, ID, TOKEN, FIRST, END, OF, SEGMENT, COLUMNS };

/* The cells of all texts so far: an array of const char * in a growing string. */
typedef struct cells {
	sn_cli *cli;
	const sn_tokenizer *tokenizer;
	const tokenize_param *param;
	int flags;
	int64_t n_text;
	sn_buf row, bytes;
} cells;

static int columns(const cells *c) { return c->param->pair ? COLUMNS : OF; }

static sn_status add_row(cells *c, const sn_tokens *tokens, int64_t i)
{
	sn_arena *arena = c->cli->arena;
	const char *cell[COLUMNS];
	size_t size;
	const char *bytes = sn_token_text(c->cli->ctx, c->tokenizer, tokens->id[i], arena, &size);
	if (!bytes) return SN_ENOMEM;
	const char *shown = sn_readable(arena, bytes, size);
	bool quoted = strcmp(c->cli->common.format, "table") == 0; /* where spaces would be lost */
	cell[TEXT] = sn_arena_format(arena, "%lld", (long long)c->n_text);
	cell[POSITION] = sn_arena_format(arena, "%lld", (long long)i);
	cell[ID] = sn_arena_format(arena, "%d", tokens->id[i]);
	cell[TOKEN] = shown && quoted ? sn_arena_format(arena, "\"%s\"", shown) : shown;
	cell[FIRST] = sn_arena_format(arena, "%lld", (long long)tokens->span[i][0]);
	cell[END] = sn_arena_format(arena, "%lld", (long long)tokens->span[i][1]);
	cell[OF] = tokens->text[i] < 0 ? "" : sn_arena_format(arena, "%d", tokens->text[i]);
	cell[SEGMENT] = sn_arena_format(arena, "%d", tokens->type[i]);
	for (int k = 0; k < COLUMNS; k++)
		if (!cell[k]) return SN_ENOMEM;
	sn_buf_add(&c->row, cell, (size_t)columns(c) * sizeof *cell);
	return c->row.failed ? SN_ENOMEM : SN_OK;
}

/* A text of size bytes, repaired where that was asked for, NUL-terminated. */
static sn_status take_text(cells *c, const char *text, size_t size, const char **out, size_t *n)
{
	c->bytes.size = 0;
	if (c->param->replace_invalid)
		sn_append_valid(&c->bytes, text, size);
	else
		sn_buf_add(&c->bytes, text, size);
	*n = c->bytes.size;
	*out = c->bytes.failed ? NULL : sn_arena_copy(c->cli->arena, *n ? c->bytes.data : "", *n);
	return *out ? SN_OK : SN_ENOMEM;
}

/* Spans in bytes of each token's own text to characters. */
static void count_characters(const char *const text[2], sn_tokens *tokens)
{
	for (int64_t i = 0; i < tokens->n; i++)
		sn_code_point_spans(text[tokens->text[i] == 1], 1, (const int64_t(*)[2])tokens->span + i, tokens->span + i);
}

static sn_status add_tokens(cells *c, sn_tokens *tokens)
{
	for (int64_t i = 0; i < tokens->n; i++) SN_TRY(add_row(c, tokens, i));
	c->n_text++;
	return SN_OK;
}

static sn_status add_single(cells *c, const char *text, size_t size)
{
	sn_tokens tokens;
	SN_TRY(sn_tokenize(c->cli->ctx, c->tokenizer, text, size, c->flags, c->cli->arena, &tokens));
	sn_code_point_spans(text, tokens.n, (const int64_t(*)[2])tokens.span, tokens.span);
	return add_tokens(c, &tokens);
}

static sn_status add_pair(cells *c, const char *const text[2], const size_t size[2])
{
	sn_tokens tokens;
	SN_TRY(sn_tokenize_pair(c->cli->ctx, c->tokenizer, text, size, c->flags, c->cli->arena, &tokens));
	count_characters(text, &tokens);
	return add_tokens(c, &tokens);
}

/* ---- back to text ---- */

/* Reads ids separated by spaces or commas. */
static sn_status read_ids(cells *c, char *text, int32_t *id, int64_t *n)
{
	char *rest = NULL;
	for (char *word = strtok_r(text, " ,\t", &rest); word; word = strtok_r(NULL, " ,\t", &rest)) {
		int64_t value;
		if (!sn_parse_i64(word, &value) || value < 0 || value > INT32_MAX)
			return sn_fail(c->cli->ctx, SN_EPARSE, "\"%.20s\" is no token id; expected numbers separated by spaces",
						   word);
		id[(*n)++] = (int32_t)value;
	}
	return SN_OK;
}

static sn_status add_decoded(cells *c, const char *text, size_t size)
{
	sn_arena *arena = c->cli->arena;
	int32_t *id;
	int64_t n = 0;
	const char *cell[2], *copy;
	char *ids = sn_arena_copy(arena, text, size);
	SN_NEW(id, arena, int32_t, size / 2 + 1);
	if (!ids) return SN_ENOMEM;
	SN_TRY(read_ids(c, ids, id, &n));
	SN_TRY(sn_detokenize(c->cli->ctx, c->tokenizer, n, id, c->param->skip_special ? SN_SKIP_SPECIAL : 0, arena, &copy,
						 &size));
	cell[0] = sn_arena_format(arena, "%lld", (long long)c->n_text++);
	cell[1] = copy;
	if (!cell[0]) return SN_ENOMEM;
	sn_buf_add(&c->row, cell, sizeof cell);
	return c->row.failed ? SN_ENOMEM : SN_OK;
}

/* ---- all texts ---- */

static sn_status add_text(cells *c, const char *text, size_t size)
{
	const char *part[2];
	size_t n[2];
	SN_TRY(sn_poll(c->cli->ctx));
	if (c->param->decode) return add_decoded(c, text, size);
	if (!c->param->pair) {
		SN_TRY(take_text(c, text, size, &part[0], &n[0]));
		return add_single(c, part[0], n[0]);
	}
	const char *tab = memchr(text, '\t', size);
	if (!tab) return sn_fail(c->cli->ctx, SN_EPARSE, "expected two texts with a tab between");
	SN_TRY(take_text(c, text, (size_t)(tab - text), &part[0], &n[0]));
	SN_TRY(take_text(c, tab + 1, size - (size_t)(tab - text) - 1, &part[1], &n[1]));
	return add_pair(c, part, n);
}

/* Lines end in LF or CRLF; a byte order mark is no text. */
static sn_status add_lines(cells *c, const char *path)
{
	char *data;
	size_t size, at = 0;
	SN_TRY(sn_read_file(c->cli->ctx, path, MOST_BYTES, c->cli->arena, &data, &size));
	if (size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) at = 3;
	for (size_t end; at < size; at = end + 1) {
		const char *newline = memchr(data + at, '\n', size - at);
		end = newline ? (size_t)(newline - data) : size;
		size_t n = end - at;
		if (n && data[end - 1] == '\r') n--;
		sn_status status = add_text(c, data + at, n);
		if (status == SN_EPARSE)
			return sn_fail(c->cli->ctx, status, "%s: line %lld: %s", strcmp(path, "-") ? path : "standard input",
						   (long long)c->n_text + 1, sn_error(c->cli->ctx));
		if (status != SN_OK) return status;
	}
	return SN_OK;
}

static sn_status add_operands(cells *c)
{
	const char *const *operand = c->cli->operand, *text[2];
	size_t n[2];
	if (!c->param->pair) return add_text(c, operand[0], strlen(operand[0]));
	for (int i = 0; i < 2; i++) SN_TRY(take_text(c, operand[i], strlen(operand[i]), &text[i], &n[i]));
	return add_pair(c, text, n);
}

static sn_status print(cells *c)
{
	static const char *const header[] = { "text", "position", "id", "token", "first", "end", "of", "segment" };
	static const bool right[] = { true, true, true, false, true, true, true, true };
	int64_t n = (int64_t)(c->row.size / ((size_t)columns(c) * sizeof(char *)));
	return sn_cli_table(c->cli, header, right, columns(c), (const char *const *)(const void *)c->row.data, n);
}

/* On a terminal the texts alone, a line each. */
static sn_status print_decoded(cells *c)
{
	static const char *const header[] = { "text", "decoded" };
	static const bool right[] = { true, false };
	const char *const *cell = (const void *)c->row.data;
	if (strcmp(c->cli->common.format, "table") != 0) return sn_cli_table(c->cli, header, right, 2, cell, c->n_text);
	for (int64_t i = 0; i < c->n_text; i++) sn_buf_format(&c->cli->out, "%s\n", cell[2 * i + 1]);
	return c->cli->out.failed ? SN_ENOMEM : SN_OK;
}

static sn_status check(const sn_cli *cli, const tokenize_param *p)
{
	if (p->pair && p->decode) return sn_fail(cli->ctx, SN_EARG, "--pair and --decode do not go together");
	if (p->data ? cli->n_operand == 0 : cli->n_operand == 1 + p->pair) return SN_OK;
	return sn_fail(cli->ctx, SN_EARG, "expected either %s or --data FILE; see `sonde tokenize --help`",
				   p->pair ? "TEXT TEXT2" : "TEXT");
}

static sn_status run(sn_cli *cli)
{
	const tokenize_param *p = cli->param;
	sn_tokenizer *tokenizer;
	SN_TRY(check(cli, p));
	SN_TRY(sn_tokenizer_open_path(&tokenizer, cli->ctx, p->model));
	int flags = (p->add_special ? SN_ADD_SPECIAL : 0) | (p->parse_special ? SN_PARSE_SPECIAL : 0);
	cells c = { cli, tokenizer, p, flags, 0, { .ctx = cli->ctx }, { .ctx = cli->ctx } };
	sn_status status = p->data ? add_lines(&c, p->data) : add_operands(&c);
	if (status == SN_OK) status = p->decode ? print_decoded(&c) : print(&c);
	sn_buf_free(&c.row);
	sn_buf_free(&c.bytes);
	sn_tokenizer_close(tokenizer);
	return status;
}

const sn_command sn_command_tokenize = {
	.name = "tokenize",
	.family = "",
	.brief = "tokens with their ids and the characters they stand for",
	.doc = "Positions and characters (code points) count from 0; the characters of a token are first to end - 1. A "
		   "space before a word "
		   "belongs to the word's token. A token that holds part of a character's bytes stands for the whole "
		   "character. Bytes that are "
		   "no text are written \\xNN. With --decode ids become text again.",
	.example = "sonde tokenize --model models/SmolLM2-135M-Instruct.Q4_1.gguf \"The keys are on the table.\"",
	.operands = "TEXT [TEXT2]",
	.max_operand = 2,
	.param = params,
	.n_param = SN_COUNT(params),
	.param_size = sizeof(tokenize_param),
	.run = run,
};
