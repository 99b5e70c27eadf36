/* The parts of `attention explanation-tests`. */
#ifndef SN_METHODS_ATTENTION_EXPLAIN_H
#define SN_METHODS_ATTENTION_EXPLAIN_H

#include "methods/attention/attention.h"

typedef struct sn_explain_param {
	const char *column;
	int64_t every, permutations, adversaries, starts, steps, limit;
	double epsilon;
} sn_explain_param;

/* One text, and what the model makes of it at the place where it predicts. Arrays live until the next text. */
typedef struct sn_explained {
	sn_ctx *ctx;
	sn_model *model;
	const sn_model_info *info;
	sn_arena *arena;
	const sn_attn_side *side;
	int64_t number;          /* of the text, from 0: keys random draws */
	int32_t place, n_key;    /* n_key: positions that the place sees */
	int n_chosen;
	const int *chosen;       /* layers whose attention is changed */
	float *pattern;          /* [n_layer][n_head][n_key] of the place */
	float *value;            /* [n_chosen][n_key][n_kv_head * d_head] */
	float *slope;            /* [n_chosen][n_head * d_head] d log p(top) / dz at the place */
	double *prob;            /* [d_vocab] what is predicted */
	int32_t top;             /* the most probable token */
	int32_t n_player;        /* tokens whose importance is compared: the text's own, but not the place's */
	int32_t *player;         /* [n_player] positions */
	double *loo,
		*gradient; /* [n_player] total variation of the prediction without the token; |x . d log p(top) / dx| */
} sn_explained;

/* Runs the model on a text: e's first members, up to chosen, are set. */
SN_CHECKED sn_status sn_explain_open(sn_explained *e);

/* Predictions of changed runs, compared with e's: total variation, Jensen-Shannon divergence, the most probable
 * token. */
typedef struct sn_predicted { double *tvd, *js; int32_t *top; } sn_predicted;
/* Runs n variants of the text, each a fork of it in which the output of the attention of one chosen layer at the place
 * is z + v * n_head * d_head: layer[v], an index of e->chosen. */
SN_CHECKED sn_status sn_explain_variants(const sn_explained *e, int32_t n, const int *layer, const float *z,
                                         sn_predicted *out);
/* A tap that fills out with the logits at where, place by place; out's arrays are the caller's. */
SN_CHECKED sn_status sn_explain_tap(const sn_explained *e, const sn_where *where, const sn_predicted *out, sn_tap *tap);
/* The batch: the text, then n forks of it (grad: rows of their own). */
SN_CHECKED sn_status sn_explain_rows(const sn_explained *e, int32_t n, bool grad, sn_batch *out);
/* Mixes the values of chosen layer c by weights a [n_head][n_key] into z [n_head * d_head]. */
void sn_explain_mix(const sn_explained *e, int c, const double *a, float *z);
/* The pattern of chosen layer c as doubles, [n_head][n_key]. */
void sn_explain_pattern(const sn_explained *e, int c, double *a);

/* What changing one layer's attention does. */
typedef enum sn_erasure_order { SN_ERASE_ATTENTION, SN_ERASE_GRADIENT, SN_ERASE_PRODUCT, SN_ERASE_RANDOM,
                                SN_ERASURES } sn_erasure_order;
typedef struct sn_changed {
	double most;                    /* largest weight, mean of heads */
	double permuted, uniform;       /* total variation: median over permutations; of uniform weights */
	double adversary, adversary_tvd;    /* largest JSD of weights (mean over heads) whose TVD is within epsilon */
	double js_gap; /* JS without the heaviest key less JS without a random one (Serrano & Smith 2019) */
	bool flips_top, flips_random;   /* whether the prediction changes without it */
	double removed[SN_ERASURES];    /* share of keys gone when the prediction changes; 1: it does not */
	bool flipped[SN_ERASURES];
} sn_changed;
/* Fills out [n_chosen] but for the adversary. */
SN_CHECKED sn_status sn_explain_change(const sn_explained *e, int64_t permutations, sn_changed *out);
/* Searches weights as unlike the model's as possible that leave the prediction within epsilon (total variation):
 * p->steps gradient steps on -JSD, or on KL where the prediction has moved too far, then bisection between the model's
 * weights and what was found. Only weights whose total variation is within epsilon count. */
SN_CHECKED sn_status sn_explain_attack(const sn_explained *e, const sn_explain_param *p, sn_changed *out);

#endif
