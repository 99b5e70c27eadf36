/* Minimal pairs: does the model give the good sentence the higher log-probability? Each bad sentence is a fork of its
 * good one from the first token that differs, so a pair costs little more than one sentence. */
#include "base/work.h"
#include "data/result.h"
#include "methods/behaviour/scoring.h"
#include "stats/metrics.h"

#include <math.h>
#include <string.h>

typedef struct pairs_param {
	const char *good, *bad, *by, *source, *score;
	int64_t limit;
	const char *pll;
} pairs_param;

static const sn_param params[] = {
	{ "good", NULL, "column of the good sentence; auto: sentence_good, source_sentence or good", "auto", NULL,
	  SN_TYPE_TEXT, offsetof(pairs_param, good), 0, 0, false },
	{ "bad", NULL, "column of the bad sentence; auto: sentence_bad, target_sentence or bad", "auto", NULL, SN_TYPE_TEXT,
	  offsetof(pairs_param, bad), 0, 0, false },
	{ "by", NULL, "column of the condition; auto: UID, subtype or condition; none: no groups", "auto", NULL,
	  SN_TYPE_TEXT, offsetof(pairs_param, by), 0, 0, false },
	{ "source", NULL, "encoder-decoders: column of the text that the encoder reads; none: an empty one", "none", NULL,
	  SN_TYPE_TEXT, offsetof(pairs_param, source), 0, 0, false },
	{ "score", NULL, "compare summed log-probabilities, or means per token", "sum", "sum|mean", SN_TYPE_TEXT,
	  offsetof(pairs_param, score), 0, 0, false },
	{ "limit", "pairs", "only the first pairs of the file; 0: all", "0", NULL, SN_TYPE_INT,
	  offsetof(pairs_param, limit), 0, 1e15, false },
	{ "pll", NULL, "masked models: hide one token, or also the later ones of its word", "original",
	  "original|within_word_l2r", SN_TYPE_TEXT, offsetof(pairs_param, pll), 0, 0, false },
};

enum { CONDITIONS, PAIRS };

static const sn_col condition_columns[] = {
	{ "condition", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Condition" },
	{ "pairs", "pairs", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Pairs" },
	{ "accuracy", "share", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, "Accuracy" },
	{ "accuracy_low", "share", "accuracy", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "accuracy_high", "share", "accuracy", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "chance", "share", "accuracy", SN_TYPE_FLOAT, SN_BASE, 0, "Chance" },
	{ "margin", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, "Mean margin" },
	{ "margin_low", "nats", "margin", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "margin_high", "nats", "margin", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
};

static const sn_col pair_columns[] = {
	{ "pair", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, NULL },
	{ "condition", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, NULL },
	{ "good", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, NULL },
	{ "bad", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, NULL },
	{ "good_tokens", "tokens", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, NULL },
	{ "bad_tokens", "tokens", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, NULL },
	{ "good_logprob", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, NULL },
	{ "bad_logprob", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, NULL },
	{ "margin", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, NULL },
	{ "correct", NULL, NULL, SN_TYPE_BOOL, SN_MEASURE, 1, NULL },
};

static const sn_table tables[] = {
	[CONDITIONS] = { "conditions", "Minimal pairs by condition", condition_columns, SN_COUNT(condition_columns),
	                 SN_VIEW_BAR,
		"Share of pairs whose good sentence scores higher (ties count as wrong), with 95 % Wilson intervals; margin: "
		"mean of good minus bad.", false },
	[PAIRS] = { "pairs", "Pairs", pair_columns, SN_COUNT(pair_columns), SN_VIEW_TABLE,
		"Log-probability of each sentence, in nats: all tokens but the first, or all where the model adds a "
		"beginning-of-sequence token; masked models: pseudo-log-likelihood.", true },
};

/* ---- columns ---- */

typedef struct columns { const sn_column *good, *bad, *by, *source; } columns;

static const sn_column *first_of(const sn_dataset *data, const char *const *name, int n)
{
	for (int i = 0; i < n; i++)
		if (sn_dataset_column(data, name[i])) return sn_dataset_column(data, name[i]);
	return NULL;
}

static sn_status find_text(sn_ctx *ctx, const sn_dataset *data, const char *asked, const char *what,
                           const char *const *usual, int n, const sn_column **out)
{
	bool automatic = strcmp(asked, "auto") == 0;
	*out = automatic ? first_of(data, usual, n) : sn_dataset_column(data, asked);
	if (*out && (*out)->type == SN_TYPE_TEXT) return SN_OK;
	if (automatic && !*out)
		return sn_fail(ctx, SN_ENOTFOUND, "%s: no column of %s sentences found; name it with --%s", data->source, what,
		               what);
	return sn_fail(ctx, *out ? SN_EPARSE : SN_ENOTFOUND, "%s: column %s is %s", data->source, asked, *out ? "not text"
	               : "missing");
}

static sn_status find_columns(sn_ctx *ctx, const sn_dataset *data, const pairs_param *p, columns *out)
{
	static const char *const good[] = { "sentence_good", "source_sentence", "good" },
		*const bad[] = { "sentence_bad", "target_sentence", "bad" };
	static const char *const by[] = { "UID", "subtype", "condition" };
	SN_TRY(find_text(ctx, data, p->good, "good", good, SN_COUNT(good), &out->good));
	SN_TRY(find_text(ctx, data, p->bad, "bad", bad, SN_COUNT(bad), &out->bad));
	out->by = out->source = NULL;
	if (strcmp(p->source, "none") != 0) SN_TRY(find_text(ctx, data, p->source, "source", good, 0, &out->source));
	if (strcmp(p->by, "none") == 0) return SN_OK;
	if (strcmp(p->by, "auto") != 0) return find_text(ctx, data, p->by, "by", by, 0, &out->by);
	out->by = first_of(data, by, SN_COUNT(by));
	if (out->by && out->by->type != SN_TYPE_TEXT) out->by = NULL;
	return SN_OK;
}

/* ---- scoring ---- */

enum { PAIRS_A_RUN = 256 };

/* Sentences of pairs [first, last): good, bad, good, bad ... */
typedef struct sentences { const char **text, **source; int64_t *number; int32_t n; } sentences;

static sn_status list_sentences(sn_ctx *ctx, const sn_dataset *data, const columns *c, int64_t first, int64_t last,
                                sn_arena *arena, sentences *out)
{
	out->n = (int32_t)(2 * (last - first));
	SN_NEW(out->text, arena, const char *, out->n);
	SN_NEW(out->number, arena, int64_t, out->n);
	if (c->source) SN_NEW(out->source, arena, const char *, out->n);
	for (int32_t b = 0; b < out->n; b++) {
		int64_t i = first + b / 2;
		const sn_column *column = b % 2 ? c->bad : c->good;
		out->text[b] = column->s[i];
		out->number[b] = i + 1;
		if (c->source) out->source[b] = c->source->s[i];
		if (!out->text[b])
			return sn_fail(ctx, SN_EPARSE, "%s: row %lld: column %s is empty", data->source, (long long)i + 1,
			               column->name);
	}
	return SN_OK;
}

/* One run's pairs, as they are kept; n 0: not scored. */
typedef struct scored {
	int64_t n;
	struct {
		int64_t token[2], scored[2];
		double logprob[2];
	} pair[PAIRS_A_RUN];
} scored;

typedef struct run_list {
	const sn_input *in;
	columns column;
	bool l2r;        /* masked models: within words from left to right */
	int64_t n;       /* pairs */
	int64_t n_run, *cost;   /* [n_run] tokens */
	scored *out;     /* [n_run] */
} run_list;

static sn_status score_run(sn_ctx *ctx, const run_list *l, int64_t first, int64_t last, sn_arena *arena, scored *out)
{
	sentences s = { 0 };
	sn_scoring scoring;
	double *logprob;
	const sn_dataset *data = l->in->data[0];
	SN_TRY(list_sentences(ctx, data, &l->column, first, last, arena, &s));
	SN_TRY(sn_scoring_make(&scoring, ctx, l->in->model[0], s.text, s.source, l->l2r, s.n, data->source, s.number,
	                       arena));
	SN_NEW(logprob, arena, double, s.n);
	SN_TRY(sn_scoring_run(ctx, l->in->model[0], &scoring, s.n, arena, logprob));
	for (int32_t b = 0; b < s.n; b++) {
		out->pair[b / 2].token[b % 2] = scoring.token[b];
		out->pair[b / 2].scored[b % 2] = scoring.scored[b];
		out->pair[b / 2].logprob[b % 2] = logprob[b];
	}
	out->n = last - first;
	return SN_OK;
}

static sn_status unit(sn_ctx *ctx, void *arg, int64_t i, void *result)
{
	const run_list *l = arg;
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, ctx));
	int64_t first = i * PAIRS_A_RUN;
	sn_status status = score_run(ctx, l, first, SN_MIN(first + PAIRS_A_RUN, l->n), arena, result);
	sn_arena_close(arena);
	return status;
}

static int64_t cost(const void *arg, int64_t i) { return ((const run_list *)arg)->cost[i]; }

/* Tokens of each run's sentences, by which progress is told. */
static sn_status count_tokens(sn_ctx *ctx, run_list *l, sn_arena *arena)
{
	SN_NEW(l->cost, arena, int64_t, l->n_run);
	for (int64_t i = 0; i < l->n; i++) {
		const char *text[] = { l->column.good->s[i], l->column.bad->s[i] };
		sn_mark mark = sn_arena_mark(arena);
		for (int k = 0; k < 2; k++) {
			sn_tokens row = { 0 };
			if (text[k])
				SN_TRY(sn_tokenize(ctx, sn_model_tokenizer(l->in->model[0]), text[k], strlen(text[k]), SN_ADD_SPECIAL,
				                   arena, &row));
			l->cost[i / PAIRS_A_RUN] += row.n;
		}
		sn_arena_reset(arena, mark);
	}
	return SN_OK;
}

static sn_status add_pair(sn_result *out, const run_list *l, int64_t i, bool mean)
{
	const scored *run = &l->out[i / PAIRS_A_RUN];
	int64_t at = i % PAIRS_A_RUN;
	const int64_t *n = run->pair[at].token;
	const columns *c = &l->column;
	double value[2];
	for (int k = 0; k < 2; k++)
		value[k] = run->pair[at].logprob[k] / (mean ? (double)run->pair[at].scored[k] : 1);
	double margin = value[0] - value[1];
	if (!isfinite(margin))
		return sn_fail(sn_result_ctx(out), SN_ENUMERIC, "pair %lld: its log-probabilities are not finite",
		               (long long)i + 1);
	return SN_ADD(out, PAIRS, sn_int(i + 1), sn_text(c->by && c->by->s[i] ? c->by->s[i] : "all"),
	              sn_text(c->good->s[i]), sn_text(c->bad->s[i]), sn_int(n[0]), sn_int(n[1]), sn_num(value[0]),
	              sn_num(value[1]), sn_num(margin), sn_flag(margin > 0));
}

/* ---- summary ---- */

enum { CONDITION_CELL = 1, MARGIN_CELL = 8, CORRECT_CELL = 9 };

/* One line of the conditions table; condition NULL: all pairs. */
static sn_status add_condition(sn_result *out, const char *condition)
{
	int64_t n = 0, correct = 0;
	double sum = 0, square = 0;
	for (int64_t r = 0; r < sn_result_rows(out, PAIRS); r++) {
		const sn_value *row = sn_result_row(out, PAIRS, r);
		if (condition && strcmp(row[CONDITION_CELL].s, condition) != 0) continue;
		n++;
		correct += row[CORRECT_CELL].i;
		sum += row[MARGIN_CELL].f;
		square += row[MARGIN_CELL].f * row[MARGIN_CELL].f;
	}
	if (n == 0) return SN_OK;
	double accuracy = (double)correct / (double)n, mean = sum / (double)n, half = NAN;
	double variance = SN_MAX(square / (double)n - mean * mean, 0);
	if (n > 1) half = sn_t_quantile(0.975, (double)(n - 1)) * sqrt(variance / (double)(n - 1));
	sn_interval wilson = sn_wilson(accuracy, (double)n, 0.95);
	SN_TRY(SN_ADD(out, CONDITIONS, sn_text(condition ? condition : "all"), sn_int(n), sn_num(accuracy),
	              sn_num(wilson.low), sn_num(wilson.high), sn_num(0.5), sn_num(mean), sn_num(mean - half),
	              sn_num(mean + half)));
	if (condition) return SN_OK;
	return sn_result_say(out, "The model prefers the good sentence in %lld of %lld pairs: accuracy %.3f [%.3f, %.3f] "
	                     "(chance 0.5), mean margin %.2f nats.", (long long)correct, (long long)n, accuracy, wilson.low,
	                     wilson.high, mean);
}

static bool seen_before(const sn_result *out, int64_t row)
{
	const char *condition = sn_result_row(out, PAIRS, row)[CONDITION_CELL].s;
	for (int64_t r = 0; r < sn_result_rows(out, CONDITIONS); r++)
		if (strcmp(sn_result_row(out, CONDITIONS, r)[0].s, condition) == 0) return true;
	return false;
}

static sn_status summarise(sn_result *out, bool grouped)
{
	const char *first = sn_result_rows(out, PAIRS) ? sn_result_row(out, PAIRS, 0)[CONDITION_CELL].s : "";
	bool several = false;
	for (int64_t r = 0; grouped && r < sn_result_rows(out, PAIRS); r++)
		several |= strcmp(sn_result_row(out, PAIRS, r)[CONDITION_CELL].s, first) != 0;
	for (int64_t r = 0; several && r < sn_result_rows(out, PAIRS); r++)
		if (!seen_before(out, r)) SN_TRY(add_condition(out, sn_result_row(out, PAIRS, r)[CONDITION_CELL].s));
	return add_condition(out, NULL);
}

static sn_status score_all(sn_ctx *ctx, run_list *l, sn_arena *arena)
{
	l->n_run = (l->n + PAIRS_A_RUN - 1) / PAIRS_A_RUN;
	if (l->n == 0) return sn_fail(ctx, SN_EPARSE, "%s: no pairs", l->in->data[0]->source);
	SN_TRY(count_tokens(ctx, l, arena));
	SN_NEW(l->out, arena, scored, l->n_run);
	return sn_work_run(ctx, &(sn_work){ .what = "tokens", .n = l->n_run, .size = sizeof *l->out, .run = unit,
	                                    .arg = l, .result = l->out, .cost = cost });
}

/* Pairs scored before an interruption are summarised too. */
static sn_status run_in(sn_ctx *ctx, const sn_input *in, const pairs_param *p, sn_arena *arena, sn_result *out)
{
	run_list l = { .in = in, .n = in->data[0]->n, .l2r = strcmp(p->pll, "within_word_l2r") == 0 };
	if (p->limit > 0) l.n = SN_MIN(p->limit, l.n);
	SN_TRY(find_columns(ctx, in->data[0], p, &l.column));
	sn_status status = score_all(ctx, &l, arena);
	if (status != SN_OK && (status != SN_ECANCEL || !l.out)) return status;
	for (int64_t i = 0; i < l.n; i++)
		if (i % PAIRS_A_RUN < l.out[i / PAIRS_A_RUN].n) SN_TRY(add_pair(out, &l, i, strcmp(p->score, "mean") == 0));
	SN_TRY(summarise(out, l.column.by != NULL));
	return status;
}

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = run_in(ctx, in, param, arena, out);
	sn_arena_close(arena);
	return status;
}

extern const sn_method sn_method_behaviour_pairs;
const sn_method sn_method_behaviour_pairs = {
	.family = "behaviour",
	.name = "pairs",
	.brief = "score minimal pairs: does the model prefer the good sentence?",
	.doc =
		"Reads BLiMP (JSONL), RuBLiMP (CSV) or two-column TSV (good, bad) and compares the log-probabilities of "
		"both sentences. The first "
		"token of a sentence is not scored unless the model adds a beginning-of-sequence token. Ties count as "
		"wrong. A masked model scores a sentence by its pseudo-log-likelihood: each token masked in turn, the others "
		"in view (with --pll within_word_l2r not the later ones of the same word, which give a split word away). "
		"An encoder-decoder scores it as the decoder's text, given the encoder's (--source).",
	.cite =
		"Warstadt et al. 2020 (BLiMP); Taktasheva et al. 2024 (RuBLiMP); Salazar et al. 2020, "
		"Kauf & Ivanova 2023 (pseudo-log-likelihood)",
	.example = "sonde behaviour pairs --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data "
			   "regular_plural_subject_verb_agreement_1.jsonl",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params,
	.n_param = SN_COUNT(params),
	.param_size = sizeof(pairs_param),
	.table = tables,
	.n_table = SN_COUNT(tables),
	.run = run,
};
