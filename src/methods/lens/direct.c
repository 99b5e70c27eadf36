/* Direct logit attribution: the logit of a word (or the difference of two) as the sum of what each head, each neuron,
 * each bias and the embedding write into the residual stream along the word's direction. The final norm's scale is held
 * at what it was in the run, which makes the sum exact; the gap that is left is arithmetic, and stated. */
#include "methods/lens/lens.h"

#include "model/lens.h"
#include "model/model.h"
#include "model/vocabulary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct direct_param { const char *column, *decoder, *target, *foil; int64_t neurons, limit; } direct_param;

static const sn_param params[] = {
	{ "column", NULL,
	  "column of the text; auto: text, sentence, prefix or sentence_good (encoder-decoders, what the "
	  "encoder reads: source, text or sentence)",
	  "auto", NULL, SN_TYPE_TEXT, offsetof(direct_param, column), 0, 0, false },
	{ "decoder", NULL, "encoder-decoders: column of what the decoder has read; auto: prefix, if there is such a column",
	  "auto", NULL, SN_TYPE_TEXT, offsetof(direct_param, decoder), 0, 0, false },
	{ "target", NULL,
	  "word whose logit is explained, after the text: a column, or the word itself; auto: column target "
	  "if there is one, else the model's answer",
	  "auto", NULL, SN_TYPE_TEXT, offsetof(direct_param, target), 0, 0, false },
	{ "foil", NULL, "word whose logit is subtracted: a column, or the word itself; auto: column foil if there is one",
	  "auto", NULL, SN_TYPE_TEXT, offsetof(direct_param, foil), 0, 0, false },
	{ "neurons", "neurons", "how many of the neurons with the largest mean contributions are listed", "20", NULL,
	  SN_TYPE_INT, offsetof(direct_param, neurons), 0, 1e6, false },
	{ "limit", "rows", "only the first rows of the data; 0: all", "0", NULL, SN_TYPE_INT, offsetof(direct_param, limit),
	  0, 1e15, false },
};

enum { PARTS, HEADS, NEURONS, ITEMS };

#define BOUNDS(of)                                                                                                     \
	{ of "_low", "logits", of, SN_TYPE_FLOAT, SN_LOW, 0, NULL },                                                       \
	{                                                                                                                  \
		of "_high", "logits", of, SN_TYPE_FLOAT, SN_HIGH, 0, NULL                                                      \
	}

static const sn_col part_columns[] = {
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Block" },
	{ "part", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Part" },
	{ "texts", "texts", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Texts" },
	{ "contribution", "logits", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Contribution" },
	BOUNDS("contribution"),
	{ "zero", "logits", "contribution", SN_TYPE_FLOAT, SN_BASE, 0, "Nothing" },
};

static const sn_col head_columns[] = {
	{ "head", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Head" },
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Block" },
	{ "attention", NULL, NULL, SN_TYPE_TEXT, SN_FACET, 0, "Attention" },
	{ "contribution", "logits", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Contribution" },
	BOUNDS("contribution"),
};

static const sn_col neuron_columns[] = {
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Block" },
	{ "neuron", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Neuron" },
	{ "contribution", "logits", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Contribution" },
	BOUNDS("contribution"),
	{ "activation", NULL, NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Mean activation" },
};

static const sn_col item_columns[] = {
	{ "item", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Row" },
	{ "text", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Text" },
	{ "target", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Target" },
	{ "foil", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Foil" },
	{ "logit", "logits", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Logit (difference)" },
	{ "embedding", "logits", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Embedding" },
	{ "attention", "logits", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Attention" },
	{ "cross", "logits", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Cross-attention" },
	{ "mlp", "logits", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "MLPs" },
	{ "constant", "logits", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Biases of the end" },
	{ "gap", "logits", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Gap" },
	{ "scale", NULL, NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Scale of the final norm" },
};

static const sn_table tables[] = {
	[PARTS] = { "parts", "What writes the logit, block by block", part_columns, SN_COUNT(part_columns), SN_VIEW_LINE,
		"Mean contribution of each block's attention and MLP (their biases included) to the logit or difference of "
		"logits, and of what enters the first block; intervals over texts.", false },
	[HEADS] = { "heads", "Heads", head_columns, SN_COUNT(head_columns), SN_VIEW_HEAT,
		"Mean contribution of each head, biases left out: orange raises the target over the foil, blue lowers it. "
		"Attention to the decoder's own tokens and to the encoder's output (cross) are separate.",
		false },
	[NEURONS] = { "neurons", "Neurons that write most", neuron_columns, SN_COUNT(neuron_columns), SN_VIEW_TABLE,
		"Feed-forward neurons by the size of their mean contribution: activation times the logit that the neuron's "
		"value vector has, over the final norm's scale.", false },
	[ITEMS] = { "items", "Texts", item_columns, SN_COUNT(item_columns), SN_VIEW_TABLE,
		"The parts of each text add up to its logit, but for the gap.", true },
};

/* A direction of the stream along which a logit is read: at the final norm, and behind each block's branches. */
typedef struct direction {
	int32_t target, foil;      /* foil -1: none */
	double constant;           /* what biases of the end add */
	float *end;                /* [d_head_out] what the unembedding's input is multiplied with */
	float *stream;             /* [d_model] the same before the final norm, its gains included; centred for LayerNorm */
	float *heads, *cross, *neurons; /* [n_layer, heads * d_head] twice, [n_layer, d_mlp] the same before the output
	                                   matrices; cross: of encoder-decoders */
	double *attn_bias, *cross_bias, *mlp_bias;   /* [n_layer] before a branch's own norm */
} direction;

typedef struct job {
	sn_ctx *ctx;
	sn_model *model;
	const direct_param *param;
	sn_result *out;
	sn_lens_texts texts;
	const sn_dataset *data;
	const sn_column *target, *foil;
	sn_arena *arena;
	sn_arena *kept;            /* owns the directions, of which so many are kept at a time */
	int n_direction;
	direction *direction[64];
	sn_clustered embedding, *attn, *cross, *mlp; /* [n_layer] */
	sn_clustered *head, *cross_head, *neuron;    /* [n_layer, heads] twice, [n_layer, d_mlp] */
	double *activation;        /* [n_layer, d_mlp] sums */
	double worst;              /* largest gap */
	sn_clustered logit;
} job;

/* ---- directions ---- */

static sn_status unembedding_of(const job *j, int32_t id, float *w)
{
	return sn_model_read(j->ctx, j->model, sn_unembed_part(j->model), 0, id, 1, w);
}

/* end = the difference of two words' rows, times the scale of the unembedding's input. */
static sn_status make_end(const job *j, direction *d)
{
	const sn_model *m = j->model;
	int64_t n = m->shape.d_head_out;
	float *foil;
	SN_NEW(d->end, j->kept, float, n);
	SN_NEW(foil, j->kept, float, n);
	SN_TRY(unembedding_of(j, d->target, d->end));
	if (d->foil >= 0) SN_TRY(unembedding_of(j, d->foil, foil));
	for (int64_t i = 0; i < n; i++) d->end[i] -= foil[i];
	if (!m->unembed_bias) return SN_OK;
	d->constant = m->unembed_bias[d->target] - (d->foil >= 0 ? (double)m->unembed_bias[d->foil] : 0);
	return SN_OK;
}

/* Through the head's matrix and the final norm, backwards. */
static sn_status make_stream(const job *j, direction *d)
{
	const sn_model *m = j->model;
	int64_t n = m->shape.d_head_out, width = m->shape.d_model;
	float factor = (float)m->shape.form.head_scale;
	float *w;
	double mean = 0;
	SN_NEW(d->stream, j->kept, float, width);
	if (m->head.w) {
		SN_NEW(w, j->kept, float, n * width);
		SN_TRY(sn_model_read(j->ctx, m, SN_PART_HEAD, 0, 0, n, w));
		for (int64_t i = 0; i < n; i++)
			for (int64_t k = 0; k < width; k++) d->stream[k] += d->end[i] * w[i * width + k];
		for (int64_t i = 0; m->head.bias && i < n; i++) d->constant += (double)m->head.bias[i] * d->end[i] * factor;
	} else memcpy(d->stream, d->end, (size_t)width * sizeof *d->stream);
	for (int64_t k = 0; k < width; k++) {
		d->stream[k] *= factor;
		if (m->final_norm.bias) d->constant += (double)d->stream[k] * m->final_norm.bias[k];
		if (m->final_norm.weight) d->stream[k] *= m->final_norm.weight[k];
		mean += d->stream[k] / (double)width;
	}
	bool centred = m->final_norm.weight && m->shape.form.norm == SN_NORM_LAYER;
	for (int64_t k = 0; centred && k < width; k++) d->stream[k] -= (float)mean;
	return SN_OK;
}

/* out [n] = w x, with w [n, d] the transpose of the file's rows of a part; x behind the branch's own norm, if any. */
static sn_status pull_back(const job *j, sn_part part, int layer, const sn_norm *norm, const float *bias,
                           const float *x, float *out, double *along_bias)
{
	const sn_shape *s = &j->model->shape;
	int64_t d = s->d_model, n = sn_part_columns(s, part);
	sn_arena *scratch;
	float *w, *y;
	SN_TRY(sn_arena_open(&scratch, j->ctx));
	w = SN_TAKE(scratch, float, d *n);
	y = SN_TAKE(scratch, float, d);
	sn_status status = w && y ? sn_model_read(j->ctx, j->model, part, layer, 0, d, w) : SN_ENOMEM;
	for (int64_t i = 0; status == SN_OK && i < d; i++) {
		y[i] = norm->weight ? x[i] * norm->weight[i] : x[i];
		if (bias) *along_bias += (double)y[i] * bias[i];
		for (int64_t k = 0; k < n; k++) out[k] += y[i] * w[i * n + k];
	}
	sn_arena_close(scratch);
	return status;
}

static sn_status make_blocks(const job *j, direction *d)
{
	const sn_shape *s = &j->model->shape;
	int64_t n_head = (int64_t)s->n_head * s->d_head;
	SN_NEW(d->heads, j->kept, float, s->n_layer *n_head);
	SN_NEW(d->cross, j->kept, float, s->n_layer *n_head);
	SN_NEW(d->cross_bias, j->kept, double, s->n_layer);
	SN_NEW(d->neurons, j->kept, float, s->n_layer *s->d_mlp);
	SN_NEW(d->attn_bias, j->kept, double, s->n_layer);
	SN_NEW(d->mlp_bias, j->kept, double, s->n_layer);
	for (int l = 0; l < s->n_layer; l++) {
		SN_TRY(sn_model_need_layer(j->ctx, j->model, l));
		const sn_layer *y = sn_layer_of(j->model, l);
		SN_TRY(pull_back(j, SN_PART_O, l, &y->attn_post_norm, y->o.bias, d->stream, d->heads + l * n_head,
		                 &d->attn_bias[l]));
		if (s->form.cross)
			SN_TRY(pull_back(j, SN_PART_CROSS_O, l, &(sn_norm){ 0 }, y->cross_o.bias, d->stream, d->cross + l * n_head,
			                 &d->cross_bias[l]));
		SN_TRY(pull_back(j, SN_PART_DOWN, l, &y->mlp_post_norm, y->down.bias, d->stream, d->neurons + l * s->d_mlp,
		                 &d->mlp_bias[l]));
	}
	return SN_OK;
}

static sn_status find_direction(job *j, int32_t target, int32_t foil, const direction **out)
{
	for (int i = 0; i < j->n_direction; i++)
		if (j->direction[i]->target == target && j->direction[i]->foil == foil) return *out = j->direction[i], SN_OK;
	if (j->n_direction == SN_COUNT(j->direction)) {
		sn_arena_reset(j->kept, (sn_mark){ 0 });
		j->n_direction = 0;
	}
	direction *d;
	SN_NEW(d, j->kept, direction, 1);
	*d = (direction){ .target = target, .foil = foil };
	SN_TRY(make_end(j, d));
	SN_TRY(make_stream(j, d));
	SN_TRY(make_blocks(j, d));
	*out = j->direction[j->n_direction++] = d;
	return SN_OK;
}

/* ---- one run ---- */

/* What is kept of the last positions of n texts. */
typedef struct reading {
	int64_t n, *place;
	float *embedding, *z, *cross, *post, *end;
	float *scale[3];           /* of the final norm [n], of branches' own [n_layer, n] */
	int32_t *target, *foil;
} reading;

typedef struct taps { sn_tap *tap; sn_keep *keep; int n; const reading *r; } taps;

static void add_tap(taps *t, sn_site_kind kind, int layer, float *x, int64_t width)
{
	t->keep[t->n] = (sn_keep){ x, t->r->n, width };
	t->tap[t->n] = (sn_tap){ .at = { .kind = (uint16_t)kind, .layer = (int16_t)layer },
	                         .where = { .sel = SN_LIST, .list = t->r->place, .n_list = t->r->n },
	                         .sink = &sn_sink_keep, .state = &t->keep[t->n] };
	t->n++;
}

static bool has_site(const job *j, sn_site_kind kind) { return j->model->sites >> kind & 1; }

static sn_status keep_values(const job *j, const sn_batch *batch, reading *r, sn_arena *arena)
{
	const sn_shape *s = &j->model->shape;
	int64_t n_head = (int64_t)s->n_head * s->d_head, L = s->n_layer;
	taps t = { .r = r };
	SN_NEW(t.tap, arena, sn_tap, 5 * L + 4);
	SN_NEW(t.keep, arena, sn_keep, 5 * L + 4);
	SN_NEW(r->embedding, arena, float, r->n * s->d_model);
	SN_NEW(r->z, arena, float, L * r->n * n_head);
	SN_NEW(r->cross, arena, float, s->form.cross ? L * r->n * n_head : 0);
	SN_NEW(r->post, arena, float, L * r->n * s->d_mlp);
	SN_NEW(r->end, arena, float, sn_gemm_room(r->n) * s->d_head_out);
	for (int k = 0; k < 3; k++) SN_NEW(r->scale[k], arena, float, L * r->n);
	for (int64_t i = 0; i < L * r->n; i++) r->scale[0][i] = r->scale[1][i] = r->scale[2][i] = 1;
	add_tap(&t, SN_SITE_RESID_PRE, 0, r->embedding, s->d_model);
	for (int l = 0; l < L; l++) {
		add_tap(&t, SN_SITE_Z, l, r->z + l * r->n * n_head, n_head);
		if (s->form.cross) add_tap(&t, SN_SITE_CROSS_Z, l, r->cross + l * r->n * n_head, n_head);
		add_tap(&t, SN_SITE_MLP_POST, l, r->post + l * r->n * s->d_mlp, s->d_mlp);
		if (has_site(j, SN_SITE_LN1_POST_SCALE)) add_tap(&t, SN_SITE_LN1_POST_SCALE, l, r->scale[1] + l * r->n, 1);
		if (has_site(j, SN_SITE_LN2_POST_SCALE)) add_tap(&t, SN_SITE_LN2_POST_SCALE, l, r->scale[2] + l * r->n, 1);
	}
	if (has_site(j, SN_SITE_LN_FINAL_SCALE)) add_tap(&t, SN_SITE_LN_FINAL_SCALE, 0, r->scale[0], 1);
	add_tap(&t, SN_SITE_UNEMBED_IN, 0, r->end, s->d_head_out);
	sn_plan plan = { .size = sizeof plan, .n_tap = t.n, .tap = t.tap };
	return sn_run(j->ctx, j->model, batch, &plan, NULL, NULL);
}

/* ---- words ---- */

static sn_status find_words(const job *j, reading *r, int64_t first, sn_arena *arena)
{
	double *logit;
	SN_NEW(r->target, arena, int32_t, r->n);
	SN_NEW(r->foil, arena, int32_t, r->n);
	SN_NEW(logit, arena, double, r->n);
	sn_vocabulary read = { .n = r->n, .x = r->end, .top = 1, .top_id = r->target, .top_logit = logit };
	SN_TRY(sn_vocabulary_read(j->ctx, j->model, &read, arena));
	for (int64_t i = 0; i < r->n; i++) {
		int32_t id;
		SN_TRY(sn_lens_word_at(j->ctx, j->model, j->data, j->target, j->param->target, j->texts.text[first + i].row,
		                       arena, &id));
		if (id >= 0) r->target[i] = id;
		SN_TRY(sn_lens_word_at(j->ctx, j->model, j->data, j->foil, j->param->foil, j->texts.text[first + i].row, arena,
		                       &r->foil[i]));
	}
	return SN_OK;
}

/* ---- contributions ---- */

static double dot(const float *a, const float *b, int64_t n)
{
	double sum = 0;
	for (int64_t i = 0; i < n; i++) sum += (double)a[i] * b[i];
	return sum;
}

/* What a block's attention writes: its heads along their directions, and a bias. */
static double add_heads(const sn_shape *s, const float *z, const float *along, double bias, double scale,
                        sn_clustered *head)
{
	double sum = bias / scale;
	for (int h = 0; h < s->n_head; h++) {
		double c = dot(z + h * s->d_head, along + h * s->d_head, s->d_head) / scale;
		sn_clustered_add(&head[h], c, 1);
		sum += c;
	}
	return sum;
}

/* Contributions of block l to text i; returns what attention and MLP sum to. */
static void add_block(job *j, const reading *r, const direction *d, int64_t i, int l, double *attn, double *cross,
                      double *mlp)
{
	const sn_shape *s = &j->model->shape;
	int64_t n_head = (int64_t)s->n_head * s->d_head, at = l * r->n + i;
	double scale = r->scale[0][i], scale1 = scale * r->scale[1][at], scale2 = scale * r->scale[2][at];
	*attn = add_heads(s, r->z + at * n_head, d->heads + l * n_head, d->attn_bias[l], scale1, j->head + l * s->n_head);
	*cross = !s->form.cross ? 0
		: add_heads(s, r->cross + at * n_head, d->cross + l * n_head, d->cross_bias[l], scale,
		            j->cross_head + l * s->n_head);
	*mlp = d->mlp_bias[l] / scale2;
	for (int64_t k = 0; k < s->d_mlp; k++) {
		double m = r->post[at * s->d_mlp + k], c = m * d->neurons[l * s->d_mlp + k] / scale2;
		sn_clustered_add(&j->neuron[l * s->d_mlp + k], c, 1);
		j->activation[l * s->d_mlp + k] += m;
		*mlp += c;
	}
	sn_clustered_add(&j->attn[l], *attn, 1);
	sn_clustered_add(&j->cross[l], *cross, 1);
	sn_clustered_add(&j->mlp[l], *mlp, 1);
}

static sn_status add_text(job *j, const reading *r, int64_t i, const sn_lens_text *t)
{
	const sn_shape *s = &j->model->shape;
	const direction *d;
	SN_TRY(find_direction(j, r->target[i], r->foil[i], &d));
	double logit = dot(r->end + i * s->d_head_out, d->end, s->d_head_out), scale = r->scale[0][i];
	double attn = 0, cross = 0, mlp = 0;
	if (j->model->unembed_bias)
		logit += j->model->unembed_bias[d->target] - (d->foil >= 0 ? (double)j->model->unembed_bias[d->foil] : 0);
	double embedding = dot(r->embedding + i * s->d_model, d->stream, s->d_model) / scale;
	for (int l = 0; l < s->n_layer; l++) {
		double a, c, m;
		add_block(j, r, d, i, l, &a, &c, &m);
		attn += a;
		cross += c;
		mlp += m;
	}
	double gap = embedding + attn + cross + mlp + d->constant - logit;
	sn_arena *own = sn_result_arena(j->out);
	const char *target = sn_lens_token(j->ctx, j->model, d->target, own);
	const char *foil = d->foil >= 0 ? sn_lens_token(j->ctx, j->model, d->foil, own) : NULL;
	sn_clustered_add(&j->embedding, embedding, 1);
	sn_clustered_add(&j->logit, logit, 1);
	j->worst = fmax(j->worst, fabs(gap));
	return SN_ADD(j->out, ITEMS, sn_int(t->row + 1), sn_text(t->text), sn_text(target), sn_text(foil), sn_num(logit),
	              sn_num(embedding), sn_num(attn), s->form.cross ? sn_num(cross) : sn_none(), sn_num(mlp),
	              sn_num(d->constant), sn_num(gap), sn_num(scale));
}

static sn_status read_in(job *j, int64_t first, int64_t n, sn_arena *arena)
{
	reading r = { .n = n };
	sn_batch batch;
	SN_TRY(sn_lens_batch(&batch, &j->texts, first, n, arena));
	SN_NEW(r.place, arena, int64_t, n);
	for (int64_t i = 0; i < n; i++) {
		SN_TRY(sn_lens_place(j->ctx, j->model, j->data, &j->texts.text[first + i], &r.place[i]));
		r.place[i] += batch.start[i];
	}
	SN_TRY(keep_values(j, &batch, &r, arena));
	SN_TRY(find_words(j, &r, first, arena));
	for (int64_t i = 0; i < n; i++) SN_TRY(add_text(j, &r, i, &j->texts.text[first + i]));
	return SN_OK;
}

enum { TEXTS_A_RUN = 64, TOKENS_A_RUN = 4096 };

static sn_status read_all(job *j)
{
	for (int64_t first = 0, n; first < j->texts.n; first += n) {
		sn_arena *arena;
		sn_progress(j->ctx, "texts", first, j->texts.n);
		n = SN_MIN(sn_lens_fit(&j->texts, first, TOKENS_A_RUN), (int64_t)TEXTS_A_RUN);
		SN_TRY(sn_arena_open(&arena, j->ctx));
		sn_status status = read_in(j, first, n, arena);
		sn_arena_close(arena);
		SN_TRY(status);
	}
	sn_progress(j->ctx, "texts", j->texts.n, j->texts.n);
	return SN_OK;
}

/* ---- results ---- */

static sn_status add_part(const job *j, int64_t layer, const char *part, const sn_clustered *c)
{
	return SN_ADD(j->out, PARTS, sn_int(layer), sn_text(part), sn_int((int64_t)c->n), SN_LENS_MEAN(c), sn_num(0));
}

typedef struct ranked { double size; int64_t at; } ranked;

static int larger(const void *a, const void *b)
{
	const ranked *x = a, *y = b;
	return x->size < y->size ? 1 : x->size > y->size ? -1 : (x->at > y->at) - (x->at < y->at);
}

static sn_status add_neurons(const job *j)
{
	const sn_shape *s = &j->model->shape;
	int64_t n = s->n_layer * s->d_mlp;
	ranked *order;
	SN_NEW(order, j->arena, ranked, n);
	for (int64_t i = 0; i < n; i++) order[i] = (ranked){ fabs(sn_clustered_mean(&j->neuron[i])), i };
	qsort(order, (size_t)n, sizeof *order, larger);
	for (int64_t i = 0; i < SN_MIN(n, j->param->neurons); i++) {
		const sn_clustered *c = &j->neuron[order[i].at];
		SN_TRY(SN_ADD(j->out, NEURONS, sn_int(order[i].at / s->d_mlp), sn_int(order[i].at % s->d_mlp), SN_LENS_MEAN(c),
		              sn_num(j->activation[order[i].at] / c->n)));
	}
	return SN_OK;
}

static sn_status add_head_rows(const job *j, const char *attention, const sn_clustered *head)
{
	const sn_shape *s = &j->model->shape;
	for (int l = 0; l < s->n_layer; l++)
		for (int h = 0; h < s->n_head; h++)
			SN_TRY(SN_ADD(j->out, HEADS, sn_int(h), sn_int(l), sn_text(attention),
			              SN_LENS_MEAN(&head[l * s->n_head + h])));
	return SN_OK;
}

static sn_status add_tables(const job *j)
{
	const sn_shape *s = &j->model->shape;
	SN_TRY(add_part(j, 0, "embedding", &j->embedding));
	for (int l = 0; l < s->n_layer; l++) SN_TRY(add_part(j, l, "attention", &j->attn[l]));
	for (int l = 0; l < s->n_layer && s->form.cross; l++) SN_TRY(add_part(j, l, "cross-attention", &j->cross[l]));
	for (int l = 0; l < s->n_layer; l++) SN_TRY(add_part(j, l, "MLP", &j->mlp[l]));
	SN_TRY(add_head_rows(j, "self", j->head));
	if (s->form.cross) SN_TRY(add_head_rows(j, "cross", j->cross_head));
	return add_neurons(j);
}

static int64_t largest(const sn_clustered *c, int64_t n)
{
	int64_t best = 0;
	for (int64_t i = 1; i < n; i++)
		if (fabs(c[i].sum) > fabs(c[best].sum)) best = i;
	return best;
}

static sn_status summarise(const job *j)
{
	const sn_shape *s = &j->model->shape;
	sn_arena *a = j->arena;
	int64_t h = largest(j->head, (int64_t)s->n_layer * s->n_head), m = largest(j->mlp, s->n_layer);
	int64_t c = largest(j->cross_head, (int64_t)s->n_layer * s->n_head);
	bool cross = s->form.cross && fabs(j->cross_head[c].sum) > fabs(j->head[h].sum);
	const sn_clustered *top = cross ? &j->cross_head[c] : &j->head[h];
	if (cross) h = c;
	const char *logit = sn_lens_mean(&j->logit, a), *head = sn_lens_mean(top, a);
	const char *mlp = sn_lens_mean(&j->mlp[m], a), *embedding = sn_lens_mean(&j->embedding, a);
	if (!logit || !head || !mlp || !embedding) return SN_ENOMEM;
	SN_TRY(sn_result_say(j->out,
						 "The logit%s is %s on average (%lld texts). Head %lld of block %lld%s writes most of the "
						 "heads, %s; of the MLPs that of block %lld, %s. The embedding has %s.",
						 j->foil || strcmp(j->param->foil, "auto") != 0 ? " difference" : "", logit,
						 (long long)j->logit.n, (long long)(h % s->n_head), (long long)(h / s->n_head),
						 cross ? "'s cross-attention" : "", head,
						 (long long)m, mlp, embedding));
	SN_TRY(sn_result_say(j->out, "The parts sum to the logit but for at most %.2g.", j->worst));
	SN_TRY(sn_lens_say_cut(j->out, &j->texts));
	if (s->form.logit_softcap > 0)
		SN_TRY(sn_result_limit(j->out, "Logits are before the soft cap of %g.", s->form.logit_softcap));
	return sn_result_limit(j->out,
						   "Direct effects only: what later blocks make of a part is counted as theirs. The final "
						   "norm's scale is a constant here, though each part has its share in it.");
}

/* ---- entry ---- */

static sn_status check(const job *j)
{
	const sn_model *m = j->model;
	SN_TRY(sn_lens_check_head(j->ctx, m));
	if (m->shape.form.post_norm)
		return sn_fail(j->ctx, SN_EARG, "%s norms the sum of each branch, so that its stream is no sum of parts",
		               m->info.path);
	if (m->head.w && (m->head_norm.weight || m->shape.form.head_act != SN_ACT_NONE))
		return sn_fail(j->ctx, SN_EARG, "%s has a layer of its own before the unembedding: logits are no sum of parts",
		               m->info.path);
	bool layer = m->shape.form.branch_norm && m->shape.form.norm == SN_NORM_LAYER;
	return layer ? sn_fail(j->ctx, SN_EARG, "%s centres each branch's output", m->info.path) : SN_OK;
}

static sn_status read_texts(job *j, const sn_input *in)
{
	const direct_param *p = j->param;
	if (j->model->shape.form.cross)
		return sn_lens_read_pairs(&j->texts, j->ctx, in, p->column, p->decoder, "prefix", p->limit, j->arena);
	return sn_lens_read(&j->texts, j->ctx, in, p->column, p->limit, j->arena);
}

static sn_status run_in(job *j, const sn_input *in)
{
	const sn_shape *s = &j->model->shape;
	SN_TRY(check(j));
	SN_TRY(read_texts(j, in));
	j->target = sn_lens_word_column(j->data, j->param->target, "target");
	j->foil = sn_lens_word_column(j->data, j->param->foil, "foil");
	SN_NEW(j->attn, j->arena, sn_clustered, s->n_layer);
	SN_NEW(j->cross, j->arena, sn_clustered, s->n_layer);
	SN_NEW(j->cross_head, j->arena, sn_clustered, (int64_t)s->n_layer * s->n_head);
	SN_NEW(j->mlp, j->arena, sn_clustered, s->n_layer);
	SN_NEW(j->head, j->arena, sn_clustered, (int64_t)s->n_layer * s->n_head);
	SN_NEW(j->neuron, j->arena, sn_clustered, s->n_layer * s->d_mlp);
	SN_NEW(j->activation, j->arena, double, s->n_layer *s->d_mlp);
	sn_status status = read_all(j);
	if ((status != SN_OK && status != SN_ECANCEL) || j->logit.n == 0) return status;
	SN_TRY(add_tables(j));
	SN_TRY(summarise(j));
	return status;
}

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	job j = { .ctx = ctx, .model = in->model[0], .data = in->data[0], .param = param, .out = out };
	SN_TRY(sn_arena_open(&j.arena, ctx));
	sn_status status = sn_arena_open(&j.kept, ctx);
	if (status == SN_OK) status = run_in(&j, in);
	sn_arena_close(j.kept);
	sn_arena_close(j.arena);
	return status;
}

extern const sn_method sn_method_lens_direct;
const sn_method sn_method_lens_direct = {
	.family = "lens",
	.name = "direct",
	.brief = "which heads, MLPs and neurons write a word's logit",
	.doc =
		"The residual stream at the place of prediction is a sum: what enters the first block, and what each head, "
		"neuron and bias has written. Each part is multiplied with the word's direction (its row of the unembedding, "
		"through the gains of the final norm), over the final norm's scale in that run. The parts sum to the logit "
		"or the difference of two.",
	.cite = "Elhage et al. 2021 (direct paths); TransformerLens (Nanda & Bloom 2022), with gains and biases of the end "
			"counted",
	.example = "sonde lens direct --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data texts.txt --target are --foil "
			   "is",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params,
	.n_param = SN_COUNT(params),
	.param_size = sizeof(direct_param),
	.table = tables,
	.n_table = SN_COUNT(tables),
	.run = run,
};
