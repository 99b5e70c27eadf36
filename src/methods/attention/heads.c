/* `sonde attention heads`: which heads matter, and what they do. */
#include "methods/attention/heads.h"
#include "methods/attention/goals.h"
#include "methods/attention/maps.h"
#include "stats/ratio.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct heads_param {
	const char *column, *source, *target, *rule;
	int64_t limit, repeat, sequences, least;
} heads_param;

#define AT(field) offsetof(heads_param, field)
static const sn_param params[] = {
	{ .name = "column", .help = "column of the text; auto: text or sentence", .def = "auto", .type = SN_TYPE_TEXT,
	  .off = AT(column) },
	{ .name = "source", .help = "encoder-decoders: column of what the encoder reads; auto: source", .def = "auto",
	  .type = SN_TYPE_TEXT, .off = AT(source) },
	{ .name = "target", .help = "encoder-decoders: column of what the decoder writes; auto: target", .def = "auto",
	  .type = SN_TYPE_TEXT, .off = AT(target) },
	{ .name = "rule", .help = "rules of the relevance", .def = "attn-lrp", .choices = "attn-lrp|cp-lrp|none",
	  .type = SN_TYPE_TEXT, .off = AT(rule) },
	{ .name = "repeat", .unit = "tokens", .help = "length of the random sequences that are repeated once; 0: none",
	  .def = "50", .type = SN_TYPE_INT, .off = AT(repeat), .max = 1e5 },
	{ .name = "sequences", .help = "how many of them", .def = "8", .type = SN_TYPE_INT, .off = AT(sequences), .min = 1,
	  .max = 1e4 },
	{ .name = "least", .unit = "pairs", .help = "treebanks: relations with fewer pairs in either half are left out",
	  .def = "30", .type = SN_TYPE_INT, .off = AT(least), .min = 1, .max = 1e9 },
	{ .name = "limit", .unit = "rows", .help = "only the first rows of the data; 0: all", .def = "0",
	  .type = SN_TYPE_INT, .off = AT(limit), .max = 1e15 },
};

enum { IMPORTANCE, LOOKS, COPYING, RELATIONS, RELATION_HEADS };

#define BOUNDED(name, unit, better, title)                                                                             \
	{ name, unit, NULL, SN_TYPE_FLOAT, SN_MEASURE, better, title },                                                    \
		{ name "_low", unit, name, SN_TYPE_FLOAT, SN_LOW, 0, NULL },                                                   \
		{ name "_high", unit, name, SN_TYPE_FLOAT, SN_HIGH, 0, NULL }
#define STACK { "stack", NULL, NULL, SN_TYPE_TEXT, SN_FACET, 0, "Stack" }
#define HEAD                                                                                                           \
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Layer" }, { "head", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Head" }

static const sn_col importance_columns[] = {
	HEAD,
	STACK,
	BOUNDED("importance", "nats", 0, "Importance"),
	BOUNDED("relevance", "share", 0, "Relevance"),
	{ "by_position", "nats", NULL, SN_TYPE_FLOAT, SN_TEXT, 0, "Importance by position" },
	{ "in_layer", NULL, NULL, SN_TYPE_FLOAT, SN_TEXT, 0, "Importance, layer's norm 1" },
};
static const sn_col look_columns[] = {
	HEAD,
	STACK,
	BOUNDED("confidence", "weight", 0, "Confidence"),
	BOUNDED("offset_share", "share", 0, "Maxima at one offset"),
	{ "offset", "tokens", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "That offset" },
	{ "positional", NULL, NULL, SN_TYPE_BOOL, SN_TEXT, 0, "Positional" },
};
static const sn_col copying_columns[] = {
	HEAD,
	BOUNDED("induction", "weight", 0, "Induction"),
	BOUNDED("duplicate", "weight", 0, "Duplicate token"),
	BOUNDED("previous", "weight", 0, "Previous token"),
	{ "uniform", "weight", "induction", SN_TYPE_FLOAT, SN_BASE, 0, "If uniform" },
};

static const sn_table tables[] = {
	[IMPORTANCE] = { "importance", "Which heads matter", importance_columns, SN_COUNT(importance_columns), SN_VIEW_HEAT,
					 "Importance: the mean over rows of |z . dL/dz|, z being the head's output and L the mean loss, or "
					 "the choice of a "
					 "phenomenon's items (Michel et al. 2019); by position: absolute values before positions are "
					 "summed; layer's norm 1: "
					 "for ranking across layers. Relevance: the head's share of its layer's absolute relevance for "
					 "what is predicted, "
					 "signed. 95 % intervals over rows.",
					 false },
	[LOOKS] = { "looks", "How heads look", look_columns, SN_COUNT(look_columns), SN_VIEW_HEAT,
				"Confidence: the largest weight of a query, on average (Voita et al. 2019); how often the largest "
				"weight lies at the "
				"head's most frequent offset (positional: 90 % and more). Added tokens and a token that sees itself "
				"alone are no "
				"queries. 95 % intervals over texts.",
				false },
	[COPYING] = { "copying", "Heads that copy", copying_columns, SN_COUNT(copying_columns), SN_VIEW_HEAT,
				  "Random tokens, repeated once: mean weight of the second repetition on what followed the same token "
				  "before "
				  "(induction), on that token itself, and of all on the token before. 95 % intervals over sequences.",
				  false },
	[RELATIONS] = { "relations", "Heads against dependency relations", sn_relation_columns, SN_RELATION_COLUMNS,
					SN_VIEW_TABLE,
					"How often a word's largest weight, itself and added tokens left aside, falls on the word that the "
					"relation joins it "
					"with. Head and offset are chosen on half of the sentences and scored on the others; 95 % "
					"intervals over sentences. "
					"In causal models only the later word of two can look at the other. 10 points above: the margin's "
					"lower bound.",
					false },
	[RELATION_HEADS] = { "relation_heads", "Every head against every relation", sn_relation_head_columns,
		                 SN_RELATION_HEAD_COLUMNS, SN_VIEW_TABLE,
		"The same accuracy of every head, on all sentences; 95 % intervals over sentences.", true },
};

typedef struct heads {
	sn_ctx *ctx;
	const heads_param *p;
	sn_model *model;
	const sn_model_info *info;
	sn_result *out;
	sn_arena *arena;
	sn_attn_texts texts;
	sn_attn_stacks stacks;
	int n_head;            /* of all layers and stacks */
	double *confidence, *queries;   /* [n_head][texts], [texts] */
	double *at_offset;     /* [n_head][texts] maxima at the best offset, once it is known */
	const sn_attn_stack *stack; /* whose looks are taken */
	int32_t longest, *most; /* [heads of a stack][queries] offsets of maxima, one text behind the other */
	int64_t *first;        /* [texts + 1] */
} heads;

/* ---- importance ---- */

static sn_status add_importance(heads *h, const sn_attn_goals *goals, const double *dot, const double *each,
                                const double *relevance)
{
	int64_t n = sn_attn_goal_units(goals), stride = h->n_head;
	double *size, *norm;
	SN_NEW(size, h->arena, double, n * stride);
	SN_NEW(norm, h->arena, double, stride);
	for (int64_t i = 0; i < n * stride; i++) size[i] = fabs(dot[i]);
	for (int i = 0; i < h->n_head; i++) {
		double mean = sn_ratio_of(size + i, NULL, n, stride, 0.95).value;
		norm[sn_attn_place_of(&h->stacks, i).first] += mean * mean;
	}
	for (int i = 0; i < h->n_head; i++) {
		sn_attn_place at = sn_attn_place_of(&h->stacks, i);
		sn_ratio michel = sn_ratio_within(sn_ratio_of(size + i, NULL, n, stride, 0.95), 0, INFINITY),
				 by = sn_ratio_of(each + i, NULL, n, stride, 0.95);
		sn_ratio r = { NAN, NAN, NAN };
		if (relevance) r = sn_ratio_within(sn_ratio_of(relevance + i, NULL, n, stride, 0.95), -1, 1);
		SN_TRY(SN_ADD(h->out, IMPORTANCE, sn_int(at.layer), sn_int(at.head), sn_text(at.stack->name),
		              sn_num(michel.value), sn_num(michel.low), sn_num(michel.high), sn_num(r.value),
		              sn_num(r.low), sn_num(r.high), sn_num(by.value),
		              sn_num(michel.value / (sqrt(norm[at.first]) + 1e-20))));
	}
	return SN_OK;
}

/* Of each row, the share of a layer's absolute relevance. */
static void to_shares(const heads *h, double *relevance, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		for (int first = 0, each; first < h->n_head; first += each) {
			double *layer = relevance + i * h->n_head + first, sum = 0;
			each = sn_attn_place_of(&h->stacks, first).stack->n_head;
			for (int k = 0; k < each; k++) sum += fabs(layer[k]);
			for (int k = 0; k < each; k++) layer[k] = sum > 0 ? layer[k] / sum : NAN;
		}
}

enum { STACK_CELL = 2, IMPORTANCE_CELL, IMPORTANCE_LOW, IMPORTANCE_HIGH };

/* Whether the ranking means anything: the first's lower bound above the median head. */
static sn_status say_importance(heads *h, const sn_attn_goals *goals)
{
	const sn_value *top = NULL;
	double *all, sum = 0;
	SN_NEW(all, h->arena, double, h->n_head);
	for (int i = 0; i < h->n_head; i++) {
		const sn_value *row = sn_result_row(h->out, IMPORTANCE, i);
		sum += all[i] = row[IMPORTANCE_CELL].f;
		if (!top || row[IMPORTANCE_CELL].f > top[IMPORTANCE_CELL].f) top = row;
	}
	SN_TRY(sn_result_say(h->out,
						 "Most important for the %s is head %lld of layer %lld%s%s: %.4f nats [%.4f, %.4f]; the mean "
						 "head has %.4f. %d rows.",
						 goals->items   ? "choice"
						 : goals->pairs ? "margin"
										: "loss",
						 (long long)top[1].i, (long long)top[0].i, h->stacks.n > 1 ? " of stack " : "",
						 h->stacks.n > 1 ? top[STACK_CELL].s : "", top[IMPORTANCE_CELL].f, top[IMPORTANCE_LOW].f,
						 top[IMPORTANCE_HIGH].f, sum / h->n_head, sn_attn_goal_units(goals)));
	if (!(top[IMPORTANCE_LOW].f > sum / h->n_head))
		SN_TRY(sn_result_limit(h->out,
							   "The importances are too uncertain to rank: the first one's interval holds the mean."));
	return sn_result_limit(h->out,
						   "Importance is a first-order estimate of what removing a head does; `attention prune` "
						   "removes heads.");
}

static sn_attn_query query_of(const heads *h, const char *column)
{
	return (sn_attn_query){ .column = column, .source = h->p->source, .target = h->p->target, .limit = h->p->limit };
}

static sn_status measure_importance(heads *h, const sn_dataset *data)
{
	sn_attn_goals goals;
	double *dot, *each, *relevance = NULL;
	if (!h->info->has_logits || (!h->info->causal && h->info->mask < 0))
		return sn_result_limit(h->out, "%s has no language-model head: heads have no importance for a prediction.",
		                       h->info->name);
	sn_attn_query query = query_of(h, h->p->column);
	SN_TRY(sn_attn_goals_read(&goals, h->ctx, h->model, data, &query, h->arena));
	SN_NEW(dot, h->arena, double, (int64_t)goals.n * h->n_head);
	SN_NEW(each, h->arena, double, (int64_t)goals.n * h->n_head);
	SN_TRY(sn_attn_head_products(&goals, SN_RULE_PLAIN, dot, each));
	if (strcmp(h->p->rule, "none") != 0) {
		sn_rule rule = strcmp(h->p->rule, "cp-lrp") == 0 ? SN_RULE_CP_LRP : SN_RULE_ATTN_LRP;
		SN_NEW(relevance, h->arena, double, (int64_t)goals.n * h->n_head);
		SN_TRY(sn_attn_head_products(&goals, rule, relevance, NULL));
		to_shares(h, relevance, sn_attn_goal_units(&goals));
	}
	SN_TRY(add_importance(h, &goals, dot, each, relevance));
	return say_importance(h, &goals);
}

/* ---- how heads look ---- */

/* Whether a query has a choice: it is the text's own, and sees more than itself. */
static bool has_choice(const heads *h, const sn_attn_side *query, const sn_attn_side *key, int32_t q)
{
	bool self = h->stack->kind == SN_ATTN_SELF;
	return !query->added[q] && !(self && h->info->causal && q == 0) && key->n > 1;
}

static sn_status take_looks(void *arg, int32_t text, const sn_attn_pattern *p)
{
	heads *h = arg;
	const sn_attn_side *side = sn_attn_queries(&h->texts.text[text], h->stack->kind);
	int64_t total = h->first[h->texts.n];
	h->queries[text] = 0;
	for (int32_t q = 0; q < side->n; q++) {
		if (!has_choice(h, side, sn_attn_keys(&h->texts.text[text], h->stack->kind), q)) continue;
		for (int i = 0; i < p->n_layer * p->n_head; i++) {
			const float *row = sn_attn_at(p, i / p->n_head, i % p->n_head, q);
			int32_t most = 0;
			for (int32_t k = 1; k < p->n_key; k++)
				if (row[k] > row[most]) most = k;
			h->confidence[(int64_t)i * h->texts.n + text] += row[most];
			h->most[i * total + h->first[text] + (int64_t)h->queries[text]] = most - q;
		}
		h->queries[text]++;
	}
	return SN_OK;
}

/* The most frequent offset of a head, and how often each text has it. */
static int32_t best_offset(const heads *h, int head, int64_t *count, double *hit)
{
	int32_t best = 0, n = 2 * h->longest + 1;
	const int32_t *most = h->most + head * h->first[h->texts.n];
	memset(count, 0, (size_t)n * sizeof *count);
	for (int32_t i = 0; i < h->texts.n; i++)
		for (int64_t q = 0; q < (int64_t)h->queries[i]; q++) count[most[h->first[i] + q] + h->longest]++;
	for (int32_t o = 1; o < n; o++)
		if (count[o] > count[best]) best = o;
	for (int32_t i = 0; i < h->texts.n; i++) {
		hit[i] = 0;
		for (int64_t q = 0; q < (int64_t)h->queries[i]; q++) hit[i] += most[h->first[i] + q] + h->longest == best;
	}
	return best - h->longest;
}

/* Room for one stack's heads. */
static sn_status open_looks(heads *h, int n_head)
{
	SN_NEW(h->first, h->arena, int64_t, h->texts.n + 1);
	h->longest = 0;
	for (int32_t i = 0; i < h->texts.n; i++) {
		int32_t queries = sn_attn_queries(&h->texts.text[i], h->stack->kind)->n;
		h->first[i + 1] = h->first[i] + queries;
		h->longest = SN_MAX(SN_MAX(h->longest, queries), sn_attn_keys(&h->texts.text[i], h->stack->kind)->n);
	}
	SN_NEW(h->confidence, h->arena, double, (int64_t)n_head * h->texts.n);
	SN_NEW(h->queries, h->arena, double, h->texts.n);
	SN_NEW(h->most, h->arena, int32_t, n_head * h->first[h->texts.n]);
	return SN_OK;
}

static sn_status look(heads *h, const sn_attn_stack *stack)
{
	int64_t *count;
	double *hit;
	int n_head = stack->n_layer * stack->n_head;
	h->stack = stack;
	SN_TRY(open_looks(h, n_head));
	SN_TRY(sn_attn_each(h->ctx, h->model, &h->texts, stack->kind, take_looks, h));
	SN_NEW(count, h->arena, int64_t, 2 * h->longest + 1);
	SN_NEW(hit, h->arena, double, h->texts.n);
	for (int i = 0; i < n_head; i++) {
		int32_t offset = best_offset(h, i, count, hit);
		const double *largest = h->confidence + (int64_t)i * h->texts.n;
		sn_ratio sure = sn_ratio_within(sn_ratio_of(largest, h->queries, h->texts.n, 1, 0.95), 0, 1),
				 at = sn_ratio_within(sn_ratio_of(hit, h->queries, h->texts.n, 1, 0.95), 0, 1);
		SN_TRY(SN_ADD(h->out, LOOKS, sn_int(i / stack->n_head), sn_int(i % stack->n_head), sn_text(stack->name),
		              sn_num(sure.value), sn_num(sure.low), sn_num(sure.high), sn_num(at.value), sn_num(at.low),
		              sn_num(at.high), sn_int(offset), sn_flag(at.value >= 0.9)));
	}
	return SN_OK;
}

static sn_status measure_looks(heads *h, const sn_dataset *data)
{
	const char *column = h->p->column;
	sn_attn_query query = query_of(h, h->info->n_layer_encoder ? column : sn_attn_goal_column(data, column));
	SN_TRY(sn_attn_read(&h->texts, h->ctx, h->model, data, &query, h->arena));
	for (int s = 0; s < h->stacks.n; s++) SN_TRY(look(h, &h->stacks.stack[s]));
	return SN_OK;
}

/* ---- heads that copy ---- */

static double uniform_weight(const heads *h, int32_t before)
{
	double sum = 0;
	int32_t n = (int32_t)h->p->repeat;
	if (!h->info->causal) return 1.0 / (before + 2 * n);
	for (int32_t i = n; i < 2 * n; i++) sum += 1.0 / (before + i + 1) / n;
	return sum;
}

static sn_status say_copying(heads *h)
{
	enum { INDUCTION_CELL = 2, LOW_CELL, HIGH_CELL };
	const sn_value *top = NULL;
	for (int i = 0; i < h->n_head; i++) {
		const sn_value *row = sn_result_row(h->out, COPYING, i);
		if (!top || row[INDUCTION_CELL].f > top[INDUCTION_CELL].f) top = row;
	}
	return sn_result_say(h->out,
						 "The strongest induction head is head %lld of layer %lld: %.2f [%.2f, %.2f] of the weight "
						 "(uniform attention: %.2f).",
						 (long long)top[1].i, (long long)top[0].i, top[INDUCTION_CELL].f, top[LOW_CELL].f,
						 top[HIGH_CELL].f, top[11].f);
}

static sn_status measure_copying(heads *h)
{
	static const sn_copying order[] = { SN_COPY_INDUCTION, SN_COPY_DUPLICATE, SN_COPY_PREVIOUS };
	int32_t *token, begin = h->info->add_bos ? h->info->bos : -1, length = (int32_t)h->p->repeat;
	int n = (int)h->p->sequences;
	double *score;
	if (length < 2) return SN_OK;
	if (h->info->n_ctx > 0 && 2 * h->p->repeat + 1 > h->info->n_ctx)
		return sn_fail(h->ctx, SN_EARG, "--repeat %d: twice that is more than the model's %lld tokens", length,
		               (long long)h->info->n_ctx);
	SN_NEW(token, h->arena, int32_t, (int64_t)n * length);
	SN_NEW(score, h->arena, double, (int64_t)h->n_head * SN_COPIES * n);
	sn_copying_draw(h->ctx, h->model, n, length, token);
	SN_TRY(sn_copying_scores(h->ctx, h->model, token, n, length, begin, score));
	for (int i = 0; i < h->n_head; i++) {
		sn_cell cell[SN_COUNT(copying_columns)] = { sn_int(i / h->info->n_head), sn_int(i % h->info->n_head) };
		for (int k = 0; k < SN_COPIES; k++) {
			const double *scores = score + ((int64_t)i * SN_COPIES + order[k]) * n;
			sn_ratio r = sn_ratio_within(sn_ratio_of(scores, NULL, n, 1, 0.95), 0, 1);
			cell[2 + 3 * k] = sn_num(r.value);
			cell[3 + 3 * k] = sn_num(r.low);
			cell[4 + 3 * k] = sn_num(r.high);
		}
		cell[11] = sn_num(uniform_weight(h, begin >= 0));
		SN_TRY(sn_result_add(h->out, COPYING, cell, SN_COUNT(cell)));
	}
	return say_copying(h);
}

/* ---- the run ---- */

static sn_status run_in(heads *h, const sn_dataset *data)
{
	h->info = sn_model_get_info(h->model);
	h->stacks = sn_attn_stacks_of(h->model);
	h->n_head = h->stacks.n_head;
	SN_TRY(measure_importance(h, data));
	SN_TRY(measure_looks(h, data));
	if (h->info->n_layer_encoder)
		return sn_result_limit(h->out, "Copying and dependency relations are of one text: they are not measured in an "
		                       "encoder-decoder.");
	SN_TRY(measure_copying(h));
	if (!data->treebank) return SN_OK;
	return sn_head_relations(h->ctx, h->model, data, h->p->limit, h->p->least, h->out, RELATIONS);
}

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	heads h = { .ctx = ctx, .p = param, .model = in->model[0], .out = out };
	SN_TRY(sn_arena_open(&h.arena, ctx));
	sn_status status = run_in(&h, in->data[0]);
	sn_arena_close(h.arena);
	return status;
}

extern const sn_method sn_method_attention_heads;
const sn_method sn_method_attention_heads = {
	.family = "attention",
	.name = "heads",
	.brief = "which heads matter, and what they do",
	.doc =
		"Importance of every head for the loss of texts (or the margin of minimal pairs, columns sentence_good and "
		"sentence_bad; or the choice of items made by `data make`), from one backward pass; relevance by layer-wise "
		"relevance propagation; confidence and positional heads; induction, duplicate-token and previous-token heads "
		"on random repeated tokens; and on a treebank each dependency relation's best head beside the best fixed "
		"offset. Masked models are judged on a drawn 15 % of the tokens, hidden; "
		"encoder-decoders on their targets (columns source and target), with the heads of encoder, decoder and "
		"cross-attention in turn.",
	.cite =
		"Michel et al. 2019 (importance); Voita et al. 2019 (confidence, positional and syntactic heads); Achtibat et "
		"al. 2024, Ali et al. 2022 (relevance); Olsson et al. 2022 (induction); Clark et al. 2019 (relations)",
	.example =
		"sonde attention heads --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data en_ewt-ud-dev.conllu --limit 300",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params,
	.n_param = SN_COUNT(params),
	.param_size = sizeof(heads_param),
	.table = tables,
	.n_table = SN_COUNT(tables),
	.run = run,
};
