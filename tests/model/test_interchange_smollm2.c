/* Interchange on SmolLM2, every layer boundary and position, against PyTorch in double precision. */
#include "common/pair_items.h"
#include "model/interchange.h"

#include <math.h>

#define MODEL SN_MODELS "/SmolLM2-135M-Instruct.Q4_1.gguf"

static void every_cell_equals_pytorchs(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	sn_model *model;
	sn_json *json;
	static pair_items p;
	static sn_patch patch[1024];
	double want[1024];
	int n = 0;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	assert_ok(ctx, sn_model_open(&model, ctx, MODEL));
	assert_ok(ctx, sn_json_load(&json, ctx, SN_TESTS "/golden/interchange/smollm2.json", 0));
	pair_items_load(&p, json->root);
	const json_t *grid = json_object_get(json_object_get(json->root, "grids"), "hook_resid_pre");
	int n_block = sn_model_get_info(model)->n_layer, n_token = (int)p.start[1];
	for (int l = 0; l <= n_block; l++)
		for (int pos = 0; pos < n_token; pos++, n++) {
			const json_t *row =
				l < n_block ? json_array_get(grid, (size_t)l) : json_object_get(json->root, "last_resid_post");
			patch[n].spot = sn_spot_role(model, l, 0);
			patch[n].spot.place = SN_PLACE_AT;
			patch[n].spot.arg = pos;
			want[n] = pair_items_difference(json_array_get(row, (size_t)pos));
		}
	sn_exchange out;
	assert_ok(ctx, sn_interchange(&out, ctx, model, &p.items, p.pair, 1, patch, n, false, arena));
	for (int i = 0; i < n; i++)
		if (!(fabs(out.ld[i] - want[i]) < 1e-3))
			fail_msg("boundary %d, position %d: %g, expected %g", i / n_token, i % n_token, out.ld[i], want[i]);
	sn_json_close(json);
	sn_model_close(model);
	sn_arena_close(arena);
}

int main(void)
{
	test_need_file(MODEL);
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_cell_equals_pytorchs) };
	return cmocka_run_group_tests(tests, test_open, test_close);
}
