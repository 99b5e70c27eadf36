/* What a run takes in memory, reckoned before it begins. */
#ifndef SN_MODEL_COST_H
#define SN_MODEL_COST_H

#include "model/plan.h"

/* Sums over rows that are computed together. */
typedef struct sn_cost {
	int64_t rows, tokens;   /* tokens: positions computed in the busiest stage */
	int64_t final;          /* positions computed in the last stage */
	int64_t segments;       /* stretches of keys and values */
	int64_t keys;           /* the longest row, of this side or the encoder's */
	int64_t places, asks;   /* of goals over logits: places, and wanted words */
	int64_t edits, sources; /* places that edits change; those of them whose values are read from other rows */
	int64_t encoder;        /* tokens of encoder rows */
	int32_t enc_row;        /* the last of them counted, plus 1 */
} sn_cost;

/* Fills edit_width, edit_rank and tap_floats, from the plan and the places of its taps. */
void sn_cost_prepare(sn_compiled *c);
/* Adds a row. */
void sn_cost_add(const sn_compiled *c, sn_cost *sum, int32_t row);
/* Returns the bytes that a step with these rows takes: activations, attention, edits, logits, taps; with gradients, if
 * every block is computed twice. */
int64_t sn_cost_bytes(const sn_compiled *c, const sn_cost *sum);
/* Returns the bytes that saving every block until the way down takes beside those. 0 without gradients. */
int64_t sn_cost_saving(const sn_compiled *c, const sn_cost *sum);
/* Returns those of sn_cost_bytes that are for the way down. */
int64_t sn_cost_back(const sn_compiled *c, const sn_cost *sum);
/* Returns the positions that a row computes in its busiest stage. */
int64_t sn_cost_tokens(const sn_compiled *c, int32_t row);
/* Returns the bytes of the activations of a step of m tokens, without logits. */
int64_t sn_activation_bytes(const sn_shape *shape, int64_t m);
/* Returns the bytes of a model's packed weights up to a stage (n_layer + 1: with the unembedding where logits are
 * needed whole), and what packing takes on the way. back: how many blocks' at most are packed transposed, too. */
int64_t sn_weight_bytes(const sn_model *model, int stage, bool logits, int back);
/* Returns the bytes of rows kept for later batches. */
int64_t sn_state_bytes(const sn_shape *shape, int64_t tokens);
/* Returns whether distributions are computed at all, and whether logits are needed whole. */
bool sn_needs_logits(const sn_compiled *c, bool *whole);

#endif
