#include "common/method_run.h"

#include "base/option.h"
#include "data/result.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void method_open(method_run *r, sn_ctx *ctx, const char *model, const char *name, const char *text)
{
	*r = (method_run){ .ctx = ctx, .folder = "/tmp/sonde-method-XXXXXX" };
	assert_non_null(mkdtemp(r->folder));
	snprintf(r->file, sizeof r->file, "%s/%s", r->folder, name);
	assert_ok(ctx, sn_write_file(ctx, r->file, text, strlen(text)));
	assert_ok(ctx, sn_dataset_open(&r->data, ctx, r->file));
	if (model) assert_ok(ctx, sn_model_open(&r->model, ctx, model));
}

sn_status method_status(method_run *r, const char *family, const char *name, const char *const *set)
{
	const sn_method *method = sn_method_find(family, name);
	assert_non_null(method);
	sn_result_close(r->result);
	sn_arena_close(r->arena);
	r->result = NULL;
	r->arena = NULL;
	assert_ok(r->ctx, sn_result_open(&r->result, r->ctx, method));
	assert_ok(r->ctx, sn_arena_open(&r->arena, r->ctx));
	sn_param_table table = { method->param, method->n_param };
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

void method_do(method_run *r, const char *family, const char *name, const char *const *set)
{
	assert_ok(r->ctx, method_status(r, family, name, set));
}

static int column_of(const method_run *r, int table, const char *column)
{
	const sn_table *t = &sn_result_method(r->result)->table[table];
	for (int c = 0; c < t->n_col; c++)
		if (strcmp(t->col[c].name, column) == 0) return c;
	fail_msg("table %s has no column %s", t->name, column);
	return -1;
}

double method_number(const method_run *r, int table, int64_t row, const char *column)
{
	int c = column_of(r, table, column);
	const sn_value *v = &sn_result_row(r->result, table, row)[c];
	sn_type type = sn_result_method(r->result)->table[table].col[c].type;
	if (sn_value_missing(type, v)) return NAN;
	return type == SN_TYPE_FLOAT ? v->f : (double)v->i;
}

const char *method_text(const method_run *r, int table, int64_t row, const char *column)
{
	return sn_result_row(r->result, table, row)[column_of(r, table, column)].s;
}

void method_close(method_run *r)
{
	sn_arena_close(r->arena);
	sn_result_close(r->result);
	sn_dataset_close(r->data);
	sn_model_close(r->model);
	unlink(r->file);
	rmdir(r->folder);
}
