/* Minimal pairs by the log-probabilities of whole sentences: `sonde behaviour pairs`, timed without loading.
 * usage: bench_blimp MODEL PAIRS.jsonl N_PAIRS OUT [f32|bf16x3|bf16]
 * prints one JSON line: pairs, accuracy, seconds, peak memory. OUT: a JSON line a pair, [good, bad] in nats. */
#include "bench.h"

#include "base/base.h"
#include "model/model.h"

#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { PAIRS = 1, GOOD_CELL = 6, BAD_CELL = 7, CORRECT_CELL = 9 };   /* of sonde behaviour pairs */

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static sn_status write_values(sn_ctx *ctx, const char *path, const sn_result *result)
{
	sn_file *file;
	sn_buf text = { .ctx = ctx };
	SN_TRY(sn_file_create(&file, ctx, path));
	for (int64_t r = 0; r < sn_result_rows(result, PAIRS); r++) {
		const sn_value *row = sn_result_row(result, PAIRS, r);
		sn_buf_format(&text, "[%.9g, %.9g]\n", row[GOOD_CELL].f, row[BAD_CELL].f);
	}
	sn_status status = text.failed ? SN_ENOMEM : sn_file_write(file, text.data, text.size);
	if (status == SN_OK) status = sn_file_commit(file);
	sn_file_close(file);
	sn_buf_free(&text);
	return status;
}

static void report(const sn_ctx *ctx, const sn_result *result, double seconds)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	int64_t n = sn_result_rows(result, PAIRS), correct = 0;
	for (int64_t r = 0; r < n; r++) correct += sn_result_row(result, PAIRS, r)[CORRECT_CELL].i;
	printf("{\"what\": \"sonde BLiMP pairs\", \"precision\": \"%s\", \"pairs\": %lld, \"accuracy\": %.4f, "
	       "\"seconds\": %.3f, \"rss_gb\": %.3f}\n", sn_precision_name(sn_gemm_precision(ctx)), (long long)n,
	       n ? (double)correct / (double)n : 0.0, seconds, (double)usage.ru_maxrss / 1e6);
}

static sn_status need_weights(sn_ctx *ctx, sn_model *model)
{
	for (int l = 0; l < model->shape.n_layer; l++) SN_TRY(sn_model_need_layer(ctx, model, l));
	return sn_model_need_unembed(ctx, model);
}

static sn_status bench(sn_ctx *ctx, char **argv)
{
	sn_model *model;
	sn_dataset *data;
	sn_result *result;
	const sn_method *method = sn_method_find("behaviour", "pairs");
	int64_t n;
	if (!sn_parse_i64(argv[3], &n) || n < 1)
		return sn_fail(ctx, SN_EARG, "%s: expected a number of pairs", argv[3]);
	SN_TRY(sn_model_open(&model, ctx, argv[1]));
	SN_TRY(sn_dataset_open(&data, ctx, argv[2]));
	data->n = SN_MIN(data->n, n);
	SN_TRY(need_weights(ctx, model));
	SN_TRY(sn_result_open(&result, ctx, method));
	const sn_input input = { .model = { model }, .data = { data } };
	double start = now();
	SN_TRY(sn_method_run(ctx, method, &input, NULL, result));
	report(ctx, result, now() - start);
	SN_TRY(write_values(ctx, argv[4], result));
	sn_result_close(result);
	sn_dataset_close(data);
	sn_model_close(model);
	return SN_OK;
}

int main(int argc, char **argv)
{
	sn_options options = { .size = sizeof options, .threads = 2 };
	sn_ctx *ctx;
	bool ok = argc == 5 || (argc == 6 && read_precision(argv[5], &options.precision));
	if (!ok || sn_ctx_open(&ctx, &options) != SN_OK) {
		fprintf(stderr, "usage: bench_blimp MODEL PAIRS.jsonl N_PAIRS OUT [f32|bf16x3|bf16]\n");
		return 2;
	}
	sn_status status = bench(ctx, argv);
	if (status != SN_OK) fprintf(stderr, "%s\n", sn_error(ctx));
	sn_ctx_close(ctx);
	return sn_status_exit_code(status);
}
