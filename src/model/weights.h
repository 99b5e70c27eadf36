/* Where a model's numbers come from: a file, a random generator, or arrays made by hand (planted models). */
#ifndef SN_MODEL_WEIGHTS_H
#define SN_MODEL_WEIGHTS_H

#include "sonde.h"

/* X(ID, per layer, rows, columns) – matrices are [d_out, d_in] row-major as files hold them (y = W x + b); vectors are
 * [rows, 1]. Letters: D d_model, Q heads x d_head, K kv heads x d_head, M d_mlp, V vocabulary, P positions, 1 one. */
#define SN_PART_MAP(X)                                                                                                 \
	X(EMBED, 0, 'V', 'D')                                                                                              \
	X(ATTN_NORM, 1, 'D', '1')                                                                                          \
	X(Q, 1, 'Q', 'D')                                                                                                  \
	X(K, 1, 'K', 'D')                                                                                                  \
	X(V, 1, 'K', 'D')                                                                                                  \
	X(O, 1, 'D', 'Q')                                                                                                  \
	X(MLP_NORM, 1, 'D', '1')                                                                                           \
	X(GATE, 1, 'M', 'D')                                                                                               \
	X(UP, 1, 'M', 'D')                                                                                                 \
	X(DOWN, 1, 'D', 'M')                                                                                               \
	X(FINAL_NORM, 0, 'D', '1')                                                                                         \
	X(UNEMBED, 0, 'V', 'D')

typedef enum sn_part {
	SN_PART_NONE,
#define SN_PART_ENUM(id, per_layer, rows, columns) SN_PART_##id,
	SN_PART_MAP(SN_PART_ENUM)
#undef SN_PART_ENUM
	SN_PART_COUNT
} sn_part;

typedef struct sn_arch sn_arch;   /* model/arch.h */

/* All the numbers of one model. Rows of Q and K are in half-split rotary order (pairs i, i + d_head / 2). */
typedef struct sn_shape {
	const sn_arch *arch;   /* NULL: the row "llama" */
	int n_layer, n_head, n_kv_head, d_head;
	int64_t d_model, d_mlp, d_vocab, n_ctx;
	double norm_eps, rope_base;
	bool tied;             /* unembedding = embedding; the source is never asked for UNEMBED then */
} sn_shape;

/* Gives rows [row0, row0 + n_row) of a part as float32, dense; called from several threads at once on different
 * rows. */
typedef struct sn_source {
	void *arg;
	sn_status (*read)(sn_ctx *ctx, void *arg, sn_part part, int layer, int64_t row0, int64_t n_row, float *out);
	void (*close)(sn_ctx *ctx, void *arg);   /* or NULL */
} sn_source;

/* Makes a model from a shape and a source; the model owns the source from then on, also on failure (it is closed at
 * once then). tokenizer may be NULL; the model owns it. info: further facts to copy, or NULL. SN_ESHAPE for impossible
 * numbers. */
SN_CHECKED sn_status sn_model_make(sn_model **out, sn_ctx *ctx, const sn_shape *shape, const sn_source *source,
                                   sn_tokenizer *tokenizer, const sn_model_info *info);
const sn_shape *sn_model_shape(const sn_model *model);
/* Returns the rows and columns of a part. */
int64_t sn_part_rows(const sn_shape *shape, sn_part part);
int64_t sn_part_columns(const sn_shape *shape, sn_part part);

#endif
