/* sonde data make: the items of a phenomenon, as JSONL. */
#include "cli/cli.h"
#include "data/phenomenon.h"
#include "text/tokenizer.h"

#include <string.h>

typedef struct make_param {
	const char *model, *effort, *lengths, *out;
	int64_t items;
} make_param;

static const sn_param params[] = {
	{ .name = "items",
	  .unit = "prefixes",
	  .help = "about how many, probe prefixes and pairs in all; rounded up until every cell of the balance is equally "
			  "full. 0: as many as --effort asks for",
	  .def = "0",
	  .type = SN_TYPE_INT,
	  .off = offsetof(make_param, items),
	  .max = 1e7 },
	{ .name = "effort",
	  .help = "sizes of the presets of `sonde localize`",
	  .def = "standard",
	  .choices = "quick|standard|thorough",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(make_param, effort) },
	{ .name = "model",
	  .help =
		  "GGUF file, or folder with tokenizer.json: keep only what this tokenizer can use. Without it: text, which "
		  "is fitted to a tokenizer when it is read",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(make_param, model) },
	{ .name = "lengths",
	  .help = "with --model: drop pairs whose members differ in their number of tokens (equal), or keep them (any)",
	  .def = "equal",
	  .choices = "equal|any",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(make_param, lengths) },
	{ .name = "out",
	  .unit = "FILE",
	  .help = "write the items there, not to standard output",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(make_param, out) },
};

static sn_items_size size_of(const make_param *p)
{
	if (p->items > 0) return sn_items_share(p->items);
	return sn_items_preset(strcmp(p->effort, "quick") == 0      ? SN_EFFORT_QUICK
						   : strcmp(p->effort, "thorough") == 0 ? SN_EFFORT_THOROUGH
																: SN_EFFORT_STANDARD);
}

static void tell(sn_ctx *ctx, const sn_items *items)
{
	sn_note(ctx, "%s: %lld probe prefixes, %lld pairs, %d pairs of choice words; %lld prefixes dropped", items->id,
			(long long)items->n_probe, (long long)items->n_pair / 2, items->n_choice, (long long)items->n_dropped);
	if (items->n_unequal > 0)
		sn_note(ctx, "%lld pairs differ in their number of tokens", (long long)items->n_unequal / 2);
	for (int d = 0; d < items->n_drop; d++) {
		const sn_drop *drop = &items->drop[d];
		sn_note(ctx, "dropped %lld: %s%s%s%s%s", (long long)drop->n, drop->reason, drop->group ? ", " : "",
				drop->group ? drop->group : "", drop->frequency ? ", frequency " : "",
				drop->frequency ? drop->frequency : "");
	}
}

static sn_status make(sn_cli *cli, const make_param *p, const sn_tokenizer *tokenizer)
{
	const sn_phenomenon *phenomenon;
	sn_items *items;
	sn_items_size size = size_of(p);
	size.any_length = strcmp(p->lengths, "any") == 0;
	SN_TRY(sn_phenomenon_open(&phenomenon, cli->ctx, cli->operand[0], cli->arena));
	SN_TRY(sn_items_make(&items, cli->ctx, phenomenon, tokenizer, &size, sn_ctx_seed(cli->ctx), cli->arena));
	sn_items_jsonl(&cli->out, items);
	if (cli->out.failed) return SN_ENOMEM;
	tell(cli->ctx, items);
	if (!p->out) return SN_OK;
	SN_TRY(sn_write_file(cli->ctx, p->out, cli->out.data, cli->out.size));
	cli->out.size = 0;
	return SN_OK;
}

static sn_status run(sn_cli *cli)
{
	const make_param *p = cli->param;
	sn_tokenizer *tokenizer = NULL;
	if (p->model) SN_TRY(sn_tokenizer_open_path(&tokenizer, cli->ctx, p->model));
	sn_status status = make(cli, p, tokenizer);
	sn_tokenizer_close(tokenizer);
	return status;
}

const sn_command sn_command_data_make = {
	.family = "data",
	.name = "make",
	.brief = "the items of a phenomenon as JSONL: what other commands read as data",
	.doc =
		"One prefix a line with its roles, labels, condition, unit (twins, pairs) and choice words, whatever --format "
		"says; docs/phenomena.md explains every key. PHENOMENON is a suite that comes with Sonde "
		"(en/number-agreement) or the path of a file. What was dropped, and why, is noted on standard error.",
	.example = "sonde data make en/number-agreement --items 1000 --model models/SmolLM2-135M-Instruct.Q4_1.gguf",
	.operands = "PHENOMENON",
	.min_operand = 1,
	.max_operand = 1,
	.param = params,
	.n_param = SN_COUNT(params),
	.param_size = sizeof(make_param),
	.run = run,
};
