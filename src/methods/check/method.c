/* `sonde model check MODEL`: the checks in their order, and the verdict. */
#include "methods/check/check.h"

#include <math.h>
#include <string.h>

static const sn_col check_columns[] = {
	{ "check", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Check" },
	{ "verdict", NULL, NULL, SN_TYPE_TEXT, SN_MEASURE, 0, "Verdict" },
	{ "value", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Value" },
	{ "expected", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Expected" },
	{ "note", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Note" },
};

static const sn_col prediction_columns[] = {
	{ "text", NULL, NULL, SN_TYPE_TEXT, SN_DIM, 0, "Text" },
	{ "predictions", NULL, NULL, SN_TYPE_TEXT, SN_TEXT, 0, "Most probable tokens" },
};

static const sn_table tables[] = {
	[SN_CHECK_CHECKS] = { "checks", "Checks", check_columns, SN_COUNT(check_columns), SN_VIEW_TABLE,
						  "In the order in which a mistake shows first: the first wrong line is the one to look into.",
						  false },
	[SN_CHECK_PREDICTIONS] = { "predictions", "What the model says", prediction_columns, SN_COUNT(prediction_columns),
							   SN_VIEW_TABLE, "Probabilities of the token that follows (or of the masked one).",
							   false },
};

/* ---- the built-in texts ---- */

static const sn_check_text texts[SN_CHECK_TEXTS] = {
	{ .language = "English",
	  .text =
		  "The old man walked slowly along the river, because he wanted to see the boats before the sun went down. "
		  "When he came to the bridge, he stopped and looked at the water for a long time. A young woman asked him "
		  "whether he needed help. \"No, thank you,\" he said with a smile, \"I am only waiting for my brother.\"" },
	{ .language = "Russian",
	  .text = "Старый рыбак медленно шёл вдоль реки, потому что хотел увидеть лодки до захода солнца. Когда он подошёл "
			  "к мосту, он остановился и долго смотрел на воду. Молодая женщина спросила, не нужна ли ему помощь. "
			  "«Нет, спасибо, – ответил он с улыбкой, – я просто жду своего брата»." },
};

/* Without a tokenizer: ids drawn at random. */
static sn_status draw_ids(sn_check *c, sn_check_text *t, int64_t n, uint64_t key)
{
	sn_rng rng = sn_rng_make(sn_ctx_seed(c->ctx), key);
	SN_NEW(t->tokens.id, c->arena, int32_t, n);
	for (int64_t i = 0; i < n; i++) t->tokens.id[i] = (int32_t)sn_rng_below(&rng, (uint64_t)c->info->d_vocab);
	t->tokens.n = n;
	return SN_OK;
}

static double characters_a_token(const sn_check_text *t)
{
	int64_t characters = 0;
	for (size_t i = 0; i < t->size; i++) characters += ((unsigned char)t->text[i] & 0xc0) != 0x80;
	return t->tokens.n ? (double)characters / (double)t->tokens.n : 0;
}

static sn_status make_texts(sn_check *c)
{
	int64_t most = SN_MIN(c->info->n_ctx, (int64_t)SN_CHECK_TOKENS);
	double density[SN_CHECK_TEXTS];
	for (int i = 0; i < SN_CHECK_TEXTS; i++) {
		sn_check_text *t = &c->text[i];
		*t = texts[i];
		t->size = strlen(t->text);
		t->loss = NAN;
		if (c->tokenizer)
			SN_TRY(sn_tokenize(c->ctx, c->tokenizer, t->text, t->size, SN_ADD_SPECIAL, c->arena, &t->tokens));
		else
			SN_TRY(draw_ids(c, t, most, (uint64_t)i));
		density[i] = characters_a_token(t);
	}
	c->best = density[1] > density[0] ? 1 : 0;
	return SN_OK;
}

/* From here on the texts are short enough for every model; the end that a tokenizer adds is cut with the rest. */
static void shorten_texts(sn_check *c)
{
	int64_t most = SN_MIN(c->info->n_ctx, (int64_t)SN_CHECK_TOKENS);
	for (int i = 0; i < SN_CHECK_TEXTS; i++) c->text[i].tokens.n = SN_MIN(c->text[i].tokens.n, most);
}

/* ---- rows ---- */

sn_status sn_check_say(sn_check *c, const char *name, sn_verdict verdict, double value, const char *unit,
					   const char *expected, const char *format, ...)
{
	static const char *const word[] = { "ok", "wrong", "skipped" };
	char number[96] = "", note[600];
	va_list args;
	va_start(args, format);
	sn_vformat(note, sizeof note, format, args);
	va_end(args);
	if (isfinite(value))
		sn_format(number, sizeof number, value >= 1000 ? "%.0f%s%s" : "%.4g%s%s", value, unit[0] ? " " : "", unit);
	c->n_ok += verdict == SN_VERDICT_OK;
	c->n_skipped += verdict == SN_VERDICT_SKIPPED;
	if (verdict == SN_VERDICT_WRONG) {
		SN_ASSERT(c->n_wrong < SN_CHECK_MOST);
		c->wrong[c->n_wrong] = sn_arena_format(sn_result_arena(c->out), "%s: %s%sexpected %s. %s.", name, number,
											   number[0] ? ", " : "", expected, note);
		if (!c->wrong[c->n_wrong++]) return SN_ENOMEM;
	}
	return SN_ADD(c->out, SN_CHECK_CHECKS, sn_text(name), sn_text(word[verdict]), sn_text(number), sn_text(expected),
				  sn_text(verdict == SN_VERDICT_WRONG ? "see above" : note));
}

bool sn_check_site(const sn_check *c, sn_site *out, const char *format, ...)
{
	char name[128];
	va_list args;
	va_start(args, format);
	sn_vformat(name, sizeof name, format, args);
	va_end(args);
	return sn_site_parse(c->ctx, c->model, name, out) == SN_OK;
}

sn_status sn_check_keep(sn_check *c, const sn_site *site, int64_t n_token, sn_keep *keep, sn_tap *tap)
{
	*keep = (sn_keep){ .m = n_token, .d = sn_site_width(c->model, site) };
	SN_NEW(keep->x, c->arena, float, n_token * keep->d);
	*tap = (sn_tap){ .at = *site, .where = { .sel = SN_ALL }, .sink = &sn_sink_keep, .state = keep };
	return SN_OK;
}

sn_status sn_check_run(sn_check *c, const sn_batch *batch, const sn_tap *tap, int n_tap)
{
	sn_plan plan = { .size = sizeof plan, .n_tap = n_tap, .tap = tap };
	return sn_run(c->ctx, c->model, batch, &plan, NULL, NULL);
}

double sn_check_difference(const float *a, const float *b, int64_t n)
{
	double difference = 0, norm = 0;
	for (int64_t i = 0; i < n; i++) {
		difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
		norm += (double)b[i] * b[i];
	}
	return norm > 0 ? sqrt(difference / norm) : sqrt(difference);
}

/* ---- the method ---- */

static sn_status ask(sn_check *c)
{
	static sn_status (*const group[])(sn_check *) = { sn_check_tokenizer, sn_check_weights,   sn_check_activations,
													  sn_check_epsilon,   sn_check_attention, sn_check_sums,
													  sn_check_batch,     sn_check_language };
	SN_TRY(make_texts(c));
	for (int i = 0; i < SN_COUNT(group) && !c->stop; i++) {
		sn_mark mark = sn_arena_mark(c->arena);
		SN_TRY(sn_poll(c->ctx));
		sn_progress(c->ctx, "groups of checks", i, SN_COUNT(group));
		SN_TRY(group[i](c));
		if (i == 0) shorten_texts(c);
		sn_arena_reset(c->arena, mark);
	}
	sn_progress(c->ctx, "groups of checks", SN_COUNT(group), SN_COUNT(group));
	return SN_OK;
}

static sn_status conclude(const sn_check *c)
{
	if (c->n_wrong == 0) return sn_result_say(c->out, "ok: %d checks passed, %d do not apply.", c->n_ok, c->n_skipped);
	SN_TRY(sn_result_say(c->out, "%d of %d checks failed%s:", c->n_wrong, c->n_wrong + c->n_ok,
						 c->stop ? "; the others were not made" : ""));
	for (int i = 0; i < c->n_wrong; i++) SN_TRY(sn_result_say(c->out, "%s", c->wrong[i]));
	return sn_fail(c->ctx, SN_ECHECK, "%s", c->wrong[0]);
}

static sn_status run(sn_ctx *ctx, const sn_input *in, const void *param, sn_result *out)
{
	sn_check c = { .ctx = ctx, .model = in->model[0], .info = sn_model_get_info(in->model[0]), .out = out };
	(void)param;
	c.tokenizer = sn_model_tokenizer(c.model);
	SN_TRY(sn_arena_open(&c.arena, ctx));
	sn_status status = ask(&c);
	if (status == SN_OK) status = conclude(&c);
	sn_arena_close(c.arena);
	return status;
}

extern const sn_method sn_method_model_check;
const sn_method sn_method_model_check = {
	.family = "model",
	.name = "check",
	.brief = "is this model read and computed rightly? what to run first on an unfamiliar one",
	.doc = "Runs two built-in texts, English and Russian, through the model and looks for the mistakes that files and "
		   "their "
		   "readers make: a tokenizer that loses text, numbers that are not finite, a wrong epsilon in the norms, "
		   "attention "
		   "that does not sum to one, residual sums that do not add up, rows that differ alone and together, later "
		   "tokens that "
		   "change earlier ones, a loss that is no better than chance, words that are not found again (a wrong rotary "
		   "order), a missing beginning-of-sequence token. Says what each wrong value usually means; exit code 1 then.",
	.example = "sonde model check models/SmolLM2-135M-Instruct.Q4_1.gguf",
	.needs = SN_NEEDS_MODEL,
	.table = tables,
	.n_table = SN_COUNT(tables),
	.run = run,
};
