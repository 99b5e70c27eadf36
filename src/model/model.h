/* A model in memory: its shape, where its numbers come from, and what has been packed so far. */
#ifndef SN_MODEL_MODEL_H
#define SN_MODEL_MODEL_H

#include "base/base.h"
#include "model/arch.h"
#include "tensor/gemm.h"

/* A norm's gains and biases; weight NULL: there is no such norm; bias NULL: none. */
typedef struct sn_norm { float *weight, *bias; } sn_norm;
/* A packed matrix and its bias; w NULL: there is none; bias NULL: none. */
typedef struct sn_affine { sn_packed *w; float *bias; } sn_affine;

/* A block's matrices packed transposed, for the backward pass. */
typedef struct sn_layer_back { bool ready; sn_packed *qkv, *o, *cross_q, *cross_kv, *cross_o, *first, *down;
                               } sn_layer_back;

/* One block's weights, ready for use. Matrices that read the same input are packed below one another. */
typedef struct sn_layer {
	bool ready;
	sn_norm attn_norm, attn_post_norm, cross_norm, mlp_norm, mlp_post_norm;
	sn_affine qkv, o;                 /* rows: all of Q, then K, then V */
	sn_affine cross_q, cross_kv, cross_o;
	sn_affine first, down;            /* rows: all of GATE, then UP; or UP alone */
	float *q_norm, *k_norm;           /* [heads * d_head], [kv heads * d_head] or NULL */
	sn_layer_back back;
	float *rel_q, *rel_k; /* [2 rel_span, heads * d_head]: relative embeddings as queries, as keys; or NULL */
} sn_layer;

enum { SN_UNEMBED_CHUNK = 4096 };     /* vocabulary columns packed together */

/* What positions add, for rows of up to n positions. */
typedef struct sn_positions {
	int64_t n;
	float *cosine[2], *sine[2];       /* [n, n_rot / 2] of each set of angles */
	float *distance_bias;             /* BUCKETS: [n_head, 2 n - 1], of key - query + n - 1 */
	int32_t *distance_index; /* DISENTANGLED: [2 n - 1] row of the relative embeddings, of query - key + n - 1 */
} sn_positions;

struct sn_model {
	sn_ctx *ctx;
	sn_arena *arena;
	sn_shape shape;
	sn_model_info info;
	sn_source source;
	sn_tokenizer *tokenizer;
	sn_gemm *gemm;
	const sn_kernels *kernels;
	uint64_t sites;                   /* bit k: the model has site kind k */
	uint8_t stack;                    /* sn_stack_id: which this is of an encoder-decoder */
	sn_model *encoder;                /* or NULL */
	sn_layer *layer;                  /* [groups of blocks] */
	sn_norm embed_norm, final_norm, head_norm;
	sn_affine project, head;
	sn_packed *project_back, *head_back;
	float *relative;                  /* DISENTANGLED: [2 rel_span, d_model] normed relative embeddings, or NULL */
	float *unembed_bias;              /* [n_logit] or NULL */
	sn_packed **unembed;              /* [n_chunk]; NULL until a plan needs all logits */
	int n_chunk;
	float *slope;                     /* ALIBI: [n_head] */
	sn_positions positions;
};

/* Columns of the packed Q, K, V product. */
static inline int64_t sn_qkv_width(const sn_shape *s) { return (int64_t)s->d_head * (s->n_head + 2 * s->n_kv_head); }
/* Returns whether there are logits. */
static inline bool sn_has_logits(const sn_shape *s) { return s->tied || sn_has(s, SN_PART_UNEMBED); }
/* Returns what is particular to block l. */
static inline sn_layer_kind sn_kind_of(const sn_shape *s, int l) { return s->kind ? s->kind[l] : (sn_layer_kind){ 0 }; }
/* Returns the number of sets of block weights, and the set of block l. */
static inline int sn_groups(const sn_shape *s) { return s->n_group ? s->n_group : s->n_layer; }
static inline int sn_group_of(const sn_shape *s, int l) { return s->n_group ? l / (s->n_layer / s->n_group) : l; }
static inline sn_layer *sn_layer_of(const sn_model *m, int l) { return &m->layer[sn_group_of(&m->shape, l)]; }
/* Returns the position of the token that a place's distribution is about, relative to the place: the next one, or (a
 * masked language model) the place's own. */
static inline int32_t sn_wanted_offset(const sn_model *m) { return m->shape.form.bidirectional ? 0 : 1; }
/* Width in which embeddings are summed. */
static inline int64_t sn_sum_width(const sn_shape *s) { return s->form.project_first ? s->d_model : s->d_embed; }

/* Fills what a shape leaves zero and checks it; where names the file. */
SN_CHECKED sn_status sn_shape_complete(sn_ctx *ctx, sn_shape *shape, const char *where);
/* Returns the number of parameters. */
int64_t sn_shape_parameters(const sn_shape *shape);

/* Packs block l if it is not yet. */
SN_CHECKED sn_status sn_model_need_layer(sn_ctx *ctx, sn_model *model, int l);
/* Reads the norms and packs the projections outside the blocks; once, when a model is made. */
SN_CHECKED sn_status sn_model_need_ends(sn_ctx *ctx, sn_model *model);
/* Packs the unembedding if it is not yet. */
SN_CHECKED sn_status sn_model_need_unembed(sn_ctx *ctx, sn_model *model);
/* Packs block l transposed, and the projections outside the blocks, if they are not yet. */
SN_CHECKED sn_status sn_model_need_layer_back(sn_ctx *ctx, sn_model *model, int l);
void sn_model_drop_layer_back(sn_model *model, int l);
SN_CHECKED sn_status sn_model_need_ends_back(sn_ctx *ctx, sn_model *model);
/* Frees what was packed. */
void sn_model_unpack(sn_model *model);
void sn_model_unpack_back(sn_model *model);
/* The part that a matrix is; the part behind it is its bias. */
sn_part sn_weight_part(const sn_model *m, sn_matrix matrix);
/* Whether a matrix is looked up, and stands as in the file: [rows, d]. */
bool sn_weight_is_table(sn_matrix matrix);
/* SN_EARG where the model has no such matrix, block or head (-1: all). */
SN_CHECKED sn_status sn_weight_check(sn_ctx *ctx, const sn_model *m, sn_matrix matrix, int layer, int head);
/* Makes tables for positions [0, n). */
SN_CHECKED sn_status sn_model_need_positions(sn_ctx *ctx, sn_model *model, int64_t n);
void sn_positions_free(sn_model *model);
/* Reads rows [row0, row0 + n_row) of a part in parallel. layer: the block's number. */
SN_CHECKED sn_status sn_model_read(sn_ctx *ctx, const sn_model *model, sn_part part, int layer, int64_t row0,
                                   int64_t n_row, float *out);
/* The part that holds the unembedding: EMBED where it is tied. */
static inline sn_part sn_unembed_part(const sn_model *model)
{
	return model->shape.tied ? SN_PART_EMBED : SN_PART_UNEMBED;
}

#endif
