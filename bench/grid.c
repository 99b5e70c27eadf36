/* Interchange patching of the residual stream, layer x position: the work of TransformerLens's get_act_patch_resid_pre,
 * timed without loading. Of each pair whose sentences have as many tokens, the bad sentence is the base and the good
 * one the source; a cell is the logit of the good sentence's last token at the position before it, less that of the
 * bad sentence's first token that differs. The last position cannot act on the one before it: its cells are the base's
 * own value.
 * usage: bench_grid MODEL PAIRS.jsonl N_PAIRS OUT [f32|bf16x3|bf16]
 * prints one JSON line: pairs, cells, seconds, cells a second, peak memory. OUT: a JSON line a pair, its number in the
 * file and values [layers][positions]. */
#include "bench.h"

#include "model/grid.h"
#include "model/model.h"
#include "tensor/gemm.h"

#include <math.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct work {
	sn_items items;        /* pair k: the bad sentence is item 2 k, the good one 2 k + 1, both without their last
							  tokens */
	sn_item *item;
	int32_t *token;
	int64_t *start, *number;
	sn_choice *choice;
	sn_family *family;
	int64_t n;
} work;

static sn_status open_work(work *w, int64_t n, int64_t longest, sn_arena *arena)
{
	SN_NEW(w->item, arena, sn_item, 2 * n);
	SN_NEW(w->token, arena, int32_t, 2 * n * longest);
	SN_NEW(w->start, arena, int64_t, 2 * n + 1);
	SN_NEW(w->number, arena, int64_t, n);
	SN_NEW(w->choice, arena, sn_choice, n);
	SN_NEW(w->family, arena, sn_family, n);
	return SN_OK;
}

static int64_t first_difference(const sn_tokens *a, const sn_tokens *b)
{
	int64_t i = 0;
	while (i < a->n - 1 && a->id[i] == b->id[i]) i++;
	return i;
}

static void add_pair(work *w, int64_t number, const sn_tokens *bad, const sn_tokens *good)
{
	const sn_tokens *side[] = { bad, good };
	for (int i = 0; i < 2; i++) {
		int64_t b = 2 * w->n + i;
		memcpy(w->token + w->start[b], side[i]->id, (size_t)(side[i]->n - 1) * sizeof *w->token);
		w->start[b + 1] = w->start[b] + side[i]->n - 1;
		w->item[b].choice_set = (int32_t)w->n;
	}
	w->choice[w->n].form[0] = good->id[good->n - 1];
	w->choice[w->n].form[1] = bad->id[first_difference(bad, good)];
	w->family[w->n] = (sn_family){ 2 * w->n, 2 * w->n + 1 };
	w->number[w->n++] = number;
}

static sn_status make_work(sn_ctx *ctx, const sn_model *model, const sn_dataset *data, int64_t n, sn_arena *arena,
                           work *w)
{
	enum { LONGEST = 64 };
	const char *const name[] = { "sentence_bad", "sentence_good" };
	const sn_column *text[] = { sn_dataset_column(data, name[0]), sn_dataset_column(data, name[1]) };
	if (!text[0] || !text[1]) return sn_fail(ctx, SN_ENOTFOUND, "%s: no minimal pairs", data->source);
	SN_TRY(open_work(w, n, LONGEST, arena));
	for (int64_t i = 0; i < data->n && w->n < n; i++) {
		sn_tokens t[2];
		for (int k = 0; k < 2; k++)
			SN_TRY(sn_tokenize(ctx, sn_model_tokenizer(model), text[k]->s[i], strlen(text[k]->s[i]), SN_ADD_SPECIAL,
			                   arena, &t[k]));
		if (t[0].n == t[1].n && t[0].n >= 2 && t[0].n <= LONGEST) add_pair(w, i, &t[0], &t[1]);
	}
	w->items = (sn_items){ .source = data->source, .n = 2 * w->n, .item = w->item, .token = w->token,
	                       .start = w->start, .n_fold = 1, .n_choice = 1, .n_choice_set = (int)w->n,
	                       .choice = w->choice };
	return SN_OK;
}

/* A variant a layer and position, layer by layer. */
static sn_status make_variants(const sn_model *model, int64_t longest, sn_arena *arena, sn_variant **out)
{
	int n_layer = model->shape.n_layer;
	sn_touch *touch;
	SN_NEW(touch, arena, sn_touch, n_layer * longest);
	SN_NEW(*out, arena, sn_variant, n_layer * longest);
	for (int64_t i = 0; i < n_layer * longest; i++) {
		sn_site site = { .kind = SN_SITE_RESID_PRE, .layer = (int16_t)(i / longest) };
		touch[i] = (sn_touch){ .spot = { site, SN_PLACE_AT, (int32_t)(i % longest) }, .kind = SN_TOUCH_SOURCE };
		(*out)[i] = (sn_variant){ &touch[i], 1 };
	}
	return SN_OK;
}

static sn_status write_values(sn_ctx *ctx, const char *path, const work *w, int n_layer, int64_t longest,
                              const double *base, const double *ld)
{
	sn_file *file;
	sn_buf line = { .ctx = ctx };
	SN_TRY(sn_file_create(&file, ctx, path));
	for (int64_t k = 0; k < w->n; k++) {
		int64_t length = w->start[2 * k + 1] - w->start[2 * k];
		sn_buf_format(&line, "{\"pair\": %lld, \"value\": [", (long long)w->number[k]);
		for (int l = 0; l < n_layer; l++) {
			const double *row = ld + (k * n_layer + l) * longest;
			for (int64_t p = 0; p <= length; p++)
				sn_buf_format(&line, "%s%.7g", p ? ", " : l ? "], [" : "[", p < length ? row[p] : base[k]);
		}
		sn_buf_puts(&line, "]]}\n");
	}
	sn_status status = line.failed ? SN_ENOMEM : sn_file_write(file, line.data, line.size);
	if (status == SN_OK) status = sn_file_commit(file);
	sn_file_close(file);
	sn_buf_free(&line);
	return status;
}

static void report(const sn_ctx *ctx, const work *w, int n_layer, double seconds)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	int64_t cells = 0;
	for (int64_t k = 0; k < w->n; k++) cells += n_layer * (w->start[2 * k + 1] - w->start[2 * k] + 1);
	printf("{\"what\": \"sonde patching grid\", \"precision\": \"%s\", \"pairs\": %lld, \"cells\": %lld, "
	       "\"seconds\": %.3f, \"cells_s\": %.1f, \"rss_gb\": %.3f}\n", sn_precision_name(sn_gemm_precision(ctx)),
	       (long long)w->n, (long long)cells, seconds, (double)cells / seconds, (double)usage.ru_maxrss / 1e6);
}

static sn_status run_grid(sn_ctx *ctx, sn_model *model, const work *w, const char *path, sn_arena *arena)
{
	int n_layer = model->shape.n_layer;
	int64_t longest = sn_items_longest(&w->items);
	sn_variant *variant;
	double *base, *ld;
	SN_TRY(make_variants(model, longest, arena, &variant));
	SN_NEW(base, arena, double, w->n);
	SN_NEW(ld, arena, double, w->n * n_layer * longest);
	for (int l = 0; l < n_layer; l++) SN_TRY(sn_model_need_layer(ctx, model, l));
	sn_grid grid = { .items = &w->items, .family = w->family, .n_family = w->n, .variant = variant,
	                 .n_variant = (int)(n_layer * longest) };
	double start = now();
	SN_TRY(sn_grid_run(ctx, model, &grid, &(sn_grid_out){ .base = base, .ld = ld }));
	report(ctx, w, n_layer, now() - start);
	return write_values(ctx, path, w, n_layer, longest, base, ld);
}

static sn_status bench(sn_ctx *ctx, char **argv)
{
	sn_arena *arena;
	sn_model *model;
	sn_dataset *data;
	work w = { 0 };
	int64_t n;
	if (!sn_parse_i64(argv[3], &n) || n < 1)
		return sn_fail(ctx, SN_EARG, "%s: expected a number of pairs", argv[3]);
	SN_TRY(sn_arena_open(&arena, ctx));
	SN_TRY(sn_model_open(&model, ctx, argv[1]));
	SN_TRY(sn_dataset_open(&data, ctx, argv[2]));
	SN_TRY(make_work(ctx, model, data, n, arena, &w));
	SN_TRY(run_grid(ctx, model, &w, argv[4], arena));
	sn_dataset_close(data);
	sn_model_close(model);
	sn_arena_close(arena);
	return SN_OK;
}

int main(int argc, char **argv)
{
	sn_options options = { .size = sizeof options, .threads = 2 };
	sn_ctx *ctx;
	bool ok = argc == 5 || (argc == 6 && read_precision(argv[5], &options.precision));
	if (!ok || sn_ctx_open(&ctx, &options) != SN_OK) {
		fprintf(stderr, "usage: bench_grid MODEL PAIRS.jsonl N_PAIRS OUT [f32|bf16x3|bf16]\n");
		return 2;
	}
	sn_status status = bench(ctx, argv);
	if (status != SN_OK) fprintf(stderr, "%s\n", sn_error(ctx));
	sn_ctx_close(ctx);
	return sn_status_exit_code(status);
}
