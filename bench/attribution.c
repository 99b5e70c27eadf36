/* One sentence's choice explained: integrated gradients at 50 equal steps from zero embeddings, as captum takes them
 * (steps), or to a gap of 1 % from the mean embedding (adaptive), or DeepLIFT from zero embeddings (deeplift); timed
 * without loading, after one run that packs the weights.
 * usage: bench_attribution MODEL RUNS OUT f32|bf16x3|bf16 steps|adaptive|deeplift
 * prints one JSON line: seconds a run, points of the path, completeness gap. OUT: the scores, a JSON list. */
#include "base/option.h"
#include "data/result.h"
#include "model/model.h"
#include "tensor/gemm.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static const char text[] = "The keys to the cabinet that the old man bought in the market yesterday";

enum { TOKENS, ITEMS };
enum { SCORE_CELL = 6, VALUE_CELL = 7, BASELINE_CELL = 8, GAP_CELL = 10, POINTS_CELL = 11 };

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum { OPTIONS = 5 };
typedef struct way { const char *name, *method, *option[OPTIONS][2]; } way;

static const way ways[] = {
	{ "steps", "integrated-gradients",
	  { { "rule", "midpoint" }, { "steps", "50" }, { "baseline", "zero" }, { "target", "are" }, { "foil", "is" } } },
	{ "adaptive", "integrated-gradients",
	  { { "rule", "adaptive" }, { "tolerance", "0.01" }, { "baseline", "mean" }, { "target", "are" },
	    { "foil", "is" } } },
	{ "deeplift", "deeplift", { { "baseline", "zero" }, { "target", "are" }, { "foil", "is" } } },
};

static sn_status set_options(sn_ctx *ctx, const sn_method *method, const way *w, sn_arena *arena, void **param)
{
	sn_param_table table = { method->param, method->n_param };
	*param = sn_arena_take(arena, method->param_size);
	if (!*param) return SN_ENOMEM;
	SN_TRY(sn_param_defaults(ctx, &table, arena, *param));
	for (int i = 0; i < OPTIONS && w->option[i][0]; i++)
		SN_TRY(sn_param_set(ctx, sn_param_find(&table, w->option[i][0]), w->option[i][1], arena, *param));
	return SN_OK;
}

static sn_status write_scores(sn_ctx *ctx, const char *path, const sn_result *result)
{
	sn_buf line = { .ctx = ctx };
	for (int64_t i = 0; i < sn_result_rows(result, TOKENS); i++)
		sn_buf_format(&line, "%s%.8g", i ? ", " : "[", sn_result_row(result, TOKENS, i)[SCORE_CELL].f);
	sn_buf_puts(&line, "]\n");
	sn_status status = line.failed ? SN_ENOMEM : sn_write_file(ctx, path, line.data, line.size);
	sn_buf_free(&line);
	return status;
}

/* Of all threads, in seconds. */
static double processor_time(struct rusage *usage)
{
	getrusage(RUSAGE_SELF, usage);
	return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
		   1e-6 * (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
}

static void report(const sn_ctx *ctx, const way *w, const sn_result *result, double seconds, double processor)
{
	struct rusage usage;
	const sn_value *item = sn_result_row(result, ITEMS, 0);
	(void)processor_time(&usage);
	printf("{\"what\": \"sonde %s, %s\", \"precision\": \"%s\", \"tokens\": %lld, "
	       "\"points\": %lld, \"s\": %.4f, \"cpu_s\": %.3f, \"rise\": %.5f, \"gap\": %.5f, \"rss_gb\": %.3f}\n",
	       w->method, w->name, sn_precision_name(sn_gemm_precision(ctx)), (long long)sn_result_rows(result, TOKENS),
	       (long long)item[POINTS_CELL].i, seconds, processor, item[VALUE_CELL].f - item[BASELINE_CELL].f,
	       item[GAP_CELL].f, (double)usage.ru_maxrss / 1e6);
}

static sn_status run(sn_ctx *ctx, sn_model *model, const way *w, int runs, const char *out, sn_arena *arena)
{
	static const char *const lines[] = { text };
	const sn_method *method = sn_method_find("attribute", w->method);
	const sn_column column = { .name = "text", .type = SN_TYPE_TEXT, .s = lines };
	const sn_dataset data = { .source = "bench", .n = 1, .n_col = 1, .col = &column };
	sn_input input = { .model = { model }, .data = { &data } };
	void *param;
	struct rusage usage;
	double start = 0, processor = 0;
	SN_TRY(set_options(ctx, method, w, arena, &param));
	for (int i = 0; i <= runs; i++) {
		sn_result *result;
		SN_TRY(sn_result_open(&result, ctx, method));
		sn_status status = sn_method_run(ctx, method, &input, param, result);
		if (status == SN_OK && i == runs) {
			report(ctx, w, result, (now() - start) / runs, (processor_time(&usage) - processor) / runs);
			status = write_scores(ctx, out, result);
		}
		sn_result_close(result);
		SN_TRY(status);
		if (i == 0) start = now(), processor = processor_time(&usage);
	}
	return SN_OK;
}

static sn_precision precision_of(const char *name)
{
	for (int p = SN_F32_PRECISION; p <= SN_BF16_PRECISION; p++)
		if (strcmp(sn_precision_name((sn_precision)p), name) == 0) return (sn_precision)p;
	return SN_F32_PRECISION;
}

static const way *way_of(const char *name)
{
	for (int i = 0; i < SN_COUNT(ways); i++)
		if (strcmp(ways[i].name, name) == 0) return &ways[i];
	return NULL;
}

int main(int argc, char **argv)
{
	sn_options options = { .size = sizeof options, .threads = 2 };
	sn_ctx *ctx;
	sn_model *model = NULL;
	sn_arena *arena = NULL;
	const way *w = argc == 6 ? way_of(argv[5]) : NULL;
	if (!w) {
		fprintf(stderr, "usage: bench_attribution MODEL RUNS OUT f32|bf16x3|bf16 steps|adaptive|deeplift\n");
		return 2;
	}
	options.precision = precision_of(argv[4]);
	if (sn_ctx_open(&ctx, &options) != SN_OK) return 3;
	sn_status status = sn_model_open(&model, ctx, argv[1]);
	if (status == SN_OK) status = sn_arena_open(&arena, ctx);
	if (status == SN_OK) status = run(ctx, model, w, SN_MAX(atoi(argv[2]), 1), argv[3], arena);
	if (status != SN_OK) fprintf(stderr, "%s\n", sn_error(ctx));
	sn_arena_close(arena);
	sn_model_close(model);
	sn_ctx_close(ctx);
	return sn_status_exit_code(status);
}
