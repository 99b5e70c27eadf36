/* Every site, the logits and the loss of the tiny models against PyTorch, from both file formats. */
#include "common/test.h"

#include "io/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct fixture { sn_ctx *ctx; sn_arena *arena; sn_model *model; sn_safetensors *file; sn_batch batch;
                         double worst; } fixture;

/* Attention rows come a place at a time: each query's keys go to their rows of [heads, n, n]. */
typedef struct square { float *x; int32_t n, row; } square;

static sn_status square_take(sn_ctx *ctx, void *state, const sn_block *block)
{
	square *s = state;
	(void)ctx;
	if (block->row[0] != s->row) return SN_OK;
	int64_t n_key = block->x.dim[1];
	for (int64_t h = 0; h < block->x.dim[0]; h++)
		memcpy(s->x + (h * s->n + block->pos[0]) * s->n, (float *)block->x.data + h * n_key,
		       (size_t)n_key * sizeof(float));
	return SN_OK;
}

static const sn_sink square_sink = { .size = sizeof(square), .take = square_take };

static sn_status run_tap(fixture *f, const sn_site *site, const sn_sink *sink, void *state)
{
	sn_tap tap = { .at = *site, .where = { .sel = SN_ALL }, .sink = sink, .state = state };
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
	return sn_run(f->ctx, f->model, &f->batch, &plan, NULL, NULL);
}

/* Largest error, counting masked scores (-inf in the file) as equal to the zeros never written. */
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

static void check_tensor(fixture *f, const sn_safetensor *t)
{
	int row, used = 0;
	if (sscanf(t->name, "row%d/%n", &row, &used) != 1 || !used || !strstr(t->name, "hook")) return;
	sn_site site;
	assert_ok(f->ctx, sn_site_parse(f->ctx, f->model, t->name + used, &site));
	int64_t n = f->batch.start[row + 1] - f->batch.start[row], width = sn_site_width(f->model, &site);
	float *x;
	if (width == 0) {
		x = SN_TAKE(f->arena, float, t->count);
		square s = { x, (int32_t)n, row };
		assert_ok(f->ctx, run_tap(f, &site, &square_sink, &s));
	} else {
		sn_keep keep = { SN_TAKE(f->arena, float, f->batch.start[f->batch.n] * width), f->batch.start[f->batch.n],
		                 width };
		assert_int_equal(t->count, n * width);
		assert_ok(f->ctx, run_tap(f, &site, &sn_sink_keep, &keep));
		x = keep.x + f->batch.start[row] * width;
	}
	double error = compare(x, (const float *)t->data, t->count);
	if (!(error <= 1e-5)) fail_msg("%s: relative error %g", t->name, error);
	f->worst = error > f->worst ? error : f->worst;
}

static void check_loss(fixture *f)
{
	sn_goal goal = { .metric = SN_LOSS, .where = { .sel = SN_ALL } };
	sn_plan plan = { .size = sizeof plan, .n_goal = 1, .goal = &goal };
	double loss[8];
	assert_ok(f->ctx, sn_run(f->ctx, f->model, &f->batch, &plan, NULL, loss));
	const double *expected = (const double *)sn_safetensors_find(f->file, "loss")->data;
	for (int b = 0; b < f->batch.n; b++) {
		int64_t n = f->batch.start[b + 1] - f->batch.start[b] - 1;
		if (n > 0) assert_true(fabs(loss[b] / (double)n - expected[b]) < 1e-5);
		else assert_true(loss[b] == 0);
	}
}

static void check_model(sn_ctx *ctx, const char *variant, const char *file)
{
	fixture f = { .ctx = ctx };
	char path[512];
	assert_ok(ctx, sn_arena_open(&f.arena, ctx));
	snprintf(path, sizeof path, SN_TESTS "/golden/tiny/%s/sites.safetensors", variant);
	assert_ok(ctx, sn_safetensors_open(&f.file, ctx, path));
	snprintf(path, sizeof path, SN_TESTS "/golden/tiny/%s%s", variant, file);
	assert_ok(ctx, sn_model_open(&f.model, ctx, path));
	const sn_safetensor *start = sn_safetensors_find(f.file, "start");
	f.batch = (sn_batch){ .n = (int32_t)start->count - 1,
	                      .token = (const int32_t *)sn_safetensors_find(f.file, "tokens")->data,
		                  .start = (const int64_t *)start->data };
	int64_t checked = 0;
	for (int64_t i = 0; i < sn_safetensors_count(f.file); i++, checked++)
		check_tensor(&f, sn_safetensors_at(f.file, i));
	assert_true(checked > 20);
	check_loss(&f);
	print_message("%s%s: largest relative error of a site %.1e\n", variant, file, f.worst);
	sn_model_close(f.model);
	sn_safetensors_close(f.file);
	sn_arena_close(f.arena);
}

static void sites_agree_with_pytorch(void **state)
{
	static const char *const variant[] = { "gqa-tied", "gqa-untied", "mha-untied", "rope-theta", "quantised" };
	for (int i = 0; i < SN_COUNT(variant); i++) {
		check_model(test_ctx(state), variant[i], "/model.gguf");
		check_model(test_ctx(state), variant[i], "");
	}
}

static void weights_by_head_rebuild_results(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	sn_model *model;
	sn_safetensors *file;
	sn_tensor w;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	assert_ok(ctx, sn_model_open(&model, ctx, SN_TESTS "/golden/tiny/gqa-tied/model.gguf"));
	assert_ok(ctx, sn_safetensors_open(&file, ctx, SN_TESTS "/golden/tiny/gqa-tied/sites.safetensors"));
	const float *z = (const float *)sn_safetensors_find(file, "row0/blocks.1.attn.hook_z")->data;
	const float *result = (const float *)sn_safetensors_find(file, "row0/blocks.1.attn.hook_result")->data;
	for (int h = 0; h < 4; h++) {
		assert_ok(ctx, sn_weight(ctx, model, SN_W_O, 1, h, arena, &w));
		assert_true(w.dim[0] == 4 && w.dim[1] == 16);
		const float *x = w.data;
		for (int j = 0; j < 16; j++) {
			double sum = 0;
			for (int i = 0; i < 4; i++) sum += (double)z[h * 4 + i] * x[i * 16 + j];
			assert_true(fabs(sum - result[h * 16 + j]) < 1e-5);
		}
	}
	const float *in = (const float *)sn_safetensors_find(file, "row0/blocks.1.attn.q.hook_in")->data;
	const float *k = (const float *)sn_safetensors_find(file, "row0/blocks.1.attn.hook_k")->data;
	assert_ok(ctx, sn_weight(ctx, model, SN_W_K, 1, 1, arena, &w));
	for (int j = 0; j < 4; j++) {
		double sum = 0;
		for (int i = 0; i < 16; i++) sum += (double)in[i] * ((float *)w.data)[i * 4 + j];
		assert_true(fabs(sum - k[4 + j]) < 1e-5);
	}
	assert_int_equal(sn_weight(ctx, model, SN_W_K, 1, 2, arena, &w), SN_EARG);
	sn_safetensors_close(file);
	sn_model_close(model);
	sn_arena_close(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sites_agree_with_pytorch),
		cmocka_unit_test(weights_by_head_rebuild_results),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
