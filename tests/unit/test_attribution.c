/* Attribution on a tiny model: what its scores must sum to, and what they must equal. */
#include "common/behaviour.h"

#include "base/option.h"
#include "data/result.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#define MODEL SN_TESTS "/golden/tiny/gqa-tied/model.gguf"

enum { TOKENS, ITEMS };
enum { TOKEN_SCORE = 6, ITEM_VALUE = 7, ITEM_BASELINE, ITEM_SUM, ITEM_GAP };

typedef struct run { sn_ctx *ctx; sn_model *model; sn_dataset *data; sn_result *result; sn_arena *arena;
                     char path[64]; } run;

static run open_run(sn_ctx *ctx)
{
	static const char text[] = "The keys to the cabinet\nA key\nThe door of the keys is here\n";
	run r = { .ctx = ctx };
	sn_format(r.path, sizeof r.path, "/tmp/sonde_test_%d.txt", (int)getpid());
	assert_ok(ctx, sn_write_file(ctx, r.path, text, strlen(text)));
	assert_ok(ctx, sn_model_open(&r.model, ctx, MODEL));
	assert_ok(ctx, sn_dataset_open(&r.data, ctx, r.path));
	return r;
}

/* set: "name=value" options, NULL at the end. */
static sn_status try_method(run *r, const sn_method *method, const char *const *set)
{
	sn_param_table table = { method->param, method->n_param };
	assert_ok(r->ctx, sn_arena_open(&r->arena, r->ctx));
	void *param = sn_arena_take(r->arena, method->param_size);
	assert_ok(r->ctx, sn_param_defaults(r->ctx, &table, r->arena, param));
	for (; *set; set++) {
		char key[32] = "";
		const char *value = strchr(*set, '=');
		memcpy(key, *set, (size_t)(value - *set));
		assert_ok(r->ctx, sn_param_set(r->ctx, sn_param_find(&table, key), value + 1, r->arena, param));
	}
	sn_input input = { .model = { r->model }, .data = { r->data } };
	return sn_method_run(r->ctx, method, &input, param, r->result);
}

static void run_method(run *r, const char *name, const char *const *set)
{
	const sn_method *method = sn_method_find("attribute", name);
	assert_non_null(method);
	assert_ok(r->ctx, sn_result_open(&r->result, r->ctx, method));
	assert_ok(r->ctx, try_method(r, method, set));
}

static run explain(sn_ctx *ctx, const char *name, const char *const *set)
{
	run r = open_run(ctx);
	run_method(&r, name, set);
	return r;
}

static void end(run *r)
{
	sn_arena_close(r->arena);
	sn_result_close(r->result);
	sn_dataset_close(r->data);
	sn_model_close(r->model);
	unlink(r->path);
}

static double item(const run *r, int64_t row, int column) { return sn_result_row(r->result, ITEMS, row)[column].f; }

static void integrated_gradients_sum_to_the_rise(void **state)
{
	static const char *const rules[] = { "rule=adaptive", "rule=gauss-legendre", "rule=midpoint" };
	for (int k = 0; k < SN_COUNT(rules); k++) {
		run r = explain(test_ctx(state), "integrated-gradients", (const char *[]){ rules[k], "steps=200", NULL });
		assert_int_equal(sn_result_rows(r.result, ITEMS), 3);
		for (int64_t i = 0; i < 3; i++) {
			double rise = item(&r, i, ITEM_VALUE) - item(&r, i, ITEM_BASELINE);
			if (fabs(item(&r, i, ITEM_GAP)) > 0.02 * fabs(rise) + 1e-3)
				fail_msg("%s, text %d: gap %g of %g", rules[k], (int)i, item(&r, i, ITEM_GAP), rise);
		}
		end(&r);
	}
}

/* Texts are run many at once, at all sites together: each has the scores that it has alone. */
static void deeplift_sums_to_the_rise(void **state)
{
	static const char *const baselines[] = { "baseline=mean", "baseline=zero", "baseline=The" };
	static const char *const sites[] = { "sites=hook_embed", "sites=blocks.1.hook_resid_pre" };
	for (int k = 0; k < SN_COUNT(baselines) * SN_COUNT(sites); k++) {
		run r = explain(test_ctx(state), "deeplift", (const char *[]){ baselines[k / 2], sites[k % 2], NULL });
		assert_int_equal(sn_result_rows(r.result, ITEMS), 3);
		for (int64_t i = 0; i < 3; i++) {
			double rise = item(&r, i, ITEM_VALUE) - item(&r, i, ITEM_BASELINE);
			assert_true(fabs(rise) > 1e-3);
			assert_true(fabs(item(&r, i, ITEM_GAP)) < 1e-4 * (1 + fabs(rise)));
		}
		end(&r);
	}
}

static void texts_together_score_as_alone(void **state)
{
	static const char *const methods[] = { "saliency", "gradient-x-input", "smoothgrad" };
	static const char *const set[] = { "sites=hook_embed,blocks.*.hook_resid_post", NULL };
	sn_options options = { .size = sizeof options, .threads = 1, .seed = 1, .tokens_per_step = 1 };
	sn_ctx *alone;
	assert_int_equal(sn_ctx_open(&alone, &options), SN_OK);
	for (int k = 0; k < SN_COUNT(methods); k++) {
		run a = explain(test_ctx(state), methods[k], set), b = explain(alone, methods[k], set);
		assert_int_equal(sn_result_rows(a.result, TOKENS), sn_result_rows(b.result, TOKENS));
		double most = 0;
		for (int64_t i = 0; i < sn_result_rows(a.result, TOKENS); i++) {
			double x = sn_result_row(a.result, TOKENS, i)[TOKEN_SCORE].f;
			double y = sn_result_row(b.result, TOKENS, i)[TOKEN_SCORE].f;
			if (!(fabs(x - y) <= 1e-6 * (1 + fabs(y)))) fail_msg("%s, row %d: %g, alone %g", methods[k], (int)i, x, y);
			most = fmax(most, fabs(x));
		}
		assert_true(most > 0);
		for (int64_t i = 0; i < sn_result_rows(a.result, ITEMS); i++)
			assert_true(fabs(item(&a, i, ITEM_VALUE) - item(&b, i, ITEM_VALUE)) < 1e-6);
		end(&b);
		end(&a);
	}
	sn_ctx_close(alone);
}

/* Without biases CP-LRP leaves the model linear in every layer's stream: relevance is conserved. */
static void relevance_is_conserved_from_layer_to_layer(void **state)
{
	run r = explain(test_ctx(state), "gradient-x-input",
	                (const char *[]){ "rule=cp-lrp", "metric=logit", "sites=blocks.*.hook_resid_pre", NULL });
	for (int64_t i = 0; i < sn_result_rows(r.result, ITEMS); i++) {
		double value = item(&r, i, ITEM_VALUE), sum = item(&r, i, ITEM_SUM);
		if (fabs(sum - value) > 1e-3 * (1 + fabs(value))) fail_msg("row %d: relevance %g of %g", (int)i, sum, value);
	}
	end(&r);
}

/* Both explain the same f, token by token, and some token matters. */
static void occlusion_and_leaving_out_explain_the_same(void **state)
{
	run a = explain(test_ctx(state), "occlusion", (const char *[]){ "target=are", NULL });
	run b = explain(test_ctx(state), "leave-one-out", (const char *[]){ "target=are", NULL });
	assert_int_equal(sn_result_rows(a.result, TOKENS), sn_result_rows(b.result, TOKENS));
	double most = 0;
	for (int64_t i = 0; i < sn_result_rows(a.result, TOKENS); i++)
		most = fmax(most, fabs(sn_result_row(a.result, TOKENS, i)[TOKEN_SCORE].f));
	assert_true(most > 0);
	for (int64_t i = 0; i < 3; i++)
		assert_true(fabs(item(&a, i, ITEM_VALUE) - item(&b, i, ITEM_VALUE)) < 1e-5);
	end(&b);
	end(&a);
}

/* ---- encoder-decoders ---- */

static void explain_pairs(behaviour *b, sn_ctx *ctx, const char *name, const char *const *set)
{
	json_t *rows = json_pack("[{ssss}{ssss}]", "source", "the old key is near the table", "target", "the boat",
	                         "source", "a boat", "target", "is");
	behaviour_open_arch(b, ctx, "t5", rows);
	json_decref(rows);
	run r = { .ctx = ctx, .model = b->model, .data = b->data };
	run_method(&r, name, set);
	b->result = r.result;
	sn_arena_close(r.arena);
}

/* Of the first pair nine source tokens ([CLS] and [SEP] among them), the decoder's start, the target's first word. */
static void both_sides_have_scores_that_sum(void **state)
{
	static const int64_t expected[] = { 9, 2, 4, 1 };
	behaviour b;
	int64_t tokens = 0;
	explain_pairs(&b, test_ctx(state), "integrated-gradients", (const char *[]){ "tolerance=0.001", NULL });
	assert_int_equal(sn_result_rows(b.result, ITEMS), 4);
	for (int64_t i = 0; i < 4; i++) {
		const sn_value *row = sn_result_row(b.result, ITEMS, i);
		assert_string_equal(row[1].s, i % 2 ? "decoder.hook_embed" : "encoder.hook_embed");
		assert_int_equal(row[6].i, expected[i]);
		assert_true(fabs(row[ITEM_GAP].f) <= 0.002 * fabs(row[ITEM_VALUE].f - row[ITEM_BASELINE].f) + 1e-4);
		tokens += row[6].i;
	}
	assert_int_equal(sn_result_rows(b.result, TOKENS), tokens);
	behaviour_close(&b);
}

/* What a source token is worth: the pair's score less that of the pair without it. */
static void a_source_is_left_out_token_by_token(void **state)
{
	behaviour whole, less;
	explain_pairs(&whole, test_ctx(state), "leave-one-out", (const char *[]){ NULL });
	assert_int_equal(sn_result_rows(whole.result, TOKENS), 9 + 4);
	json_t *rows = json_pack("[{ssss}]", "source", "the old key is near the", "target", "the boat");
	behaviour_open_arch(&less, test_ctx(state), "t5", rows);
	json_decref(rows);
	run r = { .ctx = less.ctx, .model = less.model, .data = less.data };
	run_method(&r, "leave-one-out", (const char *[]){ NULL });
	double fall = sn_result_row(whole.result, ITEMS, 0)[ITEM_VALUE].f - sn_result_row(r.result, ITEMS, 0)[ITEM_VALUE].f;
	assert_true(fabs(sn_result_row(whole.result, TOKENS, 7)[TOKEN_SCORE].f - fall) < 1e-5);
	less.result = r.result;
	sn_arena_close(r.arena);
	behaviour_close(&less);
	behaviour_close(&whole);
}

static void each_mask_has_its_token(void **state)
{
	behaviour b;
	json_t *rows = json_pack("[{ssss}]", "text", "the old [MASK] near the table", "target", "key is");
	behaviour_open_arch(&b, test_ctx(state), "bert", rows);
	json_decref(rows);
	const sn_method *method = sn_method_find("attribute", "saliency");
	run r = { .ctx = b.ctx, .model = b.model, .data = b.data };
	assert_ok(r.ctx, sn_result_open(&r.result, r.ctx, method));
	assert_int_equal(try_method(&r, method, (const char *[]){ NULL }), SN_EPARSE);
	assert_non_null(strstr(sn_error(r.ctx), "the target is 2 tokens, the text has 1 masks"));
	b.result = r.result;
	sn_arena_close(r.arena);
	behaviour_close(&b);
}

static void a_source_is_for_encoders(void **state)
{
	run r = open_run(test_ctx(state));
	const sn_method *method = sn_method_find("attribute", "saliency");
	assert_ok(r.ctx, sn_result_open(&r.result, r.ctx, method));
	assert_int_equal(try_method(&r, method, (const char *[]){ "source=text", NULL }), SN_EARG);
	assert_non_null(strstr(sn_error(r.ctx), "no encoder"));
	end(&r);
}

/* The path may begin at another sentence of as many tokens: f there is that sentence's, and from itself nothing
 * rises. */
static void a_path_may_begin_at_another_sentence(void **state)
{
	static const char lines[] = "xqz\nzxq\n";
	const sn_method *method = sn_method_find("attribute", "integrated-gradients");
	run r = open_run(test_ctx(state));
	sn_dataset_close(r.data);
	assert_ok(r.ctx, sn_write_file(r.ctx, r.path, lines, strlen(lines)));
	assert_ok(r.ctx, sn_dataset_open(&r.data, r.ctx, r.path));
	run_method(&r, "integrated-gradients", (const char *[]){ "target=are", "baseline=zxq", NULL });
	double other = item(&r, 1, ITEM_VALUE);
	assert_true(fabs(item(&r, 0, ITEM_BASELINE) - other) < 1e-5 && fabs(item(&r, 1, ITEM_BASELINE) - other) < 1e-5);
	assert_true(fabs(item(&r, 0, ITEM_VALUE) - other) > 1e-3 && fabs(item(&r, 1, ITEM_SUM)) < 1e-6);
	assert_true(fabs(item(&r, 0, ITEM_GAP)) <= 0.01 * fabs(item(&r, 0, ITEM_VALUE) - other));
	sn_arena_close(r.arena);
	assert_int_equal(try_method(&r, method, (const char *[]){ "baseline=xqz and more", NULL }), SN_EARG);
	end(&r);
}

/* ---- words, roles, groups ---- */

enum { GROUPS = 2, GROUP_NAME = 1, GROUP_SIZE = 2, GROUP_UNITS = 11 };

/* Words are runs of tokens: fewer rows, the same sums, and their texts put together are the text. */
static void words_sum_their_tokens(void **state)
{
	run a = explain(test_ctx(state), "gradient-x-input", (const char *[]){ "target=are", NULL });
	run b = explain(test_ctx(state), "gradient-x-input", (const char *[]){ "target=are", "level=word", NULL });
	assert_true(sn_result_rows(b.result, TOKENS) < sn_result_rows(a.result, TOKENS));
	char text[256] = "";
	for (int64_t i = 0; i < sn_result_rows(b.result, TOKENS); i++) {
		const sn_value *row = sn_result_row(b.result, TOKENS, i);
		if (row[0].i == 3) strncat(text, row[3].s, sizeof text - strlen(text) - 1);
	}
	assert_string_equal(text, "The door of the keys is here");
	for (int64_t i = 0, k = 0; i < sn_result_rows(b.result, TOKENS); i++) {
		const sn_value *word = sn_result_row(b.result, TOKENS, i);
		double sum = 0;
		for (; k < sn_result_rows(a.result, TOKENS); k++) {
			const sn_value *token = sn_result_row(a.result, TOKENS, k);
			if (token[0].i != word[0].i || token[5].i > word[5].i) break;
			sum += token[TOKEN_SCORE].f;
		}
		assert_true(fabs(sum - word[TOKEN_SCORE].f) < 1e-9);
	}
	for (int64_t i = 0; i < 3; i++) assert_true(fabs(item(&a, i, ITEM_SUM) - item(&b, i, ITEM_SUM)) < 1e-9);
	end(&b);
	end(&a);
}

/* The mean over texts of the mean |score| of the last token. */
static void groups_are_means_over_texts(void **state)
{
	run r = explain(test_ctx(state), "gradient-x-input", (const char *[]){ "target=are", NULL });
	double last[4] = { 0 }, mean = 0;
	int64_t units = 0;
	for (int64_t i = 0; i < sn_result_rows(r.result, TOKENS); i++) {
		const sn_value *row = sn_result_row(r.result, TOKENS, i);
		last[row[0].i] = fabs(row[TOKEN_SCORE].f);
	}
	for (int i = 1; i <= 3; i++) mean += last[i] / 3;
	assert_true(sn_result_rows(r.result, GROUPS) > 3);
	for (int64_t i = 0; i < sn_result_rows(r.result, GROUPS); i++) {
		const sn_value *row = sn_result_row(r.result, GROUPS, i);
		units += row[GROUP_UNITS].i;
		assert_true(!(row[GROUP_SIZE].f < 0));
		if (strcmp(row[GROUP_NAME].s, "0 tokens before") == 0) assert_true(fabs(row[GROUP_SIZE].f - mean) < 1e-6);
	}
	assert_int_equal(units, sn_result_rows(r.result, TOKENS));
	end(&r);
}

/* Roles of items and words of treebanks come from the data; data without them is refused. */
static void roles_and_parts_of_speech_are_read(void **state)
{
	static const char items[] = "{\"text\": \"The keys of it\", \"roles\": {\"subject\": [4, 8], \"last\": [12, 14]}}\n"
								"{\"text\": \"The dogs here\", \"roles\": {\"subject\": [4, 8], \"last\": [9, 13]}}\n";
	static const char bank[] = "# text = Dogs bark\n1\tDogs\tdog\tNOUN\t_\t_\t2\tnsubj\t_\t_\n"
							   "2\tbark\tbark\tVERB\t_\t_\t0\troot\t_\t_\n\n"
							   "# text = Keys\n1\tKeys\tkey\tNOUN\t_\t_\t0\troot\t_\t_\n\n";
	static const struct {
		const char *name, *data, *option, *group;
		int64_t groups;
	} want[] = { { "roles.jsonl", items, "level=role", "subject", 3 }, { "bank.conllu", bank, "by=upos", "VERB", 3 } };
	for (int k = 0; k < SN_COUNT(want); k++) {
		run r = open_run(test_ctx(state));
		bool found = false;
		char path[96];
		sn_dataset_close(r.data);
		sn_format(path, sizeof path, "/tmp/sonde_test_%d_%s", (int)getpid(), want[k].name);
		assert_ok(r.ctx, sn_write_file(r.ctx, path, want[k].data, strlen(want[k].data)));
		assert_ok(r.ctx, sn_dataset_open(&r.data, r.ctx, path));
		run_method(&r, "gradient-x-input", (const char *[]){ "target=are", want[k].option, NULL });
		assert_int_equal(sn_result_rows(r.result, GROUPS), want[k].groups);
		for (int64_t i = 0; i < want[k].groups; i++)
			found |= strcmp(sn_result_row(r.result, GROUPS, i)[GROUP_NAME].s, want[k].group) == 0;
		assert_true(found);
		unlink(path);
		end(&r);
	}
	run r = open_run(test_ctx(state));
	assert_ok(r.ctx, sn_result_open(&r.result, r.ctx, sn_method_find("attribute", "saliency")));
	assert_int_equal(try_method(&r, sn_method_find("attribute", "saliency"), (const char *[]){ "level=role", NULL }),
					 SN_EARG);
	end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integrated_gradients_sum_to_the_rise),
		cmocka_unit_test(deeplift_sums_to_the_rise),
		cmocka_unit_test(texts_together_score_as_alone),
		cmocka_unit_test(relevance_is_conserved_from_layer_to_layer),
		cmocka_unit_test(occlusion_and_leaving_out_explain_the_same),
		cmocka_unit_test(both_sides_have_scores_that_sum),
		cmocka_unit_test(a_source_is_left_out_token_by_token),
		cmocka_unit_test(each_mask_has_its_token),
		cmocka_unit_test(a_source_is_for_encoders),
		cmocka_unit_test(a_path_may_begin_at_another_sentence),
		cmocka_unit_test(words_sum_their_tokens),
		cmocka_unit_test(groups_are_means_over_texts),
		cmocka_unit_test(roles_and_parts_of_speech_are_read),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
