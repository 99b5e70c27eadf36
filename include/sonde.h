/* Sonde: where a language model keeps its grammar, whether it uses it, and why it said what it said.
 *
 * The whole public interface, in banner sections: status, context, memory, tensors, sites, batches, plans, models,
 * text, data, results, methods. Conventions:
 *   - Constructors put their output first; everything else takes the context first.
 *   - Every fallible call returns sn_status; sn_error(ctx) then says in one line what, where, what was expected and
 *     what to do. The library never prints and never exits.
 *   - No globals: contexts are independent. One context is used by one thread at a time (it runs its own OpenMP
 *     threads).
 *   - Zero-initialised structs are valid or rejected, never silently something else.
 *   - Logarithms are natural (nats) unless a name or comment says bits. Positions count tokens from 0.
 */
#ifndef SONDE_H
#define SONDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SN_API __attribute__((visibility("default")))
#define SN_CHECKED __attribute__((warn_unused_result))
#define SN_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* ==== Status =================================================================================================== */

/* X(code, exit code of the command, text) */
#define SN_STATUS_MAP(X)                                                                                               \
	X(SN_OK, 0, "ok")                                                                                                 \
	X(SN_ECHECK, 1, "a check failed")                                                                                 \
	X(SN_ENUMERIC, 1, "no finite number")                                                                             \
	X(SN_EINTERNAL, 1, "internal error")                                                                              \
	X(SN_EARG, 2, "bad argument")                                                                                     \
	X(SN_EPARSE, 2, "bad file")                                                                                       \
	X(SN_ESHAPE, 2, "wrong shape")                                                                                    \
	X(SN_ENOTFOUND, 2, "not found")                                                                                   \
	X(SN_EUNKNOWN, 2, "unknown kind")                                                                                 \
	X(SN_EIO, 2, "input/output error")                                                                                \
	X(SN_ENOMEM, 3, "out of memory")                                                                                  \
	X(SN_EDISK, 3, "no space left")                                                                                   \
	X(SN_ECANCEL, 130, "cancelled")

typedef enum sn_status {
#define SN_STATUS_ENUM(code, exit_code, text) code,
	SN_STATUS_MAP(SN_STATUS_ENUM)
#undef SN_STATUS_ENUM
	SN_STATUS_COUNT
} sn_status;

/* Returns the fixed text of a status ("bad file"); never NULL. */
SN_API const char *sn_status_text(sn_status status);
/* Returns the exit code that the command uses for a status: 0 done, 1 a check failed, 2 bad input, 3 out of resources,
 * 130. */
SN_API int sn_status_exit_code(sn_status status);
/* Returns "MAJOR.MINOR.PATCH" of the library. */
SN_API const char *sn_version(void);

/* ==== Context ================================================================================================== */

typedef struct sn_ctx sn_ctx;

/* Of matrix products: float32; three products of bfloat16 halves (relative error about 4e-6); one of them (about 2e-3).
 * On a processor without bfloat16 instructions all are float32, and results say so. */
typedef enum sn_precision { SN_F32_PRECISION = 0, SN_BF16X3_PRECISION, SN_BF16_PRECISION } sn_precision;

/* Called now and then from long work, on the calling thread. total 0: unknown. */
typedef void sn_progress_fn(void *payload, const char *what, int64_t done, int64_t total);
/* A line for the user that is no result and no error. */
typedef void sn_note_fn(void *payload, const char *text);
/* A piece of a text that is being written, for someone who watches; "\n" ends it. */
typedef void sn_stream_fn(void *payload, const char *text);

/* Processes that share a run (ranks of MPI). All make the same calls and come to the same results; what is much work
 * is dealt out to them by its number. The three functions are called by all ranks at the same points; false: the others
 * are lost. */
typedef struct sn_team {
	int rank, n;                /* n 0 or 1: this process alone */
	void *payload;
	/* Gives size bytes to all and takes those of all, [n][size] in the order of ranks. */
	bool (*exchange)(void *payload, const void *own, size_t size, void *all);
	/* The bytes of rank `from` become everybody's. */
	bool (*broadcast)(void *payload, int from, void *bytes, size_t size);
	/* Rank `from` hands its bytes to rank 0, which takes them; nobody else calls it. from is not 0. */
	bool (*hand)(void *payload, int from, void *bytes, size_t size);
} sn_team;

typedef struct sn_options {
	uint32_t size;              /* sizeof(sn_options) */
	int threads;                /* 0: all processors */
	uint64_t seed;              /* key of every random draw */
	sn_precision precision;
	int64_t tokens_per_step;    /* packed tokens computed together; 0: 1,024 */
	int64_t memory;             /* bytes that models and their runs may take; 0: 60 % of what is free. A run that
	                               would take more is computed in waves, with the same results */
	sn_progress_fn *progress;   /* NULL: silent */
	sn_note_fn *note;           /* NULL: dropped */
	sn_stream_fn *stream;       /* NULL: not shown */
	void *payload;              /* for the three above */
	void *(*alloc)(void *payload, size_t size);     /* NULL: the C library's; for tests that make allocations fail */
	void (*dealloc)(void *payload, void *p);
	void *alloc_payload;
	sn_team team;               /* zeros: one process */
} sn_options;

/* Opens a context. options NULL: defaults. SN_ENOMEM, or SN_EARG for a wrong size; *out is NULL on failure. */
SN_API SN_CHECKED sn_status sn_ctx_open(sn_ctx **out, const sn_options *options);
/* Closes a context; everything opened with it must be closed before. NULL is allowed. */
SN_API void sn_ctx_close(sn_ctx *ctx);
/* Returns the one-line text of the last failure; "" if none. Owned by ctx, valid until the next failing call. */
SN_API const char *sn_error(const sn_ctx *ctx);
/* Asks running work to stop at the next step with SN_ECANCEL. Async-signal-safe. */
SN_API void sn_cancel(sn_ctx *ctx);
SN_API uint64_t sn_ctx_seed(const sn_ctx *ctx);
SN_API int sn_ctx_threads(const sn_ctx *ctx);

/* ==== Memory =================================================================================================== */

/* An arena: allocations that end together. */
typedef struct sn_arena sn_arena;
SN_API SN_CHECKED sn_status sn_arena_open(sn_arena **out, sn_ctx *ctx);
/* Frees everything taken from the arena. NULL is allowed. */
SN_API void sn_arena_close(sn_arena *arena);
/* Returns size zeroed bytes, 64-byte aligned, living until the arena is closed or reset below this point; NULL (with
 * the error set on the arena's context) when memory is short. size 0 returns a valid pointer. */
SN_API void *sn_arena_take(sn_arena *arena, size_t size);

/* ==== Tensors ================================================================================================== */

typedef enum sn_dtype { SN_DTYPE_NONE, SN_F32, SN_F64, SN_I32, SN_I64, SN_U8, SN_F16, SN_BF16 } sn_dtype;
typedef enum sn_device { SN_CPU = 0 } sn_device;

/* A view; the arena, mapping or store it points into owns the bytes. Strides count elements. */
typedef struct sn_tensor {
	void *data;
	sn_dtype dtype;
	uint8_t device;
	int ndim;
	int64_t dim[4], stride[4];
} sn_tensor;

/* Returns the bytes of one element; 0 for SN_DTYPE_NONE. */
SN_API size_t sn_dtype_size(sn_dtype dtype);
/* Returns a dense float32 view of [rows, cols]; with rows < 0 of [cols]. */
SN_API sn_tensor sn_tensor_f32(float *data, int64_t rows, int64_t cols);
SN_API int64_t sn_tensor_count(const sn_tensor *t);

/* ==== Sites ==================================================================================================== */

/* Which stack of blocks a site is in. In an encoder-decoder, SN_STACK_ONLY means the decoder. */
typedef enum sn_stack_id { SN_STACK_ONLY, SN_STACK_ENCODER, SN_STACK_DECODER } sn_stack_id;

/* A named place in the computation. Text form: "blocks.7.attn.hook_z[3]" (head 3), "blocks.*.hook_resid_post" (a
 * pattern), "ln_final.hook_normalized", "encoder.blocks.0.hook_resid_pre"; TransformerLens's names, its Bridge names
 * accepted as aliases. */
typedef struct sn_site {
	uint16_t kind;         /* sn_site_kind; 0 is invalid */
	int16_t layer;         /* block number; 0 for sites outside the blocks */
	uint8_t stack, splice; /* stack: sn_stack_id; splice: 0 */
	int16_t head;          /* 0: all, otherwise number + 1 */
	int32_t unit;          /* 0: all, otherwise column + 1 (inside the head, where one is named) */
} sn_site;

/* X(KIND, name, inside a block, width: D model, S embeddings (as they are summed), F before the unembedding, 1 scalar,
 *   Q heads x d_head, K kv heads x d_head, R heads x d_model, M d_mlp, U logits, A attended positions) in order of
 *   computation; before or after which matrix a site stands is in its name. In blocks that norm the sum (BERT) ln1
 *   stands behind hook_resid_mid and ln2 behind hook_resid_post; hook_normalized_resid_post is then what the next block
 *   reads. */
#define SN_SITE_MAP(X)                                                                                                 \
	X(EMBED, "hook_embed", 0, 'S')                                                                                     \
	X(POS_EMBED, "hook_pos_embed", 0, 'S')                                                                             \
	X(TOKEN_TYPE_EMBED, "hook_token_type_embed", 0, 'S')                                                               \
	X(EMBED_LN_SCALE, "embed.ln.hook_scale", 0, '1')                                                                   \
	X(EMBED_LN_NORMALIZED, "embed.ln.hook_normalized", 0, 'S')                                                         \
	X(FULL_EMBED, "hook_full_embed", 0, 'S')                                                                           \
	X(RESID_PRE, "hook_resid_pre", 1, 'D')                                                                             \
	X(LN1_SCALE, "ln1.hook_scale", 1, '1')                                                                             \
	X(LN1_NORMALIZED, "ln1.hook_normalized", 1, 'D')                                                                   \
	X(Q_IN, "attn.q.hook_in", 1, 'D')                                                                                  \
	X(Q, "attn.hook_q", 1, 'Q')                                                                                        \
	X(K, "attn.hook_k", 1, 'K')                                                                                        \
	X(V, "attn.hook_v", 1, 'K')                                                                                        \
	X(ROT_Q, "attn.hook_rot_q", 1, 'Q')                                                                                \
	X(ROT_K, "attn.hook_rot_k", 1, 'K')                                                                                \
	X(ATTN_SCORES, "attn.hook_attn_scores", 1, 'A')                                                                    \
	X(PATTERN, "attn.hook_pattern", 1, 'A')                                                                            \
	X(Z, "attn.hook_z", 1, 'Q')                                                                                        \
	X(RESULT, "attn.hook_result", 1, 'R')                                                                              \
	X(O_OUT, "attn.o.hook_out", 1, 'D')                                                                                \
	X(LN1_POST_SCALE, "ln1_post.hook_scale", 1, '1')                                                                   \
	X(LN1_POST_NORMALIZED, "ln1_post.hook_normalized", 1, 'D')                                                         \
	X(ATTN_OUT, "hook_attn_out", 1, 'D')                                                                               \
	X(RESID_MID, "hook_resid_mid", 1, 'D')                                                                             \
	X(LN_CROSS_SCALE, "ln_cross.hook_scale", 1, '1')                                                                   \
	X(LN_CROSS_NORMALIZED, "ln_cross.hook_normalized", 1, 'D')                                                         \
	X(CROSS_Q_IN, "cross_attn.q.hook_in", 1, 'D')                                                                      \
	X(CROSS_K_IN, "cross_attn.k.hook_in", 1, 'D')                                                                      \
	X(CROSS_Q, "cross_attn.hook_q", 1, 'Q')                                                                            \
	X(CROSS_K, "cross_attn.hook_k", 1, 'K')                                                                            \
	X(CROSS_V, "cross_attn.hook_v", 1, 'K')                                                                            \
	X(CROSS_SCORES, "cross_attn.hook_attn_scores", 1, 'A')                                                             \
	X(CROSS_PATTERN, "cross_attn.hook_pattern", 1, 'A')                                                                \
	X(CROSS_Z, "cross_attn.hook_z", 1, 'Q')                                                                            \
	X(CROSS_RESULT, "cross_attn.hook_result", 1, 'R')                                                                  \
	X(CROSS_O_OUT, "cross_attn.o.hook_out", 1, 'D')                                                                    \
	X(CROSS_ATTN_OUT, "hook_cross_attn_out", 1, 'D')                                                                   \
	X(RESID_MID_CROSS, "hook_resid_mid_cross", 1, 'D')                                                                 \
	X(LN2_SCALE, "ln2.hook_scale", 1, '1')                                                                             \
	X(LN2_NORMALIZED, "ln2.hook_normalized", 1, 'D')                                                                   \
	X(MLP_IN, "mlp.in.hook_in", 1, 'D')                                                                                \
	X(MLP_PRE, "mlp.hook_pre", 1, 'M')                                                                                 \
	X(MLP_PRE_LINEAR, "mlp.hook_pre_linear", 1, 'M')                                                                   \
	X(MLP_POST, "mlp.hook_post", 1, 'M')                                                                               \
	X(MLP_OUT_OUT, "mlp.out.hook_out", 1, 'D')                                                                         \
	X(LN2_POST_SCALE, "ln2_post.hook_scale", 1, '1')                                                                   \
	X(LN2_POST_NORMALIZED, "ln2_post.hook_normalized", 1, 'D')                                                         \
	X(MLP_OUT, "hook_mlp_out", 1, 'D')                                                                                 \
	X(RESID_POST, "hook_resid_post", 1, 'D')                                                                           \
	X(NORMALIZED_RESID_POST, "hook_normalized_resid_post", 1, 'D')                                                     \
	X(LN_FINAL_SCALE, "ln_final.hook_scale", 0, '1')                                                                   \
	X(LN_FINAL_NORMALIZED, "ln_final.hook_normalized", 0, 'D')                                                         \
	X(MLM_IN, "mlm_head.dense.hook_in", 0, 'D')                                                                        \
	X(MLM_OUT, "mlm_head.dense.hook_out", 0, 'F')                                                                      \
	X(MLM_LN_SCALE, "mlm_head.ln.hook_scale", 0, '1')                                                                  \
	X(MLM_LN_NORMALIZED, "mlm_head.ln.hook_normalized", 0, 'F')                                                        \
	X(UNEMBED_IN, "unembed.hook_in", 0, 'F')                                                                           \
	X(LOGITS, "unembed.hook_out", 0, 'U')

typedef enum sn_site_kind {
	SN_SITE_NONE,
#define SN_SITE_ENUM(kind, name, in_block, width) SN_SITE_##kind,
	SN_SITE_MAP(SN_SITE_ENUM)
#undef SN_SITE_ENUM
	SN_SITE_COUNT
} sn_site_kind;

/* ==== Batches ================================================================================================== */

/* Which places of a batch: (row, position) pairs in packed order. */
typedef enum sn_sel {
	SN_SEL_NONE,      /* invalid */
	SN_ALL,           /* every position */
	SN_LAST,          /* the last position of each row */
	SN_SPAN,          /* every position of span arg (rows without it: none) */
	SN_SPAN_LAST,     /* the last position of span arg */
	SN_AT,            /* position arg; negative counts from the row's end */
	SN_RANGE,         /* positions [arg, end) */
	SN_FROM,          /* positions >= arg */
	SN_FROM_SPAN,     /* positions >= the first of span arg */
	SN_LIST           /* flat token indices list[0..n_list), ascending */
} sn_sel;

typedef struct sn_where {
	sn_sel sel;
	int32_t arg, end;
	const int64_t *list;
	int64_t n_list;
	int32_t row0, n_row;   /* only rows [row0, row0 + n_row); n_row 0: all rows */
} sn_where;

/* Packed ragged rows; no padding exists. All arrays are borrowed for the length of a call. A fork repeats its parent's
 * edits on the tokens it shares, unless an edit names the fork itself; edits of kept rows are in what was kept, and are
 * not repeated on positions computed anew. */
typedef struct sn_batch {
	int32_t n;                      /* rows */
	const int32_t *token;           /* row b is token[start[b]] .. token[start[b + 1] - 1]; at least one token a row */
	const int64_t *start;           /* [n + 1] */
	const int64_t *item;            /* [n] data set row of each row, or NULL: the row number */
	const int32_t *parent, *fork;   /* [n] or NULL. parent >= 0: an earlier row of this batch; -1: none; -2 - r: row r
	                                   of the kept state. Tokens before fork[b] equal the parent's */
	const int32_t (*span)[2];       /* [n * n_span] roles: [first, last) token; absent is {-1, -1} */
	int32_t n_span;
	const int32_t *segment;         /* token types, as token; NULL: all 0 */
	const struct sn_batch *enc;     /* encoder-decoders: the encoder's rows, which several rows may share; NULL where
	                                   every row is a fork of kept ones: the rows that those read */
	const int32_t *enc_row;         /* [n] row of enc that each row reads; NULL: the row of the same number */
} sn_batch;

/* ==== Plans: edits, taps, goals ================================================================================ */

typedef enum sn_op {
	SN_OP_NONE,   /* invalid */
	SN_OP_ZERO,   /* target = 0 */
	SN_OP_SET,    /* target = src, or the same places of row src_row[b] */
	SN_OP_ADD,    /* x <- x + alpha * src (U, V: x + alpha * U V' src) */
	SN_OP_NOISE,  /* x <- x + alpha * standard normal noise */
	SN_OP_BLOCK   /* attention scores of (where, key) := -inf; at attn.hook_attn_scores only */
} sn_op;

/* x <- x + alpha * U V' (target - x) at a site; without U and V: x <- x + alpha * (target - x). U, V: float32 [d, k].
 * Several edits of one place act in the plan's order; rows that they read from are read as they stand before any edit
 * of that site. Attention scores and patterns take ZERO, BLOCK, and SET from a row. */
typedef struct sn_edit {
	sn_op op;
	sn_site at;
	sn_where where, key;      /* key: attended positions, at scores and pattern (sel 0 there: all) */
	const sn_tensor *src;     /* float32 [d], or [m, d] with m the number of places: what a tap with the same where
	                             yields */
	const sn_tensor *U, *V;
	const int32_t *src_row;   /* [n] rows of this batch; -1: this row is not edited */
	const float *alpha;       /* NULL: 1; n_alpha 1: one for all; n_alpha n: one a row */
	int n_alpha;
	uint64_t noise_key;       /* draws depend on (seed, key, item, position, column) only, so forks share noise */
} sn_edit;

/* The site's value after or before the plan's edits there (attention scores and patterns: after only); or the
 * derivative of all the plan's goals added together by the site's value after the edits, or before them (attention:
 * after only), or, at hook_normalized of a norm and at hook_q and hook_k of models that norm these, by what the norm
 * yields behind its gains and bias. */
typedef enum sn_what { SN_AFTER = 0, SN_BEFORE = 1, SN_GRAD = 2, SN_GRAD_BEFORE = 3, SN_GRAD_NORMED = 4 } sn_what;

/* What a sink receives: places of one chunk, in packed order. x: float32 [m, width]; valid during the call only. At
 * scores and pattern: m is one place, x is [heads, attended positions]: 0 to pos in causal self-attention, otherwise
 * all of the row or of its encoder row. */
typedef struct sn_block {
	sn_site site;
	const sn_batch *batch;
	const int32_t *row, *pos;   /* [m] */
	int64_t m, first, chunk;    /* first: number of the first place among all places of the tap */
	sn_tensor x;
} sn_block;

typedef struct sn_file sn_file;
/* Chunks are fixed by the data (64 batch rows) and arrive in order, whole or in consecutive pieces; merge takes states
 * in the order of their chunks. So threads, steps and resume agree. save / load may be NULL where a state cannot be
 * kept. */
typedef struct sn_sink {
	size_t size;
	bool on_device;
	sn_status (*take)(sn_ctx *ctx, void *state, const sn_block *block);
	sn_status (*merge)(sn_ctx *ctx, void *into, const void *next);
	sn_status (*save)(sn_ctx *ctx, const void *state, sn_file *file);
	sn_status (*load)(sn_ctx *ctx, void *state, sn_file *file);
} sn_sink;

typedef struct sn_tap {
	sn_site at;
	sn_where where;
	sn_what what;
	const sn_sink *sink;
	void *state;
} sn_tap;

typedef enum sn_metric {
	SN_METRIC_NONE,
	SN_LOSS,         /* - log p(wanted next token), nats */
	SN_LOGPROB,      /* log p(wanted), nats */
	SN_LOGIT,        /* logit of the wanted token */
	SN_LOGIT_DIFF,   /* logit wanted - logit foil = log p(wanted) - log p(foil), nats */
	SN_KL,           /* KL(distribution of ref_row || this row), nats, at the same places */
	SN_DOT           /* x . dir at the site */
} sn_metric;

/* One number a row: the metric summed over the row's places (0 for a row without places). Distributions are over the
 * token that follows the place; in a bidirectional model (info->causal false) over the token at the place, which is to
 * be masked. Goals are over the decoder, except DOT, whose site may be in the encoder. */
typedef struct sn_goal {
	sn_metric metric;
	sn_site at;                  /* DOT only */
	sn_where where;
	const int32_t *want, *foil;  /* token ids, one a place in packed order (see n_want); want NULL: the row's own token
	                                (places without a next token are left out) */
	int64_t n_want;              /* 1: the same token(s) at every place; otherwise the number of places */
	const int64_t *want_start, *foil_start; /* NULL: one id a place; else [n_want + 1] ranges of alternatives,
	                                           log-sum-exp'ed */
	const sn_tensor *dir;        /* DOT: float32 [width] */
	const int32_t *ref_row;      /* KL: [n] */
	const float *weight;         /* [n] factor of each row, or NULL: 1 */
} sn_goal;

/* What taps of gradients take as derivatives: bits; 0 is the derivative itself. The last two are modified gradients
 * whose product with a site's value is its relevance: CP-LRP (Ali et al. 2022) and AttnLRP (Achtibat et al. 2024), both
 * by stop-gradients alone, which is exact for layers without biases. */
typedef enum sn_rule {
	SN_RULE_PLAIN = 0,
	SN_RULE_FREEZE_NORMS = 1,      /* scales of norms are constants */
	SN_RULE_FREEZE_ATTENTION = 2,  /* attention patterns are constants */
	SN_RULE_CHORD = 4,             /* an activation's slope is f(x) / x */
	SN_RULE_HALVE = 8,             /* each factor of a product of activations (pattern and value, query and key, gate
	                                  and up) gets half */
	SN_RULE_FREEZE_GATES = 16,     /* what a gated feed-forward multiplies by is a constant */
	SN_RULE_RESCALE = 32,          /* DeepLIFT's multipliers against each row's `reference`; alone */
	SN_RULE_CP_LRP = 23,
	SN_RULE_ATTN_LRP = 13
} sn_rule;

/* Gradients are each row's own, over its full length: a plan with taps of gradients computes forks in full. A KL goal's
 * reference row is a constant to them.
 *
 * Under SN_RULE_RESCALE (DeepLIFT, Shrikumar et al. 2017) what such taps take are multipliers m, for which at every
 * boundary sum m (x - x') = f(x) - f(x'), x' being the values of the row's reference and f the row's goals: each
 * operation has the multiplier that makes its change exact. Activations and soft-caps: change over change (the rescale
 * rule). Products (pattern and value, query and key, gate and up): the other factor's mean over both rows. Softmax: its
 * derivative with the logarithmic means of P_i and P'_i for P_i, normed to sum 1 in the mean that is taken off. Norms
 * n = c / s: dn = (dc - mean(n) ds) / mean(s). Where input and reference agree, all are derivatives. captum has a rule
 * for the first alone and differentiates the others. SN_EARG: KL goals, more than 256 alternatives, edits or gradients
 * of attention. */
typedef struct sn_plan {
	uint32_t size;   /* sizeof(sn_plan) */
	int n_edit, n_tap, n_goal;
	const sn_edit *edit;
	const sn_tap *tap;
	const sn_goal *goal;
	sn_rule rule;
	const int32_t *reference;   /* SN_RULE_RESCALE: [n] the row, as long and with the same places of goals, that each is
	                               compared with; itself: its gradient is plain */
	bool whole;      /* all rows are one step, whatever their tokens: for a tap whose sink makes an edit's tensors */
	bool lean;       /* gradients in less memory: blocks are computed twice instead of saved, and their transposed
	                    weights packed as the pass back reaches them and freed behind it; half as long again */
} sn_plan;

/* ==== Models =================================================================================================== */

typedef struct sn_model sn_model;
typedef struct sn_state sn_state;
typedef struct sn_tokenizer sn_tokenizer;

typedef struct sn_model_info {
	/* "" where unknown */
	const char *path, *name, *architecture, *format, *quantisation, *licence, *tokenizer, *training;
	char sha256[65];              /* of the weight file(s); "" until sn_model_hash was called */
	int n_layer, n_head, n_kv_head, d_head;
	int64_t d_model, d_mlp, d_vocab, n_ctx, n_parameter, file_bytes;
	int64_t weight_bytes;         /* in memory, packed for this precision */
	int64_t step_bytes;           /* what a step of the context's tokens_per_step takes beside them, without logits */
	int n_layer_encoder;          /* encoder-decoders: blocks of the encoder; 0: there is none */
	bool tied, causal, add_bos;
	bool has_logits;              /* a head over the vocabulary (or, ELECTRA's discriminator, over one logit) */
	int32_t bos, eos;             /* -1: none */
	int32_t mask;                 /* token that hides another in a masked model; -1: none */
	int32_t decoder_start;        /* encoder-decoders: first token of every decoder row; -1: none */
} sn_model_info;

/* Opens a GGUF file, a Hugging Face folder, or a model in the hub's cache by its name, ORG/NAME[@REVISION][/FILE].
 * Weights stay mapped and are dequantised and packed when first used.
 * SN_EPARSE, SN_ESHAPE, SN_EUNKNOWN (architecture), SN_ENOMEM. */
SN_API SN_CHECKED sn_status sn_model_open(sn_model **out, sn_ctx *ctx, const char *path);
/* A model of the same shape, without tokenizer, with random weights: N(0, 0.02) matrices and embeddings, norm gains 1,
 * biases 0. */
SN_API SN_CHECKED sn_status sn_model_open_random(sn_model **out, sn_ctx *ctx, const sn_model *like, uint64_t seed);
SN_API void sn_model_close(sn_model *model);
SN_API const sn_model_info *sn_model_get_info(const sn_model *model);
/* Computes the SHA-256 of the weight file into the info (reads the whole file once). */
SN_API SN_CHECKED sn_status sn_model_hash(sn_ctx *ctx, sn_model *model);
/* Returns the model's tokenizer, owned by the model; NULL if it has none. */
SN_API const sn_tokenizer *sn_model_tokenizer(const sn_model *model);

/* Runs a batch under a plan. In an encoder-decoder, edits and taps at encoder sites concern rows of batch->enc, as do
 * taps of the keys and values that cross-attention makes of them; the others concern rows of the batch. score:
 * [n_goal][n] or NULL without goals. keep: NULL, or an open state that afterwards holds this batch's rows for forks of
 * later batches (the batch's own -2 - r parents refer to what it held before). Taps reach their sinks while the model
 * runs. Cost: only layers, positions and logits that taps and goals need. */
SN_API SN_CHECKED sn_status sn_run(sn_ctx *ctx, sn_model *model, const sn_batch *batch, const sn_plan *plan,
                                   sn_state *keep, double *score);
SN_API SN_CHECKED sn_status sn_state_open(sn_state **out, sn_ctx *ctx);
SN_API void sn_state_close(sn_state *state);

typedef enum sn_matrix { SN_W_NONE, SN_W_E, SN_W_Q, SN_W_K, SN_W_V, SN_W_O, SN_W_GATE, SN_W_IN, SN_W_OUT, SN_W_U,
                         SN_W_CROSS_Q, SN_W_CROSS_K, SN_W_CROSS_V, SN_W_CROSS_O,
                         SN_W_MLM,      /* the layer of a head before its unembedding (BERT, OPT-350m) */
                         SN_W_PROJECT,  /* from the embeddings' width to the stream's */
                         SN_W_REL_Q, SN_W_REL_K,   /* DeBERTa's distances to queries, to keys, where not Q and K do */
                         SN_W_POS, SN_W_TYPE, SN_W_REL_BIAS,   /* tables: positions, token types, T5's distances, */
                         SN_W_REL_EMBED,                       /* DeBERTa's distances */
                         SN_W_EMBED_LN, SN_W_LN1, SN_W_Q_LN, SN_W_K_LN, SN_W_LN1_POST, SN_W_LN_CROSS, SN_W_LN2,
                         SN_W_LN2_POST, SN_W_LN_FINAL, SN_W_MLM_LN, SN_W_REL_LN,   /* gains of norms */
                         SN_W_COUNT } sn_matrix;
/* Writes a weight matrix, dequantised, into out (float32 [d_in, d_out], right-multiplying as in TransformerLens; by
 * head for Q, K, V, O with head >= 0: [d_model, d_head] or [d_head, d_model]; head -1: all heads; tables: [rows, d];
 * gains: [1, d], as they multiply: 1 more than Gemma's files have), allocated from arena. SN_EARG where the model has
 * no such matrix (a gate, an unembedding), block or head. */
SN_API SN_CHECKED sn_status sn_weight(sn_ctx *ctx, const sn_model *model, sn_matrix matrix, int layer, int head,
                                      sn_arena *arena, sn_tensor *out);

/* A weight whose gradient is wanted, and where it is added: the caller's, all heads, shaped as sn_weight shapes it
 * (float32 [d_in, d_out]; tables: rows that no place reads untouched). */
typedef struct sn_weight_grad {
	sn_matrix matrix;
	int layer;
	sn_stack_id stack;   /* SN_STACK_ENCODER: of an encoder-decoder's encoder */
	float *w;
	float *bias;         /* [d_out], or NULL; added to also where the model has no bias; of matrices and norms */
} sn_weight_grad;
/* Runs a batch under a plan and adds the derivative of all its goals by each of n weights, edits included: of a matrix
 * the sum over all places of the outer product of what it reads and its output's derivative, of a norm's gains that of
 * their elementwise product, of a table's row the sum over the places that read it. Shared weights (tied embeddings,
 * ALBERT's blocks, an encoder's and decoder's table): of this use alone; distances' tables and their norm: of all
 * blocks of the stack, and DeBERTa's Q and K with what they make of distances. score as in sn_run; the plan's own taps
 * act too; calls add up over batches. Cost: a forward and a backward pass, 2 d_in d_out operations a token and matrix,
 * and [tokens, d_in] floats for each input; for weights that read distances also [tokens, heads, keys] of a chunk.
 * SN_EARG: a weight that the model lacks; O where edits change heads' results; weights that read distances where edits
 * change scores. */
SN_API SN_CHECKED sn_status sn_weight_gradients(sn_ctx *ctx, sn_model *model, const sn_batch *batch,
                                                const sn_plan *plan, int n, const sn_weight_grad *grad, double *score);

/* Parses one site without a pattern. SN_EARG lists what the model has. model NULL: any. */
SN_API SN_CHECKED sn_status sn_site_parse(sn_ctx *ctx, const sn_model *model, const char *text, sn_site *out);
/* Expands a comma-separated list with `*` for layers and heads into sites in model order, from arena. */
SN_API SN_CHECKED sn_status sn_site_expand(sn_ctx *ctx, const sn_model *model, const char *pattern, sn_arena *arena,
                                           sn_site **out, int *n_out);
/* Writes the site's text form into buf; returns its length. */
SN_API int sn_site_format(const sn_site *site, char *buf, size_t size);
/* Returns the number of columns a tap of the site yields; 0 for scores and pattern, whose width is the position + 1,
 * times heads. */
SN_API int64_t sn_site_width(const sn_model *model, const sn_site *site);

/* Sinks that come with the library. */
typedef struct sn_keep { float *x; int64_t m, d; } sn_keep;               /* x: [m, d], the caller's, filled by place
                                                                             number */
typedef struct sn_moments { double *sum, *outer; int64_t n, d; } sn_moments;  /* sum [d]; outer [d, d] or NULL; the
                                                                                 caller's */
SN_API extern const sn_sink sn_sink_keep, sn_sink_moments;
/* Returns the number of places that a where names in a batch, or -1 with the error set. */
SN_API int64_t sn_where_count(sn_ctx *ctx, const sn_batch *batch, const sn_where *where);

/* ==== Text ===================================================================================================== */

typedef struct sn_tokens {
	int64_t n;
	int32_t *id;
	int64_t (*span)[2];   /* [n] byte offsets [first, last) into the text; a token that is part of a character spans all
	                         of it */
	uint8_t *type;        /* [n] segment (token type) that the model's template gives */
	int8_t *text;         /* [n] which text the span is of: 0, 1; -1: a token that was added */
	int32_t *word;        /* [n] number of the word that the pre-tokenizer cut it from; -1: a token that was added */
} sn_tokens;

/* add BOS/EOS as the model asks; read "<|im_end|>" in the text as one token; read U+FFFD where a text is not UTF-8;
 * leave out special tokens in sn_detokenize */
enum { SN_ADD_SPECIAL = 1, SN_PARSE_SPECIAL = 2, SN_REPLACE_INVALID = 4, SN_SKIP_SPECIAL = 8 };

/* Tokenizes UTF-8 text; out's arrays come from arena. Tokens that SN_ADD_SPECIAL adds have empty spans at the text's
 * ends. Bytes that the vocabulary lacks yield its unknown token if it has one, otherwise none, which a note says.
 * SN_EPARSE names the byte offset of invalid UTF-8, unless SN_REPLACE_INVALID asks to read U+FFFD for each sequence of
 * wrong bytes, which its token then spans. */
SN_API SN_CHECKED sn_status sn_tokenize(sn_ctx *ctx, const sn_tokenizer *tokenizer, const char *text, size_t size,
                                        int flags, sn_arena *arena, sn_tokens *out);
/* Tokenizes a pair of texts by the template that the model has for pairs: spans are offsets into the text that
 * out->text names. Otherwise as sn_tokenize. */
SN_API SN_CHECKED sn_status sn_tokenize_pair(sn_ctx *ctx, const sn_tokenizer *tokenizer, const char *const text[2],
                                             const size_t size[2], int flags, sn_arena *arena, sn_tokens *out);
/* Puts the text of n tokens together (from arena, NUL-terminated, *size bytes without it), as the tokenizer's decoder
 * says: the words that pieces make, bytes where bytes were written, U+FFFD where they are no UTF-8. Without a decoder
 * tokens stand with spaces between. SN_ENOTFOUND: an id that is no token's. */
SN_API SN_CHECKED sn_status sn_detokenize(sn_ctx *ctx, const sn_tokenizer *tokenizer, int64_t n, const int32_t *id,
                                          int flags, sn_arena *arena, const char **text, size_t *size);
/* Returns a token's text as bytes (from arena, NUL-terminated, *size without it): "Ġthe" is " the". NULL: no such id,
 * or no memory. */
SN_API const char *sn_token_text(sn_ctx *ctx, const sn_tokenizer *tokenizer, int32_t id, sn_arena *arena, size_t *size);
SN_API int32_t sn_tokenizer_size(const sn_tokenizer *tokenizer);

/* ==== Data ===================================================================================================== */

typedef enum sn_type { SN_TYPE_NONE, SN_TYPE_INT, SN_TYPE_FLOAT, SN_TYPE_TEXT, SN_TYPE_BOOL, SN_TYPE_SPAN,
                       SN_TYPES } sn_type;

/* Missing: INT64_MIN, NaN, NULL, -1, {-1, -1}. */
typedef struct sn_column {
	const char *name;
	sn_type type;
	const int64_t *i;              /* INT */
	const double *f;               /* FLOAT */
	const char *const *s;          /* TEXT, UTF-8 */
	const int8_t *b;               /* BOOL */
	const int64_t (*span)[2];      /* SPAN: byte offsets into the text column */
} sn_column;

/* Rows of typed columns. Nested JSON objects become dotted names ("labels.number"). */
typedef struct sn_dataset {
	const char *source;            /* path, or what made it */
	char sha256[65];
	int64_t n;
	int n_col;
	const sn_column *col;
	const struct sn_conllu *treebank;   /* CoNLL-U: its words, sentence i is row i; otherwise NULL */
	sn_arena *arena;               /* owns everything above */
} sn_dataset;

/* Reads JSONL, CSV (header), TSV, CoNLL-U or plain lines by extension ("-": standard input, JSONL if the first byte is
 * '{'). BOM and CRLF are accepted. SN_EPARSE names line and column. */
SN_API SN_CHECKED sn_status sn_dataset_open(sn_dataset **out, sn_ctx *ctx, const char *path);
SN_API void sn_dataset_close(sn_dataset *data);
/* Returns the column of that name, or NULL. */
SN_API const sn_column *sn_dataset_column(const sn_dataset *data, const char *name);

/* ==== Methods and results ====================================================================================== */

/* What a column of a result is. In figures the first DIM is the x axis, the second the series (LINE, BAR) or the y axis
 * (HEAT); with FACET there is one panel a value; every MEASURE makes panels of its own. A TEXT measure makes HEAT a map
 * of categories. TOKENS: running text, a token a row (the TEXT column), coloured by the MEASURE; one text a value of
 * the FACETs. */
typedef enum sn_role {
	SN_DIM,        /* a coordinate */
	SN_MEASURE,
	SN_LOW,        /* bounds of the measure named by of: bands, error bars, [low, high] in tables */
	SN_HIGH,
	SN_COUNT_OF,
	SN_TEXT,       /* words beside the numbers */
	SN_FACET,
	SN_BASE,       /* baseline, floor or threshold of the measure named by of: drawn dashed */
	SN_MARK,       /* TEXT, one or two characters written into the cell of a heat map */
	SN_HATCH,      /* BOOL: true where the value holds for any model (of NULL: all measures): hatched, out of the colour
	                  scale */
	SN_LABEL,      /* TEXT that stands in the cells of HEAT in the place of the numbers of the measure `of` */
	SN_ROLES
} sn_role;
typedef enum sn_view { SN_VIEW_TABLE, SN_VIEW_LINE, SN_VIEW_HEAT, SN_VIEW_TEXT, SN_VIEW_BAR, SN_VIEW_TOKENS,
                       SN_VIEWS } sn_view;

/* A parameter of a method: one declaration for command line, help, JSON, provenance. The value lies at off in the
 * struct: INT int64_t, FLOAT double, TEXT const char *, BOOL bool. choices: "a|b|c" or NULL. */
typedef struct sn_param {
	const char *name, *unit, *help, *def, *choices;
	sn_type type;
	size_t off;
	double min, max;     /* both 0: any */
	bool required;
} sn_param;

/* A column of a result. name: stable, machine-readable; title: for people (NULL: the name); better: +1 higher, -1
 * lower, 0 neither. */
typedef struct sn_col {
	const char *name, *unit, *of;
	sn_type type;
	sn_role role;
	int better;
	const char *title;
} sn_col;

/* caption: what the reader sees and how to read it. appendix: at the end of a report, never on the terminal. */
typedef struct sn_table {
	const char *name, *title;
	const sn_col *col;
	int n_col;
	sn_view view;
	const char *caption;
	bool appendix;
} sn_table;

typedef struct sn_input {
	sn_model *model[2];
	const sn_dataset *data[4];
} sn_input;

typedef struct sn_result sn_result;

/* SN_TAKES_DATA: data may be given. */
enum { SN_NEEDS_MODEL = 1, SN_NEEDS_DATA = 2, SN_NEEDS_TOKENIZER = 4, SN_TAKES_DATA = 8 };

typedef struct sn_method {
	const char *family, *name, *brief, *doc, *cite, *example;   /* family "": stands alone at the top */
	uint32_t needs;
	const char *operand;    /* parameter that may stand without its --NAME; NULL: the model */
	const sn_param *param;
	int n_param;
	size_t param_size;
	const sn_table *table;
	int n_table;
	sn_status (*run)(sn_ctx *ctx, const sn_input *input, const void *param, sn_result *out);
} sn_method;

/* Returns the registry's method i, or NULL past the end. */
SN_API const sn_method *sn_method_at(int i);
/* Returns the method family/name, or NULL. */
SN_API const sn_method *sn_method_find(const char *family, const char *name);

/* One value of a result row, by the column's type; missing as in sn_column. */
typedef struct sn_value {
	int64_t i;      /* INT, BOOL */
	double f;
	const char *s;
} sn_value;

SN_API SN_CHECKED sn_status sn_result_open(sn_result **out, sn_ctx *ctx, const sn_method *method);
SN_API void sn_result_close(sn_result *result);
/* Runs a method on an input; param: its parameter struct (all defaults filled), NULL: defaults. */
SN_API SN_CHECKED sn_status sn_method_run(sn_ctx *ctx, const sn_method *method, const sn_input *input,
                                          const void *param, sn_result *out);
SN_API int64_t sn_result_rows(const sn_result *result, int table);
/* Returns row r of a table: n_col values in the order of its columns; owned by the result. */
SN_API const sn_value *sn_result_row(const sn_result *result, int table, int64_t row);

/* Sentences that go with the rows, in the order they were added. */
typedef enum sn_line_kind { SN_LINE_SUMMARY, SN_LINE_LIMIT, SN_LINE_CITE, SN_LINE_PROVENANCE, SN_LINE_PARAM,
                            SN_LINE_KINDS } sn_line_kind;
typedef struct sn_line {
	sn_line_kind kind;
	const char *key;   /* PROVENANCE, PARAM: "seed"; otherwise "" */
	const char *text;
} sn_line;
/* Returns line i of a kind, or NULL past the end; owned by the result. */
SN_API const sn_line *sn_result_line(const sn_result *result, sn_line_kind kind, int i);
/* Returns the method the result belongs to. */
SN_API const sn_method *sn_result_method(const sn_result *result);

#ifdef __cplusplus
}
#endif
#endif
