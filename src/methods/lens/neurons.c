/* Feed-forward neurons as keys and values: what their value vectors promote in the vocabulary, and in which contexts of
 * a corpus they are most active. Contexts are kept while the model runs, the k best of each neuron and side. */
#include "methods/lens/lens.h"

#include "model/lens.h"
#include "model/model.h"
#include "model/vocabulary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct neurons_param {
	const char *column, *layers, *neurons, *word, *read;
	int64_t count, top, contexts, limit;
} neurons_param;

static const sn_param params[] = {
	{ "column", NULL, "column of the text; auto: text, sentence, prefix or sentence_good", "auto", NULL, SN_TYPE_TEXT,
	  offsetof(neurons_param, column), 0, 0, false },
	{ "layers", NULL, "blocks, comma-separated; all", "all", NULL, SN_TYPE_TEXT, offsetof(neurons_param, layers), 0, 0,
	  false },
	{ "neurons", NULL, "neurons to list as BLOCK:NUMBER, comma-separated; auto: those that promote the word, or else "
	  "those with the largest activation times "
	  "norm", "auto", NULL, SN_TYPE_TEXT, offsetof(neurons_param, neurons), 0, 0,
	  false },
	{ "word", NULL, "list the neurons whose values promote this word most", "none", NULL, SN_TYPE_TEXT,
	  offsetof(neurons_param, word), 0, 0, false },
	{ "read", NULL, "value vectors as they are, or through the gains of the norms behind them", "raw", "raw|gains",
	  SN_TYPE_TEXT, offsetof(neurons_param, read), 0, 0, false },
	{ "count", "neurons", "how many neurons are listed", "20", NULL, SN_TYPE_INT, offsetof(neurons_param, count), 1,
	  1e6, false },
	{ "top", "tokens", "tokens of each end of the vocabulary", "10", NULL, SN_TYPE_INT, offsetof(neurons_param, top), 1,
	  1000, false },
	{ "contexts", "contexts", "strongest contexts of each neuron and side", "5", NULL, SN_TYPE_INT,
	  offsetof(neurons_param, contexts), 1, 100, false },
	{ "limit", "rows", "only the first rows of the data; 0: all", "0", NULL, SN_TYPE_INT,
	  offsetof(neurons_param, limit), 0, 1e15, false },
};

enum { LAYERS, NEURONS, CONTEXTS };

static const sn_col layer_columns[] = {
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Block" },
	{ "side", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Side" },
	{ "neurons", "neurons", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Neurons" },
	{ "agreement", "share", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, "Value agrees with its trigger" },
	{ "agreement_low", "share", "agreement", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "agreement_high", "share", "agreement", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "shuffled", "share", "agreement", SN_TYPE_FLOAT, SN_BASE, 0, "Triggers of another neuron" },
};

static const sn_col neuron_columns[] = {
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Block" },
	{ "neuron", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Neuron" },
	{ "norm", NULL, NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Norm of the value" },
	{ "largest", NULL, NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Largest activation" },
	{ "smallest", NULL, NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Smallest activation" },
	{ "word", NULL, NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Score of the word" },
	{ "promoted", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Promoted where it is positive" },
	{ "demoted", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Demoted" },
};

static const sn_col context_columns[] = {
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Block" },
	{ "neuron", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Neuron" },
	{ "side", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Side" },
	{ "activation", NULL, NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Activation" },
	{ "context", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Context" },
	{ "next", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Next token" },
	{ "item", NULL, NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Row" },
	{ "position", NULL, NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Position" },
};

static const sn_table tables[] = {
	[LAYERS] = { "layers", "Do values predict what follows their triggers?", layer_columns, SN_COUNT(layer_columns),
		SN_VIEW_LINE, "Share of a block's neurons whose value vector has the token after the neuron's strongest "
		"context at its top (side +), or at its bottom after the most negative one (side -). Dashed: each neuron with "
		"the contexts of its neighbour.", false },
	[NEURONS] = { "neurons", "Value vectors in the vocabulary", neuron_columns, SN_COUNT(neuron_columns),
		SN_VIEW_TABLE, "Tokens that each value vector points to and away from, with their products. A negative "
		"activation turns the two about.", false },
	[CONTEXTS] = { "contexts", "Strongest contexts", context_columns, SN_COUNT(context_columns), SN_VIEW_TABLE,
		"Where in the data each neuron is most active, by either sign; the token at which it is stands in angle marks.",
		false },
};

/* Where a neuron was how active. */
typedef struct context { float value; int32_t text, pos; } context;

/* The k strongest contexts of each neuron of a block, by either sign: values of side 1 are negated. */
typedef struct triggers { int layer; int64_t n, text0; int k; float *bar[2]; context *best[2]; } triggers;

typedef struct neuron { int layer; int64_t number; double score; } neuron;

typedef struct job {
	sn_ctx *ctx;
	sn_model *model;
	const neurons_param *param;
	sn_result *out;
	sn_lens_texts texts;
	sn_arena *arena;
	int n_layer, *layer;
	triggers *trigger;         /* [n_layer] */
	int32_t *end[2];           /* [n_layer, d_mlp] first and last token of each value */
	float *norm, *word;        /* [n_layer, d_mlp]; word NULL: none */
	int32_t wanted;
	neuron *listed;
	int64_t n_listed;
} job;

/* ---- contexts, while the model runs ---- */

static void insert(triggers *t, int side, int64_t n, context c)
{
	context *best = t->best[side] + n * t->k;
	int i = t->k - 1;
	for (; i > 0 && c.value > best[i - 1].value; i--) best[i] = best[i - 1];
	best[i] = c;
	t->bar[side][n] = best[t->k - 1].value;
}

static void take_neurons(triggers *t, const sn_block *block, int64_t first, int64_t last)
{
	for (int64_t i = 0; i < block->m; i++) {
		const float *x = (const float *)block->x.data + i * t->n;
		context c = { 0, (int32_t)t->text0 + block->row[i], block->pos[i] };
		for (int64_t n = first; n < last; n++) {
			if (x[n] <= t->bar[0][n] && -x[n] <= t->bar[1][n]) continue;
			for (int side = 0; side < 2; side++) {
				c.value = side ? -x[n] : x[n];
				if (c.value > t->bar[side][n]) insert(t, side, n, c);
			}
		}
	}
}

static sn_status take(sn_ctx *ctx, void *state, const sn_block *block)
{
	enum { STRIPE = 256 };
	triggers *t = state;
#pragma omp parallel for num_threads(sn_ctx_threads(ctx))
	for (int64_t first = 0; first < t->n; first += STRIPE)
		take_neurons(t, block, first, SN_MIN(first + STRIPE, t->n));
	return SN_OK;
}

static const sn_sink trigger_sink = { .size = sizeof(triggers), .take = take };

static sn_status open_triggers(job *j)
{
	int64_t n = j->model->shape.d_mlp;
	int k = (int)j->param->contexts;
	SN_NEW(j->trigger, j->arena, triggers, j->n_layer);
	for (int l = 0; l < j->n_layer; l++) {
		triggers *t = &j->trigger[l];
		*t = (triggers){ .layer = j->layer[l], .n = n, .k = k };
		for (int side = 0; side < 2; side++) {
			SN_NEW(t->bar[side], j->arena, float, n);
			SN_NEW(t->best[side], j->arena, context, n * k);
			for (int64_t i = 0; i < n; i++) t->bar[side][i] = -INFINITY;
			for (int64_t i = 0; i < n * k; i++) t->best[side][i] = (context){ -INFINITY, -1, -1 };
		}
	}
	return SN_OK;
}

static sn_status read_some(job *j, int64_t first, int64_t n)
{
	sn_arena *arena;
	sn_batch batch;
	sn_tap *tap;
	SN_TRY(sn_arena_open(&arena, j->ctx));
	sn_status status = sn_lens_batch(&batch, &j->texts, first, n, arena);
	if (status == SN_OK && !(tap = SN_TAKE(arena, sn_tap, j->n_layer))) status = SN_ENOMEM;
	for (int l = 0; status == SN_OK && l < j->n_layer; l++) {
		j->trigger[l].text0 = first;
		tap[l] = (sn_tap){ .at = { .kind = SN_SITE_MLP_POST, .layer = (int16_t)j->layer[l] },
		                   .where = { .sel = SN_ALL }, .sink = &trigger_sink, .state = &j->trigger[l] };
	}
	if (status == SN_OK) {
		sn_plan plan = { .size = sizeof plan, .n_tap = j->n_layer, .tap = tap };
		status = sn_run(j->ctx, j->model, &batch, &plan, NULL, NULL);
	}
	sn_arena_close(arena);
	return status;
}

enum { TOKENS_A_RUN = 8192 };

static sn_status read_corpus(job *j)
{
	for (int64_t first = 0, n; first < j->texts.n; first += n) {
		sn_progress(j->ctx, "texts", first, j->texts.n);
		n = sn_lens_fit(&j->texts, first, TOKENS_A_RUN);
		SN_TRY(read_some(j, first, n));
	}
	sn_progress(j->ctx, "texts", j->texts.n, j->texts.n);
	return SN_OK;
}

/* ---- values in the vocabulary ---- */

static const sn_norm *branch_norm(const job *j, int layer) { return &sn_layer_of(j->model, layer)->mlp_post_norm; }

/* The value vectors of n neurons, as the unembedding sees them: h [room, d_head_out]. */
static sn_status see_values(const job *j, int layer, float *v, int64_t n, float *h, sn_arena *arena)
{
	bool gains = strcmp(j->param->read, "gains") == 0;
	int64_t d = j->model->shape.d_model;
	if (gains) SN_TRY(sn_model_need_layer(j->ctx, j->model, layer));
	const float *own = gains ? branch_norm(j, layer)->weight : NULL;
	for (int64_t i = 0; own && i < n * d; i++) v[i] *= own[i % d];
	return sn_lens_directions(j->ctx, j->model, v, n, gains, h, arena);
}

static sn_status read_layer(const job *j, int l, sn_arena *arena)
{
	const sn_shape *s = &j->model->shape;
	int64_t n = s->d_mlp, at = l * n;
	sn_tensor values;
	float *h;
	double *logit, *bottom, *word = NULL;
	int32_t *want = NULL;
	SN_TRY(sn_weight(j->ctx, j->model, SN_W_OUT, j->layer[l], -1, arena, &values));
	float *v = values.data;
	for (int64_t i = 0; i < n; i++) {
		double sum = 0;
		for (int64_t k = 0; k < s->d_model; k++) sum += (double)v[i * s->d_model + k] * v[i * s->d_model + k];
		j->norm[at + i] = (float)sqrt(sum);
	}
	SN_NEW(h, arena, float, sn_gemm_room(n) * s->d_head_out);
	SN_NEW(logit, arena, double, n);
	SN_NEW(bottom, arena, double, n);
	if (j->word) SN_NEW(word, arena, double, n);
	if (j->word) SN_NEW(want, arena, int32_t, n);
	for (int64_t i = 0; j->word && i < n; i++) want[i] = j->wanted;
	SN_TRY(see_values(j, j->layer[l], v, n, h, arena));
	sn_vocabulary read = { .n = n, .x = h, .bare = true, .top = 1, .top_id = j->end[0] + at, .top_logit = logit,
	                       .bottom_id = j->end[1] + at, .bottom_logit = bottom, .n_want = !!j->word, .want = want,
	                       .logit = word };
	SN_TRY(sn_vocabulary_read(j->ctx, j->model, &read, arena));
	for (int64_t i = 0; j->word && i < n; i++) j->word[at + i] = (float)word[i];
	return SN_OK;
}

static sn_status read_values(job *j)
{
	int64_t n = (int64_t)j->n_layer * j->model->shape.d_mlp;
	SN_NEW(j->end[0], j->arena, int32_t, n);
	SN_NEW(j->end[1], j->arena, int32_t, n);
	SN_NEW(j->norm, j->arena, float, n);
	if (strcmp(j->param->word, "none") != 0) {
		sn_lens_words words;
		SN_TRY(sn_lens_words_of(&words, j->ctx, j->model, j->param->word, j->arena));
		if (words.n != 1) return sn_fail(j->ctx, SN_EARG, "--word takes one word");
		j->wanted = words.id[0];
		SN_NEW(j->word, j->arena, float, n);
	}
	for (int l = 0; l < j->n_layer; l++) {
		sn_arena *arena;
		sn_progress(j->ctx, "blocks", l, j->n_layer);
		SN_TRY(sn_arena_open(&arena, j->ctx));
		sn_status status = read_layer(j, l, arena);
		sn_arena_close(arena);
		SN_TRY(status);
	}
	sn_progress(j->ctx, "blocks", j->n_layer, j->n_layer);
	return SN_OK;
}

/* ---- agreement ---- */

/* The token behind a context; -1: none. */
static int32_t next_of(const job *j, const context *c)
{
	if (c->text < 0) return -1;
	const sn_tokens *t = &j->texts.text[c->text].token;
	return c->pos + 1 < t->n ? t->id[c->pos + 1] : -1;
}

static sn_status add_agreement(const job *j, int l, int side)
{
	const triggers *t = &j->trigger[l];
	double n = 0, agree = 0, shuffled = 0;
	for (int64_t i = 0; i < t->n; i++) {
		int32_t own = next_of(j, &t->best[side][i * t->k]);
		int32_t other = next_of(j, &t->best[side][(i + 1) % t->n * t->k]), end = j->end[side][l * t->n + i];
		n++;
		agree += own == end;
		shuffled += other == end;
	}
	sn_interval w = sn_wilson(agree / n, n, 0.95);
	return SN_ADD(j->out, LAYERS, sn_int(j->layer[l]), sn_text(side ? "−" : "+"), sn_int((int64_t)n),
	              sn_num(agree / n), sn_num(w.low), sn_num(w.high), sn_num(shuffled / n));
}

/* ---- what is listed ---- */

static int higher(const void *a, const void *b)
{
	const neuron *x = a, *y = b;
	if (x->score > y->score || x->score < y->score) return x->score < y->score ? 1 : -1;
	return x->layer != y->layer ? x->layer - y->layer : (x->number > y->number) - (x->number < y->number);
}

static sn_status choose(job *j)
{
	int64_t d = j->model->shape.d_mlp, n = (int64_t)j->n_layer * d;
	SN_NEW(j->listed, j->arena, neuron, n);
	for (int l = 0; l < j->n_layer; l++)
		for (int64_t i = 0; i < d; i++) {
			const triggers *t = &j->trigger[l];
			double most = fmax(t->best[0][i * t->k].value, t->best[1][i * t->k].value);
			double score = j->word ? j->word[l * d + i] : most * j->norm[l * d + i];
			j->listed[l * d + i] = (neuron){ l, i, score };
		}
	qsort(j->listed, (size_t)n, sizeof *j->listed, higher);
	j->n_listed = SN_MIN(j->param->count, n);
	return SN_OK;
}

static int find_layer(const job *j, int64_t layer)
{
	for (int l = 0; l < j->n_layer; l++)
		if (j->layer[l] == layer) return l;
	return -1;
}

/* "3:17,12:400" */
static sn_status choose_named(job *j)
{
	int64_t n = 1;
	for (const char *c = j->param->neurons; *c; c++) n += *c == ',';
	SN_NEW(j->listed, j->arena, neuron, n);
	for (const char *at = j->param->neurons; *at;) {
		size_t size = strcspn(at, ","), colon = strcspn(at, ":");
		int64_t layer = -1, number = -1;
		char *block = sn_arena_copy(j->arena, at, SN_MIN(colon, size));
		char *unit = sn_arena_copy(j->arena, at + SN_MIN(colon + 1, size), size - SN_MIN(colon + 1, size));
		if (!block || !unit) return SN_ENOMEM;
		bool read = sn_parse_i64(block, &layer) && sn_parse_i64(unit, &number);
		int l = find_layer(j, layer);
		if (!read || l < 0 || number < 0 || number >= j->model->shape.d_mlp)
			return sn_fail(j->ctx, SN_EARG, "--neurons: %.*s is no BLOCK:NUMBER of this model's %d blocks of %lld "
			               "neurons (or not among --layers)", (int)size, at, j->model->shape.n_layer,
			               (long long)j->model->shape.d_mlp);
		j->listed[j->n_listed++] = (neuron){ l, number, 0 };
		at += size + (at[size] == ',');
	}
	return SN_OK;
}

/* The tokens up to a place, at most so many, the last in angle marks. */
static const char *context_text(const job *j, const context *c, sn_arena *arena)
{
	enum { BEFORE = 12 };
	const sn_tokens *t = &j->texts.text[c->text].token;
	sn_buf buf = { .ctx = j->ctx };
	for (int32_t i = SN_MAX(c->pos - BEFORE, 0); i <= c->pos; i++) {
		const char *token = sn_lens_token(j->ctx, j->model, t->id[i], arena);
		sn_buf_format(&buf, i == c->pos ? "«%s»" : "%s", token ? token : "?");
	}
	const char *text = buf.failed ? NULL : sn_arena_copy(arena, buf.data, buf.size);
	sn_buf_free(&buf);
	return text;
}

static sn_status add_contexts(const job *j, const neuron *n, sn_arena *arena)
{
	const triggers *t = &j->trigger[n->layer];
	for (int side = 0; side < 2; side++)
		for (int k = 0; k < t->k; k++) {
			const context *c = &t->best[side][n->number * t->k + k];
			if (c->text < 0 || !(c->value > 0)) continue;
			const char *text = context_text(j, c, arena);
			int32_t next = next_of(j, c);
			if (!text) return SN_ENOMEM;
			SN_TRY(SN_ADD(j->out, CONTEXTS, sn_int(t->layer), sn_int(n->number), sn_text(side ? "−" : "+"),
			              sn_num(side ? -c->value : c->value), sn_text(text),
			              next >= 0 ? sn_text(sn_lens_token(j->ctx, j->model, next, arena)) : sn_none(),
			              sn_int(j->texts.text[c->text].row + 1), sn_int(c->pos)));
		}
	return SN_OK;
}

static sn_status add_neuron(const job *j, const neuron *n, sn_arena *arena)
{
	const sn_shape *s = &j->model->shape;
	const triggers *t = &j->trigger[n->layer];
	int top = (int)SN_MIN(j->param->top, s->n_logit);
	sn_tensor w;
	float *h;
	int32_t *id[2];
	double *value[2];
	SN_NEW(h, arena, float, sn_gemm_room(1) * s->d_head_out);
	for (int e = 0; e < 2; e++) {
		SN_NEW(id[e], arena, int32_t, top);
		SN_NEW(value[e], arena, double, top);
	}
	SN_TRY(sn_weight(j->ctx, j->model, SN_W_OUT, t->layer, -1, arena, &w));
	SN_TRY(see_values(j, t->layer, (float *)w.data + n->number * s->d_model, 1, h, arena));
	sn_vocabulary read = { .n = 1, .x = h, .bare = true, .top = top, .top_id = id[0], .top_logit = value[0],
	                       .bottom_id = id[1], .bottom_logit = value[1] };
	SN_TRY(sn_vocabulary_read(j->ctx, j->model, &read, arena));
	const char *promoted = sn_lens_list(j->ctx, j->model, id[0], value[0], top, arena);
	const char *demoted = sn_lens_list(j->ctx, j->model, id[1], value[1], top, arena);
	if (!promoted || !demoted) return SN_ENOMEM;
	int64_t at = n->layer * s->d_mlp + n->number;
	SN_TRY(SN_ADD(j->out, NEURONS, sn_int(t->layer), sn_int(n->number), sn_num(j->norm[at]),
	              sn_num(t->best[0][n->number * t->k].value), sn_num(-t->best[1][n->number * t->k].value),
	              sn_num(j->word ? j->word[at] : NAN), sn_text(promoted), sn_text(demoted)));
	return add_contexts(j, n, arena);
}

/* ---- entry ---- */

static sn_status find_layers(job *j)
{
	int n = j->model->shape.n_layer;
	bool all = strcmp(j->param->layers, "all") == 0;
	SN_NEW(j->layer, j->arena, int, n);
	for (int l = 0; all && l < n; l++) j->layer[j->n_layer++] = l;
	for (const char *at = j->param->layers; !all && *at;) {
		size_t size = strcspn(at, ",");
		int64_t layer;
		char *text = sn_arena_copy(j->arena, at, size);
		if (!text) return SN_ENOMEM;
		if (!sn_parse_i64(text, &layer) || layer < 0 || layer >= n || find_layer(j, layer) >= 0)
			return sn_fail(j->ctx, SN_EARG, "--layers: %s is no block of this model's %d, or named twice", text, n);
		j->layer[j->n_layer++] = (int)layer;
		at += size + (at[size] == ',');
	}
	return SN_OK;
}

static sn_status summarise(const job *j)
{
	double best = -1, at = 0, base = 0;
	for (int64_t r = 0; r < sn_result_rows(j->out, LAYERS); r++) {
		const sn_value *row = sn_result_row(j->out, LAYERS, r);
		if (row[3].f <= best) continue;
		best = row[3].f;
		base = row[6].f;
		at = (double)row[0].i;
	}
	SN_TRY(sn_result_say(j->out, "Values agree most with their strongest contexts in block %.0f: %.2f %% of its "
	                     "neurons (with another neuron's contexts %.2f %%); %lld tokens of %lld texts were read.", at,
	                     100 * best, 100 * base, (long long)j->texts.n_token, (long long)j->texts.n));
	SN_TRY(sn_lens_say_cut(j->out, &j->texts));
	return sn_result_limit(j->out, "A value vector is read without what later blocks make of it and without the final "
	                       "norm's scale: only the order of tokens means something.");
}

static sn_status run_in(job *j, const sn_input *in)
{
	SN_TRY(sn_lens_check(j->ctx, j->model));
	SN_TRY(find_layers(j));
	bool named = strcmp(j->param->neurons, "auto") != 0;
	if (named) SN_TRY(choose_named(j));
	SN_TRY(sn_lens_read(&j->texts, j->ctx, in, j->param->column, j->param->limit, j->arena));
	SN_TRY(open_triggers(j));
	SN_TRY(read_corpus(j));
	SN_TRY(read_values(j));
	if (!named) SN_TRY(choose(j));
	for (int l = 0; l < j->n_layer; l++)
		for (int side = 0; side < 2; side++) SN_TRY(add_agreement(j, l, side));
	for (int64_t i = 0; i < j->n_listed; i++) {
		sn_arena *arena;
		SN_TRY(sn_arena_open(&arena, j->ctx));
		sn_status status = add_neuron(j, &j->listed[i], arena);
		sn_arena_close(arena);
		SN_TRY(status);
	}
	return summarise(j);
}

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	job j = { .ctx = ctx, .model = in->model[0], .param = param, .out = out };
	SN_TRY(sn_arena_open(&j.arena, ctx));
	sn_status status = run_in(&j, in);
	sn_arena_close(j.arena);
	return status;
}

extern const sn_method sn_method_lens_neurons;
const sn_method sn_method_lens_neurons = {
	.family = "lens", .name = "neurons", .brief = "feed-forward neurons: what they promote, and what they answer to",
	.doc = "A feed-forward layer adds, for each neuron, its activation times its value vector to the stream. Value "
	       "vectors are read in the vocabulary; beside them stand the contexts of the data in which the neuron was "
	       "most active, by either sign (a gated neuron can be negative, and then demotes what its value promotes). "
	       "Contexts are found while the model runs: memory does not grow with the data.",
	.cite = "Geva et al. 2021; Geva et al. 2022",
	.example = "sonde lens neurons --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data en_ewt-ud-dev.conllu --limit "
	           "500 --word cat",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params, .n_param = SN_COUNT(params), .param_size = sizeof(neurons_param),
	.table = tables, .n_table = SN_COUNT(tables), .run = run,
};
