/* sonde model pull: a model from the Hugging Face hub into the cache. */
#include "cli/cli.h"
#include "io/hub.h"

#include <string.h>

typedef struct pull_param {
	const char *file;
} pull_param;

enum { COLUMNS = 3 };

static sn_status print_files(sn_cli *cli, const sn_hub_pulled *pulled)
{
	static const char *const header[] = { "file", "bytes", "from" };
	static const bool right[] = { false, true, false };
	static const char *const origin[] = {
		[SN_HUB_CACHED] = "cache", [SN_HUB_FETCHED] = "hub", [SN_HUB_RESUMED] = "hub, resumed"
	};
	const char **cell;
	SN_NEW(cell, cli->arena, const char *, (int64_t)pulled->n *COLUMNS);
	for (int i = 0; i < pulled->n; i++) {
		const sn_hub_file *f = &pulled->file[i];
		cell[COLUMNS * i] = f->name;
		cell[COLUMNS * i + 1] = sn_arena_format(cli->arena, "%lld", (long long)f->size);
		cell[COLUMNS * i + 2] = origin[f->origin];
		if (!cell[COLUMNS * i + 1]) return SN_ENOMEM;
	}
	return sn_cli_table(cli, header, right, COLUMNS, cell, pulled->n);
}

static sn_status pull(sn_cli *cli)
{
	const pull_param *p = cli->param;
	sn_hub_pulled pulled;
	SN_TRY(sn_hub_pull(cli->ctx, cli->arena, cli->operand[0], p->file, &pulled));
	SN_TRY(print_files(cli, &pulled));
	sn_note(cli->ctx, "in %s; its name is %s", pulled.folder, pulled.name);
	return SN_OK;
}

static const sn_param rows[] = {
	{ .name = "file",
	  .unit = "PATTERN",
	  .help = "only the files that match, * and ? as in a shell: for repositories of many GGUF files",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(pull_param, file) },
};

const sn_command sn_command_model_pull = {
	.family = "model",
	.name = "pull",
	.brief = "fetch a model from the Hugging Face hub",
	.operands = "ORG/NAME[@REVISION][/FILE]",
	.min_operand = 1,
	.max_operand = 1,
	.doc =
		"Fetches what Sonde needs – config.json, the tokenizer's files, and the weights in one form: safetensors, or "
		"else "
		"PyTorch's, or else the one GGUF file – into the cache that the Python package huggingface_hub uses too. What "
		"is there "
		"is not fetched again; what broke off is resumed; sizes and hashes are checked. Afterwards the name ORG/NAME "
		"stands "
		"for the model wherever a model is asked for.\n\n"
		"HF_TOKEN (or the file token in HF_HOME) opens gated and private models; HF_ENDPOINT is the address of another "
		"hub; HF_HOME or HF_HUB_CACHE moves the cache; HF_HUB_OFFLINE=1 forbids fetching.",
	.param = rows,
	.n_param = SN_COUNT(rows),
	.param_size = sizeof(pull_param),
	.example = "sonde model pull HuggingFaceTB/SmolLM2-135M",
	.run = pull,
};
