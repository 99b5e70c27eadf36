/* Sentence scores of masked models and encoder-decoders: what behaviour pairs says is the sum of single predictions. */
#include "common/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct pairs_param {
	const char *good, *bad, *by, *source, *score;
	int64_t limit;
	const char *pll;
} pairs_param;

enum { MASK = 4, WORDS = 6 };

static const char tokenizer[] =
	"{\"version\": \"1.0\", \"added_tokens\": [{\"id\": 4, \"content\": \"[MASK]\", \"special\": true}],\n"
	" \"pre_tokenizer\": {\"type\": \"WhitespaceSplit\"},\n"
	" \"post_processor\": {\"type\": \"BertProcessing\", \"sep\": [\"[SEP]\", 3], \"cls\": [\"[CLS]\", 2]},\n"
	" \"model\": {\"type\": \"WordLevel\", \"unk_token\": \"[UNK]\", \"vocab\": {\"[PAD]\": 0, \"[UNK]\": 1, "
	"\"[CLS]\": 2,\n"
	"  \"[SEP]\": 3, \"[MASK]\": 4, \"the\": 5, \"cat\": 6, \"cats\": 7, \"sleep\": 8, \"sleeps\": 9}}}";
static const char data[] = "{\"good\": \"the cat sleeps\", \"bad\": \"the cat sleep\", \"text\": \"cats sleep\"}\n";

typedef struct fixture { sn_ctx *ctx; sn_model *model; sn_dataset *data; sn_result *result; char folder[64]; } fixture;

static void write_file(const char *folder, const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* A tiny model's files beside a tokenizer of ten words. */
static void open_fixture(fixture *f, sn_ctx *ctx, const char *variant)
{
	char from[256], to[128];
	f->ctx = ctx;
	strcpy(f->folder, "/tmp/sonde-scoring-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	static const char *const files[] = { "config.json", "model.safetensors" };
	for (int i = 0; i < 2; i++) {
		snprintf(from, sizeof from, SN_TESTS "/golden/arch/%s/%s", variant, files[i]);
		snprintf(to, sizeof to, "%s/%s", f->folder, files[i]);
		assert_int_equal(symlink(from, to), 0);
	}
	write_file(f->folder, "tokenizer.json", tokenizer);
	write_file(f->folder, "data.jsonl", data);
	snprintf(to, sizeof to, "%s/data.jsonl", f->folder);
	assert_ok(ctx, sn_model_open(&f->model, ctx, f->folder));
	assert_ok(ctx, sn_dataset_open(&f->data, ctx, to));
	assert_ok(ctx, sn_result_open(&f->result, ctx, sn_method_find("behaviour", "pairs")));
}

static void close_fixture(fixture *f)
{
	static const char *const files[] = { "config.json", "model.safetensors", "tokenizer.json", "data.jsonl" };
	char path[128];
	sn_result_close(f->result);
	sn_dataset_close(f->data);
	sn_model_close(f->model);
	for (int i = 0; i < SN_COUNT(files); i++) {
		snprintf(path, sizeof path, "%s/%s", f->folder, files[i]);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(f->folder), 0);
}

static double logprob(fixture *f, const sn_batch *batch, int32_t pos, const int32_t *want)
{
	double score;
	sn_goal goal = { .metric = SN_LOGPROB, .where = { .sel = SN_AT, .arg = pos }, .want = want, .n_want = 1 };
	sn_plan plan = { .size = sizeof plan, .n_goal = 1, .goal = &goal };
	assert_ok(f->ctx, sn_run(f->ctx, f->model, batch, &plan, NULL, &score));
	return score;
}

static const sn_value *only_pair(fixture *f, const void *param)
{
	sn_input input = { .model = { f->model }, .data = { f->data } };
	assert_ok(f->ctx, sn_method_run(f->ctx, sn_method_find("behaviour", "pairs"), &input, param, f->result));
	assert_int_equal(sn_result_rows(f->result, 1), 1);
	return sn_result_row(f->result, 1, 0);
}

static void masked_models_score_by_pseudo_log_likelihood(void **state)
{
	fixture f;
	open_fixture(&f, test_ctx(state), "bert");
	assert_int_equal(sn_model_get_info(f.model)->mask, MASK);
	const sn_value *row = only_pair(&f, NULL);
	static const int32_t good[] = { 2, 5, 6, 9, 3 }, bad[] = { 2, 5, 6, 8, 3 };
	for (int k = 0; k < 2; k++) {
		double sum = 0;
		for (int32_t i = 1; i < 4; i++) {
			int32_t ids[5];
			memcpy(ids, k ? bad : good, sizeof ids);
			int32_t want = ids[i];
			ids[i] = MASK;
			sn_batch batch = { .n = 1, .token = ids, .start = (int64_t[]){ 0, 5 } };
			sum += logprob(&f, &batch, i, &want);
		}
		assert_true(fabs(row[6 + k].f - sum) < 1e-6);
	}
	assert_true(row[6].f < 0 && row[7].f < 0);
	close_fixture(&f);
}

static void encoder_decoders_score_the_target_given_the_source(void **state)
{
	fixture f;
	open_fixture(&f, test_ctx(state), "t5");
	assert_int_equal(sn_model_get_info(f.model)->decoder_start, 0);
	pairs_param param = { "auto", "auto", "auto", "text", "sum", 0, "original" };
	const sn_value *row = only_pair(&f, &param);
	static const int32_t source[] = { 2, 7, 8, 3 }, target[] = { 0, 2, 5, 6, 9, 3 };
	sn_batch enc = { .n = 1, .token = source, .start = (int64_t[]){ 0, 4 } };
	sn_batch dec = { .n = 1, .token = target, .start = (int64_t[]){ 0, WORDS }, .enc = &enc };
	double sum = 0;
	for (int32_t i = 0; i + 1 < WORDS; i++) sum += logprob(&f, &dec, i, &target[i + 1]);
	assert_true(fabs(row[6].f - sum) < 1e-6);
	close_fixture(&f);
}

static void a_model_without_head_or_encoder_is_refused(void **state)
{
	fixture f;
	open_fixture(&f, test_ctx(state), "bert-base-only");
	sn_input input = { .model = { f.model }, .data = { f.data } };
	assert_int_equal(sn_method_run(f.ctx, sn_method_find("behaviour", "pairs"), &input, NULL, f.result), SN_EARG);
	assert_non_null(strstr(sn_error(f.ctx), "no language-model head"));
	close_fixture(&f);
	open_fixture(&f, test_ctx(state), "gpt2");
	pairs_param param = { "auto", "auto", "auto", "text", "sum", 0, "original" };
	input = (sn_input){ .model = { f.model }, .data = { f.data } };
	assert_int_equal(sn_method_run(f.ctx, sn_method_find("behaviour", "pairs"), &input, &param, f.result), SN_EARG);
	assert_non_null(strstr(sn_error(f.ctx), "no encoder"));
	close_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(masked_models_score_by_pseudo_log_likelihood),
		cmocka_unit_test(encoder_decoders_score_the_target_given_the_source),
		cmocka_unit_test(a_model_without_head_or_encoder_is_refused),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
