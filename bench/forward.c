/* Forward pass with all residual streams streamed to a file: the work of bench/peer.py forward, timed without loading.
 * usage: bench_forward MODEL CONLLU N_SENTENCES OUT   prints one JSON line: tokens, seconds, tokens a second, peak
 * memory. */
#include "base/base.h"
#include "model/capture.h"
#include "model/model.h"

#include <string.h>
#include <sys/resource.h>
#include <time.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* All sentences of the bench as one batch; sn_run cuts it into steps itself. */
typedef struct work { sn_batch batch; int64_t (*offsets)[2]; } work;

static sn_status make_work(sn_ctx *ctx, const sn_model *model, const sn_dataset *data, int32_t n, sn_arena *arena,
                           work *out)
{
	const sn_column *text = sn_dataset_column(data, "text");
	if (!text) return sn_fail(ctx, SN_ENOTFOUND, "%s: no sentences", data->source);
	n = (int32_t)SN_MIN((int64_t)n, data->n);
	sn_tokens *row;
	int64_t *start;
	int32_t *token;
	SN_NEW(row, arena, sn_tokens, n);
	SN_NEW(start, arena, int64_t, n + 1);
	for (int32_t i = 0; i < n; i++) {
		SN_TRY(sn_tokenize(ctx, sn_model_tokenizer(model), text->s[i], strlen(text->s[i]), SN_ADD_SPECIAL, arena,
		                   &row[i]));
		start[i + 1] = start[i] + row[i].n;
	}
	SN_NEW(token, arena, int32_t, start[n]);
	out->offsets = sn_arena_take(arena, sn_size3((size_t)start[n], sizeof *out->offsets, 1));
	if (!out->offsets) return SN_ENOMEM;
	for (int32_t i = 0; i < n; i++) memcpy(token + start[i], row[i].id, (size_t)row[i].n * sizeof *token);
	out->batch = (sn_batch){ .n = n, .token = token, .start = start };
	return SN_OK;
}

static sn_status need_layers(sn_ctx *ctx, sn_model *model)
{
	for (int l = 0; l < model->shape.n_layer; l++) SN_TRY(sn_model_need_layer(ctx, model, l));
	return SN_OK;
}

static sn_status timed(sn_ctx *ctx, sn_model *model, const work *w, const char *path, sn_arena *arena, double *seconds)
{
	sn_site *site;
	int n_site;
	sn_capture *capture;
	SN_TRY(sn_site_expand(ctx, model, "blocks.0.hook_resid_pre,blocks.*.hook_resid_post", arena, &site, &n_site));
	SN_TRY(need_layers(ctx, model));
	double start = now();
	sn_capture_size size = { 0 };
	for (int32_t b = 0; b < w->batch.n; b++) sn_capture_count(&size, w->batch.start[b + 1] - w->batch.start[b], 0);
	SN_TRY(sn_capture_open(&capture, ctx, model, path, site, n_site, &size));
	sn_status status = sn_capture_run(capture, &w->batch, (const int64_t(*)[2])w->offsets);
	if (status == SN_OK) status = sn_capture_commit(capture);
	sn_capture_close(capture);
	*seconds = now() - start;
	return status;
}

static sn_status bench(sn_ctx *ctx, char **argv)
{
	sn_arena *arena;
	sn_model *model;
	sn_dataset *data;
	work w;
	int64_t n;
	double seconds;
	if (!sn_parse_i64(argv[3], &n) || n < 1)
		return sn_fail(ctx, SN_EARG, "%s: expected a number of sentences", argv[3]);
	SN_TRY(sn_arena_open(&arena, ctx));
	SN_TRY(sn_model_open(&model, ctx, argv[1]));
	SN_TRY(sn_dataset_open(&data, ctx, argv[2]));
	SN_TRY(make_work(ctx, model, data, (int32_t)n, arena, &w));
	SN_TRY(timed(ctx, model, &w, argv[4], arena, &seconds));
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	int64_t tokens = w.batch.start[w.batch.n];
	printf("{\"what\": \"sonde forward\", \"tokens\": %lld, \"s\": %.3f, \"tok_s\": %.1f, \"rss_gb\": %.3f}\n",
	       (long long)tokens, seconds, (double)tokens / seconds, (double)usage.ru_maxrss / 1e6);
	sn_dataset_close(data);
	sn_model_close(model);
	sn_arena_close(arena);
	return SN_OK;
}

int main(int argc, char **argv)
{
	sn_options options = { .size = sizeof options, .threads = 2 };
	sn_ctx *ctx;
	if (argc != 5 || sn_ctx_open(&ctx, &options) != SN_OK) {
		fprintf(stderr, "usage: bench_forward MODEL CONLLU N_SENTENCES OUT\n");
		return 2;
	}
	sn_status status = bench(ctx, argv);
	if (status != SN_OK) fprintf(stderr, "%s\n", sn_error(ctx));
	sn_ctx_close(ctx);
	return sn_status_exit_code(status);
}
