/* Attribution patching on the tiny models: every estimate that PyTorch's autograd made, and what must hold. */
#include "common/pair_items.h"
#include "model/estimate.h"

#include <math.h>
#include <string.h>

enum { MOST = 4096 };

typedef struct world {
	sn_ctx *ctx;
	sn_arena *arena;
	sn_model *model;
	sn_json *json;
	pair_items p;
} world;

static void open_world(world *w, void **state, const char *variant)
{
	char path[512];
	w->ctx = test_ctx(state);
	assert_ok(w->ctx, sn_arena_open(&w->arena, w->ctx));
	sn_format(path, sizeof path, SN_TESTS "/golden/tiny/%s", variant);
	assert_ok(w->ctx, sn_model_open(&w->model, w->ctx, path));
	sn_format(path, sizeof path, SN_TESTS "/golden/estimates/tiny-%s.json", variant);
	assert_ok(w->ctx, sn_json_load(&w->json, w->ctx, path, 0));
	pair_items_load(&w->p, w->json->root);
}

static void close_world(world *w)
{
	sn_json_close(w->json);
	sn_model_close(w->model);
	sn_arena_close(w->arena);
}

static sn_spot spot_at(world *w, const char *site, int head, sn_place place, int arg)
{
	sn_spot spot = { .place = place, .arg = arg };
	assert_ok(w->ctx, sn_site_parse(w->ctx, w->model, site, &spot.site));
	spot.site.head = (int16_t)(head + 1);
	return spot;
}

typedef struct wanted { sn_spot spot[MOST]; double value[MOST]; int n; } wanted;

/* Each site's places, and behind vectors of heads each head. */
static void read_wanted(world *w, const json_t *grid, sn_place place, wanted *out)
{
	const char *site;
	json_t *places;
	out->n = 0;
	json_object_foreach((json_t *)grid, site, places)
		for (size_t p = 0; p < json_array_size(places); p++) {
			const json_t *cell = json_array_get(places, p);
			int heads = json_is_array(cell) ? (int)json_array_size(cell) : 1;
			for (int h = 0; h < heads; h++, out->n++) {
				assert_true(out->n < MOST);
				out->spot[out->n] = spot_at(w, site, json_is_array(cell) ? h : -1, place, (int)p);
				out->value[out->n] =
					json_number_value(json_is_array(cell) ? json_array_get(cell, (size_t)h) : cell);
			}
		}
}

static const sn_estimate_how at_base;

static void check(world *w, const json_t *grid, sn_place place, int steps)
{
	static wanted want;
	sn_exchange out;
	read_wanted(w, grid, place, &want);
	assert_true(want.n > 50);
	assert_ok(w->ctx, sn_interchange_estimate(&out, w->ctx, w->model, &w->p.items, w->p.pair, 2, want.spot, want.n,
											  (sn_estimate_how){ .steps = steps }, w->arena));
	for (int i = 0; i < want.n; i++)
		if (!(fabs(out.ld[i] - out.base[0] - want.value[i]) < 3e-5 * fmax(1, 0.2 * fabs(want.value[i]))))
			fail_msg("estimate %d of %d steps: %.7g, expected %.7g", i, steps, out.ld[i] - out.base[0], want.value[i]);
}

static void estimates_equal_pytorchs(void **state)
{
	static const char *const variant[] = { "gqa-tied", "gqa-untied" };
	for (int v = 0; v < SN_COUNT(variant); v++) {
		world w;
		open_world(&w, state, variant[v]);
		check(&w, json_object_get(w.json->root, "at_base"), SN_PLACE_AT, 0);
		check(&w, json_object_get(w.json->root, "along"), SN_PLACE_AT,
			  (int)json_integer_value(json_object_get(w.json->root, "steps")));
		close_world(&w);
	}
}

/* A source of another length: last tokens of roles find each other, other places have no counterpart. */
static void lengths_may_differ_at_last_tokens(void **state)
{
	world w;
	int32_t span[32][2];
	open_world(&w, state, "gqa-tied");
	const json_t *unequal = json_object_get(w.json->root, "unequal"), *places = json_object_get(unequal, "places");
	pair_items_unequal(&w.p, unequal, span);
	check(&w, json_object_get(unequal, "at_base"), SN_PLACE_ROLE_LAST, 0);
	sn_spot spot = spot_at(&w, "blocks.0.hook_resid_pre", -1, SN_PLACE_AT, 1);
	sn_exchange out;
	assert_ok(w.ctx,
			  sn_interchange_estimate(&out, w.ctx, w.model, &w.p.items, w.p.pair, 2, &spot, 1, at_base, w.arena));
	assert_true(isnan(out.ld[0]) && isfinite(out.base[0]) && out.base[0] == out.source[1]);
	spot = spot_at(&w, "blocks.0.hook_resid_pre", -1, SN_PLACE_ROLE_LAST, 0);
	assert_ok(w.ctx, sn_interchange_estimate(&out, w.ctx, w.model, &w.p.items, w.p.pair, 2, &spot, 1,
											 (sn_estimate_how){ .steps = 4 }, w.arena));
	assert_true(isnan(out.ld[0]));
	assert_int_equal(json_array_size(places), 4);
	close_world(&w);
}

/* Completeness: at the embeddings the positions' shares sum to what the whole sentence changes. */
static void steps_sum_to_the_whole_change(void **state)
{
	world w;
	sn_spot spot[6];
	double gap[2];
	open_world(&w, state, "gqa-untied");
	for (int i = 0; i < 6; i++) spot[i] = spot_at(&w, "hook_embed", -1, SN_PLACE_AT, i);
	for (int k = 0; k < 2; k++) {
		sn_exchange out;
		assert_ok(w.ctx, sn_interchange_estimate(&out, w.ctx, w.model, &w.p.items, w.p.pair, 2, spot, 6,
												 (sn_estimate_how){ .steps = k ? 256 : 16 }, w.arena));
		double sum = 0;
		for (int i = 0; i < 6; i++) sum += out.ld[i] - out.base[0];
		gap[k] = fabs(sum - (out.source[0] - out.base[0]));
		for (int i = 0; i < 6; i++) /* the way back is the same way */
			assert_true(fabs(out.ld[6 + i] - out.base[1] + out.ld[i] - out.base[0]) < 1e-5);
	}
	assert_true(gap[1] < 1e-3 && gap[1] < gap[0] / 10);
	close_world(&w);
}

static void bad_input_is_named(void **state)
{
	world w;
	sn_exchange out;
	open_world(&w, state, "gqa-tied");
	sn_spot spot = spot_at(&w, "blocks.1.attn.hook_pattern", -1, SN_PLACE_AT, 1);
	assert_int_equal(
		sn_interchange_estimate(&out, w.ctx, w.model, &w.p.items, w.p.pair, 2, &spot, 1, at_base, w.arena), SN_EARG);
	sn_pair beyond = { 0, 7, SN_PAIR_MAIN };
	spot = spot_at(&w, "blocks.1.hook_resid_pre", -1, SN_PLACE_AT, 1);
	assert_int_equal(sn_interchange_estimate(&out, w.ctx, w.model, &w.p.items, &beyond, 1, &spot, 1, at_base, w.arena),
					 SN_EARG);
	w.p.items.n_choice = 0;
	assert_int_equal(
		sn_interchange_estimate(&out, w.ctx, w.model, &w.p.items, w.p.pair, 2, &spot, 1, at_base, w.arena), SN_EARG);
	close_world(&w);
}

/* himself or herself: the logarithm of a sum is what is differentiated. */
static void alternatives_add_up_in_gradients_too(void **state)
{
	world w;
	sn_spot spot[6];
	sn_exchange out;
	open_world(&w, state, "gqa-untied");
	w.p.choice = (sn_choice){ .form = { 3, 8 }, .n_more = { 1, 2 }, .more = { { 11 }, { 20, 25 } } };
	for (int i = 0; i < 6; i++) spot[i] = spot_at(&w, "hook_embed", -1, SN_PLACE_AT, i);
	assert_ok(w.ctx, sn_interchange_estimate(&out, w.ctx, w.model, &w.p.items, w.p.pair, 2, spot, 6,
											 (sn_estimate_how){ .steps = 256 }, w.arena));
	double sum = 0;
	for (int i = 0; i < 6; i++) sum += out.ld[i] - out.base[0];
	sn_exchange whole;
	assert_ok(w.ctx,
			  sn_interchange(&whole, w.ctx, w.model, &w.p.items, w.p.pair, 2, NULL, 0, false, w.arena));
	assert_true(fabs(whole.base[0] - out.base[0]) < 1e-5 && fabs(whole.source[0] - out.source[0]) < 1e-5);
	assert_true(fabs(sum - (out.source[0] - out.base[0])) < 1e-3);
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(estimates_equal_pytorchs, test_open, test_close),
		cmocka_unit_test_setup_teardown(lengths_may_differ_at_last_tokens, test_open, test_close),
		cmocka_unit_test_setup_teardown(steps_sum_to_the_whole_change, test_open, test_close),
		cmocka_unit_test_setup_teardown(alternatives_add_up_in_gradients_too, test_open, test_close),
		cmocka_unit_test_setup_teardown(bad_input_is_named, test_open, test_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
