/* The logit lens: the residual stream between blocks read by the model's own end, at every position. Vectors of several
 * layers go through the unembedding together; logits exist a chunk of the vocabulary at a time. */
#include "methods/lens/lens.h"

#include "model/gather.h"
#include "model/lens.h"
#include "model/model.h"
#include "model/translators.h"
#include "model/vocabulary.h"
#include "stats/metrics.h"

#include <math.h>
#include <string.h>

typedef struct logit_param {
	const char *column, *decoder, *token, *at, *sites, *tuned;
	int64_t top, details, limit;
} logit_param;

static const sn_param params[] = {
	{ "column", NULL, "column of the text; auto: text, sentence, prefix or sentence_good (encoder-decoders, what the "
	  "encoder reads: source, text or sentence)", "auto", NULL, SN_TYPE_TEXT, offsetof(logit_param, column), 0, 0,
	  false },
	{ "decoder", NULL, "encoder-decoders: column of what the decoder has read; auto: target, if there is such a column",
	  "auto", NULL, SN_TYPE_TEXT, offsetof(logit_param, decoder), 0, 0, false },
	{ "token", NULL, "words to follow through the layers, separated by |, each one token; next: the text's own next "
	  "token (masked models: its own token)", "next", NULL, SN_TYPE_TEXT, offsetof(logit_param, token), 0, 0, false },
	{ "at", NULL, "positions that are read; auto: all (masked models: where the mask stands, if it does)", "auto",
	  "auto|all|last", SN_TYPE_TEXT, offsetof(logit_param, at), 0, 0, false },
	{ "sites", NULL, "what is read; stream: the residual stream before each block and after the last; or sites of the "
	  "model's width, comma-separated, * for blocks", "stream", NULL, SN_TYPE_TEXT, offsetof(logit_param, sites), 0, 0,
	  false },
	{ "tuned", NULL, "folder of a tuned lens (params.pt), whose translators the stream goes through first; "
		"none", "none",
	  NULL, SN_TYPE_TEXT, offsetof(logit_param, tuned), 0, 0, false },
	{ "top", "tokens", "how many of the most probable tokens are listed", "10", NULL, SN_TYPE_INT,
	  offsetof(logit_param, top), 1, 1000, false },
	{ "details", "texts", "texts whose every position is listed; 0: all. The others count in the averages only", "4",
	  NULL, SN_TYPE_INT, offsetof(logit_param, details), 0, 1e15, false },
	{ "limit", "rows", "only the first rows of the data; 0: all", "0", NULL, SN_TYPE_INT,
	  offsetof(logit_param, limit), 0, 1e15, false },
};

enum { LAYERS, WORDS, CELLS, FOLLOWED };

static const sn_col layer_columns[] = {
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Layer" },
	{ "site", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Site" },
	{ "positions", "positions", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Positions" },
	{ "agreement", "share", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "First choice is the final one" },
	{ "agreement_low", "share", "agreement", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "agreement_high", "share", "agreement", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "settled", "share", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "First choice is the final one from here on" },
	{ "settled_low", "share", "settled", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "settled_high", "share", "settled", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "kl", "bits", NULL, SN_TYPE_FLOAT, SN_MEASURE, -1, "KL(final || lens)" },
	{ "kl_low", "bits", "kl", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "kl_high", "bits", "kl", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "kl_uniform", "bits", "kl", SN_TYPE_FLOAT, SN_BASE, 0, "KL(final || uniform)" },
	{ "entropy", "bits", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Entropy of the lens" },
	{ "entropy_low", "bits", "entropy", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "entropy_high", "bits", "entropy", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "entropy_uniform", "bits", "entropy", SN_TYPE_FLOAT, SN_BASE, 0, "Uniform" },
};

static const sn_col word_columns[] = {
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Layer" },
	{ "token", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Token" },
	{ "site", NULL, NULL, SN_TYPE_TEXT, SN_FACET, 0, "Site" },
	{ "positions", "positions", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Positions" },
	{ "logprob", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, "Mean log-probability" },
	{ "logprob_low", "nats", "logprob", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "logprob_high", "nats", "logprob", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "logprob_uniform", "nats", "logprob", SN_TYPE_FLOAT, SN_BASE, 0, "Uniform" },
	{ "rank", NULL, NULL, SN_TYPE_FLOAT, SN_MEASURE, -1, "Rank (geometric mean)" },
	{ "rank_low", NULL, "rank", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "rank_high", NULL, "rank", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
	{ "first", "share", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, "First choice" },
	{ "first_low", "share", "first", SN_TYPE_FLOAT, SN_LOW, 0, NULL },
	{ "first_high", "share", "first", SN_TYPE_FLOAT, SN_HIGH, 0, NULL },
};

static const sn_col cell_columns[] = {
	{ "item", NULL, NULL, SN_TYPE_INT, SN_FACET, 0, "Row" },
	{ "site", NULL, NULL, SN_TYPE_TEXT, SN_FACET, 0, "Site" },
	{ "place", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Position" },
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Layer" },
	{ "position", NULL, NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Position" },
	{ "first", NULL, "probability", SN_TYPE_TEXT, SN_LABEL, 0, "First choice" },
	{ "probability", "share", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "First choice and its probability" },
	{ "kl", "bits", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "KL(final || lens)" },
	{ "entropy", "bits", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Entropy" },
	{ "top", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Most probable tokens" },
};

static const sn_col followed_columns[] = {
	{ "item", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Row" },
	{ "site", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Site" },
	{ "position", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Position" },
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Layer" },
	{ "followed", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Followed" },
	{ "token", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Token" },
	{ "logprob", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, "Log-probability" },
	{ "probability", "share", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, "Probability" },
	{ "rank", NULL, NULL, SN_TYPE_INT, SN_MEASURE, -1, "Rank" },
};

static const sn_table tables[] = {
	[LAYERS] = { "layers", "What the layers would say", layer_columns, SN_COUNT(layer_columns), SN_VIEW_LINE,
		"At each layer (0: the embedding, l: what block l - 1 leaves) the model's end is applied to the residual "
		"stream; means over positions, intervals over texts. KL is of the final distribution from the lens', in bits: "
		"what is lost by stopping there. Settled: from this layer on the first choice stays the final one.", false },
	[WORDS] = { "tokens", "Tokens through the layers", word_columns, SN_COUNT(word_columns), SN_VIEW_LINE,
		"The model's own answer (the final distribution's first choice at each position) and the tokens that were "
		"asked for. Means over positions, intervals over texts; rank 1 is the most probable token.", false },
	[CELLS] = { "cells", "First choices by layer and position", cell_columns, SN_COUNT(cell_columns), SN_VIEW_HEAT,
		"In each cell the token that the lens finds most probable; the darker, the more probable. Below, how far each "
		"distribution is from the final one, and how undecided it is.", false },
	[FOLLOWED] = { "followed", "Followed tokens, cell by cell", followed_columns, SN_COUNT(followed_columns),
		SN_VIEW_TABLE, "Log-probability, probability and rank of each token that was followed.", true },
};

/* Sums over texts, of one site; of one token there. */
typedef struct layer_sums { sn_clustered agreement, settled, kl, kl_uniform, entropy; } layer_sums;
typedef struct word_sums { sn_clustered logprob, rank, first; } word_sums;

typedef struct job {
	sn_ctx *ctx;
	sn_model *model;
	const logit_param *param;
	sn_result *out;
	sn_lens_texts texts;
	sn_translators tuned;  /* n 0: none */
	bool stream;           /* the sites are the residual stream in order */
	int n_site, group;     /* shown; read at each position, of which the last is the final one */
	const sn_site *site;   /* [group] */
	const char **name;     /* [group] */
	sn_lens_words words;   /* n 0: the next token */
	int n_want;            /* the final first choice, then the words or the next token */
	layer_sums *layer;     /* [n_site] */
	word_sums *word;       /* [n_site, n_want] */
	int32_t mask;          /* masked models: read where it stands; or -1 */
	int64_t n_detail, n_place;
} job;

/* What is read in one run: places in order, `group` vectors each. */
typedef struct reading {
	sn_batch batch;
	int64_t n, *place;     /* [n] flat token numbers */
	int32_t *want;         /* [n * group, n_want]; -1: none here */
	sn_vocabulary read;
} reading;

/* ---- sites ---- */

static const char *series_name(const sn_site *site, bool stream, sn_arena *arena)
{
	char name[112];
	sn_site_format(site, name, sizeof name);
	if (stream) return "residual stream";
	const char *blocks = strstr(name, "blocks."), *dot = blocks ? strchr(blocks + 7, '.') : NULL;
	return sn_arena_string(arena, dot ? dot + 1 : name);
}

static sn_status check_site(const job *j, const sn_site *site)
{
	char name[112];
	int64_t width = sn_site_width(j->model, site), d = sn_model_get_info(j->model)->d_model;
	if (width == d && site->stack != SN_STACK_ENCODER) return SN_OK;
	sn_site_format(site, name, sizeof name);
	return sn_fail(j->ctx, SN_EARG, "%s is %lld wide; a lens reads vectors of the model's width, %lld", name,
	               (long long)width, (long long)d);
}

static sn_status find_sites(job *j, sn_arena *arena)
{
	int n_layer = sn_model_get_info(j->model)->n_layer, n = 0;
	sn_site *site, *named = NULL;
	j->stream = strcmp(j->param->sites, "stream") == 0;
	if (!j->stream) SN_TRY(sn_site_expand(j->ctx, j->model, j->param->sites, arena, &named, &n));
	j->n_site = j->stream ? n_layer + 1 : n;
	j->group = j->stream ? j->n_site : n + 1;
	SN_NEW(site, arena, sn_site, j->group);
	SN_NEW(j->name, arena, const char *, j->group);
	for (int i = 0; i < j->group; i++) {
		bool final = i == j->group - 1;
		site[i] = j->stream ? sn_boundary_site(j->model, i) : final ? sn_boundary_site(j->model, n_layer) : named[i];
		SN_TRY(check_site(j, &site[i]));
		if (!(j->name[i] = series_name(&site[i], j->stream, arena))) return SN_ENOMEM;
	}
	j->site = site;
	return SN_OK;
}

static int layer_of(const job *j, int i) { return j->stream ? i : j->site[i].layer; }

/* ---- places and what is wanted there ---- */

static bool is_read(const job *j, const sn_lens_text *t, int64_t pos)
{
	if (strcmp(j->param->at, "last") == 0) return pos == t->token.n - 1;
	if (strcmp(j->param->at, "all") == 0 || j->mask < 0) return true;
	for (int64_t i = 0; i < t->token.n; i++)
		if (t->token.id[i] == j->mask) return t->token.id[pos] == j->mask;
	return true;
}

static int32_t next_token(const job *j, const sn_lens_text *t, int64_t pos)
{
	if (!sn_model_get_info(j->model)->causal) return t->token.id[pos];
	return pos + 1 < t->token.n ? t->token.id[pos + 1] : -1;
}

static sn_status list_places(const job *j, reading *r, int64_t first, sn_arena *arena)
{
	int64_t most = r->batch.start[r->batch.n];
	SN_NEW(r->place, arena, int64_t, most);
	for (int32_t b = 0; b < r->batch.n; b++)
		for (int64_t pos = 0; pos < j->texts.text[first + b].token.n; pos++)
			if (is_read(j, &j->texts.text[first + b], pos)) r->place[r->n++] = r->batch.start[b] + pos;
	return SN_OK;
}

/* wanted[k] at a place, beside the final first choice. */
static sn_status list_wanted(const job *j, reading *r, int64_t first, sn_arena *arena)
{
	SN_NEW(r->want, arena, int32_t, r->n * j->n_want);
	for (int64_t i = 0, b = 0; i < r->n; i++) {
		while (r->place[i] >= r->batch.start[b + 1]) b++;
		int32_t *want = r->want + i * j->n_want;
		for (int w = 0; w < j->words.n; w++) want[1 + w] = j->words.id[w];
		if (j->words.n == 0) want[1] = next_token(j, &j->texts.text[first + b], r->place[i] - r->batch.start[b]);
	}
	return SN_OK;
}

/* ---- one run ---- */

/* Places [first, first + n) of a run, read together. */
typedef struct slice { int64_t first, n; } slice;

static sn_status keep_vectors(const job *j, const reading *r, slice s, float *x, sn_arena *arena)
{
	sn_tap *tap;
	sn_lens_keep *keep;
	SN_NEW(tap, arena, sn_tap, j->group);
	SN_NEW(keep, arena, sn_lens_keep, j->group);
	for (int i = 0; i < j->group; i++) {
		keep[i] = (sn_lens_keep){ x, j->group, i, sn_model_get_info(j->model)->d_model };
		tap[i] = (sn_tap){ .at = j->site[i], .where = { .sel = SN_LIST, .list = r->place + s.first, .n_list = s.n },
		                   .sink = &sn_lens_keep_sink, .state = &keep[i] };
	}
	sn_plan plan = { .size = sizeof plan, .n_tap = j->group, .tap = tap };
	return sn_run(j->ctx, j->model, &r->batch, &plan, NULL, NULL);
}

/* The final distribution's first choice at each place. */
static sn_status find_answers(const job *j, reading *r, slice s, const float *h, sn_arena *arena)
{
	int64_t d = j->model->shape.d_head_out;
	float *x;
	int32_t *id;
	double *logit;
	SN_NEW(x, arena, float, sn_gemm_room(s.n) * d);
	SN_NEW(id, arena, int32_t, s.n);
	SN_NEW(logit, arena, double, s.n);
	for (int64_t i = 0; i < s.n; i++)
		memcpy(x + i * d, h + (i * j->group + j->group - 1) * d, (size_t)d * sizeof *x);
	sn_vocabulary read = { .n = s.n, .x = x, .top = 1, .top_id = id, .top_logit = logit };
	SN_TRY(sn_vocabulary_read(j->ctx, j->model, &read, arena));
	for (int64_t i = 0; i < s.n; i++) r->want[(s.first + i) * j->n_want] = id[i];
	return SN_OK;
}

static sn_status ask(const job *j, reading *r, sn_arena *arena)
{
	int64_t m = r->n * j->group;
	int top = (int)SN_MIN(j->param->top, j->model->shape.n_logit);
	sn_vocabulary *v = &r->read;
	*v = (sn_vocabulary){ .n = m, .n_want = j->n_want, .top = top, .group = j->group };
	SN_NEW(v->lse, arena, double, m);
	SN_NEW(v->entropy, arena, double, m);
	SN_NEW(v->kl, arena, double, m);
	SN_NEW(v->logit, arena, double, m * j->n_want);
	SN_NEW(v->rank, arena, int64_t, m * j->n_want);
	SN_NEW(v->top_id, arena, int32_t, m * top);
	SN_NEW(v->top_logit, arena, double, m * top);
	return SN_OK;
}

/* The part of what is asked that concerns a slice, with its vectors h. */
static sn_status read_vocabulary(const job *j, const reading *r, slice s, const float *h, sn_arena *arena)
{
	int64_t at = s.first * j->group, m = s.n * j->group, n_want = j->n_want;
	const sn_vocabulary *all = &r->read;
	int32_t *want;
	SN_NEW(want, arena, int32_t, m * n_want);
	for (int64_t i = 0; i < m * n_want; i++)
		want[i] = SN_MAX(r->want[(s.first + i / n_want / j->group) * n_want + i % n_want], 0);
	sn_vocabulary v = { .n = m, .x = h, .n_want = j->n_want, .want = want, .top = all->top, .group = j->group,
	                    .lse = all->lse + at, .entropy = all->entropy + at, .kl = all->kl + at,
	                    .logit = all->logit + at * n_want, .rank = all->rank + at * n_want,
	                    .top_id = all->top_id + at * all->top, .top_logit = all->top_logit + at * all->top };
	return sn_vocabulary_read(j->ctx, j->model, &v, arena);
}

static sn_status read_slice(const job *j, reading *r, slice s, sn_arena *arena)
{
	float *x, *h;
	int64_t m = s.n * j->group;
	SN_NEW(h, arena, float, sn_gemm_room(m) * j->model->shape.d_head_out);
	sn_mark mark = sn_arena_mark(arena);
	SN_NEW(x, arena, float, sn_gemm_room(m) * j->model->shape.d_model);
	SN_TRY(keep_vectors(j, r, s, x, arena));
	if (j->tuned.n) SN_TRY(sn_translators_apply(j->ctx, j->model, &j->tuned, x, s.n, arena));
	SN_TRY(sn_lens_head(j->ctx, j->model, x, m, h, arena));
	SN_TRY(find_answers(j, r, s, h, arena));
	sn_arena_reset(arena, mark);
	return read_vocabulary(j, r, s, h, arena);
}

enum { VECTOR_BYTES = 96 << 20, SHARE = 64 };

/* Places whose vectors are kept at once: few enough for the cache's neighbourhood, and for a small --memory. */
static int64_t places_at_once(const job *j)
{
	int64_t bytes = (j->model->shape.d_model + j->model->shape.d_head_out) * 4 * j->group;
	return SN_MAX(SN_MIN((int64_t)VECTOR_BYTES, sn_ctx_memory(j->ctx) / SHARE) / bytes, 1);
}

/* A text that is too long for the vectors of all its places goes through the model once for each slice of them: what
 * the unembedding takes is many times that. */
static sn_status read_vectors(const job *j, reading *r, sn_arena *arena)
{
	int64_t most = places_at_once(j);
	SN_TRY(ask(j, r, arena));
	for (slice s = { 0, 0 }; s.first < r->n; s.first += s.n) {
		sn_mark mark = sn_arena_mark(arena);
		s.n = SN_MIN(most, r->n - s.first);
		SN_TRY(read_slice(j, r, s, arena));
		sn_arena_reset(arena, mark);
	}
	return SN_OK;
}

/* ---- sums ---- */

static bool agrees(const job *j, const reading *r, int64_t i, int g)
{
	return r->read.top_id[(i * j->group + g) * r->read.top] == r->want[i * j->n_want];
}

static double bits(double nats) { return nats / log(2); }

/* Places [a, b) are one text's; adds them to the sums of site g. */
static void add_layer(job *j, const reading *r, int64_t a, int64_t b, int g)
{
	double agreement = 0, settled = 0, kl = 0, entropy = 0, uniform = 0, n = (double)(b - a);
	for (int64_t i = a; i < b; i++) {
		int64_t k = i * j->group + g;
		bool same = true;
		for (int later = g; later < j->n_site && same; later++) same = agrees(j, r, i, later);
		agreement += agrees(j, r, i, g);
		settled += same;
		kl += bits(r->read.kl[k]);
		entropy += bits(r->read.entropy[k]);
		uniform += log2((double)j->model->shape.n_logit) - bits(r->read.entropy[i * j->group + j->group - 1]);
	}
	sn_clustered_add(&j->layer[g].agreement, agreement, n);
	sn_clustered_add(&j->layer[g].settled, settled, n);
	sn_clustered_add(&j->layer[g].kl, kl, n);
	sn_clustered_add(&j->layer[g].kl_uniform, uniform, n);
	sn_clustered_add(&j->layer[g].entropy, entropy, n);
}

static void add_word(job *j, const reading *r, int64_t a, int64_t b, int g, int w)
{
	word_sums *sums = &j->word[g * j->n_want + w];
	double logprob = 0, rank = 0, first = 0, n = 0;
	for (int64_t i = a; i < b; i++) {
		int64_t k = i * j->group + g, at = k * j->n_want + w;
		if (r->want[i * j->n_want + w] < 0) continue;
		logprob += r->read.logit[at] - r->read.lse[k];
		rank += log((double)r->read.rank[at]);
		first += r->read.rank[at] == 1;
		n++;
	}
	sn_clustered_add(&sums->logprob, logprob, n);
	sn_clustered_add(&sums->rank, rank, n);
	sn_clustered_add(&sums->first, first, n);
}

/* ---- cells ---- */

static const char *followed_name(const job *j, int w, sn_arena *arena)
{
	if (w == 0) return "the model's answer";
	if (j->words.n == 0) return sn_model_get_info(j->model)->causal ? "next token" : "own token";
	return sn_lens_token(j->ctx, j->model, j->words.id[w - 1], arena);
}

static sn_status add_followed(const job *j, const reading *r, const sn_lens_text *t, int64_t i, int64_t pos, int g,
                              sn_arena *arena)
{
	int64_t k = i * j->group + g;
	for (int w = 0; w < j->n_want; w++) {
		int32_t id = r->want[i * j->n_want + w];
		if (id < 0) continue;
		const char *token = sn_lens_token(j->ctx, j->model, id, arena), *name = followed_name(j, w, arena);
		if (!token || !name) return SN_ENOMEM;
		double logprob = r->read.logit[k * j->n_want + w] - r->read.lse[k];
		SN_TRY(SN_ADD(j->out, FOLLOWED, sn_int(t->row + 1), sn_text(j->name[g]), sn_int(pos), sn_int(layer_of(j, g)),
		              sn_text(name), sn_text(token), sn_num(logprob), sn_num(exp(logprob)),
		              sn_int(r->read.rank[k * j->n_want + w])));
	}
	return SN_OK;
}

static sn_status add_cell(const job *j, const reading *r, const sn_lens_text *t, int64_t i, int64_t pos, int g,
                          sn_arena *arena)
{
	int64_t k = i * j->group + g;
	int top = r->read.top;
	double *p;
	const int32_t *id = r->read.top_id + k * top;
	SN_NEW(p, arena, double, top);
	for (int n = 0; n < top; n++) p[n] = exp(r->read.top_logit[k * top + n] - r->read.lse[k]);
	const char *own = sn_lens_token(j->ctx, j->model, t->token.id[pos], arena);
	const char *place = own ? sn_arena_format(arena, "%lld %s", (long long)pos, own) : NULL;
	const char *first = sn_lens_token(j->ctx, j->model, id[0], arena);
	const char *list = sn_lens_list(j->ctx, j->model, id, p, top, arena);
	if (!place || !first || !list) return SN_ENOMEM;
	SN_TRY(SN_ADD(j->out, CELLS, sn_int(t->row + 1), sn_text(j->name[g]), sn_text(place), sn_int(layer_of(j, g)),
	              sn_int(pos), sn_text(first), sn_num(p[0]), sn_num(bits(r->read.kl[k])),
	              sn_num(bits(r->read.entropy[k])), sn_text(list)));
	return add_followed(j, r, t, i, pos, g, arena);
}

static sn_status add_cells(job *j, const reading *r, const sn_lens_text *t, int64_t a, int64_t b, int64_t start)
{
	sn_arena *arena;
	if (j->param->details > 0 && j->n_detail >= j->param->details) return SN_OK;
	j->n_detail++;
	SN_TRY(sn_arena_open(&arena, j->ctx));
	sn_mark mark = sn_arena_mark(arena);
	sn_status status = SN_OK;
	for (int64_t i = a; i < b && status == SN_OK; i++)
		for (int g = 0; g < j->n_site && status == SN_OK; g++, sn_arena_reset(arena, mark))
			status = add_cell(j, r, t, i, r->place[i] - start, g, arena);
	sn_arena_close(arena);
	return status;
}

/* ---- the whole ---- */

static sn_status take(job *j, const reading *r, int64_t first)
{
	for (int64_t b = 0, at = 0; b < r->batch.n; b++) {
		int64_t end = at;
		while (end < r->n && r->place[end] < r->batch.start[b + 1]) end++;
		for (int g = 0; g < j->n_site; g++) {
			add_layer(j, r, at, end, g);
			for (int w = 0; w < j->n_want; w++) add_word(j, r, at, end, g, w);
		}
		SN_TRY(add_cells(j, r, &j->texts.text[first + b], at, end, r->batch.start[b]));
		j->n_place += end - at;
		at = end;
	}
	return SN_OK;
}

static sn_status read_some(job *j, int64_t first, int64_t n)
{
	reading r = { 0 };
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, j->ctx));
	sn_status status = sn_lens_batch(&r.batch, &j->texts, first, n, arena);
	if (status == SN_OK) status = list_places(j, &r, first, arena);
	if (status == SN_OK) status = list_wanted(j, &r, first, arena);
	if (status == SN_OK) status = read_vectors(j, &r, arena);
	if (status == SN_OK) status = take(j, &r, first);
	sn_arena_close(arena);
	return status;
}

static sn_status read_all(job *j)
{
	bool last = strcmp(j->param->at, "last") == 0;
	int64_t tokens = last ? 2048 : SN_MIN(places_at_once(j), (int64_t)8192);
	for (int64_t first = 0, n; first < j->texts.n; first += n) {
		sn_progress(j->ctx, "texts", first, j->texts.n);
		n = sn_lens_fit(&j->texts, first, tokens);
		SN_TRY(read_some(j, first, n));
	}
	sn_progress(j->ctx, "texts", j->texts.n, j->texts.n);
	return SN_OK;
}

/* ---- results ---- */

static sn_status add_layers(const job *j)
{
	double uniform = log2((double)j->model->shape.n_logit);
	for (int g = 0; g < j->n_site; g++) {
		const layer_sums *s = &j->layer[g];
		sn_clustered settled = j->stream ? s->settled : (sn_clustered){ 0 };
		SN_TRY(SN_ADD(j->out, LAYERS, sn_int(layer_of(j, g)), sn_text(j->name[g]), sn_int(j->n_place),
					  SN_LENS_WITHIN(&s->agreement, 0, 1), SN_LENS_WITHIN(&settled, 0, 1),
					  SN_LENS_WITHIN(&s->kl, 0, INFINITY), sn_num(sn_clustered_mean(&s->kl_uniform)),
					  SN_LENS_WITHIN(&s->entropy, 0, uniform), sn_num(uniform)));
	}
	return SN_OK;
}

static sn_status add_words(const job *j, sn_arena *arena)
{
	double uniform = log((double)j->model->shape.n_logit);
	for (int w = 0; w < j->n_want; w++) {
		const char *name = followed_name(j, w, arena);
		if (!name) return SN_ENOMEM;
		for (int g = 0; g < j->n_site; g++) {
			const word_sums *s = &j->word[g * j->n_want + w];
			sn_interval rank = sn_clustered_interval(&s->rank, 0.95);
			rank = sn_interval_within(rank, 0, uniform);
			if (s->logprob.count == 0) continue;
			SN_TRY(SN_ADD(j->out, WORDS, sn_int(layer_of(j, g)), sn_text(name), sn_text(j->name[g]),
			              sn_int((int64_t)s->logprob.count), SN_LENS_WITHIN(&s->logprob, -INFINITY, 0),
			              sn_num(-uniform), sn_num(exp(sn_clustered_mean(&s->rank))), sn_num(exp(rank.low)),
			              sn_num(exp(rank.high)), SN_LENS_WITHIN(&s->first, 0, 1)));
		}
	}
	return SN_OK;
}

static sn_status summarise(const job *j)
{
	int half = 0, last = j->n_site - 1;
	if (j->stream) {
		while (half < last && sn_clustered_mean(&j->layer[half].settled) < 0.5) half++;
		const char *share = sn_lens_percent(&j->layer[half].settled, sn_result_arena(j->out));
		if (!share) return SN_ENOMEM;
		SN_TRY(sn_result_say(j->out, "From layer %d of %d on, the lens' first choice is the final one and stays it at "
		                     "%s of the %lld positions.", half, last, share, (long long)j->n_place));
	}
	const layer_sums *s = &j->layer[SN_MAX(last - 1, 0)], *begin = &j->layer[0];
	SN_TRY(sn_result_say(j->out, "KL(final || lens) is %.2f bits on average at %s %d and %.2f bits at %s %d; the "
	                     "uniform distribution is %.2f bits away.", sn_clustered_mean(&begin->kl),
	                     j->stream ? "layer" : j->name[0], layer_of(j, 0), sn_clustered_mean(&s->kl),
	                     j->stream ? "layer" : j->name[SN_MAX(last - 1, 0)], layer_of(j, SN_MAX(last - 1, 0)),
	                     sn_clustered_mean(&begin->kl_uniform)));
	SN_TRY(sn_lens_say_cut(j->out, &j->texts));
	if (j->texts.n > j->n_detail)
		SN_TRY(sn_result_set(j->out, "texts listed cell by cell", "%lld of %lld", (long long)j->n_detail,
		                     (long long)j->texts.n));
	return sn_result_limit(j->out, "A lens says what the last layers would make of a vector if nothing came between; "
	                       "early layers may hold in other directions what it does not find.");
}

static sn_status open_tuned(job *j, sn_arena *arena)
{
	if (strcmp(j->param->tuned, "none") == 0) return SN_OK;
	if (!j->stream) return sn_fail(j->ctx, SN_EARG, "a tuned lens translates the residual stream: leave --sites at "
		"stream");
	return sn_translators_read(&j->tuned, j->ctx, j->model, j->param->tuned, arena);
}

static sn_status read_texts(job *j, const sn_input *in, sn_arena *arena)
{
	const logit_param *p = j->param;
	if (sn_model_get_info(j->model)->n_layer_encoder)
		return sn_lens_read_pairs(&j->texts, j->ctx, in, p->column, p->decoder, "target", p->limit, arena);
	return sn_lens_read(&j->texts, j->ctx, in, p->column, p->limit, arena);
}

static sn_status run_in(job *j, const sn_input *in, sn_arena *arena)
{
	SN_TRY(sn_lens_check_head(j->ctx, j->model));
	SN_TRY(find_sites(j, arena));
	SN_TRY(open_tuned(j, arena));
	SN_TRY(read_texts(j, in, arena));
	if (strcmp(j->param->token, "next") != 0)
		SN_TRY(sn_lens_words_of(&j->words, j->ctx, j->model, j->param->token, arena));
	j->n_want = 1 + SN_MAX(j->words.n, 1);
	j->mask = sn_model_get_info(j->model)->causal ? -1 : sn_model_get_info(j->model)->mask;
	SN_NEW(j->layer, arena, layer_sums, j->n_site);
	SN_NEW(j->word, arena, word_sums, j->n_site * j->n_want);
	sn_status status = read_all(j);
	if ((status != SN_OK && status != SN_ECANCEL) || j->n_place == 0) return status;
	SN_TRY(add_layers(j));
	SN_TRY(add_words(j, arena));
	SN_TRY(summarise(j));
	return status;
}

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	job j = { .ctx = ctx, .model = in->model[0], .param = param, .out = out };
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = run_in(&j, in, arena);
	sn_arena_close(arena);
	return status;
}

extern const sn_method sn_method_lens_logit;
const sn_method sn_method_lens_logit = {
	.family = "lens", .name = "logit", .brief = "what each layer would say: the stream read by the model's own end",
	.doc = "The final norm (with each vector's own statistics), the head and the unembedding are applied to the "
	       "residual stream before each block and after the last, at every position: the most probable tokens, "
	       "log-probability and rank of the tokens to follow, entropy, and KL(final || lens). At the last layer it is "
	       "the model's own output. Of encoder-decoders the decoder is read. With --sites the same is done with other "
	       "vectors of the model's width, such as blocks.*.hook_mlp_out.",
	.cite = "nostalgebraist 2020; Geva et al. 2022 (settling: saturation)",
	.example = "sonde lens logit --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data keys.txt --token 'are|is'",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params, .n_param = SN_COUNT(params), .param_size = sizeof(logit_param),
	.table = tables, .n_table = SN_COUNT(tables), .run = run,
};
