/* From process start to the log-probability of a short sentence.
 * usage: bench_first_logits MODEL   prints one JSON line; the caller times the whole process. */
#include "sonde.h"

#include <stdio.h>
#include <string.h>

static sn_status bench(sn_ctx *ctx, const char *path)
{
	static const char text[] = "The keys to the cabinet are on the table.";
	sn_model *model = NULL;
	sn_arena *arena = NULL;
	sn_tokens t;
	double loss = 0;
	sn_status status = sn_model_open(&model, ctx, path);
	if (status == SN_OK) status = sn_arena_open(&arena, ctx);
	if (status == SN_OK)
		status = sn_tokenize(ctx, sn_model_tokenizer(model), text, strlen(text), SN_ADD_SPECIAL, arena, &t);
	if (status == SN_OK) {
		const int64_t start[] = { 0, t.n };
		sn_batch batch = { .n = 1, .token = t.id, .start = start };
		sn_goal goal = { .metric = SN_LOSS, .where = { .sel = SN_ALL } };
		sn_plan plan = { .size = sizeof plan, .n_goal = 1, .goal = &goal };
		status = sn_run(ctx, model, &batch, &plan, NULL, &loss);
		printf("{\"what\": \"sonde first logits\", \"mean_loss\": %.6f}\n", loss / (double)(t.n - 1));
	}
	sn_arena_close(arena);
	sn_model_close(model);
	return status;
}

int main(int argc, char **argv)
{
	sn_options options = { .size = sizeof options, .threads = 2 };
	sn_ctx *ctx;
	if (argc != 2 || sn_ctx_open(&ctx, &options) != SN_OK) return 2;
	sn_status status = bench(ctx, argv[1]);
	if (status != SN_OK) fprintf(stderr, "%s\n", sn_error(ctx));
	sn_ctx_close(ctx);
	return sn_status_exit_code(status);
}
