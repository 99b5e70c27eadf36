/* Several phenomena on one model, side by side: each reports as if alone, and its rows and sentences are taken over. */
#include "methods/localize/tables.h"

#include "base/base.h"

#include <string.h>

enum { MOST_COLUMNS = 32 };

static const struct {
	int from, to;
} taken[] = {
	{ SN_T_VERDICTS, SN_T_ALL_VERDICTS }, { SN_T_CURVES, SN_T_ALL_CURVES },       { SN_T_PARTS, SN_T_ALL_PARTS },
	{ SN_T_LENS, SN_T_ALL_LENS },         { SN_T_BEHAVIOUR, SN_T_ALL_BEHAVIOUR }, { SN_T_FIRST, SN_T_ALL_FIRST },
	{ SN_T_TOKENS, SN_T_ALL_TOKENS },     { SN_T_EXAMPLES, SN_T_ALL_EXAMPLES },   { SN_T_DROPS, SN_T_ALL_DROPS },
};

static sn_status take_rows(sn_result *out, const sn_result *part, int from, int to, const char *phenomenon)
{
	const sn_table *table = &sn_result_method(part)->table[from];
	sn_cell cell[MOST_COLUMNS];
	SN_ASSERT(table->n_col < MOST_COLUMNS);
	for (int64_t r = 0; r < sn_result_rows(part, from); r++) {
		const sn_value *value = sn_result_row(part, from, r);
		cell[0] = sn_text(phenomenon);
		for (int c = 0; c < table->n_col; c++) {
			sn_type type = table->col[c].type;
			cell[c + 1] = sn_value_missing(type, &value[c]) ? sn_none() : (sn_cell){ type, value[c] };
		}
		SN_TRY(sn_result_add(out, to, cell, table->n_col + 1));
	}
	return SN_OK;
}

static bool has_limit(const sn_result *part, const char *text)
{
	const sn_line *line;
	for (int i = 0; (line = sn_result_line(part, SN_LINE_LIMIT, i)); i++)
		if (strcmp(line->text, text) == 0) return true;
	return false;
}

/* A limitation that all parts have is said once, by the first; any other with its phenomenon's name. */
static sn_status take_limits(sn_result *out, sn_result *const *part, int n, int own, const char *phenomenon)
{
	const sn_line *line;
	for (int i = 0; (line = sn_result_line(part[own], SN_LINE_LIMIT, i)); i++) {
		bool shared = true;
		for (int k = 0; k < n; k++) shared &= has_limit(part[k], line->text);
		if (!shared)
			SN_TRY(sn_result_limit(out, "%s: %s", phenomenon, line->text));
		else if (own == 0)
			SN_TRY(sn_result_limit(out, "%s", line->text));
	}
	return SN_OK;
}

static sn_status take_summary(sn_result *out, const sn_result *part, const char *phenomenon)
{
	const sn_line *line;
	for (int i = 0; (line = sn_result_line(part, SN_LINE_SUMMARY, i)); i++)
		SN_TRY(sn_result_say(out, "%s: %s", phenomenon, line->text));
	return SN_OK;
}

static sn_status make_part(sn_result *part, const sn_evidence *ev, const char *model)
{
	SN_TRY(sn_localize_rows(part, ev));
	SN_TRY(sn_localize_say(part, ev, model));
	return sn_localize_limits(part, ev);
}

static sn_status take_parts(sn_result *out, sn_result *const *part, const sn_evidence *ev, int n)
{
	for (int k = 0; k < n; k++) {
		const char *phenomenon = ev[k].items->id;
		SN_TRY(take_summary(out, part[k], phenomenon));
		for (int t = 0; t < SN_COUNT(taken); t++)
			SN_TRY(take_rows(out, part[k], taken[t].from, taken[t].to, phenomenon));
		SN_TRY(take_limits(out, part, n, k, phenomenon));
	}
	return SN_OK;
}

sn_status sn_localize_compare(sn_result *out, const sn_evidence *ev, int n, const char *model)
{
	sn_result **part;
	SN_NEW(part, sn_result_arena(out), sn_result *, n);
	sn_status status = SN_OK;
	for (int k = 0; k < n && status == SN_OK; k++) {
		status = sn_result_open(&part[k], sn_result_ctx(out), sn_result_method(out));
		if (status == SN_OK) status = make_part(part[k], &ev[k], model);
	}
	if (status == SN_OK) status = take_parts(out, part, ev, n);
	for (int k = 0; k < n; k++) sn_result_close(part[k]);
	return status;
}
