#include "common/precision.h"

#include <string.h>

/* [tokens, vocabulary]. */
static float *logits_in(sn_precision precision, sn_arena *arena, const char *path, const char *text, int64_t *count)
{
	sn_options options = { .size = sizeof options, .threads = 2, .precision = precision };
	sn_ctx *ctx;
	sn_model *model;
	sn_tokens t;
	assert_int_equal(sn_ctx_open(&ctx, &options), SN_OK);
	assert_ok(ctx, sn_model_open(&model, ctx, path));
	assert_ok(ctx, sn_tokenize(ctx, sn_model_tokenizer(model), text, strlen(text), SN_ADD_SPECIAL, arena, &t));
	int64_t width = sn_model_get_info(model)->d_vocab;
	sn_keep keep = { SN_TAKE(arena, float, t.n * width), t.n, width };
	sn_tap tap = {
		.at = { .kind = SN_SITE_LOGITS }, .where = { .sel = SN_ALL }, .sink = &sn_sink_keep, .state = &keep
	};
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
	sn_batch batch = { .n = 1, .token = t.id, .start = (int64_t[]){ 0, t.n } };
	assert_ok(ctx, sn_run(ctx, model, &batch, &plan, NULL, NULL));
	sn_model_close(model);
	sn_ctx_close(ctx);
	*count = t.n * width;
	return keep.x;
}

void test_precisions(sn_arena *arena, const char *model, const char *text, double bf16)
{
	int64_t n;
	float *full = logits_in(SN_F32_PRECISION, arena, model, text, &n);
	double three = test_relative_error(logits_in(SN_BF16X3_PRECISION, arena, model, text, &n), full, n);
	double one = test_relative_error(logits_in(SN_BF16_PRECISION, arena, model, text, &n), full, n);
	print_message("logits against f32: bf16x3 %.1e, bf16 %.1e\n", three, one);
	assert_true(three < 1e-4 && one < bf16);
}
