/* sonde tokenize: tokens with their ids and the characters they stand for. */
#include "cli/cli.h"
#include "text/align.h"
#include "base/readable.h"
#include "text/tokenizer.h"

#include <string.h>

typedef struct tokenize_param {
	const char *model, *data;
	bool add_special, parse_special;
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
};

enum { MOST_BYTES = 4 << 20 }; /* the table is made in memory */
enum { TEXT, POSITION, ID, TOKEN, FIRST, END, COLUMNS };

/* The cells of all texts so far: an array of const char * in a growing string. */
typedef struct cells {
	sn_cli *cli;
	const sn_tokenizer *tokenizer;
	int flags;
	int64_t n_text;
	sn_buf row;
} cells;

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
	for (int k = 0; k < COLUMNS; k++)
		if (!cell[k]) return SN_ENOMEM;
	sn_buf_add(&c->row, cell, sizeof cell);
	return c->row.failed ? SN_ENOMEM : SN_OK;
}

static sn_status add_text(cells *c, const char *text, size_t size)
{
	sn_cli *cli = c->cli;
	sn_tokens tokens;
	SN_TRY(sn_poll(cli->ctx));
	SN_TRY(sn_tokenize(cli->ctx, c->tokenizer, text, size, c->flags, cli->arena, &tokens));
	sn_code_point_spans(text, tokens.n, (const int64_t(*)[2])tokens.span, tokens.span);
	for (int64_t i = 0; i < tokens.n; i++) SN_TRY(add_row(c, &tokens, i));
	c->n_text++;
	return SN_OK;
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

static sn_status add_all(cells *c, const tokenize_param *p)
{
	if (p->data) return add_lines(c, p->data);
	return add_text(c, c->cli->operand[0], strlen(c->cli->operand[0]));
}

static sn_status print(cells *c)
{
	static const char *const header[] = { "text", "position", "id", "token", "first", "end" };
	static const bool right[] = { true, true, true, false, true, true };
	int64_t n = (int64_t)(c->row.size / (COLUMNS * sizeof(char *)));
	return sn_cli_table(c->cli, header, right, COLUMNS, (const char *const *)(const void *)c->row.data, n);
}

static sn_status run(sn_cli *cli)
{
	const tokenize_param *p = cli->param;
	sn_tokenizer *tokenizer;
	if ((cli->n_operand == 0) == (p->data == NULL))
		return sn_fail(cli->ctx, SN_EARG, "expected either TEXT or --data FILE; see `sonde tokenize --help`");
	SN_TRY(sn_tokenizer_open_path(&tokenizer, cli->ctx, p->model));
	int flags = (p->add_special ? SN_ADD_SPECIAL : 0) | (p->parse_special ? SN_PARSE_SPECIAL : 0);
	cells c = { cli, tokenizer, flags, 0, { .ctx = cli->ctx } };
	sn_status status = add_all(&c, p);
	if (status == SN_OK) status = print(&c);
	sn_buf_free(&c.row);
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
		   "no text are written \\xNN.",
	.example = "sonde tokenize --model models/SmolLM2-135M-Instruct.Q4_1.gguf \"The keys are on the table.\"",
	.operands = "TEXT",
	.max_operand = 1,
	.param = params,
	.n_param = SN_COUNT(params),
	.param_size = sizeof(tokenize_param),
	.run = run,
};
