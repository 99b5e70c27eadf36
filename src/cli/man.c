/* Manual pages, generated from the same rows as the help (`sonde --man [COMMAND]`, which tools/man.sh calls). */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Appends one character as troff reads it; start: it begins a line. */
static void put(sn_buf *buf, uint32_t c, bool start)
{
	static const struct {
		char c;
		const char *text;
	} special[] = { { '\\', "\\e" }, { '-', "\\-" }, { '\'', "\\(aq" }, { '`', "\\(ga" } };
	if (start && c == '.') sn_buf_puts(buf, "\\&");
	for (int i = 0; i < SN_COUNT(special); i++)
		if (c == (uint32_t)special[i].c) {
			sn_buf_puts(buf, special[i].text);
			return;
		}
	if (c >= 0x80)
		sn_buf_format(buf, "\\[u%04X]", (unsigned)c);
	else
		sn_buf_add(buf, &(char){ (char)c }, 1);
}

enum { NO_BREAKS = 1 << 30, FILLED = 64 };

/* Text whose lines are broken at the first blank behind a column; troff fills them again. */
static void escape_lines(sn_buf *buf, const char *text, int width)
{
	size_t size = strlen(text), pos = 0;
	int column = 0;
	while (pos < size) {
		uint32_t c = sn_utf8_next(text, size, &pos);
		if (c == ' ' && column >= width) c = '\n';
		put(buf, c, column == 0);
		column = c == '\n' ? 0 : column + 1;
	}
}

static void escape(sn_buf *buf, const char *text) { escape_lines(buf, text, FILLED); }

/* Paragraphs stand between empty lines. */
static void paragraphs(sn_buf *buf, const char *text)
{
	for (const char *end; *text; text = end + strspn(end, "\n")) {
		end = strstr(text, "\n\n");
		if (!end) end = text + strlen(text);
		sn_buf part = { .ctx = buf->ctx };
		sn_buf_add(&part, text, (size_t)(end - text));
		escape(buf, part.data ? part.data : "");
		sn_buf_puts(buf, *end ? "\n.PP\n" : "\n");
		buf->failed |= part.failed;
		sn_buf_free(&part);
	}
}

/* The day of SOURCE_DATE_EPOCH (reproducible builds), or today. */
static void date(char out[16])
{
	int64_t seconds;
	const char *given = getenv("SOURCE_DATE_EPOCH");
	struct tm day;
	time_t now = given && sn_parse_i64(given, &seconds) ? (time_t)seconds : time(NULL);
	if (!gmtime_r(&now, &day) || strftime(out, 16, "%Y-%m-%d", &day) == 0) out[0] = '\0';
}

/* "probe linear" -> "sonde-probe-linear", also in capitals. */
static void page_name(char *out, size_t size, const char *words, bool capitals)
{
	sn_format(out, size, "%s%s%s", "sonde", words[0] ? "-" : "", words);
	for (char *c = out; *c; c++) {
		if (*c == ' ') *c = '-';
		if (capitals && *c >= 'a' && *c <= 'z') *c = (char)(*c - 'a' + 'A');
	}
}

static void head(sn_buf *buf, const char *words, const char *brief)
{
	char name[96], capitals[96], day[16];
	date(day);
	page_name(name, sizeof name, words, false);
	page_name(capitals, sizeof capitals, words, true);
	sn_buf_format(buf, ".TH %s 1 %s \"sonde %s\" \"Sonde\"\n.SH NAME\n", capitals, day, sn_version());
	escape(buf, name);
	sn_buf_puts(buf, " \\- ");
	escape(buf, brief);
	sn_buf_puts(buf, "\n.SH SYNOPSIS\n.B sonde");
	sn_buf_format(buf, "%s%s", words[0] ? " " : "", words);
}

/* Option rows as the help writes them: a line with the name, a line that explains it. */
static void option_rows(sn_buf *buf, const sn_param_table *table, const sn_param_table *hidden_by)
{
	for (int i = 0; i < table->n; i++) {
		if (hidden_by && sn_param_find(hidden_by, table->param[i].name)) continue;
		sn_buf row = { .ctx = buf->ctx };
		sn_param_help(&row, &(sn_param_table){ &table->param[i], 1 });
		const char *text = row.data ? row.data : "";
		char *end = row.data ? strchr(row.data, '\n') : NULL;
		if (end) {
			*end = '\0';
			sn_buf_puts(buf, ".TP\n.B ");
			escape(buf, text + strspn(text, " "));
			sn_buf_puts(buf, "\n");
			escape(buf, end + 1 + strspn(end + 1, " "));
		}
		buf->failed |= row.failed;
		sn_buf_free(&row);
	}
}

static void options(sn_buf *buf, const sn_param_table *input, const sn_param_table *own)
{
	if (input && input->n) {
		sn_buf_puts(buf, ".SH INPUT\n");
		option_rows(buf, input, NULL);
	}
	if (own->n) {
		sn_buf_puts(buf, ".SH OPTIONS\n");
		option_rows(buf, own, NULL);
	}
	sn_buf_puts(buf, ".SH COMMON OPTIONS\n");
	option_rows(buf, &sn_common_table, own);
}

static void tail(sn_buf *buf, const char *example, const char *cite)
{
	sn_buf_puts(buf, ".SH EXIT STATUS\n0 done, 1 a check failed, 2 bad input or usage, 3 out of memory or disk,\n130 "
					 "interrupted.\n");
	if (example) {
		sn_buf_puts(buf, ".SH EXAMPLES\n.nf\n");
		escape_lines(buf, example, NO_BREAKS);
		sn_buf_puts(buf, "\n.fi\n");
	}
	if (cite && cite[0]) {
		sn_buf_puts(buf, ".SH REFERENCES\n");
		paragraphs(buf, cite);
	}
}

void sn_man_command(sn_buf *buf, const sn_command *c)
{
	char words[64];
	sn_param_table own = { c->param, c->n_param };
	sn_format(words, sizeof words, "%s%s%s", c->family, c->family[0] ? " " : "", c->name);
	head(buf, words, c->brief);
	sn_buf_format(buf, "\n%s%s[options]\n", c->operands ? c->operands : "", c->operands ? " " : "");
	if (c->doc) {
		sn_buf_puts(buf, ".SH DESCRIPTION\n");
		paragraphs(buf, c->doc);
	}
	options(buf, NULL, &own);
	tail(buf, c->example, NULL);
	sn_buf_puts(buf, ".SH SEE ALSO\n.BR sonde (1)\n");
}

static void result_tables(sn_buf *buf, const sn_method *m)
{
	if (m->n_table) sn_buf_puts(buf, ".SH RESULTS\n");
	for (int t = 0; t < m->n_table; t++) {
		const sn_table *table = &m->table[t];
		sn_buf_puts(buf, ".TP\n.B ");
		escape(buf, table->name);
		sn_buf_puts(buf, "\n");
		escape(buf, table->caption ? table->caption : "");
		sn_buf columns = { .ctx = buf->ctx };
		for (int i = 0; i < table->n_col; i++) {
			const sn_col *col = &table->col[i];
			if (col->role == SN_LOW || col->role == SN_HIGH) continue;
			sn_buf_format(&columns, "%s%s", columns.size ? ", " : "Columns: ", col->name);
			if (col->unit && col->unit[0]) sn_buf_format(&columns, " (%s)", col->unit);
		}
		sn_buf_puts(buf, "\n");
		escape(buf, columns.data ? columns.data : "");
		buf->failed |= columns.failed;
		sn_buf_free(&columns);
		sn_buf_puts(buf, ".\n");
	}
}

void sn_man_method(sn_buf *buf, const sn_method *m)
{
	char words[64];
	sn_param_table own = { m->param, m->n_param }, input = sn_method_input_table(m);
	sn_format(words, sizeof words, "%s%s%s", m->family, m->family[0] ? " " : "", m->name);
	head(buf, words, m->brief);
	sn_buf_puts(buf, "\n");
	for (int i = 0; i < input.n; i++) sn_buf_format(buf, "\\-\\-%s %s ", input.param[i].name, input.param[i].unit);
	sn_buf_puts(buf, "[options]\n");
	if (m->doc) {
		sn_buf_puts(buf, ".SH DESCRIPTION\n");
		paragraphs(buf, m->doc);
	}
	options(buf, &input, &own);
	result_tables(buf, m);
	tail(buf, m->example, m->cite);
	sn_buf_puts(buf, ".SH SEE ALSO\n.BR sonde (1)\n");
}

static void list_entry(sn_buf *buf, const char *family, const char *name, const char *brief)
{
	char words[64], page[96];
	sn_format(words, sizeof words, "%s%s%s", family, family[0] ? " " : "", name);
	page_name(page, sizeof page, words, false);
	sn_buf_puts(buf, ".TP\n.BR ");
	escape(buf, page);
	sn_buf_puts(buf, " (1)\n");
	escape(buf, brief);
	sn_buf_puts(buf, "\n");
}

void sn_man_overview(sn_buf *buf)
{
	const sn_command *c;
	const sn_method *m;
	head(buf, "", "where a language model keeps its grammar, whether it uses it, and why it said what it said");
	sn_buf_puts(buf, "\nCOMMAND [options]\n.SH DESCRIPTION\n");
	paragraphs(
		buf, "Sonde reads a model file, runs it, and measures what its activations encode, what its choices depend on, "
			 "and where the two are connected. Results go to standard output, everything else to standard error.");
	sn_buf_puts(buf, ".SH COMMANDS\n");
	for (int i = 0; (m = sn_method_at(i)); i++) list_entry(buf, m->family, m->name, m->brief);
	for (int i = 0; (c = sn_command_at(i)); i++) list_entry(buf, c->family, c->name, c->brief);
	sn_buf_puts(buf, ".SH COMMON OPTIONS\n");
	option_rows(buf, &sn_common_table, NULL);
	sn_buf_puts(buf,
				".SH ENVIRONMENT\n.TP\n.B SONDE_STORE\nSQLite file that keeps runs.\n.TP\n"
				".B HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE\nThe cache of models and how it is "
				"filled: see\n.BR sonde\\-model\\-pull (1).\n");
	tail(buf, "sonde localize --model MODEL --phenomenon en/number-agreement", NULL);
}
