/* attention maps and its parts against transformers, numpy, networkx and scipy (tests/oracles/attention.py), and their
 * own mathematics. */
#include "common/method.h"

#include "data/alignment.h"
#include "io/json.h"
#include "methods/attention/maps.h"
#include "stats/distance.h"
#include "stats/flow.h"
#include "stats/kendall.h"
#include "stats/ratio.h"

#include <math.h>
#include <string.h>

#define TINY SN_TESTS "/golden/tiny/gqa-tied"

enum { OVERVIEW, WHERE, MAP, SOURCES, ALIGNMENT };

static double number(const json_t *a, size_t i) { return json_number_value(json_array_get(a, i)); }

static void close_to(double x, double want, double tolerance, const char *what)
{
	if (!(fabs(x - want) <= tolerance)) fail_msg("%s: %.9g, expected %.9g", what, x, want);
}

/* ---- against transformers ---- */

static void check_traits(const method_run *r, const json_t *golden)
{
	static const char *const name[] = { "confidence", "entropy", "distance", "self", "first" };
	size_t layers = json_array_size(golden), heads = json_array_size(json_array_get(golden, 0));
	assert_int_equal(sn_result_rows(r->result, OVERVIEW), layers * heads);
	for (size_t l = 0; l < layers; l++)
		for (size_t h = 0; h < heads; h++)
			for (int t = 0; t < SN_COUNT(name); t++)
				close_to(method_number(r, t < 2 ? OVERVIEW : WHERE, (int64_t)(l * heads + h), name[t]),
						 number(json_array_get(json_array_get(golden, l), h), (size_t)t), 1e-4, name[t]);
}

/* golden: a matrix; rows of the table in the same order. Every row sums to 1. */
static int64_t check_matrix(const method_run *r, int table, int64_t row, const char *column, const json_t *golden,
							const char *what)
{
	size_t i;
	const json_t *line;
	json_array_foreach(golden, i, line) {
		double sum = 0;
		for (size_t k = 0; k < json_array_size(line); k++, row++) {
			double x = method_number(r, table, row, column);
			close_to(x, number(line, k), 1e-4, what);
			sum += x;
		}
		close_to(sum, 1, 1e-5, what);
	}
	return row;
}

static void check_text(method_run *r, const json_t *golden)
{
	char unit[32];
	sn_format(unit, sizeof unit, "unit=%s", json_string_value(json_object_get(golden, "unit")));
	method_go(r, (const char *[]){ unit, NULL });
	check_traits(r, json_object_get(golden, "traits"));
	assert_int_equal(sn_result_rows(r->result, MAP),
					 check_matrix(r, MAP, 0, "weight", json_object_get(golden, "last_mean"), "mean of heads"));
	int64_t row = check_matrix(r, SOURCES, 0, "share", json_object_get(golden, "raw"), "raw");
	row = check_matrix(r, SOURCES, row, "share", json_object_get(golden, "rollout"), "rollout");
	row = check_matrix(r, SOURCES, row, "share", json_object_get(golden, "flow"), "flow");
	assert_int_equal(sn_result_rows(r->result, SOURCES), row);
	method_go(r, (const char *[]){ unit, "head=1", "flow=false", NULL });
	check_matrix(r, MAP, 0, "weight", json_object_get(golden, "last_head1"), "head 1");
}

static void maps_agree_with_transformers(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *golden;
	json_t *text;
	size_t i;
	assert_ok(ctx, sn_json_load(&golden, ctx, SN_TESTS "/golden/attention/maps.json", 0));
	json_array_foreach(json_object_get(golden->root, "causal"), i, text) {
		method_run r;
		method_open(&r, ctx, "attention", "maps", TINY, "data.txt",
					json_string_value(json_object_get(text, "text")));
		check_text(&r, text);
		method_close(&r);
	}
	json_array_foreach(json_object_get(golden->root, "masked"), i, text) {
		method_run r;
		method_open_arch(&r, ctx, "attention", "maps", "bert", "data.txt",
						 json_string_value(json_object_get(text, "text")));
		check_text(&r, text);
		method_close(&r);
	}
	sn_json_close(golden);
}

static void check_alignment(method_run *r, const char *when, const json_t *golden)
{
	static const char *const column[] = { "aer", "precision", "recall", "entropy" };
	size_t i;
	const json_t *head;
	method_go(r, (const char *[]){ when, NULL });
	assert_int_equal(sn_result_rows(r->result, ALIGNMENT), json_array_size(golden));
	json_array_foreach(golden, i, head) {
		const sn_value *row = sn_result_row(r->result, ALIGNMENT, (int64_t)i);
		assert_int_equal(row[0].i, json_integer_value(json_object_get(head, "layer")));
		assert_string_equal(row[1].s, json_string_value(json_object_get(head, "head")));
		for (int c = 0; c < SN_COUNT(column); c++)
			close_to(method_number(r, ALIGNMENT, (int64_t)i, column[c]),
					 json_number_value(json_object_get(head, column[c])), 1e-4, column[c]);
	}
}

static void cross_attention_is_scored_as_the_definition_says(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *golden;
	method_run r;
	sn_buf lines = { .ctx = ctx };
	json_t *pair;
	size_t i;
	assert_ok(ctx, sn_json_load(&golden, ctx, SN_TESTS "/golden/attention/maps.json", 0));
	json_array_foreach(json_object_get(golden->root, "pairs"), i, pair) {
		char *line = json_dumps(pair, 0);
		sn_buf_format(&lines, "%s\n", line);
		free(line);
	}
	method_open_arch(&r, ctx, "attention", "maps", "t5", "data.jsonl", lines.data);
	check_alignment(&r, "when=predicted", json_object_get(golden->root, "predicted"));
	check_alignment(&r, "when=read", json_object_get(golden->root, "read"));
	method_go(&r, (const char *[]){ "attention=encoder", NULL });
	assert_true(sn_result_rows(r.result, SOURCES) > 0 && sn_result_rows(r.result, ALIGNMENT) == 0);
	method_close(&r);
	sn_buf_free(&lines);
	sn_json_close(golden);
}

static void what_cannot_be_is_said(void **state)
{
	static const struct { const char *option, *says;
	} wrong[] = {
		{ "attention=cross", "one stack" },
		{ "layer=99", "layers 0 to" },
		{ "head=99", "heads 0 to" },
		{ "column=none", "no column" },
	};
	method_run r;
	method_open(&r, test_ctx(state), "attention", "maps", TINY, "data.txt", "The keys are here.\n");
	for (int i = 0; i < SN_COUNT(wrong); i++) {
		assert_int_equal(sn_status_exit_code(method_status(&r, (const char *[]){ wrong[i].option, NULL })), 2);
		if (!strstr(sn_error(r.ctx), wrong[i].says)) fail_msg("%s", sn_error(r.ctx));
	}
	method_close(&r);
}

/* ---- mathematics ---- */

/* The reference's example, by hand. */
static void rollout_multiplies(void **state)
{
	double a[] = { 1, 0, 0.5, 0.5, 1, 0, 0.25, 0.75 }, out[8];
	(void)state;
	sn_rollout_mix(a, 2, 2);
	sn_rollout(a, 2, 2, out);
	close_to(out[6], 0.34375, 1e-12, "rollout");
	close_to(out[7], 0.65625, 1e-12, "rollout");
}

enum { LAYERS = 4, NODES = 5 };

/* A flow is at most what leaves the source and what enters the sink, and on one layer it is the capacity itself. */
static void flow_stays_within_capacities(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_rng rng = sn_rng_make(3, 1);
	double capacity[LAYERS][NODES][NODES], out[NODES];
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < LAYERS * NODES * NODES; i++)
			(&capacity[0][0][0])[i] = sn_rng_below(&rng, 3) ? sn_rng_uniform(&rng) : 0;
		assert_ok(ctx, sn_layered_flow(ctx, LAYERS, NODES, &capacity[0][0][0], 1, out));
		for (int k = 0; k < NODES; k++) {
			double leaves = 0, enters = 0;
			for (int i = 0; i < NODES; i++) {
				leaves += capacity[LAYERS - 1][1][i];
				enters += capacity[0][i][k];
			}
			assert_true(out[k] >= 0 && out[k] <= fmin(leaves, enters) + 1e-9);
		}
		assert_ok(ctx, sn_layered_flow(ctx, 1, NODES, &capacity[0][0][0], 1, out));
		for (int k = 0; k < NODES; k++) close_to(out[k], capacity[0][1][k], 1e-9, "one layer");
	}
}

/* Flow that must go back over an edge it took: two paths that cross. */
static void flow_finds_the_way_back(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	/* top 0 -> 1: {0: 1, 1: 1}; 0 -> {0: 1, 1: 1}, 1 -> {0: 1}; bottom 0 -> {0: 1}, 1 -> {0: 1} */
	double capacity[] = { 1, 0, 1, 0, 1, 1, 1, 0, 1, 1, 0, 0 }, out[2];
	assert_ok(ctx, sn_layered_flow(ctx, 3, 2, capacity, 0, out));
	close_to(out[0], 2, 1e-12, "two crossing paths");
	close_to(out[1], 0, 0, "no path");
}

static void kendall_is_scipys(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_json *golden;
	sn_arena *arena;
	json_t *c;
	size_t i;
	assert_ok(ctx, sn_json_load(&golden, ctx, SN_TESTS "/golden/attention/kendall.json", 0));
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	json_array_foreach(json_object_get(golden->root, "cases"), i, c) {
		double x[64], y[64];
		sn_kendall found;
		const json_t *xs = json_object_get(c, "x"), *ys = json_object_get(c, "y");
		int n = (int)json_array_size(xs);
		for (int k = 0; k < n; k++) {
			x[k] = number(xs, (size_t)k);
			y[k] = number(ys, (size_t)k);
		}
		assert_ok(ctx, sn_kendall_tau(&found, arena, x, y, n));
		if (json_is_null(json_object_get(c, "tau"))) {
			assert_true(isnan(found.tau) && isnan(found.p));
			continue;
		}
		close_to(found.tau, json_number_value(json_object_get(c, "tau")), 1e-12, "tau");
		close_to(found.p, json_number_value(json_object_get(c, "p")), 1e-9, "p");
	}
	sn_arena_close(arena);
	sn_json_close(golden);
}

/* The reference's value; bounds; symmetry. */
static void distances_are_bounded(void **state)
{
	const double a[] = { 0.7, 0.2, 0.1 }, b[] = { 0.1, 0.2, 0.7 }, one[] = { 1, 0, 0 }, other[] = { 0, 0, 1 };
	(void)state;
	close_to(sn_jensen_shannon(a, b, 3), 0.2531016154, 1e-9, "JSD");
	close_to(sn_jensen_shannon(b, a, 3), sn_jensen_shannon(a, b, 3), 1e-15, "JSD is symmetric");
	close_to(sn_jensen_shannon(one, other, 3), log(2), 1e-12, "JSD of disjoint ones");
	close_to(sn_total_variation(one, other, 3), 1, 0, "TVD of disjoint ones");
	close_to(sn_total_variation(a, b, 3), 0.6, 1e-12, "TVD");
	close_to(sn_distribution_bits((const double[]){ 0.25, 0.25, 0.25, 0.25 }, 4), 2, 1e-12, "bits");
}

/* Two thirds, and the interval by hand: residuals 1/3, -1/3, 0 over a mean denominator of 1. */
static void ratios_have_intervals(void **state)
{
	const double num[] = { 1, 1. / 3, 2. / 3, NAN, 5 }, den[] = { 1, 1, 1, 1, 0 };
	(void)state;
	sn_ratio r = sn_ratio_of(num, den, 5, 1, 0.95);
	double half = 4.302652729911275 * sqrt(3. / 2 * (2. / 9)) / 3;
	close_to(r.value, 2. / 3, 1e-12, "ratio");
	close_to(r.low, 2. / 3 - half, 1e-9, "lower bound");
	close_to(r.high, 2. / 3 + half, 1e-9, "upper bound");
	assert_true(isnan(sn_ratio_of(num, NULL, 1, 1, 0.95).low));
}

static void alignments_are_read_and_compared(void **state)
{
	static const char *const wrong[] = { "0-", "-1", "0_1", "0-1x", "0-1-2", "3-0", "0-4", "99999999999-0", "a" };
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	sn_alignment a;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	assert_ok(ctx, sn_alignment_read(&a, ctx, "here", " 0-0\t1?1 2p3 2-2 ", 3, 4, arena));
	assert_int_equal(a.n, 4);
	assert_true(a.link[0].sure && !a.link[1].sure && !a.link[2].sure && a.link[2].target == 3 && a.link[3].sure);
	sn_alignment_counts c = sn_alignment_compare(&a, (const int32_t[]){ 0, 1, 0 }, (const int32_t[]){ 0, 1, 2 }, 3);
	assert_true(c.guessed == 3 && c.sure == 2 && c.guessed_sure == 1 && c.guessed_possible == 2);
	assert_ok(ctx, sn_alignment_read(&a, ctx, "here", "", 3, 4, arena));
	assert_int_equal(a.n, 0);
	for (int i = 0; i < SN_COUNT(wrong); i++) {
		assert_int_equal(sn_alignment_read(&a, ctx, "here", wrong[i], 3, 4, arena), SN_EPARSE);
		assert_non_null(strstr(sn_error(ctx), "here: "));
	}
	sn_arena_close(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps_agree_with_transformers),
		cmocka_unit_test(cross_attention_is_scored_as_the_definition_says),
		cmocka_unit_test(what_cannot_be_is_said),
		cmocka_unit_test(rollout_multiplies),
		cmocka_unit_test(flow_stays_within_capacities),
		cmocka_unit_test(flow_finds_the_way_back),
		cmocka_unit_test(kendall_is_scipys),
		cmocka_unit_test(distances_are_bounded),
		cmocka_unit_test(ratios_have_intervals),
		cmocka_unit_test(alignments_are_read_and_compared),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
