/* Commands made from the registry: open what a method needs, run it, hand its result out. */
#include "cli/method.h"
#include "cli/cli.h"

#include <string.h>

#define MODEL_ROW                                                                                                      \
	{ .name = "model",                                                                                                 \
	  .unit = "MODEL",                                                                                                 \
	  .help = "GGUF file, Hugging Face folder, or ORG/NAME fetched by `sonde model pull`; also without --model",       \
	  .type = SN_TYPE_TEXT,                                                                                            \
	  .off = offsetof(sn_method_input, model),                                                                         \
	  .required = true }
#define DATA_ROW(is_required)                                                                                          \
	{ .name = "data",                                                                                                  \
	  .unit = "FILE",                                                                                                  \
	  .help = "JSONL, CSV, TSV, CoNLL-U or plain lines; - is standard input",                                          \
	  .type = SN_TYPE_TEXT,                                                                                            \
	  .off = offsetof(sn_method_input, data),                                                                          \
	  .required = (is_required) }

static const sn_param input_rows[] = { MODEL_ROW, DATA_ROW(true) };
static const sn_param free_data_rows[] = { MODEL_ROW, DATA_ROW(false) };

sn_param_table sn_method_input_table(const sn_method *m)
{
	bool model = m->needs & SN_NEEDS_MODEL, data = m->needs & SN_NEEDS_DATA;
	if (m->needs & SN_TAKES_DATA) return (sn_param_table){ free_data_rows, SN_COUNT(free_data_rows) };
	return (sn_param_table){ input_rows + (model ? 0 : 1), model + data };
}

/* How the run ended, in the result itself. */
static sn_status add_ending(sn_cli *cli, sn_result *result, sn_status status, double seconds)
{
	SN_TRY(sn_result_set(result, "seconds", "%.1f", seconds));
	SN_TRY(sn_result_set(result, "command", "%s", cli->words));
	if (status == SN_ECANCEL) return sn_result_limit(result, "Interrupted: only finished rows are here.");
	return status == SN_ECHECK ? sn_result_limit(result, "A check failed: %s.", sn_error(cli->ctx)) : SN_OK;
}

/* What was finished is handed out also when a check failed or the user interrupted; the run's own error is what is told
 * then. */
static sn_status hand_out(sn_cli *cli, sn_result *result, sn_status status, double seconds)
{
	if (status != SN_OK && status != SN_ECHECK && status != SN_ECANCEL) return status;
	if (cli->team.rank > 0) return status; /* rank 0 has the same result */
	const char *error = sn_arena_string(cli->arena, sn_error(cli->ctx));
	if (!error) return SN_ENOMEM;
	SN_TRY(add_ending(cli, result, status, seconds));
	SN_TRY(sn_cli_emit(cli, result, status, seconds));
	return status == SN_OK ? SN_OK : sn_fail(cli->ctx, status, "%s", error);
}

static sn_status run_and_emit(sn_cli *cli, const sn_input *input)
{
	sn_result *result;
	SN_TRY(sn_result_open(&result, cli->ctx, cli->method));
	double started = sn_cli_seconds();
	sn_status status = sn_method_run(cli->ctx, cli->method, input, cli->param, result);
	status = hand_out(cli, result, status, sn_cli_seconds() - started);
	sn_result_close(result);
	return status;
}

sn_status sn_method_command(sn_cli *cli, const sn_method_input *names)
{
	sn_model *model = NULL;
	sn_dataset *data = NULL;
	if (cli->team.n > 1 && names->data && strcmp(names->data, "-") == 0)
		return sn_fail(cli->ctx, SN_EARG, "--data -: standard input reaches one rank only; name a file");
	sn_status status = names->model ? sn_model_open(&model, cli->ctx, names->model) : SN_OK;
	if (status == SN_OK && names->data) status = sn_dataset_open(&data, cli->ctx, names->data);
	sn_input input = { .model = { model }, .data = { data } };
	if (status == SN_OK) status = sn_cli_checkpoint(cli, names);
	if (status == SN_OK) status = sn_cli_checkpoint_end(cli, run_and_emit(cli, &input));
	sn_dataset_close(data);
	sn_model_close(model);
	return status;
}
