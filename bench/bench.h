/* What the benchmark's programs share. */
#ifndef SONDE_BENCH_H
#define SONDE_BENCH_H

#include "tensor/gemm.h"

#include <string.h>

/* Reads "f32", "bf16x3" or "bf16"; returns whether it is one of them. */
static inline bool read_precision(const char *name, sn_precision *out)
{
	for (int p = SN_F32_PRECISION; p <= SN_BF16_PRECISION; p++) {
		*out = (sn_precision)p;
		if (strcmp(sn_precision_name(*out), name) == 0) return true;
	}
	return false;
}

#endif
