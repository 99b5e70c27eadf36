/* What-if edits: texts with slots, and how each word put into a slot moves the probability of given words. */
#include "data/passages.h"
#include "data/result.h"
#include "data/template.h"
#include "methods/behaviour/target.h"
#include "stats/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct templates_param {
	const char *column, *pll;
	int64_t limit;
} templates_param;

static const sn_param params[] = {
	{ .name = "column",
	  .help = "column of the text with slots; auto: text, template or sentence",
	  .def = "auto",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(templates_param, column) },
	{ .name = "pll",
	  .help = "masked models, words of several tokens: hide the later ones too, or one at a time",
	  .def = "within_word_l2r",
	  .choices = "within_word_l2r|original",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(templates_param, pll) },
	{ .name = "limit",
	  .unit = "rows",
	  .help = "only the first rows; 0: all",
	  .def = "0",
	  .type = SN_TYPE_INT,
	  .off = offsetof(templates_param, limit),
	  .max = 1e15 },
};

enum { EDITS, MEANS, TEXTS };

static const sn_col edit_columns[] = {
	{ "row", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Row" },
	{ "slot", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Slot" },
	{ "from", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "From" },
	{ "to", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "To" },
	{ "target", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Target" },
	{ "before", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Log p before" },
	{ "after", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Log p after" },
	{ "change", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Change" },
	{ "change_bits", "bits", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Change" },
	{ "texts", "texts", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Texts" },
};
static const sn_col mean_columns[] = {
	{ "slot", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Slot" },
	{ "alternative", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Alternative" },
	{ "target", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Target" },
	{ "rows", "rows", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Rows" },
	{ "change", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Mean change" },
	{ "change_low", "nats", "change", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "change_high", "nats", "change", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "change_bits", "bits", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Mean change" },
	{ "up", "share", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "More probable" },
};
static const sn_col text_columns[] = {
	{ "row", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, NULL },
	{ "text", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, NULL },
	{ "target", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, NULL },
	{ "tokens", "tokens", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, NULL },
	{ "logprob", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, NULL },
	{ "probability", NULL, NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, NULL },
};

static const sn_table tables[] = {
	[EDITS] = { "edits", "What each edit changes", edit_columns, SN_COUNT(edit_columns), SN_VIEW_TABLE,
				"Log-probability of the target with the first word in the slot and with another one, averaged over "
				"what the "
				"other slots hold.",
				false },
	[MEANS] = { "means", "Over all rows", mean_columns, SN_COUNT(mean_columns), SN_VIEW_TABLE,
				"Mean change over rows with 95 % t intervals; alternative 2 is the slot's second word. More probable: "
				"share "
				"of rows in which the target gains.",
				false },
	[TEXTS] = { "texts", "Texts", text_columns, SN_COUNT(text_columns), SN_VIEW_TABLE,
				"Every text that the template stands for; no target: the log-probability of the whole text.", true },
};

/* ---- a template's texts ---- */

typedef struct asked {
	sn_template of;
	const char **text; /* [of.n_text] */
	sn_target *answer; /* [of.n_text] */
	double *logprob;   /* [of.n_text] */
} asked;

typedef struct job {
	sn_ctx *ctx;
	const sn_dataset *data;
	const templates_param *param;
	sn_model *model;
	sn_template_columns columns;
	sn_result *out;
	int64_t missing, behind;
} job;

static sn_status ask_texts(const job *k, asked *t, sn_targets *targets)
{
	sn_buf buf = { .ctx = k->ctx };
	sn_status status = SN_OK;
	SN_NEW(t->text, targets->arena, const char *, t->of.n_text);
	SN_NEW(t->answer, targets->arena, sn_target, t->of.n_text);
	SN_NEW(t->logprob, targets->arena, double, t->of.n_text);
	for (int64_t c = 0; c < t->of.n_text && status == SN_OK; c++) {
		int64_t span[2];
		status = sn_template_write(&t->of, c, &buf, span);
		if (status != SN_OK) break;
		t->text[c] = sn_arena_copy(targets->arena, buf.size ? buf.data : "", buf.size);
		status = t->text[c] ? sn_target_add(targets, t->text[c], span, t->of.target < 0, &t->answer[c]) : SN_ENOMEM;
	}
	sn_buf_free(&buf);
	return status;
}

/* ---- rows of the result ---- */

static const char *target_of(const asked *t, int64_t c)
{
	return t->of.target < 0 ? NULL : t->of.part[t->of.target].word[sn_template_choice(&t->of, c, t->of.target)];
}

static sn_status add_texts(job *k, asked *t, const sn_predict *found)
{
	for (int64_t c = 0; c < t->of.n_text; c++) {
		double logprob = t->logprob[c] = sn_target_logprob(&t->answer[c], found);
		k->missing += isnan(logprob);
		SN_TRY(SN_ADD(k->out, TEXTS, sn_int(t->of.row + 1), sn_text(t->text[c]), sn_text(target_of(t, c)),
					  sn_int(t->answer[c].n), sn_num(logprob), sn_num(exp(logprob))));
	}
	return SN_OK;
}

/* Mean log-probability over the texts that have alternative a in part i, and (target >= 0) that target word. */
static double mean_of(const asked *t, int i, int a, int target, int64_t *n)
{
	double sum = 0;
	*n = 0;
	for (int64_t c = 0; c < t->of.n_text; c++) {
		if (sn_template_choice(&t->of, c, i) != a ||
			(target >= 0 && sn_template_choice(&t->of, c, t->of.target) != target))
			continue;
		sum += t->logprob[c];
		(*n)++;
	}
	return sum / (double)*n;
}

static sn_status add_edits(job *k, const asked *t)
{
	int slot = 0, n_target = t->of.target < 0 ? 1 : t->of.part[t->of.target].n;
	for (int i = 0; i < t->of.n; i++) {
		if (!t->of.part[i].slot) continue;
		slot++;
		k->behind += t->of.target >= 0 && i > t->of.target;
		for (int a = 1; a < t->of.part[i].n; a++) {
			for (int w = 0; w < n_target; w++) {
				int64_t n;
				double before = mean_of(t, i, 0, t->of.target < 0 ? -1 : w, &n);
				double after = mean_of(t, i, a, t->of.target < 0 ? -1 : w, &n);
				SN_TRY(SN_ADD(k->out, EDITS, sn_int(t->of.row + 1), sn_int(slot), sn_text(t->of.part[i].word[0]),
							  sn_text(t->of.part[i].word[a]),
							  sn_text(t->of.target < 0 ? NULL : t->of.part[t->of.target].word[w]), sn_num(before),
							  sn_num(after), sn_num(after - before), sn_num((after - before) / log(2)), sn_int(n)));
			}
		}
	}
	return SN_OK;
}

/* ---- running ---- */

static sn_status run_template(job *k, int64_t row, sn_arena *arena)
{
	sn_targets targets;
	asked *t;
	sn_predict ask = { 0 };
	SN_NEW(t, arena, asked, 1);
	SN_TRY(sn_template_read(&t->of, k->ctx, k->data, &k->columns, row, arena));
	SN_TRY(sn_targets_make(&targets, k->ctx, k->model, strcmp(k->param->pll, "original") != 0, arena));
	sn_status status = ask_texts(k, t, &targets);
	if (status == SN_OK && !(ask.logprob = SN_TAKE(arena, double, targets.asks.n_place))) status = SN_ENOMEM;
	if (status == SN_OK) status = sn_asks_run(&targets.asks, k->model, &ask, arena);
	if (status == SN_OK) status = add_texts(k, t, &ask);
	if (status == SN_OK) status = add_edits(k, t);
	sn_asks_free(&targets.asks);
	return status;
}

static sn_status run_all(job *k)
{
	int64_t n = k->param->limit > 0 ? SN_MIN(k->param->limit, k->data->n) : k->data->n;
	for (int64_t row = 0; row < n; row++) {
		sn_arena *arena;
		sn_progress(k->ctx, "templates", row, n);
		SN_TRY(sn_arena_open(&arena, k->ctx));
		sn_status status = run_template(k, row, arena);
		sn_arena_close(arena);
		SN_TRY(status);
	}
	sn_progress(k->ctx, "templates", n, n);
	return n > 0 ? SN_OK : sn_fail(k->ctx, SN_EPARSE, "%s: no rows", k->data->source);
}

/* ---- over all rows ---- */

enum { EDIT_ROW, EDIT_SLOT, EDIT_FROM, EDIT_TO, EDIT_TARGET, EDIT_BEFORE, EDIT_AFTER, EDIT_CHANGE };

/* Which alternative of its slot an edit has: how many edits of the same row, slot and target stand before it. */
static int64_t alternative_of(const sn_result *out, int64_t at)
{
	const sn_value *edit = sn_result_row(out, EDITS, at);
	int64_t n = 2;
	for (int64_t r = at; r-- > 0;) {
		const sn_value *other = sn_result_row(out, EDITS, r);
		if (other[EDIT_ROW].i != edit[EDIT_ROW].i || other[EDIT_SLOT].i != edit[EDIT_SLOT].i) break;
		const char *a = other[EDIT_TARGET].s, *b = edit[EDIT_TARGET].s;
		n += a == b || (a && b && strcmp(a, b) == 0);
	}
	return n;
}

typedef struct sums {
	int64_t n, slot, alternative, up;
	const char *target;
	double sum, square;
} sums;

static sums *find_sums(sums *list, int64_t *n, int64_t slot, int64_t alternative, const char *target)
{
	for (int64_t i = 0; i < *n; i++)
		if (list[i].slot == slot && list[i].alternative == alternative &&
			(list[i].target == target || (list[i].target && target && strcmp(list[i].target, target) == 0)))
			return &list[i];
	list[*n] = (sums){ .slot = slot, .alternative = alternative, .target = target };
	return &list[(*n)++];
}

static sn_status add_mean(sn_result *out, const sums *s)
{
	double n = (double)s->n, mean = s->sum / n, half = NAN;
	if (s->n > 1) half = sn_t_quantile(0.975, n - 1) * sqrt(SN_MAX(s->square / n - mean * mean, 0) / (n - 1));
	return SN_ADD(out, MEANS, sn_int(s->slot), sn_int(s->alternative), sn_text(s->target), sn_int(s->n), sn_num(mean),
				  sn_num(mean - half), sn_num(mean + half), sn_num(mean / log(2)), sn_num((double)s->up / n));
}

static sn_status add_means(const job *k, sn_arena *arena)
{
	sums *list;
	int64_t n = 0, n_edit = sn_result_rows(k->out, EDITS);
	SN_NEW(list, arena, sums, n_edit);
	for (int64_t r = 0; r < n_edit; r++) {
		const sn_value *edit = sn_result_row(k->out, EDITS, r);
		double change = edit[EDIT_CHANGE].f;
		if (isnan(change)) continue;
		sums *s = find_sums(list, &n, edit[EDIT_SLOT].i, alternative_of(k->out, r), edit[EDIT_TARGET].s);
		s->n++;
		s->sum += change;
		s->square += change * change;
		s->up += change > 0;
	}
	for (int64_t i = 0; i < n; i++) SN_TRY(add_mean(k->out, &list[i]));
	return SN_OK;
}

static sn_status say_first(const job *k)
{
	if (sn_result_rows(k->out, EDITS) == 0)
		return sn_result_limit(k->out, "No text has a slot with two words: nothing was edited.");
	const sn_value *e = sn_result_row(k->out, EDITS, 0);
	return sn_result_say(k->out,
						 "Row %lld: with \"%s\" for \"%s\", the log-probability of %s%s%s moves by %+.2f nats "
						 "(%+.2f bits), from %.2f to %.2f.",
						 (long long)e[EDIT_ROW].i, e[EDIT_TO].s, e[EDIT_FROM].s, e[EDIT_TARGET].s ? "\"" : "",
						 e[EDIT_TARGET].s ? e[EDIT_TARGET].s : "the text", e[EDIT_TARGET].s ? "\"" : "",
						 e[EDIT_CHANGE].f, e[EDIT_CHANGE].f / log(2), e[EDIT_BEFORE].f, e[EDIT_AFTER].f);
}

static sn_status summarise(const job *k, sn_arena *arena)
{
	SN_TRY(say_first(k));
	SN_TRY(add_means(k, arena));
	if (k->behind && sn_model_get_info(k->model)->causal)
		SN_TRY(sn_result_limit(k->out, "%lld slots stand behind their target, where a causal model does not look.",
							   (long long)k->behind));
	if (k->missing)
		SN_TRY(sn_result_limit(k->out,
							   "%lld texts have no log-probability: nothing precedes the target, or a token holds "
							   "letters of it and of its neighbours.",
							   (long long)k->missing));
	return SN_OK;
}

static sn_status find_columns(job *k)
{
	static const char *const usual[] = { "text", "template", "sentence" };
	static const char *const name[] = { "from", "to", "target" };
	sn_template_columns *c = &k->columns;
	const sn_column **column[] = { &c->from, &c->to, &c->target };
	if (!(c->text = sn_text_column(k->ctx, k->data, k->param->column, usual, SN_COUNT(usual)))) return SN_ENOTFOUND;
	for (int i = 0; i < SN_COUNT(name); i++) {
		*column[i] = sn_dataset_column(k->data, name[i]);
		if (*column[i] && (*column[i])->type != SN_TYPE_TEXT)
			return sn_fail(k->ctx, SN_EPARSE, "%s: column %s is not text", k->data->source, name[i]);
	}
	if (!c->from == !c->to) return SN_OK;
	return sn_fail(k->ctx, SN_ENOTFOUND, "%s: a column %s without %s; a swap needs both", k->data->source,
				   c->from ? "from" : "to", c->from ? "to" : "from");
}

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	job k = { .ctx = ctx, .data = in->data[0], .param = param, .model = in->model[0], .out = out };
	sn_arena *arena;
	SN_TRY(find_columns(&k));
	sn_status status = run_all(&k);
	if (status != SN_OK && status != SN_ECANCEL) return status;
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status said = summarise(&k, arena);
	sn_arena_close(arena);
	return said == SN_OK ? status : said;
}

extern const sn_method sn_method_behaviour_templates;
const sn_method sn_method_behaviour_templates = {
	.family = "behaviour",
	.name = "templates",
	.brief = "what-if edits: how words in slots move the probability of others",
	.doc =
		"A text has slots, {nurse|nurses}, or {noun} for the list in the column noun, and a target, [is|are], whose "
		"log-probability is asked where it stands; a column target is appended as a continuation; without either the "
		"whole text counts. Columns from and to swap a word of the text: the same as a slot. Every combination is "
		"scored; an edit is the first word of a slot against another. Causal models see only what precedes the target; "
		"masked models all the rest.",
	.cite = "Linzen et al. 2016; Marvin & Linzen 2018 (templates); Salazar et al. 2020, Kauf & Ivanova 2023 (masked "
			"models)",
	.example = "sonde behaviour templates --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data templates.tsv",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params,
	.n_param = SN_COUNT(params),
	.param_size = sizeof(templates_param),
	.table = tables,
	.n_table = SN_COUNT(tables),
	.run = run,
};
