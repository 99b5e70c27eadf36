/* Kendall's rank correlation. */
#ifndef SN_STATS_KENDALL_H
#define SN_STATS_KENDALL_H

#include "base/base.h"

typedef struct sn_kendall { double tau, p; } sn_kendall;

/* Puts tau-b of n values and its two-sided p-value under independence into *out: exact without ties and n <= 33
 * (Kendall 1970, by counting permutations), otherwise normal with the correction for ties. NaN where either side is
 * constant or n < 2. O(n^2). */
SN_CHECKED sn_status sn_kendall_tau(sn_kendall *out, sn_arena *scratch, const double *x, const double *y, int n);

#endif
