/* The steps of attention's way down, and its two ways through all queries. */
#ifndef SN_MODEL_BACK_ATTENTION_H
#define SN_MODEL_BACK_ATTENTION_H

#include "model/attention.h"
#include "model/back.h"

/* One attention, and where its derivatives go. */
typedef struct sn_down {
	sn_attending a;
	float *dq, *dk, *dv;       /* of the first slot and head */
	int64_t dq_stride, dkv_stride;
} sn_down;

/* One head of one row: where its queries, keys and values stand. Every row is computed in full, so its keys and values
 * are one segment. */
typedef struct sn_down_head {
	int32_t row, n, keys;
	int number;
	const float *q, *k, *v, *dz;
	float *dq, *dk, *dv;
	int64_t kv_stride;
	const sn_history *past;
	const struct sn_down_head *other;   /* the same one of the row that this is compared with; NULL: of none */
} sn_down_head;

static inline int64_t sn_down_width(const sn_model *m) { return (int64_t)m->shape.n_head * m->shape.d_head; }

static inline float sn_down_dot(const float *a, const float *b, int64_t n)
{
	double sum = 0;
	for (int64_t j = 0; j < n; j++) sum += (double)a[j] * b[j];
	return (float)sum;
}

/* Returns a head of the step's i-th row. */
sn_down_head sn_down_head_at(const sn_down *b, int32_t i, int number);
/* Returns how many keys a row of the step has at most; at least 1. */
int32_t sn_down_most_keys(const sn_down *b);

/* ---- queries of one head ---- */

/* d [n, keys] = do v', and dv += P' do, of queries [pos, pos + n); rows of d and pattern ld apart. */
void sn_down_values(const sn_down *b, const sn_down_head *h, int32_t pos, int32_t n, int64_t ld, const float *pattern,
                    float *d);
/* d <- P (d - sum P d) for one query's keys. */
void sn_down_softmax(const float *pattern, float *d, sn_extent e);
/* Through the soft-cap, whose value is what positions have been added to: d <- d (1 - (capped / c)^2).
 * capped: room for a query's keys. */
void sn_down_softcap(const sn_down *b, const sn_down_head *h, int32_t pos, sn_extent e, float *capped, float *d);
/* Scores' derivatives ds [n, keys] of queries [pos, pos + n), rows ld apart, to dq and dk; scaled here. */
void sn_down_scores(const sn_down *b, const sn_down_head *h, int32_t pos, int32_t n, int64_t ld, float *ds);

/* ---- all rows, heads and queries ---- */

/* Where nothing looks at scores or patterns. Memory: for each thread some queries' scores. */
SN_CHECKED sn_status sn_down_plain(const sn_down *b);
/* Where edits or gradient taps do. Memory: the scores of all rows and heads of the step. */
SN_CHECKED sn_status sn_down_observed(const sn_down *b);

#endif
