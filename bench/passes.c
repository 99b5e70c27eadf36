/* What passes cost by themselves, to hold methods against; timed without loading.
 * usage: bench_passes MODEL DATA N unembed    the products of the unembedding alone, for N texts at every layer
 *        bench_passes MODEL DATA N backward   a forward and a backward pass of N texts (a logit at the end)
 * Prints one JSON line: texts, tokens, seconds, and three times as many. */
#include "base/base.h"
#include "data/dataset.h"
#include "model/capture.h"
#include "model/model.h"
#include "tensor/gemm.h"

#include <omp.h>
#include <string.h>
#include <time.h>

enum { STEP = 1024, WORDS = 4096, THREADS = 2 };   /* rows and words of one product */

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static sn_status read_texts(sn_ctx *ctx, const sn_model *model, const char *path, int64_t n, sn_arena *arena,
                            sn_batch *out)
{
	sn_dataset *data;
	int64_t *start;
	int32_t *token;
	sn_tokens *row;
	SN_TRY(sn_dataset_open(&data, ctx, path));
	const sn_column *text = sn_dataset_column(data, "text");
	n = SN_MIN(n, data->n);
	SN_NEW(row, arena, sn_tokens, n);
	SN_NEW(start, arena, int64_t, n + 1);
	for (int64_t i = 0; text && i < n; i++) {
		SN_TRY(sn_tokenize(ctx, sn_model_tokenizer(model), text->s[i], strlen(text->s[i]), SN_ADD_SPECIAL, arena,
						   &row[i]));
		start[i + 1] = start[i] + row[i].n;
	}
	SN_NEW(token, arena, int32_t, start[n]);
	for (int64_t i = 0; i < n; i++) memcpy(token + start[i], row[i].id, (size_t)row[i].n * sizeof *token);
	*out = (sn_batch){ .n = (int32_t)n, .start = start, .token = token };
	sn_dataset_close(data);
	return text ? SN_OK : sn_fail(ctx, SN_ENOTFOUND, "%s: no column text", path);
}

/* ---- the unembedding ---- */

/* Rows through the vocabulary, a piece of it at a time, so that the answers stay in the cache. */
static sn_status unembed(sn_ctx *ctx, const sn_shape *s, int64_t rows, sn_arena *arena, double *seconds)
{
	sn_gemm *gemm;
	sn_packed *packed;
	float *w, *x, *y;
	SN_NEW(w, arena, float, WORDS * s->d_model);
	SN_NEW(x, arena, float, sn_gemm_room(STEP) * s->d_model);
	SN_NEW(y, arena, float, sn_gemm_room(STEP) * WORDS);
	for (int64_t i = 0; i < WORDS * s->d_model; i++) w[i] = (float)(i % 13) * 0.1f;
	for (int64_t i = 0; i < STEP * s->d_model; i++) x[i] = (float)(i % 7) * 0.1f;
	SN_TRY(sn_gemm_open(&gemm, ctx));
	SN_TRY(sn_gemm_pack(&packed, gemm, w, WORDS, s->d_model));
	double start = now();
	for (int64_t done = 0; done < rows; done += STEP)
		for (int64_t word = 0; word < s->d_vocab; word += WORDS)
			SN_TRY(sn_gemm_run(gemm, packed, x, SN_MIN((int64_t)STEP, rows - done), y));
	*seconds = now() - start;
	sn_packed_free(gemm, packed);
	sn_gemm_close(gemm);
	return SN_OK;
}

/* ---- forward and backward ---- */

typedef struct kept { double sum; } kept;

static sn_status take(sn_ctx *ctx, void *state, const sn_block *block)
{
	(void)ctx;
	for (int64_t i = 0; i < block->m; i++)
		((kept *)state)->sum += ((const float *)block->x.data)[i * block->x.stride[0]];
	return SN_OK;
}

static sn_status backward(sn_ctx *ctx, sn_model *model, const sn_batch *batch, sn_arena *arena, double *seconds)
{
	static const sn_sink sink = { .size = sizeof(kept), .take = take };
	double *score;
	int32_t want = 1;
	kept state = { 0 };
	SN_NEW(score, arena, double, batch->n);
	sn_tap tap = {
		.at = { .kind = SN_SITE_EMBED }, .where = { .sel = SN_ALL }, .what = SN_GRAD, .sink = &sink, .state = &state
	};
	sn_goal goal = { .metric = SN_LOGIT, .where = { .sel = SN_LAST }, .want = &want, .n_want = 1 };
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap, .n_goal = 1, .goal = &goal };
	sn_batch one = { .n = 1, .start = batch->start, .token = batch->token };
	SN_TRY(sn_run(ctx, model, &one, &plan, NULL, score));   /* weights are read and packed */
	double start = now();
	SN_TRY(sn_run(ctx, model, batch, &plan, NULL, score));
	*seconds = now() - start;
	return SN_OK;
}

static sn_status bench(sn_ctx *ctx, char **argv, int64_t n)
{
	sn_arena *arena;
	sn_model *model;
	sn_batch batch;
	double seconds;
	SN_TRY(sn_arena_open(&arena, ctx));
	SN_TRY(sn_model_open(&model, ctx, argv[1]));
	SN_TRY(read_texts(ctx, model, argv[2], n, arena, &batch));
	int64_t tokens = batch.start[batch.n];
	if (strcmp(argv[4], "unembed") == 0)
		SN_TRY(unembed(ctx, &model->shape, tokens * (model->shape.n_layer + 1), arena, &seconds));
	else SN_TRY(backward(ctx, model, &batch, arena, &seconds));
	printf("{\"what\": \"%s\", \"texts\": %d, \"tokens\": %lld, \"s\": %.4f, \"three_s\": %.4f}\n", argv[4],
		   (int)batch.n, (long long)tokens, seconds, 3 * seconds);
	sn_model_close(model);
	sn_arena_close(arena);
	return SN_OK;
}

int main(int argc, char **argv)
{
	sn_options options = { .size = sizeof options, .threads = THREADS };
	sn_ctx *ctx;
	int64_t n;
	bool known = argc == 5 && (strcmp(argv[4], "unembed") == 0 || strcmp(argv[4], "backward") == 0);
	if (!known || !sn_parse_i64(argv[3], &n) || n < 1 || sn_ctx_open(&ctx, &options) != SN_OK)
		return fprintf(stderr, "usage: bench_passes MODEL DATA N unembed|backward\n"), 2;
	omp_set_num_threads(THREADS);
	sn_status status = bench(ctx, argv, n);
	if (status != SN_OK) fprintf(stderr, "%s\n", sn_error(ctx));
	sn_ctx_close(ctx);
	return sn_status_exit_code(status);
}
