/* `sonde generate`: what a model writes after a text. */
#include "data/result.h"
#include "model/generate.h"
#include "model/plan_file.h"

#include <string.h>

typedef struct generate_param {
	const char *prompt, *plan, *column, *early, *stop, *eos, *suppress;
	int64_t max_tokens, n, beams, top_k, forced_bos, forced_eos, limit;
	double length_penalty, temperature, top_p, min_p, repetition_penalty;
	bool sample, parse_special;
} generate_param;

#define AT(field) offsetof(generate_param, field)
static const sn_param params[] = {
	{ "text", "TEXT", "what the model reads: the text to go on from, or an encoder-decoder's source; instead of "
	  "--data", NULL, NULL, SN_TYPE_TEXT, AT(prompt), 0, 0, false },
	{ "plan", "FILE", "JSON (docs/plan.md) whose edits act while its texts, and those given otherwise, are gone on "
	  "from", NULL, NULL, SN_TYPE_TEXT, AT(plan), 0, 0, false },
	{ "column", NULL, "column of the texts; auto: text, sentence, prompt or sentence_good", "auto", NULL, SN_TYPE_TEXT,
	  AT(column), 0, 0, false },
	{ "limit", "rows", "only the first rows of the data; 0: all", "0", NULL, SN_TYPE_INT, AT(limit), 0, 1e15, false },
	{ "max-tokens", "tokens", "the most that are written", "64", NULL, SN_TYPE_INT, AT(max_tokens), 1, 1e6, false },
	{ "n", "texts", "continuations of each prompt: draws with --sample, the best of the beams otherwise", "1", NULL,
	  SN_TYPE_INT, AT(n), 1, 1e6, false },
	{ "beams", "beams", "width of the beam search; 1: none", "1", NULL, SN_TYPE_INT, AT(beams), 1, 1024, false },
	{ "length-penalty", NULL, "scores are summed log-probabilities / tokens^penalty", "1", NULL, SN_TYPE_FLOAT,
	  AT(length_penalty), -100, 100, false },
	{ "early-stopping", NULL, "when beams end: no: when none can still beat the worst finished one at its present "
	  "length; yes: when as many are finished as there are beams; never: as no, at the longest length", "no",
	  "no|yes|never", SN_TYPE_TEXT, AT(early), 0, 0, false },
	{ "sample", NULL, "draw tokens instead of taking the most probable one", NULL, NULL, SN_TYPE_BOOL, AT(sample), 0, 0,
	  false },
	{ "temperature", NULL, "scores are divided by it before a draw", "1", NULL, SN_TYPE_FLOAT, AT(temperature), 1e-6,
	  1e6, false },
	{ "top-k", "tokens", "draw among the k most probable; 0: all", "0", NULL, SN_TYPE_INT, AT(top_k), 0, 1e9, false },
	{ "top-p", "share", "draw among the most probable that have this much together", "1", NULL, SN_TYPE_FLOAT,
	  AT(top_p), 1e-9, 1, false },
	{ "min-p", "share", "draw among those that have this share of the most probable one's probability", "0", NULL,
	  SN_TYPE_FLOAT, AT(min_p), 0, 1, false },
	{ "repetition-penalty", NULL, "positive scores of tokens that stand in the row are divided by it, negative ones "
	  "multiplied", "1", NULL, SN_TYPE_FLOAT, AT(repetition_penalty), 1e-6, 1e6, false },
	{ "stop", "TEXT", "strings that end a text, with | between them; \\n is the line's end", NULL, NULL, SN_TYPE_TEXT,
	  AT(stop), 0, 0, false },
	{ "eos", "IDS", "tokens that end a text, with commas between them; auto: the model's; none: none", "auto", NULL,
	  SN_TYPE_TEXT, AT(eos), 0, 0, false },
	{ "suppress", "IDS", "tokens that are never written, with commas between them", NULL, NULL, SN_TYPE_TEXT,
	  AT(suppress), 0, 0, false },
	{ "forced-bos", "ID", "encoder-decoders: the token that must come first (a language's); -1: none", "-1", NULL,
	  SN_TYPE_INT, AT(forced_bos), -1, 2e9, false },
	{ "forced-eos", "ID", "the token that the last of --max-tokens must be; -1: none", "-1", NULL, SN_TYPE_INT,
	  AT(forced_eos), -1, 2e9, false },
	{ "parse-special", NULL, "read <|im_end|> and the like in the texts as tokens", NULL, NULL, SN_TYPE_BOOL,
	  AT(parse_special), 0, 0, false },
};

enum { TEXTS, TOKENS };

static const sn_col text_columns[] = {
	{ "prompt", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Prompt" },
	{ "number", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, "Number" },
	{ "text", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Text" },
	{ "generated", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Generated" },
	{ "tokens", "tokens", NULL, SN_TYPE_INT, SN_COUNT_OF, 0, "Tokens" },
	{ "logprob", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, "Log-probability" },
	{ "score", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, "Score" },
	{ "finish", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Ended by" },
};

static const sn_col token_columns[] = {
	{ "prompt", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, NULL },
	{ "number", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, NULL },
	{ "position", "tokens", NULL, SN_TYPE_INT, SN_DIM, 0, NULL },
	{ "id", NULL, NULL, SN_TYPE_INT, SN_DIM, 0, NULL },
	{ "token", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, NULL },
	{ "logprob", "nats", NULL, SN_TYPE_FLOAT, SN_MEASURE, 1, NULL },
};

static const sn_table tables[] = {
	[TEXTS] = { "texts", "Generated texts", text_columns, SN_COUNT(text_columns), SN_VIEW_TABLE,
		"Log-probability: of the new tokens by the model, the end token included, whatever was penalised, cut off or "
		"forced. Score: the sum / tokens^length penalty; in beam searches of the penalised log-probabilities, by which "
		"the beams were ranked.", false },
	[TOKENS] = { "tokens", "Generated tokens", token_columns, SN_COUNT(token_columns), SN_VIEW_TABLE,
		"Each new token with its id and its log-probability by the model.", true },
};

/* ---- options ---- */

/* Comma-separated ids. */
static sn_status read_ids(sn_ctx *ctx, const char *option, const char *text, sn_arena *arena, const int32_t **out,
                          int *n_out)
{
	int32_t *id;
	int64_t value;
	int n = 1;
	for (const char *c = text; *c; c++) n += *c == ',';
	SN_NEW(id, arena, int32_t, n);
	for (int i = 0; i < n; i++) {
		size_t size = strcspn(text, ",");
		const char *word = sn_arena_copy(arena, text, size);
		if (!word) return SN_ENOMEM;
		if (!sn_parse_i64(word, &value) || value < 0 || value > INT32_MAX)
			return sn_fail(ctx, SN_EARG, "--%s: \"%s\" is no token id; expected numbers with commas between them",
			               option, word);
		id[i] = (int32_t)value;
		text += size + (text[size] == ',');
	}
	*out = id;
	*n_out = n;
	return SN_OK;
}

static sn_status read_eos(sn_ctx *ctx, const sn_model_info *info, const char *text, sn_arena *arena, sn_decoding *d)
{
	int32_t *id;
	if (strcmp(text, "none") == 0) return SN_OK;
	if (strcmp(text, "auto") != 0) return read_ids(ctx, "eos", text, arena, &d->eos, &d->n_eos);
	SN_NEW(id, arena, int32_t, 1);
	*id = info->eos;
	d->eos = id;
	d->n_eos = info->eos >= 0;
	return SN_OK;
}

/* Strings with | between them, in which \n is the line's end. */
static sn_status read_stops(sn_ctx *ctx, const char *text, sn_arena *arena, sn_decoding *d)
{
	const char **stop;
	int n = 1;
	if (!text) return SN_OK;
	for (const char *c = text; *c; c++) n += *c == '|';
	SN_NEW(stop, arena, const char *, n);
	for (int i = 0; i < n; i++) {
		size_t size = strcspn(text, "|");
		char *word = sn_arena_copy(arena, text, size), *to = word;
		if (!word) return SN_ENOMEM;
		if (size == 0) return sn_fail(ctx, SN_EARG, "--stop: an empty string would end every text");
		for (const char *c = word; *c; c++) {
			bool line_end = c[0] == '\\' && c[1] == 'n';
			*to++ = line_end ? '\n' : *c;
			c += line_end;
		}
		*to = '\0';
		stop[i] = word;
		text += size + (text[size] == '|');
	}
	d->stop = stop;
	d->n_stop = n;
	return SN_OK;
}

static sn_status read_decoding(sn_ctx *ctx, const sn_model_info *info, const generate_param *p, sn_arena *arena,
                               sn_decoding *d)
{
	*d = (sn_decoding){ .max_tokens = p->max_tokens, .n = (int32_t)p->n, .width = (int32_t)p->beams,
	                    .length_penalty = p->length_penalty, .sample = p->sample, .temperature = p->temperature,
	                    .top_k = p->top_k, .top_p = p->top_p, .min_p = p->min_p,
	                    .repetition_penalty = p->repetition_penalty, .forced_bos = (int32_t)p->forced_bos,
	                    .forced_eos = (int32_t)p->forced_eos };
	if (strcmp(p->early, "no") != 0) d->early = strcmp(p->early, "yes") == 0 ? SN_EARLY_YES : SN_EARLY_NEVER;
	bool filtered = p->temperature != 1 || p->top_k || p->top_p < 1 || p->min_p > 0;
	if (filtered && !p->sample)
		return sn_fail(ctx, SN_EARG, "--temperature, --top-k, --top-p and --min-p are about draws: add --sample");
	SN_TRY(read_eos(ctx, info, p->eos, arena, d));
	SN_TRY(read_stops(ctx, p->stop, arena, d));
	return p->suppress ? read_ids(ctx, "suppress", p->suppress, arena, &d->suppress, &d->n_suppress) : SN_OK;
}

/* ---- prompts ---- */

typedef struct texts { const char *const *text; int64_t n; const char *source; } texts;

static sn_status find_texts(sn_ctx *ctx, const sn_input *in, const generate_param *p, texts *out)
{
	static const char *const usual[] = { "text", "sentence", "prompt", "sentence_good" };
	const sn_dataset *data = in->data[0];
	const sn_column *column = NULL;
	if (!data && !p->prompt && p->plan) return *out = (texts){ 0 }, SN_OK;
	if (!data == !p->prompt) return sn_fail(ctx, SN_EARG, "expected either --text TEXT or --data FILE");
	if (!data) return *out = (texts){ &p->prompt, 1, "--text" }, SN_OK;
	if (strcmp(p->column, "auto") != 0) column = sn_dataset_column(data, p->column);
	else for (int i = 0; !column && i < SN_COUNT(usual); i++) column = sn_dataset_column(data, usual[i]);
	if (!column || column->type != SN_TYPE_TEXT)
		return sn_fail(ctx, SN_ENOTFOUND, "%s: no column of text found (%s); name it with --column", data->source,
		               p->column);
	*out = (texts){ column->s, p->limit > 0 ? SN_MIN(p->limit, data->n) : data->n, data->source };
	return SN_OK;
}

/* Some prompts as a batch; encoder-decoders read them with the encoder. */
typedef struct prompts { sn_batch batch, enc; } prompts;

static sn_status tokenize(sn_ctx *ctx, const sn_model *model, const texts *t, int64_t first, int32_t n, int flags,
                          sn_arena *arena, sn_batch *out)
{
	sn_tokens *row;
	int64_t *start, *item;
	int32_t *token;
	SN_NEW(row, arena, sn_tokens, n);
	SN_NEW(start, arena, int64_t, n + 1);
	SN_NEW(item, arena, int64_t, n);
	for (int32_t i = 0; i < n; i++) {
		const char *text = t->text[first + i] ? t->text[first + i] : "";
		SN_TRY(sn_tokenize(ctx, sn_model_tokenizer(model), text, strlen(text), flags, arena, &row[i]));
		if (row[i].n == 0)
			return sn_fail(ctx, SN_EPARSE, "%s: text %lld has no tokens to go on from", t->source,
			               (long long)(first + i));
		item[i] = first + i;
		start[i + 1] = start[i] + row[i].n;
	}
	SN_NEW(token, arena, int32_t, start[n]);
	for (int32_t i = 0; i < n; i++) memcpy(token + start[i], row[i].id, (size_t)row[i].n * sizeof *token);
	*out = (sn_batch){ .n = n, .token = token, .start = start, .item = item };
	return SN_OK;
}

static sn_status make_prompts(sn_ctx *ctx, const sn_model *model, const texts *t, int64_t first, int32_t n, int flags,
                              sn_arena *arena, prompts *out)
{
	const sn_model_info *info = sn_model_get_info(model);
	int32_t *token;
	int64_t *start;
	if (!info->n_layer_encoder) return tokenize(ctx, model, t, first, n, flags, arena, &out->batch);
	if (info->decoder_start < 0)
		return sn_fail(ctx, SN_EARG, "%s: config.json names no decoder_start_token_id, which every text begins with",
		               info->path);
	SN_TRY(tokenize(ctx, model, t, first, n, flags, arena, &out->enc));
	SN_NEW(token, arena, int32_t, n);
	SN_NEW(start, arena, int64_t, n + 1);
	for (int32_t i = 0; i < n; i++) {
		token[i] = info->decoder_start;
		start[i + 1] = i + 1;
	}
	out->batch = (sn_batch){ .n = n, .token = token, .start = start, .item = out->enc.item, .enc = &out->enc };
	return SN_OK;
}

/* ---- results ---- */

static sn_status add_tokens(sn_ctx *ctx, const sn_model *model, const sn_generated *g, int64_t number, int64_t first,
                            sn_arena *arena, sn_result *out)
{
	for (int32_t i = 0; i < g->n; i++) {
		size_t size;
		const char *text = sn_token_text(ctx, sn_model_tokenizer(model), g->token[i], arena, &size);
		SN_TRY(SN_ADD(out, TOKENS, sn_int(number), sn_int(g->number), sn_int(first + i), sn_int(g->token[i]),
		              sn_text(text), sn_num(g->logprob[i])));
	}
	return SN_OK;
}

static sn_status add_text(sn_ctx *ctx, const sn_model *model, const char *prompt, int64_t number, int64_t n_prompt,
                          const sn_generated *g, sn_arena *arena, sn_result *out)
{
	const char *text;
	size_t size;
	SN_TRY(sn_detokenize(ctx, sn_model_tokenizer(model), g->n, g->token, SN_SKIP_SPECIAL, arena, &text, &size));
	SN_TRY(SN_ADD(out, TEXTS, sn_int(number), sn_int(g->number), sn_text(prompt), sn_text(text), sn_int(g->n),
	              sn_num(g->sum), sn_num(g->score), sn_text(sn_finish_name(g->finish))));
	return add_tokens(ctx, model, g, number, n_prompt, arena, out);
}

static void chosen(void *payload, int32_t prompt, int32_t number, int32_t token, const char *text)
{
	(void)prompt, (void)number, (void)token;
	sn_stream(payload, text);
}

/* What is computed together: about as many rows as a matrix product takes at no more cost than one. */
enum { ROWS_AT_ONCE = 32 };

static sn_status run_some(sn_ctx *ctx, const sn_input *in, const texts *t, int64_t first, int32_t n, int flags,
                          const sn_decoding *d, sn_arena *arena, sn_result *out)
{
	prompts p = { 0 };
	sn_generated *g;
	SN_TRY(make_prompts(ctx, in->model[0], t, first, n, flags, arena, &p));
	SN_TRY(sn_generate(ctx, in->model[0], &p.batch, NULL, d, arena, &g));
	for (int32_t i = 0; i < n * d->n; i++) {
		int64_t n_prompt = p.batch.start[g[i].prompt + 1] - p.batch.start[g[i].prompt];
		int64_t number = first + g[i].prompt;
		SN_TRY(add_text(ctx, in->model[0], t->text[number], number, n_prompt, &g[i], arena, out));
	}
	return SN_OK;
}

/* The texts of a plan go on together, since they may read from one another; those without edits first. */
static sn_status run_plan(sn_ctx *ctx, const sn_input *in, const generate_param *p, const texts *t,
                          const sn_decoding *d, sn_arena *arena, sn_result *out)
{
	sn_plan_file f;
	sn_generated *g;
	SN_TRY(sn_plan_file_read(&f, ctx, in->model[0], p->plan, t->text, t->n, arena));
	if (f.plan.n_goal || f.plan.n_tap) sn_note(ctx, "%s: only the edits act here, not the goals and taps", p->plan);
	f.batch.parent = f.batch.fork = NULL;
	SN_TRY(sn_generate(ctx, in->model[0], &f.batch, &f.plan, d, arena, &g));
	for (int32_t i = 0; i < f.batch.n * d->n; i++) {
		int64_t n_prompt = f.batch.start[g[i].prompt + 1] - f.batch.start[g[i].prompt];
		SN_TRY(add_text(ctx, in->model[0], f.text[g[i].prompt], g[i].prompt, n_prompt, &g[i], arena, out));
	}
	return SN_OK;
}

static sn_status run_all(sn_ctx *ctx, const sn_input *in, const generate_param *p, const texts *t,
                         const sn_decoding *d, sn_arena *arena, sn_result *out)
{
	int flags = SN_ADD_SPECIAL | (p->parse_special ? SN_PARSE_SPECIAL : 0);
	int32_t step = SN_MAX(1, ROWS_AT_ONCE / SN_MAX(d->n, d->width));
	sn_mark mark = sn_arena_mark(arena);
	if (p->plan) return run_plan(ctx, in, p, t, d, arena, out);
	for (int64_t first = 0; first < t->n; first += step) {
		sn_progress(ctx, "prompts", first, t->n);
		SN_TRY(run_some(ctx, in, t, first, (int32_t)SN_MIN(step, t->n - first), flags, d, arena, out));
		sn_arena_reset(arena, mark);
	}
	return SN_OK;
}

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	const generate_param *p = param;
	texts t;
	sn_decoding d;
	sn_arena *arena;
	SN_TRY(find_texts(ctx, in, p, &t));
	if (!sn_model_tokenizer(in->model[0]))
		return sn_fail(ctx, SN_EARG, "the model has no tokenizer to read a text with");
	SN_TRY(read_decoding(ctx, sn_model_get_info(in->model[0]), p, sn_result_arena(out), &d));
	d.payload = ctx;
	d.chosen = t.n == 1 && d.n == 1 && !p->plan ? chosen : NULL;
	SN_TRY(sn_arena_open(&arena, ctx));
	sn_status status = run_all(ctx, in, p, &t, &d, arena, out);
	sn_arena_close(arena);
	if (d.chosen) sn_stream(ctx, "\n");
	return status;
}

extern const sn_method sn_method_generate;
const sn_method sn_method_generate = {
	.family = "", .name = "generate", .brief = "what a model writes after a text: greedy, drawn, or by beam search",
	.doc = "Terms and semantics are those of transformers' generate (5.23), with which greedy decoding and beam search "
	       "agree token for token. Scores pass, in this order: repetition penalty, suppressed and forced tokens, and "
	       "before a draw temperature, top-k, top-p, min-p; each filter sees the probabilities among what the one "
	       "before left. Different: nothing is filtered unless asked (transformers draws among 50), the end token is "
	       "the model's own only, and draws depend on --seed, the text's number and the continuation's number alone. A "
	       "text ends with its stop string. On a terminal one text is shown while it is written.",
	.cite = "Holtzman et al. 2020 (top-p); Keskar et al. 2019 (repetition penalty)",
	.example = "sonde generate --model models/SmolLM2-135M-Instruct.Q4_1.gguf --text \"The capital of France is\"",
	.needs = SN_NEEDS_MODEL | SN_NEEDS_TOKENIZER | SN_TAKES_DATA,
	.param = params, .n_param = SN_COUNT(params), .param_size = sizeof(generate_param),
	.table = tables, .n_table = SN_COUNT(tables), .run = run,
};
