/* A heap of the k best so far, the worst of them at its root; what does not beat the root is passed over by the vector
 * unit. */
#include "tensor/topk.h"

#include "base/base.h"
#include "tensor/kernels.h"

/* Whether a stands behind b: smaller, or equal and later. */
static bool behind(const float *x, int32_t a, int32_t b) { return x[a] < x[b] || (x[a] == x[b] && a > b); }

/* Puts `new` at the root of a heap of n, and down to where it belongs. */
static void sink(const float *x, int32_t *heap, int64_t n, int32_t new)
{
	int64_t at = 0;
	for (int64_t child; (child = 2 * at + 1) < n; at = child) {
		if (child + 1 < n && behind(x, heap[child + 1], heap[child])) child++;
		if (!behind(x, heap[child], new)) break;
		heap[at] = heap[child];
	}
	heap[at] = new;
}

/* Puts `new` at the end of a heap of n, and up to where it belongs. */
static void rise(const float *x, int32_t *heap, int64_t n, int32_t new)
{
	int64_t at = n;
	for (; at > 0 && behind(x, new, heap[(at - 1) / 2]); at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
	heap[at] = new;
}

int64_t sn_topk(const float *x, int64_t n, int64_t k, int32_t *index)
{
	const sn_kernels *kernels = sn_kernels_get();
	int64_t found = 0, i = 0;
	for (; i < n && found < k; i++)
		if (x[i] == x[i]) rise(x, index, found++, (int32_t)i);
	if (found > 0)
		while ((i = kernels->next_above(x, i, n, x[index[0]])) < n) sink(x, index, found, (int32_t)i++);
	for (int64_t last = found - 1; last > 0; last--) {   /* the worst of what is left goes to the end */
		int32_t worst = index[0];
		sink(x, index, last, index[last]);
		index[last] = worst;
	}
	return found;
}
