/* Sentences of treebanks a second, tokenized one after the other on one thread.
 * usage: bench_tokenize TOKENIZER REPETITIONS CONLLU...   prints one JSON line */
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LARGEST = 1 << 28 };

typedef struct corpus {
	const char **text;
	size_t *size;
	int64_t n, bytes;
} corpus;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Appends the "# text = " lines of a file. */
static sn_status read_texts(sn_ctx *ctx, sn_arena *arena, const char *path, corpus *out)
{
	char *data, *line;
	size_t size;
	SN_TRY(sn_read_file(ctx, path, LARGEST, arena, &data, &size));
	while ((line = strtok_r(data, "\n", &data))) {
		if (strncmp(line, "# text = ", 9) != 0) continue;
		out->text[out->n] = line + 9;
		out->size[out->n] = strlen(line + 9);
		out->bytes += (int64_t)out->size[out->n++];
	}
	return SN_OK;
}

/* Returns the best time of so many rounds over the corpus. */
static sn_status measure(sn_ctx *ctx, const sn_tokenizer *t, const corpus *c, int rounds, double *best, int64_t *tokens)
{
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = SN_OK;
	sn_mark mark = sn_arena_mark(arena);
	*best = 1e9;
	for (int round = 0; round < rounds && status == SN_OK; round++) {
		double start = now();
		*tokens = 0;
		for (int64_t i = 0; i < c->n && status == SN_OK; i++) {
			sn_tokens out;
			status = sn_tokenize(ctx, t, c->text[i], c->size[i], SN_ADD_SPECIAL | SN_PARSE_SPECIAL, arena, &out);
			*tokens += out.n;
			sn_arena_reset(arena, mark);
		}
		double took = now() - start;
		if (took < *best) *best = took;
	}
	sn_arena_close(arena);
	return status;
}

static sn_status bench(sn_ctx *ctx, sn_arena *arena, char **arg, int n)
{
	enum { MOST = 100000 };
	corpus c = { 0 };
	sn_tokenizer *t;
	double best = 0;
	int64_t tokens = 0;
	SN_NEW(c.text, arena, const char *, MOST);
	SN_NEW(c.size, arena, size_t, MOST);
	for (int i = 2; i < n; i++) SN_TRY(read_texts(ctx, arena, arg[i], &c));
	SN_TRY(sn_tokenizer_open_path(&t, ctx, arg[0]));
	sn_status status = measure(ctx, t, &c, atoi(arg[1]), &best, &tokens);
	if (status == SN_OK)
		printf("{\"what\": \"sonde tokenize\", \"tokenizer\": \"%s\", \"sentences\": %lld, \"tokens\": %lld, "
			   "\"seconds\": %.4f, \"mb_s\": %.2f}\n",
			   arg[0], (long long)c.n, (long long)tokens, best, (double)c.bytes / best / 1e6);
	sn_tokenizer_close(t);
	return status;
}

int main(int argc, char **argv)
{
	sn_options options = { .size = sizeof options, .threads = 1 };
	sn_ctx *ctx;
	sn_arena *arena;
	if (argc < 4 || sn_ctx_open(&ctx, &options) != SN_OK) return 2;
	sn_status status = sn_arena_open(&arena, ctx);
	if (status == SN_OK) status = bench(ctx, arena, argv + 1, argc - 1);
	if (status != SN_OK) fprintf(stderr, "%s\n", sn_error(ctx));
	sn_arena_close(arena);
	sn_ctx_close(ctx);
	return sn_status_exit_code(status);
}
