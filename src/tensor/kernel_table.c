/* Chooses the kernels for the processor at hand. */
#include "tensor/kernels.h"

#if defined(__x86_64__)

extern const sn_kernels sn_kernels_x86_64, sn_kernels_x86_64_v3, sn_kernels_x86_64_v4;

static int best_level(void)
{
	__builtin_cpu_init();
	bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
	bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
	          __builtin_cpu_supports("avx512cd");
	return v4 ? 2 : v3 ? 1 : 0;
}

const sn_kernels *sn_kernels_at(int i)
{
	static const sn_kernels *const table[] = { &sn_kernels_x86_64, &sn_kernels_x86_64_v3, &sn_kernels_x86_64_v4 };
	return i >= 0 && i <= best_level() ? table[i] : NULL;
}

const sn_kernels *sn_kernels_get(void) { return sn_kernels_at(best_level()); }

#else

extern const sn_kernels sn_kernels_plain;
const sn_kernels *sn_kernels_at(int i) { return i == 0 ? &sn_kernels_plain : NULL; }
const sn_kernels *sn_kernels_get(void) { return &sn_kernels_plain; }

#endif
