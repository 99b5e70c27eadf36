/* What a model is judged on. */
#include "methods/attention/goals.h"

#include "model/choice.h"

#include <string.h>

const char *sn_attn_goal_name(const sn_attn_goals *goals)
{
	return goals->items ? "choice (nats)" : goals->pairs ? "margin (nats a pair)" : "loss (nats a token)";
}

/* ---- items ---- */

static sn_status add_item(sn_attn_goals *out, int64_t i)
{
	const sn_items *items = out->items;
	out->row[out->n++] = (sn_attn_row){ .n = (int32_t)(items->start[i + 1] - items->start[i]),
		                                .token = items->token + items->start[i], .item = i, .number = i + 1 };
	return SN_OK;
}

sn_status sn_attn_goals_of_items(sn_attn_goals *out, sn_ctx *ctx, sn_model *model, const sn_items *items, int64_t limit,
                                 sn_arena *arena)
{
	*out = (sn_attn_goals){ .ctx = ctx, .model = model, .items = items, .stacks = sn_attn_stacks_of(model) };
	SN_NEW(out->row, arena, sn_attn_row, items->n);
	for (int64_t p = 0; p < items->n_pair; p++)
		if (items->pair[p].kind == SN_PAIR_MAIN) SN_TRY(add_item(out, items->pair[p].base));
	for (int64_t i = 0; out->n == 0 && i < items->n; i++) SN_TRY(add_item(out, i));
	if (limit > 0) out->n = (int32_t)SN_MIN(limit, (int64_t)out->n);
	return out->n > 0 ? SN_OK : sn_fail(ctx, SN_EARG, "%s: no items", items->source);
}

bool sn_attn_has_items(const sn_dataset *data)
{
	return sn_dataset_column(data, "choices") && sn_dataset_column(data, "use");
}

/* ---- texts ---- */

static const double hidden_share = 0.15;
enum { HIDE = 0x68696465 };

static sn_status causal_row(const sn_attn_side *side, sn_attn_row *row, sn_arena *arena)
{
	int32_t *place;
	SN_NEW(place, arena, int32_t, side->n);
	for (int32_t i = 0; i < side->n; i++) place[i] = i;
	*row = (sn_attn_row){ .n = side->n, .n_place = side->n - 1, .token = side->token, .place = place,
		                  .want = side->token + 1 };
	return SN_OK;
}

/* At least one token of each text is hidden. */
static sn_status masked_row(sn_ctx *ctx, const sn_attn_side *side, int32_t mask, int64_t number, sn_attn_row *row,
                            sn_arena *arena)
{
	int32_t *token, *place, *want, n_own = 0, n = 0;
	sn_rng rng = sn_rng_make(sn_ctx_seed(ctx), HIDE + (uint64_t)number);
	SN_NEW(token, arena, int32_t, side->n);
	SN_NEW(place, arena, int32_t, side->n);
	SN_NEW(want, arena, int32_t, side->n);
	memcpy(token, side->token, (size_t)side->n * sizeof *token);
	for (int32_t u = 0; u < side->n_unit; u++) n_own += !side->added[u];
	int32_t sure = n_own ? (int32_t)sn_rng_below(&rng, (uint64_t)n_own) : -1;
	for (int32_t u = 0, own = 0; u < side->n_unit; u++) {
		int32_t at = side->unit[u][0];
		if (side->added[u]) continue;
		if (own++ != sure && sn_rng_uniform(&rng) >= hidden_share) continue;
		place[n] = at;
		want[n++] = token[at];
		token[at] = mask;
	}
	*row = (sn_attn_row){ .n = side->n, .n_place = n, .token = token, .place = place, .want = want };
	return SN_OK;
}

static sn_status read_texts(sn_attn_goals *out, const sn_dataset *data, const sn_attn_query *query, sn_arena *arena)
{
	const sn_model_info *info = sn_model_get_info(out->model);
	sn_attn_texts texts;
	SN_TRY(sn_attn_read(&texts, out->ctx, out->model, data, query, arena));
	SN_NEW(out->row, arena, sn_attn_row, texts.n);
	for (int32_t i = 0; i < texts.n; i++) {
		sn_attn_row *row = &out->row[out->n];
		int64_t number = texts.text[i].row + 1;
		SN_TRY(info->causal ? causal_row(&texts.text[i].own, row, arena)
		       : masked_row(out->ctx, &texts.text[i].own, info->mask, number, row, arena));
		row->number = number;
		row->source = texts.text[i].source.token;
		row->n_source = texts.text[i].source.n;
		out->n += row->n_place > 0;
	}
	return out->n > 0 ? SN_OK : sn_fail(out->ctx, SN_EPARSE, "%s: no text has a token to predict", data->source);
}

static sn_status check_model(sn_ctx *ctx, const sn_model_info *info)
{
	if (!info->has_logits || (!info->causal && info->mask < 0))
		return sn_fail(ctx, SN_EARG, "%s has no language-model head: it predicts nothing that heads could matter for",
		               info->path);
	return SN_OK;
}

/* ---- minimal pairs ---- */

static const char *const good_column = "sentence_good", *const bad_column = "sentence_bad";

static bool has_pairs(const sn_dataset *data, const char *column)
{
	const sn_column *good = sn_dataset_column(data, good_column), *bad = sn_dataset_column(data, bad_column);
	return strcmp(column, "auto") == 0 && good && bad && good->type == SN_TYPE_TEXT && bad->type == SN_TYPE_TEXT;
}

const char *sn_attn_goal_column(const sn_dataset *data, const char *column)
{
	return has_pairs(data, column) ? good_column : column;
}

static sn_status read_pairs(sn_attn_goals *out, const sn_dataset *data, int64_t limit, sn_arena *arena)
{
	const sn_model_info *info = sn_model_get_info(out->model);
	sn_attn_texts side[2];
	if (!info->causal)
		return sn_fail(out->ctx, SN_EARG, "%s is a masked model: of minimal pairs it sees other hidden tokens in each "
		               "sentence; name one column with --column", info->path);
	for (int s = 0; s < 2; s++) {
		sn_attn_query query = { .column = s ? bad_column : good_column, .limit = limit };
		SN_TRY(sn_attn_read(&side[s], out->ctx, out->model, data, &query, arena));
	}
	SN_NEW(out->row, arena, sn_attn_row, 2 * (int64_t)side[0].n);
	out->pairs = true;
	for (int32_t i = 0; i < side[0].n; i++)
		for (int s = 0; s < 2; s++) {
			int64_t row = side[0].text[i].row;
			if (i >= side[1].n || side[1].text[i].row != row || side[s].text[i].own.n < 2)
				return sn_fail(out->ctx, SN_EPARSE, "%s: row %lld: a pair needs two sentences of two tokens and more",
				               data->source, (long long)row + 1);
			SN_TRY(causal_row(&side[s].text[i].own, &out->row[out->n], arena));
			out->row[out->n++].number = row + 1;
		}
	return SN_OK;
}

sn_status sn_attn_goals_read(sn_attn_goals *out, sn_ctx *ctx, sn_model *model, const sn_dataset *data,
                             const sn_attn_query *query, sn_arena *arena)
{
	sn_items *items;
	bool both = sn_model_get_info(model)->n_layer_encoder > 0;
	*out = (sn_attn_goals){ .ctx = ctx, .model = model, .stacks = sn_attn_stacks_of(model) };
	SN_TRY(check_model(ctx, sn_model_get_info(model)));
	if (!both && has_pairs(data, query->column)) return read_pairs(out, data, query->limit, arena);
	if (both || !sn_attn_has_items(data)) return read_texts(out, data, query, arena);
	SN_TRY(sn_items_read(&items, ctx, data, sn_model_tokenizer(model), true, arena));
	return sn_attn_goals_of_items(out, ctx, model, items, query->limit, arena);
}

/* ---- halves ---- */

enum { HALVES = 0x68616c66 };

sn_status sn_attn_goals_halves(const sn_attn_goals *goals, sn_attn_goals out[2], sn_arena *arena)
{
	int32_t size = sn_attn_goal_decides(goals) ? 2 : 1, n = (goals->n + size - 1) / size;
	int64_t *order;
	sn_rng rng = sn_rng_make(sn_ctx_seed(goals->ctx), HALVES);
	SN_NEW(order, arena, int64_t, n);
	sn_rng_permute(&rng, order, n);
	for (int half = 0; half < 2; half++) {
		out[half] = *goals;
		out[half].n = 0;
		SN_NEW(out[half].row, arena, sn_attn_row, goals->n);
		for (int32_t i = 0; i < n; i++)
			for (int32_t k = 0; k < size && (n == 1 || (2 * i >= n) == half); k++) {
				int64_t row = order[i] * size + k;
				if (row < goals->n) out[half].row[out[half].n++] = goals->row[row];
			}
	}
	return SN_OK;
}

/* ---- running ---- */

static sn_status choice_goals(const sn_attn_goals *goals, int32_t first, int32_t n, sn_arena *arena, sn_attn_batch *out)
{
	const sn_items *items = goals->items;
	int64_t *item;
	int32_t (*span)[2] = sn_arena_take(arena, sn_size3((size_t)n, (size_t)items->n_role, sizeof *span));
	SN_NEW(item, arena, int64_t, n);
	if (!span) return SN_ENOMEM;
	for (int32_t i = 0; i < n; i++) {
		item[i] = goals->row[first + i].item;
		memcpy(span + (int64_t)i * items->n_role, items->span + item[i] * items->n_role,
		       (size_t)items->n_role * sizeof *span);
	}
	out->batch.span = (const int32_t (*)[2])span;
	out->batch.n_span = items->n_role;
	out->n_goal = sn_choice_goal_count(items);
	return sn_choice_goals(goals->ctx, items, item, n, sn_model_get_info(goals->model)->d_vocab, arena, &out->goal);
}

static sn_status loss_goal(const sn_attn_goals *goals, int32_t first, int32_t n, sn_arena *arena, sn_attn_batch *out)
{
	int64_t places = 0, *list, k = 0;
	int32_t *want;
	for (int32_t i = 0; i < n; i++) places += goals->row[first + i].n_place;
	SN_NEW(list, arena, int64_t, places);
	SN_NEW(want, arena, int32_t, places);
	SN_NEW(out->goal, arena, sn_goal, 1);
	for (int32_t i = 0; i < n; i++)
		for (int32_t p = 0; p < goals->row[first + i].n_place; p++, k++) {
			list[k] = out->batch.start[i] + goals->row[first + i].place[p];
			want[k] = goals->row[first + i].want[p];
		}
	*out->goal = (sn_goal){ .metric = SN_LOSS, .where = { .sel = SN_LIST, .list = list, .n_list = places },
		                    .want = want, .n_want = places };
	out->n_goal = 1;
	return SN_OK;
}

/* What the encoder reads of rows [first, first + n); NULL: there is none. */
static sn_status source_rows(const sn_attn_goals *goals, int32_t first, int32_t n, sn_arena *arena,
                             const sn_batch **out)
{
	sn_batch *enc;
	int64_t *start;
	int32_t *token;
	*out = NULL;
	if (n == 0 || !goals->row[first].n_source) return SN_OK;
	SN_NEW(enc, arena, sn_batch, 1);
	SN_NEW(start, arena, int64_t, n + 1);
	for (int32_t i = 0; i < n; i++) start[i + 1] = start[i] + goals->row[first + i].n_source;
	SN_NEW(token, arena, int32_t, start[n]);
	for (int32_t i = 0; i < n; i++)
		memcpy(token + start[i], goals->row[first + i].source, (size_t)(start[i + 1] - start[i]) * sizeof *token);
	*enc = (sn_batch){ .n = n, .token = token, .start = start };
	*out = enc;
	return SN_OK;
}

sn_status sn_attn_goals_batch(const sn_attn_goals *goals, int32_t first, int32_t n, sn_arena *arena, sn_attn_batch *out)
{
	int64_t tokens = 0, *start;
	int32_t *token;
	for (int32_t i = 0; i < n; i++) tokens += goals->row[first + i].n;
	SN_NEW(start, arena, int64_t, n + 1);
	SN_NEW(token, arena, int32_t, tokens);
	for (int32_t i = 0; i < n; i++) {
		const sn_attn_row *row = &goals->row[first + i];
		memcpy(token + start[i], row->token, (size_t)row->n * sizeof *token);
		start[i + 1] = start[i] + row->n;
	}
	*out = (sn_attn_batch){ .batch = { .n = n, .token = token, .start = start } };
	SN_TRY(source_rows(goals, first, n, arena, &out->batch.enc));
	return goals->items ? choice_goals(goals, first, n, arena, out) : loss_goal(goals, first, n, arena, out);
}

static sn_status run_in(const sn_attn_goals *goals, const sn_edit *edit, int n_edit, sn_arena *arena, double *value)
{
	sn_attn_batch rows;
	double *score, *each;
	SN_TRY(sn_attn_goals_batch(goals, 0, goals->n, arena, &rows));
	SN_NEW(score, arena, double, (int64_t)rows.n_goal * goals->n);
	sn_plan plan = { .size = sizeof plan, .n_edit = n_edit, .edit = edit, .n_goal = rows.n_goal, .goal = rows.goal };
	SN_TRY(sn_run(goals->ctx, goals->model, &rows.batch, &plan, NULL, score));
	SN_NEW(each, arena, double, goals->items ? goals->items->n_choice : 0);
	for (int32_t i = 0; i < goals->n; i++) {
		value[i] = score[i];
		if (!goals->items) continue;
		sn_choice_combine(goals->items, score + i, goals->n, each);
		value[i] = 0;
		for (int k = 0; k < goals->items->n_choice; k++) value[i] += each[k] / goals->items->n_choice;
	}
	return SN_OK;
}

sn_status sn_attn_goals_run(const sn_attn_goals *goals, const sn_edit *edit, int n_edit, double *value)
{
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, goals->ctx));
	sn_status status = run_in(goals, edit, n_edit, arena, value);
	sn_arena_close(arena);
	return status;
}

double sn_attn_goal_value(const sn_attn_goals *goals, int32_t unit, const double *value, double *weight)
{
	*weight = 1;
	if (goals->items) return value[unit] * goals->items->item[goals->row[unit].item].n;
	if (goals->pairs) return value[2 * unit + 1] - value[2 * unit];
	*weight = goals->row[unit].n_place;
	return value[unit] / goals->row[unit].n_place;
}
