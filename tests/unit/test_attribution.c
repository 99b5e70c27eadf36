/* Attribution on a tiny model: what its scores must sum to, and what they must equal. */
#include "common/test.h"

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

/* set: "name=value" options, NULL at the end. */
static run explain(sn_ctx *ctx, const char *name, const char *const *set)
{
	static const char text[] = "The keys to the cabinet\nA key\nThe door of the keys is here\n";
	const sn_method *method = sn_method_find("attribute", name);
	run r = { .ctx = ctx };
	sn_format(r.path, sizeof r.path, "/tmp/sonde_test_%d.txt", (int)getpid());
	assert_non_null(method);
	assert_ok(ctx, sn_write_file(ctx, r.path, text, strlen(text)));
	assert_ok(ctx, sn_model_open(&r.model, ctx, MODEL));
	assert_ok(ctx, sn_dataset_open(&r.data, ctx, r.path));
	assert_ok(ctx, sn_result_open(&r.result, ctx, method));
	assert_ok(ctx, sn_arena_open(&r.arena, ctx));
	sn_param_table table = { method->param, method->n_param };
	void *param = sn_arena_take(r.arena, method->param_size);
	assert_ok(ctx, sn_param_defaults(ctx, &table, r.arena, param));
	for (; *set; set++) {
		char key[32] = "";
		const char *value = strchr(*set, '=');
		memcpy(key, *set, (size_t)(value - *set));
		assert_ok(ctx, sn_param_set(ctx, sn_param_find(&table, key), value + 1, r.arena, param));
	}
	sn_input input = { .model = { r.model }, .data = { r.data } };
	assert_ok(ctx, sn_method_run(ctx, method, &input, param, r.result));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integrated_gradients_sum_to_the_rise),
		cmocka_unit_test(relevance_is_conserved_from_layer_to_layer),
		cmocka_unit_test(occlusion_and_leaving_out_explain_the_same),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
