/* Every site, the logits and the loss of the tiny models against PyTorch, from both file formats. */
#include "common/site_oracle.h"

#include <math.h>
#include <stdio.h>

static void check_model(sn_ctx *ctx, const char *variant, const char *file)
{
	site_oracle o;
	char folder[512];
	snprintf(folder, sizeof folder, SN_TESTS "/golden/tiny/%s", variant);
	site_oracle_open(&o, ctx, folder, file);
	assert_true(site_oracle_sites(&o) >= 8);
	site_oracle_loss(&o);
	print_message("%s/%s: largest relative error of a site %.1e\n", variant, file, o.worst);
	site_oracle_close(&o);
}

static void sites_agree_with_pytorch(void **state)
{
	static const char *const variant[] = { "gqa-tied", "gqa-untied", "mha-untied", "rope-theta", "quantised" };
	for (int i = 0; i < SN_COUNT(variant); i++) {
		check_model(test_ctx(state), variant[i], "model.gguf");
		check_model(test_ctx(state), variant[i], "");
	}
}

static void weights_by_head_rebuild_results(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	sn_model *model;
	sn_tensor_file *file;
	sn_tensor w;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	assert_ok(ctx, sn_model_open(&model, ctx, SN_TESTS "/golden/tiny/gqa-tied/model.gguf"));
	assert_ok(ctx, sn_tensor_file_open(&file, ctx, SN_TESTS "/golden/tiny/gqa-tied/sites.safetensors"));
	const float *z = (const float *)sn_tensor_file_find(file, "row0/blocks.1.attn.hook_z")->data;
	const float *result = (const float *)sn_tensor_file_find(file, "row0/blocks.1.attn.hook_result")->data;
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
	const float *in = (const float *)sn_tensor_file_find(file, "row0/blocks.1.attn.q.hook_in")->data;
	const float *k = (const float *)sn_tensor_file_find(file, "row0/blocks.1.attn.hook_k")->data;
	assert_ok(ctx, sn_weight(ctx, model, SN_W_K, 1, 1, arena, &w));
	for (int j = 0; j < 4; j++) {
		double sum = 0;
		for (int i = 0; i < 16; i++) sum += (double)in[i] * ((float *)w.data)[i * 4 + j];
		assert_true(fabs(sum - k[4 + j]) < 1e-5);
	}
	assert_int_equal(sn_weight(ctx, model, SN_W_K, 1, 2, arena, &w), SN_EARG);
	sn_tensor_file_close(file);
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
