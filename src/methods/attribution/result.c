/* The family's result: tokens with signed scores, and what they sum to. */
#include "methods/attribution/levels.h"

#include "model/pooling.h"

#include <math.h>
#include <string.h>

static const sn_col token_columns[] = {
	{ "item", NULL, NULL, SN_TYPE_INT, SN_FACET, 0, "Item" },
	{ "site", NULL, NULL, SN_TYPE_TEXT, SN_FACET, 0, "Site" },
	{ "position", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Position" },
	{ "token", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Token" },
	{ "first", "bytes", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "First" },
	{ "end", "bytes", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "End" },
	{ "score", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Score" },
};

static const sn_col item_columns[] = {
	{ "item", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Item" },
	{ "site", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Site" },
	{ "text", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Text" },
	{ "target", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Target" },
	{ "foil", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Foil" },
	{ "metric", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Metric" },
	{ "tokens", "tokens", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Tokens" },
	{ "value", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "f(x)" },
	{ "baseline", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "f(baseline)" },
	{ "sum", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Sum of scores" },
	{ "gap", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Completeness gap" },
	{ "evaluations", "runs", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Evaluations" },
};

#define BOUNDS(of)                                                                                                     \
	{ of "_low", NULL, of, SN_TYPE_FLOAT, SN_LOW, 0, NULL }, { of "_high", NULL, of, SN_TYPE_FLOAT, SN_HIGH, 0, NULL }
static const sn_col group_columns[] = {
	{ "site", NULL, NULL, SN_TYPE_TEXT, SN_FACET, 0, "Site" },
	{ "group", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Group" },
	{ "size", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Mean |score|" },
	BOUNDS("size"),
	{ "share", "share", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Share of all |scores|" },
	BOUNDS("share"),
	{ "mean", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Mean score" },
	BOUNDS("mean"),
	{ "units", NULL, NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Units" },
};

const sn_table sn_attribution_tables[SN_ATTRIBUTION_TABLES] = {
	[SN_ATTRIBUTION_TOKENS] = { "tokens", "Which tokens the prediction rests on", token_columns,
								SN_COUNT(token_columns), SN_VIEW_TOKENS,
								"Each token's score, signed: orange for what raises the predicted word's score, blue "
								"for what lowers it; full "
								"colour is the item's largest score.",
								false },
	[SN_ATTRIBUTION_ITEMS] = { "items", "What is explained", item_columns, SN_COUNT(item_columns), SN_VIEW_TABLE,
							   "f: the metric at the predicted place, in nats (a log-probability, a logit, or a "
							   "difference of two). Gap: the "
							   "sum of scores less f(x) - f(baseline); empty where the method promises no such sum.",
							   false },
	[SN_ATTRIBUTION_GROUPS] = { "groups", "Where predictions rest, over all texts", group_columns,
								SN_COUNT(group_columns), SN_VIEW_BAR,
								"Means over texts that have the group (roles, parts of speech, or tokens before the "
								"prediction), of a unit's score "
								"and its size, and of the group's share of the text's |scores|. Whiskers: simultaneous "
								"95 % bands over groups, "
								"texts resampled.",
								false },
};

static const char *metric_name(sn_metric m)
{
	return m == SN_DOT ? "dot" : m == SN_LOGIT ? "logit" : m == SN_LOGIT_DIFF ? "logit-diff" : "logprob";
}

static sn_status add_unit(sn_result *out, sn_model *model, const sn_attribution_item *item,
						  const sn_attribution_tokens *row, const char *site, const sn_attribution_units *units,
						  int32_t u, double score)
{
	sn_ctx *ctx = sn_result_ctx(out);
	int32_t first = units->first[u], last = units->first[u + 1] - 1;
	size_t size;
	const char *text = units->text[u];
	if (!text) text = sn_token_text(ctx, sn_model_tokenizer(model), row->token[first], sn_result_arena(out), &size);
	bool own = row->span[first][0] >= 0;
	if (!isfinite(score))
		return sn_fail(ctx, SN_ENUMERIC, "row %lld: the score of token %d is not finite", (long long)item->number,
					   first);
	return SN_ADD(out, SN_ATTRIBUTION_TOKENS, sn_int(item->number), sn_text(site), sn_int(first),
				  sn_text(text ? text : ""), own ? sn_int(row->span[first][0]) : sn_none(),
				  own ? sn_int(row->span[last][1]) : sn_none(), sn_num(score));
}

/* Sums of tokens' scores, in place. */
static void sum_units(const sn_attribution_units *units, double *score)
{
	for (int32_t u = 0; u < units->n; u++) {
		double sum = 0;
		for (int32_t i = units->first[u]; i < units->first[u + 1]; i++) sum += score[i];
		score[u] = sum;
	}
}

static sn_status add_item(sn_result *out, sn_model *model, const sn_attribution_item *item, const sn_site *site,
						  const sn_attribution_units *units, const double *score, sn_attribution_sum sum)
{
	const sn_attribution_tokens *row = sn_attribution_at(item, site);
	double total = 0;
	char name[112];
	sn_site_format(site, name, sizeof name);
	for (int32_t u = 0; u < units->n; u++) {
		total += score[u];
		SN_TRY(add_unit(out, model, item, row, name, units, u, score[u]));
	}
	return SN_ADD(out, SN_ATTRIBUTION_ITEMS, sn_int(item->number), sn_text(name), sn_text(item->text),
				  sn_text(item->target), item->foil ? sn_text(item->foil) : sn_none(),
				  sn_text(metric_name(item->metric)), sn_int(row->n), sn_num(sum.value), sn_num(sum.baseline),
				  sn_num(total), sn_num(total - (sum.value - sum.baseline)), sn_int(sum.evaluations));
}

enum { VALUE_CELL = 7, BASELINE_CELL = 8, GAP_CELL = 10 };

/* What f is where texts are compared. */
static sn_status say_vectors(sn_result *out, const sn_model *model)
{
	sn_pooling how;
	SN_TRY(sn_result_without_unit(out, "nats"));
	SN_TRY(sn_model_pooling(sn_result_ctx(out), model, sn_result_arena(out), &how));
	return sn_result_say(out, "f is the dot product of the text's vector (%s) with the other text's, which has length "
	                     "1.",
	                     how == SN_POOL_FIRST ? "its first token's" : "the mean of its tokens'");
}

static sn_status say(sn_result *out, const char *method, const sn_model *model, bool dot)
{
	int64_t n = sn_result_rows(out, SN_ATTRIBUTION_ITEMS), with = 0;
	double worst = 0, at = 0;
	for (int64_t r = 0; r < n; r++) {
		const sn_value *row = sn_result_row(out, SN_ATTRIBUTION_ITEMS, r);
		double gap = row[GAP_CELL].f, rise = row[VALUE_CELL].f - row[BASELINE_CELL].f;
		if (isnan(gap)) continue;
		with++;
		if (fabs(gap) < worst) continue;
		worst = fabs(gap);
		at = rise;
	}
	SN_TRY(sn_result_say(out, "Explained %lld prediction%s by %s.", (long long)n, n == 1 ? "" : "s", method));
	if (dot) SN_TRY(say_vectors(out, model));
	if (with == 0) return SN_OK;
	return sn_result_say(out, "Scores sum to f(x) - f(baseline) but for at most %.3g%s (of %.3g there).", worst,
	                     dot ? "" : " nats", at);
}

sn_status sn_attribution_each(const sn_attribution_task *t, sn_attribution_one *one)
{
	for (int64_t k = 0; k < (int64_t)t->n * t->n_site; k++) {
		sn_mark mark = sn_arena_mark(t->arena);
		SN_TRY(one(t->ctx, t->model, &t->item[k / t->n_site], &t->site[k % t->n_site], t->param, t->arena, t->score[k],
				   &t->sum[k]));
		sn_arena_reset(t->arena, mark);
	}
	return SN_OK;
}

/* Adds item i of all, which is item k of the task. */
static sn_status add_scores(const sn_attribution_task *t, int32_t k, const sn_input *in, int32_t i,
							sn_attribution_groups *const *groups, sn_result *out)
{
	const sn_attribution_param *p = t->param;
	const sn_attribution_item *item = &t->item[k];
	for (int s = 0; s < t->n_site; s++) {
		const sn_attribution_tokens *row = sn_attribution_at(item, &t->site[s]);
		double *score = t->score[k * t->n_site + s];
		sn_attribution_units units;
		SN_TRY(sn_attribution_cut(&units, t->ctx, in->data[0], item, row, p->level, p->by, sn_result_arena(out)));
		sum_units(&units, score);
		sn_attribution_groups_take(groups[s], i, &units, score);
		SN_TRY(add_item(out, t->model, item, &t->site[s], &units, score, t->sum[k * t->n_site + s]));
	}
	return SN_OK;
}

static sn_status explain(sn_attribution_task *t, sn_attribution_run *run)
{
	SN_NEW(t->score, t->arena, double *, t->n * t->n_site);
	SN_NEW(t->sum, t->arena, sn_attribution_sum, t->n * t->n_site);
	for (int32_t k = 0; k < t->n * t->n_site; k++) {
		const sn_attribution_tokens *row = sn_attribution_at(&t->item[k / t->n_site], &t->site[k % t->n_site]);
		SN_NEW(t->score[k], t->arena, double, row->n);
		t->sum[k] = (sn_attribution_sum){ NAN, NAN, 0 };
	}
	return run(t);
}

/* Texts that are run together are a task. */
static sn_status explain_all(sn_attribution_task *t, const sn_input *in, const sn_attribution_items *items,
							 sn_attribution_run *run, int64_t copies, sn_attribution_groups *const *groups,
							 sn_result *out)
{
	sn_mark mark = sn_arena_mark(t->arena);
	for (int32_t i = 0; i < items->n; i += t->n) {
		sn_progress(t->ctx, "texts", i, items->n);
		t->item = &items->item[i];
		t->n = copies ? sn_attribution_together(t->ctx, t->item, items->n - i, copies) : 1;
		SN_TRY(explain(t, run));
		for (int32_t k = 0; k < t->n; k++) SN_TRY(add_scores(t, k, in, i + k, groups, out));
		sn_arena_reset(t->arena, mark);
	}
	sn_progress(t->ctx, "texts", items->n, items->n);
	return SN_OK;
}

static sn_status find_sites(sn_ctx *ctx, sn_model *model, const char *pattern, sn_arena *arena, sn_site **site, int *n)
{
	bool both = sn_model_get_info(model)->n_layer_encoder > 0;
	if (strcmp(pattern, "auto") == 0) pattern = both ? "encoder.hook_embed,decoder.hook_embed" : "hook_embed";
	return sn_site_expand(ctx, model, pattern, arena, site, n);
}

sn_status sn_attribution_all(sn_ctx *ctx, const sn_input *in, const void *param, const char *method,
                             sn_attribution_run *run, int64_t copies, sn_result *out)
{
	const sn_attribution_param *p = param;
	sn_arena *arena = sn_result_arena(out);
	sn_attribution_task t = { .ctx = ctx, .model = in->model[0], .param = param };
	sn_attribution_items items;
	sn_attribution_groups **groups;
	sn_site *site;
	SN_TRY(find_sites(ctx, in->model[0], p->sites, arena, &site, &t.n_site));
	t.site = site;
	SN_TRY(sn_attribution_read(&items, ctx, in, p, arena));
	SN_NEW(groups, arena, sn_attribution_groups *, t.n_site);
	for (int s = 0; s < t.n_site; s++) SN_TRY(sn_attribution_groups_open(&groups[s], items.n, arena));
	SN_TRY(sn_arena_open(&t.arena, ctx));
	sn_status status = explain_all(&t, in, &items, run, copies, groups, out);
	sn_arena_close(t.arena);
	for (int s = 0; s < t.n_site && status == SN_OK; s++) {
		char name[112];
		sn_site_format(&site[s], name, sizeof name);
		status = sn_attribution_groups_write(groups[s], name, out);
	}
	return status == SN_OK ? say(out, method, t.model, items.item->metric == SN_DOT) : status;
}
