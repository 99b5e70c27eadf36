/* Texts and what is predicted after them. */
#include "methods/attribution/attribution.h"

#include <math.h>
#include <string.h>

typedef struct reader {
	sn_ctx *ctx;
	const sn_input *in;
	const sn_attribution_param *p;
	sn_arena *arena;
	const sn_column *text, *target, *foil;
} reader;

/* ---- columns ---- */

static const sn_column *text_column(const sn_dataset *data, const char *name)
{
	const sn_column *c = sn_dataset_column(data, name);
	return c && c->type == SN_TYPE_TEXT ? c : NULL;
}

static sn_status find_columns(reader *r)
{
	static const char *const usual[] = { "text", "prefix", "sentence", "sentence_good" };
	const sn_dataset *data = r->in->data[0];
	bool automatic = strcmp(r->p->column, "auto") == 0;
	for (int i = 0; automatic && !r->text && i < SN_COUNT(usual); i++) r->text = text_column(data, usual[i]);
	if (!automatic) r->text = text_column(data, r->p->column);
	r->target = text_column(data, strcmp(r->p->target, "auto") == 0 ? "target" : r->p->target);
	r->foil = text_column(data, strcmp(r->p->foil, "auto") == 0 ? "foil" : r->p->foil);
	if (r->text) return SN_OK;
	return sn_fail(r->ctx, SN_ENOTFOUND, "%s: no column of text found (%s); name it with --column", data->source,
	               r->p->column);
}

/* The text of an option that is a column, a text for all rows, or absent. */
static const char *option_text(const sn_column *column, const char *option, int64_t row)
{
	if (column) return column->s[row];
	return strcmp(option, "auto") == 0 ? NULL : option;
}

/* ---- tokens ---- */

static sn_status tokens_of(const reader *r, const char *text, int flags, int64_t row, const char *what, sn_tokens *out)
{
	SN_TRY(sn_tokenize(r->ctx, sn_model_tokenizer(r->in->model[0]), text, strlen(text), flags, r->arena, out));
	if (out->n > 0) return SN_OK;
	return sn_fail(r->ctx, SN_EPARSE, "%s: row %lld: the %s has no tokens", r->in->data[0]->source, (long long)row + 1,
	               what);
}

/* Words after a text begin with a space, unless they say otherwise. */
static sn_status continuation(const reader *r, const char *word, int64_t row, const char *what, sn_tokens *out)
{
	bool causal = sn_model_get_info(r->in->model[0])->causal;
	char *spaced = SN_TAKE(r->arena, char, strlen(word) + 2);
	if (!spaced) return SN_ENOMEM;
	sn_format(spaced, strlen(word) + 2, "%s%s", causal && word[0] != ' ' ? " " : "", word);
	return tokens_of(r, spaced, 0, row, what, out);
}

/* ---- the most probable next token ---- */

typedef struct best { int32_t id; } best;

static sn_status take_best(sn_ctx *ctx, void *state, const sn_block *block)
{
	const float *x = block->x.data;
	int64_t top = 0;
	(void)ctx;
	for (int64_t i = 1; i < block->x.dim[1]; i++)
		if (x[i] > x[top]) top = i;
	((best *)state)->id = (int32_t)top;
	return SN_OK;
}

static const sn_sink best_sink = { .size = sizeof(best), .take = take_best };

static sn_status find_best(const reader *r, const sn_attribution_item *item, int32_t *id)
{
	best found = { 0 };
	int64_t start[2] = { 0, item->n };
	sn_batch batch = { .n = 1, .token = item->token, .start = start };
	sn_tap tap = { .at = { .kind = SN_SITE_LOGITS }, .where = { .sel = SN_AT, .arg = item->place[0] },
	               .sink = &best_sink, .state = &found };
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
	SN_TRY(sn_run(r->ctx, r->in->model[0], &batch, &plan, NULL, NULL));
	*id = found.id;
	return SN_OK;
}

/* ---- one item ---- */

static sn_status find_mask(const reader *r, const sn_tokens *t, int64_t row, int32_t *place)
{
	int32_t mask = sn_model_get_info(r->in->model[0])->mask;
	for (int64_t i = 0; i < t->n; i++)
		if (t->id[i] == mask) return *place = (int32_t)i, SN_OK;
	return sn_fail(
		r->ctx, SN_EPARSE,
		"%s: row %lld: the text has no mask; a masked model predicts where its mask token ([MASK] or <mask>) "
		"stands",
		r->in->data[0]->source, (long long)row + 1);
}

/* The row: the text, then all target tokens but the last. */
static sn_status make_row(const reader *r, const sn_tokens *text, const sn_tokens *target, sn_attribution_item *item)
{
	bool causal = sn_model_get_info(r->in->model[0])->causal;
	int32_t more = causal && target ? (int32_t)target->n - 1 : 0, n = (int32_t)text->n;
	item->n = n + more;
	item->n_place = 1 + more;
	SN_NEW(item->token, r->arena, int32_t, item->n);
	item->span = sn_arena_take(r->arena, sn_size3((size_t)item->n, sizeof *item->span, 1));
	SN_NEW(item->place, r->arena, int32_t, item->n_place);
	SN_NEW(item->want, r->arena, int32_t, item->n_place);
	if (!item->span) return SN_ENOMEM;
	for (int32_t i = 0; i < item->n; i++) {
		item->token[i] = i < n ? text->id[i] : target->id[i - n];
		item->span[i][0] = i < n ? text->span[i][0] : -1;
		item->span[i][1] = i < n ? text->span[i][1] : -1;
	}
	for (int32_t i = 0; i < item->n_place; i++) item->place[i] = n - 1 + i;
	if (!causal) SN_TRY(find_mask(r, text, item->number - 1, &item->place[0]));
	for (int32_t i = 0; target && i < item->n_place; i++) item->want[i] = target->id[i];
	return SN_OK;
}

static sn_status choose_metric(const reader *r, sn_attribution_item *item)
{
	const char *m = r->p->metric;
	bool automatic = strcmp(m, "auto") == 0;
	item->metric = strcmp(m, "logit") == 0 ? SN_LOGIT : SN_LOGPROB;
	if (strcmp(m, "logit-diff") == 0 || (automatic && item->unwanted)) item->metric = SN_LOGIT_DIFF;
	if (item->metric != SN_LOGIT_DIFF || item->unwanted) return SN_OK;
	return sn_fail(r->ctx, SN_EARG, "row %lld: a logit difference needs a foil: name it with --foil",
	               (long long)item->number);
}

static sn_status add_foil(const reader *r, const char *foil, sn_attribution_item *item)
{
	sn_tokens t;
	if (!foil || strcmp(r->p->metric, "logprob") == 0 || strcmp(r->p->metric, "logit") == 0) return SN_OK;
	SN_TRY(continuation(r, foil, item->number - 1, "foil", &t));
	if (t.n != 1 || item->n_place != 1)
		return sn_fail(r->ctx, SN_EPARSE,
		               "%s: row %lld: target and foil must be one token each for a logit difference (\"%s\" is %lld)",
		               r->in->data[0]->source, (long long)item->number, foil, (long long)t.n);
	SN_NEW(item->unwanted, r->arena, int32_t, 1);
	item->unwanted[0] = t.id[0];
	item->foil = foil;
	return SN_OK;
}

/* A masked model predicts one token at one mask. */
static sn_status check_target(const reader *r, const sn_tokens *target, int64_t row)
{
	if (sn_model_get_info(r->in->model[0])->causal || target->n == 1) return SN_OK;
	return sn_fail(r->ctx, SN_EPARSE, "%s: row %lld: the target is %lld tokens; a masked model predicts one",
	               r->in->data[0]->source, (long long)row + 1, (long long)target->n);
}

static sn_status read_item(const reader *r, int64_t row, sn_attribution_item *item)
{
	const char *target = option_text(r->target, r->p->target, row), *foil = option_text(r->foil, r->p->foil, row);
	sn_tokens text, wanted;
	item->number = row + 1;
	item->text = r->text->s[row];
	SN_TRY(tokens_of(r, item->text, SN_ADD_SPECIAL | SN_PARSE_SPECIAL, row, "text", &text));
	if (target) SN_TRY(continuation(r, target, row, "target", &wanted));
	if (target) SN_TRY(check_target(r, &wanted, row));
	SN_TRY(make_row(r, &text, target ? &wanted : NULL, item));
	item->target = target;
	if (!target) {
		size_t size;
		SN_TRY(find_best(r, item, &item->want[0]));
		item->target = sn_token_text(r->ctx, sn_model_tokenizer(r->in->model[0]), item->want[0], r->arena, &size);
	}
	SN_TRY(add_foil(r, foil, item));
	return choose_metric(r, item);
}

static sn_status check_model(sn_ctx *ctx, const sn_model_info *info)
{
	if (!info->has_logits)
		return sn_fail(ctx, SN_EARG, "%s has no language-model head: it predicts nothing that could be explained",
		               info->path);
	if (info->n_layer_encoder)
		return sn_fail(ctx, SN_EARG, "%s is an encoder-decoder; attribution takes decoders and masked models",
		               info->path);
	return SN_OK;
}

sn_status sn_attribution_read(sn_attribution_items *out, sn_ctx *ctx, const sn_input *in, const sn_attribution_param *p,
                              sn_arena *arena)
{
	reader r = { .ctx = ctx, .in = in, .p = p, .arena = arena };
	int64_t n = p->limit > 0 ? SN_MIN(p->limit, in->data[0]->n) : in->data[0]->n;
	*out = (sn_attribution_items){ 0 };
	SN_TRY(check_model(ctx, sn_model_get_info(in->model[0])));
	SN_TRY(find_columns(&r));
	SN_NEW(out->item, arena, sn_attribution_item, n);
	for (int64_t i = 0; i < n; i++) {
		if (!r.text->s[i] || !r.text->s[i][0]) continue;
		SN_TRY(read_item(&r, i, &out->item[out->n++]));
	}
	if (out->n > 0) return SN_OK;
	return sn_fail(ctx, SN_EPARSE, "%s: no row has a text in column %s", in->data[0]->source, r.text->name);
}

/* ---- copies of a row ---- */

sn_status sn_attribution_copy(sn_attribution_rows *out, const sn_attribution_item *item, int32_t copies,
                              const int32_t *at, sn_arena *arena)
{
	int32_t *token, *parent, *fork, *want, *foil = NULL;
	int64_t *start, *list, n_place = (int64_t)copies * item->n_place;
	SN_NEW(token, arena, int32_t, (int64_t)copies * item->n);
	SN_NEW(start, arena, int64_t, copies + 1);
	SN_NEW(parent, arena, int32_t, copies);
	SN_NEW(fork, arena, int32_t, copies);
	SN_NEW(list, arena, int64_t, n_place);
	SN_NEW(want, arena, int32_t, n_place);
	if (item->unwanted) SN_NEW(foil, arena, int32_t, n_place);
	for (int32_t c = 0; c < copies; c++) {
		start[c + 1] = start[c] + item->n;
		memcpy(token + start[c], item->token, (size_t)item->n * sizeof *token);
		parent[c] = at && c ? 0 : -1;
		fork[c] = at && c ? item->n : 0;
		for (int32_t i = 0; i < item->n_place; i++) {
			list[c * item->n_place + i] = start[c] + item->place[i];
			want[c * item->n_place + i] = item->want[i];
			if (foil) foil[c * item->n_place + i] = item->unwanted[i];
		}
	}
	out->batch = (sn_batch){ .n = copies, .token = token, .start = start, .parent = parent, .fork = fork };
	out->goal = (sn_goal){ .metric = item->metric, .where = { .sel = SN_LIST, .list = list, .n_list = n_place },
	                       .want = want, .n_want = n_place, .foil = foil };
	return SN_OK;
}
