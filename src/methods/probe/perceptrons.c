/* All perceptrons of one site: labels, sizes and controls trained side by side, a network a thread. */
#include "methods/probe/probe.h"

#include <math.h>
#include <string.h>

#include "stats/metrics.h"
#include "stats/mlp.h"

enum { ROWS = 256, PATIENCE = 4 };

/* One network: a question's label (control 0) or control, at one size. */
typedef struct job {
	int question, size, control;
	sn_mlp net;
	sn_mlp_training training;
	int32_t *y; /* [train] */
	int64_t n_row;
	float *logp; /* [ROWS, classes] */
	double right, n;
} job;

typedef struct site {
	sn_arena *arena;
	const float *x;
	int64_t d;
	const sn_question *question;
	int n_question, n_job;
	const sn_mlp_settings *settings;
	const sn_split *split;
	uint64_t key; /* of the split */
	float *train, *test;
	sn_word_scores *score; /* [n_question, n_size] */
	double *control_right, *control_n;
	job *job;
} site;

static sn_status standardise(site *s)
{
	const sn_split *f = s->split;
	size_t d = (size_t)s->d;
	sn_standard scale;
	SN_NEW(s->train, s->arena, float, sn_size3((size_t)f->n_train, d, 1));
	SN_NEW(s->test, s->arena, float, sn_size3((size_t)f->n_test, d, 1));
	for (int64_t i = 0; i < f->n_train; i++)
		memcpy(s->train + i * s->d, s->x + f->train[i] * s->d, d * sizeof *s->train);
	for (int64_t i = 0; i < f->n_test; i++) memcpy(s->test + i * s->d, s->x + f->test[i] * s->d, d * sizeof *s->test);
	sn_rows rows = { .x = s->train, .n = f->n_train, .d = s->d };
	SN_TRY(sn_standard_fit(&scale, s->arena, &rows));
	sn_standard_apply(&scale, s->train, f->n_train, s->d, s->train);
	sn_standard_apply(&scale, s->test, f->n_test, s->d, s->test);
	return SN_OK;
}

static sn_status make_job(site *s, job *j, uint64_t seed)
{
	const sn_question *ask = &s->question[j->question];
	const int32_t *from = j->control ? ask->control[j->control - 1] : ask->y;
	int64_t n = s->split->n_train;
	uint64_t key =
		(s->key << 32) + ((uint64_t)j->question << 24) + ((uint64_t)j->size << 16) + ((uint64_t)j->control << 8);
	SN_TRY(
		sn_mlp_make(&j->net, s->arena, s->d, s->settings->size[j->size], ask->n_class, seed, 0x4d000000000000 + key));
	SN_NEW(j->y, s->arena, int32_t, n);
	SN_NEW(j->logp, s->arena, float, (int64_t)ROWS * ask->n_class);
	for (int64_t i = 0; i < n; i++) {
		j->y[i] = from[s->split->train[i]];
		j->n_row += j->y[i] >= 0;
	}
	j->training = (sn_mlp_training){ .x = s->train,
									 .y = j->y,
									 .n = n,
									 .n_fit = s->split->n_fit,
									 .batch = s->settings->batch,
									 .epochs = s->settings->epochs,
									 .patience = PATIENCE,
									 .rate = s->settings->rate,
									 .decay = s->settings->decay,
									 .seed = seed,
									 .key = 0x4e00000000000000 + (key << 8) };
	SN_NEW(j->training.work, s->arena, double, sn_mlp_training_work(&j->net, SN_MAX(s->settings->batch, ROWS)));
	SN_NEW(j->training.order, s->arena, int64_t, n);
	return SN_OK;
}

static sn_status make_jobs(site *s)
{
	int n = 0;
	uint64_t seed = sn_ctx_seed(sn_arena_ctx(s->arena));
	for (int q = 0; q < s->n_question; q++) n += s->settings->n_size * (1 + s->question[q].n_control);
	SN_NEW(s->job, s->arena, job, n);
	s->n_job = n;
	n = 0;
	for (int h = s->settings->n_size - 1; h >= 0; h--) /* the longest first */
		for (int q = 0; q < s->n_question; q++)
			for (int k = 0; k <= s->question[q].n_control; k++) {
				s->job[n] = (job){ .question = q, .size = h, .control = k };
				SN_TRY(make_job(s, &s->job[n++], seed));
			}
	return SN_OK;
}

/* Scores the tested words; controls are only counted. */
static void score_job(const site *s, job *j)
{
	const sn_question *ask = &s->question[j->question];
	sn_word_scores *out = &s->score[j->question * s->settings->n_size + j->size];
	const int32_t *y = j->control ? ask->control[j->control - 1] : ask->y;
	for (int64_t first = 0; first < s->split->n_test; first += ROWS) {
		int64_t n = SN_MIN(ROWS, s->split->n_test - first);
		sn_mlp_logp(&j->net, s->test + first * s->d, n, j->logp, j->training.work);
		for (int64_t i = 0; i < n; i++) {
			int64_t w = s->split->test[first + i];
			const float *logp = j->logp + i * ask->n_class;
			if (y[w] < 0) continue;
			int guess = sn_likeliest(logp, ask->n_class);
			j->right += guess == y[w];
			j->n++;
			if (j->control) continue;
			out->bits[w] = (float)sn_probe_smooth_bits(logp[y[w]], j->n_row, ask->n_class);
			out->right[w] = guess == y[w];
			out->guess[w] = guess;
		}
	}
}

static sn_status run_split(site *s)
{
	sn_ctx *ctx = sn_arena_ctx(s->arena);
	SN_TRY(sn_poll(ctx));
	SN_TRY(standardise(s));
	SN_TRY(make_jobs(s));
#pragma omp parallel for num_threads(sn_ctx_threads(ctx)) schedule(dynamic)
	for (int k = 0; k < s->n_job; k++) {
		sn_mlp_train(&s->job[k].net, &s->job[k].training);
		score_job(s, &s->job[k]);
	}
	for (int k = 0; k < s->n_job; k++) {
		const job *j = &s->job[k];
		if (!j->control) continue;
		s->control_right[j->question * s->settings->n_size + j->size] += j->right;
		s->control_n[j->question * s->settings->n_size + j->size] += j->n;
	}
	return SN_OK;
}

sn_status sn_probe_perceptrons(sn_word_scores *score, sn_arena *arena, const float *x, int64_t n, int64_t d,
							   const sn_question *question, int n_question, const sn_split *split, int n_split,
							   const sn_mlp_settings *settings)
{
	site s = { .arena = arena,
			   .x = x,
			   .d = d,
			   .question = question,
			   .n_question = n_question,
			   .settings = settings,
			   .score = score };
	int all = n_question * settings->n_size;
	SN_NEW(s.control_right, arena, double, all);
	SN_NEW(s.control_n, arena, double, all);
	for (int k = 0; k < all; k++) SN_TRY(sn_word_scores_make(&score[k], arena, n));
	for (int f = 0; f < n_split; f++) {
		sn_mark mark = sn_arena_mark(arena);
		s.split = &split[f];
		s.key = (uint64_t)f;
		SN_TRY(run_split(&s));
		sn_arena_reset(arena, mark);
	}
	for (int k = 0; k < all; k++) score[k].control = s.control_n[k] > 0 ? s.control_right[k] / s.control_n[k] : NAN;
	return SN_OK;
}
