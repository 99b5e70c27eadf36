/* sonde model info | sites: what a model file holds, and every place in it that can be read or edited. */
#include "base/write.h"
#include "cli/cli.h"
#include "tensor/gemm.h"

#include <string.h>

/* ---- info ---- */

typedef struct fact {
	const char *name, *text, *unit;
	bool number;
} fact;

enum { MOST_FACTS = 32 };

static const char *count(sn_arena *arena, int64_t n) { return sn_arena_format(arena, "%lld", (long long)n); }

/* Packed weights in another precision than the context's. */
static const char *bytes_in(sn_arena *arena, const sn_cli *cli, const sn_model_info *m, sn_precision precision)
{
	int64_t numbers = m->weight_bytes / sn_precision_bytes(sn_gemm_precision(cli->ctx));
	return count(arena, numbers * sn_precision_bytes(precision));
}

static int collect(const sn_cli *cli, const sn_model_info *m, fact *f)
{
	sn_arena *arena = cli->arena;
	const fact all[] = {
		{ "name", m->name, "", false },
		{ "path", m->path, "", false },
		{ "sha256", m->sha256, "", false },
		{ "format", m->format, "", false },
		{ "architecture", m->architecture, "", false },
		{ "quantisation", m->quantisation, "", false },
		{ "training", m->training, "", false },
		{ "licence", m->licence, "", false },
		{ "tokenizer", m->tokenizer, "", false },
		{ "begins with BOS", m->add_bos ? "yes" : "no", "", false },
		{ "attention", m->causal ? "causal" : "bidirectional", "", false },
		{ "unembedding", !m->has_logits ? "none" : m->tied ? "tied to the embedding" : "its own", "", false },
		{ "encoder layers", count(arena, m->n_layer_encoder), "", true },
		{ "layers", count(arena, m->n_layer), "", true },
		{ "heads", count(arena, m->n_head), "per layer", true },
		{ "kv heads", count(arena, m->n_kv_head), "per layer", true },
		{ "d_head", count(arena, m->d_head), "", true },
		{ "d_model", count(arena, m->d_model), "", true },
		{ "d_mlp", count(arena, m->d_mlp), "", true },
		{ "vocabulary", count(arena, m->d_vocab), "tokens", true },
		{ "context", count(arena, m->n_ctx), "tokens", true },
		{ "parameters", count(arena, m->n_parameter), "", true },
		{ "file", count(arena, m->file_bytes), "bytes", true },
		{ "weights in memory, f32", bytes_in(arena, cli, m, SN_F32_PRECISION), "bytes", true },
		{ "weights in memory, bf16x3", bytes_in(arena, cli, m, SN_BF16X3_PRECISION), "bytes", true },
		{ "weights in memory, bf16", bytes_in(arena, cli, m, SN_BF16_PRECISION), "bytes", true },
		{ "bfloat16 unit", sn_bf16_unit_name(sn_bf16_unit()), "", false },
		{ "memory of a step", count(arena, m->step_bytes), "bytes", true },
	};
	_Static_assert(SN_COUNT(all) <= MOST_FACTS, "room for all facts");
	memcpy(f, all, sizeof all);
	return SN_COUNT(all);
}

static void facts_json(sn_buf *buf, const fact *f, int n)
{
	for (int i = 0; i < n; i++) {
		sn_buf_puts(buf, i ? ",\n " : "{");
		sn_write_json(buf, f[i].name);
		sn_buf_puts(buf, ": ");
		if (f[i].number)
			sn_buf_puts(buf, f[i].text);
		else
			sn_write_json(buf, f[i].text);
	}
	sn_buf_puts(buf, "}\n");
}

static sn_status print_info(sn_cli *cli, const sn_model *model)
{
	static const char *const header[] = { "property", "value", "unit" };
	fact f[MOST_FACTS];
	const char *cell[3 * MOST_FACTS];
	int n = collect(cli, sn_model_get_info(model), f);
	for (int i = 0; i < n; i++) {
		if (!f[i].text) return SN_ENOMEM;
		cell[3 * i] = f[i].name;
		cell[3 * i + 1] = f[i].text[0] ? f[i].text : "unknown";
		cell[3 * i + 2] = f[i].unit;
	}
	if (strcmp(cli->common.format, "json") != 0) return sn_cli_table(cli, header, (bool[3]){ false }, 3, cell, n);
	facts_json(&cli->out, f, n);
	return SN_OK;
}

static sn_status info(sn_cli *cli)
{
	sn_model *model;
	SN_TRY(sn_model_open(&model, cli->ctx, cli->operand[0]));
	sn_status status = sn_model_hash(cli->ctx, model);
	if (status == SN_OK) status = print_info(cli, model);
	sn_model_close(model);
	return status;
}

/* ---- sites ---- */

typedef struct site_kind {
	const char *name;
	bool in_block;
} site_kind;

static const site_kind kinds[] = {
#define KIND(kind, name, in_block, width) { name, in_block },
	SN_SITE_MAP(KIND)
#undef KIND
};

/* The shape of what a tap yields. */
static const char *shape(sn_arena *arena, const sn_model *model, const sn_site *site)
{
	sn_site head = *site;
	head.head = 1;
	long long all = sn_site_width(model, site), one = sn_site_width(model, &head);
	if (all == 0) return sn_arena_string(arena, "[positions, heads, positions attended]");
	if (all == one) return sn_arena_format(arena, "[positions, %lld]", all);
	return sn_arena_format(arena, "[positions, %lld heads x %lld]", all / one, one);
}

typedef struct list {
	const char **cell;
	int64_t n, room;
} list;
enum { SITE, SITES, SHAPE, SITE_COLUMNS };

static sn_status add_site(sn_cli *cli, list *l, const char *name, int n, const char *words)
{
	const char **row = l->cell + l->n * SITE_COLUMNS;
	SN_ASSERT(l->n < l->room);
	row[SITE] = sn_arena_string(cli->arena, name);
	row[SITES] = count(cli->arena, n);
	row[SHAPE] = words;
	l->n++;
	return row[SITE] && row[SITES] && row[SHAPE] ? SN_OK : SN_ENOMEM;
}

/* Adds one kind of site, as a pattern or layer by layer; an architecture without it adds nothing. */
static sn_status add_kind(sn_cli *cli, const sn_model *model, const char *stack, const site_kind *k, bool expand,
						  list *l)
{
	char name[112];
	sn_site *site;
	int n;
	sn_format(name, sizeof name, "%s%s%s", stack, k->in_block ? "blocks.*." : "", k->name);
	sn_status status = sn_site_expand(cli->ctx, model, name, cli->arena, &site, &n);
	if (status == SN_EARG) return SN_OK;
	if (status != SN_OK) return status;
	const char *words = shape(cli->arena, model, &site[0]);
	if (!k->in_block) sn_site_format(&site[0], name, sizeof name);   /* a head stands outside both stacks */
	if (!expand) return add_site(cli, l, name, n, words);
	for (int i = 0; i < n; i++) {
		sn_site_format(&site[i], name, sizeof name);
		SN_TRY(add_site(cli, l, name, 1, words));
	}
	return SN_OK;
}

typedef struct sites_param {
	bool expand;
} sites_param;

static sn_status print_sites(sn_cli *cli, const sn_model *model)
{
	static const char *const header[] = { "site", "sites", "shape" };
	static const bool right[] = { false, true, false };
	bool expand = ((const sites_param *)cli->param)->expand;
	static const char *const only[] = { "" }, *const both[] = { "encoder.", "decoder." };
	const sn_model_info *m = sn_model_get_info(model);
	const char *const *stack = m->n_layer_encoder ? both : only;
	int n_stack = m->n_layer_encoder ? SN_COUNT(both) : SN_COUNT(only);
	list l = { .room = 2 * SN_COUNT(kinds) * (expand ? (int64_t)SN_MAX(1, m->n_layer + m->n_layer_encoder) : 1) };
	SN_NEW(l.cell, cli->arena, const char *, l.room *SITE_COLUMNS);
	for (int k = 0; k < n_stack; k++)
		for (int i = 0; i < SN_COUNT(kinds); i++) SN_TRY(add_kind(cli, model, stack[k], &kinds[i], expand, &l));
	return sn_cli_table(cli, header, right, SITE_COLUMNS, l.cell, l.n);
}

static sn_status sites(sn_cli *cli)
{
	sn_model *model;
	SN_TRY(sn_model_open(&model, cli->ctx, cli->operand[0]));
	sn_status status = print_sites(cli, model);
	sn_model_close(model);
	return status;
}

static const sn_param sites_rows[] = {
	{ .name = "expand",
	  .help = "one row a layer instead of one a pattern",
	  .type = SN_TYPE_BOOL,
	  .off = offsetof(sites_param, expand) },
};

const sn_command sn_command_model_info = {
	.family = "model",
	.name = "info",
	.brief = "architecture, sizes, tokenizer, licence and the memory a model needs",
	.operands = "MODEL",
	.min_operand = 1,
	.max_operand = 1,
	.doc = "MODEL is a GGUF file, a Hugging Face folder, or the name ORG/NAME of a model that `sonde model pull` has "
		   "fetched.",
	.example = "sonde model info models/SmolLM2-135M-Instruct.Q4_1.gguf",
	.run = info,
};
const sn_command sn_command_model_sites = {
	.family = "model",
	.name = "sites",
	.brief = "every place that can be read or edited, with its shape",
	.operands = "MODEL",
	.min_operand = 1,
	.max_operand = 1,
	.doc = "Names are TransformerLens's. A name is also a pattern for --sites: * stands for every layer or head, [3] "
		   "for one head.",
	.param = sites_rows,
	.n_param = SN_COUNT(sites_rows),
	.param_size = sizeof(sites_param),
	.example = "sonde model sites models/SmolLM2-135M-Instruct.Q4_1.gguf",
	.run = sites,
};
