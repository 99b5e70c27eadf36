/* The largest of many numbers, without sorting them. */
#ifndef SN_TENSOR_TOPK_H
#define SN_TENSOR_TOPK_H

#include "sonde.h"

/* Writes the indices of the k largest of x [n], n < 2^31, the largest first; of equal ones the earlier. NaN is never
 * among them. Returns how many there are: k, or fewer where fewer than k are numbers. index: room for k. Reads x once;
 * numbers below the k-th largest so far cost a vector comparison, the others O(log k). */
int64_t sn_topk(const float *x, int64_t n, int64_t k, int32_t *index);

#endif
