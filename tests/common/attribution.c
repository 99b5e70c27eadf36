#include "common/attribution.h"

#include "base/option.h"
#include "data/result.h"
#include "io/json.h"

#include <math.h>
#include <string.h>

enum { TOKENS, ITEMS };
enum { TOKEN_ITEM = 0, TOKEN_SCORE = 6, ITEM_VALUE = 7 };

void attribution_open(behaviour *b, sn_ctx *ctx, const char *model, json_t *rows)
{
	if (strcmp(model, "llama") == 0) behaviour_open_tiny(b, ctx, rows);
	else if (strcmp(model, "minilm") == 0) behaviour_open_rows(b, ctx, SN_MODELS "/all-MiniLM-L6-v2", rows);
	else behaviour_open_arch(b, ctx, model, rows);
}

static const char *method_of(json_t *c)
{
	json_t *name = json_object_get(c, "method");
	return name ? json_string_value(name) : "ablation";
}

sn_status attribution_status(behaviour *b, json_t *c)
{
	const sn_method *method = sn_method_find("attribute", method_of(c));
	const char *key;
	json_t *value;
	sn_arena *arena;
	assert_non_null(method);
	assert_ok(b->ctx, sn_arena_open(&arena, b->ctx));
	assert_ok(b->ctx, sn_result_open(&b->result, b->ctx, method));
	sn_param_table table = { method->param, method->n_param };
	void *param = sn_arena_take(arena, method->param_size);
	assert_ok(b->ctx, sn_param_defaults(b->ctx, &table, arena, param));
	json_object_foreach(json_object_get(c, "options"), key, value) {
		const sn_param *p = sn_param_find(&table, key);
		assert_non_null(p);
		assert_ok(b->ctx, sn_param_set(b->ctx, p, json_string_value(value), arena, param));
	}
	sn_input input = { .model = { b->model }, .data = { b->data } };
	sn_status status = sn_method_run(b->ctx, method, &input, param, b->result);
	sn_arena_close(arena);
	return status;
}

void attribution_run(behaviour *b, json_t *c) { assert_ok(b->ctx, attribution_status(b, c)); }

/* The scores of item number r, from table row *at on. */
static double compare_row(const behaviour *b, json_t *row, int64_t r, int64_t *at)
{
	json_t *score = json_object_get(row, "score");
	double diff = 0, size = 0;
	for (size_t i = 0; i < json_array_size(score); i++, (*at)++) {
		const sn_value *found = sn_result_row(b->result, TOKENS, *at);
		double expected = json_number_value(json_array_get(score, i));
		assert_int_equal(found[TOKEN_ITEM].i, r + 1);
		diff += (found[TOKEN_SCORE].f - expected) * (found[TOKEN_SCORE].f - expected);
		size += expected * expected;
	}
	double value = json_number_value(json_object_get(row, "value"));
	assert_true(fabs(sn_result_row(b->result, ITEMS, r)[ITEM_VALUE].f - value) < 1e-5 * (1 + fabs(value)));
	return sqrt(diff / size);
}

static double check_case(sn_ctx *ctx, json_t *c)
{
	behaviour b;
	int64_t at = 0;
	double worst = 0;
	json_t *rows = json_object_get(c, "rows");
	attribution_open(&b, ctx, json_string_value(json_object_get(c, "model")), rows);
	attribution_run(&b, c);
	for (size_t r = 0; r < json_array_size(rows); r++)
		worst = fmax(worst, compare_row(&b, json_array_get(rows, r), (int64_t)r, &at));
	assert_int_equal(at, sn_result_rows(b.result, TOKENS));
	behaviour_close(&b);
	if (!(worst < 1e-4)) {
		char *text = json_dumps(json_object_get(c, "options"), 0);
		fail_msg("%s %s %s: relative error %g", json_string_value(json_object_get(c, "model")),
		         json_string_value(json_object_get(c, "method")), text, worst);
	}
	return worst;
}

void attribution_check_file(sn_ctx *ctx, const char *path, size_t least)
{
	sn_json *golden;
	double worst = 0;
	assert_ok(ctx, sn_json_load(&golden, ctx, path, 0));
	json_t *cases = json_object_get(golden->root, "cases");
	assert_true(json_array_size(cases) >= least);
	for (size_t i = 0; i < json_array_size(cases); i++)
		worst = fmax(worst, check_case(ctx, json_array_get(cases, i)));
	print_message("%d cases, largest relative error %.1e\n", (int)json_array_size(cases), worst);
	sn_json_close(golden);
}
