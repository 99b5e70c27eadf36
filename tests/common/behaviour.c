#include "common/behaviour.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void write_data(behaviour *b, const char *name, const char *text)
{
	strcpy(b->folder, "/tmp/sonde-behaviour-XXXXXX");
	assert_non_null(mkdtemp(b->folder));
	snprintf(b->file, sizeof b->file, "%s/%s", b->folder, name);
	FILE *file = fopen(b->file, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

void behaviour_open_data(behaviour *b, sn_ctx *ctx, const char *model, const char *name, const char *text)
{
	*b = (behaviour){ .ctx = ctx };
	write_data(b, name, text);
	assert_ok(ctx, sn_dataset_open(&b->data, ctx, b->file));
	assert_ok(ctx, sn_model_open(&b->model, ctx, model));
}

void behaviour_open_lines(behaviour *b, sn_ctx *ctx, const char *model, const char *lines)
{
	behaviour_open_data(b, ctx, model, "data.txt", lines);
}

/* JSON Lines; the caller frees. */
static char *lines_of(json_t *rows)
{
	char *all = calloc(1, 1);
	size_t i, size = 0;
	json_t *row, *value;
	const char *key;
	json_array_foreach(rows, i, row) {
		json_t *kept = json_object();
		json_object_foreach(row, key, value)
			if (json_is_string(value)) json_object_set(kept, key, value);
		char *line = json_dumps(kept, 0);
		all = realloc(all, size + strlen(line) + 2);
		size += (size_t)sprintf(all + size, "%s\n", line);
		free(line);
		json_decref(kept);
	}
	return all;
}

void behaviour_open_rows(behaviour *b, sn_ctx *ctx, const char *model, json_t *rows)
{
	char *lines = lines_of(rows);
	behaviour_open_data(b, ctx, model, "data.jsonl", lines);
	free(lines);
}

void behaviour_open_tiny(behaviour *b, sn_ctx *ctx, json_t *rows)
{
	behaviour_open_rows(b, ctx, SN_TESTS "/golden/tiny/gqa-tied", rows);
}

void behaviour_open_arch(behaviour *b, sn_ctx *ctx, const char *variant, json_t *rows)
{
	static const char *const files[] = { "config.json", "model.safetensors", "tokenizer.json" };
	char from[256], to[128], *lines = lines_of(rows);
	*b = (behaviour){ .ctx = ctx };
	write_data(b, "data.jsonl", lines);
	free(lines);
	for (int i = 0; i < SN_COUNT(files); i++) {
		snprintf(from, sizeof from, SN_TESTS "/golden/%s%s/%s", i < 2 ? "arch/" : "behaviour", i < 2 ? variant : "",
				 files[i]);
		snprintf(to, sizeof to, "%s/%s", b->folder, files[i]);
		assert_int_equal(symlink(from, to), 0);
	}
	assert_ok(ctx, sn_dataset_open(&b->data, ctx, b->file));
	assert_ok(ctx, sn_model_open(&b->model, ctx, b->folder));
}

sn_status behaviour_status(behaviour *b, const char *name, const void *param)
{
	const sn_method *method = sn_method_find("behaviour", name);
	sn_input input = { .model = { b->model }, .data = { b->data } };
	assert_non_null(method);
	sn_result_close(b->result);
	b->result = NULL;
	assert_ok(b->ctx, sn_result_open(&b->result, b->ctx, method));
	return sn_method_run(b->ctx, method, &input, param, b->result);
}

void behaviour_run(behaviour *b, const char *name, const void *param)
{
	assert_ok(b->ctx, behaviour_status(b, name, param));
}

void behaviour_check_words(behaviour *b, json_t *text, const char *key, int column, int64_t *row)
{
	json_t *value, *expected = json_object_get(text, key);
	size_t i;
	json_array_foreach(expected, i, value) {
		const sn_value *found = sn_result_row(b->result, 0, *row + (int64_t)i);
		if (json_is_null(value))
			assert_true(isnan(found[column].f));
		else if (!(fabs(found[column].f - json_number_value(value)) < 1e-4 * fmax(1, json_number_value(value))))
			fail_msg("%s, word %zu: %g, expected %g", key, i, found[column].f, json_number_value(value));
	}
	*row += (int64_t)json_array_size(expected);
}

void behaviour_close(behaviour *b)
{
	static const char *const files[] = { "config.json", "model.safetensors", "tokenizer.json" };
	char path[128];
	sn_result_close(b->result);
	sn_dataset_close(b->data);
	sn_model_close(b->model);
	assert_int_equal(unlink(b->file), 0);
	for (int i = 0; i < SN_COUNT(files); i++) {
		snprintf(path, sizeof path, "%s/%s", b->folder, files[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(b->folder), 0);
}
