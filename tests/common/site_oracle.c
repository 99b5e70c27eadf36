#include "common/site_oracle.h"

#include "model/site.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_ROWS = 8 };

/* Attention rows come a place at a time: each query's keys go to their rows of [heads, queries, keys]. */
typedef struct square { float *x; int64_t n_query, n_key; } square;

static sn_status square_take(sn_ctx *ctx, void *state, const sn_block *block)
{
	const square *s = (square *)state + block->row[0];
	int64_t n_key = block->x.dim[1];
	(void)ctx;
	if (!s->x) return SN_OK;
	for (int64_t h = 0; h < block->x.dim[0]; h++)
		memcpy(s->x + (h * s->n_query + block->pos[0]) * s->n_key, (float *)block->x.data + h * n_key,
		       (size_t)SN_MIN(n_key, s->n_key) * sizeof(float));
	return SN_OK;
}

static const sn_sink square_sink = { .size = sizeof(square) * MAX_ROWS, .take = square_take };

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

/* Reads the rows PREFIXtokens, PREFIXstart; false where the file has none. */
static bool read_rows(const site_oracle *o, const char *prefix, sn_batch *out)
{
	char name[32];
	snprintf(name, sizeof name, "%sstart", prefix);
	const sn_stored *start = sn_tensor_file_find(o->file, name);
	if (!start) return false;
	snprintf(name, sizeof name, "%stokens", prefix);
	*out = (sn_batch){ .n = (int32_t)start->count - 1, .start = (const int64_t *)start->data,
	                   .token = (const int32_t *)sn_tensor_file_find(o->file, name)->data };
	assert_true(out->n <= MAX_ROWS);
	return true;
}

void site_oracle_open(site_oracle *o, sn_ctx *ctx, const char *folder, const char *file)
{
	char path[512];
	*o = (site_oracle){ .ctx = ctx, .site = "" };
	assert_ok(ctx, sn_arena_open(&o->arena, ctx));
	snprintf(path, sizeof path, "%s/sites.safetensors", folder);
	assert_ok(ctx, sn_tensor_file_open(&o->file, ctx, path));
	snprintf(path, sizeof path, "%s%s%s", folder, *file ? "/" : "", file);
	assert_ok(ctx, sn_model_open(&o->model, ctx, path));
	assert_true(read_rows(o, "", &o->batch));
	if (read_rows(o, "enc_", &o->encoder)) o->batch.enc = &o->encoder;
}

void site_oracle_close(site_oracle *o)
{
	sn_model_close(o->model);
	sn_tensor_file_close(o->file);
	sn_arena_close(o->arena);
}

static const sn_stored *find_row(const site_oracle *o, int row, const char *site)
{
	char name[112];
	snprintf(name, sizeof name, "row%d/%s", row, site);
	return sn_tensor_file_find(o->file, name);
}

static void check_row(site_oracle *o, const sn_stored *t, const float *x)
{
	double error = compare(x, (const float *)t->data, t->count);
	if (!(error <= 1e-5)) fail_msg("%s: relative error %g", t->name, error);
	if (error > o->worst) {
		o->worst = error;
		o->site = t->name;
	}
}

static void check_square(site_oracle *o, const char *name, const sn_site *site)
{
	square s[MAX_ROWS] = { { NULL, 0, 0 } };
	for (int row = 0; row < o->batch.n; row++) {
		const sn_stored *t = find_row(o, row, name);
		if (t) s[row] = (square){ SN_TAKE(o->arena, float, t->count), t->dim[1], t->dim[2] };
	}
	assert_ok(o->ctx, run_tap(o, site, &square_sink, s));
	for (int row = 0; row < o->batch.n; row++)
		if (s[row].x) check_row(o, find_row(o, row, name), s[row].x);
}

/* The encoder's sites and what cross-attention makes of its output have the encoder's places. */
static bool of_encoder(const char *name)
{
	return strncmp(name, "encoder.", 8) == 0 || strstr(name, "cross_attn.k.") || strstr(name, "cross_attn.hook_k") ||
		   strstr(name, "cross_attn.hook_v");
}

static void check_places(site_oracle *o, const char *name, const sn_site *site, int64_t width)
{
	const sn_batch *rows = of_encoder(name) ? &o->encoder : &o->batch;
	int64_t n = rows->start[rows->n];
	sn_keep keep = { SN_TAKE(o->arena, float, n * width), n, width };
	assert_ok(o->ctx, run_tap(o, site, &sn_sink_keep, &keep));
	for (int row = 0; row < rows->n; row++) {
		const sn_stored *t = find_row(o, row, name);
		if (!t) continue;
		assert_int_equal(t->count, (rows->start[row + 1] - rows->start[row]) * width);
		check_row(o, t, keep.x + rows->start[row] * width);
	}
}

int64_t site_oracle_sites(site_oracle *o)
{
	int64_t checked = 0;
	for (int64_t i = 0; i < sn_tensor_file_count(o->file); i++) {
		const char *name = sn_tensor_file_at(o->file, i)->name;
		if (strncmp(name, "row", 3) != 0 || !strstr(name, "hook")) continue;
		const char *site_name = strchr(name, '/') + 1;
		assert_non_null(find_row(o, 0, site_name));
		if (name[3] != '0') continue;
		sn_site site;
		assert_ok(o->ctx, sn_site_parse(o->ctx, o->model, site_name, &site));
		int64_t width = sn_site_width(o->model, &site);
		if (width == 0) check_square(o, site_name, &site);
		else check_places(o, site_name, &site, width);
		checked++;
	}
	return checked;
}

/* Some files keep the residual streams only. */
static bool has_all(const site_oracle *o)
{
	return find_row(o, 0, "blocks.0.attn.hook_z") || find_row(o, 0, "decoder.blocks.0.attn.hook_z");
}

static void check_claim(site_oracle *o, const sn_site *site)
{
	char name[96];
	sn_site_format(site, name, sizeof name);
	if (!find_row(o, 0, name)) fail_msg("the model has %s, the oracle does not", name);
}

void site_oracle_claims(site_oracle *o)
{
	if (!has_all(o)) return;
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
	const sn_stored *t = sn_tensor_file_find(o->file, "loss");
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
	const sn_stored *t = sn_tensor_file_find(o->file, name);
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
	if (!sn_tensor_file_find(o->file, "loss")) return;
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
