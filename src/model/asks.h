/* Rows of tokens and what is asked of them, collected and answered together. */
#ifndef SN_MODEL_ASKS_H
#define SN_MODEL_ASKS_H

#include "model/predict.h"

typedef struct sn_asks {
	sn_ctx *ctx;
	sn_buf token, start;         /* int32_t; int64_t, of each row */
	sn_buf place, want;          /* int64_t; int32_t */
	sn_buf enc_token, enc_start; /* of the encoder's rows */
	int64_t n_token, n_place, n_enc_token;
	int32_t n, n_enc;
} sn_asks;

/* Nothing yet; sn_asks_free at the end. */
sn_asks sn_asks_make(sn_ctx *ctx);
/* Begins a row, which takes the tokens added until the next one. */
void sn_asks_row(sn_asks *asks);
void sn_asks_add(sn_asks *asks, const int32_t *token, int64_t n);
/* Asks for token want at position pos of the row begun last; positions ascend. Returns the number of the place. */
int64_t sn_asks_want(sn_asks *asks, int64_t pos, int32_t want);
/* What the encoder reads for the row begun last. */
void sn_asks_source(sn_asks *asks, const int32_t *token, int64_t n);
/* Runs the model on all rows; out names what is to be answered (its place and want are filled in), n_place of each. */
SN_CHECKED sn_status sn_asks_run(sn_asks *asks, sn_model *model, sn_predict *out, sn_arena *arena);
/* Forgets rows and places, not the memory. */
void sn_asks_clear(sn_asks *asks);
void sn_asks_free(sn_asks *asks);

#endif
