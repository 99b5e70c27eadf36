/* What an attribution compares a text with. */
#include "methods/attribution/attribution.h"

#include <string.h>

typedef struct ends {
	sn_ctx *ctx;
	sn_model *model;
	const sn_attribution_item *item;
	sn_site site;
	int32_t n;          /* tokens at the site */
	int64_t d;
	sn_arena *arena;
} ends;

/* Writes the site's values in a batch of one row. */
static sn_status read_site(const ends *p, const sn_batch *batch, float *out, int64_t n)
{
	sn_keep keep = { out, n, p->d };
	sn_tap tap = { .at = p->site, .where = { .sel = SN_ALL }, .sink = &sn_sink_keep, .state = &keep };
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
	return sn_run(p->ctx, p->model, batch, &plan, NULL, NULL);
}

/* One token, or as many as the explained text has. */
static sn_status read_tokens(const ends *p, const char *text, sn_tokens *t)
{
	const sn_tokenizer *tokenizer = sn_model_tokenizer(p->model);
	SN_TRY(sn_tokenize(p->ctx, tokenizer, text, strlen(text), SN_PARSE_SPECIAL, p->arena, t));
	if (t->n != 1)
		SN_TRY(sn_tokenize(p->ctx, tokenizer, text, strlen(text), SN_PARSE_SPECIAL | SN_ADD_SPECIAL, p->arena, t));
	if (t->n == 1 || t->n == p->n) return SN_OK;
	return sn_fail(p->ctx, SN_EARG,
	               "--baseline \"%s\" is %lld tokens; expected zero, mean, a text of one token or of as many as row "
	               "%lld has here (%d)",
	               text, (long long)t->n, (long long)p->item->number, p->n);
}

/* Its vectors at the site, one token's at every place; the other side of an encoder-decoder is the item's own. */
static sn_status text_baseline(const ends *p, const char *text, float *out)
{
	sn_tokens t;
	SN_TRY(read_tokens(p, text, &t));
	int64_t start[2] = { 0, t.n }, one[2] = { 0, 1 }, source[2] = { 0, p->item->source.n };
	sn_batch batch = { .n = 1, .token = t.id, .start = start }, enc = batch;
	int32_t begin = sn_model_get_info(p->model)->decoder_start;
	bool encoder = sn_attribution_at(p->item, &p->site) == &p->item->source;
	if (p->item->source.n) batch.enc = &enc;
	if (encoder) batch = (sn_batch){ .n = 1, .token = &begin, .start = one, .enc = &enc };
	else enc = (sn_batch){ .n = 1, .token = p->item->source.token, .start = source };
	SN_TRY(read_site(p, &batch, out, t.n));
	for (int64_t i = t.n; i < p->n; i++) memcpy(out + i * p->d, out, (size_t)p->d * sizeof *out);
	return SN_OK;
}

static void mean_baseline(const ends *p, const float *x, float *out)
{
	for (int64_t j = 0; j < p->d; j++) {
		double sum = 0;
		for (int32_t i = 0; i < p->n; i++) sum += x[i * p->d + j];
		for (int32_t i = 0; i < p->n; i++) out[i * p->d + j] = (float)(sum / p->n);
	}
}

sn_status sn_attribution_ends(sn_ctx *ctx, sn_model *model, const sn_attribution_item *item, const sn_site *site,
                              const char *baseline, sn_arena *arena, const float **x, const float **x0)
{
	ends p = { .ctx = ctx, .model = model, .item = item, .site = *site, .n = sn_attribution_at(item, site)->n,
	           .d = sn_site_width(model, site), .arena = arena };
	sn_attribution_rows rows;
	float *own, *other;
	SN_NEW(own, arena, float, p.n * p.d);
	SN_NEW(other, arena, float, p.n * p.d);
	SN_TRY(sn_attribution_copy(&rows, item, 1, site, 1, false, arena));
	SN_TRY(read_site(&p, &rows.batch, own, p.n));
	*x = own;
	*x0 = other;
	if (strcmp(baseline, "zero") == 0) return SN_OK;
	if (strcmp(baseline, "mean") != 0) return text_baseline(&p, baseline, other);
	mean_baseline(&p, own, other);
	return SN_OK;
}
