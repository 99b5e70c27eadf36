/* Forward pass with residual streams streamed to a file: the work of bench/peers/forward.py, timed without loading.
 * usage: bench_forward MODEL DATA N_TEXTS OUT [f32|bf16x3|bf16 [THREADS [BLOCKS]]]   (f32, 2 threads, all blocks)
 * Prints one JSON line: tokens, seconds, tokens a second, GFLOP/s of the multiplications that the blocks need (no
 * unembedding; attention counts what is before each position), peak memory. */
#include "bench.h"

#include "base/base.h"
#include "model/capture.h"
#include "model/model.h"
#include "tensor/gemm.h"

#include <string.h>
#include <sys/resource.h>
#include <time.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Processor seconds of all threads: what a busy machine does not stretch. */
static double processor(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
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

/* Floating-point operations of n_block blocks: two a multiplication. */
static double flops(const sn_shape *s, const work *w, int n_block)
{
	double q = s->n_head * s->d_head, kv = s->n_kv_head * s->d_head, d = (double)s->d_model, pairs = 0;
	double matrices = d * (q + 2 * kv) + q * d + (s->form.gated ? 3 : 2) * d * (double)s->d_mlp;
	for (int32_t b = 0; b < w->batch.n; b++) {
		double n = (double)(w->batch.start[b + 1] - w->batch.start[b]);
		pairs += n * (n + 1) / 2;
	}
	return 2 * n_block * (matrices * (double)w->batch.start[w->batch.n] + 2 * q * pairs);
}

/* The embedding and what blocks 0 .. n_block - 1 leave: the engine runs no further. */
static sn_status timed(sn_ctx *ctx, sn_model *model, const work *w, const char *path, int n_block, sn_arena *arena,
                       double *seconds)
{
	sn_site *site;
	int n_site;
	sn_capture *capture;
	SN_TRY(sn_site_expand(ctx, model, "blocks.0.hook_resid_pre,blocks.*.hook_resid_post", arena, &site, &n_site));
	n_site = 1 + n_block;
	for (int l = 0; l < n_block; l++) SN_TRY(sn_model_need_layer(ctx, model, l));
	double start = now(), busy = processor();
	sn_capture_size size = { 0 };
	for (int32_t b = 0; b < w->batch.n; b++) sn_capture_count(&size, w->batch.start[b + 1] - w->batch.start[b], 0);
	SN_TRY(sn_capture_open(&capture, ctx, model, path, site, n_site, &size));
	sn_status status = sn_capture_run(capture, &w->batch, (const int64_t(*)[2])w->offsets);
	if (status == SN_OK) status = sn_capture_commit(capture);
	sn_capture_close(capture);
	seconds[0] = now() - start;
	seconds[1] = processor() - busy;
	return status;
}

/* seconds: passed, and of processors. */
static void report(const sn_ctx *ctx, const sn_model *model, const work *w, int n_block, const double *seconds)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	int64_t tokens = w->batch.start[w->batch.n];
	printf("{\"what\": \"sonde forward\", \"precision\": \"%s\", \"threads\": %d, \"blocks\": %d, \"texts\": %d, "
	       "\"tokens\": %lld, \"s\": %.3f, \"cpu_s\": %.3f, \"tok_s\": %.1f, \"gflop_s\": %.1f, \"rss_gb\": %.3f}\n",
	       sn_precision_name(sn_gemm_precision(ctx)), sn_ctx_threads(ctx), n_block, (int)w->batch.n, (long long)tokens,
	       seconds[0], seconds[1], (double)tokens / seconds[0],
	       1e-9 * flops(&model->shape, w, n_block) / seconds[0],
	       (double)usage.ru_maxrss / 1e6);
}

typedef struct order {
	const char *model, *data, *out;
	int64_t n, n_block;
} order;

static sn_status bench(sn_ctx *ctx, const order *o)
{
	sn_arena *arena;
	sn_model *model;
	sn_dataset *data;
	work w;
	double seconds[2];
	SN_TRY(sn_arena_open(&arena, ctx));
	SN_TRY(sn_model_open(&model, ctx, o->model));
	SN_TRY(sn_dataset_open(&data, ctx, o->data));
	SN_TRY(make_work(ctx, model, data, (int32_t)o->n, arena, &w));
	int n_block = o->n_block > 0 ? (int)SN_MIN(o->n_block, (int64_t)model->shape.n_layer) : model->shape.n_layer;
	SN_TRY(timed(ctx, model, &w, o->out, n_block, arena, seconds));
	report(ctx, model, &w, n_block, seconds);
	sn_dataset_close(data);
	sn_model_close(model);
	sn_arena_close(arena);
	return SN_OK;
}

int main(int argc, char **argv)
{
	sn_options options = { .size = sizeof options };
	int64_t threads = 2;
	sn_ctx *ctx;
	order o = { 0 };
	bool ok = argc >= 5 && argc <= 8 && sn_parse_i64(argv[3], &o.n) && o.n > 0;
	if (ok && argc > 5) ok = read_precision(argv[5], &options.precision);
	if (ok && argc > 6) ok = sn_parse_i64(argv[6], &threads) && threads > 0 && threads < 4096;
	if (ok && argc > 7) ok = sn_parse_i64(argv[7], &o.n_block) && o.n_block > 0;
	options.threads = (int)threads;
	if (!ok || sn_ctx_open(&ctx, &options) != SN_OK) {
		fprintf(stderr, "usage: bench_forward MODEL DATA N_TEXTS OUT [f32|bf16x3|bf16 [THREADS [BLOCKS]]]\n");
		return 2;
	}
	o.model = argv[1], o.data = argv[2], o.out = argv[4];
	sn_status status = bench(ctx, &o);
	if (status != SN_OK) fprintf(stderr, "%s\n", sn_error(ctx));
	sn_ctx_close(ctx);
	return sn_status_exit_code(status);
}
