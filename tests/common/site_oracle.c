#include "common/site_oracle.h"

#include "model/site.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Attention rows come a place at a time: each query's keys go to their rows of [heads, queries, keys]. */
typedef struct square { float *x; int64_t n_query, n_key; int32_t row; } square;

static sn_status square_take(sn_ctx *ctx, void *state, const sn_block *block)
{
	square *s = state;
	(void)ctx;
	if (block->row[0] != s->row) return SN_OK;
	int64_t n_key = block->x.dim[1];
	for (int64_t h = 0; h < block->x.dim[0]; h++)
		memcpy(s->x + (h * s->n_query + block->pos[0]) * s->n_key, (float *)block->x.data + h * n_key,
		       (size_t)n_key * sizeof(float));
	return SN_OK;
}

static const sn_sink square_sink = { .size = sizeof(square), .take = square_take };

static sn_status run_tap(site_oracle *o, const sn_site *site, const sn_sink *sink, void *state)
{
	sn_tap tap = { .at = *site, .where = { .sel = SN_ALL }, .sink = sink, .state = state };
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
	return sn_run(o->ctx, o->model, &o->batch, &plan, NULL, NULL);
}

/* Relative error over what is not masked (-inf in the file), counting the rest as never written. */
static double compare(const float *x, const float *expected, int64_t n)
{
	double diff = 0, norm = 0;
	for (int64_t i = 0; i < n; i++) {
		if (isinf(expected[i])) continue;
		diff += ((double)x[i] - expected[i]) * ((double)x[i] - expected[i]);
		norm += (double)expected[i] * expected[i];
	}
	return sqrt(norm > 0 ? diff / norm : diff);
}

void site_oracle_open(site_oracle *o, sn_ctx *ctx, const char *folder, const char *file)
{
	char path[512];
	*o = (site_oracle){ .ctx = ctx, .site = "" };
	assert_ok(ctx, sn_arena_open(&o->arena, ctx));
	snprintf(path, sizeof path, "%s/sites.safetensors", folder);
	assert_ok(ctx, sn_safetensors_open(&o->file, ctx, path));
	snprintf(path, sizeof path, "%s%s%s", folder, *file ? "/" : "", file);
	assert_ok(ctx, sn_model_open(&o->model, ctx, path));
	const sn_safetensor *start = sn_safetensors_find(o->file, "start");
	o->batch = (sn_batch){ .n = (int32_t)start->count - 1,
	                       .token = (const int32_t *)sn_safetensors_find(o->file, "tokens")->data,
	                       .start = (const int64_t *)start->data };
}

void site_oracle_close(site_oracle *o)
{
	sn_model_close(o->model);
	sn_safetensors_close(o->file);
	sn_arena_close(o->arena);
}

/* Returns the row's values of a site as [n, width], or [heads, queries, keys] for scores and patterns. */
static const float *tap_row(site_oracle *o, const sn_safetensor *t, const sn_site *site, int row)
{
	int64_t n = o->batch.start[row + 1] - o->batch.start[row], width = sn_site_width(o->model, site);
	if (width == 0) {
		square s = { SN_TAKE(o->arena, float, t->count), t->dim[1], t->dim[2], row };
		assert_ok(o->ctx, run_tap(o, site, &square_sink, &s));
		return s.x;
	}
	int64_t places = o->batch.start[o->batch.n];
	sn_keep keep = { SN_TAKE(o->arena, float, places * width), places, width };
	assert_int_equal(t->count, n * width);
	assert_ok(o->ctx, run_tap(o, site, &sn_sink_keep, &keep));
	return keep.x + o->batch.start[row] * width;
}

/* Returns whether the tensor is a site's value. */
static bool check_tensor(site_oracle *o, const sn_safetensor *t)
{
	int row, used = 0;
	if (sscanf(t->name, "row%d/%n", &row, &used) != 1 || !used || !strstr(t->name, "hook")) return false;
	sn_site site;
	assert_ok(o->ctx, sn_site_parse(o->ctx, o->model, t->name + used, &site));
	double error = compare(tap_row(o, t, &site, row), (const float *)t->data, t->count);
	if (!(error <= 1e-5)) fail_msg("%s: relative error %g", t->name, error);
	if (error > o->worst) {
		o->worst = error;
		o->site = t->name;
	}
	return true;
}

int64_t site_oracle_sites(site_oracle *o)
{
	int64_t checked = 0;
	for (int64_t i = 0; i < sn_safetensors_count(o->file); i++)
		checked += check_tensor(o, sn_safetensors_at(o->file, i));
	return checked;
}

static void check_claim(site_oracle *o, const sn_site *site)
{
	char name[96], key[112];
	sn_site_format(site, name, sizeof name);
	snprintf(key, sizeof key, "row0/%s", name);
	if (!sn_safetensors_find(o->file, key)) fail_msg("the model has %s, the oracle does not", name);
}

void site_oracle_claims(site_oracle *o)
{
	char pattern[96];
	sn_site *site;
	for (int kind = 1; kind < SN_SITE_COUNT; kind++) {
		int n = 0, found = 0;
		for (int in_block = 0; in_block < 2; in_block++) {
			snprintf(pattern, sizeof pattern, "%s%s", in_block ? "blocks.*." : "", sn_site_name((sn_site_kind)kind));
			if (sn_site_expand(o->ctx, o->model, pattern, o->arena, &site, &n)) continue;
			for (int i = 0; i < n; i++) check_claim(o, &site[i]);
			found++;
		}
		assert_true(found <= 1);
	}
}

void site_oracle_loss(site_oracle *o)
{
	const sn_safetensor *t = sn_safetensors_find(o->file, "loss");
	if (!t) return;
	sn_goal goal = { .metric = SN_LOSS, .where = { .sel = SN_ALL } };
	sn_plan plan = { .size = sizeof plan, .n_goal = 1, .goal = &goal };
	double loss[8];
	assert_ok(o->ctx, sn_run(o->ctx, o->model, &o->batch, &plan, NULL, loss));
	for (int b = 0; b < o->batch.n; b++) {
		int64_t n = o->batch.start[b + 1] - o->batch.start[b] - 1;
		if (n > 0) assert_true(fabs(loss[b] / (double)n - ((const double *)t->data)[b]) < 1e-5);
		else assert_true(loss[b] == 0);
	}
}

/* score: [n_vocab][rows]. */
static void compare_logits(const site_oracle *o, int row, int64_t n_vocab, const double *score)
{
	char name[32];
	snprintf(name, sizeof name, "row%d/logits", row);
	const sn_safetensor *t = sn_safetensors_find(o->file, name);
	for (int64_t v = 0; v < n_vocab; v++) {
		double sum = 0, size = 1, found = score[v * o->batch.n + row];
		for (int64_t i = v; i < t->count; i += n_vocab) {
			sum += ((const float *)t->data)[i];
			size += fabs(((const float *)t->data)[i]);
		}
		if (!(fabs(found - sum) <= 1e-5 * size))
			fail_msg("row %d: logits of token %lld sum to %g, not %g", row, (long long)v, found, sum);
	}
}

void site_oracle_logits(site_oracle *o)
{
	if (!sn_safetensors_find(o->file, "loss")) return;
	int64_t n_vocab = sn_model_get_info(o->model)->d_vocab;
	int32_t *id = SN_TAKE(o->arena, int32_t, n_vocab);
	sn_goal *goal = SN_TAKE(o->arena, sn_goal, n_vocab);
	double *score = SN_TAKE(o->arena, double, n_vocab * o->batch.n);
	for (int32_t v = 0; v < n_vocab; v++) {
		id[v] = v;
		goal[v] = (sn_goal){ .metric = SN_LOGIT, .where = { .sel = SN_ALL }, .want = &id[v], .n_want = 1 };
	}
	sn_plan plan = { .size = sizeof plan, .n_goal = (int)n_vocab, .goal = goal };
	assert_ok(o->ctx, sn_run(o->ctx, o->model, &o->batch, &plan, NULL, score));
	for (int b = 0; b < o->batch.n; b++) compare_logits(o, b, n_vocab, score);
}
