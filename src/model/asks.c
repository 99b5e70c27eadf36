/* Rows of tokens and what is asked of them. */
#include "model/asks.h"

#include <string.h>

sn_asks sn_asks_make(sn_ctx *ctx)
{
	sn_buf empty = { .ctx = ctx };
	return (sn_asks){ ctx, empty, empty, empty, empty, empty, empty, 0, 0, 0, 0, 0 };
}

void sn_asks_row(sn_asks *a)
{
	sn_buf_add(&a->start, &a->n_token, sizeof a->n_token);
	a->n++;
}

void sn_asks_add(sn_asks *a, const int32_t *token, int64_t n)
{
	sn_buf_add(&a->token, token, (size_t)n * sizeof *token);
	a->n_token += n;
}

int64_t sn_asks_want(sn_asks *a, int64_t pos, int32_t want)
{
	int64_t first = 0;
	if (a->start.failed || a->place.failed || a->want.failed) return a->n_place++;
	memcpy(&first, a->start.data + a->start.size - sizeof first, sizeof first);
	first += pos;
	sn_buf_add(&a->place, &first, sizeof first);
	sn_buf_add(&a->want, &want, sizeof want);
	return a->n_place++;
}

void sn_asks_source(sn_asks *a, const int32_t *token, int64_t n)
{
	sn_buf_add(&a->enc_start, &a->n_enc_token, sizeof a->n_enc_token);
	sn_buf_add(&a->enc_token, token, (size_t)n * sizeof *token);
	a->n_enc_token += n;
	a->n_enc++;
}

sn_status sn_asks_run(sn_asks *a, sn_model *model, sn_predict *out, sn_arena *arena)
{
	const sn_buf *const list[] = { &a->token, &a->start, &a->place, &a->want, &a->enc_token, &a->enc_start };
	if (a->n_place == 0) return SN_OK;
	sn_buf_add(&a->start, &a->n_token, sizeof a->n_token);
	sn_buf_add(&a->enc_start, &a->n_enc_token, sizeof a->n_enc_token);
	for (int i = 0; i < SN_COUNT(list); i++)
		if (list[i]->failed) return SN_ENOMEM;
	SN_ASSERT(a->n_enc == 0 || a->n_enc == a->n);
	sn_batch enc = { .n = a->n_enc,
					 .token = (const void *)a->enc_token.data,
					 .start = (const void *)a->enc_start.data };
	sn_batch batch = { .n = a->n,
					   .token = (const void *)a->token.data,
					   .start = (const void *)a->start.data,
					   .enc = a->n_enc ? &enc : NULL };
	out->n = a->n_place;
	out->place = (const void *)a->place.data;
	out->want = (const void *)a->want.data;
	return sn_predict_run(a->ctx, model, &batch, out, arena);
}

void sn_asks_clear(sn_asks *a)
{
	a->token.size = a->start.size = a->place.size = a->want.size = a->enc_token.size = a->enc_start.size = 0;
	a->n_token = a->n_place = a->n_enc_token = 0;
	a->n = a->n_enc = 0;
}

void sn_asks_free(sn_asks *a)
{
	sn_buf *const list[] = { &a->token, &a->start, &a->place, &a->want, &a->enc_token, &a->enc_start };
	for (int i = 0; i < SN_COUNT(list); i++) sn_buf_free(list[i]);
}
