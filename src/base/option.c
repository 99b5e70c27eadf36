#include "base/option.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool name_equal(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (*a != *b && !((*a == '-' || *a == '_') && (*b == '-' || *b == '_'))) return false;
	return *a == *b;
}

const sn_param *sn_param_find(const sn_param_table *table, const char *name)
{
	for (int i = 0; i < table->n; i++)
		if (name_equal(table->param[i].name, name)) return &table->param[i];
	return NULL;
}

/* ---- setting ---- */

static bool has_range(const sn_param *p) { return p->min != 0 || p->max != 0; }

static const double boundless = 1e15; /* a maximum from here on is only there for the arithmetic */

static void write_range(const sn_param *p, char *buf, size_t size)
{
	sn_format(buf, size, p->max >= boundless ? "of at least %g" : "from %g to %g", p->min, p->max);
}

static const char *type_words(const sn_param *p)
{
	return p->type == SN_TYPE_INT     ? "an integer"
		   : p->type == SN_TYPE_FLOAT ? "a number"
		   : p->type == SN_TYPE_BOOL  ? "true or false"
									  : "text";
}

static sn_status wrong_value(sn_ctx *ctx, const sn_param *p, const char *value)
{
	const char *unit = p->unit ? p->unit : "", *space = unit[0] ? " " : "";
	char range[64] = "";
	if (has_range(p)) write_range(p, range, sizeof range);
	return sn_fail(ctx, SN_EARG, "--%s: expected %s%s%s%s%s, found \"%s\"", p->name, type_words(p), range[0] ? " " : "",
				   range, space, unit, value);
}

static bool in_choices(const char *choices, const char *value)
{
	size_t n = strlen(value);
	for (const char *c = choices;; c++) {
		size_t k = strcspn(c, "|");
		if (k == n && memcmp(c, value, n) == 0) return true;
		if (!*(c += k)) return false;
	}
}

static bool in_range(const sn_param *p, double x) { return !has_range(p) || (x >= p->min && x <= p->max); }

static bool parse_bool(const char *text, bool *out)
{
	static const char *const word[] = { "false", "true", "no", "yes", "off", "on", "0", "1" };
	for (int i = 0; i < SN_COUNT(word); i++)
		if (strcmp(text, word[i]) == 0) return *out = i % 2 == 1, true;
	return false;
}

static sn_status set_text(sn_ctx *ctx, const char *value, sn_arena *arena, const char **out)
{
	if (sn_utf8_check(value, strlen(value)) >= 0) return sn_fail(ctx, SN_EARG, "\"%s\" is not valid UTF-8", value);
	*out = sn_arena_string(arena, value);
	return *out ? SN_OK : SN_ENOMEM;
}

sn_status sn_param_set(sn_ctx *ctx, const sn_param *p, const char *value, sn_arena *arena, void *out)
{
	void *place = (char *)out + p->off;
	if (p->choices && !in_choices(p->choices, value))
		return sn_fail(ctx, SN_EARG, "--%s: expected one of %s, found \"%s\"", p->name, p->choices, value);
	int64_t i;
	double f;
	bool b;
	switch (p->type) {
	case SN_TYPE_INT:
		if (!sn_parse_i64(value, &i) || !in_range(p, (double)i)) return wrong_value(ctx, p, value);
		return memcpy(place, &i, sizeof i), SN_OK;
	case SN_TYPE_FLOAT:
		if (!sn_parse_f64(value, &f) || !isfinite(f) || !in_range(p, f)) return wrong_value(ctx, p, value);
		return memcpy(place, &f, sizeof f), SN_OK;
	case SN_TYPE_BOOL:
		if (!parse_bool(value, &b)) return wrong_value(ctx, p, value);
		return memcpy(place, &b, sizeof b), SN_OK;
	case SN_TYPE_TEXT:
		return set_text(ctx, value, arena, place);
	default:
		return sn_fail(ctx, SN_EINTERNAL, "--%s: its row declares no type that a parameter may have", p->name);
	}
}

sn_status sn_param_defaults(sn_ctx *ctx, const sn_param_table *table, sn_arena *arena, void *out)
{
	for (int i = 0; i < table->n; i++) {
		const sn_param *p = &table->param[i];
		if (!p->def) continue;
		sn_status status = sn_param_set(ctx, p, p->def, arena, out);
		if (status == SN_EARG) return sn_fail(ctx, SN_EINTERNAL, "the default of --%s fails its own check", p->name);
		if (status != SN_OK) return status;
	}
	return SN_OK;
}

/* ---- writing ---- */

void sn_param_value(sn_buf *buf, const sn_param *p, const void *values)
{
	const void *place = (const char *)values + p->off;
	if (p->type == SN_TYPE_INT) sn_buf_format(buf, "%lld", (long long)*(const int64_t *)place);
	if (p->type == SN_TYPE_FLOAT) sn_write_number(buf, *(const double *)place);
	if (p->type == SN_TYPE_BOOL) sn_buf_puts(buf, *(const bool *)place ? "true" : "false");
	const char *text = p->type == SN_TYPE_TEXT ? *(const char *const *)place : NULL;
	if (text) sn_buf_puts(buf, text);
}

void sn_param_json(sn_buf *buf, const sn_param_table *table, const void *values)
{
	sn_buf_puts(buf, "{");
	for (int i = 0; i < table->n; i++) {
		const sn_param *p = &table->param[i];
		sn_buf_puts(buf, i ? ", " : "");
		sn_write_json(buf, p->name);
		sn_buf_puts(buf, ": ");
		if (p->type != SN_TYPE_TEXT)
			sn_param_value(buf, p, values);
		else
			sn_write_json(buf, *(const char *const *)((const char *)values + p->off));
	}
	sn_buf_puts(buf, "}");
}

/* What stands for the value; the unit of a text is the kind of text (FILE, COLUMN). */
static const char *value_name(const sn_param *p)
{
	if (p->choices) return p->choices;
	if (p->type == SN_TYPE_TEXT && p->unit && p->unit[0]) return p->unit;
	return p->type == SN_TYPE_INT     ? "INTEGER"
		   : p->type == SN_TYPE_FLOAT ? "NUMBER"
		   : p->type == SN_TYPE_BOOL  ? ""
									  : "TEXT";
}

void sn_param_help(sn_buf *buf, const sn_param_table *table)
{
	for (int i = 0; i < table->n; i++) {
		const sn_param *p = &table->param[i];
		const char *value = value_name(p);
		sn_buf_format(buf, "  --%s%s%s\n      %s", p->name, value[0] ? " " : "", value, p->help);
		if (p->unit && p->unit[0] && p->type != SN_TYPE_TEXT) sn_buf_format(buf, "; unit: %s", p->unit);
		char range[64];
		if (has_range(p)) write_range(p, range, sizeof range);
		if (has_range(p)) sn_buf_format(buf, "; %s", range);
		if (p->required)
			sn_buf_puts(buf, "; required");
		else if (p->def && p->def[0])
			sn_buf_format(buf, "; default: %s", p->def);
		sn_buf_puts(buf, "\n");
	}
}

/* ---- suggestions ---- */

enum { LONGEST_WORD = 63 };

/* Letters that are missing, added, others, or swapped with their neighbour (optimal string alignment); more than
 * LONGEST_WORD for words that long. */
static int edit_distance(const char *a, const char *b)
{
	int n = (int)strlen(a), m = (int)strlen(b), rows[3][LONGEST_WORD + 1];
	if (n > LONGEST_WORD || m > LONGEST_WORD) return LONGEST_WORD + 1;
	for (int j = 0; j <= m; j++) rows[0][j] = j;
	for (int i = 1; i <= n; i++) {
		int *row = rows[i % 3], *above = rows[(i + 2) % 3], *higher = rows[(i + 1) % 3];
		row[0] = i;
		for (int j = 1; j <= m; j++) {
			row[j] = SN_MIN(above[j - 1] + (a[i - 1] != b[j - 1]), SN_MIN(above[j], row[j - 1]) + 1);
			bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
			if (swapped) row[j] = SN_MIN(row[j], higher[j - 2] + 1);
		}
	}
	return rows[n % 3][m];
}

int sn_nearest(const char *name, const char *const *word, int n)
{
	int best = -1, best_distance = SN_MAX(2, ((int)SN_MIN(strlen(name), (size_t)LONGEST_WORD) + 2) / 3) + 1;
	for (int i = 0; i < n; i++) {
		int distance = edit_distance(name, word[i]);
		if (distance < best_distance) best = i, best_distance = distance;
	}
	return best;
}
