/* `--label head`: which word of the sentence is a word's head (Hewitt & Liang 2019's edges). The probe sees the first
 * principal components of the standardised vectors. */
#include "methods/probe/edges.h"

#include <math.h>
#include <string.h>

#include "methods/probe/probe.h"
#include "stats/edge.h"
#include "stats/multinomial.h"
#include "stats/probe.h"

enum { STRENGTHS = 6, FAR = 50 };
static const double path_tol = 1e-3, final_tol = 1e-4;

/* Words [first, first + n) of each sentence, as they lie in the treebank. */
typedef struct span {
	int64_t first, n;
} span;

static sn_status find_spans(span **out, const sn_treebank *bank, sn_arena *arena)
{
	SN_NEW(*out, arena, span, bank->batch.n);
	for (int64_t i = 0; i < bank->n; i++) {
		span *s = &(*out)[bank->sentence[i]];
		if (s->n++ == 0) s->first = i;
	}
	return SN_OK;
}

/* Number of the head within the sentence; -1: the root, or a head that is no word here. */
static int32_t target(const sn_treebank *bank, const span *s, int64_t word)
{
	return bank->head[word] < 0 ? -1 : (int32_t)(bank->head[word] - s->first);
}

/* The control task: each word form attaches to itself, the first or the last word. */
static int32_t control_target(const sn_treebank *bank, const span *s, int64_t word, uint64_t seed, int number)
{
	uint64_t draw = sn_rng_bits(seed, 0x45444745 + (uint64_t)number, (uint64_t)bank->type[word]) % 3;
	if (target(bank, s, word) < 0) return -1;
	return (int32_t)(draw == 0 ? word - s->first : draw == 1 ? 0 : s->n - 1);
}

/* ---- the outcome: what is known without vectors ---- */

/* How often heads lie at each distance, one of each added. */
static void count_distances(double count[2 * FAR + 1], const sn_treebank *bank, const sn_split *split)
{
	for (int k = 0; k <= 2 * FAR; k++) count[k] = 1;
	for (int64_t i = 0; i < split->n_train; i++) {
		int64_t w = split->train[i], by = bank->head[w] - w;
		if (bank->head[w] >= 0) count[SN_MIN(SN_MAX(by, -FAR), FAR) + FAR]++;
	}
}

static double count_at(const double *count, int64_t by)
{
	return by == 0 ? 0 : count[SN_MIN(SN_MAX(by, -FAR), FAR) + FAR];
}

/* log2 of the head's share among the sentence's words by distance alone; *right: it is the likeliest. */
static double null_of(const sn_treebank *bank, const span *s, const double *count, int64_t word, bool *right)
{
	double sum = 0, most = 0, own = count_at(count, bank->head[word] - word);
	for (int64_t j = s->first; j < s->first + s->n; j++) {
		double at = count_at(count, j - word);
		sum += at;
		most = fmax(most, at);
	}
	*right = own >= most;
	return log2(fmax(own, 1) / fmax(sum, 1));
}

static sn_status number_rows(sn_probe_outcome *o, int64_t *row_of, const sn_treebank *bank, const sn_split *split,
							 int n_split, const sn_site *site, int n_site, sn_arena *arena)
{
	int64_t n = 0;
	int32_t *number;
	for (int64_t i = 0; i < bank->n; i++) row_of[i] = -1;
	for (int f = 0; f < n_split; f++)
		for (int64_t i = 0; i < split[f].n_test; i++)
			if (bank->head[split[f].test[i]] >= 0) row_of[split[f].test[i]] = 0;
	for (int64_t i = 0; i < bank->n; i++)
		if (row_of[i] == 0) row_of[i] = n++;
	if (n == 0) return sn_fail(sn_arena_ctx(arena), SN_EARG, "no tested word has a head");
	SN_TRY(sn_probe_outcome_open(o, arena, n, site, n_site));
	o->rows =
		(sn_probe_rows){ .n = n, .label_name = "head", .group_name = "sentence", .n_class = 1, .n_type = bank->n_type };
	SN_NEW(o->rows.group, arena, int32_t, n);
	SN_NEW(number, arena, int32_t, bank->batch.n);
	for (int64_t i = 0; i < bank->n; i++) {
		int32_t *group = &number[bank->sentence[i]];
		o->rows.n_skipped += bank->head[i] < 0;
		if (row_of[i] < 0) continue;
		if (*group == 0) *group = ++o->rows.n_group;
		o->rows.group[row_of[i]] = *group - 1;
	}
	return SN_OK;
}

sn_status sn_edge_outcome(sn_probe_outcome *o, int64_t *row_of, const sn_treebank *bank, const sn_split *split,
						  int n_split, const sn_site *site, int n_site, sn_arena *arena)
{
	float *null;
	span *at;
	double right = 0, seen = 0, n = 0, count[2 * FAR + 1];
	bool *trained;
	SN_TRY(number_rows(o, row_of, bank, split, n_split, site, n_site, arena));
	SN_TRY(find_spans(&at, bank, arena));
	SN_NEW(null, arena, float, o->rows.n);
	SN_NEW(trained, arena, bool, bank->n_type);
	for (int f = 0; f < n_split; f++) {
		count_distances(count, bank, &split[f]);
		memset(trained, 0, (size_t)bank->n_type * sizeof *trained);
		for (int64_t i = 0; i < split[f].n_train; i++) trained[bank->type[split[f].train[i]]] = true;
		for (int64_t i = 0; i < split[f].n_test; i++) {
			int64_t w = split[f].test[i];
			bool hit;
			if (row_of[w] < 0) continue;
			null[row_of[w]] = (float)null_of(bank, &at[bank->sentence[w]], count, w, &hit);
			right += hit;
			seen += trained[bank->type[w]];
			n++;
		}
	}
	o->null = null;
	o->majority = right / n;
	o->seen = seen / n;
	return SN_OK;
}

/* ---- fits ---- */

typedef struct sweep {
	sn_arena *arena;
	const sn_treebank *bank;
	const span *at;
	const sn_split *split;
	const float *x;
	int64_t d, r;
	sn_standard scale;
	sn_basis basis;
	sn_edges train, fit; /* fit: the sentences that do not judge */
	int64_t *word;       /* [train.n] */
	sn_word_scores *score;
	double right, n; /* of controls */
} sweep;

/* The first r components of words [n]. */
static sn_status components(const sweep *s, const int64_t *word, int64_t n, float **out)
{
	float *raw, *turned;
	SN_NEW(*out, s->arena, float, sn_size3((size_t)n, (size_t)s->r, 1));
	sn_mark mark = sn_arena_mark(s->arena);
	SN_NEW(raw, s->arena, float, sn_size3((size_t)n, (size_t)s->d, 1));
	SN_NEW(turned, s->arena, float, sn_size3((size_t)n, (size_t)s->d, 1));
	for (int64_t i = 0; i < n; i++) sn_standard_apply(&s->scale, s->x + word[i] * s->d, 1, s->d, raw + i * s->d);
	sn_basis_turn(&s->basis, s->arena, raw, n, turned);
	for (int64_t i = 0; i < n; i++) memcpy(*out + i * s->r, turned + i * s->d, (size_t)s->r * sizeof **out);
	sn_arena_reset(s->arena, mark);
	return SN_OK;
}

/* Sentences of words [n], which come sentence by sentence. */
static sn_status cut(sn_edges *out, const sweep *s, const int64_t *word, int64_t n)
{
	int64_t *start;
	int32_t *to;
	SN_NEW(start, s->arena, int64_t, n + 1);
	SN_NEW(to, s->arena, int32_t, n);
	*out = (sn_edges){ .n = n, .r = s->r, .start = start, .target = to };
	for (int64_t i = 0; i < n; i++) {
		int32_t own = s->bank->sentence[word[i]];
		if (i == 0 || own != s->bank->sentence[word[i - 1]]) start[out->n_sentence++] = i;
		to[i] = target(s->bank, &s->at[own], word[i]);
	}
	start[out->n_sentence] = n;
	float *x;
	SN_TRY(components(s, word, n, &x));
	out->x = x;
	return SN_OK;
}

static sn_status prepare(sweep *s)
{
	const sn_split *f = s->split;
	float *raw;
	SN_NEW(raw, s->arena, float, sn_size3((size_t)f->n_train, (size_t)s->d, 1));
	for (int64_t i = 0; i < f->n_train; i++)
		memcpy(raw + i * s->d, s->x + f->train[i] * s->d, (size_t)s->d * sizeof *raw);
	sn_rows rows = { .x = raw, .n = f->n_train, .d = s->d, .home = s->arena };
	SN_TRY(sn_standard_fit(&s->scale, s->arena, &rows));
	sn_standard_apply(&s->scale, raw, f->n_train, s->d, raw);
	SN_TRY(sn_basis_find(&s->basis, s->arena, raw, f->n_train, s->d));
	SN_TRY(cut(&s->train, s, f->train, f->n_train));
	s->fit = s->train;
	s->fit.n = f->n_fit;
	for (s->fit.n_sentence = 0; s->train.start[s->fit.n_sentence] < f->n_fit;) s->fit.n_sentence++;
	return SN_OK;
}

typedef void score_fn(sweep *s, int64_t i, int64_t words, const double *logp, int32_t to, double *sum);

/* Calls back for every word with a target in sentences from number first on. */
static sn_status each_word(sweep *s, const sn_edge_probe *p, const sn_edges *e, int64_t first, const int32_t *to,
						   score_fn *call, double *sum)
{
	for (int64_t k = first; k < e->n_sentence; k++) {
		int64_t from = e->start[k], words = e->start[k + 1] - from;
		double *logp;
		sn_mark mark = sn_arena_mark(s->arena);
		SN_NEW(logp, s->arena, double, words *words);
		SN_TRY(sn_edge_logp(p, s->arena, e->x + from * s->r, words, logp));
		for (int64_t i = 0; i < words; i++)
			if (to[from + i] >= 0) call(s, from + i, words, logp + i * words, to[from + i], sum);
		sn_arena_reset(s->arena, mark);
	}
	return SN_OK;
}

static int32_t likeliest(const double *logp, int64_t n)
{
	int32_t best = 0;
	for (int32_t k = 1; k < n; k++)
		if (logp[k] > logp[best]) best = k;
	return best;
}

static void add_loss(sweep *s, int64_t i, int64_t words, const double *logp, int32_t to, double *sum)
{
	(void)i;
	sum[0] -= sn_probe_smooth_bits(logp[to], s->train.n, (int)words);
	sum[1]++;
}

static void add_control(sweep *s, int64_t i, int64_t words, const double *logp, int32_t to, double *sum)
{
	(void)i, (void)sum;
	s->right += likeliest(logp, words) == to;
	s->n++;
}

static void take(sweep *s, int64_t i, int64_t words, const double *logp, int32_t to, double *sum)
{
	(void)sum;
	int64_t w = s->split->test[i];
	s->score->bits[w] = (float)sn_probe_smooth_bits(logp[to], s->train.n, (int)words);
	s->score->guess[w] = likeliest(logp, words);
	s->score->right[w] = s->score->guess[w] == to;
}

/* The path of strengths on the sentences that fit, judged on the others; leaves the best theta in p. */
static sn_status choose(sweep *s, sn_edge_probe *p, int *chosen)
{
	size_t size = (size_t)((s->r + 1) * s->r);
	double *best, least = INFINITY, last = INFINITY;
	SN_NEW(best, s->arena, double, size);
	*chosen = 0;
	for (int c = 0, rises = 0; c < STRENGTHS && rises < 2; c++) {
		double sum[2] = { 0 };
		SN_TRY(sn_edge_fit(p, s->arena, &s->fit, sn_probe_strengths[c], path_tol));
		SN_TRY(each_word(s, p, &s->train, s->fit.n_sentence, s->train.target, add_loss, sum));
		double loss = sum[1] > 0 ? sum[0] / sum[1] : 0;
		rises = loss > last ? rises + 1 : 0;
		last = loss;
		if (!(loss < least)) continue;
		least = loss;
		*chosen = c;
		memcpy(best, p->theta, size * sizeof *best);
	}
	memcpy(p->theta, best, size * sizeof *best);
	return SN_OK;
}

/* One control: fitted at the task's strength, tested on the words that the task is tested on. */
static sn_status run_control(sweep *s, const sn_edges *test, int chosen, int number)
{
	sn_edge_probe p;
	sn_edges train = s->train;
	int32_t *to, *held;
	uint64_t seed = sn_ctx_seed(sn_arena_ctx(s->arena));
	SN_NEW(to, s->arena, int32_t, train.n);
	SN_NEW(held, s->arena, int32_t, test->n);
	for (int64_t i = 0; i < train.n; i++)
		to[i] =
			control_target(s->bank, &s->at[s->bank->sentence[s->split->train[i]]], s->split->train[i], seed, number);
	for (int64_t i = 0; i < test->n; i++)
		held[i] =
			control_target(s->bank, &s->at[s->bank->sentence[s->split->test[i]]], s->split->test[i], seed, number);
	train.target = to;
	SN_TRY(sn_edge_make(&p, s->arena, s->r));
	SN_TRY(sn_edge_fit(&p, s->arena, &train, sn_probe_strengths[chosen], final_tol));
	return each_word(s, &p, test, 0, held, add_control, NULL);
}

static sn_status run_split(sweep *s, int n_control)
{
	sn_edge_probe p;
	sn_edges test;
	int chosen;
	SN_TRY(sn_poll(sn_arena_ctx(s->arena)));
	SN_TRY(prepare(s));
	SN_TRY(sn_edge_make(&p, s->arena, s->r));
	SN_TRY(choose(s, &p, &chosen));
	SN_TRY(sn_edge_fit(&p, s->arena, &s->train, sn_probe_strengths[chosen], final_tol));
	s->score->n_unconverged += !p.converged;
	s->score->strength = sn_probe_strengths[chosen];
	SN_TRY(cut(&test, s, s->split->test, s->split->n_test));
	SN_TRY(each_word(s, &p, &test, 0, test.target, take, NULL));
	for (int k = 0; k < n_control; k++) SN_TRY(run_control(s, &test, chosen, k));
	return SN_OK;
}

sn_status sn_edge_sweep(sn_word_scores *score, sn_arena *arena, const float *x, int64_t d, const sn_treebank *bank,
						const sn_split *split, int n_split, int64_t rank, int n_control)
{
	sweep s = { .arena = arena, .bank = bank, .x = x, .d = d, .r = SN_MIN(rank, d), .score = score };
	span *at;
	SN_TRY(sn_word_scores_make(score, arena, bank->n));
	SN_TRY(find_spans(&at, bank, arena));
	s.at = at;
	for (int f = 0; f < n_split; f++) {
		sn_mark mark = sn_arena_mark(arena);
		s.split = &split[f];
		SN_TRY(run_split(&s, n_control));
		sn_arena_reset(arena, mark);
	}
	score->control = s.n > 0 ? s.right / s.n : NAN;
	return SN_OK;
}
