/* Where the checkpoint of a command stands, and what becomes of it. */
#include "base/checkpoint.h"
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file that the method itself writes (`sonde capture --out FILE`), or NULL. */
static const char *own_file(const sn_cli *cli)
{
	sn_param_table table = { cli->method->param, cli->method->n_param };
	const sn_param *out = sn_param_find(&table, "out");
	return out && out->type == SN_TYPE_TEXT ? *(const char *const *)((const char *)cli->param + out->off) : NULL;
}

/* Makes every folder of a path that is missing; false where one cannot be made. */
static bool make_folders(char *path)
{
	for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		bool made = mkdir(path, 0777) == 0 || errno == EEXIST;
		*slash = '/';
		if (!made) return false;
	}
	return true;
}

/* A name for the run of a command that writes no file: the same words in the same folder. */
static sn_status name_run(sn_cli *cli, const sn_method_input *input, char hex[65])
{
	char folder[4096] = "";
	if (!getcwd(folder, sizeof folder)) folder[0] = '\0';
	sn_buf text = { .ctx = cli->ctx };
	sn_param_table table = { cli->method->param, cli->method->n_param };
	sn_buf_format(&text, "%s\n%s %s\n%s\n%s\n%lld %s\n", folder, cli->method->family, cli->method->name,
	              input->model ? input->model : "", input->data ? input->data : "", (long long)cli->common.seed,
	              cli->common.precision);
	sn_param_json(&text, &table, cli->param);
	sn_status status = text.failed ? SN_ENOMEM : sn_hash_bytes(cli->ctx, text.data, text.size, hex);
	sn_buf_free(&text);
	return status;
}

/* NULL: there is no place for it. */
static sn_status state_path(sn_cli *cli, const sn_method_input *input, char **path)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char hex[65];
	*path = NULL;
	if ((!state || state[0] != '/') && (!home || home[0] != '/')) return SN_OK;
	SN_TRY(name_run(cli, input, hex));
	if (state && state[0] == '/') *path = sn_arena_format(cli->arena, "%s/sonde/%.24s.checkpoint", state, hex);
	else *path = sn_arena_format(cli->arena, "%s/.local/state/sonde/%.24s.checkpoint", home, hex);
	if (!*path) return SN_ENOMEM;
	if (!make_folders(*path)) *path = NULL;
	return SN_OK;
}

static sn_status find_path(sn_cli *cli, const sn_method_input *input, char **path, bool *asked)
{
	const char *file = own_file(cli);
	*asked = file || cli->common.out || cli->common.resume;
	if (!file && !cli->common.out) return state_path(cli, input, path);
	if (!file) SN_TRY(sn_cli_make_folder(cli->ctx, cli->common.out));
	*path = sn_arena_format(cli->arena, file ? "%s.checkpoint" : "%s/checkpoint", file ? file : cli->common.out);
	return *path ? SN_OK : SN_ENOMEM;
}

sn_status sn_cli_checkpoint(sn_cli *cli, const sn_method_input *input)
{
	char *path;
	bool asked; /* for output, or for --resume: otherwise the run goes on without a checkpoint */
	if (cli->team.rank > 0) return SN_OK; /* what is finished comes from rank 0 */
	SN_TRY(find_path(cli, input, &path, &asked));
	if (!path) return SN_OK;
	sn_status status = sn_checkpoint_attach(cli->ctx, path, cli->common.resume);
	return asked ? status : SN_OK;
}

/* Whether the same command could end better another time. */
static bool worth_keeping(sn_status status)
{
	return status == SN_ECANCEL || status == SN_EDISK || status == SN_ENOMEM || status == SN_EIO ||
	       status == SN_EINTERNAL;
}

sn_status sn_cli_checkpoint_end(sn_cli *cli, sn_status status)
{
	if (!sn_checkpoint_attached(cli->ctx)) return status;
	bool done = status == SN_OK || status == SN_ECHECK;
	if (done || (!worth_keeping(status) && !cli->common.resume)) return sn_checkpoint_remove(cli->ctx), status;
	if (!worth_keeping(status) || !sn_checkpoint_written(cli->ctx)) return status;
	return sn_fail(cli->ctx, status, "%s; what was finished is kept: go on with --resume", sn_error(cli->ctx));
}
