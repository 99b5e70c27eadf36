/* Does it know language? The loss on the texts, a text repeated, a missing beginning-of-sequence token, and examples of
 * what the model predicts. */
#include "methods/check/check.h"

#include <math.h>
#include <string.h>

/* A loss is bad above this share of log(vocabulary), and of the first copy's where words are repeated. */
static const double loss_share = 0.7, copy_share = 0.8;

/* ---- losses ---- */

static bool has_logits(const sn_check *c)
{
	sn_site site;
	return sn_check_site(c, &site, "unembed.hook_out") && sn_site_width(c->model, &site) > 1;
}

/* The token that stands for a hidden one; -1 if the tokenizer has none. */
static int32_t mask_token(const sn_check *c)
{
	static const char *const form[] = { "[MASK]", "<mask>" };
	for (int i = 0; i < SN_COUNT(form); i++) {
		sn_tokens t;
		sn_status status = sn_tokenize(c->ctx, c->tokenizer, form[i], strlen(form[i]), SN_PARSE_SPECIAL, c->arena, &t);
		if (status == SN_OK && t.n == 1) return t.id[0];
	}
	return -1;
}

/* Mean loss of the places [first, end) of a row, each over the token that follows. */
static sn_status mean_loss(sn_check *c, const int32_t *id, int64_t n, int64_t first, int64_t end, double *loss)
{
	sn_batch batch = { .n = 1, .token = id, .start = (int64_t[]){ 0, n } };
	sn_goal goal = { .metric = SN_LOSS, .where = { .sel = SN_RANGE, .arg = (int32_t)first, .end = (int32_t)end } };
	sn_plan plan = { .size = sizeof plan, .n_goal = 1, .goal = &goal };
	SN_TRY(sn_run(c->ctx, c->model, &batch, &plan, NULL, loss));
	*loss /= (double)(end - first);
	return SN_OK;
}

enum { MOST_MASKED = 32 };

/* Mean loss of single tokens, each masked in a row of its own. */
static sn_status masked_loss(sn_check *c, const sn_check_text *t, int32_t mask, double *loss)
{
	int64_t n = t->tokens.n, step = (n + MOST_MASKED - 1) / MOST_MASKED, start[MOST_MASKED + 1] = { 0 },
			list[MOST_MASKED];
	int32_t *token, want[MOST_MASKED], m = 0;
	double score[MOST_MASKED], sum = 0;
	SN_NEW(token, c->arena, int32_t, n * MOST_MASKED);
	for (int64_t pos = 0; pos < n && m < MOST_MASKED; pos += step) {
		if (t->tokens.span && t->tokens.span[pos][0] == t->tokens.span[pos][1]) continue;
		memcpy(token + m * n, t->tokens.id, (size_t)n * sizeof *token);
		list[m] = m * n + pos;
		want[m] = token[list[m]];
		token[list[m]] = mask;
		m++;
		start[m] = m * n;
	}
	sn_batch batch = { .n = m, .token = token, .start = start };
	sn_goal goal = {
		.metric = SN_LOGPROB, .where = { .sel = SN_LIST, .list = list, .n_list = m }, .want = want, .n_want = m
	};
	sn_plan plan = { .size = sizeof plan, .n_goal = 1, .goal = &goal };
	SN_TRY(sn_run(c->ctx, c->model, &batch, &plan, NULL, score));
	for (int32_t i = 0; i < m; i++) sum -= score[i];
	*loss = sum / m;
	return SN_OK;
}

/* ---- copying, positions ---- */

/* Loss of a text's second copy as a share of the first's; NaN if the context is too short for two. */
static sn_status copying(sn_check *c, const sn_check_text *t, double *ratio)
{
	enum { MOST = 32, LEAST = 8 };
	int64_t n = SN_MIN(SN_MIN(t->tokens.n, (int64_t)MOST), c->info->n_ctx / 2), begin = 0;
	int32_t id[2 * MOST];
	double once, again;
	*ratio = NAN;
	if (n < LEAST) return SN_OK;
	while (t->tokens.span && begin < n && t->tokens.span[begin][0] == t->tokens.span[begin][1]) begin++;
	memcpy(id, t->tokens.id, (size_t)n * sizeof *id);
	memcpy(id + n, t->tokens.id + begin, (size_t)(n - begin) * sizeof *id);
	SN_TRY(mean_loss(c, id, 2 * n - begin, 0, n - 1, &once));
	SN_TRY(mean_loss(c, id, 2 * n - begin, n, 2 * n - begin - 1, &again));
	*ratio = again / once;
	return SN_OK;
}

/* What the model gains when the token its file calls BOS is put before the text: losses in nats a token; NaN: not
 * asked. */
typedef struct bos_losses {
	double without, with;
} bos_losses;

static sn_status measure_bos(sn_check *c, const sn_check_text *t, bos_losses *out)
{
	int64_t n = SN_MIN(t->tokens.n, c->info->n_ctx - 1);
	int32_t *id;
	*out = (bos_losses){ NAN, NAN };
	if (c->info->bos < 0 || c->info->bos >= c->info->d_vocab || c->info->add_bos || t->tokens.id[0] == c->info->bos ||
		n < 3)
		return SN_OK;
	SN_NEW(id, c->arena, int32_t, n + 1);
	id[0] = c->info->bos;
	memcpy(id + 1, t->tokens.id, (size_t)n * sizeof *id);
	SN_TRY(mean_loss(c, id + 1, n, 1, n - 1, &out->without));
	return mean_loss(c, id, n + 1, 2, n, &out->with);
}

/* A model whose loss stays bad has another trouble. */
static sn_status check_bos(sn_check *c, const bos_losses *loss)
{
	static const char name[] = "BOS is not missing", expected[] = "below 1 nat a token";
	static const double most = 1;
	double gain = loss->without - loss->with;
	bool helps = gain >= most && loss->with <= loss_share * log((double)c->info->d_vocab);
	if (isnan(gain))
		return sn_check_say(c, name, SN_VERDICT_SKIPPED, NAN, "", "",
							c->info->add_bos ? "The tokenizer adds it" : "The file names no such token");
	if (!helps)
		return sn_check_say(c, name, SN_VERDICT_OK, gain, "nats a token", expected, "What adding it would gain");
	return sn_check_say(
		c, name, SN_VERDICT_WRONG, gain, "nats a token", expected,
		"The model was trained with a beginning-of-sequence token that its tokenizer does not add: put it "
		"before each text, or correct add_bos_token in the file");
}

/* ---- verdicts on the loss ---- */

static const char *why_loss(double loss, double chance, double ratio)
{
	if (loss > 0.9 * chance && !(ratio < copy_share))
		return "No better than chance: the weights are random or damaged, or the tokenizer is another model's";
	if (!(ratio < copy_share))
		return "Words are known, but not found again: positions do not reach attention – usually the wrong rotary "
			   "(RoPE) "
			   "permutation of Q and K, or a wrong base or scaling";
	return "Attention works, words are poorly known: usually another model's tokenizer or embedding, a wrong "
		   "activation, "
		   "or a file quantised too far";
}

static sn_status check_loss(sn_check *c, double ratio)
{
	const sn_check_text *t = &c->text[c->best];
	double chance = log((double)c->info->d_vocab);
	bool fine = t->loss <= loss_share * chance;
	char expected[96];
	sn_format(expected, sizeof expected, "below %.2f (%.1f log vocabulary)", loss_share * chance, loss_share);
	if (fine)
		return sn_check_say(c, "loss far below chance", SN_VERDICT_OK, t->loss, "nats a token", expected,
							"%s text; chance is %.2f", t->language, chance);
	return sn_check_say(c, "loss far below chance", SN_VERDICT_WRONG, t->loss, "nats a token", expected, "%s text: %s",
						t->language, why_loss(t->loss, chance, ratio));
}

static sn_status check_copying(sn_check *c, double ratio)
{
	static const char name[] = "repeated words are found";
	char expected[64];
	sn_format(expected, sizeof expected, "below %.1f", copy_share);
	if (isnan(ratio))
		return sn_check_say(c, name, SN_VERDICT_SKIPPED, NAN, "", "", "Asked of causal models with room for it");
	if (ratio < copy_share)
		return sn_check_say(c, name, SN_VERDICT_OK, ratio, "", expected,
							"Loss of a text's second copy over that of the first");
	return sn_check_say(
		c, name, SN_VERDICT_WRONG, ratio, "", expected,
		"Loss of a text's second copy over that of the first: attention does not find what stood before – "
		"usually the wrong rotary (RoPE) permutation of Q and K, or a wrong base or scaling");
}

/* ---- predictions ---- */

typedef struct guess {
	int32_t id;
	double p;
} guess;

enum { GUESSES = 4 };

/* The most probable tokens of one row of logits, best first. */
static void best_guesses(const float *logit, int64_t n, guess best[GUESSES])
{
	double top = logit[0], sum = 0;
	for (int64_t i = 1; i < n; i++) top = fmax(top, logit[i]);
	for (int64_t i = 0; i < n; i++) sum += exp(logit[i] - top);
	for (int k = 0; k < GUESSES; k++) best[k] = (guess){ -1, -1 };
	for (int64_t i = 0; i < n; i++) {
		guess g = { (int32_t)i, exp(logit[i] - top) / sum };
		for (int k = 0; k < GUESSES; k++) {
			if (g.p <= best[k].p) continue;
			guess swap = best[k];
			best[k] = g;
			g = swap;
		}
	}
}

static sn_status describe_guesses(sn_check *c, const guess best[GUESSES], sn_buf *text)
{
	for (int k = 0; k < GUESSES && best[k].id >= 0; k++) {
		size_t size;
		const char *word = sn_token_text(c->ctx, c->tokenizer, best[k].id, c->arena, &size);
		bool readable = word && sn_utf8_check(word, size) < 0;
		if (readable)
			sn_buf_format(text, "%s\"%s\" %.2f", k ? ", " : "", word, best[k].p);
		else
			sn_buf_format(text, "%stoken %d %.2f", k ? ", " : "", best[k].id, best[k].p);
	}
	return text->failed ? SN_ENOMEM : SN_OK;
}

/* What the model says at one place of a row. */
static sn_status predict(sn_check *c, const char *prompt, const sn_tokens *t, int64_t at)
{
	guess best[GUESSES];
	sn_buf text = { .ctx = c->ctx };
	sn_keep keep = { .m = 1 };
	sn_site site;
	if (!sn_check_site(c, &site, "unembed.hook_out")) return SN_OK;
	keep.d = sn_site_width(c->model, &site);
	SN_NEW(keep.x, c->arena, float, keep.d);
	sn_batch batch = { .n = 1, .token = t->id, .start = (int64_t[]){ 0, t->n } };
	sn_tap tap = { .at = site, .where = { .sel = SN_AT, .arg = (int32_t)at }, .sink = &sn_sink_keep, .state = &keep };
	SN_TRY(sn_check_run(c, &batch, &tap, 1));
	best_guesses(keep.x, keep.d, best);
	sn_status status = describe_guesses(c, best, &text);
	if (status == SN_OK)
		status = SN_ADD(c->out, SN_CHECK_PREDICTIONS, sn_text(prompt), sn_text(text.data ? text.data : ""));
	sn_buf_free(&text);
	return status;
}

static sn_status predictions(sn_check *c, int32_t mask)
{
	static const char *const prompt[] = { "The capital of France is", "Monday, Tuesday, Wednesday,",
										  "Столица России – город" };
	for (int i = 0; i < SN_COUNT(prompt); i++) {
		sn_tokens t;
		int64_t at = -1;
		SN_TRY(sn_tokenize(c->ctx, c->tokenizer, prompt[i], strlen(prompt[i]), SN_ADD_SPECIAL, c->arena, &t));
		if (t.n == 0 || t.n + 1 > c->info->n_ctx) continue;
		if (mask >= 0) { /* the mask stands behind the last word, before what the tokenizer adds at the end */
			int32_t *id;
			for (at = t.n; at > 0 && t.span[at - 1][0] == t.span[at - 1][1];) at--;
			SN_NEW(id, c->arena, int32_t, t.n + 1);
			memcpy(id, t.id, (size_t)at * sizeof *id);
			id[at] = mask;
			memcpy(id + at + 1, t.id + at, (size_t)(t.n - at) * sizeof *id);
			t.id = id;
			t.n++;
		}
		SN_TRY(predict(c, prompt[i], &t, at));
	}
	return SN_OK;
}

/* ---- all of it ---- */

static sn_status causal_language(sn_check *c)
{
	double ratio;
	bos_losses bos;
	const sn_check_text *best = &c->text[c->best];
	for (int i = 0; i < SN_CHECK_TEXTS; i++) {
		sn_check_text *t = &c->text[i];
		if (t->tokens.n >= 2) SN_TRY(mean_loss(c, t->tokens.id, t->tokens.n, 0, t->tokens.n - 1, &t->loss));
	}
	SN_TRY(copying(c, best, &ratio));
	SN_TRY(measure_bos(c, best, &bos));
	SN_TRY(check_bos(c, &bos));
	SN_TRY(check_loss(c, ratio));
	SN_TRY(check_copying(c, ratio));
	return predictions(c, -1);
}

static sn_status masked_language(sn_check *c)
{
	int32_t mask = mask_token(c);
	if (mask < 0)
		return sn_check_say(c, "loss far below chance", SN_VERDICT_SKIPPED, NAN, "", "",
							"The tokenizer has no mask token");
	SN_TRY(masked_loss(c, &c->text[c->best], mask, &c->text[c->best].loss));
	SN_TRY(check_loss(c, 0));
	SN_TRY(check_copying(c, NAN));
	return predictions(c, mask);
}

sn_status sn_check_language(sn_check *c)
{
	if (c->tokenizer && has_logits(c)) return c->info->causal ? causal_language(c) : masked_language(c);
	return sn_check_say(c, "loss far below chance", SN_VERDICT_SKIPPED, NAN, "", "",
						c->tokenizer ? "The model has no head over the vocabulary" : "The model has no tokenizer");
}
