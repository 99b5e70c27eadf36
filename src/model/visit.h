/* The parts of visiting a site that its backward pass uses too. */
#ifndef SN_MODEL_VISIT_H
#define SN_MODEL_VISIT_H

#include "model/pass.h"

/* The rows of a site's tensor that are at hand: slots [slot0, slot1), the first at x. */
typedef struct sn_slots { float *x; int64_t stride, slot0, slot1; } sn_slots;

static inline float *sn_at_slot(const sn_slots *v, int64_t slot)
{
	return slot >= v->slot0 && slot < v->slot1 ? v->x + (slot - v->slot0) * v->stride : NULL;
}

/* Hands the view's places to the taps of that kind at this site. */
SN_CHECKED sn_status sn_visit_taps(sn_pass *p, sn_site_kind kind, const sn_slots *v, sn_what what);
/* Lists the edit places of the step at this site that the view holds, in the order of rows and edits, from the pass's
 * arena. */
SN_CHECKED sn_status sn_edits_here(sn_pass *p, sn_site_kind kind, const sn_slots *v, const sn_edit_place ***out,
                                   int64_t *n);
/* Returns an edit's alpha for a row. */
float sn_edit_strength(const sn_edit *e, int32_t row);
/* y += alpha U V' delta (transposed: alpha V U' delta), or alpha delta where the edit has no U. coefficient: room for
 * U's columns. */
void sn_edit_add_projected(const sn_edit *e, bool transposed, float *y, const float *delta, float alpha, int64_t width,
                           double *coefficient);
/* Returns the largest number of columns of any edit's U. */
int64_t sn_most_columns(const sn_plan *plan);

#endif
