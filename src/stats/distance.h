/* Distances between distributions of n outcomes. */
#ifndef SN_STATS_DISTANCE_H
#define SN_STATS_DISTANCE_H

#include "base/base.h"

/* Total variation: half the sum of |p - q|, in [0, 1]. */
double sn_total_variation(const double *p, const double *q, int64_t n);
/* Jensen-Shannon divergence in nats, in [0, ln 2]. */
double sn_jensen_shannon(const double *p, const double *q, int64_t n);
/* Entropy of p in bits. */
double sn_distribution_bits(const double *p, int64_t n);

#endif
