/* `sonde probe` on treebanks: every word is a row, sentences are what is held out, labels are asked together. */
#include "methods/probe/probe.h"

#include "base/checkpoint.h"
#include "base/work.h"
#include "data/result.h"
#include "data/treebank.h"
#include "methods/probe/edges.h"
#include "methods/probe/words.h"
#include "model/words.h"

#include <math.h>
#include <string.h>

/* ---- who trains, who is tested ---- */

enum { JUDGES = 5 }; /* every fifth training sentence chooses the strength */

static sn_status fill_split(sn_split *out, const sn_treebank *bank, const int32_t *block, int test, uint64_t seed,
							sn_arena *arena)
{
	int64_t n_judge = 0;
	int64_t *judge;
	SN_NEW(out->train, arena, int64_t, bank->n);
	SN_NEW(out->test, arena, int64_t, bank->n);
	SN_NEW(judge, arena, int64_t, bank->n);
	for (int64_t i = 0; i < bank->n; i++) {
		int32_t s = bank->sentence[i];
		if (block[s] == test)
			out->test[out->n_test++] = i;
		else if (sn_rng_bits(seed, 0x4a554447, (uint64_t)s) % JUDGES == 0)
			judge[n_judge++] = i;
		else
			out->train[out->n_fit++] = i;
	}
	memcpy(out->train + out->n_fit, judge, (size_t)n_judge * sizeof *judge);
	out->n_train = out->n_fit + n_judge;
	return SN_OK;
}

sn_status sn_word_splits(sn_split **out, int *n, sn_ctx *ctx, const sn_treebank *bank, bool two_files, int folds,
						 sn_arena *arena)
{
	int32_t *block;
	int64_t *order;
	int32_t n_sentence = bank->batch.n;
	SN_NEW(block, arena, int32_t, n_sentence);
	SN_NEW(order, arena, int64_t, n_sentence);
	if (n_sentence < 2 * folds && !two_files)
		return sn_fail(ctx, SN_EARG,
					   "%d sentences for %d folds; at least %d are needed, or a file of its own for the test "
					   "(--test)",
					   (int)n_sentence, folds, 2 * folds);
	sn_rng rng = sn_rng_make(sn_ctx_seed(ctx), 0x5350);
	sn_rng_permute(&rng, order, n_sentence);
	for (int32_t s = 0; s < n_sentence; s++) block[order[s]] = (int32_t)(s % folds);
	for (int64_t i = 0; two_files && i < bank->n; i++) block[bank->sentence[i]] = bank->file[i];
	*n = two_files ? 1 : folds;
	SN_NEW(*out, arena, sn_split, *n);
	for (int f = 0; f < *n; f++) {
		SN_TRY(fill_split(&(*out)[f], bank, block, two_files ? 1 : f, sn_ctx_seed(ctx), arena));
		if ((*out)[f].n_fit == 0 || (*out)[f].n_test == 0)
			return sn_fail(ctx, SN_EARG, "no words to %s; give more sentences", (*out)[f].n_test ? "train on" : "test");
	}
	return SN_OK;
}

/* ---- labels and control labels ---- */

/* A class for each word form, drawn as often as the classes occur (Hewitt & Liang 2019), for the words with a label. */
static sn_status draw_control(int32_t **out, const sn_treebank *bank, const int32_t *y, uint64_t seed, uint64_t key,
							  sn_arena *arena)
{
	int64_t *labelled, n = 0;
	SN_NEW(*out, arena, int32_t, bank->n);
	SN_NEW(labelled, arena, int64_t, bank->n);
	for (int64_t i = 0; i < bank->n; i++)
		if (y[i] >= 0) labelled[n++] = i;
	for (int64_t i = 0; i < bank->n; i++) {
		sn_rng rng = sn_rng_make(sn_rng_bits(seed, key, (uint64_t)bank->type[i]), 0x43);
		int32_t drawn = y[labelled[sn_rng_below(&rng, (uint64_t)n)]];
		(*out)[i] = y[i] < 0 ? -1 : drawn;
	}
	return SN_OK;
}

sn_status sn_word_question(sn_question *out, sn_ctx *ctx, const sn_treebank *bank, const char *label, int n_control,
						   sn_arena *arena)
{
	sn_treebank_label classes;
	SN_TRY(sn_treebank_classes(&classes, ctx, bank, label, SN_MOST_CLASSES, arena));
	*out = (sn_question){ .name = label,
						  .n_class = classes.n_class,
						  .class_name = classes.class_name,
						  .y = classes.y,
						  .n_control = n_control };
	SN_NEW(out->control, arena, int32_t *, n_control);
	for (int k = 0; k < n_control; k++)
		SN_TRY(draw_control(&out->control[k], bank, out->y, sn_ctx_seed(ctx), 0x43545200 + (uint64_t)k, arena));
	return SN_OK;
}

sn_status sn_word_labels(const char ***label, int *n, const char *list, sn_arena *arena)
{
	SN_NEW(*label, arena, const char *, strlen(list) + 1);
	*n = 0;
	while (*list) {
		size_t size = strcspn(list, ",");
		while (size && *list == ' ') list++, size--;
		if (size && !((*label)[(*n)++] = sn_arena_copy(arena, list, size))) return SN_ENOMEM;
		list += size + (list[size] == ',');
	}
	return SN_OK;
}

/* ---- the tested words of a label as rows ---- */

/* log2 of the class's share among a split's training words, one of each class added. */
static sn_status null_bits(float *null, const sn_question *q, const sn_split *split, const int64_t *row_of,
						   sn_arena *arena)
{
	double *count, total = q->n_class;
	sn_mark mark = sn_arena_mark(arena);
	SN_NEW(count, arena, double, q->n_class);
	for (int k = 0; k < q->n_class; k++) count[k] = 1;
	for (int64_t i = 0; i < split->n_train; i++) {
		int32_t y = q->y[split->train[i]];
		if (y < 0) continue;
		count[y]++;
		total++;
	}
	for (int64_t i = 0; i < split->n_test; i++) {
		int64_t w = split->test[i];
		if (row_of[w] >= 0) null[row_of[w]] = (float)log2(count[q->y[w]] / total);
	}
	sn_arena_reset(arena, mark);
	return SN_OK;
}

/* Accuracy of each split's most frequent training class, and the share of tested words whose form trains. */
static sn_status constant_guess(sn_probe_outcome *o, const sn_question *q, const sn_treebank *bank,
								const sn_split *split, int n_split, sn_arena *arena)
{
	int64_t right = 0, seen = 0, n = 0;
	for (int f = 0; f < n_split; f++) {
		int64_t *count;
		bool *trained;
		int most = 0;
		SN_NEW(count, arena, int64_t, q->n_class);
		SN_NEW(trained, arena, bool, bank->n_type);
		for (int64_t i = 0; i < split[f].n_train; i++) {
			int64_t w = split[f].train[i];
			if (q->y[w] < 0) continue;
			count[q->y[w]]++;
			trained[bank->type[w]] = true;
		}
		for (int k = 1; k < q->n_class; k++)
			if (count[k] > count[most]) most = k;
		for (int64_t i = 0; i < split[f].n_test; i++) {
			int64_t w = split[f].test[i];
			if (q->y[w] < 0) continue;
			right += q->y[w] == most;
			seen += trained[bank->type[w]];
			n++;
		}
	}
	o->majority = (double)right / (double)n;
	o->seen = (double)seen / (double)n;
	return SN_OK;
}

sn_status sn_word_outcome(sn_probe_outcome *o, int64_t *row_of, sn_ctx *ctx, const sn_treebank *bank,
						  const sn_question *q, const sn_split *split, int n_split, const sn_site *site, int n_site,
						  sn_arena *arena)
{
	int64_t n = 0;
	int32_t *number;
	for (int64_t i = 0; i < bank->n; i++) row_of[i] = -1;
	for (int f = 0; f < n_split; f++)
		for (int64_t i = 0; i < split[f].n_test; i++)
			if (q->y[split[f].test[i]] >= 0) row_of[split[f].test[i]] = 0;
	for (int64_t i = 0; i < bank->n; i++)
		if (row_of[i] == 0) row_of[i] = n++;
	if (n == 0) return sn_fail(ctx, SN_EARG, "no tested word has the label '%s'", q->name);
	SN_TRY(sn_probe_outcome_open(o, arena, n, site, n_site));
	o->classes = true;
	sn_probe_rows *rows = &o->rows;
	*rows = (sn_probe_rows){ .n = n,
							 .label_name = q->name,
							 .group_name = "sentence",
							 .n_class = q->n_class,
							 .name = q->class_name,
							 .n_type = bank->n_type };
	SN_NEW(rows->y, arena, int32_t, n);
	SN_NEW(rows->group, arena, int32_t, n);
	SN_NEW(number, arena, int32_t, bank->batch.n);
	for (int64_t i = 0; i < bank->n; i++) {
		if (row_of[i] < 0) continue;
		int32_t *group = &number[bank->sentence[i]];
		if (*group == 0) *group = ++rows->n_group;
		rows->group[row_of[i]] = *group - 1;
		rows->y[row_of[i]] = q->y[i];
	}
	for (int64_t i = 0; i < bank->n; i++) rows->n_skipped += q->y[i] < 0;
	float *null;
	SN_NEW(null, arena, float, n);
	for (int f = 0; f < n_split; f++) SN_TRY(null_bits(null, q, &split[f], row_of, arena));
	o->null = null;
	return constant_guess(o, q, bank, split, n_split, arena);
}

/* ---- all sites ---- */

typedef struct bank_probing {
	sn_ctx *ctx;
	sn_arena *arena;
	const sn_linear_param *param;
	sn_treebank bank;
	const sn_site *site;
	int n_site, n_question, n_split;
	sn_question *question;
	sn_split *split;
	bool edges;                /* the label head is asked for: the last outcome */
	int n_outcome;             /* n_question, and edges */
	sn_probe_outcome *outcome; /* [n_outcome] */
	int64_t **row_of;          /* [n_outcome] -> [words] */
} bank_probing;

void sn_word_take(sn_probe_outcome *o, const int64_t *row_of, int64_t n, int s, const sn_word_scores *score, int random)
{
	float share = random ? 1 / (float)random : 1, *gain = random ? o->random_gain : o->gain;
	for (int64_t w = 0; w < n; w++) {
		int64_t row = row_of[w];
		if (row < 0) continue;
		gain[row * o->n_site + s] += share * (score->bits[w] - o->null[row]);
		if (random) continue;
		o->right[row * o->n_site + s] = score->right[w];
		o->guess[row * o->n_site + s] = score->guess[w];
	}
	if (random) return;
	double sum = 0;
	for (int64_t i = 0; i < o->rows.n; i++) sum += o->right[i * o->n_site + s];
	o->task[s] = isnan(score->control) ? NAN : sum / (double)o->rows.n;
	o->control[s] = score->control;
	o->strength[s] = score->strength;
	o->n_unconverged += score->n_unconverged;
}

/* The sites of one model as a list of work. A result: a tail for each outcome, then for each bits, right and guess of
 * all words. */
typedef struct tail {
	double strength, control;
	int64_t n_unconverged;
} tail;

typedef struct site_list {
	bank_probing *p;
	bool random;
	sn_words *words;
	int *shelf; /* [n_site] where words keeps a site; unused: -1 */
} site_list;

static size_t result_size(const bank_probing *p)
{
	size_t n = (size_t)p->bank.n, a_word = 2 * sizeof(float) + sizeof(int32_t);
	return sn_size3((size_t)p->n_outcome, sizeof(tail) + (n * a_word + 7) / 8 * 8, 1);
}

/* The arrays of outcome q in a result. */
static sn_word_scores scores_in(const bank_probing *p, void *result, int q)
{
	size_t n = (size_t)p->bank.n, tails = (size_t)p->n_outcome * sizeof(tail);
	char *at = (char *)result + tails + (size_t)q * (result_size(p) - tails) / (size_t)p->n_outcome;
	const tail *t = (const tail *)result + q;
	return (sn_word_scores){ .bits = (float *)at,
							 .right = (float *)(at + n * sizeof(float)),
							 .guess = (int32_t *)(at + 2 * n * sizeof(float)),
							 .strength = t->strength,
							 .control = t->control,
							 .n_unconverged = (int)t->n_unconverged };
}

static void put_scores(const bank_probing *p, const sn_word_scores *score, int q, void *result)
{
	sn_word_scores to = scores_in(p, result, q);
	size_t n = (size_t)p->bank.n;
	memcpy(to.bits, score->bits, n * sizeof *to.bits);
	memcpy(to.right, score->right, n * sizeof *to.right);
	memcpy(to.guess, score->guess, n * sizeof *to.guess);
	((tail *)result)[q] = (tail){ score->strength, score->control, score->n_unconverged };
}

static sn_status sweep_site(const site_list *l, int s, sn_arena *arena, void *result)
{
	bank_probing *p = l->p;
	float *x;
	sn_word_scores *score;
	int64_t d = sn_words_width(l->words, l->shelf[s]);
	int n_control = l->random ? 0 : (int)p->param->controls;
	SN_NEW(x, arena, float, sn_size3((size_t)p->bank.n, (size_t)d, 1));
	SN_NEW(score, arena, sn_word_scores, p->n_outcome);
	SN_TRY(sn_words_read(l->words, l->shelf[s], arena, x));
	if (p->n_question)
		SN_TRY(sn_probe_sweep(score, arena, x, p->bank.n, d, p->question, p->n_question, p->split, p->n_split,
							  !l->random));
	if (p->edges)
		SN_TRY(sn_edge_sweep(&score[p->n_question], arena, x, d, &p->bank, p->split, p->n_split, p->param->rank,
							 n_control));
	for (int q = 0; q < p->n_outcome; q++) put_scores(p, &score[q], q, result);
	return SN_OK;
}

/* All vectors; those that train, as they are, turned, and twice in half the precision. */
enum { COPIES = 5 };

static sn_status run_site(sn_ctx *ctx, void *arg, int64_t s, void *result)
{
	const site_list *l = arg;
	sn_arena *arena;
	size_t width = (size_t)sn_words_width(l->words, l->shelf[s]) * sizeof(float);
	SN_TRY(sn_arena_open_for(&arena, ctx, sn_size3((size_t)l->p->bank.n, width, COPIES)));
	sn_status status = sweep_site(arg, (int)s, arena, result);
	sn_arena_close(arena);
	return status;
}

static sn_status take_site(sn_ctx *ctx, void *arg, int64_t s, const void *result)
{
	(void)ctx;
	const site_list *l = arg;
	bank_probing *p = l->p;
	for (int q = 0; q < p->n_outcome; q++) {
		sn_word_scores score = scores_in(p, (void *)(uintptr_t)result, q);
		sn_word_take(&p->outcome[q], p->row_of[q], p->bank.n, (int)s, &score,
					 l->random ? (int)p->param->random_models : 0);
	}
	return SN_OK;
}

/* The vectors of the sites that this rank is going to ask. */
static sn_status read_words(site_list *l, const sn_work *work, sn_model *model)
{
	bank_probing *p = l->p;
	bool *own;
	sn_site *site;
	int n = 0;
	SN_NEW(own, p->arena, bool, p->n_site);
	SN_NEW(site, p->arena, sn_site, p->n_site);
	SN_NEW(l->shelf, p->arena, int, p->n_site);
	SN_TRY(sn_work_own(p->ctx, work, own));
	for (int s = 0; s < p->n_site; s++) {
		l->shelf[s] = own[s] ? n : -1;
		if (own[s]) site[n++] = p->site[s];
	}
	return n ? sn_word_vectors(&l->words, p->ctx, model, &p->bank, p->param->pieces, site, n) : SN_OK;
}

static sn_status sweep_model(bank_probing *p, sn_model *model, bool random, const char *what)
{
	site_list l = { .p = p, .random = random };
	sn_work work = { .what = what, .n = p->n_site, .size = result_size(p), .run = run_site, .arg = &l,
					 .take = take_site };
	sn_status status = read_words(&l, &work, model);
	if (status == SN_OK) status = sn_work_run(p->ctx, &work);
	sn_words_close(l.words);
	return status;
}

static sn_status sweep_random(bank_probing *p, const sn_model *like)
{
	for (int64_t m = 0; m < p->param->random_models; m++) {
		sn_model *model;
		SN_TRY(sn_model_open_random(&model, p->ctx, like, sn_rng_bits(sn_ctx_seed(p->ctx), 0x52414e44, (uint64_t)m)));
		sn_status status = sweep_model(p, model, true, "probes, random model");
		sn_model_close(model);
		if (status != SN_OK) return status;
	}
	return SN_OK;
}

sn_status sn_word_vectors(sn_words **out, sn_ctx *ctx, sn_model *model, const sn_treebank *bank, const char *pieces,
						  const sn_site *site, int n_site)
{
	static const char *const name[] = { "last", "first", "mean" };
	static const sn_pieces value[] = { SN_PIECES_LAST, SN_PIECES_FIRST, SN_PIECES_MEAN };
	int k = 0;
	while (k < SN_COUNT(name) - 1 && strcmp(pieces, name[k]) != 0) k++;
	return sn_words_run(out, ctx, model, &bank->batch, bank->n, bank->sentence, (const int32_t(*)[2])bank->token,
						value[k], site, n_site);
}

/* ---- reading ---- */

static sn_status read_two(sn_treebank *out, sn_ctx *ctx, const sn_model *model, const sn_dataset *data,
						  const char *path, const sn_dataset *test, int64_t limit, sn_result *result)
{
	const sn_dataset *both[] = { data, test };
	SN_TRY(sn_treebank_read(out, ctx, sn_model_tokenizer(model), both, test ? 2 : 1, limit,
							sn_model_get_info(model)->n_ctx, sn_result_arena(result)));
	if (!test) return SN_OK;
	SN_TRY(sn_checkpoint_identify(ctx, "test data sha256", test->sha256));
	SN_TRY(sn_result_set(result, "test data", "%s (%lld rows)", path, (long long)test->n));
	return sn_result_set(result, "test data sha256", "%s", test->sha256);
}

sn_status sn_word_read(sn_treebank *out, sn_dataset **test, sn_ctx *ctx, const sn_model *model, const sn_dataset *data,
					   const char *path, int64_t limit, sn_result *result)
{
	*test = NULL;
	if (path && path[0]) SN_TRY(sn_dataset_open(test, ctx, path));
	sn_status status = read_two(out, ctx, model, data, path, *test, limit, result);
	if (status == SN_OK) return SN_OK;
	sn_dataset_close(*test);
	*test = NULL;
	return status;
}

/* Morphology splits words: by how much belongs to what a probe of words says. */
static sn_status say_tokens(const sn_treebank *bank, sn_result *out)
{
	int64_t tokens = 0, split = 0;
	for (int64_t i = 0; i < bank->n; i++) {
		int64_t n = bank->token[i][1] - bank->token[i][0];
		tokens += n;
		split += n > 1;
	}
	double words = (double)SN_MAX(bank->n, (int64_t)1);
	return sn_result_set(out, "tokens per word", "%.3f; %.1f %% of %lld words have more than one",
						 (double)tokens / words, 100.0 * (double)split / words, (long long)bank->n);
}

sn_status sn_word_limits(const sn_treebank *bank, sn_result *out)
{
	SN_TRY(say_tokens(bank, out));
	if (bank->n_shared)
		SN_TRY(sn_result_limit(out, "%lld words share a token with another word, and with it their vector.",
							   (long long)bank->n_shared));
	if (bank->n_unaligned)
		SN_TRY(
			sn_result_limit(out, "%lld words that no token belongs to were left out.", (long long)bank->n_unaligned));
	if (bank->n_long)
		return sn_result_limit(out, "%lld sentences of no token, or of more than the model takes, were left out.",
							   (long long)bank->n_long);
	return SN_OK;
}

/* Takes "head" out of the labels: edges are no classes. */
static void find_edges(bank_probing *p, const char **label)
{
	int n = 0;
	for (int k = 0; k < p->n_question; k++) {
		if (strcmp(label[k], "head") == 0)
			p->edges = true;
		else
			label[n++] = label[k];
	}
	p->n_question = n;
	p->n_outcome = n + p->edges;
}

static sn_status ask(bank_probing *p)
{
	const char **label;
	int folds = (int)p->param->folds, n_control = (int)p->param->controls;
	bool two = p->param->test && p->param->test[0];
	SN_TRY(sn_word_labels(&label, &p->n_question, p->param->label, p->arena));
	find_edges(p, label);
	SN_NEW(p->question, p->arena, sn_question, p->n_question);
	SN_NEW(p->outcome, p->arena, sn_probe_outcome, p->n_outcome);
	SN_NEW(p->row_of, p->arena, int64_t *, p->n_outcome);
	for (int q = 0; q < p->n_outcome; q++) SN_NEW(p->row_of[q], p->arena, int64_t, p->bank.n);
	SN_TRY(sn_word_splits(&p->split, &p->n_split, p->ctx, &p->bank, two, folds, p->arena));
	for (int q = 0; q < p->n_question; q++) {
		sn_question *own = &p->question[q];
		SN_TRY(sn_word_question(own, p->ctx, &p->bank, label[q], n_control, p->arena));
		SN_TRY(sn_word_outcome(&p->outcome[q], p->row_of[q], p->ctx, &p->bank, own, p->split, p->n_split, p->site,
							   p->n_site, p->arena));
	}
	if (!p->edges) return SN_OK;
	return sn_edge_outcome(&p->outcome[p->n_question], p->row_of[p->n_question], &p->bank, p->split, p->n_split,
						   p->site, p->n_site, p->arena);
}

static sn_status probe(bank_probing *p, sn_model *model, sn_result *out)
{
	SN_TRY(ask(p));
	SN_TRY(sweep_model(p, model, false, "probes"));
	SN_TRY(sweep_random(p, model));
	SN_TRY(sn_result_set(out, "pieces", "%s", p->param->pieces));
	for (int q = 0; q < p->n_outcome; q++) SN_TRY(sn_probe_report(&p->outcome[q], p->param, out));
	return sn_word_limits(&p->bank, out);
}

sn_status sn_probe_treebank(sn_ctx *ctx, sn_model *model, const sn_dataset *data, const sn_linear_param *param,
							const sn_site *site, int n_site, sn_result *out)
{
	bank_probing p = { .ctx = ctx, .arena = sn_result_arena(out), .param = param, .site = site, .n_site = n_site };
	sn_dataset *test;
	SN_TRY(sn_word_read(&p.bank, &test, ctx, model, data, param->test, param->limit, out));
	sn_status status = probe(&p, model, out);
	sn_dataset_close(test);
	return status;
}
