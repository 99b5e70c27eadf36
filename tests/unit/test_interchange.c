/* Interchange on the tiny models: every cell of the grids that PyTorch computed by brute force, and two identities. */
#include "common/pair_items.h"
#include "model/choice.h"
#include "model/interchange.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct world {
	sn_ctx *ctx;
	sn_arena *arena;
	sn_model *model;
	sn_json *json;
	pair_items p;
	int n; /* tokens */
} world;

static void open_world(world *w, void **state, const char *variant)
{
	char path[512];
	w->ctx = test_ctx(state);
	assert_ok(w->ctx, sn_arena_open(&w->arena, w->ctx));
	snprintf(path, sizeof path, SN_TESTS "/golden/tiny/%s", variant);
	assert_ok(w->ctx, sn_model_open(&w->model, w->ctx, path));
	snprintf(path, sizeof path, SN_TESTS "/golden/interchange/tiny-%s.json", variant);
	assert_ok(w->ctx, sn_json_load(&w->json, w->ctx, path, 0));
	pair_items_load(&w->p, w->json->root);
	w->n = (int)w->p.start[1];
}

static void close_world(world *w)
{
	sn_json_close(w->json);
	sn_model_close(w->model);
	sn_arena_close(w->arena);
}

static sn_patch patch_at(const world *w, const char *site, int layer, int head, int pos)
{
	char text[128];
	sn_patch patch = { .spot = { .place = SN_PLACE_AT, .arg = pos } };
	snprintf(text, sizeof text, "blocks.%d.%s", layer, site);
	assert_ok(w->ctx, sn_site_parse(w->ctx, w->model, text, &patch.spot.site));
	patch.spot.site.head = (int16_t)(head + 1);
	return patch;
}

/* All cells of one hook in one call; by_head: the lists hold a list of heads. */
static void check_grid(world *w, const char *hook, const json_t *grid, bool by_head)
{
	static sn_patch patch[1024];
	static double want[1024];
	int n = 0;
	for (int l = 0; l < (int)json_array_size(grid); l++)
		for (int pos = 0; pos < w->n; pos++) {
			const json_t *cell = json_array_get(json_array_get(grid, (size_t)l), (size_t)pos);
			int heads = by_head ? (int)json_array_size(cell) : 1;
			for (int h = 0; h < heads; h++, n++) {
				assert_true(n < SN_COUNT(patch));
				patch[n] = patch_at(w, hook, l, by_head ? h : -1, pos);
				want[n] = pair_items_difference(by_head ? json_array_get(cell, (size_t)h) : cell);
			}
		}
	sn_exchange out;
	assert_ok(w->ctx, sn_interchange(&out, w->ctx, w->model, &w->p.items, w->p.pair, 1, patch, n, true, w->arena));
	assert_true(fabs(out.base[0] - pair_items_difference(json_object_get(w->json->root, "base_logits"))) < 1e-5);
	assert_true(fabs(out.source[0] - pair_items_difference(json_object_get(w->json->root, "source_logits"))) < 1e-5);
	for (int i = 0; i < n; i++) {
		if (!(fabs(out.ld[i] - want[i]) < 2e-5))
			fail_msg("%s cell %d: %.9g, expected %.9g", hook, i, out.ld[i], want[i]);
		assert_true(out.each[i] == out.ld[i]);
	}
}

static void grids_equal_pytorchs(void **state)
{
	static const char *const variant[] = { "gqa-tied", "gqa-untied", "mha-untied", "rope-theta" };
	for (int v = 0; v < SN_COUNT(variant); v++) {
		world w;
		const char *hook;
		json_t *grid;
		open_world(&w, state, variant[v]);
		json_object_foreach(json_object_get(w.json->root, "grids"), hook, grid) check_grid(&w, hook, grid, false);
		json_object_foreach(json_object_get(w.json->root, "heads"), hook, grid) check_grid(&w, hook, grid, true);
		close_world(&w);
	}
}

/* The whole residual stream of a layer taken from the source gives the source's logits; from itself, the base's to the
 * bit. */
static void whole_residual_is_the_source(void **state)
{
	world w;
	open_world(&w, state, "gqa-tied");
	const sn_model_info *info = sn_model_get_info(w.model);
	int32_t span[2][2] = { { 0, w.n }, { 0, w.n } }; /* a role that holds everything */
	static const char *const role[] = { "all" };
	w.p.items.n_role = 1;
	w.p.items.role = role;
	w.p.items.span = (const int32_t(*)[2])span;
	sn_patch patch[16];
	int n = 0;
	for (int l = 0; l <= info->n_layer; l++) patch[n++].spot = sn_spot_role(w.model, l, 0);
	for (int l = 0; l < n; l++) patch[l].U = patch[l].V = NULL;
	sn_exchange out;
	assert_ok(w.ctx, sn_interchange(&out, w.ctx, w.model, &w.p.items, w.p.pair, 2, patch, n, false, w.arena));
	for (int p = 0; p < 2; p++)
		for (int l = 0; l < n; l++) assert_true(fabs(out.ld[p * n + l] - out.source[p]) < 1e-5);
	sn_pair self = { 0, 0, SN_PAIR_MAIN };
	assert_ok(w.ctx, sn_interchange(&out, w.ctx, w.model, &w.p.items, &self, 1, patch, n, false, w.arena));
	for (int l = 0; l < n; l++) assert_true(out.ld[l] == out.base[0]);
	close_world(&w);
}

static void check_unequal(world *w, const char *hook, const json_t *grid)
{
	sn_patch patch[16];
	sn_exchange out;
	int n = 0, n_role = w->p.items.n_role;
	for (int l = 0; l < (int)json_array_size(grid); l++)
		for (int r = 0; r < n_role; r++) {
			patch[n] = patch_at(w, hook, l, -1, r);
			patch[n++].spot.place = SN_PLACE_ROLE_LAST;
		}
	assert_ok(w->ctx, sn_interchange(&out, w->ctx, w->model, &w->p.items, w->p.pair, 2, patch, n, false, w->arena));
	for (int i = 0; i < n; i++) {
		double want =
			pair_items_difference(json_array_get(json_array_get(grid, (size_t)(i / n_role)), (size_t)(i % n_role)));
		if (!(fabs(out.ld[i] - want) < 2e-5)) fail_msg("%s cell %d: %.9g, expected %.9g", hook, i, out.ld[i], want);
	}
}

/* A source of another length: a role's last token finds its counterpart, other places have none. */
static void lengths_may_differ_at_last_tokens(void **state)
{
	static const char *const variant[] = { "gqa-tied", "gqa-untied", "mha-untied", "rope-theta" };
	for (int v = 0; v < SN_COUNT(variant); v++) {
		world w;
		const char *hook;
		json_t *grid;
		int32_t span[32][2];
		open_world(&w, state, variant[v]);
		const json_t *unequal = json_object_get(w.json->root, "unequal");
		pair_items_unequal(&w.p, unequal, span);
		json_object_foreach(json_object_get(unequal, "grids"), hook, grid) check_unequal(&w, hook, grid);
		sn_patch patch[3];
		for (int i = 0; i < 3; i++) patch[i] = patch_at(&w, "hook_resid_pre", 0, -1, 1);
		patch[1].spot.place = SN_PLACE_ROLE;
		patch[2].spot.place = SN_PLACE_OTHER;
		sn_exchange out;
		assert_ok(w.ctx, sn_interchange(&out, w.ctx, w.model, &w.p.items, w.p.pair, 2, patch, 3, false, w.arena));
		for (int i = 0; i < 6; i++) assert_true(isnan(out.ld[i]));
		assert_true(fabs(out.source[0] - pair_items_difference(json_object_get(unequal, "source_logits"))) < 1e-5);
		assert_true(out.source[0] == out.base[1] && out.source[1] == out.base[0]);
		close_world(&w);
	}
}

/* Through Q = 1 everything comes over, through Q = 0 nothing does. */
static void projections_let_through_what_they_should(void **state)
{
	world w;
	open_world(&w, state, "mha-untied");
	int64_t d = sn_model_get_info(w.model)->d_model;
	float *eye = SN_TAKE(w.arena, float, d *d), *zero = SN_TAKE(w.arena, float, d);
	for (int64_t i = 0; i < d; i++) eye[i * d + i] = 1;
	sn_tensor all = sn_tensor_f32(eye, d, d), none = sn_tensor_f32(zero, d, 1);
	sn_patch patch[3];
	for (int i = 0; i < 3; i++) patch[i] = patch_at(&w, "hook_resid_pre", 1, -1, 1);
	patch[1].U = patch[1].V = &all;
	patch[2].U = patch[2].V = &none;
	sn_exchange out;
	assert_ok(w.ctx, sn_interchange(&out, w.ctx, w.model, &w.p.items, w.p.pair, 1, patch, 3, false, w.arena));
	assert_true(fabs(out.ld[1] - out.ld[0]) < 1e-5);
	assert_true(out.ld[2] == out.base[0]);
	close_world(&w);
}

static double ld_of(world *w, int32_t want, int32_t foil)
{
	double ld;
	w->p.choice = (sn_choice){ .form = { want, foil } };
	assert_ok(w->ctx, sn_choice_run(w->ctx, w->model, &w->p.items, NULL, 1, &ld, NULL));
	return ld;
}

/* The lens at the last boundary is the model's own end, alternatives and all; before it, it is another. */
static void check_lens(world *w, double ld)
{
	int n_layer = sn_model_get_info(w->model)->n_layer;
	int64_t item = 0;
	int32_t span[2][2];
	for (int i = 0; i < 2; i++) {
		span[i][1] = (int32_t)(w->p.items.start[i + 1] - w->p.items.start[i]);
		span[i][0] = span[i][1] - 1;
	}
	double *lens = SN_TAKE(w->arena, double, n_layer + 1);
	w->p.items.n_role = 1;
	w->p.items.span = (const int32_t(*)[2])span;
	assert_ok(w->ctx, sn_choice_lens(w->ctx, w->model, &w->p.items, &item, 1, lens));
	assert_true(fabs(lens[n_layer] - ld) < 1e-5);
	assert_true(fabs(lens[0] - ld) > 1e-3);
	w->p.items.n_role = 0;
}

/* himself or herself: probabilities of alternatives add up, on either side and on both. */
static void alternatives_add_up(void **state)
{
	world w;
	double ld, each[1];
	open_world(&w, state, "gqa-tied");
	const int32_t a = 3, b = 8, c = 11, d = 20;
	double ab = ld_of(&w, a, b), ac = ld_of(&w, a, c), ad = ld_of(&w, a, d), cb = ld_of(&w, c, b);
	const struct {
		sn_choice choice;
		double want;
	} test[] = {
		{ { .form = { a, b }, .n_more = { 0, 1 }, .more = { { 0 }, { c } } }, -log(exp(-ab) + exp(-ac)) },
		{ { .form = { a, b }, .n_more = { 1, 0 }, .more = { { c }, { 0 } } }, log(exp(ab) + exp(cb)) },
		{ { .form = { a, b }, .n_more = { 0, 2 }, .more = { { 0 }, { c, d } } }, -log(exp(-ab) + exp(-ac) + exp(-ad)) },
		{ { .form = { a, b }, .n_more = { 1, 1 }, .more = { { c }, { d } } },
		  log(exp(ab) + exp(cb)) - log(1 + exp(ab - ad)) },
	};
	for (int i = 0; i < SN_COUNT(test); i++) {
		w.p.choice = test[i].choice;
		assert_int_equal(sn_choice_goal_count(&w.p.items), 1 + test[i].choice.n_more[0] + test[i].choice.n_more[1]);
		assert_ok(w.ctx, sn_choice_run(w.ctx, w.model, &w.p.items, NULL, 1, &ld, each));
		assert_true(fabs(ld - test[i].want) < 1e-9 && each[0] == ld);
		check_lens(&w, ld);
	}
	w.p.choice.more[1][0] = 1 << 30;
	assert_int_equal(sn_choice_run(w.ctx, w.model, &w.p.items, NULL, 1, &ld, each), SN_EARG);
	close_world(&w);
}

static void bad_input_is_named(void **state)
{
	world w;
	sn_exchange out;
	open_world(&w, state, "gqa-tied");
	sn_patch patch = patch_at(&w, "hook_resid_pre", 0, -1, 0);
	sn_pair beyond = { 0, 7, SN_PAIR_MAIN };
	assert_int_equal(sn_interchange(&out, w.ctx, w.model, &w.p.items, &beyond, 1, &patch, 1, false, w.arena), SN_EARG);
	patch.spot.place = SN_PLACE_NONE;
	assert_int_equal(sn_interchange(&out, w.ctx, w.model, &w.p.items, w.p.pair, 1, &patch, 1, false, w.arena), SN_EARG);
	patch = patch_at(&w, "hook_resid_pre", 0, -1, PAIR_ITEMS_MOST); /* a place that no prefix has */
	assert_ok(w.ctx, sn_interchange(&out, w.ctx, w.model, &w.p.items, w.p.pair, 1, &patch, 1, false, w.arena));
	assert_true(isnan(out.ld[0]) && isfinite(out.base[0]));
	w.p.items.n_choice = 0;
	assert_int_equal(sn_interchange(&out, w.ctx, w.model, &w.p.items, w.p.pair, 1, &patch, 1, false, w.arena), SN_EARG);
	close_world(&w);
}

static void cancelled_runs_leave_nan(void **state)
{
	world w;
	sn_exchange out;
	open_world(&w, state, "gqa-tied");
	sn_patch patch = patch_at(&w, "hook_resid_pre", 0, -1, 0);
	sn_cancel(w.ctx);
	assert_int_equal(sn_interchange(&out, w.ctx, w.model, &w.p.items, w.p.pair, 1, &patch, 1, false, w.arena),
					 SN_ECANCEL);
	assert_true(isnan(out.base[0]) && isnan(out.ld[0]));
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(grids_equal_pytorchs, test_open, test_close),
		cmocka_unit_test_setup_teardown(whole_residual_is_the_source, test_open, test_close),
		cmocka_unit_test_setup_teardown(lengths_may_differ_at_last_tokens, test_open, test_close),
		cmocka_unit_test_setup_teardown(projections_let_through_what_they_should, test_open, test_close),
		cmocka_unit_test_setup_teardown(alternatives_add_up, test_open, test_close),
		cmocka_unit_test_setup_teardown(bad_input_is_named, test_open, test_close),
		cmocka_unit_test_setup_teardown(cancelled_runs_leave_nan, test_open, test_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
