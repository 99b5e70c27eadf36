/* Gradients of every architecture's tiny model (tests/golden/arch) against torch's autograd through transformers
 * (tests/oracles/gradients.py): loss, log-probability, logit difference, KL and a projection, at every site the file
 * has, all of a goal's in one backward pass; and the rules of CP-LRP and AttnLRP against stop-gradients put into some
 * of these models (tests/oracles/lrp.py).
 *
 * usage: test_gradient_oracle [VARIANT ...]   without variants every folder that has a file */
#include "common/site_oracle.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_ROWS = 2, MAX_TAPS = 160, STRIDE = 3, WANT = 5, FOIL = 11 };   /* as in the script */

static int n_wanted;
static char **wanted;

/* What a tap yields, a row's values one after the other as the file has them: [places, width], or maps
 * [heads, queries, keys]. */
typedef struct taken {
	sn_site site;
	float *row[MAX_ROWS];
	int64_t start[MAX_ROWS], n_query, n_key[MAX_ROWS], count[MAX_ROWS];
	char name[96];
} taken;

static sn_status take(sn_ctx *ctx, void *state, const sn_block *block)
{
	taken *t = state;
	int64_t width = block->x.dim[1];
	const float *x = block->x.data;
	(void)ctx;
	for (int64_t i = 0; t->n_query == 0 && i < block->m; i++)
		memcpy(t->row[block->row[i]] + block->pos[i] * width, x + i * width, (size_t)width * sizeof *x);
	for (int64_t h = 0; t->n_query && h < block->x.dim[0]; h++) {
		int32_t r = block->row[0];
		int64_t n_query = block->batch->start[r + 1] - block->batch->start[r];
		memcpy(t->row[r] + (h * n_query + block->pos[0]) * t->n_key[r], x + h * width, (size_t)width * sizeof *x);
	}
	return SN_OK;
}

static const sn_sink sink = { .size = sizeof(taken), .take = take };

typedef struct fixture {
	site_oracle o;
	sn_tensor_file *file;
	taken *tap;
	int n_tap;
	sn_rule rule;
} fixture;

static bool of_encoder(const char *site)
{
	return strncmp(site, "encoder.", 8) == 0 || strstr(site, "cross_attn.k.") || strstr(site, "cross_attn.hook_k") ||
		   strstr(site, "cross_attn.hook_v");
}

static int64_t length(const sn_batch *batch, int row) { return batch->start[row + 1] - batch->start[row]; }

static void open_tap(fixture *f, taken *t, const char *site)
{
	int64_t width;
	*t = (taken){ .n_query = 0 };
	snprintf(t->name, sizeof t->name, "%s", site);
	assert_ok(f->o.ctx, sn_site_parse(f->o.ctx, f->o.model, site, &t->site));
	width = sn_site_width(f->o.model, &t->site);
	const sn_batch *rows = of_encoder(site) ? &f->o.encoder : &f->o.batch;
	const sn_batch *keys = strstr(site, "cross_attn.hook") ? &f->o.encoder : rows;
	for (int r = 0; r < rows->n; r++) {
		t->n_key[r] = length(keys, r);
		t->count[r] = length(rows, r) * (width ? width : t->n_key[r] * sn_model_get_info(f->o.model)->n_head);
		t->row[r] = SN_TAKE(f->o.arena, float, t->count[r]);
	}
	t->n_query = width == 0;
}

/* Taps of all sites that the file has for a goal. */
static void open_taps(fixture *f, const char *goal)
{
	f->n_tap = 0;
	for (int64_t i = 0; i < sn_tensor_file_count(f->file); i++) {
		const char *name = sn_tensor_file_at(f->file, i)->name, *row = strchr(name, '/');
		if (strncmp(name, goal, strlen(goal)) != 0 || strncmp(row, "/row0/", 6) != 0) continue;
		assert_true(f->n_tap < MAX_TAPS);
		open_tap(f, &f->tap[f->n_tap++], row + 6);
	}
}

/* The largest relative error of a goal's sites. */
static void compare(const fixture *f, const char *goal, const taken *t, int row, double *worst)
{
	char name[128];
	snprintf(name, sizeof name, "%srow%d/%s", goal, row, t->name);
	const sn_stored *s = sn_tensor_file_find(f->file, name);
	if (!s) return;
	const float *expected = (const float *)s->data;
	double diff = 0, norm = 0;
	assert_int_equal(s->count, (t->count[row] + STRIDE - 1) / STRIDE);
	for (int64_t i = 0; i < s->count; i++) {
		if (isinf(expected[i])) continue;   /* masked */
		double gap = (double)t->row[row][i * STRIDE] - expected[i];
		diff += gap * gap;
		norm += (double)expected[i] * expected[i];
	}
	double error = sqrt(diff) / fmax(sqrt(norm), 1e-6);
	if (!(error <= 1e-4)) fail_msg("%s: relative error %g (norm %g)", name, error, sqrt(norm));
	*worst = fmax(*worst, error);
}

static void check_goal(fixture *f, const char *name, const sn_goal *goal, double *worst)
{
	sn_tap taps[MAX_TAPS];
	double score[MAX_ROWS];
	open_taps(f, name);
	for (int i = 0; i < f->n_tap; i++)
		taps[i] = (sn_tap){ .at = f->tap[i].site, .where = { .sel = SN_ALL }, .what = SN_GRAD, .sink = &sink,
		                    .state = &f->tap[i] };
	sn_plan plan = { .size = sizeof plan, .n_tap = f->n_tap, .tap = taps, .n_goal = 1, .goal = goal,
	                 .rule = f->rule };
	assert_ok(f->o.ctx, sn_run(f->o.ctx, f->o.model, &f->o.batch, &plan, NULL, score));
	for (int i = 0; i < f->n_tap; i++)
		for (int r = 0; r < f->o.batch.n; r++) compare(f, name, &f->tap[i], r, worst);
}

static bool has_goal(const fixture *f, const char *goal)
{
	for (int64_t i = 0; i < sn_tensor_file_count(f->file); i++)
		if (strncmp(sn_tensor_file_at(f->file, i)->name, goal, strlen(goal)) == 0) return true;
	return false;
}

/* The projection of block 1's output at the last place on cos(0.7 i). */
static void check_dot(fixture *f, double *worst)
{
	sn_goal goal = { .metric = SN_DOT, .where = { .sel = SN_LAST } };
	const char *const names[] = { "blocks.1.hook_normalized_resid_post", "blocks.1.hook_resid_post",
		                          "decoder.blocks.1.hook_normalized_resid_post", "decoder.blocks.1.hook_resid_post" };
	int i = f->o.batch.enc ? 2 : 0;
	if (sn_site_parse(f->o.ctx, f->o.model, names[i], &goal.at) != SN_OK)
		assert_ok(f->o.ctx, sn_site_parse(f->o.ctx, f->o.model, names[i + 1], &goal.at));
	int64_t d = sn_site_width(f->o.model, &goal.at);
	float *x = SN_TAKE(f->o.arena, float, d);
	for (int64_t j = 0; j < d; j++) x[j] = (float)cos(0.7 * (double)j);
	sn_tensor dir = sn_tensor_f32(x, -1, d);
	goal.dir = &dir;
	check_goal(f, "dot/", &goal, worst);
}

static int check_goals(fixture *f, double *worst)
{
	static const int32_t want = WANT, foil = FOIL, zero = 0, ref[MAX_ROWS] = { 1, 1 };
	const sn_where all = { .sel = SN_ALL }, last = { .sel = SN_LAST }, second = { .sel = SN_AT, .arg = 1 };
	const struct { const char *name; sn_goal goal; } goals[] = {
		{ "loss/", { .metric = SN_LOSS, .where = all } },
		{ "logprob/", { .metric = SN_LOGPROB, .where = last, .want = &want, .n_want = 1 } },
		{ "diff/", { .metric = SN_LOGIT_DIFF, .where = last, .want = &want, .n_want = 1, .foil = &foil } },
		{ "kl/", { .metric = SN_KL, .where = second, .ref_row = ref } },
		{ "logit/", { .metric = SN_LOGIT, .where = last, .want = &zero, .n_want = 1 } },
	};
	int n = 1;
	check_dot(f, worst);
	for (int i = 0; i < SN_COUNT(goals); i++) {
		if (!has_goal(f, goals[i].name)) continue;
		check_goal(f, goals[i].name, &goals[i].goal, worst);
		n++;
	}
	return n;
}

static void check_rules(fixture *f, double *worst)
{
	static const struct { const char *name; sn_rule rule; } rules[] = { { "cp-lrp/", SN_RULE_CP_LRP },
		                                                                { "attn-lrp/", SN_RULE_ATTN_LRP } };
	static const int32_t want = WANT;
	const sn_goal goal = { .metric = SN_LOGIT, .where = { .sel = SN_LAST }, .want = &want, .n_want = 1 };
	for (int i = 0; i < SN_COUNT(rules); i++) {
		f->rule = rules[i].rule;
		check_goal(f, rules[i].name, &goal, worst);
		assert_true(f->n_tap > 8);
	}
}

/* Returns whether the folder has a file of rules. */
static bool check_relevance(sn_ctx *ctx, const char *variant, const char *folder)
{
	fixture f = { .n_tap = 0 };
	char path[544];
	double worst = 0;
	snprintf(path, sizeof path, "%s/lrp.safetensors", folder);
	if (access(path, R_OK) != 0) return false;
	site_oracle_open(&f.o, ctx, folder, "");
	f.tap = SN_TAKE(f.o.arena, taken, MAX_TAPS);
	assert_ok(ctx, sn_tensor_file_open(&f.file, ctx, path));
	check_rules(&f, &worst);
	print_message("%s: CP-LRP and AttnLRP, largest relative error %.1e\n", variant, worst);
	sn_tensor_file_close(f.file);
	site_oracle_close(&f.o);
	return true;
}

static void check_file(sn_ctx *ctx, const char *variant, const char *folder, const char *file)
{
	fixture f = { .n_tap = 0 };
	char path[544];
	double worst = 0;
	site_oracle_open(&f.o, ctx, folder, file);
	f.tap = SN_TAKE(f.o.arena, taken, MAX_TAPS);
	snprintf(path, sizeof path, "%s/gradients.safetensors", folder);
	assert_ok(ctx, sn_tensor_file_open(&f.file, ctx, path));
	int n = check_goals(&f, &worst), most = has_goal(&f, "logit/") ? 2 : 5;   /* one logit is no distribution */
	assert_int_equal(n, sn_model_get_info(f.o.model)->has_logits ? most : 1);
	print_message("%s%s%s: %d goals, largest relative error %.1e\n", variant, *file ? "/" : "", file, n, worst);
	sn_tensor_file_close(f.file);
	site_oracle_close(&f.o);
}

/* Returns whether its rules were checked too. */
static bool check_folder(sn_ctx *ctx, const char *variant)
{
	static const char *const files[] = { "config.json", "model.gguf" };
	char folder[512], path[544];
	snprintf(folder, sizeof folder, SN_TESTS "/golden/arch/%s", variant);
	for (int i = 0; i < SN_COUNT(files); i++) {
		snprintf(path, sizeof path, "%s/%s", folder, files[i]);
		if (access(path, R_OK) == 0) check_file(ctx, variant, folder, i ? files[i] : "");
	}
	return check_relevance(ctx, variant, folder);
}

static void gradients_are_autograds(void **state)
{
	DIR *dir = opendir(SN_TESTS "/golden/arch");
	int n = 0, n_relevance = 0;
	assert_non_null(dir);
	for (const struct dirent *entry; !n_wanted && (entry = readdir(dir)) != NULL;) {
		if (entry->d_name[0] == '.') continue;
		n_relevance += check_folder(test_ctx(state), entry->d_name);
		n++;
	}
	closedir(dir);
	for (int i = 0; i < n_wanted; i++) check_folder(test_ctx(state), wanted[i]);
	assert_true(n_wanted || (n >= 54 && n_relevance >= 8));
}

int main(int argc, char **argv)
{
	n_wanted = argc - 1;
	wanted = argv + 1;
	const struct CMUnitTest tests[] = { cmocka_unit_test(gradients_are_autograds) };
	return cmocka_run_group_tests(tests, test_open, test_close);
}
