/* A head's matrices between tokens: what it writes when it attends to a token (W_V W_O), and which tokens attend to
 * which (W_Q W_K'). The matrix between all tokens is never stored: products come a block at a time, and the largest
 * stay. */
#include "methods/lens/lens.h"

#include "model/model.h"

#include <math.h>
#include <string.h>

typedef struct matrices_param { const char *heads, *matrix, *tokens, *source, *read; int64_t top; } matrices_param;

static const sn_param params[] = {
	{ "heads", NULL, "heads as BLOCK:HEAD, comma-separated; BLOCK: all of a block; all", NULL, NULL, SN_TYPE_TEXT,
	  offsetof(matrices_param, heads), 0, 0, true },
	{ "matrix", NULL, "what is written (VO), who attends to whom (QK), or both", "both", "both|VO|QK", SN_TYPE_TEXT,
	  offsetof(matrices_param, matrix), 0, 0, false },
	{ "tokens", NULL, "pairs of all tokens, or only of those that are a space and letters", "all", "all|words",
	  SN_TYPE_TEXT, offsetof(matrices_param, tokens), 0, 0, false },
	{ "source", NULL,
	  "what stands for a token where a matrix reads: its row of the unembedding (as in the paper), or of "
	  "the embedding",
	  "unembedding", "unembedding|embedding", SN_TYPE_TEXT, offsetof(matrices_param, source), 0, 0, false },
	{ "read", NULL, "matrices as they are, or with the gains of the norms before and behind them", "raw", "raw|gains",
	  SN_TYPE_TEXT, offsetof(matrices_param, read), 0, 0, false },
	{ "top", "pairs", "how many pairs are listed for each matrix", "20", NULL, SN_TYPE_INT,
	  offsetof(matrices_param, top), 1, 1e5, false },
};

enum { HEADS, PAIRS };

static const sn_col head_columns[] = {
	{ "head", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Head" },
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Block" },
	{ "matrix", NULL, NULL, SN_TYPE_TEXT, SN_FACET, 0, "Matrix" },
	{ "same", "standard deviations", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Token with itself" },
	{ "largest", "standard deviations", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Largest pair" },
	{ "deviation", NULL, NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Standard deviation over all pairs" },
};

static const sn_col pair_columns[] = {
	{ "layer", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Block" },
	{ "head", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Head" },
	{ "matrix", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Matrix" },
	{ "place", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Place" },
	{ "from", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Attended to, or attending" },
	{ "to", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Written, or attended to" },
	{ "score", NULL, NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Score" },
	{ "deviations", "standard deviations", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Above the mean of all pairs" },
};

static const sn_table tables[] = {
	[HEADS] = { "heads", "Heads between tokens", head_columns, SN_COUNT(head_columns), SN_VIEW_HEAT,
				"In standard deviations over all pairs of tokens: how far pairs of a token with itself are above the "
				"mean (VO: the "
				"head copies; QK: a token attends to itself), and the largest pair.",
				false },
	[PAIRS] = { "pairs", "Largest pairs", pair_columns, SN_COUNT(pair_columns), SN_VIEW_TABLE,
				"VO: attending to the first token raises the second. QK: the first token, as a query, attends to the "
				"second.",
				false },
};

enum { BLOCK = 256, CHUNK = 4096 };

typedef struct pair { float score; int32_t from, to; } pair;

typedef struct job {
	sn_ctx *ctx;
	sn_model *model;
	const matrices_param *param;
	sn_result *out;
	sn_arena *arena;
	int64_t n;             /* tokens */
	int32_t *id;           /* [n] */
	float *a, *b, *y;      /* [room n, d_head] the two sides; [BLOCK, CHUNK] */
	pair *best;            /* [top] */
	int64_t n_best;
} job;

/* ---- tokens ---- */

static bool is_word(const char *text, size_t size)
{
	if (size < 2 || text[0] != ' ') return false;
	for (size_t i = 1; i < size; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c < 0x80 && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z')) return false;
	}
	return true;
}

static sn_status find_tokens(job *j)
{
	const sn_shape *s = &j->model->shape;
	const sn_tokenizer *tokenizer = sn_model_tokenizer(j->model);
	int64_t most = SN_MIN(s->n_logit, s->d_vocab);
	bool all = strcmp(j->param->tokens, "all") == 0;
	SN_NEW(j->id, j->arena, int32_t, most);
	for (int32_t id = 0; id < most; id++) {
		sn_mark mark = sn_arena_mark(j->arena);
		size_t size = 0;
		const char *text = all || id >= sn_tokenizer_size(tokenizer) ? NULL
			: sn_token_text(j->ctx, tokenizer, id, j->arena, &size);
		if (all || (text && is_word(text, size))) j->id[j->n++] = id;
		sn_arena_reset(j->arena, mark);
	}
	return j->n > 1 ? SN_OK : sn_fail(j->ctx, SN_EARG, "%s has no tokens that are a space and letters",
	                                  j->model->info.path);
}

/* ---- one side of a matrix ---- */

/* side [n, d_head] = the tokens' rows of a part, weighted by gains (NULL: 1), times w' [d_head, d_model]. */
static sn_status project(const job *j, sn_part part, const float *gain, const float *w, float *side)
{
	const sn_shape *s = &j->model->shape;
	int64_t d = s->d_model;
	sn_packed *packed;
	sn_arena *scratch;
	SN_TRY(sn_arena_open(&scratch, j->ctx));
	float *x = SN_TAKE(scratch, float, BLOCK *d);
	sn_status status = x ? sn_gemm_pack(&packed, j->model->gemm, w, s->d_head, d) : SN_ENOMEM;
	if (status != SN_OK) return sn_arena_close(scratch), status;
	for (int64_t first = 0; first < j->n && status == SN_OK; first += BLOCK) {
		int64_t m = SN_MIN((int64_t)BLOCK, j->n - first);
		for (int64_t i = 0; i < m && status == SN_OK; i++)
			status = j->model->source.read(j->ctx, j->model->source.arg, part, 0, j->id[first + i], 1, x + i * d);
		for (int64_t i = 0; gain && i < m * d; i++) x[i] *= gain[i % d];
		if (status == SN_OK) status = sn_gemm_run(j->model->gemm, packed, x, m, side + first * s->d_head);
	}
	sn_packed_free(j->model->gemm, packed);
	sn_arena_close(scratch);
	return status;
}

typedef struct head { int layer, number; } head;

/* Rows [d_head, d_model] of a head's part; W_O, whose columns are a head's, turned. */
static sn_status head_matrix(const job *j, const head *h, sn_part part, sn_arena *arena, float **w)
{
	const sn_shape *s = &j->model->shape;
	int kv = h->number / (s->n_head / s->n_kv_head);
	sn_tensor o;
	if (part == SN_PART_O) {
		SN_TRY(sn_weight(j->ctx, j->model, SN_W_O, h->layer, h->number, arena, &o));
		*w = o.data;
		return SN_OK;
	}
	SN_NEW(*w, arena, float, s->d_head *s->d_model);
	int64_t row = (int64_t)s->d_head * (part == SN_PART_Q ? h->number : kv);
	return sn_model_read(j->ctx, j->model, part, h->layer, row, s->d_head, *w);
}

static sn_status make_sides(const job *j, const head *h, bool vo)
{
	const sn_model *m = j->model;
	bool gains = strcmp(j->param->read, "gains") == 0, embedding = strcmp(j->param->source, "embedding") == 0;
	sn_part source = embedding ? SN_PART_EMBED : sn_unembed_part(m);
	sn_arena *arena;
	float *wa, *wb;
	if (gains) SN_TRY(sn_model_need_layer(j->ctx, j->model, h->layer));
	const float *before = gains ? sn_layer_of(m, h->layer)->attn_norm.weight : NULL;
	const float *behind = !gains ? NULL : vo ? m->final_norm.weight : before;
	SN_TRY(sn_arena_open(&arena, j->ctx));
	sn_status status = head_matrix(j, h, vo ? SN_PART_V : SN_PART_Q, arena, &wa);
	if (status == SN_OK) status = head_matrix(j, h, vo ? SN_PART_O : SN_PART_K, arena, &wb);
	const float *post = gains && vo ? sn_layer_of(m, h->layer)->attn_post_norm.weight : NULL;
	for (int64_t i = 0; status == SN_OK && post && i < m->shape.d_head * m->shape.d_model; i++)
		wb[i] *= post[i % m->shape.d_model];
	if (status == SN_OK) status = project(j, source, before, wa, j->a);
	if (status == SN_OK) status = project(j, vo ? sn_unembed_part(m) : source, behind, wb, j->b);
	sn_arena_close(arena);
	return status;
}

/* ---- all pairs ---- */

/* Mean and standard deviation over all pairs, and the mean over pairs of a token with itself, without the pairs:
 * sum s = (sum a)(sum b)', sum s^2 = trace(A'A B'B). */
typedef struct spread { double mean, deviation, same; } spread;

static sn_status find_spread(const job *j, spread *out)
{
	int64_t d = j->model->shape.d_head;
	double *sum, *square, n = (double)j->n, all = 0, both = 0, same = 0;
	SN_NEW(sum, j->arena, double, 2 * d);
	SN_NEW(square, j->arena, double, 2 * d * d);
	for (int64_t i = 0; i < j->n; i++)
		for (int side = 0; side < 2; side++) {
			const float *x = (side ? j->b : j->a) + i * d;
			for (int64_t k = 0; k < d; k++) {
				sum[side * d + k] += x[k];
				for (int64_t l = 0; l <= k; l++) square[(side * d + k) * d + l] += (double)x[k] * x[l];
			}
		}
	for (int64_t i = 0; i < j->n * d; i++) same += (double)j->a[i] * j->b[i];
	for (int64_t k = 0; k < d; k++) {
		all += sum[k] * sum[d + k];
		for (int64_t l = 0; l <= k; l++) both += (l < k ? 2 : 1) * square[k * d + l] * square[(d + k) * d + l];
	}
	out->mean = all / n / n;
	out->deviation = sqrt(fmax(both / n / n - out->mean * out->mean, 0));
	out->same = same / n;
	return SN_OK;
}

static void keep(job *j, float score, int32_t from, int32_t to)
{
	int64_t i = j->n_best < j->param->top ? j->n_best++ : j->n_best - 1;
	for (; i > 0 && score > j->best[i - 1].score; i--) j->best[i] = j->best[i - 1];
	j->best[i] = (pair){ score, from, to };
}

static void keep_largest(job *j, int64_t from, int64_t m, int64_t to, int64_t n)
{
	const sn_kernels *kernels = j->model->kernels;
	for (int64_t i = 0; i < m; i++) {
		const float *y = j->y + i * n;
		float bar = j->n_best < j->param->top ? -INFINITY : j->best[j->n_best - 1].score;
		for (int64_t k = 0; (k = kernels->next_above(y, k, n, bar)) < n; k++) {
			keep(j, y[k], j->id[from + i], j->id[to + k]);
			bar = j->n_best < j->param->top ? -INFINITY : j->best[j->n_best - 1].score;
		}
	}
}

static sn_status multiply_all(job *j)
{
	int64_t d = j->model->shape.d_head;
	sn_gemm *gemm = j->model->gemm;
	sn_status status = SN_OK;
	j->n_best = 0;
	for (int64_t to = 0; to < j->n && status == SN_OK; to += CHUNK) {
		int64_t n = SN_MIN((int64_t)CHUNK, j->n - to);
		sn_packed *packed;
		SN_TRY(sn_poll(j->ctx));
		SN_TRY(sn_gemm_pack(&packed, gemm, j->b + to * d, n, d));
		for (int64_t from = 0; from < j->n && status == SN_OK; from += BLOCK) {
			int64_t m = SN_MIN((int64_t)BLOCK, j->n - from);
			status = sn_gemm_run(gemm, packed, j->a + from * d, m, j->y);
			if (status == SN_OK) keep_largest(j, from, m, to, n);
		}
		sn_packed_free(gemm, packed);
	}
	return status;
}

static sn_status read_matrix(job *j, const head *h, bool vo)
{
	spread s;
	const char *name = vo ? "VO" : "QK";
	sn_mark mark = sn_arena_mark(j->arena);
	SN_TRY(make_sides(j, h, vo));
	SN_TRY(find_spread(j, &s));
	SN_TRY(multiply_all(j));
	double unit = s.deviation > 0 ? s.deviation : 1;
	SN_TRY(SN_ADD(j->out, HEADS, sn_int(h->number), sn_int(h->layer), sn_text(name), sn_num((s.same - s.mean) / unit),
	              sn_num((j->best[0].score - s.mean) / unit), sn_num(s.deviation)));
	for (int64_t i = 0; i < j->n_best; i++) {
		const char *from = sn_lens_token(j->ctx, j->model, j->best[i].from, j->arena);
		const char *to = sn_lens_token(j->ctx, j->model, j->best[i].to, j->arena);
		SN_TRY(SN_ADD(j->out, PAIRS, sn_int(h->layer), sn_int(h->number), sn_text(name), sn_int(i + 1), sn_text(from),
		              sn_text(to), sn_num(j->best[i].score), sn_num((j->best[i].score - s.mean) / unit)));
	}
	sn_arena_reset(j->arena, mark);
	return SN_OK;
}

/* ---- heads ---- */

static sn_status add_heads(const job *j, const char *text, size_t size, head *list, int *n)
{
	const sn_shape *s = &j->model->shape;
	int64_t layer, number = -1;
	size_t colon = SN_MIN(strcspn(text, ":"), size);
	char *block = sn_arena_copy(j->arena, text, colon);
	char *rest = colon < size ? sn_arena_copy(j->arena, text + colon + 1, size - colon - 1) : NULL;
	if (!block || (colon < size && !rest)) return SN_ENOMEM;
	bool read = sn_parse_i64(block, &layer) && (!rest || sn_parse_i64(rest, &number));
	if (!read || layer < 0 || layer >= s->n_layer || number >= s->n_head || (rest && number < 0))
		return sn_fail(j->ctx, SN_EARG, "--heads: %.*s is no BLOCK or BLOCK:HEAD of this model's %d blocks of %d heads",
		               (int)size, text, s->n_layer, s->n_head);
	for (int h = 0; h < s->n_head; h++)
		if (number < 0 || h == number) {
			if (*n == s->n_layer * s->n_head) return sn_fail(j->ctx, SN_EARG, "--heads names heads twice");
			list[(*n)++] = (head){ (int)layer, h };
		}
	return SN_OK;
}

static sn_status find_heads(const job *j, head **list, int *n)
{
	const sn_shape *s = &j->model->shape;
	bool all = strcmp(j->param->heads, "all") == 0;
	SN_NEW(*list, j->arena, head, s->n_layer *s->n_head);
	for (int i = 0; all && i < s->n_layer * s->n_head; i++) (*list)[(*n)++] = (head){ i / s->n_head, i % s->n_head };
	for (const char *at = j->param->heads; !all && *at;) {
		size_t size = strcspn(at, ",");
		SN_TRY(add_heads(j, at, size, *list, n));
		at += size + (at[size] == ',');
	}
	return SN_OK;
}

static sn_status check(const job *j)
{
	const sn_shape *s = &j->model->shape;
	SN_TRY(sn_lens_check(j->ctx, j->model));
	if (s->d_head_out == s->d_model && s->d_embed == s->d_model) return SN_OK;
	return sn_fail(j->ctx, SN_EARG,
				   "%s: tokens' vectors are not as wide as the stream; matrices cannot be read between "
				   "them",
				   j->model->info.path);
}

static sn_status summarise(const job *j)
{
	const sn_value *best[2] = { NULL, NULL };
	for (int64_t r = 0; r < sn_result_rows(j->out, HEADS); r++) {
		const sn_value *row = sn_result_row(j->out, HEADS, r);
		int qk = strcmp(row[2].s, "QK") == 0;
		if (!best[qk] || row[3].f > best[qk][3].f) best[qk] = row;
	}
	for (int qk = 0; qk < 2; qk++)
		if (best[qk])
			SN_TRY(sn_result_say(j->out, "%s most is head %lld of block %lld: pairs of a token with itself are %.2f "
			                     "standard deviations above the mean of all pairs.", qk ? "Tokens attend to themselves"
			                     : "What copies", (long long)best[qk][0].i, (long long)best[qk][1].i, best[qk][3].f));
	if (j->model->shape.form.position == SN_POSITION_ROTARY)
		SN_TRY(sn_result_limit(j->out, "QK is without rotation: as if the query stood where the key stands."));
	return sn_result_limit(j->out, "Biases, norms of queries and keys, and the norms' scales are left out; what a head "
	                       "reads is seldom a token's own vector.");
}

static sn_status run_in(job *j)
{
	const sn_shape *s = &j->model->shape;
	head *list;
	int n = 0;
	SN_TRY(check(j));
	SN_TRY(find_heads(j, &list, &n));
	SN_TRY(find_tokens(j));
	SN_NEW(j->a, j->arena, float, (j->n + BLOCK) * s->d_head);
	SN_NEW(j->b, j->arena, float, (j->n + BLOCK) * s->d_head);
	SN_NEW(j->y, j->arena, float, BLOCK *CHUNK);
	SN_NEW(j->best, j->arena, pair, j->param->top);
	for (int i = 0; i < n; i++) {
		sn_progress(j->ctx, "heads", i, n);
		if (strcmp(j->param->matrix, "QK") != 0) SN_TRY(read_matrix(j, &list[i], true));
		if (strcmp(j->param->matrix, "VO") != 0) SN_TRY(read_matrix(j, &list[i], false));
	}
	sn_progress(j->ctx, "heads", n, n);
	return summarise(j);
}

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	job j = { .ctx = ctx, .model = in->model[0], .param = param, .out = out };
	SN_TRY(sn_arena_open(&j.arena, ctx));
	sn_status status = run_in(&j);
	sn_arena_close(j.arena);
	return status;
}

extern const sn_method sn_method_lens_matrices;
const sn_method sn_method_lens_matrices = {
	.family = "lens",
	.name = "matrices",
	.brief = "a head's matrices between tokens: what it copies, what attends to what",
	.doc =
		"W_V W_O and W_Q W_K' of a head between the vectors of all tokens: the largest pairs, and how pairs of a token "
		"with itself stand out from all pairs. The matrix of tokens by tokens is never stored. A head takes 2 V^2 "
		"d_head multiplications: about a second for 49,152 tokens.",
	.cite = "Dar et al. 2023; Elhage et al. 2021 (copying)",
	.example = "sonde lens matrices --model models/SmolLM2-135M-Instruct.Q4_1.gguf --heads 26:0 --tokens words",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_TOKENIZER,
	.param = params,
	.n_param = SN_COUNT(params),
	.param_size = sizeof(matrices_param),
	.table = tables,
	.n_table = SN_COUNT(tables),
	.run = run,
};
