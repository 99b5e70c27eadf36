/* Numbers about predictions, and the distributions that intervals need. Weights may be NULL (all 1). Bits and nats
 * are named. */
#ifndef SN_STATS_METRICS_H
#define SN_STATS_METRICS_H

#include "base/base.h"

/* Returns mean -log2 p(own label), bits, over the n values that are not NaN; NaN if there are none. */
double sn_cross_entropy_bits(const double *bits, const double *weight, int64_t n);
/* Returns the entropy in bits of labels with these class weights. V-information (Xu et al. 2020) is this minus the
 * held-out cross-entropy; for a balanced binary label, 1 minus it. */
double sn_entropy_bits(const double *class_weight, int n_class);

/* 2 x 2 table of weights: label +1 / -1 against prediction +1 (score > threshold) / -1. Rows with z 0 or a NaN score
 * are left out. */
typedef struct sn_confusion { double tp, fn, fp, tn; } sn_confusion;
sn_confusion sn_confuse(const double *score, const int8_t *z, const double *weight, int64_t n, double threshold);
/* Each returns NaN where its denominator is 0. */
double sn_accuracy(const sn_confusion *c);
double sn_balanced_accuracy(const sn_confusion *c);
double sn_mcc(const sn_confusion *c);
/* Puts the area under the ROC curve into *auc (ties count half; NaN when a class is missing). O(n log n), scratch
 * from the arena. */
SN_CHECKED sn_status sn_roc_auc(sn_arena *scratch, const double *score, const int8_t *z, const double *weight,
                                int64_t n, double *auc);

/* A two-sided interval. */
typedef struct sn_interval { double low, high; } sn_interval;
/* Wilson's (1927) interval of a proportion share in [0, 1] observed on n (which need not be whole: clusters),
 * confidence level e.g. 0.95. NaN, NaN for n <= 0. */
sn_interval sn_wilson(double share, double n, double level);

/* Sums over clusters (texts) whose values are not independent, for the mean over values: a ratio of sums. Zeros: no
 * cluster yet. */
typedef struct sn_clustered { double n, sum, count, sum2, cross, count2; } sn_clustered;
/* Takes one cluster's `count` values, which add up to `sum`; a cluster without values counts nothing. */
void sn_clustered_add(sn_clustered *c, double sum, double count);
/* Returns the mean over all values; NaN without any. */
double sn_clustered_mean(const sn_clustered *c);
/* Returns the interval of that mean over clusters: of a ratio of sums by its linear part (Cochran 1977, eq. 6.10), with
 * Student's t. NaN, NaN for fewer than two clusters. */
sn_interval sn_clustered_interval(const sn_clustered *c, double level);
/* Returns what of an interval the quantity can be at all, as shares in [0, 1]; it covers no less often. NaN stays. */
sn_interval sn_interval_within(sn_interval interval, double least, double most);

/* Standard normal and Student t: distribution function and its inverse (p in (0, 1), df > 0). Relative error below
 * 1e-10. */
double sn_normal_cdf(double x);
double sn_normal_quantile(double p);
double sn_t_cdf(double t, double df);
double sn_t_quantile(double p, double df);

/* Correlations of n values; NaN when either side is constant or n < 2. Spearman gives ties their mean rank. */
double sn_pearson(const double *x, const double *y, int64_t n);
SN_CHECKED sn_status sn_spearman(sn_arena *scratch, const double *x, const double *y, int64_t n, double *rho);
/* Mean ranks from 1, ties sharing theirs. */
SN_CHECKED sn_status sn_ranks(sn_arena *scratch, const double *x, int64_t n, double *rank);
/* Returns the q-quantile (0 .. 1) of n ascending values, linear between order statistics (NumPy's default, R's type
 * 7). */
double sn_quantile_sorted(const double *sorted, int64_t n, double q);
/* Returns the number of the largest of n >= 1 scores, the first of equals. */
int sn_likeliest(const float *score, int n);

#endif
