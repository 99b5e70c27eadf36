/* `sonde model check`: what is asked of a model before anything it says is believed. Each group of checks adds its rows
 * to the result through sn_check_say; nothing but sn_run, sites and weights is used, so that every architecture can be
 * asked. */
#ifndef SN_METHODS_CHECK_CHECK_H
#define SN_METHODS_CHECK_CHECK_H

#include "data/result.h"

enum { SN_CHECK_CHECKS, SN_CHECK_PREDICTIONS }; /* the result's tables */

/* One of the built-in texts as the model is given it. */
typedef struct sn_check_text {
	const char *language, *text;
	size_t size;      /* bytes */
	sn_tokens tokens; /* as many as are used: at most SN_CHECK_TOKENS */
	double loss;      /* nats a token; NaN: not measured */
} sn_check_text;

enum { SN_CHECK_TEXTS = 2, SN_CHECK_TOKENS = 96, SN_CHECK_MOST = 32 };

typedef struct sn_check {
	sn_ctx *ctx;
	sn_model *model;
	const sn_model_info *info;
	const sn_tokenizer *tokenizer; /* or NULL: then the texts are random ids, and their words mean nothing */
	sn_arena *arena;
	sn_result *out;
	sn_check_text text[SN_CHECK_TEXTS];
	int best;  /* the text with most characters a token: the language the model is made for */
	bool stop; /* after what was found, other checks would say nothing */
	int n_ok, n_wrong, n_skipped;
	const char *wrong[SN_CHECK_MOST]; /* [n_wrong] each wrong check and what it usually means, in a sentence or two */
} sn_check;

typedef enum sn_verdict { SN_VERDICT_OK, SN_VERDICT_WRONG, SN_VERDICT_SKIPPED } sn_verdict;

/* Adds a row. value: NaN where there is none; expected: what it should be; format: what a wrong one usually means (told
 * in the summary), why it was skipped, a remark, or "". */
SN_CHECKED sn_status sn_check_say(sn_check *c, const char *name, sn_verdict verdict, double value, const char *unit,
								  const char *expected, const char *format, ...) SN_PRINTF(7, 8);

/* Finds a site by its name; false if the model has none. */
bool sn_check_site(const sn_check *c, sn_site *out, const char *format, ...) SN_PRINTF(3, 4);
/* A tap of every position of a site that keeps its values: keep->x [places, width] from the arena. n_token: tokens of
 * the batch. */
SN_CHECKED sn_status sn_check_keep(sn_check *c, const sn_site *site, int64_t n_token, sn_keep *keep, sn_tap *tap);
/* Runs taps on a batch. */
SN_CHECKED sn_status sn_check_run(sn_check *c, const sn_batch *batch, const sn_tap *tap, int n_tap);
/* Returns |a - b| / |b| over n values; 0 if both are zero. */
double sn_check_difference(const float *a, const float *b, int64_t n);

/* ---- the checks, in their order ---- */

SN_CHECKED sn_status sn_check_tokenizer(sn_check *c);   /* vocabulary, round trip */
SN_CHECKED sn_status sn_check_weights(sn_check *c);     /* finite, tied as declared */
SN_CHECKED sn_status sn_check_activations(sn_check *c); /* finite at every site; logits */
SN_CHECKED sn_status sn_check_epsilon(sn_check *c);     /* of the blocks' first norm, measured */
SN_CHECKED sn_status sn_check_attention(sn_check *c);   /* rows sum to one */
SN_CHECKED sn_status sn_check_sums(sn_check *c);        /* of the residual stream */
SN_CHECKED sn_status sn_check_batch(sn_check *c);       /* together as alone; later tokens change nothing */
SN_CHECKED sn_status sn_check_language(sn_check *c);    /* loss, copying, BOS; predictions */

#endif
