/* Seeds, uniform weights, adversaries trained over all texts, and guides: what Wiegreffe & Pinter 2019 train anew, on
 * small classifiers over a model's vectors. */
#include "methods/attention/explain_readout.h"
#include "stats/distance.h"
#include "stats/ratio.h"

#include <math.h>
#include <string.h>

#define BOUNDED(name, unit, better, title)                                                                             \
	{ name, unit, NULL, SN_TYPE_FLOAT, SN_MEASURE, better, title },                                                    \
		{ name "_low", unit, name, SN_TYPE_FLOAT, SN_LOW, 0, NULL },                                                   \
		{ name "_high", unit, name, SN_TYPE_FLOAT, SN_HIGH, 0, NULL }
#define MAJORITY { "majority", "share", "accuracy", SN_TYPE_FLOAT, SN_BASE, 0, "Largest class" }
#define TEXTS { "texts", "texts", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Texts" }

const sn_col sn_readout_columns[SN_READOUT_COLUMNS] = {
	{ "readout", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Readout" },
	BOUNDED("accuracy", "share", 1, "Accuracy"),
	MAJORITY,
	BOUNDED("tvd", "total variation", 0, "Prediction differs"),
	BOUNDED("jsd", "nats", 0, "Weights differ"),
	TEXTS,
};
const sn_col sn_adversary_columns[SN_ADVERSARY_COLUMNS] = {
	{ "lambda", NULL, NULL, SN_TYPE_FLOAT, SN_DIM, 0, "Lambda" },
	{ "on", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Texts" },
	BOUNDED("tvd", "total variation", 0, "Prediction differs"),
	{ "tvd_seeds", "total variation", "tvd", SN_TYPE_FLOAT, SN_BASE, 0, "other seeds" },
	BOUNDED("jsd", "nats", 0, "Weights differ"),
	{ "jsd_seeds", "nats", "jsd", SN_TYPE_FLOAT, SN_BASE, 0, "other seeds" },
	BOUNDED("accuracy", "share", 1, "Accuracy"),
	TEXTS,
};
const sn_col sn_guide_columns[SN_GUIDE_COLUMNS] = {
	{ "guide", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Weights" },
	BOUNDED("accuracy", "share", 1, "Accuracy"),
	MAJORITY,
	BOUNDED("gain", "share", 1, "Gain on uniform weights"),
	TEXTS,
	{ "loss", "nats", NULL, SN_TYPE_FLOAT, SN_TEXT, 0, "Training loss" },
};

/* A readout, how it is trained, and what it says of every text. */
typedef struct job {
	sn_readout net;
	sn_readout_training training;
	const double *given;          /* its weights where it has no attention */
	double *alpha, *p, *scratch;
} job;

typedef struct readouts {
	sn_ctx *ctx;
	const sn_labelled *texts;
	const sn_explain_param *p;
	const char *label;
	sn_result *out;
	int table, n_lambda, n_seed;
	const double *lambda;
	sn_arena *arena;
	job *plain;                   /* [n_seed + 2] the base, other seeds, uniform weights */
	job *adversary;               /* [n_lambda] */
	job *guide;                   /* [GUIDES + n_lambda] */
	double *num;                  /* [texts] scratch */
} readouts;

/* ---- training ---- */

enum { BASE_KEY = 0x72656164, ADVERSARY_KEY = 0x61647672, GUIDE_KEY = 0x67756964 };

/* hidden: tokens' own layer; attention 0: weights given. */
static sn_status make_job(const readouts *r, const sn_readout_texts *texts, int hidden, int attention,
                          sn_readout_aim aim, uint64_t key, job *out)
{
	const sn_explain_param *p = r->p;
	uint64_t seed = sn_ctx_seed(r->ctx);
	int64_t longest = 1;
	*out = (job){ .given = attention ? NULL : aim.alpha };
	for (int64_t i = 0; i < texts->n; i++) longest = SN_MAX(longest, texts->start[i + 1] - texts->start[i]);
	SN_TRY(sn_readout_make(&out->net, r->arena, texts->d, hidden, attention, r->texts->n_class, seed, key));
	out->training = (sn_readout_training){ .texts = texts, .aim = aim, .row = r->texts->row, .n_row = r->texts->n_fit,
		                                   .batch = (int)p->batch, .epochs = (int)p->epochs, .rate = p->rate,
		                                   .seed = seed, .key = key + 1 };
	SN_NEW(out->training.work, r->arena, double, (int64_t)sn_readout_work(&out->net, texts, (int)p->batch));
	SN_NEW(out->training.order, r->arena, int64_t, 2 * r->texts->n_fit);
	SN_NEW(out->scratch, r->arena, double, (int64_t)sn_readout_scratch(&out->net, 1, longest));
	SN_NEW(out->alpha, r->arena, double, r->texts->tokens);
	SN_NEW(out->p, r->arena, double, texts->n * r->texts->n_class);
	return SN_OK;
}

static sn_status run_jobs(const readouts *r, const char *what, job *jobs, int n)
{
	SN_TRY(sn_poll(r->ctx));
	sn_progress(r->ctx, what, 0, n);
#pragma omp parallel for num_threads(sn_ctx_threads(r->ctx)) schedule(dynamic)
	for (int k = 0; k < n; k++) {
		job *j = &jobs[k];
		sn_readout_train(&j->net, &j->training);
		sn_readout_predict(&j->net, j->training.texts, j->given, j->alpha, j->p, j->scratch);
	}
	sn_progress(r->ctx, what, n, n);
	return SN_OK;
}

static sn_status train_plain(readouts *r)
{
	int n = r->n_seed + 2, k = (int)r->p->attention;
	SN_NEW(r->plain, r->arena, job, n);
	for (int i = 0; i < n; i++) {
		sn_readout_aim aim = { .alpha = i < n - 1 ? NULL : r->texts->uniform };
		uint64_t key = BASE_KEY + ((uint64_t)(i < n - 1 ? i : 0) << 32);
		SN_TRY(make_job(r, &r->texts->deep, 0, i < n - 1 ? k : 0, aim, key, &r->plain[i]));
	}
	return run_jobs(r, "readouts", r->plain, n);
}

/* Adversaries begin alike, elsewhere than the base. */
static sn_status train_adversaries(readouts *r)
{
	SN_NEW(r->adversary, r->arena, job, r->n_lambda);
	for (int i = 0; i < r->n_lambda; i++) {
		sn_readout_aim aim = { r->plain[0].alpha, r->plain[0].p, r->lambda[i] };
		SN_TRY(make_job(r, &r->texts->deep, 0, (int)r->p->attention, aim, ADVERSARY_KEY, &r->adversary[i]));
	}
	return run_jobs(r, "adversaries", r->adversary, r->n_lambda);
}

enum { UNIFORM, TRAINED, MODEL, BASE, GUIDES };

static sn_status train_guides(readouts *r)
{
	int n = GUIDES + r->n_lambda, k = (int)r->p->attention;
	SN_NEW(r->guide, r->arena, job, n);
	for (int i = 0; i < n; i++) {
		const double *alpha[GUIDES] = { r->texts->uniform, NULL, r->texts->heads, r->plain[0].alpha };
		sn_readout_aim aim = { .alpha = i < GUIDES ? alpha[i] : r->adversary[i - GUIDES].alpha };
		SN_TRY(make_job(r, &r->texts->bare, k, i == TRAINED ? k : 0, aim, GUIDE_KEY, &r->guide[i]));
	}
	return run_jobs(r, "guides", r->guide, n);
}

/* ---- means over texts ---- */

/* Which texts: those that judge, or those that trained. */
typedef struct part { const int64_t *row; int64_t n; } part;

static part part_of(const readouts *r, bool held)
{
	const sn_labelled *t = r->texts;
	return held ? (part){ t->row + t->n_fit, t->deep.n - t->n_fit } : (part){ t->row, t->n_fit };
}

static int guess(const readouts *r, const job *j, int64_t text)
{
	int top = 0;
	for (int k = 1; k < r->texts->n_class; k++)
		if (j->p[text * r->texts->n_class + k] > j->p[text * r->texts->n_class + top]) top = k;
	return top;
}

/* Of right answers, less those of another job (or NULL). */
static sn_ratio right_of(const readouts *r, part t, const job *j, const job *less)
{
	for (int64_t i = 0; i < t.n; i++) {
		int32_t y = r->texts->deep.y[t.row[i]];
		r->num[i] = (guess(r, j, t.row[i]) == y) - (less ? guess(r, less, t.row[i]) == y : 0);
	}
	return sn_ratio_within(sn_ratio_of(r->num, NULL, t.n, 1, 0.95), less ? -1 : 0, 1);
}

static sn_ratio tvd_of(const readouts *r, part t, const job *j)
{
	int64_t n = r->texts->n_class;
	for (int64_t i = 0; i < t.n; i++)
		r->num[i] = sn_total_variation(r->plain[0].p + t.row[i] * n, j->p + t.row[i] * n, n);
	return sn_ratio_within(sn_ratio_of(r->num, NULL, t.n, 1, 0.95), 0, 1);
}

static sn_ratio jsd_of(const readouts *r, part t, const job *j)
{
	const int64_t *start = r->texts->deep.start;
	for (int64_t i = 0; i < t.n; i++) {
		int64_t at = start[t.row[i]];
		r->num[i] = sn_jensen_shannon(r->plain[0].alpha + at, j->alpha + at, start[t.row[i] + 1] - at);
	}
	return sn_ratio_within(sn_ratio_of(r->num, NULL, t.n, 1, 0.95), 0, log(2));
}

/* The means of the other seeds. */
static void seeds_of(const readouts *r, part t, double *tvd, double *jsd)
{
	*tvd = *jsd = r->n_seed ? 0 : NAN;
	for (int s = 1; s <= r->n_seed; s++) {
		*tvd += tvd_of(r, t, &r->plain[s]).value / r->n_seed;
		*jsd += jsd_of(r, t, &r->plain[s]).value / r->n_seed;
	}
}

/* How often the training texts' largest class is right. */
static double majority(const readouts *r, part held)
{
	part fit = part_of(r, false);
	int64_t best = -1, right = 0;
	int32_t top = 0;
	for (int32_t k = 0; k < r->texts->n_class; k++) {
		int64_t n = 0;
		for (int64_t i = 0; i < fit.n; i++) n += r->texts->deep.y[fit.row[i]] == k;
		if (n > best) best = n, top = k;
	}
	for (int64_t i = 0; i < held.n; i++) right += r->texts->deep.y[held.row[i]] == top;
	return (double)right / (double)held.n;
}

/* ---- report ---- */

#define CELLS(x) sn_num((x).value), sn_num((x).low), sn_num((x).high)

static sn_status add_plain(const readouts *r)
{
	part held = part_of(r, true);
	for (int i = 0; i < r->n_seed + 2; i++) {
		const job *j = &r->plain[i];
		char name[32] = "base";
		sn_ratio none = { NAN, NAN, NAN }, right = right_of(r, held, j, NULL);
		sn_ratio tvd = i ? tvd_of(r, held, j) : none, jsd = i ? jsd_of(r, held, j) : none;
		if (i) sn_format(name, sizeof name, i <= r->n_seed ? "seed %d" : "uniform weights", i);
		SN_TRY(SN_ADD(r->out, r->table, sn_text(name), CELLS(right), sn_num(majority(r, held)), CELLS(tvd), CELLS(jsd),
		              sn_int(held.n)));
	}
	return SN_OK;
}

static sn_status add_adversaries(const readouts *r)
{
	for (int i = 0; i < r->n_lambda; i++)
		for (int held = 1; held >= 0; held--) {
			const job *j = &r->adversary[i];
			part t = part_of(r, held);
			double seed_tvd, seed_jsd;
			sn_ratio tvd = tvd_of(r, t, j), jsd = jsd_of(r, t, j), right = right_of(r, t, j, NULL);
			seeds_of(r, t, &seed_tvd, &seed_jsd);
			SN_TRY(SN_ADD(r->out, r->table + 1, sn_num(r->lambda[i]), sn_text(held ? "held out" : "training"),
			              CELLS(tvd), sn_num(seed_tvd), CELLS(jsd), sn_num(seed_jsd), CELLS(right), sn_int(t.n)));
		}
	return SN_OK;
}

static sn_status add_guides(const readouts *r)
{
	static const char *const names[GUIDES] = { "uniform", "trained", "the model's heads", "base readout" };
	part held = part_of(r, true);
	for (int i = 0; i < GUIDES + r->n_lambda; i++) {
		const job *j = &r->guide[i];
		char name[48];
		sn_ratio right = right_of(r, held, j, NULL), gain = right_of(r, held, j, &r->guide[UNIFORM]);
		if (i < GUIDES) sn_format(name, sizeof name, "%s", names[i]);
		else sn_format(name, sizeof name, "adversary, lambda %g", r->lambda[i - GUIDES]);
		SN_TRY(SN_ADD(r->out, r->table + 2, sn_text(name), CELLS(right), sn_num(majority(r, held)), CELLS(gain),
		              sn_int(held.n), sn_num(j->training.loss)));
	}
	return SN_OK;
}

/* The adversary that goes farthest while its prediction stays within epsilon, or as near as other seeds'. */
static sn_status say_adversary(const readouts *r)
{
	part held = part_of(r, true);
	double tvd, jsd, near, most = -1, weight = 0;
	seeds_of(r, held, &tvd, &jsd);
	near = fmax(r->p->epsilon, r->n_seed ? tvd : 0);
	for (int i = 0; i < r->n_lambda; i++) {
		double x = jsd_of(r, held, &r->adversary[i]).value;
		if (!(tvd_of(r, held, &r->adversary[i]).value <= near) || x <= most) continue;
		most = x;
		weight = r->lambda[i];
	}
	if (r->n_seed)
		SN_TRY(sn_result_say(r->out, "Readouts of other seeds differ by total variation %.3f in what they predict and "
		                     "by JSD %.3f in their weights.", tvd, jsd));
	if (r->n_lambda == 0) return SN_OK;
	if (most < 0) return sn_result_say(r->out, "No adversary predicts within total variation %.3f as the base does.",
	                                   near);
	return sn_result_say(r->out, "Within total variation %.3f of the base's prediction an adversary's weights differ "
	                     "by JSD %.3f (lambda %g; at most %.3f).", near, most, weight, log(2));
}

static sn_status say(const readouts *r)
{
	part held = part_of(r, true);
	sn_ratio base = right_of(r, held, &r->plain[0], NULL), gain = right_of(r, held, &r->plain[0],
	                                                                     &r->plain[r->n_seed + 1]);
	sn_ratio guided = right_of(r, held, &r->guide[BASE], &r->guide[UNIFORM]);
	SN_TRY(sn_result_say(r->out,
						 "Readouts of layer %d with attention over tokens tell %s right in %.3f [%.3f, %.3f] of %lld "
						 "texts held out (the largest class: %.3f), %+.3f [%+.3f, %+.3f] beside uniform weights.",
						 r->texts->layer, r->label, base.value, base.low, base.high, (long long)held.n,
						 majority(r, held), gain.value, gain.low, gain.high));
	if (gain.low <= 0)
		SN_TRY(sn_result_limit(r->out,
							   "Attention is not surely better than uniform weights here: the task cannot tell whether "
							   "it explains (Wiegreffe & Pinter 2019, 3.2)."));
	SN_TRY(say_adversary(r));
	SN_TRY(sn_result_say(r->out,
						 "As guides of a perceptron that sees single embeddings, the readout's weights gain %+.3f "
						 "[%+.3f, %+.3f] on uniform ones.", guided.value, guided.low, guided.high));
	return sn_result_limit(r->out,
						   "What is trained anew are readouts of the model's vectors, not the model: seeds, "
						   "adversaries and guides speak of their attention. Intervals are over texts, of one split.");
}

/* ---- the run ---- */

sn_status sn_lambdas_read(sn_ctx *ctx, const char *text, sn_lambdas *out)
{
	size_t size;
	out->n = 0;
	for (const char *at = text; *at; at += size + (at[size] == ',')) {
		char number[32] = "";
		double x = -1;
		size = strcspn(at, ",");
		memcpy(number, at, SN_MIN(size, sizeof number - 1));
		if (size >= sizeof number || !sn_parse_f64(number, &x) || !(x >= 0 && x <= 1e6) || out->n == SN_LAMBDAS)
			return sn_fail(ctx, SN_EARG, "--lambdas %s: expected at most %d numbers from 0 to 1e6, comma-separated",
			               text, SN_LAMBDAS);
		out->x[out->n++] = x;
	}
	return SN_OK;
}

sn_status sn_explain_readouts(sn_ctx *ctx, const sn_labelled *texts, const sn_lambdas *lambdas,
                              const sn_explain_param *p, const char *label, sn_result *out, int table, sn_arena *arena)
{
	readouts r = { .ctx = ctx, .texts = texts, .p = p, .label = label, .out = out, .table = table,
		           .n_lambda = lambdas->n, .lambda = lambdas->x, .n_seed = (int)p->seeds, .arena = arena };
	SN_NEW(r.num, arena, double, texts->deep.n);
	SN_TRY(train_plain(&r));
	SN_TRY(train_adversaries(&r));
	SN_TRY(train_guides(&r));
	SN_TRY(add_plain(&r));
	SN_TRY(add_adversaries(&r));
	SN_TRY(add_guides(&r));
	return say(&r);
}
