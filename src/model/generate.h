/* Generating text: greedy, sampled, or by beam search, under a plan's edits. Each step computes one new position a row;
 * what stands before it is kept (sn_state), and beams are forks of kept rows.
 *
 * Terms and semantics are those of transformers' generate (5.23). Scores pass, in this order: repetition penalty,
 * suppressed tokens, forced tokens, and where tokens are drawn temperature, top-k, top-p, min-p. */
#ifndef SN_MODEL_GENERATE_H
#define SN_MODEL_GENERATE_H

#include "base/base.h"

/* When a beam search ends. NO: when no running beam, at its present length, can still beat the worst finished one.
 * YES: as soon as there are as many finished ones as beams. NEVER: as NO, but with the longest length where a penalty
 * favours length. */
typedef enum sn_early { SN_EARLY_NO, SN_EARLY_YES, SN_EARLY_NEVER } sn_early;

typedef enum sn_finish_reason {
	SN_UNFINISHED,
	SN_FINISH_EOS,       /* an end token was chosen */
	SN_FINISH_STOP,      /* a stop string stands in the text */
	SN_FINISH_LENGTH,    /* max_tokens */
	SN_FINISH_CONTEXT    /* the model reads no longer rows */
} sn_finish_reason;

/* A token was chosen for continuation `number` of a prompt; text: what it adds (NUL-terminated; "" while a character is
 * incomplete or without a tokenizer). Not called in beam searches, whose texts change until the end. */
typedef void sn_chosen_fn(void *payload, int32_t prompt, int32_t number, int32_t token, const char *text);

typedef struct sn_decoding {
	int64_t max_tokens;              /* new tokens, > 0 */
	int32_t n;                       /* continuations of each prompt: samples, or the best of the beams */
	int32_t width;                   /* beams; 1: no beam search */
	double length_penalty;           /* score = sum / tokens^penalty */
	sn_early early;
	bool sample;                     /* draw (width 1); otherwise the most probable token, n 1 */
	double temperature;              /* > 0; 1: as the model says */
	int64_t top_k;                   /* 0: all; ties with the k-th stay */
	double top_p, min_p;             /* 1: all; 0: all */
	double repetition_penalty;       /* 1: none; of every token in the row so far, the prompt included */
	const int32_t *eos, *suppress;   /* tokens that end a text; tokens never chosen */
	int n_eos, n_suppress;
	int32_t forced_bos, forced_eos;  /* -1, or the token that must follow a row's single first one; the last one of
	                                    max_tokens */
	const char *const *stop;         /* strings that end a text, which then ends with them */
	int n_stop;
	bool whole;                      /* compute every row anew at each step: slow, for tests */
	sn_chosen_fn *chosen;            /* or NULL */
	void *payload;
} sn_decoding;

typedef struct sn_generated {
	int32_t prompt, number, n;       /* n new tokens, an end token included */
	const int32_t *token;
	const double *logprob;           /* [n] log p of each token by the model, nats, whatever was penalised or cut off */
	double sum;                      /* of logprob */
	double score;                    /* sum / n^length_penalty; in beam searches of the processed scores, as
	                                    transformers' */
	sn_finish_reason finish;
} sn_generated;

/* Returns greedy decoding of max_tokens tokens, everything else off. */
sn_decoding sn_decoding_greedy(int64_t max_tokens);
/* Continues every row of prompts (without parents; encoder-decoders: the decoder's first tokens, and enc) under the
 * edits of plan (NULL: none), whose taps and goals are not looked at. Edits keep their meaning while rows grow: ALL,
 * FROM, FROM_SPAN, positions (AT, RANGE) reach generated positions; LAST, negative positions and spans are places of
 * the prompt, as are sources with a row a place and from other rows. out: [prompts->n * n], by prompt and number, from
 * arena. Draws depend on the context's seed, the row's item and the number only. SN_EARG; SN_ECANCEL. */
SN_CHECKED sn_status sn_generate(sn_ctx *ctx, sn_model *model, const sn_batch *prompts, const sn_plan *plan,
                                 const sn_decoding *decoding, sn_arena *arena, sn_generated **out);
/* Returns "eos", "stop", "length", "context". */
const char *sn_finish_name(sn_finish_reason reason);

#endif
