/* All questions about one site's words: a training set is standardised and turned into its basis once, and every label,
 * control and strength is solved on it side by side. */
#include "methods/probe/probe.h"

#include "stats/metrics.h"
#include "stats/multinomial.h"
#include "stats/probe.h"

#include <math.h>
#include <string.h>

/* Strengths are a factor of ten apart, so choosing among them needs no exact fits. Nats a row. */
static const sn_multinomial_stop path_stop = { .gap = 1e-3 }, final_stop = { .gap = 1e-6 };
enum { USUAL_STRENGTH = 2, STRENGTHS = 6, ROWS_AT_ONCE = 4096 };

/* One question on one training set: the label's regression, then its controls'. */
typedef struct fit {
	sn_multinomial *m; /* [1 + n_control] */
	double *best;      /* theta at the chosen strength */
	double best_loss, last_loss;
	int chosen, rises;
	int64_t n_row; /* training rows with the label */
} fit;

typedef struct site {
	sn_arena *arena;
	const float *x;
	int64_t n, d;
	const sn_question *question;
	int n_question;
	bool controls;
	sn_word_scores *score;
	int (*votes)[STRENGTHS]; /* [n_question] */
	double *control_right, *control_n;
	/* the current split */
	const sn_split *split;
	sn_standard scale;
	sn_design design;
	fit *fit; /* [n_question] */
} site;

static int regressions(const site *s, int q) { return 1 + (s->controls ? s->question[q].n_control : 0); }

/* Vectors of words [n], which ascend but where judges begin, are done with. */
static void pass_words(const site *s, const int64_t *word, int64_t n)
{
	int64_t first = 0;
	for (int64_t i = 1; i <= n; i++) {
		if (i < n && word[i] > word[i - 1]) continue;
		size_t size = (size_t)((word[i - 1] + 1 - word[first]) * s->d) * sizeof *s->x;
		sn_arena_done(s->arena, s->x + word[first] * s->d, size);
		first = i;
	}
}

/* Standardised words in the split's basis, [n, d]. */
static sn_status transform(const site *s, const int64_t *word, int64_t n, float *scratch, float *out)
{
	for (int64_t i = 0; i < n; i++) sn_standard_apply(&s->scale, s->x + word[i] * s->d, 1, s->d, scratch + i * s->d);
	pass_words(s, word, n);
	sn_basis_turn(&s->design.basis, s->arena, scratch, n, out);
	return SN_OK;
}

static sn_status standardise(site *s, float *x, int64_t n)
{
	int64_t d = s->d;
	SN_TRY(sn_standard_fit(&s->scale, s->arena, &(sn_rows){ .x = x, .n = n, .d = d, .home = s->arena }));
	for (int64_t first = 0; first < n; first += ROWS_AT_ONCE) {
		int64_t rows = SN_MIN(ROWS_AT_ONCE, n - first);
		sn_standard_apply(&s->scale, x + first * d, rows, d, x + first * d);
		sn_arena_done(s->arena, x + first * d, (size_t)(rows * d) * sizeof *x);
	}
	return SN_OK;
}

static sn_status make_design(site *s)
{
	int64_t n = s->split->n_train, d = s->d;
	float *x;
	SN_NEW(x, s->arena, float, sn_size3((size_t)n, (size_t)d, 1));
	for (int64_t first = 0; first < n; first += ROWS_AT_ONCE) {
		const int64_t *word = s->split->train + first;
		int64_t rows = SN_MIN(ROWS_AT_ONCE, n - first);
		float *to = x + first * d;
		for (int64_t i = 0; i < rows; i++) memcpy(to + i * d, s->x + word[i] * d, (size_t)d * sizeof *x);
		pass_words(s, word, rows);
		sn_arena_done(s->arena, to, (size_t)(rows * d) * sizeof *x);
	}
	SN_TRY(standardise(s, x, n));
	return sn_design_make(&s->design, s->arena, x, n, d);
}

static sn_status make_fits(site *s)
{
	SN_NEW(s->fit, s->arena, fit, s->n_question);
	for (int q = 0; q < s->n_question; q++) {
		const sn_question *ask = &s->question[q];
		fit *f = &s->fit[q];
		*f = (fit){ .best_loss = INFINITY, .last_loss = INFINITY, .chosen = USUAL_STRENGTH };
		SN_NEW(f->m, s->arena, sn_multinomial, regressions(s, q));
		for (int k = 0; k < regressions(s, q); k++) {
			const int32_t *from = k ? ask->control[k - 1] : ask->y;
			int32_t *y;
			SN_NEW(y, s->arena, int32_t, s->split->n_train);
			for (int64_t i = 0; i < s->split->n_train; i++) y[i] = from[s->split->train[i]];
			SN_TRY(sn_multinomial_make(&f->m[k], s->arena, ask->n_class, s->d, s->split->n_train));
			f->m[k].y = y;
		}
		for (int64_t i = 0; i < s->split->n_train; i++) f->n_row += f->m[0].y[i] >= 0;
		SN_NEW(f->best, s->arena, double, f->m[0].solver.size);
	}
	return SN_OK;
}

double sn_probe_smooth_bits(double logp, int64_t n, int n_class)
{
	return log2(((double)n * exp(logp) + 1) / (double)(n + n_class));
}

/* Adds the bits lost on n training rows from first on. */
static sn_status judge_rows(const site *s, int q, int64_t first, int64_t n, double *sum, int64_t *used)
{
	const sn_multinomial *m = &s->fit[q].m[0];
	const float *x = s->design.x + first * s->d;
	float *logp;
	sn_mark mark = sn_arena_mark(s->arena);
	SN_NEW(logp, s->arena, float, sn_size3((size_t)n, (size_t)m->n_class, 1));
	SN_TRY(sn_multinomial_logp(m, s->arena, x, n, s->d, logp));
	sn_arena_done(s->arena, x, (size_t)(n * s->d) * sizeof *x);
	for (int64_t i = 0; i < n; i++) {
		int32_t y = m->y[first + i];
		if (y < 0) continue;
		*sum -= sn_probe_smooth_bits(logp[i * m->n_class + y], s->fit[q].n_row, m->n_class);
		(*used)++;
	}
	sn_arena_reset(s->arena, mark);
	return SN_OK;
}

/* Mean bits lost on the training rows that judge; NaN without any. */
static sn_status judge(const site *s, int q, double *loss)
{
	int64_t first = s->split->n_fit, n = s->split->n_train - first, used = 0;
	double sum = 0;
	for (int64_t next = 0; next < n; next += ROWS_AT_ONCE)
		SN_TRY(judge_rows(s, q, first + next, SN_MIN(ROWS_AT_ONCE, n - next), &sum, &used));
	*loss = used ? sum / (double)used : NAN;
	return SN_OK;
}

/* The path of one label, from the strongest regularisation on: it ends when the loss has risen twice. */
typedef struct walk {
	site *s;
	sn_status status;
	int *strength; /* [n_question] the one being solved */
} walk;

static bool next_strength(void *owner, int q)
{
	walk *w = owner;
	fit *f = &w->s->fit[q];
	int *strength = &w->strength[q];
	double loss;
	if (w->status == SN_OK) w->status = judge(w->s, q, &loss);
	if (w->status != SN_OK) return false;
	f->rises = loss > f->last_loss ? f->rises + 1 : 0;
	f->last_loss = loss;
	if (loss < f->best_loss || (isnan(loss) && *strength == USUAL_STRENGTH)) {
		f->best_loss = loss;
		f->chosen = *strength;
		memcpy(f->best, f->m[0].theta, (size_t)f->m[0].solver.size * sizeof *f->best);
	}
	if (f->rises >= 2 || ++*strength == STRENGTHS) return false;
	f->m[0].c = sn_probe_strengths[*strength];
	return true;
}

/* Every label on its path, all of them side by side. */
static sn_status choose_strengths(site *s, sn_multinomial **active)
{
	sn_design design = s->design;
	walk w = { .s = s, .status = SN_OK };
	design.n = s->split->n_fit;
	SN_NEW(w.strength, s->arena, int, s->n_question);
	for (int q = 0; q < s->n_question; q++) {
		active[q] = &s->fit[q].m[0];
		active[q]->c = sn_probe_strengths[0];
	}
	SN_TRY(sn_multinomial_solve(active, s->n_question, s->arena, &design, path_stop, next_strength, &w));
	return w.status;
}

/* The chosen strengths on all training rows, from where the path left them; controls at their task's strength. */
static sn_status fit_all(site *s, sn_multinomial **active)
{
	int n = 0;
	for (int q = 0; q < s->n_question; q++) {
		fit *f = &s->fit[q];
		memcpy(f->m[0].theta, f->best, (size_t)f->m[0].solver.size * sizeof *f->best);
		for (int k = 0; k < regressions(s, q); k++) {
			f->m[k].c = sn_probe_strengths[f->chosen];
			active[n++] = &f->m[k];
		}
		s->votes[q][f->chosen]++;
	}
	SN_TRY(sn_multinomial_solve(active, n, s->arena, &s->design, final_stop, NULL, NULL));
	for (int q = 0; q < s->n_question; q++) s->score[q].n_unconverged += !s->fit[q].m[0].solver.converged;
	return SN_OK;
}

/* Scores words [n] (turned rows x) of one regression of a question. */
static sn_status score_words(site *s, int q, int k, const int64_t *word, int64_t n, const float *x)
{
	const fit *f = &s->fit[q];
	const sn_question *ask = &s->question[q];
	sn_word_scores *out = &s->score[q];
	float *logp;
	int n_class = ask->n_class;
	sn_mark mark = sn_arena_mark(s->arena);
	SN_NEW(logp, s->arena, float, sn_size3((size_t)n, (size_t)n_class, 1));
	SN_TRY(sn_multinomial_logp(&f->m[k], s->arena, x, n, s->d, logp));
	for (int64_t i = 0; i < n; i++) {
		int64_t w = word[i];
		int32_t y = k ? ask->control[k - 1][w] : ask->y[w];
		int guess = sn_likeliest(logp + i * n_class, n_class);
		if (y < 0) continue;
		if (k) {
			s->control_right[q] += guess == y;
			s->control_n[q]++;
			continue;
		}
		out->bits[w] = (float)sn_probe_smooth_bits(logp[i * n_class + y], f->n_row, n_class);
		out->right[w] = guess == y;
		out->guess[w] = guess;
	}
	sn_arena_reset(s->arena, mark);
	return SN_OK;
}

static sn_status test_split(site *s)
{
	float *raw, *turned;
	int64_t most = SN_MIN(ROWS_AT_ONCE, s->split->n_test);
	SN_NEW(raw, s->arena, float, sn_size3((size_t)most, (size_t)s->d, 1));
	SN_NEW(turned, s->arena, float, sn_size3((size_t)most, (size_t)s->d, 1));
	for (int64_t first = 0; first < s->split->n_test; first += most) {
		const int64_t *word = s->split->test + first;
		int64_t n = SN_MIN(most, s->split->n_test - first);
		SN_TRY(transform(s, word, n, raw, turned));
		for (int q = 0; q < s->n_question; q++)
			for (int k = 0; k < regressions(s, q); k++) SN_TRY(score_words(s, q, k, word, n, turned));
	}
	return SN_OK;
}

static sn_status run_split(site *s)
{
	sn_multinomial **active;
	int n = 0;
	for (int q = 0; q < s->n_question; q++) n += regressions(s, q);
	SN_NEW(active, s->arena, sn_multinomial *, n);
	SN_TRY(make_design(s));
	SN_TRY(make_fits(s));
	SN_TRY(choose_strengths(s, active));
	SN_TRY(fit_all(s, active));
	return test_split(s);
}

static void finish(site *s, int q)
{
	int most = 0;
	for (int c = 1; c < STRENGTHS; c++)
		if (s->votes[q][c] > s->votes[q][most]) most = c;
	s->score[q].strength = sn_probe_strengths[most];
	s->score[q].control = s->control_n[q] > 0 ? s->control_right[q] / s->control_n[q] : NAN;
}

sn_status sn_word_scores_make(sn_word_scores *out, sn_arena *arena, int64_t n)
{
	*out = (sn_word_scores){ .control = NAN };
	SN_NEW(out->bits, arena, float, n);
	SN_NEW(out->right, arena, float, n);
	SN_NEW(out->guess, arena, int32_t, n);
	for (int64_t i = 0; i < n; i++) out->bits[i] = NAN;
	return SN_OK;
}

sn_status sn_probe_sweep(sn_word_scores *score, sn_arena *arena, const float *x, int64_t n, int64_t d,
						 const sn_question *question, int n_question, const sn_split *split, int n_split, bool controls)
{
	site s = { .arena = arena,
			   .x = x,
			   .n = n,
			   .d = d,
			   .question = question,
			   .n_question = n_question,
			   .controls = controls,
			   .score = score };
	s.votes = sn_arena_take(arena, sn_size3((size_t)n_question, sizeof *s.votes, 1));
	if (!s.votes) return SN_ENOMEM;
	SN_NEW(s.control_right, arena, double, n_question);
	SN_NEW(s.control_n, arena, double, n_question);
	for (int q = 0; q < n_question; q++) SN_TRY(sn_word_scores_make(&score[q], arena, n));
	for (int f = 0; f < n_split; f++) {
		sn_mark mark = sn_arena_mark(arena);
		s.split = &split[f];
		SN_TRY(run_split(&s));
		sn_arena_reset(arena, mark);
	}
	for (int q = 0; q < n_question; q++) finish(&s, q);
	return SN_OK;
}
