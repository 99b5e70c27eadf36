/* Randomly initialised models: the baseline that tells what an architecture encodes before it has learnt anything. */
#include "model/model.h"

#include <string.h>

typedef struct random_source { uint64_t seed; sn_shape shape; } random_source;

static sn_status source_read(sn_ctx *ctx, void *arg, sn_part part, int layer, int64_t row0, int64_t n_row, float *out)
{
	const random_source *s = arg;
	int64_t columns = sn_part_columns(&s->shape, part);
	(void)ctx;
	if (columns == 1) {
		const char *name = sn_part_name(part), *end = name + strlen(name);
		float value = end - name > 2 && strcmp(end - 2, "_B") == 0 ? 0 : 1;   /* biases, and norm gains */
		for (int64_t i = 0; i < n_row; i++) out[i] = value;
		return SN_OK;
	}
	for (int64_t i = 0; i < n_row; i++) {   /* a stream a row, so that rows can be read alone and in any order */
		sn_rng rng = sn_rng_make(s->seed, sn_rng_bits((uint64_t)part, (uint64_t)layer, (uint64_t)(row0 + i)));
		for (int64_t j = 0; j < columns; j++) out[i * columns + j] = (float)(0.02 * sn_rng_normal(&rng));
	}
	return SN_OK;
}

static void source_close(sn_ctx *ctx, void *arg) { sn_free(ctx, arg); }

static sn_status open_stack(sn_model **out, sn_ctx *ctx, const sn_model *like, uint64_t seed)
{
	random_source *s = sn_alloc(ctx, sizeof *s);
	*out = NULL;
	if (!s) return SN_ENOMEM;
	*s = (random_source){ seed, like->shape };
	sn_model_info info = like->info;
	info.path = info.quantisation = "";
	info.name = "randomly initialised";
	info.sha256[0] = '\0';
	sn_source source = { s, source_read, source_close };
	return sn_model_make(out, ctx, &like->shape, &source, NULL, &info);
}

sn_status sn_model_open_random(sn_model **out, sn_ctx *ctx, const sn_model *like, uint64_t seed)
{
	sn_model *encoder;
	SN_TRY(open_stack(out, ctx, like, seed));
	if (!like->encoder) return SN_OK;
	sn_status status = open_stack(&encoder, ctx, like->encoder, ~seed);
	if (status == SN_OK) status = sn_model_set_encoder(ctx, *out, encoder);
	if (status == SN_OK) return SN_OK;
	sn_model_close(*out);
	*out = NULL;
	return status;
}
