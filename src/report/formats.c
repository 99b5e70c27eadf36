/* CSV and JSON: every value of a result, exactly. */
#include "base/write.h"
#include "report/pick.h"
#include "report/report.h"

#include <string.h>

/* ---- CSV, and the same with tabs ---- */

typedef struct dialect { const char *separator; void (*text)(sn_buf *buf, const char *text); } dialect;
static const dialect csv = { ",", sn_write_csv }, tsv = { "\t", sn_write_tsv };

/* True if column (table, col) is the first of its name. */
static bool first_of_name(const sn_method *m, int table, int col)
{
	for (int t = 0; t <= table; t++)
		for (int c = 0; c < (t == table ? col : m->table[t].n_col); c++)
			if (strcmp(m->table[t].col[c].name, m->table[table].col[col].name) == 0) return false;
	return true;
}

static int find_column(const sn_table *t, const char *name)
{
	for (int c = 0; c < t->n_col; c++)
		if (strcmp(t->col[c].name, name) == 0) return c;
	return -1;
}

static void csv_value(sn_buf *buf, const dialect *how, sn_type type, const sn_value *v)
{
	if (sn_value_missing(type, v)) return;
	if (type == SN_TYPE_TEXT)
		how->text(buf, v->s);
	else if (type == SN_TYPE_FLOAT)
		sn_write_number(buf, v->f);
	else if (type == SN_TYPE_BOOL)
		sn_buf_puts(buf, v->i ? "true" : "false");
	else
		sn_buf_format(buf, "%lld", (long long)v->i);
}

static void csv_row(sn_buf *buf, const dialect *how, const sn_result *r, int table, int64_t row)
{
	const sn_method *m = sn_result_method(r);
	const sn_value *v = sn_result_row(r, table, row);
	how->text(buf, m->table[table].name);
	for (int t = 0; t < m->n_table; t++) {
		for (int c = 0; c < m->table[t].n_col; c++) {
			if (!first_of_name(m, t, c)) continue;
			int own = find_column(&m->table[table], m->table[t].col[c].name);
			sn_buf_puts(buf, how->separator);
			if (own >= 0) csv_value(buf, how, m->table[table].col[own].type, &v[own]);
		}
	}
	sn_buf_puts(buf, "\n");
}

static void write_rows(sn_buf *buf, const dialect *how, const sn_result *r)
{
	const sn_method *m = sn_result_method(r);
	sn_buf_puts(buf, "table");
	for (int t = 0; t < m->n_table; t++) {
		for (int c = 0; c < m->table[t].n_col; c++) {
			if (!first_of_name(m, t, c)) continue;
			sn_buf_puts(buf, how->separator);
			how->text(buf, m->table[t].col[c].name);
		}
	}
	sn_buf_puts(buf, "\n");
	for (int t = 0; t < m->n_table; t++)
		for (int64_t row = 0; row < sn_result_rows(r, t); row++) csv_row(buf, how, r, t, row);
}

void sn_report_csv(sn_buf *buf, const sn_result *r) { write_rows(buf, &csv, r); }
void sn_report_tsv(sn_buf *buf, const sn_result *r) { write_rows(buf, &tsv, r); }

/* ---- JSON ---- */

static void json_member(sn_buf *buf, const char *key, const char *text, const char *after)
{
	sn_write_json(buf, key);
	sn_buf_puts(buf, ": ");
	sn_write_json(buf, text);
	sn_buf_puts(buf, after);
}

static void json_lines(sn_buf *buf, const sn_result *r, const char *name, sn_line_kind kind)
{
	sn_buf_format(buf, "\"%s\": [", name);
	const sn_line *line;
	for (int i = 0; (line = sn_result_line(r, kind, i)); i++) {
		sn_buf_puts(buf, i ? ", " : "");
		sn_write_json(buf, line->text);
	}
	sn_buf_puts(buf, "],\n");
}

static void json_provenance(sn_buf *buf, const sn_result *r)
{
	sn_buf_puts(buf, "\"provenance\": {");
	const sn_line *line;
	for (int i = 0; (line = sn_result_line(r, SN_LINE_PROVENANCE, i)); i++) {
		sn_buf_puts(buf, i ? ", " : "");
		json_member(buf, line->key, line->text, "");
	}
	sn_buf_puts(buf, "},\n");
}

static const char *role_name(sn_role role)
{
	static const char *const name[] = { "dim",  "measure", "low",  "high", "count",
										"text", "facet",   "base", "mark", "hatch", "label" };
	return (unsigned)role < SN_COUNT(name) ? name[role] : "text";
}

static void json_column(sn_buf *buf, const sn_col *c)
{
	static const char *const type[] = { "none", "int", "float", "text", "bool", "span" };
	sn_buf_puts(buf, "{");
	json_member(buf, "name", c->name, ", ");
	json_member(buf, "title", sn_col_title(c), ", ");
	json_member(buf, "unit", c->unit, ", ");
	json_member(buf, "of", c->of, ", ");
	json_member(buf, "type", type[c->type], ", ");
	json_member(buf, "role", role_name(c->role), ", ");
	sn_buf_format(buf, "\"better\": %d}", c->better);
}

static void json_value(sn_buf *buf, sn_type type, const sn_value *v)
{
	if (sn_value_missing(type, v))
		sn_buf_puts(buf, "null");
	else if (type == SN_TYPE_TEXT)
		sn_write_json(buf, v->s);
	else
		csv_value(buf, &csv, type, v);
}

static void json_rows(sn_buf *buf, const sn_result *r, int t)
{
	const sn_table *table = &sn_result_method(r)->table[t];
	for (int64_t row = 0; row < sn_result_rows(r, t); row++) {
		const sn_value *v = sn_result_row(r, t, row);
		sn_buf_puts(buf, row ? ",\n    [" : "\n    [");
		for (int c = 0; c < table->n_col; c++) {
			sn_buf_puts(buf, c ? ", " : "");
			json_value(buf, table->col[c].type, &v[c]);
		}
		sn_buf_puts(buf, "]");
	}
}

static void json_table(sn_buf *buf, const sn_result *r, int t)
{
	const sn_table *table = &sn_result_method(r)->table[t];
	sn_buf_puts(buf, "\n  {");
	json_member(buf, "name", table->name, ", ");
	json_member(buf, "title", table->title, ", ");
	json_member(buf, "caption", table->caption, ",\n   \"columns\": [");
	for (int c = 0; c < table->n_col; c++) {
		sn_buf_puts(buf, c ? ",\n    " : "\n    ");
		json_column(buf, &table->col[c]);
	}
	sn_buf_puts(buf, "],\n   \"rows\": [");
	json_rows(buf, r, t);
	sn_buf_puts(buf, "]}");
}

void sn_report_json(sn_buf *buf, const sn_result *r)
{
	const sn_method *m = sn_result_method(r);
	sn_buf_puts(buf, "{");
	json_member(buf, "family", m->family, ", ");
	json_member(buf, "method", m->name, ", ");
	json_member(buf, "brief", m->brief, ",\n");
	sn_buf_format(buf, "\"parameters\": %s,\n", sn_result_param_json(r));
	json_provenance(buf, r);
	json_lines(buf, r, "summary", SN_LINE_SUMMARY);
	json_lines(buf, r, "limitations", SN_LINE_LIMIT);
	json_lines(buf, r, "citations", SN_LINE_CITE);
	sn_buf_puts(buf, "\"tables\": [");
	for (int t = 0; t < m->n_table; t++) {
		sn_buf_puts(buf, t ? "," : "");
		json_table(buf, r, t);
	}
	sn_buf_puts(buf, "]}\n");
}
