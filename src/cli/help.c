/* Help, generated from rows. */
#include "cli/cli.h"

#include <string.h>

enum { LINE_WIDTH = 96, BRIEF_COLUMN = 22 };

/* Text broken at spaces, each line indented. */
static void wrap(sn_buf *buf, const char *text, const char *indent)
{
	size_t column = 0;
	while (*text) {
		size_t n = strcspn(text, " \n");
		if (column && column + 1 + n > LINE_WIDTH) {
			sn_buf_puts(buf, "\n");
			column = 0;
		}
		sn_buf_puts(buf, column ? " " : indent);
		sn_buf_add(buf, text, n);
		column += n + (column ? 1 : strlen(indent));
		text += n;
		if (*text == '\n') {
			sn_buf_puts(buf, "\n");
			column = 0;
		}
		if (*text) text++;
	}
	if (column) sn_buf_puts(buf, "\n");
}

static void brief_line(sn_buf *buf, const char *family, const char *name, const char *brief)
{
	int n = (int)(strlen(family) + strlen(name)) + (family[0] ? 1 : 0);
	sn_buf_format(buf, "  %s%s%s%*s  %s\n", family, family[0] ? " " : "", name, SN_MAX(0, BRIEF_COLUMN - n), "", brief);
}

/* Returns how many members the family has, after appending them. family NULL: all. */
static int brief_lines(sn_buf *buf, const char *family)
{
	int n = 0;
	const sn_method *m;
	const sn_command *c;
	for (int i = 0; (m = sn_method_at(i)); i++) {
		if (family && strcmp(m->family, family) != 0) continue;
		brief_line(buf, m->family, m->name, m->brief);
		n++;
	}
	for (int i = 0; (c = sn_command_at(i)); i++) {
		if (family && strcmp(c->family, family) != 0) continue;
		brief_line(buf, c->family, c->name, c->brief);
		n++;
	}
	return n;
}

void sn_help_overview(sn_buf *buf)
{
	sn_buf_puts(buf,
				"sonde – where a language model keeps its grammar, whether it uses it, and why it said what it said\n\n"
				"Usage: sonde COMMAND [options]\n\nCommands:\n");
	brief_lines(buf, NULL);
	sn_buf_puts(buf, "\nOptions of every command:\n");
	sn_param_help(buf, &sn_common_table);
	sn_buf_puts(
		buf,
		"\n`sonde COMMAND --help` explains one. Results go to standard output, everything else to standard error.\n"
		"Exit codes: 0 done, 1 a check failed, 2 bad input or usage, 3 out of resources, 130 interrupted.\n");
}

bool sn_help_family(sn_buf *buf, const char *family)
{
	sn_buf members = { .ctx = buf->ctx };
	bool found = brief_lines(&members, family) > 0;
	if (found) {
		sn_buf_format(buf, "Usage: sonde %s COMMAND [options]\n\nCommands:\n", family);
		sn_buf_puts(buf, members.data ? members.data : "");
	}
	buf->failed |= members.failed;
	sn_buf_free(&members);
	return found;
}

static void title(sn_buf *buf, const char *family, const char *name, const char *brief, const char *operands)
{
	const char *space = family[0] ? " " : "";
	sn_buf_format(buf, "sonde %s%s%s – %s\n\nUsage: sonde %s%s%s", family, space, name, brief, family, space, name);
	if (operands) sn_buf_format(buf, " %s", operands);
}

static void section(sn_buf *buf, const char *head, const char *text)
{
	if (!text || !text[0]) return;
	sn_buf_format(buf, "\n%s:\n", head);
	wrap(buf, text, "  ");
}

static void options(sn_buf *buf, const char *head, const sn_param_table *table)
{
	if (table->n == 0) return;
	sn_buf_format(buf, "\n%s:\n", head);
	sn_param_help(buf, table);
}

/* The common options that the command's own do not hide. */
static void common_options(sn_buf *buf, const sn_param_table *own)
{
	sn_buf_puts(buf, "\nCommon options:\n");
	for (int i = 0; i < sn_common_table.n; i++) {
		if (sn_param_find(own, sn_common_table.param[i].name)) continue;
		sn_param_help(buf, &(sn_param_table){ &sn_common_table.param[i], 1 });
	}
}

static void example(sn_buf *buf, const char *text)
{
	if (text) sn_buf_format(buf, "\nExample:\n  %s\n", text);
}

void sn_help_command(sn_buf *buf, const sn_command *c)
{
	sn_param_table own = { c->param, c->n_param };
	title(buf, c->family, c->name, c->brief, c->operands);
	sn_buf_puts(buf, " [options]\n");
	if (c->doc) {
		sn_buf_puts(buf, "\n");
		wrap(buf, c->doc, "");
	}
	options(buf, "Options", &own);
	common_options(buf, &own);
	example(buf, c->example);
}

static void result_tables(sn_buf *buf, const sn_method *m)
{
	if (m->n_table) sn_buf_puts(buf, "\nResults:\n");
	for (int t = 0; t < m->n_table; t++) {
		const sn_table *table = &m->table[t];
		sn_buf line = { .ctx = buf->ctx };
		sn_buf_format(&line, "%s – %s:", table->name, table->title ? table->title : table->name);
		for (int c = 0, n = 0; c < table->n_col; c++) {
			const sn_col *col = &table->col[c];
			if (col->role == SN_LOW || col->role == SN_HIGH) continue;
			sn_buf_format(&line, "%s %s", n++ ? "," : "", col->name);
			if (col->unit && col->unit[0]) sn_buf_format(&line, " (%s)", col->unit);
		}
		wrap(buf, line.data ? line.data : "", "  ");
		buf->failed |= line.failed;
		sn_buf_free(&line);
	}
}

void sn_help_method(sn_buf *buf, const sn_method *m)
{
	sn_param_table own = { m->param, m->n_param }, input = sn_method_input_table(m);
	title(buf, m->family, m->name, m->brief, NULL);
	if (m->operand) sn_buf_format(buf, " %s", sn_param_find(&own, m->operand)->unit);
	for (int i = 0; i < input.n; i++)
		if (input.param[i].required) sn_buf_format(buf, " --%s %s", input.param[i].name, input.param[i].unit);
	for (int i = 0; i < own.n; i++)
		if (own.param[i].required && !(m->operand && strcmp(own.param[i].name, m->operand) == 0))
			sn_buf_format(buf, " --%s …", own.param[i].name);
	sn_buf_puts(buf, " [options]\n");
	if (m->doc) {
		sn_buf_puts(buf, "\n");
		wrap(buf, m->doc, "");
	}
	options(buf, "Input", &input);
	options(buf, "Options", &own);
	common_options(buf, &own);
	result_tables(buf, m);
	example(buf, m->example);
	section(buf, "Citation", m->cite);
}
