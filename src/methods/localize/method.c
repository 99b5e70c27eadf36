/* `sonde localize`: where a model keeps a grammatical feature, whether it uses it, and through which encoding. */
#include "methods/localize/tables.h"

#include "base/checkpoint.h"
#include "data/phenomenon.h"

#include <string.h>

enum { MOST_COMPARED = 8 };

typedef struct localize_param {
	const char *phenomenon, *compare, *effort, *lengths, *lang;
	double delta;
	int64_t resamples, random_models;
} localize_param;

#define OFF(field) offsetof(localize_param, field)
static const sn_param params[] = {
	{ .name = "phenomenon",
	  .help = "a suite (en/number-agreement) or a phenomenon file of your own (docs/phenomena.md)",
	  .def = "en/number-agreement",
	  .type = SN_TYPE_TEXT,
	  .off = OFF(phenomenon) },
	{ .name = "compare",
	  .unit = "PHENOMENON ...",
	  .help = "several phenomena on this model in one report, side by side, in place of --phenomenon",
	  .type = SN_TYPE_TEXT,
	  .off = OFF(compare) },
	{ .name = "effort",
	  .help = "48, 120 or 400 pairs; 480, 960 or 4,000 probe prefixes; erasure from standard on",
	  .def = "standard",
	  .choices = "quick|standard|thorough",
	  .type = SN_TYPE_TEXT,
	  .off = OFF(effort) },
	{ .name = "delta",
	  .unit = "share of D, bits",
	  .help = "threshold of the verdicts",
	  .def = "0.1",
	  .type = SN_TYPE_FLOAT,
	  .off = OFF(delta),
	  .min = 0.001,
	  .max = 0.999 },
	{ .name = "lengths",
	  .help =
		  "pairs whose members differ in their number of tokens: dropped (equal), or kept (any), and then every role "
		  "is patched at its last token",
	  .def = "equal",
	  .choices = "equal|any",
	  .type = SN_TYPE_TEXT,
	  .off = OFF(lengths) },
	{ .name = "lang",
	  .help = "language of the report's text, English or Russian",
	  .def = "en",
	  .choices = "en|ru",
	  .type = SN_TYPE_TEXT,
	  .off = OFF(lang) },
	{ .name = "resamples",
	  .help = "bootstrap draws of lemmas",
	  .def = "2000",
	  .type = SN_TYPE_INT,
	  .off = OFF(resamples),
	  .min = 100,
	  .max = 100000 },
	{ .name = "random-models",
	  .help = "randomly initialised models for the baseline; -1: by effort (1, 2, 5)",
	  .def = "-1",
	  .type = SN_TYPE_INT,
	  .off = OFF(random_models),
	  .min = -1,
	  .max = 20 },
};

static sn_effort effort_of(const char *name)
{
	if (strcmp(name, "quick") == 0) return SN_EFFORT_QUICK;
	return strcmp(name, "thorough") == 0 ? SN_EFFORT_THOROUGH : SN_EFFORT_STANDARD;
}

/* A provenance key; where several phenomena are compared, with the name of the one it is about. */
static const char *key_of(sn_result *out, const sn_evidence *ev, bool alone, const char *key)
{
	const char *named = alone ? key : sn_arena_format(sn_result_arena(out), "%s, %s", key, ev->items->id);
	return named ? named : key;
}

static sn_status set_provenance(sn_result *out, const sn_evidence *ev, bool alone)
{
	const sn_items *items = ev->items;
#define KEY(name) key_of(out, ev, alone, name)
	SN_TRY(sn_result_set(out, KEY("phenomenon"), "%s (%s)", items->id, items->source ? items->source : ""));
	SN_TRY(sn_result_set(out, KEY("prefixes"), "%lld probe prefixes, %lld pair members, %lld tried, %lld dropped",
						 (long long)items->n_probe, (long long)ev->n_member, (long long)items->n_generated,
						 (long long)items->n_dropped));
	SN_TRY(sn_result_set(out, KEY("pairs"),
						 "%lld directions, %lld between prefixes that differ in their number of tokens",
						 (long long)items->n_pair, (long long)items->n_unequal));
	SN_TRY(sn_result_set(out, KEY("choice words"), "%d pairs, single tokens", items->n_choice));
	SN_TRY(sn_result_set(out, KEY("lemmas"), "%d in %d folds", items->n_lemma, items->n_fold));
#undef KEY
	return sn_result_set(out, "first token", "lead-in or BOS; no role stands at position 0");
}

static sn_status add_citations(sn_result *out)
{
	static const char *const cite[] = {
		"Lasri et al. 2022, Probing for the Usage of Grammatical Number (erasing number, and its effect on the choice)",
		"Finlayson et al. 2021, Causal Analysis of Syntactic Agreement Mechanisms in Neural Language Models",
		"Hao & Linzen 2023, Verb Conjugation in Transformers Is Determined by Linear Encodings of Subject Number",
		"Hewitt & Liang 2019, Designing and Interpreting Probes with Control Tasks (selectivity)",
		"Xu et al. 2020, A Theory of Usable Information under Computational Constraints (I, in bits)",
		"Belrose et al. 2023, LEACE: Perfect Linear Concept Erasure in Closed Form (the projection)",
		"Geiger et al. 2021, Causal Abstractions of Neural Networks (interchange)",
		("Bodnar, Gupta & Parolya 2014, On the Strong Convergence of the Optimal Linear Shrinkage Estimator "
		 "(the covariance)"),
		("Nanda 2023, Attribution Patching; Syed et al. 2023; Hanna et al. 2024, Have Faith in Faithfulness (gradients "
		 "along the line between embeddings): the ranking of heads and MLPs"),
		"nostalgebraist 2020, Interpreting GPT: the Logit Lens",
		"Owen 2007, The Pigeonhole Bootstrap (lemmas resampled)",
	};
	for (int i = 0; i < SN_COUNT(cite); i++) SN_TRY(sn_result_cite(out, cite[i]));
	return SN_OK;
}

/* The file's name, which readers know; names inside GGUF files are often those of a training run. */
static const char *display_name(const sn_model_info *info)
{
	const char *slash = strrchr(info->path, '/');
	return slash && slash[1] ? slash + 1 : info->path[0] ? info->path : info->name;
}

/* The phenomenon's file may have changed under a run that is taken up: its items then differ. */
static sn_status identify_items(sn_ctx *ctx, const char *name, const sn_items *items, sn_arena *arena)
{
	char hex[65];
	const char *what = sn_arena_format(arena, "items (sha256) of %s", name);
	if (!what) return SN_ENOMEM;
	SN_TRY(sn_hash_bytes(ctx, items->token, (size_t)items->start[items->n] * sizeof *items->token, hex));
	return sn_checkpoint_identify(ctx, what, hex);
}

static sn_status measure(sn_evidence *ev, sn_ctx *ctx, sn_model *model, const char *name, const localize_param *p,
						 sn_arena *arena)
{
	const sn_phenomenon *phenomenon;
	SN_TRY(sn_phenomenon_open(&phenomenon, ctx, name, arena));
	sn_effort effort = effort_of(p->effort);
	sn_items_size size = sn_items_preset(effort);
	size.any_length = strcmp(p->lengths, "any") == 0;
	sn_items *items;
	sn_progress(ctx, "making items", 0, 1);
	SN_TRY(sn_items_make(&items, ctx, phenomenon, sn_model_tokenizer(model), &size, sn_ctx_seed(ctx), arena));
	SN_TRY(identify_items(ctx, name, items, arena));
	sn_localize_options options = sn_localize_preset(effort);
	options.delta = p->delta;
	options.n_boot = (int)p->resamples;
	if (p->random_models >= 0) options.n_random = (int)p->random_models;
	SN_TRY(sn_localize_run(ev, ctx, model, items, &options, arena));
	ev->russian = strcmp(p->lang, "ru") == 0;
	return SN_OK;
}

/* Splits "en/number-agreement,ru/number-agreement"; without it, the one phenomenon. */
static sn_status list_phenomena(const char **name, int *n, sn_ctx *ctx, const localize_param *p, sn_arena *arena)
{
	*n = 0;
	if (!p->compare) {
		name[(*n)++] = p->phenomenon;
		return SN_OK;
	}
	char *copy = sn_arena_string(arena, p->compare);
	if (!copy) return SN_ENOMEM;
	for (char *next; copy && *n < MOST_COMPARED; copy = next) {
		next = strchr(copy, ',');
		if (next) *next++ = 0;
		if (*copy) name[(*n)++] = copy;
	}
	if (copy || *n < 2)
		return sn_fail(ctx, SN_EARG,
					   "--compare %s: expected 2 to %d phenomena, such as --compare en/number-agreement "
					   "ru/number-agreement",
					   p->compare, MOST_COMPARED);
	return SN_OK;
}

static sn_status set_title(sn_result *out, const sn_evidence *ev, int n, const char *model)
{
	sn_buf names = { .ctx = sn_result_ctx(out) };
	for (int k = 0; k < n; k++) sn_buf_format(&names, "%s%s", k ? ", " : "", ev[k].items->id);
	sn_status status = names.failed ? SN_ENOMEM : SN_OK;
	if (status == SN_OK)
		status = sn_result_set(out, "title", sn_result_word(out, "%s in %s: where it is kept, and where it is used"),
							   names.data, model);
	sn_buf_free(&names);
	return status;
}

static sn_status localize(sn_ctx *ctx, sn_model *model, const localize_param *p, sn_result *out)
{
	sn_evidence ev[MOST_COMPARED];
	const char *phenomenon[MOST_COMPARED], *name = display_name(sn_model_get_info(model));
	int n;
	SN_TRY(list_phenomena(phenomenon, &n, ctx, p, sn_result_arena(out)));
	for (int k = 0; k < n; k++) SN_TRY(measure(&ev[k], ctx, model, phenomenon[k], p, sn_result_arena(out)));
	if (ev[0].russian) SN_TRY(sn_result_in_russian(out));
	for (int k = 0; k < n; k++) SN_TRY(set_provenance(out, &ev[k], n == 1));
	SN_TRY(set_title(out, ev, n, name));
	if (n > 1) {
		SN_TRY(sn_localize_compare(out, ev, n, name));
		return add_citations(out);
	}
	SN_TRY(sn_localize_rows(out, ev));
	SN_TRY(sn_localize_say(out, ev, name));
	SN_TRY(sn_localize_limits(out, ev));
	return add_citations(out);
}

static sn_status run(sn_ctx *ctx, const sn_input *input, const void *param, sn_result *out)
{
	sn_model *model = input->model[0];
	const sn_model_info *info = sn_model_get_info(model);
	if (!sn_model_tokenizer(model))
		return sn_fail(ctx, SN_EARG, "%s has no tokenizer; localize makes its prefixes from words and needs one",
					   info->path);
	if (!info->causal)
		return sn_fail(ctx, SN_EARG, "%s is not a causal model; localize reads a choice after its prefix", info->path);
	return localize(ctx, model, param, out);
}

const sn_method sn_method_localize = {
	.family = "",
	.name = "localize",
	.brief = "where a model keeps a grammatical feature, and where it uses it",
	.doc = "One phenomenon, one model, three kinds of evidence about the same prefixes: is the feature encoded, does "
		   "the model choose by it, "
		   "does the choice pass here and is this encoding used - for each layer and role, with baselines, controls "
		   "and intervals.",
	.cite = "Lasri et al. 2022; Hao & Linzen 2023; Hewitt & Liang 2019; Belrose et al. 2023; Geiger et al. 2021",
	.example = "sonde localize --model models/SmolLM2-135M-Instruct.Q4_1.gguf --phenomenon en/number-agreement "
			   "--effort quick --out report",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_TOKENIZER,
	.param = params,
	.n_param = SN_COUNT(params),
	.param_size = sizeof(localize_param),
	.table = sn_localize_tables,
	.n_table = SN_LOCALIZE_TABLES,
	.run = run,
};
