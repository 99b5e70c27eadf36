/* Surprisal: how unexpected each word is, in bits, the way reading experiments need it. */
#include "base/readable.h"
#include "data/result.h"
#include "model/reading.h"
#include "stats/metrics.h"

#include <math.h>
#include <string.h>

typedef struct surprisal_param {
	const char *column, *source, *context, *by, *join, *bos, *correction, *pll;
	int64_t window, stride, limit;
	bool entropy, tokens;
} surprisal_param;

static const sn_param params[] = {
	{ .name = "column",
	  .help = "column of the text; auto: text or sentence",
	  .def = "auto",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(surprisal_param, column) },
	{ .name = "source",
	  .help = "encoder-decoders, which need it: column of the text that the encoder reads; none",
	  .def = "none",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(surprisal_param, source) },
	{ .name = "context",
	  .help = "what precedes a word: its row alone, or its document (begun by # newdoc in a treebank; "
			  "rows with equal --by; otherwise the file)",
	  .def = "row",
	  .choices = "row|document",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(surprisal_param, context) },
	{ .name = "by",
	  .help = "column whose value is the same in rows of one document; none",
	  .def = "none",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(surprisal_param, by) },
	{ .name = "join",
	  .help = "what stands between the rows of a document",
	  .def = " ",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(surprisal_param, join) },
	{ .name = "bos",
	  .help = "what begins a text: as the model's tokenizer does, always its beginning-of-sequence token, "
			  "or nothing (the first word is then missing)",
	  .def = "auto",
	  .choices = "auto|add|none",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(surprisal_param, bos) },
	{ .name = "correction",
	  .help = "also the surprisal of the whole word with its end: none; space: tokens that begin "
			  "with a space end a word; space+end: the end-of-sequence token too",
	  .def = "none",
	  .choices = "none|space|space+end",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(surprisal_param, correction) },
	{ .name = "pll",
	  .help = "masked models: hide one token, or also the later ones of its word",
	  .def = "original",
	  .choices = "original|within_word_l2r",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(surprisal_param, pll) },
	{ .name = "window",
	  .unit = "tokens",
	  .help = "longest context; 0: the model's",
	  .def = "0",
	  .type = SN_TYPE_INT,
	  .off = offsetof(surprisal_param, window),
	  .max = 1e9 },
	{ .name = "stride",
	  .unit = "tokens",
	  .help = "longer texts: distance of windows, so that a token has at least window "
			  "minus stride before it; 0: half a window",
	  .def = "0",
	  .type = SN_TYPE_INT,
	  .off = offsetof(surprisal_param, stride),
	  .max = 1e9 },
	{ .name = "limit",
	  .unit = "rows",
	  .help = "only the first rows; 0: all",
	  .def = "0",
	  .type = SN_TYPE_INT,
	  .off = offsetof(surprisal_param, limit),
	  .max = 1e15 },
	{ .name = "entropy",
	  .help = "also the entropy of what is expected where the word begins",
	  .type = SN_TYPE_BOOL,
	  .off = offsetof(surprisal_param, entropy) },
	{ .name = "tokens",
	  .help = "a second table with every token",
	  .type = SN_TYPE_BOOL,
	  .off = offsetof(surprisal_param, tokens) },
};

enum { WORDS, TOKENS };

static const sn_col word_columns[] = {
	{ "sentence", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Row" },
	{ "sentence_id", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Sentence" },
	{ "word", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Word" },
	{ "form", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Form" },
	{ "tokens", "tokens", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Tokens" },
	{ "surprisal", "bits", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Surprisal" },
	{ "corrected", "bits", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Corrected" },
	{ "entropy", "bits", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, "Entropy" },
	{ "shared", NULL, NULL, SN_TYPE_BOOL, SN_TEXT, 0, "Shares a token" },
};

static const sn_col token_columns[] = {
	{ "sentence", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, NULL },
	{ "word", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, NULL },
	{ "position", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, NULL },
	{ "token", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, NULL },
	{ "id", NULL, NULL, SN_TYPE_INT, SN_TEXT, 0, NULL },
	{ "surprisal", "bits", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, NULL },
	{ "entropy", "bits", NULL, SN_TYPE_FLOAT, SN_MEASURE, 0, NULL },
};

static const sn_table tables[] = {
	[WORDS] = { "words", "Surprisal by word", word_columns, SN_COUNT(word_columns), SN_VIEW_TABLE,
				"-log2 p of a word: of its tokens, summed. Missing where nothing precedes the word. Corrected: divided "
				"by the "
				"probability that a word begins there, times that of a word beginning after it. Entropy: of the "
				"distribution that "
				"expects the word's first token.",
				false },
	[TOKENS] = { "tokens", "Surprisal by token", token_columns, SN_COUNT(token_columns), SN_VIEW_TABLE,
				 "Position counts from 0 in the text that was read in one piece.", true },
};

typedef struct job {
	sn_ctx *ctx;
	const sn_dataset *data;
	const surprisal_param *param;
	sn_reader reader;
	const sn_column *source, *id;
	sn_result *out;
	int64_t words, scored, tokens, split, without, shared, long_ones;
	double *row_bits;   /* [rows] of scored words */
	int64_t *row_words; /* [rows] scored words */
} job;

/* ---- the set of tokens that begin a word ---- */

static bool begins_with_space(const char *text, size_t size)
{
	return (size > 0 && text[0] == ' ') || (size > 2 && memcmp(text, "\xe2\x96\x81", 3) == 0);
}

static sn_status make_set(job *k, sn_model *model, sn_arena *arena)
{
	const sn_model_info *info = sn_model_get_info(model);
	const sn_tokenizer *tokenizer = sn_model_tokenizer(model);
	int64_t n = 0;
	uint8_t *set;
	if (strcmp(k->param->correction, "none") == 0) return SN_OK;
	SN_NEW(set, arena, uint8_t, info->d_vocab);
	for (int32_t id = 0; id < SN_MIN(info->d_vocab, (int64_t)sn_tokenizer_size(tokenizer)); id++) {
		sn_mark mark = sn_arena_mark(arena);
		size_t size;
		const char *text = sn_token_text(k->ctx, tokenizer, id, arena, &size);
		set[id] = text && begins_with_space(text, size);
		n += set[id];
		sn_arena_reset(arena, mark);
	}
	if (n == 0 || (!info->causal && !info->n_layer_encoder))
		return sn_fail(k->ctx, SN_EARG,
					   "%s: the correction is for models that read left to right and have tokens that "
					   "begin with a space; leave --correction at none",
					   info->path);
	if (strcmp(k->param->correction, "space+end") == 0 && info->eos >= 0) set[info->eos] = 1;
	k->reader.set = set;
	return SN_OK;
}

/* ---- rows ---- */

static double bits(double nats) { return -nats / log(2); }

/* Of tokens [first, end) that are word u; log p of the word as a whole: white space before belongs to it, so what
 * ends it is a token that begins with a space. Pimentel & Meister 2024, Theorem 2; Oh & Schuler 2024, Eq. 6. */
static double corrected(const sn_reading *r, int64_t u, int64_t first, int64_t end, double logprob)
{
	const sn_passage *p = r->passage;
	const sn_unit *unit = &p->unit[u];
	bool spaced_before = u > 0 && p->unit[u - 1].span[1] < unit->span[0];
	bool spaced_after = u + 1 == p->n || unit->span[1] < p->unit[u + 1].span[0];
	return logprob - (spaced_before ? r->set[first] : 0) + (spaced_after ? r->set[end] : 0);
}

/* Whether some token holds letters of this word and of another. */
static bool shares(const sn_reading *r, int64_t u, int64_t first, int64_t end)
{
	const sn_passage *p = r->passage;
	bool ahead = end > first && u + 1 < p->n && r->token.span[end - 1][1] > p->unit[u + 1].span[0];
	return ahead || (first > 0 && r->token.span[first - 1][1] > p->unit[u].span[0]);
}

static sn_status count_word(job *k, const sn_reading *r, int64_t u, int64_t n_token, double logprob)
{
	const sn_unit *unit = &r->passage->unit[u];
	k->words++;
	k->tokens += n_token;
	k->split += n_token > 1;
	k->without += n_token == 0;
	if (n_token == 0) return SN_OK;
	if (isfinite(logprob)) {
		k->scored++;
		k->row_bits[unit->row] += bits(logprob);
		k->row_words[unit->row]++;
		return SN_OK;
	}
	if (u == 0 && k->reader.n_before == 0) return SN_OK; /* nothing precedes it */
	return sn_fail(k->ctx, SN_ENUMERIC, "%s: row %lld: the surprisal of word %s is no finite number", k->data->source,
				   (long long)unit->row + 1, unit->id);
}

static sn_status add_word(job *k, const sn_reading *r, int64_t u, int64_t first, int64_t end, sn_arena *arena)
{
	const sn_unit *unit = &r->passage->unit[u];
	double logprob = end > first ? 0 : NAN, whole = NAN;
	bool shared = shares(r, u, first, end);
	for (int64_t t = first; t < end; t++) logprob += r->logprob[t];
	if (r->set && end > first) whole = corrected(r, u, first, end, logprob);
	SN_TRY(count_word(k, r, u, end - first, logprob));
	k->shared += shared;
	const char *form = sn_arena_copy(arena, r->passage->text + unit->span[0], (size_t)(unit->span[1] - unit->span[0]));
	if (!form) return SN_ENOMEM;
	return SN_ADD(k->out, WORDS, sn_int(unit->row + 1), sn_text(k->id ? k->id->s[unit->row] : NULL), sn_text(unit->id),
				  sn_text(form), sn_int(end - first), sn_num(bits(logprob)), sn_num(bits(whole)),
				  sn_num(r->entropy && end > first ? r->entropy[first] / log(2) : NAN), sn_flag(shared));
}

static sn_status add_tokens(job *k, const sn_reading *r, sn_arena *arena)
{
	for (int64_t t = 0; t < r->token.n; t++) {
		size_t size;
		const sn_unit *unit = r->unit[t] < 0 ? NULL : &r->passage->unit[r->unit[t]];
		const char *text = sn_token_text(k->ctx, sn_model_tokenizer(k->reader.model), r->token.id[t], arena, &size);
		if (!text || !(text = sn_readable(arena, text, size))) return SN_ENOMEM;
		SN_TRY(SN_ADD(k->out, TOKENS, sn_int(unit ? unit->row + 1 : INT64_MIN), sn_text(unit ? unit->id : NULL),
					  sn_int(t), sn_text(text), sn_int(r->token.id[t]), sn_num(bits(r->logprob[t])),
					  sn_num(r->entropy ? r->entropy[t] / log(2) : NAN)));
	}
	return SN_OK;
}

static sn_status add_reading(job *k, const sn_reading *r, sn_arena *arena)
{
	int64_t t = 0;
	for (int64_t u = 0; u < r->passage->n; u++) {
		int64_t first = t;
		while (t < r->token.n && r->unit[t] == u) t++;
		SN_TRY(add_word(k, r, u, first, t, arena));
	}
	k->long_ones += k->reader.window > 0 && r->token.n + k->reader.n_before + k->reader.n_after > k->reader.window;
	return k->param->tokens ? add_tokens(k, r, arena) : SN_OK;
}

/* ---- reading ---- */

enum { TOKENS_A_RUN = 16384 };

/* Reads passages from *at on, as many as a run should have. */
static sn_status read_some(job *k, const sn_passage *passage, int64_t n, int64_t *at, sn_arena *arena)
{
	sn_reading *reading;
	int64_t m = 0, cost = 0;
	SN_NEW(reading, arena, sn_reading, n - *at);
	while (*at + m < n && (m == 0 || cost < TOKENS_A_RUN)) {
		sn_reading *r = &reading[m];
		const sn_passage *p = &passage[*at + m];
		sn_status status = sn_reading_make(r, &k->reader, p, arena);
		if (status == SN_EPARSE)
			return sn_fail(k->ctx, status, "%s: row %lld: %s", k->data->source, (long long)p->row + 1,
						   sn_error(k->ctx));
		SN_TRY(status);
		if (k->source) r->source = k->source->s[p->row] ? k->source->s[p->row] : "";
		cost += sn_reading_cost(&k->reader, r);
		m++;
	}
	SN_TRY(sn_readings_run(&k->reader, reading, m, arena));
	for (int64_t i = 0; i < m; i++) SN_TRY(add_reading(k, &reading[i], arena));
	*at += m;
	return SN_OK;
}

static sn_status read_all(job *k, const sn_passage *passage, int64_t n)
{
	for (int64_t at = 0; at < n;) {
		sn_arena *arena;
		sn_progress(k->ctx, "texts", at, n);
		SN_TRY(sn_arena_open(&arena, k->ctx));
		sn_status status = read_some(k, passage, n, &at, arena);
		sn_arena_close(arena);
		SN_TRY(status);
	}
	sn_progress(k->ctx, "texts", n, n);
	return SN_OK;
}

/* ---- summary ---- */

/* Mean over words, with an interval over rows. */
static sn_status say_mean(const job *k)
{
	sn_clustered all = { 0 };
	for (int64_t i = 0; i < k->data->n; i++) sn_clustered_add(&all, k->row_bits[i], (double)k->row_words[i]);
	double mean = sn_clustered_mean(&all), rows = all.n;
	sn_interval i95 = sn_clustered_interval(&all, 0.95);
	char interval[64] = "";
	if (rows > 1) sn_format(interval, sizeof interval, " [%.2f, %.2f]", i95.low, i95.high);
	SN_TRY(sn_result_say(k->out, "A word has %.2f bits%s of surprisal on average: %lld words, rows: %lld.", mean,
						 interval, (long long)k->scored, (long long)rows));
	return sn_result_say(k->out, "A word has %.3f tokens; %.1f %% of the words have more than one.",
						 (double)k->tokens / (double)SN_MAX(k->words - k->without, 1),
						 100.0 * (double)k->split / (double)SN_MAX(k->words - k->without, 1));
}

static sn_status say_policy(const job *k)
{
	const sn_reader *r = &k->reader;
	sn_buf text = { .ctx = k->ctx };
	sn_arena *arena = sn_result_arena(k->out);
	for (int i = 0; i < r->n_before; i++) {
		size_t size;
		const char *token = sn_token_text(k->ctx, sn_model_tokenizer(r->model), r->before[i], arena, &size);
		sn_buf_format(&text, "%s%s", i ? " " : "", token ? token : "?");
	}
	sn_status status = text.failed ? SN_ENOMEM
								   : sn_result_set(k->out, "texts begin with", "%s",
												   r->n_before ? text.data : "nothing: a first word is missing");
	sn_buf_free(&text);
	SN_TRY(status);
	if (r->window > 0)
		SN_TRY(sn_result_set(k->out, "window", "%lld tokens, stride %lld; %lld texts were longer", (long long)r->window,
							 (long long)r->stride, (long long)k->long_ones));
	return SN_OK;
}

static sn_status say_limits(const job *k)
{
	int64_t missing = k->words - k->scored - k->without;
	if (missing)
		SN_TRY(sn_result_limit(k->out, "%lld first words are missing: nothing precedes them (see --bos).",
							   (long long)missing));
	if (k->without)
		SN_TRY(sn_result_limit(k->out, "%lld words have no token that begins in them: they are missing.",
							   (long long)k->without));
	if (k->shared)
		SN_TRY(sn_result_limit(k->out,
							   "%lld words share a token with a neighbour; it counts for the word it begins in.",
							   (long long)k->shared));
	return SN_OK;
}

static sn_status summarise(const job *k)
{
	SN_TRY(say_policy(k));
	if (k->scored > 0) SN_TRY(say_mean(k));
	return say_limits(k);
}

/* ---- entry ---- */

static sn_status check_kind(const job *k, const sn_model *model)
{
	const sn_model_info *info = sn_model_get_info(model);
	bool source = strcmp(k->param->source, "none") != 0;
	if (info->n_layer_encoder && !source)
		return sn_fail(k->ctx, SN_EARG,
					   "%s is an encoder-decoder, which expects a text given another: name the column "
					   "that the encoder reads with --source",
					   info->path);
	if (source && !info->n_layer_encoder)
		return sn_fail(k->ctx, SN_EARG, "%s has no encoder to read a source", info->path);
	if (source && strcmp(k->param->context, "row") != 0)
		return sn_fail(k->ctx, SN_EARG,
					   "--context document and --source do not go together: a source belongs to a row");
	return SN_OK;
}

static sn_status prepare(job *k, const sn_input *in, sn_passage **passage, int64_t *n, sn_arena *arena)
{
	const surprisal_param *p = k->param;
	bool by = strcmp(p->by, "none") != 0;
	sn_passage_query query = { p->column, by ? p->by : "", by || strcmp(p->context, "document") == 0, p->join,
							   p->limit };
	SN_TRY(check_kind(k, in->model[0]));
	if (strcmp(p->source, "none") != 0 && !(k->source = sn_text_column(k->ctx, k->data, p->source, NULL, 0)))
		return SN_ENOTFOUND;
	k->id = sn_dataset_column(k->data, k->data->treebank ? "sent_id" : "id");
	if (k->id && k->id->type != SN_TYPE_TEXT) k->id = NULL;
	SN_TRY(sn_reader_make(&k->reader, k->ctx, in->model[0], p->bos, p->window, p->stride, arena));
	k->reader.l2r = strcmp(p->pll, "within_word_l2r") == 0;
	k->reader.entropy = p->entropy;
	SN_TRY(make_set(k, in->model[0], arena));
	SN_NEW(k->row_bits, arena, double, k->data->n);
	SN_NEW(k->row_words, arena, int64_t, k->data->n);
	return sn_passages_make(passage, n, k->ctx, k->data, &query, arena);
}

static sn_status run_in(job *k, const sn_input *in, sn_arena *arena)
{
	sn_passage *passage;
	int64_t n;
	SN_TRY(prepare(k, in, &passage, &n, arena));
	sn_status status = read_all(k, passage, n);
	if (status != SN_OK && status != SN_ECANCEL) return status;
	if (status == SN_OK && k->words == 0) return sn_fail(k->ctx, SN_EPARSE, "%s: no words", k->data->source);
	SN_TRY(summarise(k));
	return status;
}

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	job k = { .ctx = ctx, .data = in->data[0], .param = param, .out = out };
	sn_arena *arena;
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = run_in(&k, in, arena);
	sn_arena_close(arena);
	return status;
}

extern const sn_method sn_method_behaviour_surprisal;
const sn_method sn_method_behaviour_surprisal = {
	.family = "behaviour",
	.name = "surprisal",
	.brief = "surprisal of each word and token in context, in bits",
	.doc =
		"Words are those of the treebank (a multi-word token is one, with its id 3-4), or what stands between white "
		"space, punctuation included. A token belongs to the word in which it begins; white space belongs to the word "
		"that follows. A word's surprisal is the sum over its tokens, so that words add up to the text. The first word "
		"is missing where nothing begins the text (--bos). With --correction, a word that white space ends is "
		"multiplied "
		"by the probability that a token beginning with a space follows, and divided by that of one beginning at its "
		"own "
		"start; the first word of a text is not divided. Masked models: pseudo-log-likelihood, a window around each "
		"token. Encoder-decoders: of the text given --source.\n"
		"Beside minicons: it writes 0 for a first token where we have a missing value; without a beginning-of-sequence "
		"token it does not divide the second word; it finds words by counting tokens, we by character offsets; for "
		"masked models its words are the tokenizer's, here the words of the table.",
	.cite =
		"Hale 2001; Levy 2008; Pimentel & Meister 2024 and Oh & Schuler 2024 (word boundaries); Salazar et al. 2020, "
		"Kauf & Ivanova 2023 (pseudo-log-likelihood)",
	.example = "sonde behaviour surprisal --model models/SmolLM2-135M-Instruct.Q4_1.gguf --data en_ewt-ud-test.conllu "
			   "--bos add --correction space --format csv",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_DATA | SN_NEEDS_TOKENIZER,
	.param = params,
	.n_param = SN_COUNT(params),
	.param_size = sizeof(surprisal_param),
	.table = tables,
	.n_table = SN_COUNT(tables),
	.run = run,
};
