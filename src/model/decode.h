/* What the parts of sn_generate share. */
#ifndef SN_MODEL_DECODE_H
#define SN_MODEL_DECODE_H

#include "model/generate.h"
#include "model/model.h"

/* A token that may be drawn. */
typedef struct sn_candidate { double score, p; int32_t id; } sn_candidate;

/* One text being written: the prompt's tokens, then new ones. */
typedef struct sn_draft {
	int32_t prompt, number, n;
	int32_t parent;              /* its row in the batch before, whose tokens are all but its last; -1: none */
	int32_t *token;              /* [room] */
	double *logprob;             /* [room]; 0 for the prompt's */
	double score;                /* beams: sum of processed log p */
} sn_draft;

/* The beams of one prompt that are finished, best first. */
typedef struct sn_group {
	int32_t n_prompt, most;      /* tokens of the prompt; of its longest text */
	bool context;                /* most is what the model reads, not what was asked */
	bool over;
	sn_draft *done;               /* [width] score: the final one */
	sn_finish_reason *finish;    /* [width] */
	int32_t n_done;
} sn_group;

typedef struct sn_decoder {
	sn_ctx *ctx;
	sn_model *model;
	const sn_batch *prompts;
	const sn_plan *plan;         /* or NULL */
	const sn_decoding *d;
	sn_arena *arena;
	sn_state *state;
	bool whole;                  /* nothing is kept: rows are computed anew at each step */
	int64_t V, room;             /* logits of a row; tokens of the longest text */
	sn_group *group;             /* [prompts->n] */
	sn_draft *live, *next;        /* [most_live] */
	int32_t n_live, n_next, most_live;
	float *logits;               /* [most_live, V] */
	double *score;               /* [V] */
	uint8_t *seen;               /* [V] zeros between uses */
	sn_candidate *candidate;     /* [V] where tokens are drawn */
} sn_decoder;

/* Computes the last logits of every live line into k->logits; first: the prompts themselves. */
SN_CHECKED sn_status sn_decode_step(sn_decoder *k, bool first);

/* Returns the log-sum-exp of a row's logits. */
double sn_decode_lse(const sn_decoder *k, const float *logits);
/* Makes k->score of a line's logits - shift: penalty, suppressed and forced tokens. */
void sn_decode_process(sn_decoder *k, const sn_draft *line, const float *logits, double shift);
/* Returns the token that a line goes on with: the best one of k->score, or a draw. */
int32_t sn_decode_choose(sn_decoder *k, const sn_draft *line);
/* Makes to a copy of from with one more token. */
void sn_draft_extend(sn_draft *to, const sn_draft *from, int32_t parent, int32_t token, double logprob);
/* Returns why a line ends with its last token, or SN_UNFINISHED. */
SN_CHECKED sn_status sn_draft_finished(const sn_decoder *k, const sn_draft *line, sn_finish_reason *out);

/* Beam search: live lines [first, last) of one prompt, whose logits are at hand, into k->next and the group. */
SN_CHECKED sn_status sn_beam_advance(sn_decoder *k, int32_t first, int32_t last);

#endif
