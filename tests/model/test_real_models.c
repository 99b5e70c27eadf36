/* Real models against transformers: Gemma 3 270M (GGUF) and all-MiniLM-L6-v2 (Hugging Face folder). Ids, the residual
 * stream of every layer, and Gemma's losses and its accuracy on Russian minimal pairs. tools/models.sh fetches them; a
 * model that is not there is said to be skipped. */
#include "common/precision.h"
#include "common/test.h"

#include "io/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GEMMA SN_MODELS "/gemma-3-270m-q4_k_m.gguf"
#define MINILM SN_MODELS "/all-MiniLM-L6-v2"
#define PAIRS SN_DATA "/rublimp/noun_subj_predicate_agreement_number.csv"

typedef struct fixture { sn_ctx *ctx; sn_arena *arena; sn_model *model; sn_json *golden; } fixture;

static fixture open_fixture(sn_ctx *ctx, const char *path, const char *golden)
{
	fixture f = { .ctx = ctx };
	char file[256];
	snprintf(file, sizeof file, SN_TESTS "/golden/%s/reference.json", golden);
	assert_ok(ctx, sn_arena_open(&f.arena, ctx));
	assert_ok(ctx, sn_model_open(&f.model, ctx, path));
	assert_ok(ctx, sn_json_load(&f.golden, ctx, file, 0));
	return f;
}

static void close_fixture(fixture *f)
{
	sn_json_close(f->golden);
	sn_model_close(f->model);
	sn_arena_close(f->arena);
}

static sn_tokens tokenize(fixture *f, json_t *text)
{
	sn_tokens t;
	const char *words = json_string_value(json_object_get(text, "text"));
	json_t *ids = json_object_get(text, "ids");
	assert_ok(f->ctx,
			  sn_tokenize(f->ctx, sn_model_tokenizer(f->model), words, strlen(words), SN_ADD_SPECIAL, f->arena, &t));
	assert_int_equal(t.n, json_array_size(ids));
	for (int64_t i = 0; i < t.n; i++) assert_int_equal(t.id[i], json_integer_value(json_array_get(ids, (size_t)i)));
	return t;
}

static void check_norms(fixture *f, const sn_tokens *t, int layer, json_t *norms)
{
	sn_site site = { .kind = SN_SITE_RESID_PRE, .layer = (int16_t)layer };
	int64_t d = sn_site_width(f->model, &site);
	sn_keep keep = { SN_TAKE(f->arena, float, t->n * d), t->n, d };
	sn_tap tap = { .at = site, .where = { .sel = SN_ALL }, .sink = &sn_sink_keep, .state = &keep };
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
	sn_batch batch = { .n = 1, .token = t->id, .start = (int64_t[]){ 0, t->n } };
	assert_ok(f->ctx, sn_run(f->ctx, f->model, &batch, &plan, NULL, NULL));
	for (int64_t i = 0; i < t->n; i++) {
		double square = 0, norm = json_number_value(json_array_get(norms, (size_t)i));
		for (int64_t j = 0; j < d; j++) square += (double)keep.x[i * d + j] * keep.x[i * d + j];
		if (!(fabs(sqrt(square) - norm) < 2e-5 * norm))
			fail_msg("layer %d, position %d: norm %.7g, expected %.7g", layer, (int)i, sqrt(square), norm);
	}
}

static void check_text(fixture *f, json_t *text)
{
	sn_tokens t = tokenize(f, text);
	json_t *layers = json_object_get(text, "norms"), *mean = json_object_get(text, "mean_loss");
	int n_layer = sn_model_get_info(f->model)->n_layer;
	assert_int_equal(json_array_size(layers), n_layer + 1);
	for (int l = 0; l < n_layer; l++) check_norms(f, &t, l, json_array_get(layers, (size_t)l));
	if (!mean) return;
	sn_goal goal = { .metric = SN_LOSS, .where = { .sel = SN_ALL } };
	sn_plan plan = { .size = sizeof plan, .n_goal = 1, .goal = &goal };
	sn_batch batch = { .n = 1, .token = t.id, .start = (int64_t[]){ 0, t.n } };
	double loss;
	assert_ok(f->ctx, sn_run(f->ctx, f->model, &batch, &plan, NULL, &loss));
	assert_true(fabs(loss / (double)(t.n - 1) - json_number_value(mean)) < 1e-4);
}

static void check_model(sn_ctx *ctx, const char *path, const char *golden)
{
	fixture f = open_fixture(ctx, path, golden);
	json_t *texts = json_object_get(f.golden->root, "texts");
	assert_int_equal(json_array_size(texts), 2);
	for (size_t k = 0; k < 2; k++) check_text(&f, json_array_get(texts, k));
	close_fixture(&f);
}

static bool missing(const char *path)
{
	if (access(path, R_OK) == 0) return false;
	print_message("skipped: no %s\n", path);
	return true;
}

static void minilm_is_the_reference(void **state)
{
	if (!missing(MINILM)) check_model(test_ctx(state), MINILM, "minilm");
}

static void gemma_is_the_reference(void **state)
{
	if (!missing(GEMMA)) check_model(test_ctx(state), GEMMA, "gemma3");
}

static void precisions_keep_gemmas_logits(void **state)
{
	sn_arena *arena;
	if (missing(GEMMA)) return;
	assert_ok(test_ctx(state), sn_arena_open(&arena, test_ctx(state)));
	test_precisions(arena, GEMMA, "Ключи от шкафа лежат на столе.", 3e-2);
	sn_arena_close(arena);
}

static void gemma_prefers_good_russian_sentences(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_dataset *data;
	sn_result *result;
	sn_model *model;
	if (missing(GEMMA) || missing(PAIRS)) return;
	const sn_method *method = sn_method_find("behaviour", "pairs");
	assert_ok(ctx, sn_model_open(&model, ctx, GEMMA));
	assert_ok(ctx, sn_dataset_open(&data, ctx, PAIRS));
	assert_ok(ctx, sn_result_open(&result, ctx, method));
	sn_input input = { .model = { model }, .data = { data } };
	assert_ok(ctx, sn_method_run(ctx, method, &input, NULL, result));
	double accuracy = sn_result_row(result, 0, sn_result_rows(result, 0) - 1)[2].f;
	if (!(fabs(accuracy - 0.899) <= 0.002)) fail_msg("accuracy %.4f, expected 0.899", accuracy);
	sn_result_close(result);
	sn_dataset_close(data);
	sn_model_close(model);
}

int main(void)
{
	if (access(GEMMA, R_OK) != 0) test_need_file(MINILM "/config.json");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(minilm_is_the_reference),
		cmocka_unit_test(gemma_is_the_reference),
		cmocka_unit_test(precisions_keep_gemmas_logits),
		cmocka_unit_test(gemma_prefers_good_russian_sentences),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
