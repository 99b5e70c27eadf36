/* `sonde attention prune`: what is left when heads are taken out, least important first. */
#include "methods/attention/prune.h"
#include "stats/ratio.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(sn_prune_param, field)
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
	  .help = "encoder-decoders: column of what the decoder writes; auto: target",
	  .def = "auto",
	  .type = SN_TYPE_TEXT,
	  .off = AT(target) },
	{ .name = "order",
	  .help = "importance that orders the heads: |z . dL/dz| (Michel et al. 2019), the same by position, "
			  "or absolute relevance (AttnLRP)",
	  .def = "importance",
	  .choices = "importance|by-position|relevance",
	  .type = SN_TYPE_TEXT,
	  .off = AT(order) },
	{ .name = "ablate",
	  .help = "what a removed head puts out: zeros, or its mean over the half that orders",
	  .def = "zero",
	  .choices = "zero|mean",
	  .type = SN_TYPE_TEXT,
	  .off = AT(ablate) },
	{ .name = "steps",
	  .help = "points of the curve after the whole model",
	  .def = "10",
	  .type = SN_TYPE_INT,
	  .off = AT(steps),
	  .min = 1,
	  .max = 1000 },
	{ .name = "draws",
	  .help = "random orders",
	  .def = "5",
	  .type = SN_TYPE_INT,
	  .off = AT(draws),
	  .min = 1,
	  .max = 1000 },
	{ .name = "limit",
	  .unit = "rows",
	  .help = "only the first rows of the data; 0: all",
	  .def = "0",
	  .type = SN_TYPE_INT,
	  .off = AT(limit),
	  .max = 1e15 },
};

enum { CURVE, ORDER };

static const sn_col curve_columns[] = {
	{ "pruned", "share", NULL, SN_TYPE_FLOAT, SN_DIM, 0, "Heads removed" },
	{ "order", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Order" },
	{ "heads", "heads", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Heads removed" },
	{ "value", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Loss a token, margin or choice" },
	{ "value_low", "nats", "value", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "value_high", "nats", "value", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "accuracy", "share", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, "Right choices" },
	{ "accuracy_low", "share", "accuracy", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "accuracy_high", "share", "accuracy", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "chance", "share", "accuracy", SN_TYPE_FLOAT, SN_BASE, 0, "Chance" },
};

static const sn_col order_columns[] = {
	{ "rank", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Rank" },
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Layer" },
	{ "head", NULL, NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Head" },
	{ "stack", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Stack" },
	{ "importance", NULL, NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Importance" },
};

static const sn_table tables[] = {
	[CURVE] = { "curve", "What is left without heads", curve_columns, SN_COUNT(curve_columns), SN_VIEW_LINE,
				"Heads are ordered on half of the rows, removed on the other half. Loss a token of texts; the margin "
				"of "
				"minimal pairs, or the choice of a phenomenon's items (mean of n LD), positive where right, and the "
				"share that is right. Bands: 95 % intervals over rows or pairs; random: the mean over the random "
				"orders.",
				false },
	[ORDER] = { "order", "The order", order_columns, SN_COUNT(order_columns), SN_VIEW_TABLE, "Rank 1 is removed first.",
				true },
};

typedef struct prune {
	const sn_prune_param *p;
	sn_attn_goals half[2];   /* which orders, which scores */
	sn_result *out;
	sn_arena *arena;
	int n_head;              /* of all layers and stacks */
	double *importance;
	float **mean;            /* [n_head] -> [d_head], or NULL: zeros */
	int32_t *order;          /* [n_head] least important first */
} prune;

/* ---- order ---- */

static sn_status measure_importance(prune *r)
{
	const sn_attn_goals *goals = &r->half[0];
	bool relevance = strcmp(r->p->order, "relevance") == 0, each = strcmp(r->p->order, "by-position") == 0;
	double *product;
	SN_NEW(product, r->arena, double, (int64_t)goals->n * r->n_head);
	SN_NEW(r->importance, r->arena, double, r->n_head);
	SN_TRY(sn_attn_head_products(goals, relevance ? SN_RULE_ATTN_LRP : SN_RULE_PLAIN, each ? NULL : product,
	                             each ? product : NULL));
	int32_t n = sn_attn_goal_units(goals);
	for (int64_t i = 0; i < n; i++)
		for (int h = 0; h < r->n_head; h++) r->importance[h] += fabs(product[i * r->n_head + h]) / n;
	return SN_OK;
}

typedef struct ranked { double value; int32_t head; } ranked;

static int by_value(const void *a, const void *b)
{
	const ranked *x = a, *y = b;
	if (x->value != y->value) return x->value < y->value ? -1 : 1;
	return (x->head > y->head) - (x->head < y->head);
}

static sn_status sort_heads(prune *r)
{
	ranked *rank;
	SN_NEW(rank, r->arena, ranked, r->n_head);
	SN_NEW(r->order, r->arena, int32_t, r->n_head);
	for (int h = 0; h < r->n_head; h++) rank[h] = (ranked){ r->importance[h], h };
	qsort(rank, (size_t)r->n_head, sizeof *rank, by_value);
	for (int i = 0; i < r->n_head; i++) {
		sn_attn_place at = sn_attn_place_of(&r->half[0].stacks, r->order[i] = rank[i].head);
		SN_TRY(SN_ADD(r->out, ORDER, sn_int(i + 1), sn_int(at.layer), sn_int(at.head), sn_text(at.stack->name),
		              sn_num(rank[i].value)));
	}
	return SN_OK;
}

/* ---- removing ---- */

/* Mean output of every head over the half that orders. */
static sn_status measure_means(prune *r)
{
	sn_attn_batch rows;
	sn_tap *tap;
	sn_moments *moments;
	SN_TRY(sn_attn_goals_batch(&r->half[0], 0, r->half[0].n, r->arena, &rows));
	SN_NEW(tap, r->arena, sn_tap, r->n_head);
	SN_NEW(moments, r->arena, sn_moments, r->n_head);
	SN_NEW(r->mean, r->arena, float *, r->n_head);
	for (int h = 0; h < r->n_head; h++) {
		sn_attn_place at = sn_attn_place_of(&r->half[0].stacks, h);
		moments[h].d = at.stack->d_head;
		SN_NEW(moments[h].sum, r->arena, double, at.stack->d_head);
		tap[h] = (sn_tap){ .at = sn_attn_z(at.stack, at.layer, at.head), .where = { .sel = SN_ALL },
			               .sink = &sn_sink_moments, .state = &moments[h] };
	}
	sn_plan plan = { .size = sizeof plan, .n_tap = r->n_head, .tap = tap };
	SN_TRY(sn_run(r->half[0].ctx, r->half[0].model, &rows.batch, &plan, NULL, NULL));
	for (int h = 0; h < r->n_head; h++) {
		SN_NEW(r->mean[h], r->arena, float, moments[h].d);
		for (int64_t j = 0; j < moments[h].d; j++) r->mean[h][j] = (float)(moments[h].sum[j] / (double)moments[h].n);
	}
	return SN_OK;
}

/* Values of the scoring half's rows without n of the heads in an order. */
static sn_status without(prune *r, const int32_t *order, int n, double *value)
{
	sn_mark mark = sn_arena_mark(r->arena);
	sn_edit *edit;
	sn_tensor *src;
	SN_NEW(edit, r->arena, sn_edit, n);
	SN_NEW(src, r->arena, sn_tensor, n);
	for (int i = 0; i < n; i++) {
		sn_attn_place at = sn_attn_place_of(&r->half[1].stacks, order[i]);
		edit[i] = (sn_edit){ .op = r->mean ? SN_OP_SET : SN_OP_ZERO, .where = { .sel = SN_ALL },
			                 .at = sn_attn_z(at.stack, at.layer, at.head) };
		if (!r->mean) continue;
		src[i] = sn_tensor_f32(r->mean[order[i]], -1, at.stack->d_head);
		edit[i].src = &src[i];
	}
	SN_TRY(sn_attn_goals_run(&r->half[1], edit, n, value));
	sn_arena_reset(r->arena, mark);
	return SN_OK;
}

/* ---- the curve ---- */

/* One point: the mean over orders of each row's value, and whether its choice is right. */
static sn_status add_point(prune *r, const char *name, int32_t *const *order, int n_order, int removed)
{
	const sn_attn_goals *goals = &r->half[1];
	double *value, *sum, *weight, *right;
	int32_t n = sn_attn_goal_units(goals);
	SN_NEW(value, r->arena, double, goals->n);
	SN_NEW(sum, r->arena, double, n);
	SN_NEW(weight, r->arena, double, n);
	SN_NEW(right, r->arena, double, n);
	for (int o = 0; o < n_order; o++) {
		SN_TRY(without(r, order[o], removed, value));
		for (int32_t i = 0; i < n; i++) {
			double v = sn_attn_goal_value(goals, i, value, &weight[i]);
			sum[i] += v * weight[i] / n_order;
			right[i] += (v > 0) / (double)n_order;
		}
	}
	sn_ratio mean = sn_ratio_of(sum, weight, n, 1, 0.95), share = { NAN, NAN, NAN };
	bool decides = sn_attn_goal_decides(goals);
	if (decides) share = sn_ratio_within(sn_ratio_of(right, NULL, n, 1, 0.95), 0, 1);
	return SN_ADD(r->out, CURVE, sn_num(removed / (double)r->n_head), sn_text(name), sn_int(removed),
				  sn_num(mean.value), sn_num(mean.low), sn_num(mean.high), sn_num(share.value), sn_num(share.low),
				  sn_num(share.high), decides ? sn_num(0.5) : sn_none());
}

enum { DRAW = 0x7072756e };

static sn_status random_orders(prune *r, int32_t ***out)
{
	int64_t *perm;
	SN_NEW(perm, r->arena, int64_t, r->n_head);
	SN_NEW(*out, r->arena, int32_t *, r->p->draws);
	for (int64_t d = 0; d < r->p->draws; d++) {
		sn_rng rng = sn_rng_make(sn_ctx_seed(r->half[0].ctx), DRAW + (uint64_t)d);
		SN_NEW((*out)[d], r->arena, int32_t, r->n_head);
		sn_rng_permute(&rng, perm, r->n_head);
		for (int h = 0; h < r->n_head; h++) (*out)[d][h] = (int32_t)perm[h];
	}
	return SN_OK;
}

static sn_status draw_curves(prune *r)
{
	int32_t **random, *backwards;
	sn_ctx *ctx = r->half[0].ctx;
	SN_TRY(random_orders(r, &random));
	SN_NEW(backwards, r->arena, int32_t, r->n_head);
	for (int h = 0; h < r->n_head; h++) backwards[h] = r->order[r->n_head - 1 - h];
	for (int64_t s = 0; s <= r->p->steps; s++) {
		int removed = (int)((2 * s * r->n_head + r->p->steps) / (2 * r->p->steps));
		sn_progress(ctx, "points", s, r->p->steps + 1);
		SN_TRY(sn_poll(ctx));
		SN_TRY(add_point(r, "least important first", &r->order, 1, removed));
		SN_TRY(add_point(r, "random", random, (int)r->p->draws, removed));
		SN_TRY(add_point(r, "most important first", &backwards, 1, removed));
	}
	sn_progress(ctx, "points", r->p->steps + 1, r->p->steps + 1);
	return SN_OK;
}

enum { HEADS_CELL = 2, VALUE_CELL = 3, ACCURACY_CELL = 6 };

/* The last point before a curve leaves the whole model's interval for good: of the right choices, where there are. */
static sn_status say(const prune *r)
{
	bool decides = sn_attn_goal_decides(&r->half[1]);
	int cell = decides ? ACCURACY_CELL : VALUE_CELL;
	const sn_value *whole = sn_result_row(r->out, CURVE, 0), *kept[2] = { whole, whole };
	bool left[2] = { false, false };
	for (int64_t i = 0; i < sn_result_rows(r->out, CURVE); i++) {
		const sn_value *row = sn_result_row(r->out, CURVE, i);
		int series = (int)(i % 3);
		if (series == 2) continue;
		left[series] |= !(row[cell].f >= whole[cell + 1].f && row[cell].f <= whole[cell + 2].f);
		if (!left[series]) kept[series] = row;
	}
	SN_TRY(sn_result_say(r->out,
						 "The whole model's %s is %.3f [%.3f, %.3f]. Least important first, %lld of %d heads can go "
						 "(%.0f %%) before it leaves that interval; in random order %lld.",
						 decides ? "share of right choices" : sn_attn_goal_name(&r->half[1]), whole[cell].f,
						 whole[cell + 1].f, whole[cell + 2].f, (long long)kept[0][HEADS_CELL].i, r->n_head,
						 100 * kept[0][0].f, (long long)kept[1][HEADS_CELL].i));
	return sn_result_limit(r->out, "Importances are those of the whole model, not computed anew as heads go.");
}

sn_status sn_attention_prune(const sn_attn_goals *goals, const sn_prune_param *param, sn_result *out)
{
	prune r = { .p = param, .out = out, .arena = sn_result_arena(out), .n_head = goals->stacks.n_head };
	SN_TRY(sn_attn_goals_halves(goals, r.half, r.arena));
	SN_TRY(measure_importance(&r));
	SN_TRY(sort_heads(&r));
	if (strcmp(param->ablate, "mean") == 0) SN_TRY(measure_means(&r));
	SN_TRY(draw_curves(&r));
	return say(&r);
}

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	const sn_prune_param *p = param;
	sn_attn_query query = { .column = p->column, .source = p->source, .target = p->target, .limit = p->limit };
	sn_attn_goals goals;
	SN_TRY(sn_attn_goals_read(&goals, ctx, in->model[0], in->data[0], &query, sn_result_arena(out)));
	return sn_attention_prune(&goals, p, out);
}

const sn_method sn_method_attention_prune = {
	.family = "attention",
	.name = "prune",
	.brief = "what is left when heads are removed in order of importance",
	.doc =
		"Orders all heads by importance on half of the rows (texts: the loss; minimal pairs, columns sentence_good and "
		"sentence_bad: the margin; items of `data make`: the choice) and removes them on the other half – least "
		"important first, most important first, and in random orders – by putting zeros or their mean in place of "
		"their output. Encoder-decoders (columns source and target) have three stacks, which are ranked together.",
	.cite = "Michel et al. 2019; Voita et al. 2019",
	.example = "sonde attention prune --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data items.jsonl --limit 100",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params,
	.n_param = SN_COUNT(params),
	.param_size = sizeof(sn_prune_param),
	.table = tables,
	.n_table = SN_COUNT(tables),
	.run = run,
};
