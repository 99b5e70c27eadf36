/* A Llama written out naively in double precision, for the planted models: it knows nothing of the engine, so it can
 * judge it. */
#ifndef SN_PLANTED_REF_H
#define SN_PLANTED_REF_H

#include "planted/planted.h"

enum { REF_MAX_TOKENS = 16 };

/* Residual streams of one row: x[l] before block l, x[PLANTED_BLOCKS] after the last one; logits at the last position.
 */
typedef struct ref_run {
	int n;
	double x[PLANTED_BLOCKS + 1][REF_MAX_TOKENS][PLANTED_D];
	double logit[PT_VOCAB];
} ref_run;

/* Called at each boundary before block l (l = PLANTED_BLOCKS: before the final norm); may change x. */
typedef struct ref_edit {
	void (*at)(void *arg, int l, int n, double (*x)[PLANTED_D]);
	void *arg;
} ref_edit;

/* Runs one row of n tokens; edit may be NULL. Boundaries are stored after the edit. */
void ref_forward(const planted_weights *w, const int32_t *token, int n, const ref_edit *edit, ref_run *out);
/* Runs item i. */
void ref_item(const planted_weights *w, const sn_items *items, int64_t i, const ref_edit *edit, ref_run *out);
/* Returns the mean over choice pairs of logit(form 0) - logit(form 1). */
double ref_choice(const ref_run *run, const sn_items *items);

#endif
