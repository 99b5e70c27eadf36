/* Cloze: what fills a gap, and how probable given words are in it. */
#include "base/readable.h"
#include "data/passages.h"
#include "data/result.h"
#include "methods/behaviour/target.h"

#include <math.h>
#include <string.h>

typedef struct cloze_param {
	const char *column, *candidates, *pll;
	int64_t top, limit;
} cloze_param;

static const sn_param params[] = {
	{ .name = "column",
	  .help = "column of the text with a gap, written ___ or [MASK]; auto: text or sentence",
	  .def = "auto",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(cloze_param, column) },
	{ .name = "candidates",
	  .help = "words or phrases for the gap with | between, the same for all rows, or the name of the column that has "
			  "them; auto: candidates where there is such a column; none",
	  .def = "auto",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(cloze_param, candidates) },
	{ .name = "top",
	  .unit = "tokens",
	  .help = "how many of the most probable tokens to list",
	  .def = "5",
	  .type = SN_TYPE_INT,
	  .off = offsetof(cloze_param, top),
	  .max = 1000 },
	{ .name = "pll",
	  .help = "masked models, candidates of several tokens: hide the later ones too, or one at a time",
	  .def = "within_word_l2r",
	  .choices = "within_word_l2r|original",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(cloze_param, pll) },
	{ .name = "limit",
	  .unit = "rows",
	  .help = "only the first rows; 0: all",
	  .def = "0",
	  .type = SN_TYPE_INT,
	  .off = offsetof(cloze_param, limit),
	  .max = 1e15 },
};

enum { CANDIDATES, GAPS, TOP };

static const sn_col candidate_columns[] = {
	{ "row", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Row" },
	{ "candidate", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Candidate" },
	{ "tokens", "tokens", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Tokens" },
	{ "logprob", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, "Log-probability" },
	{ "probability", NULL, NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, "Probability" },
	{ "share", "share", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, "Of the candidates" },
	{ "rank", NULL, NULL, SN_TYPE_INT, SN_TEXT, -1, "Rank" },
};
static const sn_col gap_columns[] = {
	{ "row", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Row" },
	{ "text", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Text" },
	{ "entropy", "bits", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Entropy" },
	{ "best", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Best candidate" },
};
static const sn_col top_columns[] = {
	{ "row", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Row" },
	{ "rank", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Rank" },
	{ "token", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Token" },
	{ "probability", NULL, NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, "Probability" },
};

static const sn_table tables[] = {
	[CANDIDATES] = { "candidates", "Candidates", candidate_columns, SN_COUNT(candidate_columns), SN_VIEW_TABLE,
					 "Log-probability of a candidate in its gap, in nats; its share of all candidates' probability; "
					 "its "
					 "rank in the vocabulary, where it is one token.",
					 false },
	[GAPS] = { "gaps", "Gaps", gap_columns, SN_COUNT(gap_columns), SN_VIEW_TABLE,
			   "Entropy of the distribution over tokens at the gap (masked models: one token hidden).", false },
	[TOP] = { "top", "Most probable tokens", top_columns, SN_COUNT(top_columns), SN_VIEW_TABLE,
			  "What the model itself would put there: single tokens.", false },
};

/* ---- gaps and candidates ---- */

/* One row: its text with the gap's place, and the candidates. */
typedef struct gap {
	int64_t row;
	const char *text;
	int64_t span[2];
	sn_target blank, *target; /* [n] */
	const char **candidate;
	int n;
} gap;

typedef struct job {
	sn_ctx *ctx;
	const sn_dataset *data;
	const cloze_param *param;
	sn_model *model;
	const sn_column *text, *list;
	const char *fixed; /* candidates of all rows, or NULL */
	sn_result *out;
	int64_t rows, without, right, asked;
} job;

static sn_status find_gap(const job *k, gap *g)
{
	static const char *const mark[] = { "___", "[MASK]", "<mask>" };
	for (int i = 0; i < SN_COUNT(mark); i++) {
		const char *at = strstr(g->text, mark[i]);
		if (!at) continue;
		g->span[0] = at - g->text;
		g->span[1] = g->span[0] + (int64_t)strlen(mark[i]);
		while (i == 0 && g->text[g->span[1]] == '_') g->span[1]++;
		return SN_OK;
	}
	return sn_fail(k->ctx, SN_EPARSE, "%s: row %lld: \"%.60s\" has no gap; write ___ where it is", k->data->source,
				   (long long)g->row + 1, g->text);
}

/* Splits a list at its bars. */
static sn_status split(gap *g, const char *list, sn_arena *arena)
{
	int n = 1;
	for (const char *c = list; *c; c++) n += *c == '|';
	SN_NEW(g->candidate, arena, const char *, n);
	SN_NEW(g->target, arena, sn_target, n);
	for (const char *at = list;; at++) {
		size_t size = strcspn(at, "|");
		if (size > 0 && !(g->candidate[g->n++] = sn_arena_copy(arena, at, size))) return SN_ENOMEM;
		at += size;
		if (!*at) return SN_OK;
	}
}

static sn_status make_gap(const job *k, gap *g, int64_t row, sn_targets *targets)
{
	sn_arena *arena = targets->arena;
	*g = (gap){ .row = row, .text = k->text->s[row] };
	if (!g->text)
		return sn_fail(k->ctx, SN_EPARSE, "%s: row %lld has no %s", k->data->source, (long long)row + 1, k->text->name);
	SN_TRY(find_gap(k, g));
	const char *list = k->fixed ? k->fixed : k->list ? k->list->s[row] : NULL;
	if (list) SN_TRY(split(g, list, arena));
	SN_TRY(sn_target_blank(targets, g->text, g->span, &g->blank));
	for (int c = 0; c < g->n; c++) {
		int64_t span[2] = { g->span[0], g->span[0] + (int64_t)strlen(g->candidate[c]) };
		char *filled =
			sn_arena_format(arena, "%.*s%s%s", (int)g->span[0], g->text, g->candidate[c], g->text + g->span[1]);
		if (!filled) return SN_ENOMEM;
		SN_TRY(sn_target_add(targets, filled, span, false, &g->target[c]));
	}
	return SN_OK;
}

/* ---- rows of the result ---- */

static sn_status add_candidates(job *k, const gap *g, const sn_predict *found, const char **best)
{
	double sum = 0, greatest = -INFINITY;
	for (int c = 0; c < g->n; c++) {
		double logprob = sn_target_logprob(&g->target[c], found);
		k->asked++;
		k->without += isnan(logprob);
		if (isnan(logprob)) continue;
		sum += exp(logprob);
		if (logprob > greatest) *best = g->candidate[c];
		greatest = SN_MAX(greatest, logprob);
	}
	for (int c = 0; c < g->n; c++) {
		const sn_target *t = &g->target[c];
		double logprob = sn_target_logprob(t, found);
		SN_TRY(SN_ADD(k->out, CANDIDATES, sn_int(g->row + 1), sn_text(g->candidate[c]), sn_int(t->n), sn_num(logprob),
					  sn_num(exp(logprob)), sn_num(sum > 0 ? exp(logprob) / sum : NAN),
					  t->n == 1 ? sn_int(found->rank[t->first]) : sn_none()));
	}
	return SN_OK;
}

static sn_status add_top(const job *k, const gap *g, const sn_predict *found, sn_arena *arena)
{
	for (int i = 0; i < found->top; i++) {
		int64_t at = g->blank.first * found->top + i;
		size_t size;
		const char *text = sn_token_text(k->ctx, sn_model_tokenizer(k->model), found->top_id[at], arena, &size);
		if (!text || !(text = sn_readable(arena, text, size))) return SN_ENOMEM;
		SN_TRY(
			SN_ADD(k->out, TOP, sn_int(g->row + 1), sn_int(i + 1), sn_text(text), sn_num(exp(found->top_logprob[at]))));
	}
	return SN_OK;
}

static sn_status add_gap(job *k, const gap *g, const sn_predict *found, sn_arena *arena)
{
	const char *best = NULL;
	SN_TRY(add_candidates(k, g, found, &best));
	k->rows++;
	k->right += g->n > 1 && best == g->candidate[0];
	SN_TRY(SN_ADD(k->out, GAPS, sn_int(g->row + 1), sn_text(g->text),
				  sn_num(g->blank.missing ? NAN : found->entropy[g->blank.first] / log(2)), sn_text(best)));
	return g->blank.missing ? SN_OK : add_top(k, g, found, arena);
}

/* ---- running ---- */

enum { ROWS_A_RUN = 64 };

static sn_status answer(job *k, sn_targets *targets, gap *g, int64_t n)
{
	sn_arena *arena = targets->arena;
	int64_t m = targets->asks.n_place;
	sn_predict ask = { .top = (int)k->param->top };
	SN_NEW(ask.logprob, arena, double, m);
	SN_NEW(ask.entropy, arena, double, m);
	SN_NEW(ask.rank, arena, int64_t, m);
	SN_NEW(ask.top_id, arena, int32_t, m * ask.top);
	SN_NEW(ask.top_logprob, arena, double, m *ask.top);
	SN_TRY(sn_asks_run(&targets->asks, k->model, &ask, arena));
	for (int64_t i = 0; i < n; i++) SN_TRY(add_gap(k, &g[i], &ask, arena));
	return SN_OK;
}

static sn_status run_rows(job *k, int64_t first, int64_t n, sn_arena *arena)
{
	sn_targets targets;
	gap *g;
	SN_NEW(g, arena, gap, n);
	SN_TRY(sn_targets_make(&targets, k->ctx, k->model, strcmp(k->param->pll, "original") != 0, arena));
	sn_status status = SN_OK;
	for (int64_t i = 0; i < n && status == SN_OK; i++) status = make_gap(k, &g[i], first + i, &targets);
	if (status == SN_OK) status = answer(k, &targets, g, n);
	sn_asks_free(&targets.asks);
	return status;
}

static sn_status run_all(job *k)
{
	int64_t n = k->param->limit > 0 ? SN_MIN(k->param->limit, k->data->n) : k->data->n;
	for (int64_t i = 0; i < n; i += ROWS_A_RUN) {
		sn_arena *arena;
		sn_progress(k->ctx, "gaps", i, n);
		SN_TRY(sn_arena_open(&arena, k->ctx));
		sn_status status = run_rows(k, i, SN_MIN((int64_t)ROWS_A_RUN, n - i), arena);
		sn_arena_close(arena);
		SN_TRY(status);
	}
	sn_progress(k->ctx, "gaps", n, n);
	return n > 0 ? SN_OK : sn_fail(k->ctx, SN_EPARSE, "%s: no rows", k->data->source);
}

static sn_status find_columns(job *k)
{
	static const char *const usual[] = { "text", "sentence" };
	const char *asked = k->param->candidates;
	if (!(k->text = sn_text_column(k->ctx, k->data, k->param->column, usual, SN_COUNT(usual)))) return SN_ENOTFOUND;
	if (strcmp(asked, "none") == 0) return SN_OK;
	k->list = sn_dataset_column(k->data, strcmp(asked, "auto") == 0 ? "candidates" : asked);
	if (k->list && k->list->type != SN_TYPE_TEXT)
		return sn_fail(k->ctx, SN_EPARSE, "%s: column %s is not text", k->data->source, k->list->name);
	if (!k->list && strcmp(asked, "auto") != 0) k->fixed = asked;
	return SN_OK;
}

static sn_status summarise(const job *k)
{
	bool causal = sn_model_get_info(k->model)->causal;
	if (k->asked)
		SN_TRY(sn_result_say(k->out, "The first candidate is the most probable one in %lld of %lld gaps.",
							 (long long)k->right, (long long)k->rows));
	if (causal) SN_TRY(sn_result_limit(k->out, "A causal model sees only what stands left of a gap."));
	if (k->without)
		SN_TRY(sn_result_limit(k->out,
							   "%lld candidates are missing: nothing precedes them, or a token holds letters of "
							   "them and of their neighbours.",
							   (long long)k->without));
	return SN_OK;
}

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	job k = { .ctx = ctx, .data = in->data[0], .param = param, .model = in->model[0], .out = out };
	SN_TRY(find_columns(&k));
	sn_status status = run_all(&k);
	if (status != SN_OK && status != SN_ECANCEL) return status;
	SN_TRY(summarise(&k));
	return status;
}

extern const sn_method sn_method_behaviour_cloze;
const sn_method sn_method_behaviour_cloze = {
	.family = "behaviour",
	.name = "cloze",
	.brief = "what fills a gap: candidates' probabilities, ranks, entropy",
	.doc =
		"A gap is written ___ or [MASK]. Each candidate is put into the text and tokenized with it; its probability "
		"is that of the tokens that begin in it. Masked models: as many tokens are hidden as the candidate has, so "
		"their number is given away; with within_word_l2r each is asked for with the later ones hidden, so that the "
		"product is a probability; with original, with the others in view. Causal models see what stands left of the "
		"gap only.\n"
		"Beside minicons: its cloze hides one token at a time unless asked otherwise, and finds the word by its tokens "
		"alone, tokenized without what precedes; here its letters' place says which tokens it is.",
	.cite = "Taylor 1953 (cloze); Salazar et al. 2020; Kauf & Ivanova 2023",
	.example = "sonde behaviour cloze --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data gaps.txt "
			   "--candidates 'is|are'",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params,
	.n_param = SN_COUNT(params),
	.param_size = sizeof(cloze_param),
	.table = tables,
	.n_table = SN_COUNT(tables),
	.run = run,
};
