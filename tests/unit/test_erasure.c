/* Erasure runs on a tiny model against the same edits spelled out by hand; choice sets; memory that runs short. */
#include "common/pair_items.h"
#include "model/choice.h"
#include "model/erasure.h"

#include <math.h>
#include <string.h>

#define MODEL SN_TESTS "/golden/tiny/gqa-tied"

typedef struct world {
	sn_ctx *ctx;
	sn_arena *arena;
	sn_model *model;
	pair_items p;
	int n; /* tokens of a prefix */
	int64_t d;
} world;

static sn_status open_parts(world *w, sn_json **json)
{
	SN_TRY(sn_arena_open(&w->arena, w->ctx));
	SN_TRY(sn_model_open(&w->model, w->ctx, MODEL));
	return sn_json_load(json, w->ctx, SN_TESTS "/golden/interchange/tiny-gqa-tied.json", 0);
}

static void open_world(world *w, sn_ctx *ctx)
{
	sn_json *json;
	w->ctx = ctx;
	assert_ok(ctx, open_parts(w, &json));
	pair_items_load(&w->p, json->root);
	sn_json_close(json);
	w->n = (int)w->p.start[1];
	w->d = sn_model_get_info(w->model)->d_model;
}

static void close_world(world *w)
{
	sn_model_close(w->model);
	sn_arena_close(w->arena);
}

static sn_spot spot_at(const sn_model *model, int l, int pos)
{
	sn_spot spot = sn_spot_role(model, l, 0);
	spot.place = SN_PLACE_AT;
	spot.arg = pos;
	return spot;
}

/* LD of both items under one edit of the row's position pos at a site, without forks. */
static void run_by_hand(const world *w, sn_edit edit, int pos, double ld[2])
{
	sn_goal *goal;
	const int64_t item[2] = { 0, 1 };
	sn_batch batch = { .n = 2, .token = w->p.token, .start = w->p.start };
	assert_ok(w->ctx,
			  sn_choice_goals(w->ctx, &w->p.items, item, 2, sn_model_get_info(w->model)->d_vocab, w->arena, &goal));
	edit.where = (sn_where){ .sel = SN_AT, .arg = pos };
	sn_plan plan = { .size = sizeof plan, .n_edit = 1, .edit = &edit, .n_goal = 1, .goal = goal };
	assert_ok(w->ctx, sn_run(w->ctx, w->model, &batch, &plan, NULL, ld));
}

static float *random_vector(const world *w, uint64_t key)
{
	sn_rng rng = sn_rng_make(9, key);
	float *x = SN_TAKE(w->arena, float, w->d);
	for (int64_t i = 0; i < w->d; i++) x[i] = (float)sn_rng_normal(&rng);
	return x;
}

static void erasing_is_the_edit_it_says(void **state)
{
	world w;
	open_world(&w, test_ctx(state));
	sn_tensor mean = sn_tensor_f32(random_vector(&w, 1), -1, w.d), u = sn_tensor_f32(random_vector(&w, 2), w.d, 1),
			  v = sn_tensor_f32(random_vector(&w, 3), w.d, 1);
	for (int l = 0; l <= 2; l++) {
		sn_eraser eraser = { spot_at(w.model, l, 2), &mean, &u, &v };
		sn_erasure erasure = { (const int[]){ 0 }, 1, 0 };
		sn_erased out;
		double want[2];
		assert_ok(w.ctx, sn_erase_run(&out, w.ctx, w.model, &w.p.items, NULL, 2, &eraser, 1, &erasure, 1, w.arena));
		run_by_hand(&w, (sn_edit){ .op = SN_OP_SET, .at = eraser.spot.site, .src = &mean, .U = &u, .V = &v }, 2, want);
		for (int i = 0; i < 2; i++) assert_true(fabs(out.ld[i] - want[i]) < 1e-5);
		if (l < 2) assert_true(fabs(out.ld[0] - out.base[0]) > 1e-4);
	}
	close_world(&w);
}

/* Erasing everything at the last position after the last block leaves the mean's choice, whatever the item. */
static void a_full_projection_leaves_the_mean(void **state)
{
	world w;
	open_world(&w, test_ctx(state));
	float *eye = SN_TAKE(w.arena, float, w.d *w.d);
	for (int64_t i = 0; i < w.d; i++) eye[i * w.d + i] = 1;
	sn_tensor mean = sn_tensor_f32(random_vector(&w, 1), -1, w.d), all = sn_tensor_f32(eye, w.d, w.d);
	sn_eraser eraser = { spot_at(w.model, 2, -1), &mean, &all, &all };
	sn_erasure erasure = { (const int[]){ 0 }, 1, 0 };
	sn_erased out;
	assert_ok(w.ctx, sn_erase_run(&out, w.ctx, w.model, &w.p.items, NULL, 2, &eraser, 1, &erasure, 1, w.arena));
	assert_true(fabs(out.ld[0] - out.ld[1]) < 1e-5 && fabs(out.base[0] - out.base[1]) > 0.1);
	close_world(&w);
}

/* The random displacement has the erasure's length: with a projection on one coordinate, |x_0 - mean_0|. */
static void shifts_are_as_long_as_erasures(void **state)
{
	world w;
	open_world(&w, test_ctx(state));
	float *unit = SN_TAKE(w.arena, float, w.d), x[2][256];
	unit[0] = 1;
	sn_tensor mean = sn_tensor_f32(random_vector(&w, 1), -1, w.d), e = sn_tensor_f32(unit, w.d, 1);
	sn_eraser eraser = { spot_at(w.model, 1, -1), &mean, &e, &e };
	sn_erasure erasure = { (const int[]){ 0 }, 1, 2 };
	sn_erased out, again;
	assert_ok(w.ctx, sn_erase_run(&out, w.ctx, w.model, &w.p.items, NULL, 2, &eraser, 1, &erasure, 1, w.arena));
	assert_ok(w.ctx, sn_erase_run(&again, w.ctx, w.model, &w.p.items, NULL, 2, &eraser, 1, &erasure, 1, w.arena));
	assert_int_equal(out.n_shift, 2);
	assert_memory_equal(out.shift, again.shift, 4 * sizeof *out.shift);
	assert_true(out.shift[0] != out.shift[1]);

	sn_keep keep = { x[0], 2, w.d };
	sn_batch batch = { .n = 2, .token = w.p.token, .start = w.p.start };
	sn_tap tap = { eraser.spot.site, { .sel = SN_LAST }, SN_AFTER, &sn_sink_keep, &keep };
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
	assert_true(2 * w.d <= 2 * 256);
	assert_ok(w.ctx, sn_run(w.ctx, w.model, &batch, &plan, NULL, NULL));
	for (int draw = 0; draw < 2; draw++) {
		/* the direction that draw takes, from a shift of a known length */
		sn_rng rng = sn_rng_make(sn_ctx_seed(w.ctx), 0x7368696674 + (uint64_t)draw);
		float *direction = SN_TAKE(w.arena, float, w.d), *step = SN_TAKE(w.arena, float, 2 * w.d);
		double norm = 0, want[2];
		for (int64_t j = 0; j < w.d; j++) direction[j] = (float)sn_rng_normal(&rng);
		for (int64_t j = 0; j < w.d; j++) norm += direction[j] * direction[j];
		for (int i = 0; i < 2; i++) {
			double length = ((const float *)mean.data)[0] - x[0][i * w.d]; /* signed, as the erasure moves along U */
			for (int64_t j = 0; j < w.d; j++) step[i * w.d + j] = (float)(length * direction[j] / sqrt(norm));
		}
		sn_tensor src = sn_tensor_f32(step, 2, w.d);
		run_by_hand(&w, (sn_edit){ .op = SN_OP_ADD, .at = eraser.spot.site, .src = &src }, w.n - 1, want);
		for (int i = 0; i < 2; i++) assert_true(fabs(out.shift[2 * i + draw] - want[i]) < 1e-4);
	}
	close_world(&w);
}

/* Each item is scored by the words of its own set. */
static void choice_sets_follow_the_item(void **state)
{
	world w;
	double ld[2], own[2][2], each[2];
	open_world(&w, test_ctx(state));
	sn_choice choice[2] = { w.p.choice, { .form = { 3, 4 } } };
	for (int k = 0; k < 2; k++) {
		w.p.items.choice = &choice[k];
		assert_ok(w.ctx, sn_choice_run(w.ctx, w.model, &w.p.items, NULL, 2, own[k], NULL));
	}
	w.p.items.choice = choice;
	w.p.items.n_choice_set = 2;
	w.p.item[1].choice_set = 1;
	assert_ok(w.ctx, sn_choice_run(w.ctx, w.model, &w.p.items, NULL, 2, ld, each));
	assert_true(ld[0] == own[0][0] && ld[1] == own[1][1] && own[0][1] != own[1][1]);
	assert_true(each[0] == ld[0] && each[1] == ld[1]);
	close_world(&w);
}

/* ---- memory ---- */

typedef struct faulty {
	int64_t left, live; /* allocations until one fails; allocations not given back */
} faulty;

static void *faulty_alloc(void *payload, size_t size)
{
	faulty *f = payload;
	if (f->left-- == 0) return NULL;
	f->live++;
	return aligned_alloc(64, (size + 63) / 64 * 64);
}

static void faulty_free(void *payload, void *p)
{
	((faulty *)payload)->live--;
	free(p);
}

static sn_status use(world *w, const sn_tensor *mean, const sn_tensor *u)
{
	sn_eraser eraser[2] = { { spot_at(w->model, 0, 2), mean, u, u },
							   { spot_at(w->model, 1, 2), mean, u, u } };
	sn_erasure erasure[2] = { { (const int[]){ 0, 1 }, 2, 3 }, { (const int[]){ 1 }, 1, 3 } };
	sn_erased out;
	sn_arena *arena = NULL;
	sn_status status = sn_arena_open(&arena, w->ctx);
	if (status == SN_OK)
		status = sn_erase_run(&out, w->ctx, w->model, &w->p.items, NULL, 2, eraser, 2, erasure, 2, arena);
	sn_arena_close(arena);
	return status;
}

static void short_memory_is_said_and_nothing_leaks(void **state)
{
	(void)state;
	for (int64_t n = 0; n < 1000; n++) {
		faulty f = { .left = -1 };
		sn_ctx *ctx;
		sn_options options = {
			.size = sizeof options, .threads = 1, .alloc = faulty_alloc, .dealloc = faulty_free, .alloc_payload = &f
		};
		world w;
		assert_int_equal(sn_ctx_open(&ctx, &options), SN_OK);
		open_world(&w, ctx);
		sn_tensor mean = sn_tensor_f32(random_vector(&w, 1), -1, w.d), u = sn_tensor_f32(random_vector(&w, 2), w.d, 1);
		f.left = n;
		sn_status status = use(&w, &mean, &u);
		bool reached = f.left < 0;
		if (status != SN_OK) assert_non_null(strstr(sn_error(ctx), "memory"));
		assert_int_equal(status, reached ? SN_ENOMEM : SN_OK);
		f.left = -1;
		close_world(&w);
		sn_ctx_close(ctx);
		assert_int_equal(f.live, 0);
		if (!reached) {
			assert_true(n > 1);
			return;
		}
	}
	fail_msg("more than 1,000 allocations");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(erasing_is_the_edit_it_says, test_open, test_close),
		cmocka_unit_test_setup_teardown(a_full_projection_leaves_the_mean, test_open, test_close),
		cmocka_unit_test_setup_teardown(shifts_are_as_long_as_erasures, test_open, test_close),
		cmocka_unit_test_setup_teardown(choice_sets_follow_the_item, test_open, test_close),
		cmocka_unit_test(short_memory_is_said_and_nothing_leaks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
