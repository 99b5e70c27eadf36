/* Attention through all layers. */
#include "methods/attention/maps.h"

void sn_rollout_mix(double *mean, int n_layer, int32_t n)
{
	for (int l = 0; l < n_layer; l++)
		for (int32_t i = 0; i < n; i++) {
			double *row = mean + ((int64_t)l * n + i) * n, sum = 1;
			for (int32_t j = 0; j < n; j++) sum += row[j];
			for (int32_t j = 0; j < n; j++) row[j] = (row[j] + (i == j)) / sum;
		}
}

void sn_rollout(const double *mixed, int n_layer, int32_t n, double *out)
{
	int64_t size = (int64_t)n * n;
	for (int64_t i = 0; i < size; i++) out[i] = mixed[i];
	for (int l = 1; l < n_layer; l++)
		for (int32_t i = 0; i < n; i++) {
			double *to = out + l * size + (int64_t)i * n;
			for (int32_t j = 0; j < n; j++) to[j] = 0;
			for (int32_t k = 0; k < n; k++) {
				double w = mixed[l * size + (int64_t)i * n + k];
				const double *from = out + (l - 1) * size + (int64_t)k * n;
				for (int32_t j = 0; w != 0 && j < n; j++) to[j] += w * from[j];
			}
		}
}
