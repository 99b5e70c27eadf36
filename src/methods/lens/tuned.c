/* The tuned lens: an affine translator for each layer, fitted so that the model's end makes of the translated stream
 * what it makes of the last one. */
#include "methods/lens/fit.h"

#include "model/gather.h"
#include "model/lens.h"
#include "model/model.h"
#include "model/vocabulary.h"

#include <math.h>
#include <string.h>

typedef struct tuned_param {
	const char *column, *init, *from, *save;
	int64_t steps, positions, limit;
	double rate, ridge;
} tuned_param;

static const sn_param params[] = {
	{ "column", NULL, "column of the text; auto: text, sentence, prefix or sentence_good", "auto", NULL, SN_TYPE_TEXT,
	  offsetof(tuned_param, column), 0, 0, false },
	{ "save", NULL, "folder to write config.json and params.pt to, in tuned-lens' layout; none", "none", NULL,
	  SN_TYPE_TEXT, offsetof(tuned_param, save), 0, 0, false },
	{ "continue", NULL, "folder of a tuned lens to begin with, instead of init; none", "none", NULL, SN_TYPE_TEXT,
	  offsetof(tuned_param, from), 0, 0, false },
	{ "init", NULL, "where fitting begins: the least-squares map to the last stream, or the logit lens",
	  "least-squares", "least-squares|identity", SN_TYPE_TEXT, offsetof(tuned_param, init), 0, 0, false },
	{ "steps", "steps", "gradient steps on KL(final || lens); 0: none", "100", NULL, SN_TYPE_INT,
	  offsetof(tuned_param, steps), 0, 1e6, false },
	{ "positions", "positions", "positions of a step, about", "256", NULL, SN_TYPE_INT,
	  offsetof(tuned_param, positions), 8, 65536, false },
	{ "rate", NULL, "Adam's first step size; it falls linearly to 0", "1e-4", NULL, SN_TYPE_FLOAT,
	  offsetof(tuned_param, rate), 1e-9, 1, false },
	{ "ridge", "share", "least squares: added to the streams' second moments, over their mean", "0.01", NULL,
	  SN_TYPE_FLOAT, offsetof(tuned_param, ridge), 0, 1e3, false },
	{ "limit", "rows", "only the first rows of the data; 0: all", "0", NULL, SN_TYPE_INT,
	  offsetof(tuned_param, limit), 0, 1e15, false },
};

enum { LAYERS, TRAINING };

static const sn_col layer_columns[] = {
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Layer" },
	{ "lens", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Lens" },
	{ "positions", "positions", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Positions" },
	{ "kl", "bits", NULL, SN_TYPE_FLOAT, SN_MEASURE, -1, "KL(final || lens)" },
	{ "kl_low", "bits", "kl", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "kl_high", "bits", "kl", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "agreement", "share", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, "First choice is the final one" },
	{ "agreement_low", "share", "agreement", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "agreement_high", "share", "agreement", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
};

static const sn_col training_columns[] = {
	{ "step", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Step" },
	{ "layers", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Layers" },
	{ "loss", "bits", NULL, SN_TYPE_FLOAT, SN_MEASURE, -1, "KL(final || lens) of the step's positions" },
};

static const sn_table tables[] = {
	[LAYERS] = { "layers", "What each layer holds of the final distribution", layer_columns, SN_COUNT(layer_columns),
		SN_VIEW_LINE, "On texts that were not fitted to (every fifth): KL of the final distribution from the lens', "
		"and how often the first choice is the final one; intervals over texts.", false },
	[TRAINING] = { "training", "Fitting", training_columns, SN_COUNT(training_columns), SN_VIEW_LINE,
		"Before each step, on its own positions: means over all layers, and over thirds of them.", true },
};

typedef struct sums { sn_clustered kl, agreement; } sums;

typedef struct job {
	sn_ctx *ctx;
	sn_model *model;
	const tuned_param *param;
	sn_result *out;
	sn_lens_texts texts;
	sn_arena *arena;
	int n_layer;
	sn_translators t;
	int64_t fitted, steps;      /* positions of the least-squares fit; steps taken */
	sums *sum;                  /* [n_layer] of the lens evaluated last */
} job;

enum { FIFTH = 5, VECTOR_BYTES = 64 << 20 };

static bool is_held_out(const job *j, int64_t text) { return j->texts.n >= FIFTH && text % FIFTH == FIFTH - 1; }

/* ---- streams ---- */

static sn_status read_streams(const job *j, const sn_batch *batch, sn_lens_streams *s, sn_arena *arena)
{
	int64_t d = j->model->shape.d_model;
	sn_tap *tap;
	sn_lens_keep *keep;
	*s = (sn_lens_streams){ .n = batch->start[batch->n], .n_layer = j->n_layer, .d = d };
	SN_NEW(s->x, arena, float, sn_gemm_room(s->n * (j->n_layer + 1)) * d);
	SN_NEW(tap, arena, sn_tap, j->n_layer + 1);
	SN_NEW(keep, arena, sn_lens_keep, j->n_layer + 1);
	for (int l = 0; l <= j->n_layer; l++) {
		keep[l] = (sn_lens_keep){ s->x, j->n_layer + 1, l, d };
		tap[l] = (sn_tap){ .at = sn_boundary_site(j->model, l), .where = { .sel = SN_ALL }, .sink = &sn_lens_keep_sink,
		                   .state = &keep[l] };
	}
	sn_plan plan = { .size = sizeof plan, .n_tap = j->n_layer + 1, .tap = tap };
	return sn_run(j->ctx, j->model, batch, &plan, NULL, NULL);
}

/* Texts from *at on, of those fitted to or held out, that together have about so many tokens. */
static int64_t gather(const job *j, bool held_out, int64_t *at, int64_t n_token, int64_t *which)
{
	int64_t n = 0, sum = 0;
	for (; *at < j->texts.n; ++*at) {
		if (is_held_out(j, *at) != held_out) continue;
		if (n > 0 && sum + j->texts.text[*at].token.n > n_token) break;
		sum += j->texts.text[*at].token.n;
		which[n++] = *at;
	}
	return n;
}

static int64_t tokens_a_run(const job *j)
{
	return SN_MAX(VECTOR_BYTES / (j->model->shape.d_model * 4 * (j->n_layer + 1)), 1);
}

/* ---- least squares ---- */

static sn_status add_texts(job *j, const int64_t *which, int64_t n, sn_lens_moments *m)
{
	sn_arena *arena;
	sn_batch batch;
	sn_lens_streams s;
	SN_TRY(sn_arena_open(&arena, j->ctx));
	sn_status status = sn_lens_batch_of(&batch, &j->texts, which, n, arena);
	if (status == SN_OK) status = read_streams(j, &batch, &s, arena);
	if (status == SN_OK) status = sn_lens_moments_add(j->ctx, m, &s, arena);
	sn_arena_close(arena);
	return status;
}

static sn_status fit_moments(job *j, sn_arena *arena)
{
	sn_lens_moments m;
	int64_t *which;
	SN_TRY(sn_lens_moments_make(&m, j->n_layer, j->model->shape.d_model, arena));
	SN_NEW(which, arena, int64_t, j->texts.n);
	for (int64_t at = 0, n; (n = gather(j, false, &at, tokens_a_run(j), which)) > 0;) {
		sn_progress(j->ctx, "texts", at, j->texts.n);
		SN_TRY(add_texts(j, which, n, &m));
	}
	j->fitted = (int64_t)m.count;
	return sn_lens_moments_solve(j->ctx, &m, j->param->ridge, &j->t);
}

static sn_status fit_least_squares(job *j)
{
	int64_t d = j->model->shape.d_model;
	sn_arena *arena;
	if (j->n_layer * (d + 1) * (2 * d + 1) * 8 > sn_ctx_memory(j->ctx) / 2)
		return sn_fail(j->ctx, SN_EARG, "least squares would take %lld MiB, more than half of --memory: take --init "
		               "identity", (long long)(j->n_layer * (d + 1) * (2 * d + 1) * 8 >> 20));
	SN_TRY(sn_arena_open(&arena, j->ctx));
	sn_status status = fit_moments(j, arena);
	sn_arena_close(arena);
	return status;
}

/* ---- gradient steps ---- */

static sn_status say_step(const job *j, int64_t step, const double *loss)
{
	static const char *const name[4] = { "all", "first third", "second third", "last third" };
	for (int part = 0; part < 4; part++) {
		int first = part ? (part - 1) * j->n_layer / 3 : 0, last = part ? part * j->n_layer / 3 : j->n_layer;
		double sum = 0;
		for (int l = first; l < last; l++) sum += loss[l] / log(2) / (last - first);
		if (last > first) SN_TRY(SN_ADD(j->out, TRAINING, sn_int(step), sn_text(name[part]), sn_num(sum)));
	}
	return SN_OK;
}

static sn_status take_step(job *j, const int64_t *which, int64_t n, sn_lens_adam *adam, double *loss)
{
	sn_arena *arena;
	sn_batch batch;
	sn_lens_streams s;
	SN_TRY(sn_arena_open(&arena, j->ctx));
	sn_status status = sn_lens_batch_of(&batch, &j->texts, which, n, arena);
	if (status == SN_OK) status = read_streams(j, &batch, &s, arena);
	if (status == SN_OK) status = sn_lens_step(j->ctx, j->model, &j->t, &s, adam, loss, arena);
	sn_arena_close(arena);
	return status;
}

/* Texts in a random order, again and again; a step takes as many as have about the positions it should. */
static sn_status take_steps(job *j, sn_lens_adam *adam, sn_arena *arena)
{
	int64_t *perm, *order, *which, n_fit = 0, at = 0;
	double *loss;
	sn_rng rng = sn_rng_make(sn_ctx_seed(j->ctx), 0x74756e6564);
	SN_NEW(order, arena, int64_t, j->texts.n);
	SN_NEW(perm, arena, int64_t, j->texts.n);
	SN_NEW(which, arena, int64_t, j->texts.n);
	SN_NEW(loss, arena, double, j->n_layer);
	for (int64_t i = 0; i < j->texts.n; i++)
		if (!is_held_out(j, i)) order[n_fit++] = i;
	for (int64_t step = 0; step < j->param->steps; step++) {
		int64_t n = 0, tokens = 0;
		while (n < n_fit && (n == 0 || tokens < j->param->positions)) {
			if (at == 0) sn_rng_permute(&rng, perm, n_fit);
			int64_t text = order[perm[at]];
			if (n > 0 && tokens + j->texts.text[text].token.n > 2 * j->param->positions) break;
			tokens += j->texts.text[text].token.n;
			which[n++] = text;
			at = (at + 1) % n_fit;
		}
		sn_progress(j->ctx, "steps", step, j->param->steps);
		SN_TRY(take_step(j, which, n, adam, loss));
		SN_TRY(say_step(j, step, loss));
		j->steps++;
	}
	sn_progress(j->ctx, "steps", j->param->steps, j->param->steps);
	return SN_OK;
}

static sn_status fit_gradients(job *j)
{
	sn_arena *arena;
	sn_lens_adam adam = { 0 };
	SN_TRY(sn_arena_open(&arena, j->ctx));
	sn_status status = sn_lens_adam_open(&adam, j->ctx, j->model, &j->t, j->param->rate, j->param->steps, arena);
	if (status == SN_OK) status = take_steps(j, &adam, arena);
	sn_lens_adam_close(&adam, j->model);
	sn_arena_close(arena);
	return status;
}

/* ---- evaluation ---- */

static sn_status evaluate_some(job *j, const sn_translators *t, const int64_t *which, int64_t n, sn_arena *arena)
{
	sn_batch batch;
	sn_lens_streams s;
	float *h;
	SN_TRY(sn_lens_batch_of(&batch, &j->texts, which, n, arena));
	SN_TRY(read_streams(j, &batch, &s, arena));
	if (t) SN_TRY(sn_translators_apply(j->ctx, j->model, t, s.x, s.n, arena));
	int64_t group = j->n_layer + 1, m = s.n * group;
	sn_vocabulary v = { .n = m, .top = 1, .group = group };
	SN_NEW(h, arena, float, sn_gemm_room(m) * j->model->shape.d_head_out);
	SN_NEW(v.kl, arena, double, m);
	SN_NEW(v.top_id, arena, int32_t, m);
	SN_NEW(v.top_logit, arena, double, m);
	SN_TRY(sn_lens_head(j->ctx, j->model, s.x, m, h, arena));
	v.x = h;
	SN_TRY(sn_vocabulary_read(j->ctx, j->model, &v, arena));
	for (int64_t b = 0; b < n; b++)
		for (int l = 0; l < j->n_layer; l++) {
			double kl = 0, agreement = 0;
			for (int64_t i = batch.start[b]; i < batch.start[b + 1]; i++) {
				kl += v.kl[i * group + l] / log(2);
				agreement += v.top_id[i * group + l] == v.top_id[i * group + group - 1];
			}
			sn_clustered_add(&j->sum[l].kl, kl, (double)(batch.start[b + 1] - batch.start[b]));
			sn_clustered_add(&j->sum[l].agreement, agreement, (double)(batch.start[b + 1] - batch.start[b]));
		}
	return SN_OK;
}

/* On the held-out texts; where there are too few texts to hold any out, on all. */
static sn_status evaluate(job *j, const sn_translators *t, const char *name)
{
	int64_t *which;
	memset(j->sum, 0, (size_t)j->n_layer * sizeof *j->sum);
	SN_NEW(which, j->arena, int64_t, j->texts.n);
	for (int64_t at = 0, n; (n = gather(j, j->texts.n >= FIFTH, &at, tokens_a_run(j), which)) > 0;) {
		sn_arena *arena;
		sn_progress(j->ctx, name, at, j->texts.n);
		SN_TRY(sn_arena_open(&arena, j->ctx));
		sn_status status = evaluate_some(j, t, which, n, arena);
		sn_arena_close(arena);
		SN_TRY(status);
	}
	for (int l = 0; l < j->n_layer; l++)
		SN_TRY(SN_ADD(j->out, LAYERS, sn_int(l), sn_text(name), sn_int((int64_t)j->sum[l].kl.count),
		              SN_LENS_WITHIN(&j->sum[l].kl, 0, INFINITY), SN_LENS_WITHIN(&j->sum[l].agreement, 0, 1)));
	return SN_OK;
}

/* ---- entry ---- */

static double mean_of(const job *j)
{
	double sum = 0;
	for (int l = 0; l < j->n_layer; l++) sum += sn_clustered_mean(&j->sum[l].kl) / j->n_layer;
	return sum;
}

static sn_status summarise(const job *j, double before)
{
	SN_TRY(sn_result_say(j->out, "Mean KL(final || lens) over the layers is %.2f bits for the logit lens and %.2f for "
	                     "the tuned one, on %.0f positions of %.0f texts%s.", before, mean_of(j), j->sum[0].kl.count,
	                     j->sum[0].kl.n, j->texts.n >= FIFTH ? " that were not fitted to" : ""));
	if (j->fitted) SN_TRY(sn_result_set(j->out, "positions of the least-squares fit", "%lld", (long long)j->fitted));
	SN_TRY(sn_result_set(j->out, "gradient steps", "%lld", (long long)j->steps));
	if (j->texts.n < FIFTH)
		SN_TRY(sn_result_limit(j->out, "With fewer than %d texts none is held out: these are the fitted "
			"texts.", FIFTH));
	if (j->fitted && j->fitted < 10 * j->model->shape.d_model)
		SN_TRY(sn_result_limit(j->out, "%lld positions are few for translators of %lld dimensions; ten times as many "
		                       "as dimensions would steady them.", (long long)j->fitted,
		                       (long long)j->model->shape.d_model));
	return sn_lens_say_cut(j->out, &j->texts);
}

static sn_status check(const job *j)
{
	SN_TRY(sn_lens_check(j->ctx, j->model));
	if (!j->model->head.w) return SN_OK;
	return sn_fail(j->ctx, SN_EARG, "%s has a layer of its own before the unembedding; translators are fitted through "
	               "a norm alone", j->model->info.path);
}

static sn_status fit(job *j)
{
	if (strcmp(j->param->from, "none") != 0) {
		SN_TRY(sn_translators_read(&j->t, j->ctx, j->model, j->param->from, j->arena));
		SN_TRY(evaluate(j, &j->t, "as read"));
	} else if (strcmp(j->param->init, "least-squares") == 0) {
		SN_TRY(fit_least_squares(j));
		SN_TRY(evaluate(j, &j->t, "least squares"));
	}
	if (j->param->steps == 0) return SN_OK;
	SN_TRY(fit_gradients(j));
	return evaluate(j, &j->t, "tuned");
}

static sn_status run_in(job *j, const sn_input *in)
{
	SN_TRY(check(j));
	SN_TRY(sn_lens_read(&j->texts, j->ctx, in, j->param->column, j->param->limit, j->arena));
	SN_TRY(sn_translators_make(&j->t, j->n_layer, j->model->shape.d_model, j->arena));
	SN_NEW(j->sum, j->arena, sums, j->n_layer);
	SN_TRY(evaluate(j, NULL, "logit lens"));
	double before = mean_of(j);
	SN_TRY(fit(j));
	if (strcmp(j->param->save, "none") != 0) {
		SN_TRY(sn_translators_write(j->ctx, j->model, &j->t, j->param->save));
		SN_TRY(sn_result_set(j->out, "translators", "%s", j->param->save));
	}
	return summarise(j, before);
}

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	job j = { .ctx = ctx, .model = in->model[0], .param = param, .out = out,
	          .n_layer = sn_model_get_info(in->model[0])->n_layer };
	SN_TRY(sn_arena_open(&j.arena, ctx));
	sn_status status = run_in(&j, in);
	sn_arena_close(j.arena);
	return status;
}

extern const sn_method sn_method_lens_tuned;
const sn_method sn_method_lens_tuned = {
	.family = "lens", .name = "tuned", .brief = "fit an affine translator to each layer, so that the lens reads it "
		       "rightly",
	.doc = "For each layer l the lens reads x + A_l x + b_l. Fitting begins with the least-squares map to the stream "
	       "that the last block leaves (each position weighted by one over its mean square, as the final norm divides "
	       "by its root), then takes gradient steps (Adam) on KL(final || lens), all layers side by side. Every fifth "
	       "text is held out for the comparison with the logit lens. A step takes three products with the unembedding "
	       "for each position and layer. The saved folder is read by the Python package tuned-lens, and by lens logit "
	       "--tuned.",
	.cite = "Belrose et al. 2023 (tuned lens); Din et al. 2023 (least squares)",
	.example = "sonde lens tuned --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data en_ewt-ud-dev.conllu --steps 20 "
	           "--save smollm2-lens",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params, .n_param = SN_COUNT(params), .param_size = sizeof(tuned_param),
	.table = tables, .n_table = SN_COUNT(tables), .run = run,
};
