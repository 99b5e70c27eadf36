/* From a data set to tokenized rows with classes, groups and blocks. */
#include "methods/probe/probe.h"
#include "data/numbering.h"

#include <stdlib.h>
#include <string.h>

/* ---- columns ---- */

static sn_status fail_column(sn_ctx *ctx, const sn_dataset *data, const char *what, const char *name)
{
	char list[400] = "";
	size_t used = 0;
	for (int c = 0; c < data->n_col && used + 40 < sizeof list; c++)
		used += (size_t)sn_format(list + used, sizeof list - used, "%s%.30s", c ? ", " : "", data->col[c].name);
	return sn_fail(ctx, SN_ENOTFOUND, "%s: no %s column%s%s; it has %s", data->source, what, name ? " " : "", name
	               ? name : "", list);
}

/* The column of that name, or with a prefix ("labels.number" for "number"). */
static const sn_column *named(const sn_dataset *data, const char *prefix, const char *name)
{
	char full[128];
	const sn_column *column = sn_dataset_column(data, name);
	if (column) return column;
	sn_format(full, sizeof full, "%s%s", prefix, name);
	return sn_dataset_column(data, full);
}

static const sn_column *first_of(const sn_dataset *data, const char *const *names, int n)
{
	const sn_column *column = NULL;
	for (int i = 0; !column && i < n; i++) column = sn_dataset_column(data, names[i]);
	return column;
}

static bool given(const char *text) { return text && *text && strcmp(text, "auto") != 0; }

typedef struct columns { const sn_column *text, *label, *role, *group; } columns;

static sn_status find_columns(columns *out, sn_ctx *ctx, const sn_dataset *data, const sn_probe_query *q)
{
	static const char *const texts[] = { "text", "sentence" }, *const groups[] = { "lemma" };
	*out = (columns){ 0 };
	out->text = given(q->text) ? sn_dataset_column(data, q->text) : first_of(data, texts, SN_COUNT(texts));
	if (!out->text || out->text->type != SN_TYPE_TEXT)
		return fail_column(ctx, data, "text", given(q->text) ? q->text : NULL);
	out->label = named(data, "labels.", q->label);
	if (!out->label || out->label->type == SN_TYPE_SPAN) return fail_column(ctx, data, "label", q->label);
	if (strcmp(q->at, "last") != 0 && strcmp(q->at, "mean") != 0) {
		out->role = named(data, "roles.", q->at);
		if (!out->role || out->role->type != SN_TYPE_SPAN) return fail_column(ctx, data, "role (span)", q->at);
	}
	if (given(q->group) && strcmp(q->group, "none") == 0) return SN_OK;
	out->group = given(q->group) ? sn_dataset_column(data, q->group) : first_of(data, groups, SN_COUNT(groups));
	if (given(q->group) && !out->group) return fail_column(ctx, data, "group", q->group);
	return SN_OK;
}

/* A value as text from arena; NULL where missing. */
static const char *value_text(const sn_column *column, int64_t row, sn_arena *arena)
{
	switch (column->type) {
	case SN_TYPE_TEXT: return column->s[row] && column->s[row][0] ? column->s[row] : NULL;
	case SN_TYPE_INT:
		return column->i[row] == INT64_MIN ? NULL : sn_arena_format(arena, "%lld", (long long)column->i[row]);
	case SN_TYPE_FLOAT: return column->f[row] != column->f[row] ? NULL : sn_arena_format(arena, "%g", column->f[row]);
	case SN_TYPE_BOOL: return column->b[row] < 0 ? NULL : column->b[row] ? "true" : "false";
	default: return NULL;
	}
}

/* ---- rows ---- */

/* A row's tokens and place; false: the row has no such place. */
static bool place_of(int32_t span[2], const sn_tokens *tokens, const columns *c, int64_t row)
{
	span[0] = (int32_t)tokens->n - 1;
	span[1] = (int32_t)tokens->n;
	if (tokens->n == 0) return false;
	if (!c->role) return true;
	int64_t from = c->role->span[row][0], to = c->role->span[row][1];
	span[0] = -1;
	for (int32_t t = 0; from >= 0 && t < tokens->n; t++) {
		if (tokens->span[t][0] >= to || tokens->span[t][1] <= from) continue;
		if (span[0] < 0) span[0] = t;
		span[1] = t + 1;
	}
	return span[0] >= 0;
}

typedef struct reader {
	sn_tokens *tokens;
	int32_t (*span)[2];
	const char **label, **group, **type;
} reader;

static sn_status new_reader(reader *r, int64_t n, sn_arena *arena)
{
	SN_NEW(r->tokens, arena, sn_tokens, n);
	r->span = sn_arena_take(arena, sn_size3((size_t)n, sizeof *r->span, 1));
	SN_NEW(r->label, arena, const char *, n);
	SN_NEW(r->group, arena, const char *, n);
	SN_NEW(r->type, arena, const char *, n);
	return r->span ? SN_OK : SN_ENOMEM;
}

/* The word form at the place, as its token numbers. */
static const char *type_text(const sn_tokens *tokens, const int32_t span[2], sn_arena *arena)
{
	const char *text = "";
	for (int32_t t = span[0]; text && t < span[1]; t++) text = sn_arena_format(arena, "%s %d", text, tokens->id[t]);
	return text;
}

static sn_status read_row(reader *r, sn_probe_rows *out, sn_ctx *ctx, const sn_tokenizer *tokenizer, const columns *c,
                          int64_t row, sn_arena *arena)
{
	int64_t i = out->n;
	const char *text = c->text->s[row], *label = value_text(c->label, row, arena);
	const char *group = c->group ? value_text(c->group, row, arena) : NULL;
	if (!text || !label) {
		out->n_skipped++;
		return SN_OK;
	}
	SN_TRY(sn_tokenize(ctx, tokenizer, text, strlen(text), SN_ADD_SPECIAL, arena, &r->tokens[i]));
	if (!place_of(r->span[i], &r->tokens[i], c, row)) {
		out->n_skipped++;
		return SN_OK;
	}
	r->label[i] = label;
	r->group[i] = group ? group : sn_arena_format(arena, "row %lld", (long long)row);
	r->type[i] = type_text(&r->tokens[i], r->span[i], arena);
	if (!r->group[i] || !r->type[i]) return SN_ENOMEM;
	out->n++;
	return SN_OK;
}

static sn_status pack(sn_probe_rows *out, const reader *r, sn_arena *arena)
{
	int64_t total = 0, *start;
	int32_t *token;
	for (int64_t i = 0; i < out->n; i++) total += r->tokens[i].n;
	SN_NEW(start, arena, int64_t, out->n + 1);
	SN_NEW(token, arena, int32_t, total);
	for (int64_t i = 0; i < out->n; i++) {
		memcpy(token + start[i], r->tokens[i].id, (size_t)r->tokens[i].n * sizeof *token);
		start[i + 1] = start[i] + r->tokens[i].n;
	}
	out->batch = (sn_batch){ .n = (int32_t)out->n, .token = token, .start = start, .span = (const int32_t(*)[2])r->span,
	                         .n_span = 1 };
	return SN_OK;
}

/* Deals n things in random order to blocks. */
static sn_status deal(int32_t *fold, int64_t n, int n_fold, uint64_t seed, uint64_t key, sn_arena *arena)
{
	int64_t *order;
	SN_NEW(order, arena, int64_t, n);
	sn_rng rng = sn_rng_make(seed, key);
	sn_rng_permute(&rng, order, n);
	for (int64_t i = 0; i < n; i++) fold[order[i]] = (int32_t)(i % n_fold);
	return SN_OK;
}

static sn_status number_all(sn_probe_rows *out, sn_ctx *ctx, const reader *r, const sn_probe_query *q, sn_arena *arena)
{
	int32_t *of_group;
	SN_NEW(out->y, arena, int32_t, out->n);
	SN_NEW(out->group, arena, int32_t, out->n);
	SN_NEW(out->type, arena, int32_t, out->n);
	SN_NEW(out->fold, arena, int32_t, out->n);
	SN_NEW(out->item_fold, arena, int32_t, out->n);
	SN_TRY(sn_number_texts(out->y, &out->n_class, &out->name, r->label, out->n, arena));
	SN_TRY(sn_number_texts(out->group, &out->n_group, NULL, r->group, out->n, arena));
	SN_TRY(sn_number_texts(out->type, &out->n_type, NULL, r->type, out->n, arena));
	SN_NEW(of_group, arena, int32_t, out->n_group);
	SN_TRY(deal(of_group, out->n_group, q->n_fold, sn_ctx_seed(ctx), 0x50524f, arena));
	for (int64_t i = 0; i < out->n; i++) out->fold[i] = of_group[out->group[i]];
	return deal(out->item_fold, out->n, q->n_fold, sn_ctx_seed(ctx), 0x50524e, arena);
}

static sn_status check(const sn_probe_rows *out, sn_ctx *ctx, const sn_dataset *data, const sn_probe_query *q)
{
	if (out->n_class < 2 || out->n_class > SN_MOST_CLASSES)
		return sn_fail(ctx, SN_EARG, "%s: column %s has %d values in the %lld usable rows; a probe takes 2 to %d "
		               "classes", data->source, out->label_name, out->n_class, (long long)out->n, SN_MOST_CLASSES);
	if (out->n_group < 2 * q->n_fold)
		return sn_fail(ctx, SN_EARG, "%s: %d groups (%s) in the usable rows; %d folds need at least %d", data->source,
		               out->n_group, out->group_name ? out->group_name : "rows", q->n_fold, 2 * q->n_fold);
	return SN_OK;
}

sn_status sn_probe_read(sn_probe_rows *out, sn_ctx *ctx, const sn_tokenizer *tokenizer, const sn_dataset *data,
                        const sn_probe_query *q, sn_arena *arena)
{
	columns c;
	reader r;
	SN_TRY(find_columns(&c, ctx, data, q));
	int64_t n = q->limit > 0 ? SN_MIN(q->limit, data->n) : data->n;
	*out = (sn_probe_rows){ .mean = strcmp(q->at, "mean") == 0, .text_name = c.text->name, .label_name = c.label->name,
		                    .group_name = c.group ? c.group->name : NULL };
	SN_TRY(new_reader(&r, n, arena));
	for (int64_t row = 0; row < n; row++) SN_TRY(read_row(&r, out, ctx, tokenizer, &c, row, arena));
	SN_TRY(pack(out, &r, arena));
	SN_TRY(number_all(out, ctx, &r, q, arena));
	for (int64_t i = 0; out->mean && i < out->n; i++) out->type[i] = -1;
	return check(out, ctx, data, q);
}

/* ---- activations ---- */

typedef struct row_sums { float *x; int64_t d; const sn_batch *batch; } row_sums;

/* Adds each place to its row, divided by the row's length. */
static sn_status take_sums(sn_ctx *ctx, void *state, const sn_block *block)
{
	(void)ctx;
	row_sums *s = state;
	const float *x = block->x.data;
	for (int64_t i = 0; i < block->m; i++, x += s->d) {
		int32_t row = block->row[i];
		float share = 1 / (float)(s->batch->start[row + 1] - s->batch->start[row]);
		for (int64_t j = 0; j < s->d; j++) s->x[row * s->d + j] += share * x[j];
	}
	return SN_OK;
}

static const sn_sink sum_sink = { .size = sizeof(row_sums), .take = take_sums };

sn_status sn_probe_gather(float **x, sn_ctx *ctx, sn_model *model, const sn_probe_rows *rows, const sn_site *site,
                          int n_site, sn_arena *arena)
{
	sn_tap *tap;
	sn_keep *keep;
	row_sums *sum;
	SN_NEW(tap, arena, sn_tap, n_site);
	SN_NEW(keep, arena, sn_keep, n_site);
	SN_NEW(sum, arena, row_sums, n_site);
	for (int s = 0; s < n_site; s++) {
		int64_t d = sn_site_width(model, &site[s]);
		x[s] = sn_arena_take(arena, sn_size3((size_t)rows->n, (size_t)d, sizeof(float)));
		if (!x[s]) return SN_ENOMEM;
		keep[s] = (sn_keep){ .x = x[s], .m = rows->n, .d = d };
		sum[s] = (row_sums){ .x = x[s], .d = d, .batch = &rows->batch };
		tap[s] = (sn_tap){ .at = site[s], .where = { .sel = rows->mean ? SN_ALL : SN_SPAN_LAST } };
		tap[s].sink = rows->mean ? &sum_sink : &sn_sink_keep;
		tap[s].state = rows->mean ? (void *)&sum[s] : (void *)&keep[s];
	}
	sn_plan plan = { .size = sizeof plan, .n_tap = n_site, .tap = tap };
	return sn_run(ctx, model, &rows->batch, &plan, NULL, NULL);
}
