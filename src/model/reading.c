/* Passages through a model, in windows. */
#include "model/reading.h"

#include "model/asks.h"
#include "text/classes.h"
#include "text/tokenizer.h"

#include <math.h>
#include <string.h>

/* ---- what stands around a window ---- */

static bool masked(const sn_reader *r)
{
	const sn_model_info *info = sn_model_get_info(r->model);
	return !info->causal && !info->n_layer_encoder;
}

/* The tokens before: those of the template, behind what begins every decoder row. */
static sn_status take_before(sn_reader *r, const char *bos, sn_arena *arena)
{
	const sn_model_info *info = sn_model_get_info(r->model);
	int n = 0;
	const int32_t *added = sn_tokenizer_added(sn_model_tokenizer(r->model), false, &n);
	int32_t *before;
	if (strcmp(bos, "none") == 0) n = 0;
	SN_NEW(before, arena, int32_t, n + 2);
	if (info->n_layer_encoder) before[r->n_before++] = info->decoder_start;
	if (n == 0 && strcmp(bos, "add") == 0) {
		if (info->bos < 0 || masked(r))
			return sn_fail(r->ctx, SN_EARG, "%s has no token that begins a text; leave --bos at auto", info->path);
		before[r->n_before++] = info->bos;
	}
	for (int i = 0; i < n; i++) before[r->n_before++] = added[i];
	r->before = before;
	return SN_OK;
}

static sn_status check_model(const sn_reader *r)
{
	const sn_model_info *info = sn_model_get_info(r->model);
	if (!info->has_logits)
		return sn_fail(r->ctx, SN_EARG, "%s has no language-model head: it predicts no tokens", info->path);
	if (masked(r) && info->mask < 0)
		return sn_fail(r->ctx, SN_EARG, "%s: a masked model whose tokenizer has no mask token predicts none",
					   info->path);
	if (info->n_layer_encoder && info->decoder_start < 0)
		return sn_fail(r->ctx, SN_EARG,
					   "%s: config.json names no decoder_start_token_id, which every target begins with", info->path);
	return SN_OK;
}

sn_status sn_reader_make(sn_reader *out, sn_ctx *ctx, sn_model *model, const char *bos, int64_t window, int64_t stride,
						 sn_arena *arena)
{
	const sn_model_info *info = sn_model_get_info(model);
	*out = (sn_reader){ .ctx = ctx, .model = model, .window = window > 0 ? window : info->n_ctx };
	SN_TRY(check_model(out));
	SN_TRY(take_before(out, bos, arena));
	if (masked(out) && strcmp(bos, "none") != 0)
		out->after = sn_tokenizer_added(sn_model_tokenizer(model), true, &out->n_after);
	int64_t room = out->window - out->n_before - out->n_after;
	if (window > info->n_ctx && info->n_ctx > 0)
		return sn_fail(ctx, SN_EARG, "a window of %lld tokens; %s takes at most %lld", (long long)window, info->path,
					   (long long)info->n_ctx);
	if (out->window > 0 && room < 2)
		return sn_fail(ctx, SN_EARG, "a window of %lld tokens has no room for two beside those added around a text",
					   (long long)out->window);
	out->stride = stride > 0 ? stride : SN_MAX(room / 2, (int64_t)1);
	if (out->window > 0 && out->stride > room)
		return sn_fail(ctx, SN_EARG, "a stride of %lld tokens leaves some out; a window holds %lld of the text",
					   (long long)stride, (long long)room);
	return SN_OK;
}

/* ---- tokens and words ---- */

static void assign(sn_reading *r)
{
	const sn_passage *p = r->passage;
	int64_t u = 0;
	for (int64_t t = 0; t < r->token.n; t++) {
		int64_t at = sn_visible(p->text, r->token.span[t]);
		while (u < p->n && p->unit[u].span[1] <= at) u++;
		r->unit[t] = u < p->n ? (int32_t)u : -1;
	}
}

sn_status sn_reading_make(sn_reading *out, const sn_reader *reader, const sn_passage *passage, sn_arena *arena)
{
	*out = (sn_reading){ .passage = passage };
	SN_TRY(sn_tokenize(reader->ctx, sn_model_tokenizer(reader->model), passage->text, (size_t)passage->size, 0, arena,
					   &out->token));
	int64_t n = out->token.n;
	SN_NEW(out->unit, arena, int32_t, n);
	SN_NEW(out->logprob, arena, double, n);
	if (reader->entropy) SN_NEW(out->entropy, arena, double, n);
	if (reader->set) SN_NEW(out->set, arena, double, n + 1);
	for (int64_t t = 0; t < n; t++) out->logprob[t] = NAN;
	for (int64_t t = 0; reader->entropy && t < n; t++) out->entropy[t] = NAN;
	for (int64_t t = 0; reader->set && t <= n; t++) out->set[t] = NAN;
	assign(out);
	return SN_OK;
}

/* Tokens of the text that a window holds. */
static int64_t room_of(const sn_reader *r, int64_t n)
{
	return r->window > 0 ? SN_MIN(r->window - r->n_before - r->n_after, n) : n;
}

int64_t sn_reading_cost(const sn_reader *r, const sn_reading *reading)
{
	int64_t n = reading->token.n, room = room_of(r, n);
	return masked(r) ? n * (room + r->n_before + r->n_after) : n + (n - room) / r->stride * (room - r->stride);
}

/* ---- windows ---- */

/* Which token of which reading a place is about. */
typedef struct about {
	sn_reading *reading;
	int64_t token;
} about;

typedef struct work {
	const sn_reader *reader;
	sn_asks asks;
	sn_buf about;
} work;

static void want(work *w, sn_reading *r, int64_t t, int64_t pos)
{
	about a = { r, t };
	sn_asks_want(&w->asks, pos, t < r->token.n ? r->token.id[t] : 0);
	sn_buf_add(&w->about, &a, sizeof a);
}

static sn_status add_source(work *w, const sn_reading *r, sn_arena *arena)
{
	sn_tokens source;
	if (!r->source) return SN_OK;
	SN_TRY(sn_tokenize(w->reader->ctx, sn_model_tokenizer(w->reader->model), r->source, strlen(r->source),
					   SN_ADD_SPECIAL, arena, &source));
	if (source.n == 0) return sn_fail(w->reader->ctx, SN_EPARSE, "the source \"%.40s\" has no tokens", r->source);
	sn_asks_source(&w->asks, source.id, source.n);
	return SN_OK;
}

/* Tokens [a, b) expect all up to b, which follows them. */
static sn_status add_causal(work *w, sn_reading *r, sn_arena *arena)
{
	const sn_reader *k = w->reader;
	int64_t n = r->token.n, room = room_of(k, n), last = k->set ? n : n - 1, next = k->n_before ? 0 : 1;
	for (int64_t a = 0, b = 0; b < n; a += k->stride) {
		b = SN_MIN(a + room, n);
		if (next > SN_MIN(b, last)) continue;
		sn_asks_row(&w->asks);
		sn_asks_add(&w->asks, k->before, k->n_before);
		sn_asks_add(&w->asks, r->token.id + a, b - a);
		SN_TRY(add_source(w, r, arena));
		for (; next <= SN_MIN(b, last); next++) want(w, r, next, k->n_before + next - 1 - a);
	}
	return SN_OK;
}

static void add_masked(work *w, sn_reading *r, int32_t mask)
{
	const sn_reader *k = w->reader;
	int64_t n = r->token.n, room = room_of(k, n);
	for (int64_t t = 0; t < n; t++) {
		int64_t a = SN_MIN(SN_MAX(t - room / 2, 0), n - room), b = a + room;
		sn_asks_row(&w->asks);
		sn_asks_add(&w->asks, k->before, k->n_before);
		for (int64_t i = a; i < b; i++) {
			bool rest = k->l2r && i > t && r->unit[i] >= 0 && r->unit[i] == r->unit[t];
			sn_asks_add(&w->asks, i == t || rest ? &mask : &r->token.id[i], 1);
		}
		sn_asks_add(&w->asks, k->after, k->n_after);
		want(w, r, t, k->n_before + t - a);
	}
}

static void take(work *w, const sn_predict *found)
{
	const about *a = (const void *)w->about.data;
	for (int64_t i = 0; i < found->n; i++) {
		sn_reading *r = a[i].reading;
		int64_t t = a[i].token;
		if (t < r->token.n) r->logprob[t] = found->logprob[i];
		if (t < r->token.n && found->entropy) r->entropy[t] = found->entropy[i];
		if (found->set_logprob) r->set[t] = found->set_logprob[i];
	}
}

static sn_status run(work *w, sn_reading *reading, int64_t n, sn_arena *arena)
{
	const sn_reader *k = w->reader;
	for (int64_t i = 0; i < n; i++) {
		if (masked(k))
			add_masked(w, &reading[i], sn_model_get_info(k->model)->mask);
		else
			SN_TRY(add_causal(w, &reading[i], arena));
	}
	int64_t m = w->asks.n_place;
	sn_predict ask = { .set = k->set };
	SN_NEW(ask.logprob, arena, double, m);
	if (k->entropy) SN_NEW(ask.entropy, arena, double, m);
	if (k->set) SN_NEW(ask.set_logprob, arena, double, m);
	if (w->about.failed) return SN_ENOMEM;
	SN_TRY(sn_asks_run(&w->asks, k->model, &ask, arena));
	take(w, &ask);
	return SN_OK;
}

sn_status sn_readings_run(const sn_reader *reader, sn_reading *reading, int64_t n, sn_arena *arena)
{
	work w = { reader, sn_asks_make(reader->ctx), { .ctx = reader->ctx } };
	sn_status status = run(&w, reading, n, arena);
	sn_asks_free(&w.asks);
	sn_buf_free(&w.about);
	return status;
}
