/* The parts of `attention explanation-tests`. */
#ifndef SN_METHODS_ATTENTION_EXPLAIN_H
#define SN_METHODS_ATTENTION_EXPLAIN_H

#include "methods/attention/attention.h"

typedef struct sn_explain_param {
	const char *column, *source, *target, *label, *lambdas;
	int64_t every, permutations, adversaries, starts, steps, limit;
	int64_t labelled, layer, seeds, attention, batch, epochs;   /* of readouts */
	double epsilon, held, rate;
} sn_explain_param;

/* Tokens whose importance is compared, the players: the text's own, but not the place. */
typedef struct sn_explained_side {
	const sn_attn_side *tokens;
	int32_t n_player, *player; /* [n_player] positions */
	double *loo,               /* [n_player] total variation of the prediction without the token */
		*gradient;             /* [n_player] |x . d log p(top) / dx| of its embedding */
} sn_explained_side;

/* A stack's attention: of the place where the model predicts; in an encoder-decoder's encoder, which predicts nothing,
 * of all its positions. */
typedef struct sn_explained_stack {
	const sn_attn_stack *of;
	int n_chosen;
	const int *chosen;              /* layers whose attention is changed */
	const sn_explained_side *side;  /* of the keys */
	int32_t place, n_query, n_key;  /* queries: positions place .. place + n_query - 1; keys: those that they see */
	float *pattern;                 /* [n_layer][n_head][n_query][n_key] */
	float *value;                   /* [n_chosen][n_key][n_kv_head * d_head] */
	float *slope;                   /* [n_chosen][n_query][n_head * d_head] d log p(top) / dz */
} sn_explained_stack;

/* One text, and what the model makes of it at the place where it predicts. Arrays live until the next text. */
typedef struct sn_explained {
	sn_ctx *ctx;
	sn_model *model;
	const sn_model_info *info;
	sn_arena *arena;
	const sn_attn_text *text;
	int64_t number;          /* of the text, from 0: keys random draws */
	int n_stack;
	sn_explained_stack stack[SN_ATTN_STACKS];
	int32_t place;
	double *prob;            /* [d_vocab] what is predicted */
	int32_t top;             /* the most probable token */
	sn_explained_side own, source;  /* source: of encoder-decoders */
} sn_explained;

/* The place: the mask of a masked model; otherwise the last token that is the text's own. SN_EPARSE where there is
 * none. */
SN_CHECKED sn_status sn_explain_place(sn_ctx *ctx, const sn_model_info *info, const sn_attn_side *side, int32_t *place);
/* Runs the model on a text: e's members up to n_stack, and of, n_chosen and chosen of every stack, are set. */
SN_CHECKED sn_status sn_explain_open(sn_explained *e);

/* Predictions of changed runs, compared with e's: total variation, Jensen-Shannon divergence, the most probable
 * token. */
typedef struct sn_predicted { double *tvd, *js; int32_t *top; } sn_predicted;
/* Runs n variants of the text, each a fork of it in which the output of the attention of one chosen layer at the
 * stack's queries is z + v * n_query * n_head * d_head: layer[v], an index of s->chosen. */
SN_CHECKED sn_status sn_explain_variants(const sn_explained *e, const sn_explained_stack *s, int32_t n,
                                         const int *layer, const float *z, sn_predicted *out);
/* A tap that fills out with the logits at where, place by place; out's arrays are the caller's. */
SN_CHECKED sn_status sn_explain_tap(const sn_explained *e, const sn_where *where, const sn_predicted *out, sn_tap *tap);
/* The batch: the text, then n forks of it (grad: rows of their own), in which a stack may be edited. */
SN_CHECKED sn_status sn_explain_rows(const sn_explained *e, const sn_explained_stack *s, int32_t n, bool grad,
                                     sn_batch *out);
/* The stack's queries in some rows. */
sn_where sn_explain_queries(const sn_explained_stack *s, int32_t row0, int32_t n_row);
/* Mixes the values of chosen layer c by weights a [n_head][n_query][n_key] into z [n_query][n_head * d_head]. */
void sn_explain_mix(const sn_explained_stack *s, int c, const double *a, float *z);
/* The pattern of chosen layer c as doubles, [n_head][n_query][n_key]. */
void sn_explain_pattern(const sn_explained_stack *s, int c, double *a);

static inline int64_t sn_explain_size(const sn_explained_stack *s)
{
	return (int64_t)s->of->n_head * s->n_query * s->n_key;
}

static inline int64_t sn_explain_width(const sn_explained_stack *s) { return (int64_t)s->of->n_head * s->of->d_head; }

/* Rankings of tokens against one another: Kendall's taus and p-values by text; NaN where a ranking is constant. */
typedef struct sn_ranking { double *tau, *p; } sn_ranking;
typedef enum sn_truth { SN_TRUTH_LOO, SN_TRUTH_GRADIENT, SN_TRUTHS } sn_truth;
typedef struct sn_explain_ranks {
	sn_ranking *layer[SN_TRUTHS], *head;        /* [n_layer], [n_layer * n_head]: with leave-one-out */
	sn_ranking rollout[SN_TRUTHS], control;     /* control: gradient with leave-one-out */
	double **rolled;                            /* [texts][n_key] rollout of the last layer; NULL: of cross-attention */
} sn_explain_ranks;
/* Takes room for n_text texts, all of them not ranked, and rolls self-attention out. */
SN_CHECKED sn_status sn_explain_ranks_open(sn_explain_ranks *out, sn_ctx *ctx, sn_model *model,
                                           const sn_attn_texts *texts, const sn_attn_stack *stack, sn_arena *arena);
SN_CHECKED sn_status sn_explain_rank(sn_explain_ranks *r, const sn_explained *e, const sn_explained_stack *s,
                                     int32_t text);

/* What changing one layer's attention does. */
typedef enum sn_erasure_order { SN_ERASE_ATTENTION, SN_ERASE_GRADIENT, SN_ERASE_PRODUCT, SN_ERASE_RANDOM,
                                SN_ERASURES } sn_erasure_order;
typedef struct sn_changed {
	double most;                    /* largest weight, mean of heads and queries */
	double permuted, uniform;       /* total variation: median over permutations; of uniform weights */
	double adversary, adversary_tvd;    /* largest JSD of weights (mean over heads) whose TVD is within epsilon */
	double js_gap; /* JS without the heaviest key less JS without a random one (Serrano & Smith 2019) */
	bool flips_top, flips_random;   /* whether the prediction changes without it */
	double removed[SN_ERASURES];    /* share of keys gone when the prediction changes; 1: it does not */
	bool flipped[SN_ERASURES];
} sn_changed;
/* Fills out [n_chosen] but for the adversary. */
SN_CHECKED sn_status sn_explain_change(const sn_explained *e, const sn_explained_stack *s, int64_t permutations,
                                       sn_changed *out);
/* Searches weights as unlike the model's as possible that leave the prediction within epsilon (total variation):
 * p->steps gradient steps on -JSD, or on KL where the prediction has moved too far, then bisection between the model's
 * weights and what was found. Only weights whose total variation is within epsilon count. */
SN_CHECKED sn_status sn_explain_attack(const sn_explained *e, const sn_explained_stack *s, const sn_explain_param *p,
                                       sn_changed *out);

#endif
