/* Distributions at places: what the unembedding reads there is kept, and read in the vocabulary. */
#include "model/predict.h"

#include "model/model.h"
#include "model/vocabulary.h"

static sn_status check(sn_ctx *ctx, const sn_model *model)
{
	if (model->info.has_logits) return SN_OK;
	return sn_fail(ctx, SN_EARG, "%s has no language-model head: it predicts no tokens", model->info.path);
}

static sn_status keep_inputs(sn_ctx *ctx, sn_model *model, const sn_batch *batch, const sn_predict *ask, float *x)
{
	sn_keep keep = { .x = x, .m = ask->n, .d = model->shape.d_head_out };
	sn_tap tap = { .at = { .kind = SN_SITE_UNEMBED_IN },
				   .where = { .sel = SN_LIST, .list = ask->place, .n_list = ask->n },
				   .sink = &sn_sink_keep,
				   .state = &keep };
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
	return sn_run(ctx, model, batch, &plan, NULL, NULL);
}

sn_status sn_predict_run(sn_ctx *ctx, sn_model *model, const sn_batch *batch, sn_predict *ask, sn_arena *arena)
{
	float *x;
	double *lse;
	SN_TRY(check(ctx, model));
	sn_mark mark = sn_arena_mark(arena);
	SN_NEW(x, arena, float, sn_gemm_room(ask->n) * model->shape.d_head_out);
	SN_NEW(lse, arena, double, ask->n);
	SN_TRY(keep_inputs(ctx, model, batch, ask, x));
	sn_vocabulary read = { .n = ask->n, .x = x, .n_want = !!ask->want, .want = ask->want, .set = ask->set,
	                       .top = ask->top, .lse = lse, .logit = ask->logprob, .rank = ask->rank,
	                       .entropy = ask->entropy, .set_logprob = ask->set_logprob, .top_id = ask->top_id,
	                       .top_logit = ask->top_logprob };
	SN_TRY(sn_vocabulary_read(ctx, model, &read, arena));
	for (int64_t i = 0; i < ask->n; i++) {
		if (ask->logprob) ask->logprob[i] -= lse[i];
		for (int k = 0; k < ask->top; k++) ask->top_logprob[i * ask->top + k] -= lse[i];
	}
	sn_arena_reset(arena, mark);
	return SN_OK;
}
