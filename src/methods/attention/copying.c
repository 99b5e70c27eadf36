/* Heads that copy: sequences of random tokens, twice. */
#include "methods/attention/heads.h"

#include <string.h>

typedef struct copying { int32_t length, before; int n_sequence, n_layer, n_head; double *out; } copying;

static double *at(const copying *c, int layer, int head, sn_copying what)
{
	return c->out + (((int64_t)layer * c->n_head + head) * SN_COPIES + what) * c->n_sequence;
}

static sn_status take(void *arg, int32_t text, const sn_attn_pattern *p)
{
	const copying *c = arg;
	int32_t n = c->length;
	for (int l = 0; l < p->n_layer; l++)
		for (int h = 0; h < p->n_head; h++) {
			for (int32_t i = 1; i < 2 * n; i++) {
				const float *row = sn_attn_at(p, l, h, c->before + i) + c->before;
				at(c, l, h, SN_COPY_PREVIOUS)[text] += row[i - 1] / (2.0 * n - 1);
			}
			for (int32_t i = n; i < 2 * n; i++) {
				const float *row = sn_attn_at(p, l, h, c->before + i) + c->before;
				at(c, l, h, SN_COPY_DUPLICATE)[text] += row[i - n] / (double)n;
				at(c, l, h, SN_COPY_INDUCTION)[text] += row[i - n + 1] / (double)n;
			}
		}
	return SN_OK;
}

sn_status sn_copying_scores(sn_ctx *ctx, sn_model *model, const int32_t *token, int n_sequence, int32_t length,
                            int32_t begin, double *out)
{
	const sn_model_info *info = sn_model_get_info(model);
	copying c = { length, begin >= 0, n_sequence, info->n_layer, info->n_head, out };
	sn_attn_texts texts = { .n = n_sequence };
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, ctx));
	texts.text = SN_TAKE(arena, sn_attn_text, n_sequence);
	int32_t n = c.before + 2 * length, *row = SN_TAKE(arena, int32_t, (int64_t)n_sequence * n);
	sn_status status = texts.text && row ? SN_OK : SN_ENOMEM;
	for (int s = 0; s < n_sequence && status == SN_OK; s++, row += n) {
		row[0] = begin;
		for (int k = 0; k < 2; k++)
			memcpy(row + c.before + k * length, token + (int64_t)s * length, (size_t)length * sizeof *row);
		texts.text[s].own = (sn_attn_side){ .n = n, .token = row };
	}
	if (status == SN_OK) status = sn_attn_each(ctx, model, &texts, SN_ATTN_SELF, take, &c);
	sn_arena_close(arena);
	return status;
}

enum { DRAW = 0x636f7079 };

void sn_copying_draw(sn_ctx *ctx, const sn_model *model, int n_sequence, int32_t length, int32_t *token)
{
	const sn_model_info *info = sn_model_get_info(model);
	const sn_tokenizer *tokenizer = sn_model_tokenizer(model);
	sn_rng rng = sn_rng_make(sn_ctx_seed(ctx), DRAW);
	int64_t most = tokenizer ? SN_MIN(info->d_vocab, (int64_t)sn_tokenizer_size(tokenizer)) : info->d_vocab;
	for (int64_t i = 0; i < (int64_t)n_sequence * length;) {
		token[i] = (int32_t)sn_rng_below(&rng, (uint64_t)most);
		i += token[i] != info->bos && token[i] != info->eos && token[i] != info->mask;
	}
}
