/* sonde methods: the registry. */
#include "base/write.h"
#include "cli/cli.h"

#include <string.h>

static void member(sn_buf *buf, const char *key, const char *text)
{
	sn_buf_format(buf, "\"%s\": ", key);
	sn_write_json(buf, text);
	sn_buf_puts(buf, ", ");
}

static const char *type_name(sn_type type)
{
	static const char *const name[] = { "none", "int", "float", "text", "bool", "span" };
	return name[type];
}

static void param_json(sn_buf *buf, const sn_param *p)
{
	sn_buf_puts(buf, "{");
	member(buf, "name", p->name);
	member(buf, "type", type_name(p->type));
	member(buf, "unit", p->unit);
	member(buf, "help", p->help);
	member(buf, "default", p->def);
	member(buf, "choices", p->choices);
	if (p->min != 0 || p->max != 0) {
		sn_buf_puts(buf, "\"min\": ");
		sn_write_number(buf, p->min);
		sn_buf_puts(buf, ", \"max\": ");
		sn_write_number(buf, p->max);
		sn_buf_puts(buf, ", ");
	}
	sn_buf_format(buf, "\"required\": %s}", p->required ? "true" : "false");
}

static void table_json(sn_buf *buf, const sn_table *t)
{
	sn_buf_puts(buf, "{");
	member(buf, "name", t->name);
	member(buf, "title", t->title);
	member(buf, "caption", t->caption);
	sn_buf_puts(buf, "\"columns\": [");
	for (int c = 0; c < t->n_col; c++) {
		sn_buf_puts(buf, c ? ", {" : "{");
		member(buf, "name", t->col[c].name);
		member(buf, "unit", t->col[c].unit);
		member(buf, "of", t->col[c].of);
		sn_buf_format(buf, "\"type\": \"%s\"}", type_name(t->col[c].type));
	}
	sn_buf_puts(buf, "]}");
}

static void method_json(sn_buf *buf, const sn_method *m)
{
	sn_buf_puts(buf, "{");
	member(buf, "family", m->family);
	member(buf, "name", m->name);
	member(buf, "brief", m->brief);
	member(buf, "doc", m->doc);
	member(buf, "cite", m->cite);
	member(buf, "example", m->example);
	sn_buf_puts(buf, "\n  \"parameters\": [");
	for (int i = 0; i < m->n_param; i++) {
		sn_buf_puts(buf, i ? ",\n    " : "\n    ");
		param_json(buf, &m->param[i]);
	}
	sn_buf_puts(buf, "],\n  \"tables\": [");
	for (int i = 0; i < m->n_table; i++) {
		sn_buf_puts(buf, i ? ",\n    " : "\n    ");
		table_json(buf, &m->table[i]);
	}
	sn_buf_puts(buf, "]}");
}

static sn_status run_json(sn_cli *cli)
{
	const sn_method *m;
	sn_buf_puts(&cli->out, "[");
	for (int i = 0; (m = sn_method_at(i)); i++) {
		sn_buf_puts(&cli->out, i ? ",\n" : "");
		method_json(&cli->out, m);
	}
	sn_buf_puts(&cli->out, "]\n");
	return SN_OK;
}

static sn_status run(sn_cli *cli)
{
	if (strcmp(cli->common.format, "json") == 0) return run_json(cli);
	int n = 0;
	while (sn_method_at(n)) n++;
	static const char *const header[] = { "family", "name", "brief", "cite" };
	const char **cell;
	int n_col = strstr("csv tsv", cli->common.format) ? 4 : 3; /* citations are too long for a terminal */
	SN_NEW(cell, cli->arena, const char *, n *n_col);
	for (int i = 0; i < n; i++) {
		const sn_method *m = sn_method_at(i);
		const char *const value[] = { m->family, m->name, m->brief, m->cite ? m->cite : "" };
		for (int c = 0; c < n_col; c++) cell[i * n_col + c] = value[c];
	}
	return sn_cli_table(cli, header, (bool[4]){ false }, n_col, cell, n);
}

const sn_command sn_command_methods = {
	.name = "methods",
	.family = "",
	.brief = "list the methods; --format json has parameters and result columns too",
	.doc = "Every method is one row of the registry; its command, help, JSON form, SQL columns and report are made "
		   "from that row.",
	.example = "sonde methods --format json",
	.run = run,
};
