/* What a batch and a plan must fulfil before anything runs. */
#include "model/check.h"

#include "model/finish.h"

#include "model/site.h"

#include <string.h>

/* ---- batch ---- */

int64_t sn_longest_row(const sn_model *model)
{
	const sn_shape *s = &model->shape;
	return sn_has(s, SN_PART_POS_EMBED) ? SN_MIN(s->n_ctx, s->n_position - s->form.position_offset) : s->n_ctx;
}

static sn_status check_row(sn_ctx *ctx, const sn_model *model, const sn_batch *batch, int32_t b)
{
	int64_t n = batch->start[b + 1] - batch->start[b], most = sn_longest_row(model);
	if (n < 1 || n > most)
		return sn_fail(ctx, SN_EARG, "row %d has %lld tokens; the model takes 1 to %lld: cut the text", b, (long long)n,
		               (long long)most);
	for (int64_t i = batch->start[b]; i < batch->start[b + 1]; i++)
		if (batch->token[i] < 0 || batch->token[i] >= model->shape.d_vocab)
			return sn_fail(ctx, SN_EARG, "row %d: token id %d; the vocabulary has %lld", b, batch->token[i],
			               (long long)model->shape.d_vocab);
	for (int64_t i = batch->start[b]; batch->segment && i < batch->start[b + 1]; i++)
		if (batch->segment[i] < 0 || batch->segment[i] >= SN_MAX(model->shape.n_type, 1))
			return sn_fail(ctx, SN_EARG, "row %d: token type %d; the model has %lld", b, batch->segment[i],
			               (long long)SN_MAX(model->shape.n_type, 1));
	for (int32_t r = 0; r < batch->n_span; r++) {
		const int32_t *span = batch->span[(int64_t)b * batch->n_span + r];
		if (!(span[0] == -1 && span[1] == -1) && !(span[0] >= 0 && span[0] < span[1] && span[1] <= n))
			return sn_fail(ctx, SN_EARG, "row %d: span %d is [%d, %d) in a row of %lld tokens", b, r, span[0], span[1],
			               (long long)n);
	}
	return SN_OK;
}

static sn_status check_fork(sn_ctx *ctx, const sn_model *model, const sn_batch *batch, const sn_state *state, int32_t b)
{
	int32_t p = batch->parent[b], kept = -2 - p;
	if (p == -1) return SN_OK;
	if (!batch->fork) return sn_fail(ctx, SN_EARG, "the batch has parents but no fork positions");
	if (p >= b || (p < 0 && (!state || state->model != model || kept >= state->n)))
		return sn_fail(ctx, SN_EARG, "row %d: parent %d is neither an earlier row nor a row of the kept state", b, p);
	int32_t n = p >= 0 ? sn_row_length(batch, p) : state->row[kept].n, fork = batch->fork[b];
	const int32_t *tokens = p >= 0 ? batch->token + batch->start[p] : state->row[kept].token;
	if (fork < 0 || fork > n || fork > sn_row_length(batch, b))
		return sn_fail(ctx, SN_EARG, "row %d: it forks at token %d; it has %d and its parent %d", b, fork,
		               sn_row_length(batch, b), n);
	if (memcmp(tokens, batch->token + batch->start[b], (size_t)fork * sizeof *tokens) != 0)
		return sn_fail(ctx, SN_EARG, "row %d: its first %d tokens are not its parent's", b, fork);
	return SN_OK;
}

sn_status sn_batch_check(sn_ctx *ctx, const sn_model *model, const sn_batch *batch, const sn_state *state)
{
	if (batch->n < 0 || (batch->n && (!batch->token || !batch->start || batch->start[0] != 0)))
		return sn_fail(ctx, SN_EARG, "the batch lacks tokens or row offsets");
	if (batch->n_span < 0 || (batch->n_span && !batch->span)) return sn_fail(ctx, SN_EARG, "the batch lacks its spans");
	for (int32_t b = 0; b < batch->n; b++) {
		SN_TRY(check_row(ctx, model, batch, b));
		if (batch->parent) SN_TRY(check_fork(ctx, model, batch, state, b));
	}
	return SN_OK;
}

/* ---- edits ---- */

static bool is_attention(const sn_site *site) { return sn_site_is_attention((sn_site_kind)site->kind); }

static sn_status check_matrix(sn_ctx *ctx, const sn_tensor *t, int64_t width, int i, const char *name)
{
	if (t->dtype == SN_F32 && t->ndim == 2 && t->dim[0] == width && t->dim[1] > 0) return SN_OK;
	return sn_fail(ctx, SN_ESHAPE, "edit %d: %s must be float32 [%lld, k]", i, name, (long long)width);
}

static sn_status check_projection(sn_ctx *ctx, const sn_edit *e, int i, int64_t width)
{
	if (!e->U != !e->V) return sn_fail(ctx, SN_EARG, "edit %d: U and V come together", i);
	if (!e->U) return SN_OK;
	SN_TRY(check_matrix(ctx, e->U, width, i, "U"));
	SN_TRY(check_matrix(ctx, e->V, width, i, "V"));
	if (e->U->dim[1] != e->V->dim[1])
		return sn_fail(ctx, SN_ESHAPE, "edit %d: U and V differ in their number of columns", i);
	return SN_OK;
}

static sn_status check_source(sn_ctx *ctx, const sn_edit *e, int i, int64_t width, int64_t n_place)
{
	bool wanted = e->op == SN_OP_SET || e->op == SN_OP_ADD;
	if (!wanted)
		return e->src || e->src_row ? sn_fail(ctx, SN_EARG, "edit %d: only SET and ADD take a source", i) : SN_OK;
	if (!e->src == !e->src_row || (e->op == SN_OP_ADD && e->src_row))
		return sn_fail(ctx, SN_EARG, "edit %d: give src (SET, ADD) or src_row (SET), one of them", i);
	if (e->src_row) return SN_OK;
	const sn_tensor *t = e->src;
	bool fits = t->dtype == SN_F32 && ((t->ndim == 1 && t->dim[0] == width) ||
	                                   (t->ndim == 2 && t->dim[0] == n_place && t->dim[1] == width));
	if (fits) return SN_OK;
	return sn_fail(ctx, SN_ESHAPE, "edit %d: src must be float32 [%lld] or [%lld, %lld]", i, (long long)width,
	               (long long)n_place, (long long)width);
}

static sn_status check_attention_edit(sn_ctx *ctx, const sn_edit *e, int i)
{
	bool known = e->op == SN_OP_ZERO || e->op == SN_OP_BLOCK || (e->op == SN_OP_SET && e->src_row);
	if (!known || e->U || e->at.unit)
		return sn_fail(ctx, SN_EARG, "edit %d: attention scores and patterns take ZERO, BLOCK, and SET from a row", i);
	if (e->op == SN_OP_BLOCK && e->at.kind != SN_SITE_ATTN_SCORES && e->at.kind != SN_SITE_CROSS_SCORES)
		return sn_fail(ctx, SN_EARG, "edit %d: BLOCK belongs at attn.hook_attn_scores", i);
	return SN_OK;
}

sn_status sn_edit_check(sn_ctx *ctx, const sn_model *model, const sn_batch *batch, const sn_edit *e, int i,
                        int64_t n_place)
{
	SN_TRY(sn_site_check(ctx, model, &e->at));
	if (sn_site_of_encoder_rows((sn_site_kind)e->at.kind))
		return sn_fail(ctx, SN_EARG,
					   "edit %d: cross-attention's keys and values are read only; edit the encoder's last "
					   "block or cross_attn.hook_q, hook_attn_scores, hook_z instead",
					   i);
	if (e->op <= SN_OP_NONE || e->op > SN_OP_BLOCK)
		return sn_fail(ctx, SN_EARG, "edit %d: op %d is none", i, (int)e->op);
	if (e->alpha && e->n_alpha != 1 && e->n_alpha != batch->n)
		return sn_fail(ctx, SN_EARG, "edit %d: n_alpha is %d; expected 1 or the %d rows", i, e->n_alpha, batch->n);
	for (int32_t b = 0; e->src_row && b < batch->n; b++)
		if (e->src_row[b] < -1 || e->src_row[b] >= batch->n)
			return sn_fail(ctx, SN_EARG, "edit %d: src_row[%d] = %d; the batch has %d rows", i, b, e->src_row[b],
			               batch->n);
	if (is_attention(&e->at)) return check_attention_edit(ctx, e, i);
	if (e->op == SN_OP_BLOCK) return sn_fail(ctx, SN_EARG, "edit %d: BLOCK belongs at attn.hook_attn_scores", i);
	int64_t width = sn_site_width(model, &e->at);
	SN_TRY(check_projection(ctx, e, i, width));
	return check_source(ctx, e, i, width, n_place);
}

/* ---- goals ---- */

static sn_status check_ids(sn_ctx *ctx, const sn_model *model, const int32_t *ids, int64_t n, int i, const char *name)
{
	for (int64_t j = 0; j < n; j++)
		if (ids[j] < 0 || ids[j] >= model->shape.n_logit)
			return sn_fail(ctx, SN_EARG, "goal %d: %s token %d; the vocabulary has %lld", i, name, ids[j],
			               (long long)model->shape.n_logit);
	return SN_OK;
}

static sn_status check_wanted(sn_ctx *ctx, const sn_model *model, const sn_goal *g, int i, int64_t n_place)
{
	bool pair = g->metric == SN_LOGIT_DIFF;
	if (pair && (!g->want || !g->foil))
		return sn_fail(ctx, SN_EARG, "goal %d: a logit difference needs want and foil", i);
	if (!g->want) return SN_OK;
	if (g->n_want != 1 && g->n_want != n_place)
		return sn_fail(ctx, SN_EARG, "goal %d: n_want is %lld; expected 1 or its %lld places", i, (long long)g->n_want,
		               (long long)n_place);
	const int64_t *const start[] = { g->want_start, g->foil_start };
	for (int k = 0; k < 2; k++)
		for (int64_t j = 0; start[k] && j < g->n_want; j++)
			if (start[k][0] != 0 || start[k][j + 1] <= start[k][j])
				return sn_fail(ctx, SN_EARG, "goal %d: alternatives %lld are an empty range", i, (long long)j);
	SN_TRY(check_ids(ctx, model, g->want, g->want_start ? g->want_start[g->n_want] : g->n_want, i, "wanted"));
	return pair ? check_ids(ctx, model, g->foil, g->foil_start ? g->foil_start[g->n_want] : g->n_want, i, "foil")
		: SN_OK;
}

sn_status sn_goal_check(sn_ctx *ctx, const sn_model *model, const sn_batch *batch, const sn_goal *g, int i,
                        int64_t n_place)
{
	if (g->metric != SN_DOT && !sn_has_logits(&model->shape))
		return sn_fail(ctx, SN_EARG, "goal %d: %s has no language-model head: nothing can be predicted with it", i,
		               model->info.path[0] ? model->info.path : "the model");
	switch (g->metric) {
	case SN_LOSS: case SN_LOGPROB: case SN_LOGIT: case SN_LOGIT_DIFF:
		return check_wanted(ctx, model, g, i, n_place);
	case SN_KL:
		if (!g->ref_row) return sn_fail(ctx, SN_EARG, "goal %d: KL needs ref_row", i);
		for (int32_t b = 0; b < batch->n; b++)
			if (g->ref_row[b] < 0 || g->ref_row[b] >= batch->n)
				return sn_fail(ctx, SN_EARG, "goal %d: ref_row[%d] = %d; the batch has %d rows", i, b, g->ref_row[b],
				               batch->n);
		return SN_OK;
	case SN_DOT:
		SN_TRY(sn_site_check(ctx, model, &g->at));
		if (model->encoder && (g->at.stack == SN_STACK_ENCODER || sn_site_of_encoder_rows((sn_site_kind)g->at.kind)))
			return sn_fail(ctx, SN_EARG, "goal %d: DOT is defined on the decoder's own rows; tap the encoder's", i);
		if (is_attention(&g->at)) return sn_fail(ctx, SN_EARG, "goal %d: DOT is not defined on attention scores", i);
		if (!g->dir || g->dir->dtype != SN_F32 || g->dir->ndim != 1 || g->dir->dim[0] != sn_site_width(model, &g->at))
			return sn_fail(ctx, SN_ESHAPE, "goal %d: dir must be float32 [%lld]", i,
			               (long long)sn_site_width(model, &g->at));
		return SN_OK;
	case SN_METRIC_NONE: break;
	}
	return sn_fail(ctx, SN_EARG, "goal %d: metric %d is none", i, (int)g->metric);
}

/* ---- the rescale rule ---- */

static sn_status check_references(sn_ctx *ctx, const sn_batch *batch, const int32_t *reference)
{
	for (int32_t b = 0; b < batch->n; b++) {
		int32_t r = reference[b];
		if (r < 0 || r >= batch->n || reference[r] != r)
			return sn_fail(ctx, SN_EARG, "reference[%d] is %d; expected one of the %d rows, compared with itself", b, r,
			               batch->n);
		if (sn_row_length(batch, b) != sn_row_length(batch, r))
			return sn_fail(ctx, SN_EARG, "row %d has %d tokens, its reference row %d has %d; expected as many", b,
			               sn_row_length(batch, b), r, sn_row_length(batch, r));
	}
	return SN_OK;
}

static sn_status check_alternatives(sn_ctx *ctx, const sn_goal *g, int i)
{
	const int64_t *const start[] = { g->want_start, g->foil_start };
	for (int k = 0; k < 2; k++)
		for (int64_t j = 0; start[k] && j < g->n_want; j++)
			if (start[k][j + 1] - start[k][j] > SN_MOST_ALTERNATIVES)
				return sn_fail(ctx, SN_EARG, "goal %d: under the rescale rule at most %d alternatives", i,
				               SN_MOST_ALTERNATIVES);
	if (g->metric != SN_KL) return SN_OK;
	return sn_fail(ctx, SN_EARG, "goal %d: KL has no rescale rule", i);
}

sn_status sn_rule_check(sn_ctx *ctx, const sn_batch *batch, const sn_plan *plan)
{
	if (!(plan->rule & SN_RULE_RESCALE) != !plan->reference || (plan->reference && plan->rule != SN_RULE_RESCALE))
		return sn_fail(ctx, SN_EARG, "the rescale rule and references go together, without other rules");
	if (!plan->reference) return SN_OK;
	SN_TRY(check_references(ctx, batch, plan->reference));
	for (int g = 0; g < plan->n_goal; g++) SN_TRY(check_alternatives(ctx, &plan->goal[g], g));
	for (int e = 0; e < plan->n_edit; e++)
		if (is_attention(&plan->edit[e].at))
			return sn_fail(ctx, SN_EARG, "edit %d: the rescale rule does not go through edited attention", e);
	for (int t = 0; t < plan->n_tap; t++)
		if (plan->tap[t].what == SN_GRAD && is_attention(&plan->tap[t].at))
			return sn_fail(ctx, SN_EARG, "tap %d: under the rescale rule attention has no gradient to tap", t);
	return SN_OK;
}

/* ---- encoder-decoders ---- */

sn_status sn_encoder_check(sn_ctx *ctx, const sn_model *model, const sn_batch *batch)
{
	const sn_batch *enc = batch->enc;
	if (!enc)
		return sn_fail(ctx, SN_EARG, "%s is an encoder-decoder: its batch needs the encoder's rows (enc)",
		               model->info.path[0] ? model->info.path : "the model");
	SN_TRY(sn_batch_check(ctx, model->encoder, enc, NULL));
	for (int32_t b = 0; b < batch->n; b++)
		if ((batch->enc_row ? batch->enc_row[b] : b) < 0 || (batch->enc_row ? batch->enc_row[b] : b) >= enc->n)
			return sn_fail(ctx, SN_EARG, "row %d reads encoder row %d; there are %d", b,
			               batch->enc_row ? batch->enc_row[b] : b, enc->n);
	return SN_OK;
}
