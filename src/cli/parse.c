/* Words of the command line into parameter structs. */
#include "cli/cli.h"

#include <string.h>

enum { MOST_NAMES = 128, LONGEST_NAME = 63 };

static sn_status unknown_option(const sn_parser *p, const char *name)
{
	const char *names[MOST_NAMES];
	int n = 0;
	for (int t = 0; t < p->n_target; t++)
		for (int i = 0; i < p->target[t].table.n && n < MOST_NAMES; i++) names[n++] = p->target[t].table.param[i].name;
	int nearest = sn_nearest(name, names, n);
	if (nearest >= 0)
		return sn_fail(p->ctx, SN_EARG, "unknown option --%s; did you mean --%s? `sonde %s --help` lists all", name,
					   names[nearest], p->command);
	return sn_fail(p->ctx, SN_EARG, "unknown option --%s; `sonde %s --help` lists all", name, p->command);
}

static const sn_param *find_option(sn_parser *p, const char *name, void **values)
{
	for (int t = 0; t < p->n_target; t++) {
		const sn_param *param = sn_param_find(&p->target[t].table, name);
		if (param) return *values = p->target[t].values, param;
	}
	return NULL;
}

/* `--no-flag`: the row of flag, which must be BOOL. */
static const sn_param *find_negated(sn_parser *p, const char *name, void **values)
{
	const sn_param *param = strncmp(name, "no-", 3) == 0 ? find_option(p, name + 3, values) : NULL;
	return param && param->type == SN_TYPE_BOOL ? param : NULL;
}

/* All words up to the next option, joined by commas: an option whose unit ends in " ..." takes several. */
static sn_status take_list(sn_parser *p, const sn_param *param, int left, char **argv, int *used, void *values)
{
	const char *list = argv[1];
	for (*used = 2; *used < left && argv[*used][0] != '-'; ++*used) {
		list = sn_arena_format(p->arena, "%s,%s", list, argv[*used]);
		if (!list) return SN_ENOMEM;
	}
	return sn_param_set(p->ctx, param, list, p->arena, values);
}

/* Parses one option; *used: words consumed. */
static sn_status parse_option(sn_parser *p, char **argv, int left, int *used)
{
	const char *word = argv[0] + 2, *value = strchr(word, '=');
	size_t n = value ? (size_t)(value - word) : strlen(word);
	char name[LONGEST_NAME + 1];
	void *values;
	if (n == 0 || n > LONGEST_NAME) return sn_fail(p->ctx, SN_EARG, "\"%s\" is no option", argv[0]);
	memcpy(name, word, n);
	name[n] = '\0';
	*used = 1;
	const sn_param *param = find_option(p, name, &values);
	if (!param) {
		param = value ? NULL : find_negated(p, name, &values);
		return param ? sn_param_set(p->ctx, param, "false", p->arena, values) : unknown_option(p, name);
	}
	if (value) return sn_param_set(p->ctx, param, value + 1, p->arena, values);
	if (param->type == SN_TYPE_BOOL) return sn_param_set(p->ctx, param, "true", p->arena, values);
	if (left < 2) return sn_fail(p->ctx, SN_EARG, "--%s needs a value (%s)", param->name, param->help);
	*used = 2;
	if (sn_ends_with(param->unit ? param->unit : "", " ...")) return take_list(p, param, left, argv, used, values);
	return sn_param_set(p->ctx, param, argv[1], p->arena, values);
}

static sn_status take_operand(sn_parser *p, const char *word)
{
	if (p->n_operand < SN_MIN(p->max_operand, (int)SN_MOST_OPERANDS)) return p->operand[p->n_operand++] = word, SN_OK;
	if (p->max_operand == 0)
		return sn_fail(p->ctx, SN_EARG, "unexpected \"%s\": `sonde %s` takes options only; see --help", word,
					   p->command);
	return sn_fail(p->ctx, SN_EARG, "unexpected \"%s\": `sonde %s` takes at most %d operands; see --help", word,
				   p->command, p->max_operand);
}

sn_status sn_parse_words(sn_parser *p, int argc, char **argv)
{
	for (int t = 0; t < p->n_target; t++)
		SN_TRY(sn_param_defaults(p->ctx, &p->target[t].table, p->arena, p->target[t].values));
	bool options = true;
	for (int i = 0, used = 1; i < argc; i += used, used = 1) {
		if (options && strcmp(argv[i], "--") == 0)
			options = false;
		else if (options && strcmp(argv[i], "-h") == 0)
			SN_TRY(parse_option(p, (char *[]){ "--help" }, 1, &used));
		else if (options && strncmp(argv[i], "--", 2) == 0)
			SN_TRY(parse_option(p, argv + i, argc - i, &used));
		else if (options && argv[i][0] == '-' && argv[i][1])
			return sn_fail(p->ctx, SN_EARG, "unknown option %s; options are written --name value", argv[i]);
		else
			SN_TRY(take_operand(p, argv[i]));
	}
	return SN_OK;
}

/* Required options are texts without a default, so one that was not given is still NULL. */
sn_status sn_parse_check(const sn_parser *p)
{
	for (int t = 0; t < p->n_target; t++) {
		for (int i = 0; i < p->target[t].table.n; i++) {
			const sn_param *param = &p->target[t].table.param[i];
			if (!param->required || param->type != SN_TYPE_TEXT) continue;
			if (!*(const char *const *)((const char *)p->target[t].values + param->off))
				return sn_fail(p->ctx, SN_EARG, "--%s is missing (%s); see `sonde %s --help`", param->name, param->help,
							   p->command);
		}
	}
	return SN_OK;
}
