/* Gradients in the vocabulary: a matrix' gradient is a sum over tokens of x_i' delta_i, what the token brings to the
 * matrix times the loss' derivative by what the matrix makes of it. Both are vectors, and one of them can be read in
 * the vocabulary: the input of a matrix that reads the stream, the derivative of one that writes it. The gradient
 * itself is never formed: its norm and its singular values follow from the tokens' products with one another. */
#include "methods/lens/lens.h"

#include "model/lens.h"
#include "model/model.h"
#include "model/vocabulary.h"
#include "stats/linalg.h"

#include <math.h>
#include <string.h>

typedef struct gradients_param {
	const char *column, *target, *matrices;
	double tolerance;
	int64_t top, details, limit;
} gradients_param;

static const sn_param params[] = {
	{ "column", NULL, "column of the text; auto: text, sentence, prefix or sentence_good", "auto", NULL, SN_TYPE_TEXT,
	  offsetof(gradients_param, column), 0, 0, false },
	{ "target", NULL, "word whose loss after the text (masked models: at the mask) is differentiated: a column, or the "
	  "word itself; auto: column target if there is one, else the model's answer", "auto", NULL, SN_TYPE_TEXT,
	  offsetof(gradients_param, target), 0, 0, false },
	{ "matrices", NULL, "matrices whose tokens are read in the vocabulary: of Q, K, V, O, GATE, IN, OUT; or all",
	  "IN,OUT", NULL, SN_TYPE_TEXT, offsetof(gradients_param, matrices), 0, 0, false },
	{ "tolerance", "share", "singular values below this share of the largest count as "
		"none", "1e-4", NULL, SN_TYPE_FLOAT,
	  offsetof(gradients_param, tolerance), 1e-7, 0.5, false },
	{ "top", "tokens", "tokens that are listed", "5", NULL, SN_TYPE_INT, offsetof(gradients_param, top), 1, 1000,
	  false },
	{ "details", "texts", "texts whose every token is listed; 0: all", "2", NULL, SN_TYPE_INT,
	  offsetof(gradients_param, details), 0, 1e15, false },
	{ "limit", "rows", "only the first rows of the data; 0: all", "0", NULL, SN_TYPE_INT,
	  offsetof(gradients_param, limit), 0, 1e15, false },
};

enum { MATRICES, TOKENS, SPECTRA };

static const sn_col matrix_columns[] = {
	{ "matrix", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Matrix" },
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Block" },
	{ "norm", NULL, NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Norm of the gradient" },
	{ "norm_low", NULL, "norm", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "norm_high", NULL, "norm", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "rank", NULL, NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Rank of the gradient" },
	{ "tokens", "tokens", "rank", SN_TYPE_FLOAT, SN_BASE, 0, "Tokens of the text" },
	{ "step", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Loss that a step takes away" },
	{ "step_low", "nats", "step", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "step_high", "nats", "step", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "own", "share", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Of the step, each token by itself" },
};

static const sn_col token_columns[] = {
	{ "item", NULL, NULL, SN_TYPE_INT, SN_FACET, 0, "Row" },
	{ "matrix", NULL, NULL, SN_TYPE_TEXT, SN_FACET, 0, "Matrix" },
	{ "place", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Position" },
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Block" },
	{ "first", NULL, "product", SN_TYPE_TEXT, SN_LABEL, 0, "Token read" },
	{ "product", NULL, NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Norm of x' delta, and what is read" },
	{ "x_norm", NULL, NULL, SN_TYPE_FLOAT, SN_COUNT_OF, 0, "Norm of x" },
	{ "delta_norm", NULL, NULL, SN_TYPE_FLOAT, SN_COUNT_OF, 0, "Norm of delta" },
	{ "target_rank", NULL, NULL, SN_TYPE_INT, SN_MEASURE, 0, "Rank of the target in what is read" },
	{ "answer_rank", NULL, NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Rank of the model's answer" },
	{ "read", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Read" },
	{ "list", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Tokens" },
};

static const sn_col spectrum_columns[] = {
	{ "item", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Row" },
	{ "matrix", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Matrix" },
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Block" },
	{ "place", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Place" },
	{ "value", NULL, NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Singular value" },
};

static const sn_table tables[] = {
	[MATRICES] = { "matrices", "Gradients of the matrices", matrix_columns, SN_COUNT(matrix_columns), SN_VIEW_HEAT,
		"Frobenius norm of each matrix' gradient, its rank (at most the number of tokens), and the loss, in nats, "
		"that a step W - eta gradient takes away for each unit of eta, to first order; of that, what comes from each "
		"token's own update rather than from other tokens' (x_i . x_j)(delta_i . delta_j).", false },
	[TOKENS] = { "tokens", "What is imprinted, what is shifted", token_columns, SN_COUNT(token_columns), SN_VIEW_HEAT,
		"Matrices that read the stream (Q, K, V, GATE, IN): the input x_i is imprinted, and its most probable token is "
		"shown. Matrices that write it (O, OUT): the step moves the output against delta_i, and what it moves towards "
		"is shown. Ranks: 1 is the most probable token of the vector as it is, so a target that the step promotes "
		"stands last in delta_i.", false },
	[SPECTRA] = { "spectra", "Singular values of the gradients", spectrum_columns, SN_COUNT(spectrum_columns),
		SN_VIEW_TABLE, "The largest first; there are as many as tokens.", true },
};

/* A matrix between two sites. reads: its input is of the stream's width; otherwise its output is. */
typedef struct matrix { const char *name; sn_site_kind in, out, out_plain; bool reads; } matrix;

static const matrix matrices[] = {
	{ "Q", SN_SITE_Q_IN, SN_SITE_Q, SN_SITE_Q, true },
	{ "K", SN_SITE_Q_IN, SN_SITE_K, SN_SITE_K, true },
	{ "V", SN_SITE_Q_IN, SN_SITE_V, SN_SITE_V, true },
	{ "O", SN_SITE_Z, SN_SITE_O_OUT, SN_SITE_O_OUT, false },
	{ "GATE", SN_SITE_MLP_IN, SN_SITE_MLP_PRE, SN_SITE_NONE, true },
	{ "IN", SN_SITE_MLP_IN, SN_SITE_MLP_PRE_LINEAR, SN_SITE_MLP_PRE, true },
	{ "OUT", SN_SITE_MLP_POST, SN_SITE_MLP_OUT_OUT, SN_SITE_MLP_OUT_OUT, false },
};
enum { KINDS = SN_COUNT(matrices) };

/* Sums over texts, of one matrix. */
typedef struct sums { sn_clustered norm, rank, step, own; } sums;

typedef struct job {
	sn_ctx *ctx;
	sn_model *model;
	const gradients_param *param;
	sn_result *out;
	const sn_dataset *data;
	sn_lens_texts texts;
	const sn_column *target;
	sn_arena *arena;
	bool listed[KINDS];
	sums *sum;             /* [n_layer, KINDS] */
	sn_clustered loss, tokens, second;   /* second: share of matrices of full rank */
	int64_t n_detail;
	double worst;          /* largest rank less tokens */
} job;

/* One text: of each matrix x [n, d_in] and delta [n, d_out]. */
typedef struct reading {
	const sn_lens_text *text;
	int64_t n;
	int32_t target, answer;
	double loss;
	float **x, **delta;    /* [n_layer, KINDS]; NULL: no such matrix */
	int64_t *d_in, *d_out;
} reading;

/* ---- the run ---- */

static sn_site_kind out_site(const job *j, const matrix *m)
{
	return j->model->shape.form.gated ? m->out : m->out_plain;
}

static sn_status find_words(const job *j, const sn_batch *batch, int64_t place, reading *r, sn_arena *arena)
{
	int64_t d = j->model->shape.d_head_out;
	double logit;
	float *x;
	SN_NEW(x, arena, float, sn_gemm_room(1) * d);
	sn_keep keep = { x, 1, d };
	sn_tap tap = { .at = { .kind = SN_SITE_UNEMBED_IN }, .where = { .sel = SN_LIST, .list = &place, .n_list = 1 },
	               .sink = &sn_sink_keep, .state = &keep };
	sn_plan plan = { .size = sizeof plan, .n_tap = 1, .tap = &tap };
	SN_TRY(sn_run(j->ctx, j->model, batch, &plan, NULL, NULL));
	sn_vocabulary read = { .n = 1, .x = x, .top = 1, .top_id = &r->answer, .top_logit = &logit };
	SN_TRY(sn_vocabulary_read(j->ctx, j->model, &read, arena));
	SN_TRY(sn_lens_word_at(j->ctx, j->model, j->data, j->target, j->param->target, r->text->row, arena, &r->target));
	if (r->target < 0) r->target = r->answer;
	return SN_OK;
}

typedef struct taps { sn_tap *tap; sn_keep *keep; int n; sn_arena *arena; int64_t rows; } taps;

static sn_status add_tap(const job *j, taps *t, sn_site_kind kind, int layer, sn_what what, float **x, int64_t *width)
{
	sn_site site = { .kind = (uint16_t)kind, .layer = (int16_t)layer };
	*width = sn_site_width(j->model, &site);
	SN_NEW(*x, t->arena, float, sn_gemm_room(t->rows) * *width);
	t->keep[t->n] = (sn_keep){ *x, t->rows, *width };
	t->tap[t->n] = (sn_tap){ .at = site, .where = { .sel = SN_ALL }, .what = what, .sink = &sn_sink_keep,
	                         .state = &t->keep[t->n] };
	t->n++;
	return SN_OK;
}

static sn_status differentiate(const job *j, const sn_batch *batch, int64_t place, reading *r, sn_arena *arena)
{
	int L = j->model->shape.n_layer;
	taps t = { .arena = arena, .rows = r->n };
	SN_NEW(t.tap, arena, sn_tap, 2 * L * KINDS);
	SN_NEW(t.keep, arena, sn_keep, 2 * L * KINDS);
	SN_NEW(r->x, arena, float *, L *KINDS);
	SN_NEW(r->delta, arena, float *, L *KINDS);
	SN_NEW(r->d_in, arena, int64_t, L *KINDS);
	SN_NEW(r->d_out, arena, int64_t, L *KINDS);
	for (int l = 0; l < L; l++)
		for (int k = 0; k < KINDS; k++) {
			const matrix *m = &matrices[k];
			sn_site_kind out = out_site(j, m);
			int at = l * KINDS + k;
			if (out == SN_SITE_NONE || !(j->model->sites >> out & 1) || !(j->model->sites >> m->in & 1)) continue;
			bool same = k > 0 && matrices[k - 1].in == m->in && r->x[at - 1];   /* read by the matrix before */
			if (same) r->x[at] = r->x[at - 1], r->d_in[at] = r->d_in[at - 1];
			else SN_TRY(add_tap(j, &t, m->in, l, SN_AFTER, &r->x[at], &r->d_in[at]));
			SN_TRY(add_tap(j, &t, out, l, SN_GRAD, &r->delta[at], &r->d_out[at]));
		}
	sn_goal goal = { .metric = SN_LOSS, .where = { .sel = SN_LIST, .list = &place, .n_list = 1 }, .want = &r->target,
	                 .n_want = 1 };
	sn_plan plan = { .size = sizeof plan, .n_tap = t.n, .tap = t.tap, .n_goal = 1, .goal = &goal };
	return sn_run(j->ctx, j->model, batch, &plan, NULL, &r->loss);
}

/* ---- norms and ranks, from products of tokens ---- */

/* g [n, n] = x x' in double. */
static sn_status products(const float *x, int64_t n, int64_t d, sn_arena *arena, double **g)
{
	SN_NEW(*g, arena, double, n * n);
	for (int64_t i = 0; i < n; i++)
		for (int64_t k = 0; k <= i; k++) {
			double sum = 0;
			for (int64_t c = 0; c < d; c++) sum += (double)x[i * d + c] * x[k * d + c];
			(*g)[i * n + k] = (*g)[k * n + i] = sum;
		}
	return SN_OK;
}

/* Singular values of X' D, the largest first: with X X' = U S U' and root = S^(1/2) U', those of D' X are the roots of
 * the eigenvalues of root (D D') root'. a: X X', which is lost; b: D D'. */
static sn_status singular_values(sn_ctx *ctx, int64_t n, double *a, const double *b, double *value, sn_arena *arena)
{
	double *middle, *half;
	SN_NEW(middle, arena, double, n * n);
	SN_NEW(half, arena, double, n * n);
	SN_TRY(sn_eigh(ctx, n, a, value));   /* rows of a: eigenvectors */
	for (int64_t i = 0; i < n; i++)
		for (int64_t k = 0; k < n; k++) a[i * n + k] *= sqrt(fmax(value[i], 0));
	sn_gemm_f64(1, false, false, n, n, n, 1, a, n, b, n, 0, half, n);
	sn_gemm_f64(1, false, true, n, n, n, 1, half, n, a, n, 0, middle, n);
	SN_TRY(sn_eigh(ctx, n, middle, value));
	for (int64_t i = 0; i < n / 2; i++) {
		double swapped = value[i];
		value[i] = value[n - 1 - i];
		value[n - 1 - i] = swapped;
	}
	for (int64_t i = 0; i < n; i++) value[i] = sqrt(fmax(value[i], 0));
	return SN_OK;
}

static sn_status measure(job *j, const reading *r, int layer, int kind, bool detail, sn_arena *arena)
{
	int at = layer * KINDS + kind;
	int64_t n = r->n, rank = 0;
	double *a, *b, *value, all = 0, own = 0;
	sums *s = &j->sum[at];
	SN_NEW(value, arena, double, n);
	SN_TRY(products(r->x[at], n, r->d_in[at], arena, &a));
	SN_TRY(products(r->delta[at], n, r->d_out[at], arena, &b));
	for (int64_t i = 0; i < n * n; i++) all += a[i] * b[i];
	for (int64_t i = 0; i < n; i++) own += a[i * n + i] * b[i * n + i];
	SN_TRY(singular_values(j->ctx, n, a, b, value, arena));
	for (int64_t i = 0; i < n; i++) rank += value[i] > j->param->tolerance * value[0] && value[0] > 0;
	sn_clustered_add(&s->norm, sqrt(fmax(all, 0)), 1);
	sn_clustered_add(&s->rank, (double)rank, 1);
	sn_clustered_add(&s->step, all, 1);
	if (all > 0) sn_clustered_add(&s->own, own / all, 1);
	sn_clustered_add(&j->second, rank == n, 1);
	for (int64_t i = 0; detail && i < n; i++)
		SN_TRY(SN_ADD(j->out, SPECTRA, sn_int(r->text->row + 1), sn_text(matrices[kind].name), sn_int(layer),
		              sn_int(i + 1), sn_num(value[i])));
	return SN_OK;
}

/* ---- tokens in the vocabulary ---- */

static double norm_of(const float *x, int64_t d)
{
	double sum = 0;
	for (int64_t i = 0; i < d; i++) sum += (double)x[i] * x[i];
	return sqrt(sum);
}

/* Vectors of one matrix read by the model's end, each first brought to a root mean square of 1, so that its norm does
 * not decide how much the norm's epsilon weighs. */
static sn_status read_vectors(const job *j, const float *x, int64_t n, sn_vocabulary *v, sn_arena *arena)
{
	int64_t d = j->model->shape.d_model;
	float *unit, *h;
	SN_NEW(unit, arena, float, sn_gemm_room(n) * d);
	SN_NEW(h, arena, float, sn_gemm_room(n) * j->model->shape.d_head_out);
	for (int64_t i = 0; i < n; i++) {
		double norm = norm_of(x + i * d, d);
		for (int64_t k = 0; norm > 0 && k < d; k++) unit[i * d + k] = (float)(x[i * d + k] * sqrt((double)d) / norm);
	}
	SN_TRY(sn_lens_head(j->ctx, j->model, unit, n, h, arena));
	v->x = h;
	return sn_vocabulary_read(j->ctx, j->model, v, arena);
}

static sn_status add_token(const job *j, const reading *r, int layer, int kind, int64_t i, const sn_vocabulary *v,
                           sn_arena *arena)
{
	int at = layer * KINDS + kind, top = v->top;
	bool reads = matrices[kind].reads;
	double x = norm_of(r->x[at] + i * r->d_in[at], r->d_in[at]);
	double delta = norm_of(r->delta[at] + i * r->d_out[at], r->d_out[at]);
	bool signal = (reads ? x : delta) > 0;
	const int32_t *id = (reads ? v->top_id : v->bottom_id) + i * top;
	const char *own = sn_lens_token(j->ctx, j->model, r->text->token.id[i], arena);
	const char *place = own ? sn_arena_format(arena, "%lld %s", (long long)i, own) : NULL;
	const char *first = signal ? sn_lens_token(j->ctx, j->model, id[0], arena) : "–";
	const char *list = signal ? sn_lens_list(j->ctx, j->model, id, NULL, top, arena) : "no signal";
	if (!place || !first || !list) return SN_ENOMEM;
	return SN_ADD(j->out, TOKENS, sn_int(r->text->row + 1), sn_text(matrices[kind].name), sn_text(place), sn_int(layer),
	              sn_text(first), sn_num(x * delta), sn_num(x), sn_num(delta),
	              signal ? sn_int(v->rank[2 * i]) : sn_none(), signal ? sn_int(v->rank[2 * i + 1]) : sn_none(),
	              sn_text(reads ? "x" : "−delta"), sn_text(list));
}

static sn_status list_tokens(const job *j, const reading *r, int layer, int kind, sn_arena *arena)
{
	int at = layer * KINDS + kind;
	int64_t n = r->n;
	const float *x = matrices[kind].reads ? r->x[at] : r->delta[at];
	int32_t *want;
	sn_vocabulary v = { .n = n, .n_want = 2, .top = (int)SN_MIN(j->param->top, j->model->shape.n_logit) };
	SN_NEW(want, arena, int32_t, 2 * n);
	for (int64_t i = 0; i < 2 * n; i++) want[i] = i % 2 ? r->answer : r->target;
	v.want = want;
	SN_NEW(v.rank, arena, int64_t, 2 * n);
	SN_NEW(v.top_id, arena, int32_t, n * v.top);
	SN_NEW(v.top_logit, arena, double, n *v.top);
	SN_NEW(v.bottom_id, arena, int32_t, n * v.top);
	SN_NEW(v.bottom_logit, arena, double, n *v.top);
	SN_TRY(read_vectors(j, x, n, &v, arena));
	for (int64_t i = 0; i < n; i++) SN_TRY(add_token(j, r, layer, kind, i, &v, arena));
	return SN_OK;
}

/* ---- texts ---- */

static sn_status read_text(job *j, int64_t number, sn_arena *arena)
{
	sn_batch batch;
	int64_t place;
	reading r = { .text = &j->texts.text[number], .n = j->texts.text[number].token.n };
	bool detail = j->param->details == 0 || j->n_detail < j->param->details;
	SN_TRY(sn_lens_batch(&batch, &j->texts, number, 1, arena));
	SN_TRY(sn_lens_place(j->ctx, j->model, j->data, r.text, &place));
	SN_TRY(find_words(j, &batch, place, &r, arena));
	SN_TRY(differentiate(j, &batch, place, &r, arena));
	sn_clustered_add(&j->loss, r.loss, 1);
	sn_clustered_add(&j->tokens, (double)r.n, 1);
	j->n_detail += detail;
	for (int kind = 0; kind < KINDS; kind++)
		for (int l = 0; l < j->model->shape.n_layer; l++) {
			sn_mark mark = sn_arena_mark(arena);
			if (!r.delta[l * KINDS + kind]) continue;
			SN_TRY(measure(j, &r, l, kind, detail, arena));
			if (detail && j->listed[kind]) SN_TRY(list_tokens(j, &r, l, kind, arena));
			sn_arena_reset(arena, mark);
		}
	return SN_OK;
}

static sn_status read_all(job *j)
{
	for (int64_t i = 0; i < j->texts.n; i++) {
		sn_arena *arena;
		sn_progress(j->ctx, "texts", i, j->texts.n);
		SN_TRY(sn_arena_open(&arena, j->ctx));
		sn_status status = read_text(j, i, arena);
		sn_arena_close(arena);
		SN_TRY(status);
	}
	sn_progress(j->ctx, "texts", j->texts.n, j->texts.n);
	return SN_OK;
}

/* ---- results ---- */

static sn_status add_matrices(const job *j)
{
	for (int kind = 0; kind < KINDS; kind++)
		for (int l = 0; l < j->model->shape.n_layer; l++) {
			const sums *s = &j->sum[l * KINDS + kind];
			if (s->norm.n == 0) continue;
			SN_TRY(SN_ADD(j->out, MATRICES, sn_text(matrices[kind].name), sn_int(l),
			              SN_LENS_WITHIN(&s->norm, 0, INFINITY),
			              sn_num(sn_clustered_mean(&s->rank)), sn_num(sn_clustered_mean(&j->tokens)),
			              SN_LENS_MEAN(&s->step), sn_num(sn_clustered_mean(&s->own))));
		}
	return SN_OK;
}

static sn_status summarise(const job *j)
{
	int L = j->model->shape.n_layer, best = 0;
	for (int i = 1; i < L * KINDS; i++)
		if (j->sum[i].step.sum > j->sum[best].step.sum) best = i;
	const char *loss = sn_lens_mean(&j->loss, j->arena), *step = sn_lens_mean(&j->sum[best].step, j->arena);
	if (!loss || !step) return SN_ENOMEM;
	SN_TRY(sn_result_say(j->out, "The loss is %s nats on average (%lld texts, %.1f tokens). A step along its gradient "
	                     "takes most away through %s of block %d: %s nats for each unit of the step, to first "
	                     "order.", loss,
	                     (long long)j->loss.n, sn_clustered_mean(&j->tokens), matrices[best % KINDS].name, best / KINDS,
	                     step));
	SN_TRY(sn_result_say(j->out, "No gradient's rank is greater than its text has tokens; %.0f %% of them have as "
	                     "many as that; in the last block those of the matrices that write have rank %.2f.",
	                     100 * sn_clustered_mean(&j->second),
	                     sn_clustered_mean(&j->sum[(L - 1) * KINDS + KINDS - 1].rank)));
	SN_TRY(sn_lens_say_cut(j->out, &j->texts));
	return sn_result_limit(j->out, "Vectors are read by the model's end, each at a root mean square of 1: how large "
	                       "they are is said beside, not in what is read.");
}

/* ---- entry ---- */

static sn_status find_listed(job *j)
{
	bool all = strcmp(j->param->matrices, "all") == 0;
	for (int k = 0; all && k < KINDS; k++) j->listed[k] = true;
	for (const char *at = j->param->matrices; !all && *at;) {
		size_t size = strcspn(at, ",");
		int found = -1;
		for (int k = 0; k < KINDS; k++)
			if (strlen(matrices[k].name) == size && strncmp(at, matrices[k].name, size) == 0) found = k;
		if (found < 0)
			return sn_fail(j->ctx, SN_EARG, "--matrices: %.*s is none of Q, K, V, O, GATE, IN, OUT", (int)size, at);
		j->listed[found] = true;
		at += size + (at[size] == ',');
	}
	return SN_OK;
}

static sn_status run_in(job *j, const sn_input *in)
{
	SN_TRY(sn_lens_check(j->ctx, j->model));
	SN_TRY(find_listed(j));
	SN_TRY(sn_lens_read(&j->texts, j->ctx, in, j->param->column, j->param->limit, j->arena));
	j->target = sn_lens_word_column(j->data, j->param->target, "target");
	SN_NEW(j->sum, j->arena, sums, j->model->shape.n_layer *KINDS);
	sn_status status = read_all(j);
	if ((status != SN_OK && status != SN_ECANCEL) || j->loss.n == 0) return status;
	SN_TRY(add_matrices(j));
	SN_TRY(summarise(j));
	return status;
}

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	job j = { .ctx = ctx, .model = in->model[0], .data = in->data[0], .param = param, .out = out };
	SN_TRY(sn_arena_open(&j.arena, ctx));
	sn_status status = run_in(&j, in);
	sn_arena_close(j.arena);
	return status;
}

extern const sn_method sn_method_lens_gradients;
const sn_method sn_method_lens_gradients = {
	.family = "lens", .name = "gradients", .brief = "what a gradient step would write: x_i and delta_i of each matrix",
	.doc = "The gradient of a matrix is the sum over tokens of x_i' delta_i (input times the loss' derivative by the "
	       "output), so its rank is at most the number of tokens. Inputs of matrices that read the stream are "
	       "imprinted by a step; outputs of those that write it are shifted against delta_i. Both are read in the "
	       "vocabulary, with norms, ranks and singular values, for attention and feed-forward matrices.",
	.cite = "Katz et al. 2024 (Backward Lens), eq. 8, lemmas 4.1 and 5.1",
	.example = "sonde lens gradients --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data texts.txt --target are",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params, .n_param = SN_COUNT(params), .param_size = sizeof(gradients_param),
	.table = tables, .n_table = SN_COUNT(tables), .run = run,
};
