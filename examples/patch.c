/* An interchange patch with the public interface alone. Two sentences differ in their subject's number; layer by layer
 * the residual stream of one, at the subject or at the last word, is replaced by the other's. What share of the
 * preference for "are" over "is" moves with it?   usage: patch_example MODEL */
#include <sonde.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS = 128, ROWS = 2 + 2 * LAYERS, TOKENS = 16 };

static void must(sn_ctx *ctx, sn_status status)
{
	if (status == SN_OK) return;
	fprintf(stderr, "%s\n", ctx && sn_error(ctx)[0] ? sn_error(ctx) : sn_status_text(status));
	exit(sn_status_exit_code(status));
}

int main(int argc, char **argv)
{
	static const char *const text[4] = { "Today the key certainly", "Today the keys certainly", " is", " are" };
	static int32_t token[ROWS * TOKENS], parent[ROWS], fork[ROWS], source[2 * LAYERS][ROWS];
	static int64_t start[ROWS + 1];
	static double score[ROWS];
	static sn_edit edit[2 * LAYERS];
	sn_ctx *ctx = NULL;
	sn_arena *arena;
	sn_model *model;
	sn_tokens t[4];
	int flags[4] = { SN_ADD_SPECIAL, SN_ADD_SPECIAL };
	if (argc != 2) return fprintf(stderr, "usage: %s MODEL\n", argv[0]), 2;
	must(ctx, sn_ctx_open(&ctx, NULL));
	must(ctx, sn_arena_open(&arena, ctx));
	must(ctx, sn_model_open(&model, ctx, argv[1]));
	for (int i = 0; i < 4; i++)
		must(ctx, sn_tokenize(ctx, sn_model_tokenizer(model), text[i], strlen(text[i]), flags[i], arena, t + i));
	int n_edit = 2 * sn_model_get_info(model)->n_layer, subject = 0, n = (int)t[0].n;
	if (t[1].n != n || t[2].n != 1 || t[3].n != 1 || n > TOKENS || n_edit > 2 * LAYERS) must(ctx, SN_ESHAPE);
	while (t[0].id[subject] == t[1].id[subject]) subject++;
	/* row 0: the base; row 1: the source; row 2 + e: a fork of the base in which edit e sets row 1's vector */
	for (int b = 0; b < 2 + n_edit; b++) {
		memcpy(token + b * n, t[b == 1].id, (size_t)n * sizeof *token);
		start[b + 1] = start[b] + n;
		parent[b] = b < 2 ? -1 : 0, fork[b] = b < 2 ? 0 : n;
		for (int e = 0; e < n_edit; e++) source[e][b] = b == 2 + e ? 1 : -1;
	}
	for (int e = 0; e < n_edit; e++)
		edit[e] = (sn_edit){ .op = SN_OP_SET, .at = { .kind = SN_SITE_RESID_PRE, .layer = (int16_t)(e / 2) },
			                 .where = { .sel = SN_AT, .arg = e % 2 ? n - 1 : subject }, .src_row = source[e] };
	sn_where last = { .sel = SN_LAST };
	sn_goal goal = { .metric = SN_LOGIT_DIFF, .where = last, .want = t[3].id, .foil = t[2].id, .n_want = 1 };
	sn_batch batch = { .n = 2 + n_edit, .token = token, .start = start, .parent = parent, .fork = fork };
	sn_plan plan = { .size = sizeof plan, .n_edit = n_edit, .edit = edit, .n_goal = 1, .goal = &goal };
	must(ctx, sn_run(ctx, model, &batch, &plan, NULL, score));
	printf("log p(are) - log p(is): singular %.3f, plural %.3f nats\n", *score, score[1]);
	printf("layer  at the subject  at the last word\n");
	for (double *s = score + 2, d = score[1] - *score; s < score + batch.n; s += 2)
		printf("%5d  %14.3f  %16.3f\n", (int)(s - score) / 2 - 1, (s[0] - *score) / d, (s[1] - *score) / d);
	return sn_model_close(model), sn_arena_close(arena), sn_ctx_close(ctx), 0;
}
