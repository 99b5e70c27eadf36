/* Waves: the rows of a batch cut into steps that stay inside the memory budget. Whole families stand together where
 * they fit; a family that does not is cut between its atoms, and what its rows leave for later ones is held. */
#ifndef SN_MODEL_WAVES_H
#define SN_MODEL_WAVES_H

#include "model/cost.h"
#include "model/held.h"

/* Rows order.row[first .. first + n). kin: those of the whole family where it was cut; otherwise none. */
typedef struct sn_wave {
	int32_t first, n, kin, n_kin;
	int64_t tokens, bytes;   /* what the step computes in its busiest stage, and takes */
	int64_t held;            /* bytes at most that are held beside it */
	bool twice;              /* gradients: there is no room to save every block until the way down */
} sn_wave;

typedef struct sn_waves {
	sn_order order;
	sn_wave *wave;
	int32_t n, room;
	int32_t *part;           /* [rows of the batch] number of the wave that computes a row */
} sn_waves;

/* Cuts the batch. taken: bytes that are taken beside the steps. From the plan's arena. SN_ENOMEM, with the smallest
 * budget that works, where no cut is small enough. */
SN_CHECKED sn_status sn_waves_cut(const sn_compiled *c, int64_t taken, sn_waves *out);

#endif
