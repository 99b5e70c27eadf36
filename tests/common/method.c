#include "common/method.h"

#include "base/option.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void write_data(method_run *r, const char *name, const char *text)
{
	strcpy(r->folder, "/tmp/sonde-method-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	snprintf(r->file, sizeof r->file, "%s/%s", r->folder, name);
	assert_ok(r->ctx, sn_write_file(r->ctx, r->file, text, strlen(text)));
}

static void open_parts(method_run *r, const char *family, const char *name, const char *model)
{
	r->method = sn_method_find(family, name);
	assert_non_null(r->method);
	assert_ok(r->ctx, sn_arena_open(&r->arena, r->ctx));
	assert_ok(r->ctx, sn_dataset_open(&r->data, r->ctx, r->file));
	assert_ok(r->ctx, sn_model_open(&r->model, r->ctx, model));
}

void method_open(method_run *r, sn_ctx *ctx, const char *family, const char *name, const char *model, const char *file,
				 const char *text)
{
	*r = (method_run){ .ctx = ctx };
	write_data(r, file, text);
	open_parts(r, family, name, model);
}

static const char *const arch_files[] = { "config.json", "model.safetensors", "tokenizer.json" };

void method_open_arch(method_run *r, sn_ctx *ctx, const char *family, const char *name, const char *variant,
					  const char *file, const char *text)
{
	*r = (method_run){ .ctx = ctx };
	write_data(r, file, text);
	for (int i = 0; i < SN_COUNT(arch_files); i++) {
		char from[256], to[128];
		snprintf(from, sizeof from, SN_TESTS "/golden/%s%s/%s", i < 2 ? "arch/" : "behaviour", i < 2 ? variant : "",
				 arch_files[i]);
		snprintf(to, sizeof to, "%s/%s", r->folder, arch_files[i]);
		assert_int_equal(symlink(from, to), 0);
	}
	open_parts(r, family, name, r->folder);
}

sn_status method_status(method_run *r, const char *const *option)
{
	sn_param_table table = { r->method->param, r->method->n_param };
	void *param = sn_arena_take(r->arena, r->method->param_size);
	sn_result_close(r->result);
	assert_ok(r->ctx, sn_result_open(&r->result, r->ctx, r->method));
	assert_ok(r->ctx, sn_param_defaults(r->ctx, &table, r->arena, param));
	for (; *option; option++) {
		char key[32] = "";
		const char *value = strchr(*option, '=');
		memcpy(key, *option, (size_t)(value - *option));
		assert_ok(r->ctx, sn_param_set(r->ctx, sn_param_find(&table, key), value + 1, r->arena, param));
	}
	sn_input input = { .model = { r->model }, .data = { r->data } };
	return sn_method_run(r->ctx, r->method, &input, param, r->result);
}

void method_go(method_run *r, const char *const *option) { assert_ok(r->ctx, method_status(r, option)); }

void method_close(method_run *r)
{
	sn_result_close(r->result);
	sn_dataset_close(r->data);
	sn_model_close(r->model);
	sn_arena_close(r->arena);
	unlink(r->file);
	for (int i = 0; i < SN_COUNT(arch_files); i++) {
		char path[128];
		snprintf(path, sizeof path, "%s/%s", r->folder, arch_files[i]);
		unlink(path);
	}
	rmdir(r->folder);
}

int method_column(const method_run *r, int table, const char *name)
{
	const sn_table *t = &r->method->table[table];
	for (int c = 0; c < t->n_col; c++)
		if (strcmp(t->col[c].name, name) == 0) return c;
	fail_msg("no column %s in table %s", name, t->name);
	return -1;
}

double method_number(const method_run *r, int table, int64_t row, const char *column)
{
	int c = method_column(r, table, column);
	const sn_value *value = sn_result_row(r->result, table, row) + c;
	return r->method->table[table].col[c].type == SN_TYPE_FLOAT ? value->f : (double)value->i;
}

const char *method_text(const method_run *r, int table, int64_t row, const char *column)
{
	return sn_result_row(r->result, table, row)[method_column(r, table, column)].s;
}
