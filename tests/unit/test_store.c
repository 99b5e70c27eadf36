/* The store: what is put comes back, declarations included; bad files are refused. */
#include "common/test.h"
#include "report/report.h"
#include "store/store.h"

#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct param {
	int64_t pairs;
	const char *effort;
} param;
static const sn_param params[] = {
	{ .name = "pairs",
	  .unit = "pairs",
	  .help = "how many",
	  .def = "4",
	  .type = SN_TYPE_INT,
	  .off = offsetof(param, pairs) },
	{ .name = "effort", .help = "preset", .def = "quick", .type = SN_TYPE_TEXT, .off = offsetof(param, effort) },
};
static const sn_col cells[] = {
	{ .name = "layer", .type = SN_TYPE_INT, .role = SN_DIM },
	{ .name = "ro\"le", .type = SN_TYPE_TEXT, .role = SN_DIM, .title = "Role" },
	{ .name = "E", .unit = "share of D", .type = SN_TYPE_FLOAT, .role = SN_MEASURE, .better = 1 },
	{ .name = "low", .of = "E", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "hold", .type = SN_TYPE_BOOL, .role = SN_HATCH },
};
static const sn_table tables[] = {
	{ .name = "cells",
	  .title = "Cells",
	  .col = cells,
	  .n_col = SN_COUNT(cells),
	  .view = SN_VIEW_HEAT,
	  .caption = "What it shows." },
	{ .name = "more", .col = cells, .n_col = 2, .appendix = true },
};
static sn_status run(sn_ctx *ctx, const sn_input *input, const void *p, sn_result *out)
{
	(void)ctx, (void)input, (void)p;
	for (int64_t l = 0; l < 100; l++)
		SN_TRY(SN_ADD(out, 0, sn_int(l), l % 5 ? sn_text("сущ'ект") : sn_none(),
					  l % 3 ? sn_num(1.0 / (double)(l + 1)) : sn_num(NAN), sn_none(),
					  l % 7 ? sn_flag(l % 2) : sn_none()));
	SN_TRY(sn_result_say(out, "A sentence; %d.", 7));
	SN_TRY(sn_result_limit(out, "A limit."));
	return sn_result_cite(out, "Somebody 2020");
}
static const sn_method method = { .family = "test",
								  .name = "store",
								  .brief = "b",
								  .param = params,
								  .n_param = 2,
								  .param_size = sizeof(param),
								  .table = tables,
								  .n_table = 2,
								  .run = run };

static char path[64];

static sn_result *make_result(sn_ctx *ctx)
{
	sn_result *r;
	assert_ok(ctx, sn_result_open(&r, ctx, &method));
	assert_ok(ctx, sn_method_run(ctx, &method, &(sn_input){ .model = { NULL } }, NULL, r));
	return r;
}

static int fresh_path(void **state)
{
	(void)state;
	snprintf(path, sizeof path, "/tmp/sonde_test_store_%d.sqlite", (int)getpid());
	unlink(path);
	return 0;
}

static int remove_path(void **state)
{
	char side[80];
	(void)state;
	unlink(path);
	snprintf(side, sizeof side, "%s-wal", path);
	unlink(side);
	snprintf(side, sizeof side, "%s-shm", path);
	unlink(side);
	return 0;
}

/* JSON holds every declaration, value and sentence, so equal JSON is an equal result. */
static void a_run_comes_back_as_it_was(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_result *r = make_result(ctx), *back;
	sn_store *store;
	int64_t first, second;
	assert_ok(ctx, sn_store_open(&store, ctx, path, true));
	assert_ok(ctx, sn_store_put(store, r, SN_OK, 1.5, &first));
	sn_store_close(store);
	assert_ok(ctx, sn_store_open(&store, ctx, path, false));
	assert_ok(ctx, sn_store_put(store, r, SN_ECANCEL, 2, &second));
	assert_int_equal(second, first + 1);
	assert_ok(ctx, sn_store_load(&back, store, first));
	sn_buf a = { .ctx = ctx }, b = { .ctx = ctx };
	sn_report_json(&a, r);
	sn_report_json(&b, back);
	assert_string_equal(a.data, b.data);
	assert_true(sn_result_method(back)->table[1].appendix);
	assert_int_equal(sn_result_method(back)->table[0].view, SN_VIEW_HEAT);
	assert_string_equal(sn_result_method(back)->param[0].unit, "pairs");
	sn_buf_free(&a);
	sn_buf_free(&b);
	sn_result_close(r);
	sn_result_close(back);
	sn_store_close(store);
}

static void runs_are_listed_newest_first(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_result *r = make_result(ctx);
	assert_ok(ctx, sn_result_set(r, "model", "tiny"));
	sn_store *store;
	sn_arena *arena;
	sn_run_info *info;
	int64_t n, run;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	assert_ok(ctx, sn_store_open(&store, ctx, path, true));
	assert_ok(ctx, sn_store_put(store, r, SN_OK, 1.5, &run));
	assert_ok(ctx, sn_store_put(store, r, SN_ECANCEL, 2, &run));
	assert_ok(ctx, sn_store_list(store, arena, &info, &n));
	assert_int_equal(n, 2);
	assert_int_equal(info[0].run, run);
	assert_string_equal(info[0].status, "cancelled");
	assert_string_equal(info[1].status, "ok");
	assert_string_equal(info[1].model, "tiny");
	assert_int_equal(info[1].n_row, 100);
	sn_result *none;
	assert_int_equal(sn_store_load(&none, store, 99), SN_ENOTFOUND);
	assert_null(none);
	sn_store_close(store);
	sn_arena_close(arena);
	sn_result_close(r);
}

/* A later version of a method may declare more columns. */
static void a_new_column_joins_the_old_rows(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	static const sn_col more[] = { { .name = "layer", .type = SN_TYPE_INT },
								   { .name = "extra", .type = SN_TYPE_FLOAT, .role = SN_MEASURE } };
	static const sn_table table = { .name = "cells", .col = more, .n_col = 2 };
	static const sn_method later = { .family = "test", .name = "store", .table = &table, .n_table = 1 };
	sn_result *r = make_result(ctx), *s, *back;
	sn_store *store;
	int64_t old, run;
	assert_ok(ctx, sn_result_open(&s, ctx, &later));
	assert_ok(ctx, SN_ADD(s, 0, sn_int(1), sn_num(0.25)));
	assert_ok(ctx, sn_store_open(&store, ctx, path, true));
	assert_ok(ctx, sn_store_put(store, r, SN_OK, 0, &old));
	assert_ok(ctx, sn_store_put(store, s, SN_OK, 0, &run));
	assert_ok(ctx, sn_store_load(&back, store, run));
	assert_true(sn_result_row(back, 0, 0)[1].f == 0.25);
	sn_result_close(back);
	assert_ok(ctx, sn_store_load(&back, store, old));
	assert_int_equal(sn_result_rows(back, 0), 100);
	sn_result_close(back);
	sn_result_close(r);
	sn_result_close(s);
	sn_store_close(store);
}

static void other_files_are_refused(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_store *store;
	assert_int_equal(sn_store_open(&store, ctx, path, false), SN_ENOTFOUND);
	assert_ok(ctx,
			  sn_write_file(
				  ctx, path,
				  "this is a text file, and long enough to have a header......................................", 90));
	assert_int_equal(sn_store_open(&store, ctx, path, false), SN_EPARSE);
	assert_null(store);
	unlink(path);
	sqlite3 *db;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE t (a)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(sn_store_open(&store, ctx, path, true), SN_EPARSE);
	assert_non_null(strstr(sn_error(ctx), "not a store"));
	assert_int_equal(sn_store_open(&store, ctx, "/nonexistent/x.sqlite", true), SN_EIO);
}

static void a_newer_schema_is_refused(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_store *store;
	sqlite3 *db;
	assert_ok(ctx, sn_store_open(&store, ctx, path, true));
	sn_store_close(store);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 999", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(sn_store_open(&store, ctx, path, true), SN_EPARSE);
	assert_non_null(strstr(sn_error(ctx), "newer"));
}

static void a_damaged_store_is_refused(void **state)
{
	static const char *const damage[] = { "UPDATE sn_col SET type = 99",
										  "UPDATE sn_col SET role = -1",
										  "UPDATE sn_table SET view = 77",
										  "UPDATE sn_line SET kind = kind + 50",
										  "UPDATE sn_param SET type = 12",
										  "DROP TABLE test_store_cells",
										  "DELETE FROM sn_col WHERE position = 1; UPDATE sn_col SET name = 'gone'" };
	sn_ctx *ctx = test_ctx(state);
	for (int i = 0; i < SN_COUNT(damage); i++) {
		sn_result *r = make_result(ctx), *back;
		sn_store *store;
		sqlite3 *db;
		int64_t number;
		assert_ok(ctx, sn_store_open(&store, ctx, path, true));
		assert_ok(ctx, sn_store_put(store, r, SN_OK, 0, &number));
		sn_store_close(store);
		assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, damage[i], NULL, NULL, NULL), SQLITE_OK);
		sqlite3_close(db);
		assert_ok(ctx, sn_store_open(&store, ctx, path, false));
		sn_status status = sn_store_load(&back, store, number);
		assert_true(status == SN_EPARSE || status == SN_EIO);
		assert_null(back);
		sn_store_close(store);
		sn_result_close(r);
		remove_path(state);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_run_comes_back_as_it_was, fresh_path, remove_path),
		cmocka_unit_test_setup_teardown(runs_are_listed_newest_first, fresh_path, remove_path),
		cmocka_unit_test_setup_teardown(a_new_column_joins_the_old_rows, fresh_path, remove_path),
		cmocka_unit_test_setup_teardown(other_files_are_refused, fresh_path, remove_path),
		cmocka_unit_test_setup_teardown(a_damaged_store_is_refused, fresh_path, remove_path),
		cmocka_unit_test_setup_teardown(a_newer_schema_is_refused, fresh_path, remove_path),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
