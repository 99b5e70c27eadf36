/* sonde runs list | show | export: what the store holds. */
#include "cli/cli.h"
#include "report/report.h"
#include "store/store.h"

#include <string.h>

static sn_status open_store(sn_cli *cli, sn_store **out)
{
	const char *path = sn_cli_store_path(cli);
	if (!path) return sn_fail(cli->ctx, SN_EARG, "which store? give --store FILE (or set SONDE_STORE)");
	return sn_store_open(out, cli->ctx, path, false);
}

/* ---- list ---- */

enum { RUN, TIME, METHOD, MODEL, STATUS, SECONDS, ROWS, LIST_COLUMNS };

static sn_status list_row(sn_arena *arena, const sn_run_info *info, const char **cell)
{
	cell[RUN] = sn_arena_format(arena, "%lld", (long long)info->run);
	cell[TIME] = info->time;
	cell[METHOD] = sn_arena_format(arena, "%s%s%s", info->family, info->family[0] ? " " : "", info->method);
	cell[MODEL] = info->model;
	cell[STATUS] = info->status;
	cell[SECONDS] = sn_arena_format(arena, "%.1f", info->seconds);
	cell[ROWS] = sn_arena_format(arena, "%lld", (long long)info->n_row);
	return cell[RUN] && cell[METHOD] && cell[SECONDS] && cell[ROWS] ? SN_OK : SN_ENOMEM;
}

static sn_status list(sn_cli *cli)
{
	static const char *const header[] = { "run", "time", "method", "model", "status", "seconds", "rows" };
	static const bool right[] = { true, false, false, false, false, true, true };
	sn_store *store;
	sn_run_info *info;
	int64_t n = 0;
	const char **cell;
	SN_TRY(open_store(cli, &store));
	sn_status status = sn_store_list(store, cli->arena, &info, &n);
	sn_store_close(store);
	if (status != SN_OK) return status;
	SN_NEW(cell, cli->arena, const char *, n *LIST_COLUMNS);
	for (int64_t i = 0; i < n; i++) SN_TRY(list_row(cli->arena, &info[i], cell + i * LIST_COLUMNS));
	return sn_cli_table(cli, header, right, LIST_COLUMNS, cell, n);
}

/* ---- one run ---- */

static sn_status load(sn_cli *cli, sn_result **out)
{
	int64_t run;
	sn_store *store;
	*out = NULL;
	if (!sn_parse_i64(cli->operand[0], &run))
		return sn_fail(cli->ctx, SN_EARG, "expected the number of a run, found \"%s\"; `sonde runs list` shows them",
					   cli->operand[0]);
	SN_TRY(open_store(cli, &store));
	sn_status status = sn_store_load(out, store, run);
	sn_store_close(store);
	return status;
}

static void show_pairs(sn_buf *buf, const sn_result *r, const char *head, sn_line_kind kind)
{
	const sn_line *line;
	for (int i = 0; (line = sn_result_line(r, kind, i)); i++) {
		if (i == 0) sn_buf_format(buf, "\n%s\n", head);
		sn_buf_format(buf, "  %s: %s\n", line->key, line->text);
	}
}

static sn_status show(sn_cli *cli)
{
	sn_result *r;
	SN_TRY(load(cli, &r));
	sn_status status = sn_cli_print(cli, r);
	if (status == SN_OK && strcmp(cli->common.format, "table") == 0) {
		show_pairs(&cli->out, r, "Parameters", SN_LINE_PARAM);
		show_pairs(&cli->out, r, "Provenance", SN_LINE_PROVENANCE);
	}
	sn_result_close(r);
	return status;
}

/* --out names the folder to write here, so the store must be named by --store or the environment. */
static sn_status export(sn_cli *cli)
{
	sn_result *r;
	const char *folder = cli->common.out;
	cli->common.out = NULL;
	SN_TRY(load(cli, &r));
	sn_status status = folder ? sn_cli_write_folder(cli->ctx, folder, r) : SN_OK;
	if (status == SN_OK && !folder) sn_report_json(&cli->out, r);
	sn_result_close(r);
	if (status == SN_OK && folder) sn_note(cli->ctx, "report in %s/report.html", folder);
	return status;
}

const sn_command sn_command_runs_list = {
	.family = "runs",
	.name = "list",
	.brief = "the runs a store holds, newest first",
	.example = "sonde runs list --store runs.sqlite",
	.run = list,
};
const sn_command sn_command_runs_show = {
	.family = "runs",
	.name = "show",
	.brief = "one run: summary, tables, parameters, provenance",
	.operands = "RUN",
	.min_operand = 1,
	.max_operand = 1,
	.example = "sonde runs show 3 --store runs.sqlite",
	.run = show,
};
const sn_command sn_command_runs_export = {
	.family = "runs",
	.name = "export",
	.brief = "one run as a report folder (--out) or as JSON",
	.operands = "RUN",
	.min_operand = 1,
	.max_operand = 1,
	.example = "sonde runs export 3 --store runs.sqlite --out report",
	.run = export,
};
