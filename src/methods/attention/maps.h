/* The parts of `attention maps`. */
#ifndef SN_METHODS_ATTENTION_MAPS_H
#define SN_METHODS_ATTENTION_MAPS_H

#include "methods/attention/attention.h"

/* What a head does on the whole, summed over the queries of a text that have a choice: not those that were added, nor
 * one that sees a single key. */
typedef enum sn_head_trait {
	SN_TRAIT_CONFIDENCE, /* largest weight of a query (Voita et al. 2019) */
	SN_TRAIT_ENTROPY,    /* bits */
	SN_TRAIT_DISTANCE,   /* mean distance of what is attended to, units; self-attention only */
	SN_TRAIT_SELF,       /* weight on the unit itself; self-attention only */
	SN_TRAIT_FIRST,      /* weight on the first unit */
	SN_TRAITS
} sn_head_trait;

/* causal: queries see no later key. sum [SN_TRAITS] is added to; returns how many queries were. a: as sn_attn_between
 * yields it, shifted or not. */
int32_t sn_head_traits(const double *a, const sn_attn_side *query, const sn_attn_side *key, sn_attn_kind kind,
                       bool causal, double *sum);

/* Mixes each layer's mean pattern, mean [n_layer, n, n], with the residual stream: (A + I) / 2, rows summing to 1. */
void sn_rollout_mix(double *mean, int n_layer, int32_t n);
/* Attention rollout (Abnar & Zuidema 2020): out[l] = mixed[l] out[l - 1], out[0] = mixed[0]; rows sum to 1.
 * O(n_layer n^3). */
void sn_rollout(const double *mixed, int n_layer, int32_t n, double *out);

/* What cross-attention says about word alignment. Words are units; when 1: a word's rows are those that predict it. */
typedef struct sn_attn_aligner sn_attn_aligner;
/* Opens for texts (units: words) whose rows of `column` hold alignments; from arena. SN_EPARSE names the row. */
SN_CHECKED sn_status sn_aligner_open(sn_attn_aligner **out, sn_ctx *ctx, const sn_attn_texts *texts,
                                     const sn_dataset *data, const sn_column *column, int n_layer, int n_head,
                                     int32_t shift, sn_arena *arena);
/* Takes one text's pattern; all of them in any order. */
SN_CHECKED sn_status sn_aligner_take(sn_attn_aligner *aligner, int32_t text, const sn_attn_pattern *pattern);
/* Adds a row a head, one a layer (the mean of its heads), and a sentence about the best. */
SN_CHECKED sn_status sn_aligner_report(const sn_attn_aligner *aligner, sn_result *out, int table);
enum { SN_ALIGNER_COLUMNS = 13 };
extern const sn_col sn_aligner_columns[SN_ALIGNER_COLUMNS];

#endif
