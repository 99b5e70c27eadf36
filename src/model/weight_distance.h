/* DeBERTa's relative embeddings R, which a block's matrices make queries and keys of: with S the scores before their
 * softmax, S[i, j] reads scale (q[i] (R W_k)[r] + k[j] (R W_q)[r]), r the row of the distance. The derivative of S by
 * the rows is kept for each block; behind the run it goes on to the matrices, R, and R's norm. */
#ifndef SN_MODEL_WEIGHT_DISTANCE_H
#define SN_MODEL_WEIGHT_DISTANCE_H

#include "model/model.h"

/* One block's. */
typedef struct sn_distances {
	const sn_model *stack;
	int layer;
	const float *q, *k;    /* [places, heads * d_head] queries and keys */
	float *as_q, *as_k;    /* [2 rel_span, heads * d_head] derivatives of R as queries, as keys */
} sn_distances;

/* Whether a weight acts through distances: alone, or beside what its sites show. */
bool sn_reads_distances(const sn_model *stack, sn_matrix matrix);
bool sn_reads_distances_alone(sn_matrix matrix);
/* Zeroes; q and k are the caller's to fill. */
SN_CHECKED sn_status sn_distances_open(sn_distances *out, const sn_model *stack, int layer, sn_arena *arena);
/* Takes the derivatives of one place's scores; its state is a block's sn_distances. */
extern const sn_sink sn_take_distances;
/* Adds to a weight's gradient what comes through the distances of n blocks. */
SN_CHECKED sn_status sn_distances_add(sn_ctx *ctx, const sn_distances *block, int n, const sn_model *stack,
                                      const sn_weight_grad *to);

#endif
