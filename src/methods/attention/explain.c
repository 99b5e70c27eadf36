/* `sonde attention explanation-tests`: does attention say what the prediction depends on? */
#include "methods/attention/explain_readout.h"
#include "stats/ratio.h"

#include <math.h>
#include <string.h>

#define AT(field) offsetof(sn_explain_param, field)
static const sn_param params[] = {
	{ .name = "column",
	  .help = "column of the text; auto: text or sentence",
	  .def = "auto",
	  .type = SN_TYPE_TEXT,
	  .off = AT(column) },
	{ .name = "source",
	  .help = "encoder-decoders: column of what the encoder reads; auto: source",
	  .def = "auto",
	  .type = SN_TYPE_TEXT,
	  .off = AT(source) },
	{ .name = "target",
	  .help = "encoder-decoders: column of what the decoder has written; auto: target",
	  .def = "auto",
	  .type = SN_TYPE_TEXT,
	  .off = AT(target) },
	{ .name = "every",
	  .unit = "layers",
	  .help = "every n-th layer's attention is changed; 0: about six layers",
	  .def = "0",
	  .type = SN_TYPE_INT,
	  .off = AT(every),
	  .max = 1e4 },
	{ .name = "permutations",
	  .help = "random permutations of the weights",
	  .def = "100",
	  .type = SN_TYPE_INT,
	  .off = AT(permutations),
	  .min = 1,
	  .max = 1e5 },
	{ .name = "adversaries",
	  .unit = "texts",
	  .help = "texts for which adversarial attention is sought",
	  .def = "4",
	  .type = SN_TYPE_INT,
	  .off = AT(adversaries),
	  .max = 1e9 },
	{ .name = "starts",
	  .help = "starting points of the search",
	  .def = "3",
	  .type = SN_TYPE_INT,
	  .off = AT(starts),
	  .min = 1,
	  .max = 100 },
	{ .name = "steps",
	  .help = "gradient steps of the search",
	  .def = "40",
	  .type = SN_TYPE_INT,
	  .off = AT(steps),
	  .min = 1,
	  .max = 1e6 },
	{ .name = "epsilon",
	  .help = "total variation within which a prediction counts as unchanged",
	  .def = "0.01",
	  .type = SN_TYPE_FLOAT,
	  .off = AT(epsilon),
	  .min = 1e-6,
	  .max = 1 },
	{ .name = "limit",
	  .unit = "rows",
	  .help = "only the first rows of the data; 0: all",
	  .def = "20",
	  .type = SN_TYPE_INT,
	  .off = AT(limit),
	  .max = 1e15 },
	{ .name = "label",
	  .help = "column of classes for which readouts are trained; auto: label if there is one that will do; none: no "
			  "readouts",
	  .def = "auto",
	  .type = SN_TYPE_TEXT,
	  .off = AT(label) },
	{ .name = "labelled",
	  .unit = "rows",
	  .help = "readouts: only the first rows of the data; 0: all",
	  .def = "1000",
	  .type = SN_TYPE_INT,
	  .off = AT(labelled),
	  .max = 1e9 },
	{ .name = "layer",
	  .help = "readouts: layer whose vectors they read; -1: the last",
	  .def = "-1",
	  .type = SN_TYPE_INT,
	  .off = AT(layer),
	  .min = -1,
	  .max = 1e4 },
	{ .name = "seeds",
	  .help = "readouts: how many of other seeds",
	  .def = "5",
	  .type = SN_TYPE_INT,
	  .off = AT(seeds),
	  .max = 1000 },
	{ .name = "lambdas",
	  .help = "readouts: trained adversaries, what divergence of weights counts against total variation; "
			  "comma-separated",
	  .def = "0,0.001,0.01,0.1,1",
	  .type = SN_TYPE_TEXT,
	  .off = AT(lambdas) },
	{ .name = "attention",
	  .unit = "units",
	  .help = "readouts: hidden units of attention",
	  .def = "32",
	  .type = SN_TYPE_INT,
	  .off = AT(attention),
	  .min = 1,
	  .max = 4096 },
	{ .name = "held",
	  .unit = "share",
	  .help = "readouts: texts that are held out",
	  .def = "0.3",
	  .type = SN_TYPE_FLOAT,
	  .off = AT(held),
	  .min = 0.01,
	  .max = 0.9 },
	{ .name = "epochs",
	  .help = "readouts: passes over the training texts",
	  .def = "20",
	  .type = SN_TYPE_INT,
	  .off = AT(epochs),
	  .min = 1,
	  .max = 1e5 },
	{ .name = "batch",
	  .unit = "texts",
	  .help = "readouts: texts a step",
	  .def = "32",
	  .type = SN_TYPE_INT,
	  .off = AT(batch),
	  .min = 1,
	  .max = 65536 },
	{ .name = "rate",
	  .help = "readouts: Adam's step size",
	  .def = "0.001",
	  .type = SN_TYPE_FLOAT,
	  .off = AT(rate),
	  .min = 1e-8,
	  .max = 1 },
};

enum { AGREEMENT, CONTROLS, HEADS, CHANGED, ERASURE, SINGLE, READOUTS, ADVERSARIES, GUIDE };

#define BOUNDED(name, unit, better, title)                                                                             \
	{ name, unit, NULL, SN_TYPE_FLOAT, SN_MEASURE, better, title },                                                    \
		{ name "_low", unit, name, SN_TYPE_FLOAT, SN_LOW, 0, NULL },                                                   \
		{ name "_high", unit, name, SN_TYPE_FLOAT, SN_HIGH, 0, NULL }

#define STACK { "stack", NULL, NULL, SN_TYPE_TEXT, SN_FACET, 0, "Stack" }

static const sn_col agreement_columns[] = {
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Layer" },
	{ "with", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Attention with" },
	STACK,
	{ "texts", "texts", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Texts" },
	BOUNDED("tau", NULL, 0, "Kendall's tau"),
	{ "control", NULL, "tau", SN_TYPE_FLOAT, SN_BASE, 0, "Gradient with leave-one-out" },
	{ "significant", "share", NULL, SN_TYPE_FLOAT, SN_TEXT, 0, "p < 0.05" },
};
static const sn_col control_columns[] = {
	{ "pair", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Rankings" },
	STACK,
	{ "texts", "texts", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Texts" },
	BOUNDED("tau", NULL, 0, "Kendall's tau"),
	{ "significant", "share", NULL, SN_TYPE_FLOAT, SN_TEXT, 0, "p < 0.05" },
};
static const sn_col head_columns[] = {
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Layer" },
	{ "head", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Head" },
	STACK,
	BOUNDED("tau", NULL, 0, "Kendall's tau with leave-one-out"),
};
static const sn_col changed_columns[] = {
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Layer" },
	STACK,
	BOUNDED("permuted", "total variation", 0, "Weights permuted"),
	BOUNDED("uniform", "total variation", 0, "Weights uniform"),
	BOUNDED("adversary", "nats", 0, "Adversary's divergence"),
	{ "bound", "nats", "adversary", SN_TYPE_FLOAT, SN_BASE, 0, "ln 2" },
	{ "adversary_tvd", "total variation", NULL, SN_TYPE_FLOAT, SN_TEXT, 0, "Its change of the prediction" },
	{ "most", "weight", NULL, SN_TYPE_FLOAT, SN_TEXT, 0, "Largest weight" },
	{ "texts", "texts", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Texts" },
};
static const sn_col erasure_columns[] = {
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Layer" },
	{ "order", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Order" },
	STACK,
	BOUNDED("removed", "share", -1, "Removed until the prediction changes"),
	{ "never", "share", NULL, SN_TYPE_FLOAT, SN_TEXT, 0, "Never changes" },
};
static const sn_col single_columns[] = {
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Layer" },
	STACK,
	BOUNDED("js_gap", "nats", 0, "JS, heaviest less random"),
	{ "both", "texts", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Both flip" },
	{ "heaviest", "texts", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Heaviest alone flips" },
	{ "random", "texts", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Random alone flips" },
	{ "neither", "texts", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Neither flips" },
};

static const sn_table tables[] = {
	[AGREEMENT] = { "agreement", "Attention against what the prediction depends on", agreement_columns,
					SN_COUNT(agreement_columns), SN_VIEW_LINE,
					"Kendall's tau-b between the attention of the predicting place (mean of a layer's heads; in an "
					"encoder-decoder's encoder of all its places) and, "
					"token by token, how far "
					"the prediction moves when the token is left out (total variation), or |gradient x input| of its "
					"log-probability. "
					"Mean over texts with 95 % intervals. Dashed: how well the two agree with one another, which "
					"attention cannot be "
					"asked to exceed.",
					false },
	[CONTROLS] = { "controls", "The other rankings", control_columns, SN_COUNT(control_columns), SN_VIEW_TABLE,
				   "The same between gradient and leave-one-out, and of attention rollout through all layers with "
				   "both.",
				   false },
	[CHANGED] = { "changed", "Attention changed, layer by layer", changed_columns, SN_COUNT(changed_columns),
				  SN_VIEW_LINE,
				  "Total variation of the prediction when one layer's weights at the predicting place are permuted "
				  "(every head; median "
				  "over permutations) or made uniform; and how different weights can be (Jensen-Shannon divergence, "
				  "mean over heads; at "
				  "most ln 2) while the prediction stays within epsilon. Means over texts with 95 % intervals.",
				  false },
	[ERASURE] = { "erasure", "Erased until the prediction changes", erasure_columns, SN_COUNT(erasure_columns),
				  SN_VIEW_LINE,
				  "Keys are taken from one layer's attention at the predicting place, from all heads, the rest "
				  "renormalised; the share "
				  "gone when the most probable token changes (1: it never does). Orders: weight, derivative of the "
				  "prediction by the "
				  "weight, their product, random. Earlier is better: the order knows more of what matters.",
				  false },
	[SINGLE] = { "single", "The heaviest key against a random one", single_columns, SN_COUNT(single_columns),
				 SN_VIEW_TABLE,
				 "One key erased: divergence of the prediction without the heaviest less that without a random other, "
				 "and texts by "
				 "which of the two changes the most probable token (Serrano & Smith 2019).",
				 false },
	[HEADS] = { "heads", "Single heads", head_columns, SN_COUNT(head_columns), SN_VIEW_HEAT,
				"The same tau with leave-one-out of every head's attention.", true },
	[READOUTS] = { "readouts", "Readouts with attention, trained anew", sn_readout_columns, SN_READOUT_COLUMNS,
				   SN_VIEW_TABLE,
				   "Classifiers of the label with additive attention over one layer's vectors, on texts held out: of "
				   "several seeds, and with uniform weights. How far they differ from the first (base) in prediction, "
				   "and in weights (Jensen-Shannon divergence, at most ln 2). 95 % intervals over texts.",
				   false },
	[ADVERSARIES] = { "adversaries", "Adversaries trained over all texts", sn_adversary_columns, SN_ADVERSARY_COLUMNS,
					  SN_VIEW_LINE,
					  "Readouts trained to predict as the base does with other weights: least total variation - lambda "
					  "KL(base's weights, own weights), parameters shared by all texts. Dashed: what seeds alone do. "
					  "Weights that go farther than seeds' while the prediction stays were not needed for it.",
					  false },
	[GUIDE] = { "guides", "Weights as guides", sn_guide_columns, SN_GUIDE_COLUMNS, SN_VIEW_TABLE,
				"Perceptrons that see single embeddings, summed up with frozen weights: uniform; trained along; the "
				"mean of the model's heads in the layer (of the last place, in encoders of all); the base readout's; "
				"the adversaries'. Gain: accuracy beside uniform weights, paired. Weights that tell where the evidence "
				"is help a model that knows of no neighbours.",
				false },
};

/* What is found of one stack. */
typedef struct found {
	const sn_attn_stack *of;
	int n_chosen, *chosen;
	sn_explain_ranks ranks;
	sn_changed *changed;        /* [texts][n_chosen] */
} found;

typedef struct tests {
	sn_explained e;
	const sn_explain_param *p;
	sn_result *out;
	sn_arena *arena;            /* for the whole run */
	sn_attn_texts texts;
	sn_attn_stacks stacks;
	found found[SN_ATTN_STACKS];
	const sn_column *label;     /* NULL: no readouts */
	sn_labelled labelled;
	sn_lambdas lambdas;
} tests;

/* ---- running ---- */

static sn_status choose_layers(tests *t, found *f)
{
	int n = f->of->n_layer;
	int64_t every = t->p->every > 0 ? t->p->every : (n + 5) / 6;
	SN_NEW(f->chosen, t->arena, int, n);
	for (int l = 0; l < n; l++)
		if (l % every == 0 || (t->p->every == 0 && l == n - 1)) f->chosen[f->n_chosen++] = l;
	return SN_OK;
}

static sn_status open_found(tests *t)
{
	t->stacks = sn_attn_stacks_of(t->e.model);
	t->e.n_stack = t->stacks.n;
	for (int s = 0; s < t->stacks.n; s++) {
		found *f = &t->found[s];
		f->of = &t->stacks.stack[s];
		SN_TRY(choose_layers(t, f));
		SN_NEW(f->changed, t->arena, sn_changed, (int64_t)t->texts.n * f->n_chosen);
		SN_TRY(sn_explain_ranks_open(&f->ranks, t->e.ctx, t->e.model, &t->texts, f->of, t->arena));
		t->e.stack[s] = (sn_explained_stack){ .of = f->of, .n_chosen = f->n_chosen, .chosen = f->chosen };
	}
	return SN_OK;
}

static sn_status take_text(tests *t, int32_t i)
{
	t->e.text = &t->texts.text[i];
	t->e.number = t->texts.text[i].row;
	SN_TRY(sn_explain_open(&t->e));
	for (int s = 0; s < t->e.n_stack; s++) {
		const sn_explained_stack *stack = &t->e.stack[s];
		sn_changed *changed = t->found[s].changed + (int64_t)i * stack->n_chosen;
		SN_TRY(sn_explain_rank(&t->found[s].ranks, &t->e, stack, i));
		SN_TRY(sn_explain_change(&t->e, stack, t->p->permutations, changed));
		if (i < t->p->adversaries) SN_TRY(sn_explain_attack(&t->e, stack, t->p, changed));
	}
	return SN_OK;
}

static sn_status take_texts(tests *t)
{
	sn_mark mark = sn_arena_mark(t->e.arena);
	for (int32_t i = 0; i < t->texts.n; i++) {
		sn_progress(t->e.ctx, "texts", i, t->texts.n);
		SN_TRY(take_text(t, i));
		sn_arena_reset(t->e.arena, mark);
	}
	sn_progress(t->e.ctx, "texts", t->texts.n, t->texts.n);
	return SN_OK;
}

/* ---- report ---- */

typedef struct mean_tau { sn_ratio tau; double significant; int64_t n; } mean_tau;

static mean_tau mean_of(const tests *t, const sn_ranking *r)
{
	mean_tau m = { sn_ratio_within(sn_ratio_of(r->tau, NULL, t->texts.n, 1, 0.95), -1, 1), 0, 0 };
	for (int32_t i = 0; i < t->texts.n; i++) {
		if (isnan(r->tau[i])) continue;
		m.n++;
		m.significant += r->p[i] < 0.05;
	}
	m.significant = m.n ? m.significant / (double)m.n : NAN;
	return m;
}

static sn_status add_control(const tests *t, const found *f, const char *name, const sn_ranking *r)
{
	mean_tau m = mean_of(t, r);
	return SN_ADD(t->out, CONTROLS, sn_text(name), sn_text(f->of->name), sn_int(m.n), sn_num(m.tau.value),
	              sn_num(m.tau.low), sn_num(m.tau.high), sn_num(m.significant));
}

static sn_status add_agreement(const tests *t, const found *f)
{
	static const char *const with[] = { "leave-one-out", "gradient" };
	const sn_explain_ranks *r = &f->ranks;
	double control = mean_of(t, &r->control).tau.value;
	for (int l = 0; l < f->of->n_layer; l++)
		for (int w = 0; w < SN_TRUTHS; w++) {
			mean_tau m = mean_of(t, &r->layer[w][l]);
			SN_TRY(SN_ADD(t->out, AGREEMENT, sn_int(l), sn_text(with[w]), sn_text(f->of->name), sn_int(m.n),
			              sn_num(m.tau.value), sn_num(m.tau.low), sn_num(m.tau.high), sn_num(control),
			              sn_num(m.significant)));
		}
	for (int i = 0; i < f->of->n_layer * f->of->n_head; i++) {
		sn_ratio tau = mean_of(t, &r->head[i]).tau;
		SN_TRY(SN_ADD(t->out, HEADS, sn_int(i / f->of->n_head), sn_int(i % f->of->n_head), sn_text(f->of->name),
		              sn_num(tau.value), sn_num(tau.low), sn_num(tau.high)));
	}
	if (!r->rolled) return SN_OK;   /* cross-attention: the encoder's tokens again */
	SN_TRY(add_control(t, f, "gradient with leave-one-out", &r->control));
	SN_TRY(add_control(t, f, "rollout with leave-one-out", &r->rollout[SN_TRUTH_LOO]));
	return add_control(t, f, "rollout with gradient", &r->rollout[SN_TRUTH_GRADIENT]);
}

/* The mean over texts of a member of sn_changed, in one chosen layer. */
static sn_ratio mean_change(const tests *t, const found *f, int c, size_t member)
{
	const double *first = (const double *)((const char *)&f->changed[c] + member);
	return sn_ratio_of(first, NULL, t->texts.n, f->n_chosen * (int64_t)(sizeof(sn_changed) / sizeof(double)), 0.95);
}

#define MEAN(member) mean_change(t, f, c, offsetof(sn_changed, member))

static sn_status add_changes(const tests *t, const found *f, int c)
{
	sn_ratio permuted = sn_ratio_within(MEAN(permuted), 0, 1), uniform = sn_ratio_within(MEAN(uniform), 0, 1);
	sn_ratio adversary = sn_ratio_within(MEAN(adversary), 0, log(2)), gap = MEAN(js_gap);
	int64_t flips[2][2] = { { 0 } };
	for (int32_t i = 0; i < t->texts.n; i++) {
		const sn_changed *x = &f->changed[(int64_t)i * f->n_chosen + c];
		if (!isnan(x->js_gap)) flips[x->flips_top][x->flips_random]++;
	}
	SN_TRY(SN_ADD(t->out, CHANGED, sn_int(f->chosen[c]), sn_text(f->of->name), sn_num(permuted.value),
	              sn_num(permuted.low), sn_num(permuted.high), sn_num(uniform.value), sn_num(uniform.low),
	              sn_num(uniform.high), sn_num(adversary.value), sn_num(adversary.low), sn_num(adversary.high),
	              sn_num(log(2)), sn_num(MEAN(adversary_tvd).value), sn_num(MEAN(most).value), sn_int(t->texts.n)));
	return SN_ADD(t->out, SINGLE, sn_int(f->chosen[c]), sn_text(f->of->name), sn_num(gap.value), sn_num(gap.low),
	              sn_num(gap.high), sn_int(flips[1][1]), sn_int(flips[1][0]), sn_int(flips[0][1]),
	              sn_int(flips[0][0]));
}

static sn_status add_erasure(const tests *t, const found *f, int c)
{
	static const char *const name[] = { "attention", "gradient", "attention x gradient", "random" };
	for (int o = 0; o < SN_ERASURES; o++) {
		size_t member = offsetof(sn_changed, removed) + (size_t)o * sizeof(double);
		sn_ratio r = sn_ratio_within(mean_change(t, f, c, member), 0, 1);
		double never = 0;
		for (int32_t i = 0; i < t->texts.n; i++) never += !f->changed[(int64_t)i * f->n_chosen + c].flipped[o];
		SN_TRY(SN_ADD(t->out, ERASURE, sn_int(f->chosen[c]), sn_text(name[o]), sn_text(f->of->name), sn_num(r.value),
		              sn_num(r.low), sn_num(r.high), sn_num(never / t->texts.n)));
	}
	return SN_OK;
}

/* The first of a table's rows [from, end), every step-th, that has the largest value in a cell; NULL: none has one. */
static const sn_value *largest(const tests *t, int table, int64_t from, int64_t step, int cell)
{
	const sn_value *best = NULL;
	for (int64_t i = from; i < sn_result_rows(t->out, table); i += step) {
		const sn_value *row = sn_result_row(t->out, table, i);
		if (!isnan(row[cell].f) && (!best || row[cell].f > best[cell].f)) best = row;
	}
	return best;
}

enum { TAU_CELL = 4, PERMUTED_CELL = 2, UNIFORM_CELL = 5 };

/* agreement, changed: the stack's first rows in these tables, which are its last too. */
static sn_status say(const tests *t, const found *f, int64_t agreement, int64_t changed)
{
	const sn_value *best = largest(t, AGREEMENT, agreement, SN_TRUTHS, TAU_CELL),
				   *most = largest(t, CHANGED, changed, 1, PERMUTED_CELL);
	const char *of = t->stacks.n > 1 ? " of stack " : "", *name = t->stacks.n > 1 ? f->of->name : "";
	sn_ratio control = mean_of(t, &f->ranks.control).tau;
	if (best)
		SN_TRY(sn_result_say(t->out,
							 "Attention%s%s ranks tokens as leaving them out does by tau %.2f [%.2f, %.2f] at best "
							 "(layer %lld, the best of all, so a little flattering); gradient and leave-one-out agree "
							 "by %.2f [%.2f, %.2f]. %d texts.",
							 of, name, best[TAU_CELL].f, best[TAU_CELL + 1].f, best[TAU_CELL + 2].f,
							 (long long)best[0].i, control.value, control.low, control.high, t->texts.n));
	else
		SN_TRY(sn_result_limit(t->out, "The texts%s%s are too short to rank their tokens.", of, name));
	return sn_result_say(t->out,
						 "Permuting one layer's attention%s%s moves the prediction most in layer %lld: total variation "
						 "%.3f (uniform attention there: %.3f).",
						 of, name, (long long)most[0].i, most[PERMUTED_CELL].f, most[UNIFORM_CELL].f);
}

static sn_status report(const tests *t)
{
	for (int s = 0; s < t->stacks.n; s++) {
		const found *f = &t->found[s];
		int64_t agreement = sn_result_rows(t->out, AGREEMENT), changed = sn_result_rows(t->out, CHANGED);
		SN_TRY(add_agreement(t, f));
		for (int c = 0; c < f->n_chosen; c++) {
			SN_TRY(add_changes(t, f, c));
			SN_TRY(add_erasure(t, f, c));
		}
		SN_TRY(say(t, f, agreement, changed));
	}
	SN_TRY(sn_result_limit(t->out,
						   "One layer is changed at a time, at the predicting place%s; later layers are computed anew. "
						   "Leaving a token out moves later ones up.",
						   t->stacks.n > 1 ? " (the encoder's: at all its places)" : ""));
	return SN_OK;
}

/* ---- readouts ---- */

/* Before all else, so that what is asked for wrongly is said at once. */
static sn_status read_labelled(tests *t, const sn_dataset *data)
{
	SN_TRY(sn_labelled_column(t->e.ctx, data, t->p->label, &t->label));
	SN_TRY(sn_lambdas_read(t->e.ctx, t->p->lambdas, &t->lambdas));
	if (!t->label) return SN_OK;
	sn_status status = sn_labelled_read(&t->labelled, t->e.ctx, t->e.model, data, t->label, t->p, t->arena);
	if (status != SN_EPARSE || strcmp(t->p->label, "auto") != 0) return status;
	t->label = NULL;   /* a column that nobody asked for, with too few texts or classes, stops nothing */
	return SN_OK;
}

static sn_status train_readouts(const tests *t)
{
	if (t->label)
		return sn_explain_readouts(t->e.ctx, &t->labelled, &t->lambdas, t->p, t->label->name, t->out, READOUTS,
		                           t->arena);
	return sn_result_limit(t->out,
						   "No readouts were trained (seeds, trained adversaries, guides; Wiegreffe & Pinter 2019): "
						   "they need a column of classes (--label): at least two of them, and ten texts.");
}

/* ---- the run ---- */

static sn_status run_in(tests *t, const sn_input *in)
{
	sn_attn_query query = { .column = t->p->column, .source = t->p->source, .target = t->p->target,
		                    .limit = t->p->limit };
	const sn_model_info *info = t->e.info = sn_model_get_info(t->e.model);
	if (!info->has_logits)
		return sn_fail(t->e.ctx, SN_EARG, "%s has no language-model head: there is no prediction to explain",
		               info->path);
	SN_TRY(read_labelled(t, in->data[0]));
	SN_TRY(sn_attn_read(&t->texts, t->e.ctx, t->e.model, in->data[0], &query, t->arena));
	SN_TRY(open_found(t));
	SN_TRY(take_texts(t));
	SN_TRY(report(t));
	return train_readouts(t);
}

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	tests t = { .e = { .ctx = ctx, .model = in->model[0] }, .p = param, .out = out };
	SN_TRY(sn_arena_open(&t.arena, ctx));
	sn_status status = sn_arena_open(&t.e.arena, ctx);
	if (status == SN_OK) status = run_in(&t, in);
	sn_arena_close(t.e.arena);
	sn_arena_close(t.arena);
	return status;
}

extern const sn_method sn_method_attention_explanation_tests;
const sn_method sn_method_attention_explanation_tests = {
	.family = "attention",
	.name = "explanation-tests",
	.brief = "does attention say what the prediction depends on?",
	.doc =
		"At the place where each text is continued (masked models: at the mask) attention is compared with leaving "
		"tokens out and with gradients (Kendall's tau, beside how well these two agree), permuted, made uniform, "
		"replaced by an adversary's that leaves the prediction within epsilon, and erased key by key in order of "
		"attention, gradient, their product and at random. Changed attention is imposed after encoding: the values "
		"stay. Encoder-decoders (columns source and target) continue their target: the decoder's attention to "
		"itself and to the source at that place, and the encoder's at all its places, each in turn. Data with a "
		"column of classes also train readouts with attention over one layer's vectors: how far weights differ "
		"between seeds, how far adversaries trained over all texts get, and whether weights guide a perceptron "
		"without context (in the paper models are trained; here the model stays as it is).",
	.cite = "Jain & Wallace 2019; Wiegreffe & Pinter 2019; Serrano & Smith 2019; Abnar & Zuidema 2020",
	.example = "sonde attention explanation-tests --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data texts.txt",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params,
	.n_param = SN_COUNT(params),
	.param_size = sizeof(sn_explain_param),
	.table = tables,
	.n_table = SN_COUNT(tables),
	.run = run,
};
