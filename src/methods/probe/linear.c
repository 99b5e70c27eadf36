/* `sonde probe linear`: what a linear probe reads from unseen groups of rows, on every named site at once. */
#include "methods/probe/probe.h"

#include "base/work.h"
#include "data/result.h"

#include <math.h>
#include <string.h>

#define OFF(field) offsetof(sn_linear_param, field)
static const sn_param params[] = {
	{ .name = "label", .help = "column of the classes (\"number\" also finds labels.number of generated items); of "
	                           "treebanks: upos, xpos, deprel, udeprel, lemma, feats.NAME, misc.NAME, head; several "
	                           "with commas",
	  .type = SN_TYPE_TEXT, .off = OFF(label), .required = true },
	{ .name = "sites", .help = "sites to probe, comma-separated, * for blocks and heads",
	  .def = "blocks.0.hook_resid_pre,blocks.*.hook_resid_post", .type = SN_TYPE_TEXT, .off = OFF(sites) },
	{ .name = "at", .help = "last (token), mean (of all tokens), or a role: a column of byte spans such as "
	                        "roles.subject", .def = "last",
	  .type = SN_TYPE_TEXT, .off = OFF(at) },
	{ .name = "column", .help = "column of the text; auto: text or sentence", .def = "auto", .type = SN_TYPE_TEXT,
	  .off = OFF(column) },
	{ .name = "group", .help = "column whose values are held out whole; auto: lemma where there is one; none: rows",
	  .def = "auto", .type = SN_TYPE_TEXT, .off = OFF(group) },
	{ .name = "folds", .help = "blocks of groups", .def = "5", .type = SN_TYPE_INT, .off = OFF(folds), .min = 3,
	  .max = 50 },
	{ .name = "controls", .help = "control labellings for selectivity; 0: none", .def = "1", .type = SN_TYPE_INT,
	  .off = OFF(controls), .min = 0, .max = 100 },
	{ .name = "random-models", .help = "randomly initialised models as a baseline", .def = "0", .type = SN_TYPE_INT,
	  .off = OFF(random_models), .min = 0, .max = 20 },
	{ .name = "resamples", .help = "bootstrap draws of groups", .def = "2000", .type = SN_TYPE_INT,
	  .off = OFF(resamples), .min = 100, .max = 100000 },
	{ .name = "limit", .unit = "rows", .help = "only the first rows of the data; 0: all", .def = "0",
	  .type = SN_TYPE_INT, .off = OFF(limit), .min = 0, .max = 1e9 },
	{ .name = "pieces", .help = "treebanks: which tokens of a word stand for it", .def = "last",
	  .choices = "last|first|mean", .type = SN_TYPE_TEXT, .off = OFF(pieces) },
	{ .name = "test", .unit = "FILE", .help = "treebanks: test on this file instead of on folds of sentences",
	  .def = "", .type = SN_TYPE_TEXT, .off = OFF(test) },
	{ .name = "rank", .help = "treebanks, head: principal components of a word that the edge probe sees", .def = "64",
	  .type = SN_TYPE_INT, .off = OFF(rank), .min = 1, .max = 1024 },
};

/* ---- scores of all sites ---- */

typedef struct probing {
	sn_ctx *ctx;
	sn_arena *arena;
	const sn_linear_param *param;
	sn_probe_outcome o;
} probing;

static double mean_right(const float *right, int64_t n)
{
	double sum = 0;
	for (int64_t i = 0; i < n; i++) sum += right[i];
	return sum / (double)n;
}

/* One site's result in the list of work: head, then bits, right and guess of all rows. */
typedef struct head {
	double strength, task, control;
	int64_t n_unconverged;
} head;

/* The sites of one model. Activations are there for a few sites at once. */
typedef struct site_list {
	probing *p;
	sn_model *model;
	bool random, *own;     /* own [n_site]: this rank runs it */
	sn_arena *arena;       /* of the activations */
	float **x;             /* [n_site]; NULL: not there */
} site_list;

static size_t result_size(const probing *p)
{
	return sizeof(head) + sn_size3((size_t)p->o.rows.n, 2 * sizeof(float) + sizeof(int32_t), 1);
}

static sn_probe_scores scores_in(const probing *p, void *result)
{
	size_t n = (size_t)p->o.rows.n;
	float *at = (float *)((char *)result + sizeof(head));
	return (sn_probe_scores){ .bits = at, .right = at + n, .guess = (int32_t *)(at + 2 * n) };
}

/* Task and control accuracy on seen forms in held-out rows, at the strength chosen. */
static sn_status select_site(const probing *p, const float *x, int64_t d, sn_arena *arena, head *out)
{
	const sn_probe_rows *rows = &p->o.rows;
	sn_probe_scores score;
	int folds = (int)p->param->folds;
	SN_TRY(sn_probe_score(&score, arena, x, rows->n, d, rows->y, rows->n_class, rows->item_fold, folds,
	                      out->strength));
	out->task = mean_right(score.right, rows->n);
	double sum = 0;
	for (int64_t k = 0; k < p->param->controls; k++) {
		int32_t *y;
		SN_TRY(sn_probe_control(&y, arena, rows, sn_ctx_seed(p->ctx), 0x43545200 + (uint64_t)k));
		SN_TRY(sn_probe_score(&score, arena, x, rows->n, d, y, rows->n_class, rows->item_fold, folds, out->strength));
		sum += mean_right(score.right, rows->n);
	}
	out->control = sum / (double)p->param->controls;
	return SN_OK;
}

static bool has_control(const probing *p)
{
	return p->param->controls > 0 && !p->o.rows.mean && 2 * p->o.rows.n_type <= p->o.rows.n;
}

static sn_status score_site(const probing *p, const float *x, int64_t d, bool random, sn_arena *arena, void *result)
{
	const sn_probe_rows *rows = &p->o.rows;
	sn_probe_scores score, to = scores_in(p, result);
	size_t n = (size_t)rows->n;
	SN_TRY(sn_probe_score(&score, arena, x, rows->n, d, rows->y, rows->n_class, rows->fold, (int)p->param->folds, 0));
	memcpy(to.bits, score.bits, n * sizeof *to.bits);
	memcpy(to.right, score.right, n * sizeof *to.right);
	memcpy(to.guess, score.guess, n * sizeof *to.guess);
	head *out = result;
	*out = (head){ score.strength, NAN, NAN, score.n_unconverged };
	return !random && has_control(p) ? select_site(p, x, d, arena, out) : SN_OK;
}

enum { BYTES_AT_ONCE = 512 << 20 };

/* Activations of sites from s on, as many of this rank's as fit together: one forward pass. */
static sn_status gather_from(site_list *l, int s)
{
	probing *p = l->p;
	sn_site *site;
	float **x;
	int n = 0;
	sn_arena_close(l->arena);
	l->arena = NULL;
	SN_TRY(sn_arena_open(&l->arena, p->ctx));
	SN_NEW(l->x, l->arena, float *, p->o.n_site);
	SN_NEW(x, l->arena, float *, p->o.n_site);
	SN_NEW(site, l->arena, sn_site, p->o.n_site);
	double bytes = 0;
	int last = s;
	for (; last < p->o.n_site; last++) {
		if (!l->own[last]) continue;
		bytes += 4.0 * (double)p->o.rows.n * (double)sn_site_width(l->model, &p->o.site[last]);
		if (n > 0 && bytes > BYTES_AT_ONCE) break;
		site[n++] = p->o.site[last];
	}
	SN_TRY(sn_probe_gather(x, p->ctx, l->model, &p->o.rows, site, n, l->arena));
	for (int k = 0, i = s; i < last; i++) l->x[i] = l->own[i] ? x[k++] : NULL;
	return SN_OK;
}

static sn_status run_site(sn_ctx *ctx, void *arg, int64_t s, void *result)
{
	site_list *l = arg;
	sn_arena *arena;
	if (!l->arena || !l->x[s]) SN_TRY(gather_from(l, (int)s));
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = score_site(l->p, l->x[s], sn_site_width(l->model, &l->p->o.site[s]), l->random, arena, result);
	sn_arena_close(arena);
	return status;
}

static sn_status take_site(sn_ctx *ctx, void *arg, int64_t s, const void *result)
{
	(void)ctx;
	site_list *l = arg;
	sn_probe_outcome *o = &l->p->o;
	sn_probe_scores score = scores_in(l->p, (void *)(uintptr_t)result);
	const head *h = result;
	float factor = l->random ? 1 / (float)l->p->param->random_models : 1, *gain = l->random ? o->random_gain : o->gain;
	for (int64_t i = 0; i < o->rows.n; i++) {
		gain[i * o->n_site + s] += factor * (score.bits[i] - o->null[i]);
		if (l->random) continue;
		o->right[i * o->n_site + s] = score.right[i];
		o->guess[i * o->n_site + s] = score.guess[i];
	}
	o->n_unconverged += (int)h->n_unconverged;
	if (l->random) return SN_OK;
	o->strength[s] = h->strength;
	o->task[s] = h->task;
	o->control[s] = h->control;
	return SN_OK;
}

static sn_status score_model(probing *p, sn_model *model, bool random, const char *what)
{
	site_list l = { .p = p, .model = model, .random = random };
	sn_work work = { .what = what, .n = p->o.n_site, .size = result_size(p), .run = run_site, .arg = &l,
	                 .take = take_site };
	SN_NEW(l.own, p->arena, bool, p->o.n_site);
	sn_status status = sn_work_own(p->ctx, &work, l.own);
	if (status == SN_OK) status = sn_work_run(p->ctx, &work);
	sn_arena_close(l.arena);
	return status;
}

static sn_status score_random(probing *p, const sn_model *like)
{
	for (int64_t m = 0; m < p->param->random_models; m++) {
		sn_model *model;
		SN_TRY(sn_model_open_random(&model, p->ctx, like, sn_rng_bits(sn_ctx_seed(p->ctx), 0x52414e44, (uint64_t)m)));
		sn_status status = score_model(p, model, true, "probes, random model");
		sn_model_close(model);
		if (status != SN_OK) return status;
	}
	return SN_OK;
}

/* ---- the run ---- */

static sn_status check_sites(const probing *p, const sn_model *model)
{
	for (int s = 0; s < p->o.n_site; s++) {
		char name[96];
		if (sn_site_width(model, &p->o.site[s]) > 0) continue;
		sn_site_format(&p->o.site[s], name, sizeof name);
		return sn_fail(p->ctx, SN_EARG, "%s is no vector at a position (attention over positions); choose another site",
		               name);
	}
	return SN_OK;
}

static double majority(const sn_probe_rows *rows)
{
	int64_t count[SN_MOST_CLASSES] = { 0 }, most = 0;
	for (int64_t i = 0; i < rows->n; i++) count[rows->y[i]]++;
	for (int k = 0; k < rows->n_class; k++) most = SN_MAX(most, count[k]);
	return (double)most / (double)rows->n;
}

/* Rows of a data set: one label, blocks of groups. */
static sn_status run_rows(probing *p, sn_model *model, const sn_dataset *data, const sn_site *site, int n_site,
                          sn_result *out)
{
	const sn_linear_param *a = p->param;
	sn_probe_query query = { .text = a->column, .label = a->label, .at = a->at, .group = a->group, .limit = a->limit,
		                     .n_fold = (int)a->folds };
	float *null;
	sn_probe_rows rows;
	SN_TRY(sn_probe_read(&rows, p->ctx, sn_model_tokenizer(model), data, &query, p->arena));
	SN_TRY(sn_probe_outcome_open(&p->o, p->arena, rows.n, site, n_site));
	p->o.rows = rows;
	p->o.classes = true;
	p->o.majority = majority(&rows);
	SN_TRY(check_sites(p, model));
	SN_TRY(sn_probe_null(&null, p->arena, &rows));
	p->o.null = null;
	SN_TRY(score_model(p, model, false, "probes"));
	SN_TRY(score_random(p, model));
	SN_TRY(sn_result_set(out, "position", "%s", a->at));
	return sn_probe_report(&p->o, a, out);
}

static sn_status run(sn_ctx *ctx, const sn_input *input, const void *param, sn_result *out)
{
	const sn_linear_param *a = param;
	probing p = { .ctx = ctx, .arena = sn_result_arena(out), .param = a };
	sn_site *site;
	int n_site;
	SN_TRY(sn_site_expand(ctx, input->model[0], a->sites, p.arena, &site, &n_site));
	if (input->data[0]->treebank) return sn_probe_treebank(ctx, input->model[0], input->data[0], a, site, n_site, out);
	if (a->test && a->test[0])
		return sn_fail(ctx, SN_EARG, "--test %s: only treebanks (CoNLL-U) have a test file; rows are held out in folds",
		               a->test);
	return run_rows(&p, input->model[0], input->data[0], site, n_site, out);
}

extern const sn_method sn_method_probe_linear;
const sn_method sn_method_probe_linear = {
	.family = "probe", .name = "linear", .brief = "what a linear probe reads at each site",
	.doc = "L2-regularised logistic regression on standardised activations, strength chosen on training rows, tested "
	       "on blocks of groups "
	       "(lemmas) that were held out; with the majority, control labels for each word form and randomly initialised "
	       "models beside it. On a treebank (CoNLL-U) every word is a row, sentences are held out or a second file is "
	       "the test, and several labels share one solve.",
	.cite = "Alain & Bengio 2016; Hewitt & Liang 2019 (selectivity); Xu et al. 2020 (V-information)",
	.example = "sonde probe linear --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data items.jsonl --label number "
	           "--at subject",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER, .param = params, .n_param = SN_COUNT(params),
	.param_size = sizeof(sn_linear_param), .table = sn_probe_tables, .n_table = SN_PROBE_TABLES, .run = run,
};
