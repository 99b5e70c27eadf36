#include "tensor/sgemm.h"

#include "base/base.h"

#include <dnnl.h>

void sn_sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
			  int64_t ldb, float beta, float *c, int64_t ldc)
{
	if (m == 0 || n == 0) return;
	dnnl_status_t status = dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
	SN_ASSERT(status == dnnl_success);
}
