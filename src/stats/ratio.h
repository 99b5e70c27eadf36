/* Ratios of sums over clusters (sentences, texts), with intervals. */
#ifndef SN_STATS_RATIO_H
#define SN_STATS_RATIO_H

#include "base/base.h"

typedef struct sn_ratio { double value, low, high; } sn_ratio;

/* Returns sum(num) / sum(den) over n clusters with its interval at the level (0.95): standard error of its linear part,
 * n / (n - 1) times the sum of squares of num - value * den, Student's t with n - 1 degrees of freedom (Cochran 1977,
 * 6.4). den NULL: all 1, a mean. Clusters with den 0 or num NaN are left out; bounds are NaN for fewer than two.
 * stride: distance between clusters in both arrays. */
sn_ratio sn_ratio_of(const double *num, const double *den, int64_t n, int64_t stride, double level);
/* Returns a ratio whose bounds are kept within [low, high], for what cannot lie outside. */
sn_ratio sn_ratio_within(sn_ratio r, double low, double high);

#endif
