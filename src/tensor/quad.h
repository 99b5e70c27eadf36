/* Four by four numbers turned on their side: the compilers' own vectors, which every processor has. */
#ifndef SN_TENSOR_QUAD_H
#define SN_TENSOR_QUAD_H

#include <stdint.h>
#include <string.h>

typedef float sn_quad __attribute__((vector_size(16)));

/* to[i * step + j] = from[j * stride + i] for i, j < 4. */
static inline void sn_turn_quad(float *to, int64_t step, const float *from, int64_t stride)
{
	sn_quad a, b, c, d;
	memcpy(&a, from, sizeof a);
	memcpy(&b, from + stride, sizeof b);
	memcpy(&c, from + 2 * stride, sizeof c);
	memcpy(&d, from + 3 * stride, sizeof d);
	sn_quad ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
	sn_quad cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd2 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
	const sn_quad line[] = {
		__builtin_shufflevector(ab0, cd0, 0, 1, 4, 5), __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7),
		__builtin_shufflevector(ab2, cd2, 0, 1, 4, 5), __builtin_shufflevector(ab2, cd2, 2, 3, 6, 7),
	};
	for (int i = 0; i < 4; i++) memcpy(to + i * step, &line[i], sizeof line[i]);
}

#endif
