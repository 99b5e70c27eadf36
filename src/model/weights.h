/* Where a model's numbers come from: a file, a random generator, or arrays made by hand (planted models); and the shape
 * that says which numbers there are. */
#ifndef SN_MODEL_WEIGHTS_H
#define SN_MODEL_WEIGHTS_H

#include "tensor/kernels.h"

/* X(ID, per layer, rows, columns) – matrices are [d_out, d_in] row-major (y = W x + b); vectors are [rows, 1]; a name
 * that ends in _B is a bias. Letters: D d_model, S width in which embeddings are summed, E width of the token
 * embedding, Q heads x d_head, K kv heads x d_head, q k the same or d_head for norms shared by the heads, M d_mlp,
 * F width before the unembedding, V vocabulary, U logits, P positions, T token types, H heads, B buckets of relative
 * positions, R rows of relative embeddings, 1 one. The order is that of computation. */
#define SN_PART_MAP(X)                                                                                                 \
	X(EMBED, 0, 'V', 'E')                                                                                              \
	X(POS_EMBED, 0, 'P', 'S')                                                                                          \
	X(TYPE_EMBED, 0, 'T', 'S')                                                                                         \
	X(EMBED_NORM, 0, 'S', '1')                                                                                         \
	X(EMBED_NORM_B, 0, 'S', '1')                                                                                       \
	X(PROJECT, 0, 'D', 'E')                                                                                            \
	X(PROJECT_B, 0, 'D', '1')                                                                                          \
	X(REL_BIAS, 0, 'B', 'H')                                                                                           \
	X(REL_EMBED, 0, 'R', 'D')                                                                                          \
	X(REL_NORM, 0, 'D', '1')                                                                                           \
	X(REL_NORM_B, 0, 'D', '1')                                                                                         \
	X(ATTN_NORM, 1, 'D', '1')                                                                                          \
	X(ATTN_NORM_B, 1, 'D', '1')                                                                                        \
	X(Q, 1, 'Q', 'D')                                                                                                  \
	X(Q_B, 1, 'Q', '1')                                                                                                \
	X(K, 1, 'K', 'D')                                                                                                  \
	X(K_B, 1, 'K', '1')                                                                                                \
	X(V, 1, 'K', 'D')                                                                                                  \
	X(V_B, 1, 'K', '1')                                                                                                \
	X(Q_NORM, 1, 'q', '1')                                                                                             \
	X(K_NORM, 1, 'k', '1')                                                                                             \
	X(REL_Q, 1, 'Q', 'D')                                                                                              \
	X(REL_Q_B, 1, 'Q', '1')                                                                                            \
	X(REL_K, 1, 'Q', 'D')                                                                                              \
	X(REL_K_B, 1, 'Q', '1')                                                                                            \
	X(O, 1, 'D', 'Q')                                                                                                  \
	X(O_B, 1, 'D', '1')                                                                                                \
	X(ATTN_POST_NORM, 1, 'D', '1')                                                                                     \
	X(CROSS_NORM, 1, 'D', '1')                                                                                         \
	X(CROSS_NORM_B, 1, 'D', '1')                                                                                       \
	X(CROSS_Q, 1, 'Q', 'D')                                                                                            \
	X(CROSS_Q_B, 1, 'Q', '1')                                                                                          \
	X(CROSS_K, 1, 'K', 'D')                                                                                            \
	X(CROSS_K_B, 1, 'K', '1')                                                                                          \
	X(CROSS_V, 1, 'K', 'D')                                                                                            \
	X(CROSS_V_B, 1, 'K', '1')                                                                                          \
	X(CROSS_O, 1, 'D', 'Q')                                                                                            \
	X(CROSS_O_B, 1, 'D', '1')                                                                                          \
	X(MLP_NORM, 1, 'D', '1')                                                                                           \
	X(MLP_NORM_B, 1, 'D', '1')                                                                                         \
	X(GATE, 1, 'M', 'D')                                                                                               \
	X(GATE_B, 1, 'M', '1')                                                                                             \
	X(UP, 1, 'M', 'D')                                                                                                 \
	X(UP_B, 1, 'M', '1')                                                                                               \
	X(DOWN, 1, 'D', 'M')                                                                                               \
	X(DOWN_B, 1, 'D', '1')                                                                                             \
	X(MLP_POST_NORM, 1, 'D', '1')                                                                                      \
	X(FINAL_NORM, 0, 'D', '1')                                                                                         \
	X(FINAL_NORM_B, 0, 'D', '1')                                                                                       \
	X(HEAD, 0, 'F', 'D')                                                                                               \
	X(HEAD_B, 0, 'F', '1')                                                                                             \
	X(HEAD_NORM, 0, 'F', '1')                                                                                          \
	X(HEAD_NORM_B, 0, 'F', '1')                                                                                        \
	X(UNEMBED, 0, 'U', 'F')                                                                                            \
	X(UNEMBED_B, 0, 'U', '1')

typedef enum sn_part {
	SN_PART_NONE,
#define SN_PART_ENUM(id, per_layer, rows, columns) SN_PART_##id,
	SN_PART_MAP(SN_PART_ENUM)
#undef SN_PART_ENUM
	SN_PART_COUNT   /* at most 64: sets of parts are bits */
} sn_part;

#define SN_PART_BIT(id) (UINT64_C(1) << SN_PART_##id)

typedef struct sn_arch sn_arch;   /* model/arch.h */

/* ---- the generic block's switches ---- */

typedef enum sn_norm_kind { SN_NORM_RMS, SN_NORM_LAYER } sn_norm_kind;
/* Both branches of a block read the same stream and are added together: with a norm each, or with one norm for both. */
typedef enum sn_parallel { SN_SERIAL, SN_PARALLEL, SN_PARALLEL_ONE_NORM } sn_parallel;
typedef enum sn_position_kind {
	SN_POSITION_ROTARY,
	SN_POSITION_NONE,
	SN_POSITION_LEARNED,        /* POS_EMBED, row position + position_offset */
	SN_POSITION_SINUSOIDAL,     /* Marian's: sines in the first half of the width, cosines in the second */
	SN_POSITION_ALIBI,          /* slope x key position added to the scores */
	SN_POSITION_BUCKETS,        /* T5: REL_BIAS, a row for each bucket of the distance */
	SN_POSITION_DISENTANGLED    /* DeBERTa: REL_EMBED through Q and K (LEARNED ones may be added beside it) */
} sn_position_kind;
/* Norms of queries and keys before rotation: of each head with gains that the heads share, of each head with its own
 * (StableLM), or of all heads together (OLMo 2). */
typedef enum sn_qk_norm { SN_QK_NORM_NONE, SN_QK_NORM_HEAD, SN_QK_NORM_EACH, SN_QK_NORM_ALL } sn_qk_norm;

/* Zero is Llama, except for pre_norm. What a part is needed for is done where the shape has the part: biases, norms of
 * embeddings, a final norm, a head's transformation. */
typedef struct sn_form {
	sn_norm_kind norm;
	bool pre_norm;             /* before each branch (Llama, GPT-2) */
	bool branch_norm;          /* of each branch's output, before it is added (Gemma 2: both; OLMo 2: only these) */
	bool post_norm;            /* of the sum, after each branch (BERT) */
	bool first_attn_bare;      /* block 0 has no norm before attention (ModernBERT) */
	sn_parallel parallel;
	sn_position_kind position;
	bool rope_interleaved;     /* rotary pairs (2i, 2i + 1) as in GPT-J; otherwise (i, i + n_rot / 2) */
	bool bidirectional;
	bool cross;                /* a block attends to the encoder's output between its two branches */
	sn_qk_norm qk_norm;
	sn_act act;
	bool gated;                /* act(GATE x) * (UP x); otherwise act(UP x) */
	sn_act head_act;           /* between HEAD and HEAD_NORM */
	bool project_first;        /* token embeddings are projected before positions are added (OPT); otherwise after the
	                              embedding norm (ALBERT) */
	bool alibi_scaled;         /* slopes are multiplied by attn_scale too, and rounded to bfloat16 (Falcon) */
	bool rel_bidirectional;    /* BUCKETS: half of them for keys after the query */
	bool c2p, p2c;             /* DISENTANGLED: which terms */
	int position_offset;       /* LEARNED: row of position 0 (OPT 2, RoBERTa padding + 1) */
	double attn_scale;         /* factor of q . k; 0: 1 / sqrt(d_head) */
	double attn_softcap, logit_softcap;   /* c tanh(x / c); 0: none */
	double embed_scale, head_scale;       /* of token embeddings; of what enters the unembedding; 0: 1 */
} sn_form;

/* ---- rotary angles ---- */

typedef enum sn_rope_kind { SN_ROPE_DEFAULT, SN_ROPE_LINEAR, SN_ROPE_DYNAMIC, SN_ROPE_LLAMA3, SN_ROPE_YARN,
                            SN_ROPE_LONG } sn_rope_kind;

/* One set of angles: theta_i = base^(-2i / n_rot), changed as kind says (transformers' modeling_rope_utils). */
typedef struct sn_rope {
	sn_rope_kind kind;
	double base, factor;
	double low_freq_factor, high_freq_factor;   /* LLAMA3 */
	double beta_fast, beta_slow;                /* YARN; 0: 32 and 1 */
	bool no_truncation;                         /* YARN: bounds of the ramp are not rounded */
	double attention_factor;                    /* YARN, LONG: of cosines and sines; 0: 1 */
	int64_t original_ctx;                       /* length before scaling: LLAMA3, YARN, DYNAMIC, LONG */
	const float *divisor[2]; /* [n_rot / 2] or NULL: what each theta is divided by, in rows of at most
	                                               original_ctx tokens and (LONG) in longer ones */
} sn_rope;

/* What differs between blocks. */
typedef struct sn_layer_kind {
	int32_t
		window; /* keys further back than window - 1 (bidirectional: than window either way) are not attended; 0: all
	                     are */
	int8_t rope;      /* 1 + set of angles; -1: none in this block; 0: the first */
} sn_layer_kind;

/* All the numbers of one stack of blocks. */
typedef struct sn_shape {
	const sn_arch *arch;   /* NULL: the row "llama" */
	int n_layer, n_head, n_kv_head, d_head;
	int64_t d_model, d_mlp, d_vocab, n_ctx;
	double norm_eps, rope_base;   /* rope_base: used where n_rope is 0 */
	bool tied;                    /* unembedding = embedding; the source is never asked for UNEMBED then */
	/* Everything below may be zero in a shape made by hand: the row's form and parts, one plain set of angles. */
	sn_form form;                 /* used where has is not 0; otherwise the row's */
	uint64_t has;                 /* bit: the model has this part */
	int n_rot;                    /* rotated columns of each head; 0: d_head */
	int n_rope;                   /* sets of angles, at most 2 */
	sn_rope rope[2];
	const sn_layer_kind *kind;    /* [n_layer] or NULL: all alike, without windows */
	int n_group;                  /* blocks share n_group sets of weights in equal stretches (ALBERT); 0: none do */
	int64_t d_embed;              /* E; 0: d_model */
	int64_t d_head_out;           /* F; 0: d_model, or d_embed where the unembedding is tied to a narrower embedding */
	int64_t n_logit;              /* U; 0: d_vocab */
	int64_t n_position, n_type, n_bucket;   /* rows of POS_EMBED (0: n_ctx + position_offset), TYPE_EMBED, REL_BIAS */
	int64_t max_distance;         /* BUCKETS, DISENTANGLED */
	int64_t rel_span;             /* DISENTANGLED: REL_EMBED has 2 * rel_span rows */
	int64_t rel_buckets;          /* DISENTANGLED: position_buckets; 0: plain distances */
} sn_shape;

/* Gives rows [row0, row0 + n_row) of a part as float32, dense; called from several threads at once on different
 * rows. layer: the group where blocks share weights. */
typedef struct sn_source {
	void *arg;
	sn_status (*read)(sn_ctx *ctx, void *arg, sn_part part, int layer, int64_t row0, int64_t n_row, float *out);
	void (*close)(sn_ctx *ctx, void *arg);   /* or NULL */
} sn_source;

/* Makes a model from a shape and a source; the model owns the source from then on, also on failure (it is closed at
 * once then). tokenizer may be NULL; the model owns it. info: further facts to copy, or NULL. Arrays of the shape are
 * copied. SN_ESHAPE for impossible numbers. */
SN_CHECKED sn_status sn_model_make(sn_model **out, sn_ctx *ctx, const sn_shape *shape, const sn_source *source,
                                   sn_tokenizer *tokenizer, const sn_model_info *info);
/* Gives an encoder to a decoder with cross-attention; the decoder owns it from then on. SN_ESHAPE where their widths
 * differ. */
SN_CHECKED sn_status sn_model_set_encoder(sn_ctx *ctx, sn_model *decoder, sn_model *encoder);
const sn_shape *sn_model_shape(const sn_model *model);
/* Returns the rows and columns of a part. */
int64_t sn_part_rows(const sn_shape *shape, sn_part part);
int64_t sn_part_columns(const sn_shape *shape, sn_part part);
/* Returns whether a part is in the blocks. */
bool sn_part_per_layer(sn_part part);
/* Returns the part's name: "ATTN_NORM". */
const char *sn_part_name(sn_part part);
static inline bool sn_has(const sn_shape *shape, sn_part part) { return shape->has >> part & 1; }

#endif
