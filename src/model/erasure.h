/* Erasure: x <- x - Q (x - mean) with LEACE's Q (stats/leace.h), and what it costs the choice; beside it displacements
 * of the same lengths in random directions. */
#ifndef SN_MODEL_ERASURE_H
#define SN_MODEL_ERASURE_H

#include "model/grid.h"

/* An eraser of one spot. mean, U, V: [items->n_fold] float32 [d], [d, k], [d, k], chosen by the item's fold. */
typedef struct sn_eraser {
	sn_spot spot;
	const sn_tensor *mean, *U, *V;
} sn_eraser;

/* Erasers that act together in one run: one at (l, r); or those of r at all layers >= l; or those of all positions from
 * the subject on. eraser: indices, in order of computation. */
typedef struct sn_erasure {
	const int *eraser;
	int n_eraser;
	int n_shift; /* draws of the control: the same displacements' lengths and signs, along random unit directions */
} sn_erasure;

typedef struct sn_erased {
	int64_t n_item;
	int n_erasure, n_shift; /* n_shift: the sum over erasures */
	double *base;           /* [n_item] LD, nats */
	double *ld;             /* [n_item, n_erasure]; NaN where the frame lacks the place */
	double *shift;          /* [n_item, n_shift], the erasures' draws in order */
} sn_erased;

/* Runs items which[0..n_which) under each erasure on its own. Arrays of out come from arena. On SN_ECANCEL out holds
 * what was done so far, NaN elsewhere. Cost: a forked row for each item, erasure and draw. */
SN_CHECKED sn_status sn_erase_run(sn_erased *out, sn_ctx *ctx, sn_model *model, const sn_items *items,
								  const int64_t *which, int64_t n_which, const sn_eraser *eraser, int n_eraser,
								  const sn_erasure *erasure, int n_erasure, sn_arena *arena);

#endif
