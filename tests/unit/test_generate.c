/* Generation on tiny random models: token for token what transformers' generate writes, for every architecture that
 * generates. */
#include "common/generate_golden.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int n_wanted;
static char **wanted;

static bool is_wanted(const char *name)
{
	for (int i = 0; i < n_wanted; i++)
		if (strcmp(wanted[i], name) == 0) return true;
	return n_wanted == 0;
}

static sn_model *open_variant(sn_ctx *ctx, const char *name)
{
	char path[512], config[544];
	sn_model *model;
	snprintf(path, sizeof path, SN_TESTS "/golden/arch/%s", name);
	snprintf(config, sizeof config, "%s/config.json", path);
	if (access(config, R_OK) != 0) snprintf(path, sizeof path, SN_TESTS "/golden/arch/%s/model.gguf", name);
	assert_ok(ctx, sn_model_open(&model, ctx, path));
	return model;
}

static void texts_equal_those_of_transformers(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *golden;
	assert_ok(ctx, sn_json_load(&golden, ctx, SN_TESTS "/golden/generate/tiny.json", 0));
	const json_t *cases = json_object_get(golden->root, "cases");
	const char *name;
	json_t *record, *row;
	int n_case = 0, n_model = 0;
	json_object_foreach(json_object_get(golden->root, "models"), name, record) {
		size_t r;
		if (!is_wanted(name)) continue;
		sn_model *model = open_variant(ctx, name);
		int32_t eos = (int32_t)json_integer_value(json_object_get(record, "eos"));
		json_array_foreach(json_object_get(record, "rows"), r, row) {
			n_case += golden_generate(ctx, model, name, cases, row, eos);
		}
		sn_model_close(model);
		n_model++;
	}
	print_message("%d cases of %d models\n", n_case, n_model);
	assert_true(n_wanted || (n_model >= 40 && n_case >= 640));
	sn_json_close(golden);
}

int main(int argc, char **argv)
{
	n_wanted = argc - 1;
	wanted = argv + 1;
	const struct CMUnitTest tests[] = { cmocka_unit_test(texts_equal_those_of_transformers) };
	return cmocka_run_group_tests(tests, test_open, test_close);
}
