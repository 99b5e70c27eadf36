/* Memory that runs out at every point: results, reports and the store say so and leave nothing behind. */
#include "common/test.h"
#include "data/result.h"
#include "report/report.h"
#include "store/store.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* An allocator that fails once, at the n-th request, and counts what is not given back. */
typedef struct faulty {
	int64_t left, live;
	bool failed;
} faulty;

static void *take(void *payload, size_t size)
{
	faulty *f = payload;
	if (f->left-- == 0) return f->failed = true, NULL;
	f->live++;
	return aligned_alloc(64, size);
}

static void give(void *payload, void *p)
{
	((faulty *)payload)->live--;
	free(p);
}

static const sn_col cols[] = {
	{ .name = "layer", .type = SN_TYPE_INT, .role = SN_DIM },
	{ .name = "role", .type = SN_TYPE_TEXT, .role = SN_DIM },
	{ .name = "E", .type = SN_TYPE_FLOAT, .role = SN_MEASURE, .unit = "share" },
	{ .name = "low", .of = "E", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "high", .of = "E", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "floor", .of = "E", .type = SN_TYPE_FLOAT, .role = SN_BASE },
	{ .name = "certain", .type = SN_TYPE_BOOL, .role = SN_HATCH },
};
static const sn_table tables[] = {
	{ .name = "lines", .col = cols, .n_col = SN_COUNT(cols), .view = SN_VIEW_LINE },
	{ .name = "heat", .col = cols, .n_col = SN_COUNT(cols), .view = SN_VIEW_HEAT },
	{ .name = "bars", .col = cols, .n_col = SN_COUNT(cols), .view = SN_VIEW_BAR },
	{ .name = "rows", .col = cols, .n_col = SN_COUNT(cols), .appendix = true },
	{ .name = "texts", .col = cols, .n_col = SN_COUNT(cols), .view = SN_VIEW_TEXT },
};
static sn_status run(sn_ctx *ctx, const sn_input *input, const void *param, sn_result *out)
{
	(void)ctx, (void)input, (void)param;
	for (int t = 0; t < SN_COUNT(tables); t++)
		for (int l = 0; l < 3; l++)
			for (int role = 0; role < 2; role++)
				SN_TRY(SN_ADD(out, t, sn_int(l), sn_text(role ? "last" : "subject"), sn_num(0.3 * l), sn_num(0.2 * l),
							  sn_num(0.4 * l), sn_num(0.1), sn_flag(l == 2)));
	SN_TRY(sn_result_limit(out, "limit %d", 1));
	return sn_result_say(out, "said %d", 1);
}
static const sn_method method = { .family = "test",
								  .name = "faults",
								  .brief = "b",
								  .doc = "d\ne",
								  .table = tables,
								  .n_table = SN_COUNT(tables),
								  .run = run };

static sn_status through_store(sn_ctx *ctx, const sn_result *r, const char *path)
{
	sn_store *store;
	sn_result *back = NULL;
	int64_t number;
	SN_TRY(sn_store_open(&store, ctx, path, true));
	sn_status status = sn_store_put(store, r, SN_OK, 1, &number);
	if (status == SN_OK) status = sn_store_load(&back, store, number);
	if (status == SN_OK) assert_int_equal(sn_result_rows(back, 0), 6);
	sn_result_close(back);
	sn_store_close(store);
	return status;
}

static sn_status report(sn_ctx *ctx, const sn_result *r)
{
	sn_buf buf = { .ctx = ctx };
	sn_status status = sn_report_text(&buf, r, 60, false);
	if (status == SN_OK) status = sn_report_html(&buf, r);
	sn_report_csv(&buf, r);
	sn_report_json(&buf, r);
	if (status == SN_OK && buf.failed) status = SN_ENOMEM;
	sn_buf_free(&buf);
	return status;
}

static sn_status everything(sn_ctx *ctx, const char *path)
{
	sn_result *r;
	SN_TRY(sn_result_open(&r, ctx, &method));
	sn_status status = sn_method_run(ctx, &method, &(sn_input){ .model = { NULL } }, NULL, r);
	if (status == SN_OK) status = path ? through_store(ctx, r, path) : report(ctx, r);
	sn_result_close(r);
	return status;
}

/* Fails request n for n = 0, 1, ... (further apart as n grows) until the work gets through. */
static void until_it_succeeds(const char *path)
{
	bool done = false;
	for (int64_t n = 0; !done; n += 1 + n / 24) {
		faulty f = { .left = n };
		sn_options options = {
			.size = sizeof options, .threads = 1, .alloc = take, .dealloc = give, .alloc_payload = &f
		};
		sn_ctx *ctx;
		sn_status status = sn_ctx_open(&ctx, &options);
		if (status == SN_OK) status = everything(ctx, path);
		if (ctx) sn_ctx_close(ctx);
		if (f.failed && status != SN_ENOMEM)
			fail_msg("request %lld failed, but the status is %s", (long long)n, sn_status_text(status));
		if (!f.failed) assert_int_equal(status, SN_OK);
		assert_int_equal(f.live, 0);
		done = !f.failed;
	}
}

static void reports_survive_any_failed_allocation(void **state)
{
	(void)state;
	until_it_succeeds(NULL);
}

static void the_store_survives_any_failed_allocation(void **state)
{
	(void)state;
	char path[64], side[80];
	snprintf(path, sizeof path, "/tmp/sonde_test_faults_%d.sqlite", (int)getpid());
	until_it_succeeds(path);
	unlink(path);
	snprintf(side, sizeof side, "%s-wal", path);
	unlink(side);
	snprintf(side, sizeof side, "%s-shm", path);
	unlink(side);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reports_survive_any_failed_allocation),
		cmocka_unit_test(the_store_survives_any_failed_allocation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
