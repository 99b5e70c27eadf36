/* SmolLM2 against transformers: ids, losses, activations, BLiMP accuracies. */
#include "common/golden.h"
#include "common/precision.h"
#include "common/test.h"

#include "io/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { GRADIENT_STRIDE = 37 };

#define MODEL SN_MODELS "/SmolLM2-135M-Instruct.Q4_1.gguf"

typedef struct fixture { sn_ctx *ctx; sn_arena *arena; sn_model *model; sn_json *golden; } fixture;

static int open_fixture(void **state)
{
	static fixture f;
	if (test_open((void **)&f.ctx) != 0) return 1;
	*state = &f;
	if (sn_arena_open(&f.arena, f.ctx) != SN_OK || sn_model_open(&f.model, f.ctx, MODEL) != SN_OK) return 1;
	return sn_json_load(&f.golden, f.ctx, SN_TESTS "/golden/smollm2/reference.json", 0) != SN_OK;
}

static int close_fixture(void **state)
{
	fixture *f = *state;
	sn_json_close(f->golden);
	sn_model_close(f->model);
	sn_arena_close(f->arena);
	sn_ctx_close(f->ctx);
	return 0;
}

static sn_tokens tokenize(fixture *f, const char *text)
{
	sn_tokens t;
	assert_ok(f->ctx, sn_tokenize(f->ctx, sn_model_tokenizer(f->model), text, strlen(text), SN_ADD_SPECIAL, f->arena,
	                              &t));
	return t;
}

/* Loss of predicting token i + 1, by places, so that each is compared. */
static void check_losses(fixture *f, const sn_tokens *t, json_t *text)
{
	json_t *losses = json_object_get(text, "loss");
	sn_batch batch = { .n = 1, .token = t->id, .start = (int64_t[]){ 0, t->n } };
	double sum = 0;
	for (int64_t i = 0; i + 1 < t->n; i++) {
		sn_goal goal = { .metric = SN_LOSS, .where = { .sel = SN_AT, .arg = (int32_t)i } };
		sn_plan plan = { .size = sizeof plan, .n_goal = 1, .goal = &goal };
		double loss;
		assert_ok(f->ctx, sn_run(f->ctx, f->model, &batch, &plan, NULL, &loss));
		assert_true(fabs(loss - json_number_value(json_array_get(losses, (size_t)i))) < 2e-3);
		sum += loss;
	}
	assert_true(fabs(sum / (double)(t->n - 1) - json_number_value(json_object_get(text, "mean_loss"))) < 1e-4);
}

static void ids_and_losses_are_the_reference(void **state)
{
	fixture *f = *state;
	json_t *texts = json_object_get(f->golden->root, "texts");
	assert_true(json_array_size(texts) >= 2);
	for (size_t k = 0; k < json_array_size(texts); k++) {
		json_t *text = json_array_get(texts, k), *ids = json_object_get(text, "ids");
		sn_tokens t = tokenize(f, json_string_value(json_object_get(text, "text")));
		assert_int_equal(t.n, json_array_size(ids));
		for (int64_t i = 0; i < t.n; i++) assert_int_equal(t.id[i], json_integer_value(json_array_get(ids, (size_t)i)));
		check_losses(f, &t, text);
	}
}

static void activations_are_the_reference(void **state)
{
	fixture *f = *state;
	json_t *all = json_object_get(f->golden->root, "activations"), *sites = json_object_get(all, "sites"), *expected;
	sn_tokens t = tokenize(f, json_string_value(json_object_get(all, "text")));
	sn_batch batch = { .n = 1, .token = t.id, .start = (int64_t[]){ 0, t.n } };
	const char *name;
	json_object_foreach(sites, name, expected) {
		sn_site site;
		assert_ok(f->ctx, sn_site_parse(f->ctx, f->model, name, &site));
		int64_t width = sn_site_width(f->model, &site);
		sn_keep keep = { SN_TAKE(f->arena, float, t.n * width), t.n, width };
		sn_tap tap = { .at = site, .where = { .sel = SN_ALL }, .sink = &sn_sink_keep, .state = &keep };
		sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
		assert_ok(f->ctx, sn_run(f->ctx, f->model, &batch, &plan, NULL, NULL));
		for (int64_t i = 0; i < t.n; i++) {
			double square = 0, norm = json_number_value(json_array_get(json_object_get(expected, "norm"), (size_t)i));
			for (int64_t j = 0; j < width; j++) square += (double)keep.x[i * width + j] * keep.x[i * width + j];
			assert_true(fabs(sqrt(square) - norm) < 2e-5 * norm);
		}
	}
}

/* The summed loss by what each block reads, every 37th number (tests/oracles/gradients.py). */
static void gradients_are_the_reference(void **state)
{
	fixture *f = *state;
	json_t *text = json_array_get(json_object_get(f->golden->root, "texts"), 0);
	sn_tokens t = tokenize(f, json_string_value(json_object_get(text, "text")));
	sn_batch batch = { .n = 1, .token = t.id, .start = (int64_t[]){ 0, t.n } };
	const sn_model_info *info = sn_model_get_info(f->model);
	sn_tensor_file *file = golden_open(f->ctx, "smollm2/gradients.safetensors");
	sn_keep *keep = SN_TAKE(f->arena, sn_keep, info->n_layer);
	sn_tap *tap = SN_TAKE(f->arena, sn_tap, info->n_layer);
	for (int l = 0; l < info->n_layer; l++) {
		keep[l] = (sn_keep){ SN_TAKE(f->arena, float, t.n * info->d_model), t.n, info->d_model };
		tap[l] = (sn_tap){ .at = { .kind = SN_SITE_RESID_PRE, .layer = (int16_t)l }, .where = { .sel = SN_ALL },
			               .what = SN_GRAD, .sink = &sn_sink_keep, .state = &keep[l] };
	}
	sn_goal goal = { .metric = SN_LOSS, .where = { .sel = SN_ALL } };
	sn_plan plan = { .size = sizeof plan, .n_goal = 1, .goal = &goal, .n_tap = info->n_layer, .tap = tap };
	double loss, worst = 0;
	assert_ok(f->ctx, sn_run(f->ctx, f->model, &batch, &plan, NULL, &loss));
	for (int l = 0; l < info->n_layer; l++) {
		char name[64];
		snprintf(name, sizeof name, "loss/row0/blocks.%d.hook_resid_pre", l);
		const sn_stored *expected = sn_tensor_file_find(file, name);
		assert_non_null(expected);
		assert_int_equal(expected->count, (t.n * info->d_model + GRADIENT_STRIDE - 1) / GRADIENT_STRIDE);
		for (int64_t i = 0; i < expected->count; i++) keep[l].x[i] = keep[l].x[i * GRADIENT_STRIDE];
		worst = fmax(worst, test_relative_error(keep[l].x, (const float *)expected->data, expected->count));
	}
	print_message("largest relative error of a gradient %.1e\n", worst);
	assert_true(worst < 1e-4);
	sn_tensor_file_close(file);
}

static double blimp_accuracy(fixture *f, const char *paradigm)
{
	char path[512];
	snprintf(path, sizeof path, SN_DATA "/blimp/%s.jsonl", paradigm);
	sn_dataset *data;
	sn_result *result;
	const sn_method *method = sn_method_find("behaviour", "pairs");
	assert_non_null(method);
	assert_ok(f->ctx, sn_dataset_open(&data, f->ctx, path));
	assert_ok(f->ctx, sn_result_open(&result, f->ctx, method));
	sn_input input = { .model = { f->model }, .data = { data } };
	assert_ok(f->ctx, sn_method_run(f->ctx, method, &input, NULL, result));
	double accuracy = sn_result_row(result, 0, sn_result_rows(result, 0) - 1)[2].f;
	json_t *golden = json_object_get(json_object_get(f->golden->root, "blimp"), paradigm);
	json_t *good = json_object_get(golden, "good_first20"), *bad = json_object_get(golden, "bad_first20");
	for (size_t i = 0; i < 20; i++) {
		const sn_value *row = sn_result_row(result, 1, (int64_t)i);
		assert_true(fabs(row[6].f - json_number_value(json_array_get(good, i))) < 5e-3);
		assert_true(fabs(row[7].f - json_number_value(json_array_get(bad, i))) < 5e-3);
	}
	sn_result_close(result);
	sn_dataset_close(data);
	return accuracy;
}

static void blimp_accuracies_are_the_reference(void **state)
{
	assert_true(fabs(blimp_accuracy(*state, "regular_plural_subject_verb_agreement_1") - 0.851) <= 0.002);
	assert_true(fabs(blimp_accuracy(*state, "anaphor_gender_agreement") - 0.802) <= 0.002);
	assert_true(fabs(blimp_accuracy(*state, "distractor_agreement_relational_noun") - 0.754) <= 0.002);
}

static void precisions_keep_the_logits(void **state)
{
	fixture *f = *state;
	test_precisions(f->arena, MODEL, "The keys to the cabinet are on the table.", 3e-2);
}

int main(void)
{
	test_need_file(MODEL);
	test_need_file(SN_DATA "/blimp/anaphor_gender_agreement.jsonl");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_and_losses_are_the_reference),
		cmocka_unit_test(activations_are_the_reference),
		cmocka_unit_test(gradients_are_the_reference),
		cmocka_unit_test(precisions_keep_the_logits),
		cmocka_unit_test(blimp_accuracies_are_the_reference),
	};
	return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
