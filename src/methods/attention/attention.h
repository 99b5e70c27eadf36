/* What the attention methods share: texts cut into tokens or words, and the attention patterns of each. */
#ifndef SN_METHODS_ATTENTION_H
#define SN_METHODS_ATTENTION_H

#include "data/result.h"

/* A text as the model reads it, cut into units: its tokens, or its words (a token of no word is a unit of its own). */
typedef struct sn_attn_side {
	const char *text;
	int32_t n, *token;
	int32_t n_word;     /* words between white space, or of the treebank */
	int32_t n_unit;
	int32_t (*unit)[2]; /* [n_unit] tokens [first, end) */
	int32_t *word;      /* [n_unit] number of the word, from 0; -1: none */
	bool *added;        /* [n_unit] what the tokenizer or the model adds; no part of the text */
	const char **label; /* [n_unit] "3 keys": unit number, and what stands there; unlike all others */
} sn_attn_side;

/* A text; in encoder-decoders what the decoder reads, and what the encoder does. */
typedef struct sn_attn_text { int64_t row; sn_attn_side own, source; } sn_attn_text;
typedef struct sn_attn_texts { int32_t n; sn_attn_text *text; } sn_attn_texts;

typedef struct sn_attn_query {
	const char *column, *source, *target;   /* column: of the text; the others: of encoder-decoders */
	bool words;                             /* units are words */
	int64_t limit;                          /* rows; 0: all */
} sn_attn_query;

/* Reads the data's texts; from arena. Rows of white space are left out. SN_EPARSE names the row of a text without
 * tokens or of more than the model takes. */
SN_CHECKED sn_status sn_attn_read(sn_attn_texts *out, sn_ctx *ctx, const sn_model *model, const sn_dataset *data,
                                  const sn_attn_query *query, sn_arena *arena);

/* Which attention: of a decoder or encoder to itself; of an encoder-decoder's encoder; of its decoder to that. */
typedef enum sn_attn_kind { SN_ATTN_SELF, SN_ATTN_ENCODER, SN_ATTN_CROSS } sn_attn_kind;

/* Heads that are counted together: of a decoder or an encoder; of an encoder-decoder's encoder, of its decoder, of its
 * decoder to the encoder ("cross"). Heads are numbered through all stacks: head h of layer l is
 * first + l * n_head + h. */
typedef struct sn_attn_stack {
	const char *name;
	sn_attn_kind kind;
	int n_layer, n_head, n_kv_head, d_head, first;
} sn_attn_stack;
enum { SN_ATTN_STACKS = 3 };
typedef struct sn_attn_stacks { int n, n_head; sn_attn_stack stack[SN_ATTN_STACKS]; } sn_attn_stacks;
sn_attn_stacks sn_attn_stacks_of(const sn_model *model);
/* The stack of a head, its layer there, its number in the layer, and how many heads stand before that layer. */
typedef struct sn_attn_place { const sn_attn_stack *stack; int layer, head, first; } sn_attn_place;
sn_attn_place sn_attn_place_of(const sn_attn_stacks *stacks, int head);
/* The site of what a stack's heads put out in a layer (hook_z); head -1: all of them. */
sn_site sn_attn_z(const sn_attn_stack *stack, int layer, int head);
/* The sites of a stack's weights in a layer (hook_pattern), and of what they weigh (hook_v). */
sn_site sn_attn_weights(const sn_attn_stack *stack, int layer);
sn_site sn_attn_v(const sn_attn_stack *stack, int layer);

/* All patterns of one text: a [n_layer, n_head, n_query, n_key], 0 where a query sees no key. */
typedef struct sn_attn_pattern { int n_layer, n_head; int32_t n_query, n_key; float *a; } sn_attn_pattern;

static inline const float *sn_attn_at(const sn_attn_pattern *p, int layer, int head, int32_t query)
{
	return p->a + (((int64_t)layer * p->n_head + head) * p->n_query + query) * p->n_key;
}

static inline const sn_attn_side *sn_attn_queries(const sn_attn_text *text, sn_attn_kind kind)
{
	return kind == SN_ATTN_ENCODER ? &text->source : &text->own;
}

static inline const sn_attn_side *sn_attn_keys(const sn_attn_text *text, sn_attn_kind kind)
{
	return kind == SN_ATTN_SELF ? &text->own : &text->source;
}

/* Runs the model on the texts, many at a time, and calls fn for each in order; the pattern lives until it returns.
 * SN_EARG where the model has no such attention. Memory: the patterns of about 1,024 tokens of texts. */
typedef sn_status sn_attn_fn(void *arg, int32_t text, const sn_attn_pattern *pattern);
SN_CHECKED sn_status sn_attn_each(sn_ctx *ctx, sn_model *model, const sn_attn_texts *texts, sn_attn_kind kind,
                                  sn_attn_fn *fn, void *arg);

/* One head's pattern (head -1: the mean of the layer's heads) between units: what a unit's keys get is summed over its
 * tokens, what its queries give is their mean (Clark et al. 2019), so rows that sum to 1 still do. shift: the rows are
 * those of queries that many positions earlier (1: of the position that predicts a token); units without are NaN.
 * out: [queries' units, keys' units]. */
void sn_attn_between(const sn_attn_pattern *pattern, int layer, int head, const sn_attn_side *query,
                     const sn_attn_side *key, int32_t shift, double *out);
/* The same of any matrix [tokens, tokens]. */
void sn_attn_by_unit(const double *a, const sn_attn_side *query, const sn_attn_side *key, double *out);

#endif
