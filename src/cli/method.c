/* Commands made from the registry: open what a method needs, run it, hand its result out. */
#include "cli/cli.h"
#include "cli/method.h"

static const sn_param input_rows[] = {
	{ .name = "model", .help = "GGUF file or Hugging Face folder", .type = SN_TYPE_TEXT, .off = offsetof(sn_method_input, model),
	  .required = true },
	{ .name = "data", .help = "JSONL, CSV, TSV, CoNLL-U or plain lines; - is standard input", .type = SN_TYPE_TEXT,
	  .off = offsetof(sn_method_input, data), .required = true },
};

sn_param_table sn_method_input_table(const sn_method *m)
{
	bool model = m->needs & SN_NEEDS_MODEL, data = m->needs & SN_NEEDS_DATA;
	return (sn_param_table){ input_rows + (model ? 0 : 1), model + data };
}

/* What was finished is handed out also when a check failed or the user interrupted. */
static sn_status run_and_emit(sn_cli *cli, const sn_input *input)
{
	sn_result *result;
	SN_TRY(sn_result_open(&result, cli->ctx, cli->method));
	double started = sn_cli_seconds();
	sn_status status = sn_method_run(cli->ctx, cli->method, input, cli->param, result);
	double seconds = sn_cli_seconds() - started;
	bool usable = status == SN_OK || status == SN_ECHECK || status == SN_ECANCEL;
	sn_status emitted = SN_OK;
	if (usable) emitted = sn_result_set(result, "seconds", "%.1f", seconds);
	if (usable && status != SN_OK && emitted == SN_OK) {
		emitted = sn_result_limit(result, status == SN_ECANCEL ? "Interrupted: only finished rows are here." : "A check failed: %s.",
		                          sn_error(cli->ctx));
	}
	if (usable && emitted == SN_OK) {
		const char *error = sn_arena_string(cli->arena, sn_error(cli->ctx));
		emitted = sn_cli_emit(cli, result, status, seconds);
		if (emitted == SN_OK && status != SN_OK && error) status = sn_fail(cli->ctx, status, "%s", error);
	}
	sn_result_close(result);
	return emitted != SN_OK ? emitted : status;
}

sn_status sn_method_command(sn_cli *cli, const sn_method_input *names)
{
	(void)names;
	sn_input input = { .model = { NULL } };
	return run_and_emit(cli, &input);
}
