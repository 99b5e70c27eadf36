/* Attention knockout: what the last position's prediction loses when it may not attend to some positions in a window of
 * layers (Geva et al. 2023). */
#ifndef SN_MODEL_KNOCKOUT_H
#define SN_MODEL_KNOCKOUT_H

#include "base/base.h"

typedef struct sn_knockout {
	int32_t n, *token;             /* the row */
	int32_t n_span, (*span)[2];    /* at most 32; {-1, -1}: absent */
	int n_set;
	const uint32_t *set;           /* [n_set] bit s: span s is not attended to */
	int window;                    /* layers: of the window around l, l - window / 2 .. l + (window - 1) / 2, those that
	                                  there are */
	int32_t at;                    /* the position whose attention is cut and whose prediction is scored */
	int32_t want;                  /* token whose log-probability there is scored */
	double base;                   /* nats, with all attention */
	double *logprob;               /* [n_set, n_layer] nats, by the window's centre */
} sn_knockout;

/* Fills base and logprob, all variants as forks of one row: only position `at` and what follows is computed again. */
SN_CHECKED sn_status sn_knockout_run(sn_ctx *ctx, sn_model *model, sn_knockout *k, sn_arena *arena);

#endif
