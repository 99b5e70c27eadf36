/* What a model expects of a passage, token by token. */
#ifndef SN_MODEL_READING_H
#define SN_MODEL_READING_H

#include "data/passages.h"

/* A passage as tokens, and what was found of each; logarithms natural, NaN: nothing precedes the token. */
typedef struct sn_reading {
	const sn_passage *passage;
	const char *source; /* encoder-decoders: what the encoder reads */
	sn_tokens token;    /* of the text alone, without added tokens */
	int32_t *unit;      /* [tokens] the word that each belongs to; -1: none */
	double *logprob;    /* [tokens] */
	double *entropy;    /* [tokens] of the distribution that expects the token; or NULL */
	double *set;        /* [tokens + 1] log of the probability of the set there, and after the text; or NULL */
} sn_reading;

typedef struct sn_reader {
	sn_ctx *ctx;
	sn_model *model;
	const int32_t *before, *after; /* tokens around every window */
	int n_before, n_after;
	int64_t window, stride; /* tokens; window 0: no bound */
	bool l2r;               /* masked models: hide the later tokens of a word too */
	bool entropy;
	const uint8_t *set; /* [vocabulary] or NULL */
} sn_reader;

/* Fills before, after and window as the model and the wishes say: bos "auto" (as the model's tokenizer does), "add" or
 * "none"; window 0: the model's own; stride 0: half of that. SN_EARG where that cannot be. Arrays come from arena. */
SN_CHECKED sn_status sn_reader_make(sn_reader *out, sn_ctx *ctx, sn_model *model, const char *bos, int64_t window,
									int64_t stride, sn_arena *arena);
/* Tokenizes a passage and gives each token to a word: to that in which it begins, white space before not counted; a
 * token of white space alone to the word that follows. */
SN_CHECKED sn_status sn_reading_make(sn_reading *out, const sn_reader *reader, const sn_passage *passage,
									 sn_arena *arena);
/* Returns the tokens that reading it takes, repetitions counted. */
int64_t sn_reading_cost(const sn_reader *reader, const sn_reading *reading);
/* Reads n of them in one run. Causal models (and decoders): windows of `window` tokens, each beginning `stride` after
 * the last, in which only what the ones before have not scored is scored. Masked models: a window for each token, with
 * that token hidden in its middle (pseudo-log-likelihood, Salazar et al. 2020; l2r: Kauf & Ivanova 2023). */
SN_CHECKED sn_status sn_readings_run(const sn_reader *reader, sn_reading *reading, int64_t n, sn_arena *arena);

#endif
