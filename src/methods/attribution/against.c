/* Another text's vector, with which a text's is compared. */
#include "methods/attribution/attribution.h"

#include "model/gather.h"
#include "model/pooling.h"

#include <math.h>
#include <string.h>

/* All places, or the first. */
static sn_status set_places(sn_attribution_item *item, sn_pooling how, sn_arena *arena)
{
	item->n_place = how == SN_POOL_FIRST ? 1 : item->row.n;
	SN_NEW(item->place, arena, int32_t, item->n_place);
	for (int32_t i = 0; i < item->n_place; i++) item->place[i] = i;
	return SN_OK;
}

static sn_status scale_to_one(sn_ctx *ctx, const char *text, float *x, int64_t d)
{
	double square = 0;
	for (int64_t j = 0; j < d; j++) square += (double)x[j] * x[j];
	if (!(square > 0)) return sn_fail(ctx, SN_EARG, "\"%s\": its vector is zero: it points nowhere", text);
	for (int64_t j = 0; j < d; j++) x[j] = (float)(x[j] / sqrt(square));
	return SN_OK;
}

static sn_status read_vector(sn_ctx *ctx, sn_model *model, const char *text, const sn_site *end, sn_pooling how,
                             sn_arena *arena, float *out, int64_t d)
{
	sn_tokens t;
	float *x;
	SN_TRY(sn_tokenize(ctx, sn_model_tokenizer(model), text, strlen(text), SN_ADD_SPECIAL | SN_PARSE_SPECIAL, arena,
	                   &t));
	if (t.n == 0) return sn_fail(ctx, SN_EARG, "--against \"%s\" has no tokens", text);
	SN_NEW(x, arena, float, t.n * d);
	int64_t start[] = { 0, t.n }, n = how == SN_POOL_FIRST ? 1 : t.n;
	sn_keep keep = { x, t.n, d };
	sn_batch batch = { .n = 1, .token = t.id, .start = start };
	sn_tap tap = { .at = *end, .where = { .sel = SN_ALL }, .sink = &sn_sink_keep, .state = &keep };
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
	SN_TRY(sn_run(ctx, model, &batch, &plan, NULL, NULL));
	for (int64_t i = 0; i < n; i++)
		for (int64_t j = 0; j < d; j++) out[j] += x[i * d + j] / (float)n;
	return scale_to_one(ctx, text, out, d);
}

sn_status sn_attribution_compare(sn_attribution_item *item, sn_ctx *ctx, sn_model *model, const char *text,
                                 const sn_attribution_item *before, sn_arena *arena)
{
	sn_pooling how;
	item->metric = SN_DOT;
	item->target = text;
	item->end = sn_boundary_site(model, sn_model_get_info(model)->n_layer);
	SN_TRY(sn_model_pooling(ctx, model, arena, &how));
	SN_TRY(set_places(item, how, arena));
	if (before && before->target && strcmp(before->target, text) == 0) return item->against = before->against, SN_OK;
	int64_t d = sn_site_width(model, &item->end);
	float *x;
	sn_tensor *vector;
	SN_NEW(x, arena, float, d);
	SN_NEW(vector, arena, sn_tensor, 1);
	SN_TRY(read_vector(ctx, model, text, &item->end, how, arena, x, d));
	*vector = sn_tensor_f32(x, -1, d);
	item->against = vector;
	return SN_OK;
}
