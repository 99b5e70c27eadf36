/* Generating text: the loop over steps. */
#include "model/generate.h"

#include "model/check.h"
#include "model/decode.h"
#include "model/places.h"
#include "model/state.h"
#include "text/tokenizer.h"

#include <math.h>
#include <string.h>

sn_decoding sn_decoding_greedy(int64_t max_tokens)
{
	return (sn_decoding){ .max_tokens = max_tokens, .n = 1, .width = 1, .length_penalty = 1, .temperature = 1,
	                      .top_p = 1, .repetition_penalty = 1, .forced_bos = -1, .forced_eos = -1 };
}

const char *sn_finish_name(sn_finish_reason reason)
{
	static const char *const name[] = { "unfinished", "eos", "stop", "length", "context" };
	return name[reason];
}

/* ---- what is asked ---- */

static sn_status check_id(const sn_decoder *k, const char *what, int32_t id)
{
	if (id >= -1 && id < k->V) return SN_OK;
	return sn_fail(k->ctx, SN_EARG, "%s is token %d; the vocabulary has %lld", what, id, (long long)k->V);
}

static sn_status check_ids(const sn_decoder *k)
{
	const sn_decoding *d = k->d;
	for (int i = 0; i < d->n_suppress; i++) {
		SN_TRY(check_id(k, "a suppressed token", d->suppress[i]));
		if (d->suppress[i] < 0) return sn_fail(k->ctx, SN_EARG, "a suppressed token is -1");
	}
	SN_TRY(check_id(k, "the forced first token", d->forced_bos));
	return check_id(k, "the forced last token", d->forced_eos);
}

static sn_status check(const sn_decoder *k)
{
	const sn_decoding *d = k->d;
	const sn_model_info *info = sn_model_get_info(k->model);
	if (!info->has_logits || !info->causal)
		return sn_fail(k->ctx, SN_EARG, "%s predicts no next word: only causal language models and encoder-decoders "
		               "generate", info->path[0] ? info->path : "the model");
	if (k->prompts->parent) return sn_fail(k->ctx, SN_EARG, "prompts are rows without parents");
	if (d->max_tokens < 1 || d->n < 1 || d->width < 1)
		return sn_fail(k->ctx, SN_EARG, "%lld new tokens, %d continuations, %d beams: expected at least 1 of each",
		               (long long)d->max_tokens, d->n, d->width);
	if (d->width > 1 && d->sample) return sn_fail(k->ctx, SN_EARG, "beams are not drawn: ask for samples or for beams");
	if (!d->sample && d->n > d->width)
		return sn_fail(k->ctx, SN_EARG, "%d continuations of %d beams: ask for at most as many, or for samples", d->n,
		               d->width);
	if (!(d->temperature > 0) || !(d->top_p > 0) || d->top_p > 1 || d->min_p < 0 || d->min_p > 1 || d->top_k < 0 ||
	    !(d->repetition_penalty > 0))
		return sn_fail(k->ctx, SN_EARG, "temperature %g, top_k %lld, top_p %g, min_p %g, repetition penalty %g: "
		               "expected above 0, at least 0, in (0, 1], in [0, 1], above 0", d->temperature,
		               (long long)d->top_k, d->top_p, d->min_p, d->repetition_penalty);
	return check_ids(k);
}

/* ---- lines ---- */

static sn_status open_line(const sn_decoder *k, sn_draft *line)
{
	SN_NEW(line->token, k->arena, int32_t, k->room);
	SN_NEW(line->logprob, k->arena, double, k->room);
	return SN_OK;
}

void sn_draft_extend(sn_draft *to, const sn_draft *from, int32_t parent, int32_t token, double logprob)
{
	int32_t *tokens = to->token;
	double *logprobs = to->logprob;
	*to = *from;
	to->token = tokens;
	to->logprob = logprobs;
	memcpy(tokens, from->token, (size_t)from->n * sizeof *tokens);
	memcpy(logprobs, from->logprob, (size_t)from->n * sizeof *logprobs);
	if (token < 0) return;
	to->parent = parent;
	tokens[to->n] = token;
	logprobs[to->n++] = logprob;
}

static bool among(int32_t id, const int32_t *ids, int n)
{
	for (int i = 0; i < n; i++)
		if (ids[i] == id) return true;
	return false;
}

/* The text of a line's new tokens. */
static sn_status text_of(const sn_decoder *k, const sn_draft *line, int32_t n, const char **text, size_t *size)
{
	int32_t first = k->group[line->prompt].n_prompt;
	*text = "";
	*size = 0;
	if (!k->model->tokenizer || n == first) return SN_OK;
	return sn_detokenize(k->ctx, k->model->tokenizer, n - first, line->token + first, SN_SKIP_SPECIAL, k->arena, text,
	                     size);
}

static sn_status stopped(const sn_decoder *k, const sn_draft *line, bool *out)
{
	const char *text;
	size_t size;
	*out = false;
	if (!k->d->n_stop) return SN_OK;
	sn_mark mark = sn_arena_mark(k->arena);
	SN_TRY(text_of(k, line, line->n, &text, &size));
	for (int i = 0; i < k->d->n_stop; i++) *out |= strstr(text, k->d->stop[i]) != NULL;
	sn_arena_reset(k->arena, mark);
	return SN_OK;
}

sn_status sn_draft_finished(const sn_decoder *k, const sn_draft *line, sn_finish_reason *out)
{
	const sn_group *g = &k->group[line->prompt];
	bool stop;
	SN_TRY(stopped(k, line, &stop));
	*out = among(line->token[line->n - 1], k->d->eos, k->d->n_eos) ? SN_FINISH_EOS
	       : stop             ? SN_FINISH_STOP
	       : line->n < g->most ? SN_UNFINISHED
	       : g->context       ? SN_FINISH_CONTEXT
	                          : SN_FINISH_LENGTH;
	return SN_OK;
}

/* ---- greedy and drawn texts ---- */

/* What the last token adds to the text: the longer text from where both differ, once no character is torn. */
static sn_status tell(const sn_decoder *k, const sn_draft *line)
{
	static const char torn[] = "\xef\xbf\xbd";
	const char *before, *after;
	size_t n_before, n_after, same = 0;
	if (!k->d->chosen) return SN_OK;
	sn_mark mark = sn_arena_mark(k->arena);
	SN_TRY(text_of(k, line, line->n - 1, &before, &n_before));
	SN_TRY(text_of(k, line, line->n, &after, &n_after));
	if (sn_ends_with(after, torn)) n_after = 0;
	while (same < n_before && before[same] == after[same]) same++;
	while (same > 0 && ((unsigned char)after[same] & 0xc0) == 0x80) same--;
	k->d->chosen(k->d->payload, line->prompt, line->number, line->token[line->n - 1],
	             n_after > same ? after + same : "");
	sn_arena_reset(k->arena, mark);
	return SN_OK;
}

static void put_away(sn_decoder *k, const sn_draft *line, sn_finish_reason reason)
{
	sn_group *g = &k->group[line->prompt];
	sn_draft_extend(&g->done[line->number], line, -1, -1, 0);
	g->finish[line->number] = reason;
	g->n_done++;
}

/* Live line i goes on with one token, as continuation `number`. */
static sn_status advance_line(sn_decoder *k, int32_t i, int32_t number)
{
	sn_draft *line = &k->next[k->n_next], *live = &k->live[i];
	const float *logits = k->logits + i * k->V;
	sn_finish_reason reason;
	live->number = number;
	sn_decode_process(k, live, logits, 0);
	int32_t token = sn_decode_choose(k, live);
	sn_draft_extend(line, live, i, token, logits[token] - sn_decode_lse(k, logits));
	SN_TRY(tell(k, line));
	SN_TRY(sn_draft_finished(k, line, &reason));
	if (reason == SN_UNFINISHED) k->n_next++;
	else put_away(k, line, reason);
	return SN_OK;
}

/* ---- the loop ---- */

static sn_status advance(sn_decoder *k, bool first)
{
	k->n_next = 0;
	for (int32_t i = 0, last; i < k->n_live; i = last) {
		for (last = i + 1; k->d->width > 1 && last < k->n_live && k->live[last].prompt == k->live[i].prompt;) last++;
		if (k->d->width > 1) SN_TRY(sn_beam_advance(k, i, last));
		else if (!first) SN_TRY(advance_line(k, i, k->live[i].number));
		else for (int32_t number = 0; number < k->d->n; number++) SN_TRY(advance_line(k, i, number));
	}
	sn_draft *was = k->live;
	k->live = k->next;
	k->next = was;
	k->n_live = k->n_next;
	return SN_OK;
}

static sn_status open_group(sn_decoder *k, int32_t prompt)
{
	sn_group *g = &k->group[prompt];
	int32_t room = SN_MAX(k->d->width, k->d->n);
	int64_t longest = sn_longest_row(k->model);
	g->n_prompt = sn_row_length(k->prompts, prompt);
	if (g->n_prompt >= longest)
		return sn_fail(k->ctx, SN_EARG, "prompt %d has %d tokens; the model reads %lld: none can follow", prompt,
		               g->n_prompt, (long long)longest);
	g->context = g->n_prompt + k->d->max_tokens > longest;
	g->most = (int32_t)SN_MIN(g->n_prompt + k->d->max_tokens, longest);
	k->room = SN_MAX(k->room, g->most);
	SN_NEW(g->done, k->arena, sn_draft, room);
	SN_NEW(g->finish, k->arena, sn_finish_reason, room);
	return SN_OK;
}

static sn_status open_lines(sn_decoder *k)
{
	sn_draft **set[] = { &k->live, &k->next };
	for (int s = 0; s < 2; s++) {
		SN_NEW(*set[s], k->arena, sn_draft, k->most_live + 1);   /* one more, to try a token on */
		for (int32_t i = 0; i <= k->most_live; i++) SN_TRY(open_line(k, &(*set[s])[i]));
	}
	for (int32_t b = 0; b < k->prompts->n; b++)
		for (int32_t i = 0; i < SN_MAX(k->d->width, k->d->n); i++) SN_TRY(open_line(k, &k->group[b].done[i]));
	for (; k->n_live < k->prompts->n; k->n_live++) {
		sn_draft *line = &k->live[k->n_live];
		line->prompt = k->n_live;
		line->parent = -1;
		line->n = sn_row_length(k->prompts, k->n_live);
		memcpy(line->token, k->prompts->token + k->prompts->start[k->n_live], (size_t)line->n * sizeof *line->token);
	}
	return SN_OK;
}

static sn_status open_decoder(sn_decoder *k)
{
	int64_t most = (int64_t)k->prompts->n * SN_MAX(k->d->width, k->d->n);
	if (most > INT32_MAX / 2) return sn_fail(k->ctx, SN_EARG, "%lld texts at once are too many", (long long)most);
	k->most_live = (int32_t)most;
	SN_NEW(k->group, k->arena, sn_group, k->prompts->n);
	for (int32_t b = 0; b < k->prompts->n; b++) SN_TRY(open_group(k, b));
	SN_NEW(k->logits, k->arena, float, sn_size3((size_t)most, (size_t)k->V, 1));
	SN_NEW(k->score, k->arena, double, k->V);
	SN_NEW(k->seen, k->arena, uint8_t, k->V);
	SN_NEW(k->candidate, k->arena, sn_candidate, k->d->sample ? k->V : 0);
	return open_lines(k);
}

static void hand_out(const sn_decoder *k, int32_t prompt, int32_t number, sn_generated *out)
{
	const sn_group *g = &k->group[prompt];
	const sn_draft *line = &g->done[number];
	*out = (sn_generated){ .prompt = prompt, .number = number, .n = line->n - g->n_prompt,
	                       .token = line->token + g->n_prompt, .logprob = line->logprob + g->n_prompt,
	                       .finish = g->finish[number] };
	for (int32_t i = 0; i < out->n; i++) out->sum += out->logprob[i];
	out->score = k->d->width > 1 ? line->score : out->sum / pow(out->n, k->d->length_penalty);
}

static sn_status decode(sn_decoder *k, sn_generated **out)
{
	SN_TRY(open_decoder(k));
	for (bool first = true; k->n_live; first = false) {
		SN_TRY(sn_poll(k->ctx));
		SN_TRY(sn_decode_step(k, first));
		SN_TRY(advance(k, first));
	}
	SN_NEW(*out, k->arena, sn_generated, k->prompts->n * k->d->n);
	for (int32_t b = 0, i = 0; b < k->prompts->n; b++)
		for (int32_t number = 0; number < k->d->n; number++) hand_out(k, b, number, &(*out)[i++]);
	return SN_OK;
}

sn_status sn_generate(sn_ctx *ctx, sn_model *model, const sn_batch *prompts, const sn_plan *plan,
                      const sn_decoding *decoding, sn_arena *arena, sn_generated **out)
{
	sn_decoder k = { .ctx = ctx, .model = model, .prompts = prompts, .plan = plan, .d = decoding, .arena = arena,
	                 .V = model->shape.n_logit };
	SN_TRY(check(&k));
	SN_TRY(sn_state_open(&k.state, ctx));
	sn_status status = decode(&k, out);
	sn_state_close(k.state);
	return status;
}
