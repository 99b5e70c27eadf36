/* Texts and what is predicted after them. */
#include "methods/attribution/attribution.h"

#include "model/site.h"

#include <string.h>

typedef struct reader {
	sn_ctx *ctx;
	const sn_input *in;
	const sn_attribution_param *p;
	sn_arena *arena;
	const sn_column *text, *target, *foil, *against;
	const sn_model_info *info;
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
	const char *column = r->p->column;
	if (r->info->n_layer_encoder && strcmp(r->p->source, "auto") != 0) column = r->p->source;
	bool automatic = strcmp(column, "auto") == 0;
	if (automatic && r->info->n_layer_encoder) r->text = text_column(data, "source");
	for (int i = 0; automatic && !r->text && i < SN_COUNT(usual); i++) r->text = text_column(data, usual[i]);
	if (!automatic) r->text = text_column(data, column);
	r->target = text_column(data, strcmp(r->p->target, "auto") == 0 ? "target" : r->p->target);
	r->foil = text_column(data, strcmp(r->p->foil, "auto") == 0 ? "foil" : r->p->foil);
	r->against = text_column(data, strcmp(r->p->against, "auto") == 0 ? "against" : r->p->against);
	if (r->text) return SN_OK;
	return sn_fail(r->ctx, SN_ENOTFOUND, "%s: no column of text found (%s); name it with --%s", data->source, column,
	               column == r->p->source ? "source" : "column");
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

/* Words after a text begin with a space, unless they say otherwise; an encoder-decoder's target begins a text. */
static sn_status continuation(const reader *r, const char *word, int64_t row, const char *what, sn_tokens *out)
{
	bool after = r->info->causal && !r->info->n_layer_encoder;
	char *spaced = SN_TAKE(r->arena, char, strlen(word) + 2);
	if (!spaced) return SN_ENOMEM;
	sn_format(spaced, strlen(word) + 2, "%s%s", after && word[0] != ' ' ? " " : "", word);
	return tokens_of(r, spaced, 0, row, what, out);
}

/* ---- one item ---- */

/* The first masks, one for each place. Without a target the first mask alone is explained. */
static sn_status find_masks(const reader *r, const sn_tokens *t, const sn_tokens *target, sn_attribution_item *item)
{
	int32_t n = 0, masks = 0;
	for (int64_t i = 0; i < t->n; i++) {
		if (t->id[i] != r->info->mask) continue;
		if (n < item->n_place) item->place[n++] = (int32_t)i;
		masks++;
	}
	if (masks > 0 && (!target || masks == target->n)) return SN_OK;
	if (masks > 0)
		return sn_fail(r->ctx, SN_EPARSE, "%s: row %lld: the target is %lld tokens, the text has %d masks; expected "
		               "one each", r->in->data[0]->source, (long long)item->number, (long long)target->n, masks);
	return sn_fail(
		r->ctx, SN_EPARSE,
		"%s: row %lld: the text has no mask; a masked model predicts where its mask token ([MASK] or <mask>) "
		"stands",
		r->in->data[0]->source, (long long)item->number);
}

static sn_status take_tokens(const reader *r, const sn_tokens *text, int32_t more, sn_attribution_tokens *out)
{
	out->n = (int32_t)text->n + more;
	SN_NEW(out->token, r->arena, int32_t, out->n);
	out->span = sn_arena_take(r->arena, sn_size3((size_t)out->n, sizeof *out->span, 1));
	if (!out->span) return SN_ENOMEM;
	for (int32_t i = 0; i < out->n; i++) {
		bool own = i < text->n;
		out->token[i] = own ? text->id[i] : 0;
		out->span[i][0] = own ? text->span[i][0] : -1;
		out->span[i][1] = own ? text->span[i][1] : -1;
	}
	return SN_OK;
}

/* The row: the text (encoder-decoders: what every target begins with), then all target tokens but the last. */
static sn_status make_row(const reader *r, const sn_tokens *text, const sn_tokens *target, sn_attribution_item *item)
{
	int64_t no_span[1][2] = { { -1, -1 } };
	int32_t start = r->info->decoder_start;
	const sn_tokens begin = { .n = 1, .id = &start, .span = no_span };
	int32_t more = r->info->causal && target ? (int32_t)target->n - 1 : 0;
	if (r->info->n_layer_encoder) {
		SN_TRY(take_tokens(r, text, 0, &item->source));
		text = &begin;
	}
	SN_TRY(take_tokens(r, text, more, &item->row));
	item->n_place = r->info->causal ? 1 + more : target ? (int32_t)target->n : 1;
	SN_NEW(item->place, r->arena, int32_t, item->n_place);
	SN_NEW(item->want, r->arena, int32_t, item->n_place);
	for (int32_t i = 0; i < more; i++) item->row.token[text->n + i] = target->id[i];
	for (int32_t i = 0; i < item->n_place; i++) item->place[i] = (int32_t)text->n - 1 + i;
	if (!r->info->causal) SN_TRY(find_masks(r, text, target, item));
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

static sn_status read_compared(const reader *r, int64_t row, const char *against, const sn_attribution_item *before,
                               sn_attribution_item *item)
{
	sn_tokens text;
	SN_TRY(tokens_of(r, item->text, SN_ADD_SPECIAL | SN_PARSE_SPECIAL, row, "text", &text));
	SN_TRY(take_tokens(r, &text, 0, &item->row));
	return sn_attribution_compare(item, r->ctx, r->in->model[0], against, before, r->arena);
}

static bool compares(const reader *r) { return r->against || strcmp(r->p->against, "auto") != 0; }

/* before: the item before, or NULL. */
static sn_status read_item(const reader *r, int64_t row, const sn_attribution_item *before, sn_attribution_item *item)
{
	const char *target = option_text(r->target, r->p->target, row), *foil = option_text(r->foil, r->p->foil, row);
	sn_tokens text, wanted;
	item->number = row + 1;
	item->text = r->text->s[row];
	if (compares(r)) {
		const char *against = option_text(r->against, r->p->against, row);
		if (against && against[0]) return read_compared(r, row, against, before, item);
		return sn_fail(r->ctx, SN_EPARSE, "%s: row %lld: there is no text to compare with", r->in->data[0]->source,
		               (long long)row + 1);
	}
	SN_TRY(tokens_of(r, item->text, SN_ADD_SPECIAL | SN_PARSE_SPECIAL, row, "text", &text));
	if (target) SN_TRY(continuation(r, target, row, "target", &wanted));
	SN_TRY(make_row(r, &text, target ? &wanted : NULL, item));
	item->target = target;
	SN_TRY(add_foil(r, foil, item));
	return choose_metric(r, item);
}

/* ---- the most probable next token, where no target is given ---- */

static sn_status take_best(sn_ctx *ctx, void *state, const sn_block *block)
{
	int32_t *best = state;
	int64_t n = block->x.dim[1];
	(void)ctx;
	for (int64_t i = 0; i < block->m; i++) {
		const float *x = (const float *)block->x.data + i * n;
		int64_t top = 0;
		for (int64_t j = 1; j < n; j++)
			if (x[j] > x[top]) top = j;
		best[block->first + i] = (int32_t)top;
	}
	return SN_OK;
}

static const sn_sink best_sink = { .size = sizeof(int32_t), .take = take_best };

static sn_status find_best(const reader *r, sn_attribution_item *item, int32_t n, sn_arena *scratch)
{
	static const sn_site logits = { .kind = SN_SITE_LOGITS };
	sn_attribution_rows rows;
	int32_t *best;
	SN_NEW(best, scratch, int32_t, n);
	SN_TRY(sn_attribution_copy(&rows, item, n, &logits, 1, false, scratch));
	sn_tap tap = { .at = logits, .where = rows.goal.where, .sink = &best_sink, .state = best };
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
	SN_TRY(sn_run(r->ctx, r->in->model[0], &rows.batch, &plan, NULL, NULL));
	for (int32_t i = 0; i < n; i++) {
		size_t size;
		item[i].want[0] = best[i];
		item[i].target = sn_token_text(r->ctx, sn_model_tokenizer(r->in->model[0]), best[i], r->arena, &size);
	}
	return SN_OK;
}

/* Runs of neighbouring items without a target, as many at once as a step takes. */
static sn_status find_targets(const reader *r, sn_attribution_items *items)
{
	for (int32_t i = 0, n; i < items->n; i += n) {
		sn_arena *scratch;
		n = 1;
		if (items->item[i].target) continue;
		int32_t most = sn_attribution_together(r->ctx, &items->item[i], items->n - i, 1);
		while (n < most && !items->item[i + n].target) n++;
		SN_TRY(sn_arena_open(&scratch, r->ctx));
		sn_status status = find_best(r, &items->item[i], n, scratch);
		sn_arena_close(scratch);
		SN_TRY(status);
	}
	return SN_OK;
}

static sn_status check_model(const reader *r)
{
	sn_ctx *ctx = r->ctx;
	const sn_model_info *info = r->info;
	const sn_attribution_param *p = r->p;
	if (compares(r) && info->n_layer_encoder)
		return sn_fail(ctx, SN_EARG, "%s is an encoder-decoder: --against takes encoders and decoders", info->path);
	if (!info->has_logits && !compares(r))
		return sn_fail(ctx, SN_EARG, "%s has no language-model head: it predicts nothing that could be explained; "
		               "--against TEXT explains how alike two texts are to it", info->path);
	if (info->n_layer_encoder && info->decoder_start < 0)
		return sn_fail(ctx, SN_EARG, "%s: config.json names no decoder_start_token_id, which every target begins with",
		               info->path);
	if (!info->n_layer_encoder && strcmp(p->source, "auto") != 0)
		return sn_fail(ctx, SN_EARG, "%s has no encoder to read a source; give its text with --column", info->path);
	return SN_OK;
}

sn_status sn_attribution_read(sn_attribution_items *out, sn_ctx *ctx, const sn_input *in, const sn_attribution_param *p,
                              sn_arena *arena)
{
	reader r = { .ctx = ctx, .in = in, .p = p, .arena = arena, .info = sn_model_get_info(in->model[0]) };
	int64_t n = p->limit > 0 ? SN_MIN(p->limit, in->data[0]->n) : in->data[0]->n;
	*out = (sn_attribution_items){ 0 };
	SN_TRY(find_columns(&r));
	SN_TRY(check_model(&r));
	SN_NEW(out->item, arena, sn_attribution_item, n);
	for (int64_t i = 0; i < n; i++) {
		if (!r.text->s[i] || !r.text->s[i][0]) continue;
		SN_TRY(read_item(&r, i, out->n ? &out->item[out->n - 1] : NULL, &out->item[out->n]));
		out->n++;
	}
	if (out->n > 0) return find_targets(&r, out);
	return sn_fail(ctx, SN_EPARSE, "%s: no row has a text in column %s", in->data[0]->source, r.text->name);
}

/* ---- copies of a row ---- */

static bool of_encoder(const sn_site *site)
{
	return site->stack == SN_STACK_ENCODER || sn_site_of_encoder_rows((sn_site_kind)site->kind);
}

const sn_attribution_tokens *sn_attribution_at(const sn_attribution_item *item, const sn_site *site)
{
	return of_encoder(site) ? &item->source : &item->row;
}

int32_t sn_attribution_together(sn_ctx *ctx, const sn_attribution_item *item, int32_t n, int64_t copies)
{
	int64_t tokens = 0, most = sn_ctx_tokens_per_step(ctx);
	int32_t k = 0;
	for (; k < n && item[k].metric == item->metric && !item[k].unwanted == !item->unwanted; k++) {
		if (item[k].against != item->against) break;
		tokens += copies * SN_MAX(item[k].row.n, item[k].source.n);
		if (k > 0 && tokens > most) break;
	}
	return k;
}

/* copies of each item's row, or of its source, one after the other; numbered by copy, so that draws of noise do not
 * depend on which texts stand together. */
static sn_status repeat(sn_batch *out, const sn_attribution_item *item, int32_t n, bool source, int32_t copies,
                        sn_arena *arena)
{
	int32_t *token;
	int64_t *start, *number;
	SN_NEW(start, arena, int64_t, (int64_t)n * copies + 1);
	SN_NEW(number, arena, int64_t, (int64_t)n * copies);
	for (int32_t b = 0; b < n * copies; b++) {
		const sn_attribution_item *of = &item[b / copies];
		start[b + 1] = start[b] + (source ? of->source.n : of->row.n);
		number[b] = b % copies;
	}
	SN_NEW(token, arena, int32_t, start[n * copies]);
	for (int32_t b = 0; b < n * copies; b++)
		memcpy(token + start[b], source ? item[b / copies].source.token : item[b / copies].row.token,
		       (size_t)(start[b + 1] - start[b]) * sizeof *token);
	*out = (sn_batch){ .n = n * copies, .token = token, .start = start, .item = number };
	return SN_OK;
}

static sn_status fork(sn_batch *batch, int32_t copies, sn_arena *arena)
{
	int32_t *parent, *at;
	SN_NEW(parent, arena, int32_t, batch->n);
	SN_NEW(at, arena, int32_t, batch->n);
	for (int32_t b = 0; b < batch->n; b++) {
		parent[b] = b % copies ? b - b % copies : -1;
		at[b] = b % copies ? (int32_t)(batch->start[b + 1] - batch->start[b]) : 0;
	}
	batch->parent = parent;
	batch->fork = at;
	return SN_OK;
}

/* Each row's vector is the mean over its places. */
static sn_status mean_goal(sn_goal *goal, const sn_attribution_item *const *of, int32_t n, sn_arena *arena)
{
	float *weight;
	SN_NEW(weight, arena, float, n);
	for (int32_t b = 0; b < n; b++) {
		if (!of[b]) continue;
		weight[b] = 1.0f / (float)of[b]->n_place;
		goal->at = of[b]->end;
		goal->dir = of[b]->against;
	}
	goal->weight = weight;
	return SN_OK;
}

sn_status sn_attribution_goal(sn_goal *out, const sn_attribution_item *const *of, const int64_t *start, int32_t n,
                              sn_arena *arena)
{
	int64_t *list, n_place = 0, k = 0;
	int32_t *want, *foil;
	const sn_attribution_item *any = NULL;
	for (int32_t b = 0; b < n; b++) {
		n_place += of[b] ? of[b]->n_place : 0;
		if (of[b]) any = of[b];
	}
	SN_NEW(list, arena, int64_t, n_place);
	SN_NEW(want, arena, int32_t, n_place);
	SN_NEW(foil, arena, int32_t, n_place);
	for (int32_t b = 0; b < n; b++)
		for (int32_t i = 0; of[b] && i < of[b]->n_place; i++, k++) {
			list[k] = start[b] + of[b]->place[i];
			want[k] = of[b]->want ? of[b]->want[i] : 0;
			foil[k] = of[b]->unwanted ? of[b]->unwanted[i] : 0;
		}
	*out = (sn_goal){ .metric = any->metric, .where = { .sel = SN_LIST, .list = list, .n_list = n_place },
	                  .want = want, .n_want = n_place, .foil = any->unwanted ? foil : NULL };
	return any->metric == SN_DOT ? mean_goal(out, of, n, arena) : SN_OK;
}

static sn_status goal_of_copies(sn_attribution_rows *out, const sn_attribution_item *item, int32_t copies,
                                sn_arena *arena)
{
	const sn_attribution_item **of;
	SN_NEW(of, arena, const sn_attribution_item *, out->batch.n);
	for (int32_t b = 0; b < out->batch.n; b++) of[b] = &item[b / copies];
	return sn_attribution_goal(&out->goal, of, out->batch.start, out->batch.n, arena);
}

sn_status sn_attribution_copy(sn_attribution_rows *out, const sn_attribution_item *item, int32_t n, const sn_site *site,
                              int32_t copies, bool forked, sn_arena *arena)
{
	bool encoder = of_encoder(site);
	SN_TRY(repeat(&out->batch, item, n, false, copies, arena));
	if (forked && !encoder) SN_TRY(fork(&out->batch, copies, arena));
	if (item->source.n) {
		int32_t *enc_row;
		SN_TRY(repeat(&out->enc, item, n, true, encoder ? copies : 1, arena));
		SN_NEW(enc_row, arena, int32_t, out->batch.n);
		for (int32_t b = 0; b < out->batch.n; b++) enc_row[b] = encoder ? b : b / copies;
		out->batch.enc = &out->enc;
		out->batch.enc_row = enc_row;
	}
	out->start = encoder ? out->enc.start : out->batch.start;
	return goal_of_copies(out, item, copies, arena);
}
