/* Results out: standard output, the report folder, the store. */
#include "base/write.h"
#include "cli/cli.h"
#include "report/report.h"
#include "store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TERMINAL_ROWS = 60 };

sn_status sn_cli_flush(sn_cli *cli)
{
	if (cli->out.failed) return SN_ENOMEM;
	if (cli->team.rank > 0) return cli->out.size = 0, SN_OK; /* rank 0 says the same */
	bool failed = cli->out.size && fwrite(cli->out.data, 1, cli->out.size, stdout) != cli->out.size;
	cli->out.size = 0;
	if (!failed) failed = fflush(stdout) != 0;
	if (!failed) return SN_OK;
	int e = errno;
	return sn_fail(cli->ctx, e == ENOSPC ? SN_EDISK : SN_EIO, "standard output: cannot write: %s", strerror(e));
}

/* ---- plain tables ---- */

static void table_csv(sn_buf *buf, const char *const *text, int n_col, bool tabs)
{
	for (int c = 0; c < n_col; c++) {
		sn_buf_puts(buf, c == 0 ? "" : tabs ? "\t" : ",");
		(tabs ? sn_write_tsv : sn_write_csv)(buf, text[c]);
	}
	sn_buf_puts(buf, "\n");
}

static void table_json(sn_buf *buf, const char *const *header, const bool *right, int n_col, const char *const *cell)
{
	sn_buf_puts(buf, "{");
	for (int c = 0; c < n_col; c++) {
		sn_buf_puts(buf, c ? ", " : "");
		sn_write_json(buf, header[c]);
		sn_buf_puts(buf, ": ");
		if (right[c])
			sn_buf_puts(buf, cell[c][0] ? cell[c] : "null");
		else
			sn_write_json(buf, cell[c]);
	}
	sn_buf_puts(buf, "}");
}

sn_status sn_cli_table(sn_cli *cli, const char *const *header, const bool *right, int n_col, const char *const *cell,
					   int64_t n_row)
{
	if (strcmp(cli->common.format, "json") == 0) {
		sn_buf_puts(&cli->out, "[");
		for (int64_t r = 0; r < n_row; r++) {
			sn_buf_puts(&cli->out, r ? ",\n " : "");
			table_json(&cli->out, header, right, n_col, cell + r * n_col);
		}
		sn_buf_puts(&cli->out, "]\n");
	} else if (strcmp(cli->common.format, "table") != 0) {
		bool tabs = strcmp(cli->common.format, "tsv") == 0;
		table_csv(&cli->out, header, n_col, tabs);
		for (int64_t r = 0; r < n_row; r++) table_csv(&cli->out, cell + r * n_col, n_col, tabs);
	} else {
		sn_text_table(&cli->out, header, right, n_col, cell, n_row);
	}
	return cli->out.failed ? SN_ENOMEM : SN_OK;
}

/* ---- results ---- */

sn_status sn_cli_print(sn_cli *cli, const sn_result *result)
{
	if (strcmp(cli->common.format, "json") == 0)
		sn_report_json(&cli->out, result);
	else if (strcmp(cli->common.format, "csv") == 0)
		sn_report_csv(&cli->out, result);
	else if (strcmp(cli->common.format, "tsv") == 0)
		sn_report_tsv(&cli->out, result);
	else
		return sn_report_text(&cli->out, result, TERMINAL_ROWS, isatty(STDOUT_FILENO) && !getenv("NO_COLOR"));
	return cli->out.failed ? SN_ENOMEM : SN_OK;
}

static sn_status write_buf(sn_ctx *ctx, const char *folder, const char *name, sn_buf *buf)
{
	sn_buf path = { .ctx = ctx };
	sn_buf_format(&path, "%s/%s", folder, name);
	sn_status status = path.failed || buf->failed ? SN_ENOMEM
					   : buf->size                ? sn_write_file(ctx, path.data, buf->data, buf->size)
												  : SN_OK;
	sn_buf_free(&path);
	sn_buf_free(buf);
	return status;
}

sn_status sn_cli_make_folder(sn_ctx *ctx, const char *folder)
{
	if (mkdir(folder, 0777) == 0 || errno == EEXIST) return SN_OK;
	int e = errno;
	return sn_fail(ctx, e == ENOSPC ? SN_EDISK : SN_EIO, "%s: cannot make the folder: %s", folder, strerror(e));
}

static sn_status write_figures(sn_ctx *ctx, const char *folder, const sn_result *result)
{
	const sn_method *m = sn_result_method(result);
	for (int t = 0; t < m->n_table; t++) {
		sn_buf svg = { .ctx = ctx };
		char name[128];
		sn_format(name, sizeof name, "%s.svg", m->table[t].name);
		sn_status status = sn_report_svg(&svg, result, t);
		if (status != SN_OK) return sn_buf_free(&svg), status;
		SN_TRY(write_buf(ctx, folder, name, &svg));
	}
	return SN_OK;
}

sn_status sn_cli_write_folder(sn_ctx *ctx, const char *folder, const sn_result *result)
{
	SN_TRY(sn_cli_make_folder(ctx, folder));
	sn_buf buf = { .ctx = ctx };
	sn_report_json(&buf, result);
	SN_TRY(write_buf(ctx, folder, "result.json", &buf));
	sn_report_csv(&buf, result);
	SN_TRY(write_buf(ctx, folder, "rows.csv", &buf));
	SN_TRY(write_figures(ctx, folder, result));
	sn_status status = sn_report_html(&buf, result);
	if (status != SN_OK) return sn_buf_free(&buf), status;
	return write_buf(ctx, folder, "report.html", &buf);
}

const char *sn_cli_store_path(sn_cli *cli)
{
	if (cli->common.store) return cli->common.store;
	if (cli->common.out) return sn_arena_format(cli->arena, "%s/runs.sqlite", cli->common.out);
	return getenv("SONDE_STORE");
}

static sn_status store_result(sn_cli *cli, const char *path, const sn_result *result, sn_status ended, double seconds)
{
	sn_store *store;
	int64_t run;
	SN_TRY(sn_store_open(&store, cli->ctx, path, true));
	sn_status status = sn_store_put(store, result, ended, seconds, &run);
	sn_store_close(store);
	if (status == SN_OK) sn_note(cli->ctx, "run %lld kept in %s", (long long)run, path);
	return status;
}

sn_status sn_cli_emit(sn_cli *cli, const sn_result *result, sn_status ended, double seconds)
{
	SN_TRY(sn_cli_print(cli, result));
	SN_TRY(sn_cli_flush(cli));
	if (cli->common.out) {
		SN_TRY(sn_cli_write_folder(cli->ctx, cli->common.out, result));
		sn_note(cli->ctx, "report in %s/report.html", cli->common.out);
	}
	const char *store = sn_cli_store_path(cli);
	return store ? store_result(cli, store, result, ended, seconds) : SN_OK;
}
