/* Gradients of weights. y = x W + b has dW = sum over places of x dy' and db = sum of dy: two taps a matrix, of the
 * value that it reads and of its output's derivative, and one product for each piece that comes down. */
#include "model/plan.h"
#include "model/site.h"

#include <cblas.h>

/* Where a matrix stands: the site that it reads (NONE: token ids), the site that it writes. */
typedef struct ends { sn_site_kind in, out; } ends;

static ends ends_of(const sn_form *f, sn_matrix matrix)
{
	sn_site_kind up = f->gated ? SN_SITE_MLP_PRE_LINEAR : SN_SITE_MLP_PRE;
	switch (matrix) {
	case SN_W_E: return (ends){ SN_SITE_NONE, SN_SITE_EMBED };
	case SN_W_Q: return (ends){ SN_SITE_Q_IN, SN_SITE_Q };
	case SN_W_K: return (ends){ SN_SITE_Q_IN, SN_SITE_K };
	case SN_W_V: return (ends){ SN_SITE_Q_IN, SN_SITE_V };
	case SN_W_O: return (ends){ SN_SITE_Z, SN_SITE_O_OUT };
	case SN_W_GATE: return (ends){ SN_SITE_MLP_IN, SN_SITE_MLP_PRE };
	case SN_W_IN: return (ends){ SN_SITE_MLP_IN, up };
	case SN_W_OUT: return (ends){ SN_SITE_MLP_POST, SN_SITE_MLP_OUT_OUT };
	case SN_W_U: return (ends){ SN_SITE_UNEMBED_IN, SN_SITE_LOGITS };
	case SN_W_CROSS_Q: return (ends){ SN_SITE_CROSS_Q_IN, SN_SITE_CROSS_Q };
	case SN_W_CROSS_K: return (ends){ SN_SITE_CROSS_K_IN, SN_SITE_CROSS_K };
	case SN_W_CROSS_V: return (ends){ SN_SITE_CROSS_K_IN, SN_SITE_CROSS_V };
	case SN_W_CROSS_O: return (ends){ SN_SITE_CROSS_Z, SN_SITE_CROSS_O_OUT };
	default: return (ends){ SN_SITE_NONE, SN_SITE_NONE };
	}
}

/* ---- what comes down ---- */

typedef struct product {
	const sn_weight_grad *to;
	const float *x;     /* [places, d_in] what the matrix read */
	float scale;        /* of a table's rows */
	int64_t d_in, d_out;
} product;

static void add_bias(const product *p, const float *dy, int64_t m)
{
	for (int64_t i = 0; p->to->bias && i < m; i++)
		for (int64_t j = 0; j < p->d_out; j++) p->to->bias[j] += dy[i * p->d_out + j];
}

static sn_status take_product(sn_ctx *ctx, void *state, const sn_block *block)
{
	const product *p = state;
	const float *dy = block->x.data;
	(void)ctx;
	cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)p->d_in, (int)p->d_out, (int)block->m, 1,
	            p->x + block->first * p->d_in, (int)p->d_in, dy, (int)p->d_out, 1, p->to->w, (int)p->d_out);
	add_bias(p, dy, block->m);
	return SN_OK;
}

/* A token's row of the table. */
static sn_status take_token(sn_ctx *ctx, void *state, const sn_block *block)
{
	const product *p = state;
	(void)ctx;
	for (int64_t i = 0; i < block->m; i++) {
		int32_t token = block->batch->token[block->batch->start[block->row[i]] + block->pos[i]];
		const float *dy = (const float *)block->x.data + i * p->d_out;
		for (int64_t j = 0; j < p->d_out; j++) p->to->w[token * p->d_out + j] += p->scale * dy[j];
	}
	return SN_OK;
}

static const sn_sink product_sink = { .size = sizeof(product), .take = take_product },
					 token_sink = { .size = sizeof(product), .take = take_token };

/* ---- what is asked ---- */

static bool reads_distances(const sn_model *m, sn_matrix matrix)
{
	return m->shape.form.position == SN_POSITION_DISENTANGLED && (matrix == SN_W_Q || matrix == SN_W_K);
}

static bool edits_results(const sn_plan *plan, const sn_weight_grad *g, sn_site_kind result)
{
	for (int e = 0; e < plan->n_edit; e++)
		if (plan->edit[e].at.kind == result && plan->edit[e].at.layer == g->layer &&
		    (plan->edit[e].at.stack == SN_STACK_ENCODER) == (g->stack == SN_STACK_ENCODER)) return true;
	return false;
}

/* A matrix whose uses are not all between its two sites is refused. */
static sn_status check(sn_ctx *ctx, const sn_model *m, const sn_plan *plan, const sn_weight_grad *g)
{
	SN_TRY(sn_weight_check(ctx, m, g->matrix, g->layer, -1));
	if (!g->w) return sn_fail(ctx, SN_EARG, "gradient of a weight: no room is given for it");
	if (reads_distances(m, g->matrix))
		return sn_fail(ctx, SN_EARG, "%s: its query and key matrices read distances too: their gradient is not the sum "
		               "over tokens", m->info.architecture);
	if (g->matrix == SN_W_E && m->shape.form.project_first && sn_has(&m->shape, SN_PART_PROJECT))
		return sn_fail(ctx, SN_EARG, "%s: its embeddings are projected before the site hook_embed; expected a model in "
		               "which they are not", m->info.architecture);
	if ((g->matrix == SN_W_O && edits_results(plan, g, SN_SITE_RESULT)) ||
	    (g->matrix == SN_W_CROSS_O && edits_results(plan, g, SN_SITE_CROSS_RESULT)))
		return sn_fail(ctx, SN_EARG, "block %d: heads' results are edited, so that W_O has no single output: edit "
		               "attn.hook_z or attn.o.hook_out instead", g->layer);
	return SN_OK;
}

/* ---- the run ---- */

typedef struct asked {
	const sn_batch *batch;
	sn_arena *arena;
	sn_tap *tap;
	int n_tap;
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

static sn_status tap_matrix(asked *a, const sn_model *model, const sn_model *stack, const sn_weight_grad *g)
{
	ends e = ends_of(&stack->shape.form, g->matrix);
	bool block = g->matrix != SN_W_E && g->matrix != SN_W_U;
	sn_site in = { .kind = (uint16_t)e.in, .layer = (int16_t)(block ? g->layer : 0), .stack = (uint8_t)g->stack };
	sn_site out = in;
	product *p;
	out.kind = (uint16_t)e.out;
	SN_NEW(p, a->arena, product, 1);
	*p = (product){ .to = g, .scale = (float)stack->shape.form.embed_scale, .d_out = sn_site_width(model, &out) };
	if (e.in) SN_TRY(tap_input(a, model, in, &p->x, &p->d_in));
	a->tap[a->n_tap++] = (sn_tap){ .at = out, .where = { .sel = SN_ALL }, .what = SN_GRAD_BEFORE,
	                               .sink = e.in ? &product_sink : &token_sink, .state = p };
	return SN_OK;
}

static sn_status run(sn_ctx *ctx, sn_model *model, const sn_batch *batch, const sn_plan *plan, int n,
                     const sn_weight_grad *grad, double *score, sn_arena *arena)
{
	asked a = { .batch = batch, .arena = arena };
	sn_plan with = *plan;
	SN_NEW(a.tap, arena, sn_tap, 2 * n + plan->n_tap);
	for (; a.n_tap < plan->n_tap; a.n_tap++) a.tap[a.n_tap] = plan->tap[a.n_tap];
	for (int i = 0; i < n; i++) {
		bool encoder = grad[i].stack == SN_STACK_ENCODER;
		if (encoder && (!model->encoder || !batch->enc))
			return sn_fail(ctx, SN_EARG, "gradient of an encoder's weight: there is no encoder, or no rows for it");
		const sn_model *stack = encoder ? model->encoder : model;
		SN_TRY(check(ctx, stack, plan, &grad[i]));
		SN_TRY(tap_matrix(&a, model, stack, &grad[i]));
	}
	with.tap = a.tap;
	with.n_tap = a.n_tap;
	return sn_run(ctx, model, batch, &with, NULL, score);
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
