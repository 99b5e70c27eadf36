/* `sonde probe mlp`: what a perceptron of one hidden layer reads from the words of a treebank, for several sizes of it,
 * each with its control: a capacity curve. */
#include "methods/probe/probe.h"

#include <math.h>
#include <string.h>

#include "data/result.h"
#include "methods/probe/words.h"
#include "stats/mlp.h"

typedef struct mlp_param {
	const char *label, *sites, *pieces, *test, *hidden;
	int64_t folds, controls, resamples, limit, epochs, batch;
	double rate, decay;
} mlp_param;

#define OFF(field) offsetof(mlp_param, field)
static const sn_param params[] = {
	{ .name = "label",
	  .help = "upos, xpos, deprel, udeprel, lemma, feats.NAME, misc.NAME; several with commas",
	  .type = SN_TYPE_TEXT,
	  .off = OFF(label),
	  .required = true },
	{ .name = "sites",
	  .help = "sites to probe, comma-separated, * for blocks and heads",
	  .def = "blocks.0.hook_resid_pre,blocks.*.hook_resid_post",
	  .type = SN_TYPE_TEXT,
	  .off = OFF(sites) },
	{ .name = "pieces",
	  .help = "which tokens of a word stand for it",
	  .def = "last",
	  .choices = "last|first|mean",
	  .type = SN_TYPE_TEXT,
	  .off = OFF(pieces) },
	{ .name = "test",
	  .unit = "FILE",
	  .help = "test on this file instead of on folds of sentences",
	  .def = "",
	  .type = SN_TYPE_TEXT,
	  .off = OFF(test) },
	{ .name = "hidden",
	  .help = "sizes of the hidden layer, comma-separated",
	  .def = "4,16,64,256",
	  .type = SN_TYPE_TEXT,
	  .off = OFF(hidden) },
	{ .name = "folds",
	  .help = "blocks of sentences",
	  .def = "5",
	  .type = SN_TYPE_INT,
	  .off = OFF(folds),
	  .min = 2,
	  .max = 50 },
	{ .name = "controls",
	  .help = "control labellings for selectivity; 0: none",
	  .def = "1",
	  .type = SN_TYPE_INT,
	  .off = OFF(controls),
	  .min = 0,
	  .max = 100 },
	{ .name = "resamples",
	  .help = "bootstrap draws of sentences",
	  .def = "2000",
	  .type = SN_TYPE_INT,
	  .off = OFF(resamples),
	  .min = 100,
	  .max = 100000 },
	{ .name = "limit",
	  .unit = "sentences",
	  .help = "only the first sentences of the data; 0: all",
	  .def = "0",
	  .type = SN_TYPE_INT,
	  .off = OFF(limit),
	  .min = 0,
	  .max = 1e9 },
	{ .name = "epochs",
	  .help = "passes over the training words at most",
	  .def = "40",
	  .type = SN_TYPE_INT,
	  .off = OFF(epochs),
	  .min = 1,
	  .max = 10000 },
	{ .name = "batch",
	  .unit = "words",
	  .help = "words a step",
	  .def = "256",
	  .type = SN_TYPE_INT,
	  .off = OFF(batch),
	  .min = 1,
	  .max = 65536 },
	{ .name = "rate",
	  .help = "Adam's first step size",
	  .def = "0.001",
	  .type = SN_TYPE_FLOAT,
	  .off = OFF(rate),
	  .min = 1e-8,
	  .max = 1 },
	{ .name = "decay",
	  .help = "L2 penalty (weight decay)",
	  .def = "0",
	  .type = SN_TYPE_FLOAT,
	  .off = OFF(decay),
	  .min = 0,
	  .max = 100 },
};

enum { PROBES, CAPACITY, TABLES };

static const sn_col probe_columns[] = {
	{ .name = "label", .type = SN_TYPE_TEXT, .role = SN_FACET, .title = "Label" },
	{ .name = "layer", .type = SN_TYPE_INT, .role = SN_DIM, .title = "Block" },
	{ .name = "probe", .type = SN_TYPE_TEXT, .role = SN_DIM, .title = "Site and hidden units" },
	{ .name = "I", .unit = "bits", .type = SN_TYPE_FLOAT, .role = SN_MEASURE, .better = 1, .title = "V-information" },
	{ .name = "I_low", .of = "I", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "I_high", .of = "I", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "accuracy",
	  .unit = "share",
	  .type = SN_TYPE_FLOAT,
	  .role = SN_MEASURE,
	  .better = 1,
	  .title = "Accuracy" },
	{ .name = "accuracy_low", .of = "accuracy", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "accuracy_high", .of = "accuracy", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "majority", .of = "accuracy", .type = SN_TYPE_FLOAT, .role = SN_BASE, .title = "majority" },
	{ .name = "macro_f1",
	  .unit = "share",
	  .type = SN_TYPE_FLOAT,
	  .role = SN_MEASURE,
	  .better = 1,
	  .title = "Macro-F1" },
	{ .name = "macro_f1_low", .of = "macro_f1", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "macro_f1_high", .of = "macro_f1", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "control",
	  .unit = "share",
	  .type = SN_TYPE_FLOAT,
	  .role = SN_MEASURE,
	  .title = "Accuracy on control labels" },
	{ .name = "selectivity",
	  .unit = "share",
	  .type = SN_TYPE_FLOAT,
	  .role = SN_MEASURE,
	  .better = 1,
	  .title = "Selectivity" },
	{ .name = "n", .unit = "words", .type = SN_TYPE_INT, .role = SN_COUNT_OF, .title = "Words" },
};
static const sn_col capacity_columns[] = {
	{ .name = "label", .type = SN_TYPE_TEXT, .role = SN_FACET, .title = "Label" },
	{ .name = "hidden", .type = SN_TYPE_INT, .role = SN_DIM, .title = "Hidden units" },
	{ .name = "site", .type = SN_TYPE_TEXT, .role = SN_TEXT, .title = "Site" },
	{ .name = "I", .unit = "bits", .type = SN_TYPE_FLOAT, .role = SN_MEASURE, .better = 1, .title = "V-information" },
	{ .name = "I_low", .of = "I", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "I_high", .of = "I", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "accuracy",
	  .unit = "share",
	  .type = SN_TYPE_FLOAT,
	  .role = SN_MEASURE,
	  .better = 1,
	  .title = "Accuracy" },
	{ .name = "accuracy_low", .of = "accuracy", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "accuracy_high", .of = "accuracy", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "control", .of = "accuracy", .type = SN_TYPE_FLOAT, .role = SN_BASE, .title = "control labels" },
	{ .name = "selectivity",
	  .unit = "share",
	  .type = SN_TYPE_FLOAT,
	  .role = SN_MEASURE,
	  .better = 1,
	  .title = "Selectivity" },
};
static const sn_table tables[TABLES] = {
	[PROBES] = { .name = "probes",
				 .title = "Perceptron probes",
				 .col = probe_columns,
				 .n_col = SN_COUNT(probe_columns),
				 .view = SN_VIEW_LINE,
				 .caption =
					 "Held-out sentences. V-information: bits that the probe gains over the classes' shares. "
					 "Bands: simultaneous 95 % intervals over sites, sentences resampled. Control: a random class "
					 "for each word form." },
	[CAPACITY] = { .name = "capacity",
				   .title = "Capacity",
				   .col = capacity_columns,
				   .n_col = SN_COUNT(capacity_columns),
				   .view = SN_VIEW_LINE,
				   .caption =
					   "The site at which the largest probe reads most, with hidden layers of several sizes. What "
					   "a probe of that size makes of control labels, it owes to its own memory." },
};

enum { MOST_SIZES = 16 };

typedef struct probing {
	sn_ctx *ctx;
	sn_arena *arena;
	const mlp_param *param;
	sn_treebank bank;
	sn_site *site;
	int n_site, n_question, n_split, n_size, size[MOST_SIZES];
	sn_question *question;
	sn_split *split;
	sn_probe_outcome *outcome; /* [n_question, n_size] */
	int64_t **row_of;          /* [n_question] -> [words] */
} probing;

static sn_status read_sizes(probing *p)
{
	const char **text;
	int n;
	SN_TRY(sn_word_labels(&text, &n, p->param->hidden, p->arena));
	for (int i = 0; i < n; i++) {
		int64_t size;
		if (!sn_parse_i64(text[i], &size) || size < 1 || size > 8192 || i == MOST_SIZES)
			return sn_fail(p->ctx, SN_EARG, "--hidden %s: expected at most %d whole numbers from 1 to 8192", text[i],
						   MOST_SIZES);
		p->size[p->n_size++] = (int)size;
	}
	return n ? SN_OK : sn_fail(p->ctx, SN_EARG, "--hidden: expected sizes such as 16,64");
}

static sn_status ask(probing *p)
{
	const char **label;
	bool two = p->param->test[0];
	SN_TRY(read_sizes(p));
	SN_TRY(sn_word_labels(&label, &p->n_question, p->param->label, p->arena));
	SN_NEW(p->question, p->arena, sn_question, p->n_question);
	SN_NEW(p->row_of, p->arena, int64_t *, p->n_question);
	SN_NEW(p->outcome, p->arena, sn_probe_outcome, (int64_t)p->n_question * p->n_size);
	SN_TRY(sn_word_splits(&p->split, &p->n_split, p->ctx, &p->bank, two, (int)p->param->folds, p->arena));
	for (int q = 0; q < p->n_question; q++) {
		sn_question *own = &p->question[q];
		SN_TRY(sn_word_question(own, p->ctx, &p->bank, label[q], (int)p->param->controls, p->arena));
		SN_NEW(p->row_of[q], p->arena, int64_t, p->bank.n);
		for (int h = 0; h < p->n_size; h++)
			SN_TRY(sn_word_outcome(&p->outcome[q * p->n_size + h], p->row_of[q], p->ctx, &p->bank, own, p->split,
								   p->n_split, p->site, p->n_site, p->arena));
	}
	return SN_OK;
}

static sn_status sweep_site(probing *p, sn_words *words, int s, sn_arena *arena)
{
	float *x;
	sn_word_scores *score;
	int64_t d = sn_words_width(words, s);
	sn_mlp_settings settings = { .size = p->size,
								 .n_size = p->n_size,
								 .epochs = (int)p->param->epochs,
								 .batch = (int)p->param->batch,
								 .rate = p->param->rate,
								 .decay = p->param->decay };
	SN_NEW(x, arena, float, sn_size3((size_t)p->bank.n, (size_t)d, 1));
	SN_NEW(score, arena, sn_word_scores, (int64_t)p->n_question * p->n_size);
	SN_TRY(sn_words_read(words, s, arena, x));
	SN_TRY(sn_probe_perceptrons(score, arena, x, p->bank.n, d, p->question, p->n_question, p->split, p->n_split,
								&settings));
	for (int k = 0; k < p->n_question * p->n_size; k++)
		sn_word_take(&p->outcome[k], p->row_of[k / p->n_size], p->bank.n, s, &score[k], 0);
	return SN_OK;
}

static sn_status sweep(probing *p, sn_words *words)
{
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, p->ctx));
	sn_status status = SN_OK;
	for (int s = 0; s < p->n_site && status == SN_OK; s++) {
		sn_mark mark = sn_arena_mark(arena);
		sn_progress(p->ctx, "perceptrons", s, p->n_site);
		status = sweep_site(p, words, s, arena);
		sn_arena_reset(arena, mark);
	}
	sn_progress(p->ctx, "perceptrons", p->n_site, p->n_site);
	sn_arena_close(arena);
	return status;
}

/* ---- tables ---- */

static sn_status add_sites(const probing *p, int q, int h, const sn_probe_bands *b, sn_result *out)
{
	const sn_probe_outcome *o = &p->outcome[q * p->n_size + h];
	for (int s = 0; s < p->n_site; s++) {
		char name[160], site[96];
		sn_format(name, sizeof name, "%s, %d", sn_probe_site_name(&p->site[s], site, sizeof site), p->size[h]);
		const sn_band *i = &b->gain[s], *a = &b->right[s], *f = &b->f1[s];
		SN_TRY(SN_ADD(out, PROBES, sn_text(o->rows.label_name), sn_int(p->site[s].layer), sn_text(name),
					  sn_num(i->point), sn_num(i->sim_low), sn_num(i->sim_high), sn_num(a->point), sn_num(a->sim_low),
					  sn_num(a->sim_high), sn_num(o->majority), sn_num(f->point), sn_num(f->sim_low),
					  sn_num(f->sim_high), sn_num(o->control[s]), sn_num(a->point - o->control[s]), sn_int(o->rows.n)));
	}
	return SN_OK;
}

static int best_site(const sn_probe_bands *b, int n)
{
	int best = 0;
	for (int s = 1; s < n; s++)
		if (b->gain[s].point > b->gain[best].point) best = s;
	return best;
}

static sn_status add_capacity(const probing *p, int q, const sn_probe_bands *bands, sn_result *out)
{
	int s = best_site(&bands[p->n_size - 1], p->n_site), best = 0;
	const sn_probe_outcome *o = &p->outcome[q * p->n_size];
	char site[96];
	sn_site_format(&p->site[s], site, sizeof site);
	for (int h = 0; h < p->n_size; h++) {
		const sn_band *i = &bands[h].gain[s], *a = &bands[h].right[s];
		if (i->point > bands[best].gain[s].point) best = h;
		SN_TRY(SN_ADD(out, CAPACITY, sn_text(o->rows.label_name), sn_int(p->size[h]), sn_text(site), sn_num(i->point),
					  sn_num(i->sim_low), sn_num(i->sim_high), sn_num(a->point), sn_num(a->sim_low),
					  sn_num(a->sim_high), sn_num(o[h].control[s]), sn_num(a->point - o[h].control[s])));
	}
	const sn_band *i = &bands[best].gain[s], *a = &bands[best].right[s];
	SN_TRY(sn_result_say(out,
						 "A perceptron of %d hidden units reads most of %s at %s: %.2f bits [%.2f, %.2f], accuracy "
						 "%.1f %% [%.1f, %.1f] (majority %.1f %%), on %lld words in %d sentences.",
						 p->size[best], o->rows.label_name, site, i->point, i->sim_low, i->sim_high, 100 * a->point,
						 100 * a->sim_low, 100 * a->sim_high, 100 * o->majority, (long long)o->rows.n,
						 o->rows.n_group));
	if (isnan(o->control[s])) return SN_OK;
	return sn_result_say(out,
						 "There, from %d to %d hidden units, it learns control labels to %.1f to %.1f %%: selectivity "
						 "%.1f to %.1f points.",
						 p->size[0], p->size[p->n_size - 1], 100 * o[0].control[s], 100 * o[p->n_size - 1].control[s],
						 100 * (bands[0].right[s].point - o[0].control[s]),
						 100 * (bands[p->n_size - 1].right[s].point - o[p->n_size - 1].control[s]));
}

static sn_status report(const probing *p, int q, sn_result *out)
{
	sn_probe_bands *bands;
	sn_boot *boot;
	const sn_probe_outcome *o = &p->outcome[q * p->n_size];
	SN_NEW(bands, p->arena, sn_probe_bands, p->n_size);
	SN_TRY(sn_boot_open(&boot, p->arena, (int)p->param->resamples, o->rows.n_group, NULL, NULL, sn_ctx_seed(p->ctx),
						0x4d4c50));
	for (int h = 0; h < p->n_size; h++) {
		SN_TRY(sn_probe_measure(&bands[h], p->arena, &o[h], boot, false, true));
		SN_TRY(add_sites(p, q, h, &bands[h], out));
	}
	return add_capacity(p, q, bands, out);
}

static sn_status limits(const probing *p, sn_result *out)
{
	SN_TRY(sn_result_limit(out,
						   "Decodable is not used: a probe shows what could be read, not what the model reads (sonde "
						   "localize); a perceptron may also compute what the model does not."));
	SN_TRY(sn_result_limit(out,
						   "Each probe was trained once, from one start: the intervals resample sentences with the "
						   "probes held fixed."));
	return sn_word_limits(&p->bank, out);
}

static sn_status probe(probing *p, sn_model *model, sn_result *out)
{
	sn_words *words;
	SN_TRY(ask(p));
	SN_TRY(sn_word_vectors(&words, p->ctx, model, &p->bank, p->param->pieces, p->site, p->n_site));
	sn_status status = sweep(p, words);
	sn_words_close(words);
	SN_TRY(status);
	SN_TRY(sn_result_set(out, "pieces", "%s", p->param->pieces));
	for (int q = 0; q < p->n_question; q++) SN_TRY(report(p, q, out));
	return limits(p, out);
}

static sn_status run(sn_ctx *ctx, const sn_input *input, const void *param, sn_result *out)
{
	probing p = { .ctx = ctx, .arena = sn_result_arena(out), .param = param };
	sn_dataset *test;
	SN_TRY(sn_site_expand(ctx, input->model[0], p.param->sites, p.arena, &p.site, &p.n_site));
	SN_TRY(sn_word_read(&p.bank, &test, ctx, input->model[0], input->data[0], p.param->test, p.param->limit, out));
	sn_status status = probe(&p, input->model[0], out);
	sn_dataset_close(test);
	return status;
}

extern const sn_method sn_method_probe_mlp;
const sn_method sn_method_probe_mlp = {
	.family = "probe",
	.name = "mlp",
	.brief = "what a perceptron with one hidden layer reads from words of a treebank",
	.doc = "softmax(W2 relu(W1 x + b1) + b2) on standardised vectors of words, trained by Adam; the step is halved and "
		   "training stopped by a fifth of the training sentences, as Hewitt & Liang do. Several sizes of the hidden "
		   "layer "
		   "make a capacity curve; beside each stands what a probe of that size makes of control labels.",
	.cite = "Hewitt & Liang 2019; Kingma & Ba 2015 (Adam); Xu et al. 2020 (V-information)",
	.example =
		"sonde probe mlp --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data en_ewt-ud-dev.conllu --label upos "
		"--hidden 8,64 --sites 'blocks.14.hook_resid_post'",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params,
	.n_param = SN_COUNT(params),
	.param_size = sizeof(mlp_param),
	.table = tables,
	.n_table = SN_COUNT(tables),
	.run = run,
};
