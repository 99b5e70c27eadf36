/* Treebanks: words, their tokens and labels; vectors of words; `probe linear` and its test file from end to end. */
#include "common/test.h"
#include "data/dataset.h"
#include "data/result.h"
#include "data/treebank.h"
#include "methods/probe/probe.h"
#include "model/words.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static sn_model *model;

static int open_model(void **state)
{
	return test_open(state) != 0 || sn_model_open(&model, *state, SN_TESTS "/golden/tiny/gqa-untied") != SN_OK;
}

static int close_model(void **state)
{
	sn_model_close(model);
	return test_close(state);
}

static sn_dataset *parse(sn_ctx *ctx, const char *text)
{
	sn_dataset *data;
	assert_ok(ctx, sn_dataset_parse(&data, ctx, "made.conllu", SN_DATA_CONLLU, text, strlen(text)));
	return data;
}

/* Two words in one token's letters, two that are not, an empty node, no space before the full stop. */
static const char small[] = "# sent_id = a\n# text = Cats don't see du.\n"
							"1\tCats\tcat\tNOUN\tNNS\tNumber=Plur\t4\tnsubj\t_\t_\n"
							"2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\t_\n"
							"2\tdo\tdo\tAUX\t_\tMood=Ind|Tense=Pres\t4\taux\t_\t_\n"
							"3\tn't\tnot\tPART\t_\t_\t4\tadvmod:neg\t_\t_\n"
							"3.1\tno\tno\tX\t_\t_\t_\t_\t_\t_\n"
							"4\tsee\tsee\tVERB\t_\tNumber=Sing\t0\troot\t_\t_\n"
							"5-6\tdu\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No\n"
							"5\tde\tde\tADP\t_\t_\t6\tcase\t_\t_\n"
							"6\tle\tle\tDET\t_\t_\t4\tobl:arg\t_\t_\n"
							"7\t.\t.\tPUNCT\t_\t_\t4\tpunct\t_\tNote=End\n\n";

/* The letters that a word's tokens cover. */
static void covers(sn_ctx *ctx, const sn_treebank *b, int64_t w, const char *text, sn_arena *arena)
{
	sn_tokens t;
	const char *whole = "Cats don't see du.";
	char got[32] = "";
	assert_ok(ctx, sn_tokenize(ctx, sn_model_tokenizer(model), whole, strlen(whole), SN_ADD_SPECIAL, arena, &t));
	int64_t from = t.span[b->token[w][0]][0], to = t.span[b->token[w][1] - 1][1];
	sn_format(got, sizeof got, "%.*s", (int)(to - from), whole + from);
	if (!strstr(got, text)) printf("word %lld: '%s' in '%s'\n", (long long)w, text, got);
	assert_non_null(strstr(got, text));
}

static void words_have_their_tokens_and_labels(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_dataset *data = parse(ctx, small);
	const sn_dataset *list[] = { data };
	sn_arena *arena;
	sn_treebank b;
	sn_treebank_label l;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	assert_ok(ctx, sn_treebank_read(&b, ctx, sn_model_tokenizer(model), list, 1, 0, 0, arena));
	assert_int_equal(b.n, 7);
	static const char *const letters[] = { "Cats", "do", "n't", "see", "du", "du", "." };
	static const int64_t head[] = { 3, 3, 3, -1, 5, 3, 3 };
	for (int w = 0; w < 7; w++) {
		covers(ctx, &b, w, letters[w], arena);
		assert_int_equal(b.head[w], head[w]);
	}
	assert_memory_equal(b.token[4], b.token[5], sizeof b.token[4]); /* "du": nothing says which letters are whose */
	assert_true(b.n_shared >= 2 && b.n_unaligned == 0);
	assert_ok(ctx, sn_treebank_classes(&l, ctx, &b, "feats.Number", 50, arena));
	static const int32_t number[] = { 0, -1, -1, 1, -1, -1, -1 };
	assert_memory_equal(l.y, number, sizeof number);
	assert_string_equal(l.class_name[1], "Sing");
	assert_ok(ctx, sn_treebank_classes(&l, ctx, &b, "udeprel", 50, arena));
	assert_string_equal(l.class_name[l.y[2]], "advmod");
	assert_ok(ctx, sn_treebank_classes(&l, ctx, &b, "deprel", 50, arena));
	assert_string_equal(l.class_name[l.y[2]], "advmod:neg");
	assert_int_equal(sn_treebank_classes(&l, ctx, &b, "deprel", 3, arena), SN_EARG);
	assert_int_equal(sn_treebank_classes(&l, ctx, &b, "pos", 50, arena), SN_ENOTFOUND);
	assert_int_equal(sn_treebank_classes(&l, ctx, &b, "feats.Case", 50, arena), SN_ENOTFOUND);
	assert_non_null(strstr(sn_error(ctx), "feats.Tense"));
	assert_int_equal(sn_treebank_classes(&l, ctx, &b, "misc.Note", 50, arena), SN_EARG); /* one value only */
	assert_ok(ctx, sn_treebank_read(&b, ctx, sn_model_tokenizer(model), list, 1, 0, 500, arena));
	assert_int_equal(sn_treebank_read(&b, ctx, sn_model_tokenizer(model), list, 1, 0, 3, arena),
					 SN_EARG); /* all too long */
	sn_arena_close(arena);
	sn_dataset_close(data);
}

/* Vectors of words are those of their tokens, taken one by one. */
static void words_are_pooled_from_their_tokens(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_dataset *data = parse(ctx, small);
	const sn_dataset *list[] = { data };
	sn_arena *arena;
	sn_treebank b;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	assert_ok(ctx, sn_treebank_read(&b, ctx, sn_model_tokenizer(model), list, 1, 0, 0, arena));
	int64_t d = sn_model_get_info(model)->d_model, m = b.batch.start[1];
	float *all = SN_TAKE(arena, float, m *d), *x = SN_TAKE(arena, float, b.n *d);
	sn_site site[] = { { .kind = SN_SITE_RESID_PRE, .layer = 0 }, { .kind = SN_SITE_RESID_POST, .layer = 1 } };
	sn_keep keep = { all, m, d };
	sn_tap tap = { .at = site[1], .where = { .sel = SN_ALL }, .sink = &sn_sink_keep, .state = &keep };
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
	assert_ok(ctx, sn_run(ctx, model, &b.batch, &plan, NULL, NULL));
	for (sn_pieces pieces = SN_PIECES_LAST; pieces <= SN_PIECES_MEAN; pieces++) {
		sn_words *words;
		assert_ok(ctx, sn_words_run(&words, ctx, model, &b.batch, b.n, b.sentence, (const int32_t(*)[2])b.token, pieces,
									site, 2));
		assert_int_equal(sn_words_width(words, 1), d);
		assert_ok(ctx, sn_words_read(words, 1, arena, x));
		for (int64_t w = 0; w < b.n; w++) {
			int32_t first = pieces == SN_PIECES_LAST ? b.token[w][1] - 1 : b.token[w][0];
			int32_t end = pieces == SN_PIECES_FIRST ? first + 1 : b.token[w][1];
			for (int64_t j = 0; j < d; j++) {
				double sum = 0;
				for (int32_t t = first; t < end; t++) sum += all[t * d + j];
				assert_true(fabs(x[w * d + j] - sum / (end - first)) < 1e-5);
			}
		}
		sn_words_close(words);
	}
	sn_arena_close(arena);
	sn_dataset_close(data);
}

/* Sentences of four words; the class is in the word's letters ("upos"), in nothing ("misc.Coin"), or in every third
 * word ("feats.Kind"). The head is the word before, the first word's the last. */
static char *make_bank(sn_arena *arena, int sentences, int first)
{
	static const char *const form[] = { "a", "b", "c", "d", "e", "f" }, *const tag[] = { "NOUN", "VERB", "DET" };
	sn_buf buf = { .ctx = sn_arena_ctx(arena) };
	for (int s = first; s < first + sentences; s++) {
		for (int w = 0; w < 4; w++) {
			int k = (int)sn_rng_below(&(sn_rng){ 6, (uint64_t)(s * 4 + w), 0 }, 6);
			sn_buf_format(&buf, "%d\t%s\t_\t%s\t_\t%s\t%d\tdep\t_\tCoin=%d\n", w + 1, form[k], tag[k / 2],
						  w == 2 ? k % 2 ? "Kind=Odd" : "Kind=Even" : "_", w ? w : 0,
						  (int)(sn_rng_bits(8, (uint64_t)s, (uint64_t)w) & 1));
		}
		sn_buf_puts(&buf, "\n");
	}
	char *text = sn_arena_copy(arena, buf.data, buf.size);
	sn_buf_free(&buf);
	return text;
}

static sn_status run(sn_ctx *ctx, const sn_dataset *data, const char *label, const char *test, sn_result **result)
{
	sn_linear_param p = { .label = label,
						  .sites = "blocks.0.hook_resid_pre,blocks.*.hook_resid_post",
						  .at = "last",
						  .column = "auto",
						  .group = "auto",
						  .folds = 3,
						  .controls = 1,
						  .random_models = 1,
						  .resamples = 200,
						  .pieces = "last",
						  .rank = 8,
						  .test = test,
						  .limit = 0 };
	sn_input input = { .model = { model }, .data = { data } };
	const sn_method *method = sn_method_find("probe", "linear");
	assert_ok(ctx, sn_result_open(result, ctx, method));
	return sn_method_run(ctx, method, &input, &p, *result);
}

static const sn_value *cell(const sn_result *result, int table, int64_t row, const char *name)
{
	const sn_table *t = &sn_result_method(result)->table[table];
	for (int c = 0; c < t->n_col; c++)
		if (strcmp(t->col[c].name, name) == 0) return &sn_result_row(result, table, row)[c];
	fail();
	return NULL;
}

static void check_labels(const sn_result *r, int64_t tested)
{
	for (int64_t row = 0; row < sn_result_rows(r, SN_PROBE_TABLE); row++) {
		const char *label = cell(r, SN_PROBE_TABLE, row, "label")->s;
		double accuracy = cell(r, SN_PROBE_TABLE, row, "accuracy")->f, bits = cell(r, SN_PROBE_TABLE, row, "I")->f;
		assert_true(cell(r, SN_PROBE_TABLE, row, "I_low")->f <= bits &&
					cell(r, SN_PROBE_TABLE, row, "I_high")->f >= bits);
		if (strcmp(label, "misc.Coin") == 0) {
			assert_true(bits < 0.1);
			continue;
		}
		bool few = strcmp(label, "feats.Kind") == 0; /* forty tested words: certain in the embedding only */
		if (few && strcmp(cell(r, SN_PROBE_TABLE, row, "site")->s, "hook_resid_pre") != 0) continue;
		assert_true(accuracy > cell(r, SN_PROBE_TABLE, row, "majority")->f + 0.2 && bits > 0.25);
		if (strcmp(label, "upos") != 0) continue;
		assert_int_equal(cell(r, SN_PROBE_TABLE, row, "n")->i, tested);
		assert_true(cell(r, SN_PROBE_TABLE, row, "macro_f1")->f > 0.6);
		double control = cell(r, SN_PROBE_TABLE, row, "control")->f;
		assert_true(fabs(cell(r, SN_PROBE_TABLE, row, "selectivity")->f - (accuracy - control)) < 1e-9);
	}
}

static void labels_are_probed_together(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	sn_result *folds, *split;
	char path[64];
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	sn_dataset *data = parse(ctx, make_bank(arena, 120, 0));
	assert_ok(ctx, run(ctx, data, "upos,misc.Coin, feats.Kind", "", &folds));
	int sites = 1 + sn_model_get_info(model)->n_layer;
	assert_int_equal(sn_result_rows(folds, SN_PROBE_TABLE), 3 * sites);
	assert_int_equal(sn_result_rows(folds, SN_PROBE_CLASSES), 3 + 2 + 2);
	assert_int_equal(sn_result_rows(folds, SN_PROBE_CUMULATIVE), 3 * sites);
	check_labels(folds, 480);
	sn_result *edges;
	assert_ok(ctx, run(ctx, data, "head", "", &edges));
	assert_int_equal(sn_result_rows(edges, SN_PROBE_TABLE), sites);
	assert_int_equal(sn_result_rows(edges, SN_PROBE_CLASSES), 0);
	for (int64_t row = 0; row < sites; row++) { /* the word before: distance alone says so, vectors add nothing */
		assert_true(cell(edges, SN_PROBE_TABLE, row, "majority")->f > 0.999);
		assert_true(cell(edges, SN_PROBE_TABLE, row, "I")->f < 0.05 &&
					isnan(cell(edges, SN_PROBE_TABLE, row, "macro_f1")->f));
		assert_int_equal(cell(edges, SN_PROBE_TABLE, row, "n")->i, 360);
		assert_true(cell(edges, SN_PROBE_TABLE, row, "control")->f > 0.2);
	}
	sn_result_close(edges);
	sn_format(path, sizeof path, "/tmp/sonde_test_%d.conllu", (int)getpid());
	char *text = make_bank(arena, 40, 1000);
	assert_ok(ctx, sn_write_file(ctx, path, text, strlen(text)));
	assert_ok(ctx, run(ctx, data, "upos,feats.Kind", path, &split));
	check_labels(split, 160);
	unlink(path);
	sn_result_close(folds);
	sn_result_close(split);
	sn_dataset_close(data);
	sn_arena_close(arena);
}

static void bad_questions(void **state)
{
	sn_ctx *ctx = test_ctx(state);
	sn_arena *arena;
	sn_result *r;
	assert_ok(ctx, sn_arena_open(&arena, ctx));
	sn_dataset *data = parse(ctx, make_bank(arena, 5, 0)), *more = parse(ctx, make_bank(arena, 30, 0));
	assert_int_equal(run(ctx, data, "upos", "", &r), SN_EARG);
	assert_non_null(strstr(sn_error(ctx), "--test"));
	sn_result_close(r);
	assert_int_equal(run(ctx, more, "upos,feats.Gender", "", &r), SN_ENOTFOUND);
	assert_non_null(strstr(sn_error(ctx), "feats.Kind"));
	sn_result_close(r);
	assert_int_equal(run(ctx, more, "upos", "/none/such.conllu", &r), SN_EIO);
	sn_result_close(r);
	sn_dataset_close(data);
	sn_dataset_close(more);
	sn_arena_close(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_have_their_tokens_and_labels),
		cmocka_unit_test(words_are_pooled_from_their_tokens),
		cmocka_unit_test(labels_are_probed_together),
		cmocka_unit_test(bad_questions),
	};
	return cmocka_run_group_tests(tests, open_model, close_model);
}
