/* What a weight's gradient is made of as it comes down: the derivative of what the weight yields at one place, times
 * what it read there. One sink for each way in which weights are used. */
#ifndef SN_MODEL_WEIGHT_TAKE_H
#define SN_MODEL_WEIGHT_TAKE_H

#include "model/model.h"

/* State of all the sinks. */
typedef struct sn_weight_use {
	const sn_weight_grad *to;
	const sn_model *stack;
	const float *x;      /* [places, d_in] what the weight read; NULL: rows of a table */
	float *projection;   /* [d_model, d_embed] of embeddings that are projected at once; otherwise NULL */
	float scale;         /* of a table's rows */
	int64_t d_in, d_out;
} sn_weight_use;

extern const sn_sink sn_take_product;   /* a matrix: w += x' dy */
extern const sn_sink sn_take_gains;     /* a norm: w += x * dy */
extern const sn_sink sn_take_heads;     /* norms of queries or keys, whose input x is */
extern const sn_sink sn_take_token;     /* tables: the rows of token, position, token type */
extern const sn_sink sn_take_position;
extern const sn_sink sn_take_type;
extern const sn_sink sn_take_projected; /* token's rows, projected before the site */
extern const sn_sink sn_take_projection;/* that projection itself */
extern const sn_sink sn_take_distance;  /* scores: T5's buckets */

#endif
