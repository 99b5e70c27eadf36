/* The parts of attention that its backward pass uses too. */
#ifndef SN_MODEL_ATTENTION_H
#define SN_MODEL_ATTENTION_H

#include "model/pass.h"

/* The keys and values of positions 0 .. n - 1 of one row. */
typedef struct sn_history { sn_segment *segment; int n; } sn_history;

/* Which attention of a block: to the row itself, or to its encoder row. */
typedef struct sn_attending {
	sn_pass *p;
	bool cross;
	sn_site_kind scores, pattern;
	int64_t stride;             /* of queries in p->qkv */
	int32_t window;
	const sn_layer *layer;
	sn_history *past;           /* [n_row] */
} sn_attending;

/* The keys of one query: [lo, hi) of n. */
typedef struct sn_extent { int32_t lo, hi, n; } sn_extent;

/* The attentions of the block at hand, without their histories. */
sn_attending sn_self_attending(sn_pass *p);
sn_attending sn_cross_attending(sn_pass *p);
/* Finds where a row's keys and values are, from the pass's arena. */
SN_CHECKED sn_status sn_attention_history(const sn_attending *a, int32_t row, sn_history *out);
/* Returns the keys that a position attends to. */
sn_extent sn_attention_extent(const sn_attending *a, int32_t row, int32_t pos);
/* As sn_attention_score, before the soft-cap. */
void sn_attention_scores_raw(const sn_attending *a, const sn_history *past, const float *query, int head, int32_t pos,
                             sn_extent e, float *scores);
/* As sn_attention_score, before what positions add. */
void sn_attention_scores_capped(const sn_attending *a, const sn_history *past, const float *query, int head,
                                int32_t pos, sn_extent e, float *scores);
/* Writes scores[e.lo .. e.hi) of one head's query: scaled, soft-capped, with what positions add. */
void sn_attention_score(const sn_attending *a, const sn_history *past, const float *query, int head, int32_t pos,
                        sn_extent e, float *scores);
/* What follows the product in it: DeBERTa's terms, the soft-cap, what positions add. q: of the head. */
void sn_attention_finish_score(const sn_attending *a, const sn_history *past, const float *q, int head, int32_t pos,
                               sn_extent e, float *scores);
/* Returns how many keys a row of the step has at most; at least 1. */
int32_t sn_attention_most_keys(const sn_attending *a);
/* All rows and heads -> z, where no plan looks at scores or patterns. Memory: a thread's panels of one head's keys. */
SN_CHECKED sn_status sn_attention_plain(const sn_attending *a);
/* Scores of all heads at one position, or, upto the pattern, their softmax; without the edits of that last site, as
 * sources of edits are read. out: [heads, keys]; keys outside the window have -inf, and no share of the pattern. */
SN_CHECKED sn_status sn_attention_before(const sn_attending *a, int32_t row, const sn_history *past, int32_t pos,
                                         sn_site_kind upto, float *out);
/* Patterns of all heads at one position as values are mixed with them. out: [heads, keys]. */
SN_CHECKED sn_status sn_attention_used(const sn_attending *a, int32_t row, const sn_history *past, int32_t pos,
                                       float *out);
/* Returns whether a site means a head; whether an edit means a key of a row. */
static inline bool sn_head_named(const sn_site *site, int head) { return site->head == 0 || site->head == head + 1; }
bool sn_key_named(const sn_attending *a, const sn_edit *e, int32_t row, int32_t key);

#endif
