/* Gradients of weights. y = x W + b has dW = sum over places of x dy' and db = sum of dy: two taps a weight, of the
 * value that it reads and of its output's derivative, and one sink that multiplies what comes down. */
#include "model/plan.h"
#include "model/site.h"
#include "model/weight_distance.h"
#include "model/weight_take.h"

/* Where a weight stands: the site that it reads (NONE: numbers of a table's rows), the site that it writes. */
typedef struct ends { sn_site_kind in, out; sn_what what; const sn_sink *sink; } ends;

#define MATRIX(in, out) { SN_SITE_##in, SN_SITE_##out, SN_GRAD_BEFORE, &sn_take_product }
#define NORM(site) { SN_SITE_##site, SN_SITE_##site, SN_GRAD_NORMED, &sn_take_gains }
#define HEADS(site) { SN_SITE_##site, SN_SITE_##site, SN_GRAD_NORMED, &sn_take_heads }
#define TABLE(site, sink) { SN_SITE_NONE, SN_SITE_##site, SN_GRAD_BEFORE, &sn_take_##sink }

static const ends all_ends[SN_W_COUNT] = {
	[SN_W_E] = TABLE(EMBED, token), [SN_W_POS] = TABLE(POS_EMBED, position),
	[SN_W_TYPE] = TABLE(TOKEN_TYPE_EMBED, type),
	[SN_W_Q] = MATRIX(Q_IN, Q), [SN_W_K] = MATRIX(Q_IN, K), [SN_W_V] = MATRIX(Q_IN, V), [SN_W_O] = MATRIX(Z, O_OUT),
	[SN_W_GATE] = MATRIX(MLP_IN, MLP_PRE), [SN_W_IN] = MATRIX(MLP_IN, MLP_PRE),
	[SN_W_OUT] = MATRIX(MLP_POST, MLP_OUT_OUT), [SN_W_U] = MATRIX(UNEMBED_IN, LOGITS),
	[SN_W_CROSS_Q] = MATRIX(CROSS_Q_IN, CROSS_Q), [SN_W_CROSS_K] = MATRIX(CROSS_K_IN, CROSS_K),
	[SN_W_CROSS_V] = MATRIX(CROSS_K_IN, CROSS_V), [SN_W_CROSS_O] = MATRIX(CROSS_Z, CROSS_O_OUT),
	[SN_W_MLM] = MATRIX(MLM_IN, MLM_OUT), [SN_W_PROJECT] = MATRIX(FULL_EMBED, RESID_PRE),
	[SN_W_EMBED_LN] = NORM(EMBED_LN_NORMALIZED), [SN_W_LN1] = NORM(LN1_NORMALIZED),
	[SN_W_LN1_POST] = NORM(LN1_POST_NORMALIZED), [SN_W_LN_CROSS] = NORM(LN_CROSS_NORMALIZED),
	[SN_W_LN2] = NORM(LN2_NORMALIZED), [SN_W_LN2_POST] = NORM(LN2_POST_NORMALIZED),
	[SN_W_LN_FINAL] = NORM(LN_FINAL_NORMALIZED), [SN_W_MLM_LN] = NORM(MLM_LN_NORMALIZED),
	[SN_W_Q_LN] = HEADS(Q), [SN_W_K_LN] = HEADS(K),
	[SN_W_REL_BIAS] = { SN_SITE_NONE, SN_SITE_ATTN_SCORES, SN_GRAD, &sn_take_distance },
};

static bool projects_first(const sn_model *stack)
{
	return stack->shape.form.project_first && sn_has(&stack->shape, SN_PART_PROJECT);
}

static ends ends_of(const sn_model *stack, sn_matrix matrix)
{
	static const ends projected = TABLE(EMBED, projected), projection = TABLE(EMBED, projection);
	ends e = all_ends[matrix];
	if (matrix == SN_W_IN && stack->shape.form.gated) e.out = SN_SITE_MLP_PRE_LINEAR;
	if (matrix == SN_W_E && projects_first(stack)) return projected;
	if (matrix == SN_W_PROJECT && projects_first(stack)) return projection;
	return e;
}

/* ---- what is asked ---- */

static bool edits_results(const sn_plan *plan, const sn_weight_grad *g, sn_site_kind result)
{
	for (int e = 0; e < plan->n_edit; e++)
		if (plan->edit[e].at.kind == result && plan->edit[e].at.layer == g->layer &&
		    (plan->edit[e].at.stack == SN_STACK_ENCODER) == (g->stack == SN_STACK_ENCODER)) return true;
	return false;
}

/* Scores that edits replace have a derivative that does not reach the distances; blocked ones have none. */
static bool edits_scores(const sn_plan *plan)
{
	for (int e = 0; e < plan->n_edit; e++)
		if (plan->edit[e].at.kind == SN_SITE_ATTN_SCORES && plan->edit[e].op != SN_OP_BLOCK) return true;
	return false;
}

/* Soft-capped scores, and queries and keys that were normed, have no site of what multiplies distances; no known model
 * has distances beside them. */
static sn_status check_distances(sn_ctx *ctx, const sn_model *m, const sn_plan *plan, const sn_weight_grad *g)
{
	bool through = sn_reads_distances(m, g->matrix);
	if ((through || g->matrix == SN_W_REL_BIAS) && edits_scores(plan))
		return sn_fail(ctx, SN_EARG, "attention scores are edited, which distances are a part of: edit other sites, or "
		               "leave out weights that read distances");
	if (through && (m->shape.form.attn_softcap > 0 || m->shape.form.qk_norm != SN_QK_NORM_NONE))
		return sn_fail(ctx, SN_EARG, "%s: scores are soft-capped, or queries and keys normed, between distances and "
		               "scores: weights that read distances have no gradient here", m->info.architecture);
	return SN_OK;
}

/* A matrix whose uses are not all between its two sites is refused. */
static sn_status check(sn_ctx *ctx, const sn_model *m, const sn_plan *plan, const sn_weight_grad *g)
{
	SN_TRY(sn_weight_check(ctx, m, g->matrix, g->layer, -1));
	if (!g->w) return sn_fail(ctx, SN_EARG, "gradient of a weight: no room is given for it");
	if ((g->matrix == SN_W_O && edits_results(plan, g, SN_SITE_RESULT)) ||
	    (g->matrix == SN_W_CROSS_O && edits_results(plan, g, SN_SITE_CROSS_RESULT)))
		return sn_fail(ctx, SN_EARG, "block %d: heads' results are edited, so that W_O has no single output: edit "
		               "attn.hook_z or attn.o.hook_out instead", g->layer);
	return check_distances(ctx, m, plan, g);
}

/* ---- the run ---- */

typedef struct asked {
	const sn_batch *batch;
	sn_arena *arena;
	sn_tap *tap;
	int n_tap;
	sn_distances *distances;   /* of blocks whose distances are asked for */
	int n_distances;
} asked;

/* The values at a site, kept once for all matrices that read it. */
static sn_status tap_input(asked *a, const sn_model *model, sn_site at, const float **x, int64_t *d)
{
	*d = sn_site_width(model, &at);
	for (int t = 0; t < a->n_tap; t++) {
		const sn_tap *tap = &a->tap[t];
		if (tap->sink != &sn_sink_keep || tap->at.kind != at.kind || tap->at.layer != at.layer ||
		    tap->at.stack != at.stack) continue;
		return *x = ((const sn_keep *)tap->state)->x, SN_OK;
	}
	bool encoder = at.stack == SN_STACK_ENCODER || sn_site_of_encoder_rows((sn_site_kind)at.kind);
	const sn_batch *rows = encoder ? a->batch->enc : a->batch;
	int64_t m = rows->start[rows->n];
	sn_keep *keep;
	SN_NEW(keep, a->arena, sn_keep, 1);
	*keep = (sn_keep){ .m = m, .d = *d };
	SN_NEW(keep->x, a->arena, float, m * *d);
	a->tap[a->n_tap++] = (sn_tap){ .at = at, .where = { .sel = SN_ALL }, .sink = &sn_sink_keep, .state = keep };
	*x = keep->x;
	return SN_OK;
}

static sn_status open_use(sn_weight_use *u, asked *a, const sn_model *stack, const sn_weight_grad *g, const ends *e)
{
	const sn_shape *s = &stack->shape;
	bool positions = g->matrix == SN_W_POS || g->matrix == SN_W_TYPE;
	*u = (sn_weight_use){ .to = g, .stack = stack, .scale = positions ? 1 : (float)s->form.embed_scale };
	if (e->sink != &sn_take_projected && e->sink != &sn_take_projection) return SN_OK;
	u->d_in = s->d_embed;
	u->d_out = e->sink == &sn_take_projected ? s->d_embed : s->d_model;
	if (e->sink == &sn_take_projection) return SN_OK;
	SN_NEW(u->projection, a->arena, float, (int64_t)s->d_model * s->d_embed);
	return sn_model_read(sn_arena_ctx(a->arena), stack, SN_PART_PROJECT, 0, 0, s->d_model, u->projection);
}

static void tap_output(asked *a, sn_site out, const ends *e, sn_weight_use *u)
{
	a->tap[a->n_tap++] =
		(sn_tap){ .at = out, .where = { .sel = SN_ALL }, .what = e->what, .sink = e->sink, .state = u };
}

static sn_status tap_weight(asked *a, const sn_model *model, const sn_model *stack, const sn_weight_grad *g)
{
	ends e = ends_of(stack, g->matrix);
	bool block = sn_part_per_layer(sn_weight_part(stack, g->matrix));
	sn_site in = { .kind = (uint16_t)e.in, .layer = (int16_t)(block ? g->layer : 0), .stack = (uint8_t)g->stack };
	sn_site out = in;
	sn_weight_use *u;
	out.kind = (uint16_t)e.out;
	SN_NEW(u, a->arena, sn_weight_use, 1);
	SN_TRY(open_use(u, a, stack, g, &e));
	if (!u->d_out) u->d_out = sn_site_width(model, &out);
	if (e.in) SN_TRY(tap_input(a, model, in, &u->x, &u->d_in));
	int last = g->matrix == SN_W_REL_BIAS ? stack->shape.n_layer - 1 : out.layer;
	for (; out.layer <= last; out.layer++) tap_output(a, out, &e, u);
	return SN_OK;
}

/* A block's scores, and the queries and keys that they multiply distances with; once for all weights that read them. */
static sn_status tap_distances(asked *a, const sn_model *model, const sn_model *stack, const sn_weight_grad *g,
                               int layer)
{
	sn_site at = { .layer = (int16_t)layer, .stack = (uint8_t)g->stack };
	int64_t width;
	for (int i = 0; i < a->n_distances; i++)
		if (a->distances[i].stack == stack && a->distances[i].layer == layer) return SN_OK;
	sn_distances *d = &a->distances[a->n_distances++];
	SN_TRY(sn_distances_open(d, stack, layer, a->arena));
	at.kind = SN_SITE_Q;
	SN_TRY(tap_input(a, model, at, &d->q, &width));
	at.kind = SN_SITE_K;
	SN_TRY(tap_input(a, model, at, &d->k, &width));
	at.kind = SN_SITE_ATTN_SCORES;
	a->tap[a->n_tap++] = (sn_tap){ .at = at, .where = { .sel = SN_ALL }, .what = SN_GRAD, .sink = &sn_take_distances,
		                           .state = d };
	return SN_OK;
}

static sn_status ask(asked *a, const sn_model *model, const sn_model *stack, const sn_weight_grad *g)
{
	bool block = sn_part_per_layer(sn_weight_part(stack, g->matrix));
	int first = block ? g->layer : 0, last = block ? g->layer : stack->shape.n_layer - 1;
	if (!sn_reads_distances_alone(g->matrix)) SN_TRY(tap_weight(a, model, stack, g));
	for (int l = first; l <= last && sn_reads_distances(stack, g->matrix); l++)
		SN_TRY(tap_distances(a, model, stack, g, l));
	return SN_OK;
}

static int64_t blocks_of(const sn_model *model)
{
	return model->shape.n_layer + (model->encoder ? model->encoder->shape.n_layer : 0);
}

static int64_t most_taps(const sn_model *model, int n, const sn_weight_grad *grad)
{
	int64_t blocks = blocks_of(model), most = 2 * n + 3 * blocks;
	for (int i = 0; i < n; i++) most += grad[i].matrix == SN_W_REL_BIAS ? blocks : 0;
	return most;
}

static sn_status ask_all(sn_ctx *ctx, asked *a, const sn_model *model, const sn_plan *plan, int n,
                         const sn_weight_grad *grad)
{
	SN_NEW(a->tap, a->arena, sn_tap, most_taps(model, n, grad) + plan->n_tap);
	SN_NEW(a->distances, a->arena, sn_distances, blocks_of(model));
	for (; a->n_tap < plan->n_tap; a->n_tap++) a->tap[a->n_tap] = plan->tap[a->n_tap];
	for (int i = 0; i < n; i++) {
		bool encoder = grad[i].stack == SN_STACK_ENCODER;
		if (encoder && (!model->encoder || !a->batch->enc))
			return sn_fail(ctx, SN_EARG, "gradient of an encoder's weight: there is no encoder, or no rows for it");
		const sn_model *stack = encoder ? model->encoder : model;
		SN_TRY(check(ctx, stack, plan, &grad[i]));
		SN_TRY(ask(a, model, stack, &grad[i]));
	}
	return SN_OK;
}

static sn_status run(sn_ctx *ctx, sn_model *model, const sn_batch *batch, const sn_plan *plan, int n,
                     const sn_weight_grad *grad, double *score, sn_arena *arena)
{
	asked a = { .batch = batch, .arena = arena };
	sn_plan with = *plan;
	SN_TRY(ask_all(ctx, &a, model, plan, n, grad));
	with.tap = a.tap;
	with.n_tap = a.n_tap;
	SN_TRY(sn_run(ctx, model, batch, &with, NULL, score));
	for (int i = 0; i < n; i++) {
		const sn_model *stack = grad[i].stack == SN_STACK_ENCODER ? model->encoder : model;
		if (sn_reads_distances(stack, grad[i].matrix))
			SN_TRY(sn_distances_add(ctx, a.distances, a.n_distances, stack, &grad[i]));
	}
	return SN_OK;
}

sn_status sn_weight_gradients(sn_ctx *ctx, sn_model *model, const sn_batch *batch, const sn_plan *plan, int n,
                              const sn_weight_grad *grad, double *score)
{
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = run(ctx, model, batch, plan, n, grad, score, arena);
	sn_arena_close(arena);
	return status;
}
