/* Mixtures of several probes' predictions: what more layers know together. */
#ifndef SN_STATS_MIXTURE_H
#define SN_STATS_MIXTURE_H

#include "base/base.h"

/* Weights s [k] >= 0, Σ s = 1, that maximise Σ_i weight_i log Σ_l s_l p_il over the first k of ld columns of p [n, ld]
 * (probabilities of the rows' own classes, > 0): a concave problem, by expectation maximisation from equal weights.
 * weight NULL: 1. Stops when no step gains 1e-7 nats a row, at most after 500. Returns the mean log, nats. */
double sn_mixture_fit(double *s, int k, const float *p, int64_t n, int ld, const double *weight);

/* Expected layer (Tenney, Das & Pavlick 2019, eq. 4): Σ_l at_l (score_l - score_{l-1}) / (score_last - score_0) of
 * cumulative scores [k] at layers at [k]; NaN where they do not rise. */
double sn_expected_layer(const double *score, const double *at, int k);

#endif
