/* behaviour pairs and capture on a tiny model, end to end through the registry. */
#include "common/test.h"

#include "data/result.h"
#include "io/tensor_file.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#define MODEL SN_TESTS "/golden/tiny/gqa-tied/model.gguf"

typedef struct run { sn_ctx *ctx; sn_model *model; sn_dataset *data; sn_result *result; char path[64]; } run;

static run open_run(sn_ctx *ctx, const char *family, const char *name, const char *suffix, const char *text)
{
	run r = { .ctx = ctx };
	sn_format(r.path, sizeof r.path, "/tmp/sonde_test_%d.%s", (int)getpid(), suffix);
	assert_ok(ctx, sn_write_file(ctx, r.path, text, strlen(text)));
	assert_ok(ctx, sn_model_open(&r.model, ctx, MODEL));
	assert_ok(ctx, sn_dataset_open(&r.data, ctx, r.path));
	const sn_method *method = sn_method_find(family, name);
	assert_non_null(method);
	assert_ok(ctx, sn_result_open(&r.result, ctx, method));
	return r;
}

static sn_status go(run *r, const void *param)
{
	sn_input input = { .model = { r->model }, .data = { r->data } };
	return sn_method_run(r->ctx, sn_result_method(r->result), &input, param, r->result);
}

static void close_run(run *r)
{
	sn_result_close(r->result);
	sn_dataset_close(r->data);
	sn_model_close(r->model);
	unlink(r->path);
}

/* Summed log-probability of a text, one place at a time and without forks. */
static double logprob(run *r, const char *text)
{
	sn_arena *arena;
	sn_tokens t;
	double sum;
	assert_ok(r->ctx, sn_arena_open(&arena, r->ctx));
	assert_ok(r->ctx, sn_tokenize(r->ctx, sn_model_tokenizer(r->model), text, strlen(text), SN_ADD_SPECIAL, arena, &t));
	sn_batch batch = { .n = 1, .token = t.id, .start = (int64_t[]){ 0, t.n } };
	sn_goal goal = { .metric = SN_LOSS, .where = { .sel = SN_ALL } };
	sn_plan plan = { .size = sizeof plan, .n_goal = 1, .goal = &goal };
	assert_ok(r->ctx, sn_run(r->ctx, r->model, &batch, &plan, NULL, &sum));
	sn_arena_close(arena);
	return -sum;
}

static void pairs_are_scored_and_grouped(void **state)
{
	run r = open_run(test_ctx(state), "behaviour", "pairs", "jsonl",
	                 "{\"sentence_good\": \"The keys are here.\", \"sentence_bad\": \"The keys is here.\", \"UID\": "
	                 "\"a\"}\n"
	                 "{\"sentence_good\": \"A dog barks.\", \"sentence_bad\": \"A dog bark.\", \"UID\": \"b\"}\n"
	                 "{\"sentence_good\": \"same\", \"sentence_bad\": \"same\", \"UID\": \"b\"}\n");
	assert_ok(r.ctx, go(&r, NULL));
	assert_int_equal(sn_result_rows(r.result, 0), 3);
	assert_int_equal(sn_result_rows(r.result, 1), 3);
	const sn_value *row = sn_result_row(r.result, 1, 0);
	assert_true(fabs(row[6].f - logprob(&r, "The keys are here.")) < 1e-4);
	assert_true(fabs(row[7].f - logprob(&r, "The keys is here.")) < 1e-4);
	/* a tie is wrong */
	assert_true(sn_result_row(r.result, 1, 2)[8].f == 0 && sn_result_row(r.result, 1, 2)[9].i == 0);
	assert_string_equal(sn_result_row(r.result, 0, 1)[0].s, "b");
	assert_int_equal(sn_result_row(r.result, 0, 1)[1].i, 2);
	close_run(&r);
}

/* Sentences that begin alike, contain one another or are the same share their computation, not their scores. */
static void a_trie_of_sentences_scores_each_as_if_alone(void **state)
{
	static const char *const text[] = { "The keys to the cabinet are here.",
										"The keys to the cabinet",
										"The keys to",
										"The keys to the cabinet are there.",
										"A key",
										"The keys to the cabinet are here.",
										"The keys to the door are here.",
										"A key to the door" };
	char data[1024] = "";
	for (int i = 0; i < SN_COUNT(text); i += 2)
		sn_format(data + strlen(data), sizeof data - strlen(data), "{\"good\": \"%s\", \"bad\": \"%s\"}\n", text[i],
		          text[i + 1]);
	run r = open_run(test_ctx(state), "behaviour", "pairs", "jsonl", data);
	assert_ok(r.ctx, go(&r, NULL));
	for (int i = 0; i < SN_COUNT(text); i++)
		assert_true(fabs(sn_result_row(r.result, 1, i / 2)[6 + i % 2].f - logprob(&r, text[i])) < 1e-4);
	close_run(&r);
}

static void pairs_without_their_columns_are_refused(void **state)
{
	run r = open_run(test_ctx(state), "behaviour", "pairs", "jsonl", "{\"text\": \"a b\"}\n");
	assert_int_equal(go(&r, NULL), SN_ENOTFOUND);
	assert_non_null(strstr(sn_error(r.ctx), "--good"));
	close_run(&r);
}

static void captured_activations_are_what_a_tap_yields(void **state)
{
	run r = open_run(test_ctx(state), "", "capture", "txt", "The keys to the cabinet\nare on the table.\n");
	struct { const char *sites, *out, *column, *target; int64_t limit;
	         } param = { "blocks.*.hook_resid_post,blocks.1.attn.hook_pattern", NULL, "auto", "none", 0 };
	char path[80];
	sn_format(path, sizeof path, "%s.safetensors", r.path);
	param.out = path;
	assert_ok(r.ctx, go(&r, &param));
	sn_tensor_file *file;
	assert_ok(r.ctx, sn_tensor_file_open(&file, r.ctx, path));
	const sn_stored *tokens = sn_tensor_file_find(file, "tokens"), *start = sn_tensor_file_find(file, "start");
	const sn_stored *resid = sn_tensor_file_find(file, "blocks.1.hook_resid_post"),
		*pattern = sn_tensor_file_find(file, "blocks.1.attn.hook_pattern");
	assert_true(tokens && start && resid && pattern && start->count == 3);
	sn_batch batch = { .n = 2, .token = (const int32_t *)tokens->data, .start = (const int64_t *)start->data };
	static float x[4096];
	sn_keep keep = { x, tokens->count, 16 };
	sn_site site;
	assert_ok(r.ctx, sn_site_parse(r.ctx, r.model, "blocks.1.hook_resid_post", &site));
	sn_tap tap = { .at = site, .where = { .sel = SN_ALL }, .sink = &sn_sink_keep, .state = &keep };
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
	assert_ok(r.ctx, sn_run(r.ctx, r.model, &batch, &plan, NULL, NULL));
	assert_int_equal(resid->count, tokens->count * 16);
	assert_memory_equal(resid->data, x, resid->size);
	const float *p = (const float *)pattern->data;   /* every head's row of a pattern sums to one */
	for (int b = 0; b < 2; b++)
		for (int64_t pos = 0; pos < batch.start[b + 1] - batch.start[b]; pos++)
			for (int h = 0; h < 4; h++, p += pos + 1) {
				double sum = 0;
				for (int64_t k = 0; k <= pos; k++) sum += p[k];
				assert_true(fabs(sum - 1) < 1e-5);
			}
	assert_ptr_equal(p, (const float *)pattern->data + pattern->count);
	sn_tensor_file_close(file);
	unlink(path);
	close_run(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs_are_scored_and_grouped),
		cmocka_unit_test(a_trie_of_sentences_scores_each_as_if_alone),
		cmocka_unit_test(pairs_without_their_columns_are_refused),
		cmocka_unit_test(captured_activations_are_what_a_tap_yields),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
