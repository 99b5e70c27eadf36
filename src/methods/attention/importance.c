/* What each head's output does to the goal: z . dL/dz. */
#include "methods/attention/goals.h"
#include "model/predict.h"

#include <math.h>

enum { TOKENS_AT_ONCE = 1024 };

/* The sink of one layer's gradients, beside the values that came before. */
typedef struct product {
	const float *z;          /* [tokens, n_head * d_head] */
	int n_head, d_head;
	int64_t stride;          /* between rows, in the arrays below */
	double *dot, *each;      /* of the first row's first head in this layer */
} product;

static sn_status take(sn_ctx *ctx, void *state, const sn_block *block)
{
	product *p = state;
	int64_t d = (int64_t)p->n_head * p->d_head;
	(void)ctx;
	for (int64_t i = 0; i < block->m; i++) {
		const float *g = (const float *)block->x.data + i * d, *z = p->z + (block->first + i) * d;
		for (int h = 0; h < p->n_head; h++) {
			double sum = 0;
			for (int j = h * p->d_head; j < (h + 1) * p->d_head; j++) sum += (double)g[j] * z[j];
			int64_t at = block->row[i] * p->stride + h;
			if (p->dot) p->dot[at] += sum;
			if (p->each) p->each[at] += fabs(sum);
		}
	}
	return SN_OK;
}

static const sn_sink product_sink = { .size = sizeof(product), .take = take };

typedef struct taps { sn_arena *arena; sn_tap *tap; int n; int64_t stride; double *dot, *each; } taps;

/* Taps of z and of its gradient in every layer of a stack. */
static sn_status tap_stack(taps *t, const sn_attn_stack *s, int64_t tokens)
{
	int64_t d = (int64_t)s->n_head * s->d_head;
	sn_keep *keep;
	product *to;
	SN_NEW(keep, t->arena, sn_keep, s->n_layer);
	SN_NEW(to, t->arena, product, s->n_layer);
	for (int l = 0; l < s->n_layer; l++) {
		int64_t at = s->first + l * s->n_head;
		sn_site z = sn_attn_z(s, l, -1);
		float *x;
		SN_NEW(x, t->arena, float, tokens * d);
		keep[l] = (sn_keep){ x, tokens, d };
		to[l] = (product){ x, s->n_head, s->d_head, t->stride, t->dot ? t->dot + at : NULL,
			               t->each ? t->each + at : NULL };
		t->tap[t->n++] = (sn_tap){ .at = z, .where = { .sel = SN_ALL }, .sink = &sn_sink_keep, .state = &keep[l] };
		t->tap[t->n++] = (sn_tap){ .at = z, .where = { .sel = SN_ALL }, .what = SN_GRAD, .sink = &product_sink,
			                       .state = &to[l] };
	}
	return SN_OK;
}

/* The same of all stacks, for rows from `first` on. */
static sn_status make_taps(const sn_attn_goals *goals, const sn_batch *batch, int32_t first, double *dot, double *each,
                           sn_arena *arena, taps *out)
{
	const sn_attn_stacks *stacks = &goals->stacks;
	int64_t from = (int64_t)first * stacks->n_head;
	*out = (taps){ .arena = arena, .stride = stacks->n_head, .dot = dot ? dot + from : NULL,
		           .each = each ? each + from : NULL };
	SN_NEW(out->tap, arena, sn_tap, 2 * stacks->n_head);
	for (int s = 0; s < stacks->n; s++) {
		const sn_batch *rows = stacks->stack[s].kind == SN_ATTN_ENCODER ? batch->enc : batch;
		SN_TRY(tap_stack(out, &stacks->stack[s], rows->start[rows->n]));
	}
	return SN_OK;
}

/* Relevance is of what the model predicts: the logits of its most probable tokens. */
static sn_status predicted(const sn_attn_goals *goals, const sn_batch *batch, sn_goal *goal, sn_arena *arena)
{
	sn_predict ask = { .n = goal->where.n_list, .place = goal->where.list, .top = 1 };
	SN_NEW(ask.top_id, arena, int32_t, ask.n);
	SN_NEW(ask.top_logprob, arena, double, ask.n);
	SN_TRY(sn_predict_run(goals->ctx, goals->model, batch, &ask, arena));
	goal->metric = SN_LOGIT;
	goal->want = ask.top_id;
	return SN_OK;
}

/* A margin is the bad sentence's loss less the good one's; what is predicted is looked at in the good one. */
static float weight_of(const sn_attn_goals *goals, int32_t row, sn_rule rule)
{
	bool bad = row % 2 == 1;
	if (goals->items) return 1 / (float)goals->items->n_choice;
	if (goals->pairs && rule == SN_RULE_PLAIN) return bad ? 1 : -1;
	return goals->pairs && bad ? 0 : 1 / (float)goals->row[row].n_place;
}

/* Both sentences of a pair are one unit. */
static void add_pairs(const sn_attn_goals *goals, double *x)
{
	int64_t stride = goals->stacks.n_head;
	for (int64_t i = 0; x && i < goals->n / 2 * stride; i++)
		x[i] = x[i / stride * 2 * stride + i % stride] + x[(i / stride * 2 + 1) * stride + i % stride];
}

static sn_status run_some(const sn_attn_goals *goals, int32_t first, int32_t n, sn_rule rule, double *dot, double *each,
                          sn_arena *arena)
{
	sn_attn_batch rows;
	taps t;
	double *score;
	float *weight;
	SN_TRY(sn_attn_goals_batch(goals, first, n, arena, &rows));
	SN_NEW(weight, arena, float, n);
	SN_NEW(score, arena, double, (int64_t)rows.n_goal * n);
	if (rule != SN_RULE_PLAIN && !goals->items) SN_TRY(predicted(goals, &rows.batch, rows.goal, arena));
	for (int32_t i = 0; i < n; i++) weight[i] = weight_of(goals, first + i, rule);
	for (int g = 0; g < rows.n_goal; g++) rows.goal[g].weight = weight;
	SN_TRY(make_taps(goals, &rows.batch, first, dot, each, arena, &t));
	sn_plan plan = { .size = sizeof plan, .n_tap = t.n, .tap = t.tap,
		             .n_goal = rows.n_goal, .goal = rows.goal, .rule = rule };
	return sn_run(goals->ctx, goals->model, &rows.batch, &plan, NULL, score);
}

sn_status sn_attn_head_products(const sn_attn_goals *goals, sn_rule rule, double *dot, double *each)
{
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, goals->ctx));
	sn_status status = SN_OK;
	sn_mark mark = sn_arena_mark(arena);
	for (int32_t first = 0, end; first < goals->n && status == SN_OK; first = end) {
		int64_t tokens = 0;
		for (end = first; end < goals->n && (end == first || tokens < TOKENS_AT_ONCE); end++)
			tokens += goals->row[end].n + goals->row[end].n_source;
		sn_progress(goals->ctx, rule == SN_RULE_PLAIN ? "gradients" : "relevance", first, goals->n);
		status = run_some(goals, first, end - first, rule, dot, each, arena);
		sn_arena_reset(arena, mark);
	}
	if (goals->pairs) add_pairs(goals, dot);
	if (goals->pairs) add_pairs(goals, each);
	if (status == SN_OK) sn_progress(goals->ctx, "gradients", goals->n, goals->n);
	sn_arena_close(arena);
	return status;
}
